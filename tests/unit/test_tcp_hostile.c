/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bad input, by the rows B1-B19 of the design's table: what is answered, that the state is
 * kept, that nothing bad is delivered, that memory comes back and that another connection
 * goes on meanwhile. Rows about IP, ICMP and floods over many hosts are tested elsewhere.
 */
#include "seg_scene.h"

Test(tcp_hostile, test_tcp_B01_rst_in_window_gets_one_challenge)
{
	struct scene s;

	scene_begin(&s, &seg_full);
	for (int i = 0; i < 100; i++)
		peer(&s.c, .flags = RST, .seq = 2 + (uint32_t)i * 300);
	expect(&s.c, ACK, 1, 1, 0);
	expect_none(&s.b);
	bench_run(&s.b, 500 * SEG_MS);
	peer(&s.c, .flags = RST, .seq = 5);
	expect(&s.c, ACK, 1, 1, 0);
	/* the limit is the connection's own: another one is answered at once */
	peer(&s.other, .flags = RST, .seq = 5);
	expect(&s.other, ACK, 1, 1, 0);
	still_works(&s, 1);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B02_rst_exact_resets_outside_is_dropped)
{
	struct scene s;

	scene_begin(&s, &seg_full);
	peer(&s.c, .flags = RST, .seq = (uint32_t)-100000);
	peer(&s.c, .flags = RST, .seq = 100000000);
	expect_none(&s.b);
	assert_state(&s.c, TCP_ESTABLISHED);
	peer(&s.c, .flags = RST, .seq = 1, .no_ts = true);
	assert_state(&s.c, TCP_CLOSE);
	cr_assert_eq(sock_error(s.c.sk), -ECONNRESET);
	expect_none(&s.b);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B03_syn_in_synchronised_state_gets_challenge)
{
	static const uint32_t seqs[] = {0, 1, 500, (uint32_t)-5000, 90000000};
	struct scene s;

	scene_begin(&s, &seg_full);
	for (unsigned i = 0; i < ARRAY_SIZE(seqs); i++) {
		bench_run(&s.b, 600 * SEG_MS);
		peer(&s.c, .flags = SYN, .seq = seqs[i]);
		expect(&s.c, ACK, 1, 1, 0);
		peer(&s.c, .flags = SYN | ACK, .seq = seqs[i], .ack = 1);
		expect_none(&s.b);
		assert_state(&s.c, TCP_ESTABLISHED);
	}
	still_works(&s, 1);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B04_data_with_bad_ack_is_not_delivered)
{
	struct scene s;

	scene_begin(&s, &seg_full);
	peer(&s.c, .flags = ACK, .seq = 1, .ack = 5000, .len = 10);
	expect(&s.c, ACK, 1, 1, 0);
	cr_assert_eq(conn_read(&s.c, 1), 0);
	bench_run(&s.b, 600 * SEG_MS);
	/* older than the largest window ever seen (RFC 5961 5.2) */
	peer(&s.c, .flags = ACK, .seq = 1, .ack = (uint32_t)-80000000, .len = 10);
	expect(&s.c, ACK, 1, 1, 0);
	cr_assert_eq(conn_read(&s.c, 1), 0);
	cr_assert_eq(bench_drops(&s.b, SKB_DROP_TCP_OLD_ACK), 1);
	cr_assert_eq(bench_drops(&s.b, SKB_DROP_TCP_BAD_ACK), 1);
	/* an old ACK inside the window is only old */
	peer(&s.c, .flags = ACK, .seq = 1, .ack = (uint32_t)-1, .len = 10);
	cr_assert_eq(conn_read(&s.c, 1), 10);
	still_works(&s, 11);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B05_flood_over_connections_is_limited_for_each)
{
	enum { NR = 50 };
	static struct conn c[NR];
	struct scene s;
	struct seg seg;
	unsigned answers[NR] = {0};

	scene_begin(&s, &seg_full);
	for (uint16_t i = 0; i < NR; i++)
		conn_passive(&c[i], &s.b, s.lp, 6000 + i, &seg_full);
	bench_drain(&s.b);
	for (int round = 0; round < 100; round++)
		for (int i = 0; i < NR; i++)
			peer(&c[i], .flags = round & 1 ? SYN : RST, .seq = 50);
	while (bench_next(&s.b, NULL, &seg))
		answers[seg.dport - 6000]++;
	for (int i = 0; i < NR; i++)
		cr_assert_eq(answers[i], 1, "%d: %u", i, answers[i]);
	for (int i = 0; i < NR; i++)
		sock_abort(c[i].sk);
	scene_end(&s);
}

