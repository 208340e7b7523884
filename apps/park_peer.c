/* SPDX-License-Identifier: BSD-3-Clause */
/* The peers of `bench park`: build, run, read what they say. See park_peer.h. */
#include "apps/park_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack/base/compiler.h"

#define ANSWER_MS 120000
#define SAYS_MAX  4096

static const struct {
	const char *key, *name, *source, *exe, *missing;
	const char *argv[12]; /* %s of the source, then of the program */
} peers[PEER_MAX] = {
	[PEER_GO] = {"go",
		     "Go",
		     "park.go",
		     "park_go",
		     "Debian's golang-go",
		     {"go", "build", "-o", "@exe", "@source", NULL}},
	[PEER_ST] = {"st",
		     "State Threads",
		     "park_st.c",
		     "park_st",
		     "a C compiler and Debian's libst-dev",
		     {"cc", "-O2", "-o", "@exe", "@source", "-lst", NULL}},
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* run - argv with its output into out_fd, what it complains about into err_path; a process group
 * of its own. The pid; -errno. */
static pid_t run(const char *const *argv, int out_fd, const char *err_path, int cpu)
{
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? -errno : pid;
	if (cpu >= 0)
		pin(cpu);
	if (dup2(out_fd, STDOUT_FILENO) < 0)
		_exit(127);
	if (err_path) {
		int fd = open(err_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		if (fd >= 0)
			(void)dup2(fd, STDERR_FILENO);
	}
	(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static int status_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool newer(const char *exe, const char *source)
{
	struct stat e, s;

	return !stat(exe, &e) && !stat(source, &s) && e.st_mtime >= s.st_mtime;
}

void peer_build(enum park_peer_id id, const char *dir, struct park_peer *p)
{
	char source[512], log[520], cache[512];
	const char *argv[12];
	unsigned n = 0;
	pid_t pid;

	*p = (struct park_peer){.key = peers[id].key, .name = peers[id].name};
	snprintf(source, sizeof(source), "%s/%s", dir ? dir : PARKLANE_PEERS, peers[id].source);
	snprintf(p->exe, sizeof(p->exe), "%s/%s", PARKLANE_PEERS_OUT, peers[id].exe);
	snprintf(log, sizeof(log), "%s.log", p->exe);
	snprintf(cache, sizeof(cache), "%s/cache", PARKLANE_PEERS_OUT);
	if (access(source, R_OK)) {
		snprintf(p->why, sizeof(p->why), "no %s: give --peers DIR", source);
		return;
	}
	(void)mkdir(PARKLANE_PEERS_OUT, 0755);
	for (; peers[id].argv[n]; n++) {
		argv[n] = peers[id].argv[n];
		if (!strcmp(argv[n], "@exe"))
			argv[n] = p->exe;
		else if (!strcmp(argv[n], "@source"))
			argv[n] = source;
	}
	argv[n] = NULL;
	/* One file of the standard library alone: no module, no network. */
	(void)setenv("GO111MODULE", "off", 1);
	(void)setenv("GOCACHE", cache, 1);
	if (!newer(p->exe, source)) {
		pid = run(argv, STDERR_FILENO, log, -1);
		if (pid < 0 || status_of(pid)) {
			snprintf(p->why, sizeof(p->why), "not built (%s): install %s", log,
				 peers[id].missing);
			return;
		}
	}
	p->there = true;
}

/* Everything that fd says until its end; false if it takes too long. */
static bool hear(int fd, char *buf, size_t size)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	size_t len = 0;

	while (len < size - 1) {
		ssize_t n;

		if (poll(&pfd, 1, ANSWER_MS) == 0)
			return false;
		n = read(fd, buf + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	return true;
}

static void take(char *says, double ns[PARK_ALL])
{
	char *save, key[64];
	double v;

	for (char *line = strtok_r(says, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%63s %lf", key, &v) != 2)
			continue;
		for (unsigned i = 0; i < PARK_ALL; i++)
			if (!strcmp(key, park_keys[i]))
				ns[i] = v;
	}
}

void peer_sample(struct park_peer *p, int cpu, unsigned memory, double ns[PARK_ALL])
{
	char number[16], says[SAYS_MAX];
	const char *argv[] = {p->exe, memory ? "mem" : NULL, number, NULL};
	bool heard = false;
	int fds[2], status;
	pid_t pid;

	for (unsigned i = 0; i < PARK_ALL; i++)
		ns[i] = NAN;
	snprintf(number, sizeof(number), "%u", memory);
	if (!p->there || pipe2(fds, O_CLOEXEC))
		return;
	pid = run(argv, fds[1], NULL, cpu);
	(void)close(fds[1]);
	if (pid > 0) {
		heard = hear(fds[0], says, sizeof(says));
		if (!heard)
			(void)kill(pid, SIGKILL);
		status = status_of(pid);
		if (!heard || status) {
			p->there = false;
			snprintf(p->why, sizeof(p->why), "%.120s ended with status %d", p->exe,
				 status);
		}
	}
	(void)close(fds[0]);
	if (heard && p->there)
		take(says, ns);
}
