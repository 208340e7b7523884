/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TIME-WAIT as a small object (RFC 9293 3.6.1, 3.10.7.4): it answers old segments, ignores RST
 * (RFC 1337) if the setting says so, and makes way for a new SYN that is provably newer, the
 * peer's or our own (RFC 6191, 1122 4.2.2.13). Bounded: the oldest goes when the table is full.
 */
#include <string.h>

#include "stack/tcp_int.h"

void tcp_tw_free(struct stack *st, struct tcp_tw *tw)
{
	tcp_hash_remove(st->tcp, &tw->node);
	timer_cancel(&st->wheel, &tw->timer);
	list_del(&tw->lru);
	tcp_port_tw_put(st, tw);
	stat_add(&st->stats.tcp_tw_count, (uint64_t)-1);
	tcp_slab_put(&st->tcp->tws, tw);
}

static void tw_timer_fn(struct timer *t, uint64_t now)
{
	struct tcp_tw *tw = container_of(t, struct tcp_tw, timer);

	(void)now;
	tcp_tw_free(tw->stack, tw);
}

static struct tcp_tw *tw_alloc(struct stack *st)
{
	struct tcp_shard *sh = st->tcp;

	if (sh->tws.nr >= sh->tws.max && !list_empty(&sh->tw_lru)) {
		stat_inc(&st->stats.tcp_tw_overflow);
		tcp_tw_free(st, list_first_entry(&sh->tw_lru, struct tcp_tw, lru));
	}
	return tcp_slab_get(st, &sh->tws);
}

void tcp_time_wait(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);
	struct tcp_tw *tw = tw_alloc(st);
	struct sock *sk = &tp->sk;
	bool dead = sk->sk_dead;

	if (tp->ack_pending)
		tcp_send_ack(tp);
	tcp_set_state(tp, TCP_TIME_WAIT);
	tcp_hash_remove(st->tcp, &tp->node);
	if (tw) {
		memset(tw, 0, sizeof(*tw));
		tw->stack = st;
		tw->node = tp->node;
		tw->node.kind = TCP_NODE_TW;
		tw->node.pprev = NULL;
		tw->rcv_nxt = tp->rcv_nxt;
		tw->snd_nxt = tp->snd_nxt;
		tw->rcv_wnd = tcp_receive_window(tp);
		tw->rcv_wscale = tp->rcv_wscale;
		tw->tstamp_ok = tp->tstamp_ok;
		tw->ts_recent = tp->ts_recent;
		tw->ts_recent_ns = st->now;
		tw->tsoffset = tp->tsoffset;
		tcp_port_time_wait(tw, tp);
		tcp_hash_insert(st->tcp, &tw->node);
		list_add_tail(&tw->lru, &st->tcp->tw_lru);
		timer_init(&tw->timer, tw_timer_fn);
		timer_arm(&st->wheel, &tw->timer, st->now + st->cfg.msl2);
		stat_inc(&st->stats.tcp_tw_count);
	}
	tcp_done(tp);
	if (!dead)
		sk->sk_state_change(sk);
}

/* isn_beyond - the least ISN of a connection in tw's place: beyond any window of the old one (RFC
 * 1122 4.2.2.13 (a)); never 0, which is none. */
static uint32_t isn_beyond(const struct tcp_tw *tw)
{
	return (tw->snd_nxt + 65536) | 1;
}

bool tcp_tw_may_go(const struct stack *st, struct tcp_node *n, struct tcp_tw **ret_tw)
{
	const struct stack_config *cfg = &st->cfg;
	struct tcp_tw *tw;

	if (n->kind != TCP_NODE_TW || !cfg->tw_reuse || (cfg->tw_reuse == 2 && n->faddr != st->ip))
		return false;
	/* RFC 6191 2: our timestamps have moved on since, so that PAWS at the peer tells old
	 * segments from new ones, and so does ours */
	tw = container_of(n, struct tcp_tw, node);
	if (!tw->tstamp_ok || !cfg->timestamps || st->now - tw->ts_recent_ns < cfg->tw_reuse_delay)
		return false;
	*ret_tw = tw;
	return true;
}

