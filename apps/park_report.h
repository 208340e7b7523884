/* SPDX-License-Identifier: BSD-3-Clause */
/* What `bench park` has measured, and its two forms. */
#ifndef APPS_PARK_REPORT_H
#define APPS_PARK_REPORT_H

#include "apps/machine.h"
#include "apps/park.h"
#include "apps/park_peer.h"

enum park_side { SIDE_OURS, SIDE_PEERS, SIDE_MAX = SIDE_PEERS + PEER_MAX };

struct park_report {
	struct machine machine;
	unsigned runs, gs; /* gs: goroutines whose memory was measured, 0 none */
	int cpu, other;
	struct park_peer peer[PEER_MAX];
	char why[200]; /* memory was not measured: one line */
	unsigned n[SIDE_MAX][PARK_ALL];
	double v[SIDE_MAX][PARK_ALL][PARK_RUNS_MAX]; /* n of each */
};

/* Both print to stdout and return the exit status. */
int park_report_print(const struct park_report *r);
int park_report_json(const struct park_report *r);

#endif
