/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sending side: the user's bytes into the write queue, and what of it may go: cwnd
 * (RFC 5681, pipe of RFC 6675), the peer's window (RFC 9293 3.8.6), Nagle in Minshall's
 * form, retransmissions first. All at the turn's output step, so that several writes and
 * the ACK that is owed become as few segments as possible.
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_guard.h"
#include "stack/tcp_rate.h"

void tcp_output_mark(struct tcp_sock *tp)
{
	if (list_empty(&tp->out_link))
		list_add_tail(&tp->out_link, &tcp_stack(tp)->tcp->out_list);
}

bool tcp_split(struct tcp_sock *tp, struct sk_buff *skb, uint32_t len)
{
	struct stack *st = tcp_stack(tp);
	uint32_t old = skb->truesize, cut = skb->tcp.seq + len;
	struct sk_buff *rest;

	/* A path that takes 48 bytes at a time makes thirty buffers of one that the user filled.
	 * The pool's reserve is for the ACKs that free them; of it the oldest bytes alone are cut,
	 * so that there is something to acknowledge. */
	if (skb_cache_low(&st->cache) && skb != skb_peek(&tp->sk.sk_write_queue))
		return false;
	rest = skb_ref(&st->cache, skb, len, skb->len - len);
	if (!rest)
		return false;
	rest->tcp = skb->tcp;
	rest->rate = skb->rate;
	rest->tcp.seq = cut;
	skb_trim(skb, len);
	skb->tcp.end_seq = cut;
	skb->tcp.tcp_flags &= (uint16_t) ~(TCPF_FIN | TCPF_PSH);
	skb->tcp.sacked &= (uint8_t)~TCPCB_PUSHED;
	skb_queue_after(&tp->sk.sk_write_queue, skb, rest);
	tcp_split_sent(tp, skb, rest);
	tcp_wmem_add(tp, skb->truesize - old + rest->truesize);
	return true;
}

/* Once write queues hold half of what they may in all, nobody gets more than this or a
 * sixteenth of its buffer; beyond all of it, tcp_wmem[0]. */
#define WMEM_SHARE (64u * 1024)

/*
 * tcp_wmem_fits - the twin of rmem_fits(): peers that do not take their answers fill their own
 * write queues, not the lane's pool. A socket that has nothing queued gets its buffer from a
 * slice that others cannot touch, even from the reserve, so that a well-behaved one goes on.
 */
bool tcp_wmem_fits(const struct tcp_sock *tp)
{
	const struct tcp_shard *sh = tcp_stack(tp)->tcp;
	uint32_t queued = tp->sk.sk_wmem_queued, buf = tp->sk.sk_sndbuf;
	bool low = tcp_stack(tp)->cache.low;

	if (queued >= buf)
		return false;
	if (likely(sh->wmem_total <= sh->wmem_limit / 2 && !low))
		return true;
	if (sh->wmem_total <= sh->wmem_limit && !low)
		return queued < max_t(uint32_t, WMEM_SHARE, buf / 16);
	if (sh->wmem_total <= sh->wmem_limit + sh->wmem_limit / 4 && !low)
		return queued < tcp_stack(tp)->cfg.tcp_wmem[0];
	return !queued && sh->wmem_total <= sh->wmem_limit + sh->wmem_limit / 2;
}

/* may_append - the unsent tail of the write queue can take more bytes. */
static struct sk_buff *append_target(struct tcp_sock *tp)
{
	struct sk_buff *tail;

	if (!tp->send_head)
		return NULL;
	tail = skb_peek_tail(&tp->sk.sk_write_queue);
	if (tail->len >= tp->mss_cache || (tail->flags & SKB_F_EXT) ||
	    (tail->tcp.tcp_flags & (TCPF_FIN | TCPF_SYN)))
		return NULL;
	return tail;
}

/* append_bytes - copy up to n bytes behind tail, in its own room or a further fragment's.
 * Returns bytes taken. */
