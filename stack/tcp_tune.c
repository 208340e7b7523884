/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers that find their size. Receiving: what the reader takes in a round trip, twice over, as
 * dynamic right-sizing has it (Fisk and Feng, 2001) and Linux does it (tcp_rcv_space_adjust); the
 * round trip is measured from the receiver's side, by timestamps or by how long a window takes to
 * come (RFC 7323 appendix A is the sender's side). Sending: twice the congestion window; at most
 * twice of what Linux allows, whose large skbs hold as many bytes in little more than half of the
 * truesize. What of it may wait unsent is bounded apart. Both from tcp_rmem[1], tcp_wmem[1] to [2],
 * never for a socket whose user chose, nor under pressure. The window itself opens by rcv_ssthresh,
 * which grows with what arrives, and never shrinks (RFC 9293 3.8.6).
 */
#include "stack/tcp_int.h"

/* ---- the round trip as the receiver sees it; scaled by 8 ---- */

/* A window's time is an upper bound: of those the least counts. */
static void rcv_rtt_update(struct tcp_sock *tp, uint64_t ns, bool by_window)
{
	uint32_t m = (uint32_t)min_t(uint64_t, ns / NSEC_PER_USEC, 120000000),
		 old = tp->rcv_rtt.us8;

	m = max_t(uint32_t, m, 1);
	if (!old)
		tp->rcv_rtt.us8 = m << 3;
	else if (by_window)
		tp->rcv_rtt.us8 = min_t(uint32_t, old, m << 3);
	else
		tp->rcv_rtt.us8 = old - (old >> 3) + m;
}

void __tcp_rcv_rtt_window(struct tcp_sock *tp)
{
	uint64_t now = tcp_stack(tp)->now;

	if (tp->rcv_rtt.since)
		rcv_rtt_update(tp, now - tp->rcv_rtt.since, true);
	tp->rcv_rtt.seq = tp->rcv_nxt + tp->rcv_wnd;
	tp->rcv_rtt.since = now;
}

/* A full segment that answers what we sent at tsecr: nearer is only a window's time. A tick of
 * our timestamp clock is a millisecond, so a shorter way counts as one. */
void __tcp_rcv_rtt_ts(struct tcp_sock *tp, uint32_t tsecr, uint32_t len)
{
	uint32_t ms = tcp_ts_now(tcp_stack(tp), tp->tsoffset) - tsecr;

	tp->rcv_rtt.tsecr = tsecr;
	if (len < tp->rcv_mss || ms > 120000)
		return;
	rcv_rtt_update(tp, max_t(uint64_t, ms, 1) * NSEC_PER_MSEC, false);
}

/* ---- the receive buffer ---- */

/* may_grow - the lane has memory to give: below the point from which on sockets get shares. */
static bool may_grow(const struct tcp_shard *sh, const struct skb_cache *c)
{
	return sh->rmem_total <= sh->rmem_limit / 2 && !c->low;
}

/* full_window - of all of the buffer; half of its truesize is bytes (tcp_new_window). */
static uint32_t full_window(const struct tcp_sock *tp)
{
	uint32_t full = tp->sk.sk_rcvbuf / 2, clamp = tp->window_clamp;

	return clamp ? min_t(uint32_t, full, clamp) : full;
}

void tcp_init_buffers(struct tcp_sock *tp)
{
	struct stack *st = tcp_stack(tp);

	tp->rcv_ssthresh = min_t(uint32_t, tp->rcv_wnd, full_window(tp));
	tp->rcv_rtt.seq = tp->rcv_nxt;
	tp->rcvq.space = min_t(uint32_t, tp->rcv_ssthresh, TCP_INIT_CWND * tp->advmss);
	tp->rcvq.seq = tp->copied_seq;
	tp->rcvq.since = st->now;
	tcp_sndbuf_expand(tp);
}

void __tcp_grow_window(struct tcp_sock *tp, uint32_t len)
{
	const struct sock *sk = &tp->sk;
	uint32_t full = full_window(tp), free, room;

	free = sk->sk_rmem_alloc < sk->sk_rcvbuf ? (sk->sk_rcvbuf - sk->sk_rmem_alloc) / 2 : 0;
	full = min_t(uint32_t, full, free);
	if (tp->rcv_ssthresh >= full || !may_grow(tcp_stack(tp)->tcp, &tcp_stack(tp)->cache))
		return;
	/* Linux looks at truesize here, as small segments would pin more than their bytes; ours are
	 * copied together (tcp_queue_rcv) */
	room = full - tp->rcv_ssthresh;
	tp->rcv_ssthresh += min_t(uint32_t, room, 2 * max_t(uint32_t, tp->advmss, len));
	tp->quickack = max_t(uint8_t, tp->quickack, 1);
}

void __tcp_rcv_space_adjust(struct tcp_sock *tp)
{
	const struct stack *st = tcp_stack(tp);
	uint32_t copied = tp->copied_seq - tp->rcvq.seq;
	uint64_t want;

	if (copied > tp->rcvq.space) {
		if (!(tp->opt.userlocks & SK_RCVBUF_LOCK) && may_grow(st->tcp, &st->cache)) {
			/* twice what was taken, since the sender may double in a round trip; and
			 * twice again while it does, since this one was measured late. Linux has
			 * no bound on the second part: a slow reader's first burst took it all */
			want = 2ull * copied + 16ull * tp->advmss;
			want += min_t(uint64_t, want,
				      want * (copied - tp->rcvq.space) / tp->rcvq.space);
			want = min_t(uint64_t, 2 * want, st->cfg.tcp_rmem[2]);
			if (want > tp->sk.sk_rcvbuf)
				tp->sk.sk_rcvbuf = (uint32_t)want;
		}
		tp->rcvq.space = copied;
	}
	tp->rcvq.seq = tp->copied_seq;
	tp->rcvq.since = st->now;
}

/* ---- the send buffer ---- */

void tcp_sndbuf_expand(struct tcp_sock *tp)
{
	const struct stack *st = tcp_stack(tp);
	uint32_t buf = st->cache.pool->buf_size;
	uint64_t per_seg =
		(uint64_t)((tp->mss_cache + buf - 1) / buf) * (buf + sizeof(struct sk_buff));
	uint64_t want =
		2 * per_seg * max_t(uint32_t, TCP_INIT_CWND, tp->snd_cwnd / tp->mss_cache + 1);

	if (tp->opt.userlocks & SK_SNDBUF_LOCK || st->tcp->wmem_total > st->tcp->wmem_limit / 2)
		return;
	want = min_t(uint64_t, want, st->cfg.tcp_wmem[2]);
	if (want > tp->sk.sk_sndbuf)
		tp->sk.sk_sndbuf = (uint32_t)want;
}

/* ---- what waits unsent ---- */

/* A writer that writes again so many turns, and so long, after it was told of room is late. By
 * turns, since a lane that loses its cpu for a while is no fault of the writer's; by time, since a
 * lane that spins has many turns. */
#define WRITER_LATE_TURNS 4
/* One that is so long late so often in a row has a lane whose turns are long. */
#define WRITER_LATE_TIMES 8
#define WRITER_LATE       (100 * NSEC_PER_USEC)

/* Whoever chose the buffer's size gets all of it. */
void tcp_reset_lowat(struct tcp_sock *tp)
{
	if (tp->opt.notsent_lowat)
		tp->notsent_lowat = tp->opt.notsent_lowat;
	else if (tp->opt.userlocks & SK_SNDBUF_LOCK)
		tp->notsent_lowat = UINT32_MAX;
	else
		tp->notsent_lowat = tcp_stack(tp)->cfg.notsent_lowat;
}

/*
 * Bytes that wait unsent while others leave go out of the cache and come back for it, and are of no
 * use where the writer runs on this lane and in the same turn as the ACK that makes room. They are
 * where it comes late to a queue that has run dry, with room in the window: so for such a one what
 * may wait doubles, up to all that the send buffer holds, which is Linux's way for everybody.
 */
void tcp_writer_back(struct tcp_sock *tp)
{
	const struct stack *st = tcp_stack(tp);

	tp->write_held = false;
	/* nobody told it yet: what it finds is no news */
	if (tp->sk.sk_want_write || tp->opt.notsent_lowat)
		return;
	if (tp->send_head || tcp_pipe(tp) + tp->mss_cache > tp->snd_cwnd ||
	    st->now - tp->lsnd_ns < WRITER_LATE) {
		tp->writer_dry = 0;
		return;
	}
	if (st->turn - tp->wake_turn < WRITER_LATE_TURNS && ++tp->writer_dry < WRITER_LATE_TIMES)
		return;
	tp->writer_dry = 0;
	tp->notsent_lowat = tp->notsent_lowat > UINT32_MAX / 2 ? UINT32_MAX : 2 * tp->notsent_lowat;
}
