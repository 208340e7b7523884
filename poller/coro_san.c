/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What AddressSanitizer, ThreadSanitizer and Valgrind are told of stacks and switches.
 *
 * TSan keeps a shadow of each context's call stack: what is entered on one context and left on
 * another would unbalance both, so nothing around a switch may be instrumented (CORO_NO_TSAN).
 * A fibre costs TSan megabytes and one of its some 8,000 threads: one per stack, not per birth.
 */
#include "poller/coro.h"

#include <string.h>

#include "stack/base/bug.h"

#if defined(CORO_ASAN)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

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
#include <sanitizer/tsan_interface.h>

void coro_san_thread(struct coro_san *s)
{
	s->fiber = __tsan_get_current_fiber();
}

void coro_san_open(struct coro_san *s, const struct coro_stack *stack)
{
	(void)s;
	(void)stack;
}

CORO_NO_TSAN void coro_san_leave(struct coro_san *from, const struct coro_san *to, bool dying)
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

#if defined(HAVE_VALGRIND)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(lo, hi) 0
#define VALGRIND_STACK_DEREGISTER(id)   (void)(id)
#endif

void coro_san_init(struct coro_san *s, const struct coro_stack *stack)
{
	memset(s, 0, sizeof(*s));
#if defined(CORO_TSAN)
	s->fiber = __tsan_create_fiber(0);
#endif
	s->valgrind_id = VALGRIND_STACK_REGISTER(stack->lo, stack->hi - 1);
	(void)stack;
}

void coro_san_fini(struct coro_san *s)
{
#if defined(CORO_TSAN)
	__tsan_destroy_fiber(s->fiber);
#endif
	VALGRIND_STACK_DEREGISTER(s->valgrind_id);
}
