/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger: what a lane's work cost, in TSC cycles by step and in counted events.
 *
 * Exact by turns: the split into busy cycles (turns that found anything to do), empty polls and
 * idle, from the turn's own reading of the clock. It is written down when one kind follows the
 * other, with each sample, and when LEDGER_STALE cycles are not told: a reader is no more than that
 * and a turn behind, however long turns are. Sampled, by default in one turn of 64 on average: the
 * split of the busy cycles into steps. Counters have one writer, the lane, and relaxed readers.
 */
#ifndef POLLER_LEDGER_H
#define POLLER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "poller/cycles.h"
#include "poller/lane.h"
#include "stack/base/compiler.h"
#include "stack/base/stat.h"

/* Steps of a busy turn. "kernel poll" is step 7: epoll without sleeping. */
#define LEDGER_STEPS(X)                                                                            \
	X(DRIVER_RX, "driver rx")                                                                  \
	X(STACK_RX, "stack rx")                                                                    \
	X(READY, "ready")                                                                          \
	X(TIMERS, "timers")                                                                        \
	X(SWITCH, "switch")                                                                        \
	X(APP, "app")                                                                              \
	X(STACK_TX, "stack tx")                                                                    \
	X(DRIVER_TX, "driver tx")                                                                  \
	X(KERNEL_POLL, "kernel poll")

enum ledger_step {
#define X(sym, name) LEDGER_##sym,
	LEDGER_STEPS(X)
#undef X
		LEDGER_STEP_MAX
};

/* Events. Syscalls are those that the poller and the conn layer make, by name. */
#define LEDGER_EVENTS(X)                                                                           \
	X(TURNS, "turns")                                                                          \
	X(EMPTY_POLLS, "empty_polls") /* turns that found nothing */                               \
	X(SLEEPS, "sleeps")           /* times the lane gave the cpu up */                         \
	X(SWITCHES, "switches")       /* gs resumed */                                             \
	X(SPAWNS, "spawns")                                                                        \
	X(PARKS, "parks")                                                                          \
	X(READIES, "readies")           /* parked gs made runnable, by whomever */                 \
	X(WAKEUPS, "wakeups")           /* of them by an I/O event */                              \
	X(TIMERS, "timers")             /* goroutine timers that fired */                          \
	X(BREAKS, "breaks")             /* wakes by another thread or a signal */                  \
	X(MESSAGES, "messages")         /* from other lanes */                                     \
	X(STEALS, "steals")             /* movable gs taken from other lanes */                    \
	X(BYTES_COPIED, "bytes_copied") /* between user buffers and sockets */                     \
	X(SYS_EPOLL_WAIT, "sys_epoll_wait")                                                        \
	X(SYS_EPOLL_CTL, "sys_epoll_ctl")                                                          \
	X(SYS_URING_ENTER, "sys_io_uring_enter")                                                   \
	X(SYS_EVENTFD, "sys_eventfd")                                                              \
	X(SYS_READ, "sys_read")                                                                    \
	X(SYS_WRITE, "sys_write")                                                                  \
	X(SYS_ACCEPT, "sys_accept")                                                                \
	X(SYS_CONNECT, "sys_connect")                                                              \
	X(SYS_CLOSE, "sys_close")                                                                  \
	X(SYS_OTHER, "sys_other")

enum ledger_event {
#define X(sym, name) LEDGER_EV_##sym,
	LEDGER_EVENTS(X)
#undef X
		LEDGER_EV_MAX
};

