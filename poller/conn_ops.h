/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a backend of the conn API is: one non-blocking try of each operation. conn.c, which
 * is written once, adds the fd_mutex, the reset/try/wait loop, deadlines and close. A
 * completion backend's try is the operation itself: it parks until that is over, a deadline
 * passed or the conn was closed (R11), and never says -EAGAIN. All calls run inside a goroutine
 * of the owner lane, or, where `shared`, of any of its group.
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
	struct poll_desc *pd;       /* (c) until destroy; then NULL */
	union {
		int fd;          /* conn_fd */
		struct sock *sk; /* conn_stack */
	};
	uint8_t kind;          /* (c) since birth: CONN_K_* */
	uint8_t rflags;        /* (r) under the read lock: CONN_F_* */
	uint8_t wflags;        /* (w) under the write lock; (a) for readers */
	uint8_t backoff;       /* (r) accepts in a row that lacked fds or memory */
	uint32_t holds;        /* (a) conn_hold(); CONN_DEAD, CONN_FREE */
	struct fd_mutex fdmu;  /* (a) R51; its queues are on line 1 */
	struct list_head link; /* (l) one of the lane's three lists of conns */
};

_Static_assert(offsetof(struct pl_conn, fdmu) + offsetof(struct fd_mutex, q) == CACHE_LINE,
	       "a read or write that does not wait touches one line");

#define CONN_K_LISTENER     0x01u
#define CONN_K_LOOSE        0x02u /* adopted: a short read or an end proves nothing for the next */
#define CONN_K_FILE         0x04u /* adopted, and no socket */
#define CONN_K_PIPE         0x08u /* a write may raise SIGPIPE */
#define CONN_K_KEEP         0x10u /* the fd stays the user's */
#define CONN_K_WAS_BLOCKING 0x20u /* as which it is given back */

#define CONN_F_RD_DRAINED 0x01u /* r: the last read was short: wait before the next try (R9) */
#define CONN_F_EOF        0x02u /* r: a read met the end of the stream: so will all others */
#define CONN_F_RESET      0x04u /* r, w: the peer's reset was reported once (R12) */

/* In pl_conn.holds. */
#define CONN_DEAD 0x80000000u /* destroyed; free with the last hold */
#define CONN_FREE                                                                                  \
	0x40000000u /* it rests or is spare: holds of calls that come too late are nothing */

/* conn_noted_reset - did a read or a write report it? By a reader. */
static inline bool conn_noted_reset(const struct pl_conn *c)
{
	return (c->rflags | READ_ONCE(c->wflags)) & CONN_F_RESET;
}

/* conn_note_reset - by a writer. */
static inline void conn_note_reset(struct pl_conn *c)
{
	WRITE_ONCE(c->wflags, c->wflags | CONN_F_RESET);
}

/* conn_new - a conn of nb's lane over fd, or sk unless NULL, which stay the caller's on failure. 0;
 * -ENOMEM; netpoll_open()'s. Owner lane. conn_free - its end: pd and fd or sock are closed. */
MUST_USE int conn_new(struct netpoll_backend *nb, const struct conn_ops *ops, int fd,
		      struct sock *sk, uint8_t kind, struct pl_conn **ret_conn);
void conn_free(struct pl_conn *c);
/* conn_hold, conn_put - the memory (not what is in it) stays until the last put: for closers, and
 * calls on their way to the owner lane. Any lane of the group. */
void conn_hold(struct pl_conn *c);
void conn_put(struct pl_conn *c);

/* conn_kin - may self (NULL: no lane) call the owner of c, another lane? */
bool conn_kin(const struct pl_conn *c, const struct lane *self);
/*
 * conn_far - fn(c, arg) on the thread of c's lane, which is another one of the caller's group,
 * between goroutines: fn may not park. The caller does until it is done. c may be closed
 * meanwhile. What fn returns, or lane_call().
 */
