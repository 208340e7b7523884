/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program to look into: two lanes with NR goroutines each, parked, and, when told to, one
 * goroutine that never gives its lane back, or one for each way to wait. For tests of dumps, gdb
 * and Valgrind.
 *
 * usage: crowd NR [busy | once | ways | deep]; says "ready" on stdout, ends on SIGTERM, or with
 * `once` when all have been parked and woken.
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
static bool busy, once, ways, deep;

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

/* overflows - two functions by turns, and one that calls itself in front of them. */
static NOINLINE unsigned fall(unsigned depth);
static NOINLINE unsigned fall_on(unsigned depth)
{
	volatile char room[200] = {(char)depth};

	return fall(depth + 1) + (unsigned)room[depth % sizeof(room)];
}

static NOINLINE unsigned fall(unsigned depth)
{
	volatile char room[100] = {(char)depth};

	return (depth < 100 ? fall(depth + 1) : fall_on(depth)) +
	       (unsigned)room[depth % sizeof(room)];
}

static void falls(void *arg)
{
	*(unsigned *)arg = fall(0);
}

static void hog(void *arg)
{
	(void)arg;
	for (;;)
		__asm__ volatile("" ::: "memory");
}

/* ---- one for each way to wait; each with a name that says which ---- */

static struct pl_mutex mutex;
static struct pl_cond cond;
static struct pl_wait_group group;
static struct pl_chan *chan;
static struct pl_conn *pipe_end, *full_pipe;

static void wants_mutex(void *arg)
{
	(void)arg;
	(void)pl_mutex_lock(&mutex);
}

static void wants_signal(void *arg)
{
	struct pl_mutex m = {0};

	(void)arg;
	(void)pl_mutex_lock(&m);
	(void)pl_cond_wait(&cond, &m);
}

static void wants_none(void *arg)
{
	(void)arg;
	(void)pl_wait_group_wait(&group);
}

static void wants_elem(void *arg)
{
	(void)arg;
	(void)pl_chan_recv(chan, NULL);
}

static void wants_receiver(void *arg)
{
	(void)pl_chan_send(arg, NULL);
}

static void wants_any(void *arg)
{
	struct pl_select_case k = {chan, PL_SELECT_RECV, NULL, 0};

	(void)arg;
	(void)pl_select(&k, 1, false);
}

static void wants_bytes(void *arg)
{
	char c;

	(void)arg;
	(void)pl_read(pipe_end, &c, 1);
}

static void wants_room(void *arg)
{
	static char much[1 << 20];

	(void)arg;
	(void)pl_write(full_pipe, much, sizeof(much));
}

static void wants_turn(void *arg)
{
	wants_bytes(arg);
}

static void pauses(void *arg)
{
	(void)arg;
	(void)pause();
}

static void wants_call(void *arg)
{
	(void)pl_blocking(pauses, arg);
}

static void wait_in_all_ways(void)
{
	static void (*const fn[])(void *arg) = {
		wants_mutex, wants_signal, wants_none, wants_elem, wants_receiver,
		wants_any,   wants_bytes,  wants_turn, wants_room, wants_call};
	static const char *const name[] = {
		"wants_mutex", "wants_signal", "wants_none", "wants_elem", "wants_receiver",
		"wants_any",   "wants_bytes",  "wants_turn", "wants_room", "wants_call"};
	struct pl_chan *nobody;
	int fd[2];

	if (pl_chan_make(0, 0, 0, &chan) || pl_chan_make(0, 0, 0, &nobody) || pipe(fd) ||
	    pl_mutex_lock(&mutex) || pl_wait_group_add(&group, 1) ||
	    pl_adopt(fd[0], 0, &pipe_end) || pipe(fd) || pl_adopt(fd[1], 0, &full_pipe))
		exit(3);
	for (unsigned i = 0; i < ARRAY_SIZE(fn); i++)
		if (pl_go_named(fn[i], nobody, name[i]))
			exit(3);
}

static void first(void *arg)
{
	for (unsigned i = 0; i < nr; i++)
		if (pl_go(customer, NULL))
			exit(3);
	if (ways && arg == lanes[0])
		wait_in_all_ways();
	pl_yield();
	if (deep && arg == lanes[1] && pl_go(falls, &nr))
		exit(3);
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
	deep = argc > 2 && strcmp(argv[2], "deep") == 0;
	ways = argc > 2 && strcmp(argv[2], "ways") == 0;
	once = argc > 2 && strcmp(argv[2], "once") == 0;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	lane_config_init(&cfg);
	cfg.max_g = nr + 32;
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
	if (busy || ways)
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
