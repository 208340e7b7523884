/* SPDX-License-Identifier: BSD-3-Clause */
/* The path's MTU: told by routers (RFC 1191, 5927; B25), or found out (RFC 4821). */
#include "seg_scene.h"
#include "stack/tcp_guard.h"
#include "tcp_pair.h"

#define S NSEC_PER_SEC

static struct bench b;
static struct conn c;
static struct sock *lp;
static struct seg seg;

static void begin(const struct stack_config *cfg)
{
	bench_begin(&b, cfg, 4096);
	lp = bench_listen(&b, SEG_PORT, 64);
	conn_passive(&c, &b, lp, 4000, &seg_full);
	bench_drain(&b);
}

static void write_all(uint32_t off, unsigned n)
{
	cr_assert_eq(conn_write(&c, off, n), n);
	bench_turn(&b, 1000);
}

/* A router's "fragmentation needed" about the segment of `d` at `seq`. */
static void router_says(const struct conn *d, uint32_t seq, uint16_t mtu)
{
	uint8_t f[FAKE_FRAME_MAX], q[28] = {0};
	struct iphdr_ ip = {.ver_ihl = 0x45, .tot_len = be16(1500), .ttl = 60};
	uint16_t ports[2] = {be16(d->lport), be16(d->fport)};
	uint32_t n = be32(seq + d->irs);

	ip.protocol = IPPROTO_TCP_;
	ip.saddr = SEG_OUR;
	ip.daddr = d->peer_ip;
	memcpy(q, &ip, sizeof(ip));
	memcpy(q + 20, ports, 4);
	memcpy(q + 24, &n, 4);
	fake_inject(b.f, f, frame_icmp(f, fake_ip(10, 0, 0, 99), SEG_OUR, 3, 4, mtu, q, 28));
	bench_turn(&b, 1000);
}

static unsigned path_mtu(const struct conn *d)
{
	int v = 0;
	uint32_t len = sizeof(v);

	cr_assert_eq(sock_getopt(d->sk, SK_SOL_IP, SK_IP_MTU, &v, &len), 0);
	return (unsigned)v;
}

/* ---- told ---- */

Test(tcp_mtu, test_mtu_reduced_lost_segments_go_again_in_pieces_without_a_cut)
{
	uint32_t cwnd, off;

	begin(NULL);
	write_all(1, 4 * 1448);
	for (int i = 0; i < 4; i++)
		expect(&c, ACK, 1 + 1448 * (uint32_t)i, 1, 1448);
	cwnd = conn_tp(&c)->snd_cwnd;
	router_says(&c, 1, 1000);
	/* 1000 - 52 of headers; each of the four in two pieces, all at once */
	for (off = 1; off < 1 + 4 * 1448; off += 1448) {
		expect(&c, ACK, off, 1, 948);
		expect(&c, ACK, off + 948, 1, 500);
	}
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->mss_cache, 948);
	cr_assert_eq(path_mtu(&c), 1000);
	/* acknowledged: the window is as large as before, or grew */
	peer(&c, .flags = ACK, .seq = 1, .ack = 1 + 4 * 1448);
	cr_assert_geq(conn_tp(&c)->snd_cwnd, cwnd);
	cr_assert_eq(conn_tp(&c)->ca_state, TCP_CA_OPEN);
	write_all(1 + 4 * 1448, 2000);
	expect(&c, ACK, 1 + 4 * 1448, 1, 948);
	expect(&c, ACK, 1 + 4 * 1448 + 948, 1, 948);
	bench_end(&b);
}

Test(tcp_mtu, test_mtu_reduced_unsent_data_leaves_in_the_new_size)
{
	unsigned n = 0;

	begin(NULL);
	write_all(1, 40 * 1448);
	bench_drain(&b);
	router_says(&c, 1, 1000);
	for (uint32_t una = 1; una < 1 + 40 * 1448 && n++ < 1000;) {
		while (bench_next(&b, &c, &seg)) {
			cr_assert_leq(seg.len, 948);
			una = seg.seq + seg.len;
		}
		c.tsval++;
		peer(&c, .flags = ACK, .seq = 1, .ack = una);
	}
	cr_assert_lt(n, 1000);
	cr_assert_eq(tcp_flight(conn_tp(&c)), 0);
	bench_end(&b);
}

