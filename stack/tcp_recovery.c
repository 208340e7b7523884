/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss recovery: from OPEN over DISORDER to fast recovery or, by the RTO, LOSS, and back, in
 * the order in which Linux's tcp_fastretrans_alert asks. What is lost says RACK with SACK
 * (tcp_rack.c), NewReno without (RFC 6582), duplicate ACKs then standing in for SACKed bytes;
 * how much may go meanwhile says PRR (tcp_cong.c). RFCs: 5681, 6675, 6582, 8985.
 */
#include "stack/tcp_guard.h"

/* A peer that seems to have reneged gets this long to make up for it (Linux). */
#define RENEGE_WAIT_NS (10 * NSEC_PER_MSEC)

void tcp_set_ca_state(struct tcp_sock *tp, enum tcp_ca_state state)
{
	if (tp->ca->set_state && tp->ca_state != state)
		tp->ca->set_state(tp, state);
	tp->ca_state = (uint8_t)state;
}

/* ---- without SACK ---- */

/* reno_dupack - each duplicate ACK says that one segment has left the network. */
static void reno_dupack(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	uint32_t flight = tcp_flight(tp), mss = tp->mss_cache, were_out = tp->recover - tp->snd_una;

	tp->dupacks = (uint8_t)min_t(unsigned, tp->dupacks + 1u, 255);
	/* a duplicate in the middle of F-RTO is of the new data */
	if (tp->ca_state == TCP_CA_LOSS && !after(tp->snd_nxt, tp->recover))
		return;
	/* B30: not more than were out when the recovery began, or forged ones would drive us (the
	 * bound that RFC 5681 5 quotes) */
	if (tp->ca_state == TCP_CA_RECOVERY && tp->sacked_out + mss > were_out)
		return;
	if (tp->sacked_out + tp->lost_out + mss < flight) {
		tp->sacked_out += mss;
		tp->delivered++;
		a->delivered += mss;
	}
}

/* reno_clamp - dup ACKs are counted as full segments, whatever was sent: never more than what
 * is in flight and not lost, or the pipe would be negative. */
static void reno_clamp(struct tcp_sock *tp)
{
	uint32_t flight = tcp_flight(tp);

	if (tp->sacked_out + tp->lost_out > flight)
		tp->sacked_out = flight - min_t(uint32_t, tp->lost_out, flight);
}

/* reno_acked - the segments that dup ACKs stood for are among the acknowledged, but for the
 * first: they were delivered before. */
static void reno_acked(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	uint32_t mss = tp->mss_cache, n = a->acked > mss ? a->acked - mss : 0;

	a->delivered = max_t(uint32_t, a->acked - min_t(uint32_t, tp->sacked_out, a->acked),
			     min_t(uint32_t, a->acked, mss));
	tp->sacked_out -= min_t(uint32_t, n, tp->sacked_out);
	tp->dupacks = 0;
	reno_clamp(tp);
}

/* reno_mark_lost - the head after DupThresh duplicates (RFC 5681 3.2), unless these are of what the
 * last recovery sent (RFC 6582 3.2 step 2); and after a partial ACK the next one (step 3). */
static void reno_mark_lost(struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);
	bool lost = tp->ca_state < TCP_CA_RECOVERY
			    ? tp->dupacks >= TCP_DUPTHRESH && tp->snd_una != tp->recover
			    : tp->ca_state == TCP_CA_RECOVERY && a->acked;

	if (!lost || !head || head == tp->send_head)
		return;
	if (!(head->tcp.sacked & TCPCB_LOST))
		tcp_mark_lost(tp, head);
	reno_clamp(tp);
}

/* ---- the states ---- */

void tcp_enter_recovery(struct tcp_sock *tp, bool ece)
{
	struct stack *st = tcp_stack(tp);

	if (unlikely(tp->mtup.probe_size) && __tcp_mtu_probe_lost(tp))
		return;
	stat_inc(&st->stats.tcp_fast_retrans);
	stat_inc(tp->sack_ok ? &st->stats.tcp_sack_recovery : &st->stats.tcp_reno_recovery);
	tp->prior_ssthresh = 0;
	tcp_undo_init(tp);
	if (tp->ca_state != TCP_CA_CWR) {
		if (!ece)
			tp->prior_ssthresh = tcp_current_ssthresh(tp);
		tcp_cwnd_reduction_begin(tp);
	}
	tp->recover = tp->snd_nxt;
	tcp_set_ca_state(tp, TCP_CA_RECOVERY);
	if (!tp->sack_ok)
		reno_clamp(tp);
}

