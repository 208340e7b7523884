/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls on the conns of another lane of the group which may not be touched from here (stack
 * conns): a message to the owner, where a goroutine makes the call and wakes the caller. A
 * goroutine, because a close may have to wait for those who still use the conn.
 */
#include <errno.h>

#include "poller/conn_ops.h"
#include "poller/lane_int.h"
#include "poller/sched.h"

/* On the stack of the g that calls, which is parked until the answer is in. */
struct far_call {
	struct lane_msg msg;
	struct pl_conn *c;
	int (*fn)(struct pl_conn *c, void *arg);
	void *arg;
	struct g *caller;
	int err;
};

bool conn_kin(const struct pl_conn *c, const struct lane *self)
{
	return self && self->group && self->group == c->lane->group;
}

static void far_main(void *arg)
{
	struct far_call *fc = arg;

	fc->err = fc->fn(fc->c, fc->arg);
	sched_ready(fc->caller);
}

static void far_here(struct lane *l, struct lane_msg *m)
{
	struct far_call *fc = container_of(m, struct far_call, msg);

	fc->err = lane_go(l, far_main, fc, "conn_far");
	if (fc->err)
		sched_ready(fc->caller);
}

static bool far_commit(struct g *g, void *arg)
{
	struct far_call *fc = arg;

	fc->caller = g;
	lane_post(fc->c->lane, &fc->msg);
	return true;
}

int conn_far(struct pl_conn *c, int (*fn)(struct pl_conn *c, void *arg), void *arg)
{
	struct far_call fc = {.msg = {.fn = far_here}, .c = c, .fn = fn, .arg = arg};

	/* from here on c is not freed under us, only closed */
	conn_hold(c);
	sched_park(far_commit, &fc, WAIT_LANE);
	conn_put(c);
	return fc.err;
}
