/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who waits on a channel, a mutex, a wait group: FIFO queues whose entries lie on the waiters'
 * own stacks. A wait may stand in several queues (select) and may be ended by the goroutine's
 * ctx: who claims it first wakes it, and its g takes it out of the other queues itself.
 *
 * The rule against lost wakeups is R4's: an object of several lanes queues a waiter in its
 * park's commit only, off its stack, under the object's lock, after looking at the object once
 * more. So whoever finds a waiter in a queue may claim it and call sched_ready(). On an object
 * of one lane nothing comes between the look and the park, so that no commit is needed.
 */
#ifndef POLLER_WAITQ_H
#define POLLER_WAITQ_H

#include <stdbool.h>
#include <stdint.h>

#include <parklane/sync.h>

#include "poller/ctx.h"
#include "poller/sched_int.h"
#include "stack/base/compiler.h"

/* One wait of one g. */
struct wait {
	struct g *g;           /* (c) */
	struct pl_waiter *won; /* (a) written by who claimed it; NULL: the ctx did */
	uint32_t claimed;      /* (a) 0, then 1 for ever */
	bool shared;           /* (c) several lanes may claim it: by a locked exchange */
	bool cut;              /* (o) the ctx claimed it */
	struct g_intr intr;
};

/* Its place in one queue; fields under the lock of that queue's object. */
struct pl_waiter {
	struct pl_waiter *next, *prev;
	struct wait *wait; /* (c) */
	void *elem;        /* (c) channels: to copy from or to; NULL nothing */
	bool queued;
	bool ok;     /* set by who claims: the operation was done; else the object was closed */
	bool writer; /* (c) rwmutex */
};

/* wait_cut - g_intr.cut of a wait: claims it for the ctx. On g's lane. */
void wait_cut(struct g_intr *in);

static inline void wait_init(struct wait *wt, struct g *g, bool shared)
{
	*wt = (struct wait){.g = g, .shared = shared, .intr = {.cut = wait_cut}};
}

static inline bool wait_claim(struct wait *wt)
{
	if (wt->shared) {
		if (__atomic_exchange_n(&wt->claimed, 1, __ATOMIC_ACQ_REL))
			return false;
		sched_claimed(wt->g);
		return true;
	}
	if (wt->claimed)
		return false;
	wt->claimed = 1;
	return true;
}

/* wait_drop - the g is dropped with its lane: claimed, so that nobody wakes it any more, and which
 * waiter somebody took before; NULL: it is still to be put out of its queues. On g's lane. */
struct pl_waiter *wait_drop(struct wait *wt);

/* wait_won - w's wait was claimed for what w waits for. Pairs with wait_drop(); who is woken sees
 * it by the wake-up. */
static inline void wait_won(struct pl_waiter *w)
{
	__atomic_store_n(&w->wait->won, w, __ATOMIC_RELEASE);
}

/* wait_park - park until the wait was claimed, or until commit said no. With the wait's g. */
static inline void wait_park(struct wait *wt, bool (*commit)(struct g *g, void *arg), void *arg,
			     enum wait_reason why)
{
	struct g *g = wt->g;

	g->intr = &wt->intr;
	__sched_park(g->sched, commit, arg, why);
	g->intr = NULL;
}

static inline void waitq_push(struct pl_waitq *q, struct pl_waiter *w)
{
	w->next = NULL;
	w->prev = q->tail;
	if (q->tail)
		q->tail->next = w;
	else
		q->head = w;
	q->tail = w;
	w->queued = true;
}

static inline void waitq_remove(struct pl_waitq *q, struct pl_waiter *w)
{
	if (w->next)
		w->next->prev = w->prev;
	else
		q->tail = w->prev;
	if (w->prev)
		w->prev->next = w->next;
	else
		q->head = w->next;
	w->queued = false;
}

/* waitq_take - claim the oldest that nobody else has claimed; NULL if there is none. The caller
 * makes w->wait->g ready once it has dropped the lock, and touches w no more after that. Those that
 * somebody else has claimed are put out of the queue on the way, and counted in *gone (unless
 * NULL): they will come for their place nevertheless. */
static inline struct pl_waiter *waitq_take(struct pl_waitq *q, uint32_t *gone)
{
	struct pl_waiter *w;

	while ((w = q->head)) {
		waitq_remove(q, w);
		if (likely(wait_claim(w->wait))) {
			wait_won(w);
			return w;
		}
		if (gone)
			++*gone;
	}
	return NULL;
}

/* waitq_first - the oldest that nobody has claimed yet (another lane may, right now). *gone as
 * above. */
struct pl_waiter *waitq_first(struct pl_waitq *q, uint32_t *gone);

/* waitq_ready_all - wake a list linked by next that waitq_take() gave, oldest first. */
void waitq_ready_all(struct pl_waiter *list);

#endif
