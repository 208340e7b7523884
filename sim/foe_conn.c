/* SPDX-License-Identifier: BSD-3-Clause */
/* What a peer does that is no foe yet: handshakes, data, ACKs; and whose numbers it knows. */
#include <string.h>

#include "sim/foe.h"

#define PORT      7
#define PATIENCE  (10 * NSEC_PER_SEC)
#define DIAL_TIME (20 * NSEC_PER_SEC)
#define TRIES     6

struct tcp_sock *foe_tp(const struct foe_conn *c)
{
	struct tcp_node *n =
		tcp_lookup(c->f->prey->st->tcp, c->f->prey->ip, c->addr, c->lport, c->port);

	return n && n->kind == TCP_NODE_SOCK ? container_of(n, struct tcp_sock, node) : NULL;
}

struct foe_conn *foe_conn(struct sim_foe *f)
{
	unsigned nr = f->nr_conns++;
	struct foe_conn *c;

	BUG_ON(nr >= FOE_CONNS);
	c = &f->conn[nr];
	*c = (struct foe_conn){
		.f = f,
		.guest = &f->guest[nr],
		.addr = foe_mine(),
		.port = (uint16_t)(FOE_PORT + nr),
		.lport = PORT,
		.iss = (uint32_t)sim_draw(&f->rng),
		.ts = f->row->wants & FOE_TS || sim_chance(&f->rng, 0.7),
		.sack = f->row->wants & FOE_SACK || sim_chance(&f->rng, 0.7),
		.tsval = (uint32_t)sim_draw(&f->rng),
		.win = 65535,
		.wscale = f->row->wants & FOE_WSCALE ? 4 : 0,
		.nxt = 1,
		.got = 1,
		.top = 1,
		.ack_sent = 1,
	};
	return c;
}

void foe_syn(struct foe_conn *c, uint8_t flags, uint32_t ack)
{
	uint8_t opt[20] = {2, 4, 5, 180}; /* MSS 1460 */
	unsigned n = 4;
	uint32_t now = be32(c->tsval + (uint32_t)(c->f->w->now / NSEC_PER_MSEC));

	if (c->sack) {
		memcpy(opt + n, (uint8_t[]){1, 1, 4, 2}, 4);
		n += 4;
	}
	if (c->ts) {
		uint32_t ecr = be32(c->tsecr);

		opt[n] = 8;
		opt[n + 1] = 10;
		memcpy(opt + n + 2, &now, 4);
		memcpy(opt + n + 6, &ecr, 4);
		n += 10;
	}
	if (c->f->row->wants & FOE_WSCALE && n + 3 <= sizeof(opt)) {
		memcpy(opt + n, (uint8_t[]){3, 3, c->wscale}, 3);
		n += 3;
	}
	foe_send(c, .flags = flags, .ack = ack, .opt = opt, .optlen = n);
}

/* agreed - what the prey's socket has of our options. */
static void agreed(struct foe_conn *c)
{
	const struct tcp_sock *tp = foe_tp(c);

	if (!tp)
		return;
	c->ts = tp->tstamp_ok;
	c->sack = tp->sack_ok;
	if (!tp->wscale_ok)
		c->wscale = 0;
}

bool foe_open(struct foe_conn *c)
{
	struct sim_foe *f = c->f;

	for (unsigned i = 0; i < TRIES && !c->known; i++) {
		foe_syn(c, SYN, 0);
		(void)foe_until(f, c->known || c->rsts, PATIENCE);
	}
	for (unsigned i = 0; i < TRIES && c->known && !c->guest->open; i++) {
		/* not yet told whether timestamps are agreed on: a SYN-ACK that had one says so */
		c->ts = c->ts && c->tsecr;
		foe_send(c, .flags = ACK, .seq = 1, .ack = 1);
		(void)foe_until(f, c->guest->open, PATIENCE);
	}
	if (!c->guest->open) {
		foe_must(f, f->row->wants & (FOE_FLOOD | FOE_BACKLOG), "a client gets in");
		return false;
	}
	agreed(c);
	return true;
}

bool foe_dialed(struct foe_conn *c)
{
	struct sim_foe *f = c->f;

	c->active = true;
	c->port = PORT;
	c->lport = 0;
	f->dialed = c;
	f->dial = true;
	if (!foe_until(f, c->syns, PATIENCE)) {
		foe_must(f, false, "its program dials");
		return false;
	}
	c->ts = c->ts && c->tsecr;
	return true;
}

