/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one way to die of our own mistake. The stack may not call the system, so the
 * words go through a handler that whoever owns stderr installs.
 */
#include "stack/base/bug.h"

static void (*bug_handler)(const char *msg);

void bug_set_handler(void (*fn)(const char *msg))
{
	__atomic_store_n(&bug_handler, fn, __ATOMIC_RELAXED);
}

static char *put_str(char *p, const char *end, const char *s)
{
	while (*s && p < end)
		*p++ = *s++;
	return p;
}

static char *put_dec(char *p, const char *end, unsigned v)
{
	char tmp[10];
	int n = 0;

	do
		tmp[n++] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	while (n && p < end)
		*p++ = tmp[--n];
	return p;
}

static __attribute__((noreturn)) void die(const char *msg)
{
	if (bug_handler)
		bug_handler(msg);
	__builtin_trap();
}

void bug_fatal(const char *file, int line, const char *what)
{
	char msg[256] = ""; /* -O0 would warn of the bound into it */
	const char *end = msg + sizeof(msg) - 1;
	char *p = put_str(msg, end, "parklane: BUG at ");

	p = put_str(p, end, file);
	p = put_str(p, end, ":");
	p = put_dec(p, end, (unsigned)line);
	p = put_str(p, end, ": ");
	p = put_str(p, end, what);
	*p = 0;
	die(msg);
}

void bug_misuse(const char *what)
{
	char msg[256] = ""; /* -O0 would warn of the bound into it */
	const char *end = msg + sizeof(msg) - 1;
	char *p = put_str(msg, end, "parklane: a mistake of the program's: ");

	p = put_str(p, end, what);
	*p = 0;
	die(msg);
}
