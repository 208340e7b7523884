/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rg and wg of one pd of a kernel fd, with four racers on threads of their own: an event, a close,
 * deadlines that come and are moved, and the waiter. poller/netpoll.c and netpoll_deadline.c, by
 * the names of their functions; one step here is one atomic access there. All of them are
 * seq_cst, so that memory is one memory. R2-R7, R9, R10, R15, R19, R22-R31.
 *
 * Never: a waiter that sleeps while there is data, a close or a deadline that has passed; a token
 * that no event left; a g that two wake; a count of waiters below those who sleep, or not 0 in
 * the end; an error by a timer whose deadline was moved. A macro is a fault, see check.py.
 */
#ifndef DIRS
#define DIRS 1 /* 2: a reader and a writer, and the timer that serves both (R25) */
#endif
#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef SETS
#define SETS 2 /* calls of netpoll_set_deadline */
#endif
#ifndef CLOSES
#define CLOSES 1 /* may it be closed? */
#endif
/* FOREIGN: the mover is on another lane; the timers follow by a message to the owner */
#ifndef OPS
#define OPS 2 /* operations of each waiter */
#endif

#define RD 0
#define WR 1

/* R1 */
#define NIL   0
#define READY 1
#define WAIT  2
#define G     3

/* enum g_state */
#define RUNNING  0
#define WAITING  1
#define RUNNABLE 2

/* pd->rd and wd: none, over, due some time from now, or so late that it never comes here */
#define NONE    0
#define EXPIRED 1
#define NEAR    2
#define FAR     3

byte word[2];     /* pd->rg, wg */
bool lock;        /* pd->lock */
bool closing;     /* pd->closing */
byte dl[2];       /* pd->rd, wd */
byte seq[2];      /* pd->rseq, wseq */
bool i_closing;   /* pd->info: PD_INFO_CLOSING */
bool i_expired[2]; /* pd->info: PD_INFO_RD_EXPIRED, WR_EXPIRED */

/* pd->rt, wt in the lane's heap */
bool t_armed[2], t_near[2], t_both;
byte t_seq[2];

bool rearming; /* pd->rearming */
bool posted;   /* pd->rearm lies in the owner's list */

bool data[2];  /* what the fd has for an operation */
byte gstate[2];
short waiters; /* nb->waiters */

/* ghosts */
bool token[2];  /* an event came since the last reset */
bool counted[2]; /* the g sleeps, and its park is complete */
bool in_commit[2];
bool out[2];
byte last_set[2];

#define SLEEPERS (counted[RD] + counted[WR])
#define IN_COMMIT (in_commit[RD] + in_commit[WR])
/* R31: it never says "nobody" while someone sleeps; who is inside the commit will count. */
#define COUNT_HOLDS (waiters + IN_COMMIT >= SLEEPERS)

/* ---- the pd's lock and info ---- */

inline netpoll_lock()
{
#ifndef NO_LOCK
	atomic { !lock -> lock = true }
#else
	skip
#endif
}

inline netpoll_unlock()
{
	lock = false
}

inline netpoll_publish_info()
{
	atomic {
		i_closing = closing;
		i_expired[RD] = (dl[RD] == EXPIRED);
		i_expired[WR] = (dl[WR] == EXPIRED);
		printf("%e: netpoll_publish_info: closing %d expired %d %d\n", who, i_closing,
		       i_expired[RD], i_expired[WR])
	}
}

/* One load of pd->info; only whether there is an error matters here. */
inline netpoll_check_err(d, ret)
{
	atomic {
		ret = i_closing || i_expired[d];
		printf("%e: netpoll_check_err: %d\n", who, ret)
	}
}

/* ---- unblock and wake ---- */

inline cas_unblock(d, ioready, got)
{
	if
	:: word[d] == old ->
		word[d] = (ioready -> READY : NIL);
		token[d] = token[d] || ioready;
		got = (old == G);
		printf("%e: netpoll_unblock: %d -> %d\n", who, old, word[d]);
		break
	:: else -> old = word[d]
	fi
}

/* R6, unblock_locked() */
inline netpoll_unblock(d, ioready, got)
{
	got = false;
	old = word[d];
	do
	:: old == READY -> break
#ifndef TIMEOUT_TOKEN
	:: old == NIL && !ioready -> break
	:: old > READY || (old == NIL && ioready) ->
#else
	:: old != READY ->
#endif
#ifdef UNBLOCK_BY_STORE
		atomic {
			old = word[d]; /* the load ... */
		};
		atomic { /* ... and the store, and nobody looks in between */
			word[d] = (ioready -> READY : NIL);
			token[d] = token[d] || ioready;
			got = (old == G);
			printf("%e: netpoll_unblock: %d -> %d\n", who, old, word[d]);
			break
		}
#else
		atomic {
#ifdef TIMEOUT_TOKEN
			if
			:: word[d] == old ->
				word[d] = READY;
				token[d] = token[d] || ioready;
				got = (old == G);
				printf("%e: netpoll_unblock: %d -> %d\n", who, old, word[d]);
				break
			:: else -> old = word[d]
			fi
#else
			cas_unblock(d, ioready, got)
#endif
		}
#endif
	od
}

