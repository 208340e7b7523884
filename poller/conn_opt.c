/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options of the conn API, and the lengths of a conn's queues: Linux's constants for every
 * backend, from any lane of the program.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <parklane/conn.h>

#include "poller/conn_int.h"
#include "poller/errors.h"

struct opt_arg {
	int level, name;
	const void *set; /* NULL: get */
	void *get;
	uint32_t len;
};

static int do_opt(struct pl_conn *c, void *arg)
{
	struct opt_arg *o = arg;

	if (o->set)
		return c->ops->setopt(c, o->level, o->name, o->set, o->len);
	return c->ops->getopt(c, o->level, o->name, o->get, &o->len);
}

PL_API int pl_setsockopt(struct pl_conn *c, int level, int name, const void *val, uint32_t len)
{
	struct opt_arg o = {.level = level, .name = name, .set = val, .len = len};
	int err = val && len <= INT_MAX ? conn_do(c, do_opt, &o) : -EINVAL;

	return err ? errtab_norm(ERRTAB_OTHER, err) : 0;
}

PL_API int pl_getsockopt(struct pl_conn *c, int level, int name, void *val, uint32_t *len)
{
	struct opt_arg o = {.level = level, .name = name, .get = val};
	int err = -EINVAL;

	if (val && len && *len <= INT_MAX) {
		o.len = *len;
		err = conn_do(c, do_opt, &o);
	}
	if (err)
		return errtab_norm(ERRTAB_OTHER, err);
	*len = o.len;
	return 0;
}

PL_API int pl_set_nodelay(struct pl_conn *c, int on)
{
	int val = on != 0;

	return pl_setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &val, sizeof(val));
}

struct queued_arg {
	bool out;
	int64_t n;
};

static int do_queued(struct pl_conn *c, void *arg)
{
	struct queued_arg *q = arg;

	q->n = c->ops->queued(c, q->out);
	return q->n < 0 ? (int)q->n : 0;
}

static ssize_t queued(struct pl_conn *c, bool out)
{
	struct queued_arg q = {.out = out};
	int err = conn_do(c, do_queued, &q);

	return err ? errtab_norm(ERRTAB_OTHER, err) : (ssize_t)q.n;
}

PL_API ssize_t pl_inq(struct pl_conn *c)
{
	return queued(c, false);
}

PL_API ssize_t pl_outq(struct pl_conn *c)
{
	return queued(c, true);
}
