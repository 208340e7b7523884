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
			while (len && at[len - 1] == ' ')
				len--;
			if (!len)
				len = fits;
		}
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

static bool too_idle(const struct cmp *c, enum cmp_set set)
{
	const struct cmp_series *s = cmp_find(c, set, 64);

	return s && set != SET_BYPASS && set != SET_FLOOR &&
	       figure_median(s->busy, s->n).value < BUSY_ENOUGH;
}

static void print_row(const struct cmp *c, enum cmp_set set)
{
	const struct cmp_series *s1 = cmp_find(c, set, 1), *s64 = cmp_find(c, set, 64);
	struct cmp_figure none = {NAN, NAN, NAN, 0};
	struct cmp_figure rps = s64 ? figure_median(s64->rps, s64->n) : none;
	struct cmp_figure cyc = s64 ? figure_median(s64->cycles, s64->n) : none;
	struct cmp_figure busy = s64 ? figure_median(s64->busy, s64->n) : none;
	double late = s1 ? figure_median(s1->p99, s1->n).value : NAN;
	char p50[80], p99[32] = "-", rate[64], lo[16], hi[16], mid[16], flag[40] = "";

	if (!s1 && !s64)
		return;
	spread(s1 ? figure_median(s1->p50, s1->n) : none, p50, sizeof(p50));
	if (!isnan(late))
		snprintf(p99, sizeof(p99), "%.*f", decimals(late), late);
	if (!isnan(busy.value) && set != SET_BYPASS && set != SET_FLOOR)
		snprintf(flag, sizeof(flag), "%3.0f %%%s", busy.value * 100,
			 too_idle(c, set) ? " TOO IDLE" : "");
	snprintf(rate, sizeof(rate), "%s (%s-%s)", si(rps.value, mid, sizeof(mid)),
		 si(rps.low, lo, sizeof(lo)), si(rps.high, hi, sizeof(hi)));
	put(16, "  %-13s %-21s %8s   %-25s %10s%s%s", cmp_set_names[set], p50, p99, rate,
	    si(cyc.value, mid, sizeof(mid)), *flag ? " " : "", flag);
}

/* print_words - what the table's words mean, and what to bear in mind when reading it. */
static void print_words(const struct cmp *c)
{
	bool idle = false;

	put(4,
	    "  bypass: our stack over net_ring; floor: net_ring alone, no TCP; kernel: epoll over "
	    "veth; kernel-awake: the same, its cpus kept from idling; plain-epoll: a C server "
	    "without goroutines");
	for (int set = 0; set < SET_MAX; set++)
		idle |= too_idle(c, (enum cmp_set)set);
	if (idle)
		put(4,
		    "  TOO IDLE: the server's cpu had nothing to do for more than %.0f %% of the "
		    "time, so it could answer more req/s than it was asked; cycles/req leave "
		    "idle time out",
		    (1 - BUSY_ENOUGH) * 100);
	for (unsigned i = 0; i < c->meta.nr_notes; i++)
		put(4, "  Note: %s", c->meta.notes[i]);
}

/* want: the figure that Parklane sets itself, at least so much, or at most where negative; 0 none. */
static const struct {
	const char *name, *text;
	double want;
	bool headline;
} ratio_rows[] = {
	{"rr1_p50_kernel_awake_over_bypass", "1 connection, round trip: kernel-awake / bypass", 8,
	 true},
	{"rr1_p50_kernel_over_bypass", "1 connection, round trip: kernel / bypass", 0, false},
	{"rr64_rps_bypass_over_kernel_awake", "64 connections, req/s: bypass / kernel-awake", 0,
	 true},
	{"rr64_cycles_kernel_awake_over_bypass", "64 connections, cycles: kernel-awake / bypass", 8,
	 true},
	{"rr1_p50_bypass_over_floor", "1 connection, round trip: bypass / floor", 0, false},
	{"rr1_p50_bypass_minus_floor_ns", "1 connection, ns that bypass adds to floor", -800,
	 false},
	{"rr64_rps_epoll_over_plain", "64 connections, req/s: our epoll / plain C epoll", 0.95,
	 false},
	{"rr64_cycles_plain_over_epoll", "64 connections, cycles: plain C / our epoll", 0, false},
};

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

static bool print_ratios(const struct cmp *c, const char *title, bool headlines)
{
	bool any = false;

	for (unsigned k = 0; k < ARRAY_SIZE(ratio_rows); k++) {
		for (unsigned i = 0; i < c->nr_ratios; i++) {
			const struct cmp_ratio *r = &c->ratio[i];

			if (strcmp(r->name, ratio_rows[k].name) ||
			    (headlines && !ratio_rows[k].headline))
				continue;
			if (!any)
				puts(title);
			any = true;
			print_figure(ratio_rows[k].text, r->f, decimals(r->f.value),
				     headlines ? 0 : ratio_rows[k].want);
		}
	}
	return any;
}

