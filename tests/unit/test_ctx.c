/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cancellation contexts on virtual lanes: the tree, deadlines, and that the end of a ctx reaches
 * a parked read on local and locked pds, a sleep, and gs of another lane.
 */
#include "poller_pd_env.h"

#include <errno.h>

#include <parklane/ctx.h>
#include <parklane/go.h>

static struct pl_ctx *with_cancel(struct pl_ctx *parent)
{
	struct pl_ctx *c;

	cr_assert_eq(pl_ctx_with_cancel(parent, &c), 0);
	return c;
}

/* ---- the tree ---- */

Test(ctx, test_ctx_cancel_reaches_all_below_and_nothing_above)
{
	struct pl_ctx *root = with_cancel(NULL), *a = with_cancel(root), *b = with_cancel(root);
	struct pl_ctx *a1 = with_cancel(a), *a2 = with_cancel(a), *late;

	cr_assert_eq(pl_ctx_err(a1), 0);
	cr_assert_eq(pl_ctx_cause(a1), 0);
	pl_ctx_cancel(a, -EIO);
	cr_assert_eq(pl_ctx_err(root), 0);
	cr_assert_eq(pl_ctx_err(b), 0);
	cr_assert_eq(pl_ctx_err(a), -ECANCELED);
	cr_assert_eq(pl_ctx_err(a1), -ECANCELED);
	cr_assert_eq(pl_ctx_cause(a2), -EIO);
	pl_ctx_cancel(a, -EPERM);
	cr_assert_eq(pl_ctx_cause(a), -EIO, "the first one counts");
	late = with_cancel(a);
	cr_assert_eq(pl_ctx_cause(late), -EIO, "born ended");
	pl_ctx_cancel(root, 0);
	cr_assert_eq(pl_ctx_cause(b), -ECANCELED);
	cr_assert_eq(pl_ctx_cause(a1), -EIO);
	/* children outlive the caller's reference of their parent */
	pl_ctx_put(root);
	pl_ctx_put(a);
	pl_ctx_put(a2);
	pl_ctx_put(late);
	pl_ctx_put(a1);
	pl_ctx_put(b);
}

Test(ctx, test_ctx_background_never_ends)
{
	pl_ctx_cancel(NULL, 1);
	cr_assert_eq(pl_ctx_err(NULL), 0);
	cr_assert_eq(pl_ctx_cause(NULL), 0);
	cr_assert_eq(pl_ctx_deadline(NULL), 0);
	cr_assert_null(pl_ctx_hold(NULL));
	pl_ctx_put(NULL);
}

static struct pl_ctx *ctx[4];

static void makes_deadlines(void *arg)
{
	uint64_t now = pl_now();

	(void)arg;
	cr_assert_eq(pl_ctx_with_deadline(NULL, now + 100, &ctx[0]), 0);
	cr_assert_eq(pl_ctx_with_deadline(ctx[0], now + 500, &ctx[1]), 0);
	cr_assert_eq(pl_ctx_with_deadline(ctx[0], now + 50, &ctx[2]), 0);
	cr_assert_eq(pl_ctx_with_deadline(ctx[0], 0, &ctx[3]), 0);
	cr_assert_eq(pl_ctx_deadline(ctx[1]), now + 100, "the parent's is earlier");
	cr_assert_eq(pl_ctx_deadline(ctx[2]), now + 50);
	cr_assert_eq(pl_ctx_deadline(ctx[3]), now + 100);
}

static void puts_all(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ARRAY_SIZE(ctx); i++)
		pl_ctx_put(ctx[i]);
}

