/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows B18, B19, B29 and B30: ACKs that lie, to one who sends. RFC 2018, 5681, 3465, 9293 3.8.6. */
#include "sim/foe.h"

#define PULL_TIME (300 * NSEC_PER_SEC)

/* sending - a connection over which the prey sends `bytes`, of which `first` came well. */
static struct foe_conn *sending(struct sim_foe *f, uint32_t bytes, uint32_t first)
{
	struct foe_conn *c = foe_conn(f);

	c->guest->write = bytes;
	if (!foe_open(c))
		return NULL;
	foe_settle(f);
	(void)foe_pull(c, first, 20 * NSEC_PER_SEC);
	return foe_tp(c) ? c : NULL;
}

/* all_comes - and every byte is right (foe_seg.c): nothing that was said of it did harm. */
static void all_comes(struct foe_conn *c)
{
	foe_must(c->f, foe_pull(c, c->guest->write, PULL_TIME), "all of its bytes come");
	foe_works(c);
}

/* bounded - what a sender holds is its buffer's size, and one segment more for each hole. */
static void bounded(const struct foe_conn *c)
{
	const struct tcp_sock *tp = foe_tp(c);

	foe_never(c->f, tp && tp->sk.sk_wmem_queued > 2u * tp->sk.sk_sndbuf + 65536,
		  "SACKs make its send queue grow");
}

/* holes - an ACK of nothing new, with as many blocks as fit: bits of the flight, alternating,
 * growing together in the course of time. */
static void holes(struct foe_conn *c, uint32_t una, unsigned round)
{
	uint32_t span = c->top - una, unit = 1 + (uint32_t)sim_between(&c->f->rng, 0, 1500);
	struct foe_seg s = {.flags = ACK, .seq = c->nxt, .ack = una, .nr_sacks = 3};

	if (span < 20)
		return;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t at = (uint32_t)sim_between(&c->f->rng, 1, span - 2);

		at -= at % (2 * unit);
		s.sack[0][i] = una + max_t(uint32_t, at, 1);
		s.sack[1][i] = una + min_t(uint32_t,
					   max_t(uint32_t, at, 1) + unit * (1 + round / 100), span);
		if (!before(s.sack[0][i], s.sack[1][i]))
			s.sack[0][i] = s.sack[1][i] - 1;
	}
	foe_emit(c, &s);
}

void foe_b18(struct sim_foe *f)
{
	unsigned rounds = (unsigned)sim_between(&f->rng, 100, 800);
	struct foe_conn *c = sending(f, (uint32_t)sim_between(&f->rng, 50000, 300000), 30000);
	uint32_t una, segs;

	if (!c)
		return;
	foe_sleep(50 * NSEC_PER_MSEC);
	una = c->ack_sent;
	segs = c->segs;
	for (unsigned i = 0; i < rounds && foe_alive(c); i++) {
		holes(c, una, i);
		if (sim_chance(&f->rng, 0.1))
			foe_sleep(sim_between(&f->rng, 0, 20 * NSEC_PER_MSEC));
		if (i % 64 == 0)
			bounded(c);
	}
	foe_settle(f);
	bounded(c);
	foe_never(f, c->segs - segs > 20 * rounds + 1000, "SACKs make it send without end");
	all_comes(c);
}

void foe_b19(struct sim_foe *f)
{
	struct foe_conn *c = sending(f, 100000, 3000);
	static const uint8_t odd[][12] = {{5, 9}, {5, 2}, {5, 3}, {1, 5, 255}, {5, 34}};
	const struct tcp_sock *tp;
	uint32_t una;

	if (!c)
		return;
	una = c->ack_sent;
	for (unsigned i = 0; i < 100 && (tp = foe_tp(c)) != NULL; i++) {
		uint32_t a = (uint32_t)sim_between(&f->rng, 1, 1u << 20), b = a;
		const uint32_t lies[][2] = {
			{una + 2000, una + 2000 - b % 2000},
			{una + b % 3000, una + b % 3000},
			{una - 3000 - b, una - 1500 - b},
			{una + 1500, tp->snd_nxt - tp->iss + b},
			{una + 1500, una + 1500 + (1u << 31)},
			{una + (1u << 31), una + 5},
			{tp->snd_nxt - tp->iss, tp->snd_nxt - tp->iss + 1},
			{una, una + 1},
		};

		if (i % 4 == 3)
			foe_send(c, .flags = ACK, .seq = c->nxt, .ack = una,
				 .opt = odd[i / 4 % ARRAY_SIZE(odd)], .optlen = 12);
		else
			foe_send(c, .flags = ACK, .seq = c->nxt, .ack = una, .nr_sacks = 1,
				 .sack = {{lies[i % ARRAY_SIZE(lies)][0]},
					  {lies[i % ARRAY_SIZE(lies)][1]}});
		foe_settle(f);
		tp = foe_tp(c);
		foe_never(f, tp && tp->sack_ok && tp->sacked_out,
			  "a SACK block that lies is taken");
	}
	all_comes(c);
}

