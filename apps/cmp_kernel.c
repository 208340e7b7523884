/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's side of compare: two processes in two namespaces over veth, the same goroutine
 * code as everywhere over the epoll backend, and the plain C epoll server as control. The
 * client's process takes the readings of both cpus at the edges of its measured window.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/cmp_ns.h"
#include "apps/cmp_proc.h"
#include "apps/compare.h"
#include "apps/plain_epoll.h"
#include "apps/stream_bytes.h"
#include "apps/tsc.h"
#include "poller/conn_ops.h"
#include "poller/lane.h"
#include "stack/base/stat.h"

/* The server's goroutines listen here, its plain C one port above. */
static const uint16_t ports[TEST_MAX] = {7, 9, 19};

#define ANSWER_MS 20000 /* on top of the time a sample takes */

enum kernel_op {
	OP_UP,   /* server: address and link */
	OP_MODE, /* both: arg is MODE_* */
	OP_SNAP, /* server: totals so far */
	OP_LOAD, /* client: one sample */
};

#define MODE_STEER 1u /* to this side's cpu */
#define MODE_GRO   2u
#define MODE_BUSY  4u /* server: busy polling */

#define BUSY_POLL_US     50 /* what Linux's own documentation recommends for latency */
#define BUSY_POLL_BUDGET 8

/* linux/eventpoll.h since 6.9; Debian 12's headers are older than kernels it runs on. */
struct epoll_params_ {
	uint32_t busy_poll_usecs;
	uint16_t busy_poll_budget;
	uint8_t prefer_busy_poll, pad;
};
#define EPIOCSPARAMS_ _IOW(0x8A, 0x01, struct epoll_params_)

/* Congestion control for both ends: on the link of this comparison nothing is lost, and reno is
 * the one that every kernel has and every namespace may choose. */
static const char cc[] = "reno";

static struct worker server, client;
static pid_t spinner[2];

/* What the server counts, seen by the client at the edges of its window: memory of all workers. */
struct kernel_served {
	struct echo_server echo[TEST_MAX];
	struct plain_counts plain;
};
static struct kernel_served *served;
static const char *what = "";
static uint64_t seed; /* set before the workers are forked */

/* ---- spinners ---- */

/* Keep `cpu` from idling, at the lowest priority there is; starts stopped. */
static pid_t spinner_start(int cpu)
{
	struct sched_param param = {0};
	pid_t parent = getpid(), pid;
	cpu_set_t set;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGINT, SIG_IGN);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || sched_setscheduler(0, SCHED_IDLE, &param))
		_exit(1);
	raise(SIGSTOP);
	for (;;)
		;
}

static void spinners_run(bool run)
{
	for (unsigned i = 0; i < ARRAY_SIZE(spinner); i++) {
		if (spinner[i] > 0)
			kill(spinner[i], run ? SIGCONT : SIGSTOP);
	}
}

/* ---- the server's process ---- */

static struct lane *echo_lane;
static int echo_ready, plain_ready;
static pid_t echo_tid, plain_tid;

static void echo_main(void *arg)
{
	struct pl_addr addr = {.family = PL_AF_INET};
	int err = 0;

	(void)arg;
	echo_lane = lane_self();
	for (int i = 0; i < TEST_MAX && !err; i++) {
		addr.port = ports[i];
		served->echo[i].talk = cmp_talk[i];
		err = pl_listen(PL_NET_KERNEL, &addr, 1024, &served->echo[i].listener);
		if (!err && i != TEST_RR)
			err = pl_go(echo_accept_loop, &served->echo[i]);
	}
	__atomic_store_n(&echo_ready, err ? err : 1, __ATOMIC_RELEASE);
	if (!err)
		echo_accept_loop(&served->echo[TEST_RR]);
}

static void *echo_thread(void *arg)
{
	int err;

	echo_tid = (pid_t)syscall(SYS_gettid);
	err = lane_run_main(CMP_CPU_SERVER, echo_main, arg);
	__atomic_store_n(&echo_ready, err ? err : -EIO, __ATOMIC_RELEASE);
	return NULL;
}

