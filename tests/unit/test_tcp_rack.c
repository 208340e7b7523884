/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RACK-TLP (RFC 8985), the scoreboard under blocks of every kind (RFC 2018, B18, B19), and
 * D-SACK both ways (RFC 2883): segment by segment.
 */
#include <stdlib.h>

#include "seg.h"

#define MSS    1000u
#define RTT    (20 * SEG_MS)
#define SHRUNK 63 /* << 4: hardly more than MSS */

static const struct seg_peer sack_1000 = {.mss = MSS, .wscale = 4, .win = 65535, .sack = true};

static void estab(struct bench *b, struct conn *c)
{
	bench_begin(b, NULL, 4096);
	conn_passive(c, b, bench_listen(b, SEG_PORT, 8), 4000, &sack_1000);
	/* a round trip of 20 ms, measured, and the window for what a test sends */
	cr_assert_eq(conn_write(c, 1, MSS), MSS);
	bench_turn(b, 1000);
	bench_run(b, RTT);
	peer(c, .flags = ACK, .seq = 1, .ack = 1 + MSS);
	conn_tp(c)->srtt_us8 = 0;
	conn_tp(c)->min_rtt_us = 0;
	tcp_rtt_sample(conn_tp(c), RTT);
	bench_drain(b);
}

/* The n-th segment of the test, from 0, begins here. */
static uint32_t at(unsigned n)
{
	return 1 + (n + 1) * MSS;
}

static void send_full(struct conn *c, unsigned from, unsigned n)
{
	cr_assert_eq(conn_write(c, at(from), n * MSS), n * MSS);
	bench_turn(c->b, 1000);
	for (unsigned i = 0; i < n; i++)
		expect(c, ACK, at(from + i), 1, MSS);
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

static void sack2(struct conn *c, uint32_t ack, uint32_t f1, uint32_t t1, uint32_t f2, uint32_t t2)
{
	peer(c, .flags = ACK, .seq = 1, .ack = ack, .nr_sacks = 2, .sack = {f1, t1, f2, t2});
}

/* ---- RACK, RFC 8985 section 6 ---- */

Test(tcp_rack, test_rack_6_2_one_sack_waits_a_quarter_rtt)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
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
	bench_end(&b);
}

/* parklane sim --seed 1653 at 457c54f: bytes behind a small window were left without any timer. */
Test(tcp_rack, test_rack_timer_with_nothing_out_leaves_the_persist_timer)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
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
	bench_end(&b);
}

Test(tcp_rack, test_rack_6_2_on_a_long_path_the_look_is_4_ms_late_at_most)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
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
	bench_end(&b);
}

Test(tcp_rack, test_rack_6_2_dupthresh_segments_do_not_wait)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	send_full(&c, 0, 6);
	bench_run(&b, RTT);
	sack(&c, at(0), at(1), at(2));
	sack(&c, at(0), at(1), at(3));
	expect_none(&b);
	sack(&c, at(0), at(1), at(4));
	expect(&c, ACK, at(0), 1, MSS);
	/* what left in the same burst behind the last one that arrived is not judged yet */
	cr_assert_eq(conn_tp(&c)->lost_out, MSS);
	bench_end(&b);
}

Test(tcp_rack, test_rack_6_2_seen_reordering_makes_it_wait)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c);
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
	bench_end(&b);
}

Test(tcp_rack, test_rack_6_2_lost_retransmission_is_found_by_time)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
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
	bench_end(&b);
}

Test(tcp_rack, test_rack_6_2_answer_faster_than_the_path_is_to_the_original)
{
	struct bench b;
	struct conn c;
	uint64_t xmit;

	estab(&b, &c);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	sack(&c, at(0), at(1), at(8));
	expect(&c, ACK, at(0), 1, MSS);
	xmit = conn_tp(&c)->rack.xmit_ns;
	bench_run(&b, 2 * SEG_MS);
	dup(&c, at(8));
	cr_assert_eq(conn_tp(&c)->rack.xmit_ns, xmit);
	bench_end(&b);
}

Test(tcp_rack, test_rack_6_2_dsack_widens_the_window_for_16_recoveries)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c);
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
	bench_end(&b);
}

/* ---- TLP, section 7 ---- */

Test(tcp_rack, test_tlp_7_2_after_two_rtts_the_last_segment)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c);
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
	bench_end(&b);
}

Test(tcp_rack, test_tlp_7_2_not_later_than_the_rto)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c);
	tp = conn_tp(&c);
	tp->srtt_us8 = 8 * 300000;
	tp->rto = 400 * SEG_MS;
	send_full(&c, 0, 4);
	bench_run(&b, 402 * SEG_MS);
	expect(&c, ACK, at(3), 1, MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_timeouts, 0);
	bench_end(&b);
}

