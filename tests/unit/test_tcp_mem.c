/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory under attack and under load (architecture.md rule 4): sockets that nobody reads, a
 * slow reader of tiny segments, a pool that is empty. Everything comes back in the end.
 */
#include "seg.h"

enum { NR = 1000 };

static struct conn conns[NR];

/* Peers of 1,000 sockets send all that they may, as full segments, until nobody gets more. */
static void fill(struct bench *b, unsigned nr)
{
	for (uint32_t round = 0; round < 12; round++)
		for (unsigned i = 0; i < nr; i++) {
			struct conn *c = &conns[i];
			uint32_t at = conn_tp(c)->rcv_nxt - c->iss;

			seg_inject(c,
				   &(struct seg){.flags = ACK, .seq = at, .ack = 1, .len = 1400});
			if (i % 64 == 63) {
				bench_turn(b, 1000);
				bench_drain(b);
			}
		}
	bench_turn(b, 1000);
	bench_drain(b);
}

Test(tcp_mem, test_mem_1000_unread_sockets_leave_room_for_a_new_one, .timeout = 30)
{
	struct bench b;
	struct conn c;
	struct sock *lp;
	unsigned shut = 0;

	bench_begin(&b, NULL, 4096);
	b.no_check = true;
	lp = bench_listen(&b, SEG_PORT, 8);
	for (uint16_t i = 0; i < NR; i++) {
		conn_passive(&conns[i], &b, lp, 4000 + i, &seg_full);
		bench_drain(&b);
	}
	fill(&b, NR);
	b.no_check = false;
	cr_assert_gt(b.st->tcp->rmem_total, b.st->tcp->rmem_limit, "they took what they could");
	cr_assert_gt(bench_drops(&b, SKB_DROP_TCP_RCVBUF), 0);
	/* new connections work at once, both ways, one after the other */
	for (uint16_t i = 0; i < 20; i++) {
		conn_passive(&c, &b, lp, 20000 + i, &seg_full);
		bench_drain(&b);
		for (uint32_t at = 1; at < 50000; at += 1000) {
			/* offered is what is kept, one buffer; and that again once it was read */
			cr_assert_geq(tcp_receive_window(conn_tp(&c)), 1000);
			cr_assert_lt(tcp_receive_window(conn_tp(&c)), 2 * 1400);
			peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = 1000);
			cr_assert_eq(conn_read(&c, at), 1000, "connection %u at %u", i, at);
			bench_turn(&b, 1000);
			bench_drain(&b);
		}
		bench_turn(&b, 50 * SEG_MS);
		bench_drain(&b);
		cr_assert_eq(conn_write(&c, 1, 1000), 1000);
		bench_turn(&b, 1000);
		expect(&c, ACK, 1, 50001, 1000);
		sock_abort(c.sk);
		bench_turn(&b, 1000);
		bench_drain(&b);
	}
	/* whoever was refused was told a window of zero, and hears when there is room */
	while (shut < NR && tcp_receive_window(conn_tp(&conns[shut])))
		shut++;
	cr_assert_lt(shut, NR);
	for (unsigned i = 0; i < NR; i++)
		cr_assert_geq(conn_read(&conns[i], 1), 0);
	bench_turn(&b, 1000);
	cr_assert_gt(tcp_receive_window(conn_tp(&conns[shut])), 1400);
	cr_assert_eq(b.st->tcp->rmem_total, 0);
	bench_end(&b);
}

Test(tcp_mem, test_mem_tiny_segments_pin_little)
{
	struct bench b;
	struct conn c;
	struct sock *lp;

	bench_begin(&b, NULL, 2048);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&c, &b, lp, 4000, &seg_plain);
	for (uint32_t i = 1; i <= 20000; i++) {
		peer(&c, .flags = ACK, .seq = i, .ack = 1, .len = 1);
		bench_drain(&b);
	}
	cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_RCVBUF), 0);
	cr_assert_lt(c.sk->sk_rmem_alloc, 2 * 20000);
	cr_assert_eq(conn_read(&c, 1), 20000);
	bench_end(&b);
}

static unsigned spaces;

static void on_space(struct sock *sk)
{
	(void)sk;
	spaces++;
}

