/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals on a lane's thread. A goroutine that runs into its guard ends the program with a
 * line that names it and its frames; the handler runs on an alternate stack. All asynchronous signals are
 * blocked, since a handler on a goroutine's small stack is an accident, apart from those by
 * which a user ends or stops a program: who handles these gives SA_ONSTACK.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include "poller/lane_int.h"
#include "poller/symbols.h"

static struct sigaction old_segv;
static pthread_once_t segv_once = PTHREAD_ONCE_INIT;

/* ---- one line without stdio: the heap may be what broke ---- */

struct line {
	char buf[256];
	size_t n;
};

static void line_str(struct line *ln, const char *s)
{
	while (*s && ln->n < sizeof(ln->buf) - 1)
		ln->buf[ln->n++] = *s++;
}

static void line_num(struct line *ln, uint64_t v)
{
	char d[21];
	int i = sizeof(d) - 1;

	d[i] = '\0';
	do {
		d[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	line_str(ln, &d[i]);
}

static void line_put(struct line *ln)
{
	ln->buf[ln->n++] = '\n'; /* line_str() leaves room for it */
	(void)!write(STDERR_FILENO, ln->buf, ln->n);
}

/* ---- where it stood ---- */

/* Frames of one return address in a row are one line: an overflow is mostly a recursion. */
#define FRAMES_FIRST 16u
#define FRAMES_LAST  8u

struct frame {
	uintptr_t at, pc; /* where the call stands, where it returns to */
	uint64_t times;
};

struct trace {
	uintptr_t lo, hi; /* guard and stack */
	bool in_g;        /* the handler's own frames are behind us */
	uint64_t nr;
	struct frame first[FRAMES_FIRST], last[FRAMES_LAST]; /* [nr % FRAMES_LAST] */
};

static struct frame *frame_of(struct trace *t, uint64_t i)
{
	return i < FRAMES_FIRST ? &t->first[i] : &t->last[i % FRAMES_LAST];
}

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *ctx, void *arg)
{
	struct trace *t = arg;
	uintptr_t cfa = _Unwind_GetCFA(ctx), pc;
	int interrupted = 0;

	pc = _Unwind_GetIPInfo(ctx, &interrupted);
	/* the kernel's frame is between the handler's and those of what was interrupted */
	if (!t->in_g && !interrupted)
		return _URC_NO_REASON;
	t->in_g = true;
	if (!pc || cfa < t->lo || cfa > t->hi)
		return _URC_END_OF_STACK;
	if (t->nr && frame_of(t, t->nr - 1)->pc == pc) {
		frame_of(t, t->nr - 1)->times++;
		return _URC_NO_REASON;
	}
	*frame_of(t, t->nr) = (struct frame){pc - !interrupted, pc, 1};
	t->nr++;
	return _URC_NO_REASON;
}

static void report_frame(const struct frame *f)
{
	struct line ln = {.n = 0};

	line_str(&ln, "    ");
	ln.n += symbols_raw(f->at, f->pc, &ln.buf[ln.n], sizeof(ln.buf) - 64);
	if (f->times > 1) {
		line_str(&ln, "  (");
		line_num(&ln, f->times);
		line_str(&ln, " times)");
	}
	line_put(&ln);
}

/* report_frames - on the signal stack; only what may be called in a handler. libgcc's unwinder asks
 * _dl_find_object() for its tables, which takes no lock. */
static void report_frames(const struct g *g)
{
	struct trace t = {.lo = (uintptr_t)g->stack.lo - CORO_GUARD_SIZE,
			  .hi = (uintptr_t)g->stack.hi};
	uint64_t from = 0;

	(void)_Unwind_Backtrace(note_frame, &t);
	for (uint64_t i = 0; i < t.nr; i++) {
		if (i == FRAMES_FIRST && t.nr > FRAMES_FIRST + FRAMES_LAST) {
			struct line ln = {.n = 0};

			from = t.nr - FRAMES_LAST;
			line_str(&ln, "    ... ");
			line_num(&ln, from - i);
			line_str(&ln, " more ...");
			line_put(&ln);
			i = from;
		}
		report_frame(frame_of(&t, i));
	}
}

static void report_overflow(const struct g *g)
{
	struct line ln = {.n = 0};

	line_str(&ln, "parklane: goroutine ");
	line_num(&ln, g->id);
	line_str(&ln, " (");
	line_str(&ln, g->name ? g->name : "?");
	line_str(&ln, "): stack overflow, its stack has ");
	line_num(&ln, (uint64_t)(g->stack.hi - g->stack.lo) / 1024);
	line_str(&ln, " KiB");
	line_put(&ln);
	report_frames(g);
}

/* default_action - the faulting instruction runs again and ends the program. */
static void default_action(int sig)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	sigaction(sig, &dfl, NULL);
}

