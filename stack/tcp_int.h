/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside TCP: the connection block with the RFC's variable names, the small objects for
 * half-open and TIME-WAIT connections, and what the tcp_*.c files ask of each other.
 * All owner-lane only. Sequence numbers are compared by before() and after() alone.
 * RFCs: 9293, 7323 (window scale, timestamps), 2018 and 6675 (SACK), 6298 (RTO), 5681
 * and 6582 (congestion control), 5961 (blind attacks), 6528 (ISN), 6056 (ports).
 */
#ifndef STACK_TCP_INT_H
#define STACK_TCP_INT_H

#include <errno.h>

#include "stack/sock.h"
#include "stack/stack_int.h"
#include "stack/tcp_conn.h"
#include "stack/tcp_hash.h"
#include "stack/tcp_info.h"
#include "stack/tcp_loss.h"
#include "stack/tcp_port.h"
#include "stack/tcp_rcvq.h"

#define TCPF_FIN 0x01u
#define TCPF_SYN 0x02u
#define TCPF_RST 0x04u
#define TCPF_PSH 0x08u
#define TCPF_ACK 0x10u
#define TCPF_URG 0x20u
#define TCPF_ECE 0x40u
#define TCPF_CWR 0x80u
#define TCPF_CE  0x100u /* not in the header: the IP header says congestion experienced */

#define TCP_HLEN         20u
#define TCP_MAX_OPT      40u
#define TCP_TS_ALIGNED   12u /* nop nop TS */
#define TCP_MAX_HEADER   (ETH_HLEN + 2 + IP_HLEN + TCP_HLEN + TCP_MAX_OPT)
#define TCP_MSS_DEFAULT  536u /* RFC 9293 3.7.1 */
#define TCP_MIN_SND_MSS  48u  /* Linux tcp_min_snd_mss: below, headers eat the link (B17) */
#define TCP_MAX_WSCALE   14u  /* RFC 7323 2.3 */
#define TCP_MAX_SACKS    4u
#define TCP_MIN_RCV_MSS  88u          /* Linux TCP_MIN_MSS */
#define TCP_DUPTHRESH    3u           /* RFC 5681 3.2 */
#define TCP_REORD_MAX    300u         /* Linux net.ipv4.tcp_max_reordering, segments */
#define TCP_INIT_CWND    10u          /* RFC 6928, segments */
#define TCP_TIMEOUT_INIT NSEC_PER_SEC /* RFC 6298 2.1 */
#define TCP_QUICKACKS    16u          /* segments acknowledged at once after the start, as Linux */
/* what this machine could not send is tried again by then, without backoff (Linux) */
#define TCP_RESOURCE_PROBE_INTERVAL (500 * NSEC_PER_MSEC)
/* no 16-bit window equals it: the slow path looks first */
#define TCP_NO_PRED UINT32_MAX

static inline bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool after(uint32_t a, uint32_t b)
{
	return before(b, a);
}

/* RFC 9293 3.1; multi-byte fields in network order. */
struct tcphdr_ {
	uint16_t source, dest;
	uint32_t seq, ack_seq;
	uint8_t doff;  /* high four bits: header length in words */
	uint8_t flags; /* TCPF_* */
	uint16_t window, check, urg_ptr;
} PACKED;

enum tcp_node_kind {
	TCP_NODE_SOCK,
	TCP_NODE_REQ,
	TCP_NODE_TW,
};

/* What stands in the table of 4-tuples. */
struct tcp_node {
	struct tcp_node *next, **pprev; /* bucket chain; pprev NULL = not in the table */
	uint32_t laddr, faddr;          /* network order */
	uint16_t lport, fport;          /* host order */
	uint8_t kind;                   /* enum tcp_node_kind */
};

