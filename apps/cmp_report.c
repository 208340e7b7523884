/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compare's table: what a person takes in within ten seconds comes first, the ledger side by
 * side after it, and who did what the other did not (checksums) at the end.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "apps/compare.h"

#define BUSY_ENOUGH 0.95 /* below it, idle time is too much of what is divided (bench.md) */

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

static const char *spread(struct cmp_figure f, const char *fmt, char *buf, size_t size)
{
	char one[3][24];

	if (!f.n || isnan(f.value)) {
		snprintf(buf, size, "-");
		return buf;
	}
	snprintf(one[0], sizeof(one[0]), fmt, f.value);
	snprintf(one[1], sizeof(one[1]), fmt, f.low);
	snprintf(one[2], sizeof(one[2]), fmt, f.high);
	snprintf(buf, size, "%s (%s-%s)", one[0], one[1], one[2]);
	return buf;
}

static void print_row(const struct cmp *c, enum cmp_set set)
{
	const struct cmp_series *s1 = cmp_find(c, set, 1), *s64 = cmp_find(c, set, 64);
	struct cmp_figure none = {NAN, NAN, NAN, 0};
	struct cmp_figure rps = s64 ? figure_median(s64->rps, s64->n) : none;
	struct cmp_figure cyc = s64 ? figure_median(s64->cycles, s64->n) : none;
	struct cmp_figure busy = s64 ? figure_median(s64->busy, s64->n) : none;
	char p50[80], p99[32], rate[64], lo[16], hi[16], mid[16], flag[40] = "";

	if (!s1 && !s64)
		return;
	spread(s1 ? figure_median(s1->p50, s1->n) : none, "%.2f", p50, sizeof(p50));
	snprintf(p99, sizeof(p99), s1 ? "%.2f" : "-", s1 ? figure_median(s1->p99, s1->n).value : 0);
	if (!isnan(busy.value) && set != SET_BYPASS && set != SET_FLOOR)
		snprintf(flag, sizeof(flag), "%4.0f %%%s", busy.value * 100,
			 busy.value < BUSY_ENOUGH ? " TOO IDLE" : "");
	snprintf(rate, sizeof(rate), "%s (%s-%s)", si(rps.value, mid, sizeof(mid)),
		 si(rps.low, lo, sizeof(lo)), si(rps.high, hi, sizeof(hi)));
	printf("  %-13s %-21s %8s   %-25s %10s %s\n", cmp_set_names[set], p50, p99, rate,
	       si(cyc.value, mid, sizeof(mid)), flag);
}

static void print_ratio(const struct cmp *c, const char *name, const char *text, double want)
{
	for (unsigned i = 0; i < c->nr_ratios; i++) {
		const struct cmp_ratio *r = &c->ratio[i];

		if (strcmp(r->name, name))
			continue;
		printf("  %-50s %8.2f  (%.2f-%.2f, n=%u)", text, r->f.value, r->f.low, r->f.high,
		       r->f.n);
		if (want > 0)
			printf("  wanted: >= %.4g", want);
		else if (want < 0)
			printf("  wanted: <= %.4g", -want);
		putchar('\n');
	}
}

static void print_micro_row(const char *text, struct cmp_figure f, double want)
{
	printf("  %-50s %8.0f  (%.0f-%.0f, n=%u)", text, f.value, f.low, f.high, f.n);
	if (want > 0)
		printf("  wanted: <= %.0f", want);
	putchar('\n');
}

