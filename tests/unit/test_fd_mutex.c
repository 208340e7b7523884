/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fd_mutex over a scheduler made of threads: each g is a thread, park and ready are a
 * condition variable. So the locked half meets real races (run it under TSan), and the
 * local half is driven one step at a time.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "poller/fd_mutex.h"
#include "poller/sched.h"
#include "poller/spin.h"

struct g {
	pthread_mutex_t mu;
	pthread_cond_t cv;
	bool ready;
};

static __thread struct g self = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
static int nr_parked; /* (a) */

static int ready_way; /* (a) how many ready messages may not arrive yet */

void sched_park(bool (*commit)(struct g *g, void *arg), void *arg, enum wait_reason why)
{
	(void)why;
	if (!commit(&self, arg))
		return;
	__atomic_fetch_add(&nr_parked, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&self.mu);
	while (!self.ready)
		pthread_cond_wait(&self.cv, &self.mu);
	self.ready = false;
	pthread_mutex_unlock(&self.mu);
	while (__atomic_load_n(&ready_way, __ATOMIC_SEQ_CST))
		usleep(100);
}

void sched_ready(struct g *g)
{
	pthread_mutex_lock(&g->mu);
	cr_assert(!g->ready);
	g->ready = true;
	pthread_cond_signal(&g->cv);
	pthread_mutex_unlock(&g->mu);
}

/* What a g's ctx adds (poller/ctx.h): here it never ends but by the test's own call of cut(). */
struct g_intr {
	void (*cut)(struct g_intr *in);
};

void ctx_park(bool (*commit)(struct g *g, void *arg), void *arg, enum wait_reason why,
	      struct g_intr *in);
int ctx_self_err(void);

static struct g_intr *last_intr; /* (a) of the g that parked last */

void ctx_park(bool (*commit)(struct g *g, void *arg), void *arg, enum wait_reason why,
	      struct g_intr *in)
{
	__atomic_store_n(&last_intr, in, __ATOMIC_SEQ_CST);
	sched_park(commit, arg, why);
}

int ctx_self_err(void)
{
	return 0;
}

static int held; /* (a) holds of all mutexes */

void fd_mutex_hold(struct fd_mutex *m)
{
	(void)m;
	__atomic_fetch_add(&held, 1, __ATOMIC_SEQ_CST);
}

void fd_mutex_put(struct fd_mutex *m)
{
	(void)m;
	cr_assert_gt(__atomic_fetch_sub(&held, 1, __ATOMIC_SEQ_CST), 0);
}

struct locker {
	struct fd_mutex *m;
	enum fdm_dir dir;
	pthread_t thread;
	int *order; /* (a) how many were granted before */
	int place;  /* -1 closed */
	bool hold;  /* keep the lock: the test unlocks */
	bool destroy;
};

static void *locker_main(void *arg)
{
	struct locker *l = arg;

	if (!fd_mutex_lock(l->m, l->dir)) {
		l->place = -1;
		return NULL;
	}
	l->place = __atomic_fetch_add(l->order, 1, __ATOMIC_SEQ_CST);
	if (!l->hold)
		l->destroy = fd_mutex_unlock(l->m, l->dir);
	return NULL;
}

static uint64_t waiters(struct fd_mutex *m, enum fdm_dir dir)
{
	return (__atomic_load_n(&m->word, __ATOMIC_ACQUIRE) & FDM_WAIT_MASK(dir)) / FDM_WAIT(dir);
}

/* start_waiting - start l and return once it is parked. */
static void start_waiting(struct locker *l)
{
	int before = __atomic_load_n(&nr_parked, __ATOMIC_SEQ_CST);

	cr_assert_eq(pthread_create(&l->thread, NULL, locker_main, l), 0);
	while (__atomic_load_n(&nr_parked, __ATOMIC_SEQ_CST) == before)
		usleep(100);
}

static void both(void (*fn)(struct fd_mutex *m))
{
	for (int local = 0; local < 2; local++) {
		struct fd_mutex m;

		fd_mutex_init(&m, local);
		fn(&m);
	}
}

static void read_write_independent(struct fd_mutex *m)
{
	cr_assert(fd_mutex_lock(m, FDM_READ));
	cr_assert(fd_mutex_lock(m, FDM_WRITE));
	cr_assert_eq(m->word, FDM_LOCK(FDM_READ) | FDM_LOCK(FDM_WRITE) | 2 * FDM_REF);
	cr_assert(fd_mutex_incref(m));
	cr_assert(!fd_mutex_decref(m));
	cr_assert(!fd_mutex_unlock(m, FDM_READ));
	cr_assert(!fd_mutex_unlock(m, FDM_WRITE));
	cr_assert_eq(m->word, 0);
}

