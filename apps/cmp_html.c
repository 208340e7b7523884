/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compare's page: one self-contained HTML file, which needs neither network nor files beside it:
 * the pictures of cmp_plot.c are in it.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "apps/cmp_plot.h"
#include "apps/stream_bytes.h"

/* ---- the page ---- */

static void put_cell(FILE *f, struct cmp_figure v, const char *fmt)
{
	if (!v.n || isnan(v.value)) {
		fputs("<td>&ndash;</td>", f);
		return;
	}
	fputs("<td>", f);
	fprintf(f, fmt, v.value);
	fputs(" <small>", f);
	fprintf(f, fmt, v.low);
	fputs("&ndash;", f);
	fprintf(f, fmt, v.high);
	fputs("</small></td>", f);
}

static const struct cmp_figure none = {NAN, NAN, NAN, 0};

#define MEDIAN(s, what) ((s) ? figure_median((s)->what, (s)->n) : none)

/* A row begins, of the samples of a and b. */
static void put_set(FILE *f, int set, const struct cmp_series *a, const struct cmp_series *b)
{
	fprintf(f, "<tr><th><i style=\"background:%s\"></i>%s%s</th>", cmp_colours[set],
		cmp_set_names[set], series_starved(a) || series_starved(b) ? "!" : "");
}

/* What of the samples was starved stands above the tables that have them, as on the terminal. */
static void put_starved(FILE *f, const struct cmp *c)
{
	char note[240];

	if (cmp_starved_note(&c->meta, note, sizeof(note)))
		fprintf(f,
			"<p><b>Note:</b> %s. <b>!</b>: some of the row's samples are of these, and "
			"its medians count them.</p>\n",
			note);
}

static void put_rr(FILE *f, const struct cmp *c)
{
	fputs("<table><tr><th>set</th><th>1 connection: p50, us</th><th>p99, us</th>"
	      "<th>64 connections: requests/s</th><th>server cycles per request</th>"
	      "<th>server cpu busy</th></tr>\n",
	      f);
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *a = cmp_find(c, TEST_RR, (enum cmp_set)set, 1);
		const struct cmp_series *b = cmp_find(c, TEST_RR, (enum cmp_set)set, CMP_CONNS);

		if (!a && !b)
			continue;
		put_set(f, set, a, b);
		put_cell(f, MEDIAN(a, p50), "%.2f");
		put_cell(f, MEDIAN(a, p99), "%.2f");
		put_cell(f, MEDIAN(b, rate), "%'.0f");
		put_cell(f, MEDIAN(b, cycles), "%.0f");
		put_cell(f, MEDIAN(b, busy), "%.2f");
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
}

static void put_streams(FILE *f, const struct cmp *c, unsigned conns)
{
	fprintf(f,
		"<table><tr><th>%u stream%s</th><th>in: Gbit/s</th><th>server cycles</th>"
		"<th>busy</th><th>out: Gbit/s</th><th>server cycles</th><th>busy</th></tr>\n",
		conns, conns == 1 ? "" : "s");
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *s[2] = {
			cmp_find(c, TEST_STREAM_TO, (enum cmp_set)set, conns),
			cmp_find(c, TEST_STREAM_FROM, (enum cmp_set)set, conns)};

		if (!s[0] && !s[1])
			continue;
		put_set(f, set, s[0], s[1]);
		for (unsigned k = 0; k < 2; k++) {
			put_cell(f, MEDIAN(s[k], rate), "%.2f");
			put_cell(f, MEDIAN(s[k], cycles), "%.0f");
			fprintf(f, "<td>%.0f %%</td>", MEDIAN(s[k], busy).value * 100);
		}
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
}

