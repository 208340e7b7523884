/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compare's page: one self-contained HTML file. gnuplot draws the pictures as SVG, which go
 * into the page as data URIs, so that the page needs neither network nor files beside it.
 */
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/compare.h"

extern char **environ;

static const char *const colours[SET_MAX] = {"#0b7a75", "#9aa5b1", "#d1495b", "#e8871e", "#5c6ac4"};

#define PICTURE                                                                                    \
	"set terminal svg size 860,420 font 'Helvetica,13' background '#ffffff'\n"                 \
	"set border 3 lc rgb '#52606d'\nset tics nomirror textcolor rgb '#323f4b'\n"               \
	"set grid lc rgb '#e4e7eb' lt 1\nset key outside right top\n"

/* ---- gnuplot ---- */

struct plot {
	char dir[64], svg[96], gp[96];
	FILE *script;
};

static int plot_begin(struct plot *p)
{
	strcpy(p->dir, "/tmp/parklane-plot-XXXXXX");
	if (!mkdtemp(p->dir))
		return -errno;
	snprintf(p->svg, sizeof(p->svg), "%s/p.svg", p->dir);
	snprintf(p->gp, sizeof(p->gp), "%s/p.gp", p->dir);
	p->script = fopen(p->gp, "we");
	if (!p->script)
		return -errno;
	fprintf(p->script, PICTURE "set output '%s'\n", p->svg);
	return 0;
}

static void plot_end(struct plot *p)
{
	if (p->script)
		fclose(p->script);
	unlink(p->svg);
	unlink(p->gp);
	rmdir(p->dir);
}

static int plot_run(struct plot *p)
{
	char *argv[] = {"gnuplot", p->gp, NULL};
	posix_spawn_file_actions_t fa;
	int err, status;
	pid_t pid;

	fclose(p->script);
	p->script = NULL;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", 1, 0);
	err = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

static void base64(FILE *out, FILE *in)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char b[3];
	size_t n;

	while ((n = fread(b, 1, 3, in)) > 0) {
		memset(b + n, 0, 3 - n);
		fputc(set[b[0] >> 2], out);
		fputc(set[(b[0] & 3) << 4 | b[1] >> 4], out);
		fputc(n > 1 ? set[(b[1] & 15) << 2 | b[2] >> 6] : '=', out);
		fputc(n > 2 ? set[b[2] & 63] : '=', out);
	}
}

/* Run draw() through gnuplot and put the picture into the page. */
static int picture(FILE *page, const struct cmp *c, void (*draw)(FILE *, const struct cmp *),
		   const char *title, const char *text)
{
	struct plot p = {0};
	FILE *svg = NULL;
	int err = plot_begin(&p);

	if (!err) {
		draw(p.script, c);
		err = plot_run(&p);
	}
	if (!err) {
		svg = fopen(p.svg, "re");
		err = svg ? 0 : -EIO;
	}
	if (!err) {
		fprintf(page,
			"<h2>%s</h2>\n<p>%s</p>\n<img alt=\"%s\" src=\"data:image/svg+xml;base64,",
			title, text, title);
		base64(page, svg);
		fputs("\">\n", page);
	}
	if (svg)
		fclose(svg);
	plot_end(&p);
	return err;
}

/* ---- the pictures ---- */

static void draw_cdf(FILE *f, const struct cmp *c)
{
	bool first = true;

	fputs("set logscale x\nset xlabel 'round trip, us (1 connection)'\n"
	      "set ylabel 'share of requests, %'\nset yrange [0:100]\nset format x '%g'\n",
	      f);
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *s = cmp_find(c, (enum cmp_set)set, 1);
		uint64_t seen = 0;

		if (!s || !s->hist.count)
			continue;
		fprintf(f, "$d%d << E\n", set);
		for (unsigned i = 0; i < HIST_BUCKETS; i++) {
			if (!s->hist.bucket[i])
				continue;
			seen += s->hist.bucket[i];
			fprintf(f, "%.4f %.4f\n", (double)hist_value(i) / 1e3,
				(double)seen * 100 / (double)s->hist.count);
			/* The last tenth of a percent would stretch the axis, not the insight. */
			if ((double)seen > 0.999 * (double)s->hist.count)
				break;
		}
		fputs("E\n", f);
	}
	fputs("plot ", f);
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *s = cmp_find(c, (enum cmp_set)set, 1);

		if (!s || !s->hist.count)
			continue;
		fprintf(f, "%s$d%d using 1:2 with lines lw 2.5 lc rgb '%s' title '%s'",
			first ? "" : ", ", set, colours[set], cmp_set_names[set]);
		first = false;
	}
	fputc('\n', f);
}

static double step_of(const struct cmp_series *s, unsigned step)
{
	double v = s ? figure_median(s->steps[step], s->n).value : NAN;

	return isnan(v) ? 0 : v;
}

