/* SPDX-License-Identifier: BSD-3-Clause */
/* A listener's two queues: their lengths, how long a half-open connection stays, what it answers
 * meanwhile, TCP_DEFER_ACCEPT. Cookies are test_tcp_cookie's. */
#include "seg_half.h"

static struct bench b;
static struct conn c;
static struct sock *lp;
static struct seg seg;

static void begin(const struct stack_config *cfg, unsigned backlog)
{
	bench_begin(&b, cfg, 1024);
	lp = bench_listen(&b, SEG_PORT, backlog);
}

static unsigned count(uint8_t flags)
{
	unsigned n = 0;

	while (bench_next(&b, NULL, &seg))
		n += seg.flags == flags;
	return n;
}

static void set(int name, int value)
{
	cr_assert_eq(sock_setopt(lp, SK_SOL_TCP, name, &value, sizeof(value)), 0);
}

/* ---- lengths ---- */

Test(tcp_listen, test_listen_queues_hold_backlog_and_one_as_linux)
{
	struct stack_config cfg;
	struct conn d[4];

	stack_config_init(&cfg);
	cfg.syncookies = 0;
	for (unsigned backlog = 0; backlog < 3; backlog++) {
		begin(&cfg, backlog);
		for (uint16_t i = 0; i <= backlog; i++)
			half_open(&d[i], &b, 4000 + i, &seg_plain, &seg);
		conn_init(&c, &b, SEG_PORT, 4100, &seg_plain);
		conn_syn(&c, &seg_plain);
		expect_none(&b);
		cr_assert_eq(tcp_sk(lp)->nr_reqs, backlog + 1);
		cr_assert_eq(stack_stats(b.st)->reqs_in_use, backlog + 1);
		for (uint16_t i = 0; i <= backlog; i++)
			peer(&d[i], .flags = ACK, .seq = 1, .ack = 1);
		cr_assert_eq(tcp_sk(lp)->ack_backlog, backlog + 1);
		cr_assert_eq(stack_stats(b.st)->reqs_in_use, 0);
		conn_syn(&c, &seg_plain);
		expect_none(&b);
		cr_assert_eq(stack_stats(b.st)->tcp_accept_overflow, 1);
		bench_end(&b);
	}
}

Test(tcp_listen, test_listen_backlog_is_clamped_to_somaxconn)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	cfg.somaxconn = 7;
	begin(&cfg, 1000000);
	cr_assert_eq(tcp_sk(lp)->backlog, 7);
	bench_end(&b);
}

Test(tcp_listen, test_listen_abort_on_overflow_resets)
{
	struct stack_config cfg;
	struct conn d;

	stack_config_init(&cfg);
	cfg.abort_on_overflow = 1;
	begin(&cfg, 0);
	half_open(&c, &b, 4000, &seg_plain, &seg);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	half_open(&c, &b, 4001, &seg_plain, &seg);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 1);
	/* the second SYN comes while the first handshake still runs */
	tcp_sk(lp)->backlog = 1;
	half_open(&d, &b, 4002, &seg_plain, &seg);
	tcp_sk(lp)->backlog = 0;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	peer(&d, .flags = ACK, .seq = 1, .ack = 1);
	expect(&d, RST, 1, 0, 0);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 0);
	bench_end(&b);
}

/* ---- time ---- */

Test(tcp_listen, test_listen_synack_is_sent_again_with_backoff_then_forgotten)
{
	static const unsigned at_s[] = {1, 3, 7, 15, 31};

	begin(NULL, 8);
	half_open(&c, &b, 4000, &seg_full, &seg);
	for (unsigned i = 0, t = 0; i < ARRAY_SIZE(at_s); t = at_s[i++]) {
		bench_run(&b, (at_s[i] - t) * NSEC_PER_SEC - 10 * SEG_MS);
		expect_none(&b);
		bench_run(&b, 11 * SEG_MS);
		expect(&c, SYN | ACK, 0, 1, 0);
	}
	bench_run(&b, 40 * NSEC_PER_SEC);
	expect_none(&b);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 0);
	cr_assert_eq(tcp_sk(lp)->nr_young, 0);
	bench_end(&b);
}

/* TCP_SYNCNT of the listener is its own number of SYN-ACKs. */
Test(tcp_listen, test_listen_syncnt_limits_synacks)
{
	begin(NULL, 8);
	set(SK_TCP_SYNCNT, 2);
	half_open(&c, &b, 4000, &seg_full, &seg);
	bench_run(&b, 100 * NSEC_PER_SEC);
	cr_assert_eq(count(SYN | ACK), 2);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 0);
	bench_end(&b);
}

