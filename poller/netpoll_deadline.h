/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What netpoll.c and netpoll_deadline.c know of each other. Any lane of the owner's group, but for
 * local pds and where it says so.
 */
#ifndef POLLER_NETPOLL_DEADLINE_H
#define POLLER_NETPOLL_DEADLINE_H

#include "poller/netpoll.h"

/* The pd lock; nothing for a local pd. Never held across a park. */
void netpoll_lock(struct poll_desc *pd);
void netpoll_unlock(struct poll_desc *pd);
/* netpoll_publish_info - R19, with the lock held. */
void netpoll_publish_info(struct poll_desc *pd);
/* netpoll_unblock - R6: the g to wake after the lock is dropped, or NULL. One direction. */
struct g *netpoll_unblock(struct poll_desc *pd, unsigned mode, bool ioready);
/* netpoll_wake - make what netpoll_unblock() returned runnable and lower `waiters` (R31). */
void netpoll_wake(struct poll_desc *pd, struct g *g);

/* netpoll_deadline_init - R14: bump both seqs, no deadline. Owner lane. netpoll_deadline_void -
 * R15: bump both seqs: a timer that is armed does nothing any more. With the lock held. */
void netpoll_deadline_init(struct poll_desc *pd);
void netpoll_deadline_void(struct poll_desc *pd);
/* netpoll_deadline_stop - stop both timers. Owner lane. */
void netpoll_deadline_stop(struct poll_desc *pd);

#endif
