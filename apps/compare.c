/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `parklane compare`: plans the samples, takes them in turn (A B A B, so that what the machine
 * does meanwhile falls on all alike), and reports. The measuring itself is in cmp_*.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "apps/cli.h"
#include "apps/compare.h"
#include "apps/tsc.h"

#define LOAD_QUIET   0.7 /* a load average above this means company */
#define MODE_SAMPLES 3   /* of each way of tuning the kernel */

struct compare_args {
	bool quick, verbose;
	const char *json, *html;
};

/* How long and how often. Quick ends within a minute, full within three. */
struct compare_plan {
	unsigned reps, curve_reps, pairs, micro;
	uint64_t warm_ns, run_ns;
	uint64_t pair_warm_ns, pair_run_ns;
};

static const struct compare_plan plan_quick = {5,        3,         15,       3,
					       50000000, 200000000, 30000000, 100000000};
static const struct compare_plan plan_full = {7,         5,         21,       5,
					      100000000, 500000000, 50000000, 500000000};

volatile sig_atomic_t cmp_stop_requested;

static struct cmp cmp;
static unsigned steps_done, steps_all;

static void on_signal(int sig)
{
	cmp_stop_requested = sig;
}

/* ---- progress ---- */

static void progress(const char *name, unsigned conns)
{
	steps_done++;
	if (!isatty(STDERR_FILENO)) {
		if (steps_done % 10 == 1)
			fprintf(stderr, "compare: %3u %%\n", steps_done * 100 / steps_all);
		return;
	}
	fprintf(stderr, "\r\033[Kcompare: %3u %%  %s, %u connection%s",
		steps_done * 100 / steps_all, name, conns, conns == 1 ? "" : "s");
}

static void progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
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
		note("in a virtual machine an idle cpu takes some 50 us to wake; kernel-awake keeps "
		     "that out of the kernel's figures");
	note("softirq work that interrupts the spinner counts as the spinner's: kernel-awake's "
	     "cycles are a lower bound");
}

/* ---- samples ---- */

static bool is_bypass(enum cmp_set set)
{
	return set == SET_BYPASS || set == SET_FLOOR;
}

static int take(enum cmp_set set, unsigned conns, const struct compare_plan *plan, bool ledger,
		struct cmp_sample *ret)
{
	progress(cmp_set_names[set], conns);
	if (is_bypass(set))
		return bypass_sample(set, conns, plan->warm_ns, plan->run_ns, ledger, ret);
	return kernel_sample(set, conns, plan->warm_ns, plan->run_ns, ledger, ret);
}

static int failed(enum cmp_set set, unsigned conns, int err)
{
	if (err == -EINTR)
		return err;
	progress_end();
	fprintf(stderr, "parklane: compare: %s with %u connection%s: %s\n", cmp_set_names[set],
		conns, conns == 1 ? "" : "s", is_bypass(set) ? bypass_what() : kernel_what());
	return err;
}

static void plan_one(enum cmp_set set, unsigned conns, bool curve, bool rival)
{
	struct cmp_series *s = &cmp.series[cmp.nr_series++];

	s->set = set;
	s->conns = conns;
	s->size = CMP_SIZE;
	s->curve = curve;
	s->rival = rival;
	hist_init(&s->hist);
}

static void plan_series(enum cmp_set set, unsigned conns, bool curve)
{
	plan_one(set, conns, curve, false);
	/* The kernel's cycles need RPS on; its requests/s are the better of on and off. */
	if (conns > 1 && !is_bypass(set))
		plan_one(set, conns, curve, true);
}

static void plan_all(bool bypass)
{
	static const unsigned table[] = {1, 64}, curve[] = {4, 16, 256};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		for (int set = 0; set < SET_MAX; set++) {
			if (bypass || !is_bypass((enum cmp_set)set))
				plan_series((enum cmp_set)set, table[i], false);
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(curve); i++) {
		if (bypass)
			plan_series(SET_BYPASS, curve[i], true);
		plan_series(SET_KERNEL_AWAKE, curve[i], true);
	}
}

