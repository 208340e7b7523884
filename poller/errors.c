/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * errtab: the errors of the conn API (R12). Where Linux and our stack say the same thing
 * with different numbers, the rows of norm[] choose one; both backends pass through them.
 * A text holds for every call of a public header that has its -errno: pl_strerror() is not told
 * which.
 */
#include "poller/errors.h"

#include <errno.h>
#include <limits.h>
#include <parklane/conn.h>
#include <stdint.h>
#include <string.h>

#include "stack/base/compiler.h"

static const struct errtab_entry table[] = {
#define E(sym, text)                                                                               \
	{                                                                                          \
		sym, #sym, text                                                                    \
	}
	E(EACCES, "not permitted: a port below 1024, or a firewall rule of this machine"),
	E(EADDRINUSE, "others have this address and port"),
	E(EADDRNOTAVAIL, "not an address of this network, or no free local port is left"),
	E(EAFNOSUPPORT,
	  "IPv4 only for now: not this address, nor a host that has only IPv6 addresses"),
	E(EBADF, "it is closed (maybe by somebody else, or twice), or there is no such descriptor"),
	E(EAGAIN,
	  "not now: it would have to wait, or there is no thread, key or resolver left to do it"),
	E(EBUSY, "in use: the lock is held, or this thread runs lanes already"),
	E(ECANCELED, "the goroutine's ctx was cancelled"),
	E(ECONNABORTED, "the connection was gone before it was accepted"),
	E(ECONNREFUSED, "nobody listens at that address and port"),
	E(ECONNRESET, "the peer reset the connection"),
	E(EEXIST, "this descriptor is already adopted"),
	E(EHOSTUNREACH, "no way to that host: it does not answer, or a router says so"),
	E(EINVAL,
	  "an argument is NULL, malformed or out of its range, or this object cannot do that"),
	E(EIO, "an error without a name of its own, of the descriptor or of the resolver"),
	E(EMFILE, "too many open files in this process"),
	E(ENETUNREACH, "no route to that network"),
	E(ENFILE, "too many open files on this machine"),
	E(ENOBUFS, "out of memory or sockets; try again later"),
	E(ENODEV, "this lane has no such network"),
	E(ENOENT, "no such host, or it has no address; or no such congestion control"),
	E(ENOMEM, "out of memory, or of goroutine stacks"),
	E(ENOPROTOOPT, "this network does not know that option"),
	E(ENOSPC,
	  "no space is left, or too many descriptors are watched: see fs.epoll.max_user_watches"),
	E(ENOTCONN, "not connected: a listener, or a socket that was never dialled"),
	E(ENOTSOCK, "not a socket"),
	E(ENOTTY, "this kind of descriptor has no such queue"),
	E(EOPNOTSUPP, "this kind of connection or lane has no such thing"),
	E(EPERM,
	  "not permitted, or a kind of file that the kernel cannot wait for: use pl_blocking"),
	E(EPIPE, "write after the peer's reset or our own shutdown, or send to a closed channel"),
	E(ETIME, "the deadline of the connection or of the goroutine's ctx passed"),
	E(ETIMEDOUT, "the peer does not answer (TCP gave up)"),
	E(EXDEV,
	  "not from here: it belongs to another lane, or the caller is no goroutine and would have "
	  "to wait"),
#undef E
};

#define OP(name) (1u << ERRTAB_##name)
#define OP_ALL   (~0u)

static const struct {
	unsigned ops; /* OP() of the calls it holds for */
	int from, to;
} norm[] = {
	/* accept(2): Linux hands out errors that wait on the new socket; the listener is fine */
	{OP(ACCEPT), EPROTO, ECONNABORTED},
	{OP(ACCEPT), ENOPROTOOPT, ECONNABORTED},
	{OP(ACCEPT), EOPNOTSUPP, ECONNABORTED},
	{OP(ACCEPT), ENONET, ECONNABORTED},
	{OP(ACCEPT), ENETDOWN, ECONNABORTED},
	{OP(ACCEPT), EHOSTDOWN, ECONNABORTED},
	{OP(ACCEPT), EHOSTUNREACH, ECONNABORTED},
	{OP(ACCEPT), ENETUNREACH, ECONNABORTED},
	{OP(ACCEPT), ETIMEDOUT, ECONNABORTED},
	/* Linux before 2.6.x and some filters: ports exhausted */
	{OP(DIAL), EAGAIN, EADDRNOTAVAIL},
	/* netfilter's REJECT answers connect with it */
	{OP(DIAL), EPERM, EACCES},
	/* RST in CLOSE-WAIT: Linux notes EPIPE, which is a writer's word */
	{OP(READ), EPIPE, ECONNRESET},
	{OP_ALL, ENOMEM, ENOBUFS},
	{OP_ALL, EHOSTDOWN, EHOSTUNREACH},
	{OP_ALL, ENONET, ENETUNREACH},
	{OP_ALL, ENETDOWN, ENETUNREACH},
};

const struct errtab_entry *errtab_find(int err)
{
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].err == err || table[i].err == -(int64_t)err)
			return &table[i];
	return NULL;
}

int errtab_norm(enum errtab_op op, int err)
{
	for (unsigned i = 0; i < ARRAY_SIZE(norm); i++)
		if ((norm[i].ops & (1u << op)) && norm[i].from == -err)
			return -norm[i].to;
	return err;
}

PL_API const char *pl_strerror(int err)
{
	const struct errtab_entry *e = errtab_find(err);

	const char *text = NULL;

	if (e)
		return e->text;
	if (!err)
		return "success";
	/* what a system call said and we pass on; its texts are static, too */
	if (err > INT_MIN)
		text = strerrordesc_np(err < 0 ? -err : err);
	return text ? text : "no -errno: a cause of the program's own (pl_ctx_cancel)";
}
