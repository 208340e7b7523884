/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The processes of compare. Workers: forked while the parent has no threads, told what to do
 * through shared memory and a byte in a pipe. A worker dies with its parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/compare.h"

extern char **environ;

static _Noreturn void worker_main(struct worker *w, int from_parent, int to_parent, pid_t parent,
				  int (*setup)(struct cmp_call *), void (*fn)(struct cmp_call *))
{
	char byte = 0;

	/* Ctrl-C reaches the whole terminal group; the parent decides what ends when. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	w->call->err = setup ? setup(w->call) : 0;
	while (write(to_parent, &byte, 1) == 1 && read(from_parent, &byte, 1) == 1) {
		w->call->err = 0;
		w->call->what[0] = '\0';
		fn(w->call);
	}
	_exit(0);
}

/* Wait for the worker's byte. */
static int worker_wait(struct worker *w, int timeout_ms)
{
	struct pollfd pfd = {.fd = w->from, .events = POLLIN};
	char byte;
	int n;

	for (;;) {
		if (cmp_stop_requested)
			return -EINTR;
		n = poll(&pfd, 1, timeout_ms < 100 ? timeout_ms : 100);
		if (n > 0)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && (timeout_ms -= 100) <= 0)
			return -ETIME;
	}
	return read(w->from, &byte, 1) == 1 ? 0 : -ECHILD;
}

int worker_start(struct worker *w, const char *name, int (*setup)(struct cmp_call *),
		 void (*fn)(struct cmp_call *))
{
	pid_t parent = getpid();
	int down[2], up[2], err;

	if (pipe(down) < 0)
		return -errno;
	if (pipe(up) < 0) {
		err = -errno;
		goto fail_down;
	}
	w->call = mmap(NULL, sizeof(*w->call), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (w->call == MAP_FAILED) {
		err = -errno;
		goto fail_up;
	}
	fflush(NULL);
	w->name = name;
	w->pid = fork();
	if (w->pid == 0) {
		close(down[1]);
		close(up[0]);
		worker_main(w, down[0], up[1], parent, setup, fn);
	}
	if (w->pid < 0) {
		err = -errno;
		w->pid = 0;
		munmap(w->call, sizeof(*w->call));
		goto fail_up;
	}
	close(down[0]);
	close(up[1]);
	w->to = down[1];
	w->from = up[0];
	err = worker_wait(w, 20000);
	return err ? err : w->call->err;
fail_up:
	close(up[0]);
	close(up[1]);
fail_down:
	close(down[0]);
	close(down[1]);
	return err;
}

int worker_call(struct worker *w, int timeout_ms)
{
	char byte = 1;
	int err;

	if (!w->pid)
		return -ECHILD;
	if (write(w->to, &byte, 1) != 1)
		return -ECHILD;
	err = worker_wait(w, timeout_ms);
	if (err == -ECHILD)
		snprintf(w->call->what, sizeof(w->call->what), "the %s process died", w->name);
	else if (err == -ETIME)
		snprintf(w->call->what, sizeof(w->call->what), "the %s process does not answer",
			 w->name);
	return err ? err : w->call->err;
}

void worker_stop(struct worker *w)
{
	if (!w->pid)
		return;
	kill(w->pid, SIGKILL);
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(w->to);
	close(w->from);
	munmap(w->call, sizeof(*w->call));
	w->pid = 0;
}

int cmp_run(const char *const argv[])
{
	posix_spawn_file_actions_t fa;
	int err, status;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(&pid, argv[0], &fa, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
