/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floor: a bare rx_burst/tx_burst loop on either cpu that bounces frames of the size that a
 * request has with all its headers. Same process, cpus, pool, device and bursts as the bypass
 * set; what bypass adds to this is stack, poller and goroutines.
 */
#include "apps/cmp_floor.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/cmp_proc.h"
#include "apps/compare.h"
#include "apps/tsc.h"
#include "stack/netdev.h"

#define FLOOR_HEADERS (14 + 20 + 32) /* Ethernet, IPv4, TCP with timestamps */
#define FLOOR_TAG     0x464c4f4f52ull
#define SETTLE_NS     2000000

struct floor_end {
	struct netdev *dev;
	struct skb_cache cache;
	uint64_t drops[SKB_DROP_MAX];
	pid_t tid;
	struct proc_lost lost;
};

struct floor_job {
	struct floor_end srv, cli;
	struct skb_pool *pool;
	int stop, ready; /* (a) */
};

/* What stands in a frame: whose it is, and when it left. */
struct floor_tag {
	uint64_t tag, tsc;
};

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* Hand over all of skbs[0..n), however long the device takes. */
static void send_all(struct floor_end *e, struct sk_buff **skbs, unsigned n, const int *stop)
{
	unsigned done = 0;

	while (done < n && !__atomic_load_n(stop, __ATOMIC_RELAXED))
		done += netdev_tx_burst(e->dev, 0, skbs + done, n - done);
	for (; done < n; done++)
		skb_free(skbs[done]);
}

static void *bounce(void *arg)
{
	struct floor_job *job = arg;
	struct sk_buff *skbs[NETDEV_BURST];
	int err = netdev_thread_begin();

	if (!err)
		err = pin(CMP_CPU_SERVER);
	job->srv.tid = gettid();
	skb_cache_init(&job->srv.cache, job->pool, job->srv.drops);
	__atomic_store_n(&job->ready, err ? err : 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&job->stop, __ATOMIC_RELAXED)) {
		unsigned n = netdev_rx_burst(job->srv.dev, 0, &job->srv.cache, skbs, NETDEV_BURST);

		if (n)
			send_all(&job->srv, skbs, n, &job->stop);
	}
	skb_cache_fini(&job->srv.cache);
	netdev_thread_end();
	return NULL;
}

/* Read tag and time of a frame; false for what somebody else left in the ring. */
static bool read_tag(const struct sk_buff *skb, unsigned size, struct floor_tag *ret)
{
	if (skb->len != size || skb_headlen(skb) < sizeof(*ret) + ETH_HLEN)
		return false;
	memcpy(ret, skb->data + ETH_HLEN, sizeof(*ret));
	return ret->tag == FLOOR_TAG;
}

static void write_tag(struct sk_buff *skb, uint64_t now)
{
	struct floor_tag tag = {FLOOR_TAG, now};

	memcpy(skb->data + ETH_HLEN, &tag, sizeof(tag));
}

static int launch(struct floor_job *job, unsigned inflight, unsigned size)
{
	struct sk_buff *skbs[NETDEV_BURST];

	for (unsigned i = 0; i < inflight; i++) {
		skbs[i] = skb_alloc(&job->cli.cache, 128);
		if (!skbs[i]) {
			while (i--)
				skb_free(skbs[i]);
			return -ENOBUFS;
		}
		memset(skb_put(skbs[i], size), 0xff, size);
		write_tag(skbs[i], tsc_read());
	}
	send_all(&job->cli, skbs, inflight, &job->stop);
	return 0;
}

static void drain(struct floor_end *e, uint64_t ns)
{
	struct sk_buff *skbs[NETDEV_BURST];
	uint64_t until = mono_ns() + ns;

	do {
		unsigned n = netdev_rx_burst(e->dev, 0, &e->cache, skbs, NETDEV_BURST);

		for (unsigned i = 0; i < n; i++)
			skb_free(skbs[i]);
	} while (mono_ns() < until);
}

/* Take back what returned, note its time, send it again. Returns frames. */
static unsigned turn(struct floor_job *job, unsigned size, struct hist *hist, double ns_per_tsc)
{
	struct sk_buff *skbs[NETDEV_BURST], *again[NETDEV_BURST];
	unsigned n = netdev_rx_burst(job->cli.dev, 0, &job->cli.cache, skbs, NETDEV_BURST), m = 0;
	uint64_t now;

	if (!n)
		return 0;
	now = tsc_read();
	for (unsigned i = 0; i < n; i++) {
		struct floor_tag tag;

		if (!read_tag(skbs[i], size, &tag)) {
			skb_free(skbs[i]);
			continue;
		}
		if (hist)
			hist_record(hist, (uint64_t)((double)(now - tag.tsc) * ns_per_tsc));
		write_tag(skbs[i], now);
		again[m++] = skbs[i];
	}
	send_all(&job->cli, again, m, &job->stop);
	return m;
}

static void bounce_for(struct floor_job *job, unsigned size, uint64_t ns, struct load_result *res)
{
	double per = 1e9 / tsc_hz();
	uint64_t start = tsc_read(), length = (uint64_t)((double)ns / per), frames = 0;

	while (tsc_read() - start < length) {
		/* A look at the clock every few turns is enough. */
		for (int i = 0; i < 64; i++)
			frames += turn(job, size, res ? &res->hist : NULL, per);
	}
	if (!res)
		return;
	res->units = frames;
	res->window_tsc = tsc_read() - start;
	res->window_ns = (uint64_t)((double)res->window_tsc * per);
}

static void lost_edge(struct floor_job *job, int i)
{
	proc_lost_edge(&job->srv.lost, i, CMP_CPU_SERVER, job->srv.tid);
	proc_lost_edge(&job->cli.lost, i, CMP_CPU_CLIENT, gettid());
}

int floor_run(const struct netdev_handle *h, unsigned inflight, unsigned payload, uint64_t warm_ns,
	      uint64_t run_ns, struct cmp_sample *ret)
{
	static struct floor_job job;
	unsigned size = payload + FLOOR_HEADERS;
	pthread_t thread;
	int err, ready;

	memset(&job, 0, sizeof(job));
	hist_init(&ret->load.hist);
	job.srv.dev = h->dev;
	job.cli.dev = h->peer;
	job.pool = h->pool;
	err = pin(CMP_CPU_CLIENT);
	if (!err)
		err = -pthread_create(&thread, NULL, bounce, &job);
	if (err)
		return err;
	skb_cache_init(&job.cli.cache, job.pool, job.cli.drops);
	do
		ready = __atomic_load_n(&job.ready, __ATOMIC_ACQUIRE);
	while (!ready);
	err = ready < 0 ? ready : 0;
	if (!err) {
		drain(&job.cli, SETTLE_NS);
		err = launch(&job, inflight < NETDEV_BURST ? inflight : NETDEV_BURST, size);
	}
	if (!err) {
		bounce_for(&job, size, warm_ns, NULL);
		lost_edge(&job, 0);
		bounce_for(&job, size, run_ns, &ret->load);
		lost_edge(&job, 1);
		ret->lost[0] = proc_lost(&job.cli.lost);
		ret->lost[1] = proc_lost(&job.srv.lost);
		drain(&job.cli, SETTLE_NS);
	}
	__atomic_store_n(&job.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	drain(&job.cli, 0);
	skb_cache_fini(&job.cli.cache);
	return err;
}
