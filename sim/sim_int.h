/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the simulator: what is drawn from the seed, hosts, flows, and the world that has them. */
#ifndef SIM_SIM_INT_H
#define SIM_SIM_INT_H

#include <parklane/conn.h>
#include <parklane/sync.h>

#include "drivers/wire.h"
#include "sim/sim.h"
#include "stack/base/clock.h"
#include "stack/base/compiler.h"
#include "stack/stack.h"

struct lane;
struct netpoll_backend;
struct sim_track;
struct sim_foe;
struct foe_guest;

/* ---- chance ---- */

struct sim_rng {
	uint64_t state;
};

/* sim_draw - SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t sim_draw(struct sim_rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* sim_between - uniform, lo to hi. */
static inline uint64_t sim_between(struct sim_rng *r, uint64_t lo, uint64_t hi)
{
	return lo + sim_draw(r) % (hi - lo + 1);
}

static inline bool sim_chance(struct sim_rng *r, double p)
{
	return (double)(sim_draw(r) >> 11) * 0x1p-53 < p;
}

/* sim_spread - lo to hi, each power of two about as likely as any other. lo > 0. */
static inline uint64_t sim_spread(struct sim_rng *r, uint64_t lo, uint64_t hi)
{
	int a = 63 - __builtin_clzll(lo), b = 63 - __builtin_clzll(hi);
	uint64_t bit = 1ull << sim_between(r, (uint64_t)a, (uint64_t)b);
	uint64_t v = bit + sim_draw(r) % bit;

	return v < lo ? lo : v > hi ? hi : v;
}

/* ---- what is drawn before anything runs ---- */

#define SIM_HOSTS_MAX  6u
#define SIM_FLOWS_MAX  64u
#define SIM_EVENTS_MAX 24u

enum sim_style {
	SIM_STREAM, /* both directions at once, a goroutine for each */
	SIM_ASK,    /* request and answer in turn, one goroutine */
};

enum sim_end {
	SIM_END_SHUT,  /* half close after the last byte, read to the end, close */
	SIM_END_CLOSE, /* close once all is sent and all is read */
	SIM_END_ABORT, /* close somewhere in the middle, whatever is unread */
};

/* What one end of a flow does. */
struct sim_habit {
	uint8_t end;         /* enum sim_end */
	uint32_t write_max;  /* bytes per call, 1 to so many */
	uint32_t read_max;   /* likewise */
	uint64_t think;      /* ns: sleeps 0 to so long now and then; 0 = never */
	double think_chance; /* before a call */
	double late;         /* chance of a deadline that is too short for a call */
	double turns;        /* chance before a write of another socket option */
	bool own_cc;         /* chooses its congestion control */
	uint64_t abort_at;   /* bytes sent and read in all, after which SIM_END_ABORT happens */
};

struct sim_flow_plan {
	uint8_t client, server; /* hosts */
	uint8_t style;          /* enum sim_style */
	uint8_t rounds;         /* of SIM_ASK */
	uint64_t start;         /* ns after the beginning */
	uint64_t patience;      /* ns for the dial; 0 = as long as TCP tries */
	uint32_t bytes[2];      /* client to server, and back */
	struct sim_habit habit[2];
	uint64_t seed;
};

enum sim_event_kind {
	SIM_EV_PATH,  /* a link gets other words */
	SIM_EV_PAUSE, /* a host does not run for a while */
	SIM_EV_NOMEM, /* a host's buffers come with luck only */
	SIM_EV_OFF,   /* a host's device refuses what is sent (netdev.tx_off), or takes it again */
	SIM_EV_HEAL,  /* all faults end */
};

struct sim_event {
	uint64_t at, len; /* ns after the beginning; of a pause */
	uint8_t kind;     /* enum sim_event_kind */
	uint8_t host;     /* or link */
	bool back;
	double chance; /* of no buffers; of a device that refuses: 1, or 0 */
	struct wire_path path;
};

struct sim_host_plan {
	uint64_t turn_ns; /* what a turn takes at least */
	uint32_t nr_skbs;
	int backlog;
	uint64_t accept_think; /* ns before each accept; 0 none */
	struct stack_config stack;
};

