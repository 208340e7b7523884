/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071). Sums are kept in the byte order of memory, which the
 * ones'-complement sum allows (RFC 1071 1.2 B), so nothing is swapped until a fragment
 * begins at an odd offset. What a small segment takes is inline: it is a tenth of its cost.
 * Pure functions: any lane.
 */
#ifndef STACK_CSUM_H
#define STACK_CSUM_H

#include "stack/skb.h"

/* csum_add64 - ones'-complement addition of 64 bits. */
static inline uint64_t csum_add64(uint64_t a, uint64_t b)
{
	uint64_t s;

	return __builtin_add_overflow(a, b, &s) ? s + 1 : s;
}

static inline uint32_t csum_fold64(uint64_t s)
{
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffffffff) + (s >> 32);
	return (uint32_t)s;
}

static inline uint16_t csum_fold32(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

/* csum_load - n bytes of memory as a sum of their own; n is 2, 4 or 8. */
static inline uint64_t csum_load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

/* csum_fold - fold and complement; network order, ready to store. */
static inline uint16_t csum_fold(uint32_t sum)
{
	return (uint16_t)~csum_fold32(sum);
}

/* csum_iphdr - csum_fold of a header of 20 bytes, the common case. */
static inline uint16_t csum_iphdr(const void *iph)
{
	const uint8_t *p = iph;

	uint64_t s = csum_add64(csum_load(p, 8), csum_load(p + 8, 8));

	return csum_fold(csum_fold64(csum_add64(s, csum_load(p + 16, 4))));
}

/* csum_pseudo - IPv4 pseudo header; saddr and daddr in network order, l4len and proto in host
 * order. */
static inline uint32_t csum_pseudo(uint32_t saddr, uint32_t daddr, uint16_t l4len, uint8_t proto)
{
	return csum_fold64((uint64_t)saddr + daddr + __builtin_bswap16(l4len) +
			   __builtin_bswap16(proto));
}

/* csum_partial - ones'-complement sum over n bytes added to `sum`; fold later. */
uint32_t csum_partial(const void *buf, size_t n, uint32_t sum);
/* __csum_wide, __csum_wide_avx2 - csum_partial's two ways through a long run: n bytes, a multiple
 * of 64 below 2^34, as 32-bit words in 64-bit lanes; to be folded. The second for x86-64 with AVX2
 * alone. */
uint64_t __csum_wide(const uint8_t *p, size_t n);
uint64_t __csum_wide_avx2(const uint8_t *p, size_t n);
/* csum_copy - n bytes to `to`, which is apart from `from`; returns their sum, as csum_partial(from,
 * n, 0). Takes little more than the copy alone. */
uint32_t csum_copy(void *to, const void *from, size_t n);
/* __csum_copy_wide, __csum_copy_wide_avx2 - csum_copy's two ways, as __csum_wide. */
uint64_t __csum_copy_wide(uint8_t *to, const uint8_t *p, size_t n);
uint64_t __csum_copy_wide_avx2(uint8_t *to, const uint8_t *p, size_t n);
/* __csum_skb - csum_skb of a chain. */
uint32_t __csum_skb(const struct sk_buff *skb, unsigned off, unsigned n, uint32_t sum);

/* csum_skb - sum over [off, off+n) of a chain, odd fragment boundaries included; off + n <= len. */
static inline uint32_t csum_skb(const struct sk_buff *skb, unsigned off, unsigned n, uint32_t sum)
{
	if (unlikely(skb->frag))
		return __csum_skb(skb, off, n, sum);
	BUG_ON(off > skb->len || n > skb->len - off);
	return csum_partial(skb->data + off, n, sum);
}

#endif
