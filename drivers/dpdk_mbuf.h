/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The skb pool over an rte_mempool: each skb lives in its mbuf's private area, right
 * behind struct rte_mbuf, so that a frame goes up without a copy and without an
 * allocation. Includes no rte_* header; dpdk_mbuf_int.h has what needs one.
 */
#ifndef DRIVERS_DPDK_MBUF_H
#define DRIVERS_DPDK_MBUF_H

#include "stack/skb.h"

/* Buffers from head to end: an Ethernet frame of MTU 1500 with DPDK's usual headroom. */
#define DPDK_BUF_SIZE 2176u

/* dpdk_pool_bytes - memory that a pool of nr skbs of buf_size takes, for dpdk_eal_start. */
size_t dpdk_pool_bytes(uint32_t nr, uint32_t buf_size);

/*
 * dpdk_pool_create - a pool of nr skbs (2^k - 1 wastes least), buf_size bytes from head to
 * end (256..65535), on NUMA node `node`, elsewhere where that has too little memory or is
 * none; -1 = any. Devices opened with it have their queues there as well. EAL must run. Any
 * thread; alloc and free are fastest on threads that called dpdk_thread_register(). 0;
 * -EINVAL; -ENOMEM it does not fit into what dpdk_eal_start() reserved. ops->destroy frees it,
 * when every skb is back.
 */
MUST_USE int dpdk_pool_create(uint32_t nr, uint32_t buf_size, int node, struct skb_pool **ret_pool);

/* dpdk_pool_in_use - skbs that are out, exact while no other thread allocates or frees.
 * For leak checks: slow. */
unsigned dpdk_pool_in_use(const struct skb_pool *pool);

#endif
