/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taps by TUNSETIFF and the socket ioctls. A tap belongs to the namespace in which /dev/net/tun is
 * opened: this thread goes there for a moment. It may be moved on afterwards; TUNGETDEVNETNS (Linux
 * 5.3) says where it is.
 */
#include "apps/wire_tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "stack/base/bug.h"

/* Frames that wait for us to read them. The kernel's 500 are less than one window of a fast path
 * (1 Gbit/s, 20 ms: 1,660), which a sender may hand over at once. */
#define TAP_QUEUE 8192
#define NS_HERE   INT_MAX /* in place of the fd of the namespace to go back to */

static int PRINTF_FMT(4, 5) fail(int error, char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return error;
}

int wtap_name(struct wtap *t, const char *s)
{
	size_t n = strcspn(s, "@");
	const char *ns = s[n] ? s + n + 1 : "";
	const char *dir = "";
	const char *end = "";

	*t = (struct wtap){.fd = -1};
	if (!n || n >= sizeof(t->name) || memchr(s, '/', n) || (s[n] && !*ns))
		return -EINVAL;
	memcpy(t->name, s, n);
	if (*ns && !ns[strspn(ns, "0123456789")]) {
		dir = "/proc/";
		end = "/ns/net";
	} else if (*ns && !strchr(ns, '/')) {
		dir = "/run/netns/";
	}
	n = (size_t)snprintf(t->netns, sizeof(t->netns), "%s%s%s", dir, ns, end);
	return n < sizeof(t->netns) ? 0 : -EINVAL;
}

/* ---- in its namespace ---- */

/* ns_enter - this thread into the namespace of ns_fd, which is closed. The one before, for
 * ns_leave(); -errno. */
static int ns_enter(int ns_fd)
{
	int old = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), err = 0;

	if (old < 0 || setns(ns_fd, CLONE_NEWNET) < 0)
		err = -errno;
	close(ns_fd);
	if (!err)
		return old;
	if (old >= 0)
		close(old);
	return err;
}

static void ns_leave(int old)
{
	if (old == NS_HERE)
		return;
	BUG_ON(setns(old, CLONE_NEWNET) < 0);
	close(old);
}

/* ifr_open - a socket for ioctls on the tap. Its fd; -errno. */
static int ifr_open(const struct wtap *t, struct ifreq *ret_ifr)
{
	int sk = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret_ifr = (struct ifreq){0};
	memcpy(ret_ifr->ifr_name, t->name, sizeof(ret_ifr->ifr_name));
	return sk < 0 ? -errno : sk;
}

static int bring_up(const struct wtap *t)
{
	struct ifreq ifr;
	int sk = ifr_open(t, &ifr), err = 0;
	bool up;

	if (sk < 0)
		return sk;
	if (ioctl(sk, SIOCGIFFLAGS, &ifr) < 0)
		err = -errno;
	up = ifr.ifr_flags & IFF_UP;
	ifr.ifr_flags |= IFF_UP;
	if (!err && !up && ioctl(sk, SIOCSIFFLAGS, &ifr) < 0)
		err = -errno;
	ifr.ifr_qlen = TAP_QUEUE;
	/* who made it for a user without privilege, and set it up, chose its queue as well */
	if (!err && ioctl(sk, SIOCSIFTXQLEN, &ifr) < 0 && (!up || errno != EPERM))
		err = -errno;
	close(sk);
	return err;
}

static int set_address(const struct wtap *t, struct in_addr addr, struct in_addr mask)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr = addr};
	struct ifreq ifr;
	int sk = ifr_open(t, &ifr), err = 0;

	if (sk < 0)
		return sk;
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	if (ioctl(sk, SIOCSIFADDR, &ifr) < 0)
		err = -errno;
	sin.sin_addr = mask;
	memcpy(&ifr.ifr_netmask, &sin, sizeof(sin));
	if (!err && ioctl(sk, SIOCSIFNETMASK, &ifr) < 0)
		err = -errno;
	close(sk);
	return err;
}

