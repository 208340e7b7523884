/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments onto the wire: headers, options, checksum, by us or by the device. Every
 * transmission has fresh headers in an skb of its own; small payloads are copied behind
 * them, large ones shared (architecture.md rule 3), so nothing that a device may still
 * hold is ever written. What is copied is summed on the way, where we have to.
 */
#include "stack/tcp_guard.h"
#include "stack/tcp_rate.h"

/* What a segment says of itself; numbers in host order. */
struct seg {
	uint32_t laddr, faddr; /* network order */
	uint16_t lport, fport;
	uint32_t seq, ack;
	uint8_t flags;
	uint16_t window; /* as it stands in the header */
	uint8_t tos, ttl;
	bool no_df;
	bool summed;          /* payload_sum is that of the bytes behind the header */
	uint32_t payload_sum; /* as csum_partial() has it */
};

static struct sk_buff *xmit_alloc(struct stack *st)
{
	return skb_alloc_tx(&st->cache, st->dev->headroom + TCP_MAX_HEADER);
}

/* header_sum - of th, whose checksum is zero, and its options: from the values, and by the words
 * that were stored, as wider loads would wait until all of those stores are done. */
static ALWAYS_INLINE uint32_t header_sum(const struct tcphdr_ *th, unsigned optlen)
{
	const uint8_t *opt = (const uint8_t *)(th + 1);
	uint64_t sum = (uint64_t)th->source + th->dest + th->seq + th->ack_seq + th->window +
		       (th->doff | (uint32_t)th->flags << 8);

	for (unsigned i = 0; i < optlen; i += 4)
		sum += csum_load(opt + i, 4);
	return csum_fold64(sum);
}

/* set_csum - RFC 9293 3.1; the internal loopback needs none. */
static ALWAYS_INLINE void set_csum(struct stack *st, struct sk_buff *skb, struct tcphdr_ *th,
				   const struct seg *s, unsigned optlen, bool local)
{
	unsigned hlen = TCP_HLEN + optlen;
	uint32_t pseudo;

	if (local) {
		skb->ip_summed = CHECKSUM_GOOD;
		return;
	}
	pseudo = csum_pseudo(s->laddr, s->faddr, (uint16_t)skb->len, IPPROTO_TCP_);
	if (st->features & NETDEV_F_TX_TCP_CSUM) {
		stat_inc(&st->stats.csum_hw_tx);
		th->check = (uint16_t)~csum_fold(pseudo);
		skb->ip_summed = CHECKSUM_PARTIAL;
		return;
	}
	stat_inc(&st->stats.csum_sw_tx);
	skb->ip_summed = CHECKSUM_UNKNOWN;
	pseudo = csum_fold64((uint64_t)pseudo + header_sum(th, optlen));
	if (s->summed)
		pseudo = csum_fold64((uint64_t)pseudo + s->payload_sum);
	else
		pseudo = csum_skb(skb, hlen, skb->len - hlen, pseudo);
	th->check = csum_fold(pseudo);
}

/* fresh_id - RFC 6864 4.3: what may be fragmented has an ID that no other datagram to this host has
 * had lately, of whatever connection. Hosts share counters, so that none can be told from one's
 * own. */
static uint16_t fresh_id(struct stack *st, uint32_t daddr)
{
	struct tcp_shard *sh = st->tcp;
	uint64_t h = siphash24(sh->port_key, &daddr, sizeof(daddr));

	return (uint16_t)(sh->frag_id[h % ARRAY_SIZE(sh->frag_id)]++ + (h >> 32));
}

/* xmit, __xmit (inline, for what every segment is) - put the header with optlen bytes of options
 * (written already, right behind where the header goes) in front of skb and send it. Consumes
 * skb. */
static ALWAYS_INLINE void __xmit(struct stack *st, struct sk_buff *skb, const struct seg *s,
				 unsigned optlen, struct route *rt, uint16_t id)
{
	struct tcphdr_ *th = (struct tcphdr_ *)skb_push(skb, TCP_HLEN);

	th->source = be16(s->lport);
	th->dest = be16(s->fport);
	th->seq = be32(s->seq);
	th->ack_seq = be32(s->ack);
	th->doff = (uint8_t)((TCP_HLEN + optlen) / 4 << 4);
	th->flags = s->flags;
	th->window = be16(s->window);
	th->check = 0;
	th->urg_ptr = 0;
	skb->transport_header = (uint16_t)(skb->data - skb->head);
	set_csum(st, skb, th, s, optlen, rt->local);
	stat_inc(&st->stats.tcp_out_segs);
	if (unlikely(s->no_df)) {
		skb->flags |= SKB_F_NO_DF;
		id = fresh_id(st, rt->daddr);
	}
	ip_output(st, skb, rt, IPPROTO_TCP_, s->ttl, s->tos, id);
}

