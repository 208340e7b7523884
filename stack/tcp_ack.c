/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an acknowledgment does: RFC 9293 3.10.7.4 fifth step for synchronised states, the
 * send window (3.10.7.4, SND.WL1), the retransmission queue, round-trip samples (RFC
 * 6298, Karn), and waking whoever waits for room.
 */
#include "stack/tcp_int.h"

void tcp_rtt_sample(struct tcp_sock *tp, uint64_t rtt_ns)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;
	uint32_t m = (uint32_t)min_t(uint64_t, rtt_ns / NSEC_PER_USEC + 1, 120000000);
	uint64_t var;

	if (!tp->min_rtt_us || m < tp->min_rtt_us)
		tp->min_rtt_us = m;
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
	if ((tags & TCPCB_SACKED) && tp->lost_hint && before(skb->tcp.seq, tp->lost_hint->tcp.seq))
		tp->lost_cnt -= n;
}

void tcp_write_unlink(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;

	tags_sub(tp, skb, tcp_skb_bytes(skb));
	if (unlikely(skb == tp->highest_sack))
		tp->highest_sack = NULL;
	if (unlikely(skb == tp->lost_hint)) {
		tp->lost_hint = NULL;
		tp->lost_cnt = 0;
	}
	if (unlikely(skb == tp->retrans_hint))
		tp->retrans_hint = NULL;
	if (skb == tp->send_head)
		tp->send_head = skb_queue_next(q, skb);
	tcp_wmem_sub(tp, skb->truesize);
	skb_unlink(q, skb);
}

struct clean_result {
	uint64_t rtt_ns;    /* valid if has_rtt */
	uint64_t newest_tx; /* latest transmission among what was acknowledged */
	bool has_rtt;
};

/* clean_partial - the ACK ends inside skb: drop the acknowledged front. */
static void clean_partial(struct tcp_sock *tp, struct sk_buff *skb, uint32_t ack)
{
	uint32_t n = ack - skb->tcp.seq;

	tags_sub(tp, skb, n);
	if (skb->len)
		skb_eat(skb, min_t(uint32_t, n, skb->len));
	skb->tcp.seq = ack;
}

/* clean_rtx_queue - free what is acknowledged. RTT from the oldest segment that was sent only
 * once and was not SACKed before (Karn). */
static void clean_rtx_queue(struct tcp_sock *tp, uint32_t ack, struct clean_result *r)
{
	struct stack *st = tcp_stack(tp);
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	struct sk_buff *skb;

	r->has_rtt = false;
	r->newest_tx = 0;
	while ((skb = skb_peek(q)) != NULL && skb != tp->send_head) {
		if (after(skb->tcp.end_seq, ack)) {
			if (after(ack, skb->tcp.seq))
				clean_partial(tp, skb, ack);
			break;
		}
		if (!skb->tcp.retrans && !(skb->tcp.sacked & TCPCB_SACKED) && !r->has_rtt) {
			r->has_rtt = true;
			r->rtt_ns = st->now - skb->tcp.tx_ns;
		}
		if (skb->tcp.tx_ns > r->newest_tx && !skb->tcp.retrans)
			r->newest_tx = skb->tcp.tx_ns;
		tcp_write_unlink(tp, skb);
		skb_free(skb);
	}
	tp->snd_una = ack;
	if (r->has_rtt)
		tcp_rtt_sample(tp, r->rtt_ns);
	if (r->newest_tx > tp->rack_tx_ns)
		tp->rack_tx_ns = r->newest_tx;
}

/* Linux's one-third rule: a waiting writer is told only when a third of the buffer is free, so
 * that it does not wake for every segment; with TCP_NOTSENT_LOWAT, when half of that is sent. */
bool tcp_is_writable(const struct tcp_sock *tp)
{
	return tp->sk.sk_wmem_queued <= tp->sk.sk_sndbuf / 3 * 2 &&
	       (likely(tp->notsent_lowat == UINT32_MAX) ||
		tcp_notsent(tp) < tp->notsent_lowat / 2 + (tp->notsent_lowat & 1));
}

void tcp_maybe_write_space(struct tcp_sock *tp)
{
	struct sock *sk = &tp->sk;

	if (likely(!sk->sk_want_write) || !tcp_is_writable(tp))
		return;
	sk->sk_want_write = false;
	sk->sk_write_space(sk);
}

