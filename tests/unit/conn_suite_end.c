/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conn suite: how connections end, or wait. Resets, refused and slow dials, deadlines,
 * close under those who wait.
 */
#include "conn_suite_int.h"

#include <errno.h>
#include <stdlib.h>

#include "poller/lane.h"

/* ---- resets: a close with unread bytes sends one (RFC 2525 2.17) ---- */

static void srv_reset(struct pair *p)
{
	(void)p;
	pl_sleep(10 * MS);
}

static void cli_write_after_reset(struct pair *p)
{
	char buf[10];

	EQ(p->e, pl_write(p->c, "x", 1), 1);
	pl_sleep(30 * MS);
	EQ(p->e, pl_write(p->c, "x", 1), -EPIPE);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ECONNRESET);
	EQ(p->e, pl_write(p->c, "x", 1), -EPIPE);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ECONNRESET);
}

void conn_case_write_after_reset_says_epipe(struct conn_env *e)
{
	run_pair(e, srv_reset, cli_write_after_reset);
}

static void cli_read_in_reset(struct pair *p)
{
	char buf[10];

	EQ(p->e, pl_write(p->c, "x", 1), 1);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ECONNRESET);
	EQ(p->e, pl_write(p->c, "x", 1), -EPIPE);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ECONNRESET);
}

void conn_case_read_in_reset_says_econnreset(struct conn_env *e)
{
	run_pair(e, srv_reset, cli_read_in_reset);
}

static void srv_ten_then_reset(struct pair *p)
{
	EQ(p->e, pl_write(p->s, "0123456789", 10), 10);
	pl_sleep(10 * MS);
}

static void cli_bytes_before_reset(struct pair *p)
{
	char buf[100];

	EQ(p->e, pl_write(p->c, "x", 1), 1);
	pl_sleep(30 * MS);
	EQ(p->e, pl_read(p->c, buf, 4), 4);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 6);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ECONNRESET);
	EQ(p->e, pl_write(p->c, "x", 1), -EPIPE);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ECONNRESET);
}

void conn_case_bytes_before_reset_are_read(struct conn_env *e)
{
	run_pair(e, srv_ten_then_reset, cli_bytes_before_reset);
}

static void srv_fin_then_reset(struct pair *p)
{
	EQ(p->e, pl_shutdown(p->s, 1), 0);
	while (!p->a && !p->e->nr_fail)
		pl_sleep(MS);
	pl_sleep(10 * MS);
	p->b = 1;
}

static void cli_eof_then_reset(struct pair *p)
{
	char buf[10];

	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 0);
	EQ(p->e, pl_write(p->c, "x", 1), 1);
	p->a = 1;
	/* by what the other end did and not by time: a busy machine may take 40 ms from us */
	while (!p->b && !p->e->nr_fail)
		pl_sleep(MS);
	pl_sleep(30 * MS);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 0);
	EQ(p->e, pl_write(p->c, "x", 1), -EPIPE);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 0);
}

void conn_case_end_of_stream_outlives_reset(struct conn_env *e)
{
	run_pair(e, srv_fin_then_reset, cli_eof_then_reset);
}

static void cli_parked_write_in_reset(struct pair *p)
{
	size_t n = 32 * MIB;
	char *big = calloc(1, n);
	ssize_t r = pl_write(p->c, big, n);

	OK(p->e, r > 0 && r < (ssize_t)n);
	EQ(p->e, pl_write(p->c, big, 1), -EPIPE);
	EQ(p->e, pl_read(p->c, big, 1), -ECONNRESET);
	free(big);
}

void conn_case_parked_write_in_reset_ends(struct conn_env *e)
{
	run_pair(e, srv_reset, cli_parked_write_in_reset);
}

/* Fill what there is, so that the next write has to wait with nothing sent: a delayed ACK makes
 * room 40 ms later, and less than a third of it wakes no writer, but is found by the next one. */
static void cli_full_write_in_reset(struct pair *p)
{
	size_t n = 32 * MIB;
	char *big = calloc(1, n);
	int full = 0;

	while (full < 2 && !p->e->nr_fail) {
		EQ(p->e, pl_set_write_deadline(p->c, pl_now() + 60 * MS), 0);
		full = pl_write(p->c, big, n) == -ETIME ? full + 1 : 0;
	}
	EQ(p->e, pl_set_write_deadline(p->c, 0), 0);
	p->a = 1;
	EQ(p->e, pl_write(p->c, big, 1), -ECONNRESET);
	EQ(p->e, pl_write(p->c, big, 1), -EPIPE);
	EQ(p->e, pl_read(p->c, big, 1), -ECONNRESET);
	free(big);
}

/* srv_reset_when_parked - close with bytes unread, once the client waits. */
static void srv_reset_when_parked(struct pair *p)
{
	while (!p->a && !p->e->nr_fail)
		pl_sleep(MS);
	pl_sleep(5 * MS);
}

void conn_case_parked_write_of_nothing_yet_in_reset_says_econnreset(struct conn_env *e)
{
	run_pair(e, srv_reset_when_parked, cli_full_write_in_reset);
}

/* ---- dial ---- */

