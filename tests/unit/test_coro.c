/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Coroutines by themselves: the switch and what it keeps, the arena, its guards, and the one
 * line that a stack overflow leaves.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "poller/coro.h"
#include "poller/lane.h"
#include "poller/sched.h"

struct pingpong {
	struct coro_arena arena;
	struct coro_stack stack;
	struct coro_san san_main, san_co;
	void *main_sp, *co_sp;
	int step;
	unsigned mxcsr;
	uint16_t fcw;
};

static void to_main(struct pingpong *p)
{
	coro_san_leave(&p->san_co, &p->san_main, false);
	coro_switch(&p->co_sp, p->main_sp);
	coro_san_enter(&p->san_co);
}

static void to_co(struct pingpong *p)
{
	coro_san_leave(&p->san_main, &p->san_co, false);
	coro_switch(&p->main_sp, p->co_sp);
	coro_san_enter(&p->san_main);
}

static void pingpong_open(struct pingpong *p, void (*fn)(void *))
{
	memset(p, 0, sizeof(*p));
	cr_assert_eq(coro_arena_init(&p->arena, 4, 64 << 10), 0);
	cr_assert_eq(coro_arena_carve(&p->arena, &p->stack), 0);
	coro_san_thread(&p->san_main);
	coro_san_open(&p->san_co, &p->stack);
	p->co_sp = coro_prepare(p->stack.hi, coro_fpu_current(), fn, p);
}

static void count_steps(void *arg)
{
	struct pingpong *p = arg;

	coro_san_enter(&p->san_co);
	for (;;) {
		cr_assert_eq((uintptr_t)__builtin_frame_address(0) % 16, 0);
		p->step++;
		to_main(p);
	}
}

Test(coro, test_coro_switch_alternates)
{
	static struct pingpong p;

	pingpong_open(&p, count_steps);
	for (int i = 1; i <= 1000; i++) {
		to_co(&p);
		cr_assert_eq(p.step, i);
	}
	coro_san_close(&p.san_co);
	coro_arena_fini(&p.arena);
}

static uint16_t get_fcw(void)
{
	uint16_t w;

	__asm__ volatile("fnstcw %0" : "=m"(w));
	return w;
}

static void change_rounding(void *arg)
{
	struct pingpong *p = arg;

	uint16_t fcw = (uint16_t)((get_fcw() & ~0x0c00) | 0x0800);

	coro_san_enter(&p->san_co);
	_mm_setcsr((_mm_getcsr() & ~0x6000u) | 0xc000); /* round up, flush to zero */
	__asm__ volatile("fldcw %0" : : "m"(fcw));
	for (;;) {
		to_main(p);
		p->mxcsr = _mm_getcsr();
		p->fcw = get_fcw();
	}
}

Test(coro, test_coro_switch_keeps_fp_control_words)
{
	static struct pingpong p;
	unsigned mine = _mm_getcsr() & 0xffc0;
	uint16_t fcw = get_fcw();

	pingpong_open(&p, change_rounding);
	to_co(&p);
	cr_assert_eq(_mm_getcsr() & 0xffc0, mine);
	cr_assert_eq(get_fcw(), fcw);
	to_co(&p);
	cr_assert_eq(p.mxcsr & 0xe000, 0xc000, "rounding up and flush to zero came back");
	cr_assert_eq(p.fcw & 0x0c00, 0x0800);
	cr_assert_eq(_mm_getcsr() & 0xffc0, mine);
	coro_san_close(&p.san_co);
	coro_arena_fini(&p.arena);
}

/* The callee-saved registers of each side survive any number of rounds. */
static NOINLINE uint64_t mixed(struct pingpong *p, void (*hop)(struct pingpong *), uint64_t a)
{
	uint64_t b = a * 3, c = a ^ 0x55, d = a + 7, e = a << 1, f = ~a;

	for (int i = 0; i < 100; i++) {
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
		hop(p);
	}
	return a + b + c + d + e + f;
}

static uint64_t mixed_want(uint64_t a)
{
	return a + a * 3 + (a ^ 0x55) + a + 7 + (a << 1) + ~a;
}

static void mix_other(void *arg)
{
	struct pingpong *p = arg;

	coro_san_enter(&p->san_co);
	p->step = mixed(p, to_main, 0xabcdef) == mixed_want(0xabcdef) ? 1 : -1;
	for (;;)
		to_main(p);
}

Test(coro, test_coro_switch_keeps_callee_saved_registers)
{
	static struct pingpong p;

	pingpong_open(&p, mix_other);
	cr_assert_eq(mixed(&p, to_co, 0x1234567), mixed_want(0x1234567));
	to_co(&p);
	cr_assert_eq(p.step, 1);
	coro_san_close(&p.san_co);
	coro_arena_fini(&p.arena);
}

