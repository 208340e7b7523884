/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DPDK devices against the kernel, as root, in a network namespace of its own that ends
 * with the process: net_tap, net_af_packet and net_af_xdp on a veth pair, net_memif between
 * two ports. One process, since EAL starts once. Prints TAP; skips what is not permitted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "drivers/dpdk_eal.h"
#include "drivers/dpdk_mbuf.h"
#include "drivers/dpdk_netdev.h"
#include "drivers/frame.h"

#define POOL_NR     16383u
#define TEST_TYPE   0x88b5 /* IEEE 802 local experimental */
#define PATIENCE_MS 1000

/* LeakSanitizer asks for it: libxdp keeps 80 bytes of each umem that net_af_xdp closes. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create\n";
}

static struct skb_pool *pool;
static struct skb_cache cache;
static uint64_t drops[SKB_DROP_MAX];
static char err[512];
static unsigned nr_cases, nr_failed;

static bool check(const char *name, bool ok)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++nr_cases, name);
	nr_failed += !ok;
	return ok;
}

static void skip(const char *name, const char *why)
{
	printf("ok %u - %s # SKIP %s\n", ++nr_cases, name, why);
}

static void pause_ms(unsigned ms)
{
	const struct timespec ts = {.tv_nsec = ms * 1000000l};

	(void)nanosleep(&ts, NULL);
}

static int shell(const char *cmd)
{
	return system(cmd);
}

/* ---- the kernel's end: a packet socket on an interface ---- */

static int raw_open(const char *ifname)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	struct sockaddr_ll sa = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

	sa.sll_ifindex = (int)if_nametoindex(ifname);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror(ifname);
		exit(1);
	}
	return fd;
}

static void make_frame(uint8_t *p, unsigned len, unsigned byte)
{
	memset(p, (int)byte, len);
	memset(p, 0xff, 6);
	memset(p + 6, 0x02, 6);
	p[12] = TEST_TYPE >> 8;
	p[13] = TEST_TYPE & 0xff;
}

/* The next test frame that came in at fd; its length, 0 if none comes. */
static unsigned raw_receive(int fd, uint8_t *buf, unsigned len)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	for (;;) {
		struct sockaddr_ll from;
		socklen_t fromlen = sizeof(from);
		ssize_t n;

		if (poll(&pfd, 1, PATIENCE_MS) <= 0)
			return 0;
		n = recvfrom(fd, buf, len, 0, (struct sockaddr *)&from, &fromlen);
		if (n >= 14 && from.sll_pkttype != PACKET_OUTGOING && buf[12] == TEST_TYPE >> 8 &&
		    buf[13] == (TEST_TYPE & 0xff))
			return (unsigned)n;
	}
}

/* ---- our end ---- */

/* The next frame of an ethertype that dev receives, NULL if none comes in time. */
static struct sk_buff *receive(struct netdev *dev, unsigned type)
{
	for (unsigned i = 0; i < PATIENCE_MS * 5; i++) {
		struct sk_buff *skb;

		if (!netdev_rx_burst(dev, 0, &cache, &skb, 1)) {
			const struct timespec ts = {.tv_nsec = 200000};

			(void)nanosleep(&ts, NULL);
			continue;
		}
		if (skb->len >= 14 && skb->data[12] == type >> 8 && skb->data[13] == (type & 0xff))
			return skb;
		skb_free(skb);
	}
	return NULL;
}

static struct sk_buff *chain_frame(void)
{
	struct sk_buff *skb = skb_alloc(&cache, 128), *more = skb_alloc(&cache, 0), *ref;

	make_frame(skb_put(skb, 61), 61, 1);
	memset(skb_put(more, 701), 2, 701);
	ref = skb_ref(&cache, more, 0, 701);
	skb_free(more);
	skb_append_frag(skb, ref);
	return skb;
}

static bool chain_arrived(const uint8_t *buf, unsigned len)
{
	return len == 762 && buf[60] == 1 && buf[61] == 2 && buf[761] == 2;
}

static bool up_case(struct netdev *dev, int raw)
{
	uint8_t buf[300];
	struct sk_buff *skb;
	bool ok;

	make_frame(buf, sizeof(buf), 7);
	if (send(raw, buf, sizeof(buf), 0) != sizeof(buf))
		return false;
	skb = receive(dev, TEST_TYPE);
	ok = skb && skb->len == sizeof(buf) && skb->data[299] == 7 && skb->dev == dev;
	if (skb)
		skb_free(skb);
	return ok;
}

