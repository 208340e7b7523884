/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ARP (RFC 826) and the neighbour cache, with the ageing of RFC 1122 2.3.2 and the defence
 * of RFC 5227. arp.h has the state table.
 *
 * What strangers can do here is bounded: whoever asks for us from an address of our prefix,
 * or makes us answer one, adds a guest (arp.h), which pushes out only one of its kind; and
 * packets that wait are few per neighbour and in all, strangers' fewer.
 * Address conflict detection by probes before use is left to whoever configures the lane.
 */
#include "stack/arp.h"

#include <errno.h>

#define ARP_OP_REQUEST 1
#define ARP_OP_REPLY   2

struct arphdr_ {
	uint16_t htype, ptype; /* network order, as all */
	uint8_t hlen, plen;
	uint16_t op;
	uint8_t sha[ETH_ALEN];
	uint32_t spa;
	uint8_t tha[ETH_ALEN];
	uint32_t tpa;
} PACKED;

static const uint8_t mac_bcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t mac_zero[ETH_ALEN];

static void neigh_timer(struct timer *t, uint64_t now);

/* ---- sending ---- */

static void arp_xmit(struct stack *st, uint16_t op, const uint8_t *dst, const uint8_t *tha,
		     uint32_t tpa)
{
	struct sk_buff *skb = skb_alloc(&st->cache, st->dev->headroom);
	struct ethhdr_ *eth;
	struct arphdr_ *arp;

	if (!skb)
		return;
	eth = (struct ethhdr_ *)skb_put(skb, sizeof(*eth) + sizeof(*arp));
	memcpy(eth->dst, dst, ETH_ALEN);
	memcpy(eth->src, st->dev->dev_addr, ETH_ALEN);
	eth->proto = be16(ETH_P_ARP);
	arp = (struct arphdr_ *)(eth + 1);
	arp->htype = be16(1);
	arp->ptype = be16(ETH_P_IP);
	arp->hlen = ETH_ALEN;
	arp->plen = sizeof(arp->spa);
	arp->op = be16(op);
	memcpy(arp->sha, st->dev->dev_addr, ETH_ALEN);
	arp->spa = st->ip;
	memcpy(arp->tha, tha, ETH_ALEN);
	arp->tpa = tpa;
	stat_inc(&st->stats.arp_out);
	eth_xmit(st, skb);
}

/* Once, as Linux does with arp_notify; RFC 5227 2.3 would repeat it after 2 s. */
void arp_announce(struct stack *st)
{
	arp_xmit(st, ARP_OP_REQUEST, mac_bcast, mac_zero, st->ip);
}

/* A broadcast while nothing is known, else a poll of the one we know (RFC 1122 2.3.2.1). */
static void neigh_solicit(struct stack *st, struct neigh *n)
{
	bool known = n->state != NEIGH_INCOMPLETE;

	n->tries++;
	arp_xmit(st, ARP_OP_REQUEST, known ? n->mac : mac_bcast, known ? n->mac : mac_zero, n->ip);
	timer_arm(&st->wheel, &n->timer, st->now + NEIGH_RETRANS);
}

static void fill_eth(const struct stack *st, const struct neigh *n, uint8_t eth[ETH_HLEN])
{
	static const uint8_t type_ip[2] = {ETH_P_IP >> 8, ETH_P_IP & 0xff};

	memcpy(eth, n->mac, ETH_ALEN);
	memcpy(eth + ETH_ALEN, st->dev->dev_addr, ETH_ALEN);
	memcpy(eth + 2 * ETH_ALEN, type_ip, sizeof(type_ip));
}

/* ---- the table ---- */

static struct neigh **bucket_of(struct arp_table *tb, uint32_t ip)
{
	return &tb->buckets[siphash24(tb->key, &ip, sizeof(ip)) & tb->mask];
}

static struct neigh *neigh_lookup(struct arp_table *tb, uint32_t ip)
{
	struct neigh *n = *bucket_of(tb, ip);

	while (n && n->ip != ip)
		n = n->hash_next;
	return n;
}

static void pending_drop(struct stack *st, struct neigh *n, enum skb_drop_reason reason)
{
	struct sk_buff *skb;

	st->arp->pending -= n->pending.qlen;
	while ((skb = skb_dequeue(&n->pending)) != NULL)
		skb_drop(skb, reason);
}

