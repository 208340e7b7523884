/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The closing half of RFC 9293 3.10.7, segment by segment: every order of FINs, unread data,
 * RST in each state, TIME-WAIT, the timers of orphans.
 */
#include "seg_calls.h"

static struct bench b;
static struct conn c;

/* ---- closing ---- */

Test(tcp_close, test_close_active_goes_to_time_wait)
{
	estab(&b, &c, &seg_plain);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	expect_none(&b);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(&c, ACK, 2, 2, 0);
	cr_assert_eq(nr_socks(&b), 0);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	bench_run(&b, 61 * NSEC_PER_SEC);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 0);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	expect_none(&b);
	bench_end(&b);
}

Test(tcp_close, test_close_with_fin_and_ack_in_one_segment)
{
	estab(&b, &c, &seg_plain);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(&c, ACK, 2, 2, 0);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	bench_end(&b);
}

Test(tcp_close, test_close_passive_last_ack_frees_all)
{
	estab(&b, &c, &seg_plain);
	listen_to(c.sk);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 1);
	assert_state(&c, TCP_CLOSE_WAIT);
	cr_assert_geq(calls.state, 1);
	expect(&c, ACK, 1, 2, 0);
	cr_assert_eq(conn_read(&c, 1), 0);
	cr_assert(sock_poll(c.sk) & SK_POLLRDHUP);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 2, 100);
	peer(&c, .flags = ACK, .seq = 2, .ack = 101);
	cr_assert_eq(nr_socks(&b), 1, "LAST-ACK");
	peer(&c, .flags = ACK, .seq = 2, .ack = 102);
	cr_assert_eq(nr_socks(&b), 0);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	expect_none(&b);
	bench_end(&b);
}

Test(tcp_close, test_close_simultaneous_passes_closing)
{
	estab(&b, &c, &seg_plain);
	cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 1);
	assert_state(&c, TCP_CLOSING);
	expect(&c, ACK, 2, 2, 0);
	peer(&c, .flags = ACK, .seq = 2, .ack = 2);
	assert_state(&c, TCP_CLOSE);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	cr_assert_eq(conn_read(&c, 1), 0);
	sock_close(c.sk);
	bench_end(&b);
}

Test(tcp_close, test_half_close_still_receives)
{
	estab(&b, &c, &seg_plain);
	cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
	cr_assert_eq(conn_write(&c, 1, 10), -EPIPE);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	assert_state(&c, TCP_FIN_WAIT2);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2, .len = 500);
	expect(&c, ACK, 2, 501, 0);
	peer(&c, .flags = ACK | FIN, .seq = 501, .ack = 2, .len = 500);
	expect(&c, ACK, 2, 1002, 0);
	cr_assert_eq(conn_read(&c, 1), 1000);
	cr_assert_eq(conn_read(&c, 1), 0);
	sock_close(c.sk);
	bench_end(&b);
}

Test(tcp_close, test_fin_wait1_data_then_fin_waits_for_our_ack)
{
	estab(&b, &c, &seg_plain);
	cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	assert_state(&c, TCP_FIN_WAIT1);
	expect(&c, ACK, 2, 11, 0);
	cr_assert_eq(conn_read(&c, 1), 10);
	/* our FIN is lost: it comes again */
	bench_run(&b, 1500 * SEG_MS);
	expect(&c, FIN | ACK, 1, 11, 0);
	bench_end(&b);
}

Test(tcp_close, test_shutdown_sends_fin_behind_what_is_queued)
{
	estab(&b, &c, &(struct seg_peer){.mss = 1000, .wscale = -1, .win = 1500});
	cr_assert_eq(conn_write(&c, 1, 2500), 2500);
	cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 1, 1000);
	expect_none(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1001);
	expect(&c, ACK, 1001, 1, 1000);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2001);
	expect(&c, FIN | ACK, 2001, 1, 500);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2502);
	assert_state(&c, TCP_FIN_WAIT2);
	bench_end(&b);
}

