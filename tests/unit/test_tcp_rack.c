/* SPDX-License-Identifier: BSD-3-Clause */
/* RACK-TLP (RFC 8985), segment by segment. */
#include "seg_rack.h"

#define SHRUNK 63 /* << 4: hardly more than MSS */

TestSuite(tcp_rack, .init = begin, .fini = end);

/* ---- RACK, RFC 8985 section 6 ---- */

Test(tcp_rack, test_rack_6_2_one_sack_waits_a_quarter_rtt)
{
	send_full(&c, 0, 4);
	bench_run(&b, RTT);
	sack(&c, at(0), at(3), at(4));
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_DISORDER);
	cr_assert_eq(conn_tp(&c)->pending, TCP_PEND_REO);
	bench_run(&b, RTT / 4);
	expect_none(&b);
	bench_run(&b, 4 * SEG_MS);
	/* all three are lost at once, the window lets go what it may */
	expect(&c, ACK, at(0), 1, MSS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_RECOVERY);
	cr_assert_eq(conn_tp(&c)->lost_out, 3 * MSS);
}

/* parklane sim --seed 1653 at 457c54f: bytes behind a small window were left without any timer. */
Test(tcp_rack, test_rack_timer_with_nothing_out_leaves_the_persist_timer)
{
	send_full(&c, 0, 4);
	bench_run(&b, RTT);
	sack(&c, at(0), at(3), at(4));
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->pending, TCP_PEND_REO);
	cr_assert_eq(conn_write(&c, at(4), MSS), MSS);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(4), .win = 10);
	/* the timer that stood for what is acknowledged now may still run out */
	conn_tp(&c)->pending = TCP_PEND_REO;
	bench_run(&b, RTT);
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->pending, TCP_PEND_PROBE);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(4));
	expect(&c, ACK, at(4), 1, MSS);
}

Test(tcp_rack, test_rack_6_2_on_a_long_path_the_look_is_4_ms_late_at_most)
{
	conn_tp(&c)->srtt_us8 = 0;
	conn_tp(&c)->min_rtt_us = 0;
	tcp_rtt_sample(conn_tp(&c), 200 * SEG_MS);
	send_full(&c, 0, 4);
	bench_run(&b, 200 * SEG_MS);
	sack(&c, at(0), at(3), at(4));
	bench_run(&b, 49 * SEG_MS);
	expect_none(&b);
	bench_run(&b, 6 * SEG_MS);
	expect(&c, ACK, at(0), 1, MSS);
}

/* one_rtt - a segment that is acknowledged after so long; what TCP_INFO then says is the least. */
static uint32_t one_rtt(struct conn *c, uint64_t rtt)
{
	uint32_t end = conn_tp(c)->write_seq - conn_tp(c)->iss + MSS, len;
	struct sk_tcp_info info;

	cr_assert_eq(conn_write(c, end - MSS, MSS), MSS);
	bench_turn(c->b, 1000);
	bench_turn(c->b, rtt - 2000);
	dup(c, end);
	bench_drain(c->b);
	len = sizeof(info);
	cr_assert_eq(sock_getopt(c->sk, SK_SOL_TCP, SK_TCP_INFO, &info, &len), 0);
	return info.tcpi_min_rtt / 1000;
}

/* Linux's tcp_min_rtt_wlen, RFC 8985 6.2 step 1: the path may have become longer, and RACK would
 * take a quarter of the old minimum for ever. */
Test(tcp_rack, test_rack_6_2_min_rtt_is_that_of_the_last_300_s)
{
	cr_assert_eq(one_rtt(&c, 30 * SEG_MS), 20);
	bench_run(&b, 299 * NSEC_PER_SEC);
	cr_assert_eq(one_rtt(&c, 80 * SEG_MS), 20);
	bench_run(&b, NSEC_PER_SEC);
	cr_assert_eq(one_rtt(&c, 80 * SEG_MS), 80);
	/* a lesser one counts at once, and is as old as when it last was seen */
	cr_assert_eq(one_rtt(&c, 40 * SEG_MS), 40);
	bench_run(&b, 200 * NSEC_PER_SEC);
	cr_assert_eq(one_rtt(&c, 40 * SEG_MS), 40);
	bench_run(&b, 200 * NSEC_PER_SEC);
	cr_assert_eq(one_rtt(&c, 80 * SEG_MS), 40);
}

