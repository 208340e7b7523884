/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conn suite, by seed: deadlines that hit calls at every moment and lose nothing (R11);
 * random calls of several goroutines on both ends of one connection, with a close somewhere.
 * There the proof is: only documented results, nobody is left parked, nothing leaks.
 */
#include "conn_suite_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "poller/lane.h"

#define NR_SEEDS 40
#define NR_USERS 5
#define NR_CALLS 60
#define CALL_MAX 20000u /* bytes */

struct end {
	struct conn_env *e;
	struct pl_conn *c;
	bool closed; /* set in one step with pl_close's first: nobody starts a call after it */
	int users;
	uint32_t seed;
};

struct duel {
	struct conn_env *e;
	struct pl_addr addr;
	struct end end[2];
};

static uint32_t rnd(struct end *d, uint32_t n)
{
	d->seed = d->seed * 1664525u + 1013904223u;
	return (d->seed >> 8) % n;
}

static bool is_expected(ssize_t r)
{
	return r >= 0 || r == -ETIME || r == -EBADF || r == -ECONNRESET || r == -EPIPE ||
	       r == -ENOTCONN;
}

static void one_call(struct end *d, char *buf)
{
	ssize_t r = 0;

	switch (rnd(d, 8)) {
	case 0:
	case 1:
		r = pl_read(d->c, buf, rnd(d, CALL_MAX));
		break;
	case 2:
	case 3:
		r = pl_write(d->c, buf, rnd(d, CALL_MAX));
		break;
	case 4:
		r = pl_set_read_deadline(d->c, pl_now() + rnd(d, MS / 4));
		break;
	case 5:
		r = pl_set_deadline(d->c, rnd(d, 4) ? pl_now() + rnd(d, MS / 4) : 1);
		break;
	case 6:
		pl_sleep(rnd(d, 50000));
		break;
	default:
		if (rnd(d, 40) == 0)
			r = pl_shutdown(d->c, (int)rnd(d, 3));
		pl_yield();
	}
	if (!is_expected(r))
		EQ(d->e, r, 0);
}

static void g_user(void *arg)
{
	struct end *d = arg;
	char *buf = calloc(1, CALL_MAX);

	for (int i = 0; i < NR_CALLS && !d->closed; i++)
		one_call(d, buf);
	free(buf);
	d->users--;
}

/* play - users on one end, until they are done or the end is closed under them. */
static void play(struct end *d)
{
	uint64_t until = pl_now() + rnd(d, 3 * MS);

	/* a parked call without a deadline ends with the close at the latest */
	d->users = NR_USERS;
	for (int i = 0; i < NR_USERS; i++)
		EQ(d->e, pl_go(g_user, d), 0);
	while (d->users && pl_now() < until)
		pl_sleep(MS / 10);
	d->closed = true;
	EQ(d->e, pl_close(d->c), 0);
	for (int i = 0; d->users && i < 1000; i++)
		pl_sleep(MS / 10);
	EQ(d->e, d->users, 0);
}

static void g_duel_server(void *arg)
{
	struct duel *d = arg;
	struct pl_conn *l;

	if (listen_any(d->e, 0, &d->addr, &l))
		return;
	EQ(d->e, pl_accept(l, &d->end[0].c), 0);
	close_checked(d->e, &l);
	if (d->end[0].c)
		play(&d->end[0]);
}

static void g_duel_client(void *arg)
{
	struct duel *d = arg;

	while (!d->addr.port && !d->e->nr_fail)
		pl_yield();
	EQ(d->e, pl_dial(d->e->net, &d->addr, 0, &d->end[1].c), 0);
	if (d->end[1].c)
		play(&d->end[1]);
}

/* ---- deadlines ---- */

#define STREAM 30000u
#define DIALS  60

static uint8_t nth(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7);
}

/* A third each: has passed, soon, none. */
static uint64_t some_deadline(struct end *r)
{
	switch (rnd(r, 3)) {
	case 0:
		return 1;
	case 1:
		return pl_now() + rnd(r, 60000);
	default:
		return 0;
	}
}

