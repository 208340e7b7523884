/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: the goroutines at both ends. */
#include "apps/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/base/stat.h"

/* ---- both ends' loops ---- */

/* Write until *phase is LOAD_END (NULL: until the peer is gone), counting in *count what went. 0;
 * -errno. */
static int send_stream(struct pl_conn *c, uint32_t id, const enum load_phase *phase,
		       uint64_t *count, struct stream_at *s)
{
	const uint8_t *p;
	size_t len;
	ssize_t n;

	stream_begin(s, id);
	while (!phase || *phase != LOAD_END) {
		p = stream_next(s, &len);
		n = pl_write(c, p, len);
		if (n != (ssize_t)len)
			return n < 0 ? (int)n : -EPIPE;
		stream_sent(s, len);
		stat_add(count, len);
	}
	return 0;
}

/* Read until the end or LOAD_END, counting what is right. Once a byte is wrong nothing counts any
 * more: 0 at the end all the same, since it is the sender who is to hear of it; -EBADMSG if there
 * is a phase, which is the client's. */
static int receive_stream(struct pl_conn *c, const enum load_phase *phase, uint64_t *count,
			  struct stream_at *s)
{
	uint8_t *buf = malloc(STREAM_WRITE);
	bool good = true;
	ssize_t n = buf ? 1 : -ENOMEM;

	*s = (struct stream_at){.bytes = 0};
	while (n > 0 && (!phase || (good && *phase != LOAD_END))) {
		n = pl_read(c, buf, STREAM_WRITE);
		good = good && (n <= 0 || stream_check(s, buf, (size_t)n));
		if (n > 0 && good)
			stat_add(count, (uint64_t)n);
	}
	free(buf);
	if (n < 0)
		return (int)n;
	return phase && !good ? -EBADMSG : 0;
}

/* ---- the server's ---- */

ssize_t stream_take(struct echo_server *srv, struct pl_conn *c)
{
	struct stream_at s;
	ssize_t n = receive_stream(c, NULL, &srv->bytes, &s);

	stat_inc(&srv->requests);
	if (!n)
		n = pl_write(c, &s.bytes, sizeof(s.bytes));
	return n < 0 ? n : 0;
}

ssize_t stream_give(struct echo_server *srv, struct pl_conn *c)
{
	uint32_t id = (uint32_t)srv->requests;
	struct stream_at s;

	stat_inc(&srv->requests);
	return send_stream(c, id, NULL, &srv->bytes, &s);
}

/* ---- the client's ---- */

struct stream_client {
	const uint64_t *arrived; /* at the receiver, whoever that is */
	uint64_t mine, sent;
};

static void talk_to(struct load_job *job, struct pl_conn *c, unsigned id)
{
	struct stream_client *me = job->ctx;
	uint8_t buf[sizeof(uint64_t) + 1];
	struct stream_at s;
	uint64_t verdict;
	int err = send_stream(c, id, &job->phase, &me->sent, &s);

	if (err)
		return load_fail(job, err, "write");
	err = pl_shutdown(c, 1);
	if (!err)
		err = load_read(c, buf, sizeof(verdict));
	if (err)
		return load_fail(job, err, "read the server's verdict");
	memcpy(&verdict, buf, sizeof(verdict));
	if (verdict != s.bytes)
		load_fail(job, -EBADMSG, "other bytes arrived than were sent");
}

static void talk_from(struct load_job *job, struct pl_conn *c, unsigned id)
{
	struct stream_client *me = job->ctx;
	struct stream_at s;
	int err = receive_stream(c, &job->phase, &me->mine, &s);

	(void)id;
	if (err)
		load_fail(job, err,
			  err == -EBADMSG ? "other bytes arrived than were sent" : "read");
	else if (job->phase != LOAD_END)
		load_fail(job, -ECONNRESET, "read");
}

static uint64_t arrived_units(void *ctx)
{
	const struct stream_client *me = ctx;

	return stat_read(me->arrived) / STREAM_MSS;
}

void stream_run(const struct load_config *cfg, const uint64_t *arrived, struct load_result *res)
{
	struct stream_client me = {.arrived = arrived ? arrived : &me.mine};
	struct load_job job = {.cfg = cfg,
			       .res = res,
			       .talk = arrived ? talk_to : talk_from,
			       .moved = arrived_units,
			       .ctx = &me};

	load_run(&job);
}
