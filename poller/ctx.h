/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a ctx that ends reaches what its goroutines wait for. A g in a ctx that parks says how its
 * wait can be undone (struct g_intr); the ctx does that on the g's own lane, at once or by a
 * message. So there is no race with the park itself: the error is published first, the g looks
 * at it before it parks (R3's order), and its lane meets the request either before that look or
 * when the g is off its stack.
 */
#ifndef POLLER_CTX_H
#define POLLER_CTX_H

#include <parklane/ctx.h>

#include "poller/sched_int.h"
#include "stack/base/compiler.h"

/*
 * How the wait of a parked g can be undone; on the g's lane, outside of it. cut: make the g ready
 * and let it see that nothing came, or do nothing if somebody else has woken it or will. drop:
 * the g, parked or woken, is dropped with its lane and never runs again; leave the queues of what
 * outlives it. NULL where nothing does.
 */
struct g_intr {
	void (*cut)(struct g_intr *in);
	void (*drop)(struct g_intr *in);
};

/* __ctx_err - pl_ctx_err() of a ctx that is not NULL. */
int __ctx_err(const struct pl_ctx *c);

/* ctx_pending - why g's blocking calls fail now: 0, -ECANCELED, -ETIME. By g, or on its lane. */
static inline int ctx_pending(const struct g *g)
{
	return likely(!g->ctx) ? 0 : __ctx_err(g->ctx);
}

/* ctx_self_err - ctx_pending() of the running g; 0 outside of one. */
int ctx_self_err(void);

/* ctx_park - sched_park() that in->cut can end. */
void ctx_park(bool (*commit)(struct g *g, void *arg), void *arg, enum wait_reason why,
	      struct g_intr *in);

/* ctx_sleep - sched_sleep() of a g that is in a ctx: 0; -ECANCELED; -ETIME. */
int ctx_sleep(struct g *g, int64_t ns);

/* ctx_cut_msg - g->cut.fn. */
void ctx_cut_msg(struct lane *l, struct lane_msg *m);

/* ctx_g_exit - g, which was in a ctx once, ends: it leaves it now if it has not, and waits for a
 * cut that is on its way to it. ctx_g_drop - and with its lane, wherever it stands;
 * lane_destroy(). */
void ctx_g_exit(struct g *g);
void ctx_g_drop(struct g *g);
/* ctx_lane_end - of what l's inbox still holds, free the ctxs that came home and the calls; the
 * rest is left behind. lane_destroy(). */
void ctx_lane_end(struct lane *l);

#endif
