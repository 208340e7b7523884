/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Echo: read some, write it back, until the peer closes. A connection reads into a small buffer
 * on its goroutine's stack, so that ten thousand idle ones stay small. One that streams borrows a
 * large one of its lane's few, and gives it back when nothing came for some milliseconds: what
 * all of them take is bounded, whatever the peers do.
 */
#include "apps/echo_conn.h"

#include <errno.h>
#include <stdlib.h>

#include "stack/base/compiler.h"
#include "stack/base/stat.h"

/* More than 1 KiB, so that requests of that size are short reads; with the frames below it in one
 * page of stack. */
#define SMALL_BUF   1088
#define LARGE_BUF   (256 * 1024)
#define LARGE_MAX   64u /* 16 MiB a lane */
#define SHORT_READS 64u /* in a row, then the large buffer goes */

/* How long a large buffer waits for more at most, and at least: a deadline is only moved when it
 * is nearer than that. */
#define HOLD_MAX_NS 20000000u
#define HOLD_MIN_NS 10000000u

/* No room for one more goroutine: the next client is looked at so much later. */
#define NO_ROOM_NS 5000000

struct echo_conn {
	struct echo_server *srv;
	struct pl_conn *conn;
};

/* True when the connection ended as connections do. */
static bool is_normal_end(ssize_t n)
{
	return n == 0 || n == -ECONNRESET || n == -EPIPE || n == -EBADF;
}

/* ---- large buffers: one owner, the lane ---- */

static uint8_t *large_take(struct echo_bufs *b)
{
	uint8_t *p = NULL;

	if (b->nr_kept)
		p = b->kept[--b->nr_kept];
	else if (b->nr_out < LARGE_MAX)
		p = malloc(LARGE_BUF);
	if (p)
		b->nr_out++;
	else
		b->wanted = true;
	return p;
}

static void large_give(struct echo_bufs *b, uint8_t *p)
{
	if (!p)
		return;
	b->nr_out--;
	b->wanted = false;
	if (b->nr_kept < ARRAY_SIZE(b->kept))
		b->kept[b->nr_kept++] = p;
	else
		free(p);
}

/* ---- one connection ---- */

struct burst {
	uint8_t *large; /* NULL none */
	uint64_t until; /* the read deadline that is set, 0 none */
	unsigned short_reads;
};

static void burst_end(struct echo_server *srv, struct pl_conn *c, struct burst *b)
{
	if (b->until)
		(void)pl_set_read_deadline(c, 0);
	large_give(&srv->bufs, b->large);
	*b = (struct burst){.large = NULL};
}

static ssize_t burst_read(struct pl_conn *c, struct burst *b)
{
	uint64_t now = pl_now();

	if (b->until < now + HOLD_MIN_NS) {
		b->until = now + HOLD_MAX_NS;
		(void)pl_set_read_deadline(c, b->until);
	}
	return pl_read(c, b->large, LARGE_BUF);
}

/* A read of n bytes was answered: is the large buffer to go? When others wait for one it goes as
 * soon as the stream is dry. */
static bool burst_over(const struct echo_server *srv, struct burst *b, ssize_t n)
{
	b->short_reads = n < SMALL_BUF ? b->short_reads + 1 : 0;
	return b->short_reads > SHORT_READS || (n < LARGE_BUF && srv->bufs.wanted);
}

static ssize_t echo_loop(struct echo_server *srv, struct pl_conn *c)
{
	struct burst b = {.large = NULL};
	uint8_t small[SMALL_BUF];
	ssize_t n, w;

	for (;;) {
		n = b.large ? burst_read(c, &b) : pl_read(c, small, sizeof(small));
		if (n == -ETIME && b.large) {
			burst_end(srv, c, &b);
			continue;
		}
		if (n <= 0)
			break;
		w = pl_write(c, b.large ? b.large : small, (size_t)n);
		if (w != n) {
			n = w < 0 ? w : -EPIPE;
			break;
		}
		stat_inc(&srv->requests);
		stat_add(&srv->bytes, (uint64_t)n);
		if (!b.large && n == SMALL_BUF)
			b.large = large_take(&srv->bufs);
		else if (b.large && burst_over(srv, &b, n))
			burst_end(srv, c, &b);
	}
	burst_end(srv, c, &b);
	return n;
}

static void echo_conn(void *arg)
{
	struct echo_conn ec = *(struct echo_conn *)arg;
	ssize_t end;

	free(arg);
	end = ec.srv->talk ? ec.srv->talk(ec.srv, ec.conn) : echo_loop(ec.srv, ec.conn);
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

/* pl_accept waits by itself while fds or memory lack (conn.h). */
void echo_accept_loop(void *arg)
{
	struct echo_server *srv = arg;
	struct pl_conn *c;
	int err;

	do {
		err = pl_accept(srv->listener, &c);
		if (!err) {
			stat_inc(&srv->accepted);
			if (!serve(srv, c)) {
				err = -ENOMEM;
				pl_sleep(NO_ROOM_NS);
			}
		}
		if (err)
			srv->last_err = err;
	} while (!err || is_shortage(err));
}