/* Options as read from a segment, or as agreed on. */
struct tcp_options {
	uint16_t mss;       /* 0 = absent */
	uint8_t snd_wscale; /* the peer's shift */
	bool wscale_ok, tstamp_ok, sack_ok;
	bool saw_tstamp;
	uint32_t ts_val, ts_ecr;
	uint8_t nr_sacks;
	struct tcp_sack_block {
		uint32_t start, end;
	} sack[TCP_MAX_SACKS];
};

struct tcp_sock;

/* What the retransmit timer stands for at present. */
enum tcp_pending {
	TCP_PEND_NONE,
	TCP_PEND_RETRANS,
	TCP_PEND_TLP,    /* tail loss probe (RFC 8985 section 7) */
	TCP_PEND_REO,    /* RACK's reordering timer (RFC 8985 6.3) */
	TCP_PEND_PROBE,  /* zero window (RFC 9293 3.8.6.1) */
	TCP_PEND_ORPHAN, /* FIN-WAIT-2 without a user */
};

#define TCP_ACK_SCHED 1u /* something arrived that must be acknowledged in time */
#define TCP_ACK_NOW   2u /* ... at this turn's output */
#define TCP_ACK_NOMEM 4u /* ... with a window of zero: there was no memory for it */

/* tcp_sock.nonagle: TCP_NODELAY; TCP_CORK; what is queued now leaves in spite of both. */
#define TCP_NAGLE_OFF  1u
#define TCP_NAGLE_CORK 2u
#define TCP_NAGLE_PUSH 4u
#define TCP_NAGLE_MORE 8u /* MSG_MORE, until the turn's output */

/* What the path to a destination takes, as long as that is believed. */
struct tcp_pmtu {
	uint64_t until;
	uint32_t daddr; /* network order */
	uint16_t mtu;
};

/* The search for the path's MTU without routers' help (RFC 4821); sizes are MTUs. */
struct tcp_mtup {
	bool enabled;
	uint16_t low, high;  /* is known to pass; may pass */
	uint16_t probe_size; /* of the probe in flight; 0 none */
	uint32_t probe_start, probe_end;
	uint64_t searched_ns; /* when the search began */
};

/* In the order of use, as a round trip touches a hundred of these fields and each cache line
 * counts with many connections (tests/bench/bench_rr): first what a segment reads or writes in
 * either direction when nothing is lost, then what recovery wants, then what is rare. tcp_conn.c
 * asserts which lines the former are. */
struct tcp_sock {
	struct sock sk; /* first: container_of */
	struct tcp_node node;

	/* RX, every segment. RFC 9293 3.3.1 names. */
	uint32_t rcv_nxt, rcv_wnd;
	uint32_t rcv_wup;    /* rcv_nxt when the window was last advertised = Last.ACK.sent */
	uint32_t copied_seq; /* the user has read up to here */
	uint32_t snd_una, snd_nxt, snd_wnd;
	uint32_t snd_wl1;   /* SEG.SEQ of the last window update; wl2 is snd_una at that time */
	uint32_t write_seq; /* end of the write queue */
	uint32_t ts_recent;
	uint64_t ts_recent_ns; /* when ts_recent was set (PAWS 24 days) */
	uint32_t pred_window;  /* SEG.WND as last taken, unscaled; or TCP_NO_PRED */
	uint8_t hdr_len;       /* bytes of TCP header without SACK: 20 or 32 */
	uint8_t snd_wscale, rcv_wscale;
	uint8_t ack_pending; /* TCP_ACK_* */
	uint8_t quickack;    /* segments still to be acknowledged at once */
	bool pingpong;       /* interactive: delay ACKs, data will carry them */
	bool tstamp_ok, sack_ok, wscale_ok;
	uint8_t nonagle;     /* TCP_NAGLE_* */
	uint8_t ca_state;    /* enum tcp_ca_state */
	bool ece_owed;       /* each segment says ECE (RFC 3168 6.1.3) */
	uint8_t pending;     /* enum tcp_pending */
	uint8_t retransmits; /* RTOs in a row */
	uint8_t backoff;
	uint8_t probes_out;
	uint8_t dupacks;
	bool cwnd_limited;                /* the last output stopped at cwnd (RFC 7661 spirit) */
	bool ecn_ok, ecn_asked, ecn_seen; /* agreed on; our first SYN asked; text came with ECT */
	bool cwr_owed;                    /* the next new segment says CWR */
	bool tlp_out, tlp_retrans;        /* a probe is in flight; it was a retransmission */
	uint8_t nr_sacks;                 /* of sacks */
	uint8_t chrono;     /* enum tcp_chrono: where time since chrono_since belongs */
	bool fin_wanted;    /* ours waits for a buffer */
	bool mtu_watch;     /* pmtu_until or mtup is in use */
	uint8_t pmtudisc;   /* enum sk_pmtudisc: IP_MTU_DISCOVER */
	bool ca_tx_start;   /* ca wants TCP_CA_EVENT_TX_START */
	bool write_held;    /* the writer was sent away, and has not come again */
	uint8_t writer_dry; /* how often in a row it then came to a queue long dry */
	uint16_t mss_cache; /* payload bytes of a full segment with today's options */
	uint16_t advmss;    /* what we told the peer */
	uint16_t rcv_mss;   /* what it seems to send: for the ACK-every-second rule */
	uint16_t ip_id;     /* RFC 6864: per flow */
	uint32_t tsoffset;
	int err_soft;              /* what ICMP said; becomes sk_err if the timer gives up */
	struct list_head out_link; /* on tcp_shard.out_list */
	struct sk_buff *send_head; /* first skb not yet sent; NULL none */

