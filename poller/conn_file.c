/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel fds of any kind that epoll can watch, under the conn API: pipes, eventfds, timerfds,
 * terminals, sockets of other families. A short read of one says nothing about the next, and
 * an end of file may not be the last (CONN_K_LOOSE). Adopted TCP sockets are conn_fd's. On a lane
 * on io_uring they are tried as well: not every file has requests that wait without a thread of
 * the kernel's, and raw calls and other lanes (R40, R55) need a try.
 */
#include "poller/conn_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "poller/conn_fd_int.h"
#include "poller/conn_int.h"
#include "poller/lane_int.h"

static void count(const struct pl_conn *c, enum ledger_event ev)
{
	ledger_count(conn_led(c), ev, 1);
}

/* file_err - -errno of a try. EBADF of an fd that is open says that it is not so for this
 * direction; else somebody closed it under the connection, whose fd it is since pl_adopt(). */
static ssize_t file_err(const struct pl_conn *c, int err)
{
	return err == EBADF && fcntl(c->fd, F_GETFD) >= 0 ? -EINVAL : -err;
}

static ssize_t conn_file_readv(struct pl_conn *c, const struct iovec *iov, int nr)
{
	ssize_t n;

	do {
		count(c, LEDGER_EV_SYS_READ);
		n = readv(c->fd, iov, nr);
	} while (unlikely(n < 0 && errno == EINTR));
	return n < 0 ? file_err(c, errno) : n;
}

static ssize_t conn_file_read(struct pl_conn *c, void *buf, size_t len)
{
	struct iovec iov = {buf, len};

	return conn_file_readv(c, &iov, 1);
}

/*
 * pipe_writev - writev(2) that raises no SIGPIPE: only sockets have a flag for that. The signal
 * goes to the thread that writes; one that was pending before is left alone.
 */
static ssize_t pipe_writev(int fd, const struct iovec *iov, int nr)
{
	static const struct timespec now = {0};
	sigset_t sigpipe, old, pending;
	bool was_pending;
	ssize_t n;
	int err;

	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	(void)sigpending(&pending);
	was_pending = sigismember(&pending, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
	n = writev(fd, iov, nr);
	err = errno;
	if (n < 0 && err == EPIPE && !was_pending)
		(void)sigtimedwait(&sigpipe, NULL, &now);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = err;
	return n;
}

static ssize_t conn_file_writev(struct pl_conn *c, const struct iovec *iov, int nr)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)nr};
	ssize_t n;

	do {
		count(c, LEDGER_EV_SYS_WRITE);
		if (c->kind & CONN_K_PIPE)
			n = pipe_writev(c->fd, iov, nr);
		else if (c->kind & CONN_K_FILE)
			n = writev(c->fd, iov, nr);
		else
			n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	} while (unlikely(n < 0 && errno == EINTR));
	return n < 0 ? file_err(c, errno) : n;
}

static ssize_t conn_file_write(struct pl_conn *c, const void *buf, size_t len)
{
	struct iovec iov = {(void *)buf, len};

	return conn_file_writev(c, &iov, 1);
}

/* file_wrap - fd stays the caller's on failure. */
static int file_wrap(struct lane *l, const struct conn_ops *ops, int fd, uint8_t kind,
		     struct pl_conn **ret_conn)
{
	struct netpoll_backend *nb;
	int err = conn_fd_backend(l, &nb);

	return err ? err : conn_new(nb, ops, fd, NULL, kind, ret_conn);
}

static int conn_file_accept(struct pl_conn *c, struct pl_conn **ret_conn)
{
	int fd, err;

	do {
		count(c, LEDGER_EV_SYS_ACCEPT);
		fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	err = file_wrap(lane_self(), c->ops, fd, c->kind & CONN_K_LOOSE, ret_conn);
	if (err)
		(void)close(fd);
	return err;
}

static void conn_file_destroy(struct pl_conn *c)
{
	int fl;

	if (!(c->kind & CONN_K_KEEP)) {
		conn_fd_destroy(c);
		return;
	}
	fl = fcntl(c->fd, F_GETFL);
	if ((c->kind & CONN_K_WAS_BLOCKING) && fl >= 0)
		(void)fcntl(c->fd, F_SETFL, fl & ~O_NONBLOCK);
}

static const struct conn_ops conn_file_ops = {
	.name = "file",
	.shared = true,
	.accept = conn_file_accept,
	.read = conn_file_read,
	.write = conn_file_write,
	.readv = conn_file_readv,
	.writev = conn_file_writev,
	.shutdown = conn_fd_shutdown,
	.destroy = conn_file_destroy,
	.setopt = conn_fd_setopt,
	.getopt = conn_fd_getopt,
	.queued = conn_fd_queued,
	.addr = conn_fd_addr,
};

static int sock_opt(int fd, int opt)
{
	socklen_t n = sizeof(int);
	int val = 0;

	return getsockopt(fd, SOL_SOCKET, opt, &val, &n) ? 0 : val;
}

/* file_kind - what fd is; -EPERM what epoll does not watch. */
static int file_kind(int fd, uint8_t *ret_kind)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		return -EPERM;
	if (S_ISSOCK(st.st_mode)) {
		*ret_kind = sock_opt(fd, SO_ACCEPTCONN) ? CONN_K_LISTENER : 0;
		if (sock_opt(fd, SO_PROTOCOL) != IPPROTO_TCP)
			*ret_kind |= CONN_K_LOOSE;
		return 0;
	}
	*ret_kind = CONN_K_LOOSE | CONN_K_FILE;
	if (S_ISFIFO(st.st_mode))
		*ret_kind |= CONN_K_PIPE;
	return 0;
}

int conn_file_adopt(struct lane *l, int fd, unsigned flags, struct pl_conn **ret_conn)
{
	const struct conn_ops *ops = &conn_file_ops;
	int fl = fcntl(fd, F_GETFL), err;
	uint8_t kind = 0;

	if (fl < 0)
		return -errno;
	err = file_kind(fd, &kind);
	if (err)
		return err;
	if (!(fl & O_NONBLOCK) && fcntl(fd, F_SETFL, fl | O_NONBLOCK))
		return -errno;
	if (flags & PL_ADOPT_KEEP)
		kind |= CONN_K_KEEP | (fl & O_NONBLOCK ? 0 : CONN_K_WAS_BLOCKING);
	else if (!(kind & CONN_K_LOOSE))
		ops = &conn_fd_ops;
	err = file_wrap(l, ops, fd, kind, ret_conn);
	if (err)
		(void)fcntl(fd, F_SETFL, fl);
	return err;
}
