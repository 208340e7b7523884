/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The out-of-order queue (tcp_ofo.c): order, overlaps and memory in random and hostile sequences of
 * segments (B20, B21), the SACK blocks (RFC 2018 sections 4 and 8). After each turn tcp_check
 * compares list, tree and blocks.
 */
#include "seg_scene.h"
#include "sim/tcp_check.h"

static uint32_t rng = 20260801;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng % n;
}

static void begin(struct bench *b, struct conn *c, const struct seg_peer *p)
{
	struct sock *lp;

	bench_begin(b, NULL, 4096);
	lp = bench_listen(b, SEG_PORT, 8);
	conn_passive(c, b, lp, 4000, p);
	bench_drain(b);
}

/* open_window - bytes in order until the window is wide; the sequence number after them. */
static uint32_t open_window(struct conn *c)
{
	uint32_t at = 1;

	cr_assert_eq(sock_setopt_int(c->sk, SK_SOL_SOCKET, SK_SO_RCVBUF, 512 * 1024), 0);
	while (tcp_receive_window(conn_tp(c)) < 300000) {
		peer(c, .flags = ACK, .seq = at, .ack = 1, .len = 1400);
		cr_assert_eq(conn_read(c, at), 1400);
		bench_drain(c->b);
		at += 1400;
		cr_assert_lt(at, 1000000);
	}
	return at;
}

static void end(struct bench *b)
{
	bench_drain(b);
	bench_end(b);
}

/* Bytes [1, n) in pieces of random place and length, each maybe over others, then all of it. */
Test(tcp_ofo, test_ofo_random_pieces_and_overlaps_give_the_stream)
{
	enum { N = 60000 };
	struct bench b;
	struct conn c;

	begin(&b, &c, &seg_full);
	for (unsigned round = 0; round < 20; round++) {
		uint32_t base = 1 + round * N, got = 0;

		for (unsigned i = 0; i < 400; i++) {
			uint32_t at = 1 + rnd(N - 1400), len = 1 + rnd(1400);

			peer(&c, .flags = ACK, .seq = base + at, .ack = 1, .len = len);
			bench_drain(&b);
		}
		for (uint32_t at = 0; at < N; at += 1000) {
			peer(&c, .flags = ACK, .seq = base + at, .ack = 1, .len = 1000);
			bench_drain(&b);
			if (conn_tp(&c)->rcv_nxt != conn_tp(&c)->copied_seq)
				got += (uint32_t)conn_read(&c, base + got);
		}
		cr_assert_eq(got, N, "round %u", round);
		cr_assert_eq(c.sk->sk_rmem_alloc, 0);
	}
	end(&b);
}

/* B20: a byte each, in reverse order. */
Test(tcp_ofo, test_ofo_B20_reverse_bytes_are_copied_together, .timeout = 60)
{
	enum { N = 100000 };
	uint32_t most = 0, base;
	struct bench b;
	struct conn c;

	begin(&b, &c, &seg_full);
	base = open_window(&c);
	b.no_check = true;
	for (uint32_t i = N - 1; i > 0; i--) {
		peer(&c, .flags = ACK, .seq = base + i, .ack = 1, .len = 1);
		bench_drain(&b);
		most = max_t(uint32_t, most, c.sk->sk_rmem_alloc);
	}
	cr_assert_null(tcp_check(conn_tp(&c)));
	cr_assert_leq(most, c.sk->sk_rcvbuf);
	cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_OFO_DROP), 0, "nothing has to come again");
	peer(&c, .flags = ACK, .seq = base, .ack = 1, .len = 1);
	cr_assert_eq(sock_inq(c.sk), N);
	b.no_check = false;
	end(&b);
}

/* Every other byte: nothing can be copied together, and each costs a buffer. */
Test(tcp_ofo, test_ofo_alternating_bytes_stay_within_rcvbuf)
{
	struct bench b;
	struct conn c;
	uint32_t base;

	begin(&b, &c, &seg_full);
	base = open_window(&c);
	b.no_check = true;
	for (uint32_t i = 0; i < 20000; i++) {
		peer(&c, .flags = ACK, .seq = base + 2 + 2 * rnd(100000), .ack = 1, .len = 1);
		bench_drain(&b);
		cr_assert_leq(c.sk->sk_rmem_alloc, c.sk->sk_rcvbuf);
		if (i % 1000 == 0)
			cr_assert_null(tcp_check(conn_tp(&c)));
	}
	cr_assert_gt(bench_drops(&b, SKB_DROP_TCP_OFO_DROP), 0);
	b.no_check = false;
	end(&b);
}

