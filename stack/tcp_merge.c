/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small lost segments go again as one (RFC 9293 3.8.1: a sender may repackage what it sends
 * again; RFC 1122 4.2.3.4): after an RTO the window is one segment, and as many tiny ones as
 * are in it would overrun the queue that lost them.
 */
#include "stack/tcp_int.h"

/* may_take - next stands right behind skb, is as lost as it, and its bytes fit behind skb's, which
 * nobody else sees. */
static bool may_take(const struct tcp_sock *tp, const struct sk_buff *skb,
		     const struct sk_buff *next)
{
	return next && next != tp->send_head && (next->tcp.sacked & ~TCPCB_PUSHED) == TCPCB_LOST &&
	       !(skb->tcp.tcp_flags & (TCPF_SYN | TCPF_FIN)) && skb_writable(skb) &&
	       next->len <= skb_tailroom(skb) && skb->len + next->len <= tp->mss_cache &&
	       !after(next->tcp.end_seq, tp->snd_una + tp->snd_wnd);
}

void tcp_merge_lost(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	struct sk_buff *next;

	if ((skb->tcp.sacked & ~TCPCB_PUSHED) != TCPCB_LOST)
		return;
	while (may_take(tp, skb, next = skb_queue_next(q, skb))) {
		uint32_t n = next->len;

		if (n)
			BUG_ON(skb_copy_bits(next, 0, skb_put(skb, n), n));
		skb->tcp.end_seq = next->tcp.end_seq;
		skb->tcp.tcp_flags |= next->tcp.tcp_flags;
		skb->tcp.retrans = max_t(uint8_t, skb->tcp.retrans, next->tcp.retrans);
		/* its bytes are counted as lost still, now as skb's */
		next->tcp.sacked = 0;
		tcp_index_merge(tp, next, skb);
		tcp_write_unlink(tp, next);
		skb_free(next);
	}
}
