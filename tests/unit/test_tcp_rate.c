/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The delivery rate in TCP_INFO (draft-cheng-iccrg-delivery-rate-estimation; sections by its
 * numbers), and what TCP_INFO says of ECN.
 */
#include "seg_calls.h"
#include "tcp_pair.h"

#define MSS 1448u
#define RTT (20 * SEG_MS)

static struct bench b;
static struct conn c;

static struct sk_tcp_info info_of(struct sock *sk)
{
	struct sk_tcp_info i;
	uint32_t len = sizeof(i);

	cr_assert_eq(sock_getopt(sk, SK_SOL_TCP, SK_TCP_INFO, &i, &len), 0);
	return i;
}

static uint32_t at(unsigned n)
{
	return 1 + n * MSS;
}

static void send_full(unsigned from, unsigned n)
{
	cr_assert_eq(conn_write(&c, at(from), n * MSS), n * MSS);
	bench_turn(&b, 0);
	bench_drain(&b);
}

static void acked(unsigned n)
{
	c.tsval++;
	peer(&c, .flags = ACK, .seq = 1, .ack = at(n), .no_ts = true);
	bench_drain(&b);
}

static void begin(void)
{
	/* no timestamps: the round trip is what the test says it is */
	static const struct seg_peer p = {.mss = MSS, .wscale = 7, .win = 65535, .sack = true};
	struct stack_config cfg;

	stack_config_init(&cfg);
	cfg.timestamps = 0;
	bench_begin(&b, &cfg, 2048);
	conn_opened(&c, &b, &p);
	bench_drain(&b);
	cr_assert_eq(conn_tp(&c)->mss_cache, MSS);
	/* no probes within a round trip */
	conn_tp(&c)->srtt_us8 = conn_tp(&c)->min_rtt_us = 0;
	tcp_rtt_sample(conn_tp(&c), RTT);
}

static void is_rate(uint64_t bytes, uint64_t ns, bool app_limited)
{
	struct sk_tcp_info i = info_of(c.sk);

	cr_assert_eq(i.tcpi_delivery_rate, bytes * NSEC_PER_SEC / ns);
	cr_assert_eq(i.tcpi_delivery_rate_app_limited, app_limited);
}

Test(tcp_rate, test_rate_is_none_before_the_first_sample)
{
	struct sk_tcp_info i;

	begin();
	i = info_of(c.sk);
	cr_assert_eq(i.tcpi_delivery_rate, 0);
	cr_assert(i.tcpi_delivery_rate_app_limited, "as Linux: nothing was sent");
	bench_end(&b);
}

/* 3.3: ten segments in a round trip, and so the rate of a window in a round trip. */
Test(tcp_rate, test_rate_of_a_window_in_a_round_trip)
{
	begin();
	send_full(0, 10);
	bench_run(&b, RTT - 1000);
	acked(10);
	is_rate(10 * MSS, RTT, true);
	bench_end(&b);
}

/* 3.4: the user had run out before; then it had not, and such a sample counts whatever it says. */
Test(tcp_rate, test_rate_3_4_app_limited_samples_count_only_upwards)
{
	begin();
	/* more than cwnd at once: only the first turn of it was limited by the user */
	send_full(0, 40);
	bench_run(&b, RTT - 1000);
	acked(10);
	bench_run(&b, RTT - 1000);
	acked(30);
	is_rate(20 * MSS, RTT, false);
	bench_run(&b, RTT - 1000);
	acked(40);
	is_rate(10 * MSS, RTT, false);
	/* one segment a round trip is the user's choice */
	send_full(40, 1);
	bench_run(&b, RTT - 1000);
	acked(41);
	is_rate(10 * MSS, RTT, false);
	/* twenty are more than the path was known to take */
	send_full(41, 20);
	bench_run(&b, RTT - 1000);
	acked(61);
	is_rate(20 * MSS, RTT, true);
	bench_end(&b);
}

/* 3.3: what ACKs compressed on their way is not believed: the time is that of sending, if
 * longer. */
Test(tcp_rate, test_rate_3_3_compressed_acks_do_not_inflate)
{
	begin();
	conn_tp(&c)->snd_cwnd = 100 * MSS;
	for (unsigned i = 0; i < 10; i++) {
		send_full(i, 1);
		bench_run(&b, 2 * SEG_MS);
	}
	bench_run(&b, RTT - 20 * SEG_MS);
	/* the first four in time, the others all at once */
	for (unsigned i = 1; i <= 4; i++) {
		acked(i);
		bench_run(&b, 2 * SEG_MS - 1000);
	}
	bench_run(&b, 12 * SEG_MS);
	acked(10);
	cr_assert_leq(info_of(c.sk).tcpi_delivery_rate, MSS * 1000 / 2 + 100);
	bench_end(&b);
}

