/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the wire sees of each connection, without a look into any stack: nobody sends beyond the
 * window that its peer offered (RFC 9293 3.8.6), nobody acknowledges what was never sent, nobody
 * answers answers, and nobody goes back on what it said: a window, an ACK, a clock, the place of a
 * FIN. In some worlds it is somebody's network that breaks the first rule: empty segments get bytes
 * just beyond the window, which no stack may take.
 */
#include <stdlib.h>
#include <string.h>

#include "drivers/frame.h"
#include "sim/foe.h"

#define FLOWS          4096u /* power of 2; a world has some hundred */
#define STRETCH_CHANCE 0.25
#define STRETCH_MAX    16u
#define GARBAGE        0xee
#define OPT_MSS        2
#define OPT_WSCALE     3
#define OPT_SACK       5
#define OPT_TS         8

/* What a side may say without payload: to each segment of the other's three times (the network
 * makes two of some, windows open), a bit every now and then, and something at the beginning. Two
 * ends that answer each other's answers are soon beyond it. */
#define ACKS_FREE    200u
#define ACKS_FOR_ONE 3u
#define ACKS_GAP     (10 * NSEC_PER_MSEC)

/* One side of a connection, as its own segments show it. */
struct half {
	bool known; /* its SYN was seen */
	bool offered;
	uint32_t isn;
	uint32_t end;  /* behind the last sequence number that it sent */
	uint32_t edge; /* the farthest that it allowed the other to send to */
	bool has_edge;
	bool scaled; /* its SYN had a window scale */
	bool twice;  /* a SYN cookie and then another SYN-ACK: the peer may have taken either */
	uint8_t scale;
	uint32_t acks, solid; /* segments: bare ACKs; with something to acknowledge */
	uint64_t since;       /* ns of its SYN */
	uint16_t mss;         /* what its SYN offers; 0: nothing */
	bool ts;              /* its SYN had timestamps */
	/* what it said last, if it said it */
	bool has_said, has_clock, has_fin;
	uint32_t ack, said; /* said: the end of its window */
	uint32_t clock, echo, fin;
};

struct flow {
	bool used;
	uint32_t addr[2]; /* network order; half[i] is that of addr[i], port[i] */
	uint16_t port[2];
	struct half half[2];
};

struct sim_track {
	struct sim_world *w;
	struct sim_rng rng;
	struct flow flow[FLOWS];
};

/* A TCP segment in a frame. */
struct segment {
	uint8_t *ip, *tcp;
	unsigned l3_len, hdr, len; /* of the TCP header; of the payload */
	uint32_t seq, ack;
	uint8_t flags;
	uint32_t saddr, daddr;
	uint16_t sport, dport, window;
};

struct sim_track *sim_track_create(struct sim_world *w, uint64_t seed)
{
	struct sim_track *t = calloc(1, sizeof(*t));

	if (t) {
		t->w = w;
		t->rng.state = seed;
	}
	return t;
}

void sim_track_destroy(struct sim_track *t)
{
	free(t);
}

static bool parse(uint8_t *frame, unsigned len, struct segment *ret)
{
	const struct tcphdr_ *th;
	struct frame_info fi;

	if (!frame_parse(frame, len, len, &fi) || fi.proto != FRAME_PROTO_TCP)
		return false;
	ret->ip = frame + ETH_HLEN;
	ret->tcp = ret->ip + fi.l3_len;
	th = (const struct tcphdr_ *)ret->tcp;
	ret->l3_len = fi.l3_len;
	ret->hdr = (th->doff >> 4) * 4u;
	if (ret->hdr < TCP_HLEN || ret->hdr > (unsigned)fi.tot_len - fi.l3_len)
		return false;
	ret->len = fi.tot_len - fi.l3_len - ret->hdr;
	ret->seq = be32(th->seq);
	ret->ack = be32(th->ack_seq);
	ret->flags = th->flags;
	ret->window = be16(th->window);
	ret->saddr = fi.saddr;
	ret->daddr = fi.daddr;
	ret->sport = be16(th->source);
	ret->dport = be16(th->dest);
	return true;
}

