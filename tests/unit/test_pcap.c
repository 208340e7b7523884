/* SPDX-License-Identifier: BSD-3-Clause */
/* The capture read back: header, records, time stamps, good checksums, a full disk. */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "drivers/frame.h"
#include "drivers/loop.h"
#include "drivers/pcap.h"

#define POOL_NR 256

static struct skb_pool *pool;
static struct skb_cache cache;
static uint64_t drops[SKB_DROP_MAX];
static struct netdev *a, *b;
static uint64_t fake_now = 1700000000123456789ull;
static char path[64];
static unsigned reports;

static uint64_t fake_clock(void *ctx)
{
	(void)ctx;
	return fake_now;
}

static void on_report(void *ctx, const char *line)
{
	(void)ctx;
	cr_assert(strstr(line, "capture stopped"));
	reports++;
}

static void setup(void)
{
	int fd;

	pool = skb_heap_pool_create(POOL_NR, 2048);
	cr_assert(pool);
	skb_cache_init(&cache, pool, drops);
	strcpy(path, "/tmp/parklane-test-pcap-XXXXXX");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
}

static void teardown(void)
{
	unlink(path);
	skb_cache_fini(&cache);
	cr_assert_eq(pool->ops->avail(pool), POOL_NR);
	skb_pool_destroy(pool);
}

TestSuite(pcap, .init = setup, .fini = teardown);

static void open_on(const char *file, uint32_t ring)
{
	struct pcap_config cfg = {.path = file, .now = fake_clock, .report = on_report};
	struct loop_config lc;
	struct netdev *inner;
	char err[256];

	loop_config_init(&lc);
	lc.features = NETDEV_F_TX_SG | NETDEV_F_TX_IP_CSUM | NETDEV_F_TX_TCP_CSUM;
	lc.ring_size = ring;
	cr_assert_eq(loop_pair(&lc, &inner, &b), 0);
	cr_assert_eq(pcap_wrap(inner, &cfg, &a, err, sizeof(err)), 0, "%s", err);
}

static void close_both(void)
{
	a->ops->close(a);
	b->ops->close(b);
}

static struct sk_buff *filled(unsigned len, unsigned byte)
{
	struct sk_buff *skb = skb_alloc(&cache, 64);

	memset(skb_put(skb, len), (int)byte, len);
	return skb;
}

static uint32_t word(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static size_t slurp(uint8_t *buf, size_t max)
{
	FILE *f = fopen(path, "r");
	size_t n;

	cr_assert(f);
	n = fread(buf, 1, max, f);
	fclose(f);
	return n;
}

Test(pcap, test_pcap_file_holds_frames_of_both_ways)
{
	static uint8_t buf[8192];
	struct sk_buff *skb = filled(60, 1), *rx;
	const uint8_t *p = buf + 24;

	open_on(path, 16);
	skb_append_frag(skb, filled(40, 2));
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	fake_now += 1500000000ull;
	skb = filled(70, 3);
	cr_assert_eq(netdev_tx_burst(b, 0, &skb, 1), 1);
	cr_assert_eq(netdev_rx_burst(a, 0, &cache, &rx, 1), 1);
	cr_assert_eq(rx->dev, a);
	skb_free(rx);
	close_both();
	cr_assert_eq(slurp(buf, sizeof(buf)), 24 + 16 + 100 + 16 + 70);
	cr_assert_eq(word(buf), 0xa1b23c4d);
	cr_assert_eq(word(buf + 20), 1, "Ethernet");
	cr_assert_eq(word(p), 1700000000);
	cr_assert_eq(word(p + 4), 123456789);
	cr_assert_eq(word(p + 8), 100);
	cr_assert_eq(word(p + 12), 100);
	cr_assert_eq(p[16 + 59], 1);
	cr_assert_eq(p[16 + 60], 2);
	p += 116;
	cr_assert_eq(word(p), 1700000001);
	cr_assert_eq(word(p + 4), 623456789);
	cr_assert_eq(word(p + 8), 70);
	cr_assert_eq(p[16], 3);
}

Test(pcap, test_pcap_partial_checksum_is_good_in_the_file_only)
{
	static uint8_t buf[8192];
	struct sk_buff *skb = filled(54, 0), *keep = filled(33, 9);
	uint32_t sum = 6 + 53 + 2 * 0x0a00 + 1 + 2;

	open_on(path, 16);
	skb->data[12] = 8;
	memcpy(skb->data + 14,
	       (uint8_t[20]){0x45, 0, 0, 73, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2},
	       20);
	skb->data[50] = (uint8_t)(sum >> 8);
	skb->data[51] = (uint8_t)sum;
	skb_append_frag(skb, skb_ref(&cache, keep, 0, 33));
	skb->ip_summed = CHECKSUM_PARTIAL;
	cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
	close_both();
	cr_assert_eq(slurp(buf, sizeof(buf)), 24 + 16 + 87);
	cr_assert_eq(frame_verify_csum(buf + 40, 87), CHECKSUM_GOOD);
	skb_free(keep);
}

Test(pcap, test_pcap_frame_that_device_refused_is_not_written)
{
	static uint8_t buf[8192];
	struct sk_buff *tx[4];

	open_on(path, 2);
	for (unsigned i = 0; i < 4; i++)
		tx[i] = filled(60, i);
	cr_assert_eq(netdev_tx_burst(a, 0, tx, 4), 2);
	skb_free(tx[2]);
	skb_free(tx[3]);
	close_both();
	cr_assert_eq(slurp(buf, sizeof(buf)), 24 + 2 * 76);
}

Test(pcap, test_pcap_full_disk_at_open_is_refused)
{
	struct pcap_config cfg = {.path = "/dev/full", .now = fake_clock, .report = on_report};
	struct netdev *inner;
	char err[256];

	/* the header cannot be written: refused at once, inner stays ours */
	cr_assert_eq(loop_pair(NULL, &inner, &b), 0);
	cr_assert_eq(pcap_wrap(inner, &cfg, &a, err, sizeof(err)), -ENOSPC);
	cr_assert(strstr(err, "/dev/full"));
	inner->ops->close(inner);
	b->ops->close(b);
	cr_assert_eq(reports, 0);
}

Test(pcap, test_pcap_file_that_cannot_be_made_is_refused)
{
	struct pcap_config cfg = {.path = "/nonexistent/x.pcap", .now = fake_clock};
	struct netdev *inner;
	char err[256];

	cr_assert_eq(loop_pair(NULL, &inner, &b), 0);
	cr_assert_eq(pcap_wrap(inner, &cfg, &a, err, sizeof(err)), -ENOENT);
	cr_assert(strstr(err, "/nonexistent/x.pcap"));
	inner->ops->close(inner);
	b->ops->close(b);
}

/* The limit on file size stands for a disk that fills up while the capture runs. */
Test(pcap, test_pcap_write_error_stops_capture_only)
{
	const struct rlimit small = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
	struct sk_buff *skb, *rx;

	signal(SIGXFSZ, SIG_IGN);
	open_on(path, 16);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (unsigned i = 0; i < 300; i++) {
		fake_now += 2000000000ull;
		skb = filled(60, i & 0xff);
		cr_assert_eq(netdev_tx_burst(a, 0, &skb, 1), 1);
		cr_assert_eq(netdev_rx_burst(b, 0, &cache, &rx, 1), 1);
		skb_free(rx);
	}
	close_both();
	cr_assert_eq(reports, 1);
}
