/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Passive open, with Linux's two queues: half-open connections as small objects (SYN
 * queue), established ones that nobody accepted yet (accept queue). RFC 9293 3.10.7.2;
 * RFC 4987 for why the first kind is small and bounded, and what comes when it is full.
 */
#include <string.h>

#include "stack/tcp_guard.h"

/* resend_synack - the answer may be to either one: no round trip is measured (Karn). */
static void resend_synack(struct stack *st, struct tcp_req *req)
{
	req->sent_ns = 0;
	stat_inc(&st->stats.tcp_retrans_segs);
	tcp_send_synack(st, req);
}

static uint64_t synack_timeout(const struct stack *st, unsigned timeouts)
{
	return min_t(uint64_t, TCP_TIMEOUT_INIT << min_t(unsigned, timeouts, 16), st->cfg.rto_max);
}

/* synack_retries - fewer, down to two, while the SYN queue is more than half full of requests
 * that were asked again: those of a flood leave sooner, as in Linux. */
static unsigned synack_retries(const struct stack *st, const struct tcp_sock *lp)
{
	unsigned max = lp->opt.syn_retries ? lp->opt.syn_retries : st->cfg.synack_retries;
	uint32_t young = lp->nr_young * 2;

	if (lp->nr_reqs * 2 <= max_t(uint32_t, 8, lp->backlog))
		return max;
	for (; max > 2 && lp->nr_reqs >= young; max--)
		young *= 2;
	return max;
}

static void req_timer_fn(struct timer *t, uint64_t now)
{
	struct tcp_req *req = container_of(t, struct tcp_req, timer);
	struct tcp_sock *lp = req->listener;
	struct stack *st = tcp_stack(lp);
	bool deferred = req->acked && lp->opt.defer_accept;

	if (req->timeouts >= synack_retries(st, lp) &&
	    !(deferred && req->timeouts < lp->opt.defer_accept)) {
		stat_inc(&st->stats.tcp_attempt_fails);
		tcp_req_free(st, req);
		return;
	}
	if (!req->timeouts++)
		lp->nr_young--;
	/* who has acknowledged and is to bring data is asked once more, at the end */
	if (!deferred || req->timeouts >= lp->opt.defer_accept)
		resend_synack(st, req);
	timer_arm(&st->wheel, t, now + synack_timeout(st, req->timeouts));
}

void tcp_req_free(struct stack *st, struct tcp_req *req)
{
	tcp_hash_remove(st->tcp, &req->node);
	timer_cancel(&st->wheel, &req->timer);
	list_del(&req->link);
	req->listener->nr_reqs--;
	req->listener->nr_young -= !req->timeouts;
	stat_add(&st->stats.reqs_in_use, (uint64_t)-1);
	tcp_slab_put(&st->tcp->reqs, req);
}

/* req_init - who and from whom, for a segment with sequence number irs + 1 or of a SYN. */
static void req_init(struct stack *st, struct tcp_req *req, struct tcp_sock *lp,
		     const struct sk_buff *skb)
{
	const struct iphdr_ *ip = skb_iphdr(skb);
	const struct tcphdr_ *th = skb_tcphdr(skb);

	memset(req, 0, sizeof(*req));
	req->listener = lp;
	req->node.kind = TCP_NODE_REQ;
	req->node.laddr = ip->daddr;
	req->node.faddr = ip->saddr;
	req->node.lport = be16(th->dest);
	req->node.fport = be16(th->source);
	req->tsoffset = tcp_new_tsoffset(st, ip->daddr, ip->saddr);
}

/* req_options - agree on options: what the SYN offered and our configuration has. */
static void req_options(struct stack *st, struct tcp_req *req, const struct sk_buff *skb)
{
	const struct stack_config *cfg = &st->cfg;
	struct tcp_options opt;

	tcp_parse_options(skb, &opt, true);
	req->tstamp_ok = cfg->timestamps && opt.saw_tstamp;
	req->sack_ok = cfg->sack && opt.sack_ok;
	req->ecn_ok = tcp_ecn_syn_accept(req->listener, skb);
	req->wscale_ok = cfg->window_scaling && opt.wscale_ok;
	req->snd_wscale = req->wscale_ok ? opt.snd_wscale : 0;
	req->ts_recent = req->tstamp_ok ? opt.ts_val : 0;
	req->peer_mss =
		tcp_mss_clamp(req->listener, opt.mss ? max_t(uint16_t, opt.mss, TCP_MIN_SND_MSS)
						     : TCP_MSS_DEFAULT);
}

static void req_window(struct tcp_req *req)
{
	tcp_init_window(req->listener, req->wscale_ok, &req->rcv_wnd, &req->rcv_wscale);
}

