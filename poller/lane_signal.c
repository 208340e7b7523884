/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals on a lane's thread. A goroutine that runs into its guard ends the program with a
 * line that names it and its frames; the handler runs on an alternate stack. All asynchronous
 * signals are blocked, since a handler on a goroutine's small stack is an accident, apart from
 * those by which a user ends or stops a program: who handles these gives SA_ONSTACK. What a thread
 * blocks its children block, too: so no more than that, and pl_blocking()'s threads block nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "poller/lane_int.h"
#include "poller/last_words.h"

static struct sigaction old_segv;
static pthread_once_t segv_once = PTHREAD_ONCE_INIT;

/* default_action - the faulting instruction runs again and ends the program. */
static void default_action(int sig)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};

	sigaction(sig, &dfl, NULL);
}

/* guard_owner - the g below whose stack addr lies, in its guard; NULL: nobody's. */
static struct g *guard_owner(uintptr_t addr)
{
	struct lane *l = lane_self();
	struct sched *s;
	bool in_guard = false;
	int64_t slot = -1;

	/* A movable g may run on a stack of another lane's arena. */
	s = l && !lane_forked() && l->sched.cur ? l->sched.cur->home : NULL;
	if (s)
		slot = coro_arena_slot(&s->arena, addr, &in_guard);
	return slot >= 0 && in_guard ? sched_of_slot(s, (uint32_t)slot) : NULL;
}

/* say_guard - the running g touched owner's guard: its own by running out of stack, another's by a
 * stray pointer. Returns the g that ran. */
static const struct g *say_guard(const struct g *owner)
{
	const struct g *cur = lane_self()->sched.cur;

	if (cur == owner) {
		words_goroutine_num(owner, ": stack overflow, its stack has ",
				    (uint64_t)(owner->stack.hi - owner->stack.lo) / 1024,
				    " KiB: see pl_options.stack_kib");
		return cur;
	}
	words_goroutine(cur, " touched the guard of another goroutine's stack:");
	words_goroutine(owner, " has that stack");
	return cur;
}

/* explained - has it been said why addr faulted? */
static bool explained(uintptr_t addr)
{
	bool in_child = lane_forked_at(addr);
	const struct g *g = in_child ? lane_forked() : guard_owner(addr);

	if (!g)
		return false;
	if (in_child)
		words_goroutine(g, LANE_FORK_RULE);
	else
		g = say_guard(g);
	words_frames(g, true);
	return true;
}

static void on_segv(int sig, siginfo_t *si, void *uc)
{
	if (explained((uintptr_t)si->si_addr)) {
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

/*
 * leave_child - SIGCHLD is left open where nobody handles it: the kernel then throws it away.
 * Blocked, it would be so in what system(3) and popen(3) start as well, and a shell's `wait` waits
 * for it for ever.
 */
static void leave_child(sigset_t *blocked)
{
	struct sigaction sa;

	if (sigaction(SIGCHLD, NULL, &sa) == 0 && !(sa.sa_flags & SA_SIGINFO) &&
	    (sa.sa_handler == SIG_DFL || sa.sa_handler == SIG_IGN))
		sigdelset(blocked, SIGCHLD);
}

int lane_signals_attach(struct lane_thread *t)
{
	sigset_t set, faults;
	int err;

	err = altstack_put(t);
	if (err)
		return err;
	pthread_once(&segv_once, install_segv);
	lane_fork_attach();
	sigfillset(&set);
	sigemptyset(&faults);
	for (size_t i = 0; i < ARRAY_SIZE(fault_signals); i++) {
		sigdelset(&set, fault_signals[i]);
		sigaddset(&faults, fault_signals[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(user_signals); i++)
		sigdelset(&set, user_signals[i]);
	leave_child(&set);
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
