/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire: times to the nanosecond, queues, faults by seed, switches, the netdev on top. */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "drivers/frame.h"
#include "drivers/wire.h"
#include "stack/base/clock.h"

static const struct wire_path perfect;
static struct wire *w;

static void setup(void)
{
	cr_assert_eq(wire_create(1, &w), 0);
}

static void teardown(void)
{
	wire_destroy(w);
}

TestSuite(wire, .init = setup, .fini = teardown);

/* An Ethernet frame of `len` bytes from host `src` to `dst`, an IPv4 packet if it is long
 * enough. */
static unsigned frame_of(uint8_t *f, int src, int dst, unsigned len)
{
	memset(f, 0, len);
	f[0] = 2;
	f[5] = (uint8_t)dst;
	f[6] = 2;
	f[11] = (uint8_t)src;
	f[12] = 8;
	if (len >= 34) {
		f[14] = 0x45;
		f[16] = (uint8_t)((len - 14) >> 8);
		f[17] = (uint8_t)(len - 14);
		f[20] = 0x40;
		f[23] = 253; /* RFC 3692: for experiments; without a checksum */
		f[26] = f[30] = 10;
		f[29] = (uint8_t)src;
		f[33] = (uint8_t)dst;
		frame_finish_csum(f, len);
	}
	return len;
}

static void put(int end, int dst, unsigned len, uint64_t now)
{
	uint8_t f[2000];

	cr_assert_eq(wire_input(w, end, f, frame_of(f, end, dst, len), now), 0);
}

static unsigned drain(int end)
{
	unsigned n = 0, len;

	for (; wire_peek(w, end, &len, NULL); n++)
		wire_pop(w, end);
	return n;
}

/* Two ends and one link; returns nothing but the link's number being 0. */
static void pair(const struct wire_path *ab)
{
	cr_assert_eq(wire_add_end(w, 0), 0);
	cr_assert_eq(wire_add_end(w, 0), 1);
	cr_assert_eq(wire_add_link(w, 0, 1, ab, &perfect), 0);
}

Test(wire, test_wire_frame_takes_rate_and_delay_to_the_nanosecond)
{
	struct wire_path p = {.rate = 1000000000, .delay = 20 * NSEC_PER_MSEC};
	unsigned len;
	uint64_t at;

	pair(&p);
	put(0, 1, 1000, 5000);
	put(0, 1, 1000, 5000);
	cr_assert_eq(wire_next(w), 5000 + 8000 + 20 * NSEC_PER_MSEC);
	wire_run(w, wire_next(w) - 1);
	cr_assert_null(wire_peek(w, 1, &len, &at));
	wire_run(w, wire_next(w));
	cr_assert_not_null(wire_peek(w, 1, &len, &at));
	cr_assert_eq(len, 1000);
	cr_assert_eq(at, 5000 + 8000 + 20 * NSEC_PER_MSEC);
	/* the second waited for the first */
	cr_assert_eq(wire_next(w), 5000 + 16000 + 20 * NSEC_PER_MSEC);
	wire_run(w, NSEC_PER_SEC);
	cr_assert_eq(drain(1), 2);
	cr_assert_eq(wire_next(w), 0);
}

Test(wire, test_wire_queue_in_bytes_drops_the_tail)
{
	struct wire_path p = {.rate = 8000000, .queue_bytes = 3000};

	pair(&p);
	for (int i = 0; i < 5; i++)
		put(0, 1, 1000, 1);
	cr_assert_eq(wire_path_stats(w, 0, false)->queue_drops, 2);
	cr_assert_eq(wire_path_stats(w, 0, false)->queue_peak, 3000);
	/* one millisecond later one of them is away */
	put(0, 1, 1000, 1 + NSEC_PER_MSEC);
	cr_assert_eq(wire_path_stats(w, 0, false)->queue_drops, 2);
	wire_run(w, NSEC_PER_SEC);
	cr_assert_eq(drain(1), 4);
}

