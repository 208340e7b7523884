/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a thread with real-time priority that always has something to do sleeps all the same. Linux
 * keeps 50 ms of each second for others (sched_rt_runtime_us, and the fair server of 6.12) and
 * takes them at one go, in which a path of 1 Gbit/s and 20 ms loses more than a window. Many short
 * sleeps cost no frame.
 */
#ifndef APPS_WIRE_REST_H
#define APPS_WIRE_REST_H

#include <stdint.h>

#include "stack/base/clock.h"

/* Awake for so many ns of each asleep: 917 ms of a second. With 15 (937 ms) others got less than
 * their 50 ms, since a sleep ends before whoever ran in it is back: still a gap of 46 ms (2 cpus,
 * Linux 6.18). */
#define WREST_SHARE 11
/* So long at a time; then some 90 us of sleep. */
#define WREST_AFTER NSEC_PER_MSEC

/* In ns awake: what is not slept off yet, at least -WREST_AFTER. 0 at the start. */
struct wrest {
	int64_t tired;
};

/* wrest_awake - `ns` were spent awake. ns to sleep now; 0 none. */
static inline uint64_t wrest_awake(struct wrest *r, uint64_t ns)
{
	r->tired += (int64_t)ns;
	return r->tired < (int64_t)WREST_AFTER ? 0 : (uint64_t)r->tired / WREST_SHARE;
}

/* wrest_slept - `ns` were spent asleep, however long was asked for. What is beyond need counts for
 * a moment only: Linux looks at one second at a time. */
static inline void wrest_slept(struct wrest *r, uint64_t ns)
{
	int64_t rest = (int64_t)(ns > NSEC_PER_SEC ? NSEC_PER_SEC : ns) * WREST_SHARE;

	r->tired -= rest;
	if (r->tired < -(int64_t)WREST_AFTER)
		r->tired = -(int64_t)WREST_AFTER;
}

#endif
