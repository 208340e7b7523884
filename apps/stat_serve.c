/* SPDX-License-Identifier: BSD-3-Clause */
/* See stat_serve.h. */
#include "apps/stat_serve.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "apps/stat_dir.h"
#include "apps/tsc.h"
#include "poller/ledger.h"
#include "poller/monitor.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define SOCKS_MAX 4096 /* listed; the count tells how many there are */
#define ANSWER_MS 2000 /* how long the thread waits for it */

struct stat_serve {
	const struct open_lanes *all; /* (c) */
	const char *command;          /* (c) */
	int listen_fd, end[2];        /* (c) end: a pipe whose closing ends the thread */
	pthread_t thread;
	uint64_t began; /* (c) mono ns */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	/* One lane at a time is asked; what it fills in belongs to whom the flag names. */
	struct lane_msg ask;
	struct stack *st; /* of the lane that is asked */
	bool asked;       /* (a) set by the thread, cleared by the lane; release and acquire */
	unsigned nr, total;
	struct stack_sock_info socks[SOCKS_MAX];
};

static int serving; /* (a) 1: a lane of this process has the process's one socket */

/* ---- the lane's part ---- */

static bool note_sock(void *ctx, const struct stack_sock_info *i)
{
	struct stat_serve *s = ctx;

	if (s->nr < SOCKS_MAX)
		s->socks[s->nr++] = *i;
	s->total++;
	return true;
}

static void note_socks(struct lane *l, struct lane_msg *m)
{
	struct stat_serve *s = container_of(m, struct stat_serve, ask);

	(void)l;
	stack_for_each_sock(s->st, note_sock, s);
	__atomic_store_n(&s->asked, false, __ATOMIC_RELEASE);
}

/* ---- the thread's part ---- */

static json_t *addr_json(const struct sk_addr *a)
{
	char ip[INET_ADDRSTRLEN], text[INET_ADDRSTRLEN + 8];

	inet_ntop(AF_INET, &a->v4, ip, sizeof(ip));
	snprintf(text, sizeof(text), "%s:%u", ip, a->port);
	return json_string(text);
}

/* The numbers of a socket, under their names in the answer. */
/* clang-format off */
#define SOCK_NUMBERS(X)                                                                            \
	X(recv_q) X(send_q) X(in_flight) X(not_sent) X(lost) X(cwnd) X(ssthresh) X(srtt_us)        \
	X(rttvar_us) X(min_rtt_us) X(rto_us) X(mss) X(snd_wnd) X(rcv_wnd) X(rcvbuf) X(sndbuf)      \
	X(bytes_in) X(bytes_out) X(retrans) X(busy_us) X(window_us) X(sndbuf_us)
/* clang-format on */

static json_t *socket_json(const struct stack_sock_info *k, unsigned lane)
{
	json_t *o = json_pack("{s:i s:s s:o s:o s:s}", "lane", (int)lane, "state",
			      tcp_state_name(k->state), "local", addr_json(&k->local), "peer",
			      addr_json(&k->peer), "congestion", k->ca);

#define X(name) json_object_set_new(o, #name, json_integer((json_int_t)k->name));
	SOCK_NUMBERS(X)
#undef X
	return o;
}

/* ask_lane - have the lane note its sockets; false if it does not answer in time, or has not yet
 * answered the question before. */
static bool ask_lane(struct stat_serve *s, const struct open_lane *ol)
{
	if (__atomic_load_n(&s->asked, __ATOMIC_ACQUIRE))
		return false;
	s->nr = 0;
	s->st = ol->stack;
	__atomic_store_n(&s->asked, true, __ATOMIC_RELAXED);
	s->ask.fn = note_socks;
	lane_post(ol->lane, &s->ask);
	for (int i = 0; i < ANSWER_MS; i++) {
		if (!__atomic_load_n(&s->asked, __ATOMIC_ACQUIRE))
			return true;
		usleep(1000);
	}
	return false;
}

static json_t *sockets_json(struct stat_serve *s, json_t *o)
{
	json_t *list = json_array();

	s->total = 0;
	for (unsigned lane = 0; lane < s->all->nr; lane++) {
		if (!ask_lane(s, &s->all->lane[lane]))
			return list;
		for (unsigned i = 0; i < s->nr; i++)
			json_array_append_new(list, socket_json(&s->socks[i], lane));
	}
	json_object_set_new(o, "nr_sockets", json_integer(s->total));
	return list;
}

