/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What compare prints: never wider than 100 columns, its words explained, its ratios last. Its page
 * and its JSON leave out nothing that the terminal warns of.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cmp_plot.h"

static struct cmp c;

/* Stands in for park.c's, which needs a lane. */
const char *const park_keys[PARK_ALL] = {"a", "b", "c", "d", "e", "f", "g"};

/* Stand in for cmp_plot.c, which needs gnuplot: a picture is its words. */
const char *const cmp_colours[SET_MAX] = {"#000000", "#000000", "#000000", "#000000", "#000000"};

static void draw_none(FILE *f, const struct cmp *cmp)
{
	(void)f;
	(void)cmp;
}

#define DRAW_NONE __attribute__((alias("draw_none")))
void draw_cdf(FILE *f, const struct cmp *cmp) DRAW_NONE;
void draw_cycles(FILE *f, const struct cmp *cmp) DRAW_NONE;
void draw_curve(FILE *f, const struct cmp *cmp) DRAW_NONE;
void draw_stream_rates(FILE *f, const struct cmp *cmp) DRAW_NONE;
void draw_stream_cycles(FILE *f, const struct cmp *cmp) DRAW_NONE;

int cmp_picture(FILE *page, const struct cmp *cmp, void (*draw)(FILE *, const struct cmp *),
		const char *title, const char *text)
{
	draw(page, cmp);
	fprintf(page, "<h2>%s</h2><p>%s</p>\n", title, text);
	return 0;
}

json_t *machine_json(const struct machine *m)
{
	(void)m;
	return json_object();
}

/* Stands in for the one of cmp_kernel.c, which needs namespaces; the longest it gives. */
const char *kernel_mode_name(struct kernel_mode mode, char *buf, size_t size)
{
	(void)mode;
	snprintf(buf, size, "RPS server only, GRO off, busy polling");
	return buf;
}

static void add_series(enum cmp_test test, enum cmp_set set, unsigned conns, double us, double busy)
{
	struct cmp_series *s = &c.series[c.nr_series++];

	*s = (struct cmp_series){.test = test, .set = set, .conns = conns, .n = 5};
	for (unsigned i = 0; i < s->n; i++) {
		s->p50[i] = us * (1 + i);
		s->p99[i] = 100 * us;
		s->rate[i] = test == TEST_RR ? 10.81e6 + i : 100 / us + i;
		s->cycles[i] = 123456 + i;
		s->busy[i] = busy;
	}
	s->has_ledger = true;
	for (unsigned i = 0; i < ROW_MAX; i++) {
		s->ledger.row[i] = 12345.678;
		s->ledger.source[i] = set == SET_BYPASS ? "the stack's own count"
							: "perf raw_syscalls:sys_enter and more";
	}
}

static void add_ratio(const char *says, double value, double want, bool headline)
{
	static struct cmp_ratio_text text[CMP_RATIOS_MAX];
	unsigned i = c.nr_ratios++;

	text[i] = (struct cmp_ratio_text){"name", says, want, headline};
	c.ratio[i] = (struct cmp_ratio){&text[i], {value, value / 3, value * 3, 15}, 15};
}

/* Wide in every column: slow round trips, long texts, intervals of five digits. */
static void fill(double us, double busy)
{
	struct cmp_meta *m = &c.meta;

	memset(&c, 0, sizeof(c));
	for (int set = 0; set < SET_MAX; set++) {
		add_series(TEST_RR, (enum cmp_set)set, 1, us, busy);
		add_series(TEST_RR, (enum cmp_set)set, 64, us, busy);
		if (set == SET_FLOOR) {
			add_series(TEST_STREAM_TO, SET_FLOOR, CMP_STREAM_FLOOR, us, busy);
			continue;
		}
		for (int test = TEST_STREAM_TO; test < TEST_MAX; test++) {
			add_series((enum cmp_test)test, (enum cmp_set)set, 1, us, busy);
			add_series((enum cmp_test)test, (enum cmp_set)set, 8, us, busy);
		}
	}
	add_ratio("1 connection, round trip: kernel-awake / bypass", 1234.5, 8, true);
	add_ratio("1 connection, round trip: kernel / bypass", 57.1, 0, false);
	add_ratio("64 connections, req/s: bypass / kernel-awake", 13.7, 0, true);
	add_ratio("64 connections, cycles: kernel-awake / bypass", 29.4, 8, true);
	add_ratio("1 connection, ns that bypass adds to floor", 12641, -800, false);
	add_ratio("8 streams out, Gbit/s: bypass / kernel-awake", 4.5, 0, true);
	memset(m->machine.cpu, 'x', sizeof(m->machine.cpu) - 1);
	memset(m->kernel_csum, 'y', 40);
	snprintf(m->bypass_csum, sizeof(m->bypass_csum),
		 "both stacks in software, every byte sent and received, and then some more of it");
	memset(m->notes[0], 'n', sizeof(m->notes[0]) - 1);
	for (unsigned i = 20; i < sizeof(m->notes[0]) - 1; i += 20)
		m->notes[0][i] = ' ';
	m->nr_notes = 1;
	c.park.runs = 3;
	c.nr_idle = 3;
	c.idle_conns[0] = c.idle_conns[1] = 10000;
	for (unsigned i = 0; i < 3; i++)
		c.idle_bytes[0][i] = c.idle_bytes[1][i] = 123456 + i;
}

