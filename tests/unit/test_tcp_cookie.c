/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN cookies (RFC 4987 3.6; B11): when they are sent, what they carry, which are believed. */
#include "seg_half.h"

struct scene {
	struct bench b;
	struct sock *lp;
};

/* A listener whose SYN queue is full of those who never answer. */
static void scene_begin(struct scene *s, struct stack_config *cfg)
{
	struct conn c;
	struct seg seg;

	bench_begin(&s->b, cfg, 2048);
	s->lp = bench_listen(&s->b, SEG_PORT, 1);
	for (uint16_t i = 0; i < 2; i++)
		half_open(&c, &s->b, 9000 + i, &seg_full, &seg);
	cr_assert_eq(tcp_sk(s->lp)->nr_reqs, 2);
	cr_assert_eq(stack_stats(s->b.st)->tcp_syncookies_sent, 0);
}

static uint64_t sent(const struct scene *s)
{
	return stack_stats(s->b.st)->tcp_syncookies_sent;
}

static uint64_t believed(const struct scene *s)
{
	return stack_stats(s->b.st)->tcp_syncookies_recv;
}

static uint64_t failed(const struct scene *s)
{
	return stack_stats(s->b.st)->tcp_syncookies_failed;
}

/* Both ways, so that windows, scale and timestamps prove themselves. */
static void talk(struct conn *c)
{
	c->tsval++;
	peer(c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	cr_assert_eq(conn_read(c, 1), 100);
	bench_drain(c->b);
	cr_assert_eq(conn_write(c, 1, 50), 50);
	bench_turn(c->b, 1000);
	expect(c, ACK, 1, 101, 50);
	peer(c, .flags = ACK, .seq = 101, .ack = 51);
	cr_assert_eq(tcp_flight(conn_tp(c)), 0);
}

Test(tcp_cookie, test_cookie_full_syn_queue_handshake_keeps_all_options)
{
	struct scene s;
	struct conn c;
	struct seg seg;

	scene_begin(&s, NULL);
	half_open(&c, &s.b, 4000, &seg_full, &seg);
	cr_assert_eq(sent(&s), 1);
	cr_assert(seg.o.wscale_ok && seg.o.sack_ok && seg.ts && seg.o.mss == 1460);
	cr_assert_eq(tcp_sk(s.lp)->nr_reqs, 2, "nothing is remembered");
	half_done(&c, s.lp);
	cr_assert_eq(believed(&s), 1);
	cr_assert(conn_tp(&c)->wscale_ok && conn_tp(&c)->sack_ok && conn_tp(&c)->tstamp_ok);
	cr_assert_eq(conn_tp(&c)->snd_wscale, 7);
	cr_assert_eq(conn_tp(&c)->rcv_wscale, seg.o.snd_wscale);
	cr_assert_eq(conn_tp(&c)->peer_mss, 1460);
	talk(&c);
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_without_timestamps_has_only_the_mss)
{
	static const struct {
		uint16_t offered, kept;
	} mss[] = {{0, 536},     {1, 48},      {48, 48},     {535, 48},    {536, 536},
		   {1459, 1440}, {1460, 1460}, {8959, 1460}, {9000, 8960}, {65535, 8960}};
	struct seg_peer p = {.wscale = 7, .sack = true, .win = 8000};
	struct scene s;
	struct conn c;
	struct seg seg;

	for (unsigned i = 0; i < ARRAY_SIZE(mss); i++) {
		scene_begin(&s, NULL);
		p.mss = mss[i].offered;
		half_open(&c, &s.b, 4000, &p, &seg);
		cr_assert(!seg.o.wscale_ok && !seg.o.sack_ok && !seg.ts && seg.o.mss == 1460);
		half_done(&c, s.lp);
		cr_assert_eq(conn_tp(&c)->peer_mss, mss[i].kept, "%u: %u", mss[i].offered,
			     conn_tp(&c)->peer_mss);
		cr_assert(!conn_tp(&c)->wscale_ok && !conn_tp(&c)->sack_ok);
		bench_end(&s.b);
	}
}

/* RFC 7323 5.4: the clock of a connection never goes back. */
Test(tcp_cookie, test_cookie_timestamp_is_never_ahead_of_the_clock)
{
	struct scene s;

	scene_begin(&s, NULL);
	for (uint16_t i = 0; i < 130; i++) {
		struct seg_peer p = seg_full;
		struct conn c;
		struct seg seg, next;

		p.wscale = i % 15;
		p.sack = i & 1;
		half_open(&c, &s.b, (uint16_t)(4000 + i), &p, &seg);
		cr_assert_eq(sent(&s), i + 1u);
		half_done(&c, s.lp);
		cr_assert(conn_tp(&c)->snd_wscale == p.wscale && conn_tp(&c)->sack_ok == p.sack);
		peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 1);
		expect_get(&c, ACK, 1, 2, 0, &next);
		cr_assert(!before(next.tsval, seg.tsval) && next.tsval - seg.tsval < 64 + 2);
		sock_abort(c.sk);
		bench_turn(&s.b, SEG_MS);
		bench_drain(&s.b);
	}
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_data_with_the_ack_is_delivered)
{
	struct scene s;
	struct conn c;
	struct seg seg;

	scene_begin(&s, NULL);
	half_open(&c, &s.b, 4000, &seg_full, &seg);
	peer(&c, .flags = ACK | FIN, .seq = 1, .ack = 1, .len = 33);
	cr_assert_eq(sock_accept(s.lp, &c.sk), 0);
	assert_state(&c, TCP_CLOSE_WAIT);
	cr_assert_eq(conn_read(&c, 1), 33);
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_forged_ack_is_reset_and_leaves_nothing)
{
	struct scene s;
	struct conn c;
	struct seg seg;

	scene_begin(&s, NULL);
	half_open(&c, &s.b, 4000, &seg_full, &seg);
	for (uint32_t i = 0; i < 4096; i++) {
		uint32_t guess = i & 1 ? i << 20 : i;

		if (guess == 0)
			continue;
		peer(&c, .flags = ACK, .seq = 1, .ack = 1 + guess);
		expect(&c, RST, 1 + guess, 0, 0);
	}
	/* the right number of another peer, port, or first byte */
	c.fport++;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	expect(&c, RST, 1, 0, 0);
	c.fport--;
	for (uint32_t seq = 2; seq < 10; seq++) {
		peer(&c, .flags = ACK, .seq = seq, .ack = 1);
		expect(&c, RST, 1, 0, 0);
	}
	cr_assert_eq(failed(&s), 4104);
	cr_assert_eq(believed(&s), 0);
	cr_assert_eq(stack_stats(s.b.st)->socks_in_use, 1);
	/* RST and SYN-ACK are not even looked at */
	peer(&c, .flags = RST | ACK, .seq = 1, .ack = 1);
	peer(&c, .flags = SYN | ACK, .seq = 1, .ack = 1);
	expect(&c, RST, 1, 0, 0);
	cr_assert_eq(failed(&s), 4104);
	half_done(&c, s.lp);
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_is_not_believed_unless_one_was_sent_lately)
{
	struct scene s;
	struct conn c;
	struct seg seg;

	scene_begin(&s, NULL);
	conn_init(&c, &s.b, SEG_PORT, 4000, &seg_full);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	expect(&c, RST, 1, 0, 0);
	cr_assert_eq(failed(&s), 0, "not even computed");
	half_open(&c, &s.b, 4000, &seg_full, &seg);
	bench_run(&s.b, 121 * NSEC_PER_SEC);
	bench_drain(&s.b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	expect(&c, RST, 1, 0, 0);
	cr_assert_eq(failed(&s), 0);
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_expires_while_others_are_sent)
{
	struct stack_config cfg;
	struct scene s;
	struct conn c, d;
	struct seg seg;

	stack_config_init(&cfg);
	cfg.syncookies = 2;
	bench_begin(&s.b, &cfg, 512);
	s.lp = bench_listen(&s.b, SEG_PORT, 8);
	half_open(&c, &s.b, 4000, &seg_full, &seg);
	for (int i = 0; i < 12; i++) {
		bench_run(&s.b, 10 * NSEC_PER_SEC);
		half_open(&d, &s.b, 5000, &seg_full, &seg);
	}
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	expect(&c, RST, 1, 0, 0);
	cr_assert_eq(failed(&s), 1);
	half_done(&d, s.lp);
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_echo_with_options_we_refuse_is_reset)
{
	struct stack_config cfg;
	struct scene s;
	struct conn c;
	struct seg seg;

	stack_config_init(&cfg);
	cfg.sack = cfg.window_scaling = 0;
	scene_begin(&s, &cfg);
	half_open(&c, &s.b, 4000, &seg_full, &seg);
	cr_assert(!seg.o.sack_ok && !seg.o.wscale_ok && seg.ts);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .tsecr = c.tsecr ^ 0x10);
	expect(&c, RST, 1, 0, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .tsecr = c.tsecr ^ 0x08);
	expect(&c, RST, 1, 0, 0);
	half_done(&c, s.lp);
	cr_assert(!conn_tp(&c)->sack_ok && !conn_tp(&c)->wscale_ok && conn_tp(&c)->tstamp_ok);
	bench_end(&s.b);
}

