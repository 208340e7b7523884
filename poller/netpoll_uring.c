/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The io_uring backend of the netpoller (R11). gs fill submission entries, poll() hands over what
 * has gathered and takes completions, in one system call that is also the lane's sleep. A
 * completion's user data is the pd's address and its fdseq in one word, as in netpoll_epoll.c
 * (R21). Fds that are tried instead have an epoll below the ring, whose own fd the ring watches.
 */
#include "poller/netpoll_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "poller/conn_uring.h"
#include "poller/lane_int.h"
#include "poller/ledger.h"
#include "poller/netpoll_epoll.h"
#include "poller/netpoll_int.h"
#include "poller/wakefd.h"
#include "stack/base/bug.h"
#include "stack/base/clock.h"

/* Entries: what 64 gs of a turn (architecture.md) queue for both directions with room for
 * cancels; more in one turn are handed over early. Completions: as many may come between two
 * polls without the kernel's (unbounded, allocating) overflow list. 16 + 64 KiB. */
#define URING_SQ_ENTRIES 256
#define URING_CQ_ENTRIES 4096
#define URING_WATCH_MAX  9 /* what is in watch[] */
#define URING_BELOW      0 /* ... the epoll below, then the devices of the lane */
/* R33. Newer kernels (6.18 here) finish 20 requests in a call and tell that there are more. */
#define URING_EVENTS_ENOUGH 128

/* User data: 42 bits of address / 64, one bit for cancels, one for the direction, 20 of fdseq.
 * fdseq is never 0 in a pd's, so small words with 0 there are free for what is not a pd. */
#define TAG_SEQ_MASK  ((1ull << 20) - 1)
#define TAG_WRITE     (1ull << 20)
#define TAG_CANCEL    (1ull << 21)
#define TAG_PD_SHIFT  22
#define TAG_EVENTFD   0ull
#define TAG_DEVICE(i) ((uint64_t)((i) + 2) << TAG_PD_SHIFT)
#define TAG_NOBODY    (1ull << TAG_PD_SHIFT)

#define ROUND_MASK ((1u << 29) - 1)

/* Without these a request could block a thread (FAST_POLL), a completion be lost (NODROP), a
 * buffer's description be read late (SUBMIT_STABLE), or a wait not end in time (EXT_ARG). */
#define FEATURES_NEEDED                                                                            \
	(IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL |                  \
	 IORING_FEAT_EXT_ARG)

/*
 * Best first; a kernel that does not know a flag says -EINVAL.
 * 6.1: only the lane's thread submits (no lock), and what a packet makes the kernel do for a
 * request waits until that thread polls, instead of breaking into a running g. R_DISABLED: the
 * thread that counts is the one that enables the ring, the one that turns the lane.
 * 5.19: such work waits for any system call, without an interrupt.
 * TASKRUN_FLAG: a word in memory tells that such work is there, so that a look at an idle ring
 * makes no system call.
 */
static const unsigned ring_flags[] = {
	IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		IORING_SETUP_TASKRUN_FLAG,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	0,
};

struct uring_watch {
	int fd;
	bool armed;
};

struct uring_backend {
	struct netpoll_backend nb;
	struct io_uring ring;
	bool enabled;   /* (o) the ring has its thread */
	bool sends;     /* (o) a pending entry is a send or connect */
	uint32_t round; /* (o) calls that handed entries over */
	struct wakefd wake;
	bool wake_armed;   /* (o) a read of it is in the ring, which drains it (R36) */
	uint64_t wake_sum; /* (o) where that reads to */
	bool below_ready;  /* (o) nb.below has something, and nobody has looked yet */
	unsigned nr_watch; /* (o) */
	struct uring_watch watch[URING_WATCH_MAX]; /* (o) */
};

static struct uring_backend *ub_of(struct netpoll_backend *nb)
{
	return container_of(nb, struct uring_backend, nb);
}

static uint64_t tag_of(const struct poll_desc *pd, unsigned mode)
{
	BUG_ON((uintptr_t)pd >> 48 || (uintptr_t)pd % CACHE_LINE);
	return (uint64_t)(uintptr_t)pd / CACHE_LINE << TAG_PD_SHIFT |
	       (mode == NETPOLL_WRITE ? TAG_WRITE : 0) | pd->fdseq;
}