Test(fd_mutex, test_fd_mutex_R51_fields_of_the_word_are_apart_and_20_bits)
{
	const uint64_t field[] = {FDM_CLOSED,   FDM_LOCK(FDM_READ),      FDM_LOCK(FDM_WRITE),
				  FDM_REF_MASK, FDM_WAIT_MASK(FDM_READ), FDM_WAIT_MASK(FDM_WRITE)};
	uint64_t seen = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(field); i++) {
		cr_assert_eq(__builtin_popcountll(field[i]), i < 3 ? 1 : 20);
		cr_assert_eq(seen & field[i], 0);
		seen |= field[i];
	}
	cr_assert_eq(FDM_REF_MASK & -FDM_REF_MASK, FDM_REF);
	cr_assert_eq(FDM_WAIT_MASK(FDM_READ) & -FDM_WAIT_MASK(FDM_READ), FDM_WAIT(FDM_READ));
	cr_assert_eq(FDM_WAIT_MASK(FDM_WRITE) & -FDM_WAIT_MASK(FDM_WRITE), FDM_WAIT(FDM_WRITE));
}

Test(fd_mutex, test_fd_mutex_R52_read_and_write_run_together)
{
	both(read_write_independent);
}

static void fifo(struct fd_mutex *m)
{
	struct locker l[3];
	int order = 0;

	cr_assert(fd_mutex_lock(m, FDM_READ));
	for (int i = 0; i < 3; i++) {
		l[i] = (struct locker){.m = m, .dir = FDM_READ, .order = &order};
		start_waiting(&l[i]);
	}
	cr_assert_eq(waiters(m, FDM_READ), 3);
	cr_assert_eq(order, 0);
	cr_assert(!fd_mutex_unlock(m, FDM_READ));
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(pthread_join(l[i].thread, NULL), 0);
		cr_assert_eq(l[i].place, i);
		cr_assert(!l[i].destroy);
	}
	cr_assert_eq(m->word, 0);
}

Test(fd_mutex, test_fd_mutex_R52_waiters_get_it_in_order)
{
	both(fifo);
}

/* The ctx of the i-th of three waiters ends: the others get the lock in order. */
static void cut_one(struct fd_mutex *m, int i)
{
	struct g_intr *in[3];
	struct locker l[3];
	int order = 0;

	cr_assert(fd_mutex_lock(m, FDM_WRITE));
	for (int k = 0; k < 3; k++) {
		l[k] = (struct locker){.m = m, .dir = FDM_WRITE, .order = &order};
		start_waiting(&l[k]);
		in[k] = __atomic_load_n(&last_intr, __ATOMIC_SEQ_CST);
	}
	in[i]->cut(in[i]);
	cr_assert_eq(pthread_join(l[i].thread, NULL), 0);
	cr_assert_eq(l[i].place, -1);
	cr_assert_eq(waiters(m, FDM_WRITE), 2);
	cr_assert(!fd_mutex_unlock(m, FDM_WRITE));
	for (int k = 0, place = 0; k < 3; k++) {
		if (k == i)
			continue;
		cr_assert_eq(pthread_join(l[k].thread, NULL), 0);
		cr_assert_eq(l[k].place, place++);
	}
	cr_assert_eq(m->word, 0);
	cr_assert_null(m->q[FDM_WRITE].tail);
}

static void cut_each(struct fd_mutex *m)
{
	for (int i = 0; i < 3; i++)
		cut_one(m, i);
}

Test(fd_mutex, test_fd_mutex_ctx_ends_waiter_leaves_others_in_order)
{
	both(cut_each);
}

static void close_alone(struct fd_mutex *m)
{
	cr_assert_eq(fd_mutex_close(m), 0);
	cr_assert_eq(fd_mutex_close(m), -EBADF);
	cr_assert(!fd_mutex_lock(m, FDM_READ));
	cr_assert(!fd_mutex_lock(m, FDM_WRITE));
	cr_assert(!fd_mutex_incref(m));
	cr_assert(fd_mutex_close_wait(m, &(struct fdm_closer){0}));
	cr_assert_null(fd_mutex_take_closer(m));
}

