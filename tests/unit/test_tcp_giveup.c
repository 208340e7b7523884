/* SPDX-License-Identifier: BSD-3-Clause */
/* When a connection is given up: keepalive, user timeout, retries by time, orphans, lingering. */
#include "seg_calls.h"
#include "stack/tcp_guard.h"

#define S NSEC_PER_SEC

static struct bench b;
static struct conn c;
static struct sock *lp;

static void set(struct sock *sk, int level, int name, int value)
{
	cr_assert_eq(sock_setopt(sk, level, name, &value, sizeof(value)), 0);
}

static void set_tcp(int name, int value)
{
	set(c.sk, SK_SOL_TCP, name, value);
}

static void begin(const struct stack_config *cfg)
{
	bench_begin(&b, cfg, 1024);
	lp = bench_listen(&b, SEG_PORT, 8);
	conn_passive(&c, &b, lp, 4000, &seg_full);
	bench_drain(&b);
}

/* Runs until the connection is closed; the time it took, in ms. */
static uint64_t until_closed(uint64_t limit)
{
	uint64_t from = b.now;

	while (c.sk->sk_state != TCP_CLOSE && b.now - from < limit)
		bench_run(&b, 10 * SEG_MS);
	assert_state(&c, TCP_CLOSE);
	return (b.now - from) / SEG_MS;
}

static unsigned count(uint8_t flags)
{
	struct seg seg;
	unsigned n = 0;

	while (bench_next(&b, &c, &seg))
		n += (seg.flags & (uint8_t)~PSH) == flags;
	return n;
}

/* ---- keepalive (RFC 9293 3.8.4) ---- */

Test(tcp_giveup, test_keepalive_is_off_unless_asked_for)
{
	begin(NULL);
	bench_run(&b, 100000 * S);
	expect_none(&b);
	assert_state(&c, TCP_ESTABLISHED);
	bench_end(&b);
}

Test(tcp_giveup, test_keepalive_probes_idle_peer_then_gives_up)
{
	begin(NULL);
	listen_to(c.sk);
	set(c.sk, SK_SOL_SOCKET, SK_SO_KEEPALIVE, 1);
	bench_run(&b, 7199 * S);
	expect_none(&b);
	bench_run(&b, 2 * S);
	for (int i = 0; i < 9; i++) {
		expect(&c, ACK, 0, 1, 0); /* SND.NXT - 1 */
		expect_none(&b);
		bench_run(&b, 75 * S);
	}
	expect(&c, RST | ACK, 1, 1, 0);
	expect_none(&b);
	assert_state(&c, TCP_CLOSE);
	cr_assert_eq(calls.error, 1);
	cr_assert_eq(sock_error(c.sk), -ETIMEDOUT);
	cr_assert_eq(stack_stats(b.st)->tcp_keepalive_probes, 9);
	bench_end(&b);
}

Test(tcp_giveup, test_keepalive_answer_or_data_keeps_the_connection)
{
	uint32_t seq = 1;

	begin(NULL);
	set(c.sk, SK_SOL_SOCKET, SK_SO_KEEPALIVE, 1);
	set_tcp(SK_TCP_KEEPIDLE, 10);
	set_tcp(SK_TCP_KEEPINTVL, 5);
	set_tcp(SK_TCP_KEEPCNT, 2);
	for (int i = 0; i < 20; i++) {
		bench_run(&b, 16 * S);
		cr_assert_eq(count(ACK), 2);
		/* in time: alternately a bare ACK and data */
		c.tsval += 16000;
		peer(&c, .flags = ACK, .seq = seq, .ack = 1, .len = i & 1);
		seq += i & 1;
		bench_run(&b, 9900 * SEG_MS);
		cr_assert_eq(count(ACK), i & 1u, "only what data is owed");
		bench_run(&b, 110 * SEG_MS);
		cr_assert_eq(count(ACK), 1);
		peer(&c, .flags = ACK, .seq = seq, .ack = 1);
	}
	assert_state(&c, TCP_ESTABLISHED);
	cr_assert_eq(conn_read(&c, 1), 10);
	cr_assert_leq(until_closed(60 * S), 26000);
	bench_end(&b);
}

