/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program to look into: two lanes with NR goroutines each, parked in several ways, and, when
 * told to, one goroutine that never gives its lane back. For tests of dumps, gdb and Valgrind.
 *
 * usage: crowd NR [busy | once]; says "ready" on stdout, ends on SIGTERM, or with `once` when
 * all have been parked and woken.
 */
#include <parklane/parklane.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "poller/dump.h"
#include "poller/lane.h"
#include "stack/base/compiler.h"

#define DEPTH 5

static struct lane *lanes[2];
static unsigned nr, nr_ready;
static bool busy, once;

/* A few frames, whose names the tests look for. */
static NOINLINE int wait_deep(int depth, int64_t ns)
{
	volatile int left = depth;

	if (left > 0)
		return wait_deep(left - 1, ns) + 1;
	pl_sleep(ns);
	return left;
}

static void customer(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&nr_ready, 1, __ATOMIC_RELAXED);
	(void)wait_deep(DEPTH, once ? 1000000 : INT64_MAX);
}

static void hog(void *arg)
{
	(void)arg;
	for (;;)
		__asm__ volatile("" ::: "memory");
}

static void first(void *arg)
{
	for (unsigned i = 0; i < nr; i++)
		if (pl_go(customer, NULL))
			exit(3);
	pl_yield();
	if (busy && arg == lanes[1] && pl_go(hog, NULL))
		exit(3);
}

static void *run(void *lane)
{
	return lane_run(lane) ? lane : NULL;
}

int main(int argc, char **argv)
{
	struct timespec tick = {.tv_nsec = 1000000};
	struct lane_config cfg;
	pthread_t t[2];
	sigset_t term;
	int sig;

	nr = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	busy = argc > 2 && strcmp(argv[2], "busy") == 0;
	once = argc > 2 && strcmp(argv[2], "once") == 0;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	lane_config_init(&cfg);
	cfg.max_g = nr + 16;
	for (int i = 0; i < 2; i++)
		if (lane_create(&cfg, &lanes[i]) || lane_go(lanes[i], first, lanes[i], "first") ||
		    pthread_create(&t[i], NULL, run, lanes[i]))
			return 3;
	if (dump_on_sigquit())
		return 3;
	while (__atomic_load_n(&nr_ready, __ATOMIC_RELAXED) < 2 * nr)
		nanosleep(&tick, NULL);
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	puts("ready");
	fflush(stdout);
	if (!once)
		sigwait(&term, &sig);
	if (busy)
		_exit(0);
	for (int i = 0; i < 2; i++) {
		if (!once)
			lane_stop(lanes[i]);
		pthread_join(t[i], NULL);
		lane_destroy(lanes[i]);
	}
	dump_off_sigquit();
	return 0;
}
