/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receiving side: the in-order queue (what waits behind a hole is in tcp_ofo.c), the window
 * that we offer (RFC 9293 3.8.6), delayed ACKs (RFC 1122 4.2.3.2, 9293 3.8.6.3), and the copy into
 * the user's buffer. Memory is accounted by truesize, per socket and for the lane (architecture.md
 * rule 4).
 */
#include "stack/tcp_int.h"

/* What a SYN-ACK offers where one buffer is all that a socket may hold. */
#define RMEM_LAST_WND 1460u

/*
 * rmem_fits - may `n` more bytes of truesize be pinned by tp? In-order bytes were promised by
 * the window, which cannot foresee how short the segments are: they may go a quarter beyond
 * sk_rcvbuf. What waits behind a hole may not.
 *
 * Beyond the lane's limit a tenth is for sockets with little, and a third in all for those
 * that hold nothing: so 1,000 sockets that nobody reads do not stop a new one (rule 4). Once
 * only the pool's reserve is left, for whoever, nobody gets a second buffer.
 */
bool tcp_rmem_fits(const struct tcp_sock *tp, uint32_t n, bool in_order)
{
	const struct tcp_shard *sh = tcp_stack(tp)->tcp;
	uint32_t limit = tp->sk.sk_rcvbuf + (in_order ? tp->sk.sk_rcvbuf / 4 : 0);
	bool low = tcp_stack(tp)->cache.low;

	if (tp->sk.sk_rmem_alloc && tp->sk.sk_rmem_alloc + n > limit)
		return false;
	if (likely(sh->rmem_total + n <= sh->rmem_limit && !low))
		return true;
	if (!low && sh->rmem_total + n <= sh->rmem_limit + sh->rmem_limit / 10)
		return tp->sk.sk_rmem_alloc + n <= tcp_stack(tp)->cfg.tcp_rmem[0];
	return !tp->sk.sk_rmem_alloc && sh->rmem_total + n <= sh->rmem_limit + sh->rmem_limit / 3;
}

/* rmem_plenty - neither rmem_is_last() nor rmem_bound() would hold anybody back; two questions in
 * place of five on the way of each segment. */
static inline bool rmem_plenty(const struct stack *st)
{
	return st->tcp->rmem_total <= st->tcp->rmem_plenty && !st->cache.low;
}

/* rmem_is_last - a socket may hold a single buffer now, as rmem_fits() says, or will as soon
 * as another has taken its share. */
static bool rmem_is_last(const struct stack *st)
{
	const struct tcp_shard *sh = st->tcp;

	return st->cache.low ||
	       sh->rmem_total + st->cfg.tcp_rmem[0] > sh->rmem_limit + sh->rmem_limit / 10;
}

/* rmem_bound - how much of a buffer of `buf` bytes a socket is offered now. Beyond the lane's
 * limit that is what rmem_fits() would take: a window that promises more makes the peer send
 * what is dropped, and wait for its RTO. */
static uint32_t rmem_bound(const struct stack *st, uint32_t buf)
{
	const struct tcp_shard *sh = st->tcp;
	uint32_t least = st->cfg.tcp_rmem[0];

	if (unlikely(sh->rmem_total > sh->rmem_limit - sh->rmem_limit / 16))
		return min_t(uint32_t, buf, least);
	if (unlikely(sh->rmem_total > sh->rmem_limit / 2))
		return min_t(uint32_t, buf, max_t(uint32_t, 4 * least, buf / 16));
	return buf;
}

bool tcp_may_coalesce(const struct sk_buff *to, const struct sk_buff *skb)
{
	return !skb->frag && skb->len <= skb_tailroom(to) && !(to->flags & SKB_F_EXT) &&
	       !(to->tcp.tcp_flags & TCPF_FIN);
}

void tcp_coalesce(struct sk_buff *to, struct sk_buff *skb)
{
	memcpy(skb_put(to, skb->len), skb->data, skb->len);
	to->tcp.end_seq = skb->tcp.end_seq;
	to->tcp.tcp_flags |= skb->tcp.tcp_flags;
	skb_free(skb);
}

void tcp_rmem_charge(struct tcp_sock *tp, const struct sk_buff *skb)
{
	tp->sk.sk_rmem_alloc += skb->truesize;
	tcp_stack(tp)->tcp->rmem_total += skb->truesize;
}

