/* SPDX-License-Identifier: BSD-3-Clause */
/* The first frame of a coroutine on aarch64 and what else of coro.h knows that machine. The
 * frame is switch_aarch64.S's. */
#include <sys/prctl.h>

#include "poller/coro.h"

/* include/uapi/linux/prctl.h, Linux 6.13 */
#define GET_SHADOW_STACK_STATUS 74
#define SHADOW_STACK_ENABLE     1ul

void coro_trampoline(void);

struct coro_fpu coro_fpu_current(void)
{
	struct coro_fpu f;

	__asm__ volatile("mrs %0, fpcr" : "=r"(f.word));
	return f;
}

/* The frame that coro_switch() pops, from the lowest address up; a multiple of 16. */
struct first_frame {
	uint64_t x29, x30; /* the ABI's frame record */
	uint64_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28;
	uint64_t d8, d9, d10, d11, d12, d13, d14, d15;
	struct coro_fpu fpu;
	uint64_t pad;
};

_Static_assert(sizeof(struct first_frame) == 176, "FRAME of switch_aarch64.S");

void *coro_prepare(void *top, struct coro_fpu fpu, void (*entry)(void *arg), void *arg)
{
	struct first_frame *f = (void *)(((uintptr_t)top & ~(uintptr_t)15) - sizeof(*f));

	*f = (struct first_frame){
		.x30 = (uintptr_t)coro_trampoline,
		.x19 = (uintptr_t)entry,
		.x20 = (uintptr_t)arg,
		.fpu = fpu,
	};
	return f;
}

bool coro_started(const void *sp)
{
	const struct first_frame *f = sp;

	return f->x30 != (uintptr_t)coro_trampoline;
}

static bool probe(void)
{
	unsigned long mode = 0;

	return prctl(GET_SHADOW_STACK_STATUS, &mode, 0, 0, 0) == 0 && (mode & SHADOW_STACK_ENABLE);
}

bool (*coro_shadow_stack_probe)(void) = probe;