Test(tcp_giveup, test_keepalive_of_a_listener_is_its_childrens)
{
	struct stack_config cfg;
	struct conn d;

	stack_config_init(&cfg);
	cfg.keepalive_time = 20 * S;
	cfg.keepalive_intvl = 3 * S;
	cfg.keepalive_probes = 4;
	begin(&cfg);
	set(lp, SK_SOL_SOCKET, SK_SO_KEEPALIVE, 1);
	conn_passive(&d, &b, lp, 4001, &seg_full);
	bench_drain(&b);
	bench_run(&b, 19 * S);
	expect_none(&b);
	bench_run(&b, 2 * S + 3 * 3 * S);
	for (int i = 0; i < 4; i++)
		expect(&d, ACK, 0, 1, 0);
	bench_run(&b, 3 * S);
	expect(&d, RST | ACK, 1, 1, 0);
	assert_state(&c, TCP_ESTABLISHED);
	bench_end(&b);
}

/* RFC 9293 3.8.4: not while something is sent, for then its own timer tells. */
Test(tcp_giveup, test_keepalive_waits_while_data_is_out)
{
	begin(NULL);
	set(c.sk, SK_SOL_SOCKET, SK_SO_KEEPALIVE, 1);
	set_tcp(SK_TCP_KEEPIDLE, 1);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_run(&b, 60 * S);
	cr_assert_eq(stack_stats(b.st)->tcp_keepalive_probes, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 101);
	bench_drain(&b);
	bench_run(&b, 2200 * SEG_MS);
	cr_assert_eq(stack_stats(b.st)->tcp_keepalive_probes, 1);
	expect(&c, ACK, 100, 1, 0);
	set(c.sk, SK_SOL_SOCKET, SK_SO_KEEPALIVE, 0);
	bench_run(&b, 3600 * S);
	cr_assert_eq(stack_stats(b.st)->tcp_keepalive_probes, 1);
	bench_end(&b);
}

Test(tcp_giveup, test_keepalive_on_before_connect_begins_with_the_connection)
{
	struct sk_addr to = {.family = SK_AF_INET, .port = SEG_PORT, .v4 = SEG_PEER};
	struct seg seg;

	bench_begin(&b, NULL, 1024);
	conn_init(&c, &b, 0, SEG_PORT, &seg_plain);
	cr_assert_eq(sock_create(b.st, SK_AF_INET, &c.sk), 0);
	set(c.sk, SK_SOL_SOCKET, SK_SO_KEEPALIVE, 1);
	set_tcp(SK_TCP_KEEPIDLE, 5);
	cr_assert_eq(sock_connect(c.sk, &to), -EINPROGRESS);
	c.lport = c.sk->sk_local.port;
	bench_turn(&b, 1000);
	cr_assert(bench_next(&b, NULL, &seg));
	c.irs = seg.seq;
	conn_synack(&c, &seg_plain);
	bench_drain(&b);
	bench_run(&b, 5010 * SEG_MS);
	expect(&c, ACK, 0, 1, 0);
	bench_end(&b);
}

/* Linux: with a user timeout, that alone decides. */
Test(tcp_giveup, test_keepalive_user_timeout_replaces_the_count)
{
	begin(NULL);
	set(c.sk, SK_SOL_SOCKET, SK_SO_KEEPALIVE, 1);
	set_tcp(SK_TCP_KEEPIDLE, 10);
	set_tcp(SK_TCP_KEEPINTVL, 5);
	set_tcp(SK_TCP_KEEPCNT, 1);
	set_tcp(SK_TCP_USER_TIMEOUT, 24000);
	cr_assert_leq(until_closed(60 * S), 25100);
	cr_assert_eq(count(ACK), 3);
	cr_assert_eq(sock_error(c.sk), -ETIMEDOUT);
	bench_end(&b);
}

/* ---- user timeout (RFC 5482) and retries ---- */

Test(tcp_giveup, test_user_timeout_ends_unacknowledged_data_in_time)
{
	uint64_t ms;

	begin(NULL);
	set_tcp(SK_TCP_USER_TIMEOUT, 5000);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	ms = until_closed(60 * S);
	/* as Linux counts it: from the first timeout */
	cr_assert(ms >= 5000 && ms <= 5450, "%lu", ms);
	cr_assert_eq(sock_error(c.sk), -ETIMEDOUT);
	bench_end(&b);
}

