/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Channels on virtual lanes: what Go promises, for local and for shared ones; shared ones also
 * between two lanes that are turned by hand.
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
	Test(chan_local, test_chan_##name)                                                         \
	{                                                                                          \
		struct env e;                                                                      \
		chan_flags = 0;                                                                    \
		env_init(&e, true);                                                                \
		name(&e);                                                                          \
		env_fini(&e);                                                                      \
	}                                                                                          \
	Test(chan_shared, test_chan_##name)                                                        \
	{                                                                                          \
		struct env e;                                                                      \
		chan_flags = PL_CHAN_SHARED;                                                       \
		env_init(&e, true);                                                                \
		name(&e);                                                                          \
		env_fini(&e);                                                                      \
	}                                                                                          \
	static void name(struct env *e)

struct make {
	size_t elem_size, cap;
};

static void make_in_g(void *arg)
{
	const struct make *m = arg;

	cr_assert_eq(pl_chan_make(m->elem_size, m->cap, chan_flags, &c), 0);
}

static void make(struct env *e, size_t elem_size, size_t cap)
{
	struct make m = {elem_size, cap};

	env_go(e, make_in_g, &m);
	env_turns(e, 1);
}

/* One call in a g of its own. */
struct call {
	uint64_t v;
	int ret;
	bool done;
	struct pl_ctx *ctx;
};

static void sends(void *arg)
{
	struct call *k = arg;

	(void)pl_ctx_enter(k->ctx);
	k->ret = pl_chan_send(c, &k->v);
	k->done = true;
}

static void receives(void *arg)
{
	struct call *k = arg;

	(void)pl_ctx_enter(k->ctx);
	k->ret = pl_chan_recv(c, &k->v);
	k->done = true;
}

static void try_sends(void *arg)
{
	struct call *k = arg;

	k->ret = pl_chan_try_send(c, &k->v);
	k->done = true;
}

static void try_receives(void *arg)
{
	struct call *k = arg;

	k->ret = pl_chan_try_recv(c, &k->v);
	k->done = true;
}

static void closes(void *arg)
{
	struct call *k = arg;

	k->ret = pl_chan_close(c);
	k->done = true;
}

static void start(struct env *e, void (*fn)(void *arg), struct call *k)
{
	k->done = false;
	k->ret = 99;
	env_go(e, fn, k);
	env_turns(e, 1);
}

/* run - a call that must not park. */
static int run(struct env *e, void (*fn)(void *arg), struct call *k)
{
	start(e, fn, k);
	cr_assert(k->done);
	return k->ret;
}

static void bad_args(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_chan_make(8, 1, 2, &c), -EINVAL);
	cr_assert_eq(pl_chan_make(SIZE_MAX, 1, 0, &c), -EINVAL);
	cr_assert_eq(pl_chan_make(1, SIZE_MAX, 0, &c), -EINVAL);
	cr_assert_eq(pl_chan_make((size_t)1 << 20, (size_t)1 << 20, 0, &c), -EINVAL);
	cr_assert_eq(pl_chan_close(NULL), -EINVAL);
	cr_assert_eq(pl_chan_try_send(NULL, NULL), -EAGAIN);
	cr_assert_eq(pl_chan_try_recv(NULL, NULL), -EAGAIN);
	cr_assert_eq(pl_chan_len(NULL) + pl_chan_cap(NULL), 0);
	pl_chan_put(NULL);
}

Test(chan, test_chan_bad_arguments_are_refused)
{
	struct env e;

	cr_assert_eq(pl_chan_make(8, 1, 0, &c), -EXDEV, "a local one needs a lane");
	env_init(&e, true);
	env_go(&e, bad_args, NULL);
	env_turns(&e, 1);
	env_fini(&e);
}

BOTH(unbuffered_both_sides_meet)
{
	struct call s = {.v = 7}, r = {.v = 0};

	make(e, 8, 0);
	start(e, sends, &s);
	cr_assert(!s.done);
	cr_assert_eq(run(e, receives, &r), 1);
	cr_assert_eq(r.v, 7);
	env_turns(e, 2);
	cr_assert(s.done && s.ret == 0);
	start(e, receives, &r);
	cr_assert(!r.done);
	s.v = 8;
	cr_assert_eq(run(e, sends, &s), 0);
	env_turns(e, 2);
	cr_assert(r.done && r.ret == 1 && r.v == 8);
	pl_chan_put(c);
}

BOTH(waiting_receivers_are_served_in_order)
{
	struct call s = {.v = 0}, r[3] = {{.v = 0}};

	make(e, 8, 0);
	for (int i = 0; i < 3; i++)
		start(e, receives, &r[i]);
	for (uint64_t i = 0; i < 3; i++) {
		s.v = i;
		cr_assert_eq(run(e, sends, &s), 0);
	}
	env_turns(e, 2);
	for (uint64_t i = 0; i < 3; i++)
		cr_assert_eq(r[i].v, i);
	pl_chan_put(c);
}

BOTH(buffer_fills_then_parks_and_keeps_the_order)
{
	struct call s[8] = {{.v = 0}}, r = {.v = 0};

	make(e, 8, 3);
	cr_assert_eq(pl_chan_cap(c), 3);
	for (uint64_t i = 0; i < 8; i++) {
		s[i] = (struct call){.v = i};
		start(e, sends, &s[i]);
		cr_assert_eq(s[i].done, i < 3);
		cr_assert_eq(pl_chan_len(c), i < 3 ? i + 1 : 3);
	}
	for (uint64_t i = 0; i < 8; i++) {
		cr_assert_eq(run(e, receives, &r), 1);
		cr_assert_eq(r.v, i);
	}
	env_turns(e, 2);
	for (int i = 0; i < 8; i++)
		cr_assert(s[i].done && s[i].ret == 0);
	cr_assert_eq(pl_chan_len(c), 0);
	pl_chan_put(c);
}

BOTH(close_drains_then_says_0_and_zeroes)
{
	struct call s = {.v = 5}, r = {.v = 9}, k = {.v = 0};

	make(e, 8, 2);
	cr_assert_eq(run(e, sends, &s), 0);
	cr_assert_eq(run(e, closes, &k), 0);
	cr_assert_eq(run(e, closes, &k), -EBADF);
	cr_assert_eq(run(e, sends, &s), -EPIPE);
	cr_assert_eq(run(e, try_sends, &s), -EPIPE);
	cr_assert_eq(run(e, receives, &r), 1);
	cr_assert_eq(r.v, 5);
	cr_assert_eq(run(e, receives, &r), 0);
	cr_assert_eq(r.v, 0);
	r.v = 9;
	cr_assert_eq(run(e, try_receives, &r), 0);
	cr_assert_eq(r.v, 0);
	pl_chan_put(c);
}

BOTH(close_wakes_parked_receivers_with_0)
{
	struct call r[2] = {{.v = 1}, {.v = 2}}, k = {.v = 0};

	make(e, 8, 0);
	start(e, receives, &r[0]);
	start(e, receives, &r[1]);
	cr_assert_eq(run(e, closes, &k), 0);
	env_turns(e, 2);
	for (int i = 0; i < 2; i++)
		cr_assert(r[i].done && r[i].ret == 0 && r[i].v == 0);
	pl_chan_put(c);
}

BOTH(close_wakes_parked_senders_with_epipe)
{
	struct call s[2] = {{.v = 1}, {.v = 2}}, k = {.v = 0};

	make(e, 8, 0);
	start(e, sends, &s[0]);
	start(e, sends, &s[1]);
	cr_assert_eq(run(e, closes, &k), 0);
	env_turns(e, 2);
	for (int i = 0; i < 2; i++)
		cr_assert(s[i].done && s[i].ret == -EPIPE);
	pl_chan_put(c);
}

BOTH(try_is_eagain_until_somebody_is_there)
{
	struct call t = {.v = 3}, s = {.v = 4}, r = {.v = 0};

	make(e, 8, 0);
	cr_assert_eq(run(e, try_sends, &t), -EAGAIN);
	cr_assert_eq(run(e, try_receives, &t), -EAGAIN);
	start(e, sends, &s);
	cr_assert_eq(run(e, try_receives, &t), 1);
	cr_assert_eq(t.v, 4);
	start(e, receives, &r);
	cr_assert_eq(run(e, try_sends, &t), 0);
	env_turns(e, 2);
	cr_assert(r.done && r.v == 4);
	pl_chan_put(c);
}

static const char words[][24] = {"eins", "zwei", "drei"};

static void sends_words(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		cr_assert_eq(pl_chan_send(c, words[i]), 0);
	cr_assert_eq(pl_chan_close(c), 0);
}

static void receives_words(void *arg)
{
	char got[24];
	unsigned n = 0;

	cr_assert_eq(pl_chan_recv(c, NULL), 1, "thrown away");
	for (n = 1; pl_chan_recv(c, got) == 1; n++)
		cr_assert_str_eq(got, words[n]);
	cr_assert_eq(n, ARRAY_SIZE(words));
	*(bool *)arg = true;
}

BOTH(elements_of_any_size)
{
	bool done;

	for (size_t cap = 0; cap < 4; cap++) {
		done = false;
		make(e, sizeof(words[0]), cap);
		env_go(e, receives_words, &done);
		env_go(e, sends_words, NULL);
		env_turns(e, 6);
		cr_assert(done);
		pl_chan_put(c);
	}
}

BOTH(signals_without_content)
{
	struct call s = {.v = 1}, r = {.v = 77};

	make(e, 0, 2);
	cr_assert_eq(run(e, sends, &s), 0);
	cr_assert_eq(run(e, sends, &s), 0);
	cr_assert_eq(run(e, try_sends, &s), -EAGAIN);
	cr_assert_eq(run(e, receives, &r), 1);
	cr_assert_eq(r.v, 77);
	pl_chan_put(c);
}

Test(chan_local, test_chan_put_with_a_waiter_is_fatal, .signal = BUG_SIGNAL)
{
	struct env e;
	struct call r = {.v = 0};

	env_init(&e, true);
	make(&e, 8, 0);
	start(&e, receives, &r);
	pl_chan_put(c);
}

BOTH(waiter_dropped_with_its_lane_is_in_no_queue)
{
	struct call r = {.v = 0}, s = {.v = 1};
	struct env other;

	if (chan_flags) {
		env_init(&other, true);
		make(e, 8, 0);
		start(&other, receives, &r);
		env_fini(&other);
		cr_assert_eq(run(e, try_sends, &s), -EAGAIN);
		pl_chan_put(c);
		return;
	}
	env_init(&other, true);
	make(&other, 8, 0);
	start(&other, receives, &r);
	env_fini(&other);
	pl_chan_put(c);
}

/* ---- the ctx of one that waits ---- */

static void make_ctx(struct pl_ctx **ret)
{
	cr_assert_eq(pl_ctx_with_cancel(NULL, ret), 0);
}

static void cancels(void *arg)
{
	pl_ctx_cancel(arg, 0);
}

BOTH(ctx_ends_one_waiter_the_others_are_served)
{
	struct call r[3] = {{.v = 0}}, s[3] = {{.v = 0}};
	struct pl_ctx *ctx;

	make_ctx(&ctx);
	make(e, 8, 0);
	r[1].ctx = s[1].ctx = ctx;
	for (int i = 0; i < 3; i++)
		start(e, receives, &r[i]);
	env_go(e, cancels, ctx);
	env_turns(e, 2);
	cr_assert(!r[0].done && r[1].done && !r[2].done);
	cr_assert_eq(r[1].ret, -ECANCELED);
	for (uint64_t i = 0; i < 2; i++)
		cr_assert_eq(run(e, sends, &(struct call){.v = 10 + i}), 0);
	env_turns(e, 2);
	cr_assert(r[0].v == 10 && r[2].v == 11);
	cr_assert_eq(run(e, sends, &s[1]), -ECANCELED, "a later call does not even try");
	pl_ctx_put(ctx);
	pl_chan_put(c);
}

BOTH(ctx_ends_a_sender_nothing_was_sent)
{
	struct call s = {.v = 1}, r = {.v = 0};

	make_ctx(&s.ctx);
	make(e, 8, 0);
	start(e, sends, &s);
	env_go(e, cancels, s.ctx);
	env_turns(e, 2);
	cr_assert(s.done && s.ret == -ECANCELED);
	cr_assert_eq(run(e, try_receives, &r), -EAGAIN);
	pl_ctx_put(s.ctx);
	pl_chan_put(c);
}

Test(chan_local, test_chan_null_is_never_ready)
{
	struct call s = {.v = 1}, r = {.v = 2};
	struct env e;

	env_init(&e, true);
	c = NULL;
	make_ctx(&s.ctx);
	r.ctx = s.ctx;
	start(&e, sends, &s);
	start(&e, receives, &r);
	env_turns(&e, 5);
	cr_assert(!s.done && !r.done);
	env_go(&e, cancels, s.ctx);
	env_turns(&e, 2);
	cr_assert(s.ret == -ECANCELED && r.ret == -ECANCELED);
	pl_ctx_put(s.ctx);
	env_fini(&e);
}

/* ---- two lanes ---- */

struct two {
	struct env a, b;
};

static void two_init(struct two *t, unsigned flags, size_t cap)
{
	chan_flags = flags;
	env_init(&t->a, true);
	env_init(&t->b, true);
	make(&t->a, 8, cap);
}

static void two_fini(struct two *t)
{
	pl_chan_put(c);
	env_fini(&t->a);
	env_fini(&t->b);
}

Test(chan_lanes, test_chan_local_one_is_exdev_elsewhere)
{
	struct two t;
	struct call k = {.v = 0};

	two_init(&t, 0, 1);
	cr_assert_eq(run(&t.b, sends, &k), -EXDEV);
	cr_assert_eq(run(&t.b, receives, &k), -EXDEV);
	cr_assert_eq(run(&t.b, try_sends, &k), -EXDEV);
	cr_assert_eq(run(&t.b, closes, &k), -EXDEV);
	cr_assert_eq(pl_chan_send(c, &k.v), -EXDEV, "on no lane");
	two_fini(&t);
}

Test(chan_lanes, test_chan_shared_value_goes_over_both_ways)
{
	struct two t;
	struct call s = {.v = 42}, r = {.v = 0};

	two_init(&t, PL_CHAN_SHARED, 0);
	start(&t.a, receives, &r);
	cr_assert_eq(run(&t.b, sends, &s), 0);
	cr_assert(!r.done);
	env_turns(&t.a, 1);
	cr_assert(r.done && r.v == 42);
	start(&t.a, sends, &s);
	cr_assert_eq(run(&t.b, receives, &r), 1);
	cr_assert(!s.done);
	env_turns(&t.a, 1);
	cr_assert(s.done && s.ret == 0);
	two_fini(&t);
}

Test(chan_lanes, test_chan_shared_close_reaches_the_other_lane)
{
	struct two t;
	struct call r = {.v = 1}, k = {.v = 0};

	two_init(&t, PL_CHAN_SHARED, 0);
	start(&t.a, receives, &r);
	cr_assert_eq(run(&t.b, closes, &k), 0);
	env_turns(&t.a, 1);
	cr_assert(r.done && r.ret == 0);
	two_fini(&t);
}

Test(chan_lanes, test_chan_shared_works_for_a_thread_without_lane)
{
	struct two t;
	struct call r = {.v = 1};
	uint64_t v = 5;

	two_init(&t, PL_CHAN_SHARED, 1);
	start(&t.a, receives, &r);
	cr_assert_eq(pl_chan_try_send(c, &v), 0);
	env_turns(&t.a, 1);
	cr_assert(r.done && r.v == 5);
	cr_assert_eq(pl_chan_try_recv(c, &v), -EAGAIN);
	cr_assert_eq(pl_chan_send(c, &v), 0, "the buffer has room");
	cr_assert_eq(pl_chan_send(c, &v), -EXDEV, "it would have to park");
	cr_assert_eq(pl_chan_try_recv(c, &v), 1);
	cr_assert_eq(pl_chan_close(c), 0);
	two_fini(&t);
}

Test(chan_lanes, test_chan_shared_ctx_of_another_lane_ends_the_wait)
{
	struct two t;
	struct call r = {.v = 1};

	two_init(&t, PL_CHAN_SHARED, 0);
	make_ctx(&r.ctx);
	start(&t.a, receives, &r);
	env_go(&t.b, cancels, r.ctx);
	env_turns(&t.b, 1);
	cr_assert(!r.done);
	env_turns(&t.a, 1);
	cr_assert(r.done && r.ret == -ECANCELED);
	pl_ctx_put(r.ctx);
	two_fini(&t);
}

Test(chan_lanes, test_chan_shared_value_before_the_ctx_wins)
{
	struct two t;
	struct call r = {.v = 1}, s = {.v = 2};

	two_init(&t, PL_CHAN_SHARED, 0);
	make_ctx(&r.ctx);
	start(&t.a, receives, &r);
	/* the value is in r's memory, the message on its way; then its ctx ends */
	cr_assert_eq(run(&t.b, sends, &s), 0);
	pl_ctx_cancel(r.ctx, 0);
	env_turns(&t.a, 2);
	cr_assert(r.done && r.ret == 1 && r.v == 2);
	pl_ctx_put(r.ctx);
	two_fini(&t);
}

#define MANY 500

static uint64_t sum, received;

static void pumps(void *arg)
{
	for (uint64_t i = 0; i < MANY; i++) {
		uint64_t v = (uintptr_t)arg * MANY + i;

		cr_assert_eq(pl_chan_send(c, &v), 0);
		if (i % 7 == 0)
			pl_yield();
	}
}

static void drains(void *arg)
{
	uint64_t v;

	(void)arg;
	while (pl_chan_recv(c, &v) == 1) {
		sum += v;
		received++;
	}
}

Test(chan_lanes, test_chan_shared_many_on_both_sides_lose_nothing)
{
	static const size_t caps[] = {0, 1, 5};
	struct two t;
	struct call k = {.v = 0};

	for (unsigned i = 0; i < ARRAY_SIZE(caps); i++) {
		two_init(&t, PL_CHAN_SHARED, caps[i]);
		sum = received = 0;
		for (uintptr_t g = 0; g < 4; g++) {
			env_go(g & 1 ? &t.a : &t.b, pumps, (void *)g);
			env_go(g & 2 ? &t.a : &t.b, drains, NULL);
		}
		for (int n = 0; n < 3 * MANY; n++) {
			env_turns(&t.a, 1);
			env_turns(&t.b, 1 + n % 3);
		}
		cr_assert_eq(received, 4 * MANY);
		cr_assert_eq(sum, (uint64_t)4 * MANY * (4 * MANY - 1) / 2);
		cr_assert_eq(run(&t.a, closes, &k), 0);
		env_turns(&t.a, 2);
		env_turns(&t.b, 2);
		cr_assert_eq(lane_nr_g(t.a.lane) + lane_nr_g(t.b.lane), 0);
		two_fini(&t);
	}
}
