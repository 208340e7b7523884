/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that broke a rule is told which, and by which goroutine, and where that stands. */
#include <parklane/parklane.h>

#include "bug_signal.h"
#include "dying.h"

static char text[8192];
static volatile int after; /* so that the calls before are no tail calls */

static void says(void (*fn)(void *arg), const char *const *want)
{
	int status = dying(fn, NULL, text, sizeof(text));
	const char *at = text;

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == BUG_SIGNAL, "%x %s", status, text);
	for (; *want && at; want++)
		at = strstr(at, *want);
	cr_assert_not_null(at, "%s", text);
}

static void unlocks(void *arg)
{
	struct pl_mutex m = {0};

	(void)arg;
	pl_mutex_unlock(&m);
	after++;
}

static void run_unlocks(void *arg)
{
	(void)arg;
	run_named(unlocks, NULL, "unlocks");
}

Test(last_words, test_misuse_in_a_goroutine_says_whose_and_where, .timeout = 20)
{
	static const char *const want[] = {
		"parklane: a mistake of the program's: pl_mutex_unlock: it is not locked\n",
		"parklane: goroutine 1 (unlocks) stood here:\n",
		"    pl_mutex_unlock",
		"    unlocks+0x",
		"    coro_trampoline+0x",
		NULL};

	says(run_unlocks, want);
	cr_assert_null(strstr(text, "bug_misuse"), "%s", text);
}

static void sleeps(void *arg)
{
	(void)arg;
	(void)pl_sleep(1);
	after++;
}

Test(last_words, test_misuse_outside_of_a_goroutine_says_where, .timeout = 20)
{
	static const char *const want[] = {
		"parklane: a mistake of the program's: pl_sleep: called outside of a goroutine\n",
		"    sleeps+0x", NULL};

	says(sleeps, want);
}

static void leaves(void *arg)
{
	struct pl_ctx *ctx, *outer;

	(void)arg;
	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
	outer = pl_ctx_enter(ctx);
	pl_ctx_leave(outer);
	pl_ctx_leave(ctx);
	after++;
}

static void run_leaves(void *arg)
{
	(void)arg;
	run_named(leaves, NULL, "leaves");
}

Test(last_words, test_misuse_ctx_left_twice_is_fatal, .timeout = 20)
{
	static const char *const want[] = {
		"mistake of the program's: pl_ctx_leave: the goroutine has left all",
		"    leaves+0x", NULL};

	says(run_leaves, want);
}
