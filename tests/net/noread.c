/* SPDX-License-Identifier: BSD-3-Clause */
/* For noread.py: a lane that accepts on port 9 and never reads, and echoes on port 7. */
#include <stdio.h>
#include <parklane/parklane.h>

#define PORT_SILENT 9
#define PORT_ECHO   7

static void keep_all(void *listener)
{
	struct pl_conn *conn;

	/* What is accepted stays open and unread until the lane ends. */
	while (pl_accept(listener, &conn) == 0)
		;
}

static void echo(void *conn)
{
	char buf[2048];
	ssize_t n;

	while ((n = pl_read(conn, buf, sizeof(buf))) > 0 && pl_write(conn, buf, (size_t)n) == n)
		;
	(void)pl_close(conn);
}

static void serve(void *arg)
{
	struct pl_addr addr = {.family = PL_AF_INET, .port = PORT_SILENT};
	struct pl_conn *silent, *echoing, *conn;

	(void)arg;
	if (pl_listen(PL_NET_AUTO, &addr, 0, &silent) < 0)
		return;
	addr.port = PORT_ECHO;
	if (pl_listen(PL_NET_AUTO, &addr, 0, &echoing) < 0 || pl_go(keep_all, silent) < 0)
		return;
	fprintf(stderr, "ready\n");
	while (pl_accept(echoing, &conn) == 0)
		(void)pl_go(echo, conn);
}

int main(int argc, char **argv)
{
	struct pl_options opt = {0};

	if (pl_options_argv(&opt, argc, argv) < 0 || pl_run(&opt, serve, NULL) < 0) {
		fprintf(stderr, "noread: %s\n", pl_last_error());
		return 1;
	}
	return 0;
}
