/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections under fuzz: both ends' bytes are a pattern of their sequence numbers, so that each
 * one that arrives, at our user or at the peer, is judged without a model of the connection.
 */
#include "fuzz.h"

/* The peers differ in what they offer. */
static const struct seg_peer peers[] = {
	{.mss = 1460, .wscale = 7, .ts = true, .sack = true, .win = 65535},
	{.mss = 1460, .wscale = -1, .win = 65535},
	{.mss = 536, .wscale = 0, .sack = true, .win = 4000},
	{.mss = 0, .wscale = 14, .ts = true, .win = 512},
	{.mss = 1, .wscale = 2, .ts = true, .sack = true, .win = 1},
	{.mss = 65535, .wscale = 3, .sack = true, .win = 0},
	{.mss = 100, .wscale = 7, .ts = true, .sack = true, .win = 300},
	{.mss = 1460, .wscale = 1, .sack = true, .win = 20000},
};

const struct seg_peer *fuzz_peer(unsigned i)
{
	return &peers[i % ARRAY_SIZE(peers)];
}

/* Our user's bytes and the peer's must not be the same, or one could pass for the other. */
static uint8_t our_byte(uint32_t seq)
{
	return (uint8_t)~seg_pattern(seq);
}

struct fuzz_conn *fuzz_find(struct fuzz *z, uint32_t ip, uint16_t fport, uint16_t lport)
{
	for (unsigned i = 0; i < FUZZ_CONNS; i++)
		if (z->conn[i].used && z->conn[i].c.peer_ip == ip && z->conn[i].c.fport == fport &&
		    z->conn[i].c.lport == lport)
			return &z->conn[i];
	return NULL;
}

static void nums_of_sock(struct fuzz_nums *n, const struct tcp_sock *tp)
{
	*n = (struct fuzz_nums){.rcv_nxt = tp->rcv_nxt,
				.rcv_edge = tp->rcv_wup + tp->rcv_wnd,
				.copied_seq = tp->copied_seq,
				.snd_una = tp->snd_una,
				.snd_nxt = tp->snd_nxt,
				.write_seq = tp->write_seq,
				.mss = tp->mss_cache};
}

const struct tcp_node *fuzz_conn_nums(struct fuzz *z, struct fuzz_conn *fc)
{
	struct fuzz_nums *n = &fc->nums;
	const struct tcp_node *node =
		tcp_lookup(z->st->tcp, SEG_OUR, fc->c.peer_ip, fc->c.lport, fc->c.fport);

	if (!node)
		return NULL;
	if (node->kind == TCP_NODE_SOCK) {
		nums_of_sock(n, container_of(node, struct tcp_sock, node));
	} else if (node->kind == TCP_NODE_REQ) {
		const struct tcp_req *req = container_of(node, struct tcp_req, node);

		n->rcv_nxt = n->copied_seq = req->irs + 1;
		n->rcv_edge = n->rcv_nxt + req->rcv_wnd;
		n->snd_una = req->iss;
		n->snd_nxt = n->write_seq = req->iss + 1;
	} else {
		const struct tcp_tw *tw = container_of(node, struct tcp_tw, node);

		n->rcv_nxt = n->copied_seq = tw->rcv_nxt;
		n->rcv_edge = tw->rcv_nxt + tw->rcv_wnd;
		n->snd_una = n->snd_nxt = n->write_seq = tw->snd_nxt;
	}
	return node;
}

/* of_another - s waited for its neighbour, and its connection's ports have another one by now. */
static bool of_another(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s)
{
	(void)fuzz_conn_nums(z, fc);
	return fuzz_late(z) &&
	       (before(s->seq, fc->nums.snd_una - 1) || after(s->seq, fc->nums.snd_nxt));
}

void fuzz_sent(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s)
{
	for (unsigned i = 0; i < s->len; i++)
		if (s->bytes[i] != our_byte(s->seq + i))
			fuzz_fail("byte %u of the stream to port %u is wrong", s->seq + i,
				  s->dport);
	if (!fc)
		return;
	if (s->ts)
		fc->c.tsecr = s->tsval;
	if (s->flags & SYN) {
		fc->nums.snd_una = s->seq;
		fc->nums.snd_nxt = fc->nums.write_seq = s->seq + 1;
		fc->c.ts = fc->peer->ts && s->ts;
		if (s->flags & ACK)
			fc->nums.rcv_nxt = fc->nums.rcv_edge = s->ack;
	}
	if (fc->w)
		fuzz_witness_out(z, fc, s);
	if (s->flags & SYN)
		return;
	/* RFC 9293 3.8.6: not beyond the window */
	if (s->len && fc->has_edge && after(s->seq + s->len, fc->edge) && !of_another(z, fc, s))
		fuzz_fail("%u bytes were sent to port %u beyond its window",
			  s->seq + s->len - fc->edge, fc->c.fport);
}

