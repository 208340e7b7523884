/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Movable goroutines and lanes that look for them: poller/movable.c, and sleep_in_kernel() of
 * poller/lane_idle.c. R39, R47, R48. A busy lane makes goroutines runnable and stays busy; the other
 * lanes search, steal one and run it for ever, find work of their own, or fall asleep. How a break
 * reaches a lane is lane_sleep.pml's; memory is x86's (tso.pml).
 *
 *   pusher:   push; who is idle? is nobody searching? then clear an idle bit and break that lane
 *   searcher: flag, steal, drop the flag, look once more
 *   sleeper:  sleeping = 1, idle bit, look once more, sleep
 *   woken:    was its idle bit cleared? with work of its own it looks, and wakes another
 *
 * Never: a goroutine that waits while a lane sleeps. A macro is a fault, see check.py.
 */
#ifndef LANES
#define LANES 2 /* besides the producer */
#endif
#ifndef WORK
#define WORK 2 /* goroutines */
#endif
#ifndef LIMIT
#define LIMIT 2 /* lanes that may search at a time */
#endif

#define PRODUCER 0
#define THREADS  (LANES + 1)

/* addresses: sleeping of lane i at i */
#define SEARCHING 0
#define PUSHED    (LANES + 1) /* s->m.tail of the producer */
#define TAKEN     (LANES + 2) /* s->m.head */
#define IDLE      (LANES + 3) /* grp->idle, bit i - 1 of lane i */
#define ADDRESSES (LANES + 4)

#include "tso.pml"

bool broken[LANES + 1]; /* the eventfd of each */
byte asleep;

#define WAITING (mem[TAKEN] < mem[PUSHED])
#define BIT(i)  (1 << ((i) - 1))

/* Lowest bit first. */
inline wake_one()
{
	was = mem[IDLE];
	if
	:: was == 0 || mem[SEARCHING] -> atomic {
		printf("%d: wake_one: idle %d searching %d\n", me, was, mem[SEARCHING])
	   }
	:: else ->
		to = (was & 1 -> 1 : (was & 2 -> 2 : 3));
		atomic { /* the fetch_and */
			fence() ->
			was = mem[IDLE] & BIT(to);
			mem[IDLE] = mem[IDLE] & ~BIT(to)
		};
		if
		:: was ->
			rmw_load(to, was); /* lane_break */
			atomic {
				broken[to] = broken[to] || was;
				printf("%d: lane_break: lane %d sleeping %d\n", me, to, was)
			}
		:: else
		fi
	fi
}

/* movable_push(): the tail is stored seq_cst. */
inline movable_push(n)
{
	atomic { store(PUSHED, n); printf("%d: push g %d\n", me, n) };
#ifndef NO_PUSH_FENCE
	fence();
#endif
	wake_one()
}

proctype producer(byte me)
{
	byte n, was, to;

	do
	:: n < WORK -> n++; movable_push(n)
	:: n == WORK -> break
	od
}

/* The exchange on the queue's head. */
inline steal()
{
	atomic {
		fence() ->
		got = WAITING;
		mem[TAKEN] = mem[TAKEN] + got;
		printf("%d: steal: %d\n", me, got)
	}
}

inline movable_waiting(ret)
{
	atomic { ret = WAITING; printf("%d: movable_waiting: %d\n", me, ret) }
}

inline may_search(ret)
{
	atomic {
		fence() ->
		ret = (mem[SEARCHING] < LIMIT);
		mem[SEARCHING] = mem[SEARCHING] + ret;
		printf("%d: may_search: %d\n", me, ret)
	}
}

inline drop_flag()
{
	atomic {
		fence() ->
		mem[SEARCHING] = mem[SEARCHING] - 1;
		last = (mem[SEARCHING] == 0);
		printf("%d: drop the search flag, the last: %d\n", me, last)
	}
}

inline movable_search()
{
	got = false;
	movable_waiting(found);
	if
	:: found -> may_search(found)
	:: else
	fi;
	if
	:: found ->
		steal();
#ifdef FLAG_AFTER_LOOK
		found = false;
		if
		:: !got -> movable_waiting(found)
		:: else
		fi;
		drop_flag();
#else
		drop_flag();
		found = false;
#ifndef NO_LOOK_AFTER_FLAG
		if
		:: last && !got -> movable_waiting(found)
		:: else
		fi;
#endif
#endif
		if
#ifndef NO_WAKE_NEXT
		:: last && (got || found) -> wake_one()
#else
		:: last && found -> wake_one()
#endif
		:: else
		fi
	:: else
	fi
}

/* A lane that was called and has work of its own. */
inline movable_pass_on()
{
	found = false;
#ifndef NO_PASS_ON
	if
	:: called -> movable_waiting(found)
	:: else
	fi;
#endif
	if
	:: found -> wake_one()
	:: else
	fi
}

proctype searcher(byte me)
{
	byte was, to;
	bool got, found, last, called;

#ifdef ONE_SLEEPS
	if
	:: me == LANES -> goto sleeps
	:: else
	fi;
#endif
turn:
	movable_search();
	if
	:: got -> goto busy_for_ever
	:: !got -> goto busy_for_ever /* work of its own came */
	:: !got -> skip
	fi;
	/* sleep_in_kernel */
#ifdef IDLE_BEFORE_SLEEPING
	atomic { fence() -> mem[IDLE] = mem[IDLE] | BIT(me) };
	store(me, 1);
	fence();
#else
	store(me, 1);
#ifdef IDLE_BY_STORE
	store(IDLE, mem[IDLE] | BIT(me));
#else
	atomic { fence() -> mem[IDLE] = mem[IDLE] | BIT(me); printf("%d: idle\n", me) };
#endif
#endif
#ifdef NO_LOOK
	found = false;
#else
	movable_waiting(found); /* lane_called */
#endif
	if
	:: found || broken[me] -> goto awake
	:: else -> atomic { asleep++; printf("%d: sleeps\n", me) }
	fi;
sleeps:
	atomic { broken[me] -> asleep--; printf("%d: woken\n", me) };
awake:
	broken[me] = false;
	store(me, 0);
	atomic { /* movable_awake(): who else cleared it has called us */
		fence() ->
		called = !(mem[IDLE] & BIT(me));
		mem[IDLE] = mem[IDLE] & ~BIT(me);
		printf("%d: awake, called: %d\n", me, called)
	};
	if
	:: goto turn
	:: movable_pass_on() /* work of its own came first: it does not search */
	fi;
busy_for_ever:
	skip
}

proctype judge()
{
	bool stranded;

	timeout ->
	stranded = (asleep && WAITING);
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
#ifdef ONE_SLEEPS /* the last one does already: fewer states */
		mem[LANES] = 1;
		mem[IDLE] = BIT(LANES);
		asleep = 1;
#endif
		i = 1;
		do
		:: i <= LANES -> run searcher(i); i++
		:: else -> break
		od;
		run judge()
	}
}
