/* SPDX-License-Identifier: BSD-3-Clause */
/* See group.h. Meetings are by mutex and condition: they are no part of a turn. */
#include "poller/group.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "poller/group_int.h"
#include "poller/lane_call.h"
#include "poller/lane_int.h"
#include "stack/base/bug.h"

int lane_group_create(unsigned nr, struct lane_group **ret_group)
{
	struct lane_group *grp;

	if (nr < 1 || nr > LANES_MAX)
		return -EINVAL;
	grp = aligned_alloc(CACHE_LINE, sizeof(*grp));
	if (!grp)
		return -ENOMEM;
	memset(grp, 0, sizeof(*grp));
	grp->nr = grp->expected = nr;
	(void)pthread_sigmask(SIG_BLOCK, NULL, &grp->program_mask);
	(void)pthread_mutex_init(&grp->lock, NULL);
	(void)pthread_cond_init(&grp->all_here, NULL);
	(void)pthread_mutex_init(&grp->end_lock, NULL);
	(void)pthread_mutex_init(&grp->listen_lock, NULL);
	*ret_group = grp;
	return 0;
}

void lane_group_destroy(struct lane_group *grp)
{
	if (!grp)
		return;
	BUG_ON(grp->listeners || grp->nr_joined);
	(void)pthread_mutex_destroy(&grp->listen_lock);
	(void)pthread_mutex_destroy(&grp->end_lock);
	(void)pthread_cond_destroy(&grp->all_here);
	(void)pthread_mutex_destroy(&grp->lock);
	free(grp);
}

void lane_join(struct lane *l, struct lane_group *grp, unsigned index)
{
	BUG_ON(index >= grp->nr || l->group || grp->lane[index]);
	BUG_ON(l->kernel && l->np.nr_open); /* netpoll_plain() */
	l->index = index;
	dump_lane_join(l, grp, index);
	(void)pthread_mutex_lock(&grp->end_lock);
	grp->nr_joined++;
	(void)pthread_mutex_unlock(&grp->end_lock);
	__atomic_store_n(&grp->lane[index], l, __ATOMIC_RELEASE);
}

int lane_group_meet(struct lane_group *grp, int err)
{
	unsigned round;
	int verdict;

	(void)pthread_mutex_lock(&grp->lock);
	if (err && !grp->err)
		grp->err = err;
	round = grp->round;
	if (++grp->here == grp->expected) {
		grp->verdict = grp->err;
		grp->here = 0;
		grp->err = 0;
		grp->round++;
		(void)pthread_cond_broadcast(&grp->all_here);
	}
	while (grp->round == round)
		(void)pthread_cond_wait(&grp->all_here, &grp->lock);
	verdict = grp->verdict;
	(void)pthread_mutex_unlock(&grp->lock);
	return verdict;
}

void lane_group_absent(struct lane_group *grp, unsigned n)
{
	(void)pthread_mutex_lock(&grp->lock);
	grp->expected -= n;
	(void)pthread_mutex_unlock(&grp->lock);
}

void lane_group_stop(struct lane_group *grp)
{
	__atomic_fetch_add(&grp->visitors, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < grp->nr; i++) {
		struct lane *l = lane_group_lane(grp, i);

		if (l)
			lane_stop(l);
	}
	__atomic_fetch_sub(&grp->visitors, 1, __ATOMIC_SEQ_CST);
}

static uint32_t *visitors(struct lane *l)
{
	return l->group ? &l->group->visitors : &l->visitors;
}

void lane_visit(struct lane *l)
{
	(void)__atomic_fetch_add(visitors(l), 1, __ATOMIC_SEQ_CST);
}

void lane_leave(struct lane *l)
{
	(void)__atomic_fetch_sub(visitors(l), 1, __ATOMIC_SEQ_CST);
}

void lane_visitors_wait(struct lane *l)
{
	while (__atomic_load_n(&l->visitors, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(visitors(l), __ATOMIC_SEQ_CST))
		sched_yield();
}

struct lane_group *lane_group(const struct lane *l)
{
	return l->group;
}

unsigned lane_index(const struct lane *l)
{
	return l->index;
}

unsigned lane_group_nr(const struct lane_group *grp)
{
	return grp->nr;
}

struct lane *lane_group_lane(const struct lane_group *grp, unsigned index)
{
	return index < grp->nr ? __atomic_load_n(&grp->lane[index], __ATOMIC_ACQUIRE) : NULL;
}

/* ---- what is listened on ---- */

_Static_assert(LANES_MAX <= 64, "a bit for each lane in group_listener.lanes");

struct group_listener *group_listener_find(const struct lane_group *grp, uint32_t v4, uint16_t port)
{
	struct group_listener *gl = grp->listeners;

	while (gl && (gl->v4 != v4 || gl->port != port))
		gl = gl->next;
	return gl;
}

int group_listener_add(struct lane_group *grp, unsigned index, uint32_t v4, uint16_t port)
{
	struct group_listener *gl = group_listener_find(grp, v4, port);

	if (!gl) {
		gl = calloc(1, sizeof(*gl));
		if (!gl)
			return -ENOMEM;
		*gl = (struct group_listener){.next = grp->listeners, .v4 = v4, .port = port};
		grp->listeners = gl;
	}
	gl->lanes |= UINT64_C(1) << index;
	return 0;
}

void group_listener_del(struct lane_group *grp, unsigned index, uint32_t v4, uint16_t port)
{
	struct group_listener **at = &grp->listeners, *gl;

	while (*at && ((*at)->v4 != v4 || (*at)->port != port))
		at = &(*at)->next;
	gl = *at;
	BUG_ON(!gl);
	gl->lanes &= ~(UINT64_C(1) << index);
	if (!gl->lanes) {
		*at = gl->next;
		free(gl);
	}
}

/* ---- a goroutine for another lane ---- */

struct go_call {
	void (*fn)(void *arg);
	void *arg;
	const char *name;
};

static int go_here(struct lane *l, void *arg)
{
	const struct go_call *c = arg;

	return lane_go(l, c->fn, c->arg, c->name);
}

int lane_group_go(unsigned index, void (*fn)(void *arg), void *arg, const char *name)
{
	struct lane *self = lane_self(), *to;
	struct go_call c = {.fn = fn, .arg = arg, .name = name};

	BUG_ON(!self);
	if (index == self->index)
		return lane_go(self, fn, arg, name);
	to = self->group ? lane_group_lane(self->group, index) : NULL;
	return to ? lane_call(to, go_here, &c) : -EINVAL;
}
