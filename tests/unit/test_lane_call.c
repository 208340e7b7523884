/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls on another lane, and how the ctx of who calls ends them. Two virtual lanes turned by
 * hand. */
#include "poller_env.h"

#include <errno.h>

#include <parklane/ctx.h>
#include <parklane/go.h>

#include "poller/group.h"
#include "poller/lane_call.h"

struct duo {
	struct env e[2];
	struct lane_group *grp;
	struct pl_ctx *ctx;
	unsigned calls; /* on lane 1 */
	int ret;
	bool back;
};

static void duo_init(struct duo *d)
{
	*d = (struct duo){.calls = 0};
	cr_assert_eq(lane_group_create(2, &d->grp), 0);
	for (unsigned i = 0; i < 2; i++) {
		env_init(&d->e[i], true);
		lane_join(d->e[i].lane, d->grp, i);
	}
	cr_assert_eq(pl_ctx_with_cancel(NULL, &d->ctx), 0);
}

static void duo_fini(struct duo *d, unsigned first)
{
	env_fini(&d->e[first]);
	env_fini(&d->e[!first]);
	lane_group_destroy(d->grp);
	pl_ctx_put(d->ctx);
}

static int called(struct lane *to, void *arg)
{
	struct duo *d = arg;

	cr_assert_eq(to, d->e[1].lane);
	d->calls++;
	return -ENOBUFS;
}

static void calls(void *arg)
{
	struct duo *d = arg;

	d->ret = lane_call(d->e[1].lane, called, d);
	d->back = true;
}

static void calls_in_ctx(void *arg)
{
	struct duo *d = arg;

	(void)pl_ctx_enter(pl_ctx_hold(d->ctx));
	calls(arg);
}

static void (*const how[])(void *arg) = {calls, calls_in_ctx};

Test(lane_call, test_lane_call_brings_the_result_in_a_ctx_and_outside)
{
	for (unsigned i = 0; i < ARRAY_SIZE(how); i++) {
		struct duo d;

		duo_init(&d);
		env_go(&d.e[0], how[i], &d);
		env_turns(&d.e[0], 2);
		cr_assert_not(d.back);
		env_turns(&d.e[1], 1);
		cr_assert_eq(d.calls, 1);
		env_turns(&d.e[0], 1);
		cr_assert(d.back);
		cr_assert_eq(d.ret, -ENOBUFS);
		duo_fini(&d, 0);
	}
}

Test(lane_call, test_lane_call_ctx_ends_before_it_is_begun_and_it_never_is)
{
	struct duo d;

	duo_init(&d);
	env_go(&d.e[0], calls_in_ctx, &d);
	env_turns(&d.e[0], 1);
	pl_ctx_cancel(d.ctx, 0);
	env_turns(&d.e[0], 2);
	cr_assert(d.back, "lane 1 has not turned");
	cr_assert_eq(d.ret, -ECANCELED);
	env_turns(&d.e[1], 2);
	cr_assert_eq(d.calls, 0);
	d.back = false;
	env_go(&d.e[0], calls_in_ctx, &d);
	env_turns(&d.e[0], 1);
	cr_assert(d.back && d.ret == -ECANCELED, "and the next one not even sent");
	env_turns(&d.e[1], 1);
	cr_assert_eq(d.calls, 0);
	duo_fini(&d, 0);
}

Test(lane_call, test_lane_call_ctx_ends_after_it_is_done_and_the_result_stays)
{
	struct duo d;

	duo_init(&d);
	env_go(&d.e[0], calls_in_ctx, &d);
	env_turns(&d.e[0], 1);
	env_turns(&d.e[1], 1);
	pl_ctx_cancel(d.ctx, 0);
	env_turns(&d.e[0], 2);
	cr_assert(d.back);
	cr_assert_eq(d.ret, -ENOBUFS);
	duo_fini(&d, 0);
}

/* Sent, given up, or done and not told: whichever lane is the first to end, ASan finds nothing
 * left. */
Test(lane_call, test_lane_call_lanes_end_amid_it)
{
	for (unsigned i = 0; i < 6; i++) {
		struct duo d;

		duo_init(&d);
		env_go(&d.e[0], calls_in_ctx, &d);
		env_turns(&d.e[0], 1);
		if (i / 2 == 1)
			env_turns(&d.e[1], 1);
		if (i / 2 == 2) {
			pl_ctx_cancel(d.ctx, 0);
			env_turns(&d.e[0], 2);
		}
		duo_fini(&d, i % 2);
		cr_assert_eq(d.calls, i / 2 == 1);
	}
}

static void nothing(void *arg)
{
	(*(unsigned *)arg)++;
}

static void goes_on_in_ctx(void *arg)
{
	struct duo *d = arg;

	(void)pl_ctx_enter(pl_ctx_hold(d->ctx));
	d->ret = pl_go_on(1, nothing, &d->calls);
	d->back = true;
}

Test(lane_call, test_go_on_ctx_ends_while_the_lane_is_held_nothing_is_started)
{
	struct duo d;

	duo_init(&d);
	env_go(&d.e[0], goes_on_in_ctx, &d);
	env_turns(&d.e[0], 1);
	pl_ctx_cancel(d.ctx, 0);
	env_turns(&d.e[0], 2);
	cr_assert(d.back);
	cr_assert_eq(d.ret, -ECANCELED);
	env_turns(&d.e[1], 3);
	cr_assert_eq(d.calls, 0);
	duo_fini(&d, 0);
}
