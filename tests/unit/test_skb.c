/* SPDX-License-Identifier: BSD-3-Clause */
/* Cache, heap pool and chains; every chain operation against a flat copy of the bytes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "stack/skb.h"

static uint64_t drops[SKB_DROP_MAX];

struct bench {
	struct skb_pool *pool;
	struct skb_cache *c;
};

static struct bench begin(uint32_t nr, uint32_t size)
{
	struct bench b = {skb_heap_pool_create(nr, size), calloc(1, sizeof(struct skb_cache))};

	cr_assert(b.pool && b.c);
	skb_cache_init(b.c, b.pool, drops);
	return b;
}

static void end(struct bench *b)
{
	cr_assert_eq(b->c->outstanding, 0);
	skb_cache_fini(b->c);
	cr_assert_eq(b->pool->ops->avail(b->pool), b->pool->nr);
	skb_pool_destroy(b->pool);
	free(b->c);
}

/* A chain with the bytes first, first+1, ... cut into the given pieces. */
static struct sk_buff *chain(struct bench *b, const unsigned *pieces, unsigned n, uint8_t first)
{
	struct sk_buff *head = NULL;

	for (unsigned i = 0; i < n; i++) {
		struct sk_buff *skb = skb_alloc(b->c, 16);
		uint8_t *p = skb_put(skb, pieces[i]);

		for (unsigned k = 0; k < pieces[i]; k++)
			p[k] = first++;
		if (head)
			skb_append_frag(head, skb);
		else
			head = skb;
	}
	return head;
}

/* skb holds exactly n bytes counting up from `first`, and its lengths agree. */
static void expect(const struct sk_buff *skb, unsigned n, uint8_t first)
{
	uint8_t flat[4096];
	unsigned frag_bytes = 0;

	for (const struct sk_buff *f = skb->frag; f; f = f->frag) {
		frag_bytes += f->len;
		cr_assert_eq(f->data_len, 0);
		cr_assert_eq(f->len, (unsigned)(f->tail - f->data));
	}
	cr_assert_eq(skb->len, n);
	cr_assert_eq(skb->data_len, frag_bytes);
	cr_assert_eq(skb_headlen(skb), (unsigned)(skb->tail - skb->data));
	cr_assert_eq(skb_copy_bits(skb, 0, flat, n), 0);
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(flat[i], (uint8_t)(first + i));
}

Test(skb, test_drop_names_all_present)
{
	for (int r = 0; r < SKB_DROP_MAX; r++)
		cr_assert(skb_drop_name((enum skb_drop_reason)r)[0] != '?');
	cr_assert_str_eq(skb_drop_name(SKB_DROP_MAX), "?");
}

Test(skb, test_skb_alloc_pool_exhausted_returns_null)
{
	struct bench b = begin(100, 256);
	struct sk_buff *all[100];

	for (int i = 0; i < 100; i++) {
		all[i] = skb_alloc(b.c, 32);
		cr_assert(all[i]);
		cr_assert_eq(skb_headroom(all[i]), 32);
		cr_assert_eq(all[i]->truesize, 256 + sizeof(struct sk_buff));
	}
	cr_assert_null(skb_alloc(b.c, 0));
	cr_assert_eq(b.c->alloc_fail, 1);
	for (int i = 0; i < 100; i++)
		skb_free(all[i]);
	end(&b);
}

Test(skb, test_skb_alloc_reserved_leaves_the_reserve)
{
	struct bench b = begin(1024, 64);
	struct sk_buff *all[1024];
	unsigned n = 0;

	while (n < 1024 && (all[n] = skb_alloc_reserved(b.c, 0)) != NULL)
		n++;
	/* Some reserve is left, at most one cache's worth beyond what was asked for. */
	cr_assert(n <= 1024 - b.pool->reserve + SKB_CACHE_SIZE && n >= 1024 - 2 * b.pool->reserve);
	all[n] = skb_alloc(b.c, 0);
	cr_assert(all[n]);
	skb_free(all[n]);
	while (n)
		skb_free(all[--n]);
	skb_cache_flush(b.c);
	all[0] = skb_alloc_reserved(b.c, 0);
	cr_assert(all[0], "works again when they came back");
	skb_free(all[0]);
	end(&b);
}