Test(wire, test_wire_queue_in_frames_drops_the_tail)
{
	struct wire_path p = {.rate = 8000000, .queue_frames = 3};

	pair(&p);
	for (int i = 0; i < 5; i++)
		put(0, 1, 60, 1);
	cr_assert_eq(wire_path_stats(w, 0, false)->queue_drops, 2);
	put(0, 1, 60, 1 + 60 * NSEC_PER_USEC);
	cr_assert_eq(wire_path_stats(w, 0, false)->queue_drops, 2);
	wire_run(w, NSEC_PER_SEC);
	cr_assert_eq(drain(1), 4);
}

Test(wire, test_wire_queue_above_threshold_marks_ce_rfc3168)
{
	struct wire_path p = {.rate = 8000000, .mark_bytes = 1500};
	unsigned len, marked = 0;
	const uint8_t *f;
	uint8_t b[1000];

	pair(&p);
	for (int i = 0; i < 4; i++) {
		frame_of(b, 0, 1, 1000);
		b[15] = i == 3 ? 0 : 2; /* ECT(0); the last is not capable */
		frame_finish_csum(b, 1000);
		cr_assert_eq(wire_input(w, 0, b, 1000, 1), 0);
	}
	wire_run(w, NSEC_PER_SEC);
	while ((f = wire_peek(w, 1, &len, NULL)) != NULL) {
		marked += (f[15] & 3) == 3;
		cr_assert_neq(frame_verify_csum(f, len), CHECKSUM_BAD);
		wire_pop(w, 1);
	}
	cr_assert_eq(marked, 1, "the third: 2000 bytes were before it, 1000 before the second");
}

Test(wire, test_wire_loss_is_about_p_and_bursts_come_in_rows)
{
	struct wire_path p = {.loss = 0.1};
	struct wire_path b = {.burst_enter = 0.01, .burst_leave = 0.2, .burst_loss = 1};
	const struct wire_path_stats *st;

	pair(&p);
	for (unsigned i = 0; i < 10000; i++) {
		put(0, 1, 60, i + 1);
		wire_run(w, i + 1);
		(void)drain(1);
	}
	st = wire_path_stats(w, 0, false);
	cr_assert(st->lost > 850 && st->lost < 1150, "%lu", (unsigned long)st->lost);
	cr_assert_eq(wire_set_path(w, 0, false, &b), 0);
	for (unsigned i = 0; i < 20000; i++) {
		put(0, 1, 60, 20000 + i);
		wire_run(w, 20000 + i);
		(void)drain(1);
	}
	/* in the bad state for 1 / (1 + 20) of the frames */
	cr_assert(st->burst_lost > 650 && st->burst_lost < 1250, "%lu",
		  (unsigned long)st->burst_lost);
}

Test(wire, test_wire_reordered_frame_is_overtaken_and_dup_comes_twice)
{
	struct wire_path p = {.delay = 1000, .reorder = 1, .reorder_ns = 5000};
	unsigned len;

	pair(&p);
	put(0, 1, 100, 1);
	p = (struct wire_path){.delay = 1000, .dup = 1};
	cr_assert_eq(wire_set_path(w, 0, false, &p), 0);
	put(0, 1, 200, 2);
	wire_run(w, NSEC_PER_SEC);
	cr_assert_not_null(wire_peek(w, 1, &len, NULL));
	cr_assert_eq(len, 200);
	wire_pop(w, 1);
	cr_assert_not_null(wire_peek(w, 1, &len, NULL));
	cr_assert_eq(len, 200);
	wire_pop(w, 1);
	cr_assert_not_null(wire_peek(w, 1, &len, NULL));
	cr_assert_eq(len, 100);
}

Test(wire, test_wire_jitter_keeps_the_order)
{
	struct wire_path p = {.jitter = 100000};
	uint64_t at, last = 0, spread = 0;
	unsigned len;

	pair(&p);
	for (unsigned i = 0; i < 200; i++)
		put(0, 1, 60 + i, i * 1000 + 1);
	wire_run(w, NSEC_PER_SEC);
	for (unsigned i = 0; i < 200; i++) {
		cr_assert_not_null(wire_peek(w, 1, &len, &at));
		cr_assert_eq(len, 60 + i);
		cr_assert(at >= last);
		spread += at - (i * 1000 + 1);
		last = at;
		wire_pop(w, 1);
	}
	cr_assert(spread > 200 * 50000ull);
}

