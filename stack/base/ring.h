/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings of pointers between lanes: one or many producers, one consumer, a power of two of
 * slots that the caller supplies. Never blocking; full and empty are answers. Neither side
 * fences for sleep: a sender that must see whether the consumer sleeps puts a seq_cst
 * fence after the push (architecture.md, "Idle").
 */
#ifndef STACK_BASE_RING_H
#define STACK_BASE_RING_H

#include <stdbool.h>

#include "stack/base/bug.h"
#include "stack/base/compiler.h"

/* ---- one producer, one consumer ---- */

struct spsc_ring {
	void **slots;  /* (c) mask + 1 of them; entries (r) */
	uint32_t mask; /* (c) */
	/* cache line 1: the producer */
	uint32_t head ALIGNED(CACHE_LINE); /* (a) next to fill; release pairs with spsc_pop */
	uint32_t tail_seen;                /* producer's last look at tail */
	/* cache line 2: the consumer */
	uint32_t tail ALIGNED(CACHE_LINE); /* (a) next to take; release pairs with spsc_push */
	uint32_t head_seen;                /* consumer's last look at head */
};

/* spsc_init - over slots[size], which the caller owns and keeps; size a power of two. */
static inline void spsc_init(struct spsc_ring *r, void **slots, uint32_t size)
{
	BUG_ON(!size || (size & (size - 1)));
	*r = (struct spsc_ring){.slots = slots, .mask = size - 1};
}

/* spsc_push - producer only. p is not NULL. False if the ring is full. */
MUST_USE static inline bool spsc_push(struct spsc_ring *r, void *p)
{
	uint32_t head = r->head;

	if (head - r->tail_seen > r->mask) {
		/* Acquire: the consumer has read the slot before we write it again. */
		r->tail_seen = __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
		if (head - r->tail_seen > r->mask)
			return false;
	}
	r->slots[head & r->mask] = p;
	/* Release: slot and what it points to are seen before the new head. */
	__atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
	return true;
}

/* spsc_pop - consumer only. The oldest, or NULL if the ring is empty. */
static inline void *spsc_pop(struct spsc_ring *r)
{
	uint32_t tail = r->tail;
	void *p;

	if (tail == r->head_seen) {
		r->head_seen = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
		if (tail == r->head_seen)
			return NULL;
	}
	p = r->slots[tail & r->mask];
	__atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
	return p;
}

/* spsc_empty - exact for the consumer, a hint for anyone else. */
static inline bool spsc_empty(const struct spsc_ring *r)
{
	return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == READ_ONCE(r->tail);
}

/* ---- many producers, one consumer ---- */

/*
 * seq tells whose turn the cell is: == position, free for the producer that claims it;
 * == position + 1, filled; the consumer sets position + size for the next round.
 */
struct mpsc_cell {
	uint32_t seq; /* (a) */
	void *p;      /* (r) */
};

struct mpsc_ring {
	struct mpsc_cell *cells;           /* (c) */
	uint32_t mask;                     /* (c) */
	uint32_t head ALIGNED(CACHE_LINE); /* (a) next to claim; producers, by compare-exchange */
	uint32_t tail ALIGNED(CACHE_LINE); /* next to take; consumer only */
};

/* mpsc_init - over cells[size], which the caller owns and keeps; size a power of two. */
static inline void mpsc_init(struct mpsc_ring *r, struct mpsc_cell *cells, uint32_t size)
{
	BUG_ON(!size || (size & (size - 1)));
	*r = (struct mpsc_ring){.cells = cells, .mask = size - 1};
	for (uint32_t i = 0; i < size; i++)
		cells[i] = (struct mpsc_cell){.seq = i};
}

/* mpsc_push - any thread. p is not NULL. False if the ring is full. */
MUST_USE static inline bool mpsc_push(struct mpsc_ring *r, void *p)
{
	uint32_t pos = READ_ONCE(r->head);
	struct mpsc_cell *cell;

	for (;;) {
		int32_t diff;

		cell = &r->cells[pos & r->mask];
		/* Acquire: pairs with the consumer's release of the cell. */
		diff = (int32_t)(__atomic_load_n(&cell->seq, __ATOMIC_ACQUIRE) - pos);
		if (diff < 0)
			return false;
		if (diff > 0)
			pos = READ_ONCE(r->head);
		else if (__atomic_compare_exchange_n(&r->head, &pos, pos + 1, true,
						     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
	}
	cell->p = p;
	/* Release: p and what it points to are seen before the cell counts as filled. */
	__atomic_store_n(&cell->seq, pos + 1, __ATOMIC_RELEASE);
	return true;
}

/*
 * mpsc_pop - consumer only. The oldest, or NULL if the ring is empty, or if its oldest cell
 * is claimed but not filled yet: a later call finds it, so nobody may sleep on a NULL
 * without having asked mpsc_empty().
 */
static inline void *mpsc_pop(struct mpsc_ring *r)
{
	struct mpsc_cell *cell = &r->cells[r->tail & r->mask];
	void *p;

	if (__atomic_load_n(&cell->seq, __ATOMIC_ACQUIRE) != r->tail + 1)
		return NULL;
	p = cell->p;
	__atomic_store_n(&cell->seq, r->tail + r->mask + 1, __ATOMIC_RELEASE);
	WRITE_ONCE(r->tail, r->tail + 1);
	return p;
}

/* mpsc_empty - no cell is even claimed; exact for the consumer, a hint for anyone else. */
static inline bool mpsc_empty(const struct mpsc_ring *r)
{
	return __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == READ_ONCE(r->tail);
}

#endif
