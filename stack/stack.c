/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One lane's shard: creation, the address it answers for, and the four calls that make up
 * a turn. The layers themselves live in their own files; nothing here looks into a packet.
 */
#include "stack/stack_int.h"

#include <errno.h>
#include <stdlib.h>

/* All headers with options, and some payload: less in a buffer makes no sense. */
#define STACK_BUF_MIN 256

static void *libc_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return calloc(1, size);
}

static void libc_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	(void)size;
	free(p);
}

void stack_config_init(struct stack_config *cfg)
{
	*cfg = (struct stack_config){
		.mem = {.alloc = libc_alloc, .free = libc_free},
		.nr_lanes = 1,
	};
	stack_settings_default(cfg);
}

static bool config_valid(const struct stack_config *cfg)
{
	return cfg->mem.alloc && cfg->mem.free && !stack_settings_bad(cfg) &&
	       cfg->rto_min <= cfg->rto_max && cfg->nr_lanes && cfg->lane < cfg->nr_lanes &&
	       (cfg->nr_lanes == 1 || (cfg->steer.home && cfg->steer.forward));
}

void *stack_alloc(struct stack *st, size_t size)
{
	return st->cfg.mem.alloc(st->cfg.mem.ctx, size);
}

void stack_mfree(struct stack *st, void *p, size_t size)
{
	if (p)
		st->cfg.mem.free(st->cfg.mem.ctx, p, size);
}

int stack_create(const struct stack_config *cfg, struct skb_pool *pool, struct stack **ret_st)
{
	struct stack *st;
	int err;

	if (!config_valid(cfg))
		return -EINVAL;
	st = cfg->mem.alloc(cfg->mem.ctx, sizeof(*st));
	if (!st)
		return -ENOMEM;
	st->cfg = *cfg;
	skb_cache_init(&st->cache, pool, st->stats.drops);
	skb_queue_init(&st->loopq);
	timer_wheel_init(&st->wheel, 0);
	stack_random_init(st);
	err = arp_init(st);
	if (!err) {
		err = tcp_shard_init(st);
		if (!err) {
			*ret_st = st;
			return 0;
		}
		arp_fini(st);
	}
	skb_cache_fini(&st->cache);
	cfg->mem.free(cfg->mem.ctx, st, sizeof(*st));
	return err;
}

void stack_destroy(struct stack *st)
{
	struct stack_mem_ops mem = st->cfg.mem;

	tcp_shard_fini(st);
	ip_frag_fini(st);
	arp_fini(st);
	skb_queue_purge(&st->loopq);
	for (unsigned i = 0; i < st->tx_n; i++)
		skb_free(st->tx_batch[i]);
	skb_cache_fini(&st->cache);
	mem.free(mem.ctx, st, sizeof(*st));
}

/* Class A to C, neither 0/8 nor 127/8. */
static bool ip_is_host(uint32_t ip)
{
	uint8_t first = (uint8_t)ip;

	return first != 0 && first != 127 && first < 224;
}

int stack_attach(struct stack *st, struct netdev *dev, uint16_t queue, uint32_t ip,
		 unsigned prefix_len, uint32_t gw)
{
	uint32_t mask, net0, bcast;

	if (st->dev)
		return -EBUSY;
	if (!prefix_len || prefix_len > 32 || !ip_is_host(ip) || queue >= dev->nr_queues ||
	    dev->mtu < NETDEV_MTU_MIN || st->cache.pool->buf_size < dev->headroom + STACK_BUF_MIN)
		return -EINVAL;
	mask = be32(UINT32_MAX << (32 - prefix_len));
	/* RFC 3021: a /31 has no broadcast. */
	net0 = prefix_len < 31 ? ip & mask : 0;
	bcast = prefix_len < 31 ? ip | ~mask : UINT32_MAX;
	if (ip == net0 || ip == bcast)
		return -EINVAL;
	if (gw && (((gw ^ ip) & mask) || gw == ip || gw == net0 || gw == bcast))
		return -EINVAL;
	st->dev = dev;
	st->queue = queue;
	st->ip = ip;
	st->mask = mask;
	st->net0 = net0;
	st->bcast = bcast;
	st->gw = gw;
	st->mtu = dev->mtu;
	st->features = dev->features;
	if (st->cfg.lane == 0)
		arp_announce(st);
	return 0;
}

