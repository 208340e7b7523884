/* SPDX-License-Identifier: BSD-3-Clause */
/* See fake_tcp.h. */
#include "fake_tcp.h"

struct fake_tcp fake_tcp;

int tcp_shard_init(struct stack *st)
{
	(void)st;
	return fake_tcp.init_err;
}

void tcp_shard_fini(struct stack *st)
{
	(void)st;
}

void tcp_v4_rcv(struct stack *st, struct sk_buff *skb)
{
	(void)st;
	fake_tcp.nr_rcv++;
	fake_tcp.rcv_len = skb->len;
	fake_tcp.rcv_summed = skb->ip_summed;
	fake_tcp.rcv_tos = ((const struct iphdr_ *)(skb->head + skb->network_header))->tos;
	(void)skb_copy_bits(skb, 0, fake_tcp.rcv, min_t(unsigned, skb->len, sizeof(fake_tcp.rcv)));
	skb_free(skb);
}

void tcp_v4_look_ahead(const struct stack *st, const struct sk_buff *skb)
{
	(void)st;
	(void)skb;
}

void tcp_v4_demux(struct stack *st, struct sk_buff *skb)
{
	(void)st;
	skb_free(skb);
}

void tcp_v4_err(struct stack *st, uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport,
		uint32_t seq, uint8_t type, uint8_t code, uint32_t mtu)
{
	(void)st;
	fake_tcp.nr_err++;
	fake_tcp.err_saddr = saddr;
	fake_tcp.err_daddr = daddr;
	fake_tcp.err_sport = sport;
	fake_tcp.err_dport = dport;
	fake_tcp.err_seq = seq;
	fake_tcp.err_type = type;
	fake_tcp.err_code = code;
	fake_tcp.err_mtu = mtu;
}

void tcp_neigh_failed(struct stack *st, uint32_t next_hop)
{
	(void)st;
	fake_tcp.nr_neigh_failed++;
	fake_tcp.neigh_failed = next_hop;
}

void tcp_shard_output(struct stack *st)
{
	(void)st;
	fake_tcp.nr_output++;
}

bool tcp_shard_has_output(const struct stack *st)
{
	(void)st;
	return fake_tcp.has_output;
}

void tcp_for_each_sock(struct stack *st, bool (*fn)(void *ctx, const struct stack_sock_info *i),
		       void *ctx)
{
	(void)st;
	(void)fn;
	(void)ctx;
}
