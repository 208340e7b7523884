/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a SYN costs, answer included: one stack on a ring of frames, SYNs with Linux's options of
 * random strangers behind a gateway. Cycles of each that is answered by a cookie, and of each that
 * is remembered. Under callgrind its instructions tell what a change of stack/ costs.
 *
 * usage: bench_syn [SYNs in thousands [runs]]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poller/cycles.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define BURST    32u
#define SYN_LEN  74u
#define ARP_LEN  42u
#define RUNS_MAX 101
#define LOCAL    0x0100000au /* 10.0.0.1, network order */
#define GATEWAY  0x0900000au

static const uint8_t our_mac[] = {2, 0, 0, 0, 0, 1}, gw_mac[] = {2, 0, 0, 0, 0, 9};
/* IPv4 and TCP without addresses, ports, numbers and checksums (the device says that these are
 * good): MSS 1460, SACK, timestamps, window scale 7. */
static const uint8_t syn_frame[SYN_LEN] = {
	2,    0,    0, 0,  0,  1, 2, 0, 0,    0, 0,    9,    8, 0, 0x45, 0, 0, 60, 0,
	0,    0x40, 0, 64, 6,  0, 0, 0, 0,    0, 0,    10,   0, 0, 1,    0, 0, 0,  7,
	0,    0,    0, 0,  0,  0, 0, 0, 0xa0, 2, 0xfa, 0xf0, 0, 0, 0,    0, 2, 4,  5,
	0xb4, 4,    2, 8,  10, 0, 0, 0, 1,    0, 0,    0,    0, 1, 3,    3, 7};

static uint64_t now = 100 * NSEC_PER_SEC, draw = 1, left, answers;
static bool arp_asked;

static void arp_reply(uint8_t *p)
{
	static const uint8_t head[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 2};
	const uint32_t ip[] = {GATEWAY, LOCAL};

	memset(p, 0, ARP_LEN);
	memcpy(p, our_mac, 6);
	memcpy(p + 6, gw_mac, 6);
	memcpy(p + 12, head, sizeof(head));
	memcpy(p + 22, gw_mac, 6);
	memcpy(p + 28, &ip[0], 4);
	memcpy(p + 32, our_mac, 6);
	memcpy(p + 38, &ip[1], 4);
}

static void syn(uint8_t *p)
{
	uint64_t r = draw = draw * 6364136223846793005ull + 1442695040888963407ull;

	memcpy(p, syn_frame, SYN_LEN);
	/* 11.0.0.0 to 11.255.255.255, any port but 0, any number */
	p[26] = 11;
	p[27] = (uint8_t)(r >> 16);
	p[28] = (uint8_t)(r >> 24);
	p[29] = (uint8_t)(r >> 32);
	p[34] = (uint8_t)((r >> 40) | 4);
	p[35] = (uint8_t)(r >> 48);
	memcpy(p + 38, (const uint8_t *)&r + 3, 4);
}

static unsigned dev_rx(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
		       struct sk_buff **skbs, unsigned n)
{
	unsigned got = 0;

	(void)dev;
	(void)queue;
	if (arp_asked) {
		arp_asked = false;
		skbs[0] = skb_alloc(cache, 0);
		arp_reply(skb_put(skbs[0], ARP_LEN));
		return 1;
	}
	for (; got < n && got < BURST && left; got++, left--) {
		skbs[got] = skb_alloc(cache, 0);
		BUG_ON(!skbs[got]);
		syn(skb_put(skbs[got], SYN_LEN));
		skbs[got]->ip_summed = CHECKSUM_GOOD;
	}
	return got;
}

static unsigned dev_tx(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	(void)dev;
	(void)queue;
	for (unsigned i = 0; i < n; i++) {
		if (skbs[i]->data[13] == 6)
			arp_asked = true;
		else
			answers++;
		skb_free(skbs[i]);
	}
	return n;
}

static int dev_fd(struct netdev *dev, uint16_t queue)
{
	(void)dev;
	(void)queue;
	return -EOPNOTSUPP;
}

static bool dev_up(struct netdev *dev)
{
	(void)dev;
	return true;
}

static const struct netdev_ops dev_ops = {
	.rx_burst = dev_rx, .tx_burst = dev_tx, .get_fd = dev_fd, .link_up = dev_up};

static void turn(struct stack *st)
{
	now += NSEC_PER_USEC;
	(void)stack_rx(st, now, BURST);
	(void)stack_timers(st, now);
	(void)stack_output(st, now);
}

/* One run; cycles of each of n SYNs. */
static double run(bool cookies, unsigned n)
{
	struct netdev dev = {.ops = &dev_ops,
			     .name = "syn",
			     .mtu = 1500,
			     .nr_queues = 1,
			     .tx_copybreak = 256,
			     .features = NETDEV_F_TX_SG | NETDEV_F_RX_CSUM | NETDEV_F_TX_IP_CSUM |
					 NETDEV_F_TX_TCP_CSUM};
	struct skb_pool *pool = skb_heap_pool_create(4096, 2176);
	struct sk_addr any = {.family = SK_AF_INET, .port = 7};
	struct stack_config cfg;
	struct stack *st;
	struct sock *lp;
	uint64_t start;

	memcpy(dev.dev_addr, our_mac, sizeof(our_mac));
	stack_config_init(&cfg);
	cfg.syncookies = cookies ? 2 : 0;
	cfg.max_syn = cookies ? 1 : 2 * n;
	cfg.somaxconn = 65535;
	BUG_ON(!pool || stack_create(&cfg, pool, &st));
	(void)stack_rx(st, now, BURST);
	BUG_ON(stack_attach(st, &dev, 0, LOCAL, 24, GATEWAY));
	BUG_ON(sock_create(st, SK_AF_INET, &lp) || sock_bind(lp, &any) || sock_listen(lp, 65535));
	left = 1;
	for (unsigned i = 0; i < 8; i++)
		turn(st);
	answers = 0;
	left = n;
	start = cycles_now();
	while (left)
		turn(st);
	turn(st);
	start = cycles_now() - start;
	BUG_ON(answers < n);
	stack_destroy(st);
	skb_pool_destroy(pool);
	return (double)start / n;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const char *const what[] = {"remembered", "cookie"};
	unsigned n = (argc > 1 ? (unsigned)atoi(argv[1]) : 32) * 1000;
	unsigned runs = argc > 2 ? (unsigned)atoi(argv[2]) : 15;

	/* 65,535 is what a listener holds */
	n = n && n <= 65000 ? n : 32000;
	runs = runs && runs <= RUNS_MAX ? runs : RUNS_MAX;
	printf("bench_syn: %u SYNs, %u runs; cycles of each, answer included\n", n, runs);
	for (int cookies = 0; cookies < 2; cookies++) {
		double v[RUNS_MAX];

		for (unsigned i = 0; i < runs; i++)
			v[i] = run(cookies, n);
		qsort(v, runs, sizeof(v[0]), compare);
		printf("%-10s median %6.0f, %6.0f to %6.0f\n", what[cookies], v[runs / 2], v[0],
		       v[runs - 1]);
	}
	return 0;
}