/* identify_loss - what of the flight is lost, as far as this ACK tells. */
static void identify_loss(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	uint16_t dsack = a->flags & (TCP_ACKF_DSACK | TCP_ACKF_DSACK_TLP);

	if (!tp->sack_ok) {
		reno_mark_lost(tp, a);
		return;
	}
	/* one about a probe says nothing of RACK, nor does any where nothing was reordered */
	tcp_rack_update_reo_wnd(tp, dsack == TCP_ACKF_DSACK && tp->reord_seen, false);
	if (tcp_rack_mark_lost(tp))
		a->flags |= TCP_ACKF_LOST_RETRANS;
	/* the reordering timer was set: the RTO does not replace it */
	if (tp->pending == TCP_PEND_REO)
		a->flags &= (uint16_t)~TCP_ACKF_TIMER;
}

/* reneges - the head is SACKed but not acknowledged (RFC 2018 8): either ACKs were reordered, or
 * the peer threw away what it had told of. The RTO comes soon, and forgets the SACKs. */
static bool reneges(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	const struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);

	if (likely(!(a->flags & TCP_ACKF_UNA)) || !head || head == tp->send_head ||
	    !(head->tcp.sacked & TCPCB_SACKED))
		return false;
	a->flags &= (uint16_t)~TCP_ACKF_TIMER;
	tcp_arm_retrans(tp, TCP_PEND_RETRANS,
			max_t(uint64_t, (tp->srtt_us8 >> 4) * NSEC_PER_USEC, RENEGE_WAIT_NS));
	return true;
}

/* leave_state - snd_una has reached what had been sent when the state began. */
static void leave_state(struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	switch (tp->ca_state) {
	case TCP_CA_CWR:
		/* beyond it: the CWR bit went with the first new segment (RFC 3168 6.1.2) */
		if (tp->snd_una != tp->recover) {
			tcp_cwnd_reduction_end(tp);
			tcp_set_ca_state(tp, TCP_CA_OPEN);
		}
		break;
	case TCP_CA_RECOVERY:
		if (!tp->sack_ok)
			tp->sacked_out = 0;
		tp->dupacks = 0;
		tcp_undo_at_end(tp, a);
		tcp_cwnd_reduction_end(tp);
		tcp_set_ca_state(tp, TCP_CA_OPEN);
		tcp_rack_update_reo_wnd(tp, false, true);
		break;
	default:
		break;
	}
}

/* in_recovery - fast recovery goes on, unless it was a mistake. False: nothing more to ask. */
static bool in_recovery(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	if ((a->flags & TCP_ACKF_UNA) && tcp_undo_partial(tp, a))
		return false;
	if (tcp_undo_by_dsack(tp))
		tcp_try_keep_open(tp);
	identify_loss(tp, a);
	return tp->ca_state != TCP_CA_RECOVERY;
}

static bool in_loss(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	tcp_process_loss(tp, a);
	identify_loss(tp, a);
	return tp->ca_state == TCP_CA_OPEN || (a->flags & TCP_ACKF_LOST_RETRANS);
}

static void in_open(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	if (!tp->sack_ok && (a->flags & TCP_ACKF_UNA))
		tp->sacked_out = 0;
	if (tp->ca_state <= TCP_CA_DISORDER)
		(void)tcp_undo_by_dsack(tp);
	identify_loss(tp, a);
}

