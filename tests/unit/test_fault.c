/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults over a loop pair: parser, replay from a seed, holding, corruption, no leaks. */
#include <criterion/criterion.h>

#include "drivers/fault.h"
#include "drivers/frame.h"
#include "drivers/loop.h"

#define POOL_NR 1024

static struct skb_pool *pool;
static struct skb_cache cache;
static uint64_t drops[SKB_DROP_MAX];
static struct netdev *a, *b; /* a is decorated, b the bare other end */
static uint64_t fake_now;

static uint64_t fake_clock(void *ctx)
{
	(void)ctx;
	return fake_now;
}

static void setup(void)
{
	pool = skb_heap_pool_create(POOL_NR, 2048);
	cr_assert(pool);
	skb_cache_init(&cache, pool, drops);
	fake_now = 1000;
}

static void teardown(void)
{
	if (a)
		a->ops->close(a);
	if (b)
		b->ops->close(b);
	skb_cache_fini(&cache);
	cr_assert_eq(pool->ops->avail(pool), POOL_NR);
	skb_pool_destroy(pool);
}

TestSuite(fault, .init = setup, .fini = teardown);

static void open_with(const char *text, uint32_t features)
{
	struct loop_config cfg;
	struct fault_spec spec;
	struct netdev *inner;
	char err[256];

	loop_config_init(&cfg);
	cfg.features = features;
	cr_assert_eq(fault_parse(text, &spec, err, sizeof(err)), 0, "%s", err);
	cr_assert_eq(loop_pair(&cfg, &inner, &b), 0);
	cr_assert_eq(fault_wrap(inner, &spec, fake_clock, NULL, &a), 0);
}

/* An IPv4 packet with a good TCP checksum, number `nr` in its identification field. */
static struct sk_buff *packet(uint16_t nr, bool partial)
{
	struct sk_buff *skb = skb_alloc(&cache, 64);
	uint8_t *p = skb_put(skb, 114);
	uint32_t sum = 6 + 80 + 2 * 0x0a00 + 1 + 2;

	memset(p, 0x5a, 114);
	p[12] = 8;
	p[13] = 0;
	memcpy(p + 14,
	       (uint8_t[20]){0x45, 0, 0, 100, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2},
	       20);
	memcpy(p + 18, &nr, 2);
	p[50] = (uint8_t)(sum >> 8);
	p[51] = (uint8_t)sum;
	if (partial)
		skb->ip_summed = CHECKSUM_PARTIAL;
	else
		frame_finish_csum(p, 114);
	return skb;
}

static void send_on(struct netdev *dev, uint16_t nr)
{
	struct sk_buff *skb = packet(nr, false);

	cr_assert_eq(netdev_tx_burst(dev, 0, &skb, 1), 1);
}

/* Receives all that waits at dev; numbers into nrs[]. */
static unsigned receive(struct netdev *dev, uint16_t *nrs, unsigned max)
{
	struct sk_buff *rx[16];
	unsigned n, got = 0;

	while ((n = netdev_rx_burst(dev, 0, &cache, rx, 16)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			cr_assert_lt(got, max);
			cr_assert_eq(rx[i]->dev, dev);
			memcpy(&nrs[got++], rx[i]->data + 18, 2);
			skb_free(rx[i]);
		}
	}
	return got;
}

Test(fault, test_fault_parse_accepts_both_and_single_directions)
{
	struct fault_spec s;
	char err[256];

	cr_assert_eq(fault_parse("loss=0.02,reorder=0.5,seed=7", &s, err, sizeof(err)), 0);
	cr_assert_float_eq(s.p[FAULT_RX][FAULT_LOSS], 0.02, 1e-9);
	cr_assert_float_eq(s.p[FAULT_TX][FAULT_REORDER], 0.5, 1e-9);
	cr_assert_eq(s.seed, 7);
	cr_assert_eq(fault_parse("tx.loss=1,rx.dup=0.1,corrupt=0", &s, err, sizeof(err)), 0);
	cr_assert_float_eq(s.p[FAULT_TX][FAULT_LOSS], 1, 1e-9);
	cr_assert_float_eq(s.p[FAULT_RX][FAULT_LOSS], 0, 1e-9);
	cr_assert_float_eq(s.p[FAULT_RX][FAULT_DUP], 0.1, 1e-9);
	cr_assert_eq(s.seed, 1);
}

