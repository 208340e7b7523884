/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive side scaling in software: the Toeplitz hash over an IPv4 4-tuple with the key
 * that Microsoft's RSS specification publishes (and its test vectors check), and the
 * queue that a 128-entry round-robin indirection table gives it. The loop device sorts
 * by it; whoever must know beforehand on which queue a flow will come asks here.
 */
#ifndef DRIVERS_RSS_H
#define DRIVERS_RSS_H

#include <stdint.h>

#define RSS_KEY_LEN  40
#define RSS_RETA_LEN 128u

/* The key, for devices that take one. */
extern const uint8_t rss_key[RSS_KEY_LEN];

/*
 * rss_hash4 - the hash of a received frame: saddr and sport are the sender's. All in
 * network order. Never 0, since skb->hash 0 means "none".
 */
uint32_t rss_hash4(uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport);

/* rss_hash2 - as rss_hash4 for frames without ports (ICMP, fragments). */
uint32_t rss_hash2(uint32_t saddr, uint32_t daddr);

/* rss_queue - the queue that a hash falls on; nr_queues 1..RSS_RETA_LEN. */
static inline uint16_t rss_queue(uint32_t hash, uint16_t nr_queues)
{
	return (uint16_t)(hash % RSS_RETA_LEN % nr_queues);
}

#endif
