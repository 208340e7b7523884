/* SPDX-License-Identifier: BSD-3-Clause */
/* The paper link of tcp_pair.h: frames are copied to the heap, so no buffer is shared. */
#include "tcp_pair.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

struct pair_frame {
	struct pair_frame *next;
	uint64_t due;
	unsigned len;
	uint8_t bytes[];
};

double pair_random(struct pair *p)
{
	p->rng = p->rng * 6364136223846793005ull + 1442695040888963407ull;
	return (double)(p->rng >> 11) / (double)(1ull << 53);
}

unsigned pair_hook_random(struct pair *p, unsigned from, uint8_t *frame, unsigned len,
			  uint64_t *extra_delay)
{
	(void)from;
	(void)frame;
	(void)len;
	if (pair_random(p) < p->loss)
		return 0;
	if (pair_random(p) < p->reorder)
		*extra_delay = (uint64_t)(pair_random(p) * (double)p->delay * 4);
	return pair_random(p) < p->dup ? 2 : 1;
}

static void frame_insert(struct pair_end *to, struct pair_frame *f)
{
	struct pair_frame **pp = &to->head;

	while (*pp && (*pp)->due <= f->due)
		pp = &(*pp)->next;
	f->next = *pp;
	*pp = f;
}

static unsigned end_tx(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	struct pair_end *e = (struct pair_end *)dev;
	struct pair *p = e->pair;

	(void)queue;
	for (unsigned i = 0; i < n; i++) {
		uint8_t buf[65536];
		unsigned len = skbs[i]->len, copies = 1;
		uint64_t extra = 0;

		cr_assert_eq(skb_copy_bits(skbs[i], 0, buf, len), 0);
		e->sent++;
		e->chains += !!skbs[i]->frag;
		if (p->hook)
			copies = p->hook(p, e->idx, buf, len, &extra);
		if (!copies)
			p->lost++;
		for (unsigned c = 0; c < copies; c++) {
			struct pair_frame *f = malloc(sizeof(*f) + len);

			f->len = len;
			f->due = p->now + p->delay + extra;
			memcpy(f->bytes, buf, len);
			frame_insert(&p->end[!e->idx], f);
		}
		skb_free(skbs[i]);
	}
	return n;
}

static unsigned end_rx(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
		       struct sk_buff **skbs, unsigned n)
{
	struct pair_end *e = (struct pair_end *)dev;
	unsigned got = 0;

	(void)queue;
	while (got < n && e->head && e->head->due <= e->pair->now) {
		struct pair_frame *f = e->head;

		skbs[got] = skb_from_bytes(cache, 0, f->bytes, f->len);
		if (skbs[got] && dev->features & NETDEV_F_RX_CSUM)
			skbs[got]->ip_summed = CHECKSUM_GOOD;
		got += !!skbs[got];
		e->head = f->next;
		free(f);
	}
	return got;
}

static const struct netdev_ops end_ops = {
	.rx_burst = end_rx,
	.tx_burst = end_tx,
};

void pair_init(struct pair *p, const struct stack_config *cfg, unsigned nr_skbs, uint32_t features,
	       uint16_t mtu)
{
	memset(p, 0, sizeof(*p));
	p->now = 100 * NSEC_PER_SEC;
	p->delay = 50 * NSEC_PER_USEC;
	p->rng = 1;
	for (unsigned i = 0; i < 2; i++) {
		struct pair_end *e = &p->end[i];
		struct stack_config c;

		if (cfg)
			c = *cfg;
		else
			stack_config_init(&c);
		memset(c.seed, (int)i + 1, sizeof(c.seed));
		e->pair = p;
		e->idx = i;
		e->dev = (struct netdev){.ops = &end_ops,
					 .name = "paper",
					 .dev_addr = {2, 0, 0, 0, 0, (uint8_t)(i + 1)},
					 .mtu = mtu,
					 .nr_queues = 1,
					 .tx_copybreak = 256,
					 .features = features};
		e->pool = skb_heap_pool_create(nr_skbs, 2176);
		cr_assert(e->pool);
		cr_assert_eq(stack_create(&c, e->pool, &e->st), 0);
		(void)stack_rx(e->st, p->now, 64);
		cr_assert_eq(stack_attach(e->st, &e->dev, 0, i ? PAIR_IP_B : PAIR_IP_A, 24, 0), 0);
	}
}

unsigned pair_fini(struct pair *p)
{
	unsigned missing = 0;

	for (unsigned i = 0; i < 2; i++) {
		struct pair_end *e = &p->end[i];
		struct pair_frame *f;

		stack_destroy(e->st);
		while ((f = e->head) != NULL) {
			e->head = f->next;
			free(f);
		}
		missing += e->pool->nr - e->pool->ops->avail(e->pool);
		skb_pool_destroy(e->pool);
	}
	return missing;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

void pair_turn(struct pair *p, uint64_t max_step)
{
	uint64_t next = p->now + max_step;
	bool busy = false;

	for (unsigned i = 0; i < 2; i++) {
		struct stack *st = p->end[i].st;

		(void)stack_rx(st, p->now, 1024);
		(void)stack_timers(st, p->now);
		(void)stack_output(st, p->now);
		busy |= stack_has_output(st);
		next = earlier(next, stack_next_timer(st));
	}
	for (unsigned i = 0; i < 2; i++)
		if (p->end[i].head)
			next = earlier(next, p->end[i].head->due);
	if (busy || next <= p->now)
		next = p->now + 1000;
	p->now = next;
}

bool pair_run(struct pair *p, uint64_t ns, bool (*done)(void *arg), void *arg)
{
	uint64_t end = p->now + ns;

	while (p->now < end) {
		if (done && done(arg))
			return true;
		pair_turn(p, end - p->now);
	}
	return done && done(arg);
}

static bool is_established(void *arg)
{
	return ((struct sock *)arg)->sk_state == TCP_ESTABLISHED;
}

void pair_connect(struct pair *p, uint16_t port, struct sock **ret_a, struct sock **ret_b,
		  struct sock **ret_listener)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = port, .v4 = PAIR_IP_B};
	struct sk_addr any = {.family = SK_AF_INET, .port = port};
	struct sock *lp, *a;

	cr_assert_eq(sock_create(p->end[1].st, SK_AF_INET, &lp), 0);
	cr_assert_eq(sock_bind(lp, &any), 0);
	cr_assert_eq(sock_listen(lp, 16), 0);
	cr_assert_eq(sock_create(p->end[0].st, SK_AF_INET, &a), 0);
	cr_assert_eq(sock_connect(a, &to), -EINPROGRESS);
	cr_assert(pair_run(p, 10 * NSEC_PER_SEC, is_established, a));
	(void)pair_run(p, 10 * NSEC_PER_MSEC, NULL, NULL);
	cr_assert_eq(sock_accept(lp, ret_b), 0);
	*ret_a = a;
	*ret_listener = lp;
}
