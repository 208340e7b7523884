/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See movable.h. No work is stranded: a pusher stores first and then looks for a searcher and for
 * a sleeper; a searcher drops its flag, and a lane that goes to sleep sets its bit, before their
 * last look at the queues (R48). All of these are sequentially consistent, so one of the two sees
 * the other. tests/models/lane_search.pml has the same steps; movable_wake.pml those of a park, a
 * ready and a dump, of which just one puts a g on a queue.
 *
 * Other than in Go: the run-next slot is never stolen, since a movable g stands there only while no
 * lane sleeps; ready gs come one by one from the backends, so "as many as there are idle lanes"
 * (R47) is one wake-up per push; timers stay where they are (R50).
 */
#include "poller/movable.h"

#include "poller/group_int.h"
#include "poller/lane_int.h"
#include "poller/spin.h"
#include "stack/base/bug.h"

#define GLOBAL_EVERY 61u /* R39 */
#define GLOBAL_BATCH 16u
#define STEAL_ROUNDS 4u /* R49 */
#define ROOM_STEP    256u

static struct lane_group *grp_of(const struct sched *s)
{
	return s->lane->group;
}

/* ---- the global queue ---- */

static void gq_push(struct lane_group *grp, struct g *first, struct g *last, uint32_t nr)
{
	last->next = NULL;
	spin_lock(&grp->gq_lock);
	if (grp->gq_tail)
		grp->gq_tail->next = first;
	else
		grp->gq_head = first;
	grp->gq_tail = last;
	__atomic_store_n(&grp->gq_nr, grp->gq_nr + nr, __ATOMIC_SEQ_CST);
	spin_unlock(&grp->gq_lock);
}

/* gq_take - up to n, linked by next. */
static struct g *gq_take(struct lane_group *grp, uint32_t n)
{
	struct g *first, *last;
	uint32_t got = 1;

	if (READ_ONCE(grp->gq_nr) == 0)
		return NULL;
	spin_lock(&grp->gq_lock);
	first = last = grp->gq_head;
	if (first) {
		for (; got < n && last->next; got++)
			last = last->next;
		grp->gq_head = last->next;
		if (!grp->gq_head)
			grp->gq_tail = NULL;
		last->next = NULL;
		__atomic_store_n(&grp->gq_nr, grp->gq_nr - got, __ATOMIC_SEQ_CST);
	}
	spin_unlock(&grp->gq_lock);
	return first;
}

/* ---- a lane's queue ---- */

/* wake_one - somebody is to look for what was just pushed, unless somebody does already. */
static void wake_one(struct lane_group *grp)
{
	uint64_t idle = __atomic_load_n(&grp->idle, __ATOMIC_SEQ_CST), bit;

	if (idle == 0 || __atomic_load_n(&grp->searching, __ATOMIC_SEQ_CST))
		return;
	bit = idle & -idle;
	/* Who clears the bit wakes: the next push finds another lane. */
	if (__atomic_fetch_and(&grp->idle, ~bit, __ATOMIC_SEQ_CST) & bit)
		lane_break(grp->lane[__builtin_ctzll(bit)]);
}

/* spill - the older half of a full queue, and g behind it, to the global one. False: a thief was
 * faster, there is room. */
static bool spill(struct sched *s, struct g *g)
{
	struct mrunq *q = &s->m;
	uint32_t head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE), n = MRUNQ_SIZE / 2;
	struct g *batch[MRUNQ_SIZE / 2];

	if (q->tail - head < MRUNQ_SIZE)
		return false;
	for (uint32_t i = 0; i < n; i++)
		batch[i] = READ_ONCE(q->slot[(head + i) % MRUNQ_SIZE]);
	if (!__atomic_compare_exchange_n(&q->head, &head, head + n, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	for (uint32_t i = 0; i + 1 < n; i++)
		batch[i]->next = batch[i + 1];
	batch[n - 1]->next = g;
	gq_push(grp_of(s), batch[0], g, n + 1);
	return true;
}

static void put(struct sched *s, struct g *g)
{
	struct mrunq *q = &s->m;

	g->sched = s;
	while (q->tail - __atomic_load_n(&q->head, __ATOMIC_ACQUIRE) >= MRUNQ_SIZE)
		if (spill(s, g))
			return;
	WRITE_ONCE(q->slot[q->tail % MRUNQ_SIZE], g);
	/* Publishes g; and comes before the look at searchers and sleepers. */
	__atomic_store_n(&q->tail, q->tail + 1, __ATOMIC_SEQ_CST);
}

void movable_push(struct sched *s, struct g *g)
{
	put(s, g);
	wake_one(grp_of(s));
}

static struct g *pop(struct sched *s)
{
	struct mrunq *q = &s->m;
	uint32_t head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);

	while (head != q->tail) {
		struct g *g = READ_ONCE(q->slot[head % MRUNQ_SIZE]);

		if (__atomic_compare_exchange_n(&q->head, &head, head + 1, false, __ATOMIC_SEQ_CST,
						__ATOMIC_ACQUIRE))
			return g;
	}
	return NULL;
}

