/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss, acknowledgment and pace, segment by segment: RTO (RFC 6298), fast retransmit and
 * NewReno (5681, 6582), the scoreboard (6675, 2018), cwnd's growth, Nagle, delayed ACKs,
 * silly windows, and numbers that wrap. Zero windows are in test_tcp_hostile_data.c.
 */
#include "stack/tcp_fast.h"
#include "seg.h"

#define MSS 1000u

static const struct seg_peer plain_1000 = {.mss = MSS, .wscale = -1, .win = 65535};
static const struct seg_peer sack_1000 = {.mss = MSS, .wscale = -1, .win = 65535, .sack = true};

static void estab(struct bench *b, struct conn *c, const struct seg_peer *p)
{
	bench_begin(b, NULL, 1024);
	conn_passive(c, b, bench_listen(b, SEG_PORT, 8), 4000, p);
	tcp_cong_set(conn_tp(c), &tcp_reno);
}

/* n segments of MSS bytes leave; all of them are looked at. */
static void send_full(struct conn *c, unsigned n)
{
	cr_assert_eq(conn_write(c, 1, n * MSS), n * MSS);
	bench_turn(c->b, 1000);
	for (unsigned i = 0; i < n; i++)
		expect(c, ACK, 1 + i * MSS, 1, MSS);
	expect_none(c->b);
}

static void dup(struct conn *c, uint32_t ack)
{
	peer(c, .flags = ACK, .seq = 1, .ack = ack);
}

static void sack(struct conn *c, uint32_t ack, uint32_t from, uint32_t to)
{
	peer(c, .flags = ACK, .seq = 1, .ack = ack, .nr_sacks = 1, .sack = {from, to});
}

/* ---- RTO ---- */

Test(tcp_loss, test_rto_backs_off_and_karn_keeps_it)
{
	struct bench b;
	struct conn c;
	uint64_t rto, t;

	estab(&b, &c, &plain_1000);
	send_full(&c, 1);
	rto = conn_tp(&c)->rto;
	t = b.now;
	for (unsigned i = 0; i < 3; i++) {
		struct seg s;

		while (!bench_next(&b, &c, &s))
			bench_run(&b, SEG_MS);
		cr_assert(s.seq == 1 && s.len == MSS);
		/* seen up to a millisecond after it was sent */
		cr_assert_geq(b.now - t + SEG_MS, rto << i, "never early");
		cr_assert_leq(b.now - t, (rto << i) + 3 * SEG_MS);
		t = b.now;
	}
	cr_assert_eq(conn_tp(&c)->snd_cwnd, MSS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_LOSS);
	/* an answer to one of four transmissions measures nothing: the backoff stays */
	dup(&c, 1 + MSS);
	cr_assert_eq(conn_tp(&c)->rto, rto);
	cr_assert_eq(tcp_rto_backoff(conn_tp(&c)), rto << 3);
	cr_assert_eq(conn_write(&c, 1 + MSS, 100), 100);
	bench_turn(&b, 1000);
	bench_run(&b, SEG_MS);
	dup(&c, 1 + MSS + 100);
	cr_assert_eq(conn_tp(&c)->backoff, 0);
	bench_end(&b);
}

Test(tcp_loss, test_rto_sends_again_what_was_lost_in_slow_start)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain_1000);
	send_full(&c, 8);
	bench_run(&b, 250 * SEG_MS);
	expect(&c, ACK, 1, 1, MSS);
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->snd_ssthresh, 5 * MSS, "half of cwnd, as Linux");
	dup(&c, 1 + MSS);
	expect(&c, ACK, 1 + MSS, 1, MSS);
	expect(&c, ACK, 1 + 2 * MSS, 1, MSS);
	expect_none(&b);
	dup(&c, 1 + 8 * MSS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_eq(tcp_pipe(conn_tp(&c)), 0);
	bench_end(&b);
}

/* With a hundred segments waiting to go again, what a second RTO found lost once more was put
 * behind sixty-four of them: from then on each RTO filled one hole only. */
