/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What lanes of a group leave in each other's hands, and that none of it is touched once it is
 * gone: timers of gs that are not at home, ctxs of another lane, places in channels, cuts that
 * are on their way. Two virtual lanes turned by hand and destroyed in either order; the
 * sanitizer builds look for leaks.
 */
#include "poller_env.h"

#include <errno.h>

#include <parklane/chan.h>
#include <parklane/ctx.h>
#include <parklane/go.h>
#include <parklane/sync.h>

#include "poller/group.h"

struct duo {
	struct env e[2];
	struct lane_group *grp;
};

static struct duo d;

static void duo_open(void)
{
	cr_assert_eq(lane_group_create(2, &d.grp), 0);
	for (unsigned i = 0; i < 2; i++) {
		env_init(&d.e[i], false);
		lane_join(d.e[i].lane, d.grp, i);
	}
}

static void duo_close(unsigned first)
{
	env_fini(&d.e[first]);
	env_fini(&d.e[!first]);
	lane_group_destroy(d.grp);
}

/* go_stolen - a movable g of lane 0 that lane 1, which has nothing else to run, takes and runs. */
static void go_stolen(void (*fn)(void *arg), void *arg)
{
	env_turns(&d.e[1], 1);
	cr_assert_eq(lane_go_movable(d.e[0].lane, fn, arg, "stolen"), 0);
	env_turns(&d.e[1], 2);
	cr_assert_eq(mrunq_len(&d.e[0].lane->sched.m), 0);
}

static unsigned woken;

static void naps(void *arg)
{
	(void)pl_sleep((int64_t)(uintptr_t)arg);
	woken++;
}

static struct pl_ctx *ctx;

static void cancels(void *arg)
{
	(void)arg;
	pl_ctx_cancel(ctx, 0);
}

/* ---- a cut sleep ---- */

static void naps_in_ctx(void *arg)
{
	(void)arg;
	(void)pl_ctx_enter(ctx);
	cr_assert_eq(pl_sleep(5000), -ECANCELED);
}

Test(lane_end, test_sched_cut_sleep_elsewhere_takes_no_timer_home)
{
	duo_open();
	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
	for (uintptr_t i = 0; i < 8; i++)
		env_go(&d.e[1], naps, (void *)(100 + i));
	go_stolen(naps_in_ctx, NULL);
	env_go(&d.e[1], cancels, NULL);
	env_turns(&d.e[1], 2);
	cr_assert_eq(d.e[1].lane->timers.n, 8);
	env_turns(&d.e[0], 1);
	cr_assert_eq(lane_nr_g(d.e[0].lane), 0, "its stack is home");
	env_go(&d.e[0], naps, (void *)10);
	env_turns(&d.e[0], 1);
	cr_assert_eq(d.e[0].lane->timers.n, 1);
	d.e[0].now += 10;
	env_turns(&d.e[0], 1);
	cr_assert_eq(woken, 1);
	pl_ctx_put(ctx);
	duo_close(0);
}

/* ---- a cut that comes too late ---- */

static struct g *parked;

static void parks_in_ctx(void *arg)
{
	(void)arg;
	(void)pl_ctx_enter(ctx);
	parked = sched_self();
	sched_park(NULL, NULL, WAIT_SEMA);
	pl_ctx_leave(NULL);
}

/* As if another thread cancelled, of which the lane hears by a message; and g goes on first. */
static void cancels_and_wakes(void *arg)
{
	struct lane *l = lane_self();

	(void)arg;
	lane_enter(NULL);
	pl_ctx_cancel(ctx, 0);
	lane_enter(l);
	sched_ready(parked);
}

Test(lane_end, test_sched_death_waits_for_a_cut_on_its_way)
{
	duo_open();
	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
	go_stolen(parks_in_ctx, NULL);
	env_go(&d.e[1], cancels_and_wakes, NULL);
	env_turns(&d.e[1], 1);
	env_turns(&d.e[0], 1);
	cr_assert(!mlist_empty(&d.e[1].lane->inbox));
	cr_assert_eq(lane_nr_g(d.e[0].lane), 1, "not to be used again before the message ran");
	env_turns(&d.e[1], 1);
	env_turns(&d.e[0], 1);
	cr_assert_eq(lane_nr_g(d.e[0].lane), 0);
	cr_assert_eq(parked->cutting, 0);
	pl_ctx_put(ctx);
	duo_close(0);
}

/* ---- the end ---- */

Test(lane_end, test_lane_end_with_sleepers_of_the_other_lane)
{
	for (unsigned first = 0; first < 2; first++) {
		duo_open();
		for (uintptr_t i = 0; i < 16; i++) {
			env_go(&d.e[1], naps, (void *)(2000 - i));
			go_stolen(naps, (void *)(1000 - i));
		}
		cr_assert_eq(d.e[1].lane->timers.n, 32);
		duo_close(first);
	}
}