static uint32_t append_bytes(struct tcp_sock *tp, struct sk_buff *tail, const void *buf, size_t n)
{
	uint32_t take = (uint32_t)min_t(size_t, n, tp->mss_cache - tail->len);
	uint32_t room = skb_tailroom(tail), old = tail->truesize;
	struct sk_buff *frag;

	if (!room) {
		frag = tcp_wmem_fits(tp) ? skb_alloc_reserved(&tcp_stack(tp)->cache, 0) : NULL;
		if (!frag)
			return 0;
		take = min_t(uint32_t, take, skb_tailroom(frag));
		memcpy(skb_put(frag, take), buf, take);
		skb_append_frag(tail, frag);
		tcp_wmem_add(tp, tail->truesize - old);
	} else {
		take = min_t(uint32_t, take, room);
		memcpy(skb_put(tail, take), buf, take);
	}
	return take;
}

/* new_tail - a buffer more at the write queue's end; NULL: none. SYN, FIN and the one payload
 * that every socket may have queued are allowed the reserve. */
static struct sk_buff *new_tail(struct tcp_sock *tp, uint8_t flags, bool payload)
{
	struct skb_cache *c = &tcp_stack(tp)->cache;
	struct sk_buff *skb =
		payload && tp->sk.sk_wmem_queued ? skb_alloc_reserved(c, 0) : skb_alloc(c, 0);

	if (unlikely(!skb))
		return NULL;
	skb->tcp.seq = skb->tcp.end_seq = tp->write_seq;
	skb->tcp.tcp_flags = flags;
	tp->nonagle &= (uint8_t)~TCP_NAGLE_PUSH;
	skb_queue_tail(&tp->sk.sk_write_queue, skb);
	tcp_wmem_add(tp, skb->truesize);
	if (!tp->send_head)
		tp->send_head = skb;
	return skb;
}

/* send_state_err - 0 if the state takes data. */
static int send_state_err(struct tcp_sock *tp)
{
	if (unlikely(tp->sk.sk_err))
		return sock_error(&tp->sk);
	if (likely(!(tp->sk.sk_shutdown & SEND_SHUTDOWN) &&
		   (tp->sk.sk_state == TCP_ESTABLISHED || tp->sk.sk_state == TCP_CLOSE_WAIT)))
		return 0;
	if (tp->sk.sk_shutdown & SEND_SHUTDOWN)
		return -EPIPE;
	if (tp->sk.sk_state == TCP_SYN_SENT || tp->sk.sk_state == TCP_SYN_RECV)
		return -EAGAIN;
	return tp->iss ? -EPIPE : -ENOTCONN;
}

/* wait_for_room - the writer will be told: by ACKs if something of its own is queued, else
 * when the lane has buffers again. */
static void wait_for_room(struct tcp_sock *tp)
{
	tp->sk.sk_want_write = tp->write_held = true;
	if (skb_queue_empty(&tp->sk.sk_write_queue) && list_empty(&tp->mem_link))
		list_add_tail(&tp->mem_link, &tcp_stack(tp)->tcp->mem_wait);
}

ssize_t tcp_send(struct tcp_sock *tp, const void *buf, size_t len, bool more)
{
	const uint8_t *p = buf;
	struct sk_buff *tail = NULL;
	size_t done = 0;
	int err = send_state_err(tp);

	if (unlikely(err)) {
		if (err == -EAGAIN)
			tp->sk.sk_want_write = true;
		return err;
	}
	tp->nonagle &= (uint8_t)~TCP_NAGLE_MORE;
	if (unlikely(tp->write_held))
		tcp_writer_back(tp);
	while (done < len) {
		uint32_t n;

		tail = append_target(tp);
		if (!tail) {
			if (!tcp_wmem_fits(tp) || unlikely(tcp_notsent(tp) >= tp->notsent_lowat))
				break;
			tail = new_tail(tp, 0, true);
			if (!tail)
				break;
		}
		n = append_bytes(tp, tail, p + done, len - done);
		if (!n)
			break;
		done += n;
		tp->write_seq += n;
		tail->tcp.end_seq = tp->write_seq;
	}
	if (likely(done)) {
		tail = skb_peek_tail(&tp->sk.sk_write_queue);
		if (unlikely(more))
			tp->nonagle |= TCP_NAGLE_MORE;
		else
			tail->tcp.tcp_flags |= TCPF_PSH;
		tp->bytes_out += done;
		if (tp->chrono == TCP_CHRONO_IDLE)
			tcp_chrono_set(tp, TCP_CHRONO_BUSY);
		/* it answers data: ACKs may wait for data to ride on */
		if (tcp_stack(tp)->now - tp->lrcv_ns < tcp_stack(tp)->cfg.delack && !tp->pingpong &&
		    tp->rcv_nxt != tp->irs + 1)
			tp->pingpong = true;
		stat_add(&tcp_stack(tp)->stats.bytes_from_user, done);
		tcp_output_mark(tp);
	}
	if (unlikely(done < len))
		wait_for_room(tp);
	return done ? (ssize_t)done : len ? -EAGAIN : 0;
}