static NOINLINE void xmit(struct stack *st, struct sk_buff *skb, const struct seg *s,
			  unsigned optlen, struct route *rt, uint16_t id)
{
	__xmit(st, skb, s, optlen, rt, id);
}

static inline void seg_of(const struct tcp_sock *tp, struct seg *s)
{
	s->no_df = tcp_no_df(tp);
	s->laddr = tp->node.laddr;
	s->faddr = tp->node.faddr;
	s->lport = tp->node.lport;
	s->fport = tp->node.fport;
	s->tos = tp->sk.sk_tos;
	s->ttl = tp->sk.sk_ttl;
}

/* put_syn_options - the options of a SYN of tp; returns their length. */
static COLD unsigned put_syn_options(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct tcp_options o = {
		.mss = tp->advmss,
		.tstamp_ok = tp->tstamp_ok,
		.sack_ok = tp->sack_ok,
		.wscale_ok = tp->wscale_ok,
		.ts_val = tcp_ts_now(tcp_stack(tp), tp->tsoffset),
		/* RFC 7323 3.2: nothing to echo without ACK */
		.ts_ecr = tp->sk.sk_state == TCP_SYN_SENT ? 0 : tp->ts_recent,
	};
	uint8_t buf[TCP_MAX_OPT];
	unsigned n = tcp_write_syn_options(buf, &o, tp->rcv_wscale);

	memcpy(skb_push(skb, n), buf, n);
	return n;
}

/* put_options - the options of tp's next segment in front of skb's payload. */
static inline unsigned put_options(struct tcp_sock *tp, struct sk_buff *skb)
{
	unsigned n = tp->hdr_len - TCP_HLEN, nr_sacks = 0;

	if (unlikely(tp->nr_sacks || tp->dsack.start != tp->dsack.end)) {
		nr_sacks = tcp_sacks_that_fit(tp, skb->len);
		n = tcp_options_len(tp, nr_sacks);
	}
	if (likely(n))
		tcp_write_options(skb_push(skb, n), tp, nr_sacks);
	if (unlikely(nr_sacks))
		tp->dsack.end = tp->dsack.start;
	return n;
}

/* ack_sent - a segment with ACK left: nothing is owed any more. */
static void ack_sent(struct tcp_sock *tp)
{
	tp->ack_pending = 0;
	tp->ack_deadline = 0;
}

/* What is shorter is in the first-level cache when it is summed. */
#define SUM_COPY_MIN 256u

/* copy_payload - skb's bytes behind t's, with their sum where set_csum() will want it. */
static void copy_payload(const struct stack *st, struct sk_buff *t, struct sk_buff *skb, bool local,
			 struct seg *s)
{
	uint8_t *p = skb_put(t, skb->len);

	if (unlikely(skb->frag)) {
		BUG_ON(skb_copy_bits(skb, 0, p, skb->len));
	} else if (likely(skb->len < SUM_COPY_MIN) || local ||
		   st->features & NETDEV_F_TX_TCP_CSUM) {
		memcpy(p, skb->data, skb->len);
	} else {
		s->payload_sum = csum_copy(p, skb->data, skb->len);
		s->summed = true;
	}
}

/* shares_payload - by reference go long payloads that nobody here has to read. Where we sum, the
 * copy is cheaper than a second skb: bench_rr's stream 784 -> 673 cycles a segment, though both of
 * its ends share a cpu; between the lanes of a net_ring the receiver's 501 -> 334, as that skb's
 * lines go across. */
static inline bool shares_payload(const struct stack *st, const struct sk_buff *skb, bool local)
{
	return skb->len > st->dev->tx_copybreak &&
	       (local || (st->features & NETDEV_F_TX_SG && st->features & NETDEV_F_TX_TCP_CSUM));
}

/* add_payload - skb's bytes into t, by copy or by reference; false: no buffer. */
static bool add_payload(struct stack *st, struct sk_buff *t, struct sk_buff *skb, bool local,
			struct seg *s)
{
	struct sk_buff *ref;

	if (skb->len <= skb_tailroom(t) && !shares_payload(st, skb, local)) {
		copy_payload(st, t, skb, local, s);
		return true;
	}
	ref = skb_ref(&st->cache, skb, 0, skb->len);
	if (!ref)
		return false;
	skb_append_frag(t, ref);
	return true;
}