/* shrink - two bytes come, the second with a window of SHRUNK: a newer segment may take it back. */
static void shrink(struct conn *c)
{
	peer(c, .flags = ACK, .seq = 1, .ack = at(0), .len = 1);
	peer(c, .flags = ACK, .seq = 2, .ack = at(0), .len = 1, .win = SHRUNK);
	bench_run(c->b, 41 * SEG_MS);
	bench_drain(c->b);
}

/* The simulator's seed 1539: the probe, the last segment, lay beyond a window that had shrunk. It was
 * armed again and again, and the RTO never. */
Test(tcp_rack, test_tlp_beyond_a_shrunken_window_leaves_it_to_the_rto)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	send_full(&c, 0, 4);
	shrink(&c);
	bench_run(&b, 400 * SEG_MS);
	expect(&c, ACK, at(0), 3, MSS);
	cr_assert_eq(stack_stats(b.st)->tcp_loss_probes, 0);
	cr_assert_eq(stack_stats(b.st)->tcp_timeouts, 1);
	bench_end(&b);
}

/* Seed 188, RFC 9293 3.10.7.4: a peer that took its window back drops what is beyond, ACKs too. */
Test(tcp_rack, test_ack_beyond_a_shrunken_window_is_sent_at_its_end)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	send_full(&c, 0, 4);
	shrink(&c);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(0), .len = 1, .win = SHRUNK);
	expect(&c, ACK, at(0) + (SHRUNK << 4), 3, 0);
	bench_end(&b);
}

Test(tcp_rack, test_tlp_7_3_new_data_goes_first)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
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
	bench_end(&b);
}

Test(tcp_rack, test_tlp_7_4_dsack_of_the_probe_means_no_loss)
{
	struct bench b;
	struct conn c;
	uint32_t cwnd;

	estab(&b, &c);
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
	bench_end(&b);
}

Test(tcp_rack, test_tlp_7_4_probe_that_filled_a_hole_costs_cwnd)
{
	struct bench b;
	struct conn c;
	uint32_t cwnd;

	estab(&b, &c);
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
	bench_end(&b);
}

/* ---- the scoreboard ---- */

#define NR 700u

/* What a peer told, byte by byte of a segment: whole ones count. */
static bool model[NR][2];

static unsigned model_sack(uint32_t from, uint32_t to)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NR; i++) {
		if (before(at(i), from) || after(at(i + 1), to) || model[i][0])
			continue;
		model[i][0] = true;
		n++;
	}
	return n;
}

static void check_model(struct conn *c, unsigned acked)
{
	const struct sk_buff *skb;
	unsigned i = acked;

	skb_queue_walk (&c->sk->sk_write_queue, skb) {
		cr_assert_eq(!!(skb->tcp.sacked & TCPCB_SACKED), model[i][0], "segment %u", i);
		i++;
	}
	cr_assert_eq(i, NR);
}

/* B18: blocks anywhere, of any length, ragged at the edges, split and merged, with partial ACKs in
 * between: what is marked is exactly the whole segments inside them. Every other time there is no
 * large ring of landmarks to be had. */
Test(tcp_rack, test_sack_B18_random_blocks_against_a_model)
{
	struct bench b;
	struct conn c;

	for (unsigned seed = 1; seed <= 20; seed++) {
		unsigned acked = 0;

		memset(model, 0, sizeof(model));
		srand(seed);
		estab(&b, &c);
		b.no_check = true;
		if (seed % 2)
			b.st->tcp->marks.max = 0;
		conn_tp(&c)->snd_cwnd = 2 * NR * MSS;
		c.sk->sk_sndbuf = 64u << 20;
		for (unsigned i = 0; i < NR; i += 50)
			cr_assert_eq(conn_write(&c, at(i), 50 * MSS), 50 * MSS);
		bench_turn(&b, 1000);
		/* nothing of it is sent again, so that the queue stays as it is */
		conn_tp(&c)->snd_cwnd = MSS;
		conn_tp(&c)->reord_seen = 1;
		b.no_check = false;
		cr_assert_eq(b.st->tcp->marks.nr, !(seed % 2));
		cr_assert_eq(conn_tp(&c)->index.gap, seed % 2 ? 4 * TCP_INDEX_GAP : TCP_INDEX_GAP);
		for (unsigned i = 0; i < 300; i++) {
			uint32_t f[2], t[2];

			for (unsigned k = 0; k < 2; k++) {
				unsigned first = acked + 1 + (unsigned)rand() % (NR - acked - 1);
				unsigned len = (unsigned)rand() % (rand() % 8 ? 4 : NR);

				len = min_t(unsigned, len, NR - first);
				f[k] = at(first) + (rand() % 3 ? 0 : (uint32_t)rand() % MSS);
				t[k] = at(first + len) - (rand() % 3 ? 0 : (uint32_t)rand() % MSS);
				if (!before(f[k], t[k]) || !after(f[k], at(acked)))
					f[k] = t[k] = 0;
				else
					(void)model_sack(f[k], t[k]);
			}
			sack2(&c, at(acked), f[0], t[0], f[1], t[1]);
			check_model(&c, acked);
			if (rand() % 16 == 0 && acked + 40 < NR) {
				acked += (unsigned)rand() % 30;
				dup(&c, at(acked));
			}
		}
		dup(&c, at(NR));
		cr_assert_eq(b.st->tcp->marks.nr, 0);
		bench_end(&b);
	}
}

