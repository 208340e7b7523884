/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim: a world of hosts in virtual time on one thread. Each host is a real lane (stack, scheduler,
 * goroutines, deadlines) on a wire whose links are bad on purpose; what its programs do, what the
 * links do and when memory runs out is drawn from one seed. After every turn of every lane the
 * invariants are recounted; the first one that is broken ends the world. The same seed is the same
 * world, packet for packet.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct sim_options {
	uint64_t seed;
	const char *pcap; /* every frame as it enters the wire, nanoseconds; NULL none */
	FILE *verbose;    /* what was drawn, what became of each frame and flow; NULL none */
};

struct sim_result {
	bool failed;
	char what[512]; /* which invariant, where; or why the world could not be made */
	uint64_t at;    /* ns of virtual time since the beginning: of the failure, or the end */
	uint64_t flows; /* connections that lived from SYN to the end at both hosts */
	uint64_t turns; /* of all lanes */
	uint64_t frames, bytes;                    /* that entered the wire; of payload delivered */
	uint64_t retrans, timeouts, resets, nomem; /* what the stacks counted */
};

/* sim_run - one world from beginning to end. Any thread outside of a goroutine. 0, also if the
 * world failed; -ENOMEM; -errno of opening the pcap file, with a line in what. */
int sim_run(const struct sim_options *opt, struct sim_result *ret);

#endif
