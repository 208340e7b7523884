/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How large a segment may be. What routers say (RFC 1191), believed only about what is in flight
 * (RFC 5927 7.2), never below a floor, and remembered for each destination for a while; and what
 * we find out alone where they say nothing (RFC 4821): smaller after a black hole, larger by
 * probes of real data, whose loss is no sign of congestion (RFC 4821 7.2).
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_guard.h"

#define PMTU_WAYS 4

/* ---- what is known of destinations ---- */

static struct tcp_pmtu *pmtu_set(const struct stack *st, uint32_t daddr)
{
	uint64_t h = siphash24(st->tcp->cookie_key, &daddr, sizeof(daddr));

	return st->tcp->pmtu + h % (st->cfg.pmtu_max / PMTU_WAYS) * PMTU_WAYS;
}

static struct tcp_pmtu *pmtu_find(const struct stack *st, uint32_t daddr)
{
	struct tcp_pmtu *p;

	if (likely(!st->tcp->pmtu))
		return NULL;
	p = pmtu_set(st, daddr);
	for (unsigned i = 0; i < PMTU_WAYS; i++) {
		if (p[i].daddr == daddr && p[i].until > st->now)
			return &p[i];
	}
	return NULL;
}

/* pmtu_learn - the path to daddr takes no more than mtu. A full set forgets what is oldest. */
static void pmtu_learn(struct stack *st, uint32_t daddr, uint16_t mtu)
{
	struct tcp_shard *sh = st->tcp;
	struct tcp_pmtu *p = pmtu_find(st, daddr), *set;

	if (!sh->pmtu)
		sh->pmtu = stack_alloc(st, st->cfg.pmtu_max * sizeof(*sh->pmtu));
	if (!sh->pmtu)
		return; /* each connection learns for itself */
	if (!p) {
		p = set = pmtu_set(st, daddr);
		for (unsigned i = 1; i < PMTU_WAYS; i++) {
			if (set[i].until < p->until)
				p = &set[i];
		}
	}
	*p = (struct tcp_pmtu){.daddr = daddr, .mtu = mtu, .until = st->now + st->cfg.mtu_expires};
}

void tcp_mtu_fini(struct stack *st)
{
	stack_mfree(st, st->tcp->pmtu, st->cfg.pmtu_max * sizeof(*st->tcp->pmtu));
	st->tcp->pmtu = NULL;
}

/* ---- MTU and MSS ---- */

/* mtu_to_mss - payload of a full segment with today's options. */
static uint32_t mtu_to_mss(const struct tcp_sock *tp, uint32_t mtu)
{
	return min_t(uint32_t, tp->peer_mss, mtu - IP_HLEN - TCP_HLEN) - (tp->hdr_len - TCP_HLEN);
}

static uint32_t mss_to_mtu(const struct tcp_sock *tp, uint32_t mss)
{
	return mss + tp->hdr_len + IP_HLEN;
}

/* device_mss - a device that takes no fragments: header and payload share one buffer. */
static uint32_t device_mss(const struct stack *st)
{
	if (st->features & NETDEV_F_TX_SG)
		return UINT16_MAX;
	return st->cache.pool->buf_size - st->dev->headroom - TCP_MAX_HEADER;
}

void tcp_sync_mss(struct tcp_sock *tp)
{
	uint32_t mss;

	tp->hdr_len = tp->tstamp_ok ? TCP_HLEN + TCP_TS_ALIGNED : TCP_HLEN;
	mss = mtu_to_mss(tp, tcp_path_mtu(tp));
	if (unlikely(tp->mtup.enabled))
		mss = min_t(uint32_t, mss, mtu_to_mss(tp, tp->mtup.low));
	tp->mss_cache = (uint16_t)min_t(uint32_t, mss, device_mss(tcp_stack(tp)));
	/* a window of one segment is one of the new size (RFC 5681 3.1: LW) */
	tp->snd_cwnd = max_t(uint32_t, tp->snd_cwnd, tp->mss_cache);
}

/* ---- a smaller MTU ---- */

/* simple_retransmit - all that is in flight and too large is lost, and goes again in pieces. No
 * congestion: LOSS, but with cwnd and ssthresh as they are (RFC 1191 6.2, 4821 7.2). */
