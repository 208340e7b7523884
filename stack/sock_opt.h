/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options as sock_setopt() and sock_getopt() number them: Linux's levels, names, values,
 * units and checks, under our own prefix, as no system header may be seen here. A user of
 * <netinet/tcp.h> passes those constants as they are (a test compares all of them). What a
 * child has of its listener is struct sock_options, all of it, as Linux clones the sock.
 */
#ifndef STACK_SOCK_OPT_H
#define STACK_SOCK_OPT_H

#include <stdbool.h>
#include <stdint.h>

#define SK_SOL_IP     0
#define SK_SOL_SOCKET 1
#define SK_SOL_TCP    6

/* clang-format off */
/* X(name, number): SK_SOL_SOCKET. All ints, but for LINGER. */
#define SK_SO_OPTIONS(X)                                                                           \
	X(SO_REUSEADDR, 2)   /* bool; bind beside connections and TIME-WAITs that had it, too */   \
	X(SO_TYPE, 3)        /* get */                                                             \
	X(SO_ERROR, 4)       /* get: the pending error, which it clears */                         \
	X(SO_SNDBUF, 7)      /* bytes, at most wmem_max; doubled, as Linux: truesize counts */     \
	X(SO_RCVBUF, 8)      /* both end auto-tuning for this socket */                            \
	X(SO_KEEPALIVE, 9)   /* bool */                                                            \
	X(SO_OOBINLINE, 10)  /* always 1: urgent data is in line (RFC 6093); 0 is -EINVAL */       \
	X(SO_LINGER, 13)     /* struct sk_linger; on with 0 s: sock_close resets. No close waits */\
	X(SO_REUSEPORT, 15)  /* bool; and listeners who all have it share clients. Of one lane:   \
			      * another lane's sockets are never in the way, and share nothing */  \
	X(SO_RCVLOWAT, 18)   /* bytes before a reader is told; 0 is 1 */                           \
	X(SO_SNDLOWAT, 19)   /* get: 1 */                                                          \
	X(SO_ACCEPTCONN, 30) /* get: does it listen? */                                            \
	X(SO_SNDBUFFORCE, 32) /* as without FORCE, but not bound by wmem_max */                    \
	X(SO_RCVBUFFORCE, 33)                                                                      \
	X(SO_PROTOCOL, 38)   /* get: 6 */                                                          \
	X(SO_DOMAIN, 39)     /* get */

/* X(name, number): SK_SOL_IP, ints; one byte will do, too. */
#define SK_IP_OPTIONS(X)                                                                           \
	X(IP_TOS, 1)           /* the two ECN bits are TCP's and stay */                           \
	X(IP_TTL, 2)           /* 1..255; -1 the default of 64 */                                  \
	X(IP_MTU_DISCOVER, 10) /* enum sk_pmtudisc */                                             \
	X(IP_MTU, 14)          /* get: of the path, connected only */

/* X(name, number): SK_SOL_TCP, ints unless said otherwise. */
#define SK_TCP_OPTIONS(X)                                                                          \
	X(TCP_NODELAY, 1)        /* bool */                                                        \
	X(TCP_MAXSEG, 2)         /* bytes, 88..32767, before the handshake; 0 none */              \
	X(TCP_CORK, 3)           /* bool; what is corked leaves after an RTO at the latest */      \
	X(TCP_KEEPIDLE, 4)       /* s, 1..32767 */                                                 \
	X(TCP_KEEPINTVL, 5)      /* s, 1..32767 */                                                 \
	X(TCP_KEEPCNT, 6)        /* 1..127 */                                                      \
	X(TCP_SYNCNT, 7)         /* 1..127 */                                                      \
	X(TCP_LINGER2, 8)        /* s of an orphan in FIN-WAIT-2; < 0 none; 0 the stack's */       \
	X(TCP_DEFER_ACCEPT, 9)   /* s, rounded up to a count of SYN-ACKs */                        \
	X(TCP_WINDOW_CLAMP, 10)  /* bytes */                                                       \
	X(TCP_INFO, 11)          /* get: struct sk_tcp_info, cut to the length asked for */        \
	X(TCP_QUICKACK, 12)      /* 1 no delayed ACKs for now, 0 delay them, 2 just once */        \
	X(TCP_CONGESTION, 13)    /* a name of at most 15 bytes */                                  \
	X(TCP_USER_TIMEOUT, 18)  /* ms (RFC 5482); 0 none */                                       \
	X(TCP_TIMESTAMP, 24)     /* get: what TSval would be now; set is -EPERM */                 \
	X(TCP_NOTSENT_LOWAT, 25) /* bytes not yet sent from which on a writer waits; 0 the stack's */ \
	X(TCP_INQ, 36)           /* bool, kept: sock_inq() tells it to everyone */
/* clang-format on */

enum sk_option {
#define X(name, nr) SK_##name = nr,
	SK_SO_OPTIONS(X)
#undef X
};

enum sk_ip_option {
#define X(name, nr) SK_##name = nr,
	SK_IP_OPTIONS(X)
#undef X
};

enum sk_tcp_option {
#define X(name, nr) SK_##name = nr,
	SK_TCP_OPTIONS(X)
#undef X
};

#define SK_SOCK_STREAM 1 /* SO_TYPE */

/* struct linger */
struct sk_linger {
	int l_onoff;
	int l_linger; /* s */
};

#define SK_DEFAULT_TTL 64u /* as Linux */

#define SK_CA_NAME_MAX 16 /* TCP_CONGESTION, with the final zero */

/* As Linux numbers IP_PMTUDISC_*, and as ip(7) says. TCP fits its segments to the path itself, so
 * that WANT and DO are one; Linux sends PROBE's without DF, against ip(7). */
enum sk_pmtudisc {
	SK_PMTUDISC_DONT,      /* no DF: routers fragment, and are not listened to */
	SK_PMTUDISC_WANT,      /* the default: DF */
	SK_PMTUDISC_DO,        /* DF */
	SK_PMTUDISC_PROBE,     /* DF, and what routers say is not believed */
	SK_PMTUDISC_INTERFACE, /* no DF, and the device's MTU always */
	SK_PMTUDISC_OMIT,      /* the same: nothing here is larger than that */
};

#define SK_SNDBUF_LOCK 1u /* sock_options.userlocks: the user chose the size */
#define SK_RCVBUF_LOCK 2u

/* What was chosen for one socket and no segment asks for. (o); tcp_sock_alloc() gives the
 * stack's settings, sock_setopt() what the user says. */
struct sock_options {
	uint16_t keepidle, keepintvl; /* s */
	uint8_t keepcnt;
	uint8_t syn_retries;  /* of SYNs, a listener's of SYN-ACKs; 0 the stack's */
	uint8_t defer_accept; /* SYN-ACKs that may go out before data; 0 off */
	uint8_t userlocks;    /* SK_*_LOCK */
	uint8_t reuseaddr, reuseport, keepalive, inq;
	uint16_t user_mss;      /* 0 none */
	uint16_t linger_s;      /* valid with linger_on */
	bool linger_on;         /* SO_LINGER */
	int32_t linger2;        /* s; -1: an orphan is dropped once in FIN-WAIT-2; 0 fin_timeout */
	uint32_t user_timeout;  /* ms; 0 none */
	uint32_t notsent_lowat; /* as the user said; 0 none */
};

#endif
