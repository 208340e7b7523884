/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that broke a rule is told which, and by which goroutine, and where that stands. */
#include <arpa/inet.h>
#include <errno.h>

#include <parklane/parklane.h>

#include "bug_signal.h"
#include "drivers/loop.h"
#include "dying.h"
#include "poller/lane_int.h"
#include "poller/netpoll_stack.h"
#include "stack/stack.h"

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

static int closes(struct pl_conn *c, void *refuse)
{
	after += pl_close(c);
	return refuse ? -EACCES : 0;
}

static void dials_and_closes(void *net)
{
	struct pl_addr to = {.family = PL_AF_INET, .port = 9, .v4 = htonl(0x7f000001)};
	struct pl_conn *c;

	after += pl_dial_control(*(enum pl_net *)net, &to, 0, closes, NULL, &c);
}

static void listens_and_closes(void *net)
{
	struct pl_addr at = {.family = PL_AF_INET};
	struct pl_conn *c;

	after += pl_listen_control(*(enum pl_net *)net, &at, 0, closes, net, &c);
}

static void run_dials(void *arg)
{
	(void)arg;
	run_named(dials_and_closes, &(enum pl_net){PL_NET_KERNEL}, "dials");
}

static void run_listens(void *arg)
{
	(void)arg;
	run_named(listens_and_closes, &(enum pl_net){PL_NET_KERNEL}, "listens");
}

static void run_on_stack(void (*fn)(void *net))
{
	const uint32_t ip = htonl(0x0a000001);
	enum pl_net net = PL_NET_STACK;
	struct netpoll_backend *nb;
	struct netdev *dev, *deaf;
	struct stack_config scfg;
	struct lane_config cfg;
	struct stack *st;
	struct lane *l;

	lane_config_init(&cfg);
	cfg.max_g = 64;
	stack_config_init(&scfg);
	cr_assert_eq(stack_create(&scfg, skb_heap_pool_create(64, 2048), &st), 0);
	cr_assert_eq(loop_pair(NULL, &dev, &deaf), 0);
	cr_assert_eq(stack_attach(st, dev, 0, ip, 24, 0), 0);
	cr_assert_eq(lane_create(&cfg, &l), 0);
	cr_assert_eq(netpoll_stack_create(l, st, 0, &nb), 0);
	cr_assert_eq(lane_add_backend(l, nb), 0);
	cr_assert_eq(lane_go(l, fn, &net, "on_stack"), 0);
	cr_assert_eq(lane_run(l), 0);
}

static void run_dials_on_stack(void *arg)
{
	(void)arg;
	run_on_stack(dials_and_closes);
}

static void run_listens_on_stack(void *arg)
{
	(void)arg;
	run_on_stack(listens_and_closes);
}

Test(last_words, test_misuse_control_that_closes_is_fatal, .timeout = 20)
{
	static const char *const dial[] = {
		"parklane: a mistake of the program's: pl_close: by the control of the dial or "
		"listen that made the conn\n",
		"    dials_and_closes+0x", NULL};
	static const char *const listen[] = {
		"parklane: a mistake of the program's: pl_close: by the control of the dial or "
		"listen that made the conn\n",
		"    listens_and_closes+0x", NULL};

	says(run_dials, dial);
	says(run_listens, listen);
	says(run_dials_on_stack, dial);
	says(run_listens_on_stack, listen);
}