/* How good a way of tuning is: requests, or the inverse of the median round trip. */
static int try_mode(struct kernel_mode mode, unsigned conns, const struct compare_plan *plan,
		    double *ret_score)
{
	static struct cmp_sample s;
	double v[MODE_SAMPLES];
	int err = kernel_set_mode(mode);

	for (unsigned i = 0; i < MODE_SAMPLES && !err; i++) {
		err = take(SET_KERNEL_AWAKE, conns, plan, false, &s);
		v[i] = conns > 1 ? (double)s.rr.requests
				 : 1e9 / (double)hist_quantile(&s.rr.hist, 0.5);
	}
	if (err)
		return failed(SET_KERNEL_AWAKE, conns, err);
	*ret_score = figure_median(v, MODE_SAMPLES).value;
	return 0;
}

/* The kernel as its own experts would tune it: a few short samples of each way, the best is
 * kept. Where cycles are counted the server's packets must be steered to the server's cpu
 * (least), or the client's cpu would do the server's work. */
static int choose_mode(unsigned conns, enum kernel_rps least, enum kernel_rps most,
		       const struct compare_plan *plan, struct kernel_mode *ret)
{
	struct kernel_mode mode, best = {least, true, false};
	unsigned end = 2 * most + 2;
	double top = 0, score;
	int err;

	for (unsigned k = 2 * least; k <= end; k++) {
		mode = (struct kernel_mode){(enum kernel_rps)(k / 2), k % 2, false};
		if (k == end) {
			mode = best;
			mode.busy_poll = true;
		}
		err = try_mode(mode, conns, plan, &score);
		if (err)
			return err;
		if (score > top) {
			top = score;
			best = mode;
		}
	}
	*ret = best;
	return 0;
}

static int choose_modes(const struct compare_plan *plan)
{
	struct compare_plan brief = *plan;
	int err;

	brief.run_ns = plan->run_ns / 2;
	err = choose_mode(1, RPS_OFF, RPS_BOTH, &brief, &cmp.meta.mode_latency);
	if (!err)
		err = choose_mode(64, RPS_SERVER, RPS_BOTH, &brief, &cmp.meta.mode_steered);
	return err ? err : choose_mode(64, RPS_OFF, RPS_OFF, &brief, &cmp.meta.mode_off);
}

static int take_series(struct cmp_series *s, const struct compare_plan *plan)
{
	static struct cmp_sample sample;
	int err = 0;

	if (!is_bypass(s->set)) {
		s->cycles_mode = s->rival       ? cmp.meta.mode_off
				 : s->conns > 1 ? cmp.meta.mode_steered
						: cmp.meta.mode_latency;
		s->rps_mode = s->cycles_mode;
		err = kernel_set_mode(s->cycles_mode);
	}
	if (!err)
		err = take(s->set, s->conns, plan, false, &sample);
	if (err)
		return failed(s->set, s->conns, err);
	series_add(s, &sample);
	return 0;
}

static int take_pairs(const struct compare_plan *plan)
{
	static struct cmp_sample s;
	static const enum cmp_set sets[2] = {SET_KERNEL, SET_PLAIN_EPOLL};
	struct compare_plan brief = *plan;
	int err = kernel_set_mode(cmp.meta.mode_steered);

	brief.warm_ns = plan->pair_warm_ns;
	brief.run_ns = plan->pair_run_ns;
	for (unsigned i = 0; i < plan->pairs && !err; i++) {
		for (unsigned k = 0; k < 2; k++) {
			/* A B, B A, A B: what drifts hits both. */
			enum cmp_set set = sets[(i + k) % 2];
			double rps, cycles;

			err = take(set, 64, &brief, false, &s);
			if (err)
				return failed(set, 64, err);
			rps = (double)s.rr.requests * 1e9 / (double)s.rr.window_ns;
			cycles = s.server_cycles / (double)s.rr.requests;
			if (set == SET_PLAIN_EPOLL) {
				cmp.pair_plain[i] = rps;
				cmp.pair_plain_cycles[i] = cycles;
			} else {
				cmp.pair_ours[i] = rps;
				cmp.pair_ours_cycles[i] = cycles;
			}
		}
		cmp.nr_pairs = i + 1;
	}
	return err;
}

