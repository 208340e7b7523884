/* SPDX-License-Identifier: BSD-3-Clause */
/* A goroutine dump as text: the largest groups first, newest goroutines last among equals. */
#include <inttypes.h>
#include <stdlib.h>

#include "poller/dump_int.h"
#include "poller/symbols.h"
#include "stack/base/compiler.h"

/* Also what gdb prints: parklane-gdb.py finds both tables by their names. */
static const char *const dump_states[] = {
	[G_IDLE] = "being born", [G_RUNNABLE] = "runnable", [G_RUNNING] = "running",
	[G_WAITING] = "waiting", [G_DEAD] = "dead",
};

static const char *const dump_reasons[WAIT_REASON_MAX] = {
#define X(sym, name) [WAIT_##sym] = name,
	WAIT_REASONS(X)
#undef X
};

/* "12 ms" */
static void print_span(FILE *f, uint64_t ns)
{
	static const struct {
		uint64_t ns;
		const char *unit;
	} steps[] = {{3600000000000, "h"},
		     {60000000000, "min"},
		     {1000000000, "s"},
		     {1000000, "ms"},
		     {1000, "us"}};

	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		if (ns >= steps[i].ns) {
			double v = (double)ns / (double)steps[i].ns;

			fprintf(f, v < 10 ? "%.1f %s" : "%.0f %s", v, steps[i].unit);
			return;
		}
	}
	fprintf(f, "%" PRIu64 " ns", ns);
}

static void print_state(FILE *f, const struct dump_group *g)
{
	const char *why = g->why < WAIT_REASON_MAX ? dump_reasons[g->why] : "";

	if (g->state != G_WAITING) {
		fprintf(f, "[%s]", dump_states[g->state]);
		return;
	}
	fprintf(f, "[%s", why && *why ? why : "waiting");
	if (g->away) {
		fputc(']', f);
		return;
	}
	fputs(", ", f);
	print_span(f, g->shortest);
	/* Spans that look the same are one. */
	if (g->longest > g->shortest + g->shortest / 10) {
		fputs(" to ", f);
		print_span(f, g->longest);
	}
	fputc(']', f);
}

static void print_group(FILE *f, struct symbols *sy, const struct dump_group *g)
{
	const char *name = g->name ? g->name : "?";

	if (g->nr == 1) {
		fprintf(f, "\ngoroutine %" PRIu64 " ", g->id[0]);
		print_state(f, g);
		fprintf(f, ": %s\n", name);
	} else {
		fprintf(f, "\n%" PRIu64 " goroutines ", g->nr);
		print_state(f, g);
		fprintf(f, ": %s\n    numbers", name);
		for (unsigned i = 0; i < g->nr && i < DUMP_IDS; i++)
			fprintf(f, " %" PRIu64, g->id[i]);
		fputs(g->nr > DUMP_IDS ? " ...\n" : "\n", f);
	}
	if (g->away)
		fputs("    another lane has it, or may take it\n", f);
	else if (!g->nr_pc)
		fputs("    has not begun yet\n", f);
	for (unsigned i = 0; i < g->nr_pc; i++) {
		fputs("    ", f);
		symbols_print(sy, f, g->pc[i]);
		fputc('\n', f);
	}
	if (g->cut)
		fputs("    ... and so on\n", f);
}

static int by_size(const void *a, const void *b)
{
	const struct dump_group *x = a, *y = b;

	if (x->nr != y->nr)
		return x->nr < y->nr ? 1 : -1;
	return x->id[0] < y->id[0] ? -1 : x->id[0] > y->id[0];
}

void dump_print(FILE *f, struct symbols *sy, const char *title, struct dump *d)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < G_DEAD; i++)
		total += d->per_state[i];
	fprintf(f,
		"%s: %" PRIu64 " goroutines: %" PRIu64 " running, %" PRIu64 " runnable, %" PRIu64
		" waiting\n",
		title, total, d->per_state[G_RUNNING], d->per_state[G_RUNNABLE],
		d->per_state[G_WAITING]);
	qsort(d->group, d->nr, sizeof(*d->group), by_size);
	for (uint32_t i = 0; i < d->nr; i++)
		print_group(f, sy, &d->group[i]);
	if (d->lost)
		fprintf(f, "\n%" PRIu64 " more goroutines that are like none of these\n", d->lost);
	fputc('\n', f);
}
