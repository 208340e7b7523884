/* SPDX-License-Identifier: BSD-3-Clause */
/* The bytes that programs send: each a function of a seed and of its place. */
#include <string.h>

#include "sim/sim_int.h"

static uint64_t word_at(uint64_t seed, uint64_t index)
{
	struct sim_rng r = {.state = seed + index * 0xd1342543de82ef95ull};

	return sim_draw(&r);
}

void sim_bytes_fill(uint64_t seed, uint64_t pos, uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint64_t word = word_at(seed, (pos + i) / 8), off = (pos + i) % 8;
		size_t len = min_t(size_t, 8 - off, n - i);

		memcpy(buf + i, (uint8_t *)&word + off, len);
		i += len;
	}
}

size_t sim_bytes_verify(uint64_t seed, uint64_t pos, const uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint64_t word = word_at(seed, (pos + i) / 8), off = (pos + i) % 8;
		size_t len = min_t(size_t, 8 - off, n - i);

		if (memcmp(buf + i, (uint8_t *)&word + off, len)) {
			while (buf[i] == ((uint8_t *)&word)[(pos + i) % 8])
				i++;
			return i;
		}
		i += len;
	}
	return n;
}
