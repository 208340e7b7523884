/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bad input, by the rows B26-B34 of the design's table: what is answered, that the state is
 * kept, that nothing bad is delivered, that memory comes back and that another connection
 * goes on meanwhile. Rows about IP, ICMP and floods over many hosts are tested elsewhere.
 */
#include "seg_scene.h"

Test(tcp_hostile_data, test_tcp_B26_urgent_pointer_leaves_the_stream_intact)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	peer(c, .flags = ACK | URG, .seq = 1, .ack = 1, .len = 10, .urg = 0);
	peer(c, .flags = ACK | URG, .seq = 11, .ack = 1, .len = 10, .urg = 60000);
	peer(c, .flags = ACK | URG, .seq = 21, .ack = 1, .len = 10, .urg = 3);
	peer(c, .flags = ACK, .seq = 31, .ack = 1, .len = 10, .urg = 3);
	cr_assert_eq(conn_read(c, 1), 40);
	scene_alone(&s);
	conn_init(c, &s.b, SEG_PORT, 4321, &seg_plain);
	peer(c, .flags = SYN | URG, .seq = 0, .urg = 1);
	{
		struct seg seg;

		cr_assert(bench_next(&s.b, c, &seg) && seg.flags == (SYN | ACK) && seg.ack == 1);
	}
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B27_window_scale_is_capped_and_syn_only)
{
	static const uint8_t ws[] = {15, 255, 14};

	for (unsigned i = 0; i < ARRAY_SIZE(ws); i++) {
		struct seg_peer p = {.mss = 1460, .wscale = ws[i], .win = 1000};
		struct scene s;

		scene_begin(&s, &p);
		cr_assert_eq(conn_tp(&s.c)->snd_wscale, 14);
		cr_assert_eq(conn_tp(&s.c)->snd_wnd, 1000u << 14);
		peer(&s.c, .flags = ACK, .seq = 1, .ack = 1, .len = 10,
		     .opt = (const uint8_t[]){3, 3, 2, 1}, .optlen = 4);
		cr_assert_eq(conn_tp(&s.c)->snd_wscale, 14);
		cr_assert_eq(conn_read(&s.c, 1), 10);
		scene_end(&s);
	}
}

Test(tcp_hostile_data, test_tcp_B28_old_timestamp_is_dropped_and_acked)
{
	struct scene s;
	struct conn *c = &s.c;
	uint32_t recent;

	scene_begin(&s, &seg_full);
	recent = conn_tp(c)->ts_recent;
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 10, .tsval = recent - 1);
	expect(c, ACK, 1, 1, 0);
	cr_assert_eq(conn_read(c, 1), 0);
	cr_assert_eq(bench_drops(&s.b, SKB_DROP_TCP_PAWS), 1);
	/* from the future, but outside of the window, or with a bad ACK: not believed */
	peer(c, .flags = ACK, .seq = 90000000, .ack = 1, .len = 10, .tsval = recent + 1000000);
	cr_assert_eq(conn_tp(c)->ts_recent, recent);
	peer(c, .flags = ACK, .seq = 1, .ack = 777777, .len = 10, .tsval = recent + 1000000);
	cr_assert_eq(conn_tp(c)->ts_recent, recent, "a segment with a bad ACK moved ts_recent");
	/* out of order: kept, but its clock is not taken */
	peer(c, .flags = ACK, .seq = 11, .ack = 1, .len = 10, .tsval = recent + 500);
	cr_assert_eq(conn_tp(c)->ts_recent, recent);
	/* missing: taken, as Linux does; the clock stays */
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 10, .no_ts = true);
	cr_assert_eq(conn_read(c, 1), 20);
	cr_assert_eq(conn_tp(c)->ts_recent, recent);
	/* RST needs no timestamp */
	peer(c, .flags = RST, .seq = 21, .tsval = recent - 5000);
	assert_state(c, TCP_CLOSE);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B28_timestamp_after_24_days_of_silence_is_taken)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	sock_abort(s.other.sk);
	bench_turn(&s.b, 25ull * 86400 * NSEC_PER_SEC);
	bench_drain(&s.b);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 10, .tsval = c->tsval - 1000);
	cr_assert_eq(conn_read(c, 1), 10);
	bench_end(&s.b);
}

/* ---- B29: windows ---- */

