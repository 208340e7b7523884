/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run queue of bound gs: a FIFO ring of pointers that only its lane touches, so no
 * locked operation (R49, R37). A g stands in it at most once; runq_reserve() is called as gs
 * are born, hence a push never fails and never allocates.
 */
#ifndef POLLER_RUNQ_H
#define POLLER_RUNQ_H

#include <stdint.h>

#include "stack/base/bug.h"
#include "stack/base/compiler.h"

struct g;

struct runq {
	struct g **slot; /* (o) nr_slots of them, a power of two */
	uint32_t mask;   /* (o) nr_slots - 1 */
	uint32_t head;   /* (o) next to pop; free-running */
	uint32_t tail;   /* (o) next to fill; free-running */
};

/* runq_init - room for 64. 0; -ENOMEM. */
MUST_USE int runq_init(struct runq *q);
void runq_fini(struct runq *q);
/* runq_reserve - room for n in all. 0; -ENOMEM, the queue is as before. */
MUST_USE int runq_reserve(struct runq *q, uint32_t n);

static inline uint32_t runq_len(const struct runq *q)
{
	return q->tail - q->head;
}

static inline void runq_push(struct runq *q, struct g *g)
{
	BUG_ON(runq_len(q) > q->mask);
	q->slot[q->tail++ & q->mask] = g;
}

static inline void runq_push_head(struct runq *q, struct g *g)
{
	BUG_ON(runq_len(q) > q->mask);
	q->slot[--q->head & q->mask] = g;
}

/* runq_pop - the oldest; the queue must not be empty. */
static inline struct g *runq_pop(struct runq *q)
{
	return q->slot[q->head++ & q->mask];
}

/* runq_peek - the i-th from the head, or NULL. */
static inline struct g *runq_peek(const struct runq *q, uint32_t i)
{
	return i < runq_len(q) ? q->slot[(q->head + i) & q->mask] : NULL;
}

#endif
