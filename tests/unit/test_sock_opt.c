/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options: what is refused, what a value becomes, what a child inherits, and what NODELAY,
 * CORK, QUICKACK, MAXSEG, NOTSENT_LOWAT, RCVLOWAT, LINGER, TOS and TTL do (RFC 9293 3.7.4, 3.7.1,
 * 1122 4.2.3). The expected numbers are what Linux 6 answers to the same calls.
 */
#include "seg.h"

#include <limits.h>

static int set(struct sock *sk, int level, int name, int val)
{
	return sock_setopt_int(sk, level, name, val);
}

static int get(struct sock *sk, int level, int name)
{
	uint32_t len = sizeof(int);
	int val = -12345, err = sock_getopt(sk, level, name, &val, &len);

	cr_assert(err || len == sizeof(int));
	return err ? err : val;
}

static struct sock *begin(struct bench *b)
{
	struct sock *sk;

	bench_begin(b, NULL, 1024);
	cr_assert_eq(sock_create(b->st, SK_AF_INET, &sk), 0);
	return sk;
}

struct row {
	int level, name, val, err, got;
};

#define T(name, ...)                                                                               \
	{                                                                                          \
		SK_SOL_TCP, SK_##name, __VA_ARGS__                                                 \
	}
#define S(name, ...)                                                                               \
	{                                                                                          \
		SK_SOL_SOCKET, SK_##name, __VA_ARGS__                                              \
	}
#define I(name, ...)                                                                               \
	{                                                                                          \
		SK_SOL_IP, SK_##name, __VA_ARGS__                                                  \
	}

/* On a fresh socket: set val, see err, and then read got. */
static const struct row rows[] = {
	T(TCP_NODELAY, 5, 0, 1),
	T(TCP_NODELAY, 0, 0, 0),
	T(TCP_CORK, 2, 0, 1),
	T(TCP_CORK, 0, 0, 0),
	T(TCP_QUICKACK, 0, 0, 0),
	T(TCP_QUICKACK, 1, 0, 1),
	T(TCP_MAXSEG, 87, -EINVAL, 536),
	T(TCP_MAXSEG, 32768, -EINVAL, 536),
	T(TCP_MAXSEG, 88, 0, 88),
	T(TCP_MAXSEG, 1000, 0, 1000),
	T(TCP_MAXSEG, 0, 0, 536),
	T(TCP_KEEPIDLE, 0, -EINVAL, 7200),
	T(TCP_KEEPIDLE, 32768, -EINVAL, 7200),
	T(TCP_KEEPIDLE, 32767, 0, 32767),
	T(TCP_KEEPINTVL, 0, -EINVAL, 75),
	T(TCP_KEEPINTVL, 10, 0, 10),
	T(TCP_KEEPCNT, 128, -EINVAL, 9),
	T(TCP_KEEPCNT, 127, 0, 127),
	T(TCP_SYNCNT, 0, -EINVAL, 6),
	T(TCP_SYNCNT, 128, -EINVAL, 6),
	T(TCP_SYNCNT, 2, 0, 2),
	T(TCP_LINGER2, -7, 0, -1),
	T(TCP_LINGER2, 121, 0, 120),
	T(TCP_LINGER2, 17, 0, 17),
	T(TCP_LINGER2, 0, 0, 60),
	T(TCP_DEFER_ACCEPT, -1, 0, 0),
	T(TCP_DEFER_ACCEPT, 1, 0, 1),
	T(TCP_DEFER_ACCEPT, 2, 0, 3),
	T(TCP_DEFER_ACCEPT, 5, 0, 7),
	T(TCP_DEFER_ACCEPT, 0, 0, 0),
	T(TCP_WINDOW_CLAMP, 100, 0, 1152),
	T(TCP_WINDOW_CLAMP, -1, 0, 1152),
	T(TCP_WINDOW_CLAMP, INT_MIN, 0, 1152),
	T(TCP_WINDOW_CLAMP, 65535, 0, 65535),
	T(TCP_USER_TIMEOUT, -1, -EINVAL, 0),
	T(TCP_USER_TIMEOUT, 3000, 0, 3000),
	T(TCP_NOTSENT_LOWAT, 20000, 0, 20000),
	T(TCP_NOTSENT_LOWAT, -1, 0, -1),
	T(TCP_NOTSENT_LOWAT, 0, 0, 0),
	T(TCP_INQ, 2, -EINVAL, 0),
	T(TCP_INQ, 1, 0, 1),
	T(TCP_TIMESTAMP, 1, -EPERM, 0),
	S(SO_REUSEADDR, 7, 0, 1),
	S(SO_REUSEPORT, 7, 0, 1),
	S(SO_KEEPALIVE, 7, 0, 1),
	S(SO_OOBINLINE, 1, 0, 1),
	S(SO_OOBINLINE, 0, -EINVAL, 1),
	S(SO_TYPE, 1, -ENOPROTOOPT, 1),
	S(SO_ERROR, 1, -ENOPROTOOPT, 0),
	S(SO_PROTOCOL, 6, -ENOPROTOOPT, 6),
	S(SO_DOMAIN, 2, -ENOPROTOOPT, 2),
	S(SO_ACCEPTCONN, 1, -ENOPROTOOPT, 0),
	S(SO_SNDLOWAT, 2, -ENOPROTOOPT, 1),
	S(SO_SNDBUF, 10000, 0, 20000),
	S(SO_SNDBUF, 0, 0, 4608),
	S(SO_SNDBUF, INT_MAX, 0, 8 << 20),
	S(SO_SNDBUFFORCE, 8 << 20, 0, -ENOPROTOOPT),
	S(SO_RCVBUF, 10000, 0, 20000),
	S(SO_RCVBUF, 1, 0, 2304),
	S(SO_RCVBUF, -1, 0, 8 << 20),
	S(SO_RCVLOWAT, 0, 0, 1),
	S(SO_RCVLOWAT, 100, 0, 100),
	I(IP_TOS, 0xff, 0, 0xfc),
	I(IP_TTL, 0, -EINVAL, 64),
	I(IP_TTL, 256, -EINVAL, 64),
	I(IP_TTL, 255, 0, 255),
	I(IP_TTL, -1, 0, 64),
	I(IP_MTU_DISCOVER, 6, -EINVAL, 1),
	I(IP_MTU_DISCOVER, 3, 0, 3),
	I(IP_MTU, 1500, -ENOPROTOOPT, -ENOTCONN),
	{SK_SOL_TCP, 9999, 1, -ENOPROTOOPT, -ENOPROTOOPT},
	{SK_SOL_IP, 9999, 1, -ENOPROTOOPT, -ENOPROTOOPT},
	{SK_SOL_SOCKET, 9999, 1, -ENOPROTOOPT, -ENOPROTOOPT},
	{41, 1, 1, -ENOPROTOOPT, -ENOPROTOOPT},
};

