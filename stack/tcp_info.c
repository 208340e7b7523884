/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP_INFO. What can be told from the sequence numbers and the write queue is counted when it is
 * asked for, so that segments in passing keep no account of it.
 */
#include "stack/tcp_fast.h"
#include "stack/tcp_info.h"

#include <string.h>

#include "stack/tcp_guard.h"
#include "stack/tcp_rate.h"

#define TCP_INFINITE_SSTHRESH 0x7fffffffu /* as Linux shows it */

static uint32_t ms_ago(uint64_t now, uint64_t then)
{
	return (uint32_t)min_t(uint64_t, (now - then) / NSEC_PER_MSEC, UINT32_MAX);
}

static void info_of_listener(const struct tcp_sock *tp, struct sk_tcp_info *i)
{
	i->tcpi_unacked = tp->ack_backlog;
	i->tcpi_sacked = tp->backlog;
}

static void info_options(const struct tcp_sock *tp, struct sk_tcp_info *i)
{
	if (tp->tstamp_ok)
		i->tcpi_options |= SK_TCPI_OPT_TIMESTAMPS;
	if (tp->sack_ok)
		i->tcpi_options |= SK_TCPI_OPT_SACK;
	if (tp->ecn_ok)
		i->tcpi_options |= SK_TCPI_OPT_ECN;
	if (tp->ecn_seen)
		i->tcpi_options |= SK_TCPI_OPT_ECN_SEEN;
	if (tp->wscale_ok) {
		i->tcpi_options |= SK_TCPI_OPT_WSCALE;
		i->tcpi_snd_wscale = tp->snd_wscale & 15;
		i->tcpi_rcv_wscale = tp->rcv_wscale & 15;
	}
}

/* info_flight - the scoreboard in segments. */
static void info_flight(const struct tcp_sock *tp, struct sk_tcp_info *i)
{
	const struct sk_buff *skb;

	skb_queue_walk (&tp->sk.sk_write_queue, skb) {
		if (skb == tp->send_head)
			break;
		i->tcpi_unacked++;
		i->tcpi_sacked += !!(skb->tcp.sacked & TCPCB_SACKED);
		i->tcpi_lost += !!(skb->tcp.sacked & TCPCB_LOST);
		i->tcpi_retrans += !!(skb->tcp.sacked & TCPCB_RETRANS);
	}
	/* without SACK duplicate ACKs stand for segments */
	if (!tp->sack_ok)
		i->tcpi_sacked = tp->sacked_out / tp->mss_cache;
}

/* Linux's advmss is what the SYN said until the handshake, and less by timestamps from then on. */
static uint32_t info_advmss(const struct tcp_sock *tp)
{
	bool opens = tp->sk.sk_state == TCP_SYN_SENT || tp->sk.sk_state == TCP_SYN_RECV;

	return opens ? tp->advmss : tp->advmss - (tp->hdr_len - TCP_HLEN);
}

static void info_path(const struct tcp_sock *tp, struct sk_tcp_info *i)
{
	i->tcpi_rto = (uint32_t)(tcp_rto_backoff(tp) / NSEC_PER_USEC);
	i->tcpi_ato = (uint32_t)(tcp_stack(tp)->cfg.delack / NSEC_PER_USEC);
	i->tcpi_snd_mss = tp->mss_cache;
	i->tcpi_rcv_mss = tp->rcv_mss;
	i->tcpi_advmss = info_advmss(tp);
	i->tcpi_pmtu = tcp_path_mtu(tp);
	i->tcpi_rtt = tp->srtt_us8 >> 3;
	i->tcpi_rttvar = tp->rttvar_us4 >> 2;
	i->tcpi_min_rtt = tp->min_rtt_us ? tp->min_rtt_us : UINT32_MAX;
	i->tcpi_snd_cwnd = tp->snd_cwnd / tp->mss_cache;
	i->tcpi_snd_ssthresh = tp->snd_ssthresh >= UINT32_MAX / 2
				       ? TCP_INFINITE_SSTHRESH
				       : tp->snd_ssthresh / tp->mss_cache;
	i->tcpi_delivery_rate = tcp_rate_bytes_per_s(tp);
	i->tcpi_delivery_rate_app_limited = tp->rate.sample_limited;
	i->tcpi_reordering = tp->reordering;
	i->tcpi_snd_wnd = tp->snd_wnd;
	i->tcpi_rcv_wnd = tcp_receive_window(tp);
	i->tcpi_rcv_ssthresh = tp->rcv_ssthresh;
	i->tcpi_rcv_rtt = tp->rcv_rtt.us8 >> 3;
	i->tcpi_rcv_space = tp->rcvq.space;
}

