/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RFC 9293 3.10.7, step by step, one function a step, called in the RFC's order. Each
 * returns false when the segment ends there (and is consumed). Left out: step 3, security
 * (no compartments, appendix A.1); step 6, urgent data is delivered in line (RFC 6093).
 */
#include "stack/tcp_guard.h"

static bool drop(struct sk_buff *skb, enum skb_drop_reason why)
{
	skb_drop(skb, why);
	return false;
}

/* ack_unless_rst - the RFC's "send an acknowledgment, unless RST", and drop. Rate-limited
 * where the segment holds nothing new, so that two confused ends do not loop (B5). */
static bool ack_unless_rst(struct tcp_sock *tp, struct sk_buff *skb, enum skb_drop_reason why)
{
	if (skb->tcp.tcp_flags & TCPF_RST)
		return drop(skb, why);
	if (skb->len)
		tcp_send_ack(tp);
	else
		tcp_send_challenge_ack(tp);
	return drop(skb, why);
}

/* paws_reject - RFC 7323 5.3 R1, with its 24-day exception (5.5). */
static bool paws_reject(const struct tcp_sock *tp, const struct sk_buff *skb)
{
	const uint64_t paws_24days = 24ull * 86400 * NSEC_PER_SEC;

	return skb->tcp.has_ts && before(skb->tcp.ts_val, tp->ts_recent) &&
	       tcp_stack(tp)->now - tp->ts_recent_ns < paws_24days;
}

/* First, check the sequence number (and PAWS before it, RFC 7323 5.3). */
static bool tcp_step1_sequence(struct tcp_sock *tp, struct sk_buff *skb)
{
	uint32_t wnd_end = tp->rcv_nxt + tcp_receive_window(tp);

	if (unlikely(paws_reject(tp, skb)) && !(skb->tcp.tcp_flags & TCPF_RST))
		return ack_unless_rst(tp, skb, SKB_DROP_TCP_PAWS);
	if (unlikely(!tcp_seq_acceptable(skb, tp->rcv_wup, tp->rcv_nxt, wnd_end)))
		return ack_unless_rst(tp, skb, SKB_DROP_TCP_INVALID_SEQ);
	return true;
}

/* take_timestamp - RFC 7323 4.3 (2), but only once the ACK is found good as well: a segment
 * that is refused later must not move PAWS's clock (B28). */
static void take_timestamp(struct tcp_sock *tp, const struct sk_buff *skb)
{
	const struct tcp_skb_cb *cb = &skb->tcp;

	if (cb->has_ts && !after(cb->seq, tp->rcv_wup) && !before(cb->ts_val, tp->ts_recent)) {
		tp->ts_recent = cb->ts_val;
		tp->ts_recent_ns = tcp_stack(tp)->now;
	}
}

/* Second, check the RST bit, as RFC 5961 3.2 tightens it. */
static bool tcp_step2_rst(struct tcp_sock *tp, struct sk_buff *skb)
{
	if (likely(!(skb->tcp.tcp_flags & TCPF_RST)))
		return true;
	if (skb->tcp.seq == tp->rcv_nxt) {
		skb_drop(skb, SKB_DROP_TCP_RESET);
		tcp_reset(tp);
		return false;
	}
	tcp_send_challenge_ack(tp);
	return drop(skb, SKB_DROP_TCP_RESET);
}

/* Fourth, check the SYN bit: RFC 5961 4.2, never a reset. In SYN-RECEIVED from a
 * simultaneous open the peer's SYN-ACK is its answer, not an attack. */
static bool tcp_step4_syn(struct tcp_sock *tp, struct sk_buff *skb)
{
	if (likely(!(skb->tcp.tcp_flags & TCPF_SYN)))
		return true;
	if (tp->sk.sk_state == TCP_SYN_RECV && skb->tcp.seq == tp->irs &&
	    (skb->tcp.tcp_flags & TCPF_ACK)) {
		/* the flag stays: it says that this window is not scaled */
		skb->tcp.seq++;
		return true;
	}
	tcp_send_challenge_ack(tp);
	return drop(skb, SKB_DROP_TCP_FLAGS);
}

