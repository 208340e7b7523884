/* SPDX-License-Identifier: BSD-3-Clause */
/* The conn suite: a ctx that ends reaches each call that can wait, and leaves the conn usable. */
#include "conn_suite_int.h"

#include <errno.h>
#include <stdlib.h>

#include <parklane/ctx.h>

#include "poller/lane.h"

/* ---- read, the wait for another reader, write ---- */

static void g_reads_in_ctx(void *arg)
{
	struct pair *p = arg;
	char b;

	EQ(p->e, pl_read(p->c, &b, 1), -ECANCELED);
	p->done++;
}

/* Write until both queues are full; then the ctx ends: what went out counts, or the error. */
static void g_writes_in_ctx(void *arg)
{
	struct pair *p = arg;
	ssize_t n;

	do
		n = pl_write(p->c, p->buf, p->n);
	while (n == (ssize_t)p->n);
	OK(p->e, n == -ECANCELED || (n > 0 && n < (ssize_t)p->n));
	EQ(p->e, pl_write(p->c, p->buf, 1), -ECANCELED);
	p->done++;
}

/* The server reads nothing until the ctx has ended, then all; then it answers with a byte. */
static void srv_deaf_until_done(struct pair *p)
{
	char buf[4096];

	while (p->done < 4 && !p->e->nr_fail)
		pl_sleep(MS);
	while (pl_read(p->s, buf, sizeof(buf)) > 0)
		;
	EQ(p->e, pl_write(p->s, "!", 1), 1);
}

static void cli_ctx(struct pair *p)
{
	struct pl_ctx *ctx, *outer;
	char b = 0;

	p->n = MIB;
	p->buf = calloc(1, p->n);
	EQ(p->e, pl_ctx_with_cancel(NULL, &ctx), 0);
	EQ(p->e, pl_go_ctx(ctx, g_reads_in_ctx, p), 0);
	EQ(p->e, pl_go_ctx(ctx, g_reads_in_ctx, p), 0);
	EQ(p->e, pl_go_ctx(ctx, g_writes_in_ctx, p), 0);
	pl_sleep(20 * MS); /* all wait by then: for a byte, for the reader, for room */
	EQ(p->e, p->done, 0);
	pl_ctx_cancel(ctx, 0);
	while (p->done < 3 && !p->e->nr_fail)
		pl_yield();
	outer = pl_ctx_enter(ctx);
	EQ(p->e, pl_read(p->c, &b, 1), -ECANCELED);
	EQ(p->e, pl_dial(p->e->net, &p->addr, 0, &p->l), -ECANCELED);
	pl_ctx_leave(outer);
	p->done++;
	EQ(p->e, pl_shutdown(p->c, 1), 0);
	EQ(p->e, pl_read(p->c, &b, 1), 1);
	EQ(p->e, b, '!');
	pl_ctx_put(ctx);
	free(p->buf);
}

void conn_case_ctx_ends_read_write_and_the_wait_for_them(struct conn_env *e)
{
	run_pair(e, srv_deaf_until_done, cli_ctx);
}

/* ---- accept, by the ctx's deadline ---- */

static void g_accepts_in_ctx(void *arg)
{
	struct pair *p = arg;
	struct pl_ctx *ctx, *outer;
	uint64_t t0 = pl_now();

	if (listen_any(p->e, 0, &p->addr, &p->l))
		return;
	EQ(p->e, pl_ctx_with_deadline(NULL, t0 + 10 * MS, &ctx), 0);
	outer = pl_ctx_enter(ctx);
	EQ(p->e, pl_accept(p->l, &p->s), -ETIME);
	OK(p->e, pl_now() >= t0 + 10 * MS);
	EQ(p->e, pl_accept(p->l, &p->s), -ETIME);
	pl_ctx_leave(outer);
	pl_ctx_put(ctx);
	close_checked(p->e, &p->l);
}

void conn_case_ctx_deadline_ends_accept(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_accepts_in_ctx, &p, "accepts_in_ctx"), 0);
	run(e);
}

/* ---- dial: a SYN that nobody answers, since the queue of who never accepts is full ---- */

static void g_listens_deaf(void *arg)
{
	struct pair *p = arg;

	if (listen_any(p->e, 1, &p->addr, &p->l))
		return;
	while (!p->done && !p->e->nr_fail)
		pl_sleep(MS);
	close_checked(p->e, &p->l);
}

static void g_dials_in_ctx(void *arg)
{
	struct pair *p = arg;
	struct pl_conn *c[8] = {0};
	struct pl_ctx *ctx, *outer;
	int err = 0, i;

	while (!p->addr.port && !p->e->nr_fail)
		pl_yield();
	for (i = 0; i < 8 && !err; i++) {
		EQ(p->e, pl_ctx_with_deadline(NULL, pl_now() + 100 * MS, &ctx), 0);
		outer = pl_ctx_enter(ctx);
		err = pl_dial(p->e->net, &p->addr, 0, &c[i]);
		pl_ctx_leave(outer);
		pl_ctx_put(ctx);
	}
	EQ(p->e, err, -ETIME);
	for (int k = 0; k < i; k++)
		close_checked(p->e, &c[k]);
	p->done = 1;
}

void conn_case_R56_ctx_ends_dial(struct conn_env *e)
{
	struct pair p = {.e = e};

	EQ(e, lane_go(e->srv, g_listens_deaf, &p, "listens_deaf"), 0);
	EQ(e, lane_go(e->cli, g_dials_in_ctx, &p, "dials_in_ctx"), 0);
	run(e);
}
