/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine's counter of time: the TSC on x86-64, the virtual counter (CNTVCT_EL0) on
 * aarch64. tsc.h makes ns of it.
 */
#ifndef POLLER_CYCLES_H
#define POLLER_CYCLES_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>

static inline uint64_t cycles_now(void)
{
	return __builtin_ia32_rdtsc();
}

/* cycles_invariant - does it run evenly, whatever the core's clock and sleep states do? */
static inline bool cycles_invariant(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(0x80000000u, &a, &b, &c, &d) || a < 0x80000007u)
		return false;
	return __get_cpuid(0x80000007u, &a, &b, &c, &d) && (d & (1u << 8));
}
#elif defined(__aarch64__)
static inline uint64_t cycles_now(void)
{
	uint64_t t;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
	return t;
}

/* The generic timer runs at one frequency, by the architecture. */
static inline bool cycles_invariant(void)
{
	return true;
}
#else
#error "poller/cycles.h: this machine's counter is not known"
#endif

#endif
