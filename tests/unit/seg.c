/* SPDX-License-Identifier: BSD-3-Clause */
/* The bench of seg.h: frames built and taken apart, the clock, the handshakes. */
#include "seg.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/tcp_check.h"

#define ARP_OFF_OP  (ETH_HLEN + 6)
#define ARP_OFF_TPA (ETH_HLEN + 24)

static bool frame_is(const struct fake_frame *fr, uint16_t proto)
{
	return fr->b[12] == proto >> 8 && fr->b[13] == (proto & 0xff);
}

/* Answers whoever asks for any neighbour, if that is not mute. */
static void answer_arp(struct bench *b, unsigned from)
{
	for (unsigned i = from; i != b->f->nr_out; i++) {
		const struct fake_frame *fr = &b->f->out[i % FAKE_FRAMES];
		uint8_t a[FAKE_FRAME_MAX];
		uint32_t tpa;

		if (!frame_is(fr, ETH_P_ARP) || fr->b[ARP_OFF_OP + 1] != 1)
			continue;
		memcpy(&tpa, fr->b + ARP_OFF_TPA, 4);
		if (tpa == SEG_OUR || (b->strangers_mute && tpa != SEG_PEER))
			continue;
		fake_inject(b->f, a,
			    frame_arp(a, fake_mac, 2, fake_peer_mac, tpa, fake_mac, SEG_OUR));
	}
}

static void one_turn(struct bench *b)
{
	const struct tcp_sock *tp;
	const char *why;

	(void)stack_rx(b->st, b->now, 1024);
	(void)stack_timers(b->st, b->now);
	(void)stack_output(b->st, b->now);
	why = b->no_check ? NULL : tcp_check_stack(b->st, &tp);
	cr_assert_null(why, "broken: %s", why);
}

void bench_turn(struct bench *b, uint64_t ns)
{
	unsigned from = b->f->nr_out;

	b->now += ns;
	one_turn(b);
	answer_arp(b, from);
	for (int i = 0; i < 32 && (b->f->in_head != b->f->in_tail || stack_has_output(b->st)); i++)
		one_turn(b);
}

void bench_run(struct bench *b, uint64_t ns)
{
	uint64_t end = b->now + ns;

	while (b->now < end) {
		uint64_t next = stack_next_timer(b->st);

		if (!next || next > end)
			next = end;
		if (next <= b->now)
			next = b->now + 1000;
		bench_turn(b, next - b->now);
	}
}

void bench_begin(struct bench *b, const struct stack_config *cfg, unsigned nr_skbs)
{
	struct stack_config c;

	memset(b, 0, sizeof(*b));
	if (cfg)
		c = *cfg;
	else
		stack_config_init(&c);
	if (!c.seed[0]) /* the default */
		memset(c.seed, 42, sizeof(c.seed));
	b->now = 5 * NSEC_PER_SEC;
	b->pool = skb_heap_pool_create(nr_skbs, 2048);
	b->f = calloc(1, sizeof(*b->f));
	cr_assert(b->pool && b->f);
	fake_netdev_init(b->f, NETDEV_F_TX_SG);
	cr_assert_eq(stack_create(&c, b->pool, &b->st), 0);
	(void)stack_rx(b->st, b->now, 1);
	cr_assert_eq(stack_attach(b->st, &b->f->dev, 0, SEG_OUR, 24, 0), 0);
	bench_turn(b, 1000);
	b->seen = b->f->nr_out;
}

void bench_end(struct bench *b)
{
	stack_destroy(b->st);
	cr_assert_eq(b->pool->ops->avail(b->pool), b->pool->nr, "%u of %u skbs came back",
		     b->pool->ops->avail(b->pool), b->pool->nr);
	skb_pool_destroy(b->pool);
	free(b->f);
}

uint64_t bench_drops(const struct bench *b, enum skb_drop_reason r)
{
	return stack_stats(b->st)->drops[r];
}

