/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is said of a goroutine when the program ends by a fault, a BUG or a broken rule, and of one
 * that holds its lane: a line, and its frames. All of it may run in a signal handler: no heap, lock
 * or stdio.
 */
#ifndef POLLER_LAST_WORDS_H
#define POLLER_LAST_WORDS_H

#include <stdbool.h>
#include <stdint.h>

struct g;

/* words_goroutine - "parklane: goroutine N (NAME)", then `rest`, as one line on stderr. */
void words_goroutine(const struct g *g, const char *rest);
/* words_goroutine_num - the same, `n` and `unit` behind `rest`. */
void words_goroutine_num(const struct g *g, const char *rest, uint64_t n, const char *unit);

/* words_frames - the frames of the calling thread, as lines on stderr, innermost first: those that
 * lie on g's stack and its guard, all if g is NULL. in_handler: what a signal interrupted, else who
 * called bug_fatal(). */
void words_frames(const struct g *g, bool in_handler);

#endif
