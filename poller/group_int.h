/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of struct lane_group, for group.c, movable.c, monitor.c, lane.c and conn_fd.c. */
#ifndef POLLER_GROUP_INT_H
#define POLLER_GROUP_INT_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "poller/group.h"

struct g;
struct monitor;

/* An address that lanes of the group listen on over kernel sockets. */
struct group_listener {
	struct group_listener *next;
	uint64_t lanes; /* which; never 0 */
	uint32_t v4;    /* network order, as the port; both as bound */
	uint16_t port;
};

struct lane_group {
	unsigned nr;                  /* (c) */
	sigset_t program_mask;        /* (c) of the thread that made the group */
	struct lane *lane[LANES_MAX]; /* (a) release in lane_join(), acquire in lane_group_lane() */
	/* (a) movable gs; all of it sequentially consistent, see movable.c */
	uint32_t nr_movable ALIGNED(CACHE_LINE); /* (a) alive and not bound yet */
	uint32_t searching;                      /* (a) lanes that look for work to steal (R48) */
	uint64_t idle;                           /* (a) lanes that sleep, or are about to */
	/* the global queue: spin lock, never held across a park */
	uint32_t gq_lock ALIGNED(CACHE_LINE);
	uint32_t gq_nr; /* (a) written under the lock, read without for "is there any?" */
	struct g *gq_head, *gq_tail;
	/* cold */
	/* (a) as of a lane, and threads inside lane_group_stop(); pairs with
	 * lane_visitors_wait() */
	uint32_t visitors ALIGNED(CACHE_LINE);
	struct monitor *monitor; /* (c) NULL: none */
	/* the meeting; under lock */
	pthread_mutex_t lock;
	pthread_cond_t all_here;
	unsigned expected, here, round;
	int err, verdict; /* of the meeting that goes on, of the last one */
	/* the end, lane_destroy(); under end_lock, which is taken before all others */
	pthread_mutex_t end_lock;
	bool told_calls;    /* under the mutex of pl_blocking()'s pool: that the end waits for it */
	unsigned nr_joined; /* lanes that joined and were not destroyed: the last one frees all */
	/* what is listened on; its lock is held over bind(2), listen(2) and close(2) */
	pthread_mutex_t listen_lock;
	struct group_listener *listeners;
};

/* group_listener_find - NULL no lane listens there. group_listener_add, _del - lane `index` does,
 * no more. -ENOMEM. All under listen_lock. */
struct group_listener *group_listener_find(const struct lane_group *grp, uint32_t v4,
					   uint16_t port);
MUST_USE int group_listener_add(struct lane_group *grp, unsigned index, uint32_t v4, uint16_t port);
void group_listener_del(struct lane_group *grp, unsigned index, uint32_t v4, uint16_t port);

#endif
