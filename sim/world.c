/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The world: hosts on a wire, and a clock that always jumps to the next thing that happens, be it a
 * frame, a timer, a goroutine or bad luck. A host's turn takes its time: what comes meanwhile
 * waits.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/pcap_file.h"
#include "poller/lane.h"
#include "poller/netpoll_stack.h"
#include "sim/sim_int.h"
#include "stack/stack_int.h"

#define RING     256u                 /* frames that wait for a host */
#define MAX_G    512u                 /* goroutines of a host */
#define PATIENCE (500 * NSEC_PER_SEC) /* beyond the bound, for flows that somebody aborts */
#define DRAIN    (600 * NSEC_PER_SEC) /* after the last flow: FIN-WAIT-2, orphans, TIME-WAIT */
#define NAPS_MAX 100000u              /* turns in a row in which a host does nothing */

void sim_fail(struct sim_world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->res->failed)
		return;
	w->res->failed = true;
	w->res->at = sim_since(w);
	va_start(ap, fmt);
	(void)vsnprintf(w->res->what, sizeof(w->res->what), fmt, ap);
	va_end(ap);
	sim_say(w, "FAILED: %s", w->res->what);
	for (unsigned i = 0; w->opt->verbose && i < w->nr_hosts; i++)
		if (w->host[i].st)
			sim_check_tell(&w->host[i]);
}

void sim_say(const struct sim_world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->opt->verbose)
		return;
	fprintf(w->opt->verbose, "%14.6f ", (double)sim_since(w) / 1e6);
	va_start(ap, fmt);
	(void)vfprintf(w->opt->verbose, fmt, ap);
	va_end(ap);
	fputc('\n', w->opt->verbose);
}

/* ---- the capture: frames as they enter the wire ---- */

static int pcap_open(struct sim_world *w)
{
	int err = w->opt->pcap ? pcap_file_open(w->opt->pcap, NULL, 0, &w->pcap) : 0;

	if (err)
		(void)snprintf(w->res->what, sizeof(w->res->what), "pcap file '%s': %s",
			       w->opt->pcap, strerror(-err));
	return err;
}

/* An error shows in pcap_close(). */
static void pcap_frame(struct sim_world *w, const uint8_t *frame, uint32_t len, uint64_t now)
{
	(void)!pcap_file_write(w->pcap, frame, len, now);
}

static int pcap_close(struct sim_world *w)
{
	bool bad;

	if (!w->pcap)
		return 0;
	bad = ferror(w->pcap);
	if (!fclose(w->pcap) && !bad)
		return 0;
	(void)snprintf(w->res->what, sizeof(w->res->what), "pcap file '%s': %s", w->opt->pcap,
		       strerror(errno ? errno : EIO));
	return errno ? -errno : -EIO;
}

/* ---- the wire's onlooker ---- */

static unsigned on_entering(void *ctx, int end, uint8_t *frame, unsigned len, unsigned room,
			    uint64_t now)
{
	struct sim_world *w = ctx;

	(void)room;
	w->res->frames++;
	if (end >= 0)
		sim_track_sent(w->track, frame, len);
	if (w->pcap)
		pcap_frame(w, frame, len, now);
	return sim_foe_sees(w->foe, end, frame, len) ? 0 : len;
}

void sim_foe_sends(struct sim_world *w, uint8_t *frame, unsigned len)
{
	w->res->frames++;
	sim_track_foe(w->track, frame, len);
	if (w->pcap)
		pcap_frame(w, frame, len, w->now);
}

/* What was changed on the way is in the capture as it came, too. */
static unsigned on_arriving(void *ctx, int end, uint8_t *frame, unsigned len, unsigned room,
			    unsigned waiting, uint64_t now)
{
	struct sim_world *w = ctx;
	unsigned new_len = len;

	if (!waiting)
		new_len = sim_track_comes(w->track, w->host[end].st, frame, len, room);
	if (w->pcap && new_len != len)
		pcap_frame(w, frame, new_len, now);
	return new_len;
}

static void on_lost(void *ctx, int link, bool back, const uint8_t *frame, unsigned len,
		    const char *why, uint64_t now)
{
	(void)frame;
	(void)now;
	sim_say(ctx, "link %d %s: %u bytes lost: %s", link, back ? "back" : "forth", len, why);
}

