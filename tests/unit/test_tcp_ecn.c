/* SPDX-License-Identifier: BSD-3-Clause */
/* ECN (RFC 3168) and DCTCP (RFC 8257): handshake, marks, echoes and reductions. */
#include "seg.h"

#define MSS  1000u
#define RTT  (20 * SEG_MS)
#define ECT0 IP_ECN_ECT0
#define CE   IP_ECN_CE

static const uint8_t opt_sack[] = {2, 4, MSS >> 8, MSS & 0xff, 1, 1, 4, 2};

static void begin(struct bench *b, uint8_t ecn)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	cfg.ecn = ecn;
	bench_begin(b, &cfg, 1024);
}

/* A passive open whose SYN has `flags` and is marked `tos`; returns the flags of our SYN-ACK. */
static uint8_t open_in(struct bench *b, struct conn *c, struct sock *lp, uint8_t flags, uint8_t tos)
{
	const struct seg_peer p = {.mss = MSS, .wscale = -1, .win = 65535, .sack = true};
	struct seg s;

	conn_init(c, b, SEG_PORT, 4000, &p);
	peer(c, .flags = SYN | flags, .opt = opt_sack, .optlen = sizeof(opt_sack), .tos = tos);
	do
		cr_assert(bench_next(b, NULL, &s));
	while (!(s.flags & SYN));
	cr_assert_eq(s.tos & IP_ECN_MASK, 0, "6.1.1: no ECT on a SYN-ACK");
	c->irs = s.seq;
	peer(c, .flags = ACK, .seq = 1, .ack = 1);
	cr_assert_eq(sock_accept(lp, &c->sk), 0);
	return s.flags;
}

static void estab(struct bench *b, struct conn *c, const char *cc)
{
	struct sock *lp;

	begin(b, TCP_ECN_ACCEPT);
	lp = bench_listen(b, SEG_PORT, 8);
	if (cc)
		tcp_cong_set(tcp_sk(lp), tcp_cong_find(cc));
	cr_assert_eq(open_in(b, c, lp, ECE | CWR, 0), SYN | ACK | ECE);
	cr_assert(conn_tp(c)->ecn_ok);
	conn_tp(c)->srtt_us8 = conn_tp(c)->min_rtt_us = 0;
	tcp_rtt_sample(conn_tp(c), RTT);
}

static uint32_t at(unsigned n)
{
	return 1 + n * MSS;
}

/* n segments leave: new ones, so each has ECT(0); the first says CWR if cwr. */
static void send_full(struct conn *c, unsigned from, unsigned n, bool cwr)
{
	struct seg s;

	cr_assert_eq(conn_write(c, at(from), n * MSS), n * MSS);
	bench_turn(c->b, 1000);
	for (unsigned i = 0; i < n; i++) {
		expect_get(c, ACK | (cwr && !i ? CWR : 0), at(from + i), 1, MSS, &s);
		cr_assert_eq(s.tos, ECT0);
	}
	expect_none(c->b);
}

/* ---- handshake, RFC 3168 6.1.1 ---- */

