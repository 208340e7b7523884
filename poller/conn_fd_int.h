/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What both kinds of conns over kernel sockets share, by readiness (conn_fd) and by completion
 * (conn_uring): all that is one system call that does not wait.
 */
#ifndef POLLER_CONN_FD_INT_H
#define POLLER_CONN_FD_INT_H

#include <netinet/in.h>

#include "poller/conn_ops.h"

/* conn_fd_socket - a fresh TCP socket with its options set; type_flags: SOCK_NONBLOCK or 0. The
 * fd, which is the caller's; -errno of socket(2). */
MUST_USE int conn_fd_socket(struct lane *l, int type_flags);
/* conn_fd_backend - the backend of l for fds that are tried: its kernel backend, or the one below
 * that if that one completes. 0; the -errno of netpoll_epoll_create(). */
MUST_USE int conn_fd_backend(struct lane *l, struct netpoll_backend **ret_nb);
/* conn_fd_new - wrap fd in a conn of nb, whose conn_ops it gets; closes fd on failure. 0;
 * -ENOMEM; the backend's -errno. */
MUST_USE int conn_fd_new(struct netpoll_backend *nb, int fd, uint8_t kind,
			 struct pl_conn **ret_conn);
/* conn_fd_listen_on - a listener over conn_fd_socket(l, type_flags) for nb. As conn_ops.listen. */
MUST_USE int conn_fd_listen_on(struct netpoll_backend *nb, int type_flags,
			       const struct pl_addr *addr, int backlog, struct conn_control *ctl,
			       struct pl_conn **ret_conn);
void conn_fd_sockaddr(const struct pl_addr *a, struct sockaddr_in *ret_sin);
/* conn_fd_check_peer - 0 connected; -ENOTCONN not yet; -ECONNREFUSED connected to itself. */
MUST_USE int conn_fd_check_peer(struct pl_conn *c);

/* conn_file_adopt - pl_adopt(), by readiness. */
MUST_USE int conn_file_adopt(struct lane *l, int fd, unsigned flags, struct pl_conn **ret_conn);

/* As in conn_ops. */
int conn_fd_shutdown(struct pl_conn *c, int how);
void conn_fd_destroy(struct pl_conn *c);
int conn_fd_setopt(struct pl_conn *c, int level, int name, const void *val, uint32_t len);
int conn_fd_getopt(struct pl_conn *c, int level, int name, void *val, uint32_t *len);
int64_t conn_fd_queued(struct pl_conn *c, bool out);
int conn_fd_addr(struct pl_conn *c, int peer, struct pl_addr *ret_addr);

#endif