Test(tcp_giveup, test_user_timeout_is_not_spent_by_what_was_acknowledged)
{
	begin(NULL);
	set_tcp(SK_TCP_USER_TIMEOUT, 2000);
	for (uint32_t i = 0; i < 10; i++) {
		cr_assert_eq(conn_write(&c, 1 + 10 * i, 10), 10);
		bench_run(&b, 1500 * SEG_MS);
		c.tsval += 1500;
		peer(&c, .flags = ACK, .seq = 1, .ack = 11 + 10 * i);
		assert_state(&c, TCP_ESTABLISHED);
	}
	bench_end(&b);
}

Test(tcp_giveup, test_user_timeout_bounds_the_connect)
{
	struct seg seg;

	bench_begin(&b, NULL, 1024);
	conn_active(&c, &b, &seg_full, &seg);
	set_tcp(SK_TCP_USER_TIMEOUT, 2500);
	cr_assert(until_closed(60 * S) <= 2600);
	cr_assert_eq(count(SYN), 2, "at 1 s and 2 s; 3 s would be too late");
	bench_end(&b);
}

Test(tcp_giveup, test_syncnt_bounds_the_connect)
{
	struct seg seg;

	bench_begin(&b, NULL, 1024);
	conn_active(&c, &b, &seg_full, &seg);
	set_tcp(SK_TCP_SYNCNT, 2);
	/* the time of two with backoff, and those without that are sent in it
	 * (tcp_syn_linear_timeouts) */
	cr_assert_leq(until_closed(60 * S), 7050);
	cr_assert_eq(count(SYN), 5);
	cr_assert_eq(sock_error(c.sk), -ETIMEDOUT);
	bench_end(&b);
}

/* B29: the peer answers each probe and never opens its window; the user set a limit. */
Test(tcp_giveup, test_user_timeout_ends_a_window_that_stays_zero)
{
	uint64_t from;

	begin(NULL);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	set_tcp(SK_TCP_USER_TIMEOUT, 10000);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	for (from = b.now; c.sk->sk_state != TCP_CLOSE && b.now - from < 60 * S;) {
		bench_run(&b, 50 * SEG_MS);
		if (count(ACK))
			peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	}
	cr_assert(b.now - from >= 10 * S && b.now - from <= 11 * S);
	cr_assert_eq(sock_error(c.sk), -ETIMEDOUT);
	bench_end(&b);
}

/* tcp_retries2 = 15 is 924.6 s from the first timeout on, whatever the round trip is. */
Test(tcp_giveup, test_retries2_is_a_time_as_in_linux)
{
	static const struct {
		uint8_t retries;
		unsigned ms;
	} is[] = {{0, 200}, {3, 3000}, {9, 204600}, {15, 924600}};

	for (unsigned i = 0; i < ARRAY_SIZE(is); i++) {
		struct stack_config cfg;
		struct tcp_sock *tp;

		stack_config_init(&cfg);
		cfg.retries2 = is[i].retries;
		begin(&cfg);
		tp = conn_tp(&c);
		tp->retransmits = 1;
		tp->giveup_ns = b.st->now - is[i].ms * SEG_MS + 1;
		cr_assert(!tcp_timed_out(tp, cfg.retries2, true), "%u", is[i].retries);
		tp->giveup_ns--;
		cr_assert(tcp_timed_out(tp, cfg.retries2, true), "%u", is[i].retries);
		tp->retransmits = 0;
		bench_end(&b);
	}
	begin(NULL);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	cr_assert_geq(until_closed(2000 * S), 924600);
	bench_end(&b);
}

/* ---- a device that refuses what is sent (netdev.tx_off) ---- */

/* Runs until something leaves; the time it took, in ms. */
static uint64_t until_sent(void)
{
	uint64_t from = b.now;
	unsigned nr = b.f->nr_out;

	while (b.f->nr_out == nr && b.now - from < 10 * S)
		bench_run(&b, SEG_MS);
	return (b.now - from) / SEG_MS;
}

Test(tcp_giveup, test_refused_data_is_kept_and_tried_each_half_second)
{
	uint32_t cwnd;

	begin(NULL);
	cwnd = conn_tp(&c)->snd_cwnd;
	b.f->dev.tx_off = true;
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_turn(&b, 1000);
	bench_run(&b, 60 * S);
	expect_none(&b);
	assert_state(&c, TCP_ESTABLISHED);
	b.f->dev.tx_off = false;
	cr_assert_leq(until_sent(), 500);
	expect(&c, ACK, 1, 1, 100);
	cr_assert_eq(conn_tp(&c)->snd_cwnd, cwnd, "the path lost nothing");
	cr_assert_eq(conn_tp(&c)->backoff, 0);
	bench_end(&b);
}

