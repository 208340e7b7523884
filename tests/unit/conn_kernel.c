/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The environment of the conn suite over kernel sockets on 127.0.0.1: one lane, real time. And
 * the cases that only kernel sockets have, for each of their backends.
 */
#include "conn_kernel.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <parklane/go.h>

#include "poller/lane_int.h"

static int run_lane(struct conn_env *e)
{
	return lane_run(e->srv);
}

static unsigned pds(struct conn_env *e)
{
	return e->srv->np.nr_open;
}

void conn_kernel_open(struct conn_env *e, enum lane_kernel kernel)
{
	struct lane_config cfg;
	struct rlimit rl;
	int err;

	/* a thousand connections have two ends here */
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &rl), 0);
	rl.rlim_cur = rl.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &rl), 0);
	lane_config_init(&cfg);
	cfg.max_g = CONN_MAX_G;
	cfg.kernel = kernel;
	memset(e, 0, sizeof(*e));
	err = lane_create(&cfg, &e->srv);
	if (kernel == LANE_KERNEL_URING && (err == -ENOSYS || err == -EPERM))
		cr_skip("no io_uring here: %s", strerror(-err));
	cr_assert_eq(err, 0);
	e->cli = e->srv;
	e->net = PL_NET_KERNEL;
	e->run = run_lane;
	e->pds = pds;
	memcpy(&e->srv_ip, (uint8_t[]){127, 0, 0, 1}, 4);
	/* RFC 5737: on nobody's machine */
	memcpy(&e->foreign_ip, (uint8_t[]){192, 0, 2, 1}, 4);
}

int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

static void run_case(void (*fn)(struct conn_env *e), enum lane_kernel kernel, bool locked)
{
	int fd = lowest_free_fd();
	struct conn_env e;

	conn_kernel_open(&e, kernel);
	if (locked)
		lane_kernel_backend(e.srv)->solo = false;
	fn(&e);
	conn_suite_end(&e);
	lane_destroy(e.srv);
	cr_assert_eq(e.nr_fail, 0, "%u failed, first %s", e.nr_fail, e.first_fail);
	cr_assert_eq(lowest_free_fd(), fd, "an fd is left open");
}

/* tells_options - does the system tell a socket's options as Linux does? qemu-user 7.2 hands
 * neither TCP_INFO nor IP_MTU on, and cuts SO_LINGER. */
static bool tells_options(void)
{
	char info[256];
	socklen_t len = sizeof(info);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	err = getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len);
	close(fd);
	return !err && len > 100;
}

static bool is_about_options(void (*fn)(struct conn_env *e))
{
	return fn == conn_case_options_are_linux_s || fn == conn_case_options_tell_of_connection ||
	       fn == conn_case_options_of_listener_are_inherited;
}

void conn_kernel_case(void (*fn)(struct conn_env *e), enum lane_kernel kernel)
{
	if (is_about_options(fn) && !tells_options())
		cr_skip("the system tells no TCP_INFO (qemu-user)");
	run_case(fn, kernel, false);
	/* as on a lane that others of its group may help */
	if (kernel == LANE_KERNEL_EPOLL)
		run_case(fn, kernel, true);
}

static void g_left_open(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET};
	struct pl_conn *l, *c;

	memcpy(&a.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	if (pl_listen(PL_NET_AUTO, &a, 0, &l) || pl_local_addr(l, &a))
		return;
	if (pl_dial(PL_NET_KERNEL, &a, 0, &c))
		return;
	*(int *)arg = 1;
	(void)pl_accept(l, &c);
	(void)pl_accept(l, &c);
	*(int *)arg = 2; /* never: the lane ends first */
}

static void g_stop(void *arg)
{
	(void)arg;
	pl_sleep(5000000);
	pl_lane_stop();
}

void conn_kernel_lane_destroy_closes_what_is_open(enum lane_kernel kernel)
{
	int fd = lowest_free_fd(), state = 0;
	struct conn_env e;

	conn_kernel_open(&e, kernel);
	cr_assert_eq(lane_go(e.srv, g_left_open, &state, "left_open"), 0);
	cr_assert_eq(lane_go(e.srv, g_stop, NULL, "stop"), 0);
	cr_assert_eq(lane_run(e.srv), 0);
	cr_assert_eq(state, 1);
	lane_destroy(e.srv);
	cr_assert_eq(lowest_free_fd(), fd);
}

