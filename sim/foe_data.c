/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows B20, B21, B28, B31 and B32: data out of order, twice, too old, too late. RFC 9293, 7323,
 * 6191. */
#include "sim/foe.h"

#define QUIET (300 * NSEC_PER_MSEC)

/* at - len bytes of the stream at seq, or garbage. */
static void at(struct foe_conn *c, uint32_t seq, unsigned len, bool garbage)
{
	foe_send(c, .flags = ACK, .seq = seq, .ack = c->got, .len = len, .garbage = garbage);
}

/* arrives - the prey's program has got all up to c->nxt. */
static bool arrives(struct foe_conn *c)
{
	(void)foe_until(c->f, c->guest->rcvd >= c->nxt - 1 || c->guest->over, 5 * NSEC_PER_SEC);
	return c->guest->rcvd == c->nxt - 1;
}

/* fill - the stream up to `end` once more, in pieces, until it is there. */
static void fill(struct foe_conn *c, uint32_t end)
{
	for (unsigned tries = 0; tries < 20 && !arrives(c); tries++) {
		const struct tcp_sock *tp = foe_tp(c);
		uint32_t seq = tp ? tp->rcv_nxt - c->iss : end;

		for (; before(seq, end); seq += 500) {
			at(c, seq, min_t(uint32_t, 500, end - seq), false);
			foe_settle(c->f);
		}
	}
	foe_must(c->f, c->guest->rcvd == end - 1, "all bytes come through, each once");
}

void foe_b20(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	const struct tcp_sock *tp;
	uint32_t n, base;

	if (!foe_open(c))
		return;
	foe_works(c);
	base = c->nxt;
	n = min_t(uint32_t, foe_room(c), (uint32_t)sim_between(&f->rng, 500, 4000));
	for (uint32_t i = n; i-- > 1;) {
		at(c, base + i, 1, false);
		tp = i % 64 ? NULL : foe_tp(c);
		foe_never(f, tp && tp->sk.sk_rmem_alloc > tp->sk.sk_rcvbuf + tp->sk.sk_rcvbuf / 4,
			  "single bytes hold more than SO_RCVBUF");
	}
	foe_settle(f);
	foe_never(f, c->guest->rcvd >= base, "bytes behind a hole are delivered");
	c->nxt = base + n;
	fill(c, c->nxt);
	foe_works(c);
}

/* kept - does the prey's out-of-order queue hold all from `from` to `to`, relative? */
static bool kept(const struct foe_conn *c, uint32_t from, uint32_t to)
{
	const struct tcp_sock *tp = foe_tp(c);
	const struct sk_buff *skb;
	uint32_t seq = c->iss + from;

	if (!tp)
		return false;
	skb_queue_walk (&tp->ofo_queue, skb)
		if (!after(skb->tcp.seq, seq) && after(skb->tcp.end_seq, seq))
			seq = skb->tcp.end_seq;
	return !before(seq, c->iss + to);
}

void foe_b21(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	uint32_t b;

	if (!foe_open(c))
		return;
	for (unsigned i = 0; i < 5; i++) {
		if (!foe_until(f, foe_room(c) >= 300, NSEC_PER_SEC))
			return;
		b = c->nxt;
		/* good bytes lie out of order; bad ones overlap their front, their end, all */
		at(c, b + 100, 50, false);
		at(c, b + 130, 20, true);
		at(c, b + 100, 50, true);
		at(c, b + 250, 50, false);
		at(c, b + 150, 100, false);
		at(c, b + 110, 190, true);
		foe_settle(f);
		/* of a prey without memory, only what it kept came first */
		if (foe_tp(c) && foe_tp(c)->rcv_nxt - c->iss == b && kept(c, b + 100, b + 300)) {
			/* what fills the hole may be bad as well where good bytes wait */
			foe_send(c, .flags = ACK, .seq = b, .ack = c->got, .len = i & 1 ? 300 : 100,
				 .bad = {b + 100, i & 1 ? b + 300 : 0});
			c->nxt = b + 300;
			foe_must(f, arrives(c), "the first copy of each byte comes through");
			/* old bytes once more are not new ones */
			at(c, b, 300, true);
		}
		foe_settle(f);
		if (!foe_alive(c) || c->guest->rcvd != c->nxt - 1)
			return;
	}
	foe_works(c);
}

