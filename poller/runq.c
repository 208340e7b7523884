/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run queue's memory: doubled as the number of living gs grows, never shrunk.
 */
#include "poller/runq.h"

#include <errno.h>
#include <stdlib.h>

#define RUNQ_MIN 64u

int runq_init(struct runq *q)
{
	*q = (struct runq){0};
	return runq_reserve(q, RUNQ_MIN);
}

void runq_fini(struct runq *q)
{
	free(q->slot);
	*q = (struct runq){0};
}

int runq_reserve(struct runq *q, uint32_t n)
{
	uint32_t old = q->slot ? q->mask + 1 : 0, len = runq_len(q), want = old ? old : RUNQ_MIN;
	struct g **slot;

	if (n <= old)
		return 0;
	if (n > 1u << 31)
		return -ENOMEM;
	while (want < n)
		want *= 2;
	slot = malloc(want * sizeof(struct g *));
	if (!slot)
		return -ENOMEM;
	for (uint32_t i = 0; i < len; i++)
		slot[i] = q->slot[(q->head + i) & q->mask];
	free(q->slot);
	*q = (struct runq){.slot = slot, .mask = want - 1, .head = 0, .tail = len};
	return 0;
}
