/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside `parklane compare`. One parent process plans, prints and reports; every set runs in
 * worker processes of its own, so that the parent has neither threads nor DPDK and can end
 * everything by ending its children. Namespaces have no names: they go when the last worker in
 * them goes, however that happened.
 */
#ifndef APPS_COMPARE_H
#define APPS_COMPARE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "apps/machine.h"
#include "apps/echo_conn.h"
#include "apps/load.h"
#include "apps/park.h"
#include "poller/ledger.h"
#include "stack/base/compiler.h"

#define CMP_SAMPLES_MAX 32
#define CMP_LOST_MOST   0.25 /* of a sample's time, to other programs, and it still counts */
#define CMP_CPU_CLIENT  0
#define CMP_CPU_SERVER  1
#define CMP_SIZE        64 /* of a request and of its answer */
#define CMP_CONNS       64 /* of rr's table, beside 1 */

#define CMP_STREAM_CONNS 8
#define CMP_STREAM_FLOOR 32 /* frames that floor has under way in place of a stream */

/* ---- what is measured ---- */

enum cmp_test { TEST_RR, TEST_STREAM_TO, TEST_STREAM_FROM, TEST_MAX }; /* to and from the server */

enum cmp_set { SET_BYPASS, SET_FLOOR, SET_KERNEL, SET_KERNEL_AWAKE, SET_PLAIN_EPOLL, SET_MAX };

/* The steps of a bypass lane's turn that the ledger tells apart, and the kernel's own split of a
 * cpu's time. One array serves both; a set fills what it has. */
/* clang-format off */
#define CMP_STEPS(X)                                                                               \
	X(DRIVER_RX, "driver rx") X(STACK_RX, "stack rx") X(READY, "ready") X(TIMERS, "timers")    \
	X(SWITCH, "switch") X(APP, "app") X(STACK_TX, "stack tx") X(DRIVER_TX, "driver tx")        \
	X(KERNEL_POLL, "kernel poll")                                                              \
	X(K_USER, "user") X(K_SYSTEM, "system calls") X(K_SOFTIRQ, "softirq") X(K_IRQ, "hard irq")
/* clang-format on */

enum cmp_step {
#define X(sym, name) STEP_##sym,
	CMP_STEPS(X)
#undef X
		STEP_MAX
};

/* The ledger's rows: events on the server's cpu within one window. */
/* clang-format off */
#define CMP_ROWS(X)                                                                                \
	X(HARDIRQ, "hard_interrupts") X(IPI, "ipis") X(SOFTIRQ_RX, "softirq_net_rx")               \
	X(SOFTIRQ_TX, "softirq_net_tx") X(CTX_VOL, "context_switches_voluntary")                   \
	X(CTX_INVOL, "context_switches_involuntary") X(SYS_READ, "syscall_read")                   \
	X(SYS_WRITE, "syscall_write") X(SYS_EPOLL, "syscall_epoll_wait")                           \
	X(SYS_OTHER, "syscall_other") X(BYTES_COPIED, "bytes_copied") X(PACKETS_RX, "packets_rx")  \
	X(PACKETS_TX, "packets_tx") X(SKB, "skb_allocations") X(WAKEUPS, "wakeups")                \
	X(PARKS, "parks") X(EMPTY_POLLS, "empty_polls") X(CSUM_SW, "checksums_in_software")        \
	X(CSUM_HW, "checksums_by_device")
/* clang-format on */

enum cmp_row {
#define X(sym, name) ROW_##sym,
	CMP_ROWS(X)
#undef X
		ROW_MAX
};

/* What `parklane compare --tests` chooses: bits. */
enum cmp_part { PART_RR = 1, PART_STREAM = 2, PART_PARK = 4, PART_IDLE = 8, PART_ALL = 15 };

/* How a test is called, and its unit. */
struct cmp_test_text {
	const char *key, *direction; /* in the JSON; NULL of rr */
	const char *name;            /* in words; in: to the server, out: from it */
	const char *unit;            /* "request" */
	const char *many;            /* what the ledger is of: "64 connections" */
};

extern const struct cmp_test_text cmp_tests[TEST_MAX];
extern const char *const cmp_set_names[SET_MAX];
extern const char *const cmp_step_names[STEP_MAX];
extern const char *const cmp_row_names[ROW_MAX];

/* Events per unit of load_result; NAN where a set cannot tell, source NULL there. Sources are
 * string literals: parent and workers are forks of one image, so the pointers hold in all of
 * them. */
