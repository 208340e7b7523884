/* SPDX-License-Identifier: BSD-3-Clause */
/* The list between lanes: order, emptiness, and nothing lost between threads. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "stack/base/mlist.h"

struct item {
	struct mnode node;
	unsigned from, nr;
};

static struct item *item_of(struct mnode *n)
{
	return container_of(n, struct item, node);
}

Test(mlist, test_mlist_take_oldest_first)
{
	struct item it[3] = {{.nr = 0}, {.nr = 1}, {.nr = 2}};
	struct mlist l = {NULL};
	struct mnode *n;

	cr_assert(mlist_empty(&l));
	cr_assert_null(mlist_take(&l));
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(mlist_push(&l, &it[i].node), i == 0, "only the first finds it empty");
	n = mlist_take(&l);
	for (unsigned i = 0; i < 3; i++, n = n->next)
		cr_assert_eq(item_of(n)->nr, i);
	cr_assert_null(n);
	cr_assert(mlist_empty(&l));
}

#define PER_THREAD 20000u
#define THREADS    3u

static struct mlist shared;
static struct item items[THREADS][PER_THREAD];

static void *produce(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < PER_THREAD; i++) {
		items[me][i] = (struct item){.from = me, .nr = i};
		(void)mlist_push(&shared, &items[me][i].node);
	}
	return NULL;
}

Test(mlist, test_mlist_many_producers_each_in_order, .timeout = 60)
{
	unsigned next[THREADS] = {0}, total = 0;
	pthread_t t[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, produce, (void *)(uintptr_t)i), 0);
	while (total < THREADS * PER_THREAD) {
		for (struct mnode *n = mlist_take(&shared); n; total++) {
			struct item *it = item_of(n);

			n = n->next;
			cr_assert_eq(it->nr, next[it->from]++);
		}
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	cr_assert(mlist_empty(&shared));
}
