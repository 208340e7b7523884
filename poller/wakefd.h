/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The eventfd that ends a lane's sleep in its kernel backend (R35, R36). The backend waits for it
 * to be readable, by epoll or by a read in its ring.
 */
#ifndef POLLER_WAKEFD_H
#define POLLER_WAKEFD_H

#include <stdint.h>

#include "stack/base/compiler.h"

struct wakefd {
	int fd;       /* (c) -1: nobody is woken by it */
	uint32_t sig; /* (a) R35: 1 = fd is written; wakefd_drained() and wakefd_brk() pair */
};

/* wakefd_init - flags: EFD_NONBLOCK or 0, of eventfd(2), whose -errno it returns, or 0. */
MUST_USE int wakefd_init(struct wakefd *w, int flags);
void wakefd_fini(struct wakefd *w);

/* wakefd_brk - R35: the fd is readable, be it for many calls at once. Any thread,
 * async-signal-safe. */
void wakefd_brk(struct wakefd *w);
/* wakefd_drain - R36: read it, then wakefd_drained(). wakefd_drained - for who has read it by other
 * means: the next brk writes again. The owner lane's alone. */
void wakefd_drain(struct wakefd *w);
void wakefd_drained(struct wakefd *w);

#endif