/* ack_progress - book-keeping after snd_una moved. The backed-off timeout stays until a segment
 * that was sent once is measured (Karn; RFC 6298 section 5, last paragraph): on a path that
 * became slower than the RTO every segment would be sent twice for ever. */
static void ack_progress(struct tcp_sock *tp, bool has_rtt)
{
	tp->retransmits = 0;
	if (likely(has_rtt))
		tp->backoff = 0;
	tp->err_soft = 0;
	tcp_rearm_rto(tp);
	neigh_confirm(tcp_stack(tp), &tp->rt);
	tcp_maybe_write_space(tp);
}

void tcp_ack_simple(struct tcp_sock *tp, uint32_t ack)
{
	uint32_t acked = ack - tp->snd_una;
	struct clean_result r;

	if (unlikely(tp->tlp_out))
		tcp_tlp_acked(tp, ack, false);
	clean_rtx_queue(tp, ack, &r);
	tp->dupacks = 0;
	tp->probes_out = 0;
	tp->lack_ns = tcp_stack(tp)->now;
	tcp_cong_acked(tp, acked);
	ack_progress(tp, r.has_rtt);
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

void tcp_update_window(struct tcp_sock *tp, const struct sk_buff *skb)
{
	uint32_t wnd = (uint32_t)skb->tcp.window;
	uint32_t ack = skb->tcp.ack_seq, seq = skb->tcp.seq;

	if (!(skb->tcp.tcp_flags & TCPF_SYN))
		wnd <<= tp->snd_wscale;
	/* RFC 9293 3.10.7.4: SND.WL1 < SEG.SEQ or equal with a newer ACK; with the same numbers a
	 * larger window counts too, and one of zero: the peer ran out of memory (as Linux) */
	if (!(after(ack, tp->snd_una) || after(seq, tp->snd_wl1) ||
	      (seq == tp->snd_wl1 && (wnd > tp->snd_wnd || !wnd))))
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

bool tcp_ack(struct tcp_sock *tp, struct sk_buff *skb, const struct tcp_options *opt,
	     enum skb_drop_reason *ret_why)
{
	uint32_t ack = skb->tcp.ack_seq, prior_una = tp->snd_una, prior_wnd = tp->snd_wnd;
	uint32_t newly_sacked = 0, acked;
	struct clean_result r;
	bool is_dup;

	if (unlikely(before(ack, tp->snd_una) || after(ack, tp->snd_nxt)))
		return !ack_out_of_range(tp, ack, ret_why);
	tcp_update_window(tp, skb);
	tp->probes_out = 0;
	tp->lack_ns = tcp_stack(tp)->now;
	/* RFC 9293 3.8.6.1: a peer whose window shrank to zero and who answers is not dead */
	if (unlikely(!tp->snd_wnd) && !tp->sk.sk_dead)
		tp->retransmits = 0;
	/* RFC 5681 section 2, "duplicate acknowledgment" */
	is_dup = ack == prior_una && skb->len == 0 && tcp_flight(tp) &&
		 !(skb->tcp.tcp_flags & (TCPF_SYN | TCPF_FIN)) && prior_wnd == tp->snd_wnd;
	if (is_dup)
		stat_inc(&tcp_stack(tp)->stats.tcp_dup_acks_in);
	if (tp->sack_ok && opt && opt->nr_sacks)
		newly_sacked = tcp_sack_tag(tp, opt);
	/* before the flight shrinks: ssthresh is half of what was out */
	if (unlikely(tp->tlp_out))
		tcp_tlp_acked(tp, ack, opt && opt->nr_sacks && !after(opt->sack[0].end, ack));
	acked = ack - prior_una;
	if (acked)
		clean_rtx_queue(tp, ack, &r);
	if (tp->ca_state != TCP_CA_OPEN || is_dup || newly_sacked)
		tcp_fastretrans(tp, acked, newly_sacked, is_dup);
	else if (acked)
		tp->dupacks = 0;
	if (acked) {
		if (tp->ca_state != TCP_CA_RECOVERY)
			tcp_cong_acked(tp, acked);
		ack_progress(tp, r.has_rtt);
	}
	if (tp->send_head || tp->lost_out)
		tcp_output_mark(tp);
	return true;
}
