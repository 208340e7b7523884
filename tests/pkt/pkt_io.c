/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and writing: every call of the interface is one wish over an array of buffers. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/pkt/pkt.h"

#define COPY_MAX 65536 /* bytes of one splice or sendfile step */

/* A reader's or writer's wish and how far it came. */
struct io {
	struct sock *sk;
	const struct iovec *iov;
	size_t nr, at; /* at: the buffer in work */
	size_t off;    /* in it */
	size_t done;   /* bytes in all */
	size_t least;  /* bytes without which a blocking call goes on */
	bool more;     /* MSG_MORE */
};

static size_t iov_bytes(const struct iovec *iov, size_t nr)
{
	size_t n = 0;

	for (size_t i = 0; i < nr; i++)
		n += iov[i].iov_len;
	return n;
}

/* io_move - n bytes of the wish were served. */
static void io_move(struct io *io, size_t n)
{
	io->done += n;
	io->off += n;
	if (io->off == io->iov[io->at].iov_len) {
		io->off = 0;
		io->at++;
	}
}

/* io_step - one recv or send on the buffer in work; its word. */
static ssize_t io_step(struct io *io, bool out)
{
	const struct iovec *v = &io->iov[io->at];
	uint8_t *p = (uint8_t *)v->iov_base + io->off;
	size_t n = v->iov_len - io->off;

	if (!out)
		return sock_recv(io->sk, p, n);
	/* the buffers of one call are one write */
	if (io->more || io->at + 1 < io->nr)
		return sock_send_more(io->sk, p, n);
	return sock_send(io->sk, p, n);
}

/* io_try - on and on until the wish is served or the socket says no. What was done counts more
 * than an error after it, as in POSIX. */
static long io_try(struct io *io, bool out)
{
	while (io->at < io->nr) {
		ssize_t n;

		if (!io->iov[io->at].iov_len) {
			io->at++;
			continue;
		}
		n = io_step(io, out);
		if (n > 0) {
			io_move(io, (size_t)n);
			continue;
		}
		if (n == -EAGAIN && io->done < io->least)
			return -EAGAIN;
		return io->done ? (long)io->done : n;
	}
	return (long)io->done;
}

static long try_recv(void *arg)
{
	return io_try(arg, false);
}

static long try_send(void *arg)
{
	return io_try(arg, true);
}

static bool nonblocking(struct pkt_world *w, int fd, int flags)
{
	return (pkt_fd_of(w, fd)->flags & O_NONBLOCK) || (flags & MSG_DONTWAIT);
}

/* bad_buffers - the kernel looks at user memory: NULL with a length is EFAULT. */
static bool bad_buffers(const struct iovec *iov, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (!iov[i].iov_base && iov[i].iov_len)
			return true;
	}
	return false;
}

long pkt_recv_iov(struct pkt_world *w, int fd, const struct iovec *iov, size_t nr, int flags)
{
	struct io io = {.sk = pkt_sock_of(w, fd), .iov = iov, .nr = nr};
	bool nonblock;
	long r;

	if (!io.sk)
		return -EBADF;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (flags & ~(MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL))
		return -EOPNOTSUPP;
	if (bad_buffers(iov, nr))
		return -EFAULT;
	nonblock = nonblocking(w, fd, flags);
	io.least = nonblock ? 0 : flags & MSG_WAITALL ? iov_bytes(iov, nr) : 1;
	r = pkt_block(w, nonblock, 0, try_recv, &io);
	return r == -EAGAIN && io.done ? (long)io.done : r;
}

long pkt_send_iov(struct pkt_world *w, int fd, const struct iovec *iov, size_t nr, int flags)
{
	struct io io = {.sk = pkt_sock_of(w, fd), .iov = iov, .nr = nr};
	bool nonblock;
	long r;

	if (!io.sk)
		return -EBADF;
	if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE))
		return -EOPNOTSUPP;
	if (bad_buffers(iov, nr))
		return -EFAULT;
	io.more = flags & MSG_MORE;
	nonblock = nonblocking(w, fd, flags);
	io.least = nonblock ? 0 : iov_bytes(iov, nr);
	r = pkt_block(w, nonblock, 0, try_send, &io);
	return r == -EAGAIN && io.done ? (long)io.done : r;
}

/* ---- the calls, all of which are one of the two ---- */

static ssize_t call_readv(void *ud, int fd, const struct iovec *iov, int nr)
{
	struct pkt_world *w = ud;

	if (!pkt_is_ours(fd))
		return readv(fd, iov, nr);
	pkt_lock(w);
	return pkt_answer(w, pkt_recv_iov(w, fd, iov, (size_t)nr, 0));
}

