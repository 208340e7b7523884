/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `parklane bench park`: what a goroutine costs here, beside Go and State Threads measured in the
 * same run, as a table or as JSON. Samples are interleaved, ours and theirs, on the same cpu.
 */
#include "apps/bench_park.h"

#include <math.h>
#include <sched.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/machine.h"
#include "apps/park.h"
#include "apps/park_mem.h"
#include "apps/park_peer.h"
#include "apps/park_report.h"

struct park_args {
	int cpu;
	unsigned runs, gs;
	const char *peers;
	bool json, alone;
};

enum {
	KEY_CPU = 1,
	KEY_RUNS,
	KEY_JSON,
	KEY_GS,
	KEY_PEERS,
	KEY_ALONE,
};

static error_t park_parse(int key, char *arg, struct argp_state *state)
{
	struct park_args *a = state->input;

	switch (key) {
	case KEY_CPU:
		a->cpu = (int)cli_uint("--cpu", arg, 0, 4095);
		return 0;
	case KEY_RUNS:
		a->runs = (unsigned)cli_uint("--runs", arg, 1, PARK_RUNS_MAX);
		return 0;
	case KEY_JSON:
		a->json = true;
		return 0;
	case KEY_GS:
		a->gs = (unsigned)cli_uint("--gs", arg, 0, 1000000);
		return 0;
	case KEY_PEERS:
		a->peers = arg;
		return 0;
	case KEY_ALONE:
		a->alone = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option park_options[] = {
	{"cpu", KEY_CPU, "N", 0, "Pin to this cpu (default: the last that may be used)", 0},
	{"runs", KEY_RUNS, "N", 0, "Runs of each figure, interleaved (default 11)", 0},
	{"gs", KEY_GS, "N", 0,
	 "Goroutines whose memory is measured (default 1000000, some 5 GB; 0 none)", 0},
	{"peers", KEY_PEERS, "DIR", 0,
	 "Sources of the programs for Go and State Threads (default: where Parklane was built "
	 "from)",
	 0},
	{"no-peers", KEY_ALONE, NULL, 0, "Measure Parklane alone", 0},
	{"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
	{0},
};
static const struct argp park_argp = {
	.options = park_options,
	.parser = park_parse,
	.doc = "What a goroutine costs on this machine, in ns per operation, by the shipped code "
	       "through the real run queue; beside Go and State Threads, if they can be built.",
};

/* The last cpu that may be used, and another one; -1 there is none. */
static void choose_cpus(int *cpu, int *other)
{
	cpu_set_t set;

	*other = -1;
	if (sched_getaffinity(0, sizeof(set), &set))
		return;
	for (int i = CPU_SETSIZE - 1; i >= 0; i--) {
		if (!CPU_ISSET((size_t)i, &set))
			continue;
		if (*cpu < 0)
			*cpu = i;
		else if (i != *cpu)
			*other = i;
	}
}

static void note(struct park_report *r, unsigned side, const double *ns)
{
	for (unsigned i = 0; i < PARK_ALL; i++)
		if (!isnan(ns[i]))
			r->v[side][i][r->n[side][i]++] = ns[i];
}

static int one_run(struct park_report *r)
{
	double ns[PARK_ALL];
	int err;

	for (unsigned i = 0; i < PARK_ALL; i++)
		ns[i] = NAN;
	err = park_open(r->cpu);
	if (err)
		return err;
	park_sample(ns);
	park_close();
	err = park_wide_sample(r->cpu, r->other, ns);
	if (err)
		return err;
	note(r, SIDE_OURS, ns);
	for (unsigned i = 0; i < PEER_MAX; i++) {
		peer_sample(&r->peer[i], r->cpu, 0, ns);
		note(r, SIDE_PEERS + i, ns);
	}
	return 0;
}

static void memory_runs(struct park_report *r, unsigned gs)
{
	double ns[PARK_ALL];

	r->gs = park_mem_fits(gs);
	for (unsigned run = 0; run < PARK_MEM_RUNS && r->gs; run++) {
		for (unsigned i = 0; i < PARK_ALL; i++)
			ns[i] = NAN;
		if (park_mem_sample(r->gs, false, &ns[PARK_BYTES], r->why, sizeof(r->why)) ||
		    park_mem_sample(PARK_MEM_TCP < r->gs ? PARK_MEM_TCP : r->gs, true,
				    &ns[PARK_BYTES_TCP], r->why, sizeof(r->why)))
			return;
		note(r, SIDE_OURS, ns);
		peer_sample(&r->peer[PEER_GO], r->cpu, r->gs, ns);
		note(r, SIDE_PEERS + PEER_GO, ns);
	}
}

int cmd_bench_park(int argc, char **argv)
{
	static struct park_report r;
	struct park_args a = {.cpu = -1, .runs = 11, .gs = 1000000};
	int err = 0;

	cli_parse(&park_argp, "parklane bench park", argc, argv, &a);
	machine_read(&r.machine);
	r.runs = a.runs;
	if (open_check_cpu(a.cpu))
		cli_die("%s", pl_last_error());
	r.cpu = a.cpu;
	choose_cpus(&r.cpu, &r.other);
	for (unsigned i = 0; i < PEER_MAX; i++) {
		peer_build(i, a.peers, &r.peer[i]);
		if (a.alone) {
			r.peer[i].there = false;
			snprintf(r.peer[i].why, sizeof(r.peer[i].why), "not asked for");
		}
	}
	for (unsigned run = 0; run < r.runs && !err; run++)
		err = one_run(&r);
	if (err)
		cli_die("bench park on cpu %d: %s; 'nproc' tells how many cpus there are", r.cpu,
			strerror(-err));
	memory_runs(&r, a.gs);
	return a.json ? park_report_json(&r) : park_report_print(&r);
}