void tcp_rmem_uncharge(struct tcp_sock *tp, const struct sk_buff *skb)
{
	tp->sk.sk_rmem_alloc -= skb->truesize;
	tcp_stack(tp)->tcp->rmem_total -= skb->truesize;
}

/* advance - in-order bytes up to `seq` have arrived. */
static void rcv_advance(struct tcp_sock *tp, uint32_t end_seq)
{
	tp->bytes_in += end_seq - tp->rcv_nxt;
	tp->rcv_nxt = end_seq;
}

bool tcp_queue_rcv(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct sk_buff *tail = skb_peek_tail(&tp->sk.sk_receive_queue);
	uint32_t end_seq = skb->tcp.end_seq;

	/* a slow reader of small segments pins little more than their bytes */
	if (tail && tail->tcp.end_seq == skb->tcp.seq && tcp_may_coalesce(tail, skb)) {
		tcp_coalesce(tail, skb);
	} else {
		if (unlikely(!tcp_rmem_fits(tp, skb->truesize, true)))
			return false;
		tcp_rmem_charge(tp, skb);
		skb_queue_tail(&tp->sk.sk_receive_queue, skb);
	}
	rcv_advance(tp, end_seq);
	return true;
}

/* Linux's tcp_epollin_ready: what a window about to close holds back would never be reached. */
void tcp_data_ready(struct tcp_sock *tp)
{
	uint32_t have = tp->rcv_nxt - tp->copied_seq;

	if (likely(have >= tp->sk.sk_rcvlowat) || tp->fin_rcvd ||
	    tcp_receive_window(tp) <= tp->rcv_mss)
		tp->sk.sk_data_ready(&tp->sk);
}

void __tcp_measure_rcv_mss(struct tcp_sock *tp, const struct sk_buff *skb)
{
	uint16_t len = (uint16_t)min_t(uint32_t, skb->len, tp->advmss);

	if (len >= tp->rcv_mss) {
		tp->rcv_mss = len;
		return;
	}
	/* two of the same length in a row that do not look like the end of a write: a smaller
	 * path */
	if (len == tp->last_seg && len >= TCP_MIN_RCV_MSS)
		tp->rcv_mss = len;
	tp->last_seg = len;
}

void tcp_enter_quickack(struct tcp_sock *tp)
{
	uint32_t n = tp->rcv_wnd / (2u * tp->rcv_mss);

	tp->pingpong = false;
	tp->quickack =
		(uint8_t)max_t(uint32_t, tp->quickack, min_t(uint32_t, n ? n : 2, TCP_QUICKACKS));
}

void tcp_event_data_recv(struct tcp_sock *tp, uint32_t len)
{
	uint32_t unacked = tp->rcv_nxt - tp->rcv_wup;
	uint64_t now = tcp_stack(tp)->now;

	/* after a pause the peer may be in slow start again, which lives on ACKs */
	if (unlikely(now - tp->lrcv_ns > tp->rto))
		tp->quickack = max_t(uint8_t, tp->quickack, TCP_QUICKACKS);
	tp->lrcv_ns = now;
	/* small ones are no reason: Linux's 128 */
	if (len >= 128 && tp->rcv_ssthresh < tp->sk.sk_rcvbuf / 2)
		__tcp_grow_window(tp, len);
	tp->ack_pending |= TCP_ACK_SCHED;
	if (tp->quickack && !tp->pingpong) {
		tp->quickack--;
		tp->ack_pending |= TCP_ACK_NOW;
	} else if (unacked > tp->rcv_mss) {
		/* more than one full segment: RFC 1122 4.2.3.2 "at least every second" */
		tp->ack_pending |= TCP_ACK_NOW;
	}
	if (tp->ack_pending & TCP_ACK_NOW)
		tcp_output_mark(tp);
	else
		tcp_arm_delack(tp);
}

/* ---- in order ---- */

void tcp_trim_front(struct sk_buff *skb, uint32_t seq)
{
	uint32_t n = seq - skb->tcp.seq;

	skb_eat(skb, min_t(uint32_t, n, skb->len));
	skb->tcp.seq = seq;
}

void tcp_trim_end(struct sk_buff *skb, uint32_t seq)
{
	skb_trim(skb, seq - skb->tcp.seq);
	skb->tcp.end_seq = seq;
	skb->tcp.tcp_flags &= (uint8_t)~TCPF_FIN;
}