/* ---- B8, B9, B10: flags ---- */

Test(tcp_hostile, test_tcp_B08_odd_flags_to_listen)
{
	static const uint8_t silent[] = {0,   FIN, SYN | FIN,       SYN | RST, 0x3f,
					 URG, PSH, FIN | URG | PSH, RST | ACK};
	static const uint8_t reset[] = {ACK, FIN | ACK, SYN | ACK, SYN | FIN | ACK};
	struct scene s;

	scene_begin(&s, &seg_full);
	scene_alone(&s);
	conn_init(&s.c, &s.b, SEG_PORT, 4444, &seg_plain);
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++) {
		peer(&s.c, .flags = silent[i], .seq = 10, .ack = 20);
		expect_none(&s.b);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(reset); i++) {
		peer(&s.c, .flags = reset[i], .seq = 10, .ack = 20 + i);
		expect(&s.c, RST, 20 + i, 0, 0);
	}
	cr_assert_eq(tcp_sk(s.lp)->nr_reqs, 0);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B08_odd_flags_to_closed)
{
	struct scene s;

	scene_begin(&s, &seg_full);
	scene_alone(&s);
	conn_init(&s.c, &s.b, 4, 4444, &seg_plain);
	for (unsigned flags = 0; flags < 64; flags++) {
		uint32_t end = 10 + !!(flags & SYN) + !!(flags & FIN);

		peer(&s.c, .flags = (uint8_t)flags, .seq = 10, .ack = 20);
		if (flags & RST)
			expect_none(&s.b);
		else if (flags & ACK)
			expect(&s.c, RST, 20, 0, 0);
		else
			expect(&s.c, RST | ACK, 0, end, 0);
	}
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B08_odd_flags_to_established)
{
	static const uint8_t flags[] = {0, FIN, URG, PSH, FIN | URG | PSH, SYN | FIN, 0x3f & ~RST};
	struct scene s;

	scene_begin(&s, &seg_full);
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		bench_run(&s.b, 600 * SEG_MS);
		bench_drain(&s.b);
		peer(&s.c, .flags = flags[i], .seq = 1, .ack = 1, .len = 10);
		if (flags[i] & SYN)
			expect(&s.c, ACK, 1, 1, 0);
		expect_none(&s.b);
		assert_state(&s.c, TCP_ESTABLISHED);
		cr_assert_eq(conn_read(&s.c, 1), 0, "delivered with flags %#x", flags[i]);
	}
	still_works(&s, 1);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B09_syn_sent_answers)
{
	struct scene s;
	struct seg seg;

	scene_begin(&s, &seg_full);
	scene_alone(&s);
	conn_active(&s.c, &s.b, &seg_full, &seg);
	/* RST without ACK, with a bad ACK */
	peer(&s.c, .flags = RST, .seq = 0);
	peer(&s.c, .flags = RST | ACK, .seq = 0, .ack = 9);
	expect_none(&s.b);
	assert_state(&s.c, TCP_SYN_SENT);
	/* bad ACKs are reset, at either side of what we sent */
	peer(&s.c, .flags = SYN | ACK, .seq = 0, .ack = 0);
	expect(&s.c, RST, 0, 0, 0);
	peer(&s.c, .flags = SYN | ACK, .seq = 0, .ack = 2);
	expect(&s.c, RST, 2, 0, 0);
	/* a bare ACK, FIN, SYN+FIN: nothing */
	peer(&s.c, .flags = ACK, .seq = 0, .ack = 1);
	peer(&s.c, .flags = FIN, .seq = 0);
	peer(&s.c, .flags = SYN | FIN, .seq = 0);
	expect_none(&s.b);
	assert_state(&s.c, TCP_SYN_SENT);
	conn_synack(&s.c, &seg_full);
	s.c.ts = true;
	expect(&s.c, ACK, 1, 1, 0);
	still_works(&s, 1);
	scene_end(&s);
}

/* The peer answers our SYN with a bare ACK and a SYN of its own ("split handshake"): only
 * the simultaneous open is followed. */
