/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conn API, written once above conn_ops: listen, accept, dial (R56), close (R53), deadlines;
 * reads and writes are in conn_io.c, where the memory comes from in conn_mem.c. What a try is, and
 * over which network, is the backend's affair; which -errno the user sees is decided here and in
 * errors.c (R12).
 */
#include <errno.h>

#include <parklane/conn.h>

#include "poller/conn_fd_int.h"
#include "poller/conn_int.h"
#include "poller/ctx.h"
#include "poller/errors.h"
#include "poller/lane_int.h"
#include "poller/sched.h"
#include "stack/base/bug.h"
#include "stack/base/clock.h"

#define CONN_BACKLOG 1024 /* where the caller has no wish */

/* ---- the end ---- */

/* A closer whom another lane may have to tell the owner of. */
struct conn_closer {
	struct fdm_closer closer;
	struct lane_msg bye;
	struct pl_conn *c;
};

/* __conn_destroy - on the owner lane: pd first, then fd or sock (R16), then the closer, who
 * returns from pl_close. */
static COLD void __conn_destroy(struct pl_conn *c)
{
	struct fdm_closer *closer = fd_mutex_take_closer(&c->fdmu);

	netpoll_close(c->pd);
	c->pd = NULL;
	c->ops->destroy(c);
	conn_free(c);
	if (closer)
		sched_ready(closer->g);
}

static void bye(struct lane *l, struct lane_msg *m)
{
	(void)l;
	__conn_destroy(container_of(m, struct conn_closer, bye)->c);
}

/* On another lane it was not the closer's reference: one that is the last there parks in
 * __conn_close(). */
COLD void conn_destroy(struct pl_conn *c)
{
	struct fdm_closer *closer;

	if (likely(c->lane == lane_self())) {
		__conn_destroy(c);
		return;
	}
	closer = fd_mutex_closer(&c->fdmu);
	lane_post(c->lane, &container_of(closer, struct conn_closer, closer)->bye);
}

static bool commit_bye(struct g *g, void *arg)
{
	struct conn_closer *cc = arg;

	fd_mutex_set_closer(&cc->c->fdmu, &cc->closer, g);
	lane_post(cc->c->lane, &cc->bye);
	return true;
}

static int conn_close_held(struct pl_conn *c)
{
	struct conn_closer cc = {.bye = {.fn = bye}, .c = c};
	int err = fd_mutex_close(&c->fdmu);

	if (err)
		return err;
	netpoll_evict(c->pd);
	if (!fd_mutex_close_wait(&c->fdmu, &cc.closer))
		return 0;
	if (likely(c->lane == lane_self()))
		__conn_destroy(c);
	else
		sched_park(commit_bye, &cc, WAIT_LANE);
	return 0;
}

/* __conn_close - on the owner lane, or a shared conn from another one. The closer's hold keeps c
 * until it returns, so that a call which comes before that finds a closed conn. */
static int __conn_close(struct pl_conn *c)
{
	int err;

	conn_hold(c);
	err = conn_close_held(c);
	conn_put(c);
	return err;
}

int conn_close_for(struct pl_conn *c, struct fdm_closer *closer, struct g *g)
{
	int err = fd_mutex_close(&c->fdmu);

	if (err)
		return err;
	netpoll_evict(c->pd);
	fd_mutex_set_closer(&c->fdmu, closer, g);
	if (fd_mutex_decref(&c->fdmu))
		__conn_destroy(c);
	return 0;
}

void conn_drop(struct pl_conn *c)
{
	BUG_ON(__conn_close(c) != 0);
}

void conn_lane_fini(struct lane *l)
{
	struct netpoll_backend *stack = lane_stack_backend(l);
	struct pl_conn *c;

	list_for_each_entry (c, lane_conns(l), link) {
		if (c->holds & CONN_DEAD)
			continue; /* a g that held it was dropped */
		netpoll_abandon(c->pd);
		netpoll_close(c->pd);
		c->ops->destroy(c);
	}
	/* the last frames of this lane: peers are told, as the kernel tells those of a process
	 * that ends */
	if (stack && stack->ops->output)
		(void)stack->ops->output(stack, lane_now(l));
}

static int conn_do_here(struct pl_conn *c, int (*fn)(struct pl_conn *c, void *arg), void *arg)
{
	int err;

	if (!fd_mutex_incref(&c->fdmu))
		return -EBADF;
	err = fn(c, arg);
	if (unlikely(fd_mutex_decref(&c->fdmu)))
		conn_destroy(c);
	return err;
}

struct conn_do {
	int (*fn)(struct pl_conn *c, void *arg);
	void *arg;
};

static int conn_do_far(struct pl_conn *c, void *arg)
{
	const struct conn_do *d = arg;

	return conn_do_here(c, d->fn, d->arg);
}

