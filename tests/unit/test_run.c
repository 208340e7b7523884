/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pl_run as a program calls it, over kernel sockets: what it leaves in objects that outlive it,
 * where it is refused, and what it says while its end waits.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <parklane/parklane.h>

#include "dying.h"

static struct pl_options opt;

/* ---- two runs over one static object ---- */

static struct pl_mutex m;
static struct pl_rwmutex rw;
static struct pl_cond cond;
static struct pl_wait_group wg;
static int got;

static void wants_mutex(void *arg)
{
	(void)arg;
	if (pl_mutex_lock(&m) == 0)
		got++;
	pl_mutex_unlock(&m);
}

static void wants_read(void *arg)
{
	(void)arg;
	if (pl_rwmutex_rlock(&rw) == 0)
		got++;
	pl_rwmutex_runlock(&rw);
}

static void wants_write(void *arg)
{
	(void)arg;
	if (pl_rwmutex_lock(&rw) == 0)
		got++;
	pl_rwmutex_unlock(&rw);
}

static void wants_signal(void *arg)
{
	struct pl_mutex mine = {0};

	(void)arg;
	cr_assert_eq(pl_mutex_lock(&mine), 0);
	if (pl_cond_wait(&cond, &mine) == 0)
		got++;
	pl_mutex_unlock(&mine);
}

static void wants_none(void *arg)
{
	(void)arg;
	if (pl_wait_group_wait(&wg) == 0)
		got++;
}

static void crowd(void)
{
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(pl_go(wants_mutex, NULL), 0);
		cr_assert_eq(pl_go(wants_read, NULL), 0);
		cr_assert_eq(pl_go(wants_write, NULL), 0);
		cr_assert_eq(pl_go(wants_signal, NULL), 0);
		cr_assert_eq(pl_go(wants_none, NULL), 0);
	}
	pl_yield();
	pl_yield();
}

static void first_run(void *arg)
{
	(void)arg;
	crowd();
}

static void second_run(void *arg)
{
	(void)arg;
	crowd();
	cr_assert_eq(got, 0);
	pl_mutex_unlock(&m);
	pl_rwmutex_unlock(&rw);
	pl_cond_signal(&cond);
	pl_cond_broadcast(&cond);
	cr_assert_eq(pl_wait_group_done(&wg), 0);
	for (int i = 0; i < 20; i++)
		pl_yield();
}

Test(run, test_run_twice_over_one_static_object, .timeout = 20)
{
	/* held by nobody of the first run, so that they are as they were when the second begins */
	cr_assert_eq(pl_mutex_lock(&m), 0);
	cr_assert_eq(pl_rwmutex_lock(&rw), 0);
	cr_assert_eq(pl_wait_group_add(&wg, 1), 0);
	cr_assert_eq(pl_run(&opt, first_run, NULL), 0, "%s", pl_last_error());
	cr_assert_eq(got, 0);
	cr_assert_eq(pl_run(&opt, second_run, NULL), 0, "%s", pl_last_error());
	cr_assert_eq(got, 15);
	cr_assert_eq(m.word + rw.word, 0);
	cr_assert_null(cond.q.head);
	cr_assert_null(wg.q.head);
}

/* ---- where it is refused ---- */

static void runs_again(void *arg)
{
	int *err = arg;

	*err = pl_run(&opt, first_run, NULL);
	cr_assert_not_null(strstr(pl_last_error(), "outside of goroutines"));
}

Test(run, test_run_within_a_goroutine_is_ebusy, .timeout = 20)
{
	int err = 0;

	cr_assert_eq(pl_run(&opt, runs_again, &err), 0);
	cr_assert_eq(err, -EBUSY);
	cr_assert_eq(got, 0);
}

/* ---- its first goroutine ---- */

static void dumps_itself(void *arg)
{
	cr_assert_eq(pl_dump_goroutines(*(int *)arg, 0), 0);
}

Test(run, test_run_first_goroutine_has_the_name_of_its_function, .timeout = 20)
{
	char text[4096];
	ssize_t n;
	int fd[2];

	cr_assert_eq(pipe(fd), 0);
	cr_assert_eq(pl_run(&opt, dumps_itself, &fd[1]), 0);
	n = read(fd[0], text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	cr_assert_not_null(strstr(text, "goroutine 1 [running]: dumps_itself\n"), "%s", text);
}

/* ---- the numbers of its lanes ---- */

static void waits(void *arg)
{
	(void)arg;
	pl_sleep(INT64_MAX);
}

static void dumps_lanes(void *arg)
{
	static const char *const name[] = {"waits_0", "waits_1", "waits_2"};

	for (unsigned i = pl_nr_lanes(); i-- > 0;)
		cr_assert_eq(pl_go_on_named(i, waits, NULL, name[i]), 0);
	cr_assert_eq(pl_dump_goroutines(*(int *)arg, 0), 0);
}

/* dumped_lanes - the dump of a run of three lanes, as text. */
static void dumped_lanes(char *text, size_t size)
{
	struct pl_options three = {.lanes = 3};
	int fd[2];
	ssize_t n;

	cr_assert_eq(pipe(fd), 0);
	cr_assert_eq(pl_run(&three, dumps_lanes, &fd[1]), 0, "%s", pl_last_error());
	close(fd[1]);
	n = read(fd[0], text, size - 1);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	close(fd[0]);
}

/* Under qemu-user a dump takes 5 to 10 s: libdw reads all of the program. */
Test(run, test_run_dump_numbers_lanes_as_pl_lane_index_in_each_run, .timeout = 90)
{
	static const char *const want[] = {
		"lane 0: ", ": waits_0\n", "lane 1: ", ": waits_1\n", "lane 2: ", ": waits_2\n"};
	char text[16384];

	for (int run = 0; run < 2; run++) {
		const char *at = text;

		dumped_lanes(text, sizeof(text));
		for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]) && at; i++)
			at = strstr(at, want[i]);
		cr_assert_not_null(at, "run %d: %s", run, text);
	}
}

