/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lane's life and its turn. The turn's steps are those of the house plan; the numbers stand
 * at the lines.
 */
#include "poller/lane.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "poller/blocking.h"
#include "poller/conn_ops.h"
#include "poller/ctx.h"
#include "poller/group_int.h"
#include "poller/lane_int.h"
#include "poller/netpoll_epoll.h"
#include "poller/netpoll_uring.h"
#include "stack/base/bug.h"
#include "stack/base/clock.h"

/* Step 7: a lane with runnable gs looks at its kernel fds after so many gs or so long; one
 * that only polls its device, every 5 us. */
#define KERNEL_GS       64u
#define KERNEL_BUSY_NS  (20 * NSEC_PER_USEC)
#define KERNEL_QUIET_NS (5 * NSEC_PER_USEC)

/* initial-exec: one load, also in the shared library; the word fits the static TLS reserve. Not
 * static: lane_self() reads it by name. */
extern __thread struct lane *lane_current;
__thread struct lane *lane_current __attribute__((tls_model("initial-exec"), used));

/* noipa: a caller must not learn that two calls give the same address (architecture.md). */
#if defined(__clang__)
#define LANE_NOIPA __attribute__((noinline, optnone))
#else
#define LANE_NOIPA __attribute__((noinline, noipa))
#endif

#if !defined(__x86_64__)
LANE_NOIPA struct lane *lane_self(void)
{
	return lane_current;
}
#endif

LANE_NOIPA struct lane *lane_enter(struct lane *l)
{
	struct lane *old = lane_current;

	lane_current = l;
	return old;
}

void lane_config_init(struct lane_config *cfg)
{
	*cfg = (struct lane_config){
		.cpu = -1,
		.numa_node = -1,
		.idle = LANE_IDLE_AUTO,
		.nap_ns = 50 * NSEC_PER_USEC,
		.stack_size = 64u << 10,
		.max_g = 1u << 20,
		.ledger = LEDGER_SAMPLED,
	};
}

static int config_check(const struct lane_config *cfg)
{
	if (cfg->cpu >= CPU_SETSIZE)
		return -EINVAL;
	if (cfg->max_g == 0 || cfg->nap_ns == 0 || cfg->nap_ns > NSEC_PER_SEC)
		return -EINVAL;
	if (cfg->virt && !cfg->clock)
		return -EINVAL;
	return 0;
}

/* pin_thread - the calling thread runs on `cpu` only; *ret_old is where it could run before.
 * 0; -EINVAL no such cpu, or not ours to use. */
static int pin_thread(int cpu, cpu_set_t *ret_old)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(*ret_old), ret_old))
		return -errno;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static void unpin_thread(const cpu_set_t *old)
{
	(void)sched_setaffinity(0, sizeof(*old), old);
}

/* cpu_check - may the lane be pinned there? Known only by trying; said here rather than by the
 * first turn. */
static int cpu_check(const struct lane_config *cfg)
{
	cpu_set_t old;
	int err;

	if (cfg->cpu < 0 || cfg->virt)
		return 0;
	err = pin_thread(cfg->cpu, &old);
	if (!err)
		unpin_thread(&old);
	return err;
}

static int kernel_create(struct lane *l)
{
	if (l->virt)
		return 0;
	return l->cfg.kernel == LANE_KERNEL_URING ? netpoll_uring_create(l, &l->kernel)
						  : netpoll_epoll_create(l, &l->kernel);
}

int lane_create(const struct lane_config *cfg, struct lane **ret_lane)
{
	struct lane *l;
	int err = config_check(cfg);

	if (!err && coro_shadow_stack())
		err = -ENOEXEC;
	if (!err)
		err = cpu_check(cfg);
	if (err)
		return err;
	l = aligned_alloc(CACHE_LINE, sizeof(*l));
	if (!l)
		return -ENOMEM;
	memset(l, 0, sizeof(*l));
	l->cfg = *cfg;
	l->virt = cfg->virt;
	l->node = cfg->numa_node >= 0 ? cfg->numa_node : lane_mem_node(cfg->cpu);
	l->device_fd = -1;
	conn_lane_init(l);
	gtimer_heap_init(&l->timers);
	netpoll_init(&l->np, l);
	ledger_init(&l->led, cfg->ledger, cfg->clock != NULL);
	if (!cfg->clock)
		tsc_clock_init(&l->clock);
	l->rnd = cfg->seed;
	if (!cfg->seed && !cfg->virt)
		l->rnd = ledger_tsc();
	l->now = lane_clock(l);
	err = sched_init(&l->sched, l, &l->timers, &l->led, cfg->max_g, cfg->stack_size);
	if (err)
		goto fail;
	lane_mem_bind(l, l->sched.arena.base, l->sched.arena.nr_slots * l->sched.arena.slot_size);
	err = kernel_create(l);
	if (err) {
		sched_fini(&l->sched);
		goto fail;
	}
	dump_lane_add(l);
	*ret_lane = l;
	return 0;
fail:
	gtimer_heap_fini(&l->timers);
	free(l);
	return err;
}