/* syn_remember - the usual case: req stands in both tables until it is completed or dropped. */
static void syn_remember(struct stack *st, struct tcp_req *req, uint32_t min_isn)
{
	const struct tcp_node *n = &req->node;
	struct tcp_sock *lp = req->listener;

	req->iss = tcp_new_isn(st, n->laddr, n->faddr, n->lport, n->fport);
	if (unlikely(min_isn) && before(req->iss, min_isn))
		req->iss = min_isn;
	req_window(req);
	tcp_hash_insert(st->tcp, &req->node);
	list_add_tail(&req->link, &lp->reqs);
	stat_inc(&st->stats.reqs_in_use);
	lp->nr_reqs++;
	lp->nr_young++;
	timer_init(&req->timer, req_timer_fn);
	timer_arm(&st->wheel, &req->timer, st->now + synack_timeout(st, 0));
	req->sent_ns = st->now;
	tcp_send_synack(st, req);
}

/* syn_cookie - answer and forget. */
static void syn_cookie(struct stack *st, struct tcp_req *req)
{
	req->listener->overflow_ns = st->now;
	tcp_cookie_hide_options(st, req);
	req->iss = tcp_cookie_isn(st, req);
	req_window(req);
	stat_inc(&st->stats.tcp_syncookies_sent);
	tcp_send_synack(st, req);
}

static void listen_syn(struct tcp_sock *lp, struct sk_buff *skb, uint32_t min_isn)
{
	struct stack *st = tcp_stack(lp);
	struct tcp_req *req = NULL, once;
	bool full = lp->nr_reqs > lp->backlog;

	if (lp->ack_backlog > lp->backlog) {
		stat_inc(&st->stats.tcp_accept_overflow);
		skb_drop(skb, SKB_DROP_TCP_LISTEN_OVERFLOW);
		return;
	}
	/* Who replaces a TIME-WAIT is known already, and its ISN has a floor: no cookie. */
	if (min_isn || (!full && st->cfg.syncookies != 2))
		req = tcp_slab_get(st, &st->tcp->reqs);
	if (!req && (min_isn || !st->cfg.syncookies)) {
		stat_inc(&st->stats.tcp_syn_overflow);
		skb_drop(skb, SKB_DROP_TCP_SYN_OVERFLOW);
		return;
	}
	req_init(st, req ? req : &once, lp, skb);
	(req ? req : &once)->irs = skb->tcp.seq;
	req_options(st, req ? req : &once, skb);
	if (likely(req))
		syn_remember(st, req, min_isn);
	else
		syn_cookie(st, &once);
	/* data on the SYN is not taken: the peer sends it again (B34) */
	skb_free(skb);
}

/* child_create - the full socket of req, in SYN-RECEIVED, not yet in the table; NULL: no memory. */
static struct tcp_sock *child_create(struct stack *st, const struct tcp_req *req)
{
	struct tcp_sock *lp = req->listener, *tp = tcp_sock_alloc(st);

	if (!tp)
		return NULL;
	if (ip_route(st, req->node.laddr, req->node.faddr, &tp->rt) != 0) {
		tp->sk.sk_dead = 1;
		tcp_done(tp);
		return NULL;
	}
	neigh_want(st, &tp->rt); /* not sooner: only now the peer is no stranger */
	tp->parent = lp;
	tcp_inherit(tp, lp);
	tp->node.laddr = req->node.laddr;
	tp->node.faddr = req->node.faddr;
	tp->node.lport = req->node.lport;
	tp->node.fport = req->node.fport;
	tp->sk.sk_local = (struct sk_addr){.family = SK_AF_INET, .port = tp->node.lport};
	tp->sk.sk_local.v4 = tp->node.laddr;
	tp->sk.sk_peer = (struct sk_addr){.family = SK_AF_INET, .port = tp->node.fport};
	tp->sk.sk_peer.v4 = tp->node.faddr;
	tp->iss = req->iss;
	tp->irs = req->irs;
	tp->rcv_nxt = tp->rcv_wup = tp->copied_seq = req->irs + 1;
	tp->rcv_wnd = req->rcv_wnd;
	tp->snd_una = req->iss;
	tp->snd_nxt = tp->write_seq = req->iss + 1;
	tp->tstamp_ok = req->tstamp_ok;
	tp->sack_ok = req->sack_ok;
	tp->ecn_ok = req->ecn_ok;
	tp->wscale_ok = req->wscale_ok;
	tp->snd_wscale = req->snd_wscale;
	tp->rcv_wscale = req->rcv_wscale;
	tp->tsoffset = req->tsoffset;
	tp->ts_recent = req->ts_recent;
	tp->ts_recent_ns = st->now;
	tp->peer_mss = req->peer_mss;
	tcp_sync_mss(tp);
	if (req->sent_ns)
		tcp_rtt_sample(tp, st->now - req->sent_ns);
	tcp_set_state(tp, TCP_SYN_RECV);
	return tp;
}