Test(tcp_hostile, test_tcp_B10_split_handshake_is_simultaneous_open_only)
{
	struct scene s;
	struct seg seg;

	scene_begin(&s, &seg_full);
	scene_alone(&s);
	conn_active(&s.c, &s.b, &seg_plain, &seg);
	peer(&s.c, .flags = ACK, .seq = 77, .ack = 1);
	expect_none(&s.b);
	conn_syn(&s.c, &seg_plain);
	expect(&s.c, SYN | ACK, 0, 1, 0);
	assert_state(&s.c, TCP_SYN_RECV);
	/* data before our SYN is acknowledged is not taken */
	peer(&s.c, .flags = 0, .seq = 1, .len = 5);
	assert_state(&s.c, TCP_SYN_RECV);
	peer(&s.c, .flags = ACK, .seq = 1, .ack = 1);
	still_works(&s, 1);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B12_accept_queue_full_then_data)
{
	struct bench b;
	struct conn c[3];
	struct sock *lp;
	struct seg s;
	uint64_t t;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 1);
	for (uint16_t i = 0; i < 3; i++) {
		conn_init(&c[i], &b, SEG_PORT, 4000 + i, &seg_plain);
		if (i < 2) {
			conn_syn(&c[i], &seg_plain);
			cr_assert(bench_next(&b, NULL, &s));
			c[i].irs = s.seq;
		}
	}
	peer(&c[0], .flags = ACK, .seq = 1, .ack = 1);
	conn_syn(&c[2], &seg_plain);
	cr_assert(bench_next(&b, NULL, &s));
	c[2].irs = s.seq;
	peer(&c[1], .flags = ACK, .seq = 1, .ack = 1);
	/* the last ACK, and data, find the queue full */
	for (int i = 0; i < 50; i++)
		peer(&c[2], .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	expect_none(&b);
	cr_assert_eq(tcp_sk(lp)->ack_backlog, 2);
	cr_assert_eq(b.st->tcp->rmem_total, 0);
	cr_assert_eq(stack_stats(b.st)->tcp_accept_overflow, 50);
	/* the SYN-ACK comes again, the peer's next try succeeds */
	cr_assert_eq(sock_accept(lp, &c[0].sk), 0);
	t = b.now;
	bench_run(&b, 1500 * SEG_MS);
	expect(&c[2], SYN | ACK, 0, 1, 0);
	cr_assert_gt(b.now, t);
	peer(&c[2], .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	cr_assert_eq(sock_accept(lp, &c[1].sk), 0);
	cr_assert_eq(sock_accept(lp, &c[2].sk), 0);
	cr_assert_eq(conn_read(&c[2], 1), 100);
	bench_end(&b);
}

/* A handshake's last ACK with a timestamp older than the SYN's once left a socket that nobody
 * owned, and that pointed to its listener for ever. */
Test(tcp_hostile, test_tcp_B28_old_timestamp_on_last_ack_leaves_no_socket)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_full);
	conn_syn(&c, &seg_full);
	cr_assert(bench_next(&b, NULL, &s));
	c.irs = s.seq;
	c.ts = true;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .tsval = c.tsval - 5);
	cr_assert_eq(stack_stats(b.st)->socks_in_use, 1, "the listener alone");
	sock_close(lp);
	cr_assert_eq(stack_stats(b.st)->socks_in_use, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	bench_end(&b);
}

/* ---- B13, B15, B16, B17, B26, B27: headers and options ---- */

