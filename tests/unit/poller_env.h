/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtual lane for the poller's tests: time that only the test moves, and a fake backend
 * whose events the test delivers itself, with local or with locked pds.
 */
#ifndef TESTS_UNIT_POLLER_ENV_H
#define TESTS_UNIT_POLLER_ENV_H

#include <criterion/criterion.h>

#include <signal.h>

#include "bug_signal.h"
#include "poller/lane.h"
#include "poller/lane_int.h"
#include "poller/netpoll.h"
#include "poller/sched.h"

struct env {
	struct lane *lane;
	uint64_t now;
	struct netpoll_backend fake;
	unsigned opened, closed;
	int open_err;
	void (*on_poll)(struct env *e);
};

static inline uint64_t env_clock(void *ctx)
{
	return ((struct env *)ctx)->now;
}

static inline struct env *env_of(struct netpoll_backend *nb)
{
	return container_of(nb, struct env, fake);
}

static inline int fake_open(struct netpoll_backend *nb, struct poll_desc *pd)
{
	(void)pd;
	env_of(nb)->opened++;
	return env_of(nb)->open_err;
}

static inline void fake_close(struct netpoll_backend *nb, struct poll_desc *pd)
{
	(void)pd;
	env_of(nb)->closed++;
}

static inline int fake_poll(struct netpoll_backend *nb, int64_t delay_ns)
{
	(void)delay_ns;
	if (env_of(nb)->on_poll)
		env_of(nb)->on_poll(env_of(nb));
	return 0;
}

static const struct netpoll_ops fake_ops = {
	.name = "fake",
	.open = fake_open,
	.close = fake_close,
	.poll = fake_poll,
};

static inline void env_init(struct env *e, bool local)
{
	struct lane_config cfg;

	*e = (struct env){.now = 1000};
	lane_config_init(&cfg);
	cfg.virt = true;
	cfg.clock = env_clock;
	cfg.clock_ctx = e;
	cfg.max_g = 4096;
	cr_assert_eq(lane_create(&cfg, &e->lane), 0);
	e->fake = (struct netpoll_backend){.ops = &fake_ops, .lane = e->lane, .local = local};
	cr_assert_eq(lane_add_backend(e->lane, &e->fake), 0);
}

static inline void env_fini(struct env *e)
{
	lane_destroy(e->lane);
}

static inline void env_go(struct env *e, void (*fn)(void *arg), void *arg)
{
	cr_assert_eq(lane_go(e->lane, fn, arg, "test"), 0);
}

/* env_turns - n turns; returns the gs run. */
static inline unsigned env_turns(struct env *e, unsigned n)
{
	unsigned ran = 0;

	while (n--)
		ran += lane_turn(e->lane, false);
	return ran;
}

#endif
