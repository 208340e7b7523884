/* SPDX-License-Identifier: BSD-3-Clause */
/* Both networks in one goroutine: clients come over Parklane's stack (--dev ... --ip ...), and each
 * of their lines is answered with a count that a Redis keeps, asked over a kernel socket. */
#include <stdio.h>
#include <parklane/parklane.h>

static void serve(void *client)
{
	static const char incr[] = "INCR visits\r\n";
	struct pl_addr addr;
	struct pl_conn *redis;
	char buf[512];
	ssize_t n;

	if (pl_addr_parse("127.0.0.1:6379", &addr) == 0 &&
	    pl_dial(PL_NET_KERNEL, &addr, pl_now() + 1000000000, &redis) == 0) {
		while (pl_read(client, buf, sizeof(buf)) > 0 &&
		       pl_write(redis, incr, sizeof(incr) - 1) > 0 &&
		       (n = pl_read(redis, buf, sizeof(buf))) > 0 && pl_write(client, buf, n) == n)
			;
		pl_close(redis);
	}
	pl_close(client);
}

static void listen_and_serve(void *arg)
{
	struct pl_addr any = {.family = PL_AF_INET, .port = 7008};
	struct pl_conn *listener, *client;

	for (*(int *)arg = pl_listen(PL_NET_AUTO, &any, 0, &listener); *(int *)arg == 0;)
		if (pl_accept(listener, &client) == 0 && pl_go(serve, client) < 0)
			pl_close(client);
}

int main(int argc, char **argv)
{
	struct pl_options opt = {0};
	int err = 0;

	if (pl_options_main(&opt, argc, argv) < 0 || pl_run(&opt, listen_and_serve, &err) < 0)
		return fprintf(stderr, "visits: %s\n", pl_last_error()), 1;
	return err < 0 ? fprintf(stderr, "visits: port 7008: %s\n", pl_strerror(err)), 1 : 0;
}