Test(tcp_hostile_data, test_tcp_B29_window_zero_for_ever_is_probed_with_backoff)
{
	struct scene s;
	struct conn *c = &s.c;
	uint64_t last, gap = 0;
	struct seg seg;

	scene_begin(&s, &seg_plain);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1, .len = 1);
	bench_drain(&s.b);
	cr_assert_eq(conn_write(c, 1, 1000), 1000);
	last = s.b.now;
	for (int i = 0; i < 40; i++) {
		while (!bench_next(&s.b, c, &seg))
			bench_run(&s.b, 10 * SEG_MS);
		cr_assert(seg.len <= 1 && seg.flags == ACK, "a probe");
		cr_assert_geq(s.b.now - last + 20 * SEG_MS, gap, "backoff");
		gap = s.b.now - last;
		last = s.b.now;
		peer(c, .flags = ACK, .seq = 2, .ack = 1, .win = -1);
		assert_state(c, TCP_ESTABLISHED);
	}
	cr_assert_leq(gap, 121 * NSEC_PER_SEC);
	cr_assert_geq(gap, 119 * NSEC_PER_SEC);
	/* it opens at last */
	peer(c, .flags = ACK, .seq = 2, .ack = 1);
	expect(c, ACK, 1, 2, 1000);
	scene_end(&s);
}

/* RFC 9293 3.8.6.1: the backoff was the probes'; what leaves by the open window and is lost comes
 * again after one RTO. */
Test(tcp_hostile_data, test_tcp_B29_window_that_opens_ends_the_backoff)
{
	struct scene s;
	struct conn *c = &s.c;
	struct seg seg;

	scene_begin(&s, &seg_plain);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1, .len = 1);
	bench_drain(&s.b);
	cr_assert_eq(conn_write(c, 1, 1000), 1000);
	for (int i = 0; i < 8; i++) {
		while (!bench_next(&s.b, c, &seg))
			bench_run(&s.b, 10 * SEG_MS);
		peer(c, .flags = ACK, .seq = 2, .ack = 1, .win = -1);
	}
	peer(c, .flags = ACK, .seq = 2, .ack = 1);
	expect(c, ACK, 1, 2, 1000);
	bench_run(&s.b, conn_tp(c)->rto + 2 * SEG_MS);
	expect(c, ACK, 1, 2, 1000);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B29_window_zero_and_silence_ends)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_plain);
	s.b.st->cfg.retries2 = 5;
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1, .len = 1);
	cr_assert_eq(conn_write(c, 1, 1000), 1000);
	bench_run(&s.b, 300 * NSEC_PER_SEC);
	assert_state(c, TCP_CLOSE);
	cr_assert_eq(stack_stats(s.b.st)->tcp_persist_drops, 1);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B29_orphan_with_zero_window_is_bounded)
{
	struct scene s;
	struct conn *c = &s.c;
	struct seg seg;

	scene_begin(&s, &seg_plain);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	cr_assert_eq(conn_write(c, 1, 1000), 1000);
	bench_turn(&s.b, 1000);
	sock_close(c->sk);
	c->sk = NULL;
	for (int i = 0; i < 1000 && stack_stats(s.b.st)->socks_in_use > 2; i++) {
		bench_run(&s.b, NSEC_PER_SEC);
		if (bench_next(&s.b, c, &seg) && !(seg.flags & RST))
			peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	}
	cr_assert_eq(stack_stats(s.b.st)->socks_in_use, 2);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B29_window_of_one_byte_is_used_after_a_wait)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_plain);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1, .len = 1);
	cr_assert_eq(conn_write(c, 1, 1000), 1000);
	bench_turn(&s.b, 1000);
	bench_drain(&s.b);
	peer(c, .flags = ACK, .seq = 2, .ack = 1, .win = 1);
	expect_none(&s.b); /* silly window: RFC 9293 3.8.6.2.1 waits */
	bench_run(&s.b, 1100 * SEG_MS);
	expect(c, ACK, 1, 2, 1);
	bench_drain(&s.b);
	peer(c, .flags = ACK, .seq = 2, .ack = 2, .win = 1000);
	expect(c, ACK, 2, 2, 999);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B29_window_shrunk_below_flight_keeps_the_connection)
{
	struct scene s;
	struct conn *c = &s.c;
	struct seg seg;

	scene_begin(&s, &seg_plain);
	s.b.st->cfg.retries2 = 5;
	cr_assert_eq(conn_write(c, 1, 14600), 14600);
	bench_turn(&s.b, 1000);
	bench_drain(&s.b);
	/* it takes back all that it promised, and answers every try */
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1, .len = 1);
	cr_assert_eq(conn_tp(c)->snd_wnd, 0);
	for (int i = 0; i < 12; i++) {
		while (!bench_next(&s.b, c, &seg))
			bench_run(&s.b, 10 * SEG_MS);
		while (bench_next(&s.b, c, &seg))
			;
		peer(c, .flags = ACK, .seq = 2, .ack = 1, .win = -1);
	}
	assert_state(c, TCP_ESTABLISHED);
	bench_drain(&s.b);
	/* opened: what was refused goes out at once, not after the backed-off timer */
	peer(c, .flags = ACK, .seq = 2, .ack = 1);
	bench_run(&s.b, 2 * SEG_MS);
	expect(c, ACK, 1, 2, 1460);
	scene_end(&s);
}

