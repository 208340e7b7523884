/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A spin lock for what lanes share: a few stores long, never held across a park. A holder whose
 * thread lost its cpu is waited for with sched_yield(2): two lanes may sit on one cpu.
 */
#ifndef POLLER_SPIN_H
#define POLLER_SPIN_H

#include <sched.h>
#include <stdint.h>

#include "stack/base/compiler.h"

#define SPIN_MAX 1000u

/* __spin_wait - the rare half of the next one. */
static NOINLINE MAYBE_UNUSED void __spin_wait(uint32_t *lock)
{
	uint32_t n = 0;

	do {
		while (READ_ONCE(*lock)) {
			cpu_relax();
			if (++n % SPIN_MAX == 0)
				(void)sched_yield();
		}
	} while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE));
}

static inline void spin_lock(uint32_t *lock)
{
	if (unlikely(__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)))
		__spin_wait(lock);
}

static inline void spin_unlock(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
