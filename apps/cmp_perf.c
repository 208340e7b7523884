/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters on tracepoints, by perf_event_open on one cpu: what /proc does not count. Only the
 * ledger's own samples run with them open: no tracing while the clock runs.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apps/cmp_proc.h"

/* Younger architectures never had it. */
#ifndef SYS_epoll_wait
#define SYS_epoll_wait SYS_epoll_pwait
#endif

#define TRACEFS "/sys/kernel/tracing"

#define ANY_OF3(a, b, c)    "id==" NUM(a) "||id==" NUM(b) "||id==" NUM(c)
#define ANY_OF4(a, b, c, d) ANY_OF3(a, b, c) "||id==" NUM(d)
#define NUM(n)              NUM_(n)
#define NUM_(n)             #n

static const struct {
	enum cmp_row row;
	const char *event, *filter, *source;
} counters[PERF_ROWS] = {
	{ROW_SYS_READ, "raw_syscalls/sys_enter", ANY_OF3(SYS_read, SYS_recvfrom, SYS_recvmsg),
	 "perf raw_syscalls:sys_enter"},
	{ROW_SYS_WRITE, "raw_syscalls/sys_enter", ANY_OF3(SYS_write, SYS_sendto, SYS_sendmsg),
	 "perf raw_syscalls:sys_enter"},
	{ROW_SYS_EPOLL, "raw_syscalls/sys_enter",
	 ANY_OF4(SYS_epoll_pwait2, SYS_epoll_pwait, SYS_epoll_wait, SYS_epoll_ctl),
	 "perf raw_syscalls:sys_enter"},
	/* All of them; perf_rows() takes the named ones off. */
	{ROW_SYS_OTHER, "raw_syscalls/sys_enter", "id>=0", "perf raw_syscalls:sys_enter"},
	{ROW_SKB, "skb/consume_skb", NULL, "perf skb:consume_skb (frees)"},
	{ROW_WAKEUPS, "sched/sched_waking", NULL, "perf sched:sched_waking"},
};

static int read_id(const char *event)
{
	char path[128], buf[16];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), TRACEFS "/events/%s/id", event);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	buf[n] = '\0';
	return atoi(buf);
}

/* filter is about system calls: those of other threads than tid are left out. */
static int open_counter(int cpu, pid_t tid, const char *event, const char *filter)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr)};
	int id = read_id(event), fd;
	char text[160];

	if (id < 0)
		return -1;
	attr.config = (uint64_t)id;
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 || !filter)
		return fd;
	snprintf(text, sizeof(text), "(%s)&&common_pid==%d", filter, (int)tid);
	if (ioctl(fd, PERF_EVENT_IOC_SET_FILTER, text) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void perf_open(struct perf_set *p, int cpu, pid_t tid)
{
	if (access(TRACEFS "/events", R_OK) < 0 && unshare(CLONE_NEWNS) == 0 &&
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		(void)mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	for (unsigned i = 0; i < PERF_ROWS; i++)
		p->fd[i] = open_counter(cpu, tid, counters[i].event, counters[i].filter);
}

void perf_snap(const struct perf_set *p, uint64_t now[PERF_ROWS])
{
	for (unsigned i = 0; i < PERF_ROWS; i++) {
		if (p->fd[i] < 0 || read(p->fd[i], &now[i], sizeof(now[i])) != sizeof(now[i]))
			now[i] = 0;
	}
}

void perf_rows(const struct perf_set *p, const uint64_t a[PERF_ROWS], const uint64_t b[PERF_ROWS],
	       uint64_t units, struct cmp_ledger *led)
{
	double named = 0, n;

	if (!units)
		return;
	for (unsigned i = 0; i < PERF_ROWS; i++) {
		if (p->fd[i] < 0)
			continue;
		n = (double)(b[i] - a[i]) / (double)units;
		if (counters[i].row == ROW_SYS_OTHER)
			n = n > named ? n - named : 0;
		else
			named += n;
		led->row[counters[i].row] = n;
		led->source[counters[i].row] = counters[i].source;
	}
}

void perf_close(struct perf_set *p)
{
	for (unsigned i = 0; i < PERF_ROWS; i++) {
		if (p->fd[i] >= 0)
			close(p->fd[i]);
		p->fd[i] = -1;
	}
}
