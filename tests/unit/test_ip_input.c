/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows B6, B7, B13, B14 and B16 of tcp.md, as far as IP answers for them. */
#include "lab.h"

/* One frame must be dropped for `reason`, with no answer and nothing for TCP. */
static void expect_drop(struct lab *l, const uint8_t *b, unsigned n, enum skb_drop_reason reason,
			const char *what)
{
	uint64_t before = lab_drops(l, reason), all = lab_all_drops(l);

	l->f->nr_out = 0;
	fake_tcp.nr_rcv = 0;
	lab_rx(l, b, n);
	cr_assert_eq(lab_drops(l, reason), before + 1, "%s: not dropped as %s", what,
		     skb_drop_name(reason));
	cr_assert_eq(lab_all_drops(l), all + 1, "%s", what);
	cr_assert_eq(fake_tcp.nr_rcv, 0, "%s", what);
	cr_assert_eq(l->f->nr_out, 0, "%s was answered", what);
}

static void expect_tcp(struct lab *l, const uint8_t *b, unsigned n, unsigned l4len)
{
	fake_tcp.nr_rcv = 0;
	lab_rx(l, b, n);
	cr_assert_eq(fake_tcp.nr_rcv, 1);
	cr_assert_eq(fake_tcp.rcv_len, l4len);
}

Test(ip_input, test_ip_tcp_segment_delivered)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	uint8_t seg[33];

	memset(seg, 0xab, sizeof(seg));
	expect_tcp(&l, b, frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, seg, sizeof(seg)),
		   sizeof(seg));
	cr_assert_eq(memcmp(fake_tcp.rcv, seg, sizeof(seg)), 0);
	lab_end(&l);
}

Test(ip_input, test_ip_B6_land_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];

	expect_drop(&l, b, frame_ip(b, LAB_OUR, LAB_OUR, IPPROTO_TCP_, NULL, 20),
		    SKB_DROP_IP_BAD_SRC, "LAND");
	expect_drop(&l, b, frame_icmp(b, LAB_OUR, LAB_OUR, 8, 0, 1, NULL, 0), SKB_DROP_IP_BAD_SRC,
		    "LAND by ICMP");
	lab_end(&l);
}

Test(ip_input, test_ip_B6_own_source_by_loopback_accepted)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	cr_assert_eq(lab_send(&l, &rt, LAB_OUR, 20), 0);
	cr_assert(rt.local);
	cr_assert(stack_next_timer(l.st) <= l.now, "the lane may not sleep on it");
	lab_turn(&l, 1);
	cr_assert_eq(fake_tcp.nr_rcv, 1);
	cr_assert_eq(fake_tcp.rcv_summed, CHECKSUM_GOOD);
	cr_assert_eq(l.f->nr_out, 0);
	lab_end(&l);
}

Test(ip_input, test_ip_B7_bad_sources_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	const uint32_t bad[] = {fake_ip(255, 255, 255, 255),
				fake_ip(10, 0, 0, 255),
				fake_ip(10, 0, 0, 0),
				fake_ip(224, 0, 0, 1),
				fake_ip(239, 255, 255, 255),
				fake_ip(240, 0, 0, 1),
				0,
				fake_ip(0, 1, 2, 3),
				fake_ip(127, 0, 0, 1),
				fake_ip(127, 255, 0, 9),
				LAB_OUR};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_drop(&l, b, frame_ip(b, bad[i], LAB_OUR, IPPROTO_TCP_, NULL, 20),
			    SKB_DROP_IP_BAD_SRC, "TCP from a bad source");
		expect_drop(&l, b, frame_icmp(b, bad[i], LAB_OUR, 8, 0, 1, NULL, 0),
			    SKB_DROP_IP_BAD_SRC, "echo from a bad source");
		expect_drop(&l, b, frame_ip(b, bad[i], LAB_OUR, 17, NULL, 20), SKB_DROP_IP_BAD_SRC,
			    "UDP from a bad source");
	}
	lab_end(&l);
}

