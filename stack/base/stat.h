/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters with one writer (the owner lane) and any number of relaxed readers: no
 * locked instruction, and no torn value for whoever looks (architecture.md rule 1).
 */
#ifndef STACK_BASE_STAT_H
#define STACK_BASE_STAT_H

#include "stack/base/compiler.h"

static inline void stat_add(uint64_t *c, uint64_t n)
{
	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}

static inline void stat_inc(uint64_t *c)
{
	stat_add(c, 1);
}

static inline uint64_t stat_read(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

#endif
