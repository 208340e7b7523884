/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers take the seeds in turn, each by its place among the jobs, and write what they do into
 * memory that all share. The parent tells of failures and progress, starts a new worker where one
 * crashed, and ends one that does not get on.
 */
#include "apps/sim_soak.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apps/cli.h"
#include "sim/sim.h"

#define FAILED_MAX 10u /* then it is enough */
#define HANG_S     120 /* for one world, which takes some 30 ms, ten times that with a sanitizer */

struct worker {
	/* shared: written by the worker, read by the parent */
	uint64_t seed;                 /* (a) the one under way */
	uint64_t done;                 /* (a) worlds */
	uint64_t finished;             /* (a) all its seeds are done */
	uint64_t nr_failed;            /* (a) in result; the parent has read told of them */
	struct sim_result sum, result; /* result: of failed_seed, until told follows */
	uint64_t failed_seed;
	/* the parent's */
	uint64_t told;
	uint64_t seen;
	time_t since; /* when `seen` was new */
	pid_t pid;
};

struct soak {
	const struct soak_options *opt;
	struct worker *worker; /* shared */
	unsigned jobs;
	struct timespec begin;
	json_t *failures;
	unsigned nr_failures;
	bool tty;
	int last_line;
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

static double seconds(const struct soak *k)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - k->begin.tv_sec) +
	       (double)(now.tv_nsec - k->begin.tv_nsec) / 1e9;
}

/* ---- a worker ---- */

static void add(struct sim_result *sum, const struct sim_result *r)
{
	__atomic_store_n(&sum->flows, sum->flows + r->flows, __ATOMIC_RELAXED);
	sum->frames += r->frames;
	sum->bytes += r->bytes;
	sum->turns += r->turns;
	sum->retrans += r->retrans;
	sum->timeouts += r->timeouts;
	sum->resets += r->resets;
	sum->nomem += r->nomem;
	sum->at += r->at;
}

/* report - hand a failure over, and wait until the parent has it: it tells each. */
static void report(struct worker *me, uint64_t seed, const struct sim_result *r)
{
	me->result = *r;
	me->failed_seed = seed;
	__atomic_add_fetch(&me->nr_failed, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&me->told, __ATOMIC_ACQUIRE) != me->nr_failed)
		usleep(10000);
}

static _Noreturn void work(const struct soak *k, struct worker *me)
{
	const struct soak_options *opt = k->opt;
	struct sim_options one = {.hostile = opt->hostile};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	for (one.seed = me->seed; one.seed - opt->first < opt->nr; one.seed += k->jobs) {
		struct sim_result res;
		int err;

		__atomic_store_n(&me->seed, one.seed, __ATOMIC_RELEASE);
		err = sim_run(&one, &res);
		if (err && !*res.what)
			(void)snprintf(res.what, sizeof(res.what), "%s", strerror(-err));
		add(&me->sum, &res);
		if (err || res.failed)
			report(me, one.seed, &res);
		__atomic_store_n(&me->done, me->done + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&me->finished, 1, __ATOMIC_RELEASE);
	_exit(0);
}

static int start(const struct soak *k, struct worker *w)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		work(k, w);
	w->pid = pid;
	w->since = time(NULL);
	return 0;
}

/* ---- the parent ---- */

static void clear_line(const struct soak *k)
{
	if (k->tty)
		fputs("\r\033[K", stderr);
}

static const char *hostile_name(unsigned row)
{
	const char *name = sim_hostile_name(row, NULL);

	if (row == SIM_HOSTILE_ANY)
		return "any";
	return name ? name : "";
}

static void fail(struct soak *k, uint64_t seed, const char *what, uint64_t at)
{
	clear_line(k);
	fprintf(stderr,
		"parklane: seed %" PRIu64 " fails at %.6f ms: %s\n"
		"parklane: replay it: parklane sim --seed %" PRIu64
		"%s%s --verbose --pcap seed%" PRIu64 ".pcap\n",
		seed, (double)at / 1e6, what, seed, k->opt->hostile ? " --hostile " : "",
		hostile_name(k->opt->hostile), seed);
	json_array_append_new(k->failures, json_pack("{s:I,s:s,s:I}", "seed", (json_int_t)seed,
						     "what", what, "at_ns", (json_int_t)at));
	k->nr_failures++;
}

static void hear(struct soak *k, struct worker *w)
{
	uint64_t n = __atomic_load_n(&w->nr_failed, __ATOMIC_ACQUIRE);

	if (n == w->told)
		return;
	fail(k, w->failed_seed, w->result.what, w->result.at);
	__atomic_store_n(&w->told, n, __ATOMIC_RELEASE);
}

/* bury - w's process has ended: was it well? If not, a new one goes on behind the bad seed. */
static void bury(struct soak *k, struct worker *w, int status)
{
	char what[80];

	w->pid = 0;
	hear(k, w);
	if (__atomic_load_n(&w->finished, __ATOMIC_ACQUIRE))
		return;
	if (WIFSIGNALED(status))
		(void)snprintf(what, sizeof(what), "it crashed: %s", strsignal(WTERMSIG(status)));
	else
		(void)snprintf(what, sizeof(what), "it ended with status %d", WEXITSTATUS(status));
	fail(k, w->seed, what, 0);
	w->done++;
	w->seed += k->jobs;
	w->seen = 0;
	if (k->nr_failures < FAILED_MAX && start(k, w))
		cli_die("fork: %s", strerror(errno));
}

