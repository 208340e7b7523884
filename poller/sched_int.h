/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the scheduler: struct g, struct sched, and the calls of the lane's turn and
 * of the netpoller, which know their lane already and need no thread-local.
 *
 * A g that parks switches straight to the next one; only when the turn's budget or the queue
 * is at its end does the lane's own stack run again. What must happen once the parked g is
 * off its stack (its commit R4, or the release of a dead one) is done by whoever runs next,
 * first thing after the switch: sched_landed().
 */
#ifndef POLLER_SCHED_INT_H
#define POLLER_SCHED_INT_H

#include "poller/coro.h"
#include "poller/gtimer.h"
#include "poller/lane.h"
#include "poller/movable.h"
#include "poller/runq.h"
#include "poller/sched.h"

struct g_intr;
struct ledger;
struct pl_ctx;

/* Step 5 of a lane turn runs at most so many gs, and lets a g that is made ready by a running
 * one jump the queue at most so often in a row (architecture.md, "One lane turn"). */
#define SCHED_TURN_BUDGET 64u
#define SCHED_CHAIN_MAX   16u
/* So much of a turn is for movable gs, where there are any. */
#define SCHED_MOVABLE_MIN 16u

/* A stack is given back when it has been dead for so long, and is not one of the newest. */
#define SCHED_COLD_NS  1000000000ull
#define SCHED_WARM     64u
#define SCHED_TRIM_MAX 32u /* 0.6 us each: what a packet that comes meanwhile may wait */

/*
 * Stack colours: the top lines of all stacks would otherwise fall into the same sets of the
 * L1 cache (48 KiB, 64 sets, 12 ways here). Half of the top page is given to colours, the
 * other half holds struct g and the frames of a parked read. An enum, for debuggers.
 */
enum {
	SCHED_COLOURS = 32,
	SCHED_COLOUR_STEP = CACHE_LINE,
};

/* Lives in the top page of its own stack, so that an idle goroutine is one page. */
struct g {
	/* cache line 0: park, ready, switch */
	void *sp;               /* (o) while it is not running */
	struct sched *sched;    /* (c); of a movable g where it runs, or where it parked */
	uint8_t state;          /* (o) enum g_state; (a) relaxed readers: dumps */
	uint8_t why;            /* (o) enum wait_reason, while G_WAITING; (a) as state */
	bool movable;           /* (o) may run on any lane of the group: movable.h */
	uint8_t wake;           /* (a) enum g_wake, of a movable g */
	bool keep_fp;           /* (o) its FP control words are its own: pl_keep_fp() */
	bool visited;           /* by who claimed its wait: sched_claimed() */
	bool in_ctx;            /* (o) is in a ctx, or was: its end is ctx_g_exit()'s */
	uint64_t id;            /* (c) since birth, never used twice in a lane */
	uint64_t since;         /* (o) the lane's ns when it parked or died */
	struct lane_msg remote; /* (r:inbox) another lane's sched_ready() */
	struct pl_ctx *ctx;     /* (o) what it is in, ctx.h; NULL: the background */
	/* birth and death */
	void (*fn)(void *arg);
	void *arg;
	struct sched *home; /* (c) whose arena its stack is of */
	uint32_t index;     /* (c) slot of its stack */
	const char *name;   /* (c) since birth; borrowed as long as lanes run (go.h) */
	struct g *next;     /* list of dead gs (o home), or the global queue */
	void **locals;      /* (o) values by key, local.h; NULL: never set one */
	struct gtimer sleep;
	struct coro_stack stack;
	struct coro_san san;
	/* ctx.h */
	struct g_intr *intr;       /* (o) how to end its present wait; NULL: not at all */
	struct list_head ctx_link; /* (r:the ctx's lock) the gs in ctx */
	struct lane_msg cut;       /* (r:inbox) its ctx ended on another lane */
	uint32_t cutting;          /* (a) 1: `cut` is on its way */
	uint32_t nr_locals;        /* (o) slots of locals */
	uint32_t nr_entered;       /* (o) pl_ctx_enter() without its pl_ctx_leave() */
};

enum {
	SCHED_G_SIZE = (sizeof(struct g) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1),
};

/* Stacks that have no g any more, and when to look for them. */
struct sched_pool {
	struct g *cold;    /* (o) dead ones whose memory goes back next */
	uint32_t *spare;   /* (o) slots whose memory went back; nr_spare of room_spare */
	uint32_t nr_spare; /* (o) */
	uint32_t room_spare;
	uint64_t look_at; /* (o) ns of the next look; 0: none is due */
	uint64_t seen;    /* (o) how many gs had died at the last look that left none for later */
};

