/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a connection is given up: too long without an acknowledgment (RFC 9293 3.8.3, measured in
 * time as Linux does), the user's own limit (RFC 5482), idle peers that do not answer (keepalive,
 * RFC 9293 3.8.4), and connections whose user has left, of which there may be only so many.
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_guard.h"

/* What Linux takes for the RTO where it makes a number of retries a time: the peer's distance does
 * not shorten the patience. */
#define RETRY_BASE (200 * NSEC_PER_MSEC)
/* Retries of an orphan where tcp_orphan_retries is 0. */
#define ORPHAN_RETRIES 8

/* retries_time - how long `n` retries with backoff last. */
static uint64_t retries_time(const struct tcp_sock *tp, unsigned n, uint64_t base)
{
	uint64_t max = tcp_stack(tp)->cfg.rto_max, sum = 0;

	for (unsigned i = 0; i <= n; i++) {
		sum += base;
		base = min_t(uint64_t, base * 2, max);
	}
	return sum;
}

static uint64_t user_timeout_ns(const struct tcp_sock *tp)
{
	return tp->opt.user_timeout * NSEC_PER_MSEC;
}

bool tcp_timed_out(const struct tcp_sock *tp, unsigned retries, bool user)
{
	bool syn = tp->sk.sk_state == TCP_SYN_SENT || tp->sk.sk_state == TCP_SYN_RECV;
	uint64_t limit = user ? user_timeout_ns(tp) : 0;

	if (!tp->retransmits)
		return false;
	if (!limit)
		limit = retries_time(tp, retries, syn ? TCP_TIMEOUT_INIT : RETRY_BASE);
	return tcp_stack(tp)->now - tp->giveup_ns >= limit;
}

/* user_left - what of the user timeout is left of `delay`, so that the timer does not come late. */
static uint64_t user_left(const struct tcp_sock *tp, uint64_t since, uint64_t delay)
{
	uint64_t limit = user_timeout_ns(tp), spent = tcp_stack(tp)->now - since;

	if (!limit)
		return delay;
	return spent >= limit ? 1 : min_t(uint64_t, delay, limit - spent);
}

uint64_t tcp_rto_delay(const struct tcp_sock *tp, bool refused)
{
	uint64_t rto = refused ? TCP_RESOURCE_PROBE_INTERVAL : tcp_rto_backoff(tp);

	return tp->retransmits ? user_left(tp, tp->giveup_ns, rto) : rto;
}

/* ---- orphans ---- */

/* orphans_too_many - shift: how much more a connection that makes no progress counts. */
static bool orphans_too_many(const struct tcp_sock *tp, unsigned shift)
{
	const struct stack *st = tcp_stack(tp);

	return (uint64_t)st->tcp->nr_orphans << shift > st->cfg.max_orphans;
}

bool tcp_orphan_add(struct tcp_sock *tp)
{
	tp->orphan = true;
	tcp_stack(tp)->tcp->nr_orphans++;
	if (!orphans_too_many(tp, 0))
		return true;
	stat_inc(&tcp_stack(tp)->stats.tcp_orphan_drops);
	return false;
}

/* orphan_dropped - there are too many for one that is in trouble: it goes, with an RST if the peer
 * may still be there. */
static bool orphan_dropped(struct tcp_sock *tp, bool alive)
{
	struct stack *st = tcp_stack(tp);
	unsigned shift = !alive + !!tp->err_soft;

	if (!orphans_too_many(tp, shift))
		return false;
	stat_inc(&st->stats.tcp_orphan_drops);
	if (alive)
		tcp_send_active_reset(tp);
	tcp_done(tp);
	return true;
}

static unsigned orphan_retries(const struct tcp_sock *tp, bool alive)
{
	unsigned n = tcp_stack(tp)->cfg.orphan_retries;

	if (tp->err_soft && !alive)
		return 0;
	return !n && alive ? ORPHAN_RETRIES : n;
}

