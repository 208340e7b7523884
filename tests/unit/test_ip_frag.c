/* SPDX-License-Identifier: BSD-3-Clause */
/* Reassembly (RFC 791 3.2, 815), and fragments that nobody decent sends (B22). */
#include "lab.h"

#define BYTES 1400u

static uint8_t pattern(unsigned off)
{
	return (uint8_t)(off * 2654435761u >> 11);
}

/* One fragment of a datagram of a TCP segment: bytes [off, off + n) of the pattern. */
static unsigned frag(uint8_t *b, uint32_t src, uint16_t id, unsigned off, unsigned n, bool more)
{
	uint8_t payload[FAKE_FRAME_MAX];
	unsigned len;

	for (unsigned i = 0; i < n; i++)
		payload[i] = pattern(off + i);
	len = frame_ip(b, src, LAB_OUR, IPPROTO_TCP_, payload, n);
	frame_iph(b)->id = be16(id);
	frame_iph(b)->frag_off = be16((uint16_t)(off / 8 | (more ? IP_MF : 0)));
	frame_ip_sum(b);
	return len;
}

static void send_frag(struct lab *l, uint16_t id, unsigned off, unsigned n, bool more)
{
	uint8_t b[FAKE_FRAME_MAX];

	lab_rx(l, b, frag(b, LAB_PEER, id, off, n, more));
}

static void expect_whole(const struct lab *l, unsigned nr, unsigned len)
{
	(void)l;
	cr_assert_eq(fake_tcp.nr_rcv, nr, "%u datagrams", fake_tcp.nr_rcv);
	cr_assert_eq(fake_tcp.rcv_len, len, "%u bytes", fake_tcp.rcv_len);
	for (unsigned i = 0; i < len && i < sizeof(fake_tcp.rcv); i++)
		cr_assert_eq(fake_tcp.rcv[i], pattern(i), "byte %u", i);
}

static unsigned held(const struct lab *l)
{
	return l->pool->nr - l->pool->ops->avail(l->pool) - l->st->cache.n;
}

Test(ip_frag, test_frag_any_order_makes_the_datagram)
{
	static const uint8_t order[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1},
					   {1, 3, 0, 2}, {3, 0, 1, 2}, {1, 2, 3, 0}};
	struct lab l = lab_begin();

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		l.f->split_rx = i & 1;
		l.f->split_at = 70;
		l.f->share_rx = i & 2;
		for (unsigned k = 0; k < 4; k++) {
			unsigned at = order[i][k];

			cr_assert_eq(fake_tcp.nr_rcv, i);
			send_frag(&l, (uint16_t)(100 + i), at * 352, at == 3 ? BYTES - 1056 : 352,
				  at != 3);
		}
		expect_whole(&l, i + 1, BYTES);
		cr_assert_eq(fake_tcp.rcv_summed, CHECKSUM_UNKNOWN);
	}
	cr_assert_eq(stack_stats(l.st)->ip_reasm_oks, ARRAY_SIZE(order));
	cr_assert_eq(stack_stats(l.st)->ip_reasm_fails, 0);
	lab_end(&l);
}

Test(ip_frag, test_frag_datagrams_are_told_apart)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n;

	send_frag(&l, 1, 0, 80, true);
	send_frag(&l, 2, 80, 40, false);
	lab_rx(&l, b, frag(b, LAB_GW, 1, 80, 40, false));
	n = frag(b, LAB_PEER, 1, 80, 40, false);
	frame_iph(b)->protocol = IPPROTO_ICMP_;
	frame_ip_sum(b);
	lab_rx(&l, b, n);
	cr_assert_eq(fake_tcp.nr_rcv, 0);
	send_frag(&l, 1, 80, 40, false);
	expect_whole(&l, 1, 120);
	lab_end(&l);
}

/* ---- B22 ---- */