Test(tcp_mem, test_mem_empty_pool_acks_leave_and_writers_wake)
{
	struct sk_buff *held[512];
	struct bench b;
	struct conn c, d;
	struct sock *lp;
	unsigned n = 0;

	bench_begin(&b, NULL, 512);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&c, &b, lp, 4000, &seg_plain);
	conn_passive(&d, &b, lp, 4001, &seg_plain);
	d.sk->sk_write_space = on_space;
	while (n < 512 && (held[n] = skb_alloc_reserved(&b.st->cache, 0)) != NULL)
		n++;
	cr_assert_lt(n, 512);
	/* the reserve lets segments in and ACKs out */
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	expect(&c, ACK, 1, 101, 0);
	cr_assert_eq(conn_read(&c, 1), 100);
	/* a user's payload has one buffer of it, and no second */
	cr_assert_lt(conn_write(&c, 1, 8000), 2100);
	bench_turn(&b, 1000);
	bench_drain(&b);
	while (n < 512 && (held[n] = skb_alloc(&b.st->cache, 0)) != NULL)
		n++;
	spaces = 0;
	cr_assert_eq(conn_write(&d, 1, 100), -EAGAIN);
	bench_turn(&b, 1000);
	cr_assert_eq(spaces, 0);
	while (n)
		skb_free(held[--n]);
	bench_turn(&b, 1000);
	bench_turn(&b, 1000);
	cr_assert_eq(spaces, 1, "the writer wakes without an ACK of its own");
	cr_assert_eq(conn_write(&d, 1, 100), 100);
	bench_turn(&b, 1000);
	expect(&d, ACK, 1, 1, 100);
	bench_end(&b);
}

/* 60 clients that sent and never read took the whole pool for their answers: new connections were
 * accepted and read, but never answered, and established ones hung as well. */
Test(tcp_mem, test_mem_peers_that_take_no_answers_leave_room_to_answer, .timeout = 30)
{
	enum { HOGS = 200 };
	struct conn good, fresh;
	struct bench b;
	struct sock *lp;

	bench_begin(&b, NULL, 4096);
	b.no_check = true;
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&good, &b, lp, 3999, &seg_full);
	for (uint16_t i = 0; i < HOGS; i++) {
		conn_passive(&conns[i], &b, lp, 4000 + i, &seg_full);
		peer(&conns[i], .flags = ACK, .seq = 1, .ack = 1, .win = -1);
		bench_drain(&b);
	}
	for (unsigned round = 0; round < 40; round++)
		for (unsigned i = 0; i < HOGS; i++)
			(void)conn_write(&conns[i], 1, 30000);
	b.no_check = false;
	bench_turn(&b, 1000);
	bench_drain(&b);
	cr_assert_gt(b.st->tcp->wmem_total, b.st->tcp->wmem_limit, "they took what they could");
	conn_passive(&fresh, &b, lp, 20000, &seg_full);
	bench_drain(&b);
	for (uint32_t at = 1; at < 20000; at += 1000) {
		struct conn *both[2] = {&good, &fresh};

		for (unsigned k = 0; k < 2; k++) {
			struct conn *c = both[k];

			peer(c, .flags = ACK, .seq = at, .ack = at, .len = 1000);
			cr_assert_eq(conn_read(c, at), 1000);
			bench_drain(&b);
			cr_assert_eq(conn_write(c, at, 1000), 1000, "at %u", at);
			bench_turn(&b, 1000);
			expect(c, ACK, at, at + 1000, 1000);
		}
	}
	bench_end(&b);
}

/* RFC 9293 3.8.6.2.2: what is offered is what the buffer takes, by whatever scale, and the peer may
 * send all of it. */
