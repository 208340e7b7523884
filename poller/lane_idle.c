/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steps 7 and 8 of a turn: when the kernel's fds are looked at, and what a lane does that has
 * nothing to do: spin, nap, or sleep in its own epoll or ring (architecture.md, "Idle").
 *
 * To sleep: sleeping = true; fence; look once more at what another thread may have set; block.
 * Who wants a lane to wake does it the other way round (lane_break), so one of the two sees
 * the other. (Model: tests/models/lane_sleep.pml.)
 */
#include <errno.h>

#include "poller/lane_int.h"
#include "stack/base/clock.h"

/* A device with an fd is still spun on for so long after the last packet: an exit from idle
 * costs some 50 us in a virtual machine, and requests come in trains. */
#define SPIN_BEFORE_SLEEP_NS (20 * NSEC_PER_USEC)
#define SPIN_BEFORE_NAP_NS   NSEC_PER_MSEC

uint64_t lane_next_event(struct lane *l)
{
	uint64_t a = gtimer_next(&l->timers), b = 0;

	if (l->stack && l->stack->ops->next_timer)
		b = l->stack->ops->next_timer(l->stack);
	if (a == 0 || (b != 0 && b < a))
		return b;
	return a;
}

/* lane_called - the last look, after `sleeping` was set: is there what no kernel fd tells? Pairs
 * with lane_break(), whose caller stored its part before. */
static bool lane_called(struct lane *l)
{
	return __atomic_load_n(&l->stop, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&l->inbox.head, __ATOMIC_SEQ_CST) || dump_wanted(&l->dump) ||
	       (l->group && movable_waiting(l->group));
}

/* sleep_in_kernel - at most `limit` ns (< 0: no limit), and not beyond the next timer. */
static void sleep_in_kernel(struct lane *l, int64_t limit)
{
	uint64_t next = lane_next_event(l), t0 = 0, t1;
	int64_t delay = limit;

	if (next != 0) {
		int64_t d = next > l->now ? (int64_t)min_t(uint64_t, next - l->now, INT64_MAX) : 0;

		if (delay < 0 || d < delay)
			delay = d;
	}
	/* In this order: who clears the idle bit finds `sleeping` set, and breaks. Else a pusher
	 * could clear it in between, and the lane would sleep where no later push looks for it. */
	__atomic_store_n(&l->sleeping, 1, __ATOMIC_SEQ_CST);
	if (l->group)
		movable_sleep(l);
	if (lane_called(l))
		delay = 0;
	if (l->led.cycles) {
		t0 = ledger_tsc();
		ledger_tell(&l->led, t0, l->busy);
	}
	ledger_count(&l->led, LEDGER_EV_SLEEPS, 1);
	if (l->kernel->ops->poll(l->kernel, delay) > 0)
		l->empty_since = 0;
	if (l->led.cycles) {
		t1 = ledger_tsc();
		stat_add(&l->led.idle, t1 - t0);
		l->led.since = t1;
	}
	__atomic_store_n(&l->sleeping, 0, __ATOMIC_RELAXED);
	if (l->group)
		movable_awake(l);
	l->now = lane_clock(l);
	l->kernel_last = l->now; /* R41 */
	l->kernel_gs = 0;
}

bool lane_spins(const struct lane *l)
{
	return l->cfg.idle == LANE_IDLE_SPIN;
}

/* sleep_for_good - until something comes, and with a look at whether anything can. */
static void sleep_for_good(struct lane *l, int64_t limit)
{
	int64_t stuck = limit < 0 ? lane_stuck_limit(l) : -1;
	uint64_t began = l->now;

	sleep_in_kernel(l, stuck < 0 ? limit : stuck);
	/* half of it: the lane's clock and the kernel's differ by some us in a second */
	if (stuck >= 0 && l->now - began >= (uint64_t)stuck / 2 && !lane_called(l))
		lane_stuck_look(l);
}

void lane_idle(struct lane *l)
{
	uint64_t empty_for = l->empty_since ? l->now - l->empty_since : 0;
	int64_t limit;

	if (l->virt)
		return;
	limit = sched_trim(&l->sched, l->now);
	if (limit == 0)
		return;
	if (limit == INT64_MAX)
		limit = -1;
	if (!l->stack) {
		/* No polled device: nothing can come that the kernel does not tell. */
		sleep_for_good(l, limit);
		return;
	}
	if (l->cfg.idle == LANE_IDLE_SPIN)
		return;
	if (l->cfg.idle != LANE_IDLE_NAP && l->device_fd >= 0) {
		if (empty_for >= SPIN_BEFORE_SLEEP_NS)
			sleep_in_kernel(l, limit);
		else
			cpu_relax();
		return;
	}
	if (empty_for >= SPIN_BEFORE_NAP_NS)
		sleep_in_kernel(l, (int64_t)l->cfg.nap_ns);
	else
		cpu_relax();
}

int lane_prepare_sleep(struct lane *l, int64_t *ret_timeout_ns)
{
	uint64_t next;

	if (sched_runnable(&l->sched) || lane_stopping(l) || !mlist_empty(&l->inbox))
		return -EAGAIN;
	if (!l->virt && l->stack && l->device_fd < 0)
		return -EOPNOTSUPP;
	/* also takes a break that was seen: its fd would stay readable where no g waits for one */
	if (l->kernel && l->kernel->ops->prepare(l->kernel) > 0)
		return -EAGAIN;
	__atomic_store_n(&l->sleeping, 1, __ATOMIC_SEQ_CST);
	if (l->group)
		movable_sleep(l); /* until the next lane_turn() */
	if (lane_called(l)) {
		__atomic_store_n(&l->sleeping, 0, __ATOMIC_RELAXED);
		if (l->group)
			movable_awake(l);
		return -EAGAIN;
	}
	next = lane_next_event(l);
	l->now = lane_clock(l);
	if (next == 0)
		*ret_timeout_ns = -1;
	else
		*ret_timeout_ns =
			next > l->now ? (int64_t)min_t(uint64_t, next - l->now, INT64_MAX) : 0;
	return 0;
}
