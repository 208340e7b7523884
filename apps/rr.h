/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Request and response: N goroutines, each with one connection and one outstanding request of
 * S bytes, every answer compared with what was sent. The one client of `parklane bench rr`
 * and of every set of `parklane compare`.
 */
#ifndef APPS_RR_H
#define APPS_RR_H

#include <stdint.h>

#include <parklane/parklane.h>

#include "apps/hist.h"

#define RR_SIZE_MAX  (1u << 20)
#define RR_CONNS_MAX 100000u

struct rr_config {
	struct pl_addr addr;
	enum pl_net net;
	unsigned conns, size;
	uint64_t seed; /* of the payload */
	uint64_t warm_ns, run_ns;
	uint64_t dial_ns; /* how long a connection may take to come up; 0 = 5 s */
	/* window - called on the lane when the measured window opens and when it closes; NULL
	 * none. May take some microseconds. */
	void (*window)(void *ctx, int open);
	void *window_ctx;
};

/* Plain data: may live in shared memory. */
struct rr_result {
	int err;            /* 0; the first connection's -errno, nothing else is valid then */
	char what[64];      /* what failed: "connect", "read" ... */
	uint64_t requests;  /* answered within the window */
	uint64_t window_ns; /* its length, as measured */
	uint64_t window_tsc;
	uint64_t
		began_ns; /* mono_ns() when the window opened, 0 not yet: for who stops before the end */
	struct hist hist; /* round trips, ns */
};

/* rr_run - run one measurement; inside a goroutine, parks until it is over. Fills *res, which
 * is also all of the outcome: res->err. */
void rr_run(const struct rr_config *cfg, struct rr_result *res);

#endif
