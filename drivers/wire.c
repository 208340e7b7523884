/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network's graph and its one queue of events: frames that arrive at the far side of a link, in
 * order of time and then of making. Ends, switches, and the life of a frame.
 */
#include "drivers/wire.h"

#include <errno.h>
#include <stdlib.h>

#include "drivers/wire_int.h"

/* Free lists by size: ACKs, and full segments. Larger frames go back to the heap. */
static const unsigned class_room[WIRE_FREE_CLASSES] = {256, 2048};

int wire_create(uint64_t seed, struct wire **ret_w)
{
	struct wire *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->seed = seed;
	*ret_w = w;
	return 0;
}

static void free_list(struct wire_frame *f)
{
	while (f) {
		struct wire_frame *next = f->next;

		free(f);
		f = next;
	}
}

void wire_destroy(struct wire *w)
{
	for (unsigned i = 0; i < w->nr_events; i++)
		free(w->heap[i].f);
	for (int i = 0; i < w->nr_nodes; i++) {
		free_list(w->nodes[i].head);
		free(w->nodes[i].links);
		free(w->nodes[i].macs);
	}
	for (int i = 0; i < w->nr_links; i++) {
		free(w->links[i].path[0].departs);
		free(w->links[i].path[1].departs);
	}
	for (unsigned i = 0; i < WIRE_FREE_CLASSES; i++)
		free_list(w->free[i]);
	free(w->nodes);
	free(w->links);
	free(w->heap);
	free(w);
}

/* ---- frames ---- */

struct wire_frame *wire_frame_get(struct wire *w, unsigned room)
{
	struct wire_frame *f;
	unsigned c = 0;

	while (c < WIRE_FREE_CLASSES && room > class_room[c])
		c++;
	if (c < WIRE_FREE_CLASSES) {
		room = class_room[c];
		f = w->free[c];
		if (f)
			w->free[c] = f->next;
		else
			f = malloc(sizeof(*f) + room);
	} else {
		f = malloc(sizeof(*f) + room);
	}
	if (!f)
		return NULL;
	f->next = NULL;
	f->len = 0;
	f->room = room;
	f->bad = false;
	return f;
}

struct wire_frame *wire_frame_copy(struct wire *w, const struct wire_frame *f)
{
	struct wire_frame *c = wire_frame_get(w, f->len);

	if (!c)
		return NULL;
	c->len = f->len;
	c->bad = f->bad;
	memcpy(c->bytes, f->bytes, f->len);
	return c;
}

void wire_frame_put(struct wire *w, struct wire_frame *f)
{
	for (unsigned c = 0; c < WIRE_FREE_CLASSES; c++)
		if (f->room == class_room[c]) {
			f->next = w->free[c];
			w->free[c] = f;
			return;
		}
	free(f);
}

void wire_lost(struct wire *w, int path, struct wire_frame *f, const char *why)
{
	if (w->watch.lost)
		w->watch.lost(w->watch.ctx, path >> 1, path & 1, f->bytes, f->len, why, w->now);
	wire_frame_put(w, f);
}

/* ---- the graph ---- */

