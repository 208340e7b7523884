/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rr client. Connections come up first, all of them; then a warm-up, then the measured
 * window. One look at the cpu's counter per request: the end of one round trip is the start
 * of the next, so that the client's own work is inside what it reports (closed loop).
 */
#include "apps/rr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/tsc.h"
#include "stack/base/compiler.h"

#define DIAL_NS 5000000000u
/* After the window: an answer that takes longer is an error. Long, since a busy machine may keep a
 * lane off its cpu for seconds, and that is no fault of the server. */
#define GRACE_NS   10000000000u
#define PHASE_STEP 1000000 /* how often the coordinator looks, ns */

enum rr_phase {
	RR_CONNECT,
	RR_WARM,
	RR_MEASURE,
	RR_END,
};

struct rr_job {
	const struct rr_config *cfg;
	struct rr_result *res;
	enum rr_phase phase;
	unsigned connected, alive, next_id;
	double ns_per_tsc;
};

static void rr_fail(struct rr_job *job, int err, const char *what)
{
	if (job->res->err)
		return;
	job->res->err = err;
	snprintf(job->res->what, sizeof(job->res->what), "%s", what);
	job->phase = RR_END;
}

/*
 * Read exactly n bytes into a buffer of n + 1. 0; -errno; -ECONNRESET when the stream ends
 * early; -EBADMSG more than was asked for. The byte too many makes the read a short one, which
 * proves the stream empty: the next read parks without another try (one recv() per request
 * less on kernel sockets, as epoll(7) advises).
 */
static int read_full(struct pl_conn *c, uint8_t *buf, size_t n)
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

/* splitmix64, of which eight bits at a time are taken */
static void fill_random(uint8_t *buf, unsigned size, uint64_t seed)
{
	uint64_t z = 0;

	for (unsigned i = 0; i < size; i++, z >>= 8) {
		if (i % 8 == 0) {
			seed += 0x9e3779b97f4a7c15u;
			z = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
			z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
			z ^= z >> 31;
		}
		buf[i] = (uint8_t)z;
	}
}

/* The payload differs by connection and by request, so that a mixed-up answer shows. */
static void fill(uint8_t *buf, unsigned size, unsigned id, uint64_t n)
{
	uint64_t tag[2] = {((uint64_t)id << 32) | 0x504c, n};

	memcpy(buf, tag, size < sizeof(tag) ? size : sizeof(tag));
}

static void rr_requests(struct rr_job *job, struct pl_conn *c, uint8_t *out, uint8_t *in,
			unsigned id)
{
	unsigned size = job->cfg->size;
	uint64_t start = tsc_read(), end, n = 0;
	ssize_t sent;
	int err;

	while (job->phase != RR_END) {
		fill(out, size, id, n++);
		sent = pl_write(c, out, size);
		if (sent != (ssize_t)size)
			return rr_fail(job, sent < 0 ? (int)sent : -EPIPE, "write");
		err = read_full(c, in, size);
		if (err)
			return rr_fail(job, err, "read");
		end = tsc_read();
		if (memcmp(in, out, size))
			return rr_fail(job, -EBADMSG, "the answer differs from what was sent");
		if (job->phase == RR_MEASURE) {
			hist_record(&job->res->hist,
				    (uint64_t)((double)(end - start) * job->ns_per_tsc));
			job->res->requests++;
		}
		start = end;
	}
}

static void rr_conn(void *arg)
{
	struct rr_job *job = arg;
	const struct rr_config *cfg = job->cfg;
	unsigned id = job->next_id++;
	struct pl_conn *c = NULL;
	uint64_t dial = cfg->dial_ns ? cfg->dial_ns : DIAL_NS;
	uint8_t *buf = malloc((size_t)cfg->size * 2 + 1);
	int err;

	err = buf ? pl_dial(cfg->net, &cfg->addr, pl_now() + dial, &c) : -ENOMEM;
	if (err) {
		rr_fail(job, err, "connect");
		goto out;
	}
	fill_random(buf, cfg->size, cfg->seed + id);
	job->connected++;
	while (job->phase == RR_CONNECT)
		pl_sleep(PHASE_STEP);
	/* A server that falls silent must not hold the measurement for ever. */
	(void)pl_set_deadline(c, pl_now() + cfg->warm_ns + cfg->run_ns + GRACE_NS);
	rr_requests(job, c, buf, buf + cfg->size, id);
	(void)pl_close(c);
out:
	free(buf);
	job->alive--;
}

static void sleep_until(struct rr_job *job, uint64_t when)
{
	while (job->phase != RR_END && mono_ns() < when)
		pl_sleep(min_t(int64_t, (int64_t)(when - mono_ns()), 20000000));
}

static void rr_window(struct rr_job *job)
{
	const struct rr_config *cfg = job->cfg;
	uint64_t ns, tsc;

	job->phase = RR_WARM;
	sleep_until(job, mono_ns() + cfg->warm_ns);
	if (job->phase == RR_END)
		return;
	if (cfg->window)
		cfg->window(cfg->window_ctx, 1);
	ns = mono_ns();
	tsc = tsc_read();
	job->res->began_ns = ns;
	job->phase = RR_MEASURE;
	sleep_until(job, ns + cfg->run_ns);
	job->phase = RR_END;
	job->res->window_tsc = tsc_read() - tsc;
	job->res->window_ns = mono_ns() - ns;
	if (cfg->window)
		cfg->window(cfg->window_ctx, 0);
}

void rr_run(const struct rr_config *cfg, struct rr_result *res)
{
	struct rr_job job = {
		.cfg = cfg, .res = res, .phase = RR_CONNECT, .ns_per_tsc = 1e9 / tsc_hz()};
	int err;

	memset(res, 0, sizeof(*res));
	hist_init(&res->hist);
	for (unsigned i = 0; i < cfg->conns && job.phase == RR_CONNECT; i++) {
		err = pl_go(rr_conn, &job);
		if (err) {
			rr_fail(&job, err, "start a goroutine");
			break;
		}
		job.alive++;
		/* Not faster than a listener's backlog can take. */
		if (i % 64 == 63)
			pl_sleep(PHASE_STEP);
	}
	while (job.phase == RR_CONNECT && job.connected < cfg->conns)
		pl_sleep(PHASE_STEP);
	if (job.phase == RR_CONNECT)
		rr_window(&job);
	while (job.alive)
		pl_sleep(PHASE_STEP);
}
