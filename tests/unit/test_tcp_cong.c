/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The congestion window, segment by segment: PRR (RFC 6937, 9937), limited transmit (RFC
 * 3042), validation and restart (RFC 7661, 5681 4.1), NewReno's growth. What takes a recovery back
 * is in test_tcp_undo.c.
 */
#include "seg_cong.h"

/* ---- PRR ---- */

Test(tcp_cong, test_prr_6937_sends_in_proportion_above_ssthresh)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c, &sacks);
	tp = conn_tp(&c);
	tp->snd_cwnd = 20 * MSS;
	send_full(&c, 0, 20);
	bench_run(&b, RTT);
	write_segs(&c, 20, 20);
	expect_none(&b);
	/* three are delivered at once: ceil(3 / 2) = 2 may go, one for the loss, one is new */
	sack(&c, 0, 1, 4);
	expect(&c, ACK, at(0), 1, MSS);
	expect_segs(&c, 20, 1);
	cr_assert_eq(tp->ca_state, TCP_CA_RECOVERY);
	cr_assert_eq(tp->snd_ssthresh, 10 * MSS);
	for (unsigned i = 4; i < 14; i++)
		sack(&c, 0, 1, i + 1);
	/* 13 delivered, so 7 sent in all */
	cr_assert_eq(tp->prr_out, 7 * MSS);
	cr_assert_leq(tcp_pipe(tp), 14 * MSS);
	bench_drain(&b);
	ack(&c, 20);
	cr_assert_eq(tp->ca_state, TCP_CA_OPEN);
	bench_end(&b);
}

Test(tcp_cong, test_prr_9937_below_ssthresh_safe_ack_gets_one_more)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c, &sacks);
	tp = conn_tp(&c);
	tp->snd_cwnd = 20 * MSS;
	send_full(&c, 0, 20);
	write_segs(&c, 20, 20);
	bench_run(&b, RTT);
	/* 16 of 20 are lost: the pipe is far below ssthresh */
	sack(&c, 0, 16, 20);
	/* CRB: four delivered, four sent */
	expect_segs(&c, 0, 4);
	/* SSRB: an ACK that advances by one, and finds nothing more lost: two */
	bench_run(&b, RTT);
	ack(&c, 1);
	expect_segs(&c, 4, 2);
	bench_end(&b);
}

Test(tcp_cong, test_prr_recovery_ends_at_ssthresh)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c, &sacks);
	tp = conn_tp(&c);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	sack(&c, 0, 1, 4);
	expect_segs(&c, 0, 1);
	sack(&c, 0, 1, 10);
	bench_run(&b, RTT);
	ack(&c, 10);
	cr_assert_eq(tp->ca_state, TCP_CA_OPEN);
	cr_assert_eq(tp->snd_cwnd, 5 * MSS);
	bench_end(&b);
}

Test(tcp_cong, test_limited_transmit_3042_first_two_duplicates_send_new_data)
{
	const struct seg_peer *peers[] = {&plain, &sacks};

	for (unsigned k = 0; k < 2; k++) {
		struct bench b;
		struct conn c;

		estab(&b, &c, peers[k]);
		write_segs(&c, 0, 15);
		expect_segs(&c, 0, 10);
		for (unsigned i = 0; i < 2; i++) {
			if (k)
				sack(&c, 0, 1, 2 + i);
			else
				ack(&c, 0);
			expect_segs(&c, 10 + i, 1);
		}
		cr_assert_eq(conn_tp(&c)->snd_cwnd, 10 * MSS);
		cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_DISORDER);
		/* it was reordering: one segment is delivered only now, slow start goes on from
		 * there */
		ack(&c, 3);
		cr_assert_eq(conn_tp(&c)->snd_cwnd, 11 * MSS);
		expect_segs(&c, 12, 2);
		bench_end(&b);
	}
}

/* ---- validation, restart ---- */

Test(tcp_cong, test_cwv_7661_slow_start_reaches_twice_what_was_used)
{
	const unsigned cases[][2] = {{5, 10}, {6, 12}, {9, 18}, {10, 20}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned n = cases[i][0];
		struct bench b;
		struct conn c;

		estab(&b, &c, &sacks);
		send_full(&c, 0, n);
		for (unsigned k = 2; k <= n; k += 2)
			ack(&c, k);
		ack(&c, n);
		cr_assert_eq(conn_tp(&c)->snd_cwnd, cases[i][1] * MSS, "%u sent: %u", n,
			     conn_tp(&c)->snd_cwnd);
		bench_end(&b);
	}
}

