/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lanes hand to each other's shard of the stack: frames that came by the wrong queue, and
 * calls on conns that only their own lane may touch. Two lanes of a group in virtual time, each
 * with one end of a loop pair.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include <parklane/conn.h>
#include <parklane/go.h>

#include "drivers/loop.h"
#include "poller/group.h"
#include "poller/lane_int.h"
#include "poller/netpoll_stack.h"
#include "stack/sock.h"
#include "stack/stack_int.h"

#define NR_SKBS  8192u
#define MAX_G    8u
#define PER_TURN (4 * NETDEV_BURST) /* STACK_POLL_BUDGET */

struct end {
	struct skb_pool *pool;
	struct netdev *dev;
	struct stack *st;
	struct lane *lane;
	struct netpoll_backend *nb;
};

static struct end end[2];
static struct lane_group *grp;
static uint64_t now = NSEC_PER_SEC;

static uint64_t the_clock(void *ctx)
{
	return *(uint64_t *)ctx;
}

static void open_end(unsigned i)
{
	struct end *n = &end[i];
	struct stack_config scfg;
	struct lane_config cfg;
	uint32_t ip;

	memcpy(&ip, (uint8_t[]){10, 0, 0, (uint8_t)(1 + i)}, 4);
	lane_config_init(&cfg);
	cfg.virt = true;
	cfg.clock = the_clock;
	cfg.clock_ctx = &now;
	cfg.max_g = MAX_G;
	n->pool = skb_heap_pool_create(NR_SKBS, 2048);
	cr_assert_not_null(n->pool);
	stack_config_init(&scfg);
	scfg.seed[0] = (uint8_t)i;
	cr_assert_eq(stack_create(&scfg, n->pool, &n->st), 0);
	cr_assert_eq(stack_attach(n->st, n->dev, 0, ip, 24, 0), 0);
	cr_assert_eq(lane_create(&cfg, &n->lane), 0);
	cr_assert_eq(netpoll_stack_create(n->lane, n->st, 0, &n->nb), 0);
	cr_assert_eq(lane_add_backend(n->lane, n->nb), 0);
	lane_join(n->lane, grp, i);
}

static void both_open(void)
{
	cr_assert_eq(loop_pair(NULL, &end[0].dev, &end[1].dev), 0);
	cr_assert_eq(lane_group_create(2, &grp), 0);
	for (unsigned i = 0; i < 2; i++)
		open_end(i);
}

static void turns(unsigned n)
{
	while (n--) {
		(void)lane_turn(end[0].lane, false);
		(void)lane_turn(end[1].lane, false);
		now += 1000;
	}
}

/* both_close - and not one buffer is missing. */
static void both_close(void)
{
	for (unsigned i = 0; i < 2; i++) {
		lane_destroy(end[i].lane);
		netpoll_stack_destroy(end[i].nb);
		stack_destroy(end[i].st);
	}
	for (unsigned i = 0; i < 2; i++)
		end[i].dev->ops->close(end[i].dev);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(end[i].pool->ops->avail(end[i].pool), NR_SKBS);
		skb_pool_destroy(end[i].pool);
	}
	lane_group_destroy(grp);
}

/* ---- frames ---- */

/* handed - a frame that says nothing, from another shard to the first lane's: was it taken? */
static bool handed(enum skb_steer what)
{
	struct skb_cache *c = &end[0].st->cache;
	struct sk_buff *skb = skb_alloc(c, 0);

	cr_assert_not_null(skb);
	skb->steer = (uint8_t)what;
	skb->flags |= SKB_F_STEER;
	c->outstanding--;
	if (netpoll_stack_forward(end[0].nb, skb))
		return true;
	c->outstanding++;
	skb_free(skb);
	return false;
}

static unsigned flood(enum skb_steer what, unsigned nr)
{
	unsigned taken = 0;

	while (nr--)
		taken += handed(what);
	return taken;
}

Test(netpoll_stack, test_netpoll_stack_arp_flood_leaves_the_inbox_to_connections)
{
	unsigned room = NETPOLL_STACK_INBOX - NETPOLL_STACK_INBOX_ARP;

	both_open();
	for (unsigned round = 0; round < 2; round++) {
		cr_assert_eq(flood(SKB_STEER_ARP, NETPOLL_STACK_INBOX), NETPOLL_STACK_INBOX_ARP);
		cr_assert_eq(flood(SKB_STEER_ICMP, NETPOLL_STACK_INBOX), room);
		cr_assert_not(handed(SKB_STEER_ARP), "full");
		turns(200);
		cr_assert_eq(end[0].st->stats.steered_in, (round + 1) * NETPOLL_STACK_INBOX);
	}
	(void)flood(SKB_STEER_ICMP, 1000);
	turns(1); /* what is left goes back to the pool, wherever it is */
	both_close();
}

static const struct netdev_ops *prompt_ops;

/* The thread lost the cpu since its turn began, and a frame came meanwhile. */
static unsigned late_rx_burst(struct netdev *dev, uint16_t queue, struct skb_cache *cache,
			      struct sk_buff **skbs, unsigned n)
{
	n = prompt_ops->rx_burst(dev, queue, cache, skbs, n);
	if (n)
		now += 18 * NSEC_PER_MSEC;
	return n;
}