Test(tcp_close, test_fin_out_of_order_waits_for_the_hole)
{
	estab(&b, &c, &seg_full);
	peer(&c, .flags = FIN | ACK, .seq = 101, .ack = 1, .len = 50);
	assert_state(&c, TCP_ESTABLISHED);
	expect(&c, ACK, 1, 1, 0);
	cr_assert_eq(conn_read(&c, 1), 0);
	cr_assert(!(sock_poll(c.sk) & SK_POLLRDHUP));
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	expect(&c, ACK, 1, 152, 0);
	assert_state(&c, TCP_CLOSE_WAIT);
	cr_assert_eq(conn_read(&c, 1), 150);
	cr_assert_eq(conn_read(&c, 1), 0);
	bench_end(&b);
}

Test(tcp_close, test_bare_fin_out_of_order_waits_for_the_hole)
{
	estab(&b, &c, &seg_full);
	peer(&c, .flags = FIN | ACK, .seq = 101, .ack = 1);
	assert_state(&c, TCP_ESTABLISHED);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	assert_state(&c, TCP_CLOSE_WAIT);
	cr_assert_eq(conn_read(&c, 1), 100);
	bench_end(&b);
}

Test(tcp_close, test_close_with_unread_data_resets)
{
	estab(&b, &c, &seg_plain);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	expect(&c, ACK, 1, 11, 0);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, RST | ACK, 1, 11, 0);
	cr_assert_eq(nr_socks(&b), 0);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	bench_end(&b);
}

Test(tcp_close, test_abort_resets_and_data_after_close_resets)
{
	estab(&b, &c, &seg_plain);
	sock_abort(c.sk);
	bench_turn(&b, 1000);
	expect(&c, RST | ACK, 1, 1, 0);
	cr_assert_eq(nr_socks(&b), 0);
	bench_end(&b);

	estab(&b, &c, &seg_plain);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2, .len = 10);
	expect(&c, RST, 2, 0, 0);
	cr_assert_eq(nr_socks(&b), 0);
	bench_end(&b);
}

Test(tcp_close, test_data_after_a_close_whose_fin_was_lost_resets_where_the_peer_stands)
{
	estab(&b, &c, &seg_plain);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	expect(&c, RST, 1, 0, 0);
	cr_assert_eq(nr_socks(&b), 0);
	bench_end(&b);
}

Test(tcp_close, test_fin_wait2_orphan_times_out)
{
	estab(&b, &c, &seg_plain);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	bench_run(&b, 59 * NSEC_PER_SEC);
	cr_assert_eq(nr_socks(&b), 1);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	bench_run(&b, 2 * NSEC_PER_SEC);
	cr_assert_eq(nr_socks(&b), 0);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	bench_end(&b);
}

Test(tcp_close, test_fin_wait2_closed_later_times_out_too)
{
	estab(&b, &c, &seg_plain);
	cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
	bench_turn(&b, 1000);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	assert_state(&c, TCP_FIN_WAIT2);
	bench_run(&b, 300 * NSEC_PER_SEC);
	assert_state(&c, TCP_FIN_WAIT2);
	sock_close(c.sk);
	bench_run(&b, 61 * NSEC_PER_SEC);
	cr_assert_eq(nr_socks(&b), 0);
	bench_end(&b);
}

Test(tcp_close, test_last_ack_unanswered_is_given_up)
{
	struct stack_config cfg;
	struct sock *lp;

	stack_config_init(&cfg);
	cfg.orphan_retries = 3;
	bench_begin(&b, &cfg, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&c, &b, lp, 4000, &seg_plain);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 1);
	expect(&c, ACK, 1, 2, 0);
	sock_close(c.sk);
	bench_run(&b, 60 * NSEC_PER_SEC);
	/* 3 retries are 3 s from the first timeout on (tcp_retries2 likewise) */
	for (int i = 0; i < 5; i++)
		expect(&c, FIN | ACK, 1, 2, 0);
	expect_none(&b);
	cr_assert_eq(nr_socks(&b), 1, "only the listener");
	bench_end(&b);
}

/* ---- RST in each state ---- */

