/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CUBIC (RFC 9438), the default, in bytes and fixed point; HyStart++ (RFC 9406), which leaves
 * slow start when the round trips grow; and of the older HyStart (Ha and Rhee, 2011) the train
 * of ACKs, as Linux has it. Time is the stack's now, in milliseconds.
 */
#include "stack/tcp_int.h"

/* RFC 9438 4.6 beta_cubic 0.7, 5.1 C = 0.4 */
#define CUBIC_BETA_10 7u
/* |t - K| beyond this, in ms, changes nothing more: W is clamped to 1.5 cwnd anyhow; and its
 * cube times any MSS stays within 63 bits. */
#define CUBIC_T_MAX 100000
/* 4.3: alpha = 3 (1 - beta) / (1 + beta) = 9 / 17 */
#define CUBIC_ALPHA_NUM 9u
#define CUBIC_ALPHA_DEN 17u

/* RFC 9406 4.3 */
#define HYSTART_N_RTT_SAMPLE       8u
#define HYSTART_MIN_RTT_THRESH_US  4000u
#define HYSTART_MAX_RTT_THRESH_US  16000u
#define HYSTART_MIN_RTT_DIVISOR    8u
#define HYSTART_CSS_GROWTH_DIVISOR 4u
#define HYSTART_CSS_ROUNDS         5u

/* The train: ACKs no farther apart; what a receiver's GRO and its delayed ACK may stretch it by;
 * the least window in segments. Linux's values (hystart_ack_delta_us, the bound of
 * hystart_ack_delay(), hystart_low_window). */
#define HYSTART_ACK_DELTA_NS (2 * NSEC_PER_MSEC)
#define HYSTART_ACK_DELAY_NS NSEC_PER_MSEC
#define HYSTART_LOW_WINDOW   16u

struct cubic {
	uint64_t epoch_ns;            /* when this congestion avoidance began; 0 = not yet */
	uint32_t rtt_us, last_rtt_us; /* least of this round, of the last one; 0 none */
	uint32_t css_base_us;         /* 0 = not in CSS */
	uint32_t round_end;
	uint8_t samples, css_rounds;
	uint32_t css_prior_us;       /* what it was before the last reduction */
	uint32_t css_left;           /* what a quarter of the acknowledged bytes left over */
	uint64_t round_ns, train_ns; /* when the round began; its latest ACK without a pause */
	/* CUBIC */
	uint64_t frac;       /* what the last increments left over, in cwnd-ths of a byte */
	uint64_t est_frac;   /* the same of w_est */
	uint32_t w_max;      /* where the plateau is, bytes */
	uint32_t origin;     /* W_cubic(K) */
	uint32_t cwnd_prior; /* cwnd before the last reduction */
	uint32_t w_est;      /* what Reno would have (4.3) */
	uint32_t k_ms;
};

_Static_assert(sizeof(struct cubic) <= TCP_CA_PRIV_SIZE, "fits the socket");

static struct cubic *cubic_of(struct tcp_sock *tp)
{
	return (struct cubic *)tp->ca_priv;
}

static void cubic_init(struct tcp_sock *tp)
{
	struct cubic *c = cubic_of(tp);

	memset(c, 0, sizeof(*c));
	c->round_end = tp->snd_nxt;
}

/* cube_root - the greatest n with n^3 <= v; below 2^21, bit by bit, once per congestion event. */
static uint32_t cube_root(uint64_t v)
{
	uint64_t n = 0;

	for (int bit = 20; bit >= 0; bit--) {
		uint64_t t = n | 1ull << bit;

		if (t * t * t <= v)
			n = t;
	}
	return (uint32_t)n;
}

/* RFC 9438 4.6, with fast convergence (4.7). Of cwnd, which is never far above the flight: it does
 * not grow unless it is used. */
static uint32_t cubic_ssthresh(struct tcp_sock *tp)
{
	struct cubic *c = cubic_of(tp);
	uint32_t cwnd = tp->snd_cwnd;

	/* RFC 9406 4.3: any congestion ends conservative slow start, whatever mends the loss */
	c->css_prior_us = c->css_base_us;
	c->css_base_us = 0;
	c->epoch_ns = 0;
	c->cwnd_prior = cwnd;
	c->w_max = cwnd < c->w_max ? (uint32_t)((uint64_t)cwnd * (10 + CUBIC_BETA_10) / 20) : cwnd;
	return max_t(uint32_t, (uint32_t)((uint64_t)cwnd * CUBIC_BETA_10 / 10), 2u * tp->mss_cache);
}

