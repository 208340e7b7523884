/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop pair. One SPSC ring per (TX queue of one end, RX queue of the other), so no two
 * threads ever write the same index. A slot holds the frame's bytes (copied in by the
 * sender, out by the receiver: neither touches the other's skb cache), or with
 * TX_HANDOVER the skb itself, which the receiver re-homes to its cache.
 */
#include "drivers/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/frame.h"
#include "drivers/rss.h"

#define LOOP_QUEUES_MAX 32
#define LOOP_RING_MAX   65536u
/* Room in front of a received frame, so that an answer can be built in place. */
#define LOOP_HEADROOM 64

struct loop_slot {
	struct sk_buff *skb; /* handover: the frame itself */
	uint32_t len;
	uint32_t hash;
	uint8_t bytes[];
};

struct loop_ring {
	uint32_t tail ALIGNED(CACHE_LINE);  /* (a) producer; release pairs with ring_peek() */
	uint32_t head ALIGNED(CACHE_LINE);  /* (a) consumer; release pairs with ring_slot() */
	uint8_t *slots ALIGNED(CACHE_LINE); /* (c) */
};

struct loop_queue {
	uint64_t rx_packets, rx_bytes, rx_nombuf; /* (o) the RX queue's thread */
	uint16_t next_ring;                       /* (o) where the next rx_burst begins */
	uint64_t tx_packets, tx_bytes, tx_errors ALIGNED(CACHE_LINE); /* (o) the TX queue's */
	uint64_t missed; /* (o) lost on the peer's full rings */
} ALIGNED(CACHE_LINE);

struct loop_pair;

struct loop_end {
	struct netdev dev;
	struct loop_pair *pair; /* (c) */
	struct loop_end *peer;  /* (c) */
	struct loop_ring *rx;   /* (c) [own rx queue * nr + peer's tx queue] */
	bool open;              /* (a) */
	struct loop_queue queue[LOOP_QUEUES_MAX];
};

struct loop_pair {
	struct loop_end end[2];
	uint32_t mask;         /* (c) ring size - 1 */
	size_t stride;         /* (c) bytes per slot */
	bool lossy;            /* (c) */
	struct skb_pool *pool; /* (c) handover only */
	int nr_open;           /* (a) the last close frees */
};

static struct loop_end *to_end(struct netdev *dev)
{
	return container_of(dev, struct loop_end, dev);
}

static struct loop_slot *slot_at(const struct loop_pair *p, const struct loop_ring *r, uint32_t i)
{
	return (struct loop_slot *)(r->slots + (i & p->mask) * p->stride);
}

/* The slot to fill, NULL if the ring is full. Producer only. */
static struct loop_slot *ring_slot(const struct loop_pair *p, const struct loop_ring *r)
{
	if (r->tail - __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) > p->mask)
		return NULL;
	return slot_at(p, r, r->tail);
}

/* The slot to empty, NULL if there is none. Consumer only. */
static struct loop_slot *ring_peek(const struct loop_pair *p, const struct loop_ring *r)
{
	if (__atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == r->head)
		return NULL;
	return slot_at(p, r, r->head);
}

/* The copy completes the checksum in the slot, the handover in the frame itself, whose
 * headers the stack built for this one transmission (rule 3). */
static void slot_fill(struct loop_end *e, struct loop_slot *s, struct sk_buff *skb, uint32_t hash)
{
	bool partial = skb->ip_summed == CHECKSUM_PARTIAL;

	s->len = skb->len;
	s->hash = hash;
	if (e->dev.features & NETDEV_F_TX_HANDOVER) {
		if (partial)
			frame_finish_skb(skb);
		for (struct sk_buff *part = skb; part; part = part->frag)
			skb->cache->outstanding--;
		s->skb = skb;
		return;
	}
	BUG_ON(skb_copy_bits(skb, 0, s->bytes, skb->len));
	if (partial)
		frame_finish_csum(s->bytes, s->len);
	skb_free(skb);
}

/* Returns false if the ring is full and the frame stays the caller's. */
static bool tx_one(struct loop_end *e, uint16_t queue, struct sk_buff *skb)
{
	struct loop_end *peer = e->peer;
	struct loop_queue *q = &e->queue[queue];
	uint16_t nr = e->dev.nr_queues, rxq;
	uint32_t hash = 0, len = skb->len;
	struct loop_ring *r;
	struct loop_slot *s;

	BUG_ON(skb->frag && !(e->dev.features & NETDEV_F_TX_SG));
	if (len < ETH_HLEN || len > (uint32_t)e->dev.mtu + ETH_HLEN ||
	    !__atomic_load_n(&peer->open, __ATOMIC_ACQUIRE)) {
		stat_inc(&q->tx_errors);
		skb_drop(skb, SKB_DROP_NOT_SPECIFIED);
		return true;
	}
	if (nr > 1)
		hash = frame_hash(skb->data, skb_headlen(skb), len);
	rxq = hash ? rss_queue(hash, nr) : 0;
	r = &peer->rx[rxq * nr + queue];
	s = ring_slot(e->pair, r);
	if (!s) {
		if (!e->pair->lossy)
			return false;
		stat_inc(&q->missed);
		skb_drop(skb, SKB_DROP_TX_RING_FULL);
		return true;
	}
	slot_fill(e, s, skb, hash);
	__atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
	stat_inc(&q->tx_packets);
	stat_add(&q->tx_bytes, len);
	return true;
}

