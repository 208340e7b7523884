/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of netpoll_uring.c and conn_uring.c where there is no liburing: a lane is refused. */
#include <errno.h>

#include "poller/netpoll_uring.h"

int netpoll_uring_create(struct lane *l, struct netpoll_backend **ret_nb)
{
	(void)l;
	(void)ret_nb;
	return -EOPNOTSUPP;
}
