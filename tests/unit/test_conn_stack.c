/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conn suite over Parklane's own stack in virtual time: two lanes in one thread over a
 * loop pair, and one lane that talks to its own address by the internal loopback. After each
 * case every sock is gone or orphaned, and every skb comes back to its pool.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include <parklane/go.h>

#include "conn_suite_int.h"
#include "drivers/loop.h"
#include "poller/group.h"
#include "poller/lane_int.h"
#include "poller/netpoll_stack.h"
#include "stack/sock.h"
#include "stack/stack.h"

/* Nothing in the suite lasts longer; who is still there then waits for ever. */
#define WORLD_END_NS (600 * NSEC_PER_SEC)
#define NR_SKBS      16384u
#define TURN_NS      1000u

struct node {
	struct skb_pool *pool;
	struct netdev *dev;
	struct stack *st;
	struct lane *lane;
	struct netpoll_backend *nb;
};

struct world {
	struct conn_env e;
	uint64_t now;
	void (*tune)(struct stack_config *cfg); /* NULL: defaults */
	unsigned nr; /* nodes that have a lane; the other end of the pair is deaf if 1 */
	struct node node[2];
};

static uint64_t world_clock(void *ctx)
{
	return ((struct world *)ctx)->now;
}

/* turn - one turn of every lane; false once nothing happened and no timer is set. */
static bool turn(struct world *w)
{
	uint64_t next = 0, at;
	bool busy = false;

	for (unsigned i = 0; i < w->nr; i++) {
		(void)lane_turn(w->node[i].lane, false);
		busy |= w->node[i].lane->busy;
	}
	for (unsigned i = 0; i < w->nr && !busy; i++) {
		at = lane_next_event(w->node[i].lane);
		if (at && (!next || at < next))
			next = at;
	}
	if (!busy && !next)
		return false;
	w->now = max_t(uint64_t, w->now + TURN_NS, next);
	return w->now < WORLD_END_NS;
}

static int world_run(struct conn_env *e)
{
	struct world *w = container_of(e, struct world, e);

	while (lane_nr_g(e->srv) || lane_nr_g(e->cli))
		if (!turn(w))
			return -ETIME;
	return 0;
}

static unsigned world_pds(struct conn_env *e)
{
	return e->srv->np.nr_open + e->cli->np.nr_open;
}

static uint32_t ip_of(unsigned i)
{
	uint32_t ip;

	memcpy(&ip, (uint8_t[]){10, 0, 0, (uint8_t)(1 + i)}, 4);
	return ip;
}

static void node_open(struct world *w, unsigned i, const struct lane_config *lcfg)
{
	struct node *n = &w->node[i];
	struct stack_config scfg;

	n->pool = skb_heap_pool_create(NR_SKBS, 2048);
	cr_assert_not_null(n->pool);
	stack_config_init(&scfg);
	memset(scfg.seed, (int)(i + 1), sizeof(scfg.seed));
	if (w->tune && i + 1 == w->nr)
		w->tune(&scfg); /* of the dialler only */
	cr_assert_eq(stack_create(&scfg, n->pool, &n->st), 0);
	cr_assert_eq(stack_attach(n->st, n->dev, 0, ip_of(i), 24, 0), 0);
	cr_assert_eq(lane_create(lcfg, &n->lane), 0);
	cr_assert_eq(netpoll_stack_create(n->lane, n->st, 0, &n->nb), 0);
	cr_assert_eq(lane_add_backend(n->lane, n->nb), 0);
}

static void world_open_as(struct world *w, unsigned nr, const struct lane_config *lcfg)
{
	w->now = NSEC_PER_SEC;
	w->nr = nr;
	cr_assert_eq(loop_pair(NULL, &w->node[0].dev, &w->node[1].dev), 0);
	for (unsigned i = 0; i < nr; i++)
		node_open(w, i, lcfg);
	w->e = (struct conn_env){
		.srv = w->node[0].lane,
		.cli = w->node[nr - 1].lane,
		.net = PL_NET_STACK,
		.srv_ip = ip_of(0),
		.foreign_ip = ip_of(7),
		.run = world_run,
		.pds = world_pds,
	};
}

