/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may have a local port (SO_REUSEADDR, SO_REUSEPORT), which one a connect gets, and who of
 * several listeners a client. What is expected was asked of Linux 6.18 by the same calls.
 */
#include "seg_half.h"
#include "stack/tcp_guard.h"

#define PORT SEG_PORT

enum { NO, ADDR, PORT_, BOTH }; /* SO_REUSEADDR, SO_REUSEPORT */

static struct bench b;
static struct conn c;
static struct seg seg;

static void reuse(struct sock *sk, unsigned how)
{
	cr_assert_eq(sock_setopt_int(sk, SK_SOL_SOCKET, SK_SO_REUSEADDR, how & 1), 0);
	cr_assert_eq(sock_setopt_int(sk, SK_SOL_SOCKET, SK_SO_REUSEPORT, how >> 1), 0);
}

static int bind_to(struct sock *sk, uint32_t v4, uint16_t port)
{
	struct sk_addr a = {.family = SK_AF_INET, .port = port, .v4 = v4};

	return sock_bind(sk, &a);
}

static struct sock *fresh(unsigned how)
{
	struct sock *sk;

	cr_assert_eq(sock_create(b.st, SK_AF_INET, &sk), 0);
	reuse(sk, how);
	return sk;
}

static struct sock *bound(unsigned how, uint16_t port)
{
	struct sock *sk = fresh(how);

	cr_assert_eq(bind_to(sk, 0, port), 0);
	return sk;
}

static struct sock *listener(unsigned how, uint32_t v4, uint16_t port)
{
	struct sock *sk = fresh(how);

	cr_assert_eq(bind_to(sk, v4, port), 0);
	cr_assert_eq(sock_listen(sk, 64), 0);
	return sk;
}

static int dial(struct sock *sk, uint16_t port)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = port, .v4 = SEG_PEER};

	return sock_connect(sk, &to);
}

/* A bind by nobody in particular: 0 or the -errno. */
static int try_bind(unsigned how, uint16_t port)
{
	struct sock *sk = fresh(how);
	int err = bind_to(sk, 0, port);

	sock_close(sk);
	return err;
}

static void end(void)
{
	while (!list_empty(&b.st->tcp->all))
		sock_abort(&list_first_entry(&b.st->tcp->all, struct tcp_sock, all_link)->sk);
	bench_run(&b, 61 * NSEC_PER_SEC);
	cr_assert_eq(b.st->tcp->port_slab.nr, 0, "who has a port still?");
	bench_end(&b);
}

/* ---- a bind where others are ---- */

static void has_bound(unsigned how)
{
	c.sk = bound(how, PORT);
}

static void has_listener(unsigned how)
{
	c.sk = listener(how, 0, PORT);
}

/* A connection that came in; its listener is gone. */
static void has_child(unsigned how)
{
	struct sock *lp = listener(how, 0, PORT);

	half_open(&c, &b, 4000, &seg_full, &seg);
	half_done(&c, lp);
	sock_close(lp);
}

static void has_orphan(unsigned how)
{
	has_child(how);
	sock_close(c.sk);
	bench_turn(&b, 1000);
}

static void has_time_wait(unsigned how)
{
	has_orphan(how);
	peer(&c, .flags = FIN | ACK, .seq = 1, .ack = 2);
	cr_assert_eq(stack_stats(b.st)->tcp_tw_count, 1);
	cr_assert_eq(stack_stats(b.st)->socks_in_use, 0);
}

static void has_connect(unsigned how)
{
	b.st->cfg.port_range[0] = b.st->cfg.port_range[1] = PORT;
	c.sk = fresh(how);
	cr_assert_eq(dial(c.sk, 80), -EINPROGRESS);
}

static void has_bound_connect(unsigned how)
{
	c.sk = bound(how, PORT);
	cr_assert_eq(dial(c.sk, 80), -EINPROGRESS);
}

/* inet_csk_bind_conflict: both SO_REUSEADDR, which does not help against a listener, or both
 * SO_REUSEPORT; whatever the other one is doing. */
Test(tcp_port, test_bind_beside_others_as_linux)
{
	static void (*const have[])(unsigned) = {has_bound,     has_listener, has_child,
						 has_orphan,    has_connect,  has_bound_connect,
						 has_time_wait, NULL};
	static const bool fits[2][4][4] = {
		/* theirs: */
		{[ADDR] = {[ADDR] = true, [BOTH] = true},
		 [PORT_] = {[PORT_] = true, [BOTH] = true},
		 [BOTH] = {[ADDR] = true, [PORT_] = true, [BOTH] = true}},
		/* a listener's: */
		{[PORT_] = {[PORT_] = true, [BOTH] = true},
		 [BOTH] = {[PORT_] = true, [BOTH] = true}},
	};

	for (unsigned i = 0; have[i]; i++)
		for (unsigned how = NO; how <= BOTH; how++) {
			bench_begin(&b, NULL, 512);
			have[i](how);
			for (unsigned ours = NO; ours <= BOTH; ours++)
				cr_assert_eq(try_bind(ours, PORT),
					     fits[have[i] == has_listener][how][ours] ? 0
										      : -EADDRINUSE,
					     "%u: theirs %u, ours %u", i, how, ours);
			cr_assert_eq(try_bind(NO, PORT + 1), 0);
			end();
			c.sk = NULL;
		}
}

