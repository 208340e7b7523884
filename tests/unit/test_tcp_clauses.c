/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clauses of RFCs that hold in the plain case and were once not held, or not looked at, where two
 * things meet: loss in both directions and a peer of small segments, a backoff and a window that
 * closes. Named by the row of the design's tables.
 */
#include "seg_calls.h"

static struct bench b;
static struct conn c;

/* ---- T2 ---- */

/* RFC 6691 2: options count against the peer's MSS; SACK blocks on data are options. */
Test(tcp_clauses, test_opt_6691_blocks_on_data_stay_within_the_peer_s_mss)
{
	static const struct seg_peer small = {
		.mss = 536, .wscale = 7, .ts = true, .sack = true, .win = 65535};
	struct seg s;

	estab(&b, &c, &small);
	peer(&c, .flags = ACK, .seq = 101, .ack = 1, .len = 100);
	peer(&c, .flags = ACK, .seq = 301, .ack = 1, .len = 100);
	bench_drain(&b);
	for (unsigned len = 480; len <= 524; len++) {
		uint32_t at = conn_tp(&c)->snd_nxt - conn_tp(&c)->iss;

		cr_assert_eq(conn_write(&c, at, len), len);
		bench_turn(&b, 1000);
		cr_assert(bench_next(&b, &c, &s) && s.len == len);
		cr_assert_leq(s.len + TCP_TS_ALIGNED + (s.nr_sacks ? 4 + 8 * s.nr_sacks : 0), 536,
			      "%u bytes and %u blocks", s.len, s.nr_sacks);
		c.tsval++;
		peer(&c, .flags = ACK, .seq = 1, .ack = at + len);
		bench_drain(&b);
	}
	sock_abort(c.sk);
	bench_end(&b);
}

/* ---- T11, B29 ---- */

/* The time of the user's limit begins with the first probe, also where the backoff of an RTO is
 * still in force (Karn: no round trip was measured since). */
