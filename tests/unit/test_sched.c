/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler on a virtual lane: order, budgets, park and its commit, sleep, birth and
 * death.
 */
#include "poller_env.h"

#include <errno.h>
#include <signal.h>

#include "poller/parklane/go.h"

#define MAX_LOG 4096

static int order[MAX_LOG];
static unsigned nr_order;

static void note(int v)
{
	cr_assert_lt(nr_order, (unsigned)MAX_LOG);
	order[nr_order++] = v;
}

static void note_arg(void *arg)
{
	note((int)(intptr_t)arg);
}

Test(sched, test_sched_gs_run_in_the_order_of_their_start)
{
	struct env e;

	env_init(&e, true);
	for (int i = 0; i < 10; i++)
		env_go(&e, note_arg, (void *)(intptr_t)i);
	cr_assert_eq(lane_nr_g(e.lane), 10);
	cr_assert_eq(env_turns(&e, 1), 10);
	cr_assert_eq(nr_order, 10);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(order[i], i);
	cr_assert_eq(lane_nr_g(e.lane), 0);
	env_fini(&e);
}

Test(sched, test_sched_turn_runs_at_most_64)
{
	struct env e;

	env_init(&e, true);
	for (int i = 0; i < 200; i++)
		env_go(&e, note_arg, (void *)(intptr_t)i);
	cr_assert_eq(env_turns(&e, 1), 64);
	cr_assert_eq(env_turns(&e, 1), 64);
	cr_assert_eq(env_turns(&e, 1), 64);
	cr_assert_eq(env_turns(&e, 1), 8);
	cr_assert_eq(env_turns(&e, 1), 0);
	env_fini(&e);
}

static void yields(void *arg)
{
	for (int i = 0; i < 3; i++) {
		note((int)(intptr_t)arg);
		pl_yield();
	}
}

Test(sched, test_sched_yield_comes_back_next_turn_at_the_tail)
{
	static const int want[] = {1, 2, 1, 2, 1, 2};
	struct env e;

	env_init(&e, true);
	env_go(&e, yields, (void *)1);
	env_go(&e, yields, (void *)2);
	for (unsigned t = 1; t <= 3; t++) {
		cr_assert_eq(env_turns(&e, 1), 2);
		cr_assert_eq(nr_order, 2 * t);
	}
	cr_assert_eq(env_turns(&e, 1), 2, "both end");
	for (int i = 0; i < 6; i++)
		cr_assert_eq(order[i], want[i]);
	env_fini(&e);
}

static struct g *parked[64];

static bool remember(struct g *g, void *arg)
{
	parked[(intptr_t)arg] = g;
	return true;
}

static void parks(void *arg)
{
	sched_park(remember, arg, WAIT_SEMA);
	note((int)(intptr_t)arg);
}

static void wakes_two(void *arg)
{
	(void)arg;
	sched_ready(parked[1]);
	sched_ready(parked[2]);
	note(100);
}

Test(sched, test_sched_first_woken_jumps_the_queue_second_goes_to_the_tail)
{
	static const int want[] = {100, 1, 50, 2};
	struct env e;

	env_init(&e, true);
	env_go(&e, parks, (void *)1);
	env_go(&e, parks, (void *)2);
	env_turns(&e, 1);
	cr_assert_eq(nr_order, 0);
	env_go(&e, wakes_two, NULL);
	env_go(&e, note_arg, (void *)50);
	cr_assert_eq(env_turns(&e, 1), 3, "the second woken one waits for the next turn");
	cr_assert_eq(env_turns(&e, 1), 1);
	for (int i = 0; i < 4; i++)
		cr_assert_eq(order[i], want[i]);
	env_fini(&e);
}

static struct g *pair[2];
static unsigned hops;

static bool remember_pair(struct g *g, void *arg)
{
	pair[(intptr_t)arg] = g;
	return true;
}

/* Two gs that wake each other for ever. */
static void plays(void *arg)
{
	intptr_t me = (intptr_t)arg;

	for (;;) {
		hops++;
		if (pair[1 - me]) {
			struct g *other = pair[1 - me];

			pair[1 - me] = NULL;
			sched_ready(other);
		}
		sched_park(remember_pair, arg, WAIT_SEMA);
	}
}

Test(sched, test_sched_run_next_chain_ends_after_16)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, plays, (void *)0);
	env_turns(&e, 1);
	env_go(&e, plays, (void *)1);
	hops = 0;
	cr_assert_eq(env_turns(&e, 1), 1 + SCHED_CHAIN_MAX);
	cr_assert_eq(hops, 1 + SCHED_CHAIN_MAX);
	cr_assert_eq(env_turns(&e, 1), 1 + SCHED_CHAIN_MAX, "and goes on in the next turn");
	env_fini(&e);
}

static bool saw_off_stack;

static bool refuse(struct g *g, void *arg)
{
	(void)arg;
	saw_off_stack = g->sp != NULL && g->sched->cur != g;
	return false;
}

static void refused(void *arg)
{
	(void)arg;
	note(1);
	sched_park(refuse, NULL, WAIT_SEMA);
	note(2);
}

