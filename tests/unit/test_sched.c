/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler on a virtual lane: order, budgets, park and its commit, sleep, birth and
 * death.
 */
#include "poller_env.h"

#include <errno.h>
#include <fenv.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

static void yields_on(void *arg)
{
	(void)arg;
	for (;;)
		pl_yield();
}

Test(sched, test_sched_run_next_chain_ends_after_16_if_others_wait)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, plays, (void *)0);
	env_turns(&e, 1);
	env_go(&e, plays, (void *)1);
	env_go(&e, yields_on, NULL);
	hops = 0;
	cr_assert_eq(env_turns(&e, 1), 1 + SCHED_CHAIN_MAX + 1);
	cr_assert_eq(hops, 1 + SCHED_CHAIN_MAX);
	cr_assert_eq(env_turns(&e, 1), 1 + SCHED_CHAIN_MAX + 1, "and goes on in the next turn");
	env_fini(&e);
}

Test(sched, test_sched_run_next_chain_alone_takes_the_turn_and_no_more)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, plays, (void *)0);
	env_turns(&e, 1);
	env_go(&e, plays, (void *)1);
	hops = 0;
	cr_assert_eq(env_turns(&e, 1), SCHED_TURN_BUDGET);
	cr_assert_eq(hops, SCHED_TURN_BUDGET);
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

/* ---- memory given back ---- */

#define SECOND 1000000000ull

static uint32_t nr_idle(const struct sched *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->arena.nr_carved; i++)
		n += sched_of_slot((struct sched *)s, i)->state == G_IDLE;
	return n;
}

/* All that a lane with nothing to do would trim at `now`. */
static int64_t trim_all(struct env *e)
{
	int64_t ns;

	while ((ns = sched_trim(&e->lane->sched, e->now)) == 0)
		;
	return ns;
}

static void crowd(struct env *e, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		env_go(e, nothing, NULL);
	while (env_turns(e, 1))
		;
}

Test(sched, test_sched_stacks_dead_for_a_second_are_given_back_but_the_newest)
{
	struct sched *s;
	struct env e;

	env_init(&e, true);
	s = &e.lane->sched;
	cr_assert_eq(trim_all(&e), INT64_MAX, "nobody died yet");
	crowd(&e, 1000);
	cr_assert_eq(trim_all(&e), SECOND);
	e.now += SECOND / 2;
	cr_assert_eq(trim_all(&e), SECOND / 2);
	cr_assert_eq(nr_idle(s), 0);
	e.now += SECOND / 2;
	cr_assert_eq(trim_all(&e), INT64_MAX);
	cr_assert_eq(nr_idle(s), 1000 - SCHED_WARM);
	crowd(&e, 1000);
	cr_assert_eq(s->arena.nr_carved, 1000, "slots given back come before new ones");
	cr_assert_eq(s->pool.nr_spare, 0);
	env_fini(&e);
}

Test(sched, test_sched_stacks_in_use_every_second_are_kept)
{
	struct env e;

	env_init(&e, true);
	crowd(&e, 500);
	(void)trim_all(&e);
	e.now += SECOND;
	crowd(&e, 300);
	cr_assert_eq(trim_all(&e), SECOND, "the 300 are looked at later");
	cr_assert_eq(nr_idle(&e.lane->sched), 200);
	env_fini(&e);
}

Test(sched, test_sched_trim_takes_few_at_a_time_and_spawn_takes_from_what_is_left)
{
	struct sched *s;
	struct env e;

	env_init(&e, true);
	s = &e.lane->sched;
	crowd(&e, 1000);
	(void)trim_all(&e);
	e.now += SECOND;
	cr_assert_eq(sched_trim(s, e.now), 0);
	cr_assert_eq(nr_idle(s), SCHED_TRIM_MAX);
	crowd(&e, 1000);
	cr_assert_eq(s->arena.nr_carved, 1000);
	cr_assert_null(s->pool.cold);
	cr_assert_eq(nr_idle(s), 0);
	env_fini(&e);
}

static size_t resident(void)
{
	size_t pages = 0, skip;
	FILE *f = fopen("/proc/self/statm", "r");

	cr_assert_eq(fscanf(f, "%zu %zu", &skip, &pages), 2);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static NOINLINE void dirty(void)
{
	char deep[40 << 10];

	memset(deep, 1, sizeof(deep));
	__asm__ volatile("" : : "r"(deep) : "memory");
}

static void dirties(void *arg)
{
	(void)arg;
	dirty();
}

static size_t rss_full, rss_idle;

#define GIVEN_BACK (30u << 20)

static void dirty_then_wait(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(pl_go(dirties, NULL), 0);
	pl_sleep(1000000);
	rss_full = resident();
	/* a second and a half where the machine does nothing else */
	for (int i = 0; i < 20; i++) {
		pl_sleep(1500000000);
		rss_idle = resident();
		if (rss_idle + GIVEN_BACK < rss_full)
			break;
	}
}

Test(sched, test_sched_idle_lane_gives_memory_back_while_it_sleeps)
{
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	cfg.max_g = 2048;
	cr_assert_eq(lane_create(&cfg, &l), 0);
	cr_assert_eq(lane_go(l, dirty_then_wait, NULL, "main"), 0);
	cr_assert_eq(lane_run(l), 0);
	cr_assert_lt(rss_idle + GIVEN_BACK, rss_full, "%zu KiB, then %zu", rss_full >> 10,
		     rss_idle >> 10);
	lane_destroy(l);
}

/* ---- floating point ---- */

static void rounds_up(void *arg)
{
	int *seen = arg;

	pl_keep_fp(seen[0]);
	fesetround(FE_UPWARD);
	pl_yield();
	seen[1] = fegetround();
	fesetround(FE_UPWARD);
	pl_sleep(1);
	seen[2] = fegetround();
}

static void looks(void *arg)
{
	int *seen = arg;

	seen[0] = fegetround();
	pl_yield();
	seen[1] = fegetround();
}

Test(sched, test_sched_fp_control_words_are_kept_for_who_asks_and_reach_nobody_else)
{
	int kept[3] = {1}, plain[3] = {0}, other[2] = {0};
	struct env e;

	env_init(&e, true);
	env_go(&e, rounds_up, kept);
	env_go(&e, looks, other);
	env_go(&e, rounds_up, plain);
	env_go(&e, looks, other);
	env_turns(&e, 3);
	e.now += 10;
	env_turns(&e, 2);
	cr_assert_eq(kept[1], FE_UPWARD);
	cr_assert_eq(kept[2], FE_UPWARD);
	cr_assert_eq(plain[1], FE_TONEAREST);
	cr_assert_eq(plain[2], FE_TONEAREST);
	cr_assert_eq(other[0], FE_TONEAREST);
	cr_assert_eq(other[1], FE_TONEAREST);
	cr_assert_eq(fegetround(), FE_TONEAREST, "nor the lane's own stack");
	cr_assert_eq(lane_nr_g(e.lane), 0);
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

Test(sched, test_sched_ready_of_one_that_is_not_parked_is_fatal, .signal = BUG_SIGNAL)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, ready_running, NULL);
	env_turns(&e, 1);
}
