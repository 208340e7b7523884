/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion control: the part that every algorithm shares (initial window, slow start
 * with appropriate byte counting, no growth unless cwnd was the limit), and Reno's
 * congestion avoidance. RFC 5681, 6928, 3465, 7661 section 4.
 */
#include "stack/tcp_int.h"

void tcp_cong_init(struct tcp_sock *tp)
{
	tp->snd_cwnd = TCP_INIT_CWND * tp->mss_cache;
	tp->snd_ssthresh = UINT32_MAX / 2;
	tp->cwnd_acked = 0;
	tp->ca->init(tp);
}

static const struct tcp_congestion_ops *const algorithms[] = {&tcp_reno};

const struct tcp_congestion_ops *tcp_cong_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (strcmp(algorithms[i]->name, name) == 0)
			return algorithms[i];
	return NULL;
}

void tcp_cong_set(struct tcp_sock *tp, const struct tcp_congestion_ops *ca)
{
	if (ca == tp->ca)
		return;
	tp->ca = ca;
	tp->ca->init(tp);
}

/* cwnd_is_limit - in slow start a sender that uses more than half of cwnd may grow, since it
 * doubles within the round trip (Linux tcp_is_cwnd_limited). */
static bool cwnd_is_limit(const struct tcp_sock *tp)
{
	if (tp->cwnd_limited)
		return true;
	return tp->snd_cwnd < tp->snd_ssthresh && tcp_flight(tp) > tp->snd_cwnd / 2;
}

void tcp_cong_acked(struct tcp_sock *tp, uint32_t acked)
{
	uint32_t mss = tp->mss_cache;

	if (!cwnd_is_limit(tp))
		return;
	/* Never beyond what the window could use: hostile ACK division and optimistic ACKs gain
	 * nothing, and sums cannot wrap. */
	if (tp->snd_cwnd >= max_t(uint32_t, 4 * tp->max_window, 64 * mss))
		return;
	if (tp->snd_cwnd < tp->snd_ssthresh) {
		/* RFC 3465: by bytes acknowledged. One ACK may cover a whole burst (GRO, our own
		 * turn), so L is the burst, not 2; after a timeout L = 1 (section 2.3). */
		uint32_t limit = tp->ca_state == TCP_CA_LOSS ? mss : tp->snd_cwnd;

		tp->snd_cwnd += min_t(uint32_t, acked, limit);
		return;
	}
	tp->ca->cong_avoid(tp, acked);
}

static void reno_init(struct tcp_sock *tp)
{
	tp->cwnd_acked = 0;
}

/* RFC 5681 equation 4 */
static uint32_t reno_ssthresh(struct tcp_sock *tp)
{
	return max_t(uint32_t, tcp_flight(tp) / 2, 2u * tp->mss_cache);
}

/* RFC 5681 3.1 with byte counting: one mss per cwnd of acknowledged bytes. */
static void reno_cong_avoid(struct tcp_sock *tp, uint32_t acked)
{
	tp->cwnd_acked += acked;
	while (tp->cwnd_acked >= tp->snd_cwnd) {
		tp->cwnd_acked -= tp->snd_cwnd;
		tp->snd_cwnd += tp->mss_cache;
	}
}

const struct tcp_congestion_ops tcp_reno = {
	.name = "reno",
	.init = reno_init,
	.ssthresh = reno_ssthresh,
	.cong_avoid = reno_cong_avoid,
};
