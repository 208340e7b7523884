/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of `bench park` know of each other. */
#ifndef APPS_PARK_INT_H
#define APPS_PARK_INT_H

#include "apps/park.h"
#include "poller/lane.h"

/* park_yield_on - ns of one of `ops` yields of 64 goroutines, on l, which has no others. */
double park_yield_on(struct lane *l, unsigned ops);

/* park_rr_pairs - percent[i]: what the ledger in its default sampling takes from the round trips/s
 * of 64 bytes between two goroutines of one lane over its own stack, as `pairs` short samples with
 * and without it say. 0; -errno of opening the lane, or of a call on a connection. */
MUST_USE int park_rr_pairs(int cpu, double *percent, unsigned pairs);

/* park_hop - ns that a cache line takes from a thread on cpu to one on `other`. 0; -errno of
 * pinning or starting a thread. */
MUST_USE int park_hop(int cpu, int other, double *ret_ns);

/* park_cross - ns from a goroutine on cpu that calls sched_ready() to the one on a lane on `other`
 * that runs. 0; -errno of opening the lanes, or of starting a thread. */
MUST_USE int park_cross(int cpu, int other, double *ret_ns);

/* park_median - of v[0..n), which it sorts. */
double park_median(double *v, unsigned n);

#endif