static void print_micro(const struct cmp *c)
{
	const struct park_result *p = &c->park;
	char text[80];

	if (!p->runs || !c->nr_idle)
		return;
	printf("\nGoroutines\n");
	print_micro_row("ns, park + ready through a stack connection's pd",
			figure_median(p->ns[PARK_READY], p->runs), 40);
	print_micro_row("ns, park + ready through a kernel fd's pd",
			figure_median(p->ns[PARK_READY_FD], p->runs), 0);
	print_micro_row("ns, one locked compare-and-swap, for scale",
			figure_median(p->ns[PARK_CAS], p->runs), 0);
	snprintf(text, sizeof(text), "bytes of one end, goroutine and all: %u idle",
		 c->idle_conns[CMP_IDLE_STACK]);
	print_micro_row(text, figure_median(c->idle_bytes[CMP_IDLE_STACK], c->nr_idle), 10240);
	snprintf(text, sizeof(text), "bytes, the same over kernel sockets, slab: %u",
		 c->idle_conns[CMP_IDLE_KERNEL]);
	print_micro_row(text, figure_median(c->idle_bytes[CMP_IDLE_KERNEL], c->nr_idle), 0);
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

static void print_ledger(const struct cmp *c)
{
	const struct cmp_series *b = cmp_find(c, SET_BYPASS, 64);
	const struct cmp_series *k = cmp_find(c, SET_KERNEL_AWAKE, 64);
	char bv[24], kv[24];

	if ((!b || !b->has_ledger) && (!k || !k->has_ledger))
		return;
	printf("\nLedger: events per request on the server's cpu, 64 connections\n"
	       "  %-30s %10s %12s   %s\n",
	       "", "bypass", "kernel-awake", "sources");
	for (unsigned i = 0; i < ROW_MAX; i++) {
		const char *bs = b && b->has_ledger ? b->ledger.source[i] : NULL;
		const char *ks = k && k->has_ledger ? k->ledger.source[i] : NULL;

		if (!bs && !ks)
			continue;
		printf("  %-30s %10s %12s   %s%s%s\n", cmp_row_names[i],
		       bs ? count(b->ledger.row[i], bv, sizeof(bv)) : "-",
		       ks ? count(k->ledger.row[i], kv, sizeof(kv)) : "-", bs ? bs : "",
		       bs && ks && strcmp(bs, ks) ? " | " : "",
		       ks && (!bs || strcmp(bs, ks)) ? ks : "");
	}
	printf("\nCycles per request by step\n");
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

	printf("Kernel, the best of what was tried; TSO on, congestion control %s (default %s):\n",
	       m->cc_used, m->cc_default);
	printf("  1 connection: %s\n", kernel_mode_name(m->mode_latency, mode, sizeof(mode)));
	printf("  64 connections, cycles, ledger and the pairs with plain C epoll: %s\n",
	       kernel_mode_name(m->mode_steered, mode, sizeof(mode)));
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *s = cmp_find(c, (enum cmp_set)set, 64);

		if (s && set != SET_BYPASS && set != SET_FLOOR)
			printf("  64 connections, requests/s of %s: %s\n", cmp_set_names[set],
			       kernel_mode_name(s->rps_mode, mode, sizeof(mode)));
	}
}

void report_print(const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;

	printf("\n%s%s, %u cpus, Linux %s, %s\n", m->machine.cpu,
	       m->virtualised ? " (virtual machine)" : "", m->machine.cpus, m->machine.kernel,
	       m->machine.date);
	printf("Request and response of %d bytes, one server cpu; median (min-max) of %u samples "
	       "in turn\n\n",
	       CMP_SIZE, m->reps);
	printf("  %-13s %-21s %8s   %-25s %10s %s\n", "", "1 connection: p50 us", "p99 us",
	       "64 connections: req/s", "cycles/req", "cpu busy");
	for (unsigned i = 0; i < SET_MAX; i++)
		print_row(c, (enum cmp_set)i);
	printf("\n  bypass: our stack over net_ring; floor: net_ring alone, no TCP; kernel: epoll over "
	       "veth;\n  kernel-awake: the same, its cpus kept from idling; plain-epoll: a C server "
	       "without goroutines\n");
	printf("\nRatios (95 %% interval where n >= 6, else all that was seen)\n");
	print_ratio(c, "rr1_p50_kernel_awake_over_bypass",
		    "1 connection, round trip: kernel (awake) / bypass", 8);
	print_ratio(c, "rr1_p50_kernel_over_bypass", "1 connection, round trip: kernel / bypass",
		    0);
	print_ratio(c, "rr64_rps_bypass_over_kernel_awake",
		    "64 connections, req/s: bypass / kernel (awake)", 0);
	print_ratio(c, "rr64_cycles_kernel_awake_over_bypass",
		    "64 connections, cycles: kernel (awake) / bypass", 8);
	print_ratio(c, "rr1_p50_bypass_over_floor", "1 connection, round trip: bypass / bare link",
		    0);
	print_ratio(c, "rr1_p50_bypass_minus_floor_ns",
		    "1 connection, ns that all of ours adds to it", -800);
	print_ratio(c, "rr64_rps_epoll_over_plain",
		    "64 connections, req/s: our epoll / plain C epoll", 0.95);
	print_ratio(c, "rr64_cycles_plain_over_epoll",
		    "64 connections, cycles: plain C / our epoll", 0);
	print_micro(c);
	print_ledger(c);
	printf("\nWho checksums: bypass: %s; kernel: %s\n", m->bypass_csum, m->kernel_csum);
	print_modes(c);
	for (unsigned i = 0; i < m->nr_notes; i++)
		printf("Note: %s\n", m->notes[i]);
}
