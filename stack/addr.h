/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses as sockets name them. IPv6 has its place from the start and is refused for now. */
#ifndef STACK_ADDR_H
#define STACK_ADDR_H

#include <stdint.h>

#define SK_AF_INET  2
#define SK_AF_INET6 10

struct sk_addr {
	uint16_t family; /* SK_AF_*; 0 = unset */
	uint16_t port;   /* host order; 0 = any */
	union {
		uint32_t v4;    /* network order; 0 = any */
		uint8_t v6[16]; /* network order */
	};
};

/* Prints as 10.0.0.1: SK_IP4_ARGS(network-order address). */
#define SK_IP4_FMT "%u.%u.%u.%u"
#define SK_IP4_ARGS(a)                                                                             \
	((const uint8_t *)&(a))[0], ((const uint8_t *)&(a))[1], ((const uint8_t *)&(a))[2],        \
		((const uint8_t *)&(a))[3]

#endif
