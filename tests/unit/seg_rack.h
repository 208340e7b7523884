/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of loss recovery by SACK share: a path of 20 ms, whole segments by their
 * number. */
#ifndef TESTS_UNIT_SEG_RACK_H
#define TESTS_UNIT_SEG_RACK_H

#include "seg.h"

#define MSS 1000u
#define RTT (20 * SEG_MS)

static const struct seg_peer sack_1000 = {.mss = MSS, .wscale = 4, .win = 65535, .sack = true};

static struct bench b;
static struct conn c;

/* begin - each test finds a connection whose round trip was measured; its first segment is
 * acknowledged. */
static inline void begin(void)
{
	bench_begin(&b, NULL, 4096);
	conn_passive(&c, &b, bench_listen(&b, SEG_PORT, 8), 4000, &sack_1000);
	/* a round trip of 20 ms, measured, and the window for what a test sends */
	cr_assert_eq(conn_write(&c, 1, MSS), MSS);
	bench_turn(&b, 1000);
	bench_run(&b, RTT);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1 + MSS);
	conn_tp(&c)->srtt_us8 = 0;
	conn_tp(&c)->min_rtt_us = 0;
	tcp_rtt_sample(conn_tp(&c), RTT);
	bench_drain(&b);
}

static inline void end(void)
{
	bench_end(&b);
}

/* The n-th segment of the test, from 0, begins here. */
static inline uint32_t at(unsigned n)
{
	return 1 + (n + 1) * MSS;
}

static inline void send_full(struct conn *c, unsigned from, unsigned n)
{
	cr_assert_eq(conn_write(c, at(from), n * MSS), n * MSS);
	bench_turn(c->b, 1000);
	for (unsigned i = 0; i < n; i++)
		expect(c, ACK, at(from + i), 1, MSS);
	expect_none(c->b);
}

static inline void dup(struct conn *c, uint32_t ack)
{
	peer(c, .flags = ACK, .seq = 1, .ack = ack);
}

static inline void sack(struct conn *c, uint32_t ack, uint32_t from, uint32_t to)
{
	peer(c, .flags = ACK, .seq = 1, .ack = ack, .nr_sacks = 1, .sack = {from, to});
}

static inline void sack2(struct conn *c, uint32_t ack, uint32_t f1, uint32_t t1, uint32_t f2,
			 uint32_t t2)
{
	peer(c, .flags = ACK, .seq = 1, .ack = ack, .nr_sacks = 2, .sack = {f1, t1, f2, t2});
}

#endif