struct sim_plan {
	unsigned nr_hosts, nr_links, nr_flows, nr_events;
	bool bottleneck;    /* two switches with a link between, instead of one */
	bool probing;       /* every host searches its path's MTU: black holes stay (RFC 4821) */
	bool stretch;       /* somebody writes beyond the peer's window (track.c) */
	unsigned foe;       /* row of the hostile host (foe.h), from 1; 0 none */
	unsigned foe_prey;  /* the host whose plug it sits at */
	uint64_t foe_start; /* ns after the beginning */
	uint64_t begin;     /* ns: the clock's first value */
	uint64_t heal;      /* ns after it: no more faults */
	uint64_t bound;     /* ns after heal by which all flows must have ended */
	uint16_t mtu;
	uint64_t wire_seed;
	struct sim_host_plan host[SIM_HOSTS_MAX];
	struct wire_path path[SIM_HOSTS_MAX + 1][2];
	struct sim_flow_plan flow[SIM_FLOWS_MAX];
	struct sim_event event[SIM_EVENTS_MAX];
};

/* ---- the world ---- */

struct sim_world;

struct sim_host {
	struct sim_world *w;
	unsigned index;
	const struct sim_host_plan *plan;
	uint32_t ip;           /* network order */
	struct skb_pool *pool; /* with the moods of pool.c */
	struct netdev *dev;
	struct stack *st;
	struct lane *lane;
	struct netpoll_backend *nb;
	struct pl_conn *listener;
	bool stopping;
	uint64_t last;  /* ns of its last turn */
	uint64_t due;   /* ns of the next one that it asked for; 0 none */
	uint64_t pause; /* ns until which it does not run */
	uint64_t naps;  /* turns for timers alone, since anything happened */
};

/* One end of a flow. */
struct sim_side {
	struct sim_flow *f;
	bool server;
	struct pl_conn *c;
	struct sim_rng rng;
	uint64_t sent, rcvd; /* bytes of payload taken by pl_write, given by pl_read */
	int rerr, werr;      /* -errno that ended reading, writing; 0 none */
	bool started, done;
	bool eof;     /* the reader met the end of the stream */
	bool aborted; /* closed by itself before its time */
	struct pl_wait_group readers;
};

struct sim_flow {
	struct sim_world *w;
	const struct sim_flow_plan *plan;
	uint32_t id;
	int dial_err; /* of the last try */
	struct sim_side side[2];
};

struct sim_world {
	struct sim_plan plan;
	const struct sim_options *opt;
	struct sim_result *res;
	uint64_t now;
	struct wire *wire;
	unsigned nr_hosts; /* that were made */
	struct sim_host host[SIM_HOSTS_MAX];
	struct sim_flow flow[SIM_FLOWS_MAX];
	unsigned next_event;
	bool healed; /* all faults are over */
	struct sim_track *track;
	struct sim_foe *foe; /* NULL none */
	FILE *pcap;
};

/* sim_fail - the world ends here; only the first counts. */
void sim_fail(struct sim_world *w, const char *fmt, ...) PRINTF_FMT(2, 3);
/* sim_say - a line of the verbose log, with the time in front. */
void sim_say(const struct sim_world *w, const char *fmt, ...) PRINTF_FMT(2, 3);

/* sim_clock - of all lanes; ctx is the world. */
uint64_t sim_clock(void *ctx);
/* sim_foe_sends - the hostile host's frame, for the capture and the track. */
void sim_foe_sends(struct sim_world *w, uint8_t *frame, unsigned len);

static inline uint64_t sim_since(const struct sim_world *w)
{
	return w->now - w->plan.begin;
}

/* ---- plan.c ---- */
/* hostile: as of struct sim_options. */
void sim_plan_draw(struct sim_plan *p, uint64_t seed, unsigned hostile);
void sim_plan_print(const struct sim_plan *p, FILE *f);

/* ---- bytes.c ---- */
/* sim_bytes_fill - n bytes of the stream of `seed`, from its byte `pos` on. */
void sim_bytes_fill(uint64_t seed, uint64_t pos, uint8_t *buf, size_t n);
/* sim_bytes_verify - the first wrong byte's place in buf, n if all are right. */
size_t sim_bytes_verify(uint64_t seed, uint64_t pos, const uint8_t *buf, size_t n);