static bool tcp_step5_syn_recv(struct tcp_sock *tp, struct sk_buff *skb)
{
	uint32_t ack = skb->tcp.ack_seq;

	if (!after(ack, tp->snd_una) || after(ack, tp->snd_nxt)) {
		tcp_send_reset(tcp_stack(tp), skb);
		return drop(skb, SKB_DROP_TCP_BAD_ACK);
	}
	/* the window is tcp_ack's to take: this ACK is newer than any */
	tp->pred_window = TCP_NO_PRED;
	tcp_set_state(tp, TCP_ESTABLISHED);
	tcp_init_transfer(tp);
	/* the user was done sending before */
	if (unlikely(tp->sk.sk_shutdown & SEND_SHUTDOWN))
		tcp_shutdown_send(tp);
	if (tp->parent) {
		tcp_child_ready(tp);
		return true;
	}
	tp->sk.sk_state_change(&tp->sk);
	tp->sk.sk_write_space(&tp->sk);
	return true;
}

/* fin_acked - our FIN has been acknowledged. */
static bool fin_acked(const struct tcp_sock *tp)
{
	return tp->fin_queued && tp->snd_una == tp->write_seq;
}

/* step5_closing - what an ACK of our FIN changes. False: tp is gone. */
static bool step5_closing(struct tcp_sock *tp)
{
	if (!fin_acked(tp))
		return true;
	switch (tp->sk.sk_state) {
	case TCP_FIN_WAIT1:
		tcp_set_state(tp, TCP_FIN_WAIT2);
		if (!tp->sk.sk_dead || tcp_fin_wait2_orphan(tp))
			return true;
		tcp_done(tp);
		return false;
	case TCP_CLOSING:
		tcp_time_wait(tp);
		return false;
	case TCP_LAST_ACK:
		tcp_done(tp);
		return false;
	default:
		return true;
	}
}

/* Fifth, check the ACK field. */
static bool tcp_step5_ack(struct tcp_sock *tp, struct sk_buff *skb, const struct tcp_options *opt)
{
	enum skb_drop_reason why = SKB_DROP_NOT_SPECIFIED;

	if (unlikely(!(skb->tcp.tcp_flags & TCPF_ACK)))
		return drop(skb, SKB_DROP_TCP_FLAGS);
	if (tp->sk.sk_state == TCP_SYN_RECV && !tcp_step5_syn_recv(tp, skb))
		return false;
	if (!tcp_ack(tp, skb, opt, &why))
		return drop(skb, why);
	take_timestamp(tp, skb);
	if (unlikely(!step5_closing(tp))) {
		skb_free(skb);
		return false;
	}
	return true;
}

/* Seventh, process the segment text. After the user closed, data that nobody can read
 * resets the connection (RFC 2525 2.17, as Linux does for orphans). */
static bool tcp_step7_data(struct tcp_sock *tp, struct sk_buff *skb)
{
	bool has_fin = skb->tcp.tcp_flags & TCPF_FIN;

	if (skb->len == 0 && !has_fin) {
		skb_free(skb);
		return false;
	}
	switch (tp->sk.sk_state) {
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
		break;
	default:
		/* CLOSE-WAIT, CLOSING, LAST-ACK: after the FIN nothing can follow (B31); what was
		 * sent again is acknowledged again */
		tp->ack_pending |= TCP_ACK_NOW;
		tcp_output_mark(tp);
		return drop(skb, SKB_DROP_TCP_AFTER_FIN);
	}
	if (unlikely(tp->sk.sk_dead) && skb->len &&
	    after(skb->tcp.end_seq - has_fin, tp->rcv_nxt)) {
		/* at SEG.ACK, which the peer expects even if our FIN was lost (RFC 5961 3.2) */
		tcp_send_reset(tcp_stack(tp), skb);
		skb_drop(skb, SKB_DROP_TCP_ABORT_ON_DATA);
		tcp_done(tp);
		return false;
	}
	if (unlikely(tp->ecn_ok))
		tcp_ecn_data(tp, skb);
	tcp_data_queue(tp, skb);
	return true;
}

/* Eighth, check the FIN bit: it counts once everything before it arrived. */
static void tcp_step8_fin(struct tcp_sock *tp)
{
	tp->ack_pending |= TCP_ACK_NOW;
	tcp_output_mark(tp);
	tp->sk.sk_shutdown |= RCV_SHUTDOWN;
	switch (tp->sk.sk_state) {
	case TCP_ESTABLISHED:
		tcp_set_state(tp, TCP_CLOSE_WAIT);
		break;
	case TCP_FIN_WAIT1:
		/* our FIN is not acknowledged, or step 5 had moved us on: simultaneous close */
		tcp_set_state(tp, TCP_CLOSING);
		break;
	case TCP_FIN_WAIT2:
		tcp_send_ack(tp);
		tcp_time_wait(tp);
		return;
	default:
		return;
	}
	tp->sk.sk_state_change(&tp->sk);
}

