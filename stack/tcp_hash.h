/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where TCP's objects live and are found: the table of 4-tuples, initial sequence numbers, and the
 * slabs. Owner lane only; addresses in network order, ports in host order.
 */
#ifndef STACK_TCP_HASH_H
#define STACK_TCP_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct stack;
struct tcp_node;
struct tcp_shard;

/* A slab of type-stable objects (architecture.md rule 5): blocks are never given back
 * before the shard ends. */
struct tcp_slab {
	uint32_t size, nr, max; /* bytes of an object; in use; limit */
	bool looked_at;         /* a free object may be looked at: AddressSanitizer says nothing */
	void *free;             /* first free object; the link is its first word */
	struct tcp_slab_block *blocks;
};

MUST_USE int tcp_hash_init(struct stack *st);
void tcp_hash_fini(struct stack *st);
struct tcp_node *tcp_lookup(const struct tcp_shard *sh, uint32_t laddr, uint32_t faddr,
			    uint16_t lport, uint16_t fport);
void tcp_hash_insert(struct tcp_shard *sh, struct tcp_node *n);
void tcp_hash_remove(struct tcp_shard *sh, struct tcp_node *n);
/* What the keyed hashes of a peer are taken of. */
struct tcp_tuple_bytes {
	uint32_t laddr, faddr, ports;
} PACKED;

/* tcp_new_isn, tcp_new_tsoffset - RFC 6528; RFC 7323 7.1. */
uint32_t tcp_new_isn(struct stack *st, uint32_t laddr, uint32_t faddr, uint16_t lport,
		     uint16_t fport);
uint32_t tcp_new_tsoffset(struct stack *st, uint32_t laddr, uint32_t faddr);
void tcp_slab_init(struct tcp_slab *s, uint32_t size, uint32_t max, bool looked_at);
/* tcp_slab_get - zeroed but for what the type keeps; NULL at the limit. */
MUST_USE void *tcp_slab_get(struct stack *st, struct tcp_slab *s);
void tcp_slab_put(struct tcp_slab *s, void *obj);
void tcp_slab_fini(struct stack *st, struct tcp_slab *s);

#endif
