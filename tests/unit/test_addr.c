/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include <parklane/conn.h>

Test(addr, test_addr_parse_and_format_are_inverse)
{
	static const char *const good[] = {"10.0.0.1:7", "0.0.0.0:0", "255.255.255.255:65535",
					   "127.0.0.1:40000"};
	struct pl_addr a;
	char buf[22];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_assert_eq(pl_addr_parse(good[i], &a), 0, "%s", good[i]);
		cr_assert_str_eq(pl_addr_format(&a, buf, sizeof(buf)), good[i]);
	}
}

Test(addr, test_addr_parse_port_alone_is_any)
{
	struct pl_addr a;

	cr_assert_eq(pl_addr_parse(":7", &a), 0);
	cr_assert_eq(a.family, PL_AF_INET);
	cr_assert_eq(a.v4, 0);
	cr_assert_eq(a.port, 7);
}

Test(addr, test_addr_parse_octets_are_network_order)
{
	struct pl_addr a;

	cr_assert_eq(pl_addr_parse("1.2.3.4:5", &a), 0);
	cr_assert_eq(memcmp(&a.v4, "\1\2\3\4", 4), 0);
}

Test(addr, test_addr_parse_bad_is_refused_and_leaves_result)
{
	static const char *const bad[] = {
		"",           ":",           "7",           "1.2.3:7",       "1.2.3.4",
		"1.2.3.4:",   "1.2.3.4.5:7", "256.0.0.1:7", "1.2.3.4:65536", "1.2.3.4:70000",
		"01.2.3.4:7", "1.2.3.4:07",  " 1.2.3.4:7",  "1.2.3.4:7 ",    "1.2.3.4:-7",
		"1.2.3.4:+7", "a.b.c.d:7",   "host:7",      "1..3.4:7",      "1.2.3.:7",
		"1.2.3.4:7x", "1,2.3.4:7",
	};
	struct pl_addr a, b;

	memset(&a, 0x5a, sizeof(a));
	b = a;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(pl_addr_parse(bad[i], &a), -EINVAL, "'%s'", bad[i]);
		cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0);
	}
}

Test(addr, test_addr_parse_ipv6_is_refused_by_name)
{
	struct pl_addr a;

	cr_assert_eq(pl_addr_parse("[::1]:7", &a), -EAFNOSUPPORT);
	cr_assert_eq(pl_addr_parse("::1", &a), -EAFNOSUPPORT);
	cr_assert_eq(pl_addr_parse("fe80::1:7", &a), -EAFNOSUPPORT);
}
