/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows B6, B7, B13, B14, B16, B22, B24 and B25: below TCP. RFC 791, 792, 1122, 5722, 5927. */
#include <string.h>

#include "sim/foe.h"
#include "stack/tcp_guard.h"

#define PORT   7
#define CLOSED 4
#define ECHO   8

static void eth_broadcast(uint8_t *frame)
{
	memset(frame, 0xff, ETH_ALEN);
}

static uint64_t drops(const struct sim_foe *f, enum skb_drop_reason r)
{
	return f->prey->st->stats.drops[r];
}

/* raw_syn - a SYN between any two addresses; its length. */
static unsigned raw_syn(struct sim_foe *f, uint8_t *frame, uint32_t saddr, uint16_t sport,
			uint32_t daddr, uint16_t dport)
{
	const struct foe_conn c = {.f = f, .addr = saddr, .port = sport, .lport = dport};
	unsigned len = foe_build(&c, &(struct foe_seg){.flags = SYN, .win = 1000}, frame);

	foe_iph(frame)->daddr = daddr;
	foe_sum(frame);
	return len;
}

static unsigned raw_icmp(struct sim_foe *f, uint8_t *frame, uint32_t saddr, uint32_t daddr,
			 uint8_t *msg, unsigned n)
{
	uint16_t sum;

	msg[2] = msg[3] = 0;
	sum = csum_fold(csum_partial(msg, n, 0));
	memcpy(msg + 2, &sum, 2);
	return foe_ip(f, frame, saddr, daddr, IPPROTO_ICMP_, msg, n);
}

void foe_b6(struct sim_foe *f)
{
	uint64_t before = drops(f, SKB_DROP_IP_BAD_SRC);
	uint32_t ip = f->prey->ip;
	uint8_t frame[FOE_FRAME_MAX];
	struct foe_conn *c = foe_conn(f), h;

	for (unsigned i = 0; i < 10; i++)
		foe_frame(f, frame, raw_syn(f, frame, ip, PORT, ip, PORT));
	for (unsigned i = 0; i < 10 && foe_honest(f, &h); i++)
		foe_frame(f, frame, raw_syn(f, frame, ip, h.lport, ip, h.lport));
	foe_settle(f);
	foe_must(f, drops(f, SKB_DROP_IP_BAD_SRC) - before >= 10, "LAND is dropped, and counted");
	foe_never(f, tcp_lookup(f->prey->st->tcp, ip, ip, PORT, PORT), "LAND opens something");
	if (foe_open(c))
		foe_works(c);
}

/* every_kind - SYNs, an echo request and a datagram that nobody waits for. */
static void every_kind(struct sim_foe *f, uint32_t saddr, uint32_t daddr, bool broadcast)
{
	uint8_t frame[FOE_FRAME_MAX], echo[16] = {ECHO}, udp[12] = {1, 0, 2, 0, 0, 12};
	unsigned len;

	for (unsigned kind = 0; kind < 4; kind++) {
		if (kind < 2)
			len = raw_syn(f, frame, saddr, 666, daddr, kind ? PORT : CLOSED);
		else if (kind == 2)
			len = raw_icmp(f, frame, saddr, daddr, echo, sizeof(echo));
		else
			len = foe_ip(f, frame, saddr, daddr, 17, udp, sizeof(udp));
		if (broadcast)
			eth_broadcast(frame);
		foe_frame(f, frame, len);
	}
}

