/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows B1 to B5 and B8 to B10: flags and numbers that do not fit the state. RFC 9293 3.10.7,
 * 5961. */
#include <errno.h>

#include "sim/foe.h"

/* Then no delayed ACK is owed any more, and a challenge may go out again. */
#define QUIET (600 * NSEC_PER_MSEC)

/* in_window - a number of ours inside the prey's window that is not the next one; 0: none. */
static uint32_t in_window(const struct foe_conn *c)
{
	uint32_t room = foe_room(c);

	return room < 2 ? 0 : c->nxt + (uint32_t)sim_between(&c->f->rng, 1, room - 1);
}

/* pester - one RST or SYN that is to be challenged. */
static void pester(struct foe_conn *c, uint8_t flags)
{
	uint32_t seq = flags & RST ? in_window(c) : (uint32_t)sim_draw(&c->f->rng);

	if (seq)
		foe_send(c, .flags = flags, .seq = seq, .ack = c->got);
}

/* check_answers - some, but no more than RFC 5961 7 lets out: two a second; and a few that other
 * things may be the reason of. */
static void check_answers(const struct foe_conn *c, uint32_t before, uint64_t since)
{
	uint64_t ms = (c->f->w->now - since) / NSEC_PER_MSEC;

	foe_must(c->f, c->acks != before, "it is challenged");
	foe_never(c->f, c->acks - before > 4 + ms / 500, "more than two challenge ACKs a second");
}

static void challenge(struct foe_conn *c, uint8_t flags)
{
	struct sim_foe *f = c->f;
	unsigned n = (unsigned)sim_between(&f->rng, 20, 200);
	uint64_t since;
	uint32_t acks;

	foe_sleep(QUIET);
	since = f->w->now;
	acks = c->acks;
	for (unsigned i = 0; i < n; i++) {
		pester(c, flags);
		if (sim_chance(&f->rng, 0.2))
			foe_sleep(sim_between(&f->rng, 0, 20 * NSEC_PER_MSEC));
	}
	foe_settle(f);
	check_answers(c, acks, since);
	(void)foe_alive(c);
}

/* spoof - the same into the others' connections: who notices is their flows (flow.c). */
static void spoof(struct sim_foe *f, uint8_t flags)
{
	struct foe_conn h;

	for (unsigned i = 0; i < 20 && foe_honest(f, &h); i++) {
		pester(&h, flags);
		foe_sleep(sim_between(&f->rng, 0, NSEC_PER_MSEC));
	}
}

void foe_b1(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);

	spoof(f, RST);
	if (!foe_open(c))
		return;
	challenge(c, RST);
	spoof(f, RST);
	foe_works(c);
}

void foe_b2(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f), h;
	uint64_t out;

	for (unsigned i = 0; i < 20 && foe_honest(f, &h); i++) {
		uint32_t by = (uint32_t)sim_between(&f->rng, 100000, 1u << 30);

		foe_send(&h, .flags = RST, .seq = i % 2 ? h.nxt - by : h.nxt + foe_room(&h) + by);
	}
	if (!foe_open(c))
		return;
	foe_works(c);
	foe_sleep(QUIET);
	out = c->acks + c->rsts;
	for (uint32_t by = 100000; by < 1u << 30; by *= 2) {
		foe_send(c, .flags = RST, .seq = c->nxt - by);
		foe_send(c, .flags = RST, .seq = c->nxt + foe_room(c) + by);
	}
	foe_settle(f);
	foe_never(f, c->acks + c->rsts != out, "a RST outside of the window is answered");
	if (!foe_alive(c))
		return;
	foe_send(c, .flags = RST, .seq = c->nxt);
	foe_settle(f);
	foe_must(f, !foe_tp(c), "a RST at RCV.NXT ends the connection");
	(void)foe_until(f, c->guest->over, NSEC_PER_SEC);
	foe_must(f, c->guest->rerr == -ECONNRESET, "its program is told -ECONNRESET");
}

void foe_b3(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);

	spoof(f, SYN);
	if (!foe_open(c))
		return;
	challenge(c, SYN);
	challenge(c, SYN | ACK);
	spoof(f, SYN | ACK);
	foe_works(c);
}

/* bad_ack - garbage with an ACK beyond what was sent, or older than any window. */
static void bad_ack(struct foe_conn *c, bool old)
{
	const struct tcp_sock *tp = foe_tp(c);
	uint32_t by = (uint32_t)sim_between(&c->f->rng, 1, 1u << 20);

	if (tp)
		foe_send(c, .flags = ACK, .seq = c->nxt, .len = 10, .garbage = true,
			 .ack = old ? tp->snd_una - tp->iss - tp->max_window - by
				    : tp->snd_nxt - tp->iss + by);
}

void foe_b4(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f), h;
	uint32_t acks;

	for (unsigned i = 0; i < 20 && foe_honest(f, &h); i++)
		bad_ack(&h, i % 2);
	if (!foe_open(c))
		return;
	foe_works(c);
	for (unsigned i = 0; i < 8 && foe_alive(c); i++) {
		foe_sleep(QUIET);
		acks = c->acks;
		bad_ack(c, i % 2);
		foe_settle(f);
		foe_must(f, c->acks == acks + 1, "an ACK tells where it is");
	}
	foe_never(f, c->guest->rcvd >= c->nxt, "data with a bad ACK is delivered");
	foe_works(c);
}

