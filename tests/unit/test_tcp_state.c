/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The opening half of RFC 9293 3.10.7, segment by segment: LISTEN, SYN-SENT, SYN-RECEIVED,
 * the simultaneous open, the queues of a listener, the timers that end an attempt. Closing
 * is in test_tcp_close.c, hostile input in test_tcp_hostile.c.
 */
#include "seg_calls.h"

/* ---- opening ---- */

Test(tcp_state, test_listen_syn_answers_and_establishes)
{
	struct bench b;
	struct conn c;
	struct sock *lp, *none;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_full);
	listen_to(lp);
	conn_syn(&c, &seg_full);
	c.irs = container_of(tcp_lookup(b.st->tcp, SEG_OUR, SEG_PEER, SEG_PORT, 4000),
			     struct tcp_req, node)
			->iss;
	expect(&c, SYN | ACK, 0, 1, 0);
	c.ts = true;
	cr_assert_eq(sock_accept(lp, &none), -EAGAIN);
	cr_assert_eq(nr_socks(&b), 1, "half-open connections are no sockets");
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(calls.ready, 1);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	assert_state(&c, TCP_ESTABLISHED);
	expect_none(&b);
	bench_end(&b);
}

Test(tcp_state, test_listen_ack_resets_rst_ignored_nothing_kept)
{
	struct bench b;
	struct conn c;
	struct sock *lp;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	(void)lp;
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	peer(&c, .flags = RST, .seq = 0);
	expect_none(&b);
	peer(&c, .flags = ACK, .seq = 5, .ack = 77);
	expect(&c, RST, 77, 0, 0);
	peer(&c, .flags = SYN | ACK, .seq = 5, .ack = 78);
	expect(&c, RST, 78, 0, 0);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	bench_end(&b);
}

Test(tcp_state, test_closed_segment_is_reset_rst_is_not)
{
	struct bench b;
	struct conn c;

	bench_begin(&b, NULL, 512);
	conn_init(&c, &b, 99, 4000, &seg_plain);
	peer(&c, .flags = SYN, .seq = 0);
	expect(&c, RST | ACK, 0, 1, 0);
	peer(&c, .flags = ACK, .seq = 10, .ack = 20, .len = 5);
	expect(&c, RST, 20, 0, 0);
	peer(&c, .flags = FIN, .seq = 10, .len = 5);
	expect(&c, RST | ACK, 0, 16, 0);
	peer(&c, .flags = RST, .seq = 10);
	peer(&c, .flags = RST | ACK, .seq = 10, .ack = 3);
	expect_none(&b);
	bench_end(&b);
}

Test(tcp_state, test_synack_resent_then_given_up)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	struct seg s;
	uint64_t gap[6], t;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	conn_syn(&c, &seg_plain);
	cr_assert(bench_next(&b, &c, &s));
	c.irs = s.seq;
	t = b.now;
	for (int i = 0; i < 5; i++) {
		while (!bench_next(&b, &c, &s)) {
			cr_assert_lt(b.now - t, 200 * NSEC_PER_SEC);
			bench_run(&b, 10 * SEG_MS);
		}
		cr_assert_eq(s.flags, SYN | ACK);
		gap[i] = (b.now - t) / (100 * SEG_MS);
		t = b.now;
		cr_assert(gap[i] == (10u << i) || gap[i] == (10u << i) - 1, "%d: %lu", i, gap[i]);
	}
	bench_run(&b, 100 * NSEC_PER_SEC);
	expect_none(&b);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 0);
	cr_assert_eq(stack_stats(b.st)->tcp_attempt_fails, 1);
	bench_end(&b);
}

Test(tcp_state, test_syn_received_syn_again_gets_synack_again)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	conn_syn(&c, &seg_plain);
	cr_assert(bench_next(&b, &c, &s));
	c.irs = s.seq;
	bench_run(&b, 500 * SEG_MS);
	conn_syn(&c, &seg_plain);
	expect(&c, SYN | ACK, 0, 1, 0);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 1);
	bench_run(&b, 1 * SEG_MS);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	/* Karn: an answer that may belong to either SYN-ACK measures nothing */
	cr_assert_eq(conn_tp(&c)->srtt_us8, 0);
	bench_end(&b);
}

