/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss recovery. The scoreboard of RFC 6675 is the write queue itself with tags on each
 * skb, so it cannot grow beyond it. With SACK: RFC 6675's IsLost and pipe; a lost
 * retransmission is seen by RFC 8985's rule (something sent later has arrived). Without:
 * NewReno (RFC 6582), duplicate ACKs standing in for SACKed bytes. RACK's reordering
 * window for first transmissions and TLP come with the full recovery.
 */
#include "stack/tcp_int.h"

/* judged - note bytes newly SACKed below lost_hint. */
static void tag_sacked(struct tcp_sock *tp, struct sk_buff *skb)
{
	uint32_t n = tcp_skb_bytes(skb);

	if (skb->tcp.sacked & TCPCB_LOST)
		tp->lost_out -= n;
	if (skb->tcp.sacked & TCPCB_RETRANS)
		tp->retrans_out -= n;
	skb->tcp.sacked = TCPCB_SACKED;
	tp->sacked_out += n;
	if (tp->lost_hint && before(skb->tcp.seq, tp->lost_hint->tcp.seq))
		tp->lost_cnt += n;
	if (!tp->highest_sack || after(skb->tcp.seq, tp->highest_sack->tcp.seq))
		tp->highest_sack = skb;
	if (skb->tcp.tx_ns > tp->rack_tx_ns) {
		uint64_t rtt_us = (tcp_stack(tp)->now - skb->tcp.tx_ns) / NSEC_PER_USEC;

		/* RFC 8985 6.2 step 2: an answer faster than the path was for the original */
		if (!skb->tcp.retrans || rtt_us >= tp->min_rtt_us)
			tp->rack_tx_ns = skb->tcp.tx_ns;
	}
}

/* sack_valid - RFC 2018 and B19: inside (snd_una, snd_nxt], not empty, not inverted. */
static bool sack_valid(const struct tcp_sock *tp, const struct tcp_sack_block *b)
{
	return before(b->start, b->end) && !before(b->start, tp->snd_una) &&
	       after(b->end, tp->snd_una) && !after(b->end, tp->snd_nxt);
}

/* sack_start - where to begin looking for b: most blocks only extend the highest one. */
static struct sk_buff *sack_start(struct tcp_sock *tp, const struct tcp_sack_block *b)
{
	if (tp->highest_sack && !before(b->start, tp->highest_sack->tcp.seq))
		return tp->highest_sack;
	return skb_peek(&tp->sk.sk_write_queue);
}

static uint32_t sack_block(struct tcp_sock *tp, const struct tcp_sack_block *b)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	struct sk_buff *skb = sack_start(tp, b);
	uint32_t newly = 0;

	for (; skb && skb != tp->send_head; skb = skb_queue_next(q, skb)) {
		if (!before(skb->tcp.seq, b->end))
			break;
		/* whole segments only: a part that is SACKed is as good as not (RFC 6675 4) */
		if (before(skb->tcp.seq, b->start) || after(skb->tcp.end_seq, b->end) ||
		    (skb->tcp.sacked & TCPCB_SACKED))
			continue;
		newly += tcp_skb_bytes(skb);
		tag_sacked(tp, skb);
	}
	return newly;
}

uint32_t tcp_sack_tag(struct tcp_sock *tp, const struct tcp_options *opt)
{
	uint32_t newly = 0;

	for (unsigned i = 0; i < opt->nr_sacks; i++) {
		const struct tcp_sack_block *b = &opt->sack[i];

		if (!sack_valid(tp, b))
			continue;
		/* blocks below are repeats of what came before (RFC 2018 section 4): skip what the
		 * last ACK already told */
		if (b->start == tp->sack_seen[i].start && b->end == tp->sack_seen[i].end)
			continue;
		newly += sack_block(tp, b);
	}
	memcpy(tp->sack_seen, opt->sack, sizeof(tp->sack_seen));
	return newly;
}

static void mark_lost(struct tcp_sock *tp, struct sk_buff *skb)
{
	if (skb->tcp.sacked & (TCPCB_SACKED | TCPCB_LOST))
		return;
	skb->tcp.sacked |= TCPCB_LOST;
	tp->lost_out += tcp_skb_bytes(skb);
	if (tp->retrans_hint && before(skb->tcp.seq, tp->retrans_hint->tcp.seq))
		tp->retrans_hint = skb;
}

/* update_lost - RFC 6675 IsLost: unsacked with more than (DupThresh - 1) * SMSS bytes SACKed
 * above it. lost_hint makes the sum of all calls linear. */
