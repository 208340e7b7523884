/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From nothing to a running lane in one call: what `parklane` itself uses, and what a
 * first program needs. Link with `pkg-config --libs parklane`.
 */
#ifndef PARKLANE_RUN_H
#define PARKLANE_RUN_H

#include <stdbool.h>
#include <stdio.h>

#include <parklane/conn.h>
#include <parklane/go.h>

#ifdef __cplusplus
extern "C" {
#endif

/* So many settings can be given at once. */
#define PL_SETTINGS_MAX 32

/* All strings are borrowed until pl_run returns. A zeroed struct is a lane on kernel
 * sockets and epoll. */
struct pl_options {
	const char *dev;   /* DPDK devargs ("net_tap0,iface=pl0"); NULL = kernel sockets only */
	const char *ip;    /* "10.77.0.2/24"; needed with dev */
	const char *gw;    /* "10.77.0.1"; NULL none */
	unsigned mtu;      /* 0 = the device's */
	unsigned lanes;    /* 0 = as many as cpus names, else 1; at most 64, and as many as the
			    * device has queues */
	const char *cpus;  /* "2", "2,4" or "2-5", from 0: one for each lane; NULL not pinned */
	const char *idle;  /* "spin", "nap:US" or "sleep"; NULL = chosen by the device */
	const char *pcap;  /* write every frame to this file; NULL none */
	const char *fault; /* "loss=0.01,seed=7"; NULL none */
	bool verbose;      /* show what DPDK prints */
	bool uring;        /* kernel sockets over io_uring instead of epoll, also beside dev */
	const char
		*set[PL_SETTINGS_MAX + 1]; /* settings of the stack over dev, as "tcp_sack=0", up to
					       * a NULL; docs/settings.md has them all */
	/* KiB of a goroutine's stack, 16 to 8192; 0 = 64. It is address space, of which memory is
	 * what was touched; what exceeds 64 lowers how many goroutines a lane can have, a million,
	 * in proportion. */
	unsigned stack_kib;
};

/*
 * pl_run - open the device, make the lanes, the first of them on the calling thread, run
 * main_fn(arg) as its first goroutine, and return when that returns (others are ended) or on
 * pl_lane_stop(). 0 or -errno; what went wrong and what to do is in pl_last_error(). -EBUSY the
 * caller is a goroutine, or its thread runs lanes already; -EINVAL also for opt or main_fn NULL.
 * Meanwhile `parklane stat --pid` can look into the process's first lane: a thread without
 * signals answers on PID.sock in /run/parklane, where that cannot be written in
 * $XDG_RUNTIME_DIR/parklane or /tmp/parklane-UID.
 * A goroutine's stack is small, and a signal's handler would run on it. So on the lanes' threads
 * all asynchronous signals are blocked but INT, TERM, QUIT, HUP, PIPE and job control, whose
 * handlers need SA_ONSTACK. USR1, USR2, ALRM and others: take them by signalfd(2), blocked before
 * pl_run, or in a thread of your own that was started, with them unblocked, before pl_run. CHLD
 * stays open if the program has no handler for it. Children inherit what their thread blocks: start
 * them inside pl_blocking(), whose calls have the caller's mask, or by posix_spawn(3) with
 * POSIX_SPAWN_SETSIGMASK. The child of fork(2) gets the caller's mask, and may only call exec or
 * _exit: it has a copy of the lane that nothing turns, and ends with a line when it calls into
 * Parklane.
 */
#define pl_run(opt, main_fn, arg) pl_run_named((opt), (main_fn), (arg), #main_fn)
/* pl_run_named - name: the first goroutine's, in dumps; as of pl_go_named(). */
PL_API int pl_run_named(const struct pl_options *opt, void (*main_fn)(void *arg), void *arg,
			const char *name);

/* pl_last_error - one line about the last failure of pl_run of this thread; "" none. */
PL_API const char *pl_last_error(void);

/* pl_options_argv - fill opt from --epoll, --uring, --dev, --ip ... of argv (argv[0] skipped), by
 * their full names; returns the index of the first argument it does not know, or -EINVAL (a NULL,
 * too) with pl_last_error(). */
PL_API int pl_options_argv(struct pl_options *opt, int argc, char **argv);

/* pl_options_main - pl_options_argv for a program without arguments of its own: what it does
 * not know is -EINVAL as well, and --help prints the options and ends the program with 0.
 * 0; -EINVAL with pl_last_error(). */
PL_API int pl_options_main(struct pl_options *opt, int argc, char **argv);

/* pl_options_help - print the options that pl_options_argv knows, some lines each, to f: for the
 * --help of a program that has some of its own. */
PL_API void pl_options_help(FILE *f);

#ifdef __cplusplus
}
#endif
#endif
