/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Movable goroutines: they are stolen and bound ones are not, none is lost between parks, yields,
 * queues that overflow and lanes that sleep; their stacks come home. Two virtual lanes turned by
 * hand where the order matters, real ones where it must not.
 */
#include "poller_env.h"

#include <pthread.h>

#include "poller/group.h"
#include "poller/group_int.h"
#include "poller/parklane/go.h"

struct duo {
	struct env e[2];
	struct lane_group *grp;
};

static struct duo d;

static void setup(void)
{
	cr_assert_eq(lane_group_create(2, &d.grp), 0);
	for (unsigned i = 0; i < 2; i++) {
		env_init(&d.e[i], false);
		lane_join(d.e[i].lane, d.grp, i);
	}
}

static void teardown(void)
{
	cr_assert_eq(d.grp->searching, 0);
	env_fini(&d.e[0]);
	env_fini(&d.e[1]);
	lane_group_destroy(d.grp);
}

static void both_turn(unsigned n)
{
	while (n--) {
		env_turns(&d.e[0], 1);
		env_turns(&d.e[1], 1);
	}
}

static void go_movable(unsigned lane, void (*fn)(void *arg), void *arg)
{
	cr_assert_eq(lane_go_movable(d.e[lane].lane, fn, arg, "movable"), 0);
}

static unsigned ran_on[2], ran;

static void note_lane(void *arg)
{
	(void)arg;
	ran_on[pl_lane_index()]++;
	ran++;
}

Test(movable, test_movable_R49_idle_lane_steals_half, .init = setup, .fini = teardown)
{
	for (int i = 0; i < 40; i++)
		go_movable(0, note_lane, NULL);
	env_turns(&d.e[1], 1);
	cr_assert_eq(ran_on[1], 20);
	env_turns(&d.e[0], 1);
	cr_assert_eq(ran_on[0], 20);
	cr_assert_eq(d.grp->nr_movable, 0);
}

Test(movable, test_movable_R49_bound_is_never_stolen, .init = setup, .fini = teardown)
{
	for (int i = 0; i < 40; i++)
		env_go(&d.e[0], note_lane, NULL);
	env_turns(&d.e[1], 4);
	cr_assert_eq(ran, 0);
	env_turns(&d.e[0], 1);
	cr_assert_eq(ran_on[0], 40);
}

Test(movable, test_movable_R47_overflow_goes_to_global_queue, .init = setup, .fini = teardown)
{
	for (int i = 0; i < 700; i++)
		go_movable(0, note_lane, NULL);
	cr_assert_gt(d.grp->gq_nr, 0);
	both_turn(40);
	cr_assert_eq(ran, 700);
	cr_assert(ran_on[0] && ran_on[1]);
	cr_assert_eq(d.grp->gq_nr, 0);
}

static bool stop_yield;

static void yield_on(void *arg)
{
	(void)arg;
	while (!stop_yield) {
		ran_on[pl_lane_index()]++;
		pl_yield();
	}
}

Test(movable, test_movable_R39_bound_ones_do_not_starve_it, .init = setup, .fini = teardown)
{
	for (int i = 0; i < 200; i++)
		env_go(&d.e[0], yield_on, NULL);
	go_movable(0, note_lane, NULL);
	env_turns(&d.e[0], 1);
	cr_assert_eq(ran, 1, "a quarter of each turn is theirs");
	stop_yield = true;
	env_turns(&d.e[0], 10);
}

Test(movable, test_movable_yield_may_go_on_elsewhere, .init = setup, .fini = teardown)
{
	for (int i = 0; i < 8; i++)
		go_movable(0, yield_on, NULL);
	both_turn(20);
	cr_assert(ran_on[0] > 0 && ran_on[1] > 0, "%u %u", ran_on[0], ran_on[1]);
	stop_yield = true;
	both_turn(20);
	cr_assert_eq(d.grp->nr_movable, 0);
}

/* ---- park and ready ---- */

