/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the compiler is told: attributes, branch hints, single-copy accesses and
 * the two or three macros that C cannot do without. Knows nothing of Parklane.
 */
#ifndef STACK_BASE_COMPILER_H
#define STACK_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define MUST_USE         __attribute__((warn_unused_result))
#define NOINLINE         __attribute__((noinline))
#define ALWAYS_INLINE    __attribute__((always_inline)) inline
#define COLD             __attribute__((cold, noinline))
#define MAYBE_UNUSED     __attribute__((unused))
#define PACKED           __attribute__((packed))
#define PRINTF_FMT(a, b) __attribute__((format(printf, a, b)))
#define ALIGNED(n)       __attribute__((aligned(n)))
/* A default-visible symbol of the shared library; all else is hidden. */
#define PL_EXPORT __attribute__((visibility("default")))

/* A call in a return that is no tail call: backtraces show who made it. */
#define NOT_LAST(call)                                                                             \
	({                                                                                         \
		__auto_type ret_ = (call);                                                         \
		__asm__ volatile("");                                                              \
		ret_;                                                                              \
	})

#define CACHE_LINE 64

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))

#define min_t(type, a, b)                                                                          \
	({                                                                                         \
		type __a = (a), __b = (b);                                                         \
		__a < __b ? __a : __b;                                                             \
	})
#define max_t(type, a, b)                                                                          \
	({                                                                                         \
		type __a = (a), __b = (b);                                                         \
		__a > __b ? __a : __b;                                                             \
	})

/* cpu_relax - tell the core that this is a spin loop. */
#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define cpu_relax() __asm__ volatile("yield" ::: "memory")
#else
#define cpu_relax() __asm__ volatile("" ::: "memory")
#endif

/* Relaxed single-copy accesses, for counters and flags that another thread may read. */
#define READ_ONCE(x)     __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

#endif
