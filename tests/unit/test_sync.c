/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mutex, wait group and once on virtual lanes, one and two: order, hand-over, and the end of a
 * waiter's ctx.
 */
#include "poller_env.h"

#include <errno.h>
#include <limits.h>

#include <parklane/ctx.h>
#include <parklane/sync.h>

static struct pl_ctx *ctx;
static int order[16], nr;

static void note(int v)
{
	cr_assert_lt(nr, (int)ARRAY_SIZE(order));
	order[nr++] = v;
}

static void fresh_ctx(void)
{
	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
}

/* ---- mutex ---- */

static struct pl_mutex m;

static void locks_and_notes(void *arg)
{
	cr_assert_eq(pl_mutex_lock(&m), 0);
	note((int)(intptr_t)arg);
	pl_yield();
	pl_mutex_unlock(&m);
}

Test(sync, test_mutex_lock_and_unlock_alone)
{
	cr_assert_eq(pl_mutex_lock(&m), 0, "no goroutine is needed where nobody waits");
	cr_assert_eq(pl_mutex_try_lock(&m), -EBUSY);
	cr_assert_eq(pl_mutex_lock(&m), -EXDEV, "it would have to wait");
	pl_mutex_unlock(&m);
	cr_assert_eq(pl_mutex_try_lock(&m), 0);
	pl_mutex_unlock(&m);
	cr_assert_eq(m.word, 0);
}

Test(sync, test_mutex_unlock_of_an_unlocked_one_is_fatal, .signal = BUG_SIGNAL)
{
	pl_mutex_unlock(&m);
}

Test(sync, test_mutex_is_handed_over_in_order)
{
	struct env e;

	env_init(&e, true);
	for (intptr_t i = 0; i < 5; i++)
		env_go(&e, locks_and_notes, (void *)i);
	for (int t = 0; t < 20; t++)
		env_turns(&e, 1);
	cr_assert_eq(nr, 5);
	for (int i = 0; i < 5; i++)
		cr_assert_eq(order[i], i);
	cr_assert_eq(m.word, 0);
	env_fini(&e);
}

Test(sync, test_mutex_newcomer_does_not_overtake_a_waiter)
{
	struct env e;

	env_init(&e, true);
	cr_assert_eq(pl_mutex_lock(&m), 0);
	env_go(&e, locks_and_notes, (void *)1);
	env_turns(&e, 1);
	pl_mutex_unlock(&m);
	cr_assert_eq(pl_mutex_try_lock(&m), -EBUSY, "it is the waiter's, who has not run yet");
	env_turns(&e, 3);
	cr_assert_eq(nr, 1);
	cr_assert_eq(m.word, 0);
	env_fini(&e);
}

Test(sync, test_mutex_between_lanes)
{
	struct env e[2];

	env_init(&e[0], true);
	env_init(&e[1], true);
	for (intptr_t i = 0; i < 8; i++)
		env_go(&e[i & 1], locks_and_notes, (void *)i);
	for (int t = 0; t < 40; t++)
		env_turns(&e[t & 1], 1);
	cr_assert_eq(nr, 8);
	cr_assert_eq(m.word, 0);
	env_fini(&e[1]);
	env_fini(&e[0]);
}

static void locks_in_ctx(void *arg)
{
	(void)arg;
	(void)pl_ctx_enter(ctx);
	note(pl_mutex_lock(&m));
	note(pl_mutex_lock(&m));
	pl_ctx_leave(NULL);
}

Test(sync, test_mutex_ctx_ends_one_waiter_the_next_gets_it)
{
	struct env e;

	fresh_ctx();
	env_init(&e, true);
	cr_assert_eq(pl_mutex_lock(&m), 0);
	env_go(&e, locks_in_ctx, NULL);
	env_go(&e, locks_and_notes, (void *)5);
	env_turns(&e, 1);
	pl_ctx_cancel(ctx, 0);
	env_turns(&e, 2);
	cr_assert(nr == 2 && order[0] == -ECANCELED && order[1] == -ECANCELED);
	pl_mutex_unlock(&m);
	env_turns(&e, 3);
	cr_assert(nr == 3 && order[2] == 5);
	cr_assert_eq(m.word, 0);
	pl_ctx_put(ctx);
	env_fini(&e);
}

Test(sync, test_mutex_last_waiter_cut_leaves_it_free)
{
	struct env e;

	fresh_ctx();
	env_init(&e, true);
	cr_assert_eq(pl_mutex_lock(&m), 0);
	env_go(&e, locks_in_ctx, NULL);
	env_turns(&e, 1);
	pl_ctx_cancel(ctx, 0);
	env_turns(&e, 2);
	pl_mutex_unlock(&m);
	cr_assert_eq(m.word, 0);
	cr_assert_null(m.q.head);
	pl_ctx_put(ctx);
	env_fini(&e);
}

static void locks_free_in_ended(void *arg)
{
	(void)arg;
	pl_ctx_cancel(ctx, 0);
	(void)pl_ctx_enter(ctx);
	note(pl_mutex_lock(&m));
	pl_mutex_unlock(&m);
}

