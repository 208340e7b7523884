/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an acknowledgment does: RFC 9293 3.10.7.4 fifth step for synchronised states, the
 * send window (3.10.7.4, SND.WL1), the retransmission queue, round-trip samples (RFC
 * 6298, Karn), and waking whoever waits for room.
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_guard.h"
#include "stack/tcp_rate.h"

/* A timestamp that is older says nothing of a round trip. */
#define TS_RTT_MAX_MS  120000u
#define MIN_RTT_WINDOW (300 * NSEC_PER_SEC)

/* Inline, as clean_rtx_queue() is: each ACK that says something new comes through here. */
static ALWAYS_INLINE void rtt_sample(struct tcp_sock *tp, uint64_t rtt_ns)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;
	uint32_t m = (uint32_t)min_t(uint64_t, rtt_ns / NSEC_PER_USEC + 1, 120000000);
	uint64_t var, now = tcp_stack(tp)->now;

	/* the path may have changed: an old minimum is forgotten (Linux tcp_min_rtt_wlen) */
	if (!tp->min_rtt_us || m <= tp->min_rtt_us || now - tp->min_rtt_ns > MIN_RTT_WINDOW) {
		tp->min_rtt_us = m;
		tp->min_rtt_ns = now;
	}
	if (!tp->srtt_us8) {
		/* RFC 6298 2.2 */
		tp->srtt_us8 = m << 3;
		tp->rttvar_us4 = m << 1;
	} else {
		/* RFC 6298 2.3, alpha 1/8, beta 1/4, in Jacobson's integer form */
		int32_t err = (int32_t)(m - (tp->srtt_us8 >> 3));

		tp->srtt_us8 = (uint32_t)((int32_t)tp->srtt_us8 + err);
		if (err < 0)
			err = -err;
		tp->rttvar_us4 =
			(uint32_t)((int32_t)tp->rttvar_us4 + err - (int32_t)(tp->rttvar_us4 >> 2));
	}
	/* The floor stands on the variance term, as Linux has it: RTO = SRTT + max(G, 4 RTTVAR) */
	var = max_t(uint64_t, tp->rttvar_us4 * NSEC_PER_USEC, cfg->rto_min);
	tp->rto = min_t(uint64_t, (tp->srtt_us8 >> 3) * NSEC_PER_USEC + var, cfg->rto_max);
}

void tcp_rtt_sample(struct tcp_sock *tp, uint64_t rtt_ns)
{
	rtt_sample(tp, rtt_ns);
}

/* tags_sub - `n` bytes of skb leave the scoreboard. */
static void tags_sub(struct tcp_sock *tp, const struct sk_buff *skb, uint32_t n)
{
	uint8_t tags = skb->tcp.sacked;

	if (likely(!tags))
		return;
	if (tags & TCPCB_SACKED)
		tp->sacked_out -= n;
	if (tags & TCPCB_LOST)
		tp->lost_out -= n;
	if (tags & TCPCB_RETRANS)
		tp->retrans_out -= n;
}

void tcp_write_unlink(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;

	tags_sub(tp, skb, tcp_skb_bytes(skb));
	if (unlikely(skb->tcp.sacked & TCPCB_SACKED)) {
		tp->sacked_segs--;
		if (skb == tp->highest_sack)
			tp->highest_sack = NULL;
	} else if (before(skb->tcp.seq, tp->snd_nxt)) {
		tcp_unlist(tp, skb);
	}
	if (unlikely(skb == tp->sack_hint))
		tp->sack_hint = NULL;
	if (unlikely(tp->index.nr && skb == tp->index.skb[tp->index.head]))
		__tcp_index_pop(tp);
	if (skb == tp->send_head)
		tp->send_head = skb_queue_next(q, skb);
	tcp_wmem_sub(tp, skb->truesize);
	skb_unlink(q, skb);
}

