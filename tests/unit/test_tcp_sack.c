/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scoreboard under blocks of every kind (RFC 2018, B18, B19), and D-SACK both ways (RFC 2883),
 * segment by segment.
 */
#include <stdlib.h>

#include "seg_rack.h"

TestSuite(tcp_sack, .init = begin, .fini = end);

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

static void random_blocks(unsigned seed)
{
	unsigned acked = 0;

	memset(model, 0, sizeof(model));
	srand(seed);
	b.no_check = true;
	if (seed % 2)
		b.st->tcp->marks.max = 0;
	conn_tp(&c)->snd_cwnd = 2 * NR * MSS;
	c.sk->sk_sndbuf = 64u << 20;
	conn_tp(&c)->notsent_lowat = UINT32_MAX;
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
}

/* B18: blocks anywhere, of any length, ragged at the edges, split and merged, with partial ACKs in
 * between: what is marked is exactly the whole segments inside them. Every other time there is no
 * large ring of landmarks to be had. */
Test(tcp_sack, test_sack_B18_random_blocks_against_a_model)
{
	for (unsigned seed = 1; seed <= 20; seed++) {
		random_blocks(seed);
		end();
		begin();
	}
}

/* B18, B30: each ACK of a byte more, before anything was sent again, looked like the proof that the
 * recovery was a mistake, and each one between marked the whole flight lost anew. */
Test(tcp_sack, test_sack_B18_divided_acks_do_not_have_all_marked_again)
{
	conn_tp(&c)->snd_cwnd = 2 * NR * MSS;
	c.sk->sk_sndbuf = 64u << 20;
	conn_tp(&c)->notsent_lowat = UINT32_MAX;
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
}

Test(tcp_sack, test_sack_order_of_blocks_is_no_reordering)
{
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	/* the newest first, as RFC 2018 4 wants; the ACK that told of the other was lost */
	sack2(&c, at(0), at(7), at(8), at(3), at(4));
	cr_assert_eq(conn_tp(&c)->reord_seen, 0);
}

Test(tcp_sack, test_sack_on_an_overtaken_ack_counts)
{
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	dup(&c, at(2));
	sack(&c, at(1), at(5), at(6));
	cr_assert_eq(conn_tp(&c)->sacked_out, MSS);
	/* a block of it that lies below what is acknowledged meanwhile does not */
	sack(&c, at(0), at(1), at(4));
	cr_assert_eq(conn_tp(&c)->sacked_out, MSS);
}

/* A block that begins just below una + 2^31 and ends just above it was taken, and looked up far
 * beyond the queue's end. */
Test(tcp_sack, test_sack_B19_block_half_the_sequence_space_away)
{
	send_full(&c, 0, 4);
	sack(&c, at(0), at(0) + 0x7fffff00u, at(0) + 0x80000100u);
	sack(&c, at(0), at(0) + 0x80000100u, at(2));
	cr_assert_eq(conn_tp(&c)->sacked_out, 0);
}

/* B30: D-SACKs of what was never sent again move nothing. */
Test(tcp_sack, test_dsack_B30_forged_is_not_believed)
{
	send_full(&c, 0, 10);
	bench_run(&b, RTT);
	for (unsigned i = 0; i < 5; i++)
		sack(&c, at(5), at(i), at(i + 1));
	cr_assert_eq(stack_stats(b.st)->tcp_dsack_in, 0);
	cr_assert_eq(conn_tp(&c)->rack.reo_wnd_mult, 1);
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

Test(tcp_sack, test_dsack_2883_what_came_twice_is_told_first)
{
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
}
