/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK in one process on normal pages: the pool's ownership rules, the net_ring pair,
 * net_null, and the refusals. Criterion gives each test a process, hence its own EAL.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/dpdk_eal.h"
#include "drivers/dpdk_mbuf.h"
#include "drivers/dpdk_netdev.h"
#include "drivers/frame.h"

#define POOL_NR 4095

static struct skb_pool *pool;
static struct skb_cache cache;
static uint64_t drops[SKB_DROP_MAX];
static char err[512];

static void setup(void)
{
	struct dpdk_eal_config cfg = {.mem_bytes = dpdk_pool_bytes(POOL_NR, DPDK_BUF_SIZE)};

	cr_assert_eq(dpdk_eal_start(&cfg, err, sizeof(err)), 0, "%s", err);
	cr_assert_eq(dpdk_pool_create(POOL_NR, DPDK_BUF_SIZE, -1, &pool), 0);
	skb_cache_init(&cache, pool, drops);
}

/* Every test ends with all buffers back. */
static void teardown(void)
{
	skb_cache_fini(&cache);
	cr_assert_eq(cache.outstanding, 0);
	cr_assert_eq(dpdk_pool_in_use(pool), 0);
	skb_pool_destroy(pool);
	dpdk_eal_stop();
}

TestSuite(dpdk, .init = setup, .fini = teardown);

static struct sk_buff *filled(unsigned len, unsigned byte)
{
	struct sk_buff *skb = skb_alloc(&cache, 128);

	cr_assert(skb);
	memset(skb_put(skb, len), (int)byte, len);
	return skb;
}

static void ring_pair(struct netdev **a, struct netdev **b)
{
	cr_assert_eq(dpdk_ring_pair(NULL, pool, a, b, err, sizeof(err)), 0, "%s", err);
}

static struct sk_buff *take_one(struct netdev *dev)
{
	struct sk_buff *skb = NULL;

	return netdev_rx_burst(dev, 0, &cache, &skb, 1) ? skb : NULL;
}

Test(dpdk, test_dpdk_pool_exhausted_gives_what_is_left)
{
	static struct sk_buff *skbs[POOL_NR + 64];
	unsigned n = 0, got;

	while ((got = pool->ops->alloc_bulk(pool, skbs + n, 64)) > 0)
		n += got;
	/* what other threads' caches could hold is none: this thread is the only one */
	cr_assert_eq(n, POOL_NR);
	cr_assert_eq(skbs[0]->len, 0);
	cr_assert_eq(skbs[0]->data, skbs[0]->head);
	cr_assert_eq((uint32_t)(skbs[0]->end - skbs[0]->head), pool->buf_size);
	pool->ops->free_bulk(pool, skbs, n);
}

#define LENT 1024u

static bool among(struct sk_buff *const *skbs, unsigned n, const struct sk_buff *skb)
{
	for (unsigned i = 0; i < n; i++)
		if (skbs[i] == skb)
			return true;
	return false;
}

/* Tells how many of its buffers were none of those. */
static void *take_what_was_lent(void *arg)
{
	struct sk_buff **lent = arg, *skbs[64];
	uintptr_t others = 0;

	cr_assert_eq(dpdk_thread_register(), 0);
	cr_assert_eq(pool->ops->alloc_bulk(pool, skbs, 64), 64);
	for (unsigned i = 0; i < 64; i++)
		others += !among(lent, LENT, skbs[i]);
	pool->ops->free_bulk(pool, skbs, 64);
	dpdk_thread_unregister();
	return (void *)others;
}

/* A stream between two lanes went through the whole pool, and out of the cache: 14 Gbit/s for
 * 45. */
Test(dpdk, test_dpdk_pool_gives_other_threads_what_came_back_last)
{
	static struct sk_buff *lent[LENT];
	void *others;
	pthread_t t;

	cr_assert_eq(pool->ops->alloc_bulk(pool, lent, LENT), LENT);
	pool->ops->free_bulk(pool, lent, LENT);
	cr_assert_eq(pthread_create(&t, NULL, take_what_was_lent, lent), 0);
	cr_assert_eq(pthread_join(t, &others), 0);
	cr_assert_null(others);
}

Test(dpdk, test_dpdk_attach_shares_bytes_until_both_are_freed)
{
	struct sk_buff *skb = filled(1000, 7), *ref;

	cr_assert(skb_writable(skb));
	ref = skb_ref(&cache, skb, 10, 900);
	cr_assert_eq(ref->data, skb->data + 10);
	cr_assert(!skb_writable(skb));
	cr_assert(!skb_writable(ref));
	skb_free(skb);
	skb_cache_flush(&cache);
	cr_assert(skb_writable(ref), "the last one that shows them");
	cr_assert_eq(ref->data[899], 7);
	skb_free(ref);
}