	/* congestion and loss: bytes */
	uint32_t snd_cwnd, snd_ssthresh;
	uint32_t max_flight, cwnd_usage_seq; /* the most in flight in this round trip (RFC 7661) */
	uint32_t cwnd_used;                  /* the most since cwnd_stamp_ns */
	uint32_t sacked_out;                 /* SACKed (or, without SACK, dup ACKs * mss) */
	uint32_t lost_out, retrans_out;
	uint64_t cwnd_stamp_ns;       /* when cwnd was last seen used, or judged */
	struct sk_buff *highest_sack; /* the highest SACKed skb; NULL none */
	struct sk_buff *sack_hint;    /* where the last SACK block was looked up, or NULL */
	struct list_head sent_list;   /* sent, neither SACKed nor to be sent again: by time */
	struct sk_buff *lost_hint;    /* the last one put onto lost_list, or NULL */
	struct tcp_rack rack;
	uint32_t recover;               /* RFC 6582: snd_nxt when recovery began */
	uint32_t prr_out;               /* RFC 6937 */
	uint32_t lost_bytes, delivered; /* bytes ever marked lost; segments */
	struct tcp_rate rate;           /* of delivery */
	uint32_t snd_sml;               /* end of the last small segment sent (Minshall's Nagle) */
	uint32_t notsent_lowat;         /* unsent bytes from which on a writer waits (tcp_tune.c) */
	uint32_t reordering;            /* segments; grows with what was seen (TCP_INFO) */
	uint32_t min_rtt_us;
	uint64_t min_rtt_ns; /* when it was measured */
	const struct tcp_congestion_ops *ca;

	/* RTT (RFC 6298), microseconds; srtt is scaled by 8, rttvar by 4 */
	uint32_t srtt_us8, rttvar_us4;
	uint64_t rto;                        /* ns, backoff not included */
	uint64_t rto_deadline, ack_deadline; /* absolute; the timers may fire earlier */
	struct timer retrans_timer, delack_timer;

