/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both ends of goodput.py: one source for both sides of its comparison. The one sends for some
 * seconds as fast as it may and tells what TCP_INFO says then; the other reads as fast as it comes,
 * and tells how much that was in so many seconds from accept on. Over Parklane's stack (--dev ...
 * --ip ...) or the kernel's (--epoll). With a cpu it goes there, ahead of other programs, once its
 * lane runs: DPDK's start waits for a thread in a way that never ends where both have real-time
 * priority and one cpu.
 *
 * usage: goodput [LANE OPTION...] send HOST:PORT SECONDS CONTROL [CPU]
 *        goodput [LANE OPTION...] receive PORT SECONDS [CPU]
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <parklane/parklane.h>

#define PIECE         (256 * 1024)
#define READ_PRIORITY 50 /* of SCHED_FIFO: below the wire's */
#define SEND_NICE     (-20)

struct run {
	struct pl_addr addr;
	double seconds;
	const char *control, *cpu; /* control: NULL = receive; cpu: NULL = any, and no priority */
	bool ours;                 /* its TCP is Parklane's */
	int err;
};

static char piece[PIECE];

static int tell(struct pl_conn *conn, double seconds, uint64_t written)
{
	struct tcp_info ti = {0};
	char control[16] = "";
	unsigned len = sizeof(control) - 1;
	int err = pl_getsockopt(conn, IPPROTO_TCP, TCP_CONGESTION, control, &len);

	len = sizeof(ti);
	if (!err)
		err = pl_getsockopt(conn, IPPROTO_TCP, TCP_INFO, &ti, &len);
	if (err)
		return err;
	printf("{\"control\": \"%s\", \"seconds\": %.3f, \"written\": %llu, \"acked\": %llu, "
	       "\"segs_out\": %u, \"retrans\": %u, \"cwnd\": %u, \"ssthresh\": %u, \"rtt_us\": %u, "
	       "\"min_rtt_us\": %u, \"mss\": %u, \"dsack\": %u, \"reord_seen\": %u, "
	       "\"busy_us\": %llu, \"rwnd_limited_us\": %llu, \"sndbuf_limited_us\": %llu}\n",
	       control, seconds, (unsigned long long)written,
	       (unsigned long long)ti.tcpi_bytes_acked, ti.tcpi_segs_out, ti.tcpi_total_retrans,
	       ti.tcpi_snd_cwnd, ti.tcpi_snd_ssthresh, ti.tcpi_rtt, ti.tcpi_min_rtt,
	       ti.tcpi_snd_mss, ti.tcpi_dsack_dups, ti.tcpi_reord_seen,
	       (unsigned long long)ti.tcpi_busy_time, (unsigned long long)ti.tcpi_rwnd_limited,
	       (unsigned long long)ti.tcpi_sndbuf_limited);
	return 0;
}

