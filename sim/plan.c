/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that chance decides before a world begins: hosts, links, weather, programs. Faults end
 * at `heal`, within 28 s: so nothing gives up before it had a try on good links (the last SYN-ACK
 * leaves after 31 s, an orphan's last retransmission after 51 s at the soonest), and each
 * connection that nobody aborts must reach its end whatever happened to it.
 */
#include <inttypes.h>
#include <string.h>

#include "sim/sim_int.h"
#include "stack/settings.h"

#define MS NSEC_PER_MSEC

#define HEAL_MAX     (28 * NSEC_PER_SEC)
#define RTO_MIN_US   200000u
#define BYTES_SMALL  2000u
#define BYTES_BULK   (2048u << 10)
#define BYTES_FLOW   (192u << 10)         /* the most that one direction of a flow carries */
#define BYTES_WORLD  (2048u << 10)        /* of all flows */
#define CALLS_MAX    400u                 /* reads or writes of one direction, about */
#define DIAL_MAX     (400 * NSEC_PER_SEC) /* three of them, with all their SYNs */
#define QUEUE_FRAMES SIM_FLOWS_MAX
#define MTU_LEAST    552u                 /* min_pmtu: a router with less is not believed */
#define HOLE_TIME    (400 * NSEC_PER_SEC) /* until a black hole is found and measured by RTOs */
#define FOE_CHANCE   0.15
#define THINK_MAX    (8 * NSEC_PER_SEC) /* of one direction in all, about */

#define OFF_CHANCE 0.1 /* of a world where devices refuse */

/* Which kinds of bad weather a world has. */
struct weather {
	bool loss, burst, reorder, dup, corrupt, jitter, mark, cuts, changes, mtu, pauses, nomem,
		small, harsh;
};

static void draw_weather(struct weather *x, struct sim_rng *r)
{
	*x = (struct weather){0};
	if (sim_chance(r, 0.15))
		return;
	x->loss = sim_chance(r, 0.4);
	x->burst = sim_chance(r, 0.15);
	x->reorder = sim_chance(r, 0.3);
	x->dup = sim_chance(r, 0.2);
	x->corrupt = sim_chance(r, 0.15);
	x->jitter = sim_chance(r, 0.3);
	x->mark = sim_chance(r, 0.15);
	x->cuts = sim_chance(r, 0.2);
	x->changes = sim_chance(r, 0.2);
	x->mtu = sim_chance(r, 0.15);
	x->pauses = sim_chance(r, 0.2);
	x->nomem = sim_chance(r, 0.2);
	x->small = sim_chance(r, 0.25);
	x->harsh = sim_chance(r, 0.05);
}

static void draw_path(const struct sim_plan *p, const struct weather *x, struct sim_rng *r,
		      struct wire_path *ret)
{
	uint32_t frame = p->mtu + ETH_HLEN;

	*ret = (struct wire_path){.delay = sim_spread(r, 1000, 200 * MS)};
	if (sim_chance(r, 0.6)) {
		ret->rate = sim_spread(r, 1000000, 10000000000ull);
		/* all SYNs at once, which come again all at once, must fit */
		if (sim_chance(r, 0.5))
			ret->queue_bytes =
				QUEUE_FRAMES * 80 + (uint32_t)sim_spread(r, frame, 2u << 20);
		else
			ret->queue_frames = (uint32_t)sim_spread(r, QUEUE_FRAMES, 4096);
	}
	if (x->jitter)
		ret->jitter = sim_between(r, 0, ret->delay);
	if (x->mark && ret->rate)
		ret->mark_bytes = (uint32_t)sim_spread(r, frame, 64u << 10);
	if (x->loss)
		ret->loss = x->harsh ? 0.3 : 1e-4 * (double)sim_spread(r, 1, 600);
	if (x->burst) {
		ret->burst_enter = 1e-4 * (double)sim_spread(r, 1, 200);
		ret->burst_leave = 1e-2 * (double)sim_between(r, 5, 50);
		ret->burst_loss = 1e-2 * (double)sim_between(r, 50, 100);
	}
	if (x->reorder) {
		ret->reorder = 1e-3 * (double)sim_spread(r, 1, 300);
		ret->reorder_ns = sim_spread(r, 10000, 100 * MS);
	}
	if (x->dup)
		ret->dup = 1e-3 * (double)sim_spread(r, 1, 200);
	if (x->corrupt)
		ret->corrupt = 1e-3 * (double)sim_spread(r, 1, 50);
	if (x->mtu && sim_chance(r, 0.7)) {
		ret->mtu = (uint16_t)sim_between(r, MTU_LEAST, p->mtu);
		ret->mtu_icmp = sim_chance(r, 0.6);
	}
}

/* ---- hosts ---- */

static void set(struct stack_config *cfg, const char *name, uint64_t value)
{
	const struct stack_setting *s = stack_setting_find(name);
	char text[80];

	if (!s)
		return;
	/* least, first and most: the middle one is what a socket begins with */
	if (s->nr == 3)
		(void)snprintf(text, sizeof(text), "4096 %" PRIu64 " %" PRIu64, value, 4 * value);
	else
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	(void)!stack_setting_set(s, cfg, text);
}

static void draw_stack(struct stack_config *cfg, struct sim_rng *r)
{
	stack_config_init(cfg);
	for (unsigned i = 0; i < sizeof(cfg->seed); i++)
		cfg->seed[i] = (uint8_t)sim_draw(r);
	cfg->max_socks = 512;
	cfg->max_tw = 1024;
	cfg->max_syn = 1024;
	cfg->max_neigh = 64;
	if (sim_chance(r, 0.4)) {
		set(cfg, "tcp_rmem", sim_spread(r, 8192, 1u << 20));
		set(cfg, "tcp_wmem", sim_spread(r, 8192, 1u << 20));
	}
	set(cfg, "tcp_sack", sim_chance(r, 0.85));
	set(cfg, "tcp_timestamps", sim_chance(r, 0.8));
	set(cfg, "tcp_window_scaling", sim_chance(r, 0.85));
	if (sim_chance(r, 0.2))
		set(cfg, "tcp_rto_min_us", sim_spread(r, RTO_MIN_US, 1000000));
	if (sim_chance(r, 0.2))
		set(cfg, "tcp_delack_max_us", sim_between(r, 0, 200000));
	if (sim_chance(r, 0.2))
		set(cfg, "tcp_timewait_len", sim_between(r, 5, 120));
}

/* Who is to get out of a black hole has to search; how eagerly, is chance. */
static void draw_search(struct stack_config *cfg, bool probing, struct sim_rng *r)
{
	set(cfg, "tcp_mtu_probing", sim_between(r, probing, 2));
	if (sim_chance(r, 0.3))
		set(cfg, "tcp_base_mss", sim_between(r, 256, 1400));
	if (sim_chance(r, 0.3))
		set(cfg, "tcp_probe_interval", sim_between(r, 1, 60));
	if (sim_chance(r, 0.3))
		set(cfg, "mtu_expires", sim_between(r, 1, 60));
}

static void draw_host(struct sim_host_plan *h, const struct sim_plan *p, const struct weather *x,
		      struct sim_rng *r)
{
	*h = (struct sim_host_plan){
		.turn_ns = sim_spread(r, 500, sim_chance(r, 0.2) ? 1000000 : 20000),
		.nr_skbs = x->small ? (uint32_t)sim_spread(r, 512, 2048) : 8192,
		.backlog = sim_chance(r, 0.15) ? (int)sim_spread(r, 1, 16) : 512,
		.accept_think = sim_chance(r, 0.2) ? sim_spread(r, 1000, 100 * MS) : 0,
	};
	/* a frame of 9000 bytes takes five buffers */
	if (p->mtu > 2000)
		h->nr_skbs *= 2;
	draw_stack(&h->stack, r);
	if (x->mtu)
		draw_search(&h->stack, p->probing, r);
}

/* ---- programs ---- */

static void draw_habit(struct sim_habit *h, const struct sim_flow_plan *f, unsigned side,
		       struct sim_rng *r)
{
	uint32_t out = f->bytes[side], in = f->bytes[!side];
	uint64_t calls;

	*h = (struct sim_habit){
		.end = sim_chance(r, 0.55) ? SIM_END_SHUT : SIM_END_CLOSE,
		.write_max = (uint32_t)sim_spread(r, 1 + out / CALLS_MAX, 16384),
		.read_max = (uint32_t)sim_spread(r, 1 + in / CALLS_MAX, 16384),
	};
	if (sim_chance(r, 0.15)) {
		h->end = SIM_END_ABORT;
		h->abort_at = sim_between(r, 0, (uint64_t)out + in);
	}
	if (sim_chance(r, 0.3)) {
		h->think_chance = 1e-2 * (double)sim_spread(r, 1, 100);
		calls = 2 + 2 * out / h->write_max + 2 * in / h->read_max;
		h->think = min_t(uint64_t, sim_spread(r, 1000, 3 * NSEC_PER_SEC),
				 (uint64_t)((double)THINK_MAX / (double)calls / h->think_chance));
	}
	if (sim_chance(r, 0.2))
		h->turns = 1e-2 * (double)sim_spread(r, 1, 50);
	h->own_cc = sim_chance(r, 0.3);
	if (sim_chance(r, 0.2))
		h->late = 1e-2 * (double)sim_spread(r, 1, 50);
}

static uint32_t draw_size(struct sim_rng *r, uint32_t max)
{
	return sim_chance(r, 0.15) ? 0 : (uint32_t)sim_spread(r, 1, max);
}

static uint64_t draw_flow(struct sim_flow_plan *f, const struct sim_plan *p, uint32_t max,
			  struct sim_rng *r)
{
	*f = (struct sim_flow_plan){
		.client = (uint8_t)sim_between(r, 0, p->nr_hosts - 1),
		.server = (uint8_t)sim_between(r, 0, p->nr_hosts - 1),
		.style = sim_chance(r, 0.3) ? SIM_ASK : SIM_STREAM,
		.rounds = (uint8_t)sim_spread(r, 1, 60),
		.start = sim_chance(r, 0.7) ? sim_spread(r, 1000, 200 * MS)
					    : sim_spread(r, 1000, 20 * NSEC_PER_SEC),
		.patience = sim_chance(r, 0.1) ? sim_spread(r, 1000, 3 * NSEC_PER_SEC) : 0,
		.bytes = {draw_size(r, max), draw_size(r, max)},
		.seed = sim_draw(r),
	};
	/* to itself only now and then: that way no wire is met */
	if (f->server == f->client && sim_chance(r, 0.9))
		f->server = (uint8_t)((f->client + 1) % p->nr_hosts);
	for (unsigned side = 0; side < 2; side++)
		draw_habit(&f->habit[side], f, side, r);
	return (uint64_t)f->bytes[0] + f->bytes[1];
}

static void draw_flows(struct sim_plan *p, struct sim_rng *r)
{
	bool many = sim_chance(r, 0.3), bulk = sim_chance(r, 0.15);
	unsigned nr = (unsigned)sim_spread(r, 1, many ? SIM_FLOWS_MAX : 24);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < nr && bytes < BYTES_WORLD; i++) {
		uint32_t max = many || sim_chance(r, 0.5) ? BYTES_SMALL
			       : bulk                     ? BYTES_BULK
							  : BYTES_FLOW;

		bytes += draw_flow(&p->flow[i], p, max, r);
		p->nr_flows++;
	}
}

