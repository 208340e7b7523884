/* SPDX-License-Identifier: BSD-3-Clause */
/* Options, flags and ioctls of our fds. Levels, names and values are the kernel's, and the stack's
 * options bear the same numbers. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/pkt/pkt.h"

/* <netinet/tcp.h> and the stack's headers both name the states */
#define OPT_TCP_INFO    11
#define OPT_TCP_CC_INFO 26

static int call_fcntl(void *ud, int fd, int cmd, ...)
{
	struct pkt_world *w = ud;
	struct pkt_fd *f;
	va_list ap;
	long r = 0;
	int arg;

	va_start(ap, cmd);
	arg = va_arg(ap, int);
	va_end(ap);
	if (!pkt_is_ours(fd))
		return fcntl(fd, cmd, arg);
	pkt_lock(w);
	f = pkt_fd_of(w, fd);
	if (!f)
		r = -EBADF;
	else if (cmd == F_GETFL)
		r = O_RDWR | f->flags;
	else if (cmd == F_SETFL)
		f->flags = arg & O_NONBLOCK;
	else if (cmd != F_GETFD && cmd != F_SETFD)
		r = -EINVAL;
	return (int)pkt_answer(w, r);
}

static int call_ioctl(void *ud, int fd, unsigned long request, ...)
{
	struct pkt_world *w = ud;
	struct sock *sk;
	va_list ap;
	int64_t n = 0;
	int *arg;

	va_start(ap, request);
	arg = va_arg(ap, int *);
	va_end(ap);
	pkt_lock(w);
	sk = pkt_sock_of(w, fd);
	if (!sk)
		return (int)pkt_answer(w, -EBADF);
	switch (request) {
	case SIOCINQ:
		n = sock_inq(sk);
		break;
	case SIOCOUTQ:
		n = sock_outq(sk, false);
		break;
	case SIOCOUTQNSD:
		n = sock_outq(sk, true);
		break;
	case FIONBIO:
		pkt_fd_of(w, fd)->flags = *arg ? O_NONBLOCK : 0;
		return (int)pkt_answer(w, 0);
	default:
		n = -ENOTTY;
	}
	if (n >= 0)
		*arg = (int)n;
	return (int)pkt_answer(w, n < 0 ? (long)n : 0);
}

long pkt_getsockopt(struct pkt_world *w, int fd, int level, int opt, void *val, socklen_t *len)
{
	struct sock *sk = pkt_sock_of(w, fd);

	if (!sk)
		return -EBADF;
	/* packetdrill asks for them beside TCP_INFO, and takes nothing for an answer only there */
	if (level == IPPROTO_TCP && opt == OPT_TCP_CC_INFO) {
		*len = 0;
		return 0;
	}
	if (level == SOL_SOCKET && opt == SO_MEMINFO) {
		memset(val, 0, *len);
		return 0;
	}
	if (level == IPPROTO_TCP && opt == OPT_TCP_INFO) {
		/* packetdrill knows fields of kernels to come, and insists on all of them */
		socklen_t n = *len;

		memset(val, 0, *len);
		return sock_getopt(sk, level, opt, val, &n);
	}
	return sock_getopt(sk, level, opt, val, len);
}

static int call_getsockopt(void *ud, int fd, int level, int opt, void *val, socklen_t *len)
{
	struct pkt_world *w = ud;

	pkt_lock(w);
	return (int)pkt_answer(w, pkt_getsockopt(w, fd, level, opt, val, len));
}

static int call_setsockopt(void *ud, int fd, int level, int opt, const void *val, socklen_t len)
{
	struct pkt_world *w = ud;
	struct sock *sk;

	pkt_lock(w);
	sk = pkt_sock_of(w, fd);
	return (int)pkt_answer(w, sk ? sock_setopt(sk, level, opt, val, len) : -EBADF);
}

void pkt_opt_calls(struct pkt_ifc *ifc)
{
	ifc->fcntl = call_fcntl;
	ifc->ioctl = call_ioctl;
	ifc->getsockopt = call_getsockopt;
	ifc->setsockopt = call_setsockopt;
}
