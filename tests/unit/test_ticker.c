/* SPDX-License-Identifier: BSD-3-Clause */
/* Tickers in virtual time. */
#include "poller_env.h"

#include <errno.h>

#include <parklane/ticker.h>

static struct pl_ticker *t;
static uint64_t at[16];
static unsigned nr;
static int64_t delay, period;

static void makes(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ticker_make(delay, period, &t), 0);
}

static void listens(void *arg)
{
	(void)arg;
	while (pl_chan_recv(pl_ticker_chan(t), &at[nr]) == 1)
		nr++;
}

static void try_listens(void *arg)
{
	(void)arg;
	while (pl_chan_try_recv(pl_ticker_chan(t), &at[nr]) == 1)
		nr++;
}

static void frees(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ticker_free(t), 0);
}

static void begin(struct env *e, int64_t d, int64_t p, void (*fn)(void *arg))
{
	env_init(e, true);
	delay = d;
	period = p;
	env_go(e, makes, NULL);
	env_turns(e, 1);
	if (fn) {
		env_go(e, fn, NULL);
		env_turns(e, 1);
	}
}

static void end(struct env *e)
{
	env_go(e, frees, NULL);
	env_turns(e, 1);
	cr_assert_eq(e->lane->timers.n, 0);
	env_fini(e);
}

static void advance(struct env *e, uint64_t ns)
{
	e->now += ns;
	env_turns(e, 2);
}

static void tries(struct env *e)
{
	env_go(e, try_listens, NULL);
	env_turns(e, 1);
}

static void bad_args(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ticker_make(-1, 0, &t), -EINVAL);
	cr_assert_eq(pl_ticker_make(0, -1, &t), -EINVAL);
	cr_assert_null(pl_ticker_chan(NULL));
	cr_assert_eq(pl_ticker_free(NULL), 0);
}

Test(ticker, test_ticker_bad_arguments_are_refused)
{
	struct env e;

	cr_assert_eq(pl_ticker_make(1, 1, &t), -EXDEV);
	env_init(&e, true);
	env_go(&e, bad_args, NULL);
	env_turns(&e, 1);
	env_fini(&e);
}

Test(ticker, test_ticker_ticks_every_period)
{
	static const uint64_t want[] = {1100, 1110, 1120};
	struct env e;

	begin(&e, 100, 10, try_listens);
	for (unsigned i = 0; i < 3; i++) {
		advance(&e, i ? 9 : 99);
		tries(&e);
		cr_assert_eq(nr, i, "never early");
		advance(&e, 1);
		tries(&e);
		cr_assert_eq(nr, i + 1);
		cr_assert_eq(at[i], want[i]);
	}
	end(&e);
}

Test(ticker, test_ticker_without_period_ticks_once)
{
	struct env e;

	begin(&e, 0, 0, NULL);
	advance(&e, 1000);
	advance(&e, 1000);
	tries(&e);
	cr_assert_eq(nr, 1);
	cr_assert_eq(e.lane->timers.n, 0);
	end(&e);
}

Test(ticker, test_ticker_drops_ticks_for_a_slow_receiver)
{
	struct env e;

	begin(&e, 10, 10, NULL);
	for (int i = 0; i < 5; i++)
		advance(&e, 10);
	tries(&e);
	cr_assert_eq(nr, 1);
	cr_assert_eq(at[0], 1010, "the oldest is kept");
	advance(&e, 10);
	tries(&e);
	cr_assert(nr == 2 && at[1] == 1060);
	end(&e);
}

Test(ticker, test_ticker_late_lane_gets_one_tick_and_the_old_rhythm)
{
	struct env e;

	begin(&e, 10, 10, NULL);
	advance(&e, 37);
	tries(&e);
	cr_assert(nr == 1 && at[0] == 1037);
	advance(&e, 2);
	tries(&e);
	cr_assert_eq(nr, 1);
	advance(&e, 1);
	tries(&e);
	cr_assert(nr == 2 && at[1] == 1040);
	end(&e);
}

static void resets(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ticker_reset(t, -1, 0), -EINVAL);
	cr_assert_eq(pl_ticker_reset(t, 5, 0), 0);
}

static void stops(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ticker_stop(t), 0);
}

Test(ticker, test_ticker_reset_and_stop_forget_a_tick)
{
	struct env e;

	begin(&e, 10, 10, NULL);
	advance(&e, 10);
	env_go(&e, resets, NULL);
	env_turns(&e, 1);
	tries(&e);
	cr_assert_eq(nr, 0);
	advance(&e, 5);
	tries(&e);
	cr_assert(nr == 1 && at[0] == 1015);
	env_go(&e, resets, NULL);
	env_turns(&e, 1);
	advance(&e, 5);
	env_go(&e, stops, NULL);
	env_turns(&e, 1);
	advance(&e, 100);
	tries(&e);
	cr_assert_eq(nr, 1);
	end(&e);
}

static void foreign(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ticker_stop(t), -EXDEV);
	cr_assert_eq(pl_ticker_reset(t, 1, 1), -EXDEV);
	cr_assert_eq(pl_ticker_free(t), -EXDEV);
}

Test(ticker, test_ticker_belongs_to_its_lane)
{
	struct env e, other;

	begin(&e, 10, 10, NULL);
	env_init(&other, true);
	env_go(&other, foreign, NULL);
	env_turns(&other, 1);
	env_fini(&other);
	end(&e);
}

Test(ticker, test_ticker_wakes_a_parked_receiver)
{
	struct env e;

	begin(&e, 10, 10, listens);
	for (int i = 0; i < 3; i++)
		advance(&e, 10);
	cr_assert_eq(nr, 3);
	env_fini(&e);
}
