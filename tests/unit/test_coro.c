/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Coroutines by themselves: the switch and what it keeps, the arena, its guards, and the one
 * line that a stack overflow leaves.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fenv.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

#include "poller/coro.h"
#include "poller/lane_int.h"
#include "poller/sched.h"

struct pingpong {
	struct coro_arena arena;
	struct coro_stack stack;
	struct coro_san san_main, san_co;
	void *main_sp, *co_sp;
	struct coro_fpu main_fpu, co_fpu; /* what each side finds when it goes on */
	struct coro_fpu seen;
	int step;
};

static void to_main(struct pingpong *p)
{
	coro_san_leave(&p->san_co, &p->san_main, false);
	coro_switch(&p->co_sp, p->main_sp, p->co_fpu);
	coro_san_enter(&p->san_co);
}

static void to_co(struct pingpong *p)
{
	coro_san_leave(&p->san_main, &p->san_co, false);
	coro_switch(&p->main_sp, p->co_sp, p->main_fpu);
	coro_san_enter(&p->san_main);
}

static void pingpong_open(struct pingpong *p, void (*fn)(void *))
{
	memset(p, 0, sizeof(*p));
	cr_assert_eq(coro_arena_init(&p->arena, 4, 64 << 10), 0);
	cr_assert_eq(coro_arena_carve(&p->arena, &p->stack), 0);
	coro_san_thread(&p->san_main);
	coro_san_init(&p->san_co, &p->stack);
	coro_san_open(&p->san_co, &p->stack);
	p->main_fpu = p->co_fpu = coro_fpu_current();
	p->co_sp = coro_prepare(p->stack.hi, p->co_fpu, fn, p);
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
	coro_san_fini(&p.san_co);
	coro_arena_fini(&p.arena);
}

/* Upward rounding, by the machine's own name for it; fesetround() sets all the words there are. */
static void change_rounding(void *arg)
{
	struct pingpong *p = arg;

	coro_san_enter(&p->san_co);
	cr_assert_eq(fesetround(FE_UPWARD), 0);
	p->co_fpu = coro_fpu_current();
	for (;;) {
		to_main(p);
		p->seen = coro_fpu_current();
		p->step = fegetround();
	}
}

Test(coro, test_coro_switch_gives_each_side_its_fp_control_words)
{
	static struct pingpong p;

	pingpong_open(&p, change_rounding);
	to_co(&p);
	cr_assert_eq(coro_fpu_current().word, p.main_fpu.word);
	cr_assert_eq(fegetround(), FE_TONEAREST);
	to_co(&p);
	cr_assert_neq(p.co_fpu.word, p.main_fpu.word);
	cr_assert_eq(p.seen.word, p.co_fpu.word);
	cr_assert_eq(p.step, FE_UPWARD);
	cr_assert_eq(fegetround(), FE_TONEAREST);
	coro_san_fini(&p.san_co);
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
	coro_san_fini(&p.san_co);
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

Test(coro, test_coro_guards_by_mprotect_stop_before_the_map_limit)
{
	struct coro_arena a, b;
	struct coro_stack s;

	cr_assert_eq(coro_arena_init(&a, 8, 64 << 10), 0);
	cr_assert_eq(coro_arena_init(&b, 8, 64 << 10), 0);
	cr_assert_gt(a.map_limit, 1000);
	a.guard_by_madvise = b.guard_by_madvise = false;
	a.map_limit = b.map_limit = 6; /* three guards, of both together */
	cr_assert_eq(coro_arena_carve(&a, &s), 0);
	cr_assert_eq(coro_arena_carve(&b, &s), 0);
	cr_assert_eq(coro_arena_carve(&a, &s), 0);
	cr_assert_eq(coro_arena_carve(&a, &s), -ENOMEM);
	cr_assert_eq(coro_arena_carve(&b, &s), -ENOMEM);
	coro_arena_fini(&a);
	cr_assert_eq(coro_arena_carve(&b, &s), 0, "what an arena took comes back");
	coro_arena_fini(&b);
}

Test(coro, test_coro_release_gives_the_pages_back_and_keeps_the_guard)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	unsigned char in_core[64];
	struct coro_arena a;
	struct coro_stack s;
	size_t size;

	cr_assert_eq(coro_arena_init(&a, 2, 64 << 10), 0);
	cr_assert_eq(coro_arena_carve(&a, &s), 0);
	size = (size_t)(s.hi - s.lo);
	cr_assert_leq(size / 4096, sizeof(in_core));
	memset(s.lo, 0xaa, size);
	coro_arena_release(&a, s.index);
	cr_assert_eq(mincore(s.lo, size, in_core), 0);
	for (size_t i = 0; i < size / (size_t)sysconf(_SC_PAGESIZE); i++)
		cr_assert_eq(in_core[i] & 1, 0);
	cr_assert_eq(s.hi[-1], 0);
	cr_assert_eq(write(fd, s.lo - 8, 8), -1);
	cr_assert_eq(errno, EFAULT);
	close(fd);
	coro_arena_fini(&a);
}

/* ---- the walk ---- */

struct frames {
	uintptr_t pc[32];
	unsigned nr;
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *ctx, void *arg)
{
	struct frames *f = arg;

	if (f->nr < ARRAY_SIZE(f->pc))
		f->pc[f->nr++] = _Unwind_GetRegionStart(ctx);
	return _URC_NO_REASON;
}

