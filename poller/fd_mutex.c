/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fd_mutex: the slow halves. The rule against lost wakeups is R4's: a waiter enters the
 * FIFO only in its park's commit, when it is off its stack, and looks there once more at
 * what came in between (a granted hand-over, or closed).
 *
 * A waiter has no reference, so a close does not wait for it: between its being told and its
 * running again, on another lane that is a message's way, the object may end, and its commit or
 * a cut come later still. Hence the hold on the memory. A local mutex needs none: there its g is
 * no longer parked as soon as it is told.
 */
#include "poller/fd_mutex.h"

#include <errno.h>

#include "poller/ctx.h"
#include "poller/sched.h"
#include "poller/spin.h"
#include "stack/base/bug.h"

/* Go ends the program there too: each of them holds a stack, so this is a loop that starts
 * goroutines and not a load. */
#define FDM_FULL "fd_mutex: R51: more than 1048575 goroutines use one connection"

struct fd_waiter {
	struct g_intr in;
	struct fd_mutex *m;
	struct fd_waiter *next;
	struct g *g;
	enum fdm_dir dir;
	bool granted; /* lock and reference are ours; else the mutex was closed */
};

void fd_mutex_init(struct fd_mutex *m, bool local)
{
	*m = (struct fd_mutex){.local = local};
}

void fd_mutex_init_closed(struct fd_mutex *m)
{
	*m = (struct fd_mutex){.word = FDM_CLOSED};
}

void fd_mutex_open(struct fd_mutex *m, bool local)
{
	BUG_ON(m->word != FDM_CLOSED || m->closer || m->q[FDM_READ].head || m->q[FDM_WRITE].head);
	m->local = local;
	__atomic_store_n(&m->word, 0, __ATOMIC_RELEASE);
}

static void fdm_spin_lock(struct fd_mutex *m)
{
	if (!m->local)
		spin_lock(&m->lock);
}

static void fdm_spin_unlock(struct fd_mutex *m)
{
	if (!m->local)
		spin_unlock(&m->lock);
}

