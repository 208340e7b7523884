/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an ACK costs a sender whose peer floods it with SACK blocks (row B18): TSC cycles of this
 * thread from stack_rx to its return, checksums and all, per ACK, over 10^5 ACKs. Shapes:
 * alternating holes as an honest receiver tells them; that, then the holes filled from behind, so
 * that runs merge; four blocks of random places in each ACK; the same but with every second segment
 * for ever a hole, so that no runs help; the same of parts of segments, so that nothing is ever
 * SACKed; random places and lengths, ragged; one long block that grows; and ACKs of a byte each
 * beside such a block. Also with the RACK window waiting, where nothing is marked.
 *
 * usage: bench_sack [segments in flight [ACKs]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>

#include "poller/cycles.h"
#include "stack/tcp_int.h"
#include "tests/unit/fake_netdev.h"

#define OUR      fake_ip(10, 0, 0, 2)
#define PEER     fake_ip(10, 0, 0, 1)
#define MSS      536u
#define PORT     7
#define BATCH    50u /* ACKs between two looks at the clock */
#define CHUNK    1000u
#define SEGS_MAX 100000u
#define WINDOW   (65535u << 14)

static struct fake_netdev dev;
static struct skb_pool *pool;
static struct stack *st;
static struct tcp_sock *tp;
static uint64_t now;
static uint32_t iss, segs;
static uint32_t una; /* bytes that the peer's ACKs acknowledge */
static double cycles_per_ns;

static void turn(void)
{
	now += 1000;
	(void)stack_rx(st, now, 64);
	(void)stack_timers(st, now);
	(void)stack_output(st, now);
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	v = be32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

/* A segment of the peer's, options behind the header; sums right. */
static void inject(uint8_t flags, uint32_t seq, uint32_t ack, const uint8_t *opt, unsigned optlen)
{
	uint8_t l4[64], frame[FAKE_FRAME_MAX];
	struct tcphdr_ *th = (struct tcphdr_ *)l4;
	unsigned n = TCP_HLEN + optlen, len;

	*th = (struct tcphdr_){.source = be16(4000),
			       .dest = be16(PORT),
			       .seq = be32(seq),
			       .ack_seq = be32(ack),
			       .doff = (uint8_t)(n / 4 << 4),
			       .flags = flags,
			       .window = 0xffff};
	if (optlen)
		memcpy(l4 + TCP_HLEN, opt, optlen);
	th->check =
		csum_fold(csum_partial(l4, n, csum_pseudo(PEER, OUR, (uint16_t)n, IPPROTO_TCP_)));
	len = frame_ip(frame, PEER, OUR, IPPROTO_TCP_, l4, n);
	fake_inject(&dev, frame, len);
}

static void sacks(const uint32_t (*b)[2], unsigned nr)
{
	uint8_t opt[40], *p = put32(opt, 0x01010500u | (2 + 8 * nr));

	for (unsigned i = 0; i < nr; i++) {
		p = put32(p, iss + 1 + b[i][0]);
		p = put32(p, iss + 1 + b[i][1]);
	}
	inject(TCPF_ACK, 1001, iss + 1 + una, opt, (unsigned)(p - opt));
}

static void answer_arp(void)
{
	uint8_t frame[FAKE_FRAME_MAX];

	fake_inject(&dev, frame, frame_arp(frame, fake_mac, 2, fake_peer_mac, PEER, fake_mac, OUR));
	turn();
}

/* The connection, and `segs` segments in flight. */
static void begin(bool reordering)
{
	static const uint8_t syn_opt[] = {2, 4, MSS >> 8, MSS & 0xff, 1, 1, 4, 2, 1, 3, 3, 14};
	struct sk_addr any = {.family = SK_AF_INET, .port = PORT};
	struct stack_config cfg;
	struct sock *lp, *sk;
	uint8_t buf[MSS] = {0};

	memset(&dev, 0, sizeof(dev));
	fake_netdev_init(&dev, NETDEV_F_RX_CSUM | NETDEV_F_TX_TCP_CSUM | NETDEV_F_TX_SG);
	pool = skb_heap_pool_create(segs + 65536, 1024);
	stack_config_init(&cfg);
	BUG_ON(!pool || stack_create(&cfg, pool, &st));
	now = NSEC_PER_SEC;
	(void)stack_rx(st, now, 1);
	BUG_ON(stack_attach(st, &dev.dev, 0, OUR, 24, 0));
	st->tcp->wmem_limit = UINT64_MAX / 4;
	BUG_ON(sock_create(st, SK_AF_INET, &lp) || sock_bind(lp, &any) || sock_listen(lp, 1));
	lp->sk_sndbuf = UINT32_MAX;
	inject(TCPF_SYN, 1000, 0, syn_opt, sizeof(syn_opt));
	turn();
	answer_arp();
	iss = be32(
		((struct tcphdr_ *)(dev.out[(dev.nr_out - 1) % FAKE_FRAMES].b + ETH_HLEN + IP_HLEN))
			->seq);
	inject(TCPF_ACK, 1001, iss + 1, NULL, 0);
	turn();
	BUG_ON(sock_accept(lp, &sk));
	tp = tcp_sk(sk);
	tp->snd_wnd = tp->max_window = WINDOW;
	tp->snd_cwnd = WINDOW;
	tp->reord_seen = reordering;
	for (uint32_t i = 0; i < segs; i++) {
		BUG_ON(sock_send(sk, buf, MSS) != MSS);
		if (i % 128 == 127 || i + 1 == segs)
			turn();
	}
	BUG_ON(tcp_flight(tp) != segs * MSS);
	tp->snd_cwnd = MSS; /* what is lost stays so: input alone is measured */
	tcp_rtt_sample(tp, reordering ? NSEC_PER_SEC : 1000);
}

static void end(void)
{
	stack_destroy(st);
	skb_pool_destroy(pool);
}

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

/* The i-th ACK of each shape; returns the number of blocks. */
static unsigned alternate(uint32_t i, uint32_t (*b)[2])
{
	unsigned nr = min_t(unsigned, i + 1, 4);

	for (unsigned k = 0; k < nr; k++) {
		uint32_t s = (2 * (i - k) + 1) % segs;

		b[k][0] = s * MSS;
		b[k][1] = (s + 1) * MSS;
	}
	return nr;
}

static unsigned merge(uint32_t i, uint32_t (*b)[2])
{
	uint32_t half = segs / 2 - 1, s;

	if (i < half)
		return alternate(i, b);
	/* the last hole first */
	s = 2 * (half - 1 - (i - half) % half);
	b[0][0] = (s ? s : 1) * MSS;
	b[0][1] = segs * MSS;
	return 1;
}

static unsigned scatter(uint32_t i, uint32_t (*b)[2])
{
	(void)i;
	for (unsigned k = 0; k < 4; k++) {
		uint32_t s = 1 + below(segs - 1);

		b[k][0] = s * MSS;
		b[k][1] = (s + 1) * MSS;
	}
	return 4;
}

static unsigned sparse(uint32_t i, uint32_t (*b)[2])
{
	(void)i;
	for (unsigned k = 0; k < 4; k++) {
		uint32_t s = 1 + 2 * below((segs - 1) / 2);

		b[k][0] = s * MSS;
		b[k][1] = (s + 1) * MSS;
	}
	return 4;
}

static unsigned slivers(uint32_t i, uint32_t (*b)[2])
{
	(void)i;
	for (unsigned k = 0; k < 4; k++) {
		b[k][0] = (1 + below(segs - 1)) * MSS + 1 + below(MSS / 2);
		b[k][1] = b[k][0] + 1 + below(MSS / 2 - 2);
	}
	return 4;
}

static unsigned ragged(uint32_t i, uint32_t (*b)[2])
{
	(void)i;
	for (unsigned k = 0; k < 4; k++) {
		uint32_t s = 1 + below(segs - 1), n = 1 + below(segs - s);

		b[k][0] = s * MSS + below(MSS);
		b[k][1] = (s + (below(4) ? min_t(uint32_t, n, 3) : n)) * MSS - below(MSS);
		if (b[k][1] <= b[k][0])
			b[k][1] = b[k][0] + 1;
	}
	return 4;
}

static unsigned growing(uint32_t i, uint32_t (*b)[2])
{
	b[0][0] = MSS;
	b[0][1] = (2 + i % (segs - 2)) * MSS;
	return 1;
}

/* A byte at a time is acknowledged, and the end is SACKed: each looks like the undoing of a
 * recovery that began with the one before. */
static unsigned divided(uint32_t i, uint32_t (*b)[2])
{
	una = i + 1;
	b[0][0] = (segs - 1 - i % (segs / 2)) * MSS;
	b[0][1] = segs * MSS;
	return 1;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* This thread's own time: what others take of the core does not count. */
static double cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void calibrate(void)
{
	struct timespec a, b;
	uint64_t t = cycles_now();

	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	do
		(void)clock_gettime(CLOCK_MONOTONIC, &b);
	while ((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec < 50000000);
	cycles_per_ns = (double)(cycles_now() - t) /
			(double)((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec);
}

static void bench(const char *name, unsigned (*shape)(uint32_t i, uint32_t (*b)[2]), uint32_t acks,
		  bool reordering)
{
	static double chunk[1000];
	uint32_t b[4][2], nr = acks / CHUNK;
	double sum = 0;

	srand(1);
	una = 0;
	begin(reordering);
	for (uint32_t i = 0; i < acks; i += BATCH) {
		double t;

		for (uint32_t k = 0; k < BATCH; k++)
			sacks((const uint32_t(*)[2])b, shape(i + k, b));
		now += 5000;
		t = cpu_ns();
		(void)stack_rx(st, now, BATCH);
		chunk[i / CHUNK] += (cpu_ns() - t) * cycles_per_ns / CHUNK;
	}
	for (uint32_t i = 0; i < nr; i++)
		sum += chunk[i];
	qsort(chunk, nr, sizeof(chunk[0]), compare);
	printf("%-28s %s  mean %6.0f  median %6.0f  worst thousand %6.0f\n", name,
	       reordering ? "waiting" : "marking", sum / nr, chunk[nr / 2], chunk[nr - 1]);
	fflush(stdout);
	memset(chunk, 0, sizeof(chunk));
	end();
}

int main(int argc, char **argv)
{
	uint32_t acks = argc > 2 ? (uint32_t)atoi(argv[2]) : 100000;
	struct utsname u;

	segs = argc > 1 ? (uint32_t)atoi(argv[1]) : 2000;
	segs = max_t(uint32_t, 16, min_t(uint32_t, segs, SEGS_MAX));
	acks = max_t(uint32_t, CHUNK, min_t(uint32_t, acks, 1000 * CHUNK)) / CHUNK * CHUNK;
	(void)uname(&u);
	calibrate();
	printf("bench_sack: %s %s, %u segments in flight, %u ACKs, TSC cycles per ACK\n", u.release,
	       u.machine, segs, acks);
	for (int r = 0; r < 2; r++) {
		bench("alternating holes", alternate, acks, r);
		bench("alternating, then merged", merge, acks, r);
		bench("four random blocks", scatter, acks, r);
		bench("four random, holes stay", sparse, acks, r);
		bench("four random slivers", slivers, acks, r);
		bench("four ragged blocks", ragged, acks, r);
		bench("one block that grows", growing, acks, r);
		bench("divided, the end SACKed", divided, acks, r);
	}
	return 0;
}