/* The window that a pure ACK with old numbers closes counts: the peer ran out of memory. */
Test(tcp_hostile_data, test_tcp_B29_window_closed_by_pure_ack_is_obeyed)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_plain);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	cr_assert_eq(conn_write(c, 1, 1000), 1000);
	bench_turn(&s.b, 1000);
	expect_none(&s.b);
	scene_end(&s);
}

/* After an active open the first window was once taken for seen before when it was zero. */
Test(tcp_hostile_data, test_tcp_B29_window_zero_right_after_active_open_is_seen)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	scene_alone(&s);
	conn_opened(c, &s.b, &seg_full);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 10, .win = -1);
	cr_assert_eq(conn_tp(c)->snd_wnd, 0);
	cr_assert_eq(conn_write(c, 1, 1000), 1000);
	bench_drain(&s.b);
	bench_turn(&s.b, 1000);
	expect_none(&s.b);
	scene_end(&s);
}

/* RFC 9293 3.10.7.4, table 6: bytes right at the window's end are beyond it. Their SND.WL1 was
 * taken, and no window that the peer offered from then on. */
Test(tcp_hostile_data, test_tcp_B29_bytes_at_the_window_s_end_say_nothing_of_windows)
{
	struct scene s;
	struct conn *c = &s.c;
	uint32_t edge;

	scene_begin(&s, &seg_plain);
	edge = tcp_receive_window(conn_tp(c));
	peer(c, .flags = ACK, .seq = 1 + edge, .ack = 1, .len = 10, .win = -1);
	expect(c, ACK, 1, 1, 0);
	cr_assert_eq(conn_tp(c)->snd_wnd, 65535);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	cr_assert_eq(conn_tp(c)->snd_wnd, 0);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = 5000);
	cr_assert_eq(conn_tp(c)->snd_wnd, 5000);
	scene_end(&s);
}

/* RFC 9293 3.10.7.4: the window is that of the newest segment (SND.WL1), not of one that it
 * overtook. */
Test(tcp_hostile_data, test_tcp_B29_window_of_an_old_segment_does_not_count)
{
	struct scene s;
	struct conn *c = &s.c;
	const struct tcp_sock *tp;

	scene_begin(&s, &seg_plain);
	tp = conn_tp(c);
	peer(c, .flags = ACK, .seq = 11, .ack = 1, .len = 10, .win = 5000);
	cr_assert_eq(tp->snd_wnd, 5000, "newer: less counts as well");
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = 20000);
	cr_assert_eq(tp->snd_wnd, 5000, "older: not more");
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	cr_assert_eq(tp->snd_wnd, 5000, "nor none");
	peer(c, .flags = ACK, .seq = 11, .ack = 1, .win = 4000);
	cr_assert_eq(tp->snd_wnd, 5000, "with the same numbers less does not, as in Linux");
	peer(c, .flags = ACK, .seq = 11, .ack = 1, .win = 6000);
	cr_assert_eq(tp->snd_wnd, 6000, "but more");
	cr_assert_eq(conn_write(c, 1, 10), 10);
	bench_turn(&s.b, 1000);
	peer(c, .flags = ACK, .seq = 1, .ack = 11, .win = 3000);
	cr_assert_eq(tp->snd_wnd, 3000, "a newer ACK is newer");
	bench_drain(&s.b);
	scene_end(&s);
}

/* ---- B30: hostile ACKs ---- */

Test(tcp_hostile_data, test_tcp_B30_ack_of_unsent_data_and_division_gain_nothing)
{
	struct scene s;
	struct conn *c = &s.c;
	uint32_t cwnd;

	scene_begin(&s, &seg_full);
	cr_assert_eq(conn_write(c, 1, 14480), 14480);
	bench_turn(&s.b, 1000);
	bench_drain(&s.b);
	cwnd = conn_tp(c)->snd_cwnd;
	peer(c, .flags = ACK, .seq = 1, .ack = 14482);
	expect(c, ACK, 14481, 1, 0);
	cr_assert_eq(conn_tp(c)->snd_una, c->irs + 1);
	/* 1,448 ACKs of a byte each grow it by what they acknowledge */
	for (uint32_t i = 1; i <= 1448; i++)
		peer(c, .flags = ACK, .seq = 1, .ack = 1 + i);
	cr_assert_leq(conn_tp(c)->snd_cwnd, cwnd + 1448);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B30_forged_duplicate_acks_do_not_retransmit_with_sack)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	cr_assert_eq(conn_write(c, 1, 14480), 14480);
	bench_turn(&s.b, 1000);
	bench_drain(&s.b);
	for (int i = 0; i < 20; i++)
		peer(c, .flags = ACK, .seq = 1, .ack = 1);
	expect_none(&s.b);
	cr_assert_eq(stack_stats(s.b.st)->tcp_fast_retrans, 0);
	scene_end(&s);
}

