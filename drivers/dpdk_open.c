/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens and closes DPDK ports: devargs to vdev or PCI device, capabilities to NETDEV_F_*,
 * and each refusal to one line that says what to do. The packets are in dpdk_netdev.c.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/dpdk_eal.h"
#include "drivers/dpdk_mbuf_int.h"
#include "drivers/dpdk_netdev_int.h"
#include "drivers/rss.h"

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>

#define MTU_DEFAULT 1500
#define NIC_DESC    1024
/* net_tap allocates this many buffers per queue and uses one per frame without scatter. */
#define TAP_DESC  64
#define COPYBREAK 256
/* What the kernel keeps for XDP programs of each buffer that net_af_xdp receives into
 * (linux/bpf.h): longer frames vanish there, counted as missed. */
#define XDP_HEADROOM 256

PRINTF_FMT(4, 5)
static int fail(int ret, char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return ret;
}

/* PMDs answer -1 where they mean "no", which is not EPERM. */
static const char *reason(int ret)
{
	return ret == -1 ? "no reason given" : rte_strerror(-ret);
}

static struct dpdk_dev *to_dpdk(struct netdev *dev)
{
	return container_of(dev, struct dpdk_dev, dev);
}

/* ---- netdev_ops but for the packets ---- */

static int port_get_fd(struct netdev *dev, uint16_t queue)
{
	struct dpdk_dev *d = to_dpdk(dev);
	int fd = d->has_fd ? rte_eth_dev_rx_intr_ctl_q_get_fd(d->port, queue) : -1;

	return fd >= 0 ? fd : -EOPNOTSUPP;
}

static uint64_t port_next_event(struct netdev *dev)
{
	(void)dev;
	return 0;
}

static void port_get_stats(struct netdev *dev, struct netdev_stats *ret_stats)
{
	struct dpdk_dev *d = to_dpdk(dev);
	struct rte_eth_stats st;

	memset(ret_stats, 0, sizeof(*ret_stats));
	if (rte_eth_stats_get(d->port, &st) < 0)
		return;
	ret_stats->rx_packets = st.ipackets;
	ret_stats->rx_bytes = st.ibytes;
	ret_stats->tx_packets = st.opackets;
	ret_stats->tx_bytes = st.obytes;
	ret_stats->rx_missed = st.imissed;
	ret_stats->rx_nombuf = st.rx_nombuf;
	ret_stats->rx_errors = st.ierrors;
	ret_stats->tx_errors = st.oerrors;
	for (uint16_t i = 0; i < dev->nr_queues; i++)
		ret_stats->tx_errors += stat_read(&d->txq[i].errors);
}

static bool port_link_up(struct netdev *dev)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(to_dpdk(dev)->port, &link) == 0 && link.link_status;
}

static void port_remove(uint16_t port)
{
	struct rte_eth_dev_info info;
	bool known = rte_eth_dev_info_get(port, &info) == 0;

	(void)rte_eth_dev_close(port);
	if (known && info.device)
		(void)rte_dev_remove(info.device);
}

static void port_close(struct netdev *dev)
{
	struct dpdk_dev *d = to_dpdk(dev);

	dpdk_quiet_begin();
	(void)rte_eth_dev_stop(d->port);
	port_remove(d->port);
	dpdk_quiet_end();
	if (d->closed)
		d->closed(d->closed_ctx);
	free(d);
}

static const struct netdev_ops dpdk_ops = {
	.rx_burst = dpdk_rx_burst,
	.tx_burst = dpdk_tx_burst,
	.get_fd = port_get_fd,
	.next_event = port_next_event,
	.get_stats = port_get_stats,
	.link_up = port_link_up,
	.close = port_close,
};

const char *dpdk_netdev_driver(const struct netdev *dev)
{
	return to_dpdk((struct netdev *)dev)->driver;
}

/* ---- set-up of a port that exists ---- */

static bool driver_is(const struct dpdk_dev *d, const char *name)
{
	return strcmp(d->driver, name) == 0;
}

/*
 * What is used of what the port offers. net_tap's TX checksum is done in software, once
 * more over the payload, and adds segments of odd length wrongly (22.11
 * tap_tx_l4_add_rcksum): the stack's own is used instead.
 */
