/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The netpoller's requirements one by one, on a virtual lane with a fake backend: each test
 * runs over local pds (plain accesses) and over locked ones.
 */
#include "poller_pd_env.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "poller/netpoll_deadline.h"
#include "poller/parklane/go.h"

BOTH_FATAL(R01_second_waiter_of_a_direction_is_fatal)
{
	struct wait a = {.mode = NETPOLL_READ}, b = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	start(e, &a);
	start(e, &b);
}

BOTH(R01_reader_and_writer_wait_together)
{
	struct wait r = {.mode = NETPOLL_READ}, w = {.mode = NETPOLL_WRITE};

	pd = open_pd(e);
	start(e, &r);
	start(e, &w);
	cr_assert_gt(pd->rg, PD_WAIT);
	cr_assert_gt(pd->wg, PD_WAIT);
	netpoll_ready(pd, NETPOLL_WRITE);
	env_turns(e, 1);
	cr_assert(w.done && !r.done);
	netpoll_ready(pd, NETPOLL_READ);
	env_turns(e, 1);
	cr_assert(r.done);
	close_pd(pd);
}

BOTH(R02_ready_is_taken_without_parking)
{
	struct wait w = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	netpoll_ready(pd, NETPOLL_READ);
	cr_assert_eq(pd->rg, PD_READY);
	start(e, &w);
	cr_assert(w.done);
	cr_assert_eq(w.err, 0);
	cr_assert_eq(pd->rg, PD_NIL);
	cr_assert_eq(e->fake.waiters, 0);
	close_pd(pd);
}

BOTH(R03_error_before_the_park_is_seen_and_leaves_no_waiter)
{
	struct wait w = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	netpoll_set_deadline(pd, 1, NETPOLL_READ);
	start(e, &w);
	cr_assert(w.done);
	cr_assert_eq(w.err, -ETIME);
	cr_assert_eq(pd->rg, PD_NIL);
	cr_assert_eq(e->fake.waiters, 0);
	close_pd(pd);
}

/*
 * R3's window: what others do between the look at the error with which a wait begins and the
 * publishing of WAIT. The pd's page cannot be written, so that the exchange which publishes it
 * stops in a signal; there they do it, and then the exchange is done.
 */
static void *window;
static void (*in_window)(void);

static void window_opens(int sig)
{
	if (!window || mprotect(window, NETPOLL_BLOCK, PROT_READ | PROT_WRITE))
		_exit(100 + sig);
	window = NULL;
	in_window();
}

/* wait_with - a read of pd, whose err is `err`. */
static void wait_with(struct env *e, void (*fn)(void), int err)
{
	struct sigaction sa = {.sa_handler = window_opens, .sa_flags = SA_ONSTACK};
	struct wait w = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	env_go(e, waits, &w);
	cr_assert_eq(sigaction(SIGSEGV, &sa, NULL), 0);
	in_window = fn;
	window = (void *)((uintptr_t)pd & ~(uintptr_t)(NETPOLL_BLOCK - 1));
	cr_assert_eq(mprotect(window, NETPOLL_BLOCK, PROT_READ), 0);
	env_turns(e, 1);
	cr_assert_null(window, "it was opened");
	cr_assert(w.done);
	cr_assert_eq(w.err, err);
	cr_assert_eq(pd->rg, PD_NIL);
	cr_assert_eq(netpoll_waiters(&e->fake), 0);
	close_pd(pd);
}

static void closes_in_window(void)
{
	netpoll_evict(pd);
}

static void expires_in_window(void)
{
	netpoll_set_deadline(pd, 1, NETPOLL_READ);
}

static void event_in_window(void)
{
	netpoll_ready(pd, NETPOLL_READ);
}

Test(netpoll_locked, test_netpoll_R03_close_event_deadline_between_the_look_and_the_park)
{
	struct env e;

	if (NETPOLL_BLOCK % sysconf(_SC_PAGESIZE))
		cr_skip("a page holds more than a block of pds");
	pd_env_init(&e, false);
	wait_with(&e, closes_in_window, -EBADF);
	wait_with(&e, expires_in_window, -ETIME);
	wait_with(&e, event_in_window, 0);
	env_fini(&e);
}