struct ledger {
	/* cache line 0: every turn */
	bool sampling;      /* (o) this turn's steps are stamped */
	bool cycles;        /* (c) false: off, or virtual time */
	bool full;          /* (c) sample every turn */
	uint8_t step;       /* (o) enum ledger_step that runs now */
	uint32_t countdown; /* (o) turns until the next sample */
	uint64_t mark;      /* (o) TSC when `step` began */
	uint64_t since;     /* (o) TSC up to which busy and empty are told; 0 = not turning */
	uint64_t busy;      /* (a) cycles of turns that found something */
	uint64_t empty;     /* (a) cycles of empty polls */
	uint64_t idle;      /* (a) cycles asleep */
	uint32_t rnd;       /* (o) jitter of the sampling distance */
	/* sampled */
	uint64_t scratch[LEDGER_STEP_MAX]; /* (o) of the turn that is being sampled */
	uint64_t steps[LEDGER_STEP_MAX];   /* (a) of sampled busy turns */
	uint64_t sampled_turns;            /* (a) busy ones */
	uint64_t switch_cycles;            /* (a) of timed switches, the reading taken off */
	uint64_t switch_samples;           /* (a) */
	uint64_t tsc_cost;                 /* (c) cycles of one reading of the TSC */
	uint64_t ev[LEDGER_EV_MAX];        /* (a) */
};

/* What a reader gets: exact totals, and the steps scaled so that they add up to busy. */
struct ledger_report {
	uint64_t busy, empty, idle;     /* TSC cycles, exact */
	uint64_t step[LEDGER_STEP_MAX]; /* TSC cycles, estimated from sampled_turns */
	uint64_t sampled_turns;
	uint64_t ev[LEDGER_EV_MAX];
	double tsc_ghz; /* cycles per ns; 0 without an invariant TSC */
};

/* ledger_init - virt: the time is not the TSC's, count events only. */
void ledger_init(struct ledger *led, enum ledger_mode mode, bool virt);
/* ledger_report - any thread; *ret_report may be a few events apart from itself. tsc_ghz is 0
 * here, lane_ledger_report() knows it. */
void ledger_report(const struct ledger *led, struct ledger_report *ret_report);
const char *ledger_step_name(enum ledger_step step);
const char *ledger_event_name(enum ledger_event ev);

static inline void ledger_count(struct ledger *led, enum ledger_event ev, uint64_t n)
{
	stat_add(&led->ev[ev], n);
}

static inline uint64_t ledger_tsc(void)
{
	return cycles_now();
}

/* __ledger_mark - the rare half of the next one. */
void __ledger_mark(struct ledger *led, enum ledger_step step);

/* ledger_mark - what runs from here on belongs to `step`. For backends and the turn: cheap
 * enough for every burst, never per packet or per g. */
static inline void ledger_mark(struct ledger *led, enum ledger_step step)
{
	if (unlikely(led->sampling))
		__ledger_mark(led, step);
}

/* ledger_switch_sample - one switch took `cycles`, two readings of the TSC around it. */
void ledger_switch_sample(struct ledger *led, uint64_t cycles);

/* ---- the turn's own ---- */

/* ledger_tell - the turns since the last call, up to TSC `tsc`, were all busy, or all empty. */
static inline void ledger_tell(struct ledger *led, uint64_t tsc, bool busy)
{
	stat_add(busy ? &led->busy : &led->empty, tsc - led->since);
	led->since = tsc;
}

#define LEDGER_STALE (1u << 18) /* 0.1 ms at 2.6 GHz */

/* ledger_turn_begin - choose whether this turn is sampled; tsc is the turn's reading, busy what
 * the turn before was. With led->cycles. */
void __ledger_sample(struct ledger *led, uint64_t tsc, bool busy);
void __ledger_catch_up(struct ledger *led, uint64_t tsc, bool busy);
static inline void ledger_turn_begin(struct ledger *led, uint64_t tsc, bool busy)
{
	/* As when `since` is 0. */
	if (unlikely(tsc - led->since > LEDGER_STALE))
		__ledger_catch_up(led, tsc, busy);
	if (unlikely(--led->countdown == 0))
		__ledger_sample(led, tsc, busy);
}
/* ledger_turn_end - keep the sample if the turn was busy. */
void __ledger_keep(struct ledger *led, bool busy);
static inline void ledger_turn_end(struct ledger *led, bool busy)
{
	if (unlikely(led->sampling))
		__ledger_keep(led, busy);
}

#endif