static void choose_offloads(struct dpdk_dev *d, const struct rte_eth_dev_info *info,
			    struct rte_eth_conf *conf)
{
	uint64_t rx_csum = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	uint64_t tx_csum = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;

	if ((info->rx_offload_capa & rx_csum) == rx_csum) {
		conf->rxmode.offloads |= rx_csum;
		d->dev.features |= NETDEV_F_RX_CSUM;
	}
	if ((info->tx_offload_capa & tx_csum) == tx_csum && !driver_is(d, "net_tap")) {
		conf->txmode.offloads |= tx_csum;
		d->dev.features |= NETDEV_F_TX_IP_CSUM | NETDEV_F_TX_TCP_CSUM;
		d->tx_prepare = true;
	}
	if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) {
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
		d->dev.features |= NETDEV_F_TX_SG;
	}
	if (driver_is(d, "net_ring")) {
		d->dev.features |= NETDEV_F_TX_HANDOVER;
		d->dev.tx_copybreak = COPYBREAK;
	}
	if (d->dev.nr_queues > 1 && info->flow_type_rss_offloads) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		/* By our hash what comes is at home at once; by another it is forwarded. */
		if (info->hash_key_size == RSS_KEY_LEN) {
			conf->rx_adv_conf.rss_conf.rss_key = (uint8_t *)rss_key;
			conf->rx_adv_conf.rss_conf.rss_key_len = RSS_KEY_LEN;
		}
		conf->rx_adv_conf.rss_conf.rss_hf =
			info->flow_type_rss_offloads &
			(RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP);
	}
	d->has_fd = driver_is(d, "net_tap");
	conf->intr_conf.rxq = d->has_fd;
}

/* The largest mtu that ethdev lets a device have: some tell it as a frame's length only. */
static unsigned mtu_limit(const struct rte_eth_dev_info *info)
{
	unsigned overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;

	if (info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu)
		overhead = info->max_rx_pktlen - info->max_mtu;
	return min_t(unsigned, info->max_mtu, info->max_rx_pktlen - overhead);
}

/* Frames larger than a buffer need a device that scatters. */
static int choose_mtu(struct dpdk_dev *d, const struct rte_eth_dev_info *info,
		      struct rte_eth_conf *conf, char *err, size_t errlen)
{
	unsigned mtu = d->dev.mtu, room = d->pool->buf_size - RTE_PKTMBUF_HEADROOM;

	if (driver_is(d, "net_af_xdp"))
		room -= XDP_HEADROOM;
	if (mtu < NETDEV_MTU_MIN || mtu < info->min_mtu || mtu > mtu_limit(info))
		return fail(-EINVAL, err, errlen, "%s: mtu %u: it takes %u to %u", d->dev.name, mtu,
			    max_t(unsigned, info->min_mtu, NETDEV_MTU_MIN), mtu_limit(info));
	conf->rxmode.mtu = mtu;
	if (mtu + ETH_HLEN <= room)
		return 0;
	if (!(info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER))
		return fail(-EINVAL, err, errlen, "%s: mtu %u: it takes up to %u", d->dev.name, mtu,
			    room - ETH_HLEN);
	conf->rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
	return 0;
}

static int setup_queues(struct dpdk_dev *d, const struct rte_eth_conf *conf, uint16_t nr_desc)
{
	uint16_t rxd = nr_desc, txd = nr_desc;
	const struct dpdk_pool *pool = to_dpdk_pool(d->pool);
	unsigned node = (unsigned)pool->node;
	int ret;

	ret = rte_eth_dev_configure(d->port, d->dev.nr_queues, d->dev.nr_queues, conf);
	if (ret == 0)
		ret = rte_eth_dev_adjust_nb_rx_tx_desc(d->port, &rxd, &txd);
	for (uint16_t q = 0; ret == 0 && q < d->dev.nr_queues; q++) {
		ret = rte_eth_rx_queue_setup(d->port, q, rxd, node, NULL, pool->mp);
		if (ret == 0)
			ret = rte_eth_tx_queue_setup(d->port, q, txd, node, NULL);
	}
	/* only after the queues are there does net_tap have all of its interface */
	if (ret == 0)
		ret = rte_eth_dev_set_mtu(d->port, d->dev.mtu);
	if (ret == -ENOTSUP)
		ret = 0;
	return ret ? ret : rte_eth_dev_start(d->port);
}

