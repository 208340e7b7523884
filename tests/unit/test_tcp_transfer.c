/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole transfers between two stacks in virtual time, clean and over links that lose,
 * reorder and duplicate, with and without SACK, timestamps and window scaling: every byte
 * once and in order, no buffer lost. Seeds are printed.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "tcp_pair.h"

struct flow {
	struct sock *sk;
	uint64_t sent, received, total;
	bool closed;
	bool eof;
};

static uint8_t pattern(uint64_t off)
{
	return (uint8_t)(off * 2654435761u >> 13);
}

static void flow_send(struct flow *f)
{
	uint8_t buf[5000];

	while (f->sent < f->total) {
		size_t n = f->total - f->sent;
		ssize_t rc;

		if (n > sizeof(buf))
			n = sizeof(buf);
		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(f->sent + i);
		rc = sock_send(f->sk, buf, n);
		if (rc == -EAGAIN)
			return;
		cr_assert_gt(rc, 0, "send: %zd", rc);
		f->sent += (uint64_t)rc;
	}
	if (!f->closed) {
		cr_assert_eq(sock_shutdown(f->sk, SEND_SHUTDOWN), 0);
		f->closed = true;
	}
}

static void flow_recv(struct flow *f, size_t chunk)
{
	uint8_t buf[65536];

	for (;;) {
		ssize_t rc = sock_recv(f->sk, buf, chunk < sizeof(buf) ? chunk : sizeof(buf));

		if (rc == -EAGAIN)
			return;
		cr_assert_geq(rc, 0, "recv: %zd", rc);
		if (rc == 0) {
			f->eof = true;
			return;
		}
		for (ssize_t i = 0; i < rc; i++)
			cr_assert_eq(buf[i], pattern(f->received + (uint64_t)i), "byte %lu",
				     f->received + (uint64_t)i);
		f->received += (uint64_t)rc;
	}
}

/* transfer - `bytes` both ways; returns virtual seconds. */
static double transfer(struct pair *p, uint64_t bytes, size_t chunk)
{
	struct sock *lp;
	struct flow a = {.total = bytes}, b = {.total = bytes};
	uint64_t start;

	pair_connect(p, 7, &a.sk, &b.sk, &lp);
	start = p->now;
	while (!(a.eof && b.eof)) {
		cr_assert_lt(p->now - start, 900 * NSEC_PER_SEC, "stuck at %lu/%lu of %lu",
			     a.received, b.received, bytes);
		flow_send(&a);
		flow_send(&b);
		flow_recv(&a, chunk);
		flow_recv(&b, chunk);
		if (!(a.eof && b.eof))
			pair_turn(p, NSEC_PER_SEC);
	}
	cr_assert_eq(a.received, bytes);
	cr_assert_eq(b.received, bytes);
	sock_close(a.sk);
	sock_close(b.sk);
	sock_close(lp);
	return (double)(p->now - start) / 1e9;
}

/* A device for which long payloads go by reference (tcp_xmit.c). */
static const uint32_t shared =
	NETDEV_F_TX_SG | NETDEV_F_TX_IP_CSUM | NETDEV_F_TX_TCP_CSUM | NETDEV_F_RX_CSUM;

Test(tcp_transfer, test_transfer_clean_link_no_retransmission)
{
	struct pair p;
	double s;

	pair_init(&p, NULL, 4096, shared, 1500);
	s = transfer(&p, 8 << 20, 65536);
	cr_assert_lt(s, 5.0, "%f s", s);
	cr_assert_eq(stack_stats(p.end[0].st)->tcp_retrans_segs, 0);
	cr_assert_eq(stack_stats(p.end[1].st)->tcp_retrans_segs, 0);
	cr_assert_gt(p.end[0].chains, (8 << 20) / 1460, "payloads go by reference");
	cr_assert_eq(pair_fini(&p), 0);
}

/* A device that does not sum: payloads of all lengths are copied, long ones summed on the way. */
Test(tcp_transfer, test_transfer_copied_payload_has_the_right_sum)
{
	struct pair p;

	pair_init(&p, NULL, 4096, NETDEV_F_TX_SG, 1500);
	(void)transfer(&p, 1 << 20, 65536);
	for (unsigned i = 0; i < 2; i++) {
		const struct stack_stats *ss = stack_stats(p.end[i].st);

		cr_assert_geq(ss->csum_sw_tx, (1 << 20) / 1448);
		cr_assert_eq(ss->drops[SKB_DROP_TCP_BAD_CSUM], 0);
		cr_assert_eq(p.end[i].chains, 0, "a second skb costs more than the copy");
	}
	cr_assert_eq(pair_fini(&p), 0);
}

Test(tcp_transfer, test_transfer_jumbo_frames_chain_buffers)
{
	struct pair p;

	pair_init(&p, NULL, 4096, NETDEV_F_TX_SG, 9000);
	(void)transfer(&p, 1 << 20, 100);
	cr_assert_eq(pair_fini(&p), 0);
}

