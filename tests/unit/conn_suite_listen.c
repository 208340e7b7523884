/* SPDX-License-Identifier: BSD-3-Clause */
/* The conn suite: a thousand connections, the backlog, addresses that cannot be had;
 * vectors and raw calls. */
#include "conn_suite_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poller/lane.h"

/* ---- many ---- */

struct many {
	struct pair p;
	int want, served, dialled, ended;
};

struct many_conn {
	struct many *m;
	struct pl_conn *c;
};

static void g_many_serve(void *arg)
{
	struct many_conn *mc = arg;
	char buf[64];
	ssize_t n;

	while ((n = pl_read(mc->c, buf, sizeof(buf))) > 0)
		EQ(mc->m->p.e, pl_write(mc->c, buf, (size_t)n), n);
	EQ(mc->m->p.e, n, 0);
	close_checked(mc->m->p.e, &mc->c);
	mc->m->served++;
	free(mc);
}

static void g_many_accept(void *arg)
{
	struct many *m = arg;
	struct many_conn *mc;

	if (listen_any(m->p.e, 0, &m->p.addr, &m->p.l))
		return;
	for (int i = 0; i < m->want; i++) {
		mc = calloc(1, sizeof(*mc));
		mc->m = m;
		EQ(m->p.e, pl_accept(m->p.l, &mc->c), 0);
		if (!mc->c)
			break;
		EQ(m->p.e, pl_go(g_many_serve, mc), 0);
	}
	close_checked(m->p.e, &m->p.l);
}

/* Every connection is open at once before the first byte is sent. */
static void g_many_client(void *arg)
{
	struct many *m = arg;
	struct pl_conn *c = NULL;
	char out[16], in[16];
	int n;

	EQ(m->p.e, pl_dial(m->p.e->net, &m->p.addr, 0, &c), 0);
	n = snprintf(out, sizeof(out), "client %d", m->dialled++);
	while (m->dialled < m->want && !m->p.e->nr_fail)
		pl_sleep(MS);
	if (c) {
		EQ(m->p.e, pl_write(c, out, (size_t)n), n);
		EQ(m->p.e, read_full(c, in, (size_t)n), n);
		EQ(m->p.e, memcmp(in, out, (size_t)n), 0);
	}
	close_checked(m->p.e, &c);
	m->ended++;
}

static void g_many_start(void *arg)
{
	struct many *m = arg;

	while (!m->p.addr.port && !m->p.e->nr_fail)
		pl_yield();
	for (int i = 0; i < m->want; i++)
		EQ(m->p.e, pl_go(g_many_client, m), 0);
}

void conn_case_thousand_connections(struct conn_env *e)
{
	struct many m = {.p.e = e, .want = 1000};

	EQ(e, lane_go(e->srv, g_many_accept, &m, "many_accept"), 0);
	EQ(e, lane_go(e->cli, g_many_start, &m, "many_start"), 0);
	run(e);
	EQ(e, m.served, m.want);
	EQ(e, m.ended, m.want);
}

/* ---- listening ---- */

#define BACKLOG 8

static void g_backlog_server(void *arg)
{
	struct pair *p = arg;
	struct pl_conn *s = NULL;
	char b;

	if (listen_any(p->e, BACKLOG, &p->addr, &p->l))
		return;
	while (p->a < BACKLOG && !p->e->nr_fail)
		pl_sleep(MS);
	for (int i = 0; i < BACKLOG; i++) {
		EQ(p->e, pl_accept(p->l, &s), 0);
		EQ(p->e, pl_read(s, &b, 1), 1);
		/* oldest first */
		EQ(p->e, b, 'a' + i);
		close_checked(p->e, &s);
	}
	close_checked(p->e, &p->l);
}

static void g_backlog_client(void *arg)
{
	struct pair *p = arg;
	struct pl_conn *c[BACKLOG] = {0};
	char b;

	while (!p->addr.port && !p->e->nr_fail)
		pl_yield();
	for (p->a = 0; p->a < BACKLOG; p->a++) {
		EQ(p->e, pl_dial(p->e->net, &p->addr, pl_now() + 1000 * MS, &c[p->a]), 0);
		if (!c[p->a])
			break;
		b = (char)('a' + p->a);
		EQ(p->e, pl_write(c[p->a], &b, 1), 1);
	}
	for (int i = 0; i < BACKLOG && c[i]; i++) {
		EQ(p->e, pl_read(c[i], &b, 1), 0);
		close_checked(p->e, &c[i]);
	}
}

void conn_case_backlog_holds_unaccepted(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_backlog_server, &p, "backlog_server"), 0);
	EQ(e, lane_go(e->cli, g_backlog_client, &p, "backlog_client"), 0);
	run(e);
}

static void g_address_in_use(void *arg)
{
	struct pair *p = arg;
	struct pl_conn *second = NULL;

	if (listen_any(p->e, 0, &p->addr, &p->l))
		return;
	EQ(p->e, pl_listen(p->e->net, &p->addr, 0, &second), -EADDRINUSE);
	OK(p->e, !second);
	close_checked(p->e, &p->l);
	EQ(p->e, pl_listen(p->e->net, &p->addr, 0, &second), 0);
	close_checked(p->e, &second);
}

void conn_case_address_in_use(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_address_in_use, &p, "address_in_use"), 0);
	run(e);
}