Test(fault, test_fault_parse_refuses_with_one_line)
{
	static const char *const bad[] = {
		"",          "loss",      "loss=",  "loss=2",  "loss=-0.1",   "loss=nan",
		"los=0.1",   "loss=0.1,", "seed=x", "seed=-1", "xx.loss=0.1", "loss=0.1 dup=0.1",
		"rx.seed=1", ",loss=0.1"};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fault_spec s = {.seed = 99};
		char err[256] = "";

		cr_assert_lt(fault_parse(bad[i], &s, err, sizeof(err)), 0, "%s", bad[i]);
		cr_assert(strstr(err, "want"), "%s", err);
		cr_assert_null(strchr(err, '\n'));
		cr_assert_eq(s.seed, 99, "untouched on failure");
	}
}

static unsigned run(const char *text, uint16_t *nrs, unsigned max)
{
	unsigned got = 0;

	open_with(text, 0);
	for (uint16_t i = 0; i < 400; i++) {
		send_on(a, i);
		got += receive(b, nrs + got, max - got);
	}
	fake_now += FAULT_HOLD_NS;
	cr_assert_eq(receive(a, nrs, 0), 0);
	got += receive(b, nrs + got, max - got);
	a->ops->close(a);
	b->ops->close(b);
	a = b = NULL;
	return got;
}

Test(fault, test_fault_same_seed_replays)
{
	static uint16_t one[1000], two[1000], other[1000];
	const char *text = "loss=0.1,dup=0.1,reorder=0.1,seed=42";
	unsigned n1 = run(text, one, 1000), n2 = run(text, two, 1000);
	unsigned n3 = run("loss=0.1,dup=0.1,reorder=0.1,seed=43", other, 1000);

	cr_assert_eq(n1, n2);
	cr_assert_eq(memcmp(one, two, n1 * sizeof(*one)), 0);
	cr_assert(n3 != n1 || memcmp(one, other, n1 * sizeof(*one)) != 0);
}

Test(fault, test_fault_one_kind_does_not_move_another)
{
	static uint16_t lone[1000], both[1000];
	unsigned n1 = run("loss=0.2,seed=5", lone, 1000);
	unsigned n2 = run("loss=0.2,dup=0.3,seed=5", both, 1000), k = 0;

	for (unsigned i = 0; i < n2; i++)
		if (!i || both[i] != both[i - 1])
			both[k++] = both[i];
	cr_assert_eq(k, n1, "the same frames are lost");
	cr_assert_eq(memcmp(lone, both, n1 * sizeof(*lone)), 0);
}

Test(fault, test_fault_rates_are_as_asked)
{
	struct fault_stats st;
	uint16_t nrs[64];

	open_with("rx.loss=0.1,rx.dup=0.05,rx.corrupt=0.2,seed=3", 0);
	for (unsigned i = 0; i < 10000; i++) {
		send_on(b, (uint16_t)i);
		(void)receive(a, nrs, 64);
	}
	fault_get_stats(a, FAULT_RX, &st);
	cr_assert_eq(st.frames, 10000);
	cr_assert(st.hit[FAULT_LOSS] > 900 && st.hit[FAULT_LOSS] < 1100);
	cr_assert(st.hit[FAULT_DUP] > 380 && st.hit[FAULT_DUP] < 520);
	cr_assert(st.hit[FAULT_CORRUPT] > 1600 && st.hit[FAULT_CORRUPT] < 2000);
	cr_assert_eq(st.hit[FAULT_REORDER], 0);
	fault_get_stats(a, FAULT_TX, &st);
	cr_assert_eq(st.frames, 0);
}

Test(fault, test_fault_prefix_spares_other_direction)
{
	uint16_t nrs[4];

	open_with("tx.loss=1", 0);
	send_on(a, 1);
	cr_assert_eq(receive(b, nrs, 4), 0);
	send_on(b, 2);
	cr_assert_eq(receive(a, nrs, 4), 1);
	cr_assert_eq(nrs[0], 2);
}