void foe_b5(struct sim_foe *f)
{
	unsigned nr = (unsigned)sim_between(&f->rng, 4, 24), open = 0, n;
	struct foe_conn *c[24], h;
	uint32_t acks[24];
	uint64_t since;

	for (unsigned i = 0; i < nr; i++) {
		c[open] = foe_conn(f);
		open += foe_open(c[open]);
	}
	if (!open)
		return;
	foe_sleep(QUIET);
	for (unsigned i = 0; i < open; i++)
		acks[i] = c[i]->acks;
	since = f->w->now;
	n = (unsigned)sim_between(&f->rng, 200, 1500);
	for (unsigned i = 0; i < n; i++) {
		pester(c[i % open], i / open % 2 ? SYN : RST);
		if (i % 16 == 0 && foe_honest(f, &h))
			pester(&h, i % 32 ? SYN : RST);
		foe_sleep(NSEC_PER_SEC / n);
	}
	foe_settle(f);
	for (unsigned i = 0; i < open; i++) {
		check_answers(c[i], acks[i], since);
		foe_works(c[i]);
	}
}

/* ---- B8 ---- */

static void to_listen(struct sim_foe *f)
{
	static const uint8_t silent[] = {0,   FIN, SYN | FIN,       SYN | RST, 0x3f,
					 URG, PSH, FIN | URG | PSH, RST | ACK};
	static const uint8_t reset[] = {ACK, FIN | ACK, SYN | ACK, SYN | FIN | ACK};
	struct foe_conn *c = foe_conn(f);
	uint32_t rsts;

	c->known = true;
	for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
		foe_send(c, .flags = silent[i], .seq = 10, .ack = 20);
	foe_settle(f);
	foe_never(f, c->rsts || c->acks || c->synacks, "an odd segment to LISTEN is answered");
	for (unsigned i = 0; i < ARRAY_SIZE(reset); i++) {
		rsts = c->rsts;
		foe_send(c, .flags = reset[i], .seq = 10, .ack = 20);
		foe_settle(f);
		foe_must(f, c->rsts == rsts + 1, "an ACK to LISTEN is reset");
	}
	foe_never(f, c->acks || c->synacks, "an odd segment opens something");
}

static void to_closed(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);

	c->lport = 4;
	c->known = true;
	for (unsigned flags = 0; flags < 64; flags++) {
		uint32_t rsts = c->rsts, want = flags & RST ? 0 : 1;

		foe_send(c, .flags = (uint8_t)flags, .seq = 10, .ack = 20);
		foe_settle(f);
		foe_never(f, c->rsts - rsts > want, "a RST is answered, or one segment twice");
		foe_must(f, c->rsts - rsts == want, "what comes to a closed port is reset");
	}
}

void foe_b8(struct sim_foe *f)
{
	static const uint8_t flags[] = {0, FIN, URG, PSH, FIN | URG | PSH, SYN | FIN, 0x3f & ~RST};
	struct foe_conn *c = foe_conn(f);

	to_listen(f);
	to_closed(f);
	if (!foe_open(c))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		foe_send(c, .flags = flags[i], .seq = c->nxt, .ack = c->got, .len = 10,
			 .garbage = true);
	foe_settle(f);
	foe_never(f, c->guest->rcvd >= c->nxt, "data without an ACK is delivered");
	foe_works(c);
}

/* ---- B9, B10: the prey dials ---- */

static bool is_syn_sent(const struct foe_conn *c)
{
	const struct tcp_sock *tp = foe_tp(c);

	return tp && tp->sk.sk_state == TCP_SYN_SENT;
}

/* cross - our SYN crosses the prey's: a simultaneous open (RFC 9293 3.5). */
static bool cross(struct foe_conn *c)
{
	foe_syn(c, SYN, 0);
	if (!foe_until(c->f, c->synacks, 3 * NSEC_PER_SEC)) {
		foe_must(c->f, false, "a SYN that crosses its own is answered by SYN-ACK");
		return false;
	}
	/* what comes before its SYN is acknowledged is not taken */
	foe_send(c, .flags = 0, .seq = 1, .len = 5, .garbage = true);
	foe_send(c, .flags = ACK, .seq = 1, .ack = 1);
	return foe_until(c->f, c->guest->open, 10 * NSEC_PER_SEC);
}

void foe_b9(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	uint32_t rsts;

	if (!foe_dialed(c))
		return;
	rsts = c->rsts;
	foe_send(c, .flags = RST);
	foe_send(c, .flags = RST | ACK, .ack = 9);
	foe_send(c, .flags = ACK, .ack = 1);
	foe_send(c, .flags = FIN);
	foe_send(c, .flags = SYN | FIN);
	foe_settle(f);
	foe_never(f, c->rsts != rsts, "what SYN-SENT has to drop is reset");
	foe_send(c, .flags = SYN | ACK, .ack = 0);
	foe_send(c, .flags = SYN | ACK, .ack = 2);
	foe_settle(f);
	foe_must(f, c->rsts == rsts + 2, "a SYN-ACK with a bad ACK is reset");
	foe_must(f, is_syn_sent(c), "it waits in SYN-SENT");
	if (is_syn_sent(c) && (sim_chance(&f->rng, 0.5) ? cross(c) : foe_accept(c)))
		foe_works(c);
}

void foe_b10(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	uint64_t out;

	if (!foe_dialed(c))
		return;
	out = c->acks + c->rsts;
	foe_send(c, .flags = ACK, .seq = 77, .ack = 1);
	foe_settle(f);
	foe_never(f, c->acks + c->rsts != out, "a bare ACK in SYN-SENT is answered");
	foe_must(f, is_syn_sent(c), "it waits in SYN-SENT");
	if (is_syn_sent(c) && cross(c))
		foe_works(c);
	foe_never(f, c->segs, "it sends data");
}
