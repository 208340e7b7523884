/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel conns of one lane used by two, for ThreadSanitizer's eyes: reads, deadlines and closes
 * from the other lane while the owner delivers events and fires timers (R40), and calls that come
 * when it is closed. Prints TAP.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include <parklane/conn.h>

#include "poller/group.h"
#include "poller/lane.h"
#include "poller/netpoll.h"

#define ROUNDS 300

static struct {
	struct lane_group *grp;
	struct lane *lane[2];
	struct pl_conn *s, *c; /* of lane 0; s is read on lane 1 */
	unsigned round;
	int left;        /* (a) goroutines of the round */
	int bad;         /* (a) */
	int64_t waiters; /* of lane 0, at the end */
} x;

static void leave(bool ok)
{
	if (!ok)
		__atomic_store_n(&x.bad, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&x.left, 1, __ATOMIC_ACQ_REL);
}

static void reader(void *arg)
{
	char buf[16];
	ssize_t n;

	(void)arg;
	do {
		n = pl_read(x.s, buf, sizeof(buf));
		if (n == -ETIME)
			pl_yield();
	} while (n > 0 || n == -ETIME);
	/* it may have been between two reads when s was closed */
	leave(n == -EBADF && pl_close(x.s) == -EBADF);
}

/* hurry - deadlines that pass, are moved and taken away; then the close, in every second round. */
static void hurry(void *arg)
{
	int err = 0;

	for (unsigned i = 0; i < 20 && !err; i++) {
		err = pl_set_read_deadline(x.s, i % 5 ? pl_now() + i * 1000 : 1);
		pl_yield();
	}
	if (!err && arg)
		err = pl_close(x.s);
	leave(!err);
}

static void writer(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 20; i++) {
		if (pl_write(x.c, "parklane", 8) != 8)
			break;
		pl_yield();
	}
	leave(true);
}

static void wait_for(int left)
{
	while (__atomic_load_n(&x.left, __ATOMIC_ACQUIRE) > left)
		pl_sleep(20000);
}

static int one_round(struct pl_conn *l, const struct pl_addr *a)
{
	bool far_closer = x.round % 2;
	int err = pl_dial(PL_NET_KERNEL, a, 0, &x.c);

	if (!err)
		err = pl_accept(l, &x.s);
	x.left = 3;
	if (!err)
		err = pl_go_on(1, reader, NULL);
	if (!err)
		err = pl_go_on(1, hurry, far_closer ? &x : NULL);
	if (!err)
		err = pl_go(writer, NULL);
	if (err)
		return err;
	/* the reader stays until s is closed */
	wait_for(1);
	if (!far_closer)
		err = pl_close(x.s);
	wait_for(0);
	return err ? err : pl_close(x.c);
}

static void cross_main(void *arg)
{
	struct pl_addr a;
	struct pl_conn *l;

	(void)arg;
	if (pl_addr_parse("127.0.0.1:0", &a) || pl_listen(PL_NET_KERNEL, &a, 0, &l) ||
	    pl_local_addr(l, &a)) {
		pl_lane_stop();
		return;
	}
	while (x.round < ROUNDS && one_round(l, &a) == 0)
		x.round++;
	(void)pl_close(l);
	pl_lane_stop();
}

static void *lane_thread(void *arg)
{
	unsigned me = arg ? 1 : 0;
	struct lane_config cfg;
	int err;

	lane_config_init(&cfg);
	cfg.max_g = 256;
	err = lane_create(&cfg, &x.lane[me]);
	if (!err) {
		lane_join(x.lane[me], x.grp, me);
		if (me == 0)
			err = lane_go(x.lane[0], cross_main, NULL, "cross");
	}
	if (lane_group_meet(x.grp, err))
		return NULL;
	(void)lane_run(x.lane[me]);
	(void)lane_group_meet(x.grp, 0);
	if (me == 0)
		x.waiters = netpoll_waiters(lane_kernel_backend(x.lane[0]));
	(void)lane_group_meet(x.grp, 0);
	lane_destroy(x.lane[me]);
	return NULL;
}

int main(void)
{
	pthread_t t;

	printf("1..1\n");
	if (lane_group_create(2, &x.grp) || pthread_create(&t, NULL, lane_thread, &x))
		return 1;
	(void)lane_thread(NULL);
	pthread_join(t, NULL);
	lane_group_destroy(x.grp);
	printf("%sok 1 - %u rounds, %lld waiters left\n",
	       x.round == ROUNDS && !x.bad && !x.waiters ? "" : "not ", x.round,
	       (long long)x.waiters);
	return 0;
}
