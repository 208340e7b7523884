/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Namespaces and the veth pair between them. They have no names and no files: when the last
 * process of a namespace ends, the kernel takes it and its end of the pair away, so nothing can
 * be left behind, not even by SIGKILL.
 */
#include "apps/cmp_ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "apps/compare.h"

#define RUN(...) cmp_run((const char *const[]){__VA_ARGS__, NULL})

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

int ns_enter(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return -errno;
	/* sysfs shows the devices of the namespace that mounted it. */
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
		return -errno;
	return RUN("ip", "link", "set", "lo", "up");
}

int ns_link(pid_t peer)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)peer);
	return RUN("ip", "link", "add", NS_DEV, "type", "veth", "peer", "name", NS_DEV, "netns",
		   pid);
}

int ns_up(const char *ip, const char *cc)
{
	char cidr[32];
	int err;

	snprintf(cidr, sizeof(cidr), "%s/24", ip);
	err = RUN("ip", "addr", "add", cidr, "dev", NS_DEV);
	if (!err)
		err = RUN("ip", "link", "set", NS_DEV, "up");
	if (!err)
		err = RUN("ethtool", "-K", NS_DEV, "tso", "on", "gso", "on");
	if (!err)
		err = write_file("/proc/sys/net/ipv4/tcp_congestion_control", cc);
	return err;
}

int ns_mode(int cpu, bool gro)
{
	char mask[32];
	int err;

	if (cpu < 0)
		strcpy(mask, "0");
	else
		snprintf(mask, sizeof(mask), "%x", 1u << cpu);
	err = write_file("/sys/class/net/" NS_DEV "/queues/rx-0/rps_cpus", mask);
	return err ? err : RUN("ethtool", "-K", NS_DEV, "gro", gro ? "on" : "off");
}
