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

/* Which hostile host a world has, if not a certain one: by chance, perhaps none; one, by the
 * seed. */
#define SIM_HOSTILE_DRAWN 0u
#define SIM_HOSTILE_ANY   UINT32_MAX

struct sim_options {
	uint64_t seed;
	unsigned hostile; /* a row of sim_hostile_name(), SIM_HOSTILE_* */
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

/* sim_hostile_name - what row `nr` (from 1) of the hostile hosts is called, "B1"; NULL: no such
 * row. *ret_what (may be NULL): what it does. sim_hostile_find - the row of a name, 0 none. */
const char *sim_hostile_name(unsigned nr, const char **ret_what);
unsigned sim_hostile_find(const char *name);

#endif
