/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What compare measures without a peer: goroutines (park.h) and the memory of idle connections
 * (idle.h). Each sample has a fresh process, so that memory once used hides nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "apps/cmp_ns.h"
#include "apps/compare.h"
#include "apps/idle.h"

#define ANSWER_MS 60000

enum micro_op {
	MICRO_PARK,
	MICRO_IDLE_STACK,
	MICRO_IDLE_KERNEL,
};

static char what[256];

/* in the worker */
static void micro_op(struct cmp_call *call)
{
	if (call->op == MICRO_PARK)
		call->err = park_measure(CMP_CPU_SERVER, call->arg, &call->park);
	else
		call->err = idle_measure(call->op == MICRO_IDLE_STACK, &call->conns,
					 &call->idle_bytes, call->what, sizeof(call->what));
}

static int micro_setup(struct cmp_call *call)
{
	(void)call;
	return ns_enter();
}

/* in the parent */
static int micro_one(enum micro_op op, unsigned arg, struct cmp_call *ret)
{
	struct worker w = {0};
	int err = worker_start(&w, "micro", micro_setup, micro_op);

	if (!err) {
		w.call->op = op;
		w.call->arg = arg;
		w.call->conns = CMP_IDLE_CONNS;
		err = worker_call(&w, ANSWER_MS);
	}
	if (!err)
		*ret = *w.call;
	else
		snprintf(what, sizeof(what), "%s",
			 w.pid && w.call->what[0] ? w.call->what : strerror(-err));
	worker_stop(&w);
	return err;
}

int micro_run(struct cmp *c, unsigned parts, unsigned runs,
	      void (*progress)(const char *name, unsigned n), const char **ret_what)
{
	static struct cmp_call answer;
	int err;

	*ret_what = what;
	if (parts & PART_PARK) {
		progress("park and ready", 1);
		err = micro_one(MICRO_PARK, runs, &answer);
		if (err)
			return err;
		c->park = answer.park;
	}
	for (unsigned i = 0; i < runs && (parts & PART_IDLE); i++) {
		for (unsigned k = 0; k < 2; k++) {
			progress("idle", CMP_IDLE_CONNS);
			err = micro_one(k == CMP_IDLE_STACK ? MICRO_IDLE_STACK : MICRO_IDLE_KERNEL,
					0, &answer);
			if (err)
				return err;
			c->idle_bytes[k][i] = answer.idle_bytes;
			c->idle_conns[k] = answer.conns;
		}
		c->nr_idle = i + 1;
	}
	return 0;
}
