/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pl_blocking on real lanes (and inline on a virtual one): jobs are held and let go by
 * semaphores, so that no test looks at a clock.
 */
#include "poller_env.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <parklane/blocking.h>
#include <parklane/ctx.h>
#include <parklane/sync.h>

#include "poller/group.h"

static sem_t begun, go_on;
static int ran, dropped; /* (a) */
static struct pl_ctx *ctx;
static int err[128];

static void init(void)
{
	cr_assert_eq(sem_init(&begun, 0, 0), 0);
	cr_assert_eq(sem_init(&go_on, 0, 0), 0);
}

static struct lane *real_lane(void)
{
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	cfg.max_g = 256;
	cr_assert_eq(lane_create(&cfg, &l), 0);
	return l;
}

/* run - fn as the first g of a real lane, until all gs have ended. */
static void run(void (*fn)(void *arg), void *arg)
{
	struct lane *l = real_lane();

	cr_assert_eq(lane_go(l, fn, arg, "test"), 0);
	cr_assert_eq(lane_run(l), 0);
	lane_destroy(l);
}

static void held(void *arg)
{
	(void)arg;
	sem_post(&begun);
	sem_wait(&go_on);
	__atomic_fetch_add(&ran, 1, __ATOMIC_SEQ_CST);
}

static void counts(void *arg)
{
	__atomic_fetch_add((int *)arg, 1, __ATOMIC_SEQ_CST);
}

static void drops(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&dropped, 1, __ATOMIC_SEQ_CST);
}

/* ---- it runs, elsewhere, and the lane goes on ---- */

struct where {
	pthread_t thread;
	sigset_t mask;
	bool on_lane;
};

static void looks(void *arg)
{
	struct where *w = arg;

	w->thread = pthread_self();
	w->on_lane = lane_self() != NULL;
	pthread_sigmask(SIG_SETMASK, NULL, &w->mask);
}

static void calls_looks(void *arg)
{
	cr_assert_eq(pl_blocking(looks, arg), 0);
}

Test(blocking, test_blocking_runs_on_a_thread_with_the_programs_signal_mask)
{
	struct where w = {.on_lane = true};
	sigset_t usr2;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	run(calls_looks, &w);
	cr_assert(!pthread_equal(w.thread, pthread_self()));
	cr_assert(!w.on_lane);
	cr_assert(sigismember(&w.mask, SIGUSR2));
	for (int sig = 1; sig < SIGRTMIN; sig++)
		cr_assert(sig == SIGUSR2 || !sigismember(&w.mask, sig), "%d", sig);
}

/* ---- the children of a call, which inherit its mask ---- */

static void starts_shell(void *arg)
{
	/* the shell's wait is for SIGCHLD */
	*(int *)arg = system("sleep .1 & wait");
}

static void starts_sleep(void *arg)
{
	static char name[] = "sleep", time[] = "20";
	char *argv[] = {name, time, NULL};
	pid_t pid;

	if (posix_spawnp(&pid, name, NULL, NULL, argv, environ))
		return;
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, arg, 0);
}

struct starts {
	void (*fn)(void *arg);
	int status;
};

static void calls_starts(void *arg)
{
	struct starts *s = arg;

	cr_assert_eq(pl_blocking(s->fn, &s->status), 0);
}

Test(blocking, test_blocking_shell_of_a_call_can_wait, .timeout = 20)
{
	struct starts s = {starts_shell, -1};

	run(calls_starts, &s);
	cr_assert_eq(s.status, 0);
}

Test(blocking, test_blocking_child_of_a_call_ends_by_sigterm, .timeout = 10)
{
	struct starts s = {starts_sleep, 0};

	run(calls_starts, &s);
	cr_assert(WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGTERM, "%x", s.status);
}

static void calls_held(void *arg)
{
	err[(intptr_t)arg] = pl_blocking(held, NULL);
}

static void lets_go(void *arg)
{
	/* the lane runs this while a job is held: nothing else would end it */
	for (intptr_t n = (intptr_t)arg; n > 0; n--)
		sem_wait(&begun);
	for (intptr_t n = (intptr_t)arg; n > 0; n--)
		sem_post(&go_on);
}

static void starts_many(void *arg)
{
	intptr_t n = (intptr_t)arg;

	for (intptr_t i = 0; i < n; i++)
		cr_assert_eq(pl_go(calls_held, (void *)i), 0);
	pl_yield();
	pl_yield();
	cr_assert_eq(pl_go(lets_go, (void *)min_t(intptr_t, n, PL_BLOCKING_THREADS)), 0);
	for (; n > PL_BLOCKING_THREADS; n--)
		sem_post(&go_on);
}