/* note_edge - s offers a window. What the stack believes at first is taken from it; from then on
 * the farthest edge of all segments counts, whether the stack takes them or not. */
static void note_edge(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s)
{
	const struct tcp_node *node = fuzz_conn_nums(z, fc);
	const struct tcp_sock *tp = NULL;
	uint32_t win = s->win < 0 ? 0 : s->win ? (uint32_t)s->win : fc->c.win;

	if (node && node->kind == TCP_NODE_SOCK)
		tp = container_of(node, struct tcp_sock, node);
	if (!tp || tp->sk.sk_state == TCP_SYN_SENT || tp->sk.sk_state == TCP_SYN_RECV ||
	    (s->flags & SYN)) {
		fc->has_edge = false;
		return;
	}
	if (!fc->has_edge) {
		/* what the stack has not seen yet may open it farther than it knows */
		if (z->f->in_tail != z->f->in_head || z->nr_away)
			return;
		fc->edge = tp->snd_una + tp->snd_wnd;
		/* what was sent before a window shrank may be sent again (RFC 9293 3.8.6, MAY-7) */
		if (after(tp->snd_nxt, fc->edge))
			fc->edge = tp->snd_nxt;
	}
	fc->has_edge = true;
	if (after(s->ack + (win << tp->snd_wscale), fc->edge))
		fc->edge = s->ack + (win << tp->snd_wscale);
}

void fuzz_seg_cut(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s, unsigned cut)
{
	static uint8_t frame[FAKE_FRAME_MAX];
	unsigned n;

	fc->c.tsval = 70000 + (uint32_t)(z->now / NSEC_PER_MSEC);
	note_edge(z, fc, s);
	if (fc->w)
		fuzz_witness_in(fc->w, s);
	fuzz_say(z->now, "port %u %s%s%s%s seq %u ack %u len %u win %d sacks %u opt %u",
		 fc->c.fport, s->flags & SYN ? "S" : "", s->flags & FIN ? "F" : "",
		 s->flags & RST ? "R" : "", s->flags & ACK ? "." : "", s->seq, s->ack, s->len,
		 s->win, s->nr_sacks, s->optlen);
	n = seg_build(&fc->c, s, frame);
	if (cut)
		fuzz_inject_cut(z, frame, n, cut);
	else
		fuzz_inject(z, frame, n, CHECKSUM_UNKNOWN);
}

void fuzz_seg(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s)
{
	fuzz_seg_cut(z, fc, s, 0);
}

/* ---- opening ---- */

void fuzz_listen(struct fuzz *z, unsigned backlog)
{
	struct sk_addr any = {.family = SK_AF_INET, .port = FUZZ_PORT};

	if (z->listener || sock_create(z->st, SK_AF_INET, &z->listener) < 0)
		return;
	if (sock_bind(z->listener, &any) < 0 || sock_listen(z->listener, backlog) < 0) {
		sock_close(z->listener);
		z->listener = NULL;
	}
}

static struct fuzz_conn *conn_begin(struct fuzz *z, unsigned i, const struct seg_peer *p,
				    uint16_t lport, uint16_t fport)
{
	struct fuzz_conn *fc = &z->conn[i % FUZZ_CONNS];

	if (fc->c.sk)
		sock_close(fc->c.sk);
	*fc = (struct fuzz_conn){.used = true, .peer = p};
	if (!z->blind)
		fc->w = &z->witness[!lport][i % FUZZ_CONNS];
	fc->c.peer_ip = SEG_PEER;
	fc->c.lport = lport;
	fc->c.fport = fport;
	fc->c.win = p->win;
	fc->c.tsval = 70000 + (uint32_t)(z->now / NSEC_PER_MSEC);
	return fc;
}

struct fuzz_conn *fuzz_syn(struct fuzz *z, unsigned i, const struct seg_peer *p, uint32_t isn)
{
	struct fuzz_conn *fc = conn_begin(z, i, p, FUZZ_PORT, (uint16_t)(2000 + i % FUZZ_CONNS));
	uint8_t o[40];
	struct seg s = {.flags = z->ecn ? SYN | ECE | CWR : SYN, .seq = isn, .opt = o};

	fc->nums.rcv_nxt = isn + 1;
	s.optlen = seg_syn_options(&fc->c, p, o);
	fuzz_seg(z, fc, &s);
	return fc;
}