/* What routes may have cached of n is no longer so. What no socket asked for is in no route,
 * and so whoever floods us with it does not slow the others down. */
static void neigh_invalidate(struct stack *st, const struct neigh *n)
{
	if (n->wanted)
		st->neigh_gen++;
}

/* Back to the free list, and out of the two counts. Nothing waits for n any more. */
static void neigh_release(struct stack *st, struct neigh *n)
{
	struct neigh **link = bucket_of(st->arp, n->ip);

	while (*link != n)
		link = &(*link)->hash_next;
	*link = n->hash_next;
	timer_cancel(&st->wheel, &n->timer);
	list_del(&n->lru);
	n->state = NEIGH_FREE;
	if (n->guest)
		st->arp->nr_guests--;
	else
		st->arp->nr_first--;
	neigh_invalidate(st, n);
	list_add_tail(&n->lru, &st->arp->free);
}

static void guest_evict(struct stack *st)
{
	struct neigh *n = list_first_entry(&st->arp->guests, struct neigh, lru);

	pending_drop(st, n, SKB_DROP_NEIGH_TABLE_FULL);
	neigh_release(st, n);
}

/* A free entry, perhaps one that was a guest's, or a socket's that was idle longest. NULL if
 * all are in use. */
static struct neigh *neigh_take(struct stack *st, bool guest)
{
	struct arp_table *tb = st->arp;

	if (guest && tb->nr_guests >= tb->max_guests) {
		guest_evict(st);
	} else if (list_empty(&tb->free)) {
		if (!list_empty(&tb->guests))
			guest_evict(st);
		else if (!guest && !list_empty(&tb->idle))
			neigh_release(st, list_first_entry(&tb->idle, struct neigh, lru));
		else
			return NULL;
	}
	return list_first_entry(&tb->free, struct neigh, lru);
}

/* One more is first-class. Past three quarters whoever was idle longest goes: else peers of
 * connections that ended would leave new ones no room to be answered in. */
static void first_count(struct stack *st)
{
	struct arp_table *tb = st->arp;

	if (++tb->nr_first > tb->nr - tb->max_guests && !list_empty(&tb->idle))
		neigh_release(st, list_first_entry(&tb->idle, struct neigh, lru));
}

static struct neigh *neigh_create(struct stack *st, uint32_t ip, bool wanted)
{
	bool guest = !wanted && ip != st->gw;
	struct neigh *n = neigh_take(st, guest);
	struct neigh **bucket;

	if (!n)
		return NULL;
	list_del(&n->lru);
	n->ip = ip;
	n->state = NEIGH_INCOMPLETE;
	n->tries = 0;
	n->wanted = wanted;
	n->guest = guest;
	n->used = 0;
	n->confirmed = 0;
	memset(n->mac, 0, sizeof(n->mac));
	bucket = bucket_of(st->arp, ip);
	n->hash_next = *bucket;
	*bucket = n;
	if (guest) {
		st->arp->nr_guests++;
		list_add_tail(&n->lru, &st->arp->guests);
	} else {
		first_count(st);
	}
	return n;
}

/* ---- states ---- */

static void neigh_set_state(struct stack *st, struct neigh *n, enum neigh_state state)
{
	n->state = (uint8_t)state;
	n->tries = 0;
	if (n->guest)
		return; /* its age keeps its place */
	list_del(&n->lru);
	if (state == NEIGH_STALE && n->ip != st->gw)
		list_add_tail(&n->lru, &st->arp->idle);
}

/* A socket sends by n. What a stranger began to ask for is asked for anew: its tries are not
 * the socket's. */
static void neigh_promote(struct stack *st, struct neigh *n)
{
	if (n->wanted)
		return;
	n->wanted = true;
	if (n->guest) {
		n->guest = false;
		st->arp->nr_guests--;
		list_del(&n->lru);
		first_count(st);
	}
	neigh_set_state(st, n, n->state);
}

static void neigh_set_stale(struct stack *st, struct neigh *n)
{
	neigh_set_state(st, n, NEIGH_STALE);
	timer_arm(&st->wheel, &n->timer, max_t(uint64_t, n->used, st->now) + NEIGH_GC_NS);
}

