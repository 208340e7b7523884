/* SPDX-License-Identifier: BSD-3-Clause */
/* What a stack under fuzz lives on: memory that is counted, walled in, and fails on demand. */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "stack/base/asan.h"

#define SKBS 1024u /* of all inputs; each has its own limit */
#define BUF  2048u
#define RED  64u /* bytes behind each buffer that nobody may touch */

void fuzz_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("fuzz: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	abort();
}

void fuzz_say(uint64_t now, const char *fmt, ...)
{
	static int verbose = -1;
	va_list ap;

	if (verbose < 0)
		verbose = getenv("FUZZ_VERBOSE") != NULL;
	if (likely(!verbose))
		return;
	va_start(ap, fmt);
	printf("%14.6f ", (double)now / 1e9);
	(void)vprintf(fmt, ap);
	putchar('\n');
	(void)fflush(stdout);
	va_end(ap);
}

/* One pool for all inputs: the heap's, each buffer with a red zone behind it. */
static struct fuzz_pool {
	struct skb_pool pool;
	struct skb_pool *heap;
	struct skb_pool_ops ops;
	unsigned fail_after, fail;
} fuzz_pool;

static struct {
	size_t bytes;  /* that the stack has now */
	unsigned fail; /* so many calls fail */
} fuzz_mem;

unsigned fuzz_skbs_used(void)
{
	return fuzz_pool.heap->nr - fuzz_pool.heap->ops->avail(fuzz_pool.heap);
}

static unsigned pool_avail(const struct skb_pool *pool)
{
	return pool->nr - fuzz_skbs_used();
}

static unsigned pool_alloc(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	struct fuzz_pool *p = &fuzz_pool;

	if (p->fail) {
		n = 1; /* or the lane's cache would answer for us */
		if (!p->fail_after) {
			p->fail--;
			return 0;
		}
		p->fail_after--;
	}
	n = p->heap->ops->alloc_bulk(p->heap, skbs, min_t(unsigned, n, pool_avail(pool)));
	for (unsigned i = 0; i < n; i++)
		skbs[i]->end = skbs[i]->head + BUF;
	return n;
}

static void pool_free(struct skb_pool *pool, struct sk_buff **skbs, unsigned n)
{
	(void)pool;
	fuzz_pool.heap->ops->free_bulk(fuzz_pool.heap, skbs, n);
}

static void *mem_alloc(void *ctx, size_t size)
{
	void *p;

	(void)ctx;
	if (fuzz_mem.fail) {
		fuzz_mem.fail--;
		return NULL;
	}
	p = calloc(1, size);
	if (!p)
		fuzz_fail("no memory for the fuzzer itself");
	fuzz_mem.bytes += size;
	return p;
}

static void mem_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	fuzz_mem.bytes -= size;
	free(p);
}

struct skb_pool *fuzz_memory(unsigned nr, struct stack_mem_ops *ret_ops)
{
	struct fuzz_pool *p = &fuzz_pool;

	if (!p->heap) {
		struct sk_buff *skb[SKBS];

		p->heap = skb_heap_pool_create(SKBS, BUF + RED);
		if (!p->heap || p->heap->ops->alloc_bulk(p->heap, skb, SKBS) != SKBS)
			fuzz_fail("no memory for the fuzzer itself");
		for (unsigned i = 0; i < SKBS; i++)
			asan_poison(skb[i]->head + BUF, RED);
		p->heap->ops->free_bulk(p->heap, skb, SKBS);
	}
	p->ops = *p->heap->ops;
	p->ops.alloc_bulk = pool_alloc;
	p->ops.free_bulk = pool_free;
	p->ops.avail = pool_avail;
	nr = min_t(unsigned, nr, SKBS);
	p->pool = (struct skb_pool){.ops = &p->ops, .nr = nr, .buf_size = BUF, .reserve = nr / 8};
	p->fail_after = p->fail = 0;
	memset(&fuzz_mem, 0, sizeof(fuzz_mem));
	*ret_ops = (struct stack_mem_ops){.alloc = mem_alloc, .free = mem_free};
	return &p->pool;
}

void fuzz_memory_end(void)
{
	if (fuzz_skbs_used())
		fuzz_fail("%u skbs are lost", fuzz_skbs_used());
	if (fuzz_mem.bytes)
		fuzz_fail("%zu bytes of memory are lost", fuzz_mem.bytes);
}

void fuzz_fail_next(struct stack *st, unsigned after, unsigned nr)
{
	skb_cache_fini(&st->cache); /* gives back what it has, and stays in use */
	fuzz_pool.fail_after = after;
	fuzz_pool.fail = nr;
}

void fuzz_fail_memory(unsigned nr)
{
	fuzz_mem.fail = nr;
}
