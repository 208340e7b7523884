/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CUBIC (RFC 9438) and HyStart++ (RFC 9406) as formulas: a socket on which no segment flows is
 * told what was acknowledged, and when; what its window does is compared with floating point.
 */
#include <math.h>

#include "seg.h"

#define MSS 1000u
#define RTT (100 * SEG_MS)

static const struct seg_peer sacks = {.mss = MSS, .wscale = 8, .win = 65535, .sack = true};

static struct tcp_sock *estab(struct bench *b, struct conn *c, unsigned cwnd)
{
	struct tcp_sock *tp;

	bench_begin(b, NULL, 1024);
	conn_passive(c, b, bench_listen(b, SEG_PORT, 8), 4000, &sacks);
	tp = conn_tp(c);
	cr_assert_eq(tp->ca, &tcp_cubic, "the default");
	tp->srtt_us8 = 0;
	tp->min_rtt_us = 0;
	tcp_rtt_sample(tp, RTT);
	tp->snd_cwnd = cwnd * MSS;
	return tp;
}

/* A loss: what RFC 9438 4.6 does. */
static void loss(struct tcp_sock *tp)
{
	tp->snd_ssthresh = tp->ca->ssthresh(tp);
	tp->snd_cwnd = tp->snd_ssthresh;
}

/* One round trip: each segment of the window acknowledged, evenly in time. */
static void round_trip(struct bench *b, struct tcp_sock *tp)
{
	uint32_t n = tp->snd_cwnd / MSS;

	for (uint32_t i = 0; i < n; i++) {
		b->st->now += RTT / n;
		tp->ca->cong_avoid(tp, MSS);
	}
}

Test(tcp_cubic, test_cubic_9438_4_6_beta_is_seven_tenths)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 10);

	loss(tp);
	cr_assert_eq(tp->snd_ssthresh, 7 * MSS);
	tp->snd_cwnd = MSS;
	cr_assert_eq(tp->ca->ssthresh(tp), 2 * MSS);
	bench_end(&b);
}

Test(tcp_cubic, test_cubic_9438_4_2_window_follows_the_cubic_function)
{
	const double c_cubic = 0.4, w_max = 1000, k = cbrt(w_max * 0.3 / c_cubic);
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 1000);
	uint64_t start;

	loss(tp);
	cr_assert_eq(tp->snd_cwnd, 700 * MSS);
	start = b.st->now;
	for (unsigned i = 0; i < 180; i++) {
		double t, want;

		round_trip(&b, tp);
		/* W(t + RTT) is the target, and is reached a round trip later */
		t = (double)(b.st->now - start) / NSEC_PER_SEC;
		want = w_max + c_cubic * pow(t - k, 3);
		cr_assert_float_eq((double)tp->snd_cwnd / MSS, want, 0.01 * want + 5,
				   "%.1f s: %.1f, not %.1f", t, (double)tp->snd_cwnd / MSS, want);
	}
	bench_end(&b);
}

Test(tcp_cubic, test_cubic_9438_4_3_small_windows_grow_as_reno_would)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 20);
	uint32_t before_loss = tp->snd_cwnd;
	double want;

	tp->min_rtt_us = 1000;
	loss(tp);
	want = (double)tp->snd_cwnd / MSS;
	/* alpha = 9 / 17 a round trip up to what cwnd was, then one */
	for (unsigned i = 0; i < 20; i++) {
		uint32_t n = tp->snd_cwnd / MSS;

		for (uint32_t k = 0; k < n; k++) {
			b.st->now += SEG_MS / n;
			tp->ca->cong_avoid(tp, MSS);
		}
		want += (want * MSS < before_loss ? 9.0 / 17 : 1) * n / want;
		cr_assert_float_eq((double)tp->snd_cwnd / MSS, want, 0.5, "%u: %f, not %f", i,
				   (double)tp->snd_cwnd / MSS, want);
	}
	bench_end(&b);
}