Test(tcp_state, test_syn_received_rst_ends_it)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	conn_syn(&c, &seg_plain);
	cr_assert(bench_next(&b, &c, &s));
	peer(&c, .flags = RST, .seq = 1);
	expect_none(&b);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 0);
	bench_end(&b);
}

Test(tcp_state, test_syn_received_bad_ack_resets_but_stays)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	conn_syn(&c, &seg_plain);
	cr_assert(bench_next(&b, &c, &s));
	c.irs = s.seq;
	peer(&c, .flags = ACK, .seq = 1, .ack = 5);
	expect(&c, RST, 5, 0, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	bench_end(&b);
}

Test(tcp_state, test_syn_received_data_with_the_ack_is_delivered)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	conn_syn(&c, &seg_plain);
	cr_assert(bench_next(&b, &c, &s));
	c.irs = s.seq;
	peer(&c, .flags = ACK | FIN | PSH, .seq = 1, .ack = 1, .len = 100);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	assert_state(&c, TCP_CLOSE_WAIT);
	expect(&c, ACK, 1, 102, 0);
	cr_assert_eq(conn_read(&c, 1), 100);
	cr_assert_eq(conn_read(&c, 1), 0);
	bench_end(&b);
}

Test(tcp_state, test_syn_sent_synack_establishes_and_tells)
{
	struct bench b;
	struct conn c;
	struct seg s;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_full, &s);
	listen_to(c.sk);
	cr_assert(s.o.sack_ok && s.o.wscale_ok && s.ts && s.o.mss == 1460);
	conn_synack(&c, &seg_full);
	c.ts = true;
	expect(&c, ACK, 1, 1, 0);
	assert_state(&c, TCP_ESTABLISHED);
	cr_assert(calls.space == 1 && calls.state == 1);
	cr_assert_eq(conn_tp(&c)->snd_wnd, 65535, "a SYN's window is not scaled");
	bench_end(&b);
}

Test(tcp_state, test_syn_sent_rst_refuses)
{
	struct bench b;
	struct conn c;
	struct seg s;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_full, &s);
	listen_to(c.sk);
	peer(&c, .flags = RST | ACK, .seq = 0, .ack = 1);
	assert_state(&c, TCP_CLOSE);
	cr_assert(calls.error == 1);
	cr_assert_eq(sock_error(c.sk), -ECONNREFUSED);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	sock_close(c.sk);
	cr_assert_eq(nr_socks(&b), 0);
	bench_end(&b);
}

Test(tcp_state, test_syn_resent_leaves_scoreboard_clean)
{
	struct bench b;
	struct conn c;
	struct seg s;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_full, &s);
	bench_run(&b, 8 * NSEC_PER_SEC);
	bench_drain(&b);
	conn_synack(&c, &seg_full);
	assert_state(&c, TCP_ESTABLISHED);
	cr_assert_eq(conn_tp(&c)->retrans_out, 0, "%u", conn_tp(&c)->retrans_out);
	cr_assert_eq(conn_tp(&c)->srtt_us8, 0, "Karn");
	bench_end(&b);
}

Test(tcp_state, test_syn_sent_close_is_silent)
{
	struct bench b;
	struct conn c;
	struct seg s;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_full, &s);
	sock_close(c.sk);
	cr_assert_eq(nr_socks(&b), 0);
	bench_run(&b, 3 * NSEC_PER_SEC);
	expect_none(&b);
	conn_synack(&c, &seg_full);
	expect(&c, RST, 1, 0, 0);
	bench_end(&b);
}

Test(tcp_state, test_simultaneous_open_establishes)
{
	struct bench b;
	struct conn c;
	struct seg s;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_full, &s);
	listen_to(c.sk);
	conn_syn(&c, &seg_full);
	expect(&c, SYN | ACK, 0, 1, 0);
	assert_state(&c, TCP_SYN_RECV);
	c.ts = true;
	conn_synack(&c, &seg_full);
	assert_state(&c, TCP_ESTABLISHED);
	cr_assert_eq(conn_tp(&c)->snd_wnd, 65535, "%u: a SYN's window is not scaled",
		     conn_tp(&c)->snd_wnd);
	cr_assert(calls.space >= 1, "the dialler is told");
	cr_assert_eq(tcp_flight(conn_tp(&c)), 0);
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	cr_assert_eq(conn_read(&c, 1), 10);
	expect(&c, ACK, 1, 11, 0);
	bench_end(&b);
}

