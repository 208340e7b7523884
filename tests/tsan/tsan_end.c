/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of lanes, for ThreadSanitizer's eyes: those of a group that are destroyed at the same
 * time, each by its thread, with goroutines left in each other's timers, channels, ctxs and conns;
 * and one whose goroutine a thread without a lane is just about to wake. Prints TAP.
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

#include "poller/chan.h"
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

/* ---- woken by a thread without a lane ---- */

#define WAKES 400u

struct wake {
	struct pl_chan *ch;
	struct lane *l;
};

static void receives(void *arg)
{
	char b;

	if (pl_chan_recv(arg, &b) < 0)
		past();
}

static void selects_one(void *arg)
{
	struct pl_select_case cases[2] = {{.chan = arg, .op = PL_SELECT_RECV},
					  {.chan = x.other, .op = PL_SELECT_RECV}};

	(void)pl_select(cases, 2, false);
}

/* wake_thread - its call may be the lane's last reason to turn. */
static void *wake_thread(void *arg)
{
	struct wake *w = arg;

	if (x.round % 3 == 0)
		(void)pl_chan_close(w->ch);
	else
		while (pl_chan_try_send(w->ch, "x") < 0)
			;
	return NULL;
}

/* stop_thread - the goroutine is dropped, or woken, or both. */
static void *stop_thread(void *arg)
{
	struct wake *w = arg;

	usleep(x.round * 37 % 100);
	(void)pl_chan_close(w->ch);
	return NULL;
}

static void wake_round(void *(*other)(void *arg), bool stop)
{
	bool sel = stop && x.round % 2;
	struct wake w = {0};
	struct lane_config cfg;
	pthread_t t;

	lane_config_init(&cfg);
	cfg.max_g = 16;
	if (lane_create(&cfg, &w.l) || pl_chan_make(1, 0, PL_CHAN_SHARED, &w.ch) ||
	    pl_chan_make(1, 0, PL_CHAN_SHARED, &x.other) ||
	    lane_go(w.l, sel ? selects_one : receives, w.ch, "receives"))
		abort();
	(void)lane_turn(w.l, false);
	if (pthread_create(&t, NULL, other, &w))
		abort();
	if (stop)
		lane_stop(w.l);
	(void)lane_run(w.l);
	lane_destroy(w.l);
	pthread_join(t, NULL);
	/* who was woken and dropped at once must not give back a place that it does not have */
	if (w.ch->gone || x.other->gone)
		x.left++;
	pl_chan_put(w.ch);
	pl_chan_put(x.other);
}

int main(void)
{
	printf("1..3\n");
	fflush(stdout);
	alarm(240);
	for (; x.round < ROUNDS; x.round++)
		one_round();
	printf("%sok 1 - %u rounds of %u lanes that end at once\n", x.left ? "not " : "", x.round,
	       LANES);
	for (x.round = 0; x.round < WAKES; x.round++)
		wake_round(wake_thread, false);
	printf("%sok 2 - %u lanes end while a thread wakes their last goroutine\n",
	       x.left ? "not " : "", x.round);
	for (x.round = 0; x.round < WAKES; x.round++)
		wake_round(stop_thread, true);
	printf("%sok 3 - %u stopped lanes drop a goroutine that a thread wakes\n",
	       x.left ? "not " : "", x.round);
	printf("# %lu goroutines were not at home\n", (unsigned long)x.went);
	return x.left ? 1 : 0;
}
