/* SPDX-License-Identifier: BSD-3-Clause */
/* The hostile host's frames: built, put to the prey's plug, and what comes back taken apart. */
#include <string.h>

#include "drivers/frame.h"
#include "sim/foe.h"

#define RING_BUSY 128u /* so many wait for the prey: the others' frames need their places */
#define ARP_LEN   (ETH_HLEN + 28u)
#define ARP_OP    (ETH_HLEN + 6)
#define ARP_SPA   (ETH_HLEN + 14)
#define ARP_TPA   (ETH_HLEN + 24)

static const uint8_t foe_mac[ETH_ALEN] = {2, 0, 0, 0, 0x66, 0x66};

/* ---- out ---- */

static void put_eth(const struct sim_foe *f, uint8_t *frame, uint16_t proto)
{
	struct ethhdr_ *eth = (struct ethhdr_ *)frame;

	memcpy(eth->dst, f->prey->dev->dev_addr, ETH_ALEN);
	memcpy(eth->src, foe_mac, ETH_ALEN);
	eth->proto = be16(proto);
}

unsigned foe_ip(const struct sim_foe *f, uint8_t *frame, uint32_t saddr, uint32_t daddr,
		uint8_t proto, const void *payload, unsigned len)
{
	struct iphdr_ *ip = foe_iph(frame);

	put_eth(f, frame, ETH_P_IP);
	*ip = (struct iphdr_){
		.ver_ihl = 0x45,
		.tot_len = be16((uint16_t)(IP_HLEN + len)),
		.frag_off = be16(IP_DF),
		.ttl = 64,
		.protocol = proto,
		.saddr = saddr,
		.daddr = daddr,
	};
	if (len && payload)
		memcpy(frame + ETH_HLEN + IP_HLEN, payload, len);
	ip->check = csum_iphdr(ip);
	return ETH_HLEN + IP_HLEN + len;
}

void foe_sum(uint8_t *frame)
{
	struct iphdr_ *ip = foe_iph(frame);
	unsigned hlen = (ip->ver_ihl & 15) * 4u, n = be16(ip->tot_len) - hlen;
	struct tcphdr_ *th = (struct tcphdr_ *)(frame + ETH_HLEN + hlen);

	ip->check = 0;
	ip->check = csum_fold(csum_partial(ip, hlen, 0));
	th->check = 0;
	th->check = csum_fold(
		csum_partial(th, n, csum_pseudo(ip->saddr, ip->daddr, (uint16_t)n, IPPROTO_TCP_)));
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = be32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static uint32_t ts_now(const struct foe_conn *c)
{
	return c->tsval + (uint32_t)(c->f->w->now / NSEC_PER_MSEC);
}

static unsigned put_options(const struct foe_conn *c, const struct foe_seg *s, uint8_t *p)
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
		p = put32(p, s->tsval ? s->tsval : ts_now(c));
		p = put32(p, c->tsecr);
	}
	if (s->nr_sacks) {
		p = put32(p, 0x01010500 | (2 + 8 * s->nr_sacks));
		for (unsigned i = 0; i < s->nr_sacks; i++) {
			p = put32(p, s->sack[0][i] + c->irs);
			p = put32(p, s->sack[1][i] + c->irs);
		}
	}
	return (unsigned)(p - start);
}

unsigned foe_build(const struct foe_conn *c, const struct foe_seg *s, uint8_t *frame)
{
	struct tcphdr_ *th = foe_th(frame);
	unsigned hlen = TCP_HLEN + put_options(c, s, (uint8_t *)(th + 1)), n;
	uint8_t *payload = (uint8_t *)th + hlen;

	*th = (struct tcphdr_){
		.source = be16(c->port),
		.dest = be16(c->lport),
		.seq = be32(s->seq + c->iss),
		/* without the flag it says nothing, whatever stands there */
		.ack_seq = s->flags & ACK || s->ack ? be32(s->ack + c->irs) : 0,
		.doff = (uint8_t)(hlen / 4 << 4),
		.flags = s->flags,
		.window = be16(s->win < 0 ? 0
			       : s->win   ? (uint16_t)s->win
					  : c->win),
		.urg_ptr = be16(s->urg),
	};
	if (s->garbage || !c->guest)
		memset(payload, FOE_GARBAGE, s->len);
	else if (s->len)
		sim_bytes_fill(sim_prey_seed(c->f, c->guest), s->seq - 1, payload, s->len);
	if (s->bad[0] < s->bad[1])
		memset(payload + (s->bad[0] - s->seq), FOE_GARBAGE, s->bad[1] - s->bad[0]);
	n = foe_ip(c->f, frame, c->addr, c->f->prey->ip, IPPROTO_TCP_, NULL, hlen + s->len);
	foe_sum(frame);
	if (s->bad_csum)
		th->check ^= be16(0x5500);
	return n;
}

void foe_frame(struct sim_foe *f, const void *frame, unsigned len)
{
	uint8_t copy[FOE_FRAME_MAX];

	(void)foe_until(f, wire_waiting(f->w->wire, (int)f->prey->index) < RING_BUSY,
			10 * NSEC_PER_SEC);
	f->in++;
	memcpy(copy, frame, len);
	sim_foe_sends(f->w, copy, len);
	if (wire_arrive(f->w->wire, (int)f->prey->index, copy, len, f->w->now))
		sim_fail(f->w, "no memory");
}