bool tcp_fin_wait2_orphan(struct tcp_sock *tp)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;
	uint64_t wait = cfg->fin_timeout;

	if (tp->opt.linger2 < 0)
		return false;
	if (tp->opt.linger2)
		wait = (uint64_t)tp->opt.linger2 * NSEC_PER_SEC;
	/* the peer's FIN may have been lost twice */
	wait = max_t(uint64_t, wait, tp->rto * 7 / 2);
	tcp_arm_retrans(tp, TCP_PEND_ORPHAN, wait);
	return true;
}

/* ---- the retransmission and the probe timer ---- */

bool tcp_syn_linear(const struct tcp_sock *tp)
{
	return tp->sk.sk_state == TCP_SYN_SENT &&
	       tp->retransmits <= tcp_stack(tp)->cfg.syn_linear_timeouts;
}

static bool syn_timed_out(const struct tcp_sock *tp)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;
	unsigned n = cfg->synack_retries, linear = 0;

	if (tp->sk.sk_state == TCP_SYN_SENT) {
		n = tp->opt.syn_retries ? tp->opt.syn_retries : cfg->syn_retries;
		linear = cfg->syn_linear_timeouts;
	}
	/* as Linux: a few that follow soon do not shorten the time that n with backoff take */
	return tp->retransmits >= n + linear || tcp_timed_out(tp, n, true);
}

bool tcp_write_timeout(struct tcp_sock *tp)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;
	unsigned n = cfg->retries2;
	bool over;

	if (tp->sk.sk_state == TCP_SYN_SENT || tp->sk.sk_state == TCP_SYN_RECV) {
		over = syn_timed_out(tp);
	} else {
		if (tp->sk.sk_dead) {
			bool alive = tcp_rto_backoff(tp) < cfg->rto_max;

			n = orphan_retries(tp, alive);
			if (orphan_dropped(tp, alive || !tcp_timed_out(tp, n, false)))
				return true;
		}
		over = tcp_timed_out(tp, n, true);
		if (!over && tcp_timed_out(tp, cfg->retries1, false))
			tcp_mtu_black_hole(tp);
	}
	if (over) {
		tcp_abort_err(tp, tp->err_soft ? tp->err_soft : ETIMEDOUT);
		return true;
	}
	if (!tp->retransmits) {
		tp->total_rto_runs++;
		if (tp->sk.sk_state != TCP_SYN_SENT)
			tp->giveup_ns = tcp_stack(tp)->now;
	}
	/* a device that refuses what is sent again makes more of them than a byte holds */
	if (tp->retransmits < UINT8_MAX)
		tp->retransmits++;
	tp->total_rto++;
	return false;
}

/* probe_timed_out - B29: a peer that answers may keep its window shut for as long as its socket
 * here has a user who set no limit; one that does not answer, or an orphan, is given up. */
static bool probe_timed_out(struct tcp_sock *tp, unsigned max, bool alive)
{
	uint64_t limit = user_timeout_ns(tp);

	if (limit && tcp_stack(tp)->now - tp->probe_start_ns >= limit)
		return true;
	/* none of them left this machine, or no more does: only time says that it is too long, or a
	 * cable that is out for some seconds would end what a lossy path does not */
	if (!tp->backoff || tcp_tx_off(tp)) {
		uint64_t since = max_t(uint64_t, tp->probe_start_ns, tp->lack_ns);

		return tcp_stack(tp)->now - since >= retries_time(tp, max, RETRY_BASE);
	}
	return tp->probes_out >= max || (tp->sk.sk_dead && !alive && tp->backoff >= max);
}

bool tcp_probe_timeout(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);
	bool alive = tcp_rto_backoff(tp) < st->cfg.rto_max;
	unsigned max = st->cfg.retries2;

	if (!tp->probe_start_ns)
		tp->probe_start_ns = st->now;
	if (tp->sk.sk_dead) {
		max = orphan_retries(tp, alive);
		if (orphan_dropped(tp, true))
			return true;
	}
	if (!probe_timed_out(tp, max, alive))
		return false;
	stat_inc(&st->stats.tcp_persist_drops);
	if (tp->sk.sk_dead)
		tcp_send_active_reset(tp);
	tcp_abort_err(tp, tp->err_soft ? tp->err_soft : ETIMEDOUT);
	return true;
}

