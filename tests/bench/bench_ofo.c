/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What segments out of order cost a receiver (row B20): this thread's time from stack_rx to the
 * end of stack_output, checksums and the duplicate ACK included, for 10^5 segments of one byte:
 * in reverse, in random order, and with holes that nothing fills; and the most memory they pinned.
 *
 * usage: bench_ofo [segments]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>

#include "stack/tcp_int.h"
#include "tests/unit/fake_netdev.h"

#define OUR   fake_ip(10, 0, 0, 2)
#define PEER  fake_ip(10, 0, 0, 1)
#define PORT  7
#define BATCH 50u

static struct fake_netdev dev;
static struct skb_pool *pool;
static struct stack *st;
static struct tcp_sock *tp;
static uint64_t now;
static uint32_t nr, iss, *order;

static double cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void turn(void)
{
	now += 1000;
	(void)stack_rx(st, now, BATCH);
	(void)stack_timers(st, now);
	(void)stack_output(st, now);
}

static void inject(uint8_t flags, uint32_t seq, unsigned len, const uint8_t *opt, unsigned optlen)
{
	uint8_t l4[128] = {0}, frame[FAKE_FRAME_MAX];
	struct tcphdr_ *th = (struct tcphdr_ *)l4;
	unsigned n = TCP_HLEN + optlen + len;

	*th = (struct tcphdr_){.source = be16(4000),
			       .dest = be16(PORT),
			       .seq = be32(seq),
			       .ack_seq = flags & TCPF_ACK ? be32(iss + 1) : 0,
			       .doff = (uint8_t)((TCP_HLEN + optlen) / 4 << 4),
			       .flags = flags,
			       .window = 0xffff};
	if (optlen)
		memcpy(l4 + TCP_HLEN, opt, optlen);
	th->check =
		csum_fold(csum_partial(l4, n, csum_pseudo(PEER, OUR, (uint16_t)n, IPPROTO_TCP_)));
	fake_inject(&dev, frame, frame_ip(frame, PEER, OUR, IPPROTO_TCP_, l4, n));
}

/* The connection, its window as wide as a buffer of 1 MiB gives. */
static void begin(void)
{
	static const uint8_t syn_opt[] = {2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7};
	struct sk_addr any = {.family = SK_AF_INET, .port = PORT};
	uint8_t frame[FAKE_FRAME_MAX];
	struct sock *lp, *sk;
	struct stack_config cfg;

	memset(&dev, 0, sizeof(dev));
	fake_netdev_init(&dev, NETDEV_F_TX_SG);
	pool = skb_heap_pool_create(8192, 2048);
	stack_config_init(&cfg);
	BUG_ON(!pool || stack_create(&cfg, pool, &st));
	now = NSEC_PER_SEC;
	(void)stack_rx(st, now, 1);
	BUG_ON(stack_attach(st, &dev.dev, 0, OUR, 24, 0));
	BUG_ON(sock_create(st, SK_AF_INET, &lp) || sock_bind(lp, &any) || sock_listen(lp, 1));
	BUG_ON(sock_setopt_int(lp, SK_SOL_SOCKET, SK_SO_RCVBUF, 512 * 1024));
	inject(TCPF_SYN, 1000, 0, syn_opt, sizeof(syn_opt));
	turn();
	fake_inject(&dev, frame, frame_arp(frame, fake_mac, 2, fake_peer_mac, PEER, fake_mac, OUR));
	turn();
	iss = be32(
		((struct tcphdr_ *)(dev.out[(dev.nr_out - 1) % FAKE_FRAMES].b + ETH_HLEN + IP_HLEN))
			->seq);
	inject(TCPF_ACK, 1001, 0, NULL, 0);
	turn();
	BUG_ON(sock_accept(lp, &sk));
	tp = tcp_sk(sk);
	tp->rcv_ssthresh = sk->sk_rcvbuf / 2;
	tcp_send_ack(tp);
}

static void end(void)
{
	stack_destroy(st);
	skb_pool_destroy(pool);
}

static void bench(const char *name)
{
	uint32_t most = 0;
	double ns = 0;

	begin();
	for (uint32_t i = 0; i < nr; i += BATCH) {
		double t;

		for (uint32_t k = 0; k < BATCH; k++)
			inject(TCPF_ACK, 1002 + order[i + k], 1, NULL, 0);
		t = cpu_ns();
		turn();
		ns += cpu_ns() - t;
		most = max_t(uint32_t, most, tp->sk.sk_rmem_alloc);
	}
	printf("%-12s %7.1f ms in all, %5.0f ns a segment, at most %7u bytes of %u pinned\n", name,
	       ns / 1e6, ns / nr, most, tp->sk.sk_rcvbuf);
	end();
}

int main(int argc, char **argv)
{
	struct utsname u;

	nr = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000;
	nr = max_t(uint32_t, BATCH, min_t(uint32_t, nr, 200000)) / BATCH * BATCH;
	order = calloc(nr, sizeof(*order));
	BUG_ON(!order);
	(void)uname(&u);
	printf("bench_ofo: %s %s, %u segments of one byte\n", u.release, u.machine, nr);
	for (uint32_t i = 0; i < nr; i++)
		order[i] = nr - 1 - i;
	bench("reverse");
	srand(1);
	for (uint32_t i = nr - 1; i; i--) {
		uint32_t k = (uint32_t)rand() % (i + 1), v = order[i];

		order[i] = order[k];
		order[k] = v;
	}
	bench("random");
	for (uint32_t i = 0; i < nr; i++)
		order[i] *= 2;
	bench("with holes");
	free(order);
	return 0;
}
