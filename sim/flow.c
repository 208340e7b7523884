/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the hosts' programs do: listeners that hand each connection to a goroutine, and flows that
 * dial, talk by their habits and end in their way. Every byte is a function of its flow, direction
 * and place; the four in front name the flow, so that the server's side knows its part.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "poller/lane.h"
#include "sim/sim_int.h"
#include "stack/addr.h"

#define PORT    7
#define HELLO   4u /* bytes in front */
#define BUF_MAX 16384u

/* A reset can get lost, and whoever only reads then never learns of it (RFC 9293 3.10.5 has no
 * acknowledgment for it): where one may come, a reader does not wait longer than this in all. */
#define READ_PATIENCE (400 * NSEC_PER_SEC)
#define DIAL_TRIES    400u

/* ---- one side ---- */

static const struct sim_habit *habit(const struct sim_side *s)
{
	return &s->f->plan->habit[s->server];
}

/*
 * may_reset - may a reset come to f? Where somebody aborts, of course; and where SYN cookies may
 * have to help out: of a connection that is not in the accept queue yet the second segment cannot
 * prove whose it is, and is reset, as it is by Linux.
 */
static bool may_reset(const struct sim_flow *f)
{
	const struct sim_plan *p = &f->w->plan;

	return f->plan->habit[0].end == SIM_END_ABORT || f->plan->habit[1].end == SIM_END_ABORT ||
	       p->host[f->plan->server].backlog < (int)SIM_FLOWS_MAX ||
	       sim_foe_floods(p, f->plan->server);
}

static uint32_t to_send(const struct sim_side *s)
{
	return s->f->plan->bytes[s->server];
}

static uint32_t to_read(const struct sim_side *s)
{
	return s->f->plan->bytes[!s->server];
}

static void think(struct sim_side *s)
{
	const struct sim_habit *h = habit(s);

	if (h->think && sim_chance(&s->rng, h->think_chance))
		(void)pl_sleep((int64_t)sim_between(&s->rng, 0, h->think));
}

static bool time_to_abort(struct sim_side *s)
{
	if (s->aborted)
		return true;
	if (habit(s)->end != SIM_END_ABORT || s->sent + s->rcvd < habit(s)->abort_at)
		return false;
	s->aborted = true;
	sim_option_abort(s);
	/* who is parked in another call comes back with -EBADF */
	(void)pl_close(s->c);
	return true;
}

static uint64_t soon(struct sim_side *s)
{
	return pl_now() + sim_spread(&s->rng, 1000, 50 * NSEC_PER_MSEC);
}

/* write_some - up to n bytes more. False: no more can be written. */
static bool write_some(struct sim_side *s, size_t n)
{
	bool late = sim_chance(&s->rng, habit(s)->late);
	uint8_t *buf = malloc(BUF_MAX);
	ssize_t w;

	if (!buf)
		return false;
	sim_bytes_fill(s->f->plan->seed + s->server, s->sent, buf, n);
	if (late)
		(void)pl_set_write_deadline(s->c, soon(s));
	w = pl_write(s->c, buf, n);
	free(buf);
	if (w > 0)
		s->sent += (uint64_t)w;
	if (late && !s->aborted && (w == -ETIME || w >= 0)) {
		(void)pl_set_write_deadline(s->c, 0);
		return true;
	}
	if (w < 0)
		s->werr = (int)w;
	return w >= 0;
}

static bool write_upto(struct sim_side *s, uint64_t end)
{
	while (s->sent < end) {
		uint64_t n = sim_between(&s->rng, 1, habit(s)->write_max);

		think(s);
		if (time_to_abort(s))
			return false;
		if (sim_chance(&s->rng, habit(s)->turns))
			sim_option_turn(s);
		if (!write_some(s, min_t(uint64_t, min_t(uint64_t, n, end - s->sent), BUF_MAX)))
			return false;
	}
	return true;
}

static void wrong_byte(struct sim_side *s, size_t at, uint8_t is)
{
	sim_fail(s->f->w, "flow %u, %s: byte %" PRIu64 " is 0x%02x, which nobody sent there",
		 s->f->id, s->server ? "server" : "client", s->rcvd + at, is);
}

