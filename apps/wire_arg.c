/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers with units, and the path that they describe. */
#include "apps/wire_arg.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 24
#define VALUE_MAX  64
#define RATE_MAX   1e12
#define TIME_MAX   (3600e9) /* drivers/wire takes no more */

struct unit {
	const char *name;
	double factor;
};

static const struct unit rate_units[] = {
	{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {NULL, 0},
};
static const struct unit time_units[] = {
	{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {NULL, 0},
};
static const struct unit size_units[] = {
	{"b", 1},
	{"kb", 1e3},
	{"mb", 1e6},
	{NULL, 0},
};

/* number - digits with at most one point: no sign, exponent, hex or nan. *ret_rest: what
 * follows. */
static bool number(const char *s, double *ret, const char **ret_rest)
{
	size_t n = strspn(s, "0123456789."), digits = strcspn(s, ".");
	char buf[NUMBER_MAX];

	if (!n || n >= sizeof(buf) || (n == 1 && *s == '.'))
		return false;
	if (digits < n && strcspn(s + digits + 1, ".") < n - digits - 1)
		return false;
	memcpy(buf, s, n);
	buf[n] = '\0';
	*ret = strtod(buf, NULL);
	*ret_rest = s + n;
	return true;
}

static bool with_unit(const char *s, const struct unit *units, double max, uint64_t *ret)
{
	const char *unit;
	double v;

	if (!number(s, &v, &unit))
		return false;
	if (v == 0 && !*unit) {
		*ret = 0;
		return true;
	}
	for (; units->name; units++) {
		if (strcmp(units->name, unit))
			continue;
		if (v * units->factor > max)
			return false;
		*ret = (uint64_t)(v * units->factor + 0.5);
		return true;
	}
	return false;
}

bool warg_rate(const char *s, uint64_t *ret)
{
	return with_unit(s, rate_units, RATE_MAX, ret);
}

bool warg_time(const char *s, uint64_t *ret)
{
	return with_unit(s, time_units, TIME_MAX, ret);
}

bool warg_chance(const char *s, double *ret)
{
	const char *rest;
	double v;

	if (!number(s, &v, &rest) || (*rest ? strcmp(rest, "%") != 0 : v > 0) || v > 100)
		return false;
	*ret = v / 100;
	return true;
}

static bool size32(const char *s, uint32_t *ret)
{
	uint64_t v;

	if (!with_unit(s, size_units, UINT32_MAX, &v))
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* ---- a path's fields ---- */

static bool take_queue(const char *s, struct wire_path *p)
{
	unsigned long frames;
	char *end;

	if (size32(s, &p->queue_bytes)) {
		p->queue_frames = 0;
		return true;
	}
	frames = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || !frames || frames > 65536)
		return false;
	p->queue_frames = (uint32_t)frames;
	p->queue_bytes = 0;
	return true;
}

/* split - the text before the first colon into `first`; what follows it, NULL: there is none. */
static const char *split(const char *s, char first[static VALUE_MAX])
{
	size_t n = strcspn(s, ":");

	if (n >= VALUE_MAX)
		n = 0; /* no value is so long: an empty one is refused */
	memcpy(first, s, n);
	first[n] = '\0';
	return s[n] ? s + n + 1 : NULL;
}

static bool take_burst(const char *s, struct wire_path *p)
{
	char enter[VALUE_MAX], leave[VALUE_MAX];
	const char *rest = split(s, enter);

	if (!warg_chance(enter, &p->burst_enter))
		return false;
	/* an enduring bad state is --loss */
	if (!rest)
		return p->burst_enter == 0;
	rest = split(rest, leave);
	p->burst_loss = 1;
	return warg_chance(leave, &p->burst_leave) && p->burst_leave > 0 &&
	       (!rest || warg_chance(rest, &p->burst_loss));
}

static bool take_reorder(const char *s, struct wire_path *p)
{
	char chance[VALUE_MAX];
	const char *time = split(s, chance);

	if (!warg_chance(chance, &p->reorder))
		return false;
	if (!time)
		return p->reorder == 0;
	return warg_time(time, &p->reorder_ns);
}

static bool take_mtu(const char *s, struct wire_path *p)
{
	unsigned long mtu;
	char *end;

	mtu = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || mtu > UINT16_MAX || (mtu && mtu < NETDEV_MTU_MIN))
		return false;
	p->mtu = (uint16_t)mtu;
	p->mtu_icmp = !strcmp(end, ":icmp");
	return !*end || p->mtu_icmp;
}

static bool take(enum warg_what what, const char *s, struct wire_path *p)
{
	switch (what) {
	case WARG_RATE:
		return warg_rate(s, &p->rate);
	case WARG_DELAY:
		return warg_time(s, &p->delay);
	case WARG_JITTER:
		return warg_time(s, &p->jitter);
	case WARG_QUEUE:
		return take_queue(s, p);
	case WARG_LOSS:
		return warg_chance(s, &p->loss);
	case WARG_BURST:
		return take_burst(s, p);
	case WARG_REORDER:
		return take_reorder(s, p);
	case WARG_DUP:
		return warg_chance(s, &p->dup);
	case WARG_CORRUPT:
		return warg_chance(s, &p->corrupt);
	case WARG_MTU:
		return take_mtu(s, p);
	case WARG_MARK:
		return size32(s, &p->mark_bytes);
	case WARG_NR:
		break;
	}
	return false;
}

bool warg_path(enum warg_what what, const char *s, struct wire_path path[static 2])
{
	size_t n = strcspn(s, ",");
	const char *back = s[n] ? s + n + 1 : s;
	struct wire_path there = path[0], again = path[1];
	char first[VALUE_MAX];

	if (n >= sizeof(first) || strlen(back) >= sizeof(first))
		return false;
	memcpy(first, s, n);
	first[n] = '\0';
	if (!take(what, first, &there) || !take(what, back == s ? first : back, &again))
		return false;
	path[0] = there;
	path[1] = again;
	return true;
}

const char *warg_example(enum warg_what what)
{
	static const char *const example[WARG_NR] = {
		[WARG_RATE] = "1gbit, 10mbit or 56kbit (at most 1000gbit)",
		[WARG_DELAY] = "20ms or 150us (at most 3600s)",
		[WARG_JITTER] = "2ms or 50us (at most 3600s)",
		[WARG_QUEUE] = "100 (frames, 1 to 65536), 64kb or 2mb (at most 4294mb)",
		[WARG_LOSS] = "1% (0% to 100%)",
		[WARG_BURST] = "0.1%:20% (chances to enter and to leave a burst, 0% to 100%)",
		[WARG_REORDER] = "1%:3ms (0% to 100%, at most 3600s)",
		[WARG_DUP] = "1% (0% to 100%)",
		[WARG_CORRUPT] = "1% (0% to 100%)",
		[WARG_MTU] = "1400, or 1400:icmp to be told (576 to 65535)",
		[WARG_MARK] = "64kb (at most 4294mb)",
	};

	return example[what];
}

/* ---- in words again ---- */

struct text {
	FILE *f;
	bool any;
};

static void PRINTF_FMT(2, 3) say(struct text *t, const char *fmt, ...)
{
	va_list ap;

	if (t->any)
		fputs(", ", t->f);
	va_start(ap, fmt);
	vfprintf(t->f, fmt, ap);
	va_end(ap);
	t->any = true;
}

/* in_units - v in the largest unit of which it has one. */
static const char *in_units(char buf[static VALUE_MAX], double v, const struct unit *units)
{
	const struct unit *best = units;

	for (; units->name; units++) {
		if (v >= units->factor)
			best = units;
	}
	(void)snprintf(buf, VALUE_MAX, "%g%s", v / best->factor, best->name);
	return buf;
}

static void say_link(struct text *t, const struct wire_path *p)
{
	char u[VALUE_MAX];

	if (p->rate)
		say(t, "%s", in_units(u, (double)p->rate, rate_units));
	if (p->delay)
		say(t, "delay %s", in_units(u, (double)p->delay, time_units));
	if (p->jitter)
		say(t, "jitter %s", in_units(u, (double)p->jitter, time_units));
	if (p->queue_bytes)
		say(t, "queue %s", in_units(u, p->queue_bytes, size_units));
	if (p->queue_frames)
		say(t, "queue %" PRIu32 " frames", p->queue_frames);
	if (p->mark_bytes)
		say(t, "mark %s", in_units(u, p->mark_bytes, size_units));
	if (p->mtu)
		say(t, "mtu %u%s", p->mtu, p->mtu_icmp ? ":icmp" : "");
}

static void say_faults(struct text *t, const struct wire_path *p)
{
	char u[VALUE_MAX];

	if (p->loss > 0)
		say(t, "loss %g%%", p->loss * 100);
	if (p->burst_enter > 0)
		say(t, "burst %g%%:%g%%:%g%%", p->burst_enter * 100, p->burst_leave * 100,
		    p->burst_loss * 100);
	if (p->reorder > 0)
		say(t, "reorder %g%%:%s", p->reorder * 100,
		    in_units(u, (double)p->reorder_ns, time_units));
	if (p->dup > 0)
		say(t, "dup %g%%", p->dup * 100);
	if (p->corrupt > 0)
		say(t, "corrupt %g%%", p->corrupt * 100);
}

void warg_print(const struct wire_path *path, char *buf, size_t size)
{
	struct text t = {.f = fmemopen(buf, size, "w")};

	buf[0] = '\0';
	if (!t.f)
		return;
	say_link(&t, path);
	say_faults(&t, path);
	if (!t.any)
		say(&t, "perfect");
	(void)fclose(t.f);
	buf[size - 1] = '\0';
}
