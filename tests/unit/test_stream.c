/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams between goroutines over kernel sockets, and to and from the plain C server: what is
 * counted arrived, and a server that is wrong is told of.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <parklane/run.h>

#include "apps/plain_epoll.h"
#include "apps/stream.h"
#include "stack/base/stat.h"

#define MS      1000000u
#define TIMEOUT .init = stream_init, .timeout = 60

struct world {
	struct echo_server srv;
	uint16_t port;           /* 0: srv's own */
	const uint64_t *arrived; /* NULL: a stream from the server */
	unsigned conns;
	struct load_result res;
	uint64_t window[2]; /* *arrived, where the window opens and closes */
};

static void edge(void *ctx, int open)
{
	struct world *w = ctx;

	if (w->arrived)
		w->window[!open] = stat_read(w->arrived);
}

static void streams(void *arg)
{
	struct world *w = arg;
	struct pl_addr at = {.family = PL_AF_INET, .v4 = htonl(INADDR_LOOPBACK)};
	struct load_config cfg = {.net = PL_NET_KERNEL,
				  .conns = w->conns,
				  .size = STREAM_WRITE,
				  .warm_ns = 5 * MS,
				  .run_ns = 50 * MS,
				  .window = edge,
				  .window_ctx = w};

	if (!w->port) {
		cr_assert_eq(pl_listen(PL_NET_KERNEL, &at, 0, &w->srv.listener), 0);
		cr_assert_eq(pl_local_addr(w->srv.listener, &at), 0);
		cr_assert_eq(pl_go(echo_accept_loop, &w->srv), 0);
	} else {
		at.port = w->port;
	}
	cfg.addr = at;
	stream_run(&cfg, w->arrived, &w->res);
}

/* A busy machine may keep the lane off its cpu for all of a window: then another. */
static void run(struct world *w)
{
	static const struct pl_options opt;

	if (!w->conns)
		w->conns = 1;
	for (int i = 0; i < 20 && !w->res.units && !w->res.err; i++) {
		w->srv = (struct echo_server){.talk = w->srv.talk};
		cr_assert_eq(pl_run(&opt, streams, w), 0, "%s", pl_last_error());
	}
}

static void expect_good(const struct world *w)
{
	cr_assert_eq(w->res.err, 0, "%s: %s", w->res.what, pl_strerror(w->res.err));
	cr_assert(w->res.units > 0 && w->res.window_ns >= 50 * MS);
	if (w->arrived)
		cr_assert_leq(w->res.units, (w->window[1] - w->window[0]) / STREAM_MSS + 1);
}

Test(stream, test_stream_to_a_server_counts_what_arrived, TIMEOUT)
{
	for (unsigned conns = 1; conns <= 8; conns += 7) {
		struct world w = {.srv.talk = stream_take, .conns = conns};

		w.arrived = &w.srv.bytes;
		run(&w);
		expect_good(&w);
		cr_assert(w.srv.requests == conns && !w.srv.errors);
	}
}

Test(stream, test_stream_from_a_server_counts_what_arrived, TIMEOUT)
{
	for (unsigned conns = 1; conns <= 8; conns += 7) {
		struct world w = {.srv.talk = stream_give, .conns = conns};

		run(&w);
		expect_good(&w);
		cr_assert_geq(w.srv.bytes, w.res.units * STREAM_MSS);
		cr_assert_eq(w.srv.requests, conns);
	}
}

static struct plain_counts counts;
static int plain_ready;

static void *plain(void *arg)
{
	static const uint16_t any[PLAIN_ROLES];

	plain_ready = plain_epoll_run(any, &plain_ready, &counts);
	return arg;
}

static uint16_t plain_port(enum plain_role role)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int epfd, fd;

	plain_epoll_fds(role, &epfd, &fd);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	return ntohs(sin.sin_port);
}

static void plain_start(void)
{
	pthread_t t;
	int ready;

	cr_assert_eq(pthread_create(&t, NULL, plain, NULL), 0);
	do
		ready = __atomic_load_n(&plain_ready, __ATOMIC_ACQUIRE);
	while (!ready);
	cr_assert_eq(ready, 1);
}

Test(stream, test_stream_plain_c_moves_the_same_bytes, TIMEOUT)
{
	plain_start();
	for (unsigned conns = 1; conns <= 8; conns += 7) {
		struct world to = {.port = plain_port(PLAIN_TAKE),
				   .arrived = &counts.bytes[PLAIN_TAKE],
				   .conns = conns};
		struct world from = {.port = plain_port(PLAIN_GIVE), .conns = conns};

		run(&to);
		expect_good(&to);
		run(&from);
		expect_good(&from);
		cr_assert_geq(stat_read(&counts.bytes[PLAIN_GIVE]), from.res.units * STREAM_MSS);
	}
}

/* The FIN came in the segment of the last bytes: the echo read these, and waited for an edge that
 * was there already with the fd open for ever. */
