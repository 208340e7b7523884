/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Select: one of several channel operations. All shared channels of the cases are locked at
 * once, in the order of their addresses, so that the choice among the ready ones is fair and the
 * commit (waitq.h) can queue the g everywhere before anybody sees it anywhere.
 */
#include "poller/chan.h"
#include "poller/lane_int.h"

struct select {
	struct wait wt;
	struct pl_select_case *cases;
	unsigned n;
	bool local; /* some channel is of this lane alone */
	unsigned nr_lock;
	struct pl_chan **lock; /* the shared ones, ascending, each once; room for n */
	struct pl_waiter *w;   /* one per case */
	int chosen;            /* by a try, or -EAGAIN */
};

static void select_lock(const struct select *s)
{
	for (unsigned i = 0; i < s->nr_lock; i++)
		spin_lock(&s->lock[i]->lock);
}

static void select_unlock(const struct select *s)
{
	for (unsigned i = s->nr_lock; i-- > 0;)
		spin_unlock(&s->lock[i]->lock);
}

/* lock_order - insertion by address; the result depends on no address, only who waits for whom. */
static void lock_order(struct select *s, struct pl_chan *c)
{
	unsigned i = s->nr_lock;

	for (unsigned j = 0; j < s->nr_lock; j++)
		if (s->lock[j] == c)
			return;
	for (; i > 0 && (uintptr_t)s->lock[i - 1] > (uintptr_t)c; i--)
		s->lock[i] = s->lock[i - 1];
	s->lock[i] = c;
	s->nr_lock++;
}

static bool case_ready(const struct pl_select_case *k)
{
	struct pl_chan *c = k->chan;

	if (!c)
		return false;
	if (k->op == PL_SELECT_SEND)
		return c->closed || c->n < c->cap || waitq_first(&c->recvq, &c->gone);
	return c->n || c->closed || waitq_first(&c->sendq, &c->gone);
}

static int case_try(struct pl_select_case *k, struct g **ret_wake)
{
	if (k->op == PL_SELECT_SEND)
		return chan_try_send(k->chan, k->elem, ret_wake);
	return chan_try_recv(k->chan, k->elem, ret_wake);
}

/*
 * select_try - with the locks. The chosen case or -EAGAIN. A waiter that made a case look ready
 * may be claimed by another lane (it selects too) before we do: look again then, it is out of
 * the queue.
 */
static int select_try(struct select *s, struct lane *l, struct g **ret_wake)
{
	unsigned char ready[PL_SELECT_MAX];
	unsigned nr, pick;

	for (;;) {
		nr = 0;
		for (unsigned i = 0; i < s->n; i++)
			if (case_ready(&s->cases[i]))
				ready[nr++] = (unsigned char)i;
		if (nr == 0)
			return -EAGAIN;
		pick = ready[nr == 1 ? 0 : lane_random(l, nr)];
		s->cases[pick].ret = case_try(&s->cases[pick], ret_wake);
		if (likely(s->cases[pick].ret != -EAGAIN))
			return (int)pick;
	}
}

static struct pl_waitq *case_queue(const struct pl_select_case *k)
{
	return k->op == PL_SELECT_SEND ? &k->chan->sendq : &k->chan->recvq;
}

static void select_queue(struct select *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		s->w[i] = (struct pl_waiter){.wait = &s->wt, .elem = s->cases[i].elem};
		if (s->cases[i].chan)
			waitq_push(case_queue(&s->cases[i]), &s->w[i]);
	}
}

/* select_commit - R4, off the stack of g. */
static bool select_commit(struct g *g, void *arg)
{
	struct select *s = arg, mine;
	struct pl_chan *lock[PL_SELECT_MAX];
	struct g *wake = NULL;
	bool park;

	select_lock(s);
	s->chosen = select_try(s, g->sched->lane, &wake);
	park = s->chosen == -EAGAIN;
	if (park)
		select_queue(s);
	/* After the first unlock g may be woken, and its stack, where s lies, be in use again. */
	mine = (struct select){.lock = lock, .nr_lock = s->nr_lock};
	memcpy(lock, s->lock, s->nr_lock * sizeof(struct pl_chan *));
	select_unlock(&mine);
	if (wake)
		sched_ready(wake);
	return park;
}

/* select_leave - all queues but the one that it was taken from: that channel may be gone. */
static void select_leave(struct select *s, const struct pl_waiter *won)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->cases[i].chan && &s->w[i] != won)
			chan_leave(s->cases[i].chan, case_queue(&s->cases[i]), &s->w[i]);
}

static void select_drop(struct g_intr *in)
{
	struct select *s = container_of(in, struct select, wt.intr);

	/* else the commit chose, and it stands in no queue */
	if (s->chosen == -EAGAIN)
		select_leave(s, wait_drop(&s->wt));
}

static int select_woken(struct select *s)
{
	struct pl_waiter *won = s->wt.won;
	int ret;

	select_leave(s, won);
	if (!won)
		return ctx_pending(s->wt.g);
	ret = (int)(won - s->w);
	if (s->cases[ret].op == PL_SELECT_SEND)
		s->cases[ret].ret = won->ok ? 0 : -EPIPE;
	else
		s->cases[ret].ret = won->ok ? 1 : 0;
	return ret;
}

static int select_wait(struct select *s, struct g *g)
{
	struct pl_waiter w[s->n + 1]; /* PL_SELECT_MAX bounds it */

	if (unlikely(g->movable) && s->local)
		movable_bind(g);
	s->w = w;
	wait_init(&s->wt, g, s->nr_lock != 0);
	s->wt.intr.drop = select_drop;
	s->chosen = -EAGAIN;
	if (s->nr_lock == 0)
		select_queue(s);
	wait_park(&s->wt, s->nr_lock ? select_commit : NULL, s, WAIT_SELECT);
	return s->chosen == -EAGAIN ? select_woken(s) : s->chosen;
}

PL_API int pl_select(struct pl_select_case *cases, unsigned n, bool or_default)
{
	struct pl_chan *lock[PL_SELECT_MAX];
	struct select s = {.cases = cases, .n = n, .lock = lock};
	struct lane *l = lane_self();
	struct g *g = l ? l->sched.cur : NULL, *wake = NULL;
	int ret;

	if (n > PL_SELECT_MAX || (!cases && n))
		return -EINVAL;
	if (!g)
		return -EXDEV;
	ret = or_default ? 0 : ctx_pending(g);
	if (ret)
		return ret;
	for (unsigned i = 0; i < n; i++) {
		if ((unsigned)cases[i].op > PL_SELECT_RECV)
			return -EINVAL;
		if (!cases[i].chan)
			continue;
		if (cases[i].op == PL_SELECT_SEND && chan_lacks(cases[i].chan, cases[i].elem))
			return -EINVAL;
		if (chan_foreign(cases[i].chan, l))
			return -EXDEV;
		if (cases[i].chan->lane)
			s.local = true;
		else
			lock_order(&s, cases[i].chan);
	}
	select_lock(&s);
	ret = select_try(&s, l, &wake);
	select_unlock(&s);
	if (wake)
		sched_ready(wake);
	if (ret != -EAGAIN || or_default)
		return ret;
	return select_wait(&s, g);
}
