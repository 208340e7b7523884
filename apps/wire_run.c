/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loop: read what both taps have, move the wire on, write what is due, sleep. What it cannot do
 * on time it does late and counts: a person sees from wrun_result whether the path was what it
 * says.
 */
#include "apps/wire_run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "apps/tsc.h"
#include "apps/wire_rest.h"
#include "drivers/pcap_file.h"
#include "stack/base/clock.h"

#define RING          65536u  /* frames that may be due at one moment, after a stall */
#define BURST         16u     /* read from a tap before the clock is looked at */
#define UNDER_WAY_MAX 262144u /* frames on their way in one direction: half a GiB of full ones */
#define SLEEP_MAX     (100 * NSEC_PER_MSEC) /* for who sets *stop */
/* A sleeper in a virtual machine with halted cpus came 20 to 60 us after its time (Zen 5, Linux
 * 6.18); awake so long before, frames leave on time. */
#define SPIN_AHEAD (60 * NSEC_PER_USEC)
#define PRIORITY   80 /* of SCHED_FIFO: above threaded interrupts, below the kernel's watchdogs */

struct loop {
	const struct wrun_config *cfg;
	struct wtap *tap;
	struct wrun_result *res;
	struct wire *w;
	uint64_t start, looked; /* ns of CLOCK_MONOTONIC */
	struct wrest rest;
	bool cut;
	uint8_t buf[WIRE_FRAME_MAX];
};

/* ---- who looks on ---- */

