/* SPDX-License-Identifier: BSD-3-Clause */
/* The retransmission timeout as RFC 6298 2 computes it, beside floating point. */
#include <math.h>
#include <stdlib.h>

#include "seg.h"
#include "stack/tcp_fast.h"

static struct bench b;
static struct conn c;

static void begin(void)
{
	bench_begin(&b, NULL, 512);
	conn_passive(&c, &b, bench_listen(&b, SEG_PORT, 8), 4000, &seg_plain);
	conn_tp(&c)->srtt_us8 = 0;
}

static void end(void)
{
	bench_end(&b);
}

TestSuite(tcp_rtt, .init = begin, .fini = end);

static double rto_ms(void)
{
	return (double)conn_tp(&c)->rto / NSEC_PER_MSEC;
}

/* 2.2: SRTT = R, RTTVAR = R / 2, RTO = SRTT + 4 RTTVAR. The floor, 200 ms, is that of the second
 * term: Linux's. */
Test(tcp_rtt, test_rto_6298_2_2_first_sample)
{
	const unsigned want[][2] = {{1, 201}, {50, 250}, {100, 300}, {200, 600}, {1000, 3000}};

	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		conn_tp(&c)->srtt_us8 = 0;
		tcp_rtt_sample(conn_tp(&c), want[i][0] * SEG_MS);
		cr_assert_float_eq(rto_ms(), want[i][1], 0.1, "%u: %f", want[i][0], rto_ms());
	}
}

/* 2.3: RTTVAR by 1/4 of what SRTT is off, then SRTT by 1/8. */
Test(tcp_rtt, test_rto_6298_2_3_follows_the_samples)
{
	double srtt = 0, var = 0, want;

	srand(6298);
	for (unsigned i = 0; i < 2000; i++) {
		unsigned base = i / 200 % 2 ? 20 : 900, r = base + (unsigned)rand() % (base / 2);

		tcp_rtt_sample(conn_tp(&c), r * SEG_MS);
		var = i ? 0.75 * var + 0.25 * fabs(srtt - r) : r / 2.0;
		srtt = i ? 0.875 * srtt + 0.125 * r : r;
		want = srtt + fmax(200, 4 * var);
		cr_assert_float_eq(rto_ms(), want, 0.2, "%u: %f, not %f", i, rto_ms(), want);
	}
}

/* 2.4, 2.5, and a path that is as slow as it can be. */
Test(tcp_rtt, test_rto_6298_2_5_stays_within_its_bounds)
{
	tcp_rtt_sample(conn_tp(&c), 1);
	cr_assert_float_eq(rto_ms(), 200, 0.1);
	tcp_rtt_sample(conn_tp(&c), 1000000 * NSEC_PER_SEC);
	cr_assert_eq(conn_tp(&c)->rto, 120 * NSEC_PER_SEC);
	cr_assert_eq(tcp_rto_backoff(conn_tp(&c)), 120 * NSEC_PER_SEC);
	conn_tp(&c)->srtt_us8 = 0;
	tcp_rtt_sample(conn_tp(&c), NSEC_PER_SEC);
	for (uint8_t k = 0; k < 100; k++) {
		conn_tp(&c)->backoff = k;
		cr_assert_eq(tcp_rto_backoff(conn_tp(&c)),
			     k < 6 ? conn_tp(&c)->rto << k : 120 * NSEC_PER_SEC, "%u", k);
	}
}
