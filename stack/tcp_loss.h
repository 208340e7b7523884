/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss recovery and congestion control as tcp_int.h has them: what they keep of a connection,
 * what one ACK says, and the calls between tcp_ack.c, tcp_sack.c, tcp_rack.c, tcp_recovery.c,
 * tcp_undo.c and tcp_cong.c. Owner lane only; bytes unless a name says segments.
 */
#ifndef STACK_TCP_LOSS_H
#define STACK_TCP_LOSS_H

#include "stack/stack_int.h"

struct tcp_sock;
struct tcp_options;

/* tcp_skb_cb.sacked: the scoreboard's tags on a write-queue skb (RFC 6675). */
#define TCPCB_SACKED  0x01u /* the peer holds it */
#define TCPCB_LOST    0x02u /* deemed lost */
#define TCPCB_RETRANS 0x04u /* a retransmission is in flight */
#define TCPCB_PUSHED  0x08u /* it ended a part of a burst, as tcp_output.c's push_burst said */

enum tcp_ca_state {
	TCP_CA_OPEN,     /* numbered as in Linux: TCP_INFO tells it */
	TCP_CA_DISORDER, /* dup ACKs or SACKs, nothing deemed lost */
	TCP_CA_CWR,      /* cwnd is reduced for another reason than loss */
	TCP_CA_RECOVERY, /* fast retransmit */
	TCP_CA_LOSS,     /* after an RTO */
};

#define TCP_SSTHRESH_INF 0x7fffffffu /* as Linux's TCP_INFINITE_SSTHRESH */
#define TCP_CA_PRIV_SIZE 96u

/* F-RTO (RFC 5682) after an RTO. */
enum tcp_frto {
	TCP_FRTO_OFF,
	TCP_FRTO_WAIT, /* for the first ACK that advances (step 2) */
	TCP_FRTO_NEW,  /* new data is on its way instead of retransmissions (step 3) */
};

enum tcp_ca_event {
	TCP_CA_EVENT_TX_START, /* data leaves where nothing was in flight; to who set ca_tx_start */
	TCP_CA_EVENT_CE, /* a segment came that is marked; one that is not. Only with needs_ecn */
	TCP_CA_EVENT_NO_CE,
};

/*
 * A congestion control. NULL where an algorithm has nothing to say. Its own words are in
 * tcp_sock.ca_priv, zeroed before init.
 */
struct tcp_congestion_ops {
	const char *name;
	bool needs_ecn; /* asks for ECN whatever tcp_ecn says, and answers marks itself */
	void (*init)(struct tcp_sock *tp);
	/* ssthresh - bytes, on congestion (RFC 5681 3.1 equation 4 or the algorithm's own). Not
	 * NULL. */
	uint32_t (*ssthresh)(struct tcp_sock *tp);
	/* cong_avoid - grow snd_cwnd after `acked` newly delivered bytes, in slow start as well;
	 * only called when cwnd was the limit. Not NULL. */
	void (*cong_avoid)(struct tcp_sock *tp, uint32_t acked);
	/* set_state - ca_state is about to change; a reduction has been computed already. */
	void (*set_state)(struct tcp_sock *tp, enum tcp_ca_state state);
	void (*cwnd_event)(struct tcp_sock *tp, enum tcp_ca_event ev);
	/* in_ack_event - `acked` bytes more are acknowledged, with or without ECE. */
	void (*in_ack_event)(struct tcp_sock *tp, uint32_t acked, bool ece);
	/* pkts_acked - a round trip was measured; only called in slow start, when cwnd was the
	 * limit: what does not fill the path builds no queue that its delay could tell of. */
	void (*pkts_acked)(struct tcp_sock *tp, uint32_t rtt_us);
	/* undo_cwnd - the window when a reduction was a mistake; NULL = what it was before. */
	uint32_t (*undo_cwnd)(struct tcp_sock *tp);
};

extern const struct tcp_congestion_ops tcp_cubic, tcp_dctcp, tcp_reno;

/* What RFC 8985 5.2 keeps of a connection: RACK.xmit_ts, RACK.end_seq and so on. */
struct tcp_rack {
	uint64_t xmit_ns;     /* of the segment sent last among those known delivered */
	uint64_t rtt_ns;      /* of the latest delivered one */
	uint32_t end_seq;     /* breaks ties between segments of one xmit_ns */
	uint32_t dsack_round; /* valid if in_dsack_round */
	uint8_t reo_wnd_mult; /* quarters of the least RTT */
	uint8_t reo_wnd_persist;
	bool in_dsack_round;
	bool advanced; /* something was delivered since losses were last looked for */
};