/* clean_partial - the ACK ends inside skb: drop the acknowledged front. */
static void clean_partial(struct tcp_sock *tp, struct sk_buff *skb, uint32_t ack,
			  struct tcp_ack_state *a)
{
	uint32_t n = ack - skb->tcp.seq;

	tags_sub(tp, skb, n);
	if (!(skb->tcp.sacked & TCPCB_SACKED))
		a->delivered += n;
	if (skb->len)
		skb_eat(skb, min_t(uint32_t, n, skb->len));
	skb->tcp.seq = ack;
}

/* clean_one - skb is acknowledged: what that says of times and order. */
static ALWAYS_INLINE void clean_one(struct tcp_sock *tp, struct sk_buff *skb,
				    struct tcp_ack_state *a, uint64_t now)
{
	if (unlikely(skb->tcp.retrans))
		a->flags |= TCP_ACKF_RETRANS;
	if (unlikely(skb->tcp.sacked & TCPCB_SACKED))
		return;
	tp->delivered++;
	a->delivered += tcp_skb_bytes(skb);
	tcp_rate_delivered(skb, a->rate);
	if (tp->sack_ok)
		tcp_rack_advance(tp, skb);
	if (unlikely(skb->tcp.retrans))
		return;
	if (a->rtt_ns == UINT64_MAX)
		a->rtt_ns = now - skb->tcp.tx_ns;
	if (before(skb->tcp.seq, a->reord))
		a->reord = skb->tcp.seq;
	if (!after(skb->tcp.end_seq, tp->recover))
		a->flags |= TCP_ACKF_ORIG;
}

/* clean_rtx_queue - free what is acknowledged. */
static ALWAYS_INLINE void clean_rtx_queue(struct tcp_sock *tp, uint32_t ack,
					  struct tcp_ack_state *a)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	uint64_t now = tcp_stack(tp)->now;
	struct sk_buff *skb;

	a->acked = ack - tp->snd_una;
	a->reord = tp->snd_nxt;
	while ((skb = skb_peek(q)) != NULL && skb != tp->send_head) {
		if (after(skb->tcp.end_seq, ack)) {
			if (after(ack, skb->tcp.seq))
				clean_partial(tp, skb, ack, a);
			break;
		}
		clean_one(tp, skb, a, now);
		tcp_write_unlink(tp, skb);
		skb_free(skb);
	}
	tp->snd_una = ack;
	a->flags |= TCP_ACKF_UNA | TCP_ACKF_TIMER;
}

/*
 * take_rtt - Karn (RFC 6298 3): from the oldest segment that was sent once, if nothing that was
 * sent again is acknowledged with it; a SACKed one does as well; else what the timestamp says
 * (RFC 7323 4.1). A sample ends the backoff: without one it stays (RFC 6298 5, last paragraph),
 * or on a path that became slower than the RTO every segment would be sent twice for ever.
 */
static ALWAYS_INLINE void take_rtt(struct tcp_sock *tp, const struct sk_buff *skb,
				   const struct tcp_ack_state *a)
{
	uint64_t rtt = a->flags & TCP_ACKF_RETRANS ? UINT64_MAX : a->rtt_ns;

	if (rtt == UINT64_MAX)
		rtt = a->sack_rtt_ns;
	if (rtt == UINT64_MAX && (a->flags & TCP_ACKF_UNA) && skb && skb->tcp.has_ts &&
	    skb->tcp.ts_ecr) {
		uint32_t ms = tcp_ts_now(tcp_stack(tp), tp->tsoffset) - skb->tcp.ts_ecr;

		if (ms < TS_RTT_MAX_MS)
			rtt = max_t(uint32_t, ms, 1) * NSEC_PER_MSEC;
	}
	if (rtt == UINT64_MAX)
		return;
	rtt_sample(tp, rtt);
	if (tp->snd_cwnd < tp->snd_ssthresh && tcp_cwnd_is_limit(tp) && tp->ca->pkts_acked)
		tp->ca->pkts_acked(tp, (uint32_t)min_t(uint64_t, rtt / NSEC_PER_USEC, UINT32_MAX));
	tp->backoff = 0;
}

