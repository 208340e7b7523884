/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The epoll backend: kernel fds, edge-triggered, and the lane's eventfd. One per lane, which
 * is its only poller (R40).
 */
#ifndef POLLER_NETPOLL_EPOLL_H
#define POLLER_NETPOLL_EPOLL_H

#include "poller/netpoll.h"

/* netpoll_epoll_create - 0; -ENOMEM; -EMFILE, -ENFILE and what epoll_create1(2) says. */
MUST_USE int netpoll_epoll_create(struct lane *l, struct netpoll_backend **ret_nb);
void netpoll_epoll_destroy(struct netpoll_backend *nb);

/* netpoll_epoll_fd - the epoll itself, for a program with a loop of its own. */
int netpoll_epoll_fd(const struct netpoll_backend *nb);

/* netpoll_epoll_watch - wake a blocked poll() while `fd` is readable (level-triggered): a
 * device's fd. fd stays the caller's. 0; -errno of epoll_ctl(2). */
MUST_USE int netpoll_epoll_watch(struct netpoll_backend *nb, int fd);

#endif
