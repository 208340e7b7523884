/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What crosses threads, for ThreadSanitizer's eyes: lanes that are stopped from outside while
 * they fall asleep, two lanes over one link, kernel sockets between two lanes, and a reader of
 * another lane's counters and goroutines. A program of its own, since Criterion does not start
 * under TSan. Prints TAP.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apps/open.h"
#include "drivers/loop.h"
#include "poller/ledger.h"
#include "stack/stack.h"

#define STOPS      300
#define ROUNDS     2000
#define GOROUTINES 100000
#define IP_A       0x0100004du /* 77.0.0.1, network order */
#define IP_B       0x0200004du

static unsigned test_no;

static void result(bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++test_no, name);
}

static void *turn_lane(void *lane)
{
	return (void *)(intptr_t)lane_run(lane);
}

/* ---- a lane that falls asleep while another thread stops it ---- */

static void sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pl_sleep(1000000000);
}

static bool stop_races(void)
{
	for (unsigned i = 0; i < STOPS; i++) {
		struct timespec wait = {.tv_nsec = (long)(i * 977 % 200000)};
		struct lane_config cfg;
		struct lane *l;
		pthread_t t;

		lane_config_init(&cfg);
		if (lane_create(&cfg, &l) || lane_go(l, sleeper, NULL, "sleeper") ||
		    pthread_create(&t, NULL, turn_lane, l))
			return false;
		nanosleep(&wait, NULL);
		lane_stop(l);
		pthread_join(t, NULL);
		lane_destroy(l);
	}
	return true;
}

/* ---- echo between two lanes ---- */

struct side {
	struct lane_plan plan;
	struct netdev *dev;
	struct skb_pool *pool;
	struct open_lane ol;
	struct pl_addr addr;
	enum pl_net net;
	int ready; /* (a) 1 listening, or all rounds done; < 0 failed */
	bool stop;
};

static void serve(void *conn)
{
	char buf[64];
	ssize_t n;

	while ((n = pl_read(conn, buf, sizeof(buf))) > 0 && pl_write(conn, buf, (size_t)n) == n)
		;
	(void)pl_close(conn);
}

static void server_main(void *arg)
{
	struct side *s = arg;
	struct pl_conn *l, *c;
	int err = pl_listen(s->net, &s->addr, 16, &l);

	__atomic_store_n(&s->ready, err ? err : 1, __ATOMIC_RELEASE);
	while (!err && pl_accept(l, &c) == 0)
		(void)pl_go(serve, c);
}

static int client_rounds(struct side *s)
{
	struct pl_conn *c;
	char out[32] = "parklane", in[64];
	int err = pl_dial(s->net, &s->addr, pl_now() + 5000000000ull, &c);

	if (err)
		return err;
	for (unsigned i = 0; i < ROUNDS && !err; i++) {
		(void)pl_set_read_deadline(c, pl_now() + 5000000000ull);
		if (pl_write(c, out, sizeof(out)) != sizeof(out) ||
		    pl_read(c, in, sizeof(in)) != sizeof(out))
			err = -EIO;
	}
	(void)pl_close(c);
	return err;
}

static void client_main(void *arg)
{
	struct side *s = arg;
	int err = client_rounds(s);

	__atomic_store_n(&s->ready, err ? err : 1, __ATOMIC_RELEASE);
	pl_lane_stop();
}

static void *server_thread(void *arg)
{
	struct side *s = arg;

	if (open_lane(&s->plan, NULL, 0, s->dev, s->pool, &s->ol)) {
		__atomic_store_n(&s->ready, -EIO, __ATOMIC_RELEASE);
		return NULL;
	}
	if (lane_go(s->ol.lane, server_main, s, "server") == 0)
		(void)lane_run(s->ol.lane);
	close_lane(&s->ol);
	return NULL;
}

static void *client_thread(void *arg)
{
	struct side *s = arg;

	if (open_lane(&s->plan, NULL, 0, s->dev, s->pool, &s->ol)) {
		__atomic_store_n(&s->ready, -EIO, __ATOMIC_RELEASE);
		return NULL;
	}
	if (lane_go(s->ol.lane, client_main, s, "client") == 0)
		(void)lane_run(s->ol.lane);
	close_lane(&s->ol);
	return NULL;
}

static int wait_ready(struct side *s)
{
	struct timespec tick = {.tv_nsec = 200000};
	int r;

	while ((r = __atomic_load_n(&s->ready, __ATOMIC_ACQUIRE)) == 0)
		nanosleep(&tick, NULL);
	return r;
}

