/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Park, ready, yield, sleep, birth and death of goroutines on one lane. How a switch goes
 * from g to g is told in sched_int.h.
 */
#include "poller/sched_int.h"

#include <errno.h>
#include <string.h>

#include "poller/ctx.h"
#include "poller/group.h"
#include "poller/lane_int.h"
#include "poller/ledger.h"
#include "poller/local.h"
#include "stack/base/bug.h"

_Static_assert(offsetof(struct g, fn) <= CACHE_LINE, "park and ready touch one line of a g");

static void remote_ready(struct lane *l, struct lane_msg *m);

int sched_init(struct sched *s, struct lane *l, struct gtimer_heap *timers, struct ledger *led,
	       uint32_t max_g, uint32_t stack_size)
{
	int err;

	memset(s, 0, sizeof(*s));
	s->lane = l;
	s->timers = timers;
	s->led = led;
	s->fpu = coro_fpu_current();
	err = runq_init(&s->q);
	if (err)
		return err;
	err = coro_arena_init(&s->arena, max_g, stack_size);
	if (err) {
		runq_fini(&s->q);
		return err;
	}
	s->max_g = s->arena.nr_slots;
	return 0;
}

struct g *sched_of_slot(struct sched *s, uint32_t index)
{
	struct coro_stack st;

	if (index >= s->arena.nr_carved)
		return NULL;
	st = coro_arena_stack(&s->arena, index);
	return (struct g *)(st.hi - index % SCHED_COLOURS * SCHED_COLOUR_STEP - SCHED_G_SIZE);
}

void sched_end(struct sched *s)
{
	BUG_ON(s->cur);
	for (uint32_t i = 0; i < s->arena.nr_carved; i++) {
		struct g *g = sched_of_slot(s, i);

		if (g->state == G_IDLE)
			continue;
		if (g->state != G_DEAD) {
			ctx_g_drop(g);
			local_g_drop(g);
		}
		coro_san_fini(&g->san);
	}
}

void sched_fini(struct sched *s)
{
	sched_pool_fini(s);
	coro_arena_fini(&s->arena);
	runq_fini(&s->q);
}

void sched_attach(struct sched *s)
{
	coro_san_thread(&s->san);
}

/* pick_movable - what the bound queue leaves of the turn is for movable gs. */
static NOINLINE struct g *pick_movable(struct sched *s)
{
	struct g *g = s->budget ? movable_pick(s) : NULL;

	if (g) {
		s->budget--;
		s->chain = 0;
	}
	return g;
}

/* pick - the next g of this turn, or NULL: its budget or its share of the queue is used up. */
static struct g *pick(struct sched *s)
{
	struct g *g = s->run_next;

	if (g) {
		s->run_next = NULL;
		/* Where nobody else waits in the queue the chain may take the whole turn. */
		if ((s->chain < SCHED_CHAIN_MAX || runq_len(&s->q) == 0) && s->budget > s->floor) {
			s->chain++;
			s->budget--;
			return g;
		}
		runq_push(&s->q, g);
	}
	if (s->from_q == 0 || s->budget <= s->floor)
		return unlikely(s->sharing) ? pick_movable(s) : NULL;
	s->from_q--;
	s->budget--;
	s->chain = 0;
	g = runq_pop(&s->q);
	return g;
}

/* warm - what the coming switches will touch is fetched while this one goes on: the frames of
 * the next g, and the struct of the one after. From the switch to pl_read's caller it is some 270
 * bytes: a fourth line took 10 % off park + ready over 1,024 gs (bench park, EPYC Zen 5), a fifth
 * nothing. */
static ALWAYS_INLINE void warm(const struct sched *s)
{
	const struct g *g1 = runq_peek(&s->q, 0), *g2 = runq_peek(&s->q, 1);

	if (g1) {
		const char *sp = g1->sp;

		__builtin_prefetch(sp);
		__builtin_prefetch(sp + CACHE_LINE);
		__builtin_prefetch(sp + 2 * CACHE_LINE);
		__builtin_prefetch(sp + 3 * CACHE_LINE);
	}
	if (g2)
		__builtin_prefetch(g2);
}

static void bury(struct sched *s, struct g *g)
{
	g->next = s->dead;
	s->dead = g;
	WRITE_ONCE(s->nr_g, s->nr_g - 1);
}

static NOINLINE void bury_homecomers(struct sched *s)
{
	struct mnode *n = mlist_take(&s->came_home);

	while (n) {
		struct g *g = container_of(n, struct g, remote.node);

		n = n->next;
		g->sched = s;
		bury(s, g);
	}
}

/* landed_movable - from the moment that others can reach g nothing of it may be touched. */
static void landed_movable(struct sched *s, struct g *g)
{
	if (g->state == G_RUNNABLE) { /* it yields */
		movable_push(s, g);
	} else if (!s->commit || s->commit(g, s->commit_arg)) {
		movable_landed(s, g);
	} else {
		WRITE_ONCE(g->state, G_RUNNABLE);
		WRITE_ONCE(g->why, WAIT_NONE);
		runq_push_head(&s->q, g);
		s->from_q++;
	}
}