static struct pd_req *req_of(struct poll_desc *pd, unsigned mode)
{
	return &pd->req[mode == NETPOLL_WRITE];
}

/* ---- completions ---- */

/* on_break - R36: the read that completed has drained it. */
static void on_break(struct uring_backend *ub, int res)
{
	ub->wake_armed = false;
	if (res < 0)
		return;
	ledger_count(&ub->nb.lane->led, LEDGER_EV_BREAKS, 1);
	wakefd_drained(&ub->wake);
}

static void on_device(struct uring_backend *ub, uint64_t tag, int res)
{
	unsigned i = (unsigned)(tag >> TAG_PD_SHIFT) - 2;

	BUG_ON(i >= ub->nr_watch);
	ub->watch[i].armed = false;
	if (i == URING_BELOW)
		ub->below_ready = true;
	else if (res < 0 && res != -ECANCELED)
		ub->watch[i].fd = -1; /* gone: asking again would say so at once, for ever */
}

/* deliver - R17, R21: a completion whose pd serves another fd by now finds another fdseq, one of
 * an older request a state that nobody waits in. */
static void deliver(struct uring_backend *ub, uint64_t tag, int res)
{
	unsigned mode = tag & TAG_WRITE ? NETPOLL_WRITE : NETPOLL_READ;
	uint32_t seq = (uint32_t)(tag & TAG_SEQ_MASK);
	struct poll_desc *pd;
	struct pd_req *r;

	if (seq == 0) {
		if (tag == TAG_EVENTFD)
			on_break(ub, res);
		else if (tag != TAG_NOBODY)
			on_device(ub, tag, res);
		return;
	}
	pd = (void *)(uintptr_t)((tag >> TAG_PD_SHIFT) * CACHE_LINE);
	r = req_of(pd, mode);
	if (netpoll_info_seq(pd) != seq || r->state != PD_REQ_SENT)
		return;
	if (tag & TAG_CANCEL) {
		/* One that worked brings the request's own completion; one that did not may have
		 * met the request between two tries: its g looks again. */
		if (res >= 0)
			return;
	} else {
		r->res = res;
		r->state = PD_REQ_DONE;
		r->round = ((ub->round - r->round) & ROUND_MASK) > 1;
	}
	netpoll_ready(pd, mode);
}

static int look_below(struct uring_backend *ub)
{
	ub->below_ready = false;
	return ub->nb.below->ops->poll(ub->nb.below, 0);
}

static int reap(struct uring_backend *ub)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&ub->ring, head, cqe)
	{
		deliver(ub, cqe->user_data, cqe->res);
		n++;
	}
	io_uring_cq_advance(&ub->ring, n);
	if (unlikely(ub->below_ready))
		n += (unsigned)look_below(ub);
	return (int)n;
}

/* ---- into the kernel ---- */

/* kernel_has_work - may be true for nothing: who brings work raises the flag after it, and the work
 * may be done by then. So no loop may go on for its sake alone. */
static bool kernel_has_work(const struct uring_backend *ub)
{
	return READ_ONCE(*ub->ring.sq.kflags) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN);
}

/* __enter - hand over what is pending and wait as R32 says. What the call returned. */
static int __enter(struct uring_backend *ub, int64_t delay_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = delay_ns / (int64_t)NSEC_PER_SEC,
		.tv_nsec = delay_ns % (int64_t)NSEC_PER_SEC,
	};
	struct io_uring_cqe *cqe;

	if (delay_ns == 0)
		return io_uring_submit_and_get_events(&ub->ring);
	/* liburing's wait without a time would go on after a signal (R33) */
	if (delay_ns < 0)
		return io_uring_submit_and_wait(&ub->ring, 1);
	return io_uring_submit_and_wait_timeout(&ub->ring, &cqe, 1, &ts, NULL);
}

