/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * x86's memory for the models: every thread has a store buffer, first in, first out, that empties
 * into memory when it likes. A load goes to memory at once: no thread here loads what it stored
 * by a plain store itself, so none must look into its own buffer. fence() is mfence, and what a
 * locked instruction does first.
 */
#define BUFFERED 2 /* stores that a buffer holds; a third waits */

chan sb[THREADS] = [BUFFERED] of { byte, byte };
byte mem[ADDRESSES];

#define store(addr, val) sb[me]!addr, val
#define fence()          empty(sb[me])

/* The value of a locked exchange or fetch_or: acts on memory with the own buffer empty. */
inline rmw_exchange(addr, val, ret)
{
	atomic { empty(sb[me]) -> ret = mem[addr]; mem[addr] = val }
}

inline rmw_load(addr, ret)
{
	atomic { empty(sb[me]) -> ret = mem[addr] }
}

inline rmw_add(addr, n)
{
	atomic { empty(sb[me]) -> mem[addr] = mem[addr] + n }
}

proctype buffer(byte me)
{
	byte a, v;

end:
	do
	:: atomic { sb[me]?a, v -> mem[a] = v; a = 0; v = 0 }
	od
}
