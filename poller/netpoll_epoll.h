/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The epoll backend: kernel fds, edge-triggered, and the lane's eventfd. One per lane, which
 * is its only poller (R40). On a lane whose kernel backend completes, one hangs below that for fds
 * that are tried (conn_file.c).
 */
#ifndef POLLER_NETPOLL_EPOLL_H
#define POLLER_NETPOLL_EPOLL_H

#include "poller/netpoll.h"

/* netpoll_epoll_below - one that another backend of the lane polls: never broken, it has no
 * eventfd. netpoll_epoll_create - 0; -ENOMEM; -EMFILE, -ENFILE and what epoll_create1(2) says. Ends
 * by ops->fini. */
MUST_USE int netpoll_epoll_create(struct lane *l, struct netpoll_backend **ret_nb);
MUST_USE int netpoll_epoll_below(struct lane *l, struct netpoll_backend **ret_nb);

#endif
