/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that block a thread (disk, getaddrinfo, a library's own network) without holding the
 * lane: a small pool of threads makes them while the goroutine is parked. A thread is started
 * when all are busy, up to PL_BLOCKING_THREADS for the process; what comes then waits its turn.
 * Threads end after PL_BLOCKING_IDLE_SEC without work, and run where the lane's thread could before
 * it was pinned. A call has the signal mask of the thread that called pl_run, and its ordinary
 * stack: this is the place for system(3), popen(3) and posix_spawn(3), whose children inherit that
 * mask.
 *
 * In virtual time the function runs inline: no time passes, and the run stays replayable if the
 * function is.
 */
#ifndef PARKLANE_BLOCKING_H
#define PARKLANE_BLOCKING_H

#include <stddef.h>

#include <parklane/conn.h>
#include <parklane/go.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PL_BLOCKING_THREADS  64
#define PL_BLOCKING_IDLE_SEC 10

/* pl_blocking - run fn(arg) on a thread of the pool; it may make no Parklane call that parks.
 * arg may lie on the caller's stack: the end of the goroutine's ctx takes the call back only as
 * long as no thread has begun it (-ECANCELED, -ETIME: fn does not run); one that runs is waited
 * for, also by the lane's end (which says so on stderr, in one line, when it takes a second). 0: fn
 * has run; -EAGAIN no thread could be started; -ENOMEM; -EXDEV the caller is no goroutine; -EINVAL
 * fn NULL. */
PL_API int pl_blocking(void (*fn)(void *arg), void *arg);

/* pl_blocking_drop - the same for an arg that can be left behind: the end of the ctx makes the
 * call return at once. After -ECANCELED and -ETIME arg is not the caller's any more: drop(arg) has
 * been called, or will be on a thread of the pool once fn is through. After all else it is, also
 * after -EINVAL, fn or drop NULL. */
PL_API int pl_blocking_drop(void (*fn)(void *arg), void *arg, void (*drop)(void *arg));

/* pl_resolve - the IPv4 addresses of host (a name, or an address, which needs no pool), each with
 * `port`, into addrs[max], in the order of the system's resolver. How many (<= max); -ENOENT no
 * such host, or it has no address; -EAFNOSUPPORT an IPv6 address, or a host that has no others;
 * -EAGAIN the resolver does not answer; -ENODEV a name in virtual time; -EINVAL max 0, a NULL, a
 * name longer than 255 or with a port; -ENOMEM; -EIO; -ECANCELED, -ETIME the goroutine's ctx
 * ended. */
PL_API int pl_resolve(const char *host, uint16_t port, struct pl_addr *addrs, size_t max);

#ifdef __cplusplus
}
#endif
#endif
