/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scoreboard: tags on the skbs of the write queue, so that it cannot outgrow it. What is
 * sent and not SACKed stands on one of two lists, in flight by time (RFC 8985 needs that
 * order) or to be sent again. An ACK costs what it newly SACKs, plus one look-up a block:
 * by a few landmarks in the queue, and over runs of SACKed skbs in one step (B18). RFCs:
 * 2018, 2883 (D-SACK), 6675 in its words, 8985.
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_rate.h"

/* How far the place of a lost skb is looked for: their order is a courtesy. */
#define LOST_WALK_MAX 64

/* ---- landmarks ---- */

/* index_reset - no entries, and the sock's own ring. */
static void index_reset(struct tcp_sock *tp)
{
	struct tcp_sent_index *ix = &tp->index;

	if (unlikely(ix->marks)) {
		tcp_slab_put(&tcp_stack(tp)->tcp->marks, ix->marks);
		ix->marks = NULL;
	}
	ix->seq = tp->own_marks.seq;
	ix->skb = tp->own_marks.skb;
	ix->size = TCP_INDEX_SIZE;
	ix->gap = TCP_INDEX_GAP;
	ix->head = ix->nr = 0;
}

/* index_grow - from the sock's own ring into a large one; false: none is left. */
static bool index_grow(struct tcp_sock *tp)
{
	struct tcp_sent_index *ix = &tp->index;
	struct tcp_marks *m;

	m = ix->marks ? NULL : tcp_slab_get(tcp_stack(tp), &tcp_stack(tp)->tcp->marks);
	if (!m)
		return false;
	for (unsigned i = 0; i < ix->nr; i++) {
		m->seq[i] = ix->seq[tcp_index_at(ix, i)];
		m->skb[i] = ix->skb[tcp_index_at(ix, i)];
	}
	ix->marks = m;
	ix->seq = m->seq;
	ix->skb = m->skb;
	ix->size = TCP_MARKS_SIZE;
	ix->head = 0;
	return true;
}

/* index_thin - every second landmark goes, and new ones come half as often. */
static void index_thin(struct tcp_sent_index *ix)
{
	ix->nr /= 2;
	for (unsigned i = 0; i < ix->nr; i++) {
		unsigned to = tcp_index_at(ix, i), from = tcp_index_at(ix, 2 * i);

		ix->seq[to] = ix->seq[from];
		ix->skb[to] = ix->skb[from];
	}
	ix->gap *= 2;
}

void __tcp_index_add(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct tcp_sent_index *ix = &tp->index;
	unsigned at;

	ix->since = 0;
	if (ix->nr == ix->size && !index_grow(tp))
		index_thin(ix);
	at = tcp_index_at(ix, ix->nr++);
	ix->seq[at] = skb->tcp.seq;
	ix->skb[at] = skb;
}

void __tcp_index_pop(struct tcp_sock *tp)
{
	struct tcp_sent_index *ix = &tp->index;
	const struct sk_buff *skb = ix->skb[ix->head];

	/* more than once if others were merged into it */
	while (ix->nr && ix->skb[ix->head] == skb) {
		ix->head = (uint16_t)tcp_index_at(ix, 1);
		ix->nr--;
	}
	if (!ix->nr)
		index_reset(tp);
}

/* index_after - the number of entries that do not begin after seq. Segments are mostly of one
 * size, so the place that this tells is tried first, then its neighbours, then all by halves. */
static unsigned index_after(const struct tcp_sent_index *ix, uint32_t seq)
{
	unsigned lo = 0, hi = ix->nr, mid = 0;
	uint32_t first, span;

	if (hi > 1) {
		first = ix->seq[ix->head];
		span = ix->seq[tcp_index_at(ix, hi - 1)] - first;
		mid = hi - 1;
		if (seq - first < span)
			mid = (unsigned)((uint64_t)(seq - first) * mid / span) + 1;
	}
	for (unsigned tries = 0; lo < hi; tries++) {
		bool below = after(ix->seq[tcp_index_at(ix, mid)], seq);

		if (below)
			hi = mid;
		else
			lo = mid + 1;
		mid = tries >= 3 ? (lo + hi) / 2 : below ? hi - 1 : lo;
	}
	return lo;
}

void tcp_index_merge(struct tcp_sock *tp, const struct sk_buff *skb, struct sk_buff *prev)
{
	struct tcp_sent_index *ix = &tp->index;
	unsigned n = index_after(ix, skb->tcp.seq);

	for (; n && ix->skb[tcp_index_at(ix, n - 1)] == skb; n--) {
		ix->seq[tcp_index_at(ix, n - 1)] = prev->tcp.seq;
		ix->skb[tcp_index_at(ix, n - 1)] = prev;
	}
}