/* No buffer to split the queue with: what was not split stayed too large for ever, and each of it cost
 * an RTO, as the router's word is news but once. */
Test(tcp_mtu, test_mtu_reduced_without_memory_splits_when_it_sends)
{
	static struct sk_buff *all[4096];
	unsigned n = 0;
	uint32_t next;

	begin(NULL);
	write_all(1, 14 * 1448);
	bench_drain(&b);
	next = 1 + tcp_flight(conn_tp(&c));
	cr_assert_eq(next, 1 + 10 * 1448);
	while (n < ARRAY_SIZE(all) && (all[n] = skb_alloc(&b.st->cache, 0)) != NULL)
		n++;
	tcp_mtu_reduced(conn_tp(&c), 1000);
	while (n)
		skb_free(all[--n]);
	c.tsval++;
	peer(&c, .flags = ACK, .seq = 1, .ack = next);
	/* the last 500 bytes wait for Nagle */
	for (; next < 1 + 14 * 1448 - 500; next += seg.len) {
		while (bench_next(&b, &c, &seg) && seg.seq != next)
			;
		cr_assert(seg.seq == next && seg.len && seg.len <= 948, "%u bytes", seg.len);
	}
	bench_end(&b);
}

/* All that waited was cut at once, into as many buffers as pieces: a silent peer took the whole
 * lane's (at an MSS of 48, 30 for each one of its sndbuf). Found by fuzzing. */
Test(tcp_mtu, test_mtu_reduced_what_waits_takes_no_more_buffers)
{
	struct stack_config cfg;
	unsigned had;

	stack_config_init(&cfg);
	cfg.mtu_probing = 1;
	begin(&cfg);
	write_all(1, 60000);
	bench_drain(&b);
	had = b.pool->ops->avail(b.pool);
	router_says(&c, 1, 600);
	bench_run(&b, 60 * S);
	cr_assert_leq(conn_tp(&c)->mss_cache, 100, "the path is a black hole by now");
	cr_assert_gt(b.pool->ops->avail(b.pool), had - 200);
	assert_state(&c, TCP_ESTABLISHED);
	bench_end(&b);
}

Test(tcp_mtu, test_tcp_B25_lies_about_the_mtu_are_ignored)
{
	struct conn d;

	begin(NULL);
	router_says(&c, 1, 1000); /* nothing is in flight */
	write_all(1, 2 * 1448);
	bench_drain(&b);
	router_says(&c, 0, 1000);
	router_says(&c, 1 + 2 * 1448, 1000);
	router_says(&c, (uint32_t)-5000, 1000);
	router_says(&c, 1, 1500);
	router_says(&c, 1, 9000);
	expect_none(&b);
	cr_assert_eq(conn_tp(&c)->mss_cache, 1448);
	cr_assert_null(b.st->tcp->pmtu);
	/* the floor */
	router_says(&c, 1, 68);
	cr_assert_eq(path_mtu(&c), 552);
	bench_drain(&b);
	/* only smaller: the old size does not come back by ICMP */
	router_says(&c, 1, 1400);
	expect_none(&b);
	cr_assert_eq(path_mtu(&c), 552);
	/* nobody's connection, and one that only begins */
	conn_init(&d, &b, 99, 99, &seg_full);
	router_says(&d, 1, 600);
	conn_active(&d, &b, &seg_full, &seg);
	router_says(&d, 0, 600);
	assert_state(&d, TCP_SYN_SENT);
	bench_end(&b);
}

Test(tcp_mtu, test_mtu_socket_that_does_not_listen_to_routers)
{
	int probe = SK_PMTUDISC_PROBE;

	begin(NULL);
	cr_assert_eq(sock_setopt(c.sk, SK_SOL_IP, SK_IP_MTU_DISCOVER, &probe, sizeof(probe)), 0);
	write_all(1, 1448);
	bench_drain(&b);
	router_says(&c, 1, 1000);
	expect_none(&b);
	cr_assert_eq(path_mtu(&c), 1500);
	bench_end(&b);
}