Test(ip_frag, test_ip_B22_overlap_ends_the_datagram)
{
	static const struct {
		unsigned off, n;
	} bad[] = {{72, 16}, {72, 8}, {80, 40}, {88, 72}, {152, 16}, {0, 160}, {96, 8}, {80, 88}};
	struct lab l = lab_begin();

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		uint16_t id = (uint16_t)(500 + i);

		/* [0,80) and [80,160) are here; then the bad one, then what would complete it */
		send_frag(&l, id, 0, 80, true);
		send_frag(&l, id, 80, 80, true);
		send_frag(&l, id, bad[i].off, bad[i].n, true);
		cr_assert_eq(lab_drops(&l, SKB_DROP_IP_FRAG_OVERLAP), 3 * (i + 1), "%u", i);
		send_frag(&l, id, 160, 40, false);
		cr_assert_eq(fake_tcp.nr_rcv, 0, "%u", i);
	}
	cr_assert_eq(stack_stats(l.st)->ip_reasm_fails, ARRAY_SIZE(bad));
	lab_end(&l);
}

Test(ip_frag, test_ip_B22_the_same_fragment_twice_is_harmless)
{
	struct lab l = lab_begin();

	send_frag(&l, 9, 0, 80, true);
	send_frag(&l, 9, 0, 80, true);
	send_frag(&l, 9, 160, 40, false);
	send_frag(&l, 9, 160, 40, false);
	send_frag(&l, 9, 0, 80, true);
	cr_assert_eq(lab_drops(&l, SKB_DROP_IP_FRAGMENT), 3);
	send_frag(&l, 9, 80, 80, true);
	expect_whole(&l, 1, 200);
	lab_end(&l);
}

Test(ip_frag, test_ip_B22_two_ends_that_differ_end_the_datagram)
{
	static const struct {
		unsigned off, n;
		bool more;
	} bad[] = {{160, 40, false}, {40, 40, false}, {120, 8, true}, {80, 40, true}};
	struct lab l = lab_begin();

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		uint16_t id = (uint16_t)(700 + i);

		send_frag(&l, id, 80, 40, false);
		send_frag(&l, id, bad[i].off, bad[i].n, bad[i].more);
		cr_assert_eq(lab_drops(&l, SKB_DROP_IP_FRAG_OVERLAP), 2 * (i + 1), "%u", i);
	}
	cr_assert_eq(held(&l), 0);
	lab_end(&l);
}

Test(ip_frag, test_ip_B22_beyond_65535_and_odd_lengths_are_dropped)
{
	struct lab l = lab_begin_cfg(0, 4096, 64);

	send_frag(&l, 1, 65512, 4, false); /* 65,516 and a header of 20: one too many */
	send_frag(&l, 1, 8191 * 8, 1400, false);
	send_frag(&l, 1, 0, 81, true);
	send_frag(&l, 1, 8, 0, true);
	send_frag(&l, 1, 8, 0, false);
	cr_assert_eq(lab_drops(&l, SKB_DROP_IP_FRAGMENT), 5);
	cr_assert_eq(held(&l), 0);
	/* the largest there can be */
	for (unsigned off = 0; off < 65515; off += 1024)
		send_frag(&l, 2, off, off + 1024 < 65515 ? 1024 : 65515 - off, off + 1024 < 65515);
	expect_whole(&l, 1, 65515);
	lab_end(&l);
}

Test(ip_frag, test_ip_B22_tiny_gaps_are_bounded)
{
	struct lab l = lab_begin_cfg(0, 8192, 64);

	for (unsigned i = 0; i < 4000; i++)
		send_frag(&l, 3, i * 16, 8, true);
	cr_assert_leq(held(&l), 129);
	cr_assert_geq(lab_drops(&l, SKB_DROP_IP_FRAG_OVERLAP), 3800);
	lab_end(&l);
}

