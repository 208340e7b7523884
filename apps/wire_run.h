/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire in real time: frames of two taps through drivers/wire by CLOCK_MONOTONIC. It sleeps
 * while nothing is due and spins for the last stretch, since a sleeper is woken late.
 */
#ifndef APPS_WIRE_RUN_H
#define APPS_WIRE_RUN_H

#include <stdbool.h>
#include <stdio.h>

#include "apps/hist.h"
#include "apps/wire_tap.h"
#include "drivers/wire.h"

#define WRUN_CUTS 16

/* From `at` to `until` the link is cut in both directions; ns since the start. */
struct wrun_cut {
	uint64_t at, until;
};

struct wrun_config {
	uint64_t seed;
	struct wire_path path[2]; /* from tap 0 to tap 1, and back */
	struct wrun_cut cut[WRUN_CUTS];
	unsigned nr_cuts;
	uint64_t run_ns; /* 0 = until it is stopped */
	bool spin;       /* never sleep */
	FILE *pcap[2];   /* what passes each tap, both ways; NULL nowhere */
	FILE *verbose;   /* a line for each frame that is lost; NULL none */
};

struct wrun_result {
	struct wire_path_stats path[2];
	uint64_t missed[2];  /* frames that came to an end when WRUN_RING others waited there */
	uint64_t overrun[2]; /* frames from an end that found 262,144 others on their way */
	uint64_t write_errors[2]; /* frames that the tap did not take */
	uint64_t tap_drops[2];    /* frames that we did not take from the tap in time */
	struct hist late;         /* ns: how much later than due a frame left */
	uint64_t away_max; /* ns: the longest that nobody looked at taps and clock, sleep aside */
	uint64_t ran;      /* ns */
	bool fifo;         /* it ran with real-time priority */
};

/* wrun - until *stop is true, or run_ns are over. 0; -errno, with one line in err; ret is whole in
 * both cases. Waits at most 100 ms for *stop, which a signal handler may set. */
MUST_USE int wrun(const struct wrun_config *cfg, struct wtap tap[static 2], volatile bool *stop,
		  struct wrun_result *ret, char *err, size_t errlen);

#endif
