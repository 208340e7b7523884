/* SPDX-License-Identifier: BSD-3-Clause */
/* The measuring of compare: what is sampled, in which order, and how often. */
#ifndef APPS_CMP_MEASURE_H
#define APPS_CMP_MEASURE_H

#include "apps/compare.h"

/* How long and how often. */
struct compare_plan {
	unsigned parts; /* enum cmp_part */
	unsigned reps, curve_reps, pairs, micro, mode_reps;
	uint64_t warm_ns, run_ns;
	uint64_t pair_warm_ns, pair_run_ns;
	uint64_t stream_warm_ns, stream_run_ns;
};

/* cmp_measure - all that the plan has, into *c; bypass: those sets as well. What goes wrong is told
 * on stderr. 0; -errno; -EINTR the user asked to stop. */
MUST_USE int cmp_measure(struct cmp *c, const struct compare_plan *plan, bool bypass);

/* cmp_progress_end - clear the line that tells how far it is. */
void cmp_progress_end(void);

#endif