/* The listener is gone, its connection open, and then in TIME-WAIT. */
static void srv_comes_back(struct pair *p)
{
	struct pl_conn *again = NULL;

	EQ(p->e, pl_listen(p->e->net, &p->addr, 0, &again), 0);
	close_checked(p->e, &again);
	close_checked(p->e, &p->s);
	while (!p->done && !p->e->nr_fail)
		pl_sleep(MS);
	EQ(p->e, pl_listen(p->e->net, &p->addr, 0, &again), 0);
	close_checked(p->e, &again);
}

static void cli_sees_the_end(struct pair *p)
{
	char b;

	EQ(p->e, pl_read(p->c, &b, 1), 0);
	close_checked(p->e, &p->c);
	p->done = 1;
}

void conn_case_server_comes_back(struct conn_env *e)
{
	run_pair(e, srv_comes_back, cli_sees_the_end);
}

static void g_bad_addresses(void *arg)
{
	struct conn_env *e = arg;
	struct pl_addr v6 = {.family = PL_AF_INET6, .port = 7};
	struct pl_addr none = {.port = 7};
	struct pl_addr a = {.family = PL_AF_INET, .port = 0, .v4 = e->srv_ip};
	struct pl_conn *c = NULL;

	EQ(e, pl_listen(e->net, &v6, 0, &c), -EAFNOSUPPORT);
	EQ(e, pl_dial(e->net, &v6, 0, &c), -EAFNOSUPPORT);
	EQ(e, pl_listen(e->net, &none, 0, &c), -EAFNOSUPPORT);
	EQ(e, pl_dial(e->net, &a, 0, &c), -EINVAL);
	a.port = 7007;
	memcpy(&a.v4, (uint8_t[]){224, 0, 0, 1}, 4);
	EQ(e, pl_dial(e->net, &a, 0, &c), -EINVAL);
	EQ(e, pl_listen(e->net, &a, 0, &c), -EADDRNOTAVAIL);
	memcpy(&a.v4, (uint8_t[]){255, 255, 255, 255}, 4);
	EQ(e, pl_dial(e->net, &a, 0, &c), -EINVAL);
	a.v4 = e->foreign_ip;
	EQ(e, pl_listen(e->net, &a, 0, &c), -EADDRNOTAVAIL);
	OK(e, !c);
}

void conn_case_bad_addresses(struct conn_env *e)
{
	EQ(e, lane_go(e->srv, g_bad_addresses, e, "bad_addresses"), 0);
	run(e);
}

/* ---- vectors, raw ---- */

#define VEC_BYTES (300u * 1000u)

static uint8_t vec_byte(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static void srv_vectors(struct pair *p)
{
	static uint8_t out[VEC_BYTES];
	struct iovec iov[20] = {{out, 1}, {NULL, 0}, {out + 1, VEC_BYTES - 18}};

	for (size_t i = 0; i < VEC_BYTES; i++)
		out[i] = vec_byte(i);
	for (int i = 3; i < 20; i++)
		iov[i] = (struct iovec){out + VEC_BYTES - 20 + i, 1};
	EQ(p->e, pl_writev(p->s, iov, 20), VEC_BYTES);
	EQ(p->e, pl_writev(p->s, iov, -1), -EINVAL);
	EQ(p->e, pl_writev(p->s, iov, 0), 0);
	EQ(p->e, pl_shutdown(p->s, 1), 0);
	/* half closed: the other direction goes on */
	EQ(p->e, pl_read(p->s, out, 10), 3);
}

static void cli_vectors(struct pair *p)
{
	static uint8_t in[3][700];
	struct iovec iov[4] = {{in[0], 5}, {NULL, 0}, {in[1], 700}, {in[2], 31}};
	size_t got = 0, bad = 0;
	ssize_t n;

	while ((n = pl_readv(p->c, iov, 4)) > 0) {
		size_t at = 0;

		for (int v = 0; v < 4; v++)
			for (size_t i = 0; i < iov[v].iov_len && at < (size_t)n; i++, at++)
				bad += ((uint8_t *)iov[v].iov_base)[i] != vec_byte(got + at);
		got += (size_t)n;
	}
	EQ(p->e, n, 0);
	EQ(p->e, got, VEC_BYTES);
	EQ(p->e, bad, 0);
	EQ(p->e, pl_readv(p->c, iov, -1), -EINVAL);
	EQ(p->e, pl_write(p->c, "end", 3), 3);
}

void conn_case_vectors_of_buffers(struct conn_env *e)
{
	run_pair(e, srv_vectors, cli_vectors);
}

static ssize_t raw_done(int fd, void *arg)
{
	*(int *)arg = fd;
	return 42;
}

static void cli_raw(struct pair *p)
{
	int fd = pl_conn_fd(p->c), seen = -1;

	if (fd < 0) {
		EQ(p->e, fd, -EOPNOTSUPP);
		EQ(p->e, pl_raw_read(p->c, raw_done, &seen), -EOPNOTSUPP);
		EQ(p->e, pl_raw_write(p->c, raw_done, &seen), -EOPNOTSUPP);
		EQ(p->e, seen, -1);
	} else {
		EQ(p->e, pl_raw_read(p->c, raw_done, &seen), 42);
		EQ(p->e, seen, fd);
		EQ(p->e, pl_raw_write(p->c, raw_done, &seen), 42);
	}
	cli_echo(p);
}

void conn_case_R55_raw_needs_a_kernel_fd_by_readiness(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_raw);
}