	/* receive window and buffer (tcp_tune.c) */
	uint32_t rcv_ssthresh; /* no larger window is offered yet */
	uint32_t window_clamp; /* nor ever; 0 none: TCP_WINDOW_CLAMP */
	uint16_t last_seg;     /* length of the last segment that was no full one */
	struct {
		uint32_t us8;   /* the receiver's round trip, us, scaled by 8; 0 unknown */
		uint32_t seq;   /* when rcv_nxt is here, a window has come since ... */
		uint32_t tsecr; /* last TSecr that was looked at */
		uint64_t since;
	} rcv_rtt;
	struct {
		uint32_t space; /* bytes that the user read in the last round trip */
		uint32_t seq;   /* copied_seq when this one began */
		uint64_t since;
	} rcvq;
	struct tcp_sack_block dsack; /* what came twice, for the next ACK; start = end: nothing */
	struct sk_buff_head ofo_queue;

	struct route rt;

	/* accounts that every segment writes */
	uint32_t segs_in, segs_out, data_segs_in, data_segs_out;
	uint64_t lrcv_ns, lsnd_ns, lack_ns; /* when data came, data left, an ACK came */
	uint64_t bytes_in, bytes_out;       /* taken in order; given by the user */
	uint64_t chrono_since, chrono_ns[TCP_CHRONO_NR];
	struct tcp_sent_index index; /* its head counts what is sent: the usual ones end here */
	struct sock_options opt;
	uint32_t wake_turn; /* stack.turn when the writer was last told of room */
	uint64_t ca_priv[TCP_CA_PRIV_SIZE / 8];

	uint64_t pmtu_until; /* it is believed until then; 0 none */
	uint16_t pmtu;       /* of the path, from a router; 0: the device's */
	struct tcp_mtup mtup;

	/* loss recovery */
	struct tcp_own_marks own_marks;
	uint32_t prior_cwnd,
		prior_ssthresh;     /* before the reduction; ssthresh 0: not to be undone */
	uint32_t prr_delivered;     /* RFC 6937 */
	uint32_t cwnd_acked;        /* bytes acknowledged towards the next increase */
	uint32_t max_window;        /* largest snd_wnd seen */
	uint32_t sacked_segs;       /* skbs that are SACKed */
	struct list_head lost_list; /* to be sent again: by sequence number */
	uint32_t reord_seen;        /* how often */
	uint32_t dsack_dups;        /* segments that the peer had twice */
	uint32_t delivered_ce;      /* of delivered, by ACKs with ECE */
	uint32_t undo_marker;       /* snd_una when the recovery began; valid if undo_valid */
	uint32_t retrans_stamp;     /* our timestamp at its first retransmission; 0 none yet */
	int32_t undo_retrans;       /* retransmissions not told of by D-SACK; -1 there were none */
	bool undo_valid;            /* the recovery may still prove a mistake */
	uint8_t frto, nr_sack_seen; /* enum tcp_frto; of sack_seen */
	uint8_t nr_undone;          /* recoveries since undo_round, if any */
	uint32_t tlp_end, undo_round; /* snd_nxt when: a TLP left, if tlp_out; nr_undone was 0 */
	struct tcp_sack_block sack_seen[TCP_MAX_SACKS]; /* of the last ACK */

	/* out-of-order queue and the SACK blocks that we owe, most recent first */
	struct sk_buff *ofo_root; /* the treap over ofo_queue */
	uint32_t ofo_fresh;       /* skbs queued there since it was last collapsed */
	uint32_t rcv_ooopack;     /* segments that came out of order */
	struct tcp_sack_block sacks[TCP_MAX_SACKS];

