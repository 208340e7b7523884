/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows B11, B12 and B33: many connections. RFC 4987, 6528. */
#include <stdlib.h>

#include "sim/foe.h"

#define PORT     7
#define SYN_GAP  (10 * NSEC_PER_USEC) /* 10^5 a second */
#define SAMPLES  40u
#define LATECOME (120 * NSEC_PER_SEC)

static const struct tcp_sock *listener(const struct sim_foe *f)
{
	return tcp_lookup_listener(f->prey->st->tcp, f->prey->ip, PORT, 0, 0);
}

void foe_b11(struct sim_foe *f)
{
	uint32_t backlog = (uint32_t)f->prey->plan->backlog;
	unsigned n = (unsigned)sim_between(&f->rng, 1000, 5000);
	struct foe_conn *c;
	uint64_t since;

	f->arp_mute = sim_chance(&f->rng, 0.5);
	for (unsigned i = 0; i < n && !f->w->res->failed; i++) {
		struct foe_conn s = {
			.f = f,
			.addr = foe_addr((unsigned)sim_between(&f->rng, 100, 249)),
			.port = (uint16_t)sim_between(&f->rng, 1, 65535),
			.lport = PORT,
			.iss = (uint32_t)sim_draw(&f->rng),
			.ts = i % 2,
			.sack = i % 3,
			.win = 1000,
		};

		foe_syn(&s, SYN, 0);
		foe_sleep(SYN_GAP);
		foe_never(f, listener(f) && listener(f)->nr_reqs > backlog + 1,
			  "more half-open connections than there may be");
	}
	since = f->w->now;
	c = foe_conn(f);
	if (!foe_open(c))
		return;
	foe_must(f, f->w->now - since < NSEC_PER_SEC || f->prey->pause > since,
		 "a real client gets in within a second");
	foe_works(c);
}

/* knock - what c has not got yet, once more. */
static void knock(struct foe_conn *c)
{
	if (!c->known) {
		foe_syn(c, SYN, 0);
		foe_settle(c->f);
	}
	if (c->known && !c->guest->open && !c->rsts)
		foe_send(c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
}

void foe_b12(struct sim_foe *f)
{
	unsigned backlog = (unsigned)f->prey->plan->backlog, nr = backlog + 6, open = 0;
	uint64_t end;

	f->hold = true;
	/* half of them are half open before the queue is full, and the last ACK finds it so */
	for (unsigned i = 0; i < nr; i++) {
		struct foe_conn *c = foe_conn(f);

		c->ts = false;
		c->nxt = 101;
		if (i % 2)
			foe_syn(c, SYN, 0);
	}
	foe_settle(f);
	for (unsigned i = 0; i < 5 * nr; i++) {
		knock(&f->conn[i % nr]);
		foe_settle(f);
		foe_never(f, listener(f) && listener(f)->ack_backlog > backlog + 1,
			  "the accept queue is longer than it may be");
	}
	foe_sleep(sim_between(&f->rng, 0, 5 * NSEC_PER_SEC));
	f->hold = false;
	/* the SYN-ACK comes again, or the SYN does */
	for (end = f->w->now + LATECOME; open < nr && f->w->now < end;) {
		open = 0;
		for (unsigned i = 0; i < nr; i++) {
			knock(&f->conn[i]);
			open += f->conn[i].guest->rcvd == 100 || f->conn[i].rsts;
		}
		foe_sleep(NSEC_PER_SEC);
	}
	foe_must(f, open == nr, "whoever tries again gets in, with his data");
}

/* ---- B33 ---- */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* different - how many of n values are unlike all others; v is sorted. */
static unsigned different(uint32_t *v, unsigned n)
{
	unsigned d = n != 0;

	qsort(v, n, sizeof(*v), by_value);
	for (unsigned i = 1; i < n; i++)
		d += v[i] != v[i - 1];
	return d;
}

void foe_b33(struct sim_foe *f)
{
	uint32_t isn[SAMPLES], step[SAMPLES], id[SAMPLES];
	unsigned n = 0;

	for (unsigned i = 0; i < SAMPLES; i++) {
		struct foe_conn *c = foe_conn(f);

		if (i % 2 ? !foe_accept(c) : !foe_open(c))
			continue;
		foe_data(c, 10);
		foe_sleep(250 * NSEC_PER_MSEC);
		isn[n] = c->irs;
		step[n] = n ? c->irs - isn[n - 1] : 0;
		id[n++] = c->last_id;
	}
	if (n < 8)
		return;
	foe_never(f, different(isn, n) < n, "the same initial sequence number twice");
	foe_never(f, different(step, n) + 1 < n, "the same step to the next one");
	foe_never(f, different(id, n) < n / 2, "the same IP ID in most connections");
}
