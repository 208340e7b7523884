/* SPDX-License-Identifier: BSD-3-Clause */
/* What a goroutine costs: the figures of `parklane bench park`, which compare shows too. */
#ifndef APPS_PARK_H
#define APPS_PARK_H

#include <stdbool.h>

#include "stack/base/compiler.h"

#define PARK_RUNS_MAX 32

/* The keys are an interface. These are measured by compare, too. */
/* clang-format off */
#define PARK_ROWS(X)                                                                               \
	X(YIELD, "yield_ns", "yield, 64 runnable goroutines")                                      \
	X(READY, "park_ready_ns", "park + ready, 1,024 pds of stack connections")                  \
	X(READY_FD, "park_ready_fd_ns", "park + ready, 1,024 pds of kernel fds")                   \
	X(SPAWN, "spawn_ns", "spawn + exit, 63 warm stacks")                                       \
	X(SPAWN_ROTATION, "spawn_rotation_ns", "spawn + exit, 1,000 stacks in rotation")           \
	X(SPAWN_COLD, "spawn_cold_ns", "spawn + exit, stacks never used before")                   \
	X(CAS, "cas_ns", "one locked compare-and-swap, for scale")

/* These by `bench park` alone: they take longer, or want a second cpu. */
#define PARK_WIDE_ROWS(X)                                                                          \
	X(SPAWN_RATIO, "spawn_last_over_first", "the last 10^5 of 10^6 spawns / the first")        \
	X(CHAN, "chan_ns", "unbuffered channel, one way")                                          \
	X(PIPE, "pipe_ns", "one byte through a pipe, to the other running")                        \
	X(TIMER, "timer_move_ns", "10^6 deadlines, moved ten times, then fired")                   \
	X(LEDGER_YIELD, "ledger_yield_ns", "what the ledger adds to a yield")                      \
	X(LEDGER_RR, "ledger_rr_percent", "and takes from the requests/s of rr, %")                \
	X(CROSS, "cross_lane_ready_ns", "ready across lanes to running, both awake")               \
	X(HOP, "hop_ns", "one cache line to the other cpu, for scale")                             \
	X(BYTES, "bytes_per_parked_g", "bytes of a goroutine parked in pl_read")                   \
	X(BYTES_TCP, "bytes_per_idle_tcp_g", "the same with its TCP socket")
/* clang-format on */

enum park_row {
#define X(sym, key, says) PARK_##sym,
	PARK_ROWS(X)
#undef X
		PARK_MAX,
	PARK_WIDE = PARK_MAX - 1, /* the next one is PARK_MAX */
#define X(sym, key, says) PARK_##sym,
	PARK_WIDE_ROWS(X)
#undef X
		PARK_ALL
};

extern const char *const park_keys[PARK_ALL], *const park_says[PARK_ALL];

struct park_result {
	unsigned runs;
	double ns[PARK_MAX][PARK_RUNS_MAX]; /* per operation */
};

/* park_measure - on this thread, pinned to cpu (-1: not pinned), at most PARK_RUNS_MAX runs of
 * some 0.3 s. 0; -errno of lane_create. */
MUST_USE int park_measure(int cpu, unsigned runs, struct park_result *ret);

/* The same a sample at a time, to be interleaved with others. park_open - 0; -errno of
 * lane_create. park_sample - one sample of each of PARK_ROWS. */
MUST_USE int park_open(int cpu);
void park_sample(double ns[PARK_MAX]);
void park_close(void);

/*
 * park_wide_sample - one sample of PARK_WIDE_ROWS but the memory, into ns[]; cpu and other: -1 not
 * pinned. What needs a second cpu is NAN without one. 0; -errno of lane_create, or of the
 * system call that failed.
 */
MUST_USE int park_wide_sample(int cpu, int other, double ns[PARK_ALL]);

/* park_bytes - n goroutines parked in pl_read; bytes of RSS and page tables each: stack, pd and
 * connection, with `sockets` also the TCP socket of Parklane's stack below. In a process of its
 * own. 0; -errno with one line in what[size]. */
MUST_USE int park_bytes(unsigned n, bool sockets, double *ret_bytes, char *what, unsigned size);

#endif