/* from_global - one to run, the rest of a batch behind in s's own queue. */
static struct g *from_global(struct sched *s)
{
	struct g *g = gq_take(grp_of(s), GLOBAL_BATCH), *rest;

	if (!g)
		return NULL;
	for (rest = g->next; rest;) {
		struct g *next = rest->next;

		put(s, rest);
		rest = next;
	}
	g->sched = s;
	return g;
}

/* make_room - a movable g may come to be bound here, or to sleep: neither may need memory then.
 * Those that were bound here keep their place. False: there is none, so none is taken over. */
static bool make_room(struct sched *s)
{
	uint32_t want = READ_ONCE(grp_of(s)->nr_movable) + s->guests;

	while (s->room < want) {
		if (runq_reserve(&s->q, s->arena.nr_carved + s->room + ROOM_STEP) ||
		    gtimer_reserve(s->timers, ROOM_STEP))
			return false;
		s->room += ROOM_STEP;
	}
	return true;
}

struct g *movable_pick(struct sched *s)
{
	struct g *g = NULL;

	if (READ_ONCE(grp_of(s)->gq_nr) && !make_room(s))
		return pop(s);
	if (++s->tick % GLOBAL_EVERY == 0)
		g = from_global(s);
	if (!g)
		g = pop(s);
	if (!g)
		g = from_global(s);
	return g;
}

/* ---- stealing ---- */

/* steal_half - R49. How many. */
static uint32_t steal_half(struct sched *s, struct sched *from)
{
	struct mrunq *q = &from->m;
	struct g *batch[MRUNQ_SIZE / 2];

	for (;;) {
		uint32_t head = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);
		uint32_t n = __atomic_load_n(&q->tail, __ATOMIC_SEQ_CST) - head;

		n -= n / 2;
		if (n == 0)
			return 0;
		if (n > MRUNQ_SIZE / 2)
			continue; /* head and tail were not of one moment */
		for (uint32_t i = 0; i < n; i++)
			batch[i] = READ_ONCE(q->slot[(head + i) % MRUNQ_SIZE]);
		if (!__atomic_compare_exchange_n(&q->head, &head, head + n, false, __ATOMIC_SEQ_CST,
						 __ATOMIC_RELAXED))
			continue;
		for (uint32_t i = 0; i < n; i++)
			put(s, batch[i]);
		return n;
	}
}

static uint32_t steal(struct lane *l)
{
	struct lane_group *grp = l->group;
	uint32_t got = 0;

	for (unsigned round = 0; round < STEAL_ROUNDS && !got; round++) {
		unsigned start = lane_random(l, grp->nr);

		for (unsigned i = 0; i < grp->nr && !got; i++) {
			struct lane *from = lane_group_lane(grp, (start + i) % grp->nr);

			if (from && from != l)
				got = steal_half(&l->sched, &from->sched);
		}
	}
	return got;
}

/* may_search - R48: the flag, if not half of the busy lanes have it. */
static bool may_search(struct lane_group *grp)
{
	uint32_t busy = grp->nr - (uint32_t)__builtin_popcountll(READ_ONCE(grp->idle));

	if (2 * READ_ONCE(grp->searching) >= busy)
		return false;
	__atomic_fetch_add(&grp->searching, 1, __ATOMIC_SEQ_CST);
	return true;
}

bool movable_search(struct lane *l)
{
	struct lane_group *grp = l->group;
	uint32_t got;

	if (likely(READ_ONCE(grp->nr_movable) == 0) || !movable_waiting(grp))
		return false;
	if (READ_ONCE(grp->gq_nr))
		return true; /* the turn's pick takes of it */
	if (!make_room(&l->sched) || !may_search(grp))
		return false;
	got = steal(l);
	/* The flag falls before the last look: who pushed meanwhile left it to us. The lane looks
	 * again when it goes to sleep, but work of its own may come before; and what the last
	 * searcher found may not have been all. */
	if (__atomic_fetch_sub(&grp->searching, 1, __ATOMIC_SEQ_CST) == 1 &&
	    (got || movable_waiting(grp)))
		wake_one(grp);
	if (got)
		ledger_count(&l->led, LEDGER_EV_STEALS, got);
	return got != 0;
}

