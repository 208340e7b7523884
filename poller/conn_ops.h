/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a backend of the conn API is: one non-blocking try of each operation. conn.c, which
 * is written once, adds the fd_mutex, the reset/try/wait loop, deadlines and close. All
 * calls run on the owner lane, inside a goroutine.
 */
#ifndef POLLER_CONN_OPS_H
#define POLLER_CONN_OPS_H

#include <parklane/conn.h>

#include "poller/fd_mutex.h"
#include "poller/netpoll.h"

struct conn_ops;

struct pl_conn {
	struct fd_mutex fdmu;         /* (a) R51 */
	const struct conn_ops *ops;   /* (c) */
	struct lane *lane;            /* (c) */
	struct poll_desc *pd;         /* (c) until destroy */
	union {
		int fd;               /* conn_fd */
		struct sock *sk;      /* conn_stack */
	};
	uint8_t flags;                /* (o) CONN_F_* */
};

#define CONN_F_LISTENER 1u

struct conn_ops {
	const char *name;
	int (*listen)(struct lane *l, const struct pl_addr *addr, int backlog,
		      struct pl_conn **ret_conn);
	/* accept - one try: 0, -EAGAIN, -ECONNABORTED (try again), other -errno. */
	int (*accept)(struct pl_conn *c, struct pl_conn **ret_conn);
	/* dial_start - 0 connected at once; -EINPROGRESS with *ret_conn set; other -errno. */
	int (*dial_start)(struct lane *l, const struct pl_addr *addr, struct pl_conn **ret_conn);
	/* dial_check - after the wait for write: 0 connected, -EINPROGRESS wait again, -errno. */
	int (*dial_check)(struct pl_conn *c);
	/* read/write - one try: bytes, 0 (read: end of stream), -EAGAIN, other -errno. */
	ssize_t (*read)(struct pl_conn *c, void *buf, size_t len);
	ssize_t (*write)(struct pl_conn *c, const void *buf, size_t len);
	int (*shutdown)(struct pl_conn *c, int how);
	/* destroy - close the fd or sock; pd is evicted and closed before. Frees c. */
	void (*destroy)(struct pl_conn *c);
	int (*set_nodelay)(struct pl_conn *c, int on);
	int (*addr)(struct pl_conn *c, int peer, struct pl_addr *ret_addr);
};

#endif
