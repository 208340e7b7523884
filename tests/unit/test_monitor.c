/* SPDX-License-Identifier: BSD-3-Clause */
/* The monitor names a goroutine that holds its lane, once, and none that does not. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "poller/group.h"
#include "poller/lane.h"
#include "poller/monitor.h"
#include "poller/parklane/conn.h"
#include "poller/parklane/go.h"

static struct lane_group *grp;
static struct lane *lane;

static uint64_t mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static unsigned told;
static struct monitor_hog last;

static void note(void *ctx, const struct monitor_hog *h)
{
	(void)ctx;
	last = *h;
	told++;
}

static void run(void (*fn)(void *arg), const char *name)
{
	struct lane_config cfg;

	lane_config_init(&cfg);
	cfg.max_g = 64;
	cr_assert_eq(lane_create(&cfg, &lane), 0);
	cr_assert_eq(lane_group_create(1, &grp), 0);
	lane_join(lane, grp, 0);
	cr_assert_eq(lane_go(lane, fn, NULL, name), 0);
	cr_assert_eq(monitor_start(grp, note, NULL), 0);
	cr_assert_eq(lane_run(lane), 0);
	monitor_stop(grp);
	lane_destroy(lane);
	lane_group_destroy(grp);
}

static struct monitor_report seen;

static void hog(void *arg)
{
	uint64_t end = mono() + 100000000;

	(void)arg;
	pl_yield();
	while (mono() < end)
		;
	monitor_get(grp, &seen);
	pl_lane_stop();
}

Test(monitor, test_monitor_R44_names_who_holds_the_lane_once, .timeout = 30)
{
	run(hog, "hog");
	cr_assert_eq(told, 1);
	cr_assert_str_eq(last.name, "hog");
	cr_assert_eq(last.lane, 0);
	cr_assert_geq(last.held_ns, MONITOR_PERIOD_NS);
	cr_assert_eq(seen.hogs, 1);
	cr_assert_str_eq(seen.last.name, "hog");
}

static struct monitor_report early, ended;

/* long_hog - looks until the monitor has looked: on a busy machine that is when it has a cpu. */
static void long_hog(void *arg)
{
	uint64_t late = mono() + 20000000000u, enough = 200000000;

	(void)arg;
	pl_yield();
	do
		monitor_get(grp, &early);
	while (early.last.held_ns < 200000000 && mono() < late);
	enough += max_t(uint64_t, early.last.held_ns, MONITOR_LONG_NS);
	do
		monitor_get(grp, &seen);
	while (seen.last.held_ns < enough && mono() < late);
	pl_yield();
	do {
		pl_sleep(10000000);
		monitor_get(grp, &ended);
	} while (ended.holding && mono() < late);
	pl_lane_stop();
}

Test(monitor, test_monitor_long_hold_is_told_again_and_grows_while_it_lasts, .timeout = 30)
{
	run(long_hog, "long_hog");
	/* once if its first look at it came after a second */
	cr_assert(told == 2 || (told == 1 && early.last.held_ns >= MONITOR_LONG_NS),
		  "told %u times", told);
	cr_assert(last.is_long);
	cr_assert_geq(last.held_ns, MONITOR_LONG_NS);
	cr_assert_eq(seen.hogs, 1);
	cr_assert(early.holding && seen.holding && !ended.holding);
	cr_assert_geq(early.last.held_ns, 200000000);
	cr_assert_gt(seen.last.held_ns, early.last.held_ns);
	cr_assert_geq(ended.last.held_ns, seen.last.held_ns);
}

static void decent(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++)
		pl_sleep(5000000);
	pl_lane_stop();
}

Test(monitor, test_monitor_R44_sleepers_are_not_named, .timeout = 30)
{
	run(decent, "decent");
	cr_assert_eq(told, 0);
}

Test(monitor, test_monitor_none_tells_nothing)
{
	cr_assert_eq(lane_group_create(1, &grp), 0);
	monitor_get(grp, &seen);
	cr_assert_eq(seen.hogs, 0);
	monitor_stop(grp);
	lane_group_destroy(grp);
}

/* ---- R44: a movable g waits on the epoll of a lane that another g holds ---- */

static struct pl_conn *far_conn;
static uint64_t hog_began, hog_ended, read_at;
static unsigned read_on = 9;
static bool reader_bound;
static struct lane *two[2];

static void far_reader(void *arg)
{
	char c;

	(void)arg;
	cr_assert_eq(pl_read(far_conn, &c, 1), 1);
	read_at = mono();
	read_on = pl_lane_index();
}

static void far_hog(void *arg)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	struct pl_addr addr = {.family = PL_AF_INET, .v4 = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0), peer;

	(void)arg;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sin, len), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	addr.port = ntohs(sin.sin_port);
	cr_assert_eq(pl_dial(PL_NET_KERNEL, &addr, 0, &far_conn), 0);
	peer = accept(fd, NULL, NULL);
	cr_assert_eq(reader_bound ? pl_go(far_reader, NULL) : pl_go_movable(far_reader, NULL), 0);
	pl_sleep(20000000); /* it parks, here or on lane 1 */
	hog_began = mono();
	cr_assert_eq(write(peer, "x", 1), 1);
	while (mono() < hog_began + 200000000)
		;
	hog_ended = mono();
	if (reader_bound)
		pl_sleep(1); /* only here it can run */
	pl_lane_stop();
}

static void *two_lanes(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct lane_config cfg;

	lane_config_init(&cfg);
	cfg.max_g = 64;
	cr_assert_eq(lane_create(&cfg, &two[me]), 0);
	lane_join(two[me], grp, me);
	if (me == 0)
		cr_assert_eq(lane_go(two[0], far_hog, NULL, "far_hog"), 0);
	cr_assert_eq(lane_group_meet(grp, 0), 0);
	if (me == 0)
		cr_assert_eq(monitor_start(grp, NULL, NULL), 0);
	cr_assert_eq(lane_run(two[me]), 0);
	cr_assert_eq(lane_group_meet(grp, 0), 0);
	if (me == 0) {
		monitor_get(grp, &seen);
		monitor_stop(grp);
	}
	cr_assert_eq(lane_group_meet(grp, 0), 0);
	lane_destroy(two[me]);
	return NULL;
}

static void hog_beside_a_reader(void)
{
	pthread_t t;

	cr_assert_eq(lane_group_create(2, &grp), 0);
	cr_assert_eq(pthread_create(&t, NULL, two_lanes, (void *)1), 0);
	two_lanes(NULL);
	pthread_join(t, NULL);
	lane_group_destroy(grp);
}

Test(monitor, test_monitor_R44_polls_for_a_held_lane, .timeout = 30)
{
	hog_beside_a_reader();
	cr_assert_eq(read_on, 1, "the other lane ran it");
	cr_assert_lt(read_at, hog_ended);
	cr_assert_gt(seen.polls, 0);
}

/* What it could take there it may not run: the poll would only drain the epoll of its owner. */
Test(monitor, test_monitor_R44_polls_for_movable_waiters_alone, .timeout = 30)
{
	reader_bound = true;
	hog_beside_a_reader();
	cr_assert_eq(read_on, 0);
	cr_assert_geq(read_at, hog_ended);
	cr_assert_eq(seen.polls, 0);
}