/* A queue of requests that do not answer gives them up sooner, as in Linux. */
Test(tcp_listen, test_listen_old_requests_leave_sooner_when_half_full)
{
	begin(NULL, 9);
	for (uint16_t i = 0; i < 10; i++)
		half_open(&c, &b, 4000 + i, &seg_full, &seg);
	bench_run(&b, 8 * NSEC_PER_SEC);
	cr_assert_lt(tcp_sk(lp)->nr_reqs, 10, "5 retries would keep all for 63 s");
	cr_assert_geq(tcp_sk(lp)->nr_reqs, 4, "half of the queue may stay");
	bench_end(&b);
}

/* Linux reqsk_timer_handler: one try less for each time that the young ones, doubled, are no more
 * than all: 4 of 16 leave three. */
Test(tcp_listen, test_listen_tries_fall_with_the_share_of_young_requests)
{
	begin(NULL, 15);
	for (uint16_t i = 0; i < 12; i++)
		half_open(&c, &b, 4000 + i, &seg_full, &seg);
	bench_run(&b, 6500 * SEG_MS);
	for (uint16_t i = 12; i < 16; i++)
		half_open(&c, &b, 4000 + i, &seg_full, &seg);
	/* the third timeout of the old ones is at 7 s, the fourth at 15 s */
	bench_run(&b, 800 * SEG_MS);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 16);
	cr_assert_eq(tcp_sk(lp)->nr_young, 4);
	bench_run(&b, 8 * NSEC_PER_SEC);
	cr_assert_leq(tcp_sk(lp)->nr_reqs, 8);
	bench_end(&b);
}

/* ---- answers in SYN-RECEIVED ---- */

/* RFC 7323 5.3 R1: an ACK from before the SYN completes nothing. */
Test(tcp_listen, test_listen_7323_older_timestamp_completes_nothing)
{
	begin(NULL, 8);
	half_open(&c, &b, 4000, &seg_full, &seg);
	c.tsval -= 10;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_PAWS), 1);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 1);
	expect(&c, ACK, 1, 1, 0);
	c.tsval += 10;
	half_done(&c, lp);
	bench_end(&b);
}

/* RFC 5961 4.2: a SYN is challenged in SYN-RECEIVED, too, and ends nothing. */
Test(tcp_listen, test_tcp_B03_syn_in_syn_received_is_challenged)
{
	begin(NULL, 8);
	half_open(&c, &b, 4000, &seg_full, &seg);
	for (int i = 0; i < 50; i++)
		peer(&c, .flags = SYN, .seq = 1 + (uint32_t)i * 100);
	expect(&c, ACK, 1, 1, 0);
	expect_none(&b);
	bench_run(&b, 510 * SEG_MS);
	peer(&c, .flags = SYN | ACK, .seq = 1, .ack = 1);
	expect(&c, ACK, 1, 1, 0);
	half_done(&c, lp);
	bench_end(&b);
}

/* It left with a time to live of zero, which no router hands on (RFC 791 3.2). Found by fuzzing. */
Test(tcp_listen, test_listen_challenge_ack_of_half_open_travels_as_its_listener_says)
{
	begin(NULL, 8);
	cr_assert_eq(sock_setopt_int(lp, SK_SOL_IP, SK_IP_TTL, 33), 0);
	cr_assert_eq(sock_setopt_int(lp, SK_SOL_IP, SK_IP_TOS, 0x48), 0);
	half_open(&c, &b, 4000, &seg_full, &seg);
	cr_assert_eq(seg.ttl, 33);
	peer(&c, .flags = SYN, .seq = 1);
	expect_get(&c, ACK, 1, 1, 0, &seg);
	cr_assert_eq(seg.ttl, 33);
	cr_assert_eq(seg.tos, 0x48);
	half_done(&c, lp);
	bench_end(&b);
}

/* The request took bytes that begin at the window's end, and the child that it became did not: it
 * stayed in SYN-RECEIVED, without a timer and in no queue, for ever. Found by fuzzing. */
