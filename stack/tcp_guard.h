/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside TCP, beside tcp_int.h: what guards a connection against floods (SYN cookies), silence
 * (giving up, keepalive) and paths that do not take its segments (MTU). Owner lane only.
 */
#ifndef STACK_TCP_GUARD_H
#define STACK_TCP_GUARD_H

#include "stack/tcp_int.h"

/* tcp_seq_acceptable - RFC 9293 3.10.7.4, table 6, in one line, as Linux tests it: skb overlaps
 * [wup, end]; nxt is RCV.NXT. Old parts are trimmed later, so that wup may be below nxt. Bytes
 * right at the window's end are beyond it: who took their SND.WL1 would be deaf to every window
 * that the real peer, far behind it, offers. With a window of zero their ACK counts. A half-open
 * connection and its child have to judge alike: see child_start(). */
static inline bool tcp_seq_acceptable(const struct sk_buff *skb, uint32_t wup, uint32_t nxt,
				      uint32_t end)
{
	const struct tcp_skb_cb *cb = &skb->tcp;

	return !before(cb->end_seq, wup) && !after(cb->seq, end) &&
	       (cb->seq != end || !skb->len || end == nxt);
}

/* ---- tcp_cookie.c (RFC 4987 3.6) ---- */
/* tcp_cookie_isn - the ISN that remembers req; rounds req->peer_mss down to what it can say. */
uint32_t tcp_cookie_isn(const struct stack *st, struct tcp_req *req);
/* tcp_cookie_mss - the MSS that `isn`, ours, tells of a peer whose ISN was irs; 0: no cookie of
 * the last minutes. */
uint16_t tcp_cookie_mss(const struct stack *st, const struct tcp_node *n, uint32_t irs,
			uint32_t isn);
/* tcp_cookie_hide_options - the options that req's SYN-ACK may have, and req->tsoffset such that
 * its timestamp tells them. */
void tcp_cookie_hide_options(const struct stack *st, struct tcp_req *req);
/* tcp_cookie_find_options - the options from the timestamp that the peer echoes; req->tsoffset is
 * the pair's own. False: this is no echo of ours. */
bool tcp_cookie_find_options(const struct stack *st, struct tcp_req *req, uint32_t ts_ecr);
/* tcp_cookie_due - may a cookie still come in to this listener? Else none is believed. */
bool tcp_cookie_due(const struct tcp_sock *lp);

/* ---- tcp_giveup.c ---- */
void tcp_giveup_init(struct tcp_sock *tp);
/* tcp_timed_out - have timeouts gone on for as long as `retries` of them take, or with `user` for
 * the user's own limit, if there is one? */
bool tcp_timed_out(const struct tcp_sock *tp, unsigned retries, bool user);
/* tcp_write_timeout - the retransmission timer expired: true if that was the last time and tp is
 * gone, else it is counted. tcp_probe_timeout - the same for a zero-window probe. */
bool tcp_write_timeout(struct tcp_sock *tp);
bool tcp_probe_timeout(struct tcp_sock *tp);
/* tcp_syn_linear - was that a SYN whose timeout is not backed off yet? */
bool tcp_syn_linear(const struct tcp_sock *tp);
/* tcp_rto_delay, tcp_probe_delay - ns to the next one, never beyond the user's limit. refused: the
 * last one did not leave this machine. */
uint64_t tcp_rto_delay(const struct tcp_sock *tp, bool refused);
uint64_t tcp_probe_delay(const struct tcp_sock *tp, bool refused);
/* tcp_orphan_add - the user left. False: there are too many of these, tp is to be reset. */
bool tcp_orphan_add(struct tcp_sock *tp);
/* tcp_fin_wait2_orphan - wait for the peer's FIN, but not for ever. False: not at all
 * (TCP_LINGER2). */
bool tcp_fin_wait2_orphan(struct tcp_sock *tp);
/* tcp_keepalive_restart - tp became established, or SO_KEEPALIVE or its time changed. */
void tcp_keepalive_restart(struct tcp_sock *tp);

/* ---- tcp_mtu.c (RFC 1191, 4821) ---- */
static inline uint32_t tcp_path_mtu(const struct tcp_sock *tp)
{
	return unlikely(tp->pmtu) ? tp->pmtu : tcp_stack(tp)->mtu;
}

/* tcp_no_df - IP_MTU_DISCOVER: may routers fragment what tp sends (ip(7))? */
static inline bool tcp_no_df(const struct tcp_sock *tp)
{
	return unlikely(tp->pmtudisc == SK_PMTUDISC_DONT || tp->pmtudisc >= SK_PMTUDISC_INTERFACE);
}

/* tcp_sync_mss - mss_cache and hdr_len from options, peer, path and search. */
void tcp_sync_mss(struct tcp_sock *tp);
/* tcp_mtu_init - what is known of the path by others; tcp_mtup_init - begin the search. */
void tcp_mtu_init(struct tcp_sock *tp);
void tcp_mtup_init(struct tcp_sock *tp);
void tcp_mtu_fini(struct stack *st);
/* tcp_mtu_reduced - a router says that tp's path takes no more than mtu, about what is in
 * flight. */
void tcp_mtu_reduced(struct tcp_sock *tp, uint32_t mtu);
/* tcp_mtu_black_hole - retransmissions vanish: perhaps since they are too large. */
void tcp_mtu_black_hole(struct tcp_sock *tp);
void __tcp_mtu_before_xmit(struct tcp_sock *tp);
void __tcp_mtu_probe_acked(struct tcp_sock *tp);
/* __tcp_mtu_probe_lost - something is lost while a probe is in flight. True: that probe, and it was
 * dealt with without a cut of cwnd. */
bool __tcp_mtu_probe_lost(struct tcp_sock *tp);
/* tcp_mtu_before_xmit - forget an MTU that is too old; send a probe if one is due. */
static inline void tcp_mtu_before_xmit(struct tcp_sock *tp)
{
	if (unlikely(tp->mtu_watch))
		__tcp_mtu_before_xmit(tp);
}

#endif
