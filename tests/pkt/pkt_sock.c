/* SPDX-License-Identifier: BSD-3-Clause */
/* The fds of libparklane-pkt.so, and the calls that open, connect and close sockets. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "tests/pkt/pkt.h"

struct pkt_fd *pkt_fd_of(struct pkt_world *w, int fd)
{
	struct pkt_fd *f = pkt_is_ours(fd) ? &w->fds[fd - PKT_FD_BASE] : NULL;

	return f && f->kind != PKT_FREE ? f : NULL;
}

struct sock *pkt_sock_of(struct pkt_world *w, int fd)
{
	struct pkt_fd *f = pkt_fd_of(w, fd);

	return f && f->kind == PKT_SOCK ? f->sk : NULL;
}

int pkt_fd_new(struct pkt_world *w, enum pkt_kind kind)
{
	for (int i = 0; i < PKT_FDS; i++) {
		if (w->fds[i].kind == PKT_FREE) {
			w->fds[i] = (struct pkt_fd){.kind = kind};
			return PKT_FD_BASE + i;
		}
	}
	return -EMFILE;
}

/* ---- the stack's callbacks: events for epoll (EPOLLET) ---- */

static void on_data(struct sock *sk)
{
	pkt_event(&pkt_world, sk->sk_user_data, EPOLLIN | EPOLLRDNORM);
}

static void on_space(struct sock *sk)
{
	pkt_event(&pkt_world, sk->sk_user_data, EPOLLOUT | EPOLLWRNORM);
}

static void on_state(struct sock *sk)
{
	pkt_event(&pkt_world, sk->sk_user_data, UINT32_MAX);
}

/* adopt - a fresh sock gets an fd: the fd; -EMFILE, and sk is closed. */
static int adopt(struct pkt_world *w, struct sock *sk, int flags)
{
	int fd = pkt_fd_new(w, PKT_SOCK);
	struct pkt_fd *f;

	if (fd < 0) {
		sock_close(sk);
		return fd;
	}
	f = pkt_fd_of(w, fd);
	f->sk = sk;
	f->flags = flags;
	sk->sk_user_data = f;
	sk->sk_data_ready = on_data;
	sk->sk_write_space = on_space;
	sk->sk_state_change = on_state;
	sk->sk_error_report = on_state;
	return fd;
}

static int addr_in(const struct sockaddr *addr, socklen_t len, struct sk_addr *ret)
{
	struct sockaddr_in in;

	if (!addr || len < sizeof(in))
		return -EINVAL;
	memcpy(&in, addr, sizeof(in));
	*ret = (struct sk_addr){.family = in.sin_family == AF_INET ? SK_AF_INET : SK_AF_INET6,
				.port = ntohs(in.sin_port),
				.v4 = in.sin_addr.s_addr};
	return 0;
}

static void addr_out(const struct sk_addr *a, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_port = htons(a->port), .sin_addr.s_addr = a->v4};

	if (!addr || !len)
		return;
	memcpy(addr, &in, min_t(size_t, *len, sizeof(in)));
	*len = sizeof(in);
}

/* ---- calls ---- */

static int call_socket(void *ud, int domain, int type, int protocol)
{
	struct pkt_world *w = ud;
	struct sock *sk;
	int err;

	pkt_lock(w);
	if (domain != AF_INET)
		return (int)pkt_answer(w, -EAFNOSUPPORT);
	if ((type & 0xf) != SOCK_STREAM || (protocol && protocol != IPPROTO_TCP))
		return (int)pkt_answer(w, -EPROTONOSUPPORT);
	err = sock_create(w->st, SK_AF_INET, &sk);
	return (int)pkt_answer(w, err ? err : adopt(w, sk, type & SOCK_NONBLOCK ? O_NONBLOCK : 0));
}

static int call_bind(void *ud, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct pkt_world *w = ud;
	struct sk_addr a;
	struct sock *sk;
	int err = addr_in(addr, len, &a);

	pkt_lock(w);
	sk = pkt_sock_of(w, fd);
	if (!sk)
		err = -EBADF;
	return (int)pkt_answer(w, err ? err : sock_bind(sk, &a));
}

