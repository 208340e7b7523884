/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goroutines of different lanes wait on together, for ThreadSanitizer's eyes: channels,
 * select, mutex, rwmutex, condition, wait group, contexts and the pool of pl_blocking, between
 * two real lanes and a thread without one. Prints TAP.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <parklane/parklane.h>

#include "poller/group.h"
#include "poller/lane.h"

#define GS     8u    /* per lane */
#define ROUNDS 1000u /* per g */
#define CUTS   300u  /* contexts ended under their goroutines */

static unsigned test_no;

static void result(bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++test_no, name);
}

static void *turn_lane(void *lane)
{
	return (void *)(intptr_t)lane_run(lane);
}

struct start {
	void (*fn)(void *arg);
	uintptr_t no;
};

static bool movable;
static struct lane_group *grp; /* while lanes run, if their gs are movable */
static struct start starts[2 * GS];
static unsigned alive; /* (a) of those in a group, which turns until it is stopped */

static void starts_in_group(void *arg)
{
	const struct start *st = arg;

	st->fn((void *)st->no);
	if (__atomic_sub_fetch(&alive, 1, __ATOMIC_SEQ_CST) == 0)
		lane_group_stop(grp);
}

static int start_g(struct lane *l, void (*fn)(void *arg), uintptr_t no)
{
	if (!grp)
		return lane_go(l, fn, (void *)no, "g");
	starts[no] = (struct start){fn, no};
	return lane_go_movable(l, starts_in_group, &starts[no], "movable");
}

/* two_lanes - fn(0..GS-1) on the one lane and fn(GS..2*GS-1) on the other, until all have ended;
 * meanwhile `outside`, if any, on this thread. */
static bool two_lanes(void (*fn)(void *arg), void (*outside)(void))
{
	struct lane *l[2];
	pthread_t t[2];
	bool ok = true;

	alive = 2 * GS;
	if (movable && lane_group_create(2, &grp))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		struct lane_config cfg;

		lane_config_init(&cfg);
		if (lane_create(&cfg, &l[i]))
			return false;
		if (grp)
			lane_join(l[i], grp, i);
	}
	for (uintptr_t g = 0; g < 2 * GS; g++)
		ok = ok && start_g(l[g / GS], fn, g) == 0;
	for (unsigned i = 0; i < 2; i++)
		ok = pthread_create(&t[i], NULL, turn_lane, l[i]) == 0 && ok;
	if (outside)
		outside();
	for (unsigned i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < 2; i++)
		lane_destroy(l[i]);
	lane_group_destroy(grp);
	grp = NULL;
	return ok;
}

static uint64_t total; /* (a) */
static unsigned bad;   /* (a) */

static void add(uint64_t *p, uint64_t n)
{
	__atomic_fetch_add(p, n, __ATOMIC_RELAXED);
}

static void fault(void)
{
	__atomic_fetch_add(&bad, 1, __ATOMIC_RELAXED);
}

/* ---- channels ---- */

static struct pl_chan *ch, *ch2;
static struct pl_wait_group senders;

static void closes_after_all(void)
{
	(void)pl_wait_group_wait(&senders);
	if (pl_chan_close(ch))
		fault();
}

static void talks(void *arg)
{
	uint64_t v = 0;

	if ((uintptr_t)arg & 1) {
		while (pl_chan_recv(ch, &v) == 1)
			add(&total, v);
		return;
	}
	for (v = 1; v <= ROUNDS; v++)
		if (pl_chan_send(ch, &v))
			fault();
	(void)pl_wait_group_done(&senders);
	/* the last sender of lane 0 closes for all */
	if (arg == NULL)
		closes_after_all();
}

static bool channel(size_t cap)
{
	bool ok;

	total = bad = 0;
	if (pl_chan_make(sizeof(uint64_t), cap, PL_CHAN_SHARED, &ch) ||
	    pl_wait_group_add(&senders, GS))
		return false;
	ok = two_lanes(talks, NULL);
	pl_chan_put(ch);
	return ok && !bad && total == (uint64_t)GS * ROUNDS * (ROUNDS + 1) / 2;
}

/* Each sends on the one and receives on the other, whichever comes first. */
static void crosses(void *arg)
{
	bool side = (uintptr_t)arg >= GS;
	unsigned n[2] = {0, 0};

	while (n[0] < ROUNDS || n[1] < ROUNDS) {
		uint64_t out = 1, in = 0;
		struct pl_select_case k[] = {
			{n[0] < ROUNDS ? (side ? ch : ch2) : NULL, PL_SELECT_SEND, &out, 0},
			{n[1] < ROUNDS ? (side ? ch2 : ch) : NULL, PL_SELECT_RECV, &in, 0},
		};
		int i = pl_select(k, 2, false);

		if (i < 0)
			fault();
		n[i == 1]++;
		add(&total, in);
	}
}

