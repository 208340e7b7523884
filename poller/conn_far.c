/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls on the conns of another lane of the group which may not be touched from here (stack
 * conns, io_uring's): a message to the owner makes the call there and wakes the caller. No goroutine
 * is needed for it, so that a lane which has no room for one more is still rid of its conns. Only a
 * close may have to wait for those who still use the conn: the last of them wakes its caller.
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
	struct fdm_closer closer; /* of a close: caller, until the last user is out */
	int err;
};

bool conn_kin(const struct pl_conn *c, const struct lane *self)
{
	return self && self->group && self->group == c->lane->group;
}

void fd_mutex_hold(struct fd_mutex *m)
{
	conn_hold(container_of(m, struct pl_conn, fdmu));
}

void fd_mutex_put(struct fd_mutex *m)
{
	conn_put(container_of(m, struct pl_conn, fdmu));
}

static void far_here(struct lane *l, struct lane_msg *m)
{
	struct far_call *fc = container_of(m, struct far_call, msg);

	(void)l;
	fc->err = fc->fn(fc->c, fc->arg);
	sched_ready(fc->caller);
}

static void far_close_here(struct lane *l, struct lane_msg *m)
{
	struct far_call *fc = container_of(m, struct far_call, msg);
	int err = conn_close_for(fc->c, &fc->closer, fc->caller);

	(void)l;
	if (!err)
		return; /* the caller may be gone, and *fc with it */
	fc->err = err;
	sched_ready(fc->caller);
}

static bool far_commit(struct g *g, void *arg)
{
	struct far_call *fc = arg;

	fc->caller = g;
	lane_post(fc->c->lane, &fc->msg);
	return true;
}

static int far_call(struct far_call *fc)
{
	/* from here on c is not freed under us, only closed */
	conn_hold(fc->c);
	sched_park(far_commit, fc, WAIT_LANE);
	conn_put(fc->c);
	return fc->err;
}

int conn_far(struct pl_conn *c, int (*fn)(struct pl_conn *c, void *arg), void *arg)
{
	struct far_call fc = {.msg = {.fn = far_here}, .c = c, .fn = fn, .arg = arg};

	return far_call(&fc);
}

int conn_far_close(struct pl_conn *c)
{
	struct far_call fc = {.msg = {.fn = far_close_here}, .c = c};

	return far_call(&fc);
}