static int add_node(struct wire *w, unsigned ring, bool is_switch)
{
	struct wire_node *nodes;
	struct wire_mac *macs = NULL;
	int id = w->nr_nodes;

	nodes = realloc(w->nodes, ((size_t)id + 1) * sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	w->nodes = nodes;
	/* the tails point into what just moved */
	for (int i = 0; i < id; i++)
		if (!nodes[i].head)
			nodes[i].tailp = &nodes[i].head;
	if (is_switch) {
		macs = malloc(WIRE_MACS * sizeof(*macs));
		if (!macs)
			return -ENOMEM;
		for (unsigned i = 0; i < WIRE_MACS; i++)
			macs[i].link = -1;
	}
	nodes[id] = (struct wire_node){.macs = macs, .ring = ring ? ring : WIRE_RING};
	nodes[id].tailp = &nodes[id].head;
	w->nr_nodes++;
	return id;
}

int wire_add_end(struct wire *w, unsigned ring)
{
	return add_node(w, ring, false);
}

int wire_add_switch(struct wire *w)
{
	return add_node(w, 0, true);
}

/* reaches - is there a way from node `from` to `to`? The graph has no loops so far: who came by a
 * link need not go back by it. */
static bool reaches(const struct wire *w, int from, int to, int by)
{
	const struct wire_node *n = &w->nodes[from];

	if (from == to)
		return true;
	for (unsigned i = 0; i < n->nr_links; i++) {
		const struct wire_link *l = &w->links[n->links[i]];

		if (n->links[i] != by && reaches(w, l->node[l->node[0] == from], to, n->links[i]))
			return true;
	}
	return false;
}

static int link_check(const struct wire *w, int a, int b, const struct wire_path *ab,
		      const struct wire_path *ba)
{
	if (a < 0 || b < 0 || a >= w->nr_nodes || b >= w->nr_nodes || !wire_path_valid(ab) ||
	    !wire_path_valid(ba))
		return -EINVAL;
	if ((!w->nodes[a].macs && w->nodes[a].nr_links) ||
	    (!w->nodes[b].macs && w->nodes[b].nr_links))
		return -EBUSY;
	return reaches(w, a, b, -1) ? -ELOOP : 0;
}

static int node_reserve(struct wire_node *n)
{
	int *links = realloc(n->links, (n->nr_links + 1) * sizeof(*links));

	if (!links)
		return -ENOMEM;
	n->links = links;
	return 0;
}

int wire_add_link(struct wire *w, int a, int b, const struct wire_path *ab,
		  const struct wire_path *ba)
{
	int err = link_check(w, a, b, ab, ba), id = w->nr_links;
	struct wire_link *links;

	if (err)
		return err;
	links = realloc(w->links, ((size_t)id + 1) * sizeof(*links));
	if (!links)
		return -ENOMEM;
	w->links = links;
	if (node_reserve(&w->nodes[a]) || node_reserve(&w->nodes[b]))
		return -ENOMEM;
	links[id] = (struct wire_link){.node = {a, b}};
	links[id].path[0].to = b;
	links[id].path[1].to = a;
	if (wire_link_init(w, id * 2, ab) || wire_link_init(w, id * 2 + 1, ba)) {
		free(links[id].path[0].departs);
		return -ENOMEM;
	}
	w->nodes[a].links[w->nodes[a].nr_links++] = id;
	w->nodes[b].links[w->nodes[b].nr_links++] = id;
	w->nr_links++;
	return id;
}

int wire_set_path(struct wire *w, int link, bool back, const struct wire_path *path)
{
	if (link < 0 || link >= w->nr_links || !wire_path_valid(path))
		return -EINVAL;
	return wire_link_set(&w->links[link].path[back], path);
}

const struct wire_path *wire_path(const struct wire *w, int link, bool back)
{
	return &w->links[link].path[back].path;
}

const struct wire_path_stats *wire_path_stats(const struct wire *w, int link, bool back)
{
	return &w->links[link].path[back].st;
}

void wire_set_watch(struct wire *w, const struct wire_watch *watch)
{
	w->watch = watch ? *watch : (struct wire_watch){0};
}

/* ---- events: a binary heap ---- */

static bool sooner(const struct wire_event *a, const struct wire_event *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void wire_schedule(struct wire *w, int path, struct wire_frame *f, uint64_t at)
{
	struct wire_event ev = {.at = at, .order = w->order++, .f = f, .path = path};
	unsigned i;

	if (w->nr_events == w->max_events) {
		unsigned max = w->max_events ? w->max_events * 2 : 64;
		struct wire_event *heap = realloc(w->heap, max * sizeof(*heap));

		if (!heap) {
			wire_lost(w, path, f, "queue");
			return;
		}
		w->heap = heap;
		w->max_events = max;
	}
	f->at = at;
	for (i = w->nr_events++; i && sooner(&ev, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = ev;
}

static struct wire_event take_event(struct wire *w)
{
	struct wire_event first = w->heap[0], last = w->heap[--w->nr_events];
	unsigned i = 0, c;

	while ((c = 2 * i + 1) < w->nr_events) {
		if (c + 1 < w->nr_events && sooner(&w->heap[c + 1], &w->heap[c]))
			c++;
		if (!sooner(&w->heap[c], &last))
			break;
		w->heap[i] = w->heap[c];
		i = c;
	}
	w->heap[i] = last;
	return first;
}

uint64_t wire_next(const struct wire *w)
{
	return w->nr_events ? max_t(uint64_t, w->heap[0].at, 1) : 0;
}

/* ---- arrival ---- */

/* end_arrived - by `path`, or by none (-1). */
static void end_arrived(struct wire *w, int id, int path, struct wire_frame *f)
{
	struct wire_node *n = &w->nodes[id];

	if (n->waiting >= n->ring) {
		n->missed++;
		wire_lost(w, path, f, "ring");
		return;
	}
	if (w->watch.arriving)
		f->len = w->watch.arriving(w->watch.ctx, id, f->bytes, f->len, f->room, n->waiting,
					   w->now);
	f->next = NULL;
	*n->tailp = f;
	n->tailp = &f->next;
	n->waiting++;
}

/* mac_slot - where addr stands, or would; NULL when it is not there and the table is full. */
static struct wire_mac *mac_slot(struct wire_node *n, const uint8_t *addr)
{
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < ETH_ALEN; i++)
		h = (h ^ addr[i]) * 16777619u;
	for (unsigned i = 0; i < WIRE_MACS; i++) {
		struct wire_mac *m = &n->macs[(h + i) % WIRE_MACS];

		if (m->link < 0 || memcmp(m->addr, addr, ETH_ALEN) == 0)
			return m;
	}
	return NULL;
}

static void mac_learn(struct wire_node *n, const uint8_t *addr, int link)
{
	struct wire_mac *m = mac_slot(n, addr);

	if (!m || addr[0] & 1)
		return;
	memcpy(m->addr, addr, ETH_ALEN);
	m->link = link;
}

/* path_from - the direction of `link` that leads away from node id. */
static int path_from(const struct wire *w, int link, int id)
{
	return link * 2 + (w->links[link].node[0] != id);
}

static void switch_arrived(struct wire *w, int id, int path, struct wire_frame *f)
{
	struct wire_node *n = &w->nodes[id];
	const struct wire_mac *m;
	int from = path >> 1;

	mac_learn(n, f->bytes + ETH_ALEN, from);
	m = mac_slot(n, f->bytes);
	if (m && m->link >= 0) {
		if (m->link == from)
			wire_frame_put(w, f);
		else
			wire_link_send(w, path_from(w, m->link, id), f);
		return;
	}
	for (unsigned i = 0; i < n->nr_links; i++) {
		struct wire_frame *c;

		if (n->links[i] == from)
			continue;
		c = wire_frame_copy(w, f);
		if (c)
			wire_link_send(w, path_from(w, n->links[i], id), c);
	}
	wire_frame_put(w, f);
}

static void arrived(struct wire *w, const struct wire_event *ev)
{
	struct wire_link_end *e = wire_link_end(w, ev->path);

	if (e->path.cut) {
		e->st.cut++;
		wire_lost(w, ev->path, ev->f, "cut");
		return;
	}
	e->st.delivered++;
	if (w->nodes[e->to].macs)
		switch_arrived(w, e->to, ev->path, ev->f);
	else
		end_arrived(w, e->to, ev->path, ev->f);
}

void wire_run(struct wire *w, uint64_t now)
{
	while (w->nr_events && w->heap[0].at <= now) {
		struct wire_event ev = take_event(w);

		w->now = max_t(uint64_t, w->now, ev.at);
		arrived(w, &ev);
	}
	w->now = max_t(uint64_t, w->now, now);
}

/* ---- in and out ---- */

/* Who looks on may write so much behind a frame. */
#define ENTER_ROOM 64u

int wire_input(struct wire *w, int end, const void *frame, unsigned len, uint64_t now)
{
	struct wire_node *n = &w->nodes[end];
	struct wire_frame *f;

	if (len < ETH_HLEN || len > WIRE_FRAME_MAX)
		return -EINVAL;
	wire_run(w, now);
	if (!n->nr_links)
		return 0;
	f = wire_frame_get(w, len + ENTER_ROOM);
	if (!f)
		return -ENOMEM;
	memcpy(f->bytes, frame, len);
	f->len = len;
	if (w->watch.entering)
		f->len = w->watch.entering(w->watch.ctx, end, f->bytes, len, f->room, w->now);
	if (f->len)
		wire_link_send(w, path_from(w, n->links[0], end), f);
	else
		wire_frame_put(w, f);
	return 0;
}

int wire_arrive(struct wire *w, int end, const void *frame, unsigned len, uint64_t now)
{
	struct wire_frame *f;

	if (len < ETH_HLEN || len > WIRE_FRAME_MAX)
		return -EINVAL;
	wire_run(w, now);
	f = wire_frame_get(w, len + ENTER_ROOM);
	if (!f)
		return -ENOMEM;
	memcpy(f->bytes, frame, len);
	f->len = len;
	f->at = w->now;
	end_arrived(w, end, -1, f);
	return 0;
}

const uint8_t *wire_peek(const struct wire *w, int end, unsigned *ret_len, uint64_t *ret_at)
{
	const struct wire_frame *f = w->nodes[end].head;

	if (!f)
		return NULL;
	*ret_len = f->len;
	if (ret_at)
		*ret_at = f->at;
	return f->bytes;
}

void wire_pop(struct wire *w, int end)
{
	struct wire_node *n = &w->nodes[end];
	struct wire_frame *f = n->head;

	n->head = f->next;
	if (!n->head)
		n->tailp = &n->head;
	n->waiting--;
	wire_frame_put(w, f);
}

unsigned wire_waiting(const struct wire *w, int end)
{
	return w->nodes[end].waiting;
}

uint64_t wire_missed(const struct wire *w, int end)
{
	return w->nodes[end].missed;
}