Test(tcp_cubic, test_cubic_9438_4_7_fast_convergence_lowers_the_plateau)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 1000);

	loss(tp);
	/* again before the old maximum is reached: the plateau is at 700 * (1 + beta) / 2 */
	loss(tp);
	cr_assert_eq(tp->snd_cwnd, 490 * MSS);
	for (unsigned i = 0; i < 80; i++)
		round_trip(&b, tp);
	cr_assert_float_eq((double)tp->snd_cwnd / MSS, 595, 10, "%u", tp->snd_cwnd);
	bench_end(&b);
}

Test(tcp_cubic, test_cubic_9438_5_8_idle_time_is_no_time_to_grow)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 1000);
	uint32_t cwnd;

	loss(tp);
	for (unsigned i = 0; i < 50; i++)
		round_trip(&b, tp);
	cwnd = tp->snd_cwnd;
	tp->lsnd_ns = b.st->now;
	b.st->now += 60 * NSEC_PER_SEC;
	tp->ca->cwnd_event(tp, TCP_CA_EVENT_TX_START);
	round_trip(&b, tp);
	cr_assert_leq(tp->snd_cwnd, cwnd + 20 * MSS, "%u -> %u", cwnd, tp->snd_cwnd);
	bench_end(&b);
}

/* 4.2: the target is at most half a window above this one, however long the last loss is ago. */
Test(tcp_cubic, test_cubic_9438_4_2_grows_by_half_a_window_in_a_round_trip_at_most)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 100);
	uint32_t cwnd;

	loss(tp);
	round_trip(&b, tp);
	b.st->now += 300 * NSEC_PER_SEC;
	cwnd = tp->snd_cwnd;
	/* a round trip's ACKs in no time, so that each of them sees the same window behind it */
	tp->ca->cong_avoid(tp, cwnd);
	cr_assert_eq(tp->snd_cwnd, cwnd + cwnd / 2, "%u -> %u", cwnd, tp->snd_cwnd);
	bench_end(&b);
}

/* 4.2: each reduction begins an epoch; time that passed before it is no part of that. */
Test(tcp_cubic, test_cubic_9438_4_2_a_loss_begins_a_new_epoch)
{
	const double k = cbrt(1000 * 0.3 / 0.4);
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 1000);
	double w, want;

	loss(tp);
	while (tp->snd_cwnd < 1000 * MSS)
		round_trip(&b, tp);
	w = (double)tp->snd_cwnd / MSS;
	loss(tp);
	for (unsigned i = 0; i < 30; i++)
		round_trip(&b, tp);
	want = w + 0.4 * pow(3 - k, 3);
	cr_assert_float_eq((double)tp->snd_cwnd / MSS, want, 0.01 * want + 5, "%u, not %f",
			   tp->snd_cwnd, want);
	bench_end(&b);
}

Test(tcp_cubic, test_cubic_extremes_neither_overflow_nor_shrink)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 1000000);

	tp->mss_cache = 48;
	loss(tp);
	for (unsigned i = 0; i < 10000; i++) {
		uint32_t cwnd = tp->snd_cwnd;

		b.st->now += (uint64_t)i * i * NSEC_PER_SEC;
		tp->ca->cong_avoid(tp, i % 7 ? 1 : 65535);
		cr_assert_geq(tp->snd_cwnd, cwnd);
		cr_assert_leq(tp->snd_cwnd, cwnd + 65535);
	}
	bench_end(&b);
}

/* A round of slow start in which every ACK measures rtt_ms. */
static void slow_round(struct tcp_sock *tp, uint32_t rtt_ms, unsigned acks)
{
	for (unsigned i = 0; i < acks; i++) {
		tp->ca->pkts_acked(tp, rtt_ms * 1000);
		tp->ca->cong_avoid(tp, MSS);
	}
	/* the next ACK is of what was sent in this round */
	tp->snd_nxt += 100 * MSS;
	tp->snd_una = tp->snd_nxt - 50 * MSS;
}

