/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A log-linear histogram of times (as HdrHistogram, which Debian 12 does not package): 128
 * steps per power of two, so a value is told to within 0.8 %. Fixed size, no allocation,
 * may live in shared memory. One writer; readers when it is quiet.
 */
#ifndef APPS_HIST_H
#define APPS_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 7
#define HIST_SUB      (1u << HIST_SUB_BITS)
#define HIST_EXP_MAX  40 /* values from 2^40 ns = 18 minutes on share the last bucket */
#define HIST_BUCKETS  ((HIST_EXP_MAX - HIST_SUB_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t count, min, max; /* min and max are exact; UINT64_MAX and 0 when empty */
	uint64_t bucket[HIST_BUCKETS];
};

void hist_init(struct hist *h);
void hist_merge(struct hist *to, const struct hist *from);
/* hist_quantile - the value that a fraction q (0..1) of all does not exceed; 0 if empty. */
uint64_t hist_quantile(const struct hist *h, double q);
/* hist_value - the middle of bucket i; what hist_quantile() tells. */
uint64_t hist_value(unsigned i);

static inline unsigned hist_index(uint64_t v)
{
	unsigned e, shift;

	if (v < HIST_SUB)
		return (unsigned)v;
	e = 63u - (unsigned)__builtin_clzll(v);
	if (e >= HIST_EXP_MAX)
		return HIST_BUCKETS - 1;
	shift = e - HIST_SUB_BITS;
	return (shift + 1) * HIST_SUB + (unsigned)((v >> shift) - HIST_SUB);
}

static inline void hist_record(struct hist *h, uint64_t v)
{
	h->bucket[hist_index(v)]++;
	h->count++;
	if (v < h->min)
		h->min = v;
	if (v > h->max)
		h->max = v;
}

#endif
