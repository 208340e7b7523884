/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel-fd conns that another lane of the group uses (R40): two real lanes, turned by hand in
 * one thread, so that what comes before what is known. The same with threads: tests/tsan.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <parklane/conn.h>
#include <parklane/go.h>

#include "poller/conn_ops.h"
#include "poller/group.h"
#include "poller/lane_int.h"

#define MS 1000000ull

#define IS(got, want)                                                                              \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		cr_expect_eq(got_, want_, "%s: %lld, not %lld", #got, got_, want_);                \
	} while (0)

static struct lane *lane[2];
static struct lane_group *grp;
static struct pl_conn *srv, *cli, *lis; /* all of lane 0 */
static struct pl_addr addr;

static void turns(unsigned n)
{
	while (n--) {
		(void)lane_turn(lane[0], false);
		(void)lane_turn(lane[1], false);
	}
}

/* run - until no goroutine is left; false after so many turns. */
static bool run(void)
{
	for (unsigned i = 0; i < 20000000; i++) {
		if (!lane_nr_g(lane[0]) && !lane_nr_g(lane[1]))
			return true;
		turns(1);
	}
	return false;
}

static void go(unsigned on, void (*fn)(void *arg), void *arg)
{
	cr_assert_eq(lane_go(lane[on], fn, arg, "test"), 0);
}

static int lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

static int64_t waiters(unsigned on)
{
	return netpoll_waiters(lane_kernel_backend(lane[on]));
}

static uint64_t events(unsigned on, enum ledger_event ev)
{
	return lane[on]->led.ev[ev];
}