static void world_open(struct world *w, unsigned nr)
{
	struct lane_config lcfg;

	lane_config_init(&lcfg);
	lcfg.max_g = CONN_MAX_G;
	lcfg.virt = true;
	lcfg.clock = world_clock;
	lcfg.clock_ctx = w;
	world_open_as(w, nr, &lcfg);
}

static void world_close(struct world *w)
{
	for (unsigned i = 0; i < w->nr; i++) {
		struct node *n = &w->node[i];

		lane_destroy(n->lane);
		netpoll_stack_destroy(n->nb);
		stack_destroy(n->st);
	}
	for (unsigned i = 0; i < 2; i++)
		w->node[i].dev->ops->close(w->node[i].dev);
	for (unsigned i = 0; i < w->nr; i++) {
		cr_assert_eq(w->node[i].pool->ops->avail(w->node[i].pool), NR_SKBS);
		skb_pool_destroy(w->node[i].pool);
	}
}

static void run_case(unsigned nr, void (*fn)(struct conn_env *e))
{
	struct world w = {.nr = 0};

	world_open(&w, nr);
	fn(&w.e);
	conn_suite_end(&w.e);
	cr_expect_eq(w.e.nr_fail, 0, "%u failed, first %s", w.e.nr_fail, w.e.first_fail);
	world_close(&w);
}

