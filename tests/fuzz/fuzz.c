/* SPDX-License-Identifier: BSD-3-Clause */
/* The stack under fuzz: clock, device, and what is judged after each turn. */
#include "fuzz.h"

#include "sim/tcp_check.h"

#define DRAIN     (3000 * NSEC_PER_SEC) /* beyond all timeouts of a peer that is silent */
#define END_TURNS 20000u
#define NAPS      1000u /* turns in a row at one time without anything done */
#define IN_MAX    512u
#define ARP_OP    (ETH_HLEN + 7)
#define ARP_TPA   (ETH_HLEN + 24)

/* ---- what is sent ---- */

/* Whoever asks for a neighbour gets an answer, unless all are mute. */
static void answer_arp(struct fuzz *z, const struct fake_frame *fr)
{
	uint8_t a[FAKE_FRAME_MAX];
	uint32_t tpa;

	memcpy(&tpa, fr->b + ARP_TPA, 4);
	if (fr->b[ARP_OP] == 1)
		z->asked = z->turns;
	if (fr->b[ARP_OP] != 1 || tpa == SEG_OUR || z->mute)
		return;
	fuzz_inject(z, a, frame_arp(a, fake_mac, 2, fake_peer_mac, tpa, fake_mac, SEG_OUR),
		    CHECKSUM_UNKNOWN);
}

static void judge_tcp(struct fuzz *z, const struct fake_frame *fr)
{
	const struct iphdr_ *ip = (const struct iphdr_ *)(fr->b + ETH_HLEN);
	static struct seg s; /* large, and made anew by each call */
	const char *why = seg_parse(fr->b, fr->len, NULL, &s);

	if (why)
		fuzz_fail("a segment was sent with %s", why);
	fuzz_say(z->now, "sent to %u %s%s%s%s%s seq %u ack %u len %u win %d", s.dport,
		 s.flags & SYN ? "S" : "", s.flags & FIN ? "F" : "", s.flags & RST ? "R" : "",
		 s.flags & PSH ? "P" : "", s.flags & ACK ? "." : "", s.seq, s.ack, s.len, s.win);
	if (!(s.flags & (SYN | RST | ACK)) || ((s.flags & SYN) && (s.flags & (FIN | RST))) ||
	    ((s.flags & RST) && (s.flags & FIN)))
		fuzz_fail("a segment was sent with flags %#x", s.flags);
	for (unsigned i = 0; i < s.nr_sacks; i++)
		if (!before(s.sack[2 * i], s.sack[2 * i + 1]))
			fuzz_fail("an empty SACK block was sent");
	fuzz_sent(z, fuzz_find(z, ip->daddr, s.dport, s.sport), &s);
}

/* What a device was to do for us, done; then the frame as its receiver sees it. */
static void judge_frame(struct fuzz *z, struct fake_frame *fr)
{
	const struct iphdr_ *ip = (const struct iphdr_ *)(fr->b + ETH_HLEN);
	uint16_t proto = (uint16_t)(fr->b[12] << 8 | fr->b[13]);

	if (proto == ETH_P_ARP && fr->len == ETH_HLEN + 28) {
		answer_arp(z, fr);
		return;
	}
	if (proto != ETH_P_IP || fr->len < ETH_HLEN + IP_HLEN ||
	    fr->len > (unsigned)ETH_HLEN + z->st->mtu || fr->gso_size)
		fuzz_fail("a frame of type %#x and %u bytes was sent", proto, fr->len);
	if (fr->ip_summed == CHECKSUM_PARTIAL) {
		frame_ip_sum(fr->b);
		if (seg_is_tcp(fr->b, fr->len))
			tcp_frame_sum(fr->b);
	}
	if (ip->ver_ihl != 0x45 || be16(ip->tot_len) + (unsigned)ETH_HLEN != fr->len ||
	    csum_iphdr(ip))
		fuzz_fail("a packet was sent with a bad IP header");
	if (ip->saddr != SEG_OUR || ip->daddr == SEG_OUR || ip->daddr == UINT32_MAX ||
	    (ip->daddr & 0xff) >= 224 || !ip->daddr || !ip->ttl)
		fuzz_fail("a packet was sent from %#x to %#x", be32(ip->saddr), be32(ip->daddr));
	if (seg_is_tcp(fr->b, fr->len))
		judge_tcp(z, fr);
	else if (ip->protocol != IPPROTO_ICMP_)
		fuzz_fail("a packet of protocol %u was sent", ip->protocol);
}