static void epoch_begin(struct tcp_sock *tp, struct cubic *c)
{
	uint32_t cwnd = tp->snd_cwnd;

	c->epoch_ns = tcp_stack(tp)->now;
	tp->ca_tx_start = true;
	c->frac = c->est_frac = 0;
	c->w_est = cwnd;
	c->origin = max_t(uint32_t, cwnd, c->w_max);
	/* 4.2: K = cbrt((W_max - cwnd_epoch) / C), in segments and seconds; 10^9 ms^3, C = 2/5 */
	c->k_ms = cube_root((uint64_t)(c->origin - cwnd) * 2500000000ull / tp->mss_cache);
}

/* w_cubic - 4.2: C (t - K)^3 + W_max one round trip from now, within [cwnd, 1.5 cwnd]. */
static uint32_t w_cubic(const struct tcp_sock *tp, const struct cubic *c)
{
	uint64_t age = tcp_stack(tp)->now - c->epoch_ns + tp->min_rtt_us * NSEC_PER_USEC;
	int64_t t = (int64_t)min_t(uint64_t, age / NSEC_PER_MSEC, UINT32_MAX) - c->k_ms, w;
	int64_t cwnd = tp->snd_cwnd;

	t = max_t(int64_t, min_t(int64_t, t, CUBIC_T_MAX), -CUBIC_T_MAX);
	w = c->origin + t * t * t / 5 * 2 / 1000 * tp->mss_cache / 1000000;
	return (uint32_t)max_t(int64_t, min_t(int64_t, w, cwnd + cwnd / 2), cwnd);
}

/* take - num / den whole bytes; the rest waits in *frac. */
static uint32_t take(uint64_t *frac, uint64_t num, uint32_t den)
{
	uint32_t n;

	*frac += num;
	n = (uint32_t)(*frac / den);
	*frac -= (uint64_t)n * den;
	return n;
}

/* reno_estimate - 4.3: W_est grows by alpha segments each cwnd, by one beyond cwnd_prior. */
static void reno_estimate(struct tcp_sock *tp, struct cubic *c, uint32_t acked)
{
	uint64_t num = (uint64_t)acked * tp->mss_cache;

	if (c->w_est < c->cwnd_prior)
		num = num * CUBIC_ALPHA_NUM / CUBIC_ALPHA_DEN;
	c->w_est += take(&c->est_frac, num, tp->snd_cwnd);
}

static void css_acked(struct tcp_sock *tp, struct cubic *c, uint32_t acked)
{
	acked += c->css_left;
	c->css_left = acked % HYSTART_CSS_GROWTH_DIVISOR;
	(void)tcp_slow_start(tp, acked / HYSTART_CSS_GROWTH_DIVISOR);
}

/* hystart_round - a round trip in slow start is over (RFC 9406 4.2). */
static void hystart_round(struct tcp_sock *tp, struct cubic *c)
{
	if (c->css_base_us && ++c->css_rounds >= HYSTART_CSS_ROUNDS) {
		tp->snd_ssthresh = tp->snd_cwnd;
		c->css_base_us = 0;
	}
	c->last_rtt_us = c->rtt_us;
	c->rtt_us = 0;
	c->samples = 0;
	c->round_end = tp->snd_nxt;
	c->round_ns = c->train_ns = tcp_stack(tp)->now;
}

/*
 * hystart_train - ACKs that come one behind the other for half of the least round trip: a window of
 * twice that fills the path, and it is about to be one. RFC 9406 left this out; we follow Linux, as
 * nothing here is paced: each round sends at twice the path's rate, and what overflows the queue is
 * lost within the round, before the next one's least round trip tells of it. Only where cwnd holds
 * the sender back: a user who writes evenly has such trains as well.
 */