static void *plain_thread(void *arg)
{
	uint16_t port[PLAIN_ROLES];
	cpu_set_t set;
	int err;

	(void)arg;
	_Static_assert((int)PLAIN_ROLES == (int)TEST_MAX, "a role for each test, in their order");
	for (int i = 0; i < PLAIN_ROLES; i++)
		port[i] = ports[i] + 1;
	plain_tid = (pid_t)syscall(SYS_gettid);
	CPU_ZERO(&set);
	CPU_SET(CMP_CPU_SERVER, &set);
	err = sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
	if (!err)
		err = plain_epoll_run(port, &plain_ready, &served->plain);
	__atomic_store_n(&plain_ready, err, __ATOMIC_RELEASE);
	return NULL;
}

/* Wait until *ready is 1 (0) or an error. */
static int await(const int *ready)
{
	int v = 0;

	for (int i = 0; i < 5000 && !v; i++) {
		v = __atomic_load_n(ready, __ATOMIC_ACQUIRE);
		if (!v)
			usleep(1000);
	}
	return v == 1 ? 0 : v ? v : -ETIME;
}

static int server_setup(struct cmp_call *call)
{
	pthread_t t;
	int err;

	(void)call;
	err = ns_enter();
	if (!err)
		err = -pthread_create(&t, NULL, echo_thread, NULL);
	if (!err)
		err = await(&echo_ready);
	if (!err)
		err = -pthread_create(&t, NULL, plain_thread, NULL);
	return err ? err : await(&plain_ready);
}

/* SO_BUSY_POLL, inherited by what is accepted, and the same for the server's epoll. A kernel
 * that knows neither leaves things as they are. */
static void busy_poll(int epfd, int listen_fd, bool on)
{
	struct epoll_params_ ep = {.busy_poll_usecs = on ? BUSY_POLL_US : 0,
				   .busy_poll_budget = on ? BUSY_POLL_BUDGET : 0};
	int us = on ? BUSY_POLL_US : 0;

	(void)setsockopt(listen_fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us));
	(void)ioctl(epfd, EPIOCSPARAMS_, &ep);
}

/* Our server and the control alike: the control is no straw man. */
static void servers_busy_poll(bool on)
{
	int epfd, listen_fd;

	for (int i = 0; i < TEST_MAX; i++) {
		busy_poll(lane_fd(echo_lane), served->echo[i].listener->fd, on);
		plain_epoll_fds((enum plain_role)i, &epfd, &listen_fd);
		busy_poll(epfd, listen_fd, on);
	}
}

/* Where the server counts what it moves for this set and test. */
static const uint64_t *served_count(const struct cmp_ask *ask)
{
	if (ask->set == SET_PLAIN_EPOLL)
		return ask->test == TEST_RR ? &served->plain.requests
					    : &served->plain.bytes[ask->test];
	return ask->test == TEST_RR ? &served->echo[TEST_RR].requests
				    : &served->echo[ask->test].bytes;
}

static void server_op(struct cmp_call *call)
{

	switch (call->op) {
	case OP_UP:
		call->err = ns_up(NS_SERVER_IP, cc);
		break;
	case OP_MODE:
		call->err =
			ns_mode(call->arg & MODE_STEER ? CMP_CPU_SERVER : -1, call->arg & MODE_GRO);
		servers_busy_poll(call->arg & MODE_BUSY);
		break;
	case OP_SNAP:
		call->tid = call->ask.set == SET_PLAIN_EPOLL ? plain_tid : echo_tid;
		call->served = stat_read(served_count(&call->ask));
		if (call->ask.test != TEST_RR)
			call->served /= STREAM_MSS;
		lane_ledger_report(echo_lane, &call->lane);
		break;
	default:
		call->err = -EINVAL;
	}
}

/* ---- the client's process ---- */

struct client_window {
	struct cmp_call *call;
	struct proc_watch srv, cli;
	struct proc_snap srv_at[2], cli_at[2];
	struct proc_lost srv_lost, cli_lost;
	struct perf_set perf;
	uint64_t perf_at[2][PERF_ROWS];
};

