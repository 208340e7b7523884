/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the layers below TCP cost, in TSC cycles: an skb from the cache and back, checksums,
 * a small TCP frame in through stack_rx to tcp_v4_rcv, and a segment out along a resolved
 * route to tx_burst. TCP is the one that takes notes less: it frees. The device hands up
 * prepared skbs, its own cost is measured alone and subtracted. Median of n, min, max.
 *
 * usage: bench_low [n]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "poller/cycles.h"
#include "stack/stack_int.h"

#define OPS      (1u << 16)
#define RUNS_MAX 101
#define BURST    32
#define OUR      0x0200000au
#define PEER     0x0100000au

static struct stack *st;
static struct netdev dev;
static uint8_t frame[66] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
static struct route rt;
static uint8_t bytes[1500];
static uint32_t sink;

int tcp_shard_init(struct stack *s)
{
	(void)s;
	return 0;
}

void tcp_shard_fini(struct stack *s)
{
	(void)s;
}

void tcp_v4_rcv(struct stack *s, struct sk_buff *skb)
{
	(void)s;
	skb_free(skb);
}

void tcp_v4_look_ahead(const struct stack *s, const struct sk_buff *skb)
{
	(void)s;
	(void)skb;
}

void tcp_v4_demux(struct stack *s, struct sk_buff *skb)
{
	(void)s;
	skb_free(skb);
}

void tcp_v4_err(struct stack *s, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport,
		uint32_t seq, uint8_t type, uint8_t code, uint32_t mtu)
{
	(void)s, (void)saddr, (void)daddr, (void)sport, (void)dport;
	(void)seq, (void)type, (void)code, (void)mtu;
}

void tcp_neigh_failed(struct stack *s, uint32_t next_hop)
{
	(void)s, (void)next_hop;
}

void tcp_shard_output(struct stack *s)
{
	(void)s;
}

bool tcp_shard_has_output(const struct stack *s)
{
	(void)s;
	return false;
}

void tcp_for_each_sock(struct stack *s, bool (*fn)(void *ctx, const struct stack_sock_info *i),
		       void *ctx)
{
	(void)s, (void)fn, (void)ctx;
}

static unsigned bench_rx(struct netdev *d, uint16_t queue, struct skb_cache *cache,
			 struct sk_buff **skbs, unsigned n)
{
	(void)d, (void)queue;
	n = min_t(unsigned, n, BURST);
	for (unsigned i = 0; i < n; i++) {
		skbs[i] = skb_alloc(cache, 64);
		memcpy(skb_put(skbs[i], sizeof(frame)), frame, sizeof(frame));
	}
	return n;
}

static unsigned bench_tx(struct netdev *d, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	(void)d, (void)queue;
	for (unsigned i = 0; i < n; i++)
		skb_free(skbs[i]);
	return n;
}

static const struct netdev_ops ops = {.rx_burst = bench_rx, .tx_burst = bench_tx};

static void run_alloc_free(void)
{
	for (unsigned i = 0; i < OPS; i++) {
		struct sk_buff *skb = skb_alloc(&st->cache, 64);

		__asm__ volatile("" : : "r"(skb) : "memory");
		skb_free(skb);
	}
}

static size_t csum_len;

static void run_csum(void)
{
	for (unsigned i = 0; i < OPS; i++)
		sink += csum_partial(bytes, csum_len, i);
}

static void run_device_rx(void)
{
	struct sk_buff *skbs[BURST];

	for (unsigned i = 0; i < OPS; i += BURST) {
		(void)bench_rx(&dev, 0, &st->cache, skbs, BURST);
		for (unsigned k = 0; k < BURST; k++)
			skb_free(skbs[k]);
	}
}

static void run_rx(void)
{
	for (unsigned i = 0; i < OPS; i += BURST)
		(void)stack_rx(st, st->now, BURST);
}

