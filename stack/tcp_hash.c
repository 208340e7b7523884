/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of 4-tuples, initial sequence numbers, and the slabs that TCP's objects come from.
 * RFC 6528 (ISN), RFC 7323 7.1 (timestamp offsets). All hashes are keyed.
 */
#include <string.h>

#include "stack/tcp_fast.h"

#define SLAB_BLOCK (64u * 1024)

struct tcp_slab_block {
	struct tcp_slab_block *next;
	uint8_t pad[CACHE_LINE - sizeof(void *)];
};

static inline uint32_t ports_of(uint16_t lport, uint16_t fport)
{
	return (uint32_t)lport << 16 | fport;
}

struct tcp_node *tcp_lookup(const struct tcp_shard *sh, uint32_t laddr, uint32_t faddr,
			    uint16_t lport, uint16_t fport)
{
	return __tcp_lookup(sh, laddr, faddr, lport, fport);
}

void tcp_hash_insert(struct tcp_shard *sh, struct tcp_node *n)
{
	struct tcp_node **b = tcp_bucket(sh, n->laddr, n->faddr, n->lport, n->fport);

	BUG_ON(n->pprev);
	n->next = *b;
	if (n->next)
		n->next->pprev = &n->next;
	n->pprev = b;
	*b = n;
	sh->nr_nodes++;
}

void tcp_hash_remove(struct tcp_shard *sh, struct tcp_node *n)
{
	if (!n->pprev)
		return;
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
	n->pprev = NULL;
	sh->nr_nodes--;
}

uint32_t tcp_new_isn(struct stack *st, uint32_t laddr, uint32_t faddr, uint16_t lport,
		     uint16_t fport)
{
	struct tcp_tuple_bytes t = {laddr, faddr, ports_of(lport, fport)};

	/* RFC 6528: a clock of 64 ns ticks, as Linux's, plus the keyed hash. */
	return (uint32_t)siphash24(st->tcp->isn_key, &t, sizeof(t)) + (uint32_t)(st->now >> 6);
}

uint32_t tcp_new_tsoffset(struct stack *st, uint32_t laddr, uint32_t faddr)
{
	struct tcp_tuple_bytes t = {laddr, faddr, 0};

	/* Per pair of hosts, so that a reopened 4-tuple's clock never goes back (RFC 6191). */
	return (uint32_t)siphash24(st->tcp->ts_key, &t, sizeof(t));
}

void tcp_slab_init(struct tcp_slab *s, uint32_t size, uint32_t max, bool looked_at)
{
	memset(s, 0, sizeof(*s));
	s->size = (size + CACHE_LINE - 1) & ~(CACHE_LINE - 1u);
	s->max = max;
	s->looked_at = looked_at;
}

static bool slab_grow(struct stack *st, struct tcp_slab *s)
{
	struct tcp_slab_block *b = stack_alloc(st, SLAB_BLOCK);
	uint8_t *p, *end;

	if (!b)
		return false;
	b->next = s->blocks;
	s->blocks = b;
	end = (uint8_t *)b + SLAB_BLOCK;
	p = (uint8_t *)(((uintptr_t)(b + 1) + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1));
	for (; p + s->size <= end; p += s->size) {
		*(void **)p = s->free;
		s->free = p;
	}
	return true;
}

void *tcp_slab_get(struct stack *st, struct tcp_slab *s)
{
	void *obj;

	if (s->nr >= s->max)
		return NULL;
	if (!s->free && !slab_grow(st, s))
		return NULL;
	obj = s->free;
	asan_unpoison(obj, s->size);
	s->free = *(void **)obj;
	*(void **)obj = NULL;
	s->nr++;
	return obj;
}

void tcp_slab_put(struct tcp_slab *s, void *obj)
{
	*(void **)obj = s->free;
	s->free = obj;
	s->nr--;
	if (!s->looked_at)
		asan_poison(obj, s->size);
}

void tcp_slab_fini(struct stack *st, struct tcp_slab *s)
{
	struct tcp_slab_block *b;

	while ((b = s->blocks) != NULL) {
		s->blocks = b->next;
		asan_unpoison(b, SLAB_BLOCK);
		stack_mfree(st, b, SLAB_BLOCK);
	}
	s->free = NULL;
	s->nr = 0;
}

static void derive_key(struct stack *st, const char *label, uint8_t key[16])
{
	uint8_t buf[32];
	uint64_t h[2];

	memcpy(buf, st->cfg.seed, 16);
	memset(buf + 16, 0, 16);
	memcpy(buf + 16, label, strlen(label));
	h[0] = siphash24(st->cfg.seed + 16, buf, sizeof(buf));
	buf[31] = 1;
	h[1] = siphash24(st->cfg.seed + 16, buf, sizeof(buf));
	memcpy(key, h, 16);
}

int tcp_hash_init(struct stack *st)
{
	struct tcp_shard *sh = st->tcp;
	uint32_t want = st->cfg.max_socks, n = 1024;

	while (n < want && n < (1u << 20))
		n <<= 1;
	sh->table = stack_alloc(st, n * sizeof(*sh->table));
	if (!sh->table)
		return -ENOMEM;
	sh->table_mask = n - 1;
	derive_key(st, "isn", sh->isn_key);
	derive_key(st, "port", sh->port_key);
	derive_key(st, "ts", sh->ts_key);
	derive_key(st, "cookie", sh->cookie_key);
	derive_key(st, "tuple", (uint8_t *)sh->hash_key);
	sh->hash_key[1] |= 1;
	sh->port_next = stack_random32(st);
	return 0;
}

void tcp_hash_fini(struct stack *st)
{
	struct tcp_shard *sh = st->tcp;

	if (sh->table)
		stack_mfree(st, sh->table, (sh->table_mask + 1ull) * sizeof(*sh->table));
	sh->table = NULL;
}
