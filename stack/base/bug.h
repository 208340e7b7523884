/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BUG_ON: our own broken invariant, always compiled in, ends the program with one
 * line. Never used on bytes from the wire or on a user's input (style.md rule 18).
 */
#ifndef STACK_BASE_BUG_H
#define STACK_BASE_BUG_H

#include "stack/base/compiler.h"

/*
 * bug_set_handler - where the last words go; the poller installs one that writes to stderr
 * before main(). The handler gets a complete line without newline and may not return to
 * a working program: bug_fatal() traps after it.
 */
void bug_set_handler(void (*fn)(const char *msg));

/* bug_fatal - report `what` with its place and trap. Any lane may call it. */
COLD __attribute__((noreturn)) void bug_fatal(const char *file, int line, const char *what);

#define BUG_ON(cond)                                                                               \
	do {                                                                                       \
		if (unlikely(cond))                                                                \
			bug_fatal(__FILE__, __LINE__, #cond);                                      \
	} while (0)

#define BUG(msg) bug_fatal(__FILE__, __LINE__, msg)

/* bug_misuse - end the program as BUG() does where it broke a documented rule of the library's:
 * `what` names the call and the rule. The mistake is the caller's, and the line says so. */
COLD __attribute__((noreturn)) void bug_misuse(const char *what);

#endif