struct sched {
	/* hot */
	struct g *cur;      /* (o) NULL on the lane's own stack */
	struct g *run_next; /* (o) jumps the queue, see SCHED_CHAIN_MAX */
	struct runq q;
	bool sharing;    /* (o) movable gs may be there: as of this turn */
	uint32_t floor;  /* (o) what of the budget is theirs */
	uint32_t from_q; /* (o) gs of q that still belong to this turn */
	uint32_t budget; /* (o) gs that may still run in this turn */
	uint32_t chain;  /* (o) run-next hops since the last g taken from q */
	bool timing;     /* (o) this switch is timed for the ledger, from t0 on */
	uint64_t t0;
	struct g *left; /* (o) went off its stack just now and wants sched_landed() */
	bool (*commit)(struct g *g, void *arg);
	void *commit_arg;
	void *lane_sp;       /* (o) of the lane's own stack while a g runs */
	struct ledger *led;  /* (c) */
	uint64_t now;        /* (o) the lane's, of this turn; what g->since is set to */
	struct coro_fpu fpu; /* (c) what every g finds that does not keep its own */
	/* movable gs */
	struct mrunq m;
	struct mlist came_home; /* (a) dead gs of ours that ended on other lanes; `remote` */
	uint32_t tick;          /* (o) picks of movable gs */
	uint32_t room;          /* (o) so many gs of others fit into q and the timers */
	uint32_t guests;        /* (o) gs of others that are bound here, and keep a place */
	/* cold */
	struct lane *lane;          /* (c) */
	struct gtimer_heap *timers; /* (c) the lane's */
	struct coro_arena arena;
	struct g *dead; /* (o) LIFO: the warmest stack is reused first */
	uint32_t nr_g;  /* (o) alive; (a) relaxed readers */
	uint32_t max_g; /* (c) */
	uint64_t last_id;
	struct coro_san san;    /* of the lane's own stack */
	struct sched_pool pool; /* (o) what is given back of it: sched_pool.c */
};

/* sched_init - 0; -ENOMEM; -EINVAL. timers and led are borrowed. */
MUST_USE int sched_init(struct sched *s, struct lane *l, struct gtimer_heap *timers,
			struct ledger *led, uint32_t max_g, uint32_t stack_size);
/* sched_end - gs that are alive are dropped: they leave what outlives them. Their timers stay
 * where they are. sched_fini - after that; their memory. */
void sched_end(struct sched *s);
void sched_fini(struct sched *s);

/* sched_attach - the calling thread's stack is the lane's own from now on. */
void sched_attach(struct sched *s);

/* sched_go - a new g at the tail of the run queue. 0; -ENOMEM. */
MUST_USE int sched_go(struct sched *s, void (*fn)(void *arg), void *arg, const char *name);

/* sched_go_movable - as sched_go, but any lane of the group may run it; bound where there is no
 * group. */
MUST_USE int sched_go_movable(struct sched *s, void (*fn)(void *arg), void *arg, const char *name);

/* sched_run - step 5: returns how many gs ran. On the lane's own stack. */
unsigned sched_run(struct sched *s);

/* sched_runnable - is there something for the next turn? */
static inline bool sched_runnable(const struct sched *s)
{
	return runq_len(&s->q) != 0 || mrunq_len(&s->m) != 0;
}

/* sched_claimed - the caller has claimed the wait of g, under the lock of what g waits for, and
 * will call sched_ready(g): until then g's lane stays, whatever thread that is. */
void sched_claimed(struct g *g);

/* __sched_park, __sched_ready, __sched_yield - the public ones, with the scheduler known. */
void __sched_park(struct sched *s, bool (*commit)(struct g *g, void *arg), void *arg,
		  enum wait_reason why);
void __sched_ready(struct sched *s, struct g *g);
void __sched_yield(struct sched *s);
/* __sched_sleep_until - park until the lane's clock says `when` (absolute ns, not 0). */
void __sched_sleep_until(struct sched *s, uint64_t when);

/* sched_carve - a g without name and function, its stack never used before or given back. NULL: no
 * stack or memory. */
struct g *sched_carve(struct sched *s);

/*
 * sched_trim - for the way to sleep: give back the memory of stacks that have been dead for
 * SCHED_COLD_NS, all but the SCHED_WARM newest, at most SCHED_TRIM_MAX of them a call. Returns ns
 * until it wants to be called again: 0 at once, INT64_MAX not before another g died.
 */
int64_t sched_trim(struct sched *s, uint64_t now);
void sched_pool_fini(struct sched *s);

/* sched_sleep_over - the gtimer function of g->sleep. */
void sched_sleep_over(struct gtimer *t, uint32_t seq, uint64_t now);

/* sched_of_slot - the g whose stack is slot `index`, or NULL if there is none. For dumps. */
struct g *sched_of_slot(struct sched *s, uint32_t index);

#endif