bool tcp_queue_fin(struct tcp_sock *tp)
{
	struct sk_buff *tail = skb_peek_tail(&tp->sk.sk_write_queue);

	if (!tail || !tp->send_head || (tail->tcp.tcp_flags & TCPF_SYN)) {
		tail = new_tail(tp, 0, false);
		if (!tail)
			return false;
	}
	tail->tcp.tcp_flags |= TCPF_FIN;
	tail->tcp.end_seq++;
	tp->write_seq++;
	tp->fin_queued = true;
	tcp_output_mark(tp);
	return true;
}

int tcp_queue_syn(struct tcp_sock *tp)
{
	struct sk_buff *skb = new_tail(tp, TCPF_SYN | tcp_ecn_syn(tp), false);

	if (!skb)
		return -ENOBUFS;
	skb->tcp.end_seq++;
	tp->write_seq++;
	tcp_output_mark(tp);
	return 0;
}

/* fit_mss - what was queued for a larger MSS is cut when its turn comes, and not before: a queue in
 * pieces takes many times its buffers, which a router or a silent peer could ask for. False: no
 * buffer. */
static bool fit_mss(struct tcp_sock *tp, struct sk_buff *skb)
{
	return likely(skb->len <= tp->mss_cache) || tcp_split(tp, skb, tp->mss_cache);
}

/* window_allows - bytes of skb that the peer's window takes now; all of it if it fits. With
 * sender-side silly-window avoidance (RFC 9293 3.8.6.2.1). */
static uint32_t window_allows(const struct tcp_sock *tp, const struct sk_buff *skb)
{
	int32_t avail = (int32_t)(tp->snd_una + tp->snd_wnd - skb->tcp.seq);

	if (avail <= 0)
		return 0;
	if ((uint32_t)avail >= tcp_skb_bytes(skb))
		return skb->len;
	if ((uint32_t)avail >= skb->len)
		return skb->len; /* only the FIN is beyond: it takes no buffer space */
	if ((uint32_t)avail >= tp->mss_cache || (uint32_t)avail >= tp->max_window / 2)
		return (uint32_t)avail;
	return 0;
}

/* nagle_holds - RFC 9293 3.7.4 with Minshall: a small segment waits only while a small one is
 * unacknowledged. A corked one waits for the rest of its segment, the uncorking or the probe
 * timer. */
static bool nagle_holds(const struct tcp_sock *tp, const struct sk_buff *skb)
{
	if (likely(tp->nonagle == TCP_NAGLE_OFF) || (tp->nonagle & TCP_NAGLE_PUSH) ||
	    skb->len >= tp->mss_cache || (skb->tcp.tcp_flags & (TCPF_FIN | TCPF_SYN)) ||
	    skb_queue_next(&tp->sk.sk_write_queue, skb))
		return false;
	if (tp->nonagle & (TCP_NAGLE_CORK | TCP_NAGLE_MORE))
		return true;
	/* beyond SND.NXT: that small one was 2 GiB of full segments ago */
	return tcp_flight(tp) && after(tp->snd_sml, tp->snd_una) &&
	       !after(tp->snd_sml, tp->snd_nxt);
}

/* send_one - transmit send_head and move it to the sent side; push: with PSH this time, but not
 * should it be sent again. 0 or -ENOBUFS. */
static int send_one(struct tcp_sock *tp, struct sk_buff *skb, bool push)
{
	const uint16_t flags = skb->tcp.tcp_flags;
	int err;

	if (push)
		skb->tcp.tcp_flags |= TCPF_PSH;
	err = tcp_transmit_skb(tp, skb);
	skb->tcp.tcp_flags = flags;
	if (unlikely(err))
		return err;
	if (push)
		skb->tcp.sacked |= TCPCB_PUSHED;
	tcp_sent(tp, skb, false);
	tp->prr_out += skb->len; /* counts from where a reduction began */
	tp->send_head = skb_queue_next(&tp->sk.sk_write_queue, skb);
	tp->snd_nxt = skb->tcp.end_seq;
	if (skb->len < tp->mss_cache)
		tp->snd_sml = skb->tcp.end_seq;
	return 0;
}