static void stack_json(struct stat_serve *s, json_t *o)
{
	const struct stack_stats sum = open_lanes_stats(s->all), *ss = &sum;
	struct netdev *dev = stack_netdev(s->all->lane[0].stack);
	json_t *c = json_object(), *drops = json_object();
	struct netdev_stats ns = {0};

#define X(name) json_object_set_new(c, #name, json_integer((json_int_t)ss->name));
	STACK_COUNTERS(X)
#undef X
	for (int i = 0; i < SKB_DROP_MAX; i++) {
		uint64_t n = ss->drops[i];

		if (n)
			json_object_set_new(drops, skb_drop_name((enum skb_drop_reason)i),
					    json_integer((json_int_t)n));
	}
	if (dev->ops->get_stats)
		dev->ops->get_stats(dev, &ns);
	json_object_set_new(
		o, "device",
		json_pack("{s:s s:I s:I s:I s:I s:I s:I s:I}", "name", dev->name, "rx_packets",
			  (json_int_t)ns.rx_packets, "tx_packets", (json_int_t)ns.tx_packets,
			  "rx_ring_overruns", (json_int_t)ns.rx_missed, "rx_without_buffer",
			  (json_int_t)ns.rx_nombuf, "tx_ring_full", (json_int_t)ss->tx_ring_full,
			  "rx_errors", (json_int_t)ns.rx_errors, "tx_errors",
			  (json_int_t)ns.tx_errors));
	json_object_set_new(o, "stack", c);
	json_object_set_new(o, "drops", drops);
}

/* hogs_json - goroutines that held their lane: how many, and the last, with how long up to now. */
static json_t *hogs_json(struct stat_serve *s)
{
	struct monitor_report m;

	monitor_get(s->all->grp, &m);
	if (!m.hogs)
		return json_pack("{s:i}", "count", 0);
	return json_pack("{s:I s:I s:s s:i s:f s:f s:b}", "count", (json_int_t)m.hogs, "goroutine",
			 (json_int_t)m.last.g, "name", m.last.name ? m.last.name : "?", "lane",
			 (int)m.last.lane, "held_ms", (double)m.last.held_ns / 1e6, "on_cpu_ms",
			 (double)m.last.cpu_ns / 1e6, "holding", (int)m.holding);
}

/* report_json - cycles and events of a report into o. */
static void report_json(json_t *o, const struct ledger_report *r)
{
	json_t *ev = json_object();

	for (int i = 0; i < LEDGER_EV_MAX; i++)
		json_object_set_new(ev, ledger_event_name((enum ledger_event)i),
				    json_integer((json_int_t)r->ev[i]));
	json_object_set_new(o, "cycles",
			    json_pack("{s:I s:I s:I}", "busy", (json_int_t)r->busy, "empty_polls",
				      (json_int_t)r->empty, "asleep", (json_int_t)r->idle));
	json_object_set_new(o, "events", ev);
}

/* lane_json - what shows whether the lanes share the work; adds its report to *sum. */
static json_t *lane_json(const struct open_lane *ol, unsigned lane, struct ledger_report *sum)
{
	struct ledger_report r = {0};
	json_t *o = json_pack("{s:i s:I}", "lane", (int)lane, "goroutines",
			      (json_int_t)lane_nr_g(ol->lane));

	lane_ledger_report(ol->lane, &r);
	sum->busy += r.busy;
	sum->empty += r.empty;
	sum->idle += r.idle;
	for (int e = 0; e < LEDGER_EV_MAX; e++)
		sum->ev[e] += r.ev[e];
	if (ol->stack) {
		const struct stack_stats *ss = stack_stats(ol->stack);

		json_object_set_new(o, "rx_packets",
				    json_integer((json_int_t)stat_read(&ss->rx_packets)));
		json_object_set_new(o, "tx_packets",
				    json_integer((json_int_t)stat_read(&ss->tx_packets)));
	}
	report_json(o, &r);
	return o;
}

static json_t *answer(struct stat_serve *s)
{
	struct ledger_report sum = {0};
	json_t *o = json_object(), *per_lane = json_array();
	json_int_t nr_g = 0;

	for (unsigned i = 0; i < s->all->nr; i++) {
		nr_g += lane_nr_g(s->all->lane[i].lane);
		json_array_append_new(per_lane, lane_json(&s->all->lane[i], i, &sum));
	}
	json_object_set_new(o, "pid", json_integer(getpid()));
	json_object_set_new(o, "program", json_string(program_invocation_short_name));
	json_object_set_new(o, "command", json_string(s->command));
	json_object_set_new(o, "seconds", json_real((double)(mono_ns() - s->began) / 1e9));
	json_object_set_new(o, "goroutines", json_integer(nr_g));
	json_object_set_new(o, "lanes", json_integer(s->all->nr));
	json_object_set_new(o, "hogs", hogs_json(s));
	report_json(o, &sum);
	json_object_set_new(o, "per_lane", per_lane);
	if (s->all->lane[0].stack) {
		stack_json(s, o);
		json_object_set_new(o, "sockets", sockets_json(s, o));
	}
	return o;
}

