/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io_uring backend: kernel fds by completion. Where epoll tells that a call would work, a
 * request here is the call: the kernel holds the caller's buffer until its completion is in, and
 * a g never leaves before (R11). One ring per lane, of the thread that first turned the lane.
 *
 * A pd has one request per direction at most (R52 sees to it): its place is pd->req[].
 */
#ifndef POLLER_NETPOLL_URING_H
#define POLLER_NETPOLL_URING_H

#include "poller/netpoll.h"

struct io_uring_sqe;

/*
 * netpoll_uring_create - 0; -EOPNOTSUPP built without liburing; -ENOSYS the kernel has no io_uring
 * or one before 5.11; -EPERM it is forbidden here (sysctl kernel.io_uring_disabled, seccomp);
 * -ENOMEM, before 5.12 also RLIMIT_MEMLOCK; -EMFILE, -ENFILE. Ends by ops->fini.
 */
MUST_USE int netpoll_uring_create(struct lane *l, struct netpoll_backend **ret_nb);
/* netpoll_uring_create_flags - the same with one set of IORING_SETUP_* and no other: -EINVAL
 * where the kernel does not have them. For tests of what old kernels get. */
MUST_USE int netpoll_uring_create_flags(struct lane *l, unsigned flags,
					struct netpoll_backend **ret_nb);

/* ---- for conn_uring: inside a goroutine of the backend's lane ---- */

/* netpoll_uring_sqe - a free entry, to be filled with io_uring_prep_*() and handed to
 * netpoll_uring_start() before anything else is called. NULL: the kernel takes no more now. */
struct io_uring_sqe *netpoll_uring_sqe(struct netpoll_backend *nb);
/* netpoll_uring_start - sqe becomes the request of pd in that direction and goes to the kernel
 * with the next poll(). gives_fd: its result is a new fd, to be closed if nobody takes it. */
void netpoll_uring_start(struct poll_desc *pd, unsigned mode, struct io_uring_sqe *sqe,
			 bool gives_fd);
/* netpoll_uring_flush - return when the kernel has what was started: for a request whose arguments
 * (not buffers) do not outlive the caller. */
void netpoll_uring_flush(struct netpoll_backend *nb);
/*
 * netpoll_uring_wait - park until the request is over (R10, R11). Its result, >= 0 or -errno; if
 * a deadline or close came first the request is cancelled and that error returned (R12), unless
 * the request did its work meanwhile: then its result, so that no byte is lost.
 */
MUST_USE int netpoll_uring_wait(struct poll_desc *pd, unsigned mode);
/* netpoll_uring_take - the result of a request that is over; -EINPROGRESS if it is not. */
MUST_USE int netpoll_uring_take(struct poll_desc *pd, unsigned mode);
/* netpoll_uring_waited - the last request of that direction could not be done when the kernel
 * got it. Valid once its result was taken, until the next start. */
bool netpoll_uring_waited(const struct poll_desc *pd, unsigned mode);

#endif
