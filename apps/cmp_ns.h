/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two unnamed network namespaces of compare's kernel sets. Every call acts on the namespace
 * of the calling process.
 */
#ifndef APPS_CMP_NS_H
#define APPS_CMP_NS_H

#include <stdbool.h>
#include <sys/types.h>

#include "stack/base/compiler.h"

#define NS_DEV       "plk0"
#define NS_SERVER_IP "10.77.0.1"
#define NS_CLIENT_IP "10.77.0.2"

/* ns_enter - new network and mount namespaces for this process, /sys of the new one, loopback
 * up. 0; -errno (-EPERM: needs root). */
MUST_USE int ns_enter(void);
/* ns_link - a veth pair: NS_DEV here, NS_DEV in the namespace of process `peer`. 0; -EIO. */
MUST_USE int ns_link(pid_t peer);
/* ns_up - address and link up, TSO on, congestion control. 0; -EIO. */
MUST_USE int ns_up(const char *ip, const char *cc);
/* ns_mode - steer what NS_DEV receives to `cpu` (-1: no steering); GRO on or off. 0; -errno. */
MUST_USE int ns_mode(int cpu, bool gro);

#endif