Test(tcp_clauses, test_user_timeout_of_probes_after_a_backoff)
{
	uint32_t ms = 20000;
	struct seg s;

	estab(&b, &c, &seg_plain);
	cr_assert_eq(sock_setopt(c.sk, SK_SOL_TCP, SK_TCP_USER_TIMEOUT, &ms, sizeof(ms)), 0);
	/* a series of long ago */
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	cr_assert_eq(conn_write(&c, 1, 1), 1);
	bench_turn(&b, 1000);
	bench_run(&b, NSEC_PER_SEC);
	cr_assert_neq(conn_tp(&c)->probe_start_ns, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	bench_run(&b, 60 * NSEC_PER_SEC);
	cr_assert_eq(conn_write(&c, 2, 99), 99);
	bench_turn(&b, 1000);
	bench_run(&b, 1500 * SEG_MS);
	bench_drain(&b);
	cr_assert_gt(conn_tp(&c)->backoff, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 101, .win = -1);
	conn_tp(&c)->probes_out = 5; /* keepalive's */
	cr_assert_eq(conn_write(&c, 101, 100), 100);
	bench_turn(&b, 1000);
	cr_assert_eq(conn_tp(&c)->probes_out, 0);
	for (unsigned i = 0; i < 10; i++) {
		bench_run(&b, NSEC_PER_SEC);
		assert_state(&c, TCP_ESTABLISHED);
		while (bench_next(&b, &c, &s))
			peer(&c, .flags = ACK, .seq = 1, .ack = 101, .win = -1);
	}
	sock_abort(c.sk);
	bench_end(&b);
}

/* The same after a keepalive probe that nobody answered yet: both count in probes_out. */
Test(tcp_clauses, test_user_timeout_of_probes_after_a_keepalive_probe)
{
	uint32_t ms = 20000, one = 1, five = 5;

	estab(&b, &c, &seg_full);
	bench_run(&b, 60 * NSEC_PER_SEC);
	cr_assert_eq(sock_setopt(c.sk, SK_SOL_TCP, SK_TCP_KEEPIDLE, &five, sizeof(five)), 0);
	cr_assert_eq(sock_setopt(c.sk, SK_SOL_SOCKET, SK_SO_KEEPALIVE, &one, sizeof(one)), 0);
	cr_assert_eq(sock_setopt(c.sk, SK_SOL_TCP, SK_TCP_USER_TIMEOUT, &ms, sizeof(ms)), 0);
	c.tsval += 60000;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	bench_run(&b, 5500 * SEG_MS);
	cr_assert_eq(conn_tp(&c)->probes_out, 1);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_turn(&b, 1000);
	bench_run(&b, 1500 * SEG_MS);
	assert_state(&c, TCP_ESTABLISHED);
	sock_abort(c.sk);
	bench_end(&b);
}

/* A segment that anybody may have sent closes the window from a number that the real peer, who only
 * acknowledges, never reaches: his answers to the probes open it again. Before a probe has left,
 * what has an older number may be an older segment (RFC 9293 3.10.7.4, SND.WL1). */
Test(tcp_clauses, test_tcp_B29_window_that_a_stranger_shut_is_opened_by_the_probes_answer)
{
	estab(&b, &c, &seg_plain);
	peer(&c, .flags = ACK, .seq = 6, .ack = 1, .win = -1);
	cr_assert_eq(conn_tp(&c)->snd_wnd, 0);
	cr_assert_eq(conn_write(&c, 1, 1000), 1000);
	bench_turn(&b, 1000);
	expect_none(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(conn_tp(&c)->snd_wnd, 0);
	bench_run(&b, 1100 * SEG_MS);
	cr_assert_gt(conn_tp(&c)->backoff, 0);
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	expect(&c, ACK, 1, 1, 1000);
	sock_abort(c.sk);
	bench_end(&b);
}

/* ---- B8, B32 ---- */

/* RFC 9293 3.10.7.4, RFC 6191: only a SYN that may open another connection ends TIME-WAIT; with FIN
 * it opens none. */
Test(tcp_clauses, test_time_wait_syn_with_fin_does_not_end_it)
{
	struct sock *lp;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&c, &b, lp, 4000, &seg_plain);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(&c, ACK, 2, 2, 0);
	peer(&c, .flags = SYN | FIN, .seq = 100000);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	sock_close(lp);
	bench_end(&b);
}

/* Nor one that is refused since nobody accepts. */
Test(tcp_clauses, test_time_wait_syn_that_a_full_listener_refuses_does_not_end_it)
{
	struct conn more[2];
	struct sock *lp;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 1);
	conn_passive(&c, &b, lp, 4000, &seg_plain);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(&c, ACK, 2, 2, 0);
	for (uint16_t i = 0; i < 2; i++) {
		struct seg s;

		conn_init(&more[i], &b, SEG_PORT, 4001 + i, &seg_plain);
		conn_syn(&more[i], &seg_plain);
		cr_assert(bench_next(&b, NULL, &s));
		more[i].irs = s.seq;
		peer(&more[i], .flags = ACK, .seq = 1, .ack = 1);
	}
	peer(&c, .flags = SYN, .seq = 100000);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	sock_close(lp);
	bench_end(&b);
}

/* Nor where no half-open connection more can be remembered. */
Test(tcp_clauses, test_time_wait_syn_that_finds_no_place_does_not_end_it)
{
	struct stack_config cfg;
	struct conn other;
	struct sock *lp;

	stack_config_init(&cfg);
	cfg.max_syn = 1;
	bench_begin(&b, &cfg, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&c, &b, lp, 4000, &seg_plain);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	expect(&c, ACK, 2, 2, 0);
	conn_init(&other, &b, SEG_PORT, 4001, &seg_plain);
	conn_syn(&other, &seg_plain);
	cr_assert_eq(b.st->tcp->reqs.nr, 1);
	peer(&c, .flags = SYN, .seq = 100000);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	sock_close(lp);
	bench_end(&b);
}

/* ---- T1 over the internal loopback ---- */

