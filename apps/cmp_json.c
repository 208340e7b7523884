/* SPDX-License-Identifier: BSD-3-Clause */
/* compare's JSON: one object of meta, runs and ratios. Its keys are an interface. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "apps/compare.h"
#include "apps/idle.h"
#include "apps/stream_bytes.h"

static void put(json_t *o, const char *key, double v)
{
	if (!isnan(v) && !isinf(v))
		json_object_set_new(o, key, json_real(v));
}

/* key, key_low, key_high */
static void put_figure(json_t *o, const char *key, const double *v, unsigned n)
{
	struct cmp_figure f = figure_median(v, n);
	char name[64];

	if (!f.n)
		return;
	put(o, key, f.value);
	snprintf(name, sizeof(name), "%s_low", key);
	put(o, name, f.low);
	snprintf(name, sizeof(name), "%s_high", key);
	put(o, name, f.high);
}

static json_t *samples(const double *v, unsigned n)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(a, isnan(v[i]) ? json_null() : json_real(v[i]));
	return a;
}

static json_t *json_meta(const struct cmp *c)
{
	const struct cmp_meta *m = &c->meta;
	json_t *o = machine_json(&m->machine), *notes = json_array();
	char one[64], many[64], off[64], note[240];

	for (unsigned i = 0; i < m->nr_notes; i++)
		json_array_append_new(notes, json_string(m->notes[i]));
	if (cmp_starved_note(m, note, sizeof(note)))
		json_array_append_new(notes, json_string(note));
	json_object_update_new(o, json_pack("{s:i s:s s:f s:f s:b s:o}", "n", (int)m->reps, "mode",
					    m->quick ? "quick" : "full", "tsc_hz", m->tsc_hz,
					    "seconds", m->seconds, "virtualised",
					    (int)m->virtualised, "notes", notes));
	json_object_update_new(o, json_pack("{s:i s:i}", "samples", (int)m->samples,
					    "samples_starved", (int)m->starved));
	json_object_update_new(o, json_pack("{s:s s:s s:s s:s}", "congestion_control", m->cc_used,
					    "congestion_control_default", m->cc_default,
					    "checksums_kernel", m->kernel_csum, "checksums_bypass",
					    m->bypass_csum));
	/* Those of a stream stand with each run. */
	if (cmp_has(c, TEST_RR))
		json_object_update_new(
			o, json_pack("{s:s s:s s:s}", "kernel_mode_1_connection",
				     kernel_mode_name(m->mode_latency, one, sizeof(one)),
				     "kernel_mode",
				     kernel_mode_name(m->mode_steered, many, sizeof(many)),
				     "kernel_mode_rps_off",
				     kernel_mode_name(m->mode_off, off, sizeof(off))));
	return o;
}

static json_t *json_ledger(const struct cmp_series *s)
{
	json_t *o = json_object(), *from = json_object(), *steps = json_object();

	for (unsigned i = 0; i < ROW_MAX && s->has_ledger; i++) {
		if (!s->ledger.source[i])
			continue;
		put(o, cmp_row_names[i], s->ledger.row[i]);
		json_object_set_new(from, cmp_row_names[i], json_string(s->ledger.source[i]));
	}
	for (unsigned i = 0; i < STEP_MAX; i++)
		put(steps, cmp_step_names[i], figure_median(s->steps[i], s->n).value);
	json_object_set_new(o, "per", json_string(cmp_tests[s->test].unit));
	json_object_set_new(o, "cycles_by_step", steps);
	json_object_set_new(o, "sources", from);
	return o;
}

/* The rate and what else only requests, or only streams, have. */
static json_t *json_rate(json_t *o, const struct cmp_series *s)
{
	bool rr = s->test == TEST_RR;
	json_t *rtt;

	if (rr) {
		rtt = json_object();
		put_figure(o, "rps", s->rate, s->n);
		put_figure(rtt, "p50", s->p50, s->n);
		put_figure(rtt, "p90", s->p90, s->n);
		put_figure(rtt, "p99", s->p99, s->n);
		put_figure(rtt, "p999", s->p999, s->n);
		put_figure(rtt, "max", s->max, s->n);
		json_object_set_new(o, "rtt_us", rtt);
	} else {
		put_figure(o, "gbps", s->rate, s->n);
		json_object_set_new(o, "mss", json_integer(STREAM_MSS));
		if (s->set != SET_FLOOR)
			json_object_set_new(o, "direction",
					    json_string(cmp_tests[s->test].direction));
	}
	put_figure(o, rr ? "server_cycles_per_req" : "server_cycles_per_mss", s->cycles, s->n);
	put_figure(o, rr ? "client_cpu_cycles_per_req" : "client_cpu_cycles_per_mss",
		   s->client_cycles, s->n);
	return rr ? json_pack("{s:o s:o s:o}", "rps", samples(s->rate, s->n), "p50",
			      samples(s->p50, s->n), "server_cycles_per_req",
			      samples(s->cycles, s->n))
		  : json_pack("{s:o s:o}", "gbps", samples(s->rate, s->n), "server_cycles_per_mss",
			      samples(s->cycles, s->n));
}

