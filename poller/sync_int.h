/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of <parklane/sync.h> share: the mutex for who may not be turned away, and the
 * wait on a queue that a commit enters. */
#ifndef POLLER_SYNC_INT_H
#define POLLER_SYNC_INT_H

#include "poller/waitq.h"

/* One wait on one queue. enter() is the commit's half, with the spin lock: true, the waiter
 * stands in the queue; false, there is nothing to wait for. */
struct sync_wait {
	struct wait wt;
	struct pl_waiter w;
	bool (*enter)(struct sync_wait *sw);
	/* dropped - the g is dropped with its lane and stands in no queue any more: give back what
	 * it was given and did not live to see (has), or let those through who waited behind it.
	 * Without the lock. NULL: nothing to mend. */
	void (*dropped)(struct sync_wait *sw, bool has);
	void *obj;
	struct pl_waitq *q; /* of obj */
	uint32_t *lock;     /* of obj */
	bool always;        /* its ctx does not matter */
	bool entered;
};

/*
 * sync_wait - park on obj, with sw's enter, dropped, obj, q, lock and w.writer set. 0: woken, or
 * there was nothing to wait for. Else the ctx's error, with the place in q given back: then *lock
 * is held, for what the caller has to mend. -EXDEV: no goroutine, *lock is not held.
 */
MUST_USE int sync_wait(struct sync_wait *sw, enum wait_reason why);

/* mutex_lock_always - whatever the g's ctx says. */
void mutex_lock_always(struct pl_mutex *m);

#endif
