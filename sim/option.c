/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that turn their sockets' options in the middle of a conversation. None of these may
 * change what arrives; an option or a congestion control that the stack does not have is no
 * failure.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "sim/sim_int.h"

#define BUF_LEAST 2048
#define BUF_MOST  (512 * 1024)

struct option {
	int level, name;
	uint32_t lo, hi;
};

/* Keepalive with 127 probes 5 s apart gives up on nobody before the heal. */
static const struct option options[] = {
	{IPPROTO_TCP, TCP_NODELAY, 0, 1},
	{IPPROTO_TCP, TCP_CORK, 0, 1},
	{IPPROTO_TCP, TCP_QUICKACK, 0, 2},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1, BUF_MOST},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, 2 * BUF_LEAST, BUF_MOST},
	{SOL_SOCKET, SO_SNDBUF, BUF_LEAST, BUF_MOST},
	{SOL_SOCKET, SO_RCVBUF, BUF_LEAST, BUF_MOST},
	{IPPROTO_IP, IP_TOS, 1, 0xfc},
	{IPPROTO_TCP, TCP_KEEPCNT, 127, 127},
	{IPPROTO_TCP, TCP_KEEPINTVL, 5, 5},
	{IPPROTO_TCP, TCP_KEEPIDLE, 5, 20},
	{SOL_SOCKET, SO_KEEPALIVE, 1, 1},
};

void sim_option_turn(struct sim_side *s)
{
	const struct option *o = &options[sim_between(&s->rng, 0, ARRAY_SIZE(options) - 1)];
	int value = (int)(o->hi > 2 ? sim_spread(&s->rng, o->lo, o->hi)
				    : sim_between(&s->rng, o->lo, o->hi));
	int on = 1;

	/* the order of its rows: no keepalive without its limits */
	if (o->name == SO_KEEPALIVE && o->level == SOL_SOCKET) {
		int count = 127, interval = 5;

		(void)pl_setsockopt(s->c, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
		(void)pl_setsockopt(s->c, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
		(void)pl_setsockopt(s->c, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		return;
	}
	(void)pl_setsockopt(s->c, o->level, o->name, &value, sizeof(value));
}

void sim_option_begin(struct sim_side *s)
{
	static const char *const names[] = {"reno", "cubic", "dctcp"};
	const char *name = names[sim_between(&s->rng, 0, 2)];

	(void)pl_setsockopt(s->c, IPPROTO_TCP, TCP_CONGESTION, name,
			    (uint32_t)__builtin_strlen(name));
}

void sim_option_reset(struct pl_conn *c)
{
	struct linger none = {.l_onoff = 1};

	(void)pl_setsockopt(c, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

void sim_option_abort(struct sim_side *s)
{
	if (sim_chance(&s->rng, 0.5))
		sim_option_reset(s->c);
}
