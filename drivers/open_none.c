/* SPDX-License-Identifier: BSD-3-Clause */
/* The facade in a build without DPDK: there are no devices to open. */
#include <errno.h>
#include <stdio.h>

#include "drivers/open.h"

int netdev_open_spec(const struct netdev_spec *spec, struct netdev_handle *ret_handle, char *err,
		     size_t errlen)
{
	(void)ret_handle;
	(void)snprintf(err, errlen,
		       "%s: built without DPDK: use --epoll, or build with -Ddpdk=enabled",
		       spec->dev ? spec->dev : "net_ring");
	return -EOPNOTSUPP;
}

int netdev_open_pair(const struct netdev_spec *spec, struct netdev_handle *ret_handle, char *err,
		     size_t errlen)
{
	return netdev_open_spec(spec, ret_handle, err, errlen);
}

void netdev_close_spec(struct netdev_handle *h)
{
	(void)h;
}

int netdev_thread_begin(void)
{
	return 0;
}

void netdev_thread_end(void)
{
}
