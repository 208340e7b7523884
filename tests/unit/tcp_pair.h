/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stacks joined by a link of paper in virtual time: a delay, a hook that may lose or
 * change a frame, and a clock that jumps to the next thing that happens. For the TCP tests.
 */
#ifndef TESTS_UNIT_TCP_PAIR_H
#define TESTS_UNIT_TCP_PAIR_H

#include "stack/sock.h"
#include "stack/stack.h"

#define PAIR_IP_A 0x0100000au /* 10.0.0.1, network order */
#define PAIR_IP_B 0x0200000au /* 10.0.0.2 */

struct pair;
struct pair_frame;

struct pair_end {
	struct netdev dev; /* first */
	struct pair *pair;
	struct stack *st;
	struct skb_pool *pool;
	struct pair_frame *head, **tailp; /* under way to this end */
	unsigned idx;
	uint64_t sent, chains; /* frames; of them in more than one piece */
};

struct pair {
	struct pair_end end[2];
	uint64_t now;
	uint64_t delay; /* ns each way; default 50 us */
	uint64_t rng;
	/* hook - called for every frame from end `from`; the return value is the number of
	 * copies to deliver (0 = lost); *extra_delay may be set (reordering). */
	unsigned (*hook)(struct pair *p, unsigned from, uint8_t *frame, unsigned len,
			 uint64_t *extra_delay);
	double loss, reorder, dup; /* used by pair_hook_random */
	uint64_t lost;
};

/* pair_init - both ends up; cfg may be NULL; nr_skbs per pool. With NETDEV_F_RX_CSUM every frame is
 * found right, whatever the sums in it: TX_IP_CSUM and TX_TCP_CSUM go with it. */
void pair_init(struct pair *p, const struct stack_config *cfg, unsigned nr_skbs, uint32_t features,
	       uint16_t mtu);
/* pair_fini - destroys both stacks; returns how many skbs are missing from the pools. */
unsigned pair_fini(struct pair *p);
/* pair_turn - one turn of both ends, then time moves to the next event (at most max_step). */
void pair_turn(struct pair *p, uint64_t max_step);
/* pair_run - turns until done() or `ns` have passed; true if done. */
bool pair_run(struct pair *p, uint64_t ns, bool (*done)(void *arg), void *arg);
unsigned pair_hook_random(struct pair *p, unsigned from, uint8_t *frame, unsigned len,
			  uint64_t *extra_delay);
double pair_random(struct pair *p);

/* pair_connect - B listens on port, A connects; both socks established. */
void pair_connect(struct pair *p, uint16_t port, struct sock **ret_a, struct sock **ret_b,
		  struct sock **ret_listener);

#endif
