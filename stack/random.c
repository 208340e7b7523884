/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers that look random, from the one seed that the stack was given: SipHash-2-4
 * (Aumasson and Bernstein, 2012) for what a peer must not guess, xoshiro256** (Blackman and
 * Vigna, 2018) for the rest, and the token bucket of the rate limits.
 */
#include "stack/stack_int.h"

static inline uint64_t rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static inline void sip_block(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
}

uint64_t siphash24(const uint8_t key[16], const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t k0 = load64(key), k1 = load64(key + 8);
	uint64_t last = (uint64_t)n << 56;
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull,
			 k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull};

	for (; n >= 8; n -= 8, p += 8)
		sip_block(v, load64(p));
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sip_block(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* siphash of half the seed, keyed by the other half: one block per label and number. */
static uint64_t derive(const struct stack *st, const char *label, uint8_t nr)
{
	uint8_t in[16 + 24] = {0};
	size_t n = min_t(size_t, strlen(label), 22);

	memcpy(in, st->cfg.seed + 16, 16);
	memcpy(in + 16, label, n);
	in[sizeof(in) - 1] = nr;
	return siphash24(st->cfg.seed, in, sizeof(in));
}

void stack_key(const struct stack *st, const char *label, uint8_t ret_key[16])
{
	for (uint8_t i = 0; i < 2; i++) {
		uint64_t v = derive(st, label, i);

		memcpy(ret_key + 8 * i, &v, sizeof(v));
	}
}

void stack_random_init(struct stack *st)
{
	for (uint8_t i = 0; i < 4; i++)
		st->rng[i] = derive(st, "xoshiro", i);
	/* The one state that xoshiro never leaves. */
	if (!(st->rng[0] | st->rng[1] | st->rng[2] | st->rng[3]))
		st->rng[0] = 1;
}

uint32_t stack_random32(struct stack *st)
{
	uint64_t *s = st->rng;
	uint64_t out = rotl(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return (uint32_t)(out >> 32);
}

bool token_take(struct token_bucket *b, uint64_t now, uint32_t per_sec, uint32_t burst)
{
	uint64_t ns_per_token = NSEC_PER_SEC / per_sec;
	uint64_t earned = (now - b->stamp) / ns_per_token;

	if (earned) {
		b->spent -= (uint32_t)min_t(uint64_t, earned, b->spent);
		b->stamp += earned * ns_per_token;
	}
	if (b->spent >= burst)
		return false;
	b->spent++;
	return true;
}
