/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire: a network of links in one thread that knows no clock. Frames enter at an end with the time
 * at which they do, cross links that are slow, narrow and bad on purpose, and come out at other
 * ends with the time at which they arrive. The same seed, links and frames at the same times give
 * the same frames at the same times. What `now` is, virtual or of a real clock, is the caller's
 * affair; it never goes back.
 *
 * A network is made of ends (where hosts sit, one link each), learning switches (any number of
 * links) and links between two of them; it has no loops. Single-threaded, all of it.
 */
#ifndef DRIVERS_WIRE_H
#define DRIVERS_WIRE_H

#include "stack/netdev.h"

#define WIRE_FRAME_MAX (65535u + ETH_HLEN) /* bytes of a frame; longer ones are refused */
#define WIRE_RING      1024u               /* frames that wait at an end by default */

struct wire;

/* One direction of a link. A zeroed one is perfect: no limit, no delay, no fault. Each kind of
 * fault draws its own numbers, so that switching one on does not move the others. */
struct wire_path {
	uint64_t rate;         /* bit/s, Ethernet header to payload; 0 = no limit */
	uint64_t delay;        /* ns that every frame takes */
	uint64_t jitter;       /* ns, 0 to so many more, in order */
	uint32_t queue_bytes;  /* a frame for which no room is left is dropped; 0 = no limit */
	uint32_t queue_frames; /* the same in frames; at most 65536 */
	uint32_t mark_bytes;   /* ECN: from so many bytes in the queue on, what is capable of it is
				* marked CE (RFC 3168 5, by threshold as RFC 8257 3.1); 0 = never */
	double loss;           /* 0..1 for each frame by itself */
	/* Gilbert and Elliott's bursts: per frame the chances to enter and to leave the bad state,
	 * and of a loss in it. burst_enter 0 = none. */
	double burst_enter, burst_leave, burst_loss;
	double reorder;      /* chance to come reorder_ns later, overtaken by others */
	uint64_t reorder_ns; /* ns */
	double dup;          /* chance to come twice */
	double corrupt;      /* chance of one wrong bit in an IPv4 packet; never twice in one frame,
			      * as two might deceive the checksum; ARP, which has none, is spared */
	uint16_t mtu;        /* bytes of IP packet; larger ones are dropped; 0 = no limit */
	bool mtu_icmp;       /* ... and answered by "fragmentation needed" (RFC 1191 4) */
	bool cut;            /* nothing enters, what is under way is lost when it would arrive */
};

struct wire_path_stats {
	uint64_t frames, bytes; /* that came to the path */
	uint64_t delivered;     /* at its other side, duplicates counted */
	uint64_t queue_drops, lost, burst_lost, too_big, cut;
	uint64_t marked, reordered, dups, corrupted;
	uint64_t queue_peak; /* bytes: the most that stood in the queue; 0 without a rate */
};

/* wire_create - an empty network. 0; -ENOMEM. */
MUST_USE int wire_create(uint64_t seed, struct wire **ret_w);
/* wire_destroy - with all frames under way. Netdevs of it must be closed. */
void wire_destroy(struct wire *w);

/* wire_add_end - a place for a host, where `ring` arrived frames may wait (0 = WIRE_RING). Its
 * number, from 0 and shared with switches; -ENOMEM. */
MUST_USE int wire_add_end(struct wire *w, unsigned ring);
/* wire_add_switch - its number; -ENOMEM. It learns the sources of frames, sends what it knows one
 * way and all else every other way. */
MUST_USE int wire_add_switch(struct wire *w);
/* wire_add_link - join nodes a and b; ab and ba are copied. The link's number, from 0; -ENOMEM;
 * -EINVAL no such node, or a field out of range; -EBUSY an end that has a link; -ELOOP. */
MUST_USE int wire_add_link(struct wire *w, int a, int b, const struct wire_path *ab,
			   const struct wire_path *ba);
/* wire_set_path - from now on for frames that enter; back: the direction b to a. What waits already
 * keeps its time. 0; -EINVAL; -ENOMEM. */
MUST_USE int wire_set_path(struct wire *w, int link, bool back, const struct wire_path *path);
/* wire_path, wire_path_stats - of one direction of a link. */
const struct wire_path *wire_path(const struct wire *w, int link, bool back);
const struct wire_path_stats *wire_path_stats(const struct wire *w, int link, bool back);

/* wire_input - a whole frame enters at `end`; the bytes are copied. Its checksums are complete. 0;
 * -EINVAL shorter than an Ethernet header or longer than WIRE_FRAME_MAX; -ENOMEM. */
MUST_USE int wire_input(struct wire *w, int end, const void *frame, unsigned len, uint64_t now);
/* wire_arrive - a whole frame comes to `end` at once, by none of its links, behind those that wait
 * there; the bytes are copied. 0; as wire_input. */
MUST_USE int wire_arrive(struct wire *w, int end, const void *frame, unsigned len, uint64_t now);
/* wire_next - ns at which the next frame moves on; 0 none is under way. (One that waits at an end
 * does not count: wire_peek tells.) */
uint64_t wire_next(const struct wire *w);
/* wire_run - move all on that is due at `now` or before, in order. */
void wire_run(struct wire *w, uint64_t now);
/* wire_peek - the oldest frame that arrived at `end`, NULL none; *ret_at (may be NULL) is when.
 * Borrowed until wire_pop. */
const uint8_t *wire_peek(const struct wire *w, int end, unsigned *ret_len, uint64_t *ret_at);
/* wire_pop - take it off. */
void wire_pop(struct wire *w, int end);
/* wire_waiting - frames that have arrived at `end` and wait there. */
unsigned wire_waiting(const struct wire *w, int end);
/* wire_missed - frames lost at `end` since its ring was full. */
uint64_t wire_missed(const struct wire *w, int end);

/* Who looks on. */
struct wire_watch {
	/* entering - frame as it enters the network at `end`, or (end < 0) as the network itself
	 * sends it, at `now`. It may be changed in place, up to `room` bytes; returns its length, 0
	 * if it goes no further. */
	unsigned (*entering)(void *ctx, int end, uint8_t *frame, unsigned len, unsigned room,
			     uint64_t now);
	/* arriving - frame as it comes to `end`, where `waiting` others are before it. As
	 * entering. */
	unsigned (*arriving)(void *ctx, int end, uint8_t *frame, unsigned len, unsigned room,
			     unsigned waiting, uint64_t now);
	/* lost - why is a word: "loss", "burst", "queue", "mtu", "cut", "ring"; link -1 what came
	 * by none. */
	void (*lost)(void *ctx, int link, bool back, const uint8_t *frame, unsigned len,
		     const char *why, uint64_t now);
	void *ctx;
};

/* wire_set_watch - copied; NULL nobody. Each function may be NULL. */
void wire_set_watch(struct wire *w, const struct wire_watch *watch);

/*
 * wire_netdev - a device for a stack at `end`, name "wire3", MAC 02:00:00:00:HI:LO of the end's
 * number; now(ctx) is the lanes' clock. mtu in bytes of IP packet. features: NETDEV_F_RX_CSUM,
 * TX_IP_CSUM, TX_TCP_CSUM and TX_SG, done as a device would. The owner of the wire calls wire_run()
 * when wire_next() says so; next_event() tells only of a frame that has arrived. Closed before the
 * wire is destroyed. 0; -EINVAL; -ENOMEM.
 */
MUST_USE int wire_netdev(struct wire *w, int end, uint16_t mtu, uint32_t features,
			 uint64_t (*now)(void *ctx), void *ctx, struct netdev **ret_dev);

#endif