/* Two faults that cancel each other in a checksum would be our fault, not the stack's. */
Test(wire, test_wire_corrupt_is_one_bit_over_any_number_of_links)
{
	struct wire_path p = {.corrupt = 1};
	uint8_t sent[600];
	const uint8_t *f;
	unsigned len, bits;

	cr_assert_eq(wire_add_end(w, 0), 0);
	cr_assert_eq(wire_add_switch(w), 1);
	cr_assert_eq(wire_add_end(w, 0), 2);
	cr_assert_eq(wire_add_link(w, 0, 1, &p, &p), 0);
	cr_assert_eq(wire_add_link(w, 1, 2, &p, &p), 1);
	for (unsigned i = 1; i < 100; i++) {
		frame_of(sent, 0, 2, sizeof(sent));
		cr_assert_eq(wire_input(w, 0, sent, sizeof(sent), i), 0);
		wire_run(w, i);
		f = wire_peek(w, 2, &len, NULL);
		cr_assert_not_null(f);
		bits = 0;
		for (unsigned k = 0; k < len; k++)
			bits += (unsigned)__builtin_popcount(f[k] ^ sent[k]);
		cr_assert_eq(bits, 1);
		wire_pop(w, 2);
	}
}

Test(wire, test_wire_too_large_is_dropped_and_answered_rfc1191)
{
	struct wire_path p = {.mtu = 600, .mtu_icmp = true};
	const uint8_t *f;
	unsigned len;

	pair(&p);
	put(0, 1, 614, 1);
	put(0, 1, 615, 2);
	wire_run(w, 10);
	cr_assert_eq(drain(1), 1);
	f = wire_peek(w, 0, &len, NULL);
	cr_assert_not_null(f);
	cr_assert_eq(len, 14 + 20 + 8 + 28);
	cr_assert_eq(f[34], 3);
	cr_assert_eq(f[35], 4);
	cr_assert_eq(f[40] << 8 | f[41], 600);
	cr_assert_eq(f[29], 1, "from the packet's destination");
	cr_assert_eq(f[33], 0, "to its source");
	cr_assert_neq(frame_verify_csum(f, len), CHECKSUM_BAD);
	p.mtu_icmp = false;
	cr_assert_eq(wire_set_path(w, 0, false, &p), 0);
	wire_pop(w, 0);
	put(0, 1, 615, 20);
	wire_run(w, 30);
	cr_assert_null(wire_peek(w, 0, &len, NULL));
	cr_assert_eq(wire_path_stats(w, 0, false)->too_big, 2);
}

Test(wire, test_wire_cut_loses_what_enters_and_what_is_under_way)
{
	struct wire_path p = {.delay = 1000};

	pair(&p);
	put(0, 1, 60, 1);
	p.cut = true;
	cr_assert_eq(wire_set_path(w, 0, false, &p), 0);
	put(0, 1, 60, 2);
	wire_run(w, 5000);
	p.cut = false;
	cr_assert_eq(wire_set_path(w, 0, false, &p), 0);
	put(0, 1, 60, 5001);
	wire_run(w, 10000);
	cr_assert_eq(drain(1), 1);
	cr_assert_eq(wire_path_stats(w, 0, false)->cut, 2);
}

Test(wire, test_wire_full_ring_misses_frames)
{
	cr_assert_eq(wire_add_end(w, 0), 0);
	cr_assert_eq(wire_add_end(w, 4), 1);
	cr_assert_eq(wire_add_link(w, 0, 1, &perfect, &perfect), 0);
	for (int i = 0; i < 6; i++)
		put(0, 1, 60, 1);
	wire_run(w, 1);
	cr_assert_eq(wire_missed(w, 1), 2);
	cr_assert_eq(drain(1), 4);
}

Test(wire, test_wire_switch_floods_then_knows)
{
	int sw = wire_add_switch(w);

	for (int i = 0; i < 3; i++) {
		int end = wire_add_end(w, 0);

		cr_assert_eq(wire_add_link(w, end, sw, &perfect, &perfect), i);
	}
	put(1, 2, 60, 1);
	wire_run(w, 1);
	cr_assert_eq(drain(2), 1);
	cr_assert_eq(drain(3), 1, "nobody knows where 2 is");
	cr_assert_eq(drain(1), 0);
	put(2, 1, 60, 2);
	put(1, 2, 60, 3);
	wire_run(w, 3);
	cr_assert_eq(drain(1), 1);
	cr_assert_eq(drain(2), 1);
	cr_assert_eq(drain(3), 0);
	put(3, 0xff, 60, 4);
	wire_run(w, 4);
	cr_assert_eq(drain(1) + drain(2), 2);
}