Test(sock_opt, test_opt_values_are_checked_and_rounded_as_linux_does)
{
	struct bench b;
	struct sock *sk = begin(&b);

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		int err = set(sk, r->level, r->name, r->val);

		cr_assert_eq(err, r->err, "row %u: %d", i, err);
		if (r->level == SK_SOL_TCP && r->name == SK_TCP_TIMESTAMP)
			continue;
		cr_assert_eq(get(sk, r->level, r->name), r->got, "row %u: %d", i,
			     get(sk, r->level, r->name));
	}
	cr_assert_eq(set(sk, SK_SOL_TCP, SK_TCP_WINDOW_CLAMP, 0), 0);
	sock_close(sk);
	bench_end(&b);
}

Test(sock_opt, test_opt_lengths_short_is_refused_long_is_cut)
{
	char big[64] = {1}, name[SK_CA_NAME_MAX];
	uint32_t len = 2;
	struct bench b;
	struct sock *sk = begin(&b);
	struct sk_linger l = {1, 5};

	cr_assert_eq(sock_setopt(sk, SK_SOL_TCP, SK_TCP_NODELAY, big, 3), -EINVAL);
	cr_assert_eq(sock_setopt(sk, SK_SOL_TCP, SK_TCP_NODELAY, big, 64), 0);
	cr_assert_eq(sock_getopt(sk, SK_SOL_TCP, SK_TCP_NODELAY, big, &len), 0);
	cr_assert_eq(len, 2);
	len = 64;
	cr_assert_eq(sock_getopt(sk, SK_SOL_TCP, SK_TCP_NODELAY, big, &len), 0);
	cr_assert_eq(len, 4);
	/* ip(7): a byte is enough */
	big[0] = 0x10;
	cr_assert_eq(sock_setopt(sk, SK_SOL_IP, SK_IP_TOS, big, 1), 0);
	len = 1;
	cr_assert_eq(sock_getopt(sk, SK_SOL_IP, SK_IP_TOS, big, &len), 0);
	cr_assert(len == 1 && big[0] == 0x10);
	cr_assert_eq(sock_setopt(sk, SK_SOL_SOCKET, SK_SO_LINGER, &l, 4), -EINVAL);
	cr_assert_eq(sock_setopt(sk, SK_SOL_SOCKET, SK_SO_LINGER, &l, 8), 0);
	l = (struct sk_linger){0, 0};
	len = sizeof(l);
	cr_assert_eq(sock_getopt(sk, SK_SOL_SOCKET, SK_SO_LINGER, &l, &len), 0);
	cr_assert(len == 8 && l.l_onoff == 1 && l.l_linger == 5);
	cr_assert_eq(sock_setopt(sk, SK_SOL_TCP, SK_TCP_CONGESTION, "none", 4), -ENOENT);
	cr_assert_eq(sock_setopt(sk, SK_SOL_TCP, SK_TCP_CONGESTION, "", 0), -EINVAL);
	cr_assert_eq(sock_setopt(sk, SK_SOL_TCP, SK_TCP_CONGESTION, "reno", 4), 0);
	len = sizeof(name);
	cr_assert_eq(sock_getopt(sk, SK_SOL_TCP, SK_TCP_CONGESTION, name, &len), 0);
	cr_assert_str_eq(name, "reno");
	cr_assert_eq(len, SK_CA_NAME_MAX);
	sock_close(sk);
	bench_end(&b);
}

