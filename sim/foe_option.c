/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows B15, B17, B26, B27 and B34: what a header may say besides. RFC 9293 3.2, 6093, 6691,
 * 7323. */
#include <string.h>

#include "sim/foe.h"

struct junk {
	uint8_t b[12];
	unsigned n;
};

static const struct junk junk[] = {
	{{8, 0}, 4},         {{8, 1}, 4},
	{{8, 200}, 4},       {{5, 2}, 4},
	{{5, 3, 1}, 4},      {{2, 255}, 4},
	{{254, 2, 1, 1}, 4}, {{254, 0}, 4},
	{{1, 1, 1, 8}, 4},   {{0, 8, 0}, 4},
	{{1, 1, 1, 5}, 4},   {{2, 4, 0, 0, 2, 4, 1, 1}, 8},
	{{3, 3, 200, 3}, 4}, {{8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 8, 10}, 12},
};

/* in_order - the next n bytes with these options. */
static void in_order(struct foe_conn *c, unsigned n, const void *opt, unsigned optlen)
{
	if (!foe_until(c->f, foe_room(c) >= n, NSEC_PER_SEC))
		return;
	foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->got, .len = n, .opt = opt,
		 .optlen = optlen);
	c->nxt += n;
}

void foe_b15(struct sim_foe *f)
{
	uint8_t nops[40];
	struct foe_conn *c;

	memset(nops, 1, sizeof(nops));
	/* on a SYN: what can be read counts, the rest does not */
	for (unsigned i = 0; i < ARRAY_SIZE(junk); i++) {
		c = foe_conn(f);
		foe_send(c, .flags = SYN, .opt = junk[i].b, .optlen = junk[i].n);
		(void)foe_until(f, c->known, 2 * NSEC_PER_SEC);
		foe_send(c, .flags = RST, .seq = 1);
	}
	c = foe_conn(f);
	/* a timestamp that is older than the last one would be PAWS' affair */
	c->ts = false;
	if (!foe_open(c))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(junk); i++)
		in_order(c, 10, junk[i].b, junk[i].n);
	in_order(c, 10, nops, sizeof(nops));
	foe_settle(f);
	foe_never(f, c->rsts, "bad options reset the connection");
	foe_works(c);
}

/* shake - c's handshake by a SYN with these options and no others. */
static bool shake(struct foe_conn *c, const void *opt, unsigned optlen)
{
	c->ts = c->sack = false;
	foe_send(c, .flags = SYN, .opt = opt, .optlen = optlen);
	if (!foe_until(c->f, c->known, 3 * NSEC_PER_SEC))
		return false;
	for (unsigned i = 0; i < 5 && !c->guest->open; i++) {
		foe_send(c, .flags = ACK, .seq = 1, .ack = 1);
		(void)foe_until(c->f, c->guest->open, 2 * NSEC_PER_SEC);
	}
	return c->guest->open;
}

void foe_b17(struct sim_foe *f)
{
	static const uint16_t mss[] = {0, 1, 48, 65535};

	for (unsigned i = 0; i < ARRAY_SIZE(mss); i++) {
		uint8_t opt[4] = {2, 4, (uint8_t)(mss[i] >> 8), (uint8_t)mss[i]};
		unsigned least =
			mss[i] ? max_t(unsigned, mss[i], TCP_MIN_SND_MSS) : TCP_MSS_DEFAULT;
		struct foe_conn *c = foe_conn(f);

		c->guest->write = 3000;
		if (!shake(c, opt, sizeof(opt)))
			continue;
		foe_must(f, foe_pull(c, 3000, 60 * NSEC_PER_SEC), "all of its bytes come");
		foe_never(f, c->longest > min_t(unsigned, least, f->w->plan.mtu - 40),
			  "a segment is longer than the MSS");
		/* 63 segments of 48 bytes, and as many again for impatience */
		foe_never(f, c->segs > 130, "its bytes come in crumbs");
	}
}

void foe_b26(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f), *s = foe_conn(f);

	foe_send(s, .flags = SYN | URG, .urg = 1, .opt = (const uint8_t *)"", .optlen = 0);
	(void)foe_until(f, s->known, NSEC_PER_SEC);
	foe_never(f, s->known && s->last.ack != 1, "its SYN-ACK takes more than the SYN");
	foe_send(s, .flags = RST, .seq = 1);
	if (!foe_open(c))
		return;
	for (unsigned i = 0; i < 40; i++) {
		static const uint16_t urg[] = {0, 1, 3, 10, 11, 60000, 65535};

		if (!foe_until(f, foe_room(c) >= 10, NSEC_PER_SEC))
			break;
		foe_send(c, .flags = i % 5 ? ACK | URG : ACK, .seq = c->nxt, .ack = c->got,
			 .len = 10, .urg = urg[i % ARRAY_SIZE(urg)]);
		c->nxt += 10;
	}
	foe_works(c);
}

void foe_b27(struct sim_foe *f)
{
	static const uint8_t scale[] = {14, 15, 255};

	for (unsigned i = 0; i < ARRAY_SIZE(scale); i++) {
		uint8_t opt[] = {2, 4, 5, 180, 1, 3, 3, scale[i]};
		const uint8_t later[] = {3, 3, 2, 1};
		struct foe_conn *c = foe_conn(f);
		const struct tcp_sock *tp;

		c->win = 1;
		/* a SYN cookie without a timestamp forgets it */
		if (!shake(c, opt, sizeof(opt)) || !(tp = foe_tp(c)) || !tp->wscale_ok)
			continue;
		foe_must(f, tp->snd_wscale == TCP_MAX_WSCALE, "a scale above 14 is 14");
		in_order(c, 10, later, sizeof(later));
		foe_settle(f);
		tp = foe_tp(c);
		foe_must(f, tp && tp->snd_wscale == TCP_MAX_WSCALE,
			 "a scale outside of a SYN is ignored");
		foe_works(c);
	}
}

void foe_b34(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f), zero = *c;
	uint64_t out = f->out;
	uint32_t acks;

	zero.port = 0;
	foe_syn(&zero, SYN, 0);
	zero.port = 5000;
	zero.lport = 0;
	foe_syn(&zero, SYN, 0);
	foe_settle(f);
	foe_never(f, f->out != out, "port 0 is answered");
	/* RFC 9293 3.10.7.2 lets us not take data with the SYN: the peer sends it again */
	foe_send(c, .flags = SYN, .len = 100, .garbage = true, .no_ts = true);
	c->ts = c->sack = false;
	if (!foe_until(f, c->known, 3 * NSEC_PER_SEC))
		return;
	foe_never(f, c->last.ack != 1, "data on a SYN is acknowledged");
	foe_never(f, c->guest->open, "a SYN with data is a connection");
	if (!foe_open(c))
		return;
	foe_works(c);
	for (unsigned i = 0; i < 6 && foe_alive(c); i++) {
		foe_sleep(600 * NSEC_PER_MSEC);
		acks = c->acks;
		/* a keepalive probe, bare or with a byte of no meaning (RFC 9293 3.8.4) */
		foe_send(c, .flags = ACK, .seq = c->nxt - 1, .ack = c->got, .len = i % 2,
			 .garbage = true);
		foe_settle(f);
		foe_must(f, c->acks != acks, "a keepalive probe is answered");
	}
	foe_works(c);
}
