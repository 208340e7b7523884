/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sender of goodput.py: one source for both sides of its comparison. It sends for some seconds as
 * fast as it may, over Parklane's stack (--dev ... --ip ...) or over the kernel's (--epoll), and tells
 * what TCP_INFO says at the end.
 *
 * usage: goodput [LANE OPTION...] HOST:PORT SECONDS CONTROL
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <parklane/parklane.h>

#define PIECE (256 * 1024)

struct run {
	struct pl_addr to;
	double seconds;
	const char *control;
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

	err = pl_setsockopt(conn, IPPROTO_TCP, TCP_CONGESTION, r->control,
			    (unsigned)strlen(r->control));
	if (!err)
		err = pl_set_write_deadline(conn, end);
	while (!err && (n = pl_write(conn, piece, sizeof(piece))) > 0)
		written += (uint64_t)n;
	if (!err)
		err = tell(conn, (double)(pl_now() - start) / 1e9, written);
	/* what is unsent is nobody's */
	(void)pl_setsockopt(conn, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return err;
}

static void sender(void *arg)
{
	struct run *r = arg;
	struct pl_conn *conn;

	r->err = pl_dial(PL_NET_AUTO, &r->to, pl_now() + 10000000000, &conn);
	if (r->err)
		return;
	r->err = send_all(conn, r);
	pl_close(conn);
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
	if (argc - i != 3 || pl_addr_parse(argv[i], &r.to) ||
	    (r.seconds = atof(argv[i + 1])) <= 0) {
		fputs("usage: goodput [LANE OPTION...] HOST:PORT SECONDS CONTROL\n", stderr);
		return 2;
	}
	r.control = argv[i + 2];
	if (pl_run(&opt, sender, &r) < 0)
		fprintf(stderr, "goodput: %s\n", pl_last_error());
	else if (r.err)
		fprintf(stderr, "goodput: %s\n", pl_strerror(r.err));
	else
		return 0;
	return 1;
}
