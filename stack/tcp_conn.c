/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a connection: its block, the one writer of its state (RFC 9293 3.3.2, a
 * table of the legal transitions), active open, close, abort, and the end. Passive opens
 * are in tcp_listen.c, TIME-WAIT in tcp_tw.c.
 */
#include <string.h>

#include "stack/tcp_fast.h"
#include "stack/tcp_guard.h"

#define TO(s) (1u << TCP_##s)

/* Which states may follow which: RFC 9293 figure 5, plus CLOSE from everywhere (reset,
 * timeout, abort). */
static const uint16_t tcp_transitions[TCP_STATE_MAX] = {
	[TCP_CLOSE] = TO(LISTEN) | TO(SYN_SENT) | TO(SYN_RECV),
	[TCP_LISTEN] = TO(CLOSE),
	[TCP_SYN_SENT] = TO(SYN_RECV) | TO(ESTABLISHED) | TO(CLOSE),
	[TCP_SYN_RECV] = TO(ESTABLISHED) | TO(CLOSE), /* FIN-WAIT-1: see tcp_shutdown_send() */
	[TCP_ESTABLISHED] = TO(FIN_WAIT1) | TO(CLOSE_WAIT) | TO(CLOSE),
	[TCP_FIN_WAIT1] = TO(FIN_WAIT2) | TO(CLOSING) | TO(CLOSE),
	[TCP_FIN_WAIT2] = TO(TIME_WAIT) | TO(CLOSE),
	[TCP_CLOSE_WAIT] = TO(LAST_ACK) | TO(CLOSE),
	[TCP_CLOSING] = TO(TIME_WAIT) | TO(CLOSE),
	[TCP_LAST_ACK] = TO(CLOSE),
	[TCP_TIME_WAIT] = TO(CLOSE),
};

static bool is_estab(unsigned state)
{
	return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
}

void tcp_set_state(struct tcp_sock *tp, enum tcp_state state)
{
	struct stack_stats *stats = &tcp_stack(tp)->stats;
	unsigned old = tp->sk.sk_state;

	BUG_ON(!(tcp_transitions[old] & 1u << state));
	if (is_estab(state) && !is_estab(old))
		stat_inc(&stats->tcp_curr_estab);
	else if (is_estab(old) && !is_estab(state))
		stat_add(&stats->tcp_curr_estab, (uint64_t)-1);
	tp->sk.sk_state = (uint8_t)state;
}

const char *tcp_state_name(unsigned state)
{
	static const char *const names[TCP_STATE_MAX] = {
		[TCP_ESTABLISHED] = "ESTABLISHED",
		[TCP_SYN_SENT] = "SYN-SENT",
		[TCP_SYN_RECV] = "SYN-RECEIVED",
		[TCP_FIN_WAIT1] = "FIN-WAIT-1",
		[TCP_FIN_WAIT2] = "FIN-WAIT-2",
		[TCP_TIME_WAIT] = "TIME-WAIT",
		[TCP_CLOSE] = "CLOSED",
		[TCP_CLOSE_WAIT] = "CLOSE-WAIT",
		[TCP_LAST_ACK] = "LAST-ACK",
		[TCP_LISTEN] = "LISTEN",
		[TCP_CLOSING] = "CLOSING",
	};

	return state < TCP_STATE_MAX && names[state] ? names[state] : "?";
}

static void sock_def_callback(struct sock *sk)
{
	(void)sk;
}

static void set_def_callbacks(struct sock *sk)
{
	sk->sk_data_ready = sock_def_callback;
	sk->sk_write_space = sock_def_callback;
	sk->sk_state_change = sock_def_callback;
	sk->sk_error_report = sock_def_callback;
	sk->sk_user_data = NULL;
}

/*
 * The lines of struct tcp_sock that a round trip touches, by valgrind's lackey over
 * tests/bench/bench_rr: 0, 1 and 3 to 13; 2 only where a bucket has several connections. A field
 * that breaks one of these belongs elsewhere: a rare one behind `index`. For a hot one another must
 * go, or each of many connections pays for a line more, which bench_rr and this list have to tell
 * then.
 */
