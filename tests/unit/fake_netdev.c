/* SPDX-License-Identifier: BSD-3-Clause */
/* The device of paper; see fake_netdev.h. */
#include "fake_netdev.h"

const uint8_t fake_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 1};
const uint8_t fake_peer_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 2};
const uint8_t fake_bcast_mac[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct fake_netdev *to_fake(struct netdev *dev)
{
	return container_of(dev, struct fake_netdev, dev);
}

static void rx_fill(struct sk_buff *skb, const uint8_t *b, unsigned n)
{
	memcpy(skb_put(skb, n), b, n);
}

/* For n bytes, `room` bytes into the buffer or, tight, such that they end where it ends. The
 * control block is of what was in the buffer before, as a NIC's mbufs have it. */
static struct sk_buff *rx_alloc(const struct fake_netdev *f, struct skb_cache *cache, unsigned room,
				unsigned n)
{
	struct sk_buff *skb = skb_alloc(cache, f->tight_rx ? cache->pool->buf_size - n : room);

	if (skb)
		memset(&skb->tcp, 0xa5, sizeof(skb->tcp));
	return skb;
}

static unsigned fake_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
			      struct sk_buff **skbs, unsigned n)
{
	struct fake_netdev *f = to_fake(dev);
	unsigned i;

	(void)queue;
	for (i = 0; i < n && f->in_head != f->in_tail; i++) {
		const struct fake_frame *fr = &f->in[f->in_head % FAKE_FRAMES];
		unsigned first = f->split_rx ? min_t(unsigned, f->split_at, fr->len) : fr->len;
		struct sk_buff *skb = rx_alloc(f, cache, 64, first);

		if (!skb)
			break;
		f->in_head++;
		rx_fill(skb, fr->b, first);
		if (first < fr->len) {
			struct sk_buff *frag = rx_alloc(f, cache, 0, fr->len - first);

			if (!frag) { /* the frame is lost */
				skb_free(skb);
				break;
			}
			rx_fill(frag, fr->b + first, fr->len - first);
			skb_append_frag(skb, frag);
		}
		if (f->share_rx && fr->len && f->nr_held < FAKE_FRAMES) {
			f->held[f->nr_held] = skb_ref(cache, skb, 0, 1);
			f->nr_held += !!f->held[f->nr_held];
		}
		skb->ip_summed = fr->ip_summed;
		skbs[i] = skb;
	}
	return i;
}

static unsigned fake_tx_burst(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	struct fake_netdev *f = to_fake(dev);

	(void)queue;
	n = min_t(unsigned, n, f->tx_limit);
	for (unsigned i = 0; i < n; i++) {
		struct fake_frame *fr = &f->out[f->nr_out++ % FAKE_FRAMES];

		BUG_ON(skbs[i]->len > FAKE_FRAME_MAX);
		fr->len = skbs[i]->len;
		fr->ip_summed = skbs[i]->ip_summed;
		fr->gso_size = skbs[i]->gso_size;
		fr->pieces = 0;
		for (const struct sk_buff *p = skbs[i]; p; p = p->frag)
			fr->pieces++;
		(void)skb_copy_bits(skbs[i], 0, fr->b, fr->len);
		skb_free(skbs[i]);
	}
	return n;
}

static const struct netdev_ops fake_ops = {
	.rx_burst = fake_rx_burst,
	.tx_burst = fake_tx_burst,
};

void fake_netdev_init(struct fake_netdev *f, uint32_t features)
{
	memset(f, 0, offsetof(struct fake_netdev, in));
	f->dev = (struct netdev){.ops = &fake_ops,
				 .name = "fake",
				 .mtu = 1500,
				 .nr_queues = 1,
				 .features = features};
	memcpy(f->dev.dev_addr, fake_mac, ETH_ALEN);
	f->tx_limit = UINT32_MAX;
}

void fake_inject_csum(struct fake_netdev *f, const void *frame, unsigned len, enum skb_csum csum)
{
	struct fake_frame *fr = &f->in[f->in_tail % FAKE_FRAMES];

	BUG_ON(len > FAKE_FRAME_MAX || f->in_tail - f->in_head == FAKE_FRAMES);
	f->in_tail++;
	fr->len = len;
	fr->ip_summed = (uint8_t)csum;
	memcpy(fr->b, frame, len);
}

void fake_inject(struct fake_netdev *f, const void *frame, unsigned len)
{
	fake_inject_csum(f, frame, len, CHECKSUM_UNKNOWN);
}

void fake_release_held(struct fake_netdev *f)
{
	while (f->nr_held)
		skb_free(f->held[--f->nr_held]);
}

/* ---- builders ---- */

static void put_eth(uint8_t *b, const uint8_t *dst, const uint8_t *src, uint16_t proto)
{
	memcpy(b, dst, ETH_ALEN);
	memcpy(b + ETH_ALEN, src, ETH_ALEN);
	b[12] = (uint8_t)(proto >> 8);
	b[13] = (uint8_t)proto;
}

unsigned frame_arp(uint8_t *b, const uint8_t *dst, uint16_t op, const uint8_t *sha, uint32_t spa,
		   const uint8_t *tha, uint32_t tpa)
{
	static const uint8_t fixed[6] = {0, 1, 8, 0, 6, 4};
	uint8_t *p = b + ETH_HLEN;

	put_eth(b, dst, sha, ETH_P_ARP);
	memcpy(p, fixed, sizeof(fixed));
	p[6] = (uint8_t)(op >> 8);
	p[7] = (uint8_t)op;
	memcpy(p + 8, sha, ETH_ALEN);
	memcpy(p + 14, &spa, sizeof(spa));
	memcpy(p + 18, tha, ETH_ALEN);
	memcpy(p + 24, &tpa, sizeof(tpa));
	return ETH_HLEN + 28;
}

void frame_ip_sum(uint8_t *b)
{
	struct iphdr_ *iph = frame_iph(b);

	iph->check = 0;
	iph->check = csum_fold(csum_partial(iph, (iph->ver_ihl & 15) * 4u, 0));
}

unsigned frame_ip(uint8_t *b, uint32_t saddr, uint32_t daddr, uint8_t proto, const void *payload,
		  unsigned n)
{
	struct iphdr_ *iph = frame_iph(b);

	put_eth(b, fake_mac, fake_peer_mac, ETH_P_IP);
	*iph = (struct iphdr_){.ver_ihl = 0x45,
			       .tot_len = be16((uint16_t)(IP_HLEN + n)),
			       .id = be16(7),
			       .ttl = 64,
			       .protocol = proto,
			       .saddr = saddr,
			       .daddr = daddr};
	frame_ip_sum(b);
	if (payload)
		memcpy(iph + 1, payload, n);
	else
		memset(iph + 1, 0, n);
	return ETH_HLEN + IP_HLEN + n;
}

unsigned frame_icmp(uint8_t *b, uint32_t saddr, uint32_t daddr, uint8_t type, uint8_t code,
		    uint32_t word, const void *rest, unsigned n)
{
	uint8_t m[FAKE_FRAME_MAX] = {type, code};
	uint32_t w = be32(word);
	uint16_t sum;

	memcpy(m + 4, &w, sizeof(w));
	if (n)
		memcpy(m + 8, rest, n);
	sum = csum_fold(csum_partial(m, 8 + n, 0));
	memcpy(m + 2, &sum, sizeof(sum));
	return frame_ip(b, saddr, daddr, IPPROTO_ICMP_, m, 8 + n);
}
