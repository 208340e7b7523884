/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a connection begins and ends, as the other tcp_*.c files see it: its block and the writer of
 * its state, the passive open, TIME-WAIT. Owner lane only; sequence numbers in host order.
 */
#ifndef STACK_TCP_CONN_H
#define STACK_TCP_CONN_H

#include "stack/skb.h"
#include "stack/sock.h"

struct stack;
struct tcp_node;
struct tcp_req;
struct tcp_sock;
struct tcp_tw;

/* ---- tcp_conn.c ---- */
void tcp_set_state(struct tcp_sock *tp, enum tcp_state state);
MUST_USE struct tcp_sock *tcp_sock_alloc(struct stack *st);
/* tcp_done - the connection is over: CLOSE, out of the tables, timers off; freed when the
 * user let go too. tp may be gone afterwards. */
void tcp_done(struct tcp_sock *tp);
/* tcp_abort_err - tcp_done with a pending error and the callbacks. */
void tcp_abort_err(struct tcp_sock *tp, int err);
void tcp_sock_free(struct tcp_sock *tp);
MUST_USE int tcp_connect(struct tcp_sock *tp, const struct sk_addr *peer);
void tcp_shutdown_send(struct tcp_sock *tp);
void tcp_close(struct tcp_sock *tp, bool abort);
/* tcp_inherit - what a child has of its listener, as Linux clones it. */
void tcp_inherit(struct tcp_sock *tp, const struct tcp_sock *lp);
/* tcp_init_transfer - SYN-SENT became ESTABLISHED or SYN-RECEIVED did. */
void tcp_init_transfer(struct tcp_sock *tp);

/* ---- tcp_listen.c ---- */
/* tcp_listen_rcv - RFC 9293 3.10.7.2. Consumes. min_isn: our ISN may not be below it, as a
 * TIME-WAIT of the same 4-tuple made way; 0 = any. */
void tcp_listen_rcv(struct tcp_sock *lp, struct sk_buff *skb, uint32_t min_isn);
/* tcp_req_rcv - a segment for a half-open connection. Consumes. */
void tcp_req_rcv(struct stack *st, struct tcp_req *req, struct sk_buff *skb);
void tcp_listen_stop(struct tcp_sock *lp);
void tcp_req_free(struct stack *st, struct tcp_req *req);
/* tcp_child_ready - a child reached ESTABLISHED: into the accept queue. */
void tcp_child_ready(struct tcp_sock *tp);

/* ---- tcp_tw.c ---- */
/* tcp_time_wait - tp becomes a TIME-WAIT object and is done. */
void tcp_time_wait(struct tcp_sock *tp);
/* tcp_tw_rcv - consumes skb. True: a SYN that may reopen; tw is gone, skb is the caller's, and
 * *ret_isn is the least ISN of the new connection. */
bool tcp_tw_rcv(struct stack *st, struct tcp_tw *tw, struct sk_buff *skb, uint32_t *ret_isn);
/* tcp_tw_may_go - is n a TIME-WAIT that an active open may end? Then *ret_tw is it.
 * tcp_tw_inherit - tp, about to send its SYN, goes on where tw was. */
bool tcp_tw_may_go(const struct stack *st, struct tcp_node *n, struct tcp_tw **ret_tw);
void tcp_tw_inherit(struct tcp_sock *tp, const struct tcp_tw *tw);
void tcp_tw_free(struct stack *st, struct tcp_tw *tw);
void tcp_tw_purge(struct stack *st);

#endif