#define LINES(from, to, first, last)                                                               \
	_Static_assert(offsetof(struct tcp_sock, first) >= (from)*CACHE_LINE &&                    \
			       offsetof(struct tcp_sock, last) +                                   \
					       sizeof(((struct tcp_sock *)0)->last) <=             \
				       ((to) + 1) * CACHE_LINE,                                    \
		       #first " to " #last " left cache lines " #from " to " #to)

LINES(0, 0, sk.sk_stack, sk.sk_receive_queue);
LINES(1, 1, sk.sk_write_queue, sk.sk_error_report);
LINES(3, 3, node.laddr, ts_recent_ns);
LINES(4, 4, pred_window, err_soft);
LINES(4, 5, out_link, highest_sack);
LINES(6, 6, sack_hint, rack);
LINES(7, 7, recover, notsent_lowat);
LINES(8, 8, reordering, retrans_timer.expires);
LINES(9, 9, delack_timer, delack_timer.expires);
LINES(10, 10, rcv_ssthresh, rcvq);
LINES(11, 11, dsack, rt.neigh);
LINES(12, 12, rt.eth, bytes_in);
LINES(13, 13, bytes_out, index.size);
#undef LINES

struct tcp_sock *tcp_sock_alloc(struct stack *st)
{
	struct tcp_sock *tp = tcp_slab_get(st, &st->tcp->socks);
	uint64_t seq;

	if (!tp)
		return NULL;
	seq = tp->sk.sk_seq;
	memset(tp, 0, sizeof(*tp));
	tp->sk.sk_seq = seq;
	tp->sk.sk_stack = st;
	tp->sk.sk_state = TCP_CLOSE;
	tp->sk.sk_family = SK_AF_INET;
	tp->sk.sk_rcvbuf = st->cfg.tcp_rmem[1];
	tp->sk.sk_sndbuf = st->cfg.tcp_wmem[1];
	tp->rcv_ssthresh = 65535;
	tp->sk.sk_rcvlowat = 1;
	tp->sk.sk_ttl = SK_DEFAULT_TTL;
	tp->notsent_lowat = st->cfg.notsent_lowat;
	tp->ca = tcp_cong_default(st);
	tp->rate.limited = tp->rate.sample_limited = true;
	tp->pmtudisc = SK_PMTUDISC_WANT;
	skb_queue_init(&tp->sk.sk_receive_queue);
	skb_queue_init(&tp->sk.sk_write_queue);
	skb_queue_init(&tp->ofo_queue);
	list_init(&tp->out_link);
	list_init(&tp->mem_link);
	list_init(&tp->accept_queue);
	list_init(&tp->accept_link);
	list_init(&tp->reqs);
	set_def_callbacks(&tp->sk);
	tp->node.kind = TCP_NODE_SOCK;
	tp->quickack = TCP_QUICKACKS;
	tp->advmss = (uint16_t)(st->mtu - IP_HLEN - TCP_HLEN);
	tp->rcv_mss = TCP_MSS_DEFAULT;
	tp->peer_mss = TCP_MSS_DEFAULT;
	tp->ip_id = (uint16_t)stack_random32(st);
	tcp_loss_init(tp);
	tcp_init_timers(tp);
	tcp_giveup_init(tp);
	tcp_sync_mss(tp);
	tcp_cong_init(tp);
	list_add_tail(&tp->all_link, &st->tcp->all);
	stat_inc(&st->stats.socks_in_use);
	return tp;
}

void tcp_inherit(struct tcp_sock *tp, const struct tcp_sock *lp)
{
	tp->sk.sk_rcvbuf = lp->sk.sk_rcvbuf;
	tp->sk.sk_sndbuf = lp->sk.sk_sndbuf;
	tp->sk.sk_rcvlowat = lp->sk.sk_rcvlowat;
	tp->sk.sk_tos = lp->sk.sk_tos;
	tp->sk.sk_ttl = lp->sk.sk_ttl;
	tp->nonagle = lp->nonagle;
	tp->notsent_lowat = lp->notsent_lowat;
	tp->ca = lp->ca;
	tp->opt = lp->opt;
	tp->pmtudisc = lp->pmtudisc;
	tp->window_clamp = lp->window_clamp;
	tp->advmss = tcp_mss_clamp(tp, tp->advmss);
}

static void write_queue_purge(struct tcp_sock *tp)
{
	skb_queue_purge(&tp->sk.sk_write_queue);
	tcp_wmem_sub(tp, tp->sk.sk_wmem_queued);
	tp->send_head = NULL;
	tcp_clear_scoreboard(tp);
}

void tcp_sock_free(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);

	BUG_ON(tp->sk.sk_state != TCP_CLOSE || tp->node.pprev);
	tcp_rcv_queues_purge(tp);
	write_queue_purge(tp);
	tcp_stop_timers(tp);
	tcp_port_put(tp);
	st->tcp->nr_orphans -= tp->orphan;
	list_del(&tp->out_link);
	list_del(&tp->mem_link);
	list_del(&tp->all_link);
	tp->sk.sk_seq++;
	stat_add(&st->stats.socks_in_use, (uint64_t)-1);
	tcp_slab_put(&st->tcp->socks, tp);
}