Test(tcp_hostile, test_tcp_B13_data_offset_short_or_past_the_end)
{
	struct scene s;
	uint8_t fr[FAKE_FRAME_MAX];

	scene_begin(&s, &seg_plain);
	for (unsigned doff = 0; doff < 16; doff++) {
		unsigned n = seg_build(&s.c, &(struct seg){.flags = ACK, .seq = 1, .ack = 1}, fr);

		if (doff == 5)
			continue;
		fr[ETH_HLEN + IP_HLEN + 12] = (uint8_t)(doff << 4);
		tcp_frame_sum(fr);
		fake_inject(s.b.f, fr, n);
		bench_turn(&s.b, 1000);
	}
	cr_assert_eq(bench_drops(&s.b, SKB_DROP_TCP_BAD_HEADER), 15);
	for (unsigned len = 0; len < TCP_HLEN; len++) {
		uint8_t l4[TCP_HLEN] = {0x0f, 0xa0, 0, SEG_PORT, [12] = 0x50, [13] = ACK};
		unsigned n = frame_ip(fr, SEG_PEER, SEG_OUR, IPPROTO_TCP_, l4, len);

		fake_inject(s.b.f, fr, n);
		bench_turn(&s.b, 1000);
	}
	cr_assert_eq(bench_drops(&s.b, SKB_DROP_TCP_BAD_HEADER), 35);
	expect_none(&s.b);
	still_works(&s, 1);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B15_bad_options_end_the_parse_only)
{
	static const uint8_t nops[40] = {[0 ... 39] = 1};
	static const struct {
		uint8_t b[12];
		unsigned n;
	} t[] = {
		{{8, 0}, 4},
		{{8, 1}, 4},
		{{8, 200}, 4},
		{{5, 2}, 4},
		{{5, 3, 1}, 4},
		{{2, 255}, 4},
		{{254, 2, 1, 1}, 4},
		{{254, 0}, 4},
		{{1, 1, 1, 8}, 4},
		{{0, 8, 0}, 4},
		{{1, 1, 1, 5}, 4},
		{{2, 4, 0, 0, 2, 4, 1, 1}, 8},
		{{3, 3, 200, 3, 3, 1, 1, 1}, 8},
	};
	struct scene s;
	uint32_t seq = 1;

	scene_begin(&s, &seg_plain);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++, seq += 10) {
		bench_drain(&s.b);
		peer(&s.c, .flags = ACK, .seq = seq, .ack = 1, .len = 10, .opt = t[i].b,
		     .optlen = t[i].n);
		cr_assert_eq(conn_read(&s.c, seq), 10, "row %u", i);
		expect(&s.c, ACK, 1, seq + 10, 0);
	}
	peer(&s.c, .flags = ACK, .seq = seq, .ack = 1, .len = 10, .opt = nops, .optlen = 40);
	cr_assert_eq(conn_read(&s.c, seq), 10);
	still_works(&s, seq + 10);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B16_bad_checksum_is_never_answered)
{
	struct scene s;

	scene_begin(&s, &seg_full);
	peer(&s.c, .flags = ACK, .seq = 1, .ack = 1, .len = 10, .bad_csum = true);
	peer(&s.c, .flags = RST, .seq = 1, .bad_csum = true);
	peer(&s.c, .flags = SYN, .seq = 1, .bad_csum = true);
	s.c.lport = 99;
	peer(&s.c, .flags = SYN, .seq = 1, .bad_csum = true);
	s.c.lport = SEG_PORT;
	expect_none(&s.b);
	cr_assert_eq(bench_drops(&s.b, SKB_DROP_TCP_BAD_CSUM), 4);
	cr_assert_eq(stack_stats(s.b.st)->tcp_in_errs, 4);
	still_works(&s, 1);
	scene_end(&s);
}

/* segments_of - the connection's first ten are of `expect` bytes each. */
static void segments_of(struct conn *c, unsigned expect)
{
	struct seg seg;
	unsigned n = 0;

	/* ten segments leave; the smallest take a buffer each */
	cr_assert_geq(conn_write(c, 1, 15000), 10 * expect);
	bench_turn(c->b, 1000);
	while (bench_next(c->b, c, &seg)) {
		cr_assert_eq(seg.len, expect, "%u, not %u", seg.len, expect);
		n++;
	}
	cr_assert_eq(n, 10);
}