static int send_all(struct pl_conn *conn, const struct run *r)
{
	const struct linger reset = {.l_onoff = 1};
	int64_t start = pl_now(), end = start + (int64_t)(r->seconds * 1e9);
	uint64_t written = 0;
	ssize_t n = 0;
	int err;

	err = pl_set_write_deadline(conn, end);
	while (!err && (n = pl_write(conn, piece, sizeof(piece))) > 0)
		written += (uint64_t)n;
	if (!err)
		err = tell(conn, (double)(pl_now() - start) / 1e9, written);
	/* what is unsent is nobody's */
	(void)pl_setsockopt(conn, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return err;
}

/*
 * be_urgent - who reads from the kernel goes first: a peer has a cpu of its own, and Linux puts off
 * its ACKs while what came is not read. Our own ends can take all of the cpu: with real-time
 * priority, Linux would stop them for 50 ms of each second.
 */
static int be_urgent(const struct run *r)
{
	struct sched_param sp = {.sched_priority = READ_PRIORITY};
	cpu_set_t set;
	FILE *f;

	CPU_ZERO(&set);
	CPU_SET((size_t)atoi(r->cpu), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	if (!r->control && !r->ours)
		return sched_setscheduler(0, SCHED_FIFO, &sp) < 0 ? -errno : 0;
	/* where sessions share a cpu evenly, whatever runs in them: this one is of its own */
	(void)setsid();
	f = fopen("/proc/self/autogroup", "we");
	if (f) {
		fprintf(f, "%d", SEND_NICE);
		(void)fclose(f);
	}
	return setpriority(PRIO_PROCESS, 0, SEND_NICE) < 0 ? -errno : 0;
}

/* Before the SYN: a kernel whose default is bbr would pace what was bbr for a moment, CUBIC too,
 * which no Linux of its own accord does. */
static int set_control(struct pl_conn *conn, void *arg)
{
	const struct run *r = arg;

	return pl_setsockopt(conn, IPPROTO_TCP, TCP_CONGESTION, r->control,
			     (unsigned)strlen(r->control));
}

static int sender(struct run *r)
{
	struct pl_conn *conn;
	int err = pl_dial_control(PL_NET_AUTO, &r->addr, pl_now() + 10000000000, set_control, r,
				  &conn);

	if (!err) {
		err = send_all(conn, r);
		pl_close(conn);
	}
	return err;
}

static int receiver(struct run *r)
{
	struct pl_conn *listener, *conn;
	uint64_t got = 0, start;
	ssize_t n;
	int err = pl_listen(PL_NET_AUTO, &r->addr, 1, &listener);

	if (err)
		return err;
	puts("ready");
	fflush(stdout);
	err = pl_accept(listener, &conn);
	pl_close(listener);
	if (err)
		return err;
	start = pl_now();
	err = pl_set_read_deadline(conn, start + (uint64_t)(r->seconds * 1e9));
	while (!err && (n = pl_read(conn, piece, sizeof(piece))) > 0)
		got += (uint64_t)n;
	printf("{\"bytes\": %llu, \"seconds\": %.3f}\n", (unsigned long long)got,
	       (double)(pl_now() - start) / 1e9);
	pl_close(conn);
	return err;
}

static void end(void *arg)
{
	struct run *r = arg;

	r->err = r->cpu ? be_urgent(r) : 0;
	if (!r->err)
		r->err = r->control ? sender(r) : receiver(r);
}

static bool take_args(struct run *r, char **argv, int n)
{
	bool sends = n > 0 && strcmp(argv[0], "send") == 0;
	int last = sends ? 4 : 3;

	if (n < last || n > last + 1 || (!sends && strcmp(argv[0], "receive") != 0))
		return false;
	if (sends) {
		r->control = argv[3];
		if (pl_addr_parse(argv[1], &r->addr))
			return false;
	} else {
		char any[32];

		(void)snprintf(any, sizeof(any), "0.0.0.0:%s", argv[1]);
		if (pl_addr_parse(any, &r->addr))
			return false;
	}
	r->seconds = atof(argv[2]);
	r->cpu = n > last ? argv[last] : NULL;
	return r->seconds > 0;
}

int main(int argc, char **argv)
{
	struct pl_options opt = {0};
	struct run r = {0};
	int i = pl_options_argv(&opt, argc, argv);

	if (i < 0) {
		fprintf(stderr, "goodput: %s\n", pl_last_error());
		return 2;
	}
	if (!take_args(&r, argv + i, argc - i)) {
		fputs("usage: goodput [LANE OPTION...] send HOST:PORT SECONDS CONTROL [CPU]\n"
		      "       goodput [LANE OPTION...] receive PORT SECONDS [CPU]\n",
		      stderr);
		return 2;
	}
	r.ours = opt.dev;
	if (pl_run(&opt, end, &r) < 0)
		fprintf(stderr, "goodput: %s\n", pl_last_error());
	else if (r.err)
		fprintf(stderr, "goodput: %s\n", pl_strerror(r.err));
	else
		return 0;
	return 1;
}
