/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct stack: one lane's shard of the TCP/IP engine. A pure engine: `now`, the random
 * seed, memory and the log sink are handed in; it never blocks, never calls the system
 * and never calls the scheduler. Owner lane only, unless a line says otherwise.
 */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "stack/addr.h"
#include "stack/base/clock.h"
#include "stack/base/log.h"
#include "stack/netdev.h"
#include "stack/settings.h"
#include "stack/skb.h"

struct stack;

/* Where tables and sock pools come from: libnuma for real lanes, malloc in tests. Memory
 * from alloc() is zeroed. */
struct stack_mem_ops {
	void *(*alloc)(void *ctx, size_t size);
	void (*free)(void *ctx, void *p, size_t size);
	void *ctx;
};

/*
 * Several lanes behind one address (house rule 1): which lane a flow belongs to, and the way
 * there for what came by another lane's queue. All lanes must get the same answers from home().
 */
struct stack_steer_ops {
	/* home - the lane of a TCP flow, named as its peer sends it: (saddr, sport) the peer's,
	 * (daddr, dport) ours; all in network order. Below nr_lanes. */
	uint16_t (*home)(void *ctx, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport);
	/* forward - bring skb to stack_forwarded() on the thread of `lane`, which is another
	 * one. False: its queue is full, skb is still the caller's. */
	bool (*forward)(void *ctx, uint16_t lane, struct sk_buff *skb);
	void *ctx;
};

/* What a stack is made with; stack_config_init() gives every field its default. What a user can
 * set is the table in settings.h. Times in ns. */
struct stack_config {
	struct stack_mem_ops mem;
	struct log_sink log;
	uint8_t seed[32]; /* keys ISN, ports, hash tables; must be secret on real lanes */
	STACK_SETTINGS_FIELDS
	uint16_t lane, nr_lanes; /* which shard this is; dial picks ports whose flow comes home */
	struct stack_steer_ops steer; /* unused while nr_lanes is 1 */
};

/* stack_config_init - all defaults; mem = malloc/free of libc, seed all zero. */
void stack_config_init(struct stack_config *cfg);

/* stack_create - 0; -ENOMEM; -EINVAL a config field out of range (stack_settings_bad() tells
 * which, if it is one of the table). */
MUST_USE int stack_create(const struct stack_config *cfg, struct skb_pool *pool,
			  struct stack **ret_st);
/* stack_destroy - aborts what is open without sending, frees all. Devices stay the
 * caller's. */
void stack_destroy(struct stack *st);

/*
 * stack_attach - one IPv4 address on one queue of a device. v4 addresses in network
 * order; prefix_len 1..32; gw 0 = none. 0; -EINVAL bad address, prefix, mtu, or a gateway
 * outside of the prefix; -EBUSY one is attached already (one device per stack for now).
 * Sends a gratuitous ARP at the next output.
 */
MUST_USE int stack_attach(struct stack *st, struct netdev *dev, uint16_t queue, uint32_t ip,
			  unsigned prefix_len, uint32_t gw);

/* ---- the turn: poller's stack backend calls these in the order of architecture.md ---- */

/* Where a turn's time goes, stamped per burst at the border between stack and device. */
enum stack_step {
	STACK_STEP_DEV_RX, /* inside rx_burst */
	STACK_STEP_RX,
	STACK_STEP_DEV_TX, /* inside tx_burst */
	STACK_STEP_TX,
};

/* stack_set_mark - call fn(ctx, step) whenever the next step begins; NULL = nobody measures,
 * which costs a predicted branch per burst. For the ledger's sampled turns. */
void stack_set_mark(struct stack *st, void (*fn)(void *ctx, enum stack_step step), void *ctx);

/* stack_set_rx_clock - `now` is asked for again, from clock(ctx), whenever frames were taken off
 * the device: it never goes back, nor behind what stack_rx() was told. For who may lose the cpu
 * between its look at the clock and that; else an ACK that comes meanwhile makes a round trip too
 * short. NULL = `now` is that of the call, as it is for who was given no clock. */
void stack_set_rx_clock(struct stack *st, uint64_t (*clock)(void *ctx), void *ctx);
/* stack_rx - poll the device once (whole bursts, at most `budget` frames) and run them
 * through the stack. Returns frames seen. `now` in ns never goes back. */
unsigned stack_rx(struct stack *st, uint64_t now, unsigned budget);
/* stack_timers - run what is due of ARP, TCP and TIME-WAIT. Returns timers run. */
unsigned stack_timers(struct stack *st, uint64_t now);
/* stack_output - what became sendable in this turn, coalesced ACKs, then one tx_burst.
 * Returns frames handed to the device. */