static void neigh_set_reachable(struct stack *st, struct neigh *n)
{
	neigh_set_state(st, n, NEIGH_REACHABLE);
	n->confirmed = st->now;
	timer_arm(&st->wheel, &n->timer, st->now + NEIGH_REACHABLE_NS);
}

static void neigh_set_probe(struct stack *st, struct neigh *n)
{
	neigh_set_state(st, n, NEIGH_PROBE);
	neigh_solicit(st, n);
}

/* The old MAC answers no more; perhaps the address moved. Senders wait for the broadcast. */
static void neigh_set_incomplete(struct stack *st, struct neigh *n)
{
	neigh_set_state(st, n, NEIGH_INCOMPLETE);
	neigh_invalidate(st, n);
	neigh_solicit(st, n);
}

static void neigh_fail(struct stack *st, struct neigh *n)
{
	uint32_t ip = n->ip;
	bool wanted = n->wanted;

	pending_drop(st, n, SKB_DROP_NEIGH_FAILED);
	neigh_release(st, n);
	if (wanted)
		tcp_neigh_failed(st, ip);
}

static void neigh_timer(struct timer *t, uint64_t now)
{
	struct neigh *n = container_of(t, struct neigh, timer);
	struct stack *st = n->st;

	switch (n->state) {
	case NEIGH_INCOMPLETE:
		if (n->tries < NEIGH_TRIES)
			neigh_solicit(st, n);
		else
			neigh_fail(st, n);
		break;
	case NEIGH_REACHABLE:
		if (n->confirmed + NEIGH_REACHABLE_NS > now)
			timer_arm(&st->wheel, t, n->confirmed + NEIGH_REACHABLE_NS);
		else
			neigh_set_stale(st, n);
		break;
	case NEIGH_PROBE:
		if (n->tries < NEIGH_TRIES)
			neigh_solicit(st, n);
		else
			neigh_set_incomplete(st, n);
		break;
	case NEIGH_STALE:
		neigh_release(st, n);
		break;
	}
}

/* ---- outward ---- */

/* A socket's: the oldest gives way (RFC 1122 2.3.2.2: at least the latest packet is to be
 * kept). A stranger's pushes nothing out, and leaves the most room to sockets. */
static void neigh_park(struct stack *st, struct neigh *n, struct sk_buff *skb, bool wanted)
{
	struct arp_table *tb = st->arp;

	if (wanted && n->pending.qlen >= tb->pending_one) {
		tb->pending--;
		skb_drop(skb_dequeue(&n->pending), SKB_DROP_NEIGH_QUEUE_FULL);
	} else if (tb->pending >= (wanted ? tb->pending_max : tb->pending_guest)) {
		skb_drop(skb, SKB_DROP_NEIGH_QUEUE_FULL);
		return;
	}
	skb->next_hop = n->ip;
	skb_queue_tail(&n->pending, skb);
	tb->pending++;
}

static void neigh_send(struct stack *st, struct neigh *n, struct sk_buff *skb)
{
	n->used = st->now;
	fill_eth(st, n, skb_push(skb, ETH_HLEN));
	eth_xmit(st, skb);
}

static void pending_send(struct stack *st, struct neigh *n)
{
	struct sk_buff *skb;

	st->arp->pending -= n->pending.qlen;
	while ((skb = skb_dequeue(&n->pending)) != NULL)
		neigh_send(st, n, skb);
}

static void route_resolve(const struct stack *st, struct neigh *n, struct route *rt)
{
	fill_eth(st, n, rt->eth);
	rt->neigh = n;
	rt->neigh_gen = st->neigh_gen;
	rt->resolved = true;
}

static NOINLINE void neigh_output_slow(struct stack *st, struct sk_buff *skb, uint32_t next_hop,
				       struct route *rt)
{
	struct neigh *n = neigh_lookup(st->arp, next_hop);
	bool wanted = rt && rt->wanted;

