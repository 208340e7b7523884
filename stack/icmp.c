/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP for a host (RFC 792, RFC 1122 3.2.2): echo is answered, errors about our segments go
 * to TCP, errors of ours are few and rate-limited. Redirects, source quench (RFC 6633),
 * timestamps and masks are ignored.
 */
#include "stack/stack_int.h"

#define ICMP_ECHOREPLY     0
#define ICMP_ECHO          8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAM_PROBLEM 12

#define ICMP_HLEN 8
/* Ports and sequence number: what RFC 792 makes every error quote. */
#define ICMP_QUOTED_L4 8
/* RFC 1812 4.3.2.3: as much as fits 576 bytes. */
#define ICMP_QUOTE_MAX (576 - IP_HLEN - ICMP_HLEN)

/* Errors as Linux (icmp_msgs_per_sec, icmp_msgs_burst). Echo: well above what a flood ping
 * of one host asks for, well below what would crowd out TCP. */
#define ICMP_ERRORS_PER_SEC 1000
#define ICMP_ERRORS_BURST   50
#define ICMP_ECHOES_PER_SEC 50000
#define ICMP_ECHOES_BURST   2000

#define ICMP_TTL 64

struct icmphdr_ {
	uint8_t type, code;
	uint16_t check;
	uint16_t word_hi, word_lo; /* id, sequence; or unused, next-hop MTU */
} PACKED;

/* Sends skb (data at the finished ICMP header) to daddr. Consumes skb. */
static void icmp_xmit(struct stack *st, struct sk_buff *skb, uint32_t daddr, uint8_t tos)
{
	struct route rt;

	if (ip_route(st, 0, daddr, &rt)) {
		skb_drop(skb, SKB_DROP_IP_NO_ROUTE);
		return;
	}
	skb->ip_summed = CHECKSUM_UNKNOWN;
	stat_inc(&st->stats.csum_sw_tx);
	stat_inc(&st->stats.icmp_out);
	ip_output(st, skb, &rt, IPPROTO_ICMP_, ICMP_TTL, tos, (uint16_t)stack_random32(st));
}

/*
 * The request itself becomes the reply where its bytes are ours to write. The sum is taken
 * anew: by RFC 1624 a message of zeros would come out with the wrong one of the two zeros.
 * Consumes skb.
 */
static void icmp_echo(struct stack *st, struct sk_buff *skb)
{
	const struct iphdr_ *iph = (const struct iphdr_ *)(skb->head + skb->network_header);
	uint32_t peer = iph->saddr;
	uint8_t tos = iph->tos;
	struct icmphdr_ *icmp;

	if (!token_take(&st->icmp_echoes, st->now, ICMP_ECHOES_PER_SEC, ICMP_ECHOES_BURST)) {
		skb_drop(skb, SKB_DROP_ICMP_RATELIMIT);
		return;
	}
	if (!skb_writable(skb) || skb_headroom(skb) < st->dev->headroom + ETH_HLEN + IP_HLEN) {
		struct sk_buff *copy =
			skb_copy(&st->cache, skb, st->dev->headroom + ETH_HLEN + IP_HLEN);

		if (!copy) {
			skb_drop(skb, SKB_DROP_NO_MEM);
			return;
		}
		skb_free(skb);
		skb = copy;
	}
	icmp = (struct icmphdr_ *)skb->data;
	icmp->type = ICMP_ECHOREPLY;
	icmp->check = 0;
	icmp->check = csum_fold(csum_skb(skb, 0, skb->len, 0));
	icmp_xmit(st, skb, peer, tos);
}

/* RFC 1191 7: MTUs of links that there are or were. */
static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};

/* icmp_mtu - what "fragmentation needed" asks for. A router older than RFC 1191 says 0: the next
 * plateau below what it refused. One that is too small for any decent link is a mistake or an
 * attack (B25): the floor. 0: it would not help, for our packet was smaller (RFC 5927 7.2). */
static uint32_t icmp_mtu(const struct stack *st, const struct icmphdr_ *icmp, uint32_t tot_len)
{
	uint32_t mtu = be16(icmp->word_lo);

	for (unsigned i = 0; !mtu && i < ARRAY_SIZE(plateaus); i++)
		mtu = plateaus[i] < tot_len ? plateaus[i] : 0;
	mtu = max_t(uint32_t, mtu, st->cfg.min_pmtu);
	return mtu < tot_len && mtu < st->mtu ? mtu : 0;
}

/*
 * An error: is it about a segment that we could have sent? The rest of the proof (RFC 5927:
 * a connection, and a sequence number in flight) is TCP's. skb is linear as far as
 * ICMP_HLEN and stays the caller's, unless *ret_gone says that another lane got it. Returns why
 * it goes no further, SKB_DROP_MAX if it did.
 */
static enum skb_drop_reason icmp_error(struct stack *st, struct sk_buff *skb, bool *ret_gone)
{
	struct icmphdr_ icmp = *(const struct icmphdr_ *)skb->data;
	uint32_t mtu = 0;
	struct iphdr_ q;
	struct {
		uint16_t sport, dport;
		uint32_t seq;
	} l4;
	unsigned qhlen;