static void reach(struct conn *c, struct bench *b, unsigned state)
{
	static const struct seg_peer *p = &seg_plain;

	estab(b, c, p);
	if (state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK)
		peer(c, .flags = FIN | ACK, .seq = 1, .ack = 1);
	if (state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
	    state == TCP_LAST_ACK)
		cr_assert_eq(sock_shutdown(c->sk, SEND_SHUTDOWN), 0);
	bench_turn(b, 1000);
	if (state == TCP_FIN_WAIT2)
		peer(c, .flags = ACK, .seq = 1, .ack = 2);
	if (state == TCP_CLOSING)
		peer(c, .flags = FIN | ACK, .seq = 1, .ack = 1);
	assert_state(c, state);
	bench_drain(b);
}

Test(tcp_close, test_rst_exact_ends_every_state_else_challenge)
{
	static const struct {
		unsigned state;
		int err;
	} t[] = {
		{TCP_ESTABLISHED, -ECONNRESET}, {TCP_FIN_WAIT1, -ECONNRESET},
		{TCP_FIN_WAIT2, -ECONNRESET},   {TCP_CLOSE_WAIT, -EPIPE},
		{TCP_CLOSING, -ECONNRESET},     {TCP_LAST_ACK, -ECONNRESET},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		uint32_t nxt;

		reach(&c, &b, t[i].state);
		nxt = conn_tp(&c)->rcv_nxt - c.iss;
		peer(&c, .flags = RST, .seq = nxt + 1);
		assert_state(&c, t[i].state);
		expect(&c, ACK, conn_tp(&c)->snd_nxt - c.irs, nxt, 0);
		peer(&c, .flags = RST, .seq = nxt + 70000);
		peer(&c, .flags = RST, .seq = nxt - 70000);
		assert_state(&c, t[i].state);
		expect_none(&b);
		listen_to(c.sk);
		peer(&c, .flags = RST, .seq = nxt);
		assert_state(&c, TCP_CLOSE);
		cr_assert(calls.error == 1);
		cr_assert_eq(sock_error(c.sk), t[i].err);
		expect_none(&b);
		cr_assert_eq(b.st->tcp->nr_nodes, 0);
		sock_close(c.sk);
		cr_assert_eq(nr_socks(&b), 0);
		bench_end(&b);
	}
}

Test(tcp_close, test_rst_keeps_what_was_received_before)
{
	estab(&b, &c, &seg_plain);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	peer(&c, .flags = RST, .seq = 11);
	assert_state(&c, TCP_CLOSE);
	cr_assert_eq(conn_read(&c, 1), 10);
	cr_assert_eq(conn_read(&c, 1), 0, "the error came with the first empty read");
	sock_close(c.sk);
	cr_assert_eq(b.st->tcp->rmem_total, 0);
	bench_end(&b);
}

/* ---- TIME-WAIT ---- */

static void to_time_wait(struct bench *b, struct conn *c, struct sock **ret_lp,
			 const struct seg_peer *p)
{
	bench_begin(b, NULL, 1024);
	*ret_lp = bench_listen(b, SEG_PORT, 8);
	conn_passive(c, b, *ret_lp, 4000, p);
	sock_close(c->sk);
	bench_turn(b, 1000);
	peer(c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	bench_drain(b);
	cr_assert_eq(stack_stats(b->st)->tcp_tw_count, 1);
}

Test(tcp_close, test_time_wait_fin_again_restarts_the_clock)
{
	struct sock *lp;

	to_time_wait(&b, &c, &lp, &seg_plain);
	bench_run(&b, 59 * NSEC_PER_SEC);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(&c, ACK, 2, 2, 0);
	bench_run(&b, 59 * NSEC_PER_SEC);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	bench_run(&b, 2 * NSEC_PER_SEC);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 0);
	bench_end(&b);
}

/* The setting tcp_rfc1337: 0 is Linux's default, and RFC 9293 3.10.7.4's second check; RFC 1337 3
 * (F1) ignores all of them. */
