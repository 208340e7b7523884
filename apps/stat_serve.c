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

#include "apps/tsc.h"
#include "poller/ledger.h"
#include "stack/sock.h"
#include "stack/stack.h"

#define SOCKS_MAX 4096     /* listed; the count tells how many there are */
#define LOOK_NS   50000000 /* how often the lane looks for a request */
#define ANSWER_MS 2000     /* how long the thread waits for it */

enum snap_state {
	SNAP_IDLE,
	SNAP_WANTED,
	SNAP_READY,
};

struct stat_serve {
	struct open_lane ol;   /* (c) */
	const char *command;   /* (c) */
	int listen_fd, end[2]; /* (c) end: a pipe whose closing ends the thread */
	pthread_t thread;
	uint64_t began; /* (c) mono ns */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	/* (a) WANTED is the thread's to set, READY the lane's; each release pairs with the other's
	 * acquire, and the array belongs to whom the state names. */
	int snap;
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

static void snap_goroutine(void *arg)
{
	struct stat_serve *s = arg;

	for (;;) {
		pl_sleep(LOOK_NS);
		if (__atomic_load_n(&s->snap, __ATOMIC_ACQUIRE) != SNAP_WANTED)
			continue;
		s->nr = s->total = 0;
		stack_for_each_sock(s->ol.stack, note_sock, s);
		__atomic_store_n(&s->snap, SNAP_READY, __ATOMIC_RELEASE);
	}
}

/* ---- the thread's part ---- */

static json_t *addr_json(const struct sk_addr *a)
{
	char ip[INET_ADDRSTRLEN], text[INET_ADDRSTRLEN + 8];

	inet_ntop(AF_INET, &a->v4, ip, sizeof(ip));
	snprintf(text, sizeof(text), "%s:%u", ip, a->port);
	return json_string(text);
}

static json_t *sockets_json(struct stat_serve *s, json_t *o)
{
	json_t *list = json_array();

	__atomic_store_n(&s->snap, SNAP_WANTED, __ATOMIC_RELEASE);
	for (int i = 0; i < ANSWER_MS / 5; i++) {
		if (__atomic_load_n(&s->snap, __ATOMIC_ACQUIRE) == SNAP_READY)
			break;
		usleep(5000);
	}
	if (__atomic_load_n(&s->snap, __ATOMIC_ACQUIRE) != SNAP_READY)
		return list;
	for (unsigned i = 0; i < s->nr; i++) {
		const struct stack_sock_info *k = &s->socks[i];

		json_array_append_new(
			list,
			json_pack("{s:s s:o s:o s:I s:I s:I s:I s:I s:I s:I s:I s:I}", "state",
				  tcp_state_name(k->state), "local", addr_json(&k->local), "peer",
				  addr_json(&k->peer), "recv_q", (json_int_t)k->recv_q, "send_q",
				  (json_int_t)k->send_q, "cwnd", (json_int_t)k->cwnd, "srtt_us",
				  (json_int_t)k->srtt_us, "rto_us", (json_int_t)k->rto_us, "mss",
				  (json_int_t)k->mss, "bytes_in", (json_int_t)k->bytes_in,
				  "bytes_out", (json_int_t)k->bytes_out, "retrans",
				  (json_int_t)k->retrans));
	}
	json_object_set_new(o, "nr_sockets", json_integer(s->total));
	__atomic_store_n(&s->snap, SNAP_IDLE, __ATOMIC_RELEASE);
	return list;
}

static void stack_json(struct stat_serve *s, json_t *o)
{
	const struct stack_stats *ss = stack_stats(s->ol.stack);
	struct netdev *dev = stack_netdev(s->ol.stack);
	json_t *c = json_object(), *drops = json_object();
	struct netdev_stats ns = {0};

#define X(name) json_object_set_new(c, #name, json_integer((json_int_t)stat_read(&ss->name)));
	STACK_COUNTERS(X)
#undef X
	for (int i = 0; i < SKB_DROP_MAX; i++) {
		uint64_t n = stat_read(&ss->drops[i]);

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
			  (json_int_t)ns.rx_nombuf, "tx_ring_full",
			  (json_int_t)stat_read(&ss->tx_ring_full), "rx_errors",
			  (json_int_t)ns.rx_errors, "tx_errors", (json_int_t)ns.tx_errors));
	json_object_set_new(o, "stack", c);
	json_object_set_new(o, "drops", drops);
}

