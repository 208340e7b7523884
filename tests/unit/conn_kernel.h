/* SPDX-License-Identifier: BSD-3-Clause */
/* What the conn suite over kernel sockets needs, by readiness (epoll) and by completion
 * (io_uring). */
#ifndef TESTS_CONN_KERNEL_H
#define TESTS_CONN_KERNEL_H

#include "conn_suite.h"
#include "poller/lane.h"

/* conn_kernel_open - a lane; skips the test where io_uring is not to be had. */
void conn_kernel_open(struct conn_env *e, enum lane_kernel kernel);
/* conn_kernel_case - one case of the suite; nothing may be left behind, no fd either. */
void conn_kernel_case(void (*fn)(struct conn_env *e), enum lane_kernel kernel);
int lowest_free_fd(void);

#define CONN_KERNEL(X)                                                                             \
	X(lane_destroy_closes_what_is_open)                                                        \
	X(no_device_says_enodev)                                                                   \
	X(fds_exhausted_says_emfile_and_recovers)                                                  \
	X(urgent_data_comes_in_line)

#define X(name) void conn_kernel_##name(enum lane_kernel kernel);
CONN_KERNEL(X)
#undef X

#endif
