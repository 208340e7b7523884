/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's environment (EAL), started once per process from our own options, quietly: what
 * EAL, the PMDs and their libraries print is captured, shown when verbose, and its last
 * line goes into error messages. Includes no rte_* header, so that the facade open.c and
 * the lanes may include it.
 */
#ifndef DRIVERS_DPDK_EAL_H
#define DRIVERS_DPDK_EAL_H

#include <stdbool.h>
#include <stddef.h>

#include "stack/base/compiler.h"

/* What to do about hugepages. */
enum dpdk_huge {
	DPDK_HUGE_AUTO, /* use them if enough are free, else run without */
	DPDK_HUGE_NEED, /* fail if there are not enough */
	DPDK_HUGE_NONE,
};

struct dpdk_eal_config {
	size_t mem_bytes; /* what the pools will need, see dpdk_pool_bytes() */
	enum dpdk_huge huge;
	const char *pci; /* "0000:03:00.0" to allow, NULL = no PCI at all */
	bool verbose;    /* let the chatter through to stderr */
};

/*
 * dpdk_eal_start - start EAL; a further call in the same process finds it running and
 * returns 0. The caller's cpu affinity is the same afterwards. On failure `err` holds one
 * line. 0; -ENOMEM it does not fit; -ENOENT hugepages missing; -EBUSY it was stopped
 * before (EAL starts once per process); -EIO EAL refused. One thread, at start-up.
 */
MUST_USE int dpdk_eal_start(const struct dpdk_eal_config *cfg, char *err, size_t errlen);

/* dpdk_remove_orphans - of the folders in `parent`, DPDK's runtime directory, those go that a
 * Parklane made which was killed while EAL started: named by the pid of no process, and empty,
 * as ours always are (nothing is shared). dpdk_eal_start() does it. */
void dpdk_remove_orphans(const char *parent);

/* dpdk_eal_stop - the end, after all devices and pools are closed. No-op if not running. */
void dpdk_eal_stop(void);

/*
 * dpdk_thread_register - give the calling thread a place among DPDK's lcores, without
 * which it has no mempool cache: some 3 times slower. A lane's thread calls it before the
 * first packet. 0, also if it has one or EAL is not running; -ENOMEM: no place left.
 */
MUST_USE int dpdk_thread_register(void);
/* dpdk_thread_unregister - before that thread ends; gives its mempool cache back. */
void dpdk_thread_unregister(void);

/*
 * dpdk_quiet_begin, dpdk_quiet_end - between them stdout and stderr go to the capture,
 * unless verbose. Not nested; one thread, at start-up.
 */
void dpdk_quiet_begin(void);
void dpdk_quiet_end(void);

/* dpdk_last_words - the last line captured, "" if none; for error messages. Cut at len. */
const char *dpdk_last_words(char *buf, size_t len);

#endif
