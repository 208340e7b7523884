/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lane: Go's M and P in one. It owns a scheduler, goroutine timers, poller backends
 * (stack and kernel, both alive at once), and a ledger. lane_turn() is the only loop body;
 * its steps are those of the house plan, "One lane turn".
 *
 * Threads: a real lane belongs to the thread that runs it; lane_stop() and lane_break()
 * may come from any thread or a signal handler; all else is that thread's.
 */
#ifndef POLLER_LANE_H
#define POLLER_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "stack/base/compiler.h"
#include "stack/base/mlist.h"

struct g;
struct lane;
struct lane_group;
struct ledger;
struct ledger_report;
struct list_head;
struct netpoll_backend;

enum lane_idle {
	LANE_IDLE_AUTO,  /* sleep where the devices have an fd, else nap */
	LANE_IDLE_SPIN,  /* never give the cpu up */
	LANE_IDLE_NAP,   /* spin 1 ms, then sleep nap_ns at a time */
	LANE_IDLE_SLEEP, /* in the kernel until packet, timer or break; needs fds */
};

/* How a lane reaches kernel fds. */
enum lane_kernel {
	LANE_KERNEL_EPOLL, /* by readiness */
	LANE_KERNEL_URING, /* by completion; such a lane is turned by one thread all its life */
};

enum ledger_mode {
	LEDGER_SAMPLED, /* one turn in 64 (rule 9) */
	LEDGER_FULL,
	LEDGER_OFF,
};

struct lane_config {
	int cpu;       /* -1 = not pinned */
	int numa_node; /* -1 = of the cpu */
	enum lane_idle idle;
	uint64_t nap_ns;     /* default 50 us */
	uint32_t stack_size; /* of a g; default 64 KiB of address space */
	uint32_t max_g;      /* default 1 << 20 */
	enum ledger_mode ledger;
	enum lane_kernel kernel;
	uint64_t seed; /* of lane_random(); 0 = the clock's, in virtual time a constant */
	bool virt;     /* virtual time: no kernel fds, no eventfd, clock() must be given */
	uint64_t (*clock)(void *ctx); /* ns; NULL = CLOCK_MONOTONIC by TSC */
	void *clock_ctx;
};

void lane_config_init(struct lane_config *cfg);

/* lane_create - 0; -ENOMEM; -EINVAL no such cpu or bad field; -ENOEXEC the thread has a shadow
 * stack (x86 CET, aarch64 GCS), which the switch between goroutines cannot follow; other -errno
 * of epoll, io_uring (netpoll_uring_create) or affinity. Does not run anything yet. */
MUST_USE int lane_create(const struct lane_config *cfg, struct lane **ret_lane);
/* lane_destroy - gs that are still parked are freed without running; fds they held are
 * the conn layer's to close: lane_destroy calls conn_lane_fini() first, while the backends
 * still work. In a group: once all lanes of it have made their last turn, in any order, each by its
 * own thread or one that follows it; their memory goes with the last of them. */
void lane_destroy(struct lane *l);

/*
 * lane_add_backend - the lane polls nb, a stack backend that its owner has initialised, every
 * turn from now on; at most one. nb stays the caller's and must outlive the lane's last turn.
 * (The kernel backend is lane_create's.) A backend with a sleep_fd lets the lane sleep; without
 * one LANE_IDLE_SLEEP naps. 0; -errno of epoll_ctl(2) for that fd, nothing is added then.
 */
MUST_USE int lane_add_backend(struct lane *l, struct netpoll_backend *nb);

/* lane_go - start a goroutine from outside of any (before lane_run). */
MUST_USE int lane_go(struct lane *l, void (*fn)(void *arg), void *arg, const char *name);

/* lane_go_movable - the same, but any lane of the group may run it. */
MUST_USE int lane_go_movable(struct lane *l, void (*fn)(void *arg), void *arg, const char *name);

/* lane_turn - one turn; may idle (step 8) only if may_sleep. Returns gs run. */
unsigned lane_turn(struct lane *l, bool may_sleep);
/* lane_run - turns until lane_stop() or, outside of a group, no goroutine is left. 0; -EINVAL the
 * cpu went away since lane_create; -ENOMEM. While it goes on, asynchronous signals are blocked, but
 * for SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGPIPE and job control: handlers of these need SA_ONSTACK.
 * The thread gets its affinity, mask and timer slack back. */
int lane_run(struct lane *l);
/* lane_stop - async-signal-safe, any thread; the lane must not have been destroyed before the
 * call, but may be during it: lane_destroy() waits. */
void lane_stop(struct lane *l);
bool lane_stopping(const struct lane *l);
/* lane_break - wake a sleeping lane (R35); any thread, async-signal-safe. */
void lane_break(struct lane *l);

/* A message to a lane: embedded in what it is about, in flight at most once at a time. */
struct lane_msg {
	struct mnode node;
	void (*fn)(struct lane *l, struct lane_msg *m); /* runs on l's thread, outside of any g */
};

/* lane_post - l runs m->fn in its next turn; wakes it if it sleeps. Any thread; l lives until
 * then, or drops what it has not run. Never fails, keeps the order of one sender. */
void lane_post(struct lane *l, struct lane_msg *m);

/* lane_prepare_sleep - for a program with its own loop: 0 and *ret_timeout_ns (-1 none) when
 * it may wait on lane_fd(); -EAGAIN there is work; -EOPNOTSUPP a device must be polled. */
MUST_USE int lane_prepare_sleep(struct lane *l, int64_t *ret_timeout_ns);
int lane_fd(const struct lane *l);

/*
 * lane_self - the lane whose turn runs on this thread, NULL outside of one. A thread-local address
 * must not live across a park (C facts of goroutines), and the compiler may not learn that two
 * calls give the same: a call that it cannot see into, or two instructions that it cannot see
 * into either. These took 0.8 ns off each call, of which a value through a channel makes two
 * and a request over a kernel socket nine.
 */
#if defined(__x86_64__)
static ALWAYS_INLINE struct lane *lane_self(void)
{
	struct lane *l;

	/* volatile keeps its place among calls; only lane_enter() writes the word, in a call. */
	__asm__ volatile("movq lane_current@gottpoff(%%rip), %0\n\t"
			 "movq %%fs:(%0), %0"
			 : "=r"(l));
	return l;
}
#else
struct lane *lane_self(void);
#endif

uint64_t lane_now(const struct lane *l);
/* lane_now_again - what lane_now() says from here on, read from the clock. In a turn of l's
 * owner. */
uint64_t lane_now_again(struct lane *l);
/* lane_spins - by its config: it never gives its cpu up, which is its alone, then. */
bool lane_spins(const struct lane *l);
/* lane_random - uniform, 0 to below - 1 (below > 0); the lane's own sequence. Not for secrets. */
uint32_t lane_random(struct lane *l, uint32_t below);
struct netpoll_backend *lane_stack_backend(const struct lane *l);  /* NULL = no device */
struct netpoll_backend *lane_kernel_backend(const struct lane *l); /* NULL in virtual time */
struct ledger *lane_ledger(struct lane *l);
/* lane_ledger_report - any thread; see ledger.h. */
void lane_ledger_report(const struct lane *l, struct ledger_report *ret_report);
/* lane_nr_g - goroutines alive. */
uint32_t lane_nr_g(const struct lane *l);

/* lane_conns - the list of the lane's open conns (pl_conn.link). Initialised by lane_create,
 * otherwise the conn layer's alone. */
struct list_head *lane_conns(struct lane *l);

#endif
