/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load on a server: N goroutines, each with one connection; all connect first, then comes a
 * warm-up, then the measured window. What they do on their connections is rr.h's and stream.h's,
 * the clients of `parklane bench` and of every set of `parklane compare`.
 */
#ifndef APPS_LOAD_H
#define APPS_LOAD_H

#include <stdint.h>

#include <parklane/parklane.h>

#include "apps/hist.h"
#include "stack/base/compiler.h"

#define LOAD_SIZE_MAX  (1u << 20)
#define LOAD_CONNS_MAX 100000u

struct load_config {
	struct pl_addr addr;
	enum pl_net net;
	unsigned conns, size; /* size: bytes of a request, or of one write of a stream */
	uint64_t seed;        /* of the payload */
	uint64_t warm_ns, run_ns;
	uint64_t dial_ns; /* how long a connection may take to come up; 0 = 5 s */
	/* window - called on the lane when the measured window opens and when it closes; NULL
	 * none. May take some microseconds. */
	void (*window)(void *ctx, int open);
	void *window_ctx;
};

/* Plain data: may live in shared memory. */
struct load_result {
	int err;        /* 0; the first connection's -errno, nothing else is valid then */
	char what[64];  /* what failed: "connect", "read" ... */
	uint64_t units; /* within the window: requests answered; of a stream, STREAM_MSS bytes */
	uint64_t window_ns; /* its length, as measured */
	uint64_t window_tsc;
	uint64_t began_ns; /* mono_ns() when the window opened; 0 not yet */
	struct hist hist;  /* rr: round trips, ns */
};

enum load_phase {
	LOAD_CONNECT,
	LOAD_WARM,
	LOAD_MEASURE,
	LOAD_END,
};

/* One measurement under way; the lane's alone. */
struct load_job {
	const struct load_config *cfg;
	struct load_result *res;
	enum load_phase phase;
	unsigned connected, alive, next_id;
	/* talk - use connection `id`, from 0, until LOAD_END or an error, which it tells
	 * load_fail(). c stays the caller's. */
	void (*talk)(struct load_job *job, struct pl_conn *c, unsigned id);
	/* moved - units so far by a count that is read where the window opens and closes; NULL
	 * where talk adds to res->units itself. */
	uint64_t (*moved)(void *ctx);
	void *ctx; /* of talk and moved */
	double ns_per_tsc;
};

/* load_run - one measurement; inside a goroutine, parks until it is over. The caller has set cfg,
 * res, talk, moved and ctx of *job. Fills *res, which is also all of the outcome: res->err. */
void load_run(struct load_job *job);
/* load_fail - end the measurement with err; the first one is kept. */
void load_fail(struct load_job *job, int err, const char *what);
/* load_read - exactly n bytes into a buffer of n + 1. 0; -errno; -ECONNRESET the stream ends early;
 * -EBADMSG more than was asked for. The byte too many makes the read a short one, which proves the
 * stream empty: the next read parks without another try (one recv() per request less on kernel
 * sockets, as epoll(7) advises). */
MUST_USE int load_read(struct pl_conn *c, uint8_t *buf, size_t n);

#endif