static bool selects(void)
{
	bool ok;

	total = bad = 0;
	if (pl_chan_make(sizeof(uint64_t), 0, PL_CHAN_SHARED, &ch) ||
	    pl_chan_make(sizeof(uint64_t), 1, PL_CHAN_SHARED, &ch2))
		return false;
	ok = two_lanes(crosses, NULL);
	pl_chan_put(ch);
	pl_chan_put(ch2);
	return ok && !bad && total == (uint64_t)2 * GS * ROUNDS;
}

static void sends_outside(void)
{
	for (uint64_t v = 1; v <= ROUNDS; v++)
		while (pl_chan_try_send(ch, &v) == -EAGAIN)
			;
	if (pl_chan_close(ch))
		fault();
}

static void receives(void *arg)
{
	uint64_t v;

	(void)arg;
	while (pl_chan_recv(ch, &v) == 1)
		add(&total, v);
}

static bool thread_without_lane(void)
{
	bool ok;

	total = bad = 0;
	if (pl_chan_make(sizeof(uint64_t), 4, PL_CHAN_SHARED, &ch))
		return false;
	ok = two_lanes(receives, sends_outside);
	pl_chan_put(ch);
	return ok && !bad && total == (uint64_t)ROUNDS * (ROUNDS + 1) / 2;
}

/* ---- mutex, rwmutex, condition, once: plain data that they guard ---- */

static struct pl_mutex mu;
static struct pl_rwmutex rw;
static struct pl_cond cond;
static struct pl_once once;
static uint64_t guarded, tokens, onces;

static void locks(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (pl_mutex_lock(&mu))
			fault();
		guarded++;
		if (i % 16 == 0)
			pl_yield();
		pl_mutex_unlock(&mu);
	}
}

static void locks_rw(void *arg)
{
	uint64_t v;

	for (unsigned i = 0; i < ROUNDS; i++) {
		if (i % 4 == (uintptr_t)arg % 4) {
			(void)pl_rwmutex_lock(&rw);
			guarded++;
			if (i % 16 == 0)
				pl_yield();
			pl_rwmutex_unlock(&rw);
			continue;
		}
		(void)pl_rwmutex_rlock(&rw);
		v = guarded;
		if (i % 8 == 0)
			pl_yield();
		if (guarded != v)
			fault();
		pl_rwmutex_runlock(&rw);
	}
}

static void once_body(void *arg)
{
	(void)arg;
	onces++;
}

static void passes_tokens(void *arg)
{
	if (pl_once_do(&once, once_body, NULL) || onces != 1)
		fault();
	for (unsigned i = 0; i < ROUNDS; i++) {
		(void)pl_mutex_lock(&mu);
		if ((uintptr_t)arg & 1) {
			tokens++;
			pl_cond_signal(&cond);
		} else {
			while (tokens == 0)
				if (pl_cond_wait(&cond, &mu))
					fault();
			tokens--;
		}
		pl_mutex_unlock(&mu);
	}
}

static bool locking(void)
{
	bool ok;

	bad = 0;
	guarded = onces = 0;
	once = (struct pl_once){0};
	ok = two_lanes(locks, NULL) && guarded == 2 * GS * ROUNDS;
	guarded = 0;
	ok = two_lanes(locks_rw, NULL) && guarded == 2 * GS * ROUNDS / 4 && ok;
	return two_lanes(passes_tokens, NULL) && tokens == 0 && ok && !bad;
}

/* A wait group on the waiter's own stack is gone as soon as the wait returns. */
static void done_on(void *arg)
{
	if (pl_wait_group_done(arg))
		fault();
}

static void sends_groups(void *arg)
{
	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		struct pl_wait_group wg = {0};
		void *p = &wg;

		(void)pl_wait_group_add(&wg, 2);
		if ((uintptr_t)arg >= GS) {
			if (pl_chan_recv(ch, &p) == 1)
				done_on(p);
			continue;
		}
		if (pl_chan_send(ch, &p) || pl_go(done_on, &wg) || pl_wait_group_wait(&wg))
			fault();
		memset(&wg, 0xa5, sizeof(wg));
	}
}

static bool groups(void)
{
	bool ok;

	bad = 0;
	if (pl_chan_make(sizeof(void *), 0, PL_CHAN_SHARED, &ch))
		return false;
	ok = two_lanes(sends_groups, NULL);
	pl_chan_put(ch);
	return ok && !bad;
}

