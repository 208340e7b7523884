/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion control, the part that every algorithm shares: initial window and restart after
 * idle, slow start with appropriate byte counting, no growth of a window that is not used,
 * proportional rate reduction. RFC 5681, 6928, 3465, 7661 section 4, 6937 and 9937. The
 * window counts bytes. Nothing is paced: no queue below us spreads a burst, and a timer for
 * each segment would cost a lane more than bursts that PRR and the ACK clock keep short.
 */
#include "stack/tcp_fast.h"

/* In the order of the setting tcp_congestion_control. */
static const struct tcp_congestion_ops *const algorithms[] = {&tcp_cubic, &tcp_reno, &tcp_dctcp};

const struct tcp_congestion_ops *tcp_cong_default(const struct stack *st)
{
	return algorithms[st->cfg.congestion_control];
}

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
	tp->ca_tx_start = false;
	memset(tp->ca_priv, 0, sizeof(tp->ca_priv));
	if (tp->ca->init)
		tp->ca->init(tp);
}

void tcp_cong_init(struct tcp_sock *tp)
{
	tp->snd_cwnd = TCP_INIT_CWND * tp->mss_cache;
	tp->snd_ssthresh = TCP_SSTHRESH_INF;
	tp->cwnd_acked = 0;
	tp->cwnd_stamp_ns = tcp_stack(tp)->now;
	tp->recover = tp->snd_una - 1; /* RFC 6582 3.2: nothing was recovered yet */
	if (tp->ca->init)
		tp->ca->init(tp);
}

/* ---- growth ---- */

uint32_t tcp_slow_start(struct tcp_sock *tp, uint32_t acked)
{
	/* RFC 3465: by bytes. One ACK may cover a whole burst (GRO, our own turn), so L is the
	 * burst, not 2. After a timeout L = 1 (2.3), unless SACK tells what left the network
	 * before. */
	uint32_t limit = tp->ca_state == TCP_CA_LOSS && !tp->sack_ok ? tp->mss_cache : tp->snd_cwnd;
	uint32_t n =
		min_t(uint32_t, min_t(uint32_t, acked, limit), tp->snd_ssthresh - tp->snd_cwnd);

	tp->snd_cwnd += n;
	return tp->snd_cwnd >= tp->snd_ssthresh ? acked - n : 0;
}

void __tcp_cong_grow(struct tcp_sock *tp, uint32_t acked)
{
	/* Never beyond what the window could use: hostile ACK division and optimistic ACKs gain
	 * nothing (B30), and sums cannot wrap. */
	if (tp->snd_cwnd >= max_t(uint32_t, 4 * tp->max_window, 64u * tp->mss_cache))
		return;
	tp->ca->cong_avoid(tp, acked);
}

void tcp_cong_control(struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	bool progress;

	if (tp->ca_state == TCP_CA_CWR || tp->ca_state == TCP_CA_RECOVERY) {
		tcp_cwnd_reduction(tp, a->delivered, tp->lost_bytes != a->prior_lost,
				   a->flags & TCP_ACKF_UNA);
		return;
	}
	/* where the order means little, what is SACKed is progress as well (as Linux) */
	progress = tp->reordering > TCP_DUPTHRESH ? a->flags & (TCP_ACKF_UNA | TCP_ACKF_SACKED)
						  : a->flags & TCP_ACKF_UNA;
	if (progress && a->delivered)
		tcp_cong_grow(tp, a->delivered);
}

/* tcp_cwnd_validate - after output: was it cwnd that stopped it, and how much of it was used in
 * this round trip (RFC 7661; Linux tcp_cwnd_validate)? */
void tcp_cwnd_validate(struct tcp_sock *tp, bool limited)
{
	uint32_t flight = tcp_flight(tp);
	struct stack *st = tcp_stack(tp);

	if (!before(tp->snd_una, tp->cwnd_usage_seq) || limited ||
	    (!tp->cwnd_limited && flight > tp->max_flight)) {
		tp->cwnd_limited = limited;
		tp->max_flight = flight;
		tp->cwnd_usage_seq = tp->snd_nxt;
	}
	if (tcp_cwnd_is_limit(tp)) {
		tp->cwnd_used = 0;
		tp->cwnd_stamp_ns = st->now;
		return;
	}
	tp->cwnd_used = max_t(uint32_t, tp->cwnd_used, flight);
	if (!st->cfg.slow_start_after_idle || st->now - tp->cwnd_stamp_ns < tp->rto)
		return;
	/* RFC 2861: half of what was not used decays each RTO */
	if (tp->ca_state == TCP_CA_OPEN) {
		uint32_t used = max_t(uint32_t, tp->cwnd_used, TCP_INIT_CWND * tp->mss_cache);

		if (used < tp->snd_cwnd) {
			tp->snd_ssthresh = tcp_current_ssthresh(tp);
			tp->snd_cwnd = (tp->snd_cwnd + used) / 2;
		}
		tp->cwnd_used = 0;
	}
	tp->cwnd_stamp_ns = st->now;
}

