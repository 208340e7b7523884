/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the neighbour cache share: a look into the table, frames of ARP. */
#ifndef TESTS_UNIT_LAB_ARP_H
#define TESTS_UNIT_LAB_ARP_H

#include "lab.h"
#include "stack/arp.h"

static const uint8_t zero_mac[ETH_ALEN];

static inline struct neigh *find(struct lab *l, uint32_t ip)
{
	for (uint32_t i = 0; i < l->st->arp->nr; i++) {
		struct neigh *n = &l->st->arp->entries[i];

		if (n->state != NEIGH_FREE && n->ip == ip)
			return n;
	}
	return NULL;
}

static inline unsigned count(struct lab *l)
{
	unsigned c = 0;

	for (uint32_t i = 0; i < l->st->arp->nr; i++)
		c += l->st->arp->entries[i].state != NEIGH_FREE;
	return c;
}

static inline bool out_is_arp(const struct lab *l, unsigned i, uint16_t op, const uint8_t *dst,
			      uint32_t tpa)
{
	const uint8_t *b = l->f->out[i].b;

	return i < l->f->nr_out && l->f->out[i].len == 42 && b[12] == 8 && b[13] == 6 &&
	       b[21] == op && memcmp(b, dst, 6) == 0 && memcmp(b + 6, fake_mac, 6) == 0 &&
	       memcmp(b + 38, &tpa, 4) == 0;
}

static inline void request_from(struct lab *l, const uint8_t *mac, uint32_t ip)
{
	uint8_t b[FAKE_FRAME_MAX];

	lab_rx(l, b, frame_arp(b, fake_bcast_mac, 1, mac, ip, zero_mac, LAB_OUR));
}

/* Sends a packet and answers the request: a REACHABLE neighbour, the frames forgotten. */
static inline void resolve(struct lab *l, struct route *rt, uint32_t ip)
{
	cr_assert_eq(lab_send(l, rt, ip, 20), 0);
	lab_arp_reply(l, fake_peer_mac, ip);
	cr_assert_eq(find(l, ip)->state, NEIGH_REACHABLE);
	l->f->nr_out = 0;
}

#endif