/* The report as text; valid until the next call. */
static char *printed(void)
{
	static char *text;
	FILE *saved = stdout;
	size_t len;

	free(text);
	text = NULL;
	stdout = open_memstream(&text, &len);
	cr_assert(stdout);
	report_print(&c);
	report_headline(&c);
	fclose(stdout);
	stdout = saved;
	return text;
}

/* What report_html() or report_json() puts into a file; valid until the next call. */
static const char *written(int (*report)(const struct cmp *, const char *))
{
	static char text[128 * 1024];
	char path[] = "/tmp/test_cmp_report.XXXXXX";
	int fd = mkstemp(path);
	ssize_t len;

	cr_assert_geq(fd, 0);
	cr_assert_eq(report(&c, path), 0);
	/* by its descriptor: the file is written in place */
	len = pread(fd, text, sizeof(text) - 1, 0);
	cr_assert(len > 0 && len < (ssize_t)sizeof(text) - 1);
	text[len] = 0;
	close(fd);
	unlink(path);
	return text;
}

static void assert_width(const char *text)
{
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		cr_assert_leq(strcspn(line, "\n"), 100, "%.*s", (int)strcspn(line, "\n"), line);
	cr_assert(!strstr(text, " \n"), "a blank at the end of a line");
}

Test(cmp_report, test_report_is_never_wider_than_100_columns)
{
	const double us[] = {0.05, 58.75, 987.6, 123456};

	for (unsigned i = 0; i < ARRAY_SIZE(us); i++) {
		fill(us[i], 0.7);
		assert_width(printed());
	}
	for (unsigned i = 0; i < c.nr_series; i++)
		c.series[i].n = 0;
	assert_width(printed());
}

Test(cmp_report, test_report_words_are_explained_where_they_stand)
{
	const char *text, *table, *ratios;

	fill(58.75, 0.7);
	text = printed();
	table = strstr(text, "% TOO IDLE\n");
	ratios = strstr(text, "\nRatios");
	cr_assert(table && ratios && strstr(text, "\n  TOO IDLE: the server's cpu") < ratios);
	cr_assert(strstr(text, "\n  Note: nnn") && strstr(text, "\n  Note: nnn") < ratios);
	cr_assert(strstr(ratios, "wanted: <= 10240, missed\n"));
	cr_assert(strstr(ratios, "wanted: >= 8") < strstr(ratios, "\n  wanted: what"));
	cr_assert(strstr(text, " 70 %*\n") && strstr(text, "\n  %*: the server's cpu was idle"));
	fill(58.75, 0.97);
	text = printed();
	cr_assert(!strstr(text, "TOO IDLE") && !strstr(text, "%*"));
}

Test(cmp_report, test_report_ends_with_the_ratios_that_matter)
{
	const char *end;
	unsigned lines = 0;

	fill(58.75, 0.97);
	end = strstr(printed(), "\nIn short: ");
	cr_assert(end && strstr(end, "1234") && strstr(end, "13.7") && strstr(end, "29.4"), "%s",
		  end);
	for (; *end; end++)
		lines += *end == '\n';
	cr_assert_eq(lines, 6);
	/* a range that says nothing is told there again, and so is company */
	c.meta.loaded = true;
	cr_assert(strstr(strstr(printed(), "\nIn short: "), "  Other programs ran"));
	c.ratio[2].f.low = 0.9;
	cr_assert(strstr(strstr(printed(), "\nIn short: "), "  Not settled: a range crosses 1."));
	/* without bypass there is nothing to compare */
	c.nr_ratios = 0;
	cr_assert(!strstr(printed(), "In short"));
}

Test(cmp_report, test_report_decimals_are_the_medians_not_the_wildest_samples)
{
	fill(0.82, 0.97);
	c.ratio[0].f = (struct cmp_figure){0.82, 0.5, 12345, 15};
	c.series[0].p50[4] = 98765;
	cr_assert(strstr(printed(), "    0.82  (0.50-12345.00, n=15)"));
	cr_assert(strstr(printed(), "2.46 (0.82-98765.00)"));
}

