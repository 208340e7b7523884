/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What packetdrill asks libc for, though it concerns us: preloaded, these stand in front of libc's.
 * Our own fds are answered here, all else goes on to libc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/times.h>
#include <unistd.h>

#include "tests/pkt/pkt.h"

#define EXPORT __attribute__((visibility("default")))

/* not <sys/sendfile.h>'s: with 64-bit offsets that names another symbol */
ssize_t sendfile(int out, int in, off_t *off, size_t n);

/* next - libc's function of that name. */
static void *next(const char *name)
{
	void *p = dlsym(RTLD_NEXT, name);

	BUG_ON(!p);
	return p;
}

/* dlopen - of us, with RTLD_DEEPBIND, which the sanitizers' runtimes refuse; we are here
 * already. */
EXPORT void *dlopen(const char *path, int flags)
{
	void *(*libc)(const char *, int);

	*(void **)&libc = next("dlopen");
	return libc(path, flags & ~RTLD_DEEPBIND);
}

EXPORT int close(int fd)
{
	int (*libc)(int);

	if (pkt_is_ours(fd)) {
		pkt_lock(&pkt_world);
		return (int)pkt_answer(&pkt_world, pkt_close(&pkt_world, fd));
	}
	*(void **)&libc = next("close");
	return libc(fd);
}

EXPORT int getsockopt(int fd, int level, int opt, void *val, socklen_t *len)
{
	int (*libc)(int, int, int, void *, socklen_t *);

	if (pkt_is_ours(fd)) {
		pkt_lock(&pkt_world);
		return (int)pkt_answer(&pkt_world,
				       pkt_getsockopt(&pkt_world, fd, level, opt, val, len));
	}
	*(void **)&libc = next("getsockopt");
	return libc(fd, level, opt, val, len);
}

/* sendfile - read and send: what the stack is given is copied anyhow. */
EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
	ssize_t (*libc)(int, int, off_t *, size_t);
	struct iovec v;
	ssize_t r;

	if (!pkt_is_ours(out)) {
		*(void **)&libc = next("sendfile");
		return libc(out, in, off, n);
	}
	v.iov_base = malloc(n ? n : 1);
	BUG_ON(!v.iov_base);
	r = off ? pread(in, v.iov_base, n, *off) : read(in, v.iov_base, n);
	v.iov_len = r > 0 ? (size_t)r : 0;
	if (r > 0) {
		pkt_lock(&pkt_world);
		r = pkt_answer(&pkt_world, pkt_send_iov(&pkt_world, out, &v, 1, 0));
	}
	if (r > 0 && off)
		*off += r;
	free(v.iov_base);
	return r;
}

/* system - a script's command: what it set is the stack's setting, too. */
EXPORT int system(const char *command)
{
	int (*libc)(const char *);
	int r;

	*(void **)&libc = next("system");
	r = libc(command);
	if (pkt_world.st) {
		pkt_lock(&pkt_world);
		pkt_sysctl_sync(&pkt_world);
		pkt_qdisc_sync(&pkt_world);
		pkt_unlock(&pkt_world);
	}
	return r;
}

/* times - packetdrill waits for ten of its ticks before it starts, in vain in virtual time. */
EXPORT clock_t times(struct tms *ret)
{
	static clock_t ticks;

	if (ret)
		*ret = (struct tms){0};
	return ++ticks;
}