/*
 * Where to start looking for a sequence number in the sent part of the write queue: every gap-th
 * skb sent, in a ring. The first ring is the sock's own; a flight that outgrows it gets one of
 * the shard's (two to a block of their slab, a twentieth of what such a flight's buffers take), and
 * where that one is full, too, or there is none, every second entry goes and the gap doubles.
 */
#define TCP_INDEX_SIZE 32u
#define TCP_MARKS_SIZE 2720u
#define TCP_INDEX_GAP  8u
struct tcp_marks {
	uint32_t seq[TCP_MARKS_SIZE];
	struct sk_buff *skb[TCP_MARKS_SIZE];
};

struct tcp_sent_index {
	uint32_t gap, since;     /* skbs between two entries; sent since the last entry */
	uint16_t head, nr, size; /* entries are head .. head + nr - 1, modulo the size */
	uint32_t *seq;           /* the ring in use: the sock's own, or that of marks */
	struct sk_buff **skb;
	struct tcp_marks *marks; /* of tcp_shard.marks; NULL none */
};

/* The sock's own ring. */
struct tcp_own_marks {
	uint32_t seq[TCP_INDEX_SIZE];
	struct sk_buff *skb[TCP_INDEX_SIZE];
};

/* tcp_index_at - where the i-th entry stands; i <= size. */
static inline unsigned tcp_index_at(const struct tcp_sent_index *ix, unsigned i)
{
	unsigned at = ix->head + i;

	return at >= ix->size ? at - ix->size : at;
}

/* The rate at which segments are delivered (tcp_rate.h); the draft's C.* variables. Bytes, ns. */
struct tcp_rate {
	uint32_t delivered;   /* in all */
	uint32_t app_limited; /* valid if limited, which it is until `delivered` is beyond this */
	uint64_t delivered_ns, first_tx_ns;
	uint64_t interval;            /* of the latest sample that counts; 0 none */
	uint32_t bytes;               /* delivered in it */
	bool limited, sample_limited; /* now; when that sample was taken */
};

/* The segment, among those that an ACK tells of, that was sent last; prior_ns 0: none. */
struct tcp_rate_sample {
	uint64_t tx_ns, first_tx_ns; /* when it was sent; when the flight began that it ends */
	uint64_t prior_ns; /* when `prior` bytes had been delivered, all that were known ... */
	uint32_t prior, end_seq; /* ... when it was sent */
	bool app_limited;
};

/* What one ACK says: gathered by tcp_ack.c and tcp_sack.c, judged by the recovery. Bytes. */
#define TCP_ACKF_UNA          0x01u /* snd_una moved */
#define TCP_ACKF_SACKED       0x02u /* something was SACKed that was not before */
#define TCP_ACKF_ORIG         0x04u /* what never was retransmitted, of before the recovery, came */
#define TCP_ACKF_RETRANS      0x08u /* what was acknowledged had been retransmitted */
#define TCP_ACKF_DSACK        0x10u /* it carries a believable D-SACK */
#define TCP_ACKF_DSACK_TLP    0x20u /* ... that is about the tail loss probe */
#define TCP_ACKF_DUP          0x40u /* a duplicate ACK by RFC 5681 section 2 */
#define TCP_ACKF_LOST_RETRANS 0x80u /* a retransmission was found lost */
#define TCP_ACKF_TIMER        0x100u /* the retransmit timer starts anew */
#define TCP_ACKF_ECE          0x200u /* it says ECE, and ECN was agreed on */
struct tcp_ack_state {
	uint32_t prior_una, prior_fack; /* before this ACK; prior_fack = prior_una: no SACKs */
	uint32_t acked;                 /* by which snd_una moved */
	uint32_t delivered;             /* known to have arrived only now */
	uint32_t reord;                 /* the lowest sequence number that came late */
	uint32_t prior_lost;            /* tcp_sock.lost_bytes before it */
	uint32_t ts_ecr;                /* SEG.TSecr; 0 none */
	uint64_t rtt_ns;                /* UINT64_MAX: none was measured */
	uint64_t sack_rtt_ns;           /* likewise, of what was SACKed */
	uint16_t flags;                 /* TCP_ACKF_* */
	struct tcp_rate_sample *rate;
};

