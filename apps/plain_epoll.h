/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control of compare: an echo server in plain C over epoll, without goroutines, written as
 * one would for speed: edge-triggered, one epoll_wait per batch, read until short.
 */
#ifndef APPS_PLAIN_EPOLL_H
#define APPS_PLAIN_EPOLL_H

#include <stdint.h>

/* plain_epoll_run - serve on `port` of every address, on the calling thread; returns only -errno
 * of setting up. *ready (may be NULL) becomes 1 when it listens; *requests counts reads that were
 * answered. One server per process. */
int plain_epoll_run(uint16_t port, int *ready, uint64_t *requests);

/* plain_epoll_fds - the server's epoll and its listener, for tuning; valid once it is ready. */
void plain_epoll_fds(int *ret_epfd, int *ret_listen_fd);

#endif
