/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside libparklane-pkt.so: one stack in virtual time behind packetdrill's calls.
 *
 * Time stands still but for packetdrill's usleep, gettimeofday (a microsecond a look, so that who
 * spins on it gets on) and netdev_receive (until a packet leaves). It goes from timer to timer, and
 * the stack has a turn at each. A call of the script's is followed by a turn at the same instant:
 * what it made sendable leaves then, as in the kernel.
 *
 * Threads: packetdrill's own, and a second one for calls that the script expects to block. That one
 * really sleeps, as packetdrill looks into /proc for it; who moves time wakes it after each turn
 * and waits until it has tried again. One lock around everything: the stack has one owner at a
 * time.
 *
 * The object is preloaded as well as given as --so_filename, since packetdrill's last close() of
 * each socket, its getsockopt(TCP_INFO), sendfile() and system() go to libc (pkt_libc.c).
 */
#ifndef TESTS_PKT_PKT_H
#define TESTS_PKT_PKT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "stack/sock.h"
#include "stack/stack_int.h"
#include "tests/pkt/ifc.h"

#define PKT_FD_BASE 100000 /* above what the kernel gives out */
#define PKT_FDS     64
#define PKT_WATCHES 64
/* virtual time without a packet after which netdev_receive gives up: longer than any RTO */
#define PKT_PATIENCE (300 * NSEC_PER_SEC)

enum pkt_kind {
	PKT_FREE,
	PKT_SOCK,
	PKT_EPOLL,
};

/* One of our fds. */
struct pkt_fd {
	enum pkt_kind kind;
	int flags;       /* O_NONBLOCK */
	bool connecting; /* connect() began and nobody was told its end */
	struct sock *sk; /* of PKT_SOCK */
};

/* One fd in one epoll set. */
struct pkt_watch {
	struct pkt_fd *set, *of; /* set NULL: not in use */
	struct epoll_event ev;
	bool queued; /* an event came since it was last reported, or it was just added */
	bool off;    /* EPOLLONESHOT was reported */
};

struct pkt_frame {
	struct pkt_frame *next;
	uint64_t ns;
	unsigned len;
	uint8_t bytes[];
};

struct pkt_frames {
	struct pkt_frame *head, **tail;
};

struct pkt_world {
	pthread_mutex_t lock; /* held in every call */
	pthread_cond_t wake;  /* the sleepers may try again */
	pthread_cond_t quiet; /* all of them have */
	unsigned asleep, woken;
	bool ended;       /* a call that slept is over, and its thread did not ask when yet */
	bool told;        /* it did, since pkt_let_end() */
	uint64_t gen;     /* of wakes */
	uint64_t wake_at; /* the earliest end of a sleeper's patience; 0 none */
	uint64_t now;
	struct stack *st;
	struct skb_pool *pool;
	struct netdev dev;
	struct pkt_frames in, out;
	struct pkt_fd fds[PKT_FDS];
	struct pkt_watch watches[PKT_WATCHES];
};

extern struct pkt_world pkt_world;

/* ---- pkt_dev.c: the device and its frames ---- */
void pkt_dev_init(struct pkt_world *w, uint16_t mtu);
/* pkt_dev_push - n bytes of an IP packet will be the next to be received. */
void pkt_dev_push(struct pkt_world *w, const void *packet, size_t n);
/* pkt_dev_pop - the oldest packet sent, the caller's to free(); NULL none. */
struct pkt_frame *pkt_dev_pop(struct pkt_world *w);

/* ---- pkt_time.c ---- */
/* pkt_turn - the stack gets on until nothing is left to do at this instant; then the sleepers. */
void pkt_turn(struct pkt_world *w);
/* pkt_step - move time to the next timer, but not beyond `until` (ns); a turn. False: no timer
 * before it, time is `until` now. */
bool pkt_step(struct pkt_world *w, uint64_t until);
/* pkt_block - try(arg) with a turn after it, again and again while it says -EAGAIN and neither
 * `nonblock` nor `deadline` (ns, 0 none) says otherwise. Returns its last word; -EDEADLK where
 * nothing could ever wake it. */
long pkt_block(struct pkt_world *w, bool nonblock, uint64_t deadline, long (*try)(void *arg),
	       void *arg);
/* pkt_let_end - wait, in real time, until a thread whose call ended has told packetdrill so: else
 * what the script does next, at a later instant of virtual time, may come before. Without the
 * lock. */
void pkt_let_end(struct pkt_world *w);
/* pkt_clock_ns - what this thread is told of the time: the instant at which its blocking call
 * ended, once; else now, which it moves. */
uint64_t pkt_clock_ns(struct pkt_world *w);

static inline void pkt_lock(struct pkt_world *w)
{
	(void)pthread_mutex_lock(&w->lock);
}

static inline void pkt_unlock(struct pkt_world *w)
{
	(void)pthread_mutex_unlock(&w->lock);
}

/* pkt_answer - leave a call: -errno becomes -1 and errno. */
long pkt_answer(struct pkt_world *w, long r);

/* ---- pkt_sock.c, pkt_io.c, pkt_poll.c, pkt_opt.c: the calls ---- */
/* pkt_fd_of - the struct of one of our fds; NULL: not ours, or closed. */
struct pkt_fd *pkt_fd_of(struct pkt_world *w, int fd);
/* pkt_fd_new - the lowest free fd, of `kind`; -EMFILE. */
int pkt_fd_new(struct pkt_world *w, enum pkt_kind kind);
/* pkt_sock_of - the sock behind fd; NULL: not a socket of ours. */
struct sock *pkt_sock_of(struct pkt_world *w, int fd);
static inline bool pkt_is_ours(int fd)
{
	return fd >= PKT_FD_BASE && fd < PKT_FD_BASE + PKT_FDS;
}
/* pkt_close - of one of our fds. 0; -EBADF. */
int pkt_close(struct pkt_world *w, int fd);
/* pkt_event - an event of the kinds in `key` (EPOLL*) reached fd f. */
void pkt_event(struct pkt_world *w, struct pkt_fd *f, uint32_t key);
/* pkt_poll_forget - f is closed: out of all sets. */
void pkt_poll_forget(struct pkt_world *w, struct pkt_fd *f);
long pkt_getsockopt(struct pkt_world *w, int fd, int level, int opt, void *val, socklen_t *len);
long pkt_recv_iov(struct pkt_world *w, int fd, const struct iovec *iov, size_t nr, int flags);
long pkt_send_iov(struct pkt_world *w, int fd, const struct iovec *iov, size_t nr, int flags);

void pkt_sock_calls(struct pkt_ifc *ifc);
void pkt_io_calls(struct pkt_ifc *ifc);
void pkt_poll_calls(struct pkt_ifc *ifc);
void pkt_opt_calls(struct pkt_ifc *ifc);

/* ---- pkt_sysctl.c ---- */
/* pkt_sysctl_sync - give the stack what this network namespace's /proc/sys says of each setting
 * that it knows by that name. */
void pkt_sysctl_sync(struct pkt_world *w);
/* pkt_qdisc_sync - a queueing discipline of no length on tun0 refuses frames: so does our
 * device. */
void pkt_qdisc_sync(struct pkt_world *w);

#endif
