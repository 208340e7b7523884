/* SPDX-License-Identifier: BSD-3-Clause */
/* Between dpdk_netdev.c (packets), dpdk_open.c (set-up) and dpdk_ring.c (the pair). */
#ifndef DRIVERS_DPDK_NETDEV_INT_H
#define DRIVERS_DPDK_NETDEV_INT_H

/* ours first, as in dpdk_mbuf_int.h */
#include "drivers/dpdk_netdev.h"

#include <rte_ethdev.h>

#define DPDK_QUEUES_MAX 64

struct dpdk_dev {
	struct netdev dev;
	uint16_t port;         /* (c) */
	bool tx_prepare;       /* (c) the PMD wants to see offloaded frames before */
	bool has_fd;           /* (c) configured so that a queue has an fd to wait on */
	struct skb_pool *pool; /* (c) */
	char driver[32];       /* (c) */
	uint64_t link_asked;   /* (a, relaxed) cycles when the link was last looked at */
	/* Called when the port is closed, for what belongs to dpdk_ring.c. */
	void (*closed)(void *ctx);
	void *closed_ctx;
	struct {
		uint64_t errors; /* (o) frames that could not be sent at all */
	} ALIGNED(CACHE_LINE) txq[DPDK_QUEUES_MAX];
};

/* The packet side's part of netdev_ops. */
unsigned dpdk_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
		       struct sk_buff **skbs, unsigned n);
unsigned dpdk_tx_burst(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n);

/*
 * dpdk_port_setup - configure and start a port that exists, and wrap it. On failure the
 * port is left as it was, for the caller to remove. -errno as dpdk_netdev_open.
 */
MUST_USE int dpdk_port_setup(uint16_t port, const char *name, const struct dpdk_netdev_config *cfg,
			     struct skb_pool *pool, struct dpdk_dev **ret_dev, char *err,
			     size_t errlen);

#endif
