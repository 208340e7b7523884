/* SPDX-License-Identifier: BSD-3-Clause */
/* The neighbour cache: resolving, giving up, ageing, defence, and strangers. */
#include "lab_arp.h"

static const uint8_t new_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 0x77};

Test(arp, test_arp_attach_sends_gratuitous)
{
	struct lab l = lab_begin();

	l.f->nr_out = 1; /* lab_begin saw it: out[0] */
	cr_assert(out_is_arp(&l, 0, 1, fake_bcast_mac, LAB_OUR));
	cr_assert_eq(memcmp(l.f->out[0].b + 28, &l.st->ip, 4), 0);
	lab_end(&l);
}

Test(arp, test_arp_pending_sent_in_order_on_reply)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	for (unsigned i = 1; i <= 5; i++)
		cr_assert_eq(lab_send(&l, &rt, LAB_PEER, i), 0);
	lab_turn(&l, 1);
	cr_assert_eq(l.f->nr_out, 1, "one request for all");
	cr_assert(out_is_arp(&l, 0, 1, fake_bcast_mac, LAB_PEER));
	l.f->nr_out = 0;
	lab_arp_reply(&l, fake_peer_mac, LAB_PEER);
	cr_assert_eq(l.f->nr_out, 5);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(l.f->out[i].len, ETH_HLEN + IP_HLEN + i + 1);
	cr_assert_eq(l.st->arp->pending, 0);
	lab_end(&l);
}

Test(arp, test_arp_pending_bounded_oldest_dropped)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	for (unsigned i = 1; i <= 40; i++)
		cr_assert_eq(lab_send(&l, &rt, LAB_PEER, i), 0);
	cr_assert_eq(lab_drops(&l, SKB_DROP_NEIGH_QUEUE_FULL), 40 - l.st->arp->pending_one);
	lab_turn(&l, 1);
	l.f->nr_out = 0;
	lab_arp_reply(&l, fake_peer_mac, LAB_PEER);
	cr_assert_eq(l.f->nr_out, l.st->arp->pending_one);
	cr_assert_eq(l.f->out[l.f->nr_out - 1].len, ETH_HLEN + IP_HLEN + 40, "the latest is kept");
	lab_end(&l);
}

Test(arp, test_arp_pending_bounded_in_all)
{
	struct lab l = lab_begin();

	for (unsigned i = 0; i < 60; i++) {
		struct route rt = {0};

		for (int k = 0; k < 3; k++)
			cr_assert_eq(lab_send(&l, &rt, fake_ip(10, 0, 0, 10 + i), 20), 0);
	}
	cr_assert_eq(l.st->arp->pending, l.st->arp->pending_max);
	cr_assert_eq(lab_drops(&l, SKB_DROP_NEIGH_QUEUE_FULL), 180 - l.st->arp->pending_max);
	lab_end(&l);
}

Test(arp, test_arp_no_answer_three_requests_then_failed)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	cr_assert_eq(lab_send(&l, &rt, LAB_FAR, 20), 0);
	cr_assert_eq(lab_send(&l, &rt, LAB_FAR, 20), 0);
	lab_turn(&l, 1);
	for (unsigned i = 1; i <= 3; i++) {
		cr_assert_eq(l.f->nr_out, i);
		cr_assert(out_is_arp(&l, i - 1, 1, fake_bcast_mac, LAB_GW));
		lab_turn(&l, NSEC_PER_SEC - 2 * TICK_NS);
		cr_assert_eq(l.f->nr_out, i, "not before its second");
		lab_turn(&l, 3 * TICK_NS);
	}
	cr_assert_eq(l.f->nr_out, 3);
	cr_assert_eq(lab_drops(&l, SKB_DROP_NEIGH_FAILED), 2);
	cr_assert_eq(fake_tcp.nr_neigh_failed, 1);
	cr_assert_eq(fake_tcp.neigh_failed, LAB_GW);
	cr_assert_eq(count(&l), 0);
	cr_assert_eq(stack_next_timer(l.st), 0);
	lab_end(&l);
}

Test(arp, test_arp_route_caches_header)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	resolve(&l, &rt, LAB_PEER);
	cr_assert(!rt.resolved);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	cr_assert(rt.resolved);
	cr_assert_eq(memcmp(rt.eth, fake_peer_mac, 6), 0);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	lab_turn(&l, 1);
	cr_assert_eq(l.f->nr_out, 2);
	cr_assert_eq(memcmp(l.f->out[0].b, l.f->out[1].b, ETH_HLEN), 0);
	lab_end(&l);
}

