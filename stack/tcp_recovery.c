/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss recovery: from OPEN over DISORDER to fast recovery or, by the RTO, LOSS, and back. What
 * is lost says RACK with SACK (tcp_rack.c), NewReno without (RFC 6582), duplicate ACKs then
 * standing in for SACKed bytes. RFCs: 5681, 6675, 6582, 8985.
 */
#include "stack/tcp_int.h"

/* reno_dupack - without SACK each duplicate ACK says that one segment has left the network. */
static void reno_dupack(struct tcp_sock *tp)
{
	uint32_t flight = tcp_flight(tp), mss = tp->mss_cache;

	if (tp->sacked_out + tp->lost_out + mss < flight)
		tp->sacked_out += mss;
}

/* reno_clamp - dup ACKs are counted as full segments, whatever was sent: never more than what
 * is in flight and not lost, or the pipe would be negative. */
static void reno_clamp(struct tcp_sock *tp)
{
	uint32_t flight = tcp_flight(tp);

	if (tp->sacked_out + tp->lost_out > flight)
		tp->sacked_out = flight - min_t(uint32_t, tp->lost_out, flight);
}

/* reno_acked - after a partial ACK the segments that dup ACKs stood for are among the
 * acknowledged, but for the first. */
static void reno_acked(struct tcp_sock *tp, uint32_t acked)
{
	uint32_t n = acked > tp->mss_cache ? acked - tp->mss_cache : 0;

	tp->sacked_out -= min_t(uint32_t, n, tp->sacked_out);
	reno_clamp(tp);
}

void tcp_enter_recovery(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);

	stat_inc(&st->stats.tcp_fast_retrans);
	stat_inc(tp->sack_ok ? &st->stats.tcp_sack_recovery : &st->stats.tcp_reno_recovery);
	tp->ca_state = TCP_CA_RECOVERY;
	tp->recover = tp->snd_nxt;
	tp->tlp_out = false;
	tp->snd_ssthresh = tp->ca->ssthresh(tp);
	/* RFC 6675 step 4.3: the first retransmission does not wait for the pipe */
	tp->snd_cwnd = max_t(uint32_t, tp->snd_ssthresh, tcp_pipe(tp) + tp->mss_cache);
	tp->cwnd_acked = 0;
	if (!tp->sack_ok)
		reno_clamp(tp);
}

static void leave_recovery(struct tcp_sock *tp)
{
	/* RFC 6582 step 3: cwnd = min(ssthresh, flight + mss) avoids a burst */
	tp->snd_cwnd = min_t(uint32_t, tp->snd_ssthresh,
			     max_t(uint32_t, tcp_flight(tp), tp->mss_cache) + tp->mss_cache);
	tp->snd_cwnd = max_t(uint32_t, tp->snd_cwnd, 2u * tp->mss_cache);
	tp->dupacks = 0;
	tp->ca_state = tp->sacked_out && tp->sack_ok ? TCP_CA_DISORDER : TCP_CA_OPEN;
	if (!tp->sack_ok)
		tp->sacked_out = 0;
	tcp_rack_update_reo_wnd(tp, false, true);
}

/* reno_mark_lost - without SACK: the head after DupThresh duplicates (RFC 5681 3.2), and after a
 * partial ACK the next one as well (RFC 6582 3.2 step 3). */
static void reno_mark_lost(struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);

	if (!head || head == tp->send_head)
		return;
	if (tp->ca_state < TCP_CA_RECOVERY ? tp->dupacks >= TCP_DUPTHRESH
					   : tp->ca_state == TCP_CA_RECOVERY && a->acked) {
		if (!(head->tcp.sacked & TCPCB_LOST))
			tcp_mark_lost(tp, head);
		reno_clamp(tp);
	}
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

static void reno_ack(struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	if (a->acked)
		tp->dupacks = 0;
	if (a->flags & TCP_ACKF_DUP) {
		tp->dupacks = (uint8_t)min_t(unsigned, tp->dupacks + 1u, 255);
		reno_dupack(tp);
	}
	if (a->acked)
		reno_acked(tp, a->acked);
}

void tcp_fastretrans(struct tcp_sock *tp, struct tcp_ack_state *a)
{
	if (!tp->sack_ok)
		reno_ack(tp, a);
	if (tp->ca_state >= TCP_CA_RECOVERY && !before(tp->snd_una, tp->recover))
		leave_recovery(tp);
	identify_loss(tp, a);
	if (tp->ca_state >= TCP_CA_RECOVERY)
		return;
	if (tp->lost_out)
		tcp_enter_recovery(tp);
	else if (!tp->sacked_out && !tp->dupacks)
		tp->ca_state = TCP_CA_OPEN;
	else
		tp->ca_state = TCP_CA_DISORDER;
	if (!tp->sack_ok && tp->ca_state == TCP_CA_OPEN)
		tp->sacked_out = 0;
}

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
		if (skb != head && tcp_rack_recent(tp, skb) && !list_empty(&skb->tcp.link))
			continue;
		tcp_mark_lost(tp, skb);
	}
}

void tcp_enter_loss(struct tcp_sock *tp)
{
	/* RFC 5681 3.1: once per loss event, not once per backoff */
	if (tp->ca_state != TCP_CA_LOSS || !before(tp->snd_una, tp->recover))
		tp->snd_ssthresh = tp->ca->ssthresh(tp);
	timeout_mark_lost(tp);
	tp->tlp_out = false;
	tp->ca_state = TCP_CA_LOSS;
	tp->recover = tp->snd_nxt;
	tp->snd_cwnd = tcp_pipe(tp) + tp->mss_cache;
	tp->cwnd_acked = 0;
	tp->dupacks = 0;
}
