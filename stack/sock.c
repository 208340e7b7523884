/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket calls: argument checks and state rules in POSIX's words, over the tcp_*
 * functions. Nothing here blocks. Also ICMP's and the neighbour table's bad news, which
 * end where a socket's user can see them.
 */
#include <string.h>

#include "stack/tcp_fast.h"
#include "stack/tcp_guard.h"

int sock_create(struct stack *st, unsigned family, struct sock **ret_sk)
{
	struct tcp_sock *tp;

	if (family != SK_AF_INET)
		return -EAFNOSUPPORT;
	tp = tcp_sock_alloc(st);
	if (!tp)
		return -ENOBUFS;
	*ret_sk = &tp->sk;
	return 0;
}

int sock_bind(struct sock *sk, const struct sk_addr *addr)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (addr->family != SK_AF_INET)
		return -EAFNOSUPPORT;
	if (sk->sk_state != TCP_CLOSE || tp->bound)
		return -EINVAL;
	if (addr->v4 && addr->v4 != sk->sk_stack->ip)
		return -EADDRNOTAVAIL;
	if (addr->port) {
		int err = tcp_port_bind(tp, addr->port);

		if (err)
			return err;
	}
	sk->sk_local = *addr;
	tp->bound = true;
	return 0;
}

int sock_listen(struct sock *sk, unsigned backlog)
{
	struct tcp_sock *tp = tcp_sk(sk);
	struct stack *st = sk->sk_stack;
	struct tcp_tw *none; /* that has no peer */
	uint16_t port;
	int err;

	if (sk->sk_state != TCP_CLOSE || !tp->bound || sk->sk_err)
		return -EINVAL;
	/* none yet, or the one that a connect chose, which went with the connection */
	if (tp->port_use == TCP_PORT_NONE) {
		port = tcp_pick_port(st, sk->sk_local.v4, 0, 0, &none);
		if (!port)
			return -EADDRINUSE;
		err = tcp_port_bind(tp, port);
		if (err)
			return err;
		sk->sk_local.port = port;
	}
	err = tcp_port_listen(tp);
	if (err)
		return err;
	tp->backlog = min_t(unsigned, backlog, st->cfg.somaxconn);
	tcp_set_state(tp, TCP_LISTEN);
	return 0;
}

int sock_accept(struct sock *sk, struct sock **ret_sk)
{
	struct tcp_sock *lp = tcp_sk(sk), *tp;

	if (sk->sk_state != TCP_LISTEN)
		return -EINVAL;
	if (list_empty(&lp->accept_queue))
		return -EAGAIN;
	tp = list_first_entry(&lp->accept_queue, struct tcp_sock, accept_link);
	list_del(&tp->accept_link);
	tp->parent = NULL;
	tp->in_accept_queue = false;
	lp->ack_backlog--;
	*ret_sk = &tp->sk;
	return 0;
}

int sock_connect(struct sock *sk, const struct sk_addr *peer)
{
	struct tcp_sock *tp = tcp_sk(sk);

	if (peer->family != SK_AF_INET)
		return -EAFNOSUPPORT;
	switch (sk->sk_state) {
	case TCP_CLOSE:
		break;
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return -EALREADY;
	default:
		return -EISCONN;
	}
	if (tp->iss)
		return sk->sk_err ? sock_error(sk) : -EISCONN;
	if (!peer->port || !peer->v4)
		return -EINVAL;
	return tcp_connect(tp, peer);
}

ssize_t sock_recv(struct sock *sk, void *buf, size_t len)
{
	return tcp_recv(tcp_sk(sk), buf, len);
}

ssize_t sock_send(struct sock *sk, const void *buf, size_t len)
{
	return tcp_send(tcp_sk(sk), buf, len, false);
}

ssize_t sock_send_more(struct sock *sk, const void *buf, size_t len)
{
	return tcp_send(tcp_sk(sk), buf, len, true);
}

int sock_shutdown(struct sock *sk, unsigned how)
{
	struct tcp_sock *tp = tcp_sk(sk);

	switch (sk->sk_state) {
	case TCP_CLOSE:
	case TCP_LISTEN:
	case TCP_SYN_SENT:
		return -ENOTCONN;
	default:
		break;
	}
	if (how & RCV_SHUTDOWN)
		sk->sk_shutdown |= RCV_SHUTDOWN;
	if (how & SEND_SHUTDOWN)
		tcp_shutdown_send(tp);
	sk->sk_state_change(sk);
	return 0;
}

void sock_close(struct sock *sk)
{
	const struct sock_options *o = &tcp_sk(sk)->opt;

	/* SO_LINGER with a time of zero: the connection is thrown away (socket(7)) */
	tcp_close(tcp_sk(sk), o->linger_on && !o->linger_s);
}

void sock_abort(struct sock *sk)
{
	tcp_close(tcp_sk(sk), true);
}

int sock_error(struct sock *sk)
{
	int err = sk->sk_err;

	sk->sk_err = 0;
	return -err;
}