Test(blocking, test_blocking_lane_goes_on_meanwhile)
{
	init();
	run(starts_many, (void *)1);
	cr_assert_eq(ran, 1);
	cr_assert_eq(err[0], 0);
}

Test(blocking, test_blocking_beyond_the_pool_waits_its_turn, .timeout = 60)
{
	init();
	run(starts_many, (void *)(PL_BLOCKING_THREADS + 20));
	cr_assert_eq(ran, PL_BLOCKING_THREADS + 20);
	for (int i = 0; i < PL_BLOCKING_THREADS + 20; i++)
		cr_assert_eq(err[i], 0);
}

Test(blocking, test_blocking_outside_of_a_g_is_exdev)
{
	cr_assert_eq(pl_blocking(counts, &ran), -EXDEV);
	cr_assert_eq(pl_blocking_drop(counts, &ran, drops), -EXDEV);
	cr_assert_eq(ran + dropped, 0);
}

static void calls_inline(void *arg)
{
	cr_assert_eq(pl_blocking(counts, arg), 0);
	cr_assert_eq(*(int *)arg, 1);
}

Test(blocking, test_blocking_in_virtual_time_is_inline)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, calls_inline, &ran);
	cr_assert_eq(env_turns(&e, 1), 1);
	cr_assert_eq(ran, 1);
	env_fini(&e);
}

/* ---- its ctx ends ---- */

static void calls_in_ctx(void *arg)
{
	intptr_t i = (intptr_t)arg;

	(void)pl_ctx_enter(ctx);
	err[i] = i & 1 ? pl_blocking_drop(held, NULL, drops) : pl_blocking(held, NULL);
}

static void cancels_running(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
	for (intptr_t i = 0; i < 2; i++)
		cr_assert_eq(pl_go(calls_in_ctx, (void *)i), 0);
	pl_yield();
	pl_yield();
	sem_wait(&begun);
	sem_wait(&begun);
	err[0] = err[1] = 99;
	pl_ctx_cancel(ctx, 0);
	pl_yield();
	pl_yield();
	cr_assert_eq(err[0], 99, "its arg may lie on the stack: it is waited for");
	cr_assert_eq(err[1], -ECANCELED);
	cr_assert_eq(dropped, 0, "not while it runs");
	sem_post(&go_on);
	sem_post(&go_on);
	pl_ctx_put(ctx);
}

Test(blocking, test_blocking_ctx_ends_while_it_runs)
{
	init();
	run(cancels_running, NULL);
	cr_assert_eq(err[0], 0);
	while (!__atomic_load_n(&dropped, __ATOMIC_SEQ_CST))
		sched_yield();
	cr_assert_eq(ran, 2);
	cr_assert_eq(dropped, 1);
}

static void cancels_queued(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
	for (intptr_t i = 2; i < 2 + PL_BLOCKING_THREADS; i++)
		cr_assert_eq(pl_go(calls_held, (void *)i), 0);
	pl_yield();
	pl_yield();
	for (int i = 0; i < PL_BLOCKING_THREADS; i++)
		sem_wait(&begun);
	for (intptr_t i = 0; i < 2; i++)
		cr_assert_eq(pl_go(calls_in_ctx, (void *)i), 0);
	pl_yield();
	pl_yield();
	pl_ctx_cancel(ctx, 0);
	pl_yield();
	pl_yield();
	cr_assert(err[0] == -ECANCELED && err[1] == -ECANCELED);
	cr_assert_eq(dropped, 1, "once, and only what has a drop");
	for (int i = 0; i < PL_BLOCKING_THREADS; i++)
		sem_post(&go_on);
	(void)pl_ctx_enter(ctx);
	cr_assert_eq(pl_blocking(counts, &ran), -ECANCELED, "a later call does not even begin");
	cr_assert_eq(pl_blocking_drop(counts, &ran, drops), -ECANCELED);
	cr_assert_eq(dropped, 2);
	pl_ctx_leave(NULL);
	pl_ctx_put(ctx);
}

Test(blocking, test_blocking_ctx_ends_before_it_runs, .timeout = 60)
{
	init();
	run(cancels_queued, NULL);
	cr_assert_eq(ran, PL_BLOCKING_THREADS);
}

/* ---- the lane ends first ---- */

static void *posts_later(void *arg)
{
	(void)arg;
	sem_wait(&begun);
	sem_post(&go_on);
	return NULL;
}

