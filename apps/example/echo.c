/* SPDX-License-Identifier: BSD-3-Clause */
/* A first program: an echo server, a goroutine per connection. The same source runs over
 * kernel sockets (--epoll) and over Parklane's own stack (--dev ... --ip ...). */
#include <stdio.h>
#include <parklane/parklane.h>

static void serve(void *conn)
{
	char buf[2048];
	ssize_t n;

	while ((n = pl_read(conn, buf, sizeof(buf))) > 0 && pl_write(conn, buf, n) == n)
		;
	pl_close(conn);
}

static void listen_and_serve(void *arg)
{
	struct pl_addr addr = {.family = PL_AF_INET, .port = 7007};
	struct pl_conn *listener, *conn;
	int *err = arg;

	*err = pl_listen(PL_NET_AUTO, &addr, 0, &listener);
	if (*err == 0)
		fprintf(stderr, "echo: listening on port 7007\n");
	while (*err == 0 && (*err = pl_accept(listener, &conn)) == 0)
		if (pl_go(serve, conn) < 0)
			pl_close(conn);
}

int main(int argc, char **argv)
{
	struct pl_options opt = {0};
	int err = 0;

	if (pl_options_main(&opt, argc, argv) < 0 || pl_run(&opt, listen_and_serve, &err) < 0)
		fprintf(stderr, "echo: %s\n", pl_last_error());
	else if (err < 0)
		fprintf(stderr, "echo: port 7007: %s\n", pl_strerror(err));
	else
		return 0;
	return 1;
}
