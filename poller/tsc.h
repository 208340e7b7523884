/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lane's clock: CLOCK_MONOTONIC in ns, told by the TSC where it is invariant, so that a
 * reading is one instruction and a multiplication. It is compared with the system's clock
 * now and then, and what it is off is made good by running a little faster or slower: it
 * never goes back. Owner lane only.
 */
#ifndef POLLER_TSC_H
#define POLLER_TSC_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct tsc_clock {
	uint64_t tsc0, ns0;         /* (o) a reading of ns0 belongs to tsc0 */
	uint64_t mult;              /* (o) ns per cycle, 32.32 */
	uint64_t resync_at;         /* (o) TSC of the next comparison */
	uint64_t last;              /* (o) ns told last */
	uint64_t true_tsc, true_ns; /* (o) the last comparison */
	uint64_t interval;          /* (o) ns until the next one */
	double ghz;                 /* (a) cycles per ns as measured; 0 = not invariant, not used */
};

/* tsc_clock_init - takes 10 ms for the first call of a process. */
void tsc_clock_init(struct tsc_clock *c);
/* tsc_clock_resync - compare with CLOCK_MONOTONIC at TSC reading `tsc`, which is now. */
NOINLINE void tsc_clock_resync(struct tsc_clock *c, uint64_t tsc);
/* tsc_mono_ns - CLOCK_MONOTONIC itself. */
uint64_t tsc_mono_ns(void);

/* tsc_clock_ns - the time at TSC reading `tsc`, which was just taken. */
static inline uint64_t tsc_clock_ns(struct tsc_clock *c, uint64_t tsc)
{
	uint64_t ns;

	if (unlikely(tsc >= c->resync_at))
		tsc_clock_resync(c, tsc);
	/* A TSC that is behind another core's must not turn into a huge difference; nor is `tsc` of
	 * use when the comparison just now took a later one. */
	ns = tsc < c->tsc0
		     ? c->ns0
		     : c->ns0 + (uint64_t)((unsigned __int128)(tsc - c->tsc0) * c->mult >> 32);
	if (unlikely(ns < c->last))
		return c->last;
	c->last = ns;
	return ns;
}

#endif