Test(tcp_port, test_listen_one_of_those_who_are_bound_by_reuseaddr)
{
	struct sock *one, *two;

	bench_begin(&b, NULL, 512);
	one = bound(ADDR, PORT);
	two = bound(ADDR, PORT);
	cr_assert_eq(sock_listen(one, 1), 0);
	cr_assert_eq(sock_listen(two, 1), -EADDRINUSE);
	cr_assert_eq(two->sk_state, TCP_CLOSE);
	sock_close(one);
	cr_assert_eq(sock_listen(two, 1), 0);
	end();
}

/* What counts is what they say when the other one comes, not when they came. */
Test(tcp_port, test_bind_asks_what_the_others_say_now)
{
	struct sock *lp, *sk;

	bench_begin(&b, NULL, 512);
	lp = listener(NO, 0, PORT);
	cr_assert_eq(try_bind(PORT_, PORT), -EADDRINUSE);
	reuse(lp, PORT_);
	sk = listener(PORT_, 0, PORT);
	reuse(lp, ADDR);
	cr_assert_eq(try_bind(BOTH, PORT), -EADDRINUSE);
	sock_close(lp);
	cr_assert_eq(try_bind(BOTH, PORT), 0);
	reuse(sk, NO);
	cr_assert_eq(try_bind(BOTH, PORT), -EADDRINUSE);
	end();
}

/* A bound port stays until the socket is closed, one that a connect chose until the connection
 * ends. */
Test(tcp_port, test_bound_port_outlives_the_connection)
{
	bench_begin(&b, NULL, 512);
	for (unsigned i = 0; i < 2; i++) {
		if (i)
			has_connect(NO);
		else
			has_bound_connect(NO);
		bench_turn(&b, 1000);
		conn_init(&c, &b, PORT, 80, &seg_full);
		c.sk = &list_first_entry(&b.st->tcp->all, struct tcp_sock, all_link)->sk;
		expect_get(&c, SYN, conn_tp(&c)->iss, 0, 0, &seg);
		c.irs = seg.seq;
		peer(&c, .flags = RST | ACK, .seq = 0, .ack = 1);
		assert_state(&c, TCP_CLOSE);
		cr_assert_eq(try_bind(NO, PORT), i ? 0 : -EADDRINUSE);
		sock_close(c.sk);
		cr_assert_eq(try_bind(NO, PORT), 0);
	}
	end();
}

/* ---- ports that are chosen ---- */

/* Linux: a bind that allows others still keeps connects away; a connect only its own 4-tuple. */
Test(tcp_port, test_connect_leaves_bound_ports_alone)
{
	struct stack_config cfg;
	struct sock *sk, *again;

	stack_config_init(&cfg);
	cfg.port_range[0] = 40000;
	cfg.port_range[1] = 40001;
	bench_begin(&b, &cfg, 512);
	sk = bound(BOTH, 40000);
	cr_assert_eq(dial(again = fresh(BOTH), 80), -EINPROGRESS);
	cr_assert_eq(again->sk_local.port, 40001);
	cr_assert_eq(dial(fresh(BOTH), 80), -EADDRNOTAVAIL);
	again = fresh(NO);
	cr_assert_eq(dial(again, 81), -EINPROGRESS);
	cr_assert_eq(again->sk_local.port, 40001);
	sock_close(sk);
	cr_assert_eq(dial(again = fresh(NO), 80), -EINPROGRESS);
	cr_assert_eq(again->sk_local.port, 40000);
	end();
}

Test(tcp_port, test_listen_on_port_0_gets_one_that_nobody_has)
{
	struct stack_config cfg;
	struct sock *lp;

	stack_config_init(&cfg);
	cfg.port_range[0] = 40000;
	cfg.port_range[1] = 40002;
	bench_begin(&b, &cfg, 512);
	(void)bound(BOTH, 40000);
	cr_assert_eq(dial(fresh(BOTH), 80), -EINPROGRESS);
	lp = listener(BOTH, 0, 0);
	cr_assert(lp->sk_local.port > 40000);
	cr_assert_eq(try_bind(ADDR, lp->sk_local.port), -EADDRINUSE);
	lp = bound(BOTH, 0);
	cr_assert_eq(sock_listen(lp, 1), -EADDRINUSE, "exhausted");
	end();
}

/* A port that a connect chose went with the connection: who listens next gets one of its own. */
Test(tcp_port, test_listen_after_a_refused_connect_gets_a_port)
{
	struct sock *sk;

	bench_begin(&b, NULL, 512);
	b.st->cfg.port_range[0] = b.st->cfg.port_range[1] = PORT;
	sk = c.sk = bound(NO, 0);
	cr_assert_eq(dial(sk, 80), -EINPROGRESS);
	bench_turn(&b, 1000);
	conn_init(&c, &b, PORT, 80, &seg_full);
	c.sk = sk;
	expect_get(&c, SYN, conn_tp(&c)->iss, 0, 0, &seg);
	c.irs = seg.seq;
	peer(&c, .flags = RST | ACK, .seq = 0, .ack = 1);
	cr_assert_eq(sock_error(sk), -ECONNREFUSED);
	b.st->cfg.port_range[0] = b.st->cfg.port_range[1] = PORT + 1;
	cr_assert_eq(sock_listen(sk, 1), 0);
	cr_assert_eq(try_bind(NO, sk->sk_local.port), -EADDRINUSE);
	end();
}

