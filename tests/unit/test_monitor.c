/* SPDX-License-Identifier: BSD-3-Clause */
/* The monitor names a goroutine that holds its lane, once, and none that does not. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "poller/group.h"
#include "poller/lane.h"
#include "poller/monitor.h"
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
