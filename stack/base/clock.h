/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time as arithmetic: the stack never asks what time it is, it is told. All times are
 * nanoseconds of a monotonic clock in uint64_t; 0 is "none".
 */
#ifndef STACK_BASE_CLOCK_H
#define STACK_BASE_CLOCK_H

#include <stdint.h>

#define NSEC_PER_USEC 1000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_SEC  1000000000ull

/* One tick of TCP's wheel: 131.072 us (architecture.md rule 7). */
#define TICK_SHIFT 17
#define TICK_NS    (1ull << TICK_SHIFT)

/* tick_floor - the tick that `ns` lies in. tick_ceil - the first tick not before `ns`. */
static inline uint64_t tick_floor(uint64_t ns)
{
	return ns >> TICK_SHIFT;
}

static inline uint64_t tick_ceil(uint64_t ns)
{
	return (ns + TICK_NS - 1) >> TICK_SHIFT;
}

#endif
