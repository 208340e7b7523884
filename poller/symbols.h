/* SPDX-License-Identifier: BSD-3-Clause */
/* Names for code addresses of this process: for dumps and last words. */
#ifndef POLLER_SYMBOLS_H
#define POLLER_SYMBOLS_H

#include <stdint.h>
#include <stdio.h>

struct symbols;

/* symbols_open - as the process is mapped now. NULL: no memory. Takes milliseconds. */
struct symbols *symbols_open(void);
void symbols_close(struct symbols *sy);
/* symbols_print - a return address as one line without an end: function+offset, and file:line
 * where there is debugging information. */
void symbols_print(struct symbols *sy, FILE *f, uintptr_t pc);
/* symbols_name - the function that begins at `fn` into buf, whole or cut; its address in hex if it
 * has no known name. Returns buf. */
const char *symbols_name(struct symbols *sy, uintptr_t fn, char *buf, size_t size);
/* symbols_raw - for signal handlers: pc as function+offset, as symbols_print() has it, or in hex,
 * into buf. `at` is looked up: pc itself where it was interrupted, else the call in front of it.
 * How long it is, without the end; size is 24 or more. */
size_t symbols_raw(uintptr_t at, uintptr_t pc, char *buf, size_t size);

#endif
