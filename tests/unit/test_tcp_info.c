/* SPDX-License-Identifier: BSD-3-Clause */
/* TCP_INFO: what each field says in situations whose answer is known. */
#include "seg_half.h"
#include "stack/tcp_info.h"

static struct bench b;
static struct conn c;

static struct sk_tcp_info info(const struct conn *c)
{
	struct sk_tcp_info i;
	uint32_t len = sizeof(i);

	cr_assert_eq(sock_getopt(c->sk, SK_SOL_TCP, SK_TCP_INFO, &i, &len), 0);
	cr_assert_eq(len, sizeof(i));
	return i;
}

static void opened(struct bench *b, struct conn *c, const struct seg_peer *p)
{
	bench_begin(b, NULL, 1024);
	conn_opened(c, b, p);
	bench_drain(b);
}

Test(tcp_info, test_info_fresh_connection)
{
	struct sk_tcp_info i;

	opened(&b, &c, &seg_full);
	i = info(&c);
	cr_assert_eq(i.tcpi_state, TCP_ESTABLISHED);
	cr_assert_eq(i.tcpi_ca_state, TCP_CA_OPEN);
	cr_assert_eq(i.tcpi_options,
		     SK_TCPI_OPT_TIMESTAMPS | SK_TCPI_OPT_SACK | SK_TCPI_OPT_WSCALE);
	cr_assert_eq(i.tcpi_snd_wscale, 7);
	cr_assert_eq(i.tcpi_snd_mss, 1448);
	cr_assert_eq(i.tcpi_advmss, 1448, "1460 less timestamps, as Linux's");
	cr_assert_eq(i.tcpi_pmtu, 1500);
	cr_assert_eq(i.tcpi_snd_cwnd, 10);
	cr_assert_eq(i.tcpi_snd_ssthresh, 0x7fffffff);
	cr_assert_eq(i.tcpi_reordering, 3);
	cr_assert_eq(i.tcpi_bytes_acked, 1, "Linux counts the SYN of an active open");
	cr_assert_eq(i.tcpi_bytes_received, 0);
	cr_assert_eq(i.tcpi_segs_out, 2, "SYN and ACK");
	cr_assert_eq(i.tcpi_segs_in, 1);
	cr_assert_eq(i.tcpi_delivered, 1, "the SYN");
	cr_assert_eq(i.tcpi_pacing_rate, UINT64_MAX);
	cr_assert_eq(i.tcpi_snd_wnd, 65535, "a SYN's window is not scaled");
	cr_assert_gt(i.tcpi_rto, 200000);
	bench_end(&b);
}

/* What Linux 6.18 says of a connection that was accepted; by a request or by a cookie. */
Test(tcp_info, test_info_accepted_counts_the_handshake)
{
	for (unsigned k = 0; k < 4; k++) {
		bool data = k & 1;
		struct stack_config cfg;
		struct sk_tcp_info i;
		struct sock *lp;
		struct seg s;

		stack_config_init(&cfg);
		cfg.syncookies = k & 2 ? 2 : 0;
		bench_begin(&b, &cfg, 1024);
		lp = bench_listen(&b, SEG_PORT, 8);
		half_open(&c, &b, 4000, &seg_full, &s);
		peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = data ? 10 : 0);
		cr_assert_eq(sock_accept(lp, &c.sk), 0);
		i = info(&c);
		cr_assert_eq(i.tcpi_segs_in, 2, "%u: %u", k, i.tcpi_segs_in);
		cr_assert_eq(i.tcpi_data_segs_in, data);
		cr_assert_eq(i.tcpi_delivered, 1);
		cr_assert_eq(i.tcpi_bytes_received, data ? 10 : 0);
		cr_assert_eq(i.tcpi_bytes_acked, 0);
		bench_end(&b);
	}
}

Test(tcp_info, test_info_advmss_is_less_timestamps_and_the_syn_is_not)
{
	struct seg syn;

	bench_begin(&b, NULL, 1024);
	conn_active(&c, &b, &seg_full, &syn);
	cr_assert_eq(syn.o.mss, 1460, "RFC 6691 2: options are not counted");
	cr_assert_eq(info(&c).tcpi_advmss, 1460);
	conn_synack(&c, &seg_full);
	cr_assert_eq(info(&c).tcpi_advmss, 1448);
	bench_drain(&b);
	bench_end(&b);

	opened(&b, &c, &seg_plain);
	cr_assert_eq(info(&c).tcpi_advmss, 1460, "a peer without timestamps");
	bench_end(&b);
}

