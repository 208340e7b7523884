/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See wakefd.h. tests/models/lane_sleep.pml has the same steps.
 *
 * R36: the read comes before the reset. The other way round a break in between would have its
 * write read away while sig stays 1, and no break would ever write again. As it is, a break
 * before the reset writes nothing (or what was just read): hence whatever a break announces is
 * looked at after the drain and before the lane sleeps again. Reset and break are both
 * read-modify-writes: the reset that follows a silent break sees all that its caller stored
 * before. (lane_stop()'s flag is read in every turn.)
 */
#include "poller/wakefd.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int wakefd_init(struct wakefd *w, int flags)
{
	int fd = eventfd(0, EFD_CLOEXEC | flags);

	if (fd < 0)
		return -errno;
	*w = (struct wakefd){.fd = fd};
	return 0;
}

void wakefd_fini(struct wakefd *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

void wakefd_brk(struct wakefd *w)
{
	uint64_t one = 1;
	int saved = errno; /* may be called in a signal handler */

	/* An exchange, not a compare-and-swap: one that fails is a mere load, and the reset would
	 * not be ordered behind it. */
	if (!__atomic_exchange_n(&w->sig, 1, __ATOMIC_ACQ_REL))
		while (write(w->fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	errno = saved;
}

void wakefd_drained(struct wakefd *w)
{
	(void)__atomic_exchange_n(&w->sig, 0, __ATOMIC_ACQ_REL);
}

void wakefd_drain(struct wakefd *w)
{
	uint64_t n;

	(void)!read(w->fd, &n, sizeof(n));
	wakefd_drained(w);
}
