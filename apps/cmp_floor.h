/* SPDX-License-Identifier: BSD-3-Clause */
/* The floor control of compare: what the link itself costs, with no TCP on it. */
#ifndef APPS_CMP_FLOOR_H
#define APPS_CMP_FLOOR_H

#include "apps/compare.h"
#include "drivers/open.h"
#include "stack/base/compiler.h"

/* floor_run - bounce `inflight` frames with so much TCP payload between h->dev (on the server's
 * cpu) and h->peer (this thread, which is pinned to the client's): ret's load and lost as an rr
 * over it would have them, and of a stream's segments. 0; -errno. */
MUST_USE int floor_run(const struct netdev_handle *h, unsigned inflight, unsigned payload,
		       uint64_t warm_ns, uint64_t run_ns, struct cmp_sample *ret);

#endif