/* Linux's one-third rule: a waiting writer is told only when a third of the buffer is free, so
 * that it does not wake for every segment; of what may wait unsent, when half of that has left. */
bool tcp_is_writable(const struct tcp_sock *tp)
{
	return tp->sk.sk_wmem_queued <= tp->sk.sk_sndbuf / 3 * 2 &&
	       (likely(tp->notsent_lowat == UINT32_MAX) ||
		tcp_notsent(tp) < tp->notsent_lowat / 2 + (tp->notsent_lowat & 1));
}

void tcp_maybe_write_space(struct tcp_sock *tp)
{
	struct sock *sk = &tp->sk;

	if (likely(!sk->sk_want_write))
		return;
	/* a writer that waits though the congestion window has room: the buffer is too small */
	if (tcp_pipe(tp) < tp->snd_cwnd)
		tcp_sndbuf_expand(tp);
	if (!tcp_is_writable(tp))
		return;
	sk->sk_want_write = false;
	tp->wake_turn = tcp_stack(tp)->turn;
	if (unlikely(tp->chrono == TCP_CHRONO_SNDBUF))
		tcp_chrono_set(tp, TCP_CHRONO_BUSY);
	sk->sk_write_space(sk);
}

/* ack_progress - book-keeping after snd_una moved. */
static inline void ack_progress(struct tcp_sock *tp)
{
	if (unlikely(tp->retransmits))
		tp->total_rto_ns += tcp_stack(tp)->now - tp->giveup_ns;
	tp->retransmits = 0;
	tp->err_soft = 0;
	if (unlikely(tp->mtu_watch) && tp->mtup.probe_size)
		__tcp_mtu_probe_acked(tp);
	neigh_confirm(tcp_stack(tp), &tp->rt);
	tcp_maybe_write_space(tp);
	if (skb_queue_empty(&tp->sk.sk_write_queue)) {
		tcp_chrono_set(tp, TCP_CHRONO_IDLE);
		tp->index.since = 0;
	}
}

static void ack_state_init(struct tcp_ack_state *a, const struct tcp_sock *tp,
			   struct tcp_rate_sample *rate)
{
	rate->prior_ns = 0;
	*a = (struct tcp_ack_state){.prior_una = tp->snd_una,
				    .prior_fack = tcp_fack(tp),
				    .reord = tp->snd_nxt,
				    .prior_lost = tp->lost_bytes,
				    .rtt_ns = UINT64_MAX,
				    .sack_rtt_ns = UINT64_MAX,
				    .rate = rate};
}

void tcp_ack_simple(struct tcp_sock *tp, uint32_t ack)
{
	struct tcp_rate_sample rate;
	struct tcp_ack_state a;

	ack_state_init(&a, tp, &rate);
	clean_rtx_queue(tp, ack, &a);
	if (unlikely(tp->tlp_out))
		tcp_tlp_acked(tp, ack, &a);
	take_rtt(tp, NULL, &a);
	tp->dupacks = 0;
	if (unlikely(tp->ca->in_ack_event))
		tp->ca->in_ack_event(tp, a.acked, false);
	tp->probes_out = 0;
	tp->lack_ns = tcp_stack(tp)->now;
	tcp_rate_gen(tp, a.delivered, &rate);
	/* CA_OPEN, and snd_una moved: what tcp_cong_control() would do */
	if (likely(a.delivered))
		tcp_cong_grow(tp, a.delivered);
	ack_progress(tp);
	tcp_rearm_rto(tp);
	if (tp->send_head)
		tcp_output_mark(tp);
}

/* window_opens - it was zero. Nothing in flight: no more probes, the output step sends. Else
 * the window had shrunk and what is in flight was refused: its timer, backed off by now, is due
 * at once. */