void fuzz_accept(struct fuzz *z)
{
	struct sock *sk;

	if (!z->listener || sock_accept(z->listener, &sk) < 0)
		return;
	for (unsigned i = 0; i < FUZZ_CONNS; i++) {
		struct fuzz_conn *fc = &z->conn[i];

		if (fc->used && !fc->c.sk && fc->c.fport == sk->sk_peer.port &&
		    fc->c.peer_ip == sk->sk_peer.v4) {
			fc->c.sk = sk;
			return;
		}
	}
	sock_close(sk);
}

struct fuzz_conn *fuzz_passive(struct fuzz *z, unsigned i, const struct seg_peer *p, uint32_t isn)
{
	struct fuzz_conn *fc = fuzz_syn(z, i, p, isn);

	fuzz_turn(z, 1000);
	fuzz_ack(z, fc, 0, fc->nums.snd_nxt, 0);
	fuzz_turn(z, 1000);
	fuzz_accept(z);
	return fc;
}

struct fuzz_conn *fuzz_connect(struct fuzz *z, unsigned i, const struct seg_peer *p)
{
	struct sk_addr to = {
		.family = SK_AF_INET, .port = (uint16_t)(3000 + i % FUZZ_CONNS), .v4 = SEG_PEER};
	struct sk_addr from = {.family = SK_AF_INET, .port = i & 1 ? 0 : 5000};
	struct fuzz_conn *fc = conn_begin(z, i, p, 0, to.port);
	struct sock *sk;

	if (sock_create(z->st, SK_AF_INET, &sk) < 0)
		return fc;
	if (z->bind)
		(void)!sock_bind(sk, &from);
	if (sock_connect(sk, &to) != -EINPROGRESS) {
		sock_close(sk);
		return fc;
	}
	fc->c.sk = sk;
	fc->c.lport = sk->sk_local.port;
	if (fc->w && fc->w->lport != fc->c.lport) {
		memset(fc->w, 0, sizeof(*fc->w));
		fc->w->lport = fc->c.lport;
	}
	return fc;
}

struct fuzz_conn *fuzz_active(struct fuzz *z, unsigned i, const struct seg_peer *p, uint32_t isn)
{
	struct fuzz_conn *fc = fuzz_connect(z, i, p);
	uint8_t o[40];
	struct seg s = {.flags = z->ecn ? SYN | ACK | ECE : SYN | ACK, .seq = isn, .opt = o};

	fuzz_turn(z, 1000);
	s.ack = fc->nums.snd_nxt;
	s.optlen = seg_syn_options(&fc->c, p, o);
	fuzz_seg(z, fc, &s);
	fuzz_turn(z, 1000);
	return fc;
}

/* ---- the user and the peer at work ---- */

void fuzz_write(struct fuzz *z, struct fuzz_conn *fc, unsigned n, bool more)
{
	static uint8_t buf[65536];
	ssize_t took;

	if (!fc->c.sk)
		return;
	n = min_t(unsigned, n, sizeof(buf));
	for (unsigned i = 0; i < n; i++)
		buf[i] = our_byte(tcp_sk(fc->c.sk)->write_seq + i);
	took = more ? sock_send_more(fc->c.sk, buf, n) : sock_send(fc->c.sk, buf, n);
	fuzz_say(z->now, "write to port %u: %zd of %u", fc->c.fport, took, n);
	if (took > (ssize_t)n)
		fuzz_fail("%zd of %u bytes were taken", took, n);
}

void fuzz_read(struct fuzz *z, struct fuzz_conn *fc, unsigned n)
{
	static uint8_t buf[65536];
	uint32_t seq;
	ssize_t got;

	if (!fc->c.sk)
		return;
	seq = tcp_sk(fc->c.sk)->copied_seq;
	got = sock_recv(fc->c.sk, buf, min_t(unsigned, n, sizeof(buf)));
	fuzz_say(z->now, "read from port %u: %zd of %u", fc->c.fport, got, n);
	for (ssize_t i = 0; i < got; i++)
		if (buf[i] != seg_pattern(seq + (uint32_t)i))
			fuzz_fail("byte %u of the stream from port %u is wrong", seq + (uint32_t)i,
				  fc->c.fport);
	if (got > 0 && tcp_sk(fc->c.sk)->copied_seq != seq + (uint32_t)got)
		fuzz_fail("%zd bytes read, but copied_seq moved otherwise", got);
}

void fuzz_ack(struct fuzz *z, struct fuzz_conn *fc, uint8_t flags, uint32_t ack, unsigned len)
{
	const struct seg s = {
		.flags = flags | ACK, .seq = fc->nums.rcv_nxt, .ack = ack, .len = len};

	fuzz_seg(z, fc, &s);
}
