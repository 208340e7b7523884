/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See lane_call.h. A call whose caller may go on without it cannot lie on that one's stack: in a
 * ctx it is on the heap (without memory for it the ctx's end waits for the other lane), and who
 * comes second frees it, the lane that was called or the g that gave up.
 */
#include "poller/lane_call.h"

#include <stdlib.h>

#include "poller/ctx.h"
#include "poller/lane_int.h"
#include "poller/sched.h"

enum call_state {
	CALL_SENT,
	CALL_TAKEN, /* by `to`: the answer comes at once; or `to` has ended */
	CALL_LEFT,  /* by its g, which is gone from it */
};

struct lane_call {
	struct lane_msg msg;
	struct lane *to;                       /* (c) */
	int (*fn)(struct lane *to, void *arg); /* (c) */
	void *arg;                             /* (c) */
	struct g *caller;                      /* (c) since it parked */
	uint32_t state; /* (a) enum call_state; by exchanges, the first has it */
	int err;
};

/* On the stack of the caller. */
struct call_wait {
	struct g_intr in;
	struct g *g;
	struct lane_call *lc;
	bool left;
};

static uint32_t call_state(struct lane_call *lc, enum call_state to)
{
	return __atomic_exchange_n(&lc->state, to, __ATOMIC_ACQ_REL);
}

static void call_here(struct lane *l, struct lane_msg *m)
{
	struct lane_call *lc = container_of(m, struct lane_call, msg);

	if (call_state(lc, CALL_TAKEN) == CALL_LEFT) {
		free(lc);
		return;
	}
	lc->err = lc->fn(l, lc->arg);
	sched_ready(lc->caller);
}

bool lane_call_end(struct lane_msg *m)
{
	struct lane_call *lc = container_of(m, struct lane_call, msg);

	if (m->fn != call_here)
		return false;
	if (call_state(lc, CALL_TAKEN) == CALL_LEFT)
		free(lc);
	return true;
}

static bool call_commit(struct g *g, void *arg)
{
	struct lane_call *lc = arg;

	lc->caller = g;
	lane_post(lc->to, &lc->msg);
	return true;
}

static void call_cut(struct g_intr *in)
{
	struct call_wait *w = container_of(in, struct call_wait, in);
	uint32_t sent = CALL_SENT;

	if (!__atomic_compare_exchange_n(&w->lc->state, &sent, CALL_LEFT, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return; /* the answer is on its way */
	w->left = true;
	__sched_ready(w->g->sched, w->g);
}

/* The g never comes to free it. */
static void call_drop(struct g_intr *in)
{
	struct call_wait *w = container_of(in, struct call_wait, in);

	if (!w->left && call_state(w->lc, CALL_LEFT) == CALL_TAKEN)
		free(w->lc);
}

static int call_in_ctx(struct g *g, struct lane_call *lc)
{
	struct call_wait w = {{call_cut, call_drop}, g, lc, false};
	int err;

	ctx_park(call_commit, lc, WAIT_LANE, &w.in);
	if (w.left)
		return ctx_pending(g);
	err = lc->err;
	free(lc);
	return err;
}

int lane_call(struct lane *to, int (*fn)(struct lane *to, void *arg), void *arg)
{
	struct lane_call call = {.msg = {.fn = call_here}, .to = to, .fn = fn, .arg = arg}, *lc;
	struct g *g = sched_self();
	int err = ctx_pending(g);

	if (err)
		return err;
	lc = g->ctx ? malloc(sizeof(*lc)) : NULL;
	if (lc) {
		*lc = call;
		return call_in_ctx(g, lc);
	}
	sched_park(call_commit, &call, WAIT_LANE);
	return call.err;
}
