/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collecting a goroutine dump. Only a lane knows where its gs stand, so it looks itself, a few
 * per turn; who asked waits, and tells of a lane that does not turn what can be told from
 * outside: which g it runs. Frames come from libgcc's unwinder by coro_walk(): nothing runs or
 * is written on a parked g's stack.
 */
#include "poller/dump.h"

#include <errno.h>
#include <parklane/go.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#include "poller/dump_int.h"
#include "poller/group.h"
#include "poller/lane_int.h"
#include "poller/symbols.h"
#include "stack/base/bug.h"
#include "stack/base/clock.h"

#define GS_PER_TURN 32u   /* some 2 us each */
#define ROOM_GROUPS 4096u /* 1.5 MB while a dump goes on */
#define ROOM_ALL    65536u
#define LOOK_NS     NSEC_PER_MSEC
#define STUCK_LOOKS 1000u /* a lane that made no progress for a second is told about as stuck */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* under lock; by run and number; gdb looks here, too */
static struct lane_dump *dump_lanes;

/* ---- the lane's side ---- */

struct walk {
	struct dump_group *g;
	uintptr_t lo, hi; /* the stack: frames elsewhere are not the goroutine's */
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *ctx, void *arg)
{
	struct walk *w = arg;
	uintptr_t cfa = _Unwind_GetCFA(ctx), pc = _Unwind_GetIP(ctx);

	if (cfa < w->lo || cfa > w->hi) /* ours still, above coro_walk() */
		return w->g->nr_pc ? _URC_END_OF_STACK : _URC_NO_REASON;
	if (!pc)
		return _URC_END_OF_STACK;
	if (_Unwind_GetRegionStart(ctx) == (uintptr_t)pl_dump_goroutines) {
		w->g->nr_pc = 0; /* who asks needs not be told how */
		return _URC_NO_REASON;
	}
	if (w->g->nr_pc == DUMP_FRAMES) {
		w->g->cut = true;
		return _URC_END_OF_STACK;
	}
	w->g->pc[w->g->nr_pc++] = pc;
	return _URC_NO_REASON;
}

static void walk_here(void *arg)
{
	_Unwind_Backtrace(note_frame, arg);
}

/*
 * hold - may g's stack be walked from s's lane now? A movable one that is parked is taken from
 * whoever would wake it, as if it were still leaving its stack; let_go() gives it back.
 */
