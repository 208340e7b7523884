/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a lane falls asleep and is woken: sleep_in_kernel() of poller/lane_idle.c and wakefd_drain()
 * of poller/wakefd.c against lane_break() and lane_stop() of poller/lane.c, with a monitor
 * thread that polls the same epoll (R44). R35, R36, R41-R43. Memory is x86's (tso.pml); what is
 * seq_cst in C and a plain load on x86 is a plain load here.
 *
 *   lane: sleeping = 1, fence, look again, sleep     others: push, fence, break if it sleeps
 *
 * Never: a lane that sleeps with a message in its list or a stop unseen; lane_break() on a lane
 * that is destroyed. A macro is a fault, see check.py. BREAK_BY_FENCE is not one: the house
 * plan's fence and load in place of lane_break()'s locked instruction.
 */
#ifndef PUSHERS
#define PUSHERS 2
#endif
#ifndef MESSAGES
#define MESSAGES 2 /* of each pusher */
#endif

#define LANE      0 /* threads; the pushers are 1 to PUSHERS */
#define STOPPER   (PUSHERS + 1)
#define MONITOR   (PUSHERS + 2)
#define THREADS   (PUSHERS + 3)

/* addresses; a pusher's list head is the number of its last message */
#define SLEEPING 0
#define STOP     STOPPER
#define STOPPERS (PUSHERS + 2)
#define WAKE_SIG (PUSHERS + 3)
#define ADDRESSES (PUSHERS + 4)

#include "tso.pml"

byte evfd;              /* the eventfd's count, 0 or more: readable */
byte taken[PUSHERS + 1]; /* the last message of each that the lane took */
bool edge;              /* -DEDGE: a write that epoll has not told yet */
bool destroyed, lane_ended;
byte pushing;           /* threads of the group's other lanes */

#if PUSHERS == 1
#define WORK (mem[1] != taken[1])
#define ALL_TAKEN (taken[1] == MESSAGES)
#else
#define WORK (mem[1] != taken[1] || mem[2] != taken[2])
#define ALL_TAKEN (taken[1] == MESSAGES && taken[2] == MESSAGES)
#endif

#ifdef EDGE
#define EVENT_THERE edge
#else
#define EVENT_THERE (evfd > 0)
#endif

/* ---- any thread ---- */

/* wakefd_brk(): R35 */
inline wakefd_brk()
{
	rmw_exchange(WAKE_SIG, 1, was);
	if
	:: !was -> atomic {
		assert(!destroyed);
		evfd = 1;
		edge = true;
		printf("%d: wakefd_brk: write\n", me)
	   }
	:: else -> atomic { printf("%d: wakefd_brk: it is written\n", me) }
	fi
}

inline lane_break()
{
#if defined(BREAK_BY_FENCE)
	fence();
	was = mem[SLEEPING];
#elif defined(BREAK_BY_LOAD)
	was = mem[SLEEPING];
#else
	rmw_load(SLEEPING, was);
#endif
	atomic { assert(!destroyed); printf("%d: lane_break: sleeping %d\n", me, was) };
	if
	:: was -> wakefd_brk()
	:: else
	fi
}

proctype pusher(byte me)
{
	byte n, was;

	do
	:: n < MESSAGES ->
		n++;
		atomic { store(me, n); printf("%d: push message %d\n", me, n) };
		lane_break()
	:: n == MESSAGES -> break
	od;
	pushing--
}

/* lane_stop(), once all messages are there; it may come at any time before, too. */
proctype stopper(byte me)
{
	byte was;

	if
	:: ALL_TAKEN
	:: goto nobody_stops
	fi;
#ifndef NO_STOPPERS
	rmw_add(STOPPERS, 1);
#endif
	atomic { store(STOP, 1); printf("%d: lane_stop\n", me) };
	fence();
	lane_break();
#ifndef NO_STOPPERS
	rmw_add(STOPPERS, -1);
#endif
nobody_stops:
	skip
}

/* wakefd_drain(), the lane's own: R36, the read before the reset. */
inline wakefd_drain()
{
#ifdef RESET_BEFORE_READ
	rmw_exchange(WAKE_SIG, 0, was);
	atomic { evfd = 0; printf("%d: wakefd_drain: read, after the reset\n", me) }
#else
	atomic { evfd = 0; printf("%d: wakefd_drain: read\n", me) };
#ifndef NO_RESET
	rmw_exchange(WAKE_SIG, 0, was)
#endif
#endif
}

/* R44: it looks into the lane's epoll and leaves the eventfd alone. */
proctype monitor(byte me)
{
	byte n, was;

	do
	:: n < 2 ->
		n++;
		if
		:: EVENT_THERE ->
			edge = false;
			atomic { printf("%d: monitor: sees the eventfd\n", me) };
#ifdef MONITOR_DRAINS
			wakefd_drain()
#endif
		:: else
		fi
	:: n == 2 -> break
	od
}

/* ---- the lane ---- */

/* epoll_be_poll(): blocks until there is an event, or does not block. */
inline epoll_be_poll(block)
{
	if
	:: EVENT_THERE ->
		edge = false;
		wakefd_drain()
	:: !EVENT_THERE && !block
	fi
}

/* Step 4 of the turn; the list is taken by an exchange. */
inline take_messages()
{
	atomic {
		fence() ->
		if
		:: WORK -> printf("%d: take the messages\n", me)
		:: else
		fi;
		taken[1] = mem[1];
#if PUSHERS > 1
		taken[2] = mem[2]
#endif
	}
}

/* lane_called() */
inline look_again()
{
	found = WORK;
	found = found || mem[STOP];
	atomic { printf("%d: look again: %d\n", me, found) }
}

inline sleep_in_kernel()
{
#ifdef LOOK_BEFORE_SLEEPING
	look_again();
	store(SLEEPING, 1);
	fence();
#else
	atomic { store(SLEEPING, 1); printf("%d: sleep_in_kernel: sleeping = 1\n", me) };
#ifndef NO_FENCE
	fence();
#endif
#ifdef NO_LOOK
	found = false;
#else
	look_again();
#endif
#endif
	epoll_be_poll(!found);
	store(SLEEPING, 0)
}

proctype lane(byte me)
{
	byte was;
	bool found;

	do
	:: mem[STOP] -> break
	:: else ->
		take_messages();
		if /* step 7: a look that does not block */
		:: epoll_be_poll(false)
		:: skip
		fi;
		if /* a turn that found nothing may sleep */
		:: sleep_in_kernel()
		:: skip
		fi
	od;
	/* lane_destroy(): the lanes of a group end together, so that no other still pushes. Who calls
	 * lane_stop() may be anybody. */
	mem[STOPPERS] == 0 && pushing == 0 -> atomic { destroyed = true; printf("%d: lane_destroy\n", me) };
	lane_ended = true
}

proctype judge()
{
	bool lost_wakeup;

	timeout ->
	lost_wakeup = !lane_ended && (WORK || mem[STOP]);
	assert(!lost_wakeup);
	assert(lane_ended || ALL_TAKEN)
}

init {
	byte i;

	atomic {
		do
		:: i < THREADS -> run buffer(i); i++
		:: i == THREADS -> break
		od;
		pushing = PUSHERS;
		run lane(LANE);
		run pusher(1);
#if PUSHERS > 1
		run pusher(2);
#endif
		run stopper(STOPPER);
		run monitor(MONITOR);
		run judge()
	}
}
