/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct sock: what a socket's user sees of it, with Linux's field names and its four
 * callbacks. Calls are POSIX-shaped, never block, and return -errno. Owner lane only.
 *
 * Lifetime: a sock is its creator's until sock_close(); after that the stack finishes
 * the connection (FIN-WAIT, TIME-WAIT) alone and the pointer may not be used. A sock's
 * memory is type-stable: late events may look at it (architecture.md rule 5).
 *
 * Callbacks only mark and enqueue (rule 6): they run in the middle of a burst, may not
 * call back into the stack and may not free the sock.
 */
#ifndef STACK_SOCK_H
#define STACK_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stack/addr.h"
#include "stack/base/compiler.h"
#include "stack/skb.h"
#include "stack/sock_opt.h"

struct stack;
struct sock;

/* RFC 9293 3.3.2, numbered as in Linux so that tools read the same. */
enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_STATE_MAX
};

/* tcp_state_name - "ESTABLISHED"; "?" for an unknown one. */
const char *tcp_state_name(unsigned state);

#define RCV_SHUTDOWN  1u
#define SEND_SHUTDOWN 2u

/* sk_poll bits, with the meaning of EPOLL*. sock_poll() and R34 use them. */
#define SK_POLLIN    0x001u
#define SK_POLLOUT   0x004u
#define SK_POLLERR   0x008u
#define SK_POLLHUP   0x010u
#define SK_POLLRDHUP 0x2000u

struct sock {
	struct stack *sk_stack;  /* (c) */
	uint8_t sk_state;        /* (o) enum tcp_state; written by tcp_set_state() alone */
	uint8_t sk_shutdown;     /* (o) RCV_SHUTDOWN | SEND_SHUTDOWN */
	uint8_t sk_family;       /* (c) SK_AF_INET */
	uint8_t sk_dead;         /* (o) closed by its user: no callbacks any more */
	int sk_err;              /* (o) pending error, positive errno; 0 none */
	uint32_t sk_rcvbuf;      /* (o) bytes of truesize that the receive side may pin */
	uint32_t sk_sndbuf;      /* (o) likewise for the send side */
	uint32_t sk_rmem_alloc;  /* (o) truesize in receive and out-of-order queue */
	uint32_t sk_wmem_queued; /* (o) truesize in the write queue */
	uint32_t sk_rcvlowat;    /* (o) bytes that must be there before sk_data_ready; >= 1 */
	bool sk_want_write;      /* (o) the user met -EAGAIN in send: sk_write_space is owed */
	uint8_t sk_tos, sk_ttl;  /* (o) of every segment; the low two bits of tos are ECN's */
	struct sk_buff_head sk_receive_queue; /* (o) in-order bytes for the user */
	struct sk_buff_head sk_write_queue;   /* (o) sent-unacked, then unsent */

	void *sk_user_data;                       /* (o) the poller's pd; NULL = nobody listens */
	void (*sk_data_ready)(struct sock *sk);   /* bytes, a FIN, or a connection to accept */
	void (*sk_write_space)(struct sock *sk);  /* room again, by Linux's one-third rule */
	void (*sk_state_change)(struct sock *sk); /* connected, FIN or RST came, closed */
	void (*sk_error_report)(struct sock *sk); /* sk_err was set */

	struct sk_addr sk_local, sk_peer; /* (o) */
	uint64_t sk_seq;                  /* (o) bumped whenever the object is recycled (rule 5) */
};

/*
 * sock_create - a TCP socket of `family`. 0; -EAFNOSUPPORT other than SK_AF_INET;
 * -ENOBUFS when the stack's sock table is full. *ret_sk is untouched on failure.
 */
MUST_USE int sock_create(struct stack *st, unsigned family, struct sock **ret_sk);

/*
 * sock_bind - choose the local address. Port 0 is chosen at listen or connect. 0;
 * -EADDRNOTAVAIL not an address of this stack (0 = any is fine); -EADDRINUSE others have the port,
 * and not all of them and sk share it (SO_REUSEADDR, SO_REUSEPORT: tcp_port_bind()); -EINVAL
 * already bound or connected; -ENOBUFS.
 */
MUST_USE int sock_bind(struct sock *sk, const struct sk_addr *addr);

