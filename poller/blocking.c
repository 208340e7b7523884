/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pl_blocking: the pool of threads and its jobs. A job is queued in the park's commit, so that
 * the thread that is through with it may wake the g at once; it is on one of the pool's lists
 * until its g has seen the end, or until it was left behind.
 */
#include "poller/blocking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <parklane/blocking.h>

#include "poller/ctx.h"
#include "poller/group_int.h"
#include "poller/lane_int.h"
#include "poller/symbols.h"
#include "stack/base/bug.h"

#define TELL_SEC 1 /* a run that waits for so long at its end says for what */

enum job_state {
	JOB_QUEUED,
	JOB_RUNNING,
	JOB_DONE,
	JOB_LEFT, /* runs on, and nobody waits: the thread drops it */
};

struct job {
	struct list_head link;
	enum job_state state;
	void (*fn)(void *arg);
	void *arg;
	void (*drop)(void *arg); /* (c) NULL: it must be waited for */
	struct g *g;             /* (c) */
	struct lane *lane;       /* (c) where g parked */
	struct lane *home;       /* (c) whose arena g's stack is of */
	sigset_t mask;           /* (c) of the program: fn's, and what it starts inherits it */
};

/* All under mu, which is held for a few stores: a lane may wait for it. */
static struct {
	pthread_mutex_t mu;
	pthread_cond_t work, through; /* a job was queued; one came to its end */
	pthread_once_t once;
	struct list_head queued, running, done;
	unsigned nr_threads, nr_idle;
	unsigned nr_work; /* jobs that are queued or will be at once: threads stay for them */
} pool = {
	.mu = PTHREAD_MUTEX_INITIALIZER,
	.once = PTHREAD_ONCE_INIT,
	.queued = LIST_HEAD_INIT(pool.queued),
	.running = LIST_HEAD_INIT(pool.running),
	.done = LIST_HEAD_INIT(pool.done),
};

static void pool_init(void)
{
	pthread_condattr_t attr;

	BUG_ON(pthread_condattr_init(&attr) != 0);
	BUG_ON(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0);
	BUG_ON(pthread_cond_init(&pool.work, &attr) != 0);
	BUG_ON(pthread_cond_init(&pool.through, &attr) != 0);
	pthread_condattr_destroy(&attr);
}

static void job_drop(struct job *j)
{
	if (j->drop)
		j->drop(j->arg);
	free(j);
}

static void job_move(struct job *j, enum job_state state, struct list_head *to)
{
	list_del(&j->link);
	j->state = state;
	if (to)
		list_add_tail(&j->link, to);
}

/* ---- the threads ---- */

/* job_run - with mu, which is dropped meanwhile. */
static void job_run(struct job *j)
{
	sigset_t idle; /* all: no handler runs in a thread that nobody called */

	job_move(j, JOB_RUNNING, &pool.running);
	pool.nr_work--;
	pthread_mutex_unlock(&pool.mu);
	pthread_sigmask(SIG_SETMASK, &j->mask, &idle);
	j->fn(j->arg);
	pthread_sigmask(SIG_SETMASK, &idle, NULL);
	pthread_mutex_lock(&pool.mu);
	if (j->state == JOB_LEFT) {
		pthread_mutex_unlock(&pool.mu);
		job_drop(j);
		pthread_mutex_lock(&pool.mu);
		return;
	}
	job_move(j, JOB_DONE, &pool.done);
	/* with mu: its lane is not destroyed before blocking_lane_fini() had it */
	sched_ready(j->g);
	pthread_cond_broadcast(&pool.through);
}

/* idle - false: no work came for so long that the thread ends. */
static bool idle(void)
{
	struct timespec until;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PL_BLOCKING_IDLE_SEC;
	pool.nr_idle++;
	err = pthread_cond_timedwait(&pool.work, &pool.mu, &until);
	pool.nr_idle--;
	return err != ETIMEDOUT || pool.nr_work;
}