Test(fd_mutex, test_fd_mutex_R53_close_unused_destroys_at_once)
{
	both(close_alone);
}

static void close_wakes(struct fd_mutex *m)
{
	struct locker l[4];
	int order = 0;

	cr_assert(fd_mutex_lock(m, FDM_READ));
	cr_assert(fd_mutex_lock(m, FDM_WRITE));
	for (int i = 0; i < 4; i++) {
		l[i] = (struct locker){
			.m = m, .dir = i & 1 ? FDM_WRITE : FDM_READ, .order = &order};
		start_waiting(&l[i]);
	}
	cr_assert_eq(fd_mutex_close(m), 0);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(pthread_join(l[i].thread, NULL), 0);
		cr_assert_eq(l[i].place, -1);
	}
	cr_assert(!fd_mutex_unlock(m, FDM_READ));
	cr_assert(!fd_mutex_unlock(m, FDM_WRITE));
	cr_assert(fd_mutex_close_wait(m, &(struct fdm_closer){0}));
}

Test(fd_mutex, test_fd_mutex_R53_close_wakes_all_waiters)
{
	both(close_wakes);
}

/* The waiter's lane has not had its ready yet: the object is over, and then its ctx ends. */
Test(fd_mutex, test_fd_mutex_R53_waiter_told_of_a_close_keeps_the_memory_until_it_runs)
{
	struct fd_mutex m;
	int order = 0;
	struct locker l = {.m = &m, .dir = FDM_READ, .order = &order};

	fd_mutex_init(&m, false);
	cr_assert(fd_mutex_lock(&m, FDM_READ));
	cr_assert_eq(held, 0);
	start_waiting(&l);
	cr_assert_eq(held, 1);
	ready_way = 1;
	cr_assert_eq(fd_mutex_close(&m), 0);
	cr_assert(!fd_mutex_unlock(&m, FDM_READ));
	cr_assert(fd_mutex_close_wait(&m, &(struct fdm_closer){0}));
	usleep(1000);
	cr_assert_eq(held, 1, "it would be freed here");
	last_intr->cut(last_intr);
	__atomic_store_n(&ready_way, 0, __ATOMIC_SEQ_CST);
	cr_assert_eq(pthread_join(l.thread, NULL), 0);
	cr_assert_eq(l.place, -1);
	cr_assert_eq(held, 0);
}

Test(fd_mutex, test_fd_mutex_local_waiter_needs_no_hold)
{
	struct fd_mutex m;
	int order = 0;
	struct locker l = {.m = &m, .dir = FDM_READ, .order = &order};

	fd_mutex_init(&m, true);
	cr_assert(fd_mutex_lock(&m, FDM_READ));
	start_waiting(&l);
	cr_assert_eq(held, 0);
	cr_assert(!fd_mutex_unlock(&m, FDM_READ));
	cr_assert_eq(pthread_join(l.thread, NULL), 0);
}

static void *closer_main(void *arg)
{
	struct fdm_closer closer;
	struct fd_mutex *m = arg;

	return fd_mutex_close_wait(m, &closer) ? m : NULL;
}

static void last_user(struct fd_mutex *m)
{
	pthread_t t;
	void *ret;
	struct fdm_closer *closer;
	int before = nr_parked;

	cr_assert(fd_mutex_lock(m, FDM_READ));
	cr_assert_eq(fd_mutex_close(m), 0);
	cr_assert_eq(pthread_create(&t, NULL, closer_main, m), 0);
	while (__atomic_load_n(&nr_parked, __ATOMIC_SEQ_CST) == before)
		usleep(100);
	cr_assert(fd_mutex_unlock(m, FDM_READ));
	closer = fd_mutex_take_closer(m);
	cr_assert_not_null(closer);
	sched_ready(closer->g);
	cr_assert_eq(pthread_join(t, &ret), 0);
	cr_assert_null(ret);
}

Test(fd_mutex, test_fd_mutex_R53_last_user_destroys_and_close_waits)
{
	both(last_user);
}

/* ---- close between the two halves of a hand-over ---- */

static __thread bool stalls; /* this thread's next wait for a spin lock lasts ... */
static int stalled, go_on;   /* (a) ... from here to there */

/* What spin.h calls in a long wait: here the place to hold a thread. */
int sched_yield(void)
{
	if (stalls) {
		stalls = false;
		__atomic_store_n(&stalled, 1, __ATOMIC_SEQ_CST);
		while (!__atomic_load_n(&go_on, __ATOMIC_SEQ_CST))
			usleep(100);
	}
	return usleep(1);
}