struct cmp_ledger {
	double row[ROW_MAX];
	const char *source[ROW_MAX];
};

/* One sample of one set. */
struct cmp_sample {
	struct load_result load;
	double server_cycles;         /* in the window, without idle or empty polls; NAN unknown */
	double server_busy;           /* share of the window, 0..1; NAN unknown */
	double client_cycles;         /* kernel sets: the other cpu's, shown apart */
	double lost[2];               /* proc_lost() of the client's and the server's thread */
	double step_cycles[STEP_MAX]; /* server_cycles by step; NAN what a set does not tell */
	struct cmp_ledger ledger;
};

/* How the kernel's side is tuned; compare tries all of them and keeps the best. */
enum kernel_rps {
	RPS_OFF,    /* veth's own: the sender's cpu does the receiver's softirq */
	RPS_SERVER, /* the server's packets are steered to the server's cpu, as a NIC's interrupt */
	RPS_BOTH,   /* and the client's to the client's */
};

struct kernel_mode {
	enum kernel_rps rps;
	bool gro;
	bool busy_poll; /* the server polls its device for 50 us before it sleeps */
};

/* One line of the plan: a test of a set at one number of connections, and its samples so far. */
struct cmp_series {
	enum cmp_test test;
	enum cmp_set set;
	unsigned conns, size; /* size: bytes of a request, or of one write of a stream */
	bool curve;           /* only for the throughput curve, not in the table */
	bool rival; /* the same tuned for throughput alone: its rate may be the better one */
	struct kernel_mode rate_mode;   /* kernel sets: of the rate and round trips */
	struct kernel_mode cycles_mode; /* of everything else */
	unsigned n;
	/* NAN: nothing was moved. rate: requests/s, Gbit/s of a stream; the others rr's alone */
	double rate[CMP_SAMPLES_MAX], p50[CMP_SAMPLES_MAX], p90[CMP_SAMPLES_MAX],
		p99[CMP_SAMPLES_MAX], p999[CMP_SAMPLES_MAX], max[CMP_SAMPLES_MAX]; /* us */
	double cycles[CMP_SAMPLES_MAX]; /* server's, per unit */
	double busy[CMP_SAMPLES_MAX], client_cycles[CMP_SAMPLES_MAX];
	double steps[STEP_MAX][CMP_SAMPLES_MAX]; /* cycles per unit */
	/* sample_counts() was false: shown, but in no ratio; of the rate and round trips, and of
	 * the rest, which may be of another tuning */
	bool rate_starved[CMP_SAMPLES_MAX], starved[CMP_SAMPLES_MAX];
	struct hist hist;         /* all samples together */
	struct cmp_ledger ledger; /* of the ledger's own sample */
	bool has_ledger;
};

#define CMP_SERIES_MAX 64

/* A figure with its spread. */
struct cmp_figure {
	double value, low, high; /* median, min, max; or value and 95 % interval */
	unsigned n;
};

/* want: the figure that Parklane sets itself, at least so much, or at most where negative; 0
 * none. */
struct cmp_ratio_text {
	const char *name, *says; /* in the JSON; in words */
	double want;
	bool headline; /* how many times bypass beats the kernel, in short */
};

/* f.n of so many pairs count. None, and f's figures NAN, where these are less than half. */
struct cmp_ratio {
	const struct cmp_ratio_text *text;
	struct cmp_figure f;
	unsigned pairs;
};

#define CMP_RATIOS_MAX 24

/* The kernel for a stream: as each cpu does the work of its own end, and as it is otherwise
 * fastest. */
struct stream_tuning {
	struct kernel_mode own, any;
	bool rival; /* the latter may be the better one */
};

struct cmp_meta {
	struct machine machine;
	char cc_default[16], cc_used[16];
	char kernel_csum[96], bypass_csum[96], notes[8][160];
	unsigned nr_notes, reps;
	double tsc_hz, seconds;
	struct kernel_mode mode_latency;           /* 1 connection */
	struct kernel_mode mode_steered, mode_off; /* more: RPS on for the cycles, and off */
	struct stream_tuning stream[2][2];         /* cmp_tuning() */
	unsigned samples, starved;                 /* taken; of these !sample_counts() */
	bool quick, virtualised;
	bool loaded; /* others wanted the cpus when it began */
};