/* 10^5 first fragments of as many sources: what they pin stays bounded, and it is given back. */
Test(ip_frag, test_ip_B22_flood_of_first_fragments_is_bounded)
{
	struct lab l = lab_begin_cfg(0, 4096, 64);
	uint8_t b[FAKE_FRAME_MAX];
	unsigned most = 0;

	lab_arp_reply(&l, fake_peer_mac, LAB_GW);

	for (uint32_t i = 0; i < 100000; i++) {
		fake_inject(l.f, b,
			    frag(b, fake_ip(11, i & 255, i >> 8 & 255, 1 + (i >> 16)),
				 (uint16_t)(i * 7), 0, 1400, true));
		(void)stack_rx(l.st, l.now, 64);
		most = max_t(unsigned, most, held(&l));
	}
	/* an eighth of the buffers */
	cr_assert_leq(most, 4096 / 8 + 1, "%u of 4096 buffers", most);
	cr_assert_geq(most, 4096 / 16);
	/* what is whole passes while the flood goes on */
	send_frag(&l, 1, 0, 80, true);
	send_frag(&l, 1, 80, 40, false);
	expect_whole(&l, 1, 120);
	lab_turn(&l, 31 * NSEC_PER_SEC);
	cr_assert_leq(held(&l), 50, "ICMP's burst waits for ARP");
	lab_arp_reply(&l, fake_peer_mac, LAB_GW);
	cr_assert_eq(held(&l), 0);
	lab_end(&l);
}

Test(ip_frag, test_ip_B22_one_source_does_not_push_out_another)
{
	struct lab l = lab_begin_cfg(0, 4096, 64);
	uint8_t b[FAKE_FRAME_MAX];

	send_frag(&l, 1, 0, 80, true);
	for (uint32_t i = 0; i < 20000; i++) {
		/* few large datagrams, and many small ones */
		unsigned off = i & 1 ? i % 60 * 1024 : 0;

		fake_inject(l.f, b,
			    frag(b, LAB_GW, (uint16_t)(i & 1 ? i / 120 : i), off, 1024, true));
		(void)stack_rx(l.st, l.now, 64);
		cr_assert_leq(held(&l), 160 * 1024 / 2048 + 2, "its share");
	}
	send_frag(&l, 1, 80, 40, false);
	expect_whole(&l, 1, 120);
	lab_end(&l);
}

/* Fewer datagrams than one bucket holds, and each as large as can be: memory is what bounds
 * them. */
Test(ip_frag, test_ip_B22_one_source_has_its_share_of_the_memory)
{
	struct lab l = lab_begin_cfg(0, 4096, 64);
	uint8_t b[FAKE_FRAME_MAX];

	send_frag(&l, 1, 0, 80, true);
	for (uint32_t i = 0; i < 8 * 60; i++) {
		fake_inject(l.f, b, frag(b, LAB_GW, (uint16_t)(i / 60), i % 60 * 1024, 1024, true));
		(void)stack_rx(l.st, l.now, 64);
		cr_assert_leq(held(&l), 160 * 1024 / 2048 + 2, "its share");
	}
	cr_assert_geq(held(&l), 60, "one of them fits");
	send_frag(&l, 1, 80, 40, false);
	expect_whole(&l, 1, 120);
	lab_end(&l);
}

/* ---- time (RFC 792, RFC 1122 3.3.2) ---- */

