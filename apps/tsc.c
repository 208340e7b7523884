/* SPDX-License-Identifier: BSD-3-Clause */
/* How fast the cpu's counter runs. */
#include "apps/tsc.h"

#define CALIBRATE_NS 20000000u

/* A pair of readings taken as close together as this thread gets in a few tries. */
static void read_pair(uint64_t *ret_tsc, uint64_t *ret_ns)
{
	uint64_t best = 0;

	for (int i = 0; i < 8; i++) {
		uint64_t a = tsc_read(), ns = mono_ns(), b = tsc_read();

		if (i == 0 || b - a < best) {
			best = b - a;
			*ret_tsc = a + (b - a) / 2;
			*ret_ns = ns;
		}
	}
}

double tsc_hz(void)
{
	static double hz;
	uint64_t t0 = 0, t1 = 0, n0 = 0, n1 = 0;

	if (hz > 0)
		return hz;
	read_pair(&t0, &n0);
	while (mono_ns() - n0 < CALIBRATE_NS)
		;
	read_pair(&t1, &n1);
	hz = (double)(t1 - t0) * 1e9 / (double)(n1 - n0);
	return hz;
}
