/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between mbuf and skb: for dpdk_*.c only.
 *
 * Invariants of an mbuf whose skb is owned by the stack: next is NULL, nb_segs is 1. An
 * mbuf in the pool moreover has refcnt 1 and is direct (DPDK's own rule for raw allocation).
 * data_off, data_len, pkt_len and ol_flags (but for INDIRECT and EXTERNAL) are stale
 * while the stack owns it; dpdk_netdev sets them when it transmits.
 */
#ifndef DRIVERS_DPDK_MBUF_INT_H
#define DRIVERS_DPDK_MBUF_INT_H

/* ours first: DPDK defines container_of, likely and unlikely only where nobody else did */
#include "stack/skb.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

struct dpdk_pool {
	struct skb_pool pool;
	struct rte_mempool *mp; /* (c) */
	int node;               /* (c) that it lies on, SOCKET_ID_ANY unknown */
	bool lifo;              /* (c) of rte_stack, not of rte_ring */
};

static inline struct dpdk_pool *to_dpdk_pool(const struct skb_pool *pool)
{
	return (struct dpdk_pool *)container_of(pool, const struct dpdk_pool, pool);
}

static inline struct rte_mbuf *skb_to_mbuf(const struct sk_buff *skb)
{
	return (struct rte_mbuf *)skb - 1;
}

static inline struct sk_buff *mbuf_to_skb(struct rte_mbuf *m)
{
	return (struct sk_buff *)(m + 1);
}

#endif
