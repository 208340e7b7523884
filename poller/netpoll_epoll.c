/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The epoll backend of the netpoller (R32-R36). An event's user data is the pd's address and
 * its fdseq in one word, so that an event of an fd that was closed meanwhile is told from one
 * of its successor (R21). The eventfd is level-triggered; only the owner lane drains it. (Models:
 * tests/models/lane_sleep.pml, netpoll_reuse.pml.)
 */
#include "poller/netpoll_epoll.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "poller/conn_fd.h"
#include "poller/lane_int.h"
#include "poller/ledger.h"
#include "poller/netpoll_int.h"
#include "poller/wakefd.h"
#include "stack/base/bug.h"
#include "stack/base/clock.h"

#define EPOLL_EVENTS_MAX 128 /* R33 */
#define EPOLL_FAR_MAX    32

/* User data: 44 bits of address / 64, 20 bits of fdseq. fdseq is never 0 in a pd's, so small
 * words with 0 there are free for what is not a pd. */
#define TAG_SEQ_BITS 20
#define TAG_SEQ_MASK ((1ull << TAG_SEQ_BITS) - 1)
#define TAG_EVENTFD  (0ull << TAG_SEQ_BITS)
#define TAG_DEVICE   (1ull << TAG_SEQ_BITS)

struct epoll_backend {
	struct netpoll_backend nb;
	int epfd; /* (c) */
	struct wakefd wake;
	bool no_pwait2; /* (o) kernel before 5.11: whole milliseconds, rounded up */
	struct epoll_event ev[EPOLL_EVENTS_MAX]; /* (o) */
};

static struct epoll_backend *eb_of(struct netpoll_backend *nb)
{
	return container_of(nb, struct epoll_backend, nb);
}

static uint64_t tag_of(const struct poll_desc *pd)
{
	BUG_ON((uintptr_t)pd >> 50 || (uintptr_t)pd % CACHE_LINE);
	return (uint64_t)(uintptr_t)pd / CACHE_LINE << TAG_SEQ_BITS | pd->fdseq;
}

