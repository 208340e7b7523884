/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lane's skb cache and the operations on chains that are not worth inlining. Knows
 * nothing of where an skb's memory comes from: that is behind skb_pool_ops.
 */
#include "stack/skb.h"

#include <errno.h>

static const char *const drop_names[SKB_DROP_MAX] = {
#define X(sym, name) [SKB_DROP_##sym] = name,
	SKB_DROP_REASONS(X)
#undef X
};

const char *skb_drop_name(enum skb_drop_reason r)
{
	return (unsigned)r < SKB_DROP_MAX ? drop_names[r] : "?";
}

void skb_pool_destroy(struct skb_pool *pool)
{
	pool->ops->destroy(pool);
}

/* ---- the lane's cache ---- */

void skb_cache_init(struct skb_cache *c, struct skb_pool *pool, uint64_t *drops)
{
	memset(c, 0, sizeof(*c));
	c->pool = pool;
	c->drops = drops;
}

static bool cache_look_low(struct skb_cache *c)
{
	c->low = c->pool->ops->avail(c->pool) <= c->pool->reserve;
	return c->low;
}

void skb_cache_flush(struct skb_cache *c)
{
	if (c->nr_free) {
		c->pool->ops->free_bulk(c->pool, c->to_free, c->nr_free);
		c->nr_free = 0;
	}
	if (unlikely(c->low))
		(void)cache_look_low(c);
}

void skb_cache_fini(struct skb_cache *c)
{
	skb_cache_flush(c);
	for (unsigned i = 0; i < c->n; i++)
		skb_show(c->slot[i]);
	if (c->n)
		c->pool->ops->free_bulk(c->pool, c->slot, c->n);
	c->n = 0;
}

/* The pool is looked at when the lane draws from it and while it is low, not per call: what
 * circulates in slot[] takes nothing from the reserve. */
bool skb_cache_low(struct skb_cache *c)
{
	return unlikely(c->low) && cache_look_low(c);
}

NOINLINE bool __skb_cache_refill(struct skb_cache *c)
{
	/* What waits in to_free[] may be the last there is. */
	if (c->nr_free)
		skb_cache_flush(c);
	c->n = c->pool->ops->alloc_bulk(c->pool, c->slot, SKB_CACHE_BULK);
	(void)cache_look_low(c);
	if (likely(c->n))
		return true;
	c->alloc_fail++;
	return false;
}

struct sk_buff *skb_alloc_reserved(struct skb_cache *c, unsigned headroom)
{
	if (unlikely(!c->n) && !__skb_cache_refill(c))
		return NULL;
	if (skb_cache_low(c)) {
		c->alloc_fail++;
		return NULL;
	}
	return skb_alloc(c, headroom);
}

static void cache_put_pool(struct skb_cache *c, struct sk_buff *skb)
{
	c->to_free[c->nr_free++] = skb;
	if (c->nr_free == SKB_CACHE_BULK)
		skb_cache_flush(c);
}

NOINLINE void __skb_free_slow(struct sk_buff *skb)
{
	struct skb_cache *c = skb->cache;

	while (skb) {
		struct sk_buff *next = skb->frag;

		skb->frag = NULL;
		c->outstanding--;
		if ((skb->flags & SKB_F_EXT) || c->n == SKB_CACHE_SIZE) {
			cache_put_pool(c, skb);
		} else {
			c->slot[c->n++] = skb;
			skb_hide(skb);
		}
		skb = next;
	}
}

void skb_drop(struct sk_buff *skb, enum skb_drop_reason reason)
{
	stat_inc(&skb->cache->drops[reason]);
	skb_free(skb);
}

void skb_queue_purge(struct sk_buff_head *q)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(q)) != NULL)
		skb_free(skb);
}

/* ---- chains ---- */

/* Takes n bytes off the front of the fragments of skb, whose data_len they were. */
static void frags_eat(struct sk_buff *skb, unsigned n)
{
	struct sk_buff *f;

	skb->data_len -= n;
	while ((f = skb->frag) != NULL) {
		unsigned k = min_t(unsigned, n, f->len);

		f->data += k;
		f->len -= k;
		n -= k;
		if (f->len)
			break;
		skb->frag = f->frag;
		f->frag = NULL;
		f->cache = skb->cache;
		skb_free(f);
	}
}

NOINLINE bool __skb_may_pull(struct sk_buff *skb, unsigned n)
{
	unsigned headlen = skb_headlen(skb);
	unsigned need = n - headlen;

	if (n > skb->len || need > (unsigned)(skb->end - skb->tail) || !skb_writable(skb))
		return false;
	(void)skb_copy_bits(skb, headlen, skb->tail, need);
	skb->tail += need;
	frags_eat(skb, need);
	return true;
}

