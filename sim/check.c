/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold after each turn of a host: queues and accounts (tcp_check.c), timers, memory; and
 * when all is over: that nothing is left.
 */
#include "poller/lane.h"
#include "sim/sim_int.h"
#include "sim/tcp_check.h"

/* The wheel's own: a timer may run a tick late, and one more where it moved down a level. */
#define LATE_NS (4 * TICK_NS)

#define RULE(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			return #cond;                                                              \
	} while (0)

/* Will somebody look at tp again? What is watched by a deadline needs a timer that fires no later. */
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
	/* an ACK that is owed goes out in this turn or by its timer */
	RULE(!tp->ack_pending || !list_empty(&tp->out_link) || tp->ack_deadline);
	/* unsent bytes: in flight, or probing, or about to be sent */
	RULE(!tp->send_head || tp->rto_deadline || !list_empty(&tp->out_link));
	return NULL;
}

/* Nothing beyond what was offered (RFC 9293 3.8.6): right edge as last advertised, the FIN's number
 * aside. A window that was closed for want of memory says nothing of what came before. */
static const char *check_window(const struct tcp_sock *tp)
{
	uint32_t edge = tp->rcv_wup + tp->rcv_wnd;

	RULE(!after(tp->rcv_nxt - tp->fin_rcvd, edge));
	return NULL;
}

static const char *check_memory(const struct stack *st)
{
	const struct tcp_shard *sh = st->tcp;

	/* as tcp_rcvq.c promises: a tenth for those with little, a third for those with nothing */
	RULE(sh->rmem_total <= sh->rmem_limit + sh->rmem_limit / 3 + 65536);
	return NULL;
}

static void sock_broken(struct sim_host *h, const struct tcp_sock *tp, const char *rule)
{
	sim_fail(h->w,
		 "host %u, port %u to host %u port %u, %s: not (%s) [una %u nxt %u write %u wnd %u "
		 "rcv_nxt %u wup %u rcv_wnd %u ca %u pending %u rto_deadline %+.3f ms]",
		 h->index, tp->node.lport, (tp->node.faddr >> 24) - 1, tp->node.fport,
		 tcp_state_name(tp->sk.sk_state), rule, tp->snd_una - tp->iss,
		 tp->snd_nxt - tp->iss, tp->write_seq - tp->iss, tp->snd_wnd, tp->rcv_nxt - tp->irs,
		 tp->rcv_wup - tp->irs, tp->rcv_wnd, tp->ca_state, tp->pending,
		 tp->rto_deadline ? (double)(int64_t)(tp->rto_deadline - h->w->now) / 1e6 : 0.0);
}

void sim_check_tell(struct sim_host *h)
{
	const struct tcp_sock *tp;

	list_for_each_entry (tp, &h->st->tcp->all, all_link)
		sim_say(h->w,
			"host %u port %u to host %u port %u: %s%s una %u nxt %u write %u wnd %u cwnd %u "
			"ssthresh %u rcv_nxt %u edge %u ca %u pending %u in %+.3f ms backoff %u "
			"retransmits %u lost %u sacked %u retrans %u queues %u %u %u err %d",
			h->index, tp->node.lport, (tp->node.faddr >> 24) - 1, tp->node.fport,
			tcp_state_name(tp->sk.sk_state), tp->sk.sk_dead ? " (orphan)" : "",
			tp->snd_una - tp->iss, tp->snd_nxt - tp->iss, tp->write_seq - tp->iss,
			tp->snd_wnd, tp->snd_cwnd, tp->snd_ssthresh, tp->rcv_nxt - tp->irs,
			tp->rcv_wup + tp->rcv_wnd - tp->irs, tp->ca_state, tp->pending,
			tp->rto_deadline ? (double)(int64_t)(tp->rto_deadline - h->w->now) / 1e6
					 : 0.0,
			tp->backoff, tp->retransmits, tp->lost_out, tp->sacked_out, tp->retrans_out,
			tp->sk.sk_write_queue.qlen, tp->sk.sk_receive_queue.qlen,
			tp->ofo_queue.qlen, tp->sk.sk_err);
}

static const char *check_sock(const struct tcp_sock *tp)
{
	const char *why = tcp_check(tp);

	if (why || tp->sk.sk_state == TCP_LISTEN || tp->sk.sk_state == TCP_CLOSE)
		return why;
	why = check_timers(tp);
	if (!why && tp->sk.sk_state != TCP_SYN_SENT)
		why = check_window(tp);
	return why;
}

void sim_check_turn(struct sim_host *h)
{
	const struct tcp_sock *tp;
	const char *why = check_memory(h->st);
	uint64_t rmem = 0, wmem = 0;

	if (why)
		sim_fail(h->w, "host %u: not (%s)", h->index, why);
	list_for_each_entry (tp, &h->st->tcp->all, all_link) {
		why = check_sock(tp);
		if (why) {
			sock_broken(h, tp, why);
			return;
		}
		rmem += tp->sk.sk_rmem_alloc;
		wmem += tp->sk.sk_wmem_queued;
	}
	if (rmem != h->st->tcp->rmem_total || wmem != h->st->tcp->wmem_total)
		sim_fail(h->w, "host %u: the lane's accounts are not the sum of its sockets'",
			 h->index);
}

const char *sim_check_empty(struct sim_host *h)
{
	const struct tcp_shard *sh = h->st->tcp;

	if (lane_nr_g(h->lane))
		return "a goroutine";
	if (sh->socks.nr)
		return "a socket";
	if (sh->reqs.nr)
		return "a half-open connection";
	if (sh->tws.nr)
		return "a connection in TIME-WAIT";
	return NULL;
}
