/* SPDX-License-Identifier: BSD-3-Clause */
/* Rwmutex and condition on virtual lanes. */
#include "poller_env.h"

#include <errno.h>

#include <parklane/ctx.h>
#include <parklane/sync.h>

static struct pl_rwmutex rw;
static struct pl_ctx *ctx;
static int readers, writers, max_readers, nr, order[16];

static void reads(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_rwmutex_rlock(&rw), 0);
	cr_assert_eq(writers, 0);
	if (++readers > max_readers)
		max_readers = readers;
	pl_yield();
	readers--;
	order[nr++] = 'r';
	pl_rwmutex_runlock(&rw);
}

static void writes(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_rwmutex_lock(&rw), 0);
	cr_assert_eq(readers + writers, 0);
	writers++;
	pl_yield();
	writers--;
	order[nr++] = 'w';
	pl_rwmutex_unlock(&rw);
}

Test(sync_rw, test_rwmutex_readers_together_writers_alone_in_order)
{
	static const char want[] = "rrwrrw";
	struct env e[2];

	env_init(&e[0], true);
	env_init(&e[1], true);
	for (int i = 0; want[i]; i++) {
		env_go(&e[0], want[i] == 'r' ? reads : writes, NULL);
		if (want[i] == 'w')
			env_go(&e[1], reads, NULL);
	}
	for (int t = 0; t < 20; t++) {
		env_turns(&e[0], 1);
		env_turns(&e[1], 1);
	}
	cr_assert_eq(nr, 8);
	cr_assert_geq(max_readers, 2);
	cr_assert_eq(rw.word, 0);
	env_fini(&e[1]);
	env_fini(&e[0]);
}

Test(sync_rw, test_rwmutex_reader_after_a_waiting_writer_waits)
{
	static const char want[] = "rwr";
	struct env e;

	env_init(&e, true);
	for (int i = 0; want[i]; i++)
		env_go(&e, want[i] == 'r' ? reads : writes, NULL);
	env_turns(&e, 10);
	cr_assert_eq(nr, 3);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(order[i], want[i]);
	env_fini(&e);
}

static void writes_in_ctx(void *arg)
{
	(void)arg;
	(void)pl_ctx_enter(ctx);
	order[nr++] = pl_rwmutex_lock(&rw);
}

Test(sync_rw, test_rwmutex_writer_cut_lets_the_readers_behind_it_in)
{
	struct env e;

	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
	env_init(&e, true);
	cr_assert_eq(pl_rwmutex_rlock(&rw), 0);
	env_go(&e, writes_in_ctx, NULL);
	env_go(&e, reads, NULL);
	env_go(&e, reads, NULL);
	env_turns(&e, 2);
	cr_assert_eq(readers, 0);
	pl_ctx_cancel(ctx, 0);
	env_turns(&e, 4);
	cr_assert_eq(nr, 3);
	cr_assert_eq(order[0], -ECANCELED);
	cr_assert_eq(max_readers, 2);
	pl_rwmutex_runlock(&rw);
	cr_assert_eq(rw.word, 0);
	pl_ctx_put(ctx);
	env_fini(&e);
}

Test(sync_rw, test_rwmutex_outside_of_gs)
{
	cr_assert_eq(pl_rwmutex_lock(&rw), 0);
	cr_assert_eq(pl_rwmutex_rlock(&rw), -EXDEV);
	cr_assert_eq(pl_rwmutex_lock(&rw), -EXDEV);
	pl_rwmutex_unlock(&rw);
	cr_assert_eq(pl_rwmutex_rlock(&rw), 0);
	cr_assert_eq(pl_rwmutex_rlock(&rw), 0);
	cr_assert_eq(pl_rwmutex_lock(&rw), -EXDEV);
	pl_rwmutex_runlock(&rw);
	pl_rwmutex_runlock(&rw);
	cr_assert_eq(rw.word, 0);
}

Test(sync_rw, test_rwmutex_runlock_of_an_unlocked_one_is_fatal, .signal = BUG_SIGNAL)
{
	pl_rwmutex_runlock(&rw);
}

Test(sync_rw, test_rwmutex_unlock_of_an_unlocked_one_is_fatal, .signal = BUG_SIGNAL)
{
	pl_rwmutex_unlock(&rw);
}

/* ---- condition ---- */

static struct pl_cond cond;
static struct pl_mutex m;
static int tokens;

static void takes(void *arg)
{
	int err = 0;

	(void)pl_ctx_enter(arg);
	cr_assert_eq(pl_mutex_lock(&m), 0);
	while (!err && tokens == 0)
		err = pl_cond_wait(&cond, &m);
	if (!err)
		tokens--;
	order[nr++] = err;
	cr_assert_eq(pl_mutex_try_lock(&m), -EBUSY, "it is ours whatever was returned");
	pl_mutex_unlock(&m);
}

static void gives(struct env *e, int n)
{
	cr_assert_eq(pl_mutex_lock(&m), 0);
	tokens += n;
	pl_mutex_unlock(&m);
	if (n == 1)
		pl_cond_signal(&cond);
	else
		pl_cond_broadcast(&cond);
	env_turns(e, 4);
}

Test(sync_rw, test_cond_signal_wakes_one_broadcast_all)
{
	struct env e;

	env_init(&e, true);
	pl_cond_signal(&cond);
	for (int i = 0; i < 4; i++)
		env_go(&e, takes, NULL);
	env_turns(&e, 2);
	cr_assert_eq(nr, 0);
	gives(&e, 1);
	cr_assert_eq(nr, 1);
	gives(&e, 3);
	cr_assert_eq(nr, 4);
	cr_assert_eq(tokens, 0);
	cr_assert_eq(m.word, 0);
	env_fini(&e);
}

Test(sync_rw, test_cond_ctx_ends_the_wait_with_the_mutex_held)
{
	struct env e;

	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
	env_init(&e, true);
	env_go(&e, takes, ctx);
	env_go(&e, takes, NULL);
	env_turns(&e, 2);
	pl_ctx_cancel(ctx, 0);
	env_turns(&e, 3);
	cr_assert(nr == 1 && order[0] == -ECANCELED);
	gives(&e, 1);
	cr_assert(nr == 2 && order[1] == 0, "the signal is not lost on the one that left");
	pl_ctx_put(ctx);
	env_fini(&e);
}
