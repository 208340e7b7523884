/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The running lane's side of `parklane stat`: a thread that answers on a unix socket with one
 * JSON object, or with a goroutine dump as text. It reads counters relaxed; the list of sockets
 * is written by each lane itself, between two turns, when the thread asks by a message.
 */
#ifndef APPS_STAT_SERVE_H
#define APPS_STAT_SERVE_H

#include "apps/open.h"

/* What a client sends before it shuts its side down; nothing is a request for the JSON. */
#define STAT_ASK_GOROUTINES "goroutines\n"
#define STAT_ASK_ALL        "goroutines all\n"

struct stat_serve;

/* stat_serve_start - before the lane's first turn. NULL when it cannot be (no folder
 * of stat_dir.h, or another run of this process is served): the lanes then run without, which one
 * line on stderr says if all->verbose. command is borrowed, as all is; that of a program of others
 * is the program's own name. */
struct stat_serve *stat_serve_start(const struct open_lanes *all, const char *command);
/* stat_serve_stop - after the last turn; takes the socket away. NULL is a no-op. */
void stat_serve_stop(struct stat_serve *s);

#endif