int conn_do(struct pl_conn *c, int (*fn)(struct pl_conn *c, void *arg), void *arg)
{
	struct conn_do d = {fn, arg};

	if (unlikely(!c))
		return -EINVAL;
	if (likely(conn_usable(c)))
		return conn_do_here(c, fn, arg);
	if (!conn_kin(c, lane_self()))
		return -EXDEV;
	return conn_far(c, conn_do_far, &d);
}

COLD int conn_refused(void)
{
	int err = ctx_self_err();

	return err ? err : -EBADF;
}

/* ---- listen, accept, dial ---- */

/* is_net - a caller may have cast anything to the enum. */
static bool is_net(enum pl_net net)
{
	return (unsigned)net <= PL_NET_KERNEL;
}

/* conn_net - the ops of the network that a call is about; NULL the lane l has none such. */
static const struct conn_ops *conn_net(const struct lane *l, enum pl_net net)
{
	const struct netpoll_backend *stack = lane_stack_backend(l), *kernel;

	if (stack && net != PL_NET_KERNEL)
		return stack->conn_ops;
	kernel = lane_kernel_backend(l);
	if (net == PL_NET_STACK || !kernel)
		return NULL;
	return kernel->conn_ops;
}

int conn_control(struct pl_conn *c, struct conn_control *ctl)
{
	if (likely(!ctl->fn))
		return 0;
	conn_hold(c); /* whatever fn does, it can be looked at behind it */
	ctl->err = ctl->fn(c, ctl->arg);
	if (unlikely(fd_mutex_closed(&c->fdmu)))
		bug_misuse("pl_close: by the control of the dial or listen that made the conn");
	conn_put(c);
	if (ctl->err)
		conn_drop(c);
	return ctl->err;
}

/* addr_is_host - false for multicast, reserved and broadcast: no end of a TCP connection
 * (RFC 1122 4.2.3.10). Linux tells so late and with another errno. */
static bool addr_is_host(const struct pl_addr *a)
{
	return (*(const uint8_t *)&a->v4) < 224;
}

PL_API int pl_listen_control(enum pl_net net, const struct pl_addr *addr, int backlog,
			     int (*control)(struct pl_conn *c, void *arg), void *arg,
			     struct pl_conn **ret_conn)
{
	struct conn_control ctl = {.fn = control, .arg = arg};
	struct lane *l = lane_self();
	const struct conn_ops *ops;
	int err;

	if (!addr || !ret_conn)
		return -EINVAL;
	if (!l)
		return -EXDEV;
	if (!is_net(net))
		return -EINVAL;
	if (addr->family != PL_AF_INET)
		return -EAFNOSUPPORT;
	if (!addr_is_host(addr))
		return -EADDRNOTAVAIL;
	ops = conn_net(l, net);
	if (!ops)
		return -ENODEV;
	err = ops->listen(l, addr, backlog < 1 ? CONN_BACKLOG : backlog, &ctl, ret_conn);
	if (ctl.err)
		return ctl.err;
	return err ? errtab_norm(ERRTAB_LISTEN, err) : 0;
}

PL_API int pl_listen(enum pl_net net, const struct pl_addr *addr, int backlog,
		     struct pl_conn **ret_conn)
{
	return pl_listen_control(net, addr, backlog, NULL, NULL, ret_conn);
}

/* Out of fds or memory: the first failure is told at once, and after that each call waits first,
 * longer each time, as Go's servers do: a loop of accepts does not spin. */
#define ACCEPT_BACKOFF_NS  (5 * NSEC_PER_MSEC)
#define ACCEPT_BACKOFF_MAX NSEC_PER_SEC
#define ACCEPT_SLICE_NS    (10 * NSEC_PER_MSEC) /* a close or deadline is seen so late at most */

static bool is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

static COLD int accept_backoff(struct pl_conn *c)
{
	uint64_t left = min_t(uint64_t, ACCEPT_BACKOFF_NS << min_t(unsigned, c->backoff - 1, 8),
			      ACCEPT_BACKOFF_MAX);
	int err = netpoll_check_err(c->pd, NETPOLL_READ);

	while (left && !err) {
		uint64_t slice = min_t(uint64_t, left, ACCEPT_SLICE_NS);

		sched_sleep((int64_t)slice);
		left -= slice;
		err = netpoll_check_err(c->pd, NETPOLL_READ);
		if (!err)
			err = ctx_self_err();
	}
	return err;
}

static int conn_accept_locked(struct pl_conn *c, struct pl_conn **ret_conn)
{
	int err;

	if (!(c->kind & CONN_K_LISTENER))
		return -EINVAL;
	err = unlikely(c->backoff) ? accept_backoff(c) : 0;
	if (!err)
		err = netpoll_reset(c->pd, NETPOLL_READ);
	while (!err) {
		err = c->ops->accept(c, ret_conn);
		if (likely(!err)) {
			c->backoff = 0;
			return 0;
		}
		if (err == -EAGAIN) {
			err = netpoll_wait(c->pd, NETPOLL_READ);
			continue;
		}
		err = errtab_norm(ERRTAB_ACCEPT, err);
		if (err == -ECONNABORTED)
			err = 0;
		else if (is_shortage(err) && c->backoff < UINT8_MAX)
			c->backoff++;
	}
	return err;
}

