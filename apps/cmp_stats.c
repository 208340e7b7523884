/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures of compare: medians, spreads, ratios of paired samples. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/compare.h"
#include "apps/stream_bytes.h"

const struct cmp_test_text cmp_tests[TEST_MAX] = {
	[TEST_RR] = {"rr", NULL, "rr", "request", "64 connections"},
	[TEST_STREAM_TO] = {"stream", "to_server", "stream in", "1448 bytes", "8 streams in"},
	[TEST_STREAM_FROM] = {"stream", "from_server", "stream out", "1448 bytes", "8 streams out"},
};
const char *const cmp_set_names[SET_MAX] = {"bypass", "floor", "kernel", "kernel-awake",
					    "plain-epoll"};
const char *const cmp_step_names[STEP_MAX] = {
#define X(sym, name) name,
	CMP_STEPS(X)
#undef X
};
const char *const cmp_row_names[ROW_MAX] = {
#define X(sym, name) name,
	CMP_ROWS(X)
#undef X
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorted copy without NANs; returns how many. */
static unsigned sorted(const double *v, unsigned n, double out[CMP_SAMPLES_MAX])
{
	unsigned m = 0;

	for (unsigned i = 0; i < n && m < CMP_SAMPLES_MAX; i++) {
		if (!isnan(v[i]))
			out[m++] = v[i];
	}
	qsort(out, m, sizeof(*out), by_value);
	return m;
}

static double middle(const double *s, unsigned n)
{
	return n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

struct cmp_figure figure_median(const double *v, unsigned n)
{
	double s[CMP_SAMPLES_MAX];
	unsigned m = sorted(v, n, s);

	if (!m)
		return (struct cmp_figure){NAN, NAN, NAN, 0};
	return (struct cmp_figure){middle(s, m), s[0], s[m - 1], m};
}

/*
 * The 95 % interval of a median is a pair of order statistics: the k-th smallest and the k-th
 * largest, k the largest with P(Binomial(n, 1/2) < k) <= 2.5 %. Below six samples there is no
 * such k, and the interval is all that was seen.
 */
struct cmp_figure figure_ratio(const double *a, const double *b, unsigned n)
{
	double r[CMP_SAMPLES_MAX], s[CMP_SAMPLES_MAX], p = 0, term;
	unsigned m, k = 0;

	for (unsigned i = 0; i < n; i++)
		r[i] = b[i] > 0 ? a[i] / b[i] : NAN;
	m = sorted(r, n, s);
	if (!m)
		return (struct cmp_figure){NAN, NAN, NAN, 0};
	term = pow(0.5, m);
	while (k < m / 2 && p + term <= 0.025) {
		p += term;
		term *= (double)(m - k) / (double)(k + 1);
		k++;
	}
	k = k ? k - 1 : 0;
	return (struct cmp_figure){middle(s, m), s[k], s[m - 1 - k], m};
}

const struct cmp_series *cmp_find(const struct cmp *c, enum cmp_test test, enum cmp_set set,
				  unsigned conns)
{
	for (unsigned i = 0; i < c->nr_series; i++) {
		const struct cmp_series *s = &c->series[i];

		if (s->test == test && s->set == set && s->conns == conns && series_any(s) &&
		    !s->rival)
			return s;
	}
	return NULL;
}

bool cmp_has(const struct cmp *c, enum cmp_test test)
{
	for (unsigned i = 0; i < c->nr_series; i++) {
		if (c->series[i].test == test && series_any(&c->series[i]))
			return true;
	}
	return false;
}

unsigned cmp_many(enum cmp_test test)
{
	return test == TEST_RR ? CMP_CONNS : CMP_STREAM_CONNS;
}

struct stream_tuning *cmp_tuning(struct cmp_meta *m, enum cmp_test test, unsigned conns)
{
	return &m->stream[test == TEST_STREAM_FROM][conns > 1];
}

double cmp_rate(enum cmp_test test, const struct load_result *load)
{
	double per_ns = (double)load->units / (double)load->window_ns;

	return test == TEST_RR ? per_ns * 1e9 : per_ns * STREAM_MSS * 8;
}

static bool moved_any(const struct cmp_sample *s)
{
	return s->load.units && s->load.window_ns;
}

bool sample_counts(const struct cmp_sample *s)
{
	return moved_any(s) && !(s->lost[0] > CMP_LOST_MOST || s->lost[1] > CMP_LOST_MOST);
}

bool series_any(const struct cmp_series *s)
{
	return figure_median(s->rate, s->n).n > 0;
}

bool series_starved(const struct cmp_series *s)
{
	for (unsigned i = 0; s && i < s->n; i++) {
		if (s->rate_starved[i] || s->starved[i])
			return true;
	}
	return false;
}

const char *cmp_starved_note(const struct cmp_meta *m, char *buf, size_t size)
{
	if (!m->starved)
		return NULL;
	snprintf(buf, size,
		 "in %u of %u samples other programs had a cpu for more than %.0f %% of the time, "
		 "or nothing was moved: no ratio has these, and one that less than half of its "
		 "pairs are left of is not given",
		 m->starved, m->samples, CMP_LOST_MOST * 100);
	return buf;
}

static void add_empty(struct cmp_series *s, unsigned i)
{
	s->rate[i] = s->p50[i] = s->p90[i] = s->p99[i] = s->p999[i] = s->max[i] = NAN;
	s->cycles[i] = s->client_cycles[i] = s->busy[i] = NAN;
	for (unsigned k = 0; k < STEP_MAX; k++)
		s->steps[k][i] = NAN;
}

void series_add(struct cmp_series *s, const struct cmp_sample *sample)
{
	const struct load_result *load = &sample->load;
	unsigned i = s->n;

	if (i >= CMP_SAMPLES_MAX)
		return;
	s->n++;
	s->rate_starved[i] = s->starved[i] = !sample_counts(sample);
	if (!moved_any(sample)) {
		add_empty(s, i);
		return;
	}
	s->rate[i] = cmp_rate(s->test, load);
	s->p50[i] = (double)hist_quantile(&load->hist, 0.5) / 1e3;
	s->p90[i] = (double)hist_quantile(&load->hist, 0.9) / 1e3;
	s->p99[i] = (double)hist_quantile(&load->hist, 0.99) / 1e3;
	s->p999[i] = (double)hist_quantile(&load->hist, 0.999) / 1e3;
	s->max[i] = (double)load->hist.max / 1e3;
	s->cycles[i] = sample->server_cycles / (double)load->units;
	s->client_cycles[i] = sample->client_cycles / (double)load->units;
	s->busy[i] = sample->server_busy;
	for (unsigned k = 0; k < STEP_MAX; k++)
		s->steps[k][i] = sample->step_cycles[k] / (double)load->units;
	hist_merge(&s->hist, &load->hist);
}

static void take_rate(struct cmp_series *to, const struct cmp_series *from)
{
	memcpy(to->rate, from->rate, sizeof(to->rate));
	memcpy(to->p50, from->p50, sizeof(to->p50));
	memcpy(to->p90, from->p90, sizeof(to->p90));
	memcpy(to->p99, from->p99, sizeof(to->p99));
	memcpy(to->p999, from->p999, sizeof(to->p999));
	memcpy(to->max, from->max, sizeof(to->max));
	memcpy(to->rate_starved, from->rate_starved, sizeof(to->rate_starved));
	to->hist = from->hist;
	to->rate_mode = from->rate_mode;
}

void cmp_best_rate(struct cmp *c)
{
	for (unsigned i = 0; i < c->nr_series; i++) {
		const struct cmp_series *r = &c->series[i];
		struct cmp_series *s = NULL;

		for (unsigned k = 0; k < c->nr_series && r->rival; k++) {
			s = &c->series[k];
			if (!s->rival && s->test == r->test && s->set == r->set &&
			    s->conns == r->conns)
				break;
			s = NULL;
		}
		if (s && s->n == r->n &&
		    figure_median(r->rate, r->n).value > figure_median(s->rate, s->n).value)
			take_rate(s, r);
	}
}

/* ---- ratios ---- */

enum ratio_of { OF_P50, OF_RATE, OF_CYCLES };

/* The i-th sample of set a over the i-th of set b, which were taken in turn. */
/* clang-format off */
static const struct {
	struct cmp_ratio_text text;
	enum cmp_test test;
	unsigned conns;
	enum ratio_of of;
	enum cmp_set a, b;
} paired[] = {
	{{"rr1_p50_kernel_awake_over_bypass", "1 connection, round trip: kernel-awake / bypass", 8, true},
	 TEST_RR, 1, OF_P50, SET_KERNEL_AWAKE, SET_BYPASS},
	{{"rr1_p50_kernel_over_bypass", "1 connection, round trip: kernel / bypass", 0, false},
	 TEST_RR, 1, OF_P50, SET_KERNEL, SET_BYPASS},
	{{"rr64_rps_bypass_over_kernel_awake", "64 connections, req/s: bypass / kernel-awake", 0, true},
	 TEST_RR, CMP_CONNS, OF_RATE, SET_BYPASS, SET_KERNEL_AWAKE},
	{{"rr64_cycles_kernel_awake_over_bypass", "64 connections, cycles: kernel-awake / bypass", 8, true},
	 TEST_RR, CMP_CONNS, OF_CYCLES, SET_KERNEL_AWAKE, SET_BYPASS},
	{{"rr1_p50_bypass_over_floor", "1 connection, round trip: bypass / floor", 0, false},
	 TEST_RR, 1, OF_P50, SET_BYPASS, SET_FLOOR},
#define STREAM(key, test, conns, text, headline)                                                   \
	{{key "_gbps_bypass_over_kernel_awake", text ", Gbit/s: bypass / kernel-awake", 0, headline}, \
	 test, conns, OF_RATE, SET_BYPASS, SET_KERNEL_AWAKE},                                      \
	{{key "_cycles_kernel_awake_over_bypass", text ", cycles: kernel-awake / bypass", 0, false}, \
	 test, conns, OF_CYCLES, SET_KERNEL_AWAKE, SET_BYPASS},                                    \
	{{key "_gbps_epoll_over_plain", text ", Gbit/s: our epoll / plain C epoll", 0, false}   ,  \
	 test, conns, OF_RATE, SET_KERNEL, SET_PLAIN_EPOLL}
	STREAM("stream1_to_server", TEST_STREAM_TO, 1, "1 stream in", false),
	STREAM("stream1_from_server", TEST_STREAM_FROM, 1, "1 stream out", false),
	STREAM("stream8_to_server", TEST_STREAM_TO, CMP_STREAM_CONNS, "8 streams in", true),
	STREAM("stream8_from_server", TEST_STREAM_FROM, CMP_STREAM_CONNS, "8 streams out", true),
#undef STREAM
};
/* clang-format on */

/* f is of so many pairs, of which f.n count. The few that others left alone are no fair choice
 * among all: with less than half of them there is no figure. */
static void ratio_add(struct cmp *c, const struct cmp_ratio_text *text, struct cmp_figure f,
		      unsigned pairs)
{
	if (!pairs || c->nr_ratios == CMP_RATIOS_MAX)
		return;
	if (2 * f.n < pairs)
		f.value = f.low = f.high = NAN;
	c->ratio[c->nr_ratios++] = (struct cmp_ratio){text, f, pairs};
}

/* The samples of s that count; NANs in place of the others. */
static const double *values_of(const struct cmp_series *s, enum ratio_of of, double *buf)
{
	const double *v = of == OF_P50 ? s->p50 : of == OF_RATE ? s->rate : s->cycles;
	const bool *starved = of == OF_CYCLES ? s->starved : s->rate_starved;

	for (unsigned i = 0; i < s->n; i++)
		buf[i] = starved[i] ? NAN : v[i];
	return buf;
}

static unsigned fewer(const struct cmp_series *a, const struct cmp_series *b)
{
	return a->n < b->n ? a->n : b->n;
}

static void ratio_of_floor(struct cmp *c)
{
	static const struct cmp_ratio_text text = {"rr1_p50_bypass_minus_floor_ns",
						   "1 connection, ns that bypass adds to floor",
						   -800, false};
	const struct cmp_series *b = cmp_find(c, TEST_RR, SET_BYPASS, 1),
				*f = cmp_find(c, TEST_RR, SET_FLOOR, 1);
	double diff[CMP_SAMPLES_MAX], one[CMP_SAMPLES_MAX];

	if (!b || !f)
		return;
	values_of(b, OF_P50, diff);
	values_of(f, OF_P50, one);
	for (unsigned i = 0; i < fewer(b, f); i++) {
		diff[i] = (diff[i] - one[i]) * 1e3;
		one[i] = 1;
	}
	ratio_add(c, &text, figure_ratio(diff, one, fewer(b, f)), fewer(b, f));
}

static void ratios_paired(struct cmp *c, bool rr)
{
	double over[CMP_SAMPLES_MAX], under[CMP_SAMPLES_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(paired); i++) {
		const struct cmp_series *a, *b;

		if ((paired[i].test == TEST_RR) != rr)
			continue;
		a = cmp_find(c, paired[i].test, paired[i].a, paired[i].conns);
		b = cmp_find(c, paired[i].test, paired[i].b, paired[i].conns);
		if (a && b)
			ratio_add(c, &paired[i].text,
				  figure_ratio(values_of(a, paired[i].of, over),
					       values_of(b, paired[i].of, under), fewer(a, b)),
				  fewer(a, b));
	}
}

void cmp_ratios(struct cmp *c)
{
	static const struct cmp_ratio_text rate = {
		"rr64_rps_epoll_over_plain", "64 connections, req/s: our epoll / plain C epoll",
		0.95, false};
	static const struct cmp_ratio_text cycles = {"rr64_cycles_plain_over_epoll",
						     "64 connections, cycles: plain C / our epoll",
						     0, false};

	c->nr_ratios = 0;
	ratios_paired(c, true);
	ratio_of_floor(c);
	ratio_add(c, &rate, figure_ratio(c->pair_ours, c->pair_plain, c->nr_pairs), c->nr_pairs);
	ratio_add(c, &cycles, figure_ratio(c->pair_plain_cycles, c->pair_ours_cycles, c->nr_pairs),
		  c->nr_pairs);
	ratios_paired(c, false);
}
