/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hierarchical wheel. A slot of level l spans 64^l ticks. A timer stands in the lowest
 * level whose 64 slots reach it; when the clock enters a higher level's slot its timers move
 * down. At level >= 1 the slot that the clock is in is therefore always empty, and the
 * bitmaps alone tell how far the clock may jump.
 */
#include "stack/timer_wheel.h"

#include "stack/base/bug.h"
#include "stack/base/compiler.h"

#define SLOT_MASK     (WHEEL_SLOTS - 1)
#define LEVEL_BITS(l) ((l)*WHEEL_BITS)

void timer_wheel_init(struct timer_wheel *w, uint64_t now)
{
	w->tick = tick_floor(now);
	w->now = now;
	w->armed = 0;
	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		w->map[l] = 0;
		for (unsigned i = 0; i < WHEEL_SLOTS; i++)
			list_init(&w->slots[l][i]);
	}
}

/* Not tick_ceil(): expires comes from callers and its sum could wrap. */
static uint64_t due_tick(const struct timer_wheel *w, uint64_t expires)
{
	uint64_t tick;

	if (expires <= w->now)
		return w->tick;
	tick = tick_floor(expires) + ((expires & (TICK_NS - 1)) != 0);
	return max_t(uint64_t, tick, w->tick);
}

static void wheel_insert(struct timer_wheel *w, struct timer *t)
{
	uint64_t due = due_tick(w, t->expires);
	unsigned l = 0, i;

	while (l < WHEEL_LEVELS - 1 &&
	       (due >> LEVEL_BITS(l)) - (w->tick >> LEVEL_BITS(l)) >= WHEEL_SLOTS)
		l++;
	/* Beyond the top level: the farthest slot, from where it is inserted again. */
	due = min_t(uint64_t, due >> LEVEL_BITS(l), (w->tick >> LEVEL_BITS(l)) + SLOT_MASK);
	i = (unsigned)due & SLOT_MASK;
	t->slot = (uint16_t)(l * WHEEL_SLOTS + i);
	list_add_tail(&t->link, &w->slots[l][i]);
	w->map[l] |= 1ull << i;
}

/* A timer that waits on timer_wheel_run()'s list has a slot of the past: looking whether
 * that one is empty does no harm. */
static void wheel_remove(struct timer_wheel *w, struct timer *t)
{
	unsigned l = t->slot / WHEEL_SLOTS, i = t->slot & SLOT_MASK;

	list_del(&t->link);
	if (list_empty(&w->slots[l][i]))
		w->map[l] &= ~(1ull << i);
}

void timer_arm(struct timer_wheel *w, struct timer *t, uint64_t expires)
{
	BUG_ON(!expires);
	if (timer_pending(t))
		wheel_remove(w, t);
	else
		w->armed++;
	t->expires = expires;
	wheel_insert(w, t);
}

void timer_cancel(struct timer_wheel *w, struct timer *t)
{
	if (!timer_pending(t))
		return;
	wheel_remove(w, t);
	t->expires = 0;
	w->armed--;
}

/* The first tick, from the current one on, at which a slot runs or moves down. */
static uint64_t next_tick(const struct timer_wheel *w)
{
	uint64_t best = UINT64_MAX;

	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		uint64_t unit = w->tick >> LEVEL_BITS(l);
		unsigned i = (unsigned)unit & SLOT_MASK;
		uint64_t map = w->map[l];

		if (!map)
			continue;
		map = map >> i | map << ((WHEEL_SLOTS - i) & SLOT_MASK);
		best = min_t(uint64_t, best,
			     (unit + (unsigned)__builtin_ctzll(map)) << LEVEL_BITS(l));
	}
	return best;
}

/* Timers of the higher slots that begin at the current tick come down. */
static void cascade(struct timer_wheel *w)
{
	for (unsigned l = WHEEL_LEVELS - 1; l > 0; l--) {
		unsigned i = (unsigned)(w->tick >> LEVEL_BITS(l)) & SLOT_MASK;
		struct list_head moving;
		struct timer *t, *tmp;

		if (!(w->map[l] & 1ull << i))
			continue;
		list_init(&moving);
		list_splice_init(&w->slots[l][i], &moving);
		w->map[l] &= ~(1ull << i);
		list_for_each_entry_safe (t, tmp, &moving, link) {
			list_del(&t->link);
			wheel_insert(w, t);
		}
	}
}

static void take_slot(struct timer_wheel *w, struct list_head *due)
{
	unsigned i = (unsigned)w->tick & SLOT_MASK;

	list_splice_init(&w->slots[0][i], due);
	w->map[0] &= ~(1ull << i);
}

/*
 * First all that is due is taken out and the clock set, then the functions run: they may
 * arm and cancel any timer, those on the list included, and what they arm lands in the
 * wheel and not in this run.
 */
unsigned timer_wheel_run(struct timer_wheel *w, uint64_t now)
{
	uint64_t target = tick_floor(now);
	struct list_head due;
	unsigned n = 0;

	if (now < w->now)
		return 0;
	if (!w->armed) {
		w->tick = target;
		w->now = now;
		return 0;
	}
	list_init(&due);
	take_slot(w, &due);
	while (w->tick < target) {
		w->tick = min_t(uint64_t, next_tick(w), target);
		cascade(w);
		take_slot(w, &due);
	}
	w->now = now;
	while (!list_empty(&due)) {
		struct timer *t = list_first_entry(&due, struct timer, link);

		list_del(&t->link);
		t->expires = 0;
		w->armed--;
		n++;
		t->fn(t, now);
	}
	return n;
}

uint64_t timer_wheel_next(const struct timer_wheel *w)
{
	uint64_t tick;

	if (!w->armed)
		return 0;
	tick = next_tick(w);
	/* Saturate: a tick is at most UINT64_MAX >> TICK_SHIFT, plus one for rounding up. */
	if (tick > UINT64_MAX >> TICK_SHIFT)
		return UINT64_MAX;
	return max_t(uint64_t, tick << TICK_SHIFT, 1);
}
