/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment comes in: validate the header (RFC 9293 3.10.7), find whose it is, and for an
 * ESTABLISHED connection take the fast path if every answer is the usual one. All else
 * walks the RFC's steps in tcp_rcv_state.c.
 */
#include "stack/tcp_fast.h"

static bool tcp_csum_ok(struct stack *st, const struct sk_buff *skb, const struct iphdr_ *ip)
{
	if (skb->ip_summed == CHECKSUM_GOOD) {
		stat_inc(&st->stats.csum_hw_rx);
		return true;
	}
	if (skb->ip_summed == CHECKSUM_BAD)
		return false;
	stat_inc(&st->stats.csum_sw_rx);
	return csum_fold(csum_skb(
		       skb, 0, skb->len,
		       csum_pseudo(ip->saddr, ip->daddr, (uint16_t)skb->len, IPPROTO_TCP_))) == 0;
}

/* tcp_validate - lengths, ports, checksum (B13, B16, B34); fills the control block and pulls
 * the header. False: skb was dropped. */
static bool tcp_validate(struct stack *st, struct sk_buff *skb)
{
	const struct tcphdr_ *th;
	unsigned hlen;

	if (unlikely(!skb_may_pull(skb, TCP_HLEN)))
		goto bad;
	th = (const struct tcphdr_ *)skb->data;
	hlen = (th->doff >> 4) * 4u;
	if (unlikely(hlen < TCP_HLEN || hlen > skb->len || !skb_may_pull(skb, hlen)))
		goto bad;
	th = (const struct tcphdr_ *)skb->data;
	if (unlikely(!th->source || !th->dest))
		goto bad;
	if (unlikely(!tcp_csum_ok(st, skb, skb_iphdr(skb)))) {
		stat_inc(&st->stats.tcp_in_errs);
		skb_drop(skb, SKB_DROP_TCP_BAD_CSUM);
		return false;
	}
	skb->transport_header = (uint16_t)(skb->data - skb->head);
	skb->tcp.seq = be32(th->seq);
	skb->tcp.ack_seq = be32(th->ack_seq);
	skb->tcp.tcp_flags = th->flags;
	if (unlikely((skb_iphdr(skb)->tos & IP_ECN_MASK) == IP_ECN_CE))
		skb->tcp.tcp_flags |= TCPF_CE;
	skb->tcp.window = be16(th->window);
	skb->tcp.hdr_len = (uint16_t)hlen;
	skb->tcp.has_ts = 0;
	skb->tcp.sacked = 0;
	skb->tcp.end_seq = skb->tcp.seq + (skb->len - hlen) + !!(th->flags & TCPF_SYN) +
			   !!(th->flags & TCPF_FIN);
	skb_pull(skb, hlen);
	return true;
bad:
	stat_inc(&st->stats.tcp_in_errs);
	skb_drop(skb, SKB_DROP_TCP_BAD_HEADER);
	return false;
}

/*
 * tcp_rcv_fast - true if skb was the usual segment and is consumed. The questions are those
 * of Van Jacobson's header prediction; after any "no" the slow path starts anew.
 */
static bool tcp_rcv_fast(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = &skb->tcp;
	struct stack *st = tcp_stack(tp);
	bool acks_new;

	/* nothing but ACK and perhaps PSH, no option beyond the timestamp, the window as before */
	if ((cb->tcp_flags & ~TCPF_PSH) != TCPF_ACK || cb->hdr_len != tp->hdr_len ||
	    cb->window != tp->pred_window)
		return false;
	/* exactly the next byte, inside the window */
	if (cb->seq != tp->rcv_nxt || skb->len > tcp_receive_window(tp))
		return false;
	/* no disorder on either side, no mark to tell of, nobody shut down the receiving side */
	if ((tp->ca_state | tp->ece_owed) != TCP_CA_OPEN || !skb_queue_empty(&tp->ofo_queue) ||
	    tp->sk.sk_shutdown)
		return false;
	/* an ACK of what we sent and no more; a bare duplicate is for the slow path */
	acks_new = after(cb->ack_seq, tp->snd_una);
	if (before(cb->ack_seq, tp->snd_una) || after(cb->ack_seq, tp->snd_nxt) ||
	    (!acks_new && skb->len == 0))
		return false;
	if (tp->tstamp_ok) {
		if (!tcp_fast_ts(skb) || before(cb->ts_val, tp->ts_recent))
			return false;
		/* RFC 7323 4.3 (2): only a segment that spans Last.ACK.sent */
		if (!after(cb->seq, tp->rcv_wup)) {
			tp->ts_recent = cb->ts_val;
			tp->ts_recent_ns = st->now;
		}
	}
	tp->snd_wl1 = cb->seq;
	if (skb->len) {
		uint32_t len = skb->len, ack = cb->ack_seq;

		if (unlikely(tp->ecn_ok))
			tp->ecn_seen |= (skb_iphdr(skb)->tos & IP_ECN_MASK) != 0;
		tcp_rcv_measure(tp, skb);
		if (!tcp_queue_rcv(tp, skb))
			return false;
		tcp_event_data_recv(tp, len);
		if (acks_new)
			tcp_ack_simple(tp, ack);
		tcp_data_ready(tp);
	} else {
		tcp_ack_simple(tp, cb->ack_seq);
		skb_free(skb);
	}
	return true;
}

