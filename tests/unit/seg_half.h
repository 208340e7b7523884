/* SPDX-License-Identifier: BSD-3-Clause */
/* Handshakes that stop halfway, for the tests of a listener's queues. */
#ifndef TESTS_UNIT_SEG_HALF_H
#define TESTS_UNIT_SEG_HALF_H

#include "seg.h"

/* half_open - c's SYN and our SYN-ACK, which *ret gets. */
static inline void half_open(struct conn *c, struct bench *b, uint16_t fport,
			     const struct seg_peer *p, struct seg *ret)
{
	conn_init(c, b, SEG_PORT, fport, p);
	conn_syn(c, p);
	do
		cr_assert(bench_next(b, NULL, ret), "no SYN-ACK to %u", fport);
	while (ret->flags != (SYN | ACK) || ret->dport != fport);
	c->irs = ret->seq;
	c->tsecr = ret->tsval;
	c->ts = p->ts && ret->ts;
}

/* half_done - the handshake's last segment and accept(). */
static inline void half_done(struct conn *c, struct sock *lp)
{
	peer(c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(sock_accept(lp, &c->sk), 0);
	assert_state(c, TCP_ESTABLISHED);
}

static inline const struct tcp_shard *shard(const struct bench *b)
{
	return b->st->tcp;
}

#endif