inline __sched_ready(d)
{
	atomic {
		assert(gstate[d] == WAITING);
		gstate[d] = RUNNABLE;
		counted[d] = false;
		printf("%e: __sched_ready\n", who)
	}
}

/* R31: first runnable, then no longer counted. */
inline netpoll_wake(d, got)
{
	if
	:: got ->
#ifdef COUNT_FIRST
		atomic { waiters--; assert(COUNT_HOLDS) };
		__sched_ready(d)
#else
		__sched_ready(d);
		atomic { waiters--; assert(COUNT_HOLDS) }
#endif
	:: else
	fi
}

inline wake_all()
{
	netpoll_wake(RD, got0);
#if DIRS == 2
	netpoll_wake(WR, got1)
#endif
}

/* ---- the waiter ---- */

mtype = { the_event, the_close, the_timer, the_mover, the_reader, the_writer };

/* block_locked(); `ret` is "ready" */
inline block_locked(d, ret)
{
	old = word[d];
	do /* R2 */
	:: old == READY -> atomic {
		if
		:: word[d] == READY ->
			word[d] = NIL;
			assert(token[d]);
			token[d] = false;
			ret = true;
			printf("%e: block_locked: READY -> NIL\n", who);
			goto_blocked = true;
			break
		:: else -> old = word[d]
		fi
	}
	:: old == NIL -> atomic {
		if
		:: word[d] == NIL ->
			word[d] = WAIT;
			printf("%e: block_locked: NIL -> WAIT\n", who);
			goto_blocked = false;
			break
		:: else -> old = word[d]
		fi
	}
	:: old > READY -> assert(false) /* double wait */
	od;
	if
	:: goto_blocked
	:: else ->
#ifndef NO_RECHECK
		netpoll_check_err(d, err); /* R3 */
#else
		err = false;
#endif
		if
		:: !err -> __sched_park(d)
		:: else
		fi;
		atomic { /* R5 */
			old = word[d];
			word[d] = NIL;
			printf("%e: block_locked: woken, %d -> NIL\n", who, old);
			assert(old <= WAIT);
#ifdef READY_IS_LOST
			ret = false;
			token[d] = false
#else
			ret = (old == READY);
			assert(!ret || token[d]);
			token[d] = token[d] && !ret
#endif
		}
	fi
}

/* Leave the cpu; block_commit() runs off the g's stack (R4). */
inline __sched_park(d)
{
	gstate[d] = WAITING;
#ifdef COUNT_BEFORE_COMMIT
	waiters++;
#endif
	atomic { /* block_commit: the exchange */
#ifdef COMMIT_BY_STORE
		old = WAIT;
#else
		old = word[d];
#endif
		if
		:: old == WAIT ->
			word[d] = G;
			in_commit[d] = true;
			printf("%e: block_commit: WAIT -> g\n", who)
		:: else ->
			printf("%e: block_commit: no longer WAIT\n", who)
		fi
	};
	if
	:: old == WAIT ->
		atomic { /* block_commit: the count */
#ifndef COUNT_BEFORE_COMMIT
			waiters++;
#endif
			in_commit[d] = false;
			counted[d] = (gstate[d] == WAITING)
		};
		atomic { gstate[d] == RUNNABLE -> gstate[d] = RUNNING }
	:: else -> gstate[d] = RUNNING /* landed(): it goes on at once */
	fi
}

inline netpoll_reset(d)
{
	if /* the load, then the store */
	:: word[d] != NIL -> atomic { word[d] = NIL; token[d] = false }
	:: else
	fi
}

/* One operation on the fd, as conn_read() does it: reset, try, wait, try again. */
inline operation(d)
{
	netpoll_check_err(d, err);
#ifdef RESET_AFTER_TRY
	done = !err && data[d];
	if
	:: !err -> netpoll_reset(d)
	:: else
	fi;
#else
	if
	:: !err -> netpoll_reset(d)
	:: else
	fi;
	done = !err && data[d];
#endif
	do
	:: err -> break
	:: done -> atomic { data[d] = false; printf("%e: done\n", who) }; break
	:: !err && !done ->
		netpoll_check_err(d, err);
		ready = false;
		do /* R10 */
		:: err || ready -> break
		:: else ->
			block_locked(d, ready);
			if
			:: !ready -> netpoll_check_err(d, err)
			:: else
			fi
		od;
		done = !err && data[d]
	od
}

