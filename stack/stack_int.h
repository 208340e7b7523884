/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside stack/: the shard's own fields, and the calls that its layers make to each
 * other. Everything is owner-lane only. Addresses are in network order, ports in host
 * order, unless a name says otherwise.
 */
#ifndef STACK_STACK_INT_H
#define STACK_STACK_INT_H

#include "stack/base/list.h"
#include "stack/csum.h"
#include "stack/stack.h"
#include "stack/timer_wheel.h"

#define ETH_P_IP      0x0800
#define ETH_P_ARP     0x0806
#define IPPROTO_ICMP_ 1
#define IPPROTO_TCP_  6
#define IP_HLEN       20

struct ethhdr_ {
	uint8_t dst[ETH_ALEN], src[ETH_ALEN];
	uint16_t proto; /* network order */
} PACKED;

/* RFC 791 3.1. Multi-byte fields in network order. */
struct iphdr_ {
	uint8_t ver_ihl, tos;
	uint16_t tot_len, id, frag_off;
	uint8_t ttl, protocol;
	uint16_t check;
	uint32_t saddr, daddr;
} PACKED;

#define IP_ECN_MASK 0x03u /* of tos, RFC 3168 5 */
#define IP_ECN_ECT0 0x02u
#define IP_ECN_CE   0x03u

#define IP_DF     0x4000
#define IP_MF     0x2000
#define IP_OFFSET 0x1fff

static inline uint16_t be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint32_t be32(uint32_t v)
{
	return __builtin_bswap32(v);
}

/*
 * A cached route: interface, source, next hop and, once the neighbour is resolved, the
 * Ethernet header ready to be copied. gen differs from stack->neigh_gen => resolve again.
 */
struct route {
	uint32_t daddr, saddr, next_hop;
	uint32_t neigh_gen;
	bool local;          /* the internal loopback */
	bool wanted;         /* a socket's (neigh_want), not of one answer to a stranger */
	bool resolved;       /* eth[] is valid while neigh_gen matches */
	struct neigh *neigh; /* type-stable; its last use is noted for ageing */
	uint8_t eth[ETH_HLEN];
};

#define STACK_TX_BATCH 256
#define STACK_LOOP_MAX 1024

/* So many per second on average, so many at once; all zero is a full bucket. */
struct token_bucket {
	uint64_t stamp; /* (o) ns up to which tokens were earned */
	uint32_t spent; /* (o) tokens that are missing */
};

struct tcp_shard; /* tcp_int.h */
struct arp_table; /* arp.h */
struct ip_frags;  /* ip_frag.c */

struct stack {
	/* hot, read-mostly */
	uint64_t now; /* (o) of this turn */
	struct netdev *dev;
	uint32_t ip;    /* ours */
	uint32_t mask;  /* network order */
	uint32_t bcast; /* directed broadcast; 255.255.255.255 for /31 and /32 */
	uint32_t net0;  /* the prefix with host part 0, an old broadcast; 0 for /31, /32 */
	uint32_t gw;
	uint16_t queue;
	uint16_t mtu;
	uint32_t neigh_gen; /* bumped when any neighbour's MAC changes or goes */
	uint32_t features;  /* copy of dev->features */
	struct skb_cache cache;
	/* TX batch of the turn */
	unsigned tx_n;
	void (*mark)(void *ctx, enum stack_step step); /* (o) stack_set_mark */
	void *mark_ctx;
	uint64_t (*rx_clock)(void *ctx); /* (o) stack_set_rx_clock */
	void *rx_clock_ctx;
	uint32_t turn;    /* how many there were; wraps */
	unsigned tx_sent; /* frames that left since stack_output() last told */
	struct sk_buff *tx_batch[STACK_TX_BATCH];
	struct sk_buff_head loopq; /* internal loopback, run at the next stack_rx */
	struct timer_wheel wheel;
	struct stack_stats stats;
	struct tcp_shard *tcp;
	struct arp_table *arp;
	struct ip_frags *frags; /* NULL until the first fragment comes */
	struct stack_config cfg;
	/* rate limits and randomness */
	struct token_bucket icmp_errors, icmp_echoes;
	uint64_t rng[4]; /* xoshiro256**, seeded from cfg.seed; not for secrets */
};