static void capture(struct loop *l, int end, const uint8_t *frame, unsigned len)
{
	struct timespec ts;

	if (end < 0 || !l->cfg->pcap[end])
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	/* a full disk shows when the file is closed */
	(void)!pcap_file_write(l->cfg->pcap[end], frame, len,
			       (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec);
}

static unsigned on_entering(void *ctx, int end, uint8_t *frame, unsigned len, unsigned room,
			    uint64_t now)
{
	struct loop *l = ctx;

	(void)room;
	(void)now;
	capture(l, end, frame, len);
	return len;
}

/* The number is that of frames from this end, from 1: with the same seed the same ones are lost. */
static void on_lost(void *ctx, int link, bool back, const uint8_t *frame, unsigned len,
		    const char *why, uint64_t now)
{
	struct loop *l = ctx;

	(void)link;
	(void)frame;
	fprintf(l->cfg->verbose, "%.6f %s -> %s: frame %" PRIu64 " of %u bytes is lost: %s\n",
		(double)(now - l->start) / 1e9, l->tap[back].name, l->tap[!back].name,
		wire_path_stats(l->w, 0, back)->frames, len, why);
}

/* ---- in and out ---- */

/* is_full - does the path hold as much as we let it? Without a rate nothing else bounds a flood. */
static bool is_full(const struct loop *l, bool back)
{
	const struct wire_path_stats *st = wire_path_stats(l->w, 0, back);
	uint64_t gone =
		st->delivered + st->queue_drops + st->lost + st->burst_lost + st->too_big + st->cut;

	return st->frames + st->dups - gone > UNDER_WAY_MAX;
}

/* read_tap - frames that wait at a tap enter the wire, a burst of them. How many; -errno. */
static int read_tap(struct loop *l, int end)
{
	bool full = is_full(l, end);
	unsigned n;

	for (n = 0; n < BURST; n++) {
		ssize_t len = read(l->tap[end].fd, l->buf, sizeof(l->buf));
		int err;

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (len < 0)
			return -errno;
		if (full) {
			l->res->overrun[end]++;
			continue;
		}
		err = wire_input(l->w, end, l->buf, (unsigned)len, mono_ns());
		if (err == -ENOMEM)
			return err;
	}
	return (int)n;
}

/* write_tap - what has arrived leaves, a burst of it. How many. */
static unsigned write_tap(struct loop *l, int end)
{
	const uint8_t *frame;
	unsigned len, n = 0;
	uint64_t at;

	for (; n < BURST && (frame = wire_peek(l->w, end, &len, &at)) != NULL; n++) {
		uint64_t now = mono_ns();

		capture(l, end, frame, len);
		if (write(l->tap[end].fd, frame, len) < 0)
			l->res->write_errors[end]++;
		hist_record(&l->res->late, now > at ? now - at : 0);
		wire_pop(l->w, end);
	}
	return n;
}

/* move - everything that can be done now. How many frames moved; -errno. */
static int move(struct loop *l)
{
	int all = 0;

	for (int end = 0; end < 2; end++) {
		int n = read_tap(l, end);

		if (n < 0)
			return n;
		all += n;
	}
	wire_run(l->w, mono_ns());
	for (int end = 0; end < 2; end++)
		all += (int)write_tap(l, end);
	return all;
}

/* ---- time ---- */

/* away - the time since the last look, of which `asleep` was meant to be so. */
static void away(struct loop *l, uint64_t now, uint64_t asleep)
{
	uint64_t gap = now - l->looked;

	gap = gap > asleep ? gap - asleep : 0;
	l->res->away_max = max_t(uint64_t, l->res->away_max, gap);
	l->looked = now;
}

/* next_cut - ns of the next change by --cut, UINT64_MAX none; *ret_cut: what is the case now. */
static uint64_t next_cut(const struct loop *l, uint64_t now, bool *ret_cut)
{
	uint64_t next = UINT64_MAX, since = now - l->start;

	*ret_cut = false;
	for (unsigned i = 0; i < l->cfg->nr_cuts; i++) {
		const struct wrun_cut *c = &l->cfg->cut[i];

		if (since >= c->at && since < c->until)
			*ret_cut = true;
		if (since < c->at)
			next = min_t(uint64_t, next, l->start + c->at);
		else if (since < c->until)
			next = min_t(uint64_t, next, l->start + c->until);
	}
	return next;
}

static int set_cut(struct loop *l, bool cut)
{
	int err = 0;

	for (int back = 0; !err && back < 2; back++) {
		struct wire_path p = *wire_path(l->w, 0, back);

		p.cut = cut;
		err = wire_set_path(l->w, 0, back, &p);
	}
	l->cut = cut;
	return err;
}

/* woken - after a sleep that was to end at `until`, but at a frame before that. */
static void woken(struct loop *l, uint64_t slept_at, uint64_t until)
{
	uint64_t now = mono_ns();

	away(l, now, until - slept_at);
	wrest_slept(&l->rest, now - slept_at);
}

/* nap - ns of sleep, whatever there is to do. */
static void nap(struct loop *l, uint64_t ns)
{
	const struct timespec ts = {.tv_nsec = (long)ns};
	uint64_t now = mono_ns();

	(void)nanosleep(&ts, NULL);
	woken(l, now, now + ns);
}

/* wait_for - sleep until shortly before `due`, or until a tap can be read. */
static int wait_for(struct loop *l, uint64_t now, uint64_t due)
{
	struct pollfd fds[2] = {{.fd = l->tap[0].fd, .events = POLLIN},
				{.fd = l->tap[1].fd, .events = POLLIN}};
	struct timespec ts;
	uint64_t ns;

	if (l->cfg->spin || due <= now + SPIN_AHEAD)
		return 0;
	ns = min_t(uint64_t, due - SPIN_AHEAD - now, SLEEP_MAX);
	ts = (struct timespec){.tv_sec = 0, .tv_nsec = (long)ns};
	if (ppoll(fds, 2, &ts, NULL) < 0 && errno != EINTR)
		return -errno;
	woken(l, now, now + ns);
	return 0;
}

static int loop(struct loop *l, volatile bool *stop)
{
	uint64_t end = l->cfg->run_ns ? l->start + l->cfg->run_ns : UINT64_MAX;
	int n = 0;

	while (!*stop && n >= 0) {
		uint64_t now = mono_ns(), due = end, next, tired;
		bool cut;

		if (now >= end)
			break;
		tired = wrest_awake(&l->rest, now - l->looked);
		away(l, now, 0);
		if (tired && l->res->fifo)
			nap(l, tired);
		due = min_t(uint64_t, due, next_cut(l, now, &cut));
		if (cut != l->cut)
			n = set_cut(l, cut);
		if (n >= 0)
			n = move(l);
		next = wire_next(l->w);
		if (n == 0)
			n = wait_for(l, now, next ? min_t(uint64_t, due, next) : due);
	}
	return min_t(int, n, 0);
}

/* real_time - ahead of all ordinary threads, which a sleeper must be to wake on time; it does not
 * starve them while it sleeps. Refused without privilege, which the report tells. */
static bool real_time(bool spin)
{
	struct sched_param sp = {.sched_priority = PRIORITY};

	(void)prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
	return !spin && sched_setscheduler(0, SCHED_FIFO, &sp) == 0;
}

static int make_wire(struct loop *l)
{
	const struct wrun_config *cfg = l->cfg;
	const struct wire_watch watch = {.entering =
						 cfg->pcap[0] || cfg->pcap[1] ? on_entering : NULL,
					 .lost = cfg->verbose ? on_lost : NULL,
					 .ctx = l};
	int err = wire_create(cfg->seed, &l->w);

	if (err)
		return err;
	err = wire_add_end(l->w, RING);
	if (err >= 0)
		err = wire_add_end(l->w, RING);
	if (err >= 0)
		err = wire_add_link(l->w, 0, 1, &cfg->path[0], &cfg->path[1]);
	wire_set_watch(l->w, &watch);
	return min_t(int, err, 0);
}

int wrun(const struct wrun_config *cfg, struct wtap tap[static 2], volatile bool *stop,
	 struct wrun_result *ret, char *err, size_t errlen)
{
	static struct loop l;
	int error;

	*ret = (struct wrun_result){0};
	hist_init(&ret->late);
	l = (struct loop){.cfg = cfg, .tap = tap, .res = ret};
	error = make_wire(&l);
	if (!error) {
		ret->fifo = real_time(cfg->spin);
		l.start = l.looked = mono_ns();
		error = loop(&l, stop);
		ret->ran = mono_ns() - l.start;
		for (int i = 0; i < 2; i++) {
			ret->path[i] = *wire_path_stats(l.w, 0, i);
			ret->missed[i] = wire_missed(l.w, i);
			ret->tap_drops[i] = wtap_drops(&tap[i]);
		}
	}
	if (error)
		(void)snprintf(err, errlen, "%s",
			       error == -EBADFD ? "a tap was deleted" : strerror(-error));
	if (l.w)
		wire_destroy(l.w);
	return error;
}
