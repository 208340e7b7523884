/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pictures of compare's page. gnuplot draws them as SVG, which go into the page as data URIs.
 */
#include "apps/cmp_plot.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const cmp_colours[SET_MAX] = {"#0b7a75", "#9aa5b1", "#d1495b", "#e8871e", "#5c6ac4"};

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
	fclose(p->script);
	p->script = NULL;
	return cmp_run((const char *const[]){"gnuplot", p->gp, NULL});
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

int cmp_picture(FILE *page, const struct cmp *c, void (*draw)(FILE *, const struct cmp *),
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

void draw_cdf(FILE *f, const struct cmp *c)
{
	bool first = true;

	fputs("set logscale x\nset xlabel 'round trip, us (1 connection)'\n"
	      "set ylabel 'share of requests, %'\nset yrange [0:100]\nset format x '%g'\n",
	      f);
	for (int set = 0; set < SET_MAX; set++) {
		const struct cmp_series *s = cmp_find(c, TEST_RR, (enum cmp_set)set, 1);
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
		const struct cmp_series *s = cmp_find(c, TEST_RR, (enum cmp_set)set, 1);

		if (!s || !s->hist.count)
			continue;
		fprintf(f, "%s$d%d using 1:2 with lines lw 2.5 lc rgb '%s' title '%s'",
			first ? "" : ", ", set, cmp_colours[set], cmp_set_names[set]);
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

/* One row of $d: the steps of a series under a label; used: which of them are not 0 anywhere. */
static void put_steps(FILE *f, const char *label, const struct cmp_series *s, bool used[STEP_MAX])
{
	fprintf(f, "\"%s\"", label);
	for (unsigned i = 0; i < STEP_MAX; i++) {
		fprintf(f, " %.1f", step_of(s, i));
		used[i] |= step_of(s, i) > 0;
	}
	fputc('\n', f);
}

/* Stacked bars, `rows` of them, of cycles per what `of` says. */
static void style_steps(FILE *f, unsigned rows, const char *of)
{
	fprintf(f,
		"set style data histograms\nset style histogram rowstacked\n"
		"set style fill solid border rgb '#ffffff'\nset boxwidth 0.6\nunset grid\n"
		"set grid ytics lc rgb '#e4e7eb' lt 1\nset yrange [0:*]\n"
		"set ylabel 'server cycles per %s'\nset xrange [-0.6:%u.6]\n",
		of, rows ? rows - 1 : 0);
}

static const enum cmp_set step_sets[] = {SET_BYPASS, SET_KERNEL_AWAKE, SET_PLAIN_EPOLL};

void draw_cycles(FILE *f, const struct cmp *c)
{
	const struct cmp_series *b = cmp_find(c, TEST_RR, SET_BYPASS, CMP_CONNS);
	bool used[STEP_MAX] = {false}, bypass[STEP_MAX] = {false};
	unsigned rows = 0;

	fputs("$d << E\n", f);
	for (unsigned k = 0; k < ARRAY_SIZE(step_sets); k++) {
		const struct cmp_series *s = cmp_find(c, TEST_RR, step_sets[k], CMP_CONNS);

		if (!s)
			continue;
		put_steps(f, cmp_set_names[s->set], s, used);
		rows++;
	}
	fputs("E\n", f);
	style_steps(f, rows, "request (64 connections)");
	rows = rows ? rows - 1 : 0;
	if (!b) {
		plot_bars(f, used, 0, rows);
		return;
	}
	for (unsigned i = 0; i < STEP_MAX; i++)
		bypass[i] = step_of(b, i) > 0;
	/* Beside it the bypass bar alone: on the kernel's scale it can hardly be seen. */
	fputs("set multiplot\nset size 0.76,1\nset origin 0,0\n", f);
	plot_bars(f, used, 0, rows);
	fputs("set size 0.24,1\nset origin 0.76,0\nunset key\nset xrange [-0.6:0.6]\n"
	      "set ylabel 'bypass alone, its own scale'\n",
	      f);
	plot_bars(f, bypass, 0, 0);
	fputs("unset multiplot\n", f);
}

void draw_stream_cycles(FILE *f, const struct cmp *c)
{
	bool used[STEP_MAX] = {false};
	unsigned rows = 0;

	fputs("$d << E\n", f);
	for (int test = TEST_STREAM_TO; test < TEST_MAX; test++) {
		for (unsigned k = 0; k < ARRAY_SIZE(step_sets); k++) {
			const struct cmp_series *s =
				cmp_find(c, (enum cmp_test)test, step_sets[k], CMP_STREAM_CONNS);
			char label[64];

			if (!s)
				continue;
			snprintf(label, sizeof(label), "%s\\n%s",
				 test == TEST_STREAM_TO ? "in" : "out", cmp_set_names[s->set]);
			put_steps(f, label, s, used);
			rows++;
		}
	}
	fputs("E\nset bmargin 4\n", f);
	style_steps(f, rows, "1448 bytes (8 streams)");
	plot_bars(f, used, 0, rows ? rows - 1 : 0);
}

void draw_stream_rates(FILE *f, const struct cmp *c)
{
	static const unsigned conns[] = {1, CMP_STREAM_CONNS};
	bool any = false;

	/* A row for each group of bars, three columns for each set. */
	fputs("$d << E\n", f);
	for (unsigned i = 0; i < ARRAY_SIZE(conns); i++) {
		for (int test = TEST_STREAM_TO; test < TEST_MAX; test++) {
			fprintf(f, "\"%u %s, %s\"", conns[i], conns[i] == 1 ? "stream" : "streams",
				test == TEST_STREAM_TO ? "in" : "out");
			for (int set = 0; set < SET_MAX; set++) {
				const struct cmp_series *s = cmp_find(c, (enum cmp_test)test,
								      (enum cmp_set)set, conns[i]);
				struct cmp_figure v = {0};

				if (s)
					v = figure_median(s->rate, s->n);
				fprintf(f, " %.3f %.3f %.3f", v.value, v.low, v.high);
			}
			fputc('\n', f);
		}
	}
	fputs("E\nset style data histograms\nset style histogram errorbars gap 1.5 lw 1.2\n"
	      "set style fill solid border rgb '#323f4b'\nset boxwidth 0.9\nunset grid\n"
	      "set grid ytics lc rgb '#e4e7eb' lt 1\nset yrange [0:*]\nset xrange [-0.6:3.6]\n"
	      "set ylabel 'Gbit/s of payload'\nplot ",
	      f);
	for (int set = 0; set < SET_MAX; set++) {
		if (!cmp_find(c, TEST_STREAM_TO, (enum cmp_set)set, CMP_STREAM_CONNS))
			continue;
		fprintf(f, "%s$d using %d:%d:%d:xtic(1) lc rgb '%s' title '%s'", any ? ", " : "",
			2 + 3 * set, 3 + 3 * set, 4 + 3 * set, cmp_colours[set],
			cmp_set_names[set]);
		any = true;
	}
	fputs(any ? "\n" : "0 notitle\n", f);
}

void draw_curve(FILE *f, const struct cmp *c)
{
	static const unsigned conns[] = {1, 4, 16, 64, 256};
	static const enum cmp_set sets[] = {SET_BYPASS, SET_KERNEL_AWAKE};
	bool first = true;

	for (unsigned k = 0; k < ARRAY_SIZE(sets); k++) {
		fprintf(f, "$c%u << E\n", k);
		for (unsigned i = 0; i < ARRAY_SIZE(conns); i++) {
			const struct cmp_series *s = cmp_find(c, TEST_RR, sets[k], conns[i]);
			struct cmp_figure r;

			if (!s)
				continue;
			r = figure_median(s->rate, s->n);
			fprintf(f, "%u %.0f %.0f %.0f\n", conns[i], r.value, r.low, r.high);
		}
		fputs("E\n", f);
	}
	fputs("set logscale x 2\nset logscale y\nset format y '%.0s%c'\nset xtics (1,4,16,64,256)\n"
	      "set xrange [0.8:320]\nset xlabel 'connections, one request outstanding each'\n"
	      "set ylabel 'requests per second'\nplot ",
	      f);
	for (unsigned k = 0; k < ARRAY_SIZE(sets); k++) {
		if (!cmp_find(c, TEST_RR, sets[k], CMP_CONNS))
			continue;
		fprintf(f,
			"%s$c%u using 1:2:3:4 with yerrorlines lw 2.5 pt 7 ps 0.6 lc rgb '%s' "
			"title '%s'",
			first ? "" : ", ", k, cmp_colours[sets[k]], cmp_set_names[sets[k]]);
		first = false;
	}
	fputc('\n', f);
}
