/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory figures of `bench park`. See park_mem.h. */
#include "apps/park_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/machine.h"
#include "apps/park.h"

#define BYTES_EACH 6144u /* more than one takes */

struct answer {
	int err;
	double bytes;
	char what[200];
};

unsigned park_mem_fits(unsigned n)
{
	char line[64] = "0";
	double kb;

	machine_line("/proc/meminfo", "MemAvailable", line, sizeof(line));
	kb = strtod(line, NULL);
	return min_t(unsigned, n, (unsigned)(kb * 1024 * 0.8 / BYTES_EACH));
}

int park_mem_sample(unsigned n, bool sockets, double *ret_bytes, char *what, unsigned size)
{
	struct answer a = {.err = -ECHILD};
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	(void)fflush(stdout);
	pid = fork();
	if (pid < 0) {
		a.err = -errno;
	} else if (pid == 0) {
		a.err = park_bytes(n, sockets, &a.bytes, a.what, sizeof(a.what));
		_exit(write(fds[1], &a, sizeof(a)) != sizeof(a));
	}
	(void)close(fds[1]);
	if (pid > 0) {
		if (read(fds[0], &a, sizeof(a)) != sizeof(a))
			a = (struct answer){.err = -ECHILD};
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	(void)close(fds[0]);
	if (a.err)
		snprintf(what, size, "%s", a.what[0] ? a.what : strerror(-a.err));
	else
		*ret_bytes = a.bytes;
	return a.err;
}
