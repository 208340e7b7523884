/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Active opens that meet something: a TIME-WAIT of the same 4-tuple (RFC 6191), a SYN-ACK or a SYN
 * of another time (RFC 7323), and nobody at all.
 */
#include "seg_calls.h"

#define S    NSEC_PER_SEC
#define PORT 40000

static struct bench b;
static struct conn c;

/* One ephemeral port, and a connection from it that ended in TIME-WAIT. */
static void begin(const struct seg_peer *p, unsigned tw_reuse)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	cfg.port_range[0] = cfg.port_range[1] = PORT;
	cfg.tw_reuse = (uint8_t)tw_reuse;
	bench_begin(&b, &cfg, 1024);
	conn_opened(&c, &b, p);
	cr_assert_eq(c.lport, PORT);
	cr_assert_eq(sock_setopt_int(c.sk, SK_SOL_SOCKET, SK_SO_REUSEADDR, 1), 0);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	bench_drain(&b);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
}

static struct tcp_tw *the_tw(void)
{
	struct tcp_node *n = tcp_lookup(b.st->tcp, SEG_OUR, SEG_PEER, PORT, SEG_PORT);

	cr_assert(n && n->kind == TCP_NODE_TW);
	return container_of(n, struct tcp_tw, node);
}

/* A connect from `port`, 0 = any. */
static int dial(uint16_t port, uint32_t to, struct sock **ret_sk)
{
	struct sk_addr a = {.family = SK_AF_INET, .port = port};
	int err;

	cr_assert_eq(sock_create(b.st, SK_AF_INET, ret_sk), 0);
	cr_assert_eq(sock_setopt_int(*ret_sk, SK_SOL_SOCKET, SK_SO_REUSEADDR, 1), 0);
	if (port)
		cr_assert_eq(sock_bind(*ret_sk, &a), 0);
	a.v4 = to;
	a.port = SEG_PORT;
	err = sock_connect(*ret_sk, &a);
	bench_turn(&b, 1000);
	return err;
}

static void dial_fails(uint16_t port)
{
	struct sock *sk;

	cr_assert_eq(dial(port, SEG_PEER, &sk), -EADDRNOTAVAIL);
	sock_close(sk);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
}

Test(tcp_connect, test_time_wait_6191_old_one_is_ended_by_a_connect)
{
	struct tcp_tw old;
	struct conn d;
	struct seg s;

	begin(&seg_full, 1);
	dial_fails(0);
	bench_run(&b, S);
	/* it sent faster than the clock of ISNs moves */
	the_tw()->snd_nxt += 500000000;
	old = *the_tw();
	conn_active(&d, &b, &seg_full, &s);
	cr_assert_eq(d.lport, PORT);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 0);
	cr_assert(after(s.seq, old.snd_nxt + 65535), "beyond any window of the old one");
	cr_assert(s.ts && after(s.tsval, c.tsecr));
	cr_assert_eq(s.tsecr, 0, "RFC 7323 3.2: there is no ACK");
	conn_synack(&d, &seg_full);
	assert_state(&d, TCP_ESTABLISHED);
	bench_end(&b);
}

Test(tcp_connect, test_time_wait_6191_the_isn_is_a_hash_where_that_is_beyond)
{
	struct conn d;
	struct seg s;

	begin(&seg_full, 1);
	bench_run(&b, 30 * S);
	conn_active(&d, &b, &seg_full, &s);
	/* some connect again and again: nobody may guess the next number from the last */
	cr_assert_gt(s.seq - c.irs, 30 * (1000000000u >> 6) - (1u << 16));
	bench_end(&b);
}

Test(tcp_connect, test_time_wait_stays_without_timestamps_or_leave)
{
	static const struct {
		const struct seg_peer *p;
		unsigned reuse;
	} with[] = {{&seg_plain, 1}, {&seg_full, 0}, {&seg_full, 2}};

	for (unsigned i = 0; i < ARRAY_SIZE(with); i++) {
		struct sock *sk;

		begin(with[i].p, with[i].reuse);
		bench_run(&b, 50 * S);
		dial_fails(0);
		dial_fails(PORT);
		bench_run(&b, 11 * S);
		cr_assert_eq(dial(0, SEG_PEER, &sk), -EINPROGRESS, "it is over");
		sock_close(sk);
		bench_end(&b);
	}
}

Test(tcp_connect, test_time_wait_bound_port_follows_the_same_rule)
{
	struct sock *sk, *twice;

	begin(&seg_full, 1);
	dial_fails(PORT);
	bench_run(&b, S);
	cr_assert_eq(dial(PORT, SEG_PEER, &sk), -EINPROGRESS);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 0);
	cr_assert_eq(dial(PORT, SEG_PEER, &twice), -EADDRNOTAVAIL, "that one is alive");
	sock_close(twice);
	sock_close(sk);
	bench_end(&b);
}

