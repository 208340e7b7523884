/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer: a program of segments, application calls, errors and time. The input's bytes are
 * operations on a few connections; numbers are relative to what the connection really has, so
 * that nearly each input reaches beyond the checks of a plain window.
 */
#include "fuzz.h"

#include "stack/sock_opt.h"
#include "stack/tcp_fast.h"

#define MAX_OPS 96u

struct run {
	struct fuzz z;
	struct fuzz_in in;
};

static struct fuzz_conn *pick(struct run *r)
{
	return &r->z.conn[in_u8(&r->in) % FUZZ_CONNS];
}

/* A distance: some bytes, or some segments. */
static uint32_t distance(struct run *r, const struct fuzz_conn *fc)
{
	int8_t d = (int8_t)in_u8(&r->in);
	int32_t mss = fc->nums.mss ? fc->nums.mss : 536;

	if (d >= -16 && d < 16)
		return (uint32_t)d;
	return (uint32_t)((d < 0 ? d + 16 : d - 15) * mss);
}

static const struct sk_buff *nth(const struct sk_buff_head *q, unsigned i)
{
	const struct sk_buff *skb = skb_peek(q);

	while (skb && i--)
		skb = skb_queue_next(q, skb);
	return skb;
}

static const struct tcp_sock *sock_of(struct run *r, struct fuzz_conn *fc)
{
	const struct tcp_node *n = fuzz_conn_nums(&r->z, fc);

	return n && n->kind == TCP_NODE_SOCK ? container_of(n, struct tcp_sock, node) : NULL;
}

/* Where the peer's sequence numbers are counted from. */
static uint32_t seq_ref(struct run *r, struct fuzz_conn *fc, unsigned ref)
{
	const struct tcp_sock *tp = sock_of(r, fc);
	const struct fuzz_nums *n = &fc->nums;

	switch (ref & 7) {
	case 1:
		return n->rcv_edge;
	case 2:
		return n->copied_seq;
	case 3:
		return tp ? tp->irs : n->rcv_nxt - 1;
	case 4:
		return tp && !skb_queue_empty(&tp->ofo_queue) ? skb_peek(&tp->ofo_queue)->tcp.seq
							      : n->rcv_nxt;
	case 5:
		return tp && !skb_queue_empty(&tp->ofo_queue)
			       ? skb_peek_tail(&tp->ofo_queue)->tcp.end_seq
			       : n->rcv_nxt;
	case 6:
		return n->rcv_nxt + INT32_MAX;
	default:
		return n->rcv_nxt;
	}
}

/* And ours. */
static uint32_t ack_ref(struct run *r, struct fuzz_conn *fc, unsigned ref)
{
	const struct tcp_sock *tp = sock_of(r, fc);
	const struct fuzz_nums *n = &fc->nums;
	const struct sk_buff *skb;

	switch (ref & 7) {
	case 1:
		return n->snd_una;
	case 2:
		return n->write_seq;
	case 3:
		return tp ? tp->iss : n->snd_una;
	case 4:
		return tp ? tcp_fack(tp) : n->snd_una;
	case 5: /* the end of a segment */
		skb = tp ? nth(&tp->sk.sk_write_queue, ref >> 3 & 15) : NULL;
		return skb ? skb->tcp.end_seq : n->snd_una;
	case 6:
		return tp ? tp->snd_una - tp->max_window : n->snd_una;
	default:
		return n->snd_nxt;
	}
}

static void draw_sacks(struct run *r, struct fuzz_conn *fc, struct seg *s, unsigned nr)
{
	s->nr_sacks = min_t(unsigned, nr, fc->c.ts && !s->no_ts ? 3 : 4);
	for (unsigned i = 0; i < s->nr_sacks; i++) {
		uint8_t how = in_u8(&r->in);

		s->sack[2 * i] =
			ack_ref(r, fc, how & 0x80 ? 5 | (how & 0x78) : 1) + distance(r, fc);
		s->sack[2 * i + 1] = how & 4 ? s->sack[2 * i] + distance(r, fc)
					     : ack_ref(r, fc, 5 | how << 3) + (how >> 6 & 1);
	}
}

