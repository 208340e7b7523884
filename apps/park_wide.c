/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The figures of `bench park` that compare does without: a million spawns from first to last, a
 * pipe, the timer heap with a million deadlines, what the ledger costs, and a cache line's way
 * to another cpu.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "apps/park_int.h"
#include "poller/gtimer.h"
#include "poller/ledger.h"
#include "poller/netpoll.h"
#include "poller/parklane/chan.h"
#include "poller/parklane/go.h"
#include "poller/tsc.h"
#include "stack/base/bug.h"
#include "stack/base/clock.h"

#define SPAWNS     1000000u
#define SPAWN_PART 100000u
#define SPAWN_WARM 1008u /* before the first part: stacks carved, touched, in rotation */
#define BATCH      63u
#define CHAN_OPS   (1u << 18)
#define PIPE_OPS   (1u << 15)
#define TIMERS     1000000u
#define MOVES      10u
#define TIMER_LO   NSEC_PER_MSEC
#define TIMER_HI   (60 * NSEC_PER_SEC)
/* Pairs are many and short, some 0.3 ms a half, so that most meet no interrupt. Two that differ by
 * nothing differ by 0.1 % of rr at most, as the median of so many, also with builds beside it. */
#define YIELD_PAIRS 101u
#define PAIR_YIELD  (1u << 15)
#define RR_PAIRS    401u
#define HOPS        200000u

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double park_median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

static int open_spinning(int cpu, struct lane **ret)
{
	struct lane_config cfg;

	lane_config_init(&cfg);
	cfg.cpu = cpu;
	cfg.idle = LANE_IDLE_SPIN;
	return lane_create(&cfg, ret);
}

/* ---- spawn: does the millionth cost what the first did? ---- */

struct spawns {
	struct lane *lane;
	uint64_t first, last;
};

static void nothing(void *arg)
{
	(void)arg;
}

static uint64_t spawn_some(struct lane *l, unsigned nr)
{
	uint64_t t0 = tsc_mono_ns();

	for (unsigned n = 0; n < nr; n++) {
		BUG_ON(pl_go(nothing, NULL) != 0);
		if (n % BATCH == BATCH - 1)
			while (lane_nr_g(l) > 1)
				pl_yield();
	}
	return tsc_mono_ns() - t0;
}

static void spawn_million(void *arg)
{
	struct spawns *s = arg;

	(void)spawn_some(s->lane, SPAWN_WARM);
	s->first = spawn_some(s->lane, SPAWN_PART);
	(void)spawn_some(s->lane, SPAWNS - 2 * SPAWN_PART);
	s->last = spawn_some(s->lane, SPAWN_PART);
}

static double spawn_ratio(struct lane *l)
{
	struct spawns s = {.lane = l};

	BUG_ON(lane_go(l, spawn_million, &s, "spawner") != 0);
	BUG_ON(lane_run(l) != 0);
	return (double)s.last / (double)s.first;
}

/* ---- an int through an unbuffered channel: one way, as the peers measure it ---- */

static void sender(void *arg)
{
	for (int n = 0; n < (int)CHAN_OPS; n++)
		BUG_ON(pl_chan_send(arg, &n) != 0);
	BUG_ON(pl_chan_close(arg) != 0);
}

static void receiver(void *arg)
{
	struct pl_chan *c;
	uint64_t t0;
	int got, n = 0;

	BUG_ON(pl_chan_make(sizeof(int), 0, 0, &c) != 0 || pl_go(sender, c) != 0);
	t0 = tsc_mono_ns();
	while (pl_chan_recv(c, &got) == 1)
		BUG_ON(got != n++);
	*(double *)arg = (double)(tsc_mono_ns() - t0) / CHAN_OPS;
	pl_chan_put(c);
}

static int chan_way(struct lane *l, double *ret_ns)
{
	BUG_ON(lane_go(l, receiver, ret_ns, "receiver") != 0);
	return lane_run(l);
}

/* ---- a byte through a pipe ---- */

struct bounce {
	struct lane *lane;
	int rd, wr;
	bool first;
	int err;
};