static int epoll_add(struct epoll_backend *eb, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event ev = {.events = events, .data.u64 = tag};

	ledger_count(&eb->nb.lane->led, LEDGER_EV_SYS_EPOLL_CTL, 1);
	return epoll_ctl(eb->epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static void epoll_be_close_fds(struct epoll_backend *eb)
{
	wakefd_fini(&eb->wake);
	close(eb->epfd);
}

static int epoll_be_init(struct epoll_backend *eb, bool below)
{
	int err = 0;

	eb->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (eb->epfd < 0)
		return -errno;
	if (!below)
		err = wakefd_init(&eb->wake, EFD_NONBLOCK);
	if (!err && !below)
		err = epoll_add(eb, eb->wake.fd, EPOLLIN, TAG_EVENTFD);
	if (err)
		epoll_be_close_fds(eb);
	return err;
}

static void epoll_be_fini(struct netpoll_backend *nb)
{
	struct epoll_backend *eb = eb_of(nb);

	epoll_be_close_fds(eb);
	free(eb);
}

static int epoll_be_open(struct netpoll_backend *nb, struct poll_desc *pd)
{
	/* EPOLLPRI: recv() stops at an urgent mark with bytes left, so that a short read proves
	 * nothing there (R9). */
	return epoll_add(eb_of(nb), pd->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET,
			 tag_of(pd));
}

static void epoll_be_close(struct netpoll_backend *nb, struct poll_desc *pd)
{
	struct epoll_event ev = {0};

	ledger_count(&nb->lane->led, LEDGER_EV_SYS_EPOLL_CTL, 1);
	/* An fd that its owner closed before its time has left the epoll already. */
	(void)epoll_ctl(eb_of(nb)->epfd, EPOLL_CTL_DEL, pd->fd, &ev);
}

static void drain(struct epoll_backend *eb)
{
	ledger_count(&eb->nb.lane->led, LEDGER_EV_SYS_EVENTFD, 1);
	ledger_count(&eb->nb.lane->led, LEDGER_EV_BREAKS, 1);
	wakefd_drain(&eb->wake);
}

static bool is_pd(const struct epoll_event *ev)
{
	return (ev->data.u64 & TAG_SEQ_MASK) != 0;
}

/* deliver - R34, R13, R21; any thread. */
static void deliver(const struct epoll_event *ev)
{
	uint32_t e = ev->events, seq = (uint32_t)(ev->data.u64 & TAG_SEQ_MASK);
	struct poll_desc *pd;
	unsigned mode = 0;

	pd = (void *)(uintptr_t)((ev->data.u64 >> TAG_SEQ_BITS) * CACHE_LINE);
	if (netpoll_info_seq(pd) != seq)
		return;
	if (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		mode |= NETPOLL_READ;
	if (e & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		mode |= NETPOLL_WRITE;
	if (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
		WRITE_ONCE(pd->hup, true);
	if (!mode)
		return;
	netpoll_set_event_err(pd, e == EPOLLERR, seq);
	netpoll_ready(pd, mode);
}

static int wait_ms(struct epoll_backend *eb, int64_t delay_ns)
{
	int64_t ms = delay_ns < 0
			     ? -1
			     : (delay_ns + (int64_t)NSEC_PER_MSEC - 1) / (int64_t)NSEC_PER_MSEC;

	return epoll_wait(eb->epfd, eb->ev, EPOLL_EVENTS_MAX, ms > INT_MAX ? INT_MAX : (int)ms);
}

static int wait_ns(struct epoll_backend *eb, int64_t delay_ns)
{
	struct timespec ts = {
		.tv_sec = delay_ns / (int64_t)NSEC_PER_SEC,
		.tv_nsec = delay_ns % (int64_t)NSEC_PER_SEC,
	};
	int n;

	if (delay_ns == 0)
		return epoll_wait(eb->epfd, eb->ev, EPOLL_EVENTS_MAX, 0);
	if (!eb->no_pwait2) {
		n = epoll_pwait2(eb->epfd, eb->ev, EPOLL_EVENTS_MAX, delay_ns < 0 ? NULL : &ts,
				 NULL);
		if (n >= 0 || errno != ENOSYS)
			return n;
		eb->no_pwait2 = true;
	}
	return wait_ms(eb, delay_ns);
}

static int epoll_be_poll(struct netpoll_backend *nb, int64_t delay_ns)
{
	struct epoll_backend *eb = eb_of(nb);
	int n;

	ledger_count(&nb->lane->led, LEDGER_EV_SYS_EPOLL_WAIT, 1);
	n = wait_ns(eb, delay_ns);
	if (n < 0) {
		if (errno == EINTR) /* R33: the turn looks at its flags and comes back */
			return 0;
		BUG("netpoll_epoll: epoll_wait failed");
	}
	for (int i = 0; i < n; i++) {
		if (is_pd(&eb->ev[i]))
			deliver(&eb->ev[i]);
		else if (eb->ev[i].data.u64 == TAG_EVENTFD)
			drain(eb);
	}
	return n;
}

static int epoll_be_prepare(struct netpoll_backend *nb)
{
	return epoll_be_poll(nb, 0);
}

/* epoll_be_poll_far - R44, on the monitor's thread: with events of its own, and no hand on the
 * eventfd, which stays readable for the lane (R36). */
static void epoll_be_poll_far(struct netpoll_backend *nb)
{
	struct epoll_event ev[EPOLL_FAR_MAX];
	int n = epoll_wait(eb_of(nb)->epfd, ev, EPOLL_FAR_MAX, 0);

	for (int i = 0; i < n; i++)
		if (is_pd(&ev[i]))
			deliver(&ev[i]);
}

static int epoll_be_sleep_fd(struct netpoll_backend *nb)
{
	return eb_of(nb)->epfd;
}

static void epoll_be_brk(struct netpoll_backend *nb)
{
	wakefd_brk(&eb_of(nb)->wake);
}

static int epoll_be_watch(struct netpoll_backend *nb, int fd)
{
	return epoll_add(eb_of(nb), fd, EPOLLIN, TAG_DEVICE);
}

static const struct netpoll_ops epoll_ops = {
	.name = "epoll",
	.fini = epoll_be_fini,
	.open = epoll_be_open,
	.close = epoll_be_close,
	.poll = epoll_be_poll,
	.sleep_fd = epoll_be_sleep_fd,
	.prepare = epoll_be_prepare,
	.poll_far = epoll_be_poll_far,
	.brk = epoll_be_brk,
	.watch = epoll_be_watch,
};

static int create(struct lane *l, bool below, struct netpoll_backend **ret_nb)
{
	struct epoll_backend *eb = calloc(1, sizeof(*eb));
	int err;

	if (!eb)
		return -ENOMEM;
	eb->nb.ops = &epoll_ops;
	eb->nb.conn_ops = &conn_fd_ops;
	eb->nb.lane = l;
	eb->nb.solo = true;
	eb->wake.fd = -1;
	err = epoll_be_init(eb, below);
	if (err) {
		free(eb);
		return err;
	}
	*ret_nb = &eb->nb;
	return 0;
}

int netpoll_epoll_create(struct lane *l, struct netpoll_backend **ret_nb)
{
	return create(l, false, ret_nb);
}

int netpoll_epoll_below(struct lane *l, struct netpoll_backend **ret_nb)
{
	return create(l, true, ret_nb);
}