static void g_open(void *arg)
{
	(void)arg;
	addr = (struct pl_addr){.family = PL_AF_INET};
	memcpy(&addr.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	cr_assert_eq(pl_listen(PL_NET_KERNEL, &addr, 0, &lis), 0);
	cr_assert_eq(pl_local_addr(lis, &addr), 0);
	cr_assert_eq(pl_dial(PL_NET_KERNEL, &addr, 0, &cli), 0);
	cr_assert_eq(pl_accept(lis, &srv), 0);
}

static void duo_open_on(enum lane_kernel kernel, void (*opens)(void *arg))
{
	struct lane_config cfg;
	int err;

	lane_config_init(&cfg);
	cfg.max_g = 256;
	cfg.kernel = kernel;
	cr_assert_eq(lane_group_create(2, &grp), 0);
	for (unsigned i = 0; i < 2; i++) {
		err = lane_create(&cfg, &lane[i]);
		if (kernel == LANE_KERNEL_URING &&
		    (err == -EOPNOTSUPP || err == -ENOSYS || err == -EPERM))
			cr_skip("no io_uring here: %s", strerror(-err));
		cr_assert_eq(err, 0);
		lane_join(lane[i], grp, i);
	}
	go(0, opens, NULL);
	cr_assert(run());
}

static void duo_open(void)
{
	duo_open_on(LANE_KERNEL_EPOLL, g_open);
}

/* duo_close - and nothing is left of it. */
static void duo_close(void)
{
	for (unsigned i = 0; i < 2; i++)
		cr_expect_eq(waiters(i), 0);
	for (unsigned i = 0; i < 2; i++)
		lane_destroy(lane[i]);
	lane_group_destroy(grp);
}

struct io {
	struct pl_conn **c;
	char buf[8];
	ssize_t n;
	bool done;
};

static void g_read(void *arg)
{
	struct io *io = arg;

	io->n = pl_read(*io->c, io->buf, sizeof(io->buf));
	io->done = true;
}

static void g_write(void *arg)
{
	struct io *io = arg;

	io->n = pl_write(*io->c, "parklane", 8);
	io->done = true;
}

static void g_close(void *arg)
{
	struct io *io = arg;

	io->n = pl_close(*io->c);
	io->done = true;
}

Test(conn_far, test_conn_far_R40_event_of_owner_wakes_reader_of_other_lane, .timeout = 60)
{
	struct io rd = {.c = &srv}, wr = {.c = &cli};
	uint64_t bytes[2];

	duo_open();
	bytes[0] = events(0, LEDGER_EV_BYTES_COPIED);
	go(1, g_read, &rd);
	turns(2);
	cr_assert_not(rd.done);
	cr_assert_eq(waiters(0), 1, "counted where the event will come");
	cr_assert_eq(waiters(1), 0);
	go(1, g_write, &wr);
	cr_assert(run());
	cr_assert_eq(wr.n, 8);
	cr_assert_eq(rd.n, 8);
	cr_assert_eq(memcmp(rd.buf, "parklane", 8), 0);
	cr_assert_eq(events(0, LEDGER_EV_BYTES_COPIED), bytes[0], "not the owner's work");
	cr_assert_eq(events(1, LEDGER_EV_BYTES_COPIED), 16);
	duo_close();
}

static void g_accept(void *arg)
{
	struct io *io = arg;
	struct pl_conn *c;

	io->n = pl_accept(lis, &c);
	if (!io->n) {
		io->n = c->lane == lane_self() ? 0 : -1;
		(void)pl_close(c);
	}
	io->done = true;
}

static void g_dial(void *arg)
{
	struct pl_conn *c;

	(void)arg;
	if (pl_dial(PL_NET_KERNEL, &addr, 0, &c) == 0)
		(void)pl_close(c);
}

Test(conn_far, test_conn_far_R40_accepted_conn_belongs_to_who_accepts, .timeout = 60)
{
	struct io ac = {.n = 1};

	duo_open();
	go(1, g_accept, &ac);
	turns(2);
	go(0, g_dial, NULL);
	cr_assert(run());
	cr_assert_eq(ac.n, 0);
	duo_close();
}

struct dl {
	struct pl_conn **c;
	int64_t in; /* ns from now; 0 none */
	int err;
};

static void g_deadline(void *arg)
{
	struct dl *d = arg;

	d->err = pl_set_read_deadline(*d->c, d->in ? pl_now() + (uint64_t)d->in : 0);
}

/* deadline - set it from lane `on`, and let both lanes see it. */
static void deadline(unsigned on, int64_t in)
{
	struct dl d = {.c = &srv, .in = in, .err = 1};

	go(on, g_deadline, &d);
	turns(2);
	cr_assert_eq(d.err, 0);
}

Test(conn_far, test_conn_far_R28_past_deadline_of_other_lane_wakes_at_once, .timeout = 60)
{
	struct io rd = {.c = &srv};

	duo_open();
	go(0, g_read, &rd);
	turns(2);
	deadline(1, -1);
	cr_assert(rd.done);
	cr_assert_eq(rd.n, -ETIME);
	duo_close();
}

Test(conn_far, test_conn_far_R42_deadline_of_other_lane_is_armed_moved_and_cleared, .timeout = 60)
{
	for (unsigned reader = 0; reader < 2; reader++) {
		struct io rd = {.c = &srv}, again = {.c = &srv};
		uint64_t t0;

		duo_open();
		go(reader, g_read, &rd);
		turns(2);
		deadline(1, (int64_t)(3600000 * MS)); /* far away ... */
		cr_assert_neq(gtimer_next(&lane[0]->timers), 0, "the owner's heap");
		cr_assert_eq(gtimer_next(&lane[1]->timers), 0);
		deadline(1, 5 * (int64_t)MS); /* ... and soon */
		cr_assert(run());
		cr_assert_eq(rd.n, -ETIME);
		/* moved into the future by the owner, and cleared by the other */
		deadline(0, 5 * (int64_t)MS);
		deadline(1, 0);
		go(reader, g_read, &again);
		t0 = lane_now(lane[0]);
		while (lane_now(lane[0]) - t0 < 20 * MS)
			turns(1);
		cr_assert_not(again.done);
		deadline(1, -1);
		cr_assert(run());
		cr_assert_eq(again.n, -ETIME);
		duo_close();
	}
}

static void g_hundred_deadlines(void *arg)
{
	(void)arg;
	for (unsigned i = 1; i <= 100; i++)
		cr_assert_eq(pl_set_deadline(srv, pl_now() + i * 1000 * MS), 0);
}

Test(conn_far, test_conn_far_deadlines_of_other_lane_are_one_message, .timeout = 60)
{
	uint64_t before;

	duo_open();
	before = events(0, LEDGER_EV_MESSAGES);
	go(1, g_hundred_deadlines, NULL);
	turns(3);
	cr_assert_eq(events(0, LEDGER_EV_MESSAGES), before + 1);
	cr_assert_geq(gtimer_next(&lane[0]->timers), lane_now(lane[0]) + 99000 * MS);
	duo_close();
}

/* Everybody who waits, on both lanes, in the pd and in the mutex, is told; close returns after
 * the last one has left; then the fd is free. */
Test(conn_far, test_conn_far_R53_close_from_either_lane_wakes_readers_of_both, .timeout = 60)
{
	for (unsigned closer = 0; closer < 2; closer++) {
		struct io rd[4] = {{.c = &srv}, {.c = &srv}, {.c = &srv}, {.c = &srv}};
		struct io cl = {.c = &srv, .n = 1};
		unsigned open;
		int fd;

		duo_open();
		open = lane[0]->np.nr_open;
		fd = srv->fd;
		for (unsigned i = 0; i < 4; i++) {
			go(i % 2 ^ closer, g_read, &rd[i]);
			turns(1);
		}
		cr_assert_eq(waiters(0), 1, "the others wait for the lock");
		deadline(1, (int64_t)(3600000 * MS));
		go(closer, g_close, &cl);
		cr_assert(run());
		cr_assert_eq(cl.n, 0);
		for (unsigned i = 0; i < 4; i++)
			cr_assert_eq(rd[i].n, -EBADF);
		cr_assert_eq(lane[0]->np.nr_open, open - 1);
		cr_assert_eq(gtimer_next(&lane[0]->timers), 0);
		cr_assert_eq(fcntl(fd, F_GETFD), -1);
		duo_close();
	}
}

static void g_close_cli(void *arg)
{
	struct io *io = arg;

	io->n = pl_close(cli);
	io->done = true;
}

Test(conn_far, test_conn_far_close_unused_conn_of_other_lane, .timeout = 60)
{
	struct io cl = {.n = 1};
	int fd;

	duo_open();
	fd = cli->fd;
	go(1, g_close_cli, &cl);
	turns(1);
	cr_assert_eq(fcntl(fd, F_GETFD), FD_CLOEXEC, "the owner closes it");
	cr_assert_not(cl.done, "and the closer waits for that");
	cr_assert(run());
	cr_assert_eq(cl.n, 0);
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
	duo_close();
}

static void g_too_late(void *arg)
{
	struct io *io = arg;
	bool shared = lis->ops->shared;

	IS(pl_close(lis), -EBADF);
	IS(pl_set_deadline(lis, 1), -EBADF);
	IS(pl_local_addr(lis, &addr), -EBADF);
	IS(pl_conn_fd(lis), -EBADF);
	IS(pl_read(lis, io->buf, 1), shared ? -EBADF : -EXDEV);
	io->done = true;
}

/* By another lane than its own, which asks the owner about a conn of io_uring's. */
static void too_late(enum lane_kernel kernel)
{
	struct io late = {0}, cl = {.c = &lis};

	duo_open_on(kernel, g_open);
	go(1, g_close, &cl);
	cr_assert(run());
	IS(cl.n, 0);
	IS(lis->holds, CONN_DEAD | CONN_FREE);
	go(1, g_too_late, &late);
	cr_assert(run());
	cr_expect(late.done);
	IS(lis->holds, CONN_DEAD | CONN_FREE);
	duo_close();
}

Test(conn_far, test_conn_far_use_after_close_from_other_lane_says_ebadf, .timeout = 60)
{
	too_late(LANE_KERNEL_EPOLL);
}

Test(conn_far, test_conn_far_use_after_close_from_other_lane_of_uring_says_ebadf, .timeout = 60)
{
	too_late(LANE_KERNEL_URING);
}

Test(conn_far, test_conn_far_lanes_end_while_gs_wait_on_each_others_conns, .timeout = 60)
{
	for (unsigned first = 0; first < 2; first++) {
		struct io rd[2] = {{.c = &srv}, {.c = &cli}}, cl = {.c = &cli, .n = 1};
		int fd = lowest_free_fd();

		duo_open();
		go(1, g_read, &rd[0]);
		go(1, g_read, &rd[1]);
		turns(2);
		go(1, g_close, &cl);
		(void)lane_turn(lane[1], false); /* the owner never turns again */
		lane_destroy(lane[first]);
		lane_destroy(lane[!first]);
		lane_group_destroy(grp);
		cr_assert_eq(lowest_free_fd(), fd);
	}
}

static void g_refused(void *arg)
{
	struct pl_conn *c;
	struct pl_addr a;
	char b = 0;

	cr_assert_eq(pl_read(srv, &b, 1), -EXDEV);
	cr_assert_eq(pl_write(srv, &b, 1), -EXDEV);
	cr_assert_eq(pl_accept(lis, &c), -EXDEV);
	cr_assert_eq(pl_set_deadline(srv, 1), -EXDEV);
	cr_assert_eq(pl_shutdown(srv, 2), -EXDEV);
	cr_assert_eq(pl_local_addr(srv, &a), -EXDEV);
	cr_assert_eq(pl_close(srv), -EXDEV);
	*(bool *)arg = true;
}

Test(conn_far, test_conn_far_lane_of_another_group_is_refused, .timeout = 60)
{
	struct lane_config cfg;
	struct lane *alone;
	bool done = false;

	duo_open();
	lane_config_init(&cfg);
	cfg.max_g = 16;
	cr_assert_eq(lane_create(&cfg, &alone), 0);
	cr_assert_eq(lane_go(alone, g_refused, &done, "refused"), 0);
	(void)lane_turn(alone, false);
	cr_assert(done);
	lane_destroy(alone);
	duo_close();
}

/* ---- lanes on io_uring ---- */

static void g_adopt(void *arg)
{
	int fd[2];

	(void)arg;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	cr_assert_eq(pl_adopt(fd[0], 0, &srv), 0);
	cr_assert_eq(pl_adopt(fd[1], 0, &cli), 0);
}

Test(conn_far, test_conn_far_R40_adopted_fd_of_a_uring_lane_is_shared, .timeout = 60)
{
	struct io rd = {.c = &srv}, wr = {.c = &cli};
	int fd = lowest_free_fd();

	duo_open_on(LANE_KERNEL_URING, g_adopt);
	go(1, g_read, &rd);
	turns(2);
	cr_assert_not(rd.done);
	cr_assert_eq(waiters(0), 1, "counted where the event will come");
	go(1, g_write, &wr);
	cr_assert(run());
	cr_assert_eq(wr.n, 8);
	cr_assert_eq(rd.n, 8);
	cr_assert_eq(memcmp(rd.buf, "parklane", 8), 0);
	/* a close from there wakes the owner's reader */
	rd = (struct io){.c = &srv};
	wr = (struct io){.c = &srv};
	go(0, g_read, &rd);
	turns(2);
	cr_assert_not(rd.done);
	go(1, g_close, &wr);
	cr_assert(run());
	cr_assert_eq(rd.n, -EBADF);
	cr_assert_eq(wr.n, 0);
	/* the other end is left open: lane_destroy's */
	duo_close();
	cr_assert_eq(lowest_free_fd(), fd);
}

static struct pl_conn *dialled;
static bool moves[3];

static void g_movable(void *arg)
{
	char c;

	(void)arg;
	cr_assert_eq(pl_write(cli, "p", 1), 1);
	cr_assert_eq(pl_read(srv, &c, 1), 1);
	moves[0] = sched_self()->movable;
	cr_assert_eq(pl_listen(PL_NET_KERNEL, &addr, 0, &lis), 0);
	moves[1] = sched_self()->movable;
	cr_assert_eq(pl_local_addr(lis, &addr), 0);
	cr_assert_eq(pl_dial(PL_NET_KERNEL, &addr, 0, &dialled), 0);
}

static void g_other_lanes(void *arg)
{
	char c;

	(void)arg;
	cr_assert_eq(pl_lane_index(), 1);
	cr_assert_eq(pl_read(dialled, &c, 1), -EXDEV);
	moves[2] = sched_self()->movable;
}

Test(conn_far, test_conn_far_uring_binds_movable_by_a_request_and_not_by_a_try, .timeout = 60)
{
	addr = (struct pl_addr){.family = PL_AF_INET};
	memcpy(&addr.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	duo_open_on(LANE_KERNEL_URING, g_adopt);
	cr_assert_eq(lane_go_movable(lane[0], g_movable, NULL, "movable"), 0);
	cr_assert(run());
	cr_expect(moves[0], "an adopted fd is used from anywhere");
	cr_expect_not(moves[1], "a ring from its own lane alone");
	cr_assert_not_null(dialled);
	cr_assert_eq(lane[0]->sched.guests + lane[1]->sched.guests, 0);
	if (dialled->lane != lane[0])
		cr_skip("it was stolen before it was bound");
	/* the first to search is lane 1, and what runs there is refused and goes on movable */
	cr_assert_eq(lane_go_movable(lane[0], g_other_lanes, NULL, "other"), 0);
	(void)lane_turn(lane[1], false);
	cr_assert(run());
	cr_expect(moves[2]);
	duo_close();
}
