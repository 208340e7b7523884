/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What compare's kernel and bypass sides share: lanes, the client, and the rows that a lane counts
 * itself.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "apps/cmp_ns.h"
#include "apps/cmp_proc.h"
#include "apps/compare.h"
#include "apps/rr.h"
#include "apps/stream.h"
#include "poller/lane.h"

int lane_run_main(int cpu, void (*main_fn)(void *arg), void *arg)
{
	struct lane_config cfg;
	struct lane *lane;
	int err;

	lane_config_init(&cfg);
	cfg.cpu = cpu;
	err = lane_create(&cfg, &lane);
	if (err)
		return err;
	err = lane_go(lane, main_fn, arg, "main");
	if (!err)
		err = lane_run(lane);
	lane_destroy(lane);
	return err;
}

ssize_t (*const cmp_talk[TEST_MAX])(struct echo_server *srv, struct pl_conn *c) = {
	[TEST_STREAM_TO] = stream_take, [TEST_STREAM_FROM] = stream_give};

void client_run(struct cmp_call *call, enum pl_net net, uint16_t port, uint64_t seed,
		void (*window)(void *ctx, int open), void *ctx, const uint64_t *arrived)
{
	const struct cmp_ask *ask = &call->ask;
	struct load_config cfg = {
		.net = net,
		.conns = ask->conns,
		.size = ask->test == TEST_RR ? CMP_SIZE : STREAM_WRITE,
		.seed = seed,
		.warm_ns = ask->warm_ns,
		.run_ns = ask->run_ns,
		.window = window,
		.window_ctx = ctx,
	};

	(void)pl_addr_parse(NS_SERVER_IP ":1", &cfg.addr);
	cfg.addr.port = port;
	if (ask->test == TEST_RR)
		rr_run(&cfg, &call->sample.load);
	else
		stream_run(&cfg, ask->test == TEST_STREAM_TO ? arrived : NULL, &call->sample.load);
}

int client_error(struct cmp_call *call)
{
	const struct load_result *r = &call->sample.load;

	if (r->err)
		snprintf(call->what, sizeof(call->what), "client: %s: %s", r->what,
			 pl_strerror(r->err));
	return r->err;
}

void ledger_lane_rows(const struct ledger_report *a, const struct ledger_report *b, uint64_t units,
		      struct cmp_ledger *led)
{
	static const struct {
		enum cmp_row row;
		enum ledger_event ev;
	} map[] = {
		{ROW_BYTES_COPIED, LEDGER_EV_BYTES_COPIED}, {ROW_PARKS, LEDGER_EV_PARKS},
		{ROW_EMPTY_POLLS, LEDGER_EV_EMPTY_POLLS},   {ROW_WAKEUPS, LEDGER_EV_WAKEUPS},
		{ROW_SYS_READ, LEDGER_EV_SYS_READ},         {ROW_SYS_WRITE, LEDGER_EV_SYS_WRITE},
		{ROW_SYS_EPOLL, LEDGER_EV_SYS_EPOLL_WAIT},  {ROW_SYS_OTHER, LEDGER_EV_SYS_OTHER},
	};

	if (!units)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
		/* What the kernel counted itself is the better witness. */
		if (led->source[map[i].row])
			continue;
		led->row[map[i].row] =
			(double)(b->ev[map[i].ev] - a->ev[map[i].ev]) / (double)units;
		led->source[map[i].row] = "the lane's own count";
	}
}

void sample_clear(struct cmp_sample *s)
{
	memset(s, 0, sizeof(*s));
	hist_init(&s->load.hist);
	s->server_cycles = s->server_busy = s->client_cycles = s->lost[0] = s->lost[1] = NAN;
	for (unsigned i = 0; i < STEP_MAX; i++)
		s->step_cycles[i] = NAN;
	ledger_clear(&s->ledger);
}