void foe_emit(struct foe_conn *c, const struct foe_seg *s)
{
	uint8_t frame[FOE_FRAME_MAX];

	foe_frame(c->f, frame, foe_build(c, s, frame));
}

/* ---- in ---- */

static void take_options(struct foe_conn *c, const struct tcphdr_ *th, unsigned hlen)
{
	const uint8_t *p = (const uint8_t *)(th + 1), *end = (const uint8_t *)th + hlen;

	while (p < end && *p) {
		if (*p == 1) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p)
			return;
		if (*p == 8 && p[1] == 10) {
			uint32_t v;

			memcpy(&v, p + 2, 4);
			c->tsecr = be32(v);
		}
		p += p[1];
	}
}

static void take_counts(struct foe_conn *c, const struct foe_seg *s)
{
	c->rsts += !!(s->flags & RST);
	c->fins += !!(s->flags & FIN);
	c->synacks += (s->flags & (SYN | ACK)) == (SYN | ACK);
	c->syns += (s->flags & (SYN | ACK)) == SYN;
	c->segs += s->len != 0;
	c->acks += (s->flags & (SYN | FIN | RST | ACK)) == ACK && !s->len;
	c->longest = max_t(unsigned, c->longest, s->len);
	if (s->flags & RST)
		return;
	if (s->flags & ACK && after(s->ack, c->ack))
		c->ack = s->ack;
	if (!after(s->seq, c->got) && after(s->seq + s->len, c->got))
		c->got = s->seq + s->len;
	if (after(s->seq + s->len, c->top))
		c->top = s->seq + s->len;
}

/* take - a segment of the prey's for c. */
static void take(struct foe_conn *c, const struct iphdr_ *ip, const struct tcphdr_ *th,
		 unsigned len)
{
	unsigned hlen = (th->doff >> 4) * 4u;
	struct foe_seg s = {.flags = th->flags, .len = len - hlen, .win = be16(th->window)};

	if (!c->known && s.flags & SYN) {
		c->irs = be32(th->seq);
		c->known = true;
	}
	s.seq = be32(th->seq) - c->irs;
	s.ack = be32(th->ack_seq) - c->iss;
	take_options(c, th, hlen);
	take_counts(c, &s);
	c->f->answers += !s.len;
	if (s.len && c->guest &&
	    sim_bytes_verify(sim_prey_seed(c->f, c->guest) + 1, s.seq - 1,
			     (const uint8_t *)th + hlen, s.len) < s.len)
		foe_never(c->f, true, "bytes that its program did not write");
	c->last = s;
	c->last_id = be16(ip->id);
	c->last_ns = c->f->w->now;
}

static struct foe_conn *conn_of(struct sim_foe *f, uint16_t port, uint16_t lport)
{
	for (unsigned i = 0; i < f->nr_conns; i++)
		if (f->conn[i].port == port && (!f->conn[i].lport || f->conn[i].lport == lport)) {
			f->conn[i].lport = lport;
			return &f->conn[i];
		}
	return NULL;
}

static bool is_host(const struct sim_foe *f, uint32_t addr)
{
	unsigned last = addr >> 24;

	return (addr & 0xffffff) == (foe_addr(0) & 0xffffff) && last && last <= f->w->plan.nr_hosts;
}

static void arp_answer(struct sim_foe *f, uint8_t *ask)
{
	uint8_t a[ARP_LEN];
	uint32_t tpa;

	memcpy(&tpa, ask + ARP_TPA, 4);
	if (ask[ARP_OP + 1] != 1 || is_host(f, tpa) || (f->arp_mute && tpa != foe_mine()))
		return;
	memcpy(a, ask, ARP_LEN);
	put_eth(f, a, ETH_P_ARP);
	a[ARP_OP + 1] = 2;
	memcpy(a + ARP_SPA - ETH_ALEN, foe_mac, ETH_ALEN);
	memcpy(a + ARP_SPA, &tpa, 4);
	memcpy(a + ARP_TPA - ETH_ALEN, ask + ARP_SPA - ETH_ALEN, ETH_ALEN + 4);
	memcpy(a + ARP_TPA, ask + ARP_SPA, 4);
	sim_foe_sends(f->w, a, ARP_LEN);
	if (wire_arrive(f->w->wire, (int)f->prey->index, a, ARP_LEN, f->w->now))
		sim_fail(f->w, "no memory");
}

bool sim_foe_sees(struct sim_foe *f, int end, uint8_t *frame, unsigned len)
{
	const struct ethhdr_ *eth = (const struct ethhdr_ *)frame;
	const struct iphdr_ *ip = foe_iph(frame);
	const struct tcphdr_ *th = foe_th(frame);
	struct foe_conn *c;

	if (!f || end != (int)f->prey->index)
		return false;
	if (eth->proto == be16(ETH_P_ARP) && len >= ARP_LEN) {
		arp_answer(f, frame);
		return false;
	}
	if (eth->proto != be16(ETH_P_IP) || is_host(f, ip->daddr))
		return false;
	f->out++;
	f->strange += ip->daddr != foe_mine();
	f->icmps += ip->protocol == IPPROTO_ICMP_;
	if (ip->protocol == IPPROTO_TCP_ && ip->daddr == foe_mine()) {
		c = conn_of(f, be16(th->dest), be16(th->source));
		if (c)
			take(c, ip, th, be16(ip->tot_len) - IP_HLEN);
	} else {
		f->answers++;
	}
	return true;
}
