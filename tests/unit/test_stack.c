/* SPDX-License-Identifier: BSD-3-Clause */
/* Creation, attaching, the turn and its TX batch. */
#include <errno.h>

#include "lab.h"

Test(stack, test_stack_create_bad_config_einval)
{
	struct skb_pool *pool = skb_heap_pool_create(8, 256);
	struct stack_config cfg;
	struct stack *st = NULL;

	stack_config_init(&cfg);
	cfg.max_neigh = 0;
	cr_assert_eq(stack_create(&cfg, pool, &st), -EINVAL);
	stack_config_init(&cfg);
	cfg.port_range[0] = 5;
	cfg.port_range[1] = 4;
	cr_assert_eq(stack_create(&cfg, pool, &st), -EINVAL);
	stack_config_init(&cfg);
	cfg.lane = 1;
	cr_assert_eq(stack_create(&cfg, pool, &st), -EINVAL);
	cr_assert_null(st);
	skb_pool_destroy(pool);
}

static int budget;

static void *counted_alloc(void *ctx, size_t size)
{
	(void)ctx;
	return budget-- > 0 ? calloc(1, size) : NULL;
}

static int64_t live_bytes;

static void *summed_alloc(void *ctx, size_t size)
{
	void *p = counted_alloc(ctx, size);

	live_bytes += p ? (int64_t)size : 0;
	return p;
}

static void summed_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	live_bytes -= (int64_t)size;
	free(p);
}

Test(stack, test_stack_create_no_memory_anywhere_leaves_nothing)
{
	struct skb_pool *pool = skb_heap_pool_create(8, 256);
	struct stack_config cfg;
	struct stack *st = NULL;
	int err = -ENOMEM;

	memset(&fake_tcp, 0, sizeof(fake_tcp));
	stack_config_init(&cfg);
	cfg.mem.alloc = summed_alloc;
	cfg.mem.free = summed_free;
	for (int n = 0; err == -ENOMEM; n++) {
		budget = n;
		err = stack_create(&cfg, pool, &st);
		if (err)
			cr_assert_eq(live_bytes, 0, "with %d allocations", n);
	}
	cr_assert_eq(err, 0);
	stack_destroy(st);
	cr_assert_eq(live_bytes, 0);
	fake_tcp.init_err = -ENOMEM;
	budget = 100;
	cr_assert_eq(stack_create(&cfg, pool, &st), -ENOMEM);
	cr_assert_eq(live_bytes, 0);
	skb_pool_destroy(pool);
}

Test(stack, test_stack_attach_bad_addresses_einval)
{
	struct skb_pool *pool = skb_heap_pool_create(64, 2048);
	static struct fake_netdev f;
	struct stack_config cfg;
	struct stack *st;
	static const struct {
		uint32_t ip;
		unsigned len;
		uint32_t gw;
	} bad[] = {{0, 24, 0},
		   {fake_ip(127, 0, 0, 1), 8, 0},
		   {fake_ip(224, 0, 0, 1), 24, 0},
		   {fake_ip(255, 255, 255, 255), 24, 0},
		   {fake_ip(10, 0, 0, 0), 24, 0},
		   {fake_ip(10, 0, 0, 255), 24, 0},
		   {LAB_OUR, 0, 0},
		   {LAB_OUR, 33, 0},
		   {LAB_OUR, 24, fake_ip(10, 0, 1, 1)},
		   {LAB_OUR, 24, LAB_OUR},
		   {LAB_OUR, 24, fake_ip(10, 0, 0, 255)},
		   {LAB_OUR, 24, fake_ip(10, 0, 0, 0)},
		   {LAB_OUR, 32, LAB_PEER}};

	memset(&fake_tcp, 0, sizeof(fake_tcp));
	fake_netdev_init(&f, 0);
	stack_config_init(&cfg);
	cr_assert_eq(stack_create(&cfg, pool, &st), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_eq(stack_attach(st, &f.dev, 0, bad[i].ip, bad[i].len, bad[i].gw), -EINVAL,
			     "row %u", i);
	cr_assert_eq(stack_attach(st, &f.dev, 1, LAB_OUR, 24, 0), -EINVAL, "no such queue");
	f.dev.mtu = 500;
	cr_assert_eq(stack_attach(st, &f.dev, 0, LAB_OUR, 24, 0), -EINVAL);
	f.dev.mtu = 1500;
	f.dev.headroom = 1900;
	cr_assert_eq(stack_attach(st, &f.dev, 0, LAB_OUR, 24, 0), -EINVAL);
	f.dev.headroom = 0;
	cr_assert_eq(stack_ip(st), 0);
	/* RFC 3021: both addresses of a /31 are hosts. */
	cr_assert_eq(stack_attach(st, &f.dev, 0, LAB_OUR, 31, fake_ip(10, 0, 0, 3)), 0);
	cr_assert_eq(stack_attach(st, &f.dev, 0, LAB_OUR, 24, 0), -EBUSY);
	cr_assert_eq(stack_ip(st), LAB_OUR);
	cr_assert(stack_has_output(st), "the announcement");
	stack_destroy(st);
	cr_assert_eq(pool->ops->avail(pool), 64);
	skb_pool_destroy(pool);
}

Test(stack, test_stack_rx_budget_kept)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	for (int i = 0; i < 200; i++)
		fake_inject(l.f, b, n);
	cr_assert_eq(stack_rx(l.st, l.now, 10), 10);
	cr_assert_eq(stack_rx(l.st, l.now, 100), 100);
	cr_assert_eq(stack_rx(l.st, l.now, 1000), 90);
	cr_assert_eq(stack_rx(l.st, l.now, 1000), 0);
	cr_assert_eq(fake_tcp.nr_rcv, 200);
	cr_assert_eq(stack_stats(l.st)->rx_packets, 200);
	cr_assert_eq(stack_stats(l.st)->rx_bytes, 200 * n);
	lab_end(&l);
}

