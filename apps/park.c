/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a goroutine costs, in ns: yield, park + ready through a pd, spawn + exit; by the
 * shipped code through the real run queue and lane turn (bench.md, "park"). The runs of all
 * figures are interleaved, and the locked CAS of the same run stands beside them.
 */
#include "apps/park_int.h"
#include "poller/netpoll.h"
#include "poller/parklane/go.h"
#include "poller/tsc.h"
#include "stack/base/bug.h"

#define NR_PDS   1024u
#define NR_YIELD 64u
#define OPS      (1u << 20)
#define COLD_GS  4096u

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

double park_yield_on(struct lane *l, unsigned ops)
{
	left_ops = ops;
	for (unsigned i = 0; i < NR_YIELD; i++)
		BUG_ON(lane_go(l, yielder, NULL, "yielder") != 0);
	t_start = tsc_mono_ns();
	BUG_ON(lane_run(l) != 0);
	t_end = tsc_mono_ns();
	return (double)(t_end - t_start) / ops;
}

static double bench_yield(void)
{
	return park_yield_on(lane, OPS);
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

static double (*const benches[PARK_MAX])(void) = {
	[PARK_YIELD] = bench_yield,
	[PARK_READY] = bench_park_local,
	[PARK_READY_FD] = bench_park_locked,
	[PARK_SPAWN] = bench_spawn_warm,
	[PARK_SPAWN_ROTATION] = bench_spawn_rotation,
	[PARK_SPAWN_COLD] = bench_spawn_cold,
	[PARK_CAS] = bench_cas,
};

const char *const park_keys[PARK_ALL] = {
#define X(sym, key, says) [PARK_##sym] = key,
	PARK_ROWS(X) PARK_WIDE_ROWS(X)
#undef X
};

const char *const park_says[PARK_ALL] = {
#define X(sym, key, says) [PARK_##sym] = says,
	PARK_ROWS(X) PARK_WIDE_ROWS(X)
#undef X
};

int park_open(int cpu)
{
	struct lane_config cfg;

	lane_config_init(&cfg);
	cfg.cpu = cpu;
	cfg.idle = LANE_IDLE_SPIN;
	return lane_create(&cfg, &lane);
}

void park_sample(double ns[PARK_MAX])
{
	for (unsigned b = 0; b < PARK_MAX; b++)
		ns[b] = benches[b]();
}

void park_close(void)
{
	lane_destroy(lane);
	lane = NULL;
}

int park_measure(int cpu, unsigned runs, struct park_result *ret)
{
	double ns[PARK_MAX];
	int err = park_open(cpu);

	if (err)
		return err;
	ret->runs = runs < PARK_RUNS_MAX ? runs : PARK_RUNS_MAX;
	for (unsigned r = 0; r < ret->runs; r++) {
		park_sample(ns);
		for (unsigned b = 0; b < PARK_MAX; b++)
			ret->ns[b][r] = ns[b];
	}
	park_close();
	return 0;
}