void tcp_done(struct tcp_sock *tp)
{
	if (tp->sk.sk_state != TCP_CLOSE)
		tcp_set_state(tp, TCP_CLOSE);
	tcp_hash_remove(tcp_stack(tp)->tcp, &tp->node);
	tcp_port_done(tp);
	tcp_stop_timers(tp);
	write_queue_purge(tp);
	list_del(&tp->out_link);
	list_del(&tp->mem_link);
	tp->ack_pending = 0;
	tp->fin_wanted = false;
	tp->sk.sk_shutdown = RCV_SHUTDOWN | SEND_SHUTDOWN;
	if (tp->sk.sk_dead)
		tcp_sock_free(tp);
}

void tcp_abort_err(struct tcp_sock *tp, int err)
{
	struct sock *sk = &tp->sk;

	if (sk->sk_dead) {
		tcp_done(tp);
		return;
	}
	sk->sk_err = err;
	tcp_done(tp);
	sk->sk_error_report(sk);
	sk->sk_state_change(sk);
}

void tcp_init_transfer(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);

	tcp_mtu_init(tp);
	tcp_mtup_init(tp);
	tcp_cong_init(tp);
	tp->snd_sml = tp->snd_una;
	tcp_init_buffers(tp);
	tp->lrcv_ns = tp->lsnd_ns = tp->lack_ns = st->now;
	/* Linux tcp_initialize_rcv_mss: low, so that no ACK is late for a peer of small segments */
	tp->rcv_mss = (uint16_t)max_t(uint32_t,
				      min_t(uint32_t, min_t(uint32_t, tp->advmss, tp->mss_cache),
					    min_t(uint32_t, TCP_MSS_DEFAULT, tp->rcv_wnd / 2)),
				      TCP_MIN_RCV_MSS);
	tcp_keepalive_restart(tp);
	neigh_confirm(st, &tp->rt);
}

/* connect_addr - addresses, route and port of an active open; *ret_tw as tcp_pick_port's. */
static int connect_addr(struct tcp_sock *tp, const struct sk_addr *peer, struct tcp_tw **ret_tw)
{
	struct stack *st = tcp_stack(tp);
	struct sock *sk = &tp->sk;
	struct tcp_node *n;
	int err = ip_route(st, sk->sk_local.v4, peer->v4, &tp->rt);

	if (err)
		return err;
	tp->node.laddr = tp->rt.saddr;
	tp->node.faddr = peer->v4;
	tp->node.fport = peer->port;
	if (tp->port_use == TCP_PORT_BOUND) {
		n = tcp_lookup(st->tcp, tp->node.laddr, peer->v4, sk->sk_local.port, peer->port);
		if (n && !tcp_tw_may_go(st, n, ret_tw))
			return -EADDRNOTAVAIL;
		tp->node.lport = sk->sk_local.port;
	} else {
		tp->node.lport = tcp_pick_port(st, tp->node.laddr, peer->v4, peer->port, ret_tw);
		if (!tp->node.lport)
			return -EADDRNOTAVAIL;
	}
	neigh_want(st, &tp->rt);
	return 0;
}