/* ---- pool.c ---- */
/* sim_pool_create - heap skbs that fail to come with a chance that can be set. NULL no memory. */
struct skb_pool *sim_pool_create(uint32_t nr, uint64_t seed);
void sim_pool_mood(struct skb_pool *pool, double chance);
/* sim_pool_missing - buffers that are not in the pool. */
uint32_t sim_pool_missing(const struct skb_pool *pool);

/* ---- flow.c ---- */
/* sim_flows_start - all goroutines of the programs. 0; -ENOMEM. */
MUST_USE int sim_flows_start(struct sim_world *w);
/* sim_flows_over - all flows are at their end. */
bool sim_flows_over(const struct sim_world *w);
/* sim_flows_stop - the listeners close. 0; -ENOMEM. */
MUST_USE int sim_flows_stop(struct sim_world *w);
/* sim_flows_check - once all have ended: did each end learn what it had to? */
void sim_flows_check(struct sim_world *w);
/* sim_flows_stuck - fail for one that has not ended; resets: also of those to which one may
 * come. */
void sim_flows_stuck(struct sim_world *w, bool resets);

/* ---- option.c ---- */
/* sim_option_turn - one of the socket's options gets another value. */
void sim_option_turn(struct sim_side *s);
/* sim_option_begin - another congestion control; sim_option_abort - perhaps close is to reset. */
void sim_option_begin(struct sim_side *s);
void sim_option_abort(struct sim_side *s);
/* sim_option_reset - the close of c is to reset. */
void sim_option_reset(struct pl_conn *c);

/* ---- check.c ---- */
/* sim_check_turn - the invariants of h after its turn. */
void sim_check_turn(struct sim_host *h);
/* sim_check_tell - h's sockets for the verbose log. */
void sim_check_tell(struct sim_host *h);
/* sim_check_empty - is nothing left of any connection? NULL, or what is. */
const char *sim_check_empty(struct sim_host *h);

/* ---- track.c ---- */
/* sim_track_create - looks at every frame that enters the wire. NULL no memory. */
struct sim_track *sim_track_create(struct sim_world *w, uint64_t seed);
void sim_track_destroy(struct sim_track *t);
/* sim_track_sent - a frame that a host sends. */
void sim_track_sent(struct sim_track *t, uint8_t *frame, unsigned len);
/* sim_track_comes - a frame that comes to the host of st, where none waits: it may be stretched, up
 * to `room`; returns its length. */
unsigned sim_track_comes(struct sim_track *t, const struct stack *st, uint8_t *frame, unsigned len,
			 unsigned room);
/* sim_track_foe - a frame of the hostile host, which keeps no rule. */
void sim_track_foe(struct sim_track *t, uint8_t *frame, unsigned len);

/* ---- foe.c: the hostile host; NULL is none ---- */
/* sim_foe_shape - what its row wants of the world. */
void sim_foe_shape(struct sim_plan *p, struct sim_rng *r);
/* sim_foe_create - w->foe, if the plan has one. 0; -ENOMEM. */
MUST_USE int sim_foe_create(struct sim_world *w, uint64_t seed);
void sim_foe_destroy(struct sim_foe *f);
/* sim_foe_due - ns of the turn that it wants; 0 none. */
uint64_t sim_foe_due(const struct sim_foe *f);
void sim_foe_turn(struct sim_foe *f);
/* sim_foe_over - its script has ended. */
bool sim_foe_over(const struct sim_foe *f);
/* sim_foe_sees - a frame enters the network at `end`. True: it is for the foe, and goes no
 * further. */
bool sim_foe_sees(struct sim_foe *f, int end, uint8_t *frame, unsigned len);
/* sim_foe_holds - h's listener is to accept nobody for now. */
bool sim_foe_holds(const struct sim_host *h);
/* sim_foe_floods - new connections to `host` may end as those to any host under a flood. */
bool sim_foe_floods(const struct sim_plan *p, unsigned host);

/* ---- prey.c ---- */
/* sim_prey_serve - all of c, in the caller's goroutine, if it is the foe's: false, it is not. */
bool sim_prey_serve(struct sim_foe *f, struct pl_conn *c);
/* sim_prey_dial - the prey dials f->dialed. 0; -ENOMEM. */
MUST_USE int sim_prey_dial(struct sim_foe *f);
/* sim_prey_seed - of the bytes to the prey; plus 1: of those that it sends. */
uint64_t sim_prey_seed(const struct sim_foe *f, const struct foe_guest *g);

#endif
