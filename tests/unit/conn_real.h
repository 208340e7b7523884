/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A real lane for tests of kernel-fd conns: one goroutine runs to its end, and nothing may be left
 * behind; two conns over a socketpair.
 */
#ifndef TESTS_UNIT_CONN_REAL_H
#define TESTS_UNIT_CONN_REAL_H

#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <parklane/conn.h>
#include <parklane/go.h>

#include "poller/conn_ops.h"
#include "poller/lane_int.h"

#define MS 1000000ll

static struct pl_conn *a MAYBE_UNUSED, *b MAYBE_UNUSED;
static bool done MAYBE_UNUSED;

#define IS(got, want)                                                                              \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		cr_expect_eq(got_, want_, "%s: %lld, not %lld", #got, got_, want_);                \
	} while (0)

/* in_lane_on - run fn in a goroutine until it and all it starts are done; no waiter, pd or fd left.
 * False: there is no such lane here. */
static inline bool in_lane_on(enum lane_kernel kernel, void (*fn)(void *arg))
{
	struct lane_config cfg;
	struct lane *l;
	int fd = dup(0), fd2, err;

	close(fd);
	lane_config_init(&cfg);
	cfg.max_g = 256;
	cfg.kernel = kernel;
	err = lane_create(&cfg, &l);
	if (kernel == LANE_KERNEL_URING && (err == -EOPNOTSUPP || err == -ENOSYS || err == -EPERM))
		return false;
	cr_assert_eq(err, 0);
	done = false;
	cr_assert_eq(lane_go(l, fn, NULL, "test"), 0);
	cr_assert_eq(lane_run(l), 0);
	IS(netpoll_waiters(lane_kernel_backend(l)), 0);
	IS(l->np.nr_open, 0);
	lane_destroy(l);
	fd2 = dup(0);
	close(fd2);
	IS(fd2, fd);
	return true;
}

/* in_lane - on each kernel backend that there is. */
static inline void in_lane(void (*fn)(void *arg))
{
	cr_assert(in_lane_on(LANE_KERNEL_EPOLL, fn));
	(void)in_lane_on(LANE_KERNEL_URING, fn);
}

static inline void adopt_socketpair(int type)
{
	int fd[2];

	cr_assert_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fd), 0);
	cr_assert_eq(pl_adopt(fd[0], 0, &a), 0);
	cr_assert_eq(pl_adopt(fd[1], 0, &b), 0);
}

static inline void close_both(void)
{
	IS(pl_close(a), 0);
	IS(pl_close(b), 0);
}

/* g_say - so late that the other one is parked. */
static inline void g_say(void *arg)
{
	pl_sleep(2 * MS);
	IS(pl_write(b, arg, strlen(arg)), (ssize_t)strlen(arg));
}

#endif