/* ---- tcp_sack.c ---- */
/* tcp_sack_tag - apply the SACK blocks of an ACK of `ack` to the scoreboard; what was learnt is
 * added to a. */
void tcp_sack_tag(struct tcp_sock *tp, const struct tcp_options *opt, uint32_t ack,
		  struct tcp_ack_state *a);
/* tcp_check_reordering - what begins at `low` came although `fack` had come before. */
void tcp_check_reordering(struct tcp_sock *tp, uint32_t low, uint32_t fack);
void tcp_loss_init(struct tcp_sock *tp);
/* tcp_split_sent - `rest` was cut off behind skb. */
void tcp_split_sent(struct tcp_sock *tp, struct sk_buff *skb, struct sk_buff *rest);
/* __tcp_index_add - skb, the last one sent, gets an entry; __tcp_index_pop - the first one's skb
 * leaves. */
void __tcp_index_add(struct tcp_sock *tp, struct sk_buff *skb);
void __tcp_index_pop(struct tcp_sock *tp);
/* tcp_index_merge - skb, not the oldest one sent, is about to become part of prev, right before
 * it. */
void tcp_index_merge(struct tcp_sock *tp, const struct sk_buff *skb, struct sk_buff *prev);
/* tcp_mark_lost - skb is to be sent again. One that was already: that retransmission is lost. */
void tcp_mark_lost(struct tcp_sock *tp, struct sk_buff *skb);
void tcp_clear_scoreboard(struct tcp_sock *tp);

/* ---- tcp_rack.c ---- */
/* tcp_rack_advance - skb was delivered (RFC 8985 6.2 steps 1 and 2). */
void tcp_rack_advance(struct tcp_sock *tp, const struct sk_buff *skb);
/* tcp_rack_update_reo_wnd - step 4's adaptation to D-SACKs; leaving: a recovery ends. */
void tcp_rack_update_reo_wnd(struct tcp_sock *tp, bool dsack, bool leaving);
/* tcp_rack_mark_lost - step 5; arms the reordering timer if something may still be in time. True:
 * a retransmission was found lost. */
bool tcp_rack_mark_lost(struct tcp_sock *tp);
/* tcp_rack_recent - may skb, by RACK's measure, be still on its way? */
bool tcp_rack_recent(const struct tcp_sock *tp, const struct sk_buff *skb);
/* tcp_reo_expired - the reordering timer (6.3). */
void tcp_reo_expired(struct tcp_sock *tp);
/* tcp_tlp_delay - RFC 8985 7.2: ns from now to the tail loss probe; 0 = no probe now. */
uint64_t tcp_tlp_delay(const struct tcp_sock *tp);
void tcp_tlp_expired(struct tcp_sock *tp);
/* tcp_tlp_acked - 7.4: the probe's end was acknowledged; if it repaired a loss that nobody saw, the
 * congestion window answers for it. */
void tcp_tlp_acked(struct tcp_sock *tp, uint32_t ack, const struct tcp_ack_state *a);

/* ---- tcp_recovery.c ---- */
void tcp_set_ca_state(struct tcp_sock *tp, enum tcp_ca_state state);
/* tcp_fastretrans - drive DISORDER/RECOVERY/LOSS after an ACK; a->delivered is set right where
 * there is no SACK. */
void tcp_fastretrans(struct tcp_sock *tp, struct tcp_ack_state *a);
/* tcp_enter_recovery - something is deemed lost: fast recovery (RFC 5681 3.2, 6675 5). ece: the
 * path was congested for certain, nothing is to be undone. */
void tcp_enter_recovery(struct tcp_sock *tp, bool ece);
/* tcp_enter_loss - after an RTO (RFC 5681 3.1, RFC 6675 5.1). */
void tcp_enter_loss(struct tcp_sock *tp);

/* ---- tcp_merge.c ---- */
/* tcp_merge_lost - let skb, which is about to be sent again, take in what is lost right behind
 * it. */
void tcp_merge_lost(struct tcp_sock *tp, struct sk_buff *skb);

/* ---- tcp_undo.c ---- */
/* tcp_undo_init - a reduction begins that may be a mistake. */
void tcp_undo_init(struct tcp_sock *tp);
/* tcp_undo_retransmitted - a segment was sent again for a loss (not as a probe). */
void tcp_undo_retransmitted(struct tcp_sock *tp);
/* tcp_undo_dsack - the peer had `segs` segments up to `end` twice. */
void tcp_undo_dsack(struct tcp_sock *tp, uint32_t end, uint32_t segs);
/* tcp_undo_at_end, tcp_undo_partial, tcp_undo_by_dsack - at the end of a recovery, at an ACK within
 * it, at any time. True: undone, or (partial) to be waited for. */