Test(ctx, test_ctx_deadline_ends_it_and_all_below_with_etime)
{
	struct env e;

	cr_assert_eq(pl_ctx_with_deadline(NULL, 5, &ctx[0]), -EXDEV);
	env_init(&e, true);
	env_go(&e, makes_deadlines, NULL);
	env_turns(&e, 1);
	e.now += 50;
	env_turns(&e, 1);
	cr_assert_eq(pl_ctx_err(ctx[2]), -ETIME);
	cr_assert_eq(pl_ctx_err(ctx[0]) | pl_ctx_err(ctx[1]) | pl_ctx_err(ctx[3]), 0);
	e.now += 49;
	env_turns(&e, 1);
	cr_assert_eq(pl_ctx_err(ctx[0]), 0);
	e.now += 1;
	env_turns(&e, 1);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(pl_ctx_err(ctx[i]), -ETIME);
		cr_assert_eq(pl_ctx_cause(ctx[i]), -ETIME);
	}
	env_go(&e, puts_all, NULL);
	env_turns(&e, 1);
	cr_assert_eq(e.lane->timers.n, 0);
	env_fini(&e);
}

static void deadline_now(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ctx_with_deadline(NULL, pl_now(), &ctx[0]), 0);
	cr_assert_eq(pl_ctx_err(ctx[0]), -ETIME);
	(void)pl_ctx_enter(ctx[0]);
	cr_assert_eq(pl_sleep(5), -ETIME);
	pl_ctx_leave(NULL);
	pl_ctx_put(ctx[0]);
}

Test(ctx, test_ctx_deadline_in_the_past_is_born_ended)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, deadline_now, NULL);
	env_turns(&e, 1);
	cr_assert_eq(lane_nr_g(e.lane), 0);
	env_fini(&e);
}

/* ---- the last reference of one with a timer, on another lane ---- */

static void makes_one(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ctx_with_deadline(NULL, pl_now() + 100, &ctx[0]), 0);
}

static void puts_one(void *arg)
{
	(void)arg;
	pl_ctx_put(ctx[0]);
}

Test(ctx, test_ctx_put_elsewhere_frees_its_timer_at_home)
{
	struct env a, b;

	env_init(&a, true);
	env_init(&b, true);
	env_go(&a, makes_one, NULL);
	env_turns(&a, 1);
	env_go(&b, puts_one, NULL);
	env_turns(&b, 1);
	cr_assert_eq(a.lane->timers.n, 1);
	env_turns(&a, 1);
	cr_assert_eq(a.lane->timers.n, 0);
	env_fini(&b);
	env_fini(&a);
}

/* ---- what it reaches ---- */

struct waits_in {
	struct pl_ctx *ctx;
	int err[4];
	unsigned n;
};

static void note(struct waits_in *w, int err)
{
	w->err[w->n++] = err;
}

static void reads_in(void *arg)
{
	struct waits_in *w = arg;
	struct pl_ctx *outer = pl_ctx_enter(w->ctx);

	cr_assert_null(outer);
	cr_assert_eq(pl_ctx_self(), w->ctx);
	note(w, netpoll_wait(pd, NETPOLL_READ));
	note(w, netpoll_reset(pd, NETPOLL_READ));
	note(w, netpoll_wait(pd, NETPOLL_READ));
	pl_ctx_leave(outer);
	cr_assert_null(pl_ctx_self());
	note(w, netpoll_wait(pd, NETPOLL_READ));
}

BOTH(ctx_ends_a_parked_read_and_later_ones_until_it_is_left)
{
	struct waits_in w = {.ctx = with_cancel(NULL)};

	pd = open_pd(e);
	env_go(e, reads_in, &w);
	env_turns(e, 1);
	cr_assert_eq(w.n, 0);
	cr_assert_eq(e->fake.waiters, 1);
	pl_ctx_cancel(w.ctx, 0);
	env_turns(e, 2);
	cr_assert_eq(w.n, 3);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(w.err[i], -ECANCELED);
	cr_assert_eq(e->fake.waiters, 1);
	netpoll_ready(pd, NETPOLL_READ);
	env_turns(e, 1);
	cr_assert(w.n == 4 && w.err[3] == 0);
	cr_assert_eq(e->fake.waiters, 0);
	pl_ctx_put(w.ctx);
	close_pd(pd);
}

