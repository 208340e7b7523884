/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The neighbour cache of one stack, and the packets that wait in it. Inside stack/ only;
 * what other layers call stands in stack_int.h. Owner lane only.
 *
 * An entry is first-class if a socket sends by it, or if it is the gateway's. All others are
 * guests: strangers who asked for us, or whom we answer without a socket (SYN-ACK, RST, ICMP,
 * TIME-WAIT). A spoofed packet is enough for a guest, and so guests are a quarter of the table,
 * push out only the oldest guest, and give way to a socket in any state. Sockets in turn leave
 * that quarter alone as long as one of their own entries is idle.
 *
 *   state       has a MAC   leaves by
 *   FREE        no          a packet of ours, or an ARP request to us -> INCOMPLETE, STALE
 *   INCOMPLETE  no          answer -> REACHABLE; 3 broadcasts, 1 s apart, unanswered -> FREE
 *   REACHABLE   yes         30 s without answer or progress of TCP -> STALE
 *   STALE       yes         use -> PROBE; 10 min unused -> FREE
 *   PROBE       yes, used   answer or progress -> REACHABLE; 3 unicasts unanswered -> INCOMPLETE
 */
#ifndef STACK_ARP_H
#define STACK_ARP_H

#include "stack/stack_int.h"

#define NEIGH_TRIES        3
#define NEIGH_RETRANS      (1 * NSEC_PER_SEC)
#define NEIGH_REACHABLE_NS (30 * NSEC_PER_SEC)
#define NEIGH_GC_NS        (600 * NSEC_PER_SEC)
#define NEIGH_LOCKTIME     (1 * NSEC_PER_SEC)  /* a fresh MAC is not changed by hearsay */
#define ARP_DEFEND_NS      (10 * NSEC_PER_SEC) /* RFC 5227 1.1 DEFEND_INTERVAL */

enum neigh_state {
	NEIGH_FREE,
	NEIGH_INCOMPLETE,
	NEIGH_REACHABLE,
	NEIGH_STALE,
	NEIGH_PROBE,
};

/* Type-stable: lives as long as the table, so that a route may keep a pointer; neigh_gen
 * tells a route that its MAC is no longer sure. */
struct neigh {
	uint32_t ip;   /* (o) network order */
	uint8_t state; /* (o) enum neigh_state */
	uint8_t tries; /* (o) requests sent in this state */
	bool wanted;   /* (o) a socket has asked for it: it is told of the end, routes cache it */
	bool guest;    /* (o) neither a socket's nor the gateway's */
	uint8_t mac[ETH_ALEN];
	uint64_t used;               /* (o) ns of the last packet sent to it */
	uint64_t confirmed;          /* (o) ns of the last proof that it hears us */
	struct sk_buff_head pending; /* (o) data at the IP header; only while INCOMPLETE */
	struct neigh *hash_next;
	struct list_head lru; /* (o) on free, guests, idle, or on none while it is live */
	struct timer timer;
	struct stack *st; /* (c) */
};

struct arp_table {
	struct neigh *entries;         /* (c) nr of them */
	struct neigh **buckets;        /* (c) mask + 1 of them */
	uint32_t nr, mask;             /* (c) */
	uint8_t key[16];               /* (c) of the hash */
	uint32_t pending, pending_max; /* (o) skbs that wait, in all; (c) their bound */
	uint32_t pending_one;          /* (c) of them for one neighbour */
	uint32_t pending_guest;       /* (c) as many may wait in all when a stranger's joins them */
	uint32_t nr_guests, nr_first; /* (o) in use */
	uint32_t max_guests;          /* (c) 1 at least */
	/* (o) guests in any state by age; STALE entries of sockets by when they became so */
	struct list_head free, guests, idle;
	uint64_t defended; /* (o) ns of the last defence of our address; 0 never */
};

#endif