/* ---- making ---- */

uint64_t sim_clock(void *ctx)
{
	return ((struct sim_world *)ctx)->now;
}

/* A star, two hosts face to face, or two switches with a link between. The host's end has its
 * index. */
static int make_wire(struct sim_world *w)
{
	struct sim_plan *p = &w->plan;
	struct wire_watch watch = {.entering = on_entering,
				   .arriving = p->stretch ? on_arriving : NULL,
				   .lost = w->opt->verbose ? on_lost : NULL,
				   .ctx = w};
	int err = wire_create(p->wire_seed, &w->wire), a, b;

	if (err)
		return err;
	wire_set_watch(w->wire, &watch);
	for (unsigned i = 0; i < p->nr_hosts; i++)
		if (wire_add_end(w->wire, RING) < 0)
			return -ENOMEM;
	if (p->nr_links == 1)
		return min_t(int, wire_add_link(w->wire, 0, 1, &p->path[0][0], &p->path[0][1]), 0);
	a = wire_add_switch(w->wire);
	b = p->bottleneck ? wire_add_switch(w->wire) : a;
	if (a < 0 || b < 0)
		return -ENOMEM;
	for (unsigned i = 0; i < p->nr_hosts; i++) {
		err = wire_add_link(w->wire, (int)i, i % 2 ? b : a, &p->path[i][0], &p->path[i][1]);
		if (err < 0)
			return err;
	}
	if (p->bottleneck)
		err = wire_add_link(w->wire, a, b, &p->path[p->nr_hosts][0],
				    &p->path[p->nr_hosts][1]);
	return min_t(int, err, 0);
}

static uint32_t ip_of(unsigned i)
{
	uint8_t b[4] = {10, 0, 0, (uint8_t)(1 + i)};
	uint32_t ip;

	memcpy(&ip, b, 4);
	return ip;
}

static int make_host(struct sim_world *w, unsigned i, struct sim_rng *r)
{
	struct sim_host *h = &w->host[i];
	struct lane_config lcfg;
	int err;

	*h = (struct sim_host){.w = w, .index = i, .plan = &w->plan.host[i], .ip = ip_of(i)};
	w->nr_hosts = i + 1;
	lane_config_init(&lcfg);
	lcfg.virt = true;
	lcfg.clock = sim_clock;
	lcfg.clock_ctx = w;
	lcfg.max_g = MAX_G;
	lcfg.seed = sim_draw(r);
	lcfg.ledger = LEDGER_OFF;
	h->pool = sim_pool_create(h->plan->nr_skbs, sim_draw(r));
	if (!h->pool)
		return -ENOMEM;
	err = wire_netdev(w->wire, (int)i, w->plan.mtu, 0, sim_clock, w, &h->dev);
	if (!err)
		err = stack_create(&h->plan->stack, h->pool, &h->st);
	/* a turn that only tells the stack what time it is */
	if (!err)
		(void)stack_rx(h->st, w->now, 1);
	if (!err)
		err = stack_attach(h->st, h->dev, 0, h->ip, 24, 0);
	if (!err)
		err = lane_create(&lcfg, &h->lane);
	if (!err)
		err = netpoll_stack_create(h->lane, h->st, 0, &h->nb);
	if (!err)
		err = lane_add_backend(h->lane, h->nb);
	h->due = w->now;
	return err;
}

/* ---- ending ---- */

static void sum_host(struct sim_result *res, const struct sim_host *h)
{
	const struct stack_stats *s = stack_stats(h->st);

	res->retrans += s->tcp_retrans_segs;
	res->timeouts += s->tcp_timeouts;
	res->resets += s->tcp_out_rsts;
	res->nomem += s->drops[SKB_DROP_NO_MEM] + h->st->cache.alloc_fail;
}

static void unmake_host(struct sim_host *h)
{
	if (h->lane)
		lane_destroy(h->lane);
	if (h->nb)
		netpoll_stack_destroy(h->nb);
	if (h->st)
		stack_destroy(h->st);
	if (h->dev)
		h->dev->ops->close(h->dev);
	if (h->pool) {
		if (sim_pool_missing(h->pool))
			sim_fail(h->w, "host %u: %u buffers did not come back to the pool",
				 h->index, sim_pool_missing(h->pool));
		skb_pool_destroy(h->pool);
	}
}