static bool hold(const struct sched *s, struct g *g, bool movable)
{
	uint8_t old = G_WAKE_PARKED;

	if (movable)
		return __atomic_compare_exchange_n(&g->wake, &old, G_WAKE_NO, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return READ_ONCE(g->sched) == s;
}

static void let_go(struct sched *s, struct g *g)
{
	uint8_t old = G_WAKE_NO;

	if (__atomic_compare_exchange_n(&g->wake, &old, G_WAKE_PARKED, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return;
	/* A ready came meanwhile, and left it to us. */
	__atomic_store_n(&g->wake, G_WAKE_NO, __ATOMIC_RELAXED);
	g->state = G_RUNNABLE;
	g->why = WAIT_NONE;
	movable_inject(lane_group(s->lane), g);
}

static void walk(const struct sched *s, struct g *g, uint64_t now, struct dump_group *ret)
{
	struct walk w = {ret, (uintptr_t)g->stack.lo, (uintptr_t)g->stack.hi};

	if (g->state == G_WAITING && (int64_t)(now - g->since) > 0)
		ret->shortest = ret->longest = now - g->since;
	if (g == s->cur)
		walk_here(&w);
	else if (coro_started(g->sp))
		coro_walk(g->sp, walk_here, &w);
}

/* look_at - fill *ret with what there is to tell of g, whose stack is of s's arena. */
static void look_at(struct sched *s, struct g *g, uint64_t now, struct dump_group *ret)
{
	bool movable = __atomic_load_n(&g->movable, __ATOMIC_ACQUIRE);
	bool mine = g == s->cur || hold(s, g, movable);

	*ret = (struct dump_group){.nr = 1,
				   .id = {g->id},
				   .name = g->name,
				   .state = READ_ONCE(g->state),
				   .why = READ_ONCE(g->why),
				   .away = !mine};
	if (!mine)
		return;
	walk(s, g, now, ret);
	if (movable && g != s->cur)
		let_go(s, g);
}

static uint32_t hash_of(const struct dump_group *g)
{
	uint64_t h = (uintptr_t)g->name ^ (uint64_t)g->state << 56 ^ (uint64_t)g->why << 48;

	for (unsigned i = 0; i < g->nr_pc; i++)
		h = (h ^ g->pc[i]) * 0x9e3779b97f4a7c15ull;
	return (uint32_t)(h >> 32);
}

static bool alike(const struct dump_group *a, const struct dump_group *b)
{
	return a->hash == b->hash && a->name == b->name && a->state == b->state &&
	       a->why == b->why && a->nr_pc == b->nr_pc && a->cut == b->cut && a->away == b->away &&
	       memcmp(a->pc, b->pc, a->nr_pc * sizeof(a->pc[0])) == 0;
}

static void join(struct dump_group *to, const struct dump_group *one)
{
	if (to->nr < DUMP_IDS)
		to->id[to->nr] = one->id[0];
	to->nr++;
	to->shortest = min_t(uint64_t, to->shortest, one->shortest);
	to->longest = max_t(uint64_t, to->longest, one->longest);
}

static void take_down(struct dump *d, struct dump_group *one)
{
	uint32_t i;

	d->per_state[one->state]++;
	one->hash = hash_of(one);
	/* A table at most half full: the search ends. */
	for (i = one->hash & d->mask; !d->all && d->table[i]; i = (i + 1) & d->mask) {
		if (alike(&d->group[d->table[i] - 1], one)) {
			join(&d->group[d->table[i] - 1], one);
			return;
		}
	}
	if (d->nr == d->room) {
		d->lost++;
		return;
	}
	d->group[d->nr++] = *one;
	if (!d->all)
		d->table[i] = d->nr;
}

/* look - at no more than `max` slots. */
static void look(struct lane *l, struct dump *d, uint32_t max)
{
	struct sched *s = &l->sched;
	uint64_t now = lane_clock(l);
	uint32_t i = d->cursor, end = min_t(uint32_t, s->arena.nr_carved, i + max);
	struct dump_group one;

	for (; i < end; i++) {
		struct g *g = sched_of_slot(s, i);
		uint8_t state = READ_ONCE(g->state); /* it may run on another lane */

		if (state == G_IDLE || state == G_DEAD)
			continue;
		look_at(s, g, now, &one);
		if (one.state != G_IDLE && one.state != G_DEAD) /* it may end on another lane */
			take_down(d, &one);
	}
	WRITE_ONCE(d->cursor, i);
	if (i == s->arena.nr_carved)
		__atomic_store_n(&d->done, true, __ATOMIC_RELEASE);
}

void __dump_turn(struct lane *l)
{
	struct dump *d;

	__atomic_store_n(&l->dump.busy, 1, __ATOMIC_SEQ_CST);
	d = __atomic_load_n(&l->dump.want, __ATOMIC_SEQ_CST);
	if (d) {
		look(l, d, GS_PER_TURN);
		if (d->done)
			__atomic_store_n(&l->dump.want, NULL, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&l->dump.busy, 0, __ATOMIC_SEQ_CST);
}

void dump_lane_thread(struct lane *l, bool on)
{
	if (on) {
		__atomic_store_n(&l->dump.thread, pthread_self(), __ATOMIC_RELAXED);
		__atomic_store_n(&l->dump.tid, gettid(), __ATOMIC_RELAXED);
	}
	__atomic_store_n(&l->dump.on_thread, on, __ATOMIC_RELEASE);
}

/* list_in, list_out - with the lock. */
static void list_in(struct lane_dump *d)
{
	struct lane_dump **at = &dump_lanes;

	while (*at && ((*at)->run < d->run || ((*at)->run == d->run && (*at)->number < d->number)))
		at = &(*at)->next;
	d->next = *at;
	*at = d;
}

static void list_out(struct lane_dump *d)
{
	struct lane_dump **at;

	for (at = &dump_lanes; *at != d; at = &(*at)->next)
		;
	*at = d->next;
}

static struct lane_group *group_of(const struct lane_dump *d)
{
	return container_of(d, struct lane, dump)->group;
}

void dump_lane_add(struct lane *l)
{
	pthread_mutex_lock(&lock);
	/* the first number that no lane without a group has: the list is in order */
	for (struct lane_dump *d = dump_lanes; d; d = d->next)
		if (!group_of(d) && d->number == l->dump.number)
			l->dump.number++;
	list_in(&l->dump);
	pthread_mutex_unlock(&lock);
}

/* run_of - that of the group's other lanes, else the first that no group has. */
static unsigned run_of(const struct lane_group *grp)
{
	unsigned run = 0;

	for (struct lane_dump *d = dump_lanes; d; d = d->next)
		if (group_of(d) == grp)
			return d->run;
	for (struct lane_dump *d = dump_lanes; d; d = d->next)
		if (group_of(d) && d->run == run)
			run++;
	return run;
}

void dump_lane_join(struct lane *l, struct lane_group *grp, unsigned index)
{
	pthread_mutex_lock(&lock);
	list_out(&l->dump);
	l->dump.run = run_of(grp);
	l->dump.number = index;
	l->group = grp;
	list_in(&l->dump);
	pthread_mutex_unlock(&lock);
}

void dump_lane_remove(struct lane *l)
{
	pthread_mutex_lock(&lock);
	list_out(&l->dump);
	pthread_mutex_unlock(&lock);
}

/* ---- who asks ---- */

static struct dump *dump_new(bool all, uint32_t nr_g)
{
	uint32_t room = all ? min_t(uint32_t, nr_g + 64, ROOM_ALL) : ROOM_GROUPS;
	struct dump *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->all = all;
	d->room = room;
	d->mask = 2 * ROOM_GROUPS - 1;
	d->group = calloc(room, sizeof(*d->group));
	d->table = calloc(d->mask + 1, sizeof(*d->table));
	return d;
}

static void dump_free(struct dump *d)
{
	if (d) {
		free(d->group);
		free(d->table);
	}
	free(d);
}

/* take_back - the lane gets its request taken away: it sees none from now on, and is not at it. */
static void take_back(struct lane *l)
{
	__atomic_store_n(&l->dump.want, NULL, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&l->dump.busy, __ATOMIC_SEQ_CST))
		sched_yield();
}

/* ask - have the lane's thread fill d; false: it does not turn, d is nobody's again. */
static bool ask(struct lane *l, struct dump *d)
{
	struct timespec wait = {.tv_nsec = LOOK_NS};
	uint32_t seen = 0, still = 0;

	__atomic_store_n(&l->dump.want, d, __ATOMIC_SEQ_CST);
	lane_break(l);
	while (!__atomic_load_n(&d->done, __ATOMIC_ACQUIRE) && still < STUCK_LOOKS) {
		uint32_t now = READ_ONCE(d->cursor);

		still = now == seen ? still + 1 : 0;
		seen = now;
		nanosleep(&wait, NULL);
	}
	take_back(l);
	return d->done;
}

/* print_stuck - what can be told of a lane from outside; its gs are not ours to walk. */
static void print_stuck(FILE *f, const char *title, struct lane *l)
{
	const struct g *g = READ_ONCE(l->sched.cur);

	fprintf(f, "%s: %u goroutines\n", title, lane_nr_g(l));
	if (g) {
		const char *name = READ_ONCE(g->name);

		fprintf(f, "\ngoroutine %llu [running for more than a second]: %s\n",
			(unsigned long long)READ_ONCE(g->id), name ? name : "?");
	}
	fprintf(f, "    the lane does not come to its next turn: the others cannot be listed\n");
}

/* One call of pl_dump_goroutines(). */
struct dump_call {
	int fd;
	bool all;
	struct lane *
		mine; /* the caller's, and what it told already; NULL: a thread without a g calls */
	struct dump *told;
	int err;
};

static struct dump *dump_make(bool all, uint32_t nr_g)
{
	struct dump *d = dump_new(all, nr_g);

	if (d && d->group && d->table)
		return d;
	dump_free(d);
	return NULL;
}

/* print_title - "lane 1 of run 2 on cpu 3"; the first run, mostly the only one, has no number. */
static void print_title(const struct lane *l, char *buf, size_t size)
{
	char run[24] = "", cpu[24] = "";

	if (l->dump.run)
		snprintf(run, sizeof(run), " of run %u", l->dump.run + 1);
	if (l->cfg.cpu >= 0)
		snprintf(cpu, sizeof(cpu), " on cpu %d", l->cfg.cpu);
	snprintf(buf, size, "lane %u%s%s", l->dump.number, run, cpu);
}

static int print_lane(FILE *f, struct symbols *sy, struct lane *l, const struct dump_call *call)
{
	struct dump *d;
	char title[64];
	bool told = true;

	print_title(l, title, sizeof(title));
	if (l == call->mine) {
		dump_print(f, sy, title, call->told);
		return 0;
	}
	if (!__atomic_load_n(&l->dump.on_thread, __ATOMIC_ACQUIRE)) {
		fprintf(f, "%s: does not run, %u goroutines\n", title, lane_nr_g(l));
		return 0;
	}
	d = dump_make(call->all, lane_nr_g(l));
	if (!d)
		return -ENOMEM;
	if (pthread_equal(l->dump.thread, pthread_self()))
		look(l, d, UINT32_MAX);
	else
		told = ask(l, d);
	if (told)
		dump_print(f, sy, title, d);
	else
		print_stuck(f, title, l);
	dump_free(d);
	return 0;
}

static int print_all(const struct dump_call *call)
{
	struct symbols *sy;
	FILE *f;
	int copy, err = 0;

	copy = dup(call->fd);
	if (copy < 0)
		return -errno;
	f = fdopen(copy, "w");
	sy = symbols_open();
	if (!f || !sy) {
		err = -ENOMEM;
	} else {
		pthread_mutex_lock(&lock);
		for (struct lane_dump *d = dump_lanes; d && !err; d = d->next)
			err = print_lane(f, sy, container_of(d, struct lane, dump), call);
		pthread_mutex_unlock(&lock);
	}
	symbols_close(sy);
	if (!f)
		close(copy);
	else if ((ferror(f) | fclose(f)) && !err)
		err = errno ? -errno : -EIO;
	return err;
}

static void *print_thread(void *arg)
{
	struct dump_call *call = arg;

	call->err = print_all(call);
	return NULL;
}

/* print_elsewhere - a goroutine's stack is too small for what reads debugging information. */
static int print_elsewhere(struct dump_call *call)
{
	sigset_t all, old;
	pthread_t t;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&t, NULL, print_thread, call);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	pthread_join(t, NULL);
	return call->err;
}

int pl_dump_goroutines(int fd, unsigned flags)
{
	struct dump_call call = {.fd = fd, .all = flags & PL_DUMP_ALL};
	struct g *g = sched_self();
	int err;

	if (flags & ~PL_DUMP_ALL)
		return -EINVAL;
	if (!g)
		return print_all(&call);
	/* Its own lane does not turn meanwhile: the caller tells of it, frames and all. */
	call.mine = g->sched->lane;
	call.told = dump_make(call.all, lane_nr_g(call.mine));
	if (!call.told)
		return -ENOMEM;
	look(call.mine, call.told, UINT32_MAX);
	err = print_elsewhere(&call);
	dump_free(call.told);
	return err;
}