	if (!n) {
		n = neigh_create(st, next_hop, wanted);
		if (!n) {
			skb_drop(skb, SKB_DROP_NEIGH_TABLE_FULL);
			return;
		}
		neigh_solicit(st, n);
	}
	if (wanted)
		neigh_promote(st, n);
	if (n->state == NEIGH_INCOMPLETE) {
		neigh_park(st, n, skb, wanted);
		return;
	}
	if (n->state == NEIGH_STALE)
		neigh_set_probe(st, n);
	if (wanted)
		route_resolve(st, n, rt);
	neigh_send(st, n, skb);
}

void neigh_output(struct stack *st, struct sk_buff *skb, uint32_t next_hop, struct route *rt)
{
	if (unlikely(!rt || !rt->resolved || rt->neigh_gen != st->neigh_gen ||
		     rt->neigh->state == NEIGH_STALE)) {
		neigh_output_slow(st, skb, next_hop, rt);
		return;
	}
	rt->neigh->used = st->now;
	memcpy(skb_push(skb, ETH_HLEN), rt->eth, ETH_HLEN);
	eth_xmit(st, skb);
}

void neigh_want(struct stack *st, struct route *rt)
{
	struct neigh *n = rt->local ? NULL : neigh_lookup(st->arp, rt->next_hop);

	rt->wanted = true;
	if (!n)
		return;
	neigh_promote(st, n);
	if (n->state != NEIGH_INCOMPLETE)
		route_resolve(st, n, rt);
}

void neigh_confirm(struct stack *st, struct route *rt)
{
	struct neigh *n = rt->neigh;

	if (!rt->resolved || rt->neigh_gen != st->neigh_gen)
		return;
	n->confirmed = st->now;
	if (unlikely(n->state != NEIGH_REACHABLE))
		neigh_set_reachable(st, n);
}

/* ---- inward ---- */

/*
 * What the sender says of itself (RFC 826: merge). An answer that we asked for proves both
 * ways; anything else proves only its address, and does not change a MAC that was proved a
 * moment ago.
 */
static void neigh_update(struct stack *st, struct neigh *n, const uint8_t *mac, bool reply)
{
	bool same = n->state != NEIGH_INCOMPLETE && memcmp(n->mac, mac, ETH_ALEN) == 0;
	bool solicited = reply && (n->state == NEIGH_INCOMPLETE || n->state == NEIGH_PROBE);

	if (!same) {
		if (n->state == NEIGH_REACHABLE && st->now < n->confirmed + NEIGH_LOCKTIME)
			return;
		memcpy(n->mac, mac, ETH_ALEN);
		neigh_invalidate(st, n);
	}
	if (solicited)
		neigh_set_reachable(st, n);
	else if (!same)
		neigh_set_stale(st, n);
	if (!skb_queue_empty(&n->pending)) {
		if (n->state == NEIGH_STALE)
			neigh_set_probe(st, n);
		pending_send(st, n);
	}
}

/* RFC 5227 2.4 (c): the address is kept, and said so at most once per interval. */
static void arp_defend(struct stack *st)
{
	struct arp_table *tb = st->arp;

	if (tb->defended && st->now < tb->defended + ARP_DEFEND_NS)
		return;
	tb->defended = max_t(uint64_t, st->now, 1);
	log_to(&st->cfg.log, LOG_LVL_DEBUG, "arp: another host claims " SK_IP4_FMT,
	       SK_IP4_ARGS(st->ip));
	arp_announce(st);
}

static bool arp_valid(const struct arphdr_ *arp)
{
	return arp->htype == be16(1) && arp->ptype == be16(ETH_P_IP) && arp->hlen == ETH_ALEN &&
	       arp->plen == sizeof(arp->spa) &&
	       (arp->op == be16(ARP_OP_REQUEST) || arp->op == be16(ARP_OP_REPLY)) &&
	       !(arp->sha[0] & 1) && memcmp(arp->sha, mac_zero, ETH_ALEN) != 0;
}

/* An address that a neighbour of ours can have. 0 is the sender of a probe. */
static bool is_neighbour(const struct stack *st, uint32_t ip)
{
	return ip && ((ip ^ st->ip) & st->mask) == 0 && ip != st->bcast && ip != st->net0;
}