static struct g *parked;
static unsigned woke_on = 9;
static bool early;

static bool publish(struct g *g, void *arg)
{
	(void)arg;
	parked = g;
	/* as from another thread, which sees it before its lane is through with it */
	if (early)
		sched_ready(g);
	return true;
}

static void park_once(void *arg)
{
	(void)arg;
	sched_park(publish, NULL, WAIT_SEMA);
	woke_on = pl_lane_index();
}

static void wake_parked(void *arg)
{
	(void)arg;
	sched_ready(parked);
}

Test(movable, test_movable_ready_runs_where_the_waker_is, .init = setup, .fini = teardown)
{
	go_movable(0, park_once, NULL);
	env_turns(&d.e[0], 1);
	cr_assert_not_null(parked);
	env_go(&d.e[1], wake_parked, NULL);
	env_turns(&d.e[1], 1);
	cr_assert_eq(woke_on, 1);
	env_turns(&d.e[0], 1);
	cr_assert_eq(lane_nr_g(d.e[0].lane), 0, "its stack is home again");
}

Test(movable, test_movable_ready_before_landed_is_not_lost, .init = setup, .fini = teardown)
{
	early = true;
	go_movable(0, park_once, NULL);
	both_turn(2);
	cr_assert_neq(woke_on, 9);
}

static void nap(void *arg)
{
	(void)arg;
	pl_sleep(1000);
	woke_on = pl_lane_index();
}

Test(movable, test_movable_R50_timer_stays_with_the_lane_of_the_sleep, .init = setup,
     .fini = teardown)
{
	go_movable(0, nap, NULL);
	env_turns(&d.e[1], 2); /* stolen: it sleeps on lane 1 */
	d.e[0].now += 5000;
	env_turns(&d.e[0], 3);
	cr_assert_eq(woke_on, 9);
	d.e[1].now += 5000;
	env_turns(&d.e[1], 2);
	cr_assert_eq(woke_on, 1);
}

Test(movable, test_movable_asleep_elsewhere_when_lanes_end, .init = setup, .fini = teardown)
{
	go_movable(0, nap, NULL);
	env_turns(&d.e[1], 2);
	cr_assert_eq(woke_on, 9);
}

static void bind_and_yield(void *arg)
{
	(void)arg;
	movable_bind(sched_self());
	yield_on(NULL);
}

Test(movable, test_movable_bound_at_last_stays, .init = setup, .fini = teardown)
{
	for (int i = 0; i < 8; i++)
		go_movable(0, bind_and_yield, NULL);
	env_turns(&d.e[0], 1);
	cr_assert_eq(d.grp->nr_movable, 0);
	both_turn(20);
	cr_assert_eq(ran_on[1], 0);
	stop_yield = true;
	both_turn(2);
}

/* ---- gs of another lane that are bound here ---- */

#define GUESTS 700u

static struct g *guests[GUESTS];
static unsigned nr_guests, guests_back;

static bool note_guest(struct g *g, void *arg)
{
	(void)arg;
	guests[nr_guests++] = g;
	return true;
}

static void be_guest(void *arg)
{
	(void)arg;
	movable_bind(sched_self());
	sched_park(note_guest, NULL, WAIT_SEMA);
	guests_back++;
}

static void wake_guests(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < nr_guests; i++)
		sched_ready(guests[i]);
}

Test(movable, test_movable_bound_guests_keep_their_place_in_the_queue, .init = setup,
     .fini = teardown)
{
	for (unsigned i = 0; i < GUESTS; i++)
		go_movable(0, be_guest, NULL);
	env_turns(&d.e[1], 60);
	cr_assert_eq(nr_guests, GUESTS);
	cr_assert_eq(d.e[1].lane->sched.guests, GUESTS);
	env_go(&d.e[1], wake_guests, NULL);
	env_turns(&d.e[1], 40);
	cr_assert_eq(guests_back, GUESTS);
	cr_assert_eq(d.e[1].lane->sched.guests, 0);
}