Test(sched, test_netpoll_R04_commit_runs_off_the_stack_and_refusal_goes_on_at_once)
{
	static const int want[] = {1, 50, 2, 51};
	struct env e;

	env_init(&e, true);
	env_go(&e, refused, NULL);
	env_go(&e, note_arg, (void *)50);
	env_go(&e, note_arg, (void *)51);
	env_turns(&e, 1);
	cr_assert(saw_off_stack);
	cr_assert_eq(nr_order, 4);
	/* 50 was on its way already when the commit spoke; 51 was not. */
	for (int i = 0; i < 4; i++)
		cr_assert_eq(order[i], want[i]);
	env_fini(&e);
}

static void refused_alone(void *arg)
{
	(void)arg;
	sched_park(refuse, NULL, WAIT_SEMA);
	note(1);
}

Test(sched, test_netpoll_R04_refusal_of_the_only_g_goes_on)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, refused_alone, NULL);
	env_turns(&e, 2);
	cr_assert_eq(nr_order, 1);
	cr_assert_eq(lane_nr_g(e.lane), 0);
	env_fini(&e);
}

static void sleeps(void *arg)
{
	pl_sleep((intptr_t)arg);
	note((int)(intptr_t)arg);
}

Test(sched, test_sched_sleep_wakes_in_order_of_time_never_early)
{
	struct env e;
	int64_t timeout;

	env_init(&e, true);
	env_go(&e, sleeps, (void *)300);
	env_go(&e, sleeps, (void *)100);
	env_go(&e, sleeps, (void *)200);
	env_turns(&e, 1);
	cr_assert_eq(lane_prepare_sleep(e.lane, &timeout), 0);
	cr_assert_eq(timeout, 100);
	e.now += 99;
	cr_assert_eq(env_turns(&e, 1), 0);
	e.now += 1;
	cr_assert_eq(env_turns(&e, 1), 1);
	e.now += 200;
	cr_assert_eq(env_turns(&e, 1), 2);
	cr_assert_eq(order[0], 100);
	cr_assert_eq(order[1], 200);
	cr_assert_eq(order[2], 300);
	env_fini(&e);
}

static void sleeps_zero(void *arg)
{
	(void)arg;
	pl_sleep(0);
	pl_sleep(-5);
	note(1);
}

Test(sched, test_sched_sleep_zero_is_a_yield)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, sleeps_zero, NULL);
	env_turns(&e, 3);
	cr_assert_eq(nr_order, 1);
	env_fini(&e);
}

static void starts_more(void *arg)
{
	intptr_t n = (intptr_t)arg;

	if (n > 0)
		cr_assert_eq(pl_go(starts_more, (void *)(n - 1)), 0);
	note((int)n);
}

Test(sched, test_sched_go_inside_a_g_runs_next_turn)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, starts_more, (void *)3);
	for (unsigned t = 1; t <= 4; t++) {
		cr_assert_eq(env_turns(&e, 1), 1);
		cr_assert_eq(nr_order, t);
	}
	env_fini(&e);
}

static void nothing(void *arg)
{
	(void)arg;
}

Test(sched, test_sched_dead_stack_is_used_again_warmest_first)
{
	struct env e;
	struct g *last;

	env_init(&e, true);
	for (int i = 0; i < 3; i++)
		env_go(&e, nothing, NULL);
	env_turns(&e, 1);
	cr_assert_eq(e.lane->sched.arena.nr_carved, 3);
	last = e.lane->sched.dead;
	for (int i = 0; i < 1000; i++) {
		env_go(&e, nothing, NULL);
		cr_assert_eq(runq_peek(&e.lane->sched.q, 0), last);
		env_turns(&e, 1);
	}
	cr_assert_eq(e.lane->sched.arena.nr_carved, 3);
	env_fini(&e);
}

Test(sched, test_sched_go_beyond_max_g_is_enomem)
{
	struct env e;

	env_init(&e, true);
	for (unsigned i = 0; i < e.lane->sched.max_g; i++)
		env_go(&e, nothing, NULL);
	cr_assert_eq(lane_go(e.lane, nothing, NULL, "one too many"), -ENOMEM);
	while (env_turns(&e, 1))
		;
	cr_assert_eq(lane_nr_g(e.lane), 0);
	env_go(&e, nothing, NULL);
	env_fini(&e);
}

static void self_is_me(void *arg)
{
	cr_assert_not_null(sched_self());
	cr_assert_eq(lane_self(), arg);
}

Test(sched, test_sched_self_is_null_outside)
{
	struct env e;

	env_init(&e, true);
	cr_assert_null(sched_self());
	cr_assert_null(lane_self());
	env_go(&e, self_is_me, e.lane);
	env_turns(&e, 1);
	cr_assert_null(lane_self());
	env_fini(&e);
}

static void ready_running(void *arg)
{
	(void)arg;
	sched_ready(sched_self());
}

Test(sched, test_sched_ready_of_one_that_is_not_parked_is_fatal, .signal = SIGILL)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, ready_running, NULL);
	env_turns(&e, 1);
}