bool foe_accept(struct foe_conn *c)
{
	if (!c->syns && !foe_dialed(c))
		return false;
	foe_syn(c, SYN | ACK, 1);
	if (!foe_until(c->f, c->guest->open, DIAL_TIME)) {
		foe_must(c->f, false, "its dial is answered");
		return false;
	}
	agreed(c);
	return true;
}

uint32_t foe_room(const struct foe_conn *c)
{
	const struct tcp_sock *tp = foe_tp(c);

	return tp ? tcp_receive_window(tp) : 0;
}

void foe_data(struct foe_conn *c, unsigned n)
{
	foe_send(c, .flags = ACK | PSH, .seq = c->nxt, .ack = c->got, .len = n);
	c->nxt += n;
}

void foe_ack(struct foe_conn *c)
{
	c->ack_sent = c->got;
	foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->got);
}

bool foe_alive(struct foe_conn *c)
{
	const struct tcp_sock *tp = foe_tp(c);
	bool ok = tp && tp->sk.sk_state == TCP_ESTABLISHED;

	foe_must(c->f, ok, "the connection stays");
	return ok;
}

void foe_works(struct foe_conn *c)
{
	uint64_t want = c->nxt - 1 + 50;
	unsigned tries = 0;

	if (!foe_alive(c) || c->guest->deaf)
		return;
	do {
		if (foe_until(c->f, foe_room(c) >= 50, NSEC_PER_SEC))
			foe_send(c, .flags = ACK | PSH, .seq = c->nxt, .ack = c->got, .len = 50);
	} while (!foe_until(c->f, c->guest->rcvd >= want || c->guest->over, NSEC_PER_SEC) &&
		 ++tries < TRIES);
	foe_must(c->f, c->guest->rcvd == want, "bytes come through afterwards, each once");
	c->nxt += 50;
}

bool foe_pull(struct foe_conn *c, uint32_t bytes, uint64_t ns)
{
	uint64_t end = c->f->w->now + ns;

	while (before(c->got, 1 + bytes) && c->f->w->now < end) {
		uint32_t had = c->got;

		foe_ack(c);
		(void)foe_until(c->f, c->got != had, min_t(uint64_t, ns, 300 * NSEC_PER_MSEC));
	}
	foe_ack(c);
	foe_settle(c->f);
	return !before(c->got, 1 + bytes);
}

/* ---- others' connections ---- */

static bool is_honest(const struct tcp_sock *tp)
{
	return tp->sk.sk_state == TCP_ESTABLISHED && tp->node.faddr != foe_mine() && !tp->rt.local;
}

unsigned foe_nr_honest(const struct sim_foe *f)
{
	const struct tcp_sock *tp;
	unsigned nr = 0;

	list_for_each_entry (tp, &f->prey->st->tcp->all, all_link)
		nr += is_honest(tp);
	return nr;
}

bool foe_honest(struct sim_foe *f, struct foe_conn *ret_c)
{
	const struct stack *st = f->prey->st;
	const struct tcp_sock *tp;
	unsigned nr, pick;

	/* with none before it, the next frame meets the socket as it is now */
	foe_settle(f);
	nr = foe_nr_honest(f);
	if (!nr || wire_waiting(f->w->wire, (int)f->prey->index))
		return false;
	pick = (unsigned)sim_between(&f->rng, 0, nr - 1);
	list_for_each_entry (tp, &st->tcp->all, all_link)
		if (is_honest(tp) && !pick--)
			break;
	*ret_c = (struct foe_conn){
		.f = f,
		.addr = tp->node.faddr,
		.port = tp->node.fport,
		.lport = tp->node.lport,
		.iss = tp->irs,
		.irs = tp->iss,
		.known = true,
		.ts = tp->tstamp_ok,
		.sack = tp->sack_ok,
		.tsval = tp->ts_recent - (uint32_t)(f->w->now / NSEC_PER_MSEC),
		.tsecr = tcp_ts_now(st, tp->tsoffset),
		.una = tp->snd_una - tp->iss,
		/* never more than the peer offered, as nobody may send beyond that (track.c) */
		.win = (uint16_t)(tp->snd_wnd >> tp->snd_wscale),
		.nxt = tp->rcv_nxt - tp->irs,
		.got = tp->snd_nxt - tp->iss,
		.ack = tp->rcv_nxt - tp->irs,
	};
	return true;
}