/* landed - first thing after a switch: what the g that left could not do on its own stack, and
 * the end of a timed switch. */
static NOINLINE void landed(struct sched *s)
{
	struct g *g = s->left;

	if (s->timing) {
		ledger_switch_sample(s->led, ledger_tsc() - s->t0);
		s->timing = false;
	}
	if (!g)
		return;
	s->left = NULL;
	if (g->state == G_DEAD) {
		if (g->movable)
			movable_died(s);
		if (likely(g->home == s)) {
			bury(s, g);
			return;
		}
		BUG_ON(g->sleep.index); /* its next sleep is in another heap */
		if (!g->movable)
			s->guests--;
		/* its stack is of another lane's arena */
		(void)mlist_push(&g->home->came_home, &g->remote.node);
		return;
	}
	if (unlikely(g->movable)) {
		landed_movable(s, g);
		return;
	}
	if (s->commit(g, s->commit_arg))
		return;
	/* R4: it goes on at once, that is before all others of the queue. */
	WRITE_ONCE(g->state, G_RUNNABLE);
	WRITE_ONCE(g->why, WAIT_NONE);
	runq_push_head(&s->q, g);
	s->from_q++;
}

/*
 * hop - leave `from` for `to`; NULL is the lane's own stack. The only place that switches: one
 * return address for all contexts keeps the return predictor right. Nothing thread-local may
 * be held across the call, only what lies on the caller's own stack.
 */
static NOINLINE CORO_NO_TSAN void hop(struct sched *s, struct g *from, struct g *to)
{
	void **save = from ? &from->sp : &s->lane_sp;
	struct coro_fpu fpu = s->fpu;
	void *sp = s->lane_sp;

	if (from && unlikely(from->keep_fp))
		fpu = coro_fpu_current();
	WRITE_ONCE(s->cur, to); /* the monitor looks, and a dump of a lane that hangs */
	if (to) {
		WRITE_ONCE(to->state, G_RUNNING);
		sp = to->sp;
		warm(s);
	}
	if (unlikely(s->timing))
		s->t0 = ledger_tsc();
	coro_san_leave(from ? &from->san : &s->san, to ? &to->san : &s->san,
		       from && from->state == G_DEAD);
	coro_switch(save, sp, fpu);
	if (from)
		s = from->sched; /* a movable g may be back on another lane */
	coro_san_enter(from ? &from->san : &s->san);
	if (unlikely(s->left || s->timing))
		landed(s);
}

static CORO_NO_TSAN void g_main(void *arg)
{
	struct g *g = arg;
	struct sched *s = g->sched;

	coro_san_enter(&g->san);
	if (unlikely(s->left || s->timing))
		landed(s);
	g->fn(g->arg);
	if (unlikely(g->locals))
		local_g_exit(g);
	if (unlikely(g->in_ctx))
		ctx_g_exit(g);
	s = g->sched;
	BUG_ON(s->cur != g);
	WRITE_ONCE(g->state, G_DEAD);
	g->since = s->now;
	s->left = g;
	hop(s, g, pick(s));
	BUG("a dead goroutine was resumed");
}

/* spawn - a g that stands on no queue yet; NULL without memory. */
static ALWAYS_INLINE struct g *spawn(struct sched *s, void (*fn)(void *arg), void *arg,
				     const char *name)
{
	struct g *g = s->dead;

	if (likely(g)) {
		s->dead = g->next;
	} else {
		g = sched_carve(s);
		if (!g)
			return NULL;
	}
	WRITE_ONCE(g->id, ++s->last_id); /* the monitor reads it, and the name */
	g->fn = fn;
	g->arg = arg;
	WRITE_ONCE(g->name, name);
	g->keep_fp = false;
	coro_san_open(&g->san, &g->stack);
	g->sp = coro_prepare(g, s->fpu, g_main, g);
	WRITE_ONCE(g->state, G_RUNNABLE);
	WRITE_ONCE(g->why, WAIT_NONE);
	g->movable = false;
	g->remote.fn = remote_ready;
	WRITE_ONCE(s->nr_g, s->nr_g + 1);
	ledger_count(s->led, LEDGER_EV_SPAWNS, 1);
	return g;
}

int sched_go(struct sched *s, void (*fn)(void *arg), void *arg, const char *name)
{
	struct g *g = spawn(s, fn, arg, name);

	if (unlikely(!g))
		return -ENOMEM;
	runq_push(&s->q, g);
	return 0;
}

int sched_go_movable(struct sched *s, void (*fn)(void *arg), void *arg, const char *name)
{
	struct g *g = spawn(s, fn, arg, name);

	if (!g)
		return -ENOMEM;
	if (!lane_group(s->lane)) {
		runq_push(&s->q, g);
		return 0;
	}
	g->movable = true;
	g->wake = G_WAKE_NO;
	movable_born(s);
	movable_push(s, g);
	return 0;
}