/* Fragments are freed whole where the cut leaves nothing of them. */
void skb_trim(struct sk_buff *skb, unsigned len)
{
	unsigned headlen = skb_headlen(skb);
	unsigned left;
	struct sk_buff **link = &skb->frag, *rest;

	if (len >= skb->len)
		return;
	skb->len = len;
	if (len < headlen) {
		skb->tail -= headlen - len;
		headlen = len;
	}
	left = len - headlen;
	skb->data_len = left;
	while (left) {
		struct sk_buff *f = *link;

		if (f->len > left) {
			f->tail -= f->len - left;
			f->len = left;
		}
		left -= f->len;
		link = &f->frag;
	}
	rest = *link;
	*link = NULL;
	if (rest) {
		rest->cache = skb->cache;
		skb_free(rest);
	}
}

void skb_eat(struct sk_buff *skb, unsigned n)
{
	unsigned k = min_t(unsigned, n, skb_headlen(skb));

	BUG_ON(n > skb->len);
	skb->data += k;
	skb->len -= n;
	if (n > k)
		frags_eat(skb, n - k);
}

int skb_copy_bits(const struct sk_buff *skb, unsigned off, void *dst, unsigned n)
{
	unsigned piece = skb_headlen(skb);
	uint8_t *out = dst;

	if (off > skb->len || n > skb->len - off)
		return -EINVAL;
	while (n) {
		unsigned k = off < piece ? min_t(unsigned, n, piece - off) : 0;

		if (k) {
			memcpy(out, skb->data + off, k);
			out += k;
			n -= k;
			off += k;
		}
		off -= piece;
		skb = skb->frag;
		if (n)
			piece = skb->len;
	}
	return 0;
}

void skb_append_frag(struct sk_buff *skb, struct sk_buff *frag)
{
	struct sk_buff *last = skb;

	while (last->frag)
		last = last->frag;
	last->frag = frag;
	skb->len += frag->len;
	skb->data_len += frag->len;
	skb->truesize += frag->truesize;
	for (struct sk_buff *f = frag->frag; f; f = f->frag)
		frag->truesize -= f->truesize;
	frag->len = skb_headlen(frag);
	frag->data_len = 0;
}

struct sk_buff *skb_ref(struct skb_cache *c, struct sk_buff *skb, unsigned off, unsigned n)
{
	struct sk_buff *head = NULL;
	struct sk_buff *from = skb;
	unsigned piece = skb_headlen(skb);

	BUG_ON(!n || off > skb->len || n > skb->len - off);
	do {
		unsigned k = off < piece ? min_t(unsigned, n, piece - off) : 0;
		struct sk_buff *to;

		if (k) {
			to = skb_alloc(c, 0);
			if (!to)
				goto out_free;
			c->pool->ops->attach(to, from);
			to->data = from->data + off;
			to->tail = to->data + k;
			to->len = k;
			if (head)
				skb_append_frag(head, to);
			else
				head = to;
			n -= k;
			off += k;
		}
		off -= piece;
		from = from->frag;
		if (n)
			piece = from->len;
	} while (n);
	return head;

out_free:
	if (head)
		skb_free(head);
	return NULL;
}

/* A chain of n bytes that are still to be written, `headroom` before them; at least one skb. */
static struct sk_buff *chain_alloc(struct skb_cache *c, unsigned headroom, unsigned n)
{
	struct sk_buff *head = NULL;

	do {
		struct sk_buff *to = skb_alloc(c, head ? 0 : headroom);
		unsigned k;

		if (!to) {
			if (head)
				skb_free(head);
			return NULL;
		}
		k = min_t(unsigned, n, skb_tailroom(to));
		(void)skb_put(to, k);
		n -= k;
		if (head)
			skb_append_frag(head, to);
		else
			head = to;
	} while (n);
	return head;
}

struct sk_buff *skb_copy(struct skb_cache *c, const struct sk_buff *skb, unsigned headroom)
{
	struct sk_buff *head = chain_alloc(c, headroom, skb->len);
	unsigned off = 0;

	if (!head)
		return NULL;
	for (struct sk_buff *to = head; to; to = to->frag) {
		(void)skb_copy_bits(skb, off, to->data, skb_headlen(to));
		off += skb_headlen(to);
	}
	head->ip_summed = skb->ip_summed;
	head->gso_size = skb->gso_size;
	head->dev = skb->dev;
	return head;
}

struct sk_buff *skb_from_bytes(struct skb_cache *c, unsigned headroom, const uint8_t *p, unsigned n)
{
	struct sk_buff *head = chain_alloc(c, headroom, n);

	for (struct sk_buff *to = head; to; to = to->frag) {
		memcpy(to->data, p, skb_headlen(to));
		p += skb_headlen(to);
	}
	return head;
}
