/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of conns. It is the lane's until the lane is freed, like that of pds (R17), and never
 * anything but conns: a call that comes after the last use, be it a program's mistake, finds the
 * closed mutex of a conn of the same lane and says -EBADF. The last CONN_RESTING of a lane that
 * were closed are left alone for that; those before them are taken again, the newest first, as it
 * is in the cache. ASan is not told: the same program shall get the same -errno in every build.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "poller/conn_int.h"

/* So many further closes a stale pointer is safe: as conn.h says. 8 KiB a lane. */
#define CONN_RESTING 64

/* The owner's lists are written by other lanes too, where the last hold ends there. */
static void conns_lock(struct lane *l)
{
	while (l->group && __atomic_exchange_n(&l->conns_lock, 1, __ATOMIC_ACQUIRE))
		(void)sched_yield();
}

static void conns_unlock(struct lane *l)
{
	if (l->group)
		__atomic_store_n(&l->conns_lock, 0, __ATOMIC_RELEASE);
}

static struct pl_conn *conn_fresh(struct lane *l)
{
	struct pl_conn *c = aligned_alloc(CACHE_LINE, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct pl_conn){.lane = l, .holds = CONN_DEAD | CONN_FREE};
	fd_mutex_init_closed(&c->fdmu);
	return c;
}

static struct pl_conn *conn_spare(struct lane *l)
{
	struct pl_conn *c = NULL;

	conns_lock(l);
	if (!list_empty(&l->conns_spare)) {
		c = list_first_entry(&l->conns_spare, struct pl_conn, link);
		list_del(&c->link);
	}
	conns_unlock(l);
	return c;
}

/* Whatever a stale call may touch of a spare one is changed while it still is closed; its holds by
 * atomic operations, since such a call may have one. */
int conn_new(struct netpoll_backend *nb, const struct conn_ops *ops, int fd, struct sock *sk,
	     uint8_t kind, struct pl_conn **ret_conn)
{
	struct lane *l = nb->lane;
	struct pl_conn *c = conn_spare(l);
	int err;

	if (!c)
		c = conn_fresh(l);
	if (!c)
		return -ENOMEM;
	c->ops = ops;
	if (sk)
		c->sk = sk;
	else
		c->fd = fd;
	c->kind = kind;
	c->rflags = c->wflags = c->backoff = 0;
	err = netpoll_open(nb, fd, sk, &c->pd);
	conns_lock(l);
	list_add(&c->link, err ? &l->conns_spare : lane_conns(l));
	conns_unlock(l);
	if (err)
		return err;
	(void)__atomic_and_fetch(&c->holds, ~(CONN_DEAD | CONN_FREE), __ATOMIC_ACQ_REL);
	fd_mutex_open(&c->fdmu, netpoll_plain(nb));
	*ret_conn = c;
	return 0;
}

/* conn_rest - the youngest of those that rest; if they are too many, the oldest is spare. */
static void conn_rest(struct pl_conn *c)
{
	struct lane *l = c->lane;

	conns_lock(l);
	list_del(&c->link);
	list_add_tail(&c->link, &l->conns_resting);
	if (l->nr_resting == CONN_RESTING) {
		c = list_first_entry(&l->conns_resting, struct pl_conn, link);
		list_del(&c->link);
		list_add(&c->link, &l->conns_spare);
	} else {
		l->nr_resting++;
	}
	conns_unlock(l);
}

/* conn_unheld - it is dead and nobody holds it: or a call on a dead one does again, whose put will
 * come here. One of those who come is the one. */
static void conn_unheld(struct pl_conn *c)
{
	uint32_t dead = CONN_DEAD;

	if (__atomic_compare_exchange_n(&c->holds, &dead, CONN_DEAD | CONN_FREE, false,
					__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		conn_rest(c);
}

void conn_free(struct pl_conn *c)
{
	if (!__atomic_fetch_or(&c->holds, CONN_DEAD, __ATOMIC_ACQ_REL))
		conn_unheld(c);
}

void conn_hold(struct pl_conn *c)
{
	(void)__atomic_add_fetch(&c->holds, 1, __ATOMIC_ACQ_REL);
}

void conn_put(struct pl_conn *c)
{
	if (__atomic_sub_fetch(&c->holds, 1, __ATOMIC_ACQ_REL) == CONN_DEAD)
		conn_unheld(c);
}

/* ---- a lane's life ---- */

void conn_lane_init(struct lane *l)
{
	list_init(&l->conns);
	list_init(&l->conns_resting);
	list_init(&l->conns_spare);
}

static void free_all(struct list_head *conns)
{
	struct pl_conn *c, *tmp;

	list_for_each_entry_safe (c, tmp, conns, link)
		free(c);
}

void conn_lane_free(struct lane *l)
{
	free_all(&l->conns);
	free_all(&l->conns_resting);
	free_all(&l->conns_spare);
}