int tcp_transmit_skb(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct stack *st = tcp_stack(tp);
	bool syn = skb->tcp.tcp_flags & TCPF_SYN;
	/* a SYN has nothing to keep, and its retries bound the wait for an answer */
	struct sk_buff *t = unlikely(tcp_tx_off(tp)) && !syn ? NULL : xmit_alloc(st);
	struct seg s;
	unsigned optlen;

	if (unlikely(!t))
		return -ENOBUFS;
	s.summed = false;
	if (skb->len && unlikely(!add_payload(st, t, skb, tp->rt.local, &s))) {
		skb_free(t);
		return -ENOBUFS;
	}
	seg_of(tp, &s);
	s.seq = skb->tcp.seq;
	s.flags = (uint8_t)skb->tcp.tcp_flags;
	if (unlikely(syn)) {
		s.window = (uint16_t)min_t(uint32_t, tp->rcv_wnd, 65535);
		s.ack = s.flags & TCPF_ACK ? tp->rcv_nxt : 0;
		tp->rcv_wup = tp->rcv_nxt;
	} else {
		s.flags |= TCPF_ACK;
		s.ack = tp->rcv_nxt;
		s.window = (uint16_t)tcp_select_window(tp);
	}
	if (unlikely(tp->ecn_ok))
		s.flags |= tcp_ecn_flags(tp, skb, &s.tos);
	optlen = unlikely(syn) ? put_syn_options(tp, t) : put_options(tp, t);
	ack_sent(tp);
	tp->segs_out++;
	if (likely(skb->len)) {
		tp->data_segs_out++;
		tp->lsnd_ns = st->now;
	}
	skb->tcp.tx_ns = st->now;
	tcp_rate_sent(tp, skb);
	__xmit(st, t, &s, optlen, &tp->rt, tp->ip_id++);
	return 0;
}

void tcp_send_empty(struct tcp_sock *tp, uint32_t seq, uint8_t flags)
{
	struct stack *st = tcp_stack(tp);
	struct sk_buff *t = xmit_alloc(st);
	struct seg s;
	unsigned optlen;

	if (unlikely(!t)) {
		/* an ACK that is owed stays owed: the timer tries again */
		tp->ack_pending |= TCP_ACK_SCHED;
		tcp_arm_ack_again(tp);
		return;
	}
	seg_of(tp, &s);
	s.summed = false;
	s.seq = seq;
	s.flags = flags | TCPF_ACK;
	s.ack = tp->rcv_nxt;
	s.window = (uint16_t)tcp_select_window(tp);
	if (unlikely(tp->ecn_ok))
		s.flags |= tcp_ecn_flags(tp, NULL, &s.tos);
	optlen = put_options(tp, t);
	ack_sent(tp);
	tp->segs_out++;
	xmit(st, t, &s, optlen, &tp->rt, tp->ip_id++);
}

/*
 * acceptable_seq - what a segment without data says: SND.NXT, but the window's end where the peer
 * took back what it had offered. It would drop all that lies beyond, and its ACK too (RFC
 * 9293 3.10.7.4, 3.8.6); two ends that do so to each other never get on. Within the window's
 * rounding it is SND.NXT, as Linux's.
 */
static uint32_t acceptable_seq(const struct tcp_sock *tp)
{
	uint32_t wnd_end = tp->snd_una + tp->snd_wnd;

	if (likely(!after(tp->snd_nxt, wnd_end + (1u << tp->snd_wscale))) ||
	    tp->sk.sk_state == TCP_SYN_SENT || tp->sk.sk_state == TCP_SYN_RECV)
		return tp->snd_nxt;
	return wnd_end;
}

void tcp_send_ack(struct tcp_sock *tp)
{
	if (tp->sk.sk_state == TCP_CLOSE || tp->sk.sk_state == TCP_LISTEN)
		return;
	stat_inc(&tcp_stack(tp)->stats.tcp_pure_acks_out);
	tcp_send_empty(tp, acceptable_seq(tp), 0);
}

void tcp_send_challenge_ack(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);

	if (!tcp_may_answer(st, &tp->challenge_ns))
		return;
	stat_inc(&st->stats.tcp_challenge_acks);
	tcp_send_ack(tp);
}

void tcp_send_active_reset(struct tcp_sock *tp)
{
	stat_inc(&tcp_stack(tp)->stats.tcp_out_rsts);
	tcp_send_empty(tp, acceptable_seq(tp), TCPF_RST);
}