/* When the stack says that a frame of the other end came. */
static uint64_t time_of_late_frame(void)
{
	struct netdev_ops late = *end[0].dev->ops;
	struct sk_buff *skb = skb_alloc(&end[1].st->cache, 64);
	uint64_t at;

	prompt_ops = end[0].dev->ops;
	late.rx_burst = late_rx_burst;
	end[0].dev->ops = &late;
	cr_assert_not_null(skb);
	memset(skb_put(skb, 60), 0xff, 60);
	cr_assert_eq(netdev_tx_burst(end[1].dev, 0, &skb, 1), 1);
	(void)lane_turn(end[0].lane, false);
	at = end[0].st->now;
	end[0].dev->ops = prompt_ops;
	return at;
}

/* An ACK's round trip was 0.9 ms on a path of 20 ms, where the cpu was shared. */
Test(netpoll_stack, test_netpoll_stack_frame_that_came_while_the_cpu_was_lost_is_not_early)
{
	both_open();
	cr_assert_eq(time_of_late_frame(), now);
	cr_assert_eq(lane_now(end[0].lane), now);
	both_close();
}

static void g_yields(void *arg)
{
	for (;;) {
		++*(unsigned *)arg;
		pl_yield();
	}
}

Test(netpoll_stack, test_netpoll_stack_goroutines_run_between_forwarded_frames)
{
	unsigned ran = 0, nr = 10 * PER_TURN;

	both_open();
	cr_assert_eq(lane_go(end[0].lane, g_yields, &ran, "yields"), 0);
	turns(1);
	ran = 0;
	cr_assert_eq(flood(SKB_STEER_ICMP, nr), nr);
	turns(1);
	cr_assert_eq(ran, 1);
	cr_assert_eq(end[0].st->stats.steered_in, PER_TURN, "as many as of the device in a turn");
	cr_assert(handed(SKB_STEER_ICMP), "while it is at it");
	turns(10);
	cr_assert_eq(end[0].st->stats.steered_in, nr + 1);
	cr_assert(handed(SKB_STEER_ICMP));
	turns(1);
	cr_assert_eq(end[0].st->stats.steered_in, nr + 2, "the next one kicks again");
	both_close();
}

/* ---- calls, where the owner has no room for one more goroutine ---- */

static struct pl_conn *lis;
static int accepted = 1, deadline = 1, closed = 1, again = 1;
static bool fill;

static void g_sleeps(void *arg)
{
	(void)arg;
	pl_sleep(INT64_MAX);
}

static void g_accepts(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET, .port = 7};
	struct pl_conn *c;

	(void)arg;
	cr_assert_eq(pl_listen(PL_NET_STACK, &a, 0, &lis), 0);
	while (fill && pl_go(g_sleeps, NULL) == 0)
		;
	accepted = pl_accept(lis, &c);
}

static void g_listens(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET, .port = 7};

	(void)arg;
	cr_assert_eq(pl_listen(PL_NET_STACK, &a, 0, &lis), 0);
}

static void g_far_addr(void *arg)
{
	struct pl_addr a;

	(void)arg;
	again = pl_local_addr(lis, &a);
}

static void g_closes(void *arg)
{
	(void)arg;
	deadline = pl_set_deadline(lis, pl_now() + NSEC_PER_SEC);
	cr_assert_eq(pl_go(g_far_addr, NULL), 0);
	closed = pl_close(lis);
}

Test(netpoll_stack, test_netpoll_stack_far_calls_need_no_goroutine_of_the_owner)
{
	both_open();
	fill = true;
	cr_assert_eq(lane_go(end[0].lane, g_accepts, NULL, "accepts"), 0);
	turns(4);
	cr_assert_eq(lane_go(end[0].lane, g_sleeps, NULL, "one more"), -ENOMEM);
	cr_assert_eq(lane_go(end[1].lane, g_closes, NULL, "closes"), 0);
	turns(20);
	cr_assert_eq(deadline, 0);
	cr_assert_eq(accepted, -EBADF);
	cr_assert_eq(closed, 0);
	cr_assert_eq(again, -EBADF, "sent before the close was over, made after it");
	cr_assert_eq(end[0].lane->np.nr_open, 0);
	cr_assert_eq(lane_nr_g(end[1].lane), 0);
	both_close();
}

Test(netpoll_stack, test_netpoll_stack_far_close_of_a_conn_that_nobody_uses)
{
	both_open();
	cr_assert_eq(lane_go(end[0].lane, g_listens, NULL, "listens"), 0);
	turns(4);
	cr_assert_eq(lane_nr_g(end[0].lane), 0);
	cr_assert_eq(lane_go(end[1].lane, g_closes, NULL, "closes"), 0);
	turns(20);
	cr_assert_eq(closed, 0);
	cr_assert_eq(again, -EBADF);
	cr_assert_eq(end[0].lane->np.nr_open, 0);
	cr_assert_eq(lane_nr_g(end[1].lane), 0);
	both_close();
}

/* The sock lives on, in FIN-WAIT and TIME-WAIT, when its pd serves another one. */
Test(netpoll_stack, test_netpoll_stack_R16_close_leaves_no_pd_with_the_sock)
{
	struct poll_desc *pd;
	struct sock *sk;

	both_open();
	cr_assert_eq(sock_create(end[0].st, SK_AF_INET, &sk), 0);
	cr_assert_eq(netpoll_open(end[0].nb, -1, sk, &pd), 0);
	cr_assert_eq(sk->sk_user_data, pd);
	netpoll_evict(pd);
	netpoll_close(pd);
	cr_assert_null(sk->sk_user_data);
	sock_close(sk);
	both_close();
}