/* One stacked bar per set of rows first..last of $d; the keys of what is not 0. */
static void plot_bars(FILE *f, const bool used[STEP_MAX], unsigned first, unsigned last)
{
	static const char *const shades[STEP_MAX] = {
		"#08415c", "#0b7a75", "#19a69c", "#7fd1ae", "#b8e0d2", "#ffd166", "#3a86c8",
		"#8ab6d6", "#c8d5e3", "#d1495b", "#e8871e", "#9b2226", "#5f0f40"};
	bool any = false;

	fputs("plot ", f);
	for (unsigned i = 0; i < STEP_MAX; i++) {
		if (!used[i])
			continue;
		fprintf(f, "%s$d every ::%u::%u using %u:xtic(1) lc rgb '%s' title '%s'",
			any ? ", " : "", first, last, i + 2, shades[i], cmp_step_names[i]);
		any = true;
	}
	fputs(any ? "\n" : "0 notitle\n", f);
}

static void draw_cycles(FILE *f, const struct cmp *c)
{
	static const enum cmp_set sets[] = {SET_BYPASS, SET_KERNEL_AWAKE, SET_PLAIN_EPOLL};
	bool used[STEP_MAX] = {false}, bypass[STEP_MAX] = {false};
	unsigned rows = 0;

	fputs("$d << E\n", f);
	for (unsigned k = 0; k < ARRAY_SIZE(sets); k++) {
		const struct cmp_series *s = cmp_find(c, sets[k], 64);

		if (!s)
			continue;
		fprintf(f, "\"%s\"", cmp_set_names[sets[k]]);
		for (unsigned i = 0; i < STEP_MAX; i++) {
			fprintf(f, " %.1f", step_of(s, i));
			used[i] |= step_of(s, i) > 0;
			bypass[i] |= sets[k] == SET_BYPASS && step_of(s, i) > 0;
		}
		fputc('\n', f);
		rows++;
	}
	fputs("E\nset style data histograms\nset style histogram rowstacked\n"
	      "set style fill solid border rgb '#ffffff'\nset boxwidth 0.6\nunset grid\n"
	      "set grid ytics lc rgb '#e4e7eb' lt 1\nset yrange [0:*]\n"
	      "set ylabel 'server cycles per request (64 connections)'\n",
	      f);
	rows = rows ? rows - 1 : 0;
	fprintf(f, "set xrange [-0.6:%u.6]\n", rows);
	if (!cmp_find(c, SET_BYPASS, 64)) {
		plot_bars(f, used, 0, rows);
		return;
	}
	/* Beside it the bypass bar alone: on the kernel's scale it can hardly be seen. */
	fputs("set multiplot\nset size 0.76,1\nset origin 0,0\n", f);
	plot_bars(f, used, 0, rows);
	fputs("set size 0.24,1\nset origin 0.76,0\nunset key\nset xrange [-0.6:0.6]\n"
	      "set ylabel 'bypass alone, its own scale'\n",
	      f);
	plot_bars(f, bypass, 0, 0);
	fputs("unset multiplot\n", f);
}

static void draw_curve(FILE *f, const struct cmp *c)
{
	static const unsigned conns[] = {1, 4, 16, 64, 256};
	static const enum cmp_set sets[] = {SET_BYPASS, SET_KERNEL_AWAKE};
	bool first = true;

	for (unsigned k = 0; k < ARRAY_SIZE(sets); k++) {
		fprintf(f, "$c%u << E\n", k);
		for (unsigned i = 0; i < ARRAY_SIZE(conns); i++) {
			const struct cmp_series *s = cmp_find(c, sets[k], conns[i]);
			struct cmp_figure r;

			if (!s)
				continue;
			r = figure_median(s->rps, s->n);
			fprintf(f, "%u %.0f %.0f %.0f\n", conns[i], r.value, r.low, r.high);
		}
		fputs("E\n", f);
	}
	fputs("set logscale x 2\nset logscale y\nset format y '%.0s%c'\nset xtics (1,4,16,64,256)\n"
	      "set xrange [0.8:320]\nset xlabel 'connections, one request outstanding each'\n"
	      "set ylabel 'requests per second'\nplot ",
	      f);
	for (unsigned k = 0; k < ARRAY_SIZE(sets); k++) {
		if (!cmp_find(c, sets[k], 64))
			continue;
		fprintf(f,
			"%s$c%u using 1:2:3:4 with yerrorlines lw 2.5 pt 7 ps 0.6 lc rgb '%s' "
			"title '%s'",
			first ? "" : ", ", k, colours[sets[k]], cmp_set_names[sets[k]]);
		first = false;
	}
	fputc('\n', f);
}

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

