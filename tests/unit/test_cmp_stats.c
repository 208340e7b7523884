/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures of compare: medians, intervals, ratios of pairs. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "apps/compare.h"

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

Test(cmp_stats, test_figure_median_of_odd_even_and_none)
{
	double v[] = {5, 1, 3, NAN, 9};
	struct cmp_figure f = figure_median(v, 3);

	cr_assert(near(f.value, 3) && near(f.low, 1) && near(f.high, 5) && f.n == 3);
	f = figure_median(v, 5);
	cr_assert(near(f.value, 4) && near(f.high, 9) && f.n == 4);
	f = figure_median(v, 0);
	cr_assert(isnan(f.value) && f.n == 0);
}

Test(cmp_stats, test_figure_ratio_small_sample_shows_all_that_was_seen)
{
	double a[] = {2, 4, 6, 8, 10}, b[] = {1, 1, 1, 1, 1};
	struct cmp_figure f = figure_ratio(a, b, 5);

	cr_assert(near(f.value, 6) && near(f.low, 2) && near(f.high, 10));
}

/* The table of the sign test: at n = 15 the 95 % interval runs from the 4th to the 12th value, at
 * n = 6 from the first to the last. */
Test(cmp_stats, test_figure_ratio_interval_is_the_sign_tests)
{
	double a[15], b[15];
	struct cmp_figure f;

	for (int i = 0; i < 15; i++) {
		a[i] = (i * 7) % 15 + 1;
		b[i] = 1;
	}
	f = figure_ratio(a, b, 15);
	cr_assert(near(f.value, 8) && near(f.low, 4) && near(f.high, 12), "%g-%g", f.low, f.high);
	for (int i = 0; i < 6; i++)
		a[i] = i + 1;
	f = figure_ratio(a, b, 6);
	cr_assert(near(f.low, 1) && near(f.high, 6));
}

Test(cmp_stats, test_figure_ratio_zero_denominator_is_left_out)
{
	double a[] = {2, 4, 6}, b[] = {1, 0, 1};
	struct cmp_figure f = figure_ratio(a, b, 3);

	cr_assert(f.n == 2 && near(f.value, 4));
}

/* lost: what the server's thread missed of the window. */
static void add_lost(struct cmp_series *s, uint64_t requests, uint64_t rtt_ns, double cycles,
		     double lost)
{
	static struct cmp_sample sample;

	memset(&sample, 0, sizeof(sample));
	hist_init(&sample.load.hist);
	hist_record(&sample.load.hist, rtt_ns);
	sample.load.units = requests;
	sample.load.window_ns = 1000000000;
	sample.server_cycles = cycles;
	sample.lost[0] = NAN; /* a kernel that does not tell */
	sample.lost[1] = lost;
	series_add(s, &sample);
}

static void add(struct cmp_series *s, uint64_t requests, uint64_t rtt_ns, double cycles)
{
	add_lost(s, requests, rtt_ns, cycles, 0.1);
}

Test(cmp_stats, test_ratios_pair_samples_and_need_both_sets)
{
	static struct cmp c;

	c.nr_series = 2;
	c.series[0] = (struct cmp_series){.set = SET_BYPASS, .conns = 1};
	c.series[1] = (struct cmp_series){.set = SET_KERNEL_AWAKE, .conns = 1};
	cmp_ratios(&c);
	cr_assert_eq(c.nr_ratios, 0);
	for (int i = 0; i < 3; i++) {
		add(&c.series[0], 1000, 1000, 5000);
		add(&c.series[1], 100, 64000, 50000);
	}
	cmp_ratios(&c);
	cr_assert_eq(c.nr_ratios, 1);
	cr_assert_str_eq(c.ratio[0].text->name, "rr1_p50_kernel_awake_over_bypass");
	cr_assert(fabs(c.ratio[0].f.value - 64) < 0.7);
	cr_assert(near(c.series[0].cycles[0], 5) && near(c.series[0].rate[0], 1000));
}