/* ---- the thread ---- */

/* attach - the calling thread is the lane's from now on. A virtual lane leaves the thread as
 * it is: one thread runs many. */
static int attach(struct lane *l)
{
	struct lane_thread *t = &l->thr;
	clockid_t cpu_clock;
	int err;

	if (!l->virt) {
		err = l->cfg.cpu >= 0 ? pin_thread(l->cfg.cpu, &t->old_affinity) : 0;
		if (err)
			return err;
		err = lane_signals_attach(t);
		if (err) {
			if (l->cfg.cpu >= 0)
				unpin_thread(&t->old_affinity);
			return err;
		}
		t->old_slack = prctl(PR_GET_TIMERSLACK);
		(void)prctl(PR_SET_TIMERSLACK, 1UL);
	}
	sched_attach(&l->sched);
	dump_lane_thread(l, true);
	t->attached = true;
	if (!l->virt && pthread_getcpuclockid(pthread_self(), &cpu_clock) == 0)
		__atomic_store_n(&l->cpu_clock, cpu_clock, __ATOMIC_RELEASE);
	return 0;
}

static void detach(struct lane *l)
{
	struct lane_thread *t = &l->thr;

	if (!t->attached)
		return;
	t->attached = false;
	__atomic_store_n(&l->cpu_clock, 0, __ATOMIC_RELEASE);
	dump_lane_thread(l, false);
	if (l->virt)
		return;
	if (t->old_slack > 0)
		(void)prctl(PR_SET_TIMERSLACK, (unsigned long)t->old_slack);
	lane_signals_detach(t);
	if (l->cfg.cpu >= 0)
		unpin_thread(&t->old_affinity);
}

/* ---- the end ---- */

/*
 * lane_end - leave all that may outlive the lane. Its gs may stand in the timers, channels and
 * ctxs of other lanes of the group, and theirs in its own: so all of them are ended, one after the
 * other, before the memory of any is freed.
 */
static void lane_end(struct lane *l)
{
	/* From lane_prepare_sleep(): nobody breaks it from here on. */
	__atomic_store_n(&l->sleeping, 0, __ATOMIC_SEQ_CST);
	if (l->group)
		movable_awake(l);
	l->ending = true;
	conn_lane_fini(l);
	ctx_lane_end(l);
	sched_end(&l->sched);
	/* None of its gs is to be found any more. Who found one before, or stops it, is let
	 * finish. */
	lane_visitors_wait(l);
	gtimer_drop_all(&l->timers);
	if (l->kernel)
		l->kernel->ops->fini(l->kernel);
	l->kernel = NULL;
	detach(l);
}

static void lane_free(struct lane *l)
{
	conn_lane_free(l);
	sched_fini(&l->sched);
	netpoll_fini(&l->np);
	gtimer_heap_fini(&l->timers);
	free(l);
}

/* lane_end_in_group - and the last one frees them all; with the lock, since one that did not come
 * to turn may end while others join. */
static void lane_end_in_group(struct lane *l, struct lane_group *grp)
{
	(void)pthread_mutex_lock(&grp->end_lock);
	lane_end(l);
	if (--grp->nr_joined == 0)
		for (unsigned i = 0; i < grp->nr; i++) {
			l = __atomic_exchange_n(&grp->lane[i], NULL, __ATOMIC_ACQ_REL);
			if (l)
				lane_free(l);
		}
	(void)pthread_mutex_unlock(&grp->end_lock);
}

void lane_destroy(struct lane *l)
{
	if (!l)
		return;
	BUG_ON(l->sched.cur);
	dump_lane_remove(l);
	blocking_lane_fini(l);
	if (l->group) {
		lane_end_in_group(l, l->group);
		return;
	}
	lane_end(l);
	lane_free(l);
}

int lane_add_backend(struct lane *l, struct netpoll_backend *nb)
{
	int fd = nb->ops->sleep_fd ? nb->ops->sleep_fd(nb) : -EOPNOTSUPP;
	int err;

	BUG_ON(l->stack);
	if (fd >= 0 && l->kernel) {
		err = l->kernel->ops->watch(l->kernel, fd);
		if (err)
			return err;
		l->device_fd = fd;
	}
	l->stack = nb;
	return 0;
}