BOTH(R04_waiter_is_in_the_word_and_counted_once_parked)
{
	struct wait w = {.mode = NETPOLL_WRITE};

	pd = open_pd(e);
	start(e, &w);
	cr_assert_not(w.done);
	cr_assert_gt(pd->wg, PD_WAIT);
	cr_assert_eq(e->fake.waiters, 1);
	cr_assert_eq(((struct g *)pd->wg)->state, G_WAITING);
	cr_assert_eq(((struct g *)pd->wg)->why, WAIT_IO_WRITE);
	netpoll_ready(pd, NETPOLL_WRITE);
	env_turns(e, 1);
	close_pd(pd);
}

BOTH(R05_wake_leaves_nil_and_a_second_ready_is_kept)
{
	struct wait w = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	start(e, &w);
	netpoll_ready(pd, NETPOLL_READ);
	netpoll_ready(pd, NETPOLL_READ);
	env_turns(e, 1);
	cr_assert(w.done);
	cr_assert_eq(w.err, 0);
	cr_assert_eq(pd->rg, PD_NIL);
	netpoll_ready(pd, NETPOLL_READ);
	cr_assert_eq(pd->rg, PD_READY, "a READY that comes late is not lost");
	close_pd(pd);
}

BOTH(R06_timeout_leaves_no_token)
{
	struct wait w = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ);
	e->now += 10;
	env_turns(e, 1);
	cr_assert_eq(pd->rg, PD_NIL, "nobody waits: nothing is left behind");
	netpoll_ready(pd, NETPOLL_READ);
	netpoll_set_deadline(pd, 1, NETPOLL_READ);
	cr_assert_eq(pd->rg, PD_READY, "and a timeout does not take a READY away");
	start(e, &w);
	cr_assert_eq(w.err, -ETIME);
	close_pd(pd);
}

BOTH(R07_edge_without_waiter_is_remembered)
{
	struct wait w = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	netpoll_ready(pd, NETPOLL_READ | NETPOLL_WRITE);
	netpoll_ready(pd, NETPOLL_READ | NETPOLL_WRITE);
	cr_assert_eq(pd->rg, PD_READY);
	cr_assert_eq(pd->wg, PD_READY);
	start(e, &w);
	cr_assert(w.done);
	start(e, &w);
	cr_assert_not(w.done, "two edges are one memory");
	close_pd(pd);
	env_turns(e, 1);
}

static unsigned tries;

static void tries_again(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(netpoll_wait(pd, NETPOLL_READ), 0);
		tries++;
	}
}

BOTH(R08_spurious_ready_lets_the_caller_try_and_wait_again)
{
	tries = 0;
	pd = open_pd(e);
	env_go(e, tries_again, NULL);
	env_turns(e, 1);
	for (unsigned i = 1; i <= 3; i++) {
		netpoll_ready(pd, NETPOLL_READ);
		env_turns(e, 1);
		cr_assert_eq(tries, i);
	}
	close_pd(pd);
}

BOTH(R09_reset_forgets_old_edges_and_tells_the_error)
{
	struct wait w = {.mode = NETPOLL_READ, .reset = true};

	pd = open_pd(e);
	netpoll_ready(pd, NETPOLL_READ);
	start(e, &w);
	cr_assert_not(w.done, "the old edge does not count");
	netpoll_ready(pd, NETPOLL_READ);
	env_turns(e, 1);
	cr_assert(w.done && w.err == 0);
	netpoll_evict(pd);
	start(e, &w);
	cr_assert_eq(w.err, -EBADF);
	close_pd(pd);
}

