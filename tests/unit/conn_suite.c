/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conn suite: its harness, and the cases of data, of reading in turns and of addresses.
 * Listeners are in conn_suite_listen.c, how connections end in conn_suite_end.c.
 */
#include "conn_suite_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "poller/lane.h"
#include "poller/netpoll.h"
#include "stack/base/list.h"

void conn_suite_note(struct conn_env *e, const char *file, int line, const char *what,
		     long long got, long long want)
{
	size_t n = strlen(e->first_fail);

	e->nr_fail++;
	snprintf(e->first_fail + n, sizeof(e->first_fail) - n, "%s:%d: %s: %lld, not %lld; ", file,
		 line, what, got, want);
}

void conn_suite_end(struct conn_env *e)
{
	struct lane *l[2] = {e->srv, e->cli};

	for (int i = 0; i < 2; i++) {
		struct netpoll_backend *nb[2] = {lane_stack_backend(l[i]),
						 lane_kernel_backend(l[i])};

		EQ(e, lane_nr_g(l[i]), 0);
		OK(e, list_empty(lane_conns(l[i])));
		for (int k = 0; k < 2; k++)
			if (nb[k])
				EQ(e, netpoll_waiters(nb[k]), 0);
	}
	EQ(e, e->pds(e), 0);
}

void close_checked(struct conn_env *e, struct pl_conn **c)
{
	if (*c)
		EQ(e, pl_close(*c), 0);
	*c = NULL;
}

int listen_any(struct conn_env *e, int backlog, struct pl_addr *ret_addr, struct pl_conn **ret_l)
{
	struct pl_addr a = {.family = PL_AF_INET, .v4 = e->srv_ip};
	int err = pl_listen(e->net, &a, backlog, ret_l);

	EQ(e, err, 0);
	if (!err)
		EQ(e, pl_local_addr(*ret_l, ret_addr), 0);
	return err;
}

static void pair_server(void *arg)
{
	struct pair *p = arg;
	int err;

	if (listen_any(p->e, 0, &p->addr, &p->l))
		return;
	err = pl_accept(p->l, &p->s);
	EQ(p->e, err, 0);
	close_checked(p->e, &p->l);
	if (err)
		return;
	p->srv(p);
	close_checked(p->e, &p->s);
}

void pair_client(void *arg)
{
	struct pair *p = arg;
	int err;

	while (!p->addr.port && !p->e->nr_fail)
		pl_yield();
	err = pl_dial(p->e->net, &p->addr, 0, &p->c);
	EQ(p->e, err, 0);
	if (err)
		return;
	p->cli(p);
	close_checked(p->e, &p->c);
}

void run(struct conn_env *e)
{
	EQ(e, e->run(e), 0);
}

void run_pair(struct conn_env *e, void (*srv)(struct pair *p), void (*cli)(struct pair *p))
{
	struct pair p = {.e = e, .srv = srv, .cli = cli};

	EQ(e, lane_go(e->srv, pair_server, &p, "pair_server"), 0);
	EQ(e, lane_go(e->cli, pair_client, &p, "pair_client"), 0);
	run(e);
}

void srv_echo(struct pair *p)
{
	char buf[97];
	ssize_t n;

	while ((n = pl_read(p->s, buf, sizeof(buf))) > 0)
		EQ(p->e, pl_write(p->s, buf, (size_t)n), n);
	EQ(p->e, n, 0);
}

