/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rr client. One look at the cpu's counter per request: the end of one round trip is the start
 * of the next, so that the client's own work is inside what it reports (closed loop).
 */
#include "apps/rr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apps/tsc.h"

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

static void rr_requests(struct load_job *job, struct pl_conn *c, unsigned id, uint8_t *out,
			uint8_t *in)
{
	unsigned size = job->cfg->size;
	uint64_t start = tsc_read(), end, n = 0;
	ssize_t sent;
	int err;

	while (job->phase != LOAD_END) {
		fill(out, size, id, n++);
		sent = pl_write(c, out, size);
		if (sent != (ssize_t)size)
			return load_fail(job, sent < 0 ? (int)sent : -EPIPE, "write");
		err = load_read(c, in, size);
		if (err)
			return load_fail(job, err, "read");
		end = tsc_read();
		if (memcmp(in, out, size))
			return load_fail(job, -EBADMSG, "the answer differs from what was sent");
		if (job->phase == LOAD_MEASURE) {
			hist_record(&job->res->hist,
				    (uint64_t)((double)(end - start) * job->ns_per_tsc));
			job->res->units++;
		}
		start = end;
	}
}

static void rr_talk(struct load_job *job, struct pl_conn *c, unsigned id)
{
	unsigned size = job->cfg->size;
	uint8_t *buf = malloc((size_t)size * 2 + 1);

	if (!buf)
		return load_fail(job, -ENOMEM, "buffers");
	fill_random(buf, size, job->cfg->seed + id);
	rr_requests(job, c, id, buf, buf + size);
	free(buf);
}

void rr_run(const struct load_config *cfg, struct load_result *res)
{
	struct load_job job = {.cfg = cfg, .res = res, .talk = rr_talk};

	load_run(&job);
}
