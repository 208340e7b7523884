/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lane options: one table that argp (the program) and getopt_long (pl_options_argv, for
 * programs of others) both read, and the check of what was given. Opens nothing.
 */
#include "apps/open.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/bug.h"

enum {
	OPT_EPOLL = 0x100,
	OPT_URING,
	OPT_DEV,
	OPT_IP,
	OPT_GW,
	OPT_MTU,
	OPT_CPU,
	OPT_LANES,
	OPT_IDLE,
	OPT_STACK,
	OPT_PCAP,
	OPT_FAULT,
	OPT_SET,
	OPT_VERBOSE,
	OPT_HELP, /* main_help()'s */
};

#define MTU_MIN    576 /* RFC 791: what every host must take */
#define MTU_MAX    65535
#define CPU_MAX    4095
#define NAP_US_MAX 1000000
#define STACK_MIN  16 /* CORO_STACK_MIN */
#define STACK_MAX  8192

const struct argp_option lane_options[] = {
	{"epoll", OPT_EPOLL, NULL, 0, "Kernel sockets and epoll (the default without --dev)", 0},
	{"uring", OPT_URING, NULL, 0, "Kernel sockets over io_uring instead", 0},
	{"dev", OPT_DEV, "DEVARGS", 0, "DPDK device, such as net_tap0,iface=pl0", 0},
	{"ip", OPT_IP, "A.B.C.D/LEN", 0, "Parklane's own address on that device", 0},
	{"gw", OPT_GW, "A.B.C.D", 0, "Gateway for what is not on the link (default: none)", 0},
	{"mtu", OPT_MTU, "N", 0, "Bytes of an IP packet (default: the device's)", 0},
	{"lanes", OPT_LANES, "N", 0, "So many lanes, with a queue of the device each (default: 1)",
	 0},
	{"cpu", OPT_CPU, "LIST", 0,
	 "Pin the lane to this cpu; 2,4 or 2-5 names one for each of several (default: not pinned)",
	 0},
	{"idle", OPT_IDLE, "spin|nap:US|sleep", 0,
	 "What a lane without work does (default: sleep where the device has an fd, else nap:50)",
	 0},
	{"stack", OPT_STACK, "KIB", 0, "Stack of a goroutine (default: 64)", 0},
	{"pcap", OPT_PCAP, "FILE", 0, "Write every frame to FILE", 0},
	{"fault", OPT_FAULT, "SPEC", 0,
	 "Lose, duplicate, reorder or corrupt frames, such as loss=0.01,seed=7", 0},
	{"set", OPT_SET, "NAME=VALUE", 0,
	 "A setting of the stack, such as tcp_sack=0; 'parklane settings' lists them", 0},
	{"verbose", OPT_VERBOSE, NULL, 0, "Show what DPDK prints", 0},
	{0},
};

static __thread char last_error[256];

int open_error(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
	return err;
}

const char *pl_last_error(void)
{
	return last_error;
}

const char *options_shown(const char *value)
{
	return *value ? value : "''";
}

/* A decimal number and nothing else, lo..hi. */
static bool parse_uint(const char *s, unsigned long lo, unsigned long hi, unsigned long *ret)
{
	unsigned long v;
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno || *end || v < lo || v > hi)
		return false;
	*ret = v;
	return true;
}

/* A unicast address that a host can own: not 0/8, 127/8, multicast or above (RFC 1122 3.2.1.3). */
static bool host_address(uint32_t ip)
{
	uint32_t top = ntohl(ip) >> 24;

	return top != 0 && top != 127 && top < 224;
}

static int parse_cidr(const char *s, uint32_t *ret_ip, unsigned *ret_len)
{
	const char *slash = strchr(s, '/');
	char addr[INET_ADDRSTRLEN];
	unsigned long len;
	struct in_addr in;
	uint32_t host;

	if (!slash || slash - s >= (long)sizeof(addr))
		return open_error(-EINVAL, "--ip %s: give address and prefix, as in 10.77.0.2/24",
				  options_shown(s));
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	if (inet_pton(AF_INET, addr, &in) != 1)
		return open_error(-EINVAL,
				  "--ip %s: not an IPv4 address (IPv6 is not supported yet); "
				  "give it as in 10.77.0.2/24",
				  options_shown(s));
	if (!parse_uint(slash + 1, 1, 32, &len))
		return open_error(-EINVAL, "--ip %s: the prefix length is 1 to 32", s);
	host = len == 32 ? 0 : ntohl(in.s_addr) << len;
	if (!host_address(in.s_addr))
		return open_error(-EINVAL, "--ip %s: not an address a host can have", s);
	if (len < 31 && (host == 0 || host == UINT32_MAX << len))
		return open_error(-EINVAL,
				  "--ip %s: that is the network's or the broadcast address; choose "
				  "one between them",
				  s);
	*ret_ip = in.s_addr;
	*ret_len = (unsigned)len;
	return 0;
}

