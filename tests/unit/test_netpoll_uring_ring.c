/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of the io_uring backend: a lane that ends with requests under way, the thread that the
 * ring belongs to, what older kernels get, and what is refused.
 */
#include "uring_env.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "poller/group.h"
#include "poller/parklane/conn.h"
#include "poller/parklane/go.h"
#include "poller/sched_int.h"
#include "stack/base/bug.h"

TestSuite(netpoll_uring_ring, .init = uring_setup, .fini = uring_teardown, .timeout = 60);

/* ---- the lane's end ---- */

static void accepts_for_ever(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET};
	struct pl_conn *l, *c;

	memcpy(&a.v4, (uint8_t[]){127, 0, 0, 1}, 4);
	if (pl_listen(PL_NET_KERNEL, &a, 0, &l))
		return;
	*(struct pl_conn **)arg = l;
	(void)pl_accept(l, &c);
}

static void stops_in_this_turn(void *arg)
{
	(void)arg;
	pl_lane_stop();
	/* a runnable g keeps the turn from polling at its end */
	pl_yield();
}

static void closes_and_stops(void *arg)
{
	pl_sleep(1000000);
	pl_go(stops_in_this_turn, NULL);
	(void)pl_close(*(struct pl_conn **)arg);
}

Test(netpoll_uring_ring, test_netpoll_uring_lane_ends_while_a_cancel_is_under_way)
{
	struct pl_conn *l = NULL;

	cr_assert_eq(lane_go(lane, accepts_for_ever, &l, "accepts"), 0);
	cr_assert_eq(lane_go(lane, closes_and_stops, &l, "closes"), 0);
	cr_assert_eq(lane_run(lane), 0);
}

static void *run_here(void *arg)
{
	(void)arg;
	cr_assert_eq(lane_run(lane), 0);
	return NULL;
}

Test(netpoll_uring_ring, test_netpoll_uring_lane_of_an_ended_thread_can_be_destroyed)
{
	struct pl_conn *l = NULL;
	pthread_t t;

	cr_assert_eq(lane_go(lane, accepts_for_ever, &l, "accepts"), 0);
	cr_assert_eq(pthread_create(&t, NULL, run_here, NULL), 0);
	usleep(20000);
	lane_stop(lane);
	pthread_join(t, NULL);
}

Test(netpoll_uring_ring, test_netpoll_uring_second_thread_is_fatal, .signal = SIGILL)
{
	pthread_t t;

	struct netpoll_backend *b;

	if (netpoll_uring_create_flags(lane, IORING_SETUP_SINGLE_ISSUER, &b) == -EINVAL)
		BUG("older kernels let any thread in");
	look();
	nb->ops->brk(nb);
	pthread_create(&t, NULL, (void *(*)(void *))(void *)look, NULL);
	pthread_join(t, NULL);
}

static void uses_the_ring(void *arg)
{
	bool *movable = arg;
	struct poll_desc *pd;
	int sv[2];

	stream_pair(sv);
	movable[0] = sched_self()->movable;
	pd = open_fd(nb, sv[0]);
	movable[1] = sched_self()->movable;
	close_pd(pd);
	close_pair(sv);
	pl_lane_stop();
}

Test(netpoll_uring_ring, test_netpoll_uring_binds_a_movable_user)
{
	bool movable[2] = {false, true};
	struct lane_group *grp;

	cr_assert_eq(lane_group_create(1, &grp), 0);
	lane_join(lane, grp, 0);
	cr_assert_eq(lane_go_movable(lane, uses_the_ring, movable, "uses"), 0);
	cr_assert_eq(lane_run(lane), 0);
	lane_destroy(lane);
	lane = NULL;
	lane_group_destroy(grp);
	cr_assert(movable[0] && !movable[1]);
}

/* ---- older kernels, and none ---- */

static void echo_once(struct netpoll_backend *b)
{
	struct poll_desc *pd;
	char buf[4] = "";
	int sv[2];

	stream_pair(sv);
	pd = open_fd(b, sv[0]);
	start_recv(pd, buf, sizeof(buf));
	cr_assert_eq(b->ops->poll(b, 0), 0);
	cr_assert_eq(write(sv[1], "abc", 3), 3);
	cr_assert_eq(b->ops->poll(b, 1000000000), 1);
	cr_assert_eq(netpoll_uring_take(pd, NETPOLL_READ), 3);
	start_recv(pd, buf, sizeof(buf));
	cr_assert_eq(b->ops->poll(b, 0), 0);
	close_pd(pd);
	b->ops->brk(b);
	cr_assert_eq(b->ops->poll(b, -1), 1);
	close_pair(sv);
}

Test(netpoll_uring_ring, test_netpoll_uring_flags_of_older_kernels_work)
{
	static const unsigned flags[] = {
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	struct netpoll_backend *b;

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		int err = netpoll_uring_create_flags(lane, flags[i], &b);

		if (err == -EINVAL)
			continue;
		cr_assert_eq(err, 0);
		echo_once(b);
		b->ops->fini(b);
	}
	cr_assert_eq(netpoll_uring_create_flags(lane, 1u << 31, &b), -EINVAL);
}

Test(netpoll_uring_ring, test_netpoll_uring_limits_refuse_or_do_not_matter)
{
	struct rlimit old, few, none = {0, 0};
	struct netpoll_backend *b;
	int fd = lowest_free_fd(), err;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (int more = 0; more < 2; more++) {
		few = (struct rlimit){.rlim_cur = (rlim_t)(fd + more), .rlim_max = old.rlim_max};
		setrlimit(RLIMIT_NOFILE, &few);
		err = netpoll_uring_create(lane, &b);
		setrlimit(RLIMIT_NOFILE, &old);
		cr_assert_eq(err, -EMFILE, "the ring, then the eventfd");
		cr_assert_eq(lowest_free_fd(), fd);
	}
	setrlimit(RLIMIT_MEMLOCK, &none);
	err = netpoll_uring_create(lane, &b);
	cr_assert(err == 0 || err == -ENOMEM, "rings count there before 5.12: %d", err);
	if (!err)
		b->ops->fini(b);
	cr_assert_eq(lowest_free_fd(), fd);
}

/* io_uring_setup answers as a container's seccomp profile, or an old kernel, makes it. */
static int create_when_setup_says(int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};
	struct netpoll_backend *b;

	cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		cr_skip("no seccomp here");
	return netpoll_uring_create(lane, &b);
}

Test(netpoll_uring_ring, test_netpoll_uring_forbidden_says_eperm)
{
	int fd = lowest_free_fd();

	cr_assert_eq(create_when_setup_says(EPERM), -EPERM);
	cr_assert_eq(lowest_free_fd(), fd);
}

Test(netpoll_uring_ring, test_netpoll_uring_old_kernel_says_enosys)
{
	cr_assert_eq(create_when_setup_says(ENOSYS), -ENOSYS);
}

Test(netpoll_uring_ring, test_netpoll_uring_no_flags_known_says_enosys)
{
	cr_assert_eq(create_when_setup_says(EINVAL), -ENOSYS);
}