static void hystart_train(struct tcp_sock *tp, struct cubic *c)
{
	uint64_t now = tcp_stack(tp)->now;

	if (tp->snd_ssthresh < TCP_SSTHRESH_INF || !tp->cwnd_limited ||
	    now - c->train_ns > HYSTART_ACK_DELTA_NS ||
	    tp->snd_cwnd < HYSTART_LOW_WINDOW * tp->mss_cache)
		return;
	c->train_ns = now;
	if (now - c->round_ns > (tp->min_rtt_us * NSEC_PER_USEC + HYSTART_ACK_DELAY_NS) / 2) {
		tp->snd_ssthresh = tp->snd_cwnd;
		c->css_base_us = 0;
	}
}

static void cubic_cong_avoid(struct tcp_sock *tp, uint32_t acked)
{
	struct cubic *c = cubic_of(tp);
	uint32_t w;

	if (tp->snd_cwnd < tp->snd_ssthresh) {
		/* by the first ACK beyond it, as Linux: a round is the ACKs of one window, a
		 * train */
		if (after(tp->snd_una, c->round_end))
			hystart_round(tp, c);
		hystart_train(tp, c);
		if (c->css_base_us) {
			css_acked(tp, c, acked);
			return;
		}
		acked = tcp_slow_start(tp, acked);
		if (!acked)
			return;
	}
	if (!c->epoch_ns)
		epoch_begin(tp, c);
	w = w_cubic(tp, c);
	reno_estimate(tp, c, acked);
	tp->snd_cwnd += take(&c->frac, (uint64_t)(w - tp->snd_cwnd) * acked, tp->snd_cwnd);
	if (c->w_est > tp->snd_cwnd)
		tp->snd_cwnd = c->w_est;
}

/* cubic_pkts_acked - RFC 9406 4.2: a round trip was measured. Only in the first slow start. */
static void cubic_pkts_acked(struct tcp_sock *tp, uint32_t rtt_us)
{
	struct cubic *c = cubic_of(tp);
	uint32_t thresh;

	if (tp->snd_ssthresh < TCP_SSTHRESH_INF)
		return;
	if (!c->rtt_us || rtt_us < c->rtt_us)
		c->rtt_us = rtt_us;
	if (c->samples < UINT8_MAX)
		c->samples++;
	if (c->samples < HYSTART_N_RTT_SAMPLE || !c->last_rtt_us)
		return;
	if (c->css_base_us) {
		/* it was no queue: on with slow start */
		if (c->rtt_us < c->css_base_us)
			c->css_base_us = 0;
		return;
	}
	thresh = min_t(uint32_t, c->last_rtt_us / HYSTART_MIN_RTT_DIVISOR,
		       HYSTART_MAX_RTT_THRESH_US);
	thresh = max_t(uint32_t, thresh, HYSTART_MIN_RTT_THRESH_US);
	if (c->rtt_us >= c->last_rtt_us + thresh) {
		c->css_base_us = c->rtt_us;
		c->css_rounds = 0;
	}
}

/* cubic_undo_cwnd - there was no congestion: slow start goes on as carefully as it was. */
static uint32_t cubic_undo_cwnd(struct tcp_sock *tp)
{
	struct cubic *c = cubic_of(tp);

	c->css_base_us = c->css_prior_us;
	return max_t(uint32_t, tp->snd_cwnd, tp->prior_cwnd);
}

/* cubic_cwnd_event - 4.2.1, 5.8: what was not sent is no time in which the window may grow. */
static void cubic_cwnd_event(struct tcp_sock *tp, enum tcp_ca_event ev)
{
	struct cubic *c = cubic_of(tp);
	uint64_t now = tcp_stack(tp)->now;

	if (ev == TCP_CA_EVENT_TX_START && c->epoch_ns && tp->lsnd_ns)
		c->epoch_ns = min_t(uint64_t, c->epoch_ns + (now - tp->lsnd_ns), now);
}

const struct tcp_congestion_ops tcp_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.ssthresh = cubic_ssthresh,
	.cong_avoid = cubic_cong_avoid,
	.cwnd_event = cubic_cwnd_event,
	.pkts_acked = cubic_pkts_acked,
	.undo_cwnd = cubic_undo_cwnd,
};