static unsigned loop_tx_burst(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	unsigned i;

	for (i = 0; i < n && tx_one(to_end(dev), queue, skbs[i]); i++)
		;
	return i;
}

/* A handed-over chain comes with the sender's metadata: all of it is made the receiver's,
 * but for the chain and whether its bytes are shared. */
static struct sk_buff *rehome(struct sk_buff *skb, struct skb_cache *cache)
{
	for (struct sk_buff *s = skb; s; s = s->frag) {
		struct sk_buff *frag = s->frag;
		uint32_t data_len = s->data_len;
		uint8_t ext = s->flags & SKB_F_EXT;

		skb_reset_meta(s, cache);
		s->frag = frag;
		s->data_len = data_len;
		s->flags = ext;
		cache->outstanding++;
	}
	return skb;
}

/* Copies a frame into the receiver's own skbs. NULL if the pool is empty. */
static struct sk_buff *copy_in(const struct loop_slot *s, struct skb_cache *cache)
{
	unsigned headroom = cache->pool->buf_size < 2 * LOOP_HEADROOM ? 0 : LOOP_HEADROOM;

	return skb_from_bytes(cache, headroom, s->bytes, s->len);
}

static uint8_t rx_csum(const struct sk_buff *skb)
{
	if (!skb->frag)
		return frame_verify_csum(skb->data, skb->len);
	return CHECKSUM_UNKNOWN;
}

static struct sk_buff *slot_take(struct loop_end *e, struct loop_slot *s, uint16_t queue,
				 struct skb_cache *cache)
{
	bool handover = e->dev.features & NETDEV_F_TX_HANDOVER;
	struct sk_buff *skb = handover ? rehome(s->skb, cache) : copy_in(s, cache);

	if (!skb) {
		stat_inc(&e->queue[queue].rx_nombuf);
		return NULL;
	}
	skb->dev = &e->dev;
	skb->lane_queue = (uint8_t)queue;
	skb->hash = s->hash;
	if (e->dev.features & NETDEV_F_RX_CSUM)
		skb->ip_summed = rx_csum(skb);
	stat_inc(&e->queue[queue].rx_packets);
	stat_add(&e->queue[queue].rx_bytes, skb->len);
	return skb;
}

/* Empties the queue's rings in turn, beginning one further each time: no peer queue starves
 * another. A frame for which there is no buffer is lost, as a NIC would lose it. */
static unsigned loop_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
			      struct sk_buff **skbs, unsigned n)
{
	struct loop_end *e = to_end(dev);
	uint16_t nr = dev->nr_queues, first = e->queue[queue].next_ring;
	unsigned got = 0;

	e->queue[queue].next_ring = (uint16_t)((first + 1) % nr);
	for (uint16_t i = 0; i < nr && got < n; i++) {
		struct loop_ring *r = &e->rx[queue * nr + (first + i) % nr];
		struct loop_slot *s;

		while (got < n && (s = ring_peek(e->pair, r)) != NULL) {
			struct sk_buff *skb = slot_take(e, s, queue, cache);

			__atomic_store_n(&r->head, r->head + 1, __ATOMIC_RELEASE);
			if (skb)
				skbs[got++] = skb;
		}
	}
	return got;
}

static int loop_get_fd(struct netdev *dev, uint16_t queue)
{
	(void)dev;
	(void)queue;
	return -EOPNOTSUPP;
}

static uint64_t loop_next_event(struct netdev *dev)
{
	(void)dev;
	return 0;
}

static void loop_get_stats(struct netdev *dev, struct netdev_stats *ret_stats)
{
	struct loop_end *e = to_end(dev);

	memset(ret_stats, 0, sizeof(*ret_stats));
	for (uint16_t i = 0; i < dev->nr_queues; i++) {
		const struct loop_queue *q = &e->queue[i];

		ret_stats->rx_packets += stat_read(&q->rx_packets);
		ret_stats->rx_bytes += stat_read(&q->rx_bytes);
		ret_stats->rx_nombuf += stat_read(&q->rx_nombuf);
		ret_stats->tx_packets += stat_read(&q->tx_packets);
		ret_stats->tx_bytes += stat_read(&q->tx_bytes);
		ret_stats->tx_errors += stat_read(&q->tx_errors);
		ret_stats->rx_missed += stat_read(&e->peer->queue[i].missed);
	}
}

static bool loop_link_up(struct netdev *dev)
{
	return __atomic_load_n(&to_end(dev)->peer->open, __ATOMIC_ACQUIRE);
}

/* Handed-over frames that nobody fetched go straight to the pool: the caches of both
 * lanes may be gone by now. */
