/* SPDX-License-Identifier: BSD-3-Clause */
/* The public calls about goroutines: thin, on the current lane. */
#include <errno.h>
#include <stdio.h>

#include <parklane/go.h>

#include "poller/ctx.h"
#include "poller/group.h"
#include "poller/lane_int.h"
#include "poller/sched_int.h"
#include "stack/base/bug.h"

static COLD __attribute__((noreturn)) void misplaced(const char *call)
{
	char what[80];

	(void)snprintf(what, sizeof(what), "%s: called outside of a goroutine", call);
	bug_misuse(what);
}

/* self - the lane of the goroutine that calls; outside of one the program is told which call. */
#define self() __self(__func__)
static struct lane *__self(const char *call)
{
	struct lane *l = lane_self();

	if (unlikely(!l))
		misplaced(call);
	return l;
}

int pl_go_named(void (*fn)(void *arg), void *arg, const char *name)
{
	return fn ? lane_go(self(), fn, arg, name) : -EINVAL;
}

int pl_go_movable_named(void (*fn)(void *arg), void *arg, const char *name)
{
	return fn ? lane_go_movable(self(), fn, arg, name) : -EINVAL;
}

int pl_go_on_named(unsigned lane, void (*fn)(void *arg), void *arg, const char *name)
{
	(void)self();
	return fn ? lane_group_go(lane, fn, arg, name) : -EINVAL;
}

unsigned pl_lane_index(void)
{
	return lane_index(self());
}

unsigned pl_nr_lanes(void)
{
	const struct lane_group *grp = lane_group(self());

	return grp ? lane_group_nr(grp) : 1;
}

/* self_g - the same, and it is not the lane's own stack. */
#define self_g() __self_g(__func__)
static struct g *__self_g(const char *call)
{
	struct g *g = __self(call)->sched.cur;

	if (unlikely(!g))
		misplaced(call);
	return g;
}

void pl_yield(void)
{
	__sched_yield(self_g()->sched);
}

int pl_sleep(int64_t ns)
{
	struct g *g = self_g();

	if (unlikely(g->ctx))
		return ctx_sleep(g, ns);
	sched_sleep(ns);
	return 0;
}

void pl_keep_fp(int on)
{
	struct g *g = self_g();

	g->keep_fp = on != 0;
}

uint64_t pl_now(void)
{
	return lane_now(self());
}

void pl_lane_stop(void)
{
	struct lane *l = self();

	if (lane_group(l))
		lane_group_stop(lane_group(l));
	else
		lane_stop(l);
}
