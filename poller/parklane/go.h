/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goroutines: start, yield, sleep, the lane's clock. Every call here runs on a lane,
 * inside a goroutine, unless it says otherwise.
 */
#ifndef PARKLANE_GO_H
#define PARKLANE_GO_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PL_API __attribute__((visibility("default")))
#else
#define PL_API
#endif

/* pl_go - start fn(arg) as a goroutine of the current lane; it runs from the next turn on.
 * 0; -ENOMEM no stack or memory (never silent). */
#define pl_go(fn, arg) pl_go_named((fn), (arg), #fn)
PL_API int pl_go_named(void (*fn)(void *arg), void *arg, const char *name);

/* pl_yield - let the others run; back at the next turn. */
PL_API void pl_yield(void);

/* pl_sleep - park for at least ns nanoseconds; <= 0 is a yield. */
PL_API void pl_sleep(int64_t ns);

/* pl_now - the lane's monotonic clock in ns, as of this turn. Cheap: no system call. */
PL_API uint64_t pl_now(void);

/* pl_lane_stop - ask the current lane to end: pl_run returns after this turn. */
PL_API void pl_lane_stop(void);

#ifdef __cplusplus
}
#endif
#endif