/* After a failure nothing is taken apart, as nobody knows in what state it is: the world is leaked,
 * and what is wrong with it can be looked at in a debugger. */
static void unmake(struct sim_world *w)
{
	if (w->res->failed)
		return;
	sim_foe_destroy(w->foe);
	for (unsigned i = 0; i < w->nr_hosts; i++)
		unmake_host(&w->host[i]);
	if (w->track)
		sim_track_destroy(w->track);
	if (w->wire)
		wire_destroy(w->wire);
}

/* ---- running ---- */

/* heal - all faults end. A narrow link is none as long as its routers say so (RFC 1191), or all
 * hosts can find out alone (RFC 4821). */
static void heal(struct sim_world *w)
{
	for (unsigned i = 0; i < w->plan.nr_links * 2; i++) {
		struct wire_path p = *wire_path(w->wire, (int)i / 2, i % 2);

		p.loss = p.burst_enter = p.burst_loss = p.reorder = p.dup = p.corrupt = 0;
		p.burst_leave = 1;
		p.cut = false;
		if (!p.mtu_icmp && !w->plan.probing)
			p.mtu = 0;
		if (wire_set_path(w->wire, (int)i / 2, i % 2, &p))
			sim_fail(w, "no memory");
	}
	for (unsigned i = 0; i < w->nr_hosts; i++) {
		sim_pool_mood(w->host[i].pool, 0);
		w->host[i].dev->tx_off = false;
	}
	w->healed = true;
}

static void happen(struct sim_world *w, const struct sim_event *ev)
{
	struct sim_host *h = &w->host[ev->host];

	switch (ev->kind) {
	case SIM_EV_PATH:
		if (wire_set_path(w->wire, ev->host, ev->back, &ev->path))
			sim_fail(w, "no memory");
		break;
	case SIM_EV_PAUSE:
		h->pause = w->now + ev->len;
		break;
	case SIM_EV_NOMEM:
		sim_pool_mood(h->pool, ev->chance);
		break;
	case SIM_EV_OFF:
		h->dev->tx_off = ev->chance > 0;
		break;
	default:
		heal(w);
	}
	sim_say(w, "event %u happened", (unsigned)(ev - w->plan.event));
}

/* host_due - ns at which h wants a turn, and may have one; 0 never. */
static uint64_t host_due(const struct sim_host *h)
{
	uint64_t at = h->due, came;
	unsigned len;

	if (wire_peek(h->w->wire, (int)h->index, &len, &came) && (!at || came < at))
		at = came;
	if (!at)
		return 0;
	at = max_t(uint64_t, at, h->last + h->plan->turn_ns);
	return max_t(uint64_t, at, h->pause);
}