/* RFC 9293 3.5: a socket that connects to itself opens simultaneously. */
Test(tcp_clauses, test_simultaneous_open_with_oneself)
{
	struct sk_addr me = {.family = SK_AF_INET, .port = 4444, .v4 = SEG_OUR};
	struct sock *sk;
	uint8_t buf[16] = "to myself", got[16];

	bench_begin(&b, NULL, 512);
	cr_assert_eq(sock_create(b.st, SK_AF_INET, &sk), 0);
	cr_assert_eq(sock_bind(sk, &me), 0);
	cr_assert_eq(sock_connect(sk, &me), -EINPROGRESS);
	bench_turn(&b, 1000);
	bench_run(&b, 100 * SEG_MS);
	cr_assert_eq(sk->sk_state, TCP_ESTABLISHED, "%s", tcp_state_name(sk->sk_state));
	cr_assert_eq(sock_send(sk, buf, 16), 16);
	bench_turn(&b, 1000);
	bench_run(&b, 100 * SEG_MS);
	cr_assert_eq(sock_recv(sk, got, 16), 16);
	cr_assert_arr_eq(got, buf, 16);
	sock_close(sk);
	bench_turn(&b, 1000);
	bench_run(&b, 200 * NSEC_PER_SEC);
	cr_assert_eq(nr_socks(&b), 0);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	bench_end(&b);
}

/* ---- T4 ---- */

/* RFC 2883 4.2: behind the range that came twice stands the block that it lies in, whichever came
 * last; a peer would take it for an ordinary block else. */
Test(tcp_clauses, test_dsack_2883_4_2_its_block_comes_next)
{
	struct seg s;

	estab(&b, &c, &seg_full);
	peer(&c, .flags = ACK, .seq = 101, .ack = 1, .len = 100);
	peer(&c, .flags = ACK, .seq = 301, .ack = 1, .len = 100);
	bench_drain(&b);
	/* all of it was here */
	peer(&c, .flags = ACK, .seq = 121, .ack = 1, .len = 50);
	expect_get(&c, ACK, 1, 1, 0, &s);
	cr_assert_eq(s.nr_sacks, 3);
	cr_assert(s.sack[0] == 121 && s.sack[1] == 171, "%u %u", s.sack[0], s.sack[1]);
	cr_assert(s.sack[2] == 101 && s.sack[3] == 201, "%u %u", s.sack[2], s.sack[3]);
	cr_assert(s.sack[4] == 301 && s.sack[5] == 401, "%u %u", s.sack[4], s.sack[5]);
	/* a part of it, in front of what is new */
	peer(&c, .flags = ACK, .seq = 381, .ack = 1, .len = 50);
	expect_get(&c, ACK, 1, 1, 0, &s);
	cr_assert_eq(s.nr_sacks, 3);
	cr_assert(s.sack[0] == 381 && s.sack[1] == 401, "%u %u", s.sack[0], s.sack[1]);
	cr_assert(s.sack[2] == 301 && s.sack[3] == 431, "%u %u", s.sack[2], s.sack[3]);
	sock_abort(c.sk);
	bench_end(&b);
}

/* ---- memory ---- */

/* RFC 9293 3.8.6: a window of zero opens again. That of a socket whose buffers all wait behind a
 * hole did not while memory was short: nobody could fill the hole, and nobody gave the buffers
 * back. */
Test(tcp_clauses, test_window_of_who_waits_for_a_hole_stays_open_without_memory)
{
	struct sk_buff *held[512];
	unsigned n = 0;

	bench_begin(&b, NULL, 512);
	conn_passive(&c, &b, bench_listen(&b, SEG_PORT, 8), 4000, &seg_plain);
	peer(&c, .flags = ACK, .seq = 101, .ack = 1, .len = 100);
	bench_drain(&b);
	while (n < 512 && !b.st->cache.low)
		cr_assert((held[n++] = skb_alloc(&b.st->cache, 0)) != NULL);
	cr_assert_gt(c.sk->sk_rmem_alloc, 0);
	cr_assert_eq(tcp_new_window(conn_tp(&c)), 1460);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	cr_assert_geq(conn_read(&c, 1), 100);
	/* bytes that the user has not read are another thing */
	peer(&c, .flags = ACK, .seq = conn_tp(&c)->rcv_nxt - conn_tp(&c)->irs, .ack = 1, .len = 50);
	cr_assert_gt(c.sk->sk_rmem_alloc, 0);
	cr_assert_eq(tcp_new_window(conn_tp(&c)), 0);
	while (n)
		skb_free(held[--n]);
	sock_abort(c.sk);
	bench_end(&b);
}

