/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection's two timers. The wheel's entry may fire before the deadline that counts:
 * moving a deadline later, which every ACK does, then costs a store and no list work.
 * RFC 6298 5 (retransmission), 9293 3.8.6.1 (zero-window probes), 1122 4.2.3.2 (delayed
 * ACK).
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_guard.h"

void tcp_arm_retrans(struct tcp_sock *tp, enum tcp_pending what, uint64_t delay)
{
	struct stack *st = tcp_stack(tp);

	if (what == TCP_PEND_NONE) {
		tcp_disarm_retrans(tp);
		return;
	}
	tp->pending = (uint8_t)what;
	tp->rto_deadline = st->now + delay;
	if (!timer_pending(&tp->retrans_timer) || tp->retrans_timer.expires > tp->rto_deadline)
		timer_arm(&st->wheel, &tp->retrans_timer, tp->rto_deadline);
}

void tcp_arm_rto_of_head(struct tcp_sock *tp)
{
	const struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);
	uint64_t now = tcp_stack(tp)->now, due;

	if (!tcp_flight(tp) || !head) {
		tcp_arm_retrans(tp, TCP_PEND_NONE, 0);
		return;
	}
	due = head->tcp.tx_ns + tcp_rto_backoff(tp);
	tcp_arm_retrans(tp, TCP_PEND_RETRANS, due > now ? due - now : 1);
}

void __tcp_rearm_rto(struct tcp_sock *tp)
{
	uint64_t pto, rto = tcp_rto_backoff(tp);

	pto = tcp_tlp_delay(tp);
	if (pto) {
		tcp_arm_retrans(tp, TCP_PEND_TLP, min_t(uint64_t, pto, rto));
		return;
	}
	/* what stood in for the RTO does not put it off */
	if (tp->pending == TCP_PEND_TLP || tp->pending == TCP_PEND_REO)
		tcp_arm_rto_of_head(tp);
	else
		tcp_arm_retrans(tp, TCP_PEND_RETRANS, rto);
}

static void arm_ack(struct tcp_sock *tp, uint64_t ns)
{
	struct stack *st = tcp_stack(tp);

	if (tp->ack_deadline)
		return;
	tp->ack_deadline = st->now + ns;
	/* it may be early, and then looks again; it may not be late */
	if (!timer_pending(&tp->delack_timer) || tp->delack_timer.expires > tp->ack_deadline)
		timer_arm(&st->wheel, &tp->delack_timer, tp->ack_deadline);
}

void tcp_arm_delack(struct tcp_sock *tp)
{
	arm_ack(tp, tcp_stack(tp)->cfg.delack);
}

void tcp_arm_ack_again(struct tcp_sock *tp)
{
	arm_ack(tp, max_t(uint64_t, tcp_stack(tp)->cfg.delack, NSEC_PER_MSEC));
}

static void rto_expired(struct tcp_sock *tp)
{
	struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);
	int err;

	if (!tcp_flight(tp) || !head || head == tp->send_head) {
		tcp_arm_retrans(tp, TCP_PEND_NONE, 0);
		return;
	}
	if (tcp_write_timeout(tp))
		return;
	stat_inc(&tcp_stack(tp)->stats.tcp_timeouts);
	if (tp->sk.sk_state != TCP_SYN_SENT && tp->sk.sk_state != TCP_SYN_RECV)
		tcp_enter_loss(tp);
	err = tcp_retransmit_skb(tp, head);
	if (!err)
		tcp_undo_retransmitted(tp);
	/* RFC 6298 5.5 is for what left: the path was not asked */
	if (err != -ENOBUFS && tp->backoff < 30 && !tcp_syn_linear(tp))
		tp->backoff++;
	tcp_arm_retrans(tp, TCP_PEND_RETRANS, tcp_rto_delay(tp, err == -ENOBUFS));
}

static void probe_expired(struct tcp_sock *tp)
{
	if (!tp->send_head) {
		tcp_arm_retrans(tp, TCP_PEND_NONE, 0);
		return;
	}
	if (tcp_probe_timeout(tp))
		return;
	/* after others, what the device refuses is no silence of the peer's */
	if (tp->probes_out < UINT8_MAX && !(tp->backoff && tcp_tx_off(tp)))
		tp->probes_out++;
	if (tcp_send_probe(tp) == -ENOBUFS) {
		tcp_arm_retrans(tp, TCP_PEND_PROBE, tcp_probe_delay(tp, true));
		return;
	}
	/* data left: the RTO took over */
	if (!tp->probes_out)
		return;
	/* the first that left: those before it, which Linux shows as well, do not count against the
	 * peer */
	if (!tp->backoff)
		tp->probes_out = 1;
	if (tp->backoff < 30)
		tp->backoff++;
	tcp_arm_retrans(tp, TCP_PEND_PROBE, tcp_probe_delay(tp, false));
}

static void retrans_timer_fn(struct timer *t, uint64_t now)
{
	struct tcp_sock *tp = container_of(t, struct tcp_sock, retrans_timer);

	if (!tp->rto_deadline)
		return;
	if (now < tp->rto_deadline) {
		timer_arm(&tcp_stack(tp)->wheel, t, tp->rto_deadline);
		return;
	}
	switch (tp->pending) {
	case TCP_PEND_RETRANS:
		rto_expired(tp);
		break;
	case TCP_PEND_TLP:
		tcp_tlp_expired(tp);
		break;
	case TCP_PEND_REO:
		tcp_reo_expired(tp);
		break;
	case TCP_PEND_PROBE:
		probe_expired(tp);
		break;
	case TCP_PEND_ORPHAN:
		tcp_done(tp);
		break;
	default:
		break;
	}
}

static void delack_timer_fn(struct timer *t, uint64_t now)
{
	struct tcp_sock *tp = container_of(t, struct tcp_sock, delack_timer);

	if (!tp->ack_deadline || !tp->ack_pending)
		return;
	if (now < tp->ack_deadline) {
		timer_arm(&tcp_stack(tp)->wheel, t, tp->ack_deadline);
		return;
	}
	tp->ack_deadline = 0;
	/* the answer did not come in time to carry the ACK: not a dialogue */
	tp->pingpong = false;
	stat_inc(&tcp_stack(tp)->stats.tcp_delayed_acks);
	tcp_send_ack(tp);
}

void tcp_init_timers(struct tcp_sock *tp)
{
	timer_init(&tp->retrans_timer, retrans_timer_fn);
	timer_init(&tp->delack_timer, delack_timer_fn);
	tp->rto = TCP_TIMEOUT_INIT;
}

void tcp_stop_timers(struct tcp_sock *tp)
{
	struct timer_wheel *w = &tcp_stack(tp)->wheel;

	timer_cancel(w, &tp->retrans_timer);
	timer_cancel(w, &tp->delack_timer);
	timer_cancel(w, &tp->keep_timer);
	tp->pending = TCP_PEND_NONE;
	tp->rto_deadline = tp->ack_deadline = 0;
}
