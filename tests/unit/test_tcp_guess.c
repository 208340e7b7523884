/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a stranger would have to guess (B33): initial sequence numbers (RFC 6528), ephemeral ports
 * (RFC 6056), IP IDs (RFC 6864) and timestamp offsets (RFC 7323 7.1), a hundred of each.
 */
#include <stdlib.h>

#include "seg.h"
#include "stack/tcp_hash.h"

#define SAMPLES 100u
#define PEER_0  0x0a000064u /* 10.0.0.100 and up, host order */

enum { ISN, PORT, IP_ID, TS_OFFSET, KINDS };

static void sample(struct bench *b, unsigned i, uint32_t ret[KINDS])
{
	struct sk_addr peer = {.family = SK_AF_INET, .port = 80, .v4 = be32(PEER_0 + i)};
	struct tcp_sock *tp;
	struct sock *sk;

	cr_assert_eq(sock_create(b->st, SK_AF_INET, &sk), 0);
	cr_assert_eq(sock_connect(sk, &peer), -EINPROGRESS);
	tp = tcp_sk(sk);
	ret[ISN] = tp->iss;
	ret[PORT] = tp->node.lport;
	ret[IP_ID] = tp->ip_id;
	ret[TS_OFFSET] = tp->tsoffset;
	sock_abort(sk);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* different - how many of n values are not like another. */
static unsigned different(const uint32_t *v, unsigned n)
{
	uint32_t sorted[SAMPLES];
	unsigned d = 1;

	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), by_value);
	for (unsigned i = 1; i < n; i++)
		d += sorted[i] != sorted[i - 1];
	return d;
}

/* bits_even - each of the low `bits` bits is set in a quarter to three quarters of the samples: of
 * fair ones less than one seed in a million would fail. */
static void bits_even(const uint32_t *v, unsigned bits)
{
	for (unsigned bit = 0; bit < bits; bit++) {
		unsigned ones = 0;

		for (unsigned i = 0; i < SAMPLES; i++)
			ones += v[i] >> bit & 1;
		cr_assert(ones > SAMPLES / 4 && ones < SAMPLES * 3 / 4, "bit %u: %u", bit, ones);
	}
}

/* One after another tells nothing of the next: the steps differ as the values do. */
static void steps_differ(const uint32_t *v, unsigned least)
{
	uint32_t step[SAMPLES - 1];

	for (unsigned i = 0; i + 1 < SAMPLES; i++)
		step[i] = v[i + 1] - v[i];
	cr_assert_geq(different(step, SAMPLES - 1), least);
}

Test(tcp_guess, test_tcp_B33_numbers_of_100_connections_are_not_guessed)
{
	uint32_t got[KINDS][SAMPLES], one[KINDS];
	struct bench b;

	bench_begin(&b, NULL, 1024);
	for (unsigned i = 0; i < SAMPLES; i++) {
		sample(&b, i, one);
		for (unsigned k = 0; k < KINDS; k++)
			got[k][i] = one[k];
	}
	for (unsigned k = 0; k < KINDS; k++)
		cr_assert_geq(different(got[k], SAMPLES), SAMPLES - 5, "kind %u", k);
	bits_even(got[ISN], 32);
	bits_even(got[TS_OFFSET], 32);
	bits_even(got[IP_ID], 16);
	bits_even(got[PORT], 12);
	for (unsigned k = 0; k < KINDS; k++)
		steps_differ(got[k], SAMPLES - 10);
	bench_end(&b);
}

Test(tcp_guess, test_tcp_B33_other_secret_other_numbers)
{
	uint32_t first[KINDS], second[KINDS];
	struct stack_config cfg;
	struct bench b;

	bench_begin(&b, NULL, 1024);
	sample(&b, 0, first);
	bench_end(&b);
	stack_config_init(&cfg);
	memset(cfg.seed, 7, sizeof(cfg.seed));
	bench_begin(&b, &cfg, 1024);
	sample(&b, 0, second);
	bench_end(&b);
	for (unsigned k = 0; k < KINDS; k++)
		cr_assert_neq(first[k], second[k], "kind %u", k);
}