static int read_byte(struct poll_desc *pd, int fd)
{
	char b;

	for (;;) {
		int err = netpoll_reset(pd, NETPOLL_READ);

		if (err)
			return err;
		if (read(fd, &b, 1) == 1)
			return 0;
		if (errno != EAGAIN)
			return -errno;
		err = netpoll_wait(pd, NETPOLL_READ);
		if (err)
			return err;
	}
}

static void bouncer(void *arg)
{
	struct bounce *b = arg;
	struct poll_desc *pd;

	b->err = netpoll_open(lane_kernel_backend(b->lane), b->rd, NULL, &pd);
	if (b->err)
		return;
	for (unsigned n = 0; n < PIPE_OPS && !b->err; n++) {
		/* A pipe that holds one byte at most always takes another. */
		if (b->first && write(b->wr, "p", 1) != 1)
			b->err = -errno;
		if (!b->err)
			b->err = read_byte(pd, b->rd);
		if (!b->err && !b->first && write(b->wr, "p", 1) != 1)
			b->err = -errno;
	}
	netpoll_evict(pd);
	netpoll_close(pd);
}

static int pipe_way(struct lane *l, double *ret_ns)
{
	int there[2], back[2], err = 0;
	struct bounce a, b;
	uint64_t t0;

	if (pipe2(there, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	if (pipe2(back, O_CLOEXEC | O_NONBLOCK)) {
		err = -errno;
		goto out;
	}
	a = (struct bounce){l, back[0], there[1], true, 0};
	b = (struct bounce){l, there[0], back[1], false, 0};
	BUG_ON(lane_go(l, bouncer, &b, "bouncer") != 0);
	BUG_ON(lane_go(l, bouncer, &a, "bouncer") != 0);
	t0 = tsc_mono_ns();
	err = lane_run(l);
	*ret_ns = (double)(tsc_mono_ns() - t0) / (2 * PIPE_OPS);
	err = err ? err : a.err ? a.err : b.err;
	(void)close(back[0]);
	(void)close(back[1]);
out:
	(void)close(there[0]);
	(void)close(there[1]);
	return err;
}

/* ---- the timer heap ---- */

static uint64_t random_state = 88172645463325252u;

static uint64_t rnd(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static unsigned fired;

static void on_time(struct gtimer *t, uint32_t seq, uint64_t now)
{
	(void)t;
	(void)seq;
	(void)now;
	fired++;
}

/* In an order that is not the memory's, as connections have their deadlines moved. */
static void shuffle(uint32_t *order)
{
	for (uint32_t i = 0; i < TIMERS; i++)
		order[i] = i;
	for (uint32_t i = TIMERS - 1; i > 0; i--) {
		uint32_t k = (uint32_t)rnd(i + 1), x = order[i];

		order[i] = order[k];
		order[k] = x;
	}
}

static uint64_t moved(uint64_t when, bool earlier)
{
	return earlier ? TIMER_LO + rnd(when - TIMER_LO + 1) : when + rnd(TIMER_HI - when + 1);
}

static double timers_ns(struct gtimer *t, const uint32_t *order)
{
	struct gtimer_heap h;
	uint64_t t0;

	gtimer_heap_init(&h);
	fired = 0;
	t0 = tsc_mono_ns();
	for (uint32_t i = 0; i < TIMERS; i++) {
		t[i] = (struct gtimer){.fn = on_time};
		BUG_ON(gtimer_set(&h, &t[i], TIMER_LO + rnd(TIMER_HI - TIMER_LO), 0) != 0);
	}
	for (unsigned m = 0; m < MOVES; m++)
		for (uint32_t i = 0; i < TIMERS; i++) {
			struct gtimer *x = &t[order[i]];

			BUG_ON(gtimer_set(&h, x, moved(x->when, (i + m) % 2), 0) != 0);
		}
	for (uint64_t now = 0; fired < TIMERS; now += NSEC_PER_MSEC)
		(void)gtimer_run(&h, now);
	t0 = tsc_mono_ns() - t0;
	gtimer_heap_fini(&h);
	return (double)t0 / ((2.0 + MOVES) * TIMERS);
}

static int timer_way(double *ret_ns)
{
	struct gtimer *t = malloc(TIMERS * sizeof(*t));
	uint32_t *order = malloc(TIMERS * sizeof(*order));
	int err = t && order ? 0 : -ENOMEM;

	if (!err) {
		shuffle(order);
		*ret_ns = timers_ns(t, order);
	}
	free(t);
	free(order);
	return err;
}

/* ---- the ledger: with and without in turn, the median of the differences ---- */

/* yield_pair - ns that the ledger adds to a yield; the same lane with and without it, since two
 * lanes differ by more, by where their memory lies. */
static double yield_pair(struct lane *l, unsigned i)
{
	double ns[2];

	for (unsigned k = 0; k < 2; k++) {
		bool on = (i ^ k) & 1;

		ledger_init(lane_ledger(l), on ? LEDGER_SAMPLED : LEDGER_OFF, false);
		ns[on] = park_yield_on(l, PAIR_YIELD);
	}
	return ns[1] - ns[0];
}

static int ledger_way(int cpu, double *ret_yield_ns, double *ret_rr_percent)
{
	double diff[YIELD_PAIRS], percent[RR_PAIRS];
	struct lane *l;
	int err = open_spinning(cpu, &l);

	if (err)
		return err;
	for (unsigned i = 0; i < YIELD_PAIRS; i++)
		diff[i] = yield_pair(l, i);
	lane_destroy(l);
	err = park_rr_pairs(cpu, percent, RR_PAIRS);
	if (err)
		return err;
	*ret_yield_ns = park_median(diff, YIELD_PAIRS);
	*ret_rr_percent = park_median(percent, RR_PAIRS);
	return 0;
}

/* ---- a cache line to and fro ---- */

static uint32_t ball ALIGNED(CACHE_LINE);

static int pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static void play(uint32_t odd)
{
	for (uint32_t n = odd; n < 2 * HOPS; n += 2) {
		while (__atomic_load_n(&ball, __ATOMIC_ACQUIRE) != n)
			cpu_relax();
		__atomic_store_n(&ball, n + 1, __ATOMIC_RELEASE);
	}
}

static void *other_player(void *arg)
{
	int err = pin((int)(intptr_t)arg);

	play(1);
	return (void *)(intptr_t)err;
}

int park_hop(int cpu, int other, double *ret_ns)
{
	cpu_set_t old;
	pthread_t t;
	void *his;
	uint64_t t0;
	int err;

	if (sched_getaffinity(0, sizeof(old), &old))
		return -errno;
	__atomic_store_n(&ball, 0, __ATOMIC_RELEASE);
	err = -pthread_create(&t, NULL, other_player, (void *)(intptr_t)other);
	if (err)
		return err;
	err = pin(cpu);
	t0 = tsc_mono_ns();
	play(0);
	*ret_ns = (double)(tsc_mono_ns() - t0) / (2 * HOPS);
	(void)pthread_join(t, &his);
	(void)sched_setaffinity(0, sizeof(old), &old);
	return err ? err : (int)(intptr_t)his;
}

/* ---- all ---- */

int park_wide_sample(int cpu, int other, double ns[PARK_ALL])
{
	struct lane *l;
	int err = open_spinning(cpu, &l);

	if (err)
		return err;
	ns[PARK_SPAWN_RATIO] = spawn_ratio(l);
	err = chan_way(l, &ns[PARK_CHAN]);
	if (!err)
		err = pipe_way(l, &ns[PARK_PIPE]);
	lane_destroy(l);
	if (!err)
		err = timer_way(&ns[PARK_TIMER]);
	if (!err)
		err = ledger_way(cpu, &ns[PARK_LEDGER_YIELD], &ns[PARK_LEDGER_RR]);
	ns[PARK_HOP] = NAN;
	ns[PARK_CROSS] = NAN;
	if (err || cpu < 0 || other < 0)
		return err;
	err = park_hop(cpu, other, &ns[PARK_HOP]);
	return err ? err : park_cross(cpu, other, &ns[PARK_CROSS]);
}