/* take - n bytes came: each once, in order, and none that was not sent. */
static void take(struct sim_side *s, const uint8_t *buf, size_t n)
{
	size_t ok = sim_bytes_verify(s->f->plan->seed + !s->server, s->rcvd, buf, n);

	if (ok < n)
		wrong_byte(s, ok, buf[ok]);
	s->rcvd += n;
	s->f->w->res->bytes += n;
	/* what a write that is still parked has taken is counted when it returns: see
	 * check_side() */
	if (s->rcvd > to_read(s))
		sim_fail(s->f->w, "flow %u, %s: read %" PRIu64 " bytes where %u are sent", s->f->id,
			 s->server ? "server" : "client", s->rcvd, to_read(s));
}

/* read_some - False: nothing more can be read. */
static bool read_some(struct sim_side *s, size_t n, uint64_t until)
{
	bool late = sim_chance(&s->rng, habit(s)->late);
	uint8_t *buf = malloc(BUF_MAX);
	ssize_t got;

	if (!buf)
		return false;
	if (late || until)
		(void)pl_set_read_deadline(s->c, late ? soon(s) : until);
	got = pl_read(s->c, buf, n);
	if (got > 0)
		take(s, buf, (size_t)got);
	free(buf);
	if (late && !s->aborted && (got > 0 || got == -ETIME)) {
		(void)pl_set_read_deadline(s->c, until);
		return true;
	}
	if (got == 0)
		s->eof = true;
	if (got < 0)
		s->rerr = (int)got;
	return got > 0;
}

/* read_upto - until `end` bytes are there, or to the end of the stream. */
static bool read_upto(struct sim_side *s, uint64_t end)
{
	uint64_t until = may_reset(s->f) ? pl_now() + READ_PATIENCE : 0;

	while (s->rcvd < end) {
		uint64_t n = sim_between(&s->rng, 1, habit(s)->read_max);

		think(s);
		if (time_to_abort(s) || !read_some(s, min_t(uint64_t, n, BUF_MAX), until))
			return false;
	}
	return true;
}

static void read_all(struct sim_side *s)
{
	if (habit(s)->end == SIM_END_CLOSE) {
		(void)read_upto(s, to_read(s));
		return;
	}
	/* one more than can come: the end of the stream, or an error */
	(void)read_upto(s, UINT64_MAX);
}

static void g_reader(void *arg)
{
	struct sim_side *s = arg;

	read_all(s);
	(void)pl_wait_group_done(&s->readers);
}

static void run_stream(struct sim_side *s)
{
	(void)pl_wait_group_add(&s->readers, 1);
	if (pl_go(g_reader, s)) {
		sim_fail(s->f->w, "flow %u: no memory for a goroutine", s->f->id);
		return;
	}
	if (write_upto(s, to_send(s)) && !s->aborted && habit(s)->end == SIM_END_SHUT)
		(void)pl_shutdown(s->c, 1);
	(void)pl_wait_group_wait(&s->readers);
}

/* Both sides cut the bytes in as many pieces; the last one is the largest. */
static void run_ask(struct sim_side *s)
{
	unsigned rounds = s->f->plan->rounds;

	for (unsigned i = 1; i <= rounds; i++) {
		uint64_t out = i == rounds ? to_send(s) : (uint64_t)to_send(s) / rounds * i;
		uint64_t in = i == rounds ? to_read(s) : (uint64_t)to_read(s) / rounds * i;

		if (s->server ? !read_upto(s, in) || !write_upto(s, out)
			      : !write_upto(s, out) || !read_upto(s, in))
			return;
	}
	if (habit(s)->end == SIM_END_CLOSE)
		return;
	(void)pl_shutdown(s->c, 1);
	(void)read_upto(s, UINT64_MAX);
}

/* run_side - from the first byte to the close. */
static void run_side(struct sim_side *s, struct pl_conn *c)
{
	struct sim_world *w = s->f->w;

	s->c = c;
	s->started = true;
	if (habit(s)->own_cc)
		sim_option_begin(s);
	if (s->f->plan->style == SIM_ASK)
		run_ask(s);
	else
		run_stream(s);
	if (!s->aborted)
		(void)pl_close(c);
	s->done = true;
	sim_say(w,
		"flow %u: %s is done: sent %" PRIu64 " of %u, read %" PRIu64
		" of %u%s%s, errors %d %d",
		s->f->id, s->server ? "server" : "client", s->sent, to_send(s), s->rcvd, to_read(s),
		s->eof ? ", end" : "", s->aborted ? ", aborted" : "", s->werr, s->rerr);
}

/* ---- clients ---- */

static bool may_dial_again(const struct sim_flow *f, int err)
{
	/* no way to the neighbour yet, impatience, or a table that is full for now */
	if (err == -EHOSTUNREACH || err == -ETIME || err == -ENOBUFS || err == -EADDRNOTAVAIL ||
	    err == -ENOMEM)
		return true;
	/* SYNs that all come again at the same times find a short queue full each time */
	return err == -ETIMEDOUT && may_reset(f);
}

