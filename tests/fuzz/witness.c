/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a peer that remembers everything can tell of each segment that the stack sends: nothing is
 * acknowledged or SACKed that never came, nothing told of as doubled that came once, no window is
 * taken back, no FIN moves, no clock goes back, no segment is larger than the peer's MSS. Numbers
 * of earlier connections between the same ports are not forgotten, so it may believe too much.
 */
#include "fuzz.h"

#include "stack/tcp_fast.h"

static bool within(const struct fuzz_span *s, uint32_t seq)
{
	return seq - s->start < s->end - s->start;
}

static bool touches(const struct fuzz_span *a, const struct fuzz_span *b)
{
	return !after(a->start, b->end) && !after(b->start, a->end);
}

static void span_add(struct fuzz_spans *sp, struct fuzz_span s)
{
	for (unsigned i = 0; i < sp->nr;) {
		struct fuzz_span *o = &sp->s[i];

		if (!touches(o, &s)) {
			i++;
			continue;
		}
		if (before(o->start, s.start))
			s.start = o->start;
		if (after(o->end, s.end))
			s.end = o->end;
		*o = sp->s[--sp->nr];
		i = 0;
	}
	if (sp->nr == FUZZ_SPANS)
		sp->full = true;
	else
		sp->s[sp->nr++] = s;
}

/* span_missing - the first number of [start, end) that is in no span; end: all are. */
static uint32_t span_missing(const struct fuzz_spans *sp, uint32_t start, uint32_t end)
{
	unsigned i = 0;

	if (sp->full)
		return end;
	while (before(start, end) && i < sp->nr) {
		if (within(&sp->s[i], start)) {
			start = sp->s[i].end;
			i = 0;
		} else {
			i++;
		}
	}
	return before(start, end) ? start : end;
}

void fuzz_witness_in(struct fuzz_witness *w, const struct seg *s)
{
	struct fuzz_span in = {s->seq, s->seq + s->len + !!(s->flags & SYN) + !!(s->flags & FIN)};

	if (s->bad_csum || in.start == in.end)
		return;
	for (unsigned i = 0; i < w->once.nr; i++) {
		const struct fuzz_span *o = &w->once.s[i];
		struct fuzz_span both = {before(in.start, o->start) ? o->start : in.start,
					 after(in.end, o->end) ? o->end : in.end};

		if (touches(o, &in) && before(both.start, both.end))
			span_add(&w->twice, both);
	}
	w->twice.full |= w->once.full;
	span_add(&w->once, in);
}

static bool synchronised(unsigned state)
{
	return state != TCP_CLOSE && state != TCP_LISTEN && state != TCP_SYN_SENT &&
	       state != TCP_SYN_RECV;
}

/* sock_of - fc's connection, once both sides know each other's numbers; NULL: none. */
static const struct tcp_sock *sock_of(struct fuzz *z, const struct fuzz_conn *fc)
{
	const struct tcp_node *n =
		tcp_lookup(z->st->tcp, SEG_OUR, fc->c.peer_ip, fc->c.lport, fc->c.fport);
	const struct tcp_sock *tp;

	if (!n || n->kind != TCP_NODE_SOCK)
		return NULL;
	tp = container_of(n, const struct tcp_sock, node);
	return synchronised(tp->sk.sk_state) ? tp : NULL;
}

/* forget - what the stack sends next may be another connection's. */
static void forget(struct fuzz_witness *w)
{
	w->has_ack = w->has_edge = w->has_fin = w->has_ts = false;
}

void fuzz_witness_look(struct fuzz *z)
{
	for (unsigned i = 0; i < FUZZ_CONNS; i++) {
		struct fuzz_conn *fc = &z->conn[i];
		struct fuzz_witness *w = fc->w;
		const struct tcp_sock *tp;

		if (!w)
			continue;
		tp = sock_of(z, fc);
		/* by the ACK of a cookie another may have begun in the turn that ended the last */
		if (!tp || tp != w->tp || tp->sk.sk_seq != w->sk_seq)
			forget(w);
		w->tp = tp;
		w->sk_seq = tp ? tp->sk.sk_seq : 0;
		w->una = tp ? tp->snd_una : 0;
	}
}

/* A D-SACK: below the ACK, or within the block behind it (RFC 2883 4). */
static bool is_dsack(const struct seg *s)
{
	return before(s->sack[0], s->ack) || (s->nr_sacks > 1 && !before(s->sack[0], s->sack[2]) &&
					      !after(s->sack[1], s->sack[3]));
}

