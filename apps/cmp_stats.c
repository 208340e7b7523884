/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures of compare: medians, spreads, ratios of paired samples. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/compare.h"

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

const struct cmp_series *cmp_find(const struct cmp *c, enum cmp_set set, unsigned conns)
{
	for (unsigned i = 0; i < c->nr_series; i++) {
		const struct cmp_series *s = &c->series[i];

		if (s->set == set && s->conns == conns && s->n && !s->rival)
			return s;
	}
	return NULL;
}

void series_add(struct cmp_series *s, const struct cmp_sample *sample)
{
	const struct rr_result *rr = &sample->rr;
	unsigned i = s->n;

	if (i >= CMP_SAMPLES_MAX || !rr->requests || !rr->window_ns)
		return;
	s->rps[i] = (double)rr->requests * 1e9 / (double)rr->window_ns;
	s->p50[i] = (double)hist_quantile(&rr->hist, 0.5) / 1e3;
	s->p90[i] = (double)hist_quantile(&rr->hist, 0.9) / 1e3;
	s->p99[i] = (double)hist_quantile(&rr->hist, 0.99) / 1e3;
	s->p999[i] = (double)hist_quantile(&rr->hist, 0.999) / 1e3;
	s->max[i] = (double)rr->hist.max / 1e3;
	s->cycles[i] = sample->server_cycles / (double)rr->requests;
	s->client_cycles[i] = sample->client_cycles / (double)rr->requests;
	s->busy[i] = sample->server_busy;
	for (unsigned k = 0; k < STEP_MAX; k++)
		s->steps[k][i] = sample->step_cycles[k] / (double)rr->requests;
	hist_merge(&s->hist, &rr->hist);
	s->n++;
}

static void take_rps(struct cmp_series *to, const struct cmp_series *from)
{
	memcpy(to->rps, from->rps, sizeof(to->rps));
	memcpy(to->p50, from->p50, sizeof(to->p50));
	memcpy(to->p90, from->p90, sizeof(to->p90));
	memcpy(to->p99, from->p99, sizeof(to->p99));
	memcpy(to->p999, from->p999, sizeof(to->p999));
	memcpy(to->max, from->max, sizeof(to->max));
	to->hist = from->hist;
	to->rps_mode = from->rps_mode;
}

void cmp_best_rps(struct cmp *c)
{
	for (unsigned i = 0; i < c->nr_series; i++) {
		const struct cmp_series *r = &c->series[i];
		struct cmp_series *s = NULL;

		for (unsigned k = 0; k < c->nr_series && r->rival; k++) {
			s = &c->series[k];
			if (!s->rival && s->set == r->set && s->conns == r->conns)
				break;
			s = NULL;
		}
		/* Of unequal numbers (an empty window is no sample) the cycles would not be those of
		 * the same turn any more. */
		if (s && s->n == r->n &&
		    figure_median(r->rps, r->n).value > figure_median(s->rps, s->n).value)
			take_rps(s, r);
	}
}

static void ratio_add(struct cmp *c, const char *name, const char *says, struct cmp_figure f)
{
	if (!f.n || c->nr_ratios >= CMP_RATIOS_MAX)
		return;
	c->ratio[c->nr_ratios++] = (struct cmp_ratio){name, says, f, true};
}

void cmp_ratios(struct cmp *c)
{
	const struct cmp_series *b1 = cmp_find(c, SET_BYPASS, 1),
				*b64 = cmp_find(c, SET_BYPASS, 64);
	const struct cmp_series *k1 = cmp_find(c, SET_KERNEL_AWAKE, 1);
	const struct cmp_series *k64 = cmp_find(c, SET_KERNEL_AWAKE, 64);
	const struct cmp_series *f1 = cmp_find(c, SET_FLOOR, 1), *p1 = cmp_find(c, SET_KERNEL, 1);
	double diff[CMP_SAMPLES_MAX], one[CMP_SAMPLES_MAX];
	unsigned n;

	c->nr_ratios = 0;
	/* Samples were taken in turn, so the i-th of one set stands beside the i-th of another. */
#define PAIRED(name, says, x, y, what)                                                             \
	if ((x) && (y))                                                                            \
	ratio_add(c, name, says,                                                                   \
		  figure_ratio((x)->what, (y)->what, (x)->n < (y)->n ? (x)->n : (y)->n))

	PAIRED("rr1_p50_kernel_awake_over_bypass", "round trip of the kernel (awake) / bypass", k1,
	       b1, p50);
	PAIRED("rr1_p50_kernel_over_bypass", "round trip of the kernel / bypass", p1, b1, p50);
	PAIRED("rr64_rps_bypass_over_kernel_awake", "requests/s of bypass / kernel (awake)", b64,
	       k64, rps);
	PAIRED("rr64_cycles_kernel_awake_over_bypass",
	       "server cycles per request of the kernel (awake) / bypass", k64, b64, cycles);
	PAIRED("rr1_p50_bypass_over_floor", "round trip of bypass / floor", b1, f1, p50);
#undef PAIRED
	if (b1 && f1) {
		n = b1->n < f1->n ? b1->n : f1->n;
		for (unsigned i = 0; i < n; i++) {
			diff[i] = (b1->p50[i] - f1->p50[i]) * 1e3;
			one[i] = 1;
		}
		ratio_add(c, "rr1_p50_bypass_minus_floor_ns",
			  "what stack, poller and goroutines add to floor, ns",
			  figure_ratio(diff, one, n));
	}
	ratio_add(c, "rr64_rps_epoll_over_plain", "requests/s of our epoll backend / plain C epoll",
		  figure_ratio(c->pair_ours, c->pair_plain, c->nr_pairs));
	ratio_add(c, "rr64_cycles_plain_over_epoll",
		  "server cycles per request of plain C epoll / our epoll backend",
		  figure_ratio(c->pair_plain_cycles, c->pair_ours_cycles, c->nr_pairs));
}