static bool down_case(struct netdev *dev, int raw)
{
	struct sk_buff *skb = chain_frame();
	uint8_t buf[2048];

	if (netdev_tx_burst(dev, 0, &skb, 1) != 1)
		return false;
	return chain_arrived(buf, raw_receive(raw, buf, sizeof(buf)));
}

/* ---- net_tap ---- */

static bool fd_case(struct netdev *dev, int raw)
{
	struct pollfd pfd = {.fd = dev->ops->get_fd(dev, 0), .events = POLLIN};
	uint8_t buf[60];
	struct sk_buff *skb;
	bool quiet, ready;

	while (netdev_rx_burst(dev, 0, &cache, &skb, 1))
		skb_free(skb);
	quiet = pfd.fd >= 0 && poll(&pfd, 1, 0) == 0;
	make_frame(buf, sizeof(buf), 1);
	if (send(raw, buf, sizeof(buf), 0) != sizeof(buf))
		return false;
	ready = poll(&pfd, 1, PATIENCE_MS) == 1;
	skb = receive(dev, TEST_TYPE);
	if (skb)
		skb_free(skb);
	return quiet && ready && skb;
}

/* What the device says of a TCP packet with a good and with a bad checksum. */
static bool csum_case(struct netdev *dev, int raw)
{
	bool ok = true;

	for (unsigned bad = 0; bad < 2; bad++) {
		uint8_t p[114];
		uint32_t sum = 6 + 80 + 2 * 0x0a4d + 1 + 2;
		struct sk_buff *skb;

		make_frame(p, sizeof(p), 5);
		p[12] = 8;
		p[13] = 0;
		memcpy(p + 14, (uint8_t[20]){0x45, 0, 0,  100, 0, 0, 0x40, 0,  64, 6,
					     0,    0, 10, 77,  0, 1, 10,   77, 0,  2},
		       20);
		p[46] = 0x50;
		p[50] = (uint8_t)(sum >> 8);
		p[51] = (uint8_t)sum;
		frame_finish_csum(p, sizeof(p));
		p[80] ^= (uint8_t)bad;
		if (send(raw, p, sizeof(p), 0) != sizeof(p))
			return false;
		skb = receive(dev, 0x0800);
		ok &= skb && skb->ip_summed == (bad ? CHECKSUM_BAD : CHECKSUM_GOOD);
		if (skb)
			skb_free(skb);
	}
	return ok;
}

static bool no_signal_taken(void)
{
	for (int s = SIGRTMIN; s <= SIGRTMAX; s++) {
		struct sigaction sa;

		if (sigaction(s, NULL, &sa) < 0 || sa.sa_handler != SIG_DFL)
			return false;
	}
	return true;
}

static int iface_mtu(const char *ifname)
{
	struct ifreq ifr = {.ifr_mtu = -1};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCGIFMTU, &ifr) < 0)
		ifr.ifr_mtu = -1;
	(void)close(fd);
	return ifr.ifr_mtu;
}

/* One frame to a device without link: refused, or lost as in any cable that was just pulled. */
static void try_send(struct netdev *dev)
{
	struct sk_buff *skb = skb_alloc(&cache, 64);

	make_frame(skb_put(skb, 60), 60, 0x11);
	if (!netdev_tx_burst(dev, 0, &skb, 1))
		skb_free(skb);
}

/* netdev.tx_off becomes `off` within a second of turns; send: each of them sends, too. */
static bool becomes(struct netdev *dev, bool off, bool send)
{
	for (unsigned i = 0; i < PATIENCE_MS && dev->tx_off != off; i++) {
		struct sk_buff *skb;

		if (send)
			try_send(dev);
		if (netdev_rx_burst(dev, 0, &cache, &skb, 1))
			skb_free(skb);
		pause_ms(1);
	}
	return dev->tx_off == off;
}

static bool link_case(struct netdev *dev)
{
	bool ok =
		!dev->tx_off && shell("ip link set pltest0 down") == 0 && becomes(dev, true, true);

	return shell("ip link set pltest0 up") == 0 && becomes(dev, false, false) && ok;
}