static json_t *json_run(const struct cmp_series *s)
{
	bool stack = s->set == SET_BYPASS, floor = s->set == SET_FLOOR;
	json_t *o = json_pack(
		"{s:s s:s s:s s:s s:i s:i s:i}", "set", cmp_set_names[s->set], "backend",
		stack   ? "stack"
		: floor ? "raw"
			: "epoll",
		"link", stack || floor ? "net_ring" : "veth", "test", cmp_tests[s->test].key,
		"conns", (int)s->conns, "size", (int)s->size, "n", (int)s->n);
	unsigned starved = 0;
	json_t *all;

	if (!stack && !floor) {
		char mode[64];

		json_object_set_new(
			o, "rps_mode",
			json_string(kernel_mode_name(s->rate_mode, mode, sizeof(mode))));
		json_object_set_new(
			o, "cycles_mode",
			json_string(kernel_mode_name(s->cycles_mode, mode, sizeof(mode))));
	}
	all = json_rate(o, s);
	put_figure(o, "server_busy", s->busy, s->n);
	if (!floor)
		json_object_set_new(o, "ledger", json_ledger(s));
	for (unsigned i = 0; i < s->n; i++)
		starved += s->rate_starved[i];
	json_object_set_new(o, "starved", json_integer(starved));
	json_object_set_new(o, "samples", all);
	return o;
}

/* json_micro - the runs that have no peer: goroutines, idle connections. */
static void json_micro(const struct cmp *c, json_t *runs)
{
	static const char *const set[2] = {"bypass", "kernel"}, *const backend[2] = {"stack",
										     "epoll"};
	json_t *o;

	if (c->park.runs) {
		o = json_pack("{s:s s:s s:s s:s s:i}", "set", "bypass", "backend", "stack", "link",
			      "none", "test", "park", "n", (int)c->park.runs);
		for (unsigned i = 0; i < PARK_MAX; i++)
			put_figure(o, park_keys[i], c->park.ns[i], c->park.runs);
		json_array_append_new(runs, o);
	}
	for (unsigned k = 0; k < 2 && c->nr_idle; k++) {
		o = json_pack("{s:s s:s s:s s:s s:i s:i}", "set", set[k], "backend", backend[k],
			      "link", "loopback", "test", "idle", "conns", (int)c->idle_conns[k],
			      "n", (int)c->nr_idle);
		/* Both ends of each connection are in this process; the figure is one end's. */
		json_object_set_new(o, "ends_per_conn", json_integer(IDLE_ENDS));
		put_figure(o, "bytes_per_idle_conn", c->idle_bytes[k], c->nr_idle);
		json_array_append_new(runs, o);
	}
}

int report_json(const struct cmp *c, const char *path)
{
	json_t *runs = json_array(), *ratios = json_object(), *all, *r;
	int err;

	for (unsigned i = 0; i < c->nr_series; i++) {
		if (series_any(&c->series[i]) && !c->series[i].rival)
			json_array_append_new(runs, json_run(&c->series[i]));
	}
	json_micro(c, runs);
	for (unsigned i = 0; i < c->nr_ratios; i++) {
		const struct cmp_ratio *x = &c->ratio[i];

		r = json_object();
		put(r, "value", x->f.value);
		put(r, "low", x->f.low);
		put(r, "high", x->f.high);
		json_object_set_new(r, "n", json_integer(x->f.n));
		json_object_set_new(r, "pairs", json_integer(x->pairs));
		json_object_set_new(r, "says", json_string(x->text->says));
		json_object_set_new(ratios, x->text->name, r);
	}
	all = json_pack("{s:o s:o s:o}", "meta", json_meta(c), "runs", runs, "ratios", ratios);
	if (!all)
		return -ENOMEM;
	errno = 0;
	err = json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	json_decref(all);
	return !err ? 0 : errno ? -errno : -EIO;
}