static void turn(struct sim_host *h)
{
	struct sim_world *w = h->w;
	const struct stack_stats *s = stack_stats(h->st);
	uint64_t seen = s->rx_packets + s->tx_packets + s->loopback;
	unsigned ran = lane_turn(h->lane, false);
	int64_t nap;

	w->res->turns++;
	h->last = w->now;
	if (lane_prepare_sleep(h->lane, &nap))
		h->due = w->now;
	else
		h->due = nap < 0 ? 0 : w->now + (uint64_t)nap;
	if (ran || s->rx_packets + s->tx_packets + s->loopback != seen)
		h->naps = 0;
	else if (++h->naps > NAPS_MAX)
		sim_fail(w, "host %u turns and turns, and nothing happens", h->index);
	sim_check_turn(h);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

/* step - on to the next thing that happens. False: nothing ever will. */
static bool step(struct sim_world *w)
{
	uint64_t next = wire_next(w->wire);

	if (w->next_event < w->plan.nr_events)
		next = earlier(next, w->plan.begin + w->plan.event[w->next_event].at);
	for (unsigned i = 0; i < w->nr_hosts; i++)
		next = earlier(next, host_due(&w->host[i]));
	next = earlier(next, sim_foe_due(w->foe));
	if (!next)
		return false;
	w->now = max_t(uint64_t, w->now, next);
	while (w->next_event < w->plan.nr_events &&
	       w->plan.begin + w->plan.event[w->next_event].at <= w->now)
		happen(w, &w->plan.event[w->next_event++]);
	wire_run(w->wire, w->now);
	for (unsigned i = 0; i < w->nr_hosts && !w->res->failed; i++) {
		uint64_t due = host_due(&w->host[i]);

		if (due && due <= w->now)
			turn(&w->host[i]);
	}
	if (sim_foe_due(w->foe) && sim_foe_due(w->foe) <= w->now && !w->res->failed)
		sim_foe_turn(w->foe);
	return true;
}

static bool programs_over(const struct sim_world *w)
{
	if (!sim_flows_over(w) || !sim_foe_over(w->foe))
		return false;
	/* a listener each, and nobody who still serves */
	for (unsigned i = 0; i < w->nr_hosts; i++)
		if (lane_nr_g(w->host[i].lane) > 1)
			return false;
	return true;
}

static const char *anything_left(struct sim_world *w, unsigned *ret_host)
{
	const char *what = NULL;

	for (*ret_host = 0; *ret_host < w->nr_hosts; (*ret_host)++) {
		what = sim_check_empty(&w->host[*ret_host]);
		if (what)
			break;
	}
	return what;
}

/* live - until the programs are over. What nobody aborts has until the bound; what somebody does
 * may have to wait for a deadline of its own. */
static void live(struct sim_world *w)
{
	uint64_t bound = w->plan.heal + w->plan.bound;

	while (!programs_over(w) && !w->res->failed) {
		bool ends = !step(w);

		if (ends || sim_since(w) > bound)
			sim_flows_stuck(w, ends || sim_since(w) > bound + PATIENCE);
		if (ends || sim_since(w) > bound + PATIENCE)
			sim_fail(w, "progress: a connection that belongs to no flow does not end");
	}
}

/* drain - until nothing is left of any connection. */
static void drain(struct sim_world *w)
{
	uint64_t end = w->now + DRAIN;
	const char *left;
	unsigned host;

	for (unsigned i = 0; i < w->nr_hosts; i++)
		w->host[i].due = w->now;
	while ((left = anything_left(w, &host)) != NULL && !w->res->failed)
		if (!step(w) || w->now > end)
			sim_fail(w, "host %u: %s is left when all is over", host, left);
}

static int make(struct sim_world *w)
{
	struct sim_rng r = {.state = w->opt->seed ^ 0x5851f42d4c957f2dull};
	int err;

	w->now = w->plan.begin;
	w->track = sim_track_create(w, sim_draw(&r));
	err = w->track ? make_wire(w) : -ENOMEM;
	for (unsigned i = 0; i < w->plan.nr_hosts && !err; i++)
		err = make_host(w, i, &r);
	if (!err)
		err = sim_foe_create(w, sim_draw(&r));
	return err ? err : sim_flows_start(w);
}

static int run(struct sim_world *w)
{
	int err = make(w);

	if (!err)
		live(w);
	if (!err && !w->res->failed) {
		sim_flows_check(w);
		err = sim_flows_stop(w);
	}
	if (!err && !w->res->failed)
		drain(w);
	if (err) {
		(void)snprintf(w->res->what, sizeof(w->res->what), "the world cannot be made: %s",
			       strerror(-err));
		return err;
	}
	if (!w->res->failed)
		w->res->at = sim_since(w);
	for (unsigned i = 0; i < w->nr_hosts; i++)
		sum_host(w->res, &w->host[i]);
	return 0;
}

int sim_run(const struct sim_options *opt, struct sim_result *ret)
{
	struct sim_world *w = calloc(1, sizeof(*w));
	int err, closed;

	*ret = (struct sim_result){0};
	if (!w)
		return -ENOMEM;
	w->opt = opt;
	w->res = ret;
	sim_plan_draw(&w->plan, opt->seed, opt->hostile);
	if (opt->verbose)
		sim_plan_print(&w->plan, opt->verbose);
	err = pcap_open(w);
	if (!err) {
		err = run(w);
		unmake(w);
	}
	closed = pcap_close(w);
	if (!ret->failed)
		free(w);
	return err ? err : closed;
}
