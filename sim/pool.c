/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool of heap skbs with moods: now and then, by its seed, it has none. As the lane's cache
 * stands in front, a refusal is a lane that finds nothing for as long as its cache is empty.
 */
#include <stdlib.h>

#include "sim/sim_int.h"
#include "stack/skb.h"

struct sim_pool {
	struct skb_pool pool;
	struct skb_pool *heap;
	struct skb_pool_ops ops; /* the heap's, but for what is ours */
	struct sim_rng rng;
	double chance;
};

static struct sim_pool *to_sim(const struct skb_pool *pool)
{
	return (struct sim_pool *)container_of(pool, const struct sim_pool, pool);
}

static unsigned pool_alloc(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct sim_pool *p = to_sim(pool);

	/* none, or fewer than asked for */
	if (p->chance > 0 && sim_chance(&p->rng, p->chance))
		n = (unsigned)sim_between(&p->rng, 0, 1) * (unsigned)sim_between(&p->rng, 0, n / 8);
	return n ? p->heap->ops->alloc_bulk(p->heap, skbs, n) : 0;
}

static void pool_free(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct sim_pool *p = to_sim(pool);

	p->heap->ops->free_bulk(p->heap, skbs, n);
}

static unsigned pool_avail(const struct skb_pool *pool)
{
	const struct sim_pool *p = to_sim(pool);

	return p->heap->ops->avail(p->heap);
}

static void pool_destroy(struct skb_pool *pool)
{
	struct sim_pool *p = to_sim(pool);

	/* what is missing was reported; the heap pool would end the program */
	if (!sim_pool_missing(pool))
		skb_pool_destroy(p->heap);
	free(p);
}

struct skb_pool *sim_pool_create(uint32_t nr, uint64_t seed)
{
	struct sim_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->heap = skb_heap_pool_create(nr, 2048);
	if (!p->heap) {
		free(p);
		return NULL;
	}
	p->ops = *p->heap->ops;
	p->ops.alloc_bulk = pool_alloc;
	p->ops.free_bulk = pool_free;
	p->ops.avail = pool_avail;
	p->ops.destroy = pool_destroy;
	p->rng.state = seed;
	p->pool = *p->heap;
	p->pool.ops = &p->ops;
	return &p->pool;
}

void sim_pool_mood(struct skb_pool *pool, double chance)
{
	to_sim(pool)->chance = chance;
}

uint32_t sim_pool_missing(const struct skb_pool *pool)
{
	return pool->nr - pool_avail(pool);
}
