/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conn API, written once above conn_ops: mutex (R51-R54), the reset/try/wait loop (R9,
 * R10), deadlines, close, dial (R56). What a try is, and over which network, is the
 * backend's affair; which -errno the user sees is decided here and in errors.c (R12).
 */
#include <errno.h>
#include <stdlib.h>

#include <parklane/conn.h>

#include "poller/conn_ops.h"
#include "poller/errors.h"
#include "poller/lane_int.h"
#include "poller/sched.h"
#include "stack/base/bug.h"

/* One try moves at most this much: Linux cuts there too, and it keeps ssize_t positive. */
#define CONN_TRY_MAX ((size_t)1 << 30)

#define CONN_BACKLOG 1024 /* where the caller has no wish */

/* ---- life ---- */

struct pl_conn *conn_alloc(struct netpoll_backend *nb, const struct conn_ops *ops)
{
	struct pl_conn *c = aligned_alloc(CACHE_LINE, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct pl_conn){.ops = ops, .lane = nb->lane};
	fd_mutex_init(&c->fdmu, nb->local);
	list_add_tail(&c->link, lane_conns(nb->lane));
	return c;
}

void conn_free(struct pl_conn *c)
{
	list_del(&c->link);
	free(c);
}

/* conn_destroy - the last reference is gone (R53): pd first, then fd or sock (R16), then the
 * closer, who returns from pl_close. */
static COLD void conn_destroy(struct pl_conn *c)
{
	struct g *closer = fd_mutex_take_closer(&c->fdmu);

	netpoll_close(c->pd);
	c->ops->destroy(c);
	conn_free(c);
	if (closer)
		sched_ready(closer);
}

void conn_drop(struct pl_conn *c)
{
	netpoll_evict(c->pd);
	conn_destroy(c);
}

void conn_lane_fini(struct lane *l)
{
	struct netpoll_backend *stack = lane_stack_backend(l);
	struct list_head *conns = lane_conns(l);
	struct pl_conn *c;

	while (!list_empty(conns)) {
		c = list_first_entry(conns, struct pl_conn, link);
		if (!c->pd->closing)
			netpoll_evict(c->pd);
		else /* its g waits for a cancelled request (R11), which nothing else ends */
			netpoll_ready(c->pd, NETPOLL_READ | NETPOLL_WRITE);
		netpoll_close(c->pd);
		c->ops->destroy(c);
		conn_free(c);
	}
	/* the last frames of this lane: peers are told, as the kernel tells those of a process
	 * that ends */
	if (stack && stack->ops->output)
		(void)stack->ops->output(stack, lane_now(l));
}

/* conn_enter/conn_leave - around what neither parks nor needs a direction's lock. */
static int conn_enter(struct pl_conn *c)
{
	if (unlikely(c->lane != lane_self()))
		return -EXDEV;
	return fd_mutex_incref(&c->fdmu) ? 0 : -EBADF;
}

static void conn_leave(struct pl_conn *c)
{
	if (unlikely(fd_mutex_decref(&c->fdmu)))
		conn_destroy(c);
}

/* ---- listen, accept, dial ---- */

/* conn_net - the ops of the network that a call is about; NULL the lane l has none such. */
static const struct conn_ops *conn_net(const struct lane *l, enum pl_net net)
{
	const struct netpoll_backend *stack = lane_stack_backend(l), *kernel;

	if (stack && net != PL_NET_KERNEL)
		return stack->conn_ops;
	kernel = lane_epoll_backend(l);
	if (net == PL_NET_STACK || !kernel)
		return NULL;
	return kernel->conn_ops;
}

/* addr_is_host - false for multicast, reserved and broadcast: no end of a TCP connection
 * (RFC 1122 4.2.3.10). Linux tells so late and with another errno. */
static bool addr_is_host(const struct pl_addr *a)
{
	return (*(const uint8_t *)&a->v4) < 224;
}

PL_API int pl_listen(enum pl_net net, const struct pl_addr *addr, int backlog,
		     struct pl_conn **ret_conn)
{
	struct lane *l = lane_self();
	const struct conn_ops *ops;
	int err;

	if (!l)
		return -EXDEV;
	if (addr->family != PL_AF_INET)
		return -EAFNOSUPPORT;
	if (!addr_is_host(addr))
		return -EADDRNOTAVAIL;
	ops = conn_net(l, net);
	if (!ops)
		return -ENODEV;
	err = ops->listen(l, addr, backlog < 1 ? CONN_BACKLOG : backlog, ret_conn);
	return err ? errtab_norm(ERRTAB_LISTEN, err) : 0;
}

