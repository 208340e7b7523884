/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TCP costs when nothing goes wrong: two stacks in one thread, joined by rings of copied
 * frames, without goroutines or a real device. Cycles of both ends per round trip of 64 bytes on
 * 1, 64 and 256 connections, and per MSS of a stream. Under callgrind its instructions tell what
 * a change of stack/ costs on a machine too noisy for cycles.
 *
 * usage: bench_rr [rounds] [runs]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poller/cycles.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define RING      4096u
#define FRAME_MAX 1514u
#define CONNS_MAX 256u
#define RUNS_MAX  101
#define MSG       64u
#define STREAM    65536u

struct end {
	struct netdev dev; /* first */
	struct stack *st;
	struct skb_pool *pool;
	struct end *peer;
	uint32_t head, tail; /* of what is under way to this end */
	struct {
		uint32_t len;
		uint8_t b[FRAME_MAX];
	} ring[RING];
};

static struct end ends[2];
static struct sock *client[CONNS_MAX], *server[CONNS_MAX];
static uint64_t now = 100 * NSEC_PER_SEC;
static uint8_t bytes[STREAM];

static unsigned end_tx(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	struct end *to = ((struct end *)dev)->peer;

	(void)queue;
	for (unsigned i = 0; i < n; i++) {
		uint32_t at = to->head++ % RING;

		BUG_ON(to->head - to->tail > RING);
		to->ring[at].len = skbs[i]->len;
		BUG_ON(skb_copy_bits(skbs[i], 0, to->ring[at].b, skbs[i]->len));
		skb_free(skbs[i]);
	}
	return n;
}

static unsigned end_rx(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
		       struct sk_buff **skbs, unsigned n)
{
	struct end *e = (struct end *)dev;
	unsigned got = 0;

	(void)queue;
	for (; got < n && e->tail != e->head; got++) {
		uint32_t at = e->tail++ % RING;

		skbs[got] = skb_alloc(cache, 0);
		BUG_ON(!skbs[got]);
		memcpy(skb_put(skbs[got], e->ring[at].len), e->ring[at].b, e->ring[at].len);
	}
	return got;
}

static const struct netdev_ops end_ops = {
	.rx_burst = end_rx,
	.tx_burst = end_tx,
};

static void turn(void)
{
	now += NSEC_PER_USEC;
	for (unsigned i = 0; i < 2; i++) {
		(void)stack_rx(ends[i].st, now, 64);
		(void)stack_timers(ends[i].st, now);
		(void)stack_output(ends[i].st, now);
	}
}

static void end_init(unsigned i)
{
	struct end *e = &ends[i];
	struct stack_config cfg;

	stack_config_init(&cfg);
	memset(cfg.seed, (int)i + 1, sizeof(cfg.seed));
	e->peer = &ends[!i];
	e->dev = (struct netdev){.ops = &end_ops,
				 .name = "ring",
				 .dev_addr = {2, 0, 0, 0, 0, (uint8_t)(i + 1)},
				 .mtu = 1500,
				 .nr_queues = 1,
				 .tx_copybreak = 256,
				 .features = NETDEV_F_TX_SG};
	e->pool = skb_heap_pool_create(8192, 2176);
	BUG_ON(!e->pool || stack_create(&cfg, e->pool, &e->st));
	(void)stack_rx(e->st, now, 64);
	BUG_ON(stack_attach(e->st, &e->dev, 0, i ? 0x0200000au : 0x0100000au, 24, 0));
}

static void connect_all(void)
{
	struct sk_addr any = {.family = SK_AF_INET, .port = 7};
	struct sk_addr to = {.family = SK_AF_INET, .port = 7, .v4 = 0x0200000au};
	struct sock *lp;

	BUG_ON(sock_create(ends[1].st, SK_AF_INET, &lp) || sock_bind(lp, &any) ||
	       sock_listen(lp, 16));
	for (unsigned i = 0; i < CONNS_MAX; i++) {
		BUG_ON(sock_create(ends[0].st, SK_AF_INET, &client[i]));
		BUG_ON(sock_connect(client[i], &to) != -EINPROGRESS);
		while (sock_accept(lp, &server[i]))
			turn();
	}
	for (unsigned i = 0; i < 1000; i++)
		turn();
}

static void move(struct sock *from, struct sock *to)
{
	uint8_t buf[MSG];
	ssize_t n = sock_recv(from, buf, sizeof(buf));

	if (n > 0)
		BUG_ON(sock_send(to, buf, (size_t)n) != n);
}

static uint64_t rr(unsigned conns, unsigned rounds)
{
	uint64_t t = cycles_now();

	for (unsigned i = 0; i < conns; i++)
		BUG_ON(sock_send(client[i], bytes, MSG) != MSG);
	for (unsigned r = 0; r < rounds; r++) {
		turn();
		for (unsigned i = 0; i < conns; i++) {
			move(server[i], server[i]);
			if (r + 1 < rounds)
				move(client[i], client[i]);
		}
	}
	t = cycles_now() - t;
	for (unsigned i = 0; i < 10; i++)
		turn();
	for (unsigned i = 0; i < conns; i++)
		(void)!sock_recv(client[i], bytes, sizeof(bytes));
	return t / ((uint64_t)rounds * conns);
}

static uint64_t stream(unsigned rounds)
{
	uint64_t t = cycles_now(), got = 0, want = (uint64_t)rounds * 1448;

	for (ssize_t n; got<want; got += n> 0 ? (uint64_t)n : 0) {
		(void)!sock_send(client[0], bytes, sizeof(bytes));
		turn();
		n = sock_recv(server[0], bytes, sizeof(bytes));
	}
	t = cycles_now() - t;
	for (unsigned i = 0; i < 1000; i++) {
		turn();
		(void)!sock_recv(server[0], bytes, sizeof(bytes));
	}
	return t * 1448 / got;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *name, uint64_t *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	printf("%-24s %6llu cycles  (%llu-%llu)\n", name, (unsigned long long)v[n / 2],
	       (unsigned long long)v[0], (unsigned long long)v[n - 1]);
}

int main(int argc, char **argv)
{
	static const unsigned conns[] = {1, 64, CONNS_MAX};
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 100000;
	unsigned runs = argc > 2 ? (unsigned)atoi(argv[2]) : 7;
	uint64_t v[RUNS_MAX];

	if (rounds < CONNS_MAX || !runs || runs > RUNS_MAX) {
		fprintf(stderr, "bench_rr: rounds from %u, runs from 1 to %d\n", CONNS_MAX,
			RUNS_MAX);
		return 2;
	}
	end_init(0);
	end_init(1);
	connect_all();
	for (unsigned c = 0; c < sizeof(conns) / sizeof(*conns); c++) {
		char name[32];

		for (unsigned i = 0; i < runs; i++)
			v[i] = rr(conns[c], rounds / conns[c]);
		snprintf(name, sizeof(name), "rr, %u connections", conns[c]);
		report(name, v, runs);
	}
	for (unsigned i = 0; i < runs; i++)
		v[i] = stream(rounds);
	report("stream, per MSS", v, runs);
	return 0;
}