/* B18, B30: each ACK of a byte more, before anything was sent again, looked like the proof that the
 * recovery was a mistake, and each one between marked the whole flight lost anew. */
Test(tcp_rack, test_sack_B18_divided_acks_do_not_have_all_marked_again)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	conn_tp(&c)->snd_cwnd = 2 * NR * MSS;
	c.sk->sk_sndbuf = 64u << 20;
	for (unsigned i = 0; i < NR; i += 50) {
		cr_assert_eq(conn_write(&c, at(i), 50 * MSS), 50 * MSS);
		bench_turn(&b, 1000);
	}
	conn_tp(&c)->min_rtt_us = 1; /* nothing is waited for */
	for (unsigned i = 0; i < 40; i++) {
		const struct seg s = {.flags = ACK,
				      .seq = 1,
				      .ack = at(0) + 1 + i,
				      .nr_sacks = 1,
				      .sack = {at(NR - 1 - i), at(NR)}};

		seg_inject(&c, &s);
	}
	bench_turn(&b, 1000);
	cr_assert_geq(conn_tp(&c)->lost_bytes, (NR - 50) * MSS);
	cr_assert_leq(conn_tp(&c)->lost_bytes, 6 * NR * MSS);
	bench_end(&b);
}

Test(tcp_rack, test_sack_order_of_blocks_is_no_reordering)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	/* the newest first, as RFC 2018 4 wants; the ACK that told of the other was lost */
	sack2(&c, at(0), at(7), at(8), at(3), at(4));
	cr_assert_eq(conn_tp(&c)->reord_seen, 0);
	bench_end(&b);
}

Test(tcp_rack, test_sack_on_an_overtaken_ack_counts)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	dup(&c, at(2));
	sack(&c, at(1), at(5), at(6));
	cr_assert_eq(conn_tp(&c)->sacked_out, MSS);
	/* a block of it that lies below what is acknowledged meanwhile does not */
	sack(&c, at(0), at(1), at(4));
	cr_assert_eq(conn_tp(&c)->sacked_out, MSS);
	bench_end(&b);
}

/* A block that begins just below una + 2^31 and ends just above it was taken, and looked up far
 * beyond the queue's end. */
Test(tcp_rack, test_sack_B19_block_half_the_sequence_space_away)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	send_full(&c, 0, 4);
	sack(&c, at(0), at(0) + 0x7fffff00u, at(0) + 0x80000100u);
	sack(&c, at(0), at(0) + 0x80000100u, at(2));
	cr_assert_eq(conn_tp(&c)->sacked_out, 0);
	bench_end(&b);
}

/* B30: D-SACKs of what was never sent again move nothing. */
Test(tcp_rack, test_dsack_B30_forged_is_not_believed)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	for (unsigned i = 0; i < 5; i++)
		sack(&c, at(5), at(i), at(i + 1));
	cr_assert_eq(stack_stats(b.st)->tcp_dsack_in, 0);
	cr_assert_eq(conn_tp(&c)->rack.reo_wnd_mult, 1);
	bench_end(&b);
}

/* ---- D-SACK that we send, RFC 2883 section 4 ---- */

static void expect_sacks(struct conn *c, uint32_t ack, unsigned nr, const uint32_t *want)
{
	struct seg s;

	expect_get(c, ACK, at(0), ack, 0, &s);
	cr_assert_eq(s.nr_sacks, nr);
	for (unsigned i = 0; i < 2 * nr; i++)
		cr_assert_eq(s.sack[i], want[i], "%u: %u, not %u", i, s.sack[i], want[i]);
}

Test(tcp_rack, test_dsack_2883_what_came_twice_is_told_first)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(0), .len = 100);
	bench_drain(&b);
	/* 4.1.1: in order, twice */
	peer(&c, .flags = ACK, .seq = 1, .ack = at(0), .len = 100);
	expect_sacks(&c, 101, 1, (uint32_t[]){1, 101});
	/* told once */
	peer(&c, .flags = ACK, .seq = 201, .ack = at(0), .len = 100);
	expect_sacks(&c, 101, 1, (uint32_t[]){201, 301});
	/* 4.1.2: out of order, twice */
	peer(&c, .flags = ACK, .seq = 201, .ack = at(0), .len = 100);
	expect_sacks(&c, 101, 2, (uint32_t[]){201, 301, 201, 301});
	/* 4.2: a part of it */
	peer(&c, .flags = ACK, .seq = 51, .ack = at(0), .len = 100);
	expect_sacks(&c, 151, 2, (uint32_t[]){51, 101, 201, 301});
	cr_assert_eq(conn_read(&c, 1), 150);
	bench_end(&b);
}