static int dial(struct sim_flow *f, struct sim_rng *r, struct pl_conn **ret_c)
{
	struct pl_addr a = {
		.family = PL_AF_INET, .port = PORT, .v4 = f->w->host[f->plan->server].ip};

	for (unsigned i = 0; i < DIAL_TRIES; i++) {
		/* after the heal it gets all the time */
		uint64_t until =
			f->plan->patience && !f->w->healed ? pl_now() + f->plan->patience : 0;

		f->dial_err = pl_dial(PL_NET_STACK, &a, until, ret_c);
		if (!f->dial_err || !may_dial_again(f, f->dial_err))
			break;
		sim_say(f->w, "flow %u: dial says %d", f->id, f->dial_err);
		(void)pl_sleep((int64_t)sim_spread(r, NSEC_PER_MSEC, NSEC_PER_SEC));
	}
	return f->dial_err;
}

static void g_client(void *arg)
{
	struct sim_flow *f = arg;
	struct sim_side *s = &f->side[0];
	uint8_t hello[HELLO] = {(uint8_t)(f->id >> 8), (uint8_t)f->id, 0xf1, 0x0e};
	struct pl_conn *c;
	ssize_t n;

	(void)pl_sleep((int64_t)f->plan->start);
	if (!dial(f, &s->rng, &c)) {
		n = pl_write(c, hello, HELLO);
		if (n == HELLO) {
			run_side(s, c);
		} else {
			s->werr = (int)(n < 0 ? n : -EPIPE);
			(void)pl_close(c);
		}
	}
	s->done = true;
}

/* ---- servers ---- */

struct guest {
	struct sim_world *w;
	struct pl_conn *c;
};

/* hello - which flow is this? NULL: it ended before it said. */
static struct sim_flow *hello(struct guest *g)
{
	uint8_t b[HELLO];
	size_t at = 0;

	/* a dial that was given up may have left half a connection */
	(void)pl_set_read_deadline(g->c, pl_now() + READ_PATIENCE);
	while (at < HELLO) {
		ssize_t n = pl_read(g->c, b + at, HELLO - at);

		if (n <= 0)
			return NULL;
		at += (size_t)n;
	}
	(void)pl_set_read_deadline(g->c, 0);
	at = (size_t)b[0] << 8 | b[1];
	/* a cookie knows no connection that was: an old first segment may begin it once more */
	if (at < g->w->plan.nr_flows && may_reset(&g->w->flow[at]) &&
	    (g->w->flow[at].side[1].started || g->w->flow[at].side[0].done))
		return NULL;
	if (at >= g->w->plan.nr_flows || b[2] != 0xf1 || b[3] != 0x0e ||
	    g->w->flow[at].side[1].started) {
		sim_fail(g->w, "a connection begins with %02x%02x%02x%02x, which nobody sent", b[0],
			 b[1], b[2], b[3]);
		return NULL;
	}
	return &g->w->flow[at];
}

static void g_server(void *arg)
{
	struct guest g = *(struct guest *)arg;
	struct sim_flow *f;

	free(arg);
	if (sim_prey_serve(g.w->foe, g.c))
		return;
	f = hello(&g);
	if (f) {
		run_side(&f->side[1], g.c);
		return;
	}
	/* not by a FIN, which somebody might take for the end of what a cookie began once more */
	sim_option_reset(g.c);
	(void)pl_close(g.c);
}

static void serve(struct sim_host *h, struct pl_conn *c)
{
	struct guest *g = malloc(sizeof(*g));

	if (g) {
		*g = (struct guest){.w = h->w, .c = c};
		if (!pl_go(g_server, g))
			return;
		free(g);
	}
	sim_fail(h->w, "host %u: no memory for a goroutine", h->index);
	(void)pl_close(c);
}

static void g_listener(void *arg)
{
	struct sim_host *h = arg;
	struct pl_addr a = {.family = PL_AF_INET, .port = PORT};
	struct pl_conn *c;
	int err;

	err = pl_listen(PL_NET_STACK, &a, h->plan->backlog, &h->listener);
	if (err) {
		sim_fail(h->w, "host %u: listen says %d", h->index, err);
		return;
	}
	while (!h->stopping) {
		if (sim_foe_holds(h)) {
			(void)pl_sleep(NSEC_PER_MSEC);
			continue;
		}
		err = pl_accept(h->listener, &c);
		if (err == -EBADF)
			return;
		if (!err)
			serve(h, c);
		if (err || h->plan->accept_think)
			(void)pl_sleep((int64_t)max_t(uint64_t, h->plan->accept_think, 100000));
	}
}