/* stack_random_init - seed the generator from cfg.seed. */
void stack_random_init(struct stack *st);
/* stack_key - a hash key of its own for each use, derived from cfg.seed by the label. */
void stack_key(const struct stack *st, const char *label, uint8_t ret_key[16]);
/* stack_random32 - fast, not secret. */
uint32_t stack_random32(struct stack *st);
/* token_take - true if a token was there: `per_sec` are earned, `burst` can be saved. */
bool token_take(struct token_bucket *b, uint64_t now, uint32_t per_sec, uint32_t burst);
/* siphash24 - keyed hash (128-bit key) of n bytes; for ISN, ports, tables. */
uint64_t siphash24(const uint8_t key[16], const void *data, size_t n);

/* stack_alloc/free - through cfg.mem; zeroed; NULL when out of memory. */
MUST_USE void *stack_alloc(struct stack *st, size_t size);
void stack_mfree(struct stack *st, void *p, size_t size);

/* ---- steer: several lanes behind one address ---- */
/* steer_away - does a segment from (saddr, sport) to (daddr, dport), all in network order, belong
 * to another lane? Then skb is on its way there, or dropped. skb goes on at `at`. */
bool __steer_away(struct stack *st, struct sk_buff *skb, enum skb_steer at, uint32_t saddr,
		  uint32_t daddr, uint16_t sport, uint16_t dport);
static inline bool steer_away(struct stack *st, struct sk_buff *skb, enum skb_steer at,
			      uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport)
{
	return unlikely(st->cfg.nr_lanes > 1) &&
	       __steer_away(st, skb, at, saddr, daddr, sport, dport);
}
/* steer_to_all - copies of skb for all other lanes; skb stays the caller's. */
void steer_to_all(struct stack *st, struct sk_buff *skb, enum skb_steer at);
/* steer_is_home - would what (faddr, fport) sends to (laddr, lport) belong to this lane? Ports in
 * host order. */
bool steer_is_home(const struct stack *st, uint32_t laddr, uint32_t faddr, uint16_t lport,
		   uint16_t fport);

/* ---- eth / arp ---- */
/* loop_xmit - put skb (data at the IP header) on the internal loopback; it comes in at the
 * next stack_rx. Consumes skb. */
void loop_xmit(struct stack *st, struct sk_buff *skb);
/* eth_input - consumes skb (data at the Ethernet header). */
void eth_input(struct stack *st, struct sk_buff *skb);
/* eth_xmit - append to the turn's TX batch (flushing it when full). Consumes skb, data at
 * the Ethernet header. */
void eth_xmit(struct stack *st, struct sk_buff *skb);
MUST_USE int arp_init(struct stack *st);
void arp_fini(struct stack *st);
void arp_input(struct stack *st, struct sk_buff *skb);
void arp_announce(struct stack *st);
/* neigh_output - put the Ethernet header of next_hop in front and send, or park the skb
 * in the neighbour's pending queue while ARP asks. Consumes skb (data at the IP header).
 * `rt` may be NULL; else its eth[] is filled when resolved and wanted. Without a wanted rt
 * the skb answers a stranger, and takes no place from a socket (arp.h). */
void neigh_output(struct stack *st, struct sk_buff *skb, uint32_t next_hop, struct route *rt);
/* neigh_want - rt, fresh from ip_route, is a socket's from now on: strangers do not push its
 * neighbour out, and tcp_neigh_failed tells of its end. Resolves rt if the neighbour is known;
 * asks nobody. */
void neigh_want(struct stack *st, struct route *rt);
/* neigh_confirm - TCP made progress with this neighbour: it is reachable (RFC 1122). */
void neigh_confirm(struct stack *st, struct route *rt);