void tcp_rcv_segment(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct tcp_options opt;
	bool had_fin = tp->fin_rcvd;

	tcp_parse_options(skb, &opt, false);
	if (tp->tstamp_ok && opt.saw_tstamp) {
		skb->tcp.has_ts = 1;
		skb->tcp.ts_val = opt.ts_val;
		skb->tcp.ts_ecr = opt.ts_ecr;
	} else {
		skb->tcp.has_ts = 0;
	}
	if (!tcp_step1_sequence(tp, skb) || !tcp_step2_rst(tp, skb) || !tcp_step4_syn(tp, skb))
		return;
	if (!tcp_step5_ack(tp, skb, &opt) || !tcp_step7_data(tp, skb))
		return;
	if (tp->fin_rcvd && !had_fin)
		tcp_step8_fin(tp);
}

void tcp_reset(struct tcp_sock *tp)
{
	int err = ECONNRESET;

	if (tp->sk.sk_state == TCP_SYN_SENT)
		err = ECONNREFUSED;
	else if (tp->sk.sk_state == TCP_CLOSE_WAIT)
		err = EPIPE;
	if (tp->sk.sk_state == TCP_ESTABLISHED || tp->sk.sk_state == TCP_CLOSE_WAIT)
		stat_inc(&tcp_stack(tp)->stats.tcp_estab_resets);
	else
		stat_inc(&tcp_stack(tp)->stats.tcp_attempt_fails);
	tcp_abort_err(tp, err);
}

static void syn_sent_take_options(struct tcp_sock *tp, const struct sk_buff *skb,
				  const struct tcp_options *opt)
{
	tp->irs = skb->tcp.seq;
	tp->rcv_nxt = skb->tcp.seq + 1;
	tp->rcv_wup = tp->rcv_nxt;
	tp->copied_seq = tp->rcv_nxt;
	/* what both sides offered holds; tp-> holds what we offered */
	tp->tstamp_ok = tp->tstamp_ok && opt->saw_tstamp;
	tp->sack_ok = tp->sack_ok && opt->sack_ok;
	tp->wscale_ok = tp->wscale_ok && opt->wscale_ok;
	tp->snd_wscale = tp->wscale_ok ? opt->snd_wscale : 0;
	if (!tp->wscale_ok)
		tp->rcv_wscale = 0;
	if (tp->tstamp_ok) {
		tp->ts_recent = opt->ts_val;
		tp->ts_recent_ns = tcp_stack(tp)->now;
	}
	tp->peer_mss = tcp_mss_clamp(tp, opt->mss ? max_t(uint16_t, opt->mss, TCP_MIN_SND_MSS)
						  : TCP_MSS_DEFAULT);
	/* RFC 7323 2.2: the window of a SYN is never scaled */
	tp->snd_wnd = skb->tcp.window;
	tp->max_window = tp->snd_wnd;
	tp->snd_wl1 = skb->tcp.seq;
	tcp_sync_mss(tp);
}

static void syn_sent_established(struct tcp_sock *tp, struct sk_buff *skb,
				 const struct tcp_options *opt)
{
	struct sk_buff *syn = skb_peek(&tp->sk.sk_write_queue);
	bool timed = syn && !syn->tcp.retrans;
	uint64_t rtt = syn ? tcp_stack(tp)->now - syn->tcp.tx_ns : 0;

	syn_sent_take_options(tp, skb, opt);
	tp->ecn_ok = tcp_ecn_synack_accept(tp, skb);
	tp->snd_una = skb->tcp.ack_seq;
	if (syn) {
		tp->delivered++;
		tcp_write_unlink(tp, syn);
		skb_free(syn);
	}
	tcp_stop_timers(tp);
	tp->retransmits = tp->backoff = 0;
	tcp_set_state(tp, TCP_ESTABLISHED);
	tcp_init_transfer(tp);
	if (timed)
		tcp_rtt_sample(tp, rtt);
	tp->pred_window = TCP_NO_PRED;
	tp->ack_pending |= TCP_ACK_NOW;
	tcp_output_mark(tp);
	tp->sk.sk_state_change(&tp->sk);
	tp->sk.sk_write_space(&tp->sk);
}

