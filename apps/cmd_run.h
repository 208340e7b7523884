/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What commands that run one lane share: SIGINT and SIGTERM stop it, `parklane stat` looks into
 * it, and a summary says at its end what went through it.
 */
#ifndef APPS_CMD_RUN_H
#define APPS_CMD_RUN_H

#include <stdio.h>

#include "apps/open.h"

/* What the command itself can tell at its end. */
struct run_sums {
	uint64_t connections, bytes, errors;
};

struct run_counters {
	const char *command;
	void (*sum)(void *ctx,
		    struct run_sums *ret); /* after the last turn of all lanes; or NULL */
	void *ctx;
	bool quiet; /* no summary but the faults that --fault made */
};

/* run_command - run main_fn(arg) on the first of the lanes that args describe. The exit status;
 * what went wrong is said on stderr. */
#define run_command(args, counters, main_fn, arg)                                                  \
	run_command_named((args), (counters), (main_fn), (arg), #main_fn)
int run_command_named(const struct lane_args *args, const struct run_counters *counters,
		      void (*main_fn)(void *arg), void *arg, const char *name);

/* run_stopped_at - mono_ns() of the first SIGINT or SIGTERM; 0 none came. */
uint64_t run_stopped_at(void);

/* run_lane_name - "10.77.0.2 (net_tap0)", or "the kernel's addresses (epoll)". */
const char *run_lane_name(const struct lane_args *args, char *buf, size_t size);

#endif
