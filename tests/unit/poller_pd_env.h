/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of pds share: one pd, a g that waits on it, and a test that runs over local
 * and over locked pds.
 */
#ifndef TESTS_UNIT_POLLER_PD_ENV_H
#define TESTS_UNIT_POLLER_PD_ENV_H

#include "poller_env.h"

/* pd_env_init - the test itself counts as the lane's own code, also between turns. */
static inline void pd_env_init(struct env *e, bool local)
{
	env_init(e, local);
	(void)lane_enter(e->lane);
}

/* One requirement, over both kinds of pd. */
#define BOTH(name)                                                                                 \
	static void name(struct env *e);                                                           \
	Test(netpoll_local, test_netpoll_##name)                                                   \
	{                                                                                          \
		struct env e;                                                                      \
		pd_env_init(&e, true);                                                             \
		name(&e);                                                                          \
		env_fini(&e);                                                                      \
	}                                                                                          \
	Test(netpoll_locked, test_netpoll_##name)                                                  \
	{                                                                                          \
		struct env e;                                                                      \
		pd_env_init(&e, false);                                                            \
		name(&e);                                                                          \
		env_fini(&e);                                                                      \
	}                                                                                          \
	static void name(struct env *e)
/* The same for what must end with BUG. */
#define BOTH_FATAL(name)                                                                           \
	static void name(struct env *e);                                                           \
	Test(netpoll_local, test_netpoll_##name, .signal = BUG_SIGNAL)                             \
	{                                                                                          \
		struct env e;                                                                      \
		pd_env_init(&e, true);                                                             \
		name(&e);                                                                          \
	}                                                                                          \
	Test(netpoll_locked, test_netpoll_##name, .signal = BUG_SIGNAL)                            \
	{                                                                                          \
		struct env e;                                                                      \
		pd_env_init(&e, false);                                                            \
		name(&e);                                                                          \
	}                                                                                          \
	static void name(struct env *e)

static struct poll_desc *pd MAYBE_UNUSED;

static inline struct poll_desc *open_pd(struct env *e)
{
	struct poll_desc *p;

	cr_assert_eq(netpoll_open(&e->fake, 7, NULL, &p), 0);
	return p;
}

static inline void close_pd(struct poll_desc *p)
{
	if (!p->closing)
		netpoll_evict(p);
	netpoll_close(p);
}

/* A g that waits once on pd and tells how it ended. */
struct wait {
	unsigned mode;
	bool reset, canceled, done;
	int err;
};

static inline void waits(void *arg)
{
	struct wait *w = arg;

	if (w->reset) {
		w->err = netpoll_reset(pd, w->mode);
		if (w->err) {
			w->done = true;
			return;
		}
	}
	if (w->canceled)
		netpoll_wait_canceled(pd, w->mode);
	else
		w->err = netpoll_wait(pd, w->mode);
	w->done = true;
}

static inline void start(struct env *e, struct wait *w)
{
	w->done = false;
	w->err = 1;
	env_go(e, waits, w);
	env_turns(e, 1);
}

#endif
