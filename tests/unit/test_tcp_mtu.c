/* SPDX-License-Identifier: BSD-3-Clause */
/* The path's MTU as routers tell it (RFC 1191, 5927; B25), and who listens to them (ip(7)). */
#include "seg_mtu.h"

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

/* No buffer to split the queue with: what was not split stayed too large for ever, and each of it
 * cost an RTO, as the router's word is news but once. */
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
	struct conn d, late;

	begin(NULL);
	write_all(1, 1448);
	router_says(&c, 1, 1000);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1449);
	conn_passive(&d, &b, lp, 4001, &seg_full);
	cr_assert_eq(conn_tp(&d)->mss_cache, 948);
	bench_run(&b, 599 * S);
	/* a look too early is not the last one */
	cr_assert_eq(conn_write(&d, 1, 100), 100);
	bench_turn(&b, 1000);
	conn_passive(&late, &b, lp, 4002, &seg_full);
	cr_assert_eq(conn_tp(&late)->mss_cache, 948);
	bench_run(&b, 2 * S);
	conn_passive(&late, &b, lp, 4003, &seg_full);
	cr_assert_eq(conn_tp(&late)->mss_cache, 1448);
	/* so does one that was never told itself */
	cr_assert_eq(conn_tp(&d)->mss_cache, 948);
	cr_assert_eq(conn_write(&d, 101, 100), 100);
	bench_turn(&b, 1000);
	cr_assert_eq(conn_tp(&d)->mss_cache, 1448);
	bench_drain(&b);
	/* the old connection tries it, too, with what is written after it noticed */
	write_all(1449, 100);
	expect(&c, ACK, 1449, 1, 100);
	write_all(1549, 3000);
	expect(&c, ACK, 1549, 1, 1448);
	bench_end(&b);
}

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

/* A cache that everybody on the link could fill is no memory that grows. */
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
