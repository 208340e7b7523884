/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compare's plan and its samples. They are taken in turn (A B A B, so that what the machine does
 * meanwhile falls on all alike), the kernel's side in the best of the ways of tuning it that were
 * tried before. The measuring itself is in cmp_kernel.c, cmp_bypass.c, cmp_micro.c.
 */
#include "apps/cmp_measure.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/stream_bytes.h"

/* A way of tuning that gives less than so much of another's rate is not sampled beside it. */
#define RIVAL_LEAST 0.97

static struct cmp *cmp;
static const struct compare_plan *plan;
static unsigned steps_done, steps_all;

static const unsigned stream_conns[] = {1, CMP_STREAM_CONNS};

/* ---- progress ---- */

static void progress(const char *name, unsigned conns)
{
	unsigned done = steps_done++ * 100 / (steps_all ? steps_all : 1);

	if (done > 99)
		done = 99;
	if (!isatty(STDERR_FILENO)) {
		if (steps_done % 10 == 1)
			fprintf(stderr, "compare: %3u %%\n", done);
		return;
	}
	fprintf(stderr, "\r\033[Kcompare: %3u %%  %s, %u connection%s", done, name, conns,
		conns == 1 ? "" : "s");
}

void cmp_progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* ---- one sample ---- */

static bool is_bypass(enum cmp_set set)
{
	return set == SET_BYPASS || set == SET_FLOOR;
}

static int failed(const struct cmp_ask *ask, int err)
{
	if (err == -EINTR)
		return err;
	cmp_progress_end();
	fprintf(stderr, "parklane: compare: %s of %s with %u connection%s: %s\n",
		cmp_tests[ask->test].name, cmp_set_names[ask->set], ask->conns,
		ask->conns == 1 ? "" : "s", is_bypass(ask->set) ? bypass_what() : kernel_what());
	return err;
}

static int take(const struct cmp_ask *ask, struct cmp_sample *ret)
{
	char name[64];
	int err;

	snprintf(name, sizeof(name), "%s, %s", cmp_tests[ask->test].name, cmp_set_names[ask->set]);
	progress(name, ask->conns);
	err = is_bypass(ask->set) ? bypass_sample(ask, ret) : kernel_sample(ask, ret);
	return err ? failed(ask, err) : 0;
}

/* As the plan wants it; short: half as long, to choose by. */
static struct cmp_ask ask_for(enum cmp_test test, enum cmp_set set, unsigned conns, bool short_one)
{
	bool rr = test == TEST_RR;
	uint64_t run = rr ? plan->run_ns : plan->stream_run_ns;

	return (struct cmp_ask){.test = test,
				.set = set,
				.conns = conns,
				.warm_ns = rr ? plan->warm_ns : plan->stream_warm_ns,
				.run_ns = short_one ? run / 2 : run};
}

/* ---- how the kernel is tuned ---- */

/* How good a way of tuning is: the rate, or the inverse of the median round trip. */
static int try_mode(struct kernel_mode mode, const struct cmp_ask *ask, double *ret_score)
{
	static struct cmp_sample s;
	double v[CMP_SAMPLES_MAX];
	int err = kernel_set_mode(mode);

	for (unsigned i = 0; i < plan->mode_reps && !err; i++) {
		err = take(ask, &s);
		v[i] = !sample_counts(&s) ? NAN
		       : ask->test == TEST_RR && ask->conns == 1
			       ? 1e9 / (double)hist_quantile(&s.load.hist, 0.5)
			       : cmp_rate(ask->test, &s.load);
	}
	if (!err)
		*ret_score = figure_median(v, plan->mode_reps).value;
	return err;
}

/* The kernel as its own experts would tune it: a few short samples of each way, the best is
 * kept. Where cycles are counted the server's packets must be steered to the server's cpu
 * (least), or the client's cpu would do the server's work. */
static int choose_mode(enum cmp_test test, unsigned conns, enum kernel_rps least,
		       enum kernel_rps most, struct kernel_mode *ret, double *ret_score)
{
	struct cmp_ask ask = ask_for(test, SET_KERNEL_AWAKE, conns, true);
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
		err = try_mode(mode, &ask, &score);
		if (err)
			return err;
		if (score > top) {
			top = score;
			best = mode;
		}
	}
	*ret = best;
	*ret_score = top;
	return 0;
}

static int choose_rr(void)
{
	struct cmp_meta *m = &cmp->meta;
	double score;
	int err = choose_mode(TEST_RR, 1, RPS_OFF, RPS_BOTH, &m->mode_latency, &score);

	if (!err)
		err = choose_mode(TEST_RR, 64, RPS_SERVER, RPS_BOTH, &m->mode_steered, &score);
	return err ? err : choose_mode(TEST_RR, 64, RPS_OFF, RPS_OFF, &m->mode_off, &score);
}

