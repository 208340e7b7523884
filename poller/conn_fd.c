/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel sockets under the conn API: non-blocking, close-on-exec, errors as -errno at once
 * (errno is thread-local and may not live across a park), EINTR again, never a SIGPIPE.
 */
#include "poller/conn_fd.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "poller/conn_fd_int.h"
#include "poller/conn_int.h"
#include "poller/group_int.h"
#include "poller/lane_int.h"
#include "stack/base/bug.h"

static void count(struct lane *l, enum ledger_event ev, uint64_t n)
{
	ledger_count(&l->led, ev, n);
}

void conn_fd_sockaddr(const struct pl_addr *a, struct sockaddr_in *ret_sin)
{
	*ret_sin = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(a->port),
		.sin_addr.s_addr = a->v4,
	};
}

static int set_opt(int fd, int level, int opt, int val)
{
	return setsockopt(fd, level, opt, &val, sizeof(val)) ? -errno : 0;
}

/* conn_fd_socket - TCP_NODELAY on by default as in Go, and urgent data in line as our stack
 * delivers it (RFC 6093 section 4). Accepted ones inherit both without a system call. */
int conn_fd_socket(struct lane *l, int type_flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type_flags, IPPROTO_TCP);
	int err;

	if (fd < 0)
		return -errno;
	count(l, LEDGER_EV_SYS_OTHER, 3);
	err = set_opt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err)
		err = set_opt(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int conn_fd_new(struct netpoll_backend *nb, int fd, uint8_t kind, struct pl_conn **ret_conn)
{
	int err = conn_new(nb, nb->conn_ops, fd, NULL, kind, ret_conn);

	if (err)
		close(fd);
	return err;
}

static int fd_addr(int fd, int peer, struct sockaddr_in *ret_sin)
{
	socklen_t n = sizeof(*ret_sin);
	struct sockaddr *sa = (struct sockaddr *)ret_sin;

	return (peer ? getpeername(fd, sa, &n) : getsockname(fd, sa, &n)) ? -errno : 0;
}

static int bind_listen(int fd, const struct sockaddr_in *sin, int backlog, bool share)
{
	int err = bind(fd, (const struct sockaddr *)sin, sizeof(*sin)) ? -errno : 0;

	if (!err && share)
		err = set_opt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return !err && listen(fd, backlog) ? -errno : err;
}

/*
 * listen_in_group - each lane has its own listener on the port, and the kernel shares clients out.
 * That asks for SO_REUSEPORT, with which a port that another program has would be shared with it
 * in silence. So the group's first socket there is bound without: the kernel looks at the
 * flags of the sockets that are bound when the next one binds, and not at what they were.
 */
static COLD int listen_in_group(struct lane *l, struct pl_conn *c, const struct sockaddr_in *sin,
				int backlog)
{
	struct lane_group *grp = lane_group(l);
	const struct group_listener *other;
	struct sockaddr_in bound;
	int err = 0;

	(void)pthread_mutex_lock(&grp->listen_lock);
	other = group_listener_find(grp, sin->sin_addr.s_addr, sin->sin_port);
	if (other && (other->lanes >> lane_index(l) & 1))
		err = -EADDRINUSE;
	if (!err && other)
		err = set_opt(c->fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!err)
		err = bind_listen(c->fd, sin, backlog, !other);
	/* Port 0 has been chosen by now. */
	if (!err)
		err = fd_addr(c->fd, 0, &bound);
	if (!err)
		err = group_listener_add(grp, lane_index(l), bound.sin_addr.s_addr, bound.sin_port);
	if (err)
		conn_drop(c);
	(void)pthread_mutex_unlock(&grp->listen_lock);
	return err;
}

static COLD void close_in_group(struct lane *l, int fd)
{
	struct lane_group *grp = lane_group(l);
	struct sockaddr_in bound;
	int err = fd_addr(fd, 0, &bound);

	BUG_ON(err);
	(void)pthread_mutex_lock(&grp->listen_lock);
	(void)close(fd);
	group_listener_del(grp, lane_index(l), bound.sin_addr.s_addr, bound.sin_port);
	(void)pthread_mutex_unlock(&grp->listen_lock);
}

static bool shares_ports(const struct lane *l)
{
	return lane_group(l) && lane_group_nr(lane_group(l)) > 1;
}

static void close_listener(struct lane *l, int fd)
{
	if (shares_ports(l))
		close_in_group(l, fd);
	else
		(void)close(fd);
}

/* listener_open - c listens; or it is gone and the -errno told. */
static int listener_open(struct lane *l, struct pl_conn *c, const struct sockaddr_in *sin,
			 int backlog)
{
	int err;

	if (shares_ports(l))
		return listen_in_group(l, c, sin, backlog);
	err = bind_listen(c->fd, sin, backlog, false);
	if (err)
		conn_drop(c);
	return err;
}

/* An unbound socket that epoll has would bring an edge of its own (EPOLLHUP), as in
 * conn_fd_dial_start(): it listens before the next epoll_wait(2). */
int conn_fd_listen_on(struct netpoll_backend *nb, int type_flags, const struct pl_addr *addr,
		      int backlog, struct conn_control *ctl, struct pl_conn **ret_conn)
{
	struct lane *l = nb->lane;
	struct sockaddr_in sin;
	int fd = conn_fd_socket(l, type_flags);
	struct pl_conn *c;
	int err;

	if (fd < 0)
		return fd;
	conn_fd_sockaddr(addr, &sin);
	count(l, LEDGER_EV_SYS_OTHER, 3);
	/* a server comes back while its old connections are in TIME-WAIT */
	err = set_opt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (err) {
		close(fd);
		return err;
	}
	err = conn_fd_new(nb, fd, 0, &c);
	if (!err)
		err = conn_control(c, ctl);
	if (!err)
		err = listener_open(l, c, &sin, backlog);
	if (err)
		return err;
	c->kind = CONN_K_LISTENER;
	*ret_conn = c;
	return 0;
}

static int conn_fd_listen(struct lane *l, const struct pl_addr *addr, int backlog,
			  struct conn_control *ctl, struct pl_conn **ret_conn)
{
	return conn_fd_listen_on(lane_kernel_backend(l), SOCK_NONBLOCK, addr, backlog, ctl,
				 ret_conn);
}

int conn_fd_backend(struct lane *l, struct netpoll_backend **ret_nb)
{
	struct netpoll_backend *nb = lane_kernel_backend(l);

	if (nb->ops->below)
		return nb->ops->below(nb, ret_nb);
	*ret_nb = nb;
	return 0;
}

static int conn_fd_accept(struct pl_conn *c, struct pl_conn **ret_conn)
{
	struct lane *l = lane_self();
	struct netpoll_backend *nb;
	int fd, err;

	err = conn_fd_backend(l, &nb);
	if (err)
		return err;
	do {
		count(l, LEDGER_EV_SYS_ACCEPT, 1);
		fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	return conn_fd_new(nb, fd, 0, ret_conn);
}

/* connect_fd - 0, -EINPROGRESS, other -errno. */
static int connect_fd(struct lane *l, int fd, const struct pl_addr *addr)
{
	struct sockaddr_in sin;

	conn_fd_sockaddr(addr, &sin);
	count(l, LEDGER_EV_SYS_CONNECT, 1);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0)
		return 0;
	/* interrupted: the handshake goes on by itself (connect(2)) */
	return errno == EINTR ? -EINPROGRESS : -errno;
}

/* An unconnected socket that epoll has would bring an edge of its own (EPOLLHUP): it gets into
 * epoll after connect(2), unless somebody wants the conn before. Then no poll comes in between, as
 * the control may not park, and epoll_wait(2) tells of what is so when it is called. */
static int conn_fd_dial_start(struct lane *l, const struct pl_addr *addr, struct conn_control *ctl,
			      struct pl_conn **ret_conn)
{
	int fd = conn_fd_socket(l, SOCK_NONBLOCK), err = 0, err_new;
	bool early = ctl->fn;

	if (fd < 0)
		return fd;
	if (early) {
		err = conn_fd_new(lane_kernel_backend(l), fd, 0, ret_conn);
		if (!err)
			err = conn_control(*ret_conn, ctl);
		if (err)
			return err;
	}
	err = connect_fd(l, fd, addr);
	if (err && err != -EINPROGRESS) {
		if (early)
			conn_drop(*ret_conn);
		else
			close(fd);
		return err;
	}
	err_new = early ? 0 : conn_fd_new(lane_kernel_backend(l), fd, 0, ret_conn);
	return err_new ? err_new : err;
}

int conn_fd_check_peer(struct pl_conn *c)
{
	struct sockaddr_in peer, local;
	int err;

	count(lane_self(), LEDGER_EV_SYS_OTHER, 2);
	err = fd_addr(c->fd, 1, &peer);
	if (!err)
		err = fd_addr(c->fd, 0, &local);
	/*
	 * Dialling a local port of the ephemeral range that nobody listens on can choose that
	 * very port and connect to itself (RFC 9293 3.5, simultaneous open). Nobody listens,
	 * so say that.
	 */
	if (!err && peer.sin_port == local.sin_port &&
	    peer.sin_addr.s_addr == local.sin_addr.s_addr)
		err = -ECONNREFUSED;
	return err;
}

/* conn_fd_dial_check - R56. SO_ERROR 0 does not prove a connection: an early edge says so
 * too, and then getpeername knows better. */
static int conn_fd_dial_check(struct pl_conn *c)
{
	int so_err = 0, err;
	socklen_t n = sizeof(so_err);

	count(lane_self(), LEDGER_EV_SYS_OTHER, 1);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &so_err, &n))
		return -errno;
	if (so_err == EINTR || so_err == EALREADY)
		so_err = EINPROGRESS;
	if (so_err && so_err != EISCONN)
		return -so_err;
	err = conn_fd_check_peer(c);
	return err == -ENOTCONN ? -EINPROGRESS : err;
}

