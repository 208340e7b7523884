/* SPDX-License-Identifier: BSD-3-Clause */
/* The scene of the hostile tests: one connection is attacked, another must not notice. */
#ifndef TESTS_UNIT_SEG_SCENE_H
#define TESTS_UNIT_SEG_SCENE_H

#include "seg.h"

/* The connection under attack, and a neighbour that must not notice. */
struct scene {
	struct bench b;
	struct sock *lp;
	struct conn c, other;
	uint32_t other_seq;
};

static inline void scene_begin(struct scene *s, const struct seg_peer *p)
{
	bench_begin(&s->b, NULL, 8192);
	s->lp = bench_listen(&s->b, SEG_PORT, 64);
	conn_passive(&s->other, &s->b, s->lp, 5000, &seg_full);
	conn_passive(&s->c, &s->b, s->lp, 4000, p);
	s->other_seq = 1;
}

static inline void other_goes_on(struct scene *s)
{
	bench_turn(&s->b, 1000);
	bench_drain(&s->b);
	peer(&s->other, .flags = ACK, .seq = s->other_seq, .ack = 1, .len = 10);
	cr_assert_eq(conn_read(&s->other, s->other_seq), 10);
	s->other_seq += 10;
	expect(&s->other, ACK, 1, s->other_seq, 0);
}

/* c itself still carries data from the peer's `seq`. */
static inline void still_works(struct scene *s, uint32_t seq)
{
	bench_drain(&s->b);
	assert_state(&s->c, TCP_ESTABLISHED);
	s->c.tsval++;
	peer(&s->c, .flags = ACK, .seq = seq, .ack = 1, .len = 10);
	cr_assert_eq(conn_read(&s->c, seq), 10);
	expect(&s->c, ACK, 1, seq + 10, 0);
	other_goes_on(s);
}

/* The attacked connection is not wanted in this test. */
static inline void scene_alone(struct scene *s)
{
	sock_abort(s->c.sk);
	s->c.sk = NULL;
	bench_turn(&s->b, 1000);
	bench_drain(&s->b);
}

static inline void scene_end(struct scene *s)
{
	other_goes_on(s);
	sock_abort(s->other.sk);
	if (s->c.sk)
		sock_abort(s->c.sk);
	sock_close(s->lp);
	bench_turn(&s->b, 1000);
	cr_assert_eq(stack_stats(s->b.st)->socks_in_use, 0);
	cr_assert_eq(s->b.st->tcp->rmem_total, 0);
	cr_assert_eq(s->b.st->tcp->reqs.nr, 0);
	bench_end(&s->b);
}

#endif
