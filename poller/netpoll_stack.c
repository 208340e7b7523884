/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stack backend: one lane's shard of the stack under the netpoller. The callbacks of a
 * sock map to readiness as the kernel's do to epoll (R34): bytes, a FIN or a connection to
 * accept -> read; room by Linux's one-third rule, connected -> write; reset -> both.
 */
#include "poller/netpoll_stack.h"

#include <errno.h>
#include <stdlib.h>

#include "poller/conn_stack.h"
#include "poller/lane.h"
#include "poller/ledger.h"
#include "stack/sock.h"
#include "stack/stack.h"

/* Frames of the device that one turn takes in before goroutines run, and as many forwarded ones.
 * A count, never cycles (replay); four bursts drain what a client with 64 requests in flight can
 * send in a turn, and keep the time to the first answer below some 20 us. */
#define STACK_POLL_BUDGET (4 * NETDEV_BURST)

struct netpoll_stack {
	struct netpoll_backend nb;
	struct stack *st;   /* (c) */
	struct ledger *led; /* (c) the lane's */
	uint16_t queue;     /* (c) of the device */
	/* (a) any lane: what other shards forwarded */
	struct mlist inbox ALIGNED(CACHE_LINE); /* struct sk_buff */
	uint32_t inbox_nr;                      /* (a) in it and in `taken` */
	uint32_t inbox_arp;                     /* (a) of them ARP's */
	bool kicked;                            /* (a) `kick` is under way */
	struct lane_msg kick;
	struct mnode *taken; /* (o) out of the inbox, for the next turn */
};

static struct netpoll_stack *to_ns(const struct netpoll_backend *nb)
{
	return container_of(nb, struct netpoll_stack, nb);
}

struct stack *netpoll_stack_of(const struct netpoll_backend *nb)
{
	return to_ns(nb)->st;
}

/* ---- the sock's callbacks: mark and enqueue (house rule 6) ---- */

static void on_data_ready(struct sock *sk)
{
	struct poll_desc *pd = sk->sk_user_data;

	/* Linux's tcp_fin has no callback of its own for the reader either */
	if (unlikely(sk->sk_shutdown & RCV_SHUTDOWN))
		pd->hup = true;
	netpoll_ready(pd, NETPOLL_READ);
}

static void on_write_space(struct sock *sk)
{
	netpoll_ready(sk->sk_user_data, NETPOLL_WRITE);
}

/* on_state_change - connected = out; FIN = in|rdhup; closed = in|out|hup. A sock that got a FIN
 * is mostly writable as well: an edge too many is legal (R8). */
static void on_state_change(struct sock *sk)
{
	struct poll_desc *pd = sk->sk_user_data;
	unsigned mode = NETPOLL_WRITE;

	if ((sk->sk_shutdown & RCV_SHUTDOWN) || sk->sk_state == TCP_CLOSE) {
		pd->hup = true;
		mode |= NETPOLL_READ;
	}
	netpoll_ready(pd, mode);
}

static void on_error_report(struct sock *sk)
{
	struct poll_desc *pd = sk->sk_user_data;

	pd->hup = true;
	netpoll_ready(pd, NETPOLL_READ | NETPOLL_WRITE);
}

/* ---- netpoll_ops ---- */

/* netpoll_stack_open - R14. What happened to sk before needs no edge: every first try looks
 * for itself. Only a hang-up must be known (R9). */
static int netpoll_stack_open(struct netpoll_backend *nb, struct poll_desc *pd)
{
	struct sock *sk = pd->sk;

	(void)nb;
	if (sk->sk_err || (sk->sk_shutdown & RCV_SHUTDOWN))
		pd->hup = true;
	sk->sk_data_ready = on_data_ready;
	sk->sk_write_space = on_write_space;
	sk->sk_state_change = on_state_change;
	sk->sk_error_report = on_error_report;
	sk->sk_user_data = pd;
	return 0;
}

/* netpoll_stack_close - R16: the sock forgets the pd, and may outlive it in FIN-WAIT. */
static void netpoll_stack_close(struct netpoll_backend *nb, struct poll_desc *pd)
{
	(void)nb;
	pd->sk->sk_user_data = NULL;
	pd->sk = NULL;
}

/* mark - the stack enters or leaves its device, in a turn that is sampled. */
static void mark(void *ctx, enum stack_step step)
{
	static const uint8_t map[] = {
		[STACK_STEP_DEV_RX] = LEDGER_DRIVER_RX,
		[STACK_STEP_RX] = LEDGER_STACK_RX,
		[STACK_STEP_DEV_TX] = LEDGER_DRIVER_TX,
		[STACK_STEP_TX] = LEDGER_STACK_TX,
	};

	ledger_mark(ctx, map[step]);
}

static int netpoll_stack_poll(struct netpoll_backend *nb, int64_t delay_ns)
{
	struct netpoll_stack *ns = to_ns(nb);

	(void)delay_ns; /* never blocks here: the lane sleeps on sleep_fd() */
	stack_set_mark(ns->st, unlikely(ns->led->sampling) ? mark : NULL, ns->led);
	ledger_mark(ns->led, LEDGER_STACK_RX);
	return (int)stack_rx(ns->st, lane_now(nb->lane), STACK_POLL_BUDGET);
}

static unsigned netpoll_stack_timers(struct netpoll_backend *nb, uint64_t now)
{
	return stack_timers(to_ns(nb)->st, now);
}

