/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the programs of the hostile host's prey do with its connections: read, see that each byte is
 * the stream's, write, and close in the end, whatever comes.
 */
#include <errno.h>
#include <stdlib.h>

#include "poller/lane.h"
#include "sim/foe.h"

#define PORT     7
#define BUF      4096u
#define PATIENCE (60 * NSEC_PER_SEC) /* without a byte */
#define DEAF_NAP (5 * NSEC_PER_MSEC)

struct party {
	struct sim_foe *f;
	struct foe_guest *g;
	struct pl_conn *c;
	struct pl_wait_group writer;
};

uint64_t sim_prey_seed(const struct sim_foe *f, const struct foe_guest *g)
{
	return f->w->plan.wire_seed + (uint64_t)(g - f->guest) * 0xa0761d6478bd642full;
}

static void g_write(void *arg)
{
	struct party *p = arg;
	struct foe_guest *g = p->g;
	uint8_t buf[BUF];

	while (g->sent < g->write && !g->werr) {
		size_t n = min_t(size_t, BUF, g->write - g->sent);
		ssize_t w;

		sim_bytes_fill(sim_prey_seed(p->f, g) + 1, g->sent, buf, n);
		(void)pl_set_write_deadline(p->c, pl_now() + 2 * PATIENCE);
		w = pl_write(p->c, buf, n);
		if (w > 0)
			g->sent += (uint64_t)w;
		if (w < (ssize_t)n)
			g->werr = (int)(w < 0 ? w : -ETIME);
	}
	(void)pl_wait_group_done(&p->writer);
}

static void take(struct party *p, const uint8_t *buf, size_t n)
{
	if (sim_bytes_verify(sim_prey_seed(p->f, p->g), p->g->rcvd, buf, n) < n)
		foe_never(p->f, true, "a byte that is not the stream's was delivered");
	p->g->rcvd += n;
}

static void read_all(struct party *p)
{
	struct foe_guest *g = p->g;
	uint8_t buf[BUF];
	ssize_t n = 1;

	while (n > 0 && (!g->read || g->rcvd < g->read)) {
		while (g->deaf && !p->f->over)
			(void)pl_sleep(DEAF_NAP);
		(void)pl_set_read_deadline(p->c, pl_now() + PATIENCE);
		n = pl_read(p->c, buf, BUF);
		if (n > 0)
			take(p, buf, (size_t)n);
	}
	g->eof = n == 0;
	g->rerr = n < 0 ? (int)n : 0;
}

/* party - one connection with the foe, from its first byte to the close. */
static void party(struct sim_foe *f, struct foe_guest *g, struct pl_conn *c)
{
	struct party p = {.f = f, .g = g, .c = c};

	g->open = true;
	if (g->write) {
		(void)pl_wait_group_add(&p.writer, 1);
		if (pl_go(g_write, &p))
			sim_fail(f->w, "no memory for a goroutine");
	}
	read_all(&p);
	(void)pl_wait_group_wait(&p.writer);
	(void)pl_close(c);
	g->over = true;
}

bool sim_prey_serve(struct sim_foe *f, struct pl_conn *c)
{
	struct pl_addr a;

	if (!f || pl_peer_addr(c, &a) || a.v4 != foe_mine())
		return false;
	if (a.port < FOE_PORT || a.port >= FOE_PORT + f->nr_conns ||
	    f->guest[a.port - FOE_PORT].open) {
		sim_fail(f->w, "the hostile host has no connection from port %u", a.port);
		return false;
	}
	party(f, &f->guest[a.port - FOE_PORT], c);
	return true;
}

static void g_dial(void *arg)
{
	struct sim_foe *f = arg;
	struct foe_guest *g = f->dialed->guest;
	struct pl_addr a = {.family = PL_AF_INET, .port = PORT, .v4 = foe_mine()};
	struct pl_conn *c;

	g->rerr = pl_dial(PL_NET_STACK, &a, pl_now() + PATIENCE, &c);
	if (!g->rerr)
		party(f, g, c);
	g->over = true;
}

int sim_prey_dial(struct sim_foe *f)
{
	f->prey->due = f->w->now;
	return lane_go(f->prey->lane, g_dial, f, "prey");
}