/* ---- T15, B24 ---- */

/* A router's or a stranger's error about the connection's number `seq`, ours, relative. */
static void icmp_error(uint8_t type, uint8_t code, uint32_t seq)
{
	uint8_t quoted[FAKE_FRAME_MAX] = {0}, frame[FAKE_FRAME_MAX];
	struct tcphdr_ *th = (struct tcphdr_ *)(quoted + ETH_HLEN + IP_HLEN);

	(void)frame_ip(quoted, SEG_OUR, SEG_PEER, IPPROTO_TCP_, NULL, 1000);
	th->source = be16(c.lport);
	th->dest = be16(c.fport);
	th->seq = be32(c.irs + seq);
	fake_inject(b.f, frame,
		    frame_icmp(frame, fake_ip(10, 0, 0, 9), SEG_OUR, type, code, 0,
			       quoted + ETH_HLEN, IP_HLEN + 8));
	bench_turn(&b, 1000);
}

static void all_errors(uint32_t seq)
{
	for (uint8_t code = 0; code < 16; code++) {
		if (code != 4) /* that is about the MTU (B25) */
			icmp_error(3, code, seq);
		icmp_error(11, code, seq);
		icmp_error(12, code, seq);
	}
}

/* RFC 5927 6: from ESTABLISHED on no error ends a connection, hard or soft, about what is in flight
 * or not, in any state, and whoever answers is believed more. */
Test(tcp_clauses, test_tcp_B24_no_error_ends_a_connection_in_any_state)
{
	static const uint8_t states[] = {TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_CLOSE_WAIT,
					 TCP_LAST_ACK, TCP_CLOSING};

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		bool fin = states[i] == TCP_CLOSE_WAIT || states[i] == TCP_LAST_ACK;

		estab(&b, &c, &seg_plain);
		if (fin)
			peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 1);
		cr_assert_eq(conn_write(&c, 1, 100), 100);
		if (states[i] != TCP_ESTABLISHED && states[i] != TCP_CLOSE_WAIT)
			cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
		bench_turn(&b, 1000);
		if (states[i] == TCP_CLOSING)
			peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 1);
		assert_state(&c, states[i]);
		all_errors(1);
		all_errors(0);
		all_errors(500);
		assert_state(&c, states[i]);
		cr_assert_eq(c.sk->sk_err, 0);
		/* nor is it remembered once the peer has answered */
		peer(&c, .flags = ACK, .seq = fin || states[i] == TCP_CLOSING ? 2 : 1, .ack = 101);
		cr_assert_eq(conn_tp(&c)->err_soft, 0);
		assert_state(&c, states[i]);
		sock_abort(c.sk);
		bench_end(&b);
	}
}

/* RFC 1122 4.2.3.9: a connect is ended by one, but not by one that guesses its number. */
Test(tcp_clauses, test_tcp_B24_connect_is_ended_by_an_error_about_its_syn_alone)
{
	struct seg s;

	bench_begin(&b, NULL, 512);
	conn_active(&c, &b, &seg_plain, &s);
	all_errors(1);
	all_errors(UINT32_MAX);
	assert_state(&c, TCP_SYN_SENT);
	icmp_error(3, 3, 0);
	assert_state(&c, TCP_CLOSE);
	cr_assert_eq(sock_error(c.sk), -ECONNREFUSED);
	sock_close(c.sk);
	bench_end(&b);
}

/* A window of one segment offers it whole, in the unit of its scale: rounded up, as a peer whose
 * segment does not fit waits instead of sending less. */
Test(tcp_clauses, test_window_of_the_last_buffer_takes_a_segment_by_any_scale)
{
	struct sk_buff *held[512];
	struct seg_peer peers[] = {seg_plain, seg_full};
	static const uint32_t window[] = {1460, 1536};

	for (unsigned i = 0; i < ARRAY_SIZE(peers); i++) {
		unsigned n = 0;

		bench_begin(&b, NULL, 512);
		conn_passive(&c, &b, bench_listen(&b, SEG_PORT, 8), 4000, &peers[i]);
		while (n < 512 && !b.st->cache.low)
			cr_assert((held[n++] = skb_alloc(&b.st->cache, 0)) != NULL);
		cr_assert_eq(tcp_new_window(conn_tp(&c)), window[i], "%u",
			     tcp_new_window(conn_tp(&c)));
		while (n)
			skb_free(held[--n]);
		sock_abort(c.sk);
		bench_end(&b);
	}
}

