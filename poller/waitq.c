/* SPDX-License-Identifier: BSD-3-Clause */
/* Wait queues: what is not on the fast path. */
#include "poller/waitq.h"

#include "poller/spin.h"

void wait_cut(struct g_intr *in)
{
	struct wait *wt = container_of(in, struct wait, intr);

	if (wait_claim(wt)) {
		wt->cut = true;
		__sched_ready(wt->g->sched, wt->g);
	}
}

struct pl_waiter *wait_drop(struct wait *wt)
{
	struct pl_waiter *won;
	uint32_t n = 0;

	if (!wt->shared)
		return wt->won;
	if (wt->cut || !__atomic_exchange_n(&wt->claimed, 1, __ATOMIC_ACQ_REL))
		return NULL;
	/* A thread without a lane may have claimed it just now, and has a spin lock until it
	 * tells. */
	while (!(won = __atomic_load_n(&wt->won, __ATOMIC_ACQUIRE))) {
		cpu_relax();
		if (++n % SPIN_MAX == 0)
			(void)sched_yield();
	}
	return won;
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