	/* cold */
	struct timer keep_timer;
	uint16_t peer_mss; /* what it told us, clamped */
	uint32_t iss, irs;
	uint32_t fin_seq; /* sequence number of the peer's FIN, once queued in order */
	uint64_t challenge_ns;
	uint64_t giveup_ns; /* the first of `retransmits` timeouts; in SYN-SENT the first SYN */
	uint64_t probe_start_ns; /* the first zero-window probe of a series; 0: none was due yet */
	uint64_t bytes_retrans, total_retrans;
	uint64_t total_rto_ns; /* in runs of timeouts that are over */
	uint16_t total_rto, total_rto_runs;
	bool active_open;          /* by sock_connect */
	bool fin_rcvd, fin_queued; /* the peer's FIN was processed; ours is in the write queue */
	bool in_accept_queue;
	bool orphan;      /* counted in tcp_shard.nr_orphans */
	bool bound;       /* sock_bind was called */
	uint8_t port_use; /* enum tcp_port_use, of `port` */
	uint16_t port;
	bool mem_waiting;          /* on tcp_shard.mem_wait */
	struct list_head all_link; /* tcp_shard.all */
	struct list_head mem_link;
	/* listener, or child of one */
	struct tcp_sock *parent;       /* while in the accept queue */
	struct list_head accept_queue; /* of all the children, by accept_link */
	struct list_head accept_link;
	struct list_head reqs; /* half-open, by tcp_req.link */
	struct tcp_sock *listen_next;
	uint32_t backlog, ack_backlog, nr_reqs;
	uint32_t nr_young;    /* of nr_reqs: whose SYN-ACK was sent once */
	uint64_t overflow_ns; /* when a SYN cookie was last sent; 0 = never */
};

/* A half-open passive connection: SYN received, SYN-ACK sent. */
struct tcp_req {
	struct tcp_node node;
	struct tcp_sock *listener;
	struct list_head link;
	struct timer timer;
	uint32_t irs, iss, ts_recent, tsoffset;
	uint32_t rcv_wnd;
	uint16_t peer_mss;
	uint8_t snd_wscale, rcv_wscale;
	bool wscale_ok, tstamp_ok, sack_ok, ecn_ok;
	bool acked;         /* its ACK came, and waits for data (TCP_DEFER_ACCEPT) */
	uint8_t timeouts;   /* of the SYN-ACK */
	uint64_t sent_ns;   /* of the SYN-ACK; 0 = none or several, which measure nothing (Karn) */
	uint64_t answer_ns; /* when an odd segment was last answered (RFC 5961 7) */
};

/* TIME-WAIT: what RFC 9293 3.6 needs and no more. */
struct tcp_tw {
	struct tcp_node node;
	struct stack *stack;  /* for the timer */
	struct list_head lru; /* oldest first */
	struct timer timer;
	uint32_t rcv_nxt, snd_nxt, rcv_wnd, ts_recent, tsoffset;
	uint64_t ts_recent_ns, challenge_ns;
	uint8_t rcv_wscale;
	uint8_t reuse; /* TCP_REUSE_* */
	bool tstamp_ok;
};

struct tcp_shard {
	struct tcp_node **table;
	uint32_t table_mask;
	uint32_t nr_nodes;
	uint32_t nr_orphans; /* socks that their user closed and the stack still ends */
	struct tcp_sock *listeners[TCP_LISTEN_BUCKETS];
	struct tcp_port *ports[TCP_PORT_BUCKETS];
	uint64_t hash_key[2];
	struct tcp_pmtu *pmtu; /* cfg.pmtu_max of them; NULL until a router told one */
	uint8_t isn_key[16], port_key[16], ts_key[16], cookie_key[16];
	uint32_t port_next;    /* RFC 6056 algorithm 3's counter */
	uint16_t frag_id[256]; /* IDs of what may be fragmented, by destination */
	struct tcp_slab socks, reqs, tws, marks, port_slab;
	struct list_head out_list; /* socks with something to send this turn */
	struct list_head all;      /* every sock, by creation */
	struct list_head mem_wait; /* writers that wait for buffers */
	struct list_head tw_lru;
	uint64_t rmem_total, rmem_limit; /* truesize held by receive queues; the soft bound */
	uint64_t rmem_plenty; /* up to here tcp_new_window() need not look at what others hold */
	uint64_t wmem_total, wmem_limit; /* the same of write queues */
};

static inline struct tcp_sock *tcp_sk(struct sock *sk)
{
	return container_of(sk, struct tcp_sock, sk);
}

static inline struct stack *tcp_stack(const struct tcp_sock *tp)
{
	return tp->sk.sk_stack;
}

