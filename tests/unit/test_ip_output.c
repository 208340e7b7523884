/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes and the header that ip_output writes. */
#include <errno.h>

#include "lab.h"

Test(route, test_route_on_link_gateway_and_own)
{
	struct lab l = lab_begin();
	struct route rt;

	cr_assert_eq(ip_route(l.st, 0, LAB_PEER, &rt), 0);
	cr_assert(rt.next_hop == LAB_PEER && rt.saddr == LAB_OUR && !rt.local && !rt.resolved);
	cr_assert_eq(ip_route(l.st, LAB_OUR, LAB_FAR, &rt), 0);
	cr_assert(rt.next_hop == LAB_GW && rt.daddr == LAB_FAR);
	cr_assert_eq(ip_route(l.st, 0, LAB_OUR, &rt), 0);
	cr_assert(rt.local);
	lab_end(&l);
}

Test(route, test_route_refused_destinations)
{
	struct lab l = lab_begin();
	struct route rt;
	const uint32_t bad[] = {0,
				fake_ip(255, 255, 255, 255),
				fake_ip(10, 0, 0, 255),
				fake_ip(10, 0, 0, 0),
				fake_ip(224, 0, 0, 5),
				fake_ip(250, 0, 0, 1)};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_eq(ip_route(l.st, 0, bad[i], &rt), -EINVAL);
	cr_assert_eq(ip_route(l.st, 0, fake_ip(127, 0, 0, 1), &rt), -ENETUNREACH);
	cr_assert_eq(ip_route(l.st, LAB_PEER, LAB_FAR, &rt), -ENETUNREACH, "not our source");
	l.st->gw = 0;
	cr_assert_eq(ip_route(l.st, 0, LAB_FAR, &rt), -ENETUNREACH);
	lab_end(&l);
}

Test(ip_output, test_ip_output_header_is_right)
{
	struct lab l = lab_begin();
	struct route rt = {0};
	struct iphdr_ *iph;

	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 40), 0);
	lab_turn(&l, 1);
	l.f->nr_out = 0;
	lab_arp_reply(&l, fake_peer_mac, LAB_PEER);
	cr_assert_eq(l.f->nr_out, 1);
	cr_assert_eq(l.f->out[0].len, ETH_HLEN + IP_HLEN + 40);
	cr_assert_eq(memcmp(l.f->out[0].b, fake_peer_mac, 6), 0);
	cr_assert_eq(memcmp(l.f->out[0].b + 6, fake_mac, 6), 0);
	iph = frame_iph(l.f->out[0].b);
	cr_assert(iph->ver_ihl == 0x45 && be16(iph->tot_len) == 60 && be16(iph->id) == 1);
	cr_assert(be16(iph->frag_off) == IP_DF && iph->ttl == 64 && iph->protocol == 6);
	cr_assert(iph->saddr == LAB_OUR && iph->daddr == LAB_PEER);
	cr_assert_eq(csum_iphdr(iph), 0);
	lab_end(&l);
}

static struct iphdr_ *send_partial(struct lab *l)
{
	struct route rt;
	struct sk_buff *skb = skb_alloc(&l->st->cache, 64);

	cr_assert_eq(ip_route(l->st, 0, LAB_PEER, &rt), 0);
	memset(skb_put(skb, 40), 0, 40);
	skb->ip_summed = CHECKSUM_PARTIAL;
	l->f->nr_out = 0;
	ip_output(l->st, skb, &rt, IPPROTO_TCP_, 64, 0, 1);
	lab_turn(l, 1);
	cr_assert_eq(l->f->nr_out, 1);
	cr_assert_eq(l->f->out[0].ip_summed, CHECKSUM_PARTIAL);
	return frame_iph(l->f->out[0].b);
}

Test(ip_output, test_ip_output_device_fills_ip_checksum)
{
	struct lab l = lab_begin_cfg(NETDEV_F_TX_TCP_CSUM | NETDEV_F_TX_IP_CSUM, 256, 64);
	struct route rt = {0};

	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 1), 0);
	lab_arp_reply(&l, fake_peer_mac, LAB_PEER);
	cr_assert_eq(send_partial(&l)->check, 0);
	lab_end(&l);
}

Test(ip_output, test_ip_output_device_without_ip_checksum_software)
{
	struct lab l = lab_begin_cfg(NETDEV_F_TX_TCP_CSUM, 256, 64);
	struct route rt = {0};

	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 1), 0);
	lab_arp_reply(&l, fake_peer_mac, LAB_PEER);
	cr_assert_eq(csum_iphdr(send_partial(&l)), 0);
	lab_end(&l);
}

Test(ip_output, test_ip_output_larger_than_mtu_dropped)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 1480), 0);
	cr_assert_eq(lab_drops(&l, SKB_DROP_IP_TOO_BIG), 0);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 1481), 0);
	cr_assert_eq(lab_drops(&l, SKB_DROP_IP_TOO_BIG), 1);
	lab_end(&l);
}

Test(ip_output, test_loopback_full_drops_counted)
{
	struct lab l = lab_begin_cfg(0, 2048, 64);
	struct route rt = {0};

	for (int i = 0; i < STACK_LOOP_MAX + 3; i++)
		cr_assert_eq(lab_send(&l, &rt, LAB_OUR, 20), 0);
	cr_assert_eq(lab_drops(&l, SKB_DROP_LOOPBACK_FULL), 3);
	lab_turn(&l, 1);
	cr_assert_eq(fake_tcp.nr_rcv, STACK_LOOP_MAX);
	lab_end(&l);
}
