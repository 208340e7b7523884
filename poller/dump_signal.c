/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SIGQUIT prints a goroutine dump. The handler only wakes a thread: nothing that prints may run
 * in it, and a lane that hangs could not print for itself.
 */
#include <errno.h>
#include <parklane/go.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "poller/dump.h"
#include "poller/lane_int.h"
#include "poller/last_words.h"
#include "poller/tsc.h"
#include "stack/base/clock.h"

/* Ctrl-\ is also how a user gets rid of a program: twice within this time it does that. */
#define TWICE_NS NSEC_PER_SEC
#define STOP     (1ull << 32)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users; /* under lock */
static bool ours;      /* under lock: the handler is installed */
static pthread_t thread;
static int wake_fd = -1; /* made once and never closed: a handler may be under way in any thread */
static uint64_t last_ns; /* (a) of the last signal */

static uint64_t asked_g; /* (a) dump_running()'s, until the signal has come; 0: none is under way */

/* answered - was it dump_running() who sent that signal? Then the frames of what it interrupted. */
static bool answered(const siginfo_t *si)
{
	const struct g *g;
	uint64_t id;

	if (si->si_code != SI_TKILL || si->si_pid != getpid())
		return false;
	id = __atomic_exchange_n(&asked_g, 0, __ATOMIC_SEQ_CST);
	g = id && !lane_forked() ? sched_self() : NULL;
	if (g && g->id == id)
		words_frames(g, true);
	return id != 0;
}

static void on_quit(int sig, siginfo_t *si, void *uc)
{
	uint64_t now = tsc_mono_ns(), one = 1;
	int saved = errno;

	(void)uc;
	if (answered(si)) {
		errno = saved;
		return;
	}
	if (now - __atomic_exchange_n(&last_ns, now, __ATOMIC_RELAXED) < TWICE_NS) {
		signal(sig, SIG_DFL);
		raise(sig); /* comes as the handler returns */
	}
	(void)!write(wake_fd, &one, sizeof(one));
	errno = saved;
}

static void *print_thread(void *arg)
{
	uint64_t n;

	(void)arg;
	(void)pthread_setname_np(pthread_self(), LANE_THREAD_PREFIX "dump");
	for (;;) {
		if (read(wake_fd, &n, sizeof(n)) != sizeof(n))
			continue;
		if (n >= STOP)
			return NULL;
		(void)pl_dump_goroutines(STDERR_FILENO, 0);
	}
}

/* It takes no signals: they are the program's own threads'. */
static int start_thread(void)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, print_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static struct sigaction before; /* what SIGQUIT did until ours */

/* start - 0 also if SIGQUIT is somebody else's. */
static int start(void)
{
	struct sigaction sa = {.sa_sigaction = on_quit,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	int err;

	/* A script's background jobs start with SIGQUIT ignored; who sends it by hand wants the
	 * dump all the same, as Go's runtime has it. */
	if (sigaction(SIGQUIT, NULL, &before) || (before.sa_flags & SA_SIGINFO) ||
	    (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN))
		return 0;
	if (wake_fd < 0)
		wake_fd = eventfd(0, EFD_CLOEXEC);
	if (wake_fd < 0)
		return -errno;
	err = start_thread();
	if (err)
		return err;
	last_ns = 0;
	ours = true;
	sigaction(SIGQUIT, &sa, NULL);
	return 0;
}

static void stop(void)
{
	uint64_t n = STOP;

	sigaction(SIGQUIT, &before, NULL);
	ours = false;
	(void)!write(wake_fd, &n, sizeof(n));
	pthread_join(thread, NULL);
}

/* computes - a thread that the kernel runs, or would if there were a cpu. */
static bool computes(pid_t tid)
{
	char path[64], text[128] = "";
	const char *state;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	(void)!fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	state = strrchr(text, ')'); /* behind the name, proc(5) */
	return state && strncmp(state, ") R", 3) == 0;
}

void dump_running(struct lane *l, uint64_t id)
{
	struct sigaction now;
	uint64_t none = 0;

	/* the program may have a handler of its own by now */
	if (sigaction(SIGQUIT, NULL, &now) || !(now.sa_flags & SA_SIGINFO) ||
	    now.sa_sigaction != on_quit)
		return;
	if (__atomic_load_n(&l->dump.on_thread, __ATOMIC_ACQUIRE) && computes(l->dump.tid) &&
	    __atomic_compare_exchange_n(&asked_g, &none, id, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		(void)pthread_kill(l->dump.thread, SIGQUIT);
}

int dump_on_sigquit(void)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	if (users == 0)
		err = start();
	if (!err)
		users++;
	pthread_mutex_unlock(&lock);
	return err;
}

void dump_off_sigquit(void)
{
	pthread_mutex_lock(&lock);
	if (--users == 0 && ours)
		stop();
	pthread_mutex_unlock(&lock);
}
