/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire's words and figures. */
#include "apps/wire_report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "apps/wire_arg.h"

#define PATH_WORDS 256

void wire_say_start(const struct wrun_config *cfg, const struct wtap tap[static 2])
{
	char words[PATH_WORDS];

	for (int i = 0; i < 2; i++) {
		warg_print(&cfg->path[i], words, sizeof(words));
		fprintf(stderr, "parklane: %s -> %s: %s\n", tap[i].name, tap[!i].name, words);
	}
	fprintf(stderr, "parklane: wire between %s and %s, seed %" PRIu64 "\n", tap[0].name,
		tap[1].name, cfg->seed);
}

static double late_us(const struct wrun_result *res, double q)
{
	return (double)hist_quantile(&res->late, q) / 1e3;
}

static void say_path(const struct wrun_result *res, const struct wtap tap[static 2], int i, FILE *f)
{
	const struct wire_path_stats *st = &res->path[i];
	const struct {
		const char *what;
		uint64_t nr;
	} rows[] = {
		{"lost", st->lost},
		{"lost in bursts", st->burst_lost},
		{"dropped by the queue", st->queue_drops},
		{"too big", st->too_big},
		{"cut", st->cut},
		{"marked", st->marked},
		{"reordered", st->reordered},
		{"doubled", st->dups},
		{"corrupted", st->corrupted},
		{"too many at a time", res->overrun[i]},
		{"missed at the end", res->missed[!i]},
		{"refused by the tap", res->write_errors[!i]},
		{"not taken from the tap in time", res->tap_drops[i]},
	};

	fprintf(f, "%s -> %s: %" PRIu64 " frames, %" PRIu64 " bytes; %" PRIu64 " delivered",
		tap[i].name, tap[!i].name, st->frames, st->bytes, st->delivered);
	for (unsigned r = 0; r < ARRAY_SIZE(rows); r++) {
		if (rows[r].nr)
			fprintf(f, ", %" PRIu64 " %s", rows[r].nr, rows[r].what);
	}
	if (st->queue_peak)
		fprintf(f, "; at most %" PRIu64 " bytes queued", st->queue_peak);
	fputc('\n', f);
}

void wire_say_end(const struct wrun_result *res, const struct wtap tap[static 2], FILE *f)
{
	for (int i = 0; i < 2; i++)
		say_path(res, tap, i, f);
	fprintf(f,
		"%.3f s%s; frames left late by: median %.1f us, 99 %% %.1f us, 99.9 %% %.1f us, "
		"most %.1f us; nobody looked for at most %.1f us\n",
		(double)res->ran / 1e9, res->fifo ? "" : " without real-time priority",
		late_us(res, 0.5), late_us(res, 0.99), late_us(res, 0.999),
		(double)res->late.max / 1e3, (double)res->away_max / 1e3);
}

static json_t *path_json(const struct wrun_config *cfg, const struct wrun_result *res,
			 const struct wtap tap[static 2], int i)
{
	const struct wire_path_stats *st = &res->path[i];
	char words[PATH_WORDS];

	warg_print(&cfg->path[i], words, sizeof(words));
	return json_pack(
		"{s:s s:s s:s s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I}",
		"from", tap[i].name, "to", tap[!i].name, "path", words, "frames",
		(json_int_t)st->frames, "bytes", (json_int_t)st->bytes, "delivered",
		(json_int_t)st->delivered, "lost", (json_int_t)st->lost, "burst_lost",
		(json_int_t)st->burst_lost, "queue_drops", (json_int_t)st->queue_drops,
		"queue_peak_bytes", (json_int_t)st->queue_peak, "too_big", (json_int_t)st->too_big,
		"cut", (json_int_t)st->cut, "marked", (json_int_t)st->marked, "reordered",
		(json_int_t)st->reordered, "dups", (json_int_t)st->dups, "corrupted",
		(json_int_t)st->corrupted, "overrun", (json_int_t)res->overrun[i], "missed",
		(json_int_t)res->missed[!i], "write_errors", (json_int_t)res->write_errors[!i],
		"tap_drops", (json_int_t)res->tap_drops[i]);
}

int wire_json(const struct wrun_config *cfg, const struct wrun_result *res,
	      const struct wtap tap[static 2])
{
	json_t *late = json_pack("{s:I s:f s:f s:f s:f}", "n", (json_int_t)res->late.count, "p50",
				 late_us(res, 0.5), "p99", late_us(res, 0.99), "p999",
				 late_us(res, 0.999), "max", (double)res->late.max / 1e3);
	json_t *o = json_pack("{s:I s:f s:b s:o s:f s:[o,o]}", "seed", (json_int_t)cfg->seed,
			      "seconds", (double)res->ran / 1e9, "real_time_priority", res->fifo,
			      "late_us", late, "away_us_max", (double)res->away_max / 1e3, "paths",
			      path_json(cfg, res, tap, 0), path_json(cfg, res, tap, 1));
	int err = 0;

	if (!o)
		return -ENOMEM;
	if (json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) < 0 ||
	    putchar('\n') < 0 || fflush(stdout) != 0)
		err = -EIO;
	json_decref(o);
	return err;
}