Test(ip_input, test_ip_B7_bad_destinations_never_answered)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	const uint32_t bad[] = {fake_ip(255, 255, 255, 255),
				fake_ip(10, 0, 0, 255),
				fake_ip(10, 0, 0, 0),
				fake_ip(224, 0, 0, 1),
				0,
				fake_ip(127, 0, 0, 1),
				fake_ip(240, 1, 1, 1)};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		unsigned n = frame_icmp(b, LAB_PEER, bad[i], 8, 0, 1, NULL, 0);

		expect_drop(&l, b, n, SKB_DROP_IP_BAD_DST, "unicast frame");
		memcpy(b, fake_bcast_mac, ETH_ALEN);
		expect_drop(&l, b, n, SKB_DROP_IP_BAD_DST, "broadcast frame");
	}
	lab_end(&l);
}

Test(ip_input, test_ip_B7_unicast_in_broadcast_frame_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	memcpy(b, fake_bcast_mac, ETH_ALEN);
	expect_drop(&l, b, n, SKB_DROP_IP_BAD_DST, "broadcast MAC");
	b[0] = 1;
	expect_drop(&l, b, n, SKB_DROP_IP_BAD_DST, "group MAC");
	lab_end(&l);
}

Test(ip_input, test_ip_other_hosts_packet_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];

	expect_drop(&l, b, frame_ip(b, LAB_PEER, fake_ip(10, 0, 0, 3), 6, NULL, 20),
		    SKB_DROP_IP_NOT_LOCAL, "not for us");
	lab_end(&l);
}

Test(ip_input, test_ip_B13_bad_version_and_ihl_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];

	for (unsigned v = 0; v < 256; v++) {
		unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 60);

		if (v >> 4 == 4 && (v & 15) >= 5)
			continue;
		frame_iph(b)->ver_ihl = (uint8_t)v;
		if ((v & 15) >= 5)
			frame_ip_sum(b);
		expect_drop(&l, b, n, SKB_DROP_IP_BAD_HEADER, "version or IHL");
	}
	lab_end(&l);
}

Test(ip_input, test_ip_B13_bad_total_length_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 40);
	static const uint16_t bad[] = {0, 1, 19, 61, 1500, 65535};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		frame_iph(b)->tot_len = be16(bad[i]);
		frame_ip_sum(b);
		expect_drop(&l, b, n, SKB_DROP_IP_BAD_HEADER, "total length");
	}
	/* With options, a total length that ends inside of the header. */
	frame_iph(b)->ver_ihl = 0x48;
	frame_iph(b)->tot_len = be16(31);
	frame_ip_sum(b);
	expect_drop(&l, b, n, SKB_DROP_IP_BAD_HEADER, "inside of the options");
	lab_end(&l);
}

Test(ip_input, test_ip_B13_truncated_anywhere_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	frame_iph(b)->ver_ihl = 0x4a;
	frame_ip_sum(b);
	for (unsigned cut = ETH_HLEN; cut < n; cut++)
		expect_drop(&l, b, cut, SKB_DROP_IP_BAD_HEADER, "cut");
	lab_end(&l);
}

Test(ip_input, test_ip_B14_padding_trimmed)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	memset(b + n, 0xee, 500);
	expect_tcp(&l, b, 60, 20);
	expect_tcp(&l, b, n + 500, 20);
	frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 0);
	expect_tcp(&l, b, 60, 0);
	l.f->split_rx = true;
	l.f->split_at = 50;
	n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);
	expect_tcp(&l, b, n + 500, 20);
	lab_end(&l);
}