static ssize_t conn_fd_read(struct pl_conn *c, void *buf, size_t len)
{
	ssize_t n;

	do {
		ledger_count(conn_led(c), LEDGER_EV_SYS_READ, 1);
		n = recv(c->fd, buf, len, 0);
	} while (unlikely(n < 0 && errno == EINTR));
	return n < 0 ? -errno : n;
}

static ssize_t conn_fd_write(struct pl_conn *c, const void *buf, size_t len)
{
	ssize_t n;

	do {
		ledger_count(conn_led(c), LEDGER_EV_SYS_WRITE, 1);
		n = send(c->fd, buf, len, MSG_NOSIGNAL);
	} while (unlikely(n < 0 && errno == EINTR));
	return n < 0 ? -errno : n;
}

static ssize_t conn_fd_readv(struct pl_conn *c, const struct iovec *iov, int nr)
{
	ssize_t n;

	do {
		ledger_count(conn_led(c), LEDGER_EV_SYS_READ, 1);
		n = readv(c->fd, iov, nr);
	} while (unlikely(n < 0 && errno == EINTR));
	return n < 0 ? -errno : n;
}

static ssize_t conn_fd_writev(struct pl_conn *c, const struct iovec *iov, int nr)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)nr};
	ssize_t n;

	do {
		ledger_count(conn_led(c), LEDGER_EV_SYS_WRITE, 1);
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	} while (unlikely(n < 0 && errno == EINTR));
	return n < 0 ? -errno : n;
}