Test(stream, test_stream_plain_c_echo_sees_a_fin_beside_bytes, TIMEOUT)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval patience = {.tv_sec = 20};
	char got[8];

	plain_start();
	at.sin_port = htons(plain_port(PLAIN_ECHO));
	for (int i = 0; i < 20; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
		cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
			     0);
		cr_assert_eq(send(fd, "ab", 2, MSG_MORE), 2);
		cr_assert_eq(shutdown(fd, SHUT_WR), 0);
		cr_assert_eq(recv(fd, got, sizeof(got), 0), 2);
		cr_assert_eq(recv(fd, got, sizeof(got), 0), 0, "the server keeps its end open");
		close(fd);
	}
}

/* ---- servers that are wrong ---- */

static ssize_t take_one_less(struct echo_server *srv, struct pl_conn *c)
{
	static uint8_t buf[STREAM_WRITE];
	uint64_t all = 0;
	ssize_t n;

	while ((n = pl_read(c, buf, sizeof(buf))) > 0) {
		all += (uint64_t)n;
		stat_add(&srv->bytes, (uint64_t)n);
	}
	all--;
	return pl_write(c, &all, sizeof(all));
}

static ssize_t take_and_hang_up(struct echo_server *srv, struct pl_conn *c)
{
	static uint8_t buf[STREAM_WRITE];

	(void)srv;
	while (pl_read(c, buf, sizeof(buf)) > 0)
		;
	return 0;
}

/* Right until it is not: one bit of a byte far inside, or the end. */
static ssize_t give_until(struct pl_conn *c, uint64_t bytes, bool flip)
{
	static uint8_t copy[STREAM_WRITE];
	struct stream_at s;
	const uint8_t *p;
	size_t len;

	stream_begin(&s, 7);
	for (;;) {
		p = stream_next(&s, &len);
		memcpy(copy, p, len);
		if (s.bytes >= bytes && !flip)
			return 0;
		if (s.bytes >= bytes)
			copy[len / 2] ^= 1;
		if (pl_write(c, copy, len) != (ssize_t)len)
			return -EPIPE;
		stream_sent(&s, len);
	}
}

static ssize_t give_wrong(struct echo_server *srv, struct pl_conn *c)
{
	(void)srv;
	return give_until(c, 1 << 20, true);
}

static ssize_t give_and_end(struct echo_server *srv, struct pl_conn *c)
{
	(void)srv;
	return give_until(c, 1 << 20, false);
}

static void expect_bad(ssize_t (*talk)(struct echo_server *, struct pl_conn *), bool to, int err,
		       const char *what)
{
	struct world w = {.srv.talk = talk};

	w.arrived = to ? &w.srv.bytes : NULL;
	run(&w);
	cr_assert_eq(w.res.err, err, "%d %s", w.res.err, w.res.what);
	cr_assert_str_eq(w.res.what, what);
}

Test(stream, test_stream_server_that_is_wrong_is_told, TIMEOUT)
{
	static const char other[] = "other bytes arrived than were sent";

	expect_bad(take_one_less, true, -EBADMSG, other);
	expect_bad(take_and_hang_up, true, -ECONNRESET, "read the server's verdict");
	expect_bad(give_wrong, false, -EBADMSG, other);
	expect_bad(give_and_end, false, -ECONNRESET, "read");
}

/* A client whose bytes are wrong has none of those that follow counted, and hears of it. */
static void sends_wrong(void *arg)
{
	struct world *w = arg;
	struct pl_addr at = {.family = PL_AF_INET, .v4 = htonl(INADDR_LOOPBACK)};
	uint64_t verdict = 0;
	struct pl_conn *c;

	cr_assert_eq(pl_listen(PL_NET_KERNEL, &at, 0, &w->srv.listener), 0);
	cr_assert_eq(pl_local_addr(w->srv.listener, &at), 0);
	cr_assert_eq(pl_go(echo_accept_loop, &w->srv), 0);
	cr_assert_eq(pl_dial(PL_NET_KERNEL, &at, 0, &c), 0);
	(void)give_until(c, 1 << 20, false);
	cr_assert_eq(pl_write(c, "wrong", 5), 5);
	cr_assert_eq(pl_shutdown(c, 1), 0);
	cr_assert_eq(pl_read(c, &verdict, sizeof(verdict)), sizeof(verdict));
	w->res.units = verdict;
	(void)pl_close(c);
}

Test(stream, test_stream_bytes_after_a_wrong_one_never_count, TIMEOUT)
{
	static const struct pl_options opt;
	struct world w = {.srv.talk = stream_take};

	cr_assert_eq(pl_run(&opt, sends_wrong, &w), 0, "%s", pl_last_error());
	cr_assert_eq(w.res.units, w.srv.bytes);
	cr_assert_lt(w.res.units, (1 << 20) + STREAM_HEAD + STREAM_WRITE + 5);
	cr_assert_gt(w.res.units, (1 << 20) - STREAM_WRITE);
}
