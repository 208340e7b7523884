/* SPDX-License-Identifier: BSD-3-Clause */
/* What an idle goroutine connection costs in memory. */
#ifndef APPS_IDLE_H
#define APPS_IDLE_H

#include <stdbool.h>

#include "stack/base/compiler.h"

/* Ends of a connection that live in the measuring process. */
#define IDLE_ENDS 2

/*
 * idle_measure - one lane dials itself *conns times (fewer, and *conns says how many, where the
 * limit of open files is lower); both ends of each connection are a
 * goroutine parked in pl_read, the server's that of `parklane echo`. *ret_bytes is what one such
 * end costs: RSS, page tables and kernel slab, after minus before, by IDLE_ENDS * *conns. stack:
 * over Parklane's stack and its internal loopback; else over kernel sockets and the loopback of the
 * process's network namespace. For a process of its own: what is freed later is not given
 * back. 0; -errno with one line in what[size].
 */
MUST_USE int idle_measure(bool stack, unsigned *conns, double *ret_bytes, char *what,
			  unsigned size);

#endif