/* fin_in_order - everything before the peer's FIN is here. */
static void fin_in_order(struct tcp_sock *tp)
{
	tp->fin_rcvd = true;
	tp->fin_seq = tp->rcv_nxt;
	tp->rcv_nxt++;
	tcp_ofo_purge(tp, SKB_DROP_TCP_AFTER_FIN);
}

bool tcp_queue_in_order(struct tcp_sock *tp, struct sk_buff *skb)
{
	bool fin = skb->tcp.tcp_flags & TCPF_FIN;

	if (fin)
		skb->tcp.end_seq--;
	if (skb->len == 0)
		skb_free(skb);
	else if (!tcp_queue_rcv(tp, skb))
		return false;
	if (fin)
		fin_in_order(tp);
	return true;
}

static void ack_now(struct tcp_sock *tp)
{
	tp->ack_pending |= TCP_ACK_NOW;
	tcp_output_mark(tp);
}

/* behind_drained - what is left of `rest` once tcp_ofo_drain() moved rcv_nxt; NULL: nothing. */
static struct sk_buff *behind_drained(struct tcp_sock *tp, struct sk_buff *rest)
{
	/* a FIN came first, or others brought the same, or those before it found no memory */
	if (tp->fin_rcvd || !after(rest->tcp.end_seq, tp->rcv_nxt) ||
	    after(rest->tcp.seq, tp->rcv_nxt)) {
		skb_drop(rest, SKB_DROP_TCP_OLD_DATA);
		return NULL;
	}
	tcp_trim_front(rest, tp->rcv_nxt);
	return rest;
}

/* queue_into_hole - skb begins the hole, and may reach over what waits behind it, whose bytes came
 * first and win (B21). Consumes skb; false: there is no memory for any of it. */
static bool queue_into_hole(struct tcp_sock *tp, struct sk_buff *skb)
{
	uint32_t rcv_nxt = tp->rcv_nxt;

	while (skb) {
		struct sk_buff *rest = tcp_ofo_cut(tp, skb, skb_peek(&tp->ofo_queue));

		/* the rest's buffer may have been the last but for the reserve */
		tcp_ofo_prune(tp, skb->truesize);
		if (!tcp_queue_in_order(tp, skb)) {
			skb_drop(skb, SKB_DROP_TCP_RCVBUF);
			if (rest)
				skb_drop(rest, SKB_DROP_TCP_RCVBUF);
			break;
		}
		tcp_ofo_drain(tp);
		skb = rest ? behind_drained(tp, rest) : NULL;
	}
	return tp->rcv_nxt != rcv_nxt;
}

/* queue_no_hole - the same where nothing waits. */
static bool queue_no_hole(struct tcp_sock *tp, struct sk_buff *skb)
{
	bool queued = tcp_queue_in_order(tp, skb);

	if (unlikely(!queued))
		skb_drop(skb, SKB_DROP_TCP_RCVBUF);
	return queued;
}

static void data_in_order(struct tcp_sock *tp, struct sk_buff *skb)
{
	uint32_t before_nxt = tp->rcv_nxt;
	bool hole = !skb_queue_empty(&tp->ofo_queue);

	if (before(skb->tcp.seq, tp->rcv_nxt)) {
		tcp_dsack_set(tp, skb->tcp.seq, tp->rcv_nxt);
		tcp_trim_front(skb, tp->rcv_nxt);
	}
	if (hole)
		tcp_ofo_prune(tp, skb->truesize);
	tcp_rcv_measure(tp, skb);
	if (!(hole ? queue_into_hole(tp, skb) : queue_no_hole(tp, skb))) {
		tp->ack_pending |= TCP_ACK_NOMEM;
		ack_now(tp);
		return;
	}
	tcp_event_data_recv(tp, tp->rcv_nxt - before_nxt);
	/* RFC 5681 4.2: a segment that fills a hole is acknowledged at once */
	if (hole)
		ack_now(tp);
	tcp_data_ready(tp);
}

