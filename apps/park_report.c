/* SPDX-License-Identifier: BSD-3-Clause */
/* `bench park`'s table and its JSON. The keys are an interface: bench.md, "park". */
#include "apps/park_report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "apps/compare.h"
#include "stack/base/compiler.h"

/* What is wanted: at most `times` * the run's `of` + `plus`. */
static const struct wanted {
	double times;
	enum park_row of;
	double plus;
	bool is;
} wanted[PARK_ALL] = {
	[PARK_YIELD] = {.plus = 8, .is = true},
	[PARK_READY] = {.plus = 20, .is = true},
	[PARK_READY_FD] = {.times = 4, .of = PARK_CAS, .plus = 15, .is = true},
	[PARK_SPAWN] = {.plus = 60, .is = true},
	[PARK_SPAWN_RATIO] = {.plus = 1.5, .is = true},
	[PARK_CHAN] = {.plus = 20, .is = true},
	[PARK_CROSS] = {.times = 2, .of = PARK_HOP, .plus = 150, .is = true},
	[PARK_TIMER] = {.plus = 150, .is = true},
	[PARK_LEDGER_YIELD] = {.plus = 1, .is = true},
	[PARK_LEDGER_RR] = {.plus = 1, .is = true},
	[PARK_BYTES] = {.plus = 5120, .is = true},
};

static struct cmp_figure figure(const struct park_report *r, unsigned side, enum park_row row)
{
	return figure_median(r->v[side][row], r->n[side][row]);
}

static double limit(const struct park_report *r, enum park_row row)
{
	const struct wanted *w = &wanted[row];
	double of = w->times > 0 ? figure(r, SIDE_OURS, w->of).value : 0;

	return w->is ? w->times * of + w->plus : NAN;
}

/* ---- the table: 100 columns ---- */

static void print_peer(const struct park_report *r, unsigned side, enum park_row row)
{
	struct cmp_figure f = figure(r, side, row);

	if (f.n)
		printf(" %9.*f", fabs(f.value) < 1000, f.value);
	else
		printf(" %9s", "-");
}

static int decimals(enum park_row row, double value)
{
	if (row == PARK_SPAWN_RATIO || row == PARK_LEDGER_YIELD || row == PARK_LEDGER_RR)
		return 2;
	return fabs(value) < 1000;
}

static bool print_row(const struct park_report *r, enum park_row row)
{
	struct cmp_figure f = figure(r, SIDE_OURS, row);
	double max = limit(r, row);
	char spread[40] = "", want[24] = "";
	bool missed = f.n && !isnan(max) && f.value > max;
	int d = decimals(row, f.value);

	if (f.n) {
		snprintf(spread, sizeof(spread), "(%.*f-%.*f)", d, f.low, d, f.high);
		printf("  %-45s %7.*f %-16s", park_says[row], d, f.value, spread);
	} else {
		printf("  %-45s %7s %-16s", park_says[row], "-", "");
	}
	if (!isnan(max))
		snprintf(want, sizeof(want), "%.*f%c", d, max, missed ? '*' : ' ');
	printf(" %8s", want);
	for (unsigned i = 0; i < PEER_MAX; i++)
		print_peer(r, SIDE_PEERS + i, row);
	putchar('\n');
	return missed;
}

int park_report_print(const struct park_report *r)
{
	bool missed = false;

	printf("%s, Linux %s, %u cpus, commit %s, %s\n"
	       "ns per operation on cpu %d, median (min-max) of %u interleaved runs",
	       r->machine.cpu, r->machine.kernel, r->machine.cpus, r->machine.commit,
	       r->machine.date, r->cpu, r->runs);
	if (r->gs)
		printf("; memory of %u goroutines", r->gs);
	printf("\n  %-45s %7s %-15s %7s %9s %9s\n", "", "", "Parklane", "at most", "Go", "St.Thr.");
	for (unsigned row = 0; row < PARK_ALL; row++)
		missed |= print_row(r, row);
	if (missed)
		printf("  * more than was wanted\n");
	for (unsigned i = 0; i < PEER_MAX; i++)
		if (!r->peer[i].there)
			printf("  %s: %s\n", r->peer[i].name, r->peer[i].why);
	if (r->why[0])
		printf("  memory: %s\n", r->why);
	return 0;
}

/* ---- JSON ---- */

static void put(json_t *o, const char *key, struct cmp_figure f)
{
	char k[64];

	json_object_set_new(o, key, f.n ? json_real(f.value) : json_null());
	snprintf(k, sizeof(k), "%s_low", key);
	json_object_set_new(o, k, f.n ? json_real(f.low) : json_null());
	snprintf(k, sizeof(k), "%s_high", key);
	json_object_set_new(o, k, f.n ? json_real(f.high) : json_null());
}

static void put_side(json_t *o, const struct park_report *r, unsigned side)
{
	for (unsigned row = 0; row < PARK_ALL; row++)
		put(o, park_keys[row], figure(r, side, row));
}

static json_t *peer_json(const struct park_report *r, unsigned i)
{
	json_t *o = json_object();

	put_side(o, r, SIDE_PEERS + i);
	json_object_set_new(o, "note",
			    r->peer[i].there ? json_null() : json_string(r->peer[i].why));
	return o;
}

/* Theirs by ours, run by run. */
static void put_ratios(json_t *ratios, const struct park_report *r)
{
	char key[96];

	for (unsigned i = 0; i < PEER_MAX; i++)
		for (unsigned row = 0; row < PARK_ALL; row++) {
			unsigned n =
				min_t(unsigned, r->n[SIDE_OURS][row], r->n[SIDE_PEERS + i][row]);
			struct cmp_figure f =
				figure_ratio(r->v[SIDE_PEERS + i][row], r->v[SIDE_OURS][row], n);

			if (!n)
				continue;
			snprintf(key, sizeof(key), "%s_%s_over_parklane", park_keys[row],
				 r->peer[i].key);
			json_object_set_new(ratios, key,
					    json_pack("{s:f s:f s:f s:i}", "value", f.value, "low",
						      f.low, "high", f.high, "n", (int)f.n));
		}
}

int park_report_json(const struct park_report *r)
{
	json_t *meta = machine_json(&r->machine), *want = json_object(), *ratios = json_object();
	json_t *run = json_pack("{s:s s:s s:s s:s s:i}", "set", "bypass", "backend", "stack",
				"link", "none", "test", "park", "n", (int)r->runs);
	json_t *o = json_object();
	int err;

	json_object_set_new(meta, "n", json_integer(r->runs));
	json_object_set_new(meta, "cpu", json_integer(r->cpu));
	json_object_set_new(meta, "goroutines", json_integer(r->gs));
	put_side(run, r, SIDE_OURS);
	put_ratios(ratios, r);
	json_object_set_new(o, "meta", meta);
	put_side(o, r, SIDE_OURS);
	for (unsigned row = 0; row < PARK_ALL; row++)
		if (!isnan(limit(r, row)))
			json_object_set_new(want, park_keys[row], json_real(limit(r, row)));
	json_object_set_new(o, "at_most", want);
	for (unsigned i = 0; i < PEER_MAX; i++)
		json_object_set_new(o, r->peer[i].key, peer_json(r, i));
	json_object_set_new(o, "runs", json_pack("[o]", run));
	json_object_set_new(o, "ratios", ratios);
	err = json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(o);
	return err ? 1 : 0;
}