struct cmp {
	struct cmp_meta meta;
	struct cmp_series series[CMP_SERIES_MAX];
	unsigned nr_series;
	struct cmp_ratio ratio[CMP_RATIOS_MAX];
	unsigned nr_ratios;
	/* requests/s of alternating pairs, epoll backend and plain epoll; NAN: of no sample that
	 * counts */
	double pair_ours[CMP_SAMPLES_MAX], pair_plain[CMP_SAMPLES_MAX];
	double pair_ours_cycles[CMP_SAMPLES_MAX], pair_plain_cycles[CMP_SAMPLES_MAX];
	unsigned nr_pairs;
	struct park_result park; /* runs 0 = not measured */
	/* bytes of one end of an idle connection with its goroutine: our stack, kernel sockets;
	 * n = 0 not measured */
	double idle_bytes[2][CMP_SAMPLES_MAX];
	unsigned nr_idle, idle_conns[2];
};

#define CMP_IDLE_CONNS  10000u
#define CMP_IDLE_STACK  0
#define CMP_IDLE_KERNEL 1

/* ---- workers: cmp_worker.c ---- */

/* A sample that is wanted. */
struct cmp_ask {
	enum cmp_test test;
	enum cmp_set set;
	unsigned conns;
	uint64_t warm_ns, run_ns;
	bool ledger; /* count events as well: not a timed sample */
};

/* What a worker is told, and what it answers; in memory shared with the parent. */
struct cmp_call {
	int op; /* the worker's own enum */
	unsigned arg;
	struct cmp_ask ask;
	/* the answer */
	int err;
	char what[200];
	struct cmp_sample sample;
	struct ledger_report lane; /* server: its lane's totals */
	uint64_t served;           /* server: units of ask.set and ask.test since its start */
	pid_t tid;                 /* server: the thread of ask.set */
	struct park_result park;
	unsigned conns; /* micro: idle ones */
	double idle_bytes;
};

struct worker {
	pid_t pid;    /* 0 = not running */
	int to, from; /* pipes, parent's ends */
	struct cmp_call *call;
	const char *name;
};

/* worker_start - fork a process that answers calls by fn, which fills call->err and the answer.
 * setup runs first in the child; its failure is call 0's answer. 0; -errno. */
MUST_USE int worker_start(struct worker *w, const char *name, int (*setup)(struct cmp_call *),
			  void (*fn)(struct cmp_call *));
/* worker_call - run w->call and wait for the answer: 0; the call's -errno; -EINTR the user asked to
 * stop; -ECHILD the worker died; -ETIME it did not answer. */
MUST_USE int worker_call(struct worker *w, int timeout_ms);
/* worker_stop - end it and wait; no-op if it does not run. */
void worker_stop(struct worker *w);
/* cmp_run - a program with its arguments, which prints nowhere. 0; -ENOENT it is not installed;
 * -EIO it failed. */
MUST_USE int cmp_run(const char *const argv[]);
/* cmp_stop_requested - SIGINT or SIGTERM came. Parent only. */
extern volatile sig_atomic_t cmp_stop_requested;

/* ---- what both sides share: cmp_lane.c ---- */

/* lane_run_main - a lane on kernel sockets, pinned to cpu, on this thread until main_fn(arg)
 * ends. 0; -errno. */
MUST_USE int lane_run_main(int cpu, void (*main_fn)(void *arg), void *arg);
/* client_run - in a goroutine: the load that call->ask wants on port `port` of the server, into
 * call->sample.load. window and ctx as in load_config; arrived: the server's count of bytes of a
 * stream to it. */
void client_run(struct cmp_call *call, enum pl_net net, uint16_t port, uint64_t seed,
		void (*window)(void *ctx, int open), void *ctx, const uint64_t *arrived);
/* client_error - the load's error as the call's, with words. */
MUST_USE int client_error(struct cmp_call *call);
/* cmp_talk - what the server's goroutines do for a test (echo_server.talk). */
extern ssize_t (*const cmp_talk[TEST_MAX])(struct echo_server *srv, struct pl_conn *c);
/* ledger_lane_rows - what the lane itself counted between two reports, per unit. */
void ledger_lane_rows(const struct ledger_report *a, const struct ledger_report *b, uint64_t units,
		      struct cmp_ledger *led);
/* sample_clear - every figure unknown. */
void sample_clear(struct cmp_sample *s);