/* ---- what happens on the way ---- */

static void add_event(struct sim_plan *p, const struct sim_event *ev)
{
	unsigned i = p->nr_events;

	if (p->nr_events >= SIM_EVENTS_MAX - 1 && ev->kind != SIM_EV_HEAL)
		return;
	/* by time; equal ones in the order of drawing */
	for (; i && p->event[i - 1].at > ev->at; i--)
		p->event[i] = p->event[i - 1];
	p->event[i] = *ev;
	p->nr_events++;
}

/* A cut of both directions, and what was there before it again. */
static void draw_cut(struct sim_plan *p, struct sim_rng *r)
{
	uint64_t at = sim_spread(r, 1000, p->heal - 1), len = sim_spread(r, 1000, p->heal);
	bool oneway = sim_chance(r, 0.3);
	uint8_t link = (uint8_t)sim_between(r, 0, p->nr_links - 1);

	for (unsigned back = 0; back <= !oneway; back++) {
		struct sim_event ev = {.at = at,
				       .kind = SIM_EV_PATH,
				       .host = link,
				       .back = back,
				       .path = p->path[link][back]};

		ev.path.cut = true;
		add_event(p, &ev);
		ev.at = min_t(uint64_t, at + len, p->heal - 1);
		ev.path.cut = false;
		add_event(p, &ev);
	}
}