static void test_tap(void)
{
	const struct dpdk_netdev_config cfg = {.mtu = 1400}, jumbo = {.mtu = 9000};
	struct netdev *dev;
	int raw;

	if (!check("test_tap_opens", dpdk_netdev_open("net_tap0,iface=pltest0", &cfg, pool, &dev,
						      err, sizeof(err)) == 0)) {
		printf("# %s\n", err);
		return;
	}
	(void)shell("ip link set pltest0 up");
	raw = raw_open("pltest0");
	check("test_tap_frame_from_kernel_comes_up", up_case(dev, raw));
	check("test_tap_chain_goes_down_whole", down_case(dev, raw));
	check("test_tap_fd_polls_readable_when_frame_waits", fd_case(dev, raw));
	check("test_tap_rx_checksum_is_judged", csum_case(dev, raw));
	check("test_tap_takes_no_signal", no_signal_taken());
	check("test_tap_without_link_says_that_it_refuses", link_case(dev));
	check("test_tap_mtu_reaches_kernel_side", iface_mtu("pltest0") == 1400);
	check("test_tap_opened_twice_is_refused",
	      dpdk_netdev_open("net_tap0,iface=pltest1", NULL, pool, &dev, err, sizeof(err)) ==
		      -EEXIST);
	check("test_tap_jumbo_is_refused_with_the_limit",
	      dpdk_netdev_open("net_tap1", &jumbo, pool, &dev, err, sizeof(err)) == -EINVAL &&
		      strstr(err, "to 1504"));
	(void)close(raw);
	dev->ops->close(dev);
	check("test_tap_interface_goes_with_device", if_nametoindex("pltest0") == 0);
}

/* Signals blocked in every thread, as lanes have them: frames must come all the same. */
static void test_tap_blocked_signals(void)
{
	struct netdev *dev;
	sigset_t all, was;
	int raw;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &was);
	if (check("test_tap_reopens", dpdk_netdev_open("net_tap0,iface=pltest0", NULL, pool, &dev,
						       err, sizeof(err)) == 0)) {
		(void)shell("ip link set pltest0 up");
		raw = raw_open("pltest0");
		check("test_tap_all_signals_blocked_frames_come_up",
		      up_case(dev, raw) && up_case(dev, raw));
		(void)close(raw);
		dev->ops->close(dev);
	} else {
		printf("# %s\n", err);
	}
	(void)sigprocmask(SIG_SETMASK, &was, NULL);
}

/* ---- on a veth pair ---- */

/*
 * Why this machine cannot have AF_XDP at all, NULL if it can: asked of the kernel itself, since
 * the PMD answers every failure alike. Whatever else fails is ours.
 */
static const char *xdp_refused(void)
{
	union bpf_attr map = {
		.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
	int fd = socket(AF_XDP, SOCK_RAW, 0);

	if (fd < 0 && (errno == EAFNOSUPPORT || errno == EPERM || errno == EACCES))
		return "the kernel refuses AF_XDP sockets";
	if (fd >= 0)
		(void)close(fd);
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map));
	if (fd < 0 && (errno == EPERM || errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP))
		return "the kernel refuses BPF maps for AF_XDP";
	if (fd >= 0)
		(void)close(fd);
	return NULL;
}

/* refused: why the driver may fail to open here, NULL if it may not. */
static void test_on_veth(const char *driver, const char *refused)
{
	char devargs[64], name[96];
	struct netdev *dev;
	int ret, raw;

	(void)shell("ip link add plv0 type veth peer name plv1 && ip link set plv0 up && "
		    "ip link set plv1 up");
	(void)snprintf(devargs, sizeof(devargs), "%s,iface=plv0", driver);
	(void)snprintf(name, sizeof(name), "test_%s_opens", driver);
	ret = dpdk_netdev_open(devargs, NULL, pool, &dev, err, sizeof(err));
	if (ret < 0 && refused) {
		skip(name, refused);
	} else if (!check(name, ret == 0)) {
		printf("# %s\n", err);
	} else {
		pause_ms(50);
		raw = raw_open("plv1");
		(void)snprintf(name, sizeof(name), "test_%s_frame_from_kernel_comes_up", driver);
		check(name, up_case(dev, raw));
		(void)snprintf(name, sizeof(name), "test_%s_chain_goes_down_whole", driver);
		check(name, down_case(dev, raw));
		(void)close(raw);
		dev->ops->close(dev);
	}
	(void)shell("ip link del plv0");
}