/* The peer's clock, and the echo of ours. */
static void draw_ts(struct run *r, struct fuzz_conn *fc, struct seg *s, uint8_t how)
{
	uint32_t now = 70000 + (uint32_t)(r->z.now / NSEC_PER_MSEC);

	s->no_ts = (how & 3) == 1;
	if ((how & 3) >= 2)
		s->tsval = now +
			   ((how & 3) == 2 ? -1000u * in_u8(&r->in) - 1 : 1000000u * in_u8(&r->in));
	if ((how >> 2 & 3) == 1)
		s->tsecr = fc->c.tsecr - in_u8(&r->in);
	else if ((how >> 2 & 3) == 2)
		s->tsecr = fc->c.tsecr + 100000;
}

/* Is the byte at `seq` with our stack for good? What waits behind a hole is, while there is
 * memory. */
static bool is_here(const struct run *r, const struct tcp_sock *tp, uint32_t seq)
{
	const struct sk_buff *skb;

	if (before(seq, tp->rcv_nxt))
		return true;
	if (tp->sk.sk_rmem_alloc > tp->sk.sk_rcvbuf / 2 || tp->sk.sk_rcvbuf < 65536 ||
	    r->z.pool->ops->avail(r->z.pool) <
		    max_t(unsigned, r->z.pool->nr / 2, r->z.pool->reserve + 2 * SKB_CACHE_BULK))
		return false;
	skb_queue_walk (&tp->ofo_queue, skb)
		if (!before(seq, skb->tcp.seq) && before(seq, skb->tcp.end_seq))
			return true;
	return false;
}

/* Bytes that came before come with other values now: the first ones count (B21). */
static void lie(struct run *r, struct fuzz_conn *fc, struct seg *s)
{
	static uint8_t buf[1500];
	const struct tcp_sock *tp = sock_of(r, fc);

	if (!tp || r->z.f->in_head != r->z.f->in_tail || tp->sk.sk_state == TCP_SYN_SENT)
		return;
	for (unsigned i = 0; i < s->len; i++) {
		uint32_t seq = s->seq + !!(s->flags & SYN) + i;

		buf[i] = seg_pattern(seq);
		if (is_here(r, tp, seq))
			buf[i] ^= 0x55;
	}
	s->data = buf;
}

/* misc: bits 0 and 1 the ECN field, 2 a bad checksum, 3 urgent, 4 twice, 5 more follows at once,
 * 6 in two fragments, 7 with lies about what came before. */
static void op_segment(struct run *r)
{
	struct fuzz_conn *fc = pick(r);
	uint8_t refs = in_u8(&r->in), flags = in_u8(&r->in), opts, misc, len;
	const uint8_t *raw;
	struct seg s = {.flags = flags ^ ACK};

	if (!fc->used)
		return;
	s.seq = seq_ref(r, fc, refs) + distance(r, fc);
	s.ack = ack_ref(r, fc, refs >> 3) + distance(r, fc);
	len = in_u8(&r->in);
	s.len = len < 128 ? len : min_t(unsigned, (len - 127u) * 100, 1400);
	s.win = (int)in_u8(&r->in) << 8;
	if (s.win == 0xff00)
		s.win = -1;
	else if (s.win >= 0xf000)
		s.win = (s.win >> 8) - 0xef;
	opts = in_u8(&r->in);
	misc = in_u8(&r->in);
	draw_ts(r, fc, &s, opts);
	if (opts & 0x80) {
		s.optlen = in_bytes(&r->in, opts >> 4 & 7 ? 40 : 12, &raw);
		s.opt = raw;
	} else {
		draw_sacks(r, fc, &s, opts >> 4 & 7);
	}
	s.tos = misc & 3;
	s.bad_csum = misc & 4;
	s.urg = misc & 8 ? in_u8(&r->in) : 0;
	if (misc & 128)
		lie(r, fc, &s);
	fuzz_seg_cut(&r->z, fc, &s, misc & 64 ? 8 + len : 0);
	if (misc & 16)
		fuzz_seg(&r->z, fc, &s);
	if (!(misc & 32))
		fuzz_turn(&r->z, 1000);
}

