/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold after each turn of a host (tcp_check.c), told with the state of who broke it; and
 * when all is over: that nothing is left.
 */
#include "poller/lane.h"
#include "sim/sim_int.h"
#include "sim/tcp_check.h"

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
			"host %u port %u to host %u port %u: %s%s una %u nxt %u write %u wnd %u "
			"cwnd %u ssthresh %u rcv_nxt %u edge %u ca %u pending %u in %+.3f ms "
			"backoff %u retransmits %u lost %u sacked %u retrans %u queues %u %u %u "
			"err %d",
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

void sim_check_turn(struct sim_host *h)
{
	const struct tcp_sock *tp;
	const char *why = tcp_check_stack(h->st, &tp);

	if (why && tp)
		sock_broken(h, tp, why);
	else if (why)
		sim_fail(h->w, "host %u: not (%s)", h->index, why);
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
	if (sh->port_slab.nr)
		return "a port that nobody has";
	return NULL;
}