/* flow_of - the connection of s, new if need be; *ret_side: whose segment it is. NULL: too many. */
static struct flow *flow_of(struct sim_track *t, const struct segment *s, unsigned *ret_side)
{
	bool swap = s->saddr > s->daddr || (s->saddr == s->daddr && s->sport > s->dport);
	uint32_t addr[2] = {swap ? s->daddr : s->saddr, swap ? s->saddr : s->daddr};
	uint16_t port[2] = {swap ? s->dport : s->sport, swap ? s->sport : s->dport};
	uint32_t h =
		(addr[0] * 31 + addr[1]) * 2654435761u + port[0] * 40503u + port[1] * 2246822519u;

	*ret_side = swap;
	for (unsigned i = 0; i < FLOWS; i++) {
		struct flow *f = &t->flow[((h >> 12) + i) % FLOWS];

		if (!f->used) {
			f->used = true;
			memcpy(f->addr, addr, sizeof(addr));
			memcpy(f->port, port, sizeof(port));
			return f;
		}
		if (!memcmp(f->addr, addr, sizeof(addr)) && !memcmp(f->port, port, sizeof(port)))
			return f;
	}
	return NULL;
}

/* option - the value of option `kind`, its length without kind and length in *ret_n; NULL none. */
static const uint8_t *option(const struct segment *s, uint8_t kind, unsigned *ret_n)
{
	const uint8_t *p = s->tcp + TCP_HLEN, *end = s->tcp + s->hdr;

	while (p < end && *p) {
		if (*p == 1) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p)
			return NULL;
		if (*p == kind) {
			*ret_n = p[1] - 2u;
			return p + 2;
		}
		p += p[1];
	}
	return NULL;
}

static void take_syn(const struct sim_track *t, struct flow *f, unsigned side,
		     const struct segment *s)
{
	struct half *me = &f->half[side];
	const uint8_t *scale, *mss;
	unsigned n = 0, mss_n = 0, ts_n = 0;

	if (me->known && me->isn == s->seq)
		return;
	/* an active open begins a new connection on these ports */
	if (!(s->flags & TCPF_ACK))
		memset(f->half, 0, sizeof(f->half));
	scale = option(s, OPT_WSCALE, &n);
	mss = option(s, OPT_MSS, &mss_n);
	*me = (struct half){.known = true,
			    .twice = me->known,
			    .isn = s->seq,
			    .since = t->w->now,
			    .end = s->seq + 1,
			    .mss = mss && mss_n == 2 ? (uint16_t)(mss[0] << 8 | mss[1]) : 0,
			    .ts = option(s, OPT_TS, &ts_n) && ts_n == 8,
			    .scaled = scale && n == 1,
			    .scale = scale && n == 1 ? min_t(uint8_t, *scale, TCP_MAX_WSCALE) : 0};
}

static void broken(struct sim_track *t, const struct segment *s, const char *what, uint32_t by)
{
	sim_fail(t->w,
		 "host %u, port %u to host %u port %u: %s, by %u [seq %u len %u ack %u flags "
		 "0x%02x]",
		 (unsigned)(s->saddr >> 24) - 1, s->sport, (unsigned)(s->daddr >> 24) - 1, s->dport,
		 what, by, s->seq, s->len, s->ack, s->flags);
}

static void check_sacks(struct sim_track *t, const struct segment *s, const struct half *peer)
{
	unsigned n = 0;
	const uint8_t *p = option(s, OPT_SACK, &n);

	for (; p && n >= 8; p += 8, n -= 8) {
		uint32_t block[2];

		memcpy(block, p, 8);
		if (!before(be32(block[0]), be32(block[1])))
			broken(t, s, "an empty SACK block (RFC 2018 3)",
			       be32(block[0]) - be32(block[1]));
		if (after(be32(block[1]), peer->end))
			broken(t, s, "SACKs what was never sent (RFC 2018 4)",
			       be32(block[1]) - peer->end);
	}
}