/* enable - the calling thread is the ring's from now on. */
static COLD void enable(struct uring_backend *ub)
{
	ub->enabled = true;
	if (!(ub->ring.flags & IORING_SETUP_R_DISABLED))
		return;
	/* Debian 12's liburing (2.3) declares io_uring_enable_rings() and does not export it. */
	if (syscall(SYS_io_uring_register, ub->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		BUG("netpoll_uring: the kernel does not start a ring that it made");
}

/* enter - 0, or -EEXIST: the ring is another thread's. */
static int enter(struct uring_backend *ub, int64_t delay_ns)
{
	int err;

	if (unlikely(!ub->enabled))
		enable(ub);
	ledger_count(&ub->nb.lane->led, LEDGER_EV_SYS_URING_ENTER, 1);
	ub->round++;
	ub->sends = false;
	err = __enter(ub, delay_ns);
	ub->nb.pending = io_uring_sq_ready(&ub->ring);
	switch (err) {
	case -ETIME:
	case -EINTR:  /* R33: the turn looks at its flags and comes back */
	case -EAGAIN: /* no memory for requests just now: the rest goes with the next call */
	case -EBUSY:  /* completions must be taken first, which the caller does */
		return 0;
	case -EEXIST:
		return err;
	default:
		if (err < 0)
			BUG("netpoll_uring: io_uring_enter failed");
		return 0;
	}
}

static void must_enter(struct uring_backend *ub, int64_t delay_ns)
{
	if (unlikely(enter(ub, delay_ns)))
		BUG("netpoll_uring: a lane on io_uring is turned by one thread only");
}

static struct io_uring_sqe *get_sqe(struct uring_backend *ub)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ub->ring);

	if (unlikely(!sqe)) {
		must_enter(ub, 0);
		/* at once, or deliver() would take what was done in this call for late */
		reap(ub);
		sqe = io_uring_get_sqe(&ub->ring);
		if (!sqe)
			return NULL;
	}
	ub->nb.pending++;
	return sqe;
}

/* arm - what poll() itself waits for: a break and the epoll below always, devices if it will block.
 * False if the kernel takes no more entries just now. */
static bool arm(struct uring_backend *ub, bool devices)
{
	struct io_uring_sqe *sqe;

	if (unlikely(!ub->wake_armed)) {
		sqe = get_sqe(ub);
		if (!sqe)
			return false;
		io_uring_prep_read(sqe, ub->wake.fd, &ub->wake_sum, sizeof(ub->wake_sum), 0);
		sqe->user_data = TAG_EVENTFD;
		ub->wake_armed = true;
	}
	for (unsigned i = URING_BELOW; i < (devices ? ub->nr_watch : URING_BELOW + 1); i++) {
		struct uring_watch *w = &ub->watch[i];

		if (w->armed || w->fd < 0)
			continue;
		sqe = get_sqe(ub);
		if (!sqe)
			return false;
		/* Once, and asked anew when it has told: that is level-triggered. */
		io_uring_prep_poll_add(sqe, w->fd, POLLIN);
		sqe->user_data = TAG_DEVICE(i);
		w->armed = true;
	}
	return true;
}

/*
 * uring_poll - a send that the kernel cannot do at once must be told from one that it can (a reset
 * that came before a write is -EPIPE, one that a parked write meets -ECONNRESET), hence what is
 * done at once is taken before the lane blocks. Most sends are, so this is rarely a second call.
 */
static int uring_poll(struct netpoll_backend *nb, int64_t delay_ns)
{
	struct uring_backend *ub = ub_of(nb);
	int n, more;

	if (!arm(ub, delay_ns != 0))
		delay_ns = 0;
	if (delay_ns != 0 && ub->sends) {
		must_enter(ub, 0);
		if (io_uring_cq_ready(&ub->ring))
			return reap(ub);
	}
	/* What is in the ring already came without a call; who sleeps has it counted as well. */
	if (delay_ns != 0 || nb->pending || kernel_has_work(ub))
		must_enter(ub, delay_ns);
	n = more = reap(ub);
	while (more && n < URING_EVENTS_ENOUGH && kernel_has_work(ub)) {
		must_enter(ub, 0);
		more = reap(ub);
		n += more;
	}
	return n;
}

static int uring_prepare(struct netpoll_backend *nb)
{
	struct uring_backend *ub = ub_of(nb);

	/* not armed: no entry was to be had, so completions are there */
	(void)arm(ub, true);
	if (nb->pending || kernel_has_work(ub))
		must_enter(ub, 0);
	return reap(ub);
}

/* ---- requests ---- */

/* bind_user - the g that uses a ring stays on the ring's lane, whose thread alone may cancel what
 * it asked for (house rule 1). */
