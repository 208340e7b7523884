/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The facade over drivers/: from a device string and some options to a netdev with its
 * pool, decorated (pcap next to the device, fault around it), and back in one call. The
 * same interface in a build without DPDK, which refuses. For apps/.
 */
#ifndef DRIVERS_OPEN_H
#define DRIVERS_OPEN_H

#include "drivers/fault.h"
#include "stack/netdev.h"

#define NETDEV_POOL_DEFAULT 32767u

enum netdev_huge {
	NETDEV_HUGE_AUTO, /* hugepages if enough are free */
	NETDEV_HUGE_NEED, /* refuse without */
	NETDEV_HUGE_NONE,
};

/* All zero but `dev` is valid. Strings are borrowed for the call. */
struct netdev_spec {
	const char *dev;    /* DPDK devargs, "net_tap0,iface=pl0"; unused for a pair */
	uint16_t mtu;       /* bytes of IP packet; 0 = 1500 */
	uint16_t nr_queues; /* 0 = 1 */
	const char *pcap;   /* file to capture into, NULL = none */
	const char *fault;  /* "loss=0.01,seed=7", NULL = none */
	uint32_t pool_nr;   /* buffers, 2^k - 1 wastes least; 0 = NETDEV_POOL_DEFAULT */
	int node;           /* NUMA node of buffers and queues, if it has the memory; -1 = any */
	enum netdev_huge huge;
	bool verbose; /* let EAL's and the PMDs' chatter through to stderr */
	/* ns on the lanes' clock, for held frames; NULL = CLOCK_MONOTONIC */
	uint64_t (*now)(void *ctx);
	void *now_ctx;
};

/* What was opened. Fields are the reader's; (c) until netdev_close_spec(). */
struct netdev_handle {
	struct netdev *dev;
	struct netdev *peer; /* the pair's other end, undecorated; NULL if there is none */
	struct skb_pool *pool;
	struct netdev *fault; /* for fault_get_stats(); NULL without faults */
};

/*
 * netdev_open_spec - EAL if it does not run yet, pool, device, decorators. The first call
 * of a process decides how much memory DPDK has: a later one fits if it needs no more than
 * was closed since. On failure nothing is left open and err holds one line. One thread, at
 * start-up. 0; -EOPNOTSUPP built without DPDK; -errno of dpdk_eal_start(),
 * dpdk_pool_create(), dpdk_netdev_open(), pcap_wrap(), fault_parse().
 */
MUST_USE int netdev_open_spec(const struct netdev_spec *spec, struct netdev_handle *ret_handle,
			      char *err, size_t errlen);

/* netdev_open_pair - the same for a net_ring pair in this process; the decorators go
 * around `dev`. */
MUST_USE int netdev_open_pair(const struct netdev_spec *spec, struct netdev_handle *ret_handle,
			      char *err, size_t errlen);

/* netdev_close_spec - device(s), then the pool: every skb must be back (skb_cache_fini). EAL
 * itself ends with the process. */
void netdev_close_spec(struct netdev_handle *h);

/*
 * netdev_thread_begin, netdev_thread_end - around the life of a thread that polls such
 * devices; without it a thread has no mempool cache. 0; -ENOMEM too many threads.
 */
MUST_USE int netdev_thread_begin(void);
void netdev_thread_end(void);

#endif
