/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Adopted fds, vectors and raw calls over kernel fds.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "conn_real.h"

static void t_pipe(void *arg)
{
	char buf[16] = "";
	int fd[2];

	(void)arg;
	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
	IS(pl_adopt(fd[0], 0, &a), 0);
	IS(pl_adopt(fd[1], 0, &b), 0);
	IS(pl_conn_fd(a), fd[0]);
	IS(fcntl(fd[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	IS(pl_go(g_say, "hello"), 0);
	IS(pl_read(a, buf, sizeof(buf)), 5);
	IS(strcmp(buf, "hello"), 0);
	/* two writes, two short reads without a new edge between them */
	IS(pl_write(b, "x", 1), 1);
	IS(pl_read(a, buf, sizeof(buf)), 1);
	/* wrong ways round */
	IS(pl_write(a, "x", 1), -EINVAL);
	IS(pl_read(b, buf, 1), -EINVAL);
	IS(pl_shutdown(a, 2), -ENOTSOCK);
	IS(pl_peer_addr(a, &(struct pl_addr){0}), -ENOTSOCK);
	IS(pl_accept(a, &b), -EINVAL);
	/* no SIGPIPE, which would end this test */
	IS(pl_close(a), 0);
	IS(pl_write(b, "x", 1), -EPIPE);
	IS(pl_close(b), 0);
}

Test(conn_file, test_conn_adopt_pipe, .timeout = 20)
{
	in_lane(t_pipe);
}

static void t_pipe_full(void *arg)
{
	static char big[1 << 20], in[1 << 16];
	size_t got = 0;
	ssize_t n;
	int fd[2];

	if (arg) {
		IS(pl_write(b, big, sizeof(big)), (ssize_t)sizeof(big));
		IS(pl_close(b), 0);
		return;
	}
	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
	IS(pl_adopt(fd[0], 0, &a), 0);
	IS(pl_adopt(fd[1], 0, &b), 0);
	IS(pl_go(t_pipe_full, big), 0);
	while ((n = pl_read(a, in, sizeof(in))) > 0)
		got += (size_t)n;
	IS(n, 0);
	IS(got, sizeof(big));
	IS(pl_close(a), 0);
}

Test(conn_file, test_conn_adopt_pipe_mebibyte_then_end, .timeout = 20)
{
	in_lane(t_pipe_full);
}

static void t_eventfd(void *arg)
{
	uint64_t v = 5;

	(void)arg;
	IS(pl_adopt(eventfd(0, EFD_CLOEXEC), 0, &a), 0);
	IS(pl_set_read_deadline(a, pl_now() + 2 * MS), 0);
	IS(pl_read(a, &v, 8), -ETIME);
	IS(pl_set_read_deadline(a, 0), 0);
	IS(pl_write(a, &v, 8), 8);
	v = 0;
	IS(pl_read(a, &v, 8), 8);
	IS(v, 5);
	IS(pl_read(a, &v, 4), -EINVAL); /* eventfd(2) */
	IS(pl_close(a), 0);
}

Test(conn_file, test_conn_adopt_eventfd, .timeout = 20)
{
	in_lane(t_eventfd);
}

static void t_fd_closed_below(void *arg)
{
	char c = 'x';
	int sv[2];

	(void)arg;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	IS(pl_adopt(sv[0], 0, &a), 0);
	close(sv[0]);
	/* -EINVAL is another mistake's */
	IS(pl_write(a, &c, 1), -EBADF);
	IS(pl_read(a, &c, 1), -EBADF);
	IS(pl_close(a), 0);
	close(sv[1]);
	IS(pl_adopt(eventfd(0, EFD_CLOEXEC), 0, &a), 0);
	close(pl_conn_fd(a));
	IS(pl_read(a, &c, 1), -EBADF);
	IS(pl_close(a), 0);
}

Test(conn_file, test_conn_adopted_fd_that_is_closed_below_is_ebadf, .timeout = 20)
{
	in_lane(t_fd_closed_below);
}

static void t_timerfd(void *arg)
{
	struct itimerspec in = {{0, 2 * MS}, {0, 2 * MS}};
	uint64_t v[2], n = 0;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	(void)arg;
	cr_assert_eq(timerfd_settime(fd, 0, &in, NULL), 0);
	IS(pl_adopt(fd, 0, &a), 0);
	while (n < 5) {
		IS(pl_read(a, v, sizeof(v)), 8);
		n += v[0];
	}
	IS(pl_close(a), 0);
}

Test(conn_file, test_conn_adopt_timerfd, .timeout = 20)
{
	in_lane(t_timerfd);
}

static void t_datagrams(void *arg)
{
	char buf[16];

	(void)arg;
	adopt_socketpair(SOCK_DGRAM);
	/* three short reads, and one of nothing, which is no end */
	IS(pl_write(b, "one", 3), 3);
	IS(pl_write(b, "three", 5), 5);
	IS(pl_read(a, buf, sizeof(buf)), 3);
	IS(pl_read(a, buf, sizeof(buf)), 5);
	IS(send(pl_conn_fd(b), "", 0, 0), 0);
	IS(pl_read(a, buf, sizeof(buf)), 0);
	IS(pl_write(b, "x", 1), 1);
	IS(pl_read(a, buf, sizeof(buf)), 1);
	IS(pl_peer_addr(a, &(struct pl_addr){0}), -EOPNOTSUPP);
	IS(pl_accept(a, &b), -EINVAL);
	close_both();
}

Test(conn_file, test_conn_adopt_datagrams_are_no_stream, .timeout = 20)
{
	in_lane(t_datagrams);
}

static void t_unix_listener(void *arg)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pl_conn *lis;
	char buf[8];

	(void)arg;
	snprintf(sun.sun_path + 1, sizeof(sun.sun_path) - 1, "parklane-test-%d", getpid());
	cr_assert_eq(bind(l, (struct sockaddr *)&sun, sizeof(sun)), 0);
	cr_assert_eq(listen(l, 8), 0);
	IS(pl_adopt(l, 0, &lis), 0);
	cr_assert_eq(connect(c, (struct sockaddr *)&sun, sizeof(sun)), 0);
	IS(pl_accept(lis, &a), 0);
	IS(pl_adopt(c, 0, &b), 0);
	IS(pl_go(g_say, "hi"), 0);
	IS(pl_read(a, buf, sizeof(buf)), 2);
	/* half close: the other direction goes on */
	IS(pl_shutdown(b, 1), 0);
	IS(pl_read(a, buf, sizeof(buf)), 0);
	IS(pl_write(a, "yes", 3), 3);
	IS(pl_read(b, buf, sizeof(buf)), 3);
	IS(pl_write(b, "x", 1), -EPIPE);
	IS(pl_read(lis, buf, 1), -ENOTCONN);
	IS(pl_write(lis, buf, 1), -ENOTCONN);
	close_both();
	IS(pl_close(lis), 0);
}

Test(conn_file, test_conn_adopt_unix_listener_and_half_close, .timeout = 20)
{
	in_lane(t_unix_listener);
}

static void t_keep(void *arg)
{
	int fd[2];

	(void)arg;
	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
	IS(pl_adopt(fd[0], PL_ADOPT_KEEP, &a), 0);
	IS(pl_adopt(fd[0], 0, &b), -EEXIST);
	IS(pl_close(a), 0);
	IS(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	close(fd[0]);
	close(fd[1]);
}

Test(conn_file, test_conn_adopt_keep_gives_the_fd_back, .timeout = 20)
{
	in_lane(t_keep);
}

static void t_refused(void *arg)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)arg;
	IS(pl_adopt(fd, 0, &a), -EPERM);
	IS(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	IS(pl_adopt(fd, 2, &a), -EINVAL);
	close(fd);
	IS(pl_adopt(fd, 0, &a), -EBADF);
	IS(pl_adopt(-1, 0, &a), -EBADF);
}

Test(conn_file, test_conn_adopt_what_cannot_wait_is_refused, .timeout = 20)
{
	cr_expect_eq(pl_adopt(0, 0, &a), -EXDEV);
	in_lane(t_refused);
}

/* ---- vectors ---- */

static char big[2][300000], in[2][300000];

static void g_writev(void *arg)
{
	struct iovec iov[20] = {{big[0], sizeof(big[0])}, {NULL, 0}, {big[1], 7}};

	(void)arg;
	for (int i = 3; i < 20; i++)
		iov[i] = (struct iovec){big[1] + 7 + (i - 3), i < 19 ? 1 : sizeof(big[1]) - 23};
	IS(pl_writev(a, iov, 20), (ssize_t)sizeof(big));
	done = true;
}

static void g_between(void *arg)
{
	(void)arg;
	IS(pl_write(a, "between", 7), 7);
}

static void t_vectors(void *arg)
{
	size_t got = 0;
	char tail[8];
	ssize_t n;

	(void)arg;
	for (size_t i = 0; i < sizeof(big); i++)
		((char *)big)[i] = (char)(i * 7 + i / 251);
	adopt_socketpair(SOCK_STREAM);
	IS(pl_go(g_writev, NULL), 0);
	IS(pl_go(g_between, NULL), 0); /* one write for the lock: not in the middle */
	while (got < sizeof(in)) {
		size_t first = got < sizeof(in[0]) ? sizeof(in[0]) - got : 0;
		struct iovec iov[3] = {{in[0] + sizeof(in[0]) - first, first}, {NULL, 0}, {0}};

		iov[2].iov_base = (char *)in + got + first;
		iov[2].iov_len = sizeof(in) - got - first;
		n = pl_readv(b, iov, 3);
		cr_assert_gt(n, 0);
		got += (size_t)n;
	}
	IS(done, true);
	IS(memcmp(in, big, sizeof(in)), 0);
	IS(pl_read(b, tail, sizeof(tail)), 7);
	close_both();
}

Test(conn_file, test_conn_R52_writev_is_one_write_and_readv_fills_all, .timeout = 20)
{
	in_lane(t_vectors);
}

static void g_close_b(void *arg)
{
	(void)arg;
	pl_sleep(5 * MS);
	IS(pl_close(b), 0);
}

static void t_partial(void *arg)
{
	struct iovec iov[2] = {{big[0], sizeof(big[0])}, {big[1], sizeof(big[1])}};
	ssize_t n;

	(void)arg;
	adopt_socketpair(SOCK_STREAM);
	IS(pl_go(g_close_b, NULL), 0);
	n = pl_writev(a, iov, 2);
	cr_expect(n > 0 && n < (ssize_t)sizeof(big), "%zd", n);
	IS(pl_writev(a, iov, 2), -EPIPE);
	IS(pl_close(a), 0);
}

Test(conn_file, test_conn_R54_writev_tells_what_it_wrote_before_an_error, .timeout = 20)
{
	in_lane(t_partial);
}

static void t_sizes(void *arg)
{
	struct iovec two[2] = {{in, SSIZE_MAX}, {in, 1}}, wrap[2] = {{in, SIZE_MAX}, {in, 2}};
	char c = 0;
	void *huge;

	(void)arg;
	adopt_socketpair(SOCK_STREAM);
	IS(pl_read(a, &c, (size_t)-1), -EINVAL);
	IS(pl_read(a, &c, (size_t)SSIZE_MAX + 1), -EINVAL);
	IS(pl_write(a, &c, (size_t)-1), -EINVAL);
	IS(pl_readv(a, two, 2), -EINVAL);
	IS(pl_writev(a, two, 2), -EINVAL);
	IS(pl_writev(a, wrap, 2), -EINVAL);
	IS(pl_writev(a, two, -1), -EINVAL);
	IS(pl_readv(a, two, IOV_MAX + 1), -EINVAL);
	IS(pl_readv(a, NULL, 0), 0);
	IS(pl_writev(a, NULL, 0), 0);
	IS(pl_writev(a, &(struct iovec){NULL, 0}, 1), 0);
	/* One try asks the kernel for 1 GiB at most, whatever the caller says; that much is really
	 * there, since qemu-user looks. */
	huge = mmap(NULL, (size_t)1 << 30, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (huge != MAP_FAILED) {
		IS(pl_write(b, "x", 1), 1);
		IS(pl_read(a, huge, SSIZE_MAX), 1);
		munmap(huge, (size_t)1 << 30);
	}
	close_both();
}

Test(conn_file, test_conn_absurd_sizes_are_refused, .timeout = 20)
{
	in_lane(t_sizes);
}

/* ---- raw ---- */

static ssize_t raw_recv(int fd, void *arg)
{
	ssize_t n = recv(fd, arg, 8, 0);

	return n < 0 ? -errno : n;
}

static ssize_t raw_send(int fd, void *arg)
{
	++*(int *)arg;
	return send(fd, big[0], sizeof(big[0]), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void g_drain(void *arg)
{
	ssize_t n;

	(void)arg;
	pl_sleep(2 * MS);
	while ((n = pl_read(b, in, sizeof(in))) > 0)
		;
	IS(n, 0);
}

static void t_raw(void *arg)
{
	char buf[8];
	int tries = 0;

	(void)arg;
	adopt_socketpair(SOCK_STREAM);
	IS(pl_go(g_say, "raw"), 0);
	IS(pl_raw_read(a, raw_recv, buf), 3);
	IS(pl_set_read_deadline(a, pl_now() + 2 * MS), 0);
	IS(pl_raw_read(a, raw_recv, buf), -ETIME);
	IS(pl_set_read_deadline(a, 0), 0);
	/* a short read, then a raw one that leaves bytes, then a read that must find them */
	IS(pl_write(b, "x", 1), 1);
	IS(pl_read(a, buf, 8), 1);
	IS(pl_write(b, "0123456789", 10), 10);
	IS(pl_raw_read(a, raw_recv, buf), 8);
	IS(pl_read(a, buf, 8), 2);
	IS(pl_go(g_drain, NULL), 0);
	for (int i = 0; i < 20; i++)
		IS(pl_raw_write(a, raw_send, &tries), 0);
	cr_expect_gt(tries, 20, "it had to wait");
	IS(pl_shutdown(a, 1), 0);
	pl_sleep(5 * MS);
	close_both();
}

Test(conn_file, test_conn_R55_raw_calls_wait_again_until_done, .timeout = 20)
{
	in_lane(t_raw);
}
