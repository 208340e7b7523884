/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments by hand, in packetdrill's spirit: one stack on a device of paper, a peer that is
 * the test itself, numbers relative to each side's initial sequence number (the SYN is 0, the
 * first byte 1). The bench answers ARP; everything else that the stack sends waits to be
 * expected. After each turn the invariants of all sockets are checked (sim/tcp_check.h).
 */
#ifndef TESTS_UNIT_SEG_H
#define TESTS_UNIT_SEG_H

#include <criterion/criterion.h>

#include "seg_frame.h"

struct bench {
	struct skb_pool *pool;
	struct stack *st;
	struct fake_netdev *f;
	uint64_t now;
	unsigned seen;       /* frames of f->out that were looked at */
	bool strangers_mute; /* none but SEG_PEER answers ARP */
	bool no_check;       /* no invariants after each turn: for floods */
};

/* bench_begin - cfg NULL = defaults; nr_skbs of 2,048 bytes. */
void bench_begin(struct bench *b, const struct stack_config *cfg, unsigned nr_skbs);
/* bench_end - destroys the stack and asserts that every skb came back. */
void bench_end(struct bench *b);
/* bench_turn - one turn, ns later. */
void bench_turn(struct bench *b, uint64_t ns);
/* bench_run - turns for `ns`, from timer to timer. */
void bench_run(struct bench *b, uint64_t ns);
/* bench_next - the stack's next segment to anyone; false: none. rel gives the numbers. */
bool bench_next(struct bench *b, const struct conn *rel, struct seg *ret);
void bench_drain(struct bench *b);
/* bench_drops - how often for this reason. */
uint64_t bench_drops(const struct bench *b, enum skb_drop_reason r);

struct sock *bench_listen(struct bench *b, uint16_t port, unsigned backlog);
/* conn_init - a peer at fport that talks to our lport; nothing is sent. */
void conn_init(struct conn *c, struct bench *b, uint16_t lport, uint16_t fport,
	       const struct seg_peer *p);
/* conn_syn - send its SYN with options. */
void conn_syn(struct conn *c, const struct seg_peer *p);
/* conn_passive - the three-way handshake into listener lp, and accept. */
void conn_passive(struct conn *c, struct bench *b, struct sock *lp, uint16_t fport,
		  const struct seg_peer *p);
/* conn_active - our connect: SYN-SENT after it; *ret the SYN. */
void conn_active(struct conn *c, struct bench *b, const struct seg_peer *p, struct seg *ret);
/* conn_synack - the peer's SYN-ACK. */
void conn_synack(struct conn *c, const struct seg_peer *p);
/* conn_opened - conn_active to the end: ESTABLISHED. */
void conn_opened(struct conn *c, struct bench *b, const struct seg_peer *p);

/* seg_inject - put the segment into the device, no turn. */
void seg_inject(struct conn *c, const struct seg *s);

/* peer - inject and run one turn. */
#define peer(c, ...)                                                                               \
	do {                                                                                       \
		const struct seg __s = {__VA_ARGS__};                                              \
		seg_inject(c, &__s);                                                               \
		bench_turn((c)->b, 1000);                                                          \
	} while (0)

void __seg_expect(struct conn *c, int line, unsigned flags, uint32_t seq, uint32_t ack,
		  unsigned len, struct seg *ret);
void __seg_expect_none(struct bench *b, int line);
/* expect - the next segment that we sent is exactly this (PSH is not compared). */
#define expect(c, flags, seq, ack, len) __seg_expect(c, __LINE__, flags, seq, ack, len, NULL)
#define expect_get(c, flags, seq, ack, len, ret)                                                   \
	__seg_expect(c, __LINE__, flags, seq, ack, len, ret)
#define expect_none(b) __seg_expect_none(b, __LINE__)

/* conn_write - our user sends n bytes of the pattern from `off` (relative, first 1); no turn. */
ssize_t conn_write(struct conn *c, uint32_t off, unsigned n);
/* conn_read - our user reads everything; checks the pattern from `off`; bytes, or the error. */
ssize_t conn_read(struct conn *c, uint32_t off);

static inline struct tcp_sock *conn_tp(const struct conn *c)
{
	return tcp_sk(c->sk);
}

#define assert_state(c, s)                                                                         \
	cr_assert_eq((c)->sk->sk_state, s, "state %s", tcp_state_name((c)->sk->sk_state))

#endif