/* info_counts - of bytes: what the user gave, less what waits. Linux counts the SYN of an active
 * open and the FIN as acknowledged bytes. */
static void info_counts(const struct tcp_sock *tp, struct sk_tcp_info *i)
{
	bool fin_waits = tp->fin_queued && tp->snd_una != tp->write_seq;
	bool syn_waits = tp->snd_una == tp->iss;
	uint32_t queued = tp->write_seq - tp->snd_una - fin_waits - syn_waits;
	bool fin_unsent = tp->fin_queued && tp->snd_nxt != tp->write_seq;
	bool syn_unsent = tp->snd_nxt == tp->iss;

	i->tcpi_notsent_bytes = tcp_notsent(tp);
	i->tcpi_bytes_acked = tp->bytes_out - queued + (tp->active_open && !syn_waits) +
			      (tp->fin_queued && !fin_waits);
	i->tcpi_bytes_sent =
		tp->bytes_out - (tcp_notsent(tp) - fin_unsent - syn_unsent) + tp->bytes_retrans;
	i->tcpi_bytes_retrans = tp->bytes_retrans;
	i->tcpi_bytes_received = tp->bytes_in + tp->fin_rcvd; /* Linux counts it */
	i->tcpi_total_retrans = (uint32_t)tp->total_retrans;
	i->tcpi_segs_in = tp->segs_in;
	i->tcpi_segs_out = tp->segs_out;
	i->tcpi_data_segs_in = tp->data_segs_in;
	i->tcpi_data_segs_out = tp->data_segs_out;
	i->tcpi_rcv_ooopack = tp->rcv_ooopack;
	i->tcpi_delivered = tp->delivered;
	i->tcpi_delivered_ce = tp->delivered_ce;
	i->tcpi_dsack_dups = tp->dsack_dups;
	i->tcpi_reord_seen = tp->reord_seen;
	i->tcpi_total_rto = tp->total_rto;
	i->tcpi_total_rto_recoveries = tp->total_rto_runs;
}

void tcp_chrono_us(const struct tcp_sock *tp, uint64_t us[TCP_CHRONO_NR])
{
	uint64_t ns[TCP_CHRONO_NR];

	memcpy(ns, tp->chrono_ns, sizeof(ns));
	ns[tp->chrono] += tcp_stack(tp)->now - tp->chrono_since;
	for (unsigned i = 0; i < TCP_CHRONO_NR; i++)
		us[i] = ns[i] / NSEC_PER_USEC;
	us[TCP_CHRONO_BUSY] += us[TCP_CHRONO_RWND] + us[TCP_CHRONO_SNDBUF];
}

static void info_times(const struct tcp_sock *tp, struct sk_tcp_info *i)
{
	uint64_t now = tcp_stack(tp)->now, us[TCP_CHRONO_NR];

	tcp_chrono_us(tp, us);
	i->tcpi_rwnd_limited = us[TCP_CHRONO_RWND];
	i->tcpi_sndbuf_limited = us[TCP_CHRONO_SNDBUF];
	i->tcpi_busy_time = us[TCP_CHRONO_BUSY];
	i->tcpi_total_rto_time =
		(uint32_t)((tp->total_rto_ns + (tp->retransmits ? now - tp->giveup_ns : 0)) /
			   NSEC_PER_MSEC);
	i->tcpi_last_data_sent = ms_ago(now, tp->lsnd_ns);
	i->tcpi_last_data_recv = ms_ago(now, tp->lrcv_ns);
	i->tcpi_last_ack_recv = ms_ago(now, tp->lack_ns);
}

void tcp_get_info(const struct tcp_sock *tp, struct sk_tcp_info *i)
{
	memset(i, 0, sizeof(*i));
	i->tcpi_state = tp->sk.sk_state;
	i->tcpi_pacing_rate = i->tcpi_max_pacing_rate = UINT64_MAX;
	if (i->tcpi_state == TCP_LISTEN) {
		info_of_listener(tp, i);
		return;
	}
	i->tcpi_ca_state = tp->ca_state;
	i->tcpi_retransmits = tp->retransmits;
	i->tcpi_probes = tp->probes_out;
	i->tcpi_backoff = tp->backoff;
	info_options(tp, i);
	info_flight(tp, i);
	info_path(tp, i);
	info_counts(tp, i);
	info_times(tp, i);
}
