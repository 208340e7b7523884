/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The netpoller: pds, the semaphores rg and wg, reset and wait, evict and close. Deadlines
 * are in netpoll_deadline.c, backends in netpoll_stack.c, netpoll_epoll.c and netpoll_uring.c.
 *
 * rg and wg (R1), and who makes which transition:
 *
 *   NIL   -> WAIT    wait (R2): a waiter is about to park
 *   WAIT  -> g       the park's commit, once the g is off its stack (R4)
 *   READY -> NIL     wait takes a readiness without parking; reset forgets an old one (R9)
 *   any   -> READY   an event (R6, R7); from g: that g is made runnable
 *   g     -> NIL     a deadline or an evict (R6): no token is left
 *   WAIT  -> NIL     the same, met before the commit: the commit fails and the g goes on
 *   any   -> NIL     the woken waiter takes what is there (R5)
 *
 * pds that one lane alone may touch (pd->local: those of stack conns, and of kernel fds where there
 * is no other lane) make them with plain accesses. There nothing can come between
 * WAIT and the commit, so NIL goes straight to g.
 *
 * tests/models/netpoll.pml and netpoll_reuse.pml are this file's protocol, checked by spin.
 */
#include "poller/netpoll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "poller/ctx.h"
#include "poller/group.h"
#include "poller/lane_int.h"
#include "poller/netpoll_deadline.h"
#include "poller/netpoll_int.h"
#include "poller/sched_int.h"
#include "poller/spin.h"
#include "stack/base/bug.h"

#define PD_ERR_BITS (PD_INFO_CLOSING | PD_INFO_EVENT_ERR | PD_INFO_RD_EXPIRED | PD_INFO_WR_EXPIRED)
#define PD_SEQ_MASK 0xfffffu

_Static_assert(offsetof(struct poll_desc, rd) == CACHE_LINE, "events and waiters: one line");
_Static_assert(sizeof(struct poll_desc) % CACHE_LINE == 0, "pds do not share lines");

/* A block's first line holds its link; the rest is pds. */
struct pd_block {
	struct pd_block *next;
	struct poll_desc pd[] ALIGNED(CACHE_LINE);
};

#define PDS_PER_BLOCK ((NETPOLL_BLOCK - sizeof(struct pd_block)) / sizeof(struct poll_desc))

/* ---- the cache ---- */

void netpoll_init(struct netpoll *np, struct lane *l)
{
	*np = (struct netpoll){.lane = l};
}

void netpoll_fini(struct netpoll *np)
{
	while (np->blocks) {
		struct pd_block *b = np->blocks;

		np->blocks = b->next;
		free(b);
	}
}

static int carve_block(struct netpoll *np, bool local)
{
	struct pd_block *b;

	if (gtimer_reserve(&np->lane->timers, 2 * PDS_PER_BLOCK))
		return -ENOMEM;
	b = aligned_alloc(NETPOLL_BLOCK, NETPOLL_BLOCK);
	if (!b)
		return -ENOMEM;
	memset(b, 0, NETPOLL_BLOCK);
	b->next = np->blocks;
	np->blocks = b;
	for (size_t i = PDS_PER_BLOCK; i-- > 0;) {
		b->pd[i].local = local;
		b->pd[i].fdseq = 1;
		b->pd[i].free_next = np->free[local];
		np->free[local] = &b->pd[i];
	}
	np->nr_pds += PDS_PER_BLOCK;
	return 0;
}

static struct poll_desc *pd_get(struct netpoll *np, bool local)
{
	struct poll_desc *pd;

	if (!np->free[local] && carve_block(np, local))
		return NULL;
	pd = np->free[local];
	np->free[local] = pd->free_next;
	np->nr_open++;
	return pd;
}

