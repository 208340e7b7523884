/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `parklane compare`: plans the samples, takes them in turn (A B A B, so that what the machine
 * does meanwhile falls on all alike), and reports. The measuring itself is in cmp_*.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "apps/cli.h"
#include "apps/cmp_measure.h"
#include "apps/stream_bytes.h"
#include "apps/tsc.h"

#define LOAD_QUIET 0.7 /* a load average above this means company */
#define MS         1000000u

struct compare_args {
	bool quick, verbose;
	const char *json, *html;
	unsigned parts, samples; /* 0: all, as many as the plan has */
	double seconds;          /* 0: as the plan has */
};

/* Quick ends within a minute and a half, full within four. */
static const struct compare_plan plan_quick = {
	.reps = 5,
	.curve_reps = 3,
	.pairs = 15,
	.micro = 3,
	.mode_reps = 3,
	.warm_ns = 50 * MS,
	.run_ns = 200 * MS,
	.pair_warm_ns = 30 * MS,
	.pair_run_ns = 100 * MS,
	.stream_warm_ns = 30 * MS,
	.stream_run_ns = 100 * MS,
};
static const struct compare_plan plan_full = {
	.reps = 7,
	.curve_reps = 5,
	.pairs = 21,
	.micro = 5,
	.mode_reps = 3,
	.warm_ns = 100 * MS,
	.run_ns = 500 * MS,
	.pair_warm_ns = 50 * MS,
	.pair_run_ns = 500 * MS,
	.stream_warm_ns = 50 * MS,
	.stream_run_ns = 200 * MS,
};

volatile sig_atomic_t cmp_stop_requested;

static struct cmp cmp;

static void on_signal(int sig)
{
	cmp_stop_requested = sig;
}

/* ---- what machine this is ---- */

static bool cpu_has(const char *flag)
{
	char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "re");
	bool has = false;

	while (f && !has && fgets(line, sizeof(line), f))
		has = !strncmp(line, "flags", 5) && strstr(line, flag);
	if (f)
		fclose(f);
	return has;
}

static void note(const char *text)
{
	struct cmp_meta *m = &cmp.meta;

	if (m->nr_notes < ARRAY_SIZE(m->notes))
		snprintf(m->notes[m->nr_notes++], sizeof(m->notes[0]), "%s", text);
}

static void fill_meta(const struct compare_plan *plan, bool quick)
{
	struct cmp_meta *m = &cmp.meta;
	char busy[160];
	double load;

	machine_read(&m->machine);
	machine_line("/proc/sys/net/ipv4/tcp_congestion_control", "", m->cc_default,
		     sizeof(m->cc_default));
	m->tsc_hz = tsc_hz();
	m->quick = quick;
	m->reps = plan->reps;
	m->virtualised = cpu_has(" hypervisor");
	snprintf(m->bypass_csum, sizeof(m->bypass_csum), "not measured");
	if (getloadavg(&load, 1) == 1 && load > LOAD_QUIET) {
		snprintf(busy, sizeof(busy),
			 "load %.1f: so many programs on average wanted a cpu in the minute before "
			 "(a build counts), so spreads may be wide; run it again when all is quiet",
			 load);
		note(busy);
		m->loaded = true;
	}
	if (m->virtualised)
		note("in a virtual machine an idle cpu takes some 50 us to wake; kernel-awake "
		     "keeps that out of the kernel's figures");
	note("softirq work that interrupts the spinner counts as the spinner's: kernel-awake's "
	     "cycles are a lower bound");
}

/* ---- the command ---- */

static int start(const struct compare_args *args, bool *ret_bypass)
{
	const char *what = "";
	int err;

	stream_init();
	err = kernel_start(&cmp.meta, &what);
	if (err) {
		if (err != -EINTR)
			fprintf(stderr, "parklane: compare: %s: %s\n", what, strerror(-err));
		return err;
	}
	err = bypass_start(&cmp.meta, args->verbose, &what);
	if (err == -EOPNOTSUPP) {
		note("built without DPDK: the bypass sets are left out");
		*ret_bypass = false;
		return 0;
	}
	if (err && err != -EINTR)
		fprintf(stderr, "parklane: compare: %s\n", what);
	*ret_bypass = true;
	return err;
}

static int report(const struct compare_args *args)
{
	int err = 0;

	cmp_best_rate(&cmp);
	cmp_ratios(&cmp);
	report_print(&cmp);
	if (args->json || args->html)
		putchar('\n');
	if (args->json) {
		err = report_json(&cmp, args->json);
		if (err)
			fprintf(stderr, "parklane: cannot write %s: %s\n", args->json,
				strerror(-err));
		else
			printf("written: %s\n", args->json);
	}
	if (args->html && !err) {
		err = report_html(&cmp, args->html);
		if (err)
			fprintf(stderr, "parklane: cannot write %s: %s\n", args->html,
				err == -ENOENT ? "gnuplot is not installed; ./run setup does it"
					       : strerror(-err));
		else
			printf("written: %s\n", args->html);
	}
	report_headline(&cmp);
	return err;
}

enum {
	KEY_QUICK = 1,
	KEY_JSON,
	KEY_HTML,
	KEY_VERBOSE,
	KEY_TESTS,
	KEY_SAMPLES,
	KEY_TIME,
};

