/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receiving side of a connection, as the other tcp_*.c files see it: the queue in order, what
 * waits behind a hole, the window. Owner lane only; sequence numbers in host order.
 */
#ifndef STACK_TCP_RCVQ_H
#define STACK_TCP_RCVQ_H

#include <sys/types.h>

#include "stack/skb.h"

struct stack;
struct tcp_sock;

/* ---- tcp_rcvq.c ---- */
/* tcp_data_queue - step 7: consumes skb, whose data starts at the payload. A FIN that comes
 * in order sets fin_rcvd. */
void tcp_data_queue(struct tcp_sock *tp, struct sk_buff *skb);
/* tcp_queue_rcv - append in-order bytes; false and skb untouched if there is no memory. */
bool tcp_queue_rcv(struct tcp_sock *tp, struct sk_buff *skb);
/* tcp_queue_in_order - append skb, which starts at rcv_nxt, honouring its FIN. False: no memory. */
bool tcp_queue_in_order(struct tcp_sock *tp, struct sk_buff *skb);
/* tcp_rmem_fits - may `n` more bytes of truesize be pinned by tp? What the window promised may go a
 * quarter beyond sk_rcvbuf, what waits behind a hole may not. */
bool tcp_rmem_fits(const struct tcp_sock *tp, uint32_t n, bool in_order);
/* tcp_rmem_charge, tcp_rmem_uncharge - skb joins or leaves one of tp's receiving queues. */
void tcp_rmem_charge(struct tcp_sock *tp, const struct sk_buff *skb);
void tcp_rmem_uncharge(struct tcp_sock *tp, const struct sk_buff *skb);
/* tcp_may_coalesce - would skb's bytes fit behind those of `to`, which end where skb begins? */
bool tcp_may_coalesce(const struct sk_buff *to, const struct sk_buff *skb);
/* tcp_coalesce - do that. Frees skb. */
void tcp_coalesce(struct sk_buff *to, struct sk_buff *skb);
/* tcp_trim_front, tcp_trim_end - make skb begin at `seq`, or end there (a FIN goes with the
 * end). */
void tcp_trim_front(struct sk_buff *skb, uint32_t seq);
void tcp_trim_end(struct sk_buff *skb, uint32_t seq);
/* tcp_select_window - the window to advertise now, unscaled, never shrinking (RFC 9293
 * 3.8.6.2.2) but for TCP_ACK_NOMEM; updates rcv_wnd and rcv_wup. */
uint32_t tcp_select_window(struct tcp_sock *tp);
uint32_t tcp_new_window(const struct tcp_sock *tp);
/* tcp_event_data_recv - delayed-ACK book-keeping after len bytes in order. */
void tcp_event_data_recv(struct tcp_sock *tp, uint32_t len);
/* tcp_enter_quickack - the peer needs our ACKs: no delays for the next segments. */
void tcp_enter_quickack(struct tcp_sock *tp);
/* __tcp_measure_rcv_mss - skb's length tells the peer's segment size anew. */
void __tcp_measure_rcv_mss(struct tcp_sock *tp, const struct sk_buff *skb);
/* tcp_data_ready - tell the reader if SO_RCVLOWAT is reached, or if no more can come. */
void tcp_data_ready(struct tcp_sock *tp);
ssize_t tcp_recv(struct tcp_sock *tp, void *buf, size_t len);
void tcp_rcv_queues_purge(struct tcp_sock *tp);
/* tcp_init_window - rcv_wnd and rcv_wscale for tp's SYN, or a SYN-ACK of listener tp's. */
void tcp_init_window(const struct tcp_sock *tp, bool wscale, uint32_t *ret_wnd,
		     uint8_t *ret_wscale);

/* ---- tcp_tune.c ---- */
/* tcp_init_buffers - the connection is open: where its buffers begin. */
void tcp_init_buffers(struct tcp_sock *tp);
/* __tcp_rcv_rtt_window - a window's worth has come. */
void __tcp_rcv_rtt_window(struct tcp_sock *tp);
/* __tcp_rcv_rtt_ts - len bytes answer what we sent at tsecr, which no segment did before. */
void __tcp_rcv_rtt_ts(struct tcp_sock *tp, uint32_t tsecr, uint32_t len);
/* __tcp_grow_window - len bytes came: offer more of the buffer than before. */
void __tcp_grow_window(struct tcp_sock *tp, uint32_t len);
/* __tcp_rcv_space_adjust - a round trip is over: make the buffer as large as the reader is fast. */
void __tcp_rcv_space_adjust(struct tcp_sock *tp);
/* tcp_reset_lowat - TCP_NOTSENT_LOWAT is what the user said, else ours. */
void tcp_reset_lowat(struct tcp_sock *tp);
/* tcp_writer_back - a writer that was sent away (write_held) writes again. */
void tcp_writer_back(struct tcp_sock *tp);
/* tcp_sndbuf_expand - the send buffer follows the congestion window. */
void tcp_sndbuf_expand(struct tcp_sock *tp);

/* ---- tcp_ofo.c ---- */
/* tcp_ofo_insert - keep skb until the hole before it is filled. Of overlapping bytes the first
 * copy wins (B21): skb is cut around what is there. Consumes skb. */
void tcp_ofo_insert(struct tcp_sock *tp, struct sk_buff *skb);
/* tcp_ofo_cut - end skb where `next`, which waits already, begins: its bytes came first (B21). The
 * part behind next is returned and the caller's; NULL: there is none, or no buffer for it (the peer
 * sends it again). Nothing is done if the two do not overlap, or next is NULL. */
struct sk_buff *tcp_ofo_cut(struct tcp_sock *tp, struct sk_buff *skb, const struct sk_buff *next);
/* tcp_dsack_set - [start, end) came a second time: the next ACK tells (RFC 2883). */
void tcp_dsack_set(struct tcp_sock *tp, uint32_t start, uint32_t end);
/* tcp_ofo_drain - move what has become in order to the receive queue. */
void tcp_ofo_drain(struct tcp_sock *tp);
/* tcp_ofo_prune - memory for in-order bytes is worth more than what lies beyond a hole: make room
 * for n bytes of truesize if that is possible. */
void tcp_ofo_prune(struct tcp_sock *tp, uint32_t n);
void tcp_ofo_purge(struct tcp_sock *tp, enum skb_drop_reason why);

#endif