void tcp_loss_init(struct tcp_sock *tp)
{
	list_init(&tp->sent_list);
	list_init(&tp->lost_list);
	index_reset(tp);
	tp->rack.reo_wnd_mult = 1;
	tp->reordering = TCP_DUPTHRESH;
}

void tcp_clear_scoreboard(struct tcp_sock *tp)
{
	tp->sacked_out = tp->lost_out = tp->retrans_out = tp->sacked_segs = 0;
	tp->highest_sack = tp->sack_hint = tp->lost_hint = NULL;
	tp->nr_sack_seen = 0;
	index_reset(tp);
	list_init(&tp->sent_list);
	list_init(&tp->lost_list);
}

/* ---- the two lists ---- */

void tcp_split_sent(struct tcp_sock *tp, struct sk_buff *skb, struct sk_buff *rest)
{
	if (!before(skb->tcp.seq, tp->snd_nxt))
		return;
	BUG_ON(skb->tcp.sacked & TCPCB_SACKED); /* nobody sends that again */
	list_add(&rest->tcp.link, &skb->tcp.link);
}

/* lost_place - the entry of lost_list behind which skb belongs: mostly next to the last one, or
 * first, as what is acknowledged next is worth the most. */
static struct list_head *lost_place(struct tcp_sock *tp, const struct sk_buff *skb)
{
	struct list_head *at = tp->lost_hint ? &tp->lost_hint->tcp.link : tp->lost_list.prev;
	struct list_head *end = &tp->lost_list;
	int left = LOST_WALK_MAX;

	if (list_empty(end) ||
	    before(skb->tcp.seq, list_first_entry(end, struct sk_buff, tcp.link)->tcp.seq))
		return end;
	while (at != end && left-- &&
	       after(list_entry(at, struct sk_buff, tcp.link)->tcp.seq, skb->tcp.seq))
		at = at->prev;
	while (at->next != end && left-- > 0 &&
	       before(list_entry(at->next, struct sk_buff, tcp.link)->tcp.seq, skb->tcp.seq))
		at = at->next;
	return at;
}

void tcp_mark_lost(struct tcp_sock *tp, struct sk_buff *skb)
{
	uint32_t n = tcp_skb_bytes(skb);

	if (skb->tcp.sacked & TCPCB_SACKED)
		return;
	if (skb->tcp.sacked & TCPCB_RETRANS) {
		skb->tcp.sacked &= (uint8_t)~TCPCB_RETRANS;
		tp->retrans_out -= n;
	} else if (skb->tcp.sacked & TCPCB_LOST) {
		return;
	}
	if (!(skb->tcp.sacked & TCPCB_LOST)) {
		skb->tcp.sacked |= TCPCB_LOST;
		tp->lost_out += n;
	}
	tp->lost_bytes += n;
	tcp_unlist(tp, skb);
	list_add(&skb->tcp.link, lost_place(tp, skb));
	tp->lost_hint = skb;
}

/* ---- SACK blocks ---- */

/* run_last - the last skb of the run of SACKed ones that skb is in. Frees come from the left, so
 * what points to the right never dangles; the way is shortened for the next one. */
static struct sk_buff *run_last(struct sk_buff *skb)
{
	struct sk_buff *last = skb;

	while (last->tcp.run_last != last)
		last = last->tcp.run_last;
	while (skb != last) {
		struct sk_buff *next = skb->tcp.run_last;

		skb->tcp.run_last = last;
		skb = next;
	}
	return last;
}

/* run_join - skb was SACKed: one run with its neighbours that are. */
static void run_join(struct tcp_sock *tp, struct sk_buff *skb)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	struct sk_buff *next = skb_queue_next(q, skb), *prev = skb_queue_prev(q, skb);

	skb->tcp.run_last = next && (next->tcp.sacked & TCPCB_SACKED) ? next : skb;
	if (prev && (prev->tcp.sacked & TCPCB_SACKED))
		prev->tcp.run_last = skb;
}

/* tag_sacked - skb has arrived out of order. What was never sent again and lies below what came
 * before it was reordered (RFC 8985 6.2 step 3). */
