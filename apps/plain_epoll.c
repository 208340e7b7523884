/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plain C over epoll. The echo's answers go out at once; what the socket does not take is kept with
 * the connection and nothing more is read from it until that is gone. Streams are level-triggered,
 * some calls an event: a peer on another cpu may keep up for ever, and the others want their turn.
 */
#include "apps/plain_epoll.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/stream_bytes.h"
#include "stack/base/stat.h"

#define BATCH    128
#define BUF_SIZE 65536
#define CALLS    4 /* of 64 KiB an event, on a stream */
#define ENDED    (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

struct plain_server;

/* What an epoll event points to: a listener, or a connection. */
struct plain_fd {
	int fd;
	enum plain_role role;
	uint32_t told; /* EPOLL* of all its events so far */
	void (*event)(struct plain_server *s, struct plain_fd *f);
};

struct plain_conn {
	struct plain_fd f; /* first */
	size_t off, len;   /* of what is still to be written */
	uint8_t *pending;  /* NULL none */
	struct stream_at at;
	bool bad; /* a byte was wrong: no more of them count */
};

struct plain_server {
	int epfd;
	struct plain_fd listener[PLAIN_ROLES];
	struct plain_counts *counts;
	uint32_t given; /* streams so far */
	uint8_t buf[BUF_SIZE];
};

/* Off the epoll by name: while compare starts a program, its child has a copy of the fd, which
 * would keep events coming for what is freed here. */
static void conn_end(struct plain_server *s, struct plain_conn *c)
{
	(void)epoll_ctl(s->epfd, EPOLL_CTL_DEL, c->f.fd, NULL);
	close(c->f.fd);
	free(c->pending);
	free(c);
}

/* Keep what the socket did not take. */
static bool keep(struct plain_conn *c, const uint8_t *p, size_t n)
{
	c->pending = malloc(n);
	if (!c->pending)
		return false;
	memcpy(c->pending, p, n);
	c->off = 0;
	c->len = n;
	return true;
}

/* Write the kept bytes: 1 all gone, 0 the socket is full, -1 the connection is over. */
static int flush(struct plain_conn *c)
{
	while (c->pending) {
		ssize_t n = send(c->f.fd, c->pending + c->off, c->len - c->off, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		c->off += (size_t)n;
		if (c->off == c->len) {
			free(c->pending);
			c->pending = NULL;
		}
	}
	return 1;
}

static void echo_event(struct plain_server *s, struct plain_fd *f)
{
	struct plain_conn *c = (struct plain_conn *)f;
	ssize_t n, w;
	int done = flush(c);

	while (done > 0) {
		n = recv(f->fd, s->buf, sizeof(s->buf), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			done = -1;
			break;
		}
		w = send(f->fd, s->buf, (size_t)n, MSG_NOSIGNAL);
		if (w < 0 && errno != EAGAIN) {
			done = -1;
			break;
		}
		stat_inc(&s->counts->requests);
		if (w < n) {
			w = w < 0 ? 0 : w;
			done = keep(c, s->buf + w, (size_t)(n - w)) ? flush(c) : -1;
		} else if (n < (ssize_t)sizeof(s->buf) && !(f->told & ENDED)) {
			/* A short read: the next edge says when there is more. None comes behind a
			 * FIN that was there with these bytes. */
			return;
		}
	}
	if (done < 0)
		conn_end(s, c);
}

/* The end of what came is told by our verdict (stream.h), which a fresh socket always takes. */
static void take_event(struct plain_server *s, struct plain_fd *f)
{
	struct plain_conn *c = (struct plain_conn *)f;
	ssize_t n = STREAM_WRITE;

	for (int i = 0; i < CALLS && n == STREAM_WRITE; i++) {
		n = recv(f->fd, s->buf, STREAM_WRITE, 0);
		if (n <= 0)
			break;
		c->bad = c->bad || !stream_check(&c->at, s->buf, (size_t)n);
		if (!c->bad)
			stat_add(&s->counts->bytes[PLAIN_TAKE], (uint64_t)n);
	}
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	if (n == 0)
		(void)!send(f->fd, &c->at.bytes, sizeof(c->at.bytes), MSG_NOSIGNAL);
	conn_end(s, c);
}

static void give_event(struct plain_server *s, struct plain_fd *f)
{
	struct plain_conn *c = (struct plain_conn *)f;
	size_t len = 0;
	ssize_t n = 0;

	for (int i = 0; i < CALLS && n == (ssize_t)len; i++) {
		const uint8_t *p = stream_next(&c->at, &len);

		n = send(f->fd, p, len, MSG_NOSIGNAL);
		if (n < 0)
			break;
		stream_sent(&c->at, (size_t)n);
		stat_add(&s->counts->bytes[PLAIN_GIVE], (uint64_t)n);
	}
	if (n < 0 && errno != EAGAIN)
		conn_end(s, c);
}

static void accept_event(struct plain_server *s, struct plain_fd *listener)
{
	static const struct {
		void (*event)(struct plain_server *, struct plain_fd *);
		uint32_t events;
	} kind[PLAIN_ROLES] = {
		{echo_event, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET},
		{take_event, EPOLLIN},
		{give_event, EPOLLOUT},
	};
	struct epoll_event ev = {.events = kind[listener->role].events};
	struct plain_conn *c;
	int fd, one = 1;

	while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = calloc(1, sizeof(*c));
		if (!c) {
			close(fd);
			continue;
		}
		c->f = (struct plain_fd){
			.fd = fd, .role = listener->role, .event = kind[listener->role].event};
		if (listener->role == PLAIN_GIVE)
			stream_begin(&c->at, s->given++);
		ev.data.ptr = c;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
			conn_end(s, c);
	}
}

static int listen_on(struct plain_server *s, enum plain_role role, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct plain_fd *f = &s->listener[role];
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = f};
	int one = 1;

	*f = (struct plain_fd){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
			       .role = role,
			       .event = accept_event};
	if (f->fd < 0 || setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(f->fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(f->fd, 1024) < 0 ||
	    epoll_ctl(s->epfd, EPOLL_CTL_ADD, f->fd, &ev) < 0)
		return -errno;
	return 0;
}

static struct plain_server server;

void plain_epoll_fds(enum plain_role role, int *ret_epfd, int *ret_listen_fd)
{
	*ret_epfd = server.epfd;
	*ret_listen_fd = server.listener[role].fd;
}

int plain_epoll_run(const uint16_t port[PLAIN_ROLES], int *ready, struct plain_counts *counts)
{
	struct plain_server *s = &server;
	struct epoll_event ev[BATCH];
	struct plain_fd *f;
	int n, err;

	s->counts = counts;
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	err = s->epfd < 0 ? -errno : 0;
	for (int role = 0; role < PLAIN_ROLES && !err; role++)
		err = listen_on(s, (enum plain_role)role, port[role]);
	if (err)
		return err;
	if (ready)
		__atomic_store_n(ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		n = epoll_wait(s->epfd, ev, BATCH, -1);
		for (int i = 0; i < n; i++) {
			f = ev[i].data.ptr;
			f->told |= ev[i].events;
			f->event(s, f);
		}
	}
}
