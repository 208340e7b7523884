/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IPv4 reassembly (RFC 791 3.2, RFC 815's holes as a sorted list), made for hostile fragments
 * (B22): what overlaps ends the whole datagram, as in Linux (RFC 5722's rule, RFC 1858's reason);
 * memory, datagrams of a source and fragments of a datagram are bounded; and where room must be
 * made the oldest goes, first of the same source, so that each fragment costs O(1).
 */
#include "stack/stack_int.h"

#define FRAG_BUCKETS   256 /* by source */
#define FRAG_DATAGRAMS 1024
/* Datagrams of one bucket: as many as a lookup may have to pass. */
#define FRAG_PER_BUCKET 16
/* 65,535 bytes over a link of 576 are 119 fragments. */
#define FRAG_PIECES 128
/* One source gets this share of the memory, but room for the longest datagram over Ethernet. */
#define FRAG_SHARE     8
#define FRAG_SHARE_MIN (160u * 1024)
#define IP_MAX_LEN     65535u

#define ICMP_TIME_EXCEEDED_       11
#define ICMP_EXC_FRAGTIME         1
#define ICMP_TIME_EXCEEDED_UNUSED 0

/* RFC 3168 5.3: bits of the ECN codepoints seen, 1 << codepoint. */
#define ECN_MASK    3u
#define ECN_NOT_ECT (1u << 0)
#define ECN_CE      (1u << 3)

struct frag_bucket {
	struct list_head datagrams; /* newest first */
	uint32_t nr, truesize;
};

struct datagram {
	struct list_head link; /* frag_bucket.datagrams, or ip_frags.unused */
	struct list_head lru;  /* oldest first */
	struct timer timer;
	struct stack *st;
	uint32_t saddr, daddr;
	uint16_t id;
	uint8_t proto;
	uint8_t ecn;    /* ECN_* */
	uint8_t bucket; /* index */
	bool last;      /* the last fragment is here: len is known */
	uint32_t len;   /* of the payload, as far as known */
	uint32_t have;  /* bytes of it that are here */
	uint32_t nr;    /* fragments */
	uint32_t truesize;
	struct sk_buff_head pieces; /* by offset, without overlaps; see piece_start() */
};

struct ip_frags {
	struct list_head lru, unused;
	uint8_t key[16];
	uint32_t truesize, high, low;
	uint32_t share; /* of one bucket */
	struct frag_bucket bucket[FRAG_BUCKETS];
	struct datagram d[FRAG_DATAGRAMS];
};

/* The control block is TCP's, which has not seen the skb yet: it keeps the piece's place. */
static uint32_t piece_start(const struct sk_buff *skb)
{
	return skb->tcp.seq;
}

static uint32_t piece_end(const struct sk_buff *skb)
{
	return skb->tcp.end_seq;
}

static struct ip_frags *frags_create(struct stack *st)
{
	struct ip_frags *f = stack_alloc(st, sizeof(*f));
	/* of the lane's buffers no more than an eighth, or a flood would starve reception */
	uint64_t share = (uint64_t)st->cache.pool->nr *
			 (st->cache.pool->buf_size + sizeof(struct sk_buff)) / st->cfg.nr_lanes / 8;

	if (!f)
		return NULL;
	stack_key(st, "frag", f->key);
	f->high = (uint32_t)min_t(uint64_t, st->cfg.ipfrag_high, share);
	f->low = min_t(uint32_t, st->cfg.ipfrag_low, f->high - f->high / 4);
	f->share =
		max_t(uint32_t, f->high / FRAG_SHARE, min_t(uint32_t, f->high / 2, FRAG_SHARE_MIN));
	list_init(&f->lru);
	list_init(&f->unused);
	for (unsigned i = 0; i < FRAG_BUCKETS; i++)
		list_init(&f->bucket[i].datagrams);
	for (unsigned i = 0; i < FRAG_DATAGRAMS; i++) {
		f->d[i].st = st;
		list_init(&f->d[i].lru);
		list_add_tail(&f->d[i].link, &f->unused);
	}
	return f;
}

/* datagram_forget - d, whose pieces are gone or somebody else's now, is unused again. */
static void datagram_forget(struct datagram *d)
{
	struct ip_frags *f = d->st->frags;

	timer_cancel(&d->st->wheel, &d->timer);
	f->truesize -= d->truesize;
	f->bucket[d->bucket].truesize -= d->truesize;
	f->bucket[d->bucket].nr--;
	list_del(&d->lru);
	list_del(&d->link);
	list_add_tail(&d->link, &f->unused);
}

static void datagram_drop(struct datagram *d, enum skb_drop_reason why)
{
	struct sk_buff *skb;

	stat_inc(&d->st->stats.ip_reasm_fails);
	while ((skb = skb_dequeue(&d->pieces)) != NULL)
		skb_drop(skb, why);
	datagram_forget(d);
}

/* RFC 792: time exceeded, but only if the first fragment is here to be quoted. */
static void datagram_timer_fn(struct timer *t, uint64_t now)
{
	struct datagram *d = container_of(t, struct datagram, timer);
	struct sk_buff *first = skb_peek(&d->pieces);

	(void)now;
	if (first && piece_start(first) == 0) {
		skb_push(first, (unsigned)(first->data - first->head) - first->network_header);
		icmp_send(d->st, first, ICMP_TIME_EXCEEDED_, ICMP_EXC_FRAGTIME,
			  ICMP_TIME_EXCEEDED_UNUSED);
	}
	datagram_drop(d, SKB_DROP_IP_FRAG_TIMEOUT);
}

static uint8_t frag_bucket(const struct ip_frags *f, uint32_t saddr)
{
	return (uint8_t)siphash24(f->key, &saddr, sizeof(saddr));
}

/* make_room - for one datagram more of this bucket; the source's own oldest goes first. */
static void make_room(struct ip_frags *f, struct frag_bucket *b)
{
	if (b->nr >= FRAG_PER_BUCKET)
		datagram_drop(list_last_entry(&b->datagrams, struct datagram, link),
			      SKB_DROP_IP_FRAG_LIMIT);
	if (list_empty(&f->unused))
		datagram_drop(list_first_entry(&f->lru, struct datagram, lru),
			      SKB_DROP_IP_FRAG_LIMIT);
}

static struct datagram *datagram_find(struct stack *st, const struct iphdr_ *iph)
{
	struct ip_frags *f = st->frags;
	uint8_t at = frag_bucket(f, iph->saddr);
	struct frag_bucket *b = &f->bucket[at];
	struct datagram *d;

	list_for_each_entry (d, &b->datagrams, link) {
		if (d->id == iph->id && d->saddr == iph->saddr && d->daddr == iph->daddr &&
		    d->proto == iph->protocol)
			return d;
	}
	make_room(f, b);
	d = list_first_entry(&f->unused, struct datagram, link);
	list_del(&d->link);
	d->saddr = iph->saddr;
	d->daddr = iph->daddr;
	d->id = iph->id;
	d->proto = iph->protocol;
	d->bucket = at;
	d->ecn = 0;
	d->last = false;
	d->len = d->have = d->nr = d->truesize = 0;
	skb_queue_init(&d->pieces);
	list_add(&d->link, &b->datagrams);
	list_add_tail(&d->lru, &f->lru);
	b->nr++;
	timer_init(&d->timer, datagram_timer_fn);
	timer_arm(&st->wheel, &d->timer, st->now + st->cfg.ipfrag_time);
	return d;
}

/* make_memory - back to the low mark when the high one is passed, or a source its share. */
static void make_memory(struct ip_frags *f, struct frag_bucket *b)
{
	while (b->truesize > f->share)
		datagram_drop(list_last_entry(&b->datagrams, struct datagram, link),
			      SKB_DROP_IP_FRAG_LIMIT);
	if (likely(f->truesize <= f->high))
		return;
	while (f->truesize > f->low)
		datagram_drop(list_first_entry(&f->lru, struct datagram, lru),
			      SKB_DROP_IP_FRAG_LIMIT);
}

enum fit {
	FIT,
	FIT_DOUBLE, /* exactly one that is here already */
	FIT_NOT,    /* overlaps, or contradicts what is known of the end */
};

/* piece_place - the piece behind which [start, end) goes; NULL = in front of all. Fragments come in
 * order as a rule: the search begins at the end. */
static enum fit piece_place(const struct datagram *d, uint32_t start, uint32_t end, bool more,
			    struct sk_buff **ret_prev)
{
	struct sk_buff *p = skb_peek_tail(&d->pieces), *next = NULL;

	for (; p && piece_start(p) > start; p = skb_queue_prev(&d->pieces, p))
		next = p;
	if (p && piece_start(p) == start && piece_end(p) == end &&
	    more == !(d->last && end == d->len))
		return FIT_DOUBLE;
	if ((p && piece_end(p) > start) || (next && end > piece_start(next)))
		return FIT_NOT;
	if (more ? d->last && end > d->len : d->last || end < d->len)
		return FIT_NOT;
	*ret_prev = p;
	return FIT;
}

static void piece_add(struct datagram *d, struct sk_buff *prev, struct sk_buff *skb)
{
	struct ip_frags *f = d->st->frags;

	if (prev)
		skb_queue_after(&d->pieces, prev, skb);
	else
		skb_queue_head(&d->pieces, skb);
	d->nr++;
	d->have += skb->len;
	d->truesize += skb->truesize;
	f->bucket[d->bucket].truesize += skb->truesize;
	f->truesize += skb->truesize;
}

/* set_ce - RFC 3168 5.3: the datagram was marked if one of its fragments was. NULL: no buffer. */
static struct sk_buff *set_ce(struct stack *st, struct sk_buff *skb)
{
	struct iphdr_ *iph;

	if (!skb_writable(skb)) {
		struct sk_buff *copy = skb_copy(&st->cache, skb, 0);

		if (copy)
			copy->flags |= skb->flags & (SKB_F_LOOP | SKB_F_MCAST);
		skb_free(skb);
		if (!copy)
			return NULL;
		skb = copy;
		skb->network_header = (uint16_t)(skb->data - skb->head);
	}
	iph = (struct iphdr_ *)skb->data;
	iph->tos |= ECN_MASK;
	return skb;
}

/* datagram_join - all are here: one chain, data at the first one's IP header. NULL: no buffer. */
static struct sk_buff *datagram_join(struct datagram *d)
{
	struct stack *st = d->st;
	struct sk_buff *skb = skb_dequeue(&d->pieces), *p;
	bool ce = (d->ecn & ECN_CE) && d->ecn != ECN_CE;

	while ((p = skb_dequeue(&d->pieces)) != NULL)
		skb_append_frag(skb, p);
	datagram_forget(d);
	skb_push(skb, (unsigned)(skb->data - skb->head) - skb->network_header);
	/* the device's word, if any, was about one fragment */
	skb->ip_summed = CHECKSUM_UNKNOWN;
	skb->gso_size = 0;
	if (unlikely(ce))
		skb = set_ce(st, skb);
	if (skb)
		stat_inc(&st->stats.ip_reasm_oks);
	return skb;
}

static struct sk_buff *refuse(struct sk_buff *skb, enum skb_drop_reason why)
{
	skb_drop(skb, why);
	return NULL;
}

/* datagram_take - skb, data at its payload, joins d. The whole datagram when it is the one that was
 * missing; else NULL. */
static struct sk_buff *datagram_take(struct datagram *d, struct sk_buff *skb, uint32_t start,
				     bool more, uint8_t ecn)
{
	struct ip_frags *f = d->st->frags;
	struct frag_bucket *b = &f->bucket[d->bucket];
	uint32_t end = start + skb->len;
	struct sk_buff *prev;
	enum fit fit = piece_place(d, start, end, more, &prev);

	if (fit == FIT_DOUBLE)
		return refuse(skb, SKB_DROP_IP_FRAGMENT);
	d->ecn |= (uint8_t)(1u << (ecn & ECN_MASK));
	/* a router that marks what is not capable is broken: RFC 3168 5.3 */
	if (fit == FIT_NOT || d->nr == FRAG_PIECES ||
	    ((d->ecn & ECN_CE) && (d->ecn & ECN_NOT_ECT))) {
		datagram_drop(d, SKB_DROP_IP_FRAG_OVERLAP);
		return refuse(skb, SKB_DROP_IP_FRAG_OVERLAP);
	}
	skb->tcp.seq = start;
	skb->tcp.end_seq = end;
	d->last |= !more;
	d->len = max_t(uint32_t, d->len, end);
	piece_add(d, prev, skb);
	if (d->last && d->have == d->len)
		return datagram_join(d);
	make_memory(f, b);
	return NULL;
}

struct sk_buff *ip_defrag(struct stack *st, struct sk_buff *skb, unsigned hlen)
{
	const struct iphdr_ *iph = (const struct iphdr_ *)skb->data;
	uint16_t off = be16(iph->frag_off);
	uint32_t start = (off & IP_OFFSET) * 8u, len = skb->len - hlen;
	bool more = off & IP_MF;
	uint8_t tos = iph->tos;
	struct datagram *d;

	stat_inc(&st->stats.ip_reasm_reqds);
	if (!len || (more && len % 8) || start + len + hlen > IP_MAX_LEN)
		return refuse(skb, SKB_DROP_IP_FRAGMENT);
	if (unlikely(!st->frags)) {
		st->frags = frags_create(st);
		if (!st->frags)
			return refuse(skb, SKB_DROP_NO_MEM);
	}
	d = datagram_find(st, iph);
	skb_pull(skb, hlen);
	return datagram_take(d, skb, start, more, tos);
}

void ip_frag_fini(struct stack *st)
{
	struct ip_frags *f = st->frags;

	if (!f)
		return;
	while (!list_empty(&f->lru))
		datagram_drop(list_first_entry(&f->lru, struct datagram, lru),
			      SKB_DROP_IP_FRAG_TIMEOUT);
	stack_mfree(st, f, sizeof(*f));
	st->frags = NULL;
}
