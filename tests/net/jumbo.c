/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For interop.py: the stack alone behind a tap, with packets of any size. No virtual device of DPDK
 * 22.11 takes 9,000 bytes; the stack does, in chains of its buffers of 2 KiB. Echoes on port 7, or
 * has --connect's echo answer --bytes and compares. Ends with a line of JSON, the largest packets
 * seen among it.
 */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "stack/sock.h"
#include "stack/sock_opt.h"
#include "stack/stack_int.h"

#define ECHO_PORT 7
#define CONNS     8
#define CHUNK     65536
#define LAST_NS   (20 * NSEC_PER_MSEC)
#define FRAGS     40 /* of a chain: 65,535 bytes in buffers of 2 KiB, and the header's */

struct args {
	const char *tap, *ip, *connect;
	unsigned mtu, port;
	size_t bytes;
};

struct conn {
	struct sock *sk;
	uint8_t buf[CHUNK];
	size_t len, off; /* the echo's: what is to go back */
	size_t sent, received;
};

static struct {
	struct netdev dev;
	int fd;
	unsigned rx_max, tx_max; /* bytes of an IP packet */
	struct stack *st;
	struct skb_pool *pool;
	struct sock *listener;
	struct conn conns[CONNS];
} world;

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

static void die(const char *what, int err)
{
	fprintf(stderr, "jumbo: %s: %s\n", what, strerror(err));
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* ---- the device ---- */

static unsigned tap_rx(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
		       struct sk_buff **skbs, unsigned n)
{
	static uint8_t frame[ETH_HLEN + UINT16_MAX];
	unsigned got = 0;

	(void)dev;
	(void)queue;
	while (got < n) {
		ssize_t len = read(world.fd, frame, sizeof(frame));

		if (len <= ETH_HLEN)
			break;
		world.rx_max = max_t(unsigned, world.rx_max, (unsigned)len - ETH_HLEN);
		skbs[got] = skb_from_bytes(cache, 0, frame, (unsigned)len);
		if (!skbs[got])
			break;
		got++;
	}
	return got;
}

static unsigned tap_tx(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	(void)dev;
	(void)queue;
	for (unsigned i = 0; i < n; i++) {
		struct iovec iov[FRAGS];
		int nr = 0;

		for (struct sk_buff *p = skbs[i]; p; p = p->frag) {
			BUG_ON(nr == FRAGS);
			iov[nr++] = (struct iovec){p->data, skb_headlen(p)};
		}
		if (writev(world.fd, iov, nr) < 0)
			return i;
		world.tx_max = max_t(unsigned, world.tx_max, skbs[i]->len - ETH_HLEN);
		skb_free(skbs[i]);
	}
	return n;
}

static const struct netdev_ops tap_ops = {.rx_burst = tap_rx, .tx_burst = tap_tx};

static void open_tap(const struct args *a)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	world.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", a->tap);
	if (world.fd < 0 || ioctl(world.fd, TUNSETIFF, &ifr) < 0)
		die(a->tap, errno);
	world.dev = (struct netdev){.ops = &tap_ops,
				    .name = "tap",
				    .dev_addr = {2, 0, 0, 0, 0, 1},
				    .mtu = (uint16_t)a->mtu,
				    .nr_queues = 1,
				    .tx_copybreak = 256,
				    .features = NETDEV_F_TX_SG};
}

/* ---- the two roles ---- */

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 2654435761u >> 13);
}

/* echo_step - what came goes back. False: the connection is over. */
static bool echo_step(struct conn *c)
{
	ssize_t n = 1;

	while (n > 0) {
		if (c->off == c->len) {
			n = sock_recv(c->sk, c->buf, sizeof(c->buf));
			if (n == -EAGAIN)
				return true;
			if (n <= 0)
				return false;
			c->len = (size_t)n;
			c->off = 0;
			c->received += c->len;
		}
		n = sock_send(c->sk, c->buf + c->off, c->len - c->off);
		if (n > 0)
			c->off += (size_t)n;
	}
	return n == -EAGAIN;
}

/* ask_step - bytes out as far as they go, and what came back compared. False: all of them did. */
static bool ask_step(struct conn *c, size_t bytes)
{
	ssize_t n = 1;

	while (c->sent < bytes && n > 0) {
		size_t len = min_t(size_t, bytes - c->sent, CHUNK);

		for (size_t i = 0; i < len; i++)
			c->buf[i] = pattern(c->sent + i);
		n = sock_send(c->sk, c->buf, len);
		if (n > 0)
			c->sent += (size_t)n;
	}
	if (n < 0 && n != -EAGAIN)
		die("send", (int)-n);
	while ((n = sock_recv(c->sk, c->buf, CHUNK)) > 0) {
		for (ssize_t i = 0; i < n; i++, c->received++) {
			if (c->buf[i] != pattern(c->received))
				die("other bytes came back", EBADMSG);
		}
	}
	if (n != -EAGAIN)
		die("receive", n ? (int)-n : ECONNRESET);
	return c->received < bytes;
}

