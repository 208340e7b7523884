/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside TCP, beside tcp_int.h: the few instructions of the scoreboard and the timers that every
 * segment runs through even where nothing is lost, inline; what is rarer is called. Owner lane
 * only.
 */
#ifndef STACK_TCP_FAST_H
#define STACK_TCP_FAST_H

#include "stack/tcp_int.h"

/* tcp_bucket - where a 4-tuple's node stands in the table. Two multiplications keyed with secrets:
 * an attacker who sees no hash value cannot aim at one bucket, and it costs a tenth of SipHash on
 * this path. Addresses in network order, ports in host order. */
static inline struct tcp_node **tcp_bucket(const struct tcp_shard *sh, uint32_t laddr,
					   uint32_t faddr, uint16_t lport, uint16_t fport)
{
	uint64_t ports = (uint32_t)lport << 16 | fport;
	uint64_t a = ((uint64_t)laddr << 32 | faddr) ^ sh->hash_key[0];
	uint64_t b = (ports | ports << 32) ^ sh->hash_key[1];
	__uint128_t m = (__uint128_t)a * b;
	uint64_t x = ((uint64_t)m ^ (uint64_t)(m >> 64)) * 0x9e3779b97f4a7c15ull;

	return &sh->table[(uint32_t)(x >> 32) & sh->table_mask];
}

/* __tcp_lookup - tcp_lookup (tcp_hash.h), inline. */
static inline struct tcp_node *__tcp_lookup(const struct tcp_shard *sh, uint32_t laddr,
					    uint32_t faddr, uint16_t lport, uint16_t fport)
{
	struct tcp_node *n = *tcp_bucket(sh, laddr, faddr, lport, fport);

	for (; n; n = n->next)
		if (n->lport == lport && n->fport == fport && n->faddr == faddr &&
		    n->laddr == laddr)
			return n;
	return NULL;
}

/* tcp_fack - the end of the highest SACKed byte; snd_una if none is. */
static inline uint32_t tcp_fack(const struct tcp_sock *tp)
{
	return unlikely(tp->highest_sack) ? tp->highest_sack->tcp.end_seq : tp->snd_una;
}

/* tcp_unlist - skb leaves sent_list or lost_list. */
static inline void tcp_unlist(struct tcp_sock *tp, struct sk_buff *skb)
{
	if (unlikely(skb == tp->lost_hint))
		tp->lost_hint = NULL;
	list_del(&skb->tcp.link);
}

/* tcp_sent - skb of the write queue has left, for the first time or again; its tx_ns is set. */
static inline void tcp_sent(struct tcp_sock *tp, struct sk_buff *skb, bool again)
{
	if (again)
		tcp_unlist(tp, skb);
	else if (unlikely(++tp->index.since >= tp->index.gap))
		__tcp_index_add(tp, skb);
	list_add_tail(&skb->tcp.link, &tp->sent_list);
}

/* tcp_rto_backoff - the RTO, doubled for each timeout since the last round trip (RFC 6298 5.5);
 * ns. */
static inline uint64_t tcp_rto_backoff(const struct tcp_sock *tp)
{
	uint64_t max = tcp_stack(tp)->cfg.rto_max;
	unsigned shift = tp->backoff;

	return min_t(uint64_t, tp->rto << min_t(unsigned, shift, 20), max);
}

/* tcp_disarm_retrans - nothing is in flight: no retransmit timer. */
static inline void tcp_disarm_retrans(struct tcp_sock *tp)
{
	tp->pending = TCP_PEND_NONE;
	tp->rto_deadline = 0;
	/* what is unsent loses its timer: the output step sends, or arms the persist timer */
	if (tp->send_head)
		tcp_output_mark(tp);
}

/* tcp_rearm_rto - after progress or a transmission: a tail loss probe where RFC 8985 7.2
 * allows one, else the RTO; nothing if nothing is in flight. */
static inline void tcp_rearm_rto(struct tcp_sock *tp)
{
	if (tcp_flight(tp))
		__tcp_rearm_rto(tp);
	else
		tcp_disarm_retrans(tp);
}

/* tcp_cwnd_is_limit - RFC 7661 4.1 in Linux's form: a window that is not filled is not validated.
 * In slow start half of it is enough: it doubles within the round trip. */
static inline bool tcp_cwnd_is_limit(const struct tcp_sock *tp)
{
	if (tp->snd_cwnd < tp->snd_ssthresh)
		return tp->snd_cwnd < 2 * tp->max_flight;
	return tp->cwnd_limited;
}

/* tcp_cong_grow - `acked` bytes more were delivered, and no reduction is under way. */
static inline void tcp_cong_grow(struct tcp_sock *tp, uint32_t acked)
{
	if (tcp_cwnd_is_limit(tp))
		__tcp_cong_grow(tp, acked);
}

#endif