proctype waiter(byte d; mtype who)
{
	byte old, n;
	bool err, ready, done, goto_blocked;

	do
	:: n < OPS -> operation(d); n++
	:: n == OPS -> break
	od;
	out[d] = true
}

/* ---- the others ---- */

inline netpoll_ready(d)
{
	netpoll_unblock(d, true, got0);
	netpoll_wake(d, got0)
}

/* The kernel: data first, then the edge. deliver() */
proctype event(mtype who)
{
	byte old, n;
	bool got0;

	do
	:: n < EVENTS ->
		n++;
		if
		:: atomic { data[RD] = true; printf("%e: data to read\n", who) }; netpoll_ready(RD)
#if DIRS == 2
		:: atomic { data[WR] = true; printf("%e: room to write\n", who) }; netpoll_ready(WR)
#endif
		fi
	:: break
	od
}

inline unblock_both(ioready, r, w)
{
	if
	:: r -> netpoll_unblock(RD, ioready, got0)
	:: else
	fi;
#if DIRS == 2
	if
	:: w -> netpoll_unblock(WR, ioready, got1)
	:: else
	fi
#endif
}

/* R15, and the BUG_ON of R16 once the waiters are out, which fd_mutex sees to. */
proctype closer(mtype who)
{
	byte old;
	bool got0, got1;

	if
	:: goto stays_open
	:: CLOSES -> skip
	fi;
	netpoll_lock();
	closing = true;
	seq[RD]++; /* netpoll_deadline_stop */
	seq[WR]++;
	atomic { t_armed[RD] = false; t_armed[WR] = false };
#ifdef PUBLISH_AFTER_UNBLOCK
	unblock_both(false, true, true);
	netpoll_publish_info();
#else
	netpoll_publish_info(); /* netpoll_evict */
	unblock_both(false, true, true);
#endif
	netpoll_unlock();
	wake_all();
	out[RD] && (DIRS == 1 || out[WR]);
	assert(word[RD] <= READY && word[WR] <= READY); /* netpoll_close */
stays_open:
	skip
}

inline deadline_fire(s, r, w)
{
	netpoll_lock();
	if
#ifdef NO_SEQ
	:: true ->
#else
	:: s == (r -> seq[RD] : seq[WR]) -> /* R27 */
#endif
		if
		:: r -> dl[RD] = EXPIRED
		:: else
		fi;
		if
		:: w -> dl[WR] = EXPIRED
		:: else
		fi;
		netpoll_publish_info();
#ifdef SHARED_WAKES_ONE
		unblock_both(false, r, (w && !r))
#else
		unblock_both(false, r, w)
#endif
#ifndef NO_SEQ
	:: else -> atomic { printf("%e: deadline_fire: another seq\n", who) }
#endif
	fi;
	netpoll_unlock();
	wake_all()
}

/* timer_to() */
inline timer_to(d, when)
{
	t_armed[d] = (when >= NEAR);
	t_near[d] = (when == NEAR);
	t_seq[d] = seq[d]
}

/* On the owner, as the timers are; a turn runs one after the other. */
inline rearm_here()
{
#ifdef FLAG_AFTER_REARM
	netpoll_lock();
#else
	rearming = false;
	netpoll_lock();
#endif
	d_step {
		if
		:: !closing ->
			both = (dl[RD] >= NEAR && dl[RD] == dl[WR]);
			timer_to(RD, dl[RD]);
			t_both = both;
			timer_to(WR, (both -> NONE : dl[WR]));
			printf("%e: rearm_here: %d %d\n", who, dl[RD], dl[WR])
		:: else
		fi
	};
	netpoll_unlock();
#ifdef FLAG_AFTER_REARM
	rearming = false
#endif
}

/* gtimer_run(): taken out of the heap with the seq that it had, and run later. */
proctype timer(mtype who)
{
	byte old, s;
	bool got0, got1, both;

end:
	do
	:: atomic {
		t_armed[RD] && t_near[RD] ->
		s = t_seq[RD];
		both = t_both;
		t_armed[RD] = false;
		got0 = false;
		got1 = false;
		printf("%e: gtimer_run: the read timer is due\n", who)
	   };
	   if
	   :: both -> deadline_fire(s, true, true)
	   :: else -> deadline_fire(s, true, false)
	   fi
#if DIRS == 2
	:: atomic {
		t_armed[WR] && t_near[WR] ->
		s = t_seq[WR];
		t_armed[WR] = false;
		got0 = false;
		got1 = false;
		printf("%e: gtimer_run: the write timer is due\n", who)
	   };
	   deadline_fire(s, false, true)
#endif
	:: atomic { posted -> posted = false };
	   rearm_here()
	od
}

