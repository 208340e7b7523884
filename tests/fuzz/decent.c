/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After whatever an input did: nothing fails any more, users read what there is, and each peer
 * acknowledges all that it gets, offers a window and sends on. Then all that was written arrives,
 * and new bytes come through: a connection that is open is not deaf, and none hangs with a living
 * peer.
 */
#include "fuzz.h"

#define ROUND  (500 * NSEC_PER_MSEC)
#define ROUNDS 400u
#define PIECE  100u

struct life {
	const struct tcp_sock *tp; /* NULL: not open any more, or not at all */
	uint64_t sk_seq;
	uint32_t rcv_nxt;
	bool listens; /* bytes of the peer's are wanted */
};

static bool takes_bytes(const struct tcp_sock *tp)
{
	unsigned s = tp->sk.sk_state;

	return !tp->sk.sk_dead && !tp->fin_rcvd &&
	       (s == TCP_ESTABLISHED || s == TCP_FIN_WAIT1 || s == TCP_FIN_WAIT2);
}

static const struct tcp_sock *open_sock(struct fuzz *z, struct fuzz_conn *fc)
{
	const struct tcp_node *n = fc->used ? fuzz_conn_nums(z, fc) : NULL;
	const struct tcp_sock *tp;

	if (!n || n->kind != TCP_NODE_SOCK)
		return NULL;
	tp = container_of(n, const struct tcp_sock, node);
	return tp->sk.sk_state == TCP_SYN_SENT || tp->sk.sk_state == TCP_SYN_RECV ? NULL : tp;
}

static void all_is_well(struct fuzz *z)
{
	fuzz_fail_next(z->st, 0, 0);
	fuzz_fail_memory(0);
	z->f->tx_limit = UINT32_MAX;
	z->f->dev.tx_off = z->f->share_rx = z->f->split_rx = z->mute = false;
	fuzz_turn(z, 1000);
	fake_release_held(z->f);
	fuzz_turn(z, 1000);
	for (unsigned i = 0; i < 2 * FUZZ_CONNS; i++)
		fuzz_accept(z);
}

/* One answer: all that was sent has arrived, and here is more. */
static void answer(struct fuzz *z, struct fuzz_conn *fc, const struct tcp_sock *tp)
{
	uint32_t now = 70000 + (uint32_t)(z->now / NSEC_PER_MSEC);
	struct seg s = {.flags = ACK, .seq = tp->rcv_nxt, .ack = tp->snd_nxt, .win = 65535};

	s.tsval = before(now, tp->ts_recent) ? tp->ts_recent : now;
	/* a window of zero is probed, as some do by a byte of it and others by an old number */
	if (takes_bytes(tp))
		s.len = max_t(uint32_t, min_t(uint32_t, PIECE, tcp_receive_window(tp)), 1);
	if (!tcp_receive_window(tp) && z->now / ROUND & 1)
		s.seq--, s.len = 0;
	fuzz_seg(z, fc, &s);
	/* windows are believed from where it sent last (RFC 9293 3.10.7.4): that is its SND.NXT */
	if (after(tp->snd_wl1, s.seq)) {
		s.seq = tp->snd_wl1;
		s.len = 0;
		fuzz_seg(z, fc, &s);
	}
}

static bool done(const struct tcp_sock *tp, const struct life *l)
{
	return tp->snd_una == tp->write_seq && (!l->listens || after(tp->rcv_nxt, l->rcv_nxt));
}

/* One round; false: nobody is waited for any more. */
static bool go_on(struct fuzz *z, struct life *life)
{
	bool any = false;

	z->asked -= z->turns; /* so long ago as before */
	z->turns = 0;
	for (unsigned i = 0; i < FUZZ_CONNS; i++) {
		struct fuzz_conn *fc = &z->conn[i];
		const struct tcp_sock *tp;

		fuzz_read(z, fc, 65536);
		tp = open_sock(z, fc);
		if (!tp || tp != life[i].tp || tp->sk.sk_seq != life[i].sk_seq)
			life[i].tp = NULL;
		if (!life[i].tp)
			continue;
		life[i].listens &= takes_bytes(tp);
		if (done(tp, &life[i])) {
			life[i].tp = NULL;
			continue;
		}
		any = true;
		answer(z, fc, tp);
	}
	fuzz_run(z, ROUND, 200);
	return any;
}

void fuzz_decent(struct fuzz *z)
{
	struct life life[FUZZ_CONNS] = {0};

	all_is_well(z);
	fuzz_say(z->now, "from now on all are decent");
	for (unsigned i = 0; i < FUZZ_CONNS; i++) {
		const struct tcp_sock *tp = open_sock(z, &z->conn[i]);

		/* of a peer whose FIN stood before bytes it had sent no window is believed any more
		 * (its numbers are older than theirs, RFC 9293 3.10.7.4): it can not become
		 * decent */
		if (tp && !(tp->fin_rcvd && after(tp->snd_wl1, tp->rcv_nxt)))
			life[i] = (struct life){tp, tp->sk.sk_seq, tp->rcv_nxt, takes_bytes(tp)};
	}
	for (unsigned n = 0; n < ROUNDS; n++)
		if (!go_on(z, life))
			return;
	for (unsigned i = 0; i < FUZZ_CONNS; i++) {
		const struct tcp_sock *tp = life[i].tp;

		if (tp)
			fuzz_fail("port %u to port %u, %s, hangs with a living peer: una %u nxt %u "
				  "write %u wnd %u rcv_nxt %u, %u bytes of it new, window %u",
				  tp->node.lport, tp->node.fport, tcp_state_name(tp->sk.sk_state),
				  tp->snd_una, tp->snd_nxt, tp->write_seq, tp->snd_wnd, tp->rcv_nxt,
				  tp->rcv_nxt - life[i].rcv_nxt, tcp_receive_window(tp));
	}
}
