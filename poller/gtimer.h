/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goroutine timers: one 4-ary min-heap per lane, run by that lane alone (R50). A timer
 * moved later is only marked and placed when it reaches the top; moved earlier it is
 * placed at once.
 */
#ifndef POLLER_GTIMER_H
#define POLLER_GTIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct gtimer;

struct gtimer {
	uint64_t when;      /* (o) absolute ns wanted; 0 = stopped */
	uint64_t heap_when; /* (o) key in the heap; <= when while a later move is pending */
	uint32_t index;     /* (o) 1 + slot in the heap; 0 = not in it */
	uint32_t seq;       /* (o) handed to fn (R26) */
	void (*fn)(struct gtimer *t, uint32_t seq, uint64_t now); /* (o) on the lane's stack */
	void *arg;
};

struct gtimer_heap {
	struct gtimer_slot *slot; /* (o) key beside pointer: sifting stays in the array */
	uint32_t n, cap;
	uint32_t reserved; /* (o) timers that gtimer_set() has room for whatever comes */
};

void gtimer_heap_init(struct gtimer_heap *h);
void gtimer_heap_fini(struct gtimer_heap *h);
/* gtimer_reserve - room for n more timers that may be armed at once: gtimer_set() of as many as
 * were reserved cannot fail. 0; -ENOMEM. */
MUST_USE int gtimer_reserve(struct gtimer_heap *h, uint32_t n);
/* gtimer_unreserve - n timers of an earlier gtimer_reserve() are out of the heap for good. */
static inline void gtimer_unreserve(struct gtimer_heap *h, uint32_t n)
{
	h->reserved -= n;
}
/* gtimer_set - arm or move t to absolute ns `when` (not 0) with seq. 0; -ENOMEM the heap could
 * not grow (t is then as before). */
MUST_USE int gtimer_set(struct gtimer_heap *h, struct gtimer *t, uint64_t when, uint32_t seq);
/* gtimer_stop - no-op if not armed; lazily removed. t may be freed only after
 * gtimer_remove(). */
void gtimer_stop(struct gtimer_heap *h, struct gtimer *t);
void gtimer_remove(struct gtimer_heap *h, struct gtimer *t);
/* gtimer_drop_all - none is armed any more: gtimer_stop() and gtimer_remove() find nothing to
 * do. */
void gtimer_drop_all(struct gtimer_heap *h);
/* gtimer_run - run what is due (when <= now), each function with its timer disarmed and out of
 * the heap; returns how many. One that is re-armed into the past runs at the next call. */
unsigned gtimer_run(struct gtimer_heap *h, uint64_t now);
/* gtimer_next - earliest when (exact, after fixing the top), 0 none. */
uint64_t gtimer_next(struct gtimer_heap *h);

#endif