Test(arp, test_arp_changed_mac_reaches_cached_routes)
{
	struct lab l = lab_begin();
	struct route rt = {0};
	uint8_t b[FAKE_FRAME_MAX];

	resolve(&l, &rt, LAB_PEER);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	lab_turn(&l, 2 * NSEC_PER_SEC);
	l.f->nr_out = 0;
	/* Gratuitous, as after a failover. */
	lab_rx(&l, b, frame_arp(b, fake_bcast_mac, 1, new_mac, LAB_PEER, zero_mac, LAB_PEER));
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	lab_turn(&l, 1);
	cr_assert_eq(l.f->nr_out, 2);
	cr_assert(out_is_arp(&l, 0, 1, new_mac, LAB_PEER), "hearsay is probed when used");
	cr_assert_eq(memcmp(l.f->out[1].b, new_mac, 6), 0);
	lab_end(&l);
}

Test(arp, test_arp_fresh_mac_not_changed_by_hearsay)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	resolve(&l, &rt, LAB_PEER);
	request_from(&l, new_mac, LAB_PEER);
	cr_assert_eq(memcmp(find(&l, LAB_PEER)->mac, fake_peer_mac, 6), 0);
	lab_end(&l);
}

Test(arp, test_arp_ageing_stale_used_while_probe_goes_out)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	resolve(&l, &rt, LAB_PEER);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	lab_turn(&l, 31 * NSEC_PER_SEC);
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_STALE);
	l.f->nr_out = 0;
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	lab_turn(&l, 1);
	cr_assert_eq(l.f->nr_out, 3, "a unicast probe, and no packet waits for it");
	cr_assert(out_is_arp(&l, 0, 1, fake_peer_mac, LAB_PEER));
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_PROBE);
	lab_arp_reply(&l, fake_peer_mac, LAB_PEER);
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_REACHABLE);
	cr_assert_eq(fake_tcp.nr_neigh_failed, 0);
	lab_end(&l);
}

Test(arp, test_arp_progress_of_tcp_keeps_it_reachable)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	resolve(&l, &rt, LAB_PEER);
	for (int i = 0; i < 200; i++) {
		cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
		neigh_confirm(l.st, &rt);
		l.f->nr_out = 0;
		lab_turn(&l, NSEC_PER_SEC);
		cr_assert_eq(l.f->nr_out, 1, "no ARP in between");
	}
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_REACHABLE);
	lab_end(&l);
}

Test(arp, test_arp_progress_of_tcp_ends_probing)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	resolve(&l, &rt, LAB_PEER);
	lab_turn(&l, 31 * NSEC_PER_SEC);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_PROBE);
	neigh_confirm(l.st, &rt);
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_REACHABLE);
	lab_end(&l);
}

Test(arp, test_arp_dead_neighbour_probed_then_asked_by_broadcast_then_failed)
{
	struct lab l = lab_begin();
	struct route rt = {0};
	unsigned unicast = 0, broadcast = 0;

	resolve(&l, &rt, LAB_PEER);
	lab_turn(&l, 31 * NSEC_PER_SEC);
	for (int i = 0; i < 8; i++) {
		cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
		lab_turn(&l, NSEC_PER_SEC + TICK_NS);
		if (fake_tcp.nr_neigh_failed)
			break;
	}
	for (unsigned i = 0; i < l.f->nr_out; i++) {
		unicast += out_is_arp(&l, i, 1, fake_peer_mac, LAB_PEER);
		broadcast += out_is_arp(&l, i, 1, fake_bcast_mac, LAB_PEER);
	}
	cr_assert_eq(unicast, 3);
	cr_assert_eq(broadcast, 3);
	cr_assert_eq(fake_tcp.nr_neigh_failed, 1);
	cr_assert_null(find(&l, LAB_PEER));
	lab_end(&l);
}

Test(arp, test_arp_moved_neighbour_found_by_broadcast)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	resolve(&l, &rt, LAB_PEER);
	lab_turn(&l, 31 * NSEC_PER_SEC);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
		lab_turn(&l, NSEC_PER_SEC + TICK_NS);
	}
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_INCOMPLETE);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 33), 0);
	l.f->nr_out = 0;
	lab_arp_reply(&l, new_mac, LAB_PEER);
	cr_assert_eq(l.f->nr_out, 1);
	cr_assert_eq(memcmp(l.f->out[0].b, new_mac, 6), 0);
	lab_end(&l);
}

