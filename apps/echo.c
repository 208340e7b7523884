/* SPDX-License-Identifier: BSD-3-Clause */
/* `parklane echo`: answer every connection with what it sends, a goroutine each. */
#include <errno.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/cmd_run.h"
#include "apps/echo_conn.h"

struct echo_args {
	struct lane_args lane;
	unsigned port;
	struct echo_lane {
		struct echo_args *args;
		struct echo_server srv; /* that lane's alone */
		int err;                /* of its pl_listen(); read after `listening` */
	} ALIGNED(CACHE_LINE) on[LANES_MAX];
	struct pl_wait_group listening; /* lanes that have not tried yet */
	struct run_counters counters;
	int status;
};

enum { KEY_PORT = 'p' };

static error_t echo_parse(int key, char *arg, struct argp_state *state)
{
	struct echo_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->lane;
		return 0;
	case KEY_PORT:
		a->port = (unsigned)cli_uint("--port", arg, 1, 65535);
		return 0;
	case ARGP_KEY_END:
		if (!a->port)
			cli_usage("echo needs --port P, the port to listen on");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option echo_options[] = {
	{"port", KEY_PORT, "P", 0, "Listen on this TCP port (1 to 65535)", 0},
	{0},
};
static const struct argp echo_argp = {
	.options = echo_options,
	.parser = echo_parse,
	.children = lane_child,
	.args_doc = "--port P",
	.doc = "Echo server: a goroutine per connection, over Parklane's stack or kernel sockets.",
};

static const char *listen_error(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "the port is in use: stop the other server or choose another --port";
	case -EACCES:
	case -EPERM:
		return "not permitted: ports below 1024 need root";
	default:
		return strerror(-err);
	}
}

static void echo_listen(struct echo_lane *el)
{
	struct pl_addr addr = {.family = PL_AF_INET, .port = (uint16_t)el->args->port};

	el->err = pl_listen(PL_NET_AUTO, &addr, 0, &el->srv.listener);
	(void)pl_wait_group_done(&el->args->listening);
}

static void echo_on(void *arg)
{
	struct echo_lane *el = arg;

	echo_listen(el);
	if (!el->err)
		echo_accept_loop(&el->srv);
}

/* listen_all - a listener on each lane; this one's accept loop is the caller's. 0 or -errno. */
static int listen_all(struct echo_args *a)
{
	unsigned nr = pl_nr_lanes();
	int err = pl_wait_group_add(&a->listening, (int)nr);

	if (!err) {
		echo_listen(&a->on[0]);
		err = a->on[0].err;
	}
	for (unsigned i = 1; !err && i < nr; i++)
		err = pl_go_on(i, echo_on, &a->on[i]);
	if (!err)
		err = pl_wait_group_wait(&a->listening);
	for (unsigned i = 1; !err && i < nr; i++)
		err = a->on[i].err;
	return err;
}

static void echo_main(void *arg)
{
	struct echo_args *a = arg;
	char name[64], lanes[32] = "";
	int err;

	for (unsigned i = 0; i < pl_nr_lanes(); i++)
		a->on[i].args = a;
	err = listen_all(a);
	if (err) {
		fprintf(stderr, "parklane: cannot listen on port %u: %s\n", a->port,
			listen_error(err));
		a->counters.quiet = true;
		a->status = 1;
		return;
	}
	if (pl_nr_lanes() > 1)
		snprintf(lanes, sizeof(lanes), ", %u lanes", pl_nr_lanes());
	/* Scripts wait for this line. */
	fprintf(stderr, "parklane: echo on %.*s:%u (%s%s)\n",
		a->lane.opt.ip ? (int)strcspn(a->lane.opt.ip, "/") : 7,
		a->lane.opt.ip ? a->lane.opt.ip : "0.0.0.0", a->port,
		run_lane_name(&a->lane, name, sizeof(name)), lanes);
	echo_accept_loop(&a->on[0].srv);
	err = a->on[0].srv.last_err;
	if (err && err != -EBADF) {
		fprintf(stderr, "parklane: cannot accept: %s\n", strerror(-err));
		a->status = 1;
	}
}

static void echo_sum(void *ctx, struct run_sums *ret)
{
	const struct echo_args *a = ctx;

	for (unsigned i = 0; i < LANES_MAX; i++) {
		ret->connections += stat_read(&a->on[i].srv.accepted);
		ret->bytes += stat_read(&a->on[i].srv.bytes);
		ret->errors += stat_read(&a->on[i].srv.errors);
	}
}

int cmd_echo(int argc, char **argv)
{
	static struct echo_args a;
	int status;

	cli_parse(&echo_argp, "parklane echo", argc, argv, &a);
	a.counters = (struct run_counters){.command = "echo", .sum = echo_sum, .ctx = &a};
	status = run_command(&a.lane, &a.counters, echo_main, &a);
	return status ? status : a.status;
}