/* read_request - up to the client's end of it; cut where it is longer than any that we know. */
static void read_request(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = recv(fd, buf + len, size - 1 - len, 0)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
}

static void send_json(struct stat_serve *s, int fd)
{
	json_t *o = answer(s);
	char *text = json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(6));

	for (size_t off = 0, len = text ? strlen(text) : 0; off < len;) {
		ssize_t n = send(fd, text + off, len - off, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		off += (size_t)n;
	}
	free(text);
	json_decref(o);
}

static void serve_one(struct stat_serve *s, int fd)
{
	struct timeval limit = {.tv_sec = 2};
	char request[32];

	/* Who connects and does not read, or ask, must not hold the thread. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	read_request(fd, request, sizeof(request));
	/* All signals are blocked in this thread: a client that left is EPIPE. */
	if (strcmp(request, STAT_ASK_GOROUTINES) == 0)
		(void)pl_dump_goroutines(fd, 0);
	else if (strcmp(request, STAT_ASK_ALL) == 0)
		(void)pl_dump_goroutines(fd, PL_DUMP_ALL);
	else
		send_json(s, fd);
}

static void *serve_thread(void *arg)
{
	struct stat_serve *s = arg;
	struct pollfd pfd[2] = {{.fd = s->listen_fd, .events = POLLIN}, {.fd = s->end[0]}};
	int fd;

	(void)pthread_setname_np(pthread_self(), "pl-stat");
	for (;;) {
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (pfd[1].revents)
			return NULL;
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		serve_one(s, fd);
		close(fd);
	}
}

/* Nobody listens at that path, and nobody is about to. */
static bool is_orphan(const char *path, int pid)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	bool refused;
	int fd;

	if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
		return false;
	/* The number may be of another pid namespace, whose process lives. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	refused = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return refused;
}

/* Lanes that were killed could not remove their sockets: the next one does. */
static void remove_orphans(const char *folder)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	DIR *d = opendir(folder);
	struct dirent *e;
	int pid;

	while (d && (e = readdir(d))) {
		if (sscanf(e->d_name, "%d.sock", &pid) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%d.sock", folder, pid);
		if (is_orphan(path, pid))
			unlink(path);
	}
	if (d)
		closedir(d);
}

static int open_socket(struct stat_serve *s)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct stat_dir dir;
	int fd, err = stat_dir_mine(&dir);

	if (err)
		return err;
	remove_orphans(dir.path);
	snprintf(s->path, sizeof(s->path), "%s/%d.sock", dir.path, (int)getpid());
	memcpy(sun.sun_path, s->path, sizeof(s->path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Left by a process of the same number that was killed. */
	unlink(s->path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 8) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* The thread takes no signals: they are the lane's thread's. */
static int start_thread(struct stat_serve *s)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&s->thread, NULL, serve_thread, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

struct stat_serve *stat_serve_start(const struct open_lanes *all, const char *command)
{
	struct stat_serve *s;

	if (__atomic_exchange_n(&serving, 1, __ATOMIC_ACQUIRE))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		goto fail;
	s->all = all;
	s->command = command;
	s->began = mono_ns();
	s->listen_fd = open_socket(s);
	if (s->listen_fd < 0) {
		if (all->verbose)
			(void)fprintf(stderr,
				      "parklane: 'parklane stat' will not see this process: %s\n",
				      strerror(-s->listen_fd));
		goto fail;
	}
	if (pipe2(s->end, O_CLOEXEC) < 0)
		goto fail_socket;
	if (!start_thread(s))
		return s;
	close(s->end[0]);
	close(s->end[1]);
fail_socket:
	close(s->listen_fd);
	unlink(s->path);
fail:
	free(s);
	__atomic_store_n(&serving, 0, __ATOMIC_RELEASE);
	return NULL;
}

void stat_serve_stop(struct stat_serve *s)
{
	if (!s)
		return;
	close(s->end[1]);
	pthread_join(s->thread, NULL);
	close(s->end[0]);
	close(s->listen_fd);
	unlink(s->path);
	free(s);
	__atomic_store_n(&serving, 0, __ATOMIC_RELEASE);
}
