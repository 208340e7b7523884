/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bad input, rows B20 and B21 of the design's table: bytes out of order in tiny pieces, and twice
 * with other values. Of each byte the first copy counts, whichever way the two came.
 */
#include "seg_scene.h"

Test(tcp_hostile_order, test_tcp_B20_one_byte_segments_in_reverse_are_accounted)
{
	struct scene s;
	struct conn *c = &s.c;
	uint32_t n = 10000;

	scene_begin(&s, &seg_full);
	s.b.no_check = true;
	for (uint32_t i = n; i > 1; i--) {
		peer(c, .flags = ACK, .seq = i, .ack = 1, .len = 1);
		if (i % 512 == 0) {
			bench_drain(&s.b);
			cr_assert_leq(c->sk->sk_rmem_alloc, c->sk->sk_rcvbuf);
		}
	}
	bench_drain(&s.b);
	s.b.no_check = false;
	cr_assert_eq(conn_read(c, 1), 0);
	other_goes_on(&s);
	/* the hole is filled, and all comes again in big pieces */
	for (uint32_t at = 1; at < n; at += 1000)
		peer(c, .flags = ACK, .seq = at, .ack = 1, .len = 1000);
	cr_assert_eq(conn_read(c, 1), n);
	cr_assert_eq(c->sk->sk_rmem_alloc, 0);
	scene_end(&s);
}

Test(tcp_hostile_order, test_tcp_B21_overlap_first_copy_wins)
{
	uint8_t evil[200];
	struct scene s;
	struct conn *c = &s.c;

	memset(evil, 0xee, sizeof(evil));
	scene_begin(&s, &seg_full);
	/* good bytes lie out of order; evil ones overlap their front, their end, both, nothing */
	peer(c, .flags = ACK, .seq = 101, .ack = 1, .len = 50);
	peer(c, .flags = ACK, .seq = 131, .ack = 1, .len = 20, .data = evil);
	peer(c, .flags = ACK, .seq = 101, .ack = 1, .len = 50, .data = evil);
	peer(c, .flags = ACK, .seq = 251, .ack = 1, .len = 50);
	peer(c, .flags = ACK, .seq = 151, .ack = 1, .len = 100);
	peer(c, .flags = ACK, .seq = 111, .ack = 1, .len = 190, .data = evil);
	/* in order now, over all of it */
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	cr_assert_eq(conn_read(c, 1), 300);
	bench_drain(&s.b);
	scene_end(&s);
}

/* The segment that fills the hole is one of the others: what waits behind it came first, and what
 * lies between and behind is new. */
Test(tcp_hostile_order, test_tcp_B21_what_waits_wins_over_what_fills_the_hole)
{
	uint8_t evil[400];
	struct scene s;
	struct conn *c = &s.c;

	for (unsigned i = 0; i < sizeof(evil); i++)
		evil[i] = seg_pattern(1 + i);
	memset(evil + 100, 0xee, 50);
	memset(evil + 200, 0xee, 100);
	scene_begin(&s, &seg_full);
	peer(c, .flags = ACK, .seq = 101, .ack = 1, .len = 50);
	peer(c, .flags = ACK, .seq = 201, .ack = 1, .len = 50);
	peer(c, .flags = ACK, .seq = 251, .ack = 1, .len = 50);
	bench_drain(&s.b);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 400, .data = evil);
	cr_assert_eq(conn_read(c, 1), 400);
	still_works(&s, 401);
	scene_end(&s);
}

/* A FIN counts though all bytes before it were here: in the segment that fills the hole ... */
Test(tcp_hostile_order, test_tcp_B21_fin_of_what_fills_the_hole_counts)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	peer(c, .flags = ACK, .seq = 101, .ack = 1, .len = 50);
	bench_drain(&s.b);
	peer(c, .flags = FIN | ACK, .seq = 1, .ack = 1, .len = 150);
	expect(c, ACK, 1, 152, 0);
	cr_assert_eq(conn_read(c, 1), 150);
	assert_state(c, TCP_CLOSE_WAIT);
	scene_end(&s);
}

/* ... and in one that waits itself. One that others have sent bytes for does not. */
Test(tcp_hostile_order, test_tcp_B21_fin_of_what_waits_counts_once)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	peer(c, .flags = ACK, .seq = 201, .ack = 1, .len = 50);
	peer(c, .flags = FIN | ACK, .seq = 151, .ack = 1, .len = 100);
	peer(c, .flags = ACK, .seq = 101, .ack = 1, .len = 20);
	bench_drain(&s.b);
	peer(c, .flags = FIN | ACK, .seq = 1, .ack = 1, .len = 110);
	expect(c, ACK, 1, 121, 0);
	assert_state(c, TCP_ESTABLISHED);
	peer(c, .flags = ACK, .seq = 121, .ack = 1, .len = 30);
	expect(c, ACK, 1, 252, 0);
	cr_assert_eq(conn_read(c, 1), 250);
	assert_state(c, TCP_CLOSE_WAIT);
	scene_end(&s);
}

/* What fills the hole reaches beyond a FIN that waits: that came first, too. */
Test(tcp_hostile_order, test_tcp_B21_nothing_comes_behind_a_fin_that_waited)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	peer(c, .flags = FIN | ACK, .seq = 101, .ack = 1, .len = 50);
	bench_drain(&s.b);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 300);
	expect(c, ACK, 1, 152, 0);
	cr_assert_eq(conn_read(c, 1), 150);
	assert_state(c, TCP_CLOSE_WAIT);
	cr_assert_eq(c->sk->sk_rmem_alloc, 0);
	scene_end(&s);
}

Test(tcp_hostile_order, test_tcp_B21_overlap_old_bytes_are_not_delivered_twice)
{
	uint8_t evil[200];
	struct scene s;
	struct conn *c = &s.c;

	memset(evil, 0xee, sizeof(evil));
	for (unsigned i = 100; i < 200; i++)
		evil[i] = seg_pattern(1 + i);
	scene_begin(&s, &seg_full);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 200, .data = evil);
	cr_assert_eq(conn_read(c, 1), 200);
	still_works(&s, 201);
	scene_end(&s);
}