Test(tcp_loss, test_rto_again_goes_on_from_the_oldest)
{
	const struct seg_peer small = {.mss = 100, .wscale = -1, .win = 65535};
	struct bench b;
	struct conn c;

	estab(&b, &c, &small);
	conn_tp(&c)->snd_cwnd = 20000;
	cr_assert_eq(conn_write(&c, 1, 9000), 9000);
	bench_turn(&b, 1000);
	bench_drain(&b);
	cr_assert_eq(tcp_flight(conn_tp(&c)), 9000);
	bench_run(&b, 250 * SEG_MS);
	expect(&c, ACK, 1, 1, 100);
	dup(&c, 101);
	expect(&c, ACK, 101, 1, 100);
	expect(&c, ACK, 201, 1, 100);
	bench_run(&b, 450 * SEG_MS);
	expect(&c, ACK, 101, 1, 100);
	dup(&c, 201);
	expect(&c, ACK, 201, 1, 100);
	expect(&c, ACK, 301, 1, 100);
	bench_end(&b);
}

/* RFC 5682 3.2: a second RTO of the same segment may be as spurious as the first one. */
Test(tcp_loss, test_frto_5682_3_2_second_rto_of_the_same_segment_may_be_undone)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain_1000);
	cr_assert_eq(conn_write(&c, 1, 20 * MSS), 20 * MSS);
	bench_turn(&b, 1000);
	bench_run(&b, 700 * SEG_MS);
	bench_drain(&b);
	cr_assert_eq(conn_tp(&c)->retransmits, 2);
	dup(&c, 1 + MSS);
	expect(&c, ACK, 1 + 10 * MSS, 1, MSS);
	expect(&c, ACK, 1 + 11 * MSS, 1, MSS);
	expect_none(&b);
	dup(&c, 1 + 2 * MSS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_eq(stack_stats(b.st)->tcp_spurious_rtos, 1);
	bench_end(&b);
}

/* RFC 5682 3.2: but not one that interrupts a recovery: what fills the next hole goes, no new
 * data. */
Test(tcp_loss, test_frto_5682_3_2_none_where_a_recovery_was_under_way)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sack_1000);
	cr_assert_eq(conn_write(&c, 1, 20 * MSS), 20 * MSS);
	bench_turn(&b, 1000);
	sack(&c, 1, 1 + MSS, 1 + 4 * MSS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_RECOVERY);
	bench_run(&b, 250 * SEG_MS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_LOSS);
	bench_drain(&b);
	dup(&c, 1 + 4 * MSS);
	expect(&c, ACK, 1 + 4 * MSS, 1, MSS);
	expect(&c, ACK, 1 + 5 * MSS, 1, MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_spurious_rtos, 0);
	bench_end(&b);
}

/* RFC 9293 3.8.6: the window shrank to 110 bytes while a hundred segments of 20 were on their way.
 * What goes again as one does not reach beyond it. */
Test(tcp_loss, test_rto_of_tiny_segments_stays_within_a_window_that_shrank)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain_1000);
	conn_tp(&c)->nonagle = TCP_NAGLE_OFF;
	for (unsigned i = 0; i < 100; i++) {
		cr_assert_eq(conn_write(&c, 1 + i * 20, 20), 20);
		bench_turn(&b, 1000);
	}
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 21, .win = 110);
	bench_run(&b, 250 * SEG_MS);
	expect(&c, ACK, 21, 1, 100);
	expect_none(&b);
	bench_end(&b);
}

/* ---- without SACK ---- */

Test(tcp_loss, test_reno_third_dup_ack_retransmits_then_partial_ack)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain_1000);
	send_full(&c, 10);
	dup(&c, 1);
	dup(&c, 1);
	expect_none(&b);
	dup(&c, 1);
	expect(&c, ACK, 1, 1, MSS);
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_RECOVERY);
	cr_assert_eq(conn_tp(&c)->snd_ssthresh, 5 * MSS);
	for (int i = 0; i < 5; i++)
		dup(&c, 1);
	/* RFC 6582 3.2 step 3: the next hole goes at once */
	dup(&c, 1 + 4 * MSS);
	expect(&c, ACK, 1 + 4 * MSS, 1, MSS);
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_RECOVERY);
	dup(&c, 1 + 10 * MSS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_leq(conn_tp(&c)->snd_cwnd, 5 * MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_fast_retrans, 1);
	cr_assert_eq(stack_stats(b.st)->tcp_timeouts, 0);
	bench_end(&b);
}