static void *pool_thread(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), LANE_THREAD_PREFIX "blocking");
	pthread_mutex_lock(&pool.mu);
	do
		while (!list_empty(&pool.queued))
			job_run(list_first_entry(&pool.queued, struct job, link));
	while (idle());
	pool.nr_threads--;
	pthread_mutex_unlock(&pool.mu);
	return NULL;
}

static int start_thread(const struct lane *l)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t t;
	int err = pthread_attr_init(&attr);

	if (err)
		return -EAGAIN;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (l->cfg.cpu >= 0)
		err = pthread_attr_setaffinity_np(&attr, sizeof(l->thr.old_affinity),
						  &l->thr.old_affinity);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!err)
		err = pthread_create(&t, &attr, pool_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return err ? -EAGAIN : 0;
}

/* pool_reserve - there is a thread for one job more, now or in its turn. 0; -EAGAIN. */
static int pool_reserve(const struct lane *l)
{
	bool start;
	int err = 0;

	pthread_once(&pool.once, pool_init);
	pthread_mutex_lock(&pool.mu);
	pool.nr_work++;
	start = pool.nr_work > pool.nr_idle && pool.nr_threads < PL_BLOCKING_THREADS;
	if (start)
		pool.nr_threads++;
	pthread_mutex_unlock(&pool.mu);
	if (!start || start_thread(l) == 0)
		return 0;
	pthread_mutex_lock(&pool.mu);
	if (--pool.nr_threads == 0) {
		pool.nr_work--;
		err = -EAGAIN;
	}
	pthread_mutex_unlock(&pool.mu);
	return err;
}

/* ---- the goroutine's side ---- */

struct job_wait {
	struct g_intr in;
	struct job *j;
	bool cut, left;
};

/* job_commit - R4, off the g's stack, which may be in use again once the job is queued. */
static bool job_commit(struct g *g, void *arg)
{
	struct job *j = ((struct job_wait *)arg)->j;

	(void)g;
	pthread_mutex_lock(&pool.mu);
	list_add_tail(&j->link, &pool.queued);
	pthread_cond_signal(&pool.work);
	pthread_mutex_unlock(&pool.mu);
	return true;
}

static void job_cut(struct g_intr *in)
{
	struct job_wait *jw = container_of(in, struct job_wait, in);
	struct job *j = jw->j;
	struct g *g = j->g;

	pthread_mutex_lock(&pool.mu);
	if (j->state == JOB_QUEUED) {
		job_move(j, JOB_DONE, NULL);
		pool.nr_work--;
		jw->cut = true;
	} else if (j->state == JOB_RUNNING && j->drop) {
		job_move(j, JOB_LEFT, NULL);
		jw->left = true;
	}
	pthread_mutex_unlock(&pool.mu);
	if (jw->cut || jw->left)
		__sched_ready(g->sched, g);
}

static int job_wait(struct job *j)
{
	struct job_wait jw = {.in = {.cut = job_cut}, .j = j};

	ctx_park(job_commit, &jw, WAIT_BLOCKING, &jw.in);
	if (jw.left)
		return ctx_self_err();
	if (jw.cut) {
		job_drop(j);
		return ctx_self_err();
	}
	pthread_mutex_lock(&pool.mu);
	list_del(&j->link);
	pthread_mutex_unlock(&pool.mu);
	free(j);
	return 0;
}

static int blocking(void (*fn)(void *arg), void *arg, void (*drop)(void *arg))
{
	struct lane *l = lane_self();
	struct job *j;
	int err;

	if (!l || !l->sched.cur)
		return -EXDEV;
	err = ctx_pending(l->sched.cur);
	if (err) {
		if (drop)
			drop(arg);
		return err;
	}
	if (l->virt) {
		fn(arg);
		return 0;
	}
	j = malloc(sizeof(*j));
	if (!j)
		return -ENOMEM;
	*j = (struct job){.fn = fn,
			  .arg = arg,
			  .drop = drop,
			  .g = l->sched.cur,
			  .lane = l,
			  .home = l->sched.cur->home->lane,
			  .mask = *lane_program_mask(l)};
	list_init(&j->link);
	err = pool_reserve(l);
	if (err) {
		free(j);
		return err;
	}
	return job_wait(j);
}

