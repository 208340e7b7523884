/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The goroutine dump: who is there, in which state, why and how long it waits, and where. A lane
 * looks at its own gs, some per turn, when another thread asks; that thread groups, names and
 * prints. The public call is pl_dump_goroutines().
 */
#ifndef POLLER_DUMP_H
#define POLLER_DUMP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "stack/base/compiler.h"

struct dump;
struct lane;
struct lane_group;

/* A lane's part: in struct lane. */
struct lane_dump {
	struct dump *want; /* (a) whose request is open; NULL none */
	uint32_t busy;     /* (a) the lane works on *want just now; pairs with take_back() */
	bool on_thread;    /* (a) a thread runs the lane */
	pthread_t thread;  /* (a) which: valid if on_thread */
	pid_t tid;         /* (a) the same */
	/* under the registry's lock: as dumps and gdb number the lane. In a group as
	 * pl_lane_index() does, and `run` tells groups that live at the same time apart, from 0. */
	unsigned run, number;
	struct lane_dump *next; /* under the registry's lock */
};

/* dump_lane_add/remove - lane_create and lane_destroy: the process's list of lanes. dump_lane_join
 * - of lane_join: sets l->group, which the list is sorted by. */
void dump_lane_add(struct lane *l);
void dump_lane_join(struct lane *l, struct lane_group *grp, unsigned index);
void dump_lane_remove(struct lane *l);
/* dump_lane_thread - the calling thread is the lane's from now on, or no more. */
void dump_lane_thread(struct lane *l, bool on);

/* dump_turn - a turn's look for a request, on the lane's own stack. */
void __dump_turn(struct lane *l);
static inline void dump_turn(struct lane *l, const struct lane_dump *d)
{
	if (unlikely(__atomic_load_n(&d->want, __ATOMIC_RELAXED) != NULL))
		__dump_turn(l);
}

/* dump_wanted - for the last look before a sleep (seq_cst; pairs with the request's store). */
static inline bool dump_wanted(const struct lane_dump *d)
{
	return __atomic_load_n(&d->want, __ATOMIC_SEQ_CST) != NULL;
}

/*
 * dump_on_sigquit - from now on SIGQUIT (Ctrl-\) prints all goroutines on stderr and the program
 * goes on; twice within a second it ends as ever. Counted: the last dump_off_sigquit() puts
 * things back. A program that handles or ignores SIGQUIT itself is left alone. 0; -errno of what
 * it takes: a thread and an eventfd.
 */
MUST_USE int dump_on_sigquit(void);
void dump_off_sigquit(void);

/*
 * dump_running - the frames of goroutine `id` on stderr if l's thread still runs it, written by
 * that thread itself between dump_on_sigquit() and dump_off_sigquit(). It is interrupted: so
 * nothing comes of one that waits in the kernel, where a call would end early with EINTR. l's
 * thread does not end meanwhile. Returns at once.
 */
void dump_running(struct lane *l, uint64_t id);

#endif