/* The next segments in order, a decent peer's. */
static void op_data(struct run *r)
{
	struct fuzz_conn *fc = pick(r);
	uint8_t how = in_u8(&r->in);
	unsigned nr = 1 + (how & 15), hole = how >> 4 & 3;
	uint32_t seq;

	if (!fc->used)
		return;
	(void)fuzz_conn_nums(&r->z, fc);
	seq = fc->nums.rcv_nxt;
	for (unsigned i = 0; i < nr; i++) {
		unsigned len = how & 0x40 ? 1 : 1000;
		const struct seg s = {
			.flags = ACK | PSH, .seq = seq, .ack = fc->nums.snd_nxt, .len = len};

		seq += len;
		/* each second, third or fourth one is lost */
		if (!hole || i % (hole + 1))
			fuzz_seg(&r->z, fc, &s);
		if (how & 0x80)
			fuzz_turn(&r->z, 1000);
	}
	fuzz_turn(&r->z, 1000);
}

/* A decent peer's answer to what was sent: all of it, some, or with holes. */
static void op_ack(struct run *r)
{
	struct fuzz_conn *fc = pick(r);
	uint8_t how = in_u8(&r->in);
	const struct tcp_sock *tp;
	struct seg s = {.flags = ACK};
	const struct sk_buff *skb;

	if (!fc->used)
		return;
	tp = sock_of(r, fc);
	s.seq = fc->nums.rcv_nxt;
	s.ack = fc->nums.snd_nxt;
	if (how & 0x80)
		s.flags |= FIN;
	if (how & 0x40)
		s.flags |= ECE;
	if (tp && (how & 0x3f)) { /* so many arrived, behind a hole */
		skb = nth(&tp->sk.sk_write_queue, how & 7);
		s.ack = tp->snd_una;
		if (skb && tp->sack_ok && after(tp->snd_nxt, skb->tcp.seq)) {
			s.nr_sacks = 1;
			s.sack[0] = skb->tcp.seq;
			skb = nth(&tp->sk.sk_write_queue, (how & 7) + (how >> 3 & 7));
			s.sack[1] = skb && !after(skb->tcp.end_seq, tp->snd_nxt) ? skb->tcp.end_seq
										 : tp->snd_nxt;
		}
	}
	fuzz_seg(&r->z, fc, &s);
	fuzz_turn(&r->z, 1000);
}

/* The segments in flight one by one, some ms apart: round trips that a peer measures. */
static void op_acks(struct run *r)
{
	struct fuzz_conn *fc = pick(r);
	uint8_t how = in_u8(&r->in);

	for (unsigned i = 0; fc->used && i <= how >> 4; i++) {
		const struct tcp_sock *tp = sock_of(r, fc);
		const struct sk_buff *skb = tp ? skb_peek(&tp->sk.sk_write_queue) : NULL;

		fuzz_turn(&r->z, (how & 15) * NSEC_PER_MSEC);
		tp = sock_of(r, fc);
		skb = tp ? skb_peek(&tp->sk.sk_write_queue) : NULL;
		if (!skb || skb == tp->send_head)
			return;
		fuzz_ack(&r->z, fc, 0, skb->tcp.end_seq, 0);
		fuzz_turn(&r->z, 1000);
	}
}

/* The peer had something twice (RFC 2883): below its ACK, or within what it holds already. */
static void op_dsack(struct run *r)
{
	struct fuzz_conn *fc = pick(r);
	uint8_t how = in_u8(&r->in);
	const struct tcp_sock *tp = sock_of(r, fc);
	struct seg s = {.flags = how & 64 ? ACK | ECE : ACK, .nr_sacks = 1};
	uint32_t mss;

	if (!fc->used || !tp)
		return;
	mss = fc->nums.mss;
	s.seq = fc->nums.rcv_nxt;
	s.ack = how & 8 ? fc->nums.snd_nxt : fc->nums.snd_una;
	if (how & 16) {
		s.nr_sacks = 2;
		s.sack[0] = s.sack[2] = s.ack + mss * (1 + (how & 3));
		s.sack[1] = s.sack[0] + mss;
		s.sack[3] = s.sack[1] + mss;
	} else {
		s.sack[1] = s.ack - mss * (how & 3);
		s.sack[0] = s.sack[1] - (how & 4 ? 1 : mss);
	}
	fuzz_seg(&r->z, fc, &s);
	if (!(how & 32))
		fuzz_turn(&r->z, 1000);
}

