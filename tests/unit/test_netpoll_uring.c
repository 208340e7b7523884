/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io_uring backend over socket pairs: requests that are cancelled, completions that come too
 * late or too many at once, the eventfd, watched fds. The test polls the backend itself; no g runs
 * unless a line says so. The ring's own life is in test_netpoll_uring_ring.c.
 */
#include "uring_env.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "poller/parklane/go.h"
#include "poller/tsc.h"

TestSuite(netpoll_uring, .init = uring_setup, .fini = uring_teardown, .timeout = 60);

Test(netpoll_uring, test_netpoll_uring_request_is_sent_with_the_poll_and_wakes)
{
	struct poll_desc *pd;
	char buf[8] = "";
	int sv[2];

	stream_pair(sv);
	pd = open_fd(nb, sv[0]);
	cr_assert(pd->hup, "a short read must not be taken for an empty stream (R9)");
	start_recv(pd, buf, sizeof(buf));
	cr_assert_geq(nb->pending, 1);
	cr_assert_eq(look(), 0);
	cr_assert_eq(nb->pending, 0);
	cr_assert_eq(netpoll_uring_take(pd, NETPOLL_READ), -EINPROGRESS);
	cr_assert_eq(write(sv[1], "abc", 3), 3);
	cr_assert_eq(look(), 1);
	cr_assert_eq(pd->rg, PD_READY);
	cr_assert_eq(pd->wg, PD_NIL);
	cr_assert_eq(netpoll_uring_take(pd, NETPOLL_READ), 3);
	cr_assert(netpoll_uring_waited(pd, NETPOLL_READ));
	cr_assert_str_eq(buf, "abc");
	cr_assert_eq(write(sv[1], "de", 2), 2);
	start_recv(pd, buf, sizeof(buf));
	cr_assert_eq(look(), 1);
	cr_assert_eq(netpoll_uring_take(pd, NETPOLL_READ), 2);
	cr_assert_not(netpoll_uring_waited(pd, NETPOLL_READ), "it was there when asked for");
	close_pd(pd);
	close_pair(sv);
}

Test(netpoll_uring, test_netpoll_uring_idle_look_makes_no_system_call)
{
	struct poll_desc *pd;
	uint64_t calls;
	char buf[8];
	int sv[2];

	stream_pair(sv);
	pd = open_fd(nb, sv[0]);
	start_recv(pd, buf, sizeof(buf));
	look();
	calls = lane->led.ev[LEDGER_EV_SYS_URING_ENTER];
	for (int i = 0; i < 100; i++)
		cr_assert_eq(look(), 0);
	cr_assert_eq(lane->led.ev[LEDGER_EV_SYS_URING_ENTER], calls);
	cr_assert_eq(write(sv[1], "abc", 3), 3);
	cr_assert_eq(look(), 1);
	close_pd(pd);
	close_pair(sv);
}

/* R16: when close returns the kernel writes into nobody's buffer and holds no file. */
Test(netpoll_uring, test_netpoll_uring_R16_close_ends_the_request)
{
	struct poll_desc *pd;
	char buf[4] = "old", c;
	int sv[2];

	stream_pair(sv);
	pd = open_fd(nb, sv[0]);
	start_recv(pd, buf, sizeof(buf));
	look();
	close_pd(pd);
	close(sv[0]);
	cr_assert_lt(send(sv[1], "new", 3, MSG_NOSIGNAL), 0);
	cr_assert_eq(read(sv[1], &c, 1), 0, "the kernel closed its end with our close");
	look();
	cr_assert_str_eq(buf, "old");
	cr_assert_eq(lane->np.nr_open, 0);
	close(sv[1]);
}

