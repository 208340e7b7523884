/* SPDX-License-Identifier: BSD-3-Clause */
/* Recoveries that are taken back, segment by segment: Eifel (RFC 3522, 4015), D-SACK (3708), F-RTO
 * (5682). */
#include "seg_cong.h"

/* Segments 1 to 9 are SACKed in an order that looks like the loss of 0; it is sent again. */
static void false_recovery(struct bench *b, struct conn *c)
{
	send_full(c, 0, 10);
	bench_run(b, RTT);
	c->tsval += 20;
	sack(c, 0, 1, 4);
	expect_segs(c, 0, 1);
	sack(c, 0, 1, 10);
	expect_none(b);
	cr_assert_eq(conn_tp(c)->ca_state, TCP_CA_RECOVERY);
	cr_assert_eq(conn_tp(c)->snd_ssthresh, 5 * MSS);
}

Test(tcp_undo, test_undo_3522_timestamp_tells_the_original)
{
	struct bench b;
	struct conn c;
	uint32_t ecr;

	estab(&b, &c, &full);
	ecr = tcp_ts_now(b.st, conn_tp(&c)->tsoffset);
	false_recovery(&b, &c);
	bench_run(&b, SEG_MS);
	/* the original was only late */
	peer(&c, .flags = ACK, .seq = 1, .ack = at(10), .tsecr = ecr);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_geq(conn_tp(&c)->snd_cwnd, 10 * MSS);
	cr_assert_geq(conn_tp(&c)->snd_ssthresh, TCP_SSTHRESH_INF);
	cr_assert_eq(stack_stats(b.st)->tcp_undos, 1);
	bench_end(&b);
}

Test(tcp_undo, test_undo_3522_partial_ack_waits_while_copies_are_out)
{
	struct bench b;
	struct conn c;
	uint32_t ecr;

	estab(&b, &c, &full);
	ecr = tcp_ts_now(b.st, conn_tp(&c)->tsoffset);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	c.tsval += 20;
	peer(&c, .flags = ACK, .seq = 1, .ack = at(0), .nr_sacks = 2,
	     .sack = {at(1), at(5), at(6), at(10)});
	expect(&c, ACK, at(0), 1, MSS);
	expect_segs(&c, 5, 1);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(5), .tsecr = ecr, .nr_sacks = 1,
	     .sack = {at(6), at(10)});
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_RECOVERY);
	cr_assert_eq(conn_tp(&c)->reord_seen, 1, "%u", conn_tp(&c)->reord_seen);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(10), .tsecr = ecr);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_geq(conn_tp(&c)->snd_cwnd, 10 * MSS);
	bench_end(&b);
}

Test(tcp_undo, test_undo_3522_timestamp_of_the_copy_undoes_nothing)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &full);
	false_recovery(&b, &c);
	bench_run(&b, RTT);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(10),
	     .tsecr = tcp_ts_now(b.st, conn_tp(&c)->tsoffset) - 20);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_eq(conn_tp(&c)->snd_cwnd, 5 * MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_undos, 0);
	bench_end(&b);
}

Test(tcp_undo, test_undo_3708_dsack_of_all_copies)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sacks);
	false_recovery(&b, &c);
	bench_run(&b, RTT);
	/* the copy arrived after the original: within the recovery, or after its end */
	sack(&c, 10, 0, 1);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_geq(conn_tp(&c)->snd_cwnd, 10 * MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_undos, 1);
	bench_end(&b);
	estab(&b, &c, &sacks);
	false_recovery(&b, &c);
	bench_run(&b, RTT);
	ack(&c, 10);
	cr_assert_eq(conn_tp(&c)->snd_cwnd, 5 * MSS);
	sack(&c, 10, 0, 1);
	cr_assert_geq(conn_tp(&c)->snd_cwnd, 10 * MSS);
	bench_end(&b);
}

/* All in flight was delayed beyond the RTO. */
static void rto(struct bench *b, struct conn *c)
{
	write_segs(c, 0, 20);
	expect_segs(c, 0, 10);
	/* the probe has a word of its own elsewhere */
	conn_tp(c)->tlp_out = true;
	conn_tp(c)->tlp_end = at(20);
	tcp_arm_retrans(conn_tp(c), TCP_PEND_RETRANS, conn_tp(c)->rto);
	bench_run(b, conn_tp(c)->rto + 2 * SEG_MS);
	expect_segs(c, 0, 1);
	cr_assert_eq(conn_tp(c)->ca_state, TCP_CA_LOSS);
	cr_assert_eq(conn_tp(c)->snd_cwnd, MSS);
}

