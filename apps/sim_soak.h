/* SPDX-License-Identifier: BSD-3-Clause */
/* Many worlds of the simulator, in processes of their own: one that crashes or hangs names its
 * seed, too. */
#ifndef APPS_SIM_SOAK_H
#define APPS_SIM_SOAK_H

#include <stdbool.h>
#include <stdint.h>

struct soak_options {
	uint64_t first, nr; /* seeds first to first + nr - 1 */
	unsigned jobs;      /* processes; 0 = 1 */
	unsigned hostile;   /* as of struct sim_options */
	bool json;          /* the result as JSON on stdout */
};

/* sim_soak - 0 all went well, 1 one did not; SIGINT and SIGTERM end it with what was done. Failures
 * are told on stderr as they come, each with its seed, the invariant and how to replay it. */
int sim_soak(const struct soak_options *opt);

#endif
