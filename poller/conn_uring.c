/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel sockets under the conn API by completion (R11): each try is the whole call, in which the
 * g parks. The sockets block: a request of a non-blocking one would say -EAGAIN instead of
 * waiting. Sends are not asked to wait for all: one that is cancelled half way could not say on
 * every kernel how much went out.
 */
#include "poller/conn_uring.h"

#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>

#include "poller/conn_fd_int.h"
#include "poller/lane_int.h"
#include "poller/netpoll_uring.h"

/* EINTR: a signal met a try that the kernel made for us. EAGAIN: it could not keep the request
 * waiting (memory). The lane turns before the next try, so neither loop is a busy one. */
static bool again(ssize_t res)
{
	return unlikely(res == -EINTR || res == -EAGAIN);
}

static ssize_t conn_uring_read(struct pl_conn *c, void *buf, size_t len)
{
	struct io_uring_sqe *sqe;
	ssize_t n;

	do {
		sqe = netpoll_uring_sqe(c->pd->backend);
		if (unlikely(!sqe))
			return -ENOBUFS;
		io_uring_prep_recv(sqe, c->fd, buf, len, 0);
		netpoll_uring_start(c->pd, NETPOLL_READ, sqe, false);
		n = netpoll_uring_wait(c->pd, NETPOLL_READ);
	} while (again(n));
	return n;
}

/* write_reset - R12: Linux says ECONNRESET once and then EPIPE, to whom a reset that came before
 * is news as well. */
static COLD ssize_t write_reset(struct pl_conn *c)
{
	if (netpoll_uring_waited(c->pd, NETPOLL_WRITE))
		return -ECONNRESET;
	conn_note_reset(c);
	return -EPIPE;
}

static ssize_t conn_uring_write(struct pl_conn *c, const void *buf, size_t len)
{
	struct io_uring_sqe *sqe;
	ssize_t n;

	do {
		sqe = netpoll_uring_sqe(c->pd->backend);
		if (unlikely(!sqe))
			return -ENOBUFS;
		io_uring_prep_send(sqe, c->fd, buf, len, MSG_NOSIGNAL);
		netpoll_uring_start(c->pd, NETPOLL_WRITE, sqe, false);
		n = netpoll_uring_wait(c->pd, NETPOLL_WRITE);
	} while (again(n));
	if (unlikely(n == -ECONNRESET))
		return write_reset(c);
	/* Room is what the next request waits for: no edge will tell. */
	if (n > 0 && (size_t)n < len)
		netpoll_ready(c->pd, NETPOLL_WRITE);
	return n;
}

static int conn_uring_listen(struct lane *l, const struct pl_addr *addr, int backlog,
			     struct conn_control *ctl, struct pl_conn **ret_conn)
{
	return conn_fd_listen_on(lane_kernel_backend(l), 0, addr, backlog, ctl, ret_conn);
}

static int conn_uring_accept(struct pl_conn *c, struct pl_conn **ret_conn)
{
	struct io_uring_sqe *sqe;
	int fd;

	do {
		sqe = netpoll_uring_sqe(c->pd->backend);
		if (!sqe)
			return -ENOBUFS;
		io_uring_prep_accept(sqe, c->fd, NULL, NULL, SOCK_CLOEXEC);
		netpoll_uring_start(c->pd, NETPOLL_READ, sqe, true);
		fd = netpoll_uring_wait(c->pd, NETPOLL_READ);
	} while (again(fd));
	if (fd < 0)
		return fd;
	return conn_fd_new(c->pd->backend, fd, 0, ret_conn);
}

static int conn_uring_dial_start(struct lane *l, const struct pl_addr *addr,
				 struct conn_control *ctl, struct pl_conn **ret_conn)
{
	struct netpoll_backend *nb = lane_kernel_backend(l);
	int fd = conn_fd_socket(l, 0), err;
	struct io_uring_sqe *sqe;
	struct sockaddr_in sin;
	struct pl_conn *c;

	if (fd < 0)
		return fd;
	err = conn_fd_new(nb, fd, 0, &c);
	if (!err)
		err = conn_control(c, ctl);
	if (err)
		return err;
	sqe = netpoll_uring_sqe(nb);
	if (!sqe) {
		conn_drop(c);
		return -ENOBUFS;
	}
	conn_fd_sockaddr(addr, &sin);
	io_uring_prep_connect(sqe, fd, (struct sockaddr *)&sin, sizeof(sin));
	netpoll_uring_start(c->pd, NETPOLL_WRITE, sqe, false);
	/* sin is read when the kernel gets the request, and ends with this frame */
	netpoll_uring_flush(nb);
	*ret_conn = c;
	return -EINPROGRESS;
}

/* conn_uring_dial_check - R56: the completion is the connection, or why there is none. */
static int conn_uring_dial_check(struct pl_conn *c)
{
	int err = netpoll_uring_take(c->pd, NETPOLL_WRITE);

	return err ? err : conn_fd_check_peer(c);
}

const struct conn_ops conn_uring_ops = {
	.name = "uring",
	.completion = true,
	.listen = conn_uring_listen,
	.accept = conn_uring_accept,
	.dial_start = conn_uring_dial_start,
	.dial_check = conn_uring_dial_check,
	.read = conn_uring_read,
	.write = conn_uring_write,
	.shutdown = conn_fd_shutdown,
	.destroy = conn_fd_destroy,
	.setopt = conn_fd_setopt,
	.getopt = conn_fd_getopt,
	.queued = conn_fd_queued,
	.addr = conn_fd_addr,
};