/* Once half of what the lane may hold is held, who has a large buffer is offered four times the
 * least one, but no less than a sixteenth of his own. */
Test(tcp_clauses, test_window_shrinks_to_shares_beyond_half_of_the_lane_s_memory)
{
	static const uint32_t bufs[] = {131072, 4u << 20}, space[] = {65536, 262144};
	struct tcp_shard *sh;
	uint64_t total;

	estab(&b, &c, &seg_full);
	sh = b.st->tcp;
	total = sh->rmem_total;
	conn_tp(&c)->rcv_ssthresh = 8u << 20;
	for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++) {
		c.sk->sk_rcvbuf = bufs[i];
		sh->rmem_total = sh->rmem_limit / 2;
		cr_assert_eq(tcp_new_window(conn_tp(&c)), bufs[i] / 2);
		sh->rmem_total = sh->rmem_limit / 2 + 1;
		cr_assert_eq(tcp_new_window(conn_tp(&c)), space[i] / 2, "%u",
			     tcp_new_window(conn_tp(&c)));
	}
	sh->rmem_total = total;
	c.sk->sk_rcvbuf = 131072;
	sock_abort(c.sk);
	bench_end(&b);
}

/* ---- T9, T10, T16: the receiver's small numbers ---- */

/* RFC 9293 3.8.6.2.2: an update is worth a segment where the window can double; nobody asks while a
 * quarter of the buffer is offered still. */
Test(tcp_clauses, test_window_update_only_below_a_quarter_of_the_buffer)
{
	for (uint32_t less = 0; less <= 128; less += 128) {
		struct tcp_sock *tp;

		estab(&b, &c, &seg_full);
		tp = conn_tp(&c);
		tp->rcv_ssthresh = c.sk->sk_rcvbuf;
		peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
		bench_drain(&b);
		tp->rcv_wup = tp->rcv_nxt;
		tp->rcv_wnd = c.sk->sk_rcvbuf / 4 - less;
		cr_assert_eq(conn_read(&c, 1), 100);
		bench_turn(&b, 1000);
		if (less)
			expect(&c, ACK, 1, 101, 0);
		expect_none(&b);
		sock_abort(c.sk);
		bench_end(&b);
	}
}

/* Segments of less than 128 bytes do not open the window: they pin more than they bring. */
Test(tcp_clauses, test_window_grows_by_segments_of_128_bytes_and_more)
{
	struct tcp_sock *tp;

	estab(&b, &c, &seg_full);
	tp = conn_tp(&c);
	tp->rcv_ssthresh = 20000;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 127);
	cr_assert_eq(tp->rcv_ssthresh, 20000);
	peer(&c, .flags = ACK, .seq = 128, .ack = 1, .len = 128);
	cr_assert_eq(tp->rcv_ssthresh, 20000 + 2 * 1460);
	sock_abort(c.sk);
	bench_end(&b);
}

/* Quick ACKs for as many segments as half of the window holds, two where it holds none. */
Test(tcp_clauses, test_quick_acks_two_at_least_in_a_window_of_a_segment)
{
	static const struct {
		uint32_t wnd;
		uint8_t acks;
	} t[] = {{0, 2}, {1999, 2}, {2000, 1}, {6000, 3}, {1u << 20, TCP_QUICKACKS}};
	struct tcp_sock *tp;

	estab(&b, &c, &seg_full);
	tp = conn_tp(&c);
	tp->rcv_mss = 1000;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		tp->quickack = 0;
		tp->rcv_wnd = t[i].wnd;
		tcp_enter_quickack(tp);
		cr_assert_eq(tp->quickack, t[i].acks, "%u: %u", t[i].wnd, tp->quickack);
	}
	sock_abort(c.sk);
	bench_end(&b);
}