void fuzz_inject(struct fuzz *z, const uint8_t *frame, unsigned len, enum skb_csum csum)
{
	/* a ring that is full loses frames, as any does */
	if (z->f->in_tail - z->f->in_head < IN_MAX)
		fake_inject_csum(z->f, frame, len, csum);
}

void fuzz_inject_cut(struct fuzz *z, uint8_t *frame, unsigned len, unsigned at)
{
	static uint8_t rest[FAKE_FRAME_MAX];
	const unsigned head = ETH_HLEN + IP_HLEN;
	struct iphdr_ *ip = frame_iph(frame);

	at = max_t(unsigned, at & ~7u, 8);
	if (head + at >= len) {
		fuzz_inject(z, frame, len, CHECKSUM_UNKNOWN);
		return;
	}
	memcpy(rest, frame, head);
	memcpy(rest + head, frame + head + at, len - head - at);
	ip->id = frame_iph(rest)->id = be16((uint16_t)z->turns);
	ip->frag_off = be16(IP_MF);
	ip->tot_len = be16((uint16_t)(IP_HLEN + at));
	frame_ip_sum(frame);
	frame_iph(rest)->frag_off = be16((uint16_t)(at / 8));
	frame_iph(rest)->tot_len = be16((uint16_t)(len - ETH_HLEN - at));
	frame_ip_sum(rest);
	/* the last one first, now and then */
	if (z->turns & 1)
		fuzz_inject(z, rest, len - at, CHECKSUM_UNKNOWN);
	fuzz_inject(z, frame, head + at, CHECKSUM_UNKNOWN);
	if (!(z->turns & 1))
		fuzz_inject(z, rest, len - at, CHECKSUM_UNKNOWN);
}

/* ---- another lane: frames of some flows go there, and come back to us as if they were its ---- */

static uint16_t steer_home(void *ctx, uint32_t saddr, uint32_t daddr, uint16_t sport,
			   uint16_t dport)
{
	(void)ctx;
	(void)saddr;
	(void)daddr;
	return (be16(sport) ^ be16(dport)) & 1;
}

static bool steer_forward(void *ctx, uint16_t lane, struct sk_buff *skb)
{
	struct fuzz *z = ctx;

	(void)lane;
	if (z->nr_away == FUZZ_AWAY)
		return false;
	z->away[z->nr_away++] = skb;
	return true;
}

static void come_back(struct fuzz *z)
{
	unsigned n = z->nr_away;

	z->nr_away = 0;
	for (unsigned i = 0; i < n; i++)
		stack_forwarded(z->st, z->away[i]);
}

/* ---- the clock ---- */

static void check(struct fuzz *z)
{
	const struct tcp_sock *tp;
	const char *why = tcp_check_stack(z->st, &tp);

	if (why && tp)
		fuzz_fail("port %u to port %u, %s: not (%s)", tp->node.lport, tp->node.fport,
			  tcp_state_name(tp->sk.sk_state), why);
	if (why)
		fuzz_fail("not (%s)", why);
}

/* Was anything done? */
static bool one_turn(struct fuzz *z)
{
	unsigned did;

	z->turns++;
	z->hidden |= z->mute || z->f->tx_limit != UINT32_MAX || z->f->dev.tx_off;
	fuzz_witness_look(z);
	did = stack_rx(z->st, z->now, 64);
	come_back(z);
	did += stack_timers(z->st, z->now);
	did += stack_output(z->st, z->now);
	check(z);
	if (z->f->nr_out - z->seen > FAKE_FRAMES)
		fuzz_fail("%u frames were sent in one turn", z->f->nr_out - z->seen);
	for (; z->seen != z->f->nr_out; z->seen++)
		judge_frame(z, &z->f->out[z->seen % FAKE_FRAMES]);
	return did;
}