static void window_opens(struct tcp_sock *tp)
{
	if (tp->pending == TCP_PEND_PROBE) {
		tp->probes_out = 0;
		tp->backoff = 0;
		tcp_arm_retrans(tp, TCP_PEND_NONE, 0);
	} else if (tp->pending == TCP_PEND_RETRANS && tp->ca_state == TCP_CA_LOSS) {
		tp->backoff = 0;
		tcp_arm_retrans(tp, TCP_PEND_RETRANS, 0);
	}
}

/* wl1_was_a_lie - SND.WL1 lies beyond all that has come, and whoever answers our probes of a shut
 * window is not there: nobody's honest segment was. One stranger's would shut a window for ever
 * else, as nothing is acknowledged any more that would open it. */
static bool wl1_was_a_lie(const struct tcp_sock *tp, uint32_t seq)
{
	return unlikely(!tp->snd_wnd) && tp->pending == TCP_PEND_PROBE && tp->backoff &&
	       seq == tp->rcv_nxt;
}

void tcp_update_window(struct tcp_sock *tp, const struct sk_buff *skb)
{
	uint32_t wnd = (uint32_t)skb->tcp.window;
	uint32_t ack = skb->tcp.ack_seq, seq = skb->tcp.seq;

	if (!(skb->tcp.tcp_flags & TCPF_SYN))
		wnd <<= tp->snd_wscale;
	/* RFC 9293 3.10.7.4: SND.WL1 < SEG.SEQ or equal with a newer ACK; with the same numbers a
	 * larger window counts too, and one of zero: the peer ran out of memory (as Linux) */
	if (!(after(ack, tp->snd_una) || after(seq, tp->snd_wl1) ||
	      (seq == tp->snd_wl1 && (wnd > tp->snd_wnd || !wnd)) || wl1_was_a_lie(tp, seq)))
		return;
	tp->snd_wl1 = seq;
	tp->pred_window = skb->tcp.tcp_flags & TCPF_SYN ? TCP_NO_PRED : skb->tcp.window;
	if (wnd == tp->snd_wnd)
		return;
	if (unlikely(!tp->snd_wnd))
		window_opens(tp);
	tp->snd_wnd = wnd;
	if (wnd > tp->max_window)
		tp->max_window = wnd;
}

/* ack_out_of_range - false: the ACK is old but tolerable, ignore it and go on. */
static bool ack_out_of_range(struct tcp_sock *tp, uint32_t ack, enum skb_drop_reason *ret_why)
{
	if (before(ack, tp->snd_una)) {
		if (!before(ack, tp->snd_una - tp->max_window))
			return false;
		*ret_why = SKB_DROP_TCP_OLD_ACK; /* RFC 5961 5.2 (B4) */
	} else {
		*ret_why = SKB_DROP_TCP_BAD_ACK;
	}
	tcp_send_challenge_ack(tp);
	return true;
}

/* old_ack - overtaken by a later one; what it SACKs is news all the same. */
static void old_ack(struct tcp_sock *tp, uint32_t ack, const struct tcp_options *opt)
{
	struct tcp_rate_sample rate;
	struct tcp_ack_state a;

	if (!tp->sack_ok || !opt || !opt->nr_sacks)
		return;
	ack_state_init(&a, tp, &rate);
	tcp_sack_tag(tp, opt, ack, &a);
	tcp_fastretrans(tp, &a);
	tcp_rate_gen(tp, a.delivered, &rate);
	tcp_cong_control(tp, &a);
	if (tp->send_head || tp->lost_out)
		tcp_output_mark(tp);
}

/* is_dup_ack - RFC 5681 section 2, "duplicate acknowledgment". */
static bool is_dup_ack(const struct tcp_sock *tp, const struct sk_buff *skb, uint32_t prior_wnd)
{
	return skb->tcp.ack_seq == tp->snd_una && skb->len == 0 && tcp_flight(tp) &&
	       !(skb->tcp.tcp_flags & (TCPF_SYN | TCPF_FIN)) && prior_wnd == tp->snd_wnd;
}

