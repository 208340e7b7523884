/* SPDX-License-Identifier: BSD-3-Clause */
/* The invariants of tcp_check.h. */
#include "sim/tcp_check.h"

/* The wheel's own: a timer may run a tick late, and one more where it moved down a level. */
#define LATE_NS (4 * TICK_NS)

#define RULE(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			return #cond;                                                              \
	} while (0)

struct count {
	uint32_t sacked, lost, retrans, truesize;
	unsigned sacked_segs, to_send; /* skbs that are SACKed; that are to be sent again */
	unsigned in_flight;            /* those that are neither */
	bool saw_sack_hint, unsent;
	const struct sk_buff *highest;
};

static void count_one(struct count *n, const struct tcp_sock *tp, const struct sk_buff *skb)
{
	uint32_t len = tcp_skb_bytes(skb);

	n->truesize += skb->truesize;
	if (skb == tp->sack_hint)
		n->saw_sack_hint = true;
	if (skb->tcp.sacked & TCPCB_SACKED) {
		n->sacked += len;
		n->sacked_segs++;
		n->highest = skb;
	} else if ((skb->tcp.sacked & (TCPCB_LOST | TCPCB_RETRANS)) == TCPCB_LOST) {
		n->to_send++;
	} else if (!n->unsent) {
		n->in_flight++;
	}
	if (skb->tcp.sacked & TCPCB_LOST)
		n->lost += len;
	if (skb->tcp.sacked & TCPCB_RETRANS)
		n->retrans += len;
}

/* Every segment that was sent and is not SACKed is on the one list or the other; the landmarks
 * stand in the queue's order. */
static const char *check_lists(const struct tcp_sock *tp, const struct count *n)
{
	const struct tcp_sent_index *ix = &tp->index;
	const struct sk_buff *skb, *prev = NULL;
	unsigned sent = 0, lost = 0;
	bool hint = false;

	list_for_each_entry (skb, &tp->sent_list, tcp.link) {
		RULE(!(skb->tcp.sacked & TCPCB_SACKED));
		RULE(!prev || prev->tcp.tx_ns <= skb->tcp.tx_ns);
		prev = skb;
		sent++;
	}
	list_for_each_entry (skb, &tp->lost_list, tcp.link) {
		RULE((skb->tcp.sacked & ~TCPCB_PUSHED) == TCPCB_LOST);
		hint |= skb == tp->lost_hint;
		lost++;
	}
	RULE(sent == n->in_flight);
	RULE(lost == n->to_send);
	RULE(!tp->lost_hint || hint);
	for (unsigned i = 0; i + 1 < ix->nr; i++)
		RULE(!after(ix->seq[tcp_index_at(ix, i)], ix->seq[tcp_index_at(ix, i + 1)]));
	RULE(ix->nr <= ix->size);
	for (unsigned i = 0; i < ix->nr; i++) {
		skb = ix->skb[tcp_index_at(ix, i)];
		RULE(!before(skb->tcp.seq, tp->snd_una) && before(skb->tcp.seq, tp->snd_nxt));
		RULE(!before(skb->tcp.seq, ix->seq[tcp_index_at(ix, i)]));
	}
	return NULL;
}

static const char *check_write_queue(const struct tcp_sock *tp)
{
	const struct sk_buff_head *q = &tp->sk.sk_write_queue;
	uint32_t seq = tp->snd_una, nr = 0;
	struct count n = {0};
	const struct sk_buff *skb;

	skb_queue_walk (q, skb) {
		RULE(skb->tcp.seq == seq);
		seq = skb->tcp.end_seq;
		nr++;
		if (skb == tp->send_head) {
			RULE(skb->tcp.seq == tp->snd_nxt);
			n.unsent = true;
		}
		RULE(!n.unsent || !skb->tcp.sacked);
		RULE(!(skb->tcp.sacked & TCPCB_SACKED) ||
		     (skb->tcp.sacked & ~TCPCB_PUSHED) == TCPCB_SACKED);
		RULE(tcp_skb_bytes(skb) == skb->len + !!(skb->tcp.tcp_flags & TCPF_FIN) +
						   !!(skb->tcp.tcp_flags & TCPF_SYN));
		count_one(&n, tp, skb);
	}
	RULE(nr == q->qlen);
	RULE(seq == tp->write_seq);
	RULE(!tp->send_head || n.unsent);
	RULE(tp->send_head || tp->snd_nxt == tp->write_seq);
	RULE(n.truesize == tp->sk.sk_wmem_queued);
	RULE(n.lost == tp->lost_out);
	RULE(n.retrans == tp->retrans_out);
	RULE(!tp->sack_ok || n.sacked == tp->sacked_out);
	RULE(tp->sack_ok || !n.sacked);
	RULE((uint64_t)tp->sacked_out + tp->lost_out <= (uint64_t)tcp_flight(tp) + tp->retrans_out);
	RULE(!tp->sack_hint || n.saw_sack_hint);
	RULE(tp->highest_sack == n.highest);
	RULE(n.sacked_segs == tp->sacked_segs);
	return check_lists(tp, &n);
}