BOTH(R10_deadline_fired_and_moved_before_the_waiter_ran_is_silent)
{
	struct wait w = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ);
	start(e, &w);
	/* The waiter is made runnable, and the deadline moved before it gets to run. */
	netpoll_set_deadline(pd, 1, NETPOLL_READ);
	netpoll_set_deadline(pd, e->now + 100, NETPOLL_READ);
	env_turns(e, 1);
	cr_assert_not(w.done);
	cr_assert_eq(e->fake.waiters, 1);
	e->now += 100;
	env_turns(e, 1);
	cr_assert(w.done);
	cr_assert_eq(w.err, -ETIME);
	close_pd(pd);
}

BOTH(R11_wait_canceled_ignores_deadline_and_close)
{
	struct wait w = {.mode = NETPOLL_WRITE, .canceled = true};

	pd = open_pd(e);
	start(e, &w);
	netpoll_set_deadline(pd, 1, NETPOLL_WRITE);
	env_turns(e, 2);
	cr_assert_not(w.done);
	netpoll_evict(pd);
	env_turns(e, 2);
	cr_assert_not(w.done);
	netpoll_ready(pd, NETPOLL_WRITE);
	env_turns(e, 2);
	cr_assert(w.done);
	close_pd(pd);
}

BOTH(R12_order_is_closing_deadline_event_error)
{
	pd = open_pd(e);
	netpoll_set_event_err(pd, true, 0);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_READ), -EIO);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_WRITE), 0, "the read side only");
	netpoll_set_deadline(pd, 1, NETPOLL_READ);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_READ), -ETIME);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_WRITE), 0, "each direction its own");
	netpoll_evict(pd);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_READ), -EBADF);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_WRITE), -EBADF);
	close_pd(pd);
}

BOTH(R13_next_event_clears_the_event_error)
{
	pd = open_pd(e);
	netpoll_set_event_err(pd, true, pd->fdseq);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_READ), -EIO);
	netpoll_set_event_err(pd, false, pd->fdseq);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_READ), 0);
	close_pd(pd);
}

BOTH(R14_open_starts_clean_whatever_the_pd_was_before)
{
	struct poll_desc *first;
	uint32_t rseq, wseq;

	pd = open_pd(e);
	first = pd;
	netpoll_ready(pd, NETPOLL_READ | NETPOLL_WRITE);
	netpoll_set_event_err(pd, true, 0);
	netpoll_set_deadline(pd, 1, NETPOLL_READ | NETPOLL_WRITE);
	pd->hup = true;
	close_pd(pd);
	rseq = first->rseq;
	wseq = first->wseq;
	pd = open_pd(e);
	cr_assert_eq(pd, first);
	cr_assert(pd->rg == PD_NIL && pd->wg == PD_NIL);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_READ), 0);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_WRITE), 0);
	cr_assert(pd->rd == 0 && pd->wd == 0 && !pd->hup && !pd->closing);
	cr_assert(pd->rseq != rseq && pd->wseq != wseq);
	close_pd(pd);
}

BOTH(R14_open_that_the_backend_refuses_gives_the_pd_back)
{
	e->open_err = -ENOSPC;
	pd = NULL;
	cr_assert_eq(netpoll_open(&e->fake, 7, NULL, &pd), -ENOSPC);
	cr_assert_null(pd);
	cr_assert_eq(e->lane->np.nr_open, 0);
	e->open_err = 0;
	pd = open_pd(e);
	close_pd(pd);
}

BOTH(R15_evict_wakes_both_directions_and_stops_the_timers)
{
	struct wait r = {.mode = NETPOLL_READ}, w = {.mode = NETPOLL_WRITE};

	pd = open_pd(e);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ);
	start(e, &r);
	start(e, &w);
	netpoll_evict(pd);
	cr_assert_eq(e->fake.waiters, 0);
	env_turns(e, 1);
	cr_assert(r.done && r.err == -EBADF);
	cr_assert(w.done && w.err == -EBADF);
	cr_assert_eq(gtimer_next(&e->lane->timers), 0);
	close_pd(pd);
}

