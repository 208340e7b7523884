/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of the path's MTU share: a connection with timestamps, and room for what it
 * sends. */
#ifndef TESTS_UNIT_SEG_MTU_H
#define TESTS_UNIT_SEG_MTU_H

#include "seg_scene.h"
#include "stack/tcp_guard.h"

#define S NSEC_PER_SEC

static struct bench b;
static struct conn c;
static struct sock *lp;
static struct seg seg;

static inline void begin(const struct stack_config *cfg)
{
	bench_begin(&b, cfg, 4096);
	lp = bench_listen(&b, SEG_PORT, 64);
	conn_passive(&c, &b, lp, 4000, &seg_full);
	bench_drain(&b);
}

static inline void write_all(uint32_t off, unsigned n)
{
	cr_assert_eq(conn_write(&c, off, n), n);
	bench_turn(&b, 1000);
}

#endif
