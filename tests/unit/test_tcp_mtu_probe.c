/* SPDX-License-Identifier: BSD-3-Clause */
/* The path's MTU found out by black holes and probes (RFC 4821). */
#include "seg_mtu.h"
#include "tcp_pair.h"

Test(tcp_mtu_probe, test_mtu_black_hole_makes_segments_smaller_step_by_step)
{
	struct stack_config cfg;
	unsigned len[64] = {0}, n = 0;

	stack_config_init(&cfg);
	cfg.mtu_probing = 1;
	begin(&cfg);
	write_all(1, 1448);
	expect(&c, ACK, 1, 1, 1448);
	for (int i = 0; i < 400 && n < 64; i++) {
		bench_run(&b, 100 * SEG_MS);
		while (bench_next(&b, &c, &seg)) {
			if (seg.seq == 1 && (!n || len[n - 1] != seg.len))
				len[n++] = seg.len;
		}
	}
	cr_assert_geq(n, 3);
	cr_assert(len[0] == 1448 && len[1] == 1024 && len[2] == 512, "%u %u %u", len[0], len[1],
		  len[2]);
	bench_end(&b);
}

/* What is in flight in the old size is larger than a window of small segments: of each only the
 * first piece went, and only by an RTO. */
Test(tcp_mtu_probe, test_mtu_black_hole_pieces_go_by_the_new_size_of_the_window)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	cfg.mtu_probing = 1;
	cfg.base_mss = 256;
	bench_begin(&b, &cfg, 4096);
	lp = bench_listen(&b, SEG_PORT, 64);
	conn_passive(&c, &b, lp, 4000, &seg_plain);
	write_all(1, 5 * 1460);
	bench_drain(&b);
	tcp_mtu_black_hole(conn_tp(&c));
	cr_assert_eq(conn_tp(&c)->mss_cache, 256);
	bench_run(&b, 300 * SEG_MS);
	bench_drain(&b);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_LOSS);
	peer(&c, .flags = ACK, .seq = 1, .ack = 257);
	expect(&c, ACK, 257, 1, 256);
	expect(&c, ACK, 513, 1, 256);
	bench_end(&b);
}

Test(tcp_mtu_probe, test_mtu_probing_off_keeps_the_size)
{
	begin(NULL);
	write_all(1, 1448);
	bench_run(&b, 60 * S);
	while (bench_next(&b, &c, &seg))
		cr_assert_eq(seg.len, 1448);
	bench_end(&b);
}

/* The next segment larger than the MSS, with everything before it acknowledged. */
static uint32_t until_probe(uint32_t *una)
{
	for (int i = 0; i < 200; i++) {
		uint32_t end = *una;

		while (bench_next(&b, &c, &seg)) {
			if (seg.len > conn_tp(&c)->mss_cache)
				return seg.seq;
			end = seg.seq + seg.len;
		}
		c.tsval++;
		*una = end;
		(void)conn_write(&c, conn_tp(&c)->write_seq - c.irs, 30000);
		peer(&c, .flags = ACK, .seq = 1, .ack = end);
	}
	cr_assert(false, "no probe");
	return 0;
}

Test(tcp_mtu_probe, test_mtu_probe_success_and_loss_close_in_on_the_path)
{
	struct stack_config cfg;
	uint32_t at, una = 1, cwnd;
	struct tcp_sock *tp;

	stack_config_init(&cfg);
	cfg.mtu_probing = 2;
	begin(&cfg);
	tp = conn_tp(&c);
	cr_assert_eq(tp->mss_cache, 1024);
	at = until_probe(&una);
	/* halfway between 1076 and 1500 */
	cr_assert_eq(seg.len, 1288 - 52);
	una = at + seg.len;
	bench_drain(&b);
	peer(&c, .flags = ACK, .seq = 1, .ack = tp->snd_nxt - c.irs);
	una = tp->snd_una - c.irs;
	cr_assert_eq(tp->mss_cache, 1288 - 52);
	cr_assert_eq(stack_stats(b.st)->tcp_mtu_probe_oks, 1);
	at = until_probe(&una);
	cr_assert_eq(seg.len, 1394 - 52);
	peer(&c, .flags = ACK, .seq = 1, .ack = at);
	bench_drain(&b);
	/* this one is too large: what follows arrives, it does not */
	cwnd = tp->snd_cwnd;
	c.tsval++;
	peer(&c, .flags = ACK, .seq = 1, .ack = at, .nr_sacks = 1,
	     .sack = {at + 1342, tp->snd_nxt - c.irs});
	bench_run(&b, 20 * SEG_MS);
	cr_assert_eq(stack_stats(b.st)->tcp_mtu_probe_fails, 1);
	do
		cr_assert(bench_next(&b, &c, &seg), "not sent again");
	while (seg.seq != at);
	cr_assert_eq(seg.len, 1236, "in pieces");
	cr_assert_eq(tp->mtup.high, 1393);
	peer(&c, .flags = ACK, .seq = 1, .ack = tp->snd_nxt - c.irs);
	cr_assert_geq(tp->snd_cwnd, cwnd, "no sign of congestion");
	cr_assert_eq(stack_stats(b.st)->tcp_fast_retrans, 0);
	bench_end(&b);
}

