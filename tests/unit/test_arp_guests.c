/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours that no socket asked for: what strangers make us look up stays few, pushes out
 * nobody whom a socket or the gateway needs, and is nobody's bad news.
 */
#include "lab_arp.h"

enum { NR = 16, GUESTS = NR / 4 };

static uint32_t stranger(unsigned i)
{
	return fake_ip(10, 0, 0, 20 + i);
}

Test(arp_guests, test_arp_guests_bounded_oldest_gives_way)
{
	struct lab l = lab_begin_cfg(0, 1024, NR);

	for (unsigned i = 0; i < 200; i++) {
		lab_answer(&l, stranger(i));
		cr_assert_eq(count(&l), i < GUESTS ? i + 1 : GUESTS);
		cr_assert_not_null(find(&l, stranger(i)));
		cr_assert_eq(l.st->arp->pending, count(&l));
	}
	for (unsigned i = 0; i < GUESTS; i++)
		cr_assert_not_null(find(&l, stranger(199 - i)));
	cr_assert_eq(lab_drops(&l, SKB_DROP_NEIGH_TABLE_FULL), 200 - GUESTS);
	/* in every state: an answered one is no better */
	for (unsigned i = 0; i < GUESTS; i++)
		lab_arp_reply(&l, fake_peer_mac, stranger(199 - i));
	cr_assert_eq(find(&l, stranger(199))->state, NEIGH_REACHABLE);
	for (unsigned i = 0; i < GUESTS; i++)
		lab_answer(&l, stranger(i));
	cr_assert_null(find(&l, stranger(199)));
	cr_assert_eq(count(&l), GUESTS);
	lab_end(&l);
}

Test(arp_guests, test_arp_guests_spare_idle_neighbours_of_sockets_and_gateway)
{
	struct lab l = lab_begin_cfg(0, 1024, NR);
	struct route rt[NR - GUESTS] = {0};
	uint32_t gen;

	lab_answer(&l, LAB_FAR);
	lab_arp_reply(&l, fake_peer_mac, LAB_GW);
	for (unsigned i = 0; i < NR - GUESTS - 1; i++) {
		resolve(&l, &rt[i], fake_ip(10, 0, 0, 3 + i));
		cr_assert_eq(lab_send(&l, &rt[i], fake_ip(10, 0, 0, 3 + i), 20), 0);
	}
	lab_turn(&l, 31 * NSEC_PER_SEC);
	gen = l.st->neigh_gen;
	for (unsigned i = 0; i < 200; i++)
		lab_answer(&l, stranger(i));
	cr_assert_eq(find(&l, LAB_GW)->state, NEIGH_STALE);
	for (unsigned i = 0; i < NR - GUESTS - 1; i++)
		cr_assert_eq(find(&l, fake_ip(10, 0, 0, 3 + i))->state, NEIGH_STALE);
	cr_assert_eq(l.st->neigh_gen, gen, "cached routes were not disturbed");
	lab_turn(&l, 1);
	l.f->nr_out = 0;
	cr_assert_eq(lab_send(&l, &rt[0], fake_ip(10, 0, 0, 3), 20), 0);
	lab_answer(&l, LAB_FAR);
	lab_turn(&l, 1);
	cr_assert_eq(l.f->nr_out, 4, "two probes, and no packet waits for them");
	lab_end(&l);
}

Test(arp_guests, test_arp_guests_that_wait_give_way_to_a_socket)
{
	struct lab l = lab_begin_cfg(0, 1024, NR);

	for (unsigned i = 0; i < 50; i++)
		lab_answer(&l, stranger(i));
	for (unsigned i = 0; i < NR; i++) {
		struct route rt = {0};

		resolve(&l, &rt, fake_ip(10, 0, 0, 3 + i));
		lab_answer(&l, stranger(100 + i));
	}
	cr_assert_eq(l.st->arp->nr_first, NR);
	cr_assert_eq(l.st->arp->pending, 0);
	lab_end(&l);
}

/* Peers of connections that ended may not fill the table: a new one could not be answered. */
Test(arp_guests, test_arp_idle_neighbours_of_sockets_leave_room_for_guests)
{
	struct lab l = lab_begin_cfg(0, 1024, NR);

	for (unsigned i = 0; i < 100; i++) {
		struct route rt = {0};

		lab_answer(&l, stranger(i));
		lab_arp_reply(&l, fake_peer_mac, stranger(i));
		resolve(&l, &rt, stranger(i + 100));
		cr_assert_eq(ip_route(l.st, 0, stranger(i), &rt), 0);
		neigh_want(l.st, &rt);
		cr_assert(rt.resolved);
		lab_turn(&l, 31 * NSEC_PER_SEC);
		cr_assert_leq(l.st->arp->nr_first, NR - GUESTS);
	}
	cr_assert_eq(l.st->arp->nr_first, NR - GUESTS);
	cr_assert_eq(lab_drops(&l, SKB_DROP_NEIGH_TABLE_FULL), 0);
	lab_end(&l);
}

/* The gateway has no need of a socket, and is not pushed out by sockets either. */
Test(arp_guests, test_arp_idle_gateway_outlives_many_sockets)
{
	struct lab l = lab_begin_cfg(0, 1024, NR);

	lab_answer(&l, LAB_FAR);
	lab_arp_reply(&l, fake_peer_mac, LAB_GW);
	lab_turn(&l, 31 * NSEC_PER_SEC);
	for (unsigned i = 0; i < 17; i++) {
		for (unsigned k = 0; k < 5; k++) {
			struct route rt = {0};

			resolve(&l, &rt, stranger(5 * i + k));
		}
		lab_turn(&l, 31 * NSEC_PER_SEC);
	}
	cr_assert_eq(find(&l, LAB_GW)->state, NEIGH_STALE);
	lab_end(&l);
}