Test(tcp_cubic, test_hystart_9406_longer_round_trips_end_slow_start)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 20);
	uint32_t cwnd, una = tp->snd_una, nxt = tp->snd_nxt;

	slow_round(tp, 100, 10);
	slow_round(tp, 100, 10);
	/* an eighth more in all of 8 samples: conservative slow start, a quarter as fast */
	slow_round(tp, 120, 10);
	cwnd = tp->snd_cwnd;
	slow_round(tp, 120, 40);
	cr_assert_float_eq(tp->snd_cwnd - cwnd, 10 * MSS, MSS);
	cr_assert_eq(tp->snd_ssthresh, TCP_SSTHRESH_INF);
	for (unsigned i = 0; i < 5; i++)
		slow_round(tp, 120, 10);
	cr_assert_leq(tp->snd_ssthresh, tp->snd_cwnd, "five rounds of it");
	tp->snd_una = una;
	tp->snd_nxt = nxt;
	bench_end(&b);
}

Test(tcp_cubic, test_hystart_9406_shorter_round_trips_resume_it)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 20);
	uint32_t cwnd, una = tp->snd_una, nxt = tp->snd_nxt;

	slow_round(tp, 100, 10);
	slow_round(tp, 100, 10);
	slow_round(tp, 120, 10);
	slow_round(tp, 100, 10);
	cwnd = tp->snd_cwnd;
	slow_round(tp, 100, 10);
	cr_assert_eq(tp->snd_cwnd - cwnd, 10 * MSS);
	tp->snd_una = una;
	tp->snd_nxt = nxt;
	bench_end(&b);
}

/* To conservative slow start, and a loss there that fast recovery mends. */
static void css_and_recovery(struct tcp_sock *tp)
{
	slow_round(tp, 100, 10);
	slow_round(tp, 100, 10);
	slow_round(tp, 120, 10);
	tcp_cwnd_reduction_begin(tp);
	tcp_set_ca_state(tp, TCP_CA_RECOVERY);
}

/* RFC 9406 4.3: a later slow start, after an idle time (RFC 5681 4.1), is a usual one. */
Test(tcp_cubic, test_hystart_9406_4_3_any_congestion_ends_css)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 100);
	uint32_t una = tp->snd_una, nxt = tp->snd_nxt;

	css_and_recovery(tp);
	tp->snd_cwnd = tp->snd_ssthresh;
	tcp_set_ca_state(tp, TCP_CA_OPEN);
	tp->snd_cwnd = 10 * MSS;
	slow_round(tp, 100, 8);
	cr_assert_eq(tp->snd_cwnd, 18 * MSS, "%u", tp->snd_cwnd);
	tp->snd_una = una;
	tp->snd_nxt = nxt;
	bench_end(&b);
}

/* RFC 4015 3.2: after a recovery that was a mistake it is what it was before. */
Test(tcp_cubic, test_hystart_9406_css_goes_on_after_an_undo)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 100);
	uint32_t una = tp->snd_una, nxt = tp->snd_nxt, cwnd;

	css_and_recovery(tp);
	cwnd = tp->prior_cwnd;
	tp->snd_cwnd = tp->snd_ssthresh;
	tp->snd_cwnd = tp->ca->undo_cwnd(tp);
	tp->snd_ssthresh = TCP_SSTHRESH_INF;
	tcp_set_ca_state(tp, TCP_CA_OPEN);
	cr_assert_eq(tp->snd_cwnd, cwnd);
	slow_round(tp, 120, 8);
	cr_assert_eq(tp->snd_cwnd, cwnd + 2 * MSS, "%u -> %u", cwnd, tp->snd_cwnd);
	tp->snd_una = una;
	tp->snd_nxt = nxt;
	bench_end(&b);
}

/* The next window's first ACK, then n more, each `gap` behind the one before. */
static void train(struct bench *b, struct tcp_sock *tp, unsigned n, uint64_t gap)
{
	slow_round(tp, 100, 0);
	for (unsigned i = 0; i <= n; i++) {
		tp->ca->cong_avoid(tp, MSS);
		b->st->now += gap;
	}
	tp->snd_una = tp->snd_nxt;
}

