/* SPDX-License-Identifier: BSD-3-Clause */
/* Running one lane for a command: signals, statistics socket, summary. */
#include "apps/cmd_run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "apps/stat_serve.h"
#include "apps/tsc.h"
#include "stack/stack.h"

static struct lane_group *volatile running;
static volatile sig_atomic_t stop_signal;
static volatile uint64_t stopped_ns; /* the first signal's mono_ns() */

static void on_signal(int sig)
{
	struct lane_group *grp = running;

	stop_signal = sig;
	if (!stopped_ns)
		stopped_ns = mono_ns();
	if (grp)
		lane_group_stop(grp);
}

static void catch_signals(void)
{
	/* On a lane's thread a handler must have the alternate stack: goroutines are small. A
	 * second Ctrl-C ends the program the hard way. */
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | (int)SA_RESETHAND};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

struct run_ctx {
	const struct run_counters *counters;
	struct stat_serve *stat;
};

static void on_begin(void *ctx, const struct open_lanes *all)
{
	struct run_ctx *rc = ctx;

	running = all->grp;
	if (stop_signal)
		lane_group_stop(all->grp);
	rc->stat = stat_serve_start(all, rc->counters->command);
}

static void print_faults(const struct netdev *fault)
{
	static const char *const dir[FAULT_DIRS] = {"rx", "tx"};

	for (int d = 0; d < FAULT_DIRS; d++) {
		struct fault_stats fs;

		fault_get_stats(fault, (enum fault_dir)d, &fs);
		fprintf(stderr, "  faults %s: of %" PRIu64 " frames", dir[d], fs.frames);
		for (int k = 0; k < FAULT_KINDS; k++)
			fprintf(stderr, ", %s %" PRIu64, fault_kind_name((enum fault_kind)k),
				fs.hit[k]);
		fputc('\n', stderr);
	}
}

static void print_stack(const struct open_lanes *all)
{
	const struct stack_stats sum = open_lanes_stats(all), *ss = &sum;
	bool any = false;

	fprintf(stderr,
		"  packets: %" PRIu64 " in, %" PRIu64 " out; tcp: %" PRIu64 " segments in, %" PRIu64
		" out, %" PRIu64 " sent again\n",
		ss->rx_packets, ss->tx_packets, ss->tcp_in_segs, ss->tcp_out_segs,
		ss->tcp_retrans_segs);
	fputs("  drops:", stderr);
	for (int i = 0; i < SKB_DROP_MAX; i++) {
		uint64_t n = ss->drops[i];

		if (!n)
			continue;
		fprintf(stderr, "%s %s %" PRIu64, any ? "," : "",
			skb_drop_name((enum skb_drop_reason)i), n);
		any = true;
	}
	fputs(any ? "\n" : " none\n", stderr);
}

static void on_end(void *ctx, const struct open_lanes *all, const struct netdev_handle *h)
{
	struct run_ctx *rc = ctx;
	const struct run_counters *c = rc->counters;
	struct run_sums sums = {0};
	struct netdev_stats ns = {0};

	running = NULL;
	stat_serve_stop(rc->stat);
	if (c->quiet) {
		if (h->fault)
			print_faults(h->fault);
		return;
	}
	if (c->sum)
		c->sum(c->ctx, &sums);
	fprintf(stderr, "parklane: %s: %" PRIu64 " connection%s, %" PRIu64 " bytes", c->command,
		sums.connections, sums.connections == 1 ? "" : "s", sums.bytes);
	if (sums.errors)
		fprintf(stderr, ", %" PRIu64 " ended with an error", sums.errors);
	fputc('\n', stderr);
	if (!all->lane[0].stack)
		return;
	print_stack(all);
	if (h->dev->ops->get_stats)
		h->dev->ops->get_stats(h->dev, &ns);
	if (ns.rx_missed || ns.rx_nombuf || ns.rx_errors || ns.tx_errors)
		fprintf(stderr,
			"  device: missed %" PRIu64 ", without buffer %" PRIu64 ", errors %" PRIu64
			" in, %" PRIu64 " out\n",
			ns.rx_missed, ns.rx_nombuf, ns.rx_errors, ns.tx_errors);
	if (h->fault)
		print_faults(h->fault);
}

int run_command_named(const struct lane_args *args, const struct run_counters *counters,
		      void (*main_fn)(void *arg), void *arg, const char *name)
{
	struct run_ctx rc = {.counters = counters};
	struct open_hooks hooks = {on_begin, on_end, &rc};
	int err;

	catch_signals();
	err = open_run(&args->opt, main_fn, arg, name, &hooks);
	if (!err)
		return 0;
	fprintf(stderr, "parklane: %s\n", *pl_last_error() ? pl_last_error() : strerror(-err));
	return 1;
}

uint64_t run_stopped_at(void)
{
	return stopped_ns;
}

const char *run_lane_name(const struct lane_args *args, char *buf, size_t size)
{
	if (args->opt.dev)
		snprintf(buf, size, "%.*s", (int)strcspn(args->opt.dev, ","), args->opt.dev);
	else
		snprintf(buf, size, "%s", args->opt.uring ? "uring" : "epoll");
	return buf;
}
