/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071). Sums are kept in the byte order of memory, which the
 * ones'-complement sum allows (RFC 1071 1.2 B), so nothing is swapped until a fragment
 * begins at an odd offset.
 */
#include "stack/stack_int.h"

static inline uint32_t fold64(uint64_t s)
{
	s = (s & 0xffffffff) + (s >> 32);
	s = (s & 0xffffffff) + (s >> 32);
	return (uint32_t)s;
}

static inline uint16_t fold32(uint32_t s)
{
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static inline uint64_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* 32-bit words into 64-bit sums: no carry to look after, and the loop vectorises. */
uint32_t csum_partial(const void *buf, size_t n, uint32_t sum)
{
	const uint8_t *p = buf;
	uint64_t a = sum, b = 0;
	uint16_t w;

	for (; n >= 8; n -= 8, p += 8) {
		a += load32(p);
		b += load32(p + 4);
	}
	a += b;
	if (n & 4) {
		a += load32(p);
		p += 4;
	}
	if (n & 2) {
		memcpy(&w, p, sizeof(w));
		a += w;
		p += 2;
	}
	if (n & 1) {
		uint8_t last[2] = {*p, 0};

		memcpy(&w, last, sizeof(w));
		a += w;
	}
	return fold64(a);
}

uint16_t csum_fold(uint32_t sum)
{
	return (uint16_t)~fold32(sum);
}

uint16_t csum_iphdr(const void *iph)
{
	const uint8_t *p = iph;

	return csum_fold(fold64(load32(p) + load32(p + 4) + load32(p + 8) + load32(p + 12) +
				load32(p + 16)));
}

uint32_t csum_pseudo(uint32_t saddr, uint32_t daddr, uint16_t l4len, uint8_t proto)
{
	return fold64((uint64_t)saddr + daddr + be16(l4len) + be16(proto));
}

uint32_t csum_skb(const struct sk_buff *skb, unsigned off, unsigned n, uint32_t sum)
{
	unsigned piece = skb_headlen(skb);
	unsigned done = 0;
	uint64_t total = sum;

	BUG_ON(off > skb->len || n > skb->len - off);
	while (done < n) {
		unsigned k = off < piece ? min_t(unsigned, n - done, piece - off) : 0;

		if (k) {
			uint32_t s = csum_partial(skb->data + off, k, 0);

			/* RFC 1071 1.2 B: an odd start swaps the bytes of the part's sum. */
			if (done & 1)
				s = __builtin_bswap16(fold32(s));
			total += s;
			done += k;
			off += k;
		}
		off -= piece;
		skb = skb->frag;
		if (done < n)
			piece = skb->len;
	}
	return fold64(total);
}