Test(tcp_ecn, test_ecn_3168_passive_agrees_only_to_both_bits)
{
	static const struct {
		uint8_t ecn, flags, tos, answer;
	} cases[] = {
		{TCP_ECN_ACCEPT, ECE | CWR, 0, ECE}, {TCP_ECN_ASK, ECE | CWR, 0, ECE},
		{TCP_ECN_OFF, ECE | CWR, 0, 0},      {TCP_ECN_ACCEPT, ECE, 0, 0},
		{TCP_ECN_ACCEPT, CWR, 0, 0},         {TCP_ECN_ACCEPT, 0, 0, 0},
		{TCP_ECN_ACCEPT, ECE | CWR, CE, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b;
		struct conn c;

		begin(&b, cases[i].ecn);
		cr_assert_eq(open_in(&b, &c, bench_listen(&b, SEG_PORT, 8), cases[i].flags,
				     cases[i].tos),
			     SYN | ACK | cases[i].answer, "case %u", i);
		cr_assert_eq(conn_tp(&c)->ecn_ok, cases[i].answer != 0);
		bench_end(&b);
	}
}

/* Our SYN: conn_active() takes what has SYN alone. */
static void open_out(struct bench *b, struct conn *c, uint8_t syn, struct seg *s)
{
	const struct seg_peer p = {.mss = MSS, .wscale = -1, .win = 65535, .sack = true};
	struct sk_addr to = {.family = SK_AF_INET, .port = SEG_PORT, .v4 = SEG_PEER};

	conn_init(c, b, 0, SEG_PORT, &p);
	cr_assert_eq(sock_create(b->st, SK_AF_INET, &c->sk), 0);
	cr_assert_eq(sock_connect(c->sk, &to), -EINPROGRESS);
	c->lport = c->sk->sk_local.port;
	bench_turn(b, 1000);
	do
		cr_assert(bench_next(b, NULL, s));
	while (!(s->flags & SYN));
	cr_assert_eq(s->flags, syn);
	c->irs = s->seq;
}

Test(tcp_ecn, test_ecn_3168_active_asks_if_told_to)
{
	static const struct {
		uint8_t ecn, syn, synack;
		bool ok;
	} cases[] = {
		{TCP_ECN_ASK, SYN | ECE | CWR, ECE, true},
		{TCP_ECN_ASK, SYN | ECE | CWR, 0, false},
		{TCP_ECN_ASK, SYN | ECE | CWR, ECE | CWR, false},
		{TCP_ECN_ACCEPT, SYN, ECE, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench b;
		struct conn c;
		struct seg s;

		begin(&b, cases[i].ecn);
		open_out(&b, &c, cases[i].syn, &s);
		peer(&c, .flags = SYN | ACK | cases[i].synack, .seq = 0, .ack = 1, .opt = opt_sack,
		     .optlen = sizeof(opt_sack));
		assert_state(&c, TCP_ESTABLISHED);
		cr_assert_eq(conn_tp(&c)->ecn_ok, cases[i].ok, "case %u", i);
		bench_end(&b);
	}
}

Test(tcp_ecn, test_ecn_3168_6_1_1_1_second_syn_does_not_ask)
{
	struct bench b;
	struct conn c;
	struct seg s;

	begin(&b, TCP_ECN_ASK);
	open_out(&b, &c, SYN | ECE | CWR, &s);
	bench_run(&b, 1100 * SEG_MS);
	cr_assert(bench_next(&b, &c, &s));
	cr_assert_eq(s.flags, SYN);
	bench_end(&b);
}

/* ---- the receiver's side ---- */

Test(tcp_ecn, test_ecn_3168_6_1_3_ce_is_echoed_until_cwr)
{
	struct bench b;
	struct conn c;
	struct seg s;

	estab(&b, &c, NULL);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100, .tos = ECT0);
	expect_get(&c, ACK, 1, 101, 0, &s);
	cr_assert_eq(s.tos & IP_ECN_MASK, 0, "6.1.4: no ECT on a bare ACK");
	peer(&c, .flags = ACK, .seq = 101, .ack = 1, .len = 100, .tos = CE);
	expect(&c, ACK | ECE, 1, 201, 0);
	peer(&c, .flags = ACK, .seq = 201, .ack = 1, .len = 100, .tos = ECT0);
	expect(&c, ACK | ECE, 1, 301, 0);
	/* CWR ends it; a segment that is marked itself begins anew */
	peer(&c, .flags = ACK | CWR, .seq = 301, .ack = 1, .len = 100, .tos = ECT0);
	expect(&c, ACK, 1, 401, 0);
	peer(&c, .flags = ACK | CWR, .seq = 401, .ack = 1, .len = 100, .tos = CE);
	expect(&c, ACK | ECE, 1, 501, 0);
	bench_end(&b);
}

Test(tcp_ecn, test_ecn_marks_mean_nothing_where_not_agreed)
{
	struct bench b;
	struct conn c;
	struct seg s;

	begin(&b, TCP_ECN_ACCEPT);
	(void)open_in(&b, &c, bench_listen(&b, SEG_PORT, 8), 0, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100, .tos = CE);
	expect(&c, ACK, 1, 101, 0);
	cr_assert_eq(conn_write(&c, 1, MSS), MSS);
	bench_turn(&b, 1000);
	expect_get(&c, ACK, 1, 101, MSS, &s);
	cr_assert_eq(s.tos, 0);
	peer(&c, .flags = ACK | ECE, .seq = 101, .ack = 1 + MSS);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	bench_end(&b);
}

/* ---- the sender's side ---- */

Test(tcp_ecn, test_ecn_3168_6_1_2_one_reduction_a_window_told_by_cwr)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;

	estab(&b, &c, "reno");
	tp = conn_tp(&c);
	send_full(&c, 0, 10, false);
	bench_run(&b, RTT);
	peer(&c, .flags = ACK | ECE, .seq = 1, .ack = at(1));
	cr_assert_eq(tp->ca_state, TCP_CA_CWR);
	cr_assert_eq(tp->snd_ssthresh, 5 * MSS);
	for (unsigned i = 2; i <= 10; i++)
		peer(&c, .flags = ACK | ECE, .seq = 1, .ack = at(i));
	cr_assert_eq(tp->snd_ssthresh, 5 * MSS);
	send_full(&c, 10, 5, true);
	bench_run(&b, RTT);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(15));
	cr_assert_eq(tp->ca_state, TCP_CA_OPEN);
	cr_assert_leq(tp->snd_cwnd, 6 * MSS);
	cr_assert_eq(tp->delivered_ce, 10);
	/* the next window may be reduced again */
	send_full(&c, 15, 4, false);
	peer(&c, .flags = ACK | ECE, .seq = 1, .ack = at(16));
	cr_assert_eq(tp->ca_state, TCP_CA_CWR);
	bench_end(&b);
}

