/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Channels: make, send, receive, close. A value goes straight from the sender's into the
 * receiver's memory where one of them is parked. On a local channel all accesses are plain, and
 * the waiter queues itself before it parks; on a shared one in its park's commit, after one more
 * try there (waitq.h).
 */
#include "poller/chan.h"

#include <stdlib.h>

#include "poller/lane_int.h"
#include "stack/base/bug.h"

/* ---- life ---- */

PL_API int pl_chan_make(size_t elem_size, size_t cap, unsigned flags, struct pl_chan **ret_chan)
{
	struct lane *l = lane_self();
	struct pl_chan *c;
	size_t size;

	if (!ret_chan || (flags & ~PL_CHAN_SHARED))
		return -EINVAL;
	if (!(flags & PL_CHAN_SHARED) && !l)
		return -EXDEV;
	if (elem_size > PL_CHAN_BYTES_MAX || cap > PL_CHAN_BYTES_MAX ||
	    (elem_size && cap > PL_CHAN_BYTES_MAX / elem_size))
		return -EINVAL;
	size = sizeof(*c) + elem_size * cap;
	c = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!c)
		return -ENOMEM;
	*c = (struct pl_chan){
		.lane = flags & PL_CHAN_SHARED ? NULL : l,
		.elem_size = elem_size,
		.cap = cap,
		.refs = 1,
	};
	*ret_chan = c;
	return 0;
}