int conn_fd_shutdown(struct pl_conn *c, int how)
{
	count(lane_self(), LEDGER_EV_SYS_OTHER, 1);
	return shutdown(c->fd, how) ? -errno : 0;
}

void conn_fd_destroy(struct pl_conn *c)
{
	count(c->lane, LEDGER_EV_SYS_CLOSE, 1);
	if (unlikely(c->kind & CONN_K_LISTENER)) {
		close_listener(c->lane, c->fd);
		return;
	}
	/* never again on EINTR: Linux has closed it by then (close(2)) */
	(void)close(c->fd);
}

int conn_fd_setopt(struct pl_conn *c, int level, int name, const void *val, uint32_t len)
{
	count(lane_self(), LEDGER_EV_SYS_OTHER, 1);
	return setsockopt(c->fd, level, name, val, len) ? -errno : 0;
}

int conn_fd_getopt(struct pl_conn *c, int level, int name, void *val, uint32_t *len)
{
	count(lane_self(), LEDGER_EV_SYS_OTHER, 1);
	return getsockopt(c->fd, level, name, val, len) ? -errno : 0;
}

int64_t conn_fd_queued(struct pl_conn *c, bool out)
{
	int n;

	count(lane_self(), LEDGER_EV_SYS_OTHER, 1);
	return ioctl(c->fd, out ? SIOCOUTQ : SIOCINQ, &n) ? -errno : n;
}

int conn_fd_addr(struct pl_conn *c, int peer, struct pl_addr *ret_addr)
{
	struct sockaddr_in sin;
	int err = fd_addr(c->fd, peer, &sin);

	if (err)
		return err;
	if (sin.sin_family != AF_INET)
		return -EOPNOTSUPP;
	*ret_addr = (struct pl_addr){
		.family = PL_AF_INET,
		.port = ntohs(sin.sin_port),
		.v4 = sin.sin_addr.s_addr,
	};
	return 0;
}

const struct conn_ops conn_fd_ops = {
	.name = "fd",
	.shared = true,
	.listen = conn_fd_listen,
	.accept = conn_fd_accept,
	.dial_start = conn_fd_dial_start,
	.dial_check = conn_fd_dial_check,
	.read = conn_fd_read,
	.write = conn_fd_write,
	.readv = conn_fd_readv,
	.writev = conn_fd_writev,
	.shutdown = conn_fd_shutdown,
	.destroy = conn_fd_destroy,
	.setopt = conn_fd_setopt,
	.getopt = conn_fd_getopt,
	.queued = conn_fd_queued,
	.addr = conn_fd_addr,
};
