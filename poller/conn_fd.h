/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_ops over kernel TCP sockets, whose readiness comes from the epoll backend. */
#ifndef POLLER_CONN_FD_H
#define POLLER_CONN_FD_H

#include "poller/conn_ops.h"

extern const struct conn_ops conn_fd_ops;

#endif