static int client_setup(struct cmp_call *call)
{
	int err = ns_enter();

	(void)call;
	if (!err)
		err = ns_link(server.pid);
	return err ? err : ns_up(NS_CLIENT_IP, cc);
}

static void read_lost(struct client_window *w, int i)
{
	proc_lost_edge(&w->srv_lost, i, CMP_CPU_SERVER, w->call->tid);
	proc_lost_edge(&w->cli_lost, i, CMP_CPU_CLIENT, gettid());
}

static void client_edge(void *ctx, int open)
{
	struct client_window *w = ctx;
	int i = open ? 0 : 1;

	/* The cheap and precise ones are nearest to the window. */
	if (open) {
		read_lost(w, i);
		proc_read(&w->cli, &w->cli_at[i]);
		proc_read(&w->srv, &w->srv_at[i]);
	}
	if (w->call->ask.ledger)
		perf_snap(&w->perf, w->perf_at[i]);
	if (!open) {
		proc_read(&w->srv, &w->srv_at[i]);
		proc_read(&w->cli, &w->cli_at[i]);
		read_lost(w, i);
	}
}

static void client_main(void *arg)
{
	struct client_window *w = arg;
	struct cmp_call *call = w->call;
	bool plain = call->ask.set == SET_PLAIN_EPOLL;

	client_run(call, PL_NET_KERNEL, (uint16_t)(ports[call->ask.test] + plain), seed,
		   client_edge, w, served_count(&call->ask));
}

static void client_load(struct cmp_call *call)
{
	static struct client_window w;
	struct cmp_sample *s = &call->sample;
	double hz = tsc_hz(), busy;

	memset(&w, 0, sizeof(w));
	sample_clear(s);
	w.call = call;
	w.srv = (struct proc_watch){.cpu = CMP_CPU_SERVER,
				    .pid = server.pid,
				    .tid = call->tid,
				    .spinner = spinner[CMP_CPU_SERVER],
				    .net = true};
	w.cli = (struct proc_watch){.cpu = CMP_CPU_CLIENT, .spinner = spinner[CMP_CPU_CLIENT]};
	if (call->ask.ledger)
		perf_open(&w.perf, CMP_CPU_SERVER, call->tid);
	call->err = lane_run_main(CMP_CPU_CLIENT, client_main, &w);
	if (!call->err)
		call->err = client_error(call);
	if (!call->err) {
		s->server_cycles = proc_cycles(&w.srv_at[0], &w.srv_at[1], hz, &s->server_busy);
		s->client_cycles = proc_cycles(&w.cli_at[0], &w.cli_at[1], hz, &busy);
		s->lost[0] = proc_lost(&w.cli_lost);
		s->lost[1] = proc_lost(&w.srv_lost);
		proc_steps(&w.srv_at[0], &w.srv_at[1], s->server_cycles, s->step_cycles);
		proc_ledger(&w.srv_at[0], &w.srv_at[1], s->load.units, &s->ledger);
		if (call->ask.ledger)
			perf_rows(&w.perf, w.perf_at[0], w.perf_at[1], s->load.units, &s->ledger);
	}
	if (call->ask.ledger)
		perf_close(&w.perf);
}

static void client_op(struct cmp_call *call)
{
	if (call->op == OP_LOAD)
		client_load(call);
	else if (call->op == OP_MODE)
		call->err =
			ns_mode(call->arg & MODE_STEER ? CMP_CPU_CLIENT : -1, call->arg & MODE_GRO);
	else
		call->err = -EINVAL;
}

/* ---- the parent's side ---- */

static int call_op(struct worker *w, enum kernel_op op, unsigned arg)
{
	int err;

	w->call->op = op;
	w->call->arg = arg;
	err = worker_call(w, ANSWER_MS);
	if (err)
		what = w->call->what[0] ? w->call->what : strerror(-err);
	return err;
}