static void simple_retransmit(struct tcp_sock *tp)
{
	struct sk_buff *skb;

	skb_queue_walk (&tp->sk.sk_write_queue, skb) {
		if (skb == tp->send_head)
			break;
		if (skb->len > tp->mss_cache)
			tcp_mark_lost(tp, skb);
	}
	if (!tp->lost_out)
		return;
	if (!tp->sack_ok)
		tp->sacked_out = min_t(uint32_t, tp->sacked_out, tcp_flight(tp) - tp->lost_out);
	if (tp->ca_state != TCP_CA_LOSS) {
		tp->recover = tp->snd_nxt;
		tp->snd_ssthresh = tcp_current_ssthresh(tp);
		tp->prior_ssthresh = 0;
		tp->undo_valid = tp->tlp_out = false;
		tp->frto = TCP_FRTO_OFF;
		tcp_set_ca_state(tp, TCP_CA_LOSS);
	}
	tcp_output_mark(tp);
}

static void mtu_shrunk(struct tcp_sock *tp)
{
	tcp_sync_mss(tp);
	simple_retransmit(tp);
}

void tcp_mtu_reduced(struct tcp_sock *tp, uint32_t mtu)
{
	struct stack *st = tcp_stack(tp);

	/* IP_MTU_DISCOVER: these do not listen to routers */
	if (tp->pmtudisc == SK_PMTUDISC_DONT || tp->pmtudisc >= SK_PMTUDISC_PROBE ||
	    mtu >= tcp_path_mtu(tp))
		return;
	stat_inc(&st->stats.tcp_mtu_reduced);
	pmtu_learn(st, tp->node.faddr, (uint16_t)mtu);
	tp->pmtu = (uint16_t)mtu;
	tp->pmtu_until = st->now + st->cfg.mtu_expires;
	tp->mtu_watch = true;
	tp->mtup.high = min_t(uint16_t, tp->mtup.high, (uint16_t)mtu);
	tp->mtup.low = min_t(uint16_t, tp->mtup.low, (uint16_t)mtu);
	tp->mtup.probe_size = 0;
	mtu_shrunk(tp);
}

void tcp_mtu_init(struct tcp_sock *tp)
{
	const struct stack *st = tcp_stack(tp);
	const struct tcp_pmtu *p = pmtu_find(st, tp->node.faddr);

	tp->pmtu = 0;
	tp->pmtu_until = 0;
	if (unlikely(p) && p->mtu < st->mtu && tp->pmtudisc < SK_PMTUDISC_PROBE) {
		tp->pmtu = p->mtu;
		tp->pmtu_until = p->until;
		tp->mtu_watch = true;
	}
	tcp_sync_mss(tp);
}

/* RFC 1191 6.3: routes change; after a while the full size is tried again. */
static void mtu_expire(struct tcp_sock *tp)
{
	if (tcp_stack(tp)->now >= tp->pmtu_until)
		tcp_mtu_init(tp);
}

/* ---- without routers' help (RFC 4821) ---- */

void tcp_mtup_init(struct tcp_sock *tp)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;
	uint32_t mss = min_t(uint32_t, tp->peer_mss, tcp_path_mtu(tp) - IP_HLEN - TCP_HLEN);
	uint32_t most = min_t(uint32_t, mss, device_mss(tcp_stack(tp)) + (tp->hdr_len - TCP_HLEN));

	tp->mtup = (struct tcp_mtup){
		.enabled = cfg->mtu_probing == 2 && !tp->rt.local && !tcp_no_df(tp),
		.high = (uint16_t)(most + TCP_HLEN + IP_HLEN),
		.low = (uint16_t)min_t(uint32_t, mss_to_mtu(tp, cfg->base_mss),
				       most + TCP_HLEN + IP_HLEN),
		.searched_ns = tcp_stack(tp)->now,
	};
	tp->mtu_watch |= tp->mtup.enabled;
	tcp_sync_mss(tp);
}

void tcp_mtu_black_hole(struct tcp_sock *tp)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;
	struct tcp_mtup *m = &tp->mtup;
	uint32_t mss;

	if (!cfg->mtu_probing || tp->rt.local)
		return;
	if (!m->enabled) {
		m->enabled = tp->mtu_watch = true;
	} else {
		mss = min_t(uint32_t, mtu_to_mss(tp, m->low) / 2, cfg->base_mss);
		mss = max_t(uint32_t, mss, cfg->mtu_probe_floor);
		m->low = (uint16_t)min_t(uint32_t, m->low, mss_to_mtu(tp, mss));
	}
	m->searched_ns = tcp_stack(tp)->now;
	m->probe_size = 0;
	stat_inc(&tcp_stack(tp)->stats.tcp_mtu_black_holes);
	tcp_sync_mss(tp);
}