/* The reorder probability of 1 holds all: the third frame lets the first go only if it goes
 * by itself, so the count is fed by duplicates, which are never held. */
Test(fault, test_fault_held_frame_leaves_after_two_more)
{
	uint16_t nrs[8];

	open_with("tx.reorder=1,tx.dup=1", 0);
	send_on(a, 1);
	cr_assert_eq(receive(b, nrs, 8), 1, "the duplicate, which passes the held one");
	send_on(a, 2);
	cr_assert_eq(receive(b, nrs, 8), 2);
	cr_assert_eq(nrs[0], 2);
	cr_assert_eq(nrs[1], 1, "two have passed it");
}

Test(fault, test_fault_held_frame_leaves_after_1ms)
{
	uint16_t nrs[4];

	open_with("reorder=1", 0);
	cr_assert_eq(a->ops->next_event(a), 0);
	send_on(a, 1);
	send_on(b, 2);
	cr_assert_eq(receive(a, nrs, 4), 0);
	cr_assert_eq(receive(b, nrs, 4), 0);
	cr_assert_eq(a->ops->next_event(a), 1000 + FAULT_HOLD_NS);
	fake_now = 1000 + FAULT_HOLD_NS - 1;
	cr_assert_eq(receive(a, nrs, 4), 0);
	fake_now++;
	cr_assert_eq(receive(a, nrs, 4), 1);
	cr_assert_eq(receive(b, nrs, 4), 1, "polling a sends what its TX side held");
	cr_assert_eq(a->ops->next_event(a), 0);
}

Test(fault, test_fault_corrupt_breaks_checksum_not_the_source)
{
	for (unsigned i = 0; i < 200; i++) {
		struct sk_buff *skb, *keep, *rx;

		if (!a)
			open_with("corrupt=1",
				  NETDEV_F_TX_SG | NETDEV_F_TX_IP_CSUM | NETDEV_F_TX_TCP_CSUM);
		keep = packet((uint16_t)i, true);
		skb = skb_ref(&cache, keep, 0, keep->len);
		skb->ip_summed = CHECKSUM_PARTIAL;
		cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
		cr_assert_eq(netdev_rx_burst(b, 0, &cache, &rx, 1), 1);
		cr_assert_neq(frame_verify_csum(rx->data, rx->len), CHECKSUM_GOOD);
		skb_free(rx);
		frame_finish_csum(keep->data, keep->len);
		cr_assert_eq(frame_verify_csum(keep->data, keep->len), CHECKSUM_GOOD);
		skb_free(keep);
	}
}

Test(fault, test_fault_corrupt_withdraws_devices_verdict)
{
	struct sk_buff *rx;

	open_with("rx.corrupt=1", NETDEV_F_RX_CSUM);
	send_on(b, 1);
	cr_assert_eq(netdev_rx_burst(a, 0, &cache, &rx, 1), 1);
	cr_assert_eq(rx->ip_summed, CHECKSUM_UNKNOWN);
	skb_free(rx);
}

Test(fault, test_fault_full_device_pushes_back_and_loses_nothing)
{
	uint16_t nrs[2048];
	unsigned sent = 0;

	open_with("dup=1", 0);
	for (;;) {
		struct sk_buff *skb = packet((uint16_t)sent, false);

		if (netdev_tx_burst(a, 0, &skb, 1)) {
			sent++;
			continue;
		}
		skb_free(skb);
		break;
	}
	cr_assert_neq(a->ops->next_event(a), 0, "it wants to be tried again");
	cr_assert_eq(receive(b, nrs, 2048), 512);
	(void)receive(a, nrs, 0);
	cr_assert_eq(512 + receive(b, nrs, 2048), 2 * sent);
}

Test(fault, test_fault_close_frees_what_is_held)
{
	uint16_t nrs[4];

	open_with("reorder=1", 0);
	send_on(a, 1);
	send_on(b, 1);
	cr_assert_eq(receive(a, nrs, 4), 0);
}