BOTH_FATAL(R15_second_evict_is_fatal)
{
	pd = open_pd(e);
	netpoll_evict(pd);
	netpoll_evict(pd);
}

BOTH_FATAL(R16_close_without_evict_is_fatal)
{
	pd = open_pd(e);
	netpoll_close(pd);
}

BOTH_FATAL(R16_close_with_a_g_stored_is_fatal)
{
	static struct g somebody;

	pd = open_pd(e);
	netpoll_evict(pd);
	pd->wg = (uintptr_t)&somebody;
	netpoll_close(pd);
}

BOTH(R16_close_deregisters)
{
	pd = open_pd(e);
	netpoll_evict(pd);
	cr_assert_eq(e->closed, 0);
	netpoll_close(pd);
	cr_assert_eq(e->closed, 1);
}

BOTH(R17_pds_lie_in_blocks_and_are_used_again)
{
	static struct poll_desc *all[300];
	uint32_t carved;

	for (int i = 0; i < 300; i++)
		all[i] = open_pd(e);
	carved = e->lane->np.nr_pds;
	for (int i = 0; i < 300; i++) {
		cr_assert_eq((uintptr_t)all[i] % CACHE_LINE, 0);
		close_pd(all[i]);
	}
	for (int i = 0; i < 300; i++)
		all[i] = open_pd(e);
	cr_assert_eq(e->lane->np.nr_pds, carved);
	for (int i = 0; i < 300; i++)
		close_pd(all[i]);
}

BOTH(R18_info_carries_every_error_and_the_fdseq)
{
	pd = open_pd(e);
	cr_assert_eq(pd->info, pd->fdseq << PD_INFO_SEQ_SHIFT);
	netpoll_set_deadline(pd, 1, NETPOLL_READ);
	cr_assert(pd->info & PD_INFO_RD_EXPIRED);
	cr_assert_not(pd->info & PD_INFO_WR_EXPIRED);
	netpoll_set_deadline(pd, 1, NETPOLL_WRITE);
	cr_assert(pd->info & PD_INFO_WR_EXPIRED);
	netpoll_evict(pd);
	cr_assert(pd->info & PD_INFO_CLOSING);
	close_pd(pd);
}

BOTH(R19_publish_keeps_the_event_error)
{
	pd = open_pd(e);
	netpoll_set_event_err(pd, true, 0);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ);
	cr_assert(pd->info & PD_INFO_EVENT_ERR);
	close_pd(pd);
}

BOTH(R20_event_error_of_another_fdseq_is_ignored)
{
	pd = open_pd(e);
	netpoll_set_event_err(pd, true, pd->fdseq + 1);
	cr_assert_not(pd->info & PD_INFO_EVENT_ERR);
	netpoll_set_event_err(pd, true, pd->fdseq);
	cr_assert(pd->info & PD_INFO_EVENT_ERR);
	netpoll_set_event_err(pd, false, 0);
	cr_assert_not(pd->info & PD_INFO_EVENT_ERR, "0 means any");
	close_pd(pd);
}

BOTH(R21_fdseq_grows_when_freed_and_skips_zero)
{
	struct poll_desc *first;
	uint32_t seq;

	pd = open_pd(e);
	first = pd;
	seq = pd->fdseq;
	close_pd(pd);
	cr_assert_eq(netpoll_info_seq(first), seq + 1, "a late event sees it at once");
	first->fdseq = 0xfffff;
	pd = open_pd(e);
	cr_assert_eq(pd->fdseq, 0xfffff);
	close_pd(pd);
	cr_assert_eq(first->fdseq, 1);
}

static int paper_open(struct netpoll_backend *nb, struct poll_desc *p)
{
	(void)nb, (void)p;
	return 0;
}

static void paper_close(struct netpoll_backend *nb, struct poll_desc *p)
{
	(void)nb, (void)p;
}

static const struct netpoll_ops paper_ops = {
	.name = "paper",
	.open = paper_open,
	.close = paper_close,
};

