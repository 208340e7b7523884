/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compare's table: what a person takes in within ten seconds comes first with what explains its
 * words, the ledger side by side after it, and who did what the other did not (checksums). The
 * ratios that matter stand at the end again, where a terminal still shows them.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "apps/compare.h"
#include "apps/stream_bytes.h"

#define BUSY_ENOUGH 0.95 /* below it, idle time is too much of what is divided (bench.md) */

#define COLUMNS 100 /* of the whole report */

#define FIRM "\037" /* a blank that put() does not fold at */

/* put - one line, folded at blanks to COLUMNS; the lines that follow begin `hang` columns in. */
static PRINTF_FMT(2, 3) void put(unsigned hang, const char *fmt, ...)
{
	char buf[640];
	const char *at = buf;
	unsigned indent = 0;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	do {
		size_t len = strlen(at), fits = COLUMNS - indent;

		if (len > fits) {
			for (len = fits; len && at[len] != ' ';)
				len--;
			if (!len)
				len = fits;
		}
		while (len && at[len - 1] == ' ')
			len--;
		printf("%*s", (int)indent, "");
		for (size_t i = 0; i < len; i++)
			putchar(at[i] == *FIRM ? ' ' : at[i]);
		putchar('\n');
		at += len;
		at += strspn(at, " ");
		indent = hang;
	} while (*at);
}

/* "1.52 M", "160 k", "912" */
static const char *si(double v, char *buf, size_t size)
{
	if (isnan(v))
		snprintf(buf, size, "-");
	else if (v >= 1e6)
		snprintf(buf, size, "%.2f M", v / 1e6);
	else if (v >= 1e4)
		snprintf(buf, size, "%.0f k", v / 1e3);
	else
		snprintf(buf, size, "%.0f", v);
	return buf;
}

/* As many digits as the figure itself is worth, however wild one sample was. */
static int decimals(double value)
{
	return fabs(value) >= 1000 ? 0 : fabs(value) >= 100 ? 1 : 2;
}

static const char *spread(struct cmp_figure f, char *buf, size_t size)
{
	int d = decimals(f.value);

	if (!f.n || isnan(f.value))
		snprintf(buf, size, "-");
	else
		snprintf(buf, size, "%.*f (%.*f-%.*f)", d, f.value, d, f.low, d, f.high);
	return buf;
}

static const struct cmp_figure none = {NAN, NAN, NAN, 0};

/* The median of one figure of a set that may not have been measured. */
#define MEDIAN(s, what) ((s) ? figure_median((s)->what, (s)->n) : none)

static bool is_kernel(enum cmp_set set)
{
	return set != SET_BYPASS && set != SET_FLOOR;
}

static bool too_idle(const struct cmp_series *s)
{
	return s && is_kernel(s->set) && figure_median(s->busy, s->n).value < BUSY_ENOUGH;
}

/* "bypass!": one of the samples in its row was starved. */
static const char *set_name(enum cmp_set set, const struct cmp_series *a,
			    const struct cmp_series *b, char *buf, size_t size)
{
	bool starved = series_starved(a) || series_starved(b);

	snprintf(buf, size, "%s%s", cmp_set_names[set], starved ? "!" : "");
	return buf;
}

static void print_row(const struct cmp *c, enum cmp_set set)
{
	const struct cmp_series *s1 = cmp_find(c, TEST_RR, set, 1);
	const struct cmp_series *many = cmp_find(c, TEST_RR, set, CMP_CONNS);
	struct cmp_figure rps = MEDIAN(many, rate), cyc = MEDIAN(many, cycles);
	struct cmp_figure busy = MEDIAN(many, busy);
	double late = MEDIAN(s1, p99).value;
	char p50[80], p99[32] = "-", rate[64], lo[16], hi[16], mid[16], flag[40] = "";
	char name[24];

	if (!s1 && !many)
		return;
	spread(MEDIAN(s1, p50), p50, sizeof(p50));
	if (!isnan(late))
		snprintf(p99, sizeof(p99), "%.*f", decimals(late), late);
	if (!isnan(busy.value) && is_kernel(set))
		snprintf(flag, sizeof(flag), "%3.0f %%%s", busy.value * 100,
			 too_idle(many) ? " TOO IDLE" : "");
	snprintf(rate, sizeof(rate), "%s (%s-%s)", si(rps.value, mid, sizeof(mid)),
		 si(rps.low, lo, sizeof(lo)), si(rps.high, hi, sizeof(hi)));
	put(16, "  %-13s %-21s %8s   %-25s %10s%s%s", set_name(set, s1, many, name, sizeof(name)),
	    p50, p99, rate, si(cyc.value, mid, sizeof(mid)), *flag ? " " : "", flag);
}

