/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Movable goroutines and lanes that look for them: R39, R47, R48. A busy lane makes goroutines
 * runnable and stays busy; the other lanes search, steal one, run it for ever, or fall asleep. The
 * sleep itself is lane_sleep.pml's; memory is x86's (tso.pml).
 *
 *   producer: push, fence, nobody searches? then break a lane that sleeps
 *   searcher: sleeping = 1, drop the search flag, fence, look at every queue once more, sleep
 *
 * The flag falls before the last look, and the last look comes after `sleeping`: who pushes later
 * sees either no searcher and a sleeper, or is seen. Never: a goroutine that waits while a lane
 * sleeps. A macro is a fault, see check.py.
 */
#ifndef WORK
#define WORK 2 /* goroutines, and lanes besides the producer */
#endif
#ifndef LIMIT
#define LIMIT 2 /* lanes that may search at a time */
#endif

#define PRODUCER 0
#define THREADS  (WORK + 1)

/* addresses: sleeping of lane i at i */
#define SEARCHING 0
#define PUSHED    (WORK + 1)
#define TAKEN     (WORK + 2)
#define ADDRESSES (WORK + 3)

#include "tso.pml"

bool broken[WORK + 1]; /* the eventfd of each */
byte asleep;

/* An awake lane is told nothing. */
inline break_one()
{
	i = 1;
	do
	:: i <= WORK ->
		rmw_load(i, was);
		if
		:: was && !broken[i] -> atomic {
			broken[i] = true;
			printf("%d: lane_break: lane %d\n", me, i);
			break
		   }
		:: else -> i++
		fi
	:: else -> break
	od;
	i = 0
}

/* R47, R48: who finds nobody searching wakes one. */
inline wake_searcher()
{
#ifndef NO_PUSH_FENCE
	fence();
#endif
	if
	:: mem[SEARCHING] == 0 -> break_one()
	:: else -> atomic { printf("%d: somebody searches\n", me) }
	fi
}

proctype producer(byte me)
{
	byte n, i, was;

	do
	:: n < WORK ->
		n++;
		atomic { store(PUSHED, n); printf("%d: push g %d\n", me, n) };
		wake_searcher()
	:: n == WORK -> break
	od
}

inline drop_flag()
{
	if
	:: searches ->
		rmw_add(SEARCHING, -1);
		atomic { searches = false; printf("%d: drop the search flag\n", me) }
	:: else
	fi
}

/* The exchange on the queue's head. */
inline steal()
{
	atomic {
		fence() ->
		got = (mem[TAKEN] < mem[PUSHED]);
		mem[TAKEN] = mem[TAKEN] + got;
		printf("%d: steal: %d\n", me, got)
	}
}

inline last_look()
{
	atomic { found = (mem[TAKEN] < mem[PUSHED]); printf("%d: look once more: %d\n", me, found) }
}

proctype searcher(byte me)
{
	byte i, was;
	bool searches, searched, got, found;

search:
	atomic { /* R48: the limit, and the flag */
		fence() ->
		searches = (mem[SEARCHING] < LIMIT);
		mem[SEARCHING] = mem[SEARCHING] + searches;
		searched = searches;
		printf("%d: searches: %d\n", me, searches)
	};
	got = false;
	found = false;
	if
	:: searches -> steal()
	:: else
	fi;
	if
	:: got ->
		drop_flag();
#ifndef NO_WAKE_NEXT
		wake_searcher(); /* others pushed, and left it to us */
#endif
		goto runs_for_ever
	:: else
	fi;
#if defined(FLAG_AFTER_LOOK)
	store(me, 1);
	fence();
	last_look();
	drop_flag();
#elif defined(LOOK_BEFORE_SLEEPING)
	drop_flag();
	last_look();
	store(me, 1);
	fence();
#else
	store(me, 1);
	drop_flag();
	fence();
#ifdef ONLY_SEARCHERS_LOOK
	if
	:: searched -> last_look()
	:: else
	fi;
#else
	last_look(); /* also who was not let search: the one that was may have found something else */
#endif
#endif
	if
	:: found -> skip
	:: else ->
		asleep++;
		broken[me];
		atomic { asleep--; broken[me] = false; printf("%d: woken\n", me) }
	fi;
	store(me, 0);
	goto search;
runs_for_ever:
	skip
}

proctype judge()
{
	bool stranded;

	timeout ->
	stranded = (asleep && mem[TAKEN] < mem[PUSHED]);
	assert(!stranded)
}

init {
	byte i;

	atomic {
		do
		:: i < THREADS -> run buffer(i); i++
		:: i == THREADS -> break
		od;
		run producer(PRODUCER);
		i = 1;
		do
		:: i <= WORK -> run searcher(i); i++
		:: else -> break
		od;
		run judge()
	}
}
