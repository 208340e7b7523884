/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The monitor of a group (R44): a thread that looks every 10 ms whether a goroutine holds its lane,
 * since nothing here takes the cpu from one. It names the offender; and where movable goroutines
 * wait on the epoll of such a lane it polls that on the lane's behalf, so that others can run them.
 * Go hands the P of a long call to another thread (R45): here pl_blocking() is for that.
 */
#ifndef POLLER_MONITOR_H
#define POLLER_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct lane_group;

#define MONITOR_PERIOD_NS 10000000u
#define MONITOR_LONG_NS   1000000000u

/* One goroutine that holds its lane. */
struct monitor_hog {
	bool is_long; /* for MONITOR_LONG_NS: that is told once more */
	unsigned lane;
	uint64_t g;       /* its number on that lane */
	const char *name; /* of its function; the program's own string */
	uint64_t held_ns; /* at least */
	uint64_t cpu_ns;  /* of the lane's thread meanwhile: little means that others ran */
};

struct monitor_report {
	uint64_t hogs;           /* so many were named so far */
	uint64_t polls;          /* of epolls on a lane's behalf */
	struct monitor_hog last; /* if hogs; up to date while it lasts */
	bool holding;            /* the last one is at it still */
};

/*
 * monitor_start - watch grp's lanes, all of which have joined, until monitor_stop(). hog, unless
 * NULL, is called on the monitor's thread for each goroutine once, and once more if it takes
 * MONITOR_LONG_NS. 0; -errno of
 * pthread_create(3). Not for virtual lanes.
 */
MUST_USE int monitor_start(struct lane_group *grp,
			   void (*hog)(void *ctx, const struct monitor_hog *h), void *ctx);
/* monitor_stop - before the first lane is destroyed. Without a monitor nothing. */
void monitor_stop(struct lane_group *grp);
/* monitor_get - any thread; all zero without a monitor. */
void monitor_get(struct lane_group *grp, struct monitor_report *ret_report);

#endif
