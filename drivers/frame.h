/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What drivers know of an Ethernet frame's contents: where IPv4 and TCP/UDP begin, the
 * RSS hash, and the checksums that a device with offloads would fill in or verify. For
 * the loop, fault and pcap devices; knows nothing of sockets. RFC 791, 1071, 9293.
 * Frames without a VLAN tag; a first fragment is treated as not having L4.
 */
#ifndef DRIVERS_FRAME_H
#define DRIVERS_FRAME_H

#include "stack/skb.h"

#define FRAME_PROTO_TCP 6
#define FRAME_PROTO_UDP 17

struct frame_info {
	uint16_t l3_len;       /* IPv4 header, bytes */
	uint16_t tot_len;      /* IPv4 total length, bytes */
	uint8_t proto;         /* IPv4 protocol; 0 for a fragment */
	uint8_t csum_off;      /* of the L4 checksum from L4's start; 0 if the protocol has none */
	uint32_t saddr, daddr; /* network order */
};

/*
 * frame_parse - look into the first `len` linear bytes of a frame of which `frame_len`
 * are there in all. False if it is not a whole, well-formed IPv4 packet.
 */
bool frame_parse(const uint8_t *frame, unsigned len, unsigned frame_len,
		 struct frame_info *ret_info);

/* frame_hash - RSS hash of a frame's linear bytes; 0 if it is not IPv4. */
uint32_t frame_hash(const uint8_t *frame, unsigned len, unsigned frame_len);

/*
 * frame_finish_csum - what the device does for CHECKSUM_PARTIAL: fill in the IPv4 header
 * checksum and the TCP or UDP one, whose field holds the folded pseudo header sum. A
 * frame that is no such packet stays as it is. Linear bytes only.
 */
void frame_finish_csum(uint8_t *frame, unsigned len);

/* frame_finish_skb - the same on a chain whose headers are linear and writable. */
void frame_finish_skb(struct sk_buff *skb);

/*
 * frame_verify_csum - what the device does on RX: CHECKSUM_GOOD if the IPv4 and the TCP
 * or UDP checksum are right, CHECKSUM_BAD if one is wrong, CHECKSUM_UNKNOWN for what is
 * not such a packet. Linear bytes only.
 */
enum skb_csum frame_verify_csum(const uint8_t *frame, unsigned len);

#endif