/* child_start - tp, new from its request, stands in the table from now on, and its first segment
 * completes the handshake. Consumes skb. A child that refuses what its request took has no timer,
 * stands in no queue and outlives its listener: it ends here. */
static void child_start(struct stack *st, struct tcp_sock *tp, struct sk_buff *skb)
{
	tcp_hash_insert(st->tcp, &tp->node);
	tcp_port_child(tp);
	stat_inc(&st->stats.tcp_passive_opens);
	/* as Linux: the SYN and this one; and our SYN-ACK, no longer in any queue, is delivered */
	tp->segs_in = 2;
	tp->data_segs_in = skb->len != 0;
	tp->delivered = 1;
	tcp_rcv_segment(tp, skb);
	if (unlikely(tp->sk.sk_state == TCP_SYN_RECV)) {
		tp->sk.sk_dead = 1;
		tcp_done(tp);
	}
}

/* listen_cookie - an ACK to LISTEN: the answer to a cookie that went out lately? False: skb is the
 * caller's to reset. */
static bool listen_cookie(struct tcp_sock *lp, struct sk_buff *skb)
{
	struct stack *st = tcp_stack(lp);
	struct tcp_options opt;
	struct tcp_req req;
	struct tcp_sock *tp;

	if (!tcp_cookie_due(lp))
		return false;
	req_init(st, &req, lp, skb);
	req.irs = skb->tcp.seq - 1;
	req.iss = skb->tcp.ack_seq - 1;
	req.peer_mss = tcp_cookie_mss(st, &req.node, req.irs, req.iss);
	tcp_parse_options(skb, &opt, false);
	if (!req.peer_mss || (opt.saw_tstamp && !tcp_cookie_find_options(st, &req, opt.ts_ecr))) {
		stat_inc(&st->stats.tcp_syncookies_failed);
		return false;
	}
	req.ts_recent = req.tstamp_ok ? opt.ts_val : 0;
	req_window(&req);
	if (lp->ack_backlog > lp->backlog) {
		stat_inc(&st->stats.tcp_accept_overflow);
		skb_drop(skb, SKB_DROP_TCP_LISTEN_OVERFLOW);
		return true;
	}
	tp = child_create(st, &req);
	if (!tp) {
		skb_drop(skb, SKB_DROP_NO_MEM);
		return true;
	}
	stat_inc(&st->stats.tcp_syncookies_recv);
	child_start(st, tp, skb);
	return true;
}

void tcp_listen_rcv(struct tcp_sock *lp, struct sk_buff *skb, uint32_t min_isn)
{
	uint8_t flags = skb->tcp.tcp_flags;

	/* First, RST; second, ACK; third, SYN; fourth, anything else. */
	if (flags & TCPF_RST) {
		skb_drop(skb, SKB_DROP_TCP_RESET);
		return;
	}
	if (flags & TCPF_ACK) {
		if (!(flags & TCPF_SYN) && listen_cookie(lp, skb))
			return;
		tcp_send_reset(tcp_stack(lp), skb);
		skb_drop(skb, SKB_DROP_TCP_NO_SOCKET);
		return;
	}
	/* SYN with FIN is nobody's honest segment (B8) */
	if (!(flags & TCPF_SYN) || (flags & TCPF_FIN)) {
		skb_drop(skb, SKB_DROP_TCP_FLAGS);
		return;
	}
	listen_syn(lp, skb, min_isn);
}

/* req_paws_reject - RFC 7323 5.3 R1. Judged here, before the child exists: once it does, its
 * first segment completes the handshake, or nobody would own it. */
static bool req_paws_reject(const struct tcp_req *req, const struct sk_buff *skb)
{
	struct tcp_options opt;

	if (!req->tstamp_ok)
		return false;
	tcp_parse_options(skb, &opt, false);
	return opt.saw_tstamp && before(opt.ts_val, req->ts_recent);
}

/* req_refuse - skb is not what completes req: drop it, and tell the peer where we are, at most
 * once in a while (B5). */
static bool req_refuse(struct stack *st, struct tcp_req *req, struct sk_buff *skb,
		       enum skb_drop_reason why)
{
	skb_drop(skb, why);
	if (tcp_may_answer(st, &req->answer_ns))
		tcp_send_req_ack(st, req);
	return false;
}

/* req_syn_again - the peer's SYN came again: our SYN-ACK was lost. */
static void req_syn_again(struct stack *st, struct tcp_req *req, struct sk_buff *skb)
{
	skb_drop(skb, SKB_DROP_TCP_OLD_DATA);
	if (!tcp_may_answer(st, &req->answer_ns))
		return;
	resend_synack(st, req);
	timer_arm(&st->wheel, &req->timer, st->now + synack_timeout(st, req->timeouts));
}

