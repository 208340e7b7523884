/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conn suite: calls on a conn whose pl_close() has returned, which a program should not make,
 * and which must come out as conn.h says.
 */
#include "conn_suite_int.h"

#include <errno.h>
#include <sys/socket.h>

#include "poller/lane.h"

static ssize_t raw_nothing(int fd, void *arg)
{
	(void)fd;
	(void)arg;
	return 0;
}

/* all_say_ebadf - every call on a conn, whose pl_close() has returned. */
static void all_say_ebadf(struct conn_env *e, struct pl_conn *c)
{
	struct iovec iov = {.iov_base = (char[4]){0}, .iov_len = 4};
	struct pl_conn *other;
	struct pl_addr a;
	int val = 1;
	uint32_t len = sizeof(val);

	EQ(e, pl_close(c), -EBADF);
	EQ(e, pl_read(c, iov.iov_base, 4), -EBADF);
	EQ(e, pl_write(c, iov.iov_base, 4), -EBADF);
	EQ(e, pl_read(c, iov.iov_base, 0), -EBADF);
	EQ(e, pl_readv(c, &iov, 1), -EBADF);
	EQ(e, pl_writev(c, &iov, 1), -EBADF);
	EQ(e, pl_raw_read(c, raw_nothing, NULL), -EBADF);
	EQ(e, pl_raw_write(c, raw_nothing, NULL), -EBADF);
	EQ(e, pl_accept(c, &other), -EBADF);
	EQ(e, pl_shutdown(c, 2), -EBADF);
	EQ(e, pl_set_deadline(c, 1), -EBADF);
	EQ(e, pl_set_read_deadline(c, 0), -EBADF);
	EQ(e, pl_set_write_deadline(c, 1), -EBADF);
	EQ(e, pl_set_nodelay(c, 1), -EBADF);
	EQ(e, pl_setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &val, sizeof(val)), -EBADF);
	EQ(e, pl_getsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &val, &len), -EBADF);
	EQ(e, pl_inq(c), -EBADF);
	EQ(e, pl_outq(c), -EBADF);
	EQ(e, pl_local_addr(c, &a), -EBADF);
	EQ(e, pl_peer_addr(c, &a), -EBADF);
	EQ(e, pl_conn_fd(c), -EBADF);
	EQ(e, pl_close(c), -EBADF);
}

/* Opened and closed again, on the lane of whoever calls. */
static struct pl_conn *one_more(struct conn_env *e)
{
	struct pl_conn *l = NULL;
	struct pl_addr a;

	if (!listen_any(e, 0, &a, &l))
		EQ(e, pl_close(l), 0);
	return l;
}

/* The 64 that conn.h promises; and the same memory is used again at last, or it would grow. */
static void g_use_after_close(void *arg)
{
	struct pair *p = arg;
	struct pl_conn *old = one_more(p->e);
	int later = 1;

	for (int i = 0; i < 64 && !p->e->nr_fail; i++) {
		all_say_ebadf(p->e, old);
		OK(p->e, one_more(p->e) != old);
	}
	all_say_ebadf(p->e, old);
	while (later < 10 && one_more(p->e) != old)
		later++;
	OK(p->e, later < 10);
	all_say_ebadf(p->e, old);
}

void conn_case_use_after_close_says_ebadf(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_use_after_close, &p, "use_after_close"), 0);
	run(e);
}

/* Both ends of a connection, with the other one still alive: nothing of it reaches that. */
static void cli_close_first(struct pair *p)
{
	struct pl_conn *c = p->c;
	char b;

	EQ(p->e, pl_write(c, "x", 1), 1);
	EQ(p->e, pl_read(c, &b, 1), 1);
	EQ(p->e, pl_close(c), 0);
	p->c = NULL;
	all_say_ebadf(p->e, c);
}

void conn_case_use_after_close_of_a_connection_says_ebadf(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_close_first);
}