static void print_rr(const struct cmp *c)
{
	if (!cmp_has(c, TEST_RR))
		return;
	printf("\nRequest and response of %d bytes\n"
	       "  %-13s %-21s %8s   %-25s %10s %s\n",
	       CMP_SIZE, "", "1 connection: p50 us", "p99 us", "64 connections: req/s",
	       "cycles/req", "cpu busy");
	for (unsigned i = 0; i < SET_MAX; i++)
		print_row(c, (enum cmp_set)i);
}

/* One direction's three columns of a set. */
static void stream_cells(const struct cmp_series *s, char *buf, size_t size)
{
	char rate[80], cycles[16], busy[16] = "";

	if (s && is_kernel(s->set))
		snprintf(busy, sizeof(busy), "%.0f" FIRM "%%%s", MEDIAN(s, busy).value * 100,
			 too_idle(s) ? "*" : "");
	snprintf(buf, size, "%-19s %8s %6s", spread(MEDIAN(s, rate), rate, sizeof(rate)),
		 si(MEDIAN(s, cycles).value, cycles, sizeof(cycles)), busy);
}

static void print_streams(const struct cmp *c, unsigned conns)
{
	char in[128], out[128], title[32], name[24];

	snprintf(title, sizeof(title), "%u stream%s", conns, conns == 1 ? "" : "s");
	printf("\n  %-13s %-19s %8s %6s  %-19s %8s %6s\n", title, "in: Gbit/s", "cycles", "busy",
	       "out: Gbit/s", "cycles", "busy");
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *to = cmp_find(c, TEST_STREAM_TO, (enum cmp_set)set, conns);
		const struct cmp_series *from =
			cmp_find(c, TEST_STREAM_FROM, (enum cmp_set)set, conns);

		if (!to && !from)
			continue;
		stream_cells(to, in, sizeof(in));
		stream_cells(from, out, sizeof(out));
		put(16, "  %-13s %s  %s", set_name((enum cmp_set)set, to, from, name, sizeof(name)),
		    in, out);
	}
}

static void print_stream(const struct cmp *c)
{
	const struct cmp_series *f = cmp_find(c, TEST_STREAM_TO, SET_FLOOR, CMP_STREAM_FLOOR);
	char rate[80], name[24];

	if (!cmp_has(c, TEST_STREAM_TO) && !cmp_has(c, TEST_STREAM_FROM))
		return;
	putchar('\n');
	put(4,
	    "Streams, written %u KiB at a time, each byte checked; in: to the server, out: from "
	    "it; cycles: the server's per %u bytes, a full segment",
	    STREAM_WRITE / 1024, STREAM_MSS);
	print_streams(c, 1);
	print_streams(c, CMP_STREAM_CONNS);
	if (f)
		put(16, "  %-13s %s Gbit/s, such segments bounced: neither copied nor summed",
		    set_name(SET_FLOOR, f, NULL, name, sizeof(name)),
		    spread(figure_median(f->rate, f->n), rate, sizeof(rate)));
}

/* print_words - what the table's words mean, and what to bear in mind when reading it. */
static void print_words(const struct cmp *c)
{
	bool idle = false, starred = false;
	char note[240];

	put(4,
	    "  bypass: our stack over net_ring; floor: net_ring alone, no TCP; kernel: epoll over "
	    "veth; kernel-awake: the same, its cpus kept from idling; plain-epoll: a C server "
	    "without goroutines");
	for (unsigned i = 0; i < c->nr_series; i++) {
		const struct cmp_series *s = &c->series[i];

		if (!series_any(s) || s->curve || s->rival || !too_idle(s))
			continue;
		idle |= s->test == TEST_RR && s->conns == CMP_CONNS;
		starred |= s->test != TEST_RR;
	}
	if (idle)
		put(4,
		    "  TOO IDLE: the server's cpu had nothing to do for more than %.0f %% of the "
		    "time, so it could answer more req/s than it was asked; cycles/req leave "
		    "idle time out",
		    (1 - BUSY_ENOUGH) * 100);
	if (starred)
		put(4,
		    "  %%*: the server's cpu was idle for more than %.0f %% of the time: the other "
		    "end was what held the stream up; cycles leave idle time out",
		    (1 - BUSY_ENOUGH) * 100);
	for (unsigned i = 0; i < c->meta.nr_notes; i++)
		put(4, "  Note: %s", c->meta.notes[i]);
	if (cmp_starved_note(&c->meta, note, sizeof(note))) {
		put(4, "  Note: %s", note);
		put(4, "  !: some of the row's samples are of these, and its medians count them");
	}
}