Test(sync, test_mutex_that_is_free_can_be_had_in_an_ended_ctx)
{
	struct env e;

	fresh_ctx();
	env_init(&e, true);
	env_go(&e, locks_free_in_ended, NULL);
	env_turns(&e, 1);
	cr_assert(nr == 1 && order[0] == 0);
	pl_ctx_put(ctx);
	env_fini(&e);
}

/* Granted by the one lane, cut by the other: it has the mutex. */
Test(sync, test_mutex_grant_before_the_ctx_wins)
{
	struct env e;

	fresh_ctx();
	env_init(&e, true);
	cr_assert_eq(pl_mutex_lock(&m), 0);
	env_go(&e, locks_in_ctx, NULL);
	env_turns(&e, 1);
	pl_mutex_unlock(&m);
	pl_ctx_cancel(ctx, 0);
	env_turns(&e, 3);
	cr_assert_eq(order[0], 0);
	cr_assert_eq(order[1], -ECANCELED, "the second lock of its own");
	pl_mutex_unlock(&m);
	pl_ctx_put(ctx);
	env_fini(&e);
}

/* ---- wait group ---- */

static struct pl_wait_group wg;

static void waits(void *arg)
{
	(void)pl_ctx_enter(arg);
	note(pl_wait_group_wait(&wg));
}

static void works(void *arg)
{
	pl_sleep((intptr_t)arg);
	cr_assert_eq(pl_wait_group_done(&wg), 0);
}

Test(sync, test_wait_group_wakes_all_waiters_at_zero)
{
	struct env e[2];

	env_init(&e[0], true);
	env_init(&e[1], true);
	cr_assert_eq(pl_wait_group_add(&wg, 3), 0);
	for (intptr_t i = 0; i < 4; i++)
		env_go(&e[i & 1], waits, NULL);
	for (intptr_t i = 1; i <= 3; i++)
		env_go(&e[i & 1], works, (void *)(10 * i));
	for (int t = 0; t < 6; t++) {
		env_turns(&e[0], 1);
		env_turns(&e[1], 1);
		e[0].now += 5;
		e[1].now += 5;
		cr_assert_eq(nr, 0);
	}
	for (int t = 0; t < 3; t++) {
		env_turns(&e[0], 1);
		env_turns(&e[1], 1);
	}
	cr_assert_eq(nr, 4);
	env_go(&e[0], waits, NULL);
	env_turns(&e[0], 1);
	cr_assert_eq(nr, 5, "nothing to wait for");
	env_fini(&e[1]);
	env_fini(&e[0]);
}

Test(sync, test_wait_group_refuses_less_than_none_and_overflow)
{
	cr_assert_eq(pl_wait_group_done(&wg), -EINVAL);
	cr_assert_eq(pl_wait_group_add(&wg, INT_MIN), -EINVAL);
	cr_assert_eq(pl_wait_group_add(&wg, INT_MAX), 0);
	cr_assert_eq(pl_wait_group_add(&wg, 1), -EINVAL);
	cr_assert_eq(pl_wait_group_wait(&wg), -EXDEV);
	cr_assert_eq(pl_wait_group_add(&wg, -INT_MAX), 0);
	cr_assert_eq(pl_wait_group_wait(&wg), 0);
}

Test(sync, test_wait_group_ctx_ends_the_wait)
{
	struct env e;

	fresh_ctx();
	env_init(&e, true);
	cr_assert_eq(pl_wait_group_add(&wg, 1), 0);
	env_go(&e, waits, ctx);
	env_go(&e, waits, NULL);
	env_turns(&e, 1);
	pl_ctx_cancel(ctx, 0);
	env_turns(&e, 2);
	cr_assert(nr == 1 && order[0] == -ECANCELED);
	cr_assert_eq(pl_wait_group_done(&wg), 0);
	env_turns(&e, 2);
	cr_assert(nr == 2 && order[1] == 0);
	pl_ctx_put(ctx);
	env_fini(&e);
}

/* ---- once ---- */

static struct pl_once once;

static void does(void *arg)
{
	note((int)(intptr_t)arg);
	pl_yield();
	pl_yield();
}

static void does_once(void *arg)
{
	cr_assert_eq(pl_once_do(&once, does, arg), 0);
	note(100);
}

Test(sync, test_once_runs_the_first_and_the_others_wait_for_it)
{
	struct env e;

	env_init(&e, true);
	for (intptr_t i = 0; i < 3; i++)
		env_go(&e, does_once, (void *)i);
	env_turns(&e, 1);
	cr_assert(nr == 1 && order[0] == 0);
	env_turns(&e, 6);
	cr_assert_eq(nr, 4);
	for (int i = 1; i < 4; i++)
		cr_assert_eq(order[i], 100);
	cr_assert_eq(pl_once_do(&once, does, NULL), 0, "anywhere, once it is done");
	env_fini(&e);
}
