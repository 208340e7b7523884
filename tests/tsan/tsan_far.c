/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stack conns of one lane used by another, for ThreadSanitizer's eyes: deadlines, addresses and
 * closes come as messages from a lane without a device while the owner reads, writes and closes
 * itself. Prints TAP.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <parklane/conn.h>

#include "apps/open.h"
#include "drivers/loop.h"
#include "poller/group.h"
#include "poller/lane.h"
#include "poller/netpoll.h"

#define ROUNDS 200
#define STEPS  20
#define IP_A   0x0100004du /* 77.0.0.1, network order */

static struct {
	struct lane_group *grp;
	struct open_lane ol[2];
	struct netdev *dev[2]; /* lane 0 talks to its own address: nothing goes over the link */
	struct skb_pool *pool;
	struct pl_conn *s, *c; /* of lane 0 */
	unsigned round, refused;
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

static void writer(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < STEPS && pl_write(x.c, "parklane", 8) == 8; i++)
		pl_yield();
	leave(true);
}

/* hurry - on lane 1. In every second round the owner closes while this goes on, else it closes. */
static void hurry(void *arg)
{
	struct pl_addr a;
	int err = 0;
	char b;

	if (pl_read(x.s, &b, 1) == -EXDEV)
		x.refused++;
	for (unsigned i = 0; i < STEPS && !err; i++) {
		err = pl_set_read_deadline(x.s, i % 5 ? pl_now() + i * 1000 : 1);
		if (!err)
			err = pl_peer_addr(x.s, &a);
	}
	if (arg)
		err = pl_close(x.s);
	if (!err && arg && (pl_close(x.s) != -EBADF || pl_peer_addr(x.s, &a) != -EBADF))
		err = -EIO;
	leave(!err || (!arg && err == -EBADF));
}

static void wait_for(int left)
{
	while (__atomic_load_n(&x.left, __ATOMIC_ACQUIRE) > left)
		pl_sleep(20000);
}

static int one_round(struct pl_conn *l, const struct pl_addr *a)
{
	bool far_closer = x.round % 2;
	int err = pl_dial(PL_NET_STACK, a, 0, &x.c);

	if (!err)
		err = pl_accept(l, &x.s);
	if (err)
		return err;
	x.left = 3;
	err = pl_go(reader, NULL);
	if (!err)
		err = pl_go_on(1, hurry, far_closer ? &x : NULL);
	if (!err)
		err = pl_go(writer, NULL);
	if (err)
		return err;
	if (!far_closer) {
		pl_sleep(x.round * 997 % 200000);
		err = pl_close(x.s);
	}
	wait_for(0);
	return err ? err : pl_close(x.c);
}

static void far_main(void *arg)
{
	struct pl_addr a = {.family = PL_AF_INET, .port = 7, .v4 = IP_A};
	struct pl_conn *l;

	(void)arg;
	if (!pl_listen(PL_NET_STACK, &a, 16, &l)) {
		while (x.round < ROUNDS && one_round(l, &a) == 0)
			x.round++;
		(void)pl_close(l);
	}
	pl_lane_stop();
}

static void *lane_thread(void *arg)
{
	unsigned me = arg ? 1 : 0;
	struct lane_plan plan = {
		.ip = IP_A, .prefix_len = 24, .cpu = -1, .idle = LANE_IDLE_NAP, .nap_ns = 50000};
	int err = open_lane(&plan, NULL, 0, me ? NULL : x.dev[0], me ? NULL : x.pool, &x.ol[me]);

	if (!err) {
		lane_join(x.ol[me].lane, x.grp, me);
		if (me == 0)
			err = lane_go(x.ol[0].lane, far_main, NULL, "far");
	}
	if (lane_group_meet(x.grp, err))
		return NULL;
	(void)lane_run(x.ol[me].lane);
	(void)lane_group_meet(x.grp, 0);
	if (me == 0)
		x.waiters = netpoll_waiters(lane_stack_backend(x.ol[0].lane));
	close_lane(&x.ol[me]);
	return NULL;
}

int main(void)
{
	struct loop_config cfg;
	pthread_t t;
	bool ok;

	printf("1..1\n");
	fflush(stdout);
	alarm(240);
	x.pool = skb_heap_pool_create(4096, 2176);
	loop_config_init(&cfg);
	cfg.pool = x.pool;
	if (!x.pool || loop_pair(&cfg, &x.dev[0], &x.dev[1]) || lane_group_create(2, &x.grp) ||
	    pthread_create(&t, NULL, lane_thread, &x))
		return 1;
	(void)lane_thread(NULL);
	pthread_join(t, NULL);
	lane_group_destroy(x.grp);
	for (int i = 0; i < 2; i++)
		x.dev[i]->ops->close(x.dev[i]);
	skb_pool_destroy(x.pool);
	ok = x.round == ROUNDS && x.refused == ROUNDS && !x.bad && !x.waiters;
	printf("%sok 1 - %u rounds, %u reads refused, %lld waiters left\n", ok ? "" : "not ",
	       x.round, x.refused, (long long)x.waiters);
	return ok ? 0 : 1;
}
