/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server's goroutines: the one source that every server of `parklane echo` and of `parklane
 * compare` runs, over whichever backend its lane has. It echoes, unless it is told otherwise.
 */
#ifndef APPS_ECHO_CONN_H
#define APPS_ECHO_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include <parklane/parklane.h>

/* Large buffers for connections that stream; all zero at first. */
struct echo_bufs {
	uint8_t *kept[4]; /* free ones that are not given back to malloc() */
	unsigned nr_kept, nr_out;
	bool wanted; /* one was refused since the last came back */
};

/* One writer, the lane; relaxed readers. */
struct echo_server {
	/* talk - what a connection's goroutine does until it ends: 0 or -errno; NULL echo (c). */
	ssize_t (*talk)(struct echo_server *srv, struct pl_conn *c);
	struct echo_bufs bufs;    /* the lane's alone */
	struct pl_conn *listener; /* set by the user, who closes it */
	uint64_t accepted, active, requests, bytes, errors;
	int last_err; /* of a connection that ended badly; 0 none */
};

/* echo_accept_loop - a goroutine (arg: struct echo_server): one more goroutine per connection,
 * until the listener is closed. Backs off while descriptors or memory are short. */
void echo_accept_loop(void *arg);

#endif