Test(tcp_info, test_info_counts_what_is_in_flight_lost_and_sent_again)
{
	struct sk_tcp_info i;

	opened(&b, &c, &seg_full);
	cr_assert_eq(conn_write(&c, 1, 20 * 1448), 20 * 1448);
	bench_turn(&b, 1000);
	bench_drain(&b);
	i = info(&c);
	cr_assert_eq(i.tcpi_unacked, 10);
	cr_assert_eq(i.tcpi_notsent_bytes, 10 * 1448);
	cr_assert_eq(i.tcpi_data_segs_out, 10);
	cr_assert_eq(i.tcpi_bytes_sent, 10 * 1448);
	cr_assert_eq(i.tcpi_bytes_acked, 1);
	/* two segments arrive, the third is lost, three more arrive */
	peer(&c, .flags = ACK, .seq = 1, .ack = 1 + 2 * 1448, .nr_sacks = 1,
	     .sack = {1 + 3 * 1448, 1 + 6 * 1448});
	bench_drain(&b);
	i = info(&c);
	cr_assert_eq(i.tcpi_sacked, 3);
	cr_assert_eq(i.tcpi_lost, 1);
	cr_assert_eq(i.tcpi_retrans, 1);
	cr_assert_eq(i.tcpi_total_retrans, 1);
	cr_assert_eq(i.tcpi_ca_state, TCP_CA_RECOVERY);
	cr_assert_eq(i.tcpi_bytes_retrans, 1448);
	cr_assert_eq(i.tcpi_bytes_acked, 1 + 2 * 1448);
	cr_assert_eq(i.tcpi_bytes_sent, (uint64_t)(i.tcpi_data_segs_out) * 1448);
	cr_assert_lt(i.tcpi_snd_ssthresh, 10);
	bench_end(&b);
}

Test(tcp_info, test_info_times_since_data_and_acks)
{
	struct sk_tcp_info i;

	opened(&b, &c, &seg_plain);
	cr_assert_eq(conn_write(&c, 1, 10), 10);
	bench_turn(&b, 1000);
	bench_run(&b, 5 * SEG_MS);
	peer(&c, .flags = ACK, .seq = 1, .ack = 11);
	bench_run(&b, 10 * SEG_MS);
	peer(&c, .flags = ACK, .seq = 1, .ack = 11, .len = 10);
	bench_run(&b, 20 * SEG_MS);
	i = info(&c);
	cr_assert_eq(i.tcpi_last_data_sent, 35);
	cr_assert_eq(i.tcpi_last_data_recv, 20);
	cr_assert_eq(i.tcpi_last_ack_recv, 30, "the second one acknowledged nothing, as in Linux");
	cr_assert_eq(i.tcpi_bytes_received, 10);
	cr_assert_eq(i.tcpi_data_segs_in, 1);
	cr_assert(i.tcpi_busy_time >= 5000 && i.tcpi_busy_time < 5100, "%lu",
		  (unsigned long)i.tcpi_busy_time);
	bench_end(&b);
}

/* RFC 9293 3.8.6.1: the peer's window is the brake for 50 ms. */
Test(tcp_info, test_info_tells_who_held_the_sender_up)
{
	struct sk_tcp_info i;

	opened(&b, &c, &seg_plain);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = 100);
	cr_assert_eq(conn_write(&c, 1, 1000), 1000);
	bench_turn(&b, 1000);
	bench_run(&b, 50 * SEG_MS);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = 60000);
	bench_run(&b, 5 * SEG_MS);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1001, .win = 60000);
	bench_run(&b, 100 * SEG_MS);
	i = info(&c);
	cr_assert(i.tcpi_rwnd_limited >= 49000 && i.tcpi_rwnd_limited < 52000, "%lu",
		  (unsigned long)i.tcpi_rwnd_limited);
	cr_assert(i.tcpi_busy_time >= 54000 && i.tcpi_busy_time < 58000, "%lu",
		  (unsigned long)i.tcpi_busy_time);
	bench_end(&b);
}

Test(tcp_info, test_info_writer_that_waits_though_all_is_sent_is_sndbuf_limited)
{
	struct sk_tcp_info i;

	opened(&b, &c, &seg_plain);
	cr_assert_eq(sock_setopt_int(c.sk, SK_SOL_SOCKET, SK_SO_SNDBUF, 4000), 0);
	cr_assert_gt(conn_write(&c, 1, 30000), 0);
	bench_turn(&b, 1000);
	bench_run(&b, 30 * SEG_MS);
	i = info(&c);
	cr_assert(i.tcpi_sndbuf_limited >= 29000 && i.tcpi_sndbuf_limited < 32000, "%lu",
		  (unsigned long)i.tcpi_sndbuf_limited);
	cr_assert_eq(i.tcpi_notsent_bytes, 0);
	bench_end(&b);
}

