/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says of one cpu and one thread: /proc, and counters on tracepoints where they
 * are allowed. Read from inside a goroutine, hence with static buffers: one reader a process.
 */
#ifndef APPS_CMP_PROC_H
#define APPS_CMP_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "apps/compare.h"

/* Totals since boot (cpu) or since the thread's start. */
struct proc_snap {
	uint64_t tsc;
	/* /proc/stat, ns */
	uint64_t user, system, softirq, irq, idle, steal;
	/* /proc/interrupts, /proc/softirqs */
	uint64_t hardirqs, ipis, softirq_rx, softirq_tx;
	/* /proc/PID/task/TID */
	uint64_t ctx_vol, ctx_invol;
	/* /proc/PID/schedstat of the spinner of this cpu, ns */
	uint64_t spinner;
	/* /proc/PID/net/dev */
	uint64_t packets_rx, packets_tx;
};

/* Whom to watch; 0 = nobody. */
struct proc_watch {
	int cpu;
	pid_t pid, tid; /* the server's process and thread */
	pid_t spinner;
	bool net; /* read NS_DEV's packet counters in pid's namespace */
};

/* proc_read - everything of *w into *ret; what cannot be read stays 0. */
void proc_read(const struct proc_watch *w, struct proc_snap *ret);
/* proc_ledger - rows of /proc between two snaps, per unit. */
void proc_ledger(const struct proc_snap *a, const struct proc_snap *b, uint64_t units,
		 struct cmp_ledger *led);
/* proc_cycles - the cpu's cycles between two snaps that were neither idle, stolen nor the
 * spinner's; *ret_busy is their share. */
double proc_cycles(const struct proc_snap *a, const struct proc_snap *b, double hz,
		   double *ret_busy);
/* proc_steps - the same by the kernel's own split (tick accounting). */
void proc_steps(const struct proc_snap *a, const struct proc_snap *b, double cycles,
		double step[STEP_MAX]);
/*
 * proc_lost_edge - a window of thread tid on `cpu` opens (i = 0) or closes (1). proc_lost - the
 * share of it, 0..1, for which the thread wanted to run and somebody else did: another program, or
 * the hypervisor. What ksoftirqd takes is the test's own, and that an idle cpu takes its time to
 * wake is no loss either. NAN if the kernel does not say (CONFIG_SCHED_INFO).
 */
struct proc_lost {
	/* ns since the thread's start: it waited, less what ksoftirqd ran; it ran, or its cpu
	 * idled */
	int64_t waited[2], had[2];
	uint64_t ns[2];
	bool unknown;
};
void proc_lost_edge(struct proc_lost *l, int i, int cpu, pid_t tid);
double proc_lost(const struct proc_lost *l);
/* ledger_clear - every row unknown. */
void ledger_clear(struct cmp_ledger *led);

/* Counters on tracepoints of one cpu. */
#define PERF_ROWS 6
struct perf_set {
	int fd[PERF_ROWS];
};

/* perf_open - events on `cpu`, system calls of thread `tid` alone. -1 in fd[] where the kernel
 * refuses; never fails as a whole. Makes a mount namespace of its own for tracefs if there is
 * none in sight. */
void perf_open(struct perf_set *p, int cpu, pid_t tid);
void perf_close(struct perf_set *p);
/* perf_snap - totals now. */
void perf_snap(const struct perf_set *p, uint64_t now[PERF_ROWS]);
/* perf_rows - rows of what lies between two snaps, per unit. */
void perf_rows(const struct perf_set *p, const uint64_t a[PERF_ROWS], const uint64_t b[PERF_ROWS],
	       uint64_t units, struct cmp_ledger *led);

#endif
