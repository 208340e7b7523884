/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a g's memory comes from and where it goes: stacks never used, stacks given back. A dead
 * g stays on its stack, warm, and is reused first; what nobody reused for a second goes back to
 * the system whole, struct g and all, when its lane has nothing else to do. Birth and death pay
 * nothing for that: a look is due when the difference of births and living has moved.
 */
#include <stdlib.h>
#include <string.h>

#include "poller/ctx.h"
#include "poller/lane_int.h"
#include "poller/sched_int.h"
#include "stack/base/bug.h"

/* A look gives up when so many of the newest dead died within SCHED_COLD_NS: it is a lane that
 * uses them, and the walk costs a cache miss each. */
#define LOOK_MAX 4096u

/* take_stack - a stack without a g: one that was given back, else one never used. */
static bool take_stack(struct sched *s, struct coro_stack *ret_stack)
{
	struct sched_pool *p = &s->pool;

	if (p->nr_spare) {
		*ret_stack = coro_arena_stack(&s->arena, p->spare[--p->nr_spare]);
		return true;
	}
	/* Room for it wherever it may stand one day. */
	if (runq_reserve(&s->q, s->arena.nr_carved + s->room + 1) || gtimer_reserve(s->timers, 1))
		return false;
	return coro_arena_carve(&s->arena, ret_stack) == 0;
}

struct g *sched_carve(struct sched *s)
{
	struct coro_stack st;
	struct g *g = s->pool.cold;

	if (g) { /* on its way back, but here still */
		s->pool.cold = g->next;
		return g;
	}
	if (!take_stack(s, &st))
		return NULL;
	g = sched_of_slot(s, st.index);
	memset(g, 0, sizeof(*g));
	g->sched = g->home = s;
	g->index = st.index;
	g->stack = st;
	g->cut.fn = ctx_cut_msg;
	g->sleep.fn = sched_sleep_over;
	g->sleep.arg = g;
	coro_san_init(&g->san, &st);
	return g;
}

static uint32_t nr_dead(const struct sched *s)
{
	return s->arena.nr_carved - s->pool.nr_spare - s->nr_g;
}

static uint64_t nr_died(const struct sched *s)
{
	return s->last_id - s->nr_g;
}

/* cut - move what is cold from the dead to p->cold. false: some are too young still. */
static bool cut(struct sched *s, uint64_t now)
{
	struct g *g = s->dead, **at = &s->dead;
	uint32_t n = 0;

	for (; g && n < SCHED_WARM; n++) {
		at = &g->next;
		g = g->next;
	}
	/* The newest are in front: behind the first cold one all are. Signed, since one that died
	 * on another lane did so by that lane's clock. */
	for (; g && (int64_t)(now - g->since) < (int64_t)SCHED_COLD_NS; n++) {
		if (n == LOOK_MAX)
			return false;
		at = &g->next;
		g = g->next;
	}
	*at = NULL;
	s->pool.cold = g;
	return n <= SCHED_WARM;
}

/* room - for the slots of all stacks that may ever be given back. */
static bool room(struct sched *s)
{
	struct sched_pool *p = &s->pool;
	uint32_t *more;

	if (p->room_spare >= s->arena.nr_carved)
		return true;
	more = realloc(p->spare, s->arena.nr_carved * sizeof(*more));
	if (!more)
		return false;
	p->spare = more;
	p->room_spare = s->arena.nr_carved;
	return true;
}

static void give_back(struct sched *s, unsigned max)
{
	struct sched_pool *p = &s->pool;
	struct g *g;

	while ((g = p->cold) && max--) {
		uint32_t index = g->index;

		p->cold = g->next;
		BUG_ON(g->sleep.index);
		coro_san_fini(&g->san);
		coro_arena_release(&s->arena, index); /* g is all zero from here on */
		p->spare[p->nr_spare++] = index;
	}
}

static int64_t __sched_trim(struct sched *s, uint64_t now)
{
	struct sched_pool *p = &s->pool;

	if (!p->cold) {
		if (nr_dead(s) <= SCHED_WARM) {
			p->look_at = 0;
			p->seen = nr_died(s);
			return INT64_MAX;
		}
		if (p->look_at == 0)
			p->look_at = now + SCHED_COLD_NS;
		if (now < p->look_at)
			return (int64_t)(p->look_at - now);
		if (!room(s)) { /* as one that found nothing: later */
			p->look_at = now + SCHED_COLD_NS;
			return SCHED_COLD_NS;
		}
		p->look_at = 0;
		if (cut(s, now))
			p->seen = nr_died(s);
	}
	give_back(s, SCHED_TRIM_MAX);
	return p->cold || p->seen != nr_died(s) ? 0 : INT64_MAX;
}

int64_t sched_trim(struct sched *s, uint64_t now)
{
	if (likely(s->pool.seen == nr_died(s) && !s->pool.cold))
		return INT64_MAX;
	return __sched_trim(s, now);
}

void sched_pool_fini(struct sched *s)
{
	free(s->pool.spare);
	s->pool = (struct sched_pool){0};
}