static void tcp_sock_rcv(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct stack *st = tcp_stack(tp);

	tp->segs_in++;
	tp->data_segs_in += skb->len != 0;
	if (likely(tp->sk.sk_state == TCP_ESTABLISHED)) {
		if (likely(tcp_rcv_fast(tp, skb))) {
			stat_inc(&st->stats.tcp_fast_path);
			return;
		}
		stat_inc(&st->stats.tcp_slow_path);
		tcp_rcv_segment(tp, skb);
	} else if (tp->sk.sk_state == TCP_SYN_SENT) {
		tcp_rcv_syn_sent(tp, skb);
	} else {
		tcp_rcv_segment(tp, skb);
	}
}

/* tcp_rcv_closed - RFC 9293 3.10.7.1: no connection. */
static void tcp_rcv_closed(struct stack *st, struct sk_buff *skb)
{
	tcp_send_reset(st, skb);
	skb_drop(skb, SKB_DROP_TCP_NO_SOCKET);
}

static COLD void tcp_rcv_no_sock(struct stack *st, struct sk_buff *skb, struct tcp_node *n)
{
	const struct iphdr_ *ip = skb_iphdr(skb);
	const struct tcphdr_ *th = skb_tcphdr(skb);
	uint32_t min_isn = 0;
	struct tcp_sock *lp;

	if (n && n->kind == TCP_NODE_REQ) {
		tcp_req_rcv(st, container_of(n, struct tcp_req, node), skb);
		return;
	}
	if (n && !tcp_tw_rcv(st, container_of(n, struct tcp_tw, node), skb, &min_isn))
		return;
	lp = tcp_lookup_listener(st->tcp, ip->daddr, be16(th->dest), ip->saddr, be16(th->source));
	if (lp)
		tcp_listen_rcv(lp, skb, min_isn);
	else
		tcp_rcv_closed(st, skb);
}

void tcp_v4_look_ahead(const struct stack *st, const struct sk_buff *skb)
{
	const struct iphdr_ *ip = (const struct iphdr_ *)(skb->data + ETH_HLEN);
	const struct tcphdr_ *th = (const struct tcphdr_ *)(ip + 1);

	if (skb_headlen(skb) < ETH_HLEN + IP_HLEN + TCP_HLEN || ip->ver_ihl != 0x45)
		return;
	__builtin_prefetch(
		tcp_bucket(st->tcp, ip->daddr, ip->saddr, be16(th->dest), be16(th->source)));
}

void tcp_v4_demux(struct stack *st, struct sk_buff *skb)
{
	const struct iphdr_ *ip = skb_iphdr(skb);
	const struct tcphdr_ *th;
	struct tcp_node *n;

	th = skb_tcphdr(skb);
	n = __tcp_lookup(st->tcp, ip->daddr, ip->saddr, be16(th->dest), be16(th->source));
	if (likely(n && n->kind == TCP_NODE_SOCK))
		tcp_sock_rcv(container_of(n, struct tcp_sock, node), skb);
	/* Only what nobody here knows is worth the question whose it is. */
	else if (n ||
		 !steer_away(st, skb, SKB_STEER_TCP, ip->saddr, ip->daddr, th->source, th->dest))
		tcp_rcv_no_sock(st, skb, n);
}

void tcp_v4_rcv(struct stack *st, struct sk_buff *skb)
{
	stat_inc(&st->stats.tcp_in_segs);
	if (likely(tcp_validate(st, skb)))
		tcp_v4_demux(st, skb);
}
