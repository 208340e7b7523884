/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lanes of a group: messages in order, goroutines for another lane, ready from another lane,
 * meetings, and the end as one. Virtual lanes turned by hand; real ones on threads where sleep
 * is the matter.
 */
#include "poller_env.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "poller/group.h"
#include "poller/parklane/conn.h"
#include "poller/parklane/go.h"

struct duo {
	struct env e[2];
	struct lane_group *grp;
};

static void duo_init(struct duo *d)
{
	cr_assert_eq(lane_group_create(2, &d->grp), 0);
	for (unsigned i = 0; i < 2; i++) {
		env_init(&d->e[i], true);
		lane_join(d->e[i].lane, d->grp, i);
	}
}

static void duo_turns(struct duo *d, unsigned n)
{
	while (n--) {
		env_turns(&d->e[0], 1);
		env_turns(&d->e[1], 1);
	}
}

static void duo_fini(struct duo *d)
{
	env_fini(&d->e[0]);
	env_fini(&d->e[1]);
	lane_group_destroy(d->grp);
}

Test(group, test_group_create_bad_number_refused)
{
	struct lane_group *grp = NULL;

	cr_assert_eq(lane_group_create(0, &grp), -EINVAL);
	cr_assert_eq(lane_group_create(LANES_MAX + 1, &grp), -EINVAL);
	cr_assert_null(grp);
}

static unsigned order[4], nr_run;

struct numbered {
	struct lane_msg msg;
	unsigned nr;
};

static void note_number(struct lane *l, struct lane_msg *m)
{
	(void)l;
	order[nr_run++] = container_of(m, struct numbered, msg)->nr;
}

Test(group, test_lane_post_messages_run_in_order_next_turn)
{
	struct numbered m[3];
	struct duo d;

	duo_init(&d);
	for (unsigned i = 0; i < 3; i++) {
		m[i] = (struct numbered){.msg = {.fn = note_number}, .nr = i};
		lane_post(d.e[1].lane, &m[i].msg);
	}
	cr_assert_eq(nr_run, 0, "not on the sender's thread");
	env_turns(&d.e[0], 1);
	cr_assert_eq(nr_run, 0);
	env_turns(&d.e[1], 1);
	cr_assert_eq(nr_run, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(order[i], i);
	duo_fini(&d);
}

static struct {
	unsigned lane[3], lanes;
	int bad, ok;
	bool back;
} went;

static void on_other(void *arg)
{
	went.lane[(uintptr_t)arg] = pl_lane_index();
	went.lanes = pl_nr_lanes();
}

static void send_gs(void *arg)
{
	(void)arg;
	went.bad = pl_go_on(2, on_other, NULL);
	went.ok = pl_go_on(1, on_other, (void *)1);
	if (!went.ok)
		went.ok = pl_go_on(0, on_other, (void *)2);
	went.back = true;
}

Test(group, test_go_on_other_lane_runs_there)
{
	struct duo d;

	duo_init(&d);
	went.lane[1] = went.lane[2] = 9;
	env_go(&d.e[0], send_gs, NULL);
	env_turns(&d.e[0], 1);
	cr_assert_not(went.back, "the asker waits until it stands in the queue");
	duo_turns(&d, 3);
	cr_assert(went.back);
	cr_assert_eq(went.bad, -EINVAL);
	cr_assert_eq(went.ok, 0);
	cr_assert_eq(went.lane[1], 1);
	cr_assert_eq(went.lane[2], 0);
	cr_assert_eq(went.lanes, 2);
	duo_fini(&d);
}

static void alone(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_nr_lanes(), 1);
	cr_assert_eq(pl_lane_index(), 0);
	cr_assert_eq(pl_go_on(1, on_other, NULL), -EINVAL);
	cr_assert_eq(pl_go_on(0, on_other, (void *)0), 0);
}

Test(group, test_go_on_without_group_is_alone)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, alone, NULL);
	env_turns(&e, 2);
	env_fini(&e);
}

static struct g *sleeper;
static bool woke;