void tcp_undo_at_end(struct tcp_sock *tp, const struct tcp_ack_state *a);
bool tcp_undo_partial(struct tcp_sock *tp, const struct tcp_ack_state *a);
bool tcp_undo_by_dsack(struct tcp_sock *tp);
/* tcp_process_loss - an ACK in LOSS: F-RTO, undo, the end. */
void tcp_process_loss(struct tcp_sock *tp, const struct tcp_ack_state *a);
/* tcp_any_retrans - is a retransmission in flight, or the head one? */
bool tcp_any_retrans(const struct tcp_sock *tp);
/* tcp_try_keep_open - OPEN, or DISORDER while the scoreboard is not clean. */
void tcp_try_keep_open(struct tcp_sock *tp);

/* ---- tcp_ecn.c ---- */
enum {
	TCP_ECN_OFF,
	TCP_ECN_ASK,    /* agree, and ask in our own SYNs */
	TCP_ECN_ACCEPT, /* agree */
};
/* tcp_ecn_syn - flags of tp's first SYN. */
uint8_t tcp_ecn_syn(struct tcp_sock *tp);
/* tcp_ecn_syn_accept - does the SYN skb to listener lp make a connection with ECN? */
bool tcp_ecn_syn_accept(const struct tcp_sock *lp, const struct sk_buff *skb);
/* tcp_ecn_synack_accept - does the SYN-ACK skb? */
bool tcp_ecn_synack_accept(const struct tcp_sock *tp, const struct sk_buff *skb);
/* tcp_ecn_data - a segment with text came on a connection with ECN; before it is queued. */
void tcp_ecn_data(struct tcp_sock *tp, const struct sk_buff *skb);
/* tcp_ecn_flags - flags beside the usual ones of what leaves now; *tos gets ECT if it may. skb of
 * the write queue, NULL = none. Only with ecn_ok. */
uint8_t tcp_ecn_flags(struct tcp_sock *tp, const struct sk_buff *skb, uint8_t *tos);

/* ---- tcp_cong.c ---- */
/* tcp_cong_init - the initial window, with the algorithm that tp has. */
void tcp_cong_init(struct tcp_sock *tp);
/* tcp_cong_default - of the stack's setting. */
const struct tcp_congestion_ops *tcp_cong_default(const struct stack *st);
/* tcp_cong_find - by name; NULL unknown. */
const struct tcp_congestion_ops *tcp_cong_find(const char *name);
/* tcp_cong_set - ca from now on: the window stays, what was learnt of the path does not. */
void tcp_cong_set(struct tcp_sock *tp, const struct tcp_congestion_ops *ca);
/* __tcp_cong_grow - tcp_cong_grow (tcp_fast.h) of a window that is used. */
void __tcp_cong_grow(struct tcp_sock *tp, uint32_t acked);
/* tcp_cong_control - after each ACK: reduce in proportion, or grow. */
void tcp_cong_control(struct tcp_sock *tp, const struct tcp_ack_state *a);
/* tcp_slow_start - grow up to ssthresh; returns what of `acked` is left for congestion
 * avoidance. */
uint32_t tcp_slow_start(struct tcp_sock *tp, uint32_t acked);
void tcp_reno_cong_avoid(struct tcp_sock *tp, uint32_t acked);
/* tcp_cwnd_validate - after output; limited: it was cwnd that stopped it. */
void tcp_cwnd_validate(struct tcp_sock *tp, bool limited);
/* tcp_cwnd_restart - data is to leave after at least an RTO of silence. */
void tcp_cwnd_restart(struct tcp_sock *tp);
/* tcp_current_ssthresh - what an undo would set. */
uint32_t tcp_current_ssthresh(const struct tcp_sock *tp);
void tcp_cwnd_reduction_begin(struct tcp_sock *tp);
void tcp_cwnd_reduction(struct tcp_sock *tp, uint32_t delivered, bool newly_lost, bool una_moved);
void tcp_cwnd_reduction_end(struct tcp_sock *tp);
/* tcp_enter_cwr - one window's reduction for another reason than loss. */
void tcp_enter_cwr(struct tcp_sock *tp);

#endif
