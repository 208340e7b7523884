/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pl_run: from options to a running lane. The one place that names drivers, stack and poller
 * together: opens the device, makes a lane, its shard of the stack and the backend between
 * them, and takes all of it down again in reverse.
 */
#include "apps/open.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#ifdef HAVE_NUMA
#include <numa.h>
#endif

#include "apps/stat_serve.h"
#include "poller/netpoll_stack.h"
#include "stack/stack.h"

/* ---- memory of a shard: on the node of its cpu, where there is more than one ---- */

int open_node_of(int cpu)
{
#ifdef HAVE_NUMA
	if (cpu >= 0 && numa_available() >= 0 && numa_max_node() > 0)
		return numa_node_of_cpu(cpu);
#endif
	(void)cpu;
	return -1;
}

static void *shard_alloc(void *ctx, size_t size)
{
#ifdef HAVE_NUMA
	int node = open_node_of((int)(intptr_t)ctx);

	if (node >= 0)
		return numa_alloc_onnode(size, node);
#endif
	(void)ctx;
	return calloc(1, size);
}

static void shard_free(void *ctx, void *p, size_t size)
{
#ifdef HAVE_NUMA
	if (p && open_node_of((int)(intptr_t)ctx) >= 0) {
		numa_free(p, size);
		return;
	}
#endif
	(void)ctx;
	(void)size;
	free(p);
}

/* ---- checks that need the machine ---- */

static int check_cpu(int cpu)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);

	if (cpu < 0 || cpu < n)
		return 0;
	return open_error(-EINVAL, "cpu %d does not exist: this machine has 0 to %ld", cpu, n - 1);
}

/* The kernel would answer for its own address as well, and both would break. */
static int check_address(uint32_t ip)
{
	struct ifaddrs *all, *i;
	char text[INET_ADDRSTRLEN];
	int err = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (i = all; i && !err; i = i->ifa_next) {
		const struct sockaddr_in *sin = (const void *)i->ifa_addr;

		if (!sin || sin->sin_family != AF_INET || sin->sin_addr.s_addr != ip)
			continue;
		inet_ntop(AF_INET, &ip, text, sizeof(text));
		err = open_error(
			-EADDRINUSE,
			"--ip %s: the kernel has that address on %s; give Parklane another "
			"one of the same network",
			text, i->ifa_name);
	}
	freeifaddrs(all);
	return err;
}

/* ---- one lane ---- */

static int make_stack(const struct lane_plan *plan, struct netdev *dev, struct skb_pool *pool,
		      struct stack **ret)
{
	struct stack_config cfg;
	struct stack *st;
	int err;

	stack_config_init(&cfg);
	cfg.mem = (struct stack_mem_ops){shard_alloc, shard_free, (void *)(intptr_t)plan->cpu};
	if (getrandom(cfg.seed, sizeof(cfg.seed), 0) != sizeof(cfg.seed))
		return open_error(-EIO, "the system gives no random numbers");
	cfg.nr_lanes = 1;
	err = stack_create(&cfg, pool, &st);
	if (err)
		return open_error(err, "cannot make the TCP/IP stack: %s", strerror(-err));
	err = stack_attach(st, dev, 0, plan->ip, plan->prefix_len, plan->gw);
	if (err) {
		stack_destroy(st);
		return open_error(err,
				  "the stack refuses that address or the device's MTU of %u: %s",
				  dev->mtu, strerror(-err));
	}
	*ret = st;
	return 0;
}

int open_lane(const struct lane_plan *plan, struct netdev *dev, struct skb_pool *pool,
	      struct open_lane *ret)
{
	struct open_lane ol = {0};
	struct lane_config cfg;
	int err;