/* arm(): R25, R26. Under the lock, and nobody reads half of it: one step. Two equal times of
 * this model are the same time. */
inline arm(old_rd, old_wd)
{
	d_step {
		was = (old_rd >= NEAR && old_rd == old_wd);
		both = (dl[RD] >= NEAR && dl[RD] == dl[WR]);
		if
		:: dl[RD] != old_rd || was != both || dl[RD] >= NEAR ->
#ifndef NO_SEQ_BUMP
			seq[RD]++;
#endif
			timer_to(RD, dl[RD]);
			t_both = both
		:: else
		fi;
		if
		:: dl[WR] != old_wd || was != both || dl[WR] >= NEAR ->
#ifndef NO_SEQ_BUMP
			seq[WR]++;
#endif
			timer_to(WR, (both -> NONE : dl[WR]))
		:: else
		fi
	}
}

inline netpoll_set_deadline(when, r, w)
{
	netpoll_lock();
	if
	:: closing -> tell = false /* R23 */
	:: else ->
		d_step {
			old_rd = dl[RD];
			old_wd = dl[WR];
			dl[RD] = (r -> when : dl[RD]);
			dl[WR] = (w -> when : dl[WR]);
			last_set[RD] = dl[RD];
			last_set[WR] = dl[WR];
			printf("%e: netpoll_set_deadline: %d %d\n", who, dl[RD], dl[WR])
		};
#ifdef FOREIGN
		if
		:: dl[RD] != old_rd || dl[WR] != old_wd || dl[RD] >= NEAR ->
			seq[RD]++; /* netpoll_deadline_void */
			seq[WR]++;
			atomic { tell = !rearming; rearming = true }
		:: else -> tell = false
		fi;
#else
		arm(old_rd, old_wd);
#endif
#ifdef PAST_IS_SILENT
		netpoll_publish_info()
#else
		netpoll_publish_info();
		unblock_both(false, (dl[RD] == EXPIRED), (dl[WR] == EXPIRED)) /* R28 */
#endif
	fi;
	netpoll_unlock();
	wake_all();
#ifdef FOREIGN
	if
	:: tell -> atomic {
		assert(!posted); /* a message lies in one list at a time */
		posted = true;
		printf("%e: lane_post: rearm\n", who)
	   }
	:: else
	fi
#endif
}

proctype mover(mtype who)
{
	byte old, n, when, old_rd, old_wd;
	bool got0, got1, was, both, r, w, tell;

	do
	:: n < SETS ->
		n++;
		atomic {
			got0 = false;
			got1 = false;
			if
			:: when = NONE
			:: when = EXPIRED
			:: when = NEAR
			:: when = FAR
			fi;
#if DIRS == 2
			if
			:: r = true; w = true
			:: r = true; w = false
			:: r = false; w = true
			fi
#else
			r = true
#endif
		};
		netpoll_set_deadline(when, r, w)
	:: break
	od
}

/* When nothing can go on: who sleeps through what, and what is left. */
#define SLEEPS_THROUGH(d)                                                                           \
	(gstate[d] == WAITING && (word[d] != G || data[d] || i_closing || i_expired[d]))
/* A time that was set last and is not NEAR stays what it is. */
#define OLD_TIMER_ACTED(d) (!closing && last_set[d] != NEAR && dl[d] != last_set[d])

proctype judge()
{
	bool lost_wakeup, lost_waiter, lost_deadline, stale_token, old_timer_acted;

	timeout ->
	d_step {
		lost_wakeup = SLEEPS_THROUGH(RD) || SLEEPS_THROUGH(WR);
		lost_waiter = !out[RD] && gstate[RD] != WAITING;
		lost_deadline = !closing && (dl[RD] == NEAR || dl[WR] == NEAR);
		stale_token = (word[RD] == READY && !token[RD]) || (word[WR] == READY && !token[WR]);
		old_timer_acted = OLD_TIMER_ACTED(RD) || OLD_TIMER_ACTED(WR)
	};
	assert(!lost_wakeup);
	assert(!lost_waiter);
	assert(!lost_deadline);
	assert(!stale_token);
	assert(!old_timer_acted);
	assert(!lock);
	assert(waiters == SLEEPERS)
}

init {
	atomic {
		run waiter(RD, the_reader);
#if DIRS == 2
		run waiter(WR, the_writer);
#endif
		run event(the_event);
		run closer(the_close);
		run timer(the_timer);
		run mover(the_mover);
		run judge()
	}
}