/* 3.3: an answer sooner than the path ever was is to a segment's first copy: no sample. */
Test(tcp_rate, test_rate_3_3_no_sample_shorter_than_the_least_rtt)
{
	begin();
	send_full(0, 4);
	bench_run(&b, RTT - 1000);
	acked(4);
	is_rate(4 * MSS, RTT, true);
	send_full(4, 4);
	bench_run(&b, 2 * RTT + 3 * SEG_MS);
	bench_drain(&b);
	/* the probe has just left; this is of what left before */
	acked(8);
	cr_assert_leq(info_of(c.sk).tcpi_delivery_rate, 4 * MSS * NSEC_PER_SEC / RTT);
	bench_end(&b);
}

Test(tcp_rate, test_rate_sacked_segments_are_delivered_once)
{
	begin();
	send_full(0, 10);
	bench_run(&b, RTT - 1000);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(0), .nr_sacks = 1, .sack = {at(1), at(10)});
	is_rate(9 * MSS, RTT, true);
	cr_assert_eq(conn_tp(&c)->rate.delivered, 9 * MSS);
	bench_drain(&b);
	bench_run(&b, RTT - 1000);
	acked(10);
	cr_assert_eq(conn_tp(&c)->rate.delivered, 10 * MSS);
	bench_end(&b);
}

/* ---- over a path ---- */

static struct sock *from, *to;

static bool all_there(void *arg)
{
	static uint8_t buf[65536];
	size_t *left = arg;
	ssize_t n;

	if (*left && (n = sock_send(from, buf, min_t(size_t, *left, sizeof(buf)))) > 0)
		*left -= (size_t)n;
	while ((n = sock_recv(to, buf, sizeof(buf))) > 0)
		;
	return !*left && !sock_outq(from, false);
}

/* 2 ms each way and the window a user chose: the rate is that of a window in a round trip. */
Test(tcp_rate, test_rate_over_a_path_is_window_by_round_trip)
{
	size_t left = 4u << 20;
	struct sk_tcp_info i;
	int buf = 64 * 1024;
	struct sock *lp;
	struct pair p;

	pair_init(&p, NULL, 8192, 0, 1500);
	pair_connect(&p, 80, &from, &to, &lp);
	p.delay = 2 * SEG_MS;
	cr_assert_eq(sock_setopt(from, SK_SOL_SOCKET, SK_SO_SNDBUF, &buf, sizeof(buf)), 0);
	cr_assert(pair_run(&p, 20 * NSEC_PER_SEC, all_there, &left));
	i = info_of(from);
	cr_assert_gt(i.tcpi_delivery_rate, 5000000);
	cr_assert_leq(i.tcpi_delivery_rate, 2 * 64 * 1024 * 250);
	cr_assert_eq(pair_fini(&p), 0);
}

/* ---- ECN ---- */

Test(tcp_rate, test_info_tells_of_ecn)
{
	static const uint8_t opt[] = {2, 4, 5, 0xb4, 1, 1, 4, 2};
	struct sk_tcp_info i;
	struct sock *lp;
	struct seg s;

	bench_begin(&b, NULL, 1024);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	peer(&c, .flags = SYN | ECE | CWR, .opt = opt, .optlen = sizeof(opt));
	while (bench_next(&b, NULL, &s))
		c.irs = s.flags & SYN ? s.seq : c.irs;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(sock_accept(lp, &c.sk), 0);
	i = info_of(c.sk);
	cr_assert_eq(i.tcpi_options, SK_TCPI_OPT_SACK | SK_TCPI_OPT_ECN);
	/* by the slow path and by the fast one */
	for (unsigned k = 0; k < 2; k++) {
		peer(&c, .flags = ACK, .seq = 1 + 10 * k, .ack = 1, .len = 10,
		     .tos = k ? IP_ECN_ECT0 : 0);
		i = info_of(c.sk);
		cr_assert_eq(!!(i.tcpi_options & SK_TCPI_OPT_ECN_SEEN), k);
	}
	bench_drain(&b);
	cr_assert_eq(conn_write(&c, 1, 2920), 2920);
	bench_turn(&b, 1000);
	peer(&c, .flags = ACK | ECE, .seq = 21, .ack = 2921);
	i = info_of(c.sk);
	cr_assert_eq(i.tcpi_delivered, 3, "the SYN-ACK and two");
	cr_assert_eq(i.tcpi_delivered_ce, 2);
	bench_end(&b);
}
