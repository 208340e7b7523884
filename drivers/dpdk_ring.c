/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The net_ring pair: two ports over cross-connected SPSC rings in one process. The rings
 * belong to the pair, not to the PMD, and go with the second port that closes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/dpdk_eal.h"
#include "drivers/dpdk_mbuf_int.h"
#include "drivers/dpdk_netdev_int.h"

#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ring.h>

#define RING_SIZE 1024
/* net_ring's own bound (RTE_PMD_RING_MAX_RX_RINGS). */
#define RING_QUEUES_MAX 16

struct ring_pair {
	struct rte_ring *ring[2][RING_QUEUES_MAX]; /* (c) [0]: a to b, [1]: b to a */
	unsigned nr_open;                          /* (a) ports that still use them */
};

static void ring_drain(struct rte_ring *r)
{
	void *m;

	while (r && rte_ring_dequeue(r, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(r);
}

static void pair_put(void *ctx)
{
	struct ring_pair *p = ctx;

	if (__atomic_sub_fetch(&p->nr_open, 1, __ATOMIC_ACQ_REL))
		return;
	for (unsigned i = 0; i < 2 * RING_QUEUES_MAX; i++)
		ring_drain(p->ring[i / RING_QUEUES_MAX][i % RING_QUEUES_MAX]);
	free(p);
}

static int make_rings(struct ring_pair *p, unsigned serial, uint16_t nr)
{
	char name[RTE_RING_NAMESIZE];

	for (unsigned dir = 0; dir < 2; dir++) {
		for (unsigned q = 0; q < nr; q++) {
			(void)snprintf(name, sizeof(name), "pl_r%u_%u_%u", serial, dir, q);
			p->ring[dir][q] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY,
							  RING_F_SP_ENQ | RING_F_SC_DEQ);
			if (!p->ring[dir][q])
				return -ENOMEM;
		}
	}
	return 0;
}

/* Port `side` of the pair; takes one reference of p if it succeeds. */
static int make_port(struct ring_pair *p, unsigned serial, unsigned side,
		     const struct dpdk_netdev_config *cfg, struct skb_pool *pool,
		     struct dpdk_dev **ret_dev, char *err, size_t errlen)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	struct rte_eth_dev_info info;
	int port, ret;

	/* 22.11 puts "net_ring_" in front of it */
	(void)snprintf(name, sizeof(name), "pl%u%c", serial, 'a' + (int)side);
	port = rte_eth_from_rings(name, p->ring[!side], cfg->nr_queues, p->ring[side],
				  cfg->nr_queues, 0);
	if (port < 0) {
		(void)snprintf(err, errlen, "net_ring: no port (%s)", rte_strerror(rte_errno));
		return -EIO;
	}
	(void)snprintf(name, sizeof(name), "net_ring%u%c", serial, 'a' + (int)side);
	ret = dpdk_port_setup((uint16_t)port, name, cfg, pool, ret_dev, err, errlen);
	if (ret < 0) {
		(void)rte_eth_dev_info_get((uint16_t)port, &info);
		(void)rte_eth_dev_close((uint16_t)port);
		(void)rte_dev_remove(info.device);
		return ret;
	}
	(*ret_dev)->closed = pair_put;
	(*ret_dev)->closed_ctx = p;
	p->nr_open++;
	return 0;
}

static int make_pair(struct ring_pair *p, const struct dpdk_netdev_config *cfg,
		     struct skb_pool *pool, struct dpdk_dev **d, char *err, size_t errlen)
{
	static unsigned serials;
	unsigned serial = __atomic_fetch_add(&serials, 1, __ATOMIC_RELAXED);
	int ret = make_rings(p, serial, cfg->nr_queues);

	if (ret < 0) {
		(void)snprintf(err, errlen, "net_ring: no memory for the rings");
		return ret;
	}
	ret = make_port(p, serial, 0, cfg, pool, &d[0], err, errlen);
	if (ret < 0)
		return ret;
	ret = make_port(p, serial, 1, cfg, pool, &d[1], err, errlen);
	if (ret < 0)
		d[0]->dev.ops->close(&d[0]->dev);
	return ret;
}

int dpdk_ring_pair(const struct dpdk_netdev_config *cfg, struct skb_pool *pool,
		   struct netdev **ret_a, struct netdev **ret_b, char *err, size_t errlen)
{
	struct dpdk_netdev_config c = {.mtu = 0};
	struct dpdk_dev *d[2];
	struct ring_pair *p;
	int ret;

	if (cfg)
		c = *cfg;
	c.mac = NULL;
	if (!c.nr_queues)
		c.nr_queues = 1;
	if (c.nr_queues > RING_QUEUES_MAX) {
		(void)snprintf(err, errlen, "net_ring: %u queues: it has %u", c.nr_queues,
			       RING_QUEUES_MAX);
		return -EINVAL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->nr_open = 1; /* this function's own */
	dpdk_quiet_begin();
	ret = make_pair(p, &c, pool, d, err, errlen);
	dpdk_quiet_end();
	pair_put(p);
	if (ret < 0)
		return ret;
	*ret_a = &d[0]->dev;
	*ret_b = &d[1]->dev;
	return 0;
}
