/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a goroutine costs, in ns: yield, park + ready through a pd, spawn + exit; by the
 * shipped code through the real run queue and lane turn (bench.md, "park"). Each figure is
 * the median of n runs with min and max beside it. Prints the locked CAS of the same run.
 *
 * usage: bench_park [cpu] [n]
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "poller/lane.h"
#include "poller/netpoll.h"
#include "poller/parklane/go.h"
#include "poller/tsc.h"
#include "stack/base/bug.h"

#ifndef NR_PDS
#define NR_PDS    1024u
#endif
#define NR_YIELD  64u
#define OPS       (1u << 20)
#define COLD_GS   4096u
#define RUNS_MAX  101

static struct lane *lane;
static struct netpoll_backend fake_nb;
static struct poll_desc *pds[NR_PDS];
static unsigned left_ops, nr_open;
static uint64_t t_start, t_end;

static int nop_open(struct netpoll_backend *nb, struct poll_desc *pd)
{
	(void)nb;
	(void)pd;
	return 0;
}

static void nop_close(struct netpoll_backend *nb, struct poll_desc *pd)
{
	(void)nb;
	(void)pd;
}

static const struct netpoll_ops nop_ops = {.name = "bench", .open = nop_open, .close = nop_close};

/* ---- yield: 64 runnable gs ---- */

static void yielder(void *arg)
{
	(void)arg;
	while (left_ops > 0) {
		left_ops--;
		pl_yield();
	}
}

static double bench_yield(void)
{
	left_ops = OPS;
	for (unsigned i = 0; i < NR_YIELD; i++)
		BUG_ON(lane_go(lane, yielder, NULL, "yielder") != 0);
	t_start = tsc_mono_ns();
	BUG_ON(lane_run(lane) != 0);
	t_end = tsc_mono_ns();
	return (double)(t_end - t_start) / OPS;
}

/* ---- park + ready: one g wakes 1,024 waiters in turn ---- */

static void waiter(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	struct poll_desc *pd;

	BUG_ON(netpoll_open(&fake_nb, -1, NULL, &pd) != 0);
	pds[i] = pd;
	nr_open++;
	for (;;) {
		if (netpoll_reset(pd, NETPOLL_READ) || netpoll_wait(pd, NETPOLL_READ))
			break;
	}
	netpoll_close(pd);
}

static void waker(void *arg)
{
	unsigned i = 0;

	(void)arg;
	while (nr_open < NR_PDS)
		pl_yield();
	pl_yield();
	t_start = tsc_mono_ns();
	/* As many per turn as one turn runs: what a burst of packets does. */
	for (unsigned n = 0; n < OPS; n++) {
		netpoll_ready(pds[i], NETPOLL_READ);
		i = (i + 1) % NR_PDS;
		if (n % 63 == 62)
			pl_yield();
	}
	pl_yield();
	t_end = tsc_mono_ns();
	for (i = 0; i < NR_PDS; i++)
		netpoll_evict(pds[i]);
}

static double bench_park(bool local)
{
	fake_nb = (struct netpoll_backend){.ops = &nop_ops, .lane = lane, .local = local};
	nr_open = 0;
	for (uintptr_t i = 0; i < NR_PDS; i++)
		BUG_ON(lane_go(lane, waiter, (void *)i, "waiter") != 0);
	BUG_ON(lane_go(lane, waker, NULL, "waker") != 0);
	BUG_ON(lane_run(lane) != 0);
	BUG_ON(fake_nb.waiters != 0);
	return (double)(t_end - t_start) / OPS;
}

static double bench_park_local(void)
{
	return bench_park(true);
}

static double bench_park_locked(void)
{
	return bench_park(false);
}

/* ---- spawn + exit ---- */

static void nothing(void *arg)
{
	(void)arg;
}

