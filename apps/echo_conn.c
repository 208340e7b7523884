/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Echo: read some, write it back, until the peer closes. A connection keeps a small buffer on
 * its goroutine's stack, so that ten thousand idle ones stay small; one that streams gets a
 * large one for as long as it streams.
 */
#include "apps/echo_conn.h"

#include <errno.h>
#include <stdlib.h>

#include "stack/base/stat.h"

#define SMALL_BUF   2048
#define LARGE_BUF   (256 * 1024)
#define SHORT_READS 64 /* in a row, then the large buffer goes */

#define BACKOFF_MIN_NS 5000000
#define BACKOFF_MAX_NS 1000000000

struct echo_conn {
	struct echo_server *srv;
	struct pl_conn *conn;
};

/* True when the connection ended as connections do. */
static bool is_normal_end(ssize_t n)
{
	return n == 0 || n == -ECONNRESET || n == -EPIPE || n == -EBADF;
}

static ssize_t echo_loop(struct echo_server *srv, struct pl_conn *c)
{
	uint8_t small[SMALL_BUF], *large = NULL, *buf = small;
	size_t size = sizeof(small);
	unsigned short_reads = 0;
	ssize_t n, w;

	for (;;) {
		n = pl_read(c, buf, size);
		if (n <= 0)
			break;
		w = pl_write(c, buf, (size_t)n);
		if (w != n) {
			n = w < 0 ? w : -EPIPE;
			break;
		}
		stat_inc(&srv->requests);
		stat_add(&srv->bytes, (uint64_t)n);
		if (n == SMALL_BUF && !large) {
			large = malloc(LARGE_BUF);
			if (large) {
				buf = large;
				size = LARGE_BUF;
			}
			short_reads = 0;
		} else if (large && n < SMALL_BUF && ++short_reads > SHORT_READS) {
			free(large);
			large = NULL;
			buf = small;
			size = sizeof(small);
		} else if (n >= SMALL_BUF) {
			short_reads = 0;
		}
	}
	free(large);
	return n;
}

static void echo_conn(void *arg)
{
	struct echo_conn ec = *(struct echo_conn *)arg;
	ssize_t end;

	free(arg);
	end = echo_loop(ec.srv, ec.conn);
	if (!is_normal_end(end)) {
		stat_inc(&ec.srv->errors);
		ec.srv->last_err = (int)end;
	}
	(void)pl_close(ec.conn);
	stat_add(&ec.srv->active, (uint64_t)-1);
}

/* Start the connection's goroutine; false when memory is short (the conn is closed then). */
static bool serve(struct echo_server *srv, struct pl_conn *c)
{
	struct echo_conn *ec = malloc(sizeof(*ec));

	if (ec) {
		*ec = (struct echo_conn){.srv = srv, .conn = c};
		stat_inc(&srv->active);
		if (!pl_go(echo_conn, ec))
			return true;
		stat_add(&srv->active, (uint64_t)-1);
	}
	free(ec);
	(void)pl_close(c);
	return false;
}

static bool is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

void echo_accept_loop(void *arg)
{
	struct echo_server *srv = arg;
	int64_t backoff = BACKOFF_MIN_NS;
	struct pl_conn *c;
	int err;

	for (;;) {
		err = pl_accept(srv->listener, &c);
		if (!err) {
			stat_inc(&srv->accepted);
			if (!serve(srv, c))
				err = -ENOMEM;
		}
		if (!err) {
			backoff = BACKOFF_MIN_NS;
		} else if (is_shortage(err)) {
			srv->last_err = err;
			pl_sleep(backoff);
			backoff = backoff * 2 > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : backoff * 2;
		} else {
			srv->last_err = err;
			return;
		}
	}
}
