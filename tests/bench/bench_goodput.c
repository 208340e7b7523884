/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much of a bad path a connection uses: two stacks over drivers/wire in virtual time, one
 * sends for some seconds, random loss towards the receiver. Median, least and most of several
 * seeds, for each congestion control and each loss. The same seeds give the same figures.
 *
 * usage: bench_goodput [seeds [seconds [Mbit/s [rtt ms [queue in round trips]]]]]
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/wire.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define PORT      7
#define SEEDS_MAX 101
#define NR_SKBS   65536
#define IP(n)     (0x0000000au | (uint32_t)(n) << 24) /* 10.0.0.n, network order */
#define BUFFERS   (16u << 20)                         /* sk_sndbuf and sk_rcvbuf */

struct side {
	struct skb_pool *pool;
	struct stack *st;
	struct netdev *dev;
	struct sock *sk;
};

struct run {
	struct wire *w;
	struct side side[2];
	uint64_t now, received;
};

static uint64_t run_now(void *ctx)
{
	return ((struct run *)ctx)->now;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_goodput: %s failed\n", what);
	exit(1);
}

static void side_open(struct run *r, int i, const char *cc)
{
	struct side *s = &r->side[i];
	struct stack_config cfg;

	stack_config_init(&cfg);
	memset(cfg.seed, i + 1, sizeof(cfg.seed));
	if (stack_setting_set(stack_setting_find("tcp_congestion_control"), &cfg, cc))
		die(cc);
	s->pool = skb_heap_pool_create(NR_SKBS, 2176);
	if (!s->pool || stack_create(&cfg, s->pool, &s->st))
		die("stack_create");
	if (wire_netdev(r->w, i, 1500, NETDEV_F_TX_SG, run_now, r, &s->dev))
		die("wire_netdev");
	(void)stack_rx(s->st, r->now, 1);
	if (stack_attach(s->st, s->dev, 0, IP(i + 1), 24, 0))
		die("stack_attach");
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* The application: one side sends as fast as it may, the other reads as fast as it comes. */
static void apps(struct run *r)
{
	static uint8_t buf[65536];
	ssize_t n;

	if (r->side[0].sk->sk_state == TCP_ESTABLISHED)
		while (sock_send(r->side[0].sk, buf, sizeof(buf)) > 0)
			;
	if (r->side[1].sk)
		while ((n = sock_recv(r->side[1].sk, buf, sizeof(buf))) > 0)
			r->received += (uint64_t)n;
}

static void turn(struct run *r)
{
	uint64_t next = wire_next(r->w);

	wire_run(r->w, r->now);
	for (int i = 0; i < 2; i++) {
		(void)stack_rx(r->side[i].st, r->now, 4096);
		(void)stack_timers(r->side[i].st, r->now);
	}
	apps(r);
	for (int i = 0; i < 2; i++) {
		(void)stack_output(r->side[i].st, r->now);
		next = earlier(next, stack_next_timer(r->side[i].st));
	}
	next = earlier(wire_next(r->w), next);
	r->now = next > r->now ? next : r->now + 1000;
}

static void set_buffers(struct sock *sk)
{
	sk->sk_sndbuf = sk->sk_rcvbuf = BUFFERS;
}

static void open_all(struct run *r, struct sock **ret_lp)
{
	struct sk_addr any = {.family = SK_AF_INET, .port = PORT};
	struct sk_addr to = {.family = SK_AF_INET, .port = PORT, .v4 = IP(2)};

	if (sock_create(r->side[1].st, SK_AF_INET, ret_lp) || sock_bind(*ret_lp, &any) ||
	    sock_listen(*ret_lp, 1) || sock_create(r->side[0].st, SK_AF_INET, &r->side[0].sk))
		die("sock_create");
	set_buffers(*ret_lp);
	set_buffers(r->side[0].sk);
	if (sock_connect(r->side[0].sk, &to) != -EINPROGRESS)
		die("sock_connect");
	while (r->side[0].sk->sk_state != TCP_ESTABLISHED ||
	       sock_accept(*ret_lp, &r->side[1].sk) != 0)
		turn(r);
}

/* One connection's goodput in Mbit/s. */
static double one(const char *cc, const struct wire_path *there, uint64_t seed, double seconds)
{
	struct wire_path back = *there;
	struct run r = {.now = NSEC_PER_SEC};
	struct sock *lp;
	uint64_t start;

	back.loss = 0;
	if (wire_create(seed, &r.w) || wire_add_end(r.w, 65536) < 0 ||
	    wire_add_end(r.w, 65536) < 0 || wire_add_link(r.w, 0, 1, there, &back) < 0)
		die("wire");
	side_open(&r, 0, cc);
	side_open(&r, 1, cc);
	open_all(&r, &lp);
	start = r.now;
	while ((double)(r.now - start) < seconds * NSEC_PER_SEC)
		turn(&r);
	if (getenv("BENCH_STATS")) {
		const struct stack_stats *s = stack_stats(r.side[0].st);

		printf("  out %lu retr %lu rto %lu fast %lu tlp %lu undo %lu dsack %lu\n",
		       s->tcp_out_segs, s->tcp_retrans_segs, s->tcp_timeouts, s->tcp_fast_retrans,
		       s->tcp_loss_probes, s->tcp_undos, s->tcp_dsack_in);
	}
	for (int i = 0; i < 2; i++) {
		stack_destroy(r.side[i].st);
		r.side[i].dev->ops->close(r.side[i].dev);
		skb_pool_destroy(r.side[i].pool);
	}
	wire_destroy(r.w);
	return (double)r.received * 8 / 1e6 / seconds;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double arg(int argc, char **argv, int i, double def)
{
	return argc > i ? atof(argv[i]) : def;
}

int main(int argc, char **argv)
{
	static const char *const ccs[] = {"cubic", "reno"};
	static const double losses[] = {0, 0.001, 0.01, 0.03};
	unsigned seeds = (unsigned)arg(argc, argv, 1, 5);
	double seconds = arg(argc, argv, 2, 10), mbit = arg(argc, argv, 3, 1000);
	double rtt = arg(argc, argv, 4, 20), queue = arg(argc, argv, 5, 1);

	if (!seeds || seeds > SEEDS_MAX)
		seeds = SEEDS_MAX;
	printf("bench_goodput: %u seeds, %g s each, %g Mbit/s, round trip %g ms, queue of %g of "
	       "it, virtual time\n",
	       seeds, seconds, mbit, rtt, queue);
	for (unsigned l = 0; l < sizeof(losses) / sizeof(losses[0]); l++) {
		for (unsigned c = 0; c < sizeof(ccs) / sizeof(ccs[0]); c++) {
			struct wire_path path = {.rate = (uint64_t)(mbit * 1e6),
						 .delay = (uint64_t)(rtt * 1e6 / 2),
						 .loss = losses[l],
						 .queue_bytes =
							 (uint32_t)(mbit * rtt * 125 * queue)};
			double v[SEEDS_MAX];

			for (unsigned i = 0; i < seeds; i++)
				v[i] = one(ccs[c], &path, i + 1, seconds);
			qsort(v, seeds, sizeof(v[0]), compare);
			printf("loss %4.1f %%  %-6s median %7.1f Mbit/s, %7.1f to %7.1f\n",
			       losses[l] * 100, ccs[c], v[seeds / 2], v[0], v[seeds - 1]);
			fflush(stdout);
		}
	}
	return 0;
}
