/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Timers as channels, for select: one tick after a while (Go's time.After), or one again and
 * again (Go's Ticker). A ticker belongs to the lane that made it: -EXDEV elsewhere.
 */
#ifndef PARKLANE_TICKER_H
#define PARKLANE_TICKER_H

#include <stdint.h>

#include <parklane/chan.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pl_ticker;

/* pl_ticker_make - the first tick after `delay` ns, the others every `period` ns after it; 0:
 * there is only one. 0; -EINVAL a negative number or a NULL; -ENOMEM; -EXDEV on no lane. The caller
 * owns *ret_ticker. */
PL_API int pl_ticker_make(int64_t delay, int64_t period, struct pl_ticker **ret_ticker);
/* pl_ticker_chan - a tick is a uint64_t, the pl_now() when it was made. The buffer holds one:
 * while it is full ticks are dropped, so that a slow receiver gets no burst. Borrowed; never
 * closed. NULL ticker: NULL. */
PL_API struct pl_chan *pl_ticker_chan(struct pl_ticker *t);
/* pl_ticker_reset - start anew as pl_ticker_make; forgets a tick that nobody took. 0; -EINVAL;
 * -EXDEV. */
PL_API int pl_ticker_reset(struct pl_ticker *t, int64_t delay, int64_t period);
/* pl_ticker_stop - no tick from now on; forgets one that nobody took. 0; -EINVAL NULL; -EXDEV. */
PL_API int pl_ticker_stop(struct pl_ticker *t);
/* pl_ticker_free - and its channel, which nobody may wait on. NULL: nothing. 0; -EXDEV. */
PL_API int pl_ticker_free(struct pl_ticker *t);

#ifdef __cplusplus
}
#endif
#endif