static void draw_events(struct sim_plan *p, const struct weather *x, struct sim_rng *r)
{
	struct sim_event ev;

	for (unsigned n = x->cuts ? (unsigned)sim_between(r, 1, 3) : 0; n; n--)
		draw_cut(p, r);
	for (unsigned n = x->changes || x->mtu ? (unsigned)sim_between(r, 1, 4) : 0; n; n--) {
		ev = (struct sim_event){.at = sim_spread(r, 1000, p->heal - 1),
					.kind = SIM_EV_PATH,
					.host = (uint8_t)sim_between(r, 0, p->nr_links - 1),
					.back = sim_chance(r, 0.5)};
		draw_path(p, x, r, &ev.path);
		add_event(p, &ev);
	}
	for (unsigned n = x->pauses ? (unsigned)sim_between(r, 1, 4) : 0; n; n--) {
		ev = (struct sim_event){.at = sim_spread(r, 1000, p->heal - 1),
					.len = sim_spread(r, 10000, 2 * NSEC_PER_SEC),
					.kind = SIM_EV_PAUSE,
					.host = (uint8_t)sim_between(r, 0, p->nr_hosts - 1)};
		add_event(p, &ev);
	}
	for (unsigned n = x->nomem ? (unsigned)sim_between(r, 1, 3) : 0; n; n--) {
		ev = (struct sim_event){.at = sim_spread(r, 1000, p->heal - 1),
					.kind = SIM_EV_NOMEM,
					.host = (uint8_t)sim_between(r, 0, p->nr_hosts - 1),
					.chance = 1e-2 * (double)sim_spread(r, 1, 100)};
		add_event(p, &ev);
		ev.at = min_t(uint64_t, ev.at + sim_spread(r, 10000, 5 * NSEC_PER_SEC),
			      p->heal - 1);
		ev.chance = 0;
		add_event(p, &ev);
	}
	add_event(p, &(struct sim_event){.at = p->heal, .kind = SIM_EV_HEAL});
}

