/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_ops over kernel TCP sockets whose calls are requests of the io_uring backend. */
#ifndef POLLER_CONN_URING_H
#define POLLER_CONN_URING_H

#include "poller/conn_ops.h"

extern const struct conn_ops conn_uring_ops;

#endif
