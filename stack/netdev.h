/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netdev: a device as the stack sees it. The stack declares, drivers fill (DPDK port,
 * loop pair, simulated wire; pcap and fault as decorators of any other).
 */
#ifndef STACK_NETDEV_H
#define STACK_NETDEV_H

#include "stack/skb.h"

#define ETH_ALEN       6
#define ETH_HLEN       14
#define NETDEV_BURST   64
#define NETDEV_MTU_MIN 576 /* RFC 791: what every host must take */

/* features: what the device does for us. (c) after open */
#define NETDEV_F_RX_CSUM     0x01u /* sets CHECKSUM_GOOD/BAD on RX */
#define NETDEV_F_TX_IP_CSUM  0x02u /* takes CHECKSUM_PARTIAL for IPv4 headers */
#define NETDEV_F_TX_TCP_CSUM 0x04u /* takes CHECKSUM_PARTIAL for TCP over IPv4 */
#define NETDEV_F_TSO         0x08u /* takes gso_size != 0 */
#define NETDEV_F_TX_SG       0x10u /* takes chains of fragments */
#define NETDEV_F_TX_HANDOVER 0x20u /* hands the very buffer to the other side (net_ring) */

struct netdev_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_missed; /* lost in the RX ring: we polled too late */
	uint64_t rx_nombuf; /* lost for want of a buffer */
	uint64_t rx_errors, tx_errors;
};

struct netdev;

struct netdev_ops {
	/*
	 * rx_burst - up to n frames of `queue` into skbs[], each starting at its Ethernet
	 * header, owned by the caller, allocated from or re-homed to `cache`. Returns the
	 * count. Only the lane that owns the queue calls it.
	 */
	unsigned (*rx_burst)(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
			     struct sk_buff **skbs, unsigned n);
	/*
	 * tx_burst - hand frames to the device. Returns how many it took; those are consumed,
	 * the rest stay the caller's. Only the lane that owns the queue calls it.
	 */
	unsigned (*tx_burst)(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n);
	/* get_fd - an fd that polls readable when frames wait; -EOPNOTSUPP if there is none. NULL:
	 * never. */
	int (*get_fd)(struct netdev *dev, uint16_t queue);
	/* next_event - decorators and wires: absolute ns at which a held frame leaves, 0 none. */
	uint64_t (*next_event)(struct netdev *dev);
	/* get_stats - fill *ret_stats; may be called from any thread. */
	void (*get_stats)(struct netdev *dev, struct netdev_stats *ret_stats);
	/* link_up - true if the peer can be reached at all. */
	bool (*link_up)(struct netdev *dev);
	/* close - stop and free the device. No queue may be in use any more. */
	void (*close)(struct netdev *dev);
};

struct netdev {
	const struct netdev_ops *ops; /* (c) */
	char name[32];                /* (c) "net_tap0" */
	uint8_t dev_addr[ETH_ALEN];   /* (c) */
	uint16_t mtu;                 /* (c) bytes of IP packet */
	uint16_t nr_queues;           /* (c) RX = TX queues */
	uint16_t tx_copybreak;        /* (c) longer payloads are shared, if it sums */
	uint32_t features;            /* (c) NETDEV_F_* */
	uint32_t headroom;            /* (c) bytes the device itself wants in front */
	bool tx_off; /* (a, relaxed) it would refuse every frame: no link, or a stopped queue. TCP
		      * then keeps its segments, as Linux does where a qdisc refuses them; what
		      * is sent all the same is lost as by a full ring */
};

static inline unsigned netdev_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
				       struct sk_buff **skbs, unsigned n)
{
	return dev->ops->rx_burst(dev, queue, cache, skbs, n);
}

static inline unsigned netdev_tx_burst(struct netdev *dev, uint16_t queue, struct sk_buff **skbs,
				       unsigned n)
{
	return dev->ops->tx_burst(dev, queue, skbs, n);
}

#endif
