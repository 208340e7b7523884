/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the conn suite share: checks that note a failure in the environment
 * (a test framework's way out of a test is no way out of a goroutine), and a server and a
 * client with one connection between them.
 */
#ifndef TESTS_CONN_SUITE_INT_H
#define TESTS_CONN_SUITE_INT_H

#include <parklane/go.h>

#include "conn_suite.h"

#define MS  1000000ll
#define KIB 1024u
#define MIB (1024u * 1024u)

void conn_suite_note(struct conn_env *e, const char *file, int line, const char *what,
		     long long got, long long want);

#define EQ(e, got, want)                                                                           \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_)                                                                 \
			conn_suite_note((e), __FILE_NAME__, __LINE__, #got, got_, want_);          \
	} while (0)
#define OK(e, cond) EQ(e, !!(cond), 1)

struct pair {
	struct conn_env *e;
	struct pl_addr addr;   /* of the listener; port 0 until it listens */
	struct pl_conn *s, *c; /* closed by the harness unless NULL */
	struct pl_conn *l;
	void (*srv)(struct pair *p);
	void (*cli)(struct pair *p);
	uint8_t *buf;
	size_t n;
	int done; /* goroutines of the case that ended */
	int a, b;
};

/* close_checked - close *c unless NULL; it must work. */
void close_checked(struct conn_env *e, struct pl_conn **c);
/* listen_any - a listener on a port that is chosen, and its address. */
int listen_any(struct conn_env *e, int backlog, struct pl_addr *ret_addr, struct pl_conn **ret_l);
/* read_full - n bytes exactly; what came if the stream ends before, or the error. */
ssize_t read_full(struct pl_conn *c, void *buf, size_t n);
/* pair_client - the goroutine that dials p->addr once it is known, then runs p->cli. */
void pair_client(void *arg);
void srv_echo(struct pair *p);
void cli_echo(struct pair *p);
/* srv_ten_and_close - ten bytes and FIN, most likely together. */
void srv_ten_and_close(struct pair *p);
/* run - the environment until all goroutines are done. */
void run(struct conn_env *e);
/* run_pair - srv accepts one connection, cli dials it; both are closed afterwards. */
void run_pair(struct conn_env *e, void (*srv)(struct pair *p), void (*cli)(struct pair *p));

#endif
