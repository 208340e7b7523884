/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call on another lane of the group: a message takes it there and wakes the caller with the
 * result. The end of the caller's ctx takes back what the other lane has not begun.
 */
#ifndef POLLER_LANE_CALL_H
#define POLLER_LANE_CALL_H

#include <stdbool.h>

#include "stack/base/compiler.h"

struct lane;
struct lane_msg;

/*
 * lane_call - fn(to, arg) on the thread of `to`, between its goroutines: fn may not park. The
 * calling g does until it is done. What fn returned; -ECANCELED or -ETIME the g's ctx ended before
 * or meanwhile: fn was not called, and never will be. arg is looked at by fn alone, so it may lie
 * on the caller's stack.
 */
MUST_USE int lane_call(struct lane *to, int (*fn)(struct lane *to, void *arg), void *arg);

/* lane_call_end - m, which an ended lane's inbox still holds: true if it is such a call, now
 * nobody's. */
bool lane_call_end(struct lane_msg *m);

#endif
