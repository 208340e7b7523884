/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include <string.h>

#include "apps/wire_arg.h"

Test(wire_arg, test_wire_arg_rates_and_times_have_units)
{
	uint64_t v = 7;

	cr_assert(warg_rate("1gbit", &v) && v == 1000000000);
	cr_assert(warg_rate("1.5mbit", &v) && v == 1500000);
	cr_assert(warg_rate("56kbit", &v) && v == 56000);
	cr_assert(warg_rate("9600bit", &v) && v == 9600);
	cr_assert(warg_rate("0", &v) && v == 0);
	cr_assert(warg_time("20ms", &v) && v == 20000000);
	cr_assert(warg_time("0.5us", &v) && v == 500);
	cr_assert(warg_time("3600s", &v) && v == 3600000000000);
	cr_assert(warg_time("7ns", &v) && v == 7);
}

Test(wire_arg, test_wire_arg_what_is_no_number_with_a_unit_is_refused)
{
	static const char *const bad[] = {"",
					  "ms",
					  ".",
					  "-1ms",
					  "+1ms",
					  " 1ms",
					  "1",
					  "1 ms",
					  "1MS",
					  "1m",
					  "1e3ms",
					  "0x1ms",
					  "nanms",
					  "1.2.3ms",
					  "1ms ",
					  "3601s",
					  "99999999999999999999999ms"};
	uint64_t v = 7;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert(!warg_time(bad[i], &v), "'%s'", bad[i]);
	cr_assert(!warg_rate("1gbps", &v));
	cr_assert(!warg_rate("1001gbit", &v));
	cr_assert_eq(v, 7);
}

Test(wire_arg, test_wire_arg_chances_are_percents)
{
	static const char *const bad[] = {"1", "0.001", "101%", "100.1%", "-1%", "inf", "1%%", "%"};
	double v = 7;

	cr_assert(warg_chance("0.1%", &v));
	cr_assert_float_eq(v, 0.001, 1e-12);
	cr_assert(warg_chance("0", &v) && v == 0);
	cr_assert(warg_chance("0%", &v) && v == 0);
	cr_assert(warg_chance("100%", &v) && v == 1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert(!warg_chance(bad[i], &v), "'%s'", bad[i]);
	cr_assert_eq(v, 1);
}

Test(wire_arg, test_wire_arg_one_value_is_both_ways_and_two_are_each)
{
	struct wire_path p[2] = {0};

	cr_assert(warg_path(WARG_DELAY, "10ms", p));
	cr_assert(p[0].delay == 10000000 && p[1].delay == 10000000);
	cr_assert(warg_path(WARG_RATE, "100mbit,10mbit", p));
	cr_assert(p[0].rate == 100000000 && p[1].rate == 10000000);
	cr_assert(warg_path(WARG_LOSS, "1%,0", p));
	cr_assert(p[0].loss == 0.01 && p[1].loss == 0);
}

Test(wire_arg, test_wire_arg_half_of_a_pair_changes_nothing)
{
	struct wire_path p[2] = {0};

	cr_assert(!warg_path(WARG_DELAY, "10ms,", p));
	cr_assert(!warg_path(WARG_DELAY, ",10ms", p));
	cr_assert(!warg_path(WARG_DELAY, "1ms,2ms,3ms", p));
	cr_assert(!warg_path(WARG_BURST, "1%:0", p));
	cr_assert(p[0].delay == 0 && p[1].delay == 0 && p[0].burst_enter == 0);
}

Test(wire_arg, test_wire_arg_queue_is_in_frames_or_in_bytes_and_never_both)
{
	struct wire_path p[2] = {0};

	cr_assert(warg_path(WARG_QUEUE, "100", p));
	cr_assert(p[0].queue_frames == 100 && p[0].queue_bytes == 0);
	cr_assert(warg_path(WARG_QUEUE, "64kb", p));
	cr_assert(p[0].queue_frames == 0 && p[0].queue_bytes == 64000);
	cr_assert(!warg_path(WARG_QUEUE, "65537", p));
	cr_assert(!warg_path(WARG_QUEUE, "1gb", p));
}

Test(wire_arg, test_wire_arg_faults_with_a_colon)
{
	struct wire_path p[2] = {0};

	cr_assert(warg_path(WARG_BURST, "0.1%:20%", p));
	cr_assert(p[1].burst_leave == 0.2 && p[1].burst_loss == 1);
	cr_assert(warg_path(WARG_BURST, "0.1%:20%:50%,0", p));
	cr_assert(p[0].burst_loss == 0.5 && p[1].burst_enter == 0);
	cr_assert(!warg_path(WARG_BURST, "0.1%", p));
	cr_assert(warg_path(WARG_REORDER, "1%:3ms", p));
	cr_assert(p[0].reorder == 0.01 && p[0].reorder_ns == 3000000);
	cr_assert(!warg_path(WARG_REORDER, "1%", p));
	cr_assert(warg_path(WARG_MTU, "1400,1300:icmp", p));
	cr_assert(p[0].mtu == 1400 && !p[0].mtu_icmp && p[1].mtu == 1300 && p[1].mtu_icmp);
	cr_assert(!warg_path(WARG_MTU, "575", p));
	cr_assert(!warg_path(WARG_MTU, "1400:udp", p));
	cr_assert(!warg_path(WARG_MTU, "65536", p));
}

Test(wire_arg, test_wire_arg_path_is_told_in_the_same_words)
{
	struct wire_path p[2] = {0};
	char buf[256], small[8];

	warg_print(&p[0], buf, sizeof(buf));
	cr_assert_str_eq(buf, "perfect");
	cr_assert(warg_path(WARG_RATE, "1gbit", p) && warg_path(WARG_DELAY, "20ms", p) &&
		  warg_path(WARG_LOSS, "0.1%", p) && warg_path(WARG_REORDER, "1%:150us", p));
	warg_print(&p[0], buf, sizeof(buf));
	cr_assert_str_eq(buf, "1gbit, delay 20ms, loss 0.1%, reorder 1%:150us");
	warg_print(&p[0], small, sizeof(small));
	cr_assert_lt(strlen(small), sizeof(small));
}