static void op_open(struct run *r)
{
	uint8_t at = in_u8(&r->in), how = in_u8(&r->in);
	const struct seg_peer *p = fuzz_peer(how & 7);
	uint32_t isn = at & 128 ? UINT32_MAX - 3 : 5000u + (uint32_t)(r->z.now / 1000);

	r->z.ecn = how & 8;
	r->z.bind = how & 128;
	switch (how >> 4 & 7) {
	case 0:
		(void)fuzz_passive(&r->z, at, p, isn);
		break;
	case 1:
		(void)fuzz_active(&r->z, at, p, isn);
		break;
	case 2:
		(void)fuzz_connect(&r->z, at, p);
		fuzz_turn(&r->z, 1000);
		break;
	case 3:
		(void)fuzz_syn(&r->z, at, p, isn);
		fuzz_turn(&r->z, 1000);
		break;
	case 4: /* in the accept queue */
		fuzz_ack(&r->z, fuzz_syn(&r->z, at, p, isn), 0, 0, 0);
		fuzz_turn(&r->z, 1000);
		fuzz_ack(&r->z, &r->z.conn[at % FUZZ_CONNS], 0,
			 r->z.conn[at % FUZZ_CONNS].nums.snd_nxt, how & 0x80 ? 10 : 0);
		fuzz_turn(&r->z, 1000);
		break;
	case 5:
		fuzz_listen(&r->z, in_u8(&r->in) & 3);
		break;
	case 6:
		if (r->z.listener)
			sock_close(r->z.listener);
		r->z.listener = NULL;
		fuzz_turn(&r->z, 1000);
		break;
	default:
		fuzz_accept(&r->z);
		break;
	}
}

static void op_user(struct run *r)
{
	struct fuzz_conn *fc = pick(r);
	uint8_t how = in_u8(&r->in), n = in_u8(&r->in);

	fuzz_say(r->z.now, "user of port %u: %u", fc->c.fport, how & 15);
	if (how & 128 && r->z.listener) { /* what a listener does not know */
		(void)!sock_recv(r->z.listener, &n, 1);
		(void)!sock_send(r->z.listener, &n, 1);
		(void)sock_poll(r->z.listener);
		(void)sock_inq(r->z.listener);
		(void)sock_outq(r->z.listener, true);
		(void)sock_shutdown(r->z.listener, SEND_SHUTDOWN);
	}
	if (!fc->c.sk)
		return;
	switch (how & 15) {
	case 0:
	case 1:
	case 2:
		fuzz_write(&r->z, fc, how & 16 ? n : n * 200u, how & 32);
		break;
	case 3:
	case 4:
		fuzz_read(&r->z, fc, how & 16 ? n : 65536);
		break;
	case 5:
		(void)sock_shutdown(fc->c.sk, SEND_SHUTDOWN);
		break;
	case 6:
		(void)sock_shutdown(fc->c.sk, n & 1 ? RCV_SHUTDOWN : RCV_SHUTDOWN | SEND_SHUTDOWN);
		break;
	case 7:
		sock_close(fc->c.sk);
		fc->c.sk = NULL;
		break;
	case 8:
		sock_abort(fc->c.sk);
		fc->c.sk = NULL;
		break;
	case 9:
		(void)sock_error(fc->c.sk);
		break;
	case 10:
		(void)sock_poll(fc->c.sk);
		(void)sock_inq(fc->c.sk);
		(void)sock_outq(fc->c.sk, n & 1);
		break;
	case 11: /* again: an error, mostly */
		(void)!sock_connect(fc->c.sk, &fc->c.sk->sk_peer);
		(void)!sock_listen(fc->c.sk, n);
		break;
	default: /* to the application's writes, all of them small */
		for (unsigned i = 0; i < (n & 31); i++)
			fuzz_write(&r->z, fc, 1 + (n >> 5), false);
		break;
	}
	if (!(how & 64))
		fuzz_turn(&r->z, 1000);
}