static void g_no_device(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET, .port = 7};
	struct pl_conn *c;

	memcpy(&a.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	*(int *)arg = pl_listen(PL_NET_STACK, &a, 0, &c) == -ENODEV &&
		      pl_dial(PL_NET_STACK, &a, 0, &c) == -ENODEV;
}

void conn_kernel_no_device_says_enodev(enum lane_kernel kernel)
{
	struct conn_env e;
	int ok = 0;

	conn_kernel_open(&e, kernel);
	cr_assert_eq(lane_go(e.srv, g_no_device, &ok, "no_device"), 0);
	cr_assert_eq(lane_run(e.srv), 0);
	lane_destroy(e.srv);
	cr_assert(ok);
}

static void g_fds_exhausted(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET};
	struct pl_conn *l, *c1, *c2, *s1, *s2;
	struct rlimit rl, old;
	int *ok = arg;

	memcpy(&a.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	if (pl_listen(PL_NET_KERNEL, &a, 0, &l) || pl_local_addr(l, &a) ||
	    pl_dial(PL_NET_KERNEL, &a, 0, &c1) || pl_accept(l, &s1) ||
	    pl_dial(PL_NET_KERNEL, &a, 0, &c2))
		return;
	getrlimit(RLIMIT_NOFILE, &old);
	rl = old;
	rl.rlim_cur = (rlim_t)lowest_free_fd();
	setrlimit(RLIMIT_NOFILE, &rl);
	*ok = pl_accept(l, &s2) == -EMFILE;
	*ok &= pl_dial(PL_NET_KERNEL, &a, 0, &s2) == -EMFILE;
	*ok &= pl_listen(PL_NET_KERNEL, &a, 0, &s2) == -EMFILE;
	pl_close(s1);
	/* the connection still waits: no edge is lost by the failed try */
	*ok &= pl_accept(l, &s2) == 0;
	setrlimit(RLIMIT_NOFILE, &old);
	pl_close(s2);
	pl_close(c1);
	pl_close(c2);
	pl_close(l);
}

void conn_kernel_fds_exhausted_says_emfile_and_recovers(enum lane_kernel kernel)
{
	struct conn_env e;
	int ok = 0;

	conn_kernel_open(&e, kernel);
	cr_assert_eq(lane_go(e.srv, g_fds_exhausted, &ok, "fds_exhausted"), 0);
	cr_assert_eq(lane_run(e.srv), 0);
	conn_suite_end(&e);
	lane_destroy(e.srv);
	cr_assert_eq(e.nr_fail, 0, "%s", e.first_fail);
	cr_assert(ok);
}

/* A raw peer sends urgent data in the middle: recv() stops there, short, with bytes left. */
static int urgent_client(const struct pl_addr *a)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET, .sin_port = htons(a->port), .sin_addr.s_addr = a->v4};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)!connect(fd, (struct sockaddr *)&sin, sizeof(sin));
	(void)!send(fd, "ab", 2, 0);
	(void)!send(fd, "X", 1, MSG_OOB);
	(void)!send(fd, "hello", 5, 0);
	return fd;
}

static void g_accept_nobody(void *arg)
{
	struct pl_conn *c;

	(void)pl_accept(arg, &c);
}

static void g_urgent(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET};
	struct pl_conn *l, *c;
	char buf[64] = {0};
	size_t have = 0;
	ssize_t n;
	int fd;

	memcpy(&a.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	if (pl_listen(PL_NET_KERNEL, &a, 0, &l) || pl_local_addr(l, &a))
		return;
	fd = urgent_client(&a);
	if (pl_accept(l, &c) == 0) {
		/* somebody waits, so that the lane looks at epoll and all edges are old by then */
		(void)pl_go(g_accept_nobody, l);
		pl_sleep(10000000);
		(void)pl_set_read_deadline(c, pl_now() + 2000000000);
		/* no FIN that would be an edge of its own */
		while (have < 8 && (n = pl_read(c, buf + have, sizeof(buf) - have)) > 0)
			have += (size_t)n;
		*(int *)arg = strcmp(buf, "abXhello") == 0;
		pl_close(c);
	}
	close(fd);
	pl_close(l);
}

void conn_kernel_urgent_data_comes_in_line(enum lane_kernel kernel)
{
	struct conn_env e;
	int ok = 0;

	conn_kernel_open(&e, kernel);
	cr_assert_eq(lane_go(e.srv, g_urgent, &ok, "urgent"), 0);
	cr_assert_eq(lane_run(e.srv), 0);
	lane_destroy(e.srv);
	cr_assert(ok);
}