Test(tcp_info, test_info_out_of_order_listener_and_closed)
{
	struct sk_tcp_info i;
	struct conn c, l = {0};

	bench_begin(&b, NULL, 1024);
	l.sk = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&c, &b, l.sk, 4000, &seg_plain);
	conn_init(&l, &b, SEG_PORT, 4001, &seg_plain);
	l.sk = NULL;
	peer(&c, .flags = ACK, .seq = 101, .ack = 1, .len = 100);
	peer(&c, .flags = ACK, .seq = 301, .ack = 1, .len = 100);
	i = info(&c);
	cr_assert_eq(i.tcpi_rcv_ooopack, 2);
	cr_assert_eq(i.tcpi_bytes_received, 0);
	cr_assert_eq(i.tcpi_bytes_acked, 0, "and not that of a passive one");
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .len = 100);
	cr_assert_eq(info(&c).tcpi_bytes_received, 200);
	peer(&c, .flags = RST | ACK, .seq = 201, .ack = 1);
	i = info(&c);
	cr_assert_eq(i.tcpi_state, TCP_CLOSE);
	cr_assert_eq(i.tcpi_bytes_received, 200);
	bench_end(&b);
}

Test(tcp_info, test_info_of_listener_is_its_queue)
{
	struct conn c, l = {0};
	struct sk_tcp_info i;
	struct seg s;

	bench_begin(&b, NULL, 1024);
	l.sk = bench_listen(&b, SEG_PORT, 8);
	conn_init(&c, &b, SEG_PORT, 4000, &seg_plain);
	conn_syn(&c, &seg_plain);
	cr_assert(bench_next(&b, NULL, &s));
	c.irs = s.seq;
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	i = info(&l);
	cr_assert_eq(i.tcpi_state, TCP_LISTEN);
	cr_assert_eq(i.tcpi_unacked, 1);
	cr_assert_eq(i.tcpi_sacked, 8);
	bench_end(&b);
}

static bool note(void *ctx, const struct stack_sock_info *i)
{
	*(struct stack_sock_info *)ctx = *i;
	return true;
}

/* What `parklane stat` shows of the same connection. */
Test(tcp_info, test_info_of_stat_agrees)
{
	struct stack_sock_info k;
	struct sk_tcp_info i;

	opened(&b, &c, &seg_full);
	cr_assert_eq(conn_write(&c, 1, 20 * 1448), 20 * 1448);
	bench_turn(&b, 1000);
	bench_run(&b, 3 * SEG_MS);
	i = info(&c);
	stack_for_each_sock(b.st, note, &k);
	cr_assert_eq(k.in_flight, 10 * 1448);
	cr_assert_eq(k.not_sent, i.tcpi_notsent_bytes);
	cr_assert_eq(k.cwnd, i.tcpi_snd_cwnd);
	cr_assert_eq(k.rto_us, i.tcpi_rto);
	cr_assert_eq(k.busy_us, i.tcpi_busy_time);
	cr_assert_eq(k.rcv_wnd, i.tcpi_rcv_wnd);
	cr_assert_str_eq(k.ca, conn_tp(&c)->ca->name);
	bench_end(&b);
}

/* RFC 6298 section 5: two timeouts in a row, and how long they held the sender up. */
Test(tcp_info, test_info_counts_timeouts_and_their_time)
{
	struct sk_tcp_info i;

	opened(&b, &c, &seg_plain);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_turn(&b, 1000);
	bench_run(&b, NSEC_PER_SEC);
	i = info(&c);
	cr_assert_eq(i.tcpi_total_rto, 2);
	cr_assert_eq(i.tcpi_total_rto_recoveries, 1);
	cr_assert_eq(i.tcpi_retransmits, 2);
	cr_assert(i.tcpi_total_rto_time > 700 && i.tcpi_total_rto_time < 900, "%u",
		  i.tcpi_total_rto_time);
	peer(&c, .flags = ACK, .seq = 1, .ack = 101);
	bench_run(&b, NSEC_PER_SEC);
	i = info(&c);
	cr_assert(i.tcpi_total_rto_time > 700 && i.tcpi_total_rto_time < 900);
	cr_assert_eq(i.tcpi_retransmits, 0);
	cr_assert_eq(i.tcpi_delivered, 2, "the SYN and the data");
	bench_end(&b);
}