/* As if a request had outlived its pd: the pd is forced to forget it. */
Test(netpoll_uring, test_netpoll_uring_R21_late_completion_of_a_recycled_pd_is_dropped)
{
	struct poll_desc *old, *new;
	static char buf[8];
	int a[2], b[2];

	stream_pair(a);
	stream_pair(b);
	old = open_fd(nb, a[0]);
	start_recv(old, buf, sizeof(buf));
	look();
	old->req[0].state = PD_REQ_NONE;
	close_pd(old);
	new = open_fd(nb, b[0]);
	cr_assert_eq(new, old, "the very pd is used again");
	start_recv(new, buf + 4, 4);
	look();
	cr_assert_eq(write(a[1], "x", 1), 1);
	cr_assert_eq(look(), 1, "the kernel does deliver it");
	cr_assert_eq(new->rg, PD_NIL);
	cr_assert_eq(netpoll_uring_take(new, NETPOLL_READ), -EINPROGRESS);
	cr_assert_eq(write(b[1], "yz", 2), 2);
	cr_assert_eq(look(), 1);
	cr_assert_eq(netpoll_uring_take(new, NETPOLL_READ), 2);
	close_pd(new);
	close_pair(a);
	close_pair(b);
}

Test(netpoll_uring, test_netpoll_uring_more_requests_than_entries_all_go)
{
	static struct poll_desc *pd[400];
	static char buf[400];
	int sv[400][2], n = 0, more;

	for (int i = 0; i < 400; i++) {
		stream_pair(sv[i]);
		pd[i] = open_fd(nb, sv[i][0]);
		start_recv(pd[i], &buf[i], 1);
	}
	look();
	for (int i = 0; i < 400; i++)
		cr_assert_eq(write(sv[i][1], "x", 1), 1);
	while (n < 400 && (more = look()) > 0)
		n += more;
	cr_assert_eq(n, 400);
	for (int i = 0; i < 400; i++) {
		cr_assert_eq(netpoll_uring_take(pd[i], NETPOLL_READ), 1);
		close_pd(pd[i]);
		close_pair(sv[i]);
	}
}

/* 6,000 completions at one blow, where the ring has room for 4,096. */
Test(netpoll_uring, test_netpoll_uring_completions_beyond_the_ring_are_not_lost)
{
	static struct poll_desc *pd[6000];
	int fd = eventfd(0, EFD_CLOEXEC), n = 0, more;
	uint64_t one = 1;

	for (int i = 0; i < 6000; i++) {
		struct io_uring_sqe *sqe;

		pd[i] = open_fd(nb, fd);
		sqe = netpoll_uring_sqe(nb);
		cr_assert_not_null(sqe);
		io_uring_prep_poll_add(sqe, fd, POLLIN);
		netpoll_uring_start(pd[i], NETPOLL_READ, sqe, false);
	}
	cr_assert_eq(look(), 0);
	cr_assert_eq(write(fd, &one, sizeof(one)), sizeof(one));
	while (n < 6000 && (more = look()) > 0)
		n += more;
	cr_assert_eq(n, 6000);
	for (int i = 0; i < 6000; i++) {
		cr_assert_eq(netpoll_uring_take(pd[i], NETPOLL_READ), POLLIN);
		close_pd(pd[i]);
	}
	close(fd);
}

/* sq_flags - the word by which the kernel tells of work, in the ring of fd. */
static unsigned *sq_flags(int fd)
{
	struct io_uring_params p = {0};
	struct io_uring other;
	char *ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);

	cr_assert_neq(ring, MAP_FAILED);
	cr_assert_eq(io_uring_queue_init_params(4, &other, &p), 0);
	io_uring_queue_exit(&other);
	return (unsigned *)(ring + p.sq_off.flags);
}

/* A lane hung here, spinning: another cpu that brings work raises the flag after it, when this one
 * may have done the work already, and then nothing takes the flag down. */