/* ---- the turn ---- */

void stack_set_mark(struct stack *st, void (*fn)(void *ctx, enum stack_step step), void *ctx)
{
	st->mark = fn;
	st->mark_ctx = ctx;
}

static inline void stack_mark(struct stack *st, enum stack_step step)
{
	if (unlikely(st->mark))
		st->mark(st->mark_ctx, step);
}

/* Only what is there now: an answer to oneself comes in with the next turn. */
static unsigned loop_rx(struct stack *st)
{
	unsigned n = st->loopq.qlen;

	for (unsigned i = 0; i < n; i++) {
		struct sk_buff *skb = skb_dequeue(&st->loopq);

		skb->tstamp = st->now;
		ip_input(st, skb);
	}
	return n;
}

/* prefetch_frame - all of it: it will be summed, where the device does not, and copied. From
 * another cpu's cache its lines come one behind the other else. */
static inline void prefetch_frame(const struct sk_buff *skb)
{
	const uint8_t *p = skb->data;

	do {
		__builtin_prefetch(p);
		p += CACHE_LINE;
	} while (p < skb->tail);
}

static void rx_burst_input(struct stack *st, struct sk_buff **skbs, unsigned n)
{
	uint64_t bytes = 0;

	prefetch_frame(skbs[0]);
	if (n > 1)
		prefetch_frame(skbs[1]);
	for (unsigned i = 0; i < n; i++) {
		struct sk_buff *skb = skbs[i];

		if (i + 2 < n)
			prefetch_frame(skbs[i + 2]);
		if (i + 1 < n)
			tcp_v4_look_ahead(st, skbs[i + 1]);
		bytes += skb->len;
		skb->dev = st->dev;
		skb->tstamp = st->now;
		eth_input(st, skb);
	}
	stat_add(&st->stats.rx_packets, n);
	stat_add(&st->stats.rx_bytes, bytes);
}

void stack_set_rx_clock(struct stack *st, uint64_t (*clock)(void *ctx), void *ctx)
{
	st->rx_clock = clock;
	st->rx_clock_ctx = ctx;
}

unsigned stack_rx(struct stack *st, uint64_t now, unsigned budget)
{
	unsigned seen = 0;

	st->now = now;
	if (unlikely(st->loopq.qlen))
		seen = loop_rx(st);
	if (unlikely(!st->dev))
		return seen;
	while (seen < budget) {
		struct sk_buff *skbs[NETDEV_BURST];
		unsigned want = min_t(unsigned, budget - seen, NETDEV_BURST);
		unsigned n;

		stack_mark(st, STACK_STEP_DEV_RX);
		n = netdev_rx_burst(st->dev, st->queue, &st->cache, skbs, want);
		stack_mark(st, STACK_STEP_RX);
		if (n && st->rx_clock)
			st->now = st->rx_clock(st->rx_clock_ctx);
		if (n)
			rx_burst_input(st, skbs, n);
		seen += n;
		if (n < want)
			break;
	}
	return seen;
}

unsigned stack_timers(struct stack *st, uint64_t now)
{
	st->now = now;
	return timer_wheel_run(&st->wheel, now);
}

/* A ring that stays full after a second try will not drain in this turn: what is left is
 * dropped as by any full queue, and TCP slows down. */