/* Small buffers, out of order, and the hole near: what is farther gives way to it. */
Test(tcp_ofo, test_ofo_full_buffer_keeps_what_is_nearest_to_the_hole)
{
	struct tcp_sock *tp;
	struct bench b;
	struct conn c;
	uint32_t n, base;

	begin(&b, &c, &seg_full);
	tp = conn_tp(&c);
	base = open_window(&c);
	for (n = 0; !bench_drops(&b, SKB_DROP_TCP_OFO_DROP); n++) {
		peer(&c, .flags = ACK, .seq = base + 100000 + 200 * n, .ack = 1, .len = 100);
		bench_drain(&b);
		cr_assert_lt(n, 900);
	}
	cr_assert_gt(n, 100);
	peer(&c, .flags = ACK, .seq = base + 5000, .ack = 1, .len = 1000);
	bench_drain(&b);
	cr_assert_eq(skb_peek(&tp->ofo_queue)->tcp.seq, c.iss + base + 5000);
	cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_OFO_DROP), 2, "the last one made room");
	/* RFC 2018 section 8: no block names what was given up */
	for (unsigned i = 0; i < tp->nr_sacks; i++)
		cr_assert(!after(tp->sacks[i].end, skb_peek_tail(&tp->ofo_queue)->tcp.end_seq));
	end(&b);
}

/* RFC 2018 section 4: the block of the segment that caused the ACK is the first. */
Test(tcp_ofo, test_ofo_sack_blocks_most_recent_first)
{
	struct bench b;
	struct conn c;
	struct seg s;

	begin(&b, &c, &seg_full);
	for (uint32_t i = 0; i < 5; i++) {
		peer(&c, .flags = ACK, .seq = 1001 + 200 * i, .ack = 1, .len = 100);
		expect_get(&c, ACK, 1, 1, 0, &s);
		cr_assert_eq(s.sack[0], 1001 + 200 * i);
	}
	cr_assert_eq(s.nr_sacks, 3);
	cr_assert_eq(s.sack[2], 1601);
	cr_assert_eq(s.sack[4], 1401);
	/* one that joins two makes them one, and the first */
	peer(&c, .flags = ACK, .seq = 1301, .ack = 1, .len = 100);
	expect_get(&c, ACK, 1, 1, 0, &s);
	cr_assert_eq(s.sack[0], 1201);
	cr_assert_eq(s.sack[1], 1501);
	end(&b);
}

/* B21: of a segment that covers another one both ends are kept. */
Test(tcp_ofo, test_ofo_both_ends_of_a_longer_segment_are_kept)
{
	struct bench b;
	struct conn c;
	struct seg s;

	begin(&b, &c, &seg_full);
	peer(&c, .flags = ACK, .seq = 1201, .ack = 1, .len = 100);
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = 1101, .ack = 1, .len = 300);
	expect_get(&c, ACK, 1, 1, 0, &s);
	cr_assert_eq(s.sack[s.nr_sacks * 2 - 2], 1101, "behind the D-SACK, if there is one");
	cr_assert_eq(s.sack[s.nr_sacks * 2 - 1], 1401);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 1100);
	expect(&c, ACK, 1, 1401, 0);
	cr_assert_eq(conn_read(&c, 1), 1400);
	end(&b);
}

/* A FIN behind a hole, and bytes behind that FIN (B31). */
Test(tcp_ofo, test_ofo_B31_nothing_is_joined_behind_a_fin)
{
	struct bench b;
	struct conn c;

	begin(&b, &c, &seg_full);
	peer(&c, .flags = ACK, .seq = 101, .ack = 1, .len = 10);
	peer(&c, .flags = FIN | ACK, .seq = 111, .ack = 1, .len = 10);
	peer(&c, .flags = ACK, .seq = 122, .ack = 1, .len = 10);
	peer(&c, .flags = FIN | ACK, .seq = 132, .ack = 1, .len = 0);
	peer(&c, .flags = ACK, .seq = 133, .ack = 1, .len = 10);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	cr_assert_eq(conn_read(&c, 1), 120);
	assert_state(&c, TCP_CLOSE_WAIT);
	cr_assert_eq(c.sk->sk_rmem_alloc, 0);
	end(&b);
}

