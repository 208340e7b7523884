/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One direction of a connection's mutex: users that take turns, one whose ctx ends, and a close in
 * the middle. poller/fd_mutex.c, by the names of its functions; one step here is one change of the
 * word, or one hold of the spin lock, there. Memory is one memory: the word is changed with acquire
 * and release, all else is under the lock. R52, R53.
 *
 * The object's memory goes with it, unless somebody holds that (conn_hold(), conn_put()): a waiter
 * does, from where it is counted until it runs again, and the closer. READY is told and not running
 * yet: on another lane a message's way, in which a cut may come. A call on an object that is freed
 * when it begins is not this file's.
 *
 * Never: two with the lock; a waiter that sleeps while nobody has it; a close that does not come
 * back; an object destroyed twice, not at all, or while someone is in it; memory that was freed looked at. A macro is a fault, see
 * check.py.
 */
#ifndef USERS
#define USERS 3
#endif
#ifndef OPS
#define OPS 1 /* locks of each user */
#endif

#define CLOSER  USERS
#define THREADS (USERS + 1)

#define RUNNING 0
#define PARKED  1
#define READY   2

/* m->word */
bool closed, locked;
byte refs, waits;

bool lock;                     /* m->lock */
chan queue = [USERS] of {byte}; /* m->q[dir]: head, tail */
byte granted;                  /* m->q[dir].granted */
bool has_closer;               /* m->closer */

byte gstate[THREADS];
bool w_granted[USERS]; /* struct fd_waiter */
bool resting;          /* user 0 is off its stack: its lane may cut it */
bool cutting;          /* and does: it cannot run */

byte holds; /* pl_conn.holds */

/* ghosts */
byte inside, destroyed, out;
bool freed;
bool close_is_back;

inline fdm_spin_lock()
{
	atomic { !lock -> assert(!freed); lock = true }
}

inline fdm_spin_unlock()
{
	atomic { assert(!freed); lock = false }
}

inline conn_put()
{
	atomic {
		assert(!freed && holds);
		holds--;
		if
		:: destroyed && holds == 0 -> freed = true; printf("%d: free\n", me)
		:: else
		fi
	}
}

inline sched_ready(g)
{
	atomic {
		assert(gstate[g] == PARKED);
		gstate[g] = READY;
		printf("%d: sched_ready: %d\n", me, g)
	}
}

/* What the caller of a function that says "last" does. */
inline destroy()
{
	atomic {
		assert(closed && refs == 0 && !destroyed && inside == 0);
		destroyed++;
		freed = (holds == 0);
		printf("%d: destroy: freed %d\n", me, freed)
	};
	if
	:: has_closer -> sched_ready(CLOSER)
	:: else
	fi
}

inline fdm_commit()
{
	fdm_spin_lock();
	atomic {
		if
		:: granted -> granted--; w_granted[me] = true
#ifdef NO_LOOK_AT_CLOSED
		:: !granted ->
#else
		:: !granted && !closed ->
#endif
			queue!me;
			gstate[me] = PARKED
		:: else
		fi;
		printf("%d: fdm_commit: granted %d parked %d\n", me, w_granted[me],
		       gstate[me] == PARKED)
	};
	fdm_spin_unlock()
}

inline fd_mutex_lock()
{
	w_granted[me] = false;
	got = false;
	atomic {
		if
		:: closed || freed -> wait = false
		:: !closed && locked ->
#ifndef NO_HOLD
			holds++;
#endif
			waits++;
			wait = true
		:: else -> locked = true; refs++; got = true; wait = false
		fi;
		printf("%d: fd_mutex_lock: got %d wait %d\n", me, got, wait)
	};
	if
	:: wait ->
		fdm_commit();
#ifdef HOLD_UNTIL_PARKED
		conn_put();
#endif
		resting = (resting || (me == 0 && gstate[me] != RUNNING));
		atomic {
			gstate[me] != PARKED && !(me == 0 && cutting) ->
			gstate[me] = RUNNING;
			resting = (resting && me != 0)
		};
#if !defined(NO_HOLD) && !defined(HOLD_UNTIL_PARKED)
		conn_put();
#endif
		got = w_granted[me]
	:: else
	fi
}

