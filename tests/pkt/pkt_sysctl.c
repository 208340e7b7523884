/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scripts set what they need by sysctl or by writing to /proc/sys, through a shell, at their start
 * or in their midst. The runner gives each script a network namespace, so all of that works as it
 * is, on the kernel's own values; after each command we read those that the stack has by the same
 * name. So a script runs with Linux's defaults, which it expects, and the kernel checks its syntax.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/pkt/pkt.h"

/* read_value - the text of net.ipv4.NAME or net.core.NAME without its newline; false: the kernel
 * has none. */
static bool read_value(const char *name, char *buf, size_t size)
{
	static const char *const dirs[] = {"ipv4", "core"};
	char path[128];
	ssize_t n;
	int fd = -1;

	for (unsigned i = 0; i < ARRAY_SIZE(dirs) && fd < 0; i++) {
		(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/%s", dirs[i], name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	(void)close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

/* set_ours - what is a constant in Linux has no sysctl: the scripts expect its value. */
static void set_ours(struct pkt_world *w)
{
	/* TLP's allowance for a delayed ACK (RFC 8985 7.2) is tcp_rto_min there */
	const struct stack_setting *s = stack_setting_find("tcp_tlp_ack_delay_us");

	BUG_ON(s && stack_setting_set(s, &w->st->cfg, "200000"));
}

void pkt_qdisc_sync(struct pkt_world *w)
{
	FILE *p = popen("tc qdisc show dev tun0 2>/dev/null", "re");
	char line[256];
	bool off = false;

	while (p && fgets(line, sizeof(line), p))
		off |= strstr(line, " limit 0p") != NULL;
	if (p)
		(void)pclose(p);
	WRITE_ONCE(w->dev.tx_off, off);
}

void pkt_sysctl_sync(struct pkt_world *w)
{
	char text[256];

	set_ours(w);

	for (unsigned i = 0; i < stack_settings_nr; i++) {
		const struct stack_setting *s = &stack_settings[i];

		/* what the stack refuses (a mode that it lacks) leaves its own value */
		if (read_value(s->name, text, sizeof(text)) &&
		    stack_setting_set(s, &w->st->cfg, text))
			continue;
	}
}
