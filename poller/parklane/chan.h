/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Channels with Go's semantics: unbuffered (cap 0) both sides meet, buffered up to cap elements
 * wait in between; FIFO; select over several. A channel belongs to the lane that made it, or to
 * all (PL_CHAN_SHARED). Parking on a local one binds a movable goroutine to that lane for life.
 *
 * Where Go panics we return: a send to a closed channel is -EPIPE, a second close -EBADF. A NULL
 * channel is never ready, as Go's nil: a plain call on it parks until the goroutine's ctx ends.
 *
 * Errors common to all calls: -EXDEV the channel belongs to another lane, or the call would have
 * to park and the caller is no goroutine; -ECANCELED or -ETIME the goroutine's ctx ended
 * (ctx.h): nothing was sent or received. pl_chan_close and the _try_ calls on a shared channel
 * work on any thread, also one that runs no lane.
 */
#ifndef PARKLANE_CHAN_H
#define PARKLANE_CHAN_H

#include <stdbool.h>
#include <stddef.h>

#include <parklane/go.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pl_chan;

#define PL_CHAN_SHARED 0x1u /* used by several lanes; else by this lane alone, and faster */

#define PL_CHAN_BYTES_MAX ((size_t)1 << 31)

/* pl_chan_make - cap elements of elem_size bytes (0: signals without content). 0; -ENOMEM;
 * -EINVAL unknown flags, ret_chan NULL, or the buffer exceeds PL_CHAN_BYTES_MAX; -EXDEV without
 * PL_CHAN_SHARED and on no lane. The caller owns one reference of *ret_chan. */
PL_API int pl_chan_make(size_t elem_size, size_t cap, unsigned flags, struct pl_chan **ret_chan);
/* pl_chan_hold, pl_chan_put - one reference more, one less (NULL: nothing); the last put frees it
 * and what is still in it. Fatal if somebody waits on it then; those do not whose ctx ended (so
 * cancel, then put), who were served, or who were dropped with their lane: that they may have to
 * run once more is no concern of the caller's. A local channel's: on its lane, or after it. */
PL_API struct pl_chan *pl_chan_hold(struct pl_chan *c);
PL_API void pl_chan_put(struct pl_chan *c);

/* pl_chan_send - copy elem_size bytes from elem; parks until a receiver or the buffer takes them.
 * 0; -EPIPE closed, before or while it waited; -EINVAL elem NULL and elem_size not 0; the common
 * errors. */
PL_API int pl_chan_send(struct pl_chan *c, const void *elem);
/* pl_chan_recv - into elem (NULL: thrown away); parks until there is one. 1; 0 closed and empty,
 * elem is zeroed; the common errors. */
PL_API int pl_chan_recv(struct pl_chan *c, void *elem);
/* The same without parking: -EAGAIN instead. */
PL_API int pl_chan_try_send(struct pl_chan *c, const void *elem);
PL_API int pl_chan_try_recv(struct pl_chan *c, void *elem);

/* pl_chan_close - no more sends: receivers take what is left, then see 0; parked senders -EPIPE.
 * 0; -EBADF closed already; -EINVAL NULL; -EXDEV. */
PL_API int pl_chan_close(struct pl_chan *c);

/* Elements that wait in the buffer, and how many may (0 of NULL); of a shared channel any thread
 * may ask. */
PL_API size_t pl_chan_len(const struct pl_chan *c);
PL_API size_t pl_chan_cap(const struct pl_chan *c);

/* ---- select ---- */

enum pl_select_op {
	PL_SELECT_SEND,
	PL_SELECT_RECV,
};

/* One case. elem as in pl_chan_send (which only reads it) and pl_chan_recv. */
struct pl_select_case {
	struct pl_chan *chan; /* NULL: never ready */
	enum pl_select_op op;
	void *elem;
	int ret; /* of the chosen case: what pl_chan_send or pl_chan_recv would have returned */
};

#define PL_SELECT_MAX 64u

/*
 * pl_select - one of cases[n], chosen uniformly at random among those that are ready (by the
 * lane's own generator, so that virtual time replays); parks until one is, unless or_default:
 * then -EAGAIN (Go's default branch). The index of the chosen case, whose ret is set; -EINVAL
 * n > PL_SELECT_MAX, an op that is none, cases NULL and n not 0, or a send lacks its elem; the
 * common errors. Without any case that can get ready it parks until the goroutine's ctx ends.
 */
PL_API int pl_select(struct pl_select_case *cases, unsigned n, bool or_default);

#ifdef __cplusplus
}
#endif
#endif