Test(arp_guests, test_arp_guest_failure_told_to_nobody)
{
	struct lab l = lab_begin_cfg(0, 1024, NR);

	for (unsigned i = 0; i < 200; i++) {
		lab_answer(&l, stranger(i));
		lab_turn(&l, 100 * NSEC_PER_MSEC);
	}
	lab_answer(&l, LAB_FAR);
	lab_turn(&l, 4 * NSEC_PER_SEC);
	lab_turn(&l, 4 * NSEC_PER_SEC);
	lab_turn(&l, 4 * NSEC_PER_SEC);
	lab_turn(&l, 4 * NSEC_PER_SEC);
	cr_assert_eq(count(&l), 0);
	cr_assert_gt(lab_drops(&l, SKB_DROP_NEIGH_FAILED), 0);
	cr_assert_eq(fake_tcp.nr_neigh_failed, 0);
	lab_end(&l);
}

/* A socket joins an entry that a stranger has almost failed: it has three tries of its own. */
Test(arp_guests, test_arp_guest_that_a_socket_wants_told_after_three_tries)
{
	struct lab l = lab_begin_cfg(0, 1024, NR);
	struct route rt = {0};

	lab_answer(&l, LAB_PEER);
	for (int i = 0; i < 2; i++)
		lab_turn(&l, NSEC_PER_SEC + TICK_NS);
	cr_assert_eq(find(&l, LAB_PEER)->tries, NEIGH_TRIES);
	cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	for (unsigned i = 0; i < 50; i++)
		lab_answer(&l, stranger(i));
	l.f->nr_out = 0;
	for (int i = 0; i < NEIGH_TRIES; i++) {
		lab_turn(&l, NSEC_PER_SEC + TICK_NS);
		cr_assert_not_null(find(&l, LAB_PEER), "try %d", i);
	}
	cr_assert_eq(fake_tcp.nr_neigh_failed, 0);
	lab_turn(&l, NSEC_PER_SEC + TICK_NS);
	cr_assert_eq(fake_tcp.nr_neigh_failed, 1);
	cr_assert_eq(fake_tcp.neigh_failed, LAB_PEER);
	lab_end(&l);
}

Test(arp_guests, test_arp_strangers_packets_leave_waiting_room_to_sockets)
{
	struct lab l = lab_begin();
	struct route gw = {0}, rt = {0};
	struct arp_table *tb = l.st->arp;

	cr_assert_eq(lab_send(&l, &gw, LAB_FAR, 33), 0);
	for (unsigned i = 0; i < 3 * tb->pending_max; i++) {
		lab_answer(&l, LAB_FAR);
		lab_answer(&l, stranger(i % 10));
	}
	cr_assert_eq(tb->pending, tb->pending_max / 4);
	for (unsigned i = 0; i < tb->pending_one; i++)
		cr_assert_eq(lab_send(&l, &rt, LAB_PEER, 20), 0);
	cr_assert_eq(tb->pending, tb->pending_max / 4 + tb->pending_one);
	lab_turn(&l, 1);
	l.f->nr_out = 0;
	lab_arp_reply(&l, fake_peer_mac, LAB_GW);
	cr_assert_eq(l.f->out[0].len, ETH_HLEN + IP_HLEN + 33, "the socket's was not pushed out");
	lab_end(&l);
}

/* ---- several lanes: what is handed to the others ---- */

static unsigned nr_handed;

static bool hand(void *ctx, uint16_t lane, struct sk_buff *skb)
{
	(void)ctx, (void)lane, (void)skb;
	nr_handed++;
	return false; /* and dropped */
}

static unsigned handed(struct lab *l, const uint8_t *dst, uint16_t op, uint32_t spa, uint32_t tpa)
{
	uint8_t b[FAKE_FRAME_MAX];

	nr_handed = 0;
	lab_rx(l, b, frame_arp(b, dst, op, fake_peer_mac, spa, fake_mac, tpa));
	return nr_handed;
}

Test(arp_guests, test_arp_other_lanes_get_neighbours_answers_and_news_only)
{
	struct lab l = lab_begin();

	l.st->cfg.nr_lanes = 2;
	l.st->cfg.steer.forward = hand;
	cr_expect_eq(handed(&l, fake_mac, 2, LAB_PEER, LAB_OUR), 1, "an answer to us");
	cr_expect_eq(handed(&l, fake_bcast_mac, 1, LAB_PEER, LAB_PEER), 1, "an announcement");
	cr_expect_eq(handed(&l, fake_bcast_mac, 2, LAB_PEER, LAB_PEER), 1, "one as an answer");
	cr_expect_eq(handed(&l, fake_mac, 2, LAB_FAR, LAB_OUR), 0, "no neighbour");
	cr_expect_eq(handed(&l, fake_mac, 2, 0, LAB_OUR), 0);
	cr_expect_eq(handed(&l, fake_bcast_mac, 1, LAB_FAR, LAB_FAR), 0);
	cr_expect_eq(handed(&l, fake_mac, 2, LAB_PEER, LAB_GW), 0, "somebody else's answer");
	cr_expect_eq(handed(&l, fake_mac, 2, LAB_OUR, LAB_OUR), 0, "our own address");
	cr_expect_eq(handed(&l, fake_mac, 1, LAB_PEER, LAB_OUR), 0, "who asks is answered here");
	l.st->cfg.nr_lanes = 1;
	lab_end(&l);
}