static void accept_all(void)
{
	for (unsigned i = 0; i < CONNS; i++) {
		struct conn *c = &world.conns[i];

		if (!c->sk && sock_accept(world.listener, &c->sk) == 0)
			c->len = c->off = 0;
	}
}

/* serve - a turn's worth; true: everything asked for is done. */
static bool serve(const struct args *a)
{
	bool done = a->connect;

	if (!a->connect)
		accept_all();
	for (unsigned i = 0; i < CONNS; i++) {
		struct conn *c = &world.conns[i];

		if (!c->sk)
			continue;
		if (a->connect ? ask_step(c, a->bytes) : echo_step(c)) {
			done = false;
			continue;
		}
		sock_close(c->sk);
		c->sk = NULL;
	}
	return done;
}

static void start(const struct args *a)
{
	struct sk_addr addr = {.family = SK_AF_INET, .port = ECHO_PORT};
	struct stack_config cfg;
	int err;

	stack_config_init(&cfg);
	if (getrandom(cfg.seed, sizeof(cfg.seed), 0) < 0)
		die("getrandom", errno);
	world.pool = skb_heap_pool_create(32768, 2048);
	err = world.pool ? stack_create(&cfg, world.pool, &world.st) : -ENOMEM;
	if (err)
		die("stack_create", -err);
	(void)stack_rx(world.st, now_ns(), 1); /* tells it the time */
	err = stack_attach(world.st, &world.dev, 0, inet_addr(a->ip), 24, 0);
	if (!err)
		err = sock_create(world.st, SK_AF_INET, &world.listener);
	if (!err && a->connect) {
		world.conns[0].sk = world.listener;
		world.listener = NULL;
		addr.v4 = inet_addr(a->connect);
		err = sock_connect(world.conns[0].sk, &addr);
		err = err == -EINPROGRESS ? 0 : err;
	} else if (!err) {
		err = sock_bind(world.listener, &addr);
		if (!err)
			err = sock_listen(world.listener, CONNS);
	}
	if (err)
		die("the stack", -err);
}

/* turn - one of the stack's; true: everything asked for is done. */
static bool turn(const struct args *a)
{
	struct pollfd fd = {.fd = world.fd, .events = POLLIN};
	unsigned n = stack_rx(world.st, now_ns(), NETDEV_BURST);
	bool done;

	n += stack_timers(world.st, now_ns());
	done = serve(a);
	n += stack_output(world.st, now_ns());
	if (!n)
		(void)poll(&fd, 1, 1);
	return done;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 't':
		a->tap = arg;
		return 0;
	case 'i':
		a->ip = arg;
		return 0;
	case 'm':
		a->mtu = (unsigned)strtoul(arg, NULL, 10);
		if (a->mtu < 576 || a->mtu > UINT16_MAX)
			argp_error(state, "--mtu %s: want 576 to 65535", arg);
		return 0;
	case 'c':
		a->connect = arg;
		return 0;
	case 'b':
		a->bytes = strtoul(arg, NULL, 10);
		return 0;
	case ARGP_KEY_END:
		if (!a->tap || !a->ip)
			argp_error(state, "--tap and --ip are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{"tap", 't', "NAME", 0, "The tap device, which is made", 0},
		{"ip", 'i', "A.B.C.D", 0, "The stack's address, in a /24", 0},
		{"mtu", 'm', "N", 0, "Bytes of an IP packet (default: 9000)", 0},
		{"connect", 'c', "A.B.C.D", 0, "Ask this address's echo, port 7, and end", 0},
		{"bytes", 'b', "N", 0, "So much (default: 1048576)", 0},
		{0},
	};
	static const struct argp argp = {
		options, parse, NULL, "The stack behind a tap: an echo server, or its client.",
		NULL,    NULL,  NULL};
	struct args a = {.mtu = 9000, .bytes = 1 << 20};

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return EXIT_FAILURE;
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGTERM, on_signal);
	open_tap(&a);
	start(&a);
	fprintf(stderr, "jumbo: ready\n");
	while (!stopped && !turn(&a))
		;
	/* the last FIN and ACK */
	for (uint64_t end = now_ns() + LAST_NS; now_ns() < end;)
		(void)turn(&a);
	printf("{\"rx_max\": %u, \"tx_max\": %u, \"bytes\": %zu, \"sent_again\": %llu}\n",
	       world.rx_max, world.tx_max, world.conns[0].received,
	       (unsigned long long)stack_stats(world.st)->tcp_retrans_segs);
	stack_destroy(world.st);
	skb_pool_destroy(world.pool);
	return EXIT_SUCCESS;
}