Test(dpdk, test_dpdk_attach_to_attached_counts_the_owner)
{
	struct sk_buff *skb = filled(500, 3), *one, *two;

	one = skb_ref(&cache, skb, 0, 500);
	two = skb_ref(&cache, one, 100, 100);
	skb_free(one);
	skb_cache_flush(&cache);
	cr_assert(!skb_writable(skb));
	skb_free(two);
	skb_cache_flush(&cache);
	cr_assert(skb_writable(skb));
	skb_free(skb);
}

Test(dpdk, test_dpdk_ring_hands_over_the_very_buffer)
{
	struct netdev *a, *b;
	struct sk_buff *skb = filled(60, 1), *rx;

	ring_pair(&a, &b);
	cr_assert(a->features & NETDEV_F_TX_HANDOVER);
	cr_assert(a->features & NETDEV_F_TX_SG);
	cr_assert_eq(a->tx_copybreak, 256);
	cr_assert_neq(memcmp(a->dev_addr, b->dev_addr, ETH_ALEN), 0);
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	cr_assert_eq(cache.outstanding, 0);
	cr_assert_null(take_one(a));
	rx = take_one(b);
	cr_assert_eq(rx, skb);
	cr_assert_eq(rx->len, 60);
	cr_assert_eq(rx->dev, b);
	cr_assert_eq(rx->ip_summed, CHECKSUM_UNKNOWN);
	cr_assert(skb_writable(rx));
	skb_free(rx);
	a->ops->close(a);
	b->ops->close(b);
}

Test(dpdk, test_dpdk_ring_chain_with_shared_payload_comes_whole)
{
	struct netdev *a, *b;
	struct sk_buff *payload = filled(1000, 9), *hdr = filled(54, 1), *rx;

	ring_pair(&a, &b);
	skb_append_frag(payload, filled(501, 8));
	skb_append_frag(hdr, skb_ref(&cache, payload, 700, 600));
	cr_assert_eq(netdev_tx_burst(a, 0, &hdr, 1), 1);
	rx = take_one(b);
	cr_assert_eq(rx->len, 654);
	cr_assert_eq(rx->data_len, 600);
	cr_assert(skb_writable(rx));
	cr_assert(!skb_writable(rx->frag));
	cr_assert_eq(rx->frag->len, 300);
	cr_assert_eq(rx->frag->data[0], 9);
	cr_assert_eq(rx->frag->frag->len, 300);
	cr_assert_eq(rx->frag->frag->data[299], 8);
	cr_assert_null(rx->frag->frag->frag);
	skb_free(payload);
	skb_free(rx);
	a->ops->close(a);
	b->ops->close(b);
}

/* The sender's skb is gone before the receiver frees: the buffer's owner comes back last. */
Test(dpdk, test_dpdk_ring_receiver_frees_last_reference)
{
	struct netdev *a, *b;

	ring_pair(&a, &b);
	for (unsigned i = 0; i < 3 * POOL_NR; i++) {
		struct sk_buff *payload = filled(1000, i & 0xff), *hdr = filled(54, 1), *rx;

		skb_append_frag(hdr, skb_ref(&cache, payload, 0, 1000));
		cr_assert_eq(netdev_tx_burst(a, 0, &hdr, 1), 1);
		skb_free(payload);
		skb_cache_flush(&cache);
		rx = take_one(b);
		cr_assert_eq(rx->frag->data[999], i & 0xff);
		skb_free(rx);
	}
	cr_assert_eq(cache.alloc_fail, 0);
	a->ops->close(a);
	b->ops->close(b);
}

Test(dpdk, test_dpdk_ring_full_leaves_chains_usable)
{
	struct netdev *a, *b;
	struct sk_buff *tx[64], *rx[64];
	unsigned sent = 0, n, got = 0;

	ring_pair(&a, &b);
	do {
		for (n = 0; n < 64; n++) {
			tx[n] = filled(54, 1);
			skb_append_frag(tx[n], filled(100, 2));
		}
		n = netdev_tx_burst(a, 0, tx, 64);
		sent += n;
	} while (n == 64);
	/* the rest is whole and the caller's: a fragment may be freed alone */
	for (unsigned i = n; i < 64; i++) {
		cr_assert_eq(tx[i]->len, 154);
		skb_trim(tx[i], 54);
		skb_free(tx[i]);
	}
	while ((n = netdev_rx_burst(b, 0, &cache, rx, 64)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			cr_assert_eq(rx[i]->len, 154);
			skb_free(rx[i]);
		}
		got += n;
	}
	cr_assert_eq(sent, got);
	a->ops->close(a);
	b->ops->close(b);
}