Test(arp, test_arp_unused_neighbour_forgotten)
{
	struct lab l = lab_begin();
	struct route rt = {0};

	resolve(&l, &rt, LAB_PEER);
	lab_turn(&l, 31 * NSEC_PER_SEC);
	lab_turn(&l, 601 * NSEC_PER_SEC);
	cr_assert_eq(count(&l), 0);
	cr_assert_eq(stack_next_timer(l.st), 0);
	lab_end(&l);
}

Test(arp, test_arp_request_for_us_answered_and_learned)
{
	struct lab l = lab_begin();

	request_from(&l, fake_peer_mac, LAB_PEER);
	cr_assert_eq(l.f->nr_out, 1);
	cr_assert(out_is_arp(&l, 0, 2, fake_peer_mac, LAB_PEER));
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_STALE);
	lab_end(&l);
}

Test(arp, test_arp_probe_for_our_address_answered_not_learned)
{
	struct lab l = lab_begin();

	request_from(&l, fake_peer_mac, 0);
	cr_assert_eq(l.f->nr_out, 1);
	cr_assert(out_is_arp(&l, 0, 2, fake_peer_mac, 0));
	cr_assert_eq(count(&l), 0);
	lab_end(&l);
}

Test(arp, test_arp_others_talk_and_unasked_replies_not_learned)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];

	lab_rx(&l, b, frame_arp(b, fake_bcast_mac, 1, new_mac, LAB_PEER, zero_mac, LAB_GW));
	lab_rx(&l, b, frame_arp(b, fake_bcast_mac, 1, new_mac, LAB_PEER, zero_mac, LAB_PEER));
	lab_arp_reply(&l, new_mac, LAB_PEER);
	request_from(&l, new_mac, LAB_FAR);
	request_from(&l, new_mac, fake_ip(10, 0, 0, 255));
	request_from(&l, new_mac, fake_ip(10, 0, 0, 0));
	cr_assert_eq(count(&l), 0);
	lab_end(&l);
}

Test(arp, test_arp_malformed_dropped)
{
	struct lab l = lab_begin();
	uint8_t b[FAKE_FRAME_MAX];
	static const struct {
		uint8_t at, value;
	} bad[] = {{15, 6}, {16, 9}, {18, 5}, {19, 6}, {21, 3}, {21, 0}, {22, 1}, {22, 0xff}};
	unsigned n = 42;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)frame_arp(b, fake_bcast_mac, 1, fake_peer_mac, LAB_PEER, zero_mac, LAB_OUR);
		b[bad[i].at] = bad[i].value;
		lab_rx(&l, b, n);
	}
	(void)frame_arp(b, fake_bcast_mac, 1, zero_mac, LAB_PEER, zero_mac, LAB_OUR);
	lab_rx(&l, b, n);
	for (n = ETH_HLEN; n < 42; n++)
		lab_rx(&l, b, n);
	cr_assert_eq(lab_drops(&l, SKB_DROP_ARP_BAD), ARRAY_SIZE(bad) + 1 + 28);
	cr_assert_eq(l.f->nr_out, 0);
	cr_assert_eq(count(&l), 0);
	lab_end(&l);
}

Test(arp, test_arp_conflict_defended_once_per_interval)
{
	struct lab l = lab_begin();

	for (int i = 0; i < 100; i++)
		request_from(&l, new_mac, LAB_OUR);
	cr_assert_eq(l.f->nr_out, 1);
	cr_assert(out_is_arp(&l, 0, 1, fake_bcast_mac, LAB_OUR));
	cr_assert_eq(lab_drops(&l, SKB_DROP_ARP_CONFLICT), 100);
	lab_turn(&l, 10 * NSEC_PER_SEC);
	request_from(&l, new_mac, LAB_OUR);
	cr_assert_eq(l.f->nr_out, 2);
	cr_assert_eq(count(&l), 0);
	lab_end(&l);
}

/* 10,000 strangers ask for us: the table stays its size and who we talk to stays in it. */
Test(arp, test_arp_hostile_requests_bounded_and_harmless)
{
	struct lab l = lab_begin_cfg(0, 1024, 16);
	struct route rt = {0};
	uint32_t gen;

	resolve(&l, &rt, LAB_PEER);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	gen = l.st->neigh_gen;
	for (unsigned i = 0; i < 10000; i++) {
		uint8_t mac[ETH_ALEN] = {2, 1, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};
		uint32_t ip = fake_ip(10, 0, 0, 10 + i % 200);

		request_from(&l, mac, ip);
		lab_arp_reply(&l, mac, ip);
		l.f->nr_out = 0;
	}
	cr_assert(count(&l) <= 16);
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_REACHABLE);
	cr_assert_eq(l.st->neigh_gen, gen, "cached routes were not disturbed");
	/* And a new neighbour of our own still finds a place. */
	rt = (struct route){0};
	resolve(&l, &rt, LAB_GW);
	lab_end(&l);
}