static void print_figure(const char *text, struct cmp_figure f, int d, double want)
{
	char goal[64] = "";
	bool met = want > 0 ? f.value >= want : f.value <= -want;

	if (want)
		snprintf(goal, sizeof(goal), "  wanted:" FIRM "%s" FIRM "%.6g," FIRM "%s",
			 want > 0 ? ">=" : "<=", fabs(want), met ? "met" : "missed");
	put(4, "  %-49s %8.*f  (%.*f-%.*f, n=%u)%s", text, d, f.value, d, f.low, d, f.high, f.n,
	    goal);
}

static void print_ratio(const struct cmp_ratio *r, double want)
{
	if (isnan(r->f.value))
		put(4, "  %-49s %8s  (starved: %u of %u pairs count)", r->text->says, "none",
		    r->f.n, r->pairs);
	else
		print_figure(r->text->says, r->f, decimals(r->f.value), want);
}

static bool print_ratios(const struct cmp *c, const char *title, bool headlines)
{
	bool any = false;

	for (unsigned i = 0; i < c->nr_ratios; i++) {
		const struct cmp_ratio *r = &c->ratio[i];

		if (headlines && !r->text->headline)
			continue;
		if (!any)
			puts(title);
		any = true;
		print_ratio(r, headlines ? 0 : r->text->want);
	}
	return any;
}

static void print_micro(const struct cmp *c)
{
	const struct park_result *p = &c->park;
	char text[80];

	if (!p->runs && !c->nr_idle)
		return;
	printf("\nGoroutines\n");
	if (p->runs) {
		print_figure("ns, park + ready on a connection of our stack",
			     figure_median(p->ns[PARK_READY], p->runs), 0, -40);
		print_figure("ns, park + ready on a kernel socket",
			     figure_median(p->ns[PARK_READY_FD], p->runs), 0, 0);
		print_figure("ns, one locked compare-and-swap, for scale",
			     figure_median(p->ns[PARK_CAS], p->runs), 0, 0);
	}
	if (!c->nr_idle)
		return;
	snprintf(text, sizeof(text), "bytes of one end, goroutine and all: %u idle",
		 c->idle_conns[CMP_IDLE_STACK]);
	print_figure(text, figure_median(c->idle_bytes[CMP_IDLE_STACK], c->nr_idle), 0, -10240);
	snprintf(text, sizeof(text), "bytes, the same over kernel sockets, slab: %u",
		 c->idle_conns[CMP_IDLE_KERNEL]);
	print_figure(text, figure_median(c->idle_bytes[CMP_IDLE_KERNEL], c->nr_idle), 0, 0);
}

static const char *count(double v, char *buf, size_t size)
{
	if (isnan(v))
		snprintf(buf, size, "-");
	else if (v != 0 && v < 0.001)
		snprintf(buf, size, "%.1e", v);
	else
		snprintf(buf, size, "%.3f", v);
	return buf;
}

/* "lane" for "the lane's own count": the JSON has it in full. */
static const char *short_source(const char *source, char *buf, size_t size)
{
	const char *end = strstr(source, "'s own count");

	if (strncmp(source, "the ", 4) || !end)
		return source;
	snprintf(buf, size, "%.*s", (int)(end - source) - 4, source + 4);
	return buf;
}

