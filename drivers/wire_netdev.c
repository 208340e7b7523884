/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A wire's end as a netdev: frames are copied in and out, the offloads are done here as a device
 * would do them. It moves nothing by itself: the wire's owner does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/frame.h"
#include "drivers/wire_int.h"

#define WIRE_FEATURES                                                                              \
	(NETDEV_F_RX_CSUM | NETDEV_F_TX_IP_CSUM | NETDEV_F_TX_TCP_CSUM | NETDEV_F_TX_SG)
#define WIRE_COPYBREAK 256
#define WIRE_HEADROOM  64 /* in front of a received frame: an answer can be built in place */

struct wire_dev {
	struct netdev dev;
	struct wire *w;             /* (c) */
	int end;                    /* (c) */
	uint64_t (*now)(void *ctx); /* (c) */
	void *now_ctx;              /* (c) */
	struct netdev_stats st;
	uint8_t scratch[WIRE_FRAME_MAX];
};

static struct wire_dev *to_wire(struct netdev *dev)
{
	return container_of(dev, struct wire_dev, dev);
}

/* copy_in - NULL if the pool is empty. */
static struct sk_buff *copy_in(struct skb_cache *cache, const uint8_t *bytes, unsigned len)
{
	unsigned headroom = cache->pool->buf_size >= 4 * WIRE_HEADROOM ? WIRE_HEADROOM : 0;

	return skb_from_bytes(cache, headroom, bytes, len);
}

static unsigned wire_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
			      struct sk_buff **skbs, unsigned n)
{
	struct wire_dev *d = to_wire(dev);
	const uint8_t *bytes;
	unsigned got = 0, len;

	(void)queue;
	while (got < n && (bytes = wire_peek(d->w, d->end, &len, NULL)) != NULL) {
		struct sk_buff *skb = copy_in(cache, bytes, len);

		if (!skb) {
			stat_inc(&d->st.rx_nombuf);
			wire_pop(d->w, d->end);
			continue;
		}
		skb->dev = dev;
		if (dev->features & NETDEV_F_RX_CSUM)
			skb->ip_summed = frame_verify_csum(bytes, len);
		wire_pop(d->w, d->end);
		stat_inc(&d->st.rx_packets);
		stat_add(&d->st.rx_bytes, len);
		skbs[got++] = skb;
	}
	return got;
}

static unsigned wire_tx_burst(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	struct wire_dev *d = to_wire(dev);
	uint64_t now = d->now(d->now_ctx);

	(void)queue;
	if (unlikely(READ_ONCE(dev->tx_off)))
		return 0;
	for (unsigned i = 0; i < n; i++) {
		struct sk_buff *skb = skbs[i];
		const uint8_t *bytes = skb->data;
		unsigned len = skb->len;

		if (len > (unsigned)dev->mtu + ETH_HLEN) {
			stat_inc(&d->st.tx_errors);
			skb_drop(skb, SKB_DROP_NOT_SPECIFIED);
			continue;
		}
		if (skb->frag || skb->ip_summed == CHECKSUM_PARTIAL) {
			BUG_ON(skb_copy_bits(skb, 0, d->scratch, len));
			if (skb->ip_summed == CHECKSUM_PARTIAL)
				frame_finish_csum(d->scratch, len);
			bytes = d->scratch;
		}
		if (wire_input(d->w, d->end, bytes, len, now) < 0)
			stat_inc(&d->st.tx_errors);
		stat_inc(&d->st.tx_packets);
		stat_add(&d->st.tx_bytes, len);
		skb_free(skb);
	}
	return n;
}

static int wire_get_fd(struct netdev *dev, uint16_t queue)
{
	(void)dev;
	(void)queue;
	return -EOPNOTSUPP;
}

static uint64_t wire_next_event(struct netdev *dev)
{
	struct wire_dev *d = to_wire(dev);
	uint64_t at;
	unsigned len;

	return wire_peek(d->w, d->end, &len, &at) ? max_t(uint64_t, at, 1) : 0;
}

static void wire_get_stats(struct netdev *dev, struct netdev_stats *ret_stats)
{
	struct wire_dev *d = to_wire(dev);

	*ret_stats = d->st;
	ret_stats->rx_missed = wire_missed(d->w, d->end);
}

static bool wire_link_up(struct netdev *dev)
{
	struct wire_dev *d = to_wire(dev);
	const struct wire_node *n = &d->w->nodes[d->end];

	return n->nr_links && !d->w->links[n->links[0]].path[0].path.cut &&
	       !d->w->links[n->links[0]].path[1].path.cut;
}

static void wire_close(struct netdev *dev)
{
	free(to_wire(dev));
}

static const struct netdev_ops wire_ops = {
	.rx_burst = wire_rx_burst,
	.tx_burst = wire_tx_burst,
	.get_fd = wire_get_fd,
	.next_event = wire_next_event,
	.get_stats = wire_get_stats,
	.link_up = wire_link_up,
	.close = wire_close,
};

int wire_netdev(struct wire *w, int end, uint16_t mtu, uint32_t features,
		uint64_t (*now)(void *ctx), void *ctx, struct netdev **ret_dev)
{
	struct wire_dev *d;

	if (end < 0 || end >= w->nr_nodes || w->nodes[end].macs || mtu < NETDEV_MTU_MIN ||
	    (features & ~(uint32_t)WIRE_FEATURES))
		return -EINVAL;
	d = malloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	memset(d, 0, offsetof(struct wire_dev, scratch));
	d->w = w;
	d->end = end;
	d->now = now;
	d->now_ctx = ctx;
	d->dev.ops = &wire_ops;
	(void)snprintf(d->dev.name, sizeof(d->dev.name), "wire%d", end);
	d->dev.dev_addr[0] = 0x02;
	d->dev.dev_addr[4] = (uint8_t)(end >> 8);
	d->dev.dev_addr[5] = (uint8_t)end;
	d->dev.mtu = mtu;
	d->dev.nr_queues = 1;
	d->dev.features = features;
	d->dev.tx_copybreak = WIRE_COPYBREAK;
	*ret_dev = &d->dev;
	return 0;
}
