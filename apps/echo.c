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
	struct echo_server srv;
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

static void echo_main(void *arg)
{
	struct echo_args *a = arg;
	struct pl_addr addr = {.family = PL_AF_INET, .port = (uint16_t)a->port};
	char name[64];
	int err;

	err = pl_listen(PL_NET_AUTO, &addr, 0, &a->srv.listener);
	if (err) {
		fprintf(stderr, "parklane: cannot listen on port %u: %s\n", a->port,
			listen_error(err));
		a->counters.quiet = true;
		a->status = 1;
		return;
	}
	/* Scripts wait for this line. */
	fprintf(stderr, "parklane: echo on %.*s:%u (%s)\n",
		a->lane.opt.ip ? (int)strcspn(a->lane.opt.ip, "/") : 7,
		a->lane.opt.ip ? a->lane.opt.ip : "0.0.0.0", a->port,
		run_lane_name(&a->lane, name, sizeof(name)));
	echo_accept_loop(&a->srv);
	if (a->srv.last_err && a->srv.last_err != -EBADF) {
		fprintf(stderr, "parklane: cannot accept: %s\n", strerror(-a->srv.last_err));
		a->status = 1;
	}
}

int cmd_echo(int argc, char **argv)
{
	static struct echo_args a;
	int status;

	cli_parse(&echo_argp, "parklane echo", argc, argv, &a);
	a.counters = (struct run_counters){.command = "echo",
					   .connections = &a.srv.accepted,
					   .active = &a.srv.active,
					   .bytes = &a.srv.bytes,
					   .errors = &a.srv.errors};
	status = run_command(&a.lane, &a.counters, echo_main, &a);
	return status ? status : a.status;
}