/* draw_off - devices that refuse for a while. Of numbers of its own, so that the seeds of before
 * have the same worlds but for this. */
static void draw_off(struct sim_plan *p, uint64_t seed)
{
	struct sim_rng r = {.state = ~seed};

	(void)sim_draw(&r);
	/* who stretches frames knows the windows that the wire saw, not one that a device
	 * refused */
	if (!sim_chance(&r, OFF_CHANCE) || p->stretch)
		return;
	for (unsigned n = (unsigned)sim_between(&r, 1, 3); n; n--) {
		struct sim_event ev = {.at = sim_spread(&r, 1000, p->heal - 1),
				       .kind = SIM_EV_OFF,
				       .host = (uint8_t)sim_between(&r, 0, p->nr_hosts - 1),
				       .chance = 1};

		add_event(p, &ev);
		ev.at = min_t(uint64_t, ev.at + sim_spread(&r, 10000, 20 * NSEC_PER_SEC),
			      p->heal - 1);
		ev.chance = 0;
		add_event(p, &ev);
	}
}

/* The slowest link carries all of it several times, and everybody takes his time. */
static void draw_bound(struct sim_plan *p)
{
	unsigned hops = p->nr_links == 1 ? 1 : 2 + p->bottleneck, rounds = 0;
	uint64_t slowest = 10000000000ull, delay = 0, bytes = 0, rtt;

	for (unsigned i = 0; i < p->nr_links * 2; i++) {
		const struct wire_path *path = &p->path[i / 2][i % 2];

		if (path->rate)
			slowest = min_t(uint64_t, slowest, path->rate);
		delay = max_t(uint64_t, delay, path->delay + path->jitter);
	}
	for (unsigned i = 0; i < p->nr_events; i++) {
		const struct wire_path *path = &p->event[i].path;

		if (p->event[i].kind != SIM_EV_PATH)
			continue;
		if (path->rate)
			slowest = min_t(uint64_t, slowest, path->rate);
		delay = max_t(uint64_t, delay, path->delay + path->jitter);
	}
	for (unsigned i = 0; i < p->nr_flows; i++) {
		bytes += p->flow[i].bytes[0] + p->flow[i].bytes[1];
		if (p->flow[i].style == SIM_ASK)
			rounds = max_t(unsigned, rounds, p->flow[i].rounds);
	}
	for (unsigned i = 0; i < p->nr_hosts; i++)
		if (p->host[i].backlog < (int)SIM_FLOWS_MAX || sim_foe_floods(p, i))
			p->bound = DIAL_MAX;
	if (p->probing)
		p->bound += HOLE_TIME;
	p->bound += 150 * NSEC_PER_SEC + bytes * 8 * 10 * NSEC_PER_SEC / slowest;
	/* each round may begin with a small window, both ways */
	rtt = 2 * hops * delay;
	p->bound += (150 + 12ull * rounds) * rtt;
}