#define OPTION(name, nr) nr,
static const uint8_t so_options[] = {SK_SO_OPTIONS(OPTION)};
static const uint8_t ip_options[] = {SK_IP_OPTIONS(OPTION)};
static const uint8_t tcp_options[] = {SK_TCP_OPTIONS(OPTION)};

static void op_option(struct run *r)
{
	static const char *const names[] = {"cubic", "reno", "dctcp", "none"};
	struct fuzz_conn *fc = pick(r);
	uint8_t which = in_u8(&r->in), how = in_u8(&r->in), buf[256] = {0};
	struct sock *sk = how & 1 && r->z.listener ? r->z.listener : fc->c.sk;
	uint32_t val = how & 2 ? in_u32(&r->in) : in_u8(&r->in), len;
	int level = SK_SOL_TCP, name = tcp_options[which % ARRAY_SIZE(tcp_options)];

	if (!sk)
		return;
	if ((how >> 2 & 3) == 1) {
		level = SK_SOL_SOCKET;
		name = so_options[which % ARRAY_SIZE(so_options)];
	} else if ((how >> 2 & 3) == 2) {
		level = SK_SOL_IP;
		name = ip_options[which % ARRAY_SIZE(ip_options)];
	}
	/* what a user wants to wait for, a closed socket waits for as well, days if need be */
	if (level == SK_SOL_TCP && name == SK_TCP_USER_TIMEOUT)
		val %= 100000;
	fuzz_say(r->z.now, "option %d %d of port %u: %u", level, name, fc->c.fport, val);
	if (level == SK_SOL_TCP && name == SK_TCP_CONGESTION) {
		(void)!sock_setopt(sk, level, name, names[val & 3],
				   (uint32_t)strlen(names[val & 3]));
	} else {
		memcpy(buf, &val, sizeof(val));
		if (how & 16) /* struct linger */
			buf[0] = 1, memcpy(buf + 4, &val, sizeof(val));
		(void)!sock_setopt(sk, level, name, buf, how & 32 ? which : how & 16 ? 8 : 4);
	}
	len = how & 64 ? which : sizeof(buf);
	(void)!sock_getopt(sk, level, name, buf, &len);
	if (len > sizeof(buf))
		fuzz_fail("getsockopt(%d, %d) says %u bytes", level, name, len);
	fuzz_turn(&r->z, 1000);
}

static void op_time(struct run *r)
{
	uint8_t t = in_u8(&r->in);

	switch (t >> 6) {
	case 0:
		fuzz_turn(&r->z, (t & 63) * NSEC_PER_MSEC);
		break;
	case 1: /* from timer to timer */
		fuzz_run(&r->z, 4000 * NSEC_PER_SEC, 1 + (t & 63));
		break;
	case 2:
		fuzz_turn(&r->z, (t & 63u) * 10000);
		break;
	default:
		fuzz_run(&r->z, (1 + (t & 63u)) * NSEC_PER_SEC, 100);
		break;
	}
}

