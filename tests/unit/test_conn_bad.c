/* SPDX-License-Identifier: BSD-3-Clause */
/* Bad input to the conn API, and what the kernel has no more of: the -errno that is documented. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bug_signal.h"
#include "conn_real.h"

/* ---- shortage ---- */

static struct pl_addr addr;

static void g_lower_later(void *arg)
{
	pl_sleep(60 * MS);
	setrlimit(RLIMIT_NOFILE, arg);
}

static void t_emfile(void *arg)
{
	struct rlimit rl, old;
	struct pl_conn *l, *c;
	unsigned tries = 0;
	uint64_t t0;
	int err, fd;

	(void)arg;
	addr = (struct pl_addr){.family = PL_AF_INET};
	memcpy(&addr.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	IS(pl_listen(PL_NET_KERNEL, &addr, 0, &l), 0);
	IS(pl_local_addr(l, &addr), 0);
	IS(pl_dial(PL_NET_KERNEL, &addr, 0, &a), 0);
	getrlimit(RLIMIT_NOFILE, &old);
	rl = old;
	fd = dup(0);
	close(fd);
	rl.rlim_cur = (rlim_t)fd;
	setrlimit(RLIMIT_NOFILE, &rl);
	IS(pl_go(g_lower_later, &old), 0);
	t0 = pl_now();
	while ((err = pl_accept(l, &c)) == -EMFILE)
		tries++;
	/* at 0, 5, 15, 35 ms: the loop of a user who does not care */
	IS(err, 0);
	cr_expect(tries >= 2 && tries <= 5, "%u tries", tries);
	cr_expect_geq(pl_now() - t0, 50 * (uint64_t)MS);
	IS(pl_close(c), 0);
	IS(pl_close(a), 0);
	IS(pl_close(l), 0);
}

Test(conn_bad, test_conn_accept_without_fds_backs_off, .timeout = 20)
{
	in_lane(t_emfile);
}

/* ---- what Linux does not say on TCP, but may (accept(2), connect(2)) ---- */

static const struct conn_ops *real_ops;
static unsigned aborted;

static int accept_aborts_twice(struct pl_conn *c, struct pl_conn **ret_conn)
{
	return aborted < 2 ? (aborted++, -ECONNABORTED) : real_ops->accept(c, ret_conn);
}

static void t_aborted(void *arg)
{
	struct conn_ops ops;
	struct pl_conn *l;

	(void)arg;
	addr = (struct pl_addr){.family = PL_AF_INET};
	memcpy(&addr.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	IS(pl_listen(PL_NET_KERNEL, &addr, 0, &l), 0);
	IS(pl_local_addr(l, &addr), 0);
	IS(pl_dial(PL_NET_KERNEL, &addr, 0, &a), 0);
	ops = *l->ops;
	ops.accept = accept_aborts_twice;
	real_ops = l->ops;
	aborted = 0;
	l->ops = &ops;
	IS(pl_accept(l, &b), 0);
	IS(aborted, 2);
	l->ops = real_ops;
	close_both();
	IS(pl_close(l), 0);
}

Test(conn_bad, test_conn_R54_accept_goes_on_after_econnaborted, .timeout = 20)
{
	in_lane(t_aborted);
}

/* An edge that comes before the handshake is over: SO_ERROR is 0, getpeername(2) knows better. */
static void t_early_edge(void *arg)
{
	(void)arg;
	IS(pl_adopt(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 0, &a), 0);
	IS(a->ops->dial_check(a), -EINPROGRESS);
	IS(pl_close(a), 0);
}

Test(conn_bad, test_conn_R56_dial_waits_on_after_an_early_edge, .timeout = 20)
{
	cr_assert(in_lane_on(LANE_KERNEL_EPOLL, t_early_edge));
}

static void g_close_l(void *arg)
{
	pl_sleep(5 * MS);
	IS(pl_close(arg), 0);
}

static void t_backoff_close(void *arg)
{
	struct rlimit rl, old;
	struct pl_conn *l, *c;
	int fd;

	(void)arg;
	addr = (struct pl_addr){.family = PL_AF_INET};
	memcpy(&addr.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	IS(pl_listen(PL_NET_KERNEL, &addr, 0, &l), 0);
	IS(pl_local_addr(l, &addr), 0);
	IS(pl_dial(PL_NET_KERNEL, &addr, 0, &a), 0);
	getrlimit(RLIMIT_NOFILE, &old);
	rl = old;
	fd = dup(0);
	close(fd);
	rl.rlim_cur = (rlim_t)fd;
	setrlimit(RLIMIT_NOFILE, &rl);
	for (int i = 0; i < 4; i++)
		IS(pl_accept(l, &c), -EMFILE);
	IS(pl_set_read_deadline(l, 1), 0);
	IS(pl_accept(l, &c), -ETIME);
	IS(pl_set_read_deadline(l, 0), 0);
	IS(pl_go(g_close_l, l), 0);
	IS(pl_accept(l, &c), -EBADF);
	setrlimit(RLIMIT_NOFILE, &old);
	pl_sleep(5 * MS);
	IS(pl_close(a), 0);
}

Test(conn_bad, test_conn_accept_backing_off_is_closed_and_timed_out, .timeout = 20)
{
	in_lane(t_backoff_close);
}

static int no_watch_left(struct netpoll_backend *nb, struct poll_desc *pd)
{
	(void)nb;
	(void)pd;
	return -ENOSPC;
}

/* What epoll_ctl(2) says at fs.epoll.max_user_watches, which is not a test's to change. */
static void t_enospc(void *arg)
{
	struct netpoll_backend *nb = lane_kernel_backend(lane_self());
	const struct netpoll_ops *real = nb->ops;
	struct netpoll_ops full = *real;
	struct pl_conn *l, *c;
	int fd[2];

	(void)arg;
	addr = (struct pl_addr){.family = PL_AF_INET};
	memcpy(&addr.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	IS(pl_listen(PL_NET_KERNEL, &addr, 0, &l), 0);
	IS(pl_local_addr(l, &addr), 0);
	IS(pl_dial(PL_NET_KERNEL, &addr, 0, &a), 0);
	full.open = no_watch_left;
	nb->ops = &full;
	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
	IS(pl_adopt(fd[0], 0, &c), -ENOSPC);
	IS(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	IS(pl_listen(PL_NET_KERNEL, &addr, 0, &c), -ENOSPC);
	IS(pl_dial(PL_NET_KERNEL, &addr, 0, &c), -ENOSPC);
	IS(pl_accept(l, &c), -ENOSPC);
	nb->ops = real;
	/* the connection that could not be watched was closed; the second one still waits */
	IS(pl_accept(l, &c), 0);
	close(fd[0]);
	close(fd[1]);
	IS(pl_close(c), 0);
	IS(pl_close(a), 0);
	IS(pl_close(l), 0);
}

Test(conn_bad, test_conn_epoll_watches_used_up_say_enospc, .timeout = 20)
{
	(void)in_lane_on(LANE_KERNEL_EPOLL, t_enospc);
}

/* ---- arguments that no enum has ---- */

static void t_no_such_net(void *arg)
{
	struct pl_conn *l, *c;

	(void)arg;
	addr = (struct pl_addr){.family = PL_AF_INET};
	memcpy(&addr.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	IS(pl_listen(PL_NET_KERNEL, &addr, 0, &l), 0);
	IS(pl_local_addr(l, &addr), 0);
	IS(pl_dial((enum pl_net)9, &addr, 0, &c), -EINVAL);
	IS(pl_listen((enum pl_net)9, &addr, 0, &c), -EINVAL);
	IS(pl_dial((enum pl_net) - 1, &addr, 0, &c), -EINVAL);
	IS(pl_close(l), 0);
}

Test(conn_bad, test_conn_net_that_is_none_is_einval, .timeout = 20)
{
	in_lane(t_no_such_net);
}

/* ---- double use, the counters' limit ---- */

static ssize_t raw_nothing(int fd, void *arg)
{
	(void)fd;
	(void)arg;
	return 0;
}

static void t_close_twice(void *arg)
{
	if (arg) {
		IS(pl_read(a, &done, 1), -EBADF);
		/* before the first close has returned: the pointer lives */
		IS(pl_close(a), -EBADF);
		IS(pl_read(a, &done, 1), -EBADF);
		IS(pl_write(a, &done, 1), -EBADF);
		IS(pl_set_deadline(a, 1), -EBADF);
		IS(pl_shutdown(a, 2), -EBADF);
		IS(pl_raw_read(a, raw_nothing, &done), -EBADF);
		return;
	}
	adopt_socketpair(SOCK_STREAM);
	IS(pl_go(t_close_twice, a), 0);
	pl_yield();
	IS(pl_close(a), 0);
	IS(pl_close(b), 0);
}

Test(conn_bad, test_conn_close_twice_and_use_after_it_say_ebadf, .timeout = 20)
{
	in_lane(t_close_twice);
}

/* A call that came too late holds the conn while its memory is taken again, and while that one is
 * closed: each life of it ends once. */
static void t_stale_hold(void *arg)
{
	struct lane *l = lane_self();
	struct pl_conn *old, *c;
	unsigned n = 0;

	(void)arg;
	adopt_socketpair(SOCK_STREAM);
	old = a;
	close_both();
	conn_hold(old);
	do {
		adopt_socketpair(SOCK_STREAM);
		if (a != old && b != old)
			close_both();
		else
			break;
	} while (++n < 100);
	cr_assert_lt(n, 100);
	IS(pl_write(a, "x", 1), 1);
	IS(pl_read(b, &done, 1), 1);
	close_both();
	IS(old->holds, CONN_DEAD | 1);
	IS(pl_close(old), -EBADF);
	conn_put(old);
	IS(old->holds, CONN_DEAD | CONN_FREE);
	conn_hold(old);
	conn_put(old);
	n = 0;
	list_for_each_entry (c, &l->conns_resting, link)
		n += c == old;
	IS(n, 1);
	cr_expect(list_empty(lane_conns(l)));
}

Test(conn_bad, test_conn_held_by_a_late_call_is_freed_once_a_life, .timeout = 20)
{
	in_lane(t_stale_hold);
}

static void t_limit(void *arg)
{
	char c;

	(void)arg;
	adopt_socketpair(SOCK_STREAM);
	a->fdmu.word |= FDM_REF_MASK | FDM_LOCK(FDM_READ);
	(void)pl_read(a, &c, 1);
}

/* preset: 2^20 - 1 users. The message names R51. */
Test(conn_bad, test_conn_R51_too_many_users_is_fatal, .timeout = 20, .signal = BUG_SIGNAL)
{
	in_lane(t_limit);
}
