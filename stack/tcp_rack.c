/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RACK-TLP (RFC 8985): what was sent before something that has arrived since, by more than a
 * reordering window, is lost; and a probe before the RTO makes the tail of a flight tell of
 * itself. For connections with SACK. sent_list is in order of transmission, so a look for
 * losses ends at the first segment that is still in time: it costs what it marks.
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_int.h"

/* Timers that run a little late see what is a little late (Linux: TCP_TIMEOUT_MIN_US). */
#define RACK_SLACK_NS (2 * NSEC_PER_MSEC)
/* No probe earlier: a peer that is a virtual machine is off its cpu for that long quite often,
 * and a probe that nobody needed only costs. */
#define TLP_MIN_NS (5 * NSEC_PER_MSEC)
/* RFC 8985 6.2 step 4: recoveries without D-SACK until the reordering window is small again. */
#define RACK_RECOVERY_THRESH 16u

/* sent_after - RFC 8985 6.2: transmission order, ties by sequence number. */
static bool sent_after(uint64_t t1, uint32_t seq1, uint64_t t2, uint32_t seq2)
{
	return t1 > t2 || (t1 == t2 && after(seq1, seq2));
}

void tcp_rack_advance(struct tcp_sock *tp, const struct sk_buff *skb)
{
	struct tcp_rack *r = &tp->rack;
	uint64_t rtt = tcp_stack(tp)->now - skb->tcp.tx_ns;

	/* step 2: an answer faster than the path ever was is to the original transmission */
	if (skb->tcp.retrans && rtt < tp->min_rtt_us * NSEC_PER_USEC)
		return;
	r->advanced = true;
	r->rtt_ns = rtt;
	if (sent_after(skb->tcp.tx_ns, skb->tcp.end_seq, r->xmit_ns, r->end_seq)) {
		r->xmit_ns = skb->tcp.tx_ns;
		r->end_seq = skb->tcp.end_seq;
	}
}

void tcp_rack_update_reo_wnd(struct tcp_sock *tp, bool dsack, bool leaving)
{
	struct tcp_rack *r = &tp->rack;

	if (r->in_dsack_round && !before(tp->snd_una, r->dsack_round))
		r->in_dsack_round = false;
	if (dsack && !r->in_dsack_round) {
		r->in_dsack_round = true;
		r->dsack_round = tp->snd_nxt;
		if (r->reo_wnd_mult < UINT8_MAX)
			r->reo_wnd_mult++;
		r->reo_wnd_persist = RACK_RECOVERY_THRESH;
	} else if (leaving && r->reo_wnd_persist && !--r->reo_wnd_persist) {
		r->reo_wnd_mult = 1;
	}
}

/* reo_wnd - step 4: ns that a segment may be late. None while the path never reordered, once
 * DupThresh segments or a recovery say that there is a loss. */
static uint64_t reo_wnd(const struct tcp_sock *tp)
{
	uint64_t wnd = tp->min_rtt_us * NSEC_PER_USEC / 4 * tp->rack.reo_wnd_mult;

	if (!tp->reord_seen &&
	    (tp->ca_state >= TCP_CA_RECOVERY || tp->sacked_segs >= TCP_DUPTHRESH))
		return 0;
	return min_t(uint64_t, wnd, (tp->srtt_us8 >> 3) * NSEC_PER_USEC);
}

/* remaining - ns until skb is late; <= 0: it is. */
static int64_t remaining(const struct tcp_sock *tp, const struct sk_buff *skb, uint64_t wnd)
{
	return (int64_t)(skb->tcp.tx_ns + tp->rack.rtt_ns + wnd - tcp_stack(tp)->now);
}

bool tcp_rack_recent(const struct tcp_sock *tp, const struct sk_buff *skb)
{
	return tp->sack_ok && remaining(tp, skb, 0) > 0;
}

/* detect_loss - step 5. Returns ns until the next segment may have to be marked, 0 none. The RFC
 * waits for the last one, to mark all at once; the first is due no later, and one look goes no
 * farther than it, however many wait behind (B18). */
static uint64_t detect_loss(struct tcp_sock *tp)
{
	uint64_t wnd = reo_wnd(tp);

	while (!list_empty(&tp->sent_list)) {
		struct sk_buff *skb = list_first_entry(&tp->sent_list, struct sk_buff, tcp.link);
		int64_t left;

		if (!sent_after(tp->rack.xmit_ns, tp->rack.end_seq, skb->tcp.tx_ns,
				skb->tcp.end_seq))
			return 0;
		left = remaining(tp, skb, wnd);
		if (left > 0)
			return (uint64_t)left;
		tcp_mark_lost(tp, skb);
	}
	return 0;
}