static void resolve_peer(struct lab *l, struct route *rt)
{
	cr_assert_eq(lab_send(l, rt, LAB_PEER, 20), 0);
	lab_arp_reply(l, fake_peer_mac, LAB_PEER);
	l->f->nr_out = 0;
}

Test(stack, test_stack_output_ring_full_drops_counted)
{
	struct lab l = lab_begin();
	struct route rt = {0};
	uint64_t before;

	resolve_peer(&l, &rt);
	before = stack_stats(l.st)->tx_packets;
	for (int i = 0; i < 100; i++)
		cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	cr_assert(stack_has_output(l.st));
	l.f->tx_limit = 30;
	cr_assert_eq(stack_output(l.st, l.now), 60, "two tries");
	cr_assert_eq(lab_drops(&l, SKB_DROP_TX_RING_FULL), 40);
	cr_assert_eq(stack_stats(l.st)->tx_ring_full, 40);
	cr_assert_eq(stack_stats(l.st)->tx_packets, before + 60);
	cr_assert(!stack_has_output(l.st));
	lab_end(&l);
}

Test(stack, test_stack_batch_full_is_flushed_at_once)
{
	struct lab l = lab_begin_cfg(0, 2048, 64);
	struct route rt = {0};

	resolve_peer(&l, &rt);
	for (int i = 0; i < 2 * STACK_TX_BATCH + 10; i++)
		cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	cr_assert_eq(l.f->nr_out, 2 * STACK_TX_BATCH);
	cr_assert_eq(stack_output(l.st, l.now), 2 * STACK_TX_BATCH + 10);
	cr_assert_eq(lab_drops(&l, SKB_DROP_TX_RING_FULL), 0);
	lab_end(&l);
}

Test(stack, test_stack_output_runs_tcp_and_asks_it)
{
	struct lab l = lab_begin();
	unsigned before = fake_tcp.nr_output;

	cr_assert(!stack_has_output(l.st));
	fake_tcp.has_output = true;
	cr_assert(stack_has_output(l.st));
	(void)stack_output(l.st, l.now);
	cr_assert_eq(fake_tcp.nr_output, before + 1);
	lab_end(&l);
}

static void send_chain(struct lab *l, struct route *rt)
{
	struct sk_buff *head = skb_alloc(&l->st->cache, 64), *frag = skb_alloc(&l->st->cache, 0);

	memset(skb_put(head, 20), 1, 20);
	memset(skb_put(frag, 100), 2, 100);
	skb_append_frag(head, frag);
	ip_output(l->st, head, rt, IPPROTO_TCP_, 64, 0, 1);
	lab_turn(l, 1);
}

Test(stack, test_stack_chain_to_device_without_scatter_is_one_piece)
{
	for (unsigned sg = 0; sg < 2; sg++) {
		struct lab l = lab_begin_cfg(sg ? NETDEV_F_TX_SG : 0, 256, 64);
		struct route rt = {0};

		resolve_peer(&l, &rt);
		send_chain(&l, &rt);
		cr_assert_eq(l.f->nr_out, 1);
		cr_assert_eq(l.f->out[0].pieces, 1 + sg);
		cr_assert_eq(l.f->out[0].len, ETH_HLEN + IP_HLEN + 120);
		cr_assert_eq(l.f->out[0].b[ETH_HLEN + IP_HLEN + 119], 2);
		lab_end(&l);
	}
}

static uint64_t held_until;

static uint64_t fake_next_event(struct netdev *dev)
{
	(void)dev;
	return held_until;
}

Test(stack, test_stack_next_timer_knows_wheel_and_held_frames)
{
	struct lab l = lab_begin();
	struct route rt = {0};
	struct netdev_ops ops = *l.f->dev.ops;

	cr_assert_eq(stack_next_timer(l.st), 0);
	ops.next_event = fake_next_event;
	l.f->dev.ops = &ops;
	held_until = l.now + 7;
	cr_assert_eq(stack_next_timer(l.st), l.now + 7);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	cr_assert_eq(stack_next_timer(l.st), l.now + 7);
	held_until = 0;
	cr_assert(stack_next_timer(l.st) > l.now);
	cr_assert(stack_next_timer(l.st) <= l.now + NSEC_PER_SEC + TICK_NS);
	lab_end(&l);
}