void tcp_data_queue(struct tcp_sock *tp, struct sk_buff *skb)
{
	uint32_t wnd_end = tp->rcv_nxt + tcp_receive_window(tp);

	if (!after(skb->tcp.end_seq, tp->rcv_nxt)) {
		/* sent again: our ACK was lost, or a zero-window probe */
		tcp_dsack_set(tp, skb->tcp.seq, skb->tcp.seq + skb->len);
		tcp_enter_quickack(tp);
		ack_now(tp);
		skb_drop(skb, SKB_DROP_TCP_OLD_DATA);
		return;
	}
	if (!before(skb->tcp.seq, wnd_end) && skb->len) {
		ack_now(tp);
		skb_drop(skb, SKB_DROP_TCP_ZEROWINDOW);
		return;
	}
	if (after(skb->tcp.end_seq, wnd_end) && skb->len > 0 &&
	    after(skb->tcp.end_seq - !!(skb->tcp.tcp_flags & TCPF_FIN), wnd_end))
		tcp_trim_end(skb, wnd_end);
	if (!after(skb->tcp.seq, tp->rcv_nxt)) {
		data_in_order(tp, skb);
		return;
	}
	tcp_enter_quickack(tp);
	tcp_ofo_insert(tp, skb);
	/* RFC 5681 4.2: a duplicate ACK for each out-of-order segment, not coalesced */
	stat_inc(&tcp_stack(tp)->stats.tcp_dup_acks_out);
	tcp_send_ack(tp);
}

/* ---- window ---- */

/* window_scale - for ever: enough for the largest window that the buffer may come to. */
static uint8_t window_scale(const struct tcp_sock *tp)
{
	const struct stack_config *cfg = &tcp_stack(tp)->cfg;
	uint32_t space =
		max_t(uint32_t, max_t(uint32_t, cfg->tcp_rmem[2], cfg->rmem_max), tp->sk.sk_rcvbuf);
	uint8_t scale = 0;

	if (tp->window_clamp)
		space = min_t(uint32_t, space, tp->window_clamp);
	while (scale < TCP_MAX_WSCALE && (65535u << scale) < space)
		scale++;
	return scale;
}

void tcp_init_window(const struct tcp_sock *tp, bool wscale, uint32_t *ret_wnd, uint8_t *ret_wscale)
{
	const struct stack *st = tcp_stack(tp);
	uint32_t space = rmem_bound(st, tp->sk.sk_rcvbuf) / 2;

	*ret_wscale = wscale ? window_scale(tp) : 0;
	if (tp->window_clamp)
		space = min_t(uint32_t, space, tp->window_clamp);
	if (unlikely(rmem_is_last(st)))
		space = min_t(uint32_t, space, RMEM_LAST_WND);
	space = min_t(uint32_t, space, 65535);
	/* whole segments, as Linux offers them */
	*ret_wnd = space > tp->advmss ? space - space % tp->advmss : space;
}

/* last_window - one segment, rounded up: a peer whose segment does not fit into the window
 * waits instead of sending less. */
static COLD uint32_t last_window(const struct tcp_sock *tp)
{
	uint32_t unit = 1u << tp->rcv_wscale;

	return min_t(uint32_t, (tp->advmss + unit - 1) & ~(unit - 1), 65535u << tp->rcv_wscale);
}

/* no_room - what waits behind a hole gives way to what fills it (tcp_ofo_prune), so a segment of
 * that is always welcome: with a window of zero the hole would stay, and so would what waits. */
static COLD uint32_t no_room(const struct tcp_sock *tp)
{
	return skb_queue_empty(&tp->sk.sk_receive_queue) ? last_window(tp) : 0;
}

/*
 * tcp_new_window - what the buffers would allow. Half of the free truesize: an mbuf of 2 KiB
 * that carries a full segment is about so well used. Avoids silly windows (RFC 9293
 * 3.8.6.2.2): either a full segment, or a good part of the buffer, or all that may be offered
 * however much is free, or nothing.
 */
uint32_t tcp_new_window(const struct tcp_sock *tp)
{
	uint32_t buf = tp->sk.sk_rcvbuf, unit = 1u << tp->rcv_wscale;
	uint32_t used = tp->sk.sk_rmem_alloc, most = tp->rcv_ssthresh, space;
	const struct stack *st = tcp_stack(tp);

	if (unlikely(!rmem_plenty(st)))
		buf = rmem_bound(st, buf);
	if (unlikely(used >= buf))
		return no_room(tp);
	if (unlikely(!rmem_plenty(st)) && rmem_is_last(st))
		return used ? no_room(tp) : last_window(tp);
	if (unlikely(tp->window_clamp))
		most = min_t(uint32_t, most, tp->window_clamp);
	space = min_t(uint32_t, (buf - used) / 2, most);
	if (space < min_t(uint32_t, tp->advmss, buf / 4) && space < most)
		return 0;
	/* a clamp may have come below what the scale of the SYN can say */
	space = min_t(uint32_t, space, 65535u << tp->rcv_wscale);
	return space && space < unit ? unit : space & ~(unit - 1);
}