/* The monitor may be between its look at the tag and the delivery while the lane closes that pd
 * and opens another one (R44): with plain accesses that event would be a race. */
BOTH(R21_pds_of_one_kind_are_never_used_for_the_other)
{
	bool kind = e->fake.local;
	struct netpoll_backend other = {.ops = &paper_ops, .lane = e->lane, .local = !kind};
	struct poll_desc *first, *p;

	first = open_pd(e);
	cr_assert_eq(first->local, kind);
	close_pd(first);
	cr_assert_eq(netpoll_open(&other, 7, NULL, &p), 0);
	cr_assert_neq(p, first);
	cr_assert_eq(p->local, !kind);
	cr_assert_eq(first->local, kind);
	pd = open_pd(e);
	cr_assert_eq(pd, first, "the newest of its own kind");
	close_pd(p);
	close_pd(pd);
}

BOTH(R30_R31_waiters_return_to_zero_after_many_parks)
{
	static struct wait w[200];
	static struct poll_desc *all[200];

	for (int i = 0; i < 200; i++) {
		all[i] = pd = open_pd(e);
		w[i] = (struct wait){.mode = i % 2 ? NETPOLL_READ : NETPOLL_WRITE};
		start(e, &w[i]);
	}
	cr_assert_eq(e->fake.waiters, 200);
	for (int i = 0; i < 200; i++) {
		if (i % 3 == 0)
			netpoll_ready(all[i], NETPOLL_READ | NETPOLL_WRITE);
		else if (i % 3 == 1)
			netpoll_set_deadline(all[i], 1, NETPOLL_READ | NETPOLL_WRITE);
		else
			netpoll_evict(all[i]);
	}
	cr_assert_eq(e->fake.waiters, 0);
	env_turns(e, 5);
	for (int i = 0; i < 200; i++) {
		cr_assert(w[i].done);
		close_pd(all[i]);
	}
}

static int order[64], nr_order;

static void waits_in_order(void *arg)
{
	struct poll_desc **p = arg;

	cr_assert_eq(netpoll_wait(*p, NETPOLL_READ), 0);
	order[nr_order++] = (int)(*p)->rseq;
}

BOTH(R37_woken_gs_run_first_in_first_out)
{
	static struct poll_desc *all[32];

	nr_order = 0;
	for (int i = 0; i < 32; i++) {
		all[i] = open_pd(e);
		all[i]->rseq = (uint32_t)i;
		env_go(e, waits_in_order, &all[i]);
	}
	env_turns(e, 1);
	for (int i = 31; i >= 0; i--)
		netpoll_ready(all[i], NETPOLL_READ);
	env_turns(e, 1);
	cr_assert_eq(nr_order, 32);
	for (int i = 0; i < 32; i++)
		cr_assert_eq(order[i], 31 - i);
	for (int i = 0; i < 32; i++)
		close_pd(all[i]);
}

BOTH(R38_lane_without_pds_polls_nothing)
{
	cr_assert_eq(env_turns(e, 3), 0);
	cr_assert_eq(e->lane->np.nr_pds, 0);
	pd = NULL;
	cr_assert_eq(e->fake.waiters, 0);
}

/* A word in WAIT, set by hand: the waiter is between R2 and R4. Events leave what its commit
 * will find, and wake nobody. Only locked pds have this state. */
Test(netpoll_locked, test_netpoll_R06_a_waiter_that_is_not_parked_yet_is_left_to_its_commit)
{
	struct env e;

	env_init(&e, false);
	pd = open_pd(&e);
	pd->rg = PD_WAIT;
	netpoll_ready(pd, NETPOLL_READ);
	cr_assert_eq(pd->rg, PD_READY);
	pd->rg = PD_WAIT;
	cr_assert_null(netpoll_unblock(pd, NETPOLL_READ, false));
	cr_assert_eq(pd->rg, PD_NIL, "a timeout leaves no token here either");
	cr_assert_eq(e.fake.waiters, 0);
	close_pd(pd);
	env_fini(&e);
}
