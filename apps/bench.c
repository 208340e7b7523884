/* SPDX-License-Identifier: BSD-3-Clause */
/* `parklane bench` and its kind rr: round trips against an echo server, as a line, or as JSON. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "apps/bench_park.h"
#include "apps/cli.h"
#include "apps/cmd_run.h"
#include "apps/machine.h"
#include "apps/rr.h"

struct bench_args {
	struct lane_args lane;
	struct load_config cfg;
	const char *connect;
	double seconds, warmup;
	bool json, kind;
	struct machine machine;
	struct load_result res;
	bool finished;
};

enum {
	KEY_CONNECT = 1,
	KEY_CONNS,
	KEY_SIZE,
	KEY_TIME,
	KEY_WARMUP,
	KEY_JSON,
};

static void bench_value(struct bench_args *a, int key, char *arg)
{
	int err;

	switch (key) {
	case KEY_CONNECT:
		a->connect = arg;
		err = pl_addr_parse(arg, &a->cfg.addr);
		if (err == -EAFNOSUPPORT)
			cli_usage("--connect %s: IPv6 is not supported yet; give A.B.C.D:PORT",
				  arg);
		if (!err && !a->cfg.addr.port)
			cli_usage("--connect %s: the port is 1 to 65535", arg);
		if (err || !a->cfg.addr.v4)
			cli_usage("--connect %s: give A.B.C.D:PORT (names are not resolved)",
				  options_shown(arg));
		break;
	case KEY_CONNS:
		a->cfg.conns = (unsigned)cli_uint("--conns", arg, 1, LOAD_CONNS_MAX);
		break;
	case KEY_SIZE:
		a->cfg.size = (unsigned)cli_uint("--size", arg, 1, LOAD_SIZE_MAX);
		break;
	case KEY_TIME:
		a->seconds = cli_seconds("--time", arg, 0.01, 86400);
		break;
	case KEY_WARMUP:
		a->warmup = cli_seconds("--warmup", arg, 0, 3600);
		break;
	default:
		a->json = true;
	}
}

static error_t bench_parse(int key, char *arg, struct argp_state *state)
{
	struct bench_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->lane;
		return 0;
	case ARGP_KEY_ARG:
		if (a->kind || strcmp(arg, "rr"))
			cli_usage("bench '%s': the kinds of measurement are rr and park", arg);
		a->kind = true;
		return 0;
	case ARGP_KEY_END:
		if (!a->kind)
			cli_usage("bench what? 'parklane bench rr --connect HOST:PORT', or "
				  "'parklane bench park'");
		if (a->lane.opt.lanes > 1 || (a->lane.opt.cpus && strpbrk(a->lane.opt.cpus, ",-")))
			cli_usage("bench runs on one lane: start it once per cpu");
		if (!a->connect)
			cli_usage("bench rr needs --connect HOST:PORT, an echo server");
		return 0;
	case KEY_CONNECT:
	case KEY_CONNS:
	case KEY_SIZE:
	case KEY_TIME:
	case KEY_WARMUP:
	case KEY_JSON:
		bench_value(a, key, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option bench_options[] = {
	{"connect", KEY_CONNECT, "HOST:PORT", 0, "The echo server", 0},
	{"conns", KEY_CONNS, "N", 0, "Connections, one outstanding request each (default 1)", 0},
	{"size", KEY_SIZE, "S", 0, "Bytes of a request and of its answer (default 64)", 0},
	{"time", KEY_TIME, "SEC", 0, "Measured time (default 5)", 0},
	{"warmup", KEY_WARMUP, "SEC", 0, "Time before it (default: a tenth, at most 1)", 0},
	{"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
	{0},
};
static struct argp bench_argp = {
	.options = bench_options,
	.parser = bench_parse,
	.args_doc = "rr --connect HOST:PORT\npark",
	.doc = "Request and response against an echo server; every answer is compared with what "
	       "was sent. Ctrl-C ends it early: what was measured so far is printed, and the exit "
	       "status is 1. What a goroutine costs is measured by 'bench park', which has "
	       "its own --help.",
};

static void bench_main(void *arg)
{
	struct bench_args *a = arg;

	rr_run(&a->cfg, &a->res);
	a->finished = true;
}

static double us(const struct load_result *r, double q)
{
	return (double)hist_quantile(&r->hist, q) / 1e3;
}

/* The kind of link, in bench.md's words: the driver without the device's number. */
static const char *link_kind(const struct bench_args *a, char *buf, size_t size)
{
	const char *dev = a->lane.opt.dev;
	size_t len = dev ? strcspn(dev, ",") : 0;

	if (!dev)
		return "kernel";
	if (memchr(dev, ':', len))
		return "nic";
	while (len && dev[len - 1] >= '0' && dev[len - 1] <= '9')
		len--;
	snprintf(buf, size, "%.*s", (int)len, dev);
	return buf;
}

/* What this end can tell of both: behind these devices the kernel is the peer. */
static const char *set_name(const struct bench_args *a, const char *link)
{
	static const char *const kernels[] = {"net_tap", "net_af_packet", "net_af_xdp"};

	if (!a->lane.opt.dev)
		return "kernel";
	for (unsigned i = 0; i < ARRAY_SIZE(kernels); i++) {
		if (!strcmp(link, kernels[i]))
			return "mixed";
	}
	return "bypass";
}

