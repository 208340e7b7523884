/* SPDX-License-Identifier: BSD-3-Clause */
/* Echo, errors in (rows B24 and B25, the parsing side), errors out and their limits. */
#include "lab.h"

static void resolve(struct lab *l, uint32_t ip)
{
	struct route rt = {0};

	cr_assert_eq(lab_send(l, &rt, ip, 1), 0);
	lab_arp_reply(l, fake_peer_mac, ip);
	l->f->nr_out = 0;
}

static void expect_reply(struct lab *l, const uint8_t *data, unsigned n)
{
	const uint8_t *icmp = l->f->out[0].b + ETH_HLEN + IP_HLEN;
	const struct iphdr_ *iph = frame_iph(l->f->out[0].b);

	cr_assert_eq(l->f->nr_out, 1);
	cr_assert_eq(l->f->out[0].len, ETH_HLEN + IP_HLEN + 8 + n);
	cr_assert(iph->saddr == LAB_OUR && iph->daddr == LAB_PEER && iph->protocol == 1);
	cr_assert_eq(csum_iphdr(iph), 0);
	cr_assert(icmp[0] == 0 && icmp[1] == 0);
	cr_assert_eq(csum_fold(csum_partial(icmp, 8 + n, 0)), 0);
	cr_assert_eq(memcmp(icmp + 4, "\x12\x34\x00\x07", 4), 0);
	cr_assert_eq(memcmp(icmp + 8, data, n), 0);
}

Test(icmp, test_icmp_echo_answered_in_place_split_and_shared)
{
	uint8_t b[FAKE_FRAME_MAX], data[1472];
	static const unsigned sizes[] = {0, 1, 55, 56, 1472};
	unsigned seed = 5;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rand_r(&seed);
	for (unsigned how = 0; how < 4; how++) {
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct lab l = lab_begin();
			unsigned n =
				frame_icmp(b, LAB_PEER, LAB_OUR, 8, 0, 0x12340007, data, sizes[i]);

			resolve(&l, LAB_PEER);
			l.f->split_rx = how & 1;
			l.f->split_at = 43;
			l.f->share_rx = how & 2;
			lab_rx(&l, b, n);
			expect_reply(&l, data, sizes[i]);
			lab_end(&l);
		}
	}
}

Test(icmp, test_icmp_echo_every_checksum_value_survives_the_turn)
{
	struct lab l = lab_begin();

	resolve(&l, LAB_PEER);
	/* The payload word runs through all sums around the carry. */
	for (unsigned v = 0; v < 65536; v += v < 64 || v > 65400 ? 1 : 251) {
		uint8_t b[FAKE_FRAME_MAX], data[2] = {(uint8_t)(v >> 8), (uint8_t)v};

		l.f->nr_out = 0;
		lab_turn(&l, NSEC_PER_MSEC);
		lab_rx(&l, b, frame_icmp(b, LAB_PEER, LAB_OUR, 8, 0, 0x12340007, data, 2));
		expect_reply(&l, data, 2);
		lab_arp_reply(&l, fake_peer_mac, LAB_PEER);
	}
	lab_end(&l);
}

Test(icmp, test_icmp_echo_to_ourselves_by_loopback)
{
	struct lab l = lab_begin();
	struct route rt;
	struct sk_buff *skb = skb_alloc(&l.st->cache, 64);
	uint8_t *p = skb_put(skb, 8);
	static const uint8_t echo[8] = {8, 0, 0xf7, 0xff};

	memcpy(p, echo, 8);
	cr_assert_eq(ip_route(l.st, 0, LAB_OUR, &rt), 0);
	ip_output(l.st, skb, &rt, IPPROTO_ICMP_, 64, 0, 1);
	lab_turn(&l, 1);
	cr_assert_eq(stack_stats(l.st)->loopback, 2);
	lab_turn(&l, 1);
	cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_IGNORED), 1, "the reply");
	cr_assert_eq(l.f->nr_out, 0);
	lab_end(&l);
}

