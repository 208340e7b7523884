/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ethernet II, inward: is the frame for us, and whose is it? No VLANs, no 802.3 length
 * frames. A source MAC equal to ours is not looked at: the kernel's side of net_tap has
 * the very MAC of the port.
 */
#include "stack/stack_int.h"

/* 6 bytes as one number, so that comparing is one instruction. */
static inline uint64_t load_mac(const uint8_t *p)
{
	uint32_t lo;
	uint16_t hi;

	memcpy(&lo, p, sizeof(lo));
	memcpy(&hi, p + sizeof(lo), sizeof(hi));
	return (uint64_t)hi << 32 | lo;
}

void eth_input(struct stack *st, struct sk_buff *skb)
{
	const struct ethhdr_ *eth;
	uint16_t proto;

	if (unlikely(!skb_may_pull(skb, ETH_HLEN))) {
		skb_drop(skb, SKB_DROP_ETH_SHORT);
		return;
	}
	eth = (const struct ethhdr_ *)skb->data;
	if (unlikely(load_mac(eth->dst) != load_mac(st->dev->dev_addr))) {
		if (!(eth->dst[0] & 1)) {
			skb_drop(skb, SKB_DROP_ETH_OTHERHOST);
			return;
		}
		skb->flags |= SKB_F_MCAST;
	}
	skb->mac_header = (uint16_t)(skb->data - skb->head);
	proto = be16(eth->proto);
	skb_pull(skb, ETH_HLEN);
	if (likely(proto == ETH_P_IP))
		ip_input(st, skb);
	else if (proto == ETH_P_ARP)
		arp_input(st, skb);
	else
		skb_drop(skb, SKB_DROP_ETH_UNKNOWN_TYPE);
}
