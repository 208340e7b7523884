/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a measurement goes: connections come up, all of them; then a warm-up, then the window. The
 * coordinator is the goroutine that asked for it.
 */
#include "apps/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "apps/tsc.h"
#include "stack/base/compiler.h"

#define DIAL_NS 5000000000u
/* After the window: an answer that takes longer is an error. Long, since a busy machine may keep a
 * lane off its cpu for seconds, and that is no fault of the server. */
#define GRACE_NS   10000000000u
#define PHASE_STEP 1000000 /* how often the coordinator looks, ns */

void load_fail(struct load_job *job, int err, const char *what)
{
	if (job->res->err)
		return;
	job->res->err = err;
	snprintf(job->res->what, sizeof(job->res->what), "%s", what);
	job->phase = LOAD_END;
}

int load_read(struct pl_conn *c, uint8_t *buf, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = pl_read(c, buf + have, n + 1 - have);

		if (got <= 0)
			return got ? (int)got : -ECONNRESET;
		have += (size_t)got;
	}
	return have == n ? 0 : -EBADMSG;
}

static void load_conn(void *arg)
{
	struct load_job *job = arg;
	const struct load_config *cfg = job->cfg;
	unsigned id = job->next_id++;
	struct pl_conn *c = NULL;
	uint64_t dial = cfg->dial_ns ? cfg->dial_ns : DIAL_NS;
	int err = pl_dial(cfg->net, &cfg->addr, pl_now() + dial, &c);

	if (err) {
		load_fail(job, err, "connect");
	} else {
		job->connected++;
		while (job->phase == LOAD_CONNECT)
			pl_sleep(PHASE_STEP);
		/* A server that falls silent must not hold the measurement for ever. */
		(void)pl_set_deadline(c, pl_now() + cfg->warm_ns + cfg->run_ns + GRACE_NS);
		job->talk(job, c, id);
		(void)pl_close(c);
	}
	job->alive--;
}

static void sleep_until(struct load_job *job, uint64_t when)
{
	while (job->phase != LOAD_END && mono_ns() < when)
		pl_sleep(min_t(int64_t, (int64_t)(when - mono_ns()), 20000000));
}

static void load_window(struct load_job *job)
{
	const struct load_config *cfg = job->cfg;
	uint64_t ns, tsc, moved = 0;

	job->phase = LOAD_WARM;
	sleep_until(job, mono_ns() + cfg->warm_ns);
	if (job->phase == LOAD_END)
		return;
	if (cfg->window)
		cfg->window(cfg->window_ctx, 1);
	if (job->moved)
		moved = job->moved(job->ctx);
	ns = mono_ns();
	tsc = tsc_read();
	job->res->began_ns = ns;
	job->phase = LOAD_MEASURE;
	sleep_until(job, ns + cfg->run_ns);
	job->phase = LOAD_END;
	if (job->moved)
		job->res->units = job->moved(job->ctx) - moved;
	job->res->window_tsc = tsc_read() - tsc;
	job->res->window_ns = mono_ns() - ns;
	if (cfg->window)
		cfg->window(cfg->window_ctx, 0);
}

void load_run(struct load_job *job)
{
	struct load_result *res = job->res;
	int err;

	memset(res, 0, sizeof(*res));
	hist_init(&res->hist);
	job->phase = LOAD_CONNECT;
	job->ns_per_tsc = 1e9 / tsc_hz();
	for (unsigned i = 0; i < job->cfg->conns && job->phase == LOAD_CONNECT; i++) {
		err = pl_go(load_conn, job);
		if (err) {
			load_fail(job, err, "start a goroutine");
			break;
		}
		job->alive++;
		/* Not faster than a listener's backlog can take. */
		if (i % 64 == 63)
			pl_sleep(PHASE_STEP);
	}
	while (job->phase == LOAD_CONNECT && job->connected < job->cfg->conns)
		pl_sleep(PHASE_STEP);
	if (job->phase == LOAD_CONNECT)
		load_window(job);
	while (job->alive)
		pl_sleep(PHASE_STEP);
}
