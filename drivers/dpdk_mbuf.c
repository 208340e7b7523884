/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * skb_pool_ops over rte_mempool. Unshared skbs go to and from the mempool raw, in bulk,
 * without touching the mbuf's second cache line: the invariants of dpdk_mbuf_int.h are
 * what rte_pktmbuf_reset() would restore. Shared and indirect ones (SKB_F_EXT) take
 * DPDK's own path, which counts references.
 */
#include "drivers/dpdk_mbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "drivers/dpdk_mbuf_int.h"

#include <rte_eal.h>
#include <rte_ring.h>
#include <rte_stack.h>

/* Per thread; the lane's skb_cache stands in front, so this only has to cover the device's
 * own bursts and what comes back with transmissions. */
#define POOL_CACHE   256u
#define POOL_BULK    64u
#define POOL_BUF_MIN 256u
#define POOL_PRIV    RTE_ALIGN_CEIL(sizeof(struct sk_buff), CACHE_LINE)
/* What a mempool element has around the mbuf, and the ring's pointer to it. */
#define POOL_PER_OBJ                (RTE_MEMPOOL_HEADER_SIZE_MAX + sizeof(void *))
#define RTE_MEMPOOL_HEADER_SIZE_MAX 128u

static unsigned pool_alloc_bulk(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct rte_mempool *mp = to_dpdk_pool(pool)->mp;
	unsigned got = 0;

	/* A mempool gives all or nothing: what is left of a nearly empty one is found by
	 * halving. */
	while (got < n) {
		void *m[POOL_BULK];
		unsigned want = min_t(unsigned, n - got, POOL_BULK);

		while (want && rte_mempool_get_bulk(mp, m, want) < 0)
			want /= 2;
		if (!want)
			break;
		for (unsigned i = 0; i < want; i++) {
			struct rte_mbuf *mb = m[i];
			struct sk_buff *skb = mbuf_to_skb(mb);

			skb->head = skb->data = skb->tail = mb->buf_addr;
			skb->end = skb->head + mb->buf_len;
			skb->len = 0;
			skb->data_len = 0;
			skb->frag = NULL;
			skb->flags = 0;
			skbs[got++] = skb;
		}
	}
	return got;
}

static void pool_free_bulk(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct rte_mempool *mp = to_dpdk_pool(pool)->mp;
	void *raw[POOL_BULK];
	unsigned nr = 0;

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = skb_to_mbuf(skbs[i]);

		if (unlikely(skbs[i]->flags & SKB_F_EXT)) {
			rte_pktmbuf_free_seg(m);
			continue;
		}
		raw[nr++] = m;
		if (nr == POOL_BULK) {
			rte_mempool_put_bulk(mp, raw, nr);
			nr = 0;
		}
	}
	if (nr)
		rte_mempool_put_bulk(mp, raw, nr);
}

static void pool_attach(struct sk_buff *to, struct sk_buff *from)
{
	rte_pktmbuf_attach(skb_to_mbuf(to), skb_to_mbuf(from));
	to->head = from->head;
	to->data = from->data;
	to->tail = from->tail;
	to->end = from->end;
	to->len = skb_headlen(from);
	to->data_len = 0;
	to->flags |= SKB_F_EXT;
	from->flags |= SKB_F_EXT;
}

static bool pool_shared(const struct sk_buff *skb)
{
	struct rte_mbuf *m = skb_to_mbuf(skb);

	if (RTE_MBUF_CLONED(m))
		m = rte_mbuf_from_indirect(m);
	return rte_mbuf_refcnt_read(m) > 1;
}

/*
 * Counts what is common to all threads only, not what their caches hold: low by some
 * hundreds, but one cache line instead of one per possible thread.
 */
static unsigned pool_avail(const struct skb_pool *pool)
{
	const struct dpdk_pool *p = to_dpdk_pool(pool);

	return p->lifo ? rte_stack_count(p->mp->pool_data) : rte_ring_count(p->mp->pool_data);
}

static void pool_destroy(struct skb_pool *pool)
{
	struct dpdk_pool *p = to_dpdk_pool(pool);

	rte_mempool_free(p->mp);
	free(p);
}

static const struct skb_pool_ops pool_ops = {
	.alloc_bulk = pool_alloc_bulk,
	.free_bulk = pool_free_bulk,
	.attach = pool_attach,
	.shared = pool_shared,
	.avail = pool_avail,
	.destroy = pool_destroy,
};