static void g_find_free_port(void *arg)
{
	struct pair *p = arg;
	struct pl_addr a;

	if (listen_any(p->e, 1, &a, &p->l))
		return;
	close_checked(p->e, &p->l);
	p->addr = a;
}

static void g_dial_refused(void *arg)
{
	struct pair *p = arg;

	while (!p->addr.port && !p->e->nr_fail)
		pl_yield();
	EQ(p->e, pl_dial(p->e->net, &p->addr, 0, &p->c), -ECONNREFUSED);
	EQ(p->e, pl_dial(p->e->net, &p->addr, pl_now() + 1000 * MS, &p->c), -ECONNREFUSED);
}

void conn_case_R56_dial_refused(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_find_free_port, &p, "find_free_port"), 0);
	EQ(e, lane_go(e->cli, g_dial_refused, &p, "dial_refused"), 0);
	run(e);
}

static void g_listen_deaf(void *arg)
{
	struct pair *p = arg;

	if (listen_any(p->e, 1, &p->addr, &p->l))
		return;
	while (!p->done && !p->e->nr_fail)
		pl_sleep(MS);
	close_checked(p->e, &p->l);
}

/* Who listens and never accepts lets a SYN go unanswered once its queue is full. */
static void g_dial_deadline(void *arg)
{
	struct pair *p = arg;
	struct pl_conn *c[8] = {0};
	uint64_t t0;
	int err = 0, i;

	while (!p->addr.port && !p->e->nr_fail)
		pl_yield();
	EQ(p->e, pl_dial(p->e->net, &p->addr, pl_now(), &c[0]), -ETIME);
	for (i = 0; i < 8 && !err; i++) {
		t0 = pl_now();
		err = pl_dial(p->e->net, &p->addr, t0 + 100 * MS, &c[i]);
	}
	EQ(p->e, err, -ETIME);
	OK(p->e, pl_now() >= t0 + 100 * MS);
	for (int k = 0; k < i; k++)
		close_checked(p->e, &c[k]);
	p->done = 1;
}

void conn_case_R56_dial_deadline(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_listen_deaf, &p, "listen_deaf"), 0);
	EQ(e, lane_go(e->cli, g_dial_deadline, &p, "dial_deadline"), 0);
	run(e);
}

/* ---- deadlines ---- */

static void cli_read_deadline(struct pair *p)
{
	uint64_t t0 = pl_now();
	char buf[8];

	EQ(p->e, pl_set_read_deadline(p->c, t0 + 10 * MS), 0);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ETIME);
	OK(p->e, pl_now() >= t0 + 10 * MS);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ETIME);
	/* the write side is not concerned */
	EQ(p->e, pl_write(p->c, "hello", 5), 5);
	EQ(p->e, pl_set_read_deadline(p->c, pl_now() + 2000 * MS), 0);
	EQ(p->e, read_full(p->c, buf, 5), 5);
	EQ(p->e, pl_set_deadline(p->c, 0), 0);
	EQ(p->e, pl_write(p->c, "hello", 5), 5);
	EQ(p->e, read_full(p->c, buf, 5), 5);
}

void conn_case_read_deadline_and_moved(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_read_deadline);
}

static void srv_late_drain(struct pair *p)
{
	char buf[4096];

	while (!p->done && !p->e->nr_fail)
		pl_sleep(MS);
	while (pl_read(p->s, buf, sizeof(buf)) > 0)
		p->n++;
}

static void cli_write_deadline(struct pair *p)
{
	size_t n = 32 * MIB;
	char *big = calloc(1, n);
	ssize_t r;

	EQ(p->e, pl_set_write_deadline(p->c, pl_now() + 20 * MS), 0);
	r = pl_write(p->c, big, n);
	OK(p->e, r > 0 && r < (ssize_t)n);
	EQ(p->e, pl_write(p->c, big, n), -ETIME);
	EQ(p->e, pl_set_write_deadline(p->c, 0), 0);
	p->done = 1;
	EQ(p->e, pl_write(p->c, big, MIB), MIB);
	free(big);
}

void conn_case_write_deadline_and_moved(struct conn_env *e)
{
	run_pair(e, srv_late_drain, cli_write_deadline);
}

static void g_accept_deadline(void *arg)
{
	struct pair *p = arg;
	struct pl_addr a;

	if (listen_any(p->e, 0, &a, &p->l))
		return;
	EQ(p->e, pl_set_deadline(p->l, pl_now() + 5 * MS), 0);
	EQ(p->e, pl_accept(p->l, &p->s), -ETIME);
	EQ(p->e, pl_accept(p->l, &p->s), -ETIME);
	EQ(p->e, pl_set_deadline(p->l, 0), 0);
	p->addr = a;
	EQ(p->e, pl_accept(p->l, &p->s), 0);
	srv_echo(p);
	close_checked(p->e, &p->s);
	close_checked(p->e, &p->l);
}

void conn_case_accept_deadline_and_moved(struct conn_env *e)
{
	struct pair p = {.e = e, .cli = cli_echo};

	EQ(e, lane_go(e->srv, g_accept_deadline, &p, "accept_deadline"), 0);
	EQ(e, lane_go(e->cli, pair_client, &p, "pair_client"), 0);
	run(e);
}