static void run_tx(void)
{
	for (unsigned i = 0; i < OPS; i += BURST) {
		for (unsigned k = 0; k < BURST; k++) {
			struct sk_buff *skb = skb_alloc(&st->cache, 64);

			(void)skb_put(skb, 32);
			ip_output(st, skb, &rt, IPPROTO_TCP_, 64, 0, 1);
		}
		(void)stack_output(st, st->now);
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double bench(const char *name, void (*fn)(void), unsigned n, double less)
{
	double v[RUNS_MAX];

	fn();
	for (unsigned r = 0; r < n; r++) {
		uint64_t t = cycles_now();

		fn();
		v[r] = (double)(cycles_now() - t) / OPS - less;
	}
	qsort(v, n, sizeof(*v), by_value);
	printf("%-28s %8.1f  (min %.1f, max %.1f)\n", name, v[n / 2], v[0], v[n - 1]);
	return v[n / 2];
}

static void setup(void)
{
	struct stack_config cfg;
	struct skb_pool *pool = skb_heap_pool_create(4096, 2048);
	static const uint8_t mac[ETH_ALEN] = {2, 0, 0, 0, 0, 1};
	struct iphdr_ *iph = (struct iphdr_ *)(frame + ETH_HLEN);

	BUG_ON(!pool);
	*iph = (struct iphdr_){.ver_ihl = 0x45,
			       .tot_len = be16(52),
			       .ttl = 64,
			       .protocol = IPPROTO_TCP_,
			       .saddr = PEER,
			       .daddr = OUR};
	iph->check = csum_iphdr(iph);
	dev = (struct netdev){.ops = &ops, .name = "bench", .mtu = 1500, .nr_queues = 1};
	memcpy(dev.dev_addr, mac, ETH_ALEN);
	stack_config_init(&cfg);
	BUG_ON(stack_create(&cfg, pool, &st) != 0);
	st->now = NSEC_PER_SEC;
	BUG_ON(stack_attach(st, &dev, 0, OUR, 24, 0) != 0);
	BUG_ON(ip_route(st, 0, PEER, &rt) != 0);
	neigh_want(st, &rt);
}

/* An ARP answer, so that the route resolves. */
static void resolve(void)
{
	static const uint8_t reply[42] = {2,  0, 0, 0, 0, 1, 2, 0, 0, 0, 0,  2, 8, 6,
					  0,  1, 8, 0, 6, 4, 0, 2, 2, 0, 0,  0, 0, 2,
					  10, 0, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 2};
	struct sk_buff *skb = skb_alloc(&st->cache, 64);

	BUG_ON(!skb);
	ip_output(st, skb, &rt, IPPROTO_TCP_, 64, 0, 1);
	skb = skb_alloc(&st->cache, 64);
	BUG_ON(!skb);
	memcpy(skb_put(skb, sizeof(reply)), reply, sizeof(reply));
	eth_input(st, skb);
}

/* Small segments, both sides of where csum.c changes its way, and a full segment. */
static void bench_csum(unsigned n)
{
	static const size_t lens[] = {64, 96, 240, 256, 1480};
	char name[32];

	for (unsigned i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		csum_len = lens[i];
		snprintf(name, sizeof(name), "csum_partial %zu", csum_len);
		(void)bench(name, run_csum, n, 0);
	}
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 21;
	struct utsname u;
	double base;

	n = n < 1 ? 1 : n > RUNS_MAX ? RUNS_MAX : n;
	(void)uname(&u);
	printf("bench_low: %s %s, n %u, %u operations each, TSC cycles per operation\n", u.release,
	       u.machine, n, OPS);
	setup();
	resolve();
	(void)bench("skb_alloc + skb_free", run_alloc_free, n, 0);
	bench_csum(n);
	base = bench("the device alone", run_device_rx, n, 0);
	(void)bench("rx to tcp_v4_rcv, less that", run_rx, n, base);
	(void)bench("ip_output to tx_burst", run_tx, n, 0);
	stack_destroy(st);
	return sink == 1;
}