static void reads_once_in(void *arg)
{
	struct waits_in *w = arg;

	(void)pl_ctx_enter(w->ctx);
	note(w, netpoll_wait(pd, NETPOLL_READ));
	/* ends inside: the g's end leaves it */
}

BOTH(ctx_after_the_event_does_not_take_it_back)
{
	struct waits_in w = {.ctx = with_cancel(NULL)};

	pd = open_pd(e);
	env_go(e, reads_once_in, &w);
	env_turns(e, 1);
	netpoll_ready(pd, NETPOLL_READ);
	pl_ctx_cancel(w.ctx, 0);
	env_turns(e, 1);
	cr_assert(w.n == 1 && w.err[0] == 0);
	cr_assert_eq(e->fake.waiters, 0);
	pl_ctx_put(w.ctx);
	close_pd(pd);
}

BOTH(ctx_close_of_the_fd_is_told_first)
{
	struct waits_in w = {.ctx = with_cancel(NULL)};

	pd = open_pd(e);
	netpoll_evict(pd);
	pl_ctx_cancel(w.ctx, 0);
	env_go(e, reads_once_in, &w);
	env_turns(e, 1);
	cr_assert(w.n == 1 && w.err[0] == -EBADF);
	pl_ctx_put(w.ctx);
	close_pd(pd);
}

BOTH(ctx_deadline_of_the_fd_moved_in_a_ctx_waits_on)
{
	struct waits_in w = {.ctx = with_cancel(NULL)};

	pd = open_pd(e);
	env_go(e, reads_once_in, &w);
	env_turns(e, 1);
	netpoll_set_deadline(pd, e->now, NETPOLL_READ);
	netpoll_set_deadline(pd, 0, NETPOLL_READ);
	env_turns(e, 2);
	cr_assert_eq(w.n, 0, "R10: woken, no error any more");
	netpoll_ready(pd, NETPOLL_READ);
	env_turns(e, 1);
	cr_assert(w.n == 1 && w.err[0] == 0);
	pl_ctx_put(w.ctx);
	close_pd(pd);
}

BOTH(ctx_ended_from_another_lane)
{
	struct waits_in w = {.ctx = with_cancel(NULL)};

	pd = open_pd(e);
	env_go(e, reads_once_in, &w);
	env_turns(e, 1);
	/* this thread is in no lane's turn now: a message each, of which one is enough */
	pl_ctx_cancel(w.ctx, 0);
	cr_assert_eq(w.n, 0);
	env_turns(e, 1);
	cr_assert(w.n == 1 && w.err[0] == -ECANCELED);
	pl_ctx_put(w.ctx);
	close_pd(pd);
}

/* ---- sleep, and cancel by a g of the lane ---- */

static int slept;
static uint64_t slept_until;

static void sleeps_in(void *arg)
{
	(void)pl_ctx_enter(arg);
	slept = pl_sleep(1000);
	slept_until = pl_now();
}

static void cancels(void *arg)
{
	pl_ctx_cancel(arg, 0);
}

Test(ctx, test_ctx_ends_a_sleep_early_and_the_timer_is_gone)
{
	struct pl_ctx *c = with_cancel(NULL);
	struct env e;
	int64_t timeout;

	env_init(&e, true);
	slept = 1;
	env_go(&e, sleeps_in, c);
	env_turns(&e, 1);
	e.now += 10;
	env_go(&e, cancels, c);
	env_turns(&e, 2);
	cr_assert_eq(slept, -ECANCELED);
	cr_assert_eq(slept_until, 1010);
	cr_assert_eq(lane_prepare_sleep(e.lane, &timeout), 0);
	cr_assert_eq(timeout, -1);
	pl_ctx_put(c);
	env_fini(&e);
}