/* check_tree - the treap over the out-of-order queue: order by seq, heap by priority; walked by the
 * search that the product makes. */
static const char *check_tree(const struct tcp_sock *tp)
{
	const struct sk_buff_head *q = &tp->ofo_queue;
	const struct sk_buff *skb, *t;

	RULE(!tp->ofo_root == skb_queue_empty(q));
	skb_queue_walk (q, skb) {
		uint32_t prio = UINT32_MAX;

		for (t = tp->ofo_root; t != skb;) {
			RULE(t);
			RULE(t->hash <= prio);
			prio = t->hash;
			t = after(t->tcp.seq, skb->tcp.seq) ? t->tcp.left : t->tcp.right;
		}
		RULE(!t->tcp.left || before(t->tcp.left->tcp.seq, t->tcp.seq));
		RULE(!t->tcp.right || after(t->tcp.right->tcp.seq, t->tcp.seq));
	}
	return NULL;
}

/* check_sacks - each block that we owe names bytes that are here (RFC 2018 4, 8), none two. */
static const char *check_sacks(const struct tcp_sock *tp)
{
	const struct sk_buff *skb;

	RULE(tp->nr_sacks <= TCP_MAX_SACKS);
	for (unsigned i = 0; i < tp->nr_sacks; i++) {
		const struct tcp_sack_block *b = &tp->sacks[i];
		uint32_t seq = b->start;

		RULE(before(b->start, b->end));
		RULE(after(b->start, tp->rcv_nxt));
		skb_queue_walk (&tp->ofo_queue, skb) {
			if (after(skb->tcp.seq, seq))
				break;
			if (after(skb->tcp.end_seq, seq))
				seq = skb->tcp.end_seq;
		}
		RULE(!before(seq, b->end));
		for (unsigned j = 0; j < i; j++)
			RULE(before(b->end, tp->sacks[j].start) ||
			     after(b->start, tp->sacks[j].end));
	}
	return NULL;
}

static const char *check_rcv_queues(const struct tcp_sock *tp)
{
	const struct sk_buff_head *q = &tp->sk.sk_receive_queue;
	uint32_t seq = tp->copied_seq, truesize = 0;
	const struct sk_buff *skb;

	skb_queue_walk (q, skb) {
		RULE(skb->len != 0);
		RULE(skb->tcp.seq == seq);
		RULE(skb->tcp.end_seq == seq + skb->len);
		seq = skb->tcp.end_seq;
		truesize += skb->truesize;
	}
	RULE(seq + tp->fin_rcvd == tp->rcv_nxt);
	q = &tp->ofo_queue;
	seq = tp->rcv_nxt;
	skb_queue_walk (q, skb) {
		/* a hole before the first, no overlap between the others */
		RULE(skb_queue_prev(q, skb) ? !before(skb->tcp.seq, seq)
					    : after(skb->tcp.seq, seq));
		RULE(after(skb->tcp.end_seq, skb->tcp.seq));
		seq = skb->tcp.end_seq;
		truesize += skb->truesize;
	}
	RULE(truesize == tp->sk.sk_rmem_alloc);
	RULE(!tp->fin_rcvd || skb_queue_empty(q));
	RULE(!tp->fin_rcvd || (tp->sk.sk_shutdown & RCV_SHUTDOWN));
	return check_sacks(tp);
}

static const char *check_queues(const struct tcp_sock *tp)
{
	const char *why;

	if (tp->sk.sk_state == TCP_LISTEN)
		return NULL;
	if (tp->sk.sk_state == TCP_CLOSE) {
		RULE(!tp->node.pprev);
		RULE(skb_queue_empty(&tp->sk.sk_write_queue));
		RULE(!timer_pending(&tp->retrans_timer) && !timer_pending(&tp->delack_timer));
		return NULL;
	}
	why = check_write_queue(tp);
	if (!why && tp->sk.sk_state != TCP_SYN_SENT)
		why = check_rcv_queues(tp);
	if (!why)
		why = check_tree(tp);
	if (why)
		return why;
	RULE(tp->node.pprev);
	RULE(tp->snd_cwnd >= tp->mss_cache);
	/* what is in flight is watched by the timer */
	RULE(!tcp_flight(tp) || tp->rto_deadline);
	RULE(!tcp_flight(tp) || tp->pending == TCP_PEND_RETRANS || tp->pending == TCP_PEND_TLP ||
	     tp->pending == TCP_PEND_REO);
	return NULL;
}

