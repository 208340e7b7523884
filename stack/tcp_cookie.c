/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN cookies (RFC 4987 3.6): a full SYN queue answers without remembering. Our ISN then carries
 * the minute and the peer's MSS under a keyed hash; the low bits of our timestamp carry the other
 * options, as Linux has them there, if the peer sends timestamps - else it gets none of these.
 */
#include <string.h>

#include "stack/tcp_guard.h"

#define COOKIE_PERIOD  (60 * NSEC_PER_SEC)
#define COOKIE_PERIODS 2 /* a cookie is good for between one and two minutes */
#define COOKIE_BITS    24
#define COOKIE_MASK    ((1u << COOKIE_BITS) - 1)

/* What the peer's MSS is rounded down to. The first is the least that is ever sent; 1220 to 1460
 * are Ethernet behind tunnels of all kinds and bare, the last is for jumbo frames. */
static const uint16_t cookie_mss[] = {TCP_MIN_SND_MSS, 536, 1220, 1360, 1400, 1440, 1460, 8960};

/* The low bits of the timestamp. */
#define TS_NO_WSCALE 0x0fu /* in place of a shift, 0 to 14 */
#define TS_SACK      0x10u
#define TS_ECN       0x20u
#define TS_MASK      0x3fu

static uint32_t cookie_hash(const struct stack *st, const struct tcp_node *n, uint32_t irs,
			    uint32_t what)
{
	struct {
		uint32_t laddr, faddr, ports, irs, what;
	} t = {n->laddr, n->faddr, (uint32_t)n->lport << 16 | n->fport, irs, what};

	return (uint32_t)siphash24(st->tcp->cookie_key, &t, sizeof(t));
}

static uint32_t cookie_minute(const struct stack *st)
{
	/* never the value that stands for the base below */
	return (uint32_t)(st->now / COOKIE_PERIOD) & INT32_MAX;
}

/* cookie_base - what no stranger knows of this 4-tuple; with the peer's ISN in the sum, a new
 * connection's ISN is beyond its predecessor's if the peer's is (RFC 9293 3.4.1). */
static uint32_t cookie_base(const struct stack *st, const struct tcp_node *n, uint32_t irs)
{
	return cookie_hash(st, n, 0, UINT32_MAX) + irs;
}

uint32_t tcp_cookie_isn(const struct stack *st, struct tcp_req *req)
{
	uint32_t minute = cookie_minute(st), i = ARRAY_SIZE(cookie_mss) - 1;

	while (i && cookie_mss[i] > req->peer_mss)
		i--;
	req->peer_mss = cookie_mss[i];
	return cookie_base(st, &req->node, req->irs) + (minute << COOKIE_BITS) +
	       ((cookie_hash(st, &req->node, req->irs, minute) + i) & COOKIE_MASK);
}

uint16_t tcp_cookie_mss(const struct stack *st, const struct tcp_node *n, uint32_t irs,
			uint32_t isn)
{
	uint32_t minute = cookie_minute(st), cookie = isn - cookie_base(st, n, irs);
	uint32_t age = (minute - (cookie >> COOKIE_BITS)) & (UINT32_MAX >> COOKIE_BITS);
	uint32_t i;

	if (age >= COOKIE_PERIODS)
		return 0;
	/* with the peer's ISN in this hash as well: a segment a few bytes further on must not pass
	 * for the first one, whose bytes would be missing */
	i = (cookie - cookie_hash(st, n, irs, minute - age)) & COOKIE_MASK;
	return i < ARRAY_SIZE(cookie_mss) ? cookie_mss[i] : 0;
}

void tcp_cookie_hide_options(const struct stack *st, struct tcp_req *req)
{
	uint32_t now = tcp_ts_now(st, 0), ts;

	if (!req->tstamp_ok) {
		req->wscale_ok = req->sack_ok = req->ecn_ok = false;
		return;
	}
	ts = now & ~TS_MASK;
	ts |= req->wscale_ok ? req->snd_wscale : TS_NO_WSCALE;
	ts |= req->sack_ok ? TS_SACK : 0;
	ts |= req->ecn_ok ? TS_ECN : 0;
	/* never ahead: what follows on this connection may not be older (RFC 7323 5.4) */
	if (after(ts, now))
		ts -= TS_MASK + 1;
	req->tsoffset += ts - now;
}

bool tcp_cookie_find_options(const struct stack *st, struct tcp_req *req, uint32_t ts_ecr)
{
	const struct stack_config *cfg = &st->cfg;
	uint32_t bits = (ts_ecr - req->tsoffset) & TS_MASK;

	/* what we would not have agreed to was never in a cookie */
	if (!cfg->timestamps || ((bits & TS_SACK) && !cfg->sack))
		return false;
	if ((bits & TS_ECN) && cfg->ecn == TCP_ECN_OFF && !req->listener->ca->needs_ecn)
		return false;
	req->tstamp_ok = true;
	req->sack_ok = bits & TS_SACK;
	req->ecn_ok = bits & TS_ECN;
	req->wscale_ok = (bits & TS_NO_WSCALE) != TS_NO_WSCALE;
	req->snd_wscale = req->wscale_ok ? bits & TS_NO_WSCALE : 0;
	return !req->wscale_ok || cfg->window_scaling;
}

bool tcp_cookie_due(const struct tcp_sock *lp)
{
	const struct tcp_sock *tp;

	/* with SO_REUSEPORT the SYN may have gone to another, before one came or went */
	for (tp = tcp_listen_first(lp); tp; tp = tp->listen_next)
		if (tcp_listen_same(tp, lp) && tp->overflow_ns &&
		    tcp_stack(tp)->now - tp->overflow_ns < COOKIE_PERIODS * COOKIE_PERIOD)
			return true;
	return false;
}