static void print_micro(const struct cmp *c)
{
	const struct park_result *p = &c->park;
	char text[80];

	if (!p->runs || !c->nr_idle)
		return;
	printf("\nGoroutines\n");
	print_figure("ns, park + ready on a connection of our stack",
		     figure_median(p->ns[PARK_READY], p->runs), 0, -40);
	print_figure("ns, park + ready on a kernel socket",
		     figure_median(p->ns[PARK_READY_FD], p->runs), 0, 0);
	print_figure("ns, one locked compare-and-swap, for scale",
		     figure_median(p->ns[PARK_CAS], p->runs), 0, 0);
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

static void print_ledger(const struct cmp *c)
{
	const struct cmp_series *b = cmp_find(c, SET_BYPASS, 64);
	const struct cmp_series *k = cmp_find(c, SET_KERNEL_AWAKE, 64);
	char bv[24], kv[24], bf[24], kf[24];

	if ((!b || !b->has_ledger) && (!k || !k->has_ledger))
		return;
	printf("\nEvents per request on the server's cpu, 64 connections\n"
	       "  %-30s %10s %12s   %s\n",
	       "", "bypass", "kernel-awake", "sources (lane, stack: our own counts)");
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
	printf("\nCycles per request by step (timers: TCP's and the goroutines')\n");
	for (unsigned i = 0; i < STEP_MAX; i++) {
		double bc = b ? figure_median(b->steps[i], b->n).value : NAN;
		double kc = k ? figure_median(k->steps[i], k->n).value : NAN;

		if (isnan(bc) && isnan(kc))
			continue;
		printf("  %-30s %10s %12s\n", cmp_step_names[i], si(bc, bv, sizeof(bv)),
		       si(kc, kv, sizeof(kv)));
	}
}

/* print_modes - which tuning each figure of the kernel comes from. */
static void print_modes(const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;
	char mode[64];

	put(4,
	    "Kernel, the best of what was tried; congestion control %s (default %s); RPS: packets are "
	    "steered to a cpu, GRO: merged when received, TSO (on): cut up last when sent:",
	    m->cc_used, m->cc_default);
	put(4, "  1 connection: %s", kernel_mode_name(m->mode_latency, mode, sizeof(mode)));
	put(4, "  64 connections, cycles, events, and our epoll against plain C: %s",
	    kernel_mode_name(m->mode_steered, mode, sizeof(mode)));
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *s = cmp_find(c, (enum cmp_set)set, 64);

		if (s && set != SET_BYPASS && set != SET_FLOOR)
			put(4, "  64 connections, requests/s of %s: %s", cmp_set_names[set],
			    kernel_mode_name(s->rps_mode, mode, sizeof(mode)));
	}
}

void report_print(const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;

	putchar('\n');
	put(4, "%s%s, %u cpus, Linux %s, %s", m->machine.cpu,
	    m->virtualised ? " (virtual machine)" : "", m->machine.cpus, m->machine.kernel,
	    m->machine.date);
	put(4,
	    "Request and response of %d bytes, one server cpu; median (min-max) of %u samples "
	    "in turn",
	    CMP_SIZE, m->reps);
	printf("\n  %-13s %-21s %8s   %-25s %10s %s\n", "", "1 connection: p50 us", "p99 us",
	       "64 connections: req/s", "cycles/req", "cpu busy");
	for (unsigned i = 0; i < SET_MAX; i++)
		print_row(c, (enum cmp_set)i);
	putchar('\n');
	print_words(c);
	putchar('\n');
	if (print_ratios(c, "Ratios (95 % interval where n >= 6, else all that was seen)", false))
		put(4, "  wanted: what Parklane sets itself on two cpus, one for each end, with "
		       "nothing else running");
	print_micro(c);
	print_ledger(c);
	putchar('\n');
	put(4, "Who checksums: bypass: %s; kernel: %s", m->bypass_csum, m->kernel_csum);
	print_modes(c);
}

void report_headline(const struct cmp *c)
{
	bool crosses = false;

	if (!print_ratios(c,
			  "\nIn short: how many times bypass beats the kernel (below 1 it loses)",
			  true))
		return;
	for (unsigned k = 0; k < ARRAY_SIZE(ratio_rows); k++) {
		for (unsigned i = 0; ratio_rows[k].headline && i < c->nr_ratios; i++) {
			const struct cmp_ratio *r = &c->ratio[i];

			crosses |= !strcmp(r->name, ratio_rows[k].name) && r->f.low < 1 &&
				   r->f.high > 1;
		}
	}
	if (crosses)
		puts("  Not settled: a range crosses 1. Run it again when all is quiet.");
	else if (c->meta.loaded)
		puts("  Other programs ran as well (see the note on load): run it again when all is "
		     "quiet.");
}
