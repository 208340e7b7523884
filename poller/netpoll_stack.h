/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack backend of the netpoller: its poll() IS the device poll. What hard IRQ, softirq
 * and NAPI do in the kernel happens inside it, on the lane's own core, and ends in the sock
 * callbacks that make a goroutine runnable.
 */
#ifndef POLLER_NETPOLL_STACK_H
#define POLLER_NETPOLL_STACK_H

#include "poller/netpoll.h"

struct sk_buff;
struct stack;

/*
 * netpoll_stack_create - a backend that drives st, whose device is attached by then on
 * `queue`. Hand it to lane_add_backend(l). st and its device stay the caller's and outlive
 * it. 0; -ENOMEM; -EINVAL no device. *ret_nb is untouched on failure.
 */
MUST_USE int netpoll_stack_create(struct lane *l, struct stack *st, uint16_t queue,
				  struct netpoll_backend **ret_nb);
/*
 * netpoll_stack_forward - bring skb to nb's shard (stack_steer_ops): it goes on in that lane's
 * next turn, or a later one behind what came before it. Any thread, while the lane turns. False,
 * and skb is still the caller's: the lane is behind by NETPOLL_STACK_INBOX frames.
 */
MUST_USE bool netpoll_stack_forward(struct netpoll_backend *nb, struct sk_buff *skb);
#define NETPOLL_STACK_INBOX 4096u
/* Of them ARP's at most, which anybody on the link can make: the rest is left to connections. */
#define NETPOLL_STACK_INBOX_ARP (NETPOLL_STACK_INBOX / 16)

/* netpoll_stack_destroy - after lane_destroy; what was forwarded and not run goes back to the
 * pool. */
void netpoll_stack_destroy(struct netpoll_backend *nb);

/* netpoll_stack_of - the stack that nb drives. Owner lane. */
struct stack *netpoll_stack_of(const struct netpoll_backend *nb);

#endif
