/* SPDX-License-Identifier: BSD-3-Clause */
/* What a stream carries. */
#include "apps/stream_bytes.h"

#include <string.h>

/* A prime, so that no number of segments, buffers or pages is a whole number of periods. Small:
 * what the check reads stays in the first-level cache. */
#define PERIOD 4093u
#define MAGIC  0x6d7473u

static uint8_t pattern[PERIOD + STREAM_WRITE];

void stream_init(void)
{
	uint32_t x = 1;

	for (unsigned i = 0; i < PERIOD; i++) {
		x = x * 1664525u + 1013904223u;
		pattern[i] = (uint8_t)(x >> 24);
	}
	for (unsigned i = PERIOD; i < sizeof(pattern); i++)
		pattern[i] = pattern[i - PERIOD];
}

static void head_of(uint8_t head[STREAM_HEAD], uint32_t id)
{
	uint32_t w[2] = {MAGIC, id};

	memcpy(head, w, STREAM_HEAD);
}

static uint32_t start_of(uint32_t id)
{
	return id * 61 % PERIOD;
}

void stream_begin(struct stream_at *s, uint32_t id)
{
	*s = (struct stream_at){.at = start_of(id)};
	head_of(s->head, id);
}

const uint8_t *stream_next(const struct stream_at *s, size_t *ret_len)
{
	if (s->bytes < STREAM_HEAD) {
		*ret_len = STREAM_HEAD - s->bytes;
		return s->head + s->bytes;
	}
	*ret_len = STREAM_WRITE;
	return pattern + s->at;
}

void stream_sent(struct stream_at *s, size_t n)
{
	if (s->bytes >= STREAM_HEAD)
		s->at = (uint32_t)((s->at + n) % PERIOD);
	s->bytes += n;
}

/* How many bytes of buf were the head's; it says whose stream it is once it is whole. */
static size_t take_head(struct stream_at *s, const uint8_t *buf, size_t n)
{
	size_t have = s->bytes, m = STREAM_HEAD - have < n ? STREAM_HEAD - have : n;
	uint32_t w[2];

	memcpy(s->head + have, buf, m);
	memcpy(w, s->head, STREAM_HEAD);
	if (have + m == STREAM_HEAD)
		s->at = start_of(w[1]);
	return m;
}

bool stream_check(struct stream_at *s, const void *buf, size_t n)
{
	const uint8_t *p = buf;
	size_t left = n, m;
	uint32_t magic;

	if (s->bytes < STREAM_HEAD) {
		m = take_head(s, p, left);
		memcpy(&magic, s->head, sizeof(magic));
		if (s->bytes + m == STREAM_HEAD && magic != MAGIC)
			return false;
		p += m;
		left -= m;
	}
	for (; left; p += m, left -= m) {
		m = left < PERIOD ? left : PERIOD;
		if (memcmp(p, pattern + s->at, m))
			return false;
		s->at = (uint32_t)((s->at + m) % PERIOD);
	}
	s->bytes += n;
	return true;
}
