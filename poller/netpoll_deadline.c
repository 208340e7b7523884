/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deadlines of a pd (R22-R29): two times, two timers of the lane's heap, and one timer for
 * both where they are equal. A timer that was changed has another seq, so one that fired
 * before and runs after does nothing.
 *
 * The timers are the owner lane's (R50). Another lane of the group changes rd, wd, the seqs and
 * info under the pd's lock and wakes whom that ends; what the timers must be is told to the owner
 * by pd->rearm, one message for all changes that come before it runs. Until then no armed timer
 * has a seq that holds. (Model: tests/models/netpoll.pml.)
 */
#include "poller/netpoll_deadline.h"

#include "poller/lane_int.h"
#include "stack/base/bug.h"

static void deadline_fire(struct poll_desc *pd, uint32_t seq, bool read, bool write)
{
	struct g *rg = NULL, *wg = NULL;

	netpoll_lock(pd);
	/* R27: a shared timer carries rseq. */
	if (seq != (read ? pd->rseq : pd->wseq)) {
		netpoll_unlock(pd);
		return;
	}
	if (read)
		pd->rd = -1;
	if (write)
		pd->wd = -1;
	netpoll_publish_info(pd);
	if (read)
		rg = netpoll_unblock(pd, NETPOLL_READ, false);
	if (write)
		wg = netpoll_unblock(pd, NETPOLL_WRITE, false);
	netpoll_unlock(pd);
	netpoll_wake(pd, rg);
	netpoll_wake(pd, wg);
}

static void fire_read(struct gtimer *t, uint32_t seq, uint64_t now)
{
	(void)now;
	deadline_fire(t->arg, seq, true, false);
}

static void fire_write(struct gtimer *t, uint32_t seq, uint64_t now)
{
	(void)now;
	deadline_fire(t->arg, seq, false, true);
}

static void fire_both(struct gtimer *t, uint32_t seq, uint64_t now)
{
	(void)now;
	deadline_fire(t->arg, seq, true, true);
}

static void rearm_here(struct lane *l, struct lane_msg *m);

void netpoll_deadline_init(struct poll_desc *pd)
{
	pd->rseq++;
	pd->wseq++;
	pd->rd = 0;
	pd->wd = 0;
	pd->rt.arg = pd;
	pd->wt.arg = pd;
	pd->rearm.fn = rearm_here;
}

void netpoll_deadline_void(struct poll_desc *pd)
{
	pd->rseq++;
	pd->wseq++;
}

void netpoll_deadline_stop(struct poll_desc *pd)
{
	gtimer_stop(&pd->lane->timers, &pd->rt);
	gtimer_stop(&pd->lane->timers, &pd->wt);
}

static void timer_to(struct poll_desc *pd, struct gtimer *t, int64_t when, uint32_t seq,
		     void (*fn)(struct gtimer *t, uint32_t seq, uint64_t now))
{
	struct gtimer_heap *h = &pd->lane->timers;

	if (when <= 0) {
		gtimer_stop(h, t);
		return;
	}
	t->fn = fn;
	/* The block that pd lies in reserved room for both. */
	BUG_ON(gtimer_set(h, t, (uint64_t)when, seq) != 0);
}

/* arm - R25, R26: bring both timers to what rd and wd say. Only what changed is touched, but
 * a change of one may change what the other's timer is for. */
static void arm(struct poll_desc *pd, int64_t old_rd, int64_t old_wd)
{
	bool was = old_rd > 0 && old_rd == old_wd, both = pd->rd > 0 && pd->rd == pd->wd;

	if (pd->rd != old_rd || was != both) {
		pd->rseq++;
		timer_to(pd, &pd->rt, pd->rd, pd->rseq, both ? fire_both : fire_read);
	}
	if (pd->wd != old_wd || was != both) {
		pd->wseq++;
		timer_to(pd, &pd->wt, both ? 0 : pd->wd, pd->wseq, fire_write);
	}
}

/* rearm_here - both timers to what rd and wd are by now. pd may be closed, or another fd's: it
 * is type-stable (R17), and what it says holds. */
static void rearm_here(struct lane *l, struct lane_msg *m)
{
	struct poll_desc *pd = container_of(m, struct poll_desc, rearm);
	bool both;

	(void)l;
	/* First the flag, then the look: who changes more after it sends again. */
	(void)__atomic_exchange_n(&pd->rearming, false, __ATOMIC_SEQ_CST);
	netpoll_lock(pd);
	if (!pd->closing) {
		both = pd->rd > 0 && pd->rd == pd->wd;
		timer_to(pd, &pd->rt, pd->rd, pd->rseq, both ? fire_both : fire_read);
		timer_to(pd, &pd->wt, both ? 0 : pd->wd, pd->wseq, fire_write);
	}
	netpoll_unlock(pd);
}

/* R22: what a caller's absolute time means. Exactly now is over. */
static int64_t deadline_of(uint64_t deadline, uint64_t now)
{
	if (deadline == 0)
		return 0;
	if (deadline <= now)
		return -1;
	return deadline > INT64_MAX ? INT64_MAX : (int64_t)deadline;
}

void netpoll_set_deadline(struct poll_desc *pd, uint64_t deadline, unsigned mode)
{
	struct lane *self = pd->local ? pd->lane : lane_self();
	int64_t d = deadline_of(deadline, lane_now(self)), old_rd, old_wd;
	struct g *rg = NULL, *wg = NULL;
	bool tell = false;

	netpoll_lock(pd);
	if (pd->closing) { /* R23 */
		netpoll_unlock(pd);
		return;
	}
	old_rd = pd->rd;
	old_wd = pd->wd;
	if (mode & NETPOLL_READ)
		pd->rd = d;
	if (mode & NETPOLL_WRITE)
		pd->wd = d;
	if (likely(self == pd->lane)) {
		arm(pd, old_rd, old_wd);
	} else if (pd->rd != old_rd || pd->wd != old_wd) {
		netpoll_deadline_void(pd);
		tell = !__atomic_exchange_n(&pd->rearming, true, __ATOMIC_SEQ_CST);
	}
	netpoll_publish_info(pd);
	if (pd->rd < 0) /* R28 */
		rg = netpoll_unblock(pd, NETPOLL_READ, false);
	if (pd->wd < 0)
		wg = netpoll_unblock(pd, NETPOLL_WRITE, false);
	netpoll_unlock(pd);
	netpoll_wake(pd, rg);
	netpoll_wake(pd, wg);
	if (tell)
		lane_post(pd->lane, &pd->rearm);
}
