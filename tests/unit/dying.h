/* SPDX-License-Identifier: BSD-3-Clause */
/* The last words of a program that is meant to end: it is a child, and its stderr a pipe. */
#ifndef TESTS_UNIT_DYING_H
#define TESTS_UNIT_DYING_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "poller/lane.h"

/* dying - fn(arg) in a child; what it wrote on stderr into text[size]. Returns its status. */
static inline int dying(void (*fn)(void *arg), void *arg, char *text, size_t size)
{
	size_t len = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGSEGV, SIG_DFL);
		(void)dup2(fd[1], 2);
		/* Criterion's own among them: it waits for their end */
		(void)close_range(3, ~0u, 0);
		fn(arg);
		_exit(0);
	}
	close(fd[1]);
	while (len < size - 1 && (n = read(fd[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* run_named - fn as the only goroutine of a real lane, until it has ended. */
static inline void run_named(void (*fn)(void *arg), void *arg, const char *name)
{
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	cfg.max_g = 64;
	cr_assert_eq(lane_create(&cfg, &l), 0);
	cr_assert_eq(lane_go(l, fn, arg, name), 0);
	cr_assert_eq(lane_run(l), 0);
	lane_destroy(l);
}

static inline void *dying_nothing(void *arg)
{
	return arg;
}

static inline void dying_thread(void *arg)
{
	pthread_t t;

	(void)arg;
	if (pthread_create(&t, NULL, dying_nothing, NULL) || pthread_join(t, NULL))
		_exit(1);
}

/* need_threads_of_a_child - qemu-user 7.2 ends a child that was forked beside other threads when it
 * starts one itself ("qemu_plugin_vcpu_init_hook: assertion failed"). A pl_run does. */
static inline void need_threads_of_a_child(void)
{
	static char text[1024];

	if (dying(dying_thread, NULL, text, sizeof(text)))
		cr_skip("a forked child cannot start a thread here (qemu-user)");
}

#endif
