/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The epoll backend over pipes and socket pairs: the map from events to directions, the
 * eventfd, and events that come too late. The test polls the backend itself; no g runs
 * unless a line says so.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bug_signal.h"
#include "poller/group.h"
#include "poller/lane.h"
#include "poller/lane_int.h"
#include "poller/netpoll.h"
#include "poller/netpoll_epoll.h"
#include "poller/parklane/go.h"
#include "poller/tsc.h"

static struct lane *lane;
static struct netpoll_backend *nb;

static void setup(void)
{
	struct lane_config cfg;

	lane_config_init(&cfg);
	cfg.max_g = 256;
	cr_assert_eq(lane_create(&cfg, &lane), 0);
	nb = lane_kernel_backend(lane);
	cr_assert_not_null(nb);
}

static void teardown(void)
{
	lane_destroy(lane);
}

TestSuite(netpoll_epoll, .init = setup, .fini = teardown);

static struct poll_desc *open_fd(int fd)
{
	struct poll_desc *pd;

	cr_assert_eq(netpoll_open(nb, fd, NULL, &pd), 0);
	return pd;
}

static void close_pd(struct poll_desc *pd)
{
	netpoll_evict(pd);
	netpoll_close(pd);
}

static int look(void)
{
	return nb->ops->poll(nb, 0);
}

/* What one look made of pd: NETPOLL_READ | NETPOLL_WRITE. */
static unsigned ready_of(struct poll_desc *pd)
{
	unsigned m = 0;

	pd->rg = PD_NIL;
	pd->wg = PD_NIL;
	look();
	m |= pd->rg == PD_READY ? NETPOLL_READ : 0;
	m |= pd->wg == PD_READY ? NETPOLL_WRITE : 0;
	return m;
}

static void nonblock_pair(int sv[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
}

static void fill(int fd)
{
	char buf[4096] = {0};

	while (write(fd, buf, sizeof(buf)) > 0)
		;
	while (write(fd, buf, 1) > 0)
		;
}

Test(netpoll_epoll, test_netpoll_R34_in_is_read_out_is_write)
{
	struct poll_desc *pd;
	int sv[2];

	nonblock_pair(sv);
	fill(sv[0]);
	pd = open_fd(sv[0]);
	cr_assert_eq(ready_of(pd), 0, "full and empty: nothing");
	cr_assert_eq(write(sv[1], "x", 1), 1);
	cr_assert_eq(ready_of(pd), NETPOLL_READ);
	cr_assert_not(pd->hup);
	cr_assert_eq(ready_of(pd), 0, "an edge comes once");
	close_pd(pd);
	pd = open_fd(sv[1]);
	cr_assert_eq(ready_of(pd) & NETPOLL_READ, NETPOLL_READ);
	close_pd(pd);
}

Test(netpoll_epoll, test_netpoll_R34_rdhup_is_read)
{
	struct poll_desc *pd;
	int sv[2];

	nonblock_pair(sv);
	fill(sv[0]);
	pd = open_fd(sv[0]);
	ready_of(pd);
	shutdown(sv[1], SHUT_WR);
	cr_assert(ready_of(pd) & NETPOLL_READ);
	cr_assert(pd->hup);
	close_pd(pd);
}

Test(netpoll_epoll, test_netpoll_R34_hup_is_both)
{
	struct poll_desc *pd;
	int sv[2];

	nonblock_pair(sv);
	pd = open_fd(sv[0]);
	ready_of(pd);
	close(sv[1]);
	cr_assert_eq(ready_of(pd), NETPOLL_READ | NETPOLL_WRITE);
	cr_assert(pd->hup);
	cr_assert_not(pd->info & PD_INFO_EVENT_ERR, "not exactly an error (R13)");
	close_pd(pd);
}

Test(netpoll_epoll, test_netpoll_R13_exactly_err_sets_the_event_error)
{
	struct poll_desc *pd;
	int p[2];

	cr_assert_eq(pipe2(p, O_NONBLOCK), 0);
	fill(p[1]);
	pd = open_fd(p[1]);
	cr_assert_eq(ready_of(pd), 0);
	close(p[0]);
	cr_assert_eq(ready_of(pd), NETPOLL_READ | NETPOLL_WRITE);
	cr_assert(pd->info & PD_INFO_EVENT_ERR);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_READ), -EIO);
	cr_assert_eq(netpoll_check_err(pd, NETPOLL_WRITE), 0);
	close_pd(pd);
}