inline fdm_grant()
{
	fdm_spin_lock();
	atomic {
		to = CLOSER;
		taken = true;
		if
		:: nempty(queue) -> queue?to; w_granted[to] = true
#ifndef GRANT_IS_LOST
		:: empty(queue) && closed -> taken = false
#endif
		:: else -> granted++
		fi;
		printf("%d: fdm_grant: to %d taken %d\n", me, to, taken)
	};
	fdm_spin_unlock();
	if
	:: to != CLOSER -> sched_ready(to)
	:: else
	fi
}

inline fd_mutex_unlock()
{
	do
	:: atomic {
		assert(locked && refs && !freed);
		hand_over = (waits > 0);
		if
		:: hand_over -> waits--
		:: else -> locked = false; refs--
		fi;
		last = (!hand_over && closed && refs == 0);
		printf("%d: fd_mutex_unlock: hand_over %d last %d\n", me, hand_over, last)
	   };
	   if
	   :: hand_over ->
		fdm_grant();
		if
		:: taken -> break
		:: else
		fi
	   :: else -> break
	   fi
	od
}

proctype user(byte me)
{
	byte n, to;
	bool got, wait, hand_over, taken, last;

	do
	:: n < OPS ->
		n++;
		fd_mutex_lock();
		if
		:: !got -> break
		:: else
		fi;
		atomic { inside++; assert(inside == 1 && !destroyed) };
		inside--;
		fd_mutex_unlock();
		if
		:: last -> destroy(); break
		:: else
		fi
	:: n == OPS -> break
	od;
	out++
}

/* fdm_cut() of user 0's wait, on its lane. */
proctype cutter(byte me)
{
	bool gone;

	atomic { resting -> cutting = true };
	fdm_spin_lock();
	atomic {
		if
#ifdef CUT_UNCOUNTED
		:: queue??[0] ->
			waits = (waits -> waits - 1 : 0);
#else
		:: queue??[0] && waits ->
			waits--;
#endif
			queue??0;
			gone = true
		:: else
		fi;
		printf("%d: fdm_cut: gone %d\n", me, gone)
	};
	fdm_spin_unlock();
	if
	:: gone -> sched_ready(0)
	:: else
	fi;
	cutting = false
}

inline fd_mutex_close()
{
	atomic { closed = true; refs++; waits = 0; printf("%d: fd_mutex_close\n", me) };
#ifndef NOBODY_IS_WOKEN
	fdm_spin_lock();
	/* what is under the lock is one step for all others */
	do
	:: nempty(queue) -> atomic { queue?w; sent[w] = true }
	:: empty(queue) -> break
	od;
	fdm_spin_unlock();
	w = 0;
	do
	:: w < USERS && sent[w] -> sched_ready(w); w++
	:: w < USERS && !sent[w] -> w++
	:: w == USERS -> break
	od
#endif
}

inline fd_mutex_decref()
{
	atomic {
		assert(!freed);
		refs--;
		last = (refs == 0);
		printf("%d: fd_mutex_decref: last %d\n", me, last)
	}
}

proctype closer(byte me)
{
	bool last, sent[USERS];
	byte w;

	holds++;
	fd_mutex_close();
	/* fd_mutex_close_wait() */
	if
	:: refs == 1 -> fd_mutex_decref()
	:: else ->
		gstate[me] = PARKED;
#ifdef CLOSER_AFTER_DECREF
		fd_mutex_decref();
		if
		:: !last -> fdm_spin_lock(); has_closer = true; fdm_spin_unlock()
		:: else
		fi;
#else
		fdm_spin_lock();
		has_closer = true;
		fdm_spin_unlock();
		fd_mutex_decref();
#endif
		if
		:: last -> has_closer = false; gstate[me] = RUNNING
		:: else -> gstate[me] == READY
		fi
	fi;
	if
	:: last -> destroy()
	:: else
	fi;
	assert(destroyed == 1);
	conn_put();
	close_is_back = true
}

proctype judge()
{
	bool lost_user, lost_close;

	timeout ->
	d_step {
		lost_user = (out < USERS);
		lost_close = !close_is_back
	};
	assert(!lost_user);
	assert(!lost_close);
	assert(!lock && !locked && refs == 0 && granted == 0 && freed)
}

init {
	byte i;

	atomic {
		do
		:: i < USERS -> run user(i); i++
		:: i == USERS -> break
		od;
		run closer(CLOSER);
		run cutter(THREADS);
		run judge()
	}
}