const char *kernel_mode_name(struct kernel_mode mode, char *buf, size_t size)
{
	static const char *const rps[] = {"off", "server only", "both ends"};

	snprintf(buf, size, "RPS %s, GRO %s%s", rps[mode.rps], mode.gro ? "on" : "off",
		 mode.busy_poll ? ", busy polling" : "");
	return buf;
}

int kernel_set_mode(struct kernel_mode mode)
{
	static struct kernel_mode now;
	static bool known;
	unsigned gro = mode.gro ? MODE_GRO : 0, busy = mode.busy_poll ? MODE_BUSY : 0;
	int err;

	if (known && now.rps == mode.rps && now.gro == mode.gro && now.busy_poll == mode.busy_poll)
		return 0;
	known = false;
	err = call_op(&server, OP_MODE, gro | busy | (mode.rps >= RPS_SERVER ? MODE_STEER : 0));
	if (!err)
		err = call_op(&client, OP_MODE, gro | (mode.rps == RPS_BOTH ? MODE_STEER : 0));
	if (err)
		return err;
	now = mode;
	known = true;
	return 0;
}

int kernel_start(struct cmp_meta *meta, const char **ret_what)
{
	int err;

	seed = meta->machine.seed;
	served = mmap(NULL, sizeof(*served), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (served == MAP_FAILED) {
		*ret_what = "no memory";
		return -errno;
	}
	spinner[0] = spinner_start(CMP_CPU_CLIENT);
	spinner[1] = spinner_start(CMP_CPU_SERVER);
	err = worker_start(&server, "kernel server", server_setup, server_op);
	if (err) {
		*ret_what = "cannot make a namespace with a server in it (root? ip installed?)";
		return err;
	}
	err = worker_start(&client, "kernel client", client_setup, client_op);
	if (err) {
		*ret_what = "cannot make a veth pair between two namespaces (ip and ethtool "
			    "installed?)";
		return err;
	}
	err = call_op(&server, OP_UP, 0);
	if (!err)
		err = kernel_set_mode((struct kernel_mode){RPS_SERVER, true, false});
	if (err) {
		*ret_what = "cannot set up the server's end of the veth pair";
		return err;
	}
	snprintf(meta->cc_used, sizeof(meta->cc_used), "%s", cc);
	snprintf(meta->kernel_csum, sizeof(meta->kernel_csum),
		 "nobody: between two namespaces of one machine the kernel leaves checksums out");
	return 0;
}

/* Connecting and warming up are in here: the lane's rows are per unit that it served. */
static int sample_rows(const struct cmp_ask *ask, const struct cmp_call *before,
		       struct cmp_sample *ret)
{
	int err = call_op(&server, OP_SNAP, 0);

	if (!err && ask->set != SET_PLAIN_EPOLL)
		ledger_lane_rows(&before->lane, &server.call->lane,
				 server.call->served - before->served, &ret->ledger);
	return err;
}

int kernel_sample(const struct cmp_ask *ask, struct cmp_sample *ret)
{
	static struct cmp_call before;
	struct cmp_call *call = client.call;
	int err;

	server.call->ask = *ask;
	err = call_op(&server, OP_SNAP, 0);
	if (err)
		return err;
	before = *server.call;
	call->op = OP_LOAD;
	call->ask = *ask;
	call->tid = before.tid;
	spinners_run(ask->set == SET_KERNEL_AWAKE);
	err = worker_call(&client, (int)((ask->warm_ns + ask->run_ns) / 1000000) + ANSWER_MS);
	spinners_run(false);
	if (err) {
		what = call->what[0] ? call->what : strerror(-err);
		return err;
	}
	*ret = call->sample;
	return ask->ledger ? sample_rows(ask, &before, ret) : 0;
}

const char *kernel_what(void)
{
	return what;
}

void kernel_stop(void)
{
	worker_stop(&client);
	worker_stop(&server);
	for (unsigned i = 0; i < ARRAY_SIZE(spinner); i++) {
		if (spinner[i] <= 0)
			continue;
		kill(spinner[i], SIGKILL);
		while (waitpid(spinner[i], NULL, 0) < 0 && errno == EINTR)
			;
		spinner[i] = 0;
	}
}