static void makes_ctx(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ctx_with_deadline(NULL, pl_now() + 100, &ctx), 0);
}

static void naps_in_last(void *arg)
{
	struct pl_ctx *below;

	(void)arg;
	cr_assert_eq(pl_ctx_with_deadline(ctx, pl_now() + 50, &below), 0);
	pl_ctx_put(ctx);
	(void)pl_ctx_enter(below);
	pl_ctx_put(below);
	(void)pl_sleep(1000);
}

Test(lane_end, test_lane_end_drops_the_last_g_in_a_ctx_of_the_other_lane)
{
	for (unsigned i = 0; i < 4; i++) {
		duo_open();
		env_go(&d.e[i / 2], makes_ctx, NULL);
		env_turns(&d.e[i / 2], 1);
		env_go(&d.e[!(i / 2)], naps_in_last, NULL);
		env_turns(&d.e[!(i / 2)], 1);
		duo_close(i % 2);
	}
}

static void puts_ctx(void *arg)
{
	(void)arg;
	pl_ctx_put(ctx);
}

Test(lane_end, test_lane_end_frees_ctxs_that_come_home_too_late)
{
	for (unsigned first = 0; first < 2; first++) {
		duo_open();
		env_go(&d.e[0], makes_ctx, NULL);
		env_turns(&d.e[0], 1);
		env_go(&d.e[1], puts_ctx, NULL);
		env_turns(&d.e[1], 1); /* the message to lane 0 is never run */
		duo_close(first);
	}
}

/* ---- workers that were told to quit, and a stop before all have ---- */

static struct pl_chan *quit, *work;

static void works(void *arg)
{
	struct pl_select_case k[] = {{.chan = quit, .op = PL_SELECT_RECV},
				     {.chan = work, .op = PL_SELECT_RECV}};

	(void)arg;
	(void)pl_select(k, 2, false);
}

static void closes_quit(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_chan_close(quit), 0);
}

Test(lane_end, test_lane_end_with_selects_won_and_not_resumed)
{
	for (unsigned first = 0; first < 2; first++) {
		duo_open();
		cr_assert_eq(pl_chan_make(0, 0, PL_CHAN_SHARED, &quit), 0);
		cr_assert_eq(pl_chan_make(0, 0, PL_CHAN_SHARED, &work), 0);
		for (unsigned i = 0; i < 2 * SCHED_TURN_BUDGET; i++) {
			env_go(&d.e[i % 2], works, NULL);
			env_turns(&d.e[i % 2], 1);
		}
		env_go(&d.e[0], works, NULL);
		env_turns(&d.e[0], 1);
		env_go(&d.e[0], closes_quit, NULL);
		env_turns(&d.e[0], 1);
		cr_assert_gt(runq_len(&d.e[0].lane->sched.q), 0, "some have won and did not run");
		duo_close(first);
		pl_chan_put(quit);
		pl_chan_put(work);
	}
}

/* ---- locks that were handed over to gs which do not run any more ---- */

static struct pl_mutex m;
static struct pl_rwmutex rw;

static void locks(void *arg)
{
	(void)arg;
	(void)pl_mutex_lock(&m);
	cr_assert_fail("it was dropped");
}

static void reads(void *arg)
{
	(void)arg;
	(void)pl_rwmutex_rlock(&rw);
	cr_assert_fail("it was dropped");
}

static void writes(void *arg)
{
	(void)arg;
	(void)pl_rwmutex_lock(&rw);
	cr_assert_fail("it was dropped");
}

Test(lane_end, test_lane_end_with_locks_granted_and_not_resumed)
{
	static void (*const fns[])(void *arg) = {locks, reads, writes, reads, reads, writes};

	for (unsigned i = 0; i < 4; i++) {
		duo_open();
		cr_assert_eq(pl_mutex_lock(&m), 0);
		cr_assert_eq(pl_rwmutex_lock(&rw), 0);
		for (unsigned k = 0; k < 2 * ARRAY_SIZE(fns); k++) {
			env_go(&d.e[k % 2], fns[k / 2], NULL);
			env_turns(&d.e[k % 2], 1);
		}
		/* no lane turns after this: those who have them do not know */
		if (i / 2) {
			pl_mutex_unlock(&m);
			pl_rwmutex_unlock(&rw);
		}
		duo_close(i % 2);
		if (!(i / 2)) {
			pl_mutex_unlock(&m);
			pl_rwmutex_unlock(&rw);
		}
		cr_assert_eq(m.word + rw.word, 0);
		cr_assert_null(m.q.head);
		cr_assert_null(rw.q.head);
	}
}
