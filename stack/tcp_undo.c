/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking a recovery back when it turns out that nothing was lost: timestamps tell an ACK of
 * the original from one of the retransmission (Eifel: RFC 3522, 4015), D-SACKs that every
 * retransmission was one too many (RFC 3708), and F-RTO that the RTO came too early (RFC
 * 5682, its SACK-enhanced form, which serves without SACK as well).
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_int.h"

/* Steps that the undoing of one recovery may spend on putting segments in order of time. */
#define RELIST_STEPS_MAX 4096
/* Recoveries within a window whose marks are taken back, where more is in the queue than this. */
#define UNMARKS_MAX 4
#define UNMARK_FREE 64

void tcp_undo_init(struct tcp_sock *tp)
{
	tp->undo_marker = tp->snd_una;
	tp->undo_valid = true;
	/* what is in flight as a retransmission now may yet be told of by D-SACK; none known is
	 * not the same as all of them told of */
	tp->undo_retrans = (int32_t)(tp->retrans_out / tp->mss_cache);
	if (tp->tlp_out && tp->tlp_retrans)
		tp->undo_retrans++;
	if (!tp->undo_retrans)
		tp->undo_retrans = -1;
}

void tcp_undo_retransmitted(struct tcp_sock *tp)
{
	if (tp->undo_retrans < 0)
		tp->undo_retrans = 0;
	tp->undo_retrans++;
	if (!tp->retrans_stamp)
		tp->retrans_stamp = max_t(uint32_t, tcp_ts_now(tcp_stack(tp), tp->tsoffset), 1);
}

void tcp_undo_dsack(struct tcp_sock *tp, uint32_t end, uint32_t segs)
{
	if (tp->undo_valid && tp->undo_retrans > 0 && after(end, tp->undo_marker))
		tp->undo_retrans -= (int32_t)min_t(uint32_t, segs, (uint32_t)tp->undo_retrans);
}

bool tcp_any_retrans(const struct tcp_sock *tp)
{
	const struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);

	return tp->retrans_out || (head && head != tp->send_head && head->tcp.retrans);
}

/* was_delayed - RFC 3522: the ACK answers the original transmission, for it echoes a timestamp from
 * before the first retransmission; or nothing was retransmitted at all. */
static bool was_delayed(const struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	if (!tp->retrans_stamp)
		return true;
	return a->ts_ecr && before(a->ts_ecr, tp->retrans_stamp);
}

static bool may_undo(const struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	return tp->undo_valid && (!tp->undo_retrans || was_delayed(tp, a));
}

/* relist - what was to be sent again is in flight after all: back into the order of time. */
static void relist(struct tcp_sock *tp)
{
	struct list_head *at = &tp->sent_list;
	int left = RELIST_STEPS_MAX;
	uint64_t prior = 0;

	while (!list_empty(&tp->lost_list)) {
		struct sk_buff *skb = list_first_entry(&tp->lost_list, struct sk_buff, tcp.link);

		tcp_unlist(tp, skb);
		if (skb->tcp.tx_ns < prior)
			at = &tp->sent_list;
		while (at->next != &tp->sent_list && left-- > 0 &&
		       list_entry(at->next, struct sk_buff, tcp.link)->tcp.tx_ns < skb->tcp.tx_ns)
			at = at->next;
		list_add(&skb->tcp.link, at);
		at = &skb->tcp.link;
		prior = skb->tcp.tx_ns;
	}
}

static void unmark_lost(struct tcp_sock *tp)
{
	struct sk_buff *skb;

	relist(tp);
	list_for_each_entry (skb, &tp->sent_list, tcp.link)
		skb->tcp.sacked &= (uint8_t)~TCPCB_LOST;
	tp->lost_out = 0;
}

/* undo_cwnd - RFC 4015 3.2 in Linux's form: the windows from before, if these were larger. */
static void undo_cwnd(struct tcp_sock *tp, bool unmark)
{
	if (unmark)
		unmark_lost(tp);
	if (tp->prior_ssthresh) {
		tp->snd_cwnd = tp->ca->undo_cwnd ? tp->ca->undo_cwnd(tp)
						 : max_t(uint32_t, tp->snd_cwnd, tp->prior_cwnd);
		if (tp->prior_ssthresh > tp->snd_ssthresh) {
			tp->snd_ssthresh = tp->prior_ssthresh;
			tp->cwr_owed = false;
		}
	}
	stat_inc(&tcp_stack(tp)->stats.tcp_undos);
	tp->undo_valid = false;
	tp->rack.advanced = true; /* look anew what is lost */
}