/* ---- B31, B32, B34 ---- */

Test(tcp_hostile_data, test_tcp_B31_data_beyond_fin_is_ignored_fin_again_is_acked)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	/* beyond the FIN, before the FIN is in order */
	peer(c, .flags = ACK, .seq = 201, .ack = 1, .len = 50);
	peer(c, .flags = ACK | FIN, .seq = 51, .ack = 1, .len = 50);
	bench_drain(&s.b);
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 50);
	assert_state(c, TCP_CLOSE_WAIT);
	expect(c, ACK, 1, 102, 0);
	cr_assert_eq(conn_read(c, 1), 100);
	cr_assert_eq(conn_tp(c)->ofo_queue.qlen, 0);
	peer(c, .flags = ACK, .seq = 102, .ack = 1, .len = 50);
	expect(c, ACK, 1, 102, 0);
	peer(c, .flags = ACK, .seq = 102, .ack = 1, .len = 50);
	cr_assert_eq(conn_read(c, 1), 0);
	bench_drain(&s.b);
	peer(c, .flags = ACK | FIN, .seq = 101, .ack = 1);
	expect(c, ACK, 1, 102, 0);
	peer(c, .flags = ACK | FIN, .seq = 102, .ack = 1);
	expect(c, ACK, 1, 102, 0);
	assert_state(c, TCP_CLOSE_WAIT);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B32_time_wait_answers)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	sock_close(c->sk);
	bench_turn(&s.b, 1000);
	peer(c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	bench_drain(&s.b);
	cr_assert_eq(stack_stats(s.b.st)->tcp_tw_count, 1);
	c->sk = NULL;
	/* RST: ignored, also an exact one (RFC 1337, the default of tcp_rfc1337) */
	peer(c, .flags = RST, .seq = 2);
	peer(c, .flags = RST | ACK, .seq = 2, .ack = 2);
	expect_none(&s.b);
	cr_assert_eq(stack_stats(s.b.st)->tcp_tw_count, 1);
	/* old data: one ACK for many */
	for (int i = 0; i < 50; i++)
		peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	expect(c, ACK, 2, 2, 0);
	expect_none(&s.b);
	/* the last ACK again: nothing to say */
	bench_run(&s.b, 600 * SEG_MS);
	peer(c, .flags = ACK, .seq = 2, .ack = 2);
	expect_none(&s.b);
	cr_assert_eq(stack_stats(s.b.st)->tcp_tw_count, 1);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B34_port_zero_is_dropped)
{
	struct scene s;

	scene_begin(&s, &seg_full);
	s.c.fport = 0;
	peer(&s.c, .flags = SYN, .seq = 0);
	s.c.fport = 4000;
	s.c.lport = 0;
	peer(&s.c, .flags = SYN, .seq = 0);
	expect_none(&s.b);
	cr_assert_eq(bench_drops(&s.b, SKB_DROP_TCP_BAD_HEADER), 2);
	s.c.lport = SEG_PORT;
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B34_data_on_syn_waits_for_the_handshake)
{
	struct scene s;
	struct conn d;
	struct seg seg;

	scene_begin(&s, &seg_full);
	conn_init(&d, &s.b, SEG_PORT, 4444, &seg_plain);
	peer(&d, .flags = SYN, .seq = 0, .len = 100);
	cr_assert(bench_next(&s.b, NULL, &seg));
	d.irs = seg.seq;
	cr_assert_eq(seg.ack, d.iss + 1, "only the SYN is acknowledged");
	peer(&d, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	cr_assert_eq(sock_accept(s.lp, &d.sk), 0);
	cr_assert_eq(conn_read(&d, 1), 100);
	sock_abort(d.sk);
	scene_end(&s);
}

Test(tcp_hostile_data, test_tcp_B34_keepalive_probes_are_acked)
{
	struct scene s;

	scene_begin(&s, &seg_full);
	peer(&s.c, .flags = ACK, .seq = 0, .ack = 1);
	expect(&s.c, ACK, 1, 1, 0);
	bench_run(&s.b, NSEC_PER_SEC);
	peer(&s.c, .flags = ACK, .seq = 0, .ack = 1, .len = 1);
	expect(&s.c, ACK, 1, 1, 0);
	cr_assert_eq(conn_read(&s.c, 0), 0);
	still_works(&s, 1);
	scene_end(&s);
}
