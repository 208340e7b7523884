/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a segment bears PSH (RFC 9293 3.9.1.2 and Linux's sizes of TSO packets), and what waits
 * after a send that says that more will come (MSG_MORE; RFC 9293 3.7.4). Also what makes a
 * conversation, whose ACKs may wait for data (RFC 9293 3.8.6.3).
 */
#include "seg.h"

#define MSS 1000u

static const struct seg_peer plain = {.mss = MSS, .wscale = -1, .win = 65535};

/* A connection over a path of 100 ms: the pace is taken from that. */
static void estab(struct bench *b, struct conn *c)
{
	bench_begin(b, NULL, 1024);
	conn_passive(c, b, bench_listen(b, SEG_PORT, 8), 4000, &plain);
	conn_tp(c)->srtt_us8 = 8 * 100000;
	conn_tp(c)->min_rtt_us = 100000;
}

static void write_n(struct conn *c, uint32_t at, unsigned n)
{
	cr_assert_eq(conn_write(c, at, n), n);
	bench_turn(c->b, 1000);
}

static void write_more(struct conn *c, uint32_t at, unsigned n)
{
	uint8_t buf[4000];

	for (unsigned i = 0; i < n; i++)
		buf[i] = seg_pattern(at + i);
	cr_assert_eq(sock_send_more(c->sk, buf, n), n);
	bench_turn(c->b, 1000);
}

/* Which of the next n segments bear PSH, as bits, the first lowest; no more than n come. */
static unsigned pushed(struct conn *c, unsigned n)
{
	unsigned bits = 0;
	struct seg s;

	for (unsigned i = 0; i < n; i++) {
		cr_assert(bench_next(c->b, c, &s));
		bits |= (unsigned)!!(s.flags & PSH) << i;
	}
	expect_none(c->b);
	return bits;
}

Test(tcp_push, test_psh_slow_path_every_second_segment)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	write_n(&c, 1, 15 * MSS);
	cr_assert_eq(pushed(&c, 10), 0x2aa);
	bench_end(&b);
}

Test(tcp_push, test_psh_fast_path_halves_of_cwnd)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	conn_tp(&c)->srtt_us8 = 8 * 100;
	conn_tp(&c)->min_rtt_us = 100;
	write_n(&c, 1, 15 * MSS);
	cr_assert_eq(pushed(&c, 10), 0x210, "Linux keeps two packets in flight");
	bench_end(&b);
}

Test(tcp_push, test_psh_lone_segment_of_a_longer_write_has_none)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	write_n(&c, 1, 15 * MSS);
	(void)pushed(&c, 10);
	/* congestion avoidance: one goes out for one that was acknowledged */
	conn_tp(&c)->snd_ssthresh = 2 * MSS;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1 + MSS);
	cr_assert_eq(pushed(&c, 1), 0);
	bench_end(&b);
}

/* Half of two or three is one: Linux's packets are of one segment then, and bear none. */
Test(tcp_push, test_psh_small_cwnd_each_segment_goes_alone)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	conn_tp(&c)->snd_cwnd = 3 * MSS;
	write_n(&c, 1, 15 * MSS);
	cr_assert_eq(pushed(&c, 3), 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1 + MSS);
	cr_assert_eq(pushed(&c, 2), 2, "a cwnd of four: pairs");
	bench_end(&b);
}

Test(tcp_push, test_psh_of_a_burst_is_not_sent_again)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	write_n(&c, 1, 15 * MSS);
	(void)pushed(&c, 10);
	/* the second segment was one that ended a pair: now it is lost, alone */
	peer(&c, .flags = ACK, .seq = 1, .ack = 1 + MSS);
	bench_drain(&b);
	for (unsigned i = 0; i < 3; i++) {
		struct seg s;

		peer(&c, .flags = ACK, .seq = 1, .ack = 1 + MSS);
		while (bench_next(&b, &c, &s))
			cr_assert(s.seq != 1 + MSS || !(s.flags & PSH));
	}
	bench_end(&b);
}

Test(tcp_push, test_psh_comes_again_only_with_all_of_its_burst)
{
	static const struct seg_peer sacks = {.mss = MSS, .wscale = -1, .win = 65535, .sack = true};
	struct bench b;
	struct conn c;

	bench_begin(&b, NULL, 1024);
	conn_passive(&c, &b, bench_listen(&b, SEG_PORT, 8), 4000, &sacks);
	conn_tp(&c)->srtt_us8 = 8 * 100000;
	conn_tp(&c)->min_rtt_us = 100000;
	write_n(&c, 1, 10 * MSS - 1);
	(void)pushed(&c, 10);
	bench_run(&b, 100 * SEG_MS);
	/* pairs: the second half of the first, the first of the second, and all of the fourth */
	peer(&c, .flags = ACK, .seq = 1, .ack = 1 + MSS, .nr_sacks = 2,
	     .sack = {1 + 3 * MSS, 1 + 6 * MSS, 1 + 8 * MSS, 10 * MSS});
	cr_assert_eq(pushed(&c, 4), 0x8);
	bench_end(&b);
}

Test(tcp_push, test_more_waits_in_spite_of_nodelay_until_an_rto)
{
	struct bench b;
	struct conn c;
	struct seg s;

	estab(&b, &c);
	cr_assert_eq(sock_setopt_int(c.sk, SK_SOL_TCP, SK_TCP_NODELAY, 1), 0);
	write_more(&c, 1, 40);
	bench_run(&b, conn_tp(&c)->rto - 2 * SEG_MS);
	expect_none(&b);
	bench_run(&b, 4 * SEG_MS);
	expect_get(&c, ACK, 1, 1, 40, &s);
	cr_assert(s.flags & PSH, "no more came: the receiver may have it");
	bench_end(&b);
}

Test(tcp_push, test_more_is_released_by_the_send_without_it)
{
	struct bench b;
	struct conn c;
	struct seg s;

	estab(&b, &c);
	write_more(&c, 1, 100);
	write_more(&c, 101, 160);
	expect_none(&b);
	write_n(&c, 261, 5);
	expect_get(&c, ACK, 1, 1, 265, &s);
	cr_assert(s.flags & PSH);
	bench_end(&b);
}

Test(tcp_push, test_more_full_segments_leave_and_an_ack_releases_the_rest)
{
	struct bench b;
	struct conn c;
	struct seg s;

	estab(&b, &c);
	write_more(&c, 1, 3100);
	for (unsigned i = 0; i < 3; i++)
		expect(&c, ACK, 1 + i * MSS, 1, MSS);
	expect_none(&b);
	write_more(&c, 3101, 50);
	expect_none(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1 + 2 * MSS);
	expect_get(&c, ACK, 1 + 3 * MSS, 1, 150, &s);
	cr_assert(!(s.flags & PSH));
	bench_end(&b);
}

Test(tcp_push, test_ack_waits_once_the_user_answered_data_not_after_its_first_request)
{
	struct bench b;
	struct conn c;

	estab(&b, &c);
	write_n(&c, 1, 100);
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 101, .len = 100);
	expect(&c, ACK, 101, 101, 0);
	write_n(&c, 101, 100);
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = 101, .ack = 201, .len = 100);
	expect_none(&b);
	bench_run(&b, 45 * SEG_MS);
	expect(&c, ACK, 201, 201, 0);
	bench_end(&b);
}
