/* SPDX-License-Identifier: BSD-3-Clause */
/* See stat_dir.h. */
#include "apps/stat_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_DIR "/run/parklane"

/* is_private - a real folder of that user, in which nobody else can put anything. */
static bool is_private(const char *path, uid_t user)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == user &&
	       !(st.st_mode & 077);
}

static bool join(struct stat_dir *d, const char *folder, const char *name)
{
	return (size_t)snprintf(d->path, sizeof(d->path), "%s/%s", folder, name) < sizeof(d->path);
}

/* The two of a user that are not root's; how many. */
static unsigned users_dirs(struct stat_dir dirs[static 2])
{
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	char name[32];
	unsigned n = 0;

	if (runtime && *runtime == '/' && join(&dirs[n], runtime, "parklane"))
		n++;
	snprintf(name, sizeof(name), "parklane-%u", (unsigned)geteuid());
	if (join(&dirs[n], "/tmp", name))
		n++;
	return n;
}

int stat_dir_mine(struct stat_dir *ret)
{
	struct stat_dir dirs[2];
	unsigned n;

	if ((mkdir(SYSTEM_DIR, 0755) == 0 || errno == EEXIST) &&
	    faccessat(AT_FDCWD, SYSTEM_DIR, W_OK | X_OK, AT_EACCESS) == 0) {
		snprintf(ret->path, sizeof(ret->path), SYSTEM_DIR);
		return 0;
	}
	n = users_dirs(dirs);
	for (unsigned i = 0; i < n; i++) {
		if (mkdir(dirs[i].path, 0700) < 0 && errno != EEXIST)
			continue;
		if (is_private(dirs[i].path, geteuid())) {
			*ret = dirs[i];
			return 0;
		}
	}
	return -EACCES;
}

static unsigned add(struct stat_dir dirs[static STAT_DIRS_MAX], unsigned n, const char *path)
{
	if (n == STAT_DIRS_MAX || strlen(path) >= STAT_PATH_MAX)
		return n;
	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(dirs[i].path, path))
			return n;
	}
	snprintf(dirs[n].path, STAT_PATH_MAX, "%s", path);
	return n + 1;
}

/* add_all - of every user; the number in the name says whose it must be. */
static unsigned add_all(struct stat_dir dirs[static STAT_DIRS_MAX], unsigned n, const char *pattern,
			const char *form)
{
	glob_t found;
	unsigned user;

	if (glob(pattern, 0, NULL, &found))
		return n;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *path = found.gl_pathv[i];

		if (sscanf(path, form, &user) == 1 && is_private(path, (uid_t)user))
			n = add(dirs, n, path);
	}
	globfree(&found);
	return n;
}

unsigned stat_dirs_find(struct stat_dir dirs[static STAT_DIRS_MAX])
{
	struct stat_dir own[2];
	unsigned n = add(dirs, 0, SYSTEM_DIR), nr = users_dirs(own);

	for (unsigned i = 0; i < nr; i++) {
		if (is_private(own[i].path, geteuid()))
			n = add(dirs, n, own[i].path);
	}
	/* Also for others than root: the lane's environment may have been another than ours. */
	n = add_all(dirs, n, "/run/user/*/parklane", "/run/user/%u/");
	return add_all(dirs, n, "/tmp/parklane-*", "/tmp/parklane-%u");
}