static inline void bind_user(struct netpoll_backend *nb)
{
	struct g *g = nb->lane->sched.cur;

	if (unlikely(g && g->movable))
		movable_bind(g);
}

struct io_uring_sqe *netpoll_uring_sqe(struct netpoll_backend *nb)
{
	return get_sqe(ub_of(nb));
}

void netpoll_uring_start(struct poll_desc *pd, unsigned mode, struct io_uring_sqe *sqe,
			 bool gives_fd)
{
	struct uring_backend *ub = ub_of(pd->backend);
	struct pd_req *r = req_of(pd, mode);

	BUG_ON(r->state != PD_REQ_NONE);
	bind_user(pd->backend);
	*r = (struct pd_req){.state = PD_REQ_SENT, .fd = gives_fd, .round = ub->round & ROUND_MASK};
	sqe->user_data = tag_of(pd, mode);
	if (mode == NETPOLL_WRITE)
		ub->sends = true;
}

void netpoll_uring_flush(struct netpoll_backend *nb)
{
	struct uring_backend *ub = ub_of(nb);

	for (;;) {
		must_enter(ub, 0);
		reap(ub);
		if (likely(!nb->pending))
			break;
		__sched_yield(&nb->lane->sched);
	}
}

static bool queue_cancel(struct uring_backend *ub, uint64_t tag, uint64_t own_tag)
{
	struct io_uring_sqe *sqe = get_sqe(ub);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, tag, 0);
	sqe->user_data = own_tag;
	return true;
}

/* cancel_parked - R11, in a g: the kernel may still write to the buffer until the completion is
 * in, whatever closes or expires meanwhile. */
static void cancel_parked(struct poll_desc *pd, unsigned mode)
{
	struct uring_backend *ub = ub_of(pd->backend);
	struct pd_req *r = req_of(pd, mode);
	uint64_t tag = tag_of(pd, mode);

	while (r->state == PD_REQ_SENT) {
		if (queue_cancel(ub, tag, tag | TAG_CANCEL))
			netpoll_wait_canceled(pd, mode);
		else
			__sched_yield(&pd->lane->sched);
	}
}

/* cancel_round - the same where nobody can park: one call that blocks. False: the thread of the
 * ring has ended (only lane_destroy comes from elsewhere), and the kernel ended with it all that
 * it had in flight. */
static bool cancel_round(struct uring_backend *ub, uint64_t tag)
{
	int err;

	(void)queue_cancel(ub, tag, TAG_NOBODY);
	err = enter(ub, -1);
	reap(ub);
	return err == 0;
}

int netpoll_uring_take(struct poll_desc *pd, unsigned mode)
{
	struct pd_req *r = req_of(pd, mode);

	if (r->state != PD_REQ_DONE)
		return -EINPROGRESS;
	r->state = PD_REQ_NONE;
	return r->res;
}

int netpoll_uring_wait(struct poll_desc *pd, unsigned mode)
{
	struct pd_req *r = req_of(pd, mode);
	int err = 0, res;

	/* R8: READY without a completion is legal */
	while (r->state != PD_REQ_DONE && !err)
		err = netpoll_wait(pd, mode);
	if (unlikely(err))
		cancel_parked(pd, mode);
	res = netpoll_uring_take(pd, mode);
	/* A closed conn has no later call that would want to know of the peer's reset. */
	if (unlikely(err) && res < 0 && (res == -ECANCELED || res == -EINTR || err == -EBADF))
		return err;
	return res;
}

bool netpoll_uring_waited(const struct poll_desc *pd, unsigned mode)
{
	return pd->req[mode == NETPOLL_WRITE].round != 0;
}

/* ---- the backend ---- */

static int uring_open(struct netpoll_backend *nb, struct poll_desc *pd)
{
	bind_user(nb);
	pd->req[0] = pd->req[1] = (struct pd_req){0};
	/* A short read proves nothing, and nothing will tell of more but the next request (R9). */
	pd->hup = true;
	return 0;
}

static void end_request(struct uring_backend *ub, struct poll_desc *pd, unsigned mode)
{
	struct pd_req *r = req_of(pd, mode);

	if (r->state == PD_REQ_SENT) {
		if (pd->lane->sched.cur)
			cancel_parked(pd, mode);
		else
			while (r->state == PD_REQ_SENT && cancel_round(ub, tag_of(pd, mode)))
				;
	}
	if (r->state == PD_REQ_DONE && r->fd && r->res >= 0)
		(void)close(r->res);
	r->state = PD_REQ_NONE;
}