Test(tcp_state, test_simultaneous_open_plain_ack_establishes)
{
	struct bench b;
	struct conn c;
	struct seg s;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_plain, &s);
	conn_syn(&c, &seg_plain);
	expect(&c, SYN | ACK, 0, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	assert_state(&c, TCP_ESTABLISHED);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 1, 10);
	bench_end(&b);
}

/* The peer's SYN is there before ours left: a NULL pointer once, as what had not been sent was sent
 * again. */
Test(tcp_state, test_simultaneous_open_before_our_syn_left)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = SEG_PORT, .v4 = SEG_PEER};
	struct stack_config cfg;
	struct bench b;
	struct conn c;

	stack_config_init(&cfg);
	cfg.ecn = 1;
	bench_begin(&b, &cfg, 512);
	conn_init(&c, &b, 0, SEG_PORT, &seg_plain);
	cr_assert_eq(sock_create(b.st, SK_AF_INET, &c.sk), 0);
	cr_assert_eq(sock_connect(c.sk, &to), -EINPROGRESS);
	c.lport = c.sk->sk_local.port;
	c.irs = conn_tp(&c)->iss;
	conn_syn(&c, &seg_plain);
	/* one segment, and not our SYN's ECN-setup */
	expect(&c, SYN | ACK, 0, 1, 0);
	bench_drain(&b);
	assert_state(&c, TCP_SYN_RECV);
	bench_run(&b, 1500 * SEG_MS);
	expect(&c, SYN | ACK, 0, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	assert_state(&c, TCP_ESTABLISHED);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 1, 10);
	bench_end(&b);
}

/* SYN-RECEIVED after our SYN and the peer's crossed. */
static void simultaneous(struct bench *b, struct conn *c)
{
	struct seg s;

	bench_begin(b, NULL, 512);
	conn_active(c, b, &seg_plain, &s);
	conn_syn(c, &seg_plain);
	expect(c, SYN | ACK, 0, 1, 0);
	assert_state(c, TCP_SYN_RECV);
}

/* RFC 9293 3.10.4: the FIN waits for ESTABLISHED. It did not, what is set there was not, and the
 * first bytes that the user read were divided by zero. */
Test(tcp_state, test_shutdown_in_syn_recv_then_read)
{
	struct bench b;
	struct conn c;

	simultaneous(&b, &c);
	cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
	cr_assert_eq(conn_write(&c, 1, 10), -EPIPE);
	bench_turn(&b, 1000);
	expect_none(&b);
	assert_state(&c, TCP_SYN_RECV);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	assert_state(&c, TCP_FIN_WAIT1);
	expect(&c, FIN | ACK, 1, 1, 0);
	for (uint32_t i = 0; i < 4; i++) {
		bench_turn(&b, 20 * SEG_MS);
		peer(&c, .flags = ACK, .seq = 1 + 1400 * i, .ack = 1, .len = 1400);
		cr_assert_eq(conn_read(&c, 1 + 1400 * i), 1400);
	}
	peer(&c, .flags = ACK, .seq = 5601, .ack = 2);
	assert_state(&c, TCP_FIN_WAIT2);
	bench_end(&b);
}

Test(tcp_state, test_close_in_syn_recv_ends_by_fin_or_in_time)
{
	struct bench b;
	struct conn c;

	simultaneous(&b, &c);
	sock_close(c.sk);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(&c, ACK, 2, 2, 0);
	cr_assert_eq(nr_socks(&b), 0, "TIME-WAIT");
	bench_end(&b);

	simultaneous(&b, &c);
	sock_close(c.sk);
	bench_run(&b, 200 * NSEC_PER_SEC);
	cr_assert_eq(nr_socks(&b), 0, "the handshake was never completed");
	cr_assert_eq(b.st->tcp->nr_orphans, 0);
	bench_end(&b);
}

