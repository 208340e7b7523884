/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mutex of a connection (R51-R53): reads serialise with reads, writes with writes, and
 * close waits for both to leave. One 64-bit word holds everything that a fast path needs;
 * who must wait parks on a small FIFO whose entries live on the waiters' own stacks.
 *
 * An unlock with waiters hands lock and reference over to the oldest one, so that two
 * readers take turns even where one of them never parks for want of data.
 *
 * local: only one lane ever touches the word, so it is changed with plain accesses.
 */
#ifndef POLLER_FD_MUTEX_H
#define POLLER_FD_MUTEX_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct g;
struct fd_waiter; /* on the stack of a parked g; fd_mutex.c */

/* R51: closed, rlock, wlock, 20 bits of references, 20 of read, 20 of write waiters. */
#define FDM_CLOSED         (1ull << 0)
#define FDM_LOCK(dir)      (1ull << (1 + (dir)))
#define FDM_REF            (1ull << 3)
#define FDM_REF_MASK       (0xfffffull << 3)
#define FDM_WAIT(dir)      (1ull << (23 + 20 * (dir)))
#define FDM_WAIT_MASK(dir) (0xfffffull << (23 + 20 * (dir)))

enum fdm_dir {
	FDM_READ,
	FDM_WRITE,
};

struct fdm_queue {
	struct fd_waiter *head, *tail; /* (l) FIFO */
	uint32_t granted;              /* (l) hand-overs that met nobody parked yet */
};

/* Who closes and waits until the object is destroyed; it may lie on that g's stack. */
struct fdm_closer {
	struct g *g; /* (c) since it parked */
};

struct fd_mutex {
	uint64_t word;             /* (a) R51; (o) if local */
	struct fdm_closer *closer; /* (l) parked in fd_mutex_close_wait */
	uint32_t lock;             /* spin lock of q and closer; unused if local */
	bool local;                /* (c) */
	/* a cache line ends here in struct pl_conn: the rest is for those who wait */
	struct fdm_queue q[2]; /* by enum fdm_dir */
};

void fd_mutex_init(struct fd_mutex *m, bool local);
/* fd_mutex_init_closed - the same for one that nobody may use yet. fd_mutex_open - a closed one
 * without references from then on is as fd_mutex_init() makes it: who comes too late for its first
 * life may look at it all the time. */
void fd_mutex_init_closed(struct fd_mutex *m);
void fd_mutex_open(struct fd_mutex *m, bool local);

static inline bool fd_mutex_closed(const struct fd_mutex *m)
{
	return __atomic_load_n(&m->word, __ATOMIC_ACQUIRE) & FDM_CLOSED;
}

/* __fd_mutex_lock/unlock - the slow halves of the two below. */
MUST_USE bool __fd_mutex_lock(struct fd_mutex *m, enum fdm_dir dir);
MUST_USE bool __fd_mutex_unlock(struct fd_mutex *m, enum fdm_dir dir);

/* fd_mutex_lock - take a reference and the lock of one direction, parking while another g
 * has it. false: closed (before or while waiting), or the g's ctx ended and it would have to
 * wait; nothing is held. */
static inline MUST_USE bool fd_mutex_lock(struct fd_mutex *m, enum fdm_dir dir)
{
	if (likely(m->local && !(m->word & (FDM_CLOSED | FDM_LOCK(dir))))) {
		m->word = (m->word | FDM_LOCK(dir)) + FDM_REF;
		return true;
	}
	return __fd_mutex_lock(m, dir);
}

/* fd_mutex_unlock - give lock and reference back, or on to the next waiter. true: closed and
 * that was the last reference; the caller destroys the object now. */
static inline MUST_USE bool fd_mutex_unlock(struct fd_mutex *m, enum fdm_dir dir)
{
	if (likely(m->local && !(m->word & (FDM_CLOSED | FDM_WAIT_MASK(dir))))) {
		m->word = (m->word & ~FDM_LOCK(dir)) - FDM_REF;
		return false;
	}
	return __fd_mutex_unlock(m, dir);
}

/* fd_mutex_hold, fd_mutex_put - by whom m is a part of: its memory (not what is in it) stays from
 * the one to the other, whatever was closed and destroyed. Called of a g that waits for m; any
 * lane. */
void fd_mutex_hold(struct fd_mutex *m);
void fd_mutex_put(struct fd_mutex *m);

/* fd_mutex_incref - a reference without a lock, for what never parks. false: closed. */
MUST_USE bool fd_mutex_incref(struct fd_mutex *m);
/* fd_mutex_decref - true: closed and that was the last reference, the caller destroys. */
MUST_USE bool fd_mutex_decref(struct fd_mutex *m);

/* fd_mutex_close - R53: set closed, take a reference for the closer, wake all waiters (their
 * fd_mutex_lock says false). 0; -EBADF already closed. */
MUST_USE int fd_mutex_close(struct fd_mutex *m);
/*
 * fd_mutex_close_wait - drop the closer's reference. true: it was the last one, the caller
 * destroys. false: another g was the last one and has destroyed the object; the caller was
 * parked until then, and m is gone.
 */
MUST_USE bool fd_mutex_close_wait(struct fd_mutex *m, struct fdm_closer *closer);
/* fd_mutex_set_closer - the same for a closer that parks otherwise: in the commit of g's park. */
void fd_mutex_set_closer(struct fd_mutex *m, struct fdm_closer *closer, struct g *g);
/* fd_mutex_closer - who waits, or NULL; for who dropped the last reference. */
MUST_USE struct fdm_closer *fd_mutex_closer(struct fd_mutex *m);
/* fd_mutex_take_closer - the same for who destroys, before m goes away: its g is to be made ready
 * once the object is destroyed. */
MUST_USE struct fdm_closer *fd_mutex_take_closer(struct fd_mutex *m);

#endif