static void ring_free(struct loop_pair *p, struct loop_ring *r)
{
	struct loop_slot *s;

	while (p->pool && (s = ring_peek(p, r)) != NULL) {
		struct sk_buff *skb = s->skb;

		while (skb) {
			struct sk_buff *frag = skb->frag;

			skb->frag = NULL;
			p->pool->ops->free_bulk(p->pool, &skb, 1);
			skb = frag;
		}
		r->head++;
	}
	free(r->slots);
}

static void pair_free(struct loop_pair *p)
{
	for (int i = 0; i < 2; i++) {
		struct loop_end *e = &p->end[i];
		unsigned nr = (unsigned)e->dev.nr_queues * e->dev.nr_queues;

		for (unsigned k = 0; e->rx && k < nr; k++)
			ring_free(p, &e->rx[k]);
		free(e->rx);
	}
	free(p);
}

static void loop_close(struct netdev *dev)
{
	struct loop_end *e = to_end(dev);

	__atomic_store_n(&e->open, false, __ATOMIC_RELEASE);
	if (__atomic_sub_fetch(&e->pair->nr_open, 1, __ATOMIC_ACQ_REL) == 0)
		pair_free(e->pair);
}

static const struct netdev_ops loop_ops = {
	.rx_burst = loop_rx_burst,
	.tx_burst = loop_tx_burst,
	.get_fd = loop_get_fd,
	.next_event = loop_next_event,
	.get_stats = loop_get_stats,
	.link_up = loop_link_up,
	.close = loop_close,
};

void loop_config_init(struct loop_config *cfg)
{
	*cfg = (struct loop_config){
		.nr_queues = 1,
		.ring_size = 512,
		.mtu = 1500,
		.tx_copybreak = 256,
	};
}

static bool config_ok(const struct loop_config *c)
{
	return c->nr_queues >= 1 && c->nr_queues <= LOOP_QUEUES_MAX && c->ring_size >= 2 &&
	       c->ring_size <= LOOP_RING_MAX && (c->ring_size & (c->ring_size - 1)) == 0 &&
	       c->mtu >= NETDEV_MTU_MIN && c->mtu <= 65535 - ETH_HLEN &&
	       !(c->features & ~LOOP_FEATURES) &&
	       (!(c->features & NETDEV_F_TX_HANDOVER) || c->pool);
}

static int end_init(struct loop_pair *p, int side, const struct loop_config *cfg)
{
	static const uint8_t mac[ETH_ALEN] = {0x02, 0, 0, 0, 0, 0x0a};
	struct loop_end *e = &p->end[side];
	unsigned nr = (unsigned)cfg->nr_queues * cfg->nr_queues;

	e->pair = p;
	e->peer = &p->end[!side];
	e->open = true;
	e->dev.ops = &loop_ops;
	(void)snprintf(e->dev.name, sizeof(e->dev.name), "loop-%c", 'a' + side);
	memcpy(e->dev.dev_addr, mac, ETH_ALEN);
	e->dev.dev_addr[ETH_ALEN - 1] += (uint8_t)side;
	e->dev.mtu = cfg->mtu;
	e->dev.nr_queues = cfg->nr_queues;
	e->dev.features = cfg->features;
	e->dev.tx_copybreak = cfg->tx_copybreak;
	e->rx = aligned_alloc(CACHE_LINE, nr * sizeof(*e->rx));
	if (!e->rx)
		return -ENOMEM;
	memset(e->rx, 0, nr * sizeof(*e->rx));
	for (unsigned i = 0; i < nr; i++) {
		e->rx[i].slots = malloc(p->stride * cfg->ring_size);
		if (!e->rx[i].slots)
			return -ENOMEM;
	}
	return 0;
}

int loop_pair(const struct loop_config *cfg, struct netdev **ret_a, struct netdev **ret_b)
{
	bool handover;
	struct loop_config dflt;
	struct loop_pair *p;

	if (!cfg) {
		loop_config_init(&dflt);
		cfg = &dflt;
	}
	if (!config_ok(cfg))
		return -EINVAL;
	p = aligned_alloc(CACHE_LINE, sizeof(*p));
	if (!p)
		return -ENOMEM;
	memset(p, 0, sizeof(*p));
	handover = cfg->features & NETDEV_F_TX_HANDOVER;
	p->pool = handover ? cfg->pool : NULL;
	p->mask = cfg->ring_size - 1;
	p->stride = sizeof(struct loop_slot) + (handover ? 0u : cfg->mtu + (unsigned)ETH_HLEN);
	p->stride = (p->stride + 15) & ~(size_t)15;
	p->lossy = cfg->lossy;
	p->nr_open = 2;
	if (end_init(p, 0, cfg) < 0 || end_init(p, 1, cfg) < 0) {
		p->end[0].dev.nr_queues = p->end[1].dev.nr_queues = cfg->nr_queues;
		pair_free(p);
		return -ENOMEM;
	}
	*ret_a = &p->end[0].dev;
	*ret_b = &p->end[1].dev;
	return 0;
}