/* An error that quotes the connection's real numbers, more or less. */
static void op_icmp(struct run *r)
{
	static const uint8_t types[] = {3, 11, 12, 4, 5, 8, 0, 3};
	struct fuzz_conn *fc = pick(r);
	uint8_t how = in_u8(&r->in), code = in_u8(&r->in), q[FAKE_FRAME_MAX] = {0};
	uint32_t mtu = in_u8(&r->in) * 8u, seq;
	struct tcphdr_ *th = (struct tcphdr_ *)(q + ETH_HLEN + IP_HLEN);
	uint8_t frame[FAKE_FRAME_MAX];
	unsigned n = how & 8 ? in_u8(&r->in) : IP_HLEN + 8;

	if (!fc->used)
		return;
	seq = ack_ref(r, fc, 1 + (how >> 4 & 3) * 4u) + (how & 0x40 ? distance(r, fc) : 0);
	(void)frame_ip(q, SEG_OUR, fc->c.peer_ip, IPPROTO_TCP_, NULL, 1000);
	th->source = be16(fc->c.lport);
	th->dest = be16(fc->c.fport);
	th->seq = be32(seq);
	fuzz_say(r->z.now, "icmp %u %u mtu %u about port %u seq %u", types[how & 7], code, mtu,
		 fc->c.fport, seq);
	fuzz_inject(&r->z, frame,
		    frame_icmp(frame, how & 0x80 ? fake_ip(10, 0, 0, 9) : SEG_PEER, SEG_OUR,
			       types[how & 7], code & 15, mtu, q + ETH_HLEN, n),
		    CHECKSUM_UNKNOWN);
	fuzz_turn(&r->z, 1000);
}

/* Memory fails, the ring is full, the cable out, neighbours fall silent, frames come in pieces. */
static void op_trouble(struct run *r)
{
	uint8_t how = in_u8(&r->in), n = in_u8(&r->in);

	switch (how & 7) {
	case 0:
		fuzz_fail_next(r->z.st, n & 7, 1 + (n >> 3));
		break;
	case 1:
		fuzz_fail_memory(1 + (n & 7));
		break;
	case 2:
		r->z.f->tx_limit = n & 1 ? n >> 1 : UINT32_MAX;
		break;
	case 3:
		r->z.mute = n & 1;
		break;
	case 4:
		r->z.f->split_rx = n & 1;
		r->z.f->split_at = 14 + (n >> 1);
		break;
	case 5:
		r->z.f->share_rx = n & 1;
		if (!(n & 1))
			fake_release_held(r->z.f);
		break;
	case 6:
		r->z.f->tight_rx = n & 1;
		break;
	default:
		r->z.f->dev.tx_off = n & 1;
		if (n & 2) /* and all peers have other windows */
			for (unsigned i = 0; i < FUZZ_CONNS; i++)
				r->z.conn[i].c.win = (uint16_t)(n << 6);
		break;
	}
}

/* A connection with ourselves, through the internal loopback. */
static void op_loop(struct run *r)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = FUZZ_PORT, .v4 = SEG_OUR};
	struct fuzz_conn *fc = pick(r);

	if (fc->c.sk || sock_create(r->z.st, SK_AF_INET, &fc->c.sk) < 0)
		return;
	memset(&fc->nums, 0, sizeof(fc->nums));
	fc->used = false;
	if (sock_connect(fc->c.sk, &to) != -EINPROGRESS) {
		sock_close(fc->c.sk);
		fc->c.sk = NULL;
	}
	fuzz_turn(&r->z, 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(struct run * r) = {
		op_segment, op_segment, op_acks, op_data, op_ack,  op_ack,     op_user, op_user,
		op_dsack,   op_time,    op_time, op_open, op_icmp, op_trouble, op_loop, op_option,
	};
	static struct run r;
	struct stack_config cfg;
	uint8_t shape;

	r.in = (struct fuzz_in){data, size};
	fuzz_config(&r.in, &cfg);
	shape = in_u8(&r.in);
	fuzz_begin(&r.z, &cfg, shape & 1 ? 64 : 512,
		   (shape & 2 ? 0 : NETDEV_F_TX_SG) |
			   (shape & 4 ? NETDEV_F_TX_IP_CSUM | NETDEV_F_TX_TCP_CSUM : 0));
	fuzz_listen(&r.z, shape & 8 ? 1 : 8);
	r.z.abrupt = shape & 16;
	for (unsigned i = 0; i < MAX_OPS && r.in.n && r.z.turns < FUZZ_TURNS; i++)
		ops[in_u8(&r.in) % ARRAY_SIZE(ops)](&r);
	if (shape & 32)
		fuzz_decent(&r.z);
	fuzz_end(&r.z);
	return 0;
}