Test(netpoll_uring, test_netpoll_uring_flag_raised_for_nothing_does_not_hold_the_poll)
{
	struct poll_desc *pd;
	unsigned *flags;
	char c;
	int sv[2];

	stream_pair(sv);
	look();
	flags = sq_flags(lane_fd(lane));
	pd = open_fd(nb, sv[0]);
	cr_assert_eq(write(sv[1], "x", 1), 1);
	start_recv(pd, &c, 1);
	__atomic_or_fetch(flags, IORING_SQ_TASKRUN, __ATOMIC_SEQ_CST);
	cr_assert_eq(look(), 1);
	cr_assert_eq(netpoll_uring_take(pd, NETPOLL_READ), 1);
	close_pd(pd);
	close_pair(sv);
}

/* ---- polling ---- */

Test(netpoll_uring, test_netpoll_uring_R32_zero_looks_positive_waits_no_longer_than_said)
{
	uint64_t t0, best = UINT64_MAX;

	cr_assert_eq(look(), 0);
	for (int i = 0; i < 50; i++) {
		t0 = tsc_mono_ns();
		cr_assert_eq(nb->ops->poll(nb, 200000), 0);
		t0 = tsc_mono_ns() - t0;
		cr_assert_geq(t0, 200000);
		if (t0 < best)
			best = t0;
	}
	cr_assert_lt(best, 1000000, "no rounding up to a millisecond");
}

static void on_alarm(int sig)
{
	(void)sig;
}

Test(netpoll_uring, test_netpoll_uring_R33_eintr_returns_empty)
{
	struct itimerval it = {.it_value.tv_usec = 2000};

	look();
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &it, NULL);
	cr_assert_eq(nb->ops->poll(nb, -1), 0);
	setitimer(ITIMER_REAL, &it, NULL);
	cr_assert_eq(nb->ops->poll(nb, 10000000000), 0);
}

Test(netpoll_uring, test_netpoll_uring_R35_many_breaks_are_one_wake)
{
	nb->ops->brk(nb);
	nb->ops->brk(nb);
	nb->ops->brk(nb);
	cr_assert_eq(nb->ops->poll(nb, -1), 1, "a blocking poll returns");
	cr_assert_eq(lane->led.ev[LEDGER_EV_BREAKS], 1);
	cr_assert_eq(look(), 0);
	nb->ops->brk(nb);
	cr_assert_eq(look(), 1, "R36: any poll drains, and the next break writes again");
	cr_assert_eq(look(), 0);
}

static void *break_on_and_on(void *arg)
{
	while (!__atomic_load_n((bool *)arg, __ATOMIC_RELAXED)) {
		usleep(50);
		nb->ops->brk(nb);
	}
	return NULL;
}

Test(netpoll_uring, test_netpoll_uring_R35_breaks_of_another_thread_are_never_lost)
{
	bool enough = false;
	pthread_t t;
	int n = 0;

	look();
	cr_assert_eq(pthread_create(&t, NULL, break_on_and_on, &enough), 0);
	/* a break may meet a wake_sig that is set, but never a poll that sleeps on */
	while (n < 500 && nb->ops->poll(nb, 1000000000) == 1)
		n++;
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	cr_assert_eq(n, 500);
}

Test(netpoll_uring, test_netpoll_uring_R36_break_before_the_sleep_is_not_lost)
{
	struct pollfd p = {.fd = lane_fd(lane), .events = POLLIN};
	int64_t timeout;

	/* somebody else's loop, in which the lane itself never polls */
	cr_assert_eq(lane_turn(lane, false), 0);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), 0);
	cr_assert_eq(poll(&p, 1, 0), 0);
	nb->ops->brk(nb);
	cr_assert_eq(poll(&p, 1, 0), 1, "it stays until taken");
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(nb->ops->poll(nb, -1), 1);
	cr_assert_eq(poll(&p, 1, 0), 0);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), 0);
	nb->ops->brk(nb);
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(lane_turn(lane, false), 0);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), -EAGAIN);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), 0);
	cr_assert_eq(poll(&p, 1, 0), 0);
}