/* sock_listen - backlog + 1 connections, as in Linux, may wait in each of the SYN and the accept
 * queue (backlog is clamped to the setting somaxconn). 0; -EINVAL not bound or not closed;
 * -EADDRINUSE as sock_bind, or ports exhausted; -ENOBUFS. */
MUST_USE int sock_listen(struct sock *sk, unsigned backlog);

/* sock_accept - take the oldest established connection: the caller owns *ret_sk. 0;
 * -EAGAIN none; -EINVAL not listening. */
MUST_USE int sock_accept(struct sock *sk, struct sock **ret_sk);

/*
 * sock_connect - start the handshake. -EINPROGRESS started: sk_write_space or
 * sk_error_report tells the end; -EISCONN, -EALREADY; -EADDRNOTAVAIL ports exhausted, or the
 * bound one is connected to this peer, or was and its TIME-WAIT may not go (tcp_tw_reuse);
 * -ENETUNREACH no route; -EINVAL broadcast, multicast, port 0; -EAFNOSUPPORT.
 */
MUST_USE int sock_connect(struct sock *sk, const struct sk_addr *peer);

/*
 * sock_recv - copy at most len bytes of the receive queue into buf. Bytes copied; 0 at
 * the peer's FIN; -EAGAIN nothing yet; -ENOTCONN never connected; else the pending
 * error (-ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH ...), which is cleared by it.
 */
MUST_USE ssize_t sock_recv(struct sock *sk, void *buf, size_t len);

/*
 * sock_send - copy at most len bytes into the write queue; sent at the turn's output
 * step. Bytes taken (maybe fewer than len); -EAGAIN the queue is full (sk_write_space
 * will tell); -EPIPE after shutdown or reset; -ENOTCONN; or the pending error.
 */
MUST_USE ssize_t sock_send(struct sock *sk, const void *buf, size_t len);

/* sock_send_more - the same, and more will follow at once (MSG_MORE): what does not fill a segment
 * waits for it, for the peer's next ACK, or for an RTO. */
MUST_USE ssize_t sock_send_more(struct sock *sk, const void *buf, size_t len);

/* sock_shutdown - how: RCV_SHUTDOWN | SEND_SHUTDOWN. 0; -ENOTCONN. */
int sock_shutdown(struct sock *sk, unsigned how);

/*
 * sock_close - the user lets go. Unread data sends RST (RFC 2525 2.17), else FIN after
 * what is queued. A listener resets what waits in its queues. No callback runs for this
 * sock during or after the call.
 */
void sock_close(struct sock *sk);

/* sock_abort - as sock_close, but by RST at once (RFC 9293 3.10.5). For users of the stack itself:
 * the conn API has no such call. */
void sock_abort(struct sock *sk);

/* sock_error - take the pending error: 0 or a negative errno, cleared. */
int sock_error(struct sock *sk);

/* sock_poll - SK_POLL* bits that hold now: for a user without callbacks, the stack's tests. */
unsigned sock_poll(const struct sock *sk);

/*
 * sock_setopt - setsockopt(2): the options of sock_opt.h, len bytes at val (an int, mostly).
 * 0; -EINVAL too short, or out of range; -ENOPROTOOPT no such option, or not to be set; -ENOENT
 * no such congestion control; -EPERM TCP_TIMESTAMP.
 */
MUST_USE int sock_setopt(struct sock *sk, int level, int name, const void *val, uint32_t len);
/* sock_getopt - getsockopt(2): at most *len bytes to val, *len as many as they were. 0;
 * -ENOPROTOOPT; -ENOTCONN IP_MTU of a socket without a path. */
MUST_USE int sock_getopt(struct sock *sk, int level, int name, void *val, uint32_t *len);

/* sock_setopt_int - the same for what is an int. */
MUST_USE static inline int sock_setopt_int(struct sock *sk, int level, int name, int val)
{
	return sock_setopt(sk, level, name, &val, sizeof(val));
}

/* sock_inq - bytes that sock_recv would find (SIOCINQ); -EINVAL a listener. */
int64_t sock_inq(const struct sock *sk);
/* sock_outq - bytes in the write queue that the peer has not acknowledged, a FIN counting as one
 * (SIOCOUTQ), or, not_sent, that never left (SIOCOUTQNSD); -EINVAL a listener. */
int64_t sock_outq(const struct sock *sk, bool not_sent);

#endif
