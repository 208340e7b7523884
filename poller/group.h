/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lanes that belong together: one program, several cpus, share nothing. A group knows its lanes
 * by number, so that one can send another a goroutine, and it ends as one.
 *
 * Order: lane_group_create; each thread makes its lane and joins; when all have, each runs;
 * when all have returned, each destroys its lane; lane_group_destroy. The two meetings are the
 * caller's (lane_group_meet).
 */
#ifndef POLLER_GROUP_H
#define POLLER_GROUP_H

#include <stdint.h>

#include "stack/base/compiler.h"

struct lane;
struct lane_group;

#define LANES_MAX 64u

/* lane_group_create - for nr lanes, 1..LANES_MAX. 0; -ENOMEM; -EINVAL. */
MUST_USE int lane_group_create(unsigned nr, struct lane_group **ret_group);
/* lane_group_destroy - after lane_destroy() of each lane that joined. NULL is fine. */
void lane_group_destroy(struct lane_group *grp);

/* lane_join - l is lane `index` of grp from now on; before its first turn, once. From then on it
 * turns until it is stopped, with or without goroutines. Any thread, one index each. */
void lane_join(struct lane *l, struct lane_group *grp, unsigned index);

/* lane_group_meet - wait until all nr threads are here; err is what happened to this one. Returns
 * the first error that any of them brought, 0 if none: all get the same answer. */
int lane_group_meet(struct lane_group *grp, int err);

/* lane_group_absent - n of the threads will never come: the others do not wait for them. Before
 * the caller's own first meeting. */
void lane_group_absent(struct lane_group *grp, unsigned n);

/* lane_group_stop - lane_stop() for all. Async-signal-safe, any thread; not after the group. */
void lane_group_stop(struct lane_group *grp);

/* lane_group - l's group, NULL if it is alone; lane_index - its number there, 0 alone. */
struct lane_group *lane_group(const struct lane *l);
unsigned lane_index(const struct lane *l);
unsigned lane_group_nr(const struct lane_group *grp);
/* lane_group_lane - the lane of that number, NULL if there is none (yet). */
struct lane *lane_group_lane(const struct lane_group *grp, unsigned index);

/* lane_group_go - as lane_go(), on lane `index` of the current lane's group, in order with other
 * such calls of this goroutine. Inside a goroutine, which parks until it is done. 0; -ENOMEM;
 * -EINVAL no such lane. */
MUST_USE int lane_group_go(unsigned index, void (*fn)(void *arg), void *arg, const char *name);

#endif