Test(netpoll_uring, test_netpoll_uring_watched_fd_wakes_another_loop)
{
	struct pollfd p = {.fd = lane_fd(lane), .events = POLLIN};
	int64_t timeout;
	int fd[2];

	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0);
	cr_assert_eq(nb->ops->watch(nb, fd[0]), 0);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), 0);
	cr_assert_eq(poll(&p, 1, 0), 0);
	cr_assert_eq(write(fd[1], "x", 1), 1);
	cr_assert_eq(poll(&p, 1, 1000), 1);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), -EAGAIN);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), -EAGAIN, "as long as it is readable");
	close(fd[0]);
	close(fd[1]);
}

Test(netpoll_uring, test_netpoll_uring_watched_fd_ends_every_sleep_while_readable)
{
	int p[2];
	char c;

	cr_assert_eq(nb->ops->watch(nb, -1), -EBADF);
	cr_assert_eq(pipe2(p, O_CLOEXEC), 0);
	cr_assert_eq(nb->ops->watch(nb, p[0]), 0);
	cr_assert_eq(nb->ops->poll(nb, 1000000), 0);
	cr_assert_eq(write(p[1], "x", 1), 1);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(nb->ops->poll(nb, 1000000000), 1, "level-triggered");
	cr_assert_eq(read(p[0], &c, 1), 1);
	/* what was asked for before the read may still answer once */
	nb->ops->poll(nb, 1000000);
	cr_assert_eq(nb->ops->poll(nb, 1000000), 0);
	close(p[0]);
	close(p[1]);
}

/* ---- with gs ---- */

static int pair[2];
static int got;

static void waits_with_deadline(void *arg)
{
	struct poll_desc *pd = open_fd(nb, pair[0]);
	char buf[4];

	(void)arg;
	netpoll_set_deadline(pd, pl_now() + 300000, NETPOLL_READ);
	start_recv(pd, buf, sizeof(buf));
	got = netpoll_uring_wait(pd, NETPOLL_READ);
	cr_assert_eq(pd->req[0].state, PD_REQ_NONE);
	close_pd(pd);
}

Test(netpoll_uring, test_netpoll_uring_R11_deadline_cancels_and_wakes_a_sleeping_lane)
{
	stream_pair(pair);
	cr_assert_eq(lane_go(lane, waits_with_deadline, NULL, "waits"), 0);
	cr_assert_eq(lane_run(lane), 0);
	cr_assert_eq(got, -ETIME);
	cr_assert_eq(nb->waiters, 0);
	close_pair(pair);
}

static struct poll_desc *shared;

static void waits(void *arg)
{
	char *buf = arg;

	shared = open_fd(nb, pair[0]);
	start_recv(shared, buf, 4);
	got = netpoll_uring_wait(shared, NETPOLL_READ);
}

static void evicts_with_bytes_there(void *arg)
{
	(void)arg;
	pl_sleep(1000000);
	cr_assert_eq(write(pair[1], "abc", 3), 3);
	/* the completion is in the ring, and nobody looked yet */
	io_uring_enter((unsigned)lane_fd(lane), 0, 0, IORING_ENTER_GETEVENTS, NULL);
	netpoll_evict(shared);
}

/* R11: whichever comes first, the bytes are in the buffer or in the socket, never nowhere. */
Test(netpoll_uring, test_netpoll_uring_R11_bytes_that_came_before_the_cancel_are_kept)
{
	char buf[4] = "", rest[4];

	stream_pair(pair);
	cr_assert_eq(lane_go(lane, waits, buf, "waits"), 0);
	cr_assert_eq(lane_go(lane, evicts_with_bytes_there, NULL, "evicts"), 0);
	cr_assert_eq(lane_run(lane), 0);
	if (got == -EBADF)
		cr_assert_eq(read(pair[0], rest, sizeof(rest)), 3);
	else
		cr_assert(got == 3 && !memcmp(buf, "abc", 3), "%d", got);
	netpoll_close(shared);
	close_pair(pair);
}
