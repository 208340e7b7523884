/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071) of bytes while they are copied: they pass through the vector
 * registers once, and what adds them has nothing else to do meanwhile. csum.c has the same sum of
 * bytes that stay where they are.
 */
#include "stack/csum.h"

/* From here on vectors pay, as in csum.c. */
#define WIDE_MIN 256u

typedef uint64_t v4u64 __attribute__((vector_size(32)));

/* copy_wide - n bytes, a multiple of 64; their sum as 32-bit words in 64-bit lanes: no carry to
 * look after below 2^32 words. */
static ALWAYS_INLINE uint64_t copy_wide(uint8_t *to, const uint8_t *p, size_t n)
{
	v4u64 a = {0}, b = {0}, c = {0}, d = {0}, x, y;

	for (; n; n -= 64, p += 64, to += 64) {
		memcpy(&x, p, sizeof(x));
		memcpy(&y, p + sizeof(x), sizeof(y));
		memcpy(to, &x, sizeof(x));
		memcpy(to + sizeof(x), &y, sizeof(y));
		a += x & 0xffffffff;
		b += x >> 32;
		c += y & 0xffffffff;
		d += y >> 32;
	}
	a += b + c + d;
	return a[0] + a[1] + a[2] + a[3];
}

NOINLINE uint64_t __csum_copy_wide(uint8_t *to, const uint8_t *p, size_t n)
{
	return copy_wide(to, p, n);
}

#ifdef __x86_64__
NOINLINE __attribute__((target("avx2"))) uint64_t __csum_copy_wide_avx2(uint8_t *to,
									const uint8_t *p, size_t n)
{
	return copy_wide(to, p, n);
}
#endif

static uint64_t copy_any(uint8_t *to, const uint8_t *p, size_t n)
{
#ifdef __x86_64__
	if (likely(__builtin_cpu_supports("avx2")))
		return __csum_copy_wide_avx2(to, p, n);
#endif
	return __csum_copy_wide(to, p, n);
}

uint32_t csum_copy(void *to, const void *from, size_t n)
{
	size_t k = n < WIDE_MIN ? 0 : n & ~(size_t)63;
	uint8_t *rest = (uint8_t *)to + k;
	uint64_t sum = k ? copy_any(to, from, k) : 0;

	memcpy(rest, (const uint8_t *)from + k, n - k);
	return csum_partial(rest, n - k, csum_fold64(sum));
}