/* Not RFC 9406: what Linux kept of HyStart, since nothing is paced. */
Test(tcp_cubic, test_hystart_train_of_half_a_round_trip_ends_slow_start)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 20);
	uint32_t una = tp->snd_una, nxt = tp->snd_nxt;

	tp->cwnd_limited = true;
	/* of 100 ms, and half of what ACKs may be late by */
	train(&b, tp, 50, SEG_MS);
	cr_assert_eq(tp->snd_ssthresh, TCP_SSTHRESH_INF);
	train(&b, tp, 51, SEG_MS);
	cr_assert_eq(tp->snd_ssthresh, (20 + 51 + 51) * MSS, "%u", tp->snd_ssthresh);
	tp->snd_una = una;
	tp->snd_nxt = nxt;
	bench_end(&b);
}

Test(tcp_cubic, test_hystart_train_with_a_pause_is_none)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 20);
	uint32_t una = tp->snd_una, nxt = tp->snd_nxt;

	tp->cwnd_limited = true;
	train(&b, tp, 30, 3 * SEG_MS);
	cr_assert_eq(tp->snd_ssthresh, TCP_SSTHRESH_INF);
	tp->snd_una = una;
	tp->snd_nxt = nxt;
	bench_end(&b);
}

Test(tcp_cubic, test_hystart_train_of_a_user_who_writes_evenly_is_none)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 20);
	uint32_t una = tp->snd_una, nxt = tp->snd_nxt;

	train(&b, tp, 90, SEG_MS);
	cr_assert_eq(tp->snd_ssthresh, TCP_SSTHRESH_INF);
	tp->cwnd_limited = true;
	tp->snd_cwnd = 2 * MSS;
	train(&b, tp, 13, 2 * SEG_MS);
	cr_assert_eq(tp->snd_ssthresh, TCP_SSTHRESH_INF, "below 16 segments");
	tp->snd_una = una;
	tp->snd_nxt = nxt;
	bench_end(&b);
}

/* ---- with segments: who asks, and when ---- */

/* A round trip in which n bytes from `off` leave, and one ACK comes for all of them. */
static void sent_and_acked(struct bench *b, struct conn *c, uint32_t off, uint32_t n)
{
	cr_assert_eq(conn_write(c, off, n), n);
	bench_turn(b, RTT);
	bench_drain(b);
	peer(c, .flags = ACK, .seq = 1, .ack = off + n);
	cr_assert_eq(conn_tp(c)->snd_una, conn_tp(c)->snd_nxt);
}

static unsigned nr_rtts;

static void count_rtt(struct tcp_sock *tp, uint32_t rtt_us)
{
	(void)tp;
	(void)rtt_us;
	nr_rtts++;
}

/* What does not fill the path builds no queue: its round trips say nothing of one. */
Test(tcp_cubic, test_hystart_asks_for_round_trips_only_while_cwnd_is_the_limit)
{
	static struct tcp_congestion_ops spy;
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 10);

	spy = tcp_cubic;
	spy.pkts_acked = count_rtt;
	tp->ca = &spy;
	for (uint32_t i = 0; i < 5; i++)
		sent_and_acked(&b, &c, 1 + 100 * i, 100);
	cr_assert_eq(nr_rtts, 0);
	sent_and_acked(&b, &c, 501, 10 * MSS);
	cr_assert_eq(nr_rtts, 1);
	tp->ca = &tcp_cubic;
	bench_end(&b);
}

/* The output step tells CUBIC of the idle time that the formulas' test above tells it by hand. */
Test(tcp_cubic, test_cubic_9438_5_8_is_told_when_idle_time_ends)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp = estab(&b, &c, 20);
	uint32_t cwnd;

	b.st->cfg.slow_start_after_idle = false;
	tp->snd_ssthresh = tp->snd_cwnd;
	sent_and_acked(&b, &c, 1, 20 * MSS);
	cwnd = tp->snd_cwnd;
	bench_turn(&b, 60 * NSEC_PER_SEC);
	sent_and_acked(&b, &c, 1 + 20 * MSS, cwnd);
	cr_assert_gt(tp->snd_cwnd, cwnd);
	cr_assert_leq(tp->snd_cwnd, cwnd + 2 * MSS, "%u -> %u", cwnd, tp->snd_cwnd);
	bench_end(&b);
}
