/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault decorator. Per queue and direction there is one lane: a random sequence, the
 * frames held back, and those on their way out. Frames under way belong to the owner of
 * the queue like all others; only close() gives them straight to the pool.
 */
#include "drivers/fault.h"

#include <errno.h>
#include <stdlib.h>

#include "drivers/frame.h"

#define HELD_MAX 16

struct held {
	struct sk_buff *skb;
	unsigned passed;   /* frames that went by since */
	uint64_t deadline; /* ns */
};

struct flow {
	uint64_t rng;               /* (o) */
	struct sk_buff_head out;    /* (o) ready to leave */
	struct held held[HELD_MAX]; /* (o) oldest first */
	unsigned nr_held;           /* (o) */
	uint64_t next;              /* (o, read relaxed by next_event) earliest deadline, 0 none */
	struct fault_stats st;      /* (o, read relaxed) */
} ALIGNED(CACHE_LINE);

struct fault_dev {
	struct netdev dev;
	struct netdev *inner;       /* (c) */
	struct fault_spec spec;     /* (c) */
	uint64_t (*now)(void *ctx); /* (c) */
	void *now_ctx;              /* (c) */
	struct skb_pool *pool;      /* (a) seen with the first frame; for close() */
	struct flow *flow;          /* (c) [queue * FAULT_DIRS + dir] */
};

static struct fault_dev *to_fault(const struct netdev *dev)
{
	return (struct fault_dev *)container_of(dev, const struct fault_dev, dev);
}

static struct flow *flow_of(const struct fault_dev *f, uint16_t queue, enum fault_dir dir)
{
	return &f->flow[queue * FAULT_DIRS + dir];
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* The dice of one frame: one draw per kind whether it is on or not, and one for where the
 * bit is that gets flipped. */
struct dice {
	bool hit[FAULT_KINDS];
	uint64_t where;
};

static struct dice roll(struct flow *fl, const double *p)
{
	struct dice d;

	for (unsigned k = 0; k < FAULT_KINDS; k++)
		d.hit[k] = (double)(draw(&fl->rng) >> 11) * 0x1p-53 < p[k];
	d.where = draw(&fl->rng);
	return d;
}

static void flip_bit(struct sk_buff *skb, unsigned bit)
{
	unsigned off = bit / 8;

	while (off >= skb_headlen(skb)) {
		off -= skb_headlen(skb);
		skb = skb->frag;
	}
	skb->data[off] ^= (uint8_t)(1u << bit % 8);
}

/*
 * A copy with one bit wrong, or the frame itself if it is not IPv4 or the pool is empty.
 * The checksum is completed first: a device that did it afterwards would make the wrong
 * bit right. What a device said of a received one no longer holds.
 */
static struct sk_buff *corrupt(struct flow *fl, struct sk_buff *skb, uint64_t where)
{
	struct frame_info fi;
	struct sk_buff *bad;

