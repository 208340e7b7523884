/* SPDX-License-Identifier: BSD-3-Clause */
/* The facade with DPDK: opens in the order EAL, pool, device, pcap, fault; closes from the
 * outside in (a decorator closes what it wraps), the pool last. */
#include "drivers/open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "drivers/dpdk_eal.h"
#include "drivers/dpdk_mbuf.h"
#include "drivers/dpdk_netdev.h"
#include "drivers/pcap.h"
#include "stack/base/clock.h"

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t monotonic_ns(void *ctx)
{
	(void)ctx;
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t realtime_ns(void *ctx)
{
	(void)ctx;
	return clock_ns(CLOCK_REALTIME);
}

static void report_stderr(void *ctx, const char *line)
{
	(void)ctx;
	(void)fprintf(stderr, "parklane: %s\n", line);
}

/* Handles that are open. One thread opens and closes; exit() may come on another. */
static unsigned nr_open;

/* A program that leaves by exit() while lanes still poll must not have its memory unmapped
 * under them; nothing of EAL outlives the process anyway. */
static void at_exit(void)
{
	if (READ_ONCE(nr_open) == 0)
		dpdk_eal_stop();
}

/* "0000:03:00.0,opt=1" needs EAL to look at the PCI bus, and at that device only. */
static bool pci_of(const char *dev, char *pci, size_t len)
{
	unsigned a, b, c;

	(void)snprintf(pci, len, "%.*s", (int)strcspn(dev, ","), dev);
	return strchr(pci, ':') && (sscanf(pci, "%x:%x:%x.", &a, &b, &c) == 3 ||
				    sscanf(pci, "%x:%x.%x", &a, &b, &c) == 3);
}

/* A jumbo frame is received as a chain, hence one size of buffer for all. */
static int open_pool(const struct netdev_spec *spec, struct skb_pool **ret_pool, char *err,
		     size_t errlen)
{
	uint32_t nr = spec->pool_nr ? spec->pool_nr : NETDEV_POOL_DEFAULT;
	size_t bytes = dpdk_pool_bytes(nr, DPDK_BUF_SIZE);
	struct dpdk_eal_config eal = {
		.mem_bytes = bytes,
		.huge = (enum dpdk_huge)spec->huge,
		.verbose = spec->verbose,
	};
	static bool registered;
	char pci[64];
	int ret;

	if (spec->dev && pci_of(spec->dev, pci, sizeof(pci)))
		eal.pci = pci;
	ret = dpdk_eal_start(&eal, err, errlen);
	if (ret < 0)
		return ret;
	if (!registered)
		registered = atexit(at_exit) == 0;
	ret = dpdk_pool_create(nr, DPDK_BUF_SIZE, spec->node, ret_pool);
	if (ret == 0)
		WRITE_ONCE(nr_open, nr_open + 1);
	if (ret == -EINVAL)
		(void)snprintf(err, errlen, "a pool of %u buffers: want 512 or more", nr);
	else if (ret < 0)
		(void)snprintf(err, errlen,
			       "a pool of %zu MiB does not fit into what DPDK has: ask for a "
			       "smaller one, or start with the larger one",
			       bytes >> 20);
	return ret;
}

/* Wraps h->dev, which is closed with everything around it if this fails. */
static int decorate(const struct netdev_spec *spec, const struct fault_spec *faults,
		    struct netdev_handle *h, char *err, size_t errlen)
{
	const struct pcap_config pcap = {
		.path = spec->pcap,
		.now = realtime_ns,
		.report = report_stderr,
	};
	int ret = 0;

	if (spec->pcap)
		ret = pcap_wrap(h->dev, &pcap, &h->dev, err, errlen);
	if (ret < 0 || !spec->fault)
		return ret;
	ret = fault_wrap(h->dev, faults, spec->now ? spec->now : monotonic_ns, spec->now_ctx,
			 &h->dev);
	if (ret < 0)
		(void)snprintf(err, errlen, "faults: no memory");
	else
		h->fault = h->dev;
	return ret;
}

static int open_any(const struct netdev_spec *spec, bool pair, struct netdev_handle *ret_handle,
		    char *err, size_t errlen)
{
	const struct dpdk_netdev_config cfg = {.nr_queues = spec->nr_queues, .mtu = spec->mtu};
	struct netdev_handle h = {.dev = NULL};
	struct fault_spec faults;
	int ret = 0;

	if (spec->fault)
		ret = fault_parse(spec->fault, &faults, err, errlen);
	if (ret == 0)
		ret = open_pool(spec, &h.pool, err, errlen);
	if (ret < 0)
		return ret;
	ret = pair ? dpdk_ring_pair(&cfg, h.pool, &h.dev, &h.peer, err, errlen)
		   : dpdk_netdev_open(spec->dev, &cfg, h.pool, &h.dev, err, errlen);
	if (ret == 0)
		ret = decorate(spec, &faults, &h, err, errlen);
	if (ret < 0)
		netdev_close_spec(&h);
	else
		*ret_handle = h;
	return ret;
}

int netdev_open_spec(const struct netdev_spec *spec, struct netdev_handle *ret_handle, char *err,
		     size_t errlen)
{
	return open_any(spec, false, ret_handle, err, errlen);
}

int netdev_open_pair(const struct netdev_spec *spec, struct netdev_handle *ret_handle, char *err,
		     size_t errlen)
{
	return open_any(spec, true, ret_handle, err, errlen);
}

void netdev_close_spec(struct netdev_handle *h)
{
	if (h->dev)
		h->dev->ops->close(h->dev);
	if (h->peer)
		h->peer->ops->close(h->peer);
	if (h->pool) {
		skb_pool_destroy(h->pool);
		WRITE_ONCE(nr_open, nr_open - 1);
	}
	*h = (struct netdev_handle){.dev = NULL};
}

int netdev_thread_begin(void)
{
	return dpdk_thread_register();
}

void netdev_thread_end(void)
{
	dpdk_thread_unregister();
}
