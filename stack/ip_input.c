/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 inward (RFC 791, RFC 1122 3.2.1): every check before a transport sees the packet.
 * We are a host: nothing is forwarded, options are skipped, and who asks for a route of its own
 * is refused (RFC 7126 4.3, 4.4). Fragments are ip_frag.c's.
 */
#include "stack/stack_int.h"

/*
 * A source that no host may send from (RFC 1122 3.2.1.3, RFC 6890; rows B6 and B7): this
 * network, loopback, multicast, reserved, a broadcast - or our own address, unless the
 * packet came by our own loopback.
 */
static bool src_refused(const struct stack *st, const struct sk_buff *skb, uint32_t saddr)
{
	uint8_t first = (uint8_t)saddr;

	if (first == 0 || first == 127 || first >= 224)
		return true;
	if (saddr == st->ip)
		return !(skb->flags & SKB_F_LOOP);
	return saddr == st->bcast || saddr == st->net0;
}

/* What is not for us: why. RFC 1122 3.3.6 for IP unicast in a link-layer broadcast. */
static enum skb_drop_reason dst_reason(const struct stack *st, uint32_t daddr)
{
	uint8_t first = (uint8_t)daddr;

	if (first == 0 || first == 127 || first >= 224 || daddr == st->ip || daddr == st->bcast ||
	    daddr == st->net0)
		return SKB_DROP_IP_BAD_DST;
	return SKB_DROP_IP_NOT_LOCAL;
}

/* The header's sum. csum_sw_rx and csum_hw_rx are the transports' to count. */
static bool csum_ok(const struct sk_buff *skb, const struct iphdr_ *iph, unsigned hlen)
{
	if (skb->ip_summed == CHECKSUM_GOOD)
		return true;
	if (skb->ip_summed == CHECKSUM_BAD)
		return false;
	if (likely(hlen == IP_HLEN))
		return csum_iphdr(iph) == 0;
	return csum_fold(csum_partial(iph, hlen, 0)) == 0;
}

static NOINLINE void ip_no_proto(struct stack *st, struct sk_buff *skb)
{
	icmp_send(st, skb, ICMP_UNREACH_, ICMP_UNREACH_PROTO, 0);
	skb_drop(skb, SKB_DROP_IP_NO_PROTO);
}

#define IPOPT_EOL  0
#define IPOPT_NOP  1
#define IPOPT_LSRR 131
#define IPOPT_SSRR 137

/* options_ok - of well-formed options none but a source route matters to a host (RFC 1122
 * 3.2.1.8). */
static NOINLINE bool options_ok(const uint8_t *p, unsigned n)
{
	for (unsigned i = 0, len; i < n; i += len) {
		if (p[i] == IPOPT_EOL)
			return true;
		len = 1;
		if (p[i] == IPOPT_NOP)
			continue;
		if (p[i] == IPOPT_LSRR || p[i] == IPOPT_SSRR || n - i < 2 || p[i + 1] < 2 ||
		    p[i + 1] > n - i)
			return false;
		len = p[i + 1];
	}
	return true;
}

static void ip_deliver(struct stack *st, struct sk_buff *skb, uint8_t proto, unsigned hlen)
{
	if (unlikely(proto != IPPROTO_TCP_ && proto != IPPROTO_ICMP_)) {
		ip_no_proto(st, skb);
		return;
	}
	skb_pull(skb, hlen);
	skb->transport_header = (uint16_t)(skb->data - skb->head);
	if (likely(proto == IPPROTO_TCP_))
		tcp_v4_rcv(st, skb);
	else
		icmp_input(st, skb);
}

void ip_input(struct stack *st, struct sk_buff *skb)
{
	enum skb_drop_reason reason = SKB_DROP_IP_BAD_HEADER;
	const struct iphdr_ *iph;
	unsigned hlen, tot_len;

	stat_inc(&st->stats.ip_in);
	if (unlikely(!skb_may_pull(skb, IP_HLEN)))
		goto out_drop;
	iph = (const struct iphdr_ *)skb->data;
	hlen = (iph->ver_ihl & 0x0f) * 4u;
	if (unlikely(iph->ver_ihl != 0x45)) {
		if (iph->ver_ihl >> 4 != 4 || hlen < IP_HLEN || !skb_may_pull(skb, hlen))
			goto out_drop;
		iph = (const struct iphdr_ *)skb->data;
	}
	tot_len = be16(iph->tot_len);
	if (unlikely(tot_len < hlen || tot_len > skb->len))
		goto out_drop;
	reason = SKB_DROP_IP_BAD_CSUM;
	if (unlikely(!csum_ok(skb, iph, hlen)))
		goto out_drop;
	reason = SKB_DROP_IP_BAD_SRC;
	if (unlikely(src_refused(st, skb, iph->saddr)))
		goto out_drop;
	if (unlikely(iph->daddr != st->ip || (skb->flags & SKB_F_MCAST))) {
		reason = dst_reason(st, iph->daddr);
		goto out_drop;
	}
	reason = SKB_DROP_IP_OPTIONS;
	if (unlikely(hlen > IP_HLEN) && !options_ok((const uint8_t *)(iph + 1), hlen - IP_HLEN))
		goto out_drop;
	skb->network_header = (uint16_t)(skb->data - skb->head);
	/* Padding of the link (B14). */
	if (tot_len < skb->len)
		skb_trim(skb, tot_len);
	if (unlikely(iph->frag_off & be16(IP_MF | IP_OFFSET))) {
		skb = ip_defrag(st, skb, hlen);
		if (!skb)
			return;
		iph = (const struct iphdr_ *)skb->data;
		hlen = (iph->ver_ihl & 0x0f) * 4u;
	}
	ip_deliver(st, skb, iph->protocol, hlen);
	return;

out_drop:
	skb_drop(skb, reason);
}
