/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /proc as a source of the ledger. Times of /proc/stat come in ticks of 10 ms: their idle part is
 * exact in the kernel, the split of the rest is sampled at the timer tick.
 */
#include "apps/cmp_proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cmp_ns.h"
#include "apps/tsc.h"

static char text[256 * 1024];

static bool slurp(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)n;
	close(fd);
	text[have] = '\0';
	return have > 0;
}

/* The k-th number (from 0) after p on its line; 0 if there is none. */
static uint64_t number_at(const char *p, int k)
{
	char *end;

	for (;; k--) {
		while (*p == ' ' || *p == '\t' || *p == ':')
			p++;
		if (*p < '0' || *p > '9')
			return 0;
		if (k == 0)
			return strtoull(p, NULL, 10);
		strtoull(p, &end, 10);
		p = end;
	}
}

/* What follows `key` at the start of a line (blanks before it allowed); NULL if none does. */
static const char *line_of(const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n')) {
		while (*p == '\n' || *p == ' ')
			p++;
		if (!strncmp(p, key, n))
			return p + n;
	}
	return NULL;
}

static uint64_t field(const char *key, int k)
{
	const char *p = line_of(key);

	return p ? number_at(p, k) : 0;
}

static void read_stat(const struct proc_watch *w, struct proc_snap *s)
{
	uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
	char key[16];

	snprintf(key, sizeof(key), "cpu%d ", w->cpu);
	if (!slurp("/proc/stat"))
		return;
	s->user = tick * (field(key, 0) + field(key, 1));
	s->system = tick * field(key, 2);
	s->idle = tick * (field(key, 3) + field(key, 4));
	s->irq = tick * field(key, 5);
	s->softirq = tick * field(key, 6);
	s->steal = tick * field(key, 7);
}

static void read_interrupts(const struct proc_watch *w, struct proc_snap *s)
{
	const char *p;

	if (slurp("/proc/softirqs")) {
		s->softirq_rx = field("NET_RX", w->cpu);
		s->softirq_tx = field("NET_TX", w->cpu);
	}
	if (!slurp("/proc/interrupts"))
		return;
	s->ipis = field("RES", w->cpu) + field("CAL", w->cpu);
	/* Devices and the timer; IPIs have a row of their own. */
	s->hardirqs = field("LOC", w->cpu);
	for (p = strchr(text, '\n'); p && p[1]; p = strchr(p + 1, '\n')) {
		const char *q = p + 1 + strspn(p + 1, " ");
		const char *colon = q + strspn(q, "0123456789");

		if (colon > q && *colon == ':')
			s->hardirqs += number_at(colon, w->cpu);
	}
}

static void read_task(const struct proc_watch *w, struct proc_snap *s)
{
	char path[64];

	if (w->tid) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)w->pid, (int)w->tid);
		if (slurp(path)) {
			s->ctx_vol = field("voluntary_ctxt_switches", 0);
			s->ctx_invol = field("nonvoluntary_ctxt_switches", 0);
		}
	}
	if (w->spinner) {
		snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)w->spinner);
		if (slurp(path))
			s->spinner = number_at(text, 0);
	}
	if (w->net) {
		snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)w->pid);
		if (slurp(path)) {
			s->packets_rx = field(NS_DEV, 1);
			s->packets_tx = field(NS_DEV, 9);
		}
	}
}

void proc_read(const struct proc_watch *w, struct proc_snap *ret)
{
	memset(ret, 0, sizeof(*ret));
	read_interrupts(w, ret);
	read_task(w, ret);
	read_stat(w, ret);
	ret->tsc = tsc_read();
}

/* ---- who else had the cpu ---- */

/* A thread's ns on a cpu so far, and those that it waited for one. False: unknown. */
static bool schedstat(pid_t tid, int64_t *ret_ran, int64_t *ret_waited)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)tid);
	if (!slurp(path))
		return false;
	*ret_ran = (int64_t)number_at(text, 0);
	*ret_waited = (int64_t)number_at(text, 1);
	return true;
}