unsigned sock_poll(const struct sock *sk)
{
	const struct tcp_sock *tp = container_of(sk, const struct tcp_sock, sk);
	unsigned mask = 0;

	if (sk->sk_state == TCP_LISTEN)
		return list_empty(&tp->accept_queue) ? 0 : SK_POLLIN;
	if (sk->sk_err)
		mask |= SK_POLLERR;
	if (sk->sk_state == TCP_CLOSE || sk->sk_shutdown == (RCV_SHUTDOWN | SEND_SHUTDOWN))
		mask |= SK_POLLHUP;
	if (sk->sk_shutdown & RCV_SHUTDOWN)
		mask |= SK_POLLIN | SK_POLLRDHUP;
	if (sock_inq(sk) >= sk->sk_rcvlowat)
		mask |= SK_POLLIN;
	if (sk->sk_state == TCP_SYN_SENT || sk->sk_state == TCP_SYN_RECV)
		return mask;
	if ((sk->sk_shutdown & SEND_SHUTDOWN) || tcp_is_writable(tp))
		mask |= SK_POLLOUT;
	return mask;
}

/* icmp_errno - what a destination-unreachable code says to a connecting socket (RFC 1122
 * 4.2.3.9); 0 = nothing that ends it. */
static int icmp_errno(uint8_t type, uint8_t code)
{
	static const uint8_t unreach[] = {
		[0] = ENETUNREACH, [1] = EHOSTUNREACH,  [2] = ENOPROTOOPT,   [3] = ECONNREFUSED,
		[4] = 0,           [5] = EOPNOTSUPP,    [6] = ENETUNREACH,   [7] = EHOSTDOWN,
		[9] = ENETUNREACH, [10] = EHOSTUNREACH, [13] = EHOSTUNREACH,
	};

	if (type == 11)
		return EHOSTUNREACH;
	return type == 3 && code < ARRAY_SIZE(unreach) ? unreach[code] : 0;
}

void tcp_v4_err(struct stack *st, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport,
		uint32_t seq, uint8_t type, uint8_t code, uint32_t mtu)
{
	struct tcp_node *n = tcp_lookup(st->tcp, saddr, daddr, sport, dport);
	struct tcp_sock *tp;
	int err = icmp_errno(type, code);

	if (!n || n->kind != TCP_NODE_SOCK || (!err && !mtu))
		return;
	tp = container_of(n, struct tcp_sock, node);
	/* RFC 5927 4.1: only about something that is in flight */
	if (before(seq, tp->snd_una) || !before(seq, tp->snd_nxt))
		return;
	if (mtu) {
		if (tp->sk.sk_state != TCP_SYN_SENT && tp->sk.sk_state != TCP_SYN_RECV)
			tcp_mtu_reduced(tp, mtu);
		return;
	}
	/* B24: never ends an established connection; remembered for the timer */
	if (tp->sk.sk_state == TCP_SYN_SENT)
		tcp_abort_err(tp, err);
	else
		tp->err_soft = err;
}

void tcp_neigh_failed(struct stack *st, uint32_t next_hop)
{
	struct tcp_sock *tp, *tmp;

	list_for_each_entry_safe (tp, tmp, &st->tcp->all, all_link) {
		if (tp->rt.local || tp->rt.next_hop != next_hop)
			continue;
		if (tp->sk.sk_state == TCP_SYN_SENT)
			tcp_abort_err(tp, EHOSTUNREACH);
		else if (tp->sk.sk_state != TCP_CLOSE && tp->sk.sk_state != TCP_LISTEN)
			tp->err_soft = EHOSTUNREACH;
	}
}

static void sock_info(const struct tcp_sock *tp, struct stack_sock_info *i)
{
	const struct sock *sk = &tp->sk;
	uint64_t us[TCP_CHRONO_NR];

	*i = (struct stack_sock_info){
		.local = sk->sk_local,
		.peer = sk->sk_peer,
		.state = sk->sk_state,
		.ca = tp->ca->name,
		.mss = tp->mss_cache,
		.rcvbuf = sk->sk_rcvbuf,
		.sndbuf = sk->sk_sndbuf,
	};
	if (sk->sk_state == TCP_LISTEN) {
		i->recv_q = tp->ack_backlog;
		i->send_q = tp->backlog;
		return;
	}
	tcp_chrono_us(tp, us);
	i->retransmits = tp->retransmits;
	i->recv_q = tp->rcv_nxt - tp->copied_seq - tp->fin_rcvd;
	i->send_q = tp->write_seq - tp->snd_una;
	i->in_flight = tcp_flight(tp);
	i->not_sent = tcp_notsent(tp);
	i->lost = tp->lost_out;
	i->cwnd = tp->snd_cwnd / tp->mss_cache;
	i->ssthresh = tp->snd_ssthresh / tp->mss_cache;
	i->srtt_us = tp->srtt_us8 >> 3;
	i->rttvar_us = tp->rttvar_us4 >> 2;
	i->min_rtt_us = tp->min_rtt_us;
	i->rto_us = (uint32_t)(tcp_rto_backoff(tp) / NSEC_PER_USEC);
	i->snd_wnd = tp->snd_wnd;
	i->rcv_wnd = tcp_receive_window(tp);
	i->bytes_in = tp->bytes_in;
	i->bytes_out = tp->bytes_out;
	i->retrans = tp->total_retrans;
	i->busy_us = us[TCP_CHRONO_BUSY];
	i->window_us = us[TCP_CHRONO_RWND];
	i->sndbuf_us = us[TCP_CHRONO_SNDBUF];
}

void tcp_for_each_sock(struct stack *st, bool (*fn)(void *ctx, const struct stack_sock_info *i),
		       void *ctx)
{
	struct stack_sock_info i;
	struct tcp_sock *tp;

	list_for_each_entry (tp, &st->tcp->all, all_link) {
		sock_info(tp, &i);
		if (!fn(ctx, &i))
			return;
	}
}
