/* SPDX-License-Identifier: BSD-3-Clause */
/* The conn suite over kernel sockets and the epoll backend. */
#include <criterion/criterion.h>

#include "conn_kernel.h"

#define X(name)                                                                                    \
	Test(conn_epoll, test_conn_epoll_##name, .timeout = 60)                                    \
	{                                                                                          \
		conn_kernel_case(conn_case_##name, LANE_KERNEL_EPOLL);                             \
	}
CONN_SUITE(X)
#undef X

#define X(name)                                                                                    \
	Test(conn_epoll, test_conn_epoll_##name, .timeout = 60)                                    \
	{                                                                                          \
		conn_kernel_##name(LANE_KERNEL_EPOLL);                                             \
	}
CONN_KERNEL(X)
#undef X
