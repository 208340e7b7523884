/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer: raw frames into a stack that has connections in each of TCP's states. The input holds
 * records: a byte of what to mend (so that frames get beyond addresses, lengths and checksums),
 * a length, the frame.
 */
#include "fuzz.h"

/* What is mended in a frame. */
#define MEND_ETH   0x01u /* to us, IPv4 */
#define MEND_IP    0x02u /* total length, addresses, checksum */
#define MEND_L4    0x04u /* the checksum of TCP or ICMP */
#define MEND_TUPLE 0x08u /* ports of a connection; its numbers are added to seq and ack */
#define MEND_MORE  0x10u /* no turn yet */
#define MEND_TIME  0x20u /* then a byte: 10 ms each */
#define MEND_GOOD  0x40u /* the device says that all checksums are right */
#define MEND_SPLIT 0x80u /* in pieces, cut at a byte that follows */

#define MAX_FRAMES 64u
#define FRAME_MAX  1900u /* one buffer */

enum {
	SLOT_REQ,
	SLOT_SYN_SENT,
	SLOT_FLIGHT, /* ESTABLISHED with data in flight and SACKs */
	SLOT_OFO,    /* ESTABLISHED with data behind a hole */
	SLOT_FIN_WAIT,
	SLOT_CLOSE_WAIT,
	SLOT_TIME_WAIT,
	SLOT_ANY,
};

static void segment(struct fuzz *z, struct fuzz_conn *fc, const struct seg *s)
{
	fuzz_seg(z, fc, s);
	fuzz_turn(z, 1000);
	(void)fuzz_conn_nums(z, fc);
}

static void flight(struct fuzz *z, const struct seg_peer *p)
{
	struct fuzz_conn *fc = fuzz_passive(z, SLOT_FLIGHT, p, 5000);
	const struct fuzz_nums *n = &fc->nums;

	fuzz_write(z, fc, 8000, false);
	fuzz_turn(z, 1000);
	(void)fuzz_conn_nums(z, fc);
	segment(z, fc,
		&(struct seg){.flags = ACK,
			      .seq = n->rcv_nxt,
			      .ack = n->snd_una,
			      .nr_sacks = 1,
			      .sack = {n->snd_una + n->mss, n->snd_una + 2u * n->mss}});
}

static void holes(struct fuzz *z, const struct seg_peer *p)
{
	struct fuzz_conn *fc = fuzz_passive(z, SLOT_OFO, p, 5000);
	uint32_t seq = fc->nums.rcv_nxt;

	segment(z, fc, &(struct seg){.flags = ACK, .seq = seq, .ack = fc->nums.snd_nxt, .len = 10});
	for (unsigned i = 1; i < 4; i++)
		segment(z, fc,
			&(struct seg){.flags = ACK,
				      .seq = seq + i * 200,
				      .ack = fc->nums.snd_nxt,
				      .len = 100});
}

/* which: 0 FIN-WAIT-1, 1 FIN-WAIT-2, 2 CLOSING, 3 an orphan in FIN-WAIT-2. */
static void fin_wait(struct fuzz *z, const struct seg_peer *p, unsigned which)
{
	struct fuzz_conn *fc = fuzz_passive(z, SLOT_FIN_WAIT, p, UINT32_MAX - 50);

	if (!fc->c.sk)
		return;
	(void)sock_shutdown(fc->c.sk, SEND_SHUTDOWN);
	fuzz_turn(z, 1000);
	(void)fuzz_conn_nums(z, fc);
	if (which == 1 || which == 3)
		fuzz_ack(z, fc, 0, fc->nums.snd_nxt, 0);
	else if (which == 2)
		fuzz_ack(z, fc, FIN, fc->nums.snd_una, 0);
	fuzz_turn(z, 1000);
	if (which == 3 && fc->c.sk) {
		sock_close(fc->c.sk);
		fc->c.sk = NULL;
	}
	fuzz_turn(z, 1000);
}