/* tcp_tx_off - the device would refuse what tp sends. */
static inline bool tcp_tx_off(const struct tcp_sock *tp)
{
	return !tp->rt.local && READ_ONCE(tcp_stack(tp)->dev->tx_off);
}

/* tcp_ts_now - the timestamp clock: milliseconds plus the connection's offset (RFC 7323
 * 5.4). */
static inline uint32_t tcp_ts_now(const struct stack *st, uint32_t offset)
{
	return (uint32_t)(st->now / NSEC_PER_MSEC) + offset;
}

/* tcp_flight - bytes between snd_una and snd_nxt. */
static inline uint32_t tcp_flight(const struct tcp_sock *tp)
{
	return tp->snd_nxt - tp->snd_una;
}

/* tcp_chrono_set - time from now on is spent on `kind`. */
static inline void tcp_chrono_set(struct tcp_sock *tp, enum tcp_chrono kind)
{
	uint64_t now = tcp_stack(tp)->now;

	if (likely(tp->chrono == kind))
		return;
	tp->chrono_ns[tp->chrono] += now - tp->chrono_since;
	tp->chrono_since = now;
	tp->chrono = (uint8_t)kind;
}

/* tcp_rcv_measure - what skb, next in order with data, tells of the peer and the path. */
static inline void tcp_rcv_measure(struct tcp_sock *tp, const struct sk_buff *skb)
{
	if (skb->len != tp->rcv_mss &&
	    (skb->len >= TCP_MSS_DEFAULT || !(skb->tcp.tcp_flags & TCPF_PSH)))
		__tcp_measure_rcv_mss(tp, skb);
	if (!before(tp->rcv_nxt, tp->rcv_rtt.seq))
		__tcp_rcv_rtt_window(tp);
	if (skb->tcp.has_ts && skb->tcp.ts_ecr != tp->rcv_rtt.tsecr)
		__tcp_rcv_rtt_ts(tp, skb->tcp.ts_ecr, skb->len);
}

/* tcp_notsent - bytes in the write queue that never left. */
static inline uint32_t tcp_notsent(const struct tcp_sock *tp)
{
	return tp->write_seq - tp->snd_nxt;
}

/* tcp_pipe - RFC 6675 section 4: bytes thought to be in the network. */
static inline uint32_t tcp_pipe(const struct tcp_sock *tp)
{
	return tcp_flight(tp) - tp->sacked_out - tp->lost_out + tp->retrans_out;
}

static inline uint32_t tcp_skb_bytes(const struct sk_buff *skb)
{
	return skb->tcp.end_seq - skb->tcp.seq;
}

/* tcp_receive_window - bytes that the peer may still send by what we advertised. */
static inline uint32_t tcp_receive_window(const struct tcp_sock *tp)
{
	int32_t win = (int32_t)(tp->rcv_wup + tp->rcv_wnd - tp->rcv_nxt);

	return win < 0 ? 0 : (uint32_t)win;
}

static inline const struct iphdr_ *skb_iphdr(const struct sk_buff *skb)
{
	return (const struct iphdr_ *)(skb->head + skb->network_header);
}

static inline const struct tcphdr_ *skb_tcphdr(const struct sk_buff *skb)
{
	return (const struct tcphdr_ *)(skb->head + skb->transport_header);
}

/* tcp_mss_clamp - mss, or TCP_MAXSEG if that is less. */
static inline uint16_t tcp_mss_clamp(const struct tcp_sock *tp, uint32_t mss)
{
	return (uint16_t)(tp->opt.user_mss ? min_t(uint32_t, tp->opt.user_mss, mss) : mss);
}

/* ---- tcp_opt.c ---- */
/* tcp_parse_options - read the options of skb's header; unknown ones are skipped, a zero,
 * short or overlong length ends the parse (B15). syn: whether SYN-only options count. */
