/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How people write what a path is like: 1gbit, 20ms, 0.1%. Nothing here prints or exits. A number
 * has its unit behind it without a space; 0 needs none. Each function returns false, and leaves its
 * result alone, where the text is none of that.
 */
#ifndef APPS_WIRE_ARG_H
#define APPS_WIRE_ARG_H

#include "drivers/wire.h"

/* warg_rate - bit, kbit, mbit, gbit (per second, decimal). ret: bit/s. */
MUST_USE bool warg_rate(const char *s, uint64_t *ret);
/* warg_time - ns, us, ms, s; at most an hour. ret: ns. */
MUST_USE bool warg_time(const char *s, uint64_t *ret);
/* warg_chance - 0.1%, or 0: a bare 1 could be 1% or always, and is refused. ret: 0 to 1. */
MUST_USE bool warg_chance(const char *s, double *ret);

/* What a path can be told, an option each. */
enum warg_what {
	WARG_RATE,
	WARG_DELAY,
	WARG_JITTER,
	WARG_QUEUE, /* 100 frames, or b, kb, mb */
	WARG_LOSS,
	WARG_BURST,   /* ENTER:LEAVE[:LOSS], chances; LOSS is 1 unless given */
	WARG_REORDER, /* CHANCE:TIME */
	WARG_DUP,
	WARG_CORRUPT,
	WARG_MTU,  /* BYTES, or BYTES:icmp */
	WARG_MARK, /* b, kb, mb */
	WARG_NR
};

/* warg_path - one value for both directions, or two with a comma between them: path[0]'s,
 * path[1]'s. 0: that direction as if the option was not given. */
MUST_USE bool warg_path(enum warg_what what, const char *s, struct wire_path path[static 2]);
/* warg_example - what such a value looks like, and its range: "1% (0% to 100%)". */
const char *warg_example(enum warg_what what);

/* warg_print - path in one line, in the words of warg_path, into buf. */
void warg_print(const struct wire_path *path, char *buf, size_t size);

#endif
