/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger's rare half: choosing and keeping samples, and the report.
 */
#include "poller/ledger.h"

#include <string.h>

/* One turn in 64 on average (rule 9). The distance varies between 33 and 96, so that a load
 * with a period of its own is not met at the same phase each time. */
#define SAMPLE_MIN 33u
#define SAMPLE_VAR 63u

static uint32_t next_distance(struct ledger *led)
{
	led->rnd ^= led->rnd << 13;
	led->rnd ^= led->rnd >> 17;
	led->rnd ^= led->rnd << 5;
	return SAMPLE_MIN + led->rnd % (SAMPLE_VAR + 1);
}

static uint64_t measure_tsc_cost(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 64; i++) {
		uint64_t a = ledger_tsc(), b = ledger_tsc();

		if (b - a < best)
			best = b - a;
	}
	return best;
}

void ledger_init(struct ledger *led, enum ledger_mode mode, bool virt)
{
	memset(led, 0, sizeof(*led));
	led->cycles = mode != LEDGER_OFF && !virt;
	led->full = mode == LEDGER_FULL;
	led->rnd = 0x9e3779b9u;
	if (led->cycles) {
		led->tsc_cost = measure_tsc_cost();
		led->countdown = 1;
	}
}

void __ledger_mark(struct ledger *led, enum ledger_step step)
{
	uint64_t t = ledger_tsc();

	led->scratch[led->step] += t - led->mark;
	led->step = (uint8_t)step;
	led->mark = t;
}

void __ledger_catch_up(struct ledger *led, uint64_t tsc, bool busy)
{
	if (led->since)
		ledger_tell(led, tsc, busy);
	led->since = tsc;
}

void __ledger_sample(struct ledger *led, uint64_t tsc, bool busy)
{
	ledger_tell(led, tsc, busy);
	led->countdown = led->full ? 1 : next_distance(led);
	memset(led->scratch, 0, sizeof(led->scratch));
	led->sampling = true;
	led->step = LEDGER_DRIVER_RX;
	led->mark = tsc;
}

void __ledger_keep(struct ledger *led, bool busy)
{
	__ledger_mark(led, LEDGER_DRIVER_RX);
	led->sampling = false;
	if (!busy)
		return;
	for (int i = 0; i < LEDGER_STEP_MAX; i++)
		stat_add(&led->steps[i], led->scratch[i]);
	stat_inc(&led->sampled_turns);
}

void ledger_switch_sample(struct ledger *led, uint64_t cycles)
{
	stat_add(&led->switch_cycles, cycles > led->tsc_cost ? cycles - led->tsc_cost : 0);
	stat_inc(&led->switch_samples);
}

/* split_switch - the switches happen inside of "app"; their share is known by samples. */
static void split_switch(const struct ledger *led, struct ledger_report *r)
{
	uint64_t n = stat_read(&led->switch_samples), sum = stat_read(&led->switch_cycles);
	uint64_t est;

	if (n == 0)
		return;
	est = (uint64_t)((double)sum / (double)n * (double)r->ev[LEDGER_EV_SWITCHES]);
	est = min_t(uint64_t, est, r->step[LEDGER_APP]);
	r->step[LEDGER_APP] -= est;
	r->step[LEDGER_SWITCH] += est;
}

void ledger_report(const struct ledger *led, struct ledger_report *ret_report)
{
	struct ledger_report *r = ret_report;
	uint64_t sum = 0;

	memset(r, 0, sizeof(*r));
	r->busy = stat_read(&led->busy);
	r->empty = stat_read(&led->empty);
	r->idle = stat_read(&led->idle);
	r->sampled_turns = stat_read(&led->sampled_turns);
	for (int i = 0; i < LEDGER_EV_MAX; i++)
		r->ev[i] = stat_read(&led->ev[i]);
	for (int i = 0; i < LEDGER_STEP_MAX; i++) {
		r->step[i] = stat_read(&led->steps[i]);
		sum += r->step[i];
	}
	for (int i = 0; i < LEDGER_STEP_MAX && sum; i++)
		r->step[i] = (uint64_t)((double)r->step[i] / (double)sum * (double)r->busy);
	split_switch(led, r);
}

const char *ledger_step_name(enum ledger_step step)
{
	static const char *const names[] = {
#define X(sym, name) [LEDGER_##sym] = name,
		LEDGER_STEPS(X)
#undef X
	};

	return step < LEDGER_STEP_MAX ? names[step] : "?";
}

const char *ledger_event_name(enum ledger_event ev)
{
	static const char *const names[] = {
#define X(sym, name) [LEDGER_EV_##sym] = name,
		LEDGER_EVENTS(X)
#undef X
	};

	return ev < LEDGER_EV_MAX ? names[ev] : "?";
}
