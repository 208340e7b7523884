/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cancellation contexts. A tree has one lock, its root's: it guards who is below whom, which gs
 * are in which ctx, and the end of a ctx. It is taken before all other locks (a cut takes that
 * of what the g waits on) and never inside one.
 */
#include "poller/ctx.h"

#include <errno.h>
#include <stdlib.h>

#include "poller/lane_call.h"
#include "poller/lane_int.h"
#include "poller/spin.h"
#include "stack/base/bug.h"

struct pl_ctx {
	int err;                            /* (a) 0, then once and for all why it ended */
	int cause;                          /* (l) not changed once err is set */
	uint32_t refs;                      /* (a) owners, children, gs in it */
	uint32_t lock;                      /* the root's is the tree's */
	struct pl_ctx *parent;              /* (c) _hold by us; NULL: the background */
	struct pl_ctx *root;                /* (c) */
	uint64_t deadline;                  /* (c) absolute ns, 0 none */
	struct lane *home;                  /* (c) whose heap `timer` is for; NULL no timer */
	struct gtimer timer;                /* (o) home's */
	struct lane_msg bye;                /* (r:inbox) the last reference went on another lane */
	struct list_head children, sibling; /* (l) */
	struct list_head bound;             /* (l) g.ctx_link */
};

int __ctx_err(const struct pl_ctx *c)
{
	return __atomic_load_n(&c->err, __ATOMIC_SEQ_CST);
}

/* ---- the end ---- */

/* cut_here - on g's lane, which does not run g right now. */
static void cut_here(struct g *g)
{
	if (g->state == G_WAITING && g->intr)
		g->intr->cut(g->intr);
}

void ctx_cut_msg(struct lane *l, struct lane_msg *m)
{
	struct g *g = container_of(m, struct g, cut);

	(void)l;
	/* first: who ends a ctx from here on sends again */
	__atomic_store_n(&g->cutting, 0, __ATOMIC_SEQ_CST);
	if (ctx_pending(g))
		cut_here(g);
}

/* cut - with the tree's lock, so that g cannot leave, nor its lane end. */
static void cut(struct g *g)
{
	struct lane *l = g->sched->lane;

	if (l == lane_self())
		cut_here(g);
	else if (!__atomic_exchange_n(&g->cutting, 1, __ATOMIC_SEQ_CST))
		lane_post(l, &g->cut);
}

static struct g *bound_g(struct list_head *h)
{
	return list_entry(h, struct g, ctx_link);
}

/* end_one - false: it had ended before, and so has all below it. */
static bool end_one(struct pl_ctx *c, int err, int cause)
{
	if (READ_ONCE(c->err))
		return false;
	c->cause = cause ? cause : err;
	__atomic_store_n(&c->err, err, __ATOMIC_SEQ_CST);
	for (struct list_head *h = c->bound.next; h != &c->bound; h = h->next)
		cut(bound_g(h));
	return true;
}

/* after - the next of top's tree in preorder, c's children left out unless `down`; NULL: all
 * were visited. */
static struct pl_ctx *after(struct pl_ctx *c, const struct pl_ctx *top, bool down)
{
	if (down && !list_empty(&c->children))
		return list_first_entry(&c->children, struct pl_ctx, sibling);
	for (; c != top; c = c->parent)
		if (c->sibling.next != &c->parent->children)
			return list_entry(c->sibling.next, struct pl_ctx, sibling);
	return NULL;
}

static void ctx_end(struct pl_ctx *top, int err, int cause)
{
	struct pl_ctx *c = top;

	spin_lock(&top->root->lock);
	while (c)
		c = after(c, top, end_one(c, err, cause));
	spin_unlock(&top->root->lock);
}

static void ctx_expire(struct gtimer *t, uint32_t seq, uint64_t now)
{
	(void)seq;
	(void)now;
	ctx_end(t->arg, -ETIME, 0);
}

PL_API void pl_ctx_cancel(struct pl_ctx *ctx, int cause)
{
	if (ctx && !__ctx_err(ctx))
		ctx_end(ctx, -ECANCELED, cause);
}

/* ---- life ---- */

/* ctx_free - on home, if it has one. Returns the parent, whose reference the caller puts. */
static struct pl_ctx *ctx_free(struct pl_ctx *c)
{
	struct pl_ctx *parent = c->parent;

	if (c->home) {
		gtimer_remove(&c->home->timers, &c->timer);
		gtimer_unreserve(&c->home->timers, 1);
	}
	if (parent) {
		spin_lock(&c->root->lock);
		list_del(&c->sibling);
		spin_unlock(&c->root->lock);
	}
	free(c);
	return parent;
}