void foe_b7(struct sim_foe *f)
{
	static const uint8_t src[][4] = {
		{255, 255, 255, 255}, {224, 0, 0, 1},  {0, 0, 0, 0},  {0, 0, 0, 1},
		{127, 0, 0, 1},       {10, 0, 0, 255}, {10, 0, 0, 0}, {240, 0, 0, 1},
	};
	static const uint8_t dst[][4] = {{255, 255, 255, 255}, {10, 0, 0, 255}, {224, 0, 0, 1}};
	struct foe_conn *c = foe_conn(f);
	uint64_t out = f->out, bad_src = drops(f, SKB_DROP_IP_BAD_SRC);
	uint64_t bad_dst = drops(f, SKB_DROP_IP_BAD_DST);
	uint32_t a;

	every_kind(f, f->prey->ip, f->prey->ip, false);
	for (unsigned i = 0; i < ARRAY_SIZE(src); i++) {
		memcpy(&a, src[i], 4);
		every_kind(f, a, f->prey->ip, i % 2);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(dst); i++) {
		memcpy(&a, dst[i], 4);
		every_kind(f, foe_mine(), a, true);
		every_kind(f, foe_mine(), a, false);
	}
	foe_settle(f);
	foe_sleep(NSEC_PER_SEC);
	foe_never(f, f->out != out, "a bad source or a broadcast is answered");
	foe_must(f, drops(f, SKB_DROP_IP_BAD_SRC) - bad_src >= 4 * (ARRAY_SIZE(src) + 1),
		 "each bad source is dropped, and counted");
	foe_must(f, drops(f, SKB_DROP_IP_BAD_DST) - bad_dst >= 8 * ARRAY_SIZE(dst),
		 "each bad destination is dropped, and counted");
	if (foe_open(c))
		foe_works(c);
}

/* ---- B13, B14, B16 ---- */

/* lie - a segment of c whose header says what is not so; the sums are right, where there is one. */
static void lie(struct foe_conn *c, unsigned which)
{
	uint8_t frame[FOE_FRAME_MAX];
	unsigned len = foe_build(
		c,
		&(struct foe_seg){
			.flags = ACK, .seq = c->nxt, .ack = c->got, .len = 10, .garbage = true},
		frame);
	struct iphdr_ *ip = foe_iph(frame);

	if (which < 5)
		foe_th(frame)->doff = (uint8_t)(which << 4);
	else if (which == 5)
		foe_th(frame)->doff = 15 << 4;
	if (which < 6) {
		foe_sum(frame);
	} else {
		const struct iphdr_ lies[] = {
			{.ver_ihl = 0x75, .tot_len = ip->tot_len},
			{.ver_ihl = 0x44, .tot_len = ip->tot_len},
			{.ver_ihl = 0x40, .tot_len = ip->tot_len},
			{.ver_ihl = 0x4f, .tot_len = be16(40)},
			{.ver_ihl = 0x45, .tot_len = be16((uint16_t)(len - ETH_HLEN + 1))},
			{.ver_ihl = 0x45, .tot_len = be16(65535)},
			{.ver_ihl = 0x45, .tot_len = be16(19)},
			{.ver_ihl = 0x45, .tot_len = 0},
		};

		ip->ver_ihl = lies[which - 6].ver_ihl;
		ip->tot_len = lies[which - 6].tot_len;
		ip->check = 0;
		ip->check = csum_iphdr(ip);
	}
	foe_frame(c->f, frame, len);
}

void foe_b13(struct sim_foe *f)
{
	enum { LIES = 14 };
	struct foe_conn *c = foe_conn(f);
	uint64_t out, bad;

	if (!foe_open(c))
		return;
	foe_works(c);
	foe_sleep(NSEC_PER_SEC);
	out = f->out;
	bad = drops(f, SKB_DROP_IP_BAD_HEADER) + drops(f, SKB_DROP_TCP_BAD_HEADER);
	for (unsigned i = 0; i < LIES; i++)
		lie(c, i);
	for (unsigned n = 0; n < TCP_HLEN; n++) {
		uint8_t frame[FOE_FRAME_MAX];

		foe_frame(f, frame,
			  foe_ip(f, frame, foe_mine(), f->prey->ip, IPPROTO_TCP_, frame, n));
	}
	foe_settle(f);
	foe_never(f, f->out != out, "a header that lies is answered");
	bad = drops(f, SKB_DROP_IP_BAD_HEADER) + drops(f, SKB_DROP_TCP_BAD_HEADER) - bad;
	/* others' bits may be wrong in transit */
	foe_must(f, bad >= LIES + TCP_HLEN, "each of them is dropped, and counted");
	foe_works(c);
}

