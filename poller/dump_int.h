/* SPDX-License-Identifier: BSD-3-Clause */
/* Between dump.c, which collects, and dump_print.c, which prints. */
#ifndef POLLER_DUMP_INT_H
#define POLLER_DUMP_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "poller/sched.h"

#define DUMP_FRAMES 32u
#define DUMP_IDS    8u

/* Goroutines that are alike: of one name, state, wait reason and backtrace. */
struct dump_group {
	uint64_t nr;
	uint64_t id[DUMP_IDS];      /* of the first min(nr, DUMP_IDS) */
	uint64_t shortest, longest; /* ns since they parked; waiting ones only */
	const char *name;           /* the g's */
	uint32_t hash;
	uint8_t state, why; /* enum g_state, enum wait_reason */
	uint8_t nr_pc;
	bool cut;                  /* there are frames below the last one */
	bool away;                 /* another lane has it: no frames */
	uintptr_t pc[DUMP_FRAMES]; /* innermost first; return addresses */
};

/* What one lane told. */
struct dump {
	bool all;          /* (c) each goroutine a group of its own */
	uint32_t room, nr; /* groups */
	uint32_t mask;     /* (c) of the hash table */
	uint32_t *table;   /* 1 + index of a group; 0 empty */
	struct dump_group *group;
	uint64_t lost;              /* gs for which there was no room */
	uint64_t per_state[G_DEAD]; /* gs seen, the lost ones too */
	uint32_t cursor;            /* (a) slots looked at; who asked watches it move */
	bool done;                  /* (a) release: all of the above is whole */
};

struct symbols;
/* dump_print - a lane's part, `title` in front; sorts the groups. */
void dump_print(FILE *f, struct symbols *sy, const char *title, struct dump *d);

#endif
