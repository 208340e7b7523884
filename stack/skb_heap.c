/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool of skbs from the C heap, taken in one piece at creation: for the loop device, the
 * simulator and tests. As with DPDK's mbufs each skb owns a buffer for life, and may show
 * another's instead (attach); the owner is free again when the last that shows it is gone.
 * Thread-safe: a small lock around the stack of free skbs, touched in bulk only.
 */
#include <assert.h>
#include <stdlib.h>

#include "stack/skb.h"

struct heap_skb {
	struct sk_buff skb;
	uint8_t *buf;          /* (c) this skb's own buffer */
	struct heap_skb *root; /* (o) whose buffer skb shows; itself unless attached */
	uint32_t refs;         /* (a) skbs that show buf, this one included; acq_rel */
} ALIGNED(CACHE_LINE);

struct heap_pool {
	struct skb_pool pool;
	struct heap_skb *items; /* (c) nr of them */
	uint8_t *bytes;         /* (c) nr * buf_size */
	uint32_t lock;          /* (a) 1 = held */
	uint32_t nr_free;       /* (a) written under lock, read relaxed by avail */
	struct heap_skb **free; /* under lock */
};

static struct heap_skb *to_item(const struct sk_buff *skb)
{
	return container_of(skb, struct heap_skb, skb);
}

static void pool_lock(struct heap_pool *p)
{
	while (__atomic_exchange_n(&p->lock, 1, __ATOMIC_ACQUIRE))
		while (READ_ONCE(p->lock))
			cpu_relax();
}

static void pool_unlock(struct heap_pool *p)
{
	__atomic_store_n(&p->lock, 0, __ATOMIC_RELEASE);
}

static unsigned heap_alloc_bulk(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct heap_pool *p = container_of(pool, struct heap_pool, pool);
	unsigned left;

	pool_lock(p);
	n = min_t(unsigned, n, p->nr_free);
	left = p->nr_free - n;
	for (unsigned i = 0; i < n; i++)
		skbs[i] = &p->free[left + i]->skb;
	WRITE_ONCE(p->nr_free, left);
	pool_unlock(p);
	for (unsigned i = 0; i < n; i++) {
		struct sk_buff *skb = skbs[i];

		skb->head = skb->data = skb->tail = to_item(skb)->buf;
		skb->end = skb->head + p->pool.buf_size;
		skb->len = 0;
		skb_reset_meta(skb, NULL);
	}
	return n;
}

/* Under lock. */
static void put_ref(struct heap_pool *p, struct heap_skb *it)
{
	if (__atomic_sub_fetch(&it->refs, 1, __ATOMIC_ACQ_REL))
		return;
	it->refs = 1;
	p->free[p->nr_free] = it;
	WRITE_ONCE(p->nr_free, p->nr_free + 1);
}

static void heap_free_bulk(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct heap_pool *p = container_of(pool, struct heap_pool, pool);

	pool_lock(p);
	for (unsigned i = 0; i < n; i++) {
		struct heap_skb *it = to_item(skbs[i]);
		struct heap_skb *root = it->root;

		if (root != it) {
			it->root = it;
			put_ref(p, root);
		}
		put_ref(p, it);
	}
	pool_unlock(p);
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
	free(p->free);
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
	p->free = calloc(nr, sizeof(*p->free));
	if (!p->items || !p->bytes || !p->free) {
		heap_release(p);
		return NULL;
	}
	memset(p->items, 0, nr * sizeof(*p->items));
	for (uint32_t i = 0; i < nr; i++) {
		struct heap_skb *it = &p->items[i];

		it->buf = p->bytes + (size_t)i * buf_size;
		it->root = it;
		it->refs = 1;
		p->free[nr - 1 - i] = it;
	}
	p->nr_free = nr;
	p->pool = (struct skb_pool){
		.ops = &heap_ops, .nr = nr, .buf_size = buf_size, .reserve = nr / 8};
	return &p->pool;
}