PL_API struct pl_chan *pl_chan_hold(struct pl_chan *c)
{
	if (c)
		__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

/* Somebody stands in a queue of c, or has still to leave it. With the lock. */
static bool chan_in_use(const struct pl_chan *c)
{
	return c->recvq.head || c->sendq.head || c->gone;
}

/* all_leave - is each that stands in q on its way out: claimed, or in a ctx that ended, be it that
 * the cut is on its way to another lane? While w is in the queue its g cannot leave the ctx. */
static bool all_leave(const struct pl_waitq *q)
{
	for (const struct pl_waiter *w = q->head; w; w = w->next)
		if (!__atomic_load_n(&w->wait->claimed, __ATOMIC_ACQUIRE) &&
		    !ctx_pending(w->wait->g))
			return false;
	return true;
}

PL_API void pl_chan_put(struct pl_chan *c)
{
	bool orphan;

	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
		return;
	chan_lock(c);
	if (!all_leave(&c->recvq) || !all_leave(&c->sendq))
		bug_misuse("pl_chan_put: goroutines wait on the channel that is freed");
	orphan = c->orphan = chan_in_use(c);
	chan_unlock(c);
	if (!orphan)
		free(c);
}

void chan_leave(struct pl_chan *c, struct pl_waitq *q, struct pl_waiter *w)
{
	bool last;

	chan_lock(c);
	if (w->queued)
		waitq_remove(q, w);
	else
		c->gone--;
	last = c->orphan && !chan_in_use(c);
	chan_unlock(c);
	if (last)
		free(c);
}

PL_API size_t pl_chan_len(const struct pl_chan *c)
{
	return c ? READ_ONCE(c->n) : 0;
}

PL_API size_t pl_chan_cap(const struct pl_chan *c)
{
	return c ? c->cap : 0;
}

/* ---- waiting ---- */

/* One operation that waits on one channel. */
struct chan_wait {
	struct wait wt;
	struct pl_waiter w;
	struct pl_chan *c;
	bool send;
	int ret; /* shared: of the commit's try; -EAGAIN: it stands in the queue */
};

static struct pl_waitq *chan_queue(struct pl_chan *c, bool send)
{
	return send ? &c->sendq : &c->recvq;
}

static void chan_drop(struct g_intr *in)
{
	struct chan_wait *cw = container_of(in, struct chan_wait, wt.intr);

	/* else its commit's try did what it waited for, or a partner: then c may be gone */
	if ((!cw->wt.shared || cw->ret == -EAGAIN) && !wait_drop(&cw->wt))
		chan_leave(cw->c, chan_queue(cw->c, cw->send), &cw->w);
}

/* chan_woken - what the call returns: the operation was done, the channel closed, or the ctx
 * ended; then the place in the queue is given back. */
static int chan_woken(struct chan_wait *cw)
{
	if (likely(cw->wt.won)) {
		if (likely(cw->w.ok))
			return cw->send ? 0 : 1;
		return cw->send ? -EPIPE : 0;
	}
	chan_leave(cw->c, chan_queue(cw->c, cw->send), &cw->w);
	return ctx_pending(cw->wt.g);
}

/* Nothing comes between the try before and this park. */
int __chan_wait_local(struct pl_chan *c, void *elem, struct g *g, bool send)
{
	struct chan_wait cw; /* field by field: clearing all of it first is seen in bench park */

	if (unlikely(g->movable))
		movable_bind(g);
	cw.c = c;
	cw.send = send;
	cw.w.wait = &cw.wt;
	cw.w.elem = elem;
	cw.w.ok = false;
	cw.wt.g = g;
	cw.wt.won = NULL;
	cw.wt.claimed = 0;
	cw.wt.shared = false;
	cw.wt.cut = false;
	cw.wt.intr.cut = wait_cut;
	cw.wt.intr.drop = chan_drop;
	waitq_push(chan_queue(c, send), &cw.w);
	wait_park(&cw.wt, NULL, NULL, send ? WAIT_CHAN_SEND : WAIT_CHAN_RECV);
	return chan_woken(&cw);
}

#if !defined(__x86_64__)
int pl_chan_wait(struct pl_chan *c, void *elem, struct g *g, bool send)
{
	return NOT_LAST(__chan_wait_local(c, elem, g, send));
}
#endif

static int chan_try(struct pl_chan *c, void *elem, bool send, struct g **ret_wake)
{
	return send ? chan_try_send(c, elem, ret_wake) : chan_try_recv(c, elem, ret_wake);
}

/* chan_commit - R4, off the stack of g. */
static bool chan_commit(struct g *g, void *arg)
{
	struct chan_wait *cw = arg;
	struct pl_chan *c = cw->c;
	struct g *wake;

	(void)g;
	spin_lock(&c->lock);
	cw->ret = chan_try(c, cw->w.elem, cw->send, &wake);
	if (cw->ret == -EAGAIN) {
		waitq_push(chan_queue(c, cw->send), &cw->w);
		spin_unlock(&c->lock);
		return true; /* cw may be gone by now */
	}
	spin_unlock(&c->lock);
	if (wake)
		sched_ready(wake);
	return false;
}

static int chan_wait_shared(struct pl_chan *c, void *elem, struct g *g, bool send)
{
	struct chan_wait cw = {
		.c = c, .send = send, .w = {.wait = &cw.wt, .elem = elem}, .ret = -EAGAIN};

	wait_init(&cw.wt, g, true);
	cw.wt.intr.drop = chan_drop;
	wait_park(&cw.wt, chan_commit, &cw, send ? WAIT_CHAN_SEND : WAIT_CHAN_RECV);
	return cw.ret == -EAGAIN ? chan_woken(&cw) : cw.ret;
}

/* chan_never - a NULL channel. */
static int chan_never(struct g *g, bool send)
{
	struct wait wt;

	wait_init(&wt, g, false);
	wait_park(&wt, NULL, NULL, send ? WAIT_CHAN_SEND : WAIT_CHAN_RECV);
	return ctx_pending(g);
}

/* chan_slow - all but an operation on a channel of this lane, in the background. */
static NOINLINE int chan_slow(struct pl_chan *c, void *elem, bool send, bool may_wait)
{
	struct lane *l = lane_self();
	struct g *g = l ? l->sched.cur : NULL, *wake;
	int ret = g ? ctx_pending(g) : 0;

	if (send && chan_lacks(c, elem))
		return -EINVAL;
	if (ret && may_wait)
		return ret;
	if (c && chan_foreign(c, l))
		return -EXDEV;
	ret = -EAGAIN;
	if (c) {
		chan_lock(c);
		ret = chan_try(c, elem, send, &wake);
		chan_unlock(c);
		if (ret != -EAGAIN && wake)
			sched_ready(wake);
	}
	if (ret != -EAGAIN || !may_wait)
		return ret;
	if (!g)
		return -EXDEV;
	if (!c)
		return chan_never(g, send);
	return c->lane ? __chan_wait_local(c, elem, g, send) : chan_wait_shared(c, elem, g, send);
}

/* ---- send and receive ---- */

PL_API int pl_chan_send(struct pl_chan *c, const void *elem)
{
	struct lane *l = lane_self();
	struct g *g, *wake;
	int ret;

	if (unlikely(!c || !l || c->lane != l || !l->sched.cur || l->sched.cur->ctx ||
		     chan_lacks(c, elem)))
		return NOT_LAST(chan_slow(c, (void *)elem, true, true));
	g = l->sched.cur;
	ret = chan_try_send(c, elem, &wake);
	if (ret == -EAGAIN)
		return pl_chan_wait(c, (void *)elem, g, true);
	if (wake)
		__sched_ready(&l->sched, wake);
	return ret;
}

PL_API int pl_chan_recv(struct pl_chan *c, void *elem)
{
	struct lane *l = lane_self();
	struct g *g, *wake;
	int ret;

	if (unlikely(!c || !l || c->lane != l || !l->sched.cur || l->sched.cur->ctx))
		return NOT_LAST(chan_slow(c, elem, false, true));
	g = l->sched.cur;
	ret = chan_try_recv(c, elem, &wake);
	if (ret == -EAGAIN)
		return pl_chan_wait(c, elem, g, false);
	if (wake)
		__sched_ready(&l->sched, wake);
	return ret;
}

PL_API int pl_chan_try_send(struct pl_chan *c, const void *elem)
{
	return chan_slow(c, (void *)elem, true, false);
}

PL_API int pl_chan_try_recv(struct pl_chan *c, void *elem)
{
	return chan_slow(c, elem, false, false);
}

/* take_all - claim all waiters of q, oldest first, at the end of *tail. */
static void take_all(struct pl_chan *c, struct pl_waitq *q, bool zero, struct pl_waiter ***tail)
{
	struct pl_waiter *w;

	while ((w = waitq_take(q, &c->gone))) {
		if (zero && w->elem)
			memset(w->elem, 0, c->elem_size);
		w->next = NULL;
		**tail = w;
		*tail = &w->next;
	}
}

PL_API int pl_chan_close(struct pl_chan *c)
{
	struct pl_waiter *woken = NULL, **tail = &woken;

	if (!c)
		return -EINVAL;
	if (chan_foreign(c, lane_self()))
		return -EXDEV;
	chan_lock(c);
	if (c->closed) {
		chan_unlock(c);
		return -EBADF;
	}
	c->closed = 1;
	take_all(c, &c->recvq, true, &tail);
	take_all(c, &c->sendq, false, &tail);
	chan_unlock(c);
	waitq_ready_all(woken);
	return 0;
}