static int parse_idle(const char *s, enum lane_idle *ret_idle, uint64_t *ret_nap_ns)
{
	unsigned long us;

	*ret_nap_ns = 0;
	if (!s) {
		*ret_idle = LANE_IDLE_AUTO;
	} else if (!strcmp(s, "spin")) {
		*ret_idle = LANE_IDLE_SPIN;
	} else if (!strcmp(s, "sleep")) {
		*ret_idle = LANE_IDLE_SLEEP;
	} else if (!strncmp(s, "nap:", 4) && parse_uint(s + 4, 1, NAP_US_MAX, &us)) {
		*ret_idle = LANE_IDLE_NAP;
		*ret_nap_ns = us * 1000;
	} else {
		return open_error(-EINVAL, "--idle %s: it is spin, sleep, or nap:US (1 to %d us)",
				  options_shown(s), NAP_US_MAX);
	}
	return 0;
}

static bool has_cpu(const int *cpus, unsigned nr, int cpu)
{
	for (unsigned i = 0; i < nr; i++) {
		if (cpus[i] == cpu)
			return true;
	}
	return false;
}

/* parse_cpus - "2", "2,4", "2-5": the numbers into cpus[0..LANES_MAX). How many; -EINVAL. */
static int parse_cpus(const char *s, int cpus[static LANES_MAX])
{
	unsigned nr = 0;
	const char *p = s;

	do {
		unsigned long lo, hi;
		char *end;

		if (*p < '0' || *p > '9')
			goto bad;
		lo = hi = strtoul(p, &end, 10);
		p = end;
		if (*p == '-') {
			if (p[1] < '0' || p[1] > '9')
				goto bad;
			hi = strtoul(p + 1, &end, 10);
			p = end;
		}
		if (lo > hi || hi > CPU_MAX || hi - lo >= LANES_MAX - nr)
			goto bad;
		for (; lo <= hi; lo++) {
			if (has_cpu(cpus, nr, (int)lo))
				return open_error(
					-EINVAL, "--cpu %s: cpu %lu twice; each lane needs its own",
					s, lo);
			cpus[nr++] = (int)lo;
		}
	} while (*p++ == ',');
	if (p[-1] == '\0')
		return (int)nr;
bad:
	return open_error(
		-EINVAL,
		"--cpu %s: give a cpu's number from 0, or as in 2,4 or 2-5, for at most %u lanes",
		options_shown(s), LANES_MAX);
}

/* plan_lanes - how many, and where. */
static int plan_lanes(const struct pl_options *opt, struct lane_plan *plan)
{
	int nr = opt->cpus ? parse_cpus(opt->cpus, plan->cpus) : 0;

	if (nr < 0)
		return nr;
	if (opt->lanes > LANES_MAX)
		return open_error(-EINVAL, "%u lanes: it is 1 to %u", opt->lanes, LANES_MAX);
	plan->lanes = opt->lanes ? opt->lanes : max_t(unsigned, (unsigned)nr, 1);
	if (nr && (unsigned)nr != plan->lanes)
		return open_error(-EINVAL, "--cpu %s: that is %d for %u lanes; name one for each",
				  opt->cpus, nr, plan->lanes);
	for (unsigned i = (unsigned)nr; i < plan->lanes; i++)
		plan->cpus[i] = -1;
	plan->cpu = plan->cpus[0];
	return 0;
}

