/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pl_run: from options to running lanes. Opens the device, starts a thread for each lane but the
 * first, lets them meet when all are up and again when all have ended, and takes it all down.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/open.h"
#include "apps/stat_serve.h"
#include "apps/tsc.h"
#include "poller/dump.h"
#include "poller/monitor.h"
#include "stack/base/clock.h"

struct run;

/* One lane's thread. */
struct seat {
	struct run *run;
	unsigned index;
	pthread_t thread;
	char why[256]; /* why it could not start; read after the join */
};

/* What the threads share: all (c) once the first meeting is over. */
struct run {
	struct lane_plan plan;
	struct netdev_handle h;
	struct open_lanes all;
	struct seat seat[LANES_MAX];
	unsigned nr_threads; /* the first included */
	void (*main_fn)(void *arg);
	void *main_arg;
	const char *main_name;
	bool verbose;
	uint64_t next_hog_line; /* the monitor's; mono ns */
};

static int open_device(const struct pl_options *opt, const struct lane_plan *plan,
		       struct netdev_handle *ret)
{
	struct netdev_spec spec = {
		.dev = opt->dev,
		.mtu = (uint16_t)opt->mtu,
		.nr_queues = (uint16_t)plan->lanes,
		.node = open_node_of(plan->cpu),
		.pcap = opt->pcap,
		.fault = opt->fault,
		.verbose = opt->verbose,
	};
	char why[200] = "";
	int err = open_check_address(plan->ip);

	if (err)
		return err;
	err = netdev_open_spec(&spec, ret, why, sizeof(why));
	return err ? open_error(err, "%s", *why ? why : strerror(-err)) : 0;
}

/* ---- one lane, on its thread ---- */

static int seat_open(struct seat *s)
{
	struct run *r = s->run;
	struct lane_plan plan = r->plan;
	int err = 0;

	plan.cpu = plan.cpus[s->index];
	if (r->h.dev)
		err = netdev_thread_begin();
	if (err)
		return open_error(err, "DPDK has no place left for another lane's thread");
	err = open_lane(&plan, &r->all, s->index, r->h.dev, r->h.pool, &r->all.lane[s->index]);
	if (err && r->h.dev)
		netdev_thread_end();
	return err;
}

static void seat_close(struct seat *s)
{
	close_lane(&s->run->all.lane[s->index]);
	if (s->run->h.dev)
		netdev_thread_end();
}

/* seat_turns - all are up: turn until the group is stopped, then wait for the others. */
static int seat_turns(struct seat *s)
{
	struct lane_group *grp = s->run->all.grp;
	int err = lane_run(s->run->all.lane[s->index].lane);

	if (err)
		(void)open_error(err, "lane %u did not start: %s", s->index, strerror(-err));
	lane_group_stop(grp);
	return lane_group_meet(grp, err);
}

static void *seat_thread(void *arg)
{
	struct seat *s = arg;
	struct lane_group *grp = s->run->all.grp;
	int err = seat_open(s);

	if (!lane_group_meet(grp, err)) {
		(void)seat_turns(s);
		/* The first lane's owner looks at all of them once more. */
		(void)lane_group_meet(grp, 0);
	}
	memcpy(s->why, pl_last_error(), sizeof(s->why));
	if (!err)
		seat_close(s);
	return NULL;
}

#define HOG_LINE_NS (10 * NSEC_PER_SEC) /* between two lines on goroutines that hold a lane long */

/* told_hog - a line for each goroutine that held its lane for a second, with where it stands if
 * that can be asked without waking it; for each that held it at all, if DPDK's lines are wanted
 * too. */
static void told_hog(void *ctx, const struct monitor_hog *h)
{
	struct run *r = ctx;
	uint64_t now = mono_ns();

	if (!r->verbose && (!h->is_long || now < r->next_hog_line))
		return;
	if (h->is_long)
		r->next_hog_line = now + HOG_LINE_NS;
	(void)fprintf(stderr,
		      "parklane: goroutine %" PRIu64
		      " (%s) has held lane %u for %.0f ms, %.0f of them "
		      "on the cpu: see pl_yield() and pl_blocking()\n",
		      h->g, h->name ? h->name : "?", h->lane, (double)h->held_ns / 1e6,
		      (double)h->cpu_ns / 1e6);
	if (h->is_long)
		dump_running(r->all.lane[h->lane].lane, h->g);
}

static void first_main(void *arg)
{
	const struct run *r = arg;

	r->main_fn(r->main_arg);
	/* The lanes end with the first goroutine, as a program does with main(). */
	pl_lane_stop();
}

