/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One lane of pl_run: the one place that names drivers, stack and poller together. Makes a lane,
 * its shard of the stack and the backend between them, and takes them down again in reverse.
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
#include "drivers/rss.h"
#include "poller/coro.h"
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

int open_check_cpu(int cpu)
{
	long n = sysconf(_SC_NPROCESSORS_CONF);

	if (cpu < 0 || cpu < n)
		return 0;
	return open_error(-EINVAL, "cpu %d does not exist: this machine has 0 to %ld", cpu, n - 1);
}

/* The kernel would answer for its own address as well, and both would break. */
int open_check_address(uint32_t ip)
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

/* Whose a flow is: the queue that a device which sorts by this hash brings it to. */
static uint16_t flow_home(void *ctx, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport)
{
	const struct open_lanes *all = ctx;

	return rss_queue(rss_hash4(saddr, daddr, sport, dport), (uint16_t)all->nr);
}

static bool flow_forward(void *ctx, uint16_t lane, struct sk_buff *skb)
{
	struct open_lanes *all = ctx;

	return netpoll_stack_forward(all->lane[lane].nb, skb);
}

static int make_stack(const struct lane_plan *plan, struct open_lanes *all, unsigned index,
		      struct netdev *dev, struct skb_pool *pool, struct stack **ret)
{
	struct stack_config cfg;
	struct stack *st;
	int err;

	stack_config_init(&cfg);
	cfg.lane = (uint16_t)index;
	cfg.nr_lanes = all ? (uint16_t)all->nr : 1;
	cfg.steer = (struct stack_steer_ops){flow_home, flow_forward, all};
	cfg.mem = (struct stack_mem_ops){shard_alloc, shard_free, (void *)(intptr_t)plan->cpu};
	err = options_settings(plan->set, &cfg);
	if (err)
		return err;
	if (getrandom(cfg.seed, sizeof(cfg.seed), 0) != sizeof(cfg.seed))
		return open_error(-EIO, "the system gives no random numbers");
	err = stack_create(&cfg, pool, &st);
	if (err)
		return open_error(err, "cannot make the TCP/IP stack: %s", strerror(-err));
	err = stack_attach(st, dev, (uint16_t)index, plan->ip, plan->prefix_len, plan->gw);
	if (err) {
		stack_destroy(st);
		return open_error(err,
				  "the stack refuses that address or the device's MTU of %u: %s",
				  dev->mtu, strerror(-err));
	}
	*ret = st;
	return 0;
}

/* lane_error - one line on why lane_create() failed. */
static int lane_error(const struct lane_plan *plan, int err)
{
	if (err == -EINVAL && plan->cpu >= 0)
		return open_error(err, "cannot run on cpu %d: it is offline or not allowed here",
				  plan->cpu);
	if (err == -ENOEXEC)
		return open_error(err, "goroutines cannot run under a shadow stack: set "
				       "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off");
	if (plan->kernel == LANE_KERNEL_URING) {
		switch (err) {
		case -EOPNOTSUPP:
			return open_error(err, "--uring: this build has no io_uring; install "
					       "liburing-dev and build again, or use --epoll");
		case -ENOSYS:
			return open_error(err,
					  "--uring: this kernel has no io_uring, or one before "
					  "Linux 5.11; use --epoll");
		case -EPERM:
			return open_error(err, "--uring: io_uring is forbidden here (sysctl "
					       "kernel.io_uring_disabled, or a container's "
					       "seccomp profile); use --epoll");
		case -ENOMEM:
			return open_error(err, "--uring: no memory for the rings; raise 'ulimit "
					       "-l', or use --epoll");
		default:
			break;
		}
	}
	return open_error(err, "cannot make a lane: %s", strerror(-err));
}

/* set_stack - the arena's address space stays what it is by default: that of 64 lanes fits. */
static void set_stack(struct lane_config *cfg, unsigned kib)
{
	uint64_t room = cfg->max_g * ((uint64_t)cfg->stack_size + CORO_GUARD_SIZE);

	cfg->stack_size = kib << 10;
	cfg->max_g =
		(uint32_t)min_t(uint64_t, cfg->max_g, room / (cfg->stack_size + CORO_GUARD_SIZE));
}

int open_lane(const struct lane_plan *plan, struct open_lanes *all, unsigned index,
	      struct netdev *dev, struct skb_pool *pool, struct open_lane *ret)
{
	struct open_lane ol = {0};
	struct lane_config cfg;
	int err;

	err = open_check_cpu(plan->cpu);
	if (err)
		return err;
	lane_config_init(&cfg);
	cfg.cpu = plan->cpu;
	cfg.idle = plan->idle;
	if (plan->nap_ns)
		cfg.nap_ns = plan->nap_ns;
	cfg.kernel = plan->kernel;
	cfg.ledger = plan->ledger;
	if (plan->stack_kib)
		set_stack(&cfg, plan->stack_kib);
	err = lane_create(&cfg, &ol.lane);
	if (err)
		return lane_error(plan, err);
	if (all)
		lane_join(ol.lane, all->grp, index);
	if (dev)
		err = make_stack(plan, all, index, dev, pool, &ol.stack);
	if (!err && dev) {
		err = netpoll_stack_create(ol.lane, ol.stack, (uint16_t)index, &ol.nb);
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

struct stack_stats open_lanes_stats(const struct open_lanes *all)
{
	struct stack_stats sum = {0};

	for (unsigned i = 0; i < all->nr; i++) {
		const struct stack_stats *ss = stack_stats(all->lane[i].stack);

#define X(name) sum.name += stat_read(&ss->name);
		STACK_COUNTERS(X)
#undef X
		for (int r = 0; r < SKB_DROP_MAX; r++)
			sum.drops[r] += stat_read(&ss->drops[r]);
	}
	return sum;
}