void tcp_send_reset(struct stack *st, const struct sk_buff *skb)
{
	const struct iphdr_ *ip = skb_iphdr(skb);
	const struct tcphdr_ *th = skb_tcphdr(skb);
	struct seg s = {
		.laddr = ip->daddr, .faddr = ip->saddr, .flags = TCPF_RST, .ttl = SK_DEFAULT_TTL};
	struct sk_buff *t;
	struct route rt;

	if (skb->tcp.tcp_flags & TCPF_RST)
		return;
	if (ip_route(st, ip->daddr, ip->saddr, &rt) != 0)
		return;
	t = xmit_alloc(st);
	if (!t)
		return;
	s.lport = be16(th->dest);
	s.fport = be16(th->source);
	/* RFC 9293 3.10.7.1 */
	if (skb->tcp.tcp_flags & TCPF_ACK) {
		s.seq = skb->tcp.ack_seq;
	} else {
		s.ack = skb->tcp.end_seq;
		s.flags |= TCPF_ACK;
	}
	stat_inc(&st->stats.tcp_out_rsts);
	xmit(st, t, &s, 0, &rt, 0);
}

void tcp_send_synack(struct stack *st, struct tcp_req *req)
{
	struct tcp_options o = {
		.mss = tcp_mss_clamp(req->listener, st->mtu - IP_HLEN - TCP_HLEN),
		.tstamp_ok = req->tstamp_ok,
		.sack_ok = req->sack_ok,
		.wscale_ok = req->wscale_ok,
		.ts_val = tcp_ts_now(st, req->tsoffset),
		.ts_ecr = req->ts_recent,
	};
	struct seg s = {
		.laddr = req->node.laddr,
		.faddr = req->node.faddr,
		.lport = req->node.lport,
		.fport = req->node.fport,
		.seq = req->iss,
		.ack = req->irs + 1,
		.flags = TCPF_SYN | TCPF_ACK | (req->ecn_ok ? TCPF_ECE : 0),
		.window = (uint16_t)min_t(uint32_t, req->rcv_wnd, 65535),
		.tos = req->listener->sk.sk_tos,
		.ttl = req->listener->sk.sk_ttl,
		.no_df = tcp_no_df(req->listener),
	};
	uint8_t opt[TCP_MAX_OPT];
	struct sk_buff *t;
	struct route rt;
	unsigned n;

	if (ip_route(st, req->node.laddr, req->node.faddr, &rt) != 0)
		return;
	t = xmit_alloc(st);
	if (!t)
		return;
	n = tcp_write_syn_options(opt, &o, req->rcv_wscale);
	memcpy(skb_push(t, n), opt, n);
	xmit(st, t, &s, n, &rt, 0);
}

/* send_bare_ack - for what has no struct tcp_sock. */
static void send_bare_ack(struct stack *st, const struct seg *s, bool ts, uint32_t tsoffset,
			  uint32_t ts_recent)
{
	struct sk_buff *t;
	struct route rt;
	unsigned n = 0;

	if (ip_route(st, s->laddr, s->faddr, &rt) != 0)
		return;
	t = xmit_alloc(st);
	if (!t)
		return;
	if (ts) {
		uint32_t opt[3] = {be32(0x0101080au), be32(tcp_ts_now(st, tsoffset)),
				   be32(ts_recent)};

		n = sizeof(opt);
		memcpy(skb_push(t, n), opt, n);
	}
	xmit(st, t, s, n, &rt, 0);
}

void tcp_send_req_ack(struct stack *st, const struct tcp_req *req)
{
	struct seg s = {
		.laddr = req->node.laddr,
		.faddr = req->node.faddr,
		.lport = req->node.lport,
		.fport = req->node.fport,
		.seq = req->iss + 1,
		.ack = req->irs + 1,
		.flags = TCPF_ACK,
		.window = (uint16_t)min_t(uint32_t, req->rcv_wnd >> req->rcv_wscale, 65535),
		.tos = req->listener->sk.sk_tos,
		.ttl = req->listener->sk.sk_ttl,
	};

	stat_inc(&st->stats.tcp_challenge_acks);
	send_bare_ack(st, &s, req->tstamp_ok, req->tsoffset, req->ts_recent);
}

void tcp_send_tw_ack(struct stack *st, const struct tcp_tw *tw)
{
	struct seg s = {
		.laddr = tw->node.laddr,
		.faddr = tw->node.faddr,
		.lport = tw->node.lport,
		.fport = tw->node.fport,
		.seq = tw->snd_nxt,
		.ack = tw->rcv_nxt,
		.flags = TCPF_ACK,
		.window = (uint16_t)(tw->rcv_wnd >> tw->rcv_wscale),
		.ttl = SK_DEFAULT_TTL,
	};

	send_bare_ack(st, &s, tw->tstamp_ok, tw->tsoffset, tw->ts_recent);
}