Test(tcp_close, test_time_wait_1337_exact_rst_ends_it_where_the_setting_lets_it)
{
	for (unsigned on = 0; on < 2; on++) {
		struct sock *lp;

		to_time_wait(&b, &c, &lp, &seg_full);
		b.st->cfg.rfc1337 = (uint8_t)on;
		peer(&c, .flags = RST, .seq = 1);
		peer(&c, .flags = RST | ACK, .seq = 3, .ack = 2);
		/* RFC 7323 5.3 R1: an old duplicate */
		c.tsval -= 1000;
		peer(&c, .flags = RST, .seq = 2);
		c.tsval += 1000;
		cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
		peer(&c, .flags = RST, .seq = 2);
		cr_assert_eq(stack_stats(b.st)->tcp_tw_count, on);
		expect_none(&b);
		bench_end(&b);
	}
}

Test(tcp_close, test_time_wait_new_syn_reopens)
{
	static const struct seg_peer *kinds[] = {&seg_plain, &seg_full};

	for (unsigned i = 0; i < 2; i++) {
		struct conn d;
		struct sock *lp;
		struct seg_peer p = *kinds[i];

		to_time_wait(&b, &c, &lp, &p);
		p.iss = c.iss + 10;
		conn_init(&d, &b, SEG_PORT, 4000, &p);
		d.tsval = c.tsval + 1;
		conn_syn(&d, &p);
		cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 0);
		cr_assert_eq(tcp_sk(lp)->nr_reqs, 1);
		bench_end(&b);
	}
}

/* The clock of ISNs moves 15 MB a second; a connection that sent faster ended beyond it, and a
 * reopened one without timestamps began inside the old one's numbers (RFC 1122 4.2.2.13). */
Test(tcp_close, test_time_wait_reopened_isn_lies_beyond_the_old_numbers)
{
	struct seg_peer p = seg_plain;
	struct tcp_node *n;
	struct tcp_req *req;
	uint32_t old_nxt;
	struct conn d;
	struct sock *lp;

	to_time_wait(&b, &c, &lp, &p);
	n = tcp_lookup(b.st->tcp, SEG_OUR, SEG_PEER, SEG_PORT, 4000);
	cr_assert(n && n->kind == TCP_NODE_TW);
	old_nxt = container_of(n, struct tcp_tw, node)->snd_nxt += 500000000;
	p.iss = c.iss + 10;
	conn_init(&d, &b, SEG_PORT, 4000, &p);
	conn_syn(&d, &p);
	req = list_first_entry(&tcp_sk(lp)->reqs, struct tcp_req, link);
	cr_assert(after(req->iss, old_nxt));
	bench_end(&b);
}

Test(tcp_close, test_time_wait_older_syn_does_not_reopen)
{
	struct conn d;
	struct sock *lp;
	struct seg_peer p = seg_full;

	to_time_wait(&b, &c, &lp, &seg_full);
	p.iss = c.iss + 10;
	conn_init(&d, &b, SEG_PORT, 4000, &p);
	d.tsval = c.tsval - 1;
	conn_syn(&d, &p);
	expect(&c, ACK, 2, 2, 0);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	bench_end(&b);
}

Test(tcp_close, test_time_wait_syn_without_listener_does_not_end_it)
{
	struct sock *lp;

	to_time_wait(&b, &c, &lp, &seg_plain);
	sock_close(lp);
	peer(&c, .flags = SYN, .seq = 100);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	expect(&c, ACK, 2, 2, 0);
	bench_end(&b);
}

Test(tcp_close, test_time_wait_table_full_oldest_goes)
{
	struct stack_config cfg;
	struct sock *lp;

	stack_config_init(&cfg);
	cfg.max_tw = 4;
	bench_begin(&b, &cfg, 1024);
	lp = bench_listen(&b, SEG_PORT, 8);
	for (uint16_t i = 0; i < 10; i++) {
		conn_passive(&c, &b, lp, 4000 + i, &seg_plain);
		sock_close(c.sk);
		bench_turn(&b, 1000);
		peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
		bench_drain(&b);
	}
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 4);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_overflow, 6);
	cr_assert_null(tcp_lookup(b.st->tcp, SEG_OUR, SEG_PEER, SEG_PORT, 4005));
	cr_assert_not_null(tcp_lookup(b.st->tcp, SEG_OUR, SEG_PEER, SEG_PORT, 4006));
	bench_end(&b);
}