MUST_USE int conn_far(struct pl_conn *c, int (*fn)(struct pl_conn *c, void *arg), void *arg);
/* conn_far_close - pl_close() there. 0; -EBADF. */
MUST_USE int conn_far_close(struct pl_conn *c);
/* conn_close_for - the owner lane's half of it: close c for g, which is parked on another lane.
 * 0, and g is made ready once the last user is out and c destroyed, be it at once; *closer stays
 * until then. -EBADF closed already: g is still the caller's to wake. */
MUST_USE int conn_close_for(struct pl_conn *c, struct fdm_closer *closer, struct g *g);

/* conn_drop - the end of a conn that no user has seen. */
void conn_drop(struct pl_conn *c);

/* conn_lane_init, conn_lane_free - the memory of a lane's conns. When it is freed no thread may
 * make a call on one of them any more. */
void conn_lane_init(struct lane *l);
void conn_lane_free(struct lane *l);
/* conn_lane_fini - close whatever is still open on a lane that is being destroyed. No g runs
 * any more; those that wait on a conn are only unhooked from it. */
void conn_lane_fini(struct lane *l);

/* What the user of pl_dial_control() or pl_listen_control() does with the conn before it connects
 * or is bound. fn NULL: nothing. */
struct conn_control {
	int (*fn)(struct pl_conn *c, void *arg);
	void *arg;
	int err; /* what it returned */
};

/* conn_control - 0, or what ended the dial or the listen: c is gone then. */
MUST_USE int conn_control(struct pl_conn *c, struct conn_control *ctl);

struct conn_ops {
	const char *name;
	/* completion - a write that says -ECONNRESET was parked when the reset came; one that
	 * came before is -EPIPE here already. */
	bool completion;
	/* shared - c->fd is a kernel's, and tries tell by -EAGAIN: raw calls work. R40: any lane of
	 * the group may try, and the conn that an accept brings belongs to the lane that called.
	 * destroy is the owner lane's, within a goroutine or not. */
	bool shared;
	/* listen - ctl is called before bind(2), on what is no listener yet. */
	int (*listen)(struct lane *l, const struct pl_addr *addr, int backlog,
		      struct conn_control *ctl, struct pl_conn **ret_conn);
	/* accept - one try: 0, -EAGAIN, -ECONNABORTED (try again), other -errno. */
	int (*accept)(struct pl_conn *c, struct pl_conn **ret_conn);
	/* dial_start - 0 connected at once; -EINPROGRESS with *ret_conn set; other -errno. ctl is
	 * called before the first packet. */
	int (*dial_start)(struct lane *l, const struct pl_addr *addr, struct conn_control *ctl,
			  struct pl_conn **ret_conn);
	/* dial_check - after the wait for write: 0 connected, -EINPROGRESS wait again, -errno. */
	int (*dial_check)(struct pl_conn *c);
	/* read/write - one try: bytes, 0 (read: end of stream), -EAGAIN, other -errno. A write
	 * shorter than len means full, and that an edge will tell of room (one of a completion
	 * backend leaves it behind at once). */
	ssize_t (*read)(struct pl_conn *c, void *buf, size_t len);
	ssize_t (*write)(struct pl_conn *c, const void *buf, size_t len);
	/* readv/writev - the same for several buffers; NULL: one after the other. */
	ssize_t (*readv)(struct pl_conn *c, const struct iovec *iov, int nr);
	ssize_t (*writev)(struct pl_conn *c, const struct iovec *iov, int nr);
	int (*shutdown)(struct pl_conn *c, int how);
	/* destroy - close the fd or sock; pd is evicted and closed before. conn.c frees c. */
	void (*destroy)(struct pl_conn *c);
	/* setopt/getopt - of Linux's levels and names; *len as for getsockopt(2). */
	int (*setopt)(struct pl_conn *c, int level, int name, const void *val, uint32_t len);
	int (*getopt)(struct pl_conn *c, int level, int name, void *val, uint32_t *len);
	/* queued - bytes that came and were not read, or (out) that are not acknowledged. */
	int64_t (*queued)(struct pl_conn *c, bool out);
	int (*addr)(struct pl_conn *c, int peer, struct pl_addr *ret_addr);
};

#endif
