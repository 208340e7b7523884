/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mutex, wait group, once. A word that the fast paths change by one compare-and-swap, and a FIFO
 * of waiters under a spin lock. An object may be freed as soon as the last call on it returned on
 * whatever lane: so nobody touches it after the access that lets another one through.
 */
#include "poller/sync_int.h"

#include <errno.h>
#include <limits.h>

#include "poller/spin.h"
#include "stack/base/bug.h"

/* ---- the wait ---- */

/* sync_commit - R4, off the g's stack; sw may be gone once it stands in a queue. */
static bool sync_commit(struct g *g, void *arg)
{
	struct sync_wait *sw = arg;
	uint32_t *lock = sw->lock;
	bool park;

	(void)g;
	spin_lock(lock);
	park = sw->enter(sw);
	sw->entered = park;
	spin_unlock(lock);
	return park;
}

/* sync_drop - what a program that runs lanes again finds in a static object must not lie on the
 * stack of one that went with the lanes before, nor belong to it. */
static void sync_drop(struct g_intr *in)
{
	struct sync_wait *sw = container_of(in, struct sync_wait, wt.intr);
	bool won = !sw->entered || wait_drop(&sw->wt);

	if (!won) {
		spin_lock(sw->lock);
		if (sw->w.queued)
			waitq_remove(sw->q, &sw->w);
		spin_unlock(sw->lock);
	}
	if (sw->dropped)
		sw->dropped(sw, won);
}

static void no_cut(struct g_intr *in)
{
	(void)in;
}

int sync_wait(struct sync_wait *sw, enum wait_reason why)
{
	struct g *g = sched_self();
	int err;

	if (!g)
		return -EXDEV;
	wait_init(&sw->wt, g, true);
	sw->w.wait = &sw->wt;
	sw->wt.intr.drop = sync_drop;
	if (sw->always) {
		sw->wt.intr.cut = no_cut;
		wait_park(&sw->wt, sync_commit, sw, why);
		return 0;
	}
	err = ctx_pending(g);
	if (!err) {
		wait_park(&sw->wt, sync_commit, sw, why);
		if (!sw->entered || sw->wt.won)
			return 0;
		err = ctx_pending(g);
	}
	spin_lock(sw->lock);
	if (sw->w.queued)
		waitq_remove(sw->q, &sw->w);
	return err;
}

/* ---- mutex ---- */

#define MUTEX_LOCKED  1u
#define MUTEX_WAITERS 2u /* only with MUTEX_LOCKED: the unlock looks into the queue */

_Static_assert(sizeof(unsigned) == sizeof(uint32_t), "the public words are ours");

PL_API int pl_mutex_try_lock(struct pl_mutex *m)
{
	unsigned old = 0;

	if (unlikely(!m))
		return -EINVAL;
	return __atomic_compare_exchange_n(&m->word, &old, MUTEX_LOCKED, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED)
		       ? 0
		       : -EBUSY;
}

/* mutex_enter - take it after all, or let its owner know that we wait. */
static bool mutex_enter(struct sync_wait *sw)
{
	struct pl_mutex *m = sw->obj;
	unsigned old = READ_ONCE(m->word), want;

	do
		want = old & MUTEX_LOCKED ? old | MUTEX_WAITERS : MUTEX_LOCKED;
	while (!__atomic_compare_exchange_n(&m->word, &old, want, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED));
	if (!(old & MUTEX_LOCKED))
		return false;
	waitq_push(&m->q, &sw->w);
	return true;
}

/* a queue that is empty now is found out by the next unlock */
static void mutex_dropped(struct sync_wait *sw, bool has)
{
	if (has)
		pl_mutex_unlock(sw->obj);
}

static NOINLINE int mutex_lock_slow(struct pl_mutex *m, bool always)
{
	struct sync_wait sw = {
		.enter = mutex_enter,
		.dropped = mutex_dropped,
		.obj = m,
		.q = &m->q,
		.lock = &m->lock,
		.always = always,
	};
	int err = sync_wait(&sw, WAIT_MUTEX);

	/* a queue that is empty now is found out by the next unlock */
	if (err && err != -EXDEV)
		spin_unlock(&m->lock);
	return err;
}

