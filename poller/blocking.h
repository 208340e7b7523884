/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool of pl_blocking(), for the lane's end. */
#ifndef POLLER_BLOCKING_H
#define POLLER_BLOCKING_H

struct lane;

/* blocking_lane_fini - l is about to be destroyed: its calls that no thread has begun are taken
 * back, those that run are waited for, unless they can be left behind. */
void blocking_lane_fini(struct lane *l);

#endif