static void put_ratios(FILE *f, const struct cmp *c)
{
	fputs("<h2>Ratios</h2>\n<table>", f);
	for (unsigned i = 0; i < c->nr_ratios; i++) {
		fprintf(f, "<tr><th>%s</th>", c->ratio[i].text->says);
		if (isnan(c->ratio[i].f.value))
			fprintf(f, "<td>none: starved, %u of %u pairs count</td>", c->ratio[i].f.n,
				c->ratio[i].pairs);
		else
			put_cell(f, c->ratio[i].f, "%.2f");
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
}

static void put_ledger(FILE *f, const struct cmp *c, enum cmp_test test)
{
	static const enum cmp_set sets[] = {SET_BYPASS, SET_KERNEL_AWAKE, SET_PLAIN_EPOLL};

	fprintf(f,
		"<h2>Ledger: %s</h2>\n<p>Events per %s on the server's cpu; the source is named "
		"beside each.</p>\n<table><tr><th></th>",
		cmp_tests[test].many, cmp_tests[test].unit);
	for (unsigned k = 0; k < ARRAY_SIZE(sets); k++)
		fprintf(f, "<th>%s</th>", cmp_set_names[sets[k]]);
	fputs("<th>sources</th></tr>\n", f);
	for (unsigned i = 0; i < ROW_MAX; i++) {
		const char *from[ARRAY_SIZE(sets)] = {NULL};

		fprintf(f, "<tr><th>%s</th>", cmp_row_names[i]);
		for (unsigned k = 0; k < ARRAY_SIZE(sets); k++) {
			const struct cmp_series *s = cmp_find(c, test, sets[k], cmp_many(test));

			if (s && s->has_ledger)
				from[k] = s->ledger.source[i];
			if (from[k])
				fprintf(f, "<td>%.3g</td>", s->ledger.row[i]);
			else
				fputs("<td>&ndash;</td>", f);
		}
		fputs("<td class=\"s\">", f);
		for (unsigned k = 0; k < 2; k++) {
			if (from[k] && (k == 0 || !from[0] || strcmp(from[0], from[1])))
				fprintf(f, "%s%s", k && from[0] ? " | " : "", from[k]);
		}
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n", f);
}

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width\">"
	"<title>Parklane: kernel and bypass on one machine</title>\n<style>"
	"body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;"
	"color:#1f2933}h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2.2rem}"
	"img{width:100%;border:1px solid #e4e7eb;border-radius:6px}"
	"table{border-collapse:collapse;width:100%;font-size:.92rem}"
	"th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid #e4e7eb;"
	"font-variant-numeric:tabular-nums}th:first-child{text-align:left;font-weight:600}"
	"small{color:#7b8794;white-space:nowrap}td.s{text-align:left;color:#7b8794;font-size:.8rem}"
	"i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.5em}"
	"</style></head><body>\n";

static int put_rr_pictures(FILE *f, const struct cmp *c)
{
	int err = cmp_picture(
		f, c, draw_cdf, "Round trips",
		"How many of all requests were answered within a time: further left is faster, "
		"steeper is steadier. One connection; up to the 99.9th percentile.");
	if (!err)
		err = cmp_picture(
			f, c, draw_cycles, "Where the cycles go",
			"Cycles of the server's cpu per request. Parklane's own steps come "
			"from its ledger, the kernel's split from /proc/stat. " CMP_STEPS_SUM ".");
	return err ? err
		   : cmp_picture(f, c, draw_curve, "Throughput against connections",
				 "Medians, with the smallest and the largest sample as bars.");
}

static int put_stream_part(FILE *f, const struct cmp *c)
{
	const struct cmp_series *floor = cmp_find(c, TEST_STREAM_TO, SET_FLOOR, CMP_STREAM_FLOOR);
	int err;

	fprintf(f,
		"<h2>Streams</h2>\n<p>Bytes one way, written %u KiB at a time, each of them "
		"checked where it arrives; in: to the server, whose cycles are told per %u bytes, "
		"a full segment; out: from it. The kernel's segments are up to 64 KiB long (TSO) "
		"and nobody sums them; bypass cuts them to the MTU and sums each.",
		STREAM_WRITE / 1024, STREAM_MSS);
	if (floor)
		fprintf(f, " floor%s, the bare ring: %.1f Gbit/s of such segments bounced.",
			series_starved(floor) ? "!" : "",
			figure_median(floor->rate, floor->n).value);
	fputs("</p>\n", f);
	put_streams(f, c, 1);
	put_streams(f, c, CMP_STREAM_CONNS);
	err = cmp_picture(f, c, draw_stream_rates, "Streams: throughput",
			  "Medians, with the smallest and the largest sample as bars.");
	if (!err)
		err = cmp_picture(
			f, c, draw_stream_cycles, "Streams: where the cycles go",
			"Cycles of the server's cpu per 1448 bytes, with 8 streams in and "
			"out. " CMP_STEPS_SUM ".");
	return err;
}

/* How the kernel was tuned, and who did what the other did not. */
static void put_conditions(FILE *f, const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;
	char one[64], many[64];

	fprintf(f,
		"<h2>Conditions</h2>\n<ul><li>Checksums, bypass: %s</li><li>Checksums, kernel: "
		"%s</li><li>Kernel, the best of what was tried; TSO on, congestion control %s "
		"(default here: %s)</li>",
		m->bypass_csum, m->kernel_csum, m->cc_used, m->cc_default);
	for (unsigned i = 0; i < c->nr_series; i++) {
		const struct cmp_series *s = &c->series[i];

		if (!series_any(s) || s->rival || s->curve || s->set == SET_BYPASS ||
		    s->set == SET_FLOOR)
			continue;
		fprintf(f, "<li>%s, %s, %u connection%s: rate with %s; cycles with %s</li>",
			cmp_set_names[s->set], cmp_tests[s->test].name, s->conns,
			s->conns == 1 ? "" : "s", kernel_mode_name(s->rate_mode, one, sizeof(one)),
			kernel_mode_name(s->cycles_mode, many, sizeof(many)));
	}
	for (unsigned i = 0; i < m->nr_notes; i++)
		fprintf(f, "<li>%s</li>", m->notes[i]);
	fputs("</ul>", f);
}

static int put_page(FILE *f, const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;
	int err = 0;

	fputs(head, f);
	fprintf(f,
		"<h1>What a request and a stream cost: interrupts, softirqs and epoll, or polled "
		"through Parklane</h1>\n<p>%s%s, %u cpus, Linux %s, %s, commit %s, seed %llu. "
		"Medians, with min&ndash;max of %u samples taken in turn. Believe the ratios; the "
		"absolute figures are this machine's and this hour's.</p>\n",
		m->machine.cpu, m->virtualised ? " (virtual machine)" : "", m->machine.cpus,
		m->machine.kernel, m->machine.date, m->machine.commit,
		(unsigned long long)m->machine.seed, m->reps);
	put_starved(f, c);
	if (cmp_has(c, TEST_RR)) {
		fprintf(f, "<h2>Request and response of %d bytes</h2>\n", CMP_SIZE);
		put_rr(f, c);
	}
	put_ratios(f, c);
	if (cmp_has(c, TEST_RR))
		err = put_rr_pictures(f, c);
	if (!err && cmp_has(c, TEST_STREAM_TO))
		err = put_stream_part(f, c);
	for (int test = 0; test < TEST_MAX; test++) {
		if (cmp_has(c, (enum cmp_test)test))
			put_ledger(f, c, (enum cmp_test)test);
	}
	put_conditions(f, c);
	fputs("</body></html>\n", f);
	return err;
}

int report_html(const struct cmp *c, const char *path)
{
	FILE *f = fopen(path, "we");
	int err;

	if (!f)
		return -errno;
	err = put_page(f, c);
	if (fclose(f) && !err)
		err = -EIO;
	return err;
}