static void stops_lane(void *arg)
{
	(void)arg;
	pl_yield();
	pl_lane_stop();
}

Test(blocking, test_blocking_lane_end_waits_for_what_runs)
{
	struct lane *l = real_lane();
	pthread_t t;

	init();
	cr_assert_eq(lane_go(l, calls_held, NULL, "held"), 0);
	cr_assert_eq(lane_go(l, stops_lane, NULL, "stop"), 0);
	cr_assert_eq(lane_run(l), 0);
	cr_assert_eq(pthread_create(&t, NULL, posts_later, NULL), 0);
	lane_destroy(l);
	cr_assert(ran == 1 || sem_trywait(&go_on) != 0, "it ran, or never began");
	pthread_cancel(t);
	pthread_join(t, NULL);
}

static void calls_drop(void *arg)
{
	(void)arg;
	(void)pl_blocking_drop(held, NULL, drops);
}

Test(blocking, test_blocking_lane_end_leaves_behind_what_can_be_dropped)
{
	struct lane *l = real_lane();

	init();
	cr_assert_eq(lane_go(l, calls_drop, NULL, "drop"), 0);
	cr_assert_eq(lane_go(l, stops_lane, NULL, "stop"), 0);
	cr_assert_eq(lane_run(l), 0);
	lane_destroy(l);
	sem_post(&go_on);
	while (!__atomic_load_n(&dropped, __ATOMIC_SEQ_CST))
		sched_yield();
	cr_assert_eq(dropped, 1);
}

static void *posts_after_a_while(void *arg)
{
	(void)arg;
	usleep(1300000);
	sem_post(&go_on);
	sem_post(&go_on);
	return NULL;
}

static void calls_long(void *arg)
{
	(void)arg;
	(void)pl_blocking(held, NULL);
}

/* What is left behind has a semaphore of its own: it must not take what is meant for the others. */
static sem_t may_end;

static void held_longest(void *arg)
{
	(void)arg;
	sem_post(&begun);
	sem_wait(&may_end);
}

static void calls_drop_longest(void *arg)
{
	(void)arg;
	(void)pl_blocking_drop(held_longest, NULL, drops);
}

static void stops_lane_once_begun(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		while (sem_trywait(&begun))
			pl_yield();
	pl_lane_stop();
}

/* By hand what a pl_run does, with stderr in a pipe. */
static void ends_slowly(struct lane_group *grp)
{
	struct lane *l = real_lane();
	pthread_t t;

	init();
	if (grp)
		lane_join(l, grp, 0);
	cr_assert_eq(lane_go(l, calls_long, NULL, "first_caller"), 0);
	cr_assert_eq(lane_go(l, calls_long, NULL, "other_caller"), 0);
	cr_assert_eq(lane_go(l, calls_drop_longest, NULL, "left"), 0);
	cr_assert_eq(lane_go(l, stops_lane_once_begun, NULL, "stop"), 0);
	cr_assert_eq(lane_run(l), 0);
	cr_assert_eq(pthread_create(&t, NULL, posts_after_a_while, NULL), 0);
	lane_destroy(l);
	pthread_join(t, NULL);
	sem_post(&may_end);
}

Test(blocking, test_blocking_end_that_waits_says_for_what, .timeout = 20)
{
	cr_assert_eq(sem_init(&may_end, 0, 0), 0);
	for (int alone = 0; alone < 2; alone++) {
		struct lane_group *grp = NULL;
		char text[1024];
		int fd[2], old;
		ssize_t n;

		if (!alone)
			cr_assert_eq(lane_group_create(1, &grp), 0);
		cr_assert_eq(pipe(fd), 0);
		old = dup(STDERR_FILENO);
		cr_assert_eq(dup2(fd[1], STDERR_FILENO), STDERR_FILENO);
		ends_slowly(grp);
		cr_assert_eq(dup2(old, STDERR_FILENO), STDERR_FILENO);
		close(fd[1]);
		n = read(fd[0], text, sizeof(text) - 1);
		cr_assert_gt(n, 0);
		text[n] = '\0';
		cr_assert_not_null(strstr(text, "waits for 2 calls of pl_blocking()"), "%s", text);
		cr_assert_not_null(strstr(text, "_caller)"), "%s", text);
		/* its address where the library was built without libdw */
		cr_assert(strstr(text, " held by goroutine") || strstr(text, " 0x"), "%s", text);
		cr_assert_eq(strchr(text, '\n'), text + n - 1, "one line: %s", text);
		close(fd[0]);
		close(old);
		lane_group_destroy(grp);
	}
}
