/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much may wait unsent (tcp_tune.c, setting tcp_notsent_lowat): a writer that keeps up has a
 * small queue, one that comes late to a dry one a larger.
 */
#include "seg.h"

#define LOWAT 131072u
#define MSS   1448u

static unsigned spaces;

static void on_space(struct sock *sk)
{
	(void)sk;
	spaces++;
}

static void opened(struct bench *b, struct conn *c)
{
	bench_begin(b, NULL, 4096);
	conn_opened(c, b, &seg_full);
	/* the window of its SYN is not scaled */
	peer(c, .flags = ACK, .seq = 1, .ack = 1);
	bench_drain(b);
	c->sk->sk_write_space = on_space;
	spaces = 0;
}

static uint32_t written(const struct conn *c)
{
	return conn_tp(c)->write_seq - conn_tp(c)->iss;
}

/* fill - our user writes until it is sent away; bytes. */
static uint32_t fill(struct conn *c)
{
	uint32_t from = written(c);

	while (conn_write(c, written(c), 10000) > 0)
		;
	return written(c) - from;
}

/* drain - the peer acknowledges all that there is, as it comes. */
static void drain(struct bench *b, struct conn *c)
{
	const struct tcp_sock *tp = conn_tp(c);

	while (tp->snd_una != tp->write_seq) {
		bench_turn(b, 1000);
		bench_drain(b);
		peer(c, .flags = ACK, .seq = 1, .ack = tp->snd_nxt - tp->iss);
	}
}

/* late - so many turns of ns each, then the user writes as much as it may; bytes. */
static uint32_t late(struct bench *b, struct conn *c, unsigned turns, uint64_t ns)
{
	while (turns--)
		bench_turn(b, ns);
	return fill(c);
}

Test(tcp_unsent, test_unsent_writer_is_stopped_and_told_when_half_has_left)
{
	struct bench b;
	struct conn c;
	uint32_t n;

	opened(&b, &c);
	n = fill(&c);
	cr_assert(n >= LOWAT && n < LOWAT + MSS, "%u", n);
	bench_turn(&b, 1000);
	cr_assert_eq(spaces, 0, "the congestion window took %u", tcp_flight(conn_tp(&c)));
	while (tcp_notsent(conn_tp(&c)) >= LOWAT / 2) {
		cr_assert_eq(spaces, 0);
		bench_drain(&b);
		peer(&c, .flags = ACK, .seq = 1, .ack = conn_tp(&c)->snd_nxt - conn_tp(&c)->iss);
	}
	cr_assert_eq(spaces, 1);
	cr_assert_gt(fill(&c), LOWAT / 2);
	drain(&b, &c);
	bench_end(&b);
}

Test(tcp_unsent, test_unsent_writer_that_keeps_up_gets_no_more)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	for (unsigned i = 0; i < 20; i++) {
		(void)fill(&c);
		drain(&b, &c);
		cr_assert_lt(late(&b, &c, 1, 1000), LOWAT + MSS);
	}
	cr_assert_eq(conn_tp(&c)->notsent_lowat, LOWAT);
	drain(&b, &c);
	bench_end(&b);
}

/* Most of what a lane misses while it has no cpu is no fault of its goroutines. */
Test(tcp_unsent, test_unsent_lane_that_lost_its_cpu_is_no_late_writer)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	conn_tp(&c)->snd_cwnd = 1 << 20;
	(void)fill(&c);
	bench_turn(&b, 1000);
	cr_assert_eq(spaces, 1, "all has left");
	cr_assert_lt(late(&b, &c, 1, 10 * NSEC_PER_MSEC), LOWAT + MSS);
	cr_assert_eq(conn_tp(&c)->notsent_lowat, LOWAT);
	drain(&b, &c);
	bench_end(&b);
}

/* Else a writer that reads its bytes from a disk leaves a window idle that the buffer would
 * fill. */
Test(tcp_unsent, test_unsent_late_writer_may_leave_twice_as_much_each_time)
{
	struct bench b;
	struct conn c;
	uint32_t n;

	opened(&b, &c);
	(void)fill(&c);
	for (uint32_t lowat = 2 * LOWAT; lowat <= 4 * LOWAT; lowat *= 2) {
		drain(&b, &c);
		conn_tp(&c)->sk.sk_sndbuf = 16 << 20;
		n = late(&b, &c, 8, 50 * NSEC_PER_USEC);
		cr_assert(n >= lowat && n < lowat + MSS, "%u for %u", n, lowat);
	}
	drain(&b, &c);
	bench_end(&b);
}

