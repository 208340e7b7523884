/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both backends alive in one lane (R40, step 7 of the turn): a flood on one side must starve
 * neither the other side nor the goroutines that use both. Bounds are in turns of the lane, which
 * a loaded machine does not stretch.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <parklane/conn.h>
#include <parklane/go.h>

#include "drivers/loop.h"
#include "poller/lane_int.h"
#include "poller/netpoll_stack.h"
#include "stack/stack.h"

#define ROUNDS  300
#define FLOODS  16
#define IP_LANE 0x0100000au /* 10.0.0.1, network order */
#define IP_PEER 0x0200000au

/* [0] is the lane under test, [1] its peer on the other end of the link. */
static struct {
	struct skb_pool *pool;
	struct netdev *dev;
	struct stack *st;
	struct lane *lane;
	struct netpoll_backend *nb;
} node[2];

static struct pl_conn *ping[2]; /* kernel, both ends on the lane under test */
static struct pl_conn *flooded;
static uint64_t flood_bytes[FLOODS], worst, rounds;
static bool stop;

static void open_nodes(void)
{
	static const uint32_t ip[2] = {IP_LANE, IP_PEER};
	struct stack_config scfg;
	struct lane_config lcfg;

	cr_assert_eq(loop_pair(NULL, &node[0].dev, &node[1].dev), 0);
	for (unsigned i = 0; i < 2; i++) {
		node[i].pool = skb_heap_pool_create(16384, 2048);
		cr_assert_not_null(node[i].pool);
		stack_config_init(&scfg);
		memset(scfg.seed, (int)i + 1, sizeof(scfg.seed));
		cr_assert_eq(stack_create(&scfg, node[i].pool, &node[i].st), 0);
		cr_assert_eq(stack_attach(node[i].st, node[i].dev, 0, ip[i], 24, 0), 0);
		lane_config_init(&lcfg);
		lcfg.max_g = 256;
		cr_assert_eq(lane_create(&lcfg, &node[i].lane), 0);
		cr_assert_eq(netpoll_stack_create(node[i].lane, node[i].st, 0, &node[i].nb), 0);
		cr_assert_eq(lane_add_backend(node[i].lane, node[i].nb), 0);
	}
}

static void close_nodes(void)
{
	for (unsigned i = 0; i < 2; i++) {
		lane_destroy(node[i].lane);
		netpoll_stack_destroy(node[i].nb);
		stack_destroy(node[i].st);
	}
	for (unsigned i = 0; i < 2; i++) {
		node[i].dev->ops->close(node[i].dev);
		skb_pool_destroy(node[i].pool);
	}
}

static void go(unsigned on, void (*fn)(void *arg), void *arg)
{
	cr_assert_eq(lane_go(node[on].lane, fn, arg, "test"), 0);
}

static void run(void)
{
	while (!stop) {
		(void)lane_turn(node[0].lane, false);
		(void)lane_turn(node[1].lane, false);
	}
}

static uint64_t turns(void)
{
	return lane_ledger(node[0].lane)->ev[LEDGER_EV_TURNS];
}

static const struct pl_addr at = {.family = PL_AF_INET, .port = 7, .v4 = IP_LANE};

static void echo(void *arg)
{
	char buf[64];
	ssize_t n;

	while ((n = pl_read(arg, buf, sizeof(buf))) > 0 && pl_write(arg, buf, (size_t)n) == n)
		;
}

/* measure - round trips over c, one at a time; the worst in turns of the lane under test. */
static void measure(struct pl_conn *c, unsigned n)
{
	char b = 1;

	for (unsigned i = 0; i < n; i++) {
		uint64_t t0 = turns();

		if (pl_write(c, &b, 1) != 1 || pl_read(c, &b, 1) != 1)
			return;
		worst = max_t(uint64_t, worst, turns() - t0);
		rounds++;
	}
}

/* ---- a flood of packets, a latency bound on kernel fds ---- */