static void sleep_long(void *arg)
{
	(void)arg;
	sleeper = sched_self();
	sched_park(NULL, NULL, WAIT_SEMA);
	woke = true;
}

static void wake_it(void *arg)
{
	(void)arg;
	sched_ready(sleeper);
}

Test(group, test_ready_from_other_lane_is_a_message)
{
	struct duo d;

	duo_init(&d);
	env_go(&d.e[0], sleep_long, NULL);
	env_turns(&d.e[0], 1);
	env_go(&d.e[1], wake_it, NULL);
	env_turns(&d.e[1], 2);
	cr_assert_not(woke);
	env_turns(&d.e[0], 1);
	cr_assert(woke);
	duo_fini(&d);
}

/* ---- real lanes ---- */

static struct lane_group *real;
static unsigned hops;
static struct lane *lanes[2];

static void hop(void *arg)
{
	(void)arg;
	/* Each lane sleeps in epoll while the other runs. */
	if (__atomic_add_fetch(&hops, 1, __ATOMIC_RELAXED) == 200) {
		pl_lane_stop();
		return;
	}
	cr_assert_eq(pl_go_on(!pl_lane_index(), hop, NULL), 0);
}

static void *real_lane(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct lane_config cfg;
	int err;

	lane_config_init(&cfg);
	cfg.max_g = 1024;
	err = lane_create(&cfg, &lanes[me]);
	if (!err) {
		lane_join(lanes[me], real, me);
		if (me == 0)
			err = lane_go(lanes[0], hop, NULL, "hop");
	}
	cr_assert_eq(lane_group_meet(real, err), 0);
	cr_assert_eq(lane_run(lanes[me]), 0);
	cr_assert_eq(lane_group_meet(real, 0), 0);
	lane_destroy(lanes[me]);
	return NULL;
}

Test(group, test_group_sleeping_lanes_are_woken_and_stop_as_one, .timeout = 30)
{
	pthread_t t;

	cr_assert_eq(lane_group_create(2, &real), 0);
	cr_assert_eq(pthread_create(&t, NULL, real_lane, (void *)1), 0);
	real_lane((void *)0);
	pthread_join(t, NULL);
	cr_assert_eq(hops, 200);
	lane_group_destroy(real);
}

static void *meet_with(void *arg)
{
	return (void *)(intptr_t)lane_group_meet(real, (int)(intptr_t)arg);
}

Test(group, test_group_meet_error_of_one_is_told_to_all, .timeout = 30)
{
	void *ret;
	pthread_t t;

	cr_assert_eq(lane_group_create(3, &real), 0);
	lane_group_absent(real, 1);
	cr_assert_eq(pthread_create(&t, NULL, meet_with, (void *)(intptr_t)-ENODEV), 0);
	cr_assert_eq(lane_group_meet(real, 0), -ENODEV);
	pthread_join(t, &ret);
	cr_assert_eq((intptr_t)ret, -ENODEV);
	cr_assert_eq(pthread_create(&t, NULL, meet_with, NULL), 0);
	cr_assert_eq(lane_group_meet(real, 0), 0, "the next meeting starts anew");
	pthread_join(t, NULL);
	lane_group_destroy(real);
}

/* ---- a port over kernel sockets is the group's, or somebody else's ---- */

struct listening {
	struct pl_conn *conn;
	int (*control)(struct pl_conn *c, void *arg);
	uint16_t port; /* 0 chosen */
	int err;
};

static void g_listen(void *arg)
{
	struct listening *x = arg;
	struct pl_addr addr = {.family = PL_AF_INET, .port = x->port, .v4 = htonl(INADDR_LOOPBACK)};

	x->err = pl_listen_control(PL_NET_KERNEL, &addr, 0, x->control, NULL, &x->conn);
	if (!x->err && pl_local_addr(x->conn, &addr) == 0)
		x->port = addr.port;
}

static void g_unlisten(void *arg)
{
	cr_assert_eq(pl_close(((struct listening *)arg)->conn), 0);
}