static void print_ledger(const struct cmp *c, enum cmp_test test)
{
	const struct cmp_test_text *t = &cmp_tests[test];
	const struct cmp_series *b = cmp_find(c, test, SET_BYPASS, cmp_many(test));
	const struct cmp_series *k = cmp_find(c, test, SET_KERNEL_AWAKE, cmp_many(test));
	char bv[24], kv[24], bf[24], kf[24];

	if ((!b || !b->has_ledger) && (!k || !k->has_ledger))
		return;
	printf("\nEvents per %s on the server's cpu, %s\n"
	       "  %-30s %10s %12s   %s\n",
	       t->unit, t->many, "", "bypass", "kernel-awake",
	       "sources (lane, stack: our own counts)");
	for (unsigned i = 0; i < ROW_MAX; i++) {
		const char *bs = b && b->has_ledger ? b->ledger.source[i] : NULL;
		const char *ks = k && k->has_ledger ? k->ledger.source[i] : NULL;

		if (!bs && !ks)
			continue;
		put(59, "  %-30s %10s %12s   %s%s%s", cmp_row_names[i],
		    bs ? count(b->ledger.row[i], bv, sizeof(bv)) : "-",
		    ks ? count(k->ledger.row[i], kv, sizeof(kv)) : "-",
		    bs ? short_source(bs, bf, sizeof(bf)) : "",
		    bs && ks && strcmp(bs, ks) ? " | " : "",
		    ks && (!bs || strcmp(bs, ks)) ? short_source(ks, kf, sizeof(kf)) : "");
	}
	printf("\nCycles per %s by step, %s (timers: TCP's and the goroutines')\n", t->unit,
	       t->many);
	for (unsigned i = 0; i < STEP_MAX; i++) {
		double bc = b ? figure_median(b->steps[i], b->n).value : NAN;
		double kc = k ? figure_median(k->steps[i], k->n).value : NAN;

		if (isnan(bc) && isnan(kc))
			continue;
		printf("  %-30s %10s %12s\n", cmp_step_names[i], si(bc, bv, sizeof(bv)),
		       si(kc, kv, sizeof(kv)));
	}
	put(4, "  " CMP_STEPS_SUM);
}

/* print_modes - which tuning each figure of the kernel comes from. */
static void print_modes(const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;
	char mode[64], other[64];

	put(4,
	    "Kernel, the best of what was tried; congestion control %s (default %s); RPS: packets "
	    "are steered to a cpu, GRO: merged when received, TSO (on): cut up last when sent:",
	    m->cc_used, m->cc_default);
	if (cmp_has(c, TEST_RR)) {
		put(4, "  1 connection: %s", kernel_mode_name(m->mode_latency, mode, sizeof(mode)));
		put(4, "  64 connections, cycles, events, and our epoll against plain C: %s",
		    kernel_mode_name(m->mode_steered, mode, sizeof(mode)));
	}
	for (unsigned i = 0; i < c->nr_series; i++) {
		const struct cmp_series *s = &c->series[i];
		bool rr = s->test == TEST_RR;

		if (!series_any(s) || s->rival || s->curve || !is_kernel(s->set) ||
		    (rr && s->conns != CMP_CONNS))
			continue;
		kernel_mode_name(s->rate_mode, mode, sizeof(mode));
		kernel_mode_name(s->cycles_mode, other, sizeof(other));
		if (rr)
			put(4, "  64 connections, requests/s of %s: %s", cmp_set_names[s->set],
			    mode);
		else
			put(4, "  %s, %u connection%s, %s: %s%s%s", cmp_tests[s->test].name,
			    s->conns, s->conns == 1 ? "" : "s", cmp_set_names[s->set], mode,
			    strcmp(mode, other) ? "; cycles: " : "",
			    strcmp(mode, other) ? other : "");
	}
}

void report_print(const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;

	putchar('\n');
	put(4, "%s%s, %u cpus, Linux %s, %s", m->machine.cpu,
	    m->virtualised ? " (virtual machine)" : "", m->machine.cpus, m->machine.kernel,
	    m->machine.date);
	put(4, "One server cpu; median (min-max) of %u samples in turn", m->reps);
	print_rr(c);
	print_stream(c);
	putchar('\n');
	print_words(c);
	putchar('\n');
	if (print_ratios(c, "Ratios (95 % interval where n >= 6, else all that was seen)", false))
		put(4, "  wanted: what Parklane sets itself on two cpus, one for each end, with "
		       "nothing else running");
	print_micro(c);
	for (int test = 0; test < TEST_MAX; test++)
		print_ledger(c, (enum cmp_test)test);
	if (!c->nr_series)
		return;
	putchar('\n');
	put(4, "Who checksums: bypass: %s; kernel: %s", m->bypass_csum, m->kernel_csum);
	print_modes(c);
}

void report_headline(const struct cmp *c)
{
	bool crosses = false, starved = false;

	if (!print_ratios(c,
			  "\nIn short: how many times bypass beats the kernel (below 1 it loses)",
			  true))
		return;
	for (unsigned i = 0; i < c->nr_ratios; i++) {
		const struct cmp_ratio *r = &c->ratio[i];

		crosses |= r->text->headline && r->f.low < 1 && r->f.high > 1;
		starved |= r->text->headline && isnan(r->f.value);
	}
	if (starved)
		puts("  Starved: other programs had the cpus. Run it again when all is quiet.");
	else if (crosses)
		puts("  Not settled: a range crosses 1. Run it again when all is quiet.");
	else if (c->meta.loaded)
		puts("  Other programs ran as well (see the note on load): run it again when all "
		     "is quiet.");
}