unsigned stack_output(struct stack *st, uint64_t now);
/* stack_next_timer - a lower bound of the next ns at which stack_timers() has work, or
 * stack_rx() has some that no device will announce (the internal loopback, a frame that a
 * decorator holds); 0 none. */
uint64_t stack_next_timer(const struct stack *st);
/* stack_forwarded - take over and run an skb that another lane's shard forwarded here. Both
 * shards' pool is the same. Consumes skb. */
void stack_forwarded(struct stack *st, struct sk_buff *skb);
/* stack_forwarded_drop - the same for a shard that is about to end: only the buffers are taken
 * over, and freed. */
void stack_forwarded_drop(struct stack *st, struct sk_buff *skb);
/* stack_has_output - true if stack_output() would send something now. */
bool stack_has_output(const struct stack *st);

struct netdev *stack_netdev(const struct stack *st);
uint32_t stack_ip(const struct stack *st); /* network order; 0 before stack_attach */

/* ---- looking in: any thread, relaxed ---- */

/* clang-format off */
#define STACK_COUNTERS(X)                                                                          \
	X(rx_packets) X(rx_bytes) X(tx_packets) X(tx_bytes) X(tx_ring_full)                        \
	X(csum_sw_rx) X(csum_hw_rx) X(csum_sw_tx) X(csum_hw_tx)                                    \
	X(arp_in) X(arp_out) X(icmp_in) X(icmp_out) X(ip_in) X(ip_out) X(ip_reasm_reqds) X(ip_reasm_oks) X(ip_reasm_fails) X(loopback)                 \
	X(tcp_in_segs) X(tcp_out_segs) X(tcp_retrans_segs) X(tcp_in_errs) X(tcp_out_rsts)          \
	X(tcp_active_opens) X(tcp_passive_opens) X(tcp_attempt_fails) X(tcp_estab_resets)          \
	X(tcp_curr_estab) X(tcp_accept_overflow) X(tcp_syn_overflow)                               \
	X(tcp_syncookies_sent) X(tcp_syncookies_recv) X(tcp_syncookies_failed)                     \
	X(tcp_fast_path) X(tcp_slow_path) X(tcp_dup_acks_in) X(tcp_dup_acks_out)                   \
	X(tcp_fast_retrans) X(tcp_sack_recovery) X(tcp_reno_recovery) X(tcp_timeouts)              \
	X(tcp_spurious_rtos) X(tcp_probes) X(tcp_loss_probes) X(tcp_undos) X(tcp_dsack_in) X(tcp_dsack_out) X(tcp_delayed_acks) X(tcp_pure_acks_out)                \
	X(tcp_ofo_queued) X(tcp_challenge_acks) X(tcp_tw_count) X(tcp_tw_overflow)                 \
	X(tcp_mtu_reduced) X(tcp_mtu_black_holes) X(tcp_mtu_probes) X(tcp_mtu_probe_oks) X(tcp_mtu_probe_fails) X(tcp_persist_drops) X(tcp_orphan_drops) X(tcp_keepalive_probes) X(tcp_keepalive_drops) X(bytes_to_user) X(bytes_from_user) X(socks_in_use) X(reqs_in_use) X(skbs_in_use)                   \
	X(steered_out) X(steered_in)
/* clang-format on */

struct stack_stats {
#define X(name) uint64_t name;
	STACK_COUNTERS(X)
#undef X
	uint64_t drops[SKB_DROP_MAX];
};

/* stack_stats - the live counters; read with stat_read(). */
const struct stack_stats *stack_stats(const struct stack *st);

/* One line of `parklane stat`. */
struct stack_sock_info {
	struct sk_addr local, peer;
	uint8_t state;
	uint8_t retransmits;
	uint32_t recv_q, send_q; /* bytes */
	uint32_t cwnd, ssthresh; /* segments */
	uint32_t srtt_us, rto_us, mss;
	uint64_t bytes_in, bytes_out, retrans;
	const char *ca; /* the congestion control's name */
	uint32_t rttvar_us, min_rtt_us;
	uint32_t snd_wnd, rcv_wnd;          /* bytes */
	uint32_t in_flight, not_sent, lost; /* bytes of send_q: sent, not yet sent, deemed lost */
	uint32_t rcvbuf, sndbuf;            /* bytes of truesize */
	uint64_t busy_us;                   /* with something to send or in flight, of it: */
	uint64_t window_us;                 /* the peer's window was shut */
	uint64_t sndbuf_us;                 /* all was sent, and the writer waited for room */
};

/* stack_for_each_sock - call fn for every socket; owner lane only; fn returns false to
 * stop. Order: by creation. */
void stack_for_each_sock(struct stack *st, bool (*fn)(void *ctx, const struct stack_sock_info *i),
			 void *ctx);

#endif
