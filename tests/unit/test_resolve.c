/* SPDX-License-Identifier: BSD-3-Clause */
/* pl_resolve without a network: addresses, and names that no resolver is asked for. */
#include "poller_env.h"

#include <errno.h>
#include <string.h>

#include <parklane/blocking.h>
#include <parklane/ctx.h>

static struct pl_addr addr[2];

static void resolves(void *arg)
{
	char text[22];

	(void)arg;
	cr_assert_eq(pl_resolve("10.1.2.3", 80, addr, 2), 1);
	cr_assert_str_eq(pl_addr_format(&addr[0], text, sizeof(text)), "10.1.2.3:80");
	cr_assert_eq(pl_resolve("localhost.", 80, addr, 0), -EINVAL);
}

static void long_name(void *arg)
{
	char name[300];

	(void)arg;
	memset(name, 'a', sizeof(name));
	name[256] = '\0';
	cr_assert_eq(pl_resolve(name, 80, addr, 2), -EINVAL);
	cr_assert_eq(pl_resolve("localhost", 80, addr, 2), -ENODEV, "virtual time");
}

Test(resolve, test_resolve_address_needs_no_pool_and_bad_input_is_refused)
{
	struct env e;

	env_init(&e, true);
	env_go(&e, resolves, NULL);
	env_go(&e, long_name, NULL);
	env_turns(&e, 1);
	cr_assert_eq(lane_nr_g(e.lane), 0);
	env_fini(&e);
}

static int local, empty;

static void asks(void *arg)
{
	(void)arg;
	local = pl_resolve("localhost", 7, addr, 2);
	/* a label of 64 octets is no name (RFC 1035 2.3.4): refused without a question */
	empty = pl_resolve("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 7,
			   &addr[1], 1);
}

Test(resolve, test_resolve_localhost_on_the_pool)
{
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	cr_assert_eq(lane_create(&cfg, &l), 0);
	cr_assert_eq(lane_go(l, asks, NULL, "asks"), 0);
	cr_assert_eq(lane_run(l), 0);
	lane_destroy(l);
	cr_assert_geq(local, 1);
	cr_assert_eq(addr[0].port, 7);
	cr_assert_eq(*(const uint8_t *)&addr[0].v4, 127);
	cr_assert_lt(empty, 0);
}

static void asks_in_ended_ctx(void *arg)
{
	struct pl_ctx *ctx;

	(void)arg;
	cr_assert_eq(pl_ctx_with_cancel(NULL, &ctx), 0);
	pl_ctx_cancel(ctx, 0);
	(void)pl_ctx_enter(ctx);
	local = pl_resolve("localhost", 7, addr, 2);
	pl_ctx_leave(NULL);
	pl_ctx_put(ctx);
}

Test(resolve, test_resolve_in_an_ended_ctx_is_its_error)
{
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	cr_assert_eq(lane_create(&cfg, &l), 0);
	cr_assert_eq(lane_go(l, asks_in_ended_ctx, NULL, "asks"), 0);
	cr_assert_eq(lane_run(l), 0);
	lane_destroy(l);
	cr_assert_eq(local, -ECANCELED);
}
