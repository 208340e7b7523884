/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What crosses lanes: an intrusive list, many producers, one consumer that takes all of it at
 * once. It has no size, so it is never full and nothing needs a second way for the case that
 * it is; nobody blocks; a push is one compare-exchange. (Linux wakes tasks of another cpu by
 * such a list, its llist.) What may not grow without bound is counted by its owner.
 *
 * A push is sequentially consistent: a sender that looks whether the consumer sleeps needs no
 * fence behind it (lane_post()). So is a take: a consumer that stored before it that it will look
 * sees every push whose sender did not see that store yet (take_forwarded()).
 */
#ifndef STACK_BASE_MLIST_H
#define STACK_BASE_MLIST_H

#include <stdbool.h>
#include <stddef.h>

#include "stack/base/compiler.h"

/* Embedded in what is sent; on at most one list at a time. */
struct mnode {
	struct mnode *next;
};

struct mlist {
	struct mnode *head; /* (a) the newest; a push pairs with mlist_take() */
};

/* mlist_push - any thread. What n lies in belongs to the consumer from now on. True if the list
 * was empty. */
static inline bool mlist_push(struct mlist *l, struct mnode *n)
{
	struct mnode *old = READ_ONCE(l->head);

	do
		n->next = old;
	while (!__atomic_compare_exchange_n(&l->head, &old, n, true, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED));
	return old == NULL;
}

/* mlist_empty - exact for the consumer, a hint for anyone else. */
static inline bool mlist_empty(const struct mlist *l)
{
	return READ_ONCE(l->head) == NULL;
}

/* mlist_take - consumer only: everything pushed so far, oldest first, linked by next; NULL if
 * there is nothing. */
static inline struct mnode *mlist_take(struct mlist *l)
{
	struct mnode *n = __atomic_exchange_n(&l->head, NULL, __ATOMIC_SEQ_CST), *first = NULL;

	while (n) {
		struct mnode *next = n->next;

		n->next = first;
		first = n;
		n = next;
	}
	return first;
}

#endif
