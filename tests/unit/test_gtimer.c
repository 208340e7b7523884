/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The timer heap against a plain array that does the same the slow way, under random
 * operations from a printed seed; and the rules that the difference would not show.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "poller/gtimer.h"

#define NR 500

static struct gtimer timers[NR];
static uint64_t model[NR]; /* when; 0 = not armed */
static uint32_t model_seq[NR];
static uint64_t last_when;
static unsigned fired;

static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void on_fire(struct gtimer *t, uint32_t seq, uint64_t now)
{
	size_t i = (size_t)(t - timers);

	cr_assert_neq(model[i], 0, "timer %zu fires though it is not armed", i);
	cr_assert_leq(model[i], now, "timer %zu fires early", i);
	cr_assert_geq(model[i], last_when, "timer %zu fires out of order", i);
	cr_assert_eq(seq, model_seq[i]);
	cr_assert_eq(t->index, 0);
	last_when = model[i];
	model[i] = 0;
	fired++;
}

static uint64_t model_next(void)
{
	uint64_t best = 0;

	for (int i = 0; i < NR; i++)
		if (model[i] && (!best || model[i] < best))
			best = model[i];
	return best;
}

static void random_op(struct gtimer_heap *h, uint64_t *now)
{
	size_t i = rnd() % NR;
	uint64_t op = rnd() % 100;
	unsigned due = 0;

	if (op < 60) {
		model[i] = *now + 1 + rnd() % 10000;
		model_seq[i] = (uint32_t)rnd();
		cr_assert_eq(gtimer_set(h, &timers[i], model[i], model_seq[i]), 0);
	} else if (op < 75) {
		model[i] = 0;
		gtimer_stop(h, &timers[i]);
	} else if (op < 80) {
		model[i] = 0;
		gtimer_remove(h, &timers[i]);
		cr_assert_eq(timers[i].index, 0);
	} else if (op < 90) {
		cr_assert_eq(gtimer_next(h), model_next());
	} else {
		*now += rnd() % 300;
		for (int k = 0; k < NR; k++)
			due += model[k] && model[k] <= *now;
		last_when = 0;
		fired = 0;
		cr_assert_eq(gtimer_run(h, *now), due);
		cr_assert_eq(fired, due);
	}
}

Test(gtimer, test_gtimer_random_operations_agree_with_an_array)
{
	const char *s = getenv("GTIMER_SEED");
	struct gtimer_heap h;
	uint64_t now = 1;

	seed = s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	fprintf(stderr, "test_gtimer: GTIMER_SEED=%llu\n", (unsigned long long)seed);
	gtimer_heap_init(&h);
	for (int i = 0; i < NR; i++)
		timers[i].fn = on_fire;
	for (int i = 0; i < 200000; i++)
		random_op(&h, &now);
	gtimer_heap_fini(&h);
}

Test(gtimer, test_netpoll_R50_later_move_waits_earlier_move_is_placed_at_once)
{
	struct gtimer_heap h;

	memset(timers, 0, sizeof(timers));
	gtimer_heap_init(&h);
	for (int i = 0; i < 3; i++) {
		timers[i].fn = on_fire;
		model[i] = 100u * ((unsigned)i + 1);
		cr_assert_eq(gtimer_set(&h, &timers[i], model[i], 0), 0);
	}
	cr_assert_eq(gtimer_set(&h, &timers[0], 1000, 0), 0);
	model[0] = 1000;
	cr_assert_eq(timers[0].heap_when, 100, "only marked");
	cr_assert_eq(gtimer_next(&h), 200, "placed when it reached the top");
	cr_assert_eq(timers[0].heap_when, 1000);
	cr_assert_eq(gtimer_set(&h, &timers[2], 50, 0), 0);
	model[2] = 50;
	cr_assert_eq(timers[2].index, 1, "at the top at once");
	cr_assert_eq(gtimer_run(&h, 2000), 3);
	gtimer_heap_fini(&h);
}

static struct gtimer_heap again;

static void rearms(struct gtimer *t, uint32_t seq, uint64_t now)
{
	fired++;
	cr_assert_eq(gtimer_set(&again, t, now > 10 ? now - 10 : 1, seq), 0);
}

Test(gtimer, test_gtimer_rearmed_into_the_past_runs_at_the_next_call)
{
	struct gtimer t = {.fn = rearms};

	fired = 0;
	gtimer_heap_init(&again);
	cr_assert_eq(gtimer_set(&again, &t, 5, 0), 0);
	cr_assert_eq(gtimer_run(&again, 100), 1);
	cr_assert_eq(gtimer_run(&again, 100), 1);
	cr_assert_eq(fired, 2);
	gtimer_heap_fini(&again);
}

Test(gtimer, test_gtimer_far_future_saturates_nothing)
{
	struct gtimer_heap h;
	struct gtimer t = {.fn = on_fire};

	gtimer_heap_init(&h);
	cr_assert_eq(gtimer_set(&h, &t, UINT64_MAX, 0), 0);
	cr_assert_eq(gtimer_run(&h, UINT64_MAX - 1), 0);
	cr_assert_eq(gtimer_next(&h), UINT64_MAX);
	gtimer_stop(&h, &t);
	cr_assert_eq(gtimer_next(&h), 0);
	cr_assert_eq(gtimer_reserve(&h, 1u << 31), -ENOMEM);
	gtimer_heap_fini(&h);
}

Test(gtimer, test_gtimer_drop_all_leaves_timers_that_may_be_armed_elsewhere)
{
	struct gtimer t[40] = {0};
	struct gtimer_heap a, b;

	gtimer_heap_init(&a);
	gtimer_heap_init(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		cr_assert_eq(gtimer_set(&a, &t[i], 100 + i * 7 % 40, 0), 0);
	gtimer_stop(&a, &t[3]);
	gtimer_drop_all(&a);
	cr_assert_eq(gtimer_next(&a), 0);
	gtimer_remove(&a, &t[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		cr_assert(t[i].index == 0 && t[i].when == 0);
		cr_assert_eq(gtimer_set(&b, &t[i], 100 - i, 0), 0);
	}
	cr_assert_eq(gtimer_next(&b), 61);
	gtimer_heap_fini(&a);
	gtimer_heap_fini(&b);
}
