/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The routing decision of a host with one interface: to itself, on-link, or by the gateway
 * (RFC 1122 3.3.1). 127/8 is no address of this stack and has no route.
 */
#include "stack/stack_int.h"

#include <errno.h>

static bool dst_refused(const struct stack *st, uint32_t daddr)
{
	uint8_t first = (uint8_t)daddr;

	return first == 0 || first >= 224 || daddr == st->bcast || (st->net0 && daddr == st->net0);
}

int ip_route(struct stack *st, uint32_t saddr, uint32_t daddr, struct route *rt)
{
	uint32_t next_hop = daddr;

	if (dst_refused(st, daddr))
		return -EINVAL;
	if (!st->ip || (saddr && saddr != st->ip) || (uint8_t)daddr == 127)
		return -ENETUNREACH;
	if ((daddr ^ st->ip) & st->mask) {
		if (!st->gw)
			return -ENETUNREACH;
		next_hop = st->gw;
	}
	*rt = (struct route){
		.daddr = daddr,
		.saddr = st->ip,
		.next_hop = next_hop,
		.neigh_gen = st->neigh_gen,
		.local = daddr == st->ip,
	};
	return 0;
}
