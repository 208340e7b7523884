/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several shards behind one address: two on each side of a loop pair with two queues, all
 * turned by hand. With a home() that agrees with the device's sorting no segment is forwarded;
 * with one that always disagrees all are, and the connections work all the same.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "drivers/loop.h"
#include "drivers/rss.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define IP_A    0x0100000au
#define IP_B    0x0200000au
#define PORT    7
#define NR_CONN 16
#define BUFS    2048

struct shard {
	struct stack *st;
	struct shard *side; /* the two of one address */
	struct mlist inbox;
	bool refuse;
	bool reversed;
};

struct bed {
	struct netdev *dev[2];
	struct skb_pool *pool;
	struct shard sh[2][2]; /* [side][lane] */
	uint64_t now;
};

static uint16_t home(void *ctx, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport)
{
	const struct shard *s = ctx;
	uint16_t q = rss_queue(rss_hash4(saddr, daddr, sport, dport), 2);

	return s->reversed ? !q : q;
}

static bool forward(void *ctx, uint16_t lane, struct sk_buff *skb)
{
	struct shard *s = ctx;

	if (s->side[lane].refuse)
		return false;
	(void)mlist_push(&s->side[lane].inbox, &skb->xlane);
	return true;
}

static void bed_init(struct bed *b, bool reversed)
{
	struct loop_config lc;

	loop_config_init(&lc);
	lc.nr_queues = 2;
	cr_assert_eq(loop_pair(&lc, &b->dev[0], &b->dev[1]), 0);
	b->pool = skb_heap_pool_create(BUFS, 2048);
	b->now = NSEC_PER_SEC;
	for (int side = 0; side < 2; side++) {
		for (uint16_t lane = 0; lane < 2; lane++) {
			struct shard *s = &b->sh[side][lane];
			struct stack_config cfg;

			*s = (struct shard){.side = b->sh[side], .reversed = reversed};
			stack_config_init(&cfg);
			cfg.seed[0] = (uint8_t)(side * 2 + lane);
			cfg.lane = lane;
			cfg.nr_lanes = 2;
			cr_assert_eq(stack_create(&cfg, b->pool, &s->st), -EINVAL,
				     "two lanes, and nobody knows whose a flow is");
			cfg.steer = (struct stack_steer_ops){home, forward, s};
			cr_assert_eq(stack_create(&cfg, b->pool, &s->st), 0);
			cr_assert_eq(
				stack_attach(s->st, b->dev[side], lane, side ? IP_B : IP_A, 24, 0),
				0);
		}
	}
}

static void drain(struct shard *s)
{
	struct mnode *n = mlist_take(&s->inbox);

	while (n) {
		struct sk_buff *skb = container_of(n, struct sk_buff, xlane);

		n = n->next;
		stack_forwarded(s->st, skb);
	}
}

static void turn(struct bed *b, unsigned times)
{
	while (times--) {
		for (int i = 0; i < 4; i++) {
			struct shard *s = &b->sh[i / 2][i % 2];

			(void)stack_rx(s->st, b->now, 256);
			(void)stack_timers(s->st, b->now);
			drain(s);
			(void)stack_output(s->st, b->now);
		}
		b->now += 100 * NSEC_PER_USEC;
	}
}

static void bed_fini(struct bed *b)
{
	for (int i = 0; i < 4; i++)
		stack_destroy(b->sh[i / 2][i % 2].st);
	b->dev[0]->ops->close(b->dev[0]);
	b->dev[1]->ops->close(b->dev[1]);
	cr_assert_eq(b->pool->ops->avail(b->pool), BUFS, "a buffer is missing");
	skb_pool_destroy(b->pool);
}

static struct sock *listener(struct stack *st)
{
	struct sk_addr any = {.family = SK_AF_INET, .port = PORT};
	struct sock *lp;

	cr_assert_eq(sock_create(st, SK_AF_INET, &lp), 0);
	cr_assert_eq(sock_bind(lp, &any), 0);
	cr_assert_eq(sock_listen(lp, 64), 0);
	return lp;
}

static struct sock *dial(struct stack *st)
{
	struct sk_addr peer = {.family = SK_AF_INET, .port = PORT, .v4 = IP_B};
	struct sock *sk;

	cr_assert_eq(sock_create(st, SK_AF_INET, &sk), 0);
	cr_assert_eq(sock_connect(sk, &peer), -EINPROGRESS);
	return sk;
}