	if (!frame_parse(skb->data, skb_headlen(skb), skb->len, &fi))
		return skb;
	bad = skb_copy(skb->cache, skb, 0);
	if (!bad)
		return skb;
	if (bad->ip_summed == CHECKSUM_PARTIAL)
		frame_finish_skb(bad);
	bad->ip_summed = CHECKSUM_UNKNOWN;
	flip_bit(bad, ETH_HLEN * 8 + (unsigned)(where % (fi.tot_len * 8u)));
	stat_inc(&fl->st.hit[FAULT_CORRUPT]);
	skb_free(skb);
	return bad;
}

static void release_at(struct flow *fl, unsigned i)
{
	skb_queue_tail(&fl->out, fl->held[i].skb);
	fl->nr_held--;
	memmove(&fl->held[i], &fl->held[i + 1], (fl->nr_held - i) * sizeof(fl->held[0]));
}

static void note_next(struct flow *fl)
{
	uint64_t next = fl->nr_held ? fl->held[0].deadline : 0;

	/* what a full device did not take wants to be tried again at once */
	WRITE_ONCE(fl->next, skb_queue_empty(&fl->out) ? next : 1);
}

/* A frame goes by: who was passed often enough follows it. */
static void pass_one(struct flow *fl, struct sk_buff *skb)
{
	skb_queue_tail(&fl->out, skb);
	for (unsigned i = 0; i < fl->nr_held;) {
		if (++fl->held[i].passed >= FAULT_HOLD_FRAMES)
			release_at(fl, i);
		else
			i++;
	}
}

static void release_late(struct flow *fl, uint64_t now)
{
	while (fl->nr_held && fl->held[0].deadline <= now)
		release_at(fl, 0);
}

/* One frame through the faults of its direction, on to fl->out. Consumes it. */
static void mistreat(struct fault_dev *f, struct flow *fl, enum fault_dir dir, struct sk_buff *skb,
		     uint64_t now)
{
	struct dice d = roll(fl, f->spec.p[dir]);
	struct sk_buff *twin;

	stat_inc(&fl->st.frames);
	if (d.hit[FAULT_LOSS]) {
		stat_inc(&fl->st.hit[FAULT_LOSS]);
		skb_free(skb);
		return;
	}
	if (d.hit[FAULT_CORRUPT])
		skb = corrupt(fl, skb, d.where);
	twin = d.hit[FAULT_DUP] ? skb_copy(skb->cache, skb, skb_headroom(skb)) : NULL;
	if (d.hit[FAULT_REORDER] && fl->nr_held < HELD_MAX) {
		stat_inc(&fl->st.hit[FAULT_REORDER]);
		fl->held[fl->nr_held++] =
			(struct held){.skb = skb, .deadline = now + FAULT_HOLD_NS};
	} else {
		pass_one(fl, skb);
	}
	if (twin) {
		stat_inc(&fl->st.hit[FAULT_DUP]);
		pass_one(fl, twin);
	}
}

/* Sends what is ready as far as the device takes it. */
static void tx_flush(struct fault_dev *f, struct flow *fl, uint16_t queue)
{
	struct sk_buff *skb;

	while ((skb = skb_peek(&fl->out)) != NULL) {
		skb_unlink(&fl->out, skb);
		if (!netdev_tx_burst(f->inner, queue, &skb, 1)) {
			skb_queue_head(&fl->out, skb);
			break;
		}
	}
	note_next(fl);
}

static void tx_late(struct fault_dev *f, uint16_t queue)
{
	struct flow *fl = flow_of(f, queue, FAULT_TX);

	if (!fl->next)
		return;
	release_late(fl, f->now(f->now_ctx));
	tx_flush(f, fl, queue);
}

static unsigned fault_tx_burst(struct netdev *dev, uint16_t queue, struct sk_buff **skbs,
			       unsigned n)
{
	struct fault_dev *f = to_fault(dev);
	struct flow *fl = flow_of(f, queue, FAULT_TX);
	uint64_t now = f->now(f->now_ctx);
	unsigned i;

	if (n)
		WRITE_ONCE(f->pool, skbs[0]->cache->pool);
	release_late(fl, now);
	tx_flush(f, fl, queue);
	for (i = 0; i < n && skb_queue_empty(&fl->out); i++) {
		mistreat(f, fl, FAULT_TX, skbs[i], now);
		tx_flush(f, fl, queue);
	}
	return i;
}

static unsigned fault_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
			       struct sk_buff **skbs, unsigned n)
{
	struct fault_dev *f = to_fault(dev);
	struct flow *fl = flow_of(f, queue, FAULT_RX);
	struct sk_buff *in[NETDEV_BURST];
	unsigned got = 0, want;

	WRITE_ONCE(f->pool, cache->pool);
	tx_late(f, queue);
	want = fl->out.qlen < n ? min_t(unsigned, n - fl->out.qlen, NETDEV_BURST) : 0;
	WRITE_ONCE(dev->tx_off, READ_ONCE(f->inner->tx_off));
	if (want)
		got = netdev_rx_burst(f->inner, queue, cache, in, want);
	if (got || fl->next) {
		uint64_t now = f->now(f->now_ctx);

		release_late(fl, now);
		for (unsigned i = 0; i < got; i++) {
			in[i]->dev = dev;
			mistreat(f, fl, FAULT_RX, in[i], now);
		}
	}
	for (got = 0; got < n && !skb_queue_empty(&fl->out); got++)
		skbs[got] = skb_dequeue(&fl->out);
	note_next(fl);
	return got;
}