/* arm_reo - a sixteenth of a round trip late, within 2 and 4 ms: one look then finds what else was
 * sent with the first one that waits. Linux takes two of its jiffies. */
static void arm_reo(struct tcp_sock *tp, uint64_t timeout)
{
	tcp_arm_retrans(tp, TCP_PEND_REO,
			timeout + min_t(uint64_t, 2 * RACK_SLACK_NS,
					max_t(uint64_t, RACK_SLACK_NS, tp->rack.rtt_ns / 16)));
}

bool tcp_rack_mark_lost(struct tcp_sock *tp)
{
	uint32_t prior = tp->retrans_out;
	uint64_t timeout;

	if (!tp->rack.advanced)
		return false;
	tp->rack.advanced = false;
	timeout = detect_loss(tp);
	if (timeout)
		arm_reo(tp, timeout);
	return tp->retrans_out < prior;
}

void tcp_reo_expired(struct tcp_sock *tp)
{
	uint32_t prior = tp->lost_out - tp->retrans_out;
	uint64_t timeout = detect_loss(tp);

	if (tp->lost_out - tp->retrans_out != prior) {
		if (tp->ca_state < TCP_CA_RECOVERY) {
			tcp_enter_recovery(tp, false);
			tcp_cwnd_reduction(tp, tp->mss_cache, true, false);
		}
		tcp_output_mark(tp);
	}
	if (timeout)
		arm_reo(tp, timeout);
	else
		tcp_rearm_rto(tp);
}

/* ---- tail loss probe, RFC 8985 section 7 ---- */

uint64_t tcp_tlp_delay(const struct tcp_sock *tp)
{
	uint64_t pto;

	if (!tp->sack_ok || tp->ca_state == TCP_CA_DISORDER || tp->ca_state >= TCP_CA_RECOVERY ||
	    tp->sacked_out || tp->tlp_out || !tp->srtt_us8 || tp->backoff ||
	    tp->sk.sk_state == TCP_SYN_SENT || tp->sk.sk_state == TCP_SYN_RECV)
		return 0;
	/* 7.2: two round trips, and the longest delayed ACK if there is one segment to
	 * acknowledge */
	pto = (tp->srtt_us8 >> 2) * NSEC_PER_USEC;
	if (tcp_flight(tp) <= tp->mss_cache)
		pto += tcp_stack(tp)->cfg.tlp_ack_delay;
	else
		pto = max_t(uint64_t, pto + RACK_SLACK_NS, TLP_MIN_NS);
	return pto;
}

void tcp_tlp_expired(struct tcp_sock *tp)
{
	/* what held when the timer was armed holds no more if something was SACKed: the last
	 * segment may be what the peer has */
	tp->pending = TCP_PEND_NONE;
	if (tcp_flight(tp) && tcp_tlp_delay(tp) && tcp_send_loss_probe(tp)) {
		stat_inc(&tcp_stack(tp)->stats.tcp_loss_probes);
		/* 7.3: the RTO counts from the probe */
		tcp_arm_retrans(tp, TCP_PEND_RETRANS, tcp_rto_backoff(tp));
		return;
	}
	/* no further probe either: one that a shrunken window forbids would be tried for ever */
	tcp_arm_rto_of_head(tp);
}

void tcp_tlp_acked(struct tcp_sock *tp, uint32_t ack, const struct tcp_ack_state *a)
{
	if (before(ack, tp->tlp_end))
		return;
	if (!tp->tlp_retrans || (a->flags & TCP_ACKF_DSACK_TLP)) {
		tp->tlp_out = false; /* new data, or both copies arrived: no loss */
		return;
	}
	if (after(ack, tp->tlp_end)) {
		/* 7.4.2: the probe filled a hole; that window answers as for a fast recovery */
		tp->tlp_out = false;
		tcp_enter_cwr(tp);
		if (tp->ca_state == TCP_CA_CWR) {
			tcp_cwnd_reduction_end(tp);
			tcp_try_keep_open(tp);
		}
		return;
	}
	/* a bare duplicate: the original and the probe arrived */
	if (a->flags & TCP_ACKF_DUP)
		tp->tlp_out = false;
}
