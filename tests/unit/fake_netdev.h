/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of paper: frames that a test injects come in, frames that the stack sends are
 * copied down and kept. Also builders of hostile and decent frames. For unit tests only.
 */
#ifndef TESTS_UNIT_FAKE_NETDEV_H
#define TESTS_UNIT_FAKE_NETDEV_H

#include "stack/stack_int.h"

#define FAKE_FRAME_MAX 2048
#define FAKE_FRAMES    1024

struct fake_frame {
	unsigned len;
	uint8_t ip_summed; /* enum skb_csum: in, what the device says; out, what it was asked */
	uint16_t gso_size;
	unsigned pieces; /* out: of how many it was made */
	uint8_t b[FAKE_FRAME_MAX];
};

struct fake_netdev {
	struct netdev dev;
	unsigned in_head, in_tail; /* frames [head, tail) of in[] wait, modulo FAKE_FRAMES */
	unsigned nr_out;           /* frames sent since the test last set it to 0 */
	unsigned tx_limit;         /* taken per tx_burst call; UINT32_MAX as a rule */
	bool split_rx;             /* hand up each frame in two pieces, cut at split_at */
	unsigned split_at;
	bool tight_rx;                     /* frames end where their buffer ends */
	bool share_rx;                     /* hand up skbs whose bytes someone else still sees */
	struct sk_buff *held[FAKE_FRAMES]; /* the someone else */
	unsigned nr_held;
	struct fake_frame in[FAKE_FRAMES], out[FAKE_FRAMES];
};

extern const uint8_t fake_mac[ETH_ALEN];      /* ours: 02:00:00:00:00:01 */
extern const uint8_t fake_peer_mac[ETH_ALEN]; /* 02:00:00:00:00:02 */
extern const uint8_t fake_bcast_mac[ETH_ALEN];

/* fake_ip - dotted bytes to network order. */
#define fake_ip(a, b, c, d)                                                                        \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

void fake_netdev_init(struct fake_netdev *f, uint32_t features);
/* fake_inject - one frame that the next stack_rx sees, CHECKSUM_UNKNOWN. Copied. */
void fake_inject(struct fake_netdev *f, const void *frame, unsigned len);
void fake_inject_csum(struct fake_netdev *f, const void *frame, unsigned len, enum skb_csum csum);
/* fake_release_held - free what share_rx kept. */
void fake_release_held(struct fake_netdev *f);

/* Builders write to b[FAKE_FRAME_MAX] and return the length of the frame. */
unsigned frame_arp(uint8_t *b, const uint8_t *dst, uint16_t op, const uint8_t *sha, uint32_t spa,
		   const uint8_t *tha, uint32_t tpa);
/* frame_ip - from peer's MAC to ours, checksum right, payload of n bytes (NULL: zeros). */
unsigned frame_ip(uint8_t *b, uint32_t saddr, uint32_t daddr, uint8_t proto, const void *payload,
		  unsigned n);
/* frame_icmp - type, code, the second word (host order), n bytes after it; both checksums. */
unsigned frame_icmp(uint8_t *b, uint32_t saddr, uint32_t daddr, uint8_t type, uint8_t code,
		    uint32_t word, const void *rest, unsigned n);
/* frame_ip_sum - set the header checksum right again after a test wrote into the header. */
void frame_ip_sum(uint8_t *b);

static inline struct iphdr_ *frame_iph(uint8_t *b)
{
	return (struct iphdr_ *)(b + ETH_HLEN);
}

#endif
