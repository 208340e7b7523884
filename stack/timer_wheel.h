/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hierarchical timer wheel, O(1) arm and cancel, ticks of 2^17 ns, with occupancy bitmaps
 * that give a lower bound of the next expiry (architecture.md rule 7). A timer never runs
 * before its time; it may run up to one tick late at the lowest level. Owner lane only.
 */
#ifndef STACK_TIMER_WHEEL_H
#define STACK_TIMER_WHEEL_H

#include <stdbool.h>

#include "stack/base/clock.h"
#include "stack/base/list.h"

#define WHEEL_BITS   6
#define WHEEL_SLOTS  (1u << WHEEL_BITS)
#define WHEEL_LEVELS 5 /* 64^5 ticks = 39 hours; farther is clamped and re-armed */

struct timer {
	uint64_t expires;      /* (o) absolute ns asked for; 0 = not armed */
	uint16_t slot;         /* (o) level * WHEEL_SLOTS + index, for the bitmap */
	struct list_head link; /* (o) in a slot, or empty */
	void (*fn)(struct timer *t, uint64_t now); /* (c) may re-arm t, may free its owner */
};

struct timer_wheel {
	uint64_t tick; /* (o) every tick before this one has been run */
	uint64_t now;  /* (o) of the last run: what is armed before it is due at once */
	uint64_t map[WHEEL_LEVELS];
	struct list_head slots[WHEEL_LEVELS][WHEEL_SLOTS];
	uint32_t armed;
};

void timer_wheel_init(struct timer_wheel *w, uint64_t now);

static inline void timer_init(struct timer *t, void (*fn)(struct timer *t, uint64_t now))
{
	list_init(&t->link);
	t->expires = 0;
	t->fn = fn;
	t->slot = 0;
}

static inline bool timer_pending(const struct timer *t)
{
	return t->expires != 0;
}

/* timer_arm - (re)arm t for absolute ns `expires` (not 0); the past fires at the next run.
 * Cheap when only moved: unlink and link. */
void timer_arm(struct timer_wheel *w, struct timer *t, uint64_t expires);
void timer_cancel(struct timer_wheel *w, struct timer *t);

/* timer_wheel_run - run all timers with expires <= now; returns how many. A timer that its
 * function re-arms into the past runs at the next call, never in the same one. */
unsigned timer_wheel_run(struct timer_wheel *w, uint64_t now);

/*
 * timer_wheel_next - lower bound (ns) of the earliest time at which timer_wheel_run() has
 * work, 0 if none. Whoever runs the wheel then misses nothing; it may find only timers to
 * move down a level, but always gets on, so that a loop that jumps from bound to bound ends.
 */
uint64_t timer_wheel_next(const struct timer_wheel *w);

#endif
