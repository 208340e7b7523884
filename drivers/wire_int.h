/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the wire: nodes, links, and a frame under way. */
#ifndef DRIVERS_WIRE_INT_H
#define DRIVERS_WIRE_INT_H

#include "drivers/wire.h"

struct wire_frame {
	struct wire_frame *next; /* in a ring, or free */
	uint64_t at;             /* ns: when it arrives, then when it did */
	uint32_t len, room;      /* bytes there, bytes that there is space for */
	bool bad;                /* has its wrong bit */
	uint8_t bytes[];
};

/* What is drawn for each frame on a path, one sequence for each, in this order of use. */
enum wire_die {
	WIRE_DIE_LOSS,
	WIRE_DIE_BURST_STATE,
	WIRE_DIE_BURST_LOSS,
	WIRE_DIE_JITTER,
	WIRE_DIE_REORDER,
	WIRE_DIE_DUP,
	WIRE_DIE_CORRUPT,
	WIRE_DIE_WHERE,
	WIRE_DICE
};

struct wire_link_end {
	struct wire_path path;
	struct wire_path_stats st;
	uint64_t rng[WIRE_DICE];
	uint64_t busy_until; /* ns: the last admitted frame is sent by then */
	uint64_t last_at;    /* ns: the latest arrival of those in order */
	uint64_t *departs;   /* ring of queue_frames: when the latest admitted ones are sent */
	uint32_t admitted;   /* index into it */
	bool burst;          /* in the bad state */
	int to;              /* node */
};

struct wire_link {
	int node[2]; /* path[0] leads from node[0] to node[1] */
	struct wire_link_end path[2];
};

struct wire_event {
	uint64_t at, order; /* equal times in the order in which they were made */
	struct wire_frame *f;
	int path; /* link * 2 + back */
};

struct wire_mac {
	uint8_t addr[ETH_ALEN];
	int link; /* -1: a free entry */
};

/* A switch forgets nobody; who comes when it is full is flooded to. */
#define WIRE_MACS 1024u

struct wire_node {
	int *links; /* of a switch; an end's only one is links[0] */
	unsigned nr_links;
	struct wire_mac *macs; /* hash table of WIRE_MACS with linear probing; NULL = an end */
	struct wire_frame *head, **tailp; /* arrived */
	unsigned waiting, ring;
	uint64_t missed;
};

#define WIRE_FREE_CLASSES 2

struct wire {
	uint64_t seed, now, order;
	struct wire_node *nodes;
	struct wire_link *links;
	int nr_nodes, nr_links;
	struct wire_event *heap;
	unsigned nr_events, max_events;
	struct wire_frame *free[WIRE_FREE_CLASSES]; /* by room */
	struct wire_watch watch;
};

/* ---- wire.c ---- */
/* wire_frame_get - a frame with space for `room` bytes, NULL no memory. */
MUST_USE struct wire_frame *wire_frame_get(struct wire *w, unsigned room);
MUST_USE struct wire_frame *wire_frame_copy(struct wire *w, const struct wire_frame *f);
void wire_frame_put(struct wire *w, struct wire_frame *f);
/* wire_schedule - f arrives by `path` at `at`. Consumes f; without memory it is lost. */
void wire_schedule(struct wire *w, int path, struct wire_frame *f, uint64_t at);
/* wire_lost - tell who looks on, and end f. */
void wire_lost(struct wire *w, int path, struct wire_frame *f, const char *why);

/* ---- wire_link.c ---- */
bool wire_path_valid(const struct wire_path *p);
/* wire_link_init - dice and state of one direction. 0; -ENOMEM. */
MUST_USE int wire_link_init(struct wire *w, int path, const struct wire_path *p);
/* wire_link_set - the path's words from now on. 0; -ENOMEM. */
MUST_USE int wire_link_set(struct wire_link_end *e, const struct wire_path *p);
/* wire_link_send - f enters at w->now. Consumes f. */
void wire_link_send(struct wire *w, int path, struct wire_frame *f);

static inline struct wire_link_end *wire_link_end(const struct wire *w, int path)
{
	return &w->links[path >> 1].path[path & 1];
}

/* wire_draw - SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t wire_draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

#endif