void foe_b14(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	uint8_t frame[FOE_FRAME_MAX];

	if (!foe_open(c))
		return;
	for (unsigned i = 0; i < 20 && foe_until(f, foe_room(c) >= 50, NSEC_PER_SEC); i++) {
		struct foe_seg s = {.flags = ACK, .seq = c->nxt, .ack = c->got, .len = i % 5 * 10};
		unsigned len = foe_build(c, &s, frame);
		unsigned pad = (unsigned)sim_between(&f->rng, 1, 46);

		memset(frame + len, FOE_GARBAGE, pad);
		foe_frame(f, frame, len + pad);
		c->nxt += s.len;
	}
	foe_settle(f);
	foe_works(c);
}

void foe_b16(struct sim_foe *f)
{
	uint8_t frame[FOE_FRAME_MAX], echo[16] = {ECHO};
	struct foe_conn *c = foe_conn(f), h;
	uint64_t out, bad;
	unsigned len;

	if (!foe_open(c))
		return;
	foe_works(c);
	foe_sleep(NSEC_PER_SEC);
	out = f->out;
	bad = drops(f, SKB_DROP_TCP_BAD_CSUM);
	foe_send(c, .flags = ACK, .seq = c->nxt, .ack = c->got, .len = 10, .garbage = true,
		 .bad_csum = true);
	foe_send(c, .flags = RST, .seq = c->nxt, .bad_csum = true);
	foe_send(c, .flags = SYN, .seq = c->nxt, .bad_csum = true);
	for (unsigned i = 0; i < 10 && foe_honest(f, &h); i++)
		foe_send(&h, .flags = RST, .seq = h.nxt, .bad_csum = true);
	len = foe_build(c, &(struct foe_seg){.flags = RST, .seq = c->nxt}, frame);
	foe_iph(frame)->check ^= 0x0100;
	foe_frame(f, frame, len);
	len = raw_syn(f, frame, foe_mine(), 666, f->prey->ip, CLOSED);
	foe_th(frame)->check ^= 0x0100;
	foe_frame(f, frame, len);
	len = raw_icmp(f, frame, foe_mine(), f->prey->ip, echo, sizeof(echo));
	frame[len - 1] ^= 1;
	foe_frame(f, frame, len);
	foe_settle(f);
	foe_never(f, f->out != out, "a bad checksum is answered");
	foe_must(f, drops(f, SKB_DROP_TCP_BAD_CSUM) - bad >= 4,
		 "bad sums are dropped, and counted");
	foe_works(c);
}

/* ---- B22 ---- */

/* piece - a fragment of len garbage bytes at `at`. */
static void piece(struct sim_foe *f, uint32_t saddr, uint16_t id, unsigned at, unsigned len,
		  bool more)
{
	uint8_t frame[FOE_FRAME_MAX];
	struct iphdr_ *ip = foe_iph(frame);
	unsigned n = foe_ip(f, frame, saddr, f->prey->ip, IPPROTO_TCP_, NULL, len);

	memset(ip + 1, FOE_GARBAGE, len);
	ip->id = be16(id);
	ip->frag_off = be16((uint16_t)(at / 8 | (more ? IP_MF : 0)));
	ip->check = 0;
	ip->check = csum_iphdr(ip);
	foe_frame(f, frame, n);
}