Test(tcp_cong, test_cwv_5681_4_1_idle_takes_the_window_down)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c, &sacks);
	tp = conn_tp(&c);
	tp->snd_cwnd = 80 * MSS;
	send_full(&c, 0, 1);
	ack(&c, 1);
	/* half for each RTO */
	bench_run(&b, 2 * tp->rto + 10 * SEG_MS);
	send_full(&c, 1, 1);
	cr_assert_eq(tp->snd_cwnd, 20 * MSS);
	cr_assert_geq(tp->snd_ssthresh, 60 * MSS);
	ack(&c, 2);
	bench_run(&b, 20 * NSEC_PER_SEC);
	send_full(&c, 2, 1);
	cr_assert_eq(tp->snd_cwnd, 10 * MSS);
	bench_end(&b);
}

/* RFC 2861 3.2 and 7661: an application that sends all the time, but less than it could, loses half
 * of what it does not use each RTO, down to the initial window, and the threshold keeps what was
 * there. */
Test(tcp_cong, test_cwv_2861_what_is_not_used_decays_each_rto)
{
	/* segments in each round trip; the window after one and two RTOs;
	 * tcp_slow_start_after_idle */
	const unsigned cases[][4] = {{12, 46, 29, 1}, {5, 45, 27, 1}, {12, 80, 80, 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned sent = 0, n = cases[i][0], rounds;
		struct tcp_sock *tp;
		struct bench b;
		struct conn c;

		estab(&b, &c, &sacks);
		b.st->cfg.slow_start_after_idle = cases[i][3];
		tp = conn_tp(&c);
		tp->snd_cwnd = 80 * MSS;
		tp->snd_ssthresh = 40 * MSS;
		for (unsigned k = 1; k <= 2; k++) {
			rounds = (unsigned)(tp->rto / RTT) + 2;
			for (tp->cwnd_stamp_ns = b.st->now; rounds; rounds--) {
				send_full(&c, sent, n);
				bench_run(&b, RTT);
				ack(&c, sent += n);
			}
			cr_assert_eq(tp->snd_cwnd / MSS, cases[i][k], "case %u, %u: %u", i, k,
				     tp->snd_cwnd);
		}
		cr_assert_eq(tp->snd_ssthresh, cases[i][3] ? 60 * MSS : 40 * MSS);
		bench_end(&b);
	}
}

/* ---- NewReno's arithmetic ---- */

/* RFC 5681 equation 4. */
Test(tcp_cong, test_reno_5681_ssthresh_is_half_but_two_segments_at_least)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain);
	for (unsigned n = 1; n <= 12; n++) {
		conn_tp(&c)->snd_cwnd = n * MSS;
		cr_assert_eq(conn_tp(&c)->ca->ssthresh(conn_tp(&c)),
			     (n < 4 ? 2 * MSS : n * MSS / 2), "%u", n);
	}
	bench_end(&b);
}

/* RFC 5681 3.1, 3465 2.1: what an ACK acknowledges beyond slow start's end counts for avoidance. */
Test(tcp_cong, test_reno_3465_bytes_beyond_slow_start_count_on)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c, &plain);
	tp = conn_tp(&c);
	tp->snd_cwnd = 8 * MSS;
	tp->snd_ssthresh = 10 * MSS;
	tcp_reno_cong_avoid(tp, 6 * MSS);
	cr_assert_eq(tp->snd_cwnd, 10 * MSS);
	tcp_reno_cong_avoid(tp, 6 * MSS - 1);
	cr_assert_eq(tp->snd_cwnd, 10 * MSS);
	tcp_reno_cong_avoid(tp, 1);
	cr_assert_eq(tp->snd_cwnd, 11 * MSS);
	bench_end(&b);
}

/* RFC 5681 3.1: one segment for each window that is acknowledged from the reduction on; what was
 * acknowledged of the larger window is none of it. */
Test(tcp_cong, test_reno_5681_growth_begins_anew_with_the_reduced_window)
{
	for (unsigned rto = 0; rto < 2; rto++) {
		struct bench b;
		struct conn c;
		struct tcp_sock *tp;

		estab(&b, &c, &sacks);
		tp = conn_tp(&c);
		tp->snd_ssthresh = tp->snd_cwnd = 10 * MSS;
		tcp_reno_cong_avoid(tp, 10 * MSS - 1);
		cr_assert_eq(tp->snd_cwnd, 10 * MSS);
		if (rto)
			tcp_enter_loss(tp);
		else
			tcp_cwnd_reduction_begin(tp);
		tp->snd_cwnd = tp->snd_ssthresh = 5 * MSS;
		tcp_reno_cong_avoid(tp, 5 * MSS - 1);
		cr_assert_eq(tp->snd_cwnd, 5 * MSS);
		tcp_reno_cong_avoid(tp, 1);
		cr_assert_eq(tp->snd_cwnd, 6 * MSS);
		tp->ca_state = TCP_CA_OPEN;
		bench_end(&b);
	}
}

