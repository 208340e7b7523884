/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tickers: a goroutine timer that sends into a channel of one. A tick that comes late, because
 * the lane was busy, is one tick: the next is the first multiple of the period after now.
 */
#include <errno.h>
#include <stdlib.h>

#include <parklane/ticker.h>

#include "poller/lane_int.h"
#include "stack/base/bug.h"

struct pl_ticker {
	struct lane *lane;    /* (c) */
	struct pl_chan *chan; /* (c) owned */
	struct gtimer timer;  /* (o) a place for it is reserved */
	uint64_t next;        /* (o) absolute ns of the tick that is armed */
	uint64_t period;      /* (o) ns; 0: one tick */
};

static uint64_t add_ns(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static void ticker_arm(struct pl_ticker *t, uint64_t when)
{
	t->next = when ? when : 1;
	BUG_ON(gtimer_set(&t->lane->timers, &t->timer, t->next, 0) != 0);
}

static void tick(struct gtimer *timer, uint32_t seq, uint64_t now)
{
	struct pl_ticker *t = timer->arg;

	(void)seq;
	/* a full channel drops it */
	(void)pl_chan_try_send(t->chan, &now);
	if (t->period)
		ticker_arm(t, add_ns(now - (now - t->next) % t->period, t->period));
}

static void ticker_start(struct pl_ticker *t, int64_t delay, int64_t period)
{
	t->period = (uint64_t)period;
	/* a fresh reading, as for a sleep: the promise is "at least" */
	ticker_arm(t, add_ns(lane_clock(t->lane), (uint64_t)delay));
}

PL_API int pl_ticker_make(int64_t delay, int64_t period, struct pl_ticker **ret_ticker)
{
	struct lane *l = lane_self();
	struct pl_ticker *t;
	int err;

	if (!ret_ticker || delay < 0 || period < 0)
		return -EINVAL;
	if (!l)
		return -EXDEV;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	err = pl_chan_make(sizeof(uint64_t), 1, 0, &t->chan);
	if (!err)
		err = gtimer_reserve(&l->timers, 1);
	if (err) {
		pl_chan_put(t->chan);
		free(t);
		return err;
	}
	t->lane = l;
	t->timer.fn = tick;
	t->timer.arg = t;
	ticker_start(t, delay, period);
	*ret_ticker = t;
	return 0;
}

PL_API struct pl_chan *pl_ticker_chan(struct pl_ticker *t)
{
	return t ? t->chan : NULL;
}

PL_API int pl_ticker_stop(struct pl_ticker *t)
{
	if (!t)
		return -EINVAL;
	if (t->lane != lane_self())
		return -EXDEV;
	gtimer_stop(&t->lane->timers, &t->timer);
	(void)pl_chan_try_recv(t->chan, NULL);
	return 0;
}

PL_API int pl_ticker_reset(struct pl_ticker *t, int64_t delay, int64_t period)
{
	int err = delay < 0 || period < 0 ? -EINVAL : pl_ticker_stop(t);

	if (!err)
		ticker_start(t, delay, period);
	return err;
}

PL_API int pl_ticker_free(struct pl_ticker *t)
{
	if (!t)
		return 0;
	if (t->lane != lane_self())
		return -EXDEV;
	gtimer_remove(&t->lane->timers, &t->timer);
	gtimer_unreserve(&t->lane->timers, 1);
	pl_chan_put(t->chan);
	free(t);
	return 0;
}
