/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Local ports: who has one, who may have it as well (SO_REUSEADDR, SO_REUSEPORT), which one a
 * connect gets, and which listener a segment is for. Owner lane only, and of this lane alone: a
 * port that another lane's socket has is free here. Addresses in network order, ports in host
 * order.
 */
#ifndef STACK_TCP_PORT_H
#define STACK_TCP_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/compiler.h"

struct stack;
struct tcp_shard;
struct tcp_sock;
struct tcp_tw;

#define TCP_LISTEN_BUCKETS 256u
#define TCP_PORT_BUCKETS   4096u

/* How a sock has its port, if it has one. */
enum tcp_port_use {
	TCP_PORT_NONE,
	TCP_PORT_CONN,  /* a connect chose it, or it is the listener's: until the connection ends */
	TCP_PORT_BOUND, /* by sock_bind: until the sock is freed */
	TCP_PORT_LISTEN, /* the same, and it listens */
};

#define TCP_REUSE_ADDR 1u /* SO_REUSEADDR */
#define TCP_REUSE_PORT 2u /* SO_REUSEPORT */
#define TCP_REUSE_NR   4u /* values of the two */

/*
 * tcp_port_bind - tp, which has none, gets `port`, as bind(2) gives it. 0; -EADDRINUSE; -ENOBUFS.
 * Linux's rule (inet_csk_bind_conflict), which asks what all who have the port say now, those of
 * accepted connections and of TIME-WAITs included: each of them and the new one need SO_REUSEADDR
 * both, which does not help against a listener, or SO_REUSEPORT both. That they are of one user is
 * given, and that their addresses overlap as well, as a stack has one.
 */
MUST_USE int tcp_port_bind(struct tcp_sock *tp, uint16_t port);
/* tcp_port_listen - tp, bound, listens from now on. 0; -EADDRINUSE by the same rule: with
 * SO_REUSEADDR alone several may be bound, but one listens. */
MUST_USE int tcp_port_listen(struct tcp_sock *tp);
/* tcp_port_connect - tp connects from node.lport. 0; -ENOBUFS. */
MUST_USE int tcp_port_connect(struct tcp_sock *tp);
/* tcp_port_child - tp came in through a listener, which is there still. */
void tcp_port_child(struct tcp_sock *tp);
/* tcp_port_put - tp lets go of its port, if it has one. */
void tcp_port_put(struct tcp_sock *tp);
/* tcp_port_done - tp's connection is over: a port that it did not bind goes. */
void tcp_port_done(struct tcp_sock *tp);
/* tcp_port_set_reuse - setsockopt: `bit` of TCP_REUSE_* is on or off. */
void tcp_port_set_reuse(struct tcp_sock *tp, unsigned bit, bool on);
/* tcp_port_time_wait - tw has tp's port as well. tcp_port_tw_put - and no more. */
void tcp_port_time_wait(struct tcp_tw *tw, const struct tcp_sock *tp);
void tcp_port_tw_put(struct stack *st, const struct tcp_tw *tw);

/* tcp_pick_port - an ephemeral port for (laddr, ?, faddr, fport) that nobody bound, 0 if exhausted.
 * *ret_tw is the TIME-WAIT that stands there and may be ended for it, or untouched. faddr 0: to
 * listen on, which nobody has at all. */
uint16_t tcp_pick_port(struct stack *st, uint32_t laddr, uint32_t faddr, uint16_t fport,
		       struct tcp_tw **ret_tw);

/* tcp_lookup_listener - who listens on (laddr, lport): the address before 0.0.0.0, and of several
 * with SO_REUSEPORT the one that a keyed hash gives (faddr, fport), the same as long as no listener
 * comes or goes. NULL: nobody. */
struct tcp_sock *tcp_lookup_listener(const struct tcp_shard *sh, uint32_t laddr, uint16_t lport,
				     uint32_t faddr, uint16_t fport);
void tcp_listen_remove(struct tcp_shard *sh, struct tcp_sock *tp);
/* tcp_listen_same - does `tp` listen where `lp` does? They share what comes then. */
bool tcp_listen_same(const struct tcp_sock *tp, const struct tcp_sock *lp);
/* tcp_listen_first - the listeners of a bucket of ports, lp's among them, by listen_next. */
const struct tcp_sock *tcp_listen_first(const struct tcp_sock *lp);

void tcp_port_init(struct tcp_shard *sh);

#endif