static void on_segv(int sig, siginfo_t *si, void *uc)
{
	struct lane *l = lane_self();
	struct sched *s;
	bool in_guard = false;
	int64_t slot = -1;
	struct g *g;

	/* A movable g may run on a stack of another lane's arena. */
	s = l && l->sched.cur ? l->sched.cur->home : NULL;
	if (s)
		slot = coro_arena_slot(&s->arena, (uintptr_t)si->si_addr, &in_guard);
	g = slot >= 0 && in_guard ? sched_of_slot(s, (uint32_t)slot) : NULL;
	if (g) {
		report_overflow(g);
		default_action(sig);
		return;
	}
	if (old_segv.sa_flags & SA_SIGINFO)
		old_segv.sa_sigaction(sig, si, uc);
	else if (old_segv.sa_handler == SIG_DFL || old_segv.sa_handler == SIG_IGN)
		default_action(sig);
	else
		old_segv.sa_handler(sig);
}

static void install_segv(void)
{
	struct sigaction sa = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, &old_segv);
}

static int altstack_put(struct lane_thread *t)
{
	stack_t ss = {0};
	long min = sysconf(_SC_MINSIGSTKSZ);

	if (sigaltstack(NULL, &ss) == 0 && !(ss.ss_flags & SS_DISABLE))
		return 0; /* a sanitizer's or the program's: it will do */
	t->altstack_size = (size_t)(min > 0 ? min : MINSIGSTKSZ) + (32u << 10);
	t->altstack = malloc(t->altstack_size);
	if (!t->altstack)
		return -ENOMEM;
	ss = (stack_t){.ss_sp = t->altstack, .ss_size = t->altstack_size};
	if (sigaltstack(&ss, NULL)) {
		free(t->altstack);
		t->altstack = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* Faults of the code itself. Open on every lane, whatever the thread inherited: the kernel ends a
 * program that faults while the fault is blocked, without a line and past the user's handler. */
static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

/* A user's end, stop and continue: as the thread has them. */
static const int user_signals[] = {SIGABRT, SIGINT,  SIGTERM, SIGQUIT, SIGHUP,
				   SIGTSTP, SIGCONT, SIGTTIN, SIGTTOU, SIGPIPE};

int lane_signals_attach(struct lane_thread *t)
{
	sigset_t set, faults;
	int err;

	err = altstack_put(t);
	if (err)
		return err;
	pthread_once(&segv_once, install_segv);
	sigfillset(&set);
	sigemptyset(&faults);
	for (size_t i = 0; i < ARRAY_SIZE(fault_signals); i++) {
		sigdelset(&set, fault_signals[i]);
		sigaddset(&faults, fault_signals[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(user_signals); i++)
		sigdelset(&set, user_signals[i]);
	pthread_sigmask(SIG_BLOCK, &set, &t->old_mask);
	pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
	return 0;
}

void lane_signals_detach(struct lane_thread *t)
{
	stack_t off = {.ss_flags = SS_DISABLE};

	pthread_sigmask(SIG_SETMASK, &t->old_mask, NULL);
	if (t->altstack) {
		sigaltstack(&off, NULL);
		free(t->altstack);
		t->altstack = NULL;
	}
}