/* It keeps its place, or all that follow would be paired with the next turn's. */
Test(cmp_stats, test_series_add_empty_window_is_no_figure)
{
	static struct cmp c;
	struct cmp_series *s = c.series;

	c.nr_series = 2;
	s[0] = (struct cmp_series){.set = SET_BYPASS, .conns = 1};
	s[1] = (struct cmp_series){.set = SET_KERNEL_AWAKE, .conns = 1};
	add(&s[0], 0, 1, 1);
	cr_assert(!series_any(&s[0]) && !cmp_find(&c, TEST_RR, SET_BYPASS, 1));
	add(&s[1], 100, 16000, 1);
	for (int i = 1; i < 4; i++) {
		add(&s[0], 100, 1000u << i, 1);
		add(&s[1], 100, 16000u << i, 1);
	}
	cr_assert(series_any(&s[0]) && figure_median(s[0].rate, s[0].n).n == 3);
	cmp_ratios(&c);
	cr_assert_eq(c.nr_ratios, 1);
	cr_assert(c.ratio[0].f.n == 3 && c.ratio[0].pairs == 4);
	cr_assert(c.ratio[0].f.low > 15 && c.ratio[0].f.high < 17, "%g-%g", c.ratio[0].f.low,
		  c.ratio[0].f.high);
}

/* A server that had its cpu for a tenth of the window looks ten times as slow. */
Test(cmp_stats, test_ratios_leave_out_pairs_that_lost_a_cpu)
{
	static struct cmp c;
	const struct cmp_figure *f = &c.ratio[0].f;

	c.nr_series = 2;
	c.series[0] = (struct cmp_series){.set = SET_BYPASS, .conns = 1};
	c.series[1] = (struct cmp_series){.set = SET_KERNEL_AWAKE, .conns = 1};
	for (int i = 0; i < 6; i++) {
		add_lost(&c.series[0], 100, i < 3 ? 1000 : 64000, 1, i < 3 ? 0.19 : 0.9);
		add(&c.series[1], 100, 64000, 1);
	}
	cmp_ratios(&c);
	cr_assert(c.nr_ratios == 1 && f->n == 3 && c.ratio[0].pairs == 6);
	cr_assert(f->low > 60 && f->high < 68, "%g-%g", f->low, f->high);
	/* the table still shows what was seen */
	cr_assert_eq(figure_median(c.series[0].p50, c.series[0].n).n, 6);
	/* less than half are left: none */
	add_lost(&c.series[0], 100, 1000, 1, 0.9);
	add(&c.series[1], 100, 64000, 1);
	cmp_ratios(&c);
	cr_assert(c.nr_ratios == 1 && f->n == 3 && c.ratio[0].pairs == 7);
	cr_assert(isnan(f->value) && isnan(f->low) && isnan(f->high));
}

/* What counts of a rate that was taken over from a rival says its rival, of the cycles not. */
Test(cmp_stats, test_ratios_of_a_rivals_rate_leave_out_the_rivals_samples)
{
	static struct cmp c;

	c.nr_series = 3;
	c.series[0] = (struct cmp_series){.set = SET_BYPASS, .conns = 64};
	c.series[1] = (struct cmp_series){.set = SET_KERNEL_AWAKE, .conns = 64};
	c.series[2] = (struct cmp_series){.set = SET_KERNEL_AWAKE, .conns = 64, .rival = true};
	for (int i = 0; i < 3; i++) {
		add(&c.series[0], 1000, 1000, 5000);
		add(&c.series[1], 100, 1000, 5000);
		add_lost(&c.series[2], 200, 1000, 5000, i ? 0.5 : 0);
	}
	cmp_best_rate(&c);
	cmp_ratios(&c);
	cr_assert_eq(c.nr_ratios, 2);
	cr_assert(c.ratio[0].f.n == 1 && isnan(c.ratio[0].f.value), "req/s");
	cr_assert(c.ratio[1].f.n == 3 && near(c.ratio[1].f.value, 10), "cycles");
}

