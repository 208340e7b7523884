/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one table of errors (R12): what a call may return, in words, and how the differences
 * between the kernel's sockets and our stack are levelled before a user sees them.
 */
#ifndef POLLER_ERRORS_H
#define POLLER_ERRORS_H

/* Which call an error came out of. */
enum errtab_op {
	ERRTAB_LISTEN,
	ERRTAB_ACCEPT,
	ERRTAB_DIAL,
	ERRTAB_READ,
	ERRTAB_WRITE,
	ERRTAB_OTHER,
};

struct errtab_entry {
	int err;          /* positive errno */
	const char *name; /* "ECONNRESET" */
	const char *text; /* what it means to the caller of a pl_ function */
};

/* errtab_find - the row of err (either sign); NULL if the conn API does not use it. */
const struct errtab_entry *errtab_find(int err);

/* errtab_norm - the -errno that callers of `op` see for a backend's -errno. Identity for what
 * both backends agree on. */
int errtab_norm(enum errtab_op op, int err);

#endif