void tcp_try_keep_open(struct tcp_sock *tp)
{
	bool open = !tp->sacked_out && !tp->lost_out && !tcp_any_retrans(tp);
	enum tcp_ca_state state = open ? TCP_CA_OPEN : TCP_CA_DISORDER;

	if (tp->ca_state != state) {
		tcp_set_ca_state(tp, state);
		tp->recover = tp->snd_nxt;
	}
}

void tcp_undo_at_end(struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	if (!may_undo(tp, a))
		return;
	if (tp->ca_state == TCP_CA_LOSS)
		stat_inc(&tcp_stack(tp)->stats.tcp_spurious_rtos);
	undo_cwnd(tp, false);
}

/* may_unmark - all that is in flight is looked at, and soon marked again if RACK still says so:
 * with ACKs of a byte each and an old timestamp a peer could have that for every ACK (B18, B30). */
static bool may_unmark(struct tcp_sock *tp)
{
	if (likely(tp->sk.sk_write_queue.qlen <= UNMARK_FREE))
		return true;
	if (tp->nr_undone && !before(tp->snd_una, tp->undo_round))
		tp->nr_undone = 0;
	if (tp->nr_undone == UNMARKS_MAX)
		return false;
	if (!tp->nr_undone++)
		tp->undo_round = tp->snd_nxt;
	return true;
}

bool tcp_undo_partial(struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	if (!tp->undo_valid || !was_delayed(tp, a))
		return false;
	/* the hole was filled by a segment that was late, not by its copy */
	if (tp->sack_ok)
		tcp_check_reordering(tp, a->prior_una, tcp_fack(tp));
	/* while copies are out, wait for what is said of them */
	if (tp->retrans_out)
		return true;
	if (!may_unmark(tp))
		return false;
	if (!tcp_any_retrans(tp))
		tp->retrans_stamp = 0;
	undo_cwnd(tp, true);
	tcp_try_keep_open(tp);
	return true;
}

bool tcp_undo_by_dsack(struct tcp_sock *tp)
{
	if (!tp->undo_valid || tp->undo_retrans)
		return false;
	undo_cwnd(tp, false);
	return true;
}

/* undo_loss - the RTO was spurious: nothing is lost that RACK does not say. */
static bool undo_loss(struct tcp_sock *tp, const struct tcp_ack_state *a, bool frto)
{
	if (!frto && !may_undo(tp, a))
		return false;
	stat_inc(&tcp_stack(tp)->stats.tcp_spurious_rtos);
	undo_cwnd(tp, true);
	tp->retransmits = 0;
	tp->frto = TCP_FRTO_OFF;
	if (frto || tp->sack_ok)
		tcp_set_ca_state(tp, TCP_CA_OPEN);
	return true;
}

/*
 * frto_step - RFC 5682 2.1 and 3.1. Step 2b: after the first ACK that advances, new data goes
 * instead of retransmissions. Step 3: if that brings an ACK of what was never sent again, the RTO
 * was spurious; if a duplicate, it was right. True: undone, or the retransmissions wait.
 */
static bool frto_step(struct tcp_sock *tp, const struct tcp_ack_state *a, bool recovered)
{
	if ((a->flags & TCP_ACKF_ORIG) && undo_loss(tp, a, true))
		return true;
	if (after(tp->snd_nxt, tp->recover)) {
		if (a->flags & (TCP_ACKF_SACKED | TCP_ACKF_DUP))
			tp->frto = TCP_FRTO_OFF;
	} else if ((a->flags & TCP_ACKF_UNA) && !recovered) {
		tp->recover = tp->snd_nxt;
		if (tp->send_head && after(tp->snd_una + tp->snd_wnd, tp->snd_nxt)) {
			tp->frto = TCP_FRTO_NEW;
			return true;
		}
		tp->frto = TCP_FRTO_OFF;
	}
	return false;
}

void tcp_process_loss(struct tcp_sock *tp, const struct tcp_ack_state *a)
{
	bool recovered = !before(tp->snd_una, tp->recover);

	if ((a->flags & TCP_ACKF_UNA) && undo_loss(tp, a, false))
		return;
	if (tp->frto != TCP_FRTO_OFF && frto_step(tp, a, recovered))
		return;
	if (recovered) {
		tp->frto = TCP_FRTO_OFF;
		tcp_undo_at_end(tp, a);
		tcp_set_ca_state(tp, TCP_CA_OPEN);
		tcp_rack_update_reo_wnd(tp, false, true);
	}
}