Test(tcp_giveup, test_refused_retransmission_does_not_back_off)
{
	begin(NULL);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_turn(&b, 1000);
	expect(&c, ACK, 1, 1, 100);
	b.f->dev.tx_off = true;
	bench_run(&b, 20 * S);
	expect_none(&b);
	b.f->dev.tx_off = false;
	cr_assert_leq(until_sent(), 500);
	expect(&c, ACK, 1, 1, 100);
	bench_end(&b);
}

/* As user_timeout/user-timeout-probe of packetdrill's public scripts has it of Linux. */
Test(tcp_giveup, test_refused_data_ends_by_user_timeout)
{
	begin(NULL);
	set_tcp(SK_TCP_USER_TIMEOUT, 3000);
	b.f->dev.tx_off = true;
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_turn(&b, 1000);
	bench_run(&b, 3150 * SEG_MS);
	assert_state(&c, TCP_ESTABLISHED);
	cr_assert_eq(conn_tp(&c)->probes_out, 6);
	cr_assert_eq(conn_tp(&c)->backoff, 0);
	cr_assert_leq(until_closed(10 * S), 200);
	cr_assert_eq(sock_error(c.sk), -ETIMEDOUT);
	bench_end(&b);
}

Test(tcp_giveup, test_refused_data_is_given_up_after_the_time_of_retries2)
{
	uint64_t ms;

	begin(NULL);
	b.f->dev.tx_off = true;
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	ms = until_closed(2000 * S);
	cr_assert(ms >= 924600 && ms <= 926000, "%lu", ms);
	bench_end(&b);
}

/* Two tries a second are 256 after two minutes, and the patience began anew. Found by fuzzing. */
Test(tcp_giveup, test_refused_retransmission_is_given_up_after_the_time_of_retries2)
{
	uint64_t ms;

	begin(NULL);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_turn(&b, 1000);
	b.f->dev.tx_off = true;
	ms = until_closed(2000 * S);
	cr_assert(ms >= 924600 && ms <= 926000, "%lu", ms);
	bench_end(&b);
}

/* begin(), and two probes of a window of zero, which the peer answers. */
static void begin_probing(void)
{
	begin(NULL);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	for (int i = 0; i < 2; i++) {
		(void)until_sent();
		peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	}
	cr_assert_geq(conn_tp(&c)->backoff, 2);
	bench_drain(&b);
}

/* Each refused probe was taken for one that the peer leaves unanswered: 8 s were the end. */
Test(tcp_giveup, test_persist_survives_a_cable_out)
{
	begin_probing();
	b.f->dev.tx_off = true;
	bench_run(&b, 600 * S);
	expect_none(&b);
	assert_state(&c, TCP_ESTABLISHED);
	b.f->dev.tx_off = false;
	cr_assert_leq(until_sent(), 500);
	expect(&c, ACK, 0, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1);
	expect(&c, ACK, 1, 1, 100);
	bench_end(&b);
}

Test(tcp_giveup, test_persist_on_a_refusing_device_ends_by_time)
{
	uint64_t ms;

	begin_probing();
	b.f->dev.tx_off = true;
	ms = until_closed(2000 * S);
	cr_assert(ms >= 924600 && ms <= 926000, "%lu", ms);
	cr_assert_eq(sock_error(c.sk), -ETIMEDOUT);
	bench_end(&b);
}

/* The first probe that leaves is the first that the peer can miss, however many were refused. */
Test(tcp_giveup, test_persist_begins_to_count_when_the_cable_is_in)
{
	begin(NULL);
	peer(&c, .flags = ACK, .seq = 1, .ack = 1, .win = -1);
	b.f->dev.tx_off = true;
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_turn(&b, 1000);
	bench_run(&b, 20 * S);
	cr_assert_geq(conn_tp(&c)->probes_out, 30);
	b.f->dev.tx_off = false;
	cr_assert_leq(until_sent(), 500);
	cr_assert_eq(conn_tp(&c)->probes_out, 1);
	bench_run(&b, 10 * S);
	assert_state(&c, TCP_ESTABLISHED);
	bench_end(&b);
}

Test(tcp_giveup, test_refusing_device_still_gets_syns)
{
	struct seg seg;

	bench_begin(&b, NULL, 1024);
	b.f->dev.tx_off = true;
	conn_active(&c, &b, &seg_full, &seg);
	bench_end(&b);
}