Test(tcp_rack, test_rack_6_2_dupthresh_segments_do_not_wait)
{
	send_full(&c, 0, 6);
	bench_run(&b, RTT);
	sack(&c, at(0), at(1), at(2));
	sack(&c, at(0), at(1), at(3));
	expect_none(&b);
	sack(&c, at(0), at(1), at(4));
	expect(&c, ACK, at(0), 1, MSS);
	/* what left in the same burst behind the last one that arrived is not judged yet */
	cr_assert_eq(conn_tp(&c)->lost_out, MSS);
}

Test(tcp_rack, test_rack_6_2_seen_reordering_makes_it_wait)
{
	struct tcp_sock *tp;
	tp = conn_tp(&c);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	sack(&c, at(0), at(8), at(9));
	sack2(&c, at(0), at(2), at(3), at(8), at(9));
	cr_assert_eq(tp->reord_seen, 1);
	cr_assert_eq(tp->reordering, 7);
	/* three segments are held, as before, but now that says nothing */
	sack2(&c, at(0), at(2), at(4), at(8), at(9));
	sack2(&c, at(0), at(2), at(5), at(8), at(9));
	expect_none(&b);
	cr_assert_eq(tp->ca_state, TCP_CA_DISORDER);
	dup(&c, at(10));
	expect_none(&b);
	cr_assert_eq(tp->ca_state, TCP_CA_OPEN);
	cr_assert_eq(tp->reordering, 9);
}

Test(tcp_rack, test_rack_6_2_lost_retransmission_is_found_by_time)
{
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	sack(&c, at(0), at(1), at(8));
	expect(&c, ACK, at(0), 1, MSS);
	bench_run(&b, 2 * SEG_MS);
	/* what leaves after the retransmission arrives: that did not */
	sack(&c, at(0), at(1), at(10));
	cr_assert_eq(conn_write(&c, at(10), MSS), MSS);
	bench_turn(&b, 1000);
	expect(&c, ACK, at(10), 1, MSS);
	bench_run(&b, RTT);
	sack(&c, at(0), at(1), at(11));
	expect(&c, ACK, at(0), 1, MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_timeouts, 0);
}

Test(tcp_rack, test_rack_6_2_answer_faster_than_the_path_is_to_the_original)
{
	uint64_t xmit;
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	sack(&c, at(0), at(1), at(8));
	expect(&c, ACK, at(0), 1, MSS);
	xmit = conn_tp(&c)->rack.xmit_ns;
	bench_run(&b, 2 * SEG_MS);
	dup(&c, at(8));
	cr_assert_eq(conn_tp(&c)->rack.xmit_ns, xmit);
}

Test(tcp_rack, test_rack_6_2_dsack_widens_the_window_for_16_recoveries)
{
	struct tcp_sock *tp;
	tp = conn_tp(&c);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	/* reordering is seen, then a retransmission that was not needed */
	sack(&c, at(0), at(8), at(9));
	sack2(&c, at(0), at(2), at(3), at(8), at(9));
	bench_run(&b, RTT);
	expect(&c, ACK, at(0), 1, MSS);
	bench_drain(&b);
	dup(&c, at(10));
	send_full(&c, 10, 1);
	sack(&c, at(10), at(0), at(1));
	cr_assert_eq(tp->rack.reo_wnd_mult, 2);
	cr_assert_eq(tp->rack.reo_wnd_persist, 16);
	/* once a round trip */
	sack(&c, at(10), at(0), at(1));
	cr_assert_eq(tp->rack.reo_wnd_mult, 2);
	for (unsigned i = 0; i < 16; i++)
		tcp_rack_update_reo_wnd(tp, false, true);
	cr_assert_eq(tp->rack.reo_wnd_mult, 1);
}

/* ---- TLP, section 7 ---- */

Test(tcp_rack, test_tlp_7_2_after_two_rtts_the_last_segment)
{
	struct tcp_sock *tp;
	tp = conn_tp(&c);
	send_full(&c, 0, 4);
	bench_run(&b, 2 * RTT);
	expect_none(&b);
	bench_run(&b, 4 * SEG_MS);
	expect(&c, ACK, at(3), 1, MSS);
	/* 7.2: one at a time, then the RTO, counted from the probe */
	bench_run(&b, 150 * SEG_MS);
	expect_none(&b);
	cr_assert_eq(tp->pending, TCP_PEND_RETRANS);
	bench_run(&b, 120 * SEG_MS);
	expect(&c, ACK, at(0), 1, MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_loss_probes, 1);
}