/* ---- kernel sets: cmp_kernel.c, cmp_ns.c, cmp_proc.c ---- */

/* kernel_start - namespaces, veth, servers, client, spinners. 0; -errno with *ret_what. */
MUST_USE int kernel_start(struct cmp_meta *meta, const char **ret_what);
/* kernel_sample - one sample of a kernel set into *ret. 0; -errno; kernel_what() says more. */
MUST_USE int kernel_sample(const struct cmp_ask *ask, struct cmp_sample *ret);
/* kernel_set_mode - both ends. 0; -errno. kernel_mode_name - "RPS both ends, GRO on". */
MUST_USE int kernel_set_mode(struct kernel_mode mode);
const char *kernel_mode_name(struct kernel_mode mode, char *buf, size_t size);
const char *kernel_what(void);
void kernel_stop(void);

/* ---- bypass and floor: cmp_bypass.c, cmp_floor.c ---- */

MUST_USE int bypass_start(struct cmp_meta *meta, bool verbose, const char **ret_what);
MUST_USE int bypass_sample(const struct cmp_ask *ask, struct cmp_sample *ret);
const char *bypass_what(void);
void bypass_stop(void);

/* ---- what needs no peer: cmp_micro.c ---- */

/* micro_run - PART_PARK and PART_IDLE of parts: park and ready, and the memory of idle connections,
 * `runs` times, each in a process of its own. 0; -errno with *ret_what. progress() is told before
 * each. */
MUST_USE int micro_run(struct cmp *c, unsigned parts, unsigned runs,
		       void (*progress)(const char *name, unsigned n), const char **ret_what);

/* ---- figures and reports: cmp_stats.c, cmp_report.c, cmp_json.c, cmp_html.c ---- */

/* figure_median - median, min and max of v[0..n), NANs left out; n = 0 gives NANs. */
struct cmp_figure figure_median(const double *v, unsigned n);
/* figure_ratio - the median of a[i]/b[i] with the 95 % interval of the median (sign test). */
struct cmp_figure figure_ratio(const double *a, const double *b, unsigned n);
/* cmp_find - the set's samples at `conns`, rivals never. NULL without any. */
const struct cmp_series *cmp_find(const struct cmp *c, enum cmp_test test, enum cmp_set set,
				  unsigned conns);
/* cmp_has - whether there is any sample of a test. */
bool cmp_has(const struct cmp *c, enum cmp_test test);
/* cmp_many - how many connections a test's table, ledger and cycles are of, beside 1. */
unsigned cmp_many(enum cmp_test test);
/* cmp_tuning - of a test that is a stream's. */
struct stream_tuning *cmp_tuning(struct cmp_meta *m, enum cmp_test test, unsigned conns);
/* cmp_rate - of a sample: requests/s, Gbit/s of a stream. */
double cmp_rate(enum cmp_test test, const struct load_result *load);
/* series_add - the next sample of s, whether it counts or not: those of two series that were taken
 * in turn stay pairs. */
void series_add(struct cmp_series *s, const struct cmp_sample *sample);
/* series_any - whether anything was moved in any of its samples. */
bool series_any(const struct cmp_series *s);
/* sample_counts - something was moved, and neither end was kept from its cpu for more than
 * CMP_LOST_MOST of the time. */
bool sample_counts(const struct cmp_sample *sample);
/* series_starved - whether sample_counts() was false of any of its samples. NULL has none. */
bool series_starved(const struct cmp_series *s);
/* cmp_starved_note - how many of all samples count in no ratio, and why, in words: buf; NULL if
 * all of them count. 240 bytes hold it. */
const char *cmp_starved_note(const struct cmp_meta *m, char *buf, size_t size);
/* What is told beside cycles by step. */
#define CMP_STEPS_SUM                                                                              \
	"Each step is a median of its own: under load they do not sum to the table's cycles"
/* cmp_best_rate - where a rival has the better rate (medians), it and its round trips become those
 * of the series that it is beside. Once, before cmp_ratios(). */
void cmp_best_rate(struct cmp *c);
void cmp_ratios(struct cmp *c);

/* report_print - the whole report on stdout, 100 columns wide at the most. report_headline - its
 * ratios of bypass and kernel once more, for the last lines. */
void report_print(const struct cmp *c);
void report_headline(const struct cmp *c);
MUST_USE int report_json(const struct cmp *c, const char *path);
MUST_USE int report_html(const struct cmp *c, const char *path);

#endif
