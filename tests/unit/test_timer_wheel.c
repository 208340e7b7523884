/* SPDX-License-Identifier: BSD-3-Clause */
/* The wheel against a naive list, with a printed seed, across level and word boundaries. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "stack/timer_wheel.h"

#define NR 400

static struct timer_wheel w;

struct model {
	struct timer t;
	uint64_t want; /* expiry asked for; 0 not armed */
	int fired;
};

static struct model m[NR];

static void fire(struct timer *t, uint64_t now)
{
	struct model *x = container_of(t, struct model, t);

	cr_assert(x->want, "a timer ran that was not armed");
	cr_assert(x->want <= now, "a timer ran %llu ns early", (unsigned long long)(x->want - now));
	x->want = 0;
	x->fired++;
}

static uint64_t rnd64(unsigned *seed)
{
	return (uint64_t)(unsigned)rand_r(seed) << 32 ^ (uint64_t)(unsigned)rand_r(seed) << 11 ^
	       (uint64_t)(unsigned)rand_r(seed);
}

static void model_init(uint64_t now)
{
	timer_wheel_init(&w, now);
	for (int i = 0; i < NR; i++) {
		timer_init(&m[i].t, fire);
		m[i].want = 0;
		m[i].fired = 0;
	}
}

/* Nothing that is due for a whole tick is left, and the bound is never too late. */
static void model_check(uint64_t now, unsigned seed)
{
	uint64_t next = timer_wheel_next(&w);
	uint64_t first = UINT64_MAX;

	for (int i = 0; i < NR; i++) {
		if (!m[i].want)
			continue;
		cr_assert(m[i].want + TICK_NS > now, "seed %u: a timer is late", seed);
		first = m[i].want < first ? m[i].want : first;
	}
	if (first == UINT64_MAX)
		cr_assert_eq(next, 0);
	else
		cr_assert(next && next < first + TICK_NS, "seed %u: bound too late", seed);
}

static void differential(uint64_t start, unsigned seed)
{
	unsigned s = seed;
	uint64_t now = start;

	model_init(now);
	for (int step = 0; step < 20000; step++) {
		struct model *x = &m[rand_r(&s) % NR];
		unsigned scale = (unsigned)rand_r(&s) % 40;
		uint64_t dt = rnd64(&s) & ((1ull << (8 + scale)) - 1);

		switch (rand_r(&s) % 8) {
		case 0:
			timer_cancel(&w, &x->t);
			x->want = 0;
			break;
		case 1:
			now += dt >> (rand_r(&s) % 12);
			(void)timer_wheel_run(&w, now);
			model_check(now, seed);
			break;
		case 2:
			/* As a simulator does: straight to the bound. */
			if (timer_wheel_next(&w) > now)
				now = timer_wheel_next(&w);
			(void)timer_wheel_run(&w, now);
			model_check(now, seed);
			break;
		default:
			x->want = rand_r(&s) % 16 ? now + dt + 1 : now - (dt & 0xffff) + 1;
			timer_arm(&w, &x->t, x->want);
			break;
		}
	}
	for (int i = 0; i < 4000 && timer_wheel_next(&w); i++) {
		now = timer_wheel_next(&w) > now ? timer_wheel_next(&w) : now;
		(void)timer_wheel_run(&w, now);
	}
	cr_assert_eq(timer_wheel_next(&w), 0, "seed %u: jumping from bound to bound ends", seed);
	cr_assert_eq(w.armed, 0);
	for (unsigned l = 0; l < WHEEL_LEVELS; l++)
		cr_assert_eq(w.map[l], 0, "seed %u: level %u has a stale bit", seed, l);
}

Test(timer_wheel, test_wheel_random_matches_naive_list)
{
	static const uint64_t starts[] = {1ull << 20,
					  (1ull << 31) - 1000,
					  (1ull << 32) - 5,
					  (64ull << TICK_SHIFT) - 1,
					  (4096ull << TICK_SHIFT) - 1,
					  (1ull << (TICK_SHIFT + 30)) - 1,
					  (1ull << (TICK_SHIFT + 32)) - 1,
					  1ull << 60};

	for (unsigned i = 0; i < ARRAY_SIZE(starts); i++)
		for (unsigned seed = 1; seed <= 3; seed++)
			differential(starts[i], seed * 100 + i);
}