PL_API int pl_accept(struct pl_conn *listener, struct pl_conn **ret_conn)
{
	int err;

	if (unlikely(!listener || !ret_conn))
		return -EINVAL;
	if (unlikely(!conn_usable(listener)))
		return -EXDEV;
	if (unlikely(!fd_mutex_lock(&listener->fdmu, FDM_READ)))
		return conn_refused();
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

/* dial_refused - what needs no socket to be known. */
static int dial_refused(const struct lane *l, enum pl_net net, const struct pl_addr *addr,
			uint64_t deadline)
{
	if (!is_net(net))
		return -EINVAL;
	if (addr->family != PL_AF_INET)
		return -EAFNOSUPPORT;
	if (!addr->port || !addr_is_host(addr))
		return -EINVAL;
	if (!conn_net(l, net))
		return -ENODEV;
	if (deadline && deadline <= lane_now(l))
		return -ETIME;
	return ctx_self_err();
}

PL_API int pl_dial_control(enum pl_net net, const struct pl_addr *addr, uint64_t deadline,
			   int (*control)(struct pl_conn *c, void *arg), void *arg,
			   struct pl_conn **ret_conn)
{
	struct conn_control ctl = {.fn = control, .arg = arg};
	struct lane *l = lane_self();
	struct pl_conn *c;
	int err;

	if (!addr || !ret_conn)
		return -EINVAL;
	if (!l)
		return -EXDEV;
	err = dial_refused(l, net, addr, deadline);
	if (err)
		return err;
	err = conn_net(l, net)->dial_start(l, addr, &ctl, &c);
	if (ctl.err)
		return ctl.err;
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

PL_API int pl_dial(enum pl_net net, const struct pl_addr *addr, uint64_t deadline,
		   struct pl_conn **ret_conn)
{
	return pl_dial_control(net, addr, deadline, NULL, NULL, ret_conn);
}

/* ---- fds of the user's ---- */

PL_API int pl_adopt(int fd, unsigned flags, struct pl_conn **ret_conn)
{
	struct lane *l = lane_self();

	if (!ret_conn || (flags & ~PL_ADOPT_KEEP))
		return -EINVAL;
	if (!l)
		return -EXDEV;
	if (!lane_kernel_backend(l))
		return -ENODEV;
	return conn_file_adopt(l, fd, flags, ret_conn);
}

PL_API int pl_conn_fd(const struct pl_conn *c)
{
	if (!c)
		return -EINVAL;
	if (fd_mutex_closed(&c->fdmu))
		return -EBADF;
	return c->ops->shared ? c->fd : -EOPNOTSUPP;
}

/* ---- the end, and the rest ---- */

static int do_shutdown(struct pl_conn *c, void *arg)
{
	return c->kind & CONN_K_LISTENER ? -ENOTCONN : c->ops->shutdown(c, *(int *)arg);
}

PL_API int pl_shutdown(struct pl_conn *c, int how)
{
	int err;

	if (how < 0 || how > 2)
		return -EINVAL;
	err = conn_do(c, do_shutdown, &how);
	return err ? errtab_norm(ERRTAB_OTHER, err) : 0;
}

PL_API int pl_close(struct pl_conn *c)
{
	if (unlikely(!c))
		return -EINVAL;
	if (likely(conn_usable(c)))
		return __conn_close(c);
	return conn_kin(c, lane_self()) ? conn_far_close(c) : -EXDEV;
}

struct deadline_arg {
	uint64_t deadline;
	unsigned mode;
};

static int do_deadline(struct pl_conn *c, void *arg)
{
	const struct deadline_arg *d = arg;

	netpoll_set_deadline(c->pd, d->deadline, d->mode);
	return 0;
}

PL_API int pl_set_deadline(struct pl_conn *c, uint64_t deadline)
{
	return conn_do(c, do_deadline,
		       &(struct deadline_arg){deadline, NETPOLL_READ | NETPOLL_WRITE});
}

PL_API int pl_set_read_deadline(struct pl_conn *c, uint64_t deadline)
{
	return conn_do(c, do_deadline, &(struct deadline_arg){deadline, NETPOLL_READ});
}

PL_API int pl_set_write_deadline(struct pl_conn *c, uint64_t deadline)
{
	return conn_do(c, do_deadline, &(struct deadline_arg){deadline, NETPOLL_WRITE});
}

struct addr_arg {
	int peer;
	struct pl_addr *ret_addr;
};

static int do_addr(struct pl_conn *c, void *arg)
{
	const struct addr_arg *a = arg;

	return c->ops->addr(c, a->peer, a->ret_addr);
}

static int conn_addr(struct pl_conn *c, int peer, struct pl_addr *ret_addr)
{
	int err = -EINVAL;

	if (ret_addr)
		err = conn_do(c, do_addr, &(struct addr_arg){peer, ret_addr});
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
