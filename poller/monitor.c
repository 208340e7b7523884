/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * See monitor.h. It reads what the lanes write, relaxed: the turn's number and the running g. The
 * same g in the same turn at two looks held the lane at least for the time between them.
 */
#include "poller/monitor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "poller/group_int.h"
#include "poller/lane_int.h"
#include "stack/base/clock.h"

/* What was seen of one lane at the last look. */
struct seen {
	uint64_t turn, g;
	uint64_t since, cpu; /* ns of the first look that saw both */
	bool named, named_long;
};

struct monitor {
	struct lane_group *grp; /* (c) */
	void (*hog)(void *ctx, const struct monitor_hog *h);
	void *ctx;
	pthread_t thread;
	struct seen seen[LANES_MAX]; /* the thread's */
	pthread_mutex_t lock;        /* covers what follows */
	pthread_cond_t wake;
	bool stop;
	struct monitor_report report;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	return clock_gettime(id, &ts) ? 0
				      : (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* cpu_of - what the lane's thread has run; 0 while it is none. */
static uint64_t cpu_of(struct lane *l)
{
	clockid_t id = __atomic_load_n(&l->cpu_clock, __ATOMIC_ACQUIRE);

	return id ? clock_ns(id) : 0;
}

/* note - in the report, and by hog() when it is new or, now, long. */
static void note(struct monitor *m, struct seen *s, struct monitor_hog *h)
{
	bool is_new = !s->named, is_long = h->held_ns >= MONITOR_LONG_NS && !s->named_long;

	(void)pthread_mutex_lock(&m->lock);
	if (is_new)
		m->report.hogs++;
	if (is_new || (m->report.last.lane == h->lane && m->report.last.g == h->g)) {
		m->report.last = *h;
		m->report.holding = true;
	}
	(void)pthread_mutex_unlock(&m->lock);
	s->named = true;
	h->is_long = is_long;
	s->named_long |= is_long;
	if (m->hog && (is_new || is_long))
		m->hog(m->ctx, h);
}

/* note_end - lane i went on. */
static void note_end(struct monitor *m, unsigned i)
{
	(void)pthread_mutex_lock(&m->lock);
	if (m->report.last.lane == i)
		m->report.holding = false;
	(void)pthread_mutex_unlock(&m->lock);
}

/* poll_for - the lane cannot: what its kernel fds have for movable gs others may run meanwhile. */
static void poll_for(struct monitor *m, struct lane *l)
{
	struct netpoll_backend *nb = l->kernel, *below;

	below = nb ? __atomic_load_n(&nb->below, __ATOMIC_ACQUIRE) : NULL;
	if (below) /* who waits for a completion is bound */
		nb = below;
	if (!nb || !nb->ops->poll_far || READ_ONCE(nb->waiters_movable) <= 0)
		return;
	nb->ops->poll_far(nb);
	(void)pthread_mutex_lock(&m->lock);
	m->report.polls++;
	(void)pthread_mutex_unlock(&m->lock);
}

/* look - is the lane where it was? gs are type-stable as long as the lane lives. */
static void look(struct monitor *m, unsigned i, uint64_t now)
{
	struct lane *l = m->grp->lane[i];
	const struct g *g = READ_ONCE(l->sched.cur);
	uint64_t turn = stat_read(&l->led.ev[LEDGER_EV_TURNS]), id = g ? READ_ONCE(g->id) : 0;
	struct seen *s = &m->seen[i];
	struct monitor_hog h;

	if (!g || s->turn != turn || s->g != id) {
		if (s->named)
			note_end(m, i);
		*s = (struct seen){.turn = turn, .g = id, .since = now, .cpu = cpu_of(l)};
		return;
	}
	poll_for(m, l);
	h = (struct monitor_hog){.lane = i,
				 .g = id,
				 .name = READ_ONCE(g->name),
				 .held_ns = now - s->since,
				 .cpu_ns = cpu_of(l) - s->cpu};
	note(m, s, &h);
}

static void *monitor_thread(void *arg)
{
	struct monitor *m = arg;
	struct timespec ts;
	bool stop;

	(void)pthread_setname_np(pthread_self(), LANE_THREAD_PREFIX "monitor");
	do {
		uint64_t now = clock_ns(CLOCK_MONOTONIC), next = now + MONITOR_PERIOD_NS;

		for (unsigned i = 0; i < m->grp->nr; i++)
			look(m, i, now);
		ts = (struct timespec){.tv_sec = (time_t)(next / NSEC_PER_SEC),
				       .tv_nsec = (long)(next % NSEC_PER_SEC)};
		(void)pthread_mutex_lock(&m->lock);
		while (!m->stop && pthread_cond_timedwait(&m->wake, &m->lock, &ts) != ETIMEDOUT)
			;
		stop = m->stop;
		(void)pthread_mutex_unlock(&m->lock);
	} while (!stop);
	return NULL;
}

static int start_thread(struct monitor *m)
{
	sigset_t every, old;
	int err;

	sigfillset(&every);
	(void)pthread_sigmask(SIG_BLOCK, &every, &old);
	err = -pthread_create(&m->thread, NULL, monitor_thread, m);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

int monitor_start(struct lane_group *grp, void (*hog)(void *ctx, const struct monitor_hog *h),
		  void *ctx)
{
	struct monitor *m = calloc(1, sizeof(*m));
	pthread_condattr_t attr;
	int err;

	if (!m)
		return -ENOMEM;
	m->grp = grp;
	m->hog = hog;
	m->ctx = ctx;
	(void)pthread_mutex_init(&m->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&m->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	err = start_thread(m);
	if (err) {
		free(m);
		return err;
	}
	grp->monitor = m;
	return 0;
}

void monitor_stop(struct lane_group *grp)
{
	struct monitor *m = grp->monitor;

	if (!m)
		return;
	(void)pthread_mutex_lock(&m->lock);
	m->stop = true;
	(void)pthread_cond_signal(&m->wake);
	(void)pthread_mutex_unlock(&m->lock);
	(void)pthread_join(m->thread, NULL);
	grp->monitor = NULL;
	(void)pthread_cond_destroy(&m->wake);
	(void)pthread_mutex_destroy(&m->lock);
	free(m);
}

void monitor_get(struct lane_group *grp, struct monitor_report *ret_report)
{
	struct monitor *m = grp->monitor;

	*ret_report = (struct monitor_report){.hogs = 0};
	if (!m)
		return;
	(void)pthread_mutex_lock(&m->lock);
	*ret_report = m->report;
	(void)pthread_mutex_unlock(&m->lock);
}
