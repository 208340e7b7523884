/* SPDX-License-Identifier: BSD-3-Clause */
/* poll and epoll over our fds, level and edge triggered, with the kernel's rules for both. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/pkt/pkt.h"

/* always told, asked for or not */
#define ALWAYS (EPOLLERR | EPOLLHUP)

/* ready_of - what holds of f now, in the kernel's words: the *NORM twins too. */
static uint32_t ready_of(const struct pkt_fd *f)
{
	uint32_t m;

	if (!f || f->kind != PKT_SOCK)
		return 0;
	m = sock_poll(f->sk);
	if (m & EPOLLIN)
		m |= EPOLLRDNORM;
	if (m & EPOLLOUT)
		m |= EPOLLWRNORM;
	return m;
}

static uint64_t deadline_of(const struct pkt_world *w, int timeout_ms)
{
	return timeout_ms > 0 ? w->now + (uint64_t)timeout_ms * NSEC_PER_MSEC : 0;
}

struct polling {
	struct pkt_world *w;
	struct pollfd *fds;
	nfds_t nr;
};

static long try_poll(void *arg)
{
	struct polling *p = arg;
	long n = 0;

	for (nfds_t i = 0; i < p->nr; i++) {
		struct pollfd *fd = &p->fds[i];
		struct pkt_fd *f = pkt_fd_of(p->w, fd->fd);
		uint32_t m = f ? ready_of(f) : POLLNVAL;

		fd->revents = (short)(m & ((uint16_t)fd->events | ALWAYS | POLLNVAL));
		n += fd->revents != 0;
	}
	return n ? n : -EAGAIN;
}

static int call_poll(void *ud, struct pollfd *fds, nfds_t nr, int timeout_ms)
{
	struct pkt_world *w = ud;
	struct polling p = {w, fds, nr};
	long r;

	pkt_lock(w);
	r = pkt_block(w, !timeout_ms, deadline_of(w, timeout_ms), try_poll, &p);
	return (int)pkt_answer(w, r == -EAGAIN ? 0 : r);
}

/* ---- epoll ---- */

void pkt_event(struct pkt_world *w, struct pkt_fd *f, uint32_t key)
{
	for (int i = 0; i < PKT_WATCHES; i++) {
		struct pkt_watch *t = &w->watches[i];

		if (t->set && t->of == f && ((t->ev.events | ALWAYS) & key))
			t->queued = true;
	}
}

void pkt_poll_forget(struct pkt_world *w, struct pkt_fd *f)
{
	for (int i = 0; i < PKT_WATCHES; i++) {
		struct pkt_watch *t = &w->watches[i];

		if (t->of == f || t->set == f)
			*t = (struct pkt_watch){0};
	}
}

static struct pkt_watch *watch_find(struct pkt_world *w, struct pkt_fd *set, struct pkt_fd *of)
{
	for (int i = 0; i < PKT_WATCHES; i++) {
		if (w->watches[i].set == set && w->watches[i].of == of)
			return &w->watches[i];
	}
	return NULL;
}

static int call_epoll_create(void *ud, int size)
{
	struct pkt_world *w = ud;

	pkt_lock(w);
	return (int)pkt_answer(w, size > 0 ? pkt_fd_new(w, PKT_EPOLL) : -EINVAL);
}

static long epoll_ctl_locked(struct pkt_world *w, int epfd, int op, int fd,
			     const struct epoll_event *ev)
{
	struct pkt_fd *set = pkt_fd_of(w, epfd), *of = pkt_fd_of(w, fd);
	struct pkt_watch *t;

	if (!set || !of)
		return -EBADF;
	if (set->kind != PKT_EPOLL || of->kind != PKT_SOCK)
		return -EINVAL;
	t = watch_find(w, set, of);
	if (op == EPOLL_CTL_ADD && t)
		return -EEXIST;
	if (op != EPOLL_CTL_ADD && !t)
		return -ENOENT;
	if (op == EPOLL_CTL_DEL) {
		*t = (struct pkt_watch){0};
		return 0;
	}
	if (op == EPOLL_CTL_ADD)
		t = watch_find(w, NULL, NULL);
	if (!t)
		return -ENOSPC;
	*t = (struct pkt_watch){.set = set, .of = of, .ev = *ev, .queued = true};
	return 0;
}

static int call_epoll_ctl(void *ud, int epfd, int op, int fd, struct epoll_event *ev)
{
	struct pkt_world *w = ud;

	pkt_lock(w);
	return (int)pkt_answer(w, epoll_ctl_locked(w, epfd, op, fd, ev));
}

struct epolling {
	struct pkt_world *w;
	struct pkt_fd *set;
	struct epoll_event *evs;
	int max;
};

static long try_epoll(void *arg)
{
	struct epolling *p = arg;
	int n = 0;

	for (int i = 0; i < PKT_WATCHES && n < p->max; i++) {
		struct pkt_watch *t = &p->w->watches[i];
		bool edge = t->ev.events & EPOLLET;
		uint32_t m;

		if (t->set != p->set || t->off || (edge && !t->queued))
			continue;
		m = ready_of(t->of) & (t->ev.events | ALWAYS);
		t->queued = false;
		if (!m)
			continue;
		t->off = t->ev.events & EPOLLONESHOT;
		p->evs[n] = t->ev;
		p->evs[n++].events = m;
	}
	return n ? n : -EAGAIN;
}

static int call_epoll_wait(void *ud, int epfd, struct epoll_event *evs, int max, int timeout_ms)
{
	struct pkt_world *w = ud;
	struct epolling p = {w, NULL, evs, max};
	long r;

	pkt_lock(w);
	p.set = pkt_fd_of(w, epfd);
	if (!p.set || p.set->kind != PKT_EPOLL || max <= 0)
		return (int)pkt_answer(w, p.set ? -EINVAL : -EBADF);
	r = pkt_block(w, !timeout_ms, deadline_of(w, timeout_ms), try_epoll, &p);
	return (int)pkt_answer(w, r == -EAGAIN ? 0 : r);
}

static int call_pipe(void *ud, int fds[2])
{
	(void)ud;
	return pipe(fds);
}

void pkt_poll_calls(struct pkt_ifc *ifc)
{
	ifc->poll = call_poll;
	ifc->epoll_create = call_epoll_create;
	ifc->epoll_ctl = call_epoll_ctl;
	ifc->epoll_wait = call_epoll_wait;
	ifc->pipe = call_pipe;
}
