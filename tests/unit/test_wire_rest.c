/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include "apps/wire_rest.h"

Test(wire_rest, test_wire_rest_of_each_second_a_twelfth_is_slept)
{
	struct wrest r = {0};
	uint64_t awake = 0, asleep = 0, longest = 0;

	/* a wire that is never idle: a look each 5 us; each sleep is 40 us too long */
	while (awake + asleep < 10 * NSEC_PER_SEC) {
		uint64_t ns = wrest_awake(&r, 5000);

		awake += 5000;
		if (!ns)
			continue;
		ns += 40000;
		wrest_slept(&r, ns);
		asleep += ns;
		longest = ns > longest ? ns : longest;
	}
	cr_assert_float_eq((double)awake / (double)(awake + asleep), 11.0 / 12, 0.001);
	cr_assert_leq(longest, 135 * NSEC_PER_USEC, "%lu", longest);
}

Test(wire_rest, test_wire_rest_long_idleness_is_no_leave_to_stay_awake)
{
	struct wrest r = {0};
	uint64_t awake = 0;

	wrest_slept(&r, 3600 * NSEC_PER_SEC);
	while (!wrest_awake(&r, 5000))
		awake += 5000;
	cr_assert_leq(awake, 2 * NSEC_PER_MSEC, "%lu", awake);
}