/* ---- several listeners ---- */

enum { NR = 4, CLIENTS = 400 };

/* The SYN of a client from its own port; who answered is found by its half-open request. */
static unsigned knock(struct sock *const *lp, uint16_t fport)
{
	uint32_t before[NR];
	unsigned who = NR;

	for (unsigned i = 0; i < NR; i++)
		before[i] = lp[i] ? tcp_sk(lp[i])->nr_reqs : 0;
	half_open(&c, &b, fport, &seg_full, &seg);
	for (unsigned i = 0; i < NR; i++)
		if (lp[i] && tcp_sk(lp[i])->nr_reqs != before[i])
			who = i;
	cr_assert_lt(who, NR);
	peer(&c, .flags = RST, .seq = 1);
	return who;
}

/* reuseport_select_sock: by a hash of the 4-tuple, so that each client comes back to the same
 * one. */
Test(tcp_port, test_reuseport_listeners_share_clients)
{
	unsigned got[NR] = {0}, who[CLIENTS];
	struct sock *lp[NR];

	bench_begin(&b, NULL, 512);
	for (unsigned i = 0; i < NR; i++)
		lp[i] = listener(PORT_, 0, PORT);
	for (unsigned i = 0; i < CLIENTS; i++)
		got[who[i] = knock(lp, (uint16_t)(4000 + i))]++;
	for (unsigned i = 0; i < NR; i++)
		cr_assert(got[i] > CLIENTS / NR / 2 && got[i] < CLIENTS / NR * 2, "%u: %u", i,
			  got[i]);
	for (unsigned i = 0; i < CLIENTS; i++)
		cr_assert_eq(knock(lp, (uint16_t)(4000 + i)), who[i]);
	sock_close(lp[2]);
	lp[2] = NULL;
	for (unsigned i = 0; i < CLIENTS; i++)
		cr_assert_neq(knock(lp, (uint16_t)(4000 + i)), 2);
	end();
}

/* compute_score: who listens on the address itself gets all that come there. */
Test(tcp_port, test_listener_on_the_address_goes_before_any)
{
	struct sock *lp[NR] = {NULL};

	bench_begin(&b, NULL, 512);
	for (unsigned i = 0; i < 2; i++) {
		lp[i] = listener(PORT_, 0, PORT);
		lp[2 + i] = listener(PORT_, SEG_OUR, PORT);
	}
	for (unsigned i = 0; i < 40; i++)
		cr_assert_geq(knock(lp, (uint16_t)(4000 + i)), 2);
	sock_close(lp[2]);
	sock_close(lp[3]);
	lp[2] = lp[3] = NULL;
	for (unsigned i = 0; i < 40; i++)
		cr_assert_lt(knock(lp, (uint16_t)(4000 + i)), 2);
	end();
}

/* The stamp of the last cookie is the group's (reuseport_cb's synq_overflow_ts): its ACK may come
 * to another listener than the SYN did. */
Test(tcp_port, test_reuseport_cookie_is_believed_by_who_is_left)
{
	struct stack_config cfg;
	struct conn clients[8];
	struct sock *lp[2];

	stack_config_init(&cfg);
	cfg.syncookies = 2;
	bench_begin(&b, &cfg, 512);
	lp[0] = listener(PORT_, 0, PORT);
	for (uint16_t i = 0; i < ARRAY_SIZE(clients); i++)
		half_open(&clients[i], &b, 4000 + i, &seg_full, &seg);
	lp[1] = listener(PORT_, 0, PORT);
	for (unsigned i = 0; i < ARRAY_SIZE(clients); i++)
		peer(&clients[i], .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(tcp_sk(lp[1])->overflow_ns, 0, "it sent none");
	cr_assert_gt(tcp_sk(lp[1])->ack_backlog, 0);
	cr_assert_eq(stack_stats(b.st)->tcp_syncookies_recv, ARRAY_SIZE(clients));
	end();
}

/* The group's, and nobody's beside it: a port of the same bucket sent none. */
Test(tcp_port, test_cookie_of_another_port_is_not_believed)
{
	struct stack_config cfg;
	struct sock *lp, *other;

	stack_config_init(&cfg);
	cfg.syncookies = 2;
	bench_begin(&b, &cfg, 512);
	other = listener(PORT_, 0, PORT + TCP_LISTEN_BUCKETS);
	lp = listener(PORT_, 0, PORT);
	half_open(&c, &b, 4000, &seg_full, &seg);
	cr_assert(tcp_cookie_due(tcp_sk(lp)));
	cr_assert(!tcp_cookie_due(tcp_sk(other)));
	end();
}
