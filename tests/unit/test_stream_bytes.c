/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes of a stream: what the receiver takes for right, and what it must not. */
#include <criterion/criterion.h>
#include <string.h>

#include "apps/stream_bytes.h"

static uint8_t bytes[4 * STREAM_WRITE];

/* The first n bytes of stream `id`, as a sender whose writes are cut short sends them. */
static void sent(uint32_t id, size_t n, size_t cut)
{
	struct stream_at s;
	const uint8_t *p;
	size_t len, have = 0;

	stream_begin(&s, id);
	while (have < n) {
		p = stream_next(&s, &len);
		len = len < cut ? len : cut;
		len = len < n - have ? len : n - have;
		memcpy(bytes + have, p, len);
		stream_sent(&s, len);
		have += len;
	}
	cr_assert_eq(s.bytes, n);
}

/* Read them in pieces: how many were right before the first that was not. */
static size_t right(size_t n, size_t piece)
{
	struct stream_at s = {.bytes = 0};

	for (size_t at = 0; at < n; at += piece) {
		size_t len = n - at < piece ? n - at : piece;

		if (!stream_check(&s, bytes + at, len))
			break;
	}
	return s.bytes;
}

Test(stream_bytes, test_stream_cut_anywhere_is_right, .init = stream_init)
{
	static const size_t cuts[] = {1, 3, 7, 8, 9, 1447, 4093, 4096, 65535, STREAM_WRITE};

	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		sent(i, sizeof(bytes), cuts[i]);
		for (unsigned k = 0; k < ARRAY_SIZE(cuts); k++)
			cr_assert_eq(right(sizeof(bytes), cuts[k]), sizeof(bytes), "%u %u", i, k);
	}
}

Test(stream_bytes, test_stream_one_bit_anywhere_is_wrong, .init = stream_init)
{
	sent(5, sizeof(bytes), STREAM_WRITE);
	for (size_t at = STREAM_HEAD; at < sizeof(bytes); at += 997) {
		bytes[at] ^= 0x10;
		cr_assert_eq(right(sizeof(bytes), 1), at);
		bytes[at] ^= 0x10;
	}
}

Test(stream_bytes, test_stream_bytes_lost_or_doubled_are_wrong, .init = stream_init)
{
	static const size_t gaps[] = {1, 1448, 1460, 4096, 16384, STREAM_WRITE};

	for (unsigned i = 0; i < ARRAY_SIZE(gaps); i++) {
		sent(1, sizeof(bytes), STREAM_WRITE);
		memmove(bytes + 10000, bytes + 10000 + gaps[i], sizeof(bytes) - 10000 - gaps[i]);
		cr_assert_lt(right(20000, 20000), 20000, "lost %zu", gaps[i]);
		sent(1, sizeof(bytes), STREAM_WRITE);
		memmove(bytes + 10000 + gaps[i], bytes + 10000, sizeof(bytes) - 10000 - gaps[i]);
		cr_assert_lt(right(10000 + gaps[i] + 4000, 1000), 10000 + gaps[i] + 4000,
			     "doubled %zu", gaps[i]);
	}
}

Test(stream_bytes, test_stream_of_another_connection_is_wrong, .init = stream_init)
{
	static uint8_t other[sizeof(bytes)];

	for (uint32_t id = 1; id < 64; id++) {
		sent(id, 40000, STREAM_WRITE);
		memcpy(other, bytes, 40000);
		sent(0, 40000, STREAM_WRITE);
		memcpy(bytes + 20000, other + 20000, 1448);
		cr_assert_lt(right(40000, 40000), 40000, "id %u", id);
	}
}

Test(stream_bytes, test_stream_without_its_head_is_wrong, .init = stream_init)
{
	memset(bytes, 0, 1000);
	cr_assert_eq(right(1000, 1000), 0);
	cr_assert_lt(right(1000, 1), STREAM_HEAD);
}