/* draw_foe - from a sequence of its own: what else a seed draws is the same with it and without. */
static void draw_foe(struct sim_plan *p, uint64_t seed, unsigned hostile)
{
	struct sim_rng r = {.state = seed ^ 0x2545f4914f6cdd1dull};
	unsigned rows = 0;

	(void)sim_draw(&r);
	while (sim_hostile_name(rows + 1, NULL))
		rows++;
	if (hostile == SIM_HOSTILE_ANY)
		p->foe = 1 + (unsigned)(seed % rows);
	else if (hostile != SIM_HOSTILE_DRAWN)
		p->foe = hostile;
	else if (sim_chance(&r, FOE_CHANCE))
		p->foe = (unsigned)sim_between(&r, 1, rows);
	if (!p->foe)
		return;
	p->foe_prey = (unsigned)sim_between(&r, 0, p->nr_hosts - 1);
	p->foe_start = sim_spread(&r, MS, 5 * NSEC_PER_SEC);
	p->stretch = false;
	sim_foe_shape(p, &r);
}

void sim_plan_draw(struct sim_plan *p, uint64_t seed, unsigned hostile)
{
	struct sim_rng r = {.state = seed};
	struct weather x;

	memset(p, 0, sizeof(*p));
	(void)sim_draw(&r);
	draw_weather(&x, &r);
	p->nr_hosts = sim_chance(&r, 0.6) ? 2 : (unsigned)sim_between(&r, 3, SIM_HOSTS_MAX);
	p->bottleneck = sim_chance(&r, 0.2);
	p->nr_links = p->nr_hosts == 2 && !p->bottleneck ? 1 : p->nr_hosts + p->bottleneck;
	p->stretch = sim_chance(&r, 0.2);
	p->begin = sim_spread(&r, NSEC_PER_SEC, 1000000 * NSEC_PER_SEC);
	p->heal = sim_spread(&r, 10 * MS, HEAL_MAX);
	p->mtu = sim_chance(&r, 0.75) ? 1500 : (uint16_t)sim_between(&r, 576, 9000);
	p->probing = x.mtu && sim_chance(&r, 0.6);
	p->wire_seed = sim_draw(&r);
	for (unsigned i = 0; i < p->nr_links; i++)
		for (unsigned back = 0; back < 2; back++)
			draw_path(p, &x, &r, &p->path[i][back]);
	for (unsigned i = 0; i < p->nr_hosts; i++)
		draw_host(&p->host[i], p, &x, &r);
	draw_flows(p, &r);
	draw_events(p, &x, &r);
	draw_off(p, seed);
	draw_foe(p, seed, hostile);
	draw_bound(p);
}

/* ---- the verbose log ---- */

static void print_path(FILE *f, const struct wire_path *p)
{
	if (p->rate)
		fprintf(f, "rate %.6g Mbit/s", (double)p->rate / 1e6);
	else
		fprintf(f, "rate unlimited");
	fprintf(f, " delay %.6g ms", (double)p->delay / 1e6);
	if (p->jitter)
		fprintf(f, " jitter %.6g ms", (double)p->jitter / 1e6);
	if (p->queue_bytes || p->queue_frames)
		fprintf(f, " queue %u %s", p->queue_bytes ? p->queue_bytes : p->queue_frames,
			p->queue_bytes ? "bytes" : "frames");
	if (p->mark_bytes)
		fprintf(f, " mark %u bytes", p->mark_bytes);
	if (p->loss > 0)
		fprintf(f, " loss %g", p->loss);
	if (p->burst_enter > 0)
		fprintf(f, " burst %g/%g/%g", p->burst_enter, p->burst_leave, p->burst_loss);
	if (p->reorder > 0)
		fprintf(f, " reorder %g by %.6g ms", p->reorder, (double)p->reorder_ns / 1e6);
	if (p->dup > 0)
		fprintf(f, " dup %g", p->dup);
	if (p->corrupt > 0)
		fprintf(f, " corrupt %g", p->corrupt);
	if (p->mtu)
		fprintf(f, " mtu %u%s", p->mtu, p->mtu_icmp ? " told" : "");
	fprintf(f, "%s\n", p->cut ? " cut" : "");
}