/* NR_CONN connections from each lane of side 0; every one carries a byte there and back. */
static void talk(struct bed *b)
{
	struct sock *lp[2], *c[2][NR_CONN], *s;
	unsigned accepted[2] = {0};
	uint8_t byte;

	for (int lane = 0; lane < 2; lane++)
		lp[lane] = listener(b->sh[1][lane].st);
	for (int lane = 0; lane < 2; lane++)
		for (int i = 0; i < NR_CONN; i++)
			c[lane][i] = dial(b->sh[0][lane].st);
	turn(b, 20);
	for (int lane = 0; lane < 2; lane++)
		for (int i = 0; i < NR_CONN; i++) {
			cr_assert_eq(c[lane][i]->sk_state, TCP_ESTABLISHED);
			cr_assert_eq(sock_send(c[lane][i], "x", 1), 1);
		}
	turn(b, 5);
	for (int lane = 0; lane < 2; lane++) {
		while (sock_accept(lp[lane], &s) == 0) {
			cr_assert_eq(home(&b->sh[1][0], s->sk_peer.v4, s->sk_local.v4,
					  __builtin_bswap16(s->sk_peer.port),
					  __builtin_bswap16(s->sk_local.port)),
				     lane, "accepted where it is at home");
			cr_assert_eq(sock_recv(s, &byte, 1), 1);
			cr_assert_eq(sock_send(s, "y", 1), 1);
			sock_close(s);
			accepted[lane]++;
		}
		sock_close(lp[lane]);
	}
	cr_assert_eq(accepted[0] + accepted[1], 2 * NR_CONN);
	cr_assert(accepted[0] && accepted[1], "both lanes serve");
	turn(b, 5);
	for (int lane = 0; lane < 2; lane++)
		for (int i = 0; i < NR_CONN; i++) {
			cr_assert_eq(sock_recv(c[lane][i], &byte, 1), 1);
			cr_assert_eq(byte, 'y');
			sock_close(c[lane][i]);
		}
	turn(b, 50);
}

static uint64_t steered(struct bed *b, int side)
{
	return stack_stats(b->sh[side][0].st)->steered_in +
	       stack_stats(b->sh[side][1].st)->steered_in;
}

Test(steer, test_steer_device_agrees_nothing_forwarded)
{
	struct bed b;

	bed_init(&b, false);
	talk(&b);
	/* ARP's answers alone, which come by one queue and are for both lanes. */
	cr_assert_leq(steered(&b, 0), NR_CONN / 2);
	cr_assert_leq(steered(&b, 1), NR_CONN / 2);
	bed_fini(&b);
}

Test(steer, test_steer_device_disagrees_all_forwarded)
{
	struct bed b;

	bed_init(&b, true);
	talk(&b);
	cr_assert_gt(steered(&b, 0), 2 * NR_CONN);
	cr_assert_gt(steered(&b, 1), 2 * NR_CONN);
	bed_fini(&b);
}

Test(steer, test_steer_full_lane_drops_and_counts)
{
	const struct stack_stats *ss;
	struct sock *lp[2], *c;
	struct bed b;

	bed_init(&b, true);
	lp[0] = listener(b.sh[1][0].st);
	lp[1] = listener(b.sh[1][1].st);
	b.sh[1][0].refuse = b.sh[1][1].refuse = true;
	c = dial(b.sh[0][0].st);
	turn(&b, 20);
	cr_assert_eq(c->sk_state, TCP_SYN_SENT);
	ss = stack_stats(b.sh[1][0].st);
	cr_assert_geq(ss->drops[SKB_DROP_STEER_FULL] +
			      stack_stats(b.sh[1][1].st)->drops[SKB_DROP_STEER_FULL],
		      1);
	b.sh[1][0].refuse = b.sh[1][1].refuse = false;
	b.now += NSEC_PER_SEC;
	turn(&b, 20);
	cr_assert_eq(c->sk_state, TCP_ESTABLISHED, "the SYN that was sent again came through");
	sock_close(c);
	sock_close(lp[0]);
	sock_close(lp[1]);
	turn(&b, 20);
	bed_fini(&b);
}

/* A segment that no lane knows is answered once, by the lane at home. */
Test(steer, test_steer_no_socket_reset_once)
{
	struct sock *c;
	struct bed b;

	bed_init(&b, true);
	c = dial(b.sh[0][1].st);
	turn(&b, 20);
	cr_assert_eq(sock_error(c), -ECONNREFUSED);
	cr_assert_eq(stack_stats(b.sh[1][0].st)->tcp_out_rsts +
			     stack_stats(b.sh[1][1].st)->tcp_out_rsts,
		     1);
	sock_close(c);
	turn(&b, 2);
	bed_fini(&b);
}