/* A client that set the bit got ECN from a server that has it switched off. */
Test(tcp_cookie, test_cookie_echo_with_ecn_though_switched_off_is_reset)
{
	struct stack_config cfg;
	struct scene s;
	struct conn c;
	struct seg seg;

	stack_config_init(&cfg);
	cfg.ecn = TCP_ECN_OFF;
	scene_begin(&s, &cfg);
	half_open(&c, &s.b, 4000, &seg_full, &seg);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .tsecr = c.tsecr ^ 0x20);
	expect(&c, RST, 1, 0, 0);
	half_done(&c, s.lp);
	cr_assert(!conn_tp(&c)->ecn_ok);
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_accept_queue_full_waits_for_data)
{
	struct scene s;
	struct conn c[3];
	struct seg seg;

	scene_begin(&s, NULL);
	for (uint16_t i = 0; i < 3; i++)
		half_open(&c[i], &s.b, 4000 + i, &seg_full, &seg);
	for (int i = 0; i < 3; i++)
		peer(&c[i], .flags = ACK, .seq = 1, .ack = 1);
	expect_none(&s.b);
	cr_assert_eq(tcp_sk(s.lp)->ack_backlog, 2);
	cr_assert_eq(stack_stats(s.b.st)->tcp_accept_overflow, 1);
	cr_assert_eq(sock_accept(s.lp, &c[0].sk), 0);
	peer(&c[2], .flags = ACK, .seq = 1, .ack = 1, .len = 10);
	cr_assert_eq(sock_accept(s.lp, &c[1].sk), 0);
	cr_assert_eq(sock_accept(s.lp, &c[2].sk), 0);
	cr_assert_eq(conn_read(&c[2], 1), 10);
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_setting_2_sends_them_always_0_never)
{
	struct stack_config cfg;
	struct scene s;
	struct conn c;
	struct seg seg;

	stack_config_init(&cfg);
	cfg.syncookies = 2;
	bench_begin(&s.b, &cfg, 512);
	s.lp = bench_listen(&s.b, SEG_PORT, 8);
	half_open(&c, &s.b, 4000, &seg_full, &seg);
	cr_assert(sent(&s) == 1 && tcp_sk(s.lp)->nr_reqs == 0);
	half_done(&c, s.lp);
	bench_end(&s.b);

	cfg.syncookies = 0;
	scene_begin(&s, &cfg);
	conn_init(&c, &s.b, SEG_PORT, 4000, &seg_full);
	conn_syn(&c, &seg_full);
	expect_none(&s.b);
	cr_assert_eq(stack_stats(s.b.st)->tcp_syn_overflow, 1);
	bench_end(&s.b);
}

