/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deadlines of pds, requirement by requirement (R22-R29), over local and locked pds.
 */
#include "poller_pd_env.h"

#include <errno.h>
#include <signal.h>

BOTH(R24_rd_and_wd_hold_absolute_time_none_or_expired)
{
	pd = open_pd(e);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ);
	cr_assert_eq(pd->rd, (int64_t)(e->now + 10));
	cr_assert_eq(pd->wd, 0);
	netpoll_set_deadline(pd, e->now + 20, NETPOLL_WRITE);
	e->now += 10;
	env_turns(e, 1);
	cr_assert_eq(pd->rd, -1);
	cr_assert_eq(pd->wd, (int64_t)(e->now + 10));
	netpoll_set_deadline(pd, 0, NETPOLL_READ | NETPOLL_WRITE);
	cr_assert_eq(pd->rd, 0);
	cr_assert_eq(pd->wd, 0);
	close_pd(pd);
}

BOTH(R22_exactly_now_is_over_far_future_saturates_zero_is_none)
{
	pd = open_pd(e);
	env_turns(e, 1);
	netpoll_set_deadline(pd, lane_now(e->lane), NETPOLL_READ);
	cr_assert_eq(pd->rd, -1);
	netpoll_set_deadline(pd, UINT64_MAX, NETPOLL_READ);
	cr_assert_eq(pd->rd, INT64_MAX);
	netpoll_set_deadline(pd, 0, NETPOLL_READ);
	cr_assert_eq(pd->rd, 0);
	cr_assert_eq(gtimer_next(&e->lane->timers), 0);
	close_pd(pd);
}

BOTH(R23_deadline_after_evict_is_nothing)
{
	pd = open_pd(e);
	netpoll_evict(pd);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ | NETPOLL_WRITE);
	cr_assert_eq(pd->rd, 0);
	cr_assert_eq(gtimer_next(&e->lane->timers), 0);
	close_pd(pd);
}

BOTH(R25_equal_deadlines_share_a_timer)
{
	struct wait r = {.mode = NETPOLL_READ}, w = {.mode = NETPOLL_WRITE};

	pd = open_pd(e);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ | NETPOLL_WRITE);
	cr_assert_neq(pd->rt.when, 0);
	cr_assert_eq(pd->wt.when, 0);
	start(e, &r);
	start(e, &w);
	e->now += 10;
	env_turns(e, 1);
	cr_assert(r.done && r.err == -ETIME);
	cr_assert(w.done && w.err == -ETIME);
	close_pd(pd);
}

BOTH(R25_a_shared_timer_splits_when_one_moves)
{
	struct wait r = {.mode = NETPOLL_READ}, w = {.mode = NETPOLL_WRITE};

	pd = open_pd(e);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ | NETPOLL_WRITE);
	netpoll_set_deadline(pd, e->now + 30, NETPOLL_READ);
	start(e, &r);
	start(e, &w);
	e->now += 10;
	env_turns(e, 1);
	cr_assert(w.done && w.err == -ETIME, "the writer keeps its own");
	cr_assert_not(r.done);
	e->now += 20;
	env_turns(e, 1);
	cr_assert(r.done && r.err == -ETIME);
	close_pd(pd);
}

BOTH(R26_a_timer_that_fired_for_an_older_deadline_is_ignored)
{
	struct wait w = {.mode = NETPOLL_READ};
	uint32_t old_seq;

	pd = open_pd(e);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_READ);
	old_seq = pd->rt.seq;
	start(e, &w);
	netpoll_set_deadline(pd, e->now + 100, NETPOLL_READ);
	cr_assert_neq(pd->rt.seq, old_seq);
	pd->rt.fn(&pd->rt, old_seq, e->now + 10);
	env_turns(e, 1);
	cr_assert_not(w.done);
	cr_assert_eq(pd->rd, (int64_t)e->now + 100);
	close_pd(pd);
	env_turns(e, 1);
}

BOTH(R27_timer_expires_its_direction_only)
{
	struct wait r = {.mode = NETPOLL_READ}, w = {.mode = NETPOLL_WRITE};

	pd = open_pd(e);
	netpoll_set_deadline(pd, e->now + 10, NETPOLL_WRITE);
	start(e, &r);
	start(e, &w);
	e->now += 9;
	env_turns(e, 1);
	cr_assert_not(w.done, "never early");
	e->now += 1;
	env_turns(e, 1);
	cr_assert(w.done && w.err == -ETIME);
	cr_assert_not(r.done);
	cr_assert_eq(pd->wd, -1);
	close_pd(pd);
	env_turns(e, 1);
}

BOTH(R28_past_deadline_wakes_at_once_and_a_future_one_clears_it)
{
	struct wait w = {.mode = NETPOLL_READ};

	pd = open_pd(e);
	start(e, &w);
	netpoll_set_deadline(pd, 1, NETPOLL_READ);
	cr_assert_eq(e->fake.waiters, 0);
	env_turns(e, 1);
	cr_assert(w.done && w.err == -ETIME);
	netpoll_set_deadline(pd, e->now + 100, NETPOLL_READ);
	start(e, &w);
	cr_assert_not(w.done);
	netpoll_ready(pd, NETPOLL_READ);
	env_turns(e, 1);
	cr_assert(w.done && w.err == 0);
	close_pd(pd);
}

BOTH(R29_expired_deadline_fails_even_when_ready)
{
	struct wait w = {.mode = NETPOLL_READ, .reset = true};

	pd = open_pd(e);
	netpoll_ready(pd, NETPOLL_READ);
	netpoll_set_deadline(pd, 1, NETPOLL_READ);
	start(e, &w);
	cr_assert_eq(w.err, -ETIME);
	close_pd(pd);
}