/* ---- two gs that wake each other for ever leave the movable ones their share ---- */

static struct g *players[2];

static bool note_player(struct g *g, void *arg)
{
	players[(uintptr_t)arg] = g;
	return true;
}

static void plays(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	while (!stop_yield) {
		struct g *other = players[1 - me];

		players[1 - me] = NULL;
		if (other)
			sched_ready(other);
		sched_park(note_player, arg, WAIT_SEMA);
	}
}

Test(movable, test_movable_R39_chain_of_two_does_not_starve_it, .init = setup, .fini = teardown)
{
	env_go(&d.e[0], plays, (void *)0);
	env_turns(&d.e[0], 1);
	env_go(&d.e[0], plays, (void *)1);
	go_movable(0, note_lane, NULL);
	env_turns(&d.e[0], 2);
	cr_assert_eq(ran, 1);
}

/* ---- who is woken, and whom it leaves the search to ---- */

Test(movable, test_movable_R48_ready_goes_to_a_sleeper_not_behind_who_runs, .init = setup,
     .fini = teardown)
{
	go_movable(0, park_once, NULL);
	env_turns(&d.e[0], 1);
	movable_sleep(d.e[1].lane);
	env_go(&d.e[0], wake_parked, NULL);
	env_turns(&d.e[0], 1);
	cr_assert_eq(d.grp->idle, 0, "the lane that slept is to look");
	movable_awake(d.e[1].lane);
	cr_assert(d.e[1].lane->called);
	both_turn(2);
	cr_assert_neq(woke_on, 9);
	cr_assert_not(d.e[1].lane->called);
}

Test(movable, test_movable_R48_woken_lane_with_own_work_passes_on, .init = setup, .fini = teardown)
{
	/* As if a third lane slept: its bit alone is looked at. */
	movable_sleep(d.e[1].lane);
	env_go(&d.e[1], note_lane, NULL);
	go_movable(0, nap, NULL);
	movable_awake(d.e[1].lane);
	cr_assert(d.e[1].lane->called);
	__atomic_fetch_or(&d.grp->idle, 1ull, __ATOMIC_SEQ_CST);
	env_turns(&d.e[1], 1);
	cr_assert_eq(d.grp->idle, 0, "it had work of its own, and woke another");
}

Test(movable, test_movable_R48_half_of_the_busy_lanes_search_at_most, .init = setup,
     .fini = teardown)
{
	for (int i = 0; i < 40; i++)
		go_movable(0, note_lane, NULL);
	d.grp->searching = 1; /* as if lane 0 did */
	env_turns(&d.e[1], 3);
	cr_assert_eq(ran, 0);
	cr_assert_eq(d.grp->searching, 1);
	d.grp->searching = 0;
	env_turns(&d.e[1], 1);
	cr_assert_eq(ran_on[1], 20);
}

Test(movable, test_movable_R48_push_wakes_nobody_while_one_searches, .init = setup,
     .fini = teardown)
{
	movable_sleep(d.e[1].lane);
	d.grp->searching = 1; /* as if a third lane did */
	go_movable(0, note_lane, NULL);
	cr_assert_eq(d.grp->idle, 2, "it sleeps on");
	d.grp->searching = 0;
	go_movable(0, note_lane, NULL);
	cr_assert_eq(d.grp->idle, 0);
	movable_awake(d.e[1].lane);
}

static unsigned when[700];

static void note_when(void *arg)
{
	when[(uintptr_t)arg] = ++ran;
}

Test(movable, test_movable_R39_every_61st_pick_is_of_the_global_queue, .init = setup,
     .fini = teardown)
{
	/* The 257th finds the queue full: the 128 oldest and it go to the global one. */
	for (uintptr_t i = 0; i < 300; i++)
		go_movable(0, note_when, (void *)i);
	cr_assert_eq(d.grp->gq_nr, 129);
	while (ran < 300)
		cr_assert_gt(env_turns(&d.e[0], 1), 0);
	cr_assert_eq(when[128], 1, "its own first");
	cr_assert_eq(when[0], 61);
	cr_assert_eq(when[16], 122, "one of a batch of 16 runs at once, the others queue");
}