/* echo_between - with a third thread (this one) that reads the server's counters meanwhile, as
 * `parklane stat` does. */
static bool echo_between(struct side *srv, struct side *cli)
{
	struct timespec tick = {.tv_nsec = 500000};
	struct ledger_report rep;
	uint64_t seen = 0;
	pthread_t ts, tc;

	if (pthread_create(&ts, NULL, server_thread, srv) || wait_ready(srv) < 0)
		return false;
	if (pthread_create(&tc, NULL, client_thread, cli))
		return false;
	while (__atomic_load_n(&cli->ready, __ATOMIC_ACQUIRE) == 0) {
		lane_ledger_report(srv->ol.lane, &rep);
		seen += rep.ev[LEDGER_EV_TURNS];
		if (srv->ol.stack)
			seen += stat_read(&stack_stats(srv->ol.stack)->rx_packets);
		nanosleep(&tick, NULL);
	}
	pthread_join(tc, NULL);
	lane_stop(srv->ol.lane);
	pthread_join(ts, NULL);
	return cli->ready == 1 && seen > 0;
}

static bool two_stacks(uint32_t features)
{
	struct side srv = {.net = PL_NET_STACK}, cli = {.net = PL_NET_STACK};
	struct skb_pool *pool = skb_heap_pool_create(8192, 2176);
	struct loop_config cfg;
	bool ok;

	loop_config_init(&cfg);
	cfg.features = features;
	cfg.pool = pool;
	if (!pool || loop_pair(&cfg, &srv.dev, &cli.dev))
		return false;
	srv.pool = cli.pool = pool;
	srv.plan =
		(struct lane_plan){.ip = IP_A, .prefix_len = 24, .cpu = -1, .idle = LANE_IDLE_NAP};
	cli.plan = srv.plan;
	cli.plan.ip = IP_B;
	srv.addr = cli.addr = (struct pl_addr){.family = PL_AF_INET, .port = 7, .v4 = IP_A};
	ok = echo_between(&srv, &cli);
	srv.dev->ops->close(srv.dev);
	cli.dev->ops->close(cli.dev);
	skb_pool_destroy(pool);
	return ok;
}

static bool kernel_sockets(void)
{
	struct side srv = {.net = PL_NET_KERNEL}, cli = {.net = PL_NET_KERNEL};

	srv.plan = cli.plan = (struct lane_plan){.cpu = -1, .idle = LANE_IDLE_AUTO};
	if (pl_addr_parse("127.0.0.1:0", &srv.addr))
		return false;
	srv.addr.port = cli.addr.port = 47007;
	cli.addr = srv.addr;
	return echo_between(&srv, &cli);
}

/* ---- as many goroutines as no table of TSan's has room for, and a reader of their dump ---- */

static void brief(void *arg)
{
	(void)arg;
	pl_yield();
}

static void many(void *arg)
{
	bool *over = arg;

	for (unsigned i = 0; i < GOROUTINES; i++) {
		if (pl_go(brief, NULL))
			return;
		if (i % 32 == 31)
			pl_sleep(1);
	}
	__atomic_store_n(over, true, __ATOMIC_RELEASE);
}

static bool goroutines_and_dumps(void)
{
	struct lane_config cfg;
	bool over = false;
	unsigned dumps = 0;
	struct lane *l;
	pthread_t t;
	FILE *f = tmpfile();

	lane_config_init(&cfg);
	if (!f || lane_create(&cfg, &l) || lane_go(l, many, &over, "many") ||
	    pthread_create(&t, NULL, turn_lane, l))
		return false;
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE) && dumps++ < 20)
		if (pl_dump_goroutines(fileno(f), dumps % 2 ? 0 : PL_DUMP_ALL))
			return false;
	pthread_join(t, NULL);
	lane_destroy(l);
	fclose(f);
	return over && dumps > 0;
}

int main(void)
{
	printf("1..5\n");
	result(goroutines_and_dumps(), "goroutines come and go while another thread dumps them");
	result(stop_races(), "a lane stopped from outside while it falls asleep");
	result(two_stacks(NETDEV_F_TX_SG), "two lanes over a link that copies");
	result(two_stacks(NETDEV_F_TX_SG | NETDEV_F_TX_HANDOVER),
	       "two lanes over a link that hands buffers over");
	result(kernel_sockets(), "two lanes over kernel sockets");
	return 0;
}