bool movable_waiting(struct lane_group *grp)
{
	if (__atomic_load_n(&grp->nr_movable, __ATOMIC_SEQ_CST) == 0)
		return false;
	if (__atomic_load_n(&grp->gq_nr, __ATOMIC_SEQ_CST))
		return true;
	for (unsigned i = 0; i < grp->nr; i++) {
		const struct lane *l = lane_group_lane(grp, i);

		if (l && __atomic_load_n(&l->sched.m.tail, __ATOMIC_SEQ_CST) !=
				 __atomic_load_n(&l->sched.m.head, __ATOMIC_SEQ_CST))
			return true;
	}
	return false;
}

void movable_sleep(struct lane *l)
{
	__atomic_fetch_or(&l->group->idle, 1ull << l->index, __ATOMIC_SEQ_CST);
	l->in_idle = true;
}

void movable_awake(struct lane *l)
{
	uint64_t bit = 1ull << l->index;

	if (!l->in_idle)
		return;
	l->in_idle = false;
	/* Somebody has cleared it: to have us search. */
	if (!(__atomic_fetch_and(&l->group->idle, ~bit, __ATOMIC_SEQ_CST) & bit))
		l->called = true;
}

void movable_pass_on(struct lane *l)
{
	l->called = false;
	if (movable_waiting(l->group))
		wake_one(l->group);
}

/* ---- park and ready ---- */

void movable_landed(struct sched *s, struct g *g)
{
	uint8_t old = G_WAKE_NO;

	if (__atomic_compare_exchange_n(&g->wake, &old, G_WAKE_PARKED, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return;
	/* A ready came while g was still leaving. */
	__atomic_store_n(&g->wake, G_WAKE_NO, __ATOMIC_RELAXED);
	WRITE_ONCE(g->state, G_RUNNABLE);
	WRITE_ONCE(g->why, WAIT_NONE);
	movable_push(s, g);
}

void movable_inject(struct lane_group *grp, struct g *g)
{
	gq_push(grp, g, g, 1);
	wake_one(grp);
}

void movable_ready(struct g *g)
{
	struct lane *self = lane_self();
	struct sched *s = g->sched;

	/* Its timer is in that lane's heap, and must not fire for what g does next. */
	if (g->why == WAIT_SLEEP && self != s->lane) {
		lane_post(s->lane, &g->remote);
		return;
	}
	if (__atomic_exchange_n(&g->wake, G_WAKE_WOKEN, __ATOMIC_SEQ_CST) != G_WAKE_PARKED)
		return;
	BUG_ON(g->state != G_WAITING);
	if (g->why == WAIT_SLEEP)
		gtimer_remove(s->timers, &g->sleep);
	__atomic_store_n(&g->wake, G_WAKE_NO, __ATOMIC_RELAXED);
	WRITE_ONCE(g->state, G_RUNNABLE);
	WRITE_ONCE(g->why, WAIT_NONE);
	if (!self || self->group != s->lane->group ||
	    (self != s->lane && !make_room(&self->sched))) {
		movable_inject(s->lane->group, g);
		return;
	}
	ledger_count(&self->led, LEDGER_EV_READIES, 1);
	/* Next here, unless a lane that sleeps could have it at once: who runs may do so for
	 * long. */
	if (self->sched.cur && !self->sched.run_next && READ_ONCE(self->group->idle) == 0) {
		g->sched = &self->sched;
		self->sched.run_next = g;
	} else {
		movable_push(&self->sched, g);
	}
}

void movable_born(struct sched *s)
{
	__atomic_fetch_add(&grp_of(s)->nr_movable, 1, __ATOMIC_SEQ_CST);
}

void movable_died(struct sched *s)
{
	__atomic_fetch_sub(&grp_of(s)->nr_movable, 1, __ATOMIC_SEQ_CST);
}

bool movable_any(const struct lane_group *grp)
{
	return READ_ONCE(grp->nr_movable) != 0;
}

void movable_bind(struct g *g)
{
	BUG_ON(g->sched->cur != g);
	g->movable = false;
	if (g->home != g->sched)
		g->sched->guests++;
	movable_died(g->sched);
}
