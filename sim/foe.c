/* SPDX-License-Identifier: BSD-3-Clause */
/* The hostile host: its lane, its turns among those of the world, what it sees, what it demands. */
#include "sim/foe.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "poller/lane.h"

#define MAX_G 8u

/* What the end of a script leaves to time: nothing may be sent to it without reason. */
#define ANSWERS_FREE  64u
#define ANSWERS_A_SEC 100u

void foe_sleep(uint64_t ns)
{
	(void)pl_sleep((int64_t)max_t(uint64_t, ns, 1));
}

void foe_settle(struct sim_foe *f)
{
	unsigned len;

	(void)foe_until(f, !wire_peek(f->w->wire, (int)f->prey->index, &len, NULL),
			10 * NSEC_PER_SEC);
}

/* trouble - how often the prey lacked memory, or its device refused or missed a frame: then it may
 * have been silent. */
static uint64_t trouble(const struct sim_foe *f)
{
	const struct stack *st = f->prey->st;
	struct netdev_stats ds;

	f->prey->dev->ops->get_stats(f->prey->dev, &ds);
	return st->cache.alloc_fail + st->stats.drops[SKB_DROP_NO_MEM] +
	       st->stats.drops[SKB_DROP_TCP_RCVBUF] + st->stats.drops[SKB_DROP_NEIGH_TABLE_FULL] +
	       st->stats.drops[SKB_DROP_TCP_OFO_DROP] + st->stats.drops[SKB_DROP_TX_RING_FULL] +
	       f->prey->dev->tx_off + ds.rx_nombuf + ds.rx_missed + st->cache.low +
	       (st->tcp->rmem_total > st->tcp->rmem_limit / 2) +
	       (st->tcp->wmem_total > st->tcp->wmem_limit / 2);
}

static void broken(const struct sim_foe *f, const char *how, const char *what)
{
	sim_fail(f->w, "%s (%s) against host %u: %s %s", f->row->name, f->row->what, f->prey->index,
		 how, what);
}

void foe_must(struct sim_foe *f, bool ok, const char *what)
{
	if (!ok && trouble(f) == f->trouble)
		broken(f, "not so:", what);
	else if (!ok)
		sim_say(f->w, "%s: not so, but it was in need: %s", f->row->name, what);
}

void foe_never(struct sim_foe *f, bool bad, const char *what)
{
	if (bad)
		broken(f, "it happened:", what);
}

/* ---- the script ---- */

/* vanish_or_reset - the end of all connections; silence is the worse one. */
static void vanish_or_reset(struct sim_foe *f)
{
	if (sim_chance(&f->rng, 0.5))
		return;
	for (unsigned i = 0; i < f->nr_conns; i++) {
		struct tcp_sock *tp = foe_tp(&f->conn[i]);

		if (tp && tp->sk.sk_state != TCP_SYN_SENT)
			foe_send(&f->conn[i], .flags = RST, .seq = tp->rcv_nxt - f->conn[i].iss);
	}
}

static void g_foe(void *arg)
{
	struct sim_foe *f = arg;
	uint64_t begin;

	foe_sleep(f->w->plan.foe_start);
	/* mostly not before there is somebody to disturb */
	if (sim_chance(&f->rng, 0.8))
		(void)foe_until(f, foe_nr_honest(f), 5 * NSEC_PER_SEC);
	begin = f->w->now;
	f->trouble = trouble(f);
	sim_say(f->w, "%s begins against host %u", f->row->name, f->prey->index);
	f->row->run(f);
	vanish_or_reset(f);
	foe_settle(f);
	foe_never(f,
		  f->answers > 2 * f->in + ANSWERS_FREE +
				       (f->w->now - begin) / NSEC_PER_SEC * ANSWERS_A_SEC,
		  "a storm of answers");
	f->hold = false;
	f->over = true;
	sim_say(f->w, "%s is over: sent %llu frames, got %llu, %llu of them empty", f->row->name,
		(unsigned long long)f->in, (unsigned long long)f->out,
		(unsigned long long)f->answers);
}

/* ---- in the world ---- */

int sim_foe_create(struct sim_world *w, uint64_t seed)
{
	struct lane_config cfg;
	struct sim_foe *f;
	int err;

	if (!w->plan.foe)
		return 0;
	f = w->foe = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->w = w;
	f->row = &foe_rows[w->plan.foe - 1];
	f->prey = &w->host[w->plan.foe_prey];
	f->rng.state = seed;
	lane_config_init(&cfg);
	cfg.virt = true;
	cfg.clock = sim_clock;
	cfg.clock_ctx = w;
	cfg.max_g = MAX_G;
	cfg.seed = sim_draw(&f->rng);
	cfg.ledger = LEDGER_OFF;
	err = lane_create(&cfg, &f->lane);
	f->due = w->now;
	return err ? err : lane_go(f->lane, g_foe, f, "foe");
}

void sim_foe_destroy(struct sim_foe *f)
{
	if (f && f->lane)
		lane_destroy(f->lane);
	free(f);
}

uint64_t sim_foe_due(const struct sim_foe *f)
{
	return f ? f->due : 0;
}

void sim_foe_turn(struct sim_foe *f)
{
	int64_t nap;

	(void)lane_turn(f->lane, false);
	if (lane_prepare_sleep(f->lane, &nap))
		f->due = f->w->now;
	else
		f->due = nap < 0 ? 0 : f->w->now + (uint64_t)nap;
	if (f->dial && sim_prey_dial(f))
		sim_fail(f->w, "no memory for a goroutine");
	f->dial = false;
}

bool sim_foe_over(const struct sim_foe *f)
{
	return !f || f->over;
}

bool sim_foe_holds(const struct sim_host *h)
{
	return h->w->foe && h->w->foe->prey == h && h->w->foe->hold;
}

bool sim_foe_floods(const struct sim_plan *p, unsigned host)
{
	return p->foe && p->foe_prey == host &&
	       foe_rows[p->foe - 1].wants & (FOE_FLOOD | FOE_BACKLOG);
}

/* ---- in the plan ---- */

const char *sim_hostile_name(unsigned nr, const char **ret_what)
{
	if (!nr || nr > foe_rows_nr)
		return NULL;
	if (ret_what)
		*ret_what = foe_rows[nr - 1].what;
	return foe_rows[nr - 1].name;
}

unsigned sim_hostile_find(const char *name)
{
	for (unsigned i = 0; i < foe_rows_nr; i++)
		if (!strcasecmp(foe_rows[i].name, name))
			return i + 1;
	return 0;
}

void sim_foe_shape(struct sim_plan *p, struct sim_rng *r)
{
	struct sim_host_plan *h = &p->host[p->foe_prey];
	unsigned wants = foe_rows[p->foe - 1].wants;

	if (wants & FOE_SACK)
		h->stack.sack = 1;
	if (wants & FOE_TS)
		h->stack.timestamps = 1;
	if (wants & FOE_WSCALE)
		h->stack.window_scaling = 1;
	if (wants & FOE_BACKLOG)
		h->backlog = (int)sim_between(r, 1, 8);
}