unsigned sched_run(struct sched *s)
{
	struct g *g;

	s->sharing = lane_group(s->lane) && movable_any(lane_group(s->lane));
	s->floor = s->sharing ? SCHED_MOVABLE_MIN : 0;
	s->from_q = min_t(uint32_t, runq_len(&s->q), SCHED_TURN_BUDGET - s->floor);
	s->budget = SCHED_TURN_BUDGET;
	if (unlikely(!mlist_empty(&s->came_home)))
		bury_homecomers(s);
	s->chain = 0;
	s->now = s->lane->now;
	g = pick(s);
	if (!g)
		return 0;
	/* One switch of a sampled turn is timed: the first one, onto a stack that is not hot. */
	s->timing = s->led->sampling;
	hop(s, NULL, g);
	BUG_ON(s->run_next);
	return SCHED_TURN_BUDGET - s->budget;
}

void __sched_park(struct sched *s, bool (*commit)(struct g *g, void *arg), void *arg,
		  enum wait_reason why)
{
	struct g *g = s->cur;

	BUG_ON(!g);
	WRITE_ONCE(g->state, G_WAITING);
	WRITE_ONCE(g->why, (uint8_t)why);
	g->since = s->now;
	if (commit || g->movable) {
		s->left = g;
		s->commit = commit;
		s->commit_arg = arg;
	}
	ledger_count(s->led, LEDGER_EV_PARKS, 1);
	hop(s, g, pick(s));
}

void __sched_ready(struct sched *s, struct g *g)
{
	if (unlikely(g->movable)) {
		movable_ready(g);
		return;
	}
	BUG_ON(g->state != G_WAITING);
	WRITE_ONCE(g->state, G_RUNNABLE);
	WRITE_ONCE(g->why, WAIT_NONE);
	ledger_count(s->led, LEDGER_EV_READIES, 1);
	/* Only the first that a running g wakes jumps the queue: the order stays FIFO (R37). */
	if (s->cur && !s->run_next)
		s->run_next = g;
	else
		runq_push(&s->q, g);
}

void __sched_yield(struct sched *s)
{
	struct g *g = s->cur;

	BUG_ON(!g);
	WRITE_ONCE(g->state, G_RUNNABLE);
	if (unlikely(g->movable))
		s->left = g; /* pushed by whoever is next: another lane may run it at once */
	else
		runq_push(&s->q, g);
	hop(s, g, pick(s));
}

void sched_sleep_over(struct gtimer *t, uint32_t seq, uint64_t now)
{
	struct g *g = t->arg;

	(void)seq;
	(void)now;
	__sched_ready(g->sched, g);
}

void __sched_sleep_until(struct sched *s, uint64_t when)
{
	struct g *g = s->cur;

	BUG_ON(!g);
	/* sched_carve() reserved the place. */
	BUG_ON(gtimer_set(s->timers, &g->sleep, when, 0) != 0);
	__sched_park(s, NULL, NULL, WAIT_SLEEP);
}

struct g *sched_self(void)
{
	struct lane *l = lane_self();

	return l ? l->sched.cur : NULL;
}

static struct sched *self_sched(void)
{
	struct lane *l = lane_self();

	BUG_ON(!l);
	return &l->sched;
}

void sched_park(bool (*commit)(struct g *g, void *arg), void *arg, enum wait_reason why)
{
	__sched_park(self_sched(), commit, arg, why);
}

static void remote_ready(struct lane *l, struct lane_msg *m)
{
	__sched_ready(&l->sched, container_of(m, struct g, remote));
}

void sched_claimed(struct g *g)
{
	struct lane *l = g->sched->lane, *self = lane_self();

	/* lanes of a group end together, once none of them turns */
	if (likely(self && (self == l || (self->group && self->group == l->group))))
		return;
	g->visited = true;
	lane_visit(l);
}

static COLD void ready_visited(struct g *g)
{
	struct lane *l = g->sched->lane;

	g->visited = false;
	sched_ready(g);
	lane_leave(l);
}

void sched_ready(struct g *g)
{
	struct lane *l;

	if (unlikely(g->visited)) {
		ready_visited(g);
		return;
	}
	if (unlikely(g->movable)) {
		movable_ready(g);
		return;
	}
	l = g->sched->lane;
	if (likely(l == lane_self()))
		__sched_ready(&l->sched, g);
	else
		lane_post(l, &g->remote);
}

void sched_yield_(void)
{
	__sched_yield(self_sched());
}

void sched_sleep(int64_t ns)
{
	struct lane *l = lane_self();
	uint64_t now;

	BUG_ON(!l);
	if (ns <= 0) {
		__sched_yield(&l->sched);
		return;
	}
	/* A fresh reading: the turn's may be as old as the gs that ran before, and the promise is
	 * "at least ns". */
	now = lane_clock(l);
	__sched_sleep_until(&l->sched,
			    (uint64_t)ns > UINT64_MAX - now ? UINT64_MAX : now + (uint64_t)ns);
}
