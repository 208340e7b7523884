/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Parklane's own sockets under the conn API. Owner lane only, so nothing here takes a lock;
 * one try of read or write is one call into the stack.
 */
#include "poller/conn_stack.h"

#include <errno.h>

#include "poller/lane.h"
#include "poller/netpoll_stack.h"
#include "poller/sched_int.h"
#include "stack/sock.h"
#include "stack/stack.h"

static struct sk_addr to_sk_addr(const struct pl_addr *a)
{
	return (struct sk_addr){.family = a->family, .port = a->port, .v4 = a->v4};
}

/* conn_stack_new - wrap sk and hook it up; closes sk on failure. 0; -ENOMEM; netpoll's. */
static int conn_stack_new(struct netpoll_backend *nb, struct sock *sk, uint8_t kind,
			  struct pl_conn **ret_conn)
{
	struct g *user = sched_self();
	int err;

	if (user && user->movable)
		movable_bind(user);
	err = conn_new(nb, &conn_stack_ops, -1, sk, kind, ret_conn);
	if (err)
		sock_close(sk);
	return err;
}

static int conn_stack_listen(struct lane *l, const struct pl_addr *addr, int backlog,
			     struct conn_control *ctl, struct pl_conn **ret_conn)
{
	struct netpoll_backend *nb = lane_stack_backend(l);
	struct sk_addr sa = to_sk_addr(addr);
	struct pl_conn *c;
	struct sock *sk;
	int err;

	err = sock_create(netpoll_stack_of(nb), addr->family, &sk);
	if (err)
		return err;
	/* as in Go; what is accepted inherits it */
	err = sock_setopt_int(sk, SK_SOL_TCP, SK_TCP_NODELAY, 1);
	/* a server comes back while its old connections are in TIME-WAIT */
	if (!err)
		err = sock_setopt_int(sk, SK_SOL_SOCKET, SK_SO_REUSEADDR, 1);
	if (err) {
		sock_close(sk);
		return err;
	}
	err = conn_stack_new(nb, sk, 0, &c);
	if (!err)
		err = conn_control(c, ctl);
	if (err)
		return err;
	err = sock_bind(sk, &sa);
	if (!err)
		err = sock_listen(sk, (unsigned)backlog);
	if (err) {
		conn_drop(c);
		return err;
	}
	c->kind = CONN_K_LISTENER;
	*ret_conn = c;
	return 0;
}

static int conn_stack_accept(struct pl_conn *c, struct pl_conn **ret_conn)
{
	struct sock *sk;
	int err;

	err = sock_accept(c->sk, &sk);
	if (err)
		return err;
	return conn_stack_new(c->pd->backend, sk, 0, ret_conn);
}

static int conn_stack_dial_start(struct lane *l, const struct pl_addr *addr,
				 struct conn_control *ctl, struct pl_conn **ret_conn)
{
	struct netpoll_backend *nb = lane_stack_backend(l);
	struct stack *st = netpoll_stack_of(nb);
	struct sk_addr sa = to_sk_addr(addr);
	struct pl_conn *c;
	struct sock *sk;
	int err;

	/* Linux takes 0.0.0.0 for this host */
	if (!sa.v4)
		sa.v4 = stack_ip(st);
	err = sock_create(st, addr->family, &sk);
	if (err)
		return err;
	err = sock_setopt_int(sk, SK_SOL_TCP, SK_TCP_NODELAY, 1);
	if (err) {
		sock_close(sk);
		return err;
	}
	err = conn_stack_new(nb, sk, 0, &c);
	if (!err)
		err = conn_control(c, ctl);
	if (err)
		return err;
	err = sock_connect(sk, &sa);
	if (err != -EINPROGRESS)
		conn_drop(c);
	*ret_conn = c;
	return err;
}

static int conn_stack_dial_check(struct pl_conn *c)
{
	int err = sock_error(c->sk);

	if (err)
		return err;
	switch (c->sk->sk_state) {
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return -EINPROGRESS;
	case TCP_CLOSE:
		return -ECONNRESET;
	default:
		return 0;
	}
}

static ssize_t conn_stack_read(struct pl_conn *c, void *buf, size_t len)
{
	return sock_recv(c->sk, buf, len);
}

/* conn_stack_write - sk_write_space is owed only after sock_send said -EAGAIN, so a short
 * send is followed by another until it does. */
static ssize_t conn_stack_write(struct pl_conn *c, const void *buf, size_t len)
{
	ssize_t n = sock_send(c->sk, buf, len), done;

	if (likely(n == (ssize_t)len) || n < 0)
		return n;
	for (done = n; (size_t)done < len; done += n) {
		n = sock_send(c->sk, (const char *)buf + done, len - (size_t)done);
		if (n < 0)
			break;
	}
	/* the error is taken from the sock, but its bytes come first: keep what it meant */
	if (n == -ECONNRESET)
		conn_note_reset(c);
	return done;
}

static int conn_stack_shutdown(struct pl_conn *c, int how)
{
	static const unsigned bits[] = {RCV_SHUTDOWN, SEND_SHUTDOWN, RCV_SHUTDOWN | SEND_SHUTDOWN};

	return sock_shutdown(c->sk, bits[how]);
}

static void conn_stack_destroy(struct pl_conn *c)
{
	sock_close(c->sk);
}

static int conn_stack_setopt(struct pl_conn *c, int level, int name, const void *val, uint32_t len)
{
	return sock_setopt(c->sk, level, name, val, len);
}

static int conn_stack_getopt(struct pl_conn *c, int level, int name, void *val, uint32_t *len)
{
	return sock_getopt(c->sk, level, name, val, len);
}

static int64_t conn_stack_queued(struct pl_conn *c, bool out)
{
	return out ? sock_outq(c->sk, false) : sock_inq(c->sk);
}

static int conn_stack_addr(struct pl_conn *c, int peer, struct pl_addr *ret_addr)
{
	const struct sk_addr *sa = peer ? &c->sk->sk_peer : &c->sk->sk_local;

	if (peer && !sa->port)
		return -ENOTCONN;
	*ret_addr = (struct pl_addr){.family = PL_AF_INET, .port = sa->port, .v4 = sa->v4};
	return 0;
}

const struct conn_ops conn_stack_ops = {
	.name = "stack",
	.listen = conn_stack_listen,
	.accept = conn_stack_accept,
	.dial_start = conn_stack_dial_start,
	.dial_check = conn_stack_dial_check,
	.read = conn_stack_read,
	.write = conn_stack_write,
	.shutdown = conn_stack_shutdown,
	.destroy = conn_stack_destroy,
	.setopt = conn_stack_setopt,
	.getopt = conn_stack_getopt,
	.queued = conn_stack_queued,
	.addr = conn_stack_addr,
};