static void update_lost(struct tcp_sock *tp)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	uint32_t limit = (TCP_DUPTHRESH - 1) * tp->mss_cache;
	struct sk_buff *skb = tp->lost_hint;
	uint32_t below = tp->lost_cnt;

	if (!skb) {
		skb = skb_peek(q);
		below = 0;
	}
	for (; skb && skb != tp->send_head; skb = skb_queue_next(q, skb)) {
		if (tp->sacked_out - below <= limit)
			break;
		if (skb->tcp.sacked & TCPCB_SACKED)
			below += tcp_skb_bytes(skb);
		else
			mark_lost(tp, skb);
	}
	tp->lost_hint = skb == tp->send_head ? NULL : skb;
	tp->lost_cnt = tp->lost_hint ? below : 0;
}

/* retrans_is_lost - sent, by a quarter of the shortest round trip, before something that has
 * arrived since (RFC 8985 6.2 step 5). */
static bool retrans_is_lost(const struct tcp_sock *tp, const struct sk_buff *skb)
{
	uint64_t reo = tp->min_rtt_us * NSEC_PER_USEC / 4;

	return (skb->tcp.sacked & TCPCB_RETRANS) && skb->tcp.tx_ns + reo < tp->rack_tx_ns;
}

/* update_lost_retrans - look for lost retransmissions, but only when the first one is: it was
 * sent before the others. */
static void update_lost_retrans(struct tcp_sock *tp)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	struct sk_buff *skb = skb_peek(q);

	if (!tp->retrans_out || !skb || !retrans_is_lost(tp, skb))
		return;
	for (; skb && skb != tp->send_head; skb = skb_queue_next(q, skb)) {
		if (!retrans_is_lost(tp, skb))
			continue;
		skb->tcp.sacked &= (uint8_t)~TCPCB_RETRANS;
		tp->retrans_out -= tcp_skb_bytes(skb);
		mark_lost(tp, skb);
	}
	tp->retrans_hint = NULL;
}

/* reno_dupack - without SACK each duplicate ACK says that one segment has left the network. */
static void reno_dupack(struct tcp_sock *tp)
{
	uint32_t flight = tcp_flight(tp), mss = tp->mss_cache;

	if (tp->sacked_out + tp->lost_out + mss < flight)
		tp->sacked_out += mss;
}

/* reno_clamp - dup ACKs are counted as full segments, whatever was sent: never more than what
 * is in flight and not lost, or the pipe would be negative. */
static void reno_clamp(struct tcp_sock *tp)
{
	uint32_t flight = tcp_flight(tp);

	if (tp->sacked_out + tp->lost_out > flight)
		tp->sacked_out = flight - min_t(uint32_t, tp->lost_out, flight);
}

/* reno_acked - after a partial ACK the segments that dup ACKs stood for are among the
 * acknowledged, but for the first. */
static void reno_acked(struct tcp_sock *tp, uint32_t acked)
{
	uint32_t n = acked > tp->mss_cache ? acked - tp->mss_cache : 0;

	tp->sacked_out -= min_t(uint32_t, n, tp->sacked_out);
	reno_clamp(tp);
}

static void enter_recovery(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);
	struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);

	stat_inc(&st->stats.tcp_fast_retrans);
	stat_inc(tp->sack_ok ? &st->stats.tcp_sack_recovery : &st->stats.tcp_reno_recovery);
	tp->ca_state = TCP_CA_RECOVERY;
	tp->recover = tp->snd_nxt;
	tp->snd_ssthresh = tp->ca->ssthresh(tp);
	tp->snd_cwnd = tp->snd_ssthresh;
	tp->cwnd_acked = 0;
	mark_lost(tp, head);
	if (!tp->sack_ok)
		reno_clamp(tp);
	/* RFC 6675 step 4.3: the first retransmission does not wait for the pipe. A head that is
	 * SACKed and not acknowledged is a peer that reneges: the timer's affair. */
	if (!(head->tcp.sacked & TCPCB_SACKED))
		(void)tcp_retransmit_skb(tp, head);
}

static void leave_recovery(struct tcp_sock *tp)
{
	/* RFC 6582 step 3: cwnd = min(ssthresh, flight + mss) avoids a burst */
	tp->snd_cwnd = min_t(uint32_t, tp->snd_ssthresh,
			     max_t(uint32_t, tcp_flight(tp), tp->mss_cache) + tp->mss_cache);
	tp->snd_cwnd = max_t(uint32_t, tp->snd_cwnd, 2u * tp->mss_cache);
	tp->dupacks = 0;
	tp->ca_state = tp->sacked_out && tp->sack_ok ? TCP_CA_DISORDER : TCP_CA_OPEN;
	if (!tp->sack_ok)
		tp->sacked_out = 0;
}

