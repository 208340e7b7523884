/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The invariants of a connection's queues, scoreboard, timers, window and memory accounts,
 * recounted the slow way. The simulator, the tests of TCP and the fuzzers call it after every
 * turn; a lane never does.
 */
#ifndef SIM_TCP_CHECK_H
#define SIM_TCP_CHECK_H

#include "stack/tcp_int.h"

/* tcp_check - between two turns: NULL if all is well, else which rule is broken. */
const char *tcp_check(const struct tcp_sock *tp);
/* tcp_check_stack - every socket of st, and the lane's totals; *ret_tp is the socket that broke
 * the rule, NULL none in particular. */
const char *tcp_check_stack(const struct stack *st, const struct tcp_sock **ret_tp);

#endif