/* The kernel thread that runs cpu's softirqs when there are too many of them; 0 not found. */
static pid_t ksoftirqd(int cpu)
{
	static pid_t known[2];
	char path[300], want[32];
	struct dirent *d;
	DIR *dir;

	if (known[cpu & 1] || !(dir = opendir("/proc")))
		return known[cpu & 1];
	snprintf(want, sizeof(want), "ksoftirqd/%d\n", cpu);
	while ((d = readdir(dir)) != NULL && !known[cpu & 1]) {
		snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' && slurp(path) &&
		    !strcmp(text, want))
			known[cpu & 1] = (pid_t)strtol(d->d_name, NULL, 10);
	}
	closedir(dir);
	return known[cpu & 1];
}

void proc_lost_edge(struct proc_lost *l, int i, int cpu, pid_t tid)
{
	struct proc_watch w = {.cpu = cpu};
	int64_t ran = 0, waited = 0, soft = 0, unused;
	pid_t softirqd = ksoftirqd(cpu);
	struct proc_snap s = {0};

	l->ns[i] = mono_ns();
	l->unknown |= !schedstat(tid, &ran, &waited);
	if (softirqd)
		(void)schedstat(softirqd, &soft, &unused);
	read_stat(&w, &s);
	l->waited[i] = waited + (int64_t)s.steal - soft;
	l->had[i] = ran + (int64_t)s.idle;
}

double proc_lost(const struct proc_lost *l)
{
	double window = (double)(l->ns[1] - l->ns[0]);
	double waited = (double)(l->waited[1] - l->waited[0]);
	double others = window - (double)(l->had[1] - l->had[0]);

	if (l->unknown || l->ns[1] <= l->ns[0])
		return NAN;
	return fmin(fmax(fmin(waited, others) / window, 0), 1);
}

void ledger_clear(struct cmp_ledger *led)
{
	for (unsigned i = 0; i < ROW_MAX; i++) {
		led->row[i] = NAN;
		led->source[i] = NULL;
	}
}

void proc_ledger(const struct proc_snap *a, const struct proc_snap *b, uint64_t units,
		 struct cmp_ledger *led)
{
#define ROW(sym, field, from)                                                                      \
	led->row[ROW_##sym] = (double)(b->field - a->field) / (double)units;                       \
	led->source[ROW_##sym] = from

	if (!units)
		return;
	ROW(HARDIRQ, hardirqs, "/proc/interrupts");
	ROW(IPI, ipis, "/proc/interrupts RES+CAL");
	ROW(SOFTIRQ_RX, softirq_rx, "/proc/softirqs");
	ROW(SOFTIRQ_TX, softirq_tx, "/proc/softirqs");
	ROW(CTX_VOL, ctx_vol, "/proc/PID/task/TID/status");
	ROW(CTX_INVOL, ctx_invol, "/proc/PID/task/TID/status");
	if (b->packets_rx) {
		ROW(PACKETS_RX, packets_rx, "/proc/PID/net/dev");
		ROW(PACKETS_TX, packets_tx, "/proc/PID/net/dev");
	}
#undef ROW
}

double proc_cycles(const struct proc_snap *a, const struct proc_snap *b, double hz,
		   double *ret_busy)
{
	double total = (double)(b->tsc - a->tsc);
	double away = (double)(b->idle - a->idle) + (double)(b->steal - a->steal) +
		      (double)(b->spinner - a->spinner);
	double busy = total - away * hz / 1e9;

	if (busy < 0)
		busy = 0;
	*ret_busy = total > 0 ? busy / total : NAN;
	return busy;
}

void proc_steps(const struct proc_snap *a, const struct proc_snap *b, double cycles,
		double step[STEP_MAX])
{
	double user = (double)(b->user - a->user), system = (double)(b->system - a->system);
	double soft = (double)(b->softirq - a->softirq), irq = (double)(b->irq - a->irq);
	double all;

	/* The spinner runs in user mode. */
	user -= (double)(b->spinner - a->spinner);
	if (user < 0)
		user = 0;
	all = user + system + soft + irq;
	if (all <= 0)
		return;
	step[STEP_K_USER] = cycles * user / all;
	step[STEP_K_SYSTEM] = cycles * system / all;
	step[STEP_K_SOFTIRQ] = cycles * soft / all;
	step[STEP_K_IRQ] = cycles * irq / all;
}
