/* SPDX-License-Identifier: BSD-3-Clause */
/* Wait queues: what is not on the fast path. */
#include "poller/waitq.h"

void wait_cut(struct g_intr *in)
{
	struct wait *wt = container_of(in, struct wait, intr);

	if (wait_claim(wt))
		__sched_ready(wt->g->sched, wt->g);
}

struct pl_waiter *waitq_first(struct pl_waitq *q, uint32_t *gone)
{
	struct pl_waiter *w;

	while ((w = q->head)) {
		if (!__atomic_load_n(&w->wait->claimed, __ATOMIC_ACQUIRE))
			return w;
		waitq_remove(q, w);
		if (gone)
			++*gone;
	}
	return NULL;
}

void waitq_ready_all(struct pl_waiter *list)
{
	while (list) {
		struct pl_waiter *next = list->next; /* it goes with the g */

		sched_ready(list->wait->g);
		list = next;
	}
}