static void g_set_past(void *arg)
{
	struct pair *p = arg;

	pl_sleep(5 * MS);
	EQ(p->e, pl_set_read_deadline(p->c, 1), 0);
	p->done = 1;
}

static void cli_deadline_past(struct pair *p)
{
	uint64_t t0 = pl_now();
	char buf[8];

	EQ(p->e, pl_set_read_deadline(p->c, t0 + 5000 * MS), 0);
	EQ(p->e, pl_go(g_set_past, p), 0);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ETIME);
	OK(p->e, pl_now() < t0 + 2000 * MS);
	EQ(p->e, p->done, 1);
}

void conn_case_R28_deadline_in_the_past_wakes_at_once(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_deadline_past);
}

static void g_move_then_write(void *arg)
{
	struct pair *p = arg;

	/* at once: on a busy machine a sleep may last beyond the deadline */
	EQ(p->e, pl_set_read_deadline(p->c, pl_now() + 5000 * MS), 0);
	pl_sleep(130 * MS);
	EQ(p->e, pl_write(p->c, "late", 4), 4);
	p->done = 1;
}

static void cli_deadline_moved(struct pair *p)
{
	char buf[8];

	/* this one has parked when the other runs */
	EQ(p->e, pl_set_read_deadline(p->c, pl_now() + 100 * MS), 0);
	EQ(p->e, pl_go(g_move_then_write, p), 0);
	EQ(p->e, read_full(p->c, buf, 4), 4);
	EQ(p->e, p->done, 1);
}

void conn_case_R10_deadline_moved_while_parked_is_silent(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_deadline_moved);
}

static void cli_expired_beats_data(struct pair *p)
{
	char buf[100];

	pl_sleep(20 * MS);
	EQ(p->e, pl_set_read_deadline(p->c, 1), 0);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -ETIME);
	EQ(p->e, pl_set_read_deadline(p->c, 0), 0);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 10);
}

void conn_case_R29_expired_deadline_beats_data(struct conn_env *e)
{
	run_pair(e, srv_ten_and_close, cli_expired_beats_data);
}

/* ---- close ---- */

static void g_reader(void *arg)
{
	struct pair *p = arg;
	char buf[8];

	p->a++;
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), -EBADF);
	p->done++;
}

static void close_under_readers(struct pair *p, int n)
{
	struct pl_conn *c = p->c;

	for (int i = 0; i < n; i++)
		EQ(p->e, pl_go(g_reader, p), 0);
	while (p->a < n && !p->e->nr_fail)
		pl_yield();
	pl_sleep(2 * MS);
	EQ(p->e, p->done, 0);
	EQ(p->e, pl_close(c), 0);
	p->c = NULL;
	/* close returns when the last user has let go of c; each still has a step to go */
	for (int i = 0; p->done < n && i < 10; i++)
		pl_yield();
	EQ(p->e, p->done, n);
}

static void cli_close_reader(struct pair *p)
{
	close_under_readers(p, 1);
}

void conn_case_R53_close_wakes_reader(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_close_reader);
}

static void cli_close_readers(struct pair *p)
{
	close_under_readers(p, 5);
}

void conn_case_R53_close_wakes_queue_of_readers(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_close_readers);
}

static void g_big_writer(void *arg)
{
	struct pair *p = arg;
	size_t n = 32 * MIB;
	char *big = calloc(1, n);
	ssize_t r = pl_write(p->c, big, n);

	OK(p->e, r == -EBADF || (r > 0 && r < (ssize_t)n));
	free(big);
	p->done++;
}

static void cli_close_writer(struct pair *p)
{
	struct pl_conn *c = p->c;

	EQ(p->e, pl_go(g_big_writer, p), 0);
	pl_sleep(20 * MS);
	EQ(p->e, p->done, 0);
	EQ(p->e, pl_close(c), 0);
	p->c = NULL;
	for (int i = 0; !p->done && i < 10; i++)
		pl_yield();
	EQ(p->e, p->done, 1);
	p->b = 1;
}

static void srv_until_b(struct pair *p)
{
	while (!p->b && !p->e->nr_fail)
		pl_sleep(MS);
}

void conn_case_R53_close_wakes_writer(struct conn_env *e)
{
	run_pair(e, srv_until_b, cli_close_writer);
}

static void g_accepter(void *arg)
{
	struct pair *p = arg;

	EQ(p->e, pl_accept(p->l, &p->s), -EBADF);
	p->done++;
}

static void g_close_accepter(void *arg)
{
	struct pair *p = arg;

	if (listen_any(p->e, 0, &p->addr, &p->l))
		return;
	EQ(p->e, pl_go(g_accepter, p), 0);
	pl_sleep(2 * MS);
	EQ(p->e, pl_close(p->l), 0);
	for (int i = 0; !p->done && i < 10; i++)
		pl_yield();
	EQ(p->e, p->done, 1);
}

void conn_case_R53_close_wakes_accepter(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_close_accepter, &p, "close_accepter"), 0);
	run(e);
}