ssize_t read_full(struct pl_conn *c, void *buf, size_t n)
{
	size_t got = 0;
	ssize_t r;

	while (got < n) {
		r = pl_read(c, (char *)buf + got, n - got);
		if (r < 0)
			return r;
		if (!r)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* ---- data ---- */

void cli_echo(struct pair *p)
{
	char out[32], in[32];

	for (int i = 0; i < 100; i++) {
		int n = snprintf(out, sizeof(out), "request %d", i);

		EQ(p->e, pl_write(p->c, out, (size_t)n), n);
		EQ(p->e, read_full(p->c, in, (size_t)n), n);
		EQ(p->e, memcmp(in, out, (size_t)n), 0);
	}
}

void conn_case_echo(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_echo);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

/* A writer beside the reader on the same conn (R52): pieces of 1 to 1,021 bytes. */
static void tiny_writer(void *arg)
{
	struct pair *p = arg;
	size_t piece = 1;
	uint8_t buf[1021];

	for (size_t at = 0; at < MIB; at += piece) {
		piece = 1 + (piece * 5 + 3) % sizeof(buf);
		if (piece > MIB - at)
			piece = MIB - at;
		for (size_t i = 0; i < piece; i++)
			buf[i] = pattern(at + i);
		EQ(p->e, pl_write(p->c, buf, piece), piece);
	}
	EQ(p->e, pl_shutdown(p->c, 1), 0);
	p->done++;
}

static void cli_tiny(struct pair *p)
{
	uint8_t buf[333];
	size_t at = 0, bad = 0;
	ssize_t n;

	EQ(p->e, pl_go(tiny_writer, p), 0);
	while ((n = pl_read(p->c, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			bad += buf[i] != pattern(at);
	EQ(p->e, n, 0);
	EQ(p->e, at, MIB);
	EQ(p->e, bad, 0);
	while (!p->done && !p->e->nr_fail)
		pl_yield();
}

void conn_case_mebibyte_both_ways_through_tiny_buffers(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_tiny);
}

static void srv_count(struct pair *p)
{
	uint32_t total = 0;
	char buf[100];
	ssize_t n;

	while ((n = pl_read(p->s, buf, sizeof(buf))) > 0)
		total += (uint32_t)n;
	EQ(p->e, n, 0);
	EQ(p->e, pl_read(p->s, buf, sizeof(buf)), 0);
	EQ(p->e, pl_write(p->s, &total, sizeof(total)), sizeof(total));
}

static void cli_half_close(struct pair *p)
{
	uint32_t total = 0;
	char buf[1000] = {0};

	EQ(p->e, pl_write(p->c, buf, sizeof(buf)), sizeof(buf));
	EQ(p->e, pl_shutdown(p->c, 3), -EINVAL);
	EQ(p->e, pl_shutdown(p->c, 1), 0);
	EQ(p->e, pl_write(p->c, buf, 1), -EPIPE);
	EQ(p->e, read_full(p->c, &total, sizeof(total)), sizeof(total));
	EQ(p->e, total, sizeof(buf));
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 0);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 0);
}

void conn_case_half_close_gives_eof_and_answer(struct conn_env *e)
{
	run_pair(e, srv_count, cli_half_close);
}

void srv_ten_and_close(struct pair *p)
{
	EQ(p->e, pl_write(p->s, "0123456789", 10), 10);
}

/* Both edges are there before the first read, and its reset forgets them (R9). */
static void cli_late(struct pair *p)
{
	char buf[100];

	pl_sleep(20 * MS);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 10);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 0);
}

void conn_case_data_and_fin_together_are_both_seen(struct conn_env *e)
{
	run_pair(e, srv_ten_and_close, cli_late);
}

static void srv_ten_ten_close(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		EQ(p->e, pl_write(p->s, "0123456789", 10), 10);
		pl_sleep(10 * MS);
	}
}

static void cli_ten_ten(struct pair *p)
{
	char buf[100];

	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 10);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 10);
	EQ(p->e, pl_read(p->c, buf, sizeof(buf)), 0);
}

void conn_case_fin_after_short_read_is_seen(struct conn_env *e)
{
	run_pair(e, srv_ten_ten_close, cli_ten_ten);
}

/* ---- two at once, odd lengths ---- */

#define TURNS 1000

static void read_bytes(struct pair *p, int *count)
{
	char b;

	while (pl_read(p->c, &b, 1) == 1)
		++*count;
	p->done++;
}

static void g_second_reader(void *arg)
{
	struct pair *p = arg;

	read_bytes(p, &p->b);
}

static void srv_turns(struct pair *p)
{
	char buf[TURNS] = {0};

	pl_sleep(10 * MS); /* both wait by then: one for bytes, one for the lock */
	EQ(p->e, pl_write(p->s, buf, sizeof(buf)), sizeof(buf));
}

static void cli_turns(struct pair *p)
{
	EQ(p->e, pl_go(g_second_reader, p), 0);
	read_bytes(p, &p->a);
	while (p->done < 2 && !p->e->nr_fail)
		pl_yield();
	EQ(p->e, p->a + p->b, TURNS);
	/* a hand-over per byte */
	OK(p->e, p->a - p->b >= -2 && p->a - p->b <= 2);
}

void conn_case_R52_two_readers_take_turns(struct conn_env *e)
{
	run_pair(e, srv_turns, cli_turns);
}

static void cli_zero_read(struct pair *p)
{
	char buf[8];

	EQ(p->e, pl_read(p->c, buf, 0), 0);
	EQ(p->e, pl_set_read_deadline(p->c, 1), 0);
	EQ(p->e, pl_read(p->c, buf, 0), 0);
	EQ(p->e, pl_read(p->c, buf, 1), -ETIME);
	EQ(p->e, pl_write(p->c, buf, 0), 0);
}

void conn_case_R54_zero_length_read(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_zero_read);
}