void fuzz_turn(struct fuzz *z, uint64_t ns)
{
	z->now += ns;
	for (unsigned i = 0; i < 16; i++) {
		if (!one_turn(z) || (z->f->in_head == z->f->in_tail && !stack_has_output(z->st)))
			break;
	}
}

/* until_timer - ns to the next one, but not beyond `end`. One that is always due is a spin. */
static uint64_t until_timer(struct fuzz *z, uint64_t end)
{
	uint64_t next = stack_next_timer(z->st);

	if (!next || next > end)
		next = end;
	z->naps = next > z->now ? 0 : z->naps + 1;
	if (z->naps > NAPS)
		fuzz_fail("time stands still: the next timer is always due");
	return next > z->now ? next - z->now : 1000;
}

void fuzz_run(struct fuzz *z, uint64_t ns, unsigned timers)
{
	uint64_t end = z->now + ns;

	for (; z->now < end && timers && z->turns < FUZZ_TURNS; timers--)
		fuzz_turn(z, until_timer(z, end));
}

/* ---- begin and end ---- */

void fuzz_config(struct fuzz_in *in, struct stack_config *cfg)
{
	uint8_t a = in_u8(in), b = in_u8(in), c = in_u8(in), d = in_u8(in);

	stack_config_init(cfg);
	/* a zero is the default, or what meets most code */
	cfg->syncookies = (uint8_t[]){1, 0, 2, 2}[a & 3];
	cfg->abort_on_overflow = a >> 2 & 1;
	cfg->sack = !(a >> 3 & 1);
	cfg->timestamps = !(a >> 4 & 1);
	cfg->window_scaling = !(a >> 5 & 1);
	cfg->ecn = (uint8_t[]){1, 0, 2, 1}[a >> 6];
	cfg->congestion_control = (uint8_t)((b & 3) % 3);
	cfg->frto = (uint8_t[]){1, 0, 2, 1}[b >> 2 & 3];
	cfg->mtu_probing = (uint8_t[]){0, 1, 2, 2}[b >> 4 & 3];
	cfg->slow_start_after_idle = !(b >> 6 & 1);
	cfg->delack = b >> 7 ? 0 : cfg->delack;
	if (c & 1)
		memcpy(cfg->tcp_rmem, (uint32_t[]){4096, 8192, 16384}, sizeof(cfg->tcp_rmem));
	if (c & 2)
		memcpy(cfg->tcp_wmem, (uint32_t[]){4096, 8192, 16384}, sizeof(cfg->tcp_wmem));
	cfg->max_tw = c & 4 ? 1 : 8;
	cfg->max_syn = c & 8 ? 1 : 16;
	cfg->max_orphans = c & 16 ? 1 : 16;
	cfg->invalid_ratelimit = c & 32 ? 0 : cfg->invalid_ratelimit;
	cfg->max_neigh = c & 64 ? 2 : 16;
	cfg->max_socks = c & 128 ? 5 : 64;
	cfg->orphan_retries = d & 7;
	cfg->pmtu_max = 4;
	if (d & 16) { /* few ports: they run out, and are used again */
		cfg->port_range[0] = 40000;
		cfg->port_range[1] = 40001;
	}
	cfg->min_tso_segs = d & 32 ? 1 : cfg->min_tso_segs;
	cfg->nr_lanes = d & 128 ? 2 : 1;
	if (d & 64) /* all is over soon */
		cfg->probe_interval = cfg->mtu_expires = cfg->keepalive_time = NSEC_PER_SEC;
	memset(cfg->seed, 42, sizeof(cfg->seed));
}

void fuzz_begin(struct fuzz *z, const struct stack_config *cfg, unsigned nr_skbs, uint32_t features)
{
	static struct fake_netdev dev; /* megabytes, and made anew by each call */
	struct stack_config c = *cfg;

	memset(z, 0, sizeof(*z));
	z->pool = fuzz_memory(nr_skbs, &c.mem);
	c.steer = (struct stack_steer_ops){.home = steer_home, .forward = steer_forward, .ctx = z};
	z->f = &dev;
	z->now = 5 * NSEC_PER_SEC;
	fake_netdev_init(z->f, features);
	z->f->dev.tx_copybreak = 256;
	if (stack_create(&c, z->pool, &z->st) < 0)
		fuzz_fail("no stack by this configuration");
	(void)stack_rx(z->st, z->now, 1);
	if (stack_attach(z->st, &z->f->dev, 0, SEG_OUR, 24, fake_ip(10, 0, 0, 254)) < 0)
		fuzz_fail("stack_attach failed");
	fuzz_turn(z, 1000);
}