static int call_listen(void *ud, int fd, int backlog)
{
	struct pkt_world *w = ud;
	struct sock *sk;

	pkt_lock(w);
	sk = pkt_sock_of(w, fd);
	return (int)pkt_answer(w, sk ? sock_listen(sk, (unsigned)max_t(int, backlog, 1)) : -EBADF);
}

struct accepting {
	struct sock *listener, *child;
};

static long try_accept(void *arg)
{
	struct accepting *a = arg;

	return sock_accept(a->listener, &a->child);
}

static int call_accept(void *ud, int fd, struct sockaddr *addr, socklen_t *len)
{
	struct pkt_world *w = ud;
	struct accepting a;
	struct pkt_fd *f;
	long r;

	pkt_lock(w);
	a.listener = pkt_sock_of(w, fd);
	if (!a.listener)
		return (int)pkt_answer(w, -EBADF);
	f = pkt_fd_of(w, fd);
	r = pkt_block(w, f->flags & O_NONBLOCK, 0, try_accept, &a);
	if (!r) {
		addr_out(&a.child->sk_peer, addr, len);
		r = adopt(w, a.child, 0);
	}
	return (int)pkt_answer(w, r);
}

/* try_connected - the end of a handshake under way: 0, the error, or -EAGAIN. */
static long try_connected(void *arg)
{
	struct pkt_fd *f = arg;

	if (f->sk->sk_state == TCP_SYN_SENT || f->sk->sk_state == TCP_SYN_RECV)
		return -EAGAIN;
	f->connecting = false;
	if (f->sk->sk_err)
		return sock_error(f->sk);
	return f->sk->sk_state == TCP_CLOSE ? -ECONNABORTED : 0;
}

static int call_connect(void *ud, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct pkt_world *w = ud;
	struct sk_addr a;
	struct pkt_fd *f;
	bool nonblock;
	long r = addr_in(addr, len, &a);

	pkt_lock(w);
	if (!pkt_sock_of(w, fd))
		r = -EBADF;
	if (r)
		return (int)pkt_answer(w, r);
	f = pkt_fd_of(w, fd);
	nonblock = f->flags & O_NONBLOCK;
	if (!f->connecting) {
		r = sock_connect(f->sk, &a);
		if (r != -EINPROGRESS)
			return (int)pkt_answer(w, r);
		f->connecting = true;
		r = pkt_block(w, nonblock, 0, try_connected, f);
		return (int)pkt_answer(w, r == -EAGAIN ? -EINPROGRESS : r);
	}
	/* as inet_stream_connect(): the first call after the handshake tells its end */
	r = pkt_block(w, nonblock, 0, try_connected, f);
	return (int)pkt_answer(w, r == -EAGAIN ? -EALREADY : r);
}

int pkt_close(struct pkt_world *w, int fd)
{
	struct pkt_fd *f = pkt_fd_of(w, fd);

	if (!f)
		return -EBADF;
	pkt_poll_forget(w, f);
	if (f->kind == PKT_SOCK)
		sock_close(f->sk);
	*f = (struct pkt_fd){.kind = PKT_FREE};
	return 0;
}

static int call_close(void *ud, int fd)
{
	struct pkt_world *w = ud;

	if (!pkt_is_ours(fd))
		return close(fd);
	pkt_lock(w);
	return (int)pkt_answer(w, pkt_close(w, fd));
}

static int call_shutdown(void *ud, int fd, int how)
{
	static const unsigned bits[] = {
		[SHUT_RD] = RCV_SHUTDOWN,
		[SHUT_WR] = SEND_SHUTDOWN,
		[SHUT_RDWR] = RCV_SHUTDOWN | SEND_SHUTDOWN,
	};
	struct pkt_world *w = ud;
	struct sock *sk;

	pkt_lock(w);
	sk = pkt_sock_of(w, fd);
	if (!sk)
		return (int)pkt_answer(w, -EBADF);
	if (how < 0 || how >= (int)ARRAY_SIZE(bits))
		return (int)pkt_answer(w, -EINVAL);
	return (int)pkt_answer(w, sock_shutdown(sk, bits[how]));
}

void pkt_sock_calls(struct pkt_ifc *ifc)
{
	ifc->socket = call_socket;
	ifc->bind = call_bind;
	ifc->listen = call_listen;
	ifc->accept = call_accept;
	ifc->connect = call_connect;
	ifc->close = call_close;
	ifc->shutdown = call_shutdown;
}