Test(tcp_loss, test_reno_odd_sizes_never_make_the_pipe_negative)
{
	struct bench b;
	struct conn c;
	uint32_t at = 1;

	estab(&b, &c, &plain_1000);
	conn_tp(&c)->nonagle = TCP_NAGLE_OFF;
	for (unsigned i = 0; i < 12; i++) {
		unsigned n = i % 3 ? MSS : 10;

		cr_assert_eq(conn_write(&c, at, n), n);
		bench_turn(&b, 1000);
		at += n;
	}
	for (int i = 0; i < 12; i++)
		dup(&c, 1);
	/* partial ACKs of every size; bench_turn checks the sums */
	for (uint32_t a = 11; a + 1500 < at; a += 777)
		dup(&c, a);
	dup(&c, at);
	cr_assert_eq(tcp_pipe(conn_tp(&c)), 0);
	bench_end(&b);
}

/* ---- with SACK ---- */

Test(tcp_loss, test_sack_is_lost_marks_and_fills_holes)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sack_1000);
	send_full(&c, 10);
	/* segments 1 and 3 (from 0) are lost */
	sack(&c, 1 + MSS, 1 + 2 * MSS, 1 + 3 * MSS);
	sack(&c, 1 + MSS, 1 + 4 * MSS, 1 + 5 * MSS);
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_DISORDER);
	sack(&c, 1 + MSS, 1 + 4 * MSS, 1 + 6 * MSS);
	expect(&c, ACK, 1 + MSS, 1, MSS);
	cr_assert_eq(conn_tp(&c)->sacked_out, 3 * MSS);
	/* only two segments above number 3 are held: not lost by RFC 6675 yet */
	expect_none(&b);
	sack(&c, 1 + MSS, 1 + 4 * MSS, 1 + 8 * MSS);
	expect(&c, ACK, 1 + 3 * MSS, 1, MSS);
	dup(&c, 1 + 10 * MSS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_eq(stack_stats(b.st)->tcp_sack_recovery, 1);
	bench_end(&b);
}

Test(tcp_loss, test_sack_lost_retransmission_goes_again)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sack_1000);
	conn_tp(&c)->min_rtt_us = 1000;
	send_full(&c, 10);
	bench_run(&b, 2 * SEG_MS);
	sack(&c, 1, 1 + MSS, 1 + 8 * MSS);
	expect(&c, ACK, 1, 1, MSS);
	/* new data, sent after the retransmission, arrives: the retransmission did not */
	bench_run(&b, 5 * SEG_MS);
	cr_assert_eq(conn_write(&c, 1 + 10 * MSS, MSS), MSS);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1 + 10 * MSS, 1, MSS);
	bench_run(&b, 5 * SEG_MS);
	sack(&c, 1, 1 + MSS, 1 + 11 * MSS);
	expect(&c, ACK, 1, 1, MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_timeouts, 0);
	bench_end(&b);
}

Test(tcp_loss, test_sack_kept_at_rto_unless_reneged)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sack_1000);
	send_full(&c, 4);
	sack(&c, 1, 1 + MSS, 1 + 2 * MSS);
	/* the reordering timer, then the RTO */
	bench_run(&b, 250 * SEG_MS);
	expect(&c, ACK, 1, 1, MSS);
	expect(&c, ACK, 1, 1, MSS);
	cr_assert_eq(conn_tp(&c)->sacked_out, MSS);
	cr_assert_eq(conn_tp(&c)->lost_out, 3 * MSS);
	/* what was SACKed is not sent again */
	dup(&c, 1 + 2 * MSS);
	expect(&c, ACK, 1 + 2 * MSS, 1, MSS);
	bench_end(&b);
}

/* ---- cwnd ---- */

