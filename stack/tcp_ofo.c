/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What arrived behind a hole, until the hole is filled. The skbs stand in a list by sequence
 * number, without overlaps, and in a treap beside it that finds a place in O(log n): in random
 * order, or a hostile one, since the priorities are random. A treap and not a red-black tree: the
 * two ends and a search from the top are all that is asked for, so it needs no parent pointers and
 * fits into what an skb's control block has to spare. Also the SACK blocks that we owe (RFC 2018
 * section 4, most recent first), and what is done about memory: neighbours are copied together
 * (B20), and the farthest skbs are given up (RFC 2018 section 8 allows it).
 */
#include "stack/tcp_int.h"

/* ---- the treap: keys are skb->tcp.seq, priorities skb->hash ---- */

/* tree_prev - the last skb that does not start after seq; NULL: none. */
static struct sk_buff *tree_prev(struct sk_buff *t, uint32_t seq)
{
	struct sk_buff *best = NULL;

	while (t) {
		if (after(t->tcp.seq, seq)) {
			t = t->tcp.left;
		} else {
			best = t;
			t = t->tcp.right;
		}
	}
	return best;
}

static struct sk_buff **tree_child(struct sk_buff *t, uint32_t seq)
{
	return after(t->tcp.seq, seq) ? &t->tcp.left : &t->tcp.right;
}

static void tree_insert(struct sk_buff **link, struct sk_buff *skb)
{
	struct sk_buff **l = &skb->tcp.left, **r = &skb->tcp.right, *t;

	while (*link && (*link)->hash >= skb->hash)
		link = tree_child(*link, skb->tcp.seq);
	/* what hangs here is less important: split it by seq below skb */
	for (t = *link; t;) {
		if (after(t->tcp.seq, skb->tcp.seq)) {
			*r = t;
			r = &t->tcp.left;
			t = t->tcp.left;
		} else {
			*l = t;
			l = &t->tcp.right;
			t = t->tcp.right;
		}
	}
	*l = *r = NULL;
	*link = skb;
}

static void tree_remove(struct sk_buff **link, struct sk_buff *skb)
{
	struct sk_buff *l = skb->tcp.left, *r = skb->tcp.right;

	while (*link != skb)
		link = tree_child(*link, skb->tcp.seq);
	while (l && r) {
		if (l->hash >= r->hash) {
			*link = l;
			link = &l->tcp.right;
			l = l->tcp.right;
		} else {
			*link = r;
			link = &r->tcp.left;
			r = r->tcp.left;
		}
	}
	*link = l ? l : r;
}

/* ofo_unlink - skb leaves; the caller owns it. */
static void ofo_unlink(struct tcp_sock *tp, struct sk_buff *skb)
{
	tree_remove(&tp->ofo_root, skb);
	skb_unlink(&tp->ofo_queue, skb);
	tcp_rmem_uncharge(tp, skb);
}

/* ---- the SACK blocks ---- */

/* sack_new - [start, end) arrived out of order: merge with the blocks that it touches and put
 * the result first (RFC 2018 section 4). */
static void sack_new(struct tcp_sock *tp, uint32_t start, uint32_t end)
{
	struct tcp_sack_block out[TCP_MAX_SACKS];
	unsigned n = 1;

	for (unsigned i = 0; i < tp->nr_sacks; i++) {
		struct tcp_sack_block *b = &tp->sacks[i];

		if (!after(b->start, end) && !before(b->end, start)) {
			if (before(b->start, start))
				start = b->start;
			if (after(b->end, end))
				end = b->end;
		} else if (n < TCP_MAX_SACKS) {
			out[n++] = *b;
		}
	}
	out[0].start = start;
	out[0].end = end;
	memcpy(tp->sacks, out, n * sizeof(out[0]));
	tp->nr_sacks = (uint8_t)n;
}

/* sack_trim - rcv_nxt moved: blocks below it are owed no more. */
static void sack_trim(struct tcp_sock *tp)
{
	unsigned n = 0;

	if (skb_queue_empty(&tp->ofo_queue)) {
		tp->nr_sacks = 0;
		return;
	}
	for (unsigned i = 0; i < tp->nr_sacks; i++)
		if (after(tp->sacks[i].start, tp->rcv_nxt))
			tp->sacks[n++] = tp->sacks[i];
	tp->nr_sacks = (uint8_t)n;
}

/* dsack_cut - what waited from seq on was discarded: as the only block in an ACK, a D-SACK of it
 * would say that it is here. */
static void dsack_cut(struct tcp_sock *tp, uint32_t seq)
{
	if (after(tp->dsack.end, seq))
		tp->dsack.end = before(tp->dsack.start, seq) ? seq : tp->dsack.start;
}

/* sack_cut - nothing from seq on is held any more: RFC 2018 section 8, a block may not name what
 * was discarded. */