/* The one case in which the window shrinks (as Linux does since 6.5): what it had promised
 * was refused for want of memory. A peer that is told to stop probes as long as it takes; one
 * that is not sends again and again, and gives up. */
static COLD uint32_t close_window(struct tcp_sock *tp)
{
	tp->rcv_wnd = 0;
	tp->rcv_wup = tp->rcv_nxt;
	return 0;
}

uint32_t tcp_select_window(struct tcp_sock *tp)
{
	uint32_t cur = tcp_receive_window(tp);
	uint32_t wnd = tcp_new_window(tp);

	if (unlikely(tp->ack_pending & TCP_ACK_NOMEM))
		return close_window(tp);
	if (wnd < cur) {
		uint32_t unit = 1u << tp->rcv_wscale;

		wnd = (cur + unit - 1) & ~(unit - 1);
	}
	tp->rcv_wnd = wnd;
	tp->rcv_wup = tp->rcv_nxt;
	return wnd >> tp->rcv_wscale;
}

/* after_read - the user made room: tell the peer if the window can at least double. */
static void after_read(struct tcp_sock *tp)
{
	uint32_t cur = tcp_receive_window(tp);

	if (likely(cur >= tp->sk.sk_rcvbuf / 4) || tp->sk.sk_state == TCP_CLOSE || tp->fin_rcvd)
		return;
	if (tcp_new_window(tp) >= 2 * max_t(uint32_t, cur, 1))
		ack_now(tp);
}

static ssize_t recv_nothing(struct tcp_sock *tp)
{
	if (unlikely(tp->sk.sk_err))
		return sock_error(&tp->sk);
	if (tp->sk.sk_shutdown & RCV_SHUTDOWN)
		return 0;
	if (likely(tp->sk.sk_state == TCP_ESTABLISHED))
		return -EAGAIN;
	switch (tp->sk.sk_state) {
	case TCP_CLOSE:
		return tp->irs || tp->iss ? 0 : -ENOTCONN;
	case TCP_LISTEN:
		return -ENOTCONN;
	default:
		return -EAGAIN;
	}
}

/* recv_queued - tcp_recv where something is queued; len > 0. */
static NOINLINE ssize_t recv_queued(struct tcp_sock *tp, void *buf, size_t len)
{
	struct sk_buff_head *q = &tp->sk.sk_receive_queue;
	size_t copied = 0;

	while (copied < len) {
		struct sk_buff *skb = skb_peek(q);
		uint32_t n;

		if (!skb)
			break;
		n = (uint32_t)min_t(size_t, len - copied, skb->len);
		if (likely(!skb->frag))
			memcpy((uint8_t *)buf + copied, skb->data, n);
		else
			BUG_ON(skb_copy_bits(skb, 0, (uint8_t *)buf + copied, n));
		copied += n;
		if (n < skb->len) {
			skb_eat(skb, n);
			skb->tcp.seq += n;
			break;
		}
		skb_unlink(q, skb);
		tcp_rmem_uncharge(tp, skb);
		skb_free(skb);
	}
	tp->copied_seq += (uint32_t)copied;
	stat_add(&tcp_stack(tp)->stats.bytes_to_user, copied);
	if (tcp_stack(tp)->now - tp->rcvq.since >= (tp->rcv_rtt.us8 >> 3) * NSEC_PER_USEC &&
	    tp->rcv_rtt.us8)
		__tcp_rcv_space_adjust(tp);
	after_read(tp);
	return (ssize_t)copied;
}

ssize_t tcp_recv(struct tcp_sock *tp, void *buf, size_t len)
{
	if (skb_queue_empty(&tp->sk.sk_receive_queue) || unlikely(!len))
		return recv_nothing(tp);
	return recv_queued(tp, buf, len);
}

void tcp_rcv_queues_purge(struct tcp_sock *tp)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(&tp->sk.sk_receive_queue)) != NULL) {
		tcp_rmem_uncharge(tp, skb);
		skb_free(skb);
	}
	tcp_ofo_purge(tp, SKB_DROP_TCP_CLOSED);
}
