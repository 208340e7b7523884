/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Select on virtual lanes: which case is chosen, that a woken one has left all other queues, and
 * two lanes that select against each other.
 */
#include "poller_env.h"

#include <errno.h>

#include <parklane/chan.h>
#include <parklane/ctx.h>

#define NR 4

static struct pl_chan *ch[NR];

static void make_all(void *arg)
{
	const unsigned *flags = arg;

	for (int i = 0; i < NR; i++)
		cr_assert_eq(pl_chan_make(8, i & 1, flags[i % 2], &ch[i]), 0);
}

/* Even ones are unbuffered, odd ones hold one element. */
static void make(struct env *e, unsigned even, unsigned odd)
{
	unsigned flags[2] = {even, odd};

	env_go(e, make_all, flags);
	env_turns(e, 1);
}

static void put_all(void)
{
	for (int i = 0; i < NR; i++)
		pl_chan_put(ch[i]);
}

/* All local, all shared, and a mixture. */
#define EACH(name)                                                                                 \
	static void name(struct env *e);                                                           \
	Test(select, test_select_##name)                                                           \
	{                                                                                          \
		static const unsigned flags[][2] = {                                               \
			{0, 0}, {PL_CHAN_SHARED, PL_CHAN_SHARED}, {PL_CHAN_SHARED, 0}};            \
		struct env e;                                                                      \
		for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {                                 \
			env_init(&e, true);                                                        \
			make(&e, flags[i][0], flags[i][1]);                                        \
			name(&e);                                                                  \
			put_all();                                                                 \
			env_fini(&e);                                                              \
		}                                                                                  \
	}                                                                                          \
	static void name(struct env *e)

struct sel {
	struct pl_select_case k[2 * NR];
	uint64_t v[2 * NR];
	unsigned n;
	bool or_default, done;
	int ret;
	struct pl_ctx *ctx;
};

static void add(struct sel *s, struct pl_chan *c, enum pl_select_op op, uint64_t v)
{
	s->v[s->n] = v;
	s->k[s->n] = (struct pl_select_case){.chan = c, .op = op, .elem = &s->v[s->n]};
	s->n++;
}

static void selects(void *arg)
{
	struct sel *s = arg;

	(void)pl_ctx_enter(s->ctx);
	s->ret = pl_select(s->k, s->n, s->or_default);
	s->done = true;
}

static void start(struct env *e, struct sel *s)
{
	s->done = false;
	env_go(e, selects, s);
	env_turns(e, 1);
}

static int run(struct env *e, struct sel *s)
{
	start(e, s);
	cr_assert(s->done);
	return s->ret;
}

struct one {
	struct pl_chan *c;
	uint64_t v;
	int ret;
};

static void try_sends(void *arg)
{
	struct one *o = arg;

	o->ret = pl_chan_try_send(o->c, &o->v);
}

static int try_send(struct env *e, struct pl_chan *c, uint64_t v)
{
	struct one o = {c, v, 1};

	env_go(e, try_sends, &o);
	env_turns(e, 1);
	return o.ret;
}

static void try_receives(void *arg)
{
	struct one *o = arg;

	o->ret = pl_chan_try_recv(o->c, &o->v);
}

static int try_recv(struct env *e, struct pl_chan *c, uint64_t *v)
{
	struct one o = {c, 0, 1};

	env_go(e, try_receives, &o);
	env_turns(e, 1);
	*v = o.v;
	return o.ret;
}

static void closes(void *arg)
{
	cr_assert_eq(pl_chan_close(arg), 0);
}

EACH(default_is_taken_if_nothing_is_ready)
{
	struct sel s = {.or_default = true};

	cr_assert_eq(run(e, &s), -EAGAIN, "no case at all");
	add(&s, NULL, PL_SELECT_RECV, 0);
	add(&s, ch[0], PL_SELECT_SEND, 1);
	add(&s, ch[1], PL_SELECT_RECV, 0);
	cr_assert_eq(run(e, &s), -EAGAIN);
}

EACH(the_ready_one_is_chosen)
{
	struct sel s = {.n = 0};

	cr_assert_eq(try_send(e, ch[1], 17), 0);
	add(&s, NULL, PL_SELECT_SEND, 0);
	add(&s, ch[0], PL_SELECT_RECV, 0);
	add(&s, ch[1], PL_SELECT_RECV, 0);
	cr_assert_eq(run(e, &s), 2);
	cr_assert(s.k[2].ret == 1 && s.v[2] == 17);
	s.k[2].op = PL_SELECT_SEND;
	s.v[2] = 18;
	cr_assert_eq(run(e, &s), 2);
	cr_assert_eq(s.k[2].ret, 0);
	cr_assert_eq(try_recv(e, ch[1], &s.v[0]), 1);
	cr_assert_eq(s.v[0], 18);
}

EACH(parked_one_is_woken_and_leaves_all_other_queues)
{
	struct sel s;
	uint64_t v;

	for (int i = 0; i < NR; i++) {
		s = (struct sel){.n = 0};
		for (int j = 0; j < NR; j++)
			add(&s, ch[j], PL_SELECT_RECV, 0);
		start(e, &s);
		cr_assert(!s.done);
		cr_assert_eq(try_send(e, ch[i], 100 + (uint64_t)i), 0);
		env_turns(e, 2);
		cr_assert(s.done && s.ret == i && s.k[i].ret == 1);
		cr_assert_eq(s.v[i], 100 + (uint64_t)i);
		for (int j = 0; j < NR; j += 2)
			cr_assert_eq(try_send(e, ch[j], 1), -EAGAIN, "nobody waits there");
	}
	for (int i = 0; i < NR; i += 2) {
		s = (struct sel){.n = 0};
		add(&s, ch[0], PL_SELECT_SEND, 50);
		add(&s, ch[2], PL_SELECT_SEND, 52);
		start(e, &s);
		cr_assert(!s.done);
		cr_assert_eq(try_recv(e, ch[i], &v), 1);
		cr_assert_eq(v, 50 + (uint64_t)i);
		env_turns(e, 2);
		cr_assert(s.done && s.ret == i / 2 && s.k[i / 2].ret == 0);
		cr_assert_eq(try_recv(e, ch[2 - i], &v), -EAGAIN);
	}
}

EACH(send_and_receive_on_one_channel_do_not_meet)
{
	struct sel s = {.n = 0};
	uint64_t v;

	add(&s, ch[0], PL_SELECT_SEND, 1);
	add(&s, ch[0], PL_SELECT_RECV, 0);
	start(e, &s);
	env_turns(e, 3);
	cr_assert(!s.done);
	cr_assert_eq(try_recv(e, ch[0], &v), 1);
	env_turns(e, 2);
	cr_assert(s.done && s.ret == 0);
	cr_assert_eq(try_send(e, ch[0], 1), -EAGAIN);
}

EACH(one_channel_twice)
{
	struct sel s = {.n = 0};

	add(&s, ch[0], PL_SELECT_RECV, 0);
	add(&s, ch[0], PL_SELECT_RECV, 0);
	start(e, &s);
	cr_assert_eq(try_send(e, ch[0], 4), 0);
	env_turns(e, 2);
	cr_assert(s.done && s.ret == 0 && s.v[0] == 4);
	cr_assert_eq(try_send(e, ch[0], 4), -EAGAIN);
}

EACH(close_is_ready_for_both_sides)
{
	struct sel s = {.n = 0}, r = {.n = 0};

	add(&s, ch[0], PL_SELECT_SEND, 1);
	add(&r, ch[2], PL_SELECT_RECV, 77);
	start(e, &s);
	start(e, &r);
	env_go(e, closes, ch[0]);
	env_go(e, closes, ch[2]);
	env_turns(e, 3);
	cr_assert(s.done && s.ret == 0 && s.k[0].ret == -EPIPE);
	cr_assert(r.done && r.ret == 0 && r.k[0].ret == 0 && r.v[0] == 0);
	cr_assert_eq(run(e, &s), 0);
	cr_assert_eq(s.k[0].ret, -EPIPE);
	cr_assert_eq(run(e, &r), 0);
	cr_assert_eq(r.k[0].ret, 0);
}

EACH(ctx_ends_the_wait_in_all_queues)
{
	struct sel s = {.n = 0};

	cr_assert_eq(pl_ctx_with_cancel(NULL, &s.ctx), 0);
	for (int j = 0; j < NR; j++)
		add(&s, ch[j], PL_SELECT_RECV, 0);
	start(e, &s);
	cr_assert(!s.done);
	pl_ctx_cancel(s.ctx, 0);
	env_turns(e, 2);
	cr_assert(s.done && s.ret == -ECANCELED);
	for (int j = 0; j < NR; j += 2)
		cr_assert_eq(try_send(e, ch[j], 1), -EAGAIN);
	cr_assert_eq(run(e, &s), -ECANCELED);
	s.or_default = true;
	cr_assert_eq(run(e, &s), -EAGAIN, "what cannot wait is not cancelled");
	pl_ctx_put(s.ctx);
}

Test(select, test_select_dropped_with_its_lane_is_in_no_queue)
{
	struct sel s = {.n = 0};
	struct env e, other;

	env_init(&e, true);
	env_init(&other, true);
	make(&e, PL_CHAN_SHARED, PL_CHAN_SHARED);
	for (int j = 0; j < NR; j++)
		add(&s, ch[j], PL_SELECT_RECV, 0);
	start(&other, &s);
	env_fini(&other);
	for (int j = 0; j < NR; j += 2)
		cr_assert_eq(try_send(&e, ch[j], 1), -EAGAIN);
	put_all();
	env_fini(&e);
}

/* Who served it puts the channel before it runs again: only the others are left. ASan judges. */
Test(select, test_select_woken_looks_no_more_at_the_channel_that_served_it)
{
	struct sel s = {.n = 0};
	struct env e, other;

	for (int lane_ends = 0; lane_ends < 2; lane_ends++) {
		s.n = 0;
		env_init(&e, true);
		env_init(&other, true);
		make(&e, PL_CHAN_SHARED, PL_CHAN_SHARED);
		for (int j = 0; j < NR; j++)
			add(&s, ch[j], PL_SELECT_RECV, 0);
		start(&other, &s);
		cr_assert_eq(try_send(&e, ch[2], 7), 0);
		pl_chan_put(ch[2]);
		ch[2] = NULL;
		if (!lane_ends)
			env_turns(&other, 1);
		cr_assert_eq(s.done, !lane_ends);
		env_fini(&other);
		put_all();
		env_fini(&e);
	}
}

/* Served by one channel, it still stands in the queues of the others, whose last reference goes. */
Test(select, test_select_served_elsewhere_put_of_the_others_waits_for_it_to_leave)
{
	struct sel s = {.n = 0};
	struct env e, other;

	env_init(&e, true);
	env_init(&other, true);
	make(&e, PL_CHAN_SHARED, PL_CHAN_SHARED);
	for (int j = 0; j < NR; j++)
		add(&s, ch[j], PL_SELECT_RECV, 0);
	start(&other, &s);
	cr_assert_eq(try_send(&e, ch[2], 7), 0);
	cr_assert_eq(try_send(&e, ch[0], 7), -EAGAIN, "throws it out of that queue");
	put_all();
	env_turns(&other, 1);
	cr_assert(s.done && s.ret == 2);
	env_fini(&other);
	env_fini(&e);
}

Test(select, test_select_without_cases_waits_for_the_ctx_alone)
{
	struct sel s = {.n = 0};
	struct env e;

	env_init(&e, true);
	cr_assert_eq(pl_ctx_with_cancel(NULL, &s.ctx), 0);
	start(&e, &s);
	env_turns(&e, 3);
	cr_assert(!s.done);
	pl_ctx_cancel(s.ctx, 0);
	env_turns(&e, 2);
	cr_assert(s.done && s.ret == -ECANCELED);
	pl_ctx_put(s.ctx);
	env_fini(&e);
}

static void bad_args(void *arg)
{
	static struct pl_select_case many[PL_SELECT_MAX + 1];

	(void)arg;
	cr_assert_eq(pl_select(many, PL_SELECT_MAX + 1, true), -EINVAL);
	cr_assert_eq(pl_select(many, PL_SELECT_MAX, true), -EAGAIN);
	/* it waited for ever */
	many[1].op = (enum pl_select_op)7;
	cr_assert_eq(pl_select(many, 2, false), -EINVAL);
	many[1].op = (enum pl_select_op) - 1;
	cr_assert_eq(pl_select(many, 2, false), -EINVAL);
	many[1].op = PL_SELECT_SEND;
}

Test(select, test_select_bad_arguments_are_refused)
{
	struct env e, other;
	struct sel s = {.or_default = true};

	cr_assert_eq(pl_select(NULL, 0, true), -EXDEV);
	env_init(&e, true);
	env_init(&other, true);
	env_go(&e, bad_args, NULL);
	env_turns(&e, 1);
	make(&e, PL_CHAN_SHARED, 0);
	add(&s, ch[0], PL_SELECT_RECV, 0);
	cr_assert_eq(run(&other, &s), -EAGAIN);
	add(&s, ch[1], PL_SELECT_RECV, 0);
	cr_assert_eq(run(&other, &s), -EXDEV);
	put_all();
	env_fini(&other);
	env_fini(&e);
}

/* ---- chance ---- */

#define PICKS 6000

static unsigned picked[NR];
static uint32_t picks_hash;

static void picks(void *arg)
{
	struct pl_select_case k[NR];

	(void)arg;
	for (int j = 0; j < NR; j++)
		k[j] = (struct pl_select_case){.chan = ch[j], .op = PL_SELECT_RECV};
	k[3].chan = NULL;
	/* closed ones are always ready: three of four */
	for (int i = 0; i < PICKS; i++) {
		int n = pl_select(k, NR, false);

		cr_assert(n >= 0 && n < 3);
		picked[n]++;
		picks_hash = picks_hash * 31 + (uint32_t)n;
	}
}

static uint32_t pick_all(void)
{
	struct env e;

	env_init(&e, true);
	make(&e, 0, 0);
	for (int i = 0; i < NR; i++)
		env_go(&e, closes, ch[i]);
	picks_hash = 0;
	env_go(&e, picks, NULL);
	env_turns(&e, 2);
	put_all();
	env_fini(&e);
	return picks_hash;
}

Test(select, test_select_chooses_uniformly_and_replays)
{
	uint32_t h = pick_all();

	/* 2000 each is expected, with a standard deviation of 37 */
	for (int i = 0; i < 3; i++)
		cr_assert(picked[i] > 1800 && picked[i] < 2200, "case %d: %u", i, picked[i]);
	cr_assert_eq(picked[3], 0);
	cr_assert_eq(pick_all(), h, "virtual time replays");
}

/* ---- two lanes, each sends where the other receives ---- */

#define ROUNDS 2000

static unsigned sent[2], got[2];

static void crosses(void *arg)
{
	uintptr_t me = (uintptr_t)arg & 1;

	while (sent[me] + got[me] < ROUNDS) {
		uint64_t out = me, in = 99;
		struct pl_select_case k[] = {
			{.chan = ch[0], .op = me ? PL_SELECT_SEND : PL_SELECT_RECV},
			{.chan = ch[2], .op = me ? PL_SELECT_RECV : PL_SELECT_SEND},
		};
		int n;

		k[0].elem = me ? &out : &in;
		k[1].elem = me ? &in : &out;
		n = pl_select(k, 2, false);
		if (n < 0)
			return;
		if (k[n].op == PL_SELECT_SEND) {
			sent[me]++;
		} else {
			cr_assert_eq(in, 1 - me);
			got[me]++;
		}
	}
}

Test(select, test_select_two_lanes_against_each_other_lose_nothing)
{
	struct env a, b;

	env_init(&a, true);
	env_init(&b, true);
	make(&a, PL_CHAN_SHARED, PL_CHAN_SHARED);
	env_go(&a, crosses, (void *)0);
	env_go(&b, crosses, (void *)1);
	for (int i = 0; i < 3 * ROUNDS; i++) {
		env_turns(&a, 1);
		env_turns(&b, 1);
	}
	cr_assert_eq(sent[0], got[1]);
	cr_assert_eq(sent[1], got[0]);
	cr_assert_eq(sent[0] + got[0], ROUNDS);
	cr_assert(sent[0] && got[0], "both cases were chosen");
	put_all();
	env_fini(&b);
	env_fini(&a);
}
