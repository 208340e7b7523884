/* SPDX-License-Identifier: BSD-3-Clause */
/* What a goroutine costs: the figures of `parklane bench park`, which compare shows too. */
#ifndef APPS_PARK_H
#define APPS_PARK_H

#include "stack/base/compiler.h"

#define PARK_RUNS_MAX 32

/* The keys are an interface. */
#define PARK_ROWS(X)                                                                               \
	X(YIELD, "yield_ns", "yield, 64 runnable goroutines")                                      \
	X(READY, "park_ready_ns", "park + ready, 1,024 pds of stack connections")                  \
	X(READY_FD, "park_ready_fd_ns", "park + ready, 1,024 pds of kernel fds")                   \
	X(SPAWN, "spawn_ns", "spawn + exit, 63 warm stacks")                                       \
	X(SPAWN_ROTATION, "spawn_rotation_ns", "spawn + exit, 1,000 stacks in rotation")           \
	X(SPAWN_COLD, "spawn_cold_ns", "spawn + exit, stacks never used before")                   \
	X(CAS, "cas_ns", "one locked compare-and-swap, for scale")

enum park_row {
#define X(sym, key, says) PARK_##sym,
	PARK_ROWS(X)
#undef X
		PARK_MAX
};

extern const char *const park_keys[PARK_MAX], *const park_says[PARK_MAX];

struct park_result {
	unsigned runs;
	double ns[PARK_MAX][PARK_RUNS_MAX]; /* per operation */
};

/* park_measure - on this thread, pinned to cpu (-1: not pinned), at most PARK_RUNS_MAX runs of
 * some 0.3 s. 0; -errno of lane_create. */
MUST_USE int park_measure(int cpu, unsigned runs, struct park_result *ret);

#endif