/* With RPS at both ends each cpu does its own end's work, whichever way the bytes go: so cycles are
 * counted. Throughput may be better when one cpu does some of the other's. */
static int choose_stream(enum cmp_test test, unsigned conns)
{
	struct stream_tuning *t = cmp_tuning(&cmp->meta, test, conns);
	double own, any;
	int err = choose_mode(test, conns, RPS_BOTH, RPS_BOTH, &t->own, &own);

	if (!err)
		err = choose_mode(test, conns, RPS_OFF, RPS_SERVER, &t->any, &any);
	t->rival = !err && any > RIVAL_LEAST * own;
	return err;
}

static int choose_modes(void)
{
	int err = plan->parts & PART_RR ? choose_rr() : 0;

	for (int test = TEST_STREAM_TO; test < TEST_MAX && (plan->parts & PART_STREAM); test++) {
		for (unsigned i = 0; i < ARRAY_SIZE(stream_conns) && !err; i++)
			err = choose_stream((enum cmp_test)test, stream_conns[i]);
	}
	return err;
}

/* ---- the series ---- */

static void plan_one(enum cmp_test test, enum cmp_set set, unsigned conns, bool curve, bool rival)
{
	struct cmp_series *s = &cmp->series[cmp->nr_series++];

	s->test = test;
	s->set = set;
	s->conns = conns;
	s->size = test == TEST_RR ? CMP_SIZE : STREAM_WRITE;
	s->curve = curve;
	s->rival = rival;
	hist_init(&s->hist);
}

/* The kernel's sets of one test, first those that cycles are of, then the rivals that may have the
 * better rate: so the tuning changes twice and not with each set. */
static void plan_kernel(enum cmp_test test, unsigned conns, bool rivals, bool curve)
{
	for (int rival = 0; rival <= rivals; rival++) {
		for (int set = 0; set < SET_MAX; set++) {
			if (!is_bypass((enum cmp_set)set) && (!curve || set == SET_KERNEL_AWAKE))
				plan_one(test, (enum cmp_set)set, conns, curve, rival);
		}
	}
}

static void plan_rr(bool bypass)
{
	static const unsigned table[] = {1, 64}, curve[] = {4, 16, 256};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		if (bypass) {
			plan_one(TEST_RR, SET_BYPASS, table[i], false, false);
			plan_one(TEST_RR, SET_FLOOR, table[i], false, false);
		}
		plan_kernel(TEST_RR, table[i], table[i] > 1, false);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(curve); i++) {
		if (bypass)
			plan_one(TEST_RR, SET_BYPASS, curve[i], true, false);
		plan_kernel(TEST_RR, curve[i], true, true);
	}
}

static void plan_stream(bool bypass)
{
	if (bypass)
		plan_one(TEST_STREAM_TO, SET_FLOOR, CMP_STREAM_FLOOR, false, false);
	for (int test = TEST_STREAM_TO; test < TEST_MAX; test++) {
		for (unsigned i = 0; i < ARRAY_SIZE(stream_conns); i++) {
			if (bypass)
				plan_one((enum cmp_test)test, SET_BYPASS, stream_conns[i], false,
					 false);
			plan_kernel(
				(enum cmp_test)test, stream_conns[i],
				cmp_tuning(&cmp->meta, (enum cmp_test)test, stream_conns[i])->rival,
				false);
		}
	}
}

static void plan_all(bool bypass)
{
	unsigned n = 0;

	if (plan->parts & PART_RR)
		plan_rr(bypass);
	if (plan->parts & PART_STREAM)
		plan_stream(bypass);
	for (unsigned i = 0; i < cmp->nr_series; i++)
		n += cmp->series[i].curve ? plan->curve_reps : plan->reps;
	steps_all = steps_done + n + (plan->parts & PART_RR ? plan->pairs * 2 + 4 : 0) +
		    (plan->parts & PART_STREAM ? 8 : 0) + !!(plan->parts & PART_PARK) +
		    (plan->parts & PART_IDLE ? 2 * plan->micro : 0);
}

static struct kernel_mode mode_of(const struct cmp_series *s)
{
	const struct stream_tuning *t;

	if (s->test == TEST_RR)
		return s->rival       ? cmp->meta.mode_off
		       : s->conns > 1 ? cmp->meta.mode_steered
				      : cmp->meta.mode_latency;
	t = cmp_tuning(&cmp->meta, s->test, s->conns);
	return s->rival ? t->any : t->own;
}