/* tcp_cwnd_restart - RFC 5681 4.1 with RFC 2861's decay: half for each RTO of idleness, down to the
 * restart window. */
void tcp_cwnd_restart(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);
	uint32_t floor = min_t(uint32_t, TCP_INIT_CWND * tp->mss_cache, tp->snd_cwnd);
	uint64_t idle = st->now - tp->lsnd_ns;

	tp->snd_ssthresh = tcp_current_ssthresh(tp);
	for (; idle > tp->rto && tp->snd_cwnd > floor; idle -= tp->rto)
		tp->snd_cwnd /= 2;
	tp->snd_cwnd = max_t(uint32_t, tp->snd_cwnd, floor);
	tp->cwnd_used = 0;
	tp->cwnd_stamp_ns = st->now;
}

/* ---- reduction ---- */

uint32_t tcp_current_ssthresh(const struct tcp_sock *tp)
{
	if (tp->ca_state == TCP_CA_CWR || tp->ca_state == TCP_CA_RECOVERY)
		return tp->snd_ssthresh;
	return max_t(uint32_t, tp->snd_ssthresh, tp->snd_cwnd / 2 + tp->snd_cwnd / 4);
}

void tcp_cwnd_reduction_begin(struct tcp_sock *tp)
{
	tp->recover = tp->snd_nxt;
	tp->tlp_out = false;
	tp->cwnd_acked = 0;
	tp->prior_cwnd = tp->snd_cwnd;
	tp->prr_delivered = tp->prr_out = 0;
	tp->snd_ssthresh = tp->ca->ssthresh(tp);
	tp->cwr_owed = tp->ecn_ok;
}

/*
 * tcp_cwnd_reduction - PRR (RFC 6937 3.1, RFC 9937 6.2): while the pipe is above ssthresh, send in
 * proportion to what is delivered; below it, conserve packets (CRB), and one segment more for an
 * ACK that advances and finds nothing else lost (SSRB, "SafeACK").
 */
void tcp_cwnd_reduction(struct tcp_sock *tp, uint32_t delivered, bool newly_lost, bool una_moved)
{
	int64_t pipe = tcp_pipe(tp), room = (int64_t)tp->snd_ssthresh - pipe, n;
	uint32_t mss = tp->mss_cache;

	if (!delivered || !tp->prior_cwnd)
		return;
	tp->prr_delivered += delivered;
	if (room < 0) {
		uint64_t due = (uint64_t)tp->snd_ssthresh * tp->prr_delivered;

		/* rounded up to whole segments, or the first would wait for the second */
		due = (due + (uint64_t)tp->prior_cwnd * mss - 1) / ((uint64_t)tp->prior_cwnd * mss);
		n = (int64_t)(due * mss) - tp->prr_out;
	} else {
		n = max_t(int64_t, (int64_t)tp->prr_delivered - tp->prr_out, delivered);
		if (una_moved && !newly_lost)
			n += mss;
		n = min_t(int64_t, n, room);
	}
	/* the fast retransmit itself does not wait (RFC 6675 5 step 4.3) */
	n = max_t(int64_t, n, tp->prr_out ? 0 : mss);
	tp->snd_cwnd = (uint32_t)max_t(int64_t, pipe + n, mss);
}

void tcp_cwnd_reduction_end(struct tcp_sock *tp)
{
	/* RFC 9937 6.2: cwnd = ssthresh at the end, unless the reduction was undone */
	if (tp->snd_ssthresh < TCP_SSTHRESH_INF && (tp->ca_state == TCP_CA_CWR || tp->undo_valid))
		tp->snd_cwnd = tp->snd_ssthresh;
	tp->cwnd_stamp_ns = tcp_stack(tp)->now;
}

void tcp_enter_cwr(struct tcp_sock *tp)
{
	tp->prior_ssthresh = 0;
	if (tp->ca_state >= TCP_CA_CWR)
		return;
	tp->undo_valid = false;
	tcp_cwnd_reduction_begin(tp);
	tcp_set_ca_state(tp, TCP_CA_CWR);
}

/* ---- NewReno ---- */

/* RFC 5681 equation 4, but of cwnd as Linux: a flight that the application kept small was no
 * more congested. */
static uint32_t reno_ssthresh(struct tcp_sock *tp)
{
	return max_t(uint32_t, tp->snd_cwnd / 2, 2u * tp->mss_cache);
}

/* RFC 5681 3.1 with byte counting: one mss per cwnd of acknowledged bytes. */
void tcp_reno_cong_avoid(struct tcp_sock *tp, uint32_t acked)
{
	if (tp->snd_cwnd < tp->snd_ssthresh) {
		acked = tcp_slow_start(tp, acked);
		if (!acked)
			return;
	}
	tp->cwnd_acked += acked;
	while (tp->cwnd_acked >= tp->snd_cwnd) {
		tp->cwnd_acked -= tp->snd_cwnd;
		tp->snd_cwnd += tp->mss_cache;
	}
}

const struct tcp_congestion_ops tcp_reno = {
	.name = "reno",
	.ssthresh = reno_ssthresh,
	.cong_avoid = tcp_reno_cong_avoid,
};