/* ---- who is left by its user ---- */

Test(tcp_giveup, test_linger_zero_resets_and_forgets)
{
	struct sk_linger l = {1, 0};

	begin(NULL);
	cr_assert_eq(conn_write(&c, 1, 100), 100);
	bench_turn(&b, 1000);
	bench_drain(&b);
	cr_assert_eq(sock_setopt(c.sk, SK_SOL_SOCKET, SK_SO_LINGER, &l, sizeof(l)), 0);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, RST | ACK, 101, 1, 0);
	expect_none(&b);
	cr_assert_eq(nr_socks(&b), 1);
	bench_end(&b);
}

Test(tcp_giveup, test_linger_of_some_seconds_closes_by_fin)
{
	struct sk_linger l = {1, 5};

	begin(NULL);
	cr_assert_eq(sock_setopt(c.sk, SK_SOL_SOCKET, SK_SO_LINGER, &l, sizeof(l)), 0);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	bench_end(&b);
}

Test(tcp_giveup, test_linger2_is_the_orphans_time_in_fin_wait2)
{
	begin(NULL);
	set_tcp(SK_TCP_LINGER2, 5);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	bench_run(&b, 4900 * SEG_MS);
	cr_assert_eq(nr_socks(&b), 2);
	bench_run(&b, 200 * SEG_MS);
	cr_assert_eq(nr_socks(&b), 1);
	expect_none(&b);
	bench_end(&b);
}

Test(tcp_giveup, test_linger2_negative_does_not_wait)
{
	begin(NULL);
	set_tcp(SK_TCP_LINGER2, -1);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	cr_assert_eq(nr_socks(&b), 1);
	/* closed when it is in FIN-WAIT-2 already: told by RST, as Linux */
	conn_passive(&c, &b, lp, 4001, &seg_full);
	set_tcp(SK_TCP_LINGER2, -1);
	cr_assert_eq(sock_shutdown(c.sk, SEND_SHUTDOWN), 0);
	bench_turn(&b, 1000);
	peer(&c, .flags = ACK, .seq = 1, .ack = 2);
	bench_drain(&b);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, RST | ACK, 2, 1, 0);
	cr_assert_eq(nr_socks(&b), 1);
	bench_end(&b);
}

Test(tcp_giveup, test_orphans_beyond_the_limit_are_reset)
{
	struct stack_config cfg;
	struct conn d[3];

	stack_config_init(&cfg);
	cfg.max_orphans = 2;
	begin(&cfg);
	for (uint16_t i = 0; i < 3; i++)
		conn_passive(&d[i], &b, lp, 4100 + i, &seg_full);
	bench_drain(&b);
	for (int i = 0; i < 3; i++) {
		sock_close(d[i].sk);
		bench_turn(&b, 1000);
		expect(&d[i], i < 2 ? FIN | ACK : RST | ACK, 1, 1, 0);
	}
	cr_assert_eq(b.st->tcp->nr_orphans, 2);
	/* one ends, another one may begin */
	peer(&d[0], .flags = RST, .seq = 1);
	cr_assert_eq(b.st->tcp->nr_orphans, 1);
	bench_drain(&b);
	sock_close(c.sk);
	bench_turn(&b, 1000);
	expect(&c, FIN | ACK, 1, 1, 0);
	bench_run(&b, 300 * S);
	cr_assert_eq(b.st->tcp->nr_orphans, 0);
	cr_assert_eq(nr_socks(&b), 1);
	bench_end(&b);
}

/* Half as many, once they make no progress. */
Test(tcp_giveup, test_orphans_in_trouble_count_double)
{
	struct stack_config cfg;
	struct conn d[3];

	stack_config_init(&cfg);
	cfg.max_orphans = 3;
	begin(&cfg);
	for (uint16_t i = 0; i < 3; i++)
		conn_passive(&d[i], &b, lp, 4100 + i, &seg_full);
	for (int i = 0; i < 3; i++)
		sock_close(d[i].sk);
	cr_assert_eq(b.st->tcp->nr_orphans, 3);
	tcp_sk(d[1].sk)->err_soft = EHOSTUNREACH;
	bench_turn(&b, 1000);
	bench_run(&b, 1 * S);
	cr_assert_eq(b.st->tcp->nr_orphans, 2);
	cr_assert_eq(stack_stats(b.st)->tcp_orphan_drops, 1);
	bench_end(&b);
}
