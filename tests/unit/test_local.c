/* SPDX-License-Identifier: BSD-3-Clause */
/* Values of a goroutine. */
#include "poller_env.h"

#include <errno.h>
#include <stdlib.h>

#include <parklane/local.h>

static unsigned key[PL_KEYS_MAX];
static int destroyed[8], nr_destroyed;

static void destroy(void *value)
{
	destroyed[nr_destroyed++ % 8] = (int)(intptr_t)value;
}

static void sets(void *arg)
{
	cr_assert_null(pl_local_get(key[0]), "a recycled g starts empty");
	cr_assert_eq(pl_local_set(key[0], arg), 0);
	pl_yield();
	cr_assert_eq(pl_local_get(key[0]), arg, "each its own");
}

Test(local, test_local_each_g_its_own_destroyed_at_its_end)
{
	struct env e;

	cr_assert_eq(pl_key_make(destroy, &key[0]), 0);
	env_init(&e, true);
	for (int round = 0; round < 2; round++) {
		nr_destroyed = 0;
		env_go(&e, sets, (void *)1);
		env_go(&e, sets, (void *)2);
		env_turns(&e, 1);
		cr_assert_eq(nr_destroyed, 0);
		env_turns(&e, 1);
		cr_assert_eq(nr_destroyed, 2);
		cr_assert(destroyed[0] == 1 && destroyed[1] == 2);
	}
	env_fini(&e);
}

static void edges(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_local_set(PL_KEYS_MAX, &key), -EINVAL);
	cr_assert_eq(pl_local_set(12345, &key), -EINVAL);
	cr_assert_null(pl_local_get(12345));
	cr_assert_eq(pl_local_set(key[PL_KEYS_MAX - 1], NULL), 0);
	for (uintptr_t i = 0; i < PL_KEYS_MAX; i++)
		cr_assert_eq(pl_local_set(key[i], (void *)(i + 1)), 0);
	for (uintptr_t i = 0; i < PL_KEYS_MAX; i++)
		cr_assert_eq(pl_local_get(key[i]), (void *)(i + 1));
}

Test(local, test_local_all_keys_and_none_more)
{
	struct env e;
	unsigned more = 7;

	cr_assert_eq(pl_local_set(0, &e), -EXDEV);
	cr_assert_null(pl_local_get(0));
	for (unsigned i = 0; i < PL_KEYS_MAX; i++)
		cr_assert_eq(pl_key_make(NULL, &key[i]), 0);
	cr_assert_eq(pl_key_make(NULL, &more), -EAGAIN);
	cr_assert_eq(more, 7);
	env_init(&e, true);
	env_go(&e, edges, NULL);
	env_turns(&e, 1);
	env_fini(&e);
}

static void destroy_and_set(void *value)
{
	nr_destroyed++;
	cr_assert_eq(pl_local_set(key[0], value), 0);
	pl_yield();
}

Test(local, test_local_destructor_that_sets_again_ends)
{
	struct env e;

	cr_assert_eq(pl_key_make(destroy_and_set, &key[0]), 0);
	env_init(&e, true);
	env_go(&e, sets, (void *)1);
	env_turns(&e, 10);
	cr_assert_eq(nr_destroyed, 4);
	cr_assert_eq(lane_nr_g(e.lane), 0);
	env_fini(&e);
}

Test(local, test_local_of_a_g_dropped_with_its_lane_is_not_destroyed)
{
	struct env e;

	cr_assert_eq(pl_key_make(destroy, &key[0]), 0);
	env_init(&e, true);
	env_go(&e, sets, (void *)1);
	env_turns(&e, 1);
	env_fini(&e);
	cr_assert_eq(nr_destroyed, 0);
}