/* pd_put - R21: from here on an event with the old tag is dropped. */
static void pd_put(struct netpoll *np, struct poll_desc *pd)
{
	netpoll_lock(pd);
	pd->fdseq = (pd->fdseq + 1) & PD_SEQ_MASK;
	if (pd->fdseq == 0)
		pd->fdseq = 1;
	netpoll_publish_info(pd);
	netpoll_unlock(pd);
	pd->free_next = np->free[pd->local];
	np->free[pd->local] = pd;
	np->nr_open--;
}

/* ---- lock and info ---- */

void netpoll_lock(struct poll_desc *pd)
{
	if (!pd->local)
		spin_lock(&pd->lock);
}

void netpoll_unlock(struct poll_desc *pd)
{
	if (!pd->local)
		spin_unlock(&pd->lock);
}

/* R19. The event error is not ours to change, so a locked pd keeps it by a CAS loop against
 * netpoll_set_event_err(). seq_cst: the closer's half of R3's pair, see netpoll_wait(). */
void netpoll_publish_info(struct poll_desc *pd)
{
	uint32_t want = pd->fdseq << PD_INFO_SEQ_SHIFT, old;

	if (pd->closing)
		want |= PD_INFO_CLOSING;
	if (pd->rd < 0)
		want |= PD_INFO_RD_EXPIRED;
	if (pd->wd < 0)
		want |= PD_INFO_WR_EXPIRED;
	old = READ_ONCE(pd->info);
	if (pd->local) {
		WRITE_ONCE(pd->info, want | (old & PD_INFO_EVENT_ERR));
		return;
	}
	while (!__atomic_compare_exchange_n(&pd->info, &old, want | (old & PD_INFO_EVENT_ERR),
					    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

void netpoll_set_event_err(struct poll_desc *pd, bool err, uint32_t seq)
{
	uint32_t old = READ_ONCE(pd->info), want;

	do {
		if (seq != 0 && old >> PD_INFO_SEQ_SHIFT != seq)
			return;
		want = err ? old | PD_INFO_EVENT_ERR : old & ~PD_INFO_EVENT_ERR;
		if (want == old)
			return;
	} while (!__atomic_compare_exchange_n(&pd->info, &old, want, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
}

/* check_slow - R12: closing before the deadline before the event error, which only readers
 * are told: a writer learns more from its own write(). */
static NOINLINE int check_slow(uint32_t info, unsigned mode)
{
	if (info & PD_INFO_CLOSING)
		return -EBADF;
	if (info & (mode == NETPOLL_READ ? PD_INFO_RD_EXPIRED : PD_INFO_WR_EXPIRED))
		return -ETIME;
	if (mode == NETPOLL_READ && (info & PD_INFO_EVENT_ERR))
		return -EIO;
	return 0;
}

int netpoll_check_err(const struct poll_desc *pd, unsigned mode)
{
	uint32_t info = __atomic_load_n(&pd->info, __ATOMIC_SEQ_CST);

	if (likely(!(info & PD_ERR_BITS)))
		return 0;
	return check_slow(info, mode);
}

static uintptr_t *pd_word(struct poll_desc *pd, unsigned mode)
{
	return mode == NETPOLL_READ ? &pd->rg : &pd->wg;
}

/* ---- unblock ---- */

static struct g *unblock_local(uintptr_t *w, bool ioready)
{
	uintptr_t old = *w;

	if (old == PD_READY)
		return NULL;
	*w = ioready ? PD_READY : PD_NIL;
	return old > PD_WAIT ? (struct g *)old : NULL;
}

static struct g *unblock_locked(uintptr_t *w, bool ioready)
{
	uintptr_t old = __atomic_load_n(w, __ATOMIC_SEQ_CST);

	do {
		if (old == PD_READY || (old == PD_NIL && !ioready))
			return NULL;
	} while (!__atomic_compare_exchange_n(w, &old, ioready ? PD_READY : PD_NIL, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return old > PD_WAIT ? (struct g *)old : NULL;
}

struct g *netpoll_unblock(struct poll_desc *pd, unsigned mode, bool ioready)
{
	uintptr_t *w = pd_word(pd, mode);

	return pd->local ? unblock_local(w, ioready) : unblock_locked(w, ioready);
}

/* add_waiters - the owner lane's thread counts with plain accesses, all others in a word of
 * their own. A wake may be counted before its park is: what the two say is right in sum, and
 * never too low for longer than a commit takes. */
static void add_waiters(struct netpoll_backend *nb, const struct lane *self, int64_t n)
{
	if (likely(self == nb->lane))
		WRITE_ONCE(nb->waiters, nb->waiters + n);
	else
		(void)__atomic_fetch_add(&nb->waiters_far, n, __ATOMIC_SEQ_CST);
}

int64_t netpoll_waiters(const struct netpoll_backend *nb)
{
	const struct netpoll_backend *below = __atomic_load_n(&nb->below, __ATOMIC_ACQUIRE);
	int64_t n = READ_ONCE(nb->waiters) + READ_ONCE(nb->waiters_far);

	return unlikely(below) ? n + netpoll_waiters(below) : n;
}

/* wake - R31: first runnable, then no longer counted. g may be of any lane; self is the current
 * one, which is pd's if that is local. */
static ALWAYS_INLINE void wake(struct lane *self, struct poll_desc *pd, struct g *g)
{
	struct netpoll_backend *nb = pd->backend; /* once g is ready, pd may be anyone's */
	bool movable;

	/* No g runs any more on a lane that is taken down, and its stack may be gone. */
	if (pd->lane->ending)
		return;
	if (pd->local) {
		__sched_ready(&nb->lane->sched, g);
		add_waiters(nb, nb->lane, -1);
		return;
	}
	movable = g->movable;
	if (likely(!movable && g->sched->lane == self))
		__sched_ready(&self->sched, g);
	else
		sched_ready(g);
	add_waiters(nb, self, -1);
	if (unlikely(movable))
		(void)__atomic_fetch_sub(&nb->waiters_movable, 1, __ATOMIC_SEQ_CST);
}

static struct lane *self_of(const struct poll_desc *pd)
{
	return pd->local ? pd->lane : lane_self();
}

/* netpoll_wake - g may be NULL. */
void netpoll_wake(struct poll_desc *pd, struct g *g)
{
	if (g)
		wake(self_of(pd), pd, g);
}

static void wake_by_event(struct poll_desc *pd, struct g *g)
{
	struct lane *self = self_of(pd);

	if (likely(self))
		ledger_count(&self->led, LEDGER_EV_WAKEUPS, 1);
	wake(self, pd, g);
}

void netpoll_ready(struct poll_desc *pd, unsigned mode)
{
	struct g *rg = NULL, *wg = NULL;

	if (mode & NETPOLL_READ)
		rg = netpoll_unblock(pd, NETPOLL_READ, true);
	if (mode & NETPOLL_WRITE)
		wg = netpoll_unblock(pd, NETPOLL_WRITE, true);
	if (rg)
		wake_by_event(pd, rg);
	if (wg)
		wake_by_event(pd, wg);
}

/* ---- reset and wait ---- */

/* user - the g that runs: on pd's own lane if pd is local. */
static inline struct g *user(const struct poll_desc *pd)
{
	return pd->local ? pd->lane->sched.cur : lane_self()->sched.cur;
}

/* bind_user - the g that uses a pd of one lane stays on that lane (house rule 1). */
static inline void bind_user(struct g *g)
{
	if (unlikely(g->movable))
		movable_bind(g);
}

int netpoll_reset(struct poll_desc *pd, unsigned mode)
{
	int err = netpoll_check_err(pd, mode);
	struct g *g = user(pd);

	if (likely(!err))
		err = ctx_pending(g);
	if (unlikely(err))
		return err;
	if (pd->local) {
		bind_user(g);
		*pd_word(pd, mode) = PD_NIL;
	} else if (__atomic_load_n(pd_word(pd, mode), __ATOMIC_SEQ_CST) != PD_NIL) {
		__atomic_store_n(pd_word(pd, mode), PD_NIL, __ATOMIC_SEQ_CST);
	}
	return 0;
}

static enum wait_reason why_of(unsigned mode)
{
	return mode == NETPOLL_READ ? WAIT_IO_READ : WAIT_IO_WRITE;
}

#define DOUBLE_WAIT "netpoll: R1: double wait: a second goroutine waits in one direction of a pd"

static bool block_local(struct poll_desc *pd, unsigned mode, struct g *g)
{
	uintptr_t *w = pd_word(pd, mode), old = *w;

	bind_user(g);
	if (old == PD_READY) {
		*w = PD_NIL;
		return true;
	}
	if (unlikely(old != PD_NIL))
		BUG(DOUBLE_WAIT);
	*w = (uintptr_t)g;
	add_waiters(pd->backend, pd->lane, 1);
	__sched_park(g->sched, NULL, NULL, why_of(mode));
	old = *w;
	*w = PD_NIL;
	BUG_ON(old > PD_WAIT);
	return old == PD_READY;
}

struct block_arg {
	struct poll_desc *pd;
	uintptr_t *w;
	struct lane *self; /* whose thread parks */
};

/* block_commit - R4, off the g's stack. */
static bool block_commit(struct g *g, void *arg)
{
	const struct block_arg b = *(struct block_arg *)arg; /* dies with the commit */
	struct netpoll_backend *nb = b.pd->backend;
	bool movable = g->movable;
	uintptr_t old = PD_WAIT;

	if (!__atomic_compare_exchange_n(b.w, &old, (uintptr_t)g, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	/* g may run already, elsewhere if it is movable */
	add_waiters(nb, b.self, 1);
	if (unlikely(movable))
		(void)__atomic_fetch_add(&nb->waiters_movable, 1, __ATOMIC_SEQ_CST);
	return true;
}

/* block_locked - waitio: park whatever the error word says (R11). */
static bool block_locked(struct poll_desc *pd, unsigned mode, struct g *g, bool waitio)
{
	/* of now: a movable g may wait elsewhere the next time */
	struct block_arg b = {.pd = pd, .w = pd_word(pd, mode), .self = g->sched->lane};
	uintptr_t old;

	old = __atomic_load_n(b.w, __ATOMIC_SEQ_CST);
	for (;;) { /* R2; a failed exchange tells what the word is now */
		uintptr_t want = old == PD_READY ? PD_NIL : PD_WAIT;

		if (unlikely(old > PD_READY))
			BUG(DOUBLE_WAIT);
		if (!__atomic_compare_exchange_n(b.w, &old, want, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_SEQ_CST))
			continue;
		if (want == PD_NIL)
			return true;
		break;
	}
	/* R3: WAIT is published, look again. Pairs with publish_info() before unblock(). */
	if (waitio || netpoll_check_err(pd, mode) == 0)
		__sched_park(&b.self->sched, block_commit, &b, why_of(mode));
	old = __atomic_exchange_n(b.w, PD_NIL, __ATOMIC_SEQ_CST); /* R5 */
	BUG_ON(old > PD_WAIT);
	return old == PD_READY;
}

/* ---- a wait that the g's ctx can end: as a deadline does (R6, R10), with the ctx's error ---- */

struct pd_intr {
	struct g_intr in;
	struct poll_desc *pd;
	unsigned mode;
};

static void pd_cut(struct g_intr *in)
{
	const struct pd_intr *pi = container_of(in, struct pd_intr, in);

	netpoll_wake(pi->pd, netpoll_unblock(pi->pd, pi->mode, false));
}

static NOINLINE int wait_in_ctx(struct poll_desc *pd, unsigned mode, struct g *g)
{
	struct pd_intr pi = {{.cut = pd_cut}, pd, mode};
	bool ready;
	int err;

	do {
		err = netpoll_check_err(pd, mode);
		if (!err)
			err = ctx_pending(g);
		if (err)
			return err;
		g->intr = &pi.in;
		ready = pd->local ? block_local(pd, mode, g) : block_locked(pd, mode, g, false);
		g->intr = NULL;
	} while (!ready);
	return 0;
}

int netpoll_wait(struct poll_desc *pd, unsigned mode)
{
	int err = netpoll_check_err(pd, mode);
	struct g *g = user(pd);

	if (unlikely(err))
		return err;
	if (unlikely(g->ctx))
		return wait_in_ctx(pd, mode, g);
	/* R10: woken without readiness and without an error, a deadline fired and was moved. */
	while (!(pd->local ? block_local(pd, mode, g) : block_locked(pd, mode, g, false))) {
		err = netpoll_check_err(pd, mode);
		if (err)
			return err;
	}
	return 0;
}

void netpoll_wait_canceled(struct poll_desc *pd, unsigned mode)
{
	struct g *g = user(pd);

	while (!(pd->local ? block_local(pd, mode, g) : block_locked(pd, mode, g, true)))
		;
}

/* ---- open, evict, close ---- */

/*
 * A lane without a group, or alone in it, is the only one that may use its kernel fds (conn_kin())
 * and polls them: its monitor does so for movable gs alone, which a plain pd binds. No second lane
 * can come later: a group's number is fixed before, and lane_join() comes before all pds.
 */
bool netpoll_plain(const struct netpoll_backend *nb)
{
	const struct lane_group *grp = nb->lane->group;

	return nb->local || (nb->solo && (!grp || lane_group_nr(grp) == 1));
}

int netpoll_open(struct netpoll_backend *nb, int fd, struct sock *sk, struct poll_desc **ret_pd)
{
	struct netpoll *np = &nb->lane->np;
	struct poll_desc *pd = pd_get(np, netpoll_plain(nb));
	int err;

	if (!pd)
		return -ENOMEM;
	BUG_ON(pd->rg > PD_READY || pd->wg > PD_READY);
	netpoll_lock(pd);
	pd->lane = nb->lane;
	pd->backend = nb;
	if (nb->local)
		pd->sk = sk;
	else
		pd->fd = fd;
	pd->closing = false;
	pd->hup = false;
	pd->rg = PD_NIL;
	pd->wg = PD_NIL;
	netpoll_deadline_init(pd);
	netpoll_set_event_err(pd, false, 0);
	netpoll_publish_info(pd);
	netpoll_unlock(pd);
	err = nb->ops->open(nb, pd);
	if (err) {
		pd_put(np, pd);
		return err;
	}
	*ret_pd = pd;
	return 0;
}

void netpoll_evict(struct poll_desc *pd)
{
	struct g *rg, *wg;

	netpoll_lock(pd);
	BUG_ON(pd->closing);
	pd->closing = true;
	netpoll_deadline_void(pd);
	/* from elsewhere they stay armed, with seqs of the past, until the owner closes pd */
	if (likely(pd->local || lane_self() == pd->lane))
		netpoll_deadline_stop(pd);
	netpoll_publish_info(pd);
	rg = netpoll_unblock(pd, NETPOLL_READ, false);
	wg = netpoll_unblock(pd, NETPOLL_WRITE, false);
	netpoll_unlock(pd);
	netpoll_wake(pd, rg);
	netpoll_wake(pd, wg);
}

void netpoll_abandon(struct poll_desc *pd)
{
	if (!pd->closing)
		netpoll_deadline_void(pd);
	pd->closing = true;
	pd->rg = PD_NIL;
	pd->wg = PD_NIL;
}

void netpoll_close(struct poll_desc *pd)
{
	struct netpoll_backend *nb = pd->backend;

	BUG_ON(!pd->closing);
	BUG_ON(pd->rg > PD_READY || pd->wg > PD_READY);
	netpoll_deadline_stop(pd);
	nb->ops->close(nb, pd);
	pd_put(&nb->lane->np, pd);
}