Test(tcp_cookie, test_cookie_lane_limit_of_half_open_is_a_full_queue_too)
{
	struct stack_config cfg;
	struct scene s;
	struct conn c;
	struct seg seg;

	stack_config_init(&cfg);
	cfg.max_syn = 3;
	bench_begin(&s.b, &cfg, 512);
	s.lp = bench_listen(&s.b, SEG_PORT, 100);
	for (uint16_t i = 0; i < 5; i++)
		half_open(&c, &s.b, 4000 + i, &seg_full, &seg);
	cr_assert_eq(sent(&s), 2);
	cr_assert_eq(tcp_sk(s.lp)->nr_reqs, 3);
	half_done(&c, s.lp);
	bench_end(&s.b);
}

/* ---- B11 ---- */

static int64_t live_bytes;

static void *counted_alloc(void *ctx, size_t size)
{
	(void)ctx;
	live_bytes += (int64_t)size;
	return calloc(1, size);
}

static void counted_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	live_bytes -= (int64_t)size;
	free(p);
}

/* 10^5 SYNs in a second from as many hosts: memory stays flat, the connection that there was
 * goes on, and a client that means it gets in. */
Test(tcp_cookie, test_tcp_B11_flood_memory_flat_old_and_new_clients_served)
{
	enum { FLOOD = 100000, BACKLOG = 128 };
	struct stack_config cfg;
	struct bench b;
	struct sock *lp;
	struct conn old, bad, c;
	struct seg seg;
	int64_t before_flood = 0;
	uint32_t off = 1;

	stack_config_init(&cfg);
	cfg.mem = (struct stack_mem_ops){counted_alloc, counted_free, NULL};
	bench_begin(&b, &cfg, 4096);
	b.no_check = true;
	lp = bench_listen(&b, SEG_PORT, BACKLOG);
	conn_passive(&old, &b, lp, 4000, &seg_full);
	b.strangers_mute = true;
	for (uint32_t i = 0; i < FLOOD; i++) {
		conn_init(&bad, &b, SEG_PORT, (uint16_t)(1024 + i % 60000), &seg_full);
		bad.peer_ip = fake_ip(10, 0, 0, 3 + i % 250);
		bad.iss = i * 77777;
		conn_syn(&bad, &seg_full);
		b.now += 9000;
		if (i == FLOOD / 10)
			before_flood = live_bytes;
		if (i % 10000 == 0) {
			bench_drain(&b);
			old.tsval++;
			peer(&old, .flags = ACK, .seq = off, .ack = 1, .len = 10);
			cr_assert_eq(conn_read(&old, off), 10);
			off += 10;
		}
	}
	cr_assert_eq(live_bytes, before_flood, "memory grew by %ld", live_bytes - before_flood);
	cr_assert_leq(tcp_sk(lp)->nr_reqs, BACKLOG + 1);
	bench_drain(&b);
	half_open(&c, &b, 5000, &seg_full, &seg);
	half_done(&c, lp);
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	cr_assert_eq(conn_read(&c, 1), 100);
	bench_run(&b, 100 * NSEC_PER_SEC);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 0);
	bench_end(&b);
	cr_assert_eq(live_bytes, 0);
}
