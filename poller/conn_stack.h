/* SPDX-License-Identifier: BSD-3-Clause */
/* conn_ops over Parklane's own TCP (stack/sock.h) and the stack backend of the poller. */
#ifndef POLLER_CONN_STACK_H
#define POLLER_CONN_STACK_H

#include "poller/conn_ops.h"

extern const struct conn_ops conn_stack_ops;

#endif