/* ---- a goroutine that holds its lane for a second ---- */

static volatile uint64_t spun;

static void spins(void *arg)
{
	struct timespec ts;
	int64_t end;

	(void)arg;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	end = ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + 2500;
	do {
		for (int i = 0; i < 100000; i++)
			spun++;
		(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	} while (ts.tv_sec * 1000 + ts.tv_nsec / 1000000 < end);
	spun++;
}

static void naps(void *arg)
{
	struct timespec long_nap = {.tv_sec = 2};

	*(int *)arg = nanosleep(&long_nap, NULL);
}

static void run_spins(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_run(&opt, spins, NULL), 0);
}

static void run_naps(void *arg)
{
	int err = -1;

	(void)arg;
	cr_assert_eq(pl_run(&opt, naps, &err), 0);
	cr_assert_eq(err, 0, "it was not interrupted");
}

Test(run, test_run_goroutine_that_holds_its_lane_is_told_with_its_frames, .timeout = 20)
{
	static char text[8192];
	const char *at;
	int status;

	need_threads_of_a_child();
	status = dying(run_spins, NULL, text, sizeof(text));
	cr_assert_eq(status, 0, "%x %s", status, text);
	at = strstr(text, "goroutine 1 (spins) has held lane 0 for 1");
	cr_assert_not_null(at, "%s", text);
	cr_assert_null(strstr(strchr(at, '\n'), "has held"), "once: %s", text);
	at = strstr(at, "    spins+0x");
	cr_assert(at && strstr(at, "    coro_trampoline+0x"), "%s", text);
}

Test(run, test_run_goroutine_that_waits_in_the_kernel_is_told_and_not_woken, .timeout = 20)
{
	static char text[8192];
	int status;

	need_threads_of_a_child();
	status = dying(run_naps, NULL, text, sizeof(text));
	cr_assert_eq(status, 0, "%x %s", status, text);
	cr_assert_not_null(strstr(text, "goroutine 1 (naps) has held lane 0 for 1"), "%s", text);
}

/* ---- all wait for each other ---- */

static void locks_twice(void *arg)
{
	static struct pl_mutex own;

	(void)arg;
	cr_assert_eq(pl_mutex_lock(&own), 0);
	(void)pl_mutex_lock(&own);
}

static void receives_alone(void *arg)
{
	struct pl_chan *c;

	(void)arg;
	cr_assert_eq(pl_chan_make(0, 0, 0, &c), 0);
	(void)pl_chan_recv(c, NULL);
}

static void long_call(void *arg)
{
	(void)arg;
	(void)usleep(20000000);
}

static void calls(void *arg)
{
	(void)pl_blocking(long_call, arg);
}

static void receives_beside_call(void *arg)
{
	cr_assert_eq(pl_go(calls, NULL), 0);
	receives_alone(arg);
}

static void *other_thread(void *arg)
{
	long_call(arg);
	return arg;
}

struct stuck {
	void (*fn)(void *arg);
	bool thread;
};

static void run_stuck(void *arg)
{
	const struct stuck *st = arg;
	pid_t me = getpid(), killer = fork();
	pthread_t t;

	if (killer == 0) {
		(void)usleep(2500000);
		(void)kill(me, SIGTERM);
		_exit(0);
	}
	if (st->thread)
		cr_assert_eq(pthread_create(&t, NULL, other_thread, NULL), 0);
	(void)!pl_run(&opt, st->fn, NULL);
}

static bool says_stuck(void (*fn)(void *arg), bool thread)
{
	static char text[8192];
	struct stuck st = {fn, thread};
	int status = dying(run_stuck, &st, text, sizeof(text));

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "%x %s", status, text);
	return strstr(text, "goroutines wait for each other, and nothing can wake them") != NULL;
}

Test(run, test_run_goroutines_that_nothing_can_wake_are_told_of, .timeout = 40)
{
	need_threads_of_a_child();
	cr_assert(says_stuck(locks_twice, false));
	cr_assert(says_stuck(receives_alone, false));
	cr_assert(says_stuck(receives_alone, true), "the channel is the lane's");
	cr_assert_not(says_stuck(locks_twice, true), "the thread may unlock");
	cr_assert_not(says_stuck(receives_beside_call, false), "who called may send");
}

/* ---- its stacks ---- */

static void goes_deep(void *arg)
{
	volatile char room[700 << 10];

	for (size_t i = 0; i < sizeof(room); i += 1024)
		room[i] = 1;
	*(int *)arg = room[0];
}

Test(run, test_run_stack_of_a_goroutine_is_as_large_as_asked_for, .timeout = 20)
{
	struct pl_options deep = {.stack_kib = 1024};
	int got_there = 0;

	cr_assert_eq(pl_run(&deep, goes_deep, &got_there), 0, "%s", pl_last_error());
	cr_assert_eq(got_there, 1);
}