/* The device's own address, or the wanted one; net_ring has none and gets one from us. */
static void choose_mac(struct dpdk_dev *d, const uint8_t *want)
{
	struct rte_ether_addr mac = {.addr_bytes = {0}};

	(void)rte_eth_macaddr_get(d->port, &mac);
	if (want)
		memcpy(mac.addr_bytes, want, ETH_ALEN);
	else if (rte_is_zero_ether_addr(&mac))
		mac = (struct rte_ether_addr){
			.addr_bytes = {0x02, 0, 0, 0, 1, (uint8_t)(d->port + 1)}};
	if (want && rte_eth_dev_default_mac_addr_set(d->port, &mac) < 0)
		(void)rte_eth_promiscuous_enable(d->port);
	memcpy(d->dev.dev_addr, mac.addr_bytes, ETH_ALEN);
}

/* d->port is set; everything else is filled in. */
static int port_init(struct dpdk_dev *d, const struct dpdk_netdev_config *cfg, char *err,
		     size_t errlen)
{
	struct rte_eth_conf conf = {.rxmode = {.mtu = 0}};
	struct rte_eth_dev_info info;
	uint16_t nr_desc = cfg->nr_desc;
	char words[160];
	int ret;

	ret = rte_eth_dev_info_get(d->port, &info);
	if (ret < 0)
		return fail(-EIO, err, errlen, "%s: the device tells nothing of itself: %s",
			    d->dev.name, rte_strerror(-ret));
	(void)snprintf(d->driver, sizeof(d->driver), "%s", info.driver_name);
	if (d->dev.nr_queues > min_t(unsigned, info.max_rx_queues, info.max_tx_queues) ||
	    d->dev.nr_queues > DPDK_QUEUES_MAX)
		return fail(-EINVAL, err, errlen, "%s: %u queues: it has %u", d->dev.name,
			    d->dev.nr_queues,
			    min_t(unsigned, info.max_rx_queues, info.max_tx_queues));
	choose_offloads(d, &info, &conf);
	ret = choose_mtu(d, &info, &conf, err, errlen);
	if (ret < 0)
		return ret;
	if (!nr_desc)
		nr_desc = driver_is(d, "net_tap") ? TAP_DESC : NIC_DESC;
	ret = setup_queues(d, &conf, nr_desc);
	if (ret < 0)
		return fail(ret == -ENOMEM ? -ENOMEM : -EIO, err, errlen,
			    "%s: the device did not start: %s (%s)", d->dev.name, reason(ret),
			    dpdk_last_words(words, sizeof(words)));
	choose_mac(d, cfg->mac);
	return 0;
}

int dpdk_port_setup(uint16_t port, const char *name, const struct dpdk_netdev_config *cfg,
		    struct skb_pool *pool, struct dpdk_dev **ret_dev, char *err, size_t errlen)
{
	struct dpdk_dev *d = aligned_alloc(CACHE_LINE, sizeof(*d));
	int ret;

	if (!d)
		return fail(-ENOMEM, err, errlen, "%s: no memory", name);
	memset(d, 0, sizeof(*d));
	d->port = port;
	d->pool = pool;
	d->dev.ops = &dpdk_ops;
	(void)snprintf(d->dev.name, sizeof(d->dev.name), "%s", name);
	d->dev.mtu = cfg->mtu ? cfg->mtu : MTU_DEFAULT;
	d->dev.nr_queues = cfg->nr_queues ? cfg->nr_queues : 1;
	ret = port_init(d, cfg, err, errlen);
	if (ret < 0) {
		free(d);
		return ret;
	}
	*ret_dev = d;
	return 0;
}

/* ---- devargs ---- */

static bool is_pci(const char *name)
{
	unsigned a, b, c, d;
	char end;

	return sscanf(name, "%x:%x:%x.%x%c", &a, &b, &c, &d, &end) == 4 ||
	       sscanf(name, "%x:%x.%x%c", &a, &b, &c, &end) == 3;
}

