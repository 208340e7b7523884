/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A kernel's tap device, its network side in our hands: what the kernel sends on it is read here
 * frame by frame, what is written comes to the kernel as received. Frames are whole and at most of
 * the MTU, with their checksums complete: a tap without a vnet header offers the kernel no offload.
 */
#ifndef APPS_WIRE_TAP_H
#define APPS_WIRE_TAP_H

#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct wtap {
	char name[IFNAMSIZ]; /* as it was asked for; whoever owns it may rename it */
	char netns[108];     /* path of its namespace's file; "" that of this thread */
	int fd;              /* reads and writes do not wait */
	uint64_t drops;      /* that the kernel counted at the start: we were too slow to read */
};

struct wtap_ip {
	const char *text; /* as it was given, the caller's; NULL none */
	struct in_addr addr, mask;
};

/* wtap_name - "wa" or "wa@red", the latter of `ip netns add red`, of a process by its number, or of
 * a file by its path. 0; -EINVAL. */
MUST_USE int wtap_name(struct wtap *t, const char *s);
/* wtap_open - attach to the tap, which is made if there is none and then ends with us. It is up
 * afterwards. Without privilege: one that is up, and the user's ('ip tuntap add ... user'). 0;
 * -errno, with one line that says what to do in err. */
MUST_USE int wtap_open(struct wtap *t, char *err, size_t errlen);
/* wtap_cidr - "10.78.0.1/24". 0; -EINVAL. */
MUST_USE int wtap_cidr(const char *s, struct wtap_ip *ret);
/* wtap_address - give the kernel's side an IPv4 address. As wtap_open(). */
MUST_USE int wtap_address(const struct wtap *t, const struct wtap_ip *ip, char *err, size_t errlen);
/* wtap_drops - frames that were lost since the start because nobody read them in time; 0 if the
 * kernel does not tell. */
uint64_t wtap_drops(const struct wtap *t);
void wtap_close(struct wtap *t);

#endif
