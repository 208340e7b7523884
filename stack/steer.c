/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several lanes behind one address. Whose a flow is says home(), to all lanes alike; a device
 * that sorts by the same hash brings each segment to its lane by itself, and nothing here costs
 * more than a predicted branch. What comes by another queue all the same is forwarded: segments
 * that no socket here knows, ICMP errors, and ARP's answers, which all lanes want.
 */
#include "stack/stack_int.h"

/* steer_account - skb leaves (or enters, by = 1) what this lane's cache has given out. */
static void steer_account(struct skb_cache *c, const struct sk_buff *skb, int by)
{
	for (; skb; skb = skb->frag)
		c->outstanding += by;
}

/* Consumes skb. */
static void steer_forward(struct stack *st, struct sk_buff *skb, uint16_t lane, enum skb_steer at)
{
	skb->steer = (uint8_t)at;
	skb->flags |= SKB_F_STEER;
	steer_account(&st->cache, skb, -1);
	if (likely(st->cfg.steer.forward(st->cfg.steer.ctx, lane, skb))) {
		stat_inc(&st->stats.steered_out);
		return;
	}
	steer_account(&st->cache, skb, 1);
	skb_drop(skb, SKB_DROP_STEER_FULL);
}

bool __steer_away(struct stack *st, struct sk_buff *skb, enum skb_steer at, uint32_t saddr,
		  uint32_t daddr, uint16_t sport, uint16_t dport)
{
	uint16_t lane;

	/* The internal loopback is the lane's own: both ends are here. */
	if (skb->flags & (SKB_F_STEER | SKB_F_LOOP))
		return false;
	lane = st->cfg.steer.home(st->cfg.steer.ctx, saddr, daddr, sport, dport);
	BUG_ON(lane >= st->cfg.nr_lanes);
	if (lane == st->cfg.lane)
		return false;
	steer_forward(st, skb, lane, at);
	return true;
}

void steer_to_all(struct stack *st, struct sk_buff *skb, enum skb_steer at)
{
	if (skb->flags & SKB_F_STEER)
		return;
	for (uint16_t i = 0; i < st->cfg.nr_lanes; i++) {
		struct sk_buff *copy;

		if (i == st->cfg.lane)
			continue;
		copy = skb_copy(&st->cache, skb, 0);
		if (!copy)
			return;
		steer_forward(st, copy, i, at);
	}
}

bool steer_is_home(const struct stack *st, uint32_t laddr, uint32_t faddr, uint16_t lport,
		   uint16_t fport)
{
	/* What goes to oneself never meets a queue. */
	if (st->cfg.nr_lanes == 1 || laddr == faddr)
		return true;
	return st->cfg.steer.home(st->cfg.steer.ctx, faddr, laddr, be16(fport), be16(lport)) ==
	       st->cfg.lane;
}

static void steer_take(struct stack *st, struct sk_buff *skb)
{
	skb->cache = &st->cache;
	steer_account(&st->cache, skb, 1);
	skb->next = skb->prev = NULL;
	skb->dev = st->dev;
}

void stack_forwarded_drop(struct stack *st, struct sk_buff *skb)
{
	steer_take(st, skb);
	skb_free(skb);
}

void stack_forwarded(struct stack *st, struct sk_buff *skb)
{
	steer_take(st, skb);
	stat_inc(&st->stats.steered_in);
	switch ((enum skb_steer)skb->steer) {
	case SKB_STEER_ARP:
		arp_input(st, skb);
		break;
	case SKB_STEER_ICMP:
		icmp_error_rcv(st, skb);
		break;
	case SKB_STEER_TCP:
		tcp_v4_demux(st, skb);
		break;
	}
}