/* attach - the tap's fd; -errno. */
static int attach(const struct wtap *t)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, t->name, sizeof(ifr.ifr_name));
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int tap_error(const struct wtap *t, int error, char *err, size_t errlen)
{
	const char *name = t->name;

	switch (error) {
	case -EPERM:
	case -EACCES:
		return fail(error, err, errlen, "tap '%s': not permitted: run it as root", name);
	case -EBUSY:
		return fail(error, err, errlen,
			    "tap '%s': another program has it: end that, or choose another name",
			    name);
	case -ENOENT:
		return fail(error, err, errlen, "no /dev/net/tun: 'modprobe tun' makes it");
	case -EINVAL:
		return fail(error, err, errlen,
			    "'%s' is a device, but no tap of one queue: choose another name, and "
			    "the tap is made",
			    name);
	default:
		return fail(error, err, errlen, "tap '%s': %s", name, strerror(-error));
	}
}

/* go_there - the tap's namespace. As ns_enter(); NS_HERE it is this one. */
static int go_there(const struct wtap *t, char *err, size_t errlen)
{
	const char *path = t->netns;
	int fd, old;

	if (!*path)
		return NS_HERE;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES)
		return fail(-errno, err, errlen, "%s: not permitted: run it as root", path);
	if (fd < 0)
		return fail(-errno, err, errlen,
			    "no network namespace %s: 'ip netns add' makes one; or give a process "
			    "number, or the path of a namespace's file",
			    path);
	old = ns_enter(fd);
	if (old < 0)
		return fail(old, err, errlen, "cannot enter %s: %s%s", path, strerror(-old),
			    old == -EPERM ? ": run it as root" : "");
	return old;
}

int wtap_open(struct wtap *t, char *err, size_t errlen)
{
	int old = go_there(t, err, errlen), error;

	if (old < 0)
		return old;
	t->fd = attach(t);
	error = t->fd < 0 ? t->fd : bring_up(t);
	ns_leave(old);
	if (error) {
		wtap_close(t);
		return tap_error(t, error, err, errlen);
	}
	t->drops = wtap_drops(t);
	return 0;
}

int wtap_cidr(const char *s, struct wtap_ip *ret)
{
	const char *slash = strchr(s, '/');
	char buf[INET_ADDRSTRLEN] = "", *end;
	unsigned long len;

	if (!slash || slash - s >= (long)sizeof(buf) || slash[1] < '0' || slash[1] > '9')
		return -EINVAL;
	memcpy(buf, s, (size_t)(slash - s));
	len = strtoul(slash + 1, &end, 10);
	if (inet_pton(AF_INET, buf, &ret->addr) != 1 || *end || len < 1 || len > 32)
		return -EINVAL;
	ret->mask.s_addr = htonl(UINT32_MAX << (32 - len));
	ret->text = s;
	return 0;
}

int wtap_address(const struct wtap *t, const struct wtap_ip *ip, char *err, size_t errlen)
{
	int old = go_there(t, err, errlen), error;

	if (old < 0)
		return old;
	error = set_address(t, ip->addr, ip->mask);
	ns_leave(old);
	return error ? fail(error, err, errlen, "--ip %s: %s", ip->text, strerror(-error)) : 0;
}

/* ---- what the kernel could not give us ---- */

/* tx_dropped - of /proc/net/dev's line "name: 8 fields of rx, then bytes packets errs drop ...". */
static uint64_t tx_dropped(const char *name)
{
	FILE *f = fopen("/proc/thread-self/net/dev", "re");
	size_t len = strlen(name);
	char line[512];
	uint64_t v = 0;

	while (f && fgets(line, sizeof(line), f)) {
		char *p = line + strspn(line, " ");

		if (strncmp(p, name, len) || p[len] != ':')
			continue;
		p += len + 1;
		for (int i = 0; i < 12; i++)
			v = strtoull(p, &p, 10);
		break;
	}
	if (f)
		(void)fclose(f);
	return v;
}

uint64_t wtap_drops(const struct wtap *t)
{
	struct ifreq ifr = {0};
	uint64_t v;
	int ns, old;

	if (ioctl(t->fd, TUNGETIFF, &ifr) < 0)
		return 0;
	ns = ioctl(t->fd, TUNGETDEVNETNS);
	old = ns < 0 ? -errno : ns_enter(ns);
	if (old < 0)
		return 0;
	v = tx_dropped(ifr.ifr_name);
	ns_leave(old);
	return v > t->drops ? v - t->drops : 0;
}

void wtap_close(struct wtap *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}
