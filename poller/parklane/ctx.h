/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cancellation, as Go's context: a tree of ctxs; one that is cancelled, or whose deadline passes,
 * ends with all below it. A goroutine enters a ctx instead of handing it to every call: from then
 * on each of its blocking calls (conns but for pl_close, pl_sleep, channels, select, mutexes, cond,
 * wait group, pl_blocking, pl_go_on) that is pending, and each later one, fails with the ctx's
 * error until it leaves. What need not wait may succeed nevertheless where its description says so
 * (mutexes).
 *
 * NULL is the background: it never ends. Entering NULL shields what must be done to the end.
 * pl_go() starts in the background, as in Go: a goroutine that outlives its request shall not die
 * of the request's deadline by surprise. pl_go_ctx() starts in a ctx.
 *
 * A movable goroutine stays for life on the lane where it first enters one (it may have been taken
 * over by another before it began).
 *
 * A ctx may be used, cancelled and put by any lane or thread, with one rule: one that has a
 * deadline is put before the lane that made it ends.
 */
#ifndef PARKLANE_CTX_H
#define PARKLANE_CTX_H

#include <stdint.h>

#include <parklane/go.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pl_ctx;

/* pl_ctx_with_cancel - a ctx below parent (NULL: the background). 0; -ENOMEM; -EINVAL. The caller
 * owns one reference of *ret_ctx; born ended if parent is. */
PL_API int pl_ctx_with_cancel(struct pl_ctx *parent, struct pl_ctx **ret_ctx);
/* pl_ctx_with_deadline - the same, which ends by itself with -ETIME once pl_now() is `deadline`
 * (absolute ns; 0 none), or with parent's deadline if that is earlier. 0; -ENOMEM; -EINVAL; -EXDEV
 * the caller is on no lane. */
PL_API int pl_ctx_with_deadline(struct pl_ctx *parent, uint64_t deadline, struct pl_ctx **ret_ctx);
/* pl_ctx_hold, pl_ctx_put - one reference more, one less (NULL: nothing). Children and the
 * goroutines that are in it hold a ctx; putting it does not end it. */
PL_API struct pl_ctx *pl_ctx_hold(struct pl_ctx *ctx);
PL_API void pl_ctx_put(struct pl_ctx *ctx);

/* pl_ctx_cancel - end it and all below with -ECANCELED; nothing if it has ended. cause: what
 * pl_ctx_cause() says then, any value but 0; 0: -ECANCELED. Any thread. */
PL_API void pl_ctx_cancel(struct pl_ctx *ctx, int cause);

/* pl_ctx_err - 0 while it lives; -ECANCELED; -ETIME its deadline passed. Any thread. */
PL_API int pl_ctx_err(const struct pl_ctx *ctx);
/* pl_ctx_cause - as pl_ctx_err, but what the canceller gave as its cause: pl_strerror() explains it
 * if it is an -errno. */
PL_API int pl_ctx_cause(const struct pl_ctx *ctx);
/* pl_ctx_deadline - absolute pl_now() ns, 0 none. */
PL_API uint64_t pl_ctx_deadline(const struct pl_ctx *ctx);

/* pl_ctx_enter - the calling goroutine is in ctx from now on; returns the ctx that it was in, for
 * pl_ctx_leave(), which brings it back there. Strictly nested: each enter has its leave, in reverse
 * order. A leave too many is fatal; one that is left out, or out of order, keeps the ctx that was
 * left out alive for ever, and a goroutine that ends leaves only the ctx where it is. An inner ctx
 * that is not below the outer one hides the outer's end until it is left. */
PL_API struct pl_ctx *pl_ctx_enter(struct pl_ctx *ctx);
PL_API void pl_ctx_leave(struct pl_ctx *outer);
/* pl_ctx_self - the ctx of the calling goroutine, borrowed; NULL the background. */
PL_API struct pl_ctx *pl_ctx_self(void);

/* pl_go_ctx - pl_go() in ctx, which the goroutine holds until it ends. 0; -ENOMEM; -EINVAL fn
 * NULL. */
#define pl_go_ctx(ctx, fn, arg) pl_go_ctx_named((ctx), (fn), (arg), #fn)
PL_API int pl_go_ctx_named(struct pl_ctx *ctx, void (*fn)(void *arg), void *arg, const char *name);

#ifdef __cplusplus
}
#endif
#endif
