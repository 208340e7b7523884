/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lane that talks to itself over its own stack, for what `bench park` wants of real connections:
 * round trips with the ledger on and off, and the memory of goroutines that are parked in
 * pl_read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <parklane/conn.h>

#include "apps/park_int.h"
#include "drivers/loop.h"
#include "poller/conn_ops.h"
#include "poller/ledger.h"
#include "poller/netpoll_stack.h"
#include "poller/tsc.h"
#include "stack/skb.h"
#include "stack/stack.h"

#define SELF_IP    "10.77.0.2"
#define SELF_PORT  1000u
#define POOL_SKBS  4096u
#define POOL_BUF   2176u
#define RR_SIZE    64
#define RR_WARM    20000u
#define PAIR_RR    500u /* some 0.2 ms; park_wide.c says why so short */
#define PAIR_WARM  50u
#define PORT_CONNS 20000u /* connections to one port: so many own ports are sure to be free */

struct self_job {
	struct lane *lane;
	struct stack *st;
	struct netpoll_backend *nb;
	int err;
	const char *what;
	/* round trips */
	double *percent; /* of each of `pairs` */
	unsigned pairs;
	uint64_t ns;
	/* parked goroutines */
	unsigned want, parked;
	double before, after;
};

static int make_stack(struct self_job *job, struct netdev *dev, struct skb_pool *pool)
{
	struct stack_config cfg;
	int err;

	/* No secret: nobody else can send to it. */
	stack_config_init(&cfg);
	cfg.max_socks = max_t(uint32_t, cfg.max_socks, job->want + job->want / PORT_CONNS + 1);
	err = stack_create(&cfg, pool, &job->st);
	if (!err)
		err = stack_attach(job->st, dev, 0, inet_addr(SELF_IP), 24, 0);
	if (!err)
		err = netpoll_stack_create(job->lane, job->st, 0, &job->nb);
	return err ? err : lane_add_backend(job->lane, job->nb);
}

static int run_lane(struct self_job *job, const struct lane_config *cfg, struct netdev *dev,
		    struct skb_pool *pool, void (*fn)(void *arg))
{
	int err = lane_create(cfg, &job->lane);

	if (err)
		return err;
	err = make_stack(job, dev, pool);
	if (!err)
		err = lane_go(job->lane, fn, job, "main");
	if (!err)
		err = lane_run(job->lane);
	lane_destroy(job->lane);
	if (job->nb)
		netpoll_stack_destroy(job->nb);
	if (job->st)
		stack_destroy(job->st);
	return err;
}

/* run_self - fn(job) as the first goroutine of a lane with an address of its own; the device under
 * it is never used, since the stack has an internal loopback. */
static int run_self(struct self_job *job, int cpu, void (*fn)(void *arg))
{
	struct skb_pool *pool = skb_heap_pool_create(POOL_SKBS, POOL_BUF);
	struct lane_config cfg;
	struct netdev *a, *b;
	int err;

	if (!pool)
		return -ENOMEM;
	lane_config_init(&cfg);
	cfg.cpu = cpu;
	cfg.idle = LANE_IDLE_SPIN;
	err = loop_pair(NULL, &a, &b);
	if (!err) {
		err = run_lane(job, &cfg, a, pool, fn);
		a->ops->close(a);
		b->ops->close(b);
	}
	skb_pool_destroy(pool);
	return err ? err : job->err;
}

static struct pl_addr self_addr(unsigned port)
{
	return (struct pl_addr){
		.family = PL_AF_INET, .port = (uint16_t)port, .v4 = inet_addr(SELF_IP)};
}

/* ---- round trips ---- */

static void echo(void *conn)
{
	char buf[RR_SIZE];
	ssize_t n;

	while ((n = pl_read(conn, buf, sizeof(buf))) > 0 && pl_write(conn, buf, (size_t)n) == n)
		;
	(void)pl_close(conn);
}

static void accept_one(void *listener)
{
	struct pl_conn *c;

	if (pl_accept(listener, &c) == 0)
		echo(c);
}

static int rounds(struct self_job *job, struct pl_conn *c, unsigned nr)
{
	char buf[RR_SIZE] = "parklane";
	uint64_t t0 = tsc_mono_ns();

	for (unsigned n = 0; n < nr; n++) {
		ssize_t got = 0, r = pl_write(c, buf, sizeof(buf));

		for (; r > 0 && got < (ssize_t)sizeof(buf); got += r)
			r = pl_read(c, buf, sizeof(buf) - (size_t)got);
		if (r <= 0)
			return r < 0 ? (int)r : -EPIPE;
	}
	job->ns = tsc_mono_ns() - t0;
	return 0;
}

/* One pair: the rounds of either mode, on the same lane and connection, so that neither has the
 * luckier addresses; which comes first alternates. */
static int one_pair(struct self_job *job, struct pl_conn *c, unsigned i)
{
	double ns[2] = {0};
	int err = 0;

	for (unsigned k = 0; k < 2 && !err; k++) {
		bool on = (i ^ k) & 1;

		ledger_init(lane_ledger(job->lane), on ? LEDGER_SAMPLED : LEDGER_OFF, false);
		err = rounds(job, c, PAIR_WARM);
		if (!err)
			err = rounds(job, c, PAIR_RR);
		ns[on] = (double)job->ns;
	}
	if (!err)
		job->percent[i] = 100 * (1 - ns[0] / ns[1]);
	return err;
}

