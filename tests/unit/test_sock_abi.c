/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of sock_opt.h are Linux's: a program passes those of its own headers. */
#include <criterion/criterion.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "stack/sock_opt.h"

#define X(name, nr) _Static_assert(name == SK_##name, #name);
SK_SO_OPTIONS(X)
SK_IP_OPTIONS(X)
SK_TCP_OPTIONS(X)
#undef X

_Static_assert(SOL_SOCKET == SK_SOL_SOCKET && IPPROTO_IP == SK_SOL_IP && IPPROTO_TCP == SK_SOL_TCP,
	       "levels");
_Static_assert(SOCK_STREAM == SK_SOCK_STREAM, "SO_TYPE");
_Static_assert(IP_PMTUDISC_DONT == SK_PMTUDISC_DONT && IP_PMTUDISC_WANT == SK_PMTUDISC_WANT &&
		       IP_PMTUDISC_DO == SK_PMTUDISC_DO && IP_PMTUDISC_PROBE == SK_PMTUDISC_PROBE &&
		       IP_PMTUDISC_INTERFACE == SK_PMTUDISC_INTERFACE &&
		       IP_PMTUDISC_OMIT == SK_PMTUDISC_OMIT,
	       "IP_MTU_DISCOVER");
_Static_assert(sizeof(struct linger) == sizeof(struct sk_linger) &&
		       offsetof(struct linger, l_linger) == offsetof(struct sk_linger, l_linger),
	       "SO_LINGER");

Test(sock_abi, test_abi_numbers_are_linux_s)
{
	/* the compiler has proved it */
}
