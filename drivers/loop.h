/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop: a pair of netdevs in memory, no DPDK. What one end sends the other receives, in
 * order, nothing lost unless asked. For unit tests, for the simulator and for programs
 * without a NIC. Several queues with software RSS (rss.h); works in one thread and with
 * each queue of each end in a thread of its own.
 */
#ifndef DRIVERS_LOOP_H
#define DRIVERS_LOOP_H

#include "stack/netdev.h"

/* What loop can do for the stack: the loop_config.features that are accepted. */
#define LOOP_FEATURES                                                                              \
	(NETDEV_F_RX_CSUM | NETDEV_F_TX_IP_CSUM | NETDEV_F_TX_TCP_CSUM | NETDEV_F_TX_SG |          \
	 NETDEV_F_TX_HANDOVER)

struct loop_config {
	uint16_t nr_queues; /* default 1, at most 32 */
	uint32_t ring_size; /* frames per pair of queues and direction; power of 2; default 512 */
	uint16_t mtu;       /* default 1500; at most 65521 */
	/*
	 * NETDEV_F_* of both ends, default 0; a subset of LOOP_FEATURES. The offloads are real:
	 * with TX_*_CSUM the frame's checksums are completed, with RX_CSUM they are verified.
	 * Without TX_SG a chain is a bug of the sender. With TX_HANDOVER the very skb goes
	 * across, as on net_ring; frames are copied otherwise.
	 */
	uint32_t features;
	uint16_t tx_copybreak; /* default 256: larger payloads are shared */
	/* With TX_HANDOVER: the pool that the caches of both ends share. Unused without. */
	struct skb_pool *pool;
	/* A frame for a full RX ring is lost and counted in rx_missed, as a NIC does it; by
	 * default tx_burst takes fewer, as net_ring does. */
	bool lossy;
};

/* loop_config_init - all defaults. */
void loop_config_init(struct loop_config *cfg);

/*
 * loop_pair - two connected ends, MACs 02:00:00:00:00:0a and :0b, names "loop-a" and
 * "loop-b". cfg NULL = all defaults. Each end is closed by its own ops->close, in any
 * order; frames still under way go with the second one (with TX_HANDOVER the pool must
 * live until then). After one end closed, the other's link is down and eats what is sent.
 * 0; -EINVAL a field out of range; -ENOMEM.
 */
MUST_USE int loop_pair(const struct loop_config *cfg, struct netdev **ret_a, struct netdev **ret_b);

#endif