Test(skb, test_skb_free_single_is_recycled_warm)
{
	struct bench b = begin(64, 256);
	struct sk_buff *a = skb_alloc(b.c, 0);

	a->tcp.seq = 7;
	skb_free(a);
	cr_assert_eq(skb_alloc(b.c, 0), a);
	cr_assert_eq(a->tcp.seq, 0);
	skb_free(a);
	end(&b);
}

Test(skb, test_skb_drop_counts_reason)
{
	struct bench b = begin(8, 256);
	uint64_t before = drops[SKB_DROP_NO_MEM];

	skb_drop(skb_alloc(b.c, 0), SKB_DROP_NO_MEM);
	cr_assert_eq(drops[SKB_DROP_NO_MEM], before + 1);
	end(&b);
}

Test(skb, test_skb_may_pull_across_fragments_linear)
{
	struct bench b = begin(8, 256);
	struct sk_buff *skb = chain(&b, (unsigned[]){10, 5, 5, 30}, 4, 0);
	uint32_t truesize = skb->truesize;

	cr_assert(!skb_may_pull(skb, 51));
	cr_assert(skb_may_pull(skb, 21));
	cr_assert_eq(skb_headlen(skb), 21);
	expect(skb, 50, 0);
	cr_assert_eq(skb->truesize, truesize);
	cr_assert(skb_may_pull(skb, 50));
	cr_assert_null(skb->frag);
	expect(skb, 50, 0);
	skb_free(skb);
	end(&b);
}

Test(skb, test_skb_may_pull_shared_bytes_refused)
{
	struct bench b = begin(8, 256);
	struct sk_buff *skb = chain(&b, (unsigned[]){10, 10}, 2, 0);
	struct sk_buff *ref = skb_ref(b.c, skb, 0, 10);

	cr_assert(!skb_may_pull(skb, 15), "would write behind bytes that ref shows");
	skb_free(ref);
	skb_cache_flush(b.c);
	cr_assert(skb_may_pull(skb, 15));
	expect(skb, 20, 0);
	skb_free(skb);
	end(&b);
}

Test(skb, test_skb_trim_and_eat_every_cut_keeps_bytes)
{
	static const unsigned pieces[] = {7, 1, 0, 13, 20};
	struct bench b = begin(64, 256);

	for (unsigned cut = 0; cut <= 41; cut++) {
		struct sk_buff *a = chain(&b, pieces, 5, 3);
		struct sk_buff *e = chain(&b, pieces, 5, 3);

		skb_trim(a, cut);
		expect(a, cut, 3);
		skb_eat(e, cut);
		expect(e, 41 - cut, (uint8_t)(3 + cut));
		skb_trim(a, 100);
		expect(a, cut, 3);
		skb_free(a);
		skb_free(e);
	}
	end(&b);
}

Test(skb, test_skb_copy_bits_past_the_end_einval)
{
	struct bench b = begin(8, 256);
	struct sk_buff *skb = chain(&b, (unsigned[]){4, 4}, 2, 0);
	uint8_t out[16];

	cr_assert_eq(skb_copy_bits(skb, 0, out, 9), -EINVAL);
	cr_assert_eq(skb_copy_bits(skb, 9, out, 0), -EINVAL);
	cr_assert_eq(skb_copy_bits(skb, 5, out, UINT32_MAX), -EINVAL);
	cr_assert_eq(skb_copy_bits(skb, 8, out, 0), 0);
	skb_free(skb);
	end(&b);
}

Test(skb, test_skb_append_chain_stays_flat)
{
	struct bench b = begin(8, 256);
	struct sk_buff *a = chain(&b, (unsigned[]){5, 5}, 2, 0);
	struct sk_buff *c = chain(&b, (unsigned[]){5, 5}, 2, 10);

	skb_append_frag(a, c);
	expect(a, 20, 0);
	cr_assert_eq(a->truesize, 4 * (256 + sizeof(struct sk_buff)));
	cr_assert_eq(c->truesize, 256 + sizeof(struct sk_buff));
	skb_free(a);
	end(&b);
}

Test(skb, test_skb_ref_outlives_source)
{
	struct bench b = begin(16, 256);
	struct sk_buff *skb = chain(&b, (unsigned[]){10, 10, 10}, 3, 0);
	struct sk_buff *ref = skb_ref(b.c, skb, 5, 20);
	struct sk_buff *again = skb_ref(b.c, ref, 1, 3);

	cr_assert(!skb_writable(skb) && !skb_writable(ref) && !skb_writable(again));
	expect(ref, 20, 5);
	skb_free(skb);
	skb_cache_flush(b.c);
	expect(ref, 20, 5);
	skb_free(ref);
	skb_cache_flush(b.c);
	expect(again, 3, 6);
	cr_assert(skb_writable(again), "the last that shows the bytes");
	skb_free(again);
	end(&b);
}