/* ---- B29 ---- */

static void window(struct foe_conn *c, int win)
{
	foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->got, .win = win ? win : -1);
}

/* closed - a window of `win` bytes for `ns`, said again to each probe. */
static void closed(struct foe_conn *c, int win, uint64_t ns)
{
	uint64_t end = c->f->w->now + ns;
	uint32_t seen = c->acks + c->segs, first = seen;

	window(c, win);
	while (c->f->w->now < end) {
		uint64_t left = end - c->f->w->now;

		if (foe_until(c->f, c->acks + c->segs != seen,
			      min_t(uint64_t, left, NSEC_PER_SEC))) {
			seen = c->acks + c->segs;
			window(c, win);
		}
		/* for it: a second and more between two, or there is no backoff */
	}
	/* probes, from 200 ms on twice as far apart each; for each byte offered, one more series */
	foe_never(c->f, win == 0 && seen - first > 24 + ns / NSEC_PER_SEC,
		  "a window of zero is probed without backoff");
}

void foe_b29(struct sim_foe *f)
{
	struct foe_conn *c = sending(f, 60000, 10000);
	uint64_t ns = sim_between(&f->rng, 1, 40) * NSEC_PER_SEC;

	if (!c)
		return;
	switch (sim_between(&f->rng, 0, 3)) {
	case 0: /* shut, and opened in the end */
		closed(c, 0, ns);
		break;
	case 1: /* by one byte */
		closed(c, 1, ns);
		break;
	case 2: /* taken back, now and then */
		for (unsigned i = 0; i < 10; i++) {
			closed(c, 0, sim_between(&f->rng, 1, 2000) * NSEC_PER_MSEC);
			window(c, (int)sim_between(&f->rng, 1, 3000));
			foe_settle(f);
		}
		break;
	default: /* for ever: nobody answers any more */
		window(c, 0);
		foe_settle(f);
		return;
	}
	all_comes(c);
}

/* ---- B30 ---- */

/* may_have - an RTO that proves a mistake gives the window from before back (RFC 4015, 5682). */
static uint32_t may_have(const struct tcp_sock *tp)
{
	return max_t(uint32_t, tp->snd_cwnd, tp->prior_cwnd);
}

/* divided - a segment acknowledged byte by byte (RFC 3465 1). */
static void divided(struct foe_conn *c)
{
	const struct tcp_sock *tp = foe_tp(c);
	uint32_t una = c->ack_sent, n = min_t(uint32_t, c->got - una, 300), cwnd;

	if (!tp)
		return;
	cwnd = may_have(tp);
	for (uint32_t i = 1; i <= n; i++)
		foe_send(c, .flags = ACK, .seq = c->nxt, .ack = una + i);
	foe_settle(c->f);
	c->ack_sent = una + n;
	tp = foe_tp(c);
	foe_never(c->f, tp && tp->snd_cwnd > cwnd + n + 2u * tp->mss_cache,
		  "divided ACKs open the congestion window");
}

static void duplicates(struct foe_conn *c, unsigned n)
{
	const struct tcp_sock *tp = foe_tp(c);
	uint32_t cwnd = tp ? may_have(tp) : 0;

	for (unsigned i = 0; i < n; i++)
		foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->ack_sent);
	foe_settle(c->f);
	tp = foe_tp(c);
	foe_never(c->f, tp && tp->snd_cwnd > cwnd + 4u * tp->mss_cache,
		  "duplicate ACKs open the congestion window");
}

void foe_b30(struct sim_foe *f)
{
	struct foe_conn *c = sending(f, 200000, 5000), h;
	const struct tcp_sock *tp;
	uint32_t una, acks;

	for (unsigned i = 0; i < 20 && foe_honest(f, &h); i++)
		for (unsigned k = 0; k < 8; k++)
			foe_send(&h, .flags = ACK, .seq = h.nxt, .ack = h.una);
	if (!c)
		return;
	for (unsigned i = 0; i < 6 && (tp = foe_tp(c)) != NULL; i++) {
		/* RFC 5961 7: an answer may go out again */
		foe_sleep(600 * NSEC_PER_MSEC);
		tp = foe_tp(c);
		if (!tp)
			return;
		una = tp->snd_una;
		acks = c->acks;
		foe_send(c, .flags = ACK, .seq = c->nxt,
			 .ack = tp->snd_nxt - tp->iss +
				(uint32_t)sim_between(&f->rng, 1, 1u << 20));
		foe_settle(f);
		tp = foe_tp(c);
		foe_never(f, tp && tp->snd_una != una, "an ACK of what was never sent is taken");
		foe_must(f, c->acks != acks, "an ACK tells where it is");
		divided(c);
		duplicates(c, (unsigned)sim_between(&f->rng, 1, 100));
	}
	all_comes(c);
}
