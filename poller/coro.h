/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stackful coroutines: the arena their stacks come from, the first frame, the switch, the walk
 * up a stack that is switched away, and what sanitizers and Valgrind are told of it. Knows
 * nothing of goroutines or lanes.
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
	bool guard_by_madvise; /* (c) else mprotect, which splits the mapping */
	uint32_t map_limit;    /* (c) guards of the process by mprotect: maps they may take */
	uint32_t nr_maps;      /* (o) that this arena took */
};

/* coro_arena_init - reserve address space for nr stacks of stack_size bytes (rounded up to
 * pages). Where the system refuses so much, half as many, and so on. 0; -ENOMEM; -EINVAL. */
MUST_USE int coro_arena_init(struct coro_arena *a, uint32_t nr, size_t stack_size);
/* coro_arena_fini - give everything back; no coroutine on it may run any more. */
void coro_arena_fini(struct coro_arena *a);
/* coro_arena_carve - a stack never used before, its guard in place. 0; -ENOMEM: none is left, or
 * one more guard by mprotect would come too near to vm.max_map_count, which the whole process
 * shares. */
MUST_USE int coro_arena_carve(struct coro_arena *a, struct coro_stack *ret_stack);
/* coro_arena_release - the memory of slot `index` goes back to the system: its bytes are zero
 * when touched again. The guard stays, and the slot is still carved. */
void coro_arena_release(const struct coro_arena *a, uint32_t index);
/* coro_arena_slot - the slot that addr lies in; *ret_in_guard says where. -1: not of a. */
int64_t coro_arena_slot(const struct coro_arena *a, uintptr_t addr, bool *ret_in_guard);
/* coro_arena_stack - the bounds of slot `index`. */
struct coro_stack coro_arena_stack(const struct coro_arena *a, uint32_t index);

/* The FP control words (mxcsr and x87 on x86-64, FPCR on aarch64): rounding, flushing, traps. */
struct coro_fpu {
	uint64_t word;
};

/* coro_fpu_current - the calling thread's. */
struct coro_fpu coro_fpu_current(void);

/* coro_prepare - lay the first frame below `top`; the first switch to the returned stack
 * pointer calls entry(arg), which must not return. */
void *coro_prepare(void *top, struct coro_fpu fpu, void (*entry)(void *arg), void *arg);

/*
 * coro_switch - save the present context in *save_sp and go on with to_sp. `fpu` are the control
 * words that this context finds when it goes on: who wants its own kept reads them before. They
 * are a parameter because reading mxcsr costs more than all the rest of a switch (6.5 ns beside
 * 3; loading it 0.3 ns), and only a context that changed them has a reason to.
 */
void coro_switch(void **save_sp, void *to_sp, struct coro_fpu fpu);

/*
 * coro_walk - call fn(arg) such that an unwinder inside of it finds the frames of the context
 * saved at sp above fn's own. Nothing runs on that stack and nothing is written there; it must
 * stay switched away meanwhile.
 */
void coro_walk(void *sp, void (*fn)(void *arg), void *arg);

/* coro_started - false: the context at sp is a first frame still, nothing to walk. */
bool coro_started(const void *sp);

/*
 * coro_shadow_stack - does the calling thread run under a shadow stack (x86 CET, aarch64 GCS)?
 * The switch does not follow one, and the first return on another stack would be fatal.
 * coro_shadow_stack_probe is what it asks; tests put another one there.
 */
bool coro_shadow_stack(void);
extern bool (*coro_shadow_stack_probe)(void);

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

/* On what is entered on one context and left on another: see coro_san.c. */
#if defined(CORO_TSAN) && defined(__clang__)
#define CORO_NO_TSAN __attribute__((disable_sanitizer_instrumentation))
#elif defined(CORO_TSAN)
#define CORO_NO_TSAN __attribute__((no_sanitize_thread))
#else
#define CORO_NO_TSAN
#endif

/* What the tools know of one context: a coroutine, or a thread's own stack. */
struct coro_san {
#if defined(CORO_ASAN)
	void *fake;         /* ASan's fake stack while switched away */
	const void *bottom; /* lowest address */
	size_t size;
#endif
#if defined(CORO_TSAN)
	void *fiber;
#endif
	unsigned valgrind_id;
};

/* coro_san_init - a stack was carved: for all the coroutines that it will carry. */
void coro_san_init(struct coro_san *s, const struct coro_stack *stack);
/* coro_san_fini - it carries no more; another context is current. */
void coro_san_fini(struct coro_san *s);

/* The rest is told of every birth and switch: nothing at all in a normal build. */
#if defined(CORO_ASAN) || defined(CORO_TSAN)
/* coro_san_thread - `s` is the calling thread's own stack, which is current. */
void coro_san_thread(struct coro_san *s);
/* coro_san_open - a coroutine on `stack` is about to be: unpoisons what the one before left. */
void coro_san_open(struct coro_san *s, const struct coro_stack *stack);
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