Test(tcp_loss, test_cong_slow_start_doubles_then_avoidance_adds_one)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c, &plain_1000);
	tp = conn_tp(&c);
	cr_assert_eq(tp->snd_cwnd, 10 * MSS);
	cr_assert_eq(conn_write(&c, 1, 60000), 60000);
	bench_turn(&b, 1000);
	cr_assert_eq(tcp_flight(tp), 10 * MSS);
	for (uint32_t i = 1; i <= 5; i++)
		dup(&c, 1 + 2 * i * MSS);
	cr_assert_eq(tp->snd_cwnd, 20 * MSS);
	tp->snd_ssthresh = 20 * MSS;
	for (uint32_t i = 6; i <= 15; i++)
		dup(&c, 1 + 2 * i * MSS);
	cr_assert_eq(tp->snd_cwnd, 21 * MSS);
	bench_end(&b);
}

Test(tcp_loss, test_cong_cwnd_is_not_grown_when_the_window_is_the_limit)
{
	struct bench b;
	struct conn c;
	struct seg_peer p = plain_1000;
	uint32_t at = 1;

	p.win = 12000;
	estab(&b, &c, &p);
	conn_tp(&c)->snd_ssthresh = 10 * MSS;
	cr_assert_eq(conn_write(&c, 1, 60000), 60000);
	bench_turn(&b, 1000);
	for (unsigned i = 0; i < 40; i++, at += MSS)
		dup(&c, at + MSS);
	cr_assert_leq(conn_tp(&c)->snd_cwnd, 13 * MSS, "%u", conn_tp(&c)->snd_cwnd);
	bench_end(&b);
}

Test(tcp_loss, test_cong_idle_writer_does_not_grow_cwnd)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain_1000);
	for (uint32_t i = 0; i < 50; i++) {
		cr_assert_eq(conn_write(&c, 1 + i * 100, 100), 100);
		bench_turn(&b, 1000);
		dup(&c, 1 + (i + 1) * 100);
	}
	cr_assert_eq(conn_tp(&c)->snd_cwnd, 10 * MSS);
	bench_end(&b);
}

/* ---- Nagle, ACKs, windows ---- */

Test(tcp_loss, test_nagle_holds_a_second_small_segment_nodelay_does_not)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain_1000);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 1, 10);
	cr_assert_eq(conn_write(&c, 11, 10), 10);
	bench_turn(&b, 1000);
	expect_none(&b);
	/* full segments pass (Minshall), the small rest waits */
	cr_assert_eq(conn_write(&c, 21, 1500), 1500);
	bench_turn(&b, 1000);
	expect(&c, ACK, 11, 1, MSS);
	expect_none(&b);
	dup(&c, 11);
	expect(&c, ACK, 1011, 1, 510);
	cr_assert_eq(sock_setopt_int(c.sk, SK_SOL_TCP, SK_TCP_NODELAY, 1), 0);
	cr_assert_eq(conn_write(&c, 1521, 10), 10);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1521, 1, 10);
	bench_end(&b);
}

/* RFC 9293 3.4: more than 2 GiB of full segments after the last small one its number seems to be
 * ahead. None is in flight, so a tail goes at once. */
Test(tcp_loss, test_nagle_last_small_segment_2_gib_ago)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain_1000);
	conn_tp(&c)->snd_sml = conn_tp(&c)->snd_una + (1u << 31) - 10 * MSS;
	cr_assert_eq(conn_write(&c, 1, MSS + 100), MSS + 100);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 1, MSS);
	expect(&c, ACK, 1 + MSS, 1, 100);
	/* which counts again */
	cr_assert_eq(conn_write(&c, 101 + MSS, 10), 10);
	bench_turn(&b, 1000);
	expect_none(&b);
	bench_end(&b);
}