Test(movable, test_lane_prepare_sleep_is_found_by_a_push, .init = setup, .fini = teardown)
{
	int64_t timeout;

	cr_assert_eq(lane_prepare_sleep(d.e[1].lane, &timeout), 0);
	cr_assert_eq(d.grp->idle, 2);
	go_movable(0, note_lane, NULL);
	cr_assert_eq(d.grp->idle, 0);
	env_turns(&d.e[1], 1);
	cr_assert_eq(ran_on[1], 1);
	cr_assert_eq(lane_prepare_sleep(d.e[1].lane, &timeout), 0);
	env_turns(&d.e[1], 1);
	cr_assert_eq(d.grp->idle, 0, "its next turn is awake");
}

static void alone(void *arg)
{
	(void)arg;
	cr_assert_eq(pl_go_movable(note_lane, NULL), 0);
}

Test(movable, test_movable_without_group_is_bound)
{
	struct env e;

	env_init(&e, false);
	env_go(&e, alone, NULL);
	env_turns(&e, 3);
	cr_assert_eq(ran, 1);
	env_fini(&e);
}

Test(movable, test_movable_stacks_are_used_again, .init = setup, .fini = teardown)
{
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 64; i++)
			go_movable(0, note_lane, NULL);
		both_turn(4);
	}
	cr_assert_eq(ran, 50 * 64);
	cr_assert_leq(d.e[0].lane->sched.arena.nr_carved, 128);
}

/* ---- real lanes ---- */

#define REAL_LANES 3u
#define REAL_GS    500u
#define REAL_STEPS 200u

static struct lane *lanes[REAL_LANES];
static uint64_t steps, finished;
static unsigned seen[REAL_LANES];

static void work(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < REAL_STEPS; i++) {
		__atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&seen[pl_lane_index()], 1, __ATOMIC_RELAXED);
		if ((i + me) % 16 == 0)
			pl_sleep(20000);
		else
			pl_yield();
	}
	if (__atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST) == REAL_GS)
		pl_lane_stop();
}

static void start_all(void *arg)
{
	(void)arg;
	for (uintptr_t i = 0; i < REAL_GS; i++)
		cr_assert_eq(pl_go_movable(work, (void *)i), 0);
}

static void *real_lane(void *arg)
{
	unsigned me = (unsigned)(uintptr_t)arg;
	struct lane_config cfg;

	lane_config_init(&cfg);
	cfg.max_g = 4096;
	cr_assert_eq(lane_create(&cfg, &lanes[me]), 0);
	lane_join(lanes[me], d.grp, me);
	if (me == 0)
		cr_assert_eq(lane_go(lanes[0], start_all, NULL, "start"), 0);
	cr_assert_eq(lane_group_meet(d.grp, 0), 0);
	cr_assert_eq(lane_run(lanes[me]), 0);
	cr_assert_eq(lane_group_meet(d.grp, 0), 0);
	lane_destroy(lanes[me]);
	return NULL;
}

Test(movable, test_movable_R48_real_lanes_lose_nothing, .timeout = 60)
{
	pthread_t t[REAL_LANES];
	unsigned all = 0;

	cr_assert_eq(lane_group_create(REAL_LANES, &d.grp), 0);
	for (uintptr_t i = 1; i < REAL_LANES; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, real_lane, (void *)i), 0);
	real_lane(NULL);
	for (unsigned i = 1; i < REAL_LANES; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < REAL_LANES; i++)
		all += seen[i];
	cr_assert_eq(steps, (uint64_t)REAL_GS * REAL_STEPS);
	cr_assert_gt(all, 1, "somebody stole");
	cr_assert_eq(d.grp->nr_movable, 0);
	lane_group_destroy(d.grp);
}