Test(icmp, test_icmp_B16_bad_checksum_unanswered)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_icmp(b, LAB_PEER, LAB_OUR, 8, 0, 1, "abc", 3);

	b[n - 1] ^= 1;
	fake_inject_csum(l.f, b, n, CHECKSUM_GOOD);
	lab_turn(&l, 1);
	cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_BAD), 1, "whatever the device says");
	cr_assert_eq(l.f->nr_out, 0);
	lab_end(&l);
}

Test(icmp, test_icmp_truncated_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];

	for (unsigned n = 0; n < 8; n++)
		lab_rx(&l, b, frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_ICMP_, NULL, n));
	cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_BAD), 8);
	lab_end(&l);
}

Test(icmp, test_icmp_other_types_ignored)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	static const uint8_t types[] = {0, 4, 5, 9, 13, 15, 17, 30, 255};

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		lab_rx(&l, b, frame_icmp(b, LAB_PEER, LAB_OUR, types[i], 0, 1, b, 60));
	cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_IGNORED), ARRAY_SIZE(types));
	cr_assert_eq(l.f->nr_out, 0);
	cr_assert_eq(fake_tcp.nr_err, 0);
	lab_end(&l);
}

Test(icmp, test_icmp_echo_flood_is_limited)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_icmp(b, LAB_PEER, LAB_OUR, 8, 0, 1, NULL, 0);

	resolve(&l, LAB_PEER);
	for (int i = 0; i < 10; i++) {
		for (int k = 0; k < 1000; k++)
			fake_inject(l.f, b, n);
		lab_turn(&l, 1);
	}
	cr_assert_eq(l.f->nr_out, 2000);
	cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_RATELIMIT), 8000);
	lab_end(&l);
}

/* The quote of a segment of ours: port 1000 to LAB_FAR:80, sequence 0x01020304. */
static unsigned quote(uint8_t q[28])
{
	static const uint8_t l4[8] = {0x03, 0xe8, 0x00, 0x50, 1, 2, 3, 4};
	uint8_t b[FAKE_FRAME_MAX];

	(void)frame_ip(b, LAB_OUR, LAB_FAR, IPPROTO_TCP_, l4, 8);
	memcpy(q, b + ETH_HLEN, 28);
	return 28;
}

static void expect_err(uint8_t type, uint8_t code, uint32_t mtu)
{
	cr_assert_eq(fake_tcp.nr_err, 1);
	cr_assert(fake_tcp.err_saddr == LAB_OUR && fake_tcp.err_daddr == LAB_FAR);
	cr_assert(fake_tcp.err_sport == 1000 && fake_tcp.err_dport == 80);
	cr_assert_eq(fake_tcp.err_seq, 0x01020304);
	cr_assert(fake_tcp.err_type == type && fake_tcp.err_code == code);
	cr_assert_eq(fake_tcp.err_mtu, mtu);
	fake_tcp.nr_err = 0;
}

Test(icmp, test_icmp_B24_error_about_our_segment_reaches_tcp)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX], q[28];
	static const uint8_t types[] = {3, 11, 12};

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, types[i], 1, 0, q, quote(q)));
		expect_err(types[i], 1, 0);
	}
	cr_assert_eq(lab_all_drops(&l), 0);
	lab_end(&l);
}

Test(icmp, test_icmp_B24_truncated_and_foreign_quotes_ignored)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX], q[28];
	unsigned n = quote(q);

	for (unsigned cut = 0; cut < n; cut++)
		lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, 3, 1, 0, q, cut));
	cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_BAD), n);
	q[0] = 0x46; /* options that would move the ports past the end */
	lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, 3, 1, 0, q, n));
	q[0] = 0x44;
	lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, 3, 1, 0, q, n));
	q[0] = 0x65;
	lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, 3, 1, 0, q, n));
	cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_BAD), n + 3);
	(void)quote(q);
	q[12] = 11; /* not our source */
	lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, 3, 1, 0, q, n));
	(void)quote(q);
	q[9] = 17; /* UDP */
	lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, 3, 1, 0, q, n));
	(void)quote(q);
	q[7] = 1; /* not the first fragment */
	lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, 3, 1, 0, q, n));
	cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_IGNORED), 3);
	cr_assert_eq(fake_tcp.nr_err, 0);
	cr_assert_eq(l.f->nr_out, 0);
	lab_end(&l);
}