Test(ip_frag, test_frag_timeout_tells_the_sender_if_the_first_came)
{
	struct lab l = lab_begin();
	const struct iphdr_ *iph;

	lab_arp_reply(&l, fake_peer_mac, LAB_PEER);
	l.f->nr_out = 0;
	send_frag(&l, 1, 80, 40, false); /* not the first */
	lab_turn(&l, 2 * NSEC_PER_SEC);
	send_frag(&l, 2, 0, 80, true);
	send_frag(&l, 2, 88, 80, true);
	lab_turn(&l, 29 * NSEC_PER_SEC);
	cr_assert_eq(lab_drops(&l, SKB_DROP_IP_FRAG_TIMEOUT), 1);
	cr_assert_eq(stack_stats(l.st)->icmp_out, 0);
	lab_turn(&l, 2 * NSEC_PER_SEC);
	cr_assert_eq(lab_drops(&l, SKB_DROP_IP_FRAG_TIMEOUT), 3);
	cr_assert_eq(stack_stats(l.st)->icmp_out, 1);
	cr_assert_eq(stack_stats(l.st)->ip_reasm_fails, 2);
	for (unsigned i = 0; i < l.f->nr_out; i++) {
		iph = frame_iph(l.f->out[i].b);
		if (l.f->out[i].b[12] != 8 || l.f->out[i].b[13] || iph->protocol != IPPROTO_ICMP_)
			continue;
		cr_assert_eq(((const uint8_t *)(iph + 1))[0], 11, "time exceeded");
		cr_assert_eq(((const uint8_t *)(iph + 1))[1], 1, "in reassembly");
		cr_assert_eq(((const uint8_t *)(iph + 1))[8], 0x45, "quotes the IP header");
	}
	/* a late one begins anew, and cannot be taken for the first's */
	send_frag(&l, 2, 80, 8, true);
	cr_assert_eq(fake_tcp.nr_rcv, 0);
	lab_end(&l);
}

/* RFC 3168 5.3: one marked fragment marks the datagram; a mark beside "not capable" is a fault. */
Test(ip_frag, test_frag_ecn_of_the_fragments_is_joined)
{
	static const struct {
		uint8_t first, second, whole; /* 0xff: dropped */
	} t[] = {{0, 0, 0}, {2, 2, 2}, {1, 1, 1},    {2, 3, 3},
		 {3, 2, 3}, {3, 3, 3}, {0, 3, 0xff}, {3, 0, 0xff}};
	struct lab l = lab_begin();
	unsigned whole = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		uint8_t b[FAKE_FRAME_MAX];
		unsigned n = frag(b, LAB_PEER, (uint16_t)(60 + i), 0, 80, true);

		frame_iph(b)->tos = t[i].first;
		frame_ip_sum(b);
		l.f->share_rx = i & 1;
		lab_rx(&l, b, n);
		n = frag(b, LAB_PEER, (uint16_t)(60 + i), 80, 40, false);
		frame_iph(b)->tos = t[i].second;
		frame_ip_sum(b);
		lab_rx(&l, b, n);
		whole += t[i].whole != 0xff;
		cr_assert_eq(fake_tcp.nr_rcv, whole, "%u", i);
		if (t[i].whole != 0xff)
			cr_assert_eq(fake_tcp.rcv_tos, t[i].whole, "%u: %u", i, fake_tcp.rcv_tos);
	}
	lab_end(&l);
}

Test(ip_frag, test_frag_random_fragments_leave_nothing_behind)
{
	struct lab l = lab_begin();
	unsigned seed = 77;

	for (int round = 0; round < 50000; round++) {
		uint8_t b[FAKE_FRAME_MAX];
		unsigned last = rand_r(&seed) % 4 == 0;
		unsigned n =
			frag(b, fake_ip(10, 0, 0, 3 + rand_r(&seed) % 40),
			     (uint16_t)(rand_r(&seed) % 4), (unsigned)rand_r(&seed) % 4 * 8,
			     last ? (unsigned)rand_r(&seed) % 40 : 8u * (rand_r(&seed) % 8 ? 1 : 3),
			     !last);

		l.f->split_rx = rand_r(&seed) % 2;
		l.f->split_at = 1 + (unsigned)rand_r(&seed) % 60;
		l.f->share_rx = rand_r(&seed) % 4 == 0;
		lab_rx(&l, b, n);
		fake_release_held(l.f);
		if (round % 1000 == 0)
			lab_turn(&l, 3 * NSEC_PER_SEC);
	}
	cr_assert_gt(stack_stats(l.st)->ip_reasm_oks, 100);
	lab_end(&l);
}
