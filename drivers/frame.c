/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frame contents for the drivers. Every length is checked before use: these functions
 * see bytes from the wire, and bytes that the fault device has just corrupted.
 */
#include "drivers/frame.h"

#include "drivers/rss.h"
#include "stack/netdev.h"

#define IP_HLEN_MIN  20
#define IP_CSUM_OFF  10
#define IP_FRAG_MASK 0x3fff /* MF and the offset */
#define TCP_CSUM_OFF 16
#define TCP_HLEN_MIN 20
#define UDP_CSUM_OFF 6
#define UDP_HLEN_MIN 8

static uint16_t get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Sum of 16-bit words in memory order (RFC 1071 2 (B): byte order does not matter). */
static uint64_t sum_block(uint64_t sum, const uint8_t *p, unsigned n)
{
	uint32_t w;
	uint16_t last = 0;

	for (; n >= 4; n -= 4, p += 4) {
		memcpy(&w, p, 4);
		sum += w;
	}
	if (n >= 2) {
		memcpy(&last, p, 2);
		sum += last;
		p += 2;
		n -= 2;
		last = 0;
	}
	if (n) {
		memcpy(&last, p, 1);
		sum += last;
	}
	return sum;
}

bool frame_parse(const uint8_t *frame, unsigned len, unsigned frame_len,
		 struct frame_info *ret_info)
{
	const uint8_t *ip = frame + ETH_HLEN;
	unsigned hlen, tot, l4_min;

	if (len < ETH_HLEN + IP_HLEN_MIN || get_be16(frame + 12) != 0x0800 || ip[0] >> 4 != 4)
		return false;
	hlen = (ip[0] & 15u) * 4;
	tot = get_be16(ip + 2);
	if (hlen < IP_HLEN_MIN || tot < hlen || tot > frame_len - ETH_HLEN || len < ETH_HLEN + hlen)
		return false;
	ret_info->l3_len = (uint16_t)hlen;
	ret_info->tot_len = (uint16_t)tot;
	ret_info->proto = get_be16(ip + 6) & IP_FRAG_MASK ? 0 : ip[9];
	ret_info->csum_off = 0;
	memcpy(&ret_info->saddr, ip + 12, 4);
	memcpy(&ret_info->daddr, ip + 16, 4);
	if (ret_info->proto == FRAME_PROTO_TCP) {
		ret_info->csum_off = TCP_CSUM_OFF;
		l4_min = TCP_HLEN_MIN;
	} else if (ret_info->proto == FRAME_PROTO_UDP) {
		ret_info->csum_off = UDP_CSUM_OFF;
		l4_min = UDP_HLEN_MIN;
	} else {
		return true;
	}
	if (tot - hlen < l4_min || len < ETH_HLEN + hlen + l4_min) {
		ret_info->proto = 0;
		ret_info->csum_off = 0;
	}
	return true;
}

uint32_t frame_hash(const uint8_t *frame, unsigned len, unsigned frame_len)
{
	struct frame_info fi;
	uint16_t sport, dport;

	if (!frame_parse(frame, len, frame_len, &fi))
		return 0;
	if (!fi.csum_off)
		return rss_hash2(fi.saddr, fi.daddr);
	memcpy(&sport, frame + ETH_HLEN + fi.l3_len, 2);
	memcpy(&dport, frame + ETH_HLEN + fi.l3_len + 2, 2);
	return rss_hash4(fi.saddr, fi.daddr, sport, dport);
}

static void finish_ip(uint8_t *ip, unsigned hlen)
{
	uint16_t c;

	memset(ip + IP_CSUM_OFF, 0, 2);
	c = (uint16_t)~fold(sum_block(0, ip, hlen));
	memcpy(ip + IP_CSUM_OFF, &c, 2);
}

/* RFC 768: a UDP checksum that comes out as 0 is sent as all ones. TCP takes either. */
static void finish_l4(uint8_t *l4, const struct frame_info *fi, uint64_t sum)
{
	uint16_t c = (uint16_t)~fold(sum);

	if (c == 0 && fi->proto == FRAME_PROTO_UDP)
		c = 0xffff;
	memcpy(l4 + fi->csum_off, &c, 2);
}

void frame_finish_csum(uint8_t *frame, unsigned len)
{
	struct frame_info fi;
	uint8_t *ip = frame + ETH_HLEN, *l4;

	if (!frame_parse(frame, len, len, &fi))
		return;
	finish_ip(ip, fi.l3_len);
	l4 = ip + fi.l3_len;
	if (fi.csum_off)
		finish_l4(l4, &fi, sum_block(0, l4, fi.tot_len - fi.l3_len));
}

void frame_finish_skb(struct sk_buff *skb)
{
	struct frame_info fi;
	unsigned left, off, n;
	uint64_t sum = 0;
	bool odd = false;

	if (!frame_parse(skb->data, skb_headlen(skb), skb->len, &fi))
		return;
	finish_ip(skb->data + ETH_HLEN, fi.l3_len);
	if (!fi.csum_off)
		return;
	left = fi.tot_len - fi.l3_len;
	off = ETH_HLEN + fi.l3_len;
	for (struct sk_buff *s = skb; s && left; s = s->frag) {
		uint16_t part;

		n = min_t(unsigned, skb_headlen(s) - off, left);
		part = fold(sum_block(0, s->data + off, n));
		/* RFC 1071 2 (B): a piece at an odd offset counts with its bytes swapped */
		sum += odd ? __builtin_bswap16(part) : part;
		odd ^= n & 1;
		left -= n;
		off = 0;
	}
	finish_l4(skb->data + ETH_HLEN + fi.l3_len, &fi, sum);
}

enum skb_csum frame_verify_csum(const uint8_t *frame, unsigned len)
{
	const uint8_t *ip = frame + ETH_HLEN, *l4;
	struct frame_info fi;
	uint16_t word[2];
	uint64_t sum;

	if (!frame_parse(frame, len, len, &fi))
		return CHECKSUM_UNKNOWN;
	if (fold(sum_block(0, ip, fi.l3_len)) != 0xffff)
		return CHECKSUM_BAD;
	if (!fi.csum_off)
		return CHECKSUM_UNKNOWN;
	l4 = ip + fi.l3_len;
	if (fi.proto == FRAME_PROTO_UDP && l4[UDP_CSUM_OFF] == 0 && l4[UDP_CSUM_OFF + 1] == 0)
		return CHECKSUM_UNKNOWN;
	word[0] = __builtin_bswap16(fi.proto);
	word[1] = __builtin_bswap16((uint16_t)(fi.tot_len - fi.l3_len));
	sum = sum_block(word[0] + (uint64_t)word[1], ip + 12, 8);
	sum = sum_block(sum, l4, fi.tot_len - fi.l3_len);
	return fold(sum) == 0xffff ? CHECKSUM_GOOD : CHECKSUM_BAD;
}