void tcp_parse_options(const struct sk_buff *skb, struct tcp_options *ret_opt, bool syn);
/* tcp_fast_ts - the usual "nop nop TS" layout alone; false if the header is otherwise. */
bool tcp_fast_ts(struct sk_buff *skb);
/* tcp_write_syn_options - in Linux's order (T2); returns bytes written (multiple of 4). */
unsigned tcp_write_syn_options(uint8_t *p, const struct tcp_options *o, uint8_t wscale);
/* tcp_sacks_that_fit - blocks that go beside `payload` bytes: at most three with a timestamp,
 * four without (RFC 2018 section 3), none where the segment would outgrow the MTU. */
unsigned tcp_sacks_that_fit(const struct tcp_sock *tp, unsigned payload);
/* tcp_options_len, tcp_write_options - TS and nr_sacks blocks of an established segment. */
unsigned tcp_options_len(const struct tcp_sock *tp, unsigned nr_sacks);
void tcp_write_options(uint8_t *p, const struct tcp_sock *tp, unsigned nr_sacks);

/* ---- tcp_input.c, tcp_rcv_state.c ---- */
/* tcp_rcv_segment - RFC 9293 3.10.7.4 for a synchronised state and SYN-RECEIVED. Consumes. */
void tcp_rcv_segment(struct tcp_sock *tp, struct sk_buff *skb);
/* tcp_rcv_syn_sent - RFC 9293 3.10.7.3. Consumes. */
void tcp_rcv_syn_sent(struct tcp_sock *tp, struct sk_buff *skb);
/* tcp_reset - the peer's RST was acceptable: the connection ends with an error. */
void tcp_reset(struct tcp_sock *tp);

/* ---- tcp_ack.c ---- */
/* tcp_ack - step 5 for a synchronised state. False: skb must not be processed further (the
 * caller drops it with *ret_why). opt may be NULL when the segment has no SACK. */
bool tcp_ack(struct tcp_sock *tp, struct sk_buff *skb, const struct tcp_options *opt,
	     enum skb_drop_reason *ret_why);
/* tcp_ack_simple - the fast path's ACK: new data acknowledged, no disorder. */
void tcp_ack_simple(struct tcp_sock *tp, uint32_t ack);
void tcp_update_window(struct tcp_sock *tp, const struct sk_buff *skb);
void tcp_rtt_sample(struct tcp_sock *tp, uint64_t rtt_ns);
/* tcp_write_unlink - take skb out of the write queue with all hints, lists and counters; the
 * caller frees it. */
void tcp_write_unlink(struct tcp_sock *tp, struct sk_buff *skb);
void tcp_maybe_write_space(struct tcp_sock *tp);
/* tcp_is_writable - would a writer that waits be told now? */
bool tcp_is_writable(const struct tcp_sock *tp);

/* ---- tcp_output.c, tcp_xmit.c ---- */
/* tcp_output_mark - send for tp at this turn's output. */
void tcp_output_mark(struct tcp_sock *tp);
/* tcp_send_head - transmit send_head as it is. 0; -ENOBUFS. */
int tcp_send_head(struct tcp_sock *tp);
/* tcp_write_xmit - send what cwnd, rwnd and Nagle allow; returns segments sent. */
unsigned tcp_write_xmit(struct tcp_sock *tp);
/* tcp_retransmit_skb - send one write-queue skb again. 0; -ENOBUFS; -EAGAIN no window. */
int tcp_retransmit_skb(struct tcp_sock *tp, struct sk_buff *skb);
void tcp_xmit_retransmit_queue(struct tcp_sock *tp);
/* tcp_transmit_skb - send a copy (or a reference) of a write-queue skb under fresh headers.
 * 0; -ENOBUFS. */
int tcp_transmit_skb(struct tcp_sock *tp, struct sk_buff *skb);
/* tcp_send_empty - a segment without payload and sequence space, flags beside ACK. */
void tcp_send_empty(struct tcp_sock *tp, uint32_t seq, uint8_t flags);
void tcp_send_ack(struct tcp_sock *tp);
/* tcp_may_answer - RFC 5961 7: *stamp is when the connection last answered a segment that was odd
 * without need; true, and noted, once in cfg.invalid_ratelimit. */
