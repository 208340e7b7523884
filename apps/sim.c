/* SPDX-License-Identifier: BSD-3-Clause */
/* `parklane sim`: replay one world of the simulator from its seed, or look for a bad one in
 * many. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/sim_soak.h"
#include "sim/sim.h"

struct sim_args {
	struct sim_options one;
	struct soak_options many;
	bool seed, seeds, first, verbose;
};

enum {
	KEY_SEED = 1,
	KEY_PCAP,
	KEY_VERBOSE,
	KEY_SEEDS,
	KEY_FIRST,
	KEY_JOBS,
	KEY_JSON,
	KEY_HOSTILE,
};

#define JOBS_MAX 64
#define SEED_MAX INT64_MAX /* what --json can say */

/* hostile_row - "any", or a row's name, or the end with all names. */
static unsigned hostile_row(const char *arg)
{
	unsigned row = sim_hostile_find(arg);
	char names[256] = "";
	const char *name;

	if (row)
		return row;
	if (!strcmp(arg, "any"))
		return SIM_HOSTILE_ANY;
	for (unsigned nr = 1; (name = sim_hostile_name(nr, NULL)); nr++) {
		size_t at = strlen(names);

		(void)snprintf(names + at, sizeof(names) - at, " %s", name);
	}
	cli_usage("--hostile %s: no such row of docs/tcp-matrix.md; it is 'any', or one of%s",
		  options_shown(arg), names);
}

static error_t sim_parse(int key, char *arg, struct argp_state *state)
{
	struct sim_args *a = state->input;

	switch (key) {
	case KEY_SEED:
		a->one.seed = cli_uint("--seed", arg, 0, SEED_MAX);
		a->seed = true;
		return 0;
	case KEY_PCAP:
		a->one.pcap = arg;
		return 0;
	case KEY_VERBOSE:
		a->verbose = true;
		return 0;
	case KEY_SEEDS:
		a->many.nr = cli_uint("--seeds", arg, 1, UINT32_MAX);
		a->seeds = true;
		return 0;
	case KEY_FIRST:
		a->many.first = cli_uint("--first-seed", arg, 0, SEED_MAX);
		a->first = true;
		return 0;
	case KEY_JOBS:
		a->many.jobs = (unsigned)cli_uint("--jobs", arg, 1, JOBS_MAX);
		return 0;
	case KEY_JSON:
		a->many.json = true;
		return 0;
	case KEY_HOSTILE:
		a->one.hostile = a->many.hostile = hostile_row(arg);
		return 0;
	case ARGP_KEY_END:
		if (a->seed == a->seeds)
			cli_usage("give --seed N to replay one world, or --seeds N for many");
		if (a->seeds && (a->one.pcap || a->verbose))
			cli_usage("--pcap and --verbose go with --seed");
		if (a->seed && (a->first || a->many.jobs || a->many.json))
			cli_usage("--first-seed, --jobs and --json go with --seeds");
		if (a->seeds && a->many.nr - 1 > SEED_MAX - a->many.first)
			cli_usage("--first-seed %" PRIu64 " and --seeds %" PRIu64
				  ": the last seed there is is %" PRId64,
				  a->many.first, a->many.nr, SEED_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option sim_options[] = {
	{"seed", KEY_SEED, "N", 0, "Replay the world of this seed, packet for packet", 0},
	{"pcap", KEY_PCAP, "FILE", 0,
	 "With --seed: write every frame, as it enters the wire, to FILE", 0},
	{"verbose", KEY_VERBOSE, NULL, 0,
	 "With --seed: print what was drawn from the seed, and what happens", 0},
	{"seeds", KEY_SEEDS, "N", 0, "Run N worlds, and fail if one does", 0},
	{"first-seed", KEY_FIRST, "K", 0, "With --seeds: begin with seed K (default 1)", 0},
	{"jobs", KEY_JOBS, "N", 0, "With --seeds: N processes (default 1)", 0},
	{"hostile", KEY_HOSTILE, "ROW", 0,
	 "A host that is no stack of ours and keeps no rule does ROW of docs/tcp-matrix.md, B1 to "
	 "B34 without B23, to one of the others; \"any\": in each world another (default: in some "
	 "worlds)",
	 0},
	{"json", KEY_JSON, NULL, 0, "With --seeds: print the result as JSON", 0},
	{0},
};
static const struct argp sim_argp = {
	.options = sim_options,
	.parser = sim_parse,
	.doc = "Hosts with Parklane's stack and goroutines, in virtual time, over links that lose, "
	       "delay, reorder, duplicate and corrupt; all of it drawn from a seed. What TCP "
	       "promises is checked after every turn of every host.",
};

static int replay(const struct sim_args *a)
{
	struct sim_options opt = a->one;
	struct sim_result res;
	int err;

	opt.verbose = a->verbose ? stdout : NULL;
	err = sim_run(&opt, &res);
	if (err)
		cli_die("%s", *res.what ? res.what : strerror(-err));
	if (res.failed) {
		fflush(stdout);
		fprintf(stderr, "parklane: seed %" PRIu64 " fails at %.6f ms: %s\n", opt.seed,
			(double)res.at / 1e6, res.what);
		return 1;
	}
	printf("seed %" PRIu64 ": %" PRIu64 " connections, %" PRIu64 " frames, %" PRIu64
	       " bytes, %" PRIu64 " turns, %" PRIu64 " retransmissions, %" PRIu64
	       " timeouts in %.3f s of virtual time: all well\n",
	       opt.seed, res.flows, res.frames, res.bytes, res.turns, res.retrans, res.timeouts,
	       (double)res.at / 1e9);
	return 0;
}

int cmd_sim(int argc, char **argv)
{
	struct sim_args a = {.many = {.first = 1}};

	cli_parse(&sim_argp, "parklane sim", argc, argv, &a);
	return a.seed ? replay(&a) : sim_soak(&a.many);
}