static int conn_accept_locked(struct pl_conn *c, struct pl_conn **ret_conn)
{
	int err;

	if (!(c->flags & CONN_F_LISTENER))
		return -EINVAL;
	err = netpoll_reset(c->pd, NETPOLL_READ);
	while (!err) {
		err = c->ops->accept(c, ret_conn);
		if (likely(!err))
			return 0;
		if (err == -EAGAIN) {
			err = netpoll_wait(c->pd, NETPOLL_READ);
			continue;
		}
		err = errtab_norm(ERRTAB_ACCEPT, err);
		if (err == -ECONNABORTED)
			err = 0;
	}
	return err;
}

PL_API int pl_accept(struct pl_conn *listener, struct pl_conn **ret_conn)
{
	int err;

	if (unlikely(listener->lane != lane_self()))
		return -EXDEV;
	if (unlikely(!fd_mutex_lock(&listener->fdmu, FDM_READ)))
		return -EBADF;
	err = conn_accept_locked(listener, ret_conn);
	if (unlikely(fd_mutex_unlock(&listener->fdmu, FDM_READ)))
		conn_destroy(listener);
	return err;
}

/* conn_dial_wait - R56: until the handshake is over or the deadline cancels it. */
static int conn_dial_wait(struct pl_conn *c, uint64_t deadline)
{
	int err;

	if (deadline)
		netpoll_set_deadline(c->pd, deadline, NETPOLL_WRITE);
	do {
		err = netpoll_wait(c->pd, NETPOLL_WRITE);
		if (!err)
			err = c->ops->dial_check(c);
	} while (err == -EINPROGRESS);
	if (!err && deadline)
		netpoll_set_deadline(c->pd, 0, NETPOLL_WRITE);
	return err;
}

PL_API int pl_dial(enum pl_net net, const struct pl_addr *addr, uint64_t deadline,
		   struct pl_conn **ret_conn)
{
	struct lane *l = lane_self();
	const struct conn_ops *ops;
	struct pl_conn *c;
	int err;

	if (!l)
		return -EXDEV;
	if (addr->family != PL_AF_INET)
		return -EAFNOSUPPORT;
	if (!addr->port || !addr_is_host(addr))
		return -EINVAL;
	ops = conn_net(l, net);
	if (!ops)
		return -ENODEV;
	if (deadline && deadline <= lane_now(l))
		return -ETIME;
	err = ops->dial_start(l, addr, &c);
	if (err == -EINPROGRESS) {
		err = conn_dial_wait(c, deadline);
		if (err)
			conn_drop(c);
	}
	if (err)
		return errtab_norm(ERRTAB_DIAL, err);
	*ret_conn = c;
	return 0;
}

/* ---- read and write ---- */

/* conn_read_end - a try that brought neither bytes nor -EAGAIN: the same story on both
 * networks, and the same again at the next call. Linux reports a reset once, then 0. */
static COLD ssize_t conn_read_end(struct pl_conn *c, ssize_t n)
{
	if (c->flags & CONN_F_EOF)
		return 0;
	if (n == 0 && !(c->flags & CONN_F_RESET)) {
		c->flags |= CONN_F_EOF;
		return 0;
	}
	if (n == 0)
		return -ECONNRESET;
	n = errtab_norm(ERRTAB_READ, (int)n);
	if (n == -ECONNRESET)
		c->flags |= CONN_F_RESET;
	return n;
}

/*
 * conn_read_locked - R9's loop. After a short read the stream was empty, so that without a
 * new edge since the next read parks at once, which saves the try that would say -EAGAIN;
 * no reset then, because that would forget the edge. A hang-up that came before the short
 * read will give no further edge: pd->hup forbids the short cut.
 */
static ssize_t conn_read_locked(struct pl_conn *c, void *buf, size_t len)
{
	ssize_t n;
	int err;

	if (unlikely(len == 0))
		return 0;
	if (len > CONN_TRY_MAX)
		len = CONN_TRY_MAX;
	if (likely(c->flags & CONN_F_RD_DRAINED)) {
		c->flags &= (uint8_t)~CONN_F_RD_DRAINED;
		err = netpoll_wait(c->pd, NETPOLL_READ);
	} else {
		err = netpoll_reset(c->pd, NETPOLL_READ);
	}
	while (likely(!err)) {
		n = c->ops->read(c, buf, len);
		if (likely(n > 0)) {
			if ((size_t)n < len && !c->pd->hup)
				c->flags |= CONN_F_RD_DRAINED;
			ledger_count(&c->lane->led, LEDGER_EV_BYTES_COPIED, (uint64_t)n);
			return n;
		}
		if (n != -EAGAIN)
			return conn_read_end(c, n);
		err = netpoll_wait(c->pd, NETPOLL_READ);
	}
	return err;
}

PL_API ssize_t pl_read(struct pl_conn *c, void *buf, size_t len)
{
	ssize_t n;

	if (unlikely(c->lane != lane_self()))
		return -EXDEV;
	if (unlikely(!fd_mutex_lock(&c->fdmu, FDM_READ)))
		return -EBADF;
	n = conn_read_locked(c, buf, len);
	if (unlikely(fd_mutex_unlock(&c->fdmu, FDM_READ)))
		conn_destroy(c);
	return n;
}

