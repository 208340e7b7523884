/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conn suite: socket options. What the kernel answers is the measure; the stack has to say the
 * same.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "conn_suite_int.h"
#include "poller/lane.h"

struct row {
	int level, name, val, err, got;
};

static int set(struct pl_conn *c, int level, int name, int val)
{
	return pl_setsockopt(c, level, name, &val, sizeof(val));
}

static int get(struct pl_conn *c, int level, int name)
{
	uint32_t len = sizeof(int);
	int val = -9999, err = pl_getsockopt(c, level, name, &val, &len);

	return err ? err : len == sizeof(int) ? val : -9998;
}

/* Set val, see err, then read got. */
static const struct row rows[] = {
	{IPPROTO_TCP, TCP_NODELAY, 7, 0, 1},
	{IPPROTO_TCP, TCP_NODELAY, 0, 0, 0},
	{IPPROTO_TCP, TCP_CORK, 1, 0, 1},
	{IPPROTO_TCP, TCP_CORK, 0, 0, 0},
	{IPPROTO_TCP, TCP_QUICKACK, 0, 0, 0},
	{IPPROTO_TCP, TCP_QUICKACK, 1, 0, 1},
	{IPPROTO_TCP, TCP_KEEPIDLE, 0, -EINVAL, 7200},
	{IPPROTO_TCP, TCP_KEEPIDLE, 32768, -EINVAL, 7200},
	{IPPROTO_TCP, TCP_KEEPIDLE, 11, 0, 11},
	{IPPROTO_TCP, TCP_KEEPINTVL, 0, -EINVAL, 75},
	{IPPROTO_TCP, TCP_KEEPINTVL, 12, 0, 12},
	{IPPROTO_TCP, TCP_KEEPCNT, 128, -EINVAL, 9},
	{IPPROTO_TCP, TCP_KEEPCNT, 13, 0, 13},
	{IPPROTO_TCP, TCP_SYNCNT, 128, -EINVAL, 6},
	{IPPROTO_TCP, TCP_SYNCNT, 3, 0, 3},
	{IPPROTO_TCP, TCP_LINGER2, -1, 0, -1},
	{IPPROTO_TCP, TCP_LINGER2, 17, 0, 17},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, 2, 0, 3},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, 0, 0},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, -1, -EINVAL, 0},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, 30000, 0, 30000},
	{IPPROTO_TCP, TCP_INQ, 2, -EINVAL, 0},
	{IPPROTO_TCP, TCP_INQ, 1, 0, 1},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 100000, 0, 100000},
	{SOL_SOCKET, SO_KEEPALIVE, 7, 0, 1},
	{SOL_SOCKET, SO_REUSEADDR, 1, 0, 1},
	{SOL_SOCKET, SO_OOBINLINE, 1, 0, 1},
	{SOL_SOCKET, SO_TYPE, 1, -ENOPROTOOPT, SOCK_STREAM},
	{SOL_SOCKET, SO_PROTOCOL, 1, -ENOPROTOOPT, IPPROTO_TCP},
	{SOL_SOCKET, SO_DOMAIN, 1, -ENOPROTOOPT, AF_INET},
	{SOL_SOCKET, SO_ACCEPTCONN, 1, -ENOPROTOOPT, 0},
	{SOL_SOCKET, SO_ERROR, 1, -ENOPROTOOPT, 0},
	{SOL_SOCKET, SO_SNDBUF, 20000, 0, 40000},
	{SOL_SOCKET, SO_SNDBUF, 1, 0, 4608},
	{SOL_SOCKET, SO_RCVBUF, 20000, 0, 40000},
	{SOL_SOCKET, SO_RCVBUF, 1, 0, 2304},
	{SOL_SOCKET, SO_RCVBUF, 100000, 0, 200000},
	{SOL_SOCKET, SO_RCVLOWAT, 0, 0, 1},
	{IPPROTO_IP, IP_TOS, 0x10, 0, 0x10},
	{IPPROTO_IP, IP_TTL, 256, -EINVAL, 64},
	{IPPROTO_IP, IP_TTL, 0, -EINVAL, 64},
	{IPPROTO_IP, IP_TTL, 33, 0, 33},
	{IPPROTO_IP, IP_TTL, -1, 0, 64},
	{IPPROTO_IP, IP_MTU_DISCOVER, 6, -EINVAL, IP_PMTUDISC_WANT},
	{IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, 0, IP_PMTUDISC_DO},
	{IPPROTO_TCP, 9999, 1, -ENOPROTOOPT, -ENOPROTOOPT},
	{IPPROTO_IP, 9999, 1, -ENOPROTOOPT, -ENOPROTOOPT},
	{SOL_SOCKET, 9999, 1, -ENOPROTOOPT, -ENOPROTOOPT},
};