static void g_stop(void *arg)
{
	struct sim_host *h = arg;

	h->stopping = true;
	if (h->listener)
		(void)pl_close(h->listener);
}

int sim_flows_start(struct sim_world *w)
{
	for (unsigned i = 0; i < w->nr_hosts; i++)
		if (lane_go(w->host[i].lane, g_listener, &w->host[i], "listener"))
			return -ENOMEM;
	for (unsigned i = 0; i < w->plan.nr_flows; i++) {
		struct sim_flow *f = &w->flow[i];

		*f = (struct sim_flow){.w = w, .plan = &w->plan.flow[i], .id = i};
		for (unsigned s = 0; s < 2; s++) {
			f->side[s].f = f;
			f->side[s].server = s;
			f->side[s].rng.state = f->plan->seed ^ (s + 1) * 0xa0761d6478bd642full;
		}
		if (lane_go(w->host[f->plan->client].lane, g_client, f, "client"))
			return -ENOMEM;
	}
	return 0;
}

/* flow_over - has each side ended that there will be? A server's begins when the first bytes are
 * there, for which nobody waits any more if somebody may have reset the connection. */
static bool flow_over(const struct sim_flow *f)
{
	return f->side[0].done &&
	       (f->side[1].done || !f->side[0].started || (may_reset(f) && !f->side[1].started));
}

bool sim_flows_over(const struct sim_world *w)
{
	for (unsigned i = 0; i < w->plan.nr_flows; i++)
		if (!flow_over(&w->flow[i]))
			return false;
	return true;
}

int sim_flows_stop(struct sim_world *w)
{
	for (unsigned i = 0; i < w->nr_hosts; i++)
		if (lane_go(w->host[i].lane, g_stop, &w->host[i], "stop"))
			return -ENOMEM;
	return 0;
}

/* ---- what must be true at the end ---- */

static void check_side(struct sim_side *s)
{
	const struct sim_side *peer = &s->f->side[!s->server];
	const char *who = s->server ? "server" : "client";
	struct sim_world *w = s->f->w;

	if (s->eof && s->rcvd != peer->sent)
		sim_fail(w,
			 "flow %u, %s: the stream ended after %" PRIu64 " bytes of %" PRIu64
			 " that were written",
			 s->f->id, who, s->rcvd, peer->sent);
	if (s->rcvd > peer->sent)
		sim_fail(w, "flow %u, %s: read %" PRIu64 " bytes, the peer wrote %" PRIu64,
			 s->f->id, who, s->rcvd, peer->sent);
	if (may_reset(s->f))
		return;
	if (!s->started)
		sim_fail(w, "flow %u: connected, but its server never saw it (client: %d %d)",
			 s->f->id, peer->werr, peer->rerr);
	else if (s->werr || s->rerr)
		sim_fail(w, "flow %u, %s: nobody aborted it, but write says %d and read %d",
			 s->f->id, who, s->werr, s->rerr);
	else if (s->rcvd != to_read(s))
		sim_fail(w, "flow %u, %s: read %" PRIu64 " bytes of %u", s->f->id, who, s->rcvd,
			 to_read(s));
}

void sim_flows_check(struct sim_world *w)
{
	for (unsigned i = 0; i < w->plan.nr_flows; i++) {
		struct sim_flow *f = &w->flow[i];

		if (f->dial_err)
			sim_fail(w, "flow %u: the last dial says %d", i, f->dial_err);
		check_side(&f->side[0]);
		check_side(&f->side[1]);
		w->res->flows += f->side[0].started && f->side[1].started;
	}
}

void sim_flows_stuck(struct sim_world *w, bool resets)
{
	for (unsigned i = 0; i < w->plan.nr_flows; i++) {
		const struct sim_flow *f = &w->flow[i];

		for (unsigned k = 0; k < 2; k++) {
			const struct sim_side *s = &f->side[k];

			if (flow_over(f) || s->done || (may_reset(f) && !resets))
				continue;
			sim_fail(w,
				 "progress: flow %u, %s of host %u is not at its end: sent %" PRIu64
				 " of %u, read %" PRIu64 " of %u, dial %d",
				 i, k ? "server" : "client", k ? f->plan->server : f->plan->client,
				 s->sent, to_send(s), s->rcvd, to_read(s), f->dial_err);
		}
	}
}
