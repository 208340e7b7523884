/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clauses of RFCs that hold in the plain case and were once not held, or not looked at, where two
 * things meet: no memory and a SYN that crosses ours, loss in both directions and a peer of small
 * segments, a backoff and a window that closes. Named by the row of the design's tables.
 */
#include "seg_calls.h"

static struct bench b;
static struct conn c;

/* ---- T1 over the internal loopback ---- */

/* RFC 9293 3.5: a socket that connects to itself opens simultaneously. */
Test(tcp_clauses, test_simultaneous_open_with_oneself)
{
	struct sk_addr me = {.family = SK_AF_INET, .port = 4444, .v4 = SEG_OUR};
	struct sock *sk;
	uint8_t buf[16] = "to myself", got[16];

	bench_begin(&b, NULL, 512);
	cr_assert_eq(sock_create(b.st, SK_AF_INET, &sk), 0);
	cr_assert_eq(sock_bind(sk, &me), 0);
	cr_assert_eq(sock_connect(sk, &me), -EINPROGRESS);
	bench_turn(&b, 1000);
	bench_run(&b, 100 * SEG_MS);
	cr_assert_eq(sk->sk_state, TCP_ESTABLISHED, "%s", tcp_state_name(sk->sk_state));
	cr_assert_eq(sock_send(sk, buf, 16), 16);
	bench_turn(&b, 1000);
	bench_run(&b, 100 * SEG_MS);
	cr_assert_eq(sock_recv(sk, got, 16), 16);
	cr_assert_arr_eq(got, buf, 16);
	sock_close(sk);
	bench_turn(&b, 1000);
	bench_run(&b, 200 * NSEC_PER_SEC);
	cr_assert_eq(nr_socks(&b), 0);
	cr_assert_eq(b.st->tcp->nr_nodes, 0);
	bench_end(&b);
}
