/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzer: sequences of IP fragments. Each byte is a function of its datagram and place, so that
 * whatever is put together is judged: all of it and nothing else, or it never comes. TCP is
 * fake_tcp.c here, which keeps what it gets. Memory stays within an eighth of the pool (B22).
 */
#include "fuzz.h"
#include "tests/unit/fake_tcp.h"

#define MAX_FRAGS 400u
#define NR_SKBS   256u
#define UNIT      8u /* bytes that an offset counts */

struct lab {
	struct stack *st;
	struct skb_pool *pool;
	struct fake_netdev *f;
	uint64_t now;
	unsigned judged; /* datagrams that TCP got */
};

/* The payload's first four bytes name its datagram; the rest follows from them. */
static uint8_t byte_of(uint32_t name, uint32_t off)
{
	if (off < 4)
		return (uint8_t)(name >> 8 * off);
	return (uint8_t)((name + off) * 2654435761u >> 15);
}

static void judge(struct lab *l)
{
	uint32_t name, n = fake_tcp.rcv_len;

	if (fake_tcp.nr_rcv == l->judged)
		return;
	if (fake_tcp.nr_rcv != l->judged + 1)
		fuzz_fail("one fragment made %u datagrams", fake_tcp.nr_rcv - l->judged);
	l->judged = fake_tcp.nr_rcv;
	fuzz_say(l->now, "a datagram of %u bytes", n);
	if (n < 4)
		return;
	memcpy(&name, fake_tcp.rcv, 4);
	n = min_t(uint32_t, n, sizeof(fake_tcp.rcv));
	for (uint32_t i = 0; i < n; i++)
		if (fake_tcp.rcv[i] != byte_of(name, i))
			fuzz_fail("byte %u of a datagram is wrong", i);
}

static void turn(struct lab *l, uint64_t ns)
{
	l->now += ns;
	/* one by one: what each of them completes is judged */
	while (l->f->in_head != l->f->in_tail && stack_rx(l->st, l->now, 1))
		judge(l);
	(void)stack_rx(l->st, l->now, 0);
	(void)stack_timers(l->st, l->now);
	(void)stack_output(l->st, l->now);
	/* what waits, what the device still sees, a frame under way */
	skb_cache_fini(&l->st->cache);
	if (fuzz_skbs_used() > NR_SKBS / 8 + 2 * l->f->nr_held + 16)
		fuzz_fail("%u skbs wait", fuzz_skbs_used());
}

/* how: bits 0 and 1 the source, 2 more fragments, 3 ICMP, 4 and 5 ECN, 6 options. */
static void one_fragment(struct lab *l, struct fuzz_in *in)
{
	uint8_t how = in_u8(in), id = in_u8(in), off = in_u8(in), units = in_u8(in), b[2048];
	struct iphdr_ *ip = frame_iph(b);
	unsigned hlen = how & 0x40 ? 24 : IP_HLEN, start = off * UNIT, n = (units & 31) * UNIT;
	uint32_t saddr = fake_ip(10, 0, 0, 3 + (how & 3));
	uint32_t name = (uint32_t)id << 8 | (how & 0xbu);

	if (units & 0x80) /* far out, and of any length */
		start = (off << 5 | (units & 31)) * UNIT;
	if (!(how & 4))
		n += units >> 5 & 3;
	(void)frame_ip(b, saddr, SEG_OUR, how & 8 ? IPPROTO_ICMP_ : IPPROTO_TCP_, NULL,
		       n + hlen - IP_HLEN);
	ip->ver_ihl = (uint8_t)(0x40 | hlen / 4);
	if (hlen > IP_HLEN)
		memset(ip + 1, 1, hlen - IP_HLEN); /* NOPs */
	ip->id = be16(id);
	ip->tos = how >> 4 & 3;
	ip->frag_off = be16((uint16_t)((start / UNIT) | (how & 4 ? IP_MF : 0)));
	for (unsigned i = 0; i < n; i++)
		b[ETH_HLEN + hlen + i] = byte_of(name, start + i);
	frame_ip_sum(b);
	fuzz_say(l->now, "fragment %u from %u: %u to %u%s, tos %u", id, how & 3, start, start + n,
		 how & 4 ? " and more" : "", ip->tos);
	if (l->f->in_tail - l->f->in_head < 16)
		fake_inject(l->f, b, ETH_HLEN + hlen + n);
	turn(l, 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake_netdev dev;
	struct fuzz_in in = {data, size};
	struct lab l = {.now = 5 * NSEC_PER_SEC, .f = &dev};
	struct stack_config cfg;
	uint8_t shape = in_u8(&in);

	memset(&fake_tcp, 0, sizeof(fake_tcp));
	stack_config_init(&cfg);
	cfg.max_neigh = 16;
	memset(cfg.seed, 42, sizeof(cfg.seed));
	l.pool = fuzz_memory(NR_SKBS, &cfg.mem);
	fake_netdev_init(l.f, NETDEV_F_TX_SG);
	if (stack_create(&cfg, l.pool, &l.st) < 0 ||
	    stack_attach(l.st, &l.f->dev, 0, SEG_OUR, 24, 0) < 0)
		fuzz_fail("no stack by this configuration");
	l.f->tight_rx = shape & 1;
	l.f->split_rx = shape & 2;
	l.f->split_at = ETH_HLEN + 24;
	l.f->share_rx = shape & 4;
	for (unsigned i = 0; i < MAX_FRAGS && in.n; i++) {
		if (shape & 8 && in.p[0] == 0xff) {
			(void)in_u8(&in);
			turn(&l, in_u8(&in) * 200 * NSEC_PER_MSEC);
		} else if (shape & 16 && in.p[0] == 0xfe) {
			(void)in_u8(&in);
			fuzz_fail_next(l.st, 0, 1 + (in_u8(&in) & 7));
		} else {
			one_fragment(&l, &in);
		}
		while (l.f->nr_held > 8)
			skb_free(l.f->held[--l.f->nr_held]);
	}
	l.f->share_rx = false;
	fake_release_held(l.f);
	fuzz_fail_next(l.st, 0, 0);
	for (unsigned i = 0; i < 40; i++)
		turn(&l, NSEC_PER_SEC);
	skb_cache_fini(&l.st->cache);
	if (fuzz_skbs_used())
		fuzz_fail("%u skbs wait after the time for reassembly", fuzz_skbs_used());
	stack_destroy(l.st);
	fuzz_memory_end();
	return 0;
}
