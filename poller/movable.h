/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goroutines that may run on any lane of a group (R39, R46-R49): each lane's queue of them, from
 * which others steal; the group's global queue; who searches, and who is woken to.
 *
 * A g is movable from pl_go_movable() until its first call on a stack conn, which binds it to the
 * lane where it runs then. Bound gs never come here: their queue knows no locked operation.
 */
#ifndef POLLER_MOVABLE_H
#define POLLER_MOVABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct g;
struct lane;
struct lane_group;
struct sched;

#define MRUNQ_SIZE 256u /* a power of two; Go's */

/* A lane's queue: its owner pushes and pops, anyone takes from the head. */
struct mrunq {
	uint32_t head ALIGNED(CACHE_LINE); /* (a) next to take; by compare-exchange */
	uint32_t tail;                     /* (a) next to fill; owner only */
	struct g *slot[MRUNQ_SIZE];        /* (a) */
};

static inline uint32_t mrunq_len(const struct mrunq *q)
{
	return READ_ONCE(q->tail) - READ_ONCE(q->head);
}

/* A movable g's `wake`: who may put it on a queue. */
enum g_wake {
	G_WAKE_NO,     /* it runs, or is leaving its stack: who parks it sees what comes next */
	G_WAKE_PARKED, /* off its stack: whoever swaps in WOKEN has it */
	G_WAKE_WOKEN,  /* a ready came */
};

/* movable_ready - make a parked movable g runnable, on the current lane or, from a thread without
 * one, on the lane where it parked. Any thread. */
void movable_ready(struct g *g);
/* movable_landed - g is off its stack on s, and parked: from here on others may have it. */
void movable_landed(struct sched *s, struct g *g);
/* movable_push - g, off its stack, at the tail of s's queue; wakes a lane that sleeps, to take it.
 * Owner lane. A full queue gives half of itself to the global one. */
void movable_push(struct sched *s, struct g *g);
/* movable_pick - the next g for s: its own queue, then a batch of the global one, and that one
 * first every 61st time (R39). NULL none. Owner lane. */
struct g *movable_pick(struct sched *s);
/* movable_search - s has nothing to do: take half of another lane's queue (R48, R49). True if
 * there is something in its own now. Owner lane. */
bool movable_search(struct lane *l);
/* movable_waiting - does a movable g wait on any queue of grp? For the last look before sleep. */
bool movable_waiting(struct lane_group *grp);
/* movable_inject - g, parked by nobody any more, onto the global queue; wakes a lane. Any
 * thread. */
void movable_inject(struct lane_group *grp, struct g *g);
/* movable_born - one more, of s's group; movable_died - one less; movable_any - is one alive? */
void movable_born(struct sched *s);
void movable_died(struct sched *s);
bool movable_any(const struct lane_group *grp);
/* movable_bind - the running g belongs to its lane for life. Owner lane. */
void movable_bind(struct g *g);
/* movable_sleep - l, whose `sleeping` is set, is about to sleep: a pusher may choose it to search.
 * movable_awake - it does not sleep (any more). movable_pass_on - it was chosen, and has work of
 * its own instead: another one is to search. Owner lane. */
void movable_sleep(struct lane *l);
void movable_awake(struct lane *l);
void movable_pass_on(struct lane *l);

#endif