static void sink(void *arg)
{
	static unsigned nr;
	uint64_t *bytes = &flood_bytes[nr++ % FLOODS];
	char buf[4096];
	ssize_t n;

	while ((n = pl_read(arg, buf, sizeof(buf))) > 0)
		*bytes += (uint64_t)n;
}

static void sinks(void *arg)
{
	struct pl_conn *l, *c;

	(void)arg;
	cr_assert_eq(pl_listen(PL_NET_STACK, &at, 0, &l), 0);
	for (unsigned i = 0; i < FLOODS; i++) {
		cr_assert_eq(pl_accept(l, &c), 0);
		cr_assert_eq(pl_go(sink, c), 0);
	}
}

static void source(void *arg)
{
	static char buf[65536];
	struct pl_conn *c;

	(void)arg;
	if (pl_dial(PL_NET_STACK, &at, 0, &c))
		return;
	while (pl_write(c, buf, sizeof(buf)) > 0)
		;
}

static bool all_flooded(void)
{
	for (unsigned i = 0; i < FLOODS; i++)
		if (flood_bytes[i] < 65536)
			return false;
	return true;
}

static void kernel_pinger(void *arg)
{
	uint64_t before = 0, after = 0;
	int fd[2];

	(void)arg;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	cr_assert_eq(pl_adopt(fd[0], 0, &ping[0]), 0);
	cr_assert_eq(pl_adopt(fd[1], 0, &ping[1]), 0);
	cr_assert_eq(pl_go(echo, ping[1]), 0);
	while (!all_flooded())
		pl_yield();
	for (unsigned i = 0; i < FLOODS; i++)
		before += flood_bytes[i];
	measure(ping[0], ROUNDS);
	for (unsigned i = 0; i < FLOODS; i++)
		after += flood_bytes[i];
	cr_expect_gt(after, before, "the flood went on");
	stop = true;
}

Test(conn_fair, test_conn_R40_packet_flood_does_not_starve_kernel_fds, .timeout = 60)
{
	open_nodes();
	go(0, sinks, NULL);
	go(0, kernel_pinger, NULL);
	for (unsigned i = 0; i < FLOODS; i++)
		go(1, source, NULL);
	run();
	cr_expect_eq(rounds, ROUNDS);
	/* a look after 64 gs or 20 us: at most some five turns each way here, twice over */
	cr_expect_leq(worst, 20, "%lu turns", (unsigned long)worst);
	close_nodes();
}

/* ---- a flood on a kernel fd, a latency bound on the stack ---- */

/* An fd that never runs dry: each read takes 1 of 4,000,000,000. */
static void kernel_sink(void *arg)
{
	uint64_t one;

	(void)arg;
	while (!stop && pl_read(flooded, &one, sizeof(one)) == sizeof(one))
		flood_bytes[0] += sizeof(one);
}

static void stack_server(void *arg)
{
	struct pl_conn *l, *c;

	(void)arg;
	cr_assert_eq(pl_adopt(eventfd(4000000000u, EFD_CLOEXEC | EFD_SEMAPHORE), 0, &flooded), 0);
	cr_assert_eq(pl_listen(PL_NET_STACK, &at, 0, &l), 0);
	cr_assert_eq(pl_accept(l, &c), 0);
	cr_assert_eq(pl_go(kernel_sink, NULL), 0);
	echo(c);
}

static void stack_client(void *arg)
{
	struct pl_conn *c;

	(void)arg;
	cr_assert_eq(pl_dial(PL_NET_STACK, &at, 0, &c), 0);
	while (flood_bytes[0] < 65536) /* of another lane, of the same thread */
		pl_yield();
	measure(c, ROUNDS);
	stop = true;
}

Test(conn_fair, test_conn_R40_kernel_flood_does_not_starve_the_stack, .timeout = 60)
{
	open_nodes();
	go(0, stack_server, NULL);
	go(1, stack_client, NULL);
	run();
	cr_expect_eq(rounds, ROUNDS);
	cr_expect_leq(worst, 8, "%lu turns", (unsigned long)worst);
	close_nodes();
}