Test(tcp_connect, test_time_wait_of_the_loopback_goes_with_2)
{
	struct stack_config cfg;
	struct sock *lp, *sk, *peer;

	stack_config_init(&cfg);
	cfg.port_range[0] = cfg.port_range[1] = PORT;
	cfg.tw_reuse = 2;
	bench_begin(&b, &cfg, 1024);
	lp = bench_listen(&b, SEG_PORT, 8);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(dial(0, SEG_OUR, &sk), -EINPROGRESS, "%u", i);
		bench_run(&b, 10 * SEG_MS);
		cr_assert_eq(sk->sk_state, TCP_ESTABLISHED);
		cr_assert_eq(sock_accept(lp, &peer), 0);
		sock_close(sk);
		bench_run(&b, 10 * SEG_MS);
		sock_close(peer);
		bench_run(&b, S + SEG_MS);
		cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	}
	bench_end(&b);
}

/* No buffer for the SYN: nothing began, and the old connection's end is as it was. */
Test(tcp_connect, test_time_wait_outlives_a_connect_that_fails)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = SEG_PORT, .v4 = SEG_PEER};
	struct sk_buff *all[1024];
	unsigned n = 0;
	struct sock *sk;

	begin(&seg_full, 1);
	bench_run(&b, S);
	while (n < ARRAY_SIZE(all) && (all[n] = skb_alloc(&b.st->cache, 0)) != NULL)
		n++;
	cr_assert_eq(sock_create(b.st, SK_AF_INET, &sk), 0);
	cr_assert_eq(sock_connect(sk, &to), -ENOBUFS);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	while (n)
		skb_free(all[--n]);
	cr_assert_eq(sock_connect(sk, &to), -EINPROGRESS);
	sock_close(sk);
	bench_end(&b);
}

/* RFC 7323 5.3: a SYN of before the TIME-WAIT that ours ended is no simultaneous open. */
Test(tcp_connect, test_time_wait_6191_older_crossing_syn_is_dropped)
{
	struct conn d;
	struct seg s;

	begin(&seg_full, 1);
	bench_run(&b, S);
	conn_active(&d, &b, &seg_full, &s);
	d.tsval = c.tsval - 1;
	conn_syn(&d, &seg_full);
	expect_none(&b);
	assert_state(&d, TCP_SYN_SENT);
	cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_PAWS), 1);
	d.tsval = c.tsval + 1;
	conn_syn(&d, &seg_full);
	assert_state(&d, TCP_SYN_RECV);
	bench_end(&b);
}

/* ---- SYN-ACKs ---- */

Test(tcp_connect, test_syn_sent_7323_echo_that_we_never_sent_is_refused)
{
	struct seg s;
	uint32_t first;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_full, &s);
	first = c.tsecr;
	bench_run(&b, 2500 * SEG_MS);
	bench_drain(&b);
	for (unsigned i = 0; i < 2; i++) {
		c.tsecr = i ? first + 5000 : first - 1;
		conn_synack(&c, &seg_full);
		expect(&c, RST, 1, 0, 0);
		assert_state(&c, TCP_SYN_SENT);
		cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_PAWS), i + 1);
	}
	/* the first SYN's answer, late */
	c.tsecr = first;
	conn_synack(&c, &seg_full);
	assert_state(&c, TCP_ESTABLISHED);
	bench_end(&b);
}

Test(tcp_connect, test_syn_sent_7323_echo_of_zero_passes)
{
	struct seg s;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_full, &s);
	c.tsecr = 0;
	conn_synack(&c, &seg_full);
	assert_state(&c, TCP_ESTABLISHED);
	bench_end(&b);
}

/* ---- nobody ---- */

/* SYNs after `linear` timeouts without backoff, and the end. */
static void nobody_answers(unsigned linear, unsigned want, unsigned end_s)
{
	struct stack_config cfg;
	uint64_t start, at, gap = S;
	struct seg s;
	unsigned n = 0;

	stack_config_init(&cfg);
	cfg.syn_linear_timeouts = (uint8_t)linear;
	bench_begin(&b, &cfg, 512);
	conn_active(&c, &b, &seg_full, &s);
	listen_to(c.sk);
	start = at = b.now;
	while (c.sk->sk_state == TCP_SYN_SENT) {
		bench_run(&b, 50 * SEG_MS);
		while (bench_next(&b, &c, &s)) {
			cr_assert(s.flags == SYN && s.seq == 0);
			cr_assert(b.now - at >= gap - 51 * SEG_MS &&
					  b.now - at <= gap + 51 * SEG_MS,
				  "SYN %u", n);
			at = b.now;
			if (n++ >= linear)
				gap *= 2;
		}
		cr_assert_lt(b.now - start, 300 * S);
	}
	cr_assert_eq(n, want);
	cr_assert_eq((b.now - start) / S, end_s);
	cr_assert_eq(calls.error, 1);
	cr_assert_eq(sock_error(c.sk), -ETIMEDOUT);
	sock_close(c.sk);
	bench_end(&b);
}

/* 6298 5.5 backs off; Linux, as of 6.5, begins with some that do not. */
Test(tcp_connect, test_syn_sent_timeout_backs_off_and_ends)
{
	nobody_answers(0, 6, 127);
	nobody_answers(4, 10, 131);
}