static void srv_slow_reader(struct pair *p)
{
	size_t at = 0, bad = 0, n = 64 * KIB;
	uint8_t *buf = malloc(n);
	ssize_t r;

	while ((r = pl_read(p->s, buf, n)) > 0) {
		for (ssize_t i = 0; i < r; i++, at++)
			bad += buf[i] != pattern(at);
		pl_sleep(MS / 10);
	}
	EQ(p->e, r, 0);
	EQ(p->e, at, 8 * MIB);
	EQ(p->e, bad, 0);
	free(buf);
}

static void cli_write_8_mib(struct pair *p)
{
	uint8_t *big = malloc(8 * MIB);

	for (size_t i = 0; i < 8 * MIB; i++)
		big[i] = pattern(i);
	EQ(p->e, pl_write(p->c, big, 8 * MIB), 8 * MIB);
	free(big);
}

void conn_case_R54_write_8_mib_to_slow_reader(struct conn_env *e)
{
	run_pair(e, srv_slow_reader, cli_write_8_mib);
}

/* ---- the rest ---- */

static void srv_addresses(struct pair *p)
{
	struct pl_addr a[2];

	EQ(p->e, pl_local_addr(p->s, &a[0]), 0);
	EQ(p->e, pl_peer_addr(p->s, &a[1]), 0);
	EQ(p->e, a[0].port, p->addr.port);
	EQ(p->e, a[0].v4, p->e->srv_ip);
	EQ(p->e, pl_write(p->s, a, sizeof(a)), sizeof(a));
}

static void cli_addresses(struct pair *p)
{
	struct pl_addr a[2], theirs[2];

	EQ(p->e, pl_local_addr(p->c, &a[0]), 0);
	EQ(p->e, pl_peer_addr(p->c, &a[1]), 0);
	EQ(p->e, read_full(p->c, theirs, sizeof(theirs)), sizeof(theirs));
	for (int i = 0; i < 2; i++) {
		EQ(p->e, a[i].family, PL_AF_INET);
		EQ(p->e, a[i].v4, theirs[1 - i].v4);
		EQ(p->e, a[i].port, theirs[1 - i].port);
	}
}

void conn_case_addresses_of_both_ends_match(struct conn_env *e)
{
	run_pair(e, srv_addresses, cli_addresses);
}

static void cli_options(struct pair *p)
{
	struct pl_addr a;
	struct pl_conn *l, *c;
	char b = 0;

	EQ(p->e, pl_set_nodelay(p->c, 0), 0);
	EQ(p->e, pl_set_nodelay(p->c, 1), 0);
	EQ(p->e, pl_accept(p->c, &c), -EINVAL);
	a = (struct pl_addr){.family = PL_AF_INET};
	EQ(p->e, pl_listen(p->e->net, &a, 0, &l), 0);
	EQ(p->e, pl_read(l, &b, 1), -ENOTCONN);
	EQ(p->e, pl_write(l, &b, 1), -ENOTCONN);
	EQ(p->e, pl_shutdown(l, 1), -ENOTCONN);
	EQ(p->e, pl_peer_addr(l, &a), -ENOTCONN);
	EQ(p->e, pl_close(l), 0);
}

void conn_case_options_and_wrong_kind(struct conn_env *e)
{
	run_pair(e, srv_echo, cli_options);
}

/* The client's lane touches what the server's lane opened. */
static void cli_foreign(struct pair *p)
{
	struct pl_conn *s = p->s, *c;
	struct pl_addr a;
	char b = 0;

	while (!s && !p->e->nr_fail) {
		pl_yield();
		s = p->s;
	}
	if (p->e->srv != p->e->cli) {
		EQ(p->e, pl_read(s, &b, 1), -EXDEV);
		EQ(p->e, pl_write(s, &b, 1), -EXDEV);
		EQ(p->e, pl_accept(s, &c), -EXDEV);
		EQ(p->e, pl_set_deadline(s, 1), -EXDEV);
		EQ(p->e, pl_local_addr(s, &a), -EXDEV);
		EQ(p->e, pl_close(s), -EXDEV);
	}
	EQ(p->e, pl_write(p->c, &b, 1), 1);
	EQ(p->e, pl_read(p->c, &b, 1), 1);
}

void conn_case_another_lane_is_refused(struct conn_env *e)
{
	struct pl_addr a = {.family = PL_AF_INET, .port = 7, .v4 = e->srv_ip};
	struct pl_conn *c;

	/* on no lane at all */
	EQ(e, pl_listen(e->net, &a, 0, &c), -EXDEV);
	EQ(e, pl_dial(e->net, &a, 0, &c), -EXDEV);
	run_pair(e, srv_echo, cli_foreign);
}
