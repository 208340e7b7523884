/* SPDX-License-Identifier: BSD-3-Clause */
/* Rwmutex and condition: what builds on the queue and the mutex of sync.c. */
#include "poller/sync_int.h"

#include <errno.h>

#include "poller/spin.h"
#include "stack/base/bug.h"

/* ---- many readers or one writer ---- */

#define RW_WRITER 1u
#define RW_WAIT   2u /* somebody stands in the queue: newcomers go behind */
#define RW_READER 4u /* and their number above */

/* rw_free - may a reader or writer have it, the queue aside? */
static bool rw_free(unsigned word, bool writer)
{
	return writer ? !(word & ~RW_WAIT) : !(word & RW_WRITER);
}

/* rw_try - take it unless it is held, or asked for by others. False: *word says why. */
static bool rw_try(struct pl_rwmutex *m, bool writer, unsigned *word)
{
	*word = READ_ONCE(m->word);
	while (!(*word & RW_WAIT) && rw_free(*word, writer))
		if (__atomic_compare_exchange_n(&m->word, word,
						*word + (writer ? RW_WRITER : RW_READER), false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	return false;
}

static bool rw_enter(struct sync_wait *sw)
{
	struct pl_rwmutex *m = sw->obj;
	unsigned word;

	do
		if (rw_try(m, sw->w.writer, &word))
			return false;
	while (!__atomic_compare_exchange_n(&m->word, &word, word | RW_WAIT, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	waitq_push(&m->q, &sw->w);
	return true;
}

/* rw_grant - with the lock: hand over to as many of the head of the queue as can have it now;
 * the caller wakes them. While RW_WAIT is set only unlocks change the word. */
static struct pl_waiter *rw_grant(struct pl_rwmutex *m)
{
	struct pl_waiter *w, *woken = NULL, **tail = &woken;

	while ((w = m->q.head) && rw_free(__atomic_load_n(&m->word, __ATOMIC_ACQUIRE), w->writer)) {
		waitq_remove(&m->q, w);
		if (!wait_claim(w->wait))
			continue;
		wait_won(w);
		__atomic_fetch_add(&m->word, w->writer ? RW_WRITER : RW_READER, __ATOMIC_ACQUIRE);
		w->next = NULL;
		*tail = w;
		tail = &w->next;
	}
	if (!m->q.head)
		__atomic_fetch_and(&m->word, ~RW_WAIT, __ATOMIC_RELEASE);
	return woken;
}

/* rw_pass - with the lock, which it drops: who stood behind us may have been waiting for us
 * alone. */
static void rw_pass(struct pl_rwmutex *m)
{
	struct pl_waiter *woken = rw_grant(m);

	spin_unlock(&m->lock);
	waitq_ready_all(woken);
}

static void rw_dropped(struct sync_wait *sw, bool has)
{
	struct pl_rwmutex *m = sw->obj;

	if (has && sw->w.writer) {
		pl_rwmutex_unlock(m);
	} else if (has) {
		pl_rwmutex_runlock(m);
	} else {
		spin_lock(&m->lock);
		rw_pass(m);
	}
}

static NOINLINE int rw_lock_slow(struct pl_rwmutex *m, bool writer)
{
	struct sync_wait sw = {
		.enter = rw_enter,
		.dropped = rw_dropped,
		.obj = m,
		.q = &m->q,
		.lock = &m->lock,
		.w = {.writer = writer},
	};
	int err = sync_wait(&sw, WAIT_MUTEX);

	if (err && err != -EXDEV)
		rw_pass(m);
	return err;
}

/* rw_release - the last holder goes and others wait. */
static NOINLINE void rw_release(struct pl_rwmutex *m, unsigned mine)
{
	struct pl_waiter *woken;

	spin_lock(&m->lock);
	__atomic_fetch_sub(&m->word, mine, __ATOMIC_RELEASE);
	woken = rw_grant(m);
	spin_unlock(&m->lock);
	waitq_ready_all(woken);
}

PL_API int pl_rwmutex_rlock(struct pl_rwmutex *m)
{
	unsigned word;

	if (unlikely(!m))
		return -EINVAL;
	return likely(rw_try(m, false, &word)) ? 0 : rw_lock_slow(m, false);
}

PL_API int pl_rwmutex_lock(struct pl_rwmutex *m)
{
	unsigned word;

	if (unlikely(!m))
		return -EINVAL;
	return likely(rw_try(m, true, &word)) ? 0 : rw_lock_slow(m, true);
}

PL_API void pl_rwmutex_runlock(struct pl_rwmutex *m)
{
	unsigned old;

	if (unlikely(!m))
		BUG("pl_rwmutex_runlock: the rwmutex is NULL");
	old = READ_ONCE(m->word);
	do {
		if (old < RW_READER)
			bug_misuse("pl_rwmutex_runlock: it is not locked for reading");
		if ((old & RW_WAIT) && old < 2 * RW_READER) {
			rw_release(m, RW_READER);
			return;
		}
	} while (!__atomic_compare_exchange_n(&m->word, &old, old - RW_READER, false,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

PL_API void pl_rwmutex_unlock(struct pl_rwmutex *m)
{
	unsigned old = RW_WRITER;

	if (unlikely(!m))
		BUG("pl_rwmutex_unlock: the rwmutex is NULL");
	if (__atomic_compare_exchange_n(&m->word, &old, 0, false, __ATOMIC_RELEASE,
					__ATOMIC_RELAXED))
		return;
	if (!(old & RW_WRITER))
		bug_misuse("pl_rwmutex_unlock: it is not locked for writing");
	rw_release(m, RW_WRITER);
}

/* ---- condition ---- */

struct cond_wait {
	struct wait wt;
	struct pl_waiter w;
	struct pl_cond *c;
	struct pl_mutex *m;
};

/* cond_commit - R4: in the queue before the mutex is free, so that no signal is missed. */
static bool cond_commit(struct g *g, void *arg)
{
	struct cond_wait *cw = arg;
	struct pl_mutex *m = cw->m;
	struct pl_cond *c = cw->c;

	(void)g;
	spin_lock(&c->lock);
	waitq_push(&c->q, &cw->w);
	spin_unlock(&c->lock);
	pl_mutex_unlock(m);
	return true;
}

static void cond_leave(struct cond_wait *cw)
{
	spin_lock(&cw->c->lock);
	if (cw->w.queued)
		waitq_remove(&cw->c->q, &cw->w);
	spin_unlock(&cw->c->lock);
}

static void cond_drop(struct g_intr *in)
{
	struct cond_wait *cw = container_of(in, struct cond_wait, wt.intr);

	if (!wait_drop(&cw->wt))
		cond_leave(cw);
}

PL_API int pl_cond_wait(struct pl_cond *c, struct pl_mutex *m)
{
	struct g *g = sched_self();
	struct cond_wait cw = {.c = c, .m = m, .w = {.wait = &cw.wt}};
	int err;

	if (!c || !m)
		return -EINVAL;
	if (!g)
		return -EXDEV;
	err = ctx_pending(g);
	if (err)
		return err;
	wait_init(&cw.wt, g, true);
	cw.wt.intr.drop = cond_drop;
	wait_park(&cw.wt, cond_commit, &cw, WAIT_COND);
	if (!cw.wt.won) {
		err = ctx_pending(g);
		cond_leave(&cw);
	}
	mutex_lock_always(m);
	return err;
}

PL_API void pl_cond_signal(struct pl_cond *c)
{
	struct pl_waiter *w;

	if (!c)
		BUG("pl_cond_signal: the condition is NULL");
	spin_lock(&c->lock);
	w = waitq_take(&c->q, NULL);
	spin_unlock(&c->lock);
	if (w)
		sched_ready(w->wait->g);
}

PL_API void pl_cond_broadcast(struct pl_cond *c)
{
	struct pl_waiter *w, *woken = NULL, **tail = &woken;

	if (!c)
		BUG("pl_cond_broadcast: the condition is NULL");
	spin_lock(&c->lock);
	while ((w = waitq_take(&c->q, NULL))) {
		w->next = NULL;
		*tail = w;
		tail = &w->next;
	}
	spin_unlock(&c->lock);
	waitq_ready_all(woken);
}
