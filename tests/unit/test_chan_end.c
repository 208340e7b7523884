/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The last reference to a channel goes while those who waited have not run yet: local ones and
 * shared ones, on virtual lanes. That nobody looks at what is freed is ASan's to judge.
 */
#include "poller_env.h"

#include <errno.h>

#include <parklane/chan.h>
#include <parklane/ctx.h>

static struct pl_chan *c;
static unsigned chan_flags;

/* One requirement, for both kinds of channel. */
#define BOTH(name)                                                                                 \
	static void name(struct env *e);                                                           \
	Test(chan_end_local, test_chan_##name)                                                     \
	{                                                                                          \
		struct env e;                                                                      \
		chan_flags = 0;                                                                    \
		env_init(&e, true);                                                                \
		name(&e);                                                                          \
		env_fini(&e);                                                                      \
	}                                                                                          \
	Test(chan_end_shared, test_chan_##name)                                                    \
	{                                                                                          \
		struct env e;                                                                      \
		chan_flags = PL_CHAN_SHARED;                                                       \
		env_init(&e, true);                                                                \
		name(&e);                                                                          \
		env_fini(&e);                                                                      \
	}                                                                                          \
	static void name(struct env *e)

static void make_in_g(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_chan_make(8, 0, chan_flags, &c), 0);
}

static void make(struct env *e)
{
	env_go(e, make_in_g, NULL);
	env_turns(e, 1);
}

struct call {
	uint64_t v;
	int ret;
	bool done;
	struct pl_ctx *ctx;
};

static void receives(void *arg)
{
	struct call *k = arg;

	(void)pl_ctx_enter(k->ctx);
	k->ret = pl_chan_recv(c, &k->v);
	k->done = true;
}

static void start(struct env *e, void (*fn)(void *arg), struct call *k)
{
	env_go(e, fn, k);
	env_turns(e, 1);
}

static void make_ctx(struct pl_ctx **ret)
{
	cr_assert_eq(pl_ctx_with_cancel(NULL, ret), 0);
}

BOTH(ctx_ends_then_put_frees_when_the_waiter_has_left)
{
	struct call r = {.v = 0};

	make_ctx(&r.ctx);
	make(e);
	start(e, receives, &r);
	pl_ctx_cancel(r.ctx, 0); /* by no lane: the cut is on its way */
	pl_chan_put(c);
	env_turns(e, 2);
	cr_assert(r.done && r.ret == -ECANCELED);
	pl_ctx_put(r.ctx);
}

static void cancels_sends_puts(void *arg)
{
	uint64_t v = 1;

	pl_ctx_cancel(arg, 0);
	cr_assert_eq(pl_chan_try_send(c, &v), -EAGAIN,
		     "throws the one who was cut out of the queue");
	pl_chan_put(c);
}

BOTH(ctx_ends_then_send_then_put_frees_when_the_waiter_has_left)
{
	struct call r[2] = {{.v = 0}};

	make_ctx(&r[0].ctx);
	r[1].ctx = r[0].ctx;
	make(e);
	start(e, receives, &r[0]);
	start(e, receives, &r[1]);
	env_go(e, cancels_sends_puts, r[0].ctx);
	env_turns(e, 2);
	for (int i = 0; i < 2; i++)
		cr_assert(r[i].done && r[i].ret == -ECANCELED);
	pl_ctx_put(r[0].ctx);
}

static void serves_and_puts(void *arg)
{
	uint64_t v = 1;

	(void)arg;
	cr_assert_eq(pl_chan_send(c, &v), 0);
	pl_chan_put(c);
}

BOTH(served_waiter_dropped_with_its_lane_looks_at_no_freed_channel)
{
	struct call r = {.v = 0};
	struct lane *was;
	struct env other;

	(void)e;
	env_init(&other, true);
	make(&other);
	start(&other, receives, &r);
	was = lane_enter(other.lane);
	serves_and_puts(NULL);
	(void)lane_enter(was);
	env_fini(&other);
	cr_assert(!r.done, "its turn did not come");
}