/* Unlock, stalled between taking the waiter out of the word and looking for it in the queue. */
static void *stalled_unlocker(void *arg)
{
	struct locker *l = arg;

	stalls = true;
	l->destroy = fd_mutex_unlock(l->m, l->dir);
	return NULL;
}

/* The waiter is gone when the hand-over looks for it: lock and reference are not lost with it. */
Test(fd_mutex, test_fd_mutex_R53_close_amid_hand_over_loses_no_reference, .timeout = 60)
{
	struct fd_mutex m;
	int order = 0;
	struct locker waits = {.m = &m, .dir = FDM_READ, .order = &order}, unlocks = waits;
	struct fdm_closer closer;

	fd_mutex_init(&m, false);
	cr_assert(fd_mutex_lock(&m, FDM_READ));
	start_waiting(&waits);
	spin_lock(&m.lock);
	cr_assert_eq(pthread_create(&unlocks.thread, NULL, stalled_unlocker, &unlocks), 0);
	while (!__atomic_load_n(&stalled, __ATOMIC_SEQ_CST))
		usleep(100);
	cr_assert_eq(waiters(&m, FDM_READ), 0);
	spin_unlock(&m.lock);
	cr_assert_eq(fd_mutex_close(&m), 0);
	cr_assert_eq(pthread_join(waits.thread, NULL), 0);
	cr_assert_eq(waits.place, -1);
	__atomic_store_n(&go_on, 1, __ATOMIC_SEQ_CST);
	cr_assert_eq(pthread_join(unlocks.thread, NULL), 0);
	cr_assert(!unlocks.destroy);
	cr_assert_eq(m.word, FDM_CLOSED | FDM_REF);
	cr_assert(fd_mutex_close_wait(&m, &closer));
}

/* ---- races: many threads lock and unlock, one closes in the middle ---- */

#define RACERS 6
#define ROUNDS 40

struct race {
	struct fd_mutex m;
	int inside[2]; /* who holds a direction; never above 1 */
	int destroyed; /* (a) */
	pthread_barrier_t start;
};

static void race_destroy(struct race *r)
{
	struct fdm_closer *closer = fd_mutex_take_closer(&r->m);

	__atomic_fetch_add(&r->destroyed, 1, __ATOMIC_SEQ_CST);
	if (closer)
		sched_ready(closer->g);
}

static void *racer_main(void *arg)
{
	struct race *r = arg;
	enum fdm_dir dir = (uintptr_t)pthread_self() >> 12 & 1 ? FDM_READ : FDM_WRITE;

	pthread_barrier_wait(&r->start);
	for (;;) {
		if (!fd_mutex_lock(&r->m, dir))
			return NULL;
		cr_assert_eq(++r->inside[dir], 1);
		r->inside[dir]--;
		if (fd_mutex_unlock(&r->m, dir))
			race_destroy(r);
		if (fd_mutex_incref(&r->m) && fd_mutex_decref(&r->m))
			race_destroy(r);
	}
}

Test(fd_mutex, test_fd_mutex_R53_races_destroy_exactly_once, .timeout = 60)
{
	for (int round = 0; round < ROUNDS; round++) {
		struct race r = {.destroyed = 0};
		struct fdm_closer closer;
		pthread_t t[RACERS];

		fd_mutex_init(&r.m, false);
		pthread_barrier_init(&r.start, NULL, RACERS + 1);
		for (int i = 0; i < RACERS; i++)
			cr_assert_eq(pthread_create(&t[i], NULL, racer_main, &r), 0);
		pthread_barrier_wait(&r.start);
		usleep(500);
		cr_assert_eq(fd_mutex_close(&r.m), 0);
		if (fd_mutex_close_wait(&r.m, &closer))
			race_destroy(&r);
		/* what pl_close promises: destroyed by the time it returns */
		cr_assert_eq(__atomic_load_n(&r.destroyed, __ATOMIC_SEQ_CST), 1);
		for (int i = 0; i < RACERS; i++)
			cr_assert_eq(pthread_join(t[i], NULL), 0);
		cr_assert_eq(r.destroyed, 1);
		cr_assert_eq(r.m.word, FDM_CLOSED);
		pthread_barrier_destroy(&r.start);
	}
}