static void sack_cut(struct tcp_sock *tp, uint32_t seq)
{
	unsigned n = 0;

	dsack_cut(tp, seq);
	for (unsigned i = 0; i < tp->nr_sacks; i++) {
		struct tcp_sack_block b = tp->sacks[i];

		if (!before(b.start, seq))
			continue;
		if (after(b.end, seq))
			b.end = seq;
		tp->sacks[n++] = b;
	}
	tp->nr_sacks = (uint8_t)n;
}

/* RFC 2883 4: one range, and the newest. */
void tcp_dsack_set(struct tcp_sock *tp, uint32_t start, uint32_t end)
{
	if (!tp->sack_ok || !before(start, end))
		return;
	stat_inc(&tcp_stack(tp)->stats.tcp_dsack_out);
	tp->dsack.start = start;
	tp->dsack.end = end;
}

/* dsack_held - the same of what waits behind a hole: the block that it is in comes next (RFC
 * 2883 4.2), or the peer would take the two for one and the same news. */
static void dsack_held(struct tcp_sock *tp, uint32_t start, uint32_t end)
{
	if (!tp->sack_ok || !before(start, end))
		return;
	tcp_dsack_set(tp, start, end);
	sack_new(tp, start, end);
}

/* ---- memory ---- */

/* try_prepend - copy skb in front of next's bytes if its headroom takes them. Frees skb then. The
 * tree's order stays: nothing stands between the two. */
static bool try_prepend(struct sk_buff *next, struct sk_buff *skb)
{
	if (!next || next->tcp.seq != skb->tcp.end_seq || (next->flags & SKB_F_EXT) || skb->frag ||
	    (skb->tcp.tcp_flags & TCPF_FIN) || skb->len > skb_headroom(next))
		return false;
	memcpy(skb_push(next, skb->len), skb->data, skb->len);
	next->tcp.seq = skb->tcp.seq;
	skb_free(skb);
	return true;
}

/* try_merge - b, right behind a, into a's tailroom; b leaves. */
static bool try_merge(struct tcp_sock *tp, struct sk_buff *a, struct sk_buff *b)
{
	if (a->tcp.end_seq != b->tcp.seq || !tcp_may_coalesce(a, b))
		return false;
	ofo_unlink(tp, b);
	tcp_coalesce(a, b);
	return true;
}

/* collapse - copy together what small segments left apart. A walk pays for itself: there is none
 * before a quarter of the queue is new. */
static void collapse(struct tcp_sock *tp)
{
	struct sk_buff *skb = skb_peek(&tp->ofo_queue), *next;

	if (tp->ofo_fresh < tp->ofo_queue.qlen / 4)
		return;
	tp->ofo_fresh = 0;
	while (skb && (next = skb_queue_next(&tp->ofo_queue, skb)) != NULL)
		if (!try_merge(tp, skb, next))
			skb = next;
}

/* drop_last - give up the farthest. */
static void drop_last(struct tcp_sock *tp)
{
	struct sk_buff *skb = skb_peek_tail(&tp->ofo_queue);

	sack_cut(tp, skb->tcp.seq);
	ofo_unlink(tp, skb);
	skb_drop(skb, SKB_DROP_TCP_OFO_DROP);
}

/* make_room - for skb among those that wait: what is nearer to the hole is worth more. */
static bool make_room(struct tcp_sock *tp, const struct sk_buff *skb)
{
	struct sk_buff *last;

	if (likely(tcp_rmem_fits(tp, skb->truesize, false)))
		return true;
	collapse(tp);
	while (!tcp_rmem_fits(tp, skb->truesize, false)) {
		last = skb_peek_tail(&tp->ofo_queue);
		if (!last || !before(skb->tcp.seq, last->tcp.seq))
			return false;
		drop_last(tp);
	}
	return true;
}

void tcp_ofo_prune(struct tcp_sock *tp, uint32_t n)
{
	if (skb_queue_empty(&tp->ofo_queue) || tcp_rmem_fits(tp, n, true))
		return;
	collapse(tp);
	while (!skb_queue_empty(&tp->ofo_queue) && !tcp_rmem_fits(tp, n, true))
		drop_last(tp);
}

void tcp_ofo_purge(struct tcp_sock *tp, enum skb_drop_reason why)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(&tp->ofo_queue)) != NULL) {
		tcp_rmem_uncharge(tp, skb);
		skb_drop(skb, why);
	}
	tp->ofo_root = NULL;
	tp->ofo_fresh = 0;
	tp->nr_sacks = 0;
}

/* ---- in and out ---- */

/* insert_one - queue skb between prev and next, which it does not overlap any more. */
static void insert_one(struct tcp_sock *tp, struct sk_buff *prev, struct sk_buff *skb,
		       struct sk_buff *next)
{
	uint32_t seq = skb->tcp.seq, end_seq = skb->tcp.end_seq;

