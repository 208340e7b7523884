/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stackful coroutines: the arena their stacks come from, the first frame, the switch, and
 * what the sanitizers are told of it. Knows nothing of goroutines or lanes.
 *
 * A slot of the arena is [guard | stack]; the stack grows down towards its own guard.
 */
#ifndef POLLER_CORO_H
#define POLLER_CORO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/base/compiler.h"

/* Larger than any frame that -fstack-clash-protection probes, and than what most unprobed
 * code of a library puts on the stack at once (architecture.md, "C facts of goroutines"). */
#define CORO_GUARD_SIZE ((size_t)64 << 10)
#define CORO_STACK_MIN  ((size_t)16 << 10)

/* One stack: usable bytes are [lo, hi). */
struct coro_stack {
	uint8_t *lo, *hi;
	uint32_t index; /* of its slot */
};

struct coro_arena {
	uint8_t *base;         /* (c) */
	size_t slot_size;      /* (c) guard + stack, an odd number of pages */
	uint32_t nr_slots;     /* (c) */
	uint32_t nr_carved;    /* (o) slots handed out so far; they never come back */
	bool guard_by_madvise; /* (c) else mprotect */
};

/* coro_arena_init - reserve address space for nr stacks of stack_size bytes (rounded up to
 * pages). Where the system refuses so much, half as many, and so on. 0; -ENOMEM; -EINVAL. */
MUST_USE int coro_arena_init(struct coro_arena *a, uint32_t nr, size_t stack_size);
/* coro_arena_fini - give everything back; no coroutine on it may run any more. */
void coro_arena_fini(struct coro_arena *a);
/* coro_arena_carve - a stack never used before, its guard in place. 0; -ENOMEM. */
MUST_USE int coro_arena_carve(struct coro_arena *a, struct coro_stack *ret_stack);
/* coro_arena_slot - the slot that addr lies in; *ret_in_guard says where. -1: not of a. */
int64_t coro_arena_slot(const struct coro_arena *a, uintptr_t addr, bool *ret_in_guard);
/* coro_arena_stack - the bounds of slot `index`. */
struct coro_stack coro_arena_stack(const struct coro_arena *a, uint32_t index);

/* FP control words of a coroutine that has not run yet. */
struct coro_fpu {
	uint32_t mxcsr;
	uint16_t fcw;
	uint16_t zero;
};

/* coro_fpu_current - the calling thread's. */
struct coro_fpu coro_fpu_current(void);

/* coro_prepare - lay the first frame below `top`; the first switch to the returned stack
 * pointer calls entry(arg), which must not return. */
void *coro_prepare(void *top, struct coro_fpu fpu, void (*entry)(void *arg), void *arg);

/* coro_switch - save the present context in *save_sp and go on with to_sp. */
void coro_switch(void **save_sp, void *to_sp);

#if defined(__SANITIZE_ADDRESS__)
#define CORO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CORO_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CORO_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CORO_TSAN 1
#endif
#endif

/* What the sanitizers know of one context: a coroutine, or a thread's own stack. Empty, and
 * the functions below are nothing, in a normal build. */
struct coro_san {
#if defined(CORO_ASAN)
	void *fake;         /* ASan's fake stack while switched away */
	const void *bottom; /* lowest address */
	size_t size;
#endif
#if defined(CORO_TSAN)
	void *fiber;
#endif
#if !defined(CORO_ASAN) && !defined(CORO_TSAN)
	char none[0];
#endif
};

#if defined(CORO_ASAN) || defined(CORO_TSAN)
/* coro_san_thread - `s` is the calling thread's own stack, which is current. */
void coro_san_thread(struct coro_san *s);
/* coro_san_open - a coroutine on `stack` is about to be; unpoisons what it left there. */
void coro_san_open(struct coro_san *s, const struct coro_stack *stack);
/* coro_san_close - it is over and another context is current. */
void coro_san_close(struct coro_san *s);
/* coro_san_leave - right before coro_switch(); dying: `from` never runs again. */
void coro_san_leave(struct coro_san *from, const struct coro_san *to, bool dying);
/* coro_san_enter - the first thing on the other side, also at the very start. */
void coro_san_enter(struct coro_san *self);
#else
static inline void coro_san_thread(struct coro_san *s)
{
	(void)s;
}
static inline void coro_san_open(struct coro_san *s, const struct coro_stack *stack)
{
	(void)s;
	(void)stack;
}
static inline void coro_san_close(struct coro_san *s)
{
	(void)s;
}
static inline void coro_san_leave(struct coro_san *from, const struct coro_san *to, bool dying)
{
	(void)from;
	(void)to;
	(void)dying;
}
static inline void coro_san_enter(struct coro_san *self)
{
	(void)self;
}
#endif

#endif
