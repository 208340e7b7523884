/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Coroutine stacks and their guards, the first frame, and the sanitizer annotations. Stacks
 * come from one MAP_NORESERVE arena without huge pages: a parked goroutine costs the pages
 * that it touched, which is one.
 */
#include "poller/coro.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stack/base/bug.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#define PAGE ((size_t)4096)

void coro_trampoline(void);

static bool guard_put(uint8_t *guard, bool by_madvise)
{
	if (by_madvise)
		return madvise(guard, CORO_GUARD_SIZE, MADV_GUARD_INSTALL) == 0;
	return mprotect(guard, CORO_GUARD_SIZE, PROT_NONE) == 0;
}

/*
 * Does the kernel know MADV_GUARD_INSTALL, and does it guard? Old kernels refuse the value,
 * but a sandbox may accept and ignore it: so the proof is a copy out of the guard, which must
 * fail with EFAULT.
 */
static bool guard_proven(const struct coro_arena *a)
{
	bool ok = false;
	int fd;

	if (!guard_put(a->base, true))
		return false;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return false;
	ok = write(fd, a->base + CORO_GUARD_SIZE - 8, 8) < 0 && errno == EFAULT;
	close(fd);
	return ok;
}

int coro_arena_init(struct coro_arena *a, uint32_t nr, size_t stack_size)
{
	size_t stack = (stack_size + PAGE - 1) & ~(PAGE - 1);
	void *p = MAP_FAILED;

	if (nr == 0 || stack_size < CORO_STACK_MIN || stack_size > (size_t)1 << 30)
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	/* An odd number of pages: the hot top pages of many stacks spread over all the sets of
	 * a physically or virtually indexed L2 instead of sharing a few. */
	a->slot_size = CORO_GUARD_SIZE + stack;
	if (a->slot_size / PAGE % 2 == 0)
		a->slot_size += PAGE;
	for (; nr > 0; nr /= 2) {
		p = mmap(NULL, nr * a->slot_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
		if (p != MAP_FAILED)
			break;
	}
	if (p == MAP_FAILED)
		return -ENOMEM;
	a->base = p;
	a->nr_slots = nr;
	/* Refused only by kernels without transparent huge pages, which need no telling. */
	(void)madvise(p, nr * a->slot_size, MADV_NOHUGEPAGE);
	a->guard_by_madvise = guard_proven(a);
	return 0;
}

void coro_arena_fini(struct coro_arena *a)
{
	if (a->base)
		munmap(a->base, a->nr_slots * a->slot_size);
	memset(a, 0, sizeof(*a));
}

struct coro_stack coro_arena_stack(const struct coro_arena *a, uint32_t index)
{
	uint8_t *slot = a->base + (size_t)index * a->slot_size;

	return (struct coro_stack){
		.lo = slot + CORO_GUARD_SIZE,
		.hi = slot + a->slot_size,
		.index = index,
	};
}

int coro_arena_carve(struct coro_arena *a, struct coro_stack *ret_stack)
{
	struct coro_stack s;

	if (a->nr_carved == a->nr_slots)
		return -ENOMEM;
	s = coro_arena_stack(a, a->nr_carved);
	if (!guard_put(s.lo - CORO_GUARD_SIZE, a->guard_by_madvise))
		return -ENOMEM;
	a->nr_carved++;
	*ret_stack = s;
	return 0;
}

int64_t coro_arena_slot(const struct coro_arena *a, uintptr_t addr, bool *ret_in_guard)
{
	uintptr_t base = (uintptr_t)a->base;
	size_t off;

	if (!base || addr < base || addr >= base + a->nr_slots * a->slot_size)
		return -1;
	off = addr - base;
	*ret_in_guard = off % a->slot_size < CORO_GUARD_SIZE;
	return (int64_t)(off / a->slot_size);
}

struct coro_fpu coro_fpu_current(void)
{
	struct coro_fpu f = {0};

	__asm__ volatile("stmxcsr %0" : "=m"(f.mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(f.fcw));
	return f;
}

/* The frame that coro_switch() pops, from the lowest address up. */
struct first_frame {
	struct coro_fpu fpu;
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t rip;
	uint64_t pad; /* %rsp is 16-byte aligned where the trampoline calls */
};

_Static_assert(sizeof(struct coro_fpu) == 8, "one word in the frame");

void *coro_prepare(void *top, struct coro_fpu fpu, void (*entry)(void *arg), void *arg)
{
	/* The trampoline starts with %rsp just above rip, which must be a multiple of 16. */
	uintptr_t start = ((uintptr_t)top & ~(uintptr_t)15) - 16;
	struct first_frame *f = (void *)(start - offsetof(struct first_frame, pad));

	*f = (struct first_frame){
		.fpu = fpu,
		.r12 = (uintptr_t)entry,
		.r13 = (uintptr_t)arg,
		.rip = (uintptr_t)coro_trampoline,
	};
	return f;
}

#if defined(CORO_ASAN)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(CORO_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(CORO_ASAN)
void coro_san_thread(struct coro_san *s)
{
	pthread_attr_t attr;
	void *lo;

	memset(s, 0, sizeof(*s));
	BUG_ON(pthread_getattr_np(pthread_self(), &attr) != 0);
	BUG_ON(pthread_attr_getstack(&attr, &lo, &s->size) != 0);
	s->bottom = lo;
	pthread_attr_destroy(&attr);
}

void coro_san_open(struct coro_san *s, const struct coro_stack *stack)
{
	s->fake = NULL;
	s->bottom = stack->lo;
	s->size = (size_t)(stack->hi - stack->lo);
	__asan_unpoison_memory_region(stack->lo, s->size);
}

void coro_san_close(struct coro_san *s)
{
	(void)s;
}

void coro_san_leave(struct coro_san *from, const struct coro_san *to, bool dying)
{
	/* A NULL place to save into tells ASan to free the fake stack. */
	__sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->bottom, to->size);
}

void coro_san_enter(struct coro_san *self)
{
	__sanitizer_finish_switch_fiber(self->fake, NULL, NULL);
}
#elif defined(CORO_TSAN)
void coro_san_thread(struct coro_san *s)
{
	s->fiber = __tsan_get_current_fiber();
}

void coro_san_open(struct coro_san *s, const struct coro_stack *stack)
{
	(void)stack;
	s->fiber = __tsan_create_fiber(0);
}

void coro_san_close(struct coro_san *s)
{
	__tsan_destroy_fiber(s->fiber);
	s->fiber = NULL;
}

void coro_san_leave(struct coro_san *from, const struct coro_san *to, bool dying)
{
	(void)from;
	(void)dying;
	__tsan_switch_to_fiber(to->fiber, 0);
}

void coro_san_enter(struct coro_san *self)
{
	(void)self;
}
#endif