Test(coro, test_coro_arena_ends_with_enomem_and_bad_sizes_with_einval)
{
	struct coro_arena a;
	struct coro_stack s;

	cr_assert_eq(coro_arena_init(&a, 0, 64 << 10), -EINVAL);
	cr_assert_eq(coro_arena_init(&a, 2, 100), -EINVAL);
	cr_assert_eq(coro_arena_init(&a, 2, 64 << 10), 0);
	cr_assert_eq(coro_arena_carve(&a, &s), 0);
	cr_assert_eq(s.index, 0);
	cr_assert_geq(s.hi - s.lo, 64 << 10);
	cr_assert_eq(coro_arena_carve(&a, &s), 0);
	cr_assert_eq(s.index, 1);
	cr_assert_eq(coro_arena_carve(&a, &s), -ENOMEM);
	coro_arena_fini(&a);
}

/* By the kernel's own eyes: a copy out of the guard fails, one out of the stack does not. */
static void check_guard(struct coro_arena *a)
{
	struct coro_stack s;
	int fd = eventfd(0, EFD_NONBLOCK);

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(coro_arena_carve(a, &s), 0);
		cr_assert_eq(write(fd, s.lo - CORO_GUARD_SIZE, 8), -1);
		cr_assert_eq(errno, EFAULT);
		cr_assert_eq(write(fd, s.lo - 8, 8), -1);
		cr_assert_eq(errno, EFAULT);
		cr_assert_eq(write(fd, s.lo, 8), 8);
		cr_assert_eq(write(fd, s.hi - 8, 8), 8);
	}
	close(fd);
}

Test(coro, test_coro_guard_cannot_be_read)
{
	struct coro_arena a;

	cr_assert_eq(coro_arena_init(&a, 8, 64 << 10), 0);
	check_guard(&a);
	coro_arena_fini(&a);
}

Test(coro, test_coro_guard_by_mprotect_cannot_be_read)
{
	struct coro_arena a;

	cr_assert_eq(coro_arena_init(&a, 8, 64 << 10), 0);
	a.guard_by_madvise = false;
	check_guard(&a);
	coro_arena_fini(&a);
}

Test(coro, test_coro_slot_tells_guard_from_stack)
{
	struct coro_arena a;
	struct coro_stack s;
	bool guard;

	cr_assert_eq(coro_arena_init(&a, 2, 64 << 10), 0);
	cr_assert_eq(coro_arena_carve(&a, &s), 0);
	cr_assert_eq(coro_arena_carve(&a, &s), 0);
	cr_assert_eq(coro_arena_slot(&a, (uintptr_t)s.lo - 1, &guard), 1);
	cr_assert(guard);
	cr_assert_eq(coro_arena_slot(&a, (uintptr_t)s.lo, &guard), 1);
	cr_assert_not(guard);
	cr_assert_eq(coro_arena_slot(&a, (uintptr_t)s.hi, &guard), -1);
	cr_assert_eq(coro_arena_slot(&a, 0, &guard), -1);
	coro_arena_fini(&a);
}

/* ---- overflow, in a child of our own: it dies ---- */

static NOINLINE int deep(volatile int n)
{
	volatile char frame[512];

	frame[0] = (char)n;
	return n == 0 ? frame[0] : deep(n - 1) + frame[0];
}

static void overflows(void *arg)
{
	(void)arg;
	deep(1 << 20);
}

static void null_write(void *arg)
{
	/* In assembly, so that no sanitizer has a word to say first. arg is NULL. */
	__asm__ volatile("movl $1, (%0)" : : "r"(arg) : "memory");
}

static void prev_handler(int sig)
{
	(void)sig;
	(void)!write(2, "previous handler\n", 17);
	_exit(7);
}

/* Runs fn as a g in a child; fills out[] with its stderr; returns the wait status. */
static int run_child(void (*fn)(void *), void (*handler)(int), char *out, size_t size)
{
	struct rlimit no_core = {0, 0};
	struct lane_config cfg;
	struct lane *l;
	ssize_t n, len = 0;
	int fd[2], status;
	pid_t pid;

	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fd[1], 2);
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, handler);
		lane_config_init(&cfg);
		cfg.max_g = 16;
		if (lane_create(&cfg, &l) || lane_go(l, fn, NULL, "deep_one"))
			_exit(3);
		lane_run(l);
		_exit(4);
	}
	close(fd[1]);
	while ((n = read(fd[0], out + len, size - 1 - (size_t)len)) > 0)
		len += n;
	out[len] = '\0';
	close(fd[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

Test(coro, test_coro_overflow_names_the_goroutine_and_dies)
{
	char out[4096];
	int status = run_child(overflows, SIG_DFL, out, sizeof(out));

	cr_assert(strstr(out, "deep_one") && strstr(out, "stack overflow"), "said: %s", out);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %x", status);
}

Test(coro, test_coro_other_fault_goes_to_previous_handler)
{
	char out[4096];
	int status = run_child(null_write, prev_handler, out, sizeof(out));

	cr_assert_str_eq(out, "previous handler\n");
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

Test(coro, test_coro_other_fault_without_handler_dies_by_default)
{
	char out[4096];
	int status = run_child(null_write, SIG_DFL, out, sizeof(out));

	cr_assert_str_empty(out);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