/* What it names was given up for what is nearer to the hole: as a D-SACK behind no block of it, the
 * peer would take it for a SACK, and not send it before its RTO (RFC 2018 8). */
Test(tcp_ofo, test_ofo_dsack_of_what_gave_way_is_not_told)
{
	struct bench b;
	struct conn c;
	struct seg s;

	begin(&b, &c, &seg_full);
	peer(&c, .flags = ACK, .seq = 201, .ack = 1, .len = 100);
	bench_drain(&b);
	c.sk->sk_rcvbuf = c.sk->sk_rmem_alloc / 2 * 3;
	peer(&c, .flags = ACK, .seq = 51, .ack = 1, .len = 200);
	cr_assert(bench_next(&b, &c, &s));
	cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_OFO_DROP), 1);
	cr_assert(s.ack == 1 && s.nr_sacks == 1, "%u blocks", s.nr_sacks);
	cr_assert(s.sack[0] == 51 && s.sack[1] == 201, "%u to %u", s.sack[0], s.sack[1]);
	end(&b);
}

/* A D-SACK is one by the block behind it (RFC 2883 4.2.2): where no ACK could tell it before
 * another segment came, that segment's block would stand there, and the peer believe that it has a
 * SACK. */
Test(tcp_ofo, test_ofo_dsack_that_was_not_told_in_time_is_not_told)
{
	struct bench b;
	struct conn c;
	struct seg s;

	begin(&b, &c, &seg_full);
	peer(&c, .flags = ACK, .seq = 201, .ack = 1, .len = 100);
	bench_drain(&b);
	/* the same again, and no buffer for its ACK */
	conn_tp(&c)->dsack.start = c.iss + 201;
	conn_tp(&c)->dsack.end = c.iss + 301;
	peer(&c, .flags = ACK, .seq = 401, .ack = 1, .len = 100);
	cr_assert(bench_next(&b, &c, &s));
	cr_assert_eq(s.nr_sacks, 2);
	cr_assert(s.sack[0] == 401 && s.sack[1] == 501, "%u to %u", s.sack[0], s.sack[1]);
	cr_assert(s.sack[2] == 201 && s.sack[3] == 301, "%u to %u", s.sack[2], s.sack[3]);
	end(&b);
}

/* All that a socket may hold waits behind a hole: with a window of zero the peer could not fill
 * it. */
Test(tcp_ofo, test_ofo_full_of_what_waits_the_window_is_open_for_the_hole)
{
	struct bench b;
	struct conn c;

	begin(&b, &c, &seg_full);
	peer(&c, .flags = ACK, .seq = 201, .ack = 1, .len = 100);
	bench_drain(&b);
	c.sk->sk_rcvbuf = c.sk->sk_rmem_alloc;
	cr_assert_geq(tcp_new_window(conn_tp(&c)), conn_tp(&c)->advmss);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 200);
	cr_assert_geq(conn_read(&c, 1), 200);
	end(&b);
}

/* What fills the hole is cut, and the piece behind takes the pool's last buffer but the reserve:
 * what waits gives way, or nothing could be taken any more. */
Test(tcp_ofo, test_ofo_cut_that_takes_the_last_buffer_still_fills_the_hole)
{
	struct sk_buff *held[4096];
	struct skb_cache *cache;
	unsigned n = 0;
	struct bench b;
	struct conn c;

	begin(&b, &c, &seg_full);
	peer(&c, .flags = ACK, .seq = 101, .ack = 1, .len = 50);
	bench_drain(&b);
	cache = &b.st->cache;
	while (cache->n != 1 || b.pool->ops->avail(b.pool) > b.pool->reserve + SKB_CACHE_BULK)
		cr_assert((held[n++] = skb_alloc(cache, 0)) != NULL);
	cr_assert(!cache->low);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 200);
	cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_OFO_DROP), 1);
	cr_assert_geq(conn_read(&c, 1), 100);
	while (n)
		skb_free(held[--n]);
	end(&b);
}