Test(tcp_loss, test_ack_quick_at_start_then_every_second_and_within_40_ms)
{
	struct bench b;
	struct conn c;
	uint32_t at = 1;

	estab(&b, &c, &plain_1000);
	for (unsigned i = 0; i < TCP_QUICKACKS; i++, at += 1460) {
		peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = 1460);
		expect(&c, ACK, 1, at + 1460, 0);
	}
	for (unsigned i = 0; i < 4; i++, at += 2920) {
		peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = 1460);
		expect_none(&b);
		peer(&c, .flags = ACK, .seq = at + 1460, .ack = 1, .len = 1460);
		expect(&c, ACK, 1, at + 2920, 0);
	}
	peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = 100);
	bench_run(&b, 39 * SEG_MS);
	expect_none(&b);
	bench_run(&b, 2 * SEG_MS);
	expect(&c, ACK, 1, at + 100, 0);
	bench_end(&b);
}

Test(tcp_loss, test_psh_ends_each_write)
{
	struct bench b;
	struct conn c;
	struct seg s;

	estab(&b, &c, &plain_1000);
	cr_assert_eq(conn_write(&c, 1, 2500), 2500);
	bench_turn(&b, 1000);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(bench_next(&b, &c, &s));
		cr_assert_eq(!!(s.flags & PSH), i == 2);
	}
	bench_end(&b);
}

Test(tcp_loss, test_window_update_comes_when_it_is_worth_it)
{
	struct bench b;
	struct conn c;
	struct seg s = {0};
	uint8_t buf[1000];
	uint32_t at = 1;

	estab(&b, &c, &plain_1000);
	cr_assert_eq(sock_setopt_int(c.sk, SK_SOL_SOCKET, SK_SO_RCVBUF, 8192), 0);
	/* the window that was promised never moves back (RFC 9293 3.8.6.2.2) */
	while (at < 60000) {
		uint32_t edge = conn_tp(&c)->rcv_wup + conn_tp(&c)->rcv_wnd;

		peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = MSS);
		if (conn_tp(&c)->ack_pending || conn_tp(&c)->rcv_wnd == 0)
			break;
		cr_assert(!before(conn_tp(&c)->rcv_wup + conn_tp(&c)->rcv_wnd, edge));
		at += MSS;
	}
	bench_run(&b, 50 * SEG_MS);
	bench_drain(&b);
	/* a few bytes read: no silly window; all read: told at once */
	cr_assert_eq(sock_recv(c.sk, buf, 10), 10);
	bench_turn(&b, 1000);
	expect_none(&b);
	while (sock_recv(c.sk, buf, sizeof(buf)) > 0)
		;
	bench_turn(&b, 1000);
	if (tcp_receive_window(conn_tp(&c)) < 16384 / 4)
		cr_assert(bench_next(&b, &c, &s) && s.len == 0 && s.win > 0, "no window update");
	bench_end(&b);
}

/* ---- wrap ---- */

Test(tcp_loss, test_seq_wraps_at_2_31_and_2_32)
{
	static const uint32_t at[] = {0x80000000u - 7000, 0u - 7000};

	for (unsigned i = 0; i < 2; i++) {
		struct seg_peer p = sack_1000;
		struct bench b;
		struct conn c;

		p.our_iss_end = at[i];
		p.iss = at[i] - 1;
		estab(&b, &c, &p);
		send_full(&c, 10);
		/* loss and SACK across the border */
		for (uint32_t k = 6; k <= 9; k++)
			sack(&c, 1 + 5 * MSS, 1 + 6 * MSS, 1 + (k + 1) * MSS);
		expect(&c, ACK, 1 + 5 * MSS, 1, MSS);
		dup(&c, 1 + 10 * MSS);
		cr_assert_eq(tcp_flight(conn_tp(&c)), 0);
		bench_drain(&b);
		/* and out of order on the way in */
		for (uint32_t k = 0; k < 10; k += 2)
			peer(&c, .flags = ACK, .seq = 1 + (k + 1) * MSS, .ack = 1 + 10 * MSS,
			     .len = MSS);
		cr_assert_eq(conn_tp(&c)->nr_sacks, 4);
		for (uint32_t k = 0; k < 10; k += 2)
			peer(&c, .flags = ACK, .seq = 1 + k * MSS, .ack = 1 + 10 * MSS, .len = MSS);
		cr_assert_eq(conn_read(&c, 1), 10 * MSS);
		bench_end(&b);
	}
}
