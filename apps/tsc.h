/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cpu's own counter, for round-trip times and cycles per request: some 10 ns a look in a
 * virtual machine, where clock_gettime costs several times that.
 */
#ifndef APPS_TSC_H
#define APPS_TSC_H

#include <stdint.h>
#include <time.h>

static inline uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t tsc_read(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t v;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	return mono_ns();
#endif
}

/* tsc_hz - counts per second, measured once against CLOCK_MONOTONIC (takes 20 ms). */
double tsc_hz(void);

#endif