static void watch_hang(struct soak *k, struct worker *w)
{
	uint64_t seed = __atomic_load_n(&w->seed, __ATOMIC_ACQUIRE);
	time_t now = time(NULL);

	if (!w->pid)
		return;
	if (seed != w->seen) {
		w->seen = seed;
		w->since = now;
	} else if (now - w->since > HANG_S) {
		clear_line(k);
		fprintf(stderr, "parklane: seed %" PRIu64 " takes more than %d s\n", seed, HANG_S);
		kill(w->pid, SIGABRT);
		w->since = now;
	}
}

static void progress(struct soak *k)
{
	uint64_t done = 0, flows = 0;
	double t = seconds(k);

	if (!k->tty || (int)t == k->last_line)
		return;
	k->last_line = (int)t;
	for (unsigned i = 0; i < k->jobs; i++) {
		done += __atomic_load_n(&k->worker[i].done, __ATOMIC_RELAXED);
		flows += __atomic_load_n(&k->worker[i].sum.flows, __ATOMIC_RELAXED);
	}
	fprintf(stderr,
		"\r\033[K%" PRIu64 " of %" PRIu64 " worlds, %" PRIu64
		" connections, %.0f a second, "
		"%u failed",
		done, k->opt->nr, flows, (double)flows / t, k->nr_failures);
}

static void end_workers(struct soak *k)
{
	for (unsigned i = 0; i < k->jobs; i++)
		if (k->worker[i].pid) {
			kill(k->worker[i].pid, SIGKILL);
			(void)waitpid(k->worker[i].pid, NULL, 0);
		}
}

static void tend(struct soak *k)
{
	unsigned alive = k->jobs;

	while (alive && !stopped && k->nr_failures < FAILED_MAX) {
		alive = 0;
		for (unsigned i = 0; i < k->jobs; i++) {
			struct worker *w = &k->worker[i];
			int status;

			if (!w->pid)
				continue;
			hear(k, w);
			watch_hang(k, w);
			if (waitpid(w->pid, &status, WNOHANG) == w->pid)
				bury(k, w, status);
			alive += w->pid != 0;
		}
		progress(k);
		usleep(20000);
	}
	clear_line(k);
	end_workers(k);
}

/* cpu_seconds - of all workers, which have ended: other programs may have had the cpus
 * meanwhile. */
static double cpu_seconds(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_CHILDREN, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void print_result(struct soak *k)
{
	struct sim_result s = {0};
	double t = seconds(k), cpu = cpu_seconds();
	uint64_t done = 0;
	json_t *j;

	for (unsigned i = 0; i < k->jobs; i++) {
		add(&s, &k->worker[i].sum);
		done += k->worker[i].done;
	}
	if (!k->opt->json) {
		printf("%" PRIu64 " of %" PRIu64 " worlds from seed %" PRIu64
		       ": %u failed; %" PRIu64 " connections, %" PRIu64 " frames, %" PRIu64
		       " bytes, %" PRIu64 " retransmissions, %" PRIu64
		       " timeouts; %.1f s, %.1f of cpu, %.0f connections "
		       "a second of cpu%s\n",
		       done, k->opt->nr, k->opt->first, k->nr_failures, s.flows, s.frames, s.bytes,
		       s.retrans, s.timeouts, t, cpu, (double)s.flows / cpu,
		       stopped ? "; interrupted" : "");
		return;
	}
	j = json_pack("{s:I,s:I,s:I,s:i,s:f,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:O}",
		      "first_seed", (json_int_t)k->opt->first, "seeds", (json_int_t)k->opt->nr,
		      "worlds", (json_int_t)done, "jobs", (int)k->jobs, "seconds", t, "interrupted",
		      stopped != 0, "connections", (json_int_t)s.flows, "frames",
		      (json_int_t)s.frames, "bytes", (json_int_t)s.bytes, "turns",
		      (json_int_t)s.turns, "retransmissions", (json_int_t)s.retrans, "timeouts",
		      (json_int_t)s.timeouts, "resets", (json_int_t)s.resets, "no_buffer",
		      (json_int_t)s.nomem, "virtual_seconds", (double)s.at / 1e9, "cpu_seconds",
		      cpu, "connections_per_cpu_second", (double)s.flows / cpu, "failures",
		      k->failures);
	json_dumpf(j, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(j);
}

int sim_soak(const struct soak_options *opt)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct soak k = {
		.opt = opt, .jobs = opt->jobs ? opt->jobs : 1, .tty = isatty(STDERR_FILENO)};

	if (k.jobs > opt->nr)
		k.jobs = (unsigned)opt->nr;
	k.worker = mmap(NULL, k.jobs * sizeof(*k.worker), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	k.failures = json_array();
	if (k.worker == MAP_FAILED || !k.failures)
		cli_die("no memory");
	clock_gettime(CLOCK_MONOTONIC, &k.begin);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	for (unsigned i = 0; i < k.jobs; i++) {
		k.worker[i].seed = opt->first + i;
		k.worker[i].seen = UINT64_MAX;
		if (start(&k, &k.worker[i]))
			cli_die("fork: %s", strerror(errno));
	}
	tend(&k);
	print_result(&k);
	json_decref(k.failures);
	(void)munmap(k.worker, k.jobs * sizeof(*k.worker));
	/* interrupted: not all that was asked for is well */
	return k.nr_failures || stopped;
}
