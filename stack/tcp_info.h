/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP_INFO: Linux's struct tcp_info under a name of our own, as no system header may be seen here.
 * Same layout, same meaning, same units (a test compares every field with <linux/tcp.h>). What
 * has no meaning here is 0, and the pacing rates are ~0: nothing is paced.
 */
#ifndef STACK_TCP_INFO_H
#define STACK_TCP_INFO_H

#include <stdint.h>

#define SK_TCPI_OPT_TIMESTAMPS 1u
#define SK_TCPI_OPT_SACK       2u
#define SK_TCPI_OPT_WSCALE     4u
#define SK_TCPI_OPT_ECN        8u  /* agreed on in the handshake */
#define SK_TCPI_OPT_ECN_SEEN   16u /* a packet came with ECT */

/* Counts of segments are those that our write queue has; of a listener unacked is the accept
 * queue's length and sacked its limit. */
struct sk_tcp_info {
	uint8_t tcpi_state;       /* enum tcp_state */
	uint8_t tcpi_ca_state;    /* enum tcp_ca_state */
	uint8_t tcpi_retransmits; /* RTOs in a row */
	uint8_t tcpi_probes;      /* zero-window and keepalive probes without an answer */
	uint8_t tcpi_backoff;
	uint8_t tcpi_options; /* SK_TCPI_OPT_* */
	uint8_t tcpi_snd_wscale : 4, tcpi_rcv_wscale : 4;
	uint8_t tcpi_delivery_rate_app_limited : 1, tcpi_fastopen_client_fail : 2;

	uint32_t tcpi_rto; /* us, backoff included */
	uint32_t tcpi_ato; /* us */
	uint32_t tcpi_snd_mss, tcpi_rcv_mss;

	uint32_t tcpi_unacked, tcpi_sacked, tcpi_lost, tcpi_retrans; /* segments */
	uint32_t tcpi_fackets;

	uint32_t tcpi_last_data_sent; /* ms ago, as the next ones */
	uint32_t tcpi_last_ack_sent;  /* not kept, as in Linux */
	uint32_t tcpi_last_data_recv, tcpi_last_ack_recv;

	uint32_t tcpi_pmtu;
	uint32_t tcpi_rcv_ssthresh;     /* bytes: the window that the receiver is ready for */
	uint32_t tcpi_rtt, tcpi_rttvar; /* us */
	uint32_t tcpi_snd_ssthresh;     /* segments; 0x7fffffff none yet */
	uint32_t tcpi_snd_cwnd;         /* segments */
	uint32_t tcpi_advmss, tcpi_reordering; /* bytes; segments */
	uint32_t tcpi_rcv_rtt, tcpi_rcv_space; /* us; bytes that the reader takes in one of them */
	uint32_t tcpi_total_retrans;           /* segments */
	uint64_t tcpi_pacing_rate, tcpi_max_pacing_rate;
	uint64_t tcpi_bytes_acked;    /* RFC 4898 tcpEStatsAppHCThruOctetsAcked */
	uint64_t tcpi_bytes_received; /* tcpEStatsAppHCThruOctetsReceived */
	uint32_t tcpi_segs_out, tcpi_segs_in;
	uint32_t tcpi_notsent_bytes;
	uint32_t tcpi_min_rtt; /* us; ~0 none measured */
	uint32_t tcpi_data_segs_in, tcpi_data_segs_out;
	uint64_t tcpi_delivery_rate; /* bytes/s (tcp_rate.h) */
	uint64_t tcpi_busy_time;     /* us with something to send or in flight */
	uint64_t tcpi_rwnd_limited;  /* us of it held by the peer's window */
	uint64_t
		tcpi_sndbuf_limited; /* us of it in which the writer had to wait and all was sent */
	uint32_t tcpi_delivered, tcpi_delivered_ce; /* segments */
	uint64_t tcpi_bytes_sent;                   /* sent again ones included */
	uint64_t tcpi_bytes_retrans;
	uint32_t tcpi_dsack_dups, tcpi_reord_seen;
	uint32_t tcpi_rcv_ooopack;
	uint32_t tcpi_snd_wnd, tcpi_rcv_wnd; /* bytes */
	uint32_t tcpi_rehash;
	uint16_t tcpi_total_rto, tcpi_total_rto_recoveries; /* timeouts; runs of them */
	uint32_t tcpi_total_rto_time;                       /* ms in those runs */
};

/* What a connection with something to send is held up by, for TCP_INFO. */
enum tcp_chrono {
	TCP_CHRONO_IDLE,
	TCP_CHRONO_BUSY, /* by nothing but the network */
	TCP_CHRONO_RWND,
	TCP_CHRONO_SNDBUF, /* the writer waits, and all that it wrote is sent */
	TCP_CHRONO_NR
};

struct tcp_sock;

/* tcp_chrono_us - time that was spent on each kind by now; busy is the sum of the last three. */
void tcp_chrono_us(const struct tcp_sock *tp, uint64_t ret_us[TCP_CHRONO_NR]);
/* tcp_get_info - how tp does now. Walks what is in flight to count it. */
void tcp_get_info(const struct tcp_sock *tp, struct sk_tcp_info *ret_info);

#endif