/* syn_sent_simultaneous - RFC 9293 3.5, figure 7: a SYN crossed ours. Our SYN is sent again
 * as a SYN-ACK; one that has not left yet (the peer's came in the turn of our connect, or the
 * device refused ours) leaves as one. */
static void syn_sent_simultaneous(struct tcp_sock *tp, struct sk_buff *skb,
				  const struct tcp_options *opt)
{
	struct sk_buff *syn = skb_peek(&tp->sk.sk_write_queue);

	syn_sent_take_options(tp, skb, opt);
	tcp_set_state(tp, TCP_SYN_RECV);
	if (!syn)
		return;
	syn->tcp.tcp_flags |= TCPF_ACK;
	if (syn == tp->send_head) {
		/* an ECN-setup SYN is no ECN-setup SYN-ACK (RFC 3168 6.1.1) */
		syn->tcp.tcp_flags &= (uint16_t) ~(TCPF_ECE | TCPF_CWR);
		tcp_output_mark(tp);
	} else {
		(void)tcp_retransmit_skb(tp, syn);
	}
}

/* syn_sent_echo_ok - an ACK of our SYN echoes a timestamp that one of our SYNs had: from when the
 * first left until now (RFC 7323 3.2). An old duplicate does not, nor one that guesses. A TSecr of
 * 0 is let pass, as by Linux: some peers have no clock of ours to echo. */
static bool syn_sent_echo_ok(const struct tcp_sock *tp, const struct tcp_options *opt)
{
	uint32_t first = (uint32_t)(tp->giveup_ns / NSEC_PER_MSEC) + tp->tsoffset;

	return !tp->tstamp_ok || !opt->saw_tstamp || !opt->ts_ecr ||
	       (!before(opt->ts_ecr, first) &&
		!after(opt->ts_ecr, tcp_ts_now(tcp_stack(tp), tp->tsoffset)));
}

/* syn_sent_refuse - the answer to what is none to our SYN. */
static void syn_sent_refuse(struct tcp_sock *tp, struct sk_buff *skb, enum skb_drop_reason why)
{
	tcp_send_reset(tcp_stack(tp), skb);
	skb_drop(skb, why);
}

void tcp_rcv_syn_sent(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = &skb->tcp;
	struct tcp_options opt;

	/* First, check the ACK bit. */
	if ((cb->tcp_flags & TCPF_ACK) &&
	    (!after(cb->ack_seq, tp->iss) || after(cb->ack_seq, tp->snd_nxt))) {
		syn_sent_refuse(tp, skb, SKB_DROP_TCP_BAD_ACK);
		return;
	}
	tcp_parse_options(skb, &opt, true);
	if ((cb->tcp_flags & TCPF_ACK) && !syn_sent_echo_ok(tp, &opt)) {
		syn_sent_refuse(tp, skb, SKB_DROP_TCP_PAWS);
		return;
	}
	/* Second, check the RST bit: only with an acceptable ACK (B9). */
	if (cb->tcp_flags & TCPF_RST) {
		bool has_ack = cb->tcp_flags & TCPF_ACK;

		skb_drop(skb, SKB_DROP_TCP_RESET);
		if (has_ack)
			tcp_reset(tp);
		return;
	}
	/* Third, security: see the head of this file. Fourth, check the SYN bit. */
	if (!(cb->tcp_flags & TCPF_SYN) || (cb->tcp_flags & TCPF_FIN)) {
		skb_drop(skb, SKB_DROP_TCP_FLAGS);
		return;
	}
	/* a SYN that is older than the connection whose TIME-WAIT we ended (RFC 7323 5.3) */
	if (!(cb->tcp_flags & TCPF_ACK) && tp->ts_recent_ns && opt.saw_tstamp &&
	    before(opt.ts_val, tp->ts_recent)) {
		skb_drop(skb, SKB_DROP_TCP_PAWS);
		return;
	}
	if (cb->tcp_flags & TCPF_ACK)
		syn_sent_established(tp, skb, &opt);
	else
		syn_sent_simultaneous(tp, skb, &opt);
	/* Data on the SYN is not taken (the RFC allows to): the peer sends it again. */
	skb_free(skb);
}
