/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 outward. Nothing is fragmented here. DF is set, so that the ID may be any value (RFC 6864
 * 4.1); the caller brings one per flow, since some middleboxes look at it. An skb with SKB_F_NO_DF
 * goes without DF, and its ID must be new to the destination.
 */
#include "stack/stack_int.h"

/* build_sum - of the header that ip_build() just wrote, from the values and not from memory: loads
 * that span several stores still under way wait for them. */
static inline uint16_t build_sum(const struct iphdr_ *iph)
{
	uint64_t s = 0x45u + ((uint32_t)iph->tos << 8) + iph->tot_len + iph->id + iph->frag_off;

	s += iph->ttl + ((uint32_t)iph->protocol << 8);
	return csum_fold(csum_fold64(s + iph->saddr + iph->daddr));
}

static void ip_build(const struct stack *st, struct sk_buff *skb, const struct route *rt,
		     uint8_t proto, uint8_t ttl, uint8_t tos, uint16_t id)
{
	struct iphdr_ *iph = (struct iphdr_ *)skb_push(skb, IP_HLEN);

	skb->network_header = (uint16_t)(skb->data - skb->head);
	iph->ver_ihl = 0x45;
	iph->tos = tos;
	iph->tot_len = be16((uint16_t)skb->len);
	iph->id = be16(id);
	iph->frag_off = skb->flags & SKB_F_NO_DF ? 0 : be16(IP_DF);
	iph->ttl = ttl;
	iph->protocol = proto;
	iph->check = 0;
	iph->saddr = rt->saddr;
	iph->daddr = rt->daddr;
	if (skb->ip_summed != CHECKSUM_PARTIAL || !(st->features & NETDEV_F_TX_IP_CSUM))
		iph->check = build_sum(iph);
}

/* A TSO frame is cut by the device; its own length has only the field's limit. */
static bool ip_fits(const struct stack *st, const struct sk_buff *skb, const struct route *rt)
{
	unsigned limit = skb->gso_size || rt->local ? UINT16_MAX : st->mtu;

	return skb->len <= limit - IP_HLEN;
}

void ip_output(struct stack *st, struct sk_buff *skb, struct route *rt, uint8_t proto, uint8_t ttl,
	       uint8_t tos, uint16_t id)
{
	if (unlikely(!ip_fits(st, skb, rt))) {
		skb_drop(skb, SKB_DROP_IP_TOO_BIG);
		return;
	}
	stat_inc(&st->stats.ip_out);
	ip_build(st, skb, rt, proto, ttl, tos, id);
	if (unlikely(rt->local))
		loop_xmit(st, skb);
	else
		neigh_output(st, skb, rt->next_hop, rt);
}
