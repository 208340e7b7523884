/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include "apps/hist.h"

Test(hist, test_hist_value_stays_within_one_percent_of_what_was_recorded)
{
	for (uint64_t v = 1; v < (uint64_t)1 << 39; v += v / 3 + 1) {
		uint64_t got = hist_value(hist_index(v));
		uint64_t off = got > v ? got - v : v - got;

		cr_assert(hist_index(v) < HIST_BUCKETS);
		cr_assert(off * 100 <= v, "%lu told as %lu", (unsigned long)v, (unsigned long)got);
	}
}

Test(hist, test_hist_index_never_falls)
{
	unsigned last = 0;

	for (uint64_t v = 0; v < 1u << 20; v++) {
		unsigned i = hist_index(v);

		cr_assert(i == last || i == last + 1);
		last = i;
	}
	cr_assert_eq(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
}

Test(hist, test_hist_quantile_of_a_ramp)
{
	static struct hist h;

	hist_init(&h);
	for (uint64_t v = 1; v <= 100000; v++)
		hist_record(&h, v);
	cr_assert(hist_quantile(&h, 0.5) > 49500 && hist_quantile(&h, 0.5) < 50500);
	cr_assert(hist_quantile(&h, 0.99) > 98000 && hist_quantile(&h, 0.99) < 100000);
	cr_assert_eq(hist_quantile(&h, 1.0), 100000);
	cr_assert_eq(hist_quantile(&h, 0.0), 1);
}

Test(hist, test_hist_merge_is_as_if_recorded_in_one)
{
	static struct hist a, b;

	hist_init(&a);
	hist_init(&b);
	cr_assert_eq(hist_quantile(&a, 0.5), 0);
	hist_record(&a, 10);
	hist_record(&b, 1000000);
	hist_merge(&a, &b);
	cr_assert_eq(a.count, 2);
	cr_assert_eq(a.min, 10);
	cr_assert_eq(a.max, 1000000);
}
