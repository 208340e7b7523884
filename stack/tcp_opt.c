/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP options, read and written. Reading: a length of 0 or 1, or past the end of the
 * header, ends the parse and keeps what was read before (B15); the last of doubled
 * options wins, as in Linux. Writing: Linux's order, so that middleboxes see nothing
 * new. RFC 9293 3.2, 7323, 2018.
 */
#include "stack/tcp_guard.h"

enum {
	TCPOPT_EOL = 0,
	TCPOPT_NOP = 1,
	TCPOPT_MSS = 2,
	TCPOPT_WSCALE = 3,
	TCPOPT_SACK_OK = 4,
	TCPOPT_SACK = 5,
	TCPOPT_TS = 8,
};

/* nop nop TS len 10, as one big-endian word */
#define TS_ALIGNED_WORD 0x0101080au

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = be32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

bool tcp_fast_ts(struct sk_buff *skb)
{
	const uint8_t *p = (const uint8_t *)(skb_tcphdr(skb) + 1);

	if (get32(p) != TS_ALIGNED_WORD)
		return false;
	skb->tcp.has_ts = 1;
	skb->tcp.ts_val = get32(p + 4);
	skb->tcp.ts_ecr = get32(p + 8);
	return true;
}

static void parse_sack(const uint8_t *p, unsigned len, struct tcp_options *o)
{
	unsigned n = (len - 2) / 8;

	if (len < 10 || (len - 2) % 8 || n > TCP_MAX_SACKS)
		return;
	for (unsigned i = 0; i < n; i++) {
		o->sack[i].start = get32(p + 2 + 8 * i);
		o->sack[i].end = get32(p + 6 + 8 * i);
	}
	o->nr_sacks = (uint8_t)n;
}

static void parse_syn_option(const uint8_t *p, unsigned len, struct tcp_options *o)
{
	switch (p[0]) {
	case TCPOPT_MSS:
		if (len == 4)
			o->mss = (uint16_t)(p[2] << 8 | p[3]);
		break;
	case TCPOPT_WSCALE:
		if (len == 3) {
			o->wscale_ok = true;
			o->snd_wscale = p[2] > TCP_MAX_WSCALE ? TCP_MAX_WSCALE : p[2];
		}
		break;
	case TCPOPT_SACK_OK:
		if (len == 2)
			o->sack_ok = true;
		break;
	default:
		break;
	}
}

void tcp_parse_options(const struct sk_buff *skb, struct tcp_options *o, bool syn)
{
	const uint8_t *p = (const uint8_t *)(skb_tcphdr(skb) + 1);
	const uint8_t *end = p + skb->tcp.hdr_len - TCP_HLEN;

	memset(o, 0, sizeof(*o));
	while (p < end) {
		unsigned len;

		if (p[0] == TCPOPT_EOL)
			return;
		if (p[0] == TCPOPT_NOP) {
			p++;
			continue;
		}
		if (end - p < 2)
			return;
		len = p[1];
		if (len < 2 || len > (unsigned)(end - p))
			return;
		if (p[0] == TCPOPT_TS && len == 10) {
			o->saw_tstamp = true;
			o->ts_val = get32(p + 2);
			o->ts_ecr = get32(p + 6);
		} else if (p[0] == TCPOPT_SACK) {
			parse_sack(p, len, o);
		} else if (syn) {
			parse_syn_option(p, len, o);
		}
		p += len;
	}
}

unsigned tcp_write_syn_options(uint8_t *p, const struct tcp_options *o, uint8_t wscale)
{
	uint8_t *start = p;

	p = put32(p, (uint32_t)TCPOPT_MSS << 24 | 4u << 16 | o->mss);
	if (o->tstamp_ok) {
		if (o->sack_ok)
			p = put32(p, (uint32_t)TCPOPT_SACK_OK << 24 | 2u << 16 |
					     (uint32_t)TCPOPT_TS << 8 | 10u);
		else
			p = put32(p, TS_ALIGNED_WORD);
		p = put32(p, o->ts_val);
		p = put32(p, o->ts_ecr);
	} else if (o->sack_ok) {
		p = put32(p, (uint32_t)TCPOPT_NOP << 24 | (uint32_t)TCPOPT_NOP << 16 |
				     (uint32_t)TCPOPT_SACK_OK << 8 | 2u);
	}
	if (o->wscale_ok)
		p = put32(p, (uint32_t)TCPOPT_NOP << 24 | (uint32_t)TCPOPT_WSCALE << 16 | 3u << 8 |
				     wscale);
	return (unsigned)(p - start);
}

unsigned tcp_sacks_that_fit(const struct tcp_sock *tp, unsigned payload)
{
	/* they count against the peer's MSS as data does (RFC 6691 2), and what the path takes */
	unsigned room = tp->mss_cache;
	unsigned nr = tp->nr_sacks + (tp->dsack.start != tp->dsack.end);

	if (likely(!nr) || payload + 12 > room)
		return 0;
	room = min_t(unsigned, room - payload, TCP_MAX_OPT - (tp->hdr_len - TCP_HLEN));
	return min_t(unsigned, nr, (room - 4) / 8);
}

unsigned tcp_options_len(const struct tcp_sock *tp, unsigned nr_sacks)
{
	return tp->hdr_len - TCP_HLEN + (nr_sacks ? 4 + 8 * nr_sacks : 0);
}

void tcp_write_options(uint8_t *p, const struct tcp_sock *tp, unsigned n)
{

	if (tp->tstamp_ok) {
		p = put32(p, TS_ALIGNED_WORD);
		p = put32(p, tcp_ts_now(tcp_stack(tp), tp->tsoffset));
		p = put32(p, tp->ts_recent);
	}
	if (unlikely(n)) {
		p = put32(p, (uint32_t)TCPOPT_NOP << 24 | (uint32_t)TCPOPT_NOP << 16 |
				     (uint32_t)TCPOPT_SACK << 8 | (2 + 8 * n));
		if (tp->dsack.start != tp->dsack.end) {
			/* RFC 2883 4: before all others */
			p = put32(p, tp->dsack.start);
			p = put32(p, tp->dsack.end);
			n--;
		}
		for (unsigned i = 0; i < n; i++) {
			p = put32(p, tp->sacks[i].start);
			p = put32(p, tp->sacks[i].end);
		}
	}
}