/* The peer's FIN first; last: our user has closed, too. */
static void close_wait(struct fuzz *z, const struct seg_peer *p, bool last)
{
	struct fuzz_conn *fc = fuzz_passive(z, SLOT_CLOSE_WAIT, p, 5000);

	fuzz_ack(z, fc, FIN, fc->nums.snd_nxt, 20);
	fuzz_turn(z, 1000);
	fuzz_read(z, fc, 65536);
	if (last && fc->c.sk) {
		sock_close(fc->c.sk);
		fc->c.sk = NULL;
	}
	fuzz_turn(z, 1000);
}

static void time_wait(struct fuzz *z, const struct seg_peer *p)
{
	struct fuzz_conn *fc = fuzz_passive(z, SLOT_TIME_WAIT, p, 5000);

	if (!fc->c.sk)
		return;
	sock_close(fc->c.sk);
	fc->c.sk = NULL;
	fuzz_turn(z, 1000);
	(void)fuzz_conn_nums(z, fc);
	fuzz_ack(z, fc, FIN, fc->nums.snd_nxt, 0);
	fuzz_turn(z, 1000);
}

/* The window is shut with bytes to send; a simultaneous open; one that nobody has accepted. */
static void any(struct fuzz *z, const struct seg_peer *p, unsigned which)
{
	struct fuzz_conn *fc;

	if (which == 0) {
		fc = fuzz_active(z, SLOT_ANY, p, 5000);
		fc->c.win = 0;
		fuzz_ack(z, fc, 0, fc->nums.snd_nxt, 0);
		fuzz_turn(z, 1000);
		fuzz_write(z, fc, 500, false);
		fuzz_run(z, 2 * NSEC_PER_SEC, 4);
	} else if (which == 1) {
		fc = fuzz_connect(z, SLOT_ANY, p);
		fuzz_turn(z, 1000);
		segment(z, fc, &(struct seg){.flags = SYN, .seq = 5000});
	} else {
		fc = fuzz_syn(z, SLOT_ANY, p, 5000);
		fuzz_turn(z, 1000);
		fuzz_ack(z, fc, 0, fc->nums.snd_nxt, 5);
		fuzz_turn(z, 1000);
	}
}

/* Two bits for each of the slots, but the first two: which of its states, if at all. */
static void make_states(struct fuzz *z, uint16_t which)
{
	const struct seg_peer *p = fuzz_peer(which & 7);

	if (which & 0x0008)
		(void)fuzz_syn(z, SLOT_REQ, p, 5000);
	if (which & 0x0010)
		(void)fuzz_connect(z, SLOT_SYN_SENT, p);
	fuzz_turn(z, 1000);
	if (which & 0x0020)
		flight(z, p);
	if (which & 0x0040)
		holes(z, p);
	if (which & 0x0200)
		fin_wait(z, p, which >> 7 & 3);
	if (which & 0x0800)
		close_wait(z, p, which & 0x0400);
	if (which & 0x1000)
		time_wait(z, p);
	if (which & 0x8000)
		any(z, p, which >> 13 & 3);
}

/* The ports and numbers of a connection; those of the frame are distances. */
static void mend_tuple(struct fuzz *z, uint8_t *l4, unsigned i)
{
	struct fuzz_conn *fc = &z->conn[i % FUZZ_CONNS];
	struct tcphdr_ *th = (struct tcphdr_ *)l4;

	if (!fc->used)
		return;
	(void)fuzz_conn_nums(z, fc);
	fc->has_edge = false; /* windows go by unseen */
	th->source = be16(fc->c.fport);
	th->dest = be16(fc->c.lport);
	th->seq = be32(be32(th->seq) + fc->nums.rcv_nxt);
	th->ack_seq = be32(be32(th->ack_seq) + fc->nums.snd_una);
}

static void mend_l4(uint8_t *b, unsigned hlen, unsigned len)
{
	const struct iphdr_ *ip = frame_iph(b);
	uint8_t *l4 = b + ETH_HLEN + hlen;
	unsigned n = len - ETH_HLEN - hlen;
	uint16_t sum;

	if (ip->protocol == IPPROTO_TCP_ && n >= TCP_HLEN) {
		memset(l4 + 16, 0, 2);
		sum = csum_fold(csum_partial(
			l4, n, csum_pseudo(ip->saddr, ip->daddr, (uint16_t)n, IPPROTO_TCP_)));
		memcpy(l4 + 16, &sum, 2);
	} else if (ip->protocol == IPPROTO_ICMP_ && n >= 4) {
		memset(l4 + 2, 0, 2);
		sum = csum_fold(csum_partial(l4, n, 0));
		memcpy(l4 + 2, &sum, 2);
	}
}

