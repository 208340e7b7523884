/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bench on which the layers below TCP are tested: a stack at 10.0.0.2/24 with gateway
 * 10.0.0.254 on a device of paper, and a clock that the test turns. lab_end() sees to it
 * that not one skb was lost.
 */
#ifndef TESTS_UNIT_LAB_H
#define TESTS_UNIT_LAB_H

#include <criterion/criterion.h>

#include "fake_netdev.h"
#include "fake_tcp.h"

#define LAB_OUR  fake_ip(10, 0, 0, 2)
#define LAB_PEER fake_ip(10, 0, 0, 1)
#define LAB_GW   fake_ip(10, 0, 0, 254)
#define LAB_FAR  fake_ip(192, 0, 2, 9)

struct lab {
	struct skb_pool *pool;
	struct stack *st;
	struct fake_netdev *f;
	uint64_t now;
};

static inline struct lab lab_begin_cfg(uint32_t features, uint32_t nr_skbs, uint32_t max_neigh)
{
	struct lab l = {.now = 5 * NSEC_PER_SEC};
	struct stack_config cfg;

	memset(&fake_tcp, 0, sizeof(fake_tcp));
	stack_config_init(&cfg);
	cfg.max_neigh = max_neigh;
	memset(cfg.seed, 42, sizeof(cfg.seed));
	l.pool = skb_heap_pool_create(nr_skbs, 2048);
	l.f = calloc(1, sizeof(*l.f));
	cr_assert(l.pool && l.f);
	fake_netdev_init(l.f, features);
	cr_assert_eq(stack_create(&cfg, l.pool, &l.st), 0);
	(void)stack_rx(l.st, l.now, 1);
	cr_assert_eq(stack_attach(l.st, &l.f->dev, 0, LAB_OUR, 24, LAB_GW), 0);
	(void)stack_output(l.st, l.now);
	cr_assert_eq(l.f->nr_out, 1, "the gratuitous ARP");
	l.f->nr_out = 0;
	return l;
}

static inline struct lab lab_begin(void)
{
	return lab_begin_cfg(0, 1024, 64);
}

/* One turn `dt` ns later. */
static inline void lab_turn(struct lab *l, uint64_t dt)
{
	l->now += dt;
	(void)stack_rx(l->st, l->now, 1024);
	(void)stack_timers(l->st, l->now);
	(void)stack_output(l->st, l->now);
}

static inline void lab_rx(struct lab *l, const void *frame, unsigned len)
{
	fake_inject(l->f, frame, len);
	lab_turn(l, 1000);
}

static inline uint64_t lab_drops(const struct lab *l, enum skb_drop_reason r)
{
	return stat_read(&stack_stats(l->st)->drops[r]);
}

static inline uint64_t lab_all_drops(const struct lab *l)
{
	uint64_t n = 0;

	for (int r = 0; r < SKB_DROP_MAX; r++)
		n += lab_drops(l, (enum skb_drop_reason)r);
	return n;
}

/* The peer announces itself as an answer to our question would: `ip` is at mac. */
static inline void lab_arp_reply(struct lab *l, const uint8_t *mac, uint32_t ip)
{
	uint8_t b[FAKE_FRAME_MAX];

	lab_rx(l, b, frame_arp(b, fake_mac, 2, mac, ip, fake_mac, LAB_OUR));
}

/* lab_send - a packet of n bytes to daddr, as a socket sends it. 0 or ip_route's word. */
static inline int lab_send(struct lab *l, struct route *rt, uint32_t daddr, unsigned n)
{
	struct sk_buff *skb;

	if (rt->daddr != daddr) {
		int err = ip_route(l->st, 0, daddr, rt);

		if (err)
			return err;
		neigh_want(l->st, rt);
	}
	skb = skb_alloc(&l->st->cache, 64);
	cr_assert(skb);
	memset(skb_put(skb, n), 0x5a, n);
	ip_output(l->st, skb, rt, IPPROTO_TCP_, 64, 0, 1);
	return 0;
}

/* lab_answer - a packet to daddr that no socket sends, as a SYN-ACK of a half-open request. */
static inline void lab_answer(struct lab *l, uint32_t daddr)
{
	struct sk_buff *skb = skb_alloc(&l->st->cache, 64);
	struct route rt;

	cr_assert(skb);
	cr_assert_eq(ip_route(l->st, 0, daddr, &rt), 0);
	memset(skb_put(skb, 20), 0x5a, 20);
	ip_output(l->st, skb, &rt, IPPROTO_TCP_, 64, 0, 1);
}

static inline void lab_end(struct lab *l)
{
	fake_release_held(l->f);
	stack_destroy(l->st);
	cr_assert_eq(l->pool->ops->avail(l->pool), l->pool->nr, "%u of %u skbs came back",
		     l->pool->ops->avail(l->pool), l->pool->nr);
	skb_pool_destroy(l->pool);
	free(l->f);
}

#endif