int tcp_send_head(struct tcp_sock *tp)
{
	return send_one(tp, tp->send_head, true);
}

/*
 * push_goal - the segments after which a burst is pushed: what the rate of cwnd per RTT, doubled
 * in slow start, sends in a millisecond, and more on short paths, at least min_tso_segs, but at
 * most half of cwnd. It is Linux's size of a TSO packet (tcp_tso_segs, tcp_cwnd_test), so that a
 * receiver's GRO sees the same.
 */
static unsigned push_goal(const struct tcp_sock *tp)
{
	const uint32_t most = 65535, percent = tp->snd_cwnd < tp->snd_ssthresh / 2 ? 200 : 120;
	uint64_t bytes = most;

	if (tp->srtt_us8) {
		/* per 1024 us */
		bytes = (uint64_t)tp->snd_cwnd * percent / 100 * 8000000 / tp->srtt_us8 >> 10;
		bytes += tp->min_rtt_us >> 9 < 16 ? 65536u >> (tp->min_rtt_us >> 9) : 0;
	}
	bytes = min_t(uint64_t, bytes, most) / tp->mss_cache;
	bytes = max_t(uint64_t, bytes, tcp_stack(tp)->cfg.min_tso_segs);
	return (unsigned)min_t(uint64_t, bytes, tp->snd_cwnd / tp->mss_cache / 2);
}

/* Segments that leave one behind the other since the last that was pushed. */
struct burst {
	unsigned nr;
	unsigned goal; /* 0 = not asked for yet: a lone segment needs none of its divisions */
};

/*
 * push_burst - skb is about to leave as the next of a burst: does it end a part of it that the
 * receiver should have at once? RFC 9293 3.9.1.2 lets us set PSH where no SEND ended; Linux does so
 * at the end of each TSO packet, since GRO holds back what no PSH ends. Not on a lone segment.
 */
static bool push_burst(const struct tcp_sock *tp, const struct sk_buff *skb, uint32_t pipe,
		       struct burst *b)
{
	struct sk_buff *next;
	bool more;

	if (++b->nr < 2)
		return false;
	if (!b->goal)
		b->goal = push_goal(tp);
	/* each goes alone */
	if (b->goal < 2)
		return false;
	next = skb_queue_next(&tp->sk.sk_write_queue, skb);
	more = next && pipe + skb->len + next->len <= tp->snd_cwnd && window_allows(tp, next) &&
	       !nagle_holds(tp, next);
	if (more && b->nr < b->goal)
		return false;
	b->nr = 0;
	return true;
}

/* after_idle - data leaves where nothing was in flight (RFC 5681 4.1). */
static void after_idle(struct tcp_sock *tp)
{
	const struct stack *st = tcp_stack(tp);

	if (tp->ca_tx_start)
		tp->ca->cwnd_event(tp, TCP_CA_EVENT_TX_START);
	if (st->cfg.slow_start_after_idle && tp->lsnd_ns && st->now - tp->lsnd_ns > tp->rto)
		tcp_cwnd_restart(tp);
}

/* note_chrono - after output: what holds up the rest. A SYN is no data. */
static void note_chrono(struct tcp_sock *tp, bool rwnd_limited, uint32_t pipe)
{
	enum tcp_chrono kind = rwnd_limited ? TCP_CHRONO_RWND : TCP_CHRONO_BUSY;

	if (tp->chrono == TCP_CHRONO_IDLE)
		return;
	/* all is sent, cwnd would let more go, and the writer waits for room */
	if (!tp->send_head && tp->sk.sk_want_write && pipe + tp->mss_cache <= tp->snd_cwnd)
		kind = TCP_CHRONO_SNDBUF;
	tcp_chrono_set(tp, kind);
}