/* first_thread - as seat_thread(), on the caller's. */
static int first_thread(struct run *r, const struct open_hooks *hooks, int err)
{
	struct seat *s = &r->seat[0];
	int ret = err ? err : seat_open(s), all;

	if (!ret) {
		ret = lane_go(r->all.lane[0].lane, first_main, r, r->main_name);
		if (ret)
			(void)open_error(ret, "cannot start a goroutine: %s", strerror(-ret));
	}
	all = lane_group_meet(r->all.grp, ret);
	if (!all) {
		/* Before this thread is pinned, or the monitor would be as well. Without one a run
		 * is as good, but for the naming. */
		(void)!monitor_start(r->all.grp, told_hog, r);
		if (hooks && hooks->begin)
			hooks->begin(hooks->ctx, &r->all);
		all = seat_turns(s);
		if (hooks && hooks->end)
			hooks->end(hooks->ctx, &r->all, &r->h);
		monitor_stop(r->all.grp);
		(void)lane_group_meet(r->all.grp, 0);
	}
	if (r->all.lane[0].lane)
		seat_close(s);
	return all;
}

/* ---- all of them ---- */

/* With the caller's signal mask: what their goroutines start inherits it. A program's handlers run
 * on its main thread nevertheless, which the kernel prefers unless it blocks the signal. */
static int start_threads(struct run *r)
{
	int err = 0;

	for (r->nr_threads = 1; r->nr_threads < r->all.nr; r->nr_threads++) {
		struct seat *s = &r->seat[r->nr_threads];

		err = -pthread_create(&s->thread, NULL, seat_thread, s);
		if (err)
			break;
	}
	if (err) {
		lane_group_absent(r->all.grp, r->all.nr - r->nr_threads);
		return open_error(err, "no thread for lane %u: %s", r->nr_threads, strerror(-err));
	}
	return 0;
}

static int run_lanes(struct run *r, const struct open_hooks *hooks)
{
	int err;

	for (unsigned i = 0; i < r->all.nr; i++)
		r->seat[i] = (struct seat){.run = r, .index = i};
	err = start_threads(r);
	err = first_thread(r, hooks, err);
	for (unsigned i = 1; i < r->nr_threads; i++) {
		(void)pthread_join(r->seat[i].thread, NULL);
		if (err && *r->seat[i].why && !*pl_last_error())
			(void)open_error(err, "%s", r->seat[i].why);
	}
	return err;
}

int open_run(const struct pl_options *opt, void (*main_fn)(void *arg), void *arg, const char *name,
	     const struct open_hooks *hooks)
{
	struct run *r = calloc(1, sizeof(*r));
	int err;

	(void)open_error(0, "%s", "");
	if (lane_self()) {
		free(r);
		return open_error(-EBUSY,
				  "pl_run: this thread runs lanes already, call it outside of "
				  "goroutines (pl_go and pl_go_on start more of these)");
	}
	if (!r)
		return open_error(-ENOMEM, "no memory");
	r->main_fn = main_fn;
	r->main_arg = arg;
	r->main_name = name;
	r->verbose = opt->verbose;
	err = options_plan(opt, &r->plan);
	for (unsigned i = 0; !err && i < r->plan.lanes; i++)
		err = open_check_cpu(r->plan.cpus[i]);
	if (!err && opt->dev)
		err = open_device(opt, &r->plan, &r->h);
	if (!err) {
		r->all.nr = r->plan.lanes;
		r->all.verbose = opt->verbose;
		err = lane_group_create(r->all.nr, &r->all.grp);
		if (err)
			(void)open_error(err, "no memory");
	}
	if (!err) {
		/* Without, where the system gives no thread for it: no reason to fail. */
		bool dumps = dump_on_sigquit() == 0;

		err = run_lanes(r, hooks);
		if (dumps)
			dump_off_sigquit();
	}
	lane_group_destroy(r->all.grp);
	if (r->h.dev)
		netdev_close_spec(&r->h);
	free(r);
	return err;
}

/* ---- programs of others: `parklane stat` sees them as it does the commands ---- */

static void stat_begin(void *ctx, const struct open_lanes *all)
{
	*(struct stat_serve **)ctx = stat_serve_start(all, program_invocation_short_name);
}

static void stat_end(void *ctx, const struct open_lanes *all, const struct netdev_handle *h)
{
	(void)all;
	(void)h;
	stat_serve_stop(*(struct stat_serve **)ctx);
}

int pl_run_named(const struct pl_options *opt, void (*main_fn)(void *arg), void *arg,
		 const char *name)
{
	struct stat_serve *stat = NULL;
	const struct open_hooks hooks = {stat_begin, stat_end, &stat};

	if (!opt || !main_fn)
		return open_error(-EINVAL, "pl_run: %s",
				  opt ? "main_fn is NULL, name the function to run"
				      : "opt is NULL, give it a zeroed struct pl_options");
	return open_run(opt, main_fn, arg, name, &hooks);
}
