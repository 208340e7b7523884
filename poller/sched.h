/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler of one lane: struct g, park and ready, the run queue. A bound g never
 * leaves its lane, so its queue has no locked operation (R49).
 */
#ifndef POLLER_SCHED_H
#define POLLER_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "poller/gtimer.h"
#include "stack/base/compiler.h"
#include "stack/base/list.h"

struct lane;

/* Why a g waits, and how dumps, gdb and README call it. */
/* clang-format off */
#define WAIT_REASONS(X)                                                                            \
	X(NONE, "")                                                                                \
	X(IO_READ, "read")                                                                         \
	X(IO_WRITE, "write")                                                                       \
	X(SLEEP, "sleep")                                                                          \
	X(FD_MUTEX, "lock of a connection")                                                        \
	X(SEMA, "semaphore")                                                                       \
	X(CHAN_SEND, "send to a channel")                                                          \
	X(CHAN_RECV, "receive from a channel")                                                     \
	X(SELECT, "select")                                                                        \
	X(MUTEX, "mutex")                                                                          \
	X(COND, "condition")                                                                       \
	X(GROUP, "wait group")                                                                     \
	X(BLOCKING, "call on the pool")                                                            \
	X(LANE, "another lane's answer")                                                           \
	X(CLOSE, "last user of a connection")
/* clang-format on */

enum wait_reason {
#define X(sym, name) WAIT_##sym,
	WAIT_REASONS(X)
#undef X
		WAIT_REASON_MAX
};

enum g_state {
	G_IDLE,
	G_RUNNABLE,
	G_RUNNING,
	G_WAITING,
	G_DEAD,
};

struct g; /* fields: sched_int.h */

/* sched_self - the running g of this thread; NULL on the lane's own stack. */
struct g *sched_self(void);

/*
 * sched_park - leave the cpu. After the g is off its stack, commit(g, arg) runs on the
 * lane's stack (R4); false means "do not park": the g goes on at once. NULL commits. The
 * caller sees sched_park() return after somebody's sched_ready().
 */
void sched_park(bool (*commit)(struct g *g, void *arg), void *arg, enum wait_reason why);

/* sched_ready - make a parked g runnable: at once on its own lane, by a message from any other
 * thread. Fatal if it is not parked, or about to. FIFO (R37). A thread of no lane of g's group
 * needs its lane held until then: lane_visit(), or a wait claimed by wait_claim(). */
void sched_ready(struct g *g);

/* sched_yield_ - runnable again, at the tail. */
void sched_yield_(void);

/* sched_sleep - park for ns. */
void sched_sleep(int64_t ns);

#endif
