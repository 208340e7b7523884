/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goroutines: start, yield, sleep, the lane's clock. Every call here runs on a lane,
 * inside a goroutine, unless it says otherwise.
 *
 * NULL where a call of any of Parklane's headers needs a pointer is -EINVAL; a call that returns
 * nothing ends the program with a line that names it, but to put or free NULL does nothing. What
 * may be NULL says so; an arg of the program's own always, and `name`.
 *
 * From C++: the function that a goroutine starts with is noexcept (an exception that leaves it
 * ends the program); within a goroutine exceptions work, but no call that parks may be made
 * inside of a catch block or of a destructor that an exception runs: the runtime keeps those per
 * thread. longjmp and contexts of <ucontext.h> stay within one goroutine.
 *
 * A goroutine ends by returning from its function: pthread_exit() there is fatal. So is a call of
 * Parklane's in the child of its fork(), which may only call exec or _exit (run.h).
 */
#ifndef PARKLANE_GO_H
#define PARKLANE_GO_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PL_API __attribute__((visibility("default")))
#else
#define PL_API
#endif

/* pl_go - start fn(arg) as a goroutine of the current lane; it runs from the next turn on.
 * name, of all pl_go*_named(), is borrowed for as long as the program's lanes run, not only while
 * the goroutine lives: stat and dumps tell of it afterwards. A literal, most simply.
 * NULL: "?". 0; -ENOMEM no stack or memory (never silent); -EINVAL fn NULL. */
#define pl_go(fn, arg) pl_go_named((fn), (arg), #fn)
PL_API int pl_go_named(void (*fn)(void *arg), void *arg, const char *name);

/*
 * Lanes: one thread and one cpu each, which share nothing. pl_nr_lanes - how many there are;
 * pl_lane_index - the current one's number, from 0; pl_go_on - start fn(arg) on lane `lane`, and
 * park until it stands in that lane's queue. 0; -ENOMEM; -EINVAL no such lane, or fn NULL;
 * -ECANCELED or -ETIME (another lane only) the caller's ctx ended first (ctx.h): fn is not
 * started. A connection, a
 * listener too, belongs to the lane whose goroutine made it: a server starts a goroutine that
 * listens on each (on the same port), and the device or the kernel shares clients out.
 */
PL_API unsigned pl_nr_lanes(void);
PL_API unsigned pl_lane_index(void);
#define pl_go_on(lane, fn, arg) pl_go_on_named((lane), (fn), (arg), #fn)
PL_API int pl_go_on_named(unsigned lane, void (*fn)(void *arg), void *arg, const char *name);

/*
 * pl_go_movable - start fn(arg) as a goroutine that any lane may run, and another may take over
 * whenever it parked or yielded: work that is not tied to a connection of Parklane's stack, nor to
 * one dialled or accepted over io_uring. Its first call on such a connection (or listener, or dial)
 * binds it to the lane where it then is, for life; on one of another lane that call is -EXDEV.
 * Kernel connections over epoll, and adopted fds, it may use from anywhere. Between two calls that
 * may park, nothing thread-local must be held (errno neither). 0; -ENOMEM; -EINVAL fn NULL.
 */
#define pl_go_movable(fn, arg) pl_go_movable_named((fn), (arg), #fn)
PL_API int pl_go_movable_named(void (*fn)(void *arg), void *arg, const char *name);

/* pl_yield - let the others run; back at the next turn. */
PL_API void pl_yield(void);

/* pl_sleep - park for at least ns nanoseconds; <= 0 is a yield. 0; -ECANCELED or -ETIME its ctx
 * ended (ctx.h): outside of one it never fails. */
PL_API int pl_sleep(int64_t ns);

/* pl_now - the lane's monotonic clock in ns, as of this turn. Cheap: no system call. */
PL_API uint64_t pl_now(void);

/* pl_keep_fp - on != 0: what this goroutine sets of the floating-point control words (rounding,
 * flushing to zero, traps; fesetround(3), feenableexcept(3)) is kept for it across parks from now
 * on, at some 7 ns a park on x86. Otherwise each park gives it back those that the lane began
 * with. A new goroutine begins with the lane's. The exception flags are never kept. */
PL_API void pl_keep_fp(int on);

/*
 * pl_dump_goroutines - write all goroutines of all lanes of the process to fd as text: state, wait
 * reason, how long, backtrace. Alike ones stand together with their number; PL_DUMP_ALL lists
 * each. Any thread, in or out of a goroutine; blocks it, a lane that does not turn is waited for
 * a second and then told about as running. 0; -EINVAL flags; -ENOMEM; -EAGAIN no thread could be
 * started, which a goroutine's call needs; -errno of fd.
 */
#define PL_DUMP_ALL 1u
PL_API int pl_dump_goroutines(int fd, unsigned flags);

/* pl_lane_stop - ask all lanes to end: pl_run returns after their turns. */
PL_API void pl_lane_stop(void);

#ifdef __cplusplus
}
#endif
#endif
