/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers that find their size (tcp_tune.c), in virtual time: a path of 1 Gbit/s and 20 ms is
 * filled by one flow with default settings, with and without timestamps; what is not needed is not
 * taken; the user's own sizes stay; the window never shrinks (RFC 9293 3.8.6).
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "stack/tcp_int.h"
#include "tcp_pair.h"

#define MBIT 125000.0 /* bytes a second */

static uint64_t next_free[2], ns_per_byte;

/* A link that sends one frame after the other, and any number wait. */
static unsigned rate(struct pair *p, unsigned from, uint8_t *frame, unsigned len, uint64_t *extra)
{
	uint64_t at = next_free[from] > p->now ? next_free[from] : p->now;

	(void)frame;
	next_free[from] = at + len * ns_per_byte;
	*extra = next_free[from] - p->now;
	return 1;
}

struct run {
	struct pair p;
	struct sock *a, *b, *lp;
	uint64_t got;
	uint64_t read_rate;  /* bytes a second of the reader; 0 all there is */
	uint64_t may, began; /* bytes that it may read by now; since when more are added */
	uint32_t right;      /* edge of the window that B offered; it may not move left */
};

static void begin(struct run *r, const struct stack_config *cfg)
{
	memset(r, 0, sizeof(*r));
	memset(next_free, 0, sizeof(next_free));
	ns_per_byte = 8;
	pair_init(&r->p, cfg, 32768, NETDEV_F_TX_SG, 1500);
	r->p.delay = 10 * NSEC_PER_MSEC;
	r->p.hook = rate;
	pair_connect(&r->p, 7, &r->a, &r->b, &r->lp);
	r->right = tcp_sk(r->b)->rcv_wup + tcp_sk(r->b)->rcv_wnd;
	r->began = r->p.now;
}

static void end(struct run *r)
{
	sock_abort(r->a);
	sock_abort(r->b);
	sock_close(r->lp);
	cr_assert_eq(pair_fini(&r->p), 0);
}

static void reader(struct run *r)
{
	static uint8_t buf[65536];

	/* what it could have read before and did not is lost to it */
	r->may += (r->p.now - r->began) * r->read_rate / NSEC_PER_SEC;
	r->may = min_t(uint64_t, r->may, sizeof(buf));
	r->began = r->p.now;
	while (!r->read_rate || r->may) {
		ssize_t n = sock_recv(r->b, buf, r->read_rate ? r->may : sizeof(buf));

		if (n == -EAGAIN)
			return;
		cr_assert_gt(n, 0);
		r->got += (uint64_t)n;
		r->may -= min_t(uint64_t, r->may, (uint64_t)n);
	}
}

static void step(struct run *r)
{
	const struct tcp_sock *tp = tcp_sk(r->b);
	static uint8_t buf[65536];
	uint32_t right;
	ssize_t n;

	while ((n = sock_send(r->a, buf, sizeof(buf))) > 0)
		;
	cr_assert_eq(n, -EAGAIN);
	reader(r);
	pair_turn(&r->p, NSEC_PER_MSEC);
	right = tp->rcv_wup + tp->rcv_wnd;
	cr_assert(!before(right, r->right), "the window shrank");
	r->right = right;
}

/* Bytes that were read in `ns`. */
static uint64_t flow(struct run *r, uint64_t ns)
{
	uint64_t until = r->p.now + ns, before_it = r->got;

	while (r->p.now < until)
		step(r);
	return r->got - before_it;
}

static void fills(const struct stack_config *cfg, uint64_t rtt)
{
	struct run r;
	double mbit;

	begin(&r, cfg);
	r.p.delay = rtt / 2;
	(void)flow(&r, 2 * NSEC_PER_SEC);
	mbit = (double)flow(&r, NSEC_PER_SEC) / MBIT;
	cr_log_info("%.0f Mbit/s, rcvbuf %u, sndbuf %u, rcv_rtt %u us", mbit, r.b->sk_rcvbuf,
		    r.a->sk_sndbuf, tcp_sk(r.b)->rcv_rtt.us8 >> 3);
	/* of 1,000: headers take 5 % */
	cr_assert_gt(mbit, 940, "%.0f", mbit);
	end(&r);
}

Test(tcp_tune, test_tune_one_flow_fills_1_gbit_and_20_ms, .timeout = 60)
{
	fills(NULL, 20 * NSEC_PER_MSEC);
}

/* What 20 ms are in real time: a queue, and an end that wakes up late. With 4 MiB of truesize to
 * send from, the flow had 640 Mbit/s over parklane wire, Linux 900. */
