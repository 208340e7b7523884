/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pd that is closed and taken again while events of the one before are on their way: R13, R14,
 * R16, R17, R20, R21. netpoll_open(), netpoll_evict(), netpoll_close() of poller/netpoll.c against
 * deliver() of poller/netpoll_epoll.c.
 *
 * By default an event may be delivered by another thread than the one that closes (the monitor
 * polls on behalf of a lane, R44): an event too many is legal there (R8), an error of the pd's
 * past is not. -DSAME_LANE is the lane that delivers what it polled, where gs cannot run in between:
 * there not even a token may come through. A macro is a fault, see check.py.
 */
#ifndef LIVES
#define LIVES 3 /* times that the pd is opened */
#endif

#define NIL   0
#define READY 1

byte word = NIL;  /* pd->rg */
byte fdseq = 1;   /* pd->fdseq */
byte i_seq = 1;   /* pd->info: its 20 bits of fdseq */
bool i_everr;     /* pd->info: PD_INFO_EVENT_ERR */
bool open;        /* between netpoll_open and netpoll_close */
bool is_local;    /* pd->local: plain accesses, the owner lane's alone */
bool turn;        /* -DSAME_LANE: the lane is inside poll() */

/* What the kernel holds: the event's tag, and whether its mask is exactly EPOLLERR. */
chan epoll = [2] of { byte, bool };

/* ghosts */
bool err_happened; /* to the fd that is open now */
bool edge_happened;

inline netpoll_open()
{
	assert(word <= READY);
#ifdef MIXED_KINDS
	is_local = n % 2 == 0; /* one list of free pds for both kinds: a sock's may be an fd's again */
#endif
	word = NIL; /* netpoll_open, under the lock, but an event takes none */
#ifndef ERR_IS_KEPT
	i_everr = false; /* netpoll_set_event_err(false, 0) */
#endif
	i_seq = fdseq; /* netpoll_publish_info: a CAS, the error bit is as it was */
	atomic {
		err_happened = false;
		edge_happened = false;
		open = true;
		printf("lane: netpoll_open: fdseq %d\n", fdseq)
	}
}

inline netpoll_close()
{
	open = false; /* epoll_be_close: no new event of this tag */
	atomic { /* pd_put */
#ifndef NO_BUMP
		fdseq++;
#endif
		i_seq = fdseq;
		printf("lane: pd_put: fdseq %d\n", fdseq)
	}
}

proctype lane()
{
	byte n;

	do
	:: n < LIVES ->
		n++;
#ifdef SAME_LANE
		atomic { !turn -> turn = true };
#endif
		netpoll_open();
		/* The first operation: reset, and what its first wait would see. */
		assert(!i_everr || err_happened); /* netpoll_check_err: -EIO */
		word = NIL; /* netpoll_reset */
#ifdef SAME_LANE
		turn = false;
		/* ... other turns ... */
		atomic { !turn -> turn = true };
		assert(word != READY || edge_happened);
#endif
		assert(!i_everr || err_happened);
		netpoll_close();
#ifdef SAME_LANE
		turn = false
#endif
	:: n == LIVES -> break
	od
}

/* The fd's own life: edges come while it is open, and are polled when they may. */
proctype kernel()
{
	bool err;

end:
	do
	:: atomic {
		open && !is_local && nfull(epoll) ->
		if
		:: err = true; err_happened = true
		:: err = false
		fi;
		edge_happened = true;
		epoll!fdseq, err;
		printf("kernel: event with tag %d, error %d\n", fdseq, err)
	   }
	od
}

inline netpoll_set_event_err(e, seq)
{
	old_seq = i_seq;
	do /* the CAS loop: pd->info is one word */
	:: atomic {
#ifdef NO_SEQ_IN_ERR
		i_everr = e; break
#else
		if
		:: old_seq != seq -> break /* R20 */
		:: old_seq == seq && i_seq == old_seq -> i_everr = e; break
		:: else -> old_seq = i_seq
		fi
#endif
	   }
	od
}

/* deliver(), after epoll_wait has handed the event out */
proctype poller()
{
	byte seq, old_seq;
	bool e;

end:
	do
	:: atomic {
		epoll?seq, e ->
#ifdef SAME_LANE
		/* epoll_wait and the delivery are one poll() of the lane's turn. An event that lies
		 * behind another one of the same batch may be of a pd that is closed by now. */
		!turn -> turn = true;
#endif
		printf("poller: deliver: tag %d\n", seq)
	   };
	   if
#ifdef NO_TAG
	   :: true ->
#else
	   :: i_seq == seq -> /* R21 */
#endif
		netpoll_set_event_err(e, seq);
		assert(!is_local);
		atomic { word = READY; printf("poller: netpoll_ready\n") }
#ifndef NO_TAG
	   :: else -> atomic { printf("poller: another tag\n") }
#endif
	   fi;
#ifdef SAME_LANE
	   turn = false
#endif
	od
}

init {
	atomic { run lane(); run kernel(); run poller() }
}