static int take_one(struct cmp_series *s, bool ledger, struct cmp_sample *ret)
{
	struct cmp_ask ask = ask_for(s->test, s->set, s->conns, false);
	int err = 0;

	ask.ledger = ledger;
	if (!is_bypass(s->set)) {
		s->cycles_mode = mode_of(s);
		s->rate_mode = s->cycles_mode;
		err = kernel_set_mode(s->cycles_mode);
		if (err)
			return failed(&ask, err);
	}
	return take(&ask, ret);
}

static void note_sample(const struct cmp_sample *s)
{
	cmp->meta.samples++;
	cmp->meta.starved += !sample_counts(s);
}

static int take_series(void)
{
	static struct cmp_sample sample;
	int err;

	for (unsigned rep = 0; rep < plan->reps || rep < plan->curve_reps; rep++) {
		for (unsigned i = 0; i < cmp->nr_series; i++) {
			struct cmp_series *s = &cmp->series[i];

			if (rep >= (s->curve ? plan->curve_reps : plan->reps))
				continue;
			err = take_one(s, false, &sample);
			if (err)
				return err;
			series_add(s, &sample);
			note_sample(&sample);
		}
	}
	return 0;
}

static int take_pairs(void)
{
	static struct cmp_sample s;
	static const enum cmp_set sets[2] = {SET_KERNEL, SET_PLAIN_EPOLL};
	int err = kernel_set_mode(cmp->meta.mode_steered);

	for (unsigned i = 0; i < plan->pairs && !err; i++) {
		for (unsigned k = 0; k < 2 && !err; k++) {
			/* A B, B A, A B: what drifts hits both. */
			struct cmp_ask ask = {.set = sets[(i + k) % 2],
					      .conns = 64,
					      .warm_ns = plan->pair_warm_ns,
					      .run_ns = plan->pair_run_ns};
			bool plain = ask.set == SET_PLAIN_EPOLL;

			err = take(&ask, &s);
			if (err)
				return err;
			note_sample(&s);
			(plain ? cmp->pair_plain : cmp->pair_ours)[i] =
				sample_counts(&s) ? cmp_rate(TEST_RR, &s.load) : NAN;
			(plain ? cmp->pair_plain_cycles : cmp->pair_ours_cycles)[i] =
				sample_counts(&s) ? s.server_cycles / (double)s.load.units : NAN;
		}
		cmp->nr_pairs = i + 1;
	}
	return err;
}

/* Who computed the bypass side's checksums, by what the stack counted. */
static void name_checksums(const struct cmp_ledger *led)
{
	bool sw = led->row[ROW_CSUM_SW] > 0, hw = led->row[ROW_CSUM_HW] > 0;

	snprintf(cmp->meta.bypass_csum, sizeof(cmp->meta.bypass_csum), "%s",
		 sw && hw ? "partly both stacks in software, partly the device"
		 : sw     ? "both stacks in software, every byte sent and received"
		 : hw     ? "the device"
			  : "nobody");
}

/* One more sample of each set with many connections, with the tracepoint counters open. */
static int take_ledgers(void)
{
	static struct cmp_sample sample;
	int err = 0;

	for (unsigned i = 0; i < cmp->nr_series && !err; i++) {
		struct cmp_series *s = &cmp->series[i];

		if (s->curve || s->rival || s->conns != cmp_many(s->test) || s->set == SET_FLOOR)
			continue;
		err = take_one(s, true, &sample);
		if (err)
			return err;
		/* An empty window tells nothing. */
		if (!sample.load.units)
			continue;
		s->ledger = sample.ledger;
		s->has_ledger = true;
		if (s->set == SET_BYPASS)
			name_checksums(&s->ledger);
	}
	return err;
}

static int take_micros(void)
{
	const char *what = "";
	int err = micro_run(cmp, plan->parts, plan->micro, progress, &what);

	if (err && err != -EINTR) {
		cmp_progress_end();
		fprintf(stderr, "parklane: compare: goroutines: %s\n", what);
	}
	return err;
}

int cmp_measure(struct cmp *c, const struct compare_plan *p, bool bypass)
{
	int err;

	cmp = c;
	plan = p;
	/* So much before it is known which of the kernel's ways are worth a series. */
	steps_all = (plan->parts & PART_RR ? 300 : 0) + (plan->parts & PART_STREAM ? 300 : 0) + 10;
	err = choose_modes();
	if (!err) {
		plan_all(bypass);
		err = take_series();
	}
	if (!err && plan->parts & PART_RR)
		err = take_pairs();
	if (!err)
		err = take_ledgers();
	if (!err)
		err = take_micros();
	cmp_progress_end();
	return err;
}