Test(netpoll_epoll, test_netpoll_R14_fd_that_epoll_refuses_is_an_error)
{
	struct poll_desc *pd = NULL;
	int fd = open("/etc/hostname", O_RDONLY);

	cr_assert_geq(fd, 0);
	cr_assert_eq(netpoll_open(nb, fd, NULL, &pd), -EPERM, "a regular file");
	cr_assert_eq(netpoll_open(nb, -1, NULL, &pd), -EBADF);
	cr_assert_null(pd);
	cr_assert_eq(lane->np.nr_open, 0);
}

Test(netpoll_epoll, test_netpoll_R16_closed_pd_gets_no_event)
{
	struct poll_desc *pd;
	int sv[2];

	nonblock_pair(sv);
	pd = open_fd(sv[0]);
	close_pd(pd);
	cr_assert_eq(write(sv[1], "x", 1), 1);
	cr_assert_eq(look(), 0);
}

/* The fd was closed before its pd, and a dup keeps the registration alive: its events go on
 * with the old tag, while the pd serves another fd already. */
Test(netpoll_epoll, test_netpoll_R21_late_event_of_a_recycled_pd_is_dropped)
{
	struct poll_desc *old, *new;
	int a[2], b[2], keep;

	nonblock_pair(a);
	nonblock_pair(b);
	fill(b[0]);
	old = open_fd(a[0]);
	keep = dup(a[0]);
	look();
	netpoll_evict(old);
	close(a[0]);
	netpoll_close(old);
	new = open_fd(b[0]);
	cr_assert_eq(new, old, "the very pd is used again");
	cr_assert_eq(write(a[1], "x", 1), 1);
	new->rg = PD_NIL;
	new->wg = PD_NIL;
	cr_assert_eq(look(), 1, "the kernel does deliver it");
	cr_assert_eq(new->rg, PD_NIL);
	cr_assert_eq(new->wg, PD_NIL);
	cr_assert_eq(write(b[1], "x", 1), 1);
	cr_assert_eq(ready_of(new), NETPOLL_READ);
	close_pd(new);
	close(keep);
}

Test(netpoll_epoll, test_netpoll_R32_zero_looks_positive_waits_no_longer_than_said)
{
	uint64_t t0 = tsc_mono_ns(), best = UINT64_MAX;

	cr_assert_eq(look(), 0);
	for (int i = 0; i < 50; i++) {
		t0 = tsc_mono_ns();
		cr_assert_eq(nb->ops->poll(nb, 200000), 0);
		t0 = tsc_mono_ns() - t0;
		cr_assert_geq(t0, 200000);
		if (t0 < best)
			best = t0;
	}
	/* qemu-user knows no epoll_pwait2: there, and only there, it is rounded up. */
	if (epoll_pwait2(-1, NULL, 0, NULL, NULL) < 0 && errno == ENOSYS)
		cr_assert_lt(best, 3000000, "one millisecond, not more");
	else
		cr_assert_lt(best, 1000000, "no rounding up to a millisecond");
}

Test(netpoll_epoll, test_netpoll_R33_128_events_a_call)
{
	static struct poll_desc *pd[150];
	int sv[150][2], first, second;

	for (int i = 0; i < 150; i++) {
		nonblock_pair(sv[i]);
		pd[i] = open_fd(sv[i][0]);
	}
	first = look();
	second = look();
	cr_assert_eq(first, 128);
	cr_assert_eq(second, 22);
	for (int i = 0; i < 150; i++) {
		cr_assert_eq(pd[i]->wg, PD_READY);
		close_pd(pd[i]);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

Test(netpoll_epoll, test_netpoll_R33_eintr_returns_empty)
{
	struct itimerval it = {.it_value.tv_usec = 2000};

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &it, NULL);
	cr_assert_eq(nb->ops->poll(nb, -1), 0);
}

Test(netpoll_epoll, test_netpoll_R33_an_epoll_that_is_gone_is_fatal, .signal = BUG_SIGNAL)
{
	close(lane_fd(lane));
	look();
}

Test(netpoll_epoll, test_netpoll_R35_many_breaks_are_one_wake)
{
	uint64_t calls = lane->led.ev[LEDGER_EV_SYS_EVENTFD];

	nb->ops->brk(nb);
	nb->ops->brk(nb);
	nb->ops->brk(nb);
	cr_assert_eq(nb->ops->poll(nb, -1), 1, "a blocking poll returns");
	cr_assert_eq(lane->led.ev[LEDGER_EV_SYS_EVENTFD], calls + 1);
	cr_assert_eq(look(), 0);
	nb->ops->brk(nb);
	cr_assert_eq(look(), 1, "R36: any poll drains, and the next break writes again");
	cr_assert_eq(look(), 0);
}

Test(netpoll_epoll, test_netpoll_R36_break_before_the_sleep_is_not_lost)
{
	struct pollfd p = {.fd = lane_fd(lane), .events = POLLIN};

	nb->ops->brk(nb);
	cr_assert_eq(poll(&p, 1, 0), 1, "level-triggered: it stays until drained");
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(nb->ops->poll(nb, -1), 1);
	cr_assert_eq(poll(&p, 1, 0), 0);
}

/* In somebody else's loop the lane did not poll where no g waits for an fd, and a break that was
 * seen kept the loop spinning. */
Test(netpoll_epoll, test_netpoll_epoll_break_that_was_seen_lets_another_loop_sleep)
{
	struct pollfd p = {.fd = lane_fd(lane), .events = POLLIN};
	int64_t timeout;

	cr_assert_eq(lane_prepare_sleep(lane, &timeout), 0);
	nb->ops->brk(nb);
	cr_assert_eq(poll(&p, 1, 0), 1);
	cr_assert_eq(lane_turn(lane, false), 0);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), -EAGAIN);
	cr_assert_eq(lane_prepare_sleep(lane, &timeout), 0);
	cr_assert_eq(poll(&p, 1, 0), 0);
}