Test(tcp_mtu, test_mtu_is_remembered_for_the_destination_then_tried_again)
{
	struct conn d;

	begin(NULL);
	write_all(1, 1448);
	router_says(&c, 1, 1000);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1449);
	conn_passive(&d, &b, lp, 4001, &seg_full);
	cr_assert_eq(conn_tp(&d)->mss_cache, 948);
	bench_run(&b, 599 * S);
	conn_passive(&d, &b, lp, 4002, &seg_full);
	cr_assert_eq(conn_tp(&d)->mss_cache, 948);
	bench_run(&b, 2 * S);
	conn_passive(&d, &b, lp, 4003, &seg_full);
	cr_assert_eq(conn_tp(&d)->mss_cache, 1448);
	bench_drain(&b);
	/* the old connection tries it, too, with what is written after it noticed */
	write_all(1449, 100);
	expect(&c, ACK, 1449, 1, 100);
	write_all(1549, 3000);
	expect(&c, ACK, 1549, 1, 1448);
	bench_end(&b);
}

/* A cache that everybody on the link could fill is no memory that grows. */
/* One segment is the least that cwnd may be (RFC 5681 3.1), also of those that just grew. */
Test(tcp_mtu, test_mtu_tried_again_after_an_rto_leaves_a_window_of_one_segment)
{
	struct stack_config cfg;

	stack_config_init(&cfg);
	cfg.mtu_expires = S;
	begin(&cfg);
	write_all(1, 1448);
	router_says(&c, 1, 600);
	bench_run(&b, 5 * S);
	cr_assert_eq(conn_tp(&c)->snd_cwnd, 548);
	write_all(1449, 1448);
	cr_assert_eq(conn_tp(&c)->mss_cache, 1448);
	cr_assert_eq(conn_tp(&c)->snd_cwnd, 1448);
	bench_end(&b);
}

Test(tcp_mtu, test_mtu_cache_is_bounded_and_forgets_the_oldest)
{
	struct stack_config cfg;
	struct conn d[40];
	unsigned known = 0;

	stack_config_init(&cfg);
	cfg.pmtu_max = 8;
	bench_begin(&b, &cfg, 4096);
	lp = bench_listen(&b, SEG_PORT, 64);
	for (uint16_t i = 0; i < 40; i++) {
		conn_init(&d[i], &b, SEG_PORT, 5000, &seg_full);
		d[i].peer_ip = fake_ip(10, 0, 0, 10 + i);
		conn_syn(&d[i], &seg_full);
		do
			cr_assert(bench_next(&b, NULL, &seg));
		while (seg.flags != (SYN | ACK));
		d[i].irs = seg.seq;
		d[i].tsecr = seg.tsval;
		d[i].ts = true;
		peer(&d[i], .flags = ACK, .seq = 1, .ack = 1);
		cr_assert_eq(sock_accept(lp, &d[i].sk), 0);
		cr_assert_eq(conn_write(&d[i], 1, 1448), 1448);
		bench_turn(&b, 1000);
		router_says(&d[i], 1, 1000);
		cr_assert_eq(path_mtu(&d[i]), 1000);
		bench_drain(&b);
	}
	for (unsigned i = 0; i < 8; i++)
		known += b.st->tcp->pmtu[i].mtu == 1000;
	cr_assert_eq(known, 8);
	bench_end(&b);
}

/* ---- found out (RFC 4821) ---- */

Test(tcp_mtu, test_mtu_black_hole_makes_segments_smaller_step_by_step)
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

/* What is in flight in the old size is larger than a window of small segments: of each only the first
 * piece went, and only by an RTO. */
Test(tcp_mtu, test_mtu_black_hole_pieces_go_by_the_new_size_of_the_window)
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

Test(tcp_mtu, test_mtu_probing_off_keeps_the_size)
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

