/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a stream carries: a head of eight bytes that tells where in a pattern it goes on, and the
 * pattern; so bytes that are lost, doubled, changed or another connection's show. The receiver
 * checks each before it counts it.
 */
#ifndef APPS_STREAM_BYTES_H
#define APPS_STREAM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/base/compiler.h"

/* The payload of a full segment with timestamps over Ethernet; cycles are told per so many. */
#define STREAM_MSS   1448u
#define STREAM_WRITE 65536u /* of one write, and the most of one read */
#define STREAM_HEAD  8u

/* stream_init - make the pattern. Once, before there are threads. */
void stream_init(void);

/* One end's place in the pattern. */
struct stream_at {
	uint64_t bytes; /* so far, with the head */
	uint32_t at;    /* in the pattern */
	uint8_t head[STREAM_HEAD];
};

/* stream_begin - as the sender of stream `id`: its head is in s->head. */
void stream_begin(struct stream_at *s, uint32_t id);
/* stream_next - what to send now: STREAM_WRITE bytes, or what is left of the head. They stay
 * where they are; stream_sent() says how many of them have gone. */
const uint8_t *stream_next(const struct stream_at *s, size_t *ret_len);
void stream_sent(struct stream_at *s, size_t n);
/* stream_check - as the receiver (s all zero at first): are these the next n <= STREAM_WRITE
 * bytes? They count if so. */
MUST_USE bool stream_check(struct stream_at *s, const void *buf, size_t n);

#endif