static void cli_writes_by_deadline(struct pair *p)
{
	struct end r = {.seed = 11};
	uint8_t buf[300];
	size_t at = 0;

	while (at < STREAM && !p->e->nr_fail) {
		size_t n = min_t(size_t, 1 + rnd(&r, sizeof(buf)), STREAM - at);
		ssize_t w;

		for (size_t i = 0; i < n; i++)
			buf[i] = nth(at + i);
		EQ(p->e, pl_set_write_deadline(p->c, some_deadline(&r)), 0);
		w = pl_write(p->c, buf, n);
		OK(p->e, w > 0 || w == -ETIME);
		at += w > 0 ? (size_t)w : 0;
		if (rnd(&r, 2))
			pl_sleep(rnd(&r, 60000));
	}
}

static void srv_reads_by_deadline(struct pair *p)
{
	struct end r = {.seed = 7};
	size_t at = 0, bad = 0;
	uint8_t buf[500];
	ssize_t n = 1;

	while (n && !p->e->nr_fail) {
		EQ(p->e, pl_set_read_deadline(p->s, some_deadline(&r)), 0);
		n = pl_read(p->s, buf, 1 + rnd(&r, sizeof(buf)));
		OK(p->e, n >= 0 || n == -ETIME);
		for (ssize_t i = 0; i < n; i++, at++)
			bad += buf[i] != nth(at);
		/* what the kernel would write late would be here */
		memset(buf, 0xaa, sizeof(buf));
		if (n < 0)
			pl_yield();
		for (size_t i = 0; i < sizeof(buf); i++)
			bad += buf[i] != 0xaa;
	}
	EQ(p->e, at, STREAM);
	EQ(p->e, bad, 0);
}

void conn_case_R11_deadlines_lose_no_byte(struct conn_env *e)
{
	run_pair(e, srv_reads_by_deadline, cli_writes_by_deadline);
}

static void g_accepts_by_deadline(void *arg)
{
	struct pair *p = arg;
	struct end r = {.seed = 3};
	struct pl_conn *c;
	int n = 0, err;

	if (listen_any(p->e, 0, &p->addr, &p->l))
		return;
	while (n < DIALS && !p->e->nr_fail) {
		EQ(p->e, pl_set_read_deadline(p->l, some_deadline(&r)), 0);
		err = pl_accept(p->l, &c);
		OK(p->e, !err || err == -ETIME);
		if (!err) {
			EQ(p->e, pl_close(c), 0);
			n++;
		} else {
			pl_yield();
		}
	}
	close_checked(p->e, &p->l);
}

static void g_dials_often(void *arg)
{
	struct pair *p = arg;
	struct end r = {.seed = 5};
	char b;

	while (!p->addr.port && !p->e->nr_fail)
		pl_yield();
	for (int i = 0; i < DIALS && !p->e->nr_fail; i++) {
		EQ(p->e, pl_dial(p->e->net, &p->addr, 0, &p->c), 0);
		EQ(p->e, pl_set_deadline(p->c, pl_now() + 5000 * MS), 0);
		/* closed by who accepted it: a connection that nobody got would stay */
		EQ(p->e, pl_read(p->c, &b, 1), 0);
		close_checked(p->e, &p->c);
		pl_sleep(rnd(&r, 100000));
	}
}

void conn_case_R11_accept_deadlines_lose_no_connection(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_accepts_by_deadline, &p, "accepts"), 0);
	EQ(e, lane_go(e->cli, g_dials_often, &p, "dials"), 0);
	run(e);
}

/* ---- anything ---- */

void conn_case_random_calls_by_seed(struct conn_env *e)
{
	for (uint32_t seed = 1; seed <= NR_SEEDS && !e->nr_fail; seed++) {
		struct duel d = {.e = e};

		for (uint32_t i = 0; i < 2; i++)
			d.end[i] = (struct end){.e = e, .seed = seed * 2 + i};
		EQ(e, lane_go(e->srv, g_duel_server, &d, "duel_server"), 0);
		EQ(e, lane_go(e->cli, g_duel_client, &d, "duel_client"), 0);
		run(e);
		conn_suite_end(e);
		if (e->nr_fail)
			conn_suite_note(e, "seed", (int)seed, "failed", seed, 0);
	}
}