/* after_xmit - what the output step says of the path and the user, and the timer that watches. */
static inline void after_xmit(struct tcp_sock *tp, bool sent, bool cwnd_limited, bool rwnd_limited)
{
	uint32_t pipe = tcp_pipe(tp);

	note_chrono(tp, rwnd_limited, pipe);
	if (likely(sent))
		tcp_rate_check_app_limited(tp, pipe);
	if (likely(sent) || cwnd_limited)
		tcp_cwnd_validate(tp, cwnd_limited || pipe + tp->mss_cache > tp->snd_cwnd);
	if (likely(sent) && tp->pending != TCP_PEND_RETRANS && tp->pending != TCP_PEND_REO)
		tcp_rearm_rto(tp);
	if (unlikely(tp->send_head) && !tcp_flight(tp) && tp->pending == TCP_PEND_NONE) {
		/* a series of its own, whatever an RTO or keepalive left in the counts */
		tp->probes_out = 0;
		tp->probe_start_ns = 0;
		tcp_arm_retrans(tp, TCP_PEND_PROBE, tcp_rto_backoff(tp));
	}
}

unsigned tcp_write_xmit(struct tcp_sock *tp)
{
	bool rwnd_limited = false;
	struct sk_buff *skb;
	struct burst burst = {0};
	unsigned sent = 0;
	bool limited = false;

	if (!tcp_flight(tp))
		after_idle(tp);
	while ((skb = tp->send_head) != NULL) {
		uint32_t pipe = tcp_pipe(tp), n;

		if (!fit_mss(tp, skb))
			break;
		if (pipe && pipe + skb->len > tp->snd_cwnd) {
			limited = true;
			break;
		}
		n = window_allows(tp, skb);
		if ((!n && tcp_skb_bytes(skb) && !(skb->tcp.tcp_flags & TCPF_SYN) &&
		     (skb->len || !tp->snd_wnd)) ||
		    nagle_holds(tp, skb)) {
			rwnd_limited = !n && skb->len;
			break;
		}
		if (n < skb->len && !(skb->tcp.tcp_flags & TCPF_SYN) && !tcp_split(tp, skb, n))
			break;
		if (send_one(tp, skb, push_burst(tp, skb, pipe, &burst)))
			break;
		sent++;
	}
	after_xmit(tp, sent, limited, rwnd_limited);
	return sent;
}

int tcp_retransmit_skb(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct stack *st = tcp_stack(tp);
	int err;

	/* a window that shrank: only the very first byte is still worth a try */
	if (!before(skb->tcp.seq, tp->snd_una + tp->snd_wnd) && skb->tcp.seq != tp->snd_una &&
	    !(skb->tcp.tcp_flags & TCPF_SYN))
		return -EAGAIN;
	tp->mtup.probe_size = 0; /* what comes of a probe in flight says nothing now */
	if (!fit_mss(tp, skb))
		return -ENOBUFS;
	if (skb->len < tp->mss_cache)
		tcp_merge_lost(tp, skb);
	/* RFC 3168 6.1.1.1: something on the path may not like the bits */
	if (unlikely(skb->tcp.tcp_flags & TCPF_SYN))
		skb->tcp.tcp_flags &= (uint16_t) ~(TCPF_ECE | TCPF_CWR);
	err = tcp_transmit_skb(tp, skb);
	if (err)
		return err;
	if (skb->tcp.retrans < 255)
		skb->tcp.retrans++;
	if (!(skb->tcp.sacked & TCPCB_RETRANS)) {
		skb->tcp.sacked |= TCPCB_RETRANS;
		tp->retrans_out += tcp_skb_bytes(skb);
	}
	tcp_sent(tp, skb, true);
	tp->total_retrans++;
	tp->bytes_retrans += skb->len;
	stat_inc(&st->stats.tcp_retrans_segs);
	return 0;
}

/* retransmit_next - the next of lost_list, with PSH for this once if it ended a burst whose part
 * before it, up to `end`, just left again. As tcp_retransmit_skb. */
static int retransmit_next(struct tcp_sock *tp, struct sk_buff *skb, uint32_t end)
{
	bool push = skb->tcp.seq == end && (skb->tcp.sacked & TCPCB_PUSHED) &&
		    !(skb->tcp.tcp_flags & TCPF_PSH);
	uint32_t end_seq = skb->tcp.end_seq;
	int err;

	if (push)
		skb->tcp.tcp_flags |= TCPF_PSH;
	err = tcp_retransmit_skb(tp, skb);
	/* one that took others behind it (tcp_merge.c) has their flag */
	if (push && skb->tcp.end_seq == end_seq)
		skb->tcp.tcp_flags &= (uint16_t)~TCPF_PSH;
	return err;
}

