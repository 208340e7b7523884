/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of seg_frame.h, built and taken apart. */
#include "seg_frame.h"

const struct seg_peer seg_plain = {.mss = 1460, .wscale = -1, .win = 65535};
const struct seg_peer seg_full = {.mss = 1460, .wscale = 7, .ts = true, .sack = true, .win = 65535};

/* ---- build ---- */

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = be32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static unsigned build_options(struct conn *c, const struct seg *s, uint8_t *p)
{
	uint8_t *start = p;

	if (s->opt) {
		unsigned n = (s->optlen + 3) & ~3u;

		memset(p, 0, n);
		memcpy(p, s->opt, s->optlen);
		return n;
	}
	if (c->ts && !s->no_ts) {
		p = put32(p, 0x0101080a);
		p = put32(p, s->tsval ? s->tsval : c->tsval);
		p = put32(p, s->tsecr ? s->tsecr : c->tsecr);
	}
	if (s->nr_sacks) {
		p = put32(p, 0x01010500 | (2 + 8 * s->nr_sacks));
		for (unsigned i = 0; i < 2 * s->nr_sacks; i++)
			p = put32(p, s->sack[i] + c->irs);
	}
	return (unsigned)(p - start);
}

void tcp_frame_sum(uint8_t *frame)
{
	const struct iphdr_ *ip = frame_iph(frame);
	uint8_t *l4 = frame + ETH_HLEN + (ip->ver_ihl & 15) * 4u;
	uint16_t n = (uint16_t)(be16(ip->tot_len) - (ip->ver_ihl & 15) * 4u), sum;

	memset(l4 + 16, 0, 2);
	sum = csum_fold(csum_partial(l4, n, csum_pseudo(ip->saddr, ip->daddr, n, IPPROTO_TCP_)));
	memcpy(l4 + 16, &sum, 2);
}

unsigned seg_build(struct conn *c, const struct seg *s, uint8_t *frame)
{
	uint8_t l4[FAKE_FRAME_MAX - 64];
	struct tcphdr_ *th = (struct tcphdr_ *)l4;
	unsigned hlen = TCP_HLEN + build_options(c, s, l4 + TCP_HLEN), n;

	*th = (struct tcphdr_){
		.source = be16(c->fport),
		.dest = be16(c->lport),
		.seq = be32(s->seq + c->iss),
		.ack_seq = s->flags & ACK ? be32(s->ack + c->irs) : 0,
		.doff = (uint8_t)(hlen / 4 << 4),
		.flags = s->flags,
		.window = be16(s->win < 0 ? 0
			       : s->win   ? (uint16_t)s->win
					  : c->win),
		.urg_ptr = be16(s->urg),
	};
	/* a SYN takes the first number */
	for (unsigned i = 0; i < s->len; i++)
		l4[hlen + i] = s->data ? ((const uint8_t *)s->data)[i]
				       : seg_pattern(s->seq + !!(s->flags & SYN) + i);
	n = frame_ip(frame, c->peer_ip, SEG_OUR, IPPROTO_TCP_, l4, hlen + s->len);
	if (s->tos) {
		frame_iph(frame)->tos = s->tos;
		frame_ip_sum(frame);
	}
	tcp_frame_sum(frame);
	if (s->bad_csum)
		frame[ETH_HLEN + IP_HLEN + 16] ^= 0x55;
	return n;
}

unsigned seg_syn_options(const struct conn *c, const struct seg_peer *p, uint8_t *o)
{
	uint8_t *start = o;

	if (p->mss)
		o = put32(o, 0x02040000u | p->mss);
	if (p->sack)
		o = put32(o, 0x01010402);
	if (p->ts) {
		o = put32(o, 0x0101080a);
		o = put32(o, c->tsval);
		o = put32(o, c->tsecr);
	}
	if (p->wscale >= 0)
		o = put32(o, 0x01030300u | (uint32_t)p->wscale);
	return (unsigned)(o - start);
}

/* ---- take apart ---- */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The least length of an option that is read here. */
static unsigned option_len(uint8_t kind)
{
	static const uint8_t len[] = {[2] = 4, [3] = 3, [4] = 2, [5] = 10, [8] = 10};

	return kind < sizeof(len) && len[kind] ? len[kind] : 2;
}

/* An independent reader of options: the stack's own is under test. */
static const char *parse_options(struct seg *s, const uint8_t *p, unsigned n, uint32_t rel)
{
	for (unsigned i = 0; i < n;) {
		unsigned len = p[i] < 2 ? 1 : i + 1 < n ? p[i + 1] : 0;

		if (!len || i + len > n || (p[i] >= 2 && len < option_len(p[i])))
			return "a bad option";
		switch (p[i]) {
		case 2:
			s->o.mss = (uint16_t)(p[i + 2] << 8 | p[i + 3]);
			break;
		case 3:
			s->o.wscale_ok = true;
			s->o.snd_wscale = p[i + 2];
			break;
		case 4:
			s->o.sack_ok = true;
			break;
		case 5:
			s->nr_sacks = (len - 2) / 8;
			for (unsigned k = 0; k < 2 * s->nr_sacks; k++)
				s->sack[k] = get32(p + i + 2 + 4 * k) - rel;
			break;
		case 8:
			s->ts = true;
			s->tsval = get32(p + i + 2);
			s->tsecr = get32(p + i + 6);
			break;
		default:
			break;
		}
		i += len;
	}
	return NULL;
}

bool seg_is_tcp(const uint8_t *frame, unsigned len)
{
	return len >= ETH_HLEN + IP_HLEN + TCP_HLEN && frame[12] == ETH_P_IP >> 8 &&
	       frame[13] == (ETH_P_IP & 0xff) && frame[ETH_HLEN + 9] == IPPROTO_TCP_;
}

const char *seg_parse(const uint8_t *frame, unsigned len, const struct conn *rel, struct seg *s)
{
	const struct tcphdr_ *th = (const struct tcphdr_ *)(frame + ETH_HLEN + IP_HLEN);
	const struct iphdr_ *ip = (const struct iphdr_ *)(frame + ETH_HLEN);
	unsigned n = be16(ip->tot_len), hlen = (th->doff >> 4) * 4u;

	memset(s, 0, sizeof(*s));
	if (ip->ver_ihl != 0x45 || ETH_HLEN + n != len)
		return "a bad IP header";
	if (!ip->ttl)
		return "a time to live of zero";
	n -= IP_HLEN;
	if (hlen < TCP_HLEN || hlen > n || n - hlen > sizeof(s->bytes))
		return "a bad length";
	if (csum_iphdr(ip) ||
	    csum_fold(csum_partial(th, n,
				   csum_pseudo(ip->saddr, ip->daddr, (uint16_t)n, IPPROTO_TCP_))))
		return "a bad checksum";
	s->flags = th->flags;
	s->tos = ip->tos;
	s->ttl = ip->ttl;
	s->seq = be32(th->seq) - (rel ? rel->irs : 0);
	s->ack = th->flags & ACK ? be32(th->ack_seq) - (rel ? rel->iss : 0) : 0;
	s->win = be16(th->window);
	s->len = n - hlen;
	s->optlen = hlen - TCP_HLEN;
	s->sport = be16(th->source);
	s->dport = be16(th->dest);
	memcpy(s->bytes, (const uint8_t *)th + hlen, s->len);
	return parse_options(s, (const uint8_t *)(th + 1), hlen - TCP_HLEN, rel ? rel->iss : 0);
}