void foe_b28(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	const struct tcp_sock *tp;
	uint32_t recent, acks;

	if (!foe_open(c) || !c->ts)
		return;
	foe_works(c);
	foe_sleep(QUIET);
	tp = foe_tp(c);
	if (!tp)
		return;
	recent = tp->ts_recent;
	acks = c->acks;
	foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->got, .len = 10, .garbage = true,
		 .tsval = recent - 1 - (uint32_t)sim_between(&f->rng, 0, 1u << 30));
	foe_settle(f);
	foe_must(f, c->acks == acks + 1, "PAWS answers by an ACK");
	/* from the future, but beyond the window, or with a bad ACK, or behind a hole */
	foe_send(c, .flags = ACK, .seq = c->nxt + foe_room(c) + 100000, .ack = c->got, .len = 10,
		 .garbage = true, .tsval = recent + (1u << 30));
	foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->got + 777777, .len = 10, .garbage = true,
		 .tsval = recent + (1u << 30));
	if (foe_room(c) >= 60)
		foe_send(c, .flags = ACK, .seq = c->nxt + 50, .ack = c->got, .len = 10,
			 .tsval = recent + (1u << 29));
	foe_settle(f);
	tp = foe_tp(c);
	foe_never(f, tp && tp->ts_recent != recent,
		  "an unacceptable segment moves the timestamp's clock");
	foe_never(f, c->guest->rcvd >= c->nxt, "PAWS lets an old segment in");
	/* missing: taken, as Linux does; jumping: the new time is the time */
	foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->got, .len = 50, .no_ts = true);
	c->nxt += 60;
	fill(c, c->nxt);
	c->tsval += 1u << 30;
	foe_works(c);
}

/* ---- B31, B32: the end ---- */

/* fin_comes - the prey's FIN, which is acknowledged. */
static bool fin_comes(struct foe_conn *c)
{
	if (!foe_until(c->f, c->fins, 20 * NSEC_PER_SEC))
		return false;
	foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->got + 1);
	foe_settle(c->f);
	return true;
}

void foe_b31(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	uint32_t acks;

	if (!foe_open(c))
		return;
	foe_works(c);
	if (foe_room(c) < 300)
		return;
	/* beyond the FIN, before it is in order; the FIN with a gap */
	at(c, c->nxt + 200, 50, true);
	foe_send(c, .flags = FIN | ACK, .seq = c->nxt + 50, .ack = c->got, .len = 50);
	foe_settle(f);
	foe_never(f, c->guest->eof, "a FIN behind a hole ends the stream");
	at(c, c->nxt, 50, false);
	c->nxt += 100;
	if (!arrives(c))
		foe_send(c, .flags = FIN | ACK, .seq = c->nxt - 100, .ack = c->got, .len = 100);
	foe_must(f, arrives(c) && foe_until(f, c->guest->over, NSEC_PER_SEC) && c->guest->eof,
		 "the FIN ends the stream");
	foe_never(f, foe_tp(c) && foe_tp(c)->ofo_queue.qlen, "what is behind the FIN is kept");
	c->nxt++;
	for (unsigned i = 0; i < 10; i++) {
		acks = c->acks + c->fins;
		if (i % 2)
			foe_send(c, .flags = FIN | ACK, .seq = c->nxt - i % 4 / 2, .ack = c->got);
		else
			at(c, c->nxt, 50, true);
		foe_settle(f);
		foe_sleep(sim_between(&f->rng, 1, 600) * NSEC_PER_MSEC);
		foe_must(f, c->acks + c->fins != acks || !foe_tp(c),
			 "what comes behind a FIN is answered by an ACK");
	}
	foe_never(f, c->guest->rcvd > c->nxt - 2, "data behind a FIN is delivered");
	(void)fin_comes(c);
}

static bool in_time_wait(const struct foe_conn *c)
{
	const struct tcp_node *n =
		tcp_lookup(c->f->prey->st->tcp, c->f->prey->ip, c->addr, c->lport, c->port);

	return n && n->kind == TCP_NODE_TW;
}

/* reopen - a new connection takes TIME-WAIT's place (RFC 1122 4.2.2.13, 6191). */
static void reopen(struct foe_conn *c)
{
	struct foe_guest *g = c->guest;
	uint32_t was = c->irs;

	*g = (struct foe_guest){0};
	c->iss += c->nxt + 100000;
	c->tsval += 10000;
	c->nxt = c->got = c->top = c->ack_sent = 1;
	c->known = false;
	c->ack = c->acks = c->rsts = c->fins = 0;
	if (!foe_open(c))
		return;
	foe_never(c->f, !after(c->irs, was), "the new ISN is not above the old one's");
	foe_works(c);
}

void foe_b32(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	uint32_t acks;

	c->guest->read = 50;
	if (!foe_open(c))
		return;
	foe_works(c);
	if (!fin_comes(c))
		return;
	foe_send(c, .flags = FIN | ACK, .seq = c->nxt, .ack = c->got + 1);
	c->nxt++;
	foe_settle(f);
	foe_must(f, in_time_wait(c), "who closes first waits (TIME-WAIT)");
	if (!in_time_wait(c))
		return;
	foe_sleep(QUIET);
	acks = c->acks;
	for (unsigned i = 0; i < 50; i++)
		at(c, 1, 10, false);
	foe_settle(f);
	foe_must(f, c->acks != acks, "old data is answered by an ACK");
	foe_never(f, c->acks - acks > 4, "each old segment is answered");
	foe_send(c, .flags = RST, .seq = c->nxt);
	foe_send(c, .flags = RST | ACK, .seq = c->nxt, .ack = c->got + 1);
	foe_settle(f);
	/* RFC 1337 */
	foe_must(f, in_time_wait(c), "a RST does not end TIME-WAIT");
	if (in_time_wait(c))
		reopen(c);
}
