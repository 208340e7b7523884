/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside apps/: what stands behind <parklane/run.h>. Lane options as one table, their check,
 * and the lane that they describe, opened and closed in two calls so that `parklane compare`
 * can run two lanes in one process.
 */
#ifndef APPS_OPEN_H
#define APPS_OPEN_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include <parklane/run.h>

#include "poller/lane.h"
#include "stack/base/compiler.h"

/* The options as given; `epoll` only tells that --epoll was, to refuse it beside --dev. */
struct lane_args {
	struct pl_options opt;
	bool epoll;
};

/* The same, checked and in machine form. Addresses in network order; gw 0 = none. */
struct lane_plan {
	uint32_t ip, gw;
	unsigned prefix_len;
	int cpu; /* -1 = not pinned */
	enum lane_idle idle;
	uint64_t nap_ns; /* 0 = the lane's default */
};

/* lane_options - every lane option, ended by a zeroed entry; keys as options_set() takes. */
extern const struct argp_option lane_options[];

/* options_set - note one option. 0; -EINVAL a value that cannot be (pl_last_error() says why).
 * value is borrowed as in struct pl_options. */
MUST_USE int options_set(struct lane_args *args, int key, char *value);
/* options_end - what only shows when all are known: --dev without --ip and the like. 0; -EINVAL. */
MUST_USE int options_end(const struct lane_args *args);
/* options_plan - check opt and put it in machine form. 0; -EINVAL. */
MUST_USE int options_plan(const struct pl_options *opt, struct lane_plan *ret_plan);

/* open_error - note one line for pl_last_error(), without a newline; returns err. */
int open_error(int err, const char *fmt, ...) PRINTF_FMT(2, 3);

#endif
