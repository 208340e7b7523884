/* SPDX-License-Identifier: BSD-3-Clause */
/* The histogram's slow half: set-up, merging and quantiles. */
#include "apps/hist.h"

#include <math.h>
#include <string.h>

void hist_init(struct hist *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

void hist_merge(struct hist *to, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
	to->count += from->count;
	if (from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
}

uint64_t hist_value(unsigned i)
{
	unsigned shift;
	uint64_t low;

	if (i < HIST_SUB)
		return i;
	shift = i / HIST_SUB - 1;
	low = (uint64_t)(i % HIST_SUB + HIST_SUB) << shift;
	return low + (((uint64_t)1 << shift) >> 1);
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t seen = 0, want, v;

	if (!h->count)
		return 0;
	want = (uint64_t)ceil(q * (double)h->count);
	if (want < 1)
		want = 1;
	if (want >= h->count)
		return h->max;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen < want)
			continue;
		v = hist_value(i);
		return v < h->min ? h->min : v > h->max ? h->max : v;
	}
	return h->max;
}