Test(tcp_mem, test_window_never_promises_more_than_the_buffer)
{
	static const int sizes[] = {8000, 30000, 200000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t at = 1, edge = 0;
		struct bench b;
		struct sock *lp;
		struct conn c;
		struct seg s;

		bench_begin(&b, NULL, 4096);
		lp = bench_listen(&b, SEG_PORT, 8);
		cr_assert_eq(sock_setopt_int(lp, SK_SOL_SOCKET, SK_SO_RCVBUF, sizes[i]), 0);
		conn_passive(&c, &b, lp, 4000, &seg_full);
		bench_drain(&b);
		/* nobody reads: until the window is full */
		do {
			uint32_t n = min_t(uint32_t, tcp_receive_window(conn_tp(&c)), 1400);

			if (!n)
				break;
			peer(&c, .flags = ACK, .seq = at, .ack = 1, .len = n);
			at += n;
			while (bench_next(&b, &c, &s)) {
				edge = s.ack + ((uint32_t)s.win << conn_tp(&c)->rcv_wscale);
				cr_assert_leq(edge, 2 * (uint32_t)sizes[i], "%u", edge);
			}
		} while (at < 1000000);
		cr_assert_geq(edge, (uint32_t)sizes[i] / 2);
		cr_assert_eq(bench_drops(&b, SKB_DROP_TCP_RCVBUF), 0);
		cr_assert_eq(conn_tp(&c)->rcv_nxt, c.iss + at, "all of it was taken");
		bench_end(&b);
	}
}

/* A SYN that met an empty pool was never sent: the timer probed with bare ACKs from SYN-SENT. */
Test(tcp_mem, test_mem_syn_without_a_buffer_leaves_when_there_is_one)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = 80, .v4 = SEG_PEER};
	struct sk_buff *held[512];
	struct bench b;
	struct sock *sk;
	unsigned n = 0, syns = 0;

	bench_begin(&b, NULL, 512);
	cr_assert_eq(sock_create(b.st, SK_AF_INET, &sk), 0);
	cr_assert_eq(sock_connect(sk, &to), -EINPROGRESS);
	while (n < 512 && (held[n] = skb_alloc(&b.st->cache, 0)) != NULL)
		n++;
	bench_turn(&b, 1000);
	while (n)
		skb_free(held[--n]);
	bench_run(&b, 2 * NSEC_PER_SEC);
	for (unsigned i = b.seen; i < b.f->nr_out; i++) {
		const struct tcphdr_ *th = (const void *)(b.f->out[i].b + ETH_HLEN + IP_HLEN);

		if (b.f->out[i].b[12] == 8 && b.f->out[i].b[13] == 0)
			syns += th->flags == TCPF_SYN;
	}
	bench_drain(&b);
	cr_assert_gt(syns, 0);
	sock_close(sk);
	bench_end(&b);
}

/* A path that took less and less: what the user wrote in a few buffers of 1,448 bytes becomes 23
 * times as many of 64, of a pool of 128. None was left to receive the ACKs with, and the lane was
 * deaf for ever. */
Test(tcp_mem, test_mem_small_pieces_leave_buffers_to_hear_the_acks)
{
	struct stack_config cfg;
	struct bench b;
	struct conn c;
	uint32_t off;

	stack_config_init(&cfg);
	cfg.mtu_probing = 1;
	bench_begin(&b, &cfg, 128);
	conn_opened(&c, &b, &seg_full);
	off = 1 + (uint32_t)conn_write(&c, 1, 40000);
	cr_assert_gt(off, 20000);
	b.no_check = true;
	for (unsigned i = 0; i < 300 && conn_tp(&c)->mss_cache > 64; i++) {
		bench_run(&b, 500 * SEG_MS);
		bench_drain(&b);
	}
	cr_assert_eq(conn_tp(&c)->mss_cache, 64);
	/* the path was asked wide before: an undo gives that back */
	conn_tp(&c)->snd_cwnd = conn_tp(&c)->snd_ssthresh = 1u << 20;
	for (unsigned i = 0; i < 3000 && conn_tp(&c)->snd_una != conn_tp(&c)->write_seq; i++) {
		const struct tcp_sock *tp = conn_tp(&c);

		cr_assert_leq(tp->sk.sk_write_queue.qlen, b.pool->nr - b.pool->reserve + 1,
			      "round %u", i);
		peer(&c, .flags = ACK, .seq = 1,
		     .ack = tp->snd_una - tp->iss + min_t(uint32_t, tcp_flight(tp), 64));
		bench_run(&b, 10 * SEG_MS);
		bench_drain(&b);
	}
	cr_assert_eq(conn_tp(&c)->snd_una, conn_tp(&c)->write_seq);
	b.no_check = false;
	bench_end(&b);
}
