/* SPDX-License-Identifier: BSD-3-Clause */
/* Lane options as given and as refused: pl_options_argv and options_plan. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <errno.h>

#include "apps/open.h"

#define ARGV(...)                                                                                  \
	char *argv[] = {"prog", __VA_ARGS__, NULL};                                                \
	int argc = (int)ARRAY_SIZE(argv) - 1;                                                      \
	struct pl_options opt = {0}

static struct lane_plan plan_of(const struct pl_options *opt)
{
	struct lane_plan plan = {0};

	cr_assert_eq(options_plan(opt, &plan), 0, "%s", pl_last_error());
	return plan;
}

Test(open_opt, test_options_argv_device_is_noted_and_rest_left)
{
	ARGV("--dev", "net_tap0,iface=pl0", "--ip=10.77.0.2/24", "--gw", "10.77.0.1", "--cpu", "1",
	     "--idle", "nap:70", "--mtu", "1400", "--verbose", "--port", "7");
	struct lane_plan plan;

	cr_assert_eq(pl_options_argv(&opt, argc, argv), 13);
	cr_assert_str_eq(opt.dev, "net_tap0,iface=pl0");
	cr_assert_str_eq(opt.cpus, "1");
	cr_assert(opt.mtu == 1400 && opt.verbose);
	plan = plan_of(&opt);
	cr_assert_eq(plan.ip, inet_addr("10.77.0.2"));
	cr_assert_eq(plan.gw, inet_addr("10.77.0.1"));
	cr_assert_eq(plan.prefix_len, 24);
	cr_assert_eq(plan.cpu, 1);
	cr_assert_eq(plan.idle, LANE_IDLE_NAP);
	cr_assert_eq(plan.nap_ns, 70000);
}

Test(open_opt, test_options_argv_none_is_kernel_sockets)
{
	char *argv[] = {"prog", NULL};
	struct pl_options opt = {0};

	cr_assert_eq(pl_options_argv(&opt, 1, argv), 1);
	cr_assert_null(opt.dev);
	cr_assert_eq(plan_of(&opt).cpu, -1);
}

Test(open_opt, test_options_argv_stops_at_first_word)
{
	ARGV("--epoll", "serve", "--dev", "x");

	cr_assert_eq(pl_options_argv(&opt, argc, argv), 2);
	cr_assert_null(opt.dev);
}

Test(open_opt, test_options_argv_stops_at_unknown_option)
{
	ARGV("--epoll", "-xy", "--verbose");

	cr_assert_eq(pl_options_argv(&opt, argc, argv), 2);
	cr_assert(!opt.verbose);
}

/* A program's own --id must not become our --idle. */
Test(open_opt, test_options_argv_abbreviation_is_not_ours)
{
	static char *const own[] = {"--id", "--epol", "--ver", "--id=5"};

	for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
		ARGV("--cpu", "0", own[i], "5");

		cr_assert_eq(pl_options_argv(&opt, argc, argv), 3, "%s", own[i]);
		cr_assert_eq(pl_options_argv(&opt, argc - 1, argv), 3, "%s", own[i]);
		cr_assert(!opt.idle && !opt.verbose);
	}
}

Test(open_opt, test_options_main_unknown_argument_is_refused_by_name)
{
	static char *const unknown[] = {"--bogus", "--epol", "-x", "word", "", "--epoll=1"};

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		ARGV("--verbose", unknown[i]);
		char quoted[32];

		snprintf(quoted, sizeof(quoted), "'%s'", unknown[i]);
		cr_assert_eq(pl_options_main(&opt, argc, argv), -EINVAL, "%s", quoted);
		cr_assert(strstr(pl_last_error(), quoted), "%s", pl_last_error());
		cr_assert(!opt.verbose);
	}
}

Test(open_opt, test_options_main_known_arguments_are_taken)
{
	ARGV("--epoll", "--verbose");

	cr_assert_eq(pl_options_main(&opt, argc, argv), 0);
	cr_assert(opt.verbose);
}

Test(open_opt, test_options_uring_chooses_the_kernel_backend)
{
	ARGV("--uring", "--cpu", "0");

	cr_assert_eq(plan_of(&opt).kernel, LANE_KERNEL_EPOLL);
	cr_assert_eq(pl_options_argv(&opt, argc, argv), 4);
	cr_assert(opt.uring);
	cr_assert_eq(plan_of(&opt).kernel, LANE_KERNEL_URING);
	opt.dev = "d";
	opt.ip = "10.77.0.2/24";
	cr_assert_eq(plan_of(&opt).kernel, LANE_KERNEL_URING, "the kernel's half of such a lane");
}

#define REFUSED(says, ...)                                                                         \
	do {                                                                                       \
		ARGV(__VA_ARGS__);                                                                 \
		cr_assert_eq(pl_options_argv(&opt, argc, argv), -EINVAL, says);                    \
		cr_assert(strstr(pl_last_error(), says), "%s", pl_last_error());                   \
		cr_assert(!strchr(pl_last_error(), '\n'));                                         \
	} while (0)

