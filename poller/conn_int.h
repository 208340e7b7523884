/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the conn layer share: who may use a conn from where (house rule 1, R40), and
 * its end.
 */
#ifndef POLLER_CONN_INT_H
#define POLLER_CONN_INT_H

#include "poller/conn_ops.h"
#include "poller/lane_int.h"

/* conn_usable - may the caller read, write, accept from where it runs? */
static inline bool conn_usable(const struct pl_conn *c)
{
	struct lane *self = lane_self();

	return likely(self == c->lane) || (c->ops->shared && conn_kin(c, self));
}

/* conn_led - one writer per ledger: the lane that runs. */
static inline struct ledger *conn_led(const struct pl_conn *c)
{
	return likely(c->fdmu.local) ? &c->lane->led : &lane_self()->led;
}

/* conn_refused - the -errno of a lock that was not given: that of the g's ctx, if it ended, else
 * the conn is closed. */
int conn_refused(void);

/* conn_do - fn, which needs no direction's lock and does not park, where it may run: here, or on
 * the lane that a conn which is not shared belongs to. What fn returns; -EBADF; -EXDEV. */
MUST_USE int conn_do(struct pl_conn *c, int (*fn)(struct pl_conn *c, void *arg), void *arg);

/* conn_destroy - the last reference is gone (R53): the owner lane destroys c. */
void conn_destroy(struct pl_conn *c);

#endif