/* The bits of --tests LIST. */
static unsigned parse_tests(const char *list)
{
	static const struct {
		const char *name;
		enum cmp_part part;
	} names[] = {
		{"rr", PART_RR}, {"stream", PART_STREAM}, {"park", PART_PARK}, {"idle", PART_IDLE}};
	unsigned parts = 0;

	for (const char *p = list;; p++) {
		size_t len = strcspn(p, ",");
		unsigned part = 0;

		for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
			if (len == strlen(names[i].name) && !strncmp(p, names[i].name, len))
				part = names[i].part;
		}
		if (!part)
			cli_usage("--tests %s: give some of rr, stream, park and idle, with commas "
				  "between them",
				  options_shown(list));
		parts |= part;
		p += len;
		if (!*p)
			return parts;
	}
}

static error_t compare_parse(int key, char *arg, struct argp_state *state)
{
	struct compare_args *a = state->input;

	switch (key) {
	case KEY_QUICK:
		a->quick = true;
		return 0;
	case KEY_JSON:
		a->json = arg;
		return 0;
	case KEY_HTML:
		a->html = arg;
		return 0;
	case KEY_VERBOSE:
		a->verbose = true;
		return 0;
	case KEY_TESTS:
		a->parts = parse_tests(arg);
		return 0;
	case KEY_SAMPLES:
		a->samples = (unsigned)cli_uint("--samples", arg, 1, CMP_SAMPLES_MAX);
		return 0;
	case KEY_TIME:
		a->seconds = cli_seconds("--time", arg, 0.01, 60);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option compare_options[] = {
	{"tests", KEY_TESTS, "LIST", 0, "Only some of rr, stream, park, idle (default: all)", 0},
	{"quick", KEY_QUICK, NULL, 0, "Fewer and shorter samples: a minute and a half, not four",
	 0},
	{"samples", KEY_SAMPLES, "N", 0, "Samples of each figure", 0},
	{"time", KEY_TIME, "SEC", 0, "Measured time of each sample", 0},
	{"json", KEY_JSON, "FILE", 0, "Write all figures to FILE", 0},
	{"html", KEY_HTML, "FILE", 0, "Write one page with the pictures to FILE", 0},
	{"verbose", KEY_VERBOSE, NULL, 0, "Show what DPDK prints", 0},
	{0},
};
static const struct argp compare_argp = {
	.options = compare_options,
	.parser = compare_parse,
	.doc = "Measure what a request and what a stream cost on this machine: through interrupts, "
	       "softirqs and epoll, and polled through Parklane.\n\n"
	       "The tests: rr, request and response of 64 bytes on 1 and 64 connections; stream, "
	       "bytes one way on 1 and 8, in (to the server, whose cpu is measured) and out (from "
	       "it), each byte checked; park, what a goroutine costs; idle, the memory of an idle "
	       "connection, which is that of one end with its goroutine (bytes_per_idle_conn). "
	       "Needs root and two cpus; leaves nothing behind.",
};

/* The output files are written last; whether that can work is better known first. Nothing is
 * left of the try: a compare that is stopped has no figures to write. */
static void check_writable(const char *path)
{
	bool existed = path && access(path, F_OK) == 0;
	FILE *f = path ? fopen(path, "ae") : NULL;

	if (path && !f)
		cli_die("cannot write %s: %s", options_shown(path), strerror(errno));
	if (f)
		fclose(f);
	if (f && !existed)
		(void)unlink(path);
}

/* Two at once would measure each other. The lock is the folder's own, so that nothing is left
 * behind; it ends with the process and its workers. */
static void only_one(void)
{
	int fd = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		cli_die("another compare is running, and they would measure each other: wait for "
			"it");
}

static unsigned at_most(unsigned n, unsigned most)
{
	return most && n > most ? most : n;
}

static struct compare_plan plan_of(const struct compare_args *a)
{
	struct compare_plan p = a->quick ? plan_quick : plan_full;

	p.parts = a->parts ? a->parts : PART_ALL;
	if (a->samples) {
		p.reps = p.curve_reps = p.pairs = a->samples;
		p.mode_reps = at_most(p.mode_reps, (a->samples + 1) / 2);
		p.micro = at_most(p.micro, a->samples);
	}
	if (a->seconds > 0)
		p.run_ns = p.pair_run_ns = p.stream_run_ns = (uint64_t)(a->seconds * 1e9);
	return p;
}

int cmd_compare(int argc, char **argv)
{
	struct compare_args args = {0};
	struct sigaction sa = {.sa_handler = on_signal};
	struct compare_plan plan;
	uint64_t began;
	bool bypass;
	int err;

	cli_parse(&compare_argp, "parklane compare", argc, argv, &args);
	if (geteuid() != 0)
		cli_die("compare makes network namespaces: run it as root");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		cli_die("compare needs two cpus, one for the client and one for the server");
	check_writable(args.json);
	check_writable(args.html);
	only_one();
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	plan = plan_of(&args);
	fill_meta(&plan, args.quick);
	began = mono_ns();
	err = start(&args, &bypass);
	if (!err) {
		err = cmp_measure(&cmp, &plan, bypass);
	}
	kernel_stop();
	bypass_stop();
	cmp.meta.seconds = (double)(mono_ns() - began) / 1e9;
	if (err == -EINTR) {
		cmp_progress_end();
		fputs("parklane: compare: stopped\n", stderr);
	} else if (!err) {
		err = report(&args);
	}
	return err ? 1 : 0;
}