/* An option that says 0 is as none: RFC 9293 3.7.1, 536. */
static void mss_option_of_zero(struct scene *s)
{
	static const uint8_t opt[] = {2, 4, 0, 0};
	struct conn *c = &s->c;
	struct seg seg;

	conn_init(c, &s->b, SEG_PORT, 4100, &seg_plain);
	peer(c, .flags = SYN, .opt = opt, .optlen = sizeof(opt));
	cr_assert(bench_next(&s->b, NULL, &seg));
	cr_assert(seg.flags == (SYN | ACK) && seg.dport == 4100);
	c->irs = seg.seq;
	peer(c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(sock_accept(s->lp, &c->sk), 0);
	segments_of(c, 536);
}

Test(tcp_hostile, test_tcp_B17_mss_is_clamped)
{
	static const struct {
		uint16_t mss, expect;
		bool ts;
	} t[] = {
		{0, 536, false}, {1, 48, false}, {48, 48, false},     {65535, 1460, false},
		{1, 36, true},   {0, 524, true}, {65535, 1448, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct seg_peer p = {.mss = t[i].mss, .wscale = -1, .win = 65535, .ts = t[i].ts};
		struct scene s;

		scene_begin(&s, &p);
		segments_of(&s.c, t[i].expect);
		scene_alone(&s);
		mss_option_of_zero(&s);
		scene_end(&s);
	}
}

Test(tcp_hostile, test_tcp_B18_sack_of_alternating_holes_is_bounded)
{
	struct seg_peer p = seg_full;
	struct scene s;
	struct conn *c = &s.c;

	p.mss = 100;
	scene_begin(&s, &p);
	conn_tp(c)->nonagle = TCP_NAGLE_OFF;
	conn_tp(c)->snd_cwnd = 1 << 20;
	cr_assert_eq(sock_setopt_int(c->sk, SK_SOL_SOCKET, SK_SO_SNDBUF, 1 << 20), 0);
	cr_assert_eq(conn_write(c, 1, 30000), 30000);
	bench_turn(&s.b, 1000);
	bench_drain(&s.b);
	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t i = 1; i + 5 < 300; i += 6) {
			uint32_t at = 1 + i * 88;

			c->tsval++;
			peer(c, .flags = ACK, .seq = 1, .ack = 1, .nr_sacks = 3,
			     .sack = {at, at + 88 * (1 + round), at + 2 * 88, at + 3 * 88,
				      at + 4 * 88, at + 5 * 88});
			bench_drain(&s.b);
		}
	cr_assert_lt(tcp_sk(c->sk)->sacked_out, 30000);
	/* and all of it is acknowledged */
	c->tsval++;
	peer(c, .flags = ACK, .seq = 1, .ack = 1 + tcp_flight(conn_tp(c)));
	cr_assert_eq(conn_tp(c)->sacked_out + conn_tp(c)->lost_out + conn_tp(c)->retrans_out, 0);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B19_bad_sack_blocks_are_ignored)
{
	static const uint32_t blocks[][2] = {
		{2000, 1000},    {2000, 2000},  {(uint32_t)-3000, (uint32_t)-1500},
		{5000, 90000},   {1u << 31, 5}, {0, 1},
		{1, 0x7fffffff}, {100, 1400},   {14601, 14602},
	};
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	cr_assert_eq(conn_write(c, 1, 14480), 14480);
	bench_turn(&s.b, 1000);
	for (int i = 0; i < 10; i++)
		expect(c, ACK, 1 + (uint32_t)i * 1448, 1, 1448);
	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++)
		peer(c, .flags = ACK, .seq = 1, .ack = 1, .nr_sacks = 1,
		     .sack = {blocks[i][0], blocks[i][1]});
	cr_assert_eq(conn_tp(c)->sacked_out, 0);
	cr_assert_eq(stack_stats(s.b.st)->tcp_fast_retrans, 0);
	expect_none(&s.b);
	/* an odd length */
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .opt = (const uint8_t[12]){5, 9}, .optlen = 12);
	expect_none(&s.b);
	peer(c, .flags = ACK, .seq = 1, .ack = 14481);
	cr_assert_eq(tcp_flight(conn_tp(c)), 0);
	other_goes_on(&s);
	scene_end(&s);
}

Test(tcp_hostile, test_tcp_B19_sacked_head_is_no_crash)
{
	struct scene s;
	struct conn *c = &s.c;

	scene_begin(&s, &seg_full);
	cr_assert_eq(conn_write(c, 1, 14480), 14480);
	bench_turn(&s.b, 1000);
	bench_drain(&s.b);
	/* right at the acknowledged byte there is no hole: nonsense, no SACK */
	for (uint32_t i = 1; i <= 10; i++) {
		c->tsval++;
		peer(c, .flags = ACK, .seq = 1, .ack = 1, .nr_sacks = 1, .sack = {1, 1 + i * 1448});
	}
	expect_none(&s.b);
	cr_assert_eq(conn_tp(c)->sacked_out, 0);
	c->tsval++;
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .nr_sacks = 1, .sack = {1449, 14481});
	expect(c, ACK, 1, 1, 1448);
	/* it reneged: the timer sends all of it again (RFC 2018 section 8) */
	peer(c, .flags = ACK, .seq = 1, .ack = 1449);
	bench_run(&s.b, 1500 * SEG_MS);
	expect(c, ACK, 1449, 1, 1448);
	cr_assert_eq(conn_tp(c)->sacked_out, 0);
	c->tsval += 2000;
	peer(c, .flags = ACK, .seq = 1, .ack = 14481);
	cr_assert_eq(tcp_flight(conn_tp(c)), 0);
	scene_end(&s);
}
