/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The netpoller: struct poll_desc is Go's pollDesc, with the semaphores rg and wg that a
 * goroutine parks on, its deadlines, and the contract of the backends below it. R-numbers
 * are the requirements of the house's netpoller.md.
 *
 * A backend turns its events into netpoll_ready(pd, mode). pds of stack conns make the
 * transitions with plain accesses (only their lane touches them: pd->local); pds of
 * kernel fds use locked ones, where there is more than one lane.
 */
#ifndef POLLER_NETPOLL_H
#define POLLER_NETPOLL_H

#include <stdbool.h>
#include <stdint.h>

#include "poller/gtimer.h"
#include "poller/lane.h"
#include "stack/base/compiler.h"
#include "stack/base/list.h"

struct conn_ops;
struct g;
struct netpoll;
struct netpoll_backend;
struct sock;

/* R1: rg/wg hold one of these or a struct g * (> PD_WAIT). */
#define PD_NIL   ((uintptr_t)0)
#define PD_READY ((uintptr_t)1)
#define PD_WAIT  ((uintptr_t)2)

/* Directions, and the modes of netpoll_ready. */
#define NETPOLL_READ  1u
#define NETPOLL_WRITE 2u

/* R18: bits of pd->info; fdseq in the bits above. */
#define PD_INFO_CLOSING    0x1u
#define PD_INFO_EVENT_ERR  0x2u
#define PD_INFO_RD_EXPIRED 0x4u
#define PD_INFO_WR_EXPIRED 0x8u
#define PD_INFO_SEQ_SHIFT  12 /* 20 bits of fdseq */

/* A request of a completion backend (R11), one per direction: the kernel has it, or its result
 * waits to be taken. Type-stable as the pd is, so that a completion finds it whatever happens. */
enum pd_req_state {
	PD_REQ_NONE,
	PD_REQ_SENT,
	PD_REQ_DONE,
};

struct pd_req {
	int32_t res;         /* (o) of a PD_REQ_DONE: >= 0 or -errno */
	uint32_t state : 2;  /* (o) enum pd_req_state */
	uint32_t fd : 1;     /* (o) res >= 0 is an fd, closed with the pd unless taken */
	uint32_t round : 29; /* (o) of the backend; see netpoll_uring.c */
};

struct poll_desc {
	/* cache line 0: what an event and a waiter touch */
	uintptr_t rg, wg;  /* (a) R1 */
	uint32_t info;     /* (a) R18, lock-free readers read only this */
	bool local;        /* (c) since it was carved: only the owner lane touches it */
	bool closing;      /* (l) */
	bool hup;          /* (a) since open: a FIN, hang-up, error or urgent mark came, so that a
			       * short read does not prove the stream empty (R9). The backend
			       * sets it before netpoll_ready; netpoll_open clears it */
	bool rearming;     /* (a) `rearm` is on its way */
	uint32_t fdseq;    /* (l) R21, 20 bits, never 0 */
	struct lane *lane; /* (c) since open */
	struct netpoll_backend *backend; /* (c) since open */
	union {
		int fd;          /* kernel backends */
		struct sock *sk; /* stack backend; NULL once closed (R16) */
	};
	uint32_t lock; /* pd lock (spin; never held across a park) */
	/* cache line 1: deadlines */
	int64_t rd, wd;              /* (l) R24: > 0 absolute ns, 0 none, -1 expired */
	uint32_t rseq, wseq;         /* (l) R26 */
	struct gtimer rt, wt;        /* (o) R25: rt serves both where rd == wd */
	struct poll_desc *free_next; /* cache of free pds (R17) */
	struct lane_msg rearm;       /* (r:inbox) another lane changed rd or wd */
	struct pd_req req[2];        /* (o) completion backends: read, write */
} ALIGNED(CACHE_LINE);