static int fault_get_fd(struct netdev *dev, uint16_t queue)
{
	struct netdev *inner = to_fault(dev)->inner;

	return inner->ops->get_fd(inner, queue);
}

static uint64_t fault_next_event(struct netdev *dev)
{
	struct fault_dev *f = to_fault(dev);
	uint64_t next = f->inner->ops->next_event(f->inner);

	for (unsigned i = 0; i < dev->nr_queues * (unsigned)FAULT_DIRS; i++) {
		uint64_t t = READ_ONCE(f->flow[i].next);

		if (t && (!next || t < next))
			next = t;
	}
	return next;
}

static void fault_dev_stats(struct netdev *dev, struct netdev_stats *ret_stats)
{
	struct netdev *inner = to_fault(dev)->inner;

	inner->ops->get_stats(inner, ret_stats);
}

static bool fault_link_up(struct netdev *dev)
{
	struct netdev *inner = to_fault(dev)->inner;

	return inner->ops->link_up(inner);
}

/* To the pool past the lane's cache, which may be gone. */
static void discard(struct skb_pool *pool, struct sk_buff *skb)
{
	while (skb) {
		struct sk_buff *frag = skb->frag;

		skb->frag = NULL;
		pool->ops->free_bulk(pool, &skb, 1);
		skb = frag;
	}
}

static void fault_close(struct netdev *dev)
{
	struct fault_dev *f = to_fault(dev);

	for (unsigned i = 0; i < dev->nr_queues * (unsigned)FAULT_DIRS; i++) {
		struct flow *fl = &f->flow[i];
		struct sk_buff *skb;

		while (fl->nr_held)
			release_at(fl, 0);
		while ((skb = skb_dequeue(&fl->out)) != NULL)
			discard(f->pool, skb);
	}
	f->inner->ops->close(f->inner);
	free(f->flow);
	free(f);
}

static const struct netdev_ops fault_ops = {
	.rx_burst = fault_rx_burst,
	.tx_burst = fault_tx_burst,
	.get_fd = fault_get_fd,
	.next_event = fault_next_event,
	.get_stats = fault_dev_stats,
	.link_up = fault_link_up,
	.close = fault_close,
};

int fault_wrap(struct netdev *inner, const struct fault_spec *spec, uint64_t (*now)(void *ctx),
	       void *ctx, struct netdev **ret_dev)
{
	unsigned nr = inner->nr_queues * (unsigned)FAULT_DIRS;
	struct fault_dev *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->flow = aligned_alloc(CACHE_LINE, nr * sizeof(*f->flow));
	if (!f->flow) {
		free(f);
		return -ENOMEM;
	}
	memset(f->flow, 0, nr * sizeof(*f->flow));
	for (unsigned i = 0; i < nr; i++) {
		uint64_t state = spec->seed + i;

		f->flow[i].rng = draw(&state);
		skb_queue_init(&f->flow[i].out);
	}
	f->dev = *inner;
	f->dev.ops = &fault_ops;
	f->inner = inner;
	f->spec = *spec;
	f->now = now;
	f->now_ctx = ctx;
	*ret_dev = &f->dev;
	return 0;
}

void fault_get_stats(const struct netdev *dev, enum fault_dir dir, struct fault_stats *ret_stats)
{
	const struct fault_dev *f = to_fault(dev);

	memset(ret_stats, 0, sizeof(*ret_stats));
	for (uint16_t q = 0; q < dev->nr_queues; q++) {
		const struct fault_stats *st = &flow_of(f, q, dir)->st;

		ret_stats->frames += stat_read(&st->frames);
		for (unsigned k = 0; k < FAULT_KINDS; k++)
			ret_stats->hit[k] += stat_read(&st->hit[k]);
	}
}