Test(tcp_unsent, test_unsent_user_s_sizes_stay)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	cr_assert_eq(sock_setopt_int(c.sk, SK_SOL_SOCKET, SK_SO_SNDBUF, 500000), 0);
	cr_assert_gt(fill(&c), 4 * LOWAT, "all of a buffer that the user chose");
	drain(&b, &c);
	cr_assert_eq(sock_setopt_int(c.sk, SK_SOL_TCP, SK_TCP_NOTSENT_LOWAT, 20000), 0);
	cr_assert_lt(fill(&c), 20000 + 10000);
	drain(&b, &c);
	cr_assert_lt(late(&b, &c, 8, 50 * NSEC_PER_USEC), 20000 + 10000, "late or not");
	drain(&b, &c);
	bench_end(&b);
}

/* Goroutines that work long make each turn long: a writer that runs in every one of them could send
 * 128 KiB a turn, 105 Mbit/s in those of 10 ms, with whatever room in the window. */
Test(tcp_unsent, test_unsent_long_turns_are_no_bound_for_the_rate)
{
	struct tcp_sock *tp;
	struct bench b;
	struct conn c;

	opened(&b, &c);
	tp = conn_tp(&c);
	spaces = 1;
	for (unsigned i = 0; i < 20; i++) {
		tp->snd_cwnd = 4 << 20;
		tp->snd_wnd = tp->max_window = 8 << 20;
		if (tp->snd_una != tp->snd_nxt)
			seg_inject(&c, &(struct seg){.flags = ACK,
						     .seq = 1,
						     .ack = tp->snd_nxt - tp->iss});
		b.now += 10 * NSEC_PER_MSEC;
		(void)stack_rx(b.st, b.now, 64);
		(void)stack_timers(b.st, b.now);
		if (spaces)
			(void)fill(&c);
		spaces = 0;
		while (stack_has_output(b.st))
			(void)stack_output(b.st, b.now);
		b.seen = b.f->nr_out;
	}
	cr_assert_geq(tp->notsent_lowat, 2 * LOWAT);
	sock_abort(c.sk);
	bench_end(&b);
}

/* It is the window of the path that holds up its bytes: more of them would only wait. */
Test(tcp_unsent, test_unsent_writer_before_a_full_congestion_window_is_not_late)
{
	struct bench b;
	struct conn c;

	opened(&b, &c);
	conn_tp(&c)->snd_cwnd = 1 << 20;
	(void)fill(&c);
	bench_turn(&b, 1000);
	cr_assert(spaces == 1 && !conn_tp(&c)->send_head, "all has left");
	conn_tp(&c)->snd_cwnd = tcp_flight(conn_tp(&c));
	cr_assert_lt(late(&b, &c, 8, 50 * NSEC_PER_USEC), LOWAT + MSS);
	cr_assert_eq(conn_tp(&c)->notsent_lowat, LOWAT);
	conn_tp(&c)->snd_cwnd = 1 << 20;
	drain(&b, &c);
	bench_end(&b);
}

/* As Linux: what the listener's user said holds for those it accepts. */
Test(tcp_unsent, test_unsent_child_has_the_sizes_of_its_listener)
{
	struct sock *lp;
	struct bench b;
	struct conn c;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	cr_assert_eq(sock_setopt_int(lp, SK_SOL_TCP, SK_TCP_NOTSENT_LOWAT, 20000), 0);
	conn_passive(&c, &b, lp, 4000, &seg_full);
	cr_assert_eq(conn_tp(&c)->notsent_lowat, 20000);
	sock_abort(c.sk);
	cr_assert_eq(sock_setopt_int(lp, SK_SOL_TCP, SK_TCP_NOTSENT_LOWAT, 0), 0);
	cr_assert_eq(sock_setopt_int(lp, SK_SOL_SOCKET, SK_SO_SNDBUF, 500000), 0);
	conn_passive(&c, &b, lp, 4001, &seg_full);
	cr_assert_eq(conn_tp(&c)->notsent_lowat, UINT32_MAX);
	sock_abort(c.sk);
	bench_end(&b);
}
