/* SPDX-License-Identifier: BSD-3-Clause */
/* The first frame of a coroutine on x86-64 and what else of coro.h knows that machine. The
 * frame is switch_x86_64.S's. */
#include <sys/syscall.h>
#include <unistd.h>

#include "poller/coro.h"

/* arch/x86/include/uapi/asm/prctl.h, Linux 6.6 */
#define SHSTK_STATUS 0x5005
#define SHSTK_SHSTK  1u

void coro_trampoline(void);

struct coro_fpu coro_fpu_current(void)
{
	uint32_t mxcsr;
	uint16_t fcw;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	/* The low six bits of mxcsr are status, which the ABI does not keep. */
	return (struct coro_fpu){(mxcsr & ~0x3fu) | (uint64_t)fcw << 32};
}

/* The frame that coro_switch() pops, from the lowest address up. */
struct first_frame {
	struct coro_fpu fpu;
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t rip;
	uint64_t pad; /* %rsp is 16-byte aligned where the trampoline calls */
};

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

bool coro_started(const void *sp)
{
	const struct first_frame *f = sp;

	return f->rip != (uintptr_t)coro_trampoline;
}

static bool probe(void)
{
	uint64_t features = 0;

	return syscall(SYS_arch_prctl, SHSTK_STATUS, &features) == 0 && (features & SHSTK_SHSTK);
}

bool (*coro_shadow_stack_probe)(void) = probe;
