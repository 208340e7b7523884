/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger's account of a real lane: what is busy, empty and idle, when it is told, and the
 * steps, which are sampled.
 */
#include "poller_env.h"

#include "poller/ledger.h"
#include "poller/parklane/go.h"

static struct lane *real;

static void real_lane(enum ledger_mode mode)
{
	struct lane_config cfg;

	lane_config_init(&cfg);
	cfg.max_g = 256;
	cfg.ledger = mode;
	cr_assert_eq(lane_create(&cfg, &real), 0);
}

static void works_and_sleeps(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++) {
		pl_yield();
		if (i % 50 == 0)
			pl_sleep(200000);
	}
}

static void account(enum ledger_mode mode, struct ledger_report *ret, uint64_t *ret_wall)
{
	uint64_t t0;

	real_lane(mode);
	cr_assert_eq(lane_go(real, works_and_sleeps, NULL, "works"), 0);
	t0 = ledger_tsc();
	cr_assert_eq(lane_run(real), 0);
	*ret_wall = ledger_tsc() - t0;
	lane_ledger_report(real, ret);
	lane_destroy(real);
}

Test(ledger, test_ledger_busy_empty_and_idle_are_all_there_is)
{
	struct ledger_report r;
	uint64_t wall, sum = 0;

	/* What is missing is the thread's set-up and its end, and what others took from it then:
	 * one try in which they took little will do. */
	for (int i = 0; i < 50; i++) {
		account(LEDGER_SAMPLED, &r, &wall);
		sum = r.busy + r.empty + r.idle;
		cr_assert_leq(sum, wall);
		if (sum >= wall / 2)
			break;
	}
	cr_assert_geq(sum, wall / 2);
	cr_assert_gt(r.idle, 0);
	cr_assert_gt(r.busy, 0);
}

static void looks_amid_busy_turns(void *arg)
{
	for (int i = 0; i < 200; i++)
		pl_yield();
	lane_ledger_report(real, arg);
}

/* Nothing ends a row of busy turns here: its cycles are told with the samples. */
Test(ledger, test_ledger_of_lane_that_is_always_busy_is_told_meanwhile)
{
	struct ledger_report amid, end;
	uint64_t t0 = ledger_tsc();

	real_lane(LEDGER_SAMPLED);
	cr_assert_eq(lane_go(real, looks_amid_busy_turns, &amid, "looks"), 0);
	cr_assert_eq(lane_run(real), 0);
	lane_ledger_report(real, &end);
	cr_assert_geq(amid.sampled_turns, 2);
	cr_assert_gt(amid.busy, 0);
	cr_assert_gt(end.busy, amid.busy);
	cr_assert_leq(end.busy + end.empty + end.idle, ledger_tsc() - t0);
	lane_destroy(real);
}

static void looks_after_long_turns(void *arg)
{
	for (int i = 0; i < 10; i++) {
		uint64_t t = ledger_tsc();

		while (ledger_tsc() - t < 4 * LEDGER_STALE)
			;
		pl_yield();
	}
	lane_ledger_report(real, arg);
}

/* A stream's turns are: 64 of them between two samples were a fifth of what compare measured. */
Test(ledger, test_ledger_of_long_turns_is_told_by_time)
{
	struct ledger_report amid;

	real_lane(LEDGER_SAMPLED);
	cr_assert_eq(lane_go(real, looks_after_long_turns, &amid, "looks"), 0);
	cr_assert_eq(lane_run(real), 0);
	cr_assert_geq(amid.busy, 9 * 4 * (uint64_t)LEDGER_STALE);
	lane_destroy(real);
}

Test(ledger, test_ledger_full_steps_add_up_to_busy)
{
	struct ledger_report r;
	uint64_t wall, sum = 0;

	account(LEDGER_FULL, &r, &wall);
	cr_assert_geq(r.sampled_turns, 200);
	for (int i = 0; i < LEDGER_STEP_MAX; i++)
		sum += r.step[i];
	cr_assert_leq(sum, r.busy + 1);
	cr_assert_geq(sum + LEDGER_STEP_MAX, r.busy);
	cr_assert_gt(r.step[LEDGER_SWITCH], 0);
	cr_assert_gt(r.step[LEDGER_APP], 0);
	cr_assert_geq(r.ev[LEDGER_EV_SWITCHES], 200);
	cr_assert_eq(r.ev[LEDGER_EV_SPAWNS], 1);
	cr_assert_eq(r.ev[LEDGER_EV_TIMERS], 4);
}

Test(ledger, test_ledger_off_counts_events_and_no_cycles)
{
	struct ledger_report r;
	uint64_t wall;

	account(LEDGER_OFF, &r, &wall);
	cr_assert_eq(r.busy + r.empty + r.idle, 0);
	cr_assert_eq(r.sampled_turns, 0);
	cr_assert_geq(r.ev[LEDGER_EV_SWITCHES], 200);
}

Test(ledger, test_ledger_names_are_there_for_all)
{
	for (int i = 0; i < LEDGER_STEP_MAX; i++)
		cr_assert_str_neq(ledger_step_name((enum ledger_step)i), "?");
	for (int i = 0; i < LEDGER_EV_MAX; i++)
		cr_assert_str_neq(ledger_event_name((enum ledger_event)i), "?");
	cr_assert_str_eq(ledger_step_name(LEDGER_STEP_MAX), "?");
}