static void on_lane(struct lane *l, void (*fn)(void *arg), struct listening *x)
{
	cr_assert_eq(lane_go(l, fn, x, "listener"), 0);
	for (int i = 0; i < 4; i++)
		(void)lane_turn(l, false);
}

static int listen_on(struct lane *l, uint16_t port, struct listening *x)
{
	*x = (struct listening){.port = port};
	on_lane(l, g_listen, x);
	return x->err;
}

/* Somebody's socket on a port of 127.0.0.1 (0: chosen), with SO_REUSEPORT: the fd, or -errno. */
static int foreign_bind(uint16_t *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(*port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	cr_assert_geq(fd, 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	if (bind(fd, (struct sockaddr *)&sin, len) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&sin, &len)) {
		close(fd);
		return -errno;
	}
	*port = ntohs(sin.sin_port);
	return fd;
}

static int share_port(struct pl_conn *c, void *arg)
{
	int one = 1;

	(void)arg;
	return pl_setsockopt(c, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
}

/* A group of two lanes that this thread turns by hand. */
static struct lane_group *real_pair(struct lane *l[2])
{
	struct lane_group *grp;
	struct lane_config cfg;

	lane_config_init(&cfg);
	cfg.max_g = 1024;
	cr_assert_eq(lane_group_create(2, &grp), 0);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(lane_create(&cfg, &l[i]), 0);
		lane_join(l[i], grp, i);
	}
	return grp;
}

Test(group, test_listen_port_of_another_program_is_noticed_by_several_lanes)
{
	struct lane *ours[2], *theirs[2];
	struct lane_group *a = real_pair(ours), *b = real_pair(theirs);
	struct listening x[4];
	uint16_t port = 0;
	int fd = foreign_bind(&port);

	cr_assert_geq(fd, 0);
	cr_assert_eq(listen_on(ours[0], port, &x[0]), -EADDRINUSE);
	close(fd);
	cr_assert_eq(listen_on(ours[0], port, &x[0]), 0);
	cr_assert_eq(listen_on(ours[1], port, &x[1]), 0);
	cr_assert_eq(listen_on(ours[1], port, &x[2]), -EADDRINUSE, "once for each lane");
	cr_assert_eq(listen_on(theirs[0], port, &x[2]), -EADDRINUSE);
	/* any order of closing; the last one gives the port back */
	on_lane(ours[0], g_unlisten, &x[0]);
	cr_assert_eq(listen_on(theirs[0], port, &x[2]), -EADDRINUSE);
	cr_assert_eq(listen_on(ours[0], port, &x[0]), 0);
	on_lane(ours[0], g_unlisten, &x[0]);
	on_lane(ours[1], g_unlisten, &x[1]);
	cr_assert_eq(listen_on(theirs[1], port, &x[2]), 0);
	/* one that is open when its lane ends, with a port that was chosen */
	cr_assert_eq(listen_on(ours[0], 0, &x[0]), 0);
	cr_assert_eq(listen_on(ours[1], x[0].port, &x[1]), 0);
	for (unsigned i = 0; i < 2; i++) {
		lane_destroy(ours[i]);
		lane_destroy(theirs[i]);
	}
	lane_group_destroy(a);
	lane_group_destroy(b);
}

Test(group, test_listen_control_shares_the_port_of_another_program)
{
	struct listening x = {0}, y = {.control = share_port}, z = {.control = share_port};
	struct lane *ours[2];
	struct lane_group *a = real_pair(ours);
	int fd = foreign_bind(&x.port);

	cr_assert_geq(fd, 0);
	y.port = z.port = x.port;
	on_lane(ours[0], g_listen, &x);
	cr_assert_eq(x.err, -EADDRINUSE);
	on_lane(ours[0], g_listen, &y);
	cr_assert_eq(y.err, 0);
	on_lane(ours[0], g_listen, &z);
	cr_assert_eq(z.err, -EADDRINUSE, "once for each lane, whatever it sets");
	on_lane(ours[1], g_listen, &z);
	cr_assert_eq(z.err, 0);
	for (unsigned i = 0; i < 2; i++)
		lane_destroy(ours[i]);
	lane_group_destroy(a);
	close(fd);
}