Test(sock_opt, test_opt_child_has_what_its_listener_chose)
{
	static const struct row inherited[] = {
		T(TCP_NODELAY, 1, 0, 0),
		T(TCP_CORK, 1, 0, 0),
		T(TCP_KEEPIDLE, 11, 0, 0),
		T(TCP_KEEPINTVL, 12, 0, 0),
		T(TCP_KEEPCNT, 13, 0, 0),
		T(TCP_SYNCNT, 3, 0, 0),
		T(TCP_LINGER2, 14, 0, 0),
		T(TCP_USER_TIMEOUT, 1500, 0, 0),
		T(TCP_NOTSENT_LOWAT, 9000, 0, 0),
		T(TCP_INQ, 1, 0, 0),
		T(TCP_WINDOW_CLAMP, 20000, 0, 0),
		S(SO_KEEPALIVE, 1, 0, 0),
		S(SO_SNDBUF, 30000, 0, 0),
		S(SO_RCVBUF, 40000, 0, 0),
		S(SO_RCVLOWAT, 2, 0, 0),
		I(IP_TOS, 0x20, 0, 0),
		I(IP_TTL, 33, 0, 0),
		I(IP_MTU_DISCOVER, 2, 0, 0),
		S(SO_REUSEADDR, 1, 0, 0),
	};
	struct sock *lp;
	struct bench b;
	struct conn c;
	struct seg s;

	bench_begin(&b, NULL, 1024);
	lp = bench_listen(&b, SEG_PORT, 8);
	for (unsigned i = 0; i < ARRAY_SIZE(inherited); i++)
		cr_assert_eq(set(lp, inherited[i].level, inherited[i].name, inherited[i].val), 0);
	cr_assert_eq(set(lp, SK_SOL_TCP, SK_TCP_MAXSEG, 700), 0);
	cr_assert_eq(get(lp, SK_SOL_SOCKET, SK_SO_ACCEPTCONN), 1);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_full);
	conn_syn(&c, &seg_full);
	cr_assert(bench_next(&b, NULL, &s) && s.o.mss == 700, "offered %u", s.o.mss);
	c.irs = s.seq;
	c.tsecr = s.tsval;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(inherited); i++)
		cr_assert_eq(get(c.sk, inherited[i].level, inherited[i].name),
			     get(lp, inherited[i].level, inherited[i].name), "row %u", i);
	cr_assert_eq(get(c.sk, SK_SOL_SOCKET, SK_SO_ACCEPTCONN), 0);
	cr_assert_eq(get(c.sk, SK_SOL_TCP, SK_TCP_MAXSEG), 700 - TCP_TS_ALIGNED);
	cr_assert_eq(get(c.sk, SK_SOL_IP, SK_IP_MTU), 1500);
	bench_end(&b);
}