/* reaches - may the thread of lane `here`, or NULL, take c's timer out of its heap? Also while its
 * group ends: no lane of it turns then, and their ends are one after the other. */
static bool reaches(const struct lane *here, const struct pl_ctx *c)
{
	if (!c->home || c->home == here)
		return true;
	return here && here->ending && here->group && here->group == c->home->group;
}

/* put_on - by the thread of lane `here`, or NULL. */
static void put_on(struct pl_ctx *ctx, const struct lane *here)
{
	while (ctx && __atomic_sub_fetch(&ctx->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		if (!reaches(here, ctx)) {
			lane_post(ctx->home, &ctx->bye);
			return;
		}
		ctx = ctx_free(ctx);
	}
}

static void bye(struct lane *l, struct lane_msg *m)
{
	put_on(ctx_free(container_of(m, struct pl_ctx, bye)), l);
}

void ctx_lane_end(struct lane *l)
{
	struct mnode *n = mlist_take(&l->inbox);

	while (n) {
		struct lane_msg *m = container_of(n, struct lane_msg, node);

		n = n->next;
		if (m->fn == bye)
			bye(l, m);
		else
			(void)lane_call_end(m);
	}
}

PL_API void pl_ctx_put(struct pl_ctx *ctx)
{
	put_on(ctx, lane_self());
}

PL_API struct pl_ctx *pl_ctx_hold(struct pl_ctx *ctx)
{
	if (ctx)
		__atomic_add_fetch(&ctx->refs, 1, __ATOMIC_RELAXED);
	return ctx;
}

static struct pl_ctx *ctx_new(struct pl_ctx *parent)
{
	struct pl_ctx *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->refs = 1;
	c->bye.fn = bye;
	c->timer.fn = ctx_expire;
	c->timer.arg = c;
	list_init(&c->children);
	list_init(&c->sibling);
	list_init(&c->bound);
	c->parent = pl_ctx_hold(parent);
	c->root = parent ? parent->root : c;
	c->deadline = parent ? parent->deadline : 0;
	return c;
}

/* ctx_join - below its parent from now on: the parent's end reaches it, or has already. */
static void ctx_join(struct pl_ctx *c)
{
	if (!c->parent)
		return;
	spin_lock(&c->root->lock);
	c->cause = c->parent->cause;
	WRITE_ONCE(c->err, c->parent->err);
	list_add_tail(&c->sibling, &c->parent->children);
	spin_unlock(&c->root->lock);
}

PL_API int pl_ctx_with_cancel(struct pl_ctx *parent, struct pl_ctx **ret_ctx)
{
	struct pl_ctx *c;

	if (!ret_ctx)
		return -EINVAL;
	c = ctx_new(parent);
	if (!c)
		return -ENOMEM;
	ctx_join(c);
	*ret_ctx = c;
	return 0;
}

/* ctx_arm - an earlier deadline than the parent's: a timer on this lane, or the end at once. */
static int ctx_arm(struct pl_ctx *c, struct lane *l, uint64_t deadline)
{
	c->deadline = deadline;
	if (gtimer_reserve(&l->timers, 1))
		return -ENOMEM;
	c->home = l;
	if (deadline > lane_now(l))
		BUG_ON(gtimer_set(&l->timers, &c->timer, deadline, 0) != 0);
	return 0;
}

PL_API int pl_ctx_with_deadline(struct pl_ctx *parent, uint64_t deadline, struct pl_ctx **ret_ctx)
{
	struct lane *l = lane_self();
	struct pl_ctx *c;

	if (!ret_ctx)
		return -EINVAL;
	if (!l)
		return -EXDEV;
	c = ctx_new(parent);
	if (!c)
		return -ENOMEM;
	if (deadline && (!c->deadline || deadline < c->deadline) && ctx_arm(c, l, deadline)) {
		free(c);
		pl_ctx_put(parent);
		return -ENOMEM;
	}
	ctx_join(c);
	if (c->deadline && c->deadline <= lane_now(l))
		ctx_end(c, -ETIME, 0);
	*ret_ctx = c;
	return 0;
}

/* ---- looking in ---- */

PL_API int pl_ctx_err(const struct pl_ctx *ctx)
{
	return ctx ? __ctx_err(ctx) : 0;
}

PL_API int pl_ctx_cause(const struct pl_ctx *ctx)
{
	/* err is set after cause, and cause not changed after that */
	return pl_ctx_err(ctx) ? ctx->cause : 0;
}

PL_API uint64_t pl_ctx_deadline(const struct pl_ctx *ctx)
{
	return ctx ? ctx->deadline : 0;
}

/* ---- goroutines in it ---- */

static struct g *self(void)
{
	struct g *g = sched_self();

	if (unlikely(!g))
		bug_misuse("pl_ctx_enter, pl_ctx_leave or pl_ctx_self: called outside of a "
			   "goroutine");
	return g;
}

static void unbind(struct g *g)
{
	if (!g->ctx)
		return;
	spin_lock(&g->ctx->root->lock);
	list_del(&g->ctx_link);
	spin_unlock(&g->ctx->root->lock);
	g->ctx = NULL;
}

/* bind - what is to be reached by its lane must stay on it. */
static void bind(struct g *g, struct pl_ctx *c)
{
	if (!c)
		return;
	if (g->movable)
		movable_bind(g);
	spin_lock(&c->root->lock);
	list_add_tail(&g->ctx_link, &c->bound);
	spin_unlock(&c->root->lock);
	g->ctx = c;
	g->in_ctx = true;
}

PL_API struct pl_ctx *pl_ctx_enter(struct pl_ctx *ctx)
{
	struct g *g = self();
	struct pl_ctx *outer = g->ctx;

	unbind(g);
	bind(g, pl_ctx_hold(ctx));
	g->nr_entered++;
	return outer;
}

PL_API void pl_ctx_leave(struct pl_ctx *outer)
{
	struct g *g = self();
	struct pl_ctx *inner = g->ctx;

	/* one more would take a reference of `outer` that nobody gave */
	if (unlikely(!g->nr_entered--))
		bug_misuse("pl_ctx_leave: the goroutine has left all that it entered");
	unbind(g);
	bind(g, outer);
	pl_ctx_put(inner);
}

PL_API struct pl_ctx *pl_ctx_self(void)
{
	return self()->ctx;
}

void ctx_g_exit(struct g *g)
{
	struct pl_ctx *c = g->ctx;

	unbind(g);
	pl_ctx_put(c);
	/* Its next life may be on another lane, and none sends a second one meanwhile. The message
	 * is in this lane's inbox: the next turn runs it. */
	while (__atomic_load_n(&g->cutting, __ATOMIC_ACQUIRE))
		__sched_yield(g->sched);
	g->in_ctx = false;
	g->nr_entered = 0;
}

void ctx_g_drop(struct g *g)
{
	struct pl_ctx *c = g->ctx;

	unbind(g);
	put_on(c, g->home->lane);
	/* also of one that was woken and did not run: a select still stands on its other
	 * channels */
	if (g->intr && g->intr->drop)
		g->intr->drop(g->intr);
}

struct ctx_start {
	struct pl_ctx *ctx;
	void (*fn)(void *arg);
	void *arg;
};

static void start_in_ctx(void *arg)
{
	struct ctx_start st = *(struct ctx_start *)arg;

	free(arg);
	/* the starter's reference becomes the g's, which ctx_g_exit() puts */
	bind(self(), st.ctx);
	st.fn(st.arg);
}

PL_API int pl_go_ctx_named(struct pl_ctx *ctx, void (*fn)(void *arg), void *arg, const char *name)
{
	struct ctx_start *st;
	int err;

	if (!ctx || !fn)
		return pl_go_named(fn, arg, name);
	st = malloc(sizeof(*st));
	if (!st)
		return -ENOMEM;
	*st = (struct ctx_start){pl_ctx_hold(ctx), fn, arg};
	err = pl_go_named(start_in_ctx, st, name);
	if (err) {
		free(st);
		pl_ctx_put(ctx);
	}
	return err;
}

/* ---- waiting in it ---- */

int ctx_self_err(void)
{
	const struct g *g = sched_self();

	return g ? ctx_pending(g) : 0;
}

void ctx_park(bool (*commit)(struct g *g, void *arg), void *arg, enum wait_reason why,
	      struct g_intr *in)
{
	struct g *g = self();

	g->intr = in;
	__sched_park(g->sched, commit, arg, why);
	g->intr = NULL;
}

struct sleep_intr {
	struct g_intr in;
	struct g *g;
	bool cut;
};

static void sleep_cut(struct g_intr *in)
{
	struct sleep_intr *si = container_of(in, struct sleep_intr, in);

	si->cut = true;
	/* at once: g may end here and go home, out of this heap's reach */
	gtimer_remove(si->g->sched->timers, &si->g->sleep);
	__sched_ready(si->g->sched, si->g);
}

int ctx_sleep(struct g *g, int64_t ns)
{
	struct sleep_intr si = {{.cut = sleep_cut}, g, false};
	int err = ctx_pending(g);

	if (err)
		return err;
	g->intr = &si.in;
	sched_sleep(ns);
	g->intr = NULL;
	return si.cut ? ctx_pending(g) : 0;
}