Test(wire, test_wire_refuses_loops_second_links_and_nonsense)
{
	struct wire_path bad = {.loss = 1.5};
	int a = wire_add_switch(w), b = wire_add_switch(w), c = wire_add_switch(w);
	int e = wire_add_end(w, 0);
	uint8_t f[20] = {0};

	cr_assert_geq(wire_add_link(w, a, b, &perfect, &perfect), 0);
	cr_assert_geq(wire_add_link(w, b, c, &perfect, &perfect), 0);
	cr_assert_eq(wire_add_link(w, a, c, &perfect, &perfect), -ELOOP);
	cr_assert_eq(wire_add_link(w, a, a, &perfect, &perfect), -ELOOP);
	cr_assert_geq(wire_add_link(w, e, c, &perfect, &perfect), 0);
	cr_assert_eq(wire_add_link(w, e, a, &perfect, &perfect), -EBUSY);
	cr_assert_eq(wire_add_link(w, a, 99, &perfect, &perfect), -EINVAL);
	cr_assert_eq(wire_add_link(w, a, c, &bad, &perfect), -EINVAL);
	bad.loss = 0.0 / 0.0;
	cr_assert_eq(wire_set_path(w, 0, false, &bad), -EINVAL);
	cr_assert_eq(wire_input(w, e, f, 13, 1), -EINVAL);
}

struct log {
	uint64_t hash;
	unsigned n;
};

/* What a link with all faults does to 2,000 frames, as one number. */
static struct log run_bad(uint64_t seed, double dup)
{
	struct wire_path p = {.rate = 10000000,
			      .delay = 5000,
			      .jitter = 3000,
			      .queue_bytes = 20000,
			      .loss = 0.1,
			      .burst_enter = 0.01,
			      .burst_leave = 0.1,
			      .burst_loss = 0.9,
			      .reorder = 0.1,
			      .reorder_ns = 20000,
			      .dup = dup,
			      .corrupt = 0.05};
	struct log l = {.hash = 1};
	const uint8_t *f;
	struct wire *v;
	uint64_t at;
	unsigned len;

	cr_assert_eq(wire_create(seed, &v), 0);
	cr_assert_eq(wire_add_end(v, 0), 0);
	cr_assert_eq(wire_add_end(v, 0), 1);
	cr_assert_eq(wire_add_link(v, 0, 1, &p, &p), 0);
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t b[1000];

		cr_assert_eq(wire_input(v, 0, b, frame_of(b, 0, 1, 60 + i % 900), i * 400000), 0);
		wire_run(v, i * 400000);
		for (; (f = wire_peek(v, 1, &len, &at)) != NULL; l.n++) {
			for (unsigned k = 0; k < len; k++)
				l.hash = (l.hash ^ f[k]) * 1099511628211ull;
			l.hash = (l.hash ^ at) * 1099511628211ull;
			wire_pop(v, 1);
		}
	}
	wire_destroy(v);
	return l;
}

Test(wire, test_wire_same_seed_is_same_frames_at_same_times)
{
	struct log a = run_bad(7, 0), b = run_bad(7, 0), c = run_bad(8, 0), d = run_bad(7, 1);

	cr_assert_eq(a.hash, b.hash);
	cr_assert_eq(a.n, b.n);
	cr_assert_neq(a.hash, c.hash);
	cr_assert_eq(d.n, 2 * a.n, "what is lost does not depend on duplication");
}

static unsigned stretch(void *ctx, int end, uint8_t *frame, unsigned len, unsigned room,
			uint64_t now)
{
	(void)end;
	(void)now;
	(*(unsigned *)ctx)++;
	cr_assert_geq(room, len + 10);
	memset(frame + len, 0xee, 10);
	return len + 10;
}