static void opened(struct bench *b, struct conn *c)
{
	bench_begin(b, NULL, 1024);
	conn_opened(c, b, &seg_plain);
	bench_drain(b);
}

/* RFC 9293 3.7.4: the second small segment waits for the first one's ACK. */
Test(sock_opt, test_nagle_holds_second_small_segment_nodelay_does_not)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 1, 10);
	cr_assert_eq(conn_write(&c, 11, 10), 10);
	bench_turn(&b, 1000);
	expect_none(&b);
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_NODELAY, 1), 0);
	bench_turn(&b, 1000);
	expect(&c, ACK, 11, 1, 10);
	cr_assert_eq(conn_write(&c, 21, 10), 10);
	bench_turn(&b, 1000);
	expect(&c, ACK, 21, 1, 10);
	bench_end(&b);
}

Test(sock_opt, test_cork_sends_full_segments_only_until_it_is_pulled)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_NODELAY, 1), 0);
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_CORK, 1), 0);
	cr_assert_eq(conn_write(&c, 1, 1460 + 40), 1500);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 1, 1460);
	expect_none(&b);
	cr_assert_eq(conn_write(&c, 1501, 10), 10);
	bench_turn(&b, 1000);
	expect_none(&b);
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_CORK, 0), 0);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1461, 1, 50);
	bench_end(&b);
}

/* tcp(7): "there is a 200 millisecond ceiling on the time for which output is corked" */
Test(sock_opt, test_cork_that_is_forgotten_leaves_by_the_timer)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_CORK, 1), 0);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	bench_turn(&b, 1000);
	expect_none(&b);
	bench_run(&b, 190 * SEG_MS);
	expect_none(&b);
	bench_run(&b, 20 * SEG_MS);
	expect(&c, ACK, 1, 1, 10);
	bench_end(&b);
}

Test(sock_opt, test_cork_with_fin_leaves_at_once)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_CORK, 1), 0);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 10);
	bench_end(&b);
}

static unsigned spaces;

static void on_space(struct sock *sk)
{
	(void)sk;
	spaces++;
}

Test(sock_opt, test_notsent_lowat_stops_the_writer_and_wakes_it_when_half_is_sent)
{
	struct bench b;
	struct conn c;
	ssize_t n;

	opened(&b, &c);
	c.sk->sk_write_space = on_space;
	spaces = 0;
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_NOTSENT_LOWAT, 4000), 0);
	n = conn_write(&c, 1, 30000);
	cr_assert(n >= 4000 && n < 4000 + 1460, "%zd", n);
	cr_assert_eq(conn_write(&c, 1, 1), -EAGAIN);
	cr_assert(!(sock_poll(c.sk) & SK_POLLOUT));
	cr_assert_eq(sock_outq(c.sk, true), n);
	bench_turn(&b, 1000);
	cr_assert_eq(spaces, 1, "it all left");
	cr_assert(sock_poll(c.sk) & SK_POLLOUT);
	cr_assert_eq(sock_outq(c.sk, true), 0);
	cr_assert_eq(sock_outq(c.sk, false), n);
	bench_end(&b);
}

static unsigned readies;

static void on_ready(struct sock *sk)
{
	(void)sk;
	readies++;
}

Test(sock_opt, test_rcvlowat_tells_the_reader_late_but_fin_and_shut_window_at_once)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	cr_assert_eq(set(c.sk, SK_SOL_SOCKET, SK_SO_RCVLOWAT, 300), 0);
	c.sk->sk_data_ready = on_ready;
	readies = 0;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 299);
	cr_assert_eq(readies, 0);
	cr_assert(!(sock_poll(c.sk) & SK_POLLIN));
	cr_assert_eq(sock_inq(c.sk), 299);
	peer(&c, .flags = ACK, .seq = 300, .ack = 1, .len = 1);
	cr_assert_eq(readies, 1);
	cr_assert(sock_poll(c.sk) & SK_POLLIN);
	cr_assert_eq(conn_read(&c, 1), 300);
	peer(&c, .flags = FIN | ACK, .seq = 301, .ack = 1, .len = 1);
	cr_assert_gt(readies, 1);
	cr_assert_eq(sock_inq(c.sk), 1);
	bench_end(&b);
}

/* Linux tcp_set_rcvlowat, as measured on 6.18: the buffer grows for it, up to tcp_rmem[2], but not
 * one that the user chose. */