static bool head_is_lost(const struct tcp_sock *tp)
{
	if (tp->dupacks >= TCP_DUPTHRESH)
		return true;
	return tp->sack_ok && tp->sacked_out > (TCP_DUPTHRESH - 1) * tp->mss_cache;
}

/* in_recovery - RECOVERY or LOSS and the ACK has not passed `recover` yet. */
static void in_recovery(struct tcp_sock *tp, uint32_t acked)
{
	if (tp->sack_ok) {
		update_lost(tp);
		update_lost_retrans(tp);
	} else if (acked && tp->ca_state == TCP_CA_RECOVERY) {
		/* RFC 6582 3.2 step 3: a partial ACK, the next one is lost as well */
		struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);

		if (head && head != tp->send_head)
			mark_lost(tp, head);
		reno_clamp(tp);
	}
}

void tcp_fastretrans(struct tcp_sock *tp, uint32_t acked, uint32_t newly_sacked, bool is_dup)
{
	if (acked)
		tp->dupacks = 0;
	/* RFC 6675 section 2: with SACK only an ACK that tells news of it is a duplicate; bare ones
	 * are easily forged (B30) */
	if (tp->sack_ok ? newly_sacked != 0 : is_dup)
		tp->dupacks = (uint8_t)min_t(unsigned, tp->dupacks + 1u, 255);
	if (!tp->sack_ok) {
		if (is_dup)
			reno_dupack(tp);
		if (acked)
			reno_acked(tp, acked);
	}
	if (tp->ca_state >= TCP_CA_RECOVERY) {
		if (!before(tp->snd_una, tp->recover))
			leave_recovery(tp);
		else
			in_recovery(tp, acked);
		return;
	}
	if (tp->sack_ok)
		update_lost(tp);
	if (tcp_flight(tp) && head_is_lost(tp))
		enter_recovery(tp);
	else if (!tp->sacked_out && !tp->dupacks)
		tp->ca_state = TCP_CA_OPEN;
	else
		tp->ca_state = TCP_CA_DISORDER;
	if (!tp->sack_ok && tp->ca_state == TCP_CA_OPEN)
		tp->sacked_out = 0;
}

void tcp_tlp_acked(struct tcp_sock *tp, uint32_t ack, bool dsack)
{
	if (before(ack, tp->tlp_end))
		return;
	tp->tlp_out = false;
	if (!tp->tlp_retrans || dsack || tp->ca_state != TCP_CA_OPEN)
		return;
	tp->snd_ssthresh = tp->ca->ssthresh(tp);
	tp->snd_cwnd = tp->snd_ssthresh;
	tp->cwnd_acked = 0;
}

/* drop_sacks - the peer reneged, or has no SACK: forget what it was said to hold. */
static bool must_drop_sacks(const struct tcp_sock *tp)
{
	const struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);

	/* RFC 2018 section 8: the first segment SACKed at a timeout means that it reneged */
	return !tp->sack_ok || (head && (head->tcp.sacked & TCPCB_SACKED));
}

void tcp_clear_scoreboard(struct tcp_sock *tp)
{
	tp->sacked_out = tp->lost_out = tp->retrans_out = 0;
	tp->highest_sack = tp->lost_hint = tp->retrans_hint = NULL;
	tp->lost_cnt = 0;
	memset(tp->sack_seen, 0, sizeof(tp->sack_seen));
}

void tcp_enter_loss(struct tcp_sock *tp)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	bool forget = must_drop_sacks(tp);
	struct sk_buff *skb;

	/* RFC 5681 3.1: once per loss event, not once per backoff */
	if (tp->ca_state != TCP_CA_LOSS || !before(tp->snd_una, tp->recover))
		tp->snd_ssthresh = tp->ca->ssthresh(tp);
	tcp_clear_scoreboard(tp);
	for (skb = skb_peek(q); skb && skb != tp->send_head; skb = skb_queue_next(q, skb)) {
		if (forget)
			skb->tcp.sacked = 0;
		skb->tcp.sacked &= TCPCB_SACKED;
		if (skb->tcp.sacked) {
			tp->sacked_out += tcp_skb_bytes(skb);
			tp->highest_sack = skb;
		} else {
			mark_lost(tp, skb);
		}
	}
	tp->tlp_out = false;
	tp->ca_state = TCP_CA_LOSS;
	tp->recover = tp->snd_nxt;
	tp->snd_cwnd = tp->mss_cache;
	tp->cwnd_acked = 0;
	tp->dupacks = 0;
}
