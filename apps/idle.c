/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of idle connections (bench.md, "idle"): both ends live on one lane of this process, so
 * that one difference holds all there is: stacks, socks, pds, conns, tables, page tables, and
 * what the kernel keeps for its own sockets.
 */
#include "apps/idle.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apps/echo_conn.h"
#include "apps/open.h"
#include "drivers/loop.h"

#define IDLE_IP     "10.77.0.2"
#define IDLE_PORT   7
#define POOL_SKBS   4096u
#define POOL_BUF    2176u
#define FILES_OTHER 64u /* what else this process may hold open */

struct idle_job {
	struct echo_server echo;
	struct pl_addr addr;
	enum pl_net net;
	unsigned conns, answered;
	double before, after;
	int err;
	const char *what;
};

/* field - the number behind `key` in a file of "Key:   123 kB" lines, in bytes; 0 if absent. */
static double field(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	double kb = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':') {
			(void)!sscanf(line + strlen(key) + 1, "%lf", &kb);
			break;
		}
	}
	if (f)
		fclose(f);
	return kb * 1024;
}

static double memory_now(void)
{
	return field("/proc/self/status", "VmRSS") + field("/proc/self/status", "VmPTE") +
	       field("/proc/meminfo", "Slab");
}

/* first_round - every new connection answers once before it is left alone. */
static int first_round(struct pl_conn *c)
{
	char b[2] = "p";

	if (pl_write(c, b, 1) != 1 || pl_read(c, b, sizeof(b)) != 1)
		return -EBADMSG;
	return 0;
}

struct parked {
	struct idle_job *job;
	struct pl_conn *conn;
};

static void park_in_read(void *arg)
{
	struct pl_conn *c = ((struct parked *)arg)->conn;
	struct idle_job *job = ((struct parked *)arg)->job;
	char b[2];

	if (first_round(c) == 0)
		job->answered++;
	else
		job->err = -EBADMSG;
	(void)pl_read(c, b, sizeof(b));
	(void)pl_close(c);
}

static void dial_all(struct idle_job *job)
{
	for (unsigned i = 0; i < job->conns && !job->err; i++) {
		struct parked p = {.job = job};
		unsigned want = job->answered + 1;

		job->what = "dial";
		job->err = pl_dial(job->net, &job->addr, 0, &p.conn);
		if (!job->err)
			job->err = pl_go(park_in_read, &p);
		/* p lives here until its goroutine has answered */
		while (!job->err && job->answered < want)
			pl_yield();
	}
}

static void idle_main(void *arg)
{
	struct idle_job *job = arg;

	job->what = "listen";
	job->err = pl_listen(job->net, &job->addr, 1024, &job->echo.listener);
	if (!job->err)
		job->err = pl_go(echo_accept_loop, &job->echo);
	if (!job->err) {
		job->before = memory_now();
		dial_all(job);
		/* timers of the handshakes, slab pages on their way back */
		pl_sleep(100000000);
		job->after = memory_now();
	}
	pl_lane_stop();
}

static int run_lane_of(struct idle_job *job, const struct lane_plan *plan, struct netdev *dev,
		       struct skb_pool *pool)
{
	struct open_lane ol;
	int err = open_lane(plan, NULL, 0, dev, pool, &ol);

	if (err)
		return err;
	err = lane_go(ol.lane, idle_main, job, "idle");
	if (!err)
		err = lane_run(ol.lane);
	close_lane(&ol);
	return err ? err : job->err;
}

/* over_stack - the device is never used: the lane's own address goes by the internal loopback. */
static int over_stack(struct idle_job *job, struct lane_plan *plan)
{
	struct loop_config cfg;
	struct netdev *a, *b;
	struct skb_pool *pool = skb_heap_pool_create(POOL_SKBS, POOL_BUF);
	int err;

	if (!pool)
		return -ENOMEM;
	loop_config_init(&cfg);
	err = loop_pair(&cfg, &a, &b);
	if (!err) {
		plan->ip = inet_addr(IDLE_IP);
		plan->prefix_len = 24;
		err = run_lane_of(job, plan, a, pool);
		a->ops->close(a);
		b->ops->close(b);
	}
	skb_pool_destroy(pool);
	return err;
}

/* files_for - how many connections of `want` can have both their ends open here. */
static unsigned files_for(unsigned want)
{
	struct rlimit lim = {2 * want + FILES_OTHER, 2 * want + FILES_OTHER};

	if (setrlimit(RLIMIT_NOFILE, &lim) == 0)
		return want;
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0 || lim.rlim_max <= FILES_OTHER)
		return 0;
	lim.rlim_cur = lim.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &lim);
	return min_t(unsigned, want, (unsigned)(lim.rlim_max - FILES_OTHER) / 2);
}

int idle_measure(bool stack, unsigned *conns, double *ret_bytes, char *what, unsigned size)
{
	struct lane_plan plan = {.cpu = -1, .idle = LANE_IDLE_AUTO};
	struct idle_job job = {.net = stack ? PL_NET_STACK : PL_NET_KERNEL, .what = "lane"};
	int err;

	job.conns = *conns = stack ? *conns : files_for(*conns);
	(void)pl_addr_parse(stack ? IDLE_IP ":7" : "127.0.0.1:7", &job.addr);
	job.addr.port = IDLE_PORT;
	err = stack ? over_stack(&job, &plan) : run_lane_of(&job, &plan, NULL, NULL);
	if (err) {
		snprintf(what, size, "idle connections, %s: %s", job.what, strerror(-err));
		return err;
	}
	*ret_bytes = (job.after - job.before) / ((double)IDLE_ENDS * *conns);
	return 0;
}