int tcp_connect(struct tcp_sock *tp, const struct sk_addr *peer)
{
	struct stack *st = tcp_stack(tp);
	struct tcp_tw *tw = NULL;
	int err = connect_addr(tp, peer, &tw);

	if (err)
		return err;
	tp->advmss = tcp_mss_clamp(tp, tp->advmss);
	tp->tstamp_ok = st->cfg.timestamps;
	tp->sack_ok = st->cfg.sack;
	tp->wscale_ok = st->cfg.window_scaling;
	tp->tsoffset = tcp_new_tsoffset(st, tp->node.laddr, tp->node.faddr);
	tcp_init_window(tp, tp->wscale_ok, &tp->rcv_wnd, &tp->rcv_wscale);
	tp->active_open = true;
	tp->iss = tcp_new_isn(st, tp->node.laddr, tp->node.faddr, tp->node.lport, tp->node.fport);
	if (unlikely(tw))
		tcp_tw_inherit(tp, tw);
	tp->snd_una = tp->snd_nxt = tp->write_seq = tp->iss;
	err = tcp_port_connect(tp);
	if (!err)
		err = tcp_queue_syn(tp);
	if (err) {
		tcp_port_done(tp);
		tp->iss = 0; /* not begun: it may be tried again */
		return err;
	}
	tp->sk.sk_local.family = SK_AF_INET;
	tp->sk.sk_local.v4 = tp->node.laddr;
	tp->sk.sk_local.port = tp->node.lport;
	tp->sk.sk_peer = *peer;
	tp->giveup_ns = st->now;
	tcp_set_state(tp, TCP_SYN_SENT);
	if (unlikely(tw))
		tcp_tw_free(st, tw);
	tcp_hash_insert(st->tcp, &tp->node);
	stat_inc(&st->stats.tcp_active_opens);
	return -EINPROGRESS;
}

void tcp_shutdown_send(struct tcp_sock *tp)
{
	switch (tp->sk.sk_state) {
	case TCP_SYN_RECV:
		/* RFC 9293 3.10.4: it may wait for ESTABLISHED, and comes here again from there (as
		 * Linux): a connection that skipped it would lack what tcp_init_transfer() sets */
		tp->sk.sk_shutdown |= SEND_SHUTDOWN;
		return;
	case TCP_ESTABLISHED:
		tcp_set_state(tp, TCP_FIN_WAIT1);
		break;
	case TCP_CLOSE_WAIT:
		tcp_set_state(tp, TCP_LAST_ACK);
		break;
	default:
		return;
	}
	tp->sk.sk_shutdown |= SEND_SHUTDOWN;
	tp->fin_wanted = true;
	tcp_output_mark(tp);
}

/* close_reset - the user left a connection that is open, and its peer is to know that nothing more
 * comes. After our FIN there is nothing to tell. */
static void close_reset(struct tcp_sock *tp)
{
	bool fin_out = tp->sk.sk_state == TCP_CLOSING || tp->sk.sk_state == TCP_LAST_ACK;

	if (!fin_out || tp->snd_nxt != tp->write_seq)
		tcp_send_active_reset(tp);
	tcp_done(tp);
}

/* close_open - the user left a connection that is open. RFC 2525 2.17: unread bytes mean that the
 * peer believes in a delivery that did not happen; tell it. SO_LINGER with 0 s asks for that. */
static void close_open(struct tcp_sock *tp, bool abort)
{
	if (abort || (tp->opt.linger_on && !tp->opt.linger_s) ||
	    !skb_queue_empty(&tp->sk.sk_receive_queue)) {
		close_reset(tp);
		return;
	}
	tcp_shutdown_send(tp);
	if (!tcp_orphan_add(tp) || (tp->sk.sk_state == TCP_FIN_WAIT2 && !tcp_fin_wait2_orphan(tp)))
		close_reset(tp);
}

void tcp_close(struct tcp_sock *tp, bool abort)
{
	tp->sk.sk_dead = 1;
	set_def_callbacks(&tp->sk);
	switch (tp->sk.sk_state) {
	case TCP_LISTEN:
		tcp_listen_stop(tp);
		tcp_done(tp);
		break;
	case TCP_CLOSE:
	case TCP_SYN_SENT:
		tcp_done(tp);
		break;
	default:
		close_open(tp, abort);
	}
}

