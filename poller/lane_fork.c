/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a goroutine must not do to the thread it runs on: go on in the child of fork(2), where all
 * lanes' state is a copy that nobody turns, or end the thread. Neither costs a switch anything: in
 * the child the thread's lane is a page without access, and a thread's end is seen by the
 * destructor of a key.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "poller/group_int.h"
#include "poller/lane_int.h"
#include "stack/base/bug.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ends; /* its value says nothing: only that the thread was a lane's */
/* Of a child: the goroutine that forked, and what lane_self() is there. */
static struct g *forked;
static uint8_t *no_lane;

struct g *lane_forked(void)
{
	return forked;
}

bool lane_forked_at(uintptr_t addr)
{
	return no_lane && addr - (uintptr_t)no_lane < sizeof(struct lane);
}

const sigset_t *lane_program_mask(const struct lane *l)
{
	return l->group ? &l->group->program_mask : &l->thr.old_mask;
}

/* in_child - what is exec'd next must not inherit what a lane blocks. */
static void in_child(void)
{
	struct lane *l = lane_self();
	void *p;

	if (!l || !l->sched.cur || l->virt)
		return;
	forked = l->sched.cur;
	l->sched.cur = NULL; /* for who has the lane's address already: the goroutine's own end */
	(void)pthread_sigmask(SIG_SETMASK, lane_program_mask(l), NULL);
	p = mmap(NULL, sizeof(*l), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	no_lane = p == MAP_FAILED ? NULL : p;
	(void)lane_enter((struct lane *)no_lane);
}

static void thread_ends(void *value)
{
	struct lane *l = lane_self();

	(void)value;
	if (l && l->sched.cur && !forked)
		bug_misuse("a goroutine ended its lane's thread (pthread_exit, pthread_cancel): it "
			   "ends by returning from its function");
}

static void prepare(void)
{
	BUG_ON(pthread_key_create(&ends, thread_ends) != 0);
	/* without memory for it a child is as unsafe as ever, and this run is as good */
	(void)pthread_atfork(NULL, NULL, in_child);
}

void lane_fork_attach(void)
{
	(void)pthread_once(&once, prepare);
	(void)pthread_setspecific(ends, &ends);
}
