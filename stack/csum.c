/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum of what is longer than a few words: csum.h has the rest. Long runs go by
 * vectors, as a full segment's sum by words costs more than all else that is done to it.
 */
#include "stack/csum.h"

/* About here the vectors' set-up begins to pay: tests/bench/bench_low on both sides of it. */
#define WIDE_MIN 256u

typedef uint64_t v4u64 __attribute__((vector_size(32)));

static ALWAYS_INLINE uint64_t wide(const uint8_t *p, size_t n)
{
	v4u64 a = {0}, b = {0}, c = {0}, d = {0}, x, y;

	for (; n; n -= 64, p += 64) {
		memcpy(&x, p, sizeof(x));
		memcpy(&y, p + sizeof(x), sizeof(y));
		a += x & 0xffffffff;
		b += x >> 32;
		c += y & 0xffffffff;
		d += y >> 32;
	}
	a += b + c + d;
	return a[0] + a[1] + a[2] + a[3];
}

NOINLINE uint64_t __csum_wide(const uint8_t *p, size_t n)
{
	return wide(p, n);
}

#ifdef __x86_64__
/* What every x86-64 has is SSE2; AVX2 halves the time. */
NOINLINE __attribute__((target("avx2"))) uint64_t __csum_wide_avx2(const uint8_t *p, size_t n)
{
	return wide(p, n);
}
#endif

static NOINLINE uint64_t wide_any(const uint8_t *p, size_t n)
{
#ifdef __x86_64__
	if (likely(__builtin_cpu_supports("avx2")))
		return __csum_wide_avx2(p, n);
#endif
	return __csum_wide(p, n);
}

uint32_t csum_partial(const void *buf, size_t n, uint32_t sum)
{
	const uint8_t *p = buf;
	uint64_t a = sum, b = 0;

	if (n >= WIDE_MIN) {
		size_t k = n & ~(size_t)63;

		a += wide_any(p, k);
		p += k;
		n -= k;
	}
	for (; n >= 32; n -= 32, p += 32) {
		a = csum_add64(a, csum_load(p, 8));
		b = csum_add64(b, csum_load(p + 8, 8));
		a = csum_add64(a, csum_load(p + 16, 8));
		b = csum_add64(b, csum_load(p + 24, 8));
	}
	for (; n >= 8; n -= 8, p += 8)
		a = csum_add64(a, csum_load(p, 8));
	a = csum_add64(a, b);
	if (n & 4) {
		a = csum_add64(a, csum_load(p, 4));
		p += 4;
	}
	if (n & 2) {
		a = csum_add64(a, csum_load(p, 2));
		p += 2;
	}
	if (n & 1) {
		uint8_t last[2] = {*p, 0};

		a = csum_add64(a, csum_load(last, 2));
	}
	return csum_fold64(a);
}

uint32_t __csum_skb(const struct sk_buff *skb, unsigned off, unsigned n, uint32_t sum)
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
				s = __builtin_bswap16(csum_fold32(s));
			total += s;
			done += k;
			off += k;
		}
		off -= piece;
		skb = skb->frag;
		if (done < n)
			piece = skb->len;
	}
	return csum_fold64(total);
}
