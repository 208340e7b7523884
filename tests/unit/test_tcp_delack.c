/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When an ACK leaves: at once, with the second segment, with an answer, or late (RFC 1122 4.2.3.2,
 * RFC 9293 3.8.6.3, RFC 5681 4.2).
 */
#include "seg.h"

static void begin(struct bench *b, struct conn *c)
{
	bench_begin(b, NULL, 1024);
	conn_opened(c, b, &seg_plain);
	bench_drain(b);
}

/* quick_over - the quick ACKs of the start are used up; the next sequence number. */
static uint32_t quick_over(struct conn *c)
{
	uint32_t at = 1;

	while (conn_tp(c)->quickack) {
		peer(c, .flags = ACK, .seq = at, .ack = 1, .len = 100);
		bench_drain(c->b);
		at += 100;
		cr_assert_lt(at, 10000);
	}
	(void)conn_read(c, 1);
	bench_drain(c->b);
	return at;
}

Test(tcp_delack, test_delack_answer_carries_the_ack)
{
	struct bench b;
	struct conn c;
	uint32_t at;

	begin(&b, &c);
	at = quick_over(&c);
	peer(&c, .flags = ACK | PSH, .seq = at, .ack = 1, .len = 10);
	expect_none(&b);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, at + 10, 10);
	bench_run(&b, 100 * SEG_MS);
	expect_none(&b);
	bench_end(&b);
}

/* RFC 1122 4.2.3.2: less than 0.5 s; ours is 40 ms. */
Test(tcp_delack, test_delack_alone_leaves_within_40_ms)
{
	struct bench b;
	struct conn c;
	uint32_t at;

	begin(&b, &c);
	at = quick_over(&c);
	peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = 10);
	bench_run(&b, 39 * SEG_MS);
	expect_none(&b);
	bench_run(&b, 2 * SEG_MS);
	expect(&c, ACK, 1, at + 10, 0);
	bench_end(&b);
}

/* RFC 9293 3.8.6.3: "at least every second full-sized segment", whatever full size is to this
 * peer. */
Test(tcp_delack, test_delack_every_second_segment_of_the_peer_s_own_size)
{
	static const uint16_t sizes[] = {1460, 1000, 600, 1200};
	struct bench b;
	struct conn c;
	uint32_t at;

	begin(&b, &c);
	at = quick_over(&c);
	for (unsigned k = 0; k < ARRAY_SIZE(sizes); k++) {
		uint32_t n = sizes[k];
		unsigned acks = 0, before_nr;
		struct seg s;

		for (unsigned i = 0; i < 20; i++) {
			peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = n);
			at += n;
			while (bench_next(&b, &c, &s))
				acks += i >= 4;
			cr_assert_gt(sock_inq(c.sk), 0);
			(void)conn_read(&c, at - n);
			while (bench_next(&b, &c, &s))
				;
		}
		cr_assert_eq(conn_tp(&c)->rcv_mss, n, "size %u: %u", n, conn_tp(&c)->rcv_mss);
		before_nr = acks;
		cr_assert(before_nr >= 8, "size %u: %u", n, acks);
	}
	bench_end(&b);
}

/* After a pause of more than an RTO the peer begins slowly again and lives on our ACKs. */
Test(tcp_delack, test_delack_pause_brings_quick_acks_back)
{
	struct bench b;
	struct conn c;
	uint32_t at;

	begin(&b, &c);
	at = quick_over(&c);
	bench_run(&b, 3 * NSEC_PER_SEC);
	for (unsigned i = 0; i < 4; i++) {
		peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = 1000);
		at += 1000;
		expect(&c, ACK, 1, at, 0);
	}
	bench_end(&b);
}

/* RFC 5681 4.2: a peer that repairs a loss gets an ACK for each segment. */
Test(tcp_delack, test_delack_none_while_the_peer_repairs)
{
	struct bench b;
	struct conn c;
	uint32_t at;

	begin(&b, &c);
	at = quick_over(&c);
	peer(&c, .flags = ACK, .seq = at + 1000, .ack = 1, .len = 1000);
	expect(&c, ACK, 1, at, 0);
	peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = 1000);
	expect(&c, ACK, 1, at + 2000, 0);
	peer(&c, .flags = ACK, .seq = at + 2000, .ack = 1, .len = 500);
	expect(&c, ACK, 1, at + 2500, 0);
	/* and what comes twice */
	peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = 1000);
	expect(&c, ACK, 1, at + 2500, 0);
	bench_end(&b);
}
