/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Movable goroutines between three real lanes under ThreadSanitizer: yields, sleeps, and pairs
 * that wake each other from whatever lane they are on, while a fourth thread dumps them all.
 * Prints TAP; a race, or a goroutine that never comes back, fails it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <parklane/go.h>

#include "poller/group.h"
#include "poller/lane.h"
#include "poller/monitor.h"
#include "poller/sched.h"

#define LANES 3u
#define PAIRS 40u
#define STEPS 300u

static struct lane_group *grp;
static uint64_t done, hops[LANES];
static unsigned dumps;

/*
 * Two gs hand a token to and fro; who has none parks. Each publishes itself at a place of its own:
 * both may be on their way to park at a time, since one may give the token away and come back for
 * it before the other, which saw no token a moment ago, has published itself. (Model:
 * tests/models/movable_wake.pml.)
 */
struct pair {
	struct g *waits[2]; /* (a) NULL: that one does not; swapped by both */
	unsigned turn;      /* (a) whose token it is */
};

static struct pair pairs[PAIRS];

struct player {
	struct pair *p;
	unsigned me;
};

static struct player players[2 * PAIRS];

/* Publish g, unless the token came meanwhile: the waker stores the turn first, then looks. */
static bool publish(struct g *g, void *arg)
{
	struct player *pl = arg;
	struct g **waits = &pl->p->waits[pl->me], *mine = g;

	__atomic_store_n(waits, g, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&pl->p->turn, __ATOMIC_SEQ_CST) != pl->me)
		return true;
	/* Whoever takes it out of there wakes it: us, by not parking. */
	return !__atomic_compare_exchange_n(waits, &mine, NULL, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST);
}

static void play(void *arg)
{
	struct player *pl = arg;
	struct g *other;

	for (unsigned i = 0; i < STEPS; i++) {
		while (__atomic_load_n(&pl->p->turn, __ATOMIC_SEQ_CST) != pl->me)
			sched_park(publish, pl, WAIT_SEMA);
		__atomic_fetch_add(&hops[pl_lane_index()], 1, __ATOMIC_RELAXED);
		if (i % 64 == 0)
			pl_sleep(1000);
		else if (i % 7 == 0)
			pl_yield();
		__atomic_store_n(&pl->p->turn, !pl->me, __ATOMIC_SEQ_CST);
		other = __atomic_exchange_n(&pl->p->waits[!pl->me], NULL, __ATOMIC_SEQ_CST);
		if (other)
			sched_ready(other);
	}
	if (__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST) == 2 * PAIRS)
		pl_lane_stop();
}

static void start_all(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 2 * PAIRS; i++) {
		players[i] = (struct player){&pairs[i / 2], i % 2};
		if (pl_go_movable(play, &players[i]))
			abort();
	}
}

/* dump_on - until all are done, and once more. */
static void *dump_on(void *arg)
{
	FILE *f = tmpfile();
	bool more;

	(void)arg;
	if (!f)
		abort();
	do {
		more = __atomic_load_n(&done, __ATOMIC_SEQ_CST) < 2 * PAIRS;
		if (pl_dump_goroutines(fileno(f), dumps++ % 2 ? 0 : PL_DUMP_ALL))
			abort();
	} while (more);
	fclose(f);
	return NULL;
}

static void *lane_thread(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	cfg.max_g = 1024;
	if (lane_create(&cfg, &l))
		abort();
	lane_join(l, grp, me);
	if (me == 0 && lane_go(l, start_all, NULL, "start"))
		abort();
	(void)lane_group_meet(grp, 0);
	if (me == 0 && monitor_start(grp, NULL, NULL))
		abort();
	(void)lane_run(l);
	(void)lane_group_meet(grp, 0);
	if (me == 0)
		monitor_stop(grp);
	(void)lane_group_meet(grp, 0);
	lane_destroy(l);
	return NULL;
}

int main(void)
{
	pthread_t t[LANES], dumper;
	uint64_t all = 0;

	printf("1..1\n");
	fflush(stdout);
	alarm(240);
	if (lane_group_create(LANES, &grp))
		return 1;
	for (uintptr_t i = 1; i < LANES; i++)
		if (pthread_create(&t[i], NULL, lane_thread, (void *)i))
			return 1;
	if (pthread_create(&dumper, NULL, dump_on, NULL))
		return 1;
	lane_thread(NULL);
	pthread_join(dumper, NULL);
	for (unsigned i = 1; i < LANES; i++)
		pthread_join(t[i], NULL);
	lane_group_destroy(grp);
	for (unsigned i = 0; i < LANES; i++)
		all += hops[i];
	printf("%s 1 - movable goroutines wake each other across lanes\n",
	       all == 2ull * PAIRS * STEPS ? "ok" : "not ok");
	printf("# hops by lane: %lu %lu %lu, %u dumps\n", hops[0], hops[1], hops[2], dumps);
	return all == 2ull * PAIRS * STEPS ? 0 : 1;
}