int lane_go(struct lane *l, void (*fn)(void *arg), void *arg, const char *name)
{
	return sched_go(&l->sched, fn, arg, name);
}

int lane_go_movable(struct lane *l, void (*fn)(void *arg), void *arg, const char *name)
{
	return sched_go_movable(&l->sched, fn, arg, name);
}

/* ---- the turn ---- */

/* read_now - step 1. */
static void read_now(struct lane *l)
{
	uint64_t tsc;

	if (unlikely(l->cfg.clock)) {
		l->now = l->cfg.clock(l->cfg.clock_ctx);
		return;
	}
	tsc = ledger_tsc();
	l->now = tsc_clock_ns(&l->clock, tsc);
	l->tsc = tsc;
	if (likely(l->led.cycles))
		ledger_turn_begin(&l->led, tsc, l->busy);
}

/* kernel_poll - step 7. A lane that is about to sleep in it does not look before. */
static unsigned kernel_poll(struct lane *l, unsigned ran, bool will_sleep)
{
	uint64_t gap;
	int n;

	l->kernel_gs += ran;
	if (!l->kernel || (netpoll_waiters(l->kernel) == 0 && !l->kernel->pending))
		return 0;
	gap = l->now - l->kernel_last;
	/* requests gather while gs run, and go out before the lane has nothing but to wait */
	if (sched_runnable(&l->sched)
		    ? l->kernel_gs < KERNEL_GS && gap < KERNEL_BUSY_NS
		    : will_sleep || (gap < KERNEL_QUIET_NS && !l->kernel->pending))
		return 0;
	ledger_mark(&l->led, LEDGER_KERNEL_POLL);
	n = l->kernel->ops->poll(l->kernel, 0);
	l->kernel_last = l->now;
	l->kernel_gs = 0;
	return n > 0 ? (unsigned)n : 0;
}

static unsigned stack_poll(struct lane *l)
{
	int n = l->stack->ops->poll(l->stack, 0);

	return n > 0 ? (unsigned)n : 0;
}

/* input - steps 2 and 3. Returns how much there was. */
static unsigned input(struct lane *l)
{
	unsigned n = 0, fired;

	if (l->stack) {
		n = stack_poll(l);
		ledger_mark(&l->led, LEDGER_TIMERS);
		if (l->stack->ops->timers)
			n += l->stack->ops->timers(l->stack, l->now);
	} else {
		ledger_mark(&l->led, LEDGER_TIMERS);
	}
	fired = gtimer_run(&l->timers, l->now);
	if (fired)
		ledger_count(&l->led, LEDGER_EV_TIMERS, fired);
	return n + fired;
}

/* messages - step 4. One that is posted meanwhile waits for the next turn. */
static NOINLINE unsigned messages(struct lane *l)
{
	struct mnode *n = mlist_take(&l->inbox);
	unsigned nr = 0;

	for (; n; nr++) {
		struct lane_msg *m = container_of(n, struct lane_msg, node);

		n = n->next; /* m may be gone, or sent again, once it ran */
		m->fn(l, m);
	}
	ledger_count(&l->led, LEDGER_EV_MESSAGES, nr);
	return nr;
}

/* output - step 6. */
static unsigned output(struct lane *l)
{
	if (!l->stack || !l->stack->ops->output)
		return 0;
	ledger_mark(&l->led, LEDGER_STACK_TX);
	return l->stack->ops->output(l->stack, l->now);
}

static void account(struct lane *l, bool busy)
{
	ledger_count(&l->led, LEDGER_EV_TURNS, 1);
	if (!busy)
		ledger_count(&l->led, LEDGER_EV_EMPTY_POLLS, 1);
	if (busy != l->busy) {
		if (l->led.cycles)
			ledger_tell(&l->led, l->tsc, l->busy);
		l->busy = busy;
	}
	ledger_turn_end(&l->led, busy);
	if (busy)
		l->empty_since = 0;
	else if (l->empty_since == 0)
		l->empty_since = l->now;
}

/* lane_wanted - is there, or may there come, a goroutine to turn for? */
static bool lane_wanted(const struct lane *l)
{
	return l->group || lane_nr_g(l) != 0;
}

/* share - a lane with nothing of its own takes what others have too much of (R39, R49), and runs it
 * at once, or the next thief might have it back before. Returns gs run. */
static unsigned share(struct lane *l, bool nothing)
{
	if (likely(!nothing)) {
		if (unlikely(l->called))
			movable_pass_on(l);
		return 0;
	}
	l->called = false;
	return movable_search(l) ? sched_run(&l->sched) : 0;
}