/* note_setting - one --set more; what it says is checked when all are known. */
static int note_setting(struct pl_options *opt, const char *value)
{
	for (unsigned i = 0; i < PL_SETTINGS_MAX; i++) {
		if (!opt->set[i]) {
			opt->set[i] = value;
			return 0;
		}
	}
	return open_error(-EINVAL, "--set %s: that is more than %d", options_shown(value),
			  PL_SETTINGS_MAX);
}

int options_set(struct lane_args *args, int key, char *value)
{
	struct pl_options *opt = &args->opt;
	unsigned long v;

	switch (key) {
	case OPT_EPOLL:
		args->epoll = true;
		break;
	case OPT_URING:
		opt->uring = true;
		break;
	case OPT_DEV:
		opt->dev = value;
		break;
	case OPT_IP:
		opt->ip = value;
		break;
	case OPT_GW:
		opt->gw = value;
		break;
	case OPT_MTU:
		if (!parse_uint(value, MTU_MIN, MTU_MAX, &v))
			return open_error(-EINVAL, "--mtu %s: it is %d to %d", options_shown(value),
					  MTU_MIN, MTU_MAX);
		opt->mtu = (unsigned)v;
		break;
	case OPT_LANES:
		if (!parse_uint(value, 1, LANES_MAX, &v))
			return open_error(-EINVAL, "--lanes %s: it is 1 to %u",
					  options_shown(value), LANES_MAX);
		opt->lanes = (unsigned)v;
		break;
	case OPT_CPU:
		opt->cpus = value;
		break;
	case OPT_IDLE:
		opt->idle = value;
		break;
	case OPT_STACK:
		if (!parse_uint(value, STACK_MIN, STACK_MAX, &v))
			return open_error(-EINVAL, "--stack %s: it is %d to %d KiB",
					  options_shown(value), STACK_MIN, STACK_MAX);
		opt->stack_kib = (unsigned)v;
		break;
	case OPT_PCAP:
		opt->pcap = value;
		break;
	case OPT_FAULT:
		opt->fault = value;
		break;
	case OPT_SET:
		return note_setting(opt, value);
	case OPT_VERBOSE:
		opt->verbose = true;
		break;
	default:
		return open_error(-EINVAL, "option %d is not a lane's", key);
	}
	return 0;
}

int options_end(const struct lane_args *args)
{
	struct lane_plan plan;

	if (args->epoll && args->opt.dev)
		return open_error(-EINVAL, "--epoll and --dev exclude each other: give one");
	if (args->epoll && args->opt.uring)
		return open_error(-EINVAL, "--epoll and --uring exclude each other: give one");
	return options_plan(&args->opt, &plan);
}

static int plan_device(const struct pl_options *opt, struct lane_plan *plan)
{
	struct in_addr gw;
	uint32_t mask;
	int err;

	if (!opt->ip)
		return open_error(-EINVAL, "--dev needs --ip A.B.C.D/LEN, Parklane's own address");
	err = parse_cidr(opt->ip, &plan->ip, &plan->prefix_len);
	if (err || !opt->gw)
		return err;
	if (inet_pton(AF_INET, opt->gw, &gw) != 1 || !host_address(gw.s_addr))
		return open_error(-EINVAL, "--gw %s: not an IPv4 host address",
				  options_shown(opt->gw));
	mask = htonl(UINT32_MAX << (32 - plan->prefix_len));
	if ((gw.s_addr & mask) != (plan->ip & mask) || gw.s_addr == plan->ip)
		return open_error(-EINVAL, "--gw %s: must be another address within --ip %s",
				  opt->gw, opt->ip);
	plan->gw = gw.s_addr;
	return 0;
}

static int plan_settings(const struct pl_options *opt, struct lane_plan *plan)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	plan->set = opt->set;
	return options_settings(opt->set, &cfg);
}

