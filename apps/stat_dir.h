/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the sockets of running lanes are, PID.sock each: root's in /run/parklane, those of other
 * users in a folder that nobody else may write to, as /tmp is everybody's.
 */
#ifndef APPS_STAT_DIR_H
#define APPS_STAT_DIR_H

#include <stddef.h>

#include "stack/base/compiler.h"

#define STAT_DIRS_MAX 64
#define STAT_PATH_MAX 80 /* with "/PID.sock" it fits into a sun_path */

struct stat_dir {
	char path[STAT_PATH_MAX];
};

/* stat_dir_mine - the folder for this process's socket, made if need be: the first that can be had
 * of /run/parklane, $XDG_RUNTIME_DIR/parklane, /tmp/parklane-UID. 0; -EACCES. */
MUST_USE int stat_dir_mine(struct stat_dir *ret);
/* stat_dirs_find - all folders that may hold sockets which this user may ask, at most
 * STAT_DIRS_MAX; root is told those of every user. How many. */
unsigned stat_dirs_find(struct stat_dir dirs[static STAT_DIRS_MAX]);

#endif