/* check - what s says against what its peer said before. */
static void check(struct sim_track *t, const struct segment *s, const struct half *peer)
{
	uint32_t end = s->seq + s->len;

	if (peer->twice)
		return;
	if (s->len && peer->has_edge && after(end, peer->edge))
		broken(t, s, "sends beyond the window (RFC 9293 3.8.6)", end - peer->edge);
	if (!(s->flags & TCPF_ACK) || !peer->known)
		return;
	if (after(s->ack, peer->end))
		broken(t, s, "acknowledges what was never sent", s->ack - peer->end);
	check_sacks(t, s, peer);
}

/* edge_of - the end of the window that s offers. RFC 7323 2.2: that of a SYN is never scaled; nor
 * any, unless both offered to. */
static uint32_t edge_of(const struct segment *s, const struct half *me, const struct half *peer)
{
	bool scaled = !(s->flags & TCPF_SYN) && me->scaled && peer->scaled;

	return s->ack + ((uint32_t)s->window << (scaled ? me->scale : 0));
}

static void check_clock(struct sim_track *t, const struct segment *s, struct half *me)
{
	unsigned n = 0;
	const uint8_t *p = option(s, OPT_TS, &n);
	uint32_t ts[2];

	if (!p || n != 8) {
		broken(t, s, "timestamps were agreed on, and here is none (RFC 7323 3.2)", 0);
		return;
	}
	memcpy(ts, p, 8);
	if (me->has_clock && before(be32(ts[0]), me->clock))
		broken(t, s, "a clock that goes back", me->clock - be32(ts[0]));
	if (me->has_clock && before(be32(ts[1]), me->echo))
		broken(t, s, "an echo that goes back", me->echo - be32(ts[1]));
	me->clock = be32(ts[0]);
	me->echo = be32(ts[1]);
	me->has_clock = true;
}

static void check_fin(struct sim_track *t, const struct segment *s, struct half *me)
{
	uint32_t end = s->seq + s->len;

	if (me->has_fin && after(end, me->fin + !s->len))
		broken(t, s, "bytes behind its own FIN", end - me->fin);
	if (!(s->flags & TCPF_FIN))
		return;
	if (me->has_fin && end != me->fin)
		broken(t, s, "a FIN that moves", end - me->fin);
	me->fin = end;
	me->has_fin = true;
}

/* check_said - what s says against what its own side said before. A window of zero is how a host
 * without memory takes back another (tcp_select_window). */
static void check_said(struct sim_track *t, const struct segment *s, struct half *me,
		       const struct half *peer)
{
	unsigned mss = max_t(unsigned, peer->mss ? peer->mss : TCP_MSS_DEFAULT, TCP_MIN_SND_MSS);
	uint32_t edge = edge_of(s, me, peer);

	if ((s->flags & (TCPF_SYN | TCPF_ACK)) != TCPF_ACK || !peer->known)
		return;
	if (s->len + s->hdr - TCP_HLEN > mss)
		broken(t, s, "larger than its peer's MSS (RFC 6691)",
		       s->len + s->hdr - TCP_HLEN - mss);
	if (me->has_said && before(s->ack, me->ack))
		broken(t, s, "an ACK that goes back", me->ack - s->ack);
	if (me->has_said && s->window && before(edge, me->said))
		broken(t, s, "a window that is taken back (RFC 9293 3.8.6)", me->said - edge);
	me->ack = s->ack;
	me->said = edge;
	me->has_said = true;
	if (me->ts && peer->ts)
		check_clock(t, s, me);
	check_fin(t, s, me);
}

static bool is_solid(const struct segment *s)
{
	return s->len || s->flags & (TCPF_SYN | TCPF_FIN);
}

static void check_storm(struct sim_track *t, const struct segment *s, const struct half *me,
			const struct half *peer)
{
	uint64_t may = ACKS_FREE + (uint64_t)ACKS_FOR_ONE * peer->solid +
		       (t->w->now - me->since) / ACKS_GAP;

	if (me->acks > may)
		broken(t, s, "a storm of ACKs", me->acks);
}

static void note(struct half *me, const struct half *peer, const struct segment *s)
{
	uint32_t end = s->seq + s->len + !!(s->flags & TCPF_FIN), edge;

	me->acks += !is_solid(s);
	me->solid += is_solid(s);
	if (after(end, me->end))
		me->end = end;
	if (!(s->flags & TCPF_ACK))
		return;
	edge = edge_of(s, me, peer);
	if (!me->has_edge || after(edge, me->edge))
		me->edge = edge;
	me->has_edge = true;
}