Test(wire, test_wire_watch_may_change_what_enters)
{
	unsigned seen = 0, len;
	struct wire_watch watch = {.entering = stretch, .ctx = &seen};

	pair(&perfect);
	wire_set_watch(w, &watch);
	put(0, 1, 60, 1);
	wire_run(w, 1);
	cr_assert_not_null(wire_peek(w, 1, &len, NULL));
	cr_assert_eq(len, 70);
	cr_assert_eq(seen, 1);
}

static unsigned swallow(void *ctx, int end, uint8_t *frame, unsigned len, unsigned room,
			uint64_t now)
{
	(void)ctx;
	(void)room;
	(void)now;
	return end == 0 && frame[5] == 9 ? 0 : len;
}

Test(wire, test_wire_watch_may_swallow_and_a_frame_may_come_by_no_link)
{
	struct wire_watch watch = {.entering = swallow};
	uint8_t f[60], f2[60];
	unsigned len;
	uint64_t at;

	pair(&perfect);
	wire_set_watch(w, &watch);
	put(0, 9, 60, 1);
	cr_assert_eq(wire_next(w), 0);
	put(0, 1, 60, 2);
	wire_run(w, 2);
	cr_assert_eq(wire_arrive(w, 1, f, frame_of(f, 7, 1, 60), 3), 0);
	cr_assert_eq(drain(1), 2);
	cr_assert_eq(wire_arrive(w, 1, f, frame_of(f, 7, 1, 60), 4), 0);
	cr_assert_not_null(wire_peek(w, 1, &len, &at));
	(void)frame_of(f2, 7, 1, 60);
	cr_assert(len == 60 && at == 4 && !memcmp(wire_peek(w, 1, &len, NULL), f2, 60));
	cr_assert_eq(wire_arrive(w, 1, f, ETH_HLEN - 1, 5), -EINVAL);
}

static uint64_t clock_at(void *ctx)
{
	return *(uint64_t *)ctx;
}

Test(wire, test_wire_netdev_carries_frames_of_several_buffers)
{
	uint64_t drops[SKB_DROP_MAX] = {0}, now = 1;
	struct skb_pool *pool = skb_heap_pool_create(64, 2048);
	struct netdev *a, *b;
	struct sk_buff *skb, *rx[4];
	struct netdev_stats st;
	struct skb_cache cache;
	uint8_t f[2000], back[9014];

	skb_cache_init(&cache, pool, drops);
	pair(&perfect);
	cr_assert_eq(wire_netdev(w, 0, 9000, NETDEV_F_TX_SG, clock_at, &now, &a), 0);
	cr_assert_eq(wire_netdev(w, 1, 9000, NETDEV_F_RX_CSUM, clock_at, &now, &b), 0);
	cr_assert_eq(wire_netdev(w, 2, 9000, 0, clock_at, &now, &b), -EINVAL);
	cr_assert_eq(wire_netdev(w, 1, 100, 0, clock_at, &now, &b), -EINVAL);
	skb = skb_alloc(&cache, 64);
	memcpy(skb_put(skb, 1900), f, frame_of(f, 0, 1, 1900));
	for (int i = 0; i < 3; i++) {
		struct sk_buff *frag = skb_alloc(&cache, 0);

		memset(skb_put(frag, 2000), i, 2000);
		skb_append_frag(skb, frag);
	}
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	wire_run(w, now);
	cr_assert_eq(b->ops->next_event(b), 1);
	cr_assert_eq(netdev_rx_burst(b, 0, &cache, rx, 4), 1);
	cr_assert_eq(rx[0]->len, 7900);
	cr_assert_eq(skb_copy_bits(rx[0], 0, back, 7900), 0);
	cr_assert_eq(memcmp(back, f, 1900), 0);
	cr_assert_eq(back[7899], 2);
	skb_free(rx[0]);
	cr_assert_eq(b->ops->next_event(b), 0);
	b->ops->get_stats(b, &st);
	cr_assert_eq(st.rx_bytes, 7900);
	cr_assert(a->ops->link_up(a));
	a->ops->close(a);
	b->ops->close(b);
	skb_cache_fini(&cache);
	cr_assert_eq(pool->ops->avail(pool), 64);
	skb_pool_destroy(pool);
}