/* What a backend is. All calls on the owner lane's thread unless said. */
struct netpoll_ops {
	const char *name; /* "stack", "epoll", "uring" */
	/* fini - the end of a kernel backend: lane_create made it, lane_destroy ends it. */
	void (*fini)(struct netpoll_backend *nb);
	/* open - register pd edge-triggered in|out|rdhup (R14). 0 or -errno. A completion backend
	 * registers nothing. */
	int (*open)(struct netpoll_backend *nb, struct poll_desc *pd);
	/* close - deregister (R16); no event of pd's fdseq is delivered afterwards. A completion
	 * backend returns when the kernel has let go of pd's requests; it may park for that. */
	void (*close)(struct netpoll_backend *nb, struct poll_desc *pd);
	/*
	 * poll - R32: delay_ns < 0 block, 0 look, > 0 at most so long. Calls netpoll_ready() for
	 * what happened, which puts gs on the lane's run queue. Returns events seen, -errno only
	 * if nothing of R33 applies. The stack backend never blocks here.
	 */
	int (*poll)(struct netpoll_backend *nb, int64_t delay_ns);
	/* timers, output, next_timer - steps 3, 6 and 8 of the turn; NULL = has none. */
	unsigned (*timers)(struct netpoll_backend *nb, uint64_t now);
	unsigned (*output)(struct netpoll_backend *nb, uint64_t now);
	uint64_t (*next_timer)(struct netpoll_backend *nb); /* absolute ns, 0 none */
	/* sleep_fd - an fd that polls readable when poll() has work; -EOPNOTSUPP: must be
	 * polled. */
	int (*sleep_fd)(struct netpoll_backend *nb);
	/* prepare - kernel backends: somebody else's loop is about to wait on sleep_fd. As poll(0);
	 * afterwards the fd tells of all that a blocked poll() would return for. */
	int (*prepare)(struct netpoll_backend *nb);
	/* poll_far - R44: a look without blocking, by the monitor, for a lane that a g holds. What
	 * the lane's own polls must see (R36: the eventfd) stays. NULL where it cannot be. */
	void (*poll_far)(struct netpoll_backend *nb);
	/* brk - R35: any thread; makes a blocked poll() return. NULL where it never blocks. */
	void (*brk)(struct netpoll_backend *nb);
	/* below - of a completion backend: the readiness backend of the same lane that it polls,
	 * made by the first call (nb->below). 0; the -errno of netpoll_epoll_create(). NULL: this
	 * one tells readiness itself. */
	int (*below)(struct netpoll_backend *nb, struct netpoll_backend **ret_nb);
	/* watch - kernel backends: wake a blocked poll() while `fd`, a device's, is readable
	 * (level-triggered). fd stays the caller's. 0 or -errno. */
	int (*watch)(struct netpoll_backend *nb, int fd);
};

struct netpoll_backend {
	const struct netpoll_ops *ops;   /* (c) */
	const struct conn_ops *conn_ops; /* (c) the conns above it: so a program without a device
					  * does not link the stack in */
	struct lane *lane;               /* (c) */
	bool local;                      /* (c) its pds use plain accesses */
	bool solo;                     /* (c) so they do where the lane is alone: netpoll_plain() */
	struct netpoll_backend *below; /* (a) since ops->below() made it; NULL: has none */
	int64_t waiters;               /* (o) R30: parked gs of this backend; relaxed readers */
	int64_t waiters_far;     /* (a) what other threads added: the sum of both is R30's count */
	int32_t waiters_movable; /* (a) of them movable: the monitor polls for those alone (R44) */
	uint32_t pending; /* (o) requests that wait for the next poll(); 0 without completions */
};

/* ---- for the conn layer: inside a goroutine of pd's lane ---- */

/* netpoll_plain - do pds and conns of nb that are opened now use plain accesses? */
bool netpoll_plain(const struct netpoll_backend *nb);
/* netpoll_open - R14: a pd for fd (epoll) or sk (stack; fd ignored). 0; -ENOMEM; or the
 * backend's -errno. */
MUST_USE int netpoll_open(struct netpoll_backend *nb, int fd, struct sock *sk,
			  struct poll_desc **ret_pd);
/* netpoll_evict - R15: set closing and wake all; fatal if already closing. Owner lane. */
void netpoll_evict(struct poll_desc *pd);
/* netpoll_abandon - as evict, of a lane that is being destroyed: nobody is woken, since no g runs
 * any more and the lanes of those that wait may be gone. Also after evict. */
void netpoll_abandon(struct poll_desc *pd);
/* netpoll_close - R16: fatal unless evicted; before the fd or sock itself is closed. Owner lane. */
void netpoll_close(struct poll_desc *pd);
/* netpoll_reset - R9: 0 and the word is NIL, or the pending error. mode: one direction. */
MUST_USE int netpoll_reset(struct poll_desc *pd, unsigned mode);
/* netpoll_wait - R10: park until ready. 0; -EBADF; -ETIME; -EIO; or, after these, -ECANCELED or
 * -ETIME of the g's ctx, which netpoll_reset() tells too. */
MUST_USE int netpoll_wait(struct poll_desc *pd, unsigned mode);
/* netpoll_wait_canceled - R11: until READY, ignoring close and deadlines. */
void netpoll_wait_canceled(struct poll_desc *pd, unsigned mode);
/* netpoll_set_deadline - R22-R28: absolute ns of the lane's clock, 0 none, past = expired.
 * mode: NETPOLL_READ | NETPOLL_WRITE. */
void netpoll_set_deadline(struct poll_desc *pd, uint64_t deadline, unsigned mode);
/* netpoll_check_err - R12's order for one direction: 0, -EBADF, -ETIME, -EIO. */
int netpoll_check_err(const struct poll_desc *pd, unsigned mode);

/* ---- for backends ---- */

/* netpoll_ready - R6/R7 with ioready: each direction in `mode` becomes READY and its waiter
 * runnable, on its own lane. A local pd: owner lane; else whoever polls its backend. */
void netpoll_ready(struct poll_desc *pd, unsigned mode);
/* netpoll_waiters - R30: gs parked on nb's pds, and on those of the backend below it. Exact for the
 * owner lane, if no other lane is inside a park or wake right now; any thread. */
int64_t netpoll_waiters(const struct netpoll_backend *nb);
/* netpoll_set_event_err - R13, R20. */
void netpoll_set_event_err(struct poll_desc *pd, bool err, uint32_t seq);

#endif
