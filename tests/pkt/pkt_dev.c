/* SPDX-License-Identifier: BSD-3-Clause */
/* The device of libparklane-pkt.so: packetdrill's packets have no Ethernet header, and the
 * neighbour who answers ARP for every address but ours is played here. */
#include <stdlib.h>
#include <string.h>

#include "tests/pkt/pkt.h"

#define ARP_LEN     28
#define ARP_REQUEST 1

static const uint8_t our_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 1};
static const uint8_t peer_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 2};

static struct pkt_frame *frame_new(unsigned len)
{
	struct pkt_frame *f = calloc(1, sizeof(*f) + len);

	BUG_ON(!f);
	f->len = len;
	return f;
}

static void frames_put(struct pkt_frames *q, struct pkt_frame *f)
{
	f->next = NULL;
	*q->tail = f;
	q->tail = &f->next;
}

static struct pkt_frame *frames_get(struct pkt_frames *q)
{
	struct pkt_frame *f = q->head;

	if (!f)
		return NULL;
	q->head = f->next;
	if (!q->head)
		q->tail = &q->head;
	return f;
}

static void put_eth(uint8_t *b, uint16_t proto)
{
	struct ethhdr_ eth = {.proto = be16(proto)};

	memcpy(eth.dst, our_mac, ETH_ALEN);
	memcpy(eth.src, peer_mac, ETH_ALEN);
	memcpy(b, &eth, sizeof(eth));
}

/* arp_answer - RFC 826, for a request in `b`: who asks for another's address gets peer_mac. */
static void arp_answer(struct pkt_world *w, const uint8_t *b, unsigned len)
{
	const uint8_t *arp = b + ETH_HLEN;
	struct pkt_frame *f;
	uint8_t *p;

	if (len < ETH_HLEN + ARP_LEN || arp[7] != ARP_REQUEST || !memcmp(arp + 14, arp + 24, 4))
		return;
	f = frame_new(ETH_HLEN + ARP_LEN);
	put_eth(f->bytes, ETH_P_ARP);
	p = f->bytes + ETH_HLEN;
	memcpy(p, arp, 7);
	p[7] = ARP_REQUEST + 1;
	memcpy(p + 8, peer_mac, ETH_ALEN);
	memcpy(p + 14, arp + 24, 4);
	memcpy(p + 18, arp + 8, ETH_ALEN + 4);
	frames_put(&w->in, f);
}

static unsigned dev_tx(struct netdev *dev, uint16_t queue, struct sk_buff **skbs, unsigned n)
{
	struct pkt_world *w = container_of(dev, struct pkt_world, dev);

	(void)queue;
	for (unsigned i = 0; i < n; i++) {
		struct pkt_frame *f = frame_new(skbs[i]->len);
		struct ethhdr_ eth;

		BUG_ON(skb_copy_bits(skbs[i], 0, f->bytes, f->len));
		memcpy(&eth, f->bytes, sizeof(eth));
		f->ns = w->now;
		skb_free(skbs[i]);
		if (eth.proto == be16(ETH_P_IP)) {
			frames_put(&w->out, f);
			continue;
		}
		arp_answer(w, f->bytes, f->len);
		free(f);
	}
	return n;
}

static unsigned dev_rx(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
		       struct sk_buff **skbs, unsigned n)
{
	struct pkt_world *w = container_of(dev, struct pkt_world, dev);
	unsigned got = 0;

	(void)queue;
	while (got < n && w->in.head) {
		struct pkt_frame *f = frames_get(&w->in);

		skbs[got] = skb_from_bytes(cache, 0, f->bytes, f->len);
		got += !!skbs[got];
		free(f);
	}
	return got;
}

static const struct netdev_ops dev_ops = {
	.rx_burst = dev_rx,
	.tx_burst = dev_tx,
};

void pkt_dev_init(struct pkt_world *w, uint16_t mtu)
{
	w->in.tail = &w->in.head;
	w->out.tail = &w->out.head;
	w->dev = (struct netdev){.ops = &dev_ops,
				 .name = "packetdrill",
				 .mtu = mtu,
				 .nr_queues = 1,
				 .tx_copybreak = 256,
				 .features = NETDEV_F_TX_SG};
	memcpy(w->dev.dev_addr, our_mac, ETH_ALEN);
}

void pkt_dev_push(struct pkt_world *w, const void *packet, size_t n)
{
	struct pkt_frame *f = frame_new((unsigned)(ETH_HLEN + n));

	put_eth(f->bytes, ETH_P_IP);
	memcpy(f->bytes + ETH_HLEN, packet, n);
	frames_put(&w->in, f);
}

struct pkt_frame *pkt_dev_pop(struct pkt_world *w)
{
	return frames_get(&w->out);
}
