/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a channel: one try of each operation, which chan.c and chan_select.c wrap into
 * waiting. With the channel's lock, if it is shared.
 */
#ifndef POLLER_CHAN_H
#define POLLER_CHAN_H

#include <errno.h>
#include <string.h>

#include <parklane/chan.h>

#include "poller/spin.h"
#include "poller/waitq.h"

struct pl_chan {
	struct lane *lane; /* (c) whose it is; NULL: shared */
	uint32_t lock;     /* shared only; all below is under it, or (o) */
	uint32_t closed;
	size_t elem_size; /* (c) */
	size_t cap;       /* (c) */
	size_t n, head;   /* elements in buf, and where the oldest is */
	struct pl_waitq recvq, sendq;
	uint32_t refs; /* (a) the users'; those who wait have none */
	uint32_t gone; /* out of their queue, claimed by others, and still to chan_leave() */
	bool orphan;   /* refs came to 0: who leaves last frees it */
	char buf[] ALIGNED(16);
};

static inline void chan_lock(struct pl_chan *c)
{
	if (!c->lane)
		spin_lock(&c->lock);
}

static inline void chan_unlock(struct pl_chan *c)
{
	if (!c->lane)
		spin_unlock(&c->lock);
}

/* The common sizes, a pointer and an int, without a call: that took 1.5 ns off a value. */
static inline void chan_copy(const struct pl_chan *c, void *dst, const void *src)
{
	if (likely(c->elem_size == sizeof(uint64_t)))
		memcpy(dst, src, sizeof(uint64_t));
	else if (c->elem_size == sizeof(uint32_t))
		memcpy(dst, src, sizeof(uint32_t));
	else if (c->elem_size)
		memcpy(dst, src, c->elem_size);
}

static inline void *chan_slot(struct pl_chan *c, size_t i)
{
	i += c->head;
	return c->buf + (i < c->cap ? i : i - c->cap) * c->elem_size;
}

/* chan_try_send - 0, -EPIPE, -EAGAIN; *ret_wake: sched_ready() it after the unlock, or NULL. */
static inline int chan_try_send(struct pl_chan *c, const void *elem, struct g **ret_wake)
{
	struct pl_waiter *w;

	*ret_wake = NULL;
	if (unlikely(c->closed))
		return -EPIPE;
	w = waitq_take(&c->recvq, &c->gone);
	if (w) {
		if (w->elem)
			chan_copy(c, w->elem, elem);
		w->ok = true;
		*ret_wake = w->wait->g;
		return 0;
	}
	if (c->n == c->cap)
		return -EAGAIN;
	chan_copy(c, chan_slot(c, c->n), elem);
	WRITE_ONCE(c->n, c->n + 1);
	return 0;
}

/* chan_pop - the oldest of the buffer; the oldest parked sender's takes its place. */
static inline void chan_pop(struct pl_chan *c, void *elem, struct g **ret_wake)
{
	struct pl_waiter *w = waitq_take(&c->sendq, &c->gone);

	if (elem)
		chan_copy(c, elem, chan_slot(c, 0));
	if (w) {
		chan_copy(c, chan_slot(c, 0), w->elem);
		w->ok = true;
		*ret_wake = w->wait->g;
	} else {
		WRITE_ONCE(c->n, c->n - 1);
	}
	if (++c->head == c->cap)
		c->head = 0;
}

/* chan_try_recv - 1, 0, -EAGAIN; *ret_wake as above. */
static inline int chan_try_recv(struct pl_chan *c, void *elem, struct g **ret_wake)
{
	struct pl_waiter *w;

	*ret_wake = NULL;
	if (c->n) {
		chan_pop(c, elem, ret_wake);
		return 1;
	}
	w = waitq_take(&c->sendq, &c->gone);
	if (w) {
		if (elem)
			chan_copy(c, elem, w->elem);
		w->ok = true;
		*ret_wake = w->wait->g;
		return 1;
	}
	if (likely(!c->closed))
		return -EAGAIN;
	if (elem)
		memset(elem, 0, c->elem_size);
	return 0;
}

/*
 * __chan_wait_local - park in a queue of c, which is the lane's own, until a partner, a close or
 * the lane's end: what pl_chan_send() or pl_chan_recv() then returns. g is the running g.
 *
 * pl_chan_wait - the same, but where the machine's code has it (switch_x86_64.S) it goes back to
 * the caller by a jump instead of a return. Who sends and who receives wait at different places, so
 * the return that ends a wait is always predicted to be the other's, 6 ns of 27 for a value (bench
 * park); an indirect jump is predicted by what came before, and right. It leaves one stale entry
 * in the return predictor, which after a switch holds the other goroutine's callers anyway. There
 * is one of it, for both: with a name for each, __chan_wait_local()'s own return would be the one
 * that is predicted wrong. Backtraces show it in the place of pl_chan_send() and pl_chan_recv(),
 * which end in a tail call of it; which of them it was says the wait reason.
 */
int __chan_wait_local(struct pl_chan *c, void *elem, struct g *g, bool send);
int pl_chan_wait(struct pl_chan *c, void *elem, struct g *g, bool send);

/*
 * chan_leave - give the place of w back, which stood in q of c and was not taken from there: it was
 * claimed by its ctx, or for another case of its select. c may be gone after that. Who was taken by
 * a partner or a close must not look at c again: that one may have put the last reference since.
 */
void chan_leave(struct pl_chan *c, struct pl_waitq *q, struct pl_waiter *w);

/* chan_lacks - is elem, of a send to c (NULL: is never ready), no element? */
static inline bool chan_lacks(const struct pl_chan *c, const void *elem)
{
	return !elem && c && c->elem_size;
}

/* chan_foreign - may the lane l (NULL: none) not touch c? */
static inline bool chan_foreign(const struct pl_chan *c, const struct lane *l)
{
	return c->lane && c->lane != l;
}

#endif