/* req_rst - RFC 5961 3.2 holds in SYN-RECEIVED as well: only the exact number ends it. */
static bool req_rst(struct stack *st, struct tcp_req *req, struct sk_buff *skb, bool in_window)
{
	uint32_t seq = skb->tcp.seq;

	if (in_window && seq != req->irs + 1)
		return req_refuse(st, req, skb, SKB_DROP_TCP_RESET);
	skb_drop(skb, SKB_DROP_TCP_RESET);
	if (in_window) {
		stat_inc(&st->stats.tcp_attempt_fails);
		tcp_req_free(st, req);
	}
	return false;
}

/* req_acceptable - sequence, RST, SYN and ACK as RFC 9293 3.10.7.4 has them for SYN-RECEIVED; a
 * SYN is challenged there, too (RFC 5961 4.2), since whoever guesses the ports could end a
 * handshake by it. False: skb was dropped (and req maybe freed). */
static bool req_acceptable(struct stack *st, struct tcp_req *req, struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = &skb->tcp;
	uint32_t nxt = req->irs + 1;
	bool in_window = tcp_seq_acceptable(skb, nxt, nxt, nxt + req->rcv_wnd);

	if ((cb->tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST)) == TCPF_SYN && cb->seq == req->irs) {
		req_syn_again(st, req, skb);
		return false;
	}
	if (cb->tcp_flags & TCPF_RST)
		return req_rst(st, req, skb, in_window);
	if (req_paws_reject(req, skb))
		return req_refuse(st, req, skb, SKB_DROP_TCP_PAWS);
	if (!in_window || (cb->tcp_flags & TCPF_SYN))
		return req_refuse(st, req, skb, SKB_DROP_TCP_INVALID_SEQ);
	if (!(cb->tcp_flags & TCPF_ACK)) {
		skb_drop(skb, SKB_DROP_TCP_FLAGS);
		return false;
	}
	if (cb->ack_seq != req->iss + 1) {
		tcp_send_reset(st, skb);
		skb_drop(skb, SKB_DROP_TCP_BAD_ACK);
		return false;
	}
	return true;
}

/* req_overflow - B12: bounded; the SYN-ACK goes out again later, and with it another chance. */
static void req_overflow(struct stack *st, struct tcp_req *req, struct sk_buff *skb)
{
	stat_inc(&st->stats.tcp_accept_overflow);
	if (st->cfg.abort_on_overflow) {
		tcp_send_reset(st, skb);
		tcp_req_free(st, req);
	}
	skb_drop(skb, SKB_DROP_TCP_LISTEN_OVERFLOW);
}

void tcp_req_rcv(struct stack *st, struct tcp_req *req, struct sk_buff *skb)
{
	struct tcp_sock *lp = req->listener, *tp;

	if (!req_acceptable(st, req, skb))
		return;
	/* TCP_DEFER_ACCEPT: a bare ACK completes nothing, unless data is long in coming */
	if (req->timeouts < lp->opt.defer_accept && skb->tcp.end_seq == req->irs + 1) {
		req->acked = true;
		skb_free(skb);
		return;
	}
	if (lp->ack_backlog > lp->backlog) {
		req_overflow(st, req, skb);
		return;
	}
	tp = child_create(st, req);
	if (!tp) {
		skb_drop(skb, SKB_DROP_NO_MEM);
		return;
	}
	tcp_req_free(st, req);
	child_start(st, tp, skb);
}

void tcp_child_ready(struct tcp_sock *tp)
{
	struct tcp_sock *lp = tp->parent;

	tp->in_accept_queue = true;
	list_add_tail(&tp->accept_link, &lp->accept_queue);
	lp->ack_backlog++;
	lp->sk.sk_data_ready(&lp->sk);
}

void tcp_listen_stop(struct tcp_sock *lp)
{
	struct stack *st = tcp_stack(lp);

	tcp_listen_remove(st->tcp, lp);
	while (!list_empty(&lp->reqs))
		tcp_req_free(st, list_first_entry(&lp->reqs, struct tcp_req, link));
	while (!list_empty(&lp->accept_queue)) {
		struct tcp_sock *tp =
			list_first_entry(&lp->accept_queue, struct tcp_sock, accept_link);

		list_del(&tp->accept_link);
		tp->parent = NULL;
		tp->in_accept_queue = false;
		tp->sk.sk_dead = 1;
		if (tp->sk.sk_state != TCP_CLOSE)
			tcp_send_active_reset(tp);
		tcp_done(tp);
	}
	lp->ack_backlog = 0;
}