/* Who computed the bypass side's checksums, by what the stack counted. */
static void name_checksums(const struct cmp_ledger *led)
{
	bool sw = led->row[ROW_CSUM_SW] > 0, hw = led->row[ROW_CSUM_HW] > 0;

	snprintf(cmp.meta.bypass_csum, sizeof(cmp.meta.bypass_csum), "%s",
		 sw && hw ? "partly both stacks in software, partly the device"
		 : sw     ? "both stacks in software, every byte sent and received"
		 : hw     ? "the device"
			  : "nobody");
}

/* One more sample of each 64-connection set with the tracepoint counters open. */
static int take_ledgers(const struct compare_plan *plan)
{
	static struct cmp_sample sample;
	int err = kernel_set_mode(cmp.meta.mode_steered);

	for (unsigned i = 0; i < cmp.nr_series && !err; i++) {
		struct cmp_series *s = &cmp.series[i];

		if (s->curve || s->rival || s->conns != 64 || s->set == SET_FLOOR)
			continue;
		err = take(s->set, s->conns, plan, true, &sample);
		if (err)
			return failed(s->set, s->conns, err);
		s->ledger = sample.ledger;
		s->has_ledger = true;
		if (s->set == SET_BYPASS)
			name_checksums(&s->ledger);
	}
	return err;
}

static int take_micros(const struct compare_plan *plan)
{
	const char *what = "";
	int err = micro_run(&cmp, plan->micro, progress, &what);

	if (err && err != -EINTR) {
		progress_end();
		fprintf(stderr, "parklane: compare: goroutines: %s\n", what);
	}
	return err;
}

static int measure(const struct compare_plan *plan)
{
	unsigned table = 0, curve = 0;
	int err;

	for (unsigned i = 0; i < cmp.nr_series; i++)
		cmp.series[i].curve ? curve++ : table++;
	steps_all = 15 * MODE_SAMPLES + table * plan->reps + curve * plan->curve_reps +
		    plan->pairs * 2 + 5 + 1 + 2 * plan->micro;
	err = choose_modes(plan);
	for (unsigned rep = 0; rep < plan->reps && !err; rep++) {
		for (unsigned i = 0; i < cmp.nr_series && !err; i++) {
			if (!cmp.series[i].curve || rep < plan->curve_reps)
				err = take_series(&cmp.series[i], plan);
		}
	}
	if (!err)
		err = take_pairs(plan);
	if (!err)
		err = take_ledgers(plan);
	if (!err)
		err = take_micros(plan);
	progress_end();
	return err;
}

/* ---- the command ---- */

static int start(const struct compare_args *args, bool *ret_bypass)
{
	const char *what = "";
	int err = kernel_start(&cmp.meta, &what);

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

	cmp_best_rps(&cmp);
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
};

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
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option compare_options[] = {
	{"quick", KEY_QUICK, NULL, 0, "Fewer and shorter samples: under a minute", 0},
	{"json", KEY_JSON, "FILE", 0, "Write all figures to FILE", 0},
	{"html", KEY_HTML, "FILE", 0, "Write one page with the pictures to FILE", 0},
	{"verbose", KEY_VERBOSE, NULL, 0, "Show what DPDK prints", 0},
	{0},
};
static const struct argp compare_argp = {
	.options = compare_options,
	.parser = compare_parse,
	.doc = "Measure what a request costs on this machine: through interrupts, softirqs and "
	       "epoll, and polled through Parklane. The memory of an idle connection "
	       "(bytes_per_idle_conn) is that of one end with its goroutine. Needs root and two "
	       "cpus; leaves nothing behind.",
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
		cli_die("another compare is running, and they would measure each other: wait for it");
}

int cmd_compare(int argc, char **argv)
{
	struct compare_args args = {0};
	struct sigaction sa = {.sa_handler = on_signal};
	const struct compare_plan *plan;
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
	plan = args.quick ? &plan_quick : &plan_full;
	fill_meta(plan, args.quick);
	began = mono_ns();
	err = start(&args, &bypass);
	if (!err) {
		plan_all(bypass);
		err = measure(plan);
	}
	kernel_stop();
	bypass_stop();
	cmp.meta.seconds = (double)(mono_ns() - began) / 1e9;
	if (err == -EINTR) {
		progress_end();
		fputs("parklane: compare: stopped\n", stderr);
	} else if (!err) {
		err = report(&args);
	}
	return err ? 1 : 0;
}
