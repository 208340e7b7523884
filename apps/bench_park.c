/* SPDX-License-Identifier: BSD-3-Clause */
/* `parklane bench park`: what a goroutine costs here, as a table, or as JSON. */
#include <jansson.h>
#include <string.h>

#include "apps/bench_park.h"
#include "apps/cli.h"
#include "apps/compare.h"
#include "apps/park.h"

struct park_args {
	int cpu;
	unsigned runs;
	bool json;
};

enum {
	KEY_CPU = 1,
	KEY_RUNS,
	KEY_JSON,
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
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option park_options[] = {
	{"cpu", KEY_CPU, "N", 0, "Pin to this cpu", 0},
	{"runs", KEY_RUNS, "N", 0, "Runs of each figure, interleaved (default 11)", 0},
	{"json", KEY_JSON, NULL, 0, "Print one JSON object", 0},
	{0},
};
static const struct argp park_argp = {
	.options = park_options,
	.parser = park_parse,
	.doc = "What a goroutine costs on this machine, in ns per operation, by the shipped code "
	       "through the real run queue.",
};

static int print_json(const struct park_result *r)
{
	json_t *run = json_pack("{s:s s:s s:s s:s s:i}", "set", "bypass", "backend", "stack",
				"link", "none", "test", "park", "n", (int)r->runs);
	struct machine m;
	json_t *meta, *o;
	char key[64];
	int err;

	machine_read(&m);
	meta = machine_json(&m);
	json_object_set_new(meta, "n", json_integer(r->runs));
	for (unsigned i = 0; i < PARK_MAX; i++) {
		struct cmp_figure f = figure_median(r->ns[i], r->runs);

		json_object_set_new(run, park_keys[i], json_real(f.value));
		snprintf(key, sizeof(key), "%s_low", park_keys[i]);
		json_object_set_new(run, key, json_real(f.low));
		snprintf(key, sizeof(key), "%s_high", park_keys[i]);
		json_object_set_new(run, key, json_real(f.high));
	}
	o = json_pack("{s:o s:[o] s:{}}", "meta", meta, "runs", run, "ratios");
	err = json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(o);
	return err ? 1 : 0;
}

int cmd_bench_park(int argc, char **argv)
{
	static struct park_result r;
	struct park_args a = {.cpu = -1, .runs = 11};
	int err;

	cli_parse(&park_argp, "parklane bench park", argc, argv, &a);
	err = park_measure(a.cpu, a.runs, &r);
	if (err)
		cli_die("no lane on cpu %d: %s; 'nproc' tells how many there are", a.cpu,
			strerror(-err));
	if (a.json)
		return print_json(&r);
	printf("ns per operation, median (min-max) of %u runs\n", r.runs);
	for (unsigned i = 0; i < PARK_MAX; i++) {
		struct cmp_figure f = figure_median(r.ns[i], r.runs);

		printf("  %-48s %8.1f  (%.1f-%.1f)\n", park_says[i], f.value, f.low, f.high);
	}
	return 0;
}
