/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One direction of a link: queue, rate, delay and faults. The queue is not kept frame by frame: a
 * frame's time of departure is known when it enters, and so are the bytes that are before it.
 * RFC 1191 (fragmentation needed), 3168 (ECN), 792 (ICMP).
 */
#include <errno.h>
#include <stdlib.h>

#include "drivers/frame.h"
#include "drivers/wire_int.h"

#define QUEUE_FRAMES_MAX 65536u
#define TIME_MAX_NS      (3600ull * 1000000000ull)
#define IP_HLEN          20u
#define ICMP_HLEN        8u
#define ICMP_QUOTE       8u /* bytes behind the quoted IP header (RFC 792) */
#define IP_PROTO_ICMP    1
#define ECN_MASK         3u
#define ECN_CE           3u

static bool chance_ok(double p)
{
	/* written so that nan is refused too */
	return p >= 0 && p <= 1;
}

bool wire_path_valid(const struct wire_path *p)
{
	return chance_ok(p->loss) && chance_ok(p->burst_enter) && chance_ok(p->burst_leave) &&
	       chance_ok(p->burst_loss) && chance_ok(p->reorder) && chance_ok(p->dup) &&
	       chance_ok(p->corrupt) && p->queue_frames <= QUEUE_FRAMES_MAX &&
	       p->delay <= TIME_MAX_NS && p->jitter <= TIME_MAX_NS && p->reorder_ns <= TIME_MAX_NS;
}

int wire_link_set(struct wire_link_end *e, const struct wire_path *p)
{
	if (p->queue_frames != e->path.queue_frames) {
		uint64_t *departs = NULL;

		if (p->queue_frames) {
			departs = calloc(p->queue_frames, sizeof(*departs));
			if (!departs)
				return -ENOMEM;
		}
		free(e->departs);
		e->departs = departs;
		e->admitted = 0;
	}
	e->path = *p;
	return 0;
}

int wire_link_init(struct wire *w, int path, const struct wire_path *p)
{
	struct wire_link_end *e = wire_link_end(w, path);
	uint64_t state = w->seed ^ ((uint64_t)path + 1) * 0xd1342543de82ef95ull;

	for (unsigned i = 0; i < WIRE_DICE; i++)
		e->rng[i] = wire_draw(&state);
	return wire_link_set(e, p);
}

struct dice {
	uint64_t v[WIRE_DICE];
};

/* All are thrown for every frame, whether they count or not. */
static void roll(struct wire_link_end *e, struct dice *d)
{
	for (unsigned i = 0; i < WIRE_DICE; i++)
		d->v[i] = wire_draw(&e->rng[i]);
}

static bool hit(const struct dice *d, enum wire_die die, double p)
{
	return (double)(d->v[die] >> 11) * 0x1p-53 < p;
}

/* backlog - bytes that are not sent yet. */
static uint64_t backlog(const struct wire_link_end *e, uint64_t now)
{
	if (!e->path.rate || e->busy_until <= now)
		return 0;
	return (uint64_t)((double)(e->busy_until - now) * (double)e->path.rate / 8e9);
}

/* admit - a place in the queue, drop-tail: then it departs at busy_until. */
static bool admit(struct wire_link_end *e, unsigned len, uint64_t now)
{
	const struct wire_path *p = &e->path;
	uint64_t *slot = NULL, queued = p->rate ? backlog(e, now) + len : 0;

	if (p->queue_bytes && queued > p->queue_bytes)
		return false;
	if (p->queue_frames) {
		/* the one admitted queue_frames ago must be away */
		slot = &e->departs[e->admitted];
		if (*slot > now)
			return false;
		e->admitted = (e->admitted + 1) % p->queue_frames;
	}
	e->busy_until = max_t(uint64_t, e->busy_until, now);
	if (p->rate)
		e->busy_until += (uint64_t)((double)len * 8e9 / (double)p->rate);
	if (slot)
		*slot = e->busy_until;
	e->st.queue_peak = max_t(uint64_t, e->st.queue_peak, queued);
	return true;
}

/* mark_ce - RFC 3168 5. The IP header's checksum follows; the transport's does not know. */
static void mark_ce(struct wire_link_end *e, struct wire_frame *f)
{
	uint8_t *ip = f->bytes + ETH_HLEN;
	struct frame_info fi;
	uint16_t old, new, check;
	uint32_t sum;

	if (!frame_parse(f->bytes, f->len, f->len, &fi) || !(ip[1] & ECN_MASK))
		return;
	memcpy(&old, ip, 2);
	ip[1] |= ECN_CE;
	memcpy(&new, ip, 2);
	memcpy(&check, ip + 10, 2);
	/* RFC 1624 3 */
	sum = (uint16_t)~check + (uint32_t)(uint16_t)~old + new;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	check = (uint16_t)~sum;
	memcpy(ip + 10, &check, 2);
	e->st.marked++;
}

static void put_be16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_csum(uint8_t *p, const uint8_t *from, unsigned n)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < n; i += 2)
		sum += (uint32_t)(from[i] << 8 | (i + 1 < n ? from[i + 1] : 0));
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put_be16(p, (uint16_t)~sum);
}

/*
 * too_big_answer - "fragmentation needed and DF set" with the MTU (RFC 1191 4), on its way back as
 * if the host behind this path had a router in it: the packet's destination is its source.
 */