static void pieces(struct sim_foe *f, unsigned n)
{
	for (unsigned i = 0; i < n && !f->w->res->failed; i++) {
		uint32_t from = i % 4 ? foe_addr(100 + i % 100) : foe_mine();
		uint16_t id = (uint16_t)sim_draw(&f->rng);

		switch (sim_between(&f->rng, 0, 4)) {
		case 0: /* of a flood of first ones */
			piece(f, from, id, 0, 1400, true);
			break;
		case 1: /* overlap */
			piece(f, from, id, 0, 800, true);
			piece(f, from, id, 400, 800, true);
			break;
		case 2: /* beyond the longest datagram, and before it */
			piece(f, from, id, 65528, 600, false);
			piece(f, from, id, 65000, 1000, true);
			break;
		case 3: /* gaps of eight bytes */
			for (unsigned at = 0; at < 1000; at += 16)
				piece(f, from, 7, at, 8, true);
			break;
		default: /* of no length, of an odd one */
			piece(f, from, id, 8, 0, true);
			piece(f, from, id, 0, 13, true);
		}
	}
}

/* in_two - n bytes of c's stream in two fragments; overlap: with a third one, which lies over
 * both. */
static void in_two(struct foe_conn *c, unsigned n, bool overlap)
{
	uint8_t frame[FOE_FRAME_MAX], part[FOE_FRAME_MAX];
	struct foe_seg s = {.flags = ACK, .seq = c->nxt, .ack = c->got, .len = n};
	unsigned len = foe_build(c, &s, frame) - ETH_HLEN - IP_HLEN, cut = 40;
	uint16_t id = (uint16_t)(c->nxt + overlap);

	/* who looks on at fragments does not see what they make */
	sim_track_foe(c->f->w->track, frame, len + ETH_HLEN + IP_HLEN);
	for (unsigned i = 0; i < 2; i++) {
		unsigned l;

		if (i && overlap)
			piece(c->f, foe_mine(), id, cut - 8, 16, true);
		l = foe_ip(c->f, part, foe_mine(), c->f->prey->ip, IPPROTO_TCP_,
			   frame + ETH_HLEN + IP_HLEN + i * cut, i ? len - cut : cut);
		foe_iph(part)->id = be16(id);
		foe_iph(part)->frag_off = be16((uint16_t)(i ? cut / 8 : IP_MF));
		foe_iph(part)->check = 0;
		foe_iph(part)->check = csum_iphdr(foe_iph(part));
		foe_frame(c->f, part, l);
	}
	foe_settle(c->f);
}

void foe_b22(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f);
	const struct sim_host *h = f->prey;
	const struct tcp_shard *sh = h->st->tcp;
	uint64_t socks;

	if (!foe_open(c))
		return;
	foe_works(c);
	for (unsigned i = 0; i < 10; i++) {
		pieces(f, (unsigned)sim_between(&f->rng, 20, 60));
		foe_settle(f);
		/* an eighth for fragments (ip_frag.c), what sockets hold, caches and batches */
		socks = (sh->rmem_total + sh->wmem_total) / 2048;
		foe_never(f, sim_pool_missing(h->pool) > h->plan->nr_skbs / 8 + socks + 1024,
			  "fragments hold more than an eighth of the buffers");
	}
	/* what their sources had is out of time: now a whole one finds room */
	foe_sleep(35 * NSEC_PER_SEC);
	if (!foe_alive(c) || !foe_until(f, foe_room(c) >= 200, NSEC_PER_SEC))
		return;
	/* RFC 5722 4: what overlaps ends the datagram */
	in_two(c, 200, true);
	foe_sleep(NSEC_PER_SEC);
	foe_never(f, c->guest->rcvd >= c->nxt, "fragments that overlap make a segment");
	in_two(c, 200, false);
	c->nxt += 200;
	(void)foe_until(f, c->guest->rcvd == c->nxt - 1, NSEC_PER_SEC);
	foe_must(f, c->guest->rcvd == c->nxt - 1, "two fragments make a segment");
	if (c->guest->rcvd == c->nxt - 1)
		foe_works(c);
}

/* ---- B24, B25 ---- */

