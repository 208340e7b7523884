/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of sock_opt.h are Linux's: a program passes those of its own headers. */
#include <criterion/criterion.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "stack/sock_opt.h"
#include "stack/tcp_info.h"

#define X(name, nr) _Static_assert(name == SK_##name, #name);
SK_SO_OPTIONS(X)
SK_IP_OPTIONS(X)
SK_TCP_OPTIONS(X)
#undef X

_Static_assert(SOL_SOCKET == SK_SOL_SOCKET && IPPROTO_IP == SK_SOL_IP && IPPROTO_TCP == SK_SOL_TCP,
	       "levels");
_Static_assert(SOCK_STREAM == SK_SOCK_STREAM, "SO_TYPE");
_Static_assert(IP_PMTUDISC_DONT == SK_PMTUDISC_DONT && IP_PMTUDISC_WANT == SK_PMTUDISC_WANT &&
		       IP_PMTUDISC_DO == SK_PMTUDISC_DO && IP_PMTUDISC_PROBE == SK_PMTUDISC_PROBE &&
		       IP_PMTUDISC_INTERFACE == SK_PMTUDISC_INTERFACE &&
		       IP_PMTUDISC_OMIT == SK_PMTUDISC_OMIT,
	       "IP_MTU_DISCOVER");
_Static_assert(sizeof(struct linger) == sizeof(struct sk_linger) &&
		       offsetof(struct linger, l_linger) == offsetof(struct sk_linger, l_linger),
	       "SO_LINGER");

#define FIELD(f)                                                                                   \
	_Static_assert(offsetof(struct tcp_info, tcpi_##f) ==                                      \
				       offsetof(struct sk_tcp_info, tcpi_##f) &&                   \
			       sizeof(((struct tcp_info *)0)->tcpi_##f) ==                         \
				       sizeof(((struct sk_tcp_info *)0)->tcpi_##f),                \
		       #f);
FIELD(rto)
FIELD(ato)
FIELD(snd_mss)
FIELD(rcv_mss)
FIELD(unacked)
FIELD(sacked)
FIELD(lost)
FIELD(retrans)
FIELD(fackets)
FIELD(last_data_sent)
FIELD(last_ack_sent)
FIELD(last_data_recv)
FIELD(last_ack_recv)
FIELD(pmtu)
FIELD(rcv_ssthresh)
FIELD(rtt)
FIELD(rttvar)
FIELD(snd_ssthresh)
FIELD(snd_cwnd)
FIELD(advmss)
FIELD(reordering)
FIELD(rcv_rtt)
FIELD(rcv_space)
FIELD(total_retrans)
FIELD(pacing_rate)
FIELD(max_pacing_rate)
FIELD(bytes_acked)
FIELD(bytes_received)
FIELD(segs_out)
FIELD(segs_in)
FIELD(notsent_bytes)
FIELD(min_rtt)
FIELD(data_segs_in)
FIELD(data_segs_out)
FIELD(delivery_rate)
FIELD(busy_time)
FIELD(rwnd_limited)
FIELD(sndbuf_limited)
FIELD(delivered)
FIELD(delivered_ce)
FIELD(bytes_sent)
FIELD(bytes_retrans)
FIELD(dsack_dups)
FIELD(reord_seen)
FIELD(rcv_ooopack)
FIELD(snd_wnd)
FIELD(state)
FIELD(ca_state)
FIELD(retransmits)
FIELD(probes)
FIELD(backoff)
FIELD(options)
_Static_assert(TCPI_OPT_TIMESTAMPS == SK_TCPI_OPT_TIMESTAMPS && TCPI_OPT_SACK == SK_TCPI_OPT_SACK &&
		       TCPI_OPT_WSCALE == SK_TCPI_OPT_WSCALE && TCPI_OPT_ECN == SK_TCPI_OPT_ECN &&
		       TCPI_OPT_ECN_SEEN == SK_TCPI_OPT_ECN_SEEN,
	       "tcpi_options");
/* What came after the header of this machine: Linux 6.12's, by its offsets. */
_Static_assert(offsetof(struct sk_tcp_info, tcpi_rcv_wnd) == 232, "rcv_wnd");
_Static_assert(offsetof(struct sk_tcp_info, tcpi_rehash) == 236, "rehash");
_Static_assert(offsetof(struct sk_tcp_info, tcpi_total_rto) == 240, "total_rto");
_Static_assert(offsetof(struct sk_tcp_info, tcpi_total_rto_recoveries) == 242, "recoveries");
_Static_assert(offsetof(struct sk_tcp_info, tcpi_total_rto_time) == 244, "total_rto_time");
_Static_assert(sizeof(struct sk_tcp_info) == 248, "size");

/* Bit fields have no offset: what is set under one name reads under the other. */
Test(sock_abi, test_abi_bit_fields_of_tcp_info_are_linux_s)
{
	struct sk_tcp_info ours = {.tcpi_snd_wscale = 7, .tcpi_rcv_wscale = 9};
	struct tcp_info linux_s;

	memcpy(&linux_s, &ours, sizeof(linux_s));
	cr_assert(linux_s.tcpi_snd_wscale == 7 && linux_s.tcpi_rcv_wscale == 9);
	ours = (struct sk_tcp_info){.tcpi_delivery_rate_app_limited = 1,
				    .tcpi_fastopen_client_fail = 2};
	memcpy(&linux_s, &ours, sizeof(linux_s));
	cr_assert(linux_s.tcpi_delivery_rate_app_limited == 1 &&
		  linux_s.tcpi_fastopen_client_fail == 2);
}

Test(sock_abi, test_abi_numbers_are_linux_s)
{
	/* the compiler has proved it */
}