void tcp_xmit_retransmit_queue(struct tcp_sock *tp)
{
	uint32_t end = tp->snd_una - 1;

	while (!list_empty(&tp->lost_list)) {
		struct sk_buff *skb = list_first_entry(&tp->lost_list, struct sk_buff, tcp.link);
		uint32_t pipe = tcp_pipe(tp), len = min_t(uint32_t, skb->len, tp->mss_cache);

		/* of the old size it is more than a window of a few small segments, and goes in
		 * pieces */
		if (pipe && pipe + len > tp->snd_cwnd)
			break;
		if (retransmit_next(tp, skb, end))
			break;
		end = skb->tcp.end_seq;
		tcp_undo_retransmitted(tp);
		tp->prr_out += skb->len;
	}
}

int tcp_send_probe(struct tcp_sock *tp)
{
	struct sk_buff *skb = tp->send_head;
	int32_t avail;
	int err;

	stat_inc(&tcp_stack(tp)->stats.tcp_probes);
	if (skb && fit_mss(tp, skb)) {
		bool syn = skb->tcp.tcp_flags & TCPF_SYN;

		avail = (int32_t)(tp->snd_una + tp->snd_wnd - skb->tcp.seq);
		/* a window that is open, if less than we like (the override timer of RFC 9293
		 * 3.8.6.2.1), or what found no buffer before */
		if (syn || (avail > 0 &&
			    ((uint32_t)avail >= skb->len || tcp_split(tp, skb, (uint32_t)avail)))) {
			err = send_one(tp, skb, !syn);
			if (!err) {
				tp->backoff = tp->probes_out = 0;
				tcp_arm_retrans(tp, TCP_PEND_RETRANS, tcp_rto_backoff(tp));
			}
			return err;
		}
	}
	if (unlikely(tcp_tx_off(tp)))
		return -ENOBUFS;
	/* an old sequence number makes the peer tell its window (as Linux and BSD probe) */
	tcp_send_empty(tp, tp->snd_una - 1, 0);
	return 0;
}

bool tcp_send_loss_probe(struct tcp_sock *tp)
{
	struct sk_buff *skb = tp->send_head;

	tp->tlp_retrans = !(skb && fit_mss(tp, skb) && window_allows(tp, skb) == skb->len);
	if (!tp->tlp_retrans) {
		if (send_one(tp, skb, false))
			return false;
	} else {
		skb = skb ? skb_queue_prev(&tp->sk.sk_write_queue, skb)
			  : skb_peek_tail(&tp->sk.sk_write_queue);
		if (!skb || tcp_retransmit_skb(tp, skb))
			return false;
	}
	tp->tlp_out = true;
	tp->tlp_end = tp->snd_nxt;
	return true;
}

/* frto_new_first - RFC 5682 2.1 step 2b: new data goes, and retransmissions wait for what its ACKs
 * say; if none could go, they do not wait. */
static bool frto_new_first(struct tcp_sock *tp)
{
	if (tp->frto != TCP_FRTO_NEW)
		return false;
	if (tp->send_head)
		(void)tcp_write_xmit(tp);
	if (after(tp->snd_nxt, tp->recover))
		return true;
	tp->frto = TCP_FRTO_OFF;
	return false;
}

void tcp_output_sock(struct tcp_sock *tp)
{
	if (unlikely(tp->fin_wanted) && tcp_queue_fin(tp))
		tp->fin_wanted = false;
	if (unlikely(tp->lost_out) && !frto_new_first(tp))
		tcp_xmit_retransmit_queue(tp);
	if (tp->send_head) {
		tcp_mtu_before_xmit(tp);
		(void)tcp_write_xmit(tp);
		/* it bound the turn of its send alone: the next ACK may release what waits */
		tp->nonagle &= (uint8_t)~TCP_NAGLE_MORE;
		/* it is what leaves that makes room here, not what is acknowledged */
		if (unlikely(tp->sk.sk_want_write) && tp->notsent_lowat != UINT32_MAX)
			tcp_maybe_write_space(tp);
	}
	if (tp->ack_pending & TCP_ACK_NOW)
		tcp_send_ack(tp);
	if (unlikely(tp->fin_wanted))
		tcp_output_mark(tp);
}