Test(dpdk, test_dpdk_ring_close_frees_frames_under_way)
{
	struct netdev *a, *b;
	struct sk_buff *skb = filled(60, 1);

	ring_pair(&a, &b);
	skb_append_frag(skb, filled(100, 2));
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	b->ops->close(b);
	a->ops->close(a);
}

Test(dpdk, test_dpdk_ring_partial_checksum_is_finished_by_driver)
{
	static const uint8_t hdr[54] = {
		0x02, 0, 0,  0,  0,    0x0b, 0x02, 0, 0,    0,    0, 0x0a, 0x08, 0x00,
		0x45, 0, 0,  45, 0,    1,    0x40, 0, 64,   6,    0, 0,    10,   0,
		0,    1, 10, 0,  0,    2,    4,    0, 0,    7,    0, 0,    0,    1,
		0,    0, 0,  2,  0x50, 0x18, 0x10, 0, 0x14, 0x22, 0, 0, /* 0a00 + 0001 + 0a00 + 0002
									   + 6 + 25 */
	};
	struct netdev *a, *b;
	struct sk_buff *skb = filled(59, 5), *rx;

	ring_pair(&a, &b);
	memcpy(skb->data, hdr, 54);
	skb->ip_summed = CHECKSUM_PARTIAL;
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	rx = take_one(b);
	cr_assert_eq(frame_verify_csum(rx->data, rx->len), CHECKSUM_GOOD);
	skb_free(rx);
	a->ops->close(a);
	b->ops->close(b);
}

Test(dpdk, test_dpdk_null_device_swallows_and_serves)
{
	struct netdev *dev;
	struct sk_buff *skb = filled(60, 1), *rx[64];
	struct netdev_stats st;
	unsigned n;

	cr_assert_eq(dpdk_netdev_open("net_null0", NULL, pool, &dev, err, sizeof(err)), 0, "%s",
		     err);
	cr_assert_str_eq(dpdk_netdev_driver(dev), "net_null");
	cr_assert_eq(dev->ops->get_fd(dev, 0), -EOPNOTSUPP);
	skb_append_frag(skb, filled(200, 2));
	cr_assert_eq(netdev_tx_burst(dev, 0, &skb, 1), 1);
	n = netdev_rx_burst(dev, 0, &cache, rx, 64);
	cr_assert_eq(n, 64);
	for (unsigned i = 0; i < n; i++) {
		cr_assert_eq(rx[i]->len, 64);
		skb_free(rx[i]);
	}
	dev->ops->get_stats(dev, &st);
	cr_assert_eq(st.rx_packets, 64);
	cr_assert_eq(st.tx_packets, 1);
	dev->ops->close(dev);
}

Test(dpdk, test_dpdk_open_twice_is_refused)
{
	struct netdev *dev, *again;

	cr_assert_eq(dpdk_netdev_open("net_null0", NULL, pool, &dev, err, sizeof(err)), 0, "%s",
		     err);
	cr_assert_eq(dpdk_netdev_open("net_null0", NULL, pool, &again, err, sizeof(err)), -EEXIST);
	dev->ops->close(dev);
	cr_assert_eq(dpdk_netdev_open("net_null0", NULL, pool, &dev, err, sizeof(err)), 0,
		     "after close it opens again: %s", err);
	dev->ops->close(dev);
}

Test(dpdk, test_dpdk_unknown_device_says_so_in_one_line)
{
	static const char *const bad[] = {"net_foo0",
					  "",
					  ",iface=x",
					  "0000:ff:1f.7",
					  "net_af_packet0",
					  "net_af_packet0,iface=nosuchif0",
					  "net_tap0,ifcae=pl0",
					  "net_tap0,iface=longer_than_15_characters",
					  "net_memif0,role=king",
					  "eth0"};
	struct netdev *dev;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		err[0] = 0;
		cr_assert_lt(dpdk_netdev_open(bad[i], NULL, pool, &dev, err, sizeof(err)), 0);
		cr_assert_gt(strlen(err), 10, "%s", bad[i]);
		cr_assert_null(strchr(err, '\n'), "%s", err);
	}
}

Test(dpdk, test_dpdk_bad_mtu_and_queues_are_refused)
{
	struct dpdk_netdev_config cfg = {.mtu = 100};
	struct netdev *dev, *b;

	cr_assert_eq(dpdk_netdev_open("net_null0", &cfg, pool, &dev, err, sizeof(err)), -EINVAL);
	cfg = (struct dpdk_netdev_config){.nr_queues = 17};
	cr_assert_eq(dpdk_ring_pair(&cfg, pool, &dev, &b, err, sizeof(err)), -EINVAL);
}

Test(dpdk, test_dpdk_eal_keeps_callers_affinity)
{
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	cr_assert_eq(CPU_COUNT(&set), (int)sysconf(_SC_NPROCESSORS_ONLN));
}

