/* SPDX-License-Identifier: BSD-3-Clause */
/* fork(2) and pthread_exit(3) in a goroutine: what a child may do, and what is said of the rest. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <parklane/parklane.h>

#include "bug_signal.h"
#include "dying.h"
#include "poller/coro.h"

static char text[8192];

/* ---- a child that is exec'd, or ends, at once ---- */

static void looks_at_mask(void *arg)
{
	sigset_t mask;
	pid_t pid = fork();

	if (pid == 0) {
		int bad = 0;

		(void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
		for (int sig = 1; sig < SIGRTMIN; sig++)
			bad |= sigismember(&mask, sig) != (sig == SIGUSR2);
		_exit(bad);
	}
	(void)waitpid(pid, arg, 0);
}

Test(lane_fork, test_fork_child_has_the_programs_signal_mask, .timeout = 20)
{
	int status = -1;
	sigset_t usr2;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	run_named(looks_at_mask, &status, "looks_at_mask");
	cr_assert_eq(status, 0);
}

static void starts_shell(void *arg)
{
	*(int *)arg = system("sleep .1 & wait");
}

Test(lane_fork, test_fork_shell_of_a_goroutine_can_wait, .timeout = 20)
{
	int status = -1;

	run_named(starts_shell, &status, "starts_shell");
	cr_assert_eq(status, 0);
}

/* ---- one that goes on ---- */

/* in_child - the child of its fork calls fn and ends with 0; its status into *status. */
struct child {
	void (*fn)(void);
	int status;
};

static struct child child;
static struct pl_conn *conn;

static void forks(void *arg)
{
	int fd[2];
	pid_t pid;

	(void)arg;
	cr_assert_eq(pipe(fd), 0);
	cr_assert_eq(pl_adopt(fd[0], 0, &conn), 0);
	pid = fork();
	if (pid == 0) {
		if (!child.fn)
			return;
		child.fn();
		_exit(0);
	}
	(void)waitpid(pid, &child.status, 0);
	pl_sleep(1000000); /* the parent's lane is as it was */
	cr_assert_eq(pl_close(conn), 0);
	close(fd[1]);
}

static void run_forks(void *arg)
{
	(void)arg;
	run_named(forks, NULL, "forks");
	_exit(WIFSIGNALED(child.status) ? WTERMSIG(child.status) : 0);
}

static void sleeps(void)
{
	(void)pl_sleep(1000);
}

static void reads(void)
{
	char c;

	(void)pl_read(conn, &c, 1);
}

static void starts(void)
{
	(void)pl_go_named(starts_shell, NULL, "none");
}

static void closes(void)
{
	(void)pl_close(conn);
}

Test(lane_fork, test_fork_child_that_calls_parklane_is_told_and_ends, .timeout = 30)
{
	static void (*const fn[])(void) = {sleeps, reads, starts, closes, NULL};

	for (unsigned i = 0; i < sizeof(fn) / sizeof(fn[0]); i++) {
		int status;

		child.fn = fn[i];
		status = dying(run_forks, NULL, text, sizeof(text));
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) != 0, "%u: %x %s", i, status,
			  text);
		cr_assert_not_null(strstr(text, "goroutine 1 (forks) called into Parklane in the "
						"child of its fork()"),
				   "%u: %s", i, text);
	}
}

/* ---- the thread's end: ASan keeps the shadow of the goroutine's stack for the thread's ---- */

#if !defined(CORO_ASAN)
static void exits(void *arg)
{
	pthread_exit(arg);
}

static void run_exits(void *arg)
{
	(void)arg;
	run_named(exits, NULL, "exits");
}

Test(lane_fork, test_pthread_exit_in_a_goroutine_names_the_rule, .timeout = 20)
{
	int status = dying(run_exits, NULL, text, sizeof(text));

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == BUG_SIGNAL, "%x %s", status, text);
	cr_assert_not_null(strstr(text, "mistake of the program's: a goroutine ended its lane's "
					"thread (pthread_exit"),
			   "%s", text);
	cr_assert_not_null(strstr(text, "goroutine 1 (exits)"), "%s", text);
}
#endif