uint64_t tcp_probe_delay(const struct tcp_sock *tp, bool refused)
{
	return user_left(tp, tp->probe_start_ns,
			 refused ? TCP_RESOURCE_PROBE_INTERVAL : tcp_rto_backoff(tp));
}

/* ---- keepalive ---- */

static bool keepalive_state(const struct tcp_sock *tp)
{
	return tp->opt.keepalive && tp->sk.sk_state != TCP_CLOSE && tp->sk.sk_state != TCP_LISTEN &&
	       tp->sk.sk_state != TCP_SYN_SENT &&
	       !(tp->sk.sk_state == TCP_FIN_WAIT2 && tp->sk.sk_dead);
}

/* idle_ns - how long nothing has come from the peer. */
static uint64_t idle_ns(const struct tcp_sock *tp)
{
	uint64_t now = tcp_stack(tp)->now;

	return min_t(uint64_t, now - tp->lrcv_ns, now - tp->lack_ns);
}

static bool keepalive_over(const struct tcp_sock *tp, uint64_t idle)
{
	uint64_t limit = user_timeout_ns(tp);

	if (limit)
		return idle >= limit && tp->probes_out;
	return tp->probes_out >= tp->opt.keepcnt;
}

/* keepalive_probe - the idle peer is asked, or given up. Returns when to look again; 0: tp is
 * gone. RFC 9293 3.8.4: an empty segment with a sequence number that the peer has seen. */
static uint64_t keepalive_probe(struct tcp_sock *tp, uint64_t idle)
{
	if (keepalive_over(tp, idle)) {
		stat_inc(&tcp_stack(tp)->stats.tcp_keepalive_drops);
		tcp_send_active_reset(tp);
		tcp_abort_err(tp, tp->err_soft ? tp->err_soft : ETIMEDOUT);
		return 0;
	}
	stat_inc(&tcp_stack(tp)->stats.tcp_keepalive_probes);
	tp->probes_out++;
	tcp_send_empty(tp, tp->snd_una - 1, 0);
	return tp->opt.keepintvl * NSEC_PER_SEC;
}

static void keep_timer_fn(struct timer *t, uint64_t now)
{
	struct tcp_sock *tp = container_of(t, struct tcp_sock, keep_timer);
	uint64_t idle, next = tp->opt.keepidle * NSEC_PER_SEC;

	if (!keepalive_state(tp))
		return;
	/* who has something to send learns of a dead peer by that */
	if (skb_queue_empty(&tp->sk.sk_write_queue)) {
		idle = idle_ns(tp);
		if (idle >= next) {
			next = keepalive_probe(tp, idle);
		} else {
			tp->probes_out = 0;
			next -= idle;
		}
	}
	if (next)
		timer_arm(&tcp_stack(tp)->wheel, t, now + next);
}

void tcp_keepalive_restart(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);
	uint64_t idle, time = tp->opt.keepidle * NSEC_PER_SEC;

	if (!keepalive_state(tp)) {
		timer_cancel(&st->wheel, &tp->keep_timer);
		return;
	}
	idle = min_t(uint64_t, idle_ns(tp), time);
	timer_arm(&st->wheel, &tp->keep_timer, st->now + time - idle);
}

void tcp_giveup_init(struct tcp_sock *tp)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;

	timer_init(&tp->keep_timer, keep_timer_fn);
	tp->opt.keepidle = (uint16_t)(cfg->keepalive_time / NSEC_PER_SEC);
	tp->opt.keepintvl = (uint16_t)(cfg->keepalive_intvl / NSEC_PER_SEC);
	tp->opt.keepcnt = cfg->keepalive_probes;
}