Test(arp, test_arp_table_full_of_waiting_drops_new)
{
	struct lab l = lab_begin_cfg(0, 1024, 4);
	struct route peer = {0};

	resolve(&l, &peer, LAB_PEER);
	for (unsigned i = 0; i < 10; i++) {
		struct route rt = {0};

		cr_assert_eq(lab_send(&l, &rt, fake_ip(10, 0, 0, 20 + i), 20), 0);
	}
	cr_assert_eq(lab_drops(&l, SKB_DROP_NEIGH_TABLE_FULL), 7);
	cr_assert_eq(find(&l, LAB_PEER)->state, NEIGH_REACHABLE);
	lab_end(&l);
}

Test(arp, test_arp_eviction_takes_idle_and_routes_notice)
{
	struct lab l = lab_begin_cfg(0, 1024, 2);
	struct route a = {0}, b = {0}, c = {0};

	resolve(&l, &a, LAB_PEER);
	cr_assert_eq(lab_send(&l, &a, LAB_PEER, 20), 0);
	lab_turn(&l, NSEC_PER_SEC);
	resolve(&l, &b, fake_ip(10, 0, 0, 8));
	lab_turn(&l, 31 * NSEC_PER_SEC);
	resolve(&l, &c, fake_ip(10, 0, 0, 9));
	cr_assert_null(find(&l, LAB_PEER), "the one that was idle longest");
	cr_assert(a.neigh_gen != l.st->neigh_gen);
	/* The table's place of LAB_PEER belongs to another now: a must not use it. */
	cr_assert_eq(lab_send(&l, &a, LAB_PEER, 20), 0);
	lab_turn(&l, 1);
	cr_assert(out_is_arp(&l, 0, 1, fake_bcast_mac, LAB_PEER));
	lab_end(&l);
}

Test(arp, test_arp_random_frames_and_traffic_leave_nothing_behind)
{
	struct lab l = lab_begin_cfg(0, 1024, 8);
	struct route rt[12] = {0};
	unsigned seed = 777;

	for (int round = 0; round < 30000; round++) {
		uint8_t b[FAKE_FRAME_MAX], mac[ETH_ALEN] = {2, 0, 0, 0, 1};
		unsigned who = (unsigned)rand_r(&seed) % 12, n;
		uint32_t ip = fake_ip(10, 0, 0, 100 + who);

		switch (rand_r(&seed) % 5) {
		case 0:
			(void)lab_send(&l, &rt[who], ip, 20);
			break;
		case 3:
			lab_answer(&l, fake_ip(10, 0, 0, 96 + who));
			break;
		case 1:
			lab_turn(&l, (uint64_t)rand_r(&seed) << (rand_r(&seed) % 5));
			break;
		case 2:
			if (rt[who].resolved)
				neigh_confirm(l.st, &rt[who]);
			break;
		default:
			mac[5] = (uint8_t)(rand_r(&seed) % 4);
			n = frame_arp(b, rand_r(&seed) % 2 ? fake_mac : fake_bcast_mac,
				      (uint16_t)(1 + rand_r(&seed) % 2), mac, ip, fake_mac,
				      rand_r(&seed) % 3 ? LAB_OUR : ip);
			if (rand_r(&seed) % 8 == 0)
				b[6 + (unsigned)rand_r(&seed) % 36] = (uint8_t)rand_r(&seed);
			lab_rx(&l, b, n);
		}
		for (unsigned i = 0; i < l.f->nr_out; i++)
			cr_assert(l.f->out[i].b[13] == 6 ||
					  (!(l.f->out[i].b[0] & 1) &&
					   memcmp(l.f->out[i].b, zero_mac, ETH_ALEN) != 0),
				  "seed 777 round %d: a packet to a group or to nobody", round);
		l.f->nr_out = 0;
		cr_assert(count(&l) <= 8 && l.st->arp->pending <= l.st->arp->pending_max);
		cr_assert_eq(l.st->arp->nr_guests + l.st->arp->nr_first, count(&l));
		cr_assert_leq(l.st->arp->nr_guests, l.st->arp->max_guests);
	}
	lab_end(&l);
}
