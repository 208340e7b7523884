/* SPDX-License-Identifier: BSD-3-Clause */
/* pl_resolve without a network: addresses, and names that no resolver is asked for. */
#include "poller_env.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

#include <parklane/blocking.h>
#include <parklane/ctx.h>

static struct pl_addr addr[2];

/* Ahead of libc's: a host that has IPv6 addresses only, and one that there is not. As a resolver
 * says it that knows the name, and one that knows it by /etc/hosts. */
int getaddrinfo(const char *restrict host, const char *restrict service,
		const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	__typeof__(&getaddrinfo) real;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!strcmp(host, "no.test"))
		return EAI_NONAME;
	if (strcmp(host, "six.test") && strcmp(host, "hosts6.test"))
		return real(host, service, hints, ret);
	if (hints->ai_family == AF_INET6)
		return real("::1", service, hints, ret);
	return strcmp(host, "six.test") ? EAI_NONAME : EAI_NODATA;
}

static void resolves(void *arg)
{
	char text[22];

	(void)arg;
	cr_assert_eq(pl_resolve("10.1.2.3", 80, addr, 2), 1);
	cr_assert_str_eq(pl_addr_format(&addr[0], text, sizeof(text)), "10.1.2.3:80");
	cr_assert_eq(pl_resolve("localhost.", 80, addr, 0), -EINVAL);
	cr_assert_eq(pl_resolve("::1", 80, addr, 2), -EAFNOSUPPORT);
	cr_assert_eq(pl_resolve("[2001:db8::7]", 80, addr, 2), -EAFNOSUPPORT);
	cr_assert_eq(pl_resolve("fe80::1%eth0", 80, addr, 2), -EAFNOSUPPORT);
	cr_assert_eq(pl_resolve("localhost:80", 80, addr, 2), -EINVAL);
	cr_assert_eq(pl_resolve("::x", 80, addr, 2), -EINVAL);
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
	cfg.max_g = 16;
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
	cfg.max_g = 16;
	cr_assert_eq(lane_create(&cfg, &l), 0);
	cr_assert_eq(lane_go(l, asks_in_ended_ctx, NULL, "asks"), 0);
	cr_assert_eq(lane_run(l), 0);
	lane_destroy(l);
	cr_assert_eq(local, -ECANCELED);
}

static int six, hosts6, none;

static void asks_for_six(void *arg)
{
	(void)arg;
	six = pl_resolve("six.test", 7, addr, 2);
	hosts6 = pl_resolve("hosts6.test", 7, addr, 2);
	none = pl_resolve("no.test", 7, addr, 2);
}

Test(resolve, test_resolve_host_with_ipv6_alone_is_not_a_missing_host)
{
	struct lane_config cfg;
	struct lane *l;

	lane_config_init(&cfg);
	cfg.max_g = 16;
	cr_assert_eq(lane_create(&cfg, &l), 0);
	cr_assert_eq(lane_go(l, asks_for_six, NULL, "asks"), 0);
	cr_assert_eq(lane_run(l), 0);
	lane_destroy(l);
	cr_assert_eq(six, -EAFNOSUPPORT);
	cr_assert_eq(hosts6, -EAFNOSUPPORT);
	cr_assert_eq(none, -ENOENT);
	cr_assert_not_null(strstr(pl_strerror(six), "IPv4 only"));
}