void tcp_fastretrans(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	bool ask = true;

	if (!tp->sack_ok) {
		if (a->acked)
			reno_acked(tp, a);
		if (a->flags & TCP_ACKF_DUP)
			reno_dupack(tp, a);
	}
	if (a->flags & TCP_ACKF_ECE)
		tp->prior_ssthresh = 0;
	if (reneges(tp, a))
		return;
	if (tp->ca_state == TCP_CA_OPEN)
		tp->retrans_stamp = 0;
	else if (!before(tp->snd_una, tp->recover))
		leave_state(tp, a);
	if (tp->ca_state == TCP_CA_RECOVERY)
		ask = in_recovery(tp, a);
	else if (tp->ca_state == TCP_CA_LOSS)
		ask = in_loss(tp, a);
	else
		in_open(tp, a);
	if (!ask)
		return;
	if (tp->lost_out) {
		tcp_enter_recovery(tp, a->flags & TCP_ACKF_ECE);
		return;
	}
	if (!tcp_any_retrans(tp))
		tp->retrans_stamp = 0;
	if (a->flags & TCP_ACKF_ECE)
		tcp_enter_cwr(tp);
	if (tp->ca_state != TCP_CA_CWR)
		tcp_try_keep_open(tp);
}

/* ---- the RTO ---- */

/* forget_sacks - the first segment SACKed at a timeout means that the peer reneged (RFC 2018 8):
 * it may hold none of the others either. */
static void forget_sacks(struct tcp_sock *tp)
{
	const struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);
	struct sk_buff *skb;

	if (!tp->sack_ok)
		tp->sacked_out = 0;
	if (!head || !(head->tcp.sacked & TCPCB_SACKED))
		return;
	skb_queue_walk (&tp->sk.sk_write_queue, skb) {
		if (skb == tp->send_head)
			break;
		if (!(skb->tcp.sacked & TCPCB_SACKED))
			continue;
		skb->tcp.sacked = 0;
		list_init(&skb->tcp.link);
	}
	tp->sacked_out = tp->sacked_segs = 0;
	tp->highest_sack = NULL;
	tp->nr_sack_seen = 0;
}

/* timeout_mark_lost - all that is not SACKed, but for what left so late that its answer may still
 * come (RFC 8985 6.3, RFC 6675 5.1). */
static void timeout_mark_lost(struct tcp_sock *tp)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	struct sk_buff *head = skb_peek(q), *skb;

	forget_sacks(tp);
	tp->lost_hint = NULL;
	for (skb = head; skb && skb != tp->send_head; skb = skb_queue_next(q, skb)) {
		if (skb->tcp.sacked & TCPCB_SACKED)
			continue;
		/* lost before, and not sent again yet: those behind it find their place by it */
		if ((skb->tcp.sacked & (TCPCB_LOST | TCPCB_RETRANS)) == TCPCB_LOST) {
			tp->lost_hint = skb;
			continue;
		}
		if (skb != head && tcp_rack_recent(tp, skb) && !list_empty(&skb->tcp.link))
			continue;
		tcp_mark_lost(tp, skb);
	}
}

void tcp_enter_loss(struct tcp_sock *tp)
{
	bool first = tp->ca_state < TCP_CA_RECOVERY;

	/* RFC 5681 3.1: once per loss event, not once per backoff */
	if (tp->ca_state <= TCP_CA_DISORDER || !after(tp->recover, tp->snd_una)) {
		tp->prior_ssthresh = tcp_current_ssthresh(tp);
		tp->prior_cwnd = tp->snd_cwnd;
		tp->retrans_stamp = 0;
		tp->snd_ssthresh = tp->ca->ssthresh(tp);
		tcp_undo_init(tp);
	}
	timeout_mark_lost(tp);
	tp->tlp_out = false;
	tp->cwr_owed = tp->ecn_ok;
	tp->snd_cwnd = tcp_pipe(tp) + tp->mss_cache;
	tp->cwnd_acked = 0;
	tp->dupacks = 0;
	tcp_set_ca_state(tp, TCP_CA_LOSS);
	tp->recover = tp->snd_nxt;
	/* RFC 5682 2.1 step 1; not when a recovery was under way, nor, by 3.2, before the first ACK
	 * that advances after a timeout of the same segment */
	tp->frto = tcp_stack(tp)->cfg.frto && (first || tp->retransmits > 1) ? TCP_FRTO_WAIT
									     : TCP_FRTO_OFF;
}