size_t dpdk_pool_bytes(uint32_t nr, uint32_t buf_size)
{
	size_t obj = sizeof(struct rte_mbuf) + POOL_PRIV + buf_size + POOL_PER_OBJ;

	obj = (obj + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	/* hugepages lose their rest, the heap has its own; a power of two is taken for the ring */
	return (size_t)nr * obj / 8 * 9;
}

unsigned dpdk_pool_in_use(const struct skb_pool *pool)
{
	return rte_mempool_in_use_count(to_dpdk_pool(pool)->mp);
}

static void set_iova(struct rte_mempool *mp, void *ctx, void *obj, unsigned i)
{
	struct rte_mbuf *m = obj;

	(void)mp;
	(void)ctx;
	(void)i;
	m->buf_iova = (rte_iova_t)(uintptr_t)m->buf_addr;
}

/*
 * set_order - last in, first out: where one thread takes what another gives back, DPDK's default, a
 * ring, goes through all buffers in turn, and each comes from memory. A stream between two lanes
 * made 20 Gbit/s so, and 60 without (EPYC 9005; 84 MB of buffers, 32 MB of cache). A DPDK that
 * lacks the handler has the ring.
 */
static int set_order(struct dpdk_pool *p, struct rte_mempool *mp)
{
	p->lifo = rte_mempool_set_ops_byname(mp, "stack", NULL) == 0;
	return p->lifo ? 0 : rte_mempool_set_ops_byname(mp, "ring_mp_mc", NULL);
}

/*
 * rte_pktmbuf_pool_create_by_ops() but for one flag. Without hugepages DPDK gives each mbuf
 * a page of its own, so that none lies across two: half as much memory again, and the
 * headers of all of them compete for the same sets of the cache. Where IOVA is VA a buffer
 * may well lie across two pages; DPDK then leaves buf_iova to us.
 */
static int fill_mempool(struct dpdk_pool *p, struct rte_mempool *mp, bool iova_va,
			uint16_t buf_size)
{
	struct rte_pktmbuf_pool_private priv = {
		.mbuf_data_room_size = buf_size,
		.mbuf_priv_size = POOL_PRIV,
	};

	if (set_order(p, mp) < 0)
		return -ENOMEM;
	rte_pktmbuf_pool_init(mp, &priv);
	if (rte_mempool_populate_default(mp) < 0)
		return -ENOMEM;
	(void)rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	if (iova_va)
		(void)rte_mempool_obj_iter(mp, set_iova, NULL);
	return 0;
}

/* make_mempool - on p->node; sets p->lifo. NULL: it does not fit. */
static struct rte_mempool *make_mempool(struct dpdk_pool *p, uint32_t nr, uint32_t buf_size)
{
	static unsigned serial;
	bool iova_va = rte_eal_iova_mode() == RTE_IOVA_VA;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;

	(void)snprintf(name, sizeof(name), "pl_pool%u",
		       __atomic_fetch_add(&serial, 1, __ATOMIC_RELAXED));
	mp = rte_mempool_create_empty(name, nr, sizeof(struct rte_mbuf) + POOL_PRIV + buf_size,
				      POOL_CACHE, sizeof(struct rte_pktmbuf_pool_private), p->node,
				      iova_va ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0);
	if (mp && fill_mempool(p, mp, iova_va, (uint16_t)buf_size) < 0) {
		rte_mempool_free(mp);
		mp = NULL;
	}
	return mp;
}

int dpdk_pool_create(uint32_t nr, uint32_t buf_size, int node, struct skb_pool **ret_pool)
{
	struct dpdk_pool *p;

	if (nr < 2 * POOL_CACHE || buf_size < POOL_BUF_MIN || buf_size > UINT16_MAX)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->node = node < 0 ? SOCKET_ID_ANY : node;
	p->mp = make_mempool(p, nr, buf_size);
	/* Memory far away is slower than near memory, and better than none. */
	if (!p->mp && p->node != SOCKET_ID_ANY) {
		p->node = SOCKET_ID_ANY;
		p->mp = make_mempool(p, nr, buf_size);
	}
	if (!p->mp) {
		free(p);
		return -ENOMEM;
	}
	p->pool.ops = &pool_ops;
	p->pool.nr = nr;
	p->pool.buf_size = buf_size;
	p->pool.reserve = nr / 8;
	*ret_pool = &p->pool;
	return 0;
}