/* 7.2: no probe while a loss is being mended, though nothing that is out is SACKed any more. */
Test(tcp_rack, test_tlp_7_2_none_in_recovery)
{
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	sack(&c, at(0), at(1), at(4));
	expect(&c, ACK, at(0), 1, MSS);
	bench_drain(&b);
	dup(&c, at(4));
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_RECOVERY);
	cr_assert_eq(conn_tp(&c)->sacked_out, 0);
	cr_assert_eq(conn_tp(&c)->pending, TCP_PEND_RETRANS);
	cr_assert_eq(tcp_tlp_delay(conn_tp(&c)), 0);
	bench_run(&b, 3 * RTT);
	expect_none(&b);
}

Test(tcp_rack, test_tlp_7_2_not_later_than_the_rto)
{
	struct tcp_sock *tp;
	tp = conn_tp(&c);
	tp->srtt_us8 = 8 * 300000;
	tp->rto = 400 * SEG_MS;
	send_full(&c, 0, 4);
	bench_run(&b, 402 * SEG_MS);
	expect(&c, ACK, at(3), 1, MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_timeouts, 0);
}

/* shrink - two bytes come, the second with a window of SHRUNK: a newer segment may take it back. */
static void shrink(struct conn *c)
{
	peer(c, .flags = ACK, .seq = 1, .ack = at(0), .len = 1);
	peer(c, .flags = ACK, .seq = 2, .ack = at(0), .len = 1, .win = SHRUNK);
	bench_run(c->b, 41 * SEG_MS);
	bench_drain(c->b);
}

/* The simulator's seed 1539: the probe, the last segment, lay beyond a window that had shrunk. It
 * was armed again and again, and the RTO never. */
Test(tcp_rack, test_tlp_beyond_a_shrunken_window_leaves_it_to_the_rto)
{
	send_full(&c, 0, 4);
	shrink(&c);
	bench_run(&b, 400 * SEG_MS);
	expect(&c, ACK, at(0), 3, MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_loss_probes, 0);
	cr_assert_eq(stack_stats(b.st)->tcp_timeouts, 1);
}

/* Seed 188, RFC 9293 3.10.7.4: a peer that took its window back drops what is beyond, ACKs too. */
Test(tcp_rack, test_ack_beyond_a_shrunken_window_is_sent_at_its_end)
{
	send_full(&c, 0, 4);
	shrink(&c);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(0), .len = 1, .win = SHRUNK);
	expect(&c, ACK, at(0) + (SHRUNK << 4), 3, 0);
}

Test(tcp_rack, test_tlp_7_3_new_data_goes_first)
{
	conn_tp(&c)->snd_cwnd = 4 * MSS;
	cr_assert_eq(conn_write(&c, at(0), 5 * MSS), 5 * MSS);
	bench_turn(&b, 1000);
	for (unsigned i = 0; i < 4; i++)
		expect(&c, ACK, at(i), 1, MSS);
	bench_run(&b, 2 * RTT + 4 * SEG_MS);
	expect(&c, ACK, at(4), 1, MSS);
	cr_assert(!conn_tp(&c)->tlp_retrans);
	dup(&c, at(5));
	cr_assert(!conn_tp(&c)->tlp_out);
	cr_assert_eq(conn_tp(&c)->retrans_out, 0);
}

Test(tcp_rack, test_tlp_7_4_dsack_of_the_probe_means_no_loss)
{
	uint32_t cwnd;
	cwnd = conn_tp(&c)->snd_cwnd;
	send_full(&c, 0, 4);
	bench_run(&b, 2 * RTT + 4 * SEG_MS);
	expect(&c, ACK, at(3), 1, MSS);
	dup(&c, at(4));
	cr_assert(conn_tp(&c)->tlp_out);
	sack(&c, at(4), at(3), at(4));
	cr_assert(!conn_tp(&c)->tlp_out);
	cr_assert_geq(conn_tp(&c)->snd_cwnd, cwnd);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
}

Test(tcp_rack, test_tlp_7_4_probe_that_filled_a_hole_costs_cwnd)
{
	uint32_t cwnd;
	cwnd = conn_tp(&c)->snd_cwnd;
	send_full(&c, 0, 4);
	bench_run(&b, 2 * RTT + 4 * SEG_MS);
	expect(&c, ACK, at(3), 1, MSS);
	bench_run(&b, RTT);
	dup(&c, at(4));
	cr_assert_geq(conn_tp(&c)->snd_cwnd, cwnd, "it may still be the original");
	send_full(&c, 4, 1);
	bench_run(&b, RTT);
	dup(&c, at(5));
	cr_assert_lt(conn_tp(&c)->snd_cwnd, cwnd);
}