static void check_rows(struct pair *p)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		int err = set(p->c, r->level, r->name, r->val), got;

		if (err != r->err)
			conn_suite_note(p->e, __FILE_NAME__, (int)i, "set of row", err, r->err);
		got = get(p->c, r->level, r->name);
		if (got != r->got)
			conn_suite_note(p->e, __FILE_NAME__, (int)i, "get of row", got, r->got);
	}
}

static void cli_linux_options(struct pair *p)
{
	struct linger l = {1, 5}, l2;
	uint32_t len = sizeof(l2);
	char ca[16] = "";
	int v = 1;

	/* on by default, as in Go */
	EQ(p->e, get(p->c, IPPROTO_TCP, TCP_NODELAY), 1);
	check_rows(p);
	EQ(p->e, pl_setsockopt(p->c, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	EQ(p->e, pl_getsockopt(p->c, SOL_SOCKET, SO_LINGER, &l2, &len), 0);
	EQ(p->e, memcmp(&l, &l2, sizeof(l)), 0);
	l.l_onoff = 0;
	EQ(p->e, pl_setsockopt(p->c, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	EQ(p->e, pl_setsockopt(p->c, SOL_SOCKET, SO_LINGER, &l, 4), -EINVAL);
	EQ(p->e, pl_setsockopt(p->c, IPPROTO_TCP, TCP_NODELAY, &v, 3), -EINVAL);
	EQ(p->e, pl_setsockopt(p->c, IPPROTO_TCP, TCP_NODELAY, NULL, 4), -EINVAL);
	EQ(p->e, pl_setsockopt(p->c, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
	len = sizeof(ca);
	EQ(p->e, pl_getsockopt(p->c, IPPROTO_TCP, TCP_CONGESTION, ca, &len), 0);
	EQ(p->e, strcmp(ca, "reno"), 0);
	EQ(p->e, len, sizeof(ca));
	len = 2;
	EQ(p->e, pl_getsockopt(p->c, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
	EQ(p->e, len, 2);
}

void conn_case_options_are_linux_s(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_linux_options);
}

static const struct row kept[] = {
	{IPPROTO_TCP, TCP_NODELAY, 0, 0, 0},          {IPPROTO_TCP, TCP_KEEPIDLE, 21, 0, 0},
	{IPPROTO_TCP, TCP_KEEPINTVL, 22, 0, 0},       {IPPROTO_TCP, TCP_KEEPCNT, 23, 0, 0},
	{IPPROTO_TCP, TCP_LINGER2, 24, 0, 0},         {IPPROTO_TCP, TCP_USER_TIMEOUT, 2500, 0, 0},
	{SOL_SOCKET, SO_KEEPALIVE, 1, 0, 0},          {SOL_SOCKET, SO_SNDBUF, 30000, 0, 0},
	{SOL_SOCKET, SO_RCVBUF, 50000, 0, 0},         {IPPROTO_IP, IP_TTL, 44, 0, 0},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 9000, 0, 0},
};

static void srv_inherits(struct pair *p)
{
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		EQ(p->e, get(p->s, kept[i].level, kept[i].name),
		   get(p->l, kept[i].level, kept[i].name));
	EQ(p->e, get(p->l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	EQ(p->e, get(p->s, SOL_SOCKET, SO_ACCEPTCONN), 0);
	EQ(p->e, get(p->l, IPPROTO_IP, IP_MTU), -ENOTCONN);
	EQ(p->e, pl_inq(p->l), -EINVAL);
	EQ(p->e, pl_outq(p->l), -EINVAL);
	p->a = 1;
}

static void go_inherit(void *arg)
{
	struct pair *p = arg;
	struct pl_addr a;

	if (listen_any(p->e, 0, &a, &p->l))
		return;
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		EQ(p->e, set(p->l, kept[i].level, kept[i].name, kept[i].val), 0);
	p->addr = a;
	EQ(p->e, pl_accept(p->l, &p->s), 0);
	if (p->s)
		srv_inherits(p);
	close_checked(p->e, &p->s);
	close_checked(p->e, &p->l);
}

static void cli_eof(struct pair *p)
{
	char b;

	EQ(p->e, pl_read(p->c, &b, 1), 0);
}

void conn_case_options_of_listener_are_inherited(struct conn_env *e)
{
	struct pair p = {.e = e, .cli = cli_eof};

	EQ(e, lane_go(e->srv, go_inherit, &p, "inherit"), 0);
	EQ(e, lane_go(e->cli, pair_client, &p, "pair_client"), 0);
	run(e);
}

static void srv_wait(struct pair *p)
{
	char buf[1000];

	EQ(p->e, read_full(p->s, buf, sizeof(buf)), sizeof(buf));
	/* a byte says that it was read; then the end */
	EQ(p->e, pl_write(p->s, buf, 1), 1);
	EQ(p->e, pl_read(p->s, buf, 1), 0);
}

static void cli_tell(struct pair *p)
{
	uint32_t len = sizeof(struct tcp_info);
	char buf[1000] = {0};
	struct tcp_info i;

	OK(p->e, get(p->c, IPPROTO_IP, IP_MTU) >= 576);
	OK(p->e, get(p->c, IPPROTO_TCP, TCP_MAXSEG) >= 536);
	EQ(p->e, pl_write(p->c, buf, sizeof(buf)), sizeof(buf));
	EQ(p->e, pl_read(p->c, buf, 1), 1);
	EQ(p->e, pl_getsockopt(p->c, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	OK(p->e, len >= offsetof(struct tcp_info, tcpi_snd_wnd));
	EQ(p->e, i.tcpi_state, 1);
	EQ(p->e, i.tcpi_bytes_acked, 1001); /* and the SYN */
	EQ(p->e, i.tcpi_bytes_received, 1);
	EQ(p->e, i.tcpi_unacked, 0);
	EQ(p->e, i.tcpi_data_segs_out, 1);
	EQ(p->e, i.tcpi_data_segs_in, 1);
	EQ(p->e, i.tcpi_total_retrans, 0);
	OK(p->e, i.tcpi_snd_mss >= 536 && i.tcpi_rtt && i.tcpi_snd_cwnd >= 2);
	len = 1;
	EQ(p->e, pl_getsockopt(p->c, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	EQ(p->e, len, 1);
}

void conn_case_options_tell_of_connection(struct conn_env *e)
{
	run_pair(e, srv_wait, cli_tell);
}

static void srv_queue(struct pair *p)
{
	char buf[1000];

	while (pl_inq(p->s) < 1000 && !p->e->nr_fail)
		pl_sleep(MS);
	EQ(p->e, pl_inq(p->s), 1000);
	EQ(p->e, pl_read(p->s, buf, 300), 300);
	EQ(p->e, pl_inq(p->s), 700);
	EQ(p->e, pl_read(p->s, buf, 1000), 700);
	EQ(p->e, pl_inq(p->s), 0);
	EQ(p->e, pl_read(p->s, buf, 1), 0);
}

static void cli_queue(struct pair *p)
{
	char buf[1000] = {0};

	EQ(p->e, pl_write(p->c, buf, sizeof(buf)), sizeof(buf));
	while (pl_outq(p->c) > 0 && !p->e->nr_fail)
		pl_sleep(MS);
	EQ(p->e, pl_outq(p->c), 0);
	pl_sleep(20 * MS);
}

void conn_case_lengths_of_queues(struct conn_env *e)
{
	run_pair(e, srv_queue, cli_queue);
}

/* ---- options that the SYN carries ---- */

static void g_accepts_small(void *arg)
{
	struct pair *p = arg;

	if (listen_any(p->e, 0, &p->addr, &p->l))
		return;
	EQ(p->e, pl_accept(p->l, &p->s), 0);
	if (p->s)
		OK(p->e, get(p->s, IPPROTO_TCP, TCP_MAXSEG) <= 500);
	close_checked(p->e, &p->s);
	close_checked(p->e, &p->l);
}

static int wants_small(struct pl_conn *c, void *arg)
{
	struct pair *p = arg;

	p->a++;
	return set(c, IPPROTO_TCP, TCP_MAXSEG, 500);
}

static int refuses(struct pl_conn *c, void *arg)
{
	(void)c;
	return *(int *)arg;
}

static void g_dials_small(void *arg)
{
	int no[] = {-EACCES, -EINPROGRESS, 7};
	struct pair *p = arg;

	while (!p->addr.port && !p->e->nr_fail)
		pl_yield();
	for (unsigned i = 0; i < 3; i++)
		EQ(p->e, pl_dial_control(p->e->net, &p->addr, 0, refuses, &no[i], &p->c), no[i]);
	OK(p->e, !p->c);
	EQ(p->e, pl_dial_control(p->e->net, &p->addr, 0, wants_small, p, &p->c), 0);
	EQ(p->e, p->a, 1);
	close_checked(p->e, &p->c);
	/* before the handshake ends, as it does with pl_dial */
	p->addr.port = 1;
	EQ(p->e, pl_dial_control(p->e->net, &p->addr, 0, wants_small, p, &p->c), -ECONNREFUSED);
	EQ(p->e, p->a, 2);
}

void conn_case_options_before_the_syn(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_accepts_small, &p, "accepts_small"), 0);
	EQ(e, lane_go(e->cli, g_dials_small, &p, "dials_small"), 0);
	run(e);
}

/* ---- before bind ---- */

/* It is no listener yet, and is bound to nothing; Go's default is set before its Control, too. */
static int small_and_unbound(struct pl_conn *c, void *arg)
{
	struct pair *p = arg;
	struct pl_addr at = {0};

	p->a++;
	EQ(p->e, get(c, SOL_SOCKET, SO_ACCEPTCONN), 0);
	EQ(p->e, get(c, SOL_SOCKET, SO_REUSEADDR), 1);
	EQ(p->e, pl_local_addr(c, &at), 0);
	EQ(p->e, at.port, 0);
	return set(c, IPPROTO_TCP, TCP_MAXSEG, 500);
}

static void g_listens_small(void *arg)
{
	struct pair *p = arg;
	int no[] = {-EACCES, -EAGAIN, 7};
	struct pl_addr at;

	/* a refusal leaves no port, fd or conn behind */
	if (listen_any(p->e, 0, &at, &p->l))
		return;
	close_checked(p->e, &p->l);
	p->l = NULL;
	for (unsigned i = 0; i < 3; i++)
		EQ(p->e, pl_listen_control(p->e->net, &at, 0, refuses, &no[i], &p->l), no[i]);
	OK(p->e, !p->l);
	EQ(p->e, pl_listen_control(p->e->net, &at, 0, small_and_unbound, p, &p->l), 0);
	EQ(p->e, p->a, 1);
	EQ(p->e, get(p->l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	p->addr = at;
	EQ(p->e, pl_accept(p->l, &p->s), 0);
	close_checked(p->e, &p->s);
	close_checked(p->e, &p->l);
}

/* The SYN-ACK said 500. */
static void g_dials_the_small(void *arg)
{
	struct pair *p = arg;

	while (!p->addr.port && !p->e->nr_fail)
		pl_yield();
	EQ(p->e, pl_dial(p->e->net, &p->addr, 0, &p->c), 0);
	if (p->c)
		OK(p->e, get(p->c, IPPROTO_TCP, TCP_MAXSEG) <= 500);
	close_checked(p->e, &p->c);
}

void conn_case_options_before_the_bind(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_listens_small, &p, "listens_small"), 0);
	EQ(e, lane_go(e->cli, g_dials_the_small, &p, "dials_the_small"), 0);
	run(e);
}

static int share_port(struct pl_conn *c, void *arg)
{
	(void)arg;
	return set(c, SOL_SOCKET, SO_REUSEPORT, 1);
}

static int listen_at(struct pair *p, int (*control)(struct pl_conn *, void *), struct pl_conn **ret)
{
	*ret = NULL;
	return pl_listen_control(p->e->net, &p->addr, 0, control, NULL, ret);
}

/* Linux's rule: all of them have to say SO_REUSEPORT, before they are bound. */
static void g_shares_a_port(void *arg)
{
	struct pair *p = arg;
	struct pl_conn *more = NULL;

	if (listen_any(p->e, 0, &p->addr, &p->l))
		return;
	EQ(p->e, listen_at(p, share_port, &more), -EADDRINUSE);
	close_checked(p->e, &p->l);
	EQ(p->e, listen_at(p, share_port, &p->l), 0);
	EQ(p->e, listen_at(p, NULL, &more), -EADDRINUSE);
	OK(p->e, !more);
	EQ(p->e, listen_at(p, share_port, &more), 0);
	close_checked(p->e, &p->l);
	close_checked(p->e, &more);
}

void conn_case_listen_control_shares_a_port(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_shares_a_port, &p, "shares_a_port"), 0);
	run(e);
}