static void tx_flush(struct stack *st)
{
	unsigned n = st->tx_n, sent;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += st->tx_batch[i]->len;
	stack_mark(st, STACK_STEP_DEV_TX);
	sent = netdev_tx_burst(st->dev, st->queue, st->tx_batch, n);
	if (unlikely(sent < n))
		sent += netdev_tx_burst(st->dev, st->queue, st->tx_batch + sent, n - sent);
	stack_mark(st, STACK_STEP_TX);
	for (unsigned i = sent; i < n; i++) {
		bytes -= st->tx_batch[i]->len;
		stat_inc(&st->stats.tx_ring_full);
		skb_drop(st->tx_batch[i], SKB_DROP_TX_RING_FULL);
	}
	stat_add(&st->stats.tx_packets, sent);
	stat_add(&st->stats.tx_bytes, bytes);
	st->tx_sent += sent;
	st->tx_n = 0;
}

/* A device without scatter gets one piece; TCP sees to it that this is the exception. */
static struct sk_buff *tx_linearize(struct stack *st, struct sk_buff *skb)
{
	struct sk_buff *copy = skb_copy(&st->cache, skb, st->dev->headroom);

	if (copy && copy->frag) {
		skb_free(copy);
		copy = NULL;
	}
	if (!copy) {
		skb_drop(skb, SKB_DROP_NO_MEM);
		return NULL;
	}
	skb_free(skb);
	return copy;
}

void eth_xmit(struct stack *st, struct sk_buff *skb)
{
	if (unlikely(skb->frag && !(st->features & NETDEV_F_TX_SG))) {
		skb = tx_linearize(st, skb);
		if (!skb)
			return;
	}
	skb->dev = st->dev;
	st->tx_batch[st->tx_n++] = skb;
	if (unlikely(st->tx_n == STACK_TX_BATCH))
		tx_flush(st);
}

void loop_xmit(struct stack *st, struct sk_buff *skb)
{
	if (st->loopq.qlen >= STACK_LOOP_MAX) {
		skb_drop(skb, SKB_DROP_LOOPBACK_FULL);
		return;
	}
	/* It never leaves memory: nothing to verify. */
	skb->ip_summed = CHECKSUM_GOOD;
	skb->flags = (uint8_t)((skb->flags & ~SKB_F_MCAST) | SKB_F_LOOP);
	skb->gso_size = 0;
	skb->hash = 0;
	stat_inc(&st->stats.loopback);
	skb_queue_tail(&st->loopq, skb);
}

unsigned stack_output(struct stack *st, uint64_t now)
{
	unsigned sent;

	st->now = now;
	tcp_shard_output(st);
	if (st->tx_n)
		tx_flush(st);
	skb_cache_flush(&st->cache);
	/* a lane that gives back what another took may stand below zero */
	WRITE_ONCE(st->stats.skbs_in_use, (uint64_t)max_t(int64_t, st->cache.outstanding, 0));
	sent = st->tx_sent;
	st->tx_sent = 0;
	st->turn++;
	return sent;
}

uint64_t stack_next_timer(const struct stack *st)
{
	uint64_t next = timer_wheel_next(&st->wheel);
	uint64_t held = 0;

	if (!skb_queue_empty(&st->loopq))
		return max_t(uint64_t, st->now, 1);
	if (st->dev && st->dev->ops->next_event)
		held = st->dev->ops->next_event(st->dev);
	if (!held || (next && next < held))
		return next;
	return held;
}

bool stack_has_output(const struct stack *st)
{
	return st->tx_n || tcp_shard_has_output(st);
}

struct netdev *stack_netdev(const struct stack *st)
{
	return st->dev;
}

uint32_t stack_ip(const struct stack *st)
{
	return st->ip;
}

const struct stack_stats *stack_stats(const struct stack *st)
{
	return &st->stats;
}

void stack_for_each_sock(struct stack *st, bool (*fn)(void *ctx, const struct stack_sock_info *i),
			 void *ctx)
{
	tcp_for_each_sock(st, fn, ctx);
}
