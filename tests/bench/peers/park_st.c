/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a thread of State Threads costs: the peer of `parklane bench park`, which builds and runs
 * it. Prints "key value" lines, one sample of each; the same patterns as apps/park*.c, where
 * State Threads has them: its yield is st_usleep(0), and the nearest to a channel is a
 * condition variable, one way.
 */
#include <st.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define OPS        (1u << 20)
#define YIELD_OPS  (1u << 17) /* a yield is a system call there */
#define YIELDERS   64
#define BATCH      63
#define PIPE_OPS   (1u << 15)
#define STACK_SIZE (64 * 1024)

static unsigned left, alive;
static st_cond_t turn[2];
static int fds[2][2];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void say(const char *key, uint64_t began, unsigned n)
{
	printf("%s %.3f\n", key, (double)(now() - began) / n);
}

static st_thread_t start(void *(*fn)(void *arg), void *arg, bool joinable)
{
	st_thread_t t = st_thread_create(fn, arg, joinable, STACK_SIZE);

	if (!t) {
		fprintf(stderr, "st_thread_create failed\n");
		exit(1);
	}
	return t;
}

static void *yielder(void *arg)
{
	while (left > 0) {
		left--;
		st_usleep(0);
	}
	return arg;
}

static void yield(void)
{
	st_thread_t t[YIELDERS];
	uint64_t began = now();

	left = YIELD_OPS;
	for (int i = 0; i < YIELDERS; i++)
		t[i] = start(yielder, NULL, true);
	for (int i = 0; i < YIELDERS; i++)
		st_thread_join(t[i], NULL);
	say("yield_ns", began, YIELD_OPS);
}

/* One signals the other and waits: each wait that ends is one way. */
static void *to_and_fro(void *arg)
{
	intptr_t me = (intptr_t)arg;

	while (left > 0) {
		left--;
		st_cond_signal(turn[1 - me]);
		st_cond_wait(turn[me]);
	}
	st_cond_signal(turn[1 - me]);
	return NULL;
}

static void condition(void)
{
	uint64_t began = now();
	st_thread_t t;

	left = OPS;
	turn[0] = st_cond_new();
	turn[1] = st_cond_new();
	t = start(to_and_fro, (void *)1, true);
	to_and_fro((void *)0);
	st_thread_join(t, NULL);
	say("chan_ns", began, OPS);
}

static void *nothing(void *arg)
{
	alive--;
	return arg;
}

static void spawn(void)
{
	uint64_t began = now();

	for (unsigned n = 0; n < OPS; n++) {
		alive++;
		(void)start(nothing, NULL, false);
		if (n % BATCH == BATCH - 1)
			while (alive > 0)
				st_usleep(0);
	}
	say("spawn_ns", began, OPS);
}

static void *bounce(void *arg)
{
	intptr_t me = (intptr_t)arg;
	st_netfd_t r = st_netfd_open(fds[me][0]), w = st_netfd_open(fds[1 - me][1]);
	char b = 'p';

	for (unsigned n = 0; r && w && n < PIPE_OPS; n++) {
		if (me == 0)
			(void)st_write(w, &b, 1, ST_UTIME_NO_TIMEOUT);
		(void)st_read(r, &b, 1, ST_UTIME_NO_TIMEOUT);
		if (me == 1)
			(void)st_write(w, &b, 1, ST_UTIME_NO_TIMEOUT);
	}
	return NULL;
}

static void pipes(void)
{
	uint64_t began = now();
	st_thread_t t;

	if (pipe(fds[0]) || pipe(fds[1]))
		return;
	t = start(bounce, (void *)1, true);
	(void)bounce((void *)0);
	st_thread_join(t, NULL);
	say("pipe_ns", began, 2 * PIPE_OPS);
}

int main(void)
{
	if (st_set_eventsys(ST_EVENTSYS_ALT) || st_init()) {
		fprintf(stderr, "st_init failed\n");
		return 1;
	}
	yield();
	condition();
	spawn();
	pipes();
	return 0;
}