	stat_inc(&tcp_stack(tp)->stats.tcp_ofo_queued);
	if (prev && prev->tcp.end_seq == seq && tcp_may_coalesce(prev, skb)) {
		tcp_coalesce(prev, skb);
	} else if (!try_prepend(next, skb)) {
		if (!make_room(tp, skb)) {
			skb_drop(skb, SKB_DROP_TCP_OFO_DROP);
			return;
		}
		/* prev may have been copied into the one before it: look again */
		prev = tree_prev(tp->ofo_root, seq);
		skb->hash = stack_random32(tcp_stack(tp));
		tree_insert(&tp->ofo_root, skb);
		if (prev)
			skb_queue_after(&tp->ofo_queue, prev, skb);
		else
			skb_queue_head(&tp->ofo_queue, skb);
		tcp_rmem_charge(tp, skb);
		tp->ofo_fresh++;
	}
	if (tp->sack_ok)
		sack_new(tp, seq, end_seq);
}

/* prev_of - where skb belongs: mostly behind the last. */
static struct sk_buff *prev_of(const struct tcp_sock *tp, uint32_t seq)
{
	struct sk_buff *last = skb_peek_tail(&tp->ofo_queue);

	if (!last || !after(last->tcp.seq, seq))
		return last;
	return tree_prev(tp->ofo_root, seq);
}

/* rest_of - the part of skb behind next, if there is one, or the FIN that is all of it; NULL also
 * without a buffer: it will be sent again. */
static struct sk_buff *rest_of(struct tcp_sock *tp, struct sk_buff *skb, const struct sk_buff *next)
{
	uint32_t off = next->tcp.end_seq - skb->tcp.seq;
	struct skb_cache *cache = &tcp_stack(tp)->cache;
	struct sk_buff *rest;

	if (!after(skb->tcp.end_seq, next->tcp.end_seq))
		return NULL;
	rest = off < skb->len ? skb_ref(cache, skb, off, skb->len - off) : skb_alloc(cache, 0);
	if (!rest)
		return NULL;
	rest->tcp = skb->tcp;
	rest->tcp.seq = next->tcp.end_seq;
	return rest;
}

struct sk_buff *tcp_ofo_cut(struct tcp_sock *tp, struct sk_buff *skb, const struct sk_buff *next)
{
	struct sk_buff *rest;

	if (!next || !after(skb->tcp.end_seq, next->tcp.seq))
		return NULL;
	/* of what came twice in one segment the first part is told of (RFC 2883 4.2) */
	if (tp->dsack.start == tp->dsack.end)
		dsack_held(tp, next->tcp.seq,
			   before(next->tcp.end_seq, skb->tcp.end_seq) ? next->tcp.end_seq
								       : skb->tcp.end_seq);
	rest = rest_of(tp, skb, next);
	tcp_trim_end(skb, next->tcp.seq);
	return rest;
}

void tcp_ofo_insert(struct tcp_sock *tp, struct sk_buff *skb)
{
	tp->rcv_ooopack++;
	/* one that no ACK had a buffer to tell would stand before this one's block, not its own */
	dsack_cut(tp, tp->rcv_nxt);
	while (skb) {
		struct sk_buff *prev = prev_of(tp, skb->tcp.seq), *rest, *next;

		if (prev && after(prev->tcp.end_seq, skb->tcp.seq)) {
			dsack_held(tp, skb->tcp.seq,
				   before(prev->tcp.end_seq, skb->tcp.end_seq) ? prev->tcp.end_seq
									       : skb->tcp.end_seq);
			if (!before(prev->tcp.end_seq, skb->tcp.end_seq)) {
				skb_drop(skb, SKB_DROP_TCP_OLD_DATA);
				return;
			}
			tcp_trim_front(skb, prev->tcp.end_seq);
			continue;
		}
		next = prev ? skb_queue_next(&tp->ofo_queue, prev) : skb_peek(&tp->ofo_queue);
		rest = tcp_ofo_cut(tp, skb, next);
		insert_one(tp, prev, skb, next);
		skb = rest;
	}
}

void tcp_ofo_drain(struct tcp_sock *tp)
{
	struct sk_buff *skb;

	while (!tp->fin_rcvd && (skb = skb_peek(&tp->ofo_queue)) != NULL &&
	       !after(skb->tcp.seq, tp->rcv_nxt)) {
		ofo_unlink(tp, skb);
		if (!after(skb->tcp.end_seq, tp->rcv_nxt)) {
			skb_drop(skb, SKB_DROP_TCP_OLD_DATA);
			continue;
		}
		tcp_trim_front(skb, tp->rcv_nxt);
		if (!tcp_queue_in_order(tp, skb)) {
			dsack_cut(tp, tp->rcv_nxt);
			skb_drop(skb, SKB_DROP_TCP_RCVBUF);
		}
	}
	sack_trim(tp);
}