static void rr_main(void *arg)
{
	struct self_job *job = arg;
	struct pl_addr addr = self_addr(SELF_PORT);
	struct pl_conn *l = NULL, *c = NULL;

	job->err = pl_listen(PL_NET_STACK, &addr, 1, &l);
	if (!job->err)
		job->err = pl_go(accept_one, l);
	if (!job->err)
		job->err = pl_dial(PL_NET_STACK, &addr, 0, &c);
	if (!job->err)
		job->err = rounds(job, c, RR_WARM);
	for (unsigned i = 0; i < job->pairs && !job->err; i++)
		job->err = one_pair(job, c, i);
	if (c)
		(void)pl_close(c);
	if (l)
		(void)pl_close(l);
	pl_lane_stop();
}

int park_rr_pairs(int cpu, double *percent, unsigned pairs)
{
	struct self_job job = {.percent = percent, .pairs = pairs};

	return run_self(&job, cpu, rr_main);
}

/* ---- goroutines parked in pl_read ---- */

/* field - the number behind `key` in /proc/self/status, in bytes; 0 if absent. */
static double field(const char *key)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	double kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			(void)!sscanf(line + strlen(key) + 1, "%lf", &kb);
	if (f)
		fclose(f);
	return kb * 1024;
}

static double memory_now(void)
{
	return field("VmRSS") + field("VmPTE");
}

static struct self_job *self_now;

static void reads(void *conn)
{
	char b;

	self_now->parked++;
	(void)pl_read(conn, &b, 1);
	(void)pl_close(conn);
}

static void all_are_parked(struct self_job *job)
{
	while (!job->err && job->parked < job->want)
		pl_yield();
	pl_sleep(100000000); /* timers of the handshakes */
	job->after = memory_now();
	pl_lane_stop();
}

/* A connection without a socket: never anything to read. */

static int no_open(struct netpoll_backend *nb, struct poll_desc *pd)
{
	(void)nb;
	(void)pd;
	return 0;
}

static void no_close(struct netpoll_backend *nb, struct poll_desc *pd)
{
	(void)nb;
	(void)pd;
}

static ssize_t no_read(struct pl_conn *c, void *buf, size_t len)
{
	(void)c;
	(void)buf;
	(void)len;
	return -EAGAIN;
}

static void no_destroy(struct pl_conn *c)
{
	(void)c;
}

static const struct netpoll_ops no_ops = {.name = "bench", .open = no_open, .close = no_close};
static const struct conn_ops no_conn_ops = {
	.name = "bench", .read = no_read, .destroy = no_destroy};

static void bare_main(void *arg)
{
	static struct netpoll_backend nb;
	struct self_job *job = arg;
	struct pl_conn *c;

	nb = (struct netpoll_backend){.ops = &no_ops, .lane = job->lane, .local = true};
	job->before = memory_now();
	job->what = "goroutines";
	for (unsigned n = 0; n < job->want && !job->err; n++) {
		job->err = conn_new(&nb, &no_conn_ops, -1, NULL, 0, &c);
		if (!job->err)
			job->err = pl_go(reads, c);
		if (n % 64 == 63)
			pl_yield();
	}
	all_are_parked(job);
}

/* The same over sockets: half of them dial, half are accepted. */

static void accepts(void *listener)
{
	struct pl_conn *c;

	while (pl_accept(listener, &c) == 0)
		if (pl_go(reads, c))
			self_now->err = -ENOMEM;
}

static int dial_some(unsigned port, unsigned nr)
{
	struct pl_addr addr = self_addr(port);
	struct pl_conn *l, *c;
	int err = pl_listen(PL_NET_STACK, &addr, 1024, &l);

	self_now->what = "listen";
	if (!err)
		err = pl_go(accepts, l);
	for (unsigned n = 0; n < nr && !err; n++) {
		self_now->what = "dial";
		err = pl_dial(PL_NET_STACK, &addr, 0, &c);
		if (!err)
			err = pl_go(reads, c);
	}
	return err ? err : self_now->err;
}

static void sockets_main(void *arg)
{
	struct self_job *job = arg;
	unsigned left = job->want / 2;

	job->before = memory_now();
	for (unsigned port = SELF_PORT; left && !job->err; port++) {
		unsigned nr = min_t(unsigned, left, PORT_CONNS);

		job->err = dial_some(port, nr);
		left -= nr;
	}
	all_are_parked(job);
}

int park_bytes(unsigned n, bool sockets, double *ret_bytes, char *what, unsigned size)
{
	static struct self_job job;
	int err;

	n &= ~1u;
	job = (struct self_job){.want = n, .what = "lane"};
	self_now = &job;
	err = run_self(&job, -1, sockets ? sockets_main : bare_main);
	if (err) {
		snprintf(what, size, "parked goroutines, %u of %u, %s: %s", job.parked, n, job.what,
			 strerror(-err));
		return err;
	}
	*ret_bytes = (job.after - job.before) / n;
	return 0;
}