static void uring_close(struct netpoll_backend *nb, struct poll_desc *pd)
{
	end_request(ub_of(nb), pd, NETPOLL_READ);
	end_request(ub_of(nb), pd, NETPOLL_WRITE);
}

static int uring_sleep_fd(struct netpoll_backend *nb)
{
	return ub_of(nb)->ring.ring_fd;
}

static void uring_brk(struct netpoll_backend *nb)
{
	wakefd_brk(&ub_of(nb)->wake);
}

/* uring_below - release: the monitor finds it whole (R44). */
static int uring_below(struct netpoll_backend *nb, struct netpoll_backend **ret_nb)
{
	struct netpoll_backend *below = nb->below;
	int err = below ? 0 : netpoll_epoll_below(nb->lane, &below);

	if (err)
		return err;
	ub_of(nb)->watch[URING_BELOW].fd = below->ops->sleep_fd(below);
	__atomic_store_n(&nb->below, below, __ATOMIC_RELEASE);
	*ret_nb = below;
	return 0;
}

static int uring_watch(struct netpoll_backend *nb, int fd)
{
	struct uring_backend *ub = ub_of(nb);

	if (ub->nr_watch == URING_WATCH_MAX)
		return -ENOSPC;
	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	ub->watch[ub->nr_watch++] = (struct uring_watch){.fd = fd};
	return 0;
}

static void uring_fini(struct netpoll_backend *nb)
{
	struct uring_backend *ub = ub_of(nb);

	/* The end of a ring lets go of files later, when the kernel finds time. */
	while (ub->wake_armed && cancel_round(ub, TAG_EVENTFD))
		;
	for (unsigned i = 0; i < ub->nr_watch; i++)
		while (ub->watch[i].armed && cancel_round(ub, TAG_DEVICE(i)))
			;
	io_uring_queue_exit(&ub->ring);
	if (nb->below)
		nb->below->ops->fini(nb->below);
	wakefd_fini(&ub->wake);
	free(ub);
}

static const struct netpoll_ops uring_ops = {
	.name = "uring",
	.fini = uring_fini,
	.open = uring_open,
	.close = uring_close,
	.poll = uring_poll,
	.sleep_fd = uring_sleep_fd,
	.prepare = uring_prepare,
	.brk = uring_brk,
	.below = uring_below,
	.watch = uring_watch,
};

int netpoll_uring_create_flags(struct lane *l, unsigned flags, struct netpoll_backend **ret_nb)
{
	struct io_uring_params p = {
		.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = URING_CQ_ENTRIES,
	};
	struct uring_backend *ub = calloc(1, sizeof(*ub));
	int err;

	if (!ub)
		return -ENOMEM;
	ub->nb.ops = &uring_ops;
	ub->nb.conn_ops = &conn_uring_ops;
	ub->nb.lane = l;
	ub->watch[URING_BELOW].fd = -1;
	ub->nr_watch = URING_BELOW + 1;
	err = io_uring_queue_init_params(URING_SQ_ENTRIES, &ub->ring, &p);
	if (err)
		goto fail;
	err = (p.features & FEATURES_NEEDED) == FEATURES_NEEDED ? 0 : -ENOSYS;
	if (err)
		goto fail_ring;
	/* Not O_NONBLOCK: a request would say -EAGAIN instead of waiting. Its sum stays far from
	 * where a write would block. */
	err = wakefd_init(&ub->wake, 0);
	if (err)
		goto fail_ring;
	*ret_nb = &ub->nb;
	return 0;
fail_ring:
	io_uring_queue_exit(&ub->ring);
fail:
	free(ub);
	return err;
}

int netpoll_uring_create(struct lane *l, struct netpoll_backend **ret_nb)
{
	int err = -EINVAL;

	for (unsigned i = 0; err == -EINVAL && i < ARRAY_SIZE(ring_flags); i++)
		err = netpoll_uring_create_flags(l, ring_flags[i], ret_nb);
	return err == -EINVAL ? -ENOSYS : err;
}