static void rivals(struct cmp *c, uint64_t steered, uint64_t off)
{
	memset(c, 0, sizeof(*c));
	c->nr_series = 2;
	c->series[0] = (struct cmp_series){.set = SET_KERNEL_AWAKE,
					   .conns = 64,
					   .rate_mode = {RPS_BOTH, true, false},
					   .cycles_mode = {RPS_BOTH, true, false}};
	c->series[1] = (struct cmp_series){.set = SET_KERNEL_AWAKE,
					   .conns = 64,
					   .rival = true,
					   .rate_mode = {RPS_OFF, true, false}};
	for (int i = 0; i < 3; i++) {
		add(&c->series[0], steered, 1000, 1e6);
		add(&c->series[1], off, 500, 9e6);
	}
	cmp_best_rate(c);
}

Test(cmp_stats, test_best_rps_of_the_kernel_is_reported_its_cycles_stay_steered)
{
	static struct cmp c;
	const struct cmp_series *s;

	rivals(&c, 1000, 2000);
	s = cmp_find(&c, TEST_RR, SET_KERNEL_AWAKE, 64);
	cr_assert_eq(s, &c.series[0]);
	cr_assert(near(s->rate[0], 2000) && s->rate_mode.rps == RPS_OFF);
	cr_assert(s->p50[0] < 0.6);
	cr_assert(near(s->cycles[0], 1000) && s->cycles_mode.rps == RPS_BOTH);
}

Test(cmp_stats, test_best_rps_a_slower_rival_changes_nothing)
{
	static struct cmp c;

	rivals(&c, 2000, 1000);
	cr_assert(near(c.series[0].rate[0], 2000) && c.series[0].rate_mode.rps == RPS_BOTH);
}

/* Of one window of a second: so many units of 1448 bytes are so many bits. */
Test(cmp_stats, test_series_of_a_stream_counts_gigabits_and_cycles_per_segment)
{
	static struct cmp_series s = {.test = TEST_STREAM_TO, .set = SET_BYPASS, .conns = 8};

	add(&s, 1000000, 1, 700e6);
	cr_assert(near(s.rate[0], 1e6 * 1448 * 8 / 1e9), "%g", s.rate[0]);
	cr_assert(near(s.cycles[0], 700));
}

Test(cmp_stats, test_stream_ratios_are_of_their_own_direction_and_connections)
{
	static struct cmp c;

	c.nr_series = 4;
	c.series[0] = (struct cmp_series){.test = TEST_STREAM_TO, .set = SET_BYPASS, .conns = 8};
	c.series[1] =
		(struct cmp_series){.test = TEST_STREAM_TO, .set = SET_KERNEL_AWAKE, .conns = 8};
	/* the other direction, and rr with as many connections: neither has a partner */
	c.series[2] =
		(struct cmp_series){.test = TEST_STREAM_FROM, .set = SET_KERNEL_AWAKE, .conns = 8};
	c.series[3] = (struct cmp_series){.test = TEST_RR, .set = SET_BYPASS, .conns = 8};
	for (int i = 0; i < 3; i++) {
		add(&c.series[0], 2000, 1, 2000 * 100);
		add(&c.series[1], 1000, 1, 1000 * 300);
		add(&c.series[2], 7000, 1, 1);
		add(&c.series[3], 7000, 1, 1);
	}
	cmp_ratios(&c);
	cr_assert_eq(c.nr_ratios, 2);
	cr_assert_str_eq(c.ratio[0].text->name, "stream8_to_server_gbps_bypass_over_kernel_awake");
	cr_assert(near(c.ratio[0].f.value, 2) && c.ratio[0].text->headline);
	cr_assert_str_eq(c.ratio[1].text->name,
			 "stream8_to_server_cycles_kernel_awake_over_bypass");
	cr_assert(near(c.ratio[1].f.value, 3));
}

Test(cmp_stats, test_stream_tuning_has_a_place_for_each_direction_and_number)
{
	static struct cmp_meta m;

	cmp_tuning(&m, TEST_STREAM_TO, 1)->own.rps = RPS_BOTH;
	cr_assert(!cmp_tuning(&m, TEST_STREAM_TO, 8)->own.rps);
	cr_assert(!cmp_tuning(&m, TEST_STREAM_FROM, 1)->own.rps);
	cr_assert(!cmp_tuning(&m, TEST_STREAM_FROM, 8)->own.rps);
	cr_assert_eq(cmp_tuning(&m, TEST_STREAM_TO, 1)->own.rps, RPS_BOTH);
}