Test(tcp_listen, test_listen_bytes_at_the_windows_end_make_no_child)
{
	uint32_t wnd;

	begin(NULL, 8);
	half_open(&c, &b, 4000, &seg_full, &seg);
	wnd = container_of(tcp_lookup(b.st->tcp, SEG_OUR, SEG_PEER, SEG_PORT, 4000), struct tcp_req,
			   node)
		      ->rcv_wnd;
	peer(&c, .flags = FIN | ACK, .seq = 1 + wnd, .ack = 1, .len = 32);
	expect(&c, ACK, 1, 1, 0);
	cr_assert_eq(b.st->tcp->socks.nr, 1, "the listener");
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 1);
	half_done(&c, lp);
	bench_end(&b);
}

/* The request's window is made one that its child reckons to be none, so that it refuses what the
 * request took: whatever else may ever do that, nobody would find the child. */
Test(tcp_listen, test_listen_child_that_refuses_its_first_segment_ends)
{
	begin(NULL, 8);
	half_open(&c, &b, 4000, &seg_full, &seg);
	list_first_entry(&tcp_sk(lp)->reqs, struct tcp_req, link)->rcv_wnd = 1u << 31;
	peer(&c, .flags = ACK, .seq = 2, .ack = 1, .len = 10);
	bench_drain(&b);
	cr_assert_eq(b.st->tcp->socks.nr, 1, "the listener");
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	expect(&c, RST, 1, 0, 0);
	bench_end(&b);
}

/* Table 6 of RFC 9293 3.10.7.4 asks for one byte in the window, in SYN-RECEIVED as later. */
Test(tcp_listen, test_listen_bytes_before_the_window_are_cut_from_the_first_segment)
{
	begin(NULL, 8);
	half_open(&c, &b, 4000, &seg_full, &seg);
	peer(&c, .flags = ACK, .seq = -9u, .ack = 1, .len = 9);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 1, "all of it is old");
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = -9u, .ack = 1, .len = 20);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	cr_assert_eq(conn_read(&c, 1), 10);
	bench_end(&b);
}

/* RFC 5961 3.2 for a half-open connection. */
Test(tcp_listen, test_tcp_B01_rst_in_window_of_half_open_is_challenged)
{
	begin(NULL, 8);
	half_open(&c, &b, 4000, &seg_full, &seg);
	for (int i = 0; i < 50; i++)
		peer(&c, .flags = RST, .seq = 2 + (uint32_t)i);
	expect(&c, ACK, 1, 1, 0);
	peer(&c, .flags = RST, .seq = 0);
	peer(&c, .flags = RST, .seq = 100000000);
	expect_none(&b);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 1);
	peer(&c, .flags = RST, .seq = 1);
	cr_assert_eq(tcp_sk(lp)->nr_reqs, 0);
	expect_none(&b);
	bench_end(&b);
}

Test(tcp_listen, test_listen_syn_again_is_answered_at_most_twice_a_second)
{
	begin(NULL, 8);
	half_open(&c, &b, 4000, &seg_full, &seg);
	for (int i = 0; i < 100; i++)
		conn_syn(&c, &seg_full);
	cr_assert_eq(count(SYN | ACK), 1);
	bench_run(&b, 510 * SEG_MS);
	conn_syn(&c, &seg_full);
	expect(&c, SYN | ACK, 0, 1, 0);
	half_done(&c, lp);
	bench_end(&b);
}

/* ---- TCP_DEFER_ACCEPT ---- */

Test(tcp_listen, test_listen_defer_accept_waits_for_data)
{
	begin(NULL, 8);
	set(SK_TCP_DEFER_ACCEPT, 5);
	half_open(&c, &b, 4000, &seg_full, &seg);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	bench_run(&b, 2 * NSEC_PER_SEC);
	expect_none(&b);
	cr_assert_eq(sock_accept(lp, &c.sk), -EAGAIN);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 20);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	cr_assert_eq(conn_read(&c, 1), 20);
	bench_end(&b);
}

/* After the time the SYN-ACK asks once more, and a bare ACK is enough. */
Test(tcp_listen, test_listen_defer_accept_ends_with_a_synack_and_accepts)
{
	begin(NULL, 8);
	set(SK_TCP_DEFER_ACCEPT, 5); /* rounded up: 1 + 2 + 4 s */
	half_open(&c, &b, 4000, &seg_full, &seg);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	bench_run(&b, 6900 * SEG_MS);
	expect_none(&b);
	bench_run(&b, 200 * SEG_MS);
	expect(&c, SYN | ACK, 0, 1, 0);
	half_done(&c, lp);
	bench_end(&b);
}
