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

#include "drivers/open.h"
#include "poller/group.h"
#include "poller/lane.h"
#include "stack/stack.h"
#include "stack/base/compiler.h"

/* The options as given; `epoll` only tells that --epoll was, to refuse it beside --dev or
 * --uring. */
struct lane_args {
	struct pl_options opt;
	bool epoll;
};

/* The same, checked and in machine form. Addresses in network order; gw 0 = none. */
struct lane_plan {
	uint32_t ip, gw;
	unsigned prefix_len;
	int cpu;             /* of this lane; -1 = not pinned */
	unsigned lanes;      /* 0 counts as 1 */
	int cpus[LANES_MAX]; /* of each of them */
	enum lane_idle idle;
	uint64_t nap_ns; /* 0 = the lane's default */
	enum lane_kernel kernel;
	enum ledger_mode ledger; /* 0 sampled */
	unsigned stack_kib;      /* 0 = the lane's default */
	const char *const *set;  /* pl_options.set, checked; borrowed; NULL none */
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

/* options_settings - apply "NAME=VALUE" strings, up to a NULL, to cfg; set may be NULL. 0; -EINVAL
 * with pl_last_error(). */
MUST_USE int options_settings(const char *const *set, struct stack_config *cfg);

/* options_shown - a value as an error names it: '' where it is empty and would not be seen. */
const char *options_shown(const char *value);

/* open_error - note one line for pl_last_error(), without a newline; returns err. */
int open_error(int err, const char *fmt, ...) PRINTF_FMT(2, 3);

/* open_check_cpu, open_check_address - 0; -EINVAL this machine has no such cpu (-1 is fine);
 * -EADDRINUSE the kernel has that address (network order); with pl_last_error(). */
MUST_USE int open_check_cpu(int cpu);
MUST_USE int open_check_address(uint32_t ip);

/* open_node_of - the NUMA node of a cpu; -1 where there is one node only, or cpu is -1. */
int open_node_of(int cpu);

/* One lane with everything below it. stack is NULL on a lane without a device. */
struct open_lane {
	struct lane *lane;
	struct stack *stack;
	struct netpoll_backend *nb;
};

/* The lanes of a run: lane[i] is number i of grp, and polls queue i of the device. */
struct open_lanes {
	struct lane_group *grp;           /* (c) */
	unsigned nr;                      /* (c) */
	bool verbose;                     /* (c) say what is only a pity, too */
	struct open_lane lane[LANES_MAX]; /* (c) once all are up */
};

/*
 * open_lane - a lane on the calling thread and, with dev, its shard of the stack over a queue of
 * dev. With `all` it becomes number `index` of it, on the queue of that number, and the caller
 * stores *ret there before any of them turns; alone (NULL, 0) it has queue 0. dev and pool stay
 * the caller's and outlive it. 0; -errno with pl_last_error().
 * close_lane - on the same thread, after the last turn of all.
 */
MUST_USE int open_lane(const struct lane_plan *plan, struct open_lanes *all, unsigned index,
		       struct netdev *dev, struct skb_pool *pool, struct open_lane *ret);
void close_lane(struct open_lane *ol);

/* open_lanes_stats - the counters of all shards together; any thread, relaxed. */
struct stack_stats open_lanes_stats(const struct open_lanes *all);

/* Whom open_run() tells, on the first lane's thread: when all is up and the lanes are about to
 * turn, and when they have turned for the last time, with everything still open. */
struct open_hooks {
	void (*begin)(void *ctx, const struct open_lanes *all);
	void (*end)(void *ctx, const struct open_lanes *all, const struct netdev_handle *h);
	void *ctx;
};

/* open_run - pl_run_named() with hooks (may be NULL). */
MUST_USE int open_run(const struct pl_options *opt, void (*main_fn)(void *arg), void *arg,
		      const char *name, const struct open_hooks *hooks);

#endif