/* On net_tap a reader that fell behind dropped the last short segments of the window that it had
 * promised, and the kernel sent them again. */
Test(tcp_transfer, test_transfer_slow_reader_takes_all_that_the_window_promised)
{
	struct sock *lp, *a, *b;
	struct flow in = {0};
	uint8_t buf[1000];
	uint64_t sent = 0;
	struct pair p;

	pair_init(&p, NULL, 8192, NETDEV_F_TX_SG, 1500);
	pair_connect(&p, 7, &a, &b, &lp);
	cr_assert_eq(sock_setopt_int(a, SK_SOL_TCP, SK_TCP_NODELAY, 1), 0);
	in.sk = b;
	for (unsigned k = 0; sent < 4 << 20; k++) {
		size_t n = 1 + k * 37 % sizeof(buf);
		ssize_t rc;

		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(sent + i);
		rc = sock_send(a, buf, n);
		if (rc > 0)
			sent += (uint64_t)rc;
		pair_turn(&p, NSEC_PER_MSEC);
		if (rc < 0)
			flow_recv(&in, 65536);
	}
	while (in.received < sent) {
		flow_recv(&in, 65536);
		pair_turn(&p, NSEC_PER_MSEC);
	}
	cr_assert_eq(stack_stats(p.end[1].st)->drops[SKB_DROP_TCP_RCVBUF], 0);
	cr_assert_eq(stack_stats(p.end[0].st)->tcp_retrans_segs, 0);
	cr_assert_eq(pair_fini(&p), 0);
}

static void lossy(unsigned seed, double loss, double reorder, double dup, bool sack, bool ts,
		  bool ws, uint64_t bytes)
{
	struct stack_config cfg;
	struct pair p;
	double s;

	stack_config_init(&cfg);
	cfg.sack = sack;
	cfg.timestamps = ts;
	cfg.window_scaling = ws;
	pair_init(&p, &cfg, 4096, seed % 2 ? shared : 0, 1500);
	p.rng = seed;
	p.loss = loss;
	p.reorder = reorder;
	p.dup = dup;
	p.hook = pair_hook_random;
	s = transfer(&p, bytes, seed % 3 ? 65536 : 777);
	cr_log_info(
		"seed %u loss %.3f reorder %.3f sack %d ts %d: %.2f s, %.1f Mbit/s, rtx %lu rto "
		"%lu",
		seed, loss, reorder, sack, ts, s, (double)bytes * 8 / s / 1e6,
		stack_stats(p.end[0].st)->tcp_retrans_segs, stack_stats(p.end[0].st)->tcp_timeouts);
	cr_assert_eq(pair_fini(&p), 0, "seed %u leaks", seed);
}

Test(tcp_transfer, test_transfer_loss_sack_delivers)
{
	for (unsigned seed = 1; seed <= 12; seed++)
		lossy(seed, 0.02, 0, 0, true, true, true, 4 << 20);
}

Test(tcp_transfer, test_transfer_loss_without_sack_delivers)
{
	for (unsigned seed = 1; seed <= 8; seed++)
		lossy(seed, 0.02, 0, 0, false, seed & 1, seed & 2, 1 << 20);
}

Test(tcp_transfer, test_transfer_everything_wrong_delivers)
{
	for (unsigned seed = 1; seed <= 16; seed++)
		lossy(seed, 0.05, 0.05, 0.02, seed & 1, seed & 2, seed & 4, 512 << 10);
}

static unsigned drop_nth(struct pair *p, unsigned from, uint8_t *frame, unsigned len,
			 uint64_t *extra_delay)
{
	static unsigned seen;

	(void)p;
	(void)frame;
	(void)extra_delay;
	/* the fifth full segment, which is the last of the message */
	return !(from == 0 && len > 1400 && ++seen == 5);
}

/* The last segment of a message was lost: nothing behind it could tell, and the RTO took 200 ms
 * (RFC 8985 section 7). */
Test(tcp_transfer, test_transfer_tail_loss_repaired_by_probe)
{
	static uint8_t buf[5 * 1448];
	struct sock *lp, *a, *b;
	struct flow in = {0};
	uint64_t start;
	struct pair p;

	pair_init(&p, NULL, 1024, NETDEV_F_TX_SG, 1500);
	pair_connect(&p, 7, &a, &b, &lp);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(i);
	p.hook = drop_nth;
	in.sk = b;
	start = p.now;
	cr_assert_eq(sock_send(a, buf, sizeof(buf)), (ssize_t)sizeof(buf));
	while (in.received < sizeof(buf) && p.now - start < NSEC_PER_SEC) {
		pair_turn(&p, NSEC_PER_MSEC);
		flow_recv(&in, 65536);
	}
	cr_assert_lt(p.now - start, 60 * NSEC_PER_MSEC);
	cr_assert_eq(p.lost, 1);
	cr_assert_eq(stack_stats(p.end[0].st)->tcp_loss_probes, 1);
	cr_assert_eq(stack_stats(p.end[0].st)->tcp_timeouts, 0);
	cr_assert_eq(pair_fini(&p), 0);
}
