/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the io_uring backend share: a lane with one, which leaves no fd behind, and
 * requests on socket pairs.
 */
#ifndef TESTS_UNIT_URING_ENV_H
#define TESTS_UNIT_URING_ENV_H

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "poller/lane.h"
#include "poller/lane_int.h"
#include "poller/netpoll.h"
#include "poller/netpoll_uring.h"

static struct lane *lane MAYBE_UNUSED;
static struct netpoll_backend *nb MAYBE_UNUSED;
static int first_fd;

static inline int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

static inline void uring_setup(void)
{
	struct lane_config cfg;
	int err;

	first_fd = lowest_free_fd();
	lane_config_init(&cfg);
	cfg.max_g = 256;
	cfg.kernel = LANE_KERNEL_URING;
	err = lane_create(&cfg, &lane);
	if (err == -ENOSYS || err == -EPERM)
		cr_skip("no io_uring here: %s", strerror(-err));
	cr_assert_eq(err, 0);
	nb = lane_kernel_backend(lane);
	cr_assert_not_null(nb);
}

static inline void uring_teardown(void)
{
	if (!lane)
		return;
	lane_destroy(lane);
	cr_assert_eq(lowest_free_fd(), first_fd, "an fd is left open");
}

static inline struct poll_desc *open_fd(struct netpoll_backend *b, int fd)
{
	struct poll_desc *pd;

	cr_assert_eq(netpoll_open(b, fd, NULL, &pd), 0);
	return pd;
}

static inline void close_pd(struct poll_desc *pd)
{
	netpoll_evict(pd);
	netpoll_close(pd);
}

static inline int look(void)
{
	return nb->ops->poll(nb, 0);
}

static inline void stream_pair(int sv[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
}

static inline void close_pair(int sv[2])
{
	close(sv[0]);
	close(sv[1]);
}

static inline void start_recv(struct poll_desc *pd, void *buf, size_t len)
{
	struct io_uring_sqe *sqe = netpoll_uring_sqe(pd->backend);

	cr_assert_not_null(sqe);
	io_uring_prep_recv(sqe, pd->fd, buf, len, 0);
	netpoll_uring_start(pd, NETPOLL_READ, sqe, false);
}

#endif