Test(skb, test_skb_ref_pool_empty_leaves_nothing)
{
	struct bench b = begin(4, 256);
	struct sk_buff *skb = chain(&b, (unsigned[]){10, 10, 10}, 3, 0);

	cr_assert_null(skb_ref(b.c, skb, 0, 30));
	expect(skb, 30, 0);
	skb_free(skb);
	end(&b);
}

Test(skb, test_skb_from_bytes_is_a_chain_where_it_must)
{
	struct bench b = begin(3, 256);
	struct sk_buff *skb;
	uint8_t bytes[700];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	skb = skb_from_bytes(b.c, 56, bytes, 200);
	expect(skb, 200, 0);
	cr_assert_null(skb->frag);
	cr_assert_eq(skb_headroom(skb), 56);
	cr_assert_null(skb_from_bytes(b.c, 56, bytes, 700), "three buffers, two are left");
	skb_free(skb);
	skb = skb_from_bytes(b.c, 56, bytes, 700);
	expect(skb, 700, 0);
	cr_assert_eq(skb_headlen(skb), 200);
	skb_free(skb);
	end(&b);
}

Test(skb, test_skb_copy_longer_than_a_buffer_is_a_chain)
{
	struct bench b = begin(16, 64);
	struct sk_buff *skb = chain(&b, (unsigned[]){48, 48, 40}, 3, 0);
	struct sk_buff *copy = skb_copy(b.c, skb, 30);

	expect(copy, 136, 0);
	cr_assert_eq(skb_headroom(copy), 30);
	cr_assert(skb_writable(copy));
	skb_free(copy);
	skb_free(skb);
	end(&b);
}

Test(skb, test_skb_chain_ops_random_match_flat)
{
	struct bench b = begin(256, 128);
	unsigned seed = 11;

	for (int round = 0; round < 3000; round++) {
		unsigned pieces[6], n = 1 + (unsigned)rand_r(&seed) % 6, len = 0, at = 0;
		struct sk_buff *skb;

		for (unsigned i = 0; i < n; i++)
			len += pieces[i] = (unsigned)rand_r(&seed) % 60;
		skb = chain(&b, pieces, n, 0);
		for (int op = 0; op < 6 && len; op++) {
			unsigned k = (unsigned)rand_r(&seed) % (len + 1);
			struct sk_buff *ref;

			switch (rand_r(&seed) % 4) {
			case 0:
				skb_eat(skb, k);
				at += k;
				len -= k;
				break;
			case 1:
				skb_trim(skb, k);
				len = k;
				break;
			case 2:
				(void)skb_may_pull(skb, k);
				break;
			default:
				ref = k ? skb_ref(b.c, skb, len - k, k) : NULL;
				if (ref) {
					expect(ref, k, (uint8_t)(at + len - k));
					skb_free(ref);
				}
			}
			expect(skb, len, (uint8_t)at);
		}
		skb_free(skb);
	}
	end(&b);
}

static void *pool_worker(void *arg)
{
	struct skb_pool *pool = arg;
	struct skb_cache *c = calloc(1, sizeof(*c));
	uint64_t mine[SKB_DROP_MAX] = {0};

	skb_cache_init(c, pool, mine);
	for (int round = 0; round < 3000; round++) {
		struct sk_buff *s[150];
		int n = 0;

		while (n < 150 && (s[n] = skb_alloc(c, 0)) != NULL)
			s[n++]->data[0] = 1;
		if (n) {
			struct sk_buff *ref;

			(void)skb_put(s[0], 4);
			ref = skb_ref(c, s[0], 0, 4);
			if (ref)
				skb_free(ref);
		}
		while (n)
			skb_free(s[--n]);
	}
	skb_cache_fini(c);
	free(c);
	return NULL;
}

Test(skb, test_skb_heap_two_threads_lose_nothing)
{
	struct skb_pool *pool = skb_heap_pool_create(400, 64);
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, pool_worker, pool), 0);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(t[i], NULL);
	cr_assert_eq(pool->ops->avail(pool), 400);
	skb_pool_destroy(pool);
}