/* The value of the argument iface=, "" if there is none. */
static void iface_of(const char *args, char name[static IF_NAMESIZE])
{
	const char *p = strstr(args, "iface=");

	*name = 0;
	if (p) {
		p += strlen("iface=");
		(void)snprintf(name, IF_NAMESIZE, "%.*s", (int)strcspn(p, ","), p);
	}
}

/* 0; -EBUSY somebody has the tap `name` open; -EINVAL it is no tap that net_tap can use. */
static int tap_attach(int fd, const char *name)
{
	struct ifreq probe = {.ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = "plprobe%d"};
	struct ifreq ifr = {0};

	if (!*name || !if_nametoindex(name))
		return ioctl(fd, TUNSETIFF, &probe) < 0 ? -errno : 0;
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE;
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return -errno;
	/* One that does not persist lives by the fd of another. */
	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return -errno;
	return ifr.ifr_flags & IFF_PERSIST ? 0 : -EBUSY;
}

/*
 * Asks the kernel for the tap device as net_tap will, to have its answer: the PMD keeps the
 * errno to itself. The probe's device is gone when the fd is closed. net_tap opens devices
 * of many queues: the kernel would let it into a running lane's and divide the frames.
 */
static int tap_allowed(const char *args, char *err, size_t errlen)
{
	char name[IF_NAMESIZE];
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int ret = fd < 0 ? -errno : 0;

	iface_of(args, name);
	if (ret == 0)
		ret = tap_attach(fd, name);
	if (fd >= 0)
		(void)close(fd);
	if (ret == -EBUSY)
		return fail(
			-EBUSY, err, errlen,
			"net_tap: %s is in use by another process: stop that, or choose another "
			"iface=NAME",
			name);
	if (ret == -EINVAL && *name)
		return fail(
			-EINVAL, err, errlen,
			"net_tap: %s exists and is no multi-queue tap: choose another iface=NAME",
			name);
	if (ret == -ENOENT || ret == -ENXIO || ret == -ENODEV)
		return fail(-ENODEV, err, errlen,
			    "net_tap: /dev/net/tun is missing; try: modprobe tun");
	if (ret < 0)
		return fail(-EPERM, err, errlen,
			    "net_tap: no permission for /dev/net/tun (%s): run as root or with "
			    "CAP_NET_ADMIN",
			    rte_strerror(-ret));
	return 0;
}

/* net_tap takes an argument that it does not know for none at all: "ifcae=pl0" would open a
 * device of another name. */
static int tap_args(const char *name, const char *args, char *err, size_t errlen)
{
	static const char *const known[] = {"iface=", "remote=", "mac=", "persist"};

	while (*args) {
		size_t len = strcspn(args, ",");
		bool ok = false;

		for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
			ok |= strncmp(args, known[i], strlen(known[i])) == 0;
		if (!ok)
			return fail(-EINVAL, err, errlen,
				    "%s: argument '%.*s': it knows iface=NAME, "
				    "mac=MAC, remote=NAME, persist",
				    name, (int)len, args);
		if (strncmp(args, "iface=", 6) == 0 && len - 6 >= IF_NAMESIZE)
			return fail(-EINVAL, err, errlen,
				    "%s: the interface's name '%.*s' is longer than %d", name,
				    (int)len - 6, args + 6, IF_NAMESIZE - 1);
		args += len + (args[len] == ',');
	}
	return 0;
}

/* The kernel's interface that a PMD is to sit on must be there. */
static int iface_exists(const char *name, const char *args, char *err, size_t errlen)
{
	char ifname[IF_NAMESIZE];
	int fd;

	iface_of(args, ifname);
	if (!*ifname)
		return fail(-EINVAL, err, errlen, "%s: say on which interface: %s,iface=NAME", name,
			    name);
	if (!if_nametoindex(ifname))
		return fail(-ENODEV, err, errlen, "%s: there is no interface %s; see: ip link",
			    name, ifname);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 && (errno == EPERM || errno == EACCES))
		return fail(-EPERM, err, errlen,
			    "%s: not permitted to open %s: run as root or with CAP_NET_RAW", name,
			    ifname);
	if (fd >= 0)
		close(fd);
	return 0;
}

