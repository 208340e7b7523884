/* SPDX-License-Identifier: BSD-3-Clause */
/* Host names: the system's resolver (RFC 3493 section 6.1), on the pool of pl_blocking(). */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <parklane/blocking.h>

#include "poller/ctx.h"
#include "poller/lane_int.h"

#define HOST_MAX 255

/* Its own memory, so that a resolver that hangs can be left behind. */
struct resolve {
	char host[HOST_MAX + 1];
	size_t max;
	int ret;       /* how many, or -errno */
	uint32_t v4[]; /* max of them, network order */
};

static int resolve_errno(int eai, int err)
{
	switch (eai) {
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return err ? -err : -EIO;
	default:
		return -EIO;
	}
}

/* only_v6 - is it there, but not for us? Asked where there was no answer of IPv4. */
static bool only_v6(const char *host)
{
	const struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM};
	struct addrinfo *all;

	if (getaddrinfo(host, NULL, &hints, &all))
		return false;
	freeaddrinfo(all);
	return true;
}

static void resolve_run(void *arg)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *all, *i;
	struct resolve *r = arg;
	int eai;

	errno = 0;
	eai = getaddrinfo(r->host, NULL, &hints, &all);
	if (eai) {
		r->ret = resolve_errno(eai, errno);
		if (r->ret == -ENOENT && only_v6(r->host))
			r->ret = -EAFNOSUPPORT;
		return;
	}
	for (i = all; i && (size_t)r->ret < r->max; i = i->ai_next)
		r->v4[r->ret++] =
			((const struct sockaddr_in *)(const void *)i->ai_addr)->sin_addr.s_addr;
	freeaddrinfo(all);
}

/* is_v6 - "::1", also as "fe80::1%eth0" (RFC 4007 11.2) or "[::1]". */
static bool is_v6(const char *host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	size_t len;

	host += *host == '[';
	len = strcspn(host, "%]");
	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	return inet_pton(AF_INET6, text, &v6) == 1;
}

PL_API int pl_resolve(const char *host, uint16_t port, struct pl_addr *addrs, size_t max)
{
	struct lane *l = lane_self();
	struct in_addr v4;
	struct resolve *r;
	size_t len;
	int ret;

	if (!host || !addrs || max == 0)
		return -EINVAL;
	len = strnlen(host, HOST_MAX + 1);
	if (len > HOST_MAX)
		return -EINVAL;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		addrs[0] = (struct pl_addr){.family = PL_AF_INET, .port = port, .v4 = v4.s_addr};
		return 1;
	}
	/* no host name has a colon (RFC 1123 2.1) */
	if (strchr(host, ':'))
		return is_v6(host) ? -EAFNOSUPPORT : -EINVAL;
	if (l && l->virt)
		return -ENODEV;
	max = min_t(size_t, max, 64);
	r = calloc(1, sizeof(*r) + max * sizeof(r->v4[0]));
	if (!r)
		return -ENOMEM;
	memcpy(r->host, host, len + 1);
	r->max = max;
	ret = pl_blocking_drop(resolve_run, r, free);
	if (ret == -ECANCELED || ret == -ETIME)
		return ret;
	if (ret == 0)
		ret = r->ret;
	for (int i = 0; i < ret; i++)
		addrs[i] = (struct pl_addr){.family = PL_AF_INET, .port = port, .v4 = r->v4[i]};
	free(r);
	return ret;
}
