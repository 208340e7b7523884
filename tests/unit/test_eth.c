/* SPDX-License-Identifier: BSD-3-Clause */
/* Which frames Ethernet lets through. */
#include "lab.h"

Test(eth, test_eth_short_frame_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX] = {2, 0, 0, 0, 0, 1};

	for (unsigned n = 0; n < ETH_HLEN; n++)
		lab_rx(&l, b, n);
	cr_assert_eq(lab_drops(&l, SKB_DROP_ETH_SHORT), ETH_HLEN);
	lab_end(&l);
}

Test(eth, test_eth_other_hosts_frame_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	b[5] = 9;
	lab_rx(&l, b, n);
	cr_assert_eq(lab_drops(&l, SKB_DROP_ETH_OTHERHOST), 1);
	cr_assert_eq(fake_tcp.nr_rcv, 0);
	lab_end(&l);
}

Test(eth, test_eth_source_mac_equal_to_ours_accepted)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	memcpy(b + ETH_ALEN, fake_mac, ETH_ALEN);
	lab_rx(&l, b, n);
	cr_assert_eq(fake_tcp.nr_rcv, 1, "the kernel's side of net_tap has our MAC");
	lab_end(&l);
}

Test(eth, test_eth_unknown_type_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	static const uint16_t types[] = {0x86dd, 0x8100, 0x88cc, 46, 0};
	unsigned n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, NULL, 20);

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		b[12] = (uint8_t)(types[i] >> 8);
		b[13] = (uint8_t)types[i];
		lab_rx(&l, b, n);
	}
	cr_assert_eq(lab_drops(&l, SKB_DROP_ETH_UNKNOWN_TYPE), ARRAY_SIZE(types));
	lab_end(&l);
}

Test(eth, test_eth_headers_across_fragments_made_linear)
{
	for (unsigned cut = 1; cut < 60; cut++) {
		struct lab l = lab_begin();
		uint8_t b[FAKE_FRAME_MAX], payload[40];
		unsigned n;

		memset(payload, 0x77, sizeof(payload));
		n = frame_ip(b, LAB_PEER, LAB_OUR, IPPROTO_TCP_, payload, sizeof(payload));
		l.f->split_rx = true;
		l.f->split_at = cut;
		lab_rx(&l, b, n);
		cr_assert_eq(fake_tcp.nr_rcv, 1, "cut at %u", cut);
		cr_assert_eq(fake_tcp.rcv_len, sizeof(payload));
		cr_assert_eq(memcmp(fake_tcp.rcv, payload, sizeof(payload)), 0);
		lab_end(&l);
	}
}
