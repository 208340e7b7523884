/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bypass side of compare: two lanes, two threads, one process, a net_ring pair between
 * them; the goroutines are those of every other set. Lanes live for one sample, so that nothing
 * spins while the kernel is being measured; device, pool and EAL live as long as the worker.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "apps/cmp_floor.h"
#include "apps/cmp_ns.h"
#include "apps/cmp_proc.h"
#include "apps/compare.h"
#include "apps/echo_conn.h"
#include "apps/open.h"
#include "apps/stream_bytes.h"
#include "apps/tsc.h"
#include "stack/stack.h"

#define PORT      7
#define ANSWER_MS 20000

enum bypass_op {
	OP_SAMPLE,
};

static struct worker worker;
static bool verbose;
static uint64_t seed; /* set before the worker is forked */
static char what[256];

/* ---- in the worker ---- */

static struct netdev_handle pair;

struct bypass_job {
	struct cmp_call *call;
	struct open_lane srv; /* (c) once ready; the server's thread owns it */
	struct echo_server echo;
	int ready; /* (a) 1 serving, < 0 -errno */
	char why[160];
	pid_t tid;
	struct proc_watch watch;
	struct proc_snap at[2];
	struct proc_lost srv_lost, cli_lost;
	struct ledger_report lane_at[2];
	struct stack_stats stack_at[2];
	struct perf_set perf;
	uint64_t perf_at[2][PERF_ROWS];
};

static struct lane_plan plan_for(const char *ip, int cpu)
{
	return (struct lane_plan){
		.ip = inet_addr(ip), .prefix_len = 24, .cpu = cpu, .idle = LANE_IDLE_SPIN};
}

static void server_main(void *arg)
{
	struct bypass_job *job = arg;
	struct pl_addr addr = {.family = PL_AF_INET, .port = PORT};
	int err = pl_listen(PL_NET_STACK, &addr, 1024, &job->echo.listener);

	if (err)
		snprintf(job->why, sizeof(job->why), "listen: %s", strerror(-err));
	__atomic_store_n(&job->ready, err ? err : 1, __ATOMIC_RELEASE);
	if (!err)
		echo_accept_loop(&job->echo);
}

static void *server_thread(void *arg)
{
	struct bypass_job *job = arg;
	struct lane_plan plan = plan_for(NS_SERVER_IP, CMP_CPU_SERVER);
	int err = netdev_thread_begin();

	/* Its turns are long and few, and a window has not 64 of each kind. */
	if (job->call->ask.test != TEST_RR)
		plan.ledger = LEDGER_FULL;
	job->tid = (pid_t)syscall(SYS_gettid);
	if (!err)
		err = open_lane(&plan, NULL, 0, pair.dev, pair.pool, &job->srv);
	if (!err) {
		err = lane_go(job->srv.lane, server_main, job, "server");
		if (!err)
			err = lane_run(job->srv.lane);
		close_lane(&job->srv);
	} else {
		snprintf(job->why, sizeof(job->why), "%s", pl_last_error());
	}
	if (err)
		__atomic_store_n(&job->ready, err, __ATOMIC_RELEASE);
	netdev_thread_end();
	return NULL;
}

static void read_lost(struct bypass_job *job, int i)
{
	proc_lost_edge(&job->srv_lost, i, CMP_CPU_SERVER, job->tid);
	proc_lost_edge(&job->cli_lost, i, CMP_CPU_CLIENT, gettid());
}

static void edge(void *ctx, int open)
{
	struct bypass_job *job = ctx;
	int i = open ? 0 : 1;

	if (open) {
		read_lost(job, i);
		proc_read(&job->watch, &job->at[i]);
	}
	if (job->call->ask.ledger)
		perf_snap(&job->perf, job->perf_at[i]);
	lane_ledger_report(job->srv.lane, &job->lane_at[i]);
	job->stack_at[i] = *stack_stats(job->srv.stack);
	if (!open) {
		proc_read(&job->watch, &job->at[i]);
		read_lost(job, i);
	}
}

static void client_main(void *arg)
{
	struct bypass_job *job = arg;

	client_run(job->call, PL_NET_STACK, PORT, seed, edge, job, &job->echo.bytes);
}

/* The lane of this thread, against the server that runs by now. */
static int run_client(struct bypass_job *job)
{
	struct lane_plan plan = plan_for(NS_CLIENT_IP, CMP_CPU_CLIENT);
	struct open_lane cli;
	int err = open_lane(&plan, NULL, 0, pair.peer, pair.pool, &cli);

	if (err) {
		snprintf(job->call->what, sizeof(job->call->what), "%s", pl_last_error());
		return err;
	}
	err = lane_go(cli.lane, client_main, job, "client");
	if (!err)
		err = lane_run(cli.lane);
	close_lane(&cli);
	return err;
}

