/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtual time, turns of the stack, and who sleeps meanwhile; see pkt.h. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/pkt/pkt.h"

#define TURNS_MAX   10000 /* at one instant: beyond it two timers chase each other */
#define END_LOOK_US 1000
#define END_LOOKS   200

/* when this thread's blocking call ended, until it was told; 0 */
static __thread uint64_t ended_at;

static bool is_main_thread(void)
{
	return gettid() == getpid();
}

/* wake_sleepers - each tries again, and is asleep or gone when this returns. */
static void wake_sleepers(struct pkt_world *w)
{
	if (!w->asleep)
		return;
	w->woken = w->asleep;
	w->asleep = 0;
	w->gen++;
	(void)pthread_cond_broadcast(&w->wake);
	while (w->woken)
		(void)pthread_cond_wait(&w->quiet, &w->lock);
}

void pkt_turn(struct pkt_world *w)
{
	for (int i = 0; i < TURNS_MAX; i++) {
		unsigned n = stack_rx(w->st, w->now, NETDEV_BURST);

		n += stack_timers(w->st, w->now);
		n += stack_output(w->st, w->now);
		if (!n && !w->in.head && !stack_has_output(w->st))
			break;
		BUG_ON(i == TURNS_MAX - 1);
	}
	wake_sleepers(w);
}

bool pkt_step(struct pkt_world *w, uint64_t until)
{
	uint64_t next = stack_next_timer(w->st);
	bool found;

	if (w->wake_at && (!next || w->wake_at < next))
		next = w->wake_at;
	found = next && next < until;
	if (!found)
		next = until;
	/* a lower bound may lie behind us */
	w->now = max_t(uint64_t, next, w->now + NSEC_PER_USEC);
	pkt_turn(w);
	return found;
}

/* doze - until the next turn that somebody else makes. */
static void doze(struct pkt_world *w, uint64_t deadline)
{
	uint64_t seen = w->gen;

	w->asleep++;
	w->wake_at = deadline;
	if (w->woken && !--w->woken)
		(void)pthread_cond_signal(&w->quiet);
	while (w->gen == seen)
		(void)pthread_cond_wait(&w->wake, &w->lock);
	w->wake_at = 0;
}

long pkt_block(struct pkt_world *w, bool nonblock, uint64_t deadline, long (*try)(void *arg),
	       void *arg)
{
	uint64_t began = w->now;
	bool slept = false;

	for (;;) {
		long r = try(arg);

		pkt_turn(w);
		if (r != -EAGAIN || nonblock || (deadline && w->now >= deadline)) {
			if (slept && w->woken && !--w->woken)
				(void)pthread_cond_signal(&w->quiet);
			if (slept) {
				ended_at = w->now;
				w->ended = true;
			}
			return r;
		}
		if (!is_main_thread()) {
			doze(w, deadline);
			slept = true;
		} else if (!pkt_step(w, deadline ? deadline : began + PKT_PATIENCE) && !deadline) {
			fprintf(stderr, "parklane-pkt: a call that nothing can wake\n");
			return -EDEADLK;
		}
	}
}

void pkt_let_end(struct pkt_world *w)
{
	if (!is_main_thread() || !(READ_ONCE(w->ended) || READ_ONCE(w->told)))
		return;
	for (unsigned i = 0; READ_ONCE(w->ended) && i < END_LOOKS; i++)
		(void)usleep(END_LOOK_US);
	/* it knows the time, and now waits for packetdrill's own lock, which our caller let go */
	WRITE_ONCE(w->told, false);
	(void)usleep(END_LOOK_US);
}

uint64_t pkt_clock_ns(struct pkt_world *w)
{
	uint64_t ns = ended_at;

	ended_at = 0;
	if (ns) {
		w->ended = false;
		w->told = true;
		return ns;
	}
	(void)pkt_step(w, w->now + NSEC_PER_USEC);
	return w->now;
}