static void tag_sacked(struct tcp_sock *tp, struct sk_buff *skb, struct tcp_ack_state *a)
{
	uint64_t now = tcp_stack(tp)->now;
	uint32_t n = tcp_skb_bytes(skb);

	tcp_rate_delivered(skb, a->rate);
	tcp_rack_advance(tp, skb);
	if (!skb->tcp.retrans) {
		if (before(skb->tcp.seq, tcp_fack(tp)) && before(skb->tcp.seq, a->reord))
			a->reord = skb->tcp.seq;
		if (!after(skb->tcp.end_seq, tp->recover))
			a->flags |= TCP_ACKF_ORIG;
		if (a->sack_rtt_ns == UINT64_MAX)
			a->sack_rtt_ns = now - skb->tcp.tx_ns;
	}
	if (skb->tcp.sacked & TCPCB_LOST)
		tp->lost_out -= n;
	if (skb->tcp.sacked & TCPCB_RETRANS)
		tp->retrans_out -= n;
	tcp_unlist(tp, skb);
	skb->tcp.sacked = TCPCB_SACKED;
	run_join(tp, skb);
	tp->sacked_out += n;
	tp->sacked_segs++;
	tp->delivered++;
	a->delivered += n;
	a->flags |= TCP_ACKF_SACKED;
	if (!tp->highest_sack || after(skb->tcp.seq, tp->highest_sack->tcp.seq))
		tp->highest_sack = skb;
}

static uint32_t seq_distance(uint32_t a, uint32_t b)
{
	return before(a, b) ? b - a : a - b;
}

/* A block to be looked up: `mark` landmarks do not begin after it. */
struct block {
	struct tcp_sack_block b;
	unsigned mark;
};

/* block_prefetch - what landmark() will look at: all blocks' at once, since each may be far. */
static void block_prefetch(const struct tcp_sent_index *ix, const struct block *b)
{
	for (unsigned i = b->mark ? b->mark - 1 : 0; i <= b->mark && i < ix->nr; i++) {
		struct sk_buff *skb = ix->skb[tcp_index_at(ix, i)];

		__builtin_prefetch(skb);
		__builtin_prefetch(&skb->tcp);
	}
}

/* landmark - the known skb of the sent part that is closest to the block's start. */
static struct sk_buff *landmark(struct tcp_sock *tp, const struct block *b)
{
	const struct tcp_sent_index *ix = &tp->index;
	struct sk_buff *best = skb_peek(&tp->sk.sk_write_queue);
	struct sk_buff *const hint[] = {tp->highest_sack, tp->sack_hint};
	uint32_t seq = b->b.start, dist = seq_distance(tp->snd_una, seq);

	/* what an entry says of its skb saves a look at it */
	for (unsigned i = b->mark ? b->mark - 1 : 0; i <= b->mark && i < ix->nr; i++) {
		unsigned at = tcp_index_at(ix, i);

		/* a run that begins before seq is passed in one step */
		if (i < b->mark && (ix->skb[at]->tcp.sacked & TCPCB_SACKED))
			return ix->skb[at];
		if (seq_distance(ix->seq[at], seq) < dist) {
			dist = seq_distance(ix->seq[at], seq);
			best = ix->skb[at];
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(hint); i++) {
		if (hint[i] && seq_distance(hint[i]->tcp.seq, seq) < dist) {
			dist = seq_distance(hint[i]->tcp.seq, seq);
			best = hint[i];
		}
	}
	return best;
}

/* sack_find - the first skb that ends after the block's start; snd_una <= start < snd_nxt. */
static struct sk_buff *sack_find(struct tcp_sock *tp, const struct block *b)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	struct sk_buff *skb = landmark(tp, b);
	uint32_t seq = b->b.start;

	while (after(skb->tcp.seq, seq))
		skb = skb_queue_prev(q, skb);
	while (!after(skb->tcp.end_seq, seq)) {
		if (skb->tcp.sacked & TCPCB_SACKED)
			skb = run_last(skb);
		/* seq may lie within the run */
		if (!after(skb->tcp.end_seq, seq))
			skb = skb_queue_next(q, skb);
	}
	return skb;
}

static void sack_block(struct tcp_sock *tp, const struct block *b, struct tcp_ack_state *a)
{
	struct sk_buff_head *q = &tp->sk.sk_write_queue;
	struct sk_buff *skb = sack_find(tp, b);

	for (;;) {
		if (skb->tcp.sacked & TCPCB_SACKED)
			skb = run_last(skb);
		/* whole segments only: a part that is SACKed is as good as not (RFC 6675 4) */
		else if (!before(skb->tcp.seq, b->b.start) && !after(skb->tcp.end_seq, b->b.end))
			tag_sacked(tp, skb, a);
		tp->sack_hint = skb;
		/* what is sent ends at snd_nxt, and no valid block beyond it */
		if (!before(skb->tcp.end_seq, b->b.end))
			break;
		skb = skb_queue_next(q, skb);
	}
}

