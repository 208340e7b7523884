/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peers of `bench park`: Go and State Threads, measured by programs of ours in
 * tests/bench/peers, which are built on the machine that measures and run in turn with our
 * own samples.
 */
#ifndef APPS_PARK_PEER_H
#define APPS_PARK_PEER_H

#include <stdbool.h>

#include "apps/park.h"

enum park_peer_id { PEER_GO, PEER_ST, PEER_MAX };

struct park_peer {
	const char *key, *name; /* of the JSON, of the table */
	bool there;             /* built, and no run has failed */
	char why[640];          /* if not: one line that says what to do */
	char exe[512];
};

/* peer_build - from the sources in dir (NULL: where Parklane was built from), into the folder where
 * Parklane was built. */
void peer_build(enum park_peer_id id, const char *dir, struct park_peer *ret);
/* peer_sample - run it once on cpu (-1: anywhere): ns[] of the rows that it tells, NAN the others.
 * memory: the memory of so many goroutines instead; 0 no. */
void peer_sample(struct park_peer *p, int cpu, unsigned memory, double ns[PARK_ALL]);

#endif
