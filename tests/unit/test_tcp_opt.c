/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options: tables for the reader and the writer, random bytes for the reader; and random
 * segments, half of them mutations of decent ones, against sockets in every state. Seeds are
 * printed. RFC 9293 3.2, 7323, 2018.
 */
#include "seg.h"

#include <stdlib.h>

static uint64_t rnd_state;

static uint32_t rnd(void)
{
	rnd_state = rnd_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rnd_state >> 33);
}

/* An skb over heap bytes of exactly the header's size, so that ASan sees one byte too far. */
static void parse(const uint8_t *opt, unsigned n, bool syn, struct tcp_options *o)
{
	uint8_t *hdr = malloc(TCP_HLEN + n);
	struct sk_buff skb = {.head = hdr, .tcp = {.hdr_len = (uint16_t)(TCP_HLEN + n)}};

	cr_assert_not_null(hdr);
	memcpy(hdr + TCP_HLEN, opt, n);
	tcp_parse_options(&skb, o, syn);
	free(hdr);
}

Test(tcp_opt, test_opt_parse_table)
{
	struct tcp_options o;

	parse((const uint8_t[]){2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, 20,
	      true, &o);
	cr_assert(o.mss == 1460 && o.wscale_ok && o.snd_wscale == 7 && o.sack_ok);
	cr_assert(o.saw_tstamp && o.ts_val == 1 && o.ts_ecr == 2);
	parse((const uint8_t[]){2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 1, 1}, 12, false, &o);
	cr_assert(!o.mss && !o.wscale_ok && !o.sack_ok, "SYN only (B27)");
	parse((const uint8_t[]){3, 3, 15, 1}, 4, true, &o);
	cr_assert_eq(o.snd_wscale, 14);
	parse((const uint8_t[]){2, 4, 1, 1, 2, 4, 2, 2}, 8, true, &o);
	cr_assert_eq(o.mss, 0x202, "the last of doubled ones");
	parse((const uint8_t[]){0, 2, 4, 1}, 4, true, &o);
	cr_assert_eq(o.mss, 0, "nothing after the end");
	parse((const uint8_t[]){4, 2, 2, 5}, 4, true, &o);
	cr_assert(o.sack_ok && !o.mss, "what was read before a bad length stays");
	parse((const uint8_t[]){1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9}, 12, false, &o);
	cr_assert(o.nr_sacks == 1 && o.sack[0].start == 1 && o.sack[0].end == 9);
	parse((const uint8_t[12]){5, 11}, 12, false, &o);
	cr_assert_eq(o.nr_sacks, 0, "odd length");
	parse((const uint8_t[]){0}, 0, true, &o);
	cr_assert(!o.mss && !o.saw_tstamp);
}

Test(tcp_opt, test_opt_write_order_is_linux)
{
	struct tcp_options o = {.mss = 1460,
				.tstamp_ok = true,
				.sack_ok = true,
				.wscale_ok = true,
				.ts_val = 1,
				.ts_ecr = 2};
	static const uint8_t all[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
					0, 1, 0, 0,    0, 2, 1, 3,  3, 7};
	static const uint8_t no_ts[12] = {2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7};
	uint8_t p[TCP_MAX_OPT];

	cr_assert_eq(tcp_write_syn_options(p, &o, 7), 20);
	cr_assert_arr_eq(p, all, 20);
	o.tstamp_ok = false;
	cr_assert_eq(tcp_write_syn_options(p, &o, 7), 12);
	cr_assert_arr_eq(p, no_ts, 12);
	o.sack_ok = o.wscale_ok = false;
	cr_assert_eq(tcp_write_syn_options(p, &o, 7), 4);
}

Test(tcp_opt, test_opt_random_bytes_are_survived)
{
	rnd_state = 0x5eed;
	for (unsigned i = 0; i < 200000; i++) {
		struct tcp_options o;
		uint8_t b[40];
		unsigned n = 4 * (rnd() % 11);

		for (unsigned k = 0; k < n; k++)
			b[k] = (uint8_t)(rnd() & 1 ? rnd() % 12 : rnd());
		parse(b, n, rnd() & 1, &o);
		cr_assert(o.nr_sacks <= TCP_MAX_SACKS && o.snd_wscale <= TCP_MAX_WSCALE);
	}
}

/* ---- random segments ---- */

enum { NR_CONNS = 24 };

struct zoo {
	struct bench b;
	struct sock *lp;
	struct conn c[NR_CONNS];
	uint16_t port;
};

/* One connection, led to some state. */
static void zoo_fresh(struct zoo *z, struct conn *c)
{
	struct seg_peer p = rnd() & 1 ? seg_full : seg_plain;
	struct seg s;

	p.our_iss_end = rnd() & 1 ? 0 : (rnd() & 1 ? 0x7fffff00u : 0xffffff00u) + rnd() % 512;
	if (!p.our_iss_end)
		p.our_iss_end = 1;
	p.iss = rnd() & 1 ? 0xfffffe00u + rnd() % 256 : rnd() | 1;
	bench_drain(&z->b);
	if (rnd() % 4 == 0) {
		conn_active(c, &z->b, &p, &s);
		return;
	}
	conn_passive(c, &z->b, z->lp, z->port++, &p);
	if (rnd() & 1)
		(void)conn_write(c, 1, 1 + rnd() % 20000);
	if (rnd() & 1)
		peer(c, .flags = ACK | FIN, .seq = 1, .ack = 1);
	if (c->sk->sk_state != TCP_CLOSE && rnd() & 1)
		(void)sock_shutdown(c->sk, SEND_SHUTDOWN);
	bench_turn(&z->b, 1000);
}

/* A number near one of the connection's edges, mostly. */
static uint32_t near(uint32_t edge)
{
	switch (rnd() % 6) {
	case 0:
		return edge;
	case 1:
		return edge + rnd() % 3000 - 1500;
	case 2:
		return edge + 1 - rnd() % 3;
	case 3:
		return edge + (rnd() & 0xffff);
	case 4:
		return edge + 0x80000000u - 2 + rnd() % 4;
	default:
		return edge;
	}
}

static void zoo_attack(struct zoo *z, struct conn *c)
{
	static const uint8_t flags[] = {ACK, ACK, ACK,       ACK | PSH, ACK | FIN,
					RST, SYN, SYN | ACK, RST | ACK, 0};
	const struct tcp_sock *tp = conn_tp(c);
	struct seg s = {.flags = rnd() % 20 ? flags[rnd() % 10] : (uint8_t)rnd(),
			.seq = near(tp->rcv_nxt - c->iss),
			.ack = near((rnd() & 1 ? tp->snd_una : tp->snd_nxt) - c->irs),
			.len = rnd() & 1 ? 0 : rnd() % 1400,
			.win = (int)(rnd() % 70000) - 2000,
			.tsval = rnd() & 7 ? 0 : near(c->tsval),
			.nr_sacks = rnd() & 3 ? 0 : rnd() % 3};
	uint8_t frame[FAKE_FRAME_MAX];
	unsigned n;

	/* destructive flags are rare, or no connection would live long */
	if ((s.flags & (RST | SYN)) && rnd() % 4)
		s.flags = ACK;
	if (s.win < -1 || s.win > 65535)
		s.win = -1;
	for (unsigned i = 0; i < 2 * s.nr_sacks; i++)
		s.sack[i] = near(tp->snd_una - c->irs) + rnd() % 20000;
	n = seg_build(c, &s, frame);
	if (rnd() % 8 == 0) {
		unsigned at = ETH_HLEN + rnd() % (n - ETH_HLEN);

		/* not the source port: it may be that of a connection still to come */
		frame[at - ETH_HLEN - IP_HLEN < 2 ? at + 2 : at] ^= (uint8_t)(1u << rnd() % 8);
		if (rnd() & 1) {
			frame_ip_sum(frame);
			if (be16(frame_iph(frame)->tot_len) == n - ETH_HLEN &&
			    frame_iph(frame)->ver_ihl == 0x45)
				tcp_frame_sum(frame);
		}
	}
	fake_inject(z->b.f, frame, n);
}

static void zoo_user(struct zoo *z, struct conn *c)
{
	uint8_t buf[3000] = {0};

	(void)z;
	switch (rnd() % 6) {
	case 0:
		(void)!sock_send(c->sk, buf, rnd() % sizeof(buf));
		break;
	case 1:
		(void)sock_shutdown(c->sk, 1 + rnd() % 3);
		break;
	default:
		(void)!sock_recv(c->sk, buf, rnd() % sizeof(buf));
	}
}

static void zoo_run(uint64_t seed, unsigned segments)
{
	struct stack_config cfg;
	struct zoo z = {.port = 1024};
	struct seg s;

	cr_log_info("seed %lu", seed);
	rnd_state = seed;
	stack_config_init(&cfg);
	cfg.max_tw = 64;
	bench_begin(&z.b, &cfg, 4096);
	z.lp = bench_listen(&z.b, SEG_PORT, 64);
	for (unsigned i = 0; i < NR_CONNS; i++)
		zoo_fresh(&z, &z.c[i]);
	for (unsigned i = 0; i < segments; i++) {
		struct conn *c = &z.c[rnd() % NR_CONNS];

		if (c->sk->sk_state == TCP_CLOSE || rnd() % 500 == 0) {
			sock_close(c->sk);
			while (sock_accept(z.lp, &c->sk) == 0)
				sock_close(c->sk);
			zoo_fresh(&z, c);
		}
		zoo_attack(&z, c);
		if (rnd() % 16 == 0)
			zoo_user(&z, c);
		if (rnd() % 4 == 0)
			bench_turn(&z.b, rnd() % 64 ? 100000 : rnd() % 2000 * SEG_MS);
		bench_drain(&z.b);
	}
	for (unsigned i = 0; i < NR_CONNS; i++)
		sock_abort(z.c[i].sk);
	sock_close(z.lp);
	bench_run(&z.b, 3000 * NSEC_PER_SEC);
	while (bench_next(&z.b, NULL, &s))
		;
	cr_assert_eq(stack_stats(z.b.st)->socks_in_use, 0, "seed %lu", seed);
	cr_assert_eq(z.b.st->tcp->nr_nodes, 0);
	cr_assert_eq(z.b.st->tcp->rmem_total, 0);
	cr_assert_eq(z.b.st->wheel.armed, 0);
	bench_end(&z.b);
}

Test(tcp_opt, test_opt_random_segments_in_every_state_are_survived, .timeout = 60)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		zoo_run(seed, 20000);
}