/* Segments of 1,024 bytes are known to pass, and one of 1,236 is to be tried. */
static bool probes(unsigned cwnd, unsigned snd_wnd, unsigned out, unsigned bytes,
		   void (*spoil)(struct tcp_sock *tp))
{
	struct stack_config cfg;
	struct tcp_sock *tp;
	bool probed;

	stack_config_init(&cfg);
	cfg.mtu_probing = 2;
	begin(&cfg);
	tp = conn_tp(&c);
	tp->snd_cwnd = cwnd;
	tp->mtup.probe_size = 1; /* none is sent while another one is out */
	write_all(1, out * 1024);
	bench_drain(&b);
	tp->mtup.probe_size = 0;
	tp->snd_wnd = snd_wnd;
	if (spoil)
		spoil(tp);
	cr_assert_eq(conn_write(&c, 1 + out * 1024, bytes), bytes);
	b.no_check = true;
	bench_turn(&b, 1000);
	probed = bench_next(&b, &c, &seg) && seg.len == 1236;
	cr_assert(probed || seg.len <= 1024);
	bench_end(&b);
	return probed;
}

static void owe_sack(struct tcp_sock *tp)
{
	peer(&c, .flags = ACK, .seq = 101, .ack = 1, .len = 10);
	bench_drain(&b);
	cr_assert_eq(tp->nr_sacks, 1);
}

static void disorder(struct tcp_sock *tp)
{
	tp->ca_state = TCP_CA_DISORDER;
}

/* RFC 4821 7.4: a probe leaves with enough data behind it to tell its loss by duplicates, within
 * both windows, while nothing is amiss; and not below the window that Linux asks for. */
Test(tcp_mtu_probe, test_mtu_probe_4821_7_4_leaves_only_when_all_is_well)
{
	const unsigned enough = 1236 + 4 * 1024, w = 11 * 1024;

	cr_assert(probes(w, enough, 0, enough, NULL));
	cr_assert_not(probes(w - 1, enough, 0, enough, NULL), "cwnd");
	cr_assert_not(probes(w, enough - 1, 0, enough, NULL), "the peer's window");
	cr_assert_not(probes(w, enough, 0, enough - 1, NULL), "data");
	cr_assert_not(probes(w, enough, 0, enough, owe_sack), "a hole in what we receive");
	cr_assert_not(probes(w, enough, 0, enough, disorder), "disorder");
	cr_assert(probes(w, enough + 9 * 1024, 9, enough, NULL));
	cr_assert_not(probes(w, enough + 9 * 1024 - 1, 9, enough, NULL),
		      "its window and the flight");
	cr_assert_not(probes(w, enough + 10 * 1024, 10, enough, NULL), "cwnd and the flight");
}

/* ---- a whole path ---- */

static unsigned path_limit;

static unsigned narrow(struct pair *p, unsigned from, uint8_t *frame, unsigned len,
		       uint64_t *extra_delay)
{
	(void)p;
	(void)from;
	(void)frame;
	(void)extra_delay;
	return len <= path_limit + ETH_HLEN;
}

struct job {
	struct sock *a, *b;
	uint32_t sent, got, want;
};

static bool job_done(void *arg)
{
	static uint8_t buf[65536];
	struct job *j = arg;
	ssize_t n;

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = seg_pattern(j->sent + i);
	if (j->sent < j->want) {
		n = sock_send(j->a, buf, min_t(size_t, sizeof(buf), j->want - j->sent));
		j->sent += n > 0 ? (uint32_t)n : 0;
	}
	while ((n = sock_recv(j->b, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			cr_assert_eq(buf[i], seg_pattern(j->got + (uint32_t)i));
		j->got += (uint32_t)n;
	}
	return j->got == j->want;
}

static void narrow_path(uint8_t probing, unsigned limit, unsigned least_mss, uint64_t within)
{
	struct stack_config cfg;
	struct pair p;
	struct sock *l;
	struct job j = {.want = 2000000};

	stack_config_init(&cfg);
	cfg.mtu_probing = probing;
	pair_init(&p, &cfg, 8192, NETDEV_F_TX_SG, 1500);
	p.hook = narrow;
	path_limit = limit;
	pair_connect(&p, 7, &j.a, &j.b, &l);
	cr_assert(pair_run(&p, within, job_done, &j), "%u of %u bytes", j.got, j.want);
	cr_assert(tcp_sk(j.a)->mss_cache <= limit - 52 && tcp_sk(j.a)->mss_cache >= least_mss,
		  "mss %u on a path of %u", tcp_sk(j.a)->mss_cache, limit);
	sock_abort(j.a);
	sock_abort(j.b);
	sock_close(l);
	cr_assert_eq(pair_fini(&p), 0);
}

/* Routers that drop without a word: RFC 4821's reason. */
Test(tcp_mtu_probe, test_mtu_silent_path_is_survived_and_measured)
{
	narrow_path(1, 1280, 1280 - 52 - 16, 20 * S);
	narrow_path(1, 700, 512, 30 * S);
	narrow_path(2, 1280, 1280 - 52 - 16, 5 * S);
	narrow_path(2, 1500, 1500 - 52 - 16, 5 * S);
}
