/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault: a decorator that makes any netdev bad on purpose: loss, duplication, reordering
 * and corruption in both directions, all from one seed. The same frames in the same order
 * meet the same faults; each kind of fault draws its own numbers, so that switching one
 * on does not move the others.
 */
#ifndef DRIVERS_FAULT_H
#define DRIVERS_FAULT_H

#include "stack/netdev.h"

/* A held frame leaves when this many further frames have passed it, or this time, in ns. */
#define FAULT_HOLD_FRAMES 2
#define FAULT_HOLD_NS     1000000ull

enum fault_kind {
	FAULT_LOSS,
	FAULT_DUP,
	FAULT_REORDER, /* held back, see above */
	FAULT_CORRUPT, /* one bit of an IPv4 packet; ARP, which no checksum guards, is spared */
	FAULT_KINDS
};

enum fault_dir { FAULT_RX, FAULT_TX, FAULT_DIRS };

struct fault_spec {
	double p[FAULT_DIRS][FAULT_KINDS]; /* 0..1, per frame */
	uint64_t seed;                     /* default 1 */
};

struct fault_stats {
	uint64_t frames; /* looked at */
	uint64_t hit[FAULT_KINDS];
};

/*
 * fault_parse - "loss=0.02,reorder=0.02,seed=1", "tx.loss=0.1": keys loss, dup, reorder,
 * corrupt with a probability 0..1, for one direction after rx. or tx., else for both;
 * seed. 0; -EINVAL with one line in err.
 */
MUST_USE int fault_parse(const char *text, struct fault_spec *ret_spec, char *err, size_t errlen);

/* fault_kind_name - "loss", "dup", "reorder", "corrupt". */
const char *fault_kind_name(enum fault_kind kind);

/*
 * fault_wrap - put faults around `inner`, which then belongs to the new device and is
 * closed with it. now(ctx) gives ns on the clock that the lanes use. 0; -ENOMEM, and
 * inner stays the caller's. ops->next_event() tells when a held frame leaves: call
 * rx_burst then, which also sends held frames of the TX side.
 */
MUST_USE int fault_wrap(struct netdev *inner, const struct fault_spec *spec,
			uint64_t (*now)(void *ctx), void *ctx, struct netdev **ret_dev);

/* fault_get_stats - what was done in one direction so far; any thread. `dev` as
 * fault_wrap() returned it. */
void fault_get_stats(const struct netdev *dev, enum fault_dir dir, struct fault_stats *ret_stats);

#endif