/* Where nobody but a timer could end tp, there is one. */
static const char *check_end_in_sight(const struct tcp_sock *tp)
{
	unsigned state = tp->sk.sk_state;
	bool waits = state == TCP_FIN_WAIT2 && tp->sk.sk_dead;
	bool opening = state == TCP_SYN_SENT || state == TCP_SYN_RECV;
	bool our_fin = state == TCP_FIN_WAIT1 || state == TCP_CLOSING || state == TCP_LAST_ACK;

	RULE(!waits || (tp->pending == TCP_PEND_ORPHAN && tp->rto_deadline));
	RULE(!(opening || our_fin) || tp->rto_deadline || !list_empty(&tp->out_link));
	RULE(!tp->sk.sk_dead || (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT));
	RULE(!tp->opt.keepalive || opening || waits || timer_pending(&tp->keep_timer));
	return NULL;
}

/* Half-open connections and those in TIME-WAIT end by their timers alone. */
static const char *check_small(const struct tcp_shard *sh)
{
	const struct tcp_sock *lp;
	const struct tcp_req *req;
	const struct tcp_tw *tw;
	uint32_t nr = 0, reqs = 0, young;

	list_for_each_entry (tw, &sh->tw_lru, lru) {
		RULE(timer_pending(&tw->timer) && tw->node.pprev);
		nr++;
	}
	RULE(nr == sh->tws.nr);
	list_for_each_entry (lp, &sh->all, all_link) {
		if (lp->sk.sk_state != TCP_LISTEN)
			continue;
		nr = young = 0;
		list_for_each_entry (req, &lp->reqs, link) {
			RULE(timer_pending(&req->timer) && req->node.pprev && req->listener == lp);
			young += !req->timeouts;
			nr++;
		}
		RULE(nr == lp->nr_reqs && young == lp->nr_young);
		reqs += nr;
	}
	RULE(reqs == sh->reqs.nr);
	return NULL;
}

/* Will somebody look at tp again? What is watched by a deadline needs a timer that fires no
 * later. */
static const char *check_timers(const struct tcp_sock *tp)
{
	uint64_t now = tcp_stack(tp)->now;

	if (tp->rto_deadline) {
		RULE(timer_pending(&tp->retrans_timer));
		RULE(tp->retrans_timer.expires <= tp->rto_deadline);
		RULE(tp->rto_deadline + LATE_NS >= now);
	}
	RULE(!tcp_flight(tp) || tp->rto_deadline);
	if (tp->ack_deadline && tp->ack_pending) {
		RULE(timer_pending(&tp->delack_timer));
		RULE(tp->delack_timer.expires <= tp->ack_deadline);
		RULE(tp->ack_deadline + LATE_NS >= now);
	}
	RULE(!timer_pending(&tp->keep_timer) || tp->keep_timer.expires + LATE_NS >= now);
	/* an ACK that is owed goes out in this turn or by its timer */
	RULE(!tp->ack_pending || !list_empty(&tp->out_link) || tp->ack_deadline);
	/* unsent bytes: in flight, or probing, or about to be sent */
	RULE(!tp->send_head || tp->rto_deadline || !list_empty(&tp->out_link));
	return check_end_in_sight(tp);
}

/* Nothing beyond what was offered (RFC 9293 3.8.6): right edge as last advertised, the FIN's number
 * aside. A window that was closed for want of memory says nothing of what came before. */
static const char *check_window(const struct tcp_sock *tp)
{
	uint32_t edge = tp->rcv_wup + tp->rcv_wnd;

	RULE(!after(tp->rcv_nxt - tp->fin_rcvd, edge));
	return NULL;
}

const char *tcp_check(const struct tcp_sock *tp)
{
	const char *why = check_queues(tp);

	if (why || tp->sk.sk_state == TCP_LISTEN || tp->sk.sk_state == TCP_CLOSE)
		return why;
	why = check_timers(tp);
	if (!why && tp->sk.sk_state != TCP_SYN_SENT)
		why = check_window(tp);
	return why;
}

static const char *check_memory(const struct stack *st)
{
	const struct tcp_shard *sh = st->tcp;

	/* as tcp_rcvq.c promises: a tenth for those with little, a third for those with nothing */
	RULE(sh->rmem_total <= sh->rmem_limit + sh->rmem_limit / 3 + 65536);
	return NULL;
}

const char *tcp_check_stack(const struct stack *st, const struct tcp_sock **ret_tp)
{
	const struct tcp_sock *tp;
	uint64_t rmem = 0, wmem = 0;
	const char *why;

	*ret_tp = NULL;
	list_for_each_entry (tp, &st->tcp->all, all_link) {
		why = tcp_check(tp);
		if (why) {
			*ret_tp = tp;
			return why;
		}
		rmem += tp->sk.sk_rmem_alloc;
		wmem += tp->sk.sk_wmem_queued;
	}
	RULE(rmem == st->tcp->rmem_total);
	RULE(wmem == st->tcp->wmem_total);
	why = check_small(st->tcp);
	return why ? why : check_memory(st);
}