/* sack_moves_timer - what was SACKed left after the head did: the RTO need not count from the
 * head's time. Not otherwise, or it might never come. */
static bool sack_moves_timer(const struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	const struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);

	return a->sack_rtt_ns != UINT64_MAX && head && head != tp->send_head &&
	       a->sack_rtt_ns > tcp_stack(tp)->now - head->tcp.tx_ns;
}

/* ecn_ack - RFC 3168 6.1.2, 8257 3.3: what the ECE bit says. */
static void ecn_ack(struct tcp_sock *tp, const struct sk_buff *skb, struct tcp_ack_state *a,
		    uint32_t prior_delivered)
{
	bool ece = (skb->tcp.tcp_flags & (TCPF_ECE | TCPF_SYN)) == TCPF_ECE;

	if (ece) {
		a->flags |= TCP_ACKF_ECE;
		tp->delivered_ce += tp->delivered - prior_delivered;
	}
	if (tp->ca->in_ack_event)
		tp->ca->in_ack_event(tp, a->acked, ece);
}

bool tcp_ack(struct tcp_sock *tp, struct sk_buff *skb, const struct tcp_options *opt,
	     enum skb_drop_reason *ret_why)
{
	uint32_t ack = skb->tcp.ack_seq, prior_wnd = tp->snd_wnd, prior_delivered = tp->delivered;
	struct tcp_rate_sample rate;
	struct tcp_ack_state a;

	if (unlikely(before(ack, tp->snd_una) || after(ack, tp->snd_nxt))) {
		if (ack_out_of_range(tp, ack, ret_why))
			return false;
		old_ack(tp, ack, opt);
		return true;
	}
	ack_state_init(&a, tp, &rate);
	a.ts_ecr = skb->tcp.has_ts ? skb->tcp.ts_ecr : 0;
	tcp_update_window(tp, skb);
	tp->probes_out = 0;
	tp->lack_ns = tcp_stack(tp)->now;
	/* RFC 9293 3.8.6.1: a peer whose window shrank to zero and who answers is not dead */
	if (unlikely(!tp->snd_wnd) && !tp->sk.sk_dead)
		tp->retransmits = 0;
	if (is_dup_ack(tp, skb, prior_wnd)) {
		a.flags |= TCP_ACKF_DUP;
		stat_inc(&tcp_stack(tp)->stats.tcp_dup_acks_in);
	}
	if (tp->sack_ok && opt && opt->nr_sacks)
		tcp_sack_tag(tp, opt, ack, &a);
	if (ack != tp->snd_una) {
		clean_rtx_queue(tp, ack, &a);
		if (tp->sack_ok && before(a.reord, a.prior_fack))
			tcp_check_reordering(tp, a.reord, a.prior_fack);
	} else if (sack_moves_timer(tp, &a)) {
		a.flags |= TCP_ACKF_TIMER;
	}
	take_rtt(tp, skb, &a);
	if (unlikely(tp->tlp_out))
		tcp_tlp_acked(tp, ack, &a);
	if (unlikely(tp->ecn_ok))
		ecn_ack(tp, skb, &a, prior_delivered);
	if (tp->ca_state != TCP_CA_OPEN ||
	    (a.flags & (TCP_ACKF_DUP | TCP_ACKF_SACKED | TCP_ACKF_DSACK | TCP_ACKF_ECE)))
		tcp_fastretrans(tp, &a);
	else if (a.acked)
		tp->dupacks = 0;
	if (a.acked)
		ack_progress(tp);
	if (a.flags & TCP_ACKF_TIMER)
		tcp_rearm_rto(tp);
	tcp_rate_gen(tp, a.delivered, &rate);
	tcp_cong_control(tp, &a);
	if (tp->send_head || tp->lost_out)
		tcp_output_mark(tp);
	return true;
}
