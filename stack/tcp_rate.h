/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast the path delivers: draft-cheng-iccrg-delivery-rate-estimation, for TCP_INFO. Each
 * segment remembers when it left what had been delivered by then; when it is delivered itself, the
 * bytes in between over the time in between, at the sender or at the receiver, whichever is longer,
 * are a sample. Nothing here divides: who asks does. Unlike Linux's, which counts segments, the
 * samples are of bytes, as the draft has them. Owner lane only.
 */
#ifndef STACK_TCP_RATE_H
#define STACK_TCP_RATE_H

#include "stack/tcp_int.h"

/* tcp_rate_sent - skb is about to leave; its tx_ns is set (draft 3.2). */
static inline void tcp_rate_sent(struct tcp_sock *tp, struct sk_buff *skb)
{
	if (!tcp_flight(tp))
		tp->rate.first_tx_ns = tp->rate.delivered_ns = skb->tcp.tx_ns;
	skb->rate.first_tx_ns = tp->rate.first_tx_ns;
	skb->rate.delivered_ns = tp->rate.delivered_ns;
	skb->rate.delivered = tp->rate.delivered;
	skb->rate.app_limited = tp->rate.limited;
}

/* tcp_rate_delivered - skb was acknowledged or SACKed, for the first time (draft 3.3): of all that
 * an ACK tells of, the one that was sent last counts. */
static inline void tcp_rate_delivered(const struct sk_buff *skb, struct tcp_rate_sample *rs)
{
	if (rs->prior_ns && (skb->tcp.tx_ns < rs->tx_ns || (skb->tcp.tx_ns == rs->tx_ns &&
							    before(skb->tcp.end_seq, rs->end_seq))))
		return;
	rs->tx_ns = skb->tcp.tx_ns;
	rs->end_seq = skb->tcp.end_seq;
	rs->first_tx_ns = skb->rate.first_tx_ns;
	rs->prior_ns = skb->rate.delivered_ns;
	rs->prior = skb->rate.delivered;
	rs->app_limited = skb->rate.app_limited;
}

/* tcp_rate_gen - an ACK is done that told of `delivered` bytes more (draft 3.3). */
void tcp_rate_gen(struct tcp_sock *tp, uint32_t delivered, const struct tcp_rate_sample *rs);

/* tcp_rate_check_app_limited - something was sent, `pipe` is in flight: have we run out (draft
 * 3.4)? What waits is no segment, cwnd has room, and what is lost has been sent again. */
static inline void tcp_rate_check_app_limited(struct tcp_sock *tp, uint32_t pipe)
{
	if (tcp_notsent(tp) < tp->mss_cache && pipe < tp->snd_cwnd &&
	    tp->lost_out <= tp->retrans_out) {
		tp->rate.app_limited = tp->rate.delivered + pipe;
		tp->rate.limited = true;
	}
}

/* tcp_rate_bytes_per_s - the latest sample; 0 none. */
uint64_t tcp_rate_bytes_per_s(const struct tcp_sock *tp);

#endif