/* ---- ip ---- */
void ip_input(struct stack *st, struct sk_buff *skb);
/* ip_defrag - skb, data at its checked IP header of hlen bytes, is a fragment. Returns the whole
 * datagram, a chain with data at the IP header (tot_len and frag_off in it are the first
 * fragment's), or NULL: it waits for the others, or was dropped. Consumes skb. */
struct sk_buff *ip_defrag(struct stack *st, struct sk_buff *skb, unsigned hlen);
void ip_frag_fini(struct stack *st);
/* ip_route - fill rt for daddr. 0; -ENETUNREACH; -EINVAL broadcast or multicast. saddr 0 =
 * choose. A daddr of our own goes by the internal loopback. */
MUST_USE int ip_route(struct stack *st, uint32_t saddr, uint32_t daddr, struct route *rt);
/*
 * ip_output - put the IP header in front (DF set unless SKB_F_NO_DF, checksum by us or the device)
 * and send along rt. skb->data is at the L4 header, skb->len the L4 length; headroom of
 * IP_HLEN + ETH_HLEN is there. Consumes skb, also on error (drops with a reason).
 */
void ip_output(struct stack *st, struct sk_buff *skb, struct route *rt, uint8_t proto, uint8_t ttl,
	       uint8_t tos, uint16_t id);

/* ---- icmp ---- */
#define ICMP_UNREACH_         3 /* type: destination unreachable; its codes: */
#define ICMP_UNREACH_NET      0
#define ICMP_UNREACH_HOST     1
#define ICMP_UNREACH_PROTO    2
#define ICMP_UNREACH_PORT     3
#define ICMP_UNREACH_NEEDFRAG 4
void icmp_input(struct stack *st, struct sk_buff *skb);
/* icmp_error_rcv - an error whose checksum was verified, skb->data at its header. Consumes skb. */
void icmp_error_rcv(struct stack *st, struct sk_buff *skb);
/* icmp_send - an error about skb (data at its IP header; not consumed), rate-limited, never
 * about broadcasts, fragments or ICMP errors (RFC 1122 3.2.2). info in host order. */
void icmp_send(struct stack *st, const struct sk_buff *skb, uint8_t type, uint8_t code,
	       uint32_t info);

/* ---- tcp, as the lower layers and the turn see it ---- */
MUST_USE int tcp_shard_init(struct stack *st);
void tcp_shard_fini(struct stack *st);
/* tcp_v4_rcv - consumes skb: data at the TCP header, len = L4 length, network_header set,
 * the IP header validated. */
void tcp_v4_rcv(struct stack *st, struct sk_buff *skb);
/* tcp_v4_look_ahead - skb is the frame, and will be input next: what its connection is looked up in
 * is asked for, while the one before it is input. Of a table for 65,536 sockets that comes from
 * afar, unless the connection was just busy. A guess only: nothing was checked. */
void tcp_v4_look_ahead(const struct stack *st, const struct sk_buff *skb);
/* tcp_v4_demux - the second half of it: skb is validated, data at the payload. Consumes skb. */
void tcp_v4_demux(struct stack *st, struct sk_buff *skb);
/*
 * tcp_v4_err - an ICMP error quotes a segment of ours: the quoted addresses and ports are
 * (saddr, sport) ours, (daddr, dport) the peer's; seq in host order. mtu for type 3 code 4:
 * cfg.min_pmtu <= mtu < the device's; else 0.
 */
void tcp_v4_err(struct stack *st, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport,
		uint32_t seq, uint8_t type, uint8_t code, uint32_t mtu);
/* tcp_neigh_failed - ARP gave up on next_hop, which a sock asked for (it costs a walk over all
 * socks): those that connect over it get EHOSTUNREACH. */
void tcp_neigh_failed(struct stack *st, uint32_t next_hop);
/* tcp_shard_output - send for every sock on the turn's output list. */
void tcp_shard_output(struct stack *st);
bool tcp_shard_has_output(const struct stack *st);
void tcp_for_each_sock(struct stack *st, bool (*fn)(void *ctx, const struct stack_sock_info *i),
		       void *ctx);

#endif