Test(ip_input, test_ip_B16_bad_header_checksum_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	for (unsigned bit = 0; bit < 16; bit++) {
		frame_ip_sum(b);
		b[ETH_HLEN + 10 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		expect_drop(&l, b, n, SKB_DROP_IP_BAD_CSUM, "one bit wrong");
	}
	n = frame_ip(b, LAB_PEER, LAB_OUR, 17, NULL, 20);
	b[ETH_HLEN + 8] ^= 1;
	expect_drop(&l, b, n, SKB_DROP_IP_BAD_CSUM, "UDP: no answer either");
	lab_end(&l);
}

Test(ip_input, test_ip_B16_device_verdict_taken)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	fake_inject_csum(l.f, b, n, CHECKSUM_BAD);
	lab_turn(&l, 1);
	cr_assert_eq(lab_drops(&l, SKB_DROP_IP_BAD_CSUM), 1);
	cr_assert_eq(fake_tcp.nr_rcv, 0);
	fake_inject_csum(l.f, b, n, CHECKSUM_GOOD);
	lab_turn(&l, 1);
	cr_assert_eq(fake_tcp.nr_rcv, 1);
	lab_end(&l);
}

Test(ip_input, test_ip_options_skipped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 60);

	for (unsigned ihl = 6; ihl <= 15; ihl++) {
		frame_iph(b)->ver_ihl = (uint8_t)(0x40 | ihl);
		/* unknown ones, each as long as there is room */
		memset(b + ETH_HLEN + IP_HLEN, 0x99, (ihl - 5) * 4);
		b[ETH_HLEN + IP_HLEN + 1] = (uint8_t)((ihl - 5) * 4);
		frame_ip_sum(b);
		expect_tcp(&l, b, n, 80 - ihl * 4);
		b[ETH_HLEN + IP_HLEN + 2] ^= 1;
		expect_drop(&l, b, n, SKB_DROP_IP_BAD_CSUM, "options are under the checksum");
		b[ETH_HLEN + IP_HLEN + 2] ^= 1;
	}
	lab_end(&l);
}

Test(ip_input, test_ip_source_routes_and_malformed_options_are_refused)
{
	static const uint8_t bad[][8] = {
		{131, 7, 4, 10, 0, 0, 9},
		{137, 7, 4, 10, 0, 0, 9}, /* LSRR, SSRR */
		{1, 1, 131, 3, 4},
		{148, 4, 0, 0, 137, 3, 4},
		{131},
		{148},
		{148, 0},
		{148, 1},
		{148, 9},
		{1, 1, 1, 1, 1, 1, 1, 148},
	};
	static const uint8_t good[][8] = {
		{0, 131, 7, 4}, {1, 1, 1, 1, 1, 1, 1, 0}, {148, 4, 0, 0, 0, 137}, {148, 8},
		{7, 7, 4},
	};
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 60);

	frame_iph(b)->ver_ihl = 0x47;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(b + ETH_HLEN + IP_HLEN, bad[i], 8);
		frame_ip_sum(b);
		expect_drop(&l, b, n, SKB_DROP_IP_OPTIONS, "option");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		memcpy(b + ETH_HLEN + IP_HLEN, good[i], 8);
		frame_ip_sum(b);
		expect_tcp(&l, b, n, 52);
	}
	lab_end(&l);
}

Test(ip_input, test_ip_reserved_flag_and_df_are_no_fragment)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 40);

	frame_iph(b)->frag_off = be16(0x8000 | IP_DF);
	frame_ip_sum(b);
	expect_tcp(&l, b, n, 40);
	lab_end(&l);
}

Test(ip_input, test_ip_random_frames_leave_nothing_behind)
{
	struct lab l = lab_begin();
	unsigned seed = 4242;

	for (int round = 0; round < 30000; round++) {
		uint8_t b[FAKE_FRAME_MAX];
		unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, (uint8_t)(rand_r(&seed) % 3 * 5 + 1),
				      NULL, (unsigned)rand_r(&seed) % 100);

		for (int k = rand_r(&seed) % 4; k; k--)
			b[(unsigned)rand_r(&seed) % n] = (uint8_t)rand_r(&seed);
		if (rand_r(&seed) % 2)
			frame_ip_sum(b);
		l.f->split_rx = rand_r(&seed) % 2;
		l.f->split_at = 1 + (unsigned)rand_r(&seed) % 80;
		n = (unsigned)rand_r(&seed) % (n + 1);
		l.f->share_rx = n && rand_r(&seed) % 4 == 0;
		lab_rx(&l, b, n);
		fake_release_held(l.f);
	}
	lab_end(&l);
}