static void rows_of_stack(const struct bypass_job *job, uint64_t n, struct cmp_ledger *led)
{
	const struct stack_stats *a = &job->stack_at[0], *b = &job->stack_at[1];

#define ROW(sym, sum)                                                                              \
	led->row[ROW_##sym] = (double)(sum) / (double)n;                                           \
	led->source[ROW_##sym] = "the stack's own count"

	ROW(PACKETS_RX, b->rx_packets - a->rx_packets);
	ROW(PACKETS_TX, b->tx_packets - a->tx_packets);
	ROW(CSUM_SW, b->csum_sw_rx - a->csum_sw_rx + b->csum_sw_tx - a->csum_sw_tx);
	ROW(CSUM_HW, b->csum_hw_rx - a->csum_hw_rx + b->csum_hw_tx - a->csum_hw_tx);
#undef ROW
}

static void fill_sample(struct bypass_job *job)
{
	static const enum cmp_step first = STEP_DRIVER_RX;
	struct cmp_sample *s = &job->call->sample;
	const struct ledger_report *a = &job->lane_at[0], *b = &job->lane_at[1];
	uint64_t n = s->load.units;

	_Static_assert((int)STEP_KERNEL_POLL == (int)LEDGER_KERNEL_POLL, "steps in ledger's order");
	s->lost[0] = proc_lost(&job->cli_lost);
	s->lost[1] = proc_lost(&job->srv_lost);
	if (!n)
		return;
	s->server_cycles = (double)(b->busy - a->busy);
	s->server_busy = s->server_cycles / (double)s->load.window_tsc;
	for (unsigned i = 0; i < LEDGER_STEP_MAX; i++)
		s->step_cycles[first + i] = (double)b->step[i] - (double)a->step[i];
	if (!job->call->ask.ledger)
		return;
	proc_ledger(&job->at[0], &job->at[1], n, &s->ledger);
	perf_rows(&job->perf, job->perf_at[0], job->perf_at[1], n, &s->ledger);
	/* What wakes and what is allocated here is goroutines and our own skbs, not the
	 * kernel's. */
	s->ledger.source[ROW_WAKEUPS] = s->ledger.source[ROW_SKB] = NULL;
	ledger_lane_rows(a, b, n, &s->ledger);
	rows_of_stack(job, n, &s->ledger);
}

static int bypass_run(struct cmp_call *call)
{
	static struct bypass_job job;
	pthread_t thread;
	int err, ready;

	memset(&job, 0, sizeof(job));
	job.call = call;
	job.echo.talk = cmp_talk[call->ask.test];
	err = -pthread_create(&thread, NULL, server_thread, &job);
	if (err)
		return err;
	do {
		usleep(200);
		ready = __atomic_load_n(&job.ready, __ATOMIC_ACQUIRE);
	} while (!ready);
	err = ready < 0 ? ready : 0;
	if (!err) {
		job.watch =
			(struct proc_watch){.cpu = CMP_CPU_SERVER, .pid = getpid(), .tid = job.tid};
		if (call->ask.ledger)
			perf_open(&job.perf, CMP_CPU_SERVER, job.tid);
		err = run_client(&job);
		if (call->ask.ledger)
			perf_close(&job.perf);
		lane_stop(job.srv.lane);
	} else {
		snprintf(call->what, sizeof(call->what), "server: %s", job.why);
	}
	pthread_join(thread, NULL);
	if (!err)
		err = client_error(call);
	if (!err)
		fill_sample(&job);
	return err;
}

static void worker_op(struct cmp_call *call)
{
	const struct cmp_ask *ask = &call->ask;
	unsigned payload = ask->test == TEST_RR ? CMP_SIZE : STREAM_MSS;

	sample_clear(&call->sample);
	if (ask->set == SET_FLOOR)
		call->err = floor_run(&pair, ask->conns, payload, ask->warm_ns, ask->run_ns,
				      &call->sample);
	else
		call->err = bypass_run(call);
}

static int worker_setup(struct cmp_call *call)
{
	struct netdev_spec spec = {.node = open_node_of(CMP_CPU_SERVER), .verbose = verbose};

	return netdev_open_pair(&spec, &pair, call->what, sizeof(call->what));
}

/* ---- in the parent ---- */

int bypass_start(struct cmp_meta *meta, bool show, const char **ret_what)
{
	int err;

	seed = meta->machine.seed;
	verbose = show;
	err = worker_start(&worker, "bypass", worker_setup, worker_op);
	if (err) {
		snprintf(what, sizeof(what), "cannot open a net_ring pair: %s",
			 worker.call && worker.call->what[0] ? worker.call->what : strerror(-err));
		*ret_what = what;
	}
	return err;
}

int bypass_sample(const struct cmp_ask *ask, struct cmp_sample *ret)
{
	struct cmp_call *call = worker.call;
	int err;

	call->op = OP_SAMPLE;
	call->ask = *ask;
	err = worker_call(&worker, (int)((ask->warm_ns + ask->run_ns) / 1000000) + ANSWER_MS);
	if (err)
		snprintf(what, sizeof(what), "%s", call->what[0] ? call->what : strerror(-err));
	else
		*ret = call->sample;
	return err;
}

const char *bypass_what(void)
{
	return what;
}

void bypass_stop(void)
{
	worker_stop(&worker);
}
