/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Explicit congestion notification (RFC 3168): ECT(0) on new data, ECE until the peer says CWR,
 * CWR once a window; what the handshake agrees on. DCTCP has a receiver's rule of its own.
 * Not here: ECN++ (marks on control packets), AccECN.
 */
#include "stack/tcp_int.h"

/* Segments acknowledged at once after a first mark, so that the sender learns of it soon. */
#define ECN_QUICKACKS 2u

uint8_t tcp_ecn_syn(struct tcp_sock *tp)
{
	tp->ecn_asked = tcp_stack(tp)->cfg.ecn == TCP_ECN_ASK || tp->ca->needs_ecn;
	return tp->ecn_asked ? TCPF_ECE | TCPF_CWR : 0;
}

bool tcp_ecn_syn_accept(const struct tcp_sock *lp, const struct sk_buff *skb)
{
	const uint8_t both = TCPF_ECE | TCPF_CWR;

	/* 6.1.1; a SYN that is itself marked passed something that knows no better */
	return (tcp_stack(lp)->cfg.ecn != TCP_ECN_OFF || lp->ca->needs_ecn) &&
	       (skb->tcp.tcp_flags & both) == both && !(skb_iphdr(skb)->tos & IP_ECN_MASK);
}

bool tcp_ecn_synack_accept(const struct tcp_sock *tp, const struct sk_buff *skb)
{
	/* 6.1.1: ECE without CWR; both is what a host sends that reflects bits it does not know */
	return tp->ecn_asked && (skb->tcp.tcp_flags & (TCPF_ECE | TCPF_CWR)) == TCPF_ECE;
}

void tcp_ecn_data(struct tcp_sock *tp, const struct sk_buff *skb)
{
	bool ce = skb->tcp.tcp_flags & TCPF_CE;

	tp->ecn_seen |= (skb_iphdr(skb)->tos & IP_ECN_MASK) != 0;
	if (tp->ca->needs_ecn) {
		tp->ca->cwnd_event(tp, ce ? TCP_CA_EVENT_CE : TCP_CA_EVENT_NO_CE);
		return;
	}
	if (skb->tcp.tcp_flags & TCPF_CWR) {
		/* 6.1.3; its window may be one segment by now: no delay */
		tp->ece_owed = false;
		tp->ack_pending |= TCP_ACK_NOW;
		tcp_output_mark(tp);
	}
	if (ce && !tp->ece_owed) {
		tp->ece_owed = true;
		tp->quickack = max_t(uint8_t, tp->quickack, ECN_QUICKACKS);
		tp->pingpong = false;
	}
}

uint8_t tcp_ecn_flags(struct tcp_sock *tp, const struct sk_buff *skb, uint8_t *tos)
{
	uint8_t flags = tp->ece_owed ? TCPF_ECE : 0;

	/* 6.1.4 to 6.1.6: no ECT on bare ACKs, retransmissions and window probes */
	if (!skb || !skb->len || before(skb->tcp.seq, tp->snd_nxt))
		return flags;
	*tos |= IP_ECN_ECT0;
	if (tp->cwr_owed) {
		tp->cwr_owed = false;
		flags |= TCPF_CWR;
	}
	return flags;
}