/* Neighbours, strangers among them, and a host behind the gateway. */
static uint32_t a_peer(uint8_t i)
{
	if (i >= 64)
		return fake_ip(192, 0, 2, i);
	return i < 3 ? SEG_PEER : fake_ip(10, 0, 0, i);
}

static void mend(struct fuzz *z, uint8_t *b, unsigned len, uint8_t how, unsigned conn)
{
	struct iphdr_ *ip = frame_iph(b);
	unsigned hlen;

	if (len < ETH_HLEN)
		return;
	if (how & MEND_ETH) {
		memcpy(b, fake_mac, ETH_ALEN);
		memcpy(b + ETH_ALEN, fake_peer_mac, ETH_ALEN);
		b[12] = ETH_P_IP >> 8;
		b[13] = ETH_P_IP & 0xff;
	}
	hlen = len > ETH_HLEN ? (b[ETH_HLEN] & 15) * 4u : 0;
	if (hlen < IP_HLEN || len < ETH_HLEN + hlen)
		return;
	if (how & MEND_IP) {
		ip->ver_ihl = (uint8_t)(0x40 | hlen / 4);
		ip->tot_len = be16((uint16_t)(len - ETH_HLEN));
		ip->saddr = how & MEND_TUPLE ? SEG_PEER : a_peer((uint8_t)(ip->saddr >> 24));
		ip->daddr = SEG_OUR;
		if (how & MEND_TUPLE)
			ip->frag_off = 0;
	}
	if ((how & MEND_TUPLE) && len >= ETH_HLEN + hlen + TCP_HLEN && ip->protocol == IPPROTO_TCP_)
		mend_tuple(z, b + ETH_HLEN + hlen, conn);
	if (how & MEND_L4)
		mend_l4(b, hlen, len);
	if (how & MEND_IP)
		frame_ip_sum(b);
}

static void one_frame(struct fuzz *z, struct fuzz_in *in)
{
	uint8_t how = in_u8(in), conn = how & MEND_TUPLE ? in_u8(in) : 0;
	uint8_t time = how & MEND_TIME ? in_u8(in) : 0, b[FAKE_FRAME_MAX];
	unsigned len = min_t(unsigned, in_u16(in) & 2047, FRAME_MAX);
	const uint8_t *raw;

	z->f->split_rx = how & MEND_SPLIT;
	if (how & MEND_SPLIT)
		z->f->split_at = in_u8(in);
	len = in_bytes(in, len, &raw);
	memcpy(b, raw, len);
	mend(z, b, len, how, conn);
	fuzz_say(z->now, "frame of %u bytes, type %02x%02x protocol %u, mended %#x", len, b[12],
		 b[13], b[ETH_HLEN + 9], how);
	fuzz_inject(z, b, len, how & MEND_GOOD ? CHECKSUM_GOOD : CHECKSUM_UNKNOWN);
	if (!(how & MEND_MORE))
		fuzz_turn(z, 1000);
	if (time)
		fuzz_run(z, time * 10 * NSEC_PER_MSEC, 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	static struct fuzz z;
	struct stack_config cfg;
	uint8_t shape;

	fuzz_config(&in, &cfg);
	shape = in_u8(&in);
	fuzz_begin(&z, &cfg, 512,
		   (shape & 1 ? NETDEV_F_RX_CSUM : 0) | (shape & 64 ? 0 : NETDEV_F_TX_SG));
	z.blind = true;
	if (!(shape & 2))
		fuzz_listen(&z, shape & 4 ? 0 : 16);
	make_states(&z, in_u16(&in));
	z.f->tight_rx = shape & 8;
	z.mute = shape & 16;
	z.f->share_rx = shape & 32;
	z.abrupt = shape & 128;
	z.turns = 0;
	for (unsigned i = 0; i < MAX_FRAMES && in.n && z.turns < FUZZ_TURNS; i++)
		one_frame(&z, &in);
	z.f->split_rx = false;
	fake_release_held(z.f);
	fuzz_end(&z);
	return 0;
}