Test(tcp_state, test_connect_without_buffers_can_be_tried_again)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = SEG_PORT, .v4 = SEG_PEER};
	struct sk_buff *all[64];
	struct bench b;
	struct sock *sk;
	unsigned n = 0;

	bench_begin(&b, NULL, 64);
	while (n < 64 && (all[n] = skb_alloc(&b.st->cache, 0)) != NULL)
		n++;
	cr_assert_eq(sock_create(b.st, SK_AF_INET, &sk), 0);
	cr_assert_eq(sock_connect(sk, &to), -ENOBUFS);
	while (n)
		skb_free(all[--n]);
	cr_assert_eq(sock_connect(sk, &to), -EINPROGRESS);
	bench_end(&b);
}

/* ---- the listener's queues ---- */

Test(tcp_state, test_listen_accept_queue_full_syn_dropped_then_served)
{
	struct bench b;
	struct conn c[3];
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 1);
	for (uint16_t i = 0; i < 2; i++) {
		conn_init(&c[i], &b, SEG_PORT, 4000 + i, &seg_plain);
		conn_syn(&c[i], &seg_plain);
		cr_assert(bench_next(&b, NULL, &s));
		c[i].irs = s.seq;
		peer(&c[i], .flags = ACK, .seq = 1, .ack = 1);
	}
	conn_init(&c[2], &b, SEG_PORT, 4002, &seg_plain);
	conn_syn(&c[2], &seg_plain);
	expect_none(&b);
	cr_assert_eq(stack_stats(b.st)->tcp_accept_overflow, 1);
	cr_assert_eq(sock_accept(lp, &c[0].sk), 0);
	conn_syn(&c[2], &seg_plain);
	cr_assert(bench_next(&b, NULL, &s));
	bench_end(&b);
}

Test(tcp_state, test_listen_close_resets_what_waits)
{
	struct bench b;
	struct conn c, d;
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	conn_syn(&c, &seg_plain);
	cr_assert(bench_next(&b, NULL, &s));
	c.irs = s.seq;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	expect(&c, ACK, 1, 11, 0);
	conn_init(&d, &b, SEG_PORT, 4001, &seg_plain);
	conn_syn(&d, &seg_plain);
	cr_assert(bench_next(&b, NULL, &s));
	d.irs = s.seq;
	sock_close(lp);
	bench_turn(&b, 1000);
	expect(&c, RST | ACK, 1, 11, 0);
	cr_assert_eq(nr_socks(&b), 0);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	cr_assert_eq(b.st->tcp->rmem_total, 0);
	peer(&d, .flags = ACK, .seq = 1, .ack = 1);
	expect(&d, RST, 1, 0, 0);
	bench_end(&b);
}

Test(tcp_state, test_accept_queue_connection_reset_before_accept_tells)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	conn_syn(&c, &seg_plain);
	cr_assert(bench_next(&b, NULL, &s));
	c.irs = s.seq;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	peer(&c, .flags = RST, .seq = 1);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	assert_state(&c, TCP_CLOSE);
	cr_assert_eq(conn_read(&c, 1), -ECONNRESET);
	sock_close(c.sk);
	bench_end(&b);
}

/* ---- data timeout ---- */

Test(tcp_state, test_established_unanswered_data_times_out)
{
	struct stack_config cfg;
	struct bench b;
	struct conn c;
	struct sock *lp;

	stack_config_init(&cfg);
	cfg.retries2 = 4;
	bench_begin(&b, &cfg, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&c, &b, lp, 4000, &seg_plain);
	listen_to(c.sk);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_run(&b, 60 * NSEC_PER_SEC);
	/* 4 retries are 6.2 s from the first timeout on */
	for (int i = 0; i < 6; i++)
		expect(&c, ACK, 1, 1, 100);
	expect_none(&b);
	assert_state(&c, TCP_CLOSE);
	cr_assert_eq(calls.error, 1);
	cr_assert_eq(conn_read(&c, 1), -ETIMEDOUT);
	cr_assert_eq(conn_write(&c, 1, 1), -EPIPE);
	sock_close(c.sk);
	bench_end(&b);
}
