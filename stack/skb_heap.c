/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool of skbs from the C heap, taken in one piece at creation: for the loop device, the
 * simulator and tests. As with DPDK's mbufs each skb owns a buffer for life, and may show
 * another's instead (attach); the owner is free again when the last that shows it is gone.
 * Thread-safe without a lock, since nothing here could yield to a holder that lost its cpu: the
 * free skbs are a stack whose top is one word, changed once a bulk.
 */
#include <assert.h>
#include <stdlib.h>

#include "stack/skb.h"

struct heap_skb {
	struct sk_buff skb;
	uint8_t *buf;          /* (c) this skb's own buffer */
	struct heap_skb *root; /* (o) whose buffer skb shows; itself unless attached */
	uint32_t refs;         /* (a) skbs that show buf, this one included; acq_rel */
	uint32_t next;         /* (a) below this one in the stack; NO_ITEM: none */
} ALIGNED(CACHE_LINE);

struct heap_pool {
	struct skb_pool pool;
	struct heap_skb *items; /* (c) nr of them */
	uint8_t *bytes;         /* (c) nr * buf_size */
	uint64_t top;           /* (a) index of the top item; above it a tag, see pop() */
	uint32_t nr_free;       /* (a) follows top, for avail */
};

#define NO_ITEM UINT32_MAX

static struct heap_skb *to_item(const struct sk_buff *skb)
{
	return container_of(skb, struct heap_skb, skb);
}

static uint64_t top_of(uint64_t old, uint32_t index)
{
	return ((old >> 32) + 1) << 32 | index;
}

/*
 * pop - up to n from the top, as a chain by `next`; *ret_n how many. Others may take and give the
 * items meanwhile: what was read is then wrong but harmless, since items are never freed, and the
 * tag, which each change raises, makes the exchange fail. Pairs with push()'s release.
 */
static uint32_t pop(struct heap_pool *p, unsigned n, unsigned *ret_n)
{
	uint64_t old = __atomic_load_n(&p->top, __ATOMIC_ACQUIRE);
	uint32_t rest;

	do {
		rest = (uint32_t)old;
		for (*ret_n = 0; *ret_n < n && rest != NO_ITEM; (*ret_n)++)
			rest = READ_ONCE(p->items[rest].next);
	} while (!__atomic_compare_exchange_n(&p->top, &old, top_of(old, rest), true,
					      __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
	(void)__atomic_sub_fetch(&p->nr_free, *ret_n, __ATOMIC_RELAXED);
	return (uint32_t)old;
}

/* push - the chain of n that begins at index first and ends with `last`. Counted before it is
 * there, so that nr_free never falls below 0. */
static void push(struct heap_pool *p, uint32_t first, struct heap_skb *last, unsigned n)
{
	uint64_t old = __atomic_load_n(&p->top, __ATOMIC_RELAXED);

	(void)__atomic_add_fetch(&p->nr_free, n, __ATOMIC_RELAXED);
	do {
		WRITE_ONCE(last->next, (uint32_t)old);
	} while (!__atomic_compare_exchange_n(&p->top, &old, top_of(old, first), true,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static unsigned heap_alloc_bulk(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct heap_pool *p = container_of(pool, struct heap_pool, pool);
	uint32_t index = pop(p, n, &n);

	for (unsigned i = 0; i < n; i++) {
		struct heap_skb *it = &p->items[index];
		struct sk_buff *skb = &it->skb;

		index = READ_ONCE(it->next);
		skbs[i] = skb;
		skb->head = skb->data = skb->tail = it->buf;
		skb->end = skb->head + p->pool.buf_size;
		skb->len = 0;
		skb_reset_meta(skb, NULL);
	}
	return n;
}

/* What a bulk gives back, chained before it is pushed. */
struct freed {
	struct heap_skb *first, *last;
	unsigned n;
};

static void put_ref(struct heap_pool *p, struct heap_skb *it, struct freed *f)
{
	if (__atomic_sub_fetch(&it->refs, 1, __ATOMIC_ACQ_REL))
		return;
	it->refs = 1;
	if (f->first)
		WRITE_ONCE(it->next, (uint32_t)(f->first - p->items));
	else
		f->last = it;
	f->first = it;
	f->n++;
}

static void heap_free_bulk(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct heap_pool *p = container_of(pool, struct heap_pool, pool);
	struct freed f = {0};

	for (unsigned i = 0; i < n; i++) {
		struct heap_skb *it = to_item(skbs[i]);
		struct heap_skb *root = it->root;

		if (root != it) {
			it->root = it;
			put_ref(p, root, &f);
		}
		put_ref(p, it, &f);
	}
	if (f.n)
		push(p, (uint32_t)(f.first - p->items), f.last, f.n);
}

static void heap_attach(struct sk_buff *to, struct sk_buff *from)
{
	struct heap_skb *it = to_item(to);
	struct heap_skb *root = to_item(from)->root;

	BUG_ON(it->root != it || it == root);
	(void)__atomic_add_fetch(&root->refs, 1, __ATOMIC_RELAXED);
	it->root = root;
	to->head = from->head;
	to->end = from->end;
	to->data = from->data;
	to->tail = from->tail;
	to->len = skb_headlen(from);
	to->flags |= SKB_F_EXT;
	from->flags |= SKB_F_EXT;
}

/* Acquire: pairs with the release in put_ref of whoever let go last. */
static bool heap_shared(const struct sk_buff *skb)
{
	return __atomic_load_n(&to_item(skb)->root->refs, __ATOMIC_ACQUIRE) > 1;
}

static unsigned heap_avail(const struct skb_pool *pool)
{
	return READ_ONCE(container_of(pool, struct heap_pool, pool)->nr_free);
}

static void heap_release(struct heap_pool *p)
{
	free(p->bytes);
	free(p->items);
	free(p);
}

static void heap_destroy(struct skb_pool *pool)
{
	struct heap_pool *p = container_of(pool, struct heap_pool, pool);

	assert(p->nr_free == pool->nr);
	heap_release(p);
}

static const struct skb_pool_ops heap_ops = {
	.alloc_bulk = heap_alloc_bulk,
	.free_bulk = heap_free_bulk,
	.attach = heap_attach,
	.shared = heap_shared,
	.avail = heap_avail,
	.destroy = heap_destroy,
};

struct skb_pool *skb_heap_pool_create(uint32_t nr, uint32_t buf_size)
{
	struct heap_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->items = aligned_alloc(CACHE_LINE, nr * sizeof(*p->items));
	p->bytes = aligned_alloc(CACHE_LINE, ((size_t)nr * buf_size + CACHE_LINE - 1) &
						     ~(size_t)(CACHE_LINE - 1));
	if (!p->items || !p->bytes) {
		heap_release(p);
		return NULL;
	}
	memset(p->items, 0, nr * sizeof(*p->items));
	for (uint32_t i = 0; i < nr; i++) {
		struct heap_skb *it = &p->items[i];

		it->buf = p->bytes + (size_t)i * buf_size;
		it->root = it;
		it->refs = 1;
		it->next = i + 1 < nr ? i + 1 : NO_ITEM;
	}
	p->top = nr ? 0 : NO_ITEM;
	p->nr_free = nr;
	p->pool = (struct skb_pool){
		.ops = &heap_ops, .nr = nr, .buf_size = buf_size, .reserve = nr / 8};
	return &p->pool;
}