Test(tcp_undo, test_frto_5682_spurious_rto_is_taken_back)
{
	const struct seg_peer *peers[] = {&plain, &sacks};

	for (unsigned k = 0; k < 2; k++) {
		struct bench b;
		struct conn c;

		estab(&b, &c, peers[k]);
		rto(&b, &c);
		/* 2b: the first ACK that advances lets new data go, two segments */
		ack(&c, 1);
		expect_segs(&c, 10, 2);
		/* 3b: the next one is of what was never sent again */
		ack(&c, 2);
		cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
		cr_assert_eq(conn_tp(&c)->lost_out, 0);
		cr_assert_geq(conn_tp(&c)->snd_cwnd, 10 * MSS);
		cr_assert_eq(stack_stats(b.st)->tcp_spurious_rtos, 1);
		cr_assert_eq(stack_stats(b.st)->tcp_retrans_segs, 1);
		bench_end(&b);
	}
}

Test(tcp_undo, test_frto_5682_duplicate_after_new_data_is_a_loss)
{
	const struct seg_peer *peers[] = {&plain, &sacks};

	for (unsigned k = 0; k < 2; k++) {
		struct bench b;
		struct conn c;
		struct seg s;

		estab(&b, &c, peers[k]);
		rto(&b, &c);
		ack(&c, 1);
		expect_segs(&c, 10, 2);
		/* 3a: the new segment arrived, what is before it did not */
		if (k)
			sack(&c, 1, 10, 11);
		else
			ack(&c, 1);
		cr_assert(bench_next(&b, &c, &s));
		cr_assert_eq(s.seq, at(1), "%u", s.seq);
		cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_LOSS);
		/* from here on an ACK of what was sent once proves nothing */
		ack(&c, 3);
		cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_LOSS);
		cr_assert_eq(stack_stats(b.st)->tcp_spurious_rtos, 0);
		bench_end(&b);
	}
}

Test(tcp_undo, test_frto_without_new_data_sends_again_at_once)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sacks);
	send_full(&c, 0, 10);
	conn_tp(&c)->tlp_out = true;
	conn_tp(&c)->tlp_end = at(10);
	tcp_arm_retrans(conn_tp(&c), TCP_PEND_RETRANS, conn_tp(&c)->rto);
	bench_run(&b, conn_tp(&c)->rto + 2 * SEG_MS);
	expect_segs(&c, 0, 1);
	bench_run(&b, RTT);
	ack(&c, 1);
	expect_segs(&c, 1, 2);
	bench_end(&b);
}

Test(tcp_undo, test_undo_3522_rto_by_timestamp)
{
	struct bench b;
	struct conn c;
	uint32_t ecr;

	estab(&b, &c, &full);
	ecr = tcp_ts_now(b.st, conn_tp(&c)->tsoffset);
	rto(&b, &c);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(1), .tsecr = ecr);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	cr_assert_geq(conn_tp(&c)->snd_cwnd, 10 * MSS);
	cr_assert_eq(conn_tp(&c)->lost_out, 0);
	cr_assert_eq(stack_stats(b.st)->tcp_spurious_rtos, 1);
	bench_end(&b);
}

/* RFC 3708, B30: a D-SACK of what was sent again in an earlier recovery says nothing of this
 * one. */
Test(tcp_undo, test_undo_3708_dsack_of_an_earlier_recovery_undoes_nothing)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, &sacks);
	false_recovery(&b, &c);
	ack(&c, 10);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	bench_drain(&b);
	conn_tp(&c)->snd_cwnd = 10 * MSS;
	send_full(&c, 10, 10);
	bench_run(&b, RTT);
	sack(&c, 10, 11, 20);
	expect_segs(&c, 10, 1);
	sack(&c, 10, 0, 1);
	cr_assert_eq(stack_stats(b.st)->tcp_dsack_in, 1);
	cr_assert_eq(stack_stats(b.st)->tcp_undos, 0);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_RECOVERY);
	/* that one does */
	sack(&c, 20, 10, 11);
	cr_assert_eq(stack_stats(b.st)->tcp_undos, 1);
	bench_end(&b);
}