static bool all_over(const struct fuzz *z)
{
	const struct tcp_shard *sh = z->st->tcp;

	return !sh->socks.nr && !sh->reqs.nr && !sh->tws.nr;
}

/* For whoever replays an input: what is left. */
static void tell(const struct fuzz *z)
{
	const struct tcp_sock *tp;

	list_for_each_entry (tp, &z->st->tcp->all, all_link)
		fuzz_say(z->now,
			 "left: port %u to %u %s%s una %u nxt %u write %u wnd %u rcv_nxt %u "
			 "pending %u in %+.3f s retransmits %u probes %u queues %u %u %u",
			 tp->node.lport, tp->node.fport, tcp_state_name(tp->sk.sk_state),
			 tp->sk.sk_dead ? " (orphan)" : "", tp->snd_una, tp->snd_nxt, tp->write_seq,
			 tp->snd_wnd, tp->rcv_nxt, tp->pending,
			 tp->rto_deadline ? (double)(int64_t)(tp->rto_deadline - z->now) / 1e9
					  : 0.0,
			 tp->retransmits, tp->probes_out, tp->sk.sk_write_queue.qlen,
			 tp->sk.sk_receive_queue.qlen, tp->ofo_queue.qlen);
}

static void close_all(struct fuzz *z)
{
	for (unsigned i = 0; i < FUZZ_CONNS; i++) {
		if (z->conn[i].c.sk)
			sock_close(z->conn[i].c.sk);
		z->conn[i].c.sk = NULL;
	}
	if (z->listener)
		sock_close(z->listener);
	z->listener = NULL;
}

static bool look(void *ctx, const struct stack_sock_info *i)
{
	(void)ctx;
	return i->state < TCP_STATE_MAX;
}

/* Nobody closes anything: the stack lets go of all it has. */
static void end_now(struct fuzz *z)
{
	fuzz_fail_memory(0);
	fake_release_held(z->f);
	for (unsigned i = 0; i < z->nr_away; i++)
		stack_forwarded_drop(z->st, z->away[i]);
	stack_destroy(z->st);
	fuzz_memory_end();
}

void fuzz_end(struct fuzz *z)
{
	uint64_t end = z->now + DRAIN;
	const struct tcp_shard *sh;

	stack_for_each_sock(z->st, look, NULL);
	if (z->abrupt) {
		end_now(z);
		return;
	}
	fuzz_say(z->now, "the end: all are closed, nobody answers");
	fuzz_fail_next(z->st, 0, 0);
	fuzz_fail_memory(0);
	z->f->tx_limit = UINT32_MAX;
	z->f->dev.tx_off = false;
	z->f->share_rx = false;
	close_all(z);
	z->asked -= z->turns; /* so long ago as before */
	z->turns = 0;
	fuzz_turn(z, 1000);
	/* only now the device gives its buffers back: who waited for one goes on */
	fake_release_held(z->f);
	/* the pool tells nobody: the stack sees it in its next turn, which is no timer's */
	fuzz_turn(z, 1000);
	z->mute = true;
	while (z->now < end && z->turns < END_TURNS && !(sh = z->st->tcp, all_over(z)))
		fuzz_turn(z, until_timer(z, end));
	sh = z->st->tcp;
	tell(z);
	if (!all_over(z))
		fuzz_fail("never over: %u sockets, %u half-open, %u in TIME-WAIT", sh->socks.nr,
			  sh->reqs.nr, sh->tws.nr);
	if (sh->nr_orphans || sh->rmem_total || sh->wmem_total || sh->nr_nodes)
		fuzz_fail("no socket, but %u orphans, %u nodes, %lu and %lu bytes of queues",
			  sh->nr_orphans, sh->nr_nodes, (unsigned long)sh->rmem_total,
			  (unsigned long)sh->wmem_total);
	stack_destroy(z->st);
	fuzz_memory_end();
}
