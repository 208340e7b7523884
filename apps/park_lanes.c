/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A goroutine of one lane makes one of another lane runnable, which does the same to the first:
 * both lanes turn without sleep, each on a cpu of its own, as lanes with a device do.
 */
#include <errno.h>
#include <pthread.h>

#include "apps/park_int.h"
#include "poller/group.h"
#include "poller/netpoll.h"
#include "poller/parklane/go.h"
#include "poller/sched.h"
#include "poller/tsc.h"
#include "stack/base/bug.h"

#define WARM   1000u
#define ROUNDS 100000u

struct side {
	struct court *court;
	struct lane *lane;
	struct g *g; /* (a) set before its first park */
	unsigned no;
	int cpu, err;
};

struct court {
	struct lane_group *grp;
	struct side side[2];
	uint64_t ns;
};

/* A device that never has anything: it is polled, so the lane does not sleep. */
static int no_poll(struct netpoll_backend *nb, int64_t delay_ns)
{
	(void)nb;
	(void)delay_ns;
	return 0;
}

static const struct netpoll_ops no_device = {.name = "bench", .poll = no_poll};

/* The other's message can only run once this one is off its stack: its lane is busy until then. */
static void hit(struct side *other)
{
	sched_ready(other->g);
	sched_park(NULL, NULL, WAIT_SEMA);
}

static void server(void *arg)
{
	struct side *s = arg, *other = &s->court->side[1];
	uint64_t t0 = 0;

	while (!__atomic_load_n(&other->g, __ATOMIC_ACQUIRE))
		pl_yield();
	s->g = sched_self();
	for (unsigned n = 0; n < WARM + ROUNDS; n++) {
		if (n == WARM)
			t0 = tsc_mono_ns();
		hit(other);
	}
	s->court->ns = tsc_mono_ns() - t0;
	lane_group_stop(s->court->grp);
}

static void returner(void *arg)
{
	struct side *s = arg;

	__atomic_store_n(&s->g, sched_self(), __ATOMIC_RELEASE);
	sched_park(NULL, NULL, WAIT_SEMA);
	for (;;)
		hit(&s->court->side[0]);
}

static void *play(void *arg)
{
	struct side *s = arg;
	struct netpoll_backend nb = {.ops = &no_device, .local = true};
	struct lane_config cfg;
	int err;

	lane_config_init(&cfg);
	cfg.cpu = s->cpu;
	cfg.idle = LANE_IDLE_SPIN;
	err = lane_create(&cfg, &s->lane);
	if (!err) {
		nb.lane = s->lane;
		lane_join(s->lane, s->court->grp, s->no);
		err = lane_add_backend(s->lane, &nb);
	}
	if (!err)
		err = lane_go(s->lane, s->no ? returner : server, s, "player");
	err = lane_group_meet(s->court->grp, err);
	if (!err)
		err = lane_run(s->lane);
	s->err = lane_group_meet(s->court->grp, err);
	lane_destroy(s->lane);
	return NULL;
}

int park_cross(int cpu, int other, double *ret_ns)
{
	struct court c = {.side = {{.cpu = cpu}, {.cpu = other, .no = 1}}};
	pthread_t t;
	int err = lane_group_create(2, &c.grp);

	if (err)
		return err;
	c.side[0].court = c.side[1].court = &c;
	err = -pthread_create(&t, NULL, play, &c.side[1]);
	if (!err) {
		(void)play(&c.side[0]);
		(void)pthread_join(t, NULL);
		err = c.side[0].err;
		*ret_ns = (double)c.ns / (2.0 * ROUNDS);
	}
	lane_group_destroy(c.grp);
	return err;
}