static const char *backend_name(const struct pl_options *opt)
{
	if (opt->dev)
		return "stack";
	return opt->uring ? "uring" : "epoll";
}

static int print_json(const struct bench_args *a, double rps)
{
	const struct load_result *r = &a->res;
	char buf[64];
	const char *link = link_kind(a, buf, sizeof(buf));
	json_t *meta = machine_json(&a->machine), *run, *o;

	json_object_set_new(meta, "n", json_integer(1));
	run = json_pack("{s:s s:s s:s s:s s:i s:i s:i s:f s:I s:f s:b}", "set", set_name(a, link),
			"backend", backend_name(&a->lane.opt), "link", link, "test", "rr", "conns",
			(int)a->cfg.conns, "size", (int)a->cfg.size, "n", 1, "rps", rps, "requests",
			(json_int_t)r->units, "seconds", (double)r->window_ns / 1e9, "stopped",
			!a->finished);
	json_object_set_new(run, "rtt_us",
			    json_pack("{s:f s:f s:f s:f s:f}", "p50", us(r, 0.5), "p90", us(r, 0.9),
				      "p99", us(r, 0.99), "p999", us(r, 0.999), "max",
				      (double)r->hist.max / 1e3));
	json_object_set_new(run, "samples",
			    json_pack("{s:[f] s:[f]}", "rps", rps, "p50", us(r, 0.5)));
	o = json_pack("{s:o s:[o] s:{}}", "meta", meta, "runs", run, "ratios");
	if (!o || json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) < 0)
		return 1;
	putchar('\n');
	json_decref(o);
	return 0;
}

static int print_result(const struct bench_args *a)
{
	const struct load_result *r = &a->res;
	double rps = r->window_ns ? (double)r->units * 1e9 / (double)r->window_ns : 0;
	char name[64];

	if (a->json)
		return print_json(a, rps);
	printf("rr %s over %s: %u connection%s, %u bytes, %.2f s: %.0f req/s\n"
	       "round trip us: p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.2f\n",
	       a->connect, run_lane_name(&a->lane, name, sizeof(name)), a->cfg.conns,
	       a->cfg.conns == 1 ? "" : "s", a->cfg.size, (double)r->window_ns / 1e9, rps,
	       us(r, 0.5), us(r, 0.9), us(r, 0.99), us(r, 0.999), (double)r->hist.max / 1e3);
	return 0;
}

/* What to do about an error of the first connection that failed. */
static const char *advice(int err)
{
	switch (err) {
	case -ECONNREFUSED:
		return "nothing listens there: start 'parklane echo' first";
	case -ETIME:
	case -ETIMEDOUT:
		return "no answer in time: is the address right and the server running?";
	case -EHOSTUNREACH:
		return "no such host on the link: is the address right?";
	case -ENETUNREACH:
		return "no route there: give --gw, or another address";
	case -EADDRNOTAVAIL:
		return "local ports are exhausted: use fewer --conns";
	case -EMFILE:
		return "too many open files: raise 'ulimit -n' or use fewer --conns";
	case -ECONNRESET:
	case -EPIPE:
		return "the server went away";
	case -EBADMSG:
		return "that is no echo server";
	default:
		return strerror(-err);
	}
}

/* The window of a measurement that was stopped ends with the signal. False: it had not begun. */
static bool take_partial(struct bench_args *a)
{
	struct load_result *r = &a->res;
	uint64_t end = run_stopped_at();

	if (!r->units || end <= r->began_ns)
		return false;
	if (!r->window_ns)
		r->window_ns = end - r->began_ns;
	return true;
}

int cmd_bench(int argc, char **argv)
{
	static struct bench_args a = {
		.cfg = {.net = PL_NET_AUTO, .conns = 1, .size = 64}, .seconds = 5, .warmup = -1};
	struct run_counters counters = {.command = "bench", .quiet = true};
	int status;

	if (argc > 1 && !strcmp(argv[1], "park"))
		return cmd_bench_park(argc - 1, argv + 1);
	bench_argp.children = cli_one_lane();
	cli_parse(&bench_argp, "parklane bench", argc, argv, &a);
	if (a.warmup < 0)
		a.warmup = a.seconds > 10 ? 1 : a.seconds / 10;
	machine_read(&a.machine);
	a.cfg.seed = a.machine.seed;
	a.cfg.run_ns = (uint64_t)(a.seconds * 1e9);
	a.cfg.warm_ns = (uint64_t)(a.warmup * 1e9);
	status = run_command(&a.lane, &counters, bench_main, &a);
	if (status)
		return status;
	if (a.res.err)
		cli_die("%s: %s: %s", a.connect, a.res.what, advice(a.res.err));
	if (a.finished)
		return print_result(&a);
	if (!take_partial(&a))
		cli_die("stopped before anything was measured");
	fprintf(stderr, "parklane: stopped after %.2f of %g s\n", (double)a.res.window_ns / 1e9,
		a.seconds);
	(void)print_result(&a);
	return 1;
}