static void judge_sacks(const struct fuzz_witness *w, const struct tcp_sock *tp,
			const struct seg *s)
{
	for (unsigned i = 0; i < s->nr_sacks; i++) {
		uint32_t from = s->sack[2 * i], to = s->sack[2 * i + 1], miss;

		if (!i && is_dsack(s)) {
			/* bytes that would be older than the connection were a lie */
			miss = span_missing(&w->twice,
					    before(from, tp->irs + 1) ? tp->irs + 1 : from, to);
			if (miss != to)
				fuzz_fail("D-SACK %u to %u, but %u came once at most (RFC 2883 4)",
					  from, to, miss);
			continue;
		}
		miss = span_missing(&w->once, from, to);
		if (miss != to)
			fuzz_fail("SACK %u to %u, but %u never came (RFC 2018 4)", from, to, miss);
		if (!after(from, s->ack))
			fuzz_fail("SACK %u to %u is not above the ACK %u", from, to, s->ack);
		/* the first may be a D-SACK of a range whose block, the fifth, is not told */
		for (unsigned j = 1; j < i; j++)
			if (before(from, s->sack[2 * j + 1]) && after(to, s->sack[2 * j]))
				fuzz_fail("SACK blocks %u and %u overlap", j, i);
	}
}

static void judge_window(struct fuzz *z, struct fuzz_witness *w, const struct tcp_sock *tp,
			 const struct seg *s)
{
	uint32_t edge = s->ack + ((uint32_t)s->win << tp->rcv_wscale);

	/* RFC 9293 3.8.6; it closes where memory is short, and then begins anew */
	if (w->has_edge && before(edge, w->edge) && s->win && !z->hidden)
		fuzz_fail("a window was taken back: its end was %u, and is %u", w->edge, edge);
	w->edge = edge;
	w->has_edge = true;
}

static void judge_ts(struct fuzz_witness *w, const struct tcp_sock *tp, const struct seg *s)
{
	if (s->ts != tp->tstamp_ok)
		fuzz_fail("timestamps %s agreed on, and a segment with%s was sent (RFC 7323 3.2)",
			  tp->tstamp_ok ? "were" : "were not", s->ts ? " one" : "out");
	if (!s->ts)
		return;
	if (w->has_ts && before(s->tsval, w->tsval))
		fuzz_fail("our clock went back: %u, and now %u", w->tsval, s->tsval);
	if (w->has_ts && before(s->tsecr, w->tsecr))
		fuzz_fail("the echo went back: %u, and now %u", w->tsecr, s->tsecr);
	w->tsval = s->tsval;
	w->tsecr = s->tsecr;
	w->has_ts = true;
}

bool fuzz_late(const struct fuzz *z)
{
	return z->hidden || z->turns - z->asked <= 2;
}

static void judge_data(struct fuzz_witness *w, const struct tcp_sock *tp, const struct seg *s)
{
	uint32_t end = s->seq + s->len;

	if (s->len + s->optlen > tp->peer_mss)
		fuzz_fail("%u bytes and %u of options to a peer whose MSS is %u (RFC 6691)", s->len,
			  s->optlen, tp->peer_mss);
	if (after(end + !!(s->flags & FIN), tp->snd_nxt))
		fuzz_fail("%u was sent, but SND.NXT is %u", end, tp->snd_nxt);
	if (s->len && w->tp && !after(end, w->una))
		fuzz_fail("bytes below %u were sent again, which were acknowledged", end);
	if (w->has_fin && after(end, w->fin + !s->len))
		fuzz_fail("bytes up to %u were sent, and a FIN at %u before", end, w->fin);
	if (!(s->flags & FIN))
		return;
	if (w->has_fin && end != w->fin)
		fuzz_fail("a FIN was sent at %u, and now at %u", w->fin, end);
	w->fin = end;
	w->has_fin = true;
}

void fuzz_witness_out(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s)
{
	const struct tcp_sock *tp = sock_of(z, fc);
	struct fuzz_witness *w = fc->w;
	uint32_t miss;

	/* who ended in this turn may have a successor already, by the ACK of a cookie; s is
	 * whose? */
	if (!tp || s->flags & SYN || (w->tp && (tp != w->tp || tp->sk.sk_seq != w->sk_seq))) {
		forget(w);
		return;
	}
	/* of another connection, perhaps, with nearly the same numbers: by a cookie's ACK */
	if (fuzz_late(z)) {
		forget(w);
		return;
	}
	if (s->flags & RST) {
		if (w->tp)
			fuzz_fail("an RST was sent for a connection that goes on");
		return;
	}
	miss = span_missing(&w->once, tp->irs + 1, s->ack);
	if (miss != s->ack)
		fuzz_fail("%u was acknowledged, but %u never came", s->ack, miss);
	if (w->has_ack && before(s->ack, w->ack))
		fuzz_fail("the ACK went back: %u, and now %u", w->ack, s->ack);
	w->ack = s->ack;
	w->has_ack = true;
	judge_sacks(w, tp, s);
	judge_window(z, w, tp, s);
	judge_ts(w, tp, s);
	judge_data(w, tp, s);
}
