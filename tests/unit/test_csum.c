/* SPDX-License-Identifier: BSD-3-Clause */
/* The checksum against RFC 1071's example and a byte-wise one, on random chains. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "stack/stack_int.h"

/* Big-endian words, one at a time, as the RFC defines it; result in host order. */
static uint16_t naive(const uint8_t *p, size_t n)
{
	uint64_t s = 0;

	for (size_t i = 0; i < n; i++)
		s += i & 1 ? p[i] : (uint64_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

Test(csum, test_csum_rfc1071_example_matches)
{
	static const uint8_t b[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	cr_assert_eq(csum_fold(csum_partial(b, sizeof(b), 0)), be16((uint16_t)~0xddf2));
}

Test(csum, test_csum_random_lengths_match_naive)
{
	uint8_t b[2100];
	unsigned seed = 71;

	for (int round = 0; round < 20000; round++) {
		size_t off = (size_t)rand_r(&seed) % 16, n = (size_t)rand_r(&seed) % 2000;
		int kind = rand_r(&seed) % 3;

		for (size_t i = 0; i < n; i++)
			b[off + i] = (uint8_t)(kind ? rand_r(&seed) : 0xff);
		cr_assert_eq(csum_fold(csum_partial(b + off, n, 0)), be16(naive(b + off, n)),
			     "seed 71 round %d n %zu", round, n);
	}
}

/* One way through a long run, at every alignment of a vector and a length beyond; all ones make the
 * most carries. */
static void expect_wide(uint64_t (*wide)(const uint8_t *, size_t), const char *name)
{
	static uint8_t b[64 * 1024 + 128];
	unsigned seed = 74;

	for (int round = 0; round < 3000; round++) {
		size_t off = (size_t)round % 65;
		size_t n = 64 * ((size_t)rand_r(&seed) % (round % 100 ? 40 : 1025));
		int kind = rand_r(&seed) % 3;

		for (size_t i = 0; i < n + 64; i++) /* what lies around is not summed */
			b[off + i] = (uint8_t)(kind ? rand_r(&seed) : 0xff);
		cr_assert_eq(csum_fold(csum_fold64(wide(b + off, n))), be16(naive(b + off, n)),
			     "%s: seed 74 round %d off %zu n %zu", name, round, off, n);
	}
}

Test(csum, test_csum_long_run_without_avx2_matches_naive)
{
	expect_wide(__csum_wide, "__csum_wide");
}

#ifdef __x86_64__
Test(csum, test_csum_long_run_by_avx2_matches_naive)
{
	if (!__builtin_cpu_supports("avx2"))
		cr_skip_test("this cpu has no AVX2");
	expect_wide(__csum_wide_avx2, "__csum_wide_avx2");
}
#endif

Test(csum, test_csum_copy_moves_bytes_and_sums_them)
{
	uint8_t from[2100], to[2100], want[2100];
	unsigned seed = 75;

	for (int round = 0; round < 20000; round++) {
		size_t off = (size_t)rand_r(&seed) % 16, at = (size_t)rand_r(&seed) % 16,
		       n = (size_t)rand_r(&seed) % 2000;
		int kind = rand_r(&seed) % 3;

		for (size_t i = 0; i < n; i++)
			from[off + i] = (uint8_t)(kind ? rand_r(&seed) : 0xff);
		memset(to, 0x5a, sizeof(to));
		memset(want, 0x5a, sizeof(want));
		memcpy(want + at, from + off, n);
		cr_assert_eq(csum_fold(csum_copy(to + at, from + off, n)),
			     be16(naive(from + off, n)), "seed 75 round %d n %zu", round, n);
		cr_assert_arr_eq(to, want, sizeof(to), "seed 75 round %d n %zu", round, n);
	}
}

static void expect_copy_wide(uint64_t (*copy)(uint8_t *, const uint8_t *, size_t), const char *name)
{
	uint8_t from[2200], to[2200], want[2200];
	unsigned seed = 76;

	for (int round = 0; round < 3000; round++) {
		size_t off = (size_t)round % 65, at = (size_t)rand_r(&seed) % 65;
		size_t n = 64 * ((size_t)rand_r(&seed) % 32);
		int kind = rand_r(&seed) % 3;

		for (size_t i = 0; i < n + 64; i++)
			from[off + i] = (uint8_t)(kind ? rand_r(&seed) : 0xff);
		memset(to, 0x5a, sizeof(to));
		memset(want, 0x5a, sizeof(want));
		memcpy(want + at, from + off, n);
		cr_assert_eq(csum_fold(csum_fold64(copy(to + at, from + off, n))),
			     be16(naive(from + off, n)), "%s: seed 76 round %d off %zu n %zu", name,
			     round, off, n);
		cr_assert_arr_eq(to, want, sizeof(to), "%s: seed 76 round %d", name, round);
	}
}

Test(csum, test_csum_copy_without_avx2_matches_naive)
{
	expect_copy_wide(__csum_copy_wide, "__csum_copy_wide");
}

#ifdef __x86_64__
Test(csum, test_csum_copy_by_avx2_matches_naive)
{
	if (!__builtin_cpu_supports("avx2"))
		cr_skip_test("this cpu has no AVX2");
	expect_copy_wide(__csum_copy_wide_avx2, "__csum_copy_wide_avx2");
}
#endif

Test(csum, test_csum_iphdr_matches_naive)
{
	uint8_t b[21];
	unsigned seed = 72;

	for (int round = 0; round < 10000; round++) {
		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = (uint8_t)rand_r(&seed);
		cr_assert_eq(csum_iphdr(b + 1), be16(naive(b + 1, 20)));
	}
}

Test(csum, test_csum_pseudo_matches_naive)
{
	uint8_t ph[12] = {10, 0, 0, 1, 192, 168, 255, 254, 0, 6, 0x12, 0x34};
	uint32_t s, d;

	memcpy(&s, ph, 4);
	memcpy(&d, ph + 4, 4);
	cr_assert_eq(csum_fold(csum_pseudo(s, d, 0x1234, 6)), be16(naive(ph, sizeof(ph))));
}

Test(csum, test_csum_skb_odd_fragments_match_naive)
{
	struct skb_pool *pool = skb_heap_pool_create(64, 512);
	uint64_t drops[SKB_DROP_MAX] = {0};
	static struct skb_cache c;
	unsigned seed = 73;

	skb_cache_init(&c, pool, drops);
	for (int round = 0; round < 5000; round++) {
		uint8_t flat[4096];
		struct sk_buff *head = NULL;
		int pieces = 1 + rand_r(&seed) % 8;
		unsigned off, n;

		for (int i = 0; i < pieces; i++) {
			unsigned len = (unsigned)rand_r(&seed) % 100;
			struct sk_buff *skb = skb_alloc(&c, (unsigned)rand_r(&seed) % 8);
			uint8_t *p = skb_put(skb, len);

			for (unsigned k = 0; k < len; k++)
				p[k] = (uint8_t)rand_r(&seed);
			if (head)
				skb_append_frag(head, skb);
			else
				head = skb;
		}
		off = (unsigned)rand_r(&seed) % (head->len + 1);
		n = (unsigned)rand_r(&seed) % (head->len - off + 1);
		cr_assert_eq(skb_copy_bits(head, off, flat, n), 0);
		cr_assert_eq(csum_fold(csum_skb(head, off, n, 0)), be16(naive(flat, n)),
			     "seed 73 round %d off %u n %u", round, off, n);
		skb_free(head);
	}
	skb_cache_fini(&c);
	skb_pool_destroy(pool);
}
