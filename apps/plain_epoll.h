/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control of compare: servers in plain C over epoll, without goroutines, written as one would
 * for speed: edge-triggered, one epoll_wait per batch, read until short. They echo, take a stream
 * or give one, with the bytes of stream.h.
 */
#ifndef APPS_PLAIN_EPOLL_H
#define APPS_PLAIN_EPOLL_H

#include <stdint.h>

enum plain_role { PLAIN_ECHO, PLAIN_TAKE, PLAIN_GIVE, PLAIN_ROLES };

/* What the server counts; one writer, relaxed readers. */
struct plain_counts {
	uint64_t requests;           /* echo: reads that were answered */
	uint64_t bytes[PLAIN_ROLES]; /* streams: that arrived and were right, or were sent */
};

/* plain_epoll_run - serve port[role] of every address, on the calling thread; returns only -errno
 * of setting up. *ready (may be NULL) becomes 1 when it listens. One server per process. */
int plain_epoll_run(const uint16_t port[PLAIN_ROLES], int *ready, struct plain_counts *counts);

/* plain_epoll_fds - the server's epoll and its listener for a role, for tuning; valid once it is
 * ready. */
void plain_epoll_fds(enum plain_role role, int *ret_epfd, int *ret_listen_fd);

#endif