PL_API int pl_mutex_lock(struct pl_mutex *m)
{
	int err = pl_mutex_try_lock(m);

	return likely(err != -EBUSY) ? err : mutex_lock_slow(m, false);
}

void mutex_lock_always(struct pl_mutex *m)
{
	if (pl_mutex_try_lock(m))
		BUG_ON(mutex_lock_slow(m, true) != 0);
}

PL_API void pl_mutex_unlock(struct pl_mutex *m)
{
	struct pl_waiter *w = NULL;
	unsigned old = MUTEX_LOCKED;

	if (unlikely(!m))
		BUG("pl_mutex_unlock: the mutex is NULL");
	while (!__atomic_compare_exchange_n(&m->word, &old, 0, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED)) {
		if (!(old & MUTEX_LOCKED))
			bug_misuse("pl_mutex_unlock: it is not locked");
		spin_lock(&m->lock);
		w = waitq_take(&m->q, NULL);
		if (!m->q.head)
			__atomic_fetch_and(&m->word, ~MUTEX_WAITERS, __ATOMIC_RELAXED);
		spin_unlock(&m->lock);
		if (w) {
			sched_ready(w->wait->g); /* it has the mutex */
			return;
		}
		old = MUTEX_LOCKED;
	}
}

/* ---- wait group ---- */

/* group_over - the count goes from old to 0. False: it has changed meanwhile. */
static bool group_over(struct pl_wait_group *wg, int old)
{
	struct pl_waiter *w, *woken = NULL, **tail = &woken;

	spin_lock(&wg->lock);
	if (!__atomic_compare_exchange_n(&wg->n, &old, 0, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED)) {
		spin_unlock(&wg->lock);
		return false;
	}
	while ((w = waitq_take(&wg->q, NULL))) {
		w->next = NULL;
		*tail = w;
		tail = &w->next;
	}
	spin_unlock(&wg->lock);
	waitq_ready_all(woken);
	return true;
}

PL_API int pl_wait_group_add(struct pl_wait_group *wg, int delta)
{
	int64_t new;
	int old;

	if (!wg)
		return -EINVAL;
	old = READ_ONCE(wg->n);
	for (;;) {
		new = (int64_t)old + delta;
		if (new < 0 || new > INT_MAX)
			return -EINVAL;
		/* a waiter that finds 0 takes the lock first, so that we are through by then */
		if (new == 0 && old != 0) {
			if (group_over(wg, old))
				return 0;
			old = READ_ONCE(wg->n);
		} else if (__atomic_compare_exchange_n(&wg->n, &old, (int)new, false,
						       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			return 0;
		}
	}
}

PL_API int pl_wait_group_done(struct pl_wait_group *wg)
{
	return pl_wait_group_add(wg, -1);
}

static bool group_enter(struct sync_wait *sw)
{
	struct pl_wait_group *wg = sw->obj;

	if (__atomic_load_n(&wg->n, __ATOMIC_ACQUIRE) == 0)
		return false;
	waitq_push(&wg->q, &sw->w);
	return true;
}

PL_API int pl_wait_group_wait(struct pl_wait_group *wg)
{
	struct sync_wait sw = {.enter = group_enter, .obj = wg};
	bool over;
	int err;

	if (!wg)
		return -EINVAL;
	sw.q = &wg->q;
	sw.lock = &wg->lock;
	spin_lock(&wg->lock);
	over = __atomic_load_n(&wg->n, __ATOMIC_ACQUIRE) == 0;
	spin_unlock(&wg->lock);
	if (over)
		return 0;
	err = sync_wait(&sw, WAIT_GROUP);
	if (err && err != -EXDEV)
		spin_unlock(&wg->lock);
	return err;
}

/* ---- once ---- */

PL_API int pl_once_do(struct pl_once *o, void (*fn)(void *arg), void *arg)
{
	int err;

	if (unlikely(!o || !fn))
		return -EINVAL;
	if (likely(__atomic_load_n(&o->done, __ATOMIC_ACQUIRE)))
		return 0;
	err = pl_mutex_lock(&o->m);
	if (err)
		return err;
	if (!o->done) {
		fn(arg);
		__atomic_store_n(&o->done, 1, __ATOMIC_RELEASE);
	}
	pl_mutex_unlock(&o->m);
	return 0;
}
