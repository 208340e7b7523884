/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One lane's cache of pds: carved in 4 KiB blocks and never given back while the lane lives
 * (R17), so that a late event may look at a recycled pd safely. Owner lane only.
 */
#ifndef POLLER_NETPOLL_INT_H
#define POLLER_NETPOLL_INT_H

#include "poller/netpoll.h"

#define NETPOLL_BLOCK 4096u

struct pd_block;

struct netpoll {
	struct lane *lane; /* (c) */
	/* (o) LIFO, by pd->local: a pd never changes its kind. Who delivers an event of a kernel fd
	 * on another thread (R44) may find the pd recycled; plain accesses would be a race
	 * there. */
	struct poll_desc *free[2];
	struct pd_block *blocks; /* (o) all that were ever carved */
	uint32_t nr_pds;         /* (o) in all blocks */
	uint32_t nr_open;        /* (o) */
};

void netpoll_init(struct netpoll *np, struct lane *l);
/* netpoll_fini - free the blocks; the lane's gs and backends are gone. */
void netpoll_fini(struct netpoll *np);

/* netpoll_info_seq - the fdseq of a pd as an event sees it: lock-free (R18, R21). */
static inline uint32_t netpoll_info_seq(const struct poll_desc *pd)
{
	return __atomic_load_n(&pd->info, __ATOMIC_ACQUIRE) >> PD_INFO_SEQ_SHIFT;
}

#endif