/* complain - an ICMP error about c's segment at seq (absolute), cut to `quote` bytes. */
static void complain(struct foe_conn *c, uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq,
		     unsigned quote)
{
	uint8_t frame[FOE_FRAME_MAX], msg[8 + IP_HLEN + 8] = {type, code};
	struct iphdr_ q = {.ver_ihl = 0x45,
			   .tot_len = be16(1500),
			   .ttl = 60,
			   .protocol = IPPROTO_TCP_,
			   .saddr = c->f->prey->ip,
			   .daddr = c->addr};
	uint16_t port[2] = {be16(c->lport), be16(c->port)};

	mtu = be16(mtu);
	memcpy(msg + 6, &mtu, 2);
	memcpy(msg + 8, &q, IP_HLEN);
	memcpy(msg + 8 + IP_HLEN, port, 4);
	seq = be32(seq);
	memcpy(msg + 12 + IP_HLEN, &seq, 4);
	foe_frame(c->f, frame,
		  raw_icmp(c->f, frame, foe_addr(200), c->f->prey->ip, msg, 8 + quote));
}

static uint32_t in_flight(const struct foe_conn *c, bool lie)
{
	const struct tcp_sock *tp = foe_tp(c);
	uint32_t by = (uint32_t)sim_between(&c->f->rng, 1, 1u << 30);

	if (!tp)
		return 0;
	if (lie)
		return tp->snd_nxt + by;
	return tp->snd_una + (tcp_flight(tp) ? by % tcp_flight(tp) : 0);
}

static void unreachable(struct foe_conn *c)
{
	uint8_t code = (uint8_t)sim_between(&c->f->rng, 0, 15);

	if (code == ICMP_UNREACH_NEEDFRAG)
		code = 0;
	complain(c, sim_chance(&c->f->rng, 0.7) ? ICMP_UNREACH_ : 11, code, 0,
		 in_flight(c, sim_chance(&c->f->rng, 0.3)),
		 sim_chance(&c->f->rng, 0.2) ? (unsigned)sim_between(&c->f->rng, 0, 27) : 28);
}

void foe_b24(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f), h;

	/* not acknowledged for a while: something is in flight */
	c->guest->write = 3000;
	if (foe_open(c)) {
		for (unsigned i = 0; i < 40; i++)
			unreachable(c);
		foe_settle(f);
		foe_works(c);
	}
	for (unsigned i = 0; i < 200; i++) {
		if (foe_honest(f, &h))
			unreachable(&h);
		foe_sleep(sim_between(&f->rng, 0, 10 * NSEC_PER_MSEC));
	}
}

static void too_big(struct foe_conn *c)
{
	static const uint16_t mtus[] = {0, 1, 68, 551, 552, 1000, 1499, 9000, 65535};
	uint16_t mtu = mtus[sim_between(&c->f->rng, 0, ARRAY_SIZE(mtus) - 1)];
	bool lie = sim_chance(&c->f->rng, 0.5);
	const struct tcp_sock *tp = foe_tp(c);
	uint32_t was = tp ? tcp_path_mtu(tp) : 0, is;

	complain(c, ICMP_UNREACH_, ICMP_UNREACH_NEEDFRAG, mtu, in_flight(c, lie), 28);
	foe_settle(c->f);
	tp = foe_tp(c);
	if (!tp || !was)
		return;
	is = tcp_path_mtu(tp);
	foe_never(c->f, is < min_t(uint32_t, was, c->f->prey->st->cfg.min_pmtu),
		  "the path's MTU is below the floor");
	foe_never(c->f, lie && is < was && !tp->retransmits && c->guest,
		  "a router is believed about what is not in flight");
}

void foe_b25(struct sim_foe *f)
{
	struct foe_conn *c = foe_conn(f), h;

	c->guest->write = 20000;
	if (foe_open(c)) {
		for (unsigned i = 0; i < 30; i++)
			too_big(c);
		foe_must(f, foe_pull(c, 20000, 60 * NSEC_PER_SEC), "all of its bytes come");
		foe_works(c);
	}
	for (unsigned i = 0; i < 100; i++) {
		if (foe_honest(f, &h))
			too_big(&h);
		foe_sleep(sim_between(&f->rng, 0, 10 * NSEC_PER_MSEC));
	}
}