int options_plan(const struct pl_options *opt, struct lane_plan *ret_plan)
{
	static const char needs_dev[] = "%s is about a device: give --dev as well";
	struct lane_plan plan = {
		.lanes = 1,
		.kernel = opt->uring ? LANE_KERNEL_URING : LANE_KERNEL_EPOLL,
		.stack_kib = opt->stack_kib,
	};
	int err;

	if (opt->stack_kib && (opt->stack_kib < STACK_MIN || opt->stack_kib > STACK_MAX))
		return open_error(-EINVAL, "a stack of %u KiB: it is %d to %d", opt->stack_kib,
				  STACK_MIN, STACK_MAX);
	err = plan_lanes(opt, &plan);
	if (!err)
		err = parse_idle(opt->idle, &plan.idle, &plan.nap_ns);
	/* a wrong value is told first: with --dev it would be told next */
	if (!err && opt->set[0])
		err = plan_settings(opt, &plan);
	if (!err && opt->dev)
		err = plan_device(opt, &plan);
	else if (!err && opt->ip)
		err = open_error(-EINVAL, needs_dev, "--ip");
	else if (!err && opt->gw)
		err = open_error(-EINVAL, needs_dev, "--gw");
	else if (!err && opt->mtu)
		err = open_error(-EINVAL, needs_dev, "--mtu");
	else if (!err && opt->pcap)
		err = open_error(-EINVAL, needs_dev, "--pcap");
	else if (!err && opt->fault)
		err = open_error(-EINVAL, needs_dev, "--fault");
	else if (!err && opt->set[0])
		err = open_error(-EINVAL, needs_dev, "--set");
	if (err)
		return err;
	*ret_plan = plan;
	return 0;
}

/* "--idle", "--idle=spin", but not "--id": that may be the caller's own. */
static bool is_lane_option(const char *arg)
{
	size_t len = strcspn(arg, "=");

	for (const struct argp_option *o = lane_options; o->name; o++) {
		if (len == strlen(o->name) + 2 && !memcmp(arg + 2, o->name, len - 2))
			return true;
	}
	return false;
}

int pl_options_argv(struct pl_options *opt, int argc, char **argv)
{
	struct option longopts[ARRAY_SIZE(lane_options)] = {0};
	struct lane_args args = {0};
	int key, err, at;

	if (!opt || !argv)
		return open_error(-EINVAL, "pl_options_argv: %s is NULL", opt ? "argv" : "opt");
	args.opt = *opt;
	for (unsigned i = 0; lane_options[i].name; i++) {
		longopts[i].name = lane_options[i].name;
		longopts[i].has_arg = lane_options[i].arg ? required_argument : no_argument;
		longopts[i].val = lane_options[i].key;
	}
	/* "+" stops at the first argument that is none of ours, ":" tells a missing value. */
	optind = 0;
	opterr = 0;
	for (at = 1; (key = getopt_long(argc, argv, "+:", longopts, NULL)) != -1; at = optind) {
		if (key == '?' || !is_lane_option(argv[at])) {
			/* getopt may be beyond it, or stay on "-xy" until it has seen the y. */
			optind = at;
			break;
		}
		if (key == ':')
			return open_error(-EINVAL, "%s needs a value", argv[optind - 1]);
		err = options_set(&args, key, optarg);
		if (err)
			return err;
	}
	err = options_end(&args);
	if (err)
		return err;
	*opt = args.opt;
	return optind;
}

void pl_options_help(FILE *f)
{
	static const struct argp lane = {.options = lane_options};

	if (!f)
		BUG("pl_options_help: the file is NULL");
	argp_help(&lane, f, ARGP_HELP_LONG, NULL);
}

/* main_help - with --help itself, which is pl_options_main's alone. */
static void main_help(FILE *f)
{
	struct argp_option options[ARRAY_SIZE(lane_options) + 1] = {0};
	const struct argp all = {.options = options};

	memcpy(options, lane_options, sizeof(lane_options));
	options[ARRAY_SIZE(lane_options) - 1] =
		(struct argp_option){"help", OPT_HELP, NULL, 0, "This text", 0};
	fprintf(f, "Usage: %s [OPTION...]\n\n", program_invocation_short_name);
	argp_help(&all, f, ARGP_HELP_LONG, NULL);
}

int pl_options_main(struct pl_options *opt, int argc, char **argv)
{
	struct pl_options got;
	int n;

	if (!opt)
		return open_error(-EINVAL, "pl_options_main: opt is NULL");
	got = *opt;
	n = pl_options_argv(&got, argc, argv);
	if (n < 0)
		return n;
	if (n < argc && !strcmp(argv[n], "--help")) {
		main_help(stdout);
		exit(0);
	}
	if (n < argc)
		return open_error(-EINVAL, "'%s' is unknown; --help lists the options", argv[n]);
	*opt = got;
	return 0;
}