Test(tcp_mtu, test_mtu_probe_success_and_loss_close_in_on_the_path)
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
Test(tcp_mtu, test_mtu_silent_path_is_survived_and_measured)
{
	narrow_path(1, 1280, 1280 - 52 - 16, 20 * S);
	narrow_path(1, 700, 512, 30 * S);
	narrow_path(2, 1280, 1280 - 52 - 16, 5 * S);
	narrow_path(2, 1500, 1500 - 52 - 16, 5 * S);
}

/* ---- IP_MTU_DISCOVER ---- */

static void set_pmtudisc(struct sock *sk, int val)
{
	cr_assert_eq(sock_setopt(sk, SK_SOL_IP, SK_IP_MTU_DISCOVER, &val, sizeof(val)), 0);
}

/* The last frame that left. */
static struct iphdr_ *last_ip(void)
{
	return (struct iphdr_ *)(b.f->out[(b.f->nr_out - 1) % FAKE_FRAMES].b + ETH_HLEN);
}

/* ip(7); a listener's SYN-ACK and its children do as it was told. */
Test(tcp_mtu, test_pmtudisc_says_who_may_be_fragmented)
{
	static const bool df[] = {
		[SK_PMTUDISC_DONT] = false,      [SK_PMTUDISC_WANT] = true,
		[SK_PMTUDISC_DO] = true,         [SK_PMTUDISC_PROBE] = true,
		[SK_PMTUDISC_INTERFACE] = false, [SK_PMTUDISC_OMIT] = false,
	};

	bench_begin(&b, NULL, 1024);
	lp = bench_listen(&b, SEG_PORT, 64);
	for (unsigned i = 0; i < ARRAY_SIZE(df); i++) {
		set_pmtudisc(lp, (int)i);
		conn_init(&c, &b, SEG_PORT, (uint16_t)(4000 + i), &seg_full);
		conn_syn(&c, &seg_full);
		bench_turn(&b, 1000); /* the first one asked by ARP */
		cr_assert_eq(last_ip()->frag_off, df[i] ? be16(IP_DF) : 0, "SYN-ACK, %u", i);
		bench_drain(&b);
		conn_passive(&c, &b, lp, (uint16_t)(5000 + i), &seg_full);
		write_all(1, 100);
		cr_assert_eq(last_ip()->frag_off, df[i] ? be16(IP_DF) : 0, "data, %u", i);
		sock_abort(c.sk);
		cr_assert_eq(stack_output(b.st, b.now), 1);
		cr_assert_eq(last_ip()->frag_off, df[i] ? be16(IP_DF) : 0, "RST, %u", i);
		bench_drain(&b);
	}
	bench_end(&b);
}

/* RFC 6864 4.3: fragments of two datagrams with one ID would be put together. */
Test(tcp_mtu, test_pmtudisc_6864_ids_without_df_do_not_repeat)
{
	static bool seen[65536];
	struct conn d;

	begin(NULL);
	conn_passive(&d, &b, lp, 4001, &seg_full);
	set_pmtudisc(c.sk, SK_PMTUDISC_DONT);
	set_pmtudisc(d.sk, SK_PMTUDISC_DONT);
	/* as close as chance may bring two flows */
	conn_tp(&d)->ip_id = conn_tp(&c)->ip_id;
	for (uint32_t i = 0; i < 2000; i++) {
		struct conn *x = i % 2 ? &c : &d;
		uint32_t off = 1 + i / 2;

		cr_assert_eq(conn_write(x, off, 1), 1);
		bench_turn(&b, 1000);
		cr_assert(!seen[last_ip()->id], "ID %u came twice", be16(last_ip()->id));
		seen[last_ip()->id] = true;
		peer(x, .flags = ACK, .seq = 1, .ack = off + 1);
	}
	bench_end(&b);
}

Test(tcp_mtu, test_pmtudisc_probe_forgets_what_a_router_said)
{
	begin(NULL);
	write_all(1, 1448);
	router_says(&c, 1, 1000);
	cr_assert_eq(path_mtu(&c), 1000);
	set_pmtudisc(c.sk, SK_PMTUDISC_PROBE);
	cr_assert_eq(path_mtu(&c), 1500);
	router_says(&c, 1, 900);
	cr_assert_eq(path_mtu(&c), 1500);
	bench_end(&b);
}
