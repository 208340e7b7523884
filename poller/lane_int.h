/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of struct lane, for the poller's own files: what the turn, the netpoller and
 * the scheduler share.
 */
#ifndef POLLER_LANE_INT_H
#define POLLER_LANE_INT_H

#include <sched.h>
#include <signal.h>
#include <time.h>

#include "poller/dump.h"
#include "poller/gtimer.h"
#include "poller/lane.h"
#include "poller/ledger.h"
#include "poller/netpoll_int.h"
#include "poller/sched_int.h"
#include "poller/tsc.h"
#include "stack/base/list.h"

/* What the thread was before a lane ran on it; lane_signal.c, lane.c. */
struct lane_thread {
	bool attached;
	sigset_t old_mask;
	void *altstack; /* ours, or NULL: the thread had one */
	size_t altstack_size;
	cpu_set_t old_affinity; /* if the lane is pinned */
	int old_slack;          /* timer slack, ns */
};

struct lane {
	/* (o) every turn */
	uint64_t now;         /* ns, as of the last reading of this turn */
	uint64_t tsc;         /* the reading that the turn began with */
	bool busy;            /* the last turn found something */
	bool in_run;          /* lane_run() goes on; else the turns have gaps between them */
	bool virt;            /* (c) */
	bool ending;          /* (o) lane_destroy() is at it */
	bool in_idle;         /* (o) movable_sleep() was called last, not movable_awake() */
	bool called;          /* (o) woken to search, and has not yet */
	bool told_stuck;      /* (o) lane_stuck.c */
	uint64_t stuck_parks; /* (o) of the ledger, when that looked last */
	struct netpoll_backend *stack;  /* (c) NULL: no device */
	struct netpoll_backend *kernel; /* (c) epoll or io_uring; NULL: virtual time */
	uint64_t kernel_last;           /* ns of the last look at it */
	uint32_t kernel_gs;             /* gs run since then */
	uint32_t io_run;                /* calls on kernel fds without a park (conn_io.c) ... */
	uint64_t io_parks;              /* ... since the ledger said so many */
	uint64_t empty_since; /* ns of the first empty turn in a row; 0 = the last was busy */
	uint64_t rnd;         /* state of lane_random() */
	struct tsc_clock clock;
	struct sched sched;
	struct gtimer_heap timers;
	struct netpoll np;
	struct ledger led;
	struct lane_group *group; /* (c) since lane_join(); NULL: alone */
	clockid_t cpu_clock;      /* (a) of the thread that runs it; 0 none. For the monitor */
	uint32_t index;           /* (c) in the group */
	/* (a) any thread */
	struct mlist inbox ALIGNED(CACHE_LINE); /* (a) struct lane_msg; pairs with `sleeping` */
	bool stop;                              /* lane_stop(); pairs with `sleeping` */
	uint32_t visitors; /* (a) threads inside lane_stop() or between lane_visit() and its end;
			      * pairs with lane_visitors_wait() */
	uint8_t sleeping;  /* 1 = may block; seq_cst, see lane_idle.c */
	/* cold */
	struct lane_config cfg ALIGNED(CACHE_LINE);
	int node;      /* (c) NUMA node, -1 = does not matter */
	int device_fd; /* (c) of the stack's device; -1 = must be polled */
	/* conn_mem.c; all under conns_lock in a group */
	struct list_head conns;         /* lane_conns() */
	struct list_head conns_resting; /* closed, the oldest first */
	struct list_head conns_spare;
	uint32_t nr_resting;
	uint32_t conns_lock; /* (a) spin */
	struct lane_thread thr;
	struct lane_dump dump;
};

/* lane_clock - read the lane's clock, ns. Does not change lane_now(). */
static inline uint64_t lane_clock(struct lane *l)
{
	if (unlikely(l->cfg.clock))
		return l->cfg.clock(l->cfg.clock_ctx);
	return tsc_clock_ns(&l->clock, ledger_tsc());
}

/*
 * lane_visit, lane_leave - around what a thread that is none of l's group does to l or a g of it:
 * lane_destroy() waits for it before anything of the group goes away. For who claims a wait: under
 * the lock of what the g waits for, which lane_destroy() takes to drop it.
 */
void lane_visit(struct lane *l);
void lane_leave(struct lane *l);
/* lane_visitors_wait - until nobody is in between, nor inside lane_stop() or lane_group_stop(). */
void lane_visitors_wait(struct lane *l);

/* lane_enter - make l (or NULL) the current lane of this thread; returns the one before. */
struct lane *lane_enter(struct lane *l);

/* lane_idle - step 8 (lane_idle.c). */
void lane_idle(struct lane *l);
/* lane_stuck_limit - of a lane that is about to sleep without a timer: ns after which it may be
 * found that nothing can wake it; -1: no reason to think so. lane_stuck_look - that time is over,
 * nothing came: say so if it is certain. */
int64_t lane_stuck_limit(struct lane *l);
void lane_stuck_look(struct lane *l);
/* All threads that the library starts beside lanes are named so. */
#define LANE_THREAD_PREFIX "pl-"
/* lane_next_event - absolute ns of the lane's earliest timer, 0 none. */
uint64_t lane_next_event(struct lane *l);

/* lane_signals_attach/detach - the alternate stack, the overflow handler and the signal mask of
 * the calling thread (lane_signal.c). 0; -ENOMEM. */
MUST_USE int lane_signals_attach(struct lane_thread *t);
void lane_signals_detach(struct lane_thread *t);

/* lane_fork_attach - the calling thread runs a lane: what goroutines must not do to it
 * (lane_fork.c) is told of. */
void lane_fork_attach(void);
/* lane_forked - in the child that a goroutine has forked: that one. NULL elsewhere. lane_forked_at
 * - is that what an access to addr, which faulted, is about? */
struct g *lane_forked(void);
bool lane_forked_at(uintptr_t addr);
#define LANE_FORK_RULE                                                                             \
	" called into Parklane in the child of its fork(), which may only call exec or _exit"
/* lane_program_mask - the signals that the program had blocked before lanes blocked more. */
const sigset_t *lane_program_mask(const struct lane *l);

/* lane_mem_bind - put not yet touched memory on the lane's node (lane_mem.c). */
void lane_mem_bind(const struct lane *l, void *p, size_t size);
/* lane_mem_node - the node of a cpu, -1 where there is only one or no libnuma. */
int lane_mem_node(int cpu);

#endif
