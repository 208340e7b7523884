/* SPDX-License-Identifier: BSD-3-Clause */
/* The facade: device, pool and decorators in one call and away in one; refusals. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <unistd.h>

#include "drivers/open.h"

static char err[512];

static struct netdev_spec small(void)
{
	return (struct netdev_spec){.dev = "net_null0", .pool_nr = 2047};
}

Test(open, test_open_decorated_device_works_and_closes)
{
	static uint64_t drops[SKB_DROP_MAX];
	static struct skb_cache cache;
	struct netdev_spec spec = small();
	struct netdev_handle h;
	struct fault_stats st;
	struct sk_buff *skb;
	char path[64];

	(void)snprintf(path, sizeof(path), "/tmp/parklane-test-open-%d.pcap", (int)getpid());
	spec.pcap = path;
	spec.fault = "tx.loss=1,seed=3";
	/* twice: the memory of the first is there for the second */
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(netdev_open_spec(&spec, &h, err, sizeof(err)), 0, "%s", err);
		cr_assert_eq(netdev_thread_begin(), 0);
		skb_cache_init(&cache, h.pool, drops);
		skb = skb_alloc(&cache, 64);
		memset(skb_put(skb, 60), 0, 60);
		cr_assert_eq(netdev_tx_burst(h.dev, 0, &skb, 1), 1);
		cr_assert_eq(netdev_rx_burst(h.dev, 0, &cache, &skb, 1), 1);
		skb_free(skb);
		fault_get_stats(h.fault, FAULT_TX, &st);
		cr_assert_eq(st.hit[FAULT_LOSS], 1);
		skb_cache_fini(&cache);
		netdev_thread_end();
		netdev_close_spec(&h);
		cr_assert_null(h.dev);
	}
	cr_assert_eq(access(path, R_OK), 0);
	unlink(path);
}

Test(open, test_open_pair_carries_frames)
{
	static uint64_t drops[SKB_DROP_MAX];
	static struct skb_cache cache;
	struct netdev_spec spec = small();
	struct netdev_handle h;
	struct sk_buff *skb;

	spec.dev = NULL;
	cr_assert_eq(netdev_open_pair(&spec, &h, err, sizeof(err)), 0, "%s", err);
	skb_cache_init(&cache, h.pool, drops);
	skb = skb_alloc(&cache, 64);
	memset(skb_put(skb, 60), 0, 60);
	cr_assert_eq(netdev_tx_burst(h.peer, 0, &skb, 1), 1);
	cr_assert_eq(netdev_rx_burst(h.dev, 0, &cache, &skb, 1), 1);
	skb_free(skb);
	skb_cache_fini(&cache);
	netdev_close_spec(&h);
}

Test(open, test_open_bad_input_is_one_line)
{
	struct netdev_spec bad[5];
	struct netdev_handle h;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = small();
	bad[0].fault = "loss=7";
	bad[1].pcap = "/nonexistent/dir/x.pcap";
	bad[2].dev = "net_nosuch0";
	bad[3].pool_nr = 3;
	bad[4].mtu = 20;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		err[0] = 0;
		cr_assert_lt(netdev_open_spec(&bad[i], &h, err, sizeof(err)), 0, "%u", i);
		cr_assert_gt(strlen(err), 10);
		cr_assert_null(strchr(err, '\n'));
	}
	cr_assert_eq(netdev_open_spec(&(struct netdev_spec){.dev = "net_null0", .pool_nr = 2047},
				      &h, err, sizeof(err)),
		     0, "nothing was left behind: %s", err);
	netdev_close_spec(&h);
}

/* Node 0 is there on every machine, 31 on next to none. */
Test(open, test_open_node_that_is_missing_is_replaced_by_any)
{
	static const int nodes[] = {-1, 0, 31, 1000};
	struct netdev_spec spec = small();
	struct netdev_handle h;

	for (unsigned i = 0; i < ARRAY_SIZE(nodes); i++) {
		spec.node = nodes[i];
		cr_assert_eq(netdev_open_spec(&spec, &h, err, sizeof(err)), 0, "node %d: %s",
			     nodes[i], err);
		netdev_close_spec(&h);
	}
}