Test(icmp, test_icmp_B25_mtu_floored_or_ignored)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX], q[28];
	static const struct {
		uint32_t says;
		uint16_t quoted; /* total length */
		uint32_t hears;  /* 0: nothing */
	} t[] = {
		{0, 1500, 1492},  {0, 1492, 1006},  {0, 600, 552},      {68, 1500, 552},
		{551, 1500, 552}, {552, 1500, 552}, {1400, 1500, 1400}, {1499, 1500, 1499},
		{1500, 1500, 0},  {65535, 1500, 0}, {1400, 1400, 0},    {1400, 100, 0},
		{1500, 9000, 0},  {0, 552, 0},      {0, 100, 0},        {68, 500, 0},
	};
	unsigned ignored = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		unsigned n = quote(q);

		q[2] = (uint8_t)(t[i].quoted >> 8);
		q[3] = (uint8_t)t[i].quoted;
		lab_rx(&l, b, frame_icmp(b, LAB_GW, LAB_OUR, 3, 4, t[i].says, q, n));
		if (t[i].hears)
			expect_err(3, 4, t[i].hears);
		ignored += !t[i].hears;
		cr_assert_eq(lab_drops(&l, SKB_DROP_ICMP_IGNORED), ignored, "%u", i);
	}
	cr_assert_eq(fake_tcp.nr_err, 0);
	lab_end(&l);
}

Test(icmp, test_icmp_unknown_protocol_answered_and_limited)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, 17, NULL, 1000);
	const uint8_t *icmp = l.f->out[0].b + ETH_HLEN + IP_HLEN;

	resolve(&l, LAB_PEER);
	for (int i = 0; i < 200; i++)
		fake_inject(l.f, b, n);
	lab_turn(&l, 1);
	cr_assert_eq(lab_drops(&l, SKB_DROP_IP_NO_PROTO), 200);
	cr_assert_eq(l.f->nr_out, 50);
	cr_assert_eq(l.f->out[0].len, ETH_HLEN + 576);
	cr_assert(icmp[0] == 3 && icmp[1] == 2);
	cr_assert_eq(csum_fold(csum_partial(icmp, 556, 0)), 0);
	cr_assert_eq(memcmp(icmp + 8, b + ETH_HLEN, 548), 0, "quotes the packet");
	lab_end(&l);
}

Test(icmp, test_icmp_send_never_about_errors_broadcasts_fragments)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	struct sk_buff *skb = skb_alloc(&l.st->cache, 0);
	uint8_t *p = skb_put(skb, 60);
	struct iphdr_ *iph = (struct iphdr_ *)p;

	resolve(&l, LAB_PEER);
	(void)frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_ICMP_, "\x03", 1);
	memcpy(p, b + ETH_HLEN, 60);
	icmp_send(l.st, skb, 3, 3, 0);
	iph->protocol = 17;
	skb->flags = SKB_F_MCAST;
	icmp_send(l.st, skb, 3, 3, 0);
	skb->flags = 0;
	iph->frag_off = be16(3);
	icmp_send(l.st, skb, 3, 3, 0);
	iph->frag_off = 0;
	iph->saddr = fake_ip(224, 0, 0, 1);
	icmp_send(l.st, skb, 3, 3, 0);
	lab_turn(&l, 1);
	cr_assert_eq(l.f->nr_out, 0);
	iph->saddr = LAB_PEER;
	icmp_send(l.st, skb, 3, 3, 0);
	lab_turn(&l, 1);
	cr_assert_eq(l.f->nr_out, 1);
	skb_free(skb);
	lab_end(&l);
}
