/* SPDX-License-Identifier: BSD-3-Clause */
/* The public calls about goroutines: thin, on the current lane. */
#include <parklane/go.h>

#include "poller/lane.h"
#include "poller/sched.h"
#include "stack/base/bug.h"

static struct lane *self(void)
{
	struct lane *l = lane_self();

	BUG_ON(!l);
	return l;
}

int pl_go_named(void (*fn)(void *arg), void *arg, const char *name)
{
	return lane_go(self(), fn, arg, name);
}

void pl_yield(void)
{
	sched_yield_();
}

void pl_sleep(int64_t ns)
{
	sched_sleep(ns);
}

uint64_t pl_now(void)
{
	return lane_now(self());
}

void pl_lane_stop(void)
{
	lane_stop(self());
}