static void put_table(FILE *f, const struct cmp *c)
{
	struct cmp_figure none = {NAN, NAN, NAN, 0};

	fputs("<table><tr><th>set</th><th>1 connection: p50, us</th><th>p99, us</th>"
	      "<th>64 connections: requests/s</th><th>server cycles per request</th>"
	      "<th>server cpu busy</th></tr>\n",
	      f);
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *a = cmp_find(c, (enum cmp_set)set, 1);
		const struct cmp_series *b = cmp_find(c, (enum cmp_set)set, 64);

		if (!a && !b)
			continue;
		fprintf(f, "<tr><th><i style=\"background:%s\"></i>%s</th>", colours[set],
			cmp_set_names[set]);
		put_cell(f, a ? figure_median(a->p50, a->n) : none, "%.2f");
		put_cell(f, a ? figure_median(a->p99, a->n) : none, "%.2f");
		put_cell(f, b ? figure_median(b->rps, b->n) : none, "%'.0f");
		put_cell(f, b ? figure_median(b->cycles, b->n) : none, "%.0f");
		put_cell(f, b ? figure_median(b->busy, b->n) : none, "%.2f");
		fputs("</tr>\n", f);
	}
	fputs("</table>\n<h2>Ratios</h2>\n<table>", f);
	for (unsigned i = 0; i < c->nr_ratios; i++) {
		fprintf(f, "<tr><th>%s</th>", c->ratio[i].says);
		put_cell(f, c->ratio[i].f, "%.2f");
		fputs("</tr>\n", f);
	}
	fputs("</table>\n", f);
}

static void put_ledger(FILE *f, const struct cmp *c)
{
	static const enum cmp_set sets[] = {SET_BYPASS, SET_KERNEL_AWAKE, SET_PLAIN_EPOLL};

	fputs("<h2>Ledger</h2>\n<p>Events per request on the server's cpu, 64 connections; the source "
	      "is named beside each.</p>\n<table><tr><th></th>",
	      f);
	for (unsigned k = 0; k < ARRAY_SIZE(sets); k++)
		fprintf(f, "<th>%s</th>", cmp_set_names[sets[k]]);
	fputs("<th>sources</th></tr>\n", f);
	for (unsigned i = 0; i < ROW_MAX; i++) {
		const char *from[ARRAY_SIZE(sets)] = {NULL};

		fprintf(f, "<tr><th>%s</th>", cmp_row_names[i]);
		for (unsigned k = 0; k < ARRAY_SIZE(sets); k++) {
			const struct cmp_series *s = cmp_find(c, sets[k], 64);

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
	"small{color:#7b8794}td.s{text-align:left;color:#7b8794;font-size:.8rem}"
	"i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.5em}"
	"</style></head><body>\n";

static int put_page(FILE *f, const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;
	char one[64], many[64];
	int err;

	fputs(head, f);
	fprintf(f,
		"<h1>What a request costs: interrupts, softirqs and epoll, or polled through "
		"Parklane</h1>\n<p>%s%s, %u cpus, Linux %s, %s, commit %s, seed %llu. Request and "
		"response of %d bytes; median, with min&ndash;max of %u samples taken in turn. "
		"Believe the ratios; the absolute figures are this machine's and this hour's.</p>\n",
		m->machine.cpu, m->virtualised ? " (virtual machine)" : "", m->machine.cpus,
		m->machine.kernel, m->machine.date, m->machine.commit,
		(unsigned long long)m->machine.seed, CMP_SIZE, m->reps);
	put_table(f, c);
	err = picture(
		f, c, draw_cdf, "Round trips",
		"How many of all requests were answered within a time: further left is faster, "
		"steeper is steadier. One connection; up to the 99.9th percentile.");
	if (!err)
		err = picture(
			f, c, draw_cycles, "Where the cycles go",
			"Cycles of the server's cpu per request. Parklane's own steps come from "
			"its ledger, the kernel's split from /proc/stat.");
	if (!err)
		err = picture(f, c, draw_curve, "Throughput against connections",
			      "Medians, with the smallest and the largest sample as bars.");
	put_ledger(f, c);
	fprintf(f,
		"<h2>Conditions</h2>\n<ul><li>Checksums, bypass: %s</li><li>Checksums, kernel: "
		"%s</li><li>Kernel, the best of what was tried: 1 connection with %s, cycles of "
		"more with %s, requests/s of more with the better of that and RPS off; TSO on, congestion control %s (default here: %s).</li>",
		m->bypass_csum, m->kernel_csum, kernel_mode_name(m->mode_latency, one, sizeof(one)),
		kernel_mode_name(m->mode_steered, many, sizeof(many)), m->cc_used, m->cc_default);
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *s = cmp_find(c, (enum cmp_set)set, 64);

		if (s && set != SET_BYPASS && set != SET_FLOOR)
			fprintf(f, "<li>%s, 64 connections: requests/s with %s</li>",
				cmp_set_names[set],
				kernel_mode_name(s->rps_mode, many, sizeof(many)));
	}
	for (unsigned i = 0; i < m->nr_notes; i++)
		fprintf(f, "<li>%s</li>", m->notes[i]);
	fputs("</ul></body></html>\n", f);
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