/* search_again - the interval is narrow; after probe_interval the path may have become wider. */
static void search_again(struct tcp_sock *tp)
{
	struct tcp_mtup *m = &tp->mtup;
	const struct stack *st = tcp_stack(tp);
	uint32_t low;

	if (st->now - m->searched_ns < st->cfg.probe_interval)
		return;
	low = mss_to_mtu(tp, tp->mss_cache);
	tcp_mtup_init(tp);
	m->enabled = tp->mtu_watch = true;
	m->low = (uint16_t)min_t(uint32_t, m->high, low);
	tcp_sync_mss(tp);
}

/* may_probe - RFC 4821 7.4: data for the probe and for what shows its loss is there, windows allow
 * it, and nothing is amiss. */
static bool may_probe(const struct tcp_sock *tp, uint32_t size)
{
	uint32_t need = size + (TCP_DUPTHRESH + 1) * tp->mss_cache;
	uint32_t unsent = tp->write_seq - tp->snd_nxt;

	return tp->ca_state == TCP_CA_OPEN && tp->snd_cwnd >= 11u * tp->mss_cache &&
	       !tp->nr_sacks && unsent >= need && tcp_flight(tp) + need <= tp->snd_wnd &&
	       tcp_pipe(tp) + size <= tp->snd_cwnd;
}

/* gather - the queue's unsent head gets `size` bytes, taken from those behind it. */
static bool gather(struct tcp_sock *tp, struct sk_buff *head, uint32_t size)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;

	while (head->len < size) {
		struct sk_buff *next = skb_queue_next(q, head);
		uint32_t take = size - head->len;

		if (!next || (head->tcp.tcp_flags & (TCPF_SYN | TCPF_FIN)))
			return false;
		if (next->len > take && !tcp_split(tp, next, take))
			return false;
		head->tcp.end_seq = next->tcp.end_seq;
		head->tcp.tcp_flags |= next->tcp.tcp_flags;
		skb_unlink(q, next);
		skb_append_frag(head, next);
	}
	return head->len == size || tcp_split(tp, head, size);
}

static void mtu_probe(struct tcp_sock *tp)
{
	struct tcp_mtup *m = &tp->mtup;
	uint32_t size = mtu_to_mss(tp, ((uint32_t)m->high + m->low) / 2);
	struct sk_buff *head = tp->send_head;

	if (m->probe_size)
		return;
	if (m->high < m->low + tcp_stack(tp)->cfg.probe_threshold || size <= tp->mss_cache) {
		search_again(tp);
		return;
	}
	if (!may_probe(tp, size))
		return;
	if (!gather(tp, head, size) || tcp_send_head(tp))
		return;
	stat_inc(&tcp_stack(tp)->stats.tcp_mtu_probes);
	m->probe_size = (uint16_t)mss_to_mtu(tp, size);
	m->probe_start = head->tcp.seq;
	m->probe_end = head->tcp.end_seq;
	if (tp->pending != TCP_PEND_RETRANS && tp->pending != TCP_PEND_REO)
		tcp_rearm_rto(tp);
}

void __tcp_mtu_before_xmit(struct tcp_sock *tp)
{
	if (tp->pmtu_until)
		mtu_expire(tp);
	if (tp->mtup.enabled)
		mtu_probe(tp);
	tp->mtu_watch = tp->pmtu_until || tp->mtup.enabled;
}

void __tcp_mtu_probe_acked(struct tcp_sock *tp)
{
	struct tcp_mtup *m = &tp->mtup;

	if (before(tp->snd_una, m->probe_end))
		return;
	stat_inc(&tcp_stack(tp)->stats.tcp_mtu_probe_oks);
	m->low = m->probe_size;
	m->probe_size = 0;
	tcp_sync_mss(tp);
}

bool __tcp_mtu_probe_lost(struct tcp_sock *tp)
{
	struct tcp_mtup *m = &tp->mtup;

	if (tp->snd_una != m->probe_start)
		return false;
	stat_inc(&tcp_stack(tp)->stats.tcp_mtu_probe_fails);
	m->high = (uint16_t)(m->probe_size - 1);
	m->probe_size = 0;
	simple_retransmit(tp);
	return true;
}