void seg_inject(struct conn *c, const struct seg *s)
{
	uint8_t frame[FAKE_FRAME_MAX];

	fake_inject(c->b->f, frame, seg_build(c, s, frame));
}

/* ---- what was sent ---- */

bool bench_next(struct bench *b, const struct conn *rel, struct seg *s)
{
	for (; b->seen != b->f->nr_out; b->seen++) {
		const struct fake_frame *fr = &b->f->out[b->seen % FAKE_FRAMES];
		const char *why;

		if (!seg_is_tcp(fr->b, fr->len))
			continue;
		why = seg_parse(fr->b, fr->len, rel, s);
		cr_assert_null(why, "we sent a segment with %s", why);
		b->seen++;
		return true;
	}
	return false;
}

void bench_drain(struct bench *b)
{
	b->seen = b->f->nr_out;
}

static const char *seg_text(const struct seg *s, char *buf, size_t n)
{
	snprintf(buf, n, "%s%s%s%s%s seq %u ack %u len %u win %d sacks %u",
		 s->flags & SYN ? "S" : "", s->flags & FIN ? "F" : "", s->flags & RST ? "R" : "",
		 s->flags & PSH ? "P" : "", s->flags & ACK ? "." : "", s->seq, s->ack, s->len,
		 s->win, s->nr_sacks);
	return buf;
}

void __seg_expect(struct conn *c, int line, unsigned flags, uint32_t seq, uint32_t ack,
		  unsigned len, struct seg *ret)
{
	struct seg s = {0};
	char got[128], want[128];

	if (!bench_next(c->b, c, &s))
		cr_assert(false,
			  "line %d: nothing was sent; flags %#x seq %u ack %u len %u expected",
			  line, flags, seq, ack, len);
	cr_assert(
		(s.flags & ~PSH) == (flags & ~PSH) && s.seq == seq && s.ack == ack &&
			s.len == len && s.dport == c->fport,
		"line %d: sent %s; expected %s", line, seg_text(&s, got, sizeof(got)),
		seg_text(&(struct seg){.flags = (uint8_t)flags, .seq = seq, .ack = ack, .len = len},
			 want, sizeof(want)));
	if (!(s.flags & (SYN | RST)))
		for (unsigned i = 0; i < len; i++)
			cr_assert_eq(s.bytes[i], seg_pattern(seq + i), "line %d: byte %u", line,
				     seq + i);
	if (s.ts)
		c->tsecr = s.tsval;
	if (ret)
		*ret = s;
}

void __seg_expect_none(struct bench *b, int line)
{
	struct seg s;
	char buf[128];

	if (bench_next(b, NULL, &s))
		cr_assert(false, "line %d: sent %s; nothing expected", line,
			  seg_text(&s, buf, sizeof(buf)));
}

/* ---- handshakes ---- */

struct sock *bench_listen(struct bench *b, uint16_t port, unsigned backlog)
{
	struct sk_addr any = {.family = SK_AF_INET, .port = port};
	struct sock *lp;

	cr_assert_eq(sock_create(b->st, SK_AF_INET, &lp), 0);
	cr_assert_eq(sock_bind(lp, &any), 0);
	cr_assert_eq(sock_listen(lp, backlog), 0);
	return lp;
}

void conn_init(struct conn *c, struct bench *b, uint16_t lport, uint16_t fport,
	       const struct seg_peer *p)
{
	*c = (struct conn){.b = b,
			   .peer_ip = SEG_PEER,
			   .lport = lport,
			   .fport = fport,
			   .iss = p->iss ? p->iss : 1000,
			   .win = p->win,
			   .tsval = 70000};
}

void conn_syn(struct conn *c, const struct seg_peer *p)
{
	uint8_t o[40];
	unsigned n = seg_syn_options(c, p, o);

	peer(c, .flags = SYN, .opt = o, .optlen = n);
}