static json_t *answer(struct stat_serve *s)
{
	struct ledger_report r;
	json_t *o = json_object(), *ev = json_object();

	lane_ledger_report(s->ol.lane, &r);
	json_object_set_new(o, "pid", json_integer(getpid()));
	json_object_set_new(o, "program", json_string(program_invocation_short_name));
	json_object_set_new(o, "command", json_string(s->command));
	json_object_set_new(o, "seconds", json_real((double)(mono_ns() - s->began) / 1e9));
	json_object_set_new(o, "goroutines", json_integer(lane_nr_g(s->ol.lane)));
	for (int i = 0; i < LEDGER_EV_MAX; i++)
		json_object_set_new(ev, ledger_event_name((enum ledger_event)i),
				    json_integer((json_int_t)r.ev[i]));
	json_object_set_new(o, "cycles",
			    json_pack("{s:I s:I s:I}", "busy", (json_int_t)r.busy, "empty_polls",
				      (json_int_t)r.empty, "asleep", (json_int_t)r.idle));
	json_object_set_new(o, "events", ev);
	if (s->ol.stack) {
		stack_json(s, o);
		json_object_set_new(o, "sockets", sockets_json(s, o));
	}
	return o;
}

static void serve_one(struct stat_serve *s, int fd)
{
	struct timeval limit = {.tv_sec = 2};
	json_t *o = answer(s);
	char *text = json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(6));

	/* Who connects and does not read must not hold the thread. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	for (size_t off = 0, len = text ? strlen(text) : 0; off < len;) {
		ssize_t n = send(fd, text + off, len - off, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		off += (size_t)n;
	}
	free(text);
	json_decref(o);
}

static void *serve_thread(void *arg)
{
	struct stat_serve *s = arg;
	struct pollfd pfd[2] = {{.fd = s->listen_fd, .events = POLLIN}, {.fd = s->end[0]}};
	int fd;

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
static void remove_orphans(void)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	DIR *d = opendir(STAT_DIR);
	struct dirent *e;
	int pid;

	while (d && (e = readdir(d))) {
		if (sscanf(e->d_name, "%d.sock", &pid) != 1)
			continue;
		snprintf(path, sizeof(path), STAT_DIR "/%d.sock", pid);
		if (is_orphan(path, pid))
			unlink(path);
	}
	if (d)
		closedir(d);
}

static int open_socket(struct stat_serve *s)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd;

	if (mkdir(STAT_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	remove_orphans();
	snprintf(s->path, sizeof(s->path), STAT_DIR "/%d.sock", (int)getpid());
	memcpy(sun.sun_path, s->path, sizeof(s->path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Left by a process of the same number that was killed. */
	unlink(s->path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, 8) < 0) {
		close(fd);
		return -errno;
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

struct stat_serve *stat_serve_start(const struct open_lane *ol, const char *command)
{
	struct stat_serve *s;

	if (__atomic_exchange_n(&serving, 1, __ATOMIC_ACQUIRE))
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		goto fail;
	s->ol = *ol;
	s->command = command;
	s->began = mono_ns();
	s->listen_fd = open_socket(s);
	if (s->listen_fd < 0)
		goto fail;
	if (pipe2(s->end, O_CLOEXEC) < 0)
		goto fail_socket;
	if ((ol->stack && lane_go(ol->lane, snap_goroutine, s, "stat")) || start_thread(s)) {
		/* The goroutine may be there and looks at s: that much is left to it. */
		close(s->end[0]);
		close(s->end[1]);
		close(s->listen_fd);
		unlink(s->path);
		__atomic_store_n(&serving, 0, __ATOMIC_RELEASE);
		return NULL;
	}
	return s;
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