/* ---- contexts: ended by the other lane while their gs wait on everything ---- */

static struct pl_ctx *now_ctx; /* r:mu */

static void noop(void *arg)
{
	(void)arg;
}

static int waits_somehow(unsigned how)
{
	uint64_t v = 0;
	struct pl_select_case k[] = {
		{ch, PL_SELECT_RECV, &v, 0},
		{ch2, PL_SELECT_SEND, &v, 0},
	};

	switch (how % 6) {
	case 0:
		return pl_chan_recv(ch, &v);
	case 1:
		return pl_select(k, 2, false) < 0 ? -ECANCELED : 0;
	case 2:
		return pl_sleep(1000000000);
	case 3:
		return pl_wait_group_wait(&senders);
	case 4:
		return pl_blocking(noop, NULL);
	default:
		return pl_chan_send(ch, &v);
	}
}

static void cuts(unsigned i)
{
	struct pl_ctx *next, *old;

	(void)pl_sleep(i % 3 * 20000);
	if (pl_ctx_with_cancel(NULL, &next))
		fault();
	(void)pl_mutex_lock(&mu);
	old = now_ctx;
	now_ctx = next;
	pl_mutex_unlock(&mu);
	pl_ctx_cancel(old, -EIO);
	pl_ctx_put(old);
}

static void is_cut(unsigned how)
{
	struct pl_ctx *outer, *mine;

	(void)pl_mutex_lock(&mu);
	mine = pl_ctx_hold(now_ctx);
	pl_mutex_unlock(&mu);
	outer = pl_ctx_enter(mine);
	(void)waits_somehow(how);
	if (pl_ctx_err(mine) && pl_ctx_cause(mine) != -EIO)
		fault();
	pl_ctx_leave(outer);
	pl_ctx_put(mine);
}

static void cut_or_cuts(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < CUTS; i++)
		if (me % GS == 0)
			cuts(i);
		else
			is_cut(me + i);
	/* those that are not through yet wait no more: the last ctx ends too, and stays */
	if (me % GS == 0 && __atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST) == 2)
		pl_ctx_cancel(now_ctx, -EIO);
}

static bool contexts(void)
{
	bool ok;

	total = bad = 0;
	if (pl_chan_make(sizeof(uint64_t), 0, PL_CHAN_SHARED, &ch) ||
	    pl_chan_make(sizeof(uint64_t), 0, PL_CHAN_SHARED, &ch2) ||
	    pl_ctx_with_cancel(NULL, &now_ctx) || pl_wait_group_add(&senders, 1))
		return false;
	ok = two_lanes(cut_or_cuts, NULL);
	pl_ctx_put(now_ctx);
	pl_chan_put(ch);
	pl_chan_put(ch2);
	return pl_wait_group_done(&senders) == 0 && ok && !bad;
}

/* ---- the pool ---- */

static void adds_one(void *arg)
{
	++*(uint64_t *)arg;
}

static void calls(void *arg)
{
	uint64_t n = 0;

	(void)arg;
	for (unsigned i = 0; i < ROUNDS / 4; i++)
		if (pl_blocking(adds_one, &n) || n != i + 1)
			fault();
}

static bool pool(void)
{
	bad = 0;
	return two_lanes(calls, NULL) && !bad;
}

static bool unbuffered(void)
{
	return channel(0);
}

static bool buffered(void)
{
	return channel(3);
}

int main(void)
{
	static const struct {
		bool (*test)(void);
		const char *name, *name_movable;
	} all[] = {
		{unbuffered, "unbuffered channel", "unbuffered channel, movable gs"},
		{buffered, "buffered channel", "buffered channel, movable gs"},
		{selects, "select against select", "select against select, movable gs"},
		{thread_without_lane, "channel from a thread without lane",
		 "channel from a thread without lane, movable gs"},
		{locking, "mutex, rwmutex, condition and once guard plain data",
		 "mutex, rwmutex, condition and once guard plain data, movable gs"},
		{groups, "wait group on the waiter's stack",
		 "wait group on the waiter's stack, movable gs"},
		{contexts, "contexts ended by another lane",
		 "contexts ended by another lane, movable gs"},
		{pool, "calls on the pool", "calls on the pool, movable gs"},
	};
	const unsigned n = sizeof(all) / sizeof(all[0]);

	printf("1..%u\n", 2 * n);
	for (unsigned i = 0; i < n; i++)
		result(all[i].test(), all[i].name);
	/* the same by gs that go from lane to lane */
	movable = true;
	for (unsigned i = 0; i < n; i++)
		result(all[i].test(), all[i].name_movable);
	return 0;
}
