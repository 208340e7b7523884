/* SPDX-License-Identifier: BSD-3-Clause */
/* SipHash against its authors' vectors, the generator's seeds, the token bucket. */
#include <criterion/criterion.h>

#include "stack/stack_int.h"

Test(random, test_siphash24_authors_vectors_match)
{
	/* Aumasson and Bernstein, appendix A, and the reference's first two vectors. */
	static const struct {
		size_t n;
		uint64_t want;
	} v[] = {{0, 0x726fdb47dd0e0e31ull},
		 {1, 0x74f839c593dc67fdull},
		 {15, 0xa129ca6149be45e5ull}};
	uint8_t key[16], in[16];

	for (uint8_t i = 0; i < 16; i++)
		key[i] = in[i] = i;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		cr_assert_eq(siphash24(key, in, v[i].n), v[i].want, "length %zu", v[i].n);
}

Test(random, test_random_same_seed_same_numbers)
{
	static struct stack a, b, c;
	bool differs = false;

	c.cfg.seed[31] = 1;
	stack_random_init(&a);
	stack_random_init(&b);
	stack_random_init(&c);
	for (int i = 0; i < 100; i++) {
		uint32_t va = stack_random32(&a);

		cr_assert_eq(va, stack_random32(&b));
		differs |= va != stack_random32(&c);
	}
	cr_assert(differs);
}

Test(random, test_stack_key_differs_by_label)
{
	static struct stack st;
	uint8_t a[16], b[16];

	stack_key(&st, "arp", a);
	stack_key(&st, "isn", b);
	cr_assert(memcmp(a, b, 16) != 0);
	cr_assert(memcmp(a, a + 8, 8) != 0);
}

Test(random, test_token_bucket_burst_then_rate)
{
	struct token_bucket b = {0};
	uint64_t now = 77 * NSEC_PER_SEC;
	int got = 0;

	for (int i = 0; i < 100; i++)
		got += token_take(&b, now, 1000, 50);
	cr_assert_eq(got, 50);
	cr_assert(!token_take(&b, now + NSEC_PER_MSEC - 1, 1000, 50));
	cr_assert(token_take(&b, now + NSEC_PER_MSEC, 1000, 50));
	cr_assert(!token_take(&b, now + NSEC_PER_MSEC, 1000, 50));
	got = 0;
	for (int i = 0; i < 100; i++)
		got += token_take(&b, now + 3600 * NSEC_PER_SEC, 1000, 50);
	cr_assert_eq(got, 50);
}
