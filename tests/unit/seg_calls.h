/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of TCP's states share: counted callbacks, a connection that came in. */
#ifndef TESTS_UNIT_SEG_CALLS_H
#define TESTS_UNIT_SEG_CALLS_H

#include "seg.h"

struct calls {
	unsigned ready, space, state, error;
};

static struct calls calls;

static inline void on_ready(struct sock *sk)
{
	(void)sk;
	calls.ready++;
}

static inline void on_space(struct sock *sk)
{
	(void)sk;
	calls.space++;
}

static inline void on_state(struct sock *sk)
{
	(void)sk;
	calls.state++;
}

static inline void on_error(struct sock *sk)
{
	(void)sk;
	calls.error++;
}

static inline void listen_to(struct sock *sk)
{
	memset(&calls, 0, sizeof(calls));
	sk->sk_data_ready = on_ready;
	sk->sk_write_space = on_space;
	sk->sk_state_change = on_state;
	sk->sk_error_report = on_error;
}

/* A connection that came in; the listener is closed again. */
static inline void estab(struct bench *b, struct conn *c, const struct seg_peer *p)
{
	struct sock *lp;

	bench_begin(b, NULL, 1024);
	lp = bench_listen(b, SEG_PORT, 8);
	conn_passive(c, b, lp, 4000, p);
	sock_close(lp);
}

static inline uint64_t nr_socks(const struct bench *b)
{
	return stack_stats(b->st)->socks_in_use;
}

#endif
