/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plain C epoll echo. Answers go out at once; what the socket does not take is kept with the
 * connection and nothing more is read from it until that is gone.
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

#include "stack/base/stat.h"

#define BATCH    128
#define BUF_SIZE 65536

struct plain_conn {
	int fd;
	size_t off, len;  /* of what is still to be written */
	uint8_t *pending; /* NULL none */
};

struct plain_server {
	int epfd, listen_fd;
	uint64_t *requests;
	uint8_t buf[BUF_SIZE];
};

static void conn_end(struct plain_conn *c)
{
	close(c->fd);
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
		ssize_t n = send(c->fd, c->pending + c->off, c->len - c->off, MSG_NOSIGNAL);

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

static void conn_event(struct plain_server *s, struct plain_conn *c)
{
	ssize_t n, w;
	int done = flush(c);

	while (done > 0) {
		n = recv(c->fd, s->buf, sizeof(s->buf), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			done = -1;
			break;
		}
		w = send(c->fd, s->buf, (size_t)n, MSG_NOSIGNAL);
		if (w < 0 && errno != EAGAIN) {
			done = -1;
			break;
		}
		stat_inc(s->requests);
		if (w < n) {
			w = w < 0 ? 0 : w;
			done = keep(c, s->buf + w, (size_t)(n - w)) ? flush(c) : -1;
		} else if (n < (ssize_t)sizeof(s->buf)) {
			/* A short read: the next edge says when there is more. */
			return;
		}
	}
	if (done < 0)
		conn_end(c);
}

static void accept_all(struct plain_server *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
	struct plain_conn *c;
	int fd, one = 1;

	while ((fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = calloc(1, sizeof(*c));
		if (!c) {
			close(fd);
			continue;
		}
		c->fd = fd;
		ev.data.ptr = c;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
			conn_end(c);
	}
}

static int set_up(struct plain_server *s, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
	int one = 1;

	s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	s->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (s->listen_fd < 0 || s->epfd < 0 ||
	    setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(s->listen_fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    listen(s->listen_fd, 1024) < 0 ||
	    epoll_ctl(s->epfd, EPOLL_CTL_ADD, s->listen_fd, &ev) < 0)
		return -errno;
	return 0;
}

static struct plain_server server;

void plain_epoll_fds(int *ret_epfd, int *ret_listen_fd)
{
	*ret_epfd = server.epfd;
	*ret_listen_fd = server.listen_fd;
}

int plain_epoll_run(uint16_t port, int *ready, uint64_t *requests)
{
	struct plain_server *s = &server;
	struct epoll_event ev[BATCH];
	int n, err;

	s->requests = requests;
	err = set_up(s, port);
	if (err)
		return err;
	if (ready)
		__atomic_store_n(ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		n = epoll_wait(s->epfd, ev, BATCH, -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == s)
				accept_all(s);
			else
				conn_event(s, ev[i].data.ptr);
		}
	}
}