static void too_big_answer(struct wire *w, int path, const struct wire_frame *f)
{
	const uint8_t *ip = f->bytes + ETH_HLEN;
	struct wire_frame *a;
	struct frame_info fi;
	unsigned quote, len;
	uint8_t *p;

	/* never about ICMP, which may be an error itself (RFC 1122 3.2.2) */
	if (!frame_parse(f->bytes, f->len, f->len, &fi) || ip[9] == IP_PROTO_ICMP)
		return;
	quote = min_t(unsigned, fi.l3_len + ICMP_QUOTE, fi.tot_len);
	len = ETH_HLEN + IP_HLEN + ICMP_HLEN + quote;
	a = wire_frame_get(w, len);
	if (!a)
		return;
	a->len = len;
	p = a->bytes;
	memset(p, 0, len);
	memcpy(p, f->bytes + ETH_ALEN, ETH_ALEN);
	memcpy(p + ETH_ALEN, f->bytes, ETH_ALEN);
	put_be16(p + 12, 0x0800);
	p += ETH_HLEN;
	p[0] = 0x45;
	put_be16(p + 2, len - ETH_HLEN);
	p[8] = 64;
	p[9] = IP_PROTO_ICMP;
	memcpy(p + 12, ip + 16, 4);
	memcpy(p + 16, ip + 12, 4);
	put_csum(p + 10, p, IP_HLEN);
	p += IP_HLEN;
	p[0] = 3; /* destination unreachable */
	p[1] = 4; /* fragmentation needed */
	put_be16(p + 6, wire_link_end(w, path)->path.mtu);
	memcpy(p + ICMP_HLEN, ip, quote);
	put_csum(p + 2, p, ICMP_HLEN + quote);
	if (w->watch.entering)
		a->len = w->watch.entering(w->watch.ctx, -1, a->bytes, len, len, w->now);
	if (a->len)
		wire_link_send(w, path ^ 1, a);
	else
		wire_frame_put(w, a);
}

/* on_the_wire - loss comes behind the queue: a lost frame took its time of the link, too. */
static const char *on_the_wire(struct wire_link_end *e, const struct dice *d)
{
	const struct wire_path *p = &e->path;
	bool burst = e->burst;

	if (hit(d, WIRE_DIE_BURST_STATE, burst ? p->burst_leave : p->burst_enter))
		e->burst = !burst;
	if (hit(d, WIRE_DIE_LOSS, p->loss)) {
		e->st.lost++;
		return "loss";
	}
	if (burst && hit(d, WIRE_DIE_BURST_LOSS, p->burst_loss)) {
		e->st.burst_lost++;
		return "burst";
	}
	return NULL;
}

static void corrupt(struct wire_link_end *e, struct wire_frame *f, uint64_t where)
{
	struct frame_info fi;
	unsigned bit;

	if (f->bad || !frame_parse(f->bytes, f->len, f->len, &fi))
		return;
	bit = (unsigned)(where % (fi.tot_len * 8u));
	f->bytes[ETH_HLEN + bit / 8] ^= (uint8_t)(1u << bit % 8);
	f->bad = true;
	e->st.corrupted++;
}

/* arrival - when the frame that departs at busy_until is there. Only a reordered one is
 * overtaken. */
static uint64_t arrival(struct wire_link_end *e, const struct dice *d)
{
	const struct wire_path *p = &e->path;
	uint64_t at = e->busy_until + p->delay;

	if (p->jitter)
		at += d->v[WIRE_DIE_JITTER] % (p->jitter + 1);
	if (hit(d, WIRE_DIE_REORDER, p->reorder)) {
		e->st.reordered++;
		return max_t(uint64_t, at, e->last_at) + p->reorder_ns;
	}
	e->last_at = max_t(uint64_t, at, e->last_at);
	return e->last_at;
}

void wire_link_send(struct wire *w, int path, struct wire_frame *f)
{
	struct wire_link_end *e = wire_link_end(w, path);
	const struct wire_path *p = &e->path;
	const char *why;
	struct dice d;
	uint64_t at;

	e->st.frames++;
	e->st.bytes += f->len;
	roll(e, &d);
	if (p->cut) {
		e->st.cut++;
		wire_lost(w, path, f, "cut");
		return;
	}
	if (p->mtu && f->len > (unsigned)p->mtu + ETH_HLEN) {
		e->st.too_big++;
		if (p->mtu_icmp)
			too_big_answer(w, path, f);
		wire_lost(w, path, f, "mtu");
		return;
	}
	if (p->mark_bytes && backlog(e, w->now) >= p->mark_bytes)
		mark_ce(e, f);
	if (!admit(e, f->len, w->now)) {
		e->st.queue_drops++;
		wire_lost(w, path, f, "queue");
		return;
	}
	why = on_the_wire(e, &d);
	if (why) {
		wire_lost(w, path, f, why);
		return;
	}
	if (hit(&d, WIRE_DIE_CORRUPT, p->corrupt))
		corrupt(e, f, d.v[WIRE_DIE_WHERE]);
	at = arrival(e, &d);
	if (hit(&d, WIRE_DIE_DUP, p->dup)) {
		struct wire_frame *twin = wire_frame_copy(w, f);

		if (twin) {
			e->st.dups++;
			wire_schedule(w, path, twin, at);
		}
	}
	wire_schedule(w, path, f, at);
}