static ssize_t call_recv(void *ud, int fd, void *buf, size_t n, int flags)
{
	struct iovec v = {buf, n};
	struct pkt_world *w = ud;

	pkt_lock(w);
	return pkt_answer(w, pkt_recv_iov(w, fd, &v, 1, flags));
}

static ssize_t call_read(void *ud, int fd, void *buf, size_t n)
{
	return pkt_is_ours(fd) ? call_recv(ud, fd, buf, n, 0) : read(fd, buf, n);
}

static ssize_t call_recvfrom(void *ud, int fd, void *buf, size_t n, int flags,
			     struct sockaddr *addr, socklen_t *len)
{
	(void)addr;
	/* a stream tells no address */
	if (len)
		*len = 0;
	return call_recv(ud, fd, buf, n, flags);
}

/* put_inq - TCP_CM_INQ, if TCP_INQ asked for it: what is left to be read. */
static void put_inq(struct sock *sk, struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	uint32_t len = sizeof(int);
	int on = 0, n = (int)sock_inq(sk);

	/* as tcp_inq_hint(): a FIN is something to be read, too */
	if (!n && (sk->sk_shutdown & RCV_SHUTDOWN))
		n = 1;
	if (!c || msg->msg_controllen < CMSG_SPACE(sizeof(n)) ||
	    sock_getopt(sk, SK_SOL_TCP, SK_TCP_INQ, &on, &len) || !on) {
		msg->msg_controllen = 0;
		return;
	}
	c->cmsg_level = SK_SOL_TCP;
	c->cmsg_type = SK_TCP_INQ;
	c->cmsg_len = CMSG_LEN(sizeof(n));
	memcpy(CMSG_DATA(c), &n, sizeof(n));
	msg->msg_controllen = CMSG_SPACE(sizeof(n));
}

static ssize_t call_recvmsg(void *ud, int fd, struct msghdr *msg, int flags)
{
	struct pkt_world *w = ud;
	long r;

	pkt_lock(w);
	r = pkt_recv_iov(w, fd, msg->msg_iov, msg->msg_iovlen, flags);
	msg->msg_flags = 0;
	msg->msg_namelen = 0;
	if (r >= 0)
		put_inq(pkt_sock_of(w, fd), msg);
	return pkt_answer(w, r);
}

static ssize_t call_writev(void *ud, int fd, const struct iovec *iov, int nr)
{
	struct pkt_world *w = ud;

	if (!pkt_is_ours(fd))
		return writev(fd, iov, nr);
	pkt_lock(w);
	return pkt_answer(w, pkt_send_iov(w, fd, iov, (size_t)nr, 0));
}

static ssize_t call_send(void *ud, int fd, const void *buf, size_t n, int flags)
{
	struct iovec v = {(void *)(uintptr_t)buf, n};
	struct pkt_world *w = ud;

	pkt_lock(w);
	return pkt_answer(w, pkt_send_iov(w, fd, &v, 1, flags));
}

static ssize_t call_write(void *ud, int fd, const void *buf, size_t n)
{
	return pkt_is_ours(fd) ? call_send(ud, fd, buf, n, 0) : write(fd, buf, n);
}

static ssize_t call_sendto(void *ud, int fd, const void *buf, size_t n, int flags,
			   const struct sockaddr *addr, socklen_t len)
{
	(void)addr;
	(void)len;
	return call_send(ud, fd, buf, n, flags);
}

static ssize_t call_sendmsg(void *ud, int fd, const struct msghdr *msg, int flags)
{
	struct pkt_world *w = ud;

	pkt_lock(w);
	return pkt_answer(w, pkt_send_iov(w, fd, msg->msg_iov, msg->msg_iovlen, flags));
}

/* call_splice - copies, since no pages are shared; one of the two is a pipe of the kernel's. */
static int call_splice(void *ud, int fd_in, loff_t *off_in, int fd_out, loff_t *off_out, size_t n,
		       unsigned int flags)
{
	uint8_t *buf = malloc(COPY_MAX);
	ssize_t got, put = 0;

	(void)flags;
	BUG_ON(!buf);
	if (off_in || off_out) {
		free(buf);
		errno = ESPIPE;
		return -1;
	}
	got = call_read(ud, fd_in, buf, min_t(size_t, n, COPY_MAX));
	if (got > 0)
		put = call_write(ud, fd_out, buf, (size_t)got);
	free(buf);
	return (int)(got > 0 ? put : got);
}

void pkt_io_calls(struct pkt_ifc *ifc)
{
	ifc->read = call_read;
	ifc->readv = call_readv;
	ifc->recv = call_recv;
	ifc->recvfrom = call_recvfrom;
	ifc->recvmsg = call_recvmsg;
	ifc->write = call_write;
	ifc->writev = call_writev;
	ifc->send = call_send;
	ifc->sendto = call_sendto;
	ifc->sendmsg = call_sendmsg;
	ifc->splice = call_splice;
}