Test(ctx, test_ctx_that_lives_lets_a_sleep_be)
{
	struct pl_ctx *c = with_cancel(NULL);
	struct env e;

	env_init(&e, true);
	slept = 1;
	env_go(&e, sleeps_in, c);
	env_turns(&e, 1);
	e.now += 1000;
	env_turns(&e, 1);
	cr_assert_eq(slept, 0);
	pl_ctx_put(c);
	env_fini(&e);
}

/* ---- nesting, inheritance ---- */

static void nests(void *arg)
{
	struct pl_ctx *outer = arg, *inner = with_cancel(outer), *o, *i;

	o = pl_ctx_enter(outer);
	i = pl_ctx_enter(inner);
	cr_assert_eq(i, outer);
	pl_ctx_cancel(inner, 0);
	cr_assert_eq(pl_sleep(1), -ECANCELED);
	pl_ctx_leave(i);
	cr_assert_eq(pl_sleep(0), 0, "the outer one lives");
	pl_ctx_cancel(outer, 0);
	i = pl_ctx_enter(NULL);
	cr_assert_eq(pl_sleep(0), 0, "shielded");
	pl_ctx_leave(i);
	cr_assert_eq(pl_sleep(0), -ECANCELED);
	pl_ctx_leave(o);
	cr_assert_eq(pl_sleep(0), 0);
	pl_ctx_put(inner);
	slept = 7;
}

Test(ctx, test_ctx_nests_and_background_shields)
{
	struct pl_ctx *c = with_cancel(NULL);
	struct env e;

	env_init(&e, true);
	env_go(&e, nests, c);
	env_turns(&e, 5);
	cr_assert_eq(slept, 7);
	pl_ctx_put(c);
	env_fini(&e);
}

static struct pl_ctx *seen[2];

static void looks(void *arg)
{
	seen[(uintptr_t)arg] = pl_ctx_self();
	(void)pl_sleep(1000000);
}

static void starts_two(void *arg)
{
	(void)pl_ctx_enter(arg);
	cr_assert_eq(pl_go(looks, (void *)0), 0);
	cr_assert_eq(pl_go_ctx(arg, looks, (void *)1), 0);
	pl_ctx_leave(NULL);
	pl_ctx_put(arg);
}

Test(ctx, test_ctx_is_not_inherited_but_by_go_ctx_which_holds_it)
{
	struct pl_ctx *c = with_cancel(NULL);
	struct env e;

	env_init(&e, true);
	seen[0] = c;
	env_go(&e, starts_two, c);
	env_turns(&e, 3);
	cr_assert_null(seen[0]);
	cr_assert_eq(seen[1], c);
	cr_assert_eq(lane_nr_g(e.lane), 2);
	pl_ctx_cancel(c, 0);
	env_turns(&e, 2);
	cr_assert_eq(lane_nr_g(e.lane), 1, "the one in it woke and ended");
	env_fini(&e);
}

static void starts_and_puts(void *arg)
{
	struct pl_ctx *c;

	(void)arg;
	cr_assert_eq(pl_ctx_with_deadline(NULL, pl_now() + 100, &c), 0);
	cr_assert_eq(pl_go_ctx(c, looks, (void *)1), 0);
	pl_ctx_put(c);
}

/* The leak checker of the sanitizer build is what looks here. */
Test(ctx, test_ctx_last_held_by_a_g_that_is_dropped_goes_with_it)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, starts_and_puts, NULL);
	env_turns(&e, 2);
	cr_assert_eq(e.lane->timers.n, 2);
	env_fini(&e);
}

Test(ctx, test_ctx_outlives_a_lane_that_is_destroyed_with_gs_in_it)
{
	struct pl_ctx *c = with_cancel(NULL);
	struct env e;

	env_init(&e, true);
	env_go(&e, sleeps_in, c);
	env_turns(&e, 1);
	env_fini(&e);
	pl_ctx_cancel(c, 0);
	pl_ctx_put(c);
}
