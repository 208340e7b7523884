/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of a goroutine, in slots by key that its struct g points to. */
#include "poller/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <parklane/local.h>

#include "poller/sched_int.h"

/* A destructor may set values again; they are destroyed too, so often. As POSIX for threads. */
#define LOCAL_ROUNDS 4
#define LOCAL_MIN    8u /* slots of a first value */

static void (*destructors[PL_KEYS_MAX])(void *value); /* (a) set once, before nr_keys says so */
static unsigned nr_claimed, nr_keys;                  /* (a) */

PL_API int pl_key_make(void (*destroy)(void *value), unsigned *ret_key)
{
	unsigned key = READ_ONCE(nr_claimed), done;

	if (!ret_key)
		return -EINVAL;
	do
		if (key == PL_KEYS_MAX)
			return -EAGAIN;
	while (!__atomic_compare_exchange_n(&nr_claimed, &key, key + 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED));
	__atomic_store_n(&destructors[key], destroy, __ATOMIC_RELAXED);
	/* known in their order: the maker of an earlier one is a few stores away */
	do {
		cpu_relax();
		done = key;
	} while (!__atomic_compare_exchange_n(&nr_keys, &done, key + 1, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	*ret_key = key;
	return 0;
}

static int local_grow(struct g *g, unsigned key)
{
	uint32_t nr = LOCAL_MIN;
	void **slots;

	while (nr <= key)
		nr *= 2;
	slots = realloc(g->locals, nr * sizeof(void *));
	if (!slots)
		return -ENOMEM;
	memset(slots + g->nr_locals, 0, (nr - g->nr_locals) * sizeof(void *));
	g->locals = slots;
	g->nr_locals = nr;
	return 0;
}

PL_API int pl_local_set(unsigned key, void *value)
{
	struct g *g = sched_self();

	if (!g)
		return -EXDEV;
	if (key >= __atomic_load_n(&nr_keys, __ATOMIC_ACQUIRE))
		return -EINVAL;
	if (key >= g->nr_locals) {
		if (!value)
			return 0;
		if (local_grow(g, key))
			return -ENOMEM;
	}
	g->locals[key] = value;
	return 0;
}

PL_API void *pl_local_get(unsigned key)
{
	const struct g *g = sched_self();

	return g && key < g->nr_locals ? g->locals[key] : NULL;
}

static bool destroy_round(struct g *g)
{
	bool any = false;

	for (uint32_t key = 0; key < g->nr_locals; key++) {
		void *value = g->locals[key];
		void (*destroy)(void *value);

		if (!value)
			continue;
		g->locals[key] = NULL;
		destroy = __atomic_load_n(&destructors[key], __ATOMIC_RELAXED);
		if (destroy) {
			any = true;
			destroy(value);
		}
	}
	return any;
}

void local_g_exit(struct g *g)
{
	for (int i = 0; i < LOCAL_ROUNDS && destroy_round(g); i++)
		;
	local_g_drop(g);
}

void local_g_drop(struct g *g)
{
	free(g->locals);
	g->locals = NULL;
	g->nr_locals = 0;
}