Test(tcp_ecn, test_ecn_3168_6_1_5_retransmission_is_not_ect)
{
	struct bench b;
	struct conn c;
	struct seg s;

	estab(&b, &c, "reno");
	send_full(&c, 0, 10, false);
	bench_run(&b, RTT);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .nr_sacks = 1, .sack = {at(1), at(4)});
	expect_get(&c, ACK, 1, 1, MSS, &s);
	cr_assert_eq(s.tos, 0);
	bench_end(&b);
}

/* ---- DCTCP ---- */

Test(tcp_ecn, test_dctcp_8257_3_2_change_of_marking_is_acknowledged_at_once)
{
	struct bench b;
	struct conn c;
	uint32_t seq = 1;

	estab(&b, &c, "dctcp");
	conn_tp(&c)->quickack = 0;
	conn_tp(&c)->rcv_mss = MSS;
	/* delayed: one segment is not acknowledged yet */
	peer(&c, .flags = ACK, .seq = seq, .ack = 1, .len = 100, .tos = ECT0);
	expect_none(&b);
	/* a marked one: first an ACK for what came before, without ECE; then its own */
	peer(&c, .flags = ACK, .seq = seq + 100, .ack = 1, .len = 100, .tos = CE);
	expect(&c, ACK, 1, 101, 0);
	expect(&c, ACK | ECE, 1, 201, 0);
	/* more of the same may be delayed */
	peer(&c, .flags = ACK, .seq = seq + 200, .ack = 1, .len = 100, .tos = CE);
	expect_none(&b);
	/* CWR means nothing here; the end of the marks does */
	peer(&c, .flags = ACK | CWR, .seq = seq + 300, .ack = 1, .len = 100, .tos = ECT0);
	expect(&c, ACK | ECE, 1, 301, 0);
	expect(&c, ACK, 1, 401, 0);
	bench_end(&b);
}

/* Windows of ten segments of which `marked` are echoed; returns ssthresh of a reduction now. */
static uint32_t dctcp_windows(unsigned windows, unsigned marked)
{
	struct bench b;
	struct conn c;
	struct tcp_sock *tp;
	uint32_t ret;

	estab(&b, &c, "dctcp");
	tp = conn_tp(&c);
	for (unsigned w = 0; w < windows; w++) {
		for (unsigned i = 0; i < 10; i++) {
			tp->snd_una = tp->snd_nxt; /* each window ends with its last ACK */
			if (i < 9)
				tp->snd_una -= 1;
			tp->ca->in_ack_event(tp, MSS, i < marked);
			if (i == 8)
				tp->snd_nxt += 1;
		}
	}
	tp->snd_una = tp->snd_nxt = tp->write_seq;
	tp->snd_cwnd = 100 * MSS;
	ret = tp->ca->ssthresh(tp) / MSS;
	bench_end(&b);
	return ret;
}

Test(tcp_ecn, test_dctcp_8257_3_3_reduces_by_the_share_of_marks)
{
	cr_assert_eq(dctcp_windows(0, 0), 50, "alpha begins at 1: as a loss");
	cr_assert_geq(dctcp_windows(200, 0), 99);
	cr_assert_eq(dctcp_windows(200, 10), 50);
	cr_assert_float_eq((double)dctcp_windows(200, 5), 75, 2);
	cr_assert_float_eq((double)dctcp_windows(200, 2), 90, 2);
}

/* The share is that of the bytes that ACKs with ECE acknowledge. */
Test(tcp_ecn, test_dctcp_8257_3_3_acks_tell_the_share)
{
	struct bench b;
	struct conn c;
	uint32_t *alpha;

	estab(&b, &c, "dctcp");
	alpha = (uint32_t *)conn_tp(&c)->ca_priv;
	*alpha = 0;
	conn_tp(&c)->snd_cwnd = 12 * MSS;
	send_full(&c, 0, 12, false);
	/* all of a window, g = 1/16; the handshake's ACK was of one byte */
	peer(&c, .flags = ACK | ECE, .seq = 1, .ack = at(10));
	cr_assert_eq(*alpha, 1024 / 16 - 1, "%u", *alpha);
	/* what was out then is the next one */
	peer(&c, .flags = ACK, .seq = 1, .ack = at(11));
	cr_assert_eq(*alpha, 63);
	peer(&c, .flags = ACK, .seq = 1, .ack = at(12));
	cr_assert_eq(*alpha, 63 - 63 / 16, "none of it");
	bench_end(&b);
}

Test(tcp_ecn, test_dctcp_8257_3_5_loss_halves)
{
	struct bench b;
	struct conn c;

	estab(&b, &c, "dctcp");
	conn_tp(&c)->snd_cwnd = 20 * MSS;
	*(uint32_t *)conn_tp(&c)->ca_priv = 0; /* alpha: nothing was marked */
	send_full(&c, 0, 20, false);
	bench_run(&b, RTT);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .nr_sacks = 1, .sack = {at(1), at(4)});
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_RECOVERY);
	cr_assert_eq(conn_tp(&c)->snd_ssthresh, 10 * MSS);
	bench_end(&b);
}
