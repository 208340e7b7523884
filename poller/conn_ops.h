/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a backend of the conn API is: one non-blocking try of each operation. conn.c, which
 * is written once, adds the fd_mutex, the reset/try/wait loop, deadlines and close. A
 * completion backend's try is the operation itself: it parks until that is over, a deadline
 * passed or the conn was closed (R11), and never says -EAGAIN. All calls run on the owner
 * lane, inside a goroutine.
 */
#ifndef POLLER_CONN_OPS_H
#define POLLER_CONN_OPS_H

#include <parklane/conn.h>

#include "poller/fd_mutex.h"
#include "poller/netpoll.h"
#include "stack/base/list.h"

struct conn_ops;

struct pl_conn {
	/* cache line 0: what every read and write touches */
	const struct conn_ops *ops; /* (c) */
	struct lane *lane;          /* (c) */
	struct poll_desc *pd;       /* (c) until destroy */
	union {
		int fd;          /* conn_fd */
		struct sock *sk; /* conn_stack */
	};
	uint8_t flags;         /* (o) CONN_F_* */
	struct fd_mutex fdmu;  /* (a) R51; its queues are on line 1 */
	struct list_head link; /* (o) lane_conns(), from birth to destroy */
};

_Static_assert(offsetof(struct pl_conn, fdmu) + offsetof(struct fd_mutex, q) == CACHE_LINE,
	       "a read or write that does not wait touches one line");

#define CONN_F_LISTENER   0x01u
#define CONN_F_RD_DRAINED 0x02u /* the last read was short: wait before the next try (R9) */
#define CONN_F_EOF        0x04u /* a read met the end of the stream: so will all others */
#define CONN_F_RESET      0x08u /* the peer's reset was reported once (R12) */

/* conn_alloc - a conn of l on backend nb, on the lane's list, its mutex ready; pd and fd or sk
 * are the caller's to fill. NULL without memory. conn_free - its end. */
MUST_USE struct pl_conn *conn_alloc(struct netpoll_backend *nb, const struct conn_ops *ops);
void conn_free(struct pl_conn *c);

/* conn_drop - the end of a conn that no user has seen. */
void conn_drop(struct pl_conn *c);

/* conn_lane_fini - close whatever is still open on a lane that is being destroyed. No g runs
 * any more; those that wait on a conn are only unhooked from it. */
void conn_lane_fini(struct lane *l);

struct conn_ops {
	const char *name;
	/* completion - a write that says -ECONNRESET was parked when the reset came; one that
	 * came before is -EPIPE here already. */
	bool completion;
	int (*listen)(struct lane *l, const struct pl_addr *addr, int backlog,
		      struct pl_conn **ret_conn);
	/* accept - one try: 0, -EAGAIN, -ECONNABORTED (try again), other -errno. */
	int (*accept)(struct pl_conn *c, struct pl_conn **ret_conn);
	/* dial_start - 0 connected at once; -EINPROGRESS with *ret_conn set; other -errno. */
	int (*dial_start)(struct lane *l, const struct pl_addr *addr, struct pl_conn **ret_conn);
	/* dial_check - after the wait for write: 0 connected, -EINPROGRESS wait again, -errno. */
	int (*dial_check)(struct pl_conn *c);
	/* read/write - one try: bytes, 0 (read: end of stream), -EAGAIN, other -errno. A write
	 * shorter than len means full, and that an edge will tell of room (one of a completion
	 * backend leaves it behind at once). */
	ssize_t (*read)(struct pl_conn *c, void *buf, size_t len);
	ssize_t (*write)(struct pl_conn *c, const void *buf, size_t len);
	int (*shutdown)(struct pl_conn *c, int how);
	/* destroy - close the fd or sock; pd is evicted and closed before. conn.c frees c. */
	void (*destroy)(struct pl_conn *c);
	int (*set_nodelay)(struct pl_conn *c, int on);
	int (*addr)(struct pl_conn *c, int peer, struct pl_addr *ret_addr);
};

#endif