/* 1,900 fit our buffers, but not with what the kernel keeps of them: full frames vanished. */
static void test_xdp_mtu(void)
{
	const struct dpdk_netdev_config cfg = {.mtu = 1900};
	struct netdev *dev;

	(void)shell("ip link add plv0 type veth peer name plv1");
	check("test_net_af_xdp0_mtu_beyond_what_xdp_leaves_is_refused",
	      dpdk_netdev_open("net_af_xdp0,iface=plv0", &cfg, pool, &dev, err, sizeof(err)) ==
			      -EINVAL &&
		      strstr(err, "up to 1778"));
	(void)shell("ip link del plv0");
}

/* ---- net_memif ---- */

/* A memif client offers the server buffers when it polls: it does so first. */
static bool memif_carries(struct netdev *from, struct netdev *to)
{
	struct sk_buff *skb, *rx;
	uint8_t buf[2048];
	bool ok;

	while (netdev_rx_burst(to, 0, &cache, &rx, 1))
		skb_free(rx);
	skb = chain_frame();
	if (netdev_tx_burst(from, 0, &skb, 1) != 1) {
		skb_free(skb);
		return false;
	}
	rx = receive(to, TEST_TYPE);
	ok = rx && skb_copy_bits(rx, 0, buf, rx->len) == 0 && chain_arrived(buf, rx->len);
	if (rx)
		skb_free(rx);
	return ok;
}

static void test_memif(void)
{
	struct netdev *s, *c;
	char arg[128];

	(void)snprintf(arg, sizeof(arg),
		       "net_memif0,role=server,socket-abstract=no,socket=/tmp/pl-memif-%d",
		       (int)getpid());
	if (!check("test_memif_server_opens",
		   dpdk_netdev_open(arg, NULL, pool, &s, err, sizeof(err)) == 0)) {
		printf("# %s\n", err);
		return;
	}
	check("test_memif_without_peer_link_is_down", !s->ops->link_up(s));
	(void)snprintf(arg, sizeof(arg),
		       "net_memif1,role=client,socket-abstract=no,socket=/tmp/pl-memif-%d",
		       (int)getpid());
	if (check("test_memif_client_opens",
		  dpdk_netdev_open(arg, NULL, pool, &c, err, sizeof(err)) == 0)) {
		for (unsigned i = 0; i < 100 && !(s->ops->link_up(s) && c->ops->link_up(c)); i++)
			pause_ms(20);
		check("test_memif_connected_link_is_up", s->ops->link_up(s) && c->ops->link_up(c));
		check("test_memif_chain_client_to_server", memif_carries(c, s));
		check("test_memif_chain_server_to_client", memif_carries(s, c));
		c->ops->close(c);
	} else {
		printf("# %s\n", err);
	}
	s->ops->close(s);
	(void)snprintf(arg, sizeof(arg), "/tmp/pl-memif-%d", (int)getpid());
	(void)unlink(arg);
}

int main(void)
{
	const struct dpdk_eal_config cfg = {.mem_bytes = dpdk_pool_bytes(POOL_NR, DPDK_BUF_SIZE),
					    .verbose = getenv("VERBOSE") != NULL};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP needs root and a network namespace\n");
		return 0;
	}
	if (access("/dev/net/tun", R_OK | W_OK) < 0) {
		printf("1..0 # SKIP no /dev/net/tun\n");
		return 0;
	}
	if (!check("test_eal_starts", dpdk_eal_start(&cfg, err, sizeof(err)) == 0) ||
	    !check("test_pool_is_made", dpdk_pool_create(POOL_NR, DPDK_BUF_SIZE, -1, &pool) == 0))
		goto out;
	skb_cache_init(&cache, pool, drops);
	test_tap();
	test_tap_blocked_signals();
	test_on_veth("net_af_packet0", NULL);
	test_memif();
	skb_cache_fini(&cache);
	check("test_all_buffers_are_back", dpdk_pool_in_use(pool) == 0);
	/* last: net_af_xdp of 22.11 keeps what stands in its fill ring when it is closed */
	test_on_veth("net_af_xdp0", xdp_refused());
	if (!xdp_refused())
		test_xdp_mtu();
	skb_cache_fini(&cache);
	skb_pool_destroy(pool);
	dpdk_eal_stop();
out:
	printf("1..%u\n", nr_cases);
	return nr_failed != 0;
}
