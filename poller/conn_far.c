/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls on the conns of another lane of the group which may not be touched from here (stack
 * conns, io_uring's): a message to the owner makes the call there and wakes the caller. No
 * goroutine is needed for it, so that a lane which has no room for one more is still rid of its
 * conns. Only a close may have to wait for those who still use the conn: the last of them wakes its
 * caller.
 */
#include <errno.h>

#include "poller/conn_ops.h"
#include "poller/lane_call.h"
#include "poller/lane_int.h"
#include "poller/sched.h"

/* On the stack of the g that calls, which is parked until the answer is in. */
struct far_close {
	struct lane_msg msg;
	struct pl_conn *c;
	struct g *caller;
	struct fdm_closer closer; /* caller, until the last user is out */
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

struct far_call {
	struct pl_conn *c;
	int (*fn)(struct pl_conn *c, void *arg);
	void *arg;
};

static int far_here(struct lane *l, void *arg)
{
	const struct far_call *fc = arg;

	(void)l;
	return fc->fn(fc->c, fc->arg);
}

int conn_far(struct pl_conn *c, int (*fn)(struct pl_conn *c, void *arg), void *arg)
{
	struct far_call fc = {.c = c, .fn = fn, .arg = arg};
	int err;

	/* from here on c is not freed under us, only closed */
	conn_hold(c);
	err = lane_call(c->lane, far_here, &fc);
	conn_put(c);
	return err;
}

static void far_close_here(struct lane *l, struct lane_msg *m)
{
	struct far_close *fc = container_of(m, struct far_close, msg);
	int err = conn_close_for(fc->c, &fc->closer, fc->caller);

	(void)l;
	if (!err)
		return; /* the caller may be gone, and *fc with it */
	fc->err = err;
	sched_ready(fc->caller);
}

static bool far_commit(struct g *g, void *arg)
{
	struct far_close *fc = arg;

	fc->caller = g;
	lane_post(fc->c->lane, &fc->msg);
	return true;
}

/* No lane_call(): it may have to wait for users, and no ctx ends it. */
int conn_far_close(struct pl_conn *c)
{
	struct far_close fc = {.msg = {.fn = far_close_here}, .c = c};

	conn_hold(c);
	sched_park(far_commit, &fc, WAIT_LANE);
	conn_put(c);
	return fc.err;
}
