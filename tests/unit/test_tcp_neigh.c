/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Floods of SYNs from on-link addresses where nobody lives: our SYN-ACKs cannot be sent, but
 * the neighbours of sockets stay reachable and sockets find new ones.
 */
#include <errno.h>

#include "seg_calls.h"
#include "stack/arp.h"

enum { NR = 32 };

static void begin(struct bench *b)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	cfg.max_neigh = NR;
	bench_begin(b, &cfg, 4096);
	b->strangers_mute = true;
	b->no_check = true;
}

/* SYNs from 200 hosts, fast enough that all their entries would wait at once. */
static void flood(struct bench *b, uint16_t fport)
{
	struct conn s;

	for (uint8_t i = 0; i < 200; i++) {
		conn_init(&s, b, SEG_PORT, fport, &seg_full);
		s.peer_ip = fake_ip(10, 0, 0, 10 + i);
		peer(&s, .flags = SYN);
	}
	bench_drain(b);
}

static const struct neigh *neigh_of(const struct bench *b, uint32_t ip)
{
	for (uint32_t i = 0; i < NR; i++)
		if (b->st->arp->entries[i].state != NEIGH_FREE && b->st->arp->entries[i].ip == ip)
			return &b->st->arp->entries[i];
	return NULL;
}

/* Its peer speaks and is acknowledged, our user speaks and is heard, long before the flood's
 * entries are given up. */
static void both_ways(struct conn *c, uint32_t *at)
{
	c->tsval++;
	peer(c, .flags = ACK, .seq = *at, .ack = *at, .len = 10);
	bench_turn(c->b, 41 * SEG_MS);
	expect(c, ACK, *at, *at + 10, 0);
	cr_assert_eq(conn_write(c, *at, 10), 10);
	bench_turn(c->b, 1000);
	expect(c, ACK, *at, *at + 10, 10);
	*at += 10;
	c->tsval++;
	peer(c, .flags = ACK, .seq = *at, .ack = *at);
	cr_assert_eq(conn_read(c, *at - 10), 10);
	expect_none(c->b);
}

Test(tcp_neigh, test_neigh_syn_flood_idle_connection_goes_on)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	uint32_t at = 1;

	begin(&b);
	lp = bench_listen(&b, SEG_PORT, 4096);
	conn_passive(&c, &b, lp, 4000, &seg_full);
	/* REACHABLE, STALE, and forgotten because nobody sent by it for ten minutes */
	for (unsigned i = 0; i < 3; i++) {
		bench_drain(&b);
		flood(&b, 5000 + (uint16_t)i);
		both_ways(&c, &at);
		cr_assert(neigh_of(&b, SEG_PEER)->wanted);
		bench_run(&b, (i ? 700 : 40) * NSEC_PER_SEC);
	}
	cr_assert_null(neigh_of(&b, SEG_PEER));
	flood(&b, 6000);
	cr_assert_eq(conn_write(&c, at, 10), 10);
	bench_turn(&b, 1000);
	expect(&c, ACK, at, at, 10);
	cr_assert_gt(bench_drops(&b, SKB_DROP_NEIGH_TABLE_FULL), 0, "the strangers'");
	bench_end(&b);
}

/* A connection that came in and has not said a word yet. */
Test(tcp_neigh, test_neigh_of_silent_child_is_not_pushed_out)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	const struct neigh *n;

	begin(&b);
	lp = bench_listen(&b, SEG_PORT, 4096);
	flood(&b, 5000);
	conn_passive(&c, &b, lp, 4000, &seg_full);
	n = neigh_of(&b, SEG_PEER);
	cr_assert(n && n->wanted && n->state == NEIGH_REACHABLE);
	flood(&b, 5001);
	bench_run(&b, 40 * NSEC_PER_SEC);
	flood(&b, 5002);
	cr_assert_eq(neigh_of(&b, SEG_PEER), n);
	cr_assert_eq(n->state, NEIGH_STALE);
	bench_end(&b);
}

Test(tcp_neigh, test_neigh_syn_flood_dial_finds_its_way)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	uint32_t at = 1;

	begin(&b);
	lp = bench_listen(&b, SEG_PORT, 4096);
	flood(&b, 5000);
	conn_opened(&c, &b, &seg_full);
	bench_drain(&b);
	flood(&b, 5001);
	both_ways(&c, &at);
	sock_close(lp);
	bench_end(&b);
}

/* A dial to an address that a stranger has used already is told as any other. */
Test(tcp_neigh, test_neigh_dial_to_a_dead_strangers_address_fails)
{
	struct bench b;
	struct conn c, s;
	struct sock *lp;
	struct sk_addr to = {.family = SK_AF_INET, .port = 9, .v4 = fake_ip(10, 0, 0, 50)};

	begin(&b);
	lp = bench_listen(&b, SEG_PORT, 4096);
	conn_init(&s, &b, SEG_PORT, 4000, &seg_full);
	s.peer_ip = to.v4;
	peer(&s, .flags = SYN);
	cr_assert(neigh_of(&b, to.v4)->guest);
	cr_assert_eq(sock_create(b.st, SK_AF_INET, &c.sk), 0);
	listen_to(c.sk);
	cr_assert_eq(sock_connect(c.sk, &to), -EINPROGRESS);
	cr_assert(neigh_of(&b, to.v4)->wanted, "before its first packet");
	bench_run(&b, 5 * NSEC_PER_SEC);
	cr_assert_eq(calls.error, 1);
	cr_assert_eq(sock_error(c.sk), -EHOSTUNREACH);
	sock_close(c.sk);
	sock_close(lp);
	bench_end(&b);
}
