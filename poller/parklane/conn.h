/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that look blocking and park the goroutine, over Parklane's own stack or
 * kernel sockets: the same calls, the same -errno. One goroutine may read while another
 * writes; two readers (or two writers) take turns (R52).
 *
 * A connection belongs to the lane that made it. Over Parklane's stack only that lane's goroutines
 * read, write and accept on it, nor do others on one that was made over io_uring;
 * over epoll, and on adopted fds, those of all lanes may (and an accepted connection
 * belongs to the lane that accepted it). All other calls may come from any lane of the program:
 * where they have to, they park until the owner has done them, or the goroutine's ctx ends and the
 * owner has not begun: then they are not done at all.
 *
 * A call on a conn that is closed, and whose pl_close() has returned, says -EBADF: another
 * pl_close() too. That is for finding the mistake, not for living with it: after 64 further closes
 * of that lane at the earliest the memory may be a new conn's, on which the call then acts, as one
 * does on an fd's number. Once pl_run() has returned no conn may be handed to any call.
 *
 * Errors common to all calls: -EBADF closed (before or during the call); -EINVAL c or another
 * pointer is NULL (a buffer of length 0 may be); -ETIME the
 * deadline passed (TCP's own -ETIMEDOUT stays distinct); -ECONNRESET the peer reset;
 * -EPIPE a write after that, or after pl_shutdown (no SIGPIPE); -EHOSTUNREACH, -ENETUNREACH;
 * -ECANCELED or -ETIME the goroutine's ctx ended (ctx.h): all calls that can wait, but not
 * pl_close, since who gave it up would neither have the conn nor be rid of it; -EXDEV the caller
 * may not do that from its lane, or is on none. Errors stay: after a reset every read says
 * -ECONNRESET once the bytes that came before it are read, and every write -EPIPE; after the end of
 * the stream every read says 0.
 */
#ifndef PARKLANE_CONN_H
#define PARKLANE_CONN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <parklane/go.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which network a call is about. */
enum pl_net {
	PL_NET_AUTO,   /* the lane's device if it has one, else the kernel */
	PL_NET_STACK,  /* Parklane's stack over the lane's device */
	PL_NET_KERNEL, /* kernel sockets, by epoll or io_uring */
};

#define PL_AF_INET  2
#define PL_AF_INET6 10

struct pl_addr {
	uint16_t family; /* PL_AF_*; PL_AF_INET6 is refused for now with -EAFNOSUPPORT */
	uint16_t port;   /* host order */
	union {
		uint32_t v4;    /* network order; 0 = any */
		uint8_t v6[16]; /* network order */
	};
};

struct pl_conn;

/* pl_strerror - what an -errno (either sign) of any call of Parklane's means, in English; static.
 * An errno that none of them is documented with gets the system's text, a pl_ctx_cause() that is no
 * errno a text that says so. */
PL_API const char *pl_strerror(int err);

/* pl_addr_parse - "10.0.0.1:7" or ":7" (any address). 0; -EINVAL; -EAFNOSUPPORT an IPv6
 * address. Host names are not resolved. *ret_addr is untouched on failure. NULL: -EINVAL. */
PL_API int pl_addr_parse(const char *s, struct pl_addr *ret_addr);
/* pl_addr_format - "10.0.0.1:7" into buf (22 bytes suffice for IPv4), "?" if a is NULL; returns
 * buf, which is untouched if it is NULL or size 0. */
PL_API char *pl_addr_format(const struct pl_addr *a, char *buf, size_t size);

/* pl_listen - backlog < 1 means 1024. 0; -EADDRINUSE; -EADDRNOTAVAIL; -EINVAL no such net; -EMFILE;
 * -ENOBUFS; -ENOSPC as pl_adopt; -ENODEV PL_NET_STACK on a lane without a device, PL_NET_KERNEL in
 * virtual time; -EACCES a port below 1024 without the right to it. Port 0 is chosen; pl_local_addr
 * tells.
 *
 * With several lanes each listens for itself on the same port, once (else -EADDRINUSE). Over kernel
 * sockets the first of them finds the port taken as a single lane does; all end up with
 * SO_REUSEPORT, so that a program of the same user which sets that itself can join them later.
 * The caller owns *ret_conn. */
PL_API int pl_listen(enum pl_net net, const struct pl_addr *addr, int backlog,
		     struct pl_conn **ret_conn);
/* pl_listen_control - as pl_listen, with control(c, arg) before bind, as Go's ListenConfig.Control
 * (net/sock_posix.go, listenStream): for what decides who may bind (SO_REUSEPORT, to share a port
 * with other listeners of the same user; SO_REUSEADDR is on by then) and what a SYN-ACK carries
 * (TCP_MAXSEG, SO_RCVBUF, TCP_CONGESTION), and over kernel sockets for all of pl_conn_fd(c). What
 * accepted connections inherit may also be set later, but not for those that came first. control
 * may set and get options, but neither park nor close c, which is no listener yet. What it returns
 * but 0, -errno by convention, ends the call and is what pl_listen_control returns; c is gone then.
 * A lane of several has each port once, whatever it sets. control NULL: pl_listen. */
PL_API int pl_listen_control(enum pl_net net, const struct pl_addr *addr, int backlog,
			     int (*control)(struct pl_conn *c, void *arg), void *arg,
			     struct pl_conn **ret_conn);
/* pl_accept - parks until a connection is there. Goes on after -ECONNABORTED (R54).
 * 0; -EMFILE, -ENFILE, -ENOBUFS: out of fds or memory, try again: after the first of them in a row
 * each call waits first, 5 ms and twice that each time, up to 1 s; -ENOSPC as pl_adopt; -EINVAL
 * no listener; the common errors. The caller owns *ret_conn. */
PL_API int pl_accept(struct pl_conn *listener, struct pl_conn **ret_conn);
/* pl_dial - connect, parks until it is done. addr 0.0.0.0 means this host, as in Linux.
 * deadline: absolute pl_now() ns, 0 none; in the past it is refused at once with -ETIME.
 * 0; -ECONNREFUSED; -ETIMEDOUT; -EHOSTUNREACH; -ENETUNREACH; -EADDRNOTAVAIL ports exhausted;
 * -EINVAL port 0, broadcast or multicast, no such net; -ENODEV as pl_listen; -EMFILE, -ENFILE,
 * -ENOBUFS; -ENOSPC as pl_adopt; the common errors (R56). */
PL_API int pl_dial(enum pl_net net, const struct pl_addr *addr, uint64_t deadline,
		   struct pl_conn **ret_conn);
/* pl_dial_control - as pl_dial, with control(c, arg) before the first packet, as Go's
 * Dialer.Control: for what a SYN carries or decides (TCP_CONGESTION, SO_RCVBUF, TCP_MAXSEG,
 * TCP_SYNCNT, IP_TOS), and over kernel sockets for bind(2) and the like on pl_conn_fd(c). It may
 * set and get options, but neither park nor close c. What it returns but 0, -errno by convention,
 * ends the dial and is what pl_dial_control returns; c is gone then. control NULL: pl_dial. */
PL_API int pl_dial_control(enum pl_net net, const struct pl_addr *addr, uint64_t deadline,
			   int (*control)(struct pl_conn *c, void *arg), void *arg,
			   struct pl_conn **ret_conn);
/* pl_read - at least one byte, at most len. Bytes; 0 end of stream; -ENOTCONN a listener;
 * -EINVAL len above SSIZE_MAX; the common errors. len 0 returns 0 after the lock (R54). */
PL_API ssize_t pl_read(struct pl_conn *c, void *buf, size_t len);
/* pl_write - all of buf, unless an error comes: then the bytes written so far if any, else
 * -errno (R54). -EINVAL len above SSIZE_MAX. */
PL_API ssize_t pl_write(struct pl_conn *c, const void *buf, size_t len);
/* pl_readv, pl_writev - the same with nr buffers, which are one read or write: nobody else's bytes
 * come between (R52). Also -EINVAL: nr < 0 or > 1024, or the lengths' sum above SSIZE_MAX. */
PL_API ssize_t pl_readv(struct pl_conn *c, const struct iovec *iov, int nr);
PL_API ssize_t pl_writev(struct pl_conn *c, const struct iovec *iov, int nr);
/*
 * pl_raw_read, pl_raw_write - R55: with that direction's lock, fn(fd, arg) is called until it
 * returns anything but -EAGAIN, which is the result; after -EAGAIN, when the fd is ready again. For
 * recvmsg, sendfile and the like, without MSG_WAITALL. fn neither closes fd, which is non-blocking,
 * nor keeps it. -EOPNOTSUPP Parklane's stack, which has no fd, and what was dialled or accepted
 * over io_uring, whose fds block; the common errors.
 */
PL_API ssize_t pl_raw_read(struct pl_conn *c, ssize_t (*fn)(int fd, void *arg), void *arg);
PL_API ssize_t pl_raw_write(struct pl_conn *c, ssize_t (*fn)(int fd, void *arg), void *arg);
/* pl_shutdown - how as shutdown(2): 0 read, 1 write, 2 both. 0; -ENOTCONN; -EINVAL. */
PL_API int pl_shutdown(struct pl_conn *c, int how);
#define PL_ADOPT_KEEP 1u /* pl_close lets the fd go, open and as it was, instead of closing it */

/*
 * pl_adopt - a conn over any fd that epoll can watch: pipe, eventfd, timerfd, terminal, Unix
 * socket, a TCP socket made elsewhere. It becomes non-blocking, which all who share its open file
 * see. Success: the fd is the conn's (but for PL_ADOPT_KEEP); failure: it is as it was. Reads and
 * writes are read(2) and write(2), or recv and send; a listening socket may be accepted on.
 * 0; -EBADF not open; -EPERM a regular file or directory, which are always ready (pl_blocking);
 * -EEXIST this lane has adopted it already; -ENOSPC fs.epoll.max_user_watches is reached;
 * -ENOMEM; -EINVAL flags; -ENODEV virtual time; -EMFILE, -ENFILE the first fd that a lane on
 * io_uring adopts, which needs one more. Of the conn's calls: -ENOTSOCK pl_shutdown and addresses
 * of what is no socket, -EOPNOTSUPP addresses that are not IPv4, -EINVAL a direction that the fd is
 * not open for.
 */
PL_API int pl_adopt(int fd, unsigned flags, struct pl_conn **ret_conn);
/* pl_conn_fd - the fd below c, borrowed until pl_close; -EBADF; -EINVAL NULL; -EOPNOTSUPP as for
 * pl_raw_read. */
PL_API int pl_conn_fd(const struct pl_conn *c);

/* pl_close - wakes whoever waits on c with -EBADF, returns when the last user is out (R53).
 * 0; -EBADF the second time, at once. */
PL_API int pl_close(struct pl_conn *c);

/* Deadlines: absolute pl_now() ns; 0 none. One that has passed fails pending and later
 * calls with -ETIME until it is moved (R22-R29). 0; -EBADF. Write covers nothing of read.
 * On a listener the read deadline is accept's. */
PL_API int pl_set_deadline(struct pl_conn *c, uint64_t deadline);
PL_API int pl_set_read_deadline(struct pl_conn *c, uint64_t deadline);
PL_API int pl_set_write_deadline(struct pl_conn *c, uint64_t deadline);

/* pl_set_nodelay - TCP_NODELAY; on by default, as in Go. 0; -EBADF; -ENOPROTOOPT. */
PL_API int pl_set_nodelay(struct pl_conn *c, int on);
/*
 * pl_setsockopt, pl_getsockopt - as setsockopt(2), getsockopt(2), with the constants of
 * <netinet/tcp.h>, <netinet/in.h> and <sys/socket.h>. Over kernel sockets every option of the
 * kernel's; over Parklane's stack those of levels SOL_SOCKET, IPPROTO_IP and IPPROTO_TCP that
 * README lists, with the same checks and units. What an accepted conn begins with is its
 * listener's. 0; -EBADF; -EINVAL too short, or out of range; -ENOPROTOOPT no such option; -ENOENT
 * no such congestion control; -ENOTCONN IP_MTU without a path; -EPERM; -ENOTSOCK what pl_adopt took
 * and is none.
 */
PL_API int pl_setsockopt(struct pl_conn *c, int level, int name, const void *val, uint32_t len);
PL_API int pl_getsockopt(struct pl_conn *c, int level, int name, void *val, uint32_t *len);
/* pl_inq, pl_outq - bytes that a read would find; bytes written that the peer has not acknowledged
 * (SIOCINQ, SIOCOUTQ). -EINVAL a listener; -EBADF; -ENOTTY what pl_adopt took and has none. */
PL_API ssize_t pl_inq(struct pl_conn *c);
PL_API ssize_t pl_outq(struct pl_conn *c);
PL_API int pl_local_addr(struct pl_conn *c, struct pl_addr *ret_addr);
PL_API int pl_peer_addr(struct pl_conn *c, struct pl_addr *ret_addr);

#ifdef __cplusplus
}
#endif
#endif