static void spawner(void *arg)
{
	unsigned batch = (unsigned)(uintptr_t)arg;

	t_start = tsc_mono_ns();
	for (unsigned n = 0; n < OPS; n++) {
		BUG_ON(pl_go(nothing, NULL) != 0);
		if (n % batch == batch - 1)
			while (lane_nr_g(lane) > 1)
				pl_yield();
	}
	t_end = tsc_mono_ns();
}

static double bench_spawn(uintptr_t batch)
{
	BUG_ON(lane_go(lane, spawner, (void *)batch, "spawner") != 0);
	BUG_ON(lane_run(lane) != 0);
	return (double)(t_end - t_start) / OPS;
}

static double bench_spawn_warm(void)
{
	return bench_spawn(63);
}

static double bench_spawn_rotation(void)
{
	return bench_spawn(1000);
}

/* Stacks that no g had before: carve, guard, first touch; per g. */
static double bench_spawn_cold(void)
{
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	BUG_ON(lane_create(&cfg, &l) != 0);
	t_start = tsc_mono_ns();
	for (unsigned i = 0; i < COLD_GS; i++)
		BUG_ON(lane_go(l, nothing, NULL, "nothing") != 0);
	BUG_ON(lane_run(l) != 0);
	t_end = tsc_mono_ns();
	lane_destroy(l);
	return (double)(t_end - t_start) / COLD_GS;
}

/* ---- the floor: one locked CAS on a line in L1 ---- */

static double bench_cas(void)
{
	static uint64_t word ALIGNED(CACHE_LINE);

	t_start = tsc_mono_ns();
	for (uint64_t i = 0; i < OPS; i++) {
		uint64_t old = i;

		BUG_ON(!__atomic_compare_exchange_n(&word, &old, i + 1, false, __ATOMIC_SEQ_CST,
						    __ATOMIC_SEQ_CST));
	}
	word = 0;
	t_end = tsc_mono_ns();
	return (double)(t_end - t_start) / OPS;
}

static const struct {
	const char *name;
	double (*fn)(void);
} benches[] = {
	{"yield, 64 runnable gs", bench_yield},
	{"park + ready, 1024 local pds", bench_park_local},
	{"park + ready, 1024 locked pds", bench_park_locked},
	{"spawn + exit, 63 stacks", bench_spawn_warm},
	{"spawn + exit, 1000 stacks", bench_spawn_rotation},
	{"spawn + exit, cold stacks", bench_spawn_cold},
	{"locked CAS", bench_cas},
};

static int cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_machine(unsigned n)
{
	struct utsname u;
	char line[256], model[128] = "?";
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "model name : %127[^\n]", model) == 1)
			break;
	if (f)
		fclose(f);
	uname(&u);
	printf("machine %s, kernel %s, n %u, %u operations each (cold: %u); ns per operation\n",
	       model, u.release, n, OPS, COLD_GS);
}

int main(int argc, char **argv)
{
	static double v[ARRAY_SIZE(benches)][RUNS_MAX];
	struct lane_config cfg;
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 11;

	if (n < 1 || n > RUNS_MAX)
		return 2;
	lane_config_init(&cfg);
	cfg.cpu = argc > 1 ? atoi(argv[1]) : -1;
	cfg.idle = LANE_IDLE_SPIN;
	if (lane_create(&cfg, &lane)) {
		fprintf(stderr, "bench_park: no lane on cpu %d\n", cfg.cpu);
		return 1;
	}
	print_machine(n);
	for (unsigned r = 0; r < n; r++)
		for (unsigned b = 0; b < ARRAY_SIZE(benches); b++)
			v[b][r] = benches[b].fn();
	for (unsigned b = 0; b < ARRAY_SIZE(benches); b++) {
		qsort(v[b], n, sizeof(double), cmp);
		printf("%-32s median %6.2f  min %6.2f  max %6.2f\n", benches[b].name, v[b][n / 2],
		       v[b][0], v[b][n - 1]);
	}
	lane_destroy(lane);
	return 0;
}