static void collect(void *arg)
{
	_Unwind_Backtrace(note_frame, arg);
}

static NOINLINE int inner(struct pingpong *p)
{
	to_main(p);
	return p->step;
}

static void outer(void *arg)
{
	struct pingpong *p = arg;

	coro_san_enter(&p->san_co);
	for (;;)
		p->step = inner(p) + 1;
}

static bool has(const struct frames *f, void (*fn)(void))
{
	for (unsigned i = 0; i < f->nr; i++)
		if (f->pc[i] == (uintptr_t)fn)
			return true;
	return false;
}

Test(coro, test_coro_walk_finds_the_frames_of_a_parked_one_and_ends)
{
	static struct pingpong p;
	struct frames f = {.nr = 0};
	uint8_t before[4096];

	pingpong_open(&p, outer);
	cr_assert_not(coro_started(p.co_sp));
	to_co(&p);
	cr_assert(coro_started(p.co_sp));
	memcpy(before, p.stack.hi - sizeof(before), sizeof(before));
	coro_walk(p.co_sp, collect, &f);
	cr_assert(has(&f, (void (*)(void))inner));
	cr_assert(has(&f, (void (*)(void))outer));
	cr_assert_lt(f.nr, ARRAY_SIZE(f.pc), "ends at the trampoline");
	cr_assert_eq(memcmp(before, p.stack.hi - sizeof(before), sizeof(before)), 0);
	to_co(&p);
	cr_assert_eq(p.step, 1, "and it goes on as if nothing had been");
	coro_san_fini(&p.san_co);
	coro_arena_fini(&p.arena);
}

static bool active(void)
{
	return true;
}

Test(coro, test_coro_no_lane_under_a_shadow_stack)
{
	struct lane_config cfg;
	struct lane *l = NULL;

	cr_assert_not(coro_shadow_stack());
	coro_shadow_stack_probe = active;
	lane_config_init(&cfg);
	cr_assert_eq(lane_create(&cfg, &l), -ENOEXEC);
	cr_assert_null(l);
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

/* One frame that is larger than the whole stack: it must not reach over the guard. */
static void big_frame(void *arg)
{
	volatile char frame[80 << 10];

	(void)arg;
	__asm__ volatile("" : : "r"(frame) : "memory"); /* all of it is used */
	frame[0] = 1;
	deep(frame[0]);
}

static void waits(void *arg)
{
	(void)arg;
	sched_sleep(1000000000);
}

/* A stray pointer: one byte below the stack of a g that is parked. */
static void strays(void *arg)
{
	struct lane *l = lane_self();

	(void)arg;
	if (lane_go(l, waits, NULL, "bystander"))
		_exit(5);
	sched_yield_();
	*(volatile char *)(coro_arena_stack(&l->sched.arena, 1).lo - 1) = 1;
}

static void null_write(void *arg)
{
	/* In assembly, so that no sanitizer has a word to say first. arg is NULL. */
#if defined(__x86_64__)
	__asm__ volatile("movl $1, (%0)" : : "r"(arg) : "memory");
#else
	__asm__ volatile("str wzr, [%0]" : : "r"(arg) : "memory");
#endif
}

static void prev_handler(int sig)
{
	(void)sig;
	(void)!write(2, "previous handler\n", 17);
	_exit(7);
}

/* What the child's thread starts with: pl_run() starts those of all lanes but the first with all
 * signals blocked. */
static bool child_blocks;

/* Runs fn as a g in a child; fills out[] with its stderr; returns the wait status. */
static int run_child(void (*fn)(void *), void (*handler)(int), char *out, size_t size)
{
	sigset_t every;
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
		sigfillset(&every);
		if (child_blocks)
			pthread_sigmask(SIG_BLOCK, &every, NULL);
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

Test(coro, test_coro_touch_of_anothers_guard_names_who_did_it)
{
	char out[4096];
	int status = run_child(strays, SIG_DFL, out, sizeof(out));

	cr_assert(strstr(out, "(deep_one) touched the guard of another") &&
			  strstr(out, "(bystander) has that stack") && strstr(out, "strays") &&
			  !strstr(out, "overflow"),
		  "said: %s", out);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %x", status);
}

Test(coro, test_coro_overflow_on_a_thread_that_blocks_signals_names_the_goroutine)
{
	char out[4096];
	int status;

	child_blocks = true;
	status = run_child(overflows, SIG_DFL, out, sizeof(out));
	cr_assert(strstr(out, "deep_one") && strstr(out, "stack overflow"), "said: %s", out);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "status %x", status);
}

Test(coro, test_coro_fault_on_a_thread_that_blocks_signals_goes_to_previous_handler)
{
	char out[4096];
	int status;

	child_blocks = true;
	status = run_child(null_write, prev_handler, out, sizeof(out));
	cr_assert_str_eq(out, "previous handler\n");
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

Test(coro, test_coro_overflow_by_a_big_frame_names_the_goroutine)
{
	char out[4096];
	int status = run_child(big_frame, SIG_DFL, out, sizeof(out));

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

	cr_assert_null(strstr(out, "goroutine"), "said: %s", out);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}