static unsigned __lane_turn(struct lane *l, bool may_sleep)
{
	unsigned found, ran;
	bool idle;

	read_now(l);
	dump_turn(l, &l->dump);
	found = input(l);
	if (unlikely(!mlist_empty(&l->inbox)))
		found += messages(l);
	ledger_mark(&l->led, LEDGER_APP);
	ran = sched_run(&l->sched);
	if (l->group)
		ran += share(l, found + ran == 0);
	if (ran) {
		ledger_count(&l->led, LEDGER_EV_SWITCHES, ran);
		l->now = lane_clock(l);
	}
	found += ran + output(l);
	idle = may_sleep && !sched_runnable(&l->sched) && !lane_stopping(l);
	found += kernel_poll(l, ran, idle && !l->stack);
	account(l, found != 0);
	/* Without a device to poll there is no reason for one more empty turn first. */
	if (idle && (found == 0 || !l->stack) && !sched_runnable(&l->sched) && lane_wanted(l))
		lane_idle(l);
	return ran;
}

/* close_account - the lane stops here for now: what comes until the next turn is not its. */
static void close_account(struct lane *l)
{
	if (l->led.since)
		ledger_tell(&l->led, ledger_tsc(), l->busy);
	l->led.since = 0;
}

unsigned lane_turn(struct lane *l, bool may_sleep)
{
	struct lane *outer = lane_enter(l);
	unsigned ran;

	BUG_ON(!l->thr.attached && attach(l) != 0);
	__atomic_store_n(&l->sleeping, 0, __ATOMIC_RELAXED);
	if (l->group)
		movable_awake(l); /* from lane_prepare_sleep() */
	ran = __lane_turn(l, may_sleep);
	if (!l->in_run)
		close_account(l);
	lane_enter(outer);
	return ran;
}

int lane_run(struct lane *l)
{
	struct lane *outer;
	int err;

	if (!l->thr.attached) {
		err = attach(l);
		if (err)
			return err;
	}
	outer = lane_enter(l);
	l->in_run = true;
	while (lane_wanted(l) && !lane_stopping(l))
		__lane_turn(l, true);
	l->in_run = false;
	close_account(l);
	lane_enter(outer);
	detach(l);
	return 0;
}

void lane_stop(struct lane *l)
{
	/* Once stop is seen the lane's thread may end and destroy it: it waits for us there. */
	__atomic_fetch_add(&l->visitors, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&l->stop, true, __ATOMIC_SEQ_CST);
	lane_break(l);
	__atomic_fetch_sub(&l->visitors, 1, __ATOMIC_SEQ_CST);
}

bool lane_stopping(const struct lane *l)
{
	return READ_ONCE(l->stop);
}

void lane_break(struct lane *l)
{
	/* A read-modify-write instead of a fence and a load: what the caller stored before, in
	 * whatever order, is visible to a lane that is seen awake. (TSan knows no fences.) */
	if (__atomic_fetch_or(&l->sleeping, 0, __ATOMIC_SEQ_CST) && l->kernel)
		l->kernel->ops->brk(l->kernel);
}

void lane_post(struct lane *l, struct lane_msg *m)
{
	(void)mlist_push(&l->inbox, &m->node);
	lane_break(l);
}

/* ---- looking in ---- */

int lane_fd(const struct lane *l)
{
	return l->kernel ? l->kernel->ops->sleep_fd(l->kernel) : -EOPNOTSUPP;
}

uint64_t lane_now(const struct lane *l)
{
	return l->now;
}

uint64_t lane_now_again(struct lane *l)
{
	l->now = lane_clock(l);
	return l->now;
}

/* splitmix64: one add and two multiplies, any state will do. */
uint32_t lane_random(struct lane *l, uint32_t below)
{
	uint64_t z = l->rnd += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (uint32_t)(((z >> 32) * below) >> 32);
}

struct netpoll_backend *lane_stack_backend(const struct lane *l)
{
	return l->stack;
}

struct netpoll_backend *lane_kernel_backend(const struct lane *l)
{
	return l->kernel;
}

struct ledger *lane_ledger(struct lane *l)
{
	return &l->led;
}

void lane_ledger_report(const struct lane *l, struct ledger_report *ret_report)
{
	ledger_report(&l->led, ret_report);
	__atomic_load(&l->clock.ghz, &ret_report->tsc_ghz, __ATOMIC_RELAXED);
}

uint32_t lane_nr_g(const struct lane *l)
{
	return READ_ONCE(l->sched.nr_g);
}

struct list_head *lane_conns(struct lane *l)
{
	return &l->conns;
}