/* fdm_cas - change the word if it is still *old; else *old is what it is now. */
static bool fdm_cas(struct fd_mutex *m, uint64_t *old, uint64_t new)
{
	if (m->local) {
		m->word = new;
		return true;
	}
	return __atomic_compare_exchange_n(&m->word, old, new, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static uint64_t fdm_load(const struct fd_mutex *m)
{
	return __atomic_load_n(&m->word, __ATOMIC_ACQUIRE);
}

/* fdm_commit - R4: on the lane's stack. Pairs with fdm_grant() and fd_mutex_close(), which
 * change the word first and then take the spin lock. */
static bool fdm_commit(struct g *g, void *arg)
{
	struct fd_waiter *w = arg;
	struct fd_mutex *m = w->m;
	struct fdm_queue *q = &m->q[w->dir];
	bool park = false;

	fdm_spin_lock(m);
	if (q->granted) {
		q->granted--;
		w->granted = true;
	} else if (!(fdm_load(m) & FDM_CLOSED)) {
		w->g = g;
		if (q->tail)
			q->tail->next = w;
		else
			q->head = w;
		q->tail = w;
		park = true;
	}
	fdm_spin_unlock(m);
	return park;
}

static struct fd_waiter *fdm_pop(struct fdm_queue *q)
{
	struct fd_waiter *w = q->head;

	if (w) {
		q->head = w->next;
		if (!q->head)
			q->tail = NULL;
	}
	return w;
}

/*
 * fdm_grant - one waiter, whom the word no longer counts, now owns lock and reference. false:
 * nobody does, they are the caller's still. A close since then (R53) has sent the queue away, and a
 * waiter on its way there will see it closed: a hand-over left for it would keep the reference for
 * ever.
 */
static bool fdm_grant(struct fd_mutex *m, enum fdm_dir dir)
{
	struct fd_waiter *w;
	struct g *g = NULL;
	bool taken = true;

	fdm_spin_lock(m);
	w = fdm_pop(&m->q[dir]);
	if (w) {
		w->granted = true;
		g = w->g;
	} else if (fdm_load(m) & FDM_CLOSED) {
		taken = false;
	} else {
		m->q[dir].granted++;
	}
	fdm_spin_unlock(m);
	if (g)
		sched_ready(g);
	return taken;
}

/* fdm_find - the link that points to w; NULL: w has left the queue. With the spin lock. */
static struct fd_waiter **fdm_find(struct fdm_queue *q, const struct fd_waiter *w,
				   struct fd_waiter **ret_prev)
{
	struct fd_waiter **link = &q->head;

	*ret_prev = NULL;
	while (*link && *link != w) {
		*ret_prev = *link;
		link = &(*link)->next;
	}
	return *link ? link : NULL;
}

/*
 * fdm_cut - the waiter's ctx ended: it gives its place up. The word counts those whom no unlock
 * has chosen yet; if it counts nobody, all in the queue are about to be granted, and w too.
 */
static void fdm_cut(struct g_intr *in)
{
	struct fd_waiter *w = container_of(in, struct fd_waiter, in);
	struct fd_mutex *m = w->m;
	struct fd_waiter *prev, **link;
	uint64_t old = fdm_load(m);
	bool gone = false;

	fdm_spin_lock(m);
	link = fdm_find(&m->q[w->dir], w, &prev);
	while (link && !gone && (old & FDM_WAIT_MASK(w->dir)))
		gone = fdm_cas(m, &old, old - FDM_WAIT(w->dir));
	if (gone) {
		*link = w->next;
		if (!w->next)
			m->q[w->dir].tail = prev;
	}
	fdm_spin_unlock(m);
	if (gone)
		sched_ready(w->g);
}

static void fdm_let_go(struct fd_mutex *m, bool held)
{
	if (held)
		fd_mutex_put(m);
}

bool __fd_mutex_lock(struct fd_mutex *m, enum fdm_dir dir)
{
	struct fd_waiter w = {.in = {.cut = fdm_cut}, .m = m, .dir = dir};
	uint64_t old = fdm_load(m), new;
	bool wait, held = false;

	do {
		wait = old & FDM_LOCK(dir);
		if ((old & FDM_CLOSED) || (wait && ctx_self_err())) {
			fdm_let_go(m, held);
			return false;
		}
		if (unlikely((old & FDM_REF_MASK) == FDM_REF_MASK))
			bug_misuse(FDM_FULL);
		if (unlikely((old & FDM_WAIT_MASK(dir)) == FDM_WAIT_MASK(dir)))
			bug_misuse(FDM_FULL);
		new = wait ? old + FDM_WAIT(dir) : (old | FDM_LOCK(dir)) + FDM_REF;
		if (wait && !held && !m->local) {
			fd_mutex_hold(m);
			held = true;
		}
	} while (!fdm_cas(m, &old, new));
	if (wait)
		ctx_park(fdm_commit, &w, WAIT_FD_MUTEX, &w.in);
	fdm_let_go(m, held);
	return !wait || w.granted;
}

bool __fd_mutex_unlock(struct fd_mutex *m, enum fdm_dir dir)
{
	uint64_t old = fdm_load(m), new;
	bool hand_over;

	do {
		BUG_ON(!(old & FDM_LOCK(dir)) || !(old & FDM_REF_MASK));
		hand_over = old & FDM_WAIT_MASK(dir);
		new = hand_over ? old - FDM_WAIT(dir) : (old & ~FDM_LOCK(dir)) - FDM_REF;
	} while (!fdm_cas(m, &old, new));
	if (hand_over) /* again once at most: a closed word counts no waiters */
		return !fdm_grant(m, dir) && __fd_mutex_unlock(m, dir);
	return (new &(FDM_CLOSED | FDM_REF_MASK)) == FDM_CLOSED;
}

bool fd_mutex_incref(struct fd_mutex *m)
{
	uint64_t old = fdm_load(m);

	do {
		if (old & FDM_CLOSED)
			return false;
		if (unlikely((old & FDM_REF_MASK) == FDM_REF_MASK))
			bug_misuse(FDM_FULL);
	} while (!fdm_cas(m, &old, old + FDM_REF));
	return true;
}

bool fd_mutex_decref(struct fd_mutex *m)
{
	uint64_t old = fdm_load(m), new;

	do {
		BUG_ON(!(old & FDM_REF_MASK));
		new = old - FDM_REF;
	} while (!fdm_cas(m, &old, new));
	return (new &(FDM_CLOSED | FDM_REF_MASK)) == FDM_CLOSED;
}

int fd_mutex_close(struct fd_mutex *m)
{
	uint64_t old = fdm_load(m), new;
	struct fd_waiter *w[2], *next;

	do {
		if (old & FDM_CLOSED)
			return -EBADF;
		if (unlikely((old & FDM_REF_MASK) == FDM_REF_MASK))
			bug_misuse(FDM_FULL);
		new = (old | FDM_CLOSED) + FDM_REF;
		new &= ~(FDM_WAIT_MASK(FDM_READ) | FDM_WAIT_MASK(FDM_WRITE));
	} while (!fdm_cas(m, &old, new));

	fdm_spin_lock(m);
	for (int dir = 0; dir < 2; dir++) {
		w[dir] = m->q[dir].head;
		m->q[dir].head = m->q[dir].tail = NULL;
	}
	fdm_spin_unlock(m);
	for (int dir = 0; dir < 2; dir++) {
		for (; w[dir]; w[dir] = next) {
			/* w lives on the stack of a g that may run as soon as it is ready */
			next = w[dir]->next;
			sched_ready(w[dir]->g);
		}
	}
	return 0;
}

struct fdm_close_wait {
	struct fd_mutex *m;
	struct fdm_closer *closer;
	bool last;
};

void fd_mutex_set_closer(struct fd_mutex *m, struct fdm_closer *closer, struct g *g)
{
	closer->g = g;
	fdm_spin_lock(m);
	m->closer = closer;
	fdm_spin_unlock(m);
}

/* fdm_commit_close - publish the closer, then drop its reference; nothing of m may be
 * touched afterwards unless that was the last one. */
static bool fdm_commit_close(struct g *g, void *arg)
{
	struct fdm_close_wait *cw = arg;
	struct fd_mutex *m = cw->m;

	fd_mutex_set_closer(m, cw->closer, g);
	if (!fd_mutex_decref(m))
		return true;
	m->closer = NULL;
	cw->last = true;
	return false;
}

bool fd_mutex_close_wait(struct fd_mutex *m, struct fdm_closer *closer)
{
	struct fdm_close_wait cw = {.m = m, .closer = closer};

	/* A closed mutex gains no reference, so a count of one stays ours. */
	if ((fdm_load(m) & FDM_REF_MASK) == FDM_REF)
		return fd_mutex_decref(m);
	sched_park(fdm_commit_close, &cw, WAIT_CLOSE);
	return cw.last;
}

struct fdm_closer *fd_mutex_closer(struct fd_mutex *m)
{
	struct fdm_closer *closer;

	fdm_spin_lock(m);
	closer = m->closer;
	fdm_spin_unlock(m);
	return closer;
}

struct fdm_closer *fd_mutex_take_closer(struct fd_mutex *m)
{
	struct fdm_closer *closer = fd_mutex_closer(m);

	m->closer = NULL;
	return closer;
}