Test(sock_opt, test_rcvlowat_grows_the_buffer_as_linux)
{
	uint32_t off = 1;
	struct bench b;
	struct conn c;

	bench_begin(&b, NULL, 4096);
	conn_opened(&c, &b, &seg_plain);
	cr_assert_eq(set(c.sk, SK_SOL_SOCKET, SK_SO_RCVLOWAT, 1 << 20), 0);
	cr_assert_eq(get(c.sk, SK_SOL_SOCKET, SK_SO_RCVLOWAT), 1 << 20);
	cr_assert_eq(get(c.sk, SK_SOL_SOCKET, SK_SO_RCVBUF), 2 << 20);
	/* and what it waits for comes, though nothing is read */
	c.sk->sk_data_ready = on_ready;
	readies = 0;
	for (; off < 1 << 20; off += 1460) {
		cr_assert_eq(readies, 0, "%u", off);
		peer(&c, .flags = ACK, .seq = off, .ack = 1, .len = 1460);
		bench_drain(&b);
	}
	cr_assert_eq(readies, 1);
	cr_assert_eq(sock_inq(c.sk), off - 1);
	cr_assert_eq(set(c.sk, SK_SOL_SOCKET, SK_SO_RCVLOWAT, -1), 0);
	cr_assert_eq(c.sk->sk_rcvlowat, b.st->cfg.tcp_rmem[2] / 2);
	cr_assert_eq(c.sk->sk_rcvbuf, b.st->cfg.tcp_rmem[2]);
	cr_assert_eq(set(c.sk, SK_SOL_SOCKET, SK_SO_RCVBUF, 50000), 0);
	cr_assert_eq(set(c.sk, SK_SOL_SOCKET, SK_SO_RCVLOWAT, 1 << 20), 0);
	cr_assert_eq(c.sk->sk_rcvlowat, 50000);
	cr_assert_eq(c.sk->sk_rcvbuf, 100000);
	bench_end(&b);
}

Test(sock_opt, test_linger_zero_resets)
{
	struct sk_linger l = {1, 0};
	struct bench b;
	struct conn c;

	opened(&b, &c);
	cr_assert_eq(sock_setopt(c.sk, SK_SOL_SOCKET, SK_SO_LINGER, &l, sizeof(l)), 0);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, RST | ACK, 1, 1, 0);
	bench_end(&b);
}

Test(sock_opt, test_quickack_zero_delays_the_ack_one_sends_it)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_QUICKACK, 0), 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	expect_none(&b);
	cr_assert_eq(set(c.sk, SK_SOL_TCP, SK_TCP_QUICKACK, 1), 0);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 11, 0);
	bench_end(&b);
}

Test(sock_opt, test_tos_and_ttl_are_in_every_segment)
{
	struct bench b;
	struct conn c;
	const struct iphdr_ *ip;

	opened(&b, &c);
	cr_assert_eq(set(c.sk, SK_SOL_IP, SK_IP_TOS, 0x48), 0);
	cr_assert_eq(set(c.sk, SK_SOL_IP, SK_IP_TTL, 7), 0);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	bench_turn(&b, 1000);
	ip = frame_iph(b.f->out[(b.f->nr_out - 1) % FAKE_FRAMES].b);
	cr_assert_eq(ip->tos, 0x48);
	cr_assert_eq(ip->ttl, 7);
	expect(&c, ACK, 1, 1, 10);
	bench_end(&b);
}

Test(sock_opt, test_error_is_told_once)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	peer(&c, .flags = RST | ACK, .seq = 1, .ack = 1);
	cr_assert_eq(get(c.sk, SK_SOL_SOCKET, SK_SO_ERROR), ECONNRESET);
	cr_assert_eq(get(c.sk, SK_SOL_SOCKET, SK_SO_ERROR), 0);
	bench_end(&b);
}

Test(sock_opt, test_synack_and_syn_carry_maxseg)
{
	struct bench b;
	struct sk_addr to = {.family = SK_AF_INET, .port = 80, .v4 = SEG_PEER};
	struct sock *sk = begin(&b);
	struct seg s;

	cr_assert_eq(set(sk, SK_SOL_TCP, SK_TCP_MAXSEG, 500), 0);
	cr_assert_eq(sock_connect(sk, &to), -EINPROGRESS);
	bench_turn(&b, 1000);
	cr_assert(bench_next(&b, NULL, &s));
	cr_assert_eq(s.o.mss, 500);
	sock_close(sk);
	bench_end(&b);
}