#define X(name)                                                                                    \
	Test(conn_stack, test_conn_stack_pair_##name, .timeout = 60)                               \
	{                                                                                          \
		run_case(2, conn_case_##name);                                                     \
	}                                                                                          \
	Test(conn_stack, test_conn_stack_self_##name, .timeout = 60)                               \
	{                                                                                          \
		run_case(1, conn_case_##name);                                                     \
	}
CONN_SUITE(X)
#undef X

/* ---- used from another lane of the group ---- */

static struct pl_conn *far_l;

static void g_far_owner(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET, .port = 7, .v4 = ip_of(0)};
	struct world *w = arg;
	struct pl_conn *c;

	EQ(&w->e, pl_listen(PL_NET_STACK, &a, 0, &far_l), 0);
	EQ(&w->e, pl_accept(far_l, &c), -ETIME); /* in the past at once */
	pl_sleep(1500000);
	EQ(&w->e, pl_accept(far_l, &c), -ETIME); /* moved, fired */
	pl_sleep(8500000);
	EQ(&w->e, pl_accept(far_l, &c), -EBADF); /* closed */
}

static void g_far_addr(void *arg)
{
	struct world *w = arg;
	struct pl_addr a;

	/* sent before the close returns, run after it */
	EQ(&w->e, pl_local_addr(far_l, &a), -EBADF);
}

static void g_far_user(void *arg)
{
	struct world *w = arg;
	struct conn_env *e = &w->e;
	struct pl_conn *c;
	struct pl_addr a;
	char b = 0;

	while (!far_l || !netpoll_waiters(lane_stack_backend(e->srv)))
		pl_yield();
	EQ(e, pl_read(far_l, &b, 1), -EXDEV);
	EQ(e, pl_write(far_l, &b, 1), -EXDEV);
	EQ(e, pl_accept(far_l, &c), -EXDEV);
	EQ(e, pl_local_addr(far_l, &a), 0);
	EQ(e, a.port, 7);
	EQ(e, pl_shutdown(far_l, 2), -ENOTCONN);
	EQ(e, pl_set_nodelay(far_l, 1), 0);
	EQ(e, pl_set_read_deadline(far_l, 1), 0);
	pl_sleep(1000000);
	EQ(e, pl_set_read_deadline(far_l, pl_now() + 5000000), 0);
	pl_sleep(1000000);
	EQ(e, pl_set_deadline(far_l, pl_now() + 2000000), 0);
	pl_sleep(10000000);
	EQ(e, pl_set_deadline(far_l, 0), 0);
	pl_sleep(1000000);
	EQ(e, pl_go(g_far_addr, w), 0);
	EQ(e, pl_close(far_l), 0);
}

Test(conn_stack, test_conn_stack_other_lane_of_group_may_close_and_set_deadlines, .timeout = 60)
{
	struct world w = {.nr = 0};
	struct lane_group *grp;

	world_open(&w, 2);
	cr_assert_eq(lane_group_create(2, &grp), 0);
	lane_join(w.e.srv, grp, 0);
	lane_join(w.e.cli, grp, 1);
	cr_assert_eq(lane_go(w.e.srv, g_far_owner, &w, "owner"), 0);
	cr_assert_eq(lane_go(w.e.cli, g_far_user, &w, "user"), 0);
	EQ(&w.e, world_run(&w.e), 0);
	conn_suite_end(&w.e);
	cr_expect_eq(w.e.nr_fail, 0, "%u failed, first %s", w.e.nr_fail, w.e.first_fail);
	world_close(&w);
	lane_group_destroy(grp);
}

/* ---- what only the stack has ---- */

static void g_dial_nobody(void *arg)
{
	struct conn_env *e = arg;
	struct pl_addr a = {.family = PL_AF_INET, .port = 7, .v4 = e->foreign_ip};
	uint64_t t0 = pl_now();
	struct pl_conn *c;

	if (pl_dial(PL_NET_AUTO, &a, 0, &c) != -EHOSTUNREACH)
		e->nr_fail++;
	/* before SYN's own retries give up */
	if (pl_now() - t0 > 20 * NSEC_PER_SEC)
		e->nr_fail++;
	/* a network that is neither ours nor behind a gateway */
	memcpy(&a.v4, (uint8_t[]){192, 0, 2, 1}, 4);
	if (pl_dial(PL_NET_AUTO, &a, 0, &c) != -ENETUNREACH)
		e->nr_fail++;
	if (pl_dial(PL_NET_KERNEL, &a, 0, &c) != -ENODEV)
		e->nr_fail++;
}

Test(conn_stack, test_conn_stack_dial_nobody_says_ehostunreach, .timeout = 60)
{
	struct world w = {.nr = 0};

	world_open(&w, 2);
	cr_assert_eq(lane_go(w.e.cli, g_dial_nobody, &w.e, "dial_nobody"), 0);
	cr_assert_eq(world_run(&w.e), 0);
	conn_suite_end(&w.e);
	cr_expect_eq(w.e.nr_fail, 0, "%u failed, first %s", w.e.nr_fail, w.e.first_fail);
	world_close(&w);
}

static void g_dial_this_host(void *arg)
{
	struct conn_env *e = arg;
	struct pl_addr a = {.family = PL_AF_INET, .port = 7};
	struct pl_conn *l, *c, *s;

	if (pl_listen(PL_NET_AUTO, &a, 0, &l))
		return;
	e->nr_fail += pl_dial(PL_NET_AUTO, &a, 0, &c) != 0;
	e->nr_fail += pl_accept(l, &s) != 0;
	e->nr_fail += pl_peer_addr(c, &a) != 0 || a.v4 != e->srv_ip;
	pl_close(s);
	pl_close(c);
	pl_close(l);
}

Test(conn_stack, test_conn_stack_dial_any_means_this_host, .timeout = 60)
{
	struct world w = {.nr = 0};

	world_open(&w, 1);
	cr_assert_eq(lane_go(w.e.cli, g_dial_this_host, &w.e, "dial_this_host"), 0);
	cr_assert_eq(world_run(&w.e), 0);
	conn_suite_end(&w.e);
	cr_expect_eq(w.e.nr_fail, 0);
	world_close(&w);
}

/* Parked in accept, in read, and in a dial that nobody answers. */
static void g_left_open(void *arg)
{
	struct conn_env *e = arg;
	struct pl_addr a = {.family = PL_AF_INET, .port = 7};
	struct pl_conn *l, *s;
	char b;

	if (pl_listen(PL_NET_AUTO, &a, 0, &l) || pl_accept(l, &s))
		return;
	e->nr_fail = 1;
	(void)!pl_read(s, &b, 1);
	e->nr_fail = 2;
}

static void g_left_dialling(void *arg)
{
	struct conn_env *e = arg;
	struct pl_addr a = {.family = PL_AF_INET, .port = 7, .v4 = e->srv_ip};
	struct pl_conn *c;

	if (pl_dial(PL_NET_AUTO, &a, 0, &c))
		return;
	a.v4 = e->foreign_ip;
	(void)pl_dial(PL_NET_AUTO, &a, 0, &c);
	e->nr_fail = 3;
}

Test(conn_stack, test_conn_stack_lane_destroy_closes_what_is_open, .timeout = 60)
{
	struct world w = {.nr = 0};

	world_open(&w, 2);
	cr_assert_eq(lane_go(w.e.srv, g_left_open, &w.e, "left_open"), 0);
	cr_assert_eq(lane_go(w.e.cli, g_left_dialling, &w.e, "left_dialling"), 0);
	/* ARP asks for the foreign address once more after a second, and has not given up */
	while (w.now < NSEC_PER_SEC * 3 / 2)
		cr_assert(turn(&w));
	cr_assert_eq(w.e.nr_fail, 1);
	world_close(&w);
}

static void g_read_until_end(void *arg)
{
	struct conn_env *e = arg;
	struct pl_addr a = {.family = PL_AF_INET, .port = 7, .v4 = e->srv_ip};
	struct pl_conn *c;
	char b;

	if (pl_dial(PL_NET_AUTO, &a, 0, &c))
		return;
	e->nr_fail = pl_read(c, &b, 1) == 0 ? 0 : 4;
	pl_close(c);
}

Test(conn_stack, test_conn_stack_lane_destroy_tells_the_peers, .timeout = 60)
{
	struct world w = {.nr = 0};

	world_open(&w, 2);
	cr_assert_eq(lane_go(w.e.srv, g_left_open, &w.e, "left_open"), 0);
	cr_assert_eq(lane_go(w.e.cli, g_read_until_end, &w.e, "read_until_end"), 0);
	while (w.e.nr_fail != 1)
		cr_assert(turn(&w));
	lane_destroy(w.node[0].lane);
	w.node[0].lane = NULL;
	for (int i = 0; i < 10 && lane_nr_g(w.e.cli); i++)
		(void)lane_turn(w.e.cli, false);
	cr_assert_eq(lane_nr_g(w.e.cli), 0);
	cr_assert_eq(w.e.nr_fail, 0);
	world_close(&w);
}

/* ---- what runs out ---- */

#define FEW 4

static void few_ports(struct stack_config *cfg)
{
	cfg->port_range[1] = (uint16_t)(cfg->port_range[0] + FEW - 1);
}

static void few_socks(struct stack_config *cfg)
{
	cfg->max_socks = FEW;
}

/* Dial until it fails with nr_fail, which is what is expected; then make room and dial again. */
static void g_dial_until_full(void *arg)
{
	struct conn_env *e = arg;
	struct pl_addr a = {.family = PL_AF_INET, .port = 7, .v4 = e->srv_ip};
	struct pl_conn *c[FEW + 1] = {0}, *again;
	int err = 0, i;

	for (i = 0; i <= FEW && !err; i++)
		err = pl_dial(PL_NET_AUTO, &a, 0, &c[i]);
	if (err != -(int)e->nr_fail || i != FEW + 1)
		return;
	/* a reset leaves no TIME-WAIT: the peer wrote a byte that is not read */
	pl_sleep(NSEC_PER_MSEC);
	pl_close(c[0]);
	pl_sleep(NSEC_PER_MSEC);
	if (pl_dial(PL_NET_AUTO, &a, 0, &again) == 0) {
		e->nr_fail = 0;
		pl_close(again);
	}
	for (i = 1; i < FEW; i++)
		pl_close(c[i]);
	pl_lane_stop();
}

static void g_accept_and_write(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET, .port = 7};
	struct pl_conn *l, *c;

	(void)arg;
	if (pl_listen(PL_NET_AUTO, &a, 0, &l))
		return;
	while (pl_accept(l, &c) == 0)
		(void)!pl_write(c, "x", 1);
}

static void run_out_of(void (*tune)(struct stack_config *cfg), unsigned err)
{
	struct world w = {.tune = tune};

	world_open(&w, 2);
	w.e.nr_fail = err;
	cr_assert_eq(lane_go(w.e.srv, g_accept_and_write, &w.e, "accept_and_write"), 0);
	cr_assert_eq(lane_go(w.e.cli, g_dial_until_full, &w.e, "dial_until_full"), 0);
	while (lane_nr_g(w.e.cli))
		cr_assert(turn(&w));
	cr_expect_eq(w.e.nr_fail, 0);
	world_close(&w);
}

Test(conn_stack, test_conn_stack_ports_exhausted_says_eaddrnotavail, .timeout = 60)
{
	run_out_of(few_ports, EADDRNOTAVAIL);
}

Test(conn_stack, test_conn_stack_socks_exhausted_says_enobufs, .timeout = 60)
{
	run_out_of(few_socks, ENOBUFS);
}

/* ---- both networks in one lane: a proxy from the stack to a kernel socket ---- */

struct proxy {
	struct pl_addr stack, kernel;
	int ok;
};

static void echo_server(enum pl_net net, const struct pl_addr *at, struct pl_addr *ret_addr)
{
	struct pl_conn *l, *c;
	char buf[64];
	ssize_t n;

	if (pl_listen(net, at, 0, &l) || pl_local_addr(l, ret_addr) || pl_accept(l, &c))
		return;
	while ((n = pl_read(c, buf, sizeof(buf))) > 0)
		(void)!pl_write(c, buf, (size_t)n);
	pl_close(c);
	pl_close(l);
}

static void g_kernel_echo(void *arg)
{
	struct proxy *p = arg;
	struct pl_addr a = {.family = PL_AF_INET};

	memcpy(&a.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	echo_server(PL_NET_KERNEL, &a, &p->kernel);
}

static void g_proxy(void *arg)
{
	struct proxy *p = arg;
	struct pl_addr a = {.family = PL_AF_INET};
	struct pl_conn *l, *c, *k;
	char buf[64];
	ssize_t n;

	while (!p->kernel.port)
		pl_yield();
	if (pl_listen(PL_NET_AUTO, &a, 0, &l) || pl_local_addr(l, &p->stack) || pl_accept(l, &c) ||
	    pl_dial(PL_NET_KERNEL, &p->kernel, 0, &k))
		return;
	while ((n = pl_read(c, buf, sizeof(buf))) > 0) {
		(void)!pl_write(k, buf, (size_t)n);
		n = pl_read(k, buf, sizeof(buf));
		(void)!pl_write(c, buf, n > 0 ? (size_t)n : 0);
	}
	pl_close(k);
	pl_close(c);
	pl_close(l);
}

static void g_proxy_client(void *arg)
{
	struct proxy *p = arg;
	struct pl_conn *c;
	char buf[64];

	while (!p->stack.port)
		pl_yield();
	p->stack.v4 = ip_of(0);
	if (pl_dial(PL_NET_STACK, &p->stack, 0, &c))
		return;
	for (int i = 0; i < 200; i++)
		p->ok += pl_write(c, "request", 7) == 7 && pl_read(c, buf, sizeof(buf)) == 7;
	pl_close(c);
}

Test(conn_stack, test_conn_stack_both_networks_live_in_one_lane, .timeout = 60)
{
	struct lane_config cfg;
	struct proxy p = {.ok = 0};
	struct world w = {.nr = 0};

	lane_config_init(&cfg);
	cfg.max_g = CONN_MAX_G;
	world_open_as(&w, 1, &cfg);
	cr_assert_eq(lane_go(w.e.srv, g_kernel_echo, &p, "kernel_echo"), 0);
	cr_assert_eq(lane_go(w.e.srv, g_proxy, &p, "proxy"), 0);
	cr_assert_eq(lane_go(w.e.srv, g_proxy_client, &p, "proxy_client"), 0);
	cr_assert_eq(lane_run(w.e.srv), 0);
	cr_assert_eq(p.ok, 200);
	conn_suite_end(&w.e);
	cr_expect_eq(w.e.nr_fail, 0, "%s", w.e.first_fail);
	world_close(&w);
}