static inline bool tcp_may_answer(const struct stack *st, uint64_t *stamp)
{
	if (*stamp && st->now - *stamp < st->cfg.invalid_ratelimit)
		return false;
	*stamp = st->now;
	return true;
}

/* tcp_send_challenge_ack - RFC 5961 3.2, 4.2, 5.2, limited by tcp_may_answer() for each
 * connection: none is shared, which a stranger could probe. */
void tcp_send_challenge_ack(struct tcp_sock *tp);
/* tcp_send_probe - what the persist timer sends: of send_head what the window takes, else an old
 * sequence number. 0; -ENOBUFS: nothing could leave this machine. */
MUST_USE int tcp_send_probe(struct tcp_sock *tp);
/* tcp_send_loss_probe - RFC 8985 7.3: one new segment if the window lets it, else the last one
 * again. False: nothing could be sent. */
bool tcp_send_loss_probe(struct tcp_sock *tp);
void tcp_send_active_reset(struct tcp_sock *tp);
/* tcp_send_reset - RST about a segment that has no connection (RFC 9293 3.10.7.1); skb is not
 * consumed. */
void tcp_send_reset(struct stack *st, const struct sk_buff *skb);
void tcp_send_synack(struct stack *st, struct tcp_req *req);
void tcp_send_req_ack(struct stack *st, const struct tcp_req *req);
void tcp_send_tw_ack(struct stack *st, const struct tcp_tw *tw);
ssize_t tcp_send(struct tcp_sock *tp, const void *buf, size_t len, bool more);
/* tcp_output_sock - the turn's output for one sock. */
void tcp_output_sock(struct tcp_sock *tp);
/* tcp_wmem_add - n bytes of truesize join (or leave) tp's write queue. */
static inline void tcp_wmem_add(struct tcp_sock *tp, uint32_t n)
{
	tp->sk.sk_wmem_queued += n;
	tcp_stack(tp)->tcp->wmem_total += n;
}

static inline void tcp_wmem_sub(struct tcp_sock *tp, uint32_t n)
{
	tp->sk.sk_wmem_queued -= n;
	tcp_stack(tp)->tcp->wmem_total -= n;
}

/* tcp_wmem_fits - may tp's write queue take one more buffer now? */
bool tcp_wmem_fits(const struct tcp_sock *tp);
/* tcp_queue_fin - our FIN behind what is queued. False: no buffer; try again later. */
bool tcp_queue_fin(struct tcp_sock *tp);
MUST_USE int tcp_queue_syn(struct tcp_sock *tp);
/* tcp_split - cut a write-queue skb after `len` bytes; false: no buffer, or only the reserve and
 * skb is not the queue's first. */
bool tcp_split(struct tcp_sock *tp, struct sk_buff *skb, uint32_t len);

/* ---- tcp_timer.c ---- */
void tcp_init_timers(struct tcp_sock *tp);
void tcp_stop_timers(struct tcp_sock *tp);
/* tcp_arm_retrans - (re)start the retransmit timer for `what`, `delay` ns from now. */
void tcp_arm_retrans(struct tcp_sock *tp, enum tcp_pending what, uint64_t delay);
/* tcp_arm_rto_of_head - the RTO and no probe, counted from when the oldest segment was sent. */
void tcp_arm_rto_of_head(struct tcp_sock *tp);
/* __tcp_rearm_rto - tcp_rearm_rto (tcp_fast.h) where something is in flight. */
void __tcp_rearm_rto(struct tcp_sock *tp);
void tcp_arm_delack(struct tcp_sock *tp);
/* tcp_arm_ack_again - the ACK that is owed found no buffer: a while later, also where ACKs do not
 * wait. */
void tcp_arm_ack_again(struct tcp_sock *tp);

#endif