Test(timer_wheel, test_wheel_armed_in_the_past_fires_next_run)
{
	uint64_t now = 1000 * TICK_NS + 77;

	model_init(now);
	m[0].want = now - 5;
	timer_arm(&w, &m[0].t, m[0].want);
	m[1].want = 1;
	timer_arm(&w, &m[1].t, 1);
	cr_assert(timer_wheel_next(&w) <= now);
	cr_assert_eq(timer_wheel_run(&w, now), 2);
}

Test(timer_wheel, test_wheel_far_expiry_is_clamped_and_kept)
{
	uint64_t now = TICK_NS, far = 400ull * 3600 * NSEC_PER_SEC;

	model_init(now);
	m[0].want = far;
	timer_arm(&w, &m[0].t, far);
	m[1].want = UINT64_MAX;
	timer_arm(&w, &m[1].t, UINT64_MAX);
	while (m[0].fired == 0) {
		uint64_t next = timer_wheel_next(&w);

		cr_assert(next > now && next <= far + TICK_NS);
		now = next;
		(void)timer_wheel_run(&w, now);
	}
	cr_assert(timer_pending(&m[1].t));
	timer_cancel(&w, &m[1].t);
	cr_assert_eq(timer_wheel_next(&w), 0);
}

Test(timer_wheel, test_wheel_one_long_jump_runs_all)
{
	model_init(3);
	for (int i = 0; i < NR; i++) {
		m[i].want = (uint64_t)(i + 1) * 977 * TICK_NS / 3;
		timer_arm(&w, &m[i].t, m[i].want);
	}
	cr_assert_eq(timer_wheel_run(&w, 1ull << 50), NR);
}

struct again {
	struct timer t;
	int runs;
	struct timer *victim, *other;
};

static void rearm_into_past(struct timer *t, uint64_t now)
{
	struct again *a = container_of(t, struct again, t);

	a->runs++;
	timer_arm(&w, t, now - 1);
}

Test(timer_wheel, test_wheel_rearm_into_past_runs_next_call_only)
{
	struct again a = {0};

	timer_wheel_init(&w, TICK_NS);
	timer_init(&a.t, rearm_into_past);
	timer_arm(&w, &a.t, 5 * TICK_NS);
	cr_assert_eq(timer_wheel_run(&w, 900 * TICK_NS + 3), 1);
	cr_assert_eq(timer_wheel_run(&w, 900 * TICK_NS + 3), 1);
	cr_assert_eq(timer_wheel_run(&w, 900 * TICK_NS + 4), 1);
	cr_assert_eq(a.runs, 3);
	timer_cancel(&w, &a.t);
}

static void cancel_and_move(struct timer *t, uint64_t now)
{
	struct again *a = container_of(t, struct again, t);

	a->runs++;
	timer_cancel(&w, a->victim);
	timer_arm(&w, a->other, now + 50 * TICK_NS);
}

Test(timer_wheel, test_wheel_function_cancels_and_moves_others_that_are_due)
{
	struct again a = {.victim = &m[0].t, .other = &m[1].t};

	model_init(TICK_NS);
	timer_init(&a.t, cancel_and_move);
	timer_arm(&w, &a.t, 2 * TICK_NS);
	timer_arm(&w, &m[0].t, 2 * TICK_NS);
	timer_arm(&w, &m[1].t, 3 * TICK_NS);
	m[1].want = 54 * TICK_NS;
	cr_assert_eq(timer_wheel_run(&w, 4 * TICK_NS), 1);
	cr_assert_eq(m[0].fired, 0);
	cr_assert_eq(timer_wheel_run(&w, 54 * TICK_NS), 1);
	cr_assert_eq(m[1].fired, 1);
}

Test(timer_wheel, test_wheel_time_standing_still_runs_nothing_twice)
{
	model_init(TICK_NS);
	m[0].want = 10 * TICK_NS + 1;
	timer_arm(&w, &m[0].t, m[0].want);
	cr_assert_eq(timer_wheel_run(&w, 10 * TICK_NS + 1), 0, "up to one tick late");
	cr_assert_eq(timer_wheel_run(&w, 11 * TICK_NS), 1);
	cr_assert_eq(timer_wheel_run(&w, 11 * TICK_NS), 0);
}