/* sack_valid - RFC 2018 and B19: not empty, not inverted, above what is acknowledged (a block right
 * at it would be no hole), of what was sent. Both ends are compared with snd_nxt: a block that lies
 * half the sequence space away ends "before" it. */
static bool sack_valid(const struct tcp_sock *tp, const struct tcp_sack_block *b, uint32_t una)
{
	return before(b->start, b->end) && after(b->start, una) && before(b->start, tp->snd_nxt) &&
	       !after(b->end, tp->snd_nxt);
}

static bool sack_seen(const struct tcp_sock *tp, const struct tcp_sack_block *b)
{
	for (unsigned i = 0; i < tp->nr_sack_seen; i++)
		if (tp->sack_seen[i].start == b->start && tp->sack_seen[i].end == b->end)
			return true;
	return false;
}

/* dsack_check - is the first block about what came twice (RFC 2883 4)? Believed if not longer than
 * a window, nor about more than what was ever sent again. */
static void dsack_check(struct tcp_sock *tp, const struct tcp_options *opt, uint32_t ack,
			struct tcp_ack_state *a)
{
	const struct tcp_sack_block *d = &opt->sack[0], *o = &opt->sack[1];
	uint32_t len = d->end - d->start, segs;

	if (!before(d->start, d->end) || len > tp->max_window || after(d->end, tp->snd_nxt))
		return;
	if (!before(d->start, ack) &&
	    (opt->nr_sacks < 2 || before(d->start, o->start) || after(d->end, o->end)))
		return;
	segs = (len + tp->mss_cache - 1) / tp->mss_cache;
	if (tp->dsack_dups + segs > tp->total_retrans)
		return;
	tp->dsack_dups += segs;
	tcp_undo_dsack(tp, d->end, segs);
	stat_inc(&tcp_stack(tp)->stats.tcp_dsack_in);
	a->flags |= TCP_ACKF_DSACK;
	if (tp->tlp_out && len <= tp->mss_cache && d->end == tp->tlp_end)
		a->flags |= TCP_ACKF_DSACK_TLP;
}

void tcp_check_reordering(struct tcp_sock *tp, uint32_t low, uint32_t fack)
{
	uint32_t metric = fack - low;

	if (!before(low, fack))
		return;
	if (metric > tp->reordering * tp->mss_cache)
		tp->reordering = min_t(uint32_t, (metric + tp->mss_cache - 1) / tp->mss_cache,
				       TCP_REORD_MAX);
	tp->reord_seen++;
}

void tcp_sack_tag(struct tcp_sock *tp, const struct tcp_options *opt, uint32_t ack,
		  struct tcp_ack_state *a)
{
	uint32_t una = after(ack, tp->snd_una) ? ack : tp->snd_una;
	const struct sk_buff *head = skb_peek(&tp->sk.sk_write_queue);
	struct block b[TCP_MAX_SACKS];
	unsigned n = 0;

	dsack_check(tp, opt, ack, a);
	if (!head || head == tp->send_head)
		return; /* a SYN-ACK that is not acknowledged stands in no queue */
	/* by sequence number: the order of the blocks may not look like reordering. What the last
	 * ACK told already needs no second look (RFC 2018 section 4 repeats it) */
	for (unsigned i = 0; i < opt->nr_sacks; i++) {
		unsigned at = n;

		if (!sack_valid(tp, &opt->sack[i], una) || sack_seen(tp, &opt->sack[i]))
			continue;
		for (; at && after(b[at - 1].b.start, opt->sack[i].start); at--)
			b[at] = b[at - 1];
		b[at].b = opt->sack[i];
		b[at].mark = index_after(&tp->index, opt->sack[i].start);
		block_prefetch(&tp->index, &b[at]);
		n++;
	}
	for (unsigned i = 0; i < n; i++)
		sack_block(tp, &b[i], a);
	memcpy(tp->sack_seen, opt->sack, sizeof(tp->sack_seen));
	tp->nr_sack_seen = opt->nr_sacks;
	if (before(a->reord, tcp_fack(tp)))
		tcp_check_reordering(tp, a->reord, tcp_fack(tp));
}