/* RFC 2018 8: what was SACKed and is not acknowledged when all before it is, was thrown away. The
 * RTO that finds it out does not take its full time. */
Test(tcp_cong, test_renege_is_found_soon)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sacks);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	sack(&c, 0, 1, 10);
	expect_segs(&c, 0, 1);
	bench_run(&b, RTT);
	ack(&c, 1);
	expect_none(&b);
	bench_run(&b, 12 * SEG_MS);
	expect_segs(&c, 1, 1);
	cr_assert_eq(conn_tp(&c)->sacked_out, 0);
	bench_end(&b);
}

/* ---- repackaging ---- */

/* A hundred segments of a few bytes and an RTO: a window of one segment let them all go at once,
 * into the queue that had lost them, and each RTO brought home what fitted into it. */
Test(tcp_cong, test_rto_of_tiny_segments_sends_one_packet)
{
	const struct seg_peer *peers[] = {&plain, &sacks};

	for (unsigned k = 0; k < 2; k++) {
		struct bench b;
		struct conn c;
		struct seg s;
		uint32_t end;

		estab(&b, &c, peers[k]);
		conn_tp(&c)->nonagle = TCP_NAGLE_OFF;
		for (unsigned i = 0; i < 100; i++) {
			cr_assert_eq(conn_write(&c, 1 + i * 20, 20), 20);
			bench_turn(&b, 1000);
			expect(&c, ACK, 1 + i * 20, 1, 20);
		}
		conn_tp(&c)->tlp_out = true;
		conn_tp(&c)->tlp_end = 2001;
		tcp_arm_retrans(conn_tp(&c), TCP_PEND_RETRANS, conn_tp(&c)->rto);
		bench_run(&b, conn_tp(&c)->rto + 2 * SEG_MS);
		cr_assert(bench_next(&b, &c, &s));
		cr_assert(s.seq == 1 && s.len > 500 && s.len <= MSS, "%u", s.len);
		for (unsigned i = 0; i < s.len; i++)
			cr_assert_eq(s.bytes[i], seg_pattern(1 + i));
		expect_none(&b);
		end = 1 + s.len;
		while (end < 2001) {
			peer(&c, .flags = ACK, .seq = 1, .ack = end);
			while (bench_next(&b, &c, &s)) {
				cr_assert_eq(s.seq, end);
				end += s.len;
			}
		}
		peer(&c, .flags = ACK, .seq = 1, .ack = 2001);
		cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
		cr_assert_leq(stack_stats(b.st)->tcp_retrans_segs, 4);
		bench_end(&b);
	}
}

/* ---- B30 ---- */

Test(tcp_cong, test_tcp_B30_divided_acks_gain_nothing)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sacks);
	send_full(&c, 0, 10);
	for (uint32_t i = 1; i <= 10000; i++)
		peer(&c, .flags = ACK, .seq = 1, .ack = 1 + i);
	cr_assert_eq(conn_tp(&c)->snd_cwnd, 20 * MSS);
	bench_end(&b);
}

Test(tcp_cong, test_tcp_B30_spoofed_duplicates_inflate_nothing)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &plain);
	write_segs(&c, 0, 60);
	expect_segs(&c, 0, 10);
	for (unsigned i = 0; i < 1000; i++)
		ack(&c, 0);
	/* each stands for a segment that is out: no more than were sent, and half of that */
	cr_assert_leq(tcp_flight(conn_tp(&c)), 21 * MSS);
	cr_assert_leq(conn_tp(&c)->snd_cwnd, 6 * MSS);
	bench_end(&b);
}

/* However the limit was come by: what is beyond any window the peer ever offered grows no more. */
Test(tcp_cong, test_tcp_B30_cwnd_is_bounded_by_the_peers_window)
{
	/* bytes of window, segments of cwnd where growth ends */
	const uint32_t cases[][2] = {{1000, 64}, {20000, 80}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct tcp_ack_state a = {.flags = TCP_ACKF_UNA, .delivered = 10 * MSS};
		struct tcp_sock *tp;
		struct bench b;
		struct conn c;

		estab(&b, &c, &sacks);
		tp = conn_tp(&c);
		tp->max_window = cases[i][0];
		tp->snd_ssthresh = 20 * MSS;
		tp->snd_cwnd = 20 * MSS;
		tp->cwnd_limited = true;
		for (unsigned k = 0; k < 1000; k++)
			tcp_cong_control(tp, &a);
		cr_assert_eq(tp->snd_cwnd, cases[i][1] * MSS, "%u", tp->snd_cwnd);
		bench_end(&b);
	}
}
