/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lane on which all wait for each other, as a mutex that is locked twice makes it: Go's "all
 * goroutines are asleep". Said once, not fatal: a signal's handler may end the program in an
 * orderly way. And only where it is certain: one lane, no device, timer, wait for an fd or call on
 * the pool; and either all stand at channels of this lane, or the process has no threads but the
 * library's own, since mutexes and shared channels may be any thread's to release.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "poller/group.h"
#include "poller/lane_int.h"
#include "poller/waitq.h"
#include "stack/base/clock.h"

#define STUCK_NS NSEC_PER_SEC /* of silence, before it is worth a look */

static uint64_t parks(const struct lane *l)
{
	return stat_read(&l->led.ev[LEDGER_EV_PARKS]);
}

int64_t lane_stuck_limit(struct lane *l)
{
	if (l->told_stuck || l->stack || !l->kernel || l->stuck_parks == parks(l) ||
	    (l->group && lane_group_nr(l->group) > 1) || lane_next_event(l) ||
	    netpoll_waiters(l->kernel))
		return -1;
	return STUCK_NS;
}

/* waits_inside - for another goroutine, surely; *ret_shared is set if a thread could be that,
 * too. */
static bool waits_inside(const struct g *g, bool *ret_shared)
{
	const struct g_intr *in = g->intr;

	if (g->state != G_WAITING || !in)
		return false;
	switch (g->why) {
	case WAIT_CHAN_SEND:
	case WAIT_CHAN_RECV:
	case WAIT_SELECT:
	case WAIT_MUTEX:
	case WAIT_COND:
	case WAIT_GROUP:
		if (in->cut != wait_cut || container_of(in, struct wait, intr)->shared)
			*ret_shared = true;
		return true;
	default:
		return false;
	}
}

/* alone - no thread but this one and those that bear the library's prefix. */
static bool alone(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned others = 0;
	struct dirent *e;

	if (!d)
		return false;
	while ((e = readdir(d))) {
		char path[sizeof("/proc/self/task//comm") + sizeof(e->d_name)], name[16] = "";
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "re");
		if (f)
			(void)!fgets(name, sizeof(name), f);
		if (f)
			(void)fclose(f);
		others += strncmp(name, LANE_THREAD_PREFIX, strlen(LANE_THREAD_PREFIX)) != 0;
	}
	(void)closedir(d);
	return others <= 1;
}

void lane_stuck_look(struct lane *l)
{
	struct sched *s = &l->sched;
	bool shared = false;

	l->stuck_parks = parks(l); /* no look again before one more has parked */
	for (uint32_t i = 0; i < s->arena.nr_carved; i++) {
		const struct g *g = sched_of_slot(s, i);

		if (g->state != G_IDLE && g->state != G_DEAD && !waits_inside(g, &shared))
			return;
	}
	if (shared && !alone())
		return;
	l->told_stuck = true;
	(void)fprintf(stderr,
		      "parklane: all %u goroutines wait for each other, and nothing can wake them: "
		      "'kill -QUIT %d' lists what for\n",
		      lane_nr_g(l), (int)getpid());
}