PL_API int pl_blocking(void (*fn)(void *arg), void *arg)
{
	return fn ? blocking(fn, arg, NULL) : -EINVAL;
}

PL_API int pl_blocking_drop(void (*fn)(void *arg), void *arg, void (*drop)(void *arg))
{
	return fn && drop ? blocking(fn, arg, drop) : -EINVAL;
}

/* ---- the lane's end ---- */

static bool job_of(const struct job *j, const struct lane *l)
{
	return j->lane == l || j->home == l;
}

/* take - the lane's jobs of one list, onto `to`. */
static void take(struct list_head *from, const struct lane *l, struct list_head *to)
{
	struct job *j, *tmp;

	list_for_each_entry_safe (j, tmp, from, link)
		if (job_of(j, l)) {
			list_del(&j->link);
			list_add_tail(&j->link, to);
		}
}

/* job_of_run - what l's group has under way; that of l where it is alone. */
static bool job_of_run(const struct job *j, const struct lane *l)
{
	return l->group ? j->lane->group == l->group : job_of(j, l);
}

/* tell - what the end waits for, once for all lanes. With mu, which is dropped meanwhile: names
 * take milliseconds. */
static COLD void tell(struct lane *l)
{
	struct symbols *sy;
	struct job *j, oldest = {.fn = NULL};
	unsigned long long id = 0;
	const char *name = NULL;
	char fn[128] = "?";
	unsigned n = 0;

	if (l->group && l->group->told_calls)
		return;
	if (l->group)
		l->group->told_calls = true;
	list_for_each_entry (j, &pool.running, link) {
		if (!job_of_run(j, l) || j->drop || n++)
			continue;
		oldest = *j;
		id = j->g->id;
		name = j->g->name; /* borrowed as long as lanes run (go.h) */
	}
	pthread_mutex_unlock(&pool.mu);
	sy = symbols_open();
	if (sy)
		(void)symbols_name(sy, (uintptr_t)oldest.fn, fn, sizeof(fn));
	symbols_close(sy);
	(void)fprintf(
		stderr,
		"parklane: pl_run is at its end and waits for %u call%s of pl_blocking(), the "
		"oldest is of %s by goroutine %llu (%s): pl_blocking_drop() need not be waited "
		"for\n",
		n, n == 1 ? "" : "s", fn, id, name ? name : "?");
	pthread_mutex_lock(&pool.mu);
}

/* leave_or_count - leave behind what can be; returns how many must be waited for. */
static unsigned leave_or_count(const struct lane *l)
{
	struct job *j, *tmp;
	unsigned n = 0;

	list_for_each_entry_safe (j, tmp, &pool.running, link) {
		if (!job_of(j, l))
			continue;
		if (j->drop)
			job_move(j, JOB_LEFT, NULL);
		else
			n++;
	}
	return n;
}

void blocking_lane_fini(struct lane *l)
{
	struct list_head never = LIST_HEAD_INIT(never), over = LIST_HEAD_INIT(over);
	struct timespec until;
	struct job *j, *tmp;
	bool told = false;

	if (l->virt)
		return;
	pthread_once(&pool.once, pool_init);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += TELL_SEC;
	pthread_mutex_lock(&pool.mu);
	take(&pool.queued, l, &never);
	list_for_each_entry (j, &never, link)
		pool.nr_work--;
	while (leave_or_count(l)) {
		if (told) {
			pthread_cond_wait(&pool.through, &pool.mu);
		} else if (pthread_cond_timedwait(&pool.through, &pool.mu, &until) == ETIMEDOUT) {
			told = true;
			if (leave_or_count(l))
				tell(l);
		}
	}
	take(&pool.done, l, &over);
	pthread_mutex_unlock(&pool.mu);
	list_splice_init(&over, &never);
	list_for_each_entry_safe (j, tmp, &never, link)
		job_drop(j);
}
