/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Toeplitz, bit by bit: for every set bit of the input the 32 bits of the key that start
 * there are added. Some 100 ns a frame, which the devices that need it in software (loop
 * with several queues) can afford; NICs do it themselves.
 */
#include "drivers/rss.h"

#include <string.h>

const uint8_t rss_key[RSS_KEY_LEN] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static uint32_t toeplitz(const uint8_t *in, unsigned len)
{
	uint32_t window = (uint32_t)rss_key[0] << 24 | (uint32_t)rss_key[1] << 16 |
			  (uint32_t)rss_key[2] << 8 | rss_key[3];
	uint32_t hash = 0;

	for (unsigned i = 0; i < len; i++) {
		for (int bit = 7; bit >= 0; bit--) {
			if (in[i] >> bit & 1)
				hash ^= window;
			window = window << 1 | (rss_key[i + 4] >> bit & 1);
		}
	}
	return hash ? hash : 1;
}

uint32_t rss_hash4(uint32_t saddr, uint32_t daddr, uint16_t sport, uint16_t dport)
{
	uint8_t in[12];

	memcpy(in, &saddr, 4);
	memcpy(in + 4, &daddr, 4);
	memcpy(in + 8, &sport, 2);
	memcpy(in + 10, &dport, 2);
	return toeplitz(in, sizeof(in));
}

uint32_t rss_hash2(uint32_t saddr, uint32_t daddr)
{
	uint8_t in[8];

	memcpy(in, &saddr, 4);
	memcpy(in + 4, &daddr, 4);
	return toeplitz(in, sizeof(in));
}