	err = check_cpu(plan->cpu);
	if (err)
		return err;
	lane_config_init(&cfg);
	cfg.cpu = plan->cpu;
	cfg.idle = plan->idle;
	if (plan->nap_ns)
		cfg.nap_ns = plan->nap_ns;
	err = lane_create(&cfg, &ol.lane);
	if (err == -EINVAL && plan->cpu >= 0)
		return open_error(err, "cannot run on cpu %d: it is offline or not allowed here",
				  plan->cpu);
	if (err)
		return open_error(err, "cannot make a lane: %s", strerror(-err));
	if (dev)
		err = make_stack(plan, dev, pool, &ol.stack);
	if (!err && dev) {
		err = netpoll_stack_create(ol.lane, ol.stack, 0, &ol.nb);
		if (!err)
			err = lane_add_backend(ol.lane, ol.nb);
		if (err)
			(void)open_error(err, "cannot connect stack and poller: %s",
					 strerror(-err));
	}
	if (err) {
		close_lane(&ol);
		return err;
	}
	*ret = ol;
	return 0;
}

void close_lane(struct open_lane *ol)
{
	lane_destroy(ol->lane);
	if (ol->nb)
		netpoll_stack_destroy(ol->nb);
	if (ol->stack)
		stack_destroy(ol->stack);
	*ol = (struct open_lane){0};
}

/* ---- the whole ---- */

static int open_device(const struct pl_options *opt, const struct lane_plan *plan,
		       struct netdev_handle *ret)
{
	struct netdev_spec spec = {
		.dev = opt->dev,
		.mtu = (uint16_t)opt->mtu,
		.node = open_node_of(plan->cpu),
		.pcap = opt->pcap,
		.fault = opt->fault,
		.verbose = opt->verbose,
	};
	char why[200] = "";
	int err;

	err = check_address(plan->ip);
	if (err)
		return err;
	err = netdev_open_spec(&spec, ret, why, sizeof(why));
	if (err)
		return open_error(err, "%s", *why ? why : strerror(-err));
	err = netdev_thread_begin();
	if (err) {
		netdev_close_spec(ret);
		return open_error(err, "DPDK has no place left for another lane's thread");
	}
	return 0;
}

static int run_lane(struct open_lane *ol, const struct netdev_handle *h, void (*main_fn)(void *arg),
		    void *arg, const struct open_hooks *hooks)
{
	int err = lane_go(ol->lane, main_fn, arg, "main");

	if (err)
		return open_error(err, "cannot start a goroutine: %s", strerror(-err));
	if (hooks && hooks->begin)
		hooks->begin(hooks->ctx, ol);
	err = lane_run(ol->lane);
	if (hooks && hooks->end)
		hooks->end(hooks->ctx, ol, h);
	return err;
}

struct main_call {
	void (*fn)(void *arg);
	void *arg;
};

/* The lane ends with its first goroutine, as a program does with main(). */
static void main_and_stop(void *arg)
{
	const struct main_call *mc = arg;

	mc->fn(mc->arg);
	pl_lane_stop();
}

int open_run(const struct pl_options *opt, void (*main_fn)(void *arg), void *arg,
	     const struct open_hooks *hooks)
{
	struct main_call mc = {main_fn, arg};
	struct netdev_handle h = {0};
	struct open_lane ol;
	struct lane_plan plan;
	int err;

	(void)open_error(0, "%s", "");
	err = options_plan(opt, &plan);
	if (!err)
		err = check_cpu(plan.cpu);
	if (!err && opt->dev)
		err = open_device(opt, &plan, &h);
	if (err)
		return err;
	err = open_lane(&plan, h.dev, h.pool, &ol);
	if (!err) {
		err = run_lane(&ol, &h, main_and_stop, &mc, hooks);
		close_lane(&ol);
	}
	if (h.dev) {
		netdev_thread_end();
		netdev_close_spec(&h);
	}
	return err;
}

/* ---- programs of others: `parklane stat` sees them as it does the commands ---- */

static void stat_begin(void *ctx, const struct open_lane *ol)
{
	*(struct stat_serve **)ctx = stat_serve_start(ol, program_invocation_short_name);
}

static void stat_end(void *ctx, const struct open_lane *ol, const struct netdev_handle *h)
{
	(void)ol;
	(void)h;
	stat_serve_stop(*(struct stat_serve **)ctx);
}

int pl_run(const struct pl_options *opt, void (*main_fn)(void *arg), void *arg)
{
	struct stat_serve *stat = NULL;
	const struct open_hooks hooks = {stat_begin, stat_end, &stat};

	return open_run(opt, main_fn, arg, &hooks);
}