static void print_host(FILE *f, unsigned i, const struct sim_host_plan *h)
{
	fprintf(f, "host %u: turn %" PRIu64 " ns, %u buffers, backlog %d, accepts after %.6g ms;",
		i, h->turn_ns, h->nr_skbs, h->backlog, (double)h->accept_think / 1e6);
	for (unsigned k = 0; k < stack_settings_nr; k++) {
		char mine[80], usual[80];

		(void)stack_setting_format(&stack_settings[k], &h->stack, mine, sizeof(mine));
		(void)stack_setting_format(&stack_settings[k], NULL, usual, sizeof(usual));
		if (strcmp(mine, usual))
			fprintf(f, " %s=%s", stack_settings[k].name, mine);
	}
	fputc('\n', f);
}

static void print_flow(FILE *f, unsigned i, const struct sim_flow_plan *p)
{
	static const char *const ends[] = {"shut", "close", "abort"};

	fprintf(f, "flow %u: host %u to %u at %.6g ms, %s", i, p->client, p->server,
		(double)p->start / 1e6, p->style == SIM_ASK ? "ask" : "stream");
	if (p->style == SIM_ASK)
		fprintf(f, " %u rounds", p->rounds);
	if (p->patience)
		fprintf(f, ", dials for %.6g ms", (double)p->patience / 1e6);
	for (unsigned s = 0; s < 2; s++) {
		const struct sim_habit *h = &p->habit[s];

		fprintf(f,
			"; %s sends %u by %u, reads by %u, thinks %.6g ms (%g), late %g, turns %g, "
			"%s",
			s ? "server" : "client", p->bytes[s], h->write_max, h->read_max,
			(double)h->think / 1e6, h->think_chance, h->late, h->turns, ends[h->end]);
		if (h->end == SIM_END_ABORT)
			fprintf(f, " at %" PRIu64, h->abort_at);
	}
	fputc('\n', f);
}

void sim_plan_print(const struct sim_plan *p, FILE *f)
{
	static const char *const kinds[] = {"path", "pause", "nomem", "off", "heal"};

	fprintf(f, "%u hosts%s, mtu %u, heal at %.6g ms, all over %.6g s later%s%s\n", p->nr_hosts,
		p->bottleneck ? " on two switches" : "", p->mtu, (double)p->heal / 1e6,
		(double)p->bound / 1e9, p->stretch ? ", stretched frames" : "",
		p->probing ? ", black holes stay" : "");
	if (p->foe) {
		const char *what, *name = sim_hostile_name(p->foe, &what);

		fprintf(f, "hostile host: %s (%s) against host %u at %.6g ms\n", name, what,
			p->foe_prey, (double)p->foe_start / 1e6);
	}
	for (unsigned i = 0; i < p->nr_hosts; i++)
		print_host(f, i, &p->host[i]);
	for (unsigned i = 0; i < p->nr_links * 2; i++) {
		fprintf(f, "link %u %s: ", i / 2, i % 2 ? "back" : "forth");
		print_path(f, &p->path[i / 2][i % 2]);
	}
	for (unsigned i = 0; i < p->nr_flows; i++)
		print_flow(f, i, &p->flow[i]);
	for (unsigned i = 0; i < p->nr_events; i++) {
		const struct sim_event *ev = &p->event[i];

		fprintf(f, "event at %.6g ms: %s %u", (double)ev->at / 1e6, kinds[ev->kind],
			ev->host);
		if (ev->kind == SIM_EV_PATH) {
			fprintf(f, " %s: ", ev->back ? "back" : "forth");
			print_path(f, &ev->path);
		} else {
			fprintf(f, " %.6g ms, chance %g\n", (double)ev->len / 1e6, ev->chance);
		}
	}
}