/* A ratio was printed of whatever was left, be it one pair of fifteen. */
Test(cmp_report, test_report_of_starved_pairs_gives_no_ratio_and_says_why)
{
	const char *text, *end;

	fill(58.75, 0.97);
	cr_assert(!strstr(printed(), "tarved") && !strstr(printed(), "no ratio has these"));
	c.meta.samples = 90;
	c.meta.starved = 31;
	c.ratio[2].f = (struct cmp_figure){NAN, NAN, NAN, 6};
	text = printed();
	assert_width(text);
	cr_assert(strstr(text, "\n  Note: in 31 of 90 samples other programs had a cpu for more "
			       "than 25 %"));
	cr_assert(strstr(text,
			 "req/s: bypass / kernel-awake          none  (starved: 6 of 15 pairs "
			 "count)\n"),
		  "%s", text);
	end = strstr(text, "\nIn short: ");
	cr_assert(strstr(end, "none  (starved: 6 of 15") && strstr(end, "  Starved: other") &&
			  !strstr(end, "nan"),
		  "%s", end);
}

/* The page and the JSON kept silent, and no row said that its samples were of a busy machine. */
Test(cmp_report, test_report_marks_starved_rows_and_tells_so_everywhere)
{
	const char *note = "in 31 of 90 samples other programs had a cpu for more than 25 %";
	const char *text;

	fill(58.75, 0.97);
	c.series[0].p50[0] = 1;
	cr_assert(!strstr(printed(), "bypass!"));
	text = written(report_html);
	cr_assert(strstr(text, "bypass</th>") && !strstr(text, "bypass!"));
	cr_assert(!strstr(text, "of 90 samples") && !strstr(written(report_json), "of 90"));
	c.meta.samples = 90;
	c.meta.starved = 31;
	for (unsigned i = 0; i < c.nr_series; i++) {
		c.series[i].rate_starved[0] = c.series[i].set == SET_BYPASS;
		c.series[i].starved[4] = c.series[i].set == SET_KERNEL_AWAKE;
	}
	text = printed();
	assert_width(text);
	cr_assert(strstr(text, "\n  bypass!  ") && strstr(text, "\n  kernel-awake! ") &&
			  strstr(text, "\n  kernel  ") &&
			  strstr(text, "\n  !: some of the row's samples"),
		  "%s", text);
	text = written(report_html);
	cr_assert(strstr(text, note) && strstr(text, note) < strstr(text, "<table>"), "%s", text);
	cr_assert(strstr(text, "bypass!</th>") && strstr(text, "kernel-awake!</th>") &&
		  strstr(text, "kernel</th>"));
	cr_assert(strstr(written(report_json), note));
}

/* Who added the steps up found another figure than the table's, and no word on why. */
Test(cmp_report, test_report_says_that_steps_do_not_sum_to_the_cycles)
{
	const char *text, *steps;

	fill(58.75, 0.97);
	steps = strstr(printed(), "\nCycles per request by step");
	cr_assert(steps);
	text = strstr(steps, "\n  " CMP_STEPS_SUM "\n");
	cr_assert(text && text < strstr(steps, "\nEvents per 1448"));
	text = strstr(written(report_html), "<h2>Where the cycles go</h2>");
	cr_assert(text && strstr(text, CMP_STEPS_SUM) < strstr(text, "<h2>Throughput"));
	text = strstr(text, "<h2>Streams: where the cycles go</h2>");
	cr_assert(text && strstr(text, CMP_STEPS_SUM));
}

/* Both directions stand in one line, and what was not measured has no heading. */
Test(cmp_report, test_report_has_a_table_for_each_test_that_was_run)
{
	const char *text;

	fill(2, 0.97);
	text = printed();
	cr_assert(strstr(text, "\n  1 stream ") && strstr(text, "\n  8 streams "));
	cr_assert(strstr(text, "\n  bypass        52.00 (50.00-54.00)    123 k         52.00 (50"),
		  "%s", text);
	cr_assert(strstr(text, "\n  kernel        52.00 (50.00-54.00)    123 k   97 %  52.00"));
	cr_assert(strstr(text, "\n  floor         52.00 (50.00-54.00) Gbit/s"));
	cr_assert(strstr(text, "\nEvents per 1448 bytes on the server's cpu, 8 streams in\n"));
	cr_assert(strstr(text, "\nCycles per 1448 bytes by step, 8 streams out ("));
	for (unsigned i = 0; i < c.nr_series; i++) {
		if (c.series[i].test != TEST_RR)
			c.series[i].n = 0;
	}
	text = printed();
	cr_assert(strstr(text, "Request and response") && !strstr(text, "tream in"));
	for (unsigned i = 0; i < c.nr_series; i++)
		c.series[i].n = c.series[i].test == TEST_RR ? 0 : 5;
	text = printed();
	cr_assert(!strstr(text, "Request and response") && !strstr(text, "per request"));
}