/* Our ISS of a fresh half-open connection, moved to where the test wants it. */
static void place_iss(struct conn *c, const struct seg_peer *p)
{
	struct tcp_node *n = tcp_lookup(c->b->st->tcp, SEG_OUR, c->peer_ip, c->lport, c->fport);

	cr_assert(n && n->kind == TCP_NODE_REQ);
	container_of(n, struct tcp_req, node)->iss = p->our_iss_end - 1;
	c->irs = p->our_iss_end - 1;
}

void conn_passive(struct conn *c, struct bench *b, struct sock *lp, uint16_t fport,
		  const struct seg_peer *p)
{
	struct seg s;

	conn_init(c, b, lp->sk_local.port, fport, p);
	conn_syn(c, p);
	do
		cr_assert(bench_next(b, NULL, &s), "no SYN-ACK");
	while (s.flags != (SYN | ACK) || s.dport != fport);
	c->irs = s.seq;
	c->tsecr = s.tsval;
	c->ts = p->ts && s.ts;
	if (p->our_iss_end)
		place_iss(c, p);
	peer(c, .flags = ACK, .seq = 1, .ack = 1);
	/* a test that attacks at random may have opened others before */
	for (c->sk = NULL; !c->sk || c->sk->sk_peer.port != fport;) {
		if (c->sk)
			sock_close(c->sk);
		cr_assert_eq(sock_accept(lp, &c->sk), 0, "%u skbs free, rmem %lu of %lu",
			     b->pool->ops->avail(b->pool), b->st->tcp->rmem_total,
			     b->st->tcp->rmem_limit);
	}
	assert_state(c, TCP_ESTABLISHED);
}

void conn_active(struct conn *c, struct bench *b, const struct seg_peer *p, struct seg *ret)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = SEG_PORT, .v4 = SEG_PEER};

	conn_init(c, b, 0, SEG_PORT, p);
	cr_assert_eq(sock_create(b->st, SK_AF_INET, &c->sk), 0);
	cr_assert_eq(sock_connect(c->sk, &to), -EINPROGRESS);
	c->lport = c->sk->sk_local.port;
	if (p->our_iss_end) {
		struct tcp_sock *tp = conn_tp(c);
		struct sk_buff *syn = skb_peek(&c->sk->sk_write_queue);

		tp->iss = tp->snd_una = tp->snd_nxt = p->our_iss_end - 1;
		syn->tcp.seq = tp->iss;
		syn->tcp.end_seq = tp->write_seq = tp->iss + 1;
	}
	bench_turn(b, 1000);
	do
		cr_assert(bench_next(b, NULL, ret), "no SYN");
	while (ret->flags != SYN);
	c->irs = ret->seq;
	c->tsecr = ret->tsval;
	assert_state(c, TCP_SYN_SENT);
}

void conn_synack(struct conn *c, const struct seg_peer *p)
{
	uint8_t o[40];
	unsigned n = seg_syn_options(c, p, o);

	peer(c, .flags = SYN | ACK, .seq = 0, .ack = 1, .opt = o, .optlen = n);
}

void conn_opened(struct conn *c, struct bench *b, const struct seg_peer *p)
{
	struct seg s;

	conn_active(c, b, p, &s);
	conn_synack(c, p);
	c->ts = p->ts && s.ts;
	expect(c, ACK, 1, 1, 0);
	assert_state(c, TCP_ESTABLISHED);
}

ssize_t conn_write(struct conn *c, uint32_t off, unsigned n)
{
	uint8_t buf[65536];

	cr_assert_leq(n, sizeof(buf));
	for (unsigned i = 0; i < n; i++)
		buf[i] = seg_pattern(off + i);
	return sock_send(c->sk, buf, n);
}

ssize_t conn_read(struct conn *c, uint32_t off)
{
	uint8_t buf[4096];
	ssize_t n, all = 0;

	while ((n = sock_recv(c->sk, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			cr_assert_eq(buf[i], seg_pattern(off + (uint32_t)(all + i)), "byte %zd",
				     all + i);
		all += n;
	}
	return all || n == -EAGAIN ? all : n;
}
