/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the congestion window and of undoing share: NewReno, as half is easy to see, a
 * path of 20 ms, whole segments by their number. */
#ifndef TESTS_UNIT_SEG_CONG_H
#define TESTS_UNIT_SEG_CONG_H

#include "seg.h"

#define MSS 1000u
#define RTT (20 * SEG_MS)

static const struct seg_peer plain = {.mss = MSS, .wscale = 4, .win = 65535};
static const struct seg_peer sacks = {.mss = MSS, .wscale = 4, .win = 65535, .sack = true};
static const struct seg_peer full = {
	.mss = MSS + 12, .wscale = 4, .win = 65535, .sack = true, .ts = true};

static inline void estab(struct bench *b, struct conn *c, const struct seg_peer *p)
{
	bench_begin(b, NULL, 4096);
	conn_passive(c, b, bench_listen(b, SEG_PORT, 8), 4000, p);
	tcp_cong_set(conn_tp(c), &tcp_reno);
	conn_tp(c)->srtt_us8 = 0;
	conn_tp(c)->min_rtt_us = 0;
	tcp_rtt_sample(conn_tp(c), RTT);
}

static inline uint32_t at(unsigned n)
{
	return 1 + n * MSS;
}

/* n segments from the one with number `from` on, counted from 0. */
static inline void write_segs(struct conn *c, unsigned from, unsigned n)
{
	cr_assert_eq(conn_write(c, at(from), n * MSS), n * MSS);
	bench_turn(c->b, 1000);
}

static inline void expect_segs(struct conn *c, unsigned from, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		expect(c, ACK, at(from + i), 1, MSS);
	expect_none(c->b);
}

static inline void send_full(struct conn *c, unsigned from, unsigned n)
{
	write_segs(c, from, n);
	expect_segs(c, from, n);
}

static inline void ack(struct conn *c, unsigned n)
{
	peer(c, .flags = ACK, .seq = 1, .ack = at(n));
}

/* Segments [from, to) are SACKed. */
static inline void sack(struct conn *c, unsigned una, unsigned from, unsigned to)
{
	peer(c, .flags = ACK, .seq = 1, .ack = at(una), .nr_sacks = 1, .sack = {at(from), at(to)});
}

#endif
