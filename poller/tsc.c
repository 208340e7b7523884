/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calibration of the TSC against CLOCK_MONOTONIC, and keeping to it.
 */
#include "poller/tsc.h"

#include <pthread.h>
#include <time.h>

#include "poller/cycles.h"
#include "stack/base/clock.h"

#define CALIBRATE_NS   (10 * NSEC_PER_MSEC)
#define INTERVAL_FIRST (50 * NSEC_PER_MSEC) /* 10 ms of calibration are good to some 10 ppm */
#define INTERVAL_MAX   NSEC_PER_SEC

/* One process-wide measurement; lanes refine their own copies. */
static pthread_once_t calibrated = PTHREAD_ONCE_INIT;
static double first_ghz;

uint64_t tsc_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* tsc_pair - a TSC reading and the system's time that belongs to it: the best of a few, since
 * the thread may be interrupted between the two. */
static void tsc_pair(uint64_t *ret_tsc, uint64_t *ret_ns)
{
	uint64_t best = UINT64_MAX;

	*ret_tsc = 0;
	*ret_ns = 0;
	for (int i = 0; i < 4; i++) {
		uint64_t a = cycles_now(), ns = tsc_mono_ns(), b = cycles_now();

		if (b - a < best) {
			best = b - a;
			*ret_tsc = a + (b - a) / 2;
			*ret_ns = ns;
		}
	}
}

static void calibrate(void)
{
	uint64_t t0, n0, t1, n1;

	if (!cycles_invariant())
		return;
	tsc_pair(&t0, &n0);
	while (tsc_mono_ns() - n0 < CALIBRATE_NS)
		;
	tsc_pair(&t1, &n1);
	if (n1 > n0 && t1 > t0)
		first_ghz = (double)(t1 - t0) / (double)(n1 - n0);
}

static uint64_t mult_of(double ghz)
{
	return (uint64_t)(4294967296.0 / ghz);
}

void tsc_clock_init(struct tsc_clock *c)
{
	pthread_once(&calibrated, calibrate);
	*c = (struct tsc_clock){.ghz = first_ghz, .interval = INTERVAL_FIRST};
	tsc_pair(&c->tsc0, &c->ns0);
	c->true_tsc = c->tsc0;
	c->true_ns = c->ns0;
	c->last = c->ns0;
	if (c->ghz == 0.0)
		return;
	c->mult = mult_of(c->ghz);
	c->resync_at = c->tsc0 + (uint64_t)(c->ghz * (double)c->interval);
}

/* tsc_set_ghz - another thread may read it (lane_ledger_report). */
static void tsc_set_ghz(struct tsc_clock *c, double ghz)
{
	__atomic_store(&c->ghz, &ghz, __ATOMIC_RELAXED);
}

void tsc_clock_resync(struct tsc_clock *c, uint64_t tsc)
{
	uint64_t t, ns, mine;
	double rate, off;

	if (c->ghz == 0.0) { /* no invariant TSC: each reading is the system's */
		c->ns0 = tsc_mono_ns();
		c->tsc0 = tsc;
		return;
	}
	tsc_pair(&t, &ns);
	if (t < tsc)
		t = tsc;
	mine = c->ns0 + (uint64_t)((unsigned __int128)(t - c->tsc0) * c->mult >> 32);
	if (ns > c->true_ns + INTERVAL_FIRST / 2 && t > c->true_tsc)
		tsc_set_ghz(c, (double)(t - c->true_tsc) / (double)(ns - c->true_ns));
	c->true_tsc = t;
	c->true_ns = ns;
	c->interval = min_t(uint64_t, c->interval * 2, INTERVAL_MAX);
	off = (double)(int64_t)(ns - mine);
	/* Far behind (the machine slept, or was moved): jump. Else make good over the next
	 * interval; ahead by much, run at half speed until it fits. */
	if (off > (double)NSEC_PER_MSEC) {
		mine = ns;
		off = 0;
	}
	rate = 1.0 + off / (double)c->interval;
	if (rate < 0.5)
		rate = 0.5;
	c->tsc0 = t;
	c->ns0 = mine;
	c->mult = (uint64_t)((double)mult_of(c->ghz) * rate);
	c->resync_at = t + (uint64_t)(c->ghz * (double)c->interval);
}
