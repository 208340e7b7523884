/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stream one way, and both of its ends: the goroutines of `parklane compare`'s client and server.
 *
 * To the server: the client writes, ends its side, and reads the server's verdict, the number of
 * bytes that arrived and were right (eight bytes, host order: both ends are one machine).
 * From the server: it writes until the client goes away.
 */
#ifndef APPS_STREAM_H
#define APPS_STREAM_H

#include "apps/echo_conn.h"
#include "apps/load.h"
#include "apps/stream_bytes.h"

/* stream_take, stream_give - what a server's connection does (echo_server.talk): read all to the
 * end, check, count and answer with the verdict; or write for as long as the client reads. */
ssize_t stream_take(struct echo_server *srv, struct pl_conn *c);
ssize_t stream_give(struct echo_server *srv, struct pl_conn *c);

/* stream_run - as load_run; units are STREAM_MSS bytes that arrived and were right. arrived: the
 * server's count of them, for a stream to it; NULL for one from it. -EBADMSG: they were not. */
void stream_run(const struct load_config *cfg, const uint64_t *arrived, struct load_result *res);

#endif