Test(dpdk, test_dpdk_eal_leaves_no_runtime_directory)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/var/run/dpdk/parklane%d", (int)getpid());
	cr_assert_neq(access(path, F_OK), 0);
}

/* A number that no process has, as text behind our prefix. */
static const char *dead(char *buf, size_t size)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	(void)snprintf(buf, size, "parklane%d", (int)pid);
	return buf;
}

Test(dpdk_orphans, test_dpdk_orphans_of_dead_processes_are_removed_and_nothing_else)
{
	char dir[] = "/tmp/parklane-test-XXXXXX", gone[32], full[32], link[32], ours[32];
	const char *const stays[] = {full, link, ours, "parklane", "parklane1x", "rte", "target"};
	int fd;

	cr_assert(mkdtemp(dir) && chdir(dir) == 0);
	cr_assert_eq(mkdir(dead(gone, sizeof(gone)), 0700), 0);
	cr_assert_eq(mkdir(dead(full, sizeof(full)), 0700), 0);
	cr_assert_eq(chdir(full), 0);
	fd = creat("something", 0600);
	cr_assert(fd >= 0 && close(fd) == 0 && chdir("..") == 0);
	cr_assert_eq(mkdir("target", 0700), 0);
	cr_assert_eq(symlink("target", dead(link, sizeof(link))), 0);
	(void)snprintf(ours, sizeof(ours), "parklane%d", (int)getpid());
	cr_assert(mkdir(ours, 0700) == 0 && mkdir("parklane", 0700) == 0 &&
		  mkdir("parklane1x", 0700) == 0 && mkdir("rte", 0700) == 0);

	dpdk_remove_orphans(dir);
	cr_assert_neq(access(gone, F_OK), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(stays); i++) {
		cr_expect_eq(faccessat(AT_FDCWD, stays[i], F_OK, AT_SYMLINK_NOFOLLOW), 0, "%s",
			     stays[i]);
		if (stays[i] == full)
			(void)unlinkat(AT_FDCWD, strcat(strcpy(gone, full), "/something"), 0);
		(void)(stays[i] == link ? unlink(link) : rmdir(stays[i]));
	}
	cr_expect_eq(rmdir(dir), 0);
}

#define MANY 30000u

static void *bounce(void *arg)
{
	static struct skb_cache his;
	static uint64_t his_drops[SKB_DROP_MAX];
	struct netdev *dev = arg;
	unsigned seen = 0;

	cr_assert_eq(dpdk_thread_register(), 0);
	skb_cache_init(&his, pool, his_drops);
	while (seen < MANY) {
		struct sk_buff *skbs[32];
		unsigned n = netdev_rx_burst(dev, 0, &his, skbs, 32), done = 0;

		if (!n)
			sched_yield();
		seen += n;
		while (done < n)
			done += netdev_tx_burst(dev, 0, skbs + done, n - done);
	}
	skb_cache_fini(&his);
	dpdk_thread_unregister();
	return NULL;
}

Test(dpdk, test_dpdk_ring_between_threads_loses_nothing)
{
	struct netdev *a, *b;
	unsigned sent = 0, back = 0;
	pthread_t t;

	ring_pair(&a, &b);
	cr_assert_eq(pthread_create(&t, NULL, bounce, b), 0);
	while (back < MANY) {
		struct sk_buff *skbs[32];
		unsigned n;

		if (sent < MANY && sent - back < 256) {
			skbs[0] = filled(60, sent & 0xff);
			sent += netdev_tx_burst(a, 0, skbs, 1);
		} else {
			sched_yield();
		}
		n = netdev_rx_burst(a, 0, &cache, skbs, 32);
		for (unsigned i = 0; i < n; i++, back++) {
			cr_assert_eq(skbs[i]->data[59], back & 0xff);
			skb_free(skbs[i]);
		}
	}
	cr_assert_eq(pthread_join(t, NULL), 0);
	a->ops->close(a);
	b->ops->close(b);
}

/* Without EAL running: what does not fit is refused before anything is taken. */
Test(dpdk_eal, test_dpdk_eal_too_much_memory_is_one_line)
{
	struct dpdk_eal_config cfg = {.mem_bytes = (size_t)1 << 50};

	cr_assert_eq(dpdk_eal_start(&cfg, err, sizeof(err)), -ENOMEM);
	cr_assert(strstr(err, "does not fit"));
	cfg.huge = DPDK_HUGE_NEED;
	cr_assert_eq(dpdk_eal_start(&cfg, err, sizeof(err)), -ENOENT);
	cr_assert(strstr(err, "nr_hugepages"));
	cr_assert_null(strchr(err, '\n'));
}
