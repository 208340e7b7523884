/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One netdev over any DPDK port: net_tap, net_ring, net_af_packet, net_af_xdp, net_memif
 * and PCI devices. EAL must run (dpdk_eal.h) and the pool must be dpdk_mbuf.h's. Leaves out
 * TSO: no device that can prove it is at hand.
 */
#ifndef DRIVERS_DPDK_NETDEV_H
#define DRIVERS_DPDK_NETDEV_H

#include "stack/netdev.h"

struct dpdk_netdev_config {
	uint16_t nr_queues; /* RX = TX queues; 0 = 1 */
	uint16_t nr_desc;   /* per queue; 0 = what suits the device */
	uint16_t mtu;       /* bytes of IP packet; 0 = 1500 */
	const uint8_t *mac; /* ETH_ALEN bytes, NULL = the device's own */
};

/*
 * dpdk_netdev_open - open the port that `devargs` names, as DPDK writes them:
 * "net_tap0,iface=pl0", "net_memif0,role=client,socket=/run/m.sock", "0000:03:00.0".
 * On failure `err` holds one line. One thread, at start-up or at the end; close likewise.
 * 0; -ENODEV unknown device or driver; -EEXIST open already; -EPERM not permitted;
 * -EINVAL a value that the device cannot take; -ENOMEM; -EIO the device refused.
 */
MUST_USE int dpdk_netdev_open(const char *devargs, const struct dpdk_netdev_config *cfg,
			      struct skb_pool *pool, struct netdev **ret_dev, char *err,
			      size_t errlen);

/*
 * dpdk_ring_pair - two ports in one process that hand each other their mbufs through SPSC
 * rings of 1,024 (NETDEV_F_TX_HANDOVER): queue i of one is connected with queue i of the
 * other. nr_desc and mac of cfg are not used; MACs are 02:00:00:00:01:01 and up. Each end
 * is closed by its own ops->close; what is under way goes with the second. `cfg` may be
 * NULL. -errno as above.
 */
MUST_USE int dpdk_ring_pair(const struct dpdk_netdev_config *cfg, struct skb_pool *pool,
			    struct netdev **ret_a, struct netdev **ret_b, char *err, size_t errlen);

/* dpdk_netdev_driver - the PMD's name, "net_tap"; lives as long as the device. */
const char *dpdk_netdev_driver(const struct netdev *dev);

#endif