void tcp_tw_inherit(struct tcp_sock *tp, const struct tcp_tw *tw)
{
	uint32_t least = isn_beyond(tw);

	if (before(tp->iss, least))
		tp->iss = least;
	tp->ts_recent = tw->ts_recent;
	tp->ts_recent_ns = tw->ts_recent_ns;
}

/* may_reopen - a SYN that cannot be an old duplicate. */
static bool may_reopen(const struct tcp_tw *tw, const struct sk_buff *skb)
{
	struct tcp_options opt;

	if ((skb->tcp.tcp_flags & (TCPF_SYN | TCPF_ACK | TCPF_RST | TCPF_FIN)) != TCPF_SYN)
		return false;
	tcp_parse_options(skb, &opt, true);
	if (tw->tstamp_ok && opt.saw_tstamp)
		return after(opt.ts_val, tw->ts_recent) ||
		       (opt.ts_val == tw->ts_recent && after(skb->tcp.seq, tw->rcv_nxt));
	return after(skb->tcp.seq, tw->rcv_nxt);
}

/* is_stale - RFC 7323 5.3 R1: skb is older than what came before. */
static bool is_stale(const struct tcp_tw *tw, const struct sk_buff *skb)
{
	struct tcp_options opt;

	if (!tw->tstamp_ok)
		return false;
	tcp_parse_options(skb, &opt, false);
	return opt.saw_tstamp && before(opt.ts_val, tw->ts_recent);
}

/* tw_rst - RFC 9293 3.10.7.4, second check, lets it end the wait; then an old segment of this
 * connection may be taken for one of the next (RFC 1337 2). Consumes skb. */
static void tw_rst(struct stack *st, struct tcp_tw *tw, struct sk_buff *skb)
{
	if (!st->cfg.rfc1337 && skb->tcp.seq == tw->rcv_nxt && !is_stale(tw, skb))
		tcp_tw_free(st, tw);
	skb_drop(skb, SKB_DROP_TCP_RESET);
}

/* somebody_listens - a SYN would be answered: one to nobody, or to who is full, must not end the
 * wait (RFC 1122 4.2.2.13 lets LISTEN alone reopen). */
static bool somebody_listens(const struct stack *st, const struct tcp_tw *tw)
{
	const struct tcp_shard *sh = st->tcp;
	const struct tcp_node *n = &tw->node;
	const struct tcp_sock *lp =
		tcp_lookup_listener(st->tcp, n->laddr, n->lport, n->faddr, n->fport);

	return lp && lp->ack_backlog <= lp->backlog && sh->reqs.nr < sh->reqs.max;
}

bool tcp_tw_rcv(struct stack *st, struct tcp_tw *tw, struct sk_buff *skb, uint32_t *ret_isn)
{
	bool fresh_fin;

	if (skb->tcp.tcp_flags & TCPF_RST) {
		tw_rst(st, tw, skb);
		return false;
	}
	if (may_reopen(tw, skb) && somebody_listens(st, tw)) {
		*ret_isn = isn_beyond(tw);
		tcp_tw_free(st, tw);
		return true;
	}
	/* the peer's FIN again: our last ACK was lost, the 2 MSL start anew */
	fresh_fin = (skb->tcp.tcp_flags & TCPF_FIN) && skb->tcp.end_seq == tw->rcv_nxt;
	if (fresh_fin)
		timer_arm(&st->wheel, &tw->timer, st->now + st->cfg.msl2);
	if (skb->tcp.end_seq != skb->tcp.seq || skb->tcp.seq != tw->rcv_nxt) {
		if (fresh_fin || tcp_may_answer(st, &tw->challenge_ns))
			tcp_send_tw_ack(st, tw);
	}
	skb_drop(skb, SKB_DROP_TCP_OLD_DATA);
	return false;
}

void tcp_tw_purge(struct stack *st)
{
	while (!list_empty(&st->tcp->tw_lru))
		tcp_tw_free(st, list_first_entry(&st->tcp->tw_lru, struct tcp_tw, lru));
}