static int check_vdev(const char *name, const char *args, char *err, size_t errlen)
{
	if (strncmp(name, "net_tap", 7) == 0) {
		int ret = tap_args(name, args, err, errlen);

		return ret < 0 ? ret : tap_allowed(args, err, errlen);
	}
	if (strncmp(name, "net_af_packet", 13) == 0 || strncmp(name, "net_af_xdp", 10) == 0)
		return iface_exists(name, args, err, errlen);
	return 0;
}

/*
 * net_tap has the kernel send a real-time signal per frame, to whichever thread does not
 * block it, and reads only after its handler ran. A lane that polls gains nothing from
 * it, and where all threads block signals nothing would ever be received. It does without
 * when no such signal is free: so none is, while the port is opened.
 */
static void hide_rt_signals(bool hide, struct sigaction *saved)
{
	const struct sigaction ign = {.sa_handler = SIG_IGN};

	for (int s = SIGRTMIN; s <= SIGRTMAX; s++) {
		struct sigaction *was = &saved[s - SIGRTMIN];

		if (hide)
			(void)sigaction(s, &ign, was);
		else
			(void)sigaction(s, was, NULL);
	}
}

static int attach_device(const char *name, const char *args, uint16_t *ret_port, char *err,
			 size_t errlen)
{
	char words[160];
	int ret;

	if (!is_pci(name)) {
		ret = check_vdev(name, args, err, errlen);
		if (ret < 0)
			return ret;
		ret = rte_eal_hotplug_add("vdev", name, args);
		if (ret == -ENODEV || ret == -ENOTSUP || ret == -EINVAL || ret == -ENOENT ||
		    ret == -EFAULT)
			return fail(-ENODEV, err, errlen,
				    "%s: no such device or driver, or bad arguments (%s); known: "
				    "net_tap, net_ring, net_memif, net_af_packet, net_af_xdp, PCI "
				    "addresses",
				    name, dpdk_last_words(words, sizeof(words)));
		if (ret < 0)
			return fail(-EIO, err, errlen, "%s: the driver refused: %s (%s)", name,
				    reason(ret), dpdk_last_words(words, sizeof(words)));
	}
	if (rte_eth_dev_get_port_by_name(name, ret_port) == 0)
		return 0;
	return fail(-ENODEV, err, errlen,
		    is_pci(name) ? "%s: no such device bound to vfio-pci; see: dpdk-devbind.py -s"
				 : "%s: the driver made no port of it",
		    name);
}

static int open_port(const char *name, const char *args, const struct dpdk_netdev_config *cfg,
		     struct skb_pool *pool, struct dpdk_dev **ret_dev, char *err, size_t errlen)
{
	struct sigaction saved[_NSIG];
	uint16_t port;
	int ret;

	dpdk_quiet_begin();
	hide_rt_signals(true, saved);
	ret = attach_device(name, args, &port, err, errlen);
	if (ret == 0) {
		ret = dpdk_port_setup(port, name, cfg, pool, ret_dev, err, errlen);
		if (ret < 0)
			port_remove(port);
	}
	hide_rt_signals(false, saved);
	dpdk_quiet_end();
	return ret;
}

int dpdk_netdev_open(const char *devargs, const struct dpdk_netdev_config *cfg,
		     struct skb_pool *pool, struct netdev **ret_dev, char *err, size_t errlen)
{
	static const struct dpdk_netdev_config dflt;
	size_t len = strcspn(devargs, ",");
	char name[RTE_ETH_NAME_MAX_LEN];
	struct dpdk_dev *d;
	uint16_t port;
	int ret;

	if (!len || len >= sizeof(name))
		return fail(-ENODEV, err, errlen,
			    "device '%s': want DRIVER[N][,OPTIONS], for "
			    "example net_tap0,iface=pl0",
			    devargs);
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, devargs);
	/* DPDK knows PCI devices by the long form only */
	if (is_pci(name) && strchr(name, ':') == strrchr(name, ':'))
		(void)snprintf(name, sizeof(name), "0000:%.*s", (int)len, devargs);
	if (rte_eth_dev_get_port_by_name(name, &port) == 0 && !is_pci(name))
		return fail(-EEXIST, err, errlen, "%s: is open already", name);
	ret = open_port(name, devargs + len + (devargs[len] == ','), cfg ? cfg : &dflt, pool, &d,
			err, errlen);
	if (ret == 0)
		*ret_dev = &d->dev;
	return ret;
}