/* conn_write_error - a reset that a write meets at its first try came before the write, so
 * that it is -EPIPE; one that hits a parked write is -ECONNRESET. */
static COLD ssize_t conn_write_error(struct pl_conn *c, int err, bool waited)
{
	err = errtab_norm(ERRTAB_WRITE, err);
	if (err == -ECONNRESET) {
		c->flags |= CONN_F_RESET;
		if (!waited)
			err = -EPIPE;
	}
	return err;
}

static ssize_t conn_write_locked(struct pl_conn *c, const char *buf, size_t len)
{
	size_t done = 0, want;
	bool waited = c->ops->completion;
	ssize_t n;
	int err;

	if (unlikely(c->flags & CONN_F_LISTENER))
		return -ENOTCONN;
	err = netpoll_reset(c->pd, NETPOLL_WRITE);
	while (likely(!err) && done < len) {
		want = min_t(size_t, len - done, CONN_TRY_MAX);
		n = c->ops->write(c, buf + done, want);
		if (likely(n == (ssize_t)want)) {
			done += want;
			continue;
		}
		if (n > 0) {
			done += (size_t)n;
		} else if (n != -EAGAIN) {
			err = (int)conn_write_error(c, (int)n, waited);
			break;
		}
		/* short or nothing: the queue is full, and an edge will tell of room */
		err = netpoll_wait(c->pd, NETPOLL_WRITE);
		waited = true;
	}
	if (unlikely(!done))
		return err;
	ledger_count(&c->lane->led, LEDGER_EV_BYTES_COPIED, done);
	return (ssize_t)done;
}

PL_API ssize_t pl_write(struct pl_conn *c, const void *buf, size_t len)
{
	ssize_t n;

	if (unlikely(c->lane != lane_self()))
		return -EXDEV;
	if (unlikely(!fd_mutex_lock(&c->fdmu, FDM_WRITE)))
		return -EBADF;
	n = conn_write_locked(c, buf, len);
	if (unlikely(fd_mutex_unlock(&c->fdmu, FDM_WRITE)))
		conn_destroy(c);
	return n;
}

/* ---- the end, and the rest ---- */

PL_API int pl_shutdown(struct pl_conn *c, int how)
{
	int err;

	if (how < 0 || how > 2)
		return -EINVAL;
	err = conn_enter(c);
	if (err)
		return err;
	err = c->flags & CONN_F_LISTENER ? -ENOTCONN : c->ops->shutdown(c, how);
	conn_leave(c);
	return err ? errtab_norm(ERRTAB_OTHER, err) : 0;
}

PL_API int pl_close(struct pl_conn *c)
{
	int err;

	if (c->lane != lane_self())
		return -EXDEV;
	err = fd_mutex_close(&c->fdmu);
	if (err)
		return err;
	netpoll_evict(c->pd);
	if (fd_mutex_close_wait(&c->fdmu))
		conn_destroy(c);
	return 0;
}

static int conn_set_deadline(struct pl_conn *c, uint64_t deadline, unsigned mode)
{
	int err = conn_enter(c);

	if (err)
		return err;
	netpoll_set_deadline(c->pd, deadline, mode);
	conn_leave(c);
	return 0;
}

PL_API int pl_set_deadline(struct pl_conn *c, uint64_t deadline)
{
	return conn_set_deadline(c, deadline, NETPOLL_READ | NETPOLL_WRITE);
}

PL_API int pl_set_read_deadline(struct pl_conn *c, uint64_t deadline)
{
	return conn_set_deadline(c, deadline, NETPOLL_READ);
}

PL_API int pl_set_write_deadline(struct pl_conn *c, uint64_t deadline)
{
	return conn_set_deadline(c, deadline, NETPOLL_WRITE);
}

PL_API int pl_set_nodelay(struct pl_conn *c, int on)
{
	int err = conn_enter(c);

	if (err)
		return err;
	err = c->ops->set_nodelay(c, on != 0);
	conn_leave(c);
	return err ? errtab_norm(ERRTAB_OTHER, err) : 0;
}

static int conn_addr(struct pl_conn *c, int peer, struct pl_addr *ret_addr)
{
	int err = conn_enter(c);

	if (err)
		return err;
	err = c->ops->addr(c, peer, ret_addr);
	conn_leave(c);
	return err ? errtab_norm(ERRTAB_OTHER, err) : 0;
}

PL_API int pl_local_addr(struct pl_conn *c, struct pl_addr *ret_addr)
{
	return conn_addr(c, 0, ret_addr);
}

PL_API int pl_peer_addr(struct pl_conn *c, struct pl_addr *ret_addr)
{
	return conn_addr(c, 1, ret_addr);
}
