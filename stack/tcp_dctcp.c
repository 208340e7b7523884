/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DCTCP (RFC 8257): the window shrinks by the share of bytes that were marked, so that queues
 * that mark early stay short; and a receiver that tells each change of marking at once. Only
 * where every switch marks: beside CUBIC it takes more than its share.
 */
#include "stack/tcp_int.h"

/* alpha is scaled by 1024; g = 1/16 (RFC 8257 4.2); it begins at 1. */
#define DCTCP_ALPHA_ONE 1024u
#define DCTCP_SHIFT_G   4u

struct dctcp {
	uint32_t alpha;
	uint32_t window_end;    /* snd_nxt when this observation window began */
	uint32_t acked, marked; /* bytes of it */
	bool ce;                /* RFC 8257 3.2: DCTCP.CE */
};

_Static_assert(sizeof(struct dctcp) <= TCP_CA_PRIV_SIZE, "fits the socket");

static struct dctcp *dctcp_of(struct tcp_sock *tp)
{
	return (struct dctcp *)tp->ca_priv;
}

static void dctcp_init(struct tcp_sock *tp)
{
	struct dctcp *d = dctcp_of(tp);

	*d = (struct dctcp){.alpha = DCTCP_ALPHA_ONE,
			    .window_end = tp->snd_nxt + 1}; /* the ACK of a SYN ends none */
}

/* RFC 8257 3.3, 4.1: cwnd = cwnd * (1 - alpha / 2) */
static uint32_t dctcp_ssthresh(struct tcp_sock *tp)
{
	uint32_t cut =
		(uint32_t)((uint64_t)tp->snd_cwnd * dctcp_of(tp)->alpha / (2 * DCTCP_ALPHA_ONE));

	return max_t(uint32_t, tp->snd_cwnd - cut, 2u * tp->mss_cache);
}

/* dctcp_in_ack_event - 3.3: alpha = alpha * (1 - g) + g * M, once a window. */
static void dctcp_in_ack_event(struct tcp_sock *tp, uint32_t acked, bool ece)
{
	struct dctcp *d = dctcp_of(tp);

	d->acked += acked;
	if (ece)
		d->marked += acked;
	if (before(tp->snd_una, d->window_end) || !d->acked)
		return;
	d->alpha -= d->alpha >> DCTCP_SHIFT_G;
	d->alpha += (uint32_t)((uint64_t)d->marked * (DCTCP_ALPHA_ONE >> DCTCP_SHIFT_G) / d->acked);
	d->alpha = min_t(uint32_t, d->alpha, DCTCP_ALPHA_ONE);
	d->acked = d->marked = 0;
	d->window_end = tp->snd_nxt;
}

/* dctcp_set_state - 3.5: to a loss it responds as others do. */
static void dctcp_set_state(struct tcp_sock *tp, enum tcp_ca_state state)
{
	if (state == TCP_CA_RECOVERY || state == TCP_CA_LOSS)
		tp->snd_ssthresh = max_t(uint32_t, tp->prior_cwnd / 2, 2u * tp->mss_cache);
}

/* dctcp_cwnd_event - 3.2, figure 1: a change of marking is told by an ACK of its own for what came
 * before it (this segment is not counted yet), if that was not acknowledged. */
static void dctcp_cwnd_event(struct tcp_sock *tp, enum tcp_ca_event ev)
{
	struct dctcp *d = dctcp_of(tp);
	bool ce = ev == TCP_CA_EVENT_CE;

	if (ev != TCP_CA_EVENT_CE && ev != TCP_CA_EVENT_NO_CE)
		return;
	if (d->ce != ce) {
		if (tp->ack_pending & TCP_ACK_SCHED)
			tcp_send_ack(tp);
		tp->ack_pending |= TCP_ACK_NOW;
		tcp_output_mark(tp);
	}
	d->ce = ce;
	tp->ece_owed = ce;
}

const struct tcp_congestion_ops tcp_dctcp = {
	.name = "dctcp",
	.needs_ecn = true,
	.init = dctcp_init,
	.ssthresh = dctcp_ssthresh,
	.cong_avoid = tcp_reno_cong_avoid,
	.set_state = dctcp_set_state,
	.cwnd_event = dctcp_cwnd_event,
	.in_ack_event = dctcp_in_ack_event,
};
