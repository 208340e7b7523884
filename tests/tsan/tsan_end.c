/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lanes of a group that are destroyed at the same time, each by its thread, with goroutines left
 * in each other's timers, channels, ctxs and conns; for ThreadSanitizer's eyes. Prints TAP.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <parklane/chan.h>
#include <parklane/conn.h>
#include <parklane/ctx.h>
#include <parklane/go.h>

#include "poller/group.h"
#include "poller/lane.h"

#define LANES  3u
#define ROUNDS 60u
#define EACH   6u /* of a kind, on each lane */
#define LONG   3600000000000ll

static struct {
	struct lane_group *grp;
	struct pl_chan *ch, *other; /* shared; nobody sends */
	struct pl_ctx *ctx;         /* without a deadline: it outlives its lane */
	struct pl_conn *c;          /* of lane 0; nothing comes */
	unsigned round;
	int quit[2];   /* a socketpair */
	unsigned left; /* (a) goroutines that went past what should never end */
	uint64_t went; /* (a) movable ones that did not stay where they were born */
} x;

static void past(void)
{
	__atomic_fetch_add(&x.left, 1, __ATOMIC_RELAXED);
}

/* roam - yields, so that others may take it over, and then waits where it is. */
static void roam(void *arg)
{
	unsigned born = pl_lane_index();

	for (unsigned i = 0; i < 32; i++)
		pl_yield();
	if (pl_lane_index() != born)
		__atomic_fetch_add(&x.went, 1, __ATOMIC_RELAXED);
	if ((uintptr_t)arg % 2)
		(void)pl_sleep(LONG);
	else
		(void)pl_chan_recv(x.ch, NULL);
	past();
}

static void selects(void *arg)
{
	struct pl_select_case cases[2] = {{.chan = x.ch, .op = PL_SELECT_RECV},
					  {.chan = x.other, .op = PL_SELECT_RECV}};

	(void)arg;
	(void)pl_select(cases, 2, false);
	past();
}

static void in_ctx(void *arg)
{
	(void)pl_ctx_enter(x.ctx);
	(void)pl_sleep(LONG + (int64_t)(uintptr_t)arg);
	past();
}

static void reads(void *arg)
{
	char b;

	(void)arg;
	(void)pl_set_read_deadline(x.c, pl_now() + (uint64_t)LONG);
	(void)pl_read(x.c, &b, 1);
	past();
}

/* stops - at any moment while the others find their places. */
static void stops(void *arg)
{
	(void)arg;
	pl_sleep(x.round * 7919 % 4000000);
	pl_lane_stop();
}

/* start - lane 0 has all movable ones, for the others to take. */
static void start(void *arg)
{
	int err = 0;

	for (uintptr_t i = 0; i < EACH && !err; i++)
		err = pl_go(selects, NULL);
	for (uintptr_t i = 0; arg && i < 4 * EACH && !err; i++)
		err = pl_go_movable(roam, (void *)i) | pl_go_movable(in_ctx, (void *)i);
	/* a pd has one reader, and others that wait for their turn */
	for (unsigned i = 0; i < 2 && !err; i++)
		err = pl_go(reads, NULL);
	if (!err && arg)
		err = pl_go(stops, NULL);
	if (err)
		abort();
}

static void adopts(void *arg)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, x.quit) ||
	    pl_adopt(x.quit[0], 0, &x.c))
		abort();
	start(arg);
}

static void *lane_thread(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	cfg.max_g = 256;
	if (lane_create(&cfg, &l))
		abort();
	lane_join(l, x.grp, me);
	(void)lane_group_meet(x.grp, 0);
	if (me == 0 && lane_go(l, adopts, &x, "adopts"))
		abort();
	if (me == 0)
		(void)lane_turn(l, false); /* x.c is there before others ask for it */
	(void)lane_group_meet(x.grp, 0);
	if (me && lane_go(l, start, NULL, "start"))
		abort();
	(void)lane_run(l);
	(void)lane_group_meet(x.grp, 0);
	lane_destroy(l); /* all at the same time */
	return NULL;
}

static void one_round(void)
{
	pthread_t t[LANES];

	if (lane_group_create(LANES, &x.grp) || pl_chan_make(1, 0, PL_CHAN_SHARED, &x.ch) ||
	    pl_chan_make(1, 0, PL_CHAN_SHARED, &x.other) || pl_ctx_with_cancel(NULL, &x.ctx))
		abort();
	for (uintptr_t i = 0; i < LANES; i++)
		if (pthread_create(&t[i], NULL, lane_thread, (void *)i))
			abort();
	for (unsigned i = 0; i < LANES; i++)
		pthread_join(t[i], NULL);
	lane_group_destroy(x.grp);
	pl_chan_put(x.ch);
	pl_chan_put(x.other);
	pl_ctx_put(x.ctx);
	close(x.quit[1]);
}

int main(void)
{
	printf("1..1\n");
	fflush(stdout);
	alarm(240);
	for (; x.round < ROUNDS; x.round++)
		one_round();
	printf("%sok 1 - %u rounds of %u lanes that end at once\n", x.left ? "not " : "", x.round,
	       LANES);
	printf("# %lu goroutines were not at home\n", (unsigned long)x.went);
	return x.left ? 1 : 0;
}