Test(open_opt, test_options_argv_bad_value_is_refused_by_name)
{
	REFUSED("--ip", "--dev", "d", "--ip", "10.77.0.2");
	REFUSED("--ip", "--dev", "d", "--ip", "10.77.0.2/0");
	REFUSED("--ip", "--dev", "d", "--ip", "10.77.0.2/33");
	REFUSED("--ip", "--dev", "d", "--ip", "10.77.0.256/24");
	REFUSED("--ip", "--dev", "d", "--ip", "fe80::1/64");
	REFUSED("--ip", "--dev", "d", "--ip", "10.77.0.255/24");
	REFUSED("--ip", "--dev", "d", "--ip", "10.77.0.0/24");
	REFUSED("--ip", "--dev", "d", "--ip", "224.0.0.1/24");
	REFUSED("--ip", "--dev", "d");
	REFUSED("--gw", "--dev", "d", "--ip", "10.77.0.2/24", "--gw", "10.78.0.1");
	REFUSED("--gw", "--dev", "d", "--ip", "10.77.0.2/24", "--gw", "10.77.0.2");
	REFUSED("--mtu", "--dev", "d", "--ip", "10.77.0.2/24", "--mtu", "500");
	REFUSED("--cpu", "--cpu", "-1");
	REFUSED("--cpu", "--cpu", "one");
	REFUSED("--idle", "--idle", "nap");
	REFUSED("--idle", "--idle", "nap:0");
	REFUSED("--dev", "--epoll", "--dev", "d", "--ip", "10.77.0.2/24");
	REFUSED("--uring", "--epoll", "--uring");
	REFUSED("--pcap", "--pcap", "f");
	REFUSED("--fault", "--fault", "loss=1");
	REFUSED("--set", "--set", "tcp_sack=0");
	REFUSED("--mtu needs a value", "--mtu");
}

#define DEV "--dev", "d", "--ip", "10.77.0.2/24"

Test(open_opt, test_options_set_bad_name_or_value_is_told_in_one_line)
{
	REFUSED("did you mean tcp_sack", DEV, "--set", "tcp_sak=0");
	REFUSED("did you mean tcp_sack", DEV, "--set", "sack=0");
	REFUSED("tcp_retries2", DEV, "--set", "tcp_retries3=0");
	REFUSED("'parklane settings' lists them", DEV, "--set", "qqqqqqqq=0");
	REFUSED("'parklane settings' lists them", DEV, "--set",
		"a_name_that_is_much_longer_than_any_name_of_a_setting_may_ever_be=0");
	REFUSED("it is 0 to 1", DEV, "--set", "tcp_sack=7");
	REFUSED("it is 1 to 3600 s", DEV, "--set", "tcp_fin_timeout=0");
	REFUSED("give 2 numbers", DEV, "--set", "ip_local_port_range=9");
	REFUSED("give NAME=VALUE", DEV, "--set", "tcp_sack");
	REFUSED("give NAME=VALUE", DEV, "--set", "=1");
	REFUSED("tcp_rto_min_us", DEV, "--set", "tcp_rto_min_us=2000000", "--set",
		"tcp_rto_max_ms=1000");
}

Test(open_opt, test_options_set_is_applied_in_order)
{
	ARGV(DEV, "--set", "tcp_sack=0", "--set=tcp_fin_timeout=9", "--set", "tcp_fin_timeout=8");
	struct stack_config cfg;
	struct lane_plan plan;

	cr_assert_eq(pl_options_argv(&opt, argc, argv), argc, "%s", pl_last_error());
	plan = plan_of(&opt);
	stack_config_init(&cfg);
	cr_assert_eq(options_settings(plan.set, &cfg), 0);
	cr_assert(cfg.sack == 0 && cfg.fin_timeout == 8 * NSEC_PER_SEC);
}

Test(open_opt, test_options_set_too_many_are_refused)
{
	struct lane_args args = {0};
	char one[] = "tcp_sack=0";
	int key = 0;

	for (const struct argp_option *o = lane_options; o->name; o++)
		key = strcmp(o->name, "set") ? key : o->key;
	for (unsigned i = 0; i < PL_SETTINGS_MAX; i++)
		cr_assert_eq(options_set(&args, key, one), 0);
	cr_assert_eq(options_set(&args, key, one), -EINVAL);
	cr_assert_null(args.opt.set[PL_SETTINGS_MAX]);
}

Test(open_opt, test_options_plan_prefix_31_and_32_have_no_broadcast)
{
	struct pl_options opt = {.dev = "d", .ip = "10.77.0.255/31"};

	cr_assert_eq(plan_of(&opt).prefix_len, 31);
	opt.ip = "10.77.0.255/32";
	cr_assert_eq(plan_of(&opt).prefix_len, 32);
}

Test(open_opt, test_options_stack_is_kib_within_limits)
{
	static const char *const bad[] = {"15", "8193", "", "64k", "-1"};
	ARGV("--stack", "256");

	cr_assert_eq(pl_options_argv(&opt, argc, argv), 3);
	cr_assert_eq(plan_of(&opt).stack_kib, 256);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		opt = (struct pl_options){0};
		argv[2] = (char *)(uintptr_t)bad[i];
		cr_assert_eq(pl_options_argv(&opt, argc, argv), -EINVAL, "%s", bad[i]);
	}
	opt = (struct pl_options){.stack_kib = 8};
	cr_assert_eq(options_plan(&opt, &(struct lane_plan){0}), -EINVAL);
}