	if (skb_copy_bits(skb, ICMP_HLEN, &q, sizeof(q)))
		return SKB_DROP_ICMP_BAD;
	qhlen = (q.ver_ihl & 0x0f) * 4u;
	if (q.ver_ihl >> 4 != 4 || qhlen < IP_HLEN ||
	    skb_copy_bits(skb, ICMP_HLEN + qhlen, &l4, ICMP_QUOTED_L4))
		return SKB_DROP_ICMP_BAD;
	if (q.saddr != st->ip || q.protocol != IPPROTO_TCP_ || (q.frag_off & be16(IP_OFFSET)))
		return SKB_DROP_ICMP_IGNORED;
	if (icmp.type == ICMP_UNREACH_ && icmp.code == ICMP_UNREACH_NEEDFRAG) {
		mtu = icmp_mtu(st, &icmp, be16(q.tot_len));
		if (!mtu)
			return SKB_DROP_ICMP_IGNORED;
	}
	*ret_gone = steer_away(st, skb, SKB_STEER_ICMP, q.daddr, q.saddr, l4.dport, l4.sport);
	if (*ret_gone)
		return SKB_DROP_MAX;
	tcp_v4_err(st, q.saddr, q.daddr, be16(l4.sport), be16(l4.dport), be32(l4.seq), icmp.type,
		   icmp.code, mtu);
	return SKB_DROP_MAX;
}

void icmp_error_rcv(struct stack *st, struct sk_buff *skb)
{
	bool gone = false;
	enum skb_drop_reason reason = icmp_error(st, skb, &gone);

	if (gone)
		return;
	if (reason == SKB_DROP_MAX)
		skb_free(skb);
	else
		skb_drop(skb, reason);
}

void icmp_input(struct stack *st, struct sk_buff *skb)
{
	uint8_t type;

	stat_inc(&st->stats.icmp_in);
	stat_inc(&st->stats.csum_sw_rx);
	/* In software: devices verify TCP and UDP, and say so for ICMP as well or not at all. */
	if (!skb_may_pull(skb, ICMP_HLEN) || csum_fold(csum_skb(skb, 0, skb->len, 0)) != 0) {
		skb_drop(skb, SKB_DROP_ICMP_BAD);
		return;
	}
	type = skb->data[0];
	if (type == ICMP_ECHO && skb->data[1] == 0) {
		icmp_echo(st, skb);
		return;
	}
	if (type == ICMP_UNREACH_ || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAM_PROBLEM)
		icmp_error_rcv(st, skb);
	else
		skb_drop(skb, SKB_DROP_ICMP_IGNORED);
}

/* RFC 1122 3.2.2: what no error may be sent about. */
static bool icmp_may_complain(const struct stack *st, const struct sk_buff *skb,
			      const struct iphdr_ *iph)
{
	uint8_t first = (uint8_t)iph->saddr;
	unsigned hlen = (iph->ver_ihl & 0x0f) * 4u;

	if ((skb->flags & SKB_F_MCAST) || iph->daddr != st->ip ||
	    (iph->frag_off & be16(IP_OFFSET)) || first == 0 || first == 127 || first >= 224)
		return false;
	if (iph->protocol != IPPROTO_ICMP_)
		return true;
	/* About an echo one may complain, never about an error or a reply. */
	return skb_headlen(skb) > hlen && skb->data[hlen] == ICMP_ECHO;
}

void icmp_send(struct stack *st, const struct sk_buff *skb, uint8_t type, uint8_t code,
	       uint32_t info)
{
	const struct iphdr_ *iph = (const struct iphdr_ *)skb->data;
	unsigned quote = min_t(unsigned, skb->len, ICMP_QUOTE_MAX);
	struct sk_buff *out;
	struct icmphdr_ *icmp;
	uint32_t word = be32(info);

	if (skb_headlen(skb) < IP_HLEN || !st->dev || !icmp_may_complain(st, skb, iph))
		return;
	if (!token_take(&st->icmp_errors, st->now, ICMP_ERRORS_PER_SEC, ICMP_ERRORS_BURST))
		return;
	out = skb_alloc(&st->cache, st->dev->headroom + ETH_HLEN + IP_HLEN);
	if (!out)
		return;
	if (skb_tailroom(out) < ICMP_HLEN + quote) {
		skb_free(out);
		return;
	}
	icmp = (struct icmphdr_ *)skb_put(out, ICMP_HLEN);
	icmp->type = type;
	icmp->code = code;
	icmp->check = 0;
	memcpy(&icmp->word_hi, &word, sizeof(word));
	(void)skb_copy_bits(skb, 0, skb_put(out, quote), quote);
	icmp->check = csum_fold(csum_partial(out->data, out->len, 0));
	/* RFC 1812 4.3.2.5: internetwork control. */
	icmp_xmit(st, out, iph->saddr, 0xc0);
}