static void arp_handle(struct stack *st, const struct arphdr_ *arp, bool mcast)
{
	bool request = arp->op == be16(ARP_OP_REQUEST);
	bool to_us = arp->tpa == st->ip;

	if (is_neighbour(st, arp->spa)) {
		struct neigh *n = neigh_lookup(st->arp, arp->spa);

		/* RFC 826: only whoever wants to talk to us is worth a new entry. */
		if (!n && request && to_us)
			n = neigh_create(st, arp->spa, false);
		if (n)
			neigh_update(st, n, arp->sha, !request && to_us && !mcast);
	}
	if (request && to_us)
		arp_xmit(st, ARP_OP_REPLY, arp->sha, arp->sha, arp->spa);
}

/* arp_is_news - an answer to us or an announcement, of a neighbour: what other lanes want as well.
 * All else arp_handle() would make nothing of there. */
static bool arp_is_news(const struct stack *st, const struct arphdr_ *arp)
{
	if (arp->spa == st->ip || !is_neighbour(st, arp->spa))
		return false;
	return arp->spa == arp->tpa || (arp->op == be16(ARP_OP_REPLY) && arp->tpa == st->ip);
}

void arp_input(struct stack *st, struct sk_buff *skb)
{
	const struct arphdr_ *arp;

	stat_inc(&st->stats.arp_in);
	if (!skb_may_pull(skb, sizeof(*arp)) || !arp_valid((const struct arphdr_ *)skb->data)) {
		skb_drop(skb, SKB_DROP_ARP_BAD);
		return;
	}
	arp = (const struct arphdr_ *)skb->data;
	/* Each lane has its own table and asks for itself; the answer comes by any queue. */
	if (unlikely(st->cfg.nr_lanes > 1) && arp_is_news(st, arp))
		steer_to_all(st, skb, SKB_STEER_ARP);
	if (arp->spa == st->ip) {
		/* With our own MAC it is our own frame, sent back by a switch. */
		if (memcmp(arp->sha, st->dev->dev_addr, ETH_ALEN) != 0)
			arp_defend(st);
		skb_drop(skb, SKB_DROP_ARP_CONFLICT);
		return;
	}
	arp_handle(st, arp, skb->flags & SKB_F_MCAST);
	skb_free(skb);
}

/* ---- life ---- */

int arp_init(struct stack *st)
{
	uint32_t nr = st->cfg.max_neigh, size = 1;
	struct arp_table *tb = stack_alloc(st, sizeof(*tb));

	if (!tb)
		return -ENOMEM;
	while (size < nr)
		size *= 2;
	st->arp = tb;
	tb->nr = nr;
	tb->mask = size - 1;
	/* A client that opens 1,000 connections at once must not lose SYNs to the first ARP and
	 * wait a second for them: the bound is memory, not a handful of packets. */
	tb->pending_max = max_t(uint32_t, 64, st->cache.pool->nr / 16);
	tb->pending_one = tb->pending_max / 2;
	tb->pending_guest = tb->pending_max / 4;
	tb->max_guests = max_t(uint32_t, 1, nr / 4);
	stack_key(st, "arp", tb->key);
	list_init(&tb->free);
	list_init(&tb->guests);
	list_init(&tb->idle);
	tb->entries = stack_alloc(st, nr * sizeof(*tb->entries));
	tb->buckets = stack_alloc(st, size * sizeof(struct neigh *));
	if (!tb->entries || !tb->buckets) {
		arp_fini(st);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < nr; i++) {
		struct neigh *n = &tb->entries[i];

		n->st = st;
		skb_queue_init(&n->pending);
		timer_init(&n->timer, neigh_timer);
		list_add_tail(&n->lru, &tb->free);
	}
	return 0;
}

void arp_fini(struct stack *st)
{
	struct arp_table *tb = st->arp;

	for (uint32_t i = 0; tb->entries && tb->buckets && i < tb->nr; i++) {
		timer_cancel(&st->wheel, &tb->entries[i].timer);
		skb_queue_purge(&tb->entries[i].pending);
	}
	stack_mfree(st, tb->entries, tb->nr * sizeof(*tb->entries));
	stack_mfree(st, tb->buckets, ((size_t)tb->mask + 1) * sizeof(struct neigh *));
	stack_mfree(st, tb, sizeof(*tb));
	st->arp = NULL;
}
