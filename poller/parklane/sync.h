/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goroutines wait on besides channels: mutex, rwmutex, condition, wait group, once. All of
 * them work across lanes; who must wait parks, the lane goes on. All zeroes is their initial
 * state (= {0}), there is nothing to destroy; they must not be copied or freed while in use.
 * The fields are private.
 *
 * A goroutine that still waits when its lane ends (pl_run returns) leaves the queue, and hands on
 * what it had been given meanwhile: a static object serves the next pl_run. But a lock that it
 * held, the count of a wait group, and a once whose function it was in stay as they are, since none
 * of them knows who has it: set such an object to all zeroes before it is used again.
 *
 * Waiting calls return 0, or -ECANCELED or -ETIME if the goroutine's ctx ended (ctx.h): outside
 * of a ctx they cannot fail. -EINVAL a NULL; it ends the program in calls that return nothing. What
 * need not wait succeeds also in a ctx that has ended. -EXDEV: it would have to wait, and the
 * caller is no goroutine. Everything that wakes others works on any thread.
 */
#ifndef PARKLANE_SYNC_H
#define PARKLANE_SYNC_H

#include <stdbool.h>

#include <parklane/go.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pl_waiter;

struct pl_waitq {
	struct pl_waiter *head, *tail;
};

/* ---- mutex ---- */

/* Handed over in the order of arrival, hence fair: nobody who comes later gets it before one that
 * waits. It has no owner: another goroutine may unlock it. */
struct pl_mutex {
	unsigned word, lock;
	struct pl_waitq q;
};

/* pl_mutex_lock - 0; -ECANCELED, -ETIME, -EXDEV: not locked. */
PL_API int pl_mutex_lock(struct pl_mutex *m);
/* pl_mutex_try_lock - 0; -EBUSY. Any thread. */
PL_API int pl_mutex_try_lock(struct pl_mutex *m);
/* pl_mutex_unlock - fatal if it is not locked. Any thread. */
PL_API void pl_mutex_unlock(struct pl_mutex *m);

/* ---- many readers or one writer ---- */

/* In the order of arrival too: a reader that comes after a waiting writer waits behind it, so do
 * not lock twice for reading. */
struct pl_rwmutex {
	unsigned word, lock;
	struct pl_waitq q;
};

/* As the calls of the mutex. An unlock of what is not so locked is fatal. */
PL_API int pl_rwmutex_rlock(struct pl_rwmutex *m);
PL_API void pl_rwmutex_runlock(struct pl_rwmutex *m);
PL_API int pl_rwmutex_lock(struct pl_rwmutex *m);
PL_API void pl_rwmutex_unlock(struct pl_rwmutex *m);

/* ---- condition ---- */

struct pl_cond {
	unsigned lock;
	struct pl_waitq q;
};

/* pl_cond_wait - unlock m, park until a signal or broadcast that comes after, lock m again; m is
 * locked whatever is returned. No wake without a signal; but check the condition in a loop, as
 * others may run in between. 0; -ECANCELED; -ETIME; -EXDEV. */
PL_API int pl_cond_wait(struct pl_cond *c, struct pl_mutex *m);
/* Wake the one that waits longest; or all. m need not be locked. Any thread. */
PL_API void pl_cond_signal(struct pl_cond *c);
PL_API void pl_cond_broadcast(struct pl_cond *c);

/* ---- wait group ---- */

struct pl_wait_group {
	int n;
	unsigned lock;
	struct pl_waitq q;
};

/* pl_wait_group_add - delta more (or fewer) to wait for; before what it stands for is started.
 * 0; -EINVAL there would be fewer than none, or more than INT_MAX: nothing is changed. */
PL_API int pl_wait_group_add(struct pl_wait_group *wg, int delta);
/* pl_wait_group_done - add of -1. Any thread. */
PL_API int pl_wait_group_done(struct pl_wait_group *wg);
/* pl_wait_group_wait - park until there are none; then wg may be freed. */
PL_API int pl_wait_group_wait(struct pl_wait_group *wg);

/* ---- once ---- */

struct pl_once {
	unsigned done;
	struct pl_mutex m;
};

/* pl_once_do - the first call runs fn(arg); all others return once that is over. 0: it is done.
 * fn must not call pl_once_do on the same. */
PL_API int pl_once_do(struct pl_once *o, void (*fn)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