int tcp_shard_init(struct stack *st)
{
	struct tcp_shard *sh = stack_alloc(st, sizeof(*sh));
	uint64_t share;
	int err;

	if (!sh)
		return -ENOMEM;
	st->tcp = sh;
	tcp_slab_init(&sh->socks, sizeof(struct tcp_sock), st->cfg.max_socks, true);
	tcp_slab_init(&sh->reqs, sizeof(struct tcp_req), st->cfg.max_syn, false);
	tcp_slab_init(&sh->tws, sizeof(struct tcp_tw), st->cfg.max_tw, false);
	/* no more flights than these can need one at a time */
	tcp_slab_init(&sh->marks, sizeof(struct tcp_marks),
		      st->cache.pool->nr / (TCP_INDEX_SIZE * TCP_INDEX_GAP), false);
	tcp_port_init(sh);
	list_init(&sh->out_list);
	list_init(&sh->all);
	list_init(&sh->mem_wait);
	list_init(&sh->tw_lru);
	/* Of this lane's share of the pool two fifths may sit unread in sockets and a fifth unsent
	 * or unacknowledged; what stands above these limits for sockets with little (rmem_fits,
	 * tcp_wmem_fits) makes that five sixths: rings, ACKs and ARP live on the rest (rule 4). */
	share = (uint64_t)st->cache.pool->nr * (st->cache.pool->buf_size + sizeof(struct sk_buff)) /
		max_t(uint32_t, st->cfg.nr_lanes, 1);
	sh->rmem_limit = share * 2 / 5;
	sh->wmem_limit = share / 5;
	share = sh->rmem_limit + sh->rmem_limit / 10;
	share -= min_t(uint64_t, share, st->cfg.tcp_rmem[0]);
	sh->rmem_plenty = min_t(uint64_t, sh->rmem_limit / 2, share);
	err = tcp_hash_init(st);
	if (err)
		tcp_shard_fini(st);
	return err;
}

void tcp_shard_fini(struct stack *st)
{
	struct tcp_shard *sh = st->tcp;

	if (!sh)
		return;
	while (!list_empty(&sh->all)) {
		struct tcp_sock *tp = list_first_entry(&sh->all, struct tcp_sock, all_link);

		if (tp->sk.sk_state == TCP_LISTEN)
			tcp_listen_stop(tp);
		if (!list_empty(&sh->all) &&
		    tp == list_first_entry(&sh->all, struct tcp_sock, all_link)) {
			tp->sk.sk_dead = 1;
			tcp_done(tp);
		}
	}
	tcp_tw_purge(st);
	tcp_mtu_fini(st);
	tcp_slab_fini(st, &sh->socks);
	tcp_slab_fini(st, &sh->reqs);
	tcp_slab_fini(st, &sh->tws);
	tcp_slab_fini(st, &sh->marks);
	tcp_slab_fini(st, &sh->port_slab);
	tcp_hash_fini(st);
	stack_mfree(st, sh, sizeof(*sh));
	st->tcp = NULL;
}

/* wake_mem_waiters - buffers are there again: writers that no ACK would wake may try. */
static void wake_mem_waiters(struct tcp_shard *sh, struct skb_cache *c)
{
	if (likely(list_empty(&sh->mem_wait)) || c->pool->ops->avail(c->pool) <= SKB_CACHE_BULK)
		return;
	while (!list_empty(&sh->mem_wait)) {
		struct tcp_sock *tp = list_first_entry(&sh->mem_wait, struct tcp_sock, mem_link);

		if (!tcp_wmem_fits(tp))
			return;
		list_del(&tp->mem_link);
		tp->sk.sk_want_write = false;
		tp->sk.sk_write_space(&tp->sk);
	}
}

void tcp_shard_output(struct stack *st)
{
	struct tcp_shard *sh = st->tcp;
	struct list_head work;

	list_init(&work);
	list_splice_init(&sh->out_list, &work);
	while (!list_empty(&work)) {
		struct tcp_sock *tp = list_first_entry(&work, struct tcp_sock, out_link);

		list_del(&tp->out_link);
		tcp_output_sock(tp);
	}
	wake_mem_waiters(sh, &st->cache);
}

bool tcp_shard_has_output(const struct stack *st)
{
	return !list_empty(&st->tcp->out_list);
}
