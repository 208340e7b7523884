/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packets of a DPDK port: mbuf to skb on RX, skb to mbuf on TX, in bursts.
 *
 * A frame that tx_burst took belongs to the PMD for good: the stack sends only skbs that
 * it will not touch again (a fresh header in front of skb_ref'd payload), so no reference
 * is taken here. A frame that it did not take is made an skb like before (unchained).
 */
#include "drivers/dpdk_mbuf_int.h"
#include "drivers/dpdk_netdev_int.h"
#include "drivers/frame.h"

#define LINK_LOOKS_HZ 10
/* What tells an mbuf from its siblings whatever is sent or received. */
#define MBUF_KEEP (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)

static inline struct dpdk_dev *to_dpdk(struct netdev *dev)
{
	return container_of(dev, struct dpdk_dev, dev);
}

/* ---- the link ---- */

/*
 * link_look - was it for want of a link that a frame was refused? Asked then, and until the link is
 * back, as the question may be a system call ten times a second at most. Not by the PMD's
 * interrupt: net_tap has one and calls nobody.
 */
static void link_look(struct dpdk_dev *d)
{
	uint64_t now = rte_rdtsc();

	if (now - READ_ONCE(d->link_asked) < rte_get_tsc_hz() / LINK_LOOKS_HZ)
		return;
	WRITE_ONCE(d->link_asked, now);
	WRITE_ONCE(d->dev.tx_off, !d->dev.ops->link_up(&d->dev));
}

/* ---- RX ---- */

/* Both checksums must be known good: a device that looked at IP only (ICMP) says nothing. */
static inline uint8_t rx_csum(uint64_t ol)
{
	uint64_t ip = ol & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	uint64_t l4 = ol & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		return CHECKSUM_BAD;
	if (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD && l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return CHECKSUM_GOOD;
	return CHECKSUM_UNKNOWN;
}

/* One segment becomes one skb. head and end are set each time: a PMD that freed an
 * indirect mbuf left those of another buffer there. */
static inline struct sk_buff *seg_to_skb(struct rte_mbuf *m, struct skb_cache *cache)
{
	struct sk_buff *skb = mbuf_to_skb(m);

	skb->head = m->buf_addr;
	skb->end = skb->head + m->buf_len;
	skb->data = skb->head + m->data_off;
	skb->tail = skb->data + m->data_len;
	skb->len = m->data_len;
	skb_reset_meta(skb, cache);
	/* net_ring hands over what the sender may still share */
	if ((m->ol_flags & MBUF_KEEP) || rte_mbuf_refcnt_read(m) != 1)
		skb->flags = SKB_F_EXT;
	return skb;
}

static NOINLINE void rx_chain(struct sk_buff *skb, struct rte_mbuf *m, struct skb_cache *cache)
{
	struct sk_buff *last = skb;
	struct rte_mbuf *seg = m->next;

	m->next = NULL;
	m->nb_segs = 1;
	while (seg) {
		struct rte_mbuf *next = seg->next;
		struct sk_buff *frag = seg_to_skb(seg, cache);

		seg->next = NULL;
		seg->nb_segs = 1;
		skb->len += frag->len;
		skb->data_len += frag->len;
		skb->truesize += frag->truesize;
		last->frag = frag;
		last = frag;
		cache->outstanding++;
		seg = next;
	}
}

unsigned dpdk_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
		       struct sk_buff **skbs, unsigned n)
{
	struct dpdk_dev *d = to_dpdk(dev);
	struct rte_mbuf *m[NETDEV_BURST];
	unsigned got;

	if (unlikely(READ_ONCE(dev->tx_off)))
		link_look(d);
	got = rte_eth_rx_burst(d->port, queue, m, (uint16_t)min_t(unsigned, n, NETDEV_BURST));
	for (unsigned i = 0; i < got; i++) {
		rte_prefetch0(m[i]);
		rte_prefetch0(mbuf_to_skb(m[i]));
		rte_prefetch0((uint8_t *)mbuf_to_skb(m[i]) + CACHE_LINE);
	}
	for (unsigned i = 0; i < got; i++) {
		struct sk_buff *skb = seg_to_skb(m[i], cache);

		rte_prefetch0(skb->data);
		skb->dev = dev;
		skb->lane_queue = (uint8_t)queue;
		skb->ip_summed = rx_csum(m[i]->ol_flags);
		if (m[i]->ol_flags & RTE_MBUF_F_RX_RSS_HASH)
			skb->hash = m[i]->hash.rss;
		if (unlikely(m[i]->nb_segs > 1))
			rx_chain(skb, m[i], cache);
		skbs[i] = skb;
	}
	cache->outstanding += got;
	return got;
}

/* ---- TX ---- */

static inline void seg_from_skb(struct rte_mbuf *m, const struct sk_buff *skb, unsigned len)
{
	m->data_off = (uint16_t)(skb->data - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)len;
	m->ol_flags &= MBUF_KEEP;
}

static void tx_chain(struct rte_mbuf *m, const struct sk_buff *skb)
{
	struct rte_mbuf *last = m;

	for (const struct sk_buff *f = skb->frag; f; f = f->frag) {
		struct rte_mbuf *seg = skb_to_mbuf(f);

		seg_from_skb(seg, f, f->len);
		last->next = seg;
		last = seg;
		m->nb_segs++;
	}
}

/* A frame stays with the caller: its mbufs as the stack's invariants want them. */
static void tx_unchain(struct sk_buff *skb)
{
	for (; skb; skb = skb->frag) {
		skb_to_mbuf(skb)->next = NULL;
		skb_to_mbuf(skb)->nb_segs = 1;
	}
}

static NOINLINE void tx_offload(const struct netdev *dev, struct rte_mbuf *m, struct sk_buff *skb)
{
	struct frame_info fi;

	if (!(dev->features & NETDEV_F_TX_TCP_CSUM)) {
		frame_finish_skb(skb);
		return;
	}
	if (!frame_parse(skb->data, skb_headlen(skb), skb->len, &fi))
		return;
	m->l2_len = ETH_HLEN;
	m->l3_len = fi.l3_len & 0x1ff;
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	if (fi.proto == FRAME_PROTO_TCP)
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	else if (fi.proto == FRAME_PROTO_UDP)
		m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM;
}

static inline struct rte_mbuf *skb_to_tx(const struct netdev *dev, struct sk_buff *skb)
{
	struct rte_mbuf *m = skb_to_mbuf(skb);

	seg_from_skb(m, skb, skb_headlen(skb));
	m->pkt_len = skb->len;
	if (skb->frag)
		tx_chain(m, skb);
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		tx_offload(dev, m, skb);
	return m;
}

/* For a device that takes one segment only: the chain as one buffer, NULL if it does not
 * fit or the pool is empty. */
static NOINLINE struct sk_buff *linear_copy(const struct sk_buff *skb)
{
	struct sk_buff *to;

	if (skb->len > skb->cache->pool->buf_size - RTE_PKTMBUF_HEADROOM)
		return NULL;
	to = skb_alloc(skb->cache, RTE_PKTMBUF_HEADROOM);
	if (!to)
		return NULL;
	(void)skb_copy_bits(skb, 0, skb_put(to, skb->len), skb->len);
	to->ip_summed = skb->ip_summed;
	return to;
}

static void tx_lose(struct dpdk_dev *d, uint16_t queue, struct sk_buff *skb)
{
	stat_inc(&d->txq[queue].errors);
	skb_drop(skb, SKB_DROP_NOT_SPECIFIED);
}

/* Moves those of skbs[0..n) that can be sent at all to the front, with their mbufs in m[];
 * loses the others. Returns how many. */
static unsigned tx_collect(struct dpdk_dev *d, uint16_t queue, struct sk_buff **skbs, unsigned n,
			   struct rte_mbuf **m)
{
	bool sg = d->dev.features & NETDEV_F_TX_SG;
	unsigned nr = 0;

	for (unsigned i = 0; i < n; i++) {
		struct sk_buff *skb = skbs[i];

		if (unlikely(skb->frag && !sg)) {
			struct sk_buff *flat = linear_copy(skb);

			if (!flat) {
				tx_lose(d, queue, skb);
				continue;
			}
			skb_free(skb);
			skb = flat;
		}
		skbs[nr] = skb;
		m[nr++] = skb_to_tx(&d->dev, skb);
	}
	return nr;
}

/* Lets the PMD see offloaded frames; what it refuses is lost. Returns how many are left. */
static NOINLINE unsigned tx_prepare(struct dpdk_dev *d, uint16_t queue, struct sk_buff **skbs,
				    struct rte_mbuf **m, unsigned nr)
{
	unsigned done = 0;

	while ((done += rte_eth_tx_prepare(d->port, queue, m + done, (uint16_t)(nr - done))) < nr) {
		tx_unchain(skbs[done]);
		tx_lose(d, queue, skbs[done]);
		nr--;
		memmove(skbs + done, skbs + done + 1, (nr - done) * sizeof(*skbs));
		memmove(m + done, m + done + 1, (nr - done) * sizeof(*m));
	}
	return nr;
}

/*
 * At most one burst. What the PMD did not take ends at the tail of skbs[0..n), where the
 * caller finds "the rest" even if frames before it were lost or made linear.
 */
static unsigned tx_some(struct dpdk_dev *d, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	struct rte_mbuf *m[NETDEV_BURST];
	struct skb_cache *cache = skbs[0]->cache;
	unsigned nr = tx_collect(d, queue, skbs, n, m);
	unsigned sent, left;
	int64_t segs = 0;

	if (d->tx_prepare)
		nr = tx_prepare(d, queue, skbs, m, nr);
	/* counted before: what was sent may be anyone's by the time the burst returns */
	for (unsigned i = 0; i < nr; i++)
		segs += m[i]->nb_segs;
	sent = rte_eth_tx_burst(d->port, queue, m, (uint16_t)nr);
	left = nr - sent;
	for (unsigned i = sent; i < nr; i++) {
		segs -= m[i]->nb_segs;
		tx_unchain(skbs[i]);
	}
	if (left && nr < n)
		memmove(skbs + n - left, skbs + sent, left * sizeof(*skbs));
	cache->outstanding -= segs;
	return n - left;
}

unsigned dpdk_tx_burst(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	struct dpdk_dev *d = to_dpdk(dev);
	unsigned done = 0;

	while (done < n) {
		unsigned want = min_t(unsigned, n - done, NETDEV_BURST);
		unsigned took = tx_some(d, queue, skbs + done, want);

		done += took;
		if (unlikely(took < want)) {
			link_look(d);
			break;
		}
	}
	return done;
}
