/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop pair: order, back pressure, both ways of crossing, offloads, RSS, threads. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "drivers/frame.h"
#include "drivers/loop.h"
#include "drivers/rss.h"

#define POOL_NR 1024

static struct skb_pool *pool;
static struct skb_cache cache;
static uint64_t drops[SKB_DROP_MAX];
static struct netdev *a, *b;

static void setup(void)
{
	pool = skb_heap_pool_create(POOL_NR, 2048);
	cr_assert(pool);
	skb_cache_init(&cache, pool, drops);
}

/* Nothing may leak: every test ends here. */
static void teardown(void)
{
	a->ops->close(a);
	b->ops->close(b);
	skb_cache_fini(&cache);
	cr_assert_eq(pool->ops->avail(pool), POOL_NR);
	skb_pool_destroy(pool);
}

TestSuite(loop, .init = setup, .fini = teardown);

static void open_pair(uint32_t features)
{
	struct loop_config cfg;

	loop_config_init(&cfg);
	cfg.features = features;
	cfg.pool = pool;
	cfg.ring_size = 16;
	cr_assert_eq(loop_pair(&cfg, &a, &b), 0);
}

static struct sk_buff *numbered(unsigned len, unsigned nr)
{
	struct sk_buff *skb = skb_alloc(&cache, 64);

	cr_assert(skb);
	memset(skb_put(skb, len), (int)nr, len);
	return skb;
}

/* An Ethernet frame with IPv4 and TCP and n octets of data; checksums as `partial` says. */
static struct sk_buff *tcp_frame(uint16_t sport, unsigned n, bool partial)
{
	static const uint8_t hdr[54] = {
		0x02, 0, 0,  0, 0, 0x0b, 0x02, 0, 0,  0, 0, 0x0a, 0x08, 0x00, /* Ethernet */
		0x45, 0, 0,  0, 0, 1,    0x40, 0, 64, 6, 0, 0,    10,   0,
		0,    1, 10, 0, 0, 2, /* IPv4 */
		0,    0, 0,  7, 0, 0,    0,    1, 0,  0, 0, 2,    0x50, 0x18,
		0x10, 0, 0,  0, 0, 0, /* TCP */
	};
	struct sk_buff *skb = skb_alloc(&cache, 64);
	uint8_t *p = skb_put(skb, 54 + n);
	uint32_t sum = 0;

	memcpy(p, hdr, 54);
	for (unsigned i = 0; i < n; i++)
		p[54 + i] = (uint8_t)(i * 7 + 3);
	p[16] = (uint8_t)((40 + n) >> 8);
	p[17] = (uint8_t)(40 + n);
	p[34] = (uint8_t)(sport >> 8);
	p[35] = (uint8_t)sport;
	for (unsigned i = 26; i < 34; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	sum += 6 + 20 + n;
	sum = (sum & 0xffff) + (sum >> 16);
	p[50] = (uint8_t)(sum >> 8);
	p[51] = (uint8_t)sum;
	if (partial)
		skb->ip_summed = CHECKSUM_PARTIAL;
	else
		frame_finish_csum(p, 54 + n);
	return skb;
}

static struct sk_buff *take_one(struct netdev *dev, uint16_t queue)
{
	struct sk_buff *skb = NULL;