Test(tcp_tune, test_tune_send_buffer_fills_1_gbit_and_24_ms, .timeout = 60)
{
	fills(NULL, 24 * NSEC_PER_MSEC);
}

Test(tcp_tune, test_tune_without_timestamps_fills_it_as_well, .timeout = 60)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	cfg.timestamps = 0;
	fills(&cfg, 20 * NSEC_PER_MSEC);
}

Test(tcp_tune, test_tune_receiver_measures_the_round_trip)
{
	struct run r;
	uint32_t us;

	begin(&r, NULL);
	ns_per_byte = 0;
	(void)flow(&r, 500 * NSEC_PER_MSEC);
	us = tcp_sk(r.b)->rcv_rtt.us8 >> 3;
	cr_assert(us > 19000 && us < 23000, "%u", us);
	end(&r);
}

/* A reader of 5 MB/s needs 100 KB a round trip: its buffer stays far below the limit. */
Test(tcp_tune, test_tune_slow_reader_does_not_get_the_limit, .timeout = 60)
{
	struct run r;

	begin(&r, NULL);
	r.read_rate = 5000000;
	(void)flow(&r, NSEC_PER_SEC);
	cr_assert_gt(flow(&r, 4 * NSEC_PER_SEC), 4 * 4500000u);
	cr_assert_lt(r.b->sk_rcvbuf, 2000000, "%u", r.b->sk_rcvbuf);
	cr_assert_lt(r.b->sk_rmem_alloc, r.b->sk_rcvbuf + r.b->sk_rcvbuf / 4);
	end(&r);
}

Test(tcp_tune, test_tune_user_s_sizes_stay)
{
	struct run r;

	begin(&r, NULL);
	cr_assert_eq(sock_setopt_int(r.a, SK_SOL_SOCKET, SK_SO_SNDBUF, 100000), 0);
	cr_assert_eq(sock_setopt_int(r.b, SK_SOL_SOCKET, SK_SO_RCVBUF, 150000), 0);
	(void)flow(&r, NSEC_PER_SEC);
	cr_assert_eq(r.a->sk_sndbuf, 200000);
	cr_assert_eq(r.b->sk_rcvbuf, 300000);
	end(&r);
}

Test(tcp_tune, test_tune_window_clamp_bounds_the_window)
{
	struct run r;

	begin(&r, NULL);
	cr_assert_eq(sock_setopt_int(r.b, SK_SOL_TCP, SK_TCP_WINDOW_CLAMP, 100000), 0);
	for (unsigned i = 0; i < 20000; i++) {
		step(&r);
		cr_assert_leq(tcp_receive_window(tcp_sk(r.b)), 100000);
	}
	end(&r);
}

/* A clamp that is less than a segment, and than the scale of our SYN can say, was once a window of
 * zero for ever. */
Test(tcp_tune, test_tune_clamp_below_a_segment_leaves_a_window)
{
	struct run r;

	begin(&r, NULL);
	cr_assert_eq(sock_setopt_int(r.b, SK_SOL_TCP, SK_TCP_WINDOW_CLAMP, 1), 0);
	(void)flow(&r, NSEC_PER_SEC);
	for (uint8_t scale = 6; scale <= TCP_MAX_WSCALE; scale += 8) {
		tcp_sk(r.b)->rcv_wscale = scale;
		cr_assert_geq(tcp_new_window(tcp_sk(r.b)), 1u << scale);
		cr_assert_leq(tcp_new_window(tcp_sk(r.b)), max_t(uint32_t, 1152, 1u << scale));
	}
	end(&r);
}

/* Limits of the whole lane come first: a socket does not grow while others hold the pool. */
Test(tcp_tune, test_tune_nobody_grows_under_pressure)
{
	struct tcp_shard *sh[2];
	struct run r;

	begin(&r, NULL);
	for (unsigned i = 0; i < 2; i++) {
		sh[i] = r.p.end[i].st->tcp;
		sh[i]->rmem_total += sh[i]->rmem_limit / 2 + 1;
		sh[i]->wmem_total += sh[i]->wmem_limit / 2 + 1;
	}
	cr_assert_gt(flow(&r, NSEC_PER_SEC), 1000000);
	cr_assert_eq(r.b->sk_rcvbuf, 131072);
	cr_assert_eq(r.a->sk_sndbuf, 262144);
	for (unsigned i = 0; i < 2; i++) {
		sh[i]->rmem_total -= sh[i]->rmem_limit / 2 + 1;
		sh[i]->wmem_total -= sh[i]->wmem_limit / 2 + 1;
	}
	end(&r);
}