static unsigned netpoll_stack_output(struct netpoll_backend *nb, uint64_t now)
{
	struct netpoll_stack *ns = to_ns(nb);

	ledger_mark(ns->led, LEDGER_STACK_TX);
	return stack_output(ns->st, now);
}

static uint64_t netpoll_stack_next_timer(struct netpoll_backend *nb)
{
	struct netpoll_stack *ns = to_ns(nb);

	if (unlikely(stack_has_output(ns->st)))
		return max_t(uint64_t, lane_now(nb->lane), 1);
	return stack_next_timer(ns->st);
}

static int netpoll_stack_sleep_fd(struct netpoll_backend *nb)
{
	struct netpoll_stack *ns = to_ns(nb);
	struct netdev *dev = stack_netdev(ns->st);

	return dev->ops->get_fd ? dev->ops->get_fd(dev, ns->queue) : -EOPNOTSUPP;
}

/* ---- what other shards forward ---- */

/* inbox_enter - one more of those that *nr counts; false: they are `max`. */
static bool inbox_enter(uint32_t *nr, uint32_t max)
{
	if (likely(__atomic_fetch_add(nr, 1, __ATOMIC_RELAXED) < max))
		return true;
	(void)__atomic_fetch_sub(nr, 1, __ATOMIC_RELAXED);
	return false;
}

bool netpoll_stack_forward(struct netpoll_backend *nb, struct sk_buff *skb)
{
	struct netpoll_stack *ns = to_ns(nb);
	bool arp = skb->steer == SKB_STEER_ARP;

	if (unlikely(arp) && !inbox_enter(&ns->inbox_arp, NETPOLL_STACK_INBOX_ARP))
		return false;
	if (!inbox_enter(&ns->inbox_nr, NETPOLL_STACK_INBOX)) {
		if (arp)
			(void)__atomic_fetch_sub(&ns->inbox_arp, 1, __ATOMIC_RELAXED);
		return false;
	}
	(void)mlist_push(&ns->inbox, &skb->xlane);
	/* One message for all that come before it runs. Pairs with take_forwarded(). */
	if (!__atomic_exchange_n(&ns->kicked, true, __ATOMIC_SEQ_CST))
		lane_post(ns->nb.lane, &ns->kick);
	return true;
}

static bool more_forwarded(struct netpoll_stack *ns)
{
	if (!ns->taken)
		ns->taken = mlist_take(&ns->inbox);
	return ns->taken;
}

static struct sk_buff *next_forwarded(struct netpoll_stack *ns)
{
	struct sk_buff *skb = container_of(ns->taken, struct sk_buff, xlane);

	ns->taken = ns->taken->next;
	return skb;
}

static void take_forwarded(struct lane *l, struct lane_msg *m)
{
	struct netpoll_stack *ns = container_of(m, struct netpoll_stack, kick);
	uint32_t nr, arp = 0;

	/* First the flag, then the list: who pushes after the take kicks again. */
	__atomic_store_n(&ns->kicked, false, __ATOMIC_SEQ_CST);
	for (nr = 0; more_forwarded(ns) && nr < STACK_POLL_BUDGET; nr++) {
		struct sk_buff *skb = next_forwarded(ns);

		arp += skb->steer == SKB_STEER_ARP;
		stack_forwarded(ns->st, skb);
	}
	(void)__atomic_fetch_sub(&ns->inbox_nr, nr, __ATOMIC_RELAXED);
	if (unlikely(arp))
		(void)__atomic_fetch_sub(&ns->inbox_arp, arp, __ATOMIC_RELAXED);
	/* As the device's frames: goroutines run in between. */
	if (ns->taken && !__atomic_exchange_n(&ns->kicked, true, __ATOMIC_SEQ_CST))
		lane_post(l, m);
}

static const struct netpoll_ops netpoll_stack_ops = {
	.name = "stack",
	.open = netpoll_stack_open,
	.close = netpoll_stack_close,
	.poll = netpoll_stack_poll,
	.timers = netpoll_stack_timers,
	.output = netpoll_stack_output,
	.next_timer = netpoll_stack_next_timer,
	.sleep_fd = netpoll_stack_sleep_fd,
};

static uint64_t rx_clock(void *l)
{
	return lane_now_again(l);
}

int netpoll_stack_create(struct lane *l, struct stack *st, uint16_t queue,
			 struct netpoll_backend **ret_nb)
{
	struct netpoll_stack *ns;

	if (!stack_netdev(st))
		return -EINVAL;
	ns = aligned_alloc(CACHE_LINE, sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	*ns = (struct netpoll_stack){
		.nb =
			{
				.ops = &netpoll_stack_ops,
				.conn_ops = &conn_stack_ops,
				.lane = l,
				.local = true,
			},
		.st = st,
		.led = lane_ledger(l),
		.queue = queue,
		.kick = {.fn = take_forwarded},
	};
	/* A lane that sleeps may share its cpu; one that spins need not pay for that. */
	if (!lane_spins(l))
		stack_set_rx_clock(st, rx_clock, l);
	*ret_nb = &ns->nb;
	return 0;
}

void netpoll_stack_destroy(struct netpoll_backend *nb)
{
	struct netpoll_stack *ns = to_ns(nb);

	while (more_forwarded(ns))
		stack_forwarded_drop(ns->st, next_forwarded(ns));
	stack_set_rx_clock(ns->st, NULL, NULL);
	free(ns);
}
