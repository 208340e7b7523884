/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who puts a movable goroutine on a queue: its `wake` word, between the lane that it leaves
 * (movable_landed()), who makes it ready (movable_ready()) and a dump that walks its stack (hold()
 * and let_go() of poller/dump.c). The goroutines are the two of tests/tsan/tsan_movable.c, which
 * hand a token to and fro: publish() and play(). R4, R47. Memory is one memory: all of it is locked
 * instructions, or loads and stores of who alone has g.
 *
 *   who parks: publish itself, is the token here? then NO -> PARKED
 *   who wakes: token, take who is published, swap in WOKEN: it was PARKED? then it is ours to push
 *   a dump:    PARKED -> NO, walk, NO -> PARKED; WOKEN came meanwhile? then it is ours to push
 *
 * A player's process is the goroutine and, while that is off its stack, the lane that it left and
 * the one that takes it from a queue.
 *
 * Never: a goroutine that sleeps for ever; one on two queues, or on one while its lane has not let
 * go of it; one that runs while its stack is walked. A macro is a fault, see check.py.
 */
#ifndef STEPS
#define STEPS 2 /* how often each has the token */
#endif
#ifndef DUMPS
#define DUMPS 2
#endif

#define DUMPER 2
#define NOBODY 2

/* g->wake */
#define NO     0
#define PARKED 1
#define WOKEN  2

#ifdef ONE_PLACE
#define PLACE(g) 0
#else
#define PLACE(g) (g)
#endif

byte turn;
byte waits[2] = NOBODY;
byte wake[2];
bool queued[2];

/* ghosts */
bool off[2];    /* its lane has let go of it */
bool walked[2];
byte out;

inline push(g)
{
	atomic {
		assert(off[g] && !queued[g]);
		queued[g] = true;
		printf("%d: push g %d\n", me, g)
	}
}

inline movable_ready(g)
{
#ifdef READY_BY_LOAD
	old = wake[g];
	if
	:: old != PARKED -> wake[g] = WOKEN
	:: else
	fi;
#else
	atomic { old = wake[g]; wake[g] = WOKEN; printf("%d: ready g %d: was %d\n", me, g, old) };
#endif
	if
#ifdef READY_AT_ONCE
	:: true ->
#else
	:: old == PARKED ->
#endif
		wake[g] = NO;
		push(g)
	:: else
	fi
}

/* Of the test: true, it parks; false, nobody has taken it, and it goes on. */
inline publish()
{
#ifdef LOOK_FIRST
	parks = (turn != me);
	atomic { waits[PLACE(me)] = me; printf("%d: publish, parks %d\n", me, parks) };
#else
	atomic { waits[PLACE(me)] = me; printf("%d: publish\n", me) };
	parks = (turn != me);
#endif
	if
	:: !parks -> atomic {
		parks = (waits[PLACE(me)] != me);
		waits[PLACE(me)] = (parks -> waits[PLACE(me)] : NOBODY);
		printf("%d: the token is here; taken by who wakes %d\n", me, parks)
	   }
	:: else
	fi
}

inline movable_landed()
{
	atomic {
#ifdef LANDED_BY_STORE
		old = NO;
#else
		old = wake[me];
#endif
		off[me] = true;
		wake[me] = (old == NO -> PARKED : wake[me]);
		printf("%d: landed: was %d\n", me, old)
	};
	if
	:: old != NO ->
		wake[me] = NO;
		push(me)
	:: else
	fi
}

/* The switch away, landed_movable() on the lane, and the switch to it from a queue. */
inline sched_park()
{
	publish();
	if
	:: parks -> movable_landed()
	:: else -> off[me] = true; push(me)
	fi;
	atomic {
		queued[me] ->
		queued[me] = false;
		off[me] = false;
		assert(!walked[me]);
		printf("%d: runs\n", me)
	}
}

proctype player(byte me)
{
	byte n, old, other;
	bool parks;

	do
	:: n == STEPS -> break
	:: n < STEPS && turn != me -> sched_park()
	:: n < STEPS && turn == me ->
		n++;
		atomic { turn = 1 - me; printf("%d: gives the token\n", me) };
		atomic {
			other = waits[PLACE(1 - me)];
			waits[PLACE(1 - me)] = NOBODY;
			printf("%d: takes who waits: %d\n", me, other)
		};
		if
		:: other != NOBODY -> movable_ready(other)
		:: else
		fi
	od;
	out++
}

inline let_go(g)
{
#ifdef LET_GO_BY_STORE
	wake[g] = PARKED
#else
	atomic {
		old = wake[g];
		wake[g] = (old == NO -> PARKED : wake[g]);
		printf("%d: let go of g %d: was %d\n", me, g, old)
	};
	if
#ifdef READY_IS_LOST
	:: old == WOKEN -> wake[g] = PARKED
#else
	:: old == WOKEN ->
		wake[g] = NO;
		push(g)
#endif
	:: else
	fi
#endif
}

/* look_at() */
proctype dumper(byte me)
{
	byte n, g, old;
	bool mine;

	do
	:: n < DUMPS ->
		n++;
		if
		:: g = 0
		:: g = 1
		fi;
		atomic { /* hold() */
			mine = (wake[g] == PARKED);
			walked[g] = mine;
#ifndef HOLD_BY_LOAD
			wake[g] = (mine -> NO : wake[g]);
#endif
			printf("%d: hold g %d: %d\n", me, g, mine)
		};
		if
		:: mine ->
			walked[g] = false;
#ifndef HOLD_BY_LOAD
			let_go(g)
#endif
		:: else
		fi
	:: n == DUMPS -> break
	od
}

proctype judge()
{
	bool all_done;

	timeout ->
	all_done = (out == 2);
	assert(all_done)
}

init {
	atomic {
		run player(0);
		run player(1);
		run dumper(DUMPER);
		run judge()
	}
}
