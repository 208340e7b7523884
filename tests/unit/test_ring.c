/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings: full, empty, order, wrap of the 32-bit positions, and threads. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>

#include "stack/base/ring.h"

#define P(i) ((void *)(uintptr_t)(i))

Test(ring, test_spsc_full_and_empty_answered)
{
	static struct spsc_ring r;
	void *slots[4];

	spsc_init(&r, slots, 4);
	cr_assert(spsc_empty(&r));
	cr_assert_null(spsc_pop(&r));
	for (uintptr_t i = 1; i <= 4; i++)
		cr_assert(spsc_push(&r, P(i)));
	cr_assert(!spsc_push(&r, P(5)));
	for (uintptr_t i = 1; i <= 4; i++)
		cr_assert_eq(spsc_pop(&r), P(i));
	cr_assert(spsc_empty(&r));
}

Test(ring, test_spsc_positions_wrap_at_2_32)
{
	static struct spsc_ring r;
	void *slots[8];

	spsc_init(&r, slots, 8);
	r.head = r.tail = r.head_seen = r.tail_seen = UINT32_MAX - 3;
	for (uintptr_t i = 1; i < 100; i++) {
		for (uintptr_t k = 0; k < 8; k++)
			cr_assert(spsc_push(&r, P(i * 8 + k)));
		cr_assert(!spsc_push(&r, P(1)));
		for (uintptr_t k = 0; k < 8; k++)
			cr_assert_eq(spsc_pop(&r), P(i * 8 + k));
	}
}

Test(ring, test_mpsc_full_and_wrap)
{
	static struct mpsc_ring r;
	struct mpsc_cell cells[4];

	mpsc_init(&r, cells, 4);
	/* As after 2^32 - 4 pushes and pops. */
	r.head = r.tail = UINT32_MAX - 3;
	for (uint32_t i = 0; i < 4; i++)
		cells[(r.head + i) & 3].seq = r.head + i;
	for (uintptr_t i = 1; i < 50; i++) {
		cr_assert_null(mpsc_pop(&r));
		for (uintptr_t k = 0; k < 4; k++)
			cr_assert(mpsc_push(&r, P(i * 4 + k)));
		cr_assert(!mpsc_push(&r, P(1)));
		for (uintptr_t k = 0; k < 4; k++)
			cr_assert_eq(mpsc_pop(&r), P(i * 4 + k));
		cr_assert(mpsc_empty(&r));
	}
}

#define PER_THREAD 100000

struct job {
	void *ring;
	uintptr_t id;
	bool (*push)(void *ring, void *p);
};

static bool push_spsc(void *r, void *p)
{
	return spsc_push(r, p);
}

static bool push_mpsc(void *r, void *p)
{
	return mpsc_push(r, p);
}

static void *producer(void *arg)
{
	struct job *j = arg;

	for (uintptr_t i = 1; i <= PER_THREAD; i++)
		while (!j->push(j->ring, P(j->id << 32 | i)))
			(void)sched_yield();
	return NULL;
}

Test(ring, test_spsc_thread_keeps_order)
{
	static struct spsc_ring r;
	static void *slots[64];
	struct job j = {&r, 0, push_spsc};
	pthread_t t;

	spsc_init(&r, slots, 64);
	cr_assert_eq(pthread_create(&t, NULL, producer, &j), 0);
	for (uintptr_t want = 1; want <= PER_THREAD;) {
		void *p = spsc_pop(&r);

		if (p)
			cr_assert_eq(p, P(want++));
		else
			(void)sched_yield();
	}
	(void)pthread_join(t, NULL);
}

Test(ring, test_mpsc_three_threads_keep_their_order)
{
	static struct mpsc_ring r;
	static struct mpsc_cell cells[64];
	struct job j[3];
	pthread_t t[3];
	uintptr_t seen[3] = {0};
	unsigned n = 0;

	mpsc_init(&r, cells, 64);
	for (uintptr_t i = 0; i < 3; i++) {
		j[i] = (struct job){&r, i, push_mpsc};
		cr_assert_eq(pthread_create(&t[i], NULL, producer, &j[i]), 0);
	}
	while (n < 3 * PER_THREAD) {
		uintptr_t v = (uintptr_t)mpsc_pop(&r);

		if (!v) {
			(void)sched_yield();
			continue;
		}
		cr_assert_eq(v & 0xffffffff, ++seen[v >> 32]);
		n++;
	}
	for (int i = 0; i < 3; i++)
		(void)pthread_join(t[i], NULL);
	cr_assert(mpsc_empty(&r));
}
