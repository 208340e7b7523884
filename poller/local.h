/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a goroutine's values. */
#ifndef POLLER_LOCAL_H
#define POLLER_LOCAL_H

struct g;

/* local_g_exit - destroy the values of the running g, which ends. */
void local_g_exit(struct g *g);
/* local_g_drop - g never runs again: free the slots, destroy nothing. */
void local_g_drop(struct g *g);

#endif