/* stretch - an empty segment gets bytes at the edge of its receiver's window, and a good
 * checksum. */
static unsigned stretch(struct sim_track *t, const struct segment *s, const struct half *to,
			uint8_t *frame, unsigned len, unsigned room)
{
	unsigned n = (unsigned)sim_between(&t->rng, 1, STRETCH_MAX);
	struct tcphdr_ *th = (struct tcphdr_ *)s->tcp;
	struct iphdr_ *ip = (struct iphdr_ *)s->ip;
	unsigned l4_len = s->hdr + n;

	if (len + n > room)
		return len;
	memset(s->tcp + s->hdr, GARBAGE, n);
	ip->tot_len = be16((uint16_t)(s->l3_len + l4_len));
	th->seq = be32(to->edge);
	th->check = 0;
	th->check = (uint16_t)~csum_fold(
		csum_pseudo(s->saddr, s->daddr, (uint16_t)l4_len, IPPROTO_TCP_));
	len = ETH_HLEN + s->l3_len + l4_len;
	frame_finish_csum(frame, len);
	return len;
}

/* has_user - is s for a connection that somebody still reads? */
static bool has_user(const struct stack *st, const struct segment *s)
{
	const struct tcp_node *n = tcp_lookup(st->tcp, s->daddr, s->saddr, s->dport, s->sport);

	return n && n->kind == TCP_NODE_SOCK &&
	       !container_of(n, const struct tcp_sock, node)->sk.sk_dead;
}

void sim_track_sent(struct sim_track *t, uint8_t *frame, unsigned len)
{
	struct segment s;
	struct flow *f;
	unsigned side;

	if (!parse(frame, len, &s) || (s.flags & TCPF_RST))
		return;
	f = flow_of(t, &s, &side);
	if (!f)
		return;
	if (s.flags & TCPF_SYN)
		take_syn(t, f, side, &s);
	if (!f->half[side].known || f->half[side].twice)
		return;
	check(t, &s, &f->half[!side]);
	check_said(t, &s, &f->half[side], &f->half[!side]);
	check_storm(t, &s, &f->half[side], &f->half[!side]);
	note(&f->half[side], &f->half[!side], &s);
}

void sim_track_foe(struct sim_track *t, uint8_t *frame, unsigned len)
{
	struct segment s;
	struct flow *f;
	unsigned side;

	if (!parse(frame, len, &s) || frame_verify_csum(frame, len) != CHECKSUM_GOOD)
		return;
	f = flow_of(t, &s, &side);
	if (!f)
		return;
	/* in somebody else's name: no numbers of his, but each may be answered */
	if ((s.flags & TCPF_RST) || s.saddr != foe_mine()) {
		f->half[side].solid++;
		return;
	}
	if (s.flags & TCPF_SYN)
		take_syn(t, f, side, &s);
	if (f->half[side].known)
		note(&f->half[side], &f->half[!side], &s);
}

/*
 * As no other frame is before it, the receiver's window is what it said last, and not more: it has
 * had no turn since. A frame with a wrong bit stays wrong. Bytes for a connection that its user has
 * closed would reset it, wherever they are (RFC 2525 2.17).
 */
unsigned sim_track_comes(struct sim_track *t, const struct stack *st, uint8_t *frame, unsigned len,
			 unsigned room)
{
	const struct half *to;
	struct segment s;
	struct flow *f;
	unsigned side;

	if (t->w->healed || !parse(frame, len, &s) || s.len ||
	    (s.flags & (TCPF_SYN | TCPF_FIN | TCPF_RST)) ||
	    frame_verify_csum(frame, len) != CHECKSUM_GOOD)
		return len;
	f = flow_of(t, &s, &side);
	if (!f || !f->half[side].known || f->half[0].twice || f->half[1].twice ||
	    !f->half[!side].has_edge || !sim_chance(&t->rng, STRETCH_CHANCE) || !has_user(st, &s))
		return len;
	to = &f->half[!side];
	f->half[side].solid++; /* which is answered */
	return stretch(t, &s, to, frame, len, room);
}