/* A lane that joined a group of its own is alone as well; where there may be a second, words are
 * atomic. */
Test(netpoll_epoll, test_netpoll_epoll_pds_are_plain_where_the_lane_is_alone)
{
	struct lane_config cfg;
	struct lane_group *grp;
	struct lane *l;
	int sv[2];

	lane_config_init(&cfg);
	cfg.max_g = 256;
	nonblock_pair(sv);
	for (unsigned nr = 0; nr < 3; nr++) {
		struct poll_desc *pd;

		cr_assert_eq(lane_create(&cfg, &l), 0);
		if (nr) {
			cr_assert_eq(lane_group_create(nr, &grp), 0);
			lane_join(l, grp, 0);
		}
		cr_assert_eq(netpoll_open(lane_kernel_backend(l), sv[0], NULL, &pd), 0);
		cr_expect_eq(pd->local, nr < 2);
		close_pd(pd);
		lane_destroy(l);
		if (nr)
			lane_group_destroy(grp);
	}
}

/* ---- with gs: park on a real fd ---- */

static int pair[2];
static int got;

static void reads(void *arg)
{
	struct poll_desc *pd = open_fd(pair[0]);
	char c;

	(void)arg;
	for (;;) {
		ssize_t n;

		cr_assert_eq(netpoll_reset(pd, NETPOLL_READ), 0);
		n = read(pair[0], &c, 1);
		if (n == 0)
			break;
		if (n < 0)
			cr_assert_eq(netpoll_wait(pd, NETPOLL_READ), 0);
		else
			got++;
	}
	close_pd(pd);
}

static void writes(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(write(pair[1], "x", 1), 1);
		if (i % 3 == 0)
			pl_yield();
		else if (i % 7 == 0)
			pl_sleep(1000);
	}
	close(pair[1]);
}

Test(netpoll_epoll, test_netpoll_epoll_reader_parks_and_gets_all)
{
	nonblock_pair(pair);
	got = 0;
	cr_assert_eq(lane_go(lane, reads, NULL, "reads"), 0);
	cr_assert_eq(lane_go(lane, writes, NULL, "writes"), 0);
	cr_assert_eq(lane_run(lane), 0);
	cr_assert_eq(got, 100);
	cr_assert_eq(nb->waiters, 0);
}

static int deadline_err;

static void waits_with_deadline(void *arg)
{
	struct poll_desc *pd = open_fd(pair[0]);

	(void)arg;
	netpoll_set_deadline(pd, pl_now() + 300000, NETPOLL_READ);
	deadline_err = netpoll_wait(pd, NETPOLL_READ);
	close_pd(pd);
}

Test(netpoll_epoll, test_netpoll_epoll_deadline_wakes_a_sleeping_lane)
{
	nonblock_pair(pair);
	deadline_err = 0;
	cr_assert_eq(lane_go(lane, waits_with_deadline, NULL, "waits"), 0);
	cr_assert_eq(lane_run(lane), 0);
	cr_assert_eq(deadline_err, -ETIME);
}
