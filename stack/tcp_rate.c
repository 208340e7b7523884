/* SPDX-License-Identifier: BSD-3-Clause */
/* The delivery rate's sample at the end of an ACK, and its value. See tcp_rate.h. */
#include "stack/tcp_rate.h"

void tcp_rate_gen(struct tcp_sock *tp, uint32_t delivered, const struct tcp_rate_sample *rs)
{
	struct tcp_rate *r = &tp->rate;
	uint64_t interval, now = tcp_stack(tp)->now;
	uint32_t bytes;

	if (!delivered)
		return;
	r->delivered += delivered;
	r->delivered_ns = now;
	if (r->limited && after(r->delivered, r->app_limited))
		r->limited = false;
	if (!rs->prior_ns)
		return;
	r->first_tx_ns = rs->tx_ns;
	bytes = r->delivered - rs->prior;
	interval = max_t(uint64_t, rs->tx_ns - rs->first_tx_ns, now - rs->prior_ns);
	/* draft 3.3: less than a round trip is an ACK of the first copy of something that was sent
	 * twice. The least one is rounded up to whole us */
	if (!interval || interval + NSEC_PER_USEC < tp->min_rtt_us * NSEC_PER_USEC)
		return;
	/* 3.4: what the user held back says nothing, unless it is more than all before */
	if (rs->app_limited && (__uint128_t)bytes * r->interval < (__uint128_t)r->bytes * interval)
		return;
	r->bytes = bytes;
	r->interval = interval;
	r->sample_limited = rs->app_limited;
}

uint64_t tcp_rate_bytes_per_s(const struct tcp_sock *tp)
{
	if (!tp->rate.interval)
		return 0;
	return (uint64_t)((__uint128_t)tp->rate.bytes * NSEC_PER_SEC / tp->rate.interval);
}