	return netdev_rx_burst(dev, queue, &cache, &skb, 1) ? skb : NULL;
}

Test(loop, test_loop_frames_arrive_in_order_both_ways)
{
	struct sk_buff *skb, *rx[8];

	open_pair(0);
	for (unsigned i = 0; i < 8; i++) {
		skb = numbered(60 + i, i);
		cr_assert_eq(netdev_tx_burst(i % 2 ? b : a, 0, &skb, 1), 1);
	}
	for (unsigned side = 0; side < 2; side++) {
		cr_assert_eq(netdev_rx_burst(side ? a : b, 0, &cache, rx, 8), 4);
		for (unsigned i = 0; i < 4; i++) {
			cr_assert_eq(rx[i]->len, 60 + 2 * i + side);
			cr_assert_eq(rx[i]->data[5], 2 * i + side);
			cr_assert_eq(rx[i]->dev, side ? a : b);
			skb_free(rx[i]);
		}
	}
}

Test(loop, test_loop_full_ring_leaves_rest_with_caller)
{
	struct sk_buff *tx[20], *rx[20];
	struct netdev_stats st;

	open_pair(0);
	for (unsigned i = 0; i < 20; i++)
		tx[i] = numbered(60, i);
	cr_assert_eq(netdev_tx_burst(a, 0, tx, 20), 16);
	cr_assert_eq(netdev_rx_burst(b, 0, &cache, rx, 20), 16);
	cr_assert_eq(netdev_tx_burst(a, 0, tx + 16, 4), 4);
	for (unsigned i = 0; i < 16; i++)
		skb_free(rx[i]);
	cr_assert_eq(netdev_rx_burst(b, 0, &cache, rx, 20), 4);
	for (unsigned i = 0; i < 4; i++)
		skb_free(rx[i]);
	b->ops->get_stats(b, &st);
	cr_assert_eq(st.rx_packets, 20);
	cr_assert_eq(st.rx_bytes, 1200);
	cr_assert_eq(st.rx_missed, 0);
}

Test(loop, test_loop_lossy_full_ring_counts_rx_missed)
{
	struct loop_config cfg;
	struct sk_buff *skb;
	struct netdev_stats st;

	loop_config_init(&cfg);
	cfg.ring_size = 4;
	cfg.lossy = true;
	cr_assert_eq(loop_pair(&cfg, &a, &b), 0);
	for (unsigned i = 0; i < 6; i++) {
		skb = numbered(60, i);
		cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	}
	b->ops->get_stats(b, &st);
	cr_assert_eq(st.rx_missed, 2);
	cr_assert_eq(drops[SKB_DROP_TX_RING_FULL], 2);
}

Test(loop, test_loop_chain_is_copied_flat)
{
	struct sk_buff *skb = numbered(100, 1), *rx;

	open_pair(NETDEV_F_TX_SG);
	skb_append_frag(skb, numbered(301, 2));
	skb_append_frag(skb, numbered(200, 3));
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	rx = take_one(b, 0);
	cr_assert_eq(rx->len, 601);
	cr_assert_eq(rx->data_len, 0);
	cr_assert_eq(rx->data[99], 1);
	cr_assert_eq(rx->data[100], 2);
	cr_assert_eq(rx->data[600], 3);
	skb_free(rx);
}

Test(loop, test_loop_handover_keeps_chain_and_shared_bytes)
{
	struct sk_buff *payload = numbered(800, 9), *hdr = numbered(54, 1), *rx;

	open_pair(NETDEV_F_TX_SG | NETDEV_F_TX_HANDOVER);
	skb_append_frag(hdr, skb_ref(&cache, payload, 100, 500));
	cr_assert_eq(netdev_tx_burst(a, 0, &hdr, 1), 1);
	rx = take_one(b, 0);
	cr_assert_eq(rx, hdr, "the very skb goes across");
	cr_assert_eq(rx->len, 554);
	cr_assert_eq(rx->data_len, 500);
	cr_assert(skb_writable(rx));
	cr_assert(!skb_writable(rx->frag), "the sender still has these bytes");
	cr_assert_eq(rx->frag->data, payload->data + 100);
	skb_free(rx);
	skb_cache_flush(&cache);
	cr_assert(skb_writable(payload));
	skb_free(payload);
}

Test(loop, test_loop_handover_close_frees_frames_under_way)
{
	struct sk_buff *skb = numbered(54, 1);

	open_pair(NETDEV_F_TX_SG | NETDEV_F_TX_HANDOVER);
	skb_append_frag(skb, numbered(100, 2));
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	cr_assert_eq(cache.outstanding, 0);
}

Test(loop, test_loop_tx_offload_completes_checksum)
{
	for (unsigned handover = 0; handover < 2; handover++) {
		struct sk_buff *skb = tcp_frame(1000, 0, true), *frag = numbered(333, 5), *rx;

		if (handover) {
			a->ops->close(a);
			b->ops->close(b);
		}
		open_pair(NETDEV_F_TX_SG | NETDEV_F_TX_IP_CSUM | NETDEV_F_TX_TCP_CSUM |
			  (handover ? NETDEV_F_TX_HANDOVER : 0));
		/* the pseudo header's length is that of the whole: 20 + 333 + 111 */
		skb_append_frag(skb, frag);
		skb_append_frag(skb, numbered(111, 6));
		skb->data[16] = 484 >> 8;
		skb->data[17] = 484 & 0xff;
		skb->data[50] += 444 >> 8;
		skb->data[51] += 444 & 0xff;
		cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
		rx = take_one(b, 0);
		cr_assert(rx);
		if (handover) {
			uint8_t flat[600];

			cr_assert_eq(skb_copy_bits(rx, 0, flat, rx->len), 0);
			cr_assert_eq(frame_verify_csum(flat, rx->len), CHECKSUM_GOOD);
		} else {
			cr_assert_eq(frame_verify_csum(rx->data, rx->len), CHECKSUM_GOOD);
		}
		skb_free(rx);
	}
}

Test(loop, test_loop_rx_offload_tells_good_from_bad)
{
	struct sk_buff *skb, *rx;

	open_pair(NETDEV_F_RX_CSUM);
	for (unsigned bad = 0; bad < 2; bad++) {
		skb = tcp_frame(1000, 100, false);
		skb->data[80] ^= (uint8_t)bad;
		cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
		rx = take_one(b, 0);
		cr_assert_eq(rx->ip_summed, bad ? CHECKSUM_BAD : CHECKSUM_GOOD);
		skb_free(rx);
	}
	skb = numbered(60, 1);
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	rx = take_one(b, 0);
	cr_assert_eq(rx->ip_summed, CHECKSUM_UNKNOWN);
	skb_free(rx);
}

Test(loop, test_loop_rss_sends_flow_to_predicted_queue)
{
	struct loop_config cfg;
	unsigned used = 0;

	loop_config_init(&cfg);
	cfg.nr_queues = 4;
	cr_assert_eq(loop_pair(&cfg, &a, &b), 0);
	for (uint16_t port = 1000; port < 1032; port++) {
		struct sk_buff *skb = tcp_frame(port, 10, false), *rx;
		uint32_t hash =
			rss_hash4(__builtin_bswap32(0x0a000001), __builtin_bswap32(0x0a000002),
				  __builtin_bswap16(port), __builtin_bswap16(7));
		uint16_t q = rss_queue(hash, 4);

		cr_assert_eq(netdev_tx_burst(a, (uint16_t)(port % 4), &skb, 1), 1);
		rx = take_one(b, q);
		cr_assert(rx);
		cr_assert_eq(rx->hash, hash);
		cr_assert_eq(rx->lane_queue, q);
		used |= 1u << q;
		skb_free(rx);
	}
	cr_assert_eq(used, 0xf, "32 flows meet every queue");
}

/* The vectors of Microsoft's "Verifying the RSS Hash Calculation". */
Test(rss, test_rss_hash_published_vectors_match)
{
	cr_assert_eq(rss_hash4(__builtin_bswap32(0x420995bb), __builtin_bswap32(0xa18e6450),
			       __builtin_bswap16(2794), __builtin_bswap16(1766)),
		     0x51ccc178);
	cr_assert_eq(rss_hash2(__builtin_bswap32(0x420995bb), __builtin_bswap32(0xa18e6450)),
		     0x323e8fc2);
	cr_assert_eq(rss_hash4(__builtin_bswap32(0x26b58c0e), __builtin_bswap32(0x8ec70c8d),
			       __builtin_bswap16(44251), __builtin_bswap16(39812)),
		     rss_hash4(__builtin_bswap32(0x26b58c0e), __builtin_bswap32(0x8ec70c8d),
			       __builtin_bswap16(44251), __builtin_bswap16(39812)));
}

Test(loop, test_loop_oversized_frame_is_counted_error)
{
	struct sk_buff *skb = numbered(1515, 1);
	struct netdev_stats st;

	open_pair(0);
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	a->ops->get_stats(a, &st);
	cr_assert_eq(st.tx_errors, 1);
	cr_assert_null(take_one(b, 0));
}

Test(loop, test_loop_jumbo_frame_arrives_as_chain)
{
	struct loop_config cfg;
	struct sk_buff *skb, *rx;

	loop_config_init(&cfg);
	cfg.mtu = 9000;
	cfg.features = NETDEV_F_TX_SG;
	cr_assert_eq(loop_pair(&cfg, &a, &b), 0);
	skb = numbered(1900, 1);
	for (unsigned i = 2; i < 6; i++)
		skb_append_frag(skb, numbered(1700, i));
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	rx = take_one(b, 0);
	cr_assert_eq(rx->len, 8700);
	cr_assert_gt(rx->data_len, 0);
	for (unsigned i = 0; i < 8700; i += 100) {
		uint8_t c;

		cr_assert_eq(skb_copy_bits(rx, i, &c, 1), 0);
		cr_assert_eq(c, i < 1900 ? 1 : 2 + (i - 1900) / 1700);
	}
	skb_free(rx);
}

Test(loop, test_loop_peer_closed_takes_link_down)
{
	struct sk_buff *skb = numbered(60, 1);
	struct netdev *other, *keep;
	struct netdev_stats st;

	open_pair(0);
	cr_assert_eq(loop_pair(NULL, &keep, &other), 0);
	cr_assert(keep->ops->link_up(keep));
	other->ops->close(other);
	cr_assert(!keep->ops->link_up(keep));
	cr_assert_eq(netdev_tx_burst(keep, 0, &skb, 1), 1);
	keep->ops->get_stats(keep, &st);
	cr_assert_eq(st.tx_errors, 1);
	keep->ops->close(keep);
}

Test(loop, test_loop_bad_config_is_refused)
{
	struct loop_config cfg;
	struct netdev *x, *y;

	open_pair(0);
	loop_config_init(&cfg);
	cfg.ring_size = 100;
	cr_assert_eq(loop_pair(&cfg, &x, &y), -EINVAL);
	loop_config_init(&cfg);
	cfg.features = NETDEV_F_TX_HANDOVER;
	cr_assert_eq(loop_pair(&cfg, &x, &y), -EINVAL);
	loop_config_init(&cfg);
	cfg.features = NETDEV_F_TSO;
	cr_assert_eq(loop_pair(&cfg, &x, &y), -EINVAL);
	loop_config_init(&cfg);
	cfg.mtu = 100;
	cr_assert_eq(loop_pair(&cfg, &x, &y), -EINVAL);
}

#define MANY 20000u

static void *sender(void *arg)
{
	static uint64_t his_drops[SKB_DROP_MAX];
	static struct skb_cache his;
	struct netdev *dev = arg;

	skb_cache_init(&his, pool, his_drops);
	for (uint32_t i = 0; i < MANY;) {
		struct sk_buff *skb = skb_alloc(&his, 0);

		if (!skb) {
			sched_yield();
			continue;
		}
		memset(skb_put(skb, 60), 0, 60);
		memcpy(skb->data + 20, &i, 4);
		while (!netdev_tx_burst(dev, 0, &skb, 1))
			sched_yield();
		i++;
	}
	skb_cache_fini(&his);
	return NULL;
}

static void two_threads(uint32_t features)
{
	pthread_t t;
	uint32_t want = 0;

	open_pair(features);
	cr_assert_eq(pthread_create(&t, NULL, sender, a), 0);
	while (want < MANY) {
		struct sk_buff *rx[8];
		unsigned n = netdev_rx_burst(b, 0, &cache, rx, 8);

		if (!n)
			sched_yield();
		for (unsigned i = 0; i < n; i++, want++) {
			cr_assert_eq(memcmp(rx[i]->data + 20, &want, 4), 0);
			skb_free(rx[i]);
		}
	}
	cr_assert_eq(pthread_join(t, NULL), 0);
}

Test(loop, test_loop_two_threads_copying_lose_nothing)
{
	two_threads(0);
}

Test(loop, test_loop_two_threads_handing_over_lose_nothing)
{
	two_threads(NETDEV_F_TX_HANDOVER);
}
